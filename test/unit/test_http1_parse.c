/* test/unit/test_http1_parse.c — what the HTTP/1 parser takes, and what it makes of it. What it refuses:
 * test_http1_refuse.c. Every text goes through feed_all_ways().
 */
#include "broker/http/http1_scan.h"
#include "test/unit/http1_heads.h"

static void origin_form_takes_its_authority_from_host(void **state)
{
    (void)state;
    const struct head_view *v = ACCEPT_REQUEST(
        "GET /api?x=%2F HTTP/1.1\r\nhOST:\t Node-1:10250 \r\nA:b\r\n\r\n");
    assert_int_equal(v->kind, HEAD_REQUEST);
    assert_int_equal(v->method, HTTP_METHOD_GET);
    assert_int_equal(v->form, TARGET_ORIGIN);
    assert_int_equal(v->minor, 1);
    assert_slice(v->method_text, "GET");
    assert_slice(v->target, "/api?x=%2F");
    assert_slice(v->path, "/api?x=%2F");
    assert_slice(v->host, "Node-1:10250");
    assert_slice(v->authority.host, "Node-1");
    assert_int_equal(v->authority.port, 10250);
    assert_int_equal(v->authority.kind, HOST_NAME);
    assert_int_equal(v->fields_n, 2);
    assert_int_equal(v->fields[0].id, HTTP_FIELD_HOST);
    assert_int_equal(v->fields[1].id, HTTP_FIELD_OTHER);
    assert_slice(v->fields[1].name, "A");
    assert_slice(v->fields[1].value, "b");
    assert_int_equal(v->body, BODY_NONE);
    assert_true(v->keep_alive);
    feed_free(&fed);
}

static void absolute_form_normalises_the_default_port(void **state)
{
    (void)state;
    const struct head_view *v = ACCEPT_REQUEST("GET http://A/x HTTP/1.1\r\nHost: a:80\r\n\r\n");
    assert_int_equal(v->form, TARGET_ABSOLUTE);
    assert_int_equal(v->scheme, HTTP_SCHEME_HTTP);
    assert_int_equal(v->authority.port, 80);
    assert_false(v->authority.has_port);
    assert_slice(v->path, "/x");
    feed_free(&fed);
    v = ACCEPT_REQUEST("GET HTTPS://a:443?q HTTP/1.1\r\nHost: A\r\n\r\n");
    assert_int_equal(v->scheme, HTTP_SCHEME_HTTPS);
    assert_true(v->authority.has_port);
    assert_slice(v->path, "?q");
    feed_free(&fed);
    v = ACCEPT_REQUEST("OPTIONS https://[2001:DB8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n\r\n");
    assert_slice(v->authority.host, "2001:DB8::1");
    assert_int_equal(v->authority.kind, HOST_IPV6);
    assert_int_equal(v->path.len, 0);
    feed_free(&fed);
}

static void connect_ignores_what_host_names(void **state)
{
    (void)state;
    const struct head_view *v = ACCEPT_REQUEST("CONNECT 10.0.0.7:10250 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_int_equal(v->form, TARGET_AUTHORITY);
    assert_slice(v->authority.host, "10.0.0.7");
    assert_int_equal(v->authority.kind, HOST_IPV4);
    assert_int_equal(v->authority.port, 10250);
    assert_slice(v->host, "127.0.0.1");
    feed_free(&fed);
    v = ACCEPT_REQUEST("CONNECT [::1]:22 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n");
    assert_slice(v->authority.host, "::1");
    assert_int_equal(v->body, BODY_NONE);
    feed_free(&fed);
}

static void one_empty_line_before_a_request_is_counted(void **state)
{
    (void)state;
    const struct head_view *v = ACCEPT_REQUEST("\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(v->form, TARGET_ASTERISK);
    assert_slice(v->path, "*");
    feed_free(&fed);
}

static void http_1_0_needs_no_host_and_does_not_persist(void **state)
{
    (void)state;
    const struct head_view *v = ACCEPT_REQUEST("GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(v->minor, 0);
    assert_null(v->host.data);
    assert_int_equal(v->authority.kind, HOST_NONE);
    assert_false(v->keep_alive);
    feed_free(&fed);
    v = ACCEPT_REQUEST(
        "GET / HTTP/1.0\r\nConnection: Keep-Alive, Upgrade\r\nUpgrade: x\r\nExpect: magic\r\n\r\n");
    assert_true(v->keep_alive);
    assert_false(v->upgrade);
    assert_false(v->expect_continue);
    feed_free(&fed);
}

static void connection_options_become_facts(void **state)
{
    (void)state;
    const struct head_view *v = ACCEPT_REQUEST(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: , UPGRADE ,\tcookie,x-a\r\n"
        "Upgrade: websocket\r\nexpect: 100-Continue\r\n\r\n");
    assert_true(v->upgrade);
    assert_true(v->expect_continue);
    assert_true(v->keep_alive);
    assert_true(v->connection_named == ((1ull << HTTP_FIELD_COOKIE) | (1ull << HTTP_FIELD_OTHER)));
    feed_free(&fed);
    v = ACCEPT_REQUEST("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nConnection: close\r\n\r\n");
    assert_false(v->upgrade);
    assert_true(v->close);
    assert_false(v->keep_alive);
    feed_free(&fed);
}

static void bodies_of_requests(void **state)
{
    (void)state;
    const struct head_view *v = ACCEPT_REQUEST(POST "Content-Length: 9223372036854775807\r\n\r\n");
    assert_int_equal(v->body, BODY_LENGTH);
    assert_true(v->length == INT64_MAX);
    feed_free(&fed);
    v = ACCEPT_REQUEST(POST "Content-Length: 00\r\n\r\n");
    assert_int_equal(v->body, BODY_LENGTH);
    assert_true(v->has_length);
    assert_int_equal(v->length, 0);
    feed_free(&fed);
    v = ACCEPT_REQUEST(POST "transfer-encoding: \tChunked \r\n\r\n");
    assert_int_equal(v->body, BODY_CHUNKED);
    assert_false(v->has_length);
    feed_free(&fed);
}

static void assert_body(const struct feed *how, struct slice text, enum body_kind body, int64_t length)
{
    const struct head_view *v = accept(how, text);
    assert_int_equal(v->body, body);
    assert_int_equal(v->has_length, length >= 0);
    assert_true(v->length == (length >= 0 ? (uint64_t)length : 0));
    feed_free(&fed);
}

static void bodies_of_responses(void **state)
{
    (void)state;
    struct feed to_head = responses, to_connect = responses;
    to_head.of_request = HTTP_METHOD_HEAD;
    to_connect.of_request = HTTP_METHOD_CONNECT;
    assert_body(&responses, SLICE(OK "Content-Length: 7" END), BODY_LENGTH, 7);
    assert_body(&responses, SLICE(OK "Transfer-Encoding: chunked" END), BODY_CHUNKED, -1);
    assert_body(&responses, SLICE(OK "\r\n"), BODY_UNTIL_CLOSE, -1);
    assert_body(&responses, SLICE("HTTP/1.1 204 x\r\nContent-Length: 7" END), BODY_NONE, -1);
    assert_body(&responses, SLICE("HTTP/1.1 304 x\r\nContent-Length: 7" END), BODY_NONE, 7);
    assert_body(&responses, SLICE("HTTP/1.1 100 Continue" END), BODY_NONE, -1);
    assert_body(&to_head, SLICE(OK "Content-Length: 7" END), BODY_NONE, 7);
    assert_body(&to_head, SLICE(OK "Transfer-Encoding: chunked" END), BODY_NONE, -1);
    assert_body(&to_head, SLICE(OK "\r\n"), BODY_NONE, -1);
    assert_body(&to_connect, SLICE(OK "Content-Length: 7" END), BODY_NONE, -1);
    assert_body(&to_connect, SLICE("HTTP/1.1 403 x\r\nContent-Length: 7" END), BODY_LENGTH, 7);
}

static void only_101_and_connect_open_tunnels(void **state)
{
    (void)state;
    struct feed to_connect = responses;
    to_connect.of_request = HTTP_METHOD_CONNECT;
    const struct head_view *v = ACCEPT_RESPONSE(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n");
    assert_true(v->tunnel);
    assert_true(v->upgrade);
    feed_free(&fed);
    assert_true(accept(&to_connect, SLICE("HTTP/1.1 299 x" END))->tunnel);
    feed_free(&fed);
    assert_false(accept(&to_connect, SLICE("HTTP/1.1 302 x" END))->tunnel);
    feed_free(&fed);
    assert_false(ACCEPT_RESPONSE("HTTP/1.1 200 x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")->tunnel);
    feed_free(&fed);
}

static void persistence_of_responses(void **state)
{
    (void)state;
    assert_true(ACCEPT_RESPONSE(OK "Content-Length: 0\r\n\r\n")->keep_alive);
    feed_free(&fed);
    assert_false(ACCEPT_RESPONSE(OK "\r\n")->keep_alive); /* until close */
    feed_free(&fed);
    assert_false(ACCEPT_RESPONSE(OK "Content-Length: 0\r\nConnection: close\r\n\r\n")->keep_alive);
    feed_free(&fed);
    assert_false(ACCEPT_RESPONSE("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")->keep_alive);
    feed_free(&fed);
}

static void a_reason_is_optional_and_its_space_with_it(void **state)
{
    (void)state;
    assert_slice(ACCEPT_RESPONSE("HTTP/1.1 200 Not \xc3\xa9 OK \r\n\r\n")->reason, "Not \xc3\xa9 OK ");
    feed_free(&fed);
    assert_int_equal(ACCEPT_RESPONSE("HTTP/1.1 200 \r\n\r\n")->reason.len, 0);
    feed_free(&fed);
    assert_int_equal(ACCEPT_RESPONSE("HTTP/1.1 200\r\n\r\n")->status, 200);
    feed_free(&fed);
}

static void trailers_may_be_none_or_some(void **state)
{
    (void)state;
    assert_int_equal(accept(&trailers, SLICE("\r\n"))->fields_n, 0);
    feed_free(&fed);
    const struct head_view *v = accept(&trailers, SLICE("X-Sum: 1\r\nGrpc-Status:0\r\n\r\n"));
    assert_int_equal(v->kind, HEAD_TRAILERS);
    assert_int_equal(v->fields_n, 2);
    assert_slice(v->fields[1].value, "0");
    feed_free(&fed);
}

static void bytes_after_the_head_are_left_alone(void **state)
{
    (void)state;
    static const char text[] = GET "Host: a" END "\0\n\x16 anything";
    feed_all_ways(&requests, slice_of(text, sizeof text - 1), &fed);
    assert_int_equal(fed.result, sizeof(GET "Host: a" END) - 1);
    feed_free(&fed);
}

/* Byte-by-byte input must not be walked from its start each time: quadratic, this MiB would take minutes. */
static void bytewise_input_is_linear(void **state)
{
    (void)state;
    enum { LEN = 1 << 20 };
    struct http1_limits limits = {LEN, 8, LEN};
    struct http1_scan scan = {0};
    char *text = malloc(LEN);
    assert_non_null(text);
    memset(text, 'x', LEN);
    memcpy(text, POST "X:", sizeof(POST "X:") - 1);
    for (uint32_t n = 0; n < LEN; n++)
        assert_int_equal(http1_parse_request(&limits, slice_of(text, n), &scan, &fed.view, &fed.error), 0);
    assert_int_equal(scan.pos, LEN - 1);
    free(text);
}

/* The vector scan and the portable one, held to the definition byte by byte. */
static void both_scans_find_the_first_control_character(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t len = 0; len < 40; len++) {
            for (size_t at = 0; at < len; at++) {
                char text[40];
                memset(text, at % 2 ? 'a' : '\t', sizeof text);
                text[at] = (char)byte;
                bool is_control = (byte < 32 && byte != 9) || byte == 127;
                const char *expected = text + (is_control ? at : len);
                assert_ptr_equal(http1_find_control(text, text + len), expected);
                assert_ptr_equal(http1_find_control_portable(text, text + len), expected);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origin_form_takes_its_authority_from_host),
        cmocka_unit_test(absolute_form_normalises_the_default_port),
        cmocka_unit_test(connect_ignores_what_host_names),
        cmocka_unit_test(one_empty_line_before_a_request_is_counted),
        cmocka_unit_test(http_1_0_needs_no_host_and_does_not_persist),
        cmocka_unit_test(connection_options_become_facts),
        cmocka_unit_test(bodies_of_requests),
        cmocka_unit_test(bodies_of_responses),
        cmocka_unit_test(only_101_and_connect_open_tunnels),
        cmocka_unit_test(persistence_of_responses),
        cmocka_unit_test(a_reason_is_optional_and_its_space_with_it),
        cmocka_unit_test(trailers_may_be_none_or_some),
        cmocka_unit_test(bytes_after_the_head_are_left_alone),
        cmocka_unit_test(bytewise_input_is_linear),
        cmocka_unit_test(both_scans_find_the_first_control_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
