/* tools/kubelet-sim/tls.c — one SSL_CTX per worker; what is a node's own is put on the SSL at accept.
 *
 * Nothing is verified in the handshake: Go's RequestClientCert takes any certificate or none, and the kubelet
 * judges the chain for every request (authn.c). The session id context is the node, so even a ticket key that
 * leaked to another node would not resume there. */
#include "tools/kubelet-sim/tls.h"

#include <openssl/err.h>
#include <string.h>

#include "tools/kubelet-sim/conn.h"
#include "tools/kubelet-sim/sim.h"
#include "tools/kubelet-sim/worker.h"

static int accept_any_certificate(X509_STORE_CTX *store, void *arg)
{
    (void)store, (void)arg;
    return 1;
}

/* A client that offers ALPN without http/1.1 is refused, as Go does; one that offers none is fine. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned in_len, void *arg)
{
    (void)ssl, (void)arg;
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* The order of Go's crypto/tls on processors with AES instructions (cipher_suites.go): AES-128 first. */
static const char suites_1_3[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char suites_1_2[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

SSL_CTX *tls_context_new(struct sim *sim)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1); /* one read() per record instead of two */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, accept_any_certificate, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    if (SSL_CTX_set_ciphersuites(ctx, suites_1_3) == 1 && SSL_CTX_set_cipher_list(ctx, suites_1_2) == 1 &&
        SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1 && ticket_setup(ctx)) {
        if (sim->authn.names) {
            STACK_OF(X509_NAME) *names = SSL_dup_CA_list(sim->authn.names);
            SSL_CTX_set_client_CA_list(ctx, names);
        }
        return ctx;
    }
    SSL_CTX_free(ctx);
    return NULL;
}

SSL *tls_new(struct conn *conn)
{
    struct sim *sim = conn->worker->sim;
    X509 *cert = NULL;
    EVP_PKEY *key = NULL;
    if (!fleet_identity(&sim->fleet, conn->node, fleet_cert_kind(sim_faults(sim), conn->node), &cert, &key))
        return NULL;
    SSL *ssl = SSL_new(conn->worker->tls);
    bool ok = ssl && SSL_set_app_data(ssl, conn) == 1 && SSL_set_fd(ssl, conn->fd) == 1 &&
              SSL_use_cert_and_key(ssl, cert, key, sim->fleet.ca.chain, 1) == 1 &&
              SSL_set_session_id_context(ssl, (const unsigned char *)&conn->node, sizeof(conn->node)) == 1;
    X509_free(cert);
    EVP_PKEY_free(key);
    if (ok && fault_on(&conn->plan, FAULT_TLS12_ONLY))
        ok = SSL_set_max_proto_version(ssl, TLS1_2_VERSION) == 1;
    if (ok && fault_on(&conn->plan, FAULT_NO_TICKETS)) {
        SSL_set_options(ssl, SSL_OP_NO_TICKET);
        ok = SSL_set_num_tickets(ssl, 0) == 1;
    }
    if (ok) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    ERR_clear_error();
    SSL_free(ssl);
    return NULL;
}
