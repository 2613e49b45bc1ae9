/* io/tls/tls_direction.c — see tls_direction.h. */
#include "io/tls/tls_direction.h"

#include <openssl/crypto.h>
#include <string.h>

enum { RECORD_COST = 64 /* counted with each record: the cipher's own blocks */ };

/* 2^24.5 records of 16 KiB under one key (section 5.5) are 390 GB. */
#define KEY_BYTES_MAX (1ull << 38)

bool tls_direction_init(struct tls_direction *d, const struct tls_traffic *t, bool encrypts)
{
    *d = (struct tls_direction){.sequence = t->sequence, .key_len = t->key_len, .secret = t->secret};
    memcpy(d->iv, t->iv, sizeof(d->iv));
    d->key = aead_key_new(t->key, t->key_len, encrypts);
    return d->key != NULL;
}

void tls_direction_fini(struct tls_direction *d)
{
    if (d->key)
        aead_key_free(&d->key);
    OPENSSL_cleanse(d, sizeof(*d));
}

static bool expand(const struct tls_direction *d, const char *label, uint8_t *ret, uint32_t len)
{
    return hkdf_expand_label((struct bytes){d->secret.bytes, d->secret.len}, label, ret, len);
}

bool tls_direction_next_key(struct tls_direction *d)
{
    uint8_t key[32];
    bool encrypts = d->key->encrypts;
    aead_key_free(&d->key);
    d->sequence = d->bytes = 0;
    bool ok = expand(d, "traffic upd", d->secret.bytes, d->secret.len) && expand(d, "key", key, d->key_len) &&
              expand(d, "iv", d->iv, AEAD_NONCE_BYTES);
    if (ok)
        d->key = aead_key_new(key, d->key_len, encrypts);
    OPENSSL_cleanse(key, sizeof(key));
    return d->key != NULL;
}

bool tls_direction_is_worn(const struct tls_direction *d)
{
    return d->bytes > KEY_BYTES_MAX;
}

/* RFC 8446 section 5.3. */
static void next_nonce(struct tls_direction *d, uint8_t nonce[AEAD_NONCE_BYTES])
{
    memcpy(nonce, d->iv, AEAD_NONCE_BYTES);
    for (int i = 0; i < 8; i++)
        nonce[AEAD_NONCE_BYTES - 1 - i] ^= (uint8_t)(d->sequence >> 8 * i);
    d->sequence++;
}

bool tls_direction_seal(struct tls_direction *d, const struct bytes *pieces, uint32_t count, uint8_t *head,
                        uint32_t body)
{
    uint8_t nonce[AEAD_NONCE_BYTES], *to = head + TLS_HEADER_BYTES;
    if (!d->key)
        return false;
    next_nonce(d, nonce);
    d->bytes += body + RECORD_COST;
    struct aead_data data = {nonce, head, TLS_HEADER_BYTES, pieces, count, to, NULL};
    return aead_seal(d->key, &data, to + body - AEAD_TAG_BYTES);
}

bool tls_direction_open(struct tls_direction *d, const struct aead_data *data, const uint8_t *tag)
{
    uint8_t nonce[AEAD_NONCE_BYTES];
    struct aead_data with_nonce = *data;
    if (!d->key)
        return false;
    next_nonce(d, nonce);
    with_nonce.nonce = nonce;
    return aead_open(d->key, &with_nonce, tag);
}
