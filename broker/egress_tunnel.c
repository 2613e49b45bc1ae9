/* broker/egress_tunnel.c — the destination's end of a tunnel: after CONNECT, or after a 101.
 *
 * Bytes pass unread, each direction within its credit and with an end of its own. What the destination did
 * arrives as what it was: its end as FIN, a reset as RESET, and neither ever as the other. How a tunnel ends
 * says nothing about the destination's health, so the pool hears of a cancelled lease.
 *
 * Where the client has left for good (EX_CLOSED), the destination gets what was sent and its end, as from a
 * closed socket: when it speaks after that, it is reset.
 *
 * A destination may be in this process: a bridge, at the other end of a stream in memory (front_bridge.h).
 */
#include "broker/egress.h"

#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "io/stream_pair.h"
#include "io/worker.h"

enum {
    DRAIN_MS = 30000, /* for bytes that the destination does not take after it and the client have ended; a
                         guess, TCP_USER_TIMEOUT's default */
    CLOSED_MS =
        10000, /* for a destination to end after its client has left; what Konnectivity's client allows */
    CLOSED_CREDIT = 4096,
};

static const struct stream_events tunnel_events;

static struct worker *worker_of(const struct egress *e)
{
    return e->bw->worker;
}

/* A tunnel may stand for hours: it holds nothing but its objects. */
static void shed(struct egress *e)
{
    worker_disarm(worker_of(e), &e->deadline);
    egress_drop_open(e);
}

static bool begin(struct egress *e)
{
    e->state = EGRESS_TUNNEL;
    e->held_back = true;
    if (e->inside) {
        stream_pair_bind(e->stream, &tunnel_events, e);
    } else {
        e->credit = e->owed = conn_credit(e->conn); /* of a spare's watch: comes off what the front grants */
        stream_bind(e->stream, &tunnel_events, e);
    }
    shed(e);
    egress_post(e, EX_CONNECTED, (struct seg){0}, (uint32_t)e->how);
    return true;
}

static void deliver(struct egress *e, struct seg seg)
{
    if (seg.len > 0)
        egress_post(e, EX_DATA, seg, 0);
    else
        worker_release_seg(worker_of(e), seg);
}

/* The front allows it: what a spare's destination said meanwhile goes first. */
static void let_speak(struct egress *e)
{
    if (!e->held_back)
        return;
    e->held_back = false;
    while (!segq_empty(&e->early))
        deliver(e, segq_pop(&e->early, &e->bw->seg_nodes));
    if (e->peer_ended)
        egress_post(e, EX_FIN, (struct seg){0}, 0);
}

void egress_tunnel_upgrade(struct egress *e, struct seg rest)
{
    e->ops = &egress_tunnel_ops;
    e->request_ended = false; /* both directions begin anew */
    e->peer_ended = false;
    stream_bind(e->stream, &tunnel_events, e);
    shed(e);
    deliver(e, rest);
}

/* Both sides have said all; what is left is for the destination to take it. */
static void expect_drain(struct egress *e)
{
    if (e->request_ended && (e->peer_ended || e->closed))
        worker_arm_ms(worker_of(e), &e->deadline, e->peer_ended ? DRAIN_MS : CLOSED_MS);
}

static void write_data(struct egress *e, struct seg seg)
{
    if (!outbox_body(&e->out, seg))
        stream_abort(e->stream, ENDING_LIMIT); /* `closed` ends the exchange */
}

static void credit(struct egress *e, uint32_t bytes)
{
    let_speak(e);
    e->credit += bytes;
    crumbs_settle(&e->crumbs);
    stream_grant(e->stream, bytes);
}

static void write_end(struct egress *e)
{
    outbox_flush(&e->out);
    stream_finish(e->stream);
    expect_drain(e);
    if (e->closed && !e->peer_ended)
        credit(e, CLOSED_CREDIT); /* its end stands behind what it says */
}

static void hear_for_nobody(struct egress *e, struct seg seg)
{
    uint32_t len = seg.len;
    worker_release_seg(worker_of(e), seg);
    if (outbox_is_empty(&e->out))
        stream_abort(e->stream, ENDING_CANCELLED);
    else
        credit(e, len);
}

static void leave(struct egress *e, enum ending reason)
{
    if (e->inside)
        stream_pair_abandon(e->stream, reason);
    else
        pool_discard(e->bw->pool, &e->conn, reason);
    e->inside = false;
    e->stream = NULL;
}

const struct egress_ops egress_tunnel_ops = {
    .begin = begin, .data = write_data, .end = write_end, .credit = credit, .leave = leave};

/* -- events of the leased stream ----------------------------------------------------------------------------
 */

static void on_open(struct stream *s)
{
    (void)s; /* leased streams are open already */
}

static void on_data(struct stream *s, struct seg seg)
{
    struct egress *e = s->owner;
    ASSERT(seg.len <= e->credit);
    e->credit -= seg.len;
    if (e->closed) {
        hear_for_nobody(e, seg);
        return;
    }
    seg = crumbs_collect(&e->crumbs, seg);
    if (!e->held_back) {
        deliver(e, seg);
    } else if (!segq_push(&e->early, &e->bw->seg_nodes, seg)) {
        worker_release_seg(worker_of(e), seg);
        stream_abort(s, ENDING_LIMIT);
    }
}

static void on_sent(struct stream *s, struct seg seg)
{
    struct egress *e = s->owner;
    struct outbox_credit credit = outbox_sent(&e->out, seg);
    if (credit.bytes > 0)
        egress_post(e, EX_CREDIT, credit.seg, credit.bytes);
    expect_drain(e);
}

static void on_end(struct stream *s)
{
    struct egress *e = s->owner;
    e->peer_ended = true;
    if (!e->held_back)
        egress_post(e, EX_FIN, (struct seg){0}, 0);
    expect_drain(e);
}

/* A destination that has said all and closed altogether answers with a reset a minute later
 * (tcp_fin_timeout), when the keepalive asks. If it had been given all that the client sent, nothing is lost:
 * the client still takes what was said, and learns of the rest if it sends more. */
static bool is_over(const struct egress *e, enum ending reason)
{
    bool gone = reason == ENDING_PEER_RESET || reason == ENDING_PEER_LOST;
    return reason == ENDING_DONE || (gone && e->peer_ended && outbox_is_empty(&e->out));
}

static void on_closed(struct stream *s, enum ending reason)
{
    struct egress *e = s->owner;
    bool over = is_over(e, reason);
    if (e->inside)
        stream_free(s);
    else
        pool_lost(e->bw->pool, &e->conn, ENDING_CANCELLED);
    e->inside = false;
    e->stream = NULL;
    if (!over) {
        egress_fail(e, reason, NULL);
        return;
    }
    let_speak(e); /* a client that has ended before it said anything waits for no hold */
    egress_post(e, EX_END, (struct seg){0}, 0);
    egress_free(e);
}

static const struct stream_events tunnel_events = {on_open, on_data, on_sent, on_end, on_closed};
