/* test/unit/test_tls_stream.c — the TLS stream against OpenSSL: both roles, both versions, both kinds of
 * keys, bulk. Resumption: test_tls_stream_resume.c; ends: test_tls_stream_ends.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/pki.h"
#include "test/support/tls_rig.h"

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
    struct tls_context *c = pki_client_context(identity);
    SSL_CTX *peer = ssl_peer_context(true, &pki.leaf[key], 1, identity >= 0 ? &pki.root : NULL, version);
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
    struct tls_context *c = pki_server_context(key, mutual);
    SSL_CTX *peer = ssl_peer_context(false, &pki.client[key], mutual, &pki.root, version);
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

enum { BULK_BYTES = 1024 * 1024, RECORD_BYTES = 16384 };

struct bulk {
    int version;
    bool server;
    uint32_t credit, piece, take_turn;
    size_t bytes;
    int turns;
};

static void exchange_bulk(const struct bulk *b)
{
    struct tls_rig r;
    struct tls_context *c = b->server ? pki_server_context(0, false) : pki_client_context(-1);
    SSL_CTX *peer = b->server ? ssl_peer_context(false, NULL, 0, &pki.root, b->version)
                              : ssl_peer_context(true, &pki.leaf[0], 1, NULL, b->version);
    uint8_t *up = rig_pattern(b->bytes, 1), *down = rig_pattern(b->bytes, 2);
    rig_init(&r, NULL);
    rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3", .server = b->server});
    r.pipe->piece = b->piece;
    r.pipe->take_turn = b->take_turn;
    r.owner.regrant = 1;
    r.owner.credit = b->credit;
    stream_grant(r.owner.stream, b->credit);
    assert_true(rig_send(&r, up, b->bytes));
    fifo_put(&r.peer.to_send, down, b->bytes);
    uint32_t outstanding = 0, credit = 0, segs = 0;
    for (int i = 0; i < b->turns && (r.owner.received.len < b->bytes || r.peer.received.len < b->bytes);
         i++) {
        rig_step(&r);
        if (r.owner.closed)
            fail_msg("closed: %s %s", ending_name(r.owner.reason), r.owner.info.detail);
        outstanding = r.pipe->outstanding_max;
        credit = r.pipe->credit_max;
        segs = r.pipe->segs_sent;
    }
    assert_int_equal(r.owner.received.len, b->bytes);
    assert_int_equal(r.peer.received.len, b->bytes);
    assert_memory_equal(r.owner.received.bytes + r.owner.received.from, down, b->bytes);
    assert_memory_equal(r.peer.received.bytes + r.peer.received.from, up, b->bytes);
    assert_int_equal(r.owner.sent_bytes, b->bytes);
    assert_true(outstanding <= TLS_OUT_MAX);
    assert_true(credit <= 128 * 1024);
    if (b->piece == 0) /* whole buffers of records leave together */
        assert_true(segs <= b->bytes / BUF_BIG_BYTES * 9 / 8 + 8);
    if (b->piece == 0 && b->credit > BUF_BIG_BYTES) /* as many whole records as a buffer takes */
        assert_in_range(r.owner.piece_max, BUF_BIG_BYTES - RECORD_BYTES, BUF_BIG_BYTES);
    rig_disconnect(&r);
    rig_fini(&r);
    free(up);
    free(down);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

static void bulk_arrives_byte_exact_both_ways(void **state)
{
    (void)state;
    static const int versions[] = {0, TLS1_2_VERSION};
    for (int v = 0; v < 2; v++)
        for (int server = 0; server < 2; server++) {
            exchange_bulk(&(struct bulk){versions[v], server, 1 << 20, 0, 0, BULK_BYTES, 2000});
            exchange_bulk(&(struct bulk){versions[v], server, 1000, 0, 0, BULK_BYTES, 4000});
            exchange_bulk(&(struct bulk){versions[v], server, 1 << 20, 1000, 30000, BULK_BYTES, 4000});
        }
}

static void tiny_pieces_and_tiny_credit_change_nothing(void **state)
{
    (void)state;
    exchange_bulk(&(struct bulk){0, false, 1, 1, 1, 20000, 60000});
    exchange_bulk(&(struct bulk){0, true, 7, 3, 5, 20000, 60000});
    exchange_bulk(&(struct bulk){TLS1_2_VERSION, false, 100, 1, 17, 20000, 60000});
}

static void exhausted_buffers_only_delay(void **state)
{
    (void)state;
    struct tls_rig r;
    struct tls_context *c = pki_client_context(-1);
    SSL_CTX *peer = ssl_peer_context(true, &pki.leaf[0], 1, NULL, 0);
    static const struct buf_limits few = {
        .max = {24, 6, 0}
    };
    struct buf *held[30];
    int n = 0;
    uint8_t *bytes = rig_pattern(300000, 5);
    rig_init(&r, &few);
    rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3"});
    r.owner.regrant = 1;
    r.owner.credit = 1 << 20;
    stream_grant(r.owner.stream, 1 << 20);
    fifo_put(&r.peer.to_send, bytes, 300000);
    for (int round = 0; round < 40; round++) {
        while (n < 30 && ((held[n] = buf_get(&r.world.worker.bufs, BUF_BIG)) ||
                          (held[n] = buf_get(&r.world.worker.bufs, BUF_SMALL))))
            n++;
        rig_settle(&r, 3);
        while (n > 0)
            buf_unref(held[--n]);
        if (r.owner.sent_bytes < 100000 && r.owner.opened)
            assert_true(rig_send(&r, bytes, 4000));
        rig_settle(&r, 30);
    }
    if (r.owner.closed)
        fail_msg("closed: %s %s", ending_name(r.owner.reason), r.owner.info.detail);
    assert_int_equal(r.owner.received.len, 300000);
    assert_memory_equal(r.owner.received.bytes + r.owner.received.from, bytes, 300000);
    assert_true(r.peer.received.len >= 100000);
    rig_disconnect(&r);
    rig_fini(&r);
    free(bytes);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_speaks_with_every_kind_of_server),
        cmocka_unit_test(server_speaks_with_every_kind_of_client),
        cmocka_unit_test(bulk_arrives_byte_exact_both_ways),
        cmocka_unit_test(tiny_pieces_and_tiny_credit_change_nothing),
        cmocka_unit_test(exhausted_buffers_only_delay),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
