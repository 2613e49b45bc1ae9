/* test/unit/test_tls_record.c — the record layer after a handshake of TLS 1.3: that it takes the library's
 * place, and whether it follows RFC 8446 with a peer that does, and with one that does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/tls/tls_stream.h"
#include "test/support/pki.h"
#include "test/support/record_rig.h"
#include "test/support/tls_rig.h"

/* ---- in the library's place ---- */

static const char *layer_of(const struct tls_rig *r)
{
    return container_of(r->owner.stream, struct tls_stream, base)->record->ops->kind;
}

struct case_of {
    int version;
    bool server;
    const char *suite; /* NULL: any */
};

static SSL_CTX *peer_of(const struct case_of *c)
{
    SSL_CTX *peer = ssl_peer_context(!c->server, c->server ? NULL : &pki.leaf[0], c->server ? 0 : 1,
                                     c->server ? &pki.root : NULL, c->version);
    if (c->suite)
        assert_int_equal(SSL_CTX_set_ciphersuites(peer, c->suite), 1);
    return peer;
}

static void ping(struct tls_rig *r)
{
    size_t here = r->owner.received.len, there = r->peer.received.len;
    fifo_put(&r->peer.to_send, "ping", 4);
    assert_true(rig_send(r, "pong!", 5));
    rig_settle(r, 4);
    if (r->owner.closed)
        fail_msg("closed: %s %s", ending_name(r->owner.reason), r->owner.info.detail);
    assert_int_equal(r->owner.received.len, here + 4);
    assert_int_equal(r->peer.received.len, there + 5);
}

static void start(struct tls_rig *r, struct tls_context *c, SSL_CTX *peer, bool server)
{
    rig_init(r, NULL);
    rig_connect(r, &(struct rig_connect){.context = c, .peer = peer, .ip = "10.1.2.3", .server = server});
    r->owner.regrant = 1;
    r->owner.credit = 65536;
    stream_grant(r->owner.stream, 65536);
    assert_true(rig_until(r, &r->owner.opened, 1, 50));
    rig_settle(r, 3);
}

static void stop(struct tls_rig *r, struct tls_context *c, SSL_CTX *peer)
{
    rig_disconnect(r);
    rig_fini(r);
    SSL_CTX_free(peer);
    tls_context_unref(&c);
}

static void exchange(const struct case_of *of, const char *layer)
{
    struct tls_rig r;
    struct tls_context *c = of->server ? pki_server_context(0, false) : pki_client_context(-1);
    SSL_CTX *peer = peer_of(of);
    start(&r, c, peer, of->server);
    ping(&r);
    assert_string_equal(layer_of(&r), layer);
    for (int i = 0; i < 10 && of->version != TLS1_2_VERSION; i++) {
        assert_int_equal(
            SSL_key_update(r.peer.ssl, i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        ping(&r);
    }
    stream_finish(r.owner.stream); /* close_notify, and the peer's */
    rig_settle(&r, 3);
    assert_true(r.peer.ended);
    ssl_peer_close(&r.peer);
    assert_true(rig_until(&r, &r.owner.closed, 1, 50));
    assert_int_equal(r.owner.reason, ENDING_DONE);
    stop(&r, c, peer);
}

static void it_takes_the_librarys_place_where_it_can(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        exchange(&(struct case_of){0, server, "TLS_AES_128_GCM_SHA256"}, "gcm");
        exchange(&(struct case_of){0, server, "TLS_AES_256_GCM_SHA384"}, "gcm");
        exchange(&(struct case_of){TLS1_2_VERSION, server, NULL}, "wolfssl");
    }
}

/* The library keeps the connection until the ticket is here: only it can make a session of one. */
static void a_ticket_that_comes_late_is_not_lost(void **state)
{
    (void)state;
    struct tls_rig r;
    struct tls_context *c = pki_client_context(-1);
    SSL_CTX *peer = peer_of(&(struct case_of){0});
    SSL_CTX_set_num_tickets(peer, 0);
    start(&r, c, peer, false);
    assert_string_equal(layer_of(&r), "wolfssl");
    assert_int_equal(SSL_new_session_ticket(r.peer.ssl), 1);
    assert_int_equal(SSL_do_handshake(r.peer.ssl), 1);
    rig_settle(&r, 3);
    assert_int_equal(r.owner.tickets, 1);
    assert_string_equal(layer_of(&r), "gcm");
    for (int i = 0; i < 3; i++) { /* more of them are read over */
        assert_int_equal(SSL_new_session_ticket(r.peer.ssl), 1);
        ping(&r);
    }
    assert_int_equal(r.owner.tickets, 1);
    stop(&r, c, peer);
}

static void data_ends_the_wait_for_a_ticket(void **state)
{
    (void)state;
    struct tls_rig r;
    struct tls_context *c = pki_client_context(-1);
    SSL_CTX *peer = peer_of(&(struct case_of){0});
    SSL_CTX_set_num_tickets(peer, 0);
    start(&r, c, peer, false);
    assert_string_equal(layer_of(&r), "wolfssl");
    ping(&r);
    assert_string_equal(layer_of(&r), "gcm");
    ping(&r);
    stop(&r, c, peer);
}

static void padding_is_taken_off(void **state)
{
    (void)state;
    struct tls_rig r;
    struct tls_context *c = pki_client_context(-1);
    SSL_CTX *peer = peer_of(&(struct case_of){0});
    SSL_CTX_set_block_padding(peer, 4096);
    start(&r, c, peer, false);
    for (int i = 0; i < 5; i++)
        ping(&r);
    stop(&r, c, peer);
}

/* ---- a peer that seals what it likes ---- */

static void data_record(struct record_rig *r, const char *text, uint32_t padding)
{
    record_rig_seal(r, &(struct sealed){23, (const uint8_t *)text, (uint32_t)strlen(text), padding, false});
}

static void records_are_read_from_pieces_of_any_size(void **state)
{
    (void)state;
    static uint8_t bytes[16384];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 >> 3);
    for (uint32_t key_len = 16; key_len <= 32; key_len += 16)
        for (uint32_t piece = 1; piece < 6000; piece = piece * 3 + 1)
            for (uint32_t room = 16383; room <= 16385; room++) {
                struct record_rig r;
                uint32_t n, more = 0;
                record_rig_init(&r, key_len);
                r.piece = piece;
                record_rig_seal(&r, &(struct sealed){23, bytes, sizeof(bytes), 0, false});
                data_record(&r, "next", 300);
                assert_int_equal(record_rig_read(&r, room, &n), TLS_RECORD_OK);
                assert_memory_equal(r.read, bytes, n);
                assert_int_equal(n, room < 16384 ? room : 16384);
                assert_int_equal(r.record->ops->pending(r.record), 16384 - n);
                if (n < 16384) { /* the last byte waited */
                    assert_int_equal(record_rig_read(&r, room, &more), TLS_RECORD_OK);
                    assert_int_equal(more, 1);
                    assert_int_equal(r.read[0], bytes[16383]);
                }
                assert_int_equal(record_rig_read(&r, 4, &n), TLS_RECORD_OK);
                assert_int_equal(n, 4);
                assert_memory_equal(r.read, "next", 4);
                assert_int_equal(record_rig_read(&r, room, &n), TLS_RECORD_WANT_INPUT);
                record_rig_fini(&r);
            }
}

static void a_message_may_be_cut_anywhere_but_not_interrupted(void **state)
{
    (void)state;
    static const uint8_t ticket[] = {4, 0, 0, 3, 'a', 'b', 'c'}, update[] = {24, 0, 0, 1, 1};
    for (uint32_t cut = 1; cut < sizeof(ticket); cut++)
        for (int interrupted = 0; interrupted < 2; interrupted++) {
            struct record_rig r;
            uint32_t n;
            record_rig_init(&r, 16);
            record_rig_seal(&r, &(struct sealed){22, ticket, cut, 5, false});
            assert_int_equal(record_rig_read(&r, 100, &n), TLS_RECORD_OK);
            if (interrupted) {
                data_record(&r, "x", 0);
                assert_int_equal(record_rig_read(&r, 100, &n), TLS_RECORD_FAILED);
                assert_int_equal(r.record->failure, ENDING_TLS_PROTOCOL);
                record_rig_fini(&r);
                continue;
            }
            record_rig_seal(&r, &(struct sealed){22, ticket + cut, (uint32_t)sizeof(ticket) - cut, 0, false});
            record_rig_seal(&r, &(struct sealed){22, update, 2, 0, false});
            record_rig_seal(&r, &(struct sealed){22, update + 2, 3, 0, false});
            record_rig_next_key(&r);
            data_record(&r, "after", 0);
            for (int i = 0; i < 3; i++)
                assert_int_equal(record_rig_read(&r, 100, &n), TLS_RECORD_OK);
            assert_true(r.out.used > 0); /* the update was answered */
            assert_int_equal(record_rig_read(&r, 100, &n), TLS_RECORD_OK);
            assert_int_equal(n, 5);
            assert_memory_equal(r.read, "after", 5);
            record_rig_fini(&r);
        }
}

static void what_breaks_the_protocol_ends_the_connection(void **state)
{
    (void)state;
    static const uint8_t large[16385] = {1};
    static const struct {
        struct sealed record;
        enum ending reason;
        const char *detail;
    } cases[] = {
        {{0, NULL, 0, 0, false},                                 ENDING_TLS_PROTOCOL, "type 0"              },
        {{0, NULL, 0, 500, false},                               ENDING_TLS_PROTOCOL, "type 0"              },
        {{20, (const uint8_t *)"\x01", 1, 0, false},             ENDING_TLS_PROTOCOL, "type 20"             },
        {{24, (const uint8_t *)"\x01", 1, 0, false},             ENDING_TLS_PROTOCOL, "type 24"             },
        {{22, NULL, 0, 0, false},                                ENDING_TLS_PROTOCOL, "empty handshake"     },
        {{22, (const uint8_t *)"\x18\0\0\1\2", 5, 0, false},     ENDING_TLS_PROTOCOL, "says 2"              },
        {{22, (const uint8_t *)"\x18\0\0\1\0\x18", 6, 0, false}, ENDING_TLS_PROTOCOL, "behind a key update" },
        {{22, (const uint8_t *)"\x18\0\0\2\0\0", 6, 0, false},   ENDING_TLS_PROTOCOL, "type 24 and 2 bytes" },
        {{22, (const uint8_t *)"\x18\0\0\0", 4, 0, false},       ENDING_TLS_PROTOCOL, "type 24 and 0 bytes" },
        {{22, (const uint8_t *)"\x0d\0\0\1\0", 5, 0, false},
         ENDING_TLS_PROTOCOL,                                                         "type 13"             }, /* a certificate is asked for */
        {{22, (const uint8_t *)"\x01\0\0\1\0", 5, 0, false},
         ENDING_TLS_PROTOCOL,                                                         "type 1"              }, /* renegotiation */
        {{22, (const uint8_t *)"\4\xff\xff\xff", 4, 0, false},   ENDING_TLS_PROTOCOL, "16777215 bytes"      },
        {{21, (const uint8_t *)"\2\x30\0", 3, 0, false},         ENDING_TLS_PROTOCOL, "3 bytes, not 2"      },
        {{21, (const uint8_t *)"\2\x30", 2, 7, false},           ENDING_TLS_ALERT,    "unknown_ca"          },
        {{21, (const uint8_t *)"\1\x74", 2, 0, false},           ENDING_TLS_ALERT,    "certificate_required"},
        {{23, large, 16385, 0, false},                           ENDING_TLS_PROTOCOL, "16385 bytes"         },
        {{23, large, 16384, 300, false},                         ENDING_TLS_PROTOCOL, "16701 bytes"         },
        {{23, (const uint8_t *)"data", 4, 0, true},              ENDING_TLS_PROTOCOL, "does not decrypt"    },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct record_rig r;
        uint32_t n;
        record_rig_init(&r, 16);
        record_rig_seal(&r, &cases[i].record);
        assert_int_equal(record_rig_read(&r, RECORD_RIG_ROOM, &n), TLS_RECORD_FAILED);
        assert_int_equal(n, 0);
        assert_int_equal(r.record->failure, cases[i].reason);
        if (!strstr(r.info.detail, cases[i].detail))
            fail_msg("case %zu: %s", i, r.info.detail);
        assert_int_equal(r.out.used > 0, cases[i].reason == ENDING_TLS_PROTOCOL); /* our alert */
        record_rig_fini(&r);
    }
}

static void what_is_no_record_ends_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        const char *detail;
    } cases[] = {
        {"\x14\3\3\0\1\1",                  "type 20 in the clear"},
        {"\x15\3\3\0\2\2\x28",              "type 21 in the clear"},
        {"\x17\3\3\xff\xff",                "65535 bytes"         },
        {"\x17\3\3\0\x10 sixteen of them.", "16 bytes, too short" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct record_rig r;
        uint32_t n;
        record_rig_init(&r, 32);
        record_rig_give(&r, (const uint8_t *)cases[i].bytes, i < 2 ? 6 : i == 2 ? 5 : 21);
        assert_int_equal(record_rig_read(&r, 100, &n), TLS_RECORD_FAILED);
        assert_int_equal(r.record->failure, ENDING_TLS_PROTOCOL);
        if (!strstr(r.info.detail, cases[i].detail))
            fail_msg("case %zu: %s", i, r.info.detail);
        record_rig_fini(&r);
    }
}

static void a_record_twice_is_no_record(void **state)
{
    (void)state;
    struct record_rig r;
    uint32_t n;
    record_rig_init(&r, 16);
    data_record(&r, "once", 0);
    assert_int_equal(record_rig_read(&r, 100, &n), TLS_RECORD_OK);
    r.to_us.sequence = 0;
    data_record(&r, "once", 0);
    assert_int_equal(record_rig_read(&r, 100, &n), TLS_RECORD_FAILED);
    assert_int_equal(n, 0);
    record_rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_takes_the_librarys_place_where_it_can),
        cmocka_unit_test(a_ticket_that_comes_late_is_not_lost),
        cmocka_unit_test(data_ends_the_wait_for_a_ticket),
        cmocka_unit_test(padding_is_taken_off),
        cmocka_unit_test(records_are_read_from_pieces_of_any_size),
        cmocka_unit_test(a_message_may_be_cut_anywhere_but_not_interrupted),
        cmocka_unit_test(what_breaks_the_protocol_ends_the_connection),
        cmocka_unit_test(what_is_no_record_ends_the_connection),
        cmocka_unit_test(a_record_twice_is_no_record),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_drop);
}
