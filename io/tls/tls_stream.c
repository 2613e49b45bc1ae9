/* io/tls/tls_stream.c — the TLS stream: its life, the owner's calls and the events from below.
 *
 * Events go up only from events of the stream below, the task and the timer, never from a call. One `closed`,
 * after the stream below is gone. A stream that failed says so to its peer (alert), gives it TLS_FAILING_MS
 * to hear it, and then reports. The bytes are tls_flow.c's.
 */
#include "io/tls/tls_stream.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <stdlib.h>
#include <string.h>

#include "io/tls/tls_session.h"

static const uint32_t state_edges[] = {
#define B(s) (1u << (s))
    [TLS_HANDSHAKE] = B(TLS_OPEN) | B(TLS_FAILING) | B(TLS_CLOSING) | B(TLS_CLOSED),
    [TLS_OPEN] = B(TLS_LINGER) | B(TLS_FAILING) | B(TLS_CLOSING) | B(TLS_CLOSED),
    [TLS_LINGER] = B(TLS_CLOSING) | B(TLS_CLOSED),
    [TLS_FAILING] = B(TLS_CLOSING) | B(TLS_CLOSED),
    [TLS_CLOSING] = B(TLS_CLOSED),
    [TLS_CLOSED] = 0,
#undef B
};

static struct tls_stream *tls_of(const struct stream *s)
{
    return container_of(s, struct tls_stream, base);
}

void tls_stream_set_state(struct tls_stream *s, enum tls_state next)
{
    ASSERT(state_edges[s->state] & (1u << next));
    s->state = next;
}

/* ---- the end ---- */

/* The last event. The owner may free the stream in it: nothing is touched afterwards. */
static void deliver_closed(struct tls_stream *s, enum ending reason)
{
    ASSERT(s->below == TLS_BELOW_CLOSED);
    tls_stream_set_state(s, TLS_CLOSED);
    s->reason = reason;
    worker_disarm(s->base.worker, &s->timer);
    task_cancel(&s->task);
    tls_queue_fini(&s->in, s->base.worker);
    tls_queue_fini(&s->plain, s->base.worker);
    if (s->out_buf)
        buf_unref(s->out_buf);
    s->out_buf = NULL;
    s->record->ops->free(s->record);
    s->record = NULL;
    stream_free(s->lower);
    s->lower = NULL;
    s->base.events->closed(&s->base, reason);
}

void tls_stream_end_now(struct tls_stream *s, enum ending reason)
{
    tls_stream_set_state(s, TLS_CLOSING);
    s->reason = reason;
    worker_disarm(s->base.worker, &s->timer);
    if (s->below == TLS_BELOW_CLOSED)
        worker_defer(s->base.worker, &s->task);
    else
        stream_abort(s->lower, reason);
}

static void on_task(struct task *task)
{
    struct tls_stream *s = container_of(task, struct tls_stream, task);
    if (s->state == TLS_CLOSING && s->below == TLS_BELOW_CLOSED)
        deliver_closed(s, s->reason);
    else
        tls_flow_advance(s);
}

static void on_timer(struct timer *timer)
{
    struct tls_stream *s = container_of(timer, struct tls_stream, timer);
    if (s->state == TLS_LINGER && s->outstanding > 0)
        worker_arm_ms(s->base.worker, &s->timer, TLS_LINGER_MS); /* a slow reader: its owner judges that */
    else if (s->state == TLS_LINGER)
        tls_stream_end_now(s, ENDING_DONE);
    else if (s->state == TLS_FAILING)
        tls_stream_end_now(s, s->reason);
    else
        tls_flow_advance(s);
}

/* ---- events from below ---- */

static void lower_open(struct stream *lower)
{
    (void)lower; /* the first flight was queued below already */
}

static void lower_data(struct stream *lower, struct seg seg)
{
    struct tls_stream *s = lower->owner;
    s->granted -= seg.len < s->granted ? seg.len : s->granted; /* it may be a former owner's credit */
    if ((s->state != TLS_HANDSHAKE && s->state != TLS_OPEN) || s->incoming == TLS_IN_ENDED) {
        worker_release_seg(s->base.worker, seg); /* not wanted any more, but let it flow until the end */
        tls_flow_grant_below(s);
        return;
    }
    if (!tls_queue_push_packed(&s->in, s->base.worker, seg)) {
        worker_release_seg(s->base.worker, seg);
        tls_stream_end_now(s, ENDING_LIMIT);
        return;
    }
    tls_flow_read(s);
}

static void lower_sent(struct stream *lower, struct seg seg)
{
    struct tls_stream *s = lower->owner;
    bool was_full = tls_flow_is_full(s);
    if (seg.tag == TLS_MARK) {
        ASSERT(s->outstanding >= seg.len);
        s->outstanding -= seg.len;
    }
    worker_release_seg(s->base.worker, seg);
    if (s->state == TLS_OPEN && (was_full || s->plain.bytes > 0))
        worker_defer(s->base.worker, &s->task);
}

static void lower_end(struct stream *lower)
{
    struct tls_stream *s = lower->owner;
    switch (s->state) {
    case TLS_HANDSHAKE:
        s->incoming = TLS_IN_BELOW_ENDED;
        tls_flow_read(s);
        break;
    case TLS_OPEN:
        if (s->incoming == TLS_IN_OPEN)
            s->incoming = TLS_IN_BELOW_ENDED;
        tls_flow_read(s);
        break;
    case TLS_FAILING: tls_stream_end_now(s, s->reason); break;
    case TLS_LINGER: /* our FIN is on its way: `closed` follows */
    case TLS_CLOSING:
    case TLS_CLOSED: break;
    }
}

/* Ended cleanly below, if it was then reset or not; what is still to be read goes up as the owner grants
 * credit. */
static void below_is_done(struct tls_stream *s, enum ending reason)
{
    s->lost = reason;
    if (s->incoming == TLS_IN_OPEN)
        s->incoming = TLS_IN_BELOW_ENDED;
    tls_flow_read(s);
}

static void lower_closed(struct stream *lower, enum ending reason)
{
    struct tls_stream *s = lower->owner;
    s->below = TLS_BELOW_CLOSED;
    s->outstanding = 0;
    switch (s->state) {
    case TLS_HANDSHAKE: deliver_closed(s, reason == ENDING_DONE ? ENDING_TRUNCATED : reason); break;
    case TLS_OPEN:
        if (reason == ENDING_DONE || s->incoming == TLS_IN_BELOW_ENDED)
            below_is_done(s, reason);
        else
            deliver_closed(s, reason);
        break;
    case TLS_LINGER: deliver_closed(s, ENDING_DONE); break;
    case TLS_FAILING:
    case TLS_CLOSING: deliver_closed(s, s->reason); break;
    case TLS_CLOSED: ASSERT(s->state != TLS_CLOSED); break;
    }
}

static const struct stream_events lower_events = {
    .open = lower_open,
    .data = lower_data,
    .sent = lower_sent,
    .end = lower_end,
    .closed = lower_closed,
};

/* ---- calls of the owner ---- */

static void tls_grant(struct stream *base, uint32_t bytes)
{
    struct tls_stream *s = tls_of(base);
    s->credit = bytes > UINT32_MAX - s->credit ? UINT32_MAX : s->credit + bytes;
    if (s->state == TLS_OPEN && s->incoming != TLS_IN_ENDED &&
        (s->in.bytes > 0 || s->record->ops->pending(s->record) > 0))
        worker_defer(base->worker, &s->task);
}

static void tls_send(struct stream *base, struct seg seg)
{
    struct tls_stream *s = tls_of(base);
    bool alive = s->state == TLS_HANDSHAKE || s->state == TLS_OPEN;
    if (s->state == TLS_OPEN && s->lost != ENDING_DONE) { /* nobody is left to take it */
        worker_release_seg(base->worker, seg);
        tls_stream_end_now(s, s->lost);
        return;
    }
    if (!alive || s->outgoing != TLS_OUT_OPEN || !tls_queue_push(&s->plain, seg)) {
        worker_release_seg(base->worker, seg);
        if (alive && s->outgoing == TLS_OUT_OPEN)
            stream_abort(base, ENDING_LIMIT);
        return;
    }
    if (s->state == TLS_OPEN)
        worker_defer(base->worker, &s->task);
}

static void tls_finish(struct stream *base)
{
    struct tls_stream *s = tls_of(base);
    if (s->outgoing != TLS_OUT_OPEN)
        return;
    s->outgoing = TLS_OUT_FINISHING;
    if (s->state == TLS_OPEN)
        worker_defer(base->worker, &s->task);
}

static void tls_abort(struct stream *base, enum ending reason)
{
    struct tls_stream *s = tls_of(base);
    switch (s->state) {
    case TLS_HANDSHAKE:
    case TLS_OPEN:
    case TLS_LINGER: tls_stream_end_now(s, reason); break;
    case TLS_FAILING: tls_stream_end_now(s, s->reason); break; /* it had ended before */
    case TLS_CLOSING:
    case TLS_CLOSED: break;
    }
}

static void stream_release(struct tls_stream *s)
{
    free(s->expected);
    free(s->peer_names);
    tls_context_unref(&s->context);
    free(s);
}

static void tls_free(struct stream *base)
{
    struct tls_stream *s = tls_of(base);
    ASSERT(s->state == TLS_CLOSED);
    stream_release(s);
}

static uint64_t tls_owed(struct stream *base)
{
    struct tls_stream *s = tls_of(base);
    return s->lower ? stream_owed(s->lower) : 0;
}

static const struct stream_ops tls_ops = {
    .kind = "tls",
    .grant = tls_grant,
    .send = tls_send,
    .finish = tls_finish,
    .abort = tls_abort,
    .free = tls_free,
    .owed = tls_owed,
};

/* ---- making one ---- */

/* A stream below that has no owner any more: it is aborted and frees itself. */
static void orphan_open(struct stream *s)
{
    (void)s;
}
static void orphan_seg(struct stream *s, struct seg seg)
{
    worker_release_seg(s->worker, seg);
}
static void orphan_closed(struct stream *s, enum ending reason)
{
    (void)reason;
    stream_free(s);
}
static const struct stream_events orphan_events = {
    .open = orphan_open,
    .data = orphan_seg,
    .sent = orphan_seg,
    .end = orphan_open,
    .closed = orphan_closed,
};

static void ignore_open(struct stream *s)
{
    (void)s;
}
static void ignore_closed(struct stream *s, enum ending reason)
{
    (void)s;
    (void)reason;
}
/* Until the owner binds its own, which it does before the turn ends. */
static const struct stream_events unbound_events = {
    .open = ignore_open,
    .data = orphan_seg,
    .sent = orphan_seg,
    .end = ignore_open,
    .closed = ignore_closed,
};

static struct tls_stream *stream_new(struct worker *w, struct tls_context *c)
{
    struct tls_stream *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->base = (struct stream){.ops = &tls_ops, .events = &unbound_events, .worker = w};
    s->context = tls_context_ref(c);
    tls_queue_init(&s->in);
    tls_queue_init(&s->plain);
    task_init(&s->task, on_task);
    timer_init(&s->timer, on_timer);
    s->info.version = s->info.cipher = "";
    s->record = tls_record_wolfssl_new(w, c, &s->info);
    if (!s->record) {
        stream_release(s);
        return NULL;
    }
    s->record->in = &s->in;
    s->record->out = &s->out;
    return s;
}

static struct stream *start(struct tls_stream *s, struct stream **lower)
{
    struct stream *below = *lower;
    *lower = NULL;
    if (!s) {
        stream_bind(below, &orphan_events, NULL);
        stream_abort(below, ENDING_LIMIT);
        return NULL;
    }
    s->lower = below;
    stream_bind(below, &lower_events, s);
    worker_defer(s->base.worker, &s->task); /* the first step, and the first credit */
    return &s->base;
}

static bool set_expected(struct tls_stream *s, const struct tls_expect *expect)
{
    WOLFSSL *ssl = tls_record_wolfssl(s->record);
    s->expected = calloc(1, sizeof(*s->expected));
    if (!s->expected)
        return false;
    bool named = expect && tls_identity_set(s->expected, expect);
    ASSERT(named ||
           s->context->insecure); /* a verifying client without an expectation would verify nothing */
    const char *sni = s->expected->dns_name;
    struct net_address literal;
    if (!sni[0] || net_address_parse(sni, strlen(sni), 0, &literal))
        return true;
    return wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, sni, (unsigned short)strlen(sni)) == WOLFSSL_SUCCESS;
}

struct stream *tls_connect(struct worker *w, struct stream **lower, struct tls_context *c,
                           const struct tls_expect *expect, const uint8_t *ticket, size_t ticket_len,
                           void (*on_ticket)(struct stream *, const uint8_t *ticket, size_t len))
{
    ASSERT(c->role == TLS_CLIENT);
    struct tls_stream *s = stream_new(w, c);
    if (s && !set_expected(s, expect)) {
        s->record->ops->free(s->record);
        stream_release(s);
        s = NULL;
    }
    if (s) {
        s->on_ticket = on_ticket;
        if (ticket && c->resumption)
            s->info.ticket_offered = tls_session_offer(tls_record_wolfssl(s->record), ticket, ticket_len);
    }
    return start(s, lower);
}

struct stream *tls_accept(struct worker *w, struct stream **lower, struct tls_context *c)
{
    ASSERT(c->role == TLS_SERVER);
    return start(stream_new(w, c), lower);
}

void tls_accept_early(struct stream *base, struct seg seg)
{
    struct tls_stream *s = tls_of(base);
    if (s->state == TLS_HANDSHAKE)
        ASSERT(!list_empty(&s->task.node)); /* nothing came from below yet */
    if (s->state == TLS_HANDSHAKE && tls_queue_push_packed(&s->in, base->worker, seg))
        return;
    worker_release_seg(base->worker, seg);
    tls_abort(base, ENDING_LIMIT); /* a gap is never read */
}

void tls_accept_credit(struct stream *base, uint32_t bytes)
{
    struct tls_stream *s = tls_of(base);
    s->granted = bytes > UINT32_MAX - s->granted ? UINT32_MAX : s->granted + bytes;
}

const struct tls_info *tls_stream_info(const struct stream *base)
{
    return &tls_of(base)->info;
}

bool tls_peer_has_name(const struct stream *base, bool (*match)(const char *name, void *arg), void *arg)
{
    const struct tls_stream *s = tls_of(base);
    for (const char *name = s->peer_names; name && *name; name += strlen(name) + 1)
        if (match(name, arg))
            return true;
    return false;
}
