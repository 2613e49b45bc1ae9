/* tools/kubelet-sim/authn.h — may this client ask? Set up before the workers start, read-only after; any
 * thread. */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/pki/mint.h"

enum { AUTHN_CACHE_N = 16 }; /* a load test's clients are few */

struct authn {
    X509_STORE *roots;
    STACK_OF(X509_NAME) * names; /* told to clients in the CertificateRequest */
    char **tokens;
    size_t tokens_n;
};

/* Verdicts of the last minute, one cache per worker. */
struct authn_cache {
    struct {
        unsigned char digest[32]; /* SHA-256 over the certificates, leaf first */
        uint64_t until_ns;
        bool ok;
    } at[AUTHN_CACHE_N];
};

MUST_USE bool authn_init(struct authn *, const char *client_ca_file, const char *token_file,
                         const struct mint_ca *own);
/* client_ca_file NULL: who chains to our own CA. False: a line has been printed to stderr. */
void authn_fini(struct authn *);

bool authn_certificate_ok(const struct authn *, struct authn_cache *, SSL *, uint64_t now_ns);
/* Judges the chain the client presented, now or in the handshake that was resumed. */
bool authn_token_ok(const struct authn *, const char *authorization, size_t n);
