/* test/unit/test_front_http2_call.c — Konnectivity's Proxy service on the HTTP/2 front: what is a call, and
 * its dials. What dials carry: test_front_http2_call_data.c; how it ends: test_front_http2_call_ends.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "test/support/call_rig.h"

static int setup(void **state)
{
    (void)state;
    call_rig_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    call_rig_stop();
    return 0;
}

/* -- calls --------------------------------------------------------------------------------------------------
 */

static void a_call_is_answered_at_once(void **state)
{
    (void)state;
    assert_int_equal(call_rig.call->status, 200);
    assert_string_equal(call_rig.call->fields, "content-type=application/grpc;");
    assert_false(call_rig.call->ended);
    assert_int_equal(rig.asked, 0);
}

static void any_authority_will_do(void **state)
{
    (void)state;
    assert_int_equal(call_rig_open("/etc/kubernetes/konnectivity-server/konnectivity-server.socket",
                                   "/ProxyService/Proxy", CALL)
                         ->status,
                     200);
    assert_int_equal(
        call_rig_open("%2Fetc%2Fsocket", "/ProxyService/Proxy", "content-type=application/grpc+proto")
            ->status,
        200);
}

static void what_is_no_call_is_told_so(void **state)
{
    (void)state;
    static const struct {
        const char *path, *more;
        int status;
        const char *grpc;
    } cases[] = {
        {"/ProxyService/Other",   CALL,                             200, "grpc-status=12;"},
        {"/AgentService/Connect", CALL,                             200, "grpc-status=12;"},
        {"/ProxyService/Proxy",   "content-type=text/plain",        415, "grpc-status=3;" },
        {"/ProxyService/Proxy",   "content-type=application/grpcx", 415, "grpc-status=3;" },
        {"/ProxyService/Proxy",   CALL "|grpc-encoding=gzip",       200, "grpc-status=12;"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct h2_stream *s = call_rig_open("localhost", cases[i].path, cases[i].more);
        assert_int_equal(s->status, cases[i].status);
        assert_non_null(strstr(s->fields, cases[i].grpc));
        assert_true(s->ended);
    }
    struct h2_stream *get = h2_client_ask("GET", "localhost", "/ProxyService/Proxy", CALL);
    h2_client_turns(3);
    assert_int_equal(get->status, 405);
    struct h2_stream *other = call_rig_open("10.0.0.1:443", "/Other.Service/Call",
                                            CALL); /* a request like any */
    assert_int_equal(rig.asked, 1);
    assert_int_equal(other->status, 0);
}

static void the_clients_end_is_answered_by_ok(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = call_opened("10.0.0.1:443", &id);
    h2_client_say(call_rig.call, call_rig.upload, 0, true);
    h2_client_turns(4);
    assert_string_equal(call_rig.call->trailers, "grpc-status=0;");
    assert_true(call_rig.call->ended);
    assert_int_equal(p->end, PLAYED_CLOSED);
}

static void a_reset_is_no_peaceful_end(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = call_opened("10.0.0.1:443", &id);
    call_say_dial("10.0.0.1:443", 2);
    h2_client_reset(call_rig.call, NGHTTP2_CANCEL);
    h2_client_turns(3);
    assert_int_equal(p->end, PLAYED_GONE);
    assert_int_equal(rig.played[1].end, PLAYED_GONE);
    assert_int_equal(rig.played[1].reason, ENDING_CLIENT_GONE);
}

static void what_is_no_message_ends_the_call(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = call_opened("10.0.0.1:443", &id);
    memcpy(call_rig.upload, "\1\0\0\0\1x", 6);
    call_say(6);
    assert_non_null(strstr(call_rig.call->trailers, "grpc-status=12;grpc-message=compressed"));
    assert_true(call_rig.call->ended);
    assert_int_equal(p->end, PLAYED_GONE);
    assert_int_equal(call_rig_open("localhost", "/ProxyService/Proxy", CALL)->status,
                     200); /* the connection lives */
}

/* -- dials --------------------------------------------------------------------------------------------------
 */

static void a_dial_is_a_connect(void **state)
{
    (void)state;
    int64_t id;
    call_say_dial("[2001:db8::1]:10250", (uint64_t)1 << 62);
    struct played *p = &rig.played[0];
    assert_int_equal(rig.asked, 1);
    assert_string_equal(p->method, "CONNECT");
    assert_string_equal(p->host, "2001:db8::1");
    assert_int_equal(p->port, 10250);
    assert_int_equal(p->form, TARGET_AUTHORITY);
    assert_string_equal(p->ex.ops->protocol, "grpc");
    call_dialled(0, &id);
    assert_true(call_rig.said.random == (int64_t)1 << 62);
}

static void a_refusal_is_told_in_words(void **state)
{
    (void)state;
    call_say_dial("10.0.0.1:443", 5);
    play_reset(&rig.played[0], ENDING_REFUSED);
    h2_client_turns(2);
    assert_true(call_heard(PACKET_DIAL_RSP));
    assert_int_equal(call_rig.said.random, 5);
    assert_int_equal(call_rig.said.connect_id, 0);
    assert_string_equal(call_rig.room, ending_text(ENDING_REFUSED));
    assert_int_equal(rig.played[0].end, PLAYED_COMPLETE);
}

static void what_is_lost_before_its_answer_has_gone_stood_all_the_same(void **state)
{
    (void)state;
    call_say_dial("10.0.0.1:443", 5);
    play_connected(&rig.played[0]);
    play_reset(&rig.played[0], ENDING_PEER_RESET);
    h2_client_turns(2);
    assert_true(call_heard(PACKET_DIAL_RSP));
    assert_int_not_equal(call_rig.said.connect_id, 0);
    assert_string_equal(call_rig.room, "");
    call_rig_pass(20);
    assert_true(call_heard(PACKET_CLOSE_RSP));
    assert_string_equal(call_rig.room, ending_text(ENDING_PEER_RESET));
}

static void a_dial_must_say_what_it_wants(void **state)
{
    (void)state;
    static const struct {
        const char *protocol, *address, *words;
    } cases[] = {
        {"udp", "10.0.0.1:443",   "the protocol is not tcp"},
        {"",    "10.0.0.1:443",   "the protocol is not tcp"},
        {"tcp", "10.0.0.1",       "has no port"            },
        {"tcp", "",               "no host"                },
        {"tcp", "a b:443",        "no host name has"       },
        {"tcp", "10.0.0.1:99999", "a port that is not"     }
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        call_say(call_put_dial(call_rig.upload, cases[i].protocol, cases[i].address, i));
        assert_true(call_heard(PACKET_DIAL_RSP));
        assert_int_equal(call_rig.said.random, i);
        assert_non_null(strstr(call_rig.room, cases[i].words));
    }
    assert_int_equal(rig.asked, 0);
}

static void a_limit_refuses_one_dial_and_not_the_stream(void **state)
{
    (void)state;
    rig.refuse_from = 1;
    call_say_dial("10.0.0.1:443", 5);
    assert_true(call_heard(PACKET_DIAL_RSP));
    assert_string_equal(call_rig.room, ending_text(ENDING_LIMIT));
    assert_false(call_rig.call->ended);
}

static void a_dial_that_is_given_up_is_cancelled(void **state)
{
    (void)state;
    call_say_dial("10.0.0.1:443", 5);
    call_say_dial_close(5);
    assert_int_equal(rig.played[0].end, PLAYED_GONE);
    assert_int_equal(call_rig.call->body.len, 0);
    call_say_dial_close(5); /* of nothing */
    assert_false(call_rig.call->ended);
}

static void a_late_cancel_closes(void **state)
{
    (void)state;
    int64_t id;
    call_say_dial("10.0.0.1:443", 5);
    struct played *p = call_dialled(0, &id);
    call_say_dial_close(5);
    assert_int_equal(p->end, PLAYED_CLOSED);
    assert_true(call_heard(PACKET_CLOSE_RSP));
    assert_int_equal(call_rig.said.connect_id, id);
    call_say_dial_close(5); /* of nothing */
    assert_false(call_rig.call->ended);
}

static void a_cancel_means_the_dial_that_waits(void **state)
{
    (void)state;
    int64_t first_id, second_id;
    call_say_dial("10.0.0.1:443", 5);
    struct played *first = call_dialled(0, &first_id);
    call_say_dial("10.0.0.2:443", 5); /* a client that uses its number again */
    call_say_dial_close(5);
    assert_int_equal(rig.played[1].end, PLAYED_GONE);
    assert_int_equal(first->end, PLAYED_RUNS);
    call_say_dial("10.0.0.2:443", 5);
    struct played *second = call_dialled(2, &second_id);
    call_say_dial_close(5); /* crossed the answer just heard */
    assert_int_equal(second->end, PLAYED_CLOSED);
    assert_int_equal(first->end, PLAYED_RUNS);
    call_say_data(first_id, 10);
    assert_int_equal(first->received, 10);
}

static void dials_given_up_one_after_another_end_the_call(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= PROXY_CANCELS_MAX; i++) {
        assert_false(call_rig.call->ended);
        call_say_dial("10.0.0.1:443", 5);
        call_say_dial_close(5);
    }
    assert_non_null(strstr(call_rig.call->trailers, "grpc-status=8;"));
}

static void too_many_connections_end_the_call(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= PROXY_TUNNELS_MAX; i++) {
        assert_false(call_rig.call->ended);
        call_say_dial("10.0.0.1:443", i);
    }
    assert_non_null(strstr(call_rig.call->trailers, "grpc-status=8;"));
    for (unsigned i = 0; i < rig.asked; i++)
        assert_int_equal(rig.played[i].end, PLAYED_GONE);
}

/* -- anything -----------------------------------------------------------------------------------------------
 */

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_call_is_answered_at_once),
        T(any_authority_will_do),
        T(what_is_no_call_is_told_so),
        T(the_clients_end_is_answered_by_ok),
        T(a_reset_is_no_peaceful_end),
        T(what_is_no_message_ends_the_call),
        T(a_dial_is_a_connect),
        T(a_refusal_is_told_in_words),
        T(what_is_lost_before_its_answer_has_gone_stood_all_the_same),
        T(a_dial_must_say_what_it_wants),
        T(a_limit_refuses_one_dial_and_not_the_stream),
        T(a_dial_that_is_given_up_is_cancelled),
        T(a_late_cancel_closes),
        T(a_cancel_means_the_dial_that_waits),
        T(dials_given_up_one_after_another_end_the_call),
        T(too_many_connections_end_the_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
