/* test/sim/sim_agent_pipe.c — see sim_agent_pipe.h. */
#include "sim_agent_pipe.h"

#include <errno.h>
#include <stdlib.h>

static const uint64_t dial_ns = 5000000000u; /* as stock agents have it */

/* -- the end ------------------------------------------------------------------------------------------------
 */

static void be_over(struct sim_agent_pipe *p)
{
    ASSERT(!p->near && !p->far && !p->dialled);
    sim_event_cancel(p->net, &p->timeout);
    sim_event_cancel(p->net, &p->answer);
    list_remove(&p->node);
    p->over(p);
    sim_bytes_fini(&p->to_near);
    sim_bytes_fini(&p->to_far);
    free(p);
}

static void let_go_of_far(struct sim_agent_pipe *p, bool reset)
{
    struct sim_channel *far = p->far;
    p->far = NULL;
    if (far && reset)
        far->ops->reset(far);
    else if (far)
        far->ops->close(far);
    if (p->dialled)
        sim_close(p->dialled);
    p->dialled = NULL;
}

void sim_agent_pipe_drop(struct sim_agent_pipe *p, bool reset)
{
    struct sim_channel *near = p->near;
    p->near = NULL;
    if (near)
        near->ops->close(near);
    let_go_of_far(p, reset);
    be_over(p);
}

static bool is_empty(const struct sim_bytes *b)
{
    return b->at == b->len;
}

static void flush(struct sim_channel *c, struct sim_bytes *from)
{
    while (c && !is_empty(from)) {
        size_t left = from->len - from->at, n = left < 4096 ? left : 4096;
        size_t taken = c->ops->write(c, from->mem + from->at, n);
        sim_bytes_take(from, taken);
        if (taken < n)
            return;
    }
}

/* Moves what can be moved, and ends what has ended. May be over. */
static void work(struct sim_agent_pipe *p)
{
    flush(p->far, &p->to_far);
    flush(p->near, &p->to_near);
    if (p->near && p->far_ended && is_empty(&p->to_near)) {
        struct sim_channel *near = p->near;
        p->near = NULL;
        if (!p->far && !p->plain_ends)
            sim_call_break(near, "read tcp 10.0.0.1: connection reset by peer");
        else
            near->ops->close(near);
        let_go_of_far(p, false);
    }
    if (!p->near && p->far && is_empty(&p->to_far))
        let_go_of_far(p, false);
    if (!p->near && !p->far)
        be_over(p);
    else if (p->far && !p->far_ended)
        p->far->ops->pause(p->far, !is_empty(&p->to_near));
}

/* -- the call's side ----------------------------------------------------------------------------------------
 */

static void on_near_input(struct sim_channel *c, const uint8_t *bytes, size_t len)
{
    struct sim_agent_pipe *p = c->owner;
    if (p->far)
        sim_bytes_put(&p->to_far, bytes, len);
    flush(p->far, &p->to_far);
}

static void on_near_writable(struct sim_channel *c)
{
    work(c->owner);
}

/* CLOSE_REQ, which the call has answered. */
static void on_near_ended(struct sim_channel *c)
{
    struct sim_agent_pipe *p = c->owner;
    p->near = NULL;
    c->ops->close(c);
    work(p);
}

/* The stream is lost: a stock agent closes what was on it. */
static void on_near_gone(struct sim_channel *c)
{
    struct sim_agent_pipe *p = c->owner;
    p->near = NULL;
    p->call = NULL;
    let_go_of_far(p, sim_chance(p->net, 300));
    be_over(p);
}

static const struct sim_channel_events near_events = {on_near_input, on_near_writable, on_near_ended,
                                                      on_near_gone};

/* -- the destination's side ---------------------------------------------------------------------------------
 */

static void on_far_input(struct sim_channel *c, const uint8_t *bytes, size_t len)
{
    struct sim_agent_pipe *p = c->owner;
    if (!p->near)
        return;
    sim_bytes_put(&p->to_near, bytes, len);
    flush(p->near, &p->to_near);
    c->ops->pause(c, !is_empty(&p->to_near));
}

static void on_far_writable(struct sim_channel *c)
{
    work(c->owner);
}

static void on_far_ended(struct sim_channel *c)
{
    struct sim_agent_pipe *p = c->owner;
    p->far_ended = true;
    if (p->answered)
        work(p);
}

static void on_far_gone(struct sim_channel *c)
{
    struct sim_agent_pipe *p = c->owner;
    p->far = NULL;
    p->far_ended = true;
    p->to_far.at = p->to_far.len;
    if (p->answered)
        work(p);
}

static const struct sim_channel_events far_events = {on_far_input, on_far_writable, on_far_ended,
                                                     on_far_gone};

/* -- the dial -----------------------------------------------------------------------------------------------
 */

static void dialled(struct sim_agent_pipe *p, const char *error)
{
    sim_event_cancel(p->net, &p->timeout);
    p->error = error;
    if (error) {
        sim_close(p->dialled);
    } else {
        p->far = sim_channel_raw(p->dialled);
        p->far->owner = p;
        p->far->events = &far_events;
        p->far->ops->pause(p->far, true); /* nothing is read before the answer has gone */
    }
    p->dialled = NULL;
    p->dialled_to(p);
}

static const char *text_of(int error)
{
    return error == ECONNREFUSED   ? "dial tcp: connect: connection refused"
           : error == EHOSTUNREACH ? "dial tcp: connect: no route to host"
                                   : "dial tcp: i/o timeout";
}

static void on_poke(struct sim_sock *s)
{
    struct sim_agent_pipe *p = s->owner;
    int rc = sim_connect_result(s);
    if (rc != -EINPROGRESS)
        dialled(p, rc == 0 ? NULL : text_of(-rc));
}

static void on_timeout(struct sim_event *e)
{
    dialled(container_of(e, struct sim_agent_pipe, timeout), text_of(ETIMEDOUT));
}

void sim_agent_pipe_open(struct sim_agent_pipe *p, int64_t id)
{
    p->answered = true;
    p->near = sim_call_conn(p->call, id);
    p->near->owner = p;
    p->near->events = &near_events;
    work(p);
}

struct sim_agent_pipe *sim_agent_pipe_new(struct sim_call *call, const struct net_address *to,
                                          const struct net_address *from, void *owner)
{
    struct sim_agent_pipe *p = calloc(1, sizeof(*p));
    ASSERT(p != NULL);
    *p = (struct sim_agent_pipe){.net = call->net, .call = call, .owner = owner, .timeout.fire = on_timeout};
    list_init(&p->node);
    p->dialled = sim_connect(p->net, to, from);
    ASSERT(p->dialled != NULL);
    p->dialled->owner = p;
    p->dialled->poke = on_poke;
    sim_event_at(p->net, &p->timeout, sim_now_ns(p->net) + dial_ns);
    return p;
}
