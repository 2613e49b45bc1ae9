/* io/tls/tls_crypto_test.h — the self-test of the crypto provider, run once at start. */
#pragma once

#include <stdbool.h>

#include "io/attributes.h"

enum crypto_part {
    CRYPTO_RECORDS,
    CRYPTO_AES,
    CRYPTO_SHA256,
    CRYPTO_HKDF,
    CRYPTO_EC,
    CRYPTO_RSA,
    CRYPTO_PARTS
};

MUST_USE bool crypto_part_passes(enum crypto_part);
/* Through the device (or the HKDF callbacks; the cipher of our record layer directly) against published
 * vectors and against wolfSSL's own code. */
