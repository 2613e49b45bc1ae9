/* test/unit/test_tls_hostile.c — a peer that stops, lies, stammers or floods: at every byte of a handshake
 * and of a record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/pki.h"
#include "test/support/tls_rig.h"

struct hostile {
    struct tls_rig r;
    struct tls_context *c;
    SSL_CTX *peer;
};

static void hostile_init(struct hostile *h, int version, bool server)
{
    h->c = server ? pki_server_context(PKI_EC, true) : pki_client_context(PKI_EC);
    h->peer = ssl_peer_context(!server, server ? pki.client : pki.leaf, 1, &pki.root, version);
    SSL_CTX_set_num_tickets(h->peer, 1);
}

static void hostile_fini(struct hostile *h)
{
    SSL_CTX_free(h->peer);
    tls_context_unref(&h->c);
}

static void start_one(struct hostile *h, bool server)
{
    rig_init(&h->r, NULL);
    rig_connect(&h->r,
                &(struct rig_connect){.context = h->c, .peer = h->peer, .ip = "10.1.2.3", .server = server});
    h->r.owner.regrant = 1;
    h->r.owner.credit = 1 << 20;
    stream_grant(h->r.owner.stream, 1 << 20);
}

static void stop_one(struct hostile *h)
{
    rig_disconnect(&h->r);
    rig_fini(&h->r);
}

/* Lets the peer's first `bytes` bytes through and then ends its direction. Returns false when it said less.
 */
static bool cut_after(struct hostile *h, size_t bytes, bool server, bool reset)
{
    start_one(h, server);
    h->r.peer.hold = true;
    size_t given = 0;
    for (int i = 0; i < 6 && given < bytes && h->r.pipe; i++) {
        rig_step(&h->r);
        size_t n = h->r.peer.wire.len < bytes - given ? h->r.peer.wire.len : bytes - given;
        if (h->r.pipe && n > 0) {
            pipe_give(h->r.pipe, h->r.peer.wire.bytes + h->r.peer.wire.from, n);
            h->r.peer.wire.from += n;
            h->r.peer.wire.len -= n;
            given += n;
        }
    }
    bool all = given == bytes;
    if (all) {
        if (reset)
            pipe_reset(h->r.pipe);
        else
            pipe_end(h->r.pipe);
        assert_true(rig_until(&h->r, &h->r.owner.closed, 1, 200));
        assert_int_equal(h->r.owner.ended, 0);
        enum ending expected = reset ? ENDING_PEER_RESET : ENDING_TRUNCATED;
        if (h->r.owner.reason != expected)
            fail_msg("cut after %zu: %s %s", bytes, ending_name(h->r.owner.reason), h->r.owner.info.detail);
    }
    stop_one(h);
    return all;
}

static void a_handshake_cut_at_any_byte_is_truncated(void **state)
{
    (void)state;
    static const struct {
        int version, step;
        bool server;
    } cases[] = {
        {0,              1, false},
        {TLS1_2_VERSION, 3, false},
        {0,              3, true },
        {TLS1_2_VERSION, 5, true }
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct hostile h;
        hostile_init(&h, cases[i].version, cases[i].server);
        size_t n = 0;
        while (cut_after(&h, n, cases[i].server, n % 16 == 7))
            n += (size_t)cases[i].step;
        assert_true(n > 700);
        hostile_fini(&h);
    }
}

static void a_handshake_in_pieces_of_any_size_succeeds(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++)
        for (uint32_t piece = 1; piece < 40; piece += piece < 8 ? 1 : 7) {
            struct hostile h;
            hostile_init(&h, piece % 2 ? 0 : TLS1_2_VERSION, server);
            start_one(&h, server);
            h.r.pipe->piece = piece;
            h.r.pipe->pieces_turn = 1;
            assert_true(rig_until(&h.r, &h.r.owner.opened, 1, 5000));
            stop_one(&h);
            hostile_fini(&h);
        }
}

static void damaged_handshakes_never_deliver(void **state)
{
    (void)state;
    unsigned seed = 7;
    unsigned closed = 0;
    for (int round = 0; round < 300; round++) {
        struct hostile h;
        bool server = round % 2;
        hostile_init(&h, round % 4 < 2 ? 0 : TLS1_2_VERSION, server);
        start_one(&h, server);
        h.r.peer.hold = true;
        for (int i = 0; i < 8 && h.r.pipe; i++) {
            rig_step(&h.r);
            if (!h.r.pipe || h.r.peer.wire.len == 0)
                continue;
            seed = seed * 1103515245u + 12345u;
            uint8_t *wire = h.r.peer.wire.bytes + h.r.peer.wire.from;
            wire[(seed >> 8) % h.r.peer.wire.len] ^= (uint8_t)(1u << (seed >> 4) % 8);
            pipe_give(h.r.pipe, wire, h.r.peer.wire.len);
            h.r.peer.wire.len = 0;
        }
        rig_settle(&h.r, 100);
        closed += h.r.owner.closed;
        if (h.r.owner.closed)
            assert_true(h.r.owner.reason != ENDING_DONE && h.r.owner.reason != ENDING_INTERNAL);
        assert_int_equal(h.r.owner.received.len, 0);
        stop_one(&h);
        hostile_fini(&h);
    }
    assert_true(closed > 200); /* the rest wait for bytes that a longer length promised */
}

static void garbage_is_a_protocol_error(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } garbage[] = {
#define LITERAL(s) {s, sizeof(s) - 1}
        LITERAL("HTTP/1.1 400 Bad Request\r\n\r\n"),
        LITERAL("SSH-2.0-OpenSSH_9.2\r\n"),
        LITERAL("\x16\x03\x03\xff\xff garbage behind a record header"),
        LITERAL("\x17\x03\x03\x00\x06 early"),
        LITERAL("\0\0\0\0\0\0\0\0"),
#undef LITERAL
    };
    for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
        struct hostile h;
        hostile_init(&h, 0, false);
        start_one(&h, false);
        h.r.peer.hold = true;
        rig_settle(&h.r, 2);
        pipe_give(h.r.pipe, garbage[i].bytes, garbage[i].len);
        assert_true(rig_until(&h.r, &h.r.owner.closed, 1, 200));
        if (h.r.owner.reason != ENDING_TLS_PROTOCOL)
            fail_msg("%zu: %s %s", i, ending_name(h.r.owner.reason), h.r.owner.info.detail);
        stop_one(&h);
        hostile_fini(&h);
    }
}

/* An open connection whose peer's next records are held back. */
static void open_held(struct hostile *h, int version, const char *text)
{
    hostile_init(h, version, false);
    start_one(h, false);
    assert_true(rig_until(&h->r, &h->r.owner.opened, 1, 50));
    rig_settle(&h->r, 4);
    h->r.peer.hold = true;
    fifo_put(&h->r.peer.to_send, text, strlen(text));
    rig_step(&h->r);
    assert_true(h->r.peer.wire.len > strlen(text));
}

static void a_record_split_at_any_byte_arrives_whole(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK";
    for (int v = 0; v < 2; v++) {
        struct hostile h;
        open_held(&h, v ? TLS1_2_VERSION : 0, text);
        size_t len = h.r.peer.wire.len;
        for (size_t at = 1; at < len; at++) {
            uint8_t *wire = h.r.peer.wire.bytes + h.r.peer.wire.from;
            size_t before = h.r.owner.received.len;
            pipe_give(h.r.pipe, wire, at);
            rig_step(&h.r);
            assert_int_equal(h.r.owner.received.len, before);
            pipe_give(h.r.pipe, wire + at, len - at);
            rig_step(&h.r);
            assert_int_equal(h.r.owner.received.len, before + strlen(text));
            h.r.peer.wire.len = 0;
            fifo_put(&h.r.peer.to_send, text, strlen(text));
            rig_step(&h.r);
            assert_int_equal(h.r.peer.wire.len, len);
        }
        stop_one(&h);
        hostile_fini(&h);
    }
}

static void a_damaged_record_is_never_delivered(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++)
        for (size_t at = 0; at < 40; at++) {
            struct hostile h;
            open_held(&h, v ? TLS1_2_VERSION : 0, "HTTP/1.1 200 OK");
            h.r.peer.wire.bytes[h.r.peer.wire.from + at % h.r.peer.wire.len] ^= 1;
            pipe_give(h.r.pipe, h.r.peer.wire.bytes + h.r.peer.wire.from, h.r.peer.wire.len);
            pipe_end(h.r.pipe);
            assert_true(rig_until(&h.r, &h.r.owner.closed, 1, 200));
            assert_int_equal(h.r.owner.received.len, 0);
            assert_true(h.r.owner.reason == ENDING_TLS_PROTOCOL || h.r.owner.reason == ENDING_TRUNCATED);
            stop_one(&h);
            hostile_fini(&h);
        }
}

static void key_updates_are_followed(void **state)
{
    (void)state;
    struct hostile h;
    hostile_init(&h, 0, false);
    start_one(&h, false);
    assert_true(rig_until(&h.r, &h.r.owner.opened, 1, 50));
    rig_settle(&h.r, 3);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(
            SSL_key_update(h.r.peer.ssl, i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        fifo_put(&h.r.peer.to_send, "ping", 4);
        assert_true(rig_send(&h.r, "pong", 4));
        rig_settle(&h.r, 2);
        if (h.r.owner.closed)
            fail_msg("update %d: %s %s", i, ending_name(h.r.owner.reason), h.r.owner.info.detail);
    }
    rig_settle(&h.r, 5);
    assert_int_equal(h.r.owner.closed, 0);
    assert_int_equal(h.r.owner.received.len, 800);
    assert_int_equal(h.r.peer.received.len, 800);
    stop_one(&h);
    hostile_fini(&h);
}

static void answers_to_a_flood_are_bounded(void **state)
{
    (void)state;
    struct hostile h;
    hostile_init(&h, 0, false);
    start_one(&h, false);
    assert_true(rig_until(&h.r, &h.r.owner.opened, 1, 50));
    rig_settle(&h.r, 3);
    h.r.pipe->stalled = true; /* it asks and does not read */
    for (int i = 0; i < 3000; i++) {
        SSL_key_update(h.r.peer.ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_write(h.r.peer.ssl, "x", 1); /* without data the flood would be ended */
        if (i % 50 == 0)
            rig_step(&h.r);
    }
    rig_settle(&h.r, 5);
    assert_int_equal(h.r.owner.closed, 0);
    assert_true(h.r.pipe->outstanding_max <= TLS_OUT_MAX + BUF_SMALL_BYTES);
    assert_true(world_buffers_used(&h.r.world) < 4000);
    stop_one(&h);
    hostile_fini(&h);
}

static void a_flood_without_data_is_ended(void **state)
{
    (void)state;
    struct hostile h;
    hostile_init(&h, 0, false);
    start_one(&h, false);
    assert_true(rig_until(&h.r, &h.r.owner.opened, 1, 50));
    rig_settle(&h.r, 3);
    for (int i = 0; i < 100; i++) {
        SSL_key_update(h.r.peer.ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        SSL_do_handshake(h.r.peer.ssl);
    }
    assert_true(rig_until(&h.r, &h.r.owner.closed, 1, 200));
    assert_int_equal(h.r.owner.reason, ENDING_TLS_PROTOCOL);
    assert_non_null(strstr(h.r.owner.info.detail, "without data"));
    stop_one(&h);
    hostile_fini(&h);
}

static void single_bytes_do_not_hold_a_buffer_each(void **state)
{
    (void)state;
    struct hostile h;
    hostile_init(&h, 0, false);
    rig_init(&h.r, NULL);
    rig_connect(&h.r, &(struct rig_connect){.context = h.c, .peer = h.peer, .ip = "10.1.2.3"});
    assert_true(rig_until(&h.r, &h.r.owner.opened, 1, 50)); /* no credit: nothing is read */
    h.r.pipe->piece = 1;
    uint8_t *bytes = calloc(1, 60000);
    fifo_put(&h.r.peer.to_send, bytes, 60000);
    rig_settle(&h.r, 10);
    assert_true(world_buffers_used(&h.r.world) <= 20);
    assert_int_equal(h.r.owner.received.len, 0);
    h.r.owner.credit = 60000;
    stream_grant(h.r.owner.stream, 60000);
    rig_settle(&h.r, 10);
    assert_int_equal(h.r.owner.received.len, 60000);
    free(bytes);
    stop_one(&h);
    hostile_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_cut_at_any_byte_is_truncated),
        cmocka_unit_test(a_handshake_in_pieces_of_any_size_succeeds),
        cmocka_unit_test(damaged_handshakes_never_deliver),
        cmocka_unit_test(garbage_is_a_protocol_error),
        cmocka_unit_test(a_record_split_at_any_byte_arrives_whole),
        cmocka_unit_test(a_damaged_record_is_never_delivered),
        cmocka_unit_test(key_updates_are_followed),
        cmocka_unit_test(answers_to_a_flood_are_bounded),
        cmocka_unit_test(a_flood_without_data_is_ended),
        cmocka_unit_test(single_bytes_do_not_hold_a_buffer_each),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
