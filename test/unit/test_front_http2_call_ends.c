/* test/unit/test_front_http2_call_ends.c — ends of connections in a call of the Proxy service, from either
 * side.
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

/* -- ends ---------------------------------------------------------------------------------------------------
 */

static void close_is_answered_and_what_was_sent_goes_on(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = call_opened("10.0.0.1:443", &id);
    call_say_data(id, 1000);
    play_data(p, call_rig.upload, 10, false); /* on its way out, and not wanted any more */
    call_say_close(id);
    assert_int_equal(p->received, 1000);
    assert_int_equal(p->end, PLAYED_CLOSED);
    while (call_heard(PACKET_DATA))
        ;
    assert_int_equal(call_rig.said.type, PACKET_CLOSE_RSP);
    assert_true(call_rig.said.connect_id == id);
    assert_string_equal(call_rig.room, "");
    call_say_close(id); /* again */
    assert_true(call_heard(PACKET_CLOSE_RSP));
    assert_false(call_rig.call->ended);
}

static void the_destinations_end_follows_its_bytes(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = call_opened("10.0.0.1:443", &id);
    play_data(p, call_rig.upload, 100000, false);
    play_fin(p);
    assert_int_equal(p->end, PLAYED_CLOSED);
    h2_client_turns(8);
    uint32_t got = 0;
    while (call_heard(PACKET_DATA))
        got += call_rig.said.data.len;
    assert_int_equal(got, 100000);
    assert_int_equal(call_rig.said.type, PACKET_CLOSE_RSP);
    assert_string_equal(call_rig.room, "");
}

static void a_lost_destination_has_its_reason(void **state)
{
    (void)state;
    int64_t id;
    struct played *p = call_opened("10.0.0.1:443", &id);
    play_data(p, call_rig.upload, 10, false);
    play_reset(p, ENDING_PEER_RESET);
    h2_client_turns(3);
    assert_true(call_heard(PACKET_DATA));
    assert_true(call_heard(PACKET_CLOSE_RSP));
    assert_string_equal(call_rig.room, ending_text(ENDING_PEER_RESET));
    assert_int_equal(p->end, PLAYED_GONE);
}

/* A client that has not read its DIAL_RSP would throw the end away. */
static void a_destination_that_ends_at_once_is_told_after_a_moment(void **state)
{
    (void)state;
    int64_t id;
    call_say_dial("10.0.0.1:443", 1);
    play_connected(&rig.played[0]);
    play_reset(&rig.played[0], ENDING_PEER_RESET);
    h2_client_turns(2);
    assert_true(call_heard(PACKET_DIAL_RSP));
    id = call_rig.said.connect_id;
    assert_false(call_heard(PACKET_CLOSE_RSP));
    call_rig_pass(20);
    assert_true(call_heard(PACKET_CLOSE_RSP));
    assert_true(call_rig.said.connect_id == id);
}

static void an_idle_connection_is_ended(void **state)
{
    (void)state;
    int64_t id;
    rig.broker.times.tunnel_idle_ms = 1000;
    struct played *p = call_opened("10.0.0.1:443", &id);
    call_rig_pass(900);
    call_say_data(id, 1);
    call_rig_pass(900);
    assert_int_equal(p->end, PLAYED_RUNS);
    call_rig_pass(200);
    assert_int_equal(p->reason, ENDING_IDLE_TIMEOUT);
    assert_true(call_heard(PACKET_CLOSE_RSP));
    assert_string_equal(call_rig.room, ending_text(ENDING_IDLE_TIMEOUT));
}

static void a_drained_call_ends_when_it_carries_nothing(void **state)
{
    (void)state;
    int64_t id;
    call_opened("10.0.0.1:443", &id);
    rig.bw.draining = true;
    front_drain(front_rig_conn());
    h2_client_turns(3);
    assert_false(call_rig.call->ended);
    call_say_dial("10.0.0.1:443", 9);
    assert_true(call_heard(PACKET_DIAL_RSP));
    assert_string_equal(call_rig.room, ending_text(ENDING_DRAINING));
    call_say_close(id);
    assert_true(call_heard(PACKET_CLOSE_RSP));
    h2_client_turns(3);
    assert_non_null(strstr(call_rig.call->trailers, "grpc-status=14;"));
}

/* -- anything -----------------------------------------------------------------------------------------------
 */

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(close_is_answered_and_what_was_sent_goes_on),
        T(the_destinations_end_follows_its_bytes),
        T(a_lost_destination_has_its_reason),
        T(a_destination_that_ends_at_once_is_told_after_a_moment),
        T(an_idle_connection_is_ended),
        T(a_drained_call_ends_when_it_carries_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
