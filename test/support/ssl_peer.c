/* test/support/ssl_peer.c — see ssl_peer.h. */
#include "test/support/ssl_peer.h"

#include <openssl/err.h>
#include <string.h>

SSL_CTX *ssl_peer_context(bool server, const struct cert *chain, int count, const struct cert *roots,
                          int version)
{
    SSL_CTX *c = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    ASSERT(c);
    if (version) {
        SSL_CTX_set_min_proto_version(c, version);
        SSL_CTX_set_max_proto_version(c, version);
    }
    if (count > 0) {
        ASSERT(SSL_CTX_use_certificate(c, chain[0].x) == 1);
        ASSERT(SSL_CTX_use_PrivateKey(c, chain[0].key) == 1);
        for (int i = 1; i < count; i++)
            ASSERT(SSL_CTX_add1_chain_cert(c, chain[i].x) == 1);
    }
    if (roots) {
        ASSERT(X509_STORE_add_cert(SSL_CTX_get_cert_store(c), roots->x) == 1);
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    SSL_CTX_set_session_id_context(c, (const unsigned char *)"test", 4);
    return c;
}

void ssl_peer_init(struct ssl_peer *p, SSL_CTX *c, bool server, struct pipe *pipe)
{
    memset(p, 0, sizeof(*p));
    p->ssl = SSL_new(c);
    p->pipe = pipe;
    SSL_set_bio(p->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (server)
        SSL_set_accept_state(p->ssl);
    else
        SSL_set_connect_state(p->ssl);
}

void ssl_peer_fini(struct ssl_peer *p)
{
    SSL_free(p->ssl);
    fifo_free(&p->received);
    fifo_free(&p->to_send);
    fifo_free(&p->wire);
    ERR_clear_error();
}

static void peer_read(struct ssl_peer *p)
{
    uint8_t buf[16384];
    int n;
    while ((n = SSL_read(p->ssl, buf, sizeof(buf))) > 0)
        fifo_put(&p->received, buf, (size_t)n);
    int e = SSL_get_error(p->ssl, n);
    if (e == SSL_ERROR_ZERO_RETURN)
        p->ended = true;
    else if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
        p->failed = true;
    ERR_clear_error();
}

static void peer_write(struct ssl_peer *p)
{
    while (p->up && p->to_send.len > 0) {
        int n = SSL_write(p->ssl, p->to_send.bytes + p->to_send.from,
                          p->to_send.len > 60000 ? 60000 : (int)p->to_send.len);
        if (n <= 0)
            break;
        p->to_send.from += (size_t)n;
        p->to_send.len -= (size_t)n;
    }
    if (p->closes && p->to_send.len == 0 && p->up && !p->half_closed) {
        SSL_shutdown(p->ssl);
        p->half_closed = true;
    }
}

void ssl_peer_pump(struct ssl_peer *p)
{
    uint8_t buf[16384];
    size_t n;
    while (p->pipe && (n = pipe_take(p->pipe, buf, sizeof(buf))) > 0)
        BIO_write(SSL_get_rbio(p->ssl), buf, (int)n);
    if (!p->up && !p->failed) {
        int r = SSL_do_handshake(p->ssl);
        p->up = r == 1;
        if (r != 1 && SSL_get_error(p->ssl, r) != SSL_ERROR_WANT_READ)
            p->failed = true;
        ERR_clear_error();
    }
    if (p->up && !p->failed) {
        peer_read(p);
        peer_write(p);
    }
    int m;
    while ((m = BIO_read(SSL_get_wbio(p->ssl), buf, sizeof(buf))) > 0) {
        p->wire_total += (size_t)m;
        if (p->hold)
            fifo_put(&p->wire, buf, (size_t)m);
        else if (p->pipe)
            pipe_give(p->pipe, buf, (size_t)m);
    }
    if (p->half_closed && p->pipe && !p->hold)
        pipe_end(p->pipe);
}

void ssl_peer_close(struct ssl_peer *p)
{
    p->closes = true;
}
