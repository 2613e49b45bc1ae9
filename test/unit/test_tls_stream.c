/* test/unit/test_tls_stream.c — the TLS stream against OpenSSL: both roles, both versions, both kinds of
 * keys, resumption, bulk, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

/* ---- resumption ---- */

struct resume {
    struct tls_rig r;
    struct tls_context *c;
    SSL_CTX *peer;
    uint8_t ticket[TLS_TICKET_BYTES_MAX];
    size_t ticket_len;
    const char *ip;
};

static void resume_init(struct resume *x, int version, int identity)
{
    memset(x, 0, sizeof(*x));
    x->c = pki_client_context(identity);
    x->peer = ssl_peer_context(true, &pki.leaf[0], 1, identity >= 0 ? &pki.root : NULL, version);
    x->ip = "10.1.2.3";
    rig_init(&x->r, NULL);
}

static void resume_fini(struct resume *x)
{
    rig_fini(&x->r);
    SSL_CTX_free(x->peer);
    tls_context_unref(&x->c);
}

/* One connection with a byte each way; the newest ticket is kept. True when it was opened. */
static bool resume_once(struct resume *x, struct tls_info *ret_info, enum ending *ret_reason)
{
    rig_connect(&x->r, &(struct rig_connect){.context = x->c,
                                             .peer = x->peer,
                                             .ip = x->ip,
                                             .node = "n1",
                                             .ticket = x->ticket_len ? x->ticket : NULL,
                                             .ticket_len = x->ticket_len});
    x->r.owner.credit = 1024;
    stream_grant(x->r.owner.stream, 1024);
    assert_true(rig_send(&x->r, "?", 1));
    fifo_put(&x->r.peer.to_send, "!", 1);
    rig_settle(&x->r, 8);
    bool opened = x->r.owner.opened;
    if (!opened) /* a refused peer is given a moment to hear why */
        rig_until(&x->r, &x->r.owner.closed, 1, 100);
    if (opened) {
        assert_int_equal(x->r.peer.received.len, 1);
        assert_int_equal(x->r.owner.received.len, 1);
    }
    *ret_info = x->r.owner.info;
    *ret_reason = x->r.owner.reason;
    if (x->r.owner.tickets > 0) {
        assert_true(x->r.owner.ticket_len <= sizeof(x->ticket));
        memcpy(x->ticket, x->r.owner.ticket, x->r.owner.ticket_len);
        x->ticket_len = x->r.owner.ticket_len;
    }
    rig_disconnect(&x->r);
    return opened;
}

static void resumes(int version, int identity)
{
    struct resume x;
    struct tls_info info;
    enum ending reason;
    int resumed = 0, offered = 0;
    enum { CONNECTIONS = 200 };
    resume_init(&x, version, identity);
    for (int i = 0; i < CONNECTIONS; i++) {
        if (!resume_once(&x, &info, &reason))
            fail_msg("connection %d: %s %s", i, ending_name(reason), info.detail);
        assert_string_equal(info.peer_cn, "system:node:n1");
        resumed += info.resumed;
        offered += info.ticket_offered;
    }
    assert_int_equal(offered, CONNECTIONS - 1);
    assert_true(resumed * 100 >= CONNECTIONS * 99);
    resume_fini(&x);
}

static void tickets_resume_nearly_always(void **state)
{
    (void)state;
    resumes(0, -1);
    resumes(0, PKI_EC);
    resumes(TLS1_2_VERSION, -1);
    resumes(TLS1_2_VERSION, PKI_EC);
}

static void new_ticket_keys_cost_one_full_handshake(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++) {
        struct resume x;
        struct tls_info info;
        enum ending reason;
        int full = 0;
        resume_init(&x, v ? TLS1_2_VERSION : 0, -1);
        for (int i = 0; i < 30; i++) {
            if (i % 10 == 5) {
                uint8_t keys[80];
                memset(keys, i, sizeof(keys));
                SSL_CTX_set_tlsext_ticket_keys(x.peer, keys, sizeof(keys));
            }
            if (!resume_once(&x, &info, &reason)) {
                if (!info.ticket_refused)
                    fail_msg("version %d connection %d: %s %s", v, i, ending_name(reason), info.detail);
                assert_int_equal(v, 1);
                x.ticket_len = 0; /* what a pool does then */
                assert_true(resume_once(&x, &info, &reason));
            }
            full += !info.resumed;
        }
        assert_int_equal(full, 1 + 3);
        resume_fini(&x);
    }
}

static void a_resumed_peer_is_verified_again(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++) {
        struct resume x;
        struct tls_info info;
        enum ending reason;
        resume_init(&x, v ? TLS1_2_VERSION : 0, -1);
        assert_true(resume_once(&x, &info, &reason));
        assert_true(resume_once(&x, &info, &reason) && info.resumed);
        x.ip = "10.1.2.4";
        assert_false(resume_once(&x, &info, &reason));
        assert_true(info.resumed);
        assert_int_equal(reason, ENDING_TLS_NAME_MISMATCH);
        x.ip = "10.1.2.3";
        x.r.world.wall_offset_s = 2 * 86400;
        assert_false(resume_once(&x, &info, &reason));
        assert_true(info.resumed);
        assert_int_equal(reason, ENDING_TLS_EXPIRED);
        resume_fini(&x);
    }
}

static void a_damaged_ticket_is_a_full_handshake(void **state)
{
    (void)state;
    struct resume x;
    struct tls_info info;
    enum ending reason;
    resume_init(&x, 0, -1);
    assert_true(resume_once(&x, &info, &reason));
    x.ticket_len /= 2;
    assert_true(resume_once(&x, &info, &reason));
    assert_false(info.resumed);
    memset(x.ticket, 0xff, 64);
    assert_true(resume_once(&x, &info, &reason));
    assert_false(info.resumed);
    resume_fini(&x);
}

/* ---- bulk ---- */

enum { BULK_BYTES = 1024 * 1024, RECORD_BYTES = 16384 };

static uint8_t *pattern(size_t len, unsigned seed)
{
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)((seed = seed * 1103515245u + 12345u) >> 16);
    return bytes;
}

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
    uint8_t *up = pattern(b->bytes, 1), *down = pattern(b->bytes, 2);
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

/* ---- ends ---- */

static void open_one(struct tls_rig *r, struct tls_context *c, SSL_CTX *peer, uint32_t credit)
{
    rig_init(r, NULL);
    rig_connect(r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3"});
    r->owner.credit = credit;
    stream_grant(r->owner.stream, credit);
    assert_true(rig_until(r, &r->owner.opened, 1, 20));
    rig_settle(r, 3);
}

static void ends(int version)
{
    struct tls_rig r;
    struct tls_context *c = pki_client_context(-1);
    SSL_CTX *peer = ssl_peer_context(true, &pki.leaf[0], 1, NULL, version);

    /* The peer ends first. */
    open_one(&r, c, peer, 100);
    fifo_put(&r.peer.to_send, "bye", 3);
    ssl_peer_close(&r.peer);
    assert_true(rig_until(&r, &r.owner.ended, 1, 10));
    assert_int_equal(r.owner.received.len, 3);
    assert_int_equal(r.owner.closed, 0);
    assert_true(rig_send(&r, "still here", 10));
    stream_finish(r.owner.stream);
    assert_true(rig_until(&r, &r.owner.closed, 1, 10));
    assert_int_equal(r.owner.reason, ENDING_DONE);
    rig_settle(&r, 2);
    rig_disconnect(&r);
    rig_fini(&r);

    /* We end first, after what was sent. */
    open_one(&r, c, peer, 100);
    assert_true(rig_send(&r, "last words", 10));
    stream_finish(r.owner.stream);
    assert_true(rig_send(&r, "too late", 8));
    rig_settle(&r, 3);
    assert_int_equal(r.peer.received.len, 10);
    assert_true(r.peer.ended);
    ssl_peer_close(&r.peer);
    assert_true(rig_until(&r, &r.owner.closed, 1, 10));
    assert_int_equal(r.owner.ended, 1);
    assert_int_equal(r.owner.reason, ENDING_DONE);
    rig_disconnect(&r);
    rig_fini(&r);

    /* EOF without close_notify is no end. */
    open_one(&r, c, peer, 100);
    pipe_end(r.pipe);
    assert_true(rig_until(&r, &r.owner.closed, 1, 20));
    assert_int_equal(r.owner.ended, 0);
    assert_int_equal(r.owner.reason, ENDING_TRUNCATED);
    rig_disconnect(&r);
    rig_fini(&r);

    /* A reset is one. */
    open_one(&r, c, peer, 100);
    pipe_reset(r.pipe);
    assert_true(rig_until(&r, &r.owner.closed, 1, 20));
    assert_int_equal(r.owner.reason, ENDING_PEER_RESET);
    rig_disconnect(&r);
    rig_fini(&r);

    /* Without close_notify from the peer the stream below is closed after a while. */
    open_one(&r, c, peer, 100);
    stream_finish(r.owner.stream);
    ssl_peer_close(&r.peer);
    r.peer.hold = true; /* its FIN never comes */
    rig_settle(&r, 3);
    pipe_give(r.pipe, r.peer.wire.bytes + r.peer.wire.from, r.peer.wire.len);
    assert_true(rig_until(&r, &r.owner.ended, 1, 10));
    assert_int_equal(r.owner.closed, 0);
    assert_true(rig_until(&r, &r.owner.closed, 1, 6000));
    assert_int_equal(r.owner.reason, ENDING_DONE);
    rig_disconnect(&r);
    rig_fini(&r);

    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

/* What a slow reader has not taken yet was ended cleanly, and a peer that then resets cannot take it back. */
static void reset_behind_the_end_takes_nothing_away(void **state)
{
    struct tls_rig r;
    (void)state;
    struct tls_context *c = pki_client_context(-1);
    SSL_CTX *peer = ssl_peer_context(true, &pki.leaf[0], 1, NULL, 0);
    for (int sends = 0; sends < 2; sends++) {
        open_one(&r, c, peer, 5);
        fifo_put(&r.peer.to_send, "hello world", 11);
        ssl_peer_close(&r.peer);
        rig_settle(&r, 5);
        pipe_reset(r.pipe);
        rig_settle(&r, 5);
        assert_int_equal(r.owner.received.len, 5);
        assert_int_equal(r.owner.closed, 0);
        if (sends) { /* nobody takes it: that is told at once */
            assert_true(rig_send(&r, "?", 1));
        } else {
            r.owner.credit += 100;
            stream_grant(r.owner.stream, 100);
        }
        assert_true(rig_until(&r, &r.owner.closed, 1, 10));
        assert_int_equal(r.owner.reason, ENDING_PEER_RESET);
        assert_int_equal(r.owner.received.len, sends ? 5 : 11);
        assert_int_equal(r.owner.ended, sends ? 0 : 1);
        rig_disconnect(&r);
        rig_fini(&r);
    }
    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

static void every_end_is_told_from_the_others(void **state)
{
    (void)state;
    ends(0);
    ends(TLS1_2_VERSION);
}

static void what_came_before_the_end_is_delivered_as_credit_comes(void **state)
{
    (void)state;
    struct tls_rig r;
    struct tls_context *c = pki_client_context(-1);
    SSL_CTX *peer = ssl_peer_context(true, &pki.leaf[0], 1, NULL, 0);
    uint8_t *bytes = pattern(50000, 3);
    open_one(&r, c, peer, 100);
    fifo_put(&r.peer.to_send, bytes, 50000);
    ssl_peer_close(&r.peer);
    stream_finish(r.owner.stream);
    rig_settle(&r, 10);
    assert_int_equal(r.owner.received.len, 100);
    assert_int_equal(r.owner.ended, 0);
    while (r.owner.received.len < 50000 && !r.owner.closed) {
        r.owner.credit += 333;
        stream_grant(r.owner.stream, 333);
        rig_step(&r);
    }
    assert_true(rig_until(&r, &r.owner.closed, 1, 10));
    assert_int_equal(r.owner.ended, 1);
    assert_int_equal(r.owner.reason, ENDING_DONE);
    assert_int_equal(r.owner.received.len, 50000);
    assert_memory_equal(r.owner.received.bytes + r.owner.received.from, bytes, 50000);
    rig_disconnect(&r);
    rig_fini(&r);
    free(bytes);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

/* ---- aborts ---- */

static void abort_after(int turns, bool server, int event)
{
    struct tls_rig r;
    struct tls_context *c = server ? pki_server_context(0, true) : pki_client_context(0);
    SSL_CTX *peer = ssl_peer_context(!server, server ? pki.client : pki.leaf, 1, &pki.root, 0);
    rig_init(&r, NULL);
    rig_connect(&r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3", .server = server});
    r.pipe->piece = 300;
    r.pipe->pieces_turn = 1;
    r.owner.abort_at = event;
    r.owner.regrant = 1;
    r.owner.credit = 5000;
    stream_grant(r.owner.stream, 5000);
    uint8_t *bytes = pattern(100000, 4);
    assert_true(rig_send(&r, bytes, 100000));
    fifo_put(&r.peer.to_send, bytes, 10000);
    ssl_peer_close(&r.peer);
    rig_settle(&r, turns);
    if (event)
        assert_true(rig_until(&r, &r.owner.closed, 1, 10));
    rig_disconnect(&r); /* aborts; asserts one `closed`; the world asserts that nothing is left */
    if (event)
        assert_int_equal(r.owner.reason, ENDING_CANCELLED);
    rig_fini(&r);
    free(bytes);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

static void abort_is_clean_in_every_phase(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        for (int turns = 0; turns < 60; turns++)
            abort_after(turns, server, ABORT_NEVER);
        for (int event = ABORT_ON_OPEN; event <= ABORT_ON_END; event++)
            abort_after(100, server, event);
    }
    abort_after(100, false, ABORT_ON_TICKET);
}

/* ---- buffers ---- */

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
    uint8_t *bytes = pattern(300000, 5);
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
        cmocka_unit_test(tickets_resume_nearly_always),
        cmocka_unit_test(new_ticket_keys_cost_one_full_handshake),
        cmocka_unit_test(a_resumed_peer_is_verified_again),
        cmocka_unit_test(a_damaged_ticket_is_a_full_handshake),
        cmocka_unit_test(bulk_arrives_byte_exact_both_ways),
        cmocka_unit_test(tiny_pieces_and_tiny_credit_change_nothing),
        cmocka_unit_test(every_end_is_told_from_the_others),
        cmocka_unit_test(reset_behind_the_end_takes_nothing_away),
        cmocka_unit_test(what_came_before_the_end_is_delivered_as_credit_comes),
        cmocka_unit_test(abort_is_clean_in_every_phase),
        cmocka_unit_test(exhausted_buffers_only_delay),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
