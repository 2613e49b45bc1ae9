/* io/tls/tls_issuer.h — an issuing CA in this process: a certificate chain and its key, loaded and judged
 * once, that signs server certificates for destinations. Immutable. Any thread.
 *
 * Who holds the key can be any server to everybody who trusts the CA. It is meant for a CA of its own,
 * trusted by nobody but the clients whose TLS is ended here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"
#include "io/tls/tls_host.h"

struct tls_issuer;

enum {
    TLS_MINT_LIFE_S = 24 * 3600, /* default; nobody asks a CA for a revocation of these */
    TLS_MINT_BACKDATE_S = 300,   /* for clients whose clock is a little behind; a frank guess */
    TLS_MINT_KEY_BYTES = 121,    /* ECPrivateKey of P-256 with its point, RFC 5915 */
};

/* A certificate made here and its key. */
struct tls_minted {
    uint8_t *chain; /* DER: the certificate, then those of the issuer, but for a self-signed one */
    size_t chain_len;
    uint8_t key[TLS_MINT_KEY_BYTES];
    int64_t not_before_s, not_after_s;
};

MUST_USE int tls_issuer_new(const char *certificate_file, const char *key_file, struct tls_issuer **ret,
                            char *ret_detail, size_t detail_size);
/* The first certificate of the file must be a CA's, may sign certificates of servers, be valid now, and have
 * that key: RSA of 2048 bits or more, or EC P-256 or P-384. Others in the file must lead up from it. Name
 * constraints are the verifiers' to judge. 0; or -EINVAL / -ENOENT / -ENOMEM with one line. */
struct tls_issuer *tls_issuer_ref(struct tls_issuer *);
void tls_issuer_unref(struct tls_issuer **);
int64_t tls_issuer_not_after_s(const struct tls_issuer *);
/* When the first certificate of the chain expires. */

MUST_USE bool tls_issuer_mint(const struct tls_issuer *, const struct tls_host *, int64_t now_s,
                              uint32_t life_s, struct tls_minted *ret, struct tls_detail);
/* Ends after life_s or with the issuer. False with one line. */
void tls_minted_drop(struct tls_minted *);
/* Wipes the key. */
