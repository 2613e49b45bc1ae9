/* test/unit/test_front_http2.c — the HTTP/2 front under a client made of nghttp2, with exchanges that the
 * test plays: how a connection begins and is drained, requests and answers of every shape, refusals. Bodies
 * and resets: test_front_http2_bodies.c; tunnels: test_front_http2_connect.c; what a hostile client does:
 * test_front_http2_abuse.c.
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

/* -- beginning ----------------------------------------------------------------------------------------------
 */

static void settings_are_said_as_soon_as_the_preface_is_here(void **state)
{
    (void)state;
    const uint8_t *out;
    ssize_t n = nghttp2_session_mem_send(h2_client.session, &out);
    assert_int_equal(n, 24);
    for (ssize_t i = 0; i < n; i++) { /* byte by byte */
        assert_null(front_rig_conn()->http2);
        pipe_give(rig.pipe, out + i, 1);
        world_turn(&rig.world);
    }
    assert_non_null(front_rig_conn()->http2);
    h2_client_turn();
    assert_int_equal(h2_client.settings, 1); /* although the client's own have only just been sent */
    h2_client_turns(2);
    assert_int_equal(h2_client.settings_acks, 1);
    assert_int_equal(front_rig_conn()->state, FRONT_IDLE);
    assert_int_equal(
        nghttp2_session_get_remote_settings(h2_client.session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS), 100);
    assert_int_equal(
        nghttp2_session_get_remote_settings(h2_client.session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE),
        EXCHANGE_BUDGET);
}

static void an_idle_connection_costs_little(void **state)
{
    (void)state;
    h2_client_turns(4);
    assert_true(front_rig_conn()->http2->memory.used < 32 * 1024);
    assert_int_equal(world_buffers_used(&rig.world), 0);
}

static void http1_is_told_apart_however_long_it_looks_like_the_preface(void **state)
{
    (void)state;
    static const char *const lines[] = {"G", "PUT", "PRI ", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        front_rig_stop();
        front_rig_start();
        for (const char *c = lines[i]; *c; c++) {
            pipe_give(rig.pipe, c, 1);
            world_turn(&rig.world);
        }
        assert_int_equal(front_rig_conn()->state, FRONT_HEAD);
        pipe_give(rig.pipe, "x", 1);
        world_turn(&rig.world);
        assert_null(front_rig_conn()->http2);
        assert_int_equal(front_rig_conn()->protocol, FRONT_HTTP1);
    }
}

static void a_client_that_says_nothing_more_is_let_go(void **state)
{
    (void)state;
    h2_client_turns(3);
    rig.world.now_ns += 61ull * 1000000000;
    h2_client_turns(3);
    assert_int_equal(h2_client.goaways, 1);
    assert_int_equal(h2_client.goaway_code[0], NGHTTP2_NO_ERROR);
    assert_int_equal(front_rig_conn()->state, FRONT_LINGER);
    assert_true(rig.pipe->owner_finished);
}

/* -- requests -----------------------------------------------------------------------------------------------
 */

static void a_get_is_answered(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/p?q=1", "cookie=a=1|x-a=b|cookie=b=2");
    h2_client_turns(3);
    struct played *p = h2_asked(0);
    assert_string_equal(p->method, "GET");
    assert_string_equal(p->host, "10.0.0.1");
    assert_string_equal(p->path, "/p?q=1");
    assert_string_equal(p->cookie, "a=1; b=2");
    assert_int_equal(p->port, 10250);
    assert_int_equal(p->form, TARGET_ABSOLUTE);
    assert_true(p->ended_at_once);
    assert_int_equal(front_rig_conn()->state, FRONT_EXCHANGE);
    play_head(p, OK "Content-Length: 5\r\nX-B: c\r\nConnection: close\r\n\r\n");
    play_data(p, "hello", 5, true);
    h2_client_turns(2);
    assert_int_equal(s->status, 200);
    assert_string_equal(s->fields, "x-b=c;content-length=5;");
    assert_true(h2_client_has_body(s, "hello", 5));
    assert_true(s->ended);
    assert_int_equal(s->data_frames, 1);
    assert_int_equal(p->end, PLAYED_COMPLETE);
    assert_int_equal(p->credited, 5);
    assert_int_equal(front_rig_conn()->state, FRONT_IDLE);
}

static void answers_without_a_body_are_one_frame(void **state)
{
    (void)state;
    static const char *const answers[] = {"HTTP/1.1 204 No Content\r\n\r\n",
                                          "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
                                          OK "Content-Length: 0\r\n\r\n"};
    for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
        struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", NULL);
        h2_client_turns(3);
        play_head(h2_asked(i), answers[i]);
        play_data(h2_asked(i), NULL, 0, true);
        h2_client_turns(2);
        assert_true(s->ended);
        assert_int_equal(s->data_frames, 0);
        assert_int_equal(h2_asked(i)->end, PLAYED_COMPLETE);
    }
    struct h2_stream *s = h2_client_ask("HEAD", BACKEND, "/", NULL);
    h2_client_turns(3);
    play_head(h2_asked(3), OK "Content-Length: 1000000\r\n\r\n");
    play_data(h2_asked(3), NULL, 0, true);
    h2_client_turns(2);
    assert_true(s->ended);
    assert_string_equal(s->fields, "content-length=1000000;");
}

static void informational_heads_come_first(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_upload(BACKEND, "/", "expect=100-continue");
    h2_client_turns(3);
    struct played *p = h2_asked(0);
    assert_true(p->expects);
    play_head(p, "HTTP/1.1 100 Continue\r\n\r\n");
    play_head(p, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    h2_client_turns(2);
    assert_int_equal(s->informational, 2);
    assert_int_equal(s->status, 0);
    h2_client_say(s, "body", 4, true);
    h2_client_turns(2);
    assert_true(p->ended);
    assert_int_equal(p->received, 4);
    play_head(p, OK "Content-Length: 0\r\n\r\n");
    play_end(p, NULL);
    h2_client_turns(2);
    assert_int_equal(s->status, 200);
    assert_int_equal(p->end, PLAYED_COMPLETE);
}

static void trailers_go_both_ways(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_upload(BACKEND, "/", "te=trailers");
    h2_client_say(s, "body", 4, false);
    h2_client_turns(3);
    struct played *p = h2_asked(0);
    assert_false(p->ended);
    nghttp2_nv sum = {(uint8_t *)(uintptr_t) "x-sum", (uint8_t *)(uintptr_t) "4", 5, 1, 0};
    assert_int_equal(nghttp2_submit_trailer(h2_client.session, s->id, &sum, 1), 0);
    h2_client_turns(2);
    assert_true(p->ended);
    assert_string_equal(p->trailers, "x-sum=4;");
    play_head(p, OK "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
    play_data(p, "answer", 6, false);
    play_end(p, "X-Sum: 6\r\nGrpc-Status: 0\r\n\r\n");
    h2_client_turns(3);
    assert_true(h2_client_has_body(s, "answer", 6));
    assert_string_equal(s->trailers, "x-sum=6;grpc-status=0;");
    assert_true(s->ended);
    assert_int_equal(p->end, PLAYED_COMPLETE);
}

static void trailers_may_follow_no_body_at_all(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    play_head(h2_asked(0), OK "Transfer-Encoding: chunked\r\n\r\n");
    h2_client_turns(2);
    play_end(h2_asked(0), "Grpc-Status: 5\r\n\r\n");
    h2_client_turns(2);
    assert_string_equal(s->trailers, "grpc-status=5;");
    assert_true(s->ended);
    assert_int_equal(s->body_bytes, 0);
}

static void many_at_a_time_are_answered_in_any_order(void **state)
{
    (void)state;
    struct h2_stream *s[64];
    for (unsigned i = 0; i < ARRAY_SIZE(s); i++)
        s[i] = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(4);
    for (unsigned i = ARRAY_SIZE(s); i-- > 0;) {
        play_head(h2_asked(i), OK "Transfer-Encoding: chunked\r\n\r\n");
        play_data(h2_asked(i), h2_pattern + i, 1000 + i, true);
    }
    h2_client_turns(4);
    for (unsigned i = 0; i < ARRAY_SIZE(s); i++) {
        assert_true(h2_client_has_body(s[i], h2_pattern + i, 1000 + i));
        assert_int_equal(h2_asked(i)->end, PLAYED_COMPLETE);
    }
}

/* -- refusals -----------------------------------------------------------------------------------------------
 */

static void a_refusal_says_why_to_people_and_to_programs(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    play_reset(h2_asked(0), ENDING_REFUSED);
    h2_client_turns(2);
    assert_int_equal(s->status, 502);
    const char *text = "connection refused by the destination\n";
    assert_true(h2_client_has_body(s, text, strlen(text)));
    assert_non_null(strstr(s->fields, "proxy-status=hawser; error=connection_refused; "
                                      "details=\"connection refused by the destination\";"));
    assert_null(strstr(s->fields, "retry-after"));
    assert_int_equal(h2_asked(0)->end, PLAYED_COMPLETE);
    assert_int_equal(front_rig_conn()->state, FRONT_IDLE);
}

static void a_limit_is_answered_although_nothing_was_begun(void **state)
{
    (void)state;
    rig.refuse_from = 1;
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", NULL);
    struct h2_stream *head = h2_client_ask("HEAD", BACKEND, "/", NULL);
    h2_client_turns(4);
    assert_int_equal(rig.asked, 0);
    assert_int_equal(s->status, 503);
    assert_non_null(strstr(s->fields, "retry-after=1;"));
    assert_true(s->ended);
    assert_true(head->ended);
    assert_int_equal(head->body_bytes, 0);
}

static void a_malformed_request_is_answered_and_the_connection_goes_on(void **state)
{
    (void)state;
    struct h2_stream *whole = h2_client_ask("GET", BACKEND, "/a#b", NULL);
    struct h2_stream *open = h2_client_upload(BACKEND, "/", "connection=close");
    struct h2_stream *good = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(4);
    assert_int_equal(whole->status, 400);
    assert_true(whole->ended);
    assert_false(whole->reset);
    assert_int_equal(open->status, 400);
    assert_true(open->ended);
    assert_true(open->reset);
    assert_int_equal(open->code, NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(rig.asked, 1);
    assert_int_equal(h2_asked(0)->ex.progress, EXCHANGE_OPENED);
    assert_false(good->closed);
    assert_int_equal(rig.world.worker.counters.values[COUNTER_requests_malformed], 2);
}

static void a_body_must_be_as_long_as_was_said(void **state)
{
    (void)state;
    static const struct {
        const char *length;
        size_t sent;
    } rows[] = {
        {"content-length=5", 4},
        {"content-length=5", 6},
        {"content-length=0", 1}
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct h2_stream *s = h2_client_upload(BACKEND, "/", rows[i].length);
        h2_client_say(s, h2_pattern, rows[i].sent, true);
        h2_client_turns(3);
        assert_true(s->reset);
        assert_int_equal(s->code, NGHTTP2_PROTOCOL_ERROR);
        assert_int_equal(h2_asked(i)->end, PLAYED_GONE);
        assert_int_equal(h2_asked(i)->reason, ENDING_BAD_REQUEST);
    }
    struct h2_stream *s = h2_client_upload(BACKEND, "/", "content-length=5");
    h2_client_say(s, h2_pattern, 5, true);
    h2_client_turns(3);
    assert_false(s->reset);
    assert_true(h2_asked(3)->ended);
}

static void a_head_over_the_limit_is_answered_431(void **state)
{
    (void)state;
    rig.broker.request_limits.head_bytes_max = 500;
    rig.broker.connect_limits.head_bytes_max = 250;
    char more[512] = "x-a=";
    memset(more + 4, 'v', 300);
    more[304] = '\0';
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", more);
    h2_client_turns(3);
    assert_int_equal(s->status, 431);
    assert_true(s->ended);
    more[150] = '\0';
    s = h2_client_ask("GET", BACKEND, "/", more);
    struct h2_stream *connect = h2_client_ask("CONNECT", BACKEND, NULL, more);
    h2_client_turns(3);
    assert_int_equal(rig.asked, 1);
    assert_int_equal(connect->status, 431);
    assert_false(s->ended);
}

/* -- draining -----------------------------------------------------------------------------------------------
 */

static void draining_says_goaway_twice_and_lets_streams_finish(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    struct h2_stream *crossing = h2_client_ask("GET", BACKEND, "/crossing", NULL); /* on its way */
    rig.bw.draining = true;
    front_drain(front_rig_conn());
    h2_client_turns(4);
    assert_int_equal(h2_client.goaways, 2);
    assert_int_equal(h2_client.goaway_last[0], INT32_MAX);
    assert_int_equal(h2_client.goaway_last[1], crossing->id);
    assert_int_equal(h2_client.goaway_code[1], NGHTTP2_NO_ERROR);
    assert_int_equal(rig.asked, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(front_rig_conn()->state, FRONT_EXCHANGE);
        play_head(h2_asked(i), OK "Content-Length: 2\r\n\r\n");
        play_data(h2_asked(i), "ok", 2, true);
        h2_client_turns(2);
    }
    assert_true(s->ended);
    assert_true(crossing->ended);
    assert_int_equal(front_rig_conn()->state, FRONT_LINGER);
    assert_true(rig.pipe->owner_finished);
}

static void an_idle_client_is_drained_although_it_answers_no_ping(void **state)
{
    (void)state;
    h2_client_turns(3);
    rig.bw.draining = true;
    front_drain(front_rig_conn());
    h2_client.reads_nothing = true;
    h2_client_turns(3);
    assert_int_equal(front_rig_conn()->state, FRONT_IDLE);
    rig.world.now_ns += 1100ull * 1000000;
    h2_client_turns(3);
    assert_int_equal(front_rig_conn()->state, FRONT_LINGER);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(settings_are_said_as_soon_as_the_preface_is_here),
        T(an_idle_connection_costs_little),
        T(http1_is_told_apart_however_long_it_looks_like_the_preface),
        T(a_client_that_says_nothing_more_is_let_go),
        T(a_get_is_answered),
        T(answers_without_a_body_are_one_frame),
        T(informational_heads_come_first),
        T(trailers_go_both_ways),
        T(trailers_may_follow_no_body_at_all),
        T(many_at_a_time_are_answered_in_any_order),
        T(a_refusal_says_why_to_people_and_to_programs),
        T(a_limit_is_answered_although_nothing_was_begun),
        T(a_malformed_request_is_answered_and_the_connection_goes_on),
        T(a_body_must_be_as_long_as_was_said),
        T(a_head_over_the_limit_is_answered_431),
        T(draining_says_goaway_twice_and_lets_streams_finish),
        T(an_idle_client_is_drained_although_it_answers_no_ping),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
