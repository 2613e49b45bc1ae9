/* test/unit/test_front_http2_bodies.c — bodies on the HTTP/2 front: windows, readers and writers that stop,
 * who takes turns with whom; and requests that are reset, cut or left alone by their client.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

/* -- bodies and windows -------------------------------------------------------------------------------------
 */

static void an_upload_stops_at_its_window_and_goes_on_with_grants(void **state)
{
    (void)state;
    struct h2_stream *stopped = h2_client_upload(BACKEND, "/stopped", NULL);
    h2_client_turns(3);
    h2_client_say(stopped, h2_pattern, sizeof(h2_pattern), true);
    h2_client_turns(20);
    struct played *p = h2_asked(0);
    assert_int_equal(p->received, EXCHANGE_BUDGET);
    /* Nobody else is stopped by it: a connection's window is four streams'. */
    struct h2_stream *other = h2_client_upload(BACKEND, "/other", NULL);
    h2_client_say(other, h2_pattern, sizeof(h2_pattern), true);
    for (int i = 0; i < 40; i++) {
        h2_client_turn();
        if (rig.asked > 1)
            play_grant(h2_asked(1), (uint32_t)(h2_asked(1)->received - h2_asked(1)->granted));
    }
    assert_int_equal(h2_asked(1)->received, sizeof(h2_pattern));
    assert_true(h2_asked(1)->ended);
    assert_int_equal(p->received, EXCHANGE_BUDGET);
    for (int i = 0; i < 100 && !p->ended; i++) {
        play_grant(p, (uint32_t)(p->received - p->granted));
        h2_client_turn();
    }
    assert_true(p->ended);
    assert_int_equal(p->received, sizeof(h2_pattern));
    assert_memory_equal(p->body.bytes + p->body.from, h2_pattern, sizeof(h2_pattern));
}

static void small_frames_reach_the_exchange_together(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_upload(BACKEND, "/", NULL);
    h2_client_turns(3);
    const uint8_t *out;
    ssize_t n;
    for (unsigned i = 0; i < 1000; i++) { /* a frame each, one read for all */
        h2_client_say(s, h2_pattern + i * 3, 3, i == 999);
        while ((n = nghttp2_session_mem_send(h2_client.session, &out)) > 0)
            pipe_give(rig.pipe, out, (size_t)n);
    }
    h2_client_turns(2);
    assert_true(h2_asked(0)->ended);
    assert_int_equal(h2_asked(0)->received, 3000);
    assert_memory_equal(h2_asked(0)->body.bytes + h2_asked(0)->body.from, h2_pattern, 3000);
    assert_true(h2_asked(0)->pieces < 10);
}

/* What is held of an upload that stands still, other streams' bytes between, is no more than a few times what
 * it was allowed. */
/* One stream stands still; a byte of it comes with 60 KiB of another's each time. A lent buffer would be kept
 * whole for that byte. */
static void what_an_upload_pins_is_bounded_by_its_bytes(void **state)
{
    (void)state;
    struct h2_stream *stopped = h2_client_ask("CONNECT", BACKEND, NULL, NULL); /* kept until it stands */
    struct h2_stream *other = h2_client_upload(BACKEND, "/", NULL);
    h2_client_turns(3);
    for (unsigned i = 0; i < 200; i++) {
        h2_client_say(stopped, h2_pattern + i, 1, false);
        h2_client_say(other, h2_pattern, 60000, false);
        h2_client_turns(2);
        play_grant(h2_asked(1), (uint32_t)(h2_asked(1)->received - h2_asked(1)->granted));
        h2_client_turns(2);
    }
    assert_int_equal(h2_asked(1)->received, 200 * 60000);
    assert_int_equal(stopped->upload_sent, 1);
    assert_true(world_buffers_used(&rig.world) <= 2);
    play_connected(h2_asked(0));
    assert_int_equal(h2_asked(0)->received, 200);
    assert_memory_equal(h2_asked(0)->body.bytes + h2_asked(0)->body.from, h2_pattern, 200);
}

static void a_reader_that_stops_is_given_no_more_than_the_bound(void **state)
{
    (void)state;
    struct h2_stream *s[8];
    for (unsigned i = 0; i < ARRAY_SIZE(s); i++)
        s[i] = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    nghttp2_submit_window_update(h2_client.session, NGHTTP2_FLAG_NONE, 0, 1 << 24);
    for (unsigned i = 0; i < ARRAY_SIZE(s); i++)
        nghttp2_submit_window_update(h2_client.session, NGHTTP2_FLAG_NONE, s[i]->id, 1 << 20);
    rig.pipe->stalled = true;
    for (unsigned i = 0; i < ARRAY_SIZE(s); i++) {
        play_head(h2_asked(i), OK "Transfer-Encoding: chunked\r\n\r\n");
        play_data(h2_asked(i), h2_pattern, EXCHANGE_BUDGET, false);
    }
    h2_client_turns(5);
    assert_true(rig.pipe->outstanding >= HTTP2_UNSENT_MAX);
    assert_true(rig.pipe->outstanding <= HTTP2_UNSENT_MAX + 16384 + 9);
    rig.pipe->stalled = false;
    h2_client_turns(30);
    for (unsigned i = 0; i < ARRAY_SIZE(s); i++) {
        play_data(h2_asked(i), h2_pattern + EXCHANGE_BUDGET, 1000, true);
        h2_client_turns(2);
        assert_true(h2_client_has_body(s[i], h2_pattern, EXCHANGE_BUDGET + 1000));
        assert_int_equal(h2_asked(i)->credited, EXCHANGE_BUDGET + 1000);
        assert_int_equal(h2_asked(i)->end, PLAYED_COMPLETE);
    }
}

static void a_ping_waits_for_no_body(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    nghttp2_submit_window_update(h2_client.session, NGHTTP2_FLAG_NONE, 0, 1 << 24);
    nghttp2_submit_window_update(h2_client.session, NGHTTP2_FLAG_NONE, s->id, 1 << 20);
    h2_client_turn();
    rig.pipe->stalled = true;
    play_head(h2_asked(0), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(h2_asked(0), h2_pattern, EXCHANGE_BUDGET, false);
    h2_client_turn();
    nghttp2_submit_ping(h2_client.session, NGHTTP2_FLAG_NONE, NULL);
    h2_client_turn();
    rig.pipe->stalled = false;
    rig.pipe->take_turn = 4096;
    while (h2_client.ping_acks == 0)
        h2_client_turn();
    assert_true(h2_client.body_at_ping > 0);
    assert_true(h2_client.body_at_ping <= HTTP2_UNSENT_MAX + 16384);
}

static void streams_take_turns_whatever_the_client_wishes(void **state)
{
    (void)state;
    struct h2_stream *large = h2_client_ask("GET", BACKEND, "/large", "priority=u=0");
    struct h2_stream *small = h2_client_ask("GET", BACKEND, "/small", "priority=u=7");
    h2_client_turns(3);
    nghttp2_submit_window_update(h2_client.session, NGHTTP2_FLAG_NONE, 0, 1 << 24);
    nghttp2_submit_window_update(h2_client.session, NGHTTP2_FLAG_NONE, large->id, 1 << 20);
    h2_client_turn();
    play_head(h2_asked(0), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_head(h2_asked(1), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(h2_asked(0), h2_pattern, EXCHANGE_BUDGET, false);
    play_data(h2_asked(1), h2_pattern, 40000, true);
    h2_client_turns(2);
    assert_true(small->ended);
    assert_true(large->body_bytes < 120000); /* frames in turn: three and a bit of each */
}

static void a_stopped_stream_stops_no_other(void **state)
{
    (void)state;
    h2_client_stop();
    h2_client_start(true);
    struct h2_stream *stopped = h2_client_ask("GET", BACKEND, "/stopped", NULL);
    h2_client_turns(3);
    play_head(h2_asked(0), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(h2_asked(0), h2_pattern, EXCHANGE_BUDGET, false);
    h2_client_turns(3);
    assert_int_equal(stopped->body_bytes, 65535);
    assert_int_equal(nghttp2_session_consume_connection(h2_client.session, 65535), 0);
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    play_head(h2_asked(1), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(h2_asked(1), h2_pattern, 30000, true);
    h2_client_turns(3);
    assert_true(s->ended);
    assert_int_equal(h2_asked(1)->end, PLAYED_COMPLETE);
    assert_int_equal(h2_asked(0)->credited,
                     0); /* of whole segments: the first has 64 KiB, and one byte is left */
    assert_int_equal(nghttp2_session_consume_stream(h2_client.session, stopped->id, 65535), 0);
    h2_client_turns(3);
    assert_int_equal(stopped->body_bytes, 2 * 65535 - 30000);
    assert_int_equal(h2_asked(0)->credited, 65536);
}

static void an_early_answer_ends_the_upload(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_upload(BACKEND, "/", NULL);
    h2_client_say(s, h2_pattern, sizeof(h2_pattern), true);
    h2_client_turns(6);
    struct played *p = h2_asked(0);
    play_head(p, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\n");
    play_data(p, "no\n", 3, true);
    h2_client_turns(4);
    assert_int_equal(s->status, 413);
    assert_true(h2_client_has_body(s, "no\n", 3));
    assert_true(s->ended);
    assert_int_equal(p->end, PLAYED_COMPLETE);
    assert_false(s->reset); /* it may stop by itself */
    assert_int_equal(p->received, EXCHANGE_BUDGET);
    rig.world.now_ns += 2100ull * 1000000;
    h2_client_turns(3);
    assert_true(s->reset);
    assert_int_equal(s->code, NGHTTP2_NO_ERROR);
    assert_int_equal(front_rig_conn()->state, FRONT_IDLE);
}

static void the_last_word_may_come_after_the_whole_answer(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    play_head(h2_asked(0), OK "Content-Length: 0\r\n\r\n");
    h2_client_turns(3);
    assert_true(s->closed);
    assert_int_equal(h2_asked(0)->end, PLAYED_RUNS);
    assert_int_equal(front_rig_conn()->state, FRONT_IDLE);
    play_end(h2_asked(0), NULL);
    assert_int_equal(h2_asked(0)->end, PLAYED_COMPLETE);
}

/* -- resets -------------------------------------------------------------------------------------------------
 */

static void a_cancelled_request_leaves_its_exchange(void **state)
{
    (void)state;
    struct h2_stream *early = h2_client_ask("GET", BACKEND, "/", NULL);
    struct h2_stream *late = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    play_head(h2_asked(1), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(h2_asked(1), h2_pattern, 200000, false);
    h2_client_turns(2);
    h2_client_reset(early, NGHTTP2_CANCEL);
    h2_client_reset(late, NGHTTP2_CANCEL);
    h2_client_turns(2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(h2_asked(i)->end, PLAYED_GONE);
        assert_int_equal(h2_asked(i)->reason, ENDING_CLIENT_GONE);
    }
    assert_int_equal(front_rig_conn()->state, FRONT_IDLE);
    assert_int_equal(world_buffers_used(&rig.world), 0);
}

static void a_cut_response_is_never_complete(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    play_head(h2_asked(0), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(h2_asked(0), "half", 4, false);
    h2_client_turns(2);
    play_reset(h2_asked(0), ENDING_TRUNCATED);
    h2_client_turns(2);
    assert_false(s->ended);
    assert_true(s->reset);
    assert_int_equal(s->code, NGHTTP2_INTERNAL_ERROR);
    assert_int_equal(h2_asked(0)->reason, ENDING_TRUNCATED);
}

static void a_client_that_vanishes_ends_all_its_exchanges(void **state)
{
    (void)state;
    struct h2_stream *s[3];
    for (unsigned i = 0; i < 3; i++)
        s[i] = i == 1 ? h2_client_upload(BACKEND, "/", NULL) : h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_say(s[1], h2_pattern, 100000, false);
    h2_client_turns(4);
    play_head(h2_asked(2), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(h2_asked(2), h2_pattern, 200000, false);
    pipe_reset(rig.pipe);
    h2_client_turns(2);
    assert_null(front_rig_conn());
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(h2_asked(i)->end, PLAYED_GONE);
        assert_int_equal(h2_asked(i)->reason, ENDING_CLIENT_GONE);
    }
}

static void a_client_that_ends_its_direction_still_gets_what_it_asked_for(void **state)
{
    (void)state;
    h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_ask("CONNECT", BACKEND, NULL, NULL);
    h2_client_turns(3);
    play_connected(h2_asked(1));
    h2_client_turns(2);
    pipe_end(rig.pipe);
    h2_client_turns(2);
    assert_int_equal(h2_asked(1)->end, PLAYED_GONE); /* a tunnel that is not ended is cut */
    play_head(h2_asked(0), OK "Content-Length: 2\r\n\r\n");
    play_data(h2_asked(0), "ok", 2, true);
    world_turn(&rig.world);
    assert_int_equal(h2_asked(0)->credited, 2);
    assert_int_equal(h2_asked(0)->end, PLAYED_COMPLETE);
    assert_int_equal(front_rig_conn()->state, FRONT_LINGER);
}

static void a_half_closed_client_whose_answer_makes_no_step_is_gone(void **state)
{
    (void)state;
    h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    pipe_end(rig.pipe);
    h2_client_turns(2);
    assert_int_equal(h2_asked(0)->end, PLAYED_RUNS);
    rig.world.now_ns += 11ull * 1000000000;
    h2_client_turns(3);
    assert_int_equal(h2_asked(0)->end, PLAYED_GONE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_upload_stops_at_its_window_and_goes_on_with_grants),
        T(small_frames_reach_the_exchange_together),
        T(what_an_upload_pins_is_bounded_by_its_bytes),
        T(a_reader_that_stops_is_given_no_more_than_the_bound),
        T(a_ping_waits_for_no_body),
        T(streams_take_turns_whatever_the_client_wishes),
        T(a_stopped_stream_stops_no_other),
        T(an_early_answer_ends_the_upload),
        T(the_last_word_may_come_after_the_whole_answer),
        T(a_cancelled_request_leaves_its_exchange),
        T(a_cut_response_is_never_complete),
        T(a_client_that_vanishes_ends_all_its_exchanges),
        T(a_client_that_ends_its_direction_still_gets_what_it_asked_for),
        T(a_half_closed_client_whose_answer_makes_no_step_is_gone),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
