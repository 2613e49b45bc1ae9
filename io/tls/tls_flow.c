/* io/tls/tls_flow.c — the bytes of a TLS stream, between the stream below, the record layer, and the owner
 * above.
 *
 *      owner   send ──► plain ──► encrypt ──► out ──► send   below
 *              data ◄── buffers ◄── decrypt ◄── in ◄── data
 *
 * Invariants. Ciphertext given to the stream below and not yet taken by it (`outstanding`) and that in `out`
 * never exceed TLS_OUT_MAX by more than an answer to what was read. Ciphertext lent by it never exceeds
 * TLS_WINDOW, which is granted anew as it is read; a connection without credit from above leaves it unread
 * and so stops the peer. Nothing of `plain` is encrypted before the peer was verified. Any event may be
 * answered by abort, so the state is looked at again after each. Buffers that are not to be had are asked for
 * again by timer.
 */
#include "io/tls/tls_stream.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/engine.h"
#include "io/tls/tls_session.h"

enum {
    TLS_RETRY_MS = 10, /* a tick of the wheel */
};

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
    if (s->out_buf && s->out.used > 0 && s->below == TLS_BELOW_OPEN) {
        struct seg seg = {.buf = s->out_buf, .data = s->out.to, .len = s->out.used, .tag = TLS_MARK};
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

void tls_flow_grant_below(struct tls_stream *s)
{
    uint64_t taken = s->granted + s->in.bytes; /* more than the window after an owner who granted more */
    if (taken >= TLS_WINDOW || s->below == TLS_BELOW_CLOSED || s->incoming != TLS_IN_OPEN)
        return;
    s->granted += (uint32_t)(TLS_WINDOW - taken);
    stream_grant(s->lower, (uint32_t)(TLS_WINDOW - taken));
}

/* ---- failure ---- */

static void fail(struct tls_stream *s, enum ending reason)
{
    /* Nothing to say, or nobody to hear it. */
    if (s->out.used == 0 || s->incoming == TLS_IN_BELOW_ENDED || s->below == TLS_BELOW_CLOSED) {
        out_drop(s);
        tls_stream_end_now(s, reason);
        return;
    }
    tls_stream_set_state(s, TLS_FAILING);
    s->reason = reason;
    out_shrink(s);
    out_flush(s);
    stream_finish(s->lower);
    worker_arm_ms(s->base.worker, &s->timer, TLS_FAILING_MS);
}

static void fail_truncated(struct tls_stream *s)
{
    snprintf(s->info.detail, sizeof(s->info.detail), "the peer closed the connection %s",
             s->state == TLS_HANDSHAKE ? "in the handshake" : "without close_notify");
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

static enum ending verify(struct tls_stream *s, bool *ret_resumable)
{
    WOLFSSL *ssl = tls_record_wolfssl(s->record);
    struct engine *e = s->base.worker->engine;
    uint64_t now_s = e->ops->wall_ns(e) / 1000000000u;
    if (s->context->role == TLS_SERVER)
        return tls_verify_client(ssl, s->context->needs_client_certificate, now_s, &s->info, &s->peer_names);
    if (!s->context->insecure)
        return tls_verify_server(ssl, s->expected, now_s, &s->info, ret_resumable);
    tls_verify_show_peer(ssl, &s->info);
    *ret_resumable = true; /* nothing will be verified then either */
    return ENDING_DONE;
}

static void deliver_ticket(struct tls_stream *s)
{
    struct tls_ticket ticket = s->record->ticket;
    if (!ticket.bytes)
        return;
    s->record->ticket = (struct tls_ticket){0};
    s->had_ticket = true;
    if (s->on_ticket)
        s->on_ticket(&s->base, ticket.bytes, ticket.len);
    tls_ticket_drop(&ticket);
}

static uint32_t ready_bytes(const struct tls_stream *s)
{
    return s->record->ops->pending(s->record) + tls_record_ready_bytes(&s->in, BUF_BIG_BYTES);
}

/* The handshake's record layer is left as soon as nothing is lost with it: a ticket that is still to come. A
 * peer hands them out behind its handshake, ahead of data, several of them together. */
static void settle_record(struct tls_stream *s, bool data_came)
{
    if (s->settled || s->state != TLS_OPEN || s->record->ops->pending(s->record) > 0)
        return;
    if (s->on_ticket && !data_came && (!s->had_ticket || ready_bytes(s) > 0))
        return;
    s->settled = true;
    if (!tls_record_take_over(&s->record))
        tls_record_wolfssl_established(s->record);
}

static void handshake_done(struct tls_stream *s)
{
    bool resumable = false;
    fill_info(s);
    enum ending end = verify(s, &resumable);
    if (end != ENDING_DONE) {
        out_drop(s); /* our Finished stays here: the peer is not who it should be */
        fail(s, end);
        return;
    }
    out_shrink(s);
    out_flush(s);
    if (!resumable || !s->context->resumption)
        s->on_ticket = NULL;
    free(s->expected);
    s->expected = NULL;
    tls_stream_set_state(s, TLS_OPEN);
    worker_defer(s->base.worker, &s->task); /* what was sent or came before waits */
    s->base.events->open(&s->base);
    if (s->state == TLS_OPEN)
        deliver_ticket(s);
    settle_record(s, false);
}

static void handshake_step(struct tls_stream *s)
{
    if (!out_take(s, BUF_BIG)) {
        retry_later(s);
        return;
    }
    enum tls_record_result result = s->record->ops->handshake(s->record);
    tls_flow_grant_below(s);
    switch (result) {
    case TLS_RECORD_OK: handshake_done(s); break;
    case TLS_RECORD_WANT_INPUT:
        out_shrink(s);
        out_flush(s);
        if (s->incoming == TLS_IN_BELOW_ENDED)
            fail_truncated(s);
        break;
    case TLS_RECORD_WANT_MEMORY:
        out_drop(s);
        retry_later(s);
        break;
    case TLS_RECORD_ENDED:
    case TLS_RECORD_FAILED: fail(s, s->record->failure); break;
    }
}

/* ---- from below to the owner ---- */

static void both_ended(struct tls_stream *s)
{
    if (s->state != TLS_OPEN || s->incoming != TLS_IN_ENDED)
        return;
    if (s->lost != ENDING_DONE) {
        tls_stream_end_now(s, s->lost);
        return;
    }
    if (s->outgoing != TLS_OUT_FINISHED)
        return;
    if (s->below == TLS_BELOW_CLOSED) {
        tls_stream_end_now(s, ENDING_DONE);
        return;
    }
    tls_stream_set_state(s, TLS_LINGER);
    worker_arm_ms(s->base.worker, &s->timer, TLS_LINGER_MS);
}

static void deliver_end(struct tls_stream *s)
{
    s->incoming = TLS_IN_ENDED;
    s->base.events->end(&s->base);
    both_ended(s);
}

static struct buf *plain_buf(struct tls_stream *s, uint32_t bytes)
{
    struct buf *b = NULL;
    if (bytes > BUF_SMALL_BYTES)
        b = buf_get(&s->base.worker->bufs, BUF_BIG);
    return b ? b : buf_get(&s->base.worker->bufs, BUF_SMALL);
}

/* Whether another record may be read behind what was: one that would not fit is copied twice. */
static bool fits_next(const struct tls_stream *s, uint32_t filled, uint32_t room)
{
    return filled < room && ready_bytes(s) > 0 &&
           (filled == 0 || s->record->ops->pending(s->record) > 0 ||
            tls_record_body_bytes(&s->in) <= room - filled + TLS_RECORD_OWN);
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
    } while (result == TLS_RECORD_OK && fits_next(s, filled, room));
    tls_flow_grant_below(s);
    if (result == TLS_RECORD_WANT_MEMORY && filled == 0) {
        buf_unref(b);
        return false;
    }
    if (result != TLS_RECORD_FAILED)
        out_flush(s);
    if (filled > 0) {
        s->credit -= filled;
        s->base.events->data(&s->base, (struct seg){.buf = b, .data = b->mem, .len = filled});
    } else {
        buf_unref(b);
    }
    if (s->state == TLS_OPEN)
        deliver_ticket(s);
    if (s->state == TLS_OPEN && result == TLS_RECORD_FAILED)
        fail(s, s->record->failure);
    else if (s->state == TLS_OPEN && result == TLS_RECORD_ENDED)
        deliver_end(s);
    else
        settle_record(s, filled > 0);
    return true;
}

static void drop_input(struct tls_stream *s)
{
    while (s->in.count > 0)
        worker_release_seg(s->base.worker, tls_queue_pop(&s->in));
    tls_flow_grant_below(s);
}

static void pump_in(struct tls_stream *s)
{
    while (s->state == TLS_OPEN && s->incoming != TLS_IN_ENDED && s->credit > 0) {
        uint32_t ready = ready_bytes(s);
        if (ready == 0 || s->outstanding > TLS_OUT_MAX)
            break; /* answers pile up below: it goes on when they were taken */
        if (!read_some(s, ready)) {
            retry_later(s);
            return;
        }
    }
    if (s->state != TLS_OPEN)
        return;
    if (s->incoming == TLS_IN_ENDED)
        drop_input(s);
    else if (s->incoming == TLS_IN_BELOW_ENDED && ready_bytes(s) == 0)
        fail_truncated(s);
}

/* ---- from the owner to below ---- */

static void return_read_segs(struct tls_stream *s)
{
    while (s->state == TLS_OPEN && tls_queue_first_is_read(&s->plain))
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

static bool write_record(struct tls_stream *s, uint32_t room)
{
    uint32_t most = room - TLS_OVERHEAD_MAX < TLS_PLAINTEXT_MAX ? room - TLS_OVERHEAD_MAX : TLS_PLAINTEXT_MAX;
    uint32_t n;
    if (s->record->ops->encrypt(s->record, &s->plain, most, &n) != TLS_RECORD_OK) {
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
            if (s->state != TLS_OPEN)
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
    s->outgoing = TLS_OUT_FINISHED;
    if (s->below == TLS_BELOW_OPEN)
        stream_finish(s->lower);
    both_ended(s);
}

static void pump_out(struct tls_stream *s)
{
    return_read_segs(s); /* empty ones */
    while (s->state == TLS_OPEN && s->plain.bytes > 0) {
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
    if (s->state != TLS_OPEN)
        return;
    out_shrink(s);
    out_flush(s);
    if (s->outgoing == TLS_OUT_FINISHING && s->plain.count == 0)
        finish_below(s);
}

void tls_flow_read(struct tls_stream *s)
{
    if (s->state == TLS_HANDSHAKE)
        handshake_step(s);
    else
        pump_in(s);
}

bool tls_flow_is_full(const struct tls_stream *s)
{
    return s->outstanding + TLS_OVERHEAD_MAX + TLS_GATHER_BYTES > TLS_OUT_MAX;
}

void tls_flow_advance(struct tls_stream *s)
{
    if (s->state == TLS_HANDSHAKE)
        handshake_step(s);
    if (s->state == TLS_OPEN)
        pump_in(s);
    if (s->state == TLS_OPEN)
        pump_out(s);
}
