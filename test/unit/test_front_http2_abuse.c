/* test/unit/test_front_http2_abuse.c — hostile HTTP/2 clients, frame by frame: every attack ends at its
 * bound, is counted and logged once, and what is held meanwhile stays small.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "test/support/front_rig.h"

enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
    TYPES
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };
enum { IDS = 8192 };

#define OK "HTTP/1.1 200 OK\r\n"

/* What has come back. */
static struct {
    unsigned frames[TYPES], pings_acked, resets;
    uint32_t goaway_code; /* of the last */
    uint32_t reset_code[IDS];
    bool was_reset[IDS], ended[IDS];
    uint64_t body[IDS];
    uint8_t left[1 << 16];
    size_t left_len;
} seen;

static uint8_t pattern[EXCHANGE_BUDGET];
static nghttp2_hd_deflater *deflater;

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    front_rig_start();
    assert_int_equal(nghttp2_hd_deflate_new(&deflater, 4096), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nghttp2_hd_deflate_del(deflater);
    front_rig_stop();
    return 0;
}

/* -- frames -------------------------------------------------------------------------------------------------
 */

static void send_frame(unsigned type, unsigned flags, uint32_t id, const void *payload, size_t len)
{
    uint8_t head[9] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len,
                       (uint8_t)type,        (uint8_t)flags,      (uint8_t)(id >> 24),
                       (uint8_t)(id >> 16),  (uint8_t)(id >> 8),  (uint8_t)id};
    pipe_give(rig.pipe, head, sizeof(head));
    if (len > 0)
        pipe_give(rig.pipe, payload, len);
}

static void send_u32(unsigned type, uint32_t id, uint32_t value)
{
    uint8_t payload[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                          (uint8_t)value};
    send_frame(type, 0, id, payload, sizeof(payload));
}

static void send_setting(unsigned id, uint32_t value)
{
    uint8_t payload[6] = {0,
                          (uint8_t)id,
                          (uint8_t)(value >> 24),
                          (uint8_t)(value >> 16),
                          (uint8_t)(value >> 8),
                          (uint8_t)value};
    send_frame(SETTINGS, 0, 0, payload, sizeof(payload));
}

/* "name=value|name=value" compressed. */
static size_t pack(uint8_t *to, size_t room, const char *fields)
{
    nghttp2_nv nv[32];
    size_t n = 0;
    while (*fields) {
        size_t name_len = strcspn(fields, "="), len = strcspn(fields, "|");
        nv[n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)fields, (uint8_t *)(uintptr_t)fields + name_len + 1,
                               name_len, len - name_len - 1, NGHTTP2_NV_FLAG_NONE};
        fields += len + (fields[len] == '|');
    }
    ssize_t used = nghttp2_hd_deflate_hd(deflater, to, room, nv, n);
    assert_true(used > 0);
    return (size_t)used;
}

#define GET  ":method=GET|:scheme=http|:authority=10.0.0.1|:path=/"
#define POST ":method=POST|:scheme=http|:authority=10.0.0.1|:path=/"

static void ask(uint32_t id, const char *fields, unsigned flags)
{
    uint8_t block[8192];
    send_frame(HEADERS, flags | END_HEADERS, id, block, pack(block, sizeof(block), fields));
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void on_frame(unsigned type, unsigned flags, uint32_t id, const uint8_t *payload, uint32_t len)
{
    assert_true(type < TYPES);
    assert_true(id < IDS);
    seen.frames[type]++;
    if (type == PING && (flags & ACK))
        seen.pings_acked++;
    if (type == GOAWAY)
        seen.goaway_code = get32(payload + 4);
    if (type == RST_STREAM) {
        seen.resets++;
        seen.was_reset[id] = true;
        seen.reset_code[id] = get32(payload);
    }
    if (type == DATA)
        seen.body[id] += len;
    if ((type == DATA || type == HEADERS) && (flags & END_STREAM))
        seen.ended[id] = true;
}

static void read_frames(void)
{
    size_t n;
    while ((n = pipe_take(rig.pipe, seen.left + seen.left_len, sizeof(seen.left) - seen.left_len)) > 0) {
        size_t at = 0;
        seen.left_len += n;
        while (seen.left_len - at >= 9) {
            const uint8_t *head = seen.left + at;
            uint32_t len = get32(head) >> 8;
            if (seen.left_len - at < 9 + len)
                break;
            on_frame(head[3], head[4], get32(head + 5), head + 9, len);
            at += 9 + len;
        }
        memmove(seen.left, seen.left + at, seen.left_len - at);
        seen.left_len -= at;
    }
}

static void turns(int n)
{
    while (n-- > 0 && front_rig_conn()) {
        world_turn(&rig.world);
        if (front_rig_conn())
            read_frames();
    }
}

static void say_preface(void)
{
    pipe_give(rig.pipe, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
}

static void greet(void)
{
    say_preface();
    send_frame(SETTINGS, 0, 0, NULL, 0);
    turns(3);
    send_frame(SETTINGS, ACK, 0, NULL, 0);
    turns(1);
}

static uint64_t counted(enum counter c)
{
    return rig.world.worker.counters.values[c];
}

/* The connection ended in good form: GOAWAY with the code, then our direction; nothing is kept. */
static void assert_ended(uint32_t code)
{
    assert_int_equal(seen.frames[GOAWAY], 1);
    assert_int_equal(seen.goaway_code, code);
    assert_true(rig.pipe->owner_finished);
    for (unsigned i = 0; i < rig.asked; i++)
        assert_int_not_equal(rig.played[i].end, PLAYED_RUNS);
}

static void assert_flood(enum counter kind)
{
    turns(4);
    assert_ended(NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(counted(kind), 1);
}

/* -- requests that come to nothing --------------------------------------------------------------------------
 */

static void rapid_reset_ends_at_its_budget(void **state)
{
    (void)state;
    greet();
    for (unsigned i = 0; i < 500; i++) {
        ask(2 * i + 1, GET, END_STREAM);
        send_u32(RST_STREAM, 2 * i + 1, NGHTTP2_CANCEL);
    }
    assert_flood(COUNTER_http2_flood_reset);
    assert_int_equal(rig.asked, 101);
}

/* As when a destination hangs and all who asked it lose their patience at once. */
static void cancelling_many_that_waited_is_no_flood(void **state)
{
    (void)state;
    greet();
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < 100; i++)
            ask(200 * round + 2 * i + 1, GET, END_STREAM);
        turns(3);
        rig.world.now_ns += 2ull * 1000000000;
        turns(1);
        for (unsigned i = 0; i < 100; i++)
            send_u32(RST_STREAM, 200 * round + 2 * i + 1, NGHTTP2_CANCEL);
        turns(3);
    }
    assert_int_equal(rig.asked, 500);
    assert_int_equal(seen.frames[GOAWAY], 0);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(rig.played[i].end, PLAYED_GONE);
}

static void resets_of_answered_requests_are_no_flood(void **state)
{
    (void)state;
    greet();
    for (unsigned i = 0; i < 1000; i++) {
        ask(2 * i + 1, GET, END_STREAM);
        turns(2);
        play_head(&rig.played[i], OK "Transfer-Encoding: chunked\r\n\r\n");
        play_data(&rig.played[i], "x", 1, false);
        turns(2);
        send_u32(RST_STREAM, 2 * i + 1, NGHTTP2_CANCEL);
    }
    turns(3);
    assert_int_equal(seen.frames[GOAWAY], 0);
    assert_int_equal(rig.asked, 1000);
}

static void malformed_requests_are_a_flood_too(void **state)
{
    (void)state;
    greet();
    for (unsigned i = 0; i < 200; i++) {
        ask(2 * i + 1, GET "|connection=close", END_STREAM);
        turns(2);
    }
    assert_flood(COUNTER_http2_flood_reset);
    assert_int_equal(rig.asked, 0);
    assert_int_equal(counted(COUNTER_requests_malformed), 101);
}

/* "MadeYouReset": frames that are wrong for their stream, so that the server resets it. */
static void provoked_resets_are_a_flood_too(void **state)
{
    (void)state;
    greet();
    for (unsigned i = 0; i < 200; i++) {
        ask(2 * i + 1, GET, END_STREAM);
        send_u32(WINDOW_UPDATE, 2 * i + 1, 0x7fffffff);
        turns(2);
    }
    assert_flood(COUNTER_http2_flood_reset);
    assert_true(rig.asked <= 101);
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
        greet();
        ask(1, POST, 0);
        turns(2);
        uint8_t payload[8] = {0, 0, 0, rows[i].type == WINDOW_UPDATE ? 1 : 0};
        for (unsigned n = 0; n < 3000; n++)
            send_frame(rows[i].type, rows[i].flags, rows[i].id, payload, rows[i].len);
        assert_flood(rows[i].kind);
        assert_true(seen.pings_acked <= 1000);
        assert_true(seen.frames[SETTINGS] <= 110);
    }
}

static void a_flood_of_pings_that_nobody_reads_answers_of_is_cut(void **state)
{
    (void)state;
    greet();
    rig.pipe->stalled = true;
    ask(1, GET, END_STREAM);
    turns(2);
    play_head(&rig.played[0], OK "Content-Length: 65000\r\n\r\n");
    play_data(&rig.played[0], pattern, 65000, true);
    for (unsigned n = 0; n < 3000; n++)
        send_frame(PING, 0, 0, "01234567", 8);
    turns(3);
    assert_int_equal(counted(COUNTER_http2_flood_ping), 1);
    assert_true(rig.pipe->outstanding_max <= HTTP2_UNSENT_MAX + 16384 + 9);
}

static void patient_keepalive_is_no_flood(void **state)
{
    (void)state;
    greet();
    ask(1, GET, END_STREAM);
    turns(2);
    for (unsigned n = 0; n < 5000; n++) {
        rig.world.now_ns += 10ull * 1000000000;
        send_frame(PING, 0, 0, "01234567", 8);
        turns(2);
    }
    assert_int_equal(seen.pings_acked, 5000);
    assert_int_equal(seen.frames[GOAWAY], 0);
}

/* -- field blocks -------------------------------------------------------------------------------------------
 */

static void a_block_without_end_is_a_flood(void **state)
{
    (void)state;
    uint8_t block[256];
    greet();
    send_frame(HEADERS, END_STREAM, 1, block, pack(block, sizeof(block), GET));
    for (unsigned i = 0; i < 100; i++)
        send_frame(CONTINUATION, 0, 1, block, 0);
    assert_flood(COUNTER_http2_flood_continuation);
    assert_int_equal(rig.asked, 0);
}

/* Refused streams' blocks are decoded too, because the table is the connection's: that must end as well. */
static void a_block_without_end_on_a_stream_that_is_not_read_is_a_flood(void **state)
{
    (void)state;
    uint8_t block[256];
    greet();
    ask(3, GET, END_STREAM);
    turns(2);
    send_u32(RST_STREAM, 3, NGHTTP2_CANCEL);
    send_frame(HEADERS, END_STREAM, 1, block, pack(block, sizeof(block), GET)); /* an older stream */
    for (unsigned i = 0; i < 100; i++)
        send_frame(CONTINUATION, 0, 1, block, 0);
    assert_flood(COUNTER_http2_flood_continuation);
}

static void a_block_that_is_not_finished_ends_at_its_deadline(void **state)
{
    (void)state;
    uint8_t block[256];
    greet();
    ask(1, GET, END_STREAM);
    size_t len = pack(block, sizeof(block), GET);
    send_frame(HEADERS, END_STREAM, 3, block, len);
    turns(3);
    rig.world.now_ns += 4ull * 1000000000;
    turns(3);
    assert_int_equal(seen.frames[GOAWAY], 0);
    rig.world.now_ns += 2ull * 1000000000;
    turns(4);
    assert_ended(NGHTTP2_ENHANCE_YOUR_CALM);
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
    greet();
    ask(1, fields, END_STREAM);
    turns(3);
    assert_int_equal(rig.asked, 1);
    uint64_t before = world_buffers_used(&rig.world);
    for (unsigned i = 0; i < 20; i++) {
        len = pack(block, sizeof(block), GET);
        memset(block + len, 0xbe, sizeof(block) - len); /* index 62: the newest entry of the table */
        send_frame(HEADERS, END_STREAM | END_HEADERS, 3 + 2 * i, block, sizeof(block));
        turns(2);
        assert_int_equal(world_buffers_used(&rig.world), before);
        assert_true(seen.ended[3 + 2 * i]); /* 431 */
    }
    assert_int_equal(rig.asked, 1);
    assert_int_equal(seen.frames[GOAWAY], 0);
    assert_int_equal(counted(COUNTER_requests_malformed), 20);
}

/* -- windows ------------------------------------------------------------------------------------------------
 */

static void windows_that_overflow_are_errors(void **state)
{
    (void)state;
    greet();
    ask(1, GET, END_STREAM);
    turns(2);
    send_u32(WINDOW_UPDATE, 1, 0x7fffffff);
    turns(3);
    assert_true(seen.was_reset[1]);
    assert_int_equal(seen.reset_code[1], NGHTTP2_FLOW_CONTROL_ERROR);
    assert_int_equal(rig.played[0].end, PLAYED_GONE);
    send_u32(WINDOW_UPDATE, 0, 0x7fffffff);
    turns(4);
    assert_ended(NGHTTP2_FLOW_CONTROL_ERROR);
    assert_int_equal(counted(COUNTER_http2_errors), 1);
}

static void a_body_beyond_its_window_is_an_error(void **state)
{
    (void)state;
    greet();
    ask(1, POST, 0);
    turns(2);
    for (unsigned i = 0; i < EXCHANGE_BUDGET / 16384; i++)
        send_frame(DATA, 0, 1, pattern, 16384);
    turns(6);
    assert_int_equal(rig.played[0].received, EXCHANGE_BUDGET);
    assert_false(seen.was_reset[1]);
    send_frame(DATA, 0, 1, pattern, 1);
    turns(3);
    assert_true(seen.was_reset[1]);
    assert_int_equal(seen.reset_code[1], NGHTTP2_FLOW_CONTROL_ERROR);
    assert_int_equal(rig.played[0].end, PLAYED_GONE);
}

static void a_byte_at_a_time_is_a_flood(void **state)
{
    (void)state;
    greet();
    send_setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
    ask(1, GET, END_STREAM);
    turns(2);
    play_head(&rig.played[0], OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(&rig.played[0], pattern, sizeof(pattern), false);
    turns(2);
    for (unsigned i = 0; i < 3000; i++) {
        send_u32(WINDOW_UPDATE, 1, 1);
        turns(1);
    }
    assert_flood(COUNTER_http2_flood_window_update);
    assert_in_range(seen.body[1], 900, 1200);
}

/* Many requests whose answers are never taken: what is held stays below the bound, and whoever stands still
 * for longest is given up. */
static void many_streams_without_windows_are_given_up(void **state)
{
    (void)state;
    greet();
    send_setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
    for (unsigned i = 0; i < 100; i++) {
        ask(2 * i + 1, GET, END_STREAM);
        turns(2);
        play_head(&rig.played[i], OK "Transfer-Encoding: chunked\r\n\r\n");
        play_data(&rig.played[i], pattern, sizeof(pattern), false);
        assert_true(front_rig_conn()->http2->held_out <= HTTP2_HELD_MAX);
    }
    turns(2);
    unsigned given_up = 100 - HTTP2_HELD_MAX / EXCHANGE_BUDGET;
    assert_int_equal(seen.resets, given_up);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(seen.was_reset[2 * i + 1], i < given_up);
        assert_int_equal(rig.played[i].end, i < given_up ? PLAYED_GONE : PLAYED_RUNS);
    }
    assert_int_equal(seen.reset_code[1], NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(rig.played[0].reason, ENDING_SLOW_READER);
    /* And the connection is as good as ever. */
    ask(201, GET, END_STREAM);
    send_u32(WINDOW_UPDATE, 201, 100);
    turns(2);
    play_head(&rig.played[100], OK "Content-Length: 2\r\n\r\n");
    play_data(&rig.played[100], "ok", 2, true);
    turns(2);
    assert_true(seen.ended[201]);
}

/* Uploads that nobody takes: beyond the bound the connection's window is not given back. */
static void many_uploads_that_stand_still_are_bounded(void **state)
{
    (void)state;
    greet();
    uint64_t sent = 0, most = 0;
    for (unsigned i = 0; i < 90; i++) {
        ask(2 * i + 1, POST, 0);
        turns(2);
        for (unsigned n = 0; n < EXCHANGE_BUDGET / 16384 && !front_rig_conn()->http2->window_owed; n++) {
            send_frame(DATA, 0, 2 * i + 1, pattern, 16384);
            sent += 16384;
            turns(2);
            if (front_rig_conn()->http2->held_in > most)
                most = front_rig_conn()->http2->held_in;
        }
    }
    assert_true(most <= HTTP2_HELD_MAX + HTTP2_WINDOW);
    assert_true(most >= HTTP2_HELD_MAX);
    assert_int_equal(seen.frames[GOAWAY], 0);
    play_grant(&rig.played[0], EXCHANGE_BUDGET);
    turns(2);
    assert_int_equal(front_rig_conn()->http2->window_owed, 0);
}

/* -- streams ------------------------------------------------------------------------------------------------
 */

static void streams_above_the_limit_are_refused(void **state)
{
    (void)state;
    say_preface();
    send_frame(SETTINGS, 0, 0, NULL, 0);
    for (unsigned i = 0; i < 110; i++)
        ask(2 * i + 1, GET, END_STREAM);
    turns(4);
    assert_int_equal(rig.asked, 100);
    assert_int_equal(seen.resets, 10);
    assert_int_equal(seen.reset_code[2 * 100 + 1], NGHTTP2_REFUSED_STREAM);
    assert_int_equal(seen.frames[GOAWAY], 0);
    send_frame(SETTINGS, ACK, 0, NULL, 0); /* from now on it knows the limit */
    ask(2 * 110 + 1, GET, END_STREAM);
    turns(4);
    assert_ended(NGHTTP2_PROTOCOL_ERROR);
}

static void refusals_before_the_limit_is_known_are_bounded(void **state)
{
    (void)state;
    say_preface();
    send_frame(SETTINGS, 0, 0, NULL, 0);
    for (unsigned i = 0; i < 2000; i++)
        ask(2 * i + 1, GET, END_STREAM);
    assert_flood(COUNTER_http2_flood_reset);
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
    greet();
    rig.pipe->stalled = true;
    for (unsigned i = 0; i < 100; i++) {
        ask(2 * i + 1, GET, END_STREAM);
        turns(2);
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
    turns(60);
    unsigned ended = 0;
    for (unsigned i = 0; i < 100; i++)
        ended += seen.ended[2 * i + 1];
    assert_int_equal(ended + given_up, 100);
    assert_int_equal(seen.frames[GOAWAY], 0);
}

/* -- no HTTP/2 at all ---------------------------------------------------------------------------------------
 */

static void what_is_no_frame_ends_the_connection(void **state)
{
    (void)state;
    say_preface();
    pipe_give(rig.pipe, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    turns(4);
    assert_true(seen.frames[GOAWAY] == 1);
    assert_int_not_equal(seen.goaway_code, NGHTTP2_NO_ERROR);
    assert_true(rig.pipe->owner_finished);
    assert_int_equal(rig.asked, 0);
    assert_int_equal(counted(COUNTER_http2_errors), 1);
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
        greet();
        for (size_t i = 0; i < sizeof(bytes); i++) {
            x = x * 1664525u + 1013904223u;
            bytes[i] = i % 9 < 2 ? 0 : (uint8_t)(x >> 24); /* lengths that may be real */
        }
        pipe_give(rig.pipe, bytes, sizeof(bytes));
        turns(4);
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
        T(streams_above_the_limit_are_refused),
        T(refusals_before_the_limit_is_known_are_bounded),
        T(heads_that_nobody_reads_are_bounded),
        T(what_is_no_frame_ends_the_connection),
        T(random_bytes_end_the_connection),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
