/* test/unit/test_front_http2_abuse.c — hostile HTTP/2 clients, frame by frame: requests that come to nothing,
 * more streams than may be, and what is no HTTP/2. Every attack ends at its bound, is counted and logged
 * once, and what is held meanwhile stays small. Frames without a request, field blocks, windows:
 * test_front_http2_abuse_frames.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "test/support/raw_client.h"

static int setup(void **state)
{
    (void)state;
    raw_client_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    raw_client_stop();
    return 0;
}

/* -- requests that come to nothing --------------------------------------------------------------------------
 */

static void rapid_reset_ends_at_its_budget(void **state)
{
    (void)state;
    raw_greet();
    for (unsigned i = 0; i < 500; i++) {
        raw_ask(2 * i + 1, GET, END_STREAM);
        raw_send_u32(RST_STREAM, 2 * i + 1, NGHTTP2_CANCEL);
    }
    raw_assert_flood(COUNTER_http2_flood_reset);
    assert_int_equal(rig.asked, 101);
}

/* As when a destination hangs and all who asked it lose their patience at once. */
static void cancelling_many_that_waited_is_no_flood(void **state)
{
    (void)state;
    raw_greet();
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < 100; i++)
            raw_ask(200 * round + 2 * i + 1, GET, END_STREAM);
        raw_turns(3);
        rig.world.now_ns += 2ull * 1000000000;
        raw_turns(1);
        for (unsigned i = 0; i < 100; i++)
            raw_send_u32(RST_STREAM, 200 * round + 2 * i + 1, NGHTTP2_CANCEL);
        raw_turns(3);
    }
    assert_int_equal(rig.asked, 500);
    assert_int_equal(raw_client.frames[GOAWAY], 0);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(rig.played[i].end, PLAYED_GONE);
}

static void resets_of_answered_requests_are_no_flood(void **state)
{
    (void)state;
    raw_greet();
    for (unsigned i = 0; i < 1000; i++) {
        raw_ask(2 * i + 1, GET, END_STREAM);
        raw_turns(2);
        play_head(&rig.played[i], OK "Transfer-Encoding: chunked\r\n\r\n");
        play_data(&rig.played[i], "x", 1, false);
        raw_turns(2);
        raw_send_u32(RST_STREAM, 2 * i + 1, NGHTTP2_CANCEL);
    }
    raw_turns(3);
    assert_int_equal(raw_client.frames[GOAWAY], 0);
    assert_int_equal(rig.asked, 1000);
}

static void malformed_requests_are_a_flood_too(void **state)
{
    (void)state;
    raw_greet();
    for (unsigned i = 0; i < 200; i++) {
        raw_ask(2 * i + 1, GET "|connection=close", END_STREAM);
        raw_turns(2);
    }
    raw_assert_flood(COUNTER_http2_flood_reset);
    assert_int_equal(rig.asked, 0);
    assert_int_equal(raw_counted(COUNTER_requests_malformed), 101);
}

/* "MadeYouReset": frames that are wrong for their stream, so that the server resets it. */
static void provoked_resets_are_a_flood_too(void **state)
{
    (void)state;
    raw_greet();
    for (unsigned i = 0; i < 200; i++) {
        raw_ask(2 * i + 1, GET, END_STREAM);
        raw_send_u32(WINDOW_UPDATE, 2 * i + 1, 0x7fffffff);
        raw_turns(2);
    }
    raw_assert_flood(COUNTER_http2_flood_reset);
    assert_true(rig.asked <= 101);
}

/* -- streams ------------------------------------------------------------------------------------------------
 */

static void streams_above_the_limit_are_refused(void **state)
{
    (void)state;
    raw_say_preface();
    raw_send(SETTINGS, 0, 0, NULL, 0);
    for (unsigned i = 0; i < 110; i++)
        raw_ask(2 * i + 1, GET, END_STREAM);
    raw_turns(4);
    assert_int_equal(rig.asked, 100);
    assert_int_equal(raw_client.resets, 10);
    assert_int_equal(raw_client.reset_code[2 * 100 + 1], NGHTTP2_REFUSED_STREAM);
    assert_int_equal(raw_client.frames[GOAWAY], 0);
    raw_send(SETTINGS, ACK, 0, NULL, 0); /* from now on it knows the limit */
    raw_ask(2 * 110 + 1, GET, END_STREAM);
    raw_turns(4);
    raw_assert_ended(NGHTTP2_PROTOCOL_ERROR);
}

static void refusals_before_the_limit_is_known_are_bounded(void **state)
{
    (void)state;
    raw_say_preface();
    raw_send(SETTINGS, 0, 0, NULL, 0);
    for (unsigned i = 0; i < 2000; i++)
        raw_ask(2 * i + 1, GET, END_STREAM);
    raw_assert_flood(COUNTER_http2_flood_reset);
    assert_int_equal(rig.asked, 100);
}

/* Heads wait in nghttp2's memory when the client reads nothing. */
static void heads_that_nobody_reads_are_bounded(void **state)
{
    (void)state;
    static char head[60000] = OK "Content-Length: 0\r\nX-Large: ";
    size_t len = strlen(head);
    memset(head + len, 'h', sizeof(head) - len - 5);
    memcpy(head + sizeof(head) - 5, "\r\n\r\n", 5);
    raw_greet();
    rig.pipe->stalled = true;
    for (unsigned i = 0; i < 100; i++) {
        raw_ask(2 * i + 1, GET, END_STREAM);
        raw_turns(2);
        play_head(&rig.played[i], head);
        play_end(&rig.played[i], NULL);
        assert_true(front_rig_conn()->http2->memory.used < HTTP2_MEMORY_MAX);
        assert_true(rig.pipe->outstanding < HTTP2_UNSENT_MAX + 65536);
    }
    unsigned given_up = 0;
    for (unsigned i = 0; i < 100; i++)
        given_up += rig.played[i].end == PLAYED_GONE && rig.played[i].reason == ENDING_SLOW_READER;
    assert_true(given_up > 10);
    rig.pipe->stalled = false;
    raw_turns(60);
    unsigned ended = 0;
    for (unsigned i = 0; i < 100; i++)
        ended += raw_client.ended[2 * i + 1];
    assert_int_equal(ended + given_up, 100);
    assert_int_equal(raw_client.frames[GOAWAY], 0);
}

/* -- no HTTP/2 at all ---------------------------------------------------------------------------------------
 */

static void what_is_no_frame_ends_the_connection(void **state)
{
    (void)state;
    raw_say_preface();
    pipe_give(rig.pipe, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    raw_turns(4);
    assert_true(raw_client.frames[GOAWAY] == 1);
    assert_int_not_equal(raw_client.goaway_code, NGHTTP2_NO_ERROR);
    assert_true(rig.pipe->owner_finished);
    assert_int_equal(rig.asked, 0);
    assert_int_equal(raw_counted(COUNTER_http2_errors), 1);
}

static void random_bytes_end_the_connection(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 300; seed++) {
        uint32_t x = seed;
        uint8_t bytes[512];
        if (seed > 1) {
            teardown(state);
            setup(state);
        }
        raw_greet();
        for (size_t i = 0; i < sizeof(bytes); i++) {
            x = x * 1664525u + 1013904223u;
            bytes[i] = i % 9 < 2 ? 0 : (uint8_t)(x >> 24); /* lengths that may be real */
        }
        pipe_give(rig.pipe, bytes, sizeof(bytes));
        raw_turns(4);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(rapid_reset_ends_at_its_budget),
        T(cancelling_many_that_waited_is_no_flood),
        T(resets_of_answered_requests_are_no_flood),
        T(malformed_requests_are_a_flood_too),
        T(provoked_resets_are_a_flood_too),
        T(streams_above_the_limit_are_refused),
        T(refusals_before_the_limit_is_known_are_bounded),
        T(heads_that_nobody_reads_are_bounded),
        T(what_is_no_frame_ends_the_connection),
        T(random_bytes_end_the_connection),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
