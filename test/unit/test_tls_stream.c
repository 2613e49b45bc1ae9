/* The TLS stream against OpenSSL: both roles, both versions, both kinds of keys, resumption, bulk, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/tls_rig.h"

static const char *dir;
static struct cert root, leaf[2], client[2]; /* [0] P-256, [1] RSA */
static const char *root_file, *leaf_file[2], *leaf_key[2], *client_file[2], *client_key[2];

static int make_certificates(void **state)
{
    (void)state;
    static const char *const names[] = {"ec", "rsa"};
    char name[64];
    dir = certs_dir_new();
    root = cert_make(&(struct cert_spec){.cn = "test-root", .ca = true}, NULL);
    root_file = cert_write(dir, "root.pem", &root, 1);
    for (int i = 0; i < 2; i++) {
        leaf[i] = cert_make(&(struct cert_spec){.cn = "system:node:n1",
                                                .org = "system:nodes",
                                                .rsa = i == 1,
                                                .san = "IP:10.1.2.3,DNS:n1.example,IP:fd00::5"},
                            &root);
        client[i] = cert_make(&(struct cert_spec){.cn = "apiserver",
                                                  .org = "system:masters",
                                                  .rsa = i == 1,
                                                  .san = "DNS:alpha,DNS:beta",
                                                  .client_only = true},
                              &root);
        snprintf(name, sizeof(name), "leaf-%s.pem", names[i]);
        leaf_file[i] = cert_write(dir, name, &leaf[i], 1);
        snprintf(name, sizeof(name), "leaf-%s.key", names[i]);
        leaf_key[i] = cert_write_key(dir, name, &leaf[i]);
        snprintf(name, sizeof(name), "client-%s.pem", names[i]);
        client_file[i] = cert_write(dir, name, &client[i], 1);
        snprintf(name, sizeof(name), "client-%s.key", names[i]);
        client_key[i] = cert_write_key(dir, name, &client[i]);
    }
    return tls_global_init();
}

static int drop_certificates(void **state)
{
    (void)state;
    cert_free(&root);
    for (int i = 0; i < 2; i++) {
        cert_free(&leaf[i]);
        cert_free(&client[i]);
    }
    certs_dir_remove(dir);
    tls_global_fini();
    return 0;
}

static struct tls_context *client_context(int identity)
{
    return rig_context(&(struct tls_context_options){
        .role = TLS_CLIENT,
        .ca_file = root_file,
        .allow_tls12 = true,
        .resumption = true,
        .certificate_file = identity >= 0 ? client_file[identity] : NULL,
        .key_file = identity >= 0 ? client_key[identity] : NULL,
        .alpn = "h2,http/1.1",
    });
}

static struct tls_context *server_context(int identity, bool mutual)
{
    return rig_context(&(struct tls_context_options){
        .role = TLS_SERVER,
        .ca_file = mutual ? root_file : NULL,
        .allow_tls12 = true,
        .certificate_file = leaf_file[identity],
        .key_file = leaf_key[identity],
        .alpn = "h2,http/1.1",
    });
}

static int choose_http11(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                         unsigned in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    return SSL_select_next_proto((unsigned char **)out, out_len, (const unsigned char *)"\x08http/1.1", 9, in,
                                 in_len) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_NOACK;
}

static void exchange_as_client(int version, int key, int identity)
{
    struct tls_rig r;
    struct tls_context *c = client_context(identity);
    SSL_CTX *peer = ssl_peer_context(true, &leaf[key], 1, identity >= 0 ? &root : NULL, version);
    SSL_CTX_set_alpn_select_cb(peer, choose_http11, NULL);
    rig_init(&r, NULL);
    rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3", .node = "n1"});
    r.owner.regrant = 1;
    r.owner.credit = 65536;
    stream_grant(r.owner.stream, 65536);
    assert_true(rig_send(&r, "GET /", 5)); /* before open: waits */
    if (!rig_until(&r, &r.owner.opened, 1, 20))
        fail_msg("not opened: %s", r.owner.info.detail);
    assert_string_equal(r.owner.info.version, version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    assert_string_equal(r.owner.info.alpn, "http/1.1");
    assert_string_equal(r.owner.info.peer_cn, "system:node:n1");
    assert_false(r.owner.info.resumed);
    fifo_put(&r.peer.to_send, "HTTP/1.1 200", 12);
    rig_settle(&r, 5);
    assert_int_equal(r.peer.received.len, 5);
    assert_int_equal(r.owner.received.len, 12);
    assert_memory_equal(r.owner.received.bytes, "HTTP/1.1 200", 12);
    assert_true(r.owner.tickets >= 1);
    rig_disconnect(&r);
    rig_fini(&r);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

static void client_speaks_with_every_kind_of_server(void **state)
{
    (void)state;
    for (int key = 0; key < 2; key++)
        for (int identity = -1; identity < 2; identity++) {
            exchange_as_client(0, key, identity);
            exchange_as_client(TLS1_2_VERSION, key, identity);
        }
}

static bool is_beta(const char *name, void *arg)
{
    ++*(int *)arg;
    return strcmp(name, "beta") == 0;
}

static void exchange_as_server(int version, int key, bool mutual)
{
    struct tls_rig r;
    struct tls_context *c = server_context(key, mutual);
    SSL_CTX *peer = ssl_peer_context(false, &client[key], mutual, &root, version);
    SSL_CTX_set_alpn_protos(peer, (const unsigned char *)"\x08http/1.1\x02h2", 12);
    rig_init(&r, NULL);
    rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .server = true});
    r.owner.credit = 65536;
    stream_grant(r.owner.stream, 65536);
    fifo_put(&r.peer.to_send, "CONNECT", 7);
    if (!rig_until(&r, &r.owner.opened, 1, 20))
        fail_msg("not opened: %s", r.owner.info.detail);
    int asked = 0;
    assert_string_equal(r.owner.info.alpn, "h2");
    assert_string_equal(r.owner.info.peer_cn, mutual ? "apiserver" : "");
    assert_int_equal(tls_peer_has_name(r.owner.stream, is_beta, &asked), mutual);
    assert_int_equal(asked > 0, mutual);
    assert_true(rig_send(&r, "200 OK", 6));
    rig_settle(&r, 5);
    assert_int_equal(r.owner.received.len, 7);
    assert_int_equal(r.peer.received.len, 6);
    assert_int_equal(SSL_session_reused(r.peer.ssl), 0);
    assert_false(SSL_SESSION_has_ticket(SSL_get0_session(r.peer.ssl)));
    rig_disconnect(&r);
    rig_fini(&r);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

static void server_speaks_with_every_kind_of_client(void **state)
{
    (void)state;
    for (int key = 0; key < 2; key++)
        for (int mutual = 0; mutual < 2; mutual++) {
            exchange_as_server(0, key, mutual);
            exchange_as_server(TLS1_2_VERSION, key, mutual);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_speaks_with_every_kind_of_server),
        cmocka_unit_test(server_speaks_with_every_kind_of_client),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
