/* test/unit/test_http2_watch.c — what a peer may make us do for nothing: each kind of frame, the budgets and
 * how they fill up, whatever way the bytes are cut; and the Proxy-Status field.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "broker/http/http2_watch.h"
#include "broker/http/proxy_status.h"

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
    CONTINUATION
};

static const uint64_t second = 1000000000u;
static struct http2_watch watch;
static uint64_t now;

static int setup(void **state)
{
    (void)state;
    now = 5000 * second;
    http2_watch_init(&watch, now, 0);
    return 0;
}

static size_t make(uint8_t *to, unsigned type, unsigned flags, uint32_t len)
{
    memset(to, 0, 9 + len);
    to[1] = (uint8_t)(len >> 8);
    to[2] = (uint8_t)len;
    to[3] = (uint8_t)type;
    to[4] = (uint8_t)flags;
    to[8] = 1;
    return 9 + len;
}

static enum http2_flood see(unsigned type, unsigned flags, uint32_t len)
{
    uint8_t frame[9 + 1024];
    enum http2_flood flood = http2_watch_input(&watch, now, frame, make(frame, type, flags, len));
    watch.skip = 0; /* after a flood nothing more is looked at, not even the rest of its frame */
    return flood;
}

/* How many such frames pass before the first that does not; 5000 is enough for all of them. */
static unsigned passing(unsigned type, unsigned flags, uint32_t len, enum http2_flood expected)
{
    for (unsigned n = 0; n < 5000; n++) {
        enum http2_flood flood = see(type, flags, len);
        if (flood != HTTP2_FLOOD_NONE) {
            assert_int_equal(flood, expected);
            return n;
        }
    }
    return 5000;
}

static void each_kind_has_its_name_and_price(void **state)
{
    static const struct {
        unsigned type, flags;
        uint32_t len;
        enum http2_flood flood;
        unsigned passing;
    } rows[] = {
        {PING,          0,   8,   HTTP2_FLOOD_PING,          1000},
        {PING,          1,   8,   HTTP2_FLOOD_PING,          1000},
        {SETTINGS,      0,   6,   HTTP2_FLOOD_SETTINGS,      100 },
        {SETTINGS,      1,   0,   HTTP2_FLOOD_SETTINGS,      100 },
        {PRIORITY,      0,   5,   HTTP2_FLOOD_PRIORITY,      1000},
        {WINDOW_UPDATE, 0,   4,   HTTP2_FLOOD_WINDOW_UPDATE, 1000},
        {RST_STREAM,    0,   4,   HTTP2_FLOOD_RESET,         1000},
        {GOAWAY,        0,   8,   HTTP2_FLOOD_OTHER,         1000},
        {PUSH_PROMISE,  4,   4,   HTTP2_FLOOD_OTHER,         1000},
        {0x42,          0,   0,   HTTP2_FLOOD_OTHER,         1000},
        {0x10,          0,   100, HTTP2_FLOOD_OTHER,         1000},
        {DATA,          0,   0,   HTTP2_FLOOD_EMPTY_DATA,    1000},
        {DATA,          0x8, 1,   HTTP2_FLOOD_EMPTY_DATA,    1000},
        {DATA,          0x8, 256, HTTP2_FLOOD_EMPTY_DATA,    1000},
        {DATA,          0x8, 257, HTTP2_FLOOD_NONE,          5000},
        {DATA,          0,   1,   HTTP2_FLOOD_NONE,          5000},
        {DATA,          1,   0,   HTTP2_FLOOD_NONE,          5000},
        {HEADERS,       0x5, 10,  HTTP2_FLOOD_NONE,          5000},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        setup(state);
        assert_int_equal(passing(rows[i].type, rows[i].flags, rows[i].len, rows[i].flood), rows[i].passing);
    }
}

static void a_block_has_at_most_eight_continuations(void **state)
{
    (void)state;
    for (unsigned block = 0; block < 3; block++) {
        assert_int_equal(see(HEADERS, 0, 10), HTTP2_FLOOD_NONE);
        for (unsigned i = 0; i < 7; i++)
            assert_int_equal(see(CONTINUATION, 0, 0), HTTP2_FLOOD_NONE);
        assert_int_equal(see(CONTINUATION, 4, 0), HTTP2_FLOOD_NONE);
    }
    assert_int_equal(see(HEADERS, 0, 10), HTTP2_FLOOD_NONE);
    assert_int_equal(passing(CONTINUATION, 0, 1, HTTP2_FLOOD_CONTINUATION), 8);
}

static void budgets_fill_up_with_time(void **state)
{
    (void)state;
    passing(PING, 0, 8, HTTP2_FLOOD_PING);
    now += second;
    assert_int_equal(passing(PING, 0, 8, HTTP2_FLOOD_PING), 50);
    for (unsigned i = 0; i < 10000; i++) { /* keepalive for hours */
        now += 10 * second;
        assert_int_equal(see(PING, 0, 8), HTTP2_FLOOD_NONE);
    }
    now += 365ull * 86400 * second;
    assert_int_equal(passing(PING, 0, 8, HTTP2_FLOOD_PING), 1000);
}

static void updates_are_paid_for_by_what_was_sent(void **state)
{
    (void)state;
    passing(WINDOW_UPDATE, 0, 4, HTTP2_FLOOD_WINDOW_UPDATE);
    for (unsigned i = 0; i < 1000; i++) { /* as Go's client does it: two for every 4 KiB */
        http2_watch_sent(&watch, 4096, false);
        assert_int_equal(see(WINDOW_UPDATE, 0, 4), HTTP2_FLOOD_NONE);
        assert_int_equal(see(WINDOW_UPDATE, 0, 4), HTTP2_FLOOD_NONE);
    }
    setup(state);
    passing(WINDOW_UPDATE, 0, 4, HTTP2_FLOOD_WINDOW_UPDATE);
    for (unsigned i = 0; i < 1000; i++) { /* a keystroke, acknowledged for stream and connection */
        http2_watch_sent(&watch, 1, true);
        assert_int_equal(see(WINDOW_UPDATE, 0, 4), HTTP2_FLOOD_NONE);
        assert_int_equal(see(WINDOW_UPDATE, 0, 4), HTTP2_FLOOD_NONE);
    }
    setup(state);
    unsigned n = 0;
    while (see(WINDOW_UPDATE, 0, 4) == HTTP2_FLOOD_NONE) { /* the game: a byte for each update */
        http2_watch_sent(&watch, 1, false);
        n++;
    }
    assert_in_range(n, 1000, 1010);
}

static void who_reads_after_a_pause_owes_all_updates_at_once(void **state)
{
    enum { WINDOW = 4 << 20, FRAME = 16384, PAID = WINDOW / HTTP2_BYTES_PER_UPDATE };
    (void)state;
    for (unsigned sent = 0; sent < WINDOW; sent += FRAME)
        http2_watch_sent(&watch, FRAME, false);
    for (unsigned i = 0; i < 2 * WINDOW / 4096; i++)
        assert_int_equal(see(WINDOW_UPDATE, 0, 4), HTTP2_FLOOD_NONE);
    assert_int_equal(passing(PING, 0, 8, HTTP2_FLOOD_PING), 1000); /* of which others have nothing */
    setup(state);
    for (unsigned sent = 0; sent < WINDOW; sent += FRAME)
        http2_watch_sent(&watch, FRAME, false);
    for (unsigned i = 0; i < PAID; i++)
        assert_int_equal(see(WINDOW_UPDATE, 0, 4), HTTP2_FLOOD_NONE);
    assert_int_equal(passing(WINDOW_UPDATE, 0, 4, HTTP2_FLOOD_WINDOW_UPDATE), 1000);
}

static void wasted_requests_are_paid_for_by_answered_ones(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(http2_watch_wasted(&watch, now), HTTP2_FLOOD_NONE);
    assert_int_equal(http2_watch_wasted(&watch, now), HTTP2_FLOOD_RESET);
    for (unsigned i = 0; i < 1000; i++) {
        http2_watch_answered(&watch);
        assert_int_equal(http2_watch_wasted(&watch, now), HTTP2_FLOOD_NONE);
    }
    assert_int_equal(http2_watch_wasted(&watch, now), HTTP2_FLOOD_RESET);
    now += second;
    assert_int_equal(http2_watch_wasted(&watch, now), HTTP2_FLOOD_NONE);
    assert_int_equal(http2_watch_wasted(&watch, now), HTTP2_FLOOD_RESET);
}

static void an_answered_request_may_be_reset(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3000; i++)
        http2_watch_answered(&watch);
    for (unsigned i = 0; i < 3000; i++)
        assert_int_equal(see(RST_STREAM, 0, 4), HTTP2_FLOOD_NONE);
    assert_int_equal(passing(RST_STREAM, 0, 4, HTTP2_FLOOD_RESET), 1000);
}

static void the_answer_does_not_depend_on_how_bytes_are_cut(void **state)
{
    static uint8_t bytes[64 * 1024];
    size_t len = HTTP2_PREFACE_BYTES, found = 0;
    memset(bytes, 0xff, len); /* a preface is skipped, whatever is in it */
    for (unsigned i = 0; i < 1001; i++) {
        len += make(bytes + len, DATA, 0, 20);
        len += make(bytes + len, PING, 0, 8);
    }
    for (size_t piece = 1; piece < 200; piece += 7) {
        setup(state);
        http2_watch_init(&watch, now, HTTP2_PREFACE_BYTES);
        size_t at = 0;
        enum http2_flood flood = HTTP2_FLOOD_NONE;
        while (at < len && flood == HTTP2_FLOOD_NONE) {
            size_t n = len - at < piece ? len - at : piece;
            flood = http2_watch_input(&watch, now, bytes + at, n);
            at += n;
        }
        assert_int_equal(flood, HTTP2_FLOOD_PING);
        assert_true(piece == 1 || at >= found); /* in the piece where the last PING's header ends */
        if (piece == 1)
            found = at;
        assert_true(at < found + piece);
    }
}

static void an_open_block_is_known(void **state)
{
    (void)state;
    uint8_t frame[64];
    assert_false(http2_watch_in_block(&watch));
    assert_int_equal(see(HEADERS, 0, 10), HTTP2_FLOOD_NONE);
    assert_true(http2_watch_in_block(&watch));
    assert_int_equal(see(CONTINUATION, 0, 10), HTTP2_FLOOD_NONE);
    assert_true(http2_watch_in_block(&watch));
    assert_int_equal(see(CONTINUATION, 4, 10), HTTP2_FLOOD_NONE);
    assert_false(http2_watch_in_block(&watch));
    size_t len = make(frame, HEADERS, 4, 10);
    assert_int_equal(http2_watch_input(&watch, now, frame, len - 1), HTTP2_FLOOD_NONE);
    assert_true(http2_watch_in_block(&watch));
    assert_int_equal(http2_watch_input(&watch, now, frame + len - 1, 1), HTTP2_FLOOD_NONE);
    assert_false(http2_watch_in_block(&watch));
    len = make(frame, DATA, 0, 10);
    assert_int_equal(http2_watch_input(&watch, now, frame, len - 1), HTTP2_FLOOD_NONE);
    assert_false(http2_watch_in_block(&watch));
}

static void floods_have_texts(void **state)
{
    (void)state;
    for (int i = 0; i < HTTP2_FLOOD_COUNT; i++) {
        assert_true(strlen(http2_flood_text((enum http2_flood)i)) > 0);
        assert_true(strlen(http2_flood_label((enum http2_flood)i)) > 0);
    }
}

/* -- Proxy-Status -------------------------------------------------------------------------------------------
 */

static void assert_status(enum ending ending, struct slice details, const char *expected)
{
    char room[PROXY_STATUS_MAX];
    struct slice found = proxy_status(ending, details, room);
    assert_int_equal(found.len, strlen(expected));
    assert_memory_equal(found.data, expected, found.len);
}

static void proxy_status_is_a_structured_field(void **state)
{
    (void)state;
    assert_status(ENDING_REFUSED, SLICE(""), "hawser; error=connection_refused");
    assert_status(ENDING_NOT_ALLOWED, SLICE("no"), "hawser; error=http_request_denied; details=\"no\"");
    assert_status(ENDING_NAME_UNKNOWN, SLICE("a \"b\" \\ \r\n\0\x7f\xe9"),
                  "hawser; error=dns_error; details=\"a \\\"b\\\" \\\\ ?????\"");
}

static void proxy_status_knows_every_ending_and_never_overflows(void **state)
{
    (void)state;
    char details[1000], room[PROXY_STATUS_MAX];
    memset(details, '"', sizeof details);
    for (int i = 0; i < ENDING_COUNT; i++)
        for (uint32_t len = 0; len <= sizeof details; len += 50) {
            struct slice found = proxy_status((enum ending)i, slice_of(details, len), room);
            assert_true(found.len <= PROXY_STATUS_MAX);
            assert_true(len == 0 || found.data[found.len - 1] == '"');
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_kind_has_its_name_and_price, setup),
        cmocka_unit_test_setup(a_block_has_at_most_eight_continuations, setup),
        cmocka_unit_test_setup(budgets_fill_up_with_time, setup),
        cmocka_unit_test_setup(updates_are_paid_for_by_what_was_sent, setup),
        cmocka_unit_test_setup(who_reads_after_a_pause_owes_all_updates_at_once, setup),
        cmocka_unit_test_setup(wasted_requests_are_paid_for_by_answered_ones, setup),
        cmocka_unit_test_setup(an_answered_request_may_be_reset, setup),
        cmocka_unit_test_setup(the_answer_does_not_depend_on_how_bytes_are_cut, setup),
        cmocka_unit_test_setup(an_open_block_is_known, setup),
        cmocka_unit_test_setup(floods_have_texts, setup),
        cmocka_unit_test_setup(proxy_status_is_a_structured_field, setup),
        cmocka_unit_test_setup(proxy_status_knows_every_ending_and_never_overflows, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
