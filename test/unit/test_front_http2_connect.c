/* test/unit/test_front_http2_connect.c — tunnels on the HTTP/2 front: their bytes, their two ends, aborts
 * from either side, refusals and silence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "test/support/h2_rig.h"

static int setup(void **state)
{
    (void)state;
    h2_rig_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    h2_rig_stop();
    return 0;
}

/* -- tunnels ------------------------------------------------------------------------------------------------
 */

static void a_tunnel_carries_bytes_both_ways_and_ends_twice(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("CONNECT", "node-1:10250", NULL, NULL);
    h2_client_say(s, "early", 5, false);
    h2_client_turns(3);
    struct played *p = h2_asked(0);
    assert_string_equal(p->method, "CONNECT");
    assert_string_equal(p->host, "node-1");
    assert_int_equal(p->form, TARGET_AUTHORITY);
    assert_int_equal(p->received, 0); /* kept until the tunnel stands */
    play_connected(p);
    assert_true(p->released);
    assert_int_equal(p->received, 5);
    h2_client_turns(2);
    assert_int_equal(s->status, 200);
    assert_string_equal(s->fields, "");
    play_data(p, "hello", 5, false);
    h2_client_turns(2);
    assert_true(h2_client_has_body(s, "hello", 5));
    play_fin(p);
    h2_client_turns(2);
    assert_true(s->ended);
    assert_false(s->closed);
    h2_client_say(s, h2_pattern, 100000, true);
    h2_client_turns(4);
    assert_int_equal(p->received, 100005);
    assert_true(p->ended);
    assert_true(s->closed);
    assert_false(s->reset);
    assert_int_equal(p->end, PLAYED_DONE);
}

static void a_tunnel_may_be_ended_before_it_stands(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("CONNECT", BACKEND, NULL, NULL);
    h2_client_say(s, "all of it", 9, true);
    h2_client_turns(3);
    play_connected(h2_asked(0));
    assert_int_equal(h2_asked(0)->received, 9);
    assert_true(h2_asked(0)->ended);
    h2_client_turns(2);
    play_data(h2_asked(0), "answer", 6, false);
    play_fin(h2_asked(0));
    play_end(h2_asked(0), NULL);
    h2_client_turns(3);
    assert_true(h2_client_has_body(s, "answer", 6));
    assert_true(s->ended);
    assert_int_equal(h2_asked(0)->end, PLAYED_COMPLETE);
}

static void an_abort_of_the_destination_arrives_as_one(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("CONNECT", BACKEND, NULL, NULL);
    h2_client_turns(3);
    play_connected(h2_asked(0));
    play_data(h2_asked(0), "half", 4, false);
    h2_client_turns(2);
    play_reset(h2_asked(0), ENDING_PEER_RESET);
    h2_client_turns(2);
    assert_false(s->ended);
    assert_true(s->reset);
    assert_int_equal(s->code, NGHTTP2_CONNECT_ERROR);
    assert_int_equal(h2_asked(0)->reason, ENDING_PEER_RESET);
}

enum { LAST_BYTES = 200000 }; /* more than the client's window lets through */

/* The destination has said so much and ended, and then was lost. */
static struct h2_stream *cut_after_its_end(bool client_ends)
{
    h2_client_stop();
    h2_client_start(true);
    struct h2_stream *s = h2_client_ask("CONNECT", BACKEND, NULL, NULL);
    if (client_ends)
        h2_client_say(s, "bye", 3, true);
    h2_client_turns(3);
    play_connected(h2_asked(0));
    play_data(h2_asked(0), h2_pattern, LAST_BYTES, false);
    play_fin(h2_asked(0));
    h2_client_turns(5);
    assert_false(s->ended);
    play_reset(h2_asked(0), ENDING_PEER_RESET);
    h2_client_turns(2);
    assert_int_equal(h2_asked(0)->end, PLAYED_GONE);
    assert_int_equal(h2_asked(0)->reason, ENDING_PEER_RESET);
    assert_false(s->reset);
    return s;
}

static void open_windows(const struct h2_stream *s)
{
    nghttp2_submit_window_update(h2_client.session, NGHTTP2_FLAG_NONE, 0, 1 << 20);
    nghttp2_submit_window_update(h2_client.session, NGHTTP2_FLAG_NONE, s->id, 1 << 20);
    h2_client_turns(10);
}

static void an_abort_takes_nothing_from_what_was_ended_before(void **state)
{
    (void)state;
    struct h2_stream *s = cut_after_its_end(true);
    open_windows(s);
    assert_true(h2_client_has_body(s, h2_pattern, LAST_BYTES));
    assert_true(s->ended);
    assert_true(s->closed);
    assert_false(s->reset);
}

static void who_still_sends_is_told_after_the_end_that_nobody_takes_it(void **state)
{
    (void)state;
    struct h2_stream *s = cut_after_its_end(false);
    h2_client_say(s, h2_pattern, 1000, false);
    h2_client_turns(3);
    h2_client_say(s, h2_pattern, 60000, false);
    h2_client_turns(3);
    assert_int_equal(h2_asked(0)->received, 0);
    open_windows(s);
    assert_true(h2_client_has_body(s, h2_pattern, LAST_BYTES));
    assert_true(s->ended);
    assert_true(s->reset);
    assert_int_equal(s->code, NGHTTP2_CONNECT_ERROR);
}

static void an_abort_found_while_the_client_sends_keeps_what_was_ended(void **state)
{
    (void)state;
    h2_client_stop();
    h2_client_start(true);
    struct h2_stream *s = h2_client_ask("CONNECT", BACKEND, NULL, NULL);
    h2_client_turns(3);
    play_connected(h2_asked(0));
    play_data(h2_asked(0), h2_pattern, LAST_BYTES, false);
    play_fin(h2_asked(0));
    play_end(h2_asked(0), NULL); /* its last word: nobody is there to hear the client */
    h2_client_turns(3);
    const uint8_t *out;
    ssize_t n;
    for (unsigned i = 0; i < 40; i++) { /* put together, in more than one piece */
        h2_client_say(s, h2_pattern, 1000, false);
        while ((n = nghttp2_session_mem_send(h2_client.session, &out)) > 0)
            pipe_give(rig.pipe, out, (size_t)n);
    }
    h2_client_turns(3);
    assert_int_equal(h2_asked(0)->end, PLAYED_GONE);
    open_windows(s);
    assert_true(h2_client_has_body(s, h2_pattern, LAST_BYTES));
    assert_true(s->ended);
    assert_int_equal(s->code, NGHTTP2_CONNECT_ERROR);
}

static void last_bytes_that_nobody_takes_are_not_kept_for_ever(void **state)
{
    (void)state;
    struct h2_stream *s = cut_after_its_end(true);
    rig.world.now_ns += 29ull * 1000000000;
    h2_client_turns(2);
    assert_false(s->reset);
    rig.world.now_ns += 2ull * 1000000000;
    h2_client_turns(2);
    assert_true(s->reset);
    assert_int_equal(s->code, NGHTTP2_CANCEL);
}

static void an_abort_of_the_client_is_no_clean_end(void **state)
{
    (void)state;
    static const uint32_t codes[] = {NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_NO_ERROR};
    for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
        struct h2_stream *s = h2_client_ask("CONNECT", BACKEND, NULL, NULL);
        h2_client_turns(3);
        play_connected(h2_asked(i));
        if (i == 2)
            play_fin(h2_asked(i)); /* the other direction has ended */
        h2_client_turns(2);
        h2_client_reset(s, codes[i]);
        h2_client_turns(2);
        assert_int_equal(h2_asked(i)->end, PLAYED_GONE);
        assert_false(h2_asked(i)->ended);
    }
}

static void a_refused_connect_says_why(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("CONNECT", BACKEND, NULL, NULL);
    h2_client_say(s, "early", 5, false);
    h2_client_turns(3);
    play_reset(h2_asked(0), ENDING_CONNECT_TIMEOUT);
    h2_client_turns(3);
    assert_int_equal(s->status, 504);
    assert_non_null(strstr(s->fields, "proxy-status=hawser; error=connection_timeout; details="));
    assert_true(s->ended);
    assert_int_equal(h2_asked(0)->end, PLAYED_COMPLETE);
    assert_int_equal(world_buffers_used(&rig.world), 0);
}

static void a_silent_tunnel_is_cut_where_a_limit_is_set(void **state)
{
    (void)state;
    rig.broker.times.tunnel_idle_ms = 5000;
    struct h2_stream *s = h2_client_ask("CONNECT", BACKEND, NULL, NULL);
    h2_client_turns(3);
    play_connected(h2_asked(0));
    h2_client_turns(2);
    for (unsigned i = 0; i < 3; i++) {
        rig.world.now_ns += 4ull * 1000000000;
        h2_client_turns(2);
        h2_client_say(s, "x", 1, false);
        h2_client_turns(2);
        assert_int_equal(h2_asked(0)->end, PLAYED_RUNS);
    }
    rig.world.now_ns += 6ull * 1000000000;
    h2_client_turns(3);
    assert_int_equal(h2_asked(0)->end, PLAYED_GONE);
    assert_int_equal(h2_asked(0)->reason, ENDING_IDLE_TIMEOUT);
    assert_int_equal(s->code, NGHTTP2_CANCEL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_tunnel_carries_bytes_both_ways_and_ends_twice),
        T(a_tunnel_may_be_ended_before_it_stands),
        T(an_abort_of_the_destination_arrives_as_one),
        T(an_abort_takes_nothing_from_what_was_ended_before),
        T(who_still_sends_is_told_after_the_end_that_nobody_takes_it),
        T(an_abort_found_while_the_client_sends_keeps_what_was_ended),
        T(last_bytes_that_nobody_takes_are_not_kept_for_ever),
        T(an_abort_of_the_client_is_no_clean_end),
        T(a_refused_connect_says_why),
        T(a_silent_tunnel_is_cut_where_a_limit_is_set),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
