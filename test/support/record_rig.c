/* test/support/record_rig.c — see record_rig.h. */
#include "test/support/record_rig.h"

#include <string.h>

#include "io/tls/tls_aead.h"

static void make_traffic(struct tls_traffic *t, uint32_t key_len, uint8_t seed)
{
    *t = (struct tls_traffic){.key_len = key_len, .secret.len = key_len == 16 ? 32 : 48};
    memset(t->secret.bytes, seed, t->secret.len);
    struct bytes secret = {t->secret.bytes, t->secret.len};
    ASSERT(hkdf_expand_label(secret, "key", t->key, key_len));
    ASSERT(hkdf_expand_label(secret, "iv", t->iv, sizeof(t->iv)));
}

void record_rig_init(struct record_rig *r, uint32_t key_len)
{
    struct tls_traffic from_us;
    memset(r, 0, sizeof(*r));
    world_init(&r->world, NULL);
    tls_queue_init(&r->in);
    r->out = (struct tls_span){.to = r->written, .cap = sizeof(r->written)};
    make_traffic(&r->to_us, key_len, 1);
    make_traffic(&from_us, key_len, 2);
    struct tls_record before = {.worker = &r->world.worker, .in = &r->in, .out = &r->out, .info = &r->info};
    r->record = tls_record_gcm_new(&before, &r->to_us, &from_us);
    r->key = aead_key_new(r->to_us.key, key_len, true);
    ASSERT(r->record && r->key);
}

void record_rig_fini(struct record_rig *r)
{
    r->record->ops->free(r->record);
    aead_key_free(&r->key);
    tls_queue_fini(&r->in, &r->world.worker);
    world_fini(&r->world);
}

void record_rig_give(struct record_rig *r, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        struct buf *b = buf_get(&r->world.worker.bufs, BUF_SMALL);
        ASSERT(b);
        uint32_t filled = b->cap < len ? b->cap : (uint32_t)len, piece = r->piece ? r->piece : b->cap;
        memcpy(b->mem, bytes, filled);
        for (uint32_t at = 0; at < filled; at += piece) {
            uint32_t n = piece < filled - at ? piece : filled - at;
            ASSERT(tls_queue_push(&r->in, seg_of(b, b->mem + at, n)));
        }
        buf_unref(b);
        bytes += filled;
        len -= filled;
    }
}

void record_rig_seal(struct record_rig *r, const struct sealed *s)
{
    uint8_t plain[RECORD_RIG_ROOM], record[RECORD_RIG_ROOM + TLS_HEADER_BYTES + AEAD_TAG_BYTES];
    uint8_t nonce[AEAD_NONCE_BYTES];
    uint32_t inner = s->len + 1 + s->padding, body = inner + AEAD_TAG_BYTES;
    ASSERT(inner <= sizeof(plain));
    memset(plain, 0, sizeof(plain));
    if (s->len > 0)
        memcpy(plain, s->bytes, s->len);
    plain[s->len] = s->type;
    memcpy(nonce, r->to_us.iv, sizeof(nonce));
    for (int i = 0; i < 8; i++)
        nonce[AEAD_NONCE_BYTES - 1 - i] ^= (uint8_t)(r->to_us.sequence >> 8 * i);
    r->to_us.sequence++;
    memcpy(record, (uint8_t[]){23, 3, 3, (uint8_t)(body >> 8), (uint8_t)body}, TLS_HEADER_BYTES);
    struct bytes in = {plain, inner};
    struct aead_data data = {nonce, record, TLS_HEADER_BYTES, &in, 1, record + TLS_HEADER_BYTES, NULL};
    ASSERT(aead_seal(r->key, &data, record + TLS_HEADER_BYTES + inner));
    if (s->damaged)
        record[TLS_HEADER_BYTES + inner / 2] ^= 1;
    record_rig_give(r, record, TLS_HEADER_BYTES + body);
}

void record_rig_next_key(struct record_rig *r)
{
    struct tls_traffic *t = &r->to_us;
    struct bytes secret = {t->secret.bytes, t->secret.len};
    uint8_t next[TLS_SECRET_MAX];
    ASSERT(hkdf_expand_label(secret, "traffic upd", next, t->secret.len));
    memcpy(t->secret.bytes, next, t->secret.len);
    ASSERT(hkdf_expand_label(secret, "key", t->key, t->key_len));
    ASSERT(hkdf_expand_label(secret, "iv", t->iv, sizeof(t->iv)));
    t->sequence = 0;
    aead_key_free(&r->key);
    r->key = aead_key_new(t->key, t->key_len, true);
    ASSERT(r->key);
}

enum tls_record_result record_rig_read(struct record_rig *r, uint32_t room, uint32_t *ret_len)
{
    ASSERT(room <= sizeof(r->read));
    return r->record->ops->decrypt(r->record, r->read, room, ret_len);
}
