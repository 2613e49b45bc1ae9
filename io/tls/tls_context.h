/* io/tls/tls_context.h — the inside of a context, for the other files of this folder. */
#pragma once

#include <stdatomic.h>

#include "io/tls/tls.h"

enum { TLS_RSA_BITS_MIN = 2048 }; /* CA/Browser Forum baseline requirements, section 6.1.5 */

struct tls_context {
    _Atomic unsigned refs;
    enum tls_role role;
    struct WOLFSSL_CTX *wolfssl; /* immutable once made; the library counts and locks inside */
    char *alpn;                  /* comma separated, or NULL */
    bool insecure, resumption, needs_client_certificate;
};

const char *tls_library_text(int code);
/* wolfSSL's words for its code. */
