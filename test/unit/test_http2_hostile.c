/* test/unit/test_http2_hostile.c — destinations that speak HTTP/2 wrongly or to do harm: frames made by hand.
 * A malformed response costs its own stream; a broken rule of the connection costs the session, which says
 * why; floods end it before they cost more; and nothing of it reaches a client as if it were an answer.
 * HAWSER_SEED repeats a run of the last test. */
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
static struct rig_request r[64];

#define GET  "GET https://10.0.0.1:10250/ HTTP/1.1\r\nHost: 10.0.0.1:10250\r\n\r\n"
#define HEAD "HEAD https://10.0.0.1:10250/ HTTP/1.1\r\nHost: 10.0.0.1:10250\r\n\r\n"

enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

static int setup(void **state)
{
    (void)state;
    rig_start(&rig);
    rig.raw = true;
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

static struct rig_peer *peer(void)
{
    return rig.peers[rig.peer_count - 1];
}

/* A connection with one request on it (stream 1), whose peer has said its SETTINGS. */
static struct rig_peer *begin(const char *head)
{
    rig_ask(&rig, &r[0], head, true);
    rig_run(&rig);
    rig_frame(peer(), SETTINGS, 0, 0, NULL, 0);
    rig_frame(peer(), SETTINGS, ACK, 0, NULL, 0);
    rig_run(&rig);
    assert_false(r[0].reset);
    return peer();
}

/* -- HPACK by hand: literals without a table ----------------------------------------------------------------
 */

static size_t put_string(uint8_t *to, const char *s, size_t len)
{
    size_t n = 0;
    if (len < 127) {
        to[n++] = (uint8_t)len;
    } else {
        to[n++] = 127;
        size_t rest = len - 127;
        for (; rest >= 128; rest /= 128)
            to[n++] = (uint8_t)(rest % 128 + 128);
        to[n++] = (uint8_t)rest;
    }
    memcpy(to + n, s, len);
    return n + len;
}

static size_t put_field(uint8_t *to, const char *name, size_t name_len, const char *value, size_t value_len)
{
    size_t n = 1;
    to[0] = 0;
    n += put_string(to + n, name, name_len);
    return n + put_string(to + n, value, value_len);
}

/* "name=value|name=value" */
static size_t put_block(uint8_t *to, const char *fields)
{
    size_t n = 0;
    while (*fields) {
        size_t len = strcspn(fields, "|"), name_len = strcspn(fields, "=");
        n += put_field(to + n, fields, name_len, fields + name_len + 1, len - name_len - 1);
        fields += len + (fields[len] == '|');
    }
    return n;
}

static void say_headers(struct rig_peer *p, int32_t id, uint8_t flags, const char *fields)
{
    uint8_t block[4096];
    rig_frame(p, HEADERS, flags | END_HEADERS, id, block, put_block(block, fields));
}

/* -- what the broker said -----------------------------------------------------------------------------------
 */

/* The code of a frame of this type on this stream; -1: none was said. */
static int64_t said(const struct rig_peer *p, uint8_t type, int32_t id)
{
    size_t at = 24; /* the preface */
    while (at + 9 <= p->raw_len) {
        const uint8_t *f = p->raw + at;
        size_t len = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
        int32_t of = (int32_t)((uint32_t)f[5] << 24 | (uint32_t)f[6] << 16 | (uint32_t)f[7] << 8 | f[8]);
        const uint8_t *code = f + 9 + (type == GOAWAY ? 4 : 0);
        if (f[3] == type && of == id)
            return (int64_t)((uint32_t)code[0] << 24 | (uint32_t)code[1] << 16 | (uint32_t)code[2] << 8 |
                             code[3]);
        at += 9 + len;
    }
    return -1;
}

static void assert_refused(const struct rig_request *q, const char *text)
{
    assert_true(q->reset);
    assert_string_equal(ending_name(q->ending), "bad_response");
    if (!strstr(q->detail, text))
        fail_msg("'%s' is not in '%s'", text, q->detail);
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
    struct rig_peer *p = begin(GET);
    int32_t id = 1;
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++, id += 2) {
        struct rig_request *q = &r[i + 1];
        rig_ask(&rig, q, GET, true);
        rig_run(&rig);
        say_headers(p, id + 2, heads[i].flags, heads[i].fields);
        rig_run(&rig);
        assert_refused(q, heads[i].text);
        assert_int_equal(q->heads, 0);
        assert_int_equal(said(p, RST_STREAM, id + 2), NGHTTP2_PROTOCOL_ERROR);
    }
    say_headers(p, 1, END_STREAM, ":status=200"); /* and no other */
    rig_run(&rig);
    assert_true(r[0].ended);
    assert_int_equal(rig.peer_count, 1);
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
    struct rig_peer *p = begin(GET);
    int32_t id = 3;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++, id += 2) {
        struct rig_request *q = &r[i + 1];
        rig_ask(&rig, q, cases[i].head, true);
        rig_run(&rig);
        say_headers(p, id, 0, cases[i].fields);
        rig_frame(p, DATA, cases[i].ended && !cases[i].second ? END_STREAM : 0, id, "abcdefgh",
                  cases[i].first);
        if (cases[i].second)
            rig_frame(p, DATA, cases[i].ended ? END_STREAM : 0, id, "abcdefgh", cases[i].second);
        rig_run(&rig);
        assert_refused(q, cases[i].text);
        assert_false(q->ended);
    }
    say_headers(p, 1, END_STREAM, ":status=200");
    rig_run(&rig);
    assert_true(r[0].ended);
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
    struct rig_peer *p = begin(GET);
    int32_t id = 3;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++, id += 2) {
        rig_ask(&rig, &r[i + 1], GET, true);
        rig_run(&rig);
        say_headers(p, id, 0, ":status=200");
        rig_frame(p, DATA, 0, id, "abc", 3);
        say_headers(p, id, cases[i].flags, cases[i].fields);
        rig_run(&rig);
        assert_refused(&r[i + 1], cases[i].text);
    }
    say_headers(p, 1, END_STREAM, ":status=200");
    rig_run(&rig);
    assert_true(r[0].ended);
}

static void interim_responses_are_counted(void **state)
{
    (void)state;
    struct rig_peer *p = begin(GET);
    for (int i = 0; i < 33; i++)
        say_headers(p, 1, 0, ":status=103|link=</a>");
    rig_run(&rig);
    assert_refused(&r[0], "too many interim responses");
    assert_int_equal(r[0].heads, 32);
}

/* An index of one byte names a field of 3 KiB: 16 KiB on the wire, 48 MiB decoded. */
static void compressed_bomb_costs_its_stream_and_no_memory(void **state)
{
    static uint8_t block[16000];
    static char value[3000];
    (void)state;
    struct rig_peer *p = begin(GET);
    unsigned huge = rig.engine.worker.bufs.classes[BUF_HUGE].used;
    size_t n = put_block(block, ":status=200");
    memset(value, 'a', sizeof value);
    block[n] = 0x40; /* into the table */
    n += put_field(block + n, "bomb", 4, value, sizeof value);
    block[n - 3000 - 2 - 5 - 1] = 0x40;
    while (n < sizeof block)
        block[n++] = 0x80 | 62;
    rig_frame(p, HEADERS, END_HEADERS | END_STREAM, 1, block, n);
    rig_run(&rig);
    assert_true(r[0].reset);
    assert_string_equal(ending_name(r[0].ending), "bad_response");
    assert_int_equal(rig.engine.worker.bufs.classes[BUF_HUGE].used, huge);
}

/* -- rules of the connection --------------------------------------------------------------------------------
 */

static void assert_session_failed(struct rig_peer *p, int64_t code)
{
    rig_run(&rig);
    assert_true(r[0].reset);
    assert_int_equal(r[0].ending, ENDING_BAD_RESPONSE);
    assert_int_equal(strncmp(r[0].detail, "HTTP/2: ", 8), 0);
    assert_int_equal(said(p, GOAWAY, 0), code);
    assert_int_equal(count(COUNTER_http2_client_failed), 1);
    rig_advance_ms(&rig, 2000);
    assert_int_equal(count(COUNTER_pool_shared) + count(COUNTER_pool_closing), 0);
}

static void what_is_not_http2_ends_the_session(void **state)
{
    (void)state;
    rig_ask(&rig, &r[0], GET, true);
    rig_run(&rig);
    rig_send_raw(peer(), "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    rig_run(&rig);
    assert_true(r[0].reset);
    assert_int_equal(r[0].heads, 0);
}

static void pushes_end_the_session(void **state)
{
    uint8_t payload[64] = {0, 0, 0, 2};
    (void)state;
    struct rig_peer *p = begin(GET);
    size_t n = 4 + put_block(payload + 4, ":method=GET|:scheme=https|:path=/");
    rig_frame(p, PUSH_PROMISE, END_HEADERS, 1, payload, n);
    assert_session_failed(p, NGHTTP2_PROTOCOL_ERROR);
}

static void frames_of_a_wrong_size_end_the_session(void **state)
{
    (void)state;
    struct rig_peer *p = begin(GET);
    rig_frame(p, PING, 0, 0, "1234567", 7);
    assert_session_failed(p, NGHTTP2_FRAME_SIZE_ERROR);
}

static void frames_larger_than_allowed_end_the_session(void **state)
{
    static uint8_t large[16385];
    (void)state;
    struct rig_peer *p = begin(GET);
    say_headers(p, 1, 0, ":status=200");
    rig_frame(p, DATA, 0, 1, large, sizeof large);
    assert_session_failed(p, NGHTTP2_FRAME_SIZE_ERROR);
}

static void data_on_a_stream_that_was_never_opened_ends_the_session(void **state)
{
    (void)state;
    struct rig_peer *p = begin(GET);
    rig_frame(p, DATA, 0, 99, "x", 1);
    assert_session_failed(p, NGHTTP2_PROTOCOL_ERROR);
}

static void body_before_any_head_ends_the_session(void **state)
{
    (void)state;
    struct rig_peer *p = begin(GET);
    rig_frame(p, DATA, END_STREAM, 1, "abc", 3);
    assert_session_failed(p, NGHTTP2_PROTOCOL_ERROR);
    assert_string_equal(r[0].detail, "HTTP/2: PROTOCOL_ERROR (DATA: stream not opened)");
}

static void broken_compression_ends_the_session(void **state)
{
    (void)state;
    struct rig_peer *p = begin(GET);
    rig_frame(p, HEADERS, END_HEADERS, 1, "\xff\xff\xff\xff\xff\xff\xff", 7);
    assert_session_failed(p, NGHTTP2_COMPRESSION_ERROR);
}

static void windows_that_overflow_end_the_session(void **state)
{
    (void)state;
    struct rig_peer *p = begin(GET);
    rig_frame(p, WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4);
    assert_session_failed(p, NGHTTP2_FLOW_CONTROL_ERROR);
}

/* More than was allowed: not a byte of it beyond the client's credit. */
static void data_beyond_the_window_is_not_passed_on(void **state)
{
    static uint8_t block[16384];
    (void)state;
    struct rig_peer *p = begin(GET);
    r[0].takes = false;
    say_headers(p, 1, 0, ":status=200");
    for (int i = 0; i < 20 && p->stream && !p->stream->closing; i++) {
        rig_frame(p, DATA, 0, 1, block, sizeof block);
        rig_run(&rig);
    }
    assert_refused(&r[0], "beyond the window");
    assert_int_equal(r[0].body_len, EXCHANGE_BUDGET);
    bool stream = said(p, RST_STREAM, 1) == NGHTTP2_FLOW_CONTROL_ERROR,
         session = said(p, GOAWAY, 0) == NGHTTP2_FLOW_CONTROL_ERROR;
    assert_true(stream || session);
}

/* -- floods -------------------------------------------------------------------------------------------------
 */

static void flood(uint8_t type, uint8_t flags, int32_t id, const void *payload, size_t len)
{
    struct rig_peer *p = begin(GET);
    for (int i = 0; i < 3000 && !r[0].reset; i++) {
        rig_frame(p, type, flags, id, payload, len);
        script_run(&rig.engine);
    }
    assert_session_failed(p, NGHTTP2_ENHANCE_YOUR_CALM);
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
    struct rig_peer *p = begin(GET);
    say_headers(p, 1, 0, ":status=200");
    for (int i = 0; i < 3000 && !r[0].reset; i++) {
        rig_frame(p, DATA, PADDED, 1, "\3\0\0\0", 4);
        script_run(&rig.engine);
    }
    assert_session_failed(p, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void flood_of_heads_on_a_stream_that_is_over_ends_the_session(void **state)
{
    (void)state;
    struct rig_peer *p = begin(GET);
    rig_ask(&rig, &r[1], GET, true);
    rig_run(&rig);
    say_headers(p, 3, END_STREAM, ":status=200");
    for (int i = 0; i < 3000 && !r[0].reset; i++) {
        rig_frame(p, RST_STREAM, 0, 3, "\0\0\0\1", 4);
        script_run(&rig.engine);
    }
    assert_session_failed(p, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void endless_field_block_ends_the_session(void **state)
{
    uint8_t block[64];
    (void)state;
    struct rig_peer *p = begin(GET);
    rig_frame(p, HEADERS, 0, 1, block, put_block(block, ":status=200"));
    for (int i = 0; i < 100 && !r[0].reset; i++) {
        rig_frame(p, CONTINUATION, 0, 1, block, put_block(block, "x=y"));
        script_run(&rig.engine);
    }
    assert_session_failed(p, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void pings_at_an_honest_rate_do_no_harm(void **state)
{
    (void)state;
    struct rig_peer *p = begin(GET);
    for (int i = 0; i < 50; i++) {
        for (int j = 0; j < 20; j++)
            rig_frame(p, PING, 0, 0, "12345678", 8);
        rig_advance_ms(&rig, 500);
    }
    assert_false(r[0].reset);
    rig_cancel(&r[0]);
    rig_run(&rig);
}

/* -- anything -----------------------------------------------------------------------------------------------
 */

static uint64_t dice;

static uint32_t pick(uint32_t below)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(dice >> 33) % below;
}

static void say_anything(struct rig_peer *p)
{
    static const char *const blocks[] = {":status=200",       ":status=200|content-length=3",
                                         ":status=103|a=b",   "grpc-status=0",
                                         ":status=204",       ":status=999",
                                         "x=y|:status=200|z="};
    uint8_t payload[64];
    int32_t id = (int32_t)pick(8);
    switch (pick(10)) {
    case 0: say_headers(p, id | 1, pick(4) ? 0 : END_STREAM, blocks[pick(ARRAY_SIZE(blocks))]); break;
    case 3:
    case 4: /* an answer, often */
        say_headers(p, id | 1, 0, ":status=200");
        rig_frame(p, DATA, pick(8) ? END_STREAM : 0, id | 1, "abcdef", pick(7));
        break;
    case 5:
        if (pick(4) == 0)
            rig_frame(p, RST_STREAM, 0, id | 1, (uint8_t[]){0, 0, 0, (uint8_t)pick(15)}, 4);
        break;
    case 6:
        rig_frame(p, WINDOW_UPDATE, 0, pick(2) ? id : 0, (uint8_t[]){0, 0, (uint8_t)pick(3), 1}, 4);
        break;
    case 7:
        if (pick(20) == 0)
            rig_frame(p, GOAWAY, 0, 0, (uint8_t[]){0, 0, 0, (uint8_t)(pick(4) * 2 + 1), 0, 0, 0, 0}, 8);
        break;
    default:
        if (pick(40))
            break;
        for (size_t i = 0; i < sizeof payload; i++)
            payload[i] = (uint8_t)pick(256);
        rig_frame(p, (uint8_t)pick(12), (uint8_t)pick(256), id, payload, pick(sizeof payload));
    }
}

static void any_frames_in_any_order_end_every_exchange_once(void **state)
{
    const char *seed = getenv("HAWSER_SEED");
    unsigned ended = 0, reset = 0;
    (void)state;
    rig_stop(&rig);
    dice = seed ? strtoull(seed, NULL, 0) : 1;
    printf("seed %llu\n", (unsigned long long)dice);
    for (int round = 0; round < 400; round++) {
        rig_start(&rig);
        rig.raw = true;
        for (unsigned i = 0; i < 4; i++)
            rig_ask(&rig, &r[i], pick(3) ? GET : HEAD, true);
        rig_run(&rig);
        rig_frame(peer(), SETTINGS, 0, 0, NULL, 0);
        for (int i = 0; i < 40; i++) {
            struct rig_peer *p = rig.peers[pick(rig.peer_count)];
            if (p->stream && !p->stream->closing)
                say_anything(p);
            if (pick(3) == 0)
                rig_run(&rig);
            if (pick(20) == 0)
                rig_cancel(&r[pick(4)]);
            if (rig.peer_count + 6 > RIG_PEERS)
                break;
        }
        rig_run(&rig);
        for (unsigned i = 0; i < rig.peer_count; i++)
            if (rig.peers[i]->stream && !rig.peers[i]->stream->closing)
                script_close(rig.peers[i]->stream, ENDING_PEER_RESET);
        rig_run(&rig);
        for (unsigned i = 0; i < 4; i++)
            rig_cancel(&r[i]);
        rig_run(&rig);
        for (unsigned i = 0; i < 4; i++) {
            assert_true(r[i].ended != r[i].reset);
            ended += r[i].ended;
            reset += r[i].reset;
            rig_forget(&r[i]);
        }
        rig_stop(&rig);
    }
    printf("answered %u, reset %u\n", ended, reset);
    assert_true(ended > 100 && reset > 100); /* the dice reach both */
    rig_start(&rig);
}

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
        T(flood_of_pings_ends_the_session),
        T(flood_of_settings_ends_the_session),
        T(flood_of_priorities_ends_the_session),
        T(flood_of_window_updates_ends_the_session),
        T(flood_of_unknown_frames_ends_the_session),
        T(flood_of_empty_data_ends_the_session),
        T(flood_of_heads_on_a_stream_that_is_over_ends_the_session),
        T(endless_field_block_ends_the_session),
        T(pings_at_an_honest_rate_do_no_harm),
        T(any_frames_in_any_order_end_every_exchange_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
