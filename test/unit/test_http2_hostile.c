/* test/unit/test_http2_hostile.c — destinations that speak HTTP/2 wrongly or to do harm: frames made by hand.
 * A malformed response costs its own stream; a broken rule of the connection costs the session, which says
 * why; and nothing of it reaches a client as if it were an answer. Floods: test_http2_hostile_floods.c; any
 * frames in any order: test_http2_hostile_random.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/* -- responses that are none --------------------------------------------------------------------------------
 */

static const struct {
    const char *fields, *text;
    uint8_t flags;
} heads[] = {
    {"x=y",                                            "no :status",                        END_STREAM},
    {":status=|x=y",                                   "not a number from 100 to 599",      END_STREAM},
    {":status=abc",                                    "not a number from 100 to 599",      END_STREAM},
    {":status=099",                                    "not a number from 100 to 599",      END_STREAM},
    {":status=600",                                    "not a number from 100 to 599",      END_STREAM},
    {":status=0200",                                   "not a number from 100 to 599",      END_STREAM},
    {":status=200|:status=200",                        "a pseudo-header field twice",       END_STREAM},
    {":status=101",                                    "status 101",                        0         },
    {":status=200|:path=/",                            "is not known here",                 END_STREAM},
    {"x=y|:status=200",                                "after an ordinary field",           END_STREAM},
    {":status=200|X-Upper=1",                          "a capital letter",                  END_STREAM},
    {":status=200|connection=close",                   "speaks of an HTTP/1 connection",    END_STREAM},
    {":status=200|transfer-encoding=chunked",          "speaks of an HTTP/1 connection",    0         },
    {":status=200|upgrade=h2c",                        "speaks of an HTTP/1 connection",    END_STREAM},
    {":status=200|keep-alive=1",                       "speaks of an HTTP/1 connection",    END_STREAM},
    {":status=200|proxy-connection=close",             "speaks of an HTTP/1 connection",    END_STREAM},
    {":status=200|content-length=5|content-length=5",  "more than one Content-Length",      0         },
    {":status=200|content-length=5, 5",                "not one decimal number",            0         },
    {":status=200|content-length=+5",                  "not one decimal number",            0         },
    {":status=200|content-length=",                    "not one decimal number",            0         },
    {":status=200|content-length=9223372036854775808", "2^63",                              0         },
    {":status=200|content-length=5",                   "not as long as its Content-Length", END_STREAM},
    {":status=200|x=a\r\nset-cookie: b",               "a control character",               END_STREAM},
    {":status=200|x=a\nb",                             "a control character",               END_STREAM},
    {":status=200|x= a",                               "whitespace at an end",              END_STREAM},
    {":status=200|x=a ",                               "whitespace at an end",              END_STREAM},
    {":status=200|x y=a",                              "that no token has",                 END_STREAM},
    {":status=200|x:=a",                               "that no token has",                 END_STREAM},
    {":status=200|x\r\ny=a",                           "that no token has",                 END_STREAM},
    {":status=200|=a",                                 "a field without a name",            END_STREAM},
    {":status=103",                                    "interim response that ends",        END_STREAM},
};

static void malformed_heads_cost_their_stream(void **state)
{
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    int32_t id = 1;
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++, id += 2) {
        struct rig_request *q = &raw_server.r[i + 1];
        rig_ask(&raw_server.rig, q, GET, true);
        rig_run(&raw_server.rig);
        raw_server_say_headers(p, id + 2, heads[i].flags, heads[i].fields);
        rig_run(&raw_server.rig);
        raw_server_assert_refused(q, heads[i].text);
        assert_int_equal(q->heads, 0);
        assert_int_equal(raw_server_said(p, RST_STREAM, id + 2), NGHTTP2_PROTOCOL_ERROR);
    }
    raw_server_say_headers(p, 1, END_STREAM, ":status=200"); /* and no other */
    rig_run(&raw_server.rig);
    assert_true(raw_server.r[0].ended);
    assert_int_equal(raw_server.rig.peer_count, 1);
}

static void body_bytes_must_fit_their_head(void **state)
{
    static const struct {
        const char *head, *fields, *text;
        unsigned first, second;
        bool ended;
    } cases[] = {
        {GET,  ":status=103",                  "without a response head",           3, 0, false},
        {HEAD, ":status=200",                  "has no body",                       1, 0, false},
        {GET,  ":status=204",                  "has no body",                       1, 0, true },
        {GET,  ":status=304|content-length=5", "has no body",                       5, 0, true },
        {GET,  ":status=200|content-length=0", "has no body",                       1, 0, true },
        {GET,  ":status=200|content-length=5", "not as long as its Content-Length", 6, 0, false},
        {GET,  ":status=200|content-length=5", "not as long as its Content-Length", 3, 3, false},
        {GET,  ":status=200|content-length=5", "not as long as its Content-Length", 3, 1, true },
    };
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    int32_t id = 3;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++, id += 2) {
        struct rig_request *q = &raw_server.r[i + 1];
        rig_ask(&raw_server.rig, q, cases[i].head, true);
        rig_run(&raw_server.rig);
        raw_server_say_headers(p, id, 0, cases[i].fields);
        rig_frame(p, DATA, cases[i].ended && !cases[i].second ? END_STREAM : 0, id, "abcdefgh",
                  cases[i].first);
        if (cases[i].second)
            rig_frame(p, DATA, cases[i].ended ? END_STREAM : 0, id, "abcdefgh", cases[i].second);
        rig_run(&raw_server.rig);
        raw_server_assert_refused(q, cases[i].text);
        assert_false(q->ended);
    }
    raw_server_say_headers(p, 1, END_STREAM, ":status=200");
    rig_run(&raw_server.rig);
    assert_true(raw_server.r[0].ended);
}

static void trailers_must_be_trailers(void **state)
{
    static const struct {
        const char *fields, *text;
        uint8_t flags;
    } cases[] = {
        {"x=y",              "trailers that do not end", 0         },
        {":status=200",      "or among trailers",        END_STREAM},
        {"content-length=1", "may only stand in a head", END_STREAM},
        {"set-cookie=a=b",   "may only stand in a head", END_STREAM},
        {"connection=close", "HTTP/1 connection",        END_STREAM},
        {"x=a\rb",           "a control character",      END_STREAM},
    };
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    int32_t id = 3;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++, id += 2) {
        rig_ask(&raw_server.rig, &raw_server.r[i + 1], GET, true);
        rig_run(&raw_server.rig);
        raw_server_say_headers(p, id, 0, ":status=200");
        rig_frame(p, DATA, 0, id, "abc", 3);
        raw_server_say_headers(p, id, cases[i].flags, cases[i].fields);
        rig_run(&raw_server.rig);
        raw_server_assert_refused(&raw_server.r[i + 1], cases[i].text);
    }
    raw_server_say_headers(p, 1, END_STREAM, ":status=200");
    rig_run(&raw_server.rig);
    assert_true(raw_server.r[0].ended);
}

static void interim_responses_are_counted(void **state)
{
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    for (int i = 0; i < 33; i++)
        raw_server_say_headers(p, 1, 0, ":status=103|link=</a>");
    rig_run(&raw_server.rig);
    raw_server_assert_refused(&raw_server.r[0], "too many interim responses");
    assert_int_equal(raw_server.r[0].heads, 32);
}

/* An index of one byte names a field of 3 KiB: 16 KiB on the wire, 48 MiB decoded. */
static void compressed_bomb_costs_its_stream_and_no_memory(void **state)
{
    static uint8_t block[16000];
    static char value[3000];
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    unsigned huge = raw_server.rig.engine.worker.bufs.classes[BUF_HUGE].used;
    size_t n = raw_server_put_block(block, ":status=200");
    memset(value, 'a', sizeof value);
    block[n] = 0x40; /* into the table */
    n += raw_server_put_field(block + n, "bomb", 4, value, sizeof value);
    block[n - 3000 - 2 - 5 - 1] = 0x40;
    while (n < sizeof block)
        block[n++] = 0x80 | 62;
    rig_frame(p, HEADERS, END_HEADERS | END_STREAM, 1, block, n);
    rig_run(&raw_server.rig);
    assert_true(raw_server.r[0].reset);
    assert_string_equal(ending_name(raw_server.r[0].ending), "bad_response");
    assert_int_equal(raw_server.rig.engine.worker.bufs.classes[BUF_HUGE].used, huge);
}

/* -- rules of the connection --------------------------------------------------------------------------------
 */

static void what_is_not_http2_ends_the_session(void **state)
{
    (void)state;
    rig_ask(&raw_server.rig, &raw_server.r[0], GET, true);
    rig_run(&raw_server.rig);
    rig_send_raw(raw_server_peer(), "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    rig_run(&raw_server.rig);
    assert_true(raw_server.r[0].reset);
    assert_int_equal(raw_server.r[0].heads, 0);
}

static void pushes_end_the_session(void **state)
{
    uint8_t payload[64] = {0, 0, 0, 2};
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    size_t n = 4 + raw_server_put_block(payload + 4, ":method=GET|:scheme=https|:path=/");
    rig_frame(p, PUSH_PROMISE, END_HEADERS, 1, payload, n);
    raw_server_assert_failed(p, NGHTTP2_PROTOCOL_ERROR);
}

static void frames_of_a_wrong_size_end_the_session(void **state)
{
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    rig_frame(p, PING, 0, 0, "1234567", 7);
    raw_server_assert_failed(p, NGHTTP2_FRAME_SIZE_ERROR);
}

static void frames_larger_than_allowed_end_the_session(void **state)
{
    static uint8_t large[16385];
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    raw_server_say_headers(p, 1, 0, ":status=200");
    rig_frame(p, DATA, 0, 1, large, sizeof large);
    raw_server_assert_failed(p, NGHTTP2_FRAME_SIZE_ERROR);
}

static void data_on_a_stream_that_was_never_opened_ends_the_session(void **state)
{
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    rig_frame(p, DATA, 0, 99, "x", 1);
    raw_server_assert_failed(p, NGHTTP2_PROTOCOL_ERROR);
}

static void body_before_any_head_ends_the_session(void **state)
{
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    rig_frame(p, DATA, END_STREAM, 1, "abc", 3);
    raw_server_assert_failed(p, NGHTTP2_PROTOCOL_ERROR);
    assert_string_equal(raw_server.r[0].detail, "HTTP/2: PROTOCOL_ERROR (DATA: stream not opened)");
}

static void broken_compression_ends_the_session(void **state)
{
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    rig_frame(p, HEADERS, END_HEADERS, 1, "\xff\xff\xff\xff\xff\xff\xff", 7);
    raw_server_assert_failed(p, NGHTTP2_COMPRESSION_ERROR);
}

static void windows_that_overflow_end_the_session(void **state)
{
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    rig_frame(p, WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4);
    raw_server_assert_failed(p, NGHTTP2_FLOW_CONTROL_ERROR);
}

/* More than was allowed: not a byte of it beyond the client's credit. */
static void data_beyond_the_window_is_not_passed_on(void **state)
{
    static uint8_t block[16384];
    (void)state;
    struct rig_peer *p = raw_server_begin(GET);
    raw_server.r[0].takes = false;
    raw_server_say_headers(p, 1, 0, ":status=200");
    for (int i = 0; i < 20 && p->stream && !p->stream->closing; i++) {
        rig_frame(p, DATA, 0, 1, block, sizeof block);
        rig_run(&raw_server.rig);
    }
    raw_server_assert_refused(&raw_server.r[0], "beyond the window");
    assert_int_equal(raw_server.r[0].body_len, EXCHANGE_BUDGET);
    bool stream = raw_server_said(p, RST_STREAM, 1) == NGHTTP2_FLOW_CONTROL_ERROR,
         session = raw_server_said(p, GOAWAY, 0) == NGHTTP2_FLOW_CONTROL_ERROR;
    assert_true(stream || session);
}

/* -- anything -----------------------------------------------------------------------------------------------
 */

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(malformed_heads_cost_their_stream),
        T(body_bytes_must_fit_their_head),
        T(trailers_must_be_trailers),
        T(interim_responses_are_counted),
        T(compressed_bomb_costs_its_stream_and_no_memory),
        T(what_is_not_http2_ends_the_session),
        T(pushes_end_the_session),
        T(frames_of_a_wrong_size_end_the_session),
        T(frames_larger_than_allowed_end_the_session),
        T(data_on_a_stream_that_was_never_opened_ends_the_session),
        T(body_before_any_head_ends_the_session),
        T(broken_compression_ends_the_session),
        T(windows_that_overflow_end_the_session),
        T(data_beyond_the_window_is_not_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
