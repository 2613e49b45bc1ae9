/* io/tls/tls_stream.c — the TLS stream: between the stream below, the record layer, and the owner above.
 *
 *      owner   send ──► plain ──► encrypt ──► out ──► send   below
 *              data ◄── buffers ◄── decrypt ◄── in ◄── data
 *
 * Invariants. Ciphertext given to the stream below and not yet taken by it (`outstanding`) and that in `out`
 * never exceed TLS_OUT_MAX by more than an alert. Ciphertext lent by it never exceeds TLS_WINDOW, which is
 * granted anew as it is read; a connection without credit from above leaves it unread and so stops the peer.
 * Nothing of `plain` is encrypted before the peer was verified. Events go up only from events of the stream
 * below, the task and the timer, never from a call; any of them may be answered by abort, so the state is
 * looked at again after each. Buffers that are not to be had are asked for again by timer.
 *
 * A stream that failed says so to its peer (alert), gives it TLS_FAILING_MS to hear it, and then reports.
 *
 * tidy: length: a TODO(tls) for its author: the two buffers of ciphertext may leave for a file of their own.
 */
#include "io/tls/tls.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/engine.h"
#include "io/tls/tls_context.h"
#include "io/tls/tls_record.h"
#include "io/tls/tls_session.h"
#include "io/tls/tls_verify.h"
#include "io/worker.h"

enum {
    TLS_WINDOW = 128 * 1024, /* eight records: room for the next while the last is read */
    TLS_RETRY_MS = 10,       /* a tick of the wheel */
    TLS_FAILING_MS = 50,     /* for an alert to arrive before a reset; a frank guess */
    TLS_LINGER_MS = 5000,    /* for the FIN that follows a close_notify, once ours was taken; a frank guess */
    TLS_GATHER_BYTES = 4096, /* segments below this are gathered into common records */
};

enum state {
    STATE_HANDSHAKE,
    STATE_OPEN,
    STATE_LINGER,  /* both directions ended; the stream below is about to end as well */
    STATE_FAILING, /* an alert is on its way down; `reason` is set */
    STATE_CLOSING, /* the stream below is aborted, or gone and `closed` is due; `reason` is set */
    STATE_CLOSED,
};

enum incoming {
    IN_OPEN,
    IN_BELOW_ENDED,
    IN_ENDED
}; /* ended below but not yet read to the end; close_notify */
enum outgoing { OUT_OPEN, OUT_FINISHING, OUT_FINISHED };
enum below { BELOW_OPEN, BELOW_CLOSED };

struct tls_stream {
    struct stream base;
    struct stream *lower;
    struct tls_context *context;
    struct tls_record *record; /* NULL once closed */
    struct tls_identity *expected;
    char *peer_names; /* server: see tls_verify_client() */
    void (*on_ticket)(struct stream *, const uint8_t *ticket, size_t len);
    enum state state;
    enum incoming incoming;
    enum outgoing outgoing;
    enum below below;
    enum ending reason;
    uint32_t credit;      /* granted by the owner and not yet used */
    uint32_t outstanding; /* ciphertext below */
    uint64_t unread;      /* in.bytes when credit was last granted below */
    struct tls_queue in, plain;
    struct tls_span out;
    struct buf *out_buf; /* of `out`; NULL: none */
    struct task task;
    struct timer timer;
    struct tls_info info;
};

static const uint32_t state_edges[] = {
#define B(s) (1u << (s))
    [STATE_HANDSHAKE] = B(STATE_OPEN) | B(STATE_FAILING) | B(STATE_CLOSING) | B(STATE_CLOSED),
    [STATE_OPEN] = B(STATE_LINGER) | B(STATE_FAILING) | B(STATE_CLOSING) | B(STATE_CLOSED),
    [STATE_LINGER] = B(STATE_CLOSING) | B(STATE_CLOSED),
    [STATE_FAILING] = B(STATE_CLOSING) | B(STATE_CLOSED),
    [STATE_CLOSING] = B(STATE_CLOSED),
    [STATE_CLOSED] = 0,
#undef B
};

static struct tls_stream *tls_of(const struct stream *s)
{
    return container_of(s, struct tls_stream, base);
}

static void set_state(struct tls_stream *s, enum state next)
{
    ASSERT(state_edges[s->state] & (1u << next));
    s->state = next;
}

/* ---- the end ---- */

/* The last event. The owner may free the stream in it: nothing is touched afterwards. */
static void deliver_closed(struct tls_stream *s, enum ending reason)
{
    ASSERT(s->below == BELOW_CLOSED);
    set_state(s, STATE_CLOSED);
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

/* Ends at once. `closed` follows from below, or by the task when nothing is left below. */
static void end_now(struct tls_stream *s, enum ending reason)
{
    set_state(s, STATE_CLOSING);
    s->reason = reason;
    worker_disarm(s->base.worker, &s->timer);
    if (s->below == BELOW_CLOSED)
        worker_defer(s->base.worker, &s->task);
    else
        stream_abort(s->lower, reason);
}

/* ---- output buffers ---- */

static uint32_t out_room(const struct tls_stream *s)
{
    return s->out_buf ? s->out.cap - s->out.used : 0;
}

static void out_drop(struct tls_stream *s)
{
    if (s->out_buf)
        buf_unref(s->out_buf);
    s->out_buf = NULL;
    s->out = (struct tls_span){0};
}

static bool out_take(struct tls_stream *s, enum buf_class class)
{
    ASSERT(!s->out_buf);
    s->out_buf = buf_get(&s->base.worker->bufs, class);
    if (!s->out_buf)
        return false;
    s->out = (struct tls_span){.to = s->out_buf->mem, .cap = s->out_buf->cap};
    return true;
}

/* A flight was written into a big buffer, for it could have been large; it seldom is. */
static void out_shrink(struct tls_stream *s)
{
    if (!s->out_buf || s->out_buf->class == BUF_SMALL || s->out.used > BUF_SMALL_BYTES)
        return;
    struct buf *small = buf_get(&s->base.worker->bufs, BUF_SMALL);
    if (!small)
        return;
    memcpy(small->mem, s->out.to, s->out.used);
    buf_unref(s->out_buf);
    s->out_buf = small;
    s->out.to = small->mem;
    s->out.cap = small->cap;
}

/* Hands what was written to the stream below. */
static void out_flush(struct tls_stream *s)
{
    if (s->out_buf && s->out.used > 0 && s->below == BELOW_OPEN) {
        struct seg seg = {.buf = s->out_buf, .data = s->out.to, .len = s->out.used};
        s->outstanding += seg.len;
        s->out_buf = NULL;
        stream_send(s->lower, seg);
    }
    out_drop(s);
}

static void retry_later(struct tls_stream *s)
{
    worker_arm_ms(s->base.worker, &s->timer, TLS_RETRY_MS);
}

/* Gives back below what was read since the last time. */
static void grant_read(struct tls_stream *s)
{
    if (s->unread > s->in.bytes && s->below == BELOW_OPEN && s->incoming == IN_OPEN)
        stream_grant(s->lower, (uint32_t)(s->unread - s->in.bytes));
    s->unread = s->in.bytes;
}

/* ---- failure ---- */

static void fail(struct tls_stream *s, enum ending reason)
{
    /* Nothing to say, or nobody to hear it. */
    if (s->out.used == 0 || s->incoming == IN_BELOW_ENDED || s->below == BELOW_CLOSED) {
        out_drop(s);
        end_now(s, reason);
        return;
    }
    set_state(s, STATE_FAILING);
    s->reason = reason;
    out_shrink(s);
    out_flush(s);
    stream_finish(s->lower);
    worker_arm_ms(s->base.worker, &s->timer, TLS_FAILING_MS);
}

static void fail_truncated(struct tls_stream *s)
{
    snprintf(s->info.detail, sizeof(s->info.detail), "the peer closed the connection %s",
             s->state == STATE_HANDSHAKE ? "in the handshake" : "without close_notify");
    fail(s, ENDING_TRUNCATED);
}

/* ---- handshake ---- */

static void fill_info(struct tls_stream *s)
{
    WOLFSSL *ssl = tls_record_wolfssl(s->record);
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    s->info.resumed = wolfSSL_session_reused(ssl) == 1;
    s->info.version = wolfSSL_get_version(ssl);
    s->info.cipher = wolfSSL_get_cipher(ssl);
    wolfSSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
    if (alpn && alpn_len < sizeof(s->info.alpn))
        memcpy(s->info.alpn, alpn, alpn_len);
}

static enum ending verify(struct tls_stream *s)
{
    WOLFSSL *ssl = tls_record_wolfssl(s->record);
    struct engine *e = s->base.worker->engine;
    uint64_t now_s = e->ops->wall_ns(e) / 1000000000u;
    if (s->context->role == TLS_SERVER)
        return tls_verify_client(ssl, s->context->needs_client_certificate, now_s, &s->info, &s->peer_names);
    if (!s->context->insecure)
        return tls_verify_server(ssl, s->expected, now_s, &s->info);
    tls_verify_show_peer(ssl, &s->info);
    return ENDING_DONE;
}

static void deliver_ticket(struct tls_stream *s)
{
    struct tls_ticket ticket = s->record->ticket;
    if (!ticket.bytes)
        return;
    s->record->ticket = (struct tls_ticket){0};
    if (s->on_ticket && s->context->resumption)
        s->on_ticket(&s->base, ticket.bytes, ticket.len);
    tls_ticket_drop(&ticket);
}

static void handshake_done(struct tls_stream *s)
{
    fill_info(s);
    enum ending end = verify(s);
    if (end != ENDING_DONE) {
        out_drop(s); /* our Finished stays here: the peer is not who it should be */
        fail(s, end);
        return;
    }
    out_shrink(s);
    out_flush(s);
    tls_record_wolfssl_established(s->record);
    free(s->expected);
    s->expected = NULL;
    set_state(s, STATE_OPEN);
    worker_defer(s->base.worker, &s->task); /* what was sent or came before waits */
    s->base.events->open(&s->base);
    if (s->state == STATE_OPEN)
        deliver_ticket(s);
}

static void handshake_step(struct tls_stream *s)
{
    if (!out_take(s, BUF_BIG)) {
        retry_later(s);
        return;
    }
    enum tls_record_result result = s->record->ops->handshake(s->record);
    grant_read(s);
    switch (result) {
    case TLS_RECORD_OK: handshake_done(s); break;
    case TLS_RECORD_WANT_INPUT:
        out_shrink(s);
        out_flush(s);
        if (s->incoming == IN_BELOW_ENDED)
            fail_truncated(s);
        break;
    case TLS_RECORD_ENDED:
    case TLS_RECORD_FAILED: fail(s, s->record->failure); break;
    }
}

/* ---- from below to the owner ---- */

static void both_ended(struct tls_stream *s)
{
    if (s->state != STATE_OPEN || s->incoming != IN_ENDED || s->outgoing != OUT_FINISHED)
        return;
    if (s->below == BELOW_CLOSED) {
        end_now(s, ENDING_DONE);
        return;
    }
    set_state(s, STATE_LINGER);
    worker_arm_ms(s->base.worker, &s->timer, TLS_LINGER_MS);
}

static void deliver_end(struct tls_stream *s)
{
    s->incoming = IN_ENDED;
    s->base.events->end(&s->base);
    both_ended(s);
}

static uint32_t ready_bytes(const struct tls_stream *s)
{
    return s->record->ops->pending(s->record) + tls_record_ready_bytes(&s->in, BUF_BIG_BYTES);
}

static struct buf *plain_buf(struct tls_stream *s, uint32_t bytes)
{
    struct buf *b = NULL;
    if (bytes > BUF_SMALL_BYTES)
        b = buf_get(&s->base.worker->bufs, BUF_BIG);
    return b ? b : buf_get(&s->base.worker->bufs, BUF_SMALL);
}

/* Reads records until the buffer, the credit or the input is used up, and delivers them as one segment.
 * False: not now. */
static bool read_some(struct tls_stream *s, uint32_t ready)
{
    /* Room to answer a key update or to write an alert. */
    if (!s->out_buf && !out_take(s, BUF_SMALL))
        return false;
    struct buf *b = plain_buf(s, ready);
    if (!b)
        return false;
    uint32_t room = b->cap < s->credit ? b->cap : s->credit, filled = 0, n;
    enum tls_record_result result;
    do {
        result = s->record->ops->decrypt(s->record, b->mem + filled, room - filled, &n);
        filled += n;
    } while (result == TLS_RECORD_OK && filled < room && ready_bytes(s) > 0);
    grant_read(s);
    if (result != TLS_RECORD_FAILED)
        out_flush(s);
    if (filled > 0) {
        s->credit -= filled;
        s->base.events->data(&s->base, (struct seg){.buf = b, .data = b->mem, .len = filled});
    } else {
        buf_unref(b);
    }
    if (s->state == STATE_OPEN)
        deliver_ticket(s);
    if (s->state == STATE_OPEN && result == TLS_RECORD_FAILED)
        fail(s, s->record->failure);
    else if (s->state == STATE_OPEN && result == TLS_RECORD_ENDED)
        deliver_end(s);
    return true;
}

static void drop_input(struct tls_stream *s)
{
    while (s->in.count > 0)
        worker_release_seg(s->base.worker, tls_queue_pop(&s->in));
    grant_read(s);
}

static void pump_in(struct tls_stream *s)
{
    while (s->state == STATE_OPEN && s->incoming != IN_ENDED && s->credit > 0) {
        uint32_t ready = ready_bytes(s);
        if (ready == 0 || s->outstanding > TLS_OUT_MAX)
            break; /* answers pile up below: it goes on when they were taken */
        if (!read_some(s, ready)) {
            retry_later(s);
            return;
        }
    }
    if (s->state != STATE_OPEN)
        return;
    if (s->incoming == IN_ENDED)
        drop_input(s);
    else if (s->incoming == IN_BELOW_ENDED && ready_bytes(s) == 0)
        fail_truncated(s);
}

/* ---- from the owner to below ---- */

static void return_read_segs(struct tls_stream *s)
{
    while (s->state == STATE_OPEN && tls_queue_first_is_read(&s->plain))
        s->base.events->sent(&s->base, tls_queue_pop(&s->plain));
}

/* Room for a record worth writing. False: not now. */
static bool out_prepare(struct tls_stream *s)
{
    if (out_room(s) > TLS_OVERHEAD_MAX + TLS_GATHER_BYTES ||
        (out_room(s) > TLS_OVERHEAD_MAX && out_room(s) - TLS_OVERHEAD_MAX >= s->plain.bytes))
        return true;
    out_flush(s);
    bool small = s->plain.bytes + TLS_OVERHEAD_MAX <= BUF_SMALL_BYTES;
    return (!small && out_take(s, BUF_BIG)) || out_take(s, BUF_SMALL);
}

/* Small segments are gathered, so that a frame header and its payload share a record. */
static bool write_record(struct tls_stream *s, uint32_t room)
{
    static _Thread_local uint8_t gathered[TLS_PLAINTEXT_MAX];
    uint32_t n;
    const uint8_t *plain = tls_queue_peek(&s->plain, &n);
    uint32_t most = room - TLS_OVERHEAD_MAX < TLS_PLAINTEXT_MAX ? room - TLS_OVERHEAD_MAX : TLS_PLAINTEXT_MAX;
    if (n < TLS_GATHER_BYTES && n < most && s->plain.count > 1) {
        n = tls_queue_copy(&s->plain, 0, gathered, most);
        plain = gathered;
    } else if (n > most) {
        n = most;
    }
    if (s->record->ops->encrypt(s->record, plain, n) != TLS_RECORD_OK) {
        fail(s, s->record->failure);
        return false;
    }
    while (n > 0) {
        uint32_t first;
        (void)tls_queue_peek(&s->plain, &first);
        first = first < n ? first : n;
        tls_queue_skip(&s->plain, first);
        n -= first;
        if (tls_queue_first_is_read(&s->plain)) {
            s->base.events->sent(&s->base, tls_queue_pop(&s->plain));
            if (s->state != STATE_OPEN)
                return false;
        }
    }
    return true;
}

static void finish_below(struct tls_stream *s)
{
    if (out_room(s) < TLS_CONTROL_ROOM) {
        out_flush(s);
        if (!out_take(s, BUF_SMALL)) {
            retry_later(s);
            return;
        }
    }
    s->record->ops->close_notify(s->record);
    out_shrink(s);
    out_flush(s);
    s->outgoing = OUT_FINISHED;
    if (s->below == BELOW_OPEN)
        stream_finish(s->lower);
    both_ended(s);
}

static void pump_out(struct tls_stream *s)
{
    return_read_segs(s); /* empty ones */
    while (s->state == STATE_OPEN && s->plain.bytes > 0) {
        uint32_t used = s->outstanding + s->out.used;
        if (used + TLS_OVERHEAD_MAX + TLS_GATHER_BYTES > TLS_OUT_MAX)
            break; /* `sent` from below resumes */
        if (!out_prepare(s)) {
            retry_later(s);
            break;
        }
        uint32_t room = out_room(s) < TLS_OUT_MAX - used ? out_room(s) : TLS_OUT_MAX - used;
        if (!write_record(s, room))
            break;
        return_read_segs(s);
    }
    if (s->state != STATE_OPEN)
        return;
    out_shrink(s);
    out_flush(s);
    if (s->outgoing == OUT_FINISHING && s->plain.count == 0)
        finish_below(s);
}

static void advance(struct tls_stream *s)
{
    if (s->state == STATE_HANDSHAKE)
        handshake_step(s);
    if (s->state == STATE_OPEN)
        pump_in(s);
    if (s->state == STATE_OPEN)
        pump_out(s);
}

static void on_task(struct task *task)
{
    struct tls_stream *s = container_of(task, struct tls_stream, task);
    if (s->state == STATE_CLOSING && s->below == BELOW_CLOSED)
        deliver_closed(s, s->reason);
    else
        advance(s);
}

static void on_timer(struct timer *timer)
{
    struct tls_stream *s = container_of(timer, struct tls_stream, timer);
    if (s->state == STATE_LINGER && s->outstanding > 0)
        worker_arm_ms(s->base.worker, &s->timer, TLS_LINGER_MS); /* a slow reader: its owner judges that */
    else if (s->state == STATE_LINGER)
        end_now(s, ENDING_DONE);
    else if (s->state == STATE_FAILING)
        end_now(s, s->reason);
    else
        advance(s);
}

/* ---- events from below ---- */

static void lower_open(struct stream *lower)
{
    (void)lower; /* the first flight was queued below already */
}

static void lower_data(struct stream *lower, struct seg seg)
{
    struct tls_stream *s = lower->owner;
    s->unread += seg.len;
    if ((s->state != STATE_HANDSHAKE && s->state != STATE_OPEN) || s->incoming == IN_ENDED) {
        worker_release_seg(s->base.worker, seg); /* not wanted any more, but let it flow until the end */
        grant_read(s);
        return;
    }
    if (!tls_queue_push_packed(&s->in, s->base.worker, seg)) {
        worker_release_seg(s->base.worker, seg);
        end_now(s, ENDING_LIMIT);
        return;
    }
    if (s->state == STATE_HANDSHAKE)
        handshake_step(s);
    else
        pump_in(s);
}

static void lower_sent(struct stream *lower, struct seg seg)
{
    struct tls_stream *s = lower->owner;
    bool was_full = s->outstanding + TLS_OVERHEAD_MAX + TLS_GATHER_BYTES > TLS_OUT_MAX;
    ASSERT(s->outstanding >= seg.len);
    s->outstanding -= seg.len;
    worker_release_seg(s->base.worker, seg);
    if (s->state == STATE_OPEN && (was_full || s->plain.bytes > 0))
        worker_defer(s->base.worker, &s->task);
}

static void lower_end(struct stream *lower)
{
    struct tls_stream *s = lower->owner;
    switch (s->state) {
    case STATE_HANDSHAKE:
        s->incoming = IN_BELOW_ENDED;
        handshake_step(s);
        break;
    case STATE_OPEN:
        if (s->incoming == IN_OPEN)
            s->incoming = IN_BELOW_ENDED;
        pump_in(s);
        break;
    case STATE_FAILING: end_now(s, s->reason); break;
    case STATE_LINGER: /* our FIN is on its way: `closed` follows */
    case STATE_CLOSING:
    case STATE_CLOSED: break;
    }
}

/* Ended cleanly below; what is still to be read goes up as the owner grants credit. */
static void below_is_done(struct tls_stream *s)
{
    if (s->incoming == IN_OPEN)
        s->incoming = IN_BELOW_ENDED;
    pump_in(s);
}

static void lower_closed(struct stream *lower, enum ending reason)
{
    struct tls_stream *s = lower->owner;
    s->below = BELOW_CLOSED;
    s->outstanding = 0;
    switch (s->state) {
    case STATE_HANDSHAKE: deliver_closed(s, reason == ENDING_DONE ? ENDING_TRUNCATED : reason); break;
    case STATE_OPEN:
        if (reason == ENDING_DONE)
            below_is_done(s);
        else
            deliver_closed(s, reason);
        break;
    case STATE_LINGER: deliver_closed(s, ENDING_DONE); break;
    case STATE_FAILING:
    case STATE_CLOSING: deliver_closed(s, s->reason); break;
    case STATE_CLOSED: ASSERT(s->state != STATE_CLOSED); break;
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
    if (s->state == STATE_OPEN && s->incoming != IN_ENDED &&
        (s->in.bytes > 0 || s->record->ops->pending(s->record) > 0))
        worker_defer(base->worker, &s->task);
}

static void tls_send(struct stream *base, struct seg seg)
{
    struct tls_stream *s = tls_of(base);
    bool alive = s->state == STATE_HANDSHAKE || s->state == STATE_OPEN;
    if (!alive || s->outgoing != OUT_OPEN || !tls_queue_push(&s->plain, seg)) {
        worker_release_seg(base->worker, seg);
        if (alive && s->outgoing == OUT_OPEN)
            stream_abort(base, ENDING_LIMIT);
        return;
    }
    if (s->state == STATE_OPEN)
        worker_defer(base->worker, &s->task);
}

static void tls_finish(struct stream *base)
{
    struct tls_stream *s = tls_of(base);
    if (s->outgoing != OUT_OPEN)
        return;
    s->outgoing = OUT_FINISHING;
    if (s->state == STATE_OPEN)
        worker_defer(base->worker, &s->task);
}

static void tls_abort(struct stream *base, enum ending reason)
{
    struct tls_stream *s = tls_of(base);
    switch (s->state) {
    case STATE_HANDSHAKE:
    case STATE_OPEN:
    case STATE_LINGER: end_now(s, reason); break;
    case STATE_FAILING: end_now(s, s->reason); break; /* it had ended before */
    case STATE_CLOSING:
    case STATE_CLOSED: break;
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
    ASSERT(s->state == STATE_CLOSED);
    stream_release(s);
}

static const struct stream_ops tls_ops = {
    .kind = "tls",
    .grant = tls_grant,
    .send = tls_send,
    .finish = tls_finish,
    .abort = tls_abort,
    .free = tls_free,
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
    stream_grant(below, TLS_WINDOW);
    worker_defer(s->base.worker, &s->task);
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
