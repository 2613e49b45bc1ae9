/* broker/egress_exchange.c — the life of an egress half: from OPEN through a lease to its last word.
 *
 * It refuses to know bytes (egress_http1.c, egress_http2.c, egress_tunnel.c) and how connections are made
 * (pool/). A connection that was lent and died before the first response byte is replaced once, if that is
 * safe: no request byte had been taken over by the layer below, or the method is idempotent and no body byte
 * was sent (RFC 9110 section 9.2.2).
 */
#include "broker/egress.h"

#include <stdlib.h>
#include <string.h>

#include "broker/broker_worker.h"
#include "broker/credentials.h"
#include "broker/http/http_name.h"
#include "io/stream_pair.h"
#include "io/worker.h"

static void on_granted(struct lease *, struct conn *, enum lease_how);
static void on_failed(struct lease *, enum ending, const char *detail);

static struct worker *worker_of(const struct egress *e)
{
    return e->bw->worker;
}

static const struct exchange_open *open_of(const struct egress *e)
{
    return (const struct exchange_open *)e->open_seg.data;
}

const struct head *egress_request_head(const struct egress *e)
{
    return (const struct head *)open_of(e)->head;
}

void egress_post(struct egress *e, uint32_t kind, struct seg seg, uint32_t value)
{
    struct msg msg = {.deliver = e->deliver, .to = e->front, .seg = seg, .kind = kind, .value = value};
    enum exchange_kind plain = (enum exchange_kind)(kind & EX_KIND);
    if (plain == EX_HEAD || plain == EX_CONNECTED || plain == EX_RESET) {
        struct exchange_phases phases = {(uint32_t)(e->lease.queue_ns / 1000),
                                         (uint32_t)(e->lease.dial_ns / 1000),
                                         (uint32_t)(e->lease.tls_ns / 1000), e->first_byte_us};
        _Static_assert(sizeof(phases) == sizeof(msg.extra), "phases ride in the message");
        memcpy(msg.extra, &phases, sizeof(phases));
    }
    mailbox_post(worker_of(e), e->front_worker, &msg);
}

bool egress_post_head(struct egress *e, const struct head_view *view, bool with_end)
{
    const struct head_edit edit = {.keep_upgrade = view->tunnel};
    struct buf *b = buf_get_bytes(&worker_of(e)->bufs, (uint32_t)head_pack_bound(view, &edit));
    struct head *head = NULL;
    if (!b || head_pack(view, &edit, b->mem, b->cap, &head) < 0) {
        if (b)
            buf_unref(b);
        egress_fail(e, ENDING_LIMIT, "out of buffers for a response head");
        return false;
    }
    egress_post(e, EX_HEAD | (with_end ? EX_WITH_END : 0), (struct seg){b, b->mem, head->size, 0},
                (uint32_t)e->how | (uint32_t)e->retry << EX_RETRY_SHIFT);
    return true;
}

/* Trailers of both directions travel packed in END. */
void egress_post_end(struct egress *e, const struct head_view *trailers)
{
    struct seg seg = {0};
    struct head *head = NULL;
    struct buf *b = trailers && trailers->fields_n > 0
                        ? buf_get_bytes(&worker_of(e)->bufs, (uint32_t)head_pack_bound(trailers, NULL))
                        : NULL;
    if (b && head_pack(trailers, NULL, b->mem, b->cap, &head) == 0)
        seg = (struct seg){b, b->mem, head->size, 0};
    else if (b)
        buf_unref(b);
    egress_post(e, EX_END, seg, 0);
}

/* -- the table of slots -------------------------------------------------------------------------------------
 */

static struct egress **slot_of(struct broker_worker *bw, unsigned sender, uint32_t slot)
{
    struct egress_table *t = &bw->by_sender[sender];
    if (slot >= t->count) { /* grows to the sender's peak of open exchanges and stays */
        uint32_t count = t->count ? t->count : 64;
        while (count <= slot)
            count *= 2;
        struct egress **slots = realloc(t->slots, count * sizeof(*slots));
        if (!slots)
            return NULL;
        memset(slots + t->count, 0, (count - t->count) * sizeof(*slots));
        t->slots = slots;
        t->count = count;
    }
    return &t->slots[slot];
}

void egress_drop_open(struct egress *e)
{
    if (e->open_seg.buf)
        worker_release_seg(worker_of(e), e->open_seg);
    e->open_seg = (struct seg){0};
}

void egress_free(struct egress *e)
{
    struct broker_worker *bw = e->bw;
    struct worker *w = worker_of(e);
    ASSERT(!egress_is_connected(e) && e->lease.endpoint == NULL);
    worker_disarm(w, &e->deadline);
    egress_drop_open(e);
    if (e->trailers.buf)
        worker_release_seg(w, e->trailers);
    while (!segq_empty(&e->early))
        worker_release_seg(w, segq_pop(&e->early, &bw->seg_nodes));
    if (e->head_buf)
        buf_unref(e->head_buf);
    body_reset(&e->body);
    outbox_reset(&e->out);
    crumbs_drop(&e->crumbs);
    *slot_of(bw, e->front_worker, e->slot) = NULL;
    slab_give(&bw->egresses, e);
}

/* -- endings ------------------------------------------------------------------------------------------------
 */

static void say_reset(struct egress *e, enum ending reason, const char *detail)
{
    struct seg seg = {0};
    struct buf *b = detail && *detail ? buf_get(&worker_of(e)->bufs, BUF_SMALL) : NULL;
    if (b) {
        size_t len = strnlen(detail, 512);
        memcpy(b->mem, detail, len);
        seg = (struct seg){b, b->mem, (uint32_t)len, 0};
    }
    uint32_t how = e->leased ? ((uint32_t)e->how + 1) << EX_HOW_SHIFT : 0;
    egress_post(e, EX_RESET, seg, (uint32_t)reason | (uint32_t)e->retry << EX_RETRY_SHIFT | how);
}

void egress_fail(struct egress *e, enum ending reason, const char *detail)
{
    e->state = EGRESS_DONE;
    say_reset(e, reason, detail);
    if (egress_is_connected(e))
        e->ops->leave(e, reason == ENDING_DONE ? ENDING_CANCELLED : reason);
    else
        pool_cancel(e->bw->pool, &e->lease);
    egress_free(e);
}

void egress_finish(struct egress *e)
{
    e->state = EGRESS_DONE;
    e->ops->leave(e, ENDING_DONE);
    egress_free(e);
}

/* -- leasing ------------------------------------------------------------------------------------------------
 */

static bool retry_is_safe(const struct egress *e)
{
    if (e->retry != RETRY_NONE || !e->conn || e->how != LEASE_REUSED || e->state != EGRESS_WAITING ||
        e->body_began)
        return false;
    return !e->head_taken || http_method_is_idempotent(egress_request_head(e)->method);
}

static void lease(struct egress *e, bool fresh)
{
    struct exchange_open *open = (struct exchange_open *)e->open_seg.data;
    struct worker *w = worker_of(e);
    if (open->identity != IDENTITY_NONE)
        open->key.profile = credentials_profile(e->bw->credentials, open->identity);
    e->state = EGRESS_LEASING;
    e->lease.owner = e;
    /* An exec over WebSocket is a GET, and must not be asked for twice: no upgrade on a socket that was idle.
     */
    e->lease.fresh = fresh || open->form == EXCHANGE_UPGRADE;
    e->lease.at_once = open->form != EXCHANGE_REQUEST; /* who asks for a tunnel is answered in bounded time */
    e->lease.granted = on_granted;
    e->lease.failed = on_failed;
    pool_lease(e->bw->pool, &open->key, &e->lease, w->now_ns + open->lease_ms * 1000000ull);
}

static void on_failed(struct lease *l, enum ending reason, const char *detail)
{
    egress_fail(l->owner, reason, detail);
}

static void on_deadline(struct timer *t)
{
    struct egress *e = container_of(t, struct egress, deadline);
    if (e->state == EGRESS_TUNNEL)
        egress_fail(e, ENDING_SLOW_READER, "the destination did not end after the tunnel had ended");
    else
        egress_fail(e, ENDING_DEADLINE, "no response within the route's first byte limit");
}

/* The limit runs from the last byte of the request that was passed on: an upload may take its time as long as
 * it moves, and one that stops, by whose doing ever, holds its connection for no longer than a silent answer.
 */
void egress_expect_first_byte(struct egress *e)
{
    if (e->state == EGRESS_WAITING && open_of(e)->first_byte_ms)
        worker_arm_ms(worker_of(e), &e->deadline, open_of(e)->first_byte_ms);
}

void egress_saw_first_byte(struct egress *e)
{
    uint64_t waited = worker_of(e)->now_ns - e->leased_ns;
    e->state = EGRESS_HEAD;
    e->first_byte_us = (uint32_t)(waited / 1000);
    worker_disarm(worker_of(e), &e->deadline);
    phase_observe(worker_of(e), PHASE_first_byte, waited);
}

static const struct egress_ops *ops_for(const struct egress *e)
{
    if (conn_session(e->conn))
        return &egress_http2_ops;
    return e->form == EXCHANGE_CONNECT ? &egress_tunnel_ops : &egress_http1_ops;
}

static void on_granted(struct lease *l, struct conn *conn, enum lease_how how)
{
    struct egress *e = l->owner;
    e->conn = conn;
    e->how = how;
    e->leased = true;
    e->state = EGRESS_WAITING;
    e->leased_ns = worker_of(e)->now_ns;
    e->ops = ops_for(e);
    if (!conn_session(conn)) {
        e->stream = conn_stream(conn);
        outbox_open(&e->out, e->stream);
    }
    if (!e->ops->begin(e)) {
        egress_fail(e, ENDING_LIMIT, "out of buffers");
        return;
    }
    struct egress **slot = slot_of(e->bw, e->front_worker, e->slot); /* empty when it has failed */
    while (*slot && !segq_empty(&e->early))
        e->ops->data(e, segq_pop(&e->early, &e->bw->seg_nodes));
    if (*slot && e->request_ended)
        e->ops->end(e);
}

static void again(struct egress *e, enum exchange_retry proof, bool fresh)
{
    e->retry = proof;
    counter_add(worker_of(e), COUNTER_retries, 1);
    e->stream = NULL;
    outbox_reset(&e->out);
    e->request_written = e->head_taken = false;
    worker_disarm(worker_of(e), &e->deadline);
    lease(e, fresh);
}

void egress_lost(struct egress *e, enum ending reason, bool already_closed)
{
    if (retry_is_safe(e)) {
        if (already_closed)
            pool_lost(e->bw->pool, &e->conn, ENDING_STALE_CONNECTION);
        else
            e->ops->leave(e, ENDING_STALE_CONNECTION);
        again(e, e->head_taken ? RETRY_IDEMPOTENT : RETRY_UNSENT, true);
        return;
    }
    if (already_closed) {
        pool_lost(e->bw->pool, &e->conn, reason);
        e->stream = NULL;
    }
    bool reused_silent = e->state == EGRESS_WAITING && e->how == LEASE_REUSED;
    if (reused_silent && (reason == ENDING_DONE || reason == ENDING_TRUNCATED || reason == ENDING_PEER_RESET))
        reason = ENDING_STALE_CONNECTION; /* an end, an end of TCP without one of TLS, a reset: all the same
                                             race */
    else if (reason == ENDING_DONE)
        reason = ENDING_TRUNCATED;
    egress_fail(e, reason,
                reused_silent
                    ? "a reused connection ended before the response; the request is not safe to repeat"
                    : NULL);
}

void egress_refused(struct egress *e)
{
    if (e->retry == RETRY_NONE && e->state == EGRESS_WAITING && !e->body_began) {
        e->ops->leave(e, ENDING_CANCELLED);
        again(e, RETRY_UNSENT, false);
        return;
    }
    egress_fail(e, ENDING_PEER_RESET,
                e->body_began ? "the destination refused the request after part of its body was sent"
                              : "the destination refused the request, and refused it again");
}

/* -- messages from the front half ---------------------------------------------------------------------------
 */

/* The tunnel needs no lease: its other end is here. */
static void begin_inside(struct egress *e)
{
    e->inside = true;
    e->stream = open_of(e)->inside;
    e->ops = &egress_tunnel_ops;
    outbox_open(&e->out, e->stream);
    bool begun = e->ops->begin(e);
    ASSERT(begun); /* of a tunnel: nothing has to be written */
}

static void on_open_message(struct broker_worker *bw, struct msg *msg, struct egress **slot)
{
    struct worker *w = bw->worker;
    struct exchange_open *open = (struct exchange_open *)msg->seg.data;
    struct egress *e = slot ? slab_take(&bw->egresses) : NULL;
    if (!e) {
        struct msg reply = {
            .deliver = open->deliver, .to = open->front, .kind = EX_RESET, .value = ENDING_LIMIT};
        mailbox_post(w, (unsigned)msg->extra[1], &reply);
        if (open->inside)
            stream_pair_abandon(open->inside, ENDING_LIMIT);
        worker_release_seg(w, msg->seg);
        return;
    }
    ASSERT(*slot == NULL);
    *slot = e;
    e->bw = bw;
    e->front = open->front;
    e->deliver = open->deliver;
    e->slot = (uint32_t)msg->extra[0];
    e->front_worker = (unsigned)msg->extra[1];
    e->open_seg = msg->seg;
    e->form = open->form;
    e->request_ended = msg->kind & EX_WITH_END;
    timer_init(&e->deadline, on_deadline);
    outbox_init(&e->out, w);
    list_init(&e->lease.node);
    if (open->inside)
        begin_inside(e);
    else
        lease(e, false);
    if (e->form == EXCHANGE_CONNECT)
        egress_drop_open(e);
}

static void on_data_message(struct egress *e, struct seg seg)
{
    if (egress_is_connected(e))
        e->ops->data(e, seg);
    else if (!segq_push(&e->early, &e->bw->seg_nodes, seg)) {
        worker_release_seg(worker_of(e), seg);
        egress_fail(e, ENDING_LIMIT, "out of buffers");
    }
}

static void on_credit_message(struct egress *e, struct msg *msg)
{
    if (msg->seg.buf)
        worker_release_seg(worker_of(e), msg->seg);
    uint32_t paid = msg->value < e->owed ? msg->value : e->owed;
    e->owed -= paid;
    if (egress_is_connected(e) && msg->value > paid)
        e->ops->credit(e, msg->value - paid);
}

void egress_deliver(struct worker *w, struct msg *msg)
{
    struct broker_worker *bw = broker_worker_of(w);
    struct egress **slot = slot_of(bw, (unsigned)msg->extra[1], (uint32_t)msg->extra[0]);
    enum exchange_kind kind = (enum exchange_kind)(msg->kind & EX_KIND);
    if (kind == EX_OPEN) {
        on_open_message(bw, msg, slot);
        return;
    }
    struct egress *e = slot ? *slot : NULL;
    if (!e) { /* late: the last word was said already */
        if (msg->seg.buf)
            worker_release_seg(w, msg->seg);
        return;
    }
    switch (kind) {
    case EX_DATA:
        if (msg->kind & EX_WITH_END)
            e->request_ended = true;
        on_data_message(e, msg->seg);
        e = *slot;
        if (e && (msg->kind & EX_WITH_END) && egress_is_connected(e))
            e->ops->end(e);
        break;
    case EX_END:
        e->request_ended = true;
        e->closed = msg->value == EX_CLOSED;
        e->trailers = msg->seg;
        if (egress_is_connected(e))
            e->ops->end(e);
        break;
    case EX_RESET: egress_fail(e, ENDING_CANCELLED, NULL); break;
    case EX_CREDIT: on_credit_message(e, msg); break;
    case EX_OPEN:
    case EX_HEAD:
    case EX_CONNECTED:
    case EX_FIN:
    case EX_KIND:
    case EX_WITH_END: ASSERT(!"not a message to the egress half");
    }
}
