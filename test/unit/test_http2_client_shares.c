/* test/unit/test_http2_client_shares.c — many requests over HTTP/2 sessions: who shares a connection, the
 * peer's limits, and a session's memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/http2_asks.h"

static int setup(void **state)
{
    (void)state;
    asks_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    asks_stop();
    return 0;
}

/* -- many
 * -----------------------------------------------------------------------------------------------------
 */

static void storm_shares_one_connection(void **state)
{
    (void)state;
    asks_get(0, 100);
    assert_int_equal(asks.rig.engine.dialled, 1);
    assert_int_equal(asks.rig.peers[0]->count, 100);
    for (unsigned i = 0; i < 100; i++)
        rig_respond(rig_stream(&asks.rig, 0, i), "200", asks.bulk + i, 1000);
    rig_run(&asks.rig);
    for (unsigned i = 0; i < 100; i++)
        asks_assert_answered(&asks.r[i], 200, asks.bulk + i, 1000);
}

static void limit_of_the_peer_is_kept(void **state)
{
    (void)state;
    asks.rig.settings_max = 10;
    asks_get(0, 1);
    asks_get(1, 24);
    assert_int_equal(asks.rig.peer_count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(asks.rig.peers[i]->count <= 10);
    assert_int_equal(asks.rig.peers[0]->count + asks.rig.peers[1]->count + asks.rig.peers[2]->count, 25);
    nghttp2_settings_entry more = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 20};
    assert_int_equal(nghttp2_submit_settings(asks.rig.peers[2]->session, NGHTTP2_FLAG_NONE, &more, 1), 0);
    rig_run(&asks.rig);
    asks_get(25, 10);
    assert_int_equal(asks.rig.peer_count, 3);
    assert_true(asks.rig.peers[2]->count > 10);
    for (unsigned p = 0; p < 3; p++)
        for (unsigned i = 0; i < asks.rig.peers[p]->count; i++)
            rig_respond(rig_stream(&asks.rig, p, i), "200", NULL, 0);
    rig_run(&asks.rig);
    for (unsigned i = 0; i < 35; i++)
        asks_assert_answered(&asks.r[i], 200, "", 0);
}

/* A storm meets a peer that allows less than is usual. */
static void storm_beyond_the_limit_goes_elsewhere(void **state)
{
    (void)state;
    asks.rig.settings_max = 10;
    asks_get(0, 30);
    for (unsigned p = 0; p < asks.rig.peer_count; p++)
        assert_true(asks.rig.peers[p]->count <= 10);
    assert_int_equal(asks.rig.peer_count, 3);
    for (unsigned p = 0; p < 3; p++)
        for (unsigned i = 0; i < asks.rig.peers[p]->count; i++)
            rig_respond(rig_stream(&asks.rig, p, i), "200", NULL, 0);
    rig_run(&asks.rig);
    for (unsigned i = 0; i < 30; i++)
        asks_assert_answered(&asks.r[i], 200, "", 0);
}

/* It says so before anything was sent to it: what was begun must not wait for places that may not come. */
static void storm_beyond_a_limit_that_comes_with_the_handshake_is_withdrawn(void **state)
{
    (void)state;
    asks.rig.settings_max = 10;
    for (unsigned i = 0; i < 30; i++)
        rig_ask(&asks.rig, &asks.r[i], GET "\r\n", true);
    script_run(&asks.rig.engine);
    script_open(script_dialling(&asks.rig.engine));
    script_run(&asks.rig.engine);
    asks.rig.early = true;
    rig_open_dial(&asks.rig);
    asks.rig.early = false;
    rig_run(&asks.rig);
    assert_int_equal(asks.rig.peer_count, 3);
    for (unsigned p = 0; p < 3; p++) {
        assert_int_equal(asks.rig.peers[p]->count, 10);
        for (unsigned i = 0; i < 10; i++)
            rig_respond(rig_stream(&asks.rig, p, i), "200", NULL, 0);
    }
    rig_run(&asks.rig);
    for (unsigned i = 0; i < 30; i++)
        asks_assert_answered(&asks.r[i], 200, "", 0);
    asks_get(30, 10); /* nothing was left behind in the first one */
    for (unsigned p = 0; p < 3; p++)
        for (unsigned i = 10; i < asks.rig.peers[p]->count; i++)
            rig_respond(rig_stream(&asks.rig, p, i), "200", NULL, 0);
    rig_run(&asks.rig);
    for (unsigned i = 30; i < 40; i++)
        asks_assert_answered(&asks.r[i], 200, "", 0);
    assert_int_equal(asks.rig.peers[0]->count + asks.rig.peers[1]->count + asks.rig.peers[2]->count, 40);
}

static void heads_beyond_a_sessions_memory_are_refused_and_harm_no_other(void **state)
{
    static char text[60000];
    unsigned limit = 0, answered = 0;
    (void)state;
    asks_get(0, 1);
    size_t n = (size_t)snprintf(text, sizeof text, GET "X-Long: ");
    memset(text + n, 'a', 40000);
    snprintf(text + n + 40000, sizeof text - n - 40000, "\r\n\r\n");
    for (unsigned i = 1; i < 100; i++)
        rig_ask(&asks.rig, &asks.r[i], text, true);
    rig_run(&asks.rig);
    for (unsigned i = 0; i < asks.rig.peers[0]->count; i++)
        rig_respond(rig_stream(&asks.rig, 0, i), "200", NULL, 0);
    rig_run(&asks.rig);
    for (unsigned i = 0; i < 100; i++) {
        limit += asks.r[i].reset && asks.r[i].ending == ENDING_LIMIT;
        answered += asks.r[i].ended;
    }
    assert_int_equal(limit + answered, 100);
    assert_true(limit > 0 && answered > 30);
    assert_true(asks.r[0].ended);
    assert_int_equal(asks.rig.peer_count, 1);
}

/* -- the destination ends streams and sessions
 * ------------------------------------------------------------------
 */

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(storm_shares_one_connection),
        T(limit_of_the_peer_is_kept),
        T(storm_beyond_the_limit_goes_elsewhere),
        T(storm_beyond_a_limit_that_comes_with_the_handshake_is_withdrawn),
        T(heads_beyond_a_sessions_memory_are_refused_and_harm_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
