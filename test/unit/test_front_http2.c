/* test/unit/test_front_http2.c — the HTTP/2 front under a client made of nghttp2, with exchanges that the
 * test plays: requests and answers of every shape, windows, tunnels, resets, draining. What a hostile client
 * does is in test_front_http2_abuse.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "test/support/h2_client.h"

#define BACKEND "10.0.0.1:10250"

static uint8_t pattern[1 << 20];

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 7 + (i >> 8));
    front_rig_start();
    h2_client_start(false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    h2_client_stop();
    front_rig_stop();
    return 0;
}

static struct played *asked(unsigned i)
{
    assert_true(rig.asked > i);
    return &rig.played[i];
}

#define OK "HTTP/1.1 200 OK\r\n"

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
    struct played *p = asked(0);
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

/* The buffers come back with what the client takes, and nothing else happens on the connection. */
static void a_frame_waits_for_a_buffer(void **state)
{
    (void)state;
    enum { HALF = 20000, HOARD = 8192 };
    static struct buf *hoard[HOARD];
    static uint8_t bytes[2 * HALF];
    unsigned count = 0;
    struct buf_pool *bufs = &rig.world.worker.bufs;
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    rig.pipe->stalled = true;
    play_head(asked(0), OK "Content-Length: 40000\r\n\r\n");
    play_data(asked(0), bytes, HALF, false);
    h2_client_turns(2);
    struct buf *spare = buf_get(bufs, BUF_BIG);
    for (enum buf_class class = BUF_SMALL; class < BUF_CLASSES; class ++)
        while (count < HOARD && (hoard[count] = buf_get(bufs, class)) != NULL)
            count++;
    assert_in_range(count, 1, HOARD - 1);
    buf_unref(spare); /* for the other half to come in */
    play_data(asked(0), bytes, HALF, true);
    h2_client_turns(2);
    assert_true(front_rig_conn()->http2->starved);
    rig.pipe->stalled = false;
    h2_client_turns(4);
    assert_true(h2_client_has_body(s, (const char *)bytes, sizeof(bytes)));
    assert_true(s->ended);
    while (count > 0)
        buf_unref(hoard[--count]);
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
        play_head(asked(i), answers[i]);
        play_data(asked(i), NULL, 0, true);
        h2_client_turns(2);
        assert_true(s->ended);
        assert_int_equal(s->data_frames, 0);
        assert_int_equal(asked(i)->end, PLAYED_COMPLETE);
    }
    struct h2_stream *s = h2_client_ask("HEAD", BACKEND, "/", NULL);
    h2_client_turns(3);
    play_head(asked(3), OK "Content-Length: 1000000\r\n\r\n");
    play_data(asked(3), NULL, 0, true);
    h2_client_turns(2);
    assert_true(s->ended);
    assert_string_equal(s->fields, "content-length=1000000;");
}

static void informational_heads_come_first(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_upload(BACKEND, "/", "expect=100-continue");
    h2_client_turns(3);
    struct played *p = asked(0);
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
    struct played *p = asked(0);
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
    play_head(asked(0), OK "Transfer-Encoding: chunked\r\n\r\n");
    h2_client_turns(2);
    play_end(asked(0), "Grpc-Status: 5\r\n\r\n");
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
        play_head(asked(i), OK "Transfer-Encoding: chunked\r\n\r\n");
        play_data(asked(i), pattern + i, 1000 + i, true);
    }
    h2_client_turns(4);
    for (unsigned i = 0; i < ARRAY_SIZE(s); i++) {
        assert_true(h2_client_has_body(s[i], pattern + i, 1000 + i));
        assert_int_equal(asked(i)->end, PLAYED_COMPLETE);
    }
}

/* -- refusals -----------------------------------------------------------------------------------------------
 */

static void a_refusal_says_why_to_people_and_to_programs(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    play_reset(asked(0), ENDING_REFUSED);
    h2_client_turns(2);
    assert_int_equal(s->status, 502);
    const char *text = "connection refused by the destination\n";
    assert_true(h2_client_has_body(s, text, strlen(text)));
    assert_non_null(strstr(s->fields, "proxy-status=hawser; error=connection_refused; "
                                      "details=\"connection refused by the destination\";"));
    assert_null(strstr(s->fields, "retry-after"));
    assert_int_equal(asked(0)->end, PLAYED_COMPLETE);
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
    assert_int_equal(asked(0)->ex.progress, EXCHANGE_OPENED);
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
        h2_client_say(s, pattern, rows[i].sent, true);
        h2_client_turns(3);
        assert_true(s->reset);
        assert_int_equal(s->code, NGHTTP2_PROTOCOL_ERROR);
        assert_int_equal(asked(i)->end, PLAYED_GONE);
        assert_int_equal(asked(i)->reason, ENDING_BAD_REQUEST);
    }
    struct h2_stream *s = h2_client_upload(BACKEND, "/", "content-length=5");
    h2_client_say(s, pattern, 5, true);
    h2_client_turns(3);
    assert_false(s->reset);
    assert_true(asked(3)->ended);
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

/* -- bodies and windows -------------------------------------------------------------------------------------
 */

static void an_upload_stops_at_its_window_and_goes_on_with_grants(void **state)
{
    (void)state;
    struct h2_stream *stopped = h2_client_upload(BACKEND, "/stopped", NULL);
    h2_client_turns(3);
    h2_client_say(stopped, pattern, sizeof(pattern), true);
    h2_client_turns(20);
    struct played *p = asked(0);
    assert_int_equal(p->received, EXCHANGE_BUDGET);
    /* Nobody else is stopped by it: a connection's window is four streams'. */
    struct h2_stream *other = h2_client_upload(BACKEND, "/other", NULL);
    h2_client_say(other, pattern, sizeof(pattern), true);
    for (int i = 0; i < 40; i++) {
        h2_client_turn();
        if (rig.asked > 1)
            play_grant(asked(1), (uint32_t)(asked(1)->received - asked(1)->granted));
    }
    assert_int_equal(asked(1)->received, sizeof(pattern));
    assert_true(asked(1)->ended);
    assert_int_equal(p->received, EXCHANGE_BUDGET);
    for (int i = 0; i < 100 && !p->ended; i++) {
        play_grant(p, (uint32_t)(p->received - p->granted));
        h2_client_turn();
    }
    assert_true(p->ended);
    assert_int_equal(p->received, sizeof(pattern));
    assert_memory_equal(p->body.bytes + p->body.from, pattern, sizeof(pattern));
}

static void small_frames_reach_the_exchange_together(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_upload(BACKEND, "/", NULL);
    h2_client_turns(3);
    const uint8_t *out;
    ssize_t n;
    for (unsigned i = 0; i < 1000; i++) { /* a frame each, one read for all */
        h2_client_say(s, pattern + i * 3, 3, i == 999);
        while ((n = nghttp2_session_mem_send(h2_client.session, &out)) > 0)
            pipe_give(rig.pipe, out, (size_t)n);
    }
    h2_client_turns(2);
    assert_true(asked(0)->ended);
    assert_int_equal(asked(0)->received, 3000);
    assert_memory_equal(asked(0)->body.bytes + asked(0)->body.from, pattern, 3000);
    assert_true(asked(0)->pieces < 10);
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
        h2_client_say(stopped, pattern + i, 1, false);
        h2_client_say(other, pattern, 60000, false);
        h2_client_turns(2);
        play_grant(asked(1), (uint32_t)(asked(1)->received - asked(1)->granted));
        h2_client_turns(2);
    }
    assert_int_equal(asked(1)->received, 200 * 60000);
    assert_int_equal(stopped->upload_sent, 1);
    assert_true(world_buffers_used(&rig.world) <= 2);
    play_connected(asked(0));
    assert_int_equal(asked(0)->received, 200);
    assert_memory_equal(asked(0)->body.bytes + asked(0)->body.from, pattern, 200);
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
        play_head(asked(i), OK "Transfer-Encoding: chunked\r\n\r\n");
        play_data(asked(i), pattern, EXCHANGE_BUDGET, false);
    }
    h2_client_turns(5);
    assert_true(rig.pipe->outstanding >= HTTP2_UNSENT_MAX);
    assert_true(rig.pipe->outstanding <= HTTP2_UNSENT_MAX + 16384 + 9);
    rig.pipe->stalled = false;
    h2_client_turns(30);
    for (unsigned i = 0; i < ARRAY_SIZE(s); i++) {
        play_data(asked(i), pattern + EXCHANGE_BUDGET, 1000, true);
        h2_client_turns(2);
        assert_true(h2_client_has_body(s[i], pattern, EXCHANGE_BUDGET + 1000));
        assert_int_equal(asked(i)->credited, EXCHANGE_BUDGET + 1000);
        assert_int_equal(asked(i)->end, PLAYED_COMPLETE);
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
    play_head(asked(0), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(asked(0), pattern, EXCHANGE_BUDGET, false);
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
    play_head(asked(0), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_head(asked(1), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(asked(0), pattern, EXCHANGE_BUDGET, false);
    play_data(asked(1), pattern, 40000, true);
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
    play_head(asked(0), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(asked(0), pattern, EXCHANGE_BUDGET, false);
    h2_client_turns(3);
    assert_int_equal(stopped->body_bytes, 65535);
    assert_int_equal(nghttp2_session_consume_connection(h2_client.session, 65535), 0);
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    play_head(asked(1), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(asked(1), pattern, 30000, true);
    h2_client_turns(3);
    assert_true(s->ended);
    assert_int_equal(asked(1)->end, PLAYED_COMPLETE);
    assert_int_equal(asked(0)->credited,
                     0); /* of whole segments: the first has 64 KiB, and one byte is left */
    assert_int_equal(nghttp2_session_consume_stream(h2_client.session, stopped->id, 65535), 0);
    h2_client_turns(3);
    assert_int_equal(stopped->body_bytes, 2 * 65535 - 30000);
    assert_int_equal(asked(0)->credited, 65536);
}

static void an_early_answer_ends_the_upload(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_upload(BACKEND, "/", NULL);
    h2_client_say(s, pattern, sizeof(pattern), true);
    h2_client_turns(6);
    struct played *p = asked(0);
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
    play_head(asked(0), OK "Content-Length: 0\r\n\r\n");
    h2_client_turns(3);
    assert_true(s->closed);
    assert_int_equal(asked(0)->end, PLAYED_RUNS);
    assert_int_equal(front_rig_conn()->state, FRONT_IDLE);
    play_end(asked(0), NULL);
    assert_int_equal(asked(0)->end, PLAYED_COMPLETE);
}

/* -- resets -------------------------------------------------------------------------------------------------
 */

static void a_cancelled_request_leaves_its_exchange(void **state)
{
    (void)state;
    struct h2_stream *early = h2_client_ask("GET", BACKEND, "/", NULL);
    struct h2_stream *late = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    play_head(asked(1), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(asked(1), pattern, 200000, false);
    h2_client_turns(2);
    h2_client_reset(early, NGHTTP2_CANCEL);
    h2_client_reset(late, NGHTTP2_CANCEL);
    h2_client_turns(2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(asked(i)->end, PLAYED_GONE);
        assert_int_equal(asked(i)->reason, ENDING_CLIENT_GONE);
    }
    assert_int_equal(front_rig_conn()->state, FRONT_IDLE);
    assert_int_equal(world_buffers_used(&rig.world), 0);
}

static void a_cut_response_is_never_complete(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    play_head(asked(0), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(asked(0), "half", 4, false);
    h2_client_turns(2);
    play_reset(asked(0), ENDING_TRUNCATED);
    h2_client_turns(2);
    assert_false(s->ended);
    assert_true(s->reset);
    assert_int_equal(s->code, NGHTTP2_INTERNAL_ERROR);
    assert_int_equal(asked(0)->reason, ENDING_TRUNCATED);
}

static void a_client_that_vanishes_ends_all_its_exchanges(void **state)
{
    (void)state;
    struct h2_stream *s[3];
    for (unsigned i = 0; i < 3; i++)
        s[i] = i == 1 ? h2_client_upload(BACKEND, "/", NULL) : h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_say(s[1], pattern, 100000, false);
    h2_client_turns(4);
    play_head(asked(2), OK "Transfer-Encoding: chunked\r\n\r\n");
    play_data(asked(2), pattern, 200000, false);
    pipe_reset(rig.pipe);
    h2_client_turns(2);
    assert_null(front_rig_conn());
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(asked(i)->end, PLAYED_GONE);
        assert_int_equal(asked(i)->reason, ENDING_CLIENT_GONE);
    }
}

static void a_client_that_ends_its_direction_still_gets_what_it_asked_for(void **state)
{
    (void)state;
    h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_ask("CONNECT", BACKEND, NULL, NULL);
    h2_client_turns(3);
    play_connected(asked(1));
    h2_client_turns(2);
    pipe_end(rig.pipe);
    h2_client_turns(2);
    assert_int_equal(asked(1)->end, PLAYED_GONE); /* a tunnel that is not ended is cut */
    play_head(asked(0), OK "Content-Length: 2\r\n\r\n");
    play_data(asked(0), "ok", 2, true);
    world_turn(&rig.world);
    assert_int_equal(asked(0)->credited, 2);
    assert_int_equal(asked(0)->end, PLAYED_COMPLETE);
    assert_int_equal(front_rig_conn()->state, FRONT_LINGER);
}

static void a_half_closed_client_whose_answer_makes_no_step_is_gone(void **state)
{
    (void)state;
    h2_client_ask("GET", BACKEND, "/", NULL);
    h2_client_turns(3);
    pipe_end(rig.pipe);
    h2_client_turns(2);
    assert_int_equal(asked(0)->end, PLAYED_RUNS);
    rig.world.now_ns += 11ull * 1000000000;
    h2_client_turns(3);
    assert_int_equal(asked(0)->end, PLAYED_GONE);
}

/* -- tunnels ------------------------------------------------------------------------------------------------
 */

static void a_tunnel_carries_bytes_both_ways_and_ends_twice(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("CONNECT", "node-1:10250", NULL, NULL);
    h2_client_say(s, "early", 5, false);
    h2_client_turns(3);
    struct played *p = asked(0);
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
    h2_client_say(s, pattern, 100000, true);
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
    play_connected(asked(0));
    assert_int_equal(asked(0)->received, 9);
    assert_true(asked(0)->ended);
    h2_client_turns(2);
    play_data(asked(0), "answer", 6, false);
    play_fin(asked(0));
    play_end(asked(0), NULL);
    h2_client_turns(3);
    assert_true(h2_client_has_body(s, "answer", 6));
    assert_true(s->ended);
    assert_int_equal(asked(0)->end, PLAYED_COMPLETE);
}

static void an_abort_of_the_destination_arrives_as_one(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("CONNECT", BACKEND, NULL, NULL);
    h2_client_turns(3);
    play_connected(asked(0));
    play_data(asked(0), "half", 4, false);
    h2_client_turns(2);
    play_reset(asked(0), ENDING_PEER_RESET);
    h2_client_turns(2);
    assert_false(s->ended);
    assert_true(s->reset);
    assert_int_equal(s->code, NGHTTP2_CONNECT_ERROR);
    assert_int_equal(asked(0)->reason, ENDING_PEER_RESET);
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
    play_connected(asked(0));
    play_data(asked(0), pattern, LAST_BYTES, false);
    play_fin(asked(0));
    h2_client_turns(5);
    assert_false(s->ended);
    play_reset(asked(0), ENDING_PEER_RESET);
    h2_client_turns(2);
    assert_int_equal(asked(0)->end, PLAYED_GONE);
    assert_int_equal(asked(0)->reason, ENDING_PEER_RESET);
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
    assert_true(h2_client_has_body(s, pattern, LAST_BYTES));
    assert_true(s->ended);
    assert_true(s->closed);
    assert_false(s->reset);
}

static void who_still_sends_is_told_after_the_end_that_nobody_takes_it(void **state)
{
    (void)state;
    struct h2_stream *s = cut_after_its_end(false);
    h2_client_say(s, pattern, 1000, false);
    h2_client_turns(3);
    h2_client_say(s, pattern, 60000, false);
    h2_client_turns(3);
    assert_int_equal(asked(0)->received, 0);
    open_windows(s);
    assert_true(h2_client_has_body(s, pattern, LAST_BYTES));
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
    play_connected(asked(0));
    play_data(asked(0), pattern, LAST_BYTES, false);
    play_fin(asked(0));
    play_end(asked(0), NULL); /* its last word: nobody is there to hear the client */
    h2_client_turns(3);
    const uint8_t *out;
    ssize_t n;
    for (unsigned i = 0; i < 40; i++) { /* put together, in more than one piece */
        h2_client_say(s, pattern, 1000, false);
        while ((n = nghttp2_session_mem_send(h2_client.session, &out)) > 0)
            pipe_give(rig.pipe, out, (size_t)n);
    }
    h2_client_turns(3);
    assert_int_equal(asked(0)->end, PLAYED_GONE);
    open_windows(s);
    assert_true(h2_client_has_body(s, pattern, LAST_BYTES));
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
        play_connected(asked(i));
        if (i == 2)
            play_fin(asked(i)); /* the other direction has ended */
        h2_client_turns(2);
        h2_client_reset(s, codes[i]);
        h2_client_turns(2);
        assert_int_equal(asked(i)->end, PLAYED_GONE);
        assert_false(asked(i)->ended);
    }
}

static void a_refused_connect_says_why(void **state)
{
    (void)state;
    struct h2_stream *s = h2_client_ask("CONNECT", BACKEND, NULL, NULL);
    h2_client_say(s, "early", 5, false);
    h2_client_turns(3);
    play_reset(asked(0), ENDING_CONNECT_TIMEOUT);
    h2_client_turns(3);
    assert_int_equal(s->status, 504);
    assert_non_null(strstr(s->fields, "proxy-status=hawser; error=connection_timeout; details="));
    assert_true(s->ended);
    assert_int_equal(asked(0)->end, PLAYED_COMPLETE);
    assert_int_equal(world_buffers_used(&rig.world), 0);
}

static void a_silent_tunnel_is_cut_where_a_limit_is_set(void **state)
{
    (void)state;
    rig.broker.times.tunnel_idle_ms = 5000;
    struct h2_stream *s = h2_client_ask("CONNECT", BACKEND, NULL, NULL);
    h2_client_turns(3);
    play_connected(asked(0));
    h2_client_turns(2);
    for (unsigned i = 0; i < 3; i++) {
        rig.world.now_ns += 4ull * 1000000000;
        h2_client_turns(2);
        h2_client_say(s, "x", 1, false);
        h2_client_turns(2);
        assert_int_equal(asked(0)->end, PLAYED_RUNS);
    }
    rig.world.now_ns += 6ull * 1000000000;
    h2_client_turns(3);
    assert_int_equal(asked(0)->end, PLAYED_GONE);
    assert_int_equal(asked(0)->reason, ENDING_IDLE_TIMEOUT);
    assert_int_equal(s->code, NGHTTP2_CANCEL);
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
        play_head(asked(i), OK "Content-Length: 2\r\n\r\n");
        play_data(asked(i), "ok", 2, true);
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
        T(a_frame_waits_for_a_buffer),
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
        T(draining_says_goaway_twice_and_lets_streams_finish),
        T(an_idle_client_is_drained_although_it_answers_no_ping),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
