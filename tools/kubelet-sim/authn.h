/* tools/kubelet-sim/authn.h — may this client ask? Set up before the workers start, read-only after; any
 * thread. */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "tools/pki/mint.h"

struct authn {
    X509_STORE *roots;
    STACK_OF(X509_NAME) * names; /* told to clients in the CertificateRequest */
    char **tokens;
    size_t tokens_n;
};

MUST_USE bool authn_init(struct authn *, const char *client_ca_file, const char *token_file,
                         const struct mint_ca *own);
/* client_ca_file NULL: who chains to our own CA. False: a line has been printed to stderr. */
void authn_fini(struct authn *);

bool authn_certificate_ok(const struct authn *, SSL *);
/* Verifies the chain the client presented, now or in the handshake that was resumed. Some 100 us: once per
 * connection. */
bool authn_token_ok(const struct authn *, const char *authorization, size_t n);
