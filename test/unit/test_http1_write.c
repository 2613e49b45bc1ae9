/* test/unit/test_http1_write.c — heads as bytes: targets, framing, connection fields, and answers of our own.
 *
 * What goes in is parsed from text and packed, as in the broker, so these tests read as "this request leaves
 * as that one". Every write is repeated into every smaller buffer of exact size, each of which must be
 * refused without a byte beyond it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "broker/http/http1_chunk.h"
#include "broker/http/http1_parse.h"
#include "broker/http/http1_write.h"

static _Alignas(uint64_t) char block[8192];

static struct head *pack(enum head_kind kind, enum http_method of_request, const char *text)
{
    static struct head_view view;
    const struct http1_limits limits = HTTP1_REQUEST_LIMITS;
    const struct head_edit edit = {.keep_upgrade = true};
    struct http1_scan scan = {0};
    struct http1_error error;
    struct head *head = NULL;
    struct slice data = slice_of_text(text);
    ssize_t n = kind == HEAD_REQUEST ? http1_parse_request(&limits, data, &scan, &view, &error)
                : kind == HEAD_RESPONSE
                    ? http1_parse_response(&limits, of_request, data, &scan, &view, &error)
                    : http1_parse_trailers(&limits, data, &scan, &view, &error);
    assert_int_equal(n, data.len);
    assert_int_equal(head_pack(&view, &edit, block, sizeof block, &head), 0);
    return head;
}

static int write_once(const struct head *head, const struct http1_write_options *options, char *buf,
                      size_t cap, size_t *ret_len)
{
    if (head->kind == HEAD_REQUEST)
        return http1_write_request(head, options, buf, cap, ret_len);
    if (head->kind == HEAD_RESPONSE)
        return http1_write_response(head, options, buf, cap, ret_len);
    return http1_write_trailers(head, buf, cap, ret_len);
}

static void assert_written(const struct head *head, const struct http1_write_options *options,
                           const char *expected)
{
    char found[4096];
    size_t len = 0, unused = 4711;
    assert_int_equal(write_once(head, options, found, sizeof found - 1, &len), 0);
    found[len] = '\0';
    assert_string_equal(found, expected);
    assert_true(len <= http1_write_bound(head));
    for (size_t cap = 0; cap < len; cap++) {
        char *tight = malloc(cap > 0 ? cap : 1);
        assert_int_equal(write_once(head, options, tight, cap, &unused), -ENOSPC);
        assert_int_equal(unused, 4711);
        free(tight);
    }
}

static const struct http1_write_options plain = {.form = TARGET_ORIGIN};
static const struct http1_write_options absolute = {.form = TARGET_ABSOLUTE};

static void requests_leave_in_origin_form(void **state)
{
    (void)state;
    assert_written(
        pack(HEAD_REQUEST, 0, "GET http://A:80?q HTTP/1.1\r\nHost: a\r\nX:  y \r\nConnection: close\r\n\r\n"),
        &plain, "GET /?q HTTP/1.1\r\nHost: A:80\r\nX: y\r\n\r\n");
    assert_written(pack(HEAD_REQUEST, 0, "GET https://[::1]/x HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"), &plain,
                   "GET /x HTTP/1.1\r\nHost: [::1]\r\n\r\n");
    assert_written(pack(HEAD_REQUEST, 0, "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"), &plain,
                   "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_written(pack(HEAD_REQUEST, 0, "M-X /a HTTP/1.1\r\nHost: a\r\n\r\n"), &plain,
                   "M-X /a HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void requests_to_a_proxy_leave_in_absolute_form(void **state)
{
    (void)state;
    assert_written(pack(HEAD_REQUEST, 0, "GET https://a:8443/x HTTP/1.1\r\nHost: a:8443\r\n\r\n"), &absolute,
                   "GET https://a:8443/x HTTP/1.1\r\nHost: a:8443\r\n\r\n");
    assert_written(pack(HEAD_REQUEST, 0, "OPTIONS http://[::1] HTTP/1.1\r\nHost: [::1]\r\n\r\n"), &absolute,
                   "OPTIONS http://[::1] HTTP/1.1\r\nHost: [::1]\r\n\r\n");
}

static void connect_leaves_with_host_and_port(void **state)
{
    (void)state;
    assert_written(pack(HEAD_REQUEST, 0, "CONNECT [::1]:22 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), &plain,
                   "CONNECT [::1]:22 HTTP/1.1\r\nHost: [::1]:22\r\n\r\n");
}

static void request_framing_is_written(void **state)
{
    (void)state;
    const struct http1_write_options all = {.form = TARGET_ORIGIN, .close = true, .expect_continue = true};
    assert_written(
        pack(HEAD_REQUEST, 0, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n"),
        &all,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n"
        "Expect: 100-continue\r\nConnection: close\r\n\r\n");
    assert_written(pack(HEAD_REQUEST, 0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
                   &plain, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_written(pack(HEAD_REQUEST, 0, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), &plain,
                   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
}

static void an_upgrade_is_made_anew(void **state)
{
    (void)state;
    assert_written(
        pack(HEAD_REQUEST, 0,
             "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, upgrade\r\nUpgrade: websocket\r\n\r\n"),
        &plain, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    assert_written(
        pack(HEAD_RESPONSE, HTTP_METHOD_GET,
             "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"),
        &plain, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n");
}

static void response_framing_is_written(void **state)
{
    (void)state;
    const struct http1_write_options close = {.close = true};
    assert_written(
        pack(HEAD_RESPONSE, HTTP_METHOD_GET, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nVia: 1.0 x\r\n\r\n"),
        &close, "HTTP/1.1 200 OK\r\nVia: 1.0 x\r\nContent-Length: 3\r\nConnection: close\r\n\r\n");
    assert_written(pack(HEAD_RESPONSE, HTTP_METHOD_GET, "HTTP/1.0 200\r\n\r\n"), &plain,
                   "HTTP/1.1 200 \r\nConnection: close\r\n\r\n");
    assert_written(
        pack(HEAD_RESPONSE, HTTP_METHOD_GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), &plain,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_written(pack(HEAD_RESPONSE, HTTP_METHOD_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"),
                   &plain, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    assert_written(pack(HEAD_RESPONSE, HTTP_METHOD_GET, "HTTP/1.1 204 x\r\nContent-Length: 3\r\n\r\n"),
                   &plain, "HTTP/1.1 204 x\r\n\r\n");
}

static void the_owner_of_a_head_may_change_its_framing(void **state)
{
    (void)state;
    struct head *head = pack(HEAD_RESPONSE, HTTP_METHOD_GET, "HTTP/1.0 200 OK\r\n\r\n");
    head->body = BODY_CHUNKED;
    assert_written(head, &plain, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void trailers_end_a_chunked_body(void **state)
{
    (void)state;
    char found[16];
    size_t len;
    assert_written(pack(HEAD_TRAILERS, 0, "X-Sum: 1\r\nY:\r\n\r\n"), &plain, "0\r\nX-Sum: 1\r\nY: \r\n\r\n");
    assert_int_equal(http1_write_trailers(NULL, found, sizeof found, &len), 0);
    assert_true(slice_eq(slice_of(found, len), HTTP1_CHUNK_END));
}

static void assert_answer(const struct http1_answer *answer, const char *expected)
{
    char found[2048];
    size_t len = 0, unused;
    assert_int_equal(http1_write_error(answer, found, sizeof found - 1, &len), 0);
    found[len] = '\0';
    assert_string_equal(found, expected);
    assert_true(len <= http1_write_error_bound(answer));
    char *tight = malloc(len);
    for (size_t cap = 0; cap < len; cap++)
        assert_int_equal(http1_write_error(answer, tight, cap, &unused), -ENOSPC);
    free(tight);
}

static void answers_say_why_in_reason_and_body(void **state)
{
    (void)state;
    assert_answer(
        &(struct http1_answer){.status = 502, .reason = SLICE("connection refused"), .close = true},
        "HTTP/1.1 502 connection refused\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 19\r\n"
        "Connection: close\r\n\r\nconnection refused\n");
    assert_answer(&(struct http1_answer){.status = 503, .retry_after_s = 7, .head_only = true},
                  "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; "
                  "charset=utf-8\r\nContent-Length: 20\r\n"
                  "Retry-After: 7\r\n\r\n");
    assert_answer(
        &(struct http1_answer){.status = 405, .fields = SLICE("Allow: GET\r\n")},
        "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 19\r\n"
        "Allow: GET\r\n\r\nMethod Not Allowed\n");
}

static void a_quoted_reason_cannot_add_a_line(void **state)
{
    (void)state;
    assert_answer(&(struct http1_answer){.status = 400, .reason = SLICE("x\r\nSet-Cookie: a\0")},
                  "HTTP/1.1 400 x??Set-Cookie: a?\r\nContent-Type: text/plain; "
                  "charset=utf-8\r\nContent-Length: 18\r\n\r\n"
                  "x??Set-Cookie: a?\n");
}

static void every_answer_parses_and_fits_its_bound(void **state)
{
    (void)state;
    static struct head_view view;
    const struct http1_limits limits = HTTP1_RESPONSE_LIMITS;
    char reason[2 * HTTP1_REASON_MAX], found[2048];
    memset(reason, 'r', sizeof reason);
    for (uint16_t status = 200; status <= 599; status++) {
        const struct http1_answer answer = {
            status, slice_of(reason, status % sizeof reason), SLICE(""), UINT32_MAX, true, false};
        struct http1_scan scan = {0};
        struct http1_error error;
        size_t len = 0;
        assert_true(http1_write_error_bound(&answer) <= sizeof found);
        assert_int_equal(http1_write_error(&answer, found, http1_write_error_bound(&answer), &len), 0);
        ssize_t n = http1_parse_response(&limits, HTTP_METHOD_GET, slice_of(found, len), &scan, &view,
                                         &error);
        assert_true(n > 0);
        if (view.body == BODY_LENGTH)
            assert_int_equal(view.length, len - (size_t)n);
        assert_true(view.close);
    }
}

static void constant_answers_parse(void **state)
{
    (void)state;
    assert_true(pack(HEAD_RESPONSE, HTTP_METHOD_CONNECT, HTTP1_CONNECTED.data)->tunnel);
    assert_int_equal(pack(HEAD_RESPONSE, HTTP_METHOD_POST, HTTP1_CONTINUE.data)->status, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_leave_in_origin_form),
        cmocka_unit_test(requests_to_a_proxy_leave_in_absolute_form),
        cmocka_unit_test(connect_leaves_with_host_and_port),
        cmocka_unit_test(request_framing_is_written),
        cmocka_unit_test(an_upgrade_is_made_anew),
        cmocka_unit_test(response_framing_is_written),
        cmocka_unit_test(the_owner_of_a_head_may_change_its_framing),
        cmocka_unit_test(trailers_end_a_chunked_body),
        cmocka_unit_test(answers_say_why_in_reason_and_body),
        cmocka_unit_test(a_quoted_reason_cannot_add_a_line),
        cmocka_unit_test(every_answer_parses_and_fits_its_bound),
        cmocka_unit_test(constant_answers_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
