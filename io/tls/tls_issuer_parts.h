/* io/tls/tls_issuer_parts.h — the inside of an issuer, for its two halves: tls_issuer.c (loading and judging,
 * its life) and tls_issuer_mint.c (the certificates it makes).
 */
#pragma once

#include <stdatomic.h>

#include "io/tls/tls_issuer.h"

struct X509_extension_st; /* libcrypto's names for what it calls X509 and so on */
struct evp_md_st;
struct evp_pkey_st;
struct x509_st;

enum issuer_extension { FIXED_CONSTRAINTS, FIXED_USAGE, FIXED_EXTENDED_USAGE, FIXED_AUTHORITY, FIXED_COUNT };

struct tls_issuer {
    _Atomic unsigned refs;
    struct x509_st *certificate;
    struct evp_pkey_st *key;
    const struct evp_md_st *digest;
    uint8_t *chain; /* DER, what follows a certificate made here */
    size_t chain_len;
    /* What all its certificates have. FIXED_AUTHORITY: NULL when the issuer has no key identifier. */
    struct X509_extension_st *fixed[FIXED_COUNT];
    int64_t not_before_s, not_after_s;
    char *file; /* for messages */
};

const char *issuer_date_text(int64_t when, char text[32]);
