/* io/tls/tls_aead.h — AES-GCM with 128 and 256 bit keys, nonces of 12 and tags of 16 bytes.
 *
 * By libipsec-mb where it was built in and the processor has AES instructions, else by libcrypto: 0.6 against
 * 2.9 us for 16 KiB (measured, Zen 5). A key belongs to one direction of one connection; owner worker only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/list.h"
#include "io/tls/tls_hash.h"

enum { AEAD_NONCE_BYTES = 12, AEAD_TAG_BYTES = 16 };

struct aead_key {
    struct list node; /* on its connection's list of keys */
    const void *user; /* the library's cipher object that it was made for */
    bool encrypts;
};

struct aead_data {
    const uint8_t *nonce;
    const uint8_t *aad;
    uint32_t aad_len;
    const struct bytes *in; /* pieces, read as one run; the last is not empty */
    uint32_t in_count;
    uint8_t *out;  /* as long as all of them; may be where a single one is */
    uint8_t *last; /* where the last byte of all goes; NULL: behind the others */
};

void aead_init(bool allow_ipsec_mb);
/* Chooses the code. Once, before threads; again with false when the self-test failed. */
void aead_fini(void);
const char *aead_text(void);

MUST_USE struct aead_key *aead_key_new(const uint8_t *key, uint32_t key_len, bool encrypts);
/* NULL when out of memory or the key length is not 16 or 32. */
void aead_key_free(struct aead_key **);
/* Wipes it. */
MUST_USE bool aead_seal(struct aead_key *, const struct aead_data *, uint8_t ret_tag[AEAD_TAG_BYTES]);
MUST_USE bool aead_open(struct aead_key *, const struct aead_data *, const uint8_t tag[AEAD_TAG_BYTES]);
/* False when the tag is wrong; `out` must then not be used. */
