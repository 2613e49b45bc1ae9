/* test/unit/test_http2_client.c — requests over HTTP/2 sessions, from the message that opens an exchange to
 * its last word: what the destination is told, what comes of what it says, and every end of stream, session
 * and connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/http2_rig.h"

static struct http2_rig rig;
static struct rig_request r[400];
static char bulk[600000];

#define GET "GET https://10.0.0.1:10250/pods?a=b HTTP/1.1\r\nHost: 10.0.0.1:10250\r\n"
#define POST                                                                                                 \
    "POST https://10.0.0.1:10250/run HTTP/1.1\r\nHost: 10.0.0.1:10250\r\nTransfer-Encoding: chunked\r\n\r\n"

static int setup(void **state)
{
    (void)state;
    rig_start(&rig);
    for (size_t i = 0; i < sizeof bulk; i++)
        bulk[i] = (char)(i * 7 + i / 1000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_stop(&rig);
    for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
        rig_forget(&r[i]);
    return 0;
}

static uint64_t count(enum counter c)
{
    return atomic_load_explicit(&rig.engine.worker.counters.values[c], memory_order_relaxed);
}

static void ask(unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++)
        rig_ask(&rig, &r[i], GET "\r\n", true);
    rig_run(&rig);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in '%s'", part, text);
}

static void assert_reset(const struct rig_request *q, enum ending ending, const char *detail)
{
    assert_true(q->reset);
    assert_string_equal(ending_name(q->ending), ending_name(ending));
    assert_has(q->detail, detail);
}

static void assert_answered(const struct rig_request *q, unsigned status, const char *body, size_t len)
{
    assert_true(q->ended);
    assert_true(q->heads > 0);
    assert_int_equal(q->statuses[q->heads - 1], status);
    assert_int_equal(q->body_len, len);
    if (len > 0)
        assert_memory_equal(q->body, body, len);
}

/* -- requests and responses
 * -----------------------------------------------------------------------------------
 */

static void request_is_a_stream_with_its_fields(void **state)
{
    (void)state;
    rig_ask(&rig, &r[0],
            GET "Accept: */*\r\nX-Mixed: Case\r\nConnection: X-Gone\r\nX-Gone: 1\r\nTE: gzip\r\nCookie: a=b; "
                "c=d\r\n\r\n",
            true);
    rig_run(&rig);
    struct rig_stream *st = rig_stream(&rig, 0, 0);
    assert_string_equal(st->fields,
                        ":method: GET\n:scheme: https\n:authority: 10.0.0.1:10250\n:path: /pods?a=b\n"
                        "accept: */*\nx-mixed: Case\ncookie: a=b; c=d\nte: trailers\n");
    assert_true(st->ended);
    rig_respond(st, "200|content-type=text/plain|content-length=5", "hello", 5);
    rig_run(&rig);
    assert_answered(&r[0], 200, "hello", 5);
    assert_string_equal(r[0].head,
                        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(r[0].how, LEASE_NEW);
    assert_int_equal(count(COUNTER_pool_shares), 0);
}

static void response_without_a_length_is_chunked_for_http1(void **state)
{
    (void)state;
    ask(0, 2);
    rig_respond(rig_stream(&rig, 0, 0), "200", "hello", 5);
    rig_respond(rig_stream(&rig, 0, 1), "204|content-length=0", NULL, 0);
    rig_run(&rig);
    assert_answered(&r[0], 200, "hello", 5);
    assert_has(r[0].head, "Transfer-Encoding: chunked");
    assert_answered(&r[1], 204, "", 0);
    assert_string_equal(r[1].head, "HTTP/1.1 204 No Content\r\n\r\n");
}

static void response_that_ends_with_its_head_has_a_length_for_http1(void **state)
{
    (void)state;
    ask(0, 1);
    rig_respond(rig_stream(&rig, 0, 0), "200", NULL, 0);
    rig_run(&rig);
    assert_answered(&r[0], 200, "", 0);
    assert_string_equal(r[0].head, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void head_and_304_keep_their_length(void **state)
{
    (void)state;
    rig_ask(&rig, &r[0], "HEAD https://10.0.0.1:10250/ HTTP/1.1\r\nHost: 10.0.0.1:10250\r\n\r\n", true);
    ask(1, 1);
    rig_respond(rig_stream(&rig, 0, 0), "200|content-length=77", NULL, 0);
    rig_respond(rig_stream(&rig, 0, 1), "304|content-length=78", NULL, 0);
    rig_run(&rig);
    assert_answered(&r[0], 200, "", 0);
    assert_has(r[0].head, "Content-Length: 77");
    assert_answered(&r[1], 304, "", 0);
    assert_has(r[1].head, "Content-Length: 78");
}

static void trailers_are_passed_on_both_ways(void **state)
{
    (void)state;
    rig_ask(&rig, &r[0], POST, false);
    rig_body(&r[0], "body", 4, false);
    rig_end(&r[0], "X-Sum: 42\r\n");
    rig_run(&rig);
    struct rig_stream *st = rig_stream(&rig, 0, 0);
    assert_int_equal(st->body_len, 4);
    assert_true(st->ended);
    assert_has(st->fields, "x-sum: 42\n");
    st->trailer = "check";
    rig_respond(st, "200", "hello", 5);
    rig_run(&rig);
    assert_answered(&r[0], 200, "hello", 5);
    assert_string_equal(r[0].head, "0\r\nx-trailer: check\r\n\r\n");
}

static void interim_responses_are_heads_of_their_own(void **state)
{
    (void)state;
    ask(0, 1);
    struct rig_stream *st = rig_stream(&rig, 0, 0);
    rig_respond(st, "103|link=</a>", NULL, 0);
    rig_respond(st, "103|link=</b>", NULL, 0);
    rig_respond(st, "200", "x", 1);
    rig_run(&rig);
    assert_int_equal(r[0].heads, 3);
    assert_int_equal(r[0].statuses[1], 103);
    assert_answered(&r[0], 200, "x", 1);
}

static void body_goes_out_whole_and_its_credit_comes_back(void **state)
{
    uint64_t sum = 0;
    (void)state;
    rig_ask(&rig, &r[0], POST, false);
    for (size_t at = 0; at < 250000; at += 50000)
        rig_body(&r[0], bulk + at, 50000, at == 200000);
    rig_run(&rig);
    struct rig_stream *st = rig_stream(&rig, 0, 0);
    for (size_t i = 0; i < 250000; i++)
        sum = sum * 31 + (uint8_t)bulk[i];
    assert_int_equal(st->body_len, 250000);
    assert_true(st->body_sum == sum);
    assert_true(st->ended);
    assert_int_equal(r[0].credited, 250000);
    rig_respond(st, "200", NULL, 0);
    rig_run(&rig);
    assert_answered(&r[0], 200, "", 0);
}

static void body_waits_for_the_windows_of_the_peer_as_it_was_lent(void **state)
{
    (void)state;
    rig.settings_window = 1000;
    ask(0, 1); /* its settings are known then */
    rig_ask(&rig, &r[1], POST, false);
    for (int i = 0; i < 4; i++)
        rig_body(&r[1], bulk, 600, false);
    rig_run(&rig);
    struct rig_peer *p = rig.peers[0];
    struct rig_stream *st = rig_stream(&rig, 0, 1);
    /* The server opens a window that is half used up by itself: in steps, but all of it goes. */
    assert_int_equal(st->body_len, 2400);
    assert_int_equal(r[1].credited, 2400);
    nghttp2_settings_entry none = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    assert_int_equal(nghttp2_submit_settings(p->session, NGHTTP2_FLAG_NONE, &none, 1), 0);
    rig_run(&rig);
    for (int i = 0; i < 4; i++)
        rig_body(&r[1], bulk, 600, false);
    rig_run(&rig);
    assert_true(st->body_len < 4800);
    assert_true(r[1].credited <= st->body_len);
    rig_ask(&rig, &r[2], POST, false); /* a window of nothing, and another that is open, on one connection */
    rig_body(&r[2], bulk, 100, true);
    rig_run(&rig);
    assert_int_equal(rig_stream(&rig, 0, 2)->body_len, 0);
    assert_int_equal(r[2].credited, 0);
    rig_cancel(&r[1]);
    rig_cancel(&r[2]);
    rig_respond(rig_stream(&rig, 0, 0), "200", NULL, 0);
    rig_run(&rig);
    assert_answered(&r[0], 200, "", 0);
}

static void reader_who_stops_stops_his_own_sender_only(void **state)
{
    (void)state;
    ask(0, 2);
    r[0].takes = false;
    rig_respond(rig_stream(&rig, 0, 0), "200", bulk, sizeof bulk);
    rig_respond(rig_stream(&rig, 0, 1), "200", bulk, sizeof bulk);
    rig_run(&rig);
    assert_int_equal(r[0].body_len, EXCHANGE_BUDGET);
    assert_answered(&r[1], 200, bulk, sizeof bulk);
    rig_credit(&r[0], 100000); /* less than half a window: nghttp2 waits for more */
    rig_run(&rig);
    assert_int_equal(r[0].body_len, EXCHANGE_BUDGET);
    r[0].takes = true;
    rig_credit(&r[0], r[0].uncredited);
    rig_run(&rig);
    assert_answered(&r[0], 200, bulk, sizeof bulk);
}

static void what_drips_is_gathered(void **state)
{
    (void)state;
    ask(0, 1);
    r[0].takes = false;
    struct rig_peer *p = rig.peers[0];
    struct rig_stream *st = rig_stream(&rig, 0, 0);
    st->reply_open = true;
    rig_respond(st, "200", "", 0);
    rig_run(&rig);
    unsigned small = rig.engine.worker.bufs.classes[BUF_SMALL].used;
    for (int i = 0; i < 1000; i++) { /* a frame for each byte, three in one read */
        st->reply = "abc";
        st->reply_len = 1;
        st->reply_sent = 0;
        nghttp2_session_resume_data(p->session, st->id);
        rig_run(&rig);
    }
    assert_int_equal(r[0].body_len, 1000);
    assert_true(rig.engine.worker.bufs.classes[BUF_SMALL].used <= small + 2);
    rig_cancel(&r[0]);
    rig_run(&rig);
}

static void early_answer_ends_the_request_too(void **state)
{
    (void)state;
    rig_ask(&rig, &r[0], POST, false);
    rig_body(&r[0], "part", 4, false);
    rig_run(&rig);
    struct rig_stream *st = rig_stream(&rig, 0, 0);
    rig_respond(st, "413", "too much", 8);
    rig_run(&rig);
    assert_answered(&r[0], 413, "too much", 8);
    assert_true(st->closed);
    assert_int_equal(st->close_code, NGHTTP2_CANCEL);
    assert_int_equal(count(COUNTER_pool_shares), 0);
    ask(1, 1);
    assert_int_equal(rig.peer_count, 1); /* the connection is as good as before */
    rig_respond(rig_stream(&rig, 0, 1), "200", NULL, 0);
    rig_run(&rig);
    assert_answered(&r[1], 200, "", 0);
}

static void cancelled_exchange_resets_its_stream_and_no_other(void **state)
{
    (void)state;
    ask(0, 2);
    rig_cancel(&r[0]);
    rig_run(&rig);
    assert_true(rig_stream(&rig, 0, 0)->closed);
    assert_int_equal(rig_stream(&rig, 0, 0)->close_code, NGHTTP2_CANCEL);
    assert_false(rig_stream(&rig, 0, 1)->closed);
    rig_respond(rig_stream(&rig, 0, 1), "200", "x", 1);
    rig_run(&rig);
    assert_answered(&r[1], 200, "x", 1);
}

static void deadline_of_the_first_byte_ends_one_stream(void **state)
{
    (void)state;
    ask(0, 1);
    rig_advance_ms(&rig, 30000);
    assert_false(r[0].reset);
    rig_advance_ms(&rig, 31000);
    assert_reset(&r[0], ENDING_DEADLINE, "first byte");
    assert_true(rig_stream(&rig, 0, 0)->closed);
}

static void destination_without_h2_is_spoken_to_in_http1(void **state)
{
    (void)state;
    rig.alpn = "http/1.1";
    ask(0, 1);
    assert_int_equal(rig.peer_count, 0);
    struct script_stream *s = script_last(&rig.engine);
    script_data(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    rig_run(&rig);
    assert_answered(&r[0], 200, "ok", 2);
    assert_int_equal(count(COUNTER_pool_idle), 1);
}

/* -- many
 * -----------------------------------------------------------------------------------------------------
 */

static void storm_shares_one_connection(void **state)
{
    (void)state;
    ask(0, 100);
    assert_int_equal(rig.engine.dialled, 1);
    assert_int_equal(rig.peers[0]->count, 100);
    for (unsigned i = 0; i < 100; i++)
        rig_respond(rig_stream(&rig, 0, i), "200", bulk + i, 1000);
    rig_run(&rig);
    for (unsigned i = 0; i < 100; i++)
        assert_answered(&r[i], 200, bulk + i, 1000);
}

static void limit_of_the_peer_is_kept(void **state)
{
    (void)state;
    rig.settings_max = 10;
    ask(0, 1);
    ask(1, 24);
    assert_int_equal(rig.peer_count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(rig.peers[i]->count <= 10);
    assert_int_equal(rig.peers[0]->count + rig.peers[1]->count + rig.peers[2]->count, 25);
    nghttp2_settings_entry more = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 20};
    assert_int_equal(nghttp2_submit_settings(rig.peers[2]->session, NGHTTP2_FLAG_NONE, &more, 1), 0);
    rig_run(&rig);
    ask(25, 10);
    assert_int_equal(rig.peer_count, 3);
    assert_true(rig.peers[2]->count > 10);
    for (unsigned p = 0; p < 3; p++)
        for (unsigned i = 0; i < rig.peers[p]->count; i++)
            rig_respond(rig_stream(&rig, p, i), "200", NULL, 0);
    rig_run(&rig);
    for (unsigned i = 0; i < 35; i++)
        assert_answered(&r[i], 200, "", 0);
}

/* A storm meets a peer that allows less than is usual. */
static void storm_beyond_the_limit_goes_elsewhere(void **state)
{
    (void)state;
    rig.settings_max = 10;
    ask(0, 30);
    for (unsigned p = 0; p < rig.peer_count; p++)
        assert_true(rig.peers[p]->count <= 10);
    assert_int_equal(rig.peer_count, 3);
    for (unsigned p = 0; p < 3; p++)
        for (unsigned i = 0; i < rig.peers[p]->count; i++)
            rig_respond(rig_stream(&rig, p, i), "200", NULL, 0);
    rig_run(&rig);
    for (unsigned i = 0; i < 30; i++)
        assert_answered(&r[i], 200, "", 0);
}

/* It says so before anything was sent to it: what was begun must not wait for places that may not come. */
static void storm_beyond_a_limit_that_comes_with_the_handshake_is_withdrawn(void **state)
{
    (void)state;
    rig.settings_max = 10;
    for (unsigned i = 0; i < 30; i++)
        rig_ask(&rig, &r[i], GET "\r\n", true);
    script_run(&rig.engine);
    script_open(script_dialling(&rig.engine));
    script_run(&rig.engine);
    rig.early = true;
    rig_open_dial(&rig);
    rig.early = false;
    rig_run(&rig);
    assert_int_equal(rig.peer_count, 3);
    for (unsigned p = 0; p < 3; p++) {
        assert_int_equal(rig.peers[p]->count, 10);
        for (unsigned i = 0; i < 10; i++)
            rig_respond(rig_stream(&rig, p, i), "200", NULL, 0);
    }
    rig_run(&rig);
    for (unsigned i = 0; i < 30; i++)
        assert_answered(&r[i], 200, "", 0);
    ask(30, 10); /* nothing was left behind in the first one */
    for (unsigned p = 0; p < 3; p++)
        for (unsigned i = 10; i < rig.peers[p]->count; i++)
            rig_respond(rig_stream(&rig, p, i), "200", NULL, 0);
    rig_run(&rig);
    for (unsigned i = 30; i < 40; i++)
        assert_answered(&r[i], 200, "", 0);
    assert_int_equal(rig.peers[0]->count + rig.peers[1]->count + rig.peers[2]->count, 40);
}

static void heads_beyond_a_sessions_memory_are_refused_and_harm_no_other(void **state)
{
    static char text[60000];
    unsigned limit = 0, answered = 0;
    (void)state;
    ask(0, 1);
    size_t n = (size_t)snprintf(text, sizeof text, GET "X-Long: ");
    memset(text + n, 'a', 40000);
    snprintf(text + n + 40000, sizeof text - n - 40000, "\r\n\r\n");
    for (unsigned i = 1; i < 100; i++)
        rig_ask(&rig, &r[i], text, true);
    rig_run(&rig);
    for (unsigned i = 0; i < rig.peers[0]->count; i++)
        rig_respond(rig_stream(&rig, 0, i), "200", NULL, 0);
    rig_run(&rig);
    for (unsigned i = 0; i < 100; i++) {
        limit += r[i].reset && r[i].ending == ENDING_LIMIT;
        answered += r[i].ended;
    }
    assert_int_equal(limit + answered, 100);
    assert_true(limit > 0 && answered > 30);
    assert_true(r[0].ended);
    assert_int_equal(rig.peer_count, 1);
}

/* -- the destination ends streams and sessions
 * ------------------------------------------------------------------
 */

static void refused_request_is_sent_again_once(void **state)
{
    (void)state;
    ask(0, 1);
    rig_ask(&rig, &r[1], POST, true); /* not idempotent: the peer's word is enough */
    rig_run(&rig);
    for (unsigned i = 0; i < 2; i++)
        nghttp2_submit_rst_stream(rig.peers[0]->session, NGHTTP2_FLAG_NONE, rig_stream(&rig, 0, i)->id,
                                  NGHTTP2_REFUSED_STREAM);
    rig_run(&rig);
    assert_int_equal(rig.peers[0]->count, 4); /* on the same connection */
    rig_respond(rig_stream(&rig, 0, 2), "200", "x", 1);
    nghttp2_submit_rst_stream(rig.peers[0]->session, NGHTTP2_FLAG_NONE, rig_stream(&rig, 0, 3)->id,
                              NGHTTP2_REFUSED_STREAM);
    rig_run(&rig);
    assert_answered(&r[0], 200, "x", 1);
    assert_int_equal(r[0].retry, RETRY_UNSENT);
    assert_reset(&r[1], ENDING_PEER_RESET, "refused it again");
    assert_int_equal(count(COUNTER_retries), 2);
}

static void refused_request_is_sent_again_under_the_identity_of_the_time(void **state)
{
    static struct pool_profile next; /* it outlives the pool */
    (void)state;
    next = rig.profile;
    next.generation++;
    ask(0, 2);
    rig.profiles[1] = &next; /* as a reload of certificates does */
    pool_retire_generation(rig.bw.pool, next.id, next.generation);
    nghttp2_submit_rst_stream(rig.peers[0]->session, NGHTTP2_FLAG_NONE, rig_stream(&rig, 0, 0)->id,
                              NGHTTP2_REFUSED_STREAM);
    rig_run(&rig);
    assert_int_equal(rig.peers[0]->count, 2);
    assert_int_equal(rig.peer_count, 2); /* not the connection that was verified before */
    rig_respond(rig_stream(&rig, 1, 0), "200", "x", 1);
    rig_respond(rig_stream(&rig, 0, 1), "200", "y", 1);
    rig_run(&rig);
    assert_answered(&r[0], 200, "x", 1);
    assert_answered(&r[1], 200, "y", 1); /* what was under way there came to its end */
    rig_advance_ms(&rig, 3000);
    assert_false(pool_uses_generation(rig.bw.pool, next.id, rig.profile.generation));
}

static void refused_request_takes_its_unsent_body_along(void **state)
{
    (void)state;
    rig.settings_window = 1; /* nothing of it may go before the peer has read */
    ask(0, 1);
    nghttp2_settings_entry none = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    assert_int_equal(nghttp2_submit_settings(rig.peers[0]->session, NGHTTP2_FLAG_NONE, &none, 1), 0);
    rig_run(&rig);
    rig_ask(&rig, &r[1], POST, false);
    rig_body(&r[1], "body", 4, true);
    rig_run(&rig);
    assert_int_equal(rig_stream(&rig, 0, 1)->body_len, 0);
    nghttp2_settings_entry some = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 65535};
    nghttp2_submit_rst_stream(rig.peers[0]->session, NGHTTP2_FLAG_NONE, rig_stream(&rig, 0, 1)->id,
                              NGHTTP2_REFUSED_STREAM);
    assert_int_equal(nghttp2_submit_settings(rig.peers[0]->session, NGHTTP2_FLAG_NONE, &some, 1), 0);
    rig_run(&rig);
    struct rig_stream *again = rig_stream(&rig, 0, 2);
    assert_int_equal(again->body_len, 4);
    assert_true(again->ended);
    rig_respond(again, "200", NULL, 0);
    rig_run(&rig);
    assert_answered(&r[1], 200, "", 0);
    rig_cancel(&r[0]);
    rig_run(&rig);
}

static void body_that_was_sent_in_part_is_not_sent_again(void **state)
{
    (void)state;
    rig_ask(&rig, &r[0], POST, false);
    rig_body(&r[0], "part", 4, false);
    rig_run(&rig);
    nghttp2_submit_rst_stream(rig.peers[0]->session, NGHTTP2_FLAG_NONE, rig_stream(&rig, 0, 0)->id,
                              NGHTTP2_REFUSED_STREAM);
    rig_run(&rig);
    assert_reset(&r[0], ENDING_PEER_RESET, "after part of its body was sent");
    assert_int_equal(rig.peers[0]->count, 1);
}

static void goaway_lets_streams_end_and_sends_others_to_a_new_connection(void **state)
{
    (void)state;
    ask(0, 4);
    struct rig_peer *p = rig.peers[0];
    assert_int_equal(nghttp2_submit_goaway(p->session, NGHTTP2_FLAG_NONE, rig_stream(&rig, 0, 1)->id,
                                           NGHTTP2_NO_ERROR, NULL, 0),
                     0);
    rig_run(&rig);
    assert_int_equal(rig.peer_count, 2);
    assert_int_equal(rig.peers[1]->count, 2);
    ask(4, 1);
    assert_int_equal(rig.peers[1]->count, 3);
    for (unsigned i = 0; i < 2; i++)
        rig_respond(rig_stream(&rig, 0, i), "200", "old", 3);
    for (unsigned i = 0; i < 3; i++)
        rig_respond(rig_stream(&rig, 1, i), "200", "new", 3);
    rig_run(&rig);
    for (unsigned i = 0; i < 5; i++)
        assert_answered(&r[i], 200, i < 2 ? "old" : "new", 3);
    assert_int_equal(r[2].retry, RETRY_UNSENT);
    rig_advance_ms(&rig, 500);
    assert_int_equal(count(COUNTER_pool_shared), 1); /* the old one went with its last stream */
}

static void reset_tells_its_reason_and_harms_nobody_else(void **state)
{
    (void)state;
    ask(0, 2);
    nghttp2_submit_rst_stream(rig.peers[0]->session, NGHTTP2_FLAG_NONE, rig_stream(&rig, 0, 0)->id,
                              NGHTTP2_ENHANCE_YOUR_CALM);
    rig_respond(rig_stream(&rig, 0, 1), "200", "x", 1);
    rig_run(&rig);
    assert_reset(&r[0], ENDING_PEER_RESET, "the HTTP/2 stream was reset: ENHANCE_YOUR_CALM");
    assert_answered(&r[1], 200, "x", 1);
}

static void reset_in_the_middle_of_a_body_is_no_end(void **state)
{
    (void)state;
    ask(0, 1);
    struct rig_stream *st = rig_stream(&rig, 0, 0);
    st->reply_open = true;
    rig_respond(st, "200", "part", 4);
    rig_run(&rig);
    assert_int_equal(r[0].body_len, 4);
    nghttp2_submit_rst_stream(rig.peers[0]->session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_NO_ERROR);
    rig_run(&rig);
    assert_reset(&r[0], ENDING_PEER_RESET, "NO_ERROR");
}

static void lost_connection_repeats_what_is_safe(void **state)
{
    (void)state;
    ask(0, 1); /* the first on its connection: not a race with an idle limit */
    rig_ask(&rig, &r[1], POST, true);
    rig_ask(&rig, &r[2], GET "\r\n", true);
    rig_ask(&rig, &r[3], GET "\r\n", true);
    rig_run(&rig);
    struct rig_stream *st = rig_stream(&rig, 0, 3);
    st->reply_open = true;
    rig_respond(st, "200", "part", 4);
    rig_run(&rig);
    script_close(rig.peers[0]->stream, ENDING_PEER_RESET);
    rig_run(&rig);
    assert_reset(&r[0], ENDING_PEER_RESET, "");
    assert_reset(&r[1], ENDING_STALE_CONNECTION, "not safe to repeat");
    assert_reset(&r[3], ENDING_PEER_RESET, "");
    assert_int_equal(rig.peer_count, 2);
    rig_respond(rig_stream(&rig, 1, 0), "200", "x", 1);
    rig_run(&rig);
    assert_answered(&r[2], 200, "x", 1);
    assert_int_equal(r[2].retry, RETRY_IDEMPOTENT);
}

static void end_of_the_peers_direction_ends_all_streams(void **state)
{
    (void)state;
    ask(0, 2);
    script_end(rig.peers[0]->stream);
    rig_run(&rig);
    assert_reset(&r[0], ENDING_TRUNCATED, "");
    rig_respond(rig_stream(&rig, 1, 0), "200", "x", 1); /* a reused one, and idempotent: sent again */
    rig_run(&rig);
    assert_answered(&r[1], 200, "x", 1);
    rig_advance_ms(&rig, 1500);
    assert_int_equal(count(COUNTER_pool_shared), 1);
}

static void silence_is_asked_about_and_ends_the_connection(void **state)
{
    (void)state;
    ask(0, 1);
    rig_advance_ms(&rig, 29000);
    assert_int_equal(rig.peers[0]->pings, 0);
    rig_advance_ms(&rig, 1500);
    assert_int_equal(rig.peers[0]->pings, 1); /* and answered */
    rig_respond(rig_stream(&rig, 0, 0), "200", NULL, 0);
    rig_run(&rig);
    assert_answered(&r[0], 200, "", 0);
    rig_advance_ms(&rig, 60000);
    assert_int_equal(rig.peers[0]->pings, 1); /* nobody waits: nobody asks */

    rig_ask(&rig, &r[1], POST, true);
    rig_run(&rig);
    nghttp2_session_del(rig.peers[0]->session); /* deaf */
    rig.peers[0]->session = NULL;
    rig_advance_ms(&rig, 44000);
    assert_false(r[1].reset);
    rig_advance_ms(&rig, 1600);
    assert_reset(&r[1], ENDING_UNREACHABLE, "");
    assert_int_equal(count(COUNTER_http2_client_failed), 1);
    assert_int_equal(count(COUNTER_pool_shared), 0);
}

static void idle_session_says_goodbye(void **state)
{
    (void)state;
    ask(0, 1);
    rig_respond(rig_stream(&rig, 0, 0), "200", NULL, 0);
    rig_run(&rig);
    rig_advance_ms(&rig, 79000);
    assert_int_equal(rig.peers[0]->goaways, 0);
    rig_advance_ms(&rig, 1500);
    assert_int_equal(rig.peers[0]->goaways, 1);
    assert_int_equal(rig.peers[0]->goaway_code, NGHTTP2_NO_ERROR);
    assert_int_equal(count(COUNTER_pool_shared), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(request_is_a_stream_with_its_fields),
        T(response_without_a_length_is_chunked_for_http1),
        T(response_that_ends_with_its_head_has_a_length_for_http1),
        T(head_and_304_keep_their_length),
        T(trailers_are_passed_on_both_ways),
        T(interim_responses_are_heads_of_their_own),
        T(body_goes_out_whole_and_its_credit_comes_back),
        T(body_waits_for_the_windows_of_the_peer_as_it_was_lent),
        T(reader_who_stops_stops_his_own_sender_only),
        T(what_drips_is_gathered),
        T(early_answer_ends_the_request_too),
        T(cancelled_exchange_resets_its_stream_and_no_other),
        T(deadline_of_the_first_byte_ends_one_stream),
        T(destination_without_h2_is_spoken_to_in_http1),
        T(storm_shares_one_connection),
        T(limit_of_the_peer_is_kept),
        T(storm_beyond_the_limit_goes_elsewhere),
        T(storm_beyond_a_limit_that_comes_with_the_handshake_is_withdrawn),
        T(heads_beyond_a_sessions_memory_are_refused_and_harm_no_other),
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
