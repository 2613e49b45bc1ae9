/* io/tls/tls_direction.h — one direction of a connection of TLS 1.3: its key, what the next one comes from,
 * and the records sealed or opened under it. Owner worker only. */
#pragma once

#include "io/tls/tls_aead.h"
#include "io/tls/tls_record.h"

struct tls_direction {
    struct aead_key *key; /* NULL: the next one could not be made; nothing is sealed or opened any more */
    uint64_t sequence;
    uint64_t bytes; /* under this key */
    uint32_t key_len;
    uint8_t iv[AEAD_NONCE_BYTES];
    struct tls_secret secret;
};

MUST_USE bool tls_direction_init(struct tls_direction *, const struct tls_traffic *, bool encrypts);
/* False when out of memory; fini is owed all the same. */
void tls_direction_fini(struct tls_direction *);
MUST_USE bool tls_direction_next_key(struct tls_direction *);
/* A key update (RFC 8446 section 7.2). False: there is none, and the old one is gone. */
bool tls_direction_is_worn(const struct tls_direction *);
/* So much was sealed under this key that it wants to be replaced (section 5.5). */
MUST_USE bool tls_direction_seal(struct tls_direction *, const struct bytes *pieces, uint32_t count,
                                 uint8_t *head, uint32_t body);
/* The record whose head is written; its body of so many bytes goes behind it, the tag last. */
MUST_USE bool tls_direction_open(struct tls_direction *, const struct aead_data *, const uint8_t *tag);
/* With the next nonce, in place of the given one. False: not the peer's record. */
