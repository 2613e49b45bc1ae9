/* test/unit/test_front_http2_abuse_frames.c — hostile HTTP/2 clients, frame by frame: frames that say
 * nothing, field blocks without end or of no measure, and windows that overflow, drip or stand still. Every
 * attack ends at its bound.
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

/* -- frames that say nothing --------------------------------------------------------------------------------
 */

static void floods_of_idle_frames_end(void **state)
{
    (void)state;
    static const struct {
        unsigned type, flags;
        uint32_t id;
        size_t len;
        enum counter kind;
    } rows[] = {
        {PING,          0,      0, 8, COUNTER_http2_flood_ping         },
        {SETTINGS,      0,      0, 0, COUNTER_http2_flood_settings     },
        {PRIORITY,      0,      9, 5, COUNTER_http2_flood_priority     },
        {DATA,          0,      1, 0, COUNTER_http2_flood_empty_data   },
        {DATA,          PADDED, 1, 1, COUNTER_http2_flood_empty_data   },
        {WINDOW_UPDATE, 0,      0, 4, COUNTER_http2_flood_window_update},
        {0x55,          0,      0, 0, COUNTER_http2_flood_other        },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (i > 0) {
            teardown(state);
            setup(state);
        }
        raw_greet();
        raw_ask(1, POST, 0);
        raw_turns(2);
        uint8_t payload[8] = {0, 0, 0, rows[i].type == WINDOW_UPDATE ? 1 : 0};
        for (unsigned n = 0; n < 3000; n++)
            raw_send(rows[i].type, rows[i].flags, rows[i].id, payload, rows[i].len);
        raw_assert_flood(rows[i].kind);
        assert_true(raw_client.pings_acked <= 1000);
        assert_true(raw_client.frames[SETTINGS] <= 110);
    }
}

static void a_flood_of_pings_that_nobody_reads_answers_of_is_cut(void **state)
{
    (void)state;
    raw_greet();
    rig.pipe->stalled = true;
    raw_ask(1, GET, END_STREAM);
    raw_turns(2);
    play_head(&rig.played[0], OK "Content-Length: 65000\r\n\r\n");
    play_data(&rig.played[0], raw_client.pattern, 65000, true);
    for (unsigned n = 0; n < 3000; n++)
        raw_send(PING, 0, 0, "01234567", 8);
    raw_turns(3);
    assert_int_equal(raw_counted(COUNTER_http2_flood_ping), 1);
    assert_true(rig.pipe->outstanding_max <= HTTP2_UNSENT_MAX + 16384 + 9);
}

static void patient_keepalive_is_no_flood(void **state)
{
    (void)state;
    raw_greet();
    raw_ask(1, GET, END_STREAM);
    raw_turns(2);
    for (unsigned n = 0; n < 5000; n++) {
        rig.world.now_ns += 10ull * 1000000000;
        raw_send(PING, 0, 0, "01234567", 8);
        raw_turns(2);
    }
    assert_int_equal(raw_client.pings_acked, 5000);
    assert_int_equal(raw_client.frames[GOAWAY], 0);
}

/* -- field blocks -------------------------------------------------------------------------------------------
 */

static void a_block_without_end_is_a_flood(void **state)
{
    (void)state;
    uint8_t block[256];
    raw_greet();
    raw_send(HEADERS, END_STREAM, 1, block, raw_pack(block, sizeof(block), GET));
    for (unsigned i = 0; i < 100; i++)
        raw_send(CONTINUATION, 0, 1, block, 0);
    raw_assert_flood(COUNTER_http2_flood_continuation);
    assert_int_equal(rig.asked, 0);
}

/* Refused streams' blocks are decoded too, because the table is the connection's: that must end as well. */
static void a_block_without_end_on_a_stream_that_is_not_read_is_a_flood(void **state)
{
    (void)state;
    uint8_t block[256];
    raw_greet();
    raw_ask(3, GET, END_STREAM);
    raw_turns(2);
    raw_send_u32(RST_STREAM, 3, NGHTTP2_CANCEL);
    raw_send(HEADERS, END_STREAM, 1, block, raw_pack(block, sizeof(block), GET)); /* an older stream */
    for (unsigned i = 0; i < 100; i++)
        raw_send(CONTINUATION, 0, 1, block, 0);
    raw_assert_flood(COUNTER_http2_flood_continuation);
}

static void a_block_that_is_not_finished_ends_at_its_deadline(void **state)
{
    (void)state;
    uint8_t block[256];
    raw_greet();
    raw_ask(1, GET, END_STREAM);
    size_t len = raw_pack(block, sizeof(block), GET);
    raw_send(HEADERS, END_STREAM, 3, block, len);
    raw_turns(3);
    rig.world.now_ns += 4ull * 1000000000;
    raw_turns(3);
    assert_int_equal(raw_client.frames[GOAWAY], 0);
    rig.world.now_ns += 2ull * 1000000000;
    raw_turns(4);
    raw_assert_ended(NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(rig.played[0].reason, ENDING_HEAD_TIMEOUT);
}

/* A value of 4,000 bytes is put into the table once and then named, a byte each time: 16 KiB become 60 MB. */
static void an_hpack_bomb_costs_no_memory(void **state)
{
    (void)state;
    static uint8_t block[16384];
    static char fields[5000] = GET "|x-bomb=";
    size_t len = strlen(fields);
    memset(fields + len, 'b', 4000);
    raw_greet();
    raw_ask(1, fields, END_STREAM);
    raw_turns(3);
    assert_int_equal(rig.asked, 1);
    uint64_t before = world_buffers_used(&rig.world);
    for (unsigned i = 0; i < 20; i++) {
        len = raw_pack(block, sizeof(block), GET);
        memset(block + len, 0xbe, sizeof(block) - len); /* index 62: the newest entry of the table */
        raw_send(HEADERS, END_STREAM | END_HEADERS, 3 + 2 * i, block, sizeof(block));
        raw_turns(2);
        assert_int_equal(world_buffers_used(&rig.world), before);
        assert_true(raw_client.ended[3 + 2 * i]); /* 431 */
    }
    assert_int_equal(rig.asked, 1);
    assert_int_equal(raw_client.frames[GOAWAY], 0);
    assert_int_equal(raw_counted(COUNTER_requests_malformed), 20);
}

/* -- windows ------------------------------------------------------------------------------------------------
 */

static void windows_that_overflow_are_errors(void **state)
{
    (void)state;
    raw_greet();
    raw_ask(1, GET, END_STREAM);
    raw_turns(2);
    raw_send_u32(WINDOW_UPDATE, 1, 0x7fffffff);
    raw_turns(3);
    assert_true(raw_client.was_reset[1]);
    assert_int_equal(raw_client.reset_code[1], NGHTTP2_FLOW_CONTROL_ERROR);
    assert_int_equal(rig.played[0].end, PLAYED_GONE);
    raw_send_u32(WINDOW_UPDATE, 0, 0x7fffffff);
    raw_turns(4);
    raw_assert_ended(NGHTTP2_FLOW_CONTROL_ERROR);
    assert_int_equal(raw_counted(COUNTER_http2_errors), 1);
}

static void a_body_beyond_its_window_is_an_error(void **state)
{
    (void)state;
    raw_greet();
    raw_ask(1, POST, 0);
    raw_turns(2);
    for (unsigned i = 0; i < EXCHANGE_BUDGET / 16384; i++)
        raw_send(DATA, 0, 1, raw_client.pattern, 16384);
    raw_turns(6);
    assert_int_equal(rig.played[0].received, EXCHANGE_BUDGET);
    assert_false(raw_client.was_reset[1]);
    raw_send(DATA, 0, 1, raw_client.pattern, 1);
    raw_turns(3);
    assert_true(raw_client.was_reset[1]);
    assert_int_equal(raw_client.reset_code[1], NGHTTP2_FLOW_CONTROL_ERROR);
    assert_int_equal(rig.played[0].end, PLAYED_GONE);
}

static void a_byte_at_a_time_is_a_flood(void **state)
{
    (void)state;
    raw_greet();
    raw_send_setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
    raw_ask(1, GET, END_STREAM);
    raw_turns(2);
    play_head(&rig.played[0], OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(&rig.played[0], raw_client.pattern, sizeof(raw_client.pattern), false);
    raw_turns(2);
    for (unsigned i = 0; i < 3000; i++) {
        raw_send_u32(WINDOW_UPDATE, 1, 1);
        raw_turns(1);
    }
    raw_assert_flood(COUNTER_http2_flood_window_update);
    assert_in_range(raw_client.body[1], 900, 1200);
}

/* Many requests whose answers are never taken: what is held stays below the bound, and whoever stands still
 * for longest is given up. */
static void many_streams_without_windows_are_given_up(void **state)
{
    (void)state;
    raw_greet();
    raw_send_setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
    for (unsigned i = 0; i < 100; i++) {
        raw_ask(2 * i + 1, GET, END_STREAM);
        raw_turns(2);
        play_head(&rig.played[i], OK "Transfer-Encoding: chunked\r\n\r\n");
        play_data(&rig.played[i], raw_client.pattern, sizeof(raw_client.pattern), false);
        assert_true(front_rig_conn()->http2->held_out <= HTTP2_HELD_MAX);
    }
    raw_turns(2);
    unsigned given_up = 100 - HTTP2_HELD_MAX / EXCHANGE_BUDGET;
    assert_int_equal(raw_client.resets, given_up);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(raw_client.was_reset[2 * i + 1], i < given_up);
        assert_int_equal(rig.played[i].end, i < given_up ? PLAYED_GONE : PLAYED_RUNS);
    }
    assert_int_equal(raw_client.reset_code[1], NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(rig.played[0].reason, ENDING_SLOW_READER);
    /* And the connection is as good as ever. */
    raw_ask(201, GET, END_STREAM);
    raw_send_u32(WINDOW_UPDATE, 201, 100);
    raw_turns(2);
    play_head(&rig.played[100], OK "Content-Length: 2\r\n\r\n");
    play_data(&rig.played[100], "ok", 2, true);
    raw_turns(2);
    assert_true(raw_client.ended[201]);
}

/* Uploads that nobody takes: beyond the bound the connection's window is not given back. */
static void many_uploads_that_stand_still_are_bounded(void **state)
{
    (void)state;
    raw_greet();
    uint64_t sent = 0, most = 0;
    for (unsigned i = 0; i < 90; i++) {
        raw_ask(2 * i + 1, POST, 0);
        raw_turns(2);
        for (unsigned n = 0; n < EXCHANGE_BUDGET / 16384 && !front_rig_conn()->http2->window_owed; n++) {
            raw_send(DATA, 0, 2 * i + 1, raw_client.pattern, 16384);
            sent += 16384;
            raw_turns(2);
            if (front_rig_conn()->http2->held_in > most)
                most = front_rig_conn()->http2->held_in;
        }
    }
    assert_true(most <= HTTP2_HELD_MAX + HTTP2_WINDOW);
    assert_true(most >= HTTP2_HELD_MAX);
    assert_int_equal(raw_client.frames[GOAWAY], 0);
    play_grant(&rig.played[0], EXCHANGE_BUDGET);
    raw_turns(2);
    assert_int_equal(front_rig_conn()->http2->window_owed, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(floods_of_idle_frames_end),
        T(a_flood_of_pings_that_nobody_reads_answers_of_is_cut),
        T(patient_keepalive_is_no_flood),
        T(a_block_without_end_is_a_flood),
        T(a_block_without_end_on_a_stream_that_is_not_read_is_a_flood),
        T(a_block_that_is_not_finished_ends_at_its_deadline),
        T(an_hpack_bomb_costs_no_memory),
        T(windows_that_overflow_are_errors),
        T(a_body_beyond_its_window_is_an_error),
        T(a_byte_at_a_time_is_a_flood),
        T(many_streams_without_windows_are_given_up),
        T(many_uploads_that_stand_still_are_bounded),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
