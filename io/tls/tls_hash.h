/* io/tls/tls_hash.h — SHA-256's block function and TLS 1.3's HKDF over it, with the processor's instructions.
 *
 * wolfSSL keeps the running state in its own object; only whole blocks are given away, so copies and frees
 * of that object need nothing from us. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"

enum { SHA256_STATE_WORDS = 8, SHA256_BLOCK = 64, SHA256_BYTES = 32 };

struct bytes {
    const uint8_t *data;
    size_t len;
};

void sha256_blocks(uint32_t state[SHA256_STATE_WORDS], const uint8_t *data, size_t blocks);
void sha256_once(struct bytes data, uint8_t ret_digest[SHA256_BYTES]);
void hkdf_extract(struct bytes salt, struct bytes key, uint8_t ret_prk[SHA256_BYTES]);
void hkdf_expand(const uint8_t prk[SHA256_BYTES], struct bytes info, uint8_t *ret, size_t len);
/* len at most 255 * 32. */
enum { HKDF_LABEL_MAX = 32 };
MUST_USE bool hkdf_expand_label(struct bytes secret, const char *label, uint8_t *ret, size_t len);
/* RFC 8446 section 7.1 with an empty context; SHA-256 or SHA-384, whose output the secret is, and len at most
 * as long. False when libcrypto failed. */
