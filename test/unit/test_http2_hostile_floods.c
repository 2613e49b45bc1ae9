/* test/unit/test_http2_hostile_floods.c — destinations that flood an HTTP/2 session, which ends before they
 * cost more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/support/raw_server.h"

static int setup(void **state)
{
    (void)state;
    raw_server_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    raw_server_stop();
    return 0;
}

/* -- floods -------------------------------------------------------------------------------------------------
 */

static void flood(uint8_t type, uint8_t flags, int32_t id, const void *payload, size_t len)
{
    struct rig_peer *p = raw_server_begin(GET);
    for (int i = 0; i < 3000 && !raw_server.r[0].reset; i++) {
        rig_frame(p, type, flags, id, payload, len);
        script_run(&raw_server.rig.engine);
    }
    raw_server_assert_failed(p, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void flood_of_pings_ends_the_session(void **state)
{
    (void)state;
    flood(PING, 0, 0, "12345678", 8);
}

static void flood_of_settings_ends_the_session(void **state)
{
    (void)state;
    flood(SETTINGS, 0, 0, NULL, 0);
}

static void flood_of_priorities_ends_the_session(void **state)
{
    (void)state;
    flood(PRIORITY, 0, 1, "\0\0\0\0\1", 5);
}

static void flood_of_window_updates_ends_the_session(void **state)
{
    (void)state;
    flood(WINDOW_UPDATE, 0, 1, "\0\0\0\1", 4);
}

static void flood_of_unknown_frames_ends_the_session(void **state)
{
    (void)state;
    flood(77, 0, 0, "x", 1);
}

static void flood_of_empty_data_ends_the_session(void **state)
{
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    raw_server_say_headers(p, 1, 0, ":status=200");
    for (int i = 0; i < 3000 && !raw_server.r[0].reset; i++) {
        rig_frame(p, DATA, PADDED, 1, "\3\0\0\0", 4);
        script_run(&raw_server.rig.engine);
    }
    raw_server_assert_failed(p, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void flood_of_heads_on_a_stream_that_is_over_ends_the_session(void **state)
{
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    rig_ask(&raw_server.rig, &raw_server.r[1], GET, true);
    rig_run(&raw_server.rig);
    raw_server_say_headers(p, 3, END_STREAM, ":status=200");
    for (int i = 0; i < 3000 && !raw_server.r[0].reset; i++) {
        rig_frame(p, RST_STREAM, 0, 3, "\0\0\0\1", 4);
        script_run(&raw_server.rig.engine);
    }
    raw_server_assert_failed(p, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void endless_field_block_ends_the_session(void **state)
{
    uint8_t block[64];
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    rig_frame(p, HEADERS, 0, 1, block, raw_server_put_block(block, ":status=200"));
    for (int i = 0; i < 100 && !raw_server.r[0].reset; i++) {
        rig_frame(p, CONTINUATION, 0, 1, block, raw_server_put_block(block, "x=y"));
        script_run(&raw_server.rig.engine);
    }
    raw_server_assert_failed(p, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void pings_at_an_honest_rate_do_no_harm(void **state)
{
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    for (int i = 0; i < 50; i++) {
        for (int j = 0; j < 20; j++)
            rig_frame(p, PING, 0, 0, "12345678", 8);
        rig_advance_ms(&raw_server.rig, 500);
    }
    assert_false(raw_server.r[0].reset);
    rig_cancel(&raw_server.r[0]);
    rig_run(&raw_server.rig);
}

/* -- anything -----------------------------------------------------------------------------------------------
 */

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(flood_of_pings_ends_the_session),
        T(flood_of_settings_ends_the_session),
        T(flood_of_priorities_ends_the_session),
        T(flood_of_window_updates_ends_the_session),
        T(flood_of_unknown_frames_ends_the_session),
        T(flood_of_empty_data_ends_the_session),
        T(flood_of_heads_on_a_stream_that_is_over_ends_the_session),
        T(endless_field_block_ends_the_session),
        T(pings_at_an_honest_rate_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
