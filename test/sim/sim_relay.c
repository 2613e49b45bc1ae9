/* test/sim/sim_relay.c — see sim_relay.h.
 *
 * A connection through the relay has two halves, each the property of its worker. They speak by messages
 * alone: OPEN and OPENED exchange the handles, DATA lends a segment, CREDIT brings it back, END is a clean
 * end of a direction, LAST is the last word of a half. A half is freed when it has said and heard LAST.
 */
#include "sim_relay.h"

#include <stdlib.h>

#include "io/engine.h"
#include "io/mailbox.h"
#include "io/worker.h"
#include "sim_case.h"

struct relay_worker;

struct half {
    struct relay_worker *home;
    struct stream *stream; /* NULL once freed */
    void *other;           /* handle of the other half */
    unsigned other_worker;
    unsigned route;
    bool joined, closed, said_last, heard_last;
    enum ending reason;
};

struct relay_worker {
    struct sim_relay *relay;
    struct worker *worker;
    struct listener *listeners;
    bool listening;
};

struct sim_relay {
    struct sim_relay_options options;
    struct relay_worker *workers;
    uint32_t halves;
    uint64_t joined;
};

static void post(struct half *h, void (*deliver)(struct worker *, struct msg *), struct seg seg,
                 uint32_t value)
{
    struct msg msg = {.deliver = deliver, .to = h->other, .seg = seg, .value = value};
    mailbox_post(h->home->worker, h->other_worker, &msg);
}

static void deliver_last(struct worker *, struct msg *);

static void settle(struct half *h)
{
    if (!h->closed || !h->joined)
        return;
    if (h->stream) {
        stream_free(h->stream);
        h->stream = NULL;
    }
    if (!h->said_last) {
        h->said_last = true;
        post(h, deliver_last, (struct seg){0}, (uint32_t)h->reason);
    }
    if (h->heard_last) {
        h->home->relay->halves--;
        free(h);
    }
}

/* -- messages -----------------------------------------------------------------------------------------------
 */

static void deliver_credit(struct worker *w, struct msg *msg)
{
    struct half *h = msg->to;
    ASSERT(msg->seg.buf->home == &w->bufs);
    if (!h->closed)
        stream_grant(h->stream, msg->value);
    buf_unref(msg->seg.buf);
}

static void deliver_data(struct worker *w, struct msg *msg)
{
    struct half *h = msg->to;
    ASSERT(!h->heard_last);
    if (h->closed)
        worker_release_seg(w, msg->seg);
    else
        stream_send(h->stream, msg->seg);
}

static void deliver_end(struct worker *w, struct msg *msg)
{
    struct half *h = msg->to;
    (void)w;
    ASSERT(!h->heard_last);
    if (!h->closed)
        stream_finish(h->stream);
}

static void deliver_last(struct worker *w, struct msg *msg)
{
    struct half *h = msg->to;
    (void)w;
    ASSERT(!h->heard_last);
    h->heard_last = true;
    /* After a clean end of both directions ours end by themselves: END came before LAST, and our own END was
     * what ended the other half. */
    if (!h->closed && msg->value != ENDING_DONE)
        stream_abort(h->stream, ENDING_CANCELLED);
    settle(h);
}

static void on_open(struct stream *s)
{
    (void)s;
}

static void on_data(struct stream *s, struct seg seg)
{
    post(s->owner, deliver_data, seg, 0);
}

static void on_sent(struct stream *s, struct seg seg)
{
    post(s->owner, deliver_credit, seg, seg.len);
}

static void on_end(struct stream *s)
{
    post(s->owner, deliver_end, (struct seg){0}, 0);
}

static void on_closed(struct stream *s, enum ending reason)
{
    struct half *h = s->owner;
    h->closed = true;
    h->reason = reason;
    settle(h);
}

static const struct stream_events half_events = {on_open, on_data, on_sent, on_end, on_closed};

static struct half *half_new(struct relay_worker *home, struct stream *s, unsigned route)
{
    struct half *h = calloc(1, sizeof(*h));
    ASSERT(h != NULL);
    *h = (struct half){.home = home, .stream = s, .route = route};
    home->relay->halves++;
    if (s)
        stream_bind(s, &half_events, h);
    else
        h->closed = true;
    h->reason = ENDING_LIMIT; /* until closed says another */
    return h;
}

static void deliver_opened(struct worker *w, struct msg *msg)
{
    struct half *h = msg->to;
    (void)w;
    h->other = (void *)(uintptr_t)msg->extra[0];
    h->joined = true;
    if (!h->closed)
        stream_grant(h->stream, h->home->relay->options.credit);
    settle(h);
}

static void deliver_open(struct worker *w, struct msg *msg)
{
    struct relay_worker *home = &((struct sim_relay *)w->app)->workers[w->number];
    unsigned route = msg->value;
    struct stream *s = w->engine->ops->dial(w->engine, &home->relay->options.targets[route]);
    struct half *h = half_new(home, s, route);
    h->other = (void *)(uintptr_t)msg->extra[0];
    h->other_worker = (unsigned)msg->extra[1];
    h->joined = true;
    struct msg opened = {
        .deliver = deliver_opened, .to = h->other, .extra = {(uintptr_t)h, 0}
    };
    mailbox_post(w, h->other_worker, &opened);
    if (!h->closed)
        stream_grant(s, home->relay->options.credit);
    settle(h);
}

/* A handle may be adopted where it was accepted, or anywhere else. */
static void deliver_handle(struct worker *w, struct msg *msg)
{
    struct sim_relay *r = w->app;
    struct net_peer peer = {.address = r->options.listens[msg->kind]};
    struct stream *s = w->engine->ops->adopt(w->engine, (int)msg->value, &peer);
    struct half *h = half_new(&r->workers[w->number], s, msg->kind);
    h->other_worker = (unsigned)(worker_random(w) % r->options.workers);
    struct msg open = {
        .deliver = deliver_open, .value = msg->kind, .extra = {(uintptr_t)h, w->number}
    };
    mailbox_post(w, h->other_worker, &open);
    r->joined++;
}

static void on_accepted(struct listener *l, int handle, const struct net_peer *peer)
{
    struct worker *w = l->engine->worker;
    struct sim_relay *r = l->owner;
    (void)peer;
    unsigned route = (unsigned)(l - r->workers[w->number].listeners);
    struct msg msg = {.deliver = deliver_handle, .kind = route, .value = (uint32_t)handle};
    unsigned to = worker_random(w) % 2 ? w->number : (unsigned)(worker_random(w) % r->options.workers);
    mailbox_post(w, to, &msg);
}

/* -- the relay ----------------------------------------------------------------------------------------------
 */

struct sim_relay *sim_relay_new(const struct sim_relay_options *options)
{
    struct sim_relay *r = calloc(1, sizeof(*r));
    ASSERT(r != NULL);
    r->options = *options;
    r->workers = calloc(options->workers, sizeof(*r->workers));
    ASSERT(r->workers != NULL);
    for (unsigned i = 0; i < options->workers; i++) {
        struct relay_worker *rw = &r->workers[i];
        *rw = (struct relay_worker){.relay = r, .worker = options->peers[i], .listening = true};
        rw->worker->app = r;
        rw->listeners = calloc(options->routes, sizeof(*rw->listeners));
        ASSERT(rw->listeners != NULL);
        for (unsigned n = 0; n < options->routes; n++) {
            struct listen_options listen = {
                .address = options->listens[n], .backlog = 128, .share_port = true};
            struct engine *e = rw->worker->engine;
            rw->listeners[n] = (struct listener){.owner = r, .accepted = on_accepted};
            ASSERT(e->ops->listen(e, &rw->listeners[n], &listen) == 0);
        }
    }
    return r;
}

void sim_relay_drain(struct sim_relay *r)
{
    for (unsigned i = 0; i < r->options.workers; i++) {
        struct relay_worker *rw = &r->workers[i];
        for (unsigned n = 0; rw->listening && n < r->options.routes; n++)
            rw->worker->engine->ops->unlisten(&rw->listeners[n]);
        rw->listening = false;
    }
}

uint32_t sim_relay_halves(const struct sim_relay *r)
{
    return r->halves;
}

uint64_t sim_relay_joined(const struct sim_relay *r)
{
    return r->joined;
}

void sim_relay_free(struct sim_relay **rp)
{
    struct sim_relay *r = *rp;
    *rp = NULL;
    if (!r)
        return;
    ASSERT(r->halves == 0);
    for (unsigned i = 0; i < r->options.workers; i++)
        free(r->workers[i].listeners);
    free(r->workers);
    free(r);
}

/* -- as a case's application --------------------------------------------------------------------------------
 */

struct relay_case {
    struct sim_group group;
    struct sim_relay *relay;
};

static void *case_start(struct sim_case *c)
{
    static const struct buf_limits limits = {
        {262144, 4096, 4}
    };
    struct relay_case *rc = calloc(1, sizeof(*rc));
    ASSERT(rc != NULL);
    sim_group_init(&rc->group, c->world, c->plan.workers, c->plan.mailbox_entries, &limits);
    struct sim_relay_options o = {.workers = c->plan.workers,
                                  .peers = rc->group.peers,
                                  .routes = c->listen_count,
                                  .listens = c->listens,
                                  .targets = c->targets,
                                  .credit = (uint32_t)(16u << c->plan.seed % 12)};
    /* So small that a body takes thousands of round trips proves nothing but patience. */
    uint32_t least = (c->plan.habits.answer_max + c->plan.habits.request_max) / 128;
    if (o.credit < least)
        o.credit = least;
    rc->relay = sim_relay_new(&o);
    c->promises = (struct sim_tunnel_promises){.reset_told_ns = 1000000000, .held_max = o.credit};
    return rc;
}

static void case_drain(struct sim_case *c)
{
    sim_relay_drain(((struct relay_case *)c->app_state)->relay);
}

static bool case_is_empty(struct sim_case *c)
{
    return sim_relay_halves(((struct relay_case *)c->app_state)->relay) == 0;
}

static void case_free(struct sim_case *c)
{
    struct relay_case *rc = c->app_state;
    sim_group_fini(c, &rc->group);
    sim_relay_free(&rc->relay);
    free(rc);
}

const struct sim_app sim_relay_app = {
    .name = "relay",
    .profile = PROFILE_TRANSPARENT,
    .start = case_start,
    .drain = case_drain,
    .is_empty = case_is_empty,
    .free = case_free,
};
