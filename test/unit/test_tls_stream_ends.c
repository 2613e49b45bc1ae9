/* test/unit/test_tls_stream_ends.c — how the TLS stream ends, against OpenSSL: every end is told from the
 * others, and takes away nothing that came before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/support/pki.h"
#include "test/support/tls_rig.h"

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
    uint8_t *bytes = rig_pattern(50000, 3);
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
    uint8_t *bytes = rig_pattern(100000, 4);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_is_told_from_the_others),
        cmocka_unit_test(reset_behind_the_end_takes_nothing_away),
        cmocka_unit_test(what_came_before_the_end_is_delivered_as_credit_comes),
        cmocka_unit_test(abort_is_clean_in_every_phase),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
