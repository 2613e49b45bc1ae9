/* io/tls/tls_pem.h — certificate and key files, judged before the TLS library sees them, because its error
 * codes do not say what is wrong with which file. Any thread; start and reload only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"

enum { TLS_PEM_BYTES_MAX = 4 * 1024 * 1024 }; /* a bundle of all public CAs is 0.2 MiB */

struct tls_pem {
    const char *path;
    uint8_t *bytes;
    size_t len;
};

struct tls_detail {
    char *text;
    size_t size;
};

MUST_USE int tls_pem_read(const char *path, struct tls_pem *ret, struct tls_detail);
/* 0 or -errno with one line. */
void tls_pem_free(struct tls_pem *);
/* Wipes it: it may be a key. */
/* Takes one certificate (DER, lent). NULL, or why it cannot be a root. */
struct tls_roots_taker {
    const char *(*take)(void *arg, const uint8_t *der, size_t len);
    void *arg;
};
MUST_USE int tls_pem_take_roots(const struct tls_pem *, const struct tls_roots_taker *, struct tls_detail);
/* Every certificate of the bundle must be readable, and one at least valid now. Those out of date are left
 * out: the TLS library would trust them for ever. 0 or -EINVAL with one line. */
MUST_USE int tls_pem_check_identity(const struct tls_pem *chain, const struct tls_pem *key,
                                    struct tls_detail);
/* Chain readable, key readable, unencrypted, RSA or EC, and that of the first certificate. */
void tls_detail_set(struct tls_detail, const char *fmt, ...) PRINTF(2, 3);
