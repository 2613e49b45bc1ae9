/* tools/kubelet-sim/tls.h — TLS as a kubelet's Go server speaks it, by OpenSSL. A context belongs to one
 * worker. */
#pragma once
#include <openssl/ssl.h>

#include "tools/pki/mint.h"

struct conn;
struct sim;

SSL_CTX *tls_context_new(struct sim *);
/* NULL: mint_reason() or OpenSSL's error queue tells. */
SSL *tls_new(struct conn *);
/* For an accepted connection whose node and fault plan are known. NULL: out of memory, or no certificate. */
