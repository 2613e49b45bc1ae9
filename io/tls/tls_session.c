/* io/tls/tls_session.c — see tls_session.h. */
#include "io/tls/tls_session.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Go's TLS 1.2 tickets say lifetime 0, "unspecified" (RFC 5077 section 3.3). wolfSSL 5.5 takes that as
 * expired, says success and offers nothing: 0 of 1000 handshakes resumed, 999 with this (measured). A day is
 * far less than Go's seven. */
enum { UNSPECIFIED_LIFETIME_S = 86400 };

void tls_ticket_drop(struct tls_ticket *t)
{
    if (t->bytes)
        explicit_bzero(t->bytes, t->len);
    free(t->bytes);
    *t = (struct tls_ticket){0};
}

void tls_session_save(struct WOLFSSL_SESSION *session, struct tls_ticket *ticket)
{
    if (!wolfSSL_SESSION_has_ticket(session))
        return;
    int len = wolfSSL_i2d_SSL_SESSION(session, NULL);
    if (len <= 0 || len > TLS_TICKET_BYTES_MAX)
        return;
    uint8_t *bytes = malloc((size_t)len);
    unsigned char *at = bytes;
    if (!bytes)
        return;
    if (wolfSSL_i2d_SSL_SESSION(session, &at) != len) {
        free(bytes);
        return;
    }
    tls_ticket_drop(ticket);
    *ticket = (struct tls_ticket){bytes, (size_t)len};
}

bool tls_session_offer(struct WOLFSSL *ssl, const uint8_t *ticket, size_t len)
{
    if (len == 0 || len > TLS_TICKET_BYTES_MAX)
        return false;
    const unsigned char *at = ticket;
    WOLFSSL_SESSION *session = wolfSSL_d2i_SSL_SESSION(NULL, &at, (long)len);
    if (!session)
        return false;
    if (wolfSSL_SESSION_get_timeout(session) == 0)
        wolfSSL_SSL_SESSION_set_timeout(session, UNSPECIFIED_LIFETIME_S);
    bool ok = wolfSSL_set_session(ssl, session) == WOLFSSL_SUCCESS;
    wolfSSL_SESSION_free(session);
    return ok;
}
