/* test/unit/test_http2_client_ends.c — requests over HTTP/2 sessions that are refused, reset or lost, what of
 * them is sent again, and the end of sessions and connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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

/* -- the destination ends streams and sessions
 * ------------------------------------------------------------------
 */

static void refused_request_is_sent_again_once(void **state)
{
    (void)state;
    asks_get(0, 1);
    rig_ask(&asks.rig, &asks.r[1], POST, true); /* not idempotent: the peer's word is enough */
    rig_run(&asks.rig);
    for (unsigned i = 0; i < 2; i++)
        nghttp2_submit_rst_stream(asks.rig.peers[0]->session, NGHTTP2_FLAG_NONE,
                                  rig_stream(&asks.rig, 0, i)->id, NGHTTP2_REFUSED_STREAM);
    rig_run(&asks.rig);
    assert_int_equal(asks.rig.peers[0]->count, 4); /* on the same connection */
    rig_respond(rig_stream(&asks.rig, 0, 2), "200", "x", 1);
    nghttp2_submit_rst_stream(asks.rig.peers[0]->session, NGHTTP2_FLAG_NONE, rig_stream(&asks.rig, 0, 3)->id,
                              NGHTTP2_REFUSED_STREAM);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[0], 200, "x", 1);
    assert_int_equal(asks.r[0].retry, RETRY_UNSENT);
    asks_assert_reset(&asks.r[1], ENDING_PEER_RESET, "refused it again");
    assert_int_equal(asks_count(COUNTER_retries), 2);
}

static void refused_request_is_sent_again_under_the_identity_of_the_time(void **state)
{
    static struct pool_profile next; /* it outlives the pool */
    (void)state;
    next = asks.rig.profile;
    next.generation++;
    asks_get(0, 2);
    asks.rig.profiles[1] = &next; /* as a reload of certificates does */
    pool_retire_generation(asks.rig.bw.pool, next.id, next.generation);
    nghttp2_submit_rst_stream(asks.rig.peers[0]->session, NGHTTP2_FLAG_NONE, rig_stream(&asks.rig, 0, 0)->id,
                              NGHTTP2_REFUSED_STREAM);
    rig_run(&asks.rig);
    assert_int_equal(asks.rig.peers[0]->count, 2);
    assert_int_equal(asks.rig.peer_count, 2); /* not the connection that was verified before */
    rig_respond(rig_stream(&asks.rig, 1, 0), "200", "x", 1);
    rig_respond(rig_stream(&asks.rig, 0, 1), "200", "y", 1);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[0], 200, "x", 1);
    asks_assert_answered(&asks.r[1], 200, "y", 1); /* what was under way there came to its end */
    rig_advance_ms(&asks.rig, 3000);
    assert_false(pool_uses_generation(asks.rig.bw.pool, next.id, asks.rig.profile.generation));
}

static void refused_request_takes_its_unsent_body_along(void **state)
{
    (void)state;
    asks.rig.settings_window = 1; /* nothing of it may go before the peer has read */
    asks_get(0, 1);
    nghttp2_settings_entry none = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    assert_int_equal(nghttp2_submit_settings(asks.rig.peers[0]->session, NGHTTP2_FLAG_NONE, &none, 1), 0);
    rig_run(&asks.rig);
    rig_ask(&asks.rig, &asks.r[1], POST, false);
    rig_body(&asks.r[1], "body", 4, true);
    rig_run(&asks.rig);
    assert_int_equal(rig_stream(&asks.rig, 0, 1)->body_len, 0);
    nghttp2_settings_entry some = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 65535};
    nghttp2_submit_rst_stream(asks.rig.peers[0]->session, NGHTTP2_FLAG_NONE, rig_stream(&asks.rig, 0, 1)->id,
                              NGHTTP2_REFUSED_STREAM);
    assert_int_equal(nghttp2_submit_settings(asks.rig.peers[0]->session, NGHTTP2_FLAG_NONE, &some, 1), 0);
    rig_run(&asks.rig);
    struct rig_stream *again = rig_stream(&asks.rig, 0, 2);
    assert_int_equal(again->body_len, 4);
    assert_true(again->ended);
    rig_respond(again, "200", NULL, 0);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[1], 200, "", 0);
    rig_cancel(&asks.r[0]);
    rig_run(&asks.rig);
}

static void body_that_was_sent_in_part_is_not_sent_again(void **state)
{
    (void)state;
    rig_ask(&asks.rig, &asks.r[0], POST, false);
    rig_body(&asks.r[0], "part", 4, false);
    rig_run(&asks.rig);
    nghttp2_submit_rst_stream(asks.rig.peers[0]->session, NGHTTP2_FLAG_NONE, rig_stream(&asks.rig, 0, 0)->id,
                              NGHTTP2_REFUSED_STREAM);
    rig_run(&asks.rig);
    asks_assert_reset(&asks.r[0], ENDING_PEER_RESET, "after part of its body was sent");
    assert_int_equal(asks.rig.peers[0]->count, 1);
}

static void goaway_lets_streams_end_and_sends_others_to_a_new_connection(void **state)
{
    (void)state;
    asks_get(0, 4);
    struct rig_peer *p = asks.rig.peers[0];
    assert_int_equal(nghttp2_submit_goaway(p->session, NGHTTP2_FLAG_NONE, rig_stream(&asks.rig, 0, 1)->id,
                                           NGHTTP2_NO_ERROR, NULL, 0),
                     0);
    rig_run(&asks.rig);
    assert_int_equal(asks.rig.peer_count, 2);
    assert_int_equal(asks.rig.peers[1]->count, 2);
    asks_get(4, 1);
    assert_int_equal(asks.rig.peers[1]->count, 3);
    for (unsigned i = 0; i < 2; i++)
        rig_respond(rig_stream(&asks.rig, 0, i), "200", "old", 3);
    for (unsigned i = 0; i < 3; i++)
        rig_respond(rig_stream(&asks.rig, 1, i), "200", "new", 3);
    rig_run(&asks.rig);
    for (unsigned i = 0; i < 5; i++)
        asks_assert_answered(&asks.r[i], 200, i < 2 ? "old" : "new", 3);
    assert_int_equal(asks.r[2].retry, RETRY_UNSENT);
    rig_advance_ms(&asks.rig, 500);
    assert_int_equal(asks_count(COUNTER_pool_shared), 1); /* the old one went with its last stream */
}

static void reset_tells_its_reason_and_harms_nobody_else(void **state)
{
    (void)state;
    asks_get(0, 2);
    nghttp2_submit_rst_stream(asks.rig.peers[0]->session, NGHTTP2_FLAG_NONE, rig_stream(&asks.rig, 0, 0)->id,
                              NGHTTP2_ENHANCE_YOUR_CALM);
    rig_respond(rig_stream(&asks.rig, 0, 1), "200", "x", 1);
    rig_run(&asks.rig);
    asks_assert_reset(&asks.r[0], ENDING_PEER_RESET, "the HTTP/2 stream was reset: ENHANCE_YOUR_CALM");
    asks_assert_answered(&asks.r[1], 200, "x", 1);
}

static void reset_in_the_middle_of_a_body_is_no_end(void **state)
{
    (void)state;
    asks_get(0, 1);
    struct rig_stream *st = rig_stream(&asks.rig, 0, 0);
    st->reply_open = true;
    rig_respond(st, "200", "part", 4);
    rig_run(&asks.rig);
    assert_int_equal(asks.r[0].body_len, 4);
    nghttp2_submit_rst_stream(asks.rig.peers[0]->session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_NO_ERROR);
    rig_run(&asks.rig);
    asks_assert_reset(&asks.r[0], ENDING_PEER_RESET, "NO_ERROR");
}

static void lost_connection_repeats_what_is_safe(void **state)
{
    (void)state;
    asks_get(0, 1); /* the first on its connection: not a race with an idle limit */
    rig_ask(&asks.rig, &asks.r[1], POST, true);
    rig_ask(&asks.rig, &asks.r[2], GET "\r\n", true);
    rig_ask(&asks.rig, &asks.r[3], GET "\r\n", true);
    rig_run(&asks.rig);
    struct rig_stream *st = rig_stream(&asks.rig, 0, 3);
    st->reply_open = true;
    rig_respond(st, "200", "part", 4);
    rig_run(&asks.rig);
    script_close(asks.rig.peers[0]->stream, ENDING_PEER_RESET);
    rig_run(&asks.rig);
    asks_assert_reset(&asks.r[0], ENDING_PEER_RESET, "");
    asks_assert_reset(&asks.r[1], ENDING_STALE_CONNECTION, "not safe to repeat");
    asks_assert_reset(&asks.r[3], ENDING_PEER_RESET, "");
    assert_int_equal(asks.rig.peer_count, 2);
    rig_respond(rig_stream(&asks.rig, 1, 0), "200", "x", 1);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[2], 200, "x", 1);
    assert_int_equal(asks.r[2].retry, RETRY_IDEMPOTENT);
}

static void end_of_the_peers_direction_ends_all_streams(void **state)
{
    (void)state;
    asks_get(0, 2);
    script_end(asks.rig.peers[0]->stream);
    rig_run(&asks.rig);
    asks_assert_reset(&asks.r[0], ENDING_TRUNCATED, "");
    rig_respond(rig_stream(&asks.rig, 1, 0), "200", "x", 1); /* a reused one, and idempotent: sent again */
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[1], 200, "x", 1);
    rig_advance_ms(&asks.rig, 1500);
    assert_int_equal(asks_count(COUNTER_pool_shared), 1);
}

static void silence_is_asked_about_and_ends_the_connection(void **state)
{
    (void)state;
    asks_get(0, 1);
    rig_advance_ms(&asks.rig, 29000);
    assert_int_equal(asks.rig.peers[0]->pings, 0);
    rig_advance_ms(&asks.rig, 1500);
    assert_int_equal(asks.rig.peers[0]->pings, 1); /* and answered */
    rig_respond(rig_stream(&asks.rig, 0, 0), "200", NULL, 0);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[0], 200, "", 0);
    rig_advance_ms(&asks.rig, 60000);
    assert_int_equal(asks.rig.peers[0]->pings, 1); /* nobody waits: nobody asks */

    rig_ask(&asks.rig, &asks.r[1], POST, true);
    rig_run(&asks.rig);
    nghttp2_session_del(asks.rig.peers[0]->session); /* deaf */
    asks.rig.peers[0]->session = NULL;
    rig_advance_ms(&asks.rig, 44000);
    assert_false(asks.r[1].reset);
    rig_advance_ms(&asks.rig, 1600);
    asks_assert_reset(&asks.r[1], ENDING_UNREACHABLE, "");
    assert_int_equal(asks_count(COUNTER_http2_client_failed), 1);
    assert_int_equal(asks_count(COUNTER_pool_shared), 0);
}

static void idle_session_says_goodbye(void **state)
{
    (void)state;
    asks_get(0, 1);
    rig_respond(rig_stream(&asks.rig, 0, 0), "200", NULL, 0);
    rig_run(&asks.rig);
    rig_advance_ms(&asks.rig, 79000);
    assert_int_equal(asks.rig.peers[0]->goaways, 0);
    rig_advance_ms(&asks.rig, 1500);
    assert_int_equal(asks.rig.peers[0]->goaways, 1);
    assert_int_equal(asks.rig.peers[0]->goaway_code, NGHTTP2_NO_ERROR);
    assert_int_equal(asks_count(COUNTER_pool_shared), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(refused_request_is_sent_again_once),
        T(refused_request_is_sent_again_under_the_identity_of_the_time),
        T(refused_request_takes_its_unsent_body_along),
        T(body_that_was_sent_in_part_is_not_sent_again),
        T(goaway_lets_streams_end_and_sends_others_to_a_new_connection),
        T(reset_tells_its_reason_and_harms_nobody_else),
        T(reset_in_the_middle_of_a_body_is_no_end),
        T(lost_connection_repeats_what_is_safe),
        T(end_of_the_peers_direction_ends_all_streams),
        T(silence_is_asked_about_and_ends_the_connection),
        T(idle_session_says_goodbye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
