/* test/unit/test_http2_client.c — requests over HTTP/2 sessions, from the message that opens an exchange to
 * its last word: what the destination is told, and what comes of what it says. Many on a connection:
 * test_http2_client_shares.c; ends of stream, session and connection: test_http2_client_ends.c. */
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

/* -- requests and responses
 * -----------------------------------------------------------------------------------
 */

static void request_is_a_stream_with_its_fields(void **state)
{
    (void)state;
    rig_ask(&asks.rig, &asks.r[0],
            GET "Accept: */*\r\nX-Mixed: Case\r\nConnection: X-Gone\r\nX-Gone: 1\r\nTE: gzip\r\nCookie: a=b; "
                "c=d\r\n\r\n",
            true);
    rig_run(&asks.rig);
    struct rig_stream *st = rig_stream(&asks.rig, 0, 0);
    assert_string_equal(st->fields,
                        ":method: GET\n:scheme: https\n:authority: 10.0.0.1:10250\n:path: /pods?a=b\n"
                        "accept: */*\nx-mixed: Case\ncookie: a=b; c=d\nte: trailers\n");
    assert_true(st->ended);
    rig_respond(st, "200|content-type=text/plain|content-length=5", "hello", 5);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[0], 200, "hello", 5);
    assert_string_equal(asks.r[0].head,
                        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(asks.r[0].how, LEASE_NEW);
    assert_int_equal(asks_count(COUNTER_pool_shares), 0);
}

static void response_without_a_length_is_chunked_for_http1(void **state)
{
    (void)state;
    asks_get(0, 2);
    rig_respond(rig_stream(&asks.rig, 0, 0), "200", "hello", 5);
    rig_respond(rig_stream(&asks.rig, 0, 1), "204|content-length=0", NULL, 0);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[0], 200, "hello", 5);
    asks_assert_has(asks.r[0].head, "Transfer-Encoding: chunked");
    asks_assert_answered(&asks.r[1], 204, "", 0);
    assert_string_equal(asks.r[1].head, "HTTP/1.1 204 No Content\r\n\r\n");
}

static void response_that_ends_with_its_head_has_a_length_for_http1(void **state)
{
    (void)state;
    asks_get(0, 1);
    rig_respond(rig_stream(&asks.rig, 0, 0), "200", NULL, 0);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[0], 200, "", 0);
    assert_string_equal(asks.r[0].head, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void head_and_304_keep_their_length(void **state)
{
    (void)state;
    rig_ask(&asks.rig, &asks.r[0], "HEAD https://10.0.0.1:10250/ HTTP/1.1\r\nHost: 10.0.0.1:10250\r\n\r\n",
            true);
    asks_get(1, 1);
    rig_respond(rig_stream(&asks.rig, 0, 0), "200|content-length=77", NULL, 0);
    rig_respond(rig_stream(&asks.rig, 0, 1), "304|content-length=78", NULL, 0);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[0], 200, "", 0);
    asks_assert_has(asks.r[0].head, "Content-Length: 77");
    asks_assert_answered(&asks.r[1], 304, "", 0);
    asks_assert_has(asks.r[1].head, "Content-Length: 78");
}

static void trailers_are_passed_on_both_ways(void **state)
{
    (void)state;
    rig_ask(&asks.rig, &asks.r[0], POST, false);
    rig_body(&asks.r[0], "body", 4, false);
    rig_end(&asks.r[0], "X-Sum: 42\r\n");
    rig_run(&asks.rig);
    struct rig_stream *st = rig_stream(&asks.rig, 0, 0);
    assert_int_equal(st->body_len, 4);
    assert_true(st->ended);
    asks_assert_has(st->fields, "x-sum: 42\n");
    st->trailer = "check";
    rig_respond(st, "200", "hello", 5);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[0], 200, "hello", 5);
    assert_string_equal(asks.r[0].head, "0\r\nx-trailer: check\r\n\r\n");
}

static void interim_responses_are_heads_of_their_own(void **state)
{
    (void)state;
    asks_get(0, 1);
    struct rig_stream *st = rig_stream(&asks.rig, 0, 0);
    rig_respond(st, "103|link=</a>", NULL, 0);
    rig_respond(st, "103|link=</b>", NULL, 0);
    rig_respond(st, "200", "x", 1);
    rig_run(&asks.rig);
    assert_int_equal(asks.r[0].heads, 3);
    assert_int_equal(asks.r[0].statuses[1], 103);
    asks_assert_answered(&asks.r[0], 200, "x", 1);
}

static void body_goes_out_whole_and_its_credit_comes_back(void **state)
{
    uint64_t sum = 0;
    (void)state;
    rig_ask(&asks.rig, &asks.r[0], POST, false);
    for (size_t at = 0; at < 250000; at += 50000)
        rig_body(&asks.r[0], asks.bulk + at, 50000, at == 200000);
    rig_run(&asks.rig);
    struct rig_stream *st = rig_stream(&asks.rig, 0, 0);
    for (size_t i = 0; i < 250000; i++)
        sum = sum * 31 + (uint8_t)asks.bulk[i];
    assert_int_equal(st->body_len, 250000);
    assert_true(st->body_sum == sum);
    assert_true(st->ended);
    assert_int_equal(asks.r[0].credited, 250000);
    rig_respond(st, "200", NULL, 0);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[0], 200, "", 0);
}

static void body_waits_for_the_windows_of_the_peer_as_it_was_lent(void **state)
{
    (void)state;
    asks.rig.settings_window = 1000;
    asks_get(0, 1); /* its settings are known then */
    rig_ask(&asks.rig, &asks.r[1], POST, false);
    for (int i = 0; i < 4; i++)
        rig_body(&asks.r[1], asks.bulk, 600, false);
    rig_run(&asks.rig);
    struct rig_peer *p = asks.rig.peers[0];
    struct rig_stream *st = rig_stream(&asks.rig, 0, 1);
    /* The server opens a window that is half used up by itself: in steps, but all of it goes. */
    assert_int_equal(st->body_len, 2400);
    assert_int_equal(asks.r[1].credited, 2400);
    nghttp2_settings_entry none = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    assert_int_equal(nghttp2_submit_settings(p->session, NGHTTP2_FLAG_NONE, &none, 1), 0);
    rig_run(&asks.rig);
    for (int i = 0; i < 4; i++)
        rig_body(&asks.r[1], asks.bulk, 600, false);
    rig_run(&asks.rig);
    assert_true(st->body_len < 4800);
    assert_true(asks.r[1].credited <= st->body_len);
    rig_ask(&asks.rig, &asks.r[2], POST,
            false); /* a window of nothing, and another that is open, on one connection */
    rig_body(&asks.r[2], asks.bulk, 100, true);
    rig_run(&asks.rig);
    assert_int_equal(rig_stream(&asks.rig, 0, 2)->body_len, 0);
    assert_int_equal(asks.r[2].credited, 0);
    rig_cancel(&asks.r[1]);
    rig_cancel(&asks.r[2]);
    rig_respond(rig_stream(&asks.rig, 0, 0), "200", NULL, 0);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[0], 200, "", 0);
}

static void reader_who_stops_stops_his_own_sender_only(void **state)
{
    (void)state;
    asks_get(0, 2);
    asks.r[0].takes = false;
    rig_respond(rig_stream(&asks.rig, 0, 0), "200", asks.bulk, sizeof asks.bulk);
    rig_respond(rig_stream(&asks.rig, 0, 1), "200", asks.bulk, sizeof asks.bulk);
    rig_run(&asks.rig);
    assert_int_equal(asks.r[0].body_len, EXCHANGE_BUDGET);
    asks_assert_answered(&asks.r[1], 200, asks.bulk, sizeof asks.bulk);
    rig_credit(&asks.r[0], 100000); /* less than half a window: nghttp2 waits for more */
    rig_run(&asks.rig);
    assert_int_equal(asks.r[0].body_len, EXCHANGE_BUDGET);
    asks.r[0].takes = true;
    rig_credit(&asks.r[0], asks.r[0].uncredited);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[0], 200, asks.bulk, sizeof asks.bulk);
}

static void what_drips_is_gathered(void **state)
{
    (void)state;
    asks_get(0, 1);
    asks.r[0].takes = false;
    struct rig_peer *p = asks.rig.peers[0];
    struct rig_stream *st = rig_stream(&asks.rig, 0, 0);
    st->reply_open = true;
    rig_respond(st, "200", "", 0);
    rig_run(&asks.rig);
    unsigned small = asks.rig.engine.worker.bufs.classes[BUF_SMALL].used;
    for (int i = 0; i < 1000; i++) { /* a frame for each byte, three in one read */
        st->reply = "abc";
        st->reply_len = 1;
        st->reply_sent = 0;
        nghttp2_session_resume_data(p->session, st->id);
        rig_run(&asks.rig);
    }
    assert_int_equal(asks.r[0].body_len, 1000);
    assert_true(asks.rig.engine.worker.bufs.classes[BUF_SMALL].used <= small + 2);
    rig_cancel(&asks.r[0]);
    rig_run(&asks.rig);
}

static void early_answer_ends_the_request_too(void **state)
{
    (void)state;
    rig_ask(&asks.rig, &asks.r[0], POST, false);
    rig_body(&asks.r[0], "part", 4, false);
    rig_run(&asks.rig);
    struct rig_stream *st = rig_stream(&asks.rig, 0, 0);
    rig_respond(st, "413", "too much", 8);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[0], 413, "too much", 8);
    assert_true(st->closed);
    assert_int_equal(st->close_code, NGHTTP2_CANCEL);
    assert_int_equal(asks_count(COUNTER_pool_shares), 0);
    asks_get(1, 1);
    assert_int_equal(asks.rig.peer_count, 1); /* the connection is as good as before */
    rig_respond(rig_stream(&asks.rig, 0, 1), "200", NULL, 0);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[1], 200, "", 0);
}

static void cancelled_exchange_resets_its_stream_and_no_other(void **state)
{
    (void)state;
    asks_get(0, 2);
    rig_cancel(&asks.r[0]);
    rig_run(&asks.rig);
    assert_true(rig_stream(&asks.rig, 0, 0)->closed);
    assert_int_equal(rig_stream(&asks.rig, 0, 0)->close_code, NGHTTP2_CANCEL);
    assert_false(rig_stream(&asks.rig, 0, 1)->closed);
    rig_respond(rig_stream(&asks.rig, 0, 1), "200", "x", 1);
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[1], 200, "x", 1);
}

static void deadline_of_the_first_byte_ends_one_stream(void **state)
{
    (void)state;
    asks_get(0, 1);
    rig_advance_ms(&asks.rig, 30000);
    assert_false(asks.r[0].reset);
    rig_advance_ms(&asks.rig, 31000);
    asks_assert_reset(&asks.r[0], ENDING_DEADLINE, "first byte");
    assert_true(rig_stream(&asks.rig, 0, 0)->closed);
}

static void destination_without_h2_is_spoken_to_in_http1(void **state)
{
    (void)state;
    asks.rig.alpn = "http/1.1";
    asks_get(0, 1);
    assert_int_equal(asks.rig.peer_count, 0);
    struct script_stream *s = script_last(&asks.rig.engine);
    script_data(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    rig_run(&asks.rig);
    asks_assert_answered(&asks.r[0], 200, "ok", 2);
    assert_int_equal(asks_count(COUNTER_pool_idle), 1);
}

/* -- the destination ends streams and sessions
 * ------------------------------------------------------------------
 */

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
