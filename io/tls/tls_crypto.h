/* io/tls/tls_crypto.h — the crypto provider: what wolfSSL's own code is not used for, as one callback device.
 *
 * Debian's wolfSSL has no AES, SHA or multiplication instructions; libipsec-mb and libcrypto are 3 to 100
 * times faster (measured). Every primitive is compared with wolfSSL's own at start; one that disagrees is
 * left to wolfSSL and tls_provider_text() says so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/list.h"

enum { TLS_CRYPTO_DEVICE = 0x4857 };

MUST_USE int tls_crypto_init(void);
/* Registers the device and tests it. After wolfSSL_Init(), before threads. 0 or -errno. */
void tls_crypto_fini(void);
const char *tls_crypto_text(void);
void tls_crypto_thread_fini(void);

void tls_crypto_set_random(void (*fn)(void *bytes, size_t len));
/* Simulation only: every random choice of a handshake comes from fn. NULL undoes it. Before threads. */

enum { TLS_SECRET_MAX = 48, TLS_SECRETS_KEPT = 4 /* two directions, in the handshake and after it */ };

struct tls_secret {
    uint8_t bytes[TLS_SECRET_MAX];
    uint32_t len;
};

/* wolfSSL tells nobody when it drops a cipher key. So each connection has a list of the key states made for
 * it; every call into wolfSSL on its behalf stands between enter and leave. Of TLS 1.3 the last secrets that
 * keys came from are kept as well, which no call of the library gives: a key update needs them. */
struct tls_keys {
    struct list states;
    struct tls_secret secrets[TLS_SECRETS_KEPT];
    uint32_t secret_count; /* seen; the last ones are kept */
};

void tls_keys_init(struct tls_keys *);
void tls_keys_fini(struct tls_keys *);
/* Frees and wipes them. */
void tls_crypto_enter(struct tls_keys *);
void tls_crypto_leave(void);
bool tls_crypto_does_records(void);
/* The cipher and the key schedule are ours, and passed their tests. */

/* TLS 1.3's key schedule, for wolfSSL_CTX_SetHKDF*Cb; NULL when left to wolfSSL. */
typedef int (*tls_hkdf_extract_fn)(uint8_t *prk, const uint8_t *salt, uint32_t salt_len, uint8_t *ikm,
                                   uint32_t ikm_len, int digest, void *ctx);
typedef int (*tls_hkdf_expand_fn)(uint8_t *okm, uint32_t okm_len, const uint8_t *prk, uint32_t prk_len,
                                  const uint8_t *protocol, uint32_t protocol_len, const uint8_t *label,
                                  uint32_t label_len, const uint8_t *info, uint32_t info_len, int digest,
                                  int side);
tls_hkdf_extract_fn tls_crypto_hkdf_extract(void);
tls_hkdf_expand_fn tls_crypto_hkdf_expand(void);
