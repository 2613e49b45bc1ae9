/* broker/konnectivity/proxy_tunnel.c — one connection that a client dialled on its stream.
 *
 * To the rest of the broker it is a CONNECT: the same routes, limits, exchange and log lines. What differs is
 * what the protocol lacks. It has no half-close: CLOSE_REQ is close(2), so what the client sent still reaches
 * the destination with its end, and what the destination says afterwards is thrown away; and when the
 * destination ends its direction, or is lost, the connection is over as soon as what it said has gone. It has
 * no credit: see proxy_stream.c.
 *
 * The Go client throws away DATA that comes before it knows of the connection, so the destination may not
 * speak before the client has, or a few milliseconds after the answer went (as in front_tunnel.c).
 */
#include <stdio.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/front_http2.h"
#include "broker/http/http1_scan.h"
#include "broker/konnectivity/proxy.h"
#include "io/worker.h"

enum { HOLDS_MAX = 50 /* of tunnelSpeakFirstMs, while the answer is still on its way out */ };

#define B(s) (1u << PROXY_##s)
static const struct {
    const char *name;
    uint32_t next;
    bool unanswered; /* DIAL_RSP has not gone */
} states[PROXY_TUNNEL_STATES] = {
    [PROXY_DIALLING] = {"dialling",  B(REFUSED) | B(ANSWERED),                       true },
    [PROXY_REFUSED] = {"refused",   0,                                              true },
    [PROXY_ANSWERED] = {"answered",  B(HELD) | B(FINISHING) | B(CLOSED),             true },
    [PROXY_HELD] = {"held",      B(OPEN) | B(ENDING) | B(FINISHING) | B(CLOSED), false},
    [PROXY_OPEN] = {"open",      B(ENDING) | B(FINISHING) | B(CLOSED),           false},
    [PROXY_FINISHING] = {"finishing", B(CLOSED),                                      false},
    [PROXY_ENDING] = {"ending",    B(CLOSED),                                      false},
    [PROXY_CLOSED] = {"closed",    0,                                              false},
};
#undef B

static struct worker *worker_of(const struct proxy_tunnel *t)
{
    return proxy_stream_worker(t->stream);
}

static struct front_http2 *session_of(const struct proxy_tunnel *t)
{
    return t->stream->call.http2->session;
}

static struct broker_worker *bw_of(const struct proxy_tunnel *t)
{
    return session_of(t)->conn->bw;
}

void proxy_tunnel_set_state(struct proxy_tunnel *t, enum proxy_tunnel_state next)
{
    ASSERT(states[t->state].next & (1u << next));
    worker_disarm(worker_of(t), &t->timer);
    t->state = next;
    proxy_send_due(t);
}

bool proxy_tunnel_is_unanswered(const struct proxy_tunnel *t)
{
    return states[t->state].unanswered;
}

void proxy_tunnel_set_error(struct proxy_tunnel *t, const char *text)
{
    size_t len = strnlen(text, sizeof(t->error) - 1);
    for (size_t i = 0; i < len; i++) /* a string of protobuf's is UTF-8, and this one is for people */
        t->error[i] = (unsigned char)text[i] >= 0x7f || http1_is_control(text[i]) ? '?' : text[i];
    t->error[len] = '\0';
}

/* -- ends ---------------------------------------------------------------------------------------------------
 */

static void return_seg(struct proxy_tunnel *t, struct seg seg)
{
    if (t->exchange)
        exchange_credit(t->exchange, (struct outbox_credit){seg.tag, seg});
    else
        worker_release_seg(worker_of(t), seg);
}

static void drop_queue(struct proxy_tunnel *t)
{
    uint32_t bytes = t->queue.bytes;
    while (!segq_empty(&t->queue))
        return_seg(t, segq_pop(&t->queue, &bw_of(t)->seg_nodes));
    http2_call_sent(&t->stream->call, bytes);
}

/* The exchange is over for this client. Bytes that the destination will not get make it no peaceful end. */
static void leave_exchange(struct proxy_tunnel *t, enum ending reason)
{
    struct exchange *ex = t->exchange;
    t->exchange = NULL;
    if (!ex)
        return;
    if (reason == ENDING_DONE && ex->progress == EXCHANGE_TUNNEL && segq_empty(&t->spill))
        exchange_client_closed(ex);
    else
        exchange_client_gone(ex, reason == ENDING_DONE ? ENDING_CLIENT_GONE : reason);
}

void proxy_tunnel_free(struct proxy_tunnel *t, enum ending reason)
{
    struct proxy_stream *p = t->stream;
    struct broker_worker *bw = bw_of(t);
    if (p->sending == t)
        p->sending = NULL;
    leave_exchange(t, reason);
    drop_queue(t);
    proxy_receive_drop(t);
    worker_disarm(worker_of(t), &t->timer);
    list_remove(&t->due);
    list_remove(&t->bucket);
    list_remove(&t->node);
    p->tunnel_count--;
    slab_give(&bw->proxy_tunnels, t);
    if (bw->draining)
        proxy_stream_drain(&p->call);
}

static void begin_ending(struct proxy_tunnel *t)
{
    proxy_tunnel_set_state(t, PROXY_ENDING);
    worker_arm_ms(worker_of(t), &t->timer, PROXY_DRAIN_MS);
}

/* The destination has ended, one way or the other. A client that does not know of the connection yet would
 * not understand that. */
void proxy_tunnel_end(struct proxy_tunnel *t, enum ending reason)
{
    leave_exchange(t, reason);
    proxy_receive_drop(t);
    if (t->state == PROXY_OPEN)
        begin_ending(t);
}

static void close_now(struct proxy_tunnel *t, enum ending reason)
{
    leave_exchange(t, reason);
    drop_queue(t);
    proxy_receive_drop(t);
    proxy_tunnel_set_state(t, PROXY_CLOSED);
}

void proxy_tunnel_close(struct proxy_tunnel *t)
{
    switch (t->state) {
    case PROXY_ANSWERED: /* it cannot know of it, but for a guess */
    case PROXY_HELD:
    case PROXY_OPEN:
        proxy_receive_pass_on(t);
        if (segq_empty(&t->spill)) {
            close_now(t, ENDING_DONE);
            return;
        }
        drop_queue(t);
        proxy_tunnel_set_state(t, PROXY_FINISHING);
        worker_arm_ms(worker_of(t), &t->timer, PROXY_FINISH_MS);
        return;
    case PROXY_ENDING: close_now(t, ENDING_DONE); return;
    case PROXY_DIALLING:
    case PROXY_REFUSED:
    case PROXY_FINISHING:
    case PROXY_CLOSED: return;
    case PROXY_TUNNEL_STATES: ASSERT(!"a state of a tunnel");
    }
}

void proxy_tunnel_cancel(struct proxy_tunnel *t)
{
    if (proxy_tunnel_is_unanswered(t))
        proxy_tunnel_free(t, ENDING_DONE);
    else
        proxy_tunnel_close(t);
}

/* -- time ---------------------------------------------------------------------------------------------------
 */

void proxy_tunnel_open(struct proxy_tunnel *t)
{
    if (!t->exchange) { /* the destination has ended meanwhile */
        begin_ending(t);
        return;
    }
    proxy_tunnel_set_state(t, PROXY_OPEN);
    exchange_release(t->exchange);
    proxy_tunnel_touch(t);
}

static void hold(struct proxy_tunnel *t)
{
    worker_arm_ms(worker_of(t), &t->timer, bw_of(t)->broker->times.hold_ms);
}

void proxy_tunnel_answered(struct proxy_tunnel *t)
{
    struct proxy_stream *p = t->stream;
    p->call.answered = true;
    p->cancels -= p->cancels > 0;
    http2_watch_answered(&session_of(t)->watch);
    if (t->state != PROXY_ANSWERED)
        return;
    proxy_tunnel_set_state(t, PROXY_HELD);
    if (bw_of(t)->broker->times.hold_ms == 0)
        proxy_tunnel_open(t);
    else
        hold(t);
}

void proxy_tunnel_touch(struct proxy_tunnel *t)
{
    uint32_t ms = bw_of(t)->broker->times.tunnel_idle_ms;
    if (t->state == PROXY_ENDING)
        worker_arm_ms(worker_of(t), &t->timer, PROXY_DRAIN_MS);
    if (t->state != PROXY_OPEN || !segq_empty(&t->spill)) /* then the timer has another meaning */
        return;
    if (ms > 0)
        worker_arm_ms(worker_of(t), &t->timer, ms);
    else
        worker_disarm(worker_of(t), &t->timer);
}

/* A destination takes nothing, and its client has sent more than it may hold. */
static void judge_stalled(struct proxy_tunnel *t)
{
    uint64_t ms = (worker_of(t)->now_ns - t->progressed_ns) / 1000000;
    bool blocks = t->spill.bytes >= bw_of(t)->budget / 2 && ms >= PROXY_BLOCKED_MS;
    if (t->stream->tunnel_count > 1 && (blocks || ms >= PROXY_PATIENCE_MS)) {
        proxy_tunnel_set_error(t,
                               "the destination took no data while other connections of the stream waited");
        proxy_tunnel_end(t, ENDING_LIMIT);
    } else {
        worker_arm_ms(worker_of(t), &t->timer, PROXY_BLOCKED_MS);
    }
}

static void on_timer(struct timer *timer)
{
    struct proxy_tunnel *t = container_of(timer, struct proxy_tunnel, timer);
    switch (t->state) {
    case PROXY_HELD:
        if (session_of(t)->unsent > 0 && ++t->holds < HOLDS_MAX)
            hold(t);
        else
            proxy_tunnel_open(t);
        return;
    case PROXY_OPEN:
        if (!segq_empty(&t->spill)) {
            judge_stalled(t);
            return;
        }
        proxy_tunnel_set_error(t, ending_text(ENDING_IDLE_TIMEOUT));
        proxy_tunnel_end(t, ENDING_IDLE_TIMEOUT);
        return;
    case PROXY_FINISHING:
        proxy_tunnel_set_error(t, "the destination did not take all that was sent");
        close_now(t, ENDING_CLIENT_GONE);
        return;
    case PROXY_ENDING:
        proxy_tunnel_set_error(t, ending_text(ENDING_SLOW_READER));
        close_now(t, ENDING_SLOW_READER);
        return;
    case PROXY_DIALLING:
    case PROXY_REFUSED:
    case PROXY_ANSWERED:
    case PROXY_CLOSED:
    case PROXY_TUNNEL_STATES: ASSERT(!"a state without a limit");
    }
}

/* -- birth ------------------------------------------------------------------------------------------------
 */

struct proxy_tunnel *proxy_tunnel_new(struct proxy_stream *p, int64_t random)
{
    struct broker_worker *bw = p->call.http2->session->conn->bw;
    struct proxy_tunnel *t = slab_take(&bw->proxy_tunnels);
    if (!t)
        return NULL;
    list_init(&t->node);
    list_init(&t->bucket);
    list_init(&t->due);
    list_init(&t->dirty);
    timer_init(&t->timer, on_timer);
    t->stream = p;
    t->random = random;
    t->id = (int64_t)(++bw->proxy_ids * bw->worker->count + bw->worker->number);
    list_add_tail(&p->tunnels, &t->node);
    list_add_tail(proxy_stream_bucket(p, t->id), &t->bucket);
    p->tunnel_count++;
    return t;
}

/* -- the exchange's calls -----------------------------------------------------------------------------------
 */

static void on_connected(void *asker)
{
    proxy_tunnel_set_state(asker, PROXY_ANSWERED);
}

static void on_data(void *asker, struct seg seg)
{
    struct proxy_tunnel *t = asker;
    struct proxy_stream *p = t->stream;
    uint32_t len = seg.len;
    seg.tag = len;
    if (t->state == PROXY_FINISHING || len == 0) {
        return_seg(t, seg);
        return;
    }
    if (!segq_push(&t->queue, &bw_of(t)->seg_nodes, seg)) {
        worker_release_seg(worker_of(t), seg);
        proxy_tunnel_set_error(t, ending_text(ENDING_LIMIT));
        proxy_tunnel_end(t, ENDING_LIMIT);
        return;
    }
    proxy_send_due(t);
    proxy_tunnel_touch(t);
    http2_call_holds(&p->call, len);
}

static void on_fin(void *asker)
{
    struct proxy_tunnel *t = asker;
    if (t->state == PROXY_FINISHING)
        close_now(t, ENDING_DONE);
    else
        proxy_tunnel_end(t, ENDING_DONE);
}

static void on_refuse(void *asker, unsigned status, const char *text)
{
    (void)status;
    proxy_tunnel_set_error(asker, text);
    proxy_tunnel_set_state(asker, PROXY_REFUSED);
}

static void on_cut(void *asker, enum ending reason)
{
    struct proxy_tunnel *t = asker;
    proxy_tunnel_set_error(t, ending_text(reason));
    if (t->state == PROXY_FINISHING)
        close_now(t, reason);
    else
        proxy_tunnel_end(t, reason);
}

static void on_grant(void *asker, uint32_t bytes)
{
    struct proxy_tunnel *t = asker;
    proxy_receive_granted(t, bytes);
    proxy_tunnel_touch(t);
    if (t->state == PROXY_FINISHING && segq_empty(&t->spill))
        close_now(t, ENDING_DONE);
}

/* Of one that was refused; any other has left its exchange by then. */
static void on_heard(void *asker)
{
    struct proxy_tunnel *t = asker;
    struct exchange *ex = t->exchange;
    ASSERT(t->state == PROXY_REFUSED);
    t->exchange = NULL;
    exchange_complete(ex);
}

const struct asker_ops proxy_tunnel_asker = {.protocol = "grpc",
                                             .connected = on_connected,
                                             .data = on_data,
                                             .fin = on_fin,
                                             .refuse = on_refuse,
                                             .cut = on_cut,
                                             .grant = on_grant,
                                             .heard = on_heard};
