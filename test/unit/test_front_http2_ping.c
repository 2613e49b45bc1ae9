/* test/unit/test_front_http2_ping.c — when a client's PINGs are answered: at once, at the next step, behind
 * what is sent then, ahead of what flows, and in any case before its connection ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "test/support/h2_client.h"

#define BACKEND "10.0.0.1:10250"
#define OK      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

enum { STEP_NS = HTTP2_STEP_MS * 1000000 };

static uint8_t pattern[64 * 1024];

static struct h2_stream *body;

static void ping(const char *data)
{
    char bytes[9];
    snprintf(bytes, sizeof(bytes), "%-8s", data);
    assert_int_equal(nghttp2_submit_ping(h2_client.session, NGHTTP2_FLAG_NONE, (uint8_t *)bytes), 0);
}

/* A response that goes on, and a step's beginning. */
static int setup(void **state)
{
    (void)state;
    memset(pattern, 'p', sizeof(pattern));
    front_rig_start();
    h2_client_start(false);
    body = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    play_head(&rig.played[0], OK);
    h2_client_turns(2);
    rig.world.now_ns = (rig.world.now_ns / STEP_NS + 1) * STEP_NS;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    h2_client_stop();
    front_rig_stop();
    return 0;
}

/* One was answered a moment ago, and another is on its way. */
static void ping_twice(void)
{
    ping("a");
    h2_client_turns(2);
    assert_int_equal(h2_client.ping_acks, 1);
    ping("b");
    h2_client_turns(2);
    assert_int_equal(h2_client.ping_acks, 1);
}

static unsigned turns_until_answered(unsigned count)
{
    unsigned turns = 0;
    while (h2_client.ping_acks < count && turns < 100) {
        h2_client_turn();
        turns++;
    }
    assert_int_equal(h2_client.ping_acks, count);
    return turns;
}

/* -- when ---------------------------------------------------------------------------------------------------
 */

static void one_now_and_then_is_answered_at_once(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 50; i++) {
        ping("k");
        h2_client_turns(2);
        assert_int_equal(h2_client.ping_acks, i);
        rig.world.now_ns += STEP_NS + i * 7000001ull;
    }
}

static void one_that_follows_soon_is_answered_at_the_step(void **state)
{
    (void)state;
    uint64_t began_ns = rig.world.now_ns;
    ping_twice();
    turns_until_answered(2);
    assert_in_range(rig.world.now_ns - began_ns, STEP_NS, STEP_NS + (2u << TIMER_TICK_SHIFT));
    assert_string_equal(h2_client.pongs, "ab");
    assert_int_equal(front_rig_conn()->http2->ping.state, HTTP2_PING_NONE);
}

static void who_pings_for_each_data_is_answered_once_a_step(void **state)
{
    (void)state;
    enum { MS = 500 };
    unsigned pinged = 0;
    for (unsigned i = 0; i < MS; i++) { /* as grpc-go does */
        play_data(&rig.played[0], "dial", 4, false);
        if (h2_client.ping_acks == pinged) {
            ping("b");
            pinged++;
        }
        h2_client_turn();
    }
    h2_client_turns(2);
    assert_in_range(pinged, MS / (HTTP2_STEP_MS + 9) - 1, MS / HTTP2_STEP_MS + 1);
    assert_int_equal(body->body_bytes, 4 * MS);
}

static void the_answer_goes_behind_what_is_sent_with_it(void **state)
{
    (void)state;
    ping_twice();
    unsigned frames = body->data_frames;
    uint64_t before = h2_client.body_bytes;
    while (h2_client.ping_acks < 2) {
        before = h2_client.body_bytes;
        play_data(&rig.played[0], "close", 5, false);
        h2_client_turn();
    }
    assert_true(body->data_frames > frames);
    assert_int_equal(h2_client.body_bytes, before + 5);
    assert_int_equal(h2_client.body_at_ping, before + 5);
}

/* -- at once ------------------------------------------------------------------------------------------------
 */

static void a_second_one_has_both_answered_in_order(void **state)
{
    (void)state;
    ping_twice();
    ping("c");
    h2_client_turns(2);
    assert_int_equal(h2_client.ping_acks, 3);
    assert_string_equal(h2_client.pongs, "abc");
}

static void where_data_flows_it_is_answered_at_once(void **state)
{
    (void)state;
    ping("a");
    h2_client_turns(2);
    play_data(&rig.played[0], pattern, HTTP2_PING_FLOW, false);
    h2_client_turn();
    ping("b");
    h2_client_turns(2);
    assert_int_equal(h2_client.ping_acks, 2);
    ping("c"); /* what was sent before counts for one */
    h2_client_turns(2);
    assert_int_equal(h2_client.ping_acks, 2);
    turns_until_answered(3);
}

static void one_that_is_held_is_answered_when_data_begins_to_flow(void **state)
{
    (void)state;
    ping_twice();
    play_data(&rig.played[0], pattern, 1000, false);
    h2_client_turn();
    assert_int_equal(h2_client.ping_acks, 1);
    uint64_t before = h2_client.body_bytes;
    play_data(&rig.played[0], pattern, sizeof(pattern) - 1000, false);
    h2_client_turns(2);
    assert_int_equal(h2_client.ping_acks, 2);
    assert_true(h2_client.body_at_ping < before + HTTP2_PING_FLOW + 16384);
    assert_true(h2_client.body_bytes > h2_client.body_at_ping); /* ahead of the rest */
}

static void one_that_is_due_waits_for_no_window(void **state)
{
    (void)state;
    play_data(&rig.played[0], pattern, 65535, false); /* all of the client's window */
    rig.pipe->take_turn = 0;
    h2_client_turns(2);
    ping("a");
    h2_client_turns(2);
    assert_int_equal(h2_client.ping_acks, 1);
    ping("b");
    assert_in_range(turns_until_answered(2), 2, HTTP2_STEP_MS + 18);
}

/* -- ends ---------------------------------------------------------------------------------------------------
 */

static void one_that_is_held_is_answered_before_the_last_goaway(void **state)
{
    (void)state;
    ping_twice();
    play_data(&rig.played[0], NULL, 0, true);
    h2_client_turn();
    assert_int_equal(h2_client.ping_acks, 1);
    front_http2_idle(front_rig_conn());
    h2_client_turns(2);
    assert_int_equal(h2_client.ping_acks, 2);
    assert_int_equal(h2_client.goaways, 1);
    assert_int_equal(front_rig_conn()->state, FRONT_LINGER); /* nothing has waited */
}

static void while_draining_it_is_answered_too(void **state)
{
    (void)state;
    ping_twice();
    rig.bw.draining = true;
    front_drain(front_rig_conn());
    h2_client_turns(4);
    assert_int_equal(h2_client.goaways, 2);
    assert_int_equal(h2_client.ping_acks, 2);
    ping("c"); /* its answer would come too late, perhaps */
    h2_client_turns(2);
    assert_int_equal(h2_client.ping_acks, 3);
    assert_string_equal(h2_client.pongs, "abc");
    play_data(&rig.played[0], NULL, 0, true);
    h2_client_turns(2);
    assert_true(body->ended);
    assert_int_equal(front_rig_conn()->state, FRONT_LINGER);
}

static void a_client_that_ends_its_direction_is_answered(void **state)
{
    (void)state;
    ping_twice();
    pipe_end(rig.pipe);
    h2_client_turns(2);
    assert_int_equal(h2_client.ping_acks, 2);
}

static void a_client_that_says_goaway_is_answered(void **state)
{
    (void)state;
    ping_twice();
    assert_int_equal(
        nghttp2_submit_goaway(h2_client.session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0), 0);
    h2_client_turns(2);
    assert_int_equal(h2_client.ping_acks, 2);
}

static void a_connection_that_is_lost_has_no_answer_left(void **state)
{
    (void)state;
    ping_twice();
    pipe_reset(rig.pipe);
    h2_client_turns(HTTP2_STEP_MS * 2);
    assert_null(front_rig_conn());
}

/* -- too many -----------------------------------------------------------------------------------------------
 */

static void answers_that_nobody_reads_are_bounded(void **state)
{
    (void)state;
    nghttp2_submit_window_update(h2_client.session, NGHTTP2_FLAG_NONE, 0, 1 << 20);
    nghttp2_submit_window_update(h2_client.session, NGHTTP2_FLAG_NONE, body->id, 1 << 20);
    h2_client_turn();
    rig.pipe->stalled = true;
    for (unsigned sent = 0; sent < HTTP2_UNSENT_MAX; sent += sizeof(pattern))
        play_data(&rig.played[0], pattern, sizeof(pattern), false);
    unsigned pinged = 0;
    while (front_rig_conn() && pinged < 3000) {
        ping("f");
        rig.world.now_ns += 19000000; /* with its turn 20 ms, which http2_watch.h lets pass for ever */
        h2_client_turn();
        pinged++;
    }
    assert_in_range(pinged, 1000, 1010); /* nghttp2's own bound on what waits */
    assert_int_equal(rig.world.worker.counters.values[COUNTER_http2_flood_ping], 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(one_now_and_then_is_answered_at_once),
        T(one_that_follows_soon_is_answered_at_the_step),
        T(who_pings_for_each_data_is_answered_once_a_step),
        T(the_answer_goes_behind_what_is_sent_with_it),
        T(a_second_one_has_both_answered_in_order),
        T(where_data_flows_it_is_answered_at_once),
        T(one_that_is_held_is_answered_when_data_begins_to_flow),
        T(one_that_is_due_waits_for_no_window),
        T(one_that_is_held_is_answered_before_the_last_goaway),
        T(while_draining_it_is_answered_too),
        T(a_client_that_ends_its_direction_is_answered),
        T(a_client_that_says_goaway_is_answered),
        T(a_connection_that_is_lost_has_no_answer_left),
        T(answers_that_nobody_reads_are_bounded),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
