/* io/tls/tls_record_gcm.c — TLS 1.3's record layer with AES-GCM, for the time after the handshake.
 *
 * The library's keeps far more memory for each connection than all the rest of it needs, and
 * copies every byte twice on its way (hawser-tls-bytes, TLS 1.2 beside 1.3). Here a record is
 * opened from where its pieces lie into the buffer that goes up, and sealed from the pieces of the sender
 * into the buffer that goes down. What is left of a handshake: the peer may announce new keys (followed and
 * answered), and may hand out more tickets (not taken: what they derive from is gone).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/tls/tls_alert.h"
#include "io/tls/tls_direction.h"
#include "io/worker.h"

enum content { CONTENT_ALERT = 21, CONTENT_HANDSHAKE = 22, CONTENT_DATA = 23 }; /* RFC 8446 section 5.1 */
enum message { MESSAGE_NEW_SESSION_TICKET = 4, MESSAGE_KEY_UPDATE = 24 };       /* section 4 */
enum { KEEP_KEYS = 0, REQUEST_KEYS = 1 };                                       /* section 4.6.3 */

enum {
    MESSAGE_HEAD = 4,
    /* The largest ticket message: lifetime, age, nonce, ticket and extensions of greatest length. */
    TICKET_MESSAGE_MAX = 4 + 4 + 256 + 2 + 65535 + 2 + 65534,
    SEALED_MAX = TLS_PLAINTEXT_MAX + 256, /* section 5.2 */
    PIECES_MAX = 64,                      /* of a record; more are gathered first */
    GATHER_BYTES = 2048,                  /* to here one run over a copy is cheaper; a guess */
    DATALESS_MAX = 32, /* records in a row that bring no data: key updates are cheap to send; Go allows 16 */
};

struct record {
    struct tls_record base;
    struct tls_direction read, write;
    uint8_t *held; /* plaintext that did not fit; NULL: none */
    uint32_t held_at, held_end;
    uint32_t dataless;
    struct { /* of the handshake, which records may cut anywhere */
        uint8_t head[MESSAGE_HEAD];
        uint32_t head_len, body_left;
    } message;
};

static struct record *record_of(const struct tls_record *r)
{
    return container_of(r, struct record, base);
}

/* ---- writing ---- */

/* One record of the pieces and the type behind them. The span has the room. */
static bool seal(struct record *r, enum content type, struct bytes *pieces, uint32_t count, uint32_t len)
{
    struct tls_span *out = r->base.out;
    uint8_t *head = out->to + out->used, *sealed = head + TLS_HEADER_BYTES, last = (uint8_t)type;
    uint32_t body = len + 1 + AEAD_TAG_BYTES;
    ASSERT(out->cap - out->used >= TLS_HEADER_BYTES + body);
    head[0] = CONTENT_DATA;
    head[1] = head[2] = 3;
    head[3] = (uint8_t)(body >> 8);
    head[4] = (uint8_t)body;
    pieces[count++] = (struct bytes){&last, 1};
    if (len <= GATHER_BYTES) {
        uint32_t at = 0;
        for (uint32_t i = 0; i < count; at += (uint32_t)pieces[i++].len)
            memcpy(sealed + at, pieces[i].data, pieces[i].len);
        pieces[0] = (struct bytes){sealed, at};
        count = 1;
    }
    if (!tls_direction_seal(&r->write, pieces, count, head, body))
        return false;
    out->used += TLS_HEADER_BYTES + body;
    return true;
}

static bool seal_bytes(struct record *r, enum content type, const uint8_t *bytes, uint32_t len)
{
    struct bytes pieces[2] = {
        {bytes, len}
    };
    return seal(r, type, pieces, 1, len);
}

/* ---- ends ---- */

static void write_alert(struct record *r, uint8_t level, uint8_t code)
{
    if (r->base.out->to && r->base.out->cap - r->base.out->used >= TLS_OVERHEAD_MAX)
        (void)seal_bytes(r, CONTENT_ALERT, (uint8_t[]){level, code}, 2);
}

__attribute__((format(printf, 4, 5))) static enum tls_record_result fail(struct record *r, enum ending reason,
                                                                         int alert, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->base.info->detail, sizeof(r->base.info->detail), format, args);
    va_end(args);
    r->base.failure = reason;
    write_alert(r, 2, (uint8_t)alert);
    return TLS_RECORD_FAILED;
}

static enum tls_record_result out_of_memory(struct record *r)
{
    return fail(r, ENDING_LIMIT, ALERT_INTERNAL_ERROR, "no memory for the keys of a connection");
}

/* ---- new keys ---- */

static bool announce_next_key(struct record *r)
{
    static const uint8_t update[] = {MESSAGE_KEY_UPDATE, 0, 0, 1, KEEP_KEYS};
    return seal_bytes(r, CONTENT_HANDSHAKE, update, sizeof(update)) && tls_direction_next_key(&r->write);
}

/* ---- reading ---- */

static enum tls_record_result read_alert(struct record *r, const uint8_t *bytes, uint32_t len)
{
    if (len != 2)
        return fail(r, ENDING_TLS_PROTOCOL, ALERT_DECODE_ERROR, "an alert of %u bytes, not 2", len);
    if (bytes[1] == ALERT_CLOSE_NOTIFY)
        return TLS_RECORD_ENDED;
    if (bytes[1] == ALERT_USER_CANCELED)
        return TLS_RECORD_OK; /* close_notify follows (section 6.1) */
    r->base.failure = tls_alert_received(r->base.info, bytes[1], "");
    return TLS_RECORD_FAILED;
}

/* `last`: nothing stands behind it in its record, as must be before a change of keys (section 5.1). */
static enum tls_record_result read_key_update(struct record *r, uint8_t request, bool last)
{
    if (!last)
        return fail(r, ENDING_TLS_PROTOCOL, ALERT_UNEXPECTED_MESSAGE,
                    "bytes behind a key update in its record");
    if (request > REQUEST_KEYS)
        return fail(r, ENDING_TLS_PROTOCOL, ALERT_DECODE_ERROR, "a key update that says %u, not 0 or 1",
                    request);
    if (!tls_direction_next_key(&r->read) || (request == REQUEST_KEYS && !announce_next_key(r)))
        return out_of_memory(r);
    return TLS_RECORD_OK;
}

static enum tls_record_result message_begins(struct record *r)
{
    const uint8_t *h = r->message.head;
    uint32_t len = (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3];
    bool ticket = h[0] == MESSAGE_NEW_SESSION_TICKET && len <= TICKET_MESSAGE_MAX;
    if (!ticket && (h[0] != MESSAGE_KEY_UPDATE || len != 1))
        return fail(r, ENDING_TLS_PROTOCOL, ALERT_UNEXPECTED_MESSAGE,
                    "a handshake message of type %u and %u bytes after the handshake", h[0], len);
    r->message.body_left = len;
    return TLS_RECORD_OK;
}

static enum tls_record_result read_handshake(struct record *r, const uint8_t *bytes, uint32_t len)
{
    if (len == 0)
        return fail(r, ENDING_TLS_PROTOCOL, ALERT_UNEXPECTED_MESSAGE, "an empty handshake record");
    while (len > 0) {
        if (r->message.head_len < MESSAGE_HEAD) {
            r->message.head[r->message.head_len++] = *bytes++;
            len--;
            if (r->message.head_len == MESSAGE_HEAD && message_begins(r) != TLS_RECORD_OK)
                return TLS_RECORD_FAILED;
            continue;
        }
        uint32_t n = len < r->message.body_left ? len : r->message.body_left;
        r->message.body_left -= n;
        if (r->message.body_left == 0)
            r->message.head_len = 0;
        if (r->message.head[0] == MESSAGE_KEY_UPDATE)
            return read_key_update(r, bytes[0], len == 1);
        bytes += n;
        len -= n;
    }
    return TLS_RECORD_OK;
}

static uint32_t take_held(struct record *r, uint8_t *to, uint32_t room)
{
    uint32_t n = r->held_end - r->held_at < room ? r->held_end - r->held_at : room;
    memcpy(to, r->held + r->held_at, n);
    r->held_at += n;
    if (r->held_at == r->held_end) {
        free(r->held);
        r->held = NULL;
    }
    return n;
}

/* Opens the record at the head of the queue. Where there is no room behind the others, its last byte goes
 * apart. False: it is none of the peer's. */
static bool open_record(struct record *r, const uint8_t *head, uint32_t inner, uint8_t *to, uint8_t *last)
{
    struct bytes pieces[PIECES_MAX];
    uint8_t tag[AEAD_TAG_BYTES], gathered[SEALED_MAX];
    uint32_t count;
    if (tls_queue_pieces(r->base.in, TLS_HEADER_BYTES, inner, pieces, PIECES_MAX, &count) < inner) {
        tls_queue_copy(r->base.in, TLS_HEADER_BYTES, gathered, inner);
        pieces[0] = (struct bytes){gathered, inner};
        count = 1;
    }
    tls_queue_copy(r->base.in, TLS_HEADER_BYTES + inner, tag, sizeof(tag));
    struct aead_data data = {NULL, head, TLS_HEADER_BYTES, pieces, count, to, last};
    bool ok = tls_direction_open(&r->read, &data, tag);
    tls_queue_drop(r->base.in, r->base.worker, TLS_HEADER_BYTES + inner + AEAD_TAG_BYTES);
    return ok;
}

/* `last` is what stood behind the len bytes. The record is what its last octet that is not zero says
 * (section 5.4). */
static enum tls_record_result sort(struct record *r, const uint8_t *inner, uint32_t len, uint8_t last,
                                   uint32_t *ret_data)
{
    uint8_t type = last;
    while (type == 0 && len > 0)
        type = inner[--len];
    bool brings_data = type == CONTENT_DATA && len > 0;
    r->dataless = brings_data ? 0 : r->dataless + 1;
    if (r->dataless > DATALESS_MAX)
        return fail(r, ENDING_TLS_PROTOCOL, ALERT_UNEXPECTED_MESSAGE,
                    "more than %d records in a row without data", DATALESS_MAX);
    if (len > TLS_PLAINTEXT_MAX)
        return fail(r, ENDING_TLS_PROTOCOL, ALERT_RECORD_OVERFLOW, "a record of %u bytes", len);
    if (type == CONTENT_ALERT)
        return read_alert(r, inner, len);
    if (type == CONTENT_HANDSHAKE)
        return read_handshake(r, inner, len);
    if (type != CONTENT_DATA || r->message.head_len > 0) /* a message is not interrupted (section 5.1) */
        return fail(r, ENDING_TLS_PROTOCOL, ALERT_UNEXPECTED_MESSAGE,
                    "a record of type %u after the handshake", type);
    *ret_data = len;
    return TLS_RECORD_OK;
}

/* The head of the next record, which is whole and may be opened. */
static enum tls_record_result read_head(struct record *r, uint8_t head[TLS_HEADER_BYTES], uint32_t *ret_len)
{
    if (r->base.out->cap - r->base.out->used < TLS_CONTROL_ROOM ||
        tls_queue_copy(r->base.in, 0, head, TLS_HEADER_BYTES) < TLS_HEADER_BYTES)
        return TLS_RECORD_WANT_INPUT;
    uint32_t len = (uint32_t)head[3] << 8 | head[4];
    if (head[0] != CONTENT_DATA)
        return fail(r, ENDING_TLS_PROTOCOL, ALERT_UNEXPECTED_MESSAGE, "a record of type %u in the clear",
                    head[0]);
    if (len > SEALED_MAX)
        return fail(r, ENDING_TLS_PROTOCOL, ALERT_RECORD_OVERFLOW, "a record of %u bytes", len);
    if (len <= AEAD_TAG_BYTES)
        return fail(r, ENDING_TLS_PROTOCOL, ALERT_BAD_RECORD_MAC, "a record of %u bytes, too short", len);
    *ret_len = len;
    return r->base.in->bytes < TLS_HEADER_BYTES + len ? TLS_RECORD_WANT_INPUT : TLS_RECORD_OK;
}

static enum tls_record_result decrypt(struct tls_record *base, uint8_t *to, uint32_t room, uint32_t *ret_len)
{
    struct record *r = record_of(base);
    uint8_t head[TLS_HEADER_BYTES], last;
    uint32_t len = 0, data = 0;
    *ret_len = 0;
    if (r->held) {
        *ret_len = take_held(r, to, room);
        return TLS_RECORD_OK;
    }
    enum tls_record_result result = read_head(r, head, &len);
    if (result != TLS_RECORD_OK)
        return result;
    uint32_t inner = len - AEAD_TAG_BYTES; /* the content, padding, and between them its type */
    uint8_t *apart = room < inner - 1 ? malloc(inner - 1) : NULL;
    if (room < inner - 1 && !apart)
        return TLS_RECORD_WANT_MEMORY;
    uint8_t *opened = apart ? apart : to;
    if (open_record(r, head, inner, opened, room < inner ? &last : NULL))
        result = sort(r, opened, inner - 1, room < inner ? last : opened[inner - 1], &data);
    else
        result = fail(r, ENDING_TLS_PROTOCOL, ALERT_BAD_RECORD_MAC, "a record that does not decrypt");
    if (!apart) {
        *ret_len = data;
    } else if (data > 0) {
        r->held = apart;
        r->held_at = 0;
        r->held_end = data;
        *ret_len = take_held(r, to, room);
    } else {
        free(apart);
    }
    return result;
}

static uint32_t pending(const struct tls_record *base)
{
    const struct record *r = record_of(base);
    return r->held ? r->held_end - r->held_at : 0;
}

/* ---- the other operations ---- */

static enum tls_record_result handshake(struct tls_record *base)
{
    (void)base;
    return TLS_RECORD_OK; /* it is over */
}

static enum tls_record_result encrypt(struct tls_record *base, const struct tls_queue *plain, uint32_t most,
                                      uint32_t *ret_len)
{
    struct record *r = record_of(base);
    struct bytes pieces[PIECES_MAX + 1];
    uint32_t count;
    ASSERT(most > 0 && most <= TLS_PLAINTEXT_MAX &&
           base->out->cap - base->out->used >= most + TLS_OVERHEAD_MAX);
    if (UNLIKELY(tls_direction_is_worn(&r->write)) && !announce_next_key(r))
        return out_of_memory(r);
    *ret_len = tls_queue_pieces(plain, 0, most, pieces, PIECES_MAX, &count);
    if (seal(r, CONTENT_DATA, pieces, count, *ret_len))
        return TLS_RECORD_OK;
    base->failure = ENDING_INTERNAL;
    snprintf(base->info->detail, sizeof(base->info->detail), "a record could not be sealed");
    return TLS_RECORD_FAILED;
}

static void close_notify(struct tls_record *base)
{
    write_alert(record_of(base), 1, ALERT_CLOSE_NOTIFY);
}

static void record_free(struct tls_record *base)
{
    struct record *r = record_of(base);
    tls_direction_fini(&r->read);
    tls_direction_fini(&r->write);
    free(r->held);
    free(r);
}

static const struct tls_record_ops ops = {
    .kind = "gcm",
    .handshake = handshake,
    .encrypt = encrypt,
    .decrypt = decrypt,
    .pending = pending,
    .close_notify = close_notify,
    .free = record_free,
};

struct tls_record *tls_record_gcm_new(const struct tls_record *now, const struct tls_traffic *read,
                                      const struct tls_traffic *write)
{
    struct record *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->base = (struct tls_record){
        .ops = &ops, .worker = now->worker, .in = now->in, .out = now->out, .info = now->info};
    if (tls_direction_init(&r->read, read, false) && tls_direction_init(&r->write, write, true))
        return &r->base;
    record_free(&r->base);
    return NULL;
}
