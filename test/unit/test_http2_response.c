/* test/unit/test_http2_response.c — the client's half of HTTP/2 heads: what a response becomes, for HTTP/1
 * above all, and what a request of HTTP/1 looks like as a field block. What is refused: test_http2_hostile.c,
 * with frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>

#include "broker/http/http1_write.h"
#include "broker/http/http2_head.h"

static char records[8192];
static struct head_view view;

/* "name=value|name=value" as records. */
static struct slice gather(const char *text)
{
    uint32_t used = 0;
    while (*text) {
        size_t name_len = strcspn(text, "="), len = strcspn(text, "|");
        struct slice name = slice_of(text, name_len),
                     value = slice_of(text + name_len + 1, len - name_len - 1);
        http2_put_record(records + used, name, value);
        used += http2_record_bytes(name, value);
        text += len + (text[len] == '|');
    }
    return slice_of(records, used);
}

static enum http2_refusal read_as(enum http_method method, const char *text, bool ended)
{
    return http2_read_response(method, gather(text), ended, &view);
}

/* As a client that speaks HTTP/1.1 gets it. */
static const char *as_http1(void)
{
    static char block[16384] __attribute__((aligned(16))), text[8192];
    struct http1_write_options options = {.form = TARGET_ORIGIN};
    struct head *head = NULL;
    size_t len = 0;
    assert_int_equal(head_pack(&view, NULL, block, sizeof block, &head), 0);
    assert_int_equal(http1_write_response(head, &options, text, sizeof text - 1, &len), 0);
    text[len] = '\0';
    return text;
}

static void framing_is_said_again_for_http1(void **state)
{
    static const struct {
        enum http_method method;
        const char *fields;
        bool ended;
        const char *expected;
    } cases[] = {
        {HTTP_METHOD_GET,  ":status=200|content-length=5", false,
         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"                                                                  },
        {HTTP_METHOD_GET,  ":status=200",                  false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {HTTP_METHOD_GET,  ":status=200",                  true,  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"         },
        {HTTP_METHOD_GET,  ":status=404|content-length=0", true,
         "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"                                                           },
        {HTTP_METHOD_GET,  ":status=404|content-length=0", false,
         "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"                                                           },
        {HTTP_METHOD_GET,  ":status=204|content-length=7", true,  "HTTP/1.1 204 No Content\r\n\r\n"                      },
        {HTTP_METHOD_GET,  ":status=204",                  false, "HTTP/1.1 204 No Content\r\n\r\n"                      },
        {HTTP_METHOD_GET,  ":status=304|content-length=7", true,
         "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"                                                        },
        {HTTP_METHOD_HEAD, ":status=200|content-length=7", true,
         "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"                                                                  },
        {HTTP_METHOD_HEAD, ":status=200",                  true,  "HTTP/1.1 200 OK\r\n\r\n"                              },
        {HTTP_METHOD_GET,  ":status=103|link=</a>",        false, "HTTP/1.1 103 \r\nlink: </a>\r\n\r\n"                  },
        {HTTP_METHOD_GET,  ":status=100|content-length=7", false, "HTTP/1.1 100 Continue\r\n\r\n"                        },
        {HTTP_METHOD_GET,  ":status=599",                  true,  "HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n"           },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(read_as(cases[i].method, cases[i].fields, cases[i].ended), HTTP2_NONE);
        assert_string_equal(as_http1(), cases[i].expected);
    }
}

static void fields_keep_their_order_and_repetitions(void **state)
{
    (void)state;
    assert_int_equal(
        read_as(HTTP_METHOD_GET, ":status=200|set-cookie=a=1|x=|set-cookie=b=2|trailer=x-sum", true),
        HTTP2_NONE);
    assert_string_equal(as_http1(),
                        "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nx: \r\nset-cookie: b=2\r\ntrailer: x-sum\r\n"
                        "Content-Length: 0\r\n\r\n");
    assert_false(view.tunnel);
    assert_true(view.keep_alive);
}

/* One line a field, as http2_write_request() makes them of an HTTP/1.1 request. */
static const char *as_http2(const char *request)
{
    static char block[16384] __attribute__((aligned(16))), text[8192];
    static struct http2_fields fields;
    struct http1_scan scan = {0};
    struct http1_error error;
    struct head *head = NULL;
    size_t at = 0;
    assert_true(http1_parse_request(&HTTP1_REQUEST_LIMITS, slice_of_text(request), &scan, &view, &error) > 0);
    assert_int_equal(head_pack(&view, NULL, block, sizeof block, &head), 0);
    http2_write_request(head, HTTP_SCHEME_HTTPS, &fields);
    for (size_t i = 0; i < fields.n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%.*s=%.*s|", (int)fields.nv[i].namelen,
                               (const char *)fields.nv[i].name, (int)fields.nv[i].valuelen,
                               (const char *)fields.nv[i].value);
    return text;
}

static void request_of_http1_loses_its_connection_and_keeps_the_rest(void **state)
{
    (void)state;
    assert_string_equal(
        as_http2("GET https://node-1:10250/logs/?a=%20b HTTP/1.1\r\nHost: node-1:10250\r\n"
                 "Connection: keep-alive, X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 5\r\nTE: gzip, trailers\r\n"
                 "Accept: */*\r\nCookie: a=b; c=d\r\nUpgrade: h2c\r\n\r\n"),
        ":method=GET|:scheme=https|:authority=node-1:10250|:path=/logs/?a=%20b|Accept=*/*|"
        "Cookie=a=b; c=d|te=trailers|");
    assert_string_equal(as_http2("POST https://[fd00::1]:10250/run HTTP/1.1\r\nHost: [fd00::1]:10250\r\n"
                                 "Content-Length: 7\r\nExpect: 100-continue\r\n\r\n"),
                        ":method=POST|:scheme=https|:authority=[fd00::1]:10250|:path=/run|content-length=7|"
                        "expect=100-continue|te=trailers|");
    assert_string_equal(
        as_http2("PUT https://10.0.0.1/x HTTP/1.1\r\nHost: 10.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ":method=PUT|:scheme=https|:authority=10.0.0.1|:path=/x|te=trailers|");
    assert_string_equal(as_http2("OPTIONS https://10.0.0.1 HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n"),
                        ":method=OPTIONS|:scheme=https|:authority=10.0.0.1|:path=*|te=trailers|");
    assert_string_equal(as_http2("BREW https://10.0.0.1?x HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n"),
                        ":method=BREW|:scheme=https|:authority=10.0.0.1|:path=/?x|te=trailers|");
}

static void secrets_stay_out_of_compression_tables(void **state)
{
    static struct http2_fields fields;
    static char block[16384] __attribute__((aligned(16)));
    struct http1_scan scan = {0};
    struct http1_error error;
    struct head *head = NULL;
    (void)state;
    assert_true(http1_parse_request(
                    &HTTP1_REQUEST_LIMITS,
                    slice_of_text("GET https://a/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n"),
                    &scan, &view, &error) > 0);
    assert_int_equal(head_pack(&view, NULL, block, sizeof block, &head), 0);
    http2_write_request(head, HTTP_SCHEME_HTTPS, &fields);
    assert_int_equal(fields.nv[4].flags, NGHTTP2_NV_FLAG_NO_INDEX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(framing_is_said_again_for_http1),
        cmocka_unit_test(fields_keep_their_order_and_repetitions),
        cmocka_unit_test(request_of_http1_loses_its_connection_and_keeps_the_rest),
        cmocka_unit_test(secrets_stay_out_of_compression_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
