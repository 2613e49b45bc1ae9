/* test/unit/test_http1_refuse.c — what the HTTP/1 parser refuses, and exactly why.
 *
 * Every text goes through feed_all_ways(), so each row of the tables below is tried whole, cut at every
 * place, and byte by byte. The tables of attacks are the ones collected from request-smuggling literature
 * (differences about Content-Length, Transfer-Encoding, line ends, whitespace and targets); each names the
 * one refusal it must meet.
 */
#include "test/unit/http1_heads.h"

struct attack {
    struct slice bytes;
    enum http1_refusal refusal;
};

static void assert_refused(const struct feed *how, const struct attack *attack)
{
    feed_all_ways(how, attack->bytes, &fed);
    if (fed.result != -(ssize_t)attack->refusal)
        print_error("%.*s\n  expected %s, got %zd %s\n", (int)attack->bytes.len, attack->bytes.data,
                    http1_refusal_name(attack->refusal), fed.result,
                    fed.result < 0 ? http1_refusal_name(fed.error.refusal) : "");
    assert_int_equal(fed.result, -(ssize_t)attack->refusal);
    assert_int_equal(fed.error.refusal, attack->refusal);
    assert_int_equal(fed.error.status,
                     how->kind == HEAD_RESPONSE ? 502 : http1_refusal_status(attack->refusal));
    assert_string_equal(fed.error.text, http1_refusal_text(attack->refusal));
    assert_true(fed.error.at <= attack->bytes.len);
    feed_free(&fed);
}
#define ROW(refusal, text)                                                                                   \
    {                                                                                                        \
        SLICE_INIT(text), HTTP1_##refusal                                                                    \
    }

/* What a request must not look like before anything is said about its body. */
static const struct attack line_attacks[] = {
    ROW(CONTROL, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), /* TLS ClientHello */
    ROW(VERSION, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),             /* HTTP/2 preface */
    ROW(VERSION, "GET / HTTP/1.2\r\nHost: a" END),
    ROW(VERSION, "GET / HTTP/2.0\r\nHost: a" END),
    ROW(VERSION, "GET / HTTP/0.9\r\nHost: a" END),
    ROW(VERSION, "GET / HTTP/9.1\r\nHost: a" END),
    ROW(VERSION_MISSING, "GET /\r\n"), /* HTTP/0.9 */
    ROW(VERSION_SYNTAX, "GET / http/1.1\r\nHost: a" END),
    ROW(VERSION_SYNTAX, "GET / HTTP/1.1 \r\nHost: a" END),
    ROW(VERSION_SYNTAX, "GET /  HTTP/1.1\r\nHost: a" END),
    ROW(VERSION_SYNTAX, "GET / HTTP/1.01\r\nHost: a" END),
    ROW(VERSION_SYNTAX, "GET / HTTP/1,1\r\nHost: a" END),
    ROW(VERSION_SYNTAX, "GET / HTTP/11\r\nHost: a" END),
    ROW(VERSION_SYNTAX, "GET /a b HTTP/1.1\r\nHost: a" END),
    ROW(VERSION_SYNTAX, "GET / HTTP/1.1 HTTP/1.1\r\nHost: a" END),
    ROW(VERSION_SYNTAX, "GET / XTTP/1.1\r\nHost: a" END),
    ROW(TARGET_MISSING, "GET  / HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_MISSING, "GET\r\n"),
    ROW(TARGET_MISSING, "GET \r\n"),
    ROW(METHOD, " GET / HTTP/1.1\r\nHost: a" END),
    ROW(METHOD, "\tGET / HTTP/1.1\r\nHost: a" END),
    ROW(METHOD, "GET\t/ HTTP/1.1\r\nHost: a" END),
    ROW(METHOD, "G(T / HTTP/1.1\r\nHost: a" END),
    ROW(METHOD, "\xef\xbb\xbfGET / HTTP/1.1\r\nHost: a" END), /* byte order mark */
    ROW(EMPTY_LINES, "\r\n\r\nGET / HTTP/1.1\r\nHost: a" END),
    ROW(BARE_LF, "\nGET / HTTP/1.1\r\nHost: a" END),
    ROW(BARE_LF, "GET / HTTP/1.1\nHost: a\n\n"),
    ROW(BARE_LF, GET "Host: a\nX: y" END),
    ROW(BARE_LF, GET "Host: a\r\n\n"),
    ROW(BARE_CR, "GET / HTTP/1.1\rHost: a" END),
    ROW(BARE_CR, GET "Host: a\rX: y" END),
    ROW(BARE_CR, GET "Host: a\r\r\n\r\n"),
    ROW(BARE_CR, GET "Host: a\r\n\rX: y" END),
    ROW(CONTROL, "GET /\0 HTTP/1.1\r\nHost: a" END),
    ROW(CONTROL, "G\0T / HTTP/1.1\r\nHost: a" END),
    ROW(CONTROL, GET "Host\0: a" END),
    ROW(CONTROL, GET "Host: a\0b" END),
    ROW(CONTROL, GET "Host: a\r\n\0\r\n"),
    ROW(CONTROL, GET "Host: a\r\nX: \x7f" END),
    ROW(CONTROL, GET "Host: a\r\nX: a\x0b" END),
    ROW(CONTROL, GET "Host: a\r\nX: a\x0c" END),
    ROW(CONTROL, GET "Host: a\r\nX: \x1b[31m" END),
};

static const struct attack target_attacks[] = {
    ROW(TARGET_CHAR, "GET /\t HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_CHAR, "GET /\\x HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_CHAR, "GET /\"x HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_CHAR, "GET /\x80 HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_CHAR, "GET /<x> HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_FRAGMENT, "GET /a#b HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_FRAGMENT, "GET http://a#b HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_FORM, "GET a HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_FORM, "GET ?a HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_FORM, "GET :// HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_FORM, "GET ** HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_ASTERISK, "GET * HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_SCHEME, "GET ftp://a/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_SCHEME, "GET file:///etc/passwd HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_SCHEME, "GET http:/a HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_SCHEME, "GET a:80 HTTP/1.1\r\nHost: a" END), /* authority-form without CONNECT */
    ROW(TARGET_USERINFO, "GET http://u@a/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_USERINFO, "GET http://u:p@a/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_USERINFO, "CONNECT u@a:1 HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http:/// HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http:// HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://:80/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://a:/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://a:0/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://a:65536/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://a:080/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://a:+80/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://a:80:80/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://a%2eb/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://[::1/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://[::1]x/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://[1.2.3.4]/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://[fe80::1%25eth0]/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://::1/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://127.1/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://2130706433/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://0x7f.1/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://0177.0.0.1/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://127.0.0.1./ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://a..b/ HTTP/1.1\r\nHost: a" END),
    ROW(TARGET_AUTHORITY, "GET http://./ HTTP/1.1\r\nHost: a" END),
    ROW(CONNECT_TARGET, "CONNECT / HTTP/1.1\r\nHost: a" END),
    ROW(CONNECT_TARGET, "CONNECT a HTTP/1.1\r\nHost: a" END),
    ROW(CONNECT_TARGET, "CONNECT a:80/x HTTP/1.1\r\nHost: a" END),
    ROW(CONNECT_TARGET, "CONNECT a:80?x HTTP/1.1\r\nHost: a" END),
    ROW(CONNECT_TARGET, "CONNECT http://a:80/ HTTP/1.1\r\nHost: a" END),
    ROW(CONNECT_TARGET, "CONNECT http://u@a:80/ HTTP/1.1\r\nHost: a" END),
    ROW(CONNECT_TARGET, "CONNECT * HTTP/1.1\r\nHost: a" END),
    ROW(CONNECT_TARGET, "CONNECT :80 HTTP/1.1\r\nHost: a" END),
    ROW(CONNECT_TARGET, "CONNECT [::1] HTTP/1.1\r\nHost: a" END),
    ROW(CONNECT_TARGET, "CONNECT ::1:80 HTTP/1.1\r\nHost: a" END),
};

static const struct attack field_attacks[] = {
    ROW(FIELD_FOLDED, GET "Host: a\r\n b" END),
    ROW(FIELD_FOLDED, GET "Host: a\r\n\tb" END),
    ROW(FIELD_FOLDED, GET " Host: a" END),
    ROW(FIELD_FOLDED, GET "Host: a\r\n \r\n\r\n"),
    ROW(FIELD_NAME_SPACE, GET "Host : a" END),
    ROW(FIELD_NAME_SPACE, GET "Host\t: a" END),
    ROW(FIELD_NAME_SPACE, POST "Content Length: 5" END),
    ROW(FIELD_NAME_SPACE, POST "Transfer-Encoding : chunked" END),
    ROW(FIELD_NAME_EMPTY, GET ": a" END),
    ROW(FIELD_NO_COLON, GET "Host" END),
    ROW(FIELD_NAME_CHAR, GET "Ho(st: a" END),
    ROW(FIELD_NAME_CHAR, GET "Host\xa0: a" END),
    ROW(FIELD_NAME_CHAR, GET "\"Host\": a" END),
    ROW(FIELD_NAME_CHAR, GET "Host, X: a" END),
    ROW(HOST_MISSING, GET "\r\n"),
    ROW(HOST_MISSING, GET "Hosts: a" END),
    ROW(HOST_MISSING, "CONNECT a:80 HTTP/1.1" END),
    ROW(HOST_MISSING, "GET http://a/ HTTP/1.1" END),
    ROW(HOST_REPEATED, GET "Host: a\r\nHost: a" END),
    ROW(HOST_REPEATED, GET "Host: a\r\nhost: b" END),
    ROW(HOST_SYNTAX, GET "Host:" END),
    ROW(HOST_SYNTAX, GET "Host: a b" END),
    ROW(HOST_SYNTAX, GET "Host: a, b" END),
    ROW(HOST_SYNTAX, GET "Host: u@a" END),
    ROW(HOST_SYNTAX, GET "Host: a/b" END),
    ROW(HOST_SYNTAX, GET "Host: http://a" END),
    ROW(HOST_SYNTAX, GET "Host: a:b" END),
    ROW(HOST_SYNTAX, GET "Host: a:99999" END),
    ROW(HOST_SYNTAX, "GET / HTTP/1.0\r\nHost: a b" END),
    ROW(HOST_SYNTAX, "CONNECT a:80 HTTP/1.1\r\nHost: a b" END),
    ROW(HOST_CONFLICT, "GET http://a/ HTTP/1.1\r\nHost: b" END),
    ROW(HOST_CONFLICT, "GET http://a/ HTTP/1.1\r\nHost: a:81" END),
    ROW(HOST_CONFLICT, "GET https://a/ HTTP/1.1\r\nHost: a:80" END),
    ROW(HOST_CONFLICT, "GET http://a/ HTTP/1.0\r\nHost: b" END),
    ROW(CONNECTION_SYNTAX, POST "Connection: a b" END),
    ROW(CONNECTION_SYNTAX, POST "Connection: close;x" END),
    ROW(EXPECTATION, POST "Expect: 200-ok" END),
    ROW(EXPECTATION, POST "Expect: 100-continue, x" END),
    ROW(EXPECTATION, POST "Expect: 100-continue\r\nExpect: 100-continue" END),
};

/* Framing: shared with responses, which refuse the same with 502. */
#define FRAMING_ATTACKS(X, START)                                                                            \
    X(LENGTH_AND_CODING, START "Content-Length: 4\r\nTransfer-Encoding: chunked" END)                        \
    X(LENGTH_AND_CODING, START "Transfer-Encoding: chunked\r\nContent-Length: 4" END)                        \
    X(LENGTH_AND_CODING, START "Transfer-Encoding: x\r\nContent-Length: 0" END)                              \
    X(LENGTH_REPEATED, START "Content-Length: 4\r\nContent-Length: 4" END)                                   \
    X(LENGTH_REPEATED, START "Content-Length: 4\r\ncontent-length: 5" END)                                   \
    X(LENGTH_SYNTAX, START "Content-Length: 5, 5" END)                                                       \
    X(LENGTH_SYNTAX, START "Content-Length: 5,6" END)                                                        \
    X(LENGTH_SYNTAX, START "Content-Length: -5" END)                                                         \
    X(LENGTH_SYNTAX, START "Content-Length: +5" END)                                                         \
    X(LENGTH_SYNTAX, START "Content-Length: 0x5" END)                                                        \
    X(LENGTH_SYNTAX, START "Content-Length: 5 5" END)                                                        \
    X(LENGTH_SYNTAX, START "Content-Length: 5.0" END)                                                        \
    X(LENGTH_SYNTAX, START "Content-Length: 5;" END)                                                         \
    X(LENGTH_SYNTAX, START "Content-Length: \"5\"" END)                                                      \
    X(LENGTH_SYNTAX, START "Content-Length:" END)                                                            \
    X(LENGTH_SYNTAX, START "Content-Length: \xb2" END)                                                       \
    X(LENGTH_OVERFLOW, START "Content-Length: 9223372036854775808" END)                                      \
    X(LENGTH_OVERFLOW, START "Content-Length: 18446744073709551621" END)                                     \
    X(LENGTH_OVERFLOW, START "Content-Length: 99999999999999999999999" END)                                  \
    X(CODING_REPEATED, START "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked" END)                 \
    X(CODING_REPEATED, START "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity" END)                \
    X(CODING_UNKNOWN, START "Transfer-Encoding: xchunked" END)                                               \
    X(CODING_UNKNOWN, START "Transfer-Encoding: chunkedx" END)                                               \
    X(CODING_UNKNOWN, START "Transfer-Encoding: identity" END)                                               \
    X(CODING_UNKNOWN, START "Transfer-Encoding: gzip, chunked" END)                                          \
    X(CODING_UNKNOWN, START "Transfer-Encoding: gzip;q=1" END)                                               \
    X(CODING_ORDER, START "Transfer-Encoding: chunked, identity" END)                                        \
    X(CODING_ORDER, START "Transfer-Encoding: chunked, chunked" END)                                         \
    X(CODING_ORDER, START "Transfer-Encoding: CHUNKED,gzip" END)                                             \
    X(CODING_SYNTAX, START "Transfer-Encoding: chunked;a=b" END)                                             \
    X(CODING_SYNTAX, START "Transfer-Encoding: \"chunked\"" END)                                             \
    X(CODING_SYNTAX, START "Transfer-Encoding: chunked x" END)                                               \
    X(CODING_SYNTAX, START "Transfer-Encoding: ,chunked" END)                                                \
    X(CODING_SYNTAX, START "Transfer-Encoding: chunked," END)                                                \
    X(CODING_SYNTAX, START "Transfer-Encoding:" END)                                                         \
    X(CODING_SYNTAX, START "Transfer-Encoding: chunked\xa0" END)                                             \
    X(CONTROL, START "Transfer-Encoding: \x0b"                                                               \
                     "chunked" END)                                                                          \
    X(CONTROL, START "Transfer-Encoding: \0chunked" END)                                                     \
    X(BARE_LF, START "Transfer-Encoding: chunked\nContent-Length: 5" END)                                    \
    X(FIELD_FOLDED, START "Transfer-Encoding:\r\n chunked" END)                                              \
    X(FIELD_NAME_SPACE, START "Content-Length : 5" END)                                                      \
    X(FIELD_NAME_SPACE, START "Content-Length\t: 5" END)

#define FRAMING_ROW(refusal, text) ROW(refusal, text),
static const struct attack request_framing[] = {
    FRAMING_ATTACKS(FRAMING_ROW, POST)
    /* requests only */
    ROW(CODING_IN_1_0, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked" END),
    ROW(CONNECT_BODY, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 1" END),
    ROW(CONNECT_BODY, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked" END),
};
static const struct attack response_framing[] = {
    FRAMING_ATTACKS(FRAMING_ROW, OK)
    /* responses only */
    ROW(CODING_IN_1_0, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked" END),
};

static const struct attack status_attacks[] = {
    ROW(STATUS_VERSION, "\r\nHTTP/1.1 200 OK" END),
    ROW(STATUS_VERSION, "HTTP/1.2 200 OK" END),
    ROW(STATUS_VERSION, "HTTP/2.0 200 OK" END),
    ROW(STATUS_VERSION, "http/1.1 200 OK" END),
    ROW(STATUS_VERSION, "HTTP/1.1\t200 OK" END),
    ROW(STATUS_VERSION, "ICY 200 OK" END),
    ROW(STATUS_VERSION, "SSH-2.0-OpenSSH_9.2p1\r\n"),
    ROW(STATUS_VERSION, "HTTP/1.1\r\n"),
    ROW(STATUS_CODE, "HTTP/1.1  200 OK" END),
    ROW(STATUS_CODE, "HTTP/1.1 20 OK" END),
    ROW(STATUS_CODE, "HTTP/1.1 2000 OK" END),
    ROW(STATUS_CODE, "HTTP/1.1 099 OK" END),
    ROW(STATUS_CODE, "HTTP/1.1 600 OK" END),
    ROW(STATUS_CODE, "HTTP/1.1 2x0 OK" END),
    ROW(STATUS_CODE, "HTTP/1.1 +20 OK" END),
    ROW(STATUS_CODE, "HTTP/1.1 200\tOK" END),
    ROW(STATUS_CODE, "HTTP/1.1 " END),
    ROW(CONTROL, "HTTP/1.1 200 O\0K" END),
    ROW(BARE_LF, "HTTP/1.1 200 OK\n\n"),
};

static const struct attack trailer_attacks[] = {
    ROW(TRAILER_FORBIDDEN, "Content-Length: 5" END),
    ROW(TRAILER_FORBIDDEN, "Transfer-Encoding: chunked" END),
    ROW(TRAILER_FORBIDDEN, "X: 1\r\nHost: a" END),
    ROW(TRAILER_FORBIDDEN, "Authorization: Bearer x" END),
    ROW(TRAILER_FORBIDDEN, "X-Remote-User: admin" END),
    ROW(TRAILER_FORBIDDEN, "Connection: close" END),
    ROW(FIELD_FOLDED, " X: 1" END),
    ROW(FIELD_NAME_SPACE, "X : 1" END),
    ROW(BARE_LF, "\n"),
    ROW(BARE_CR, "\rX"),
    ROW(TOO_MANY_FIELDS, "A:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:" END),
};

#define EACH(how, table)                                                                                     \
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)                                                           \
    assert_refused(&(how), &(table)[i])

static void bad_request_lines_are_refused(void **state)
{
    (void)state;
    EACH(requests, line_attacks);
}

static void bad_targets_are_refused(void **state)
{
    (void)state;
    EACH(requests, target_attacks);
}

static void bad_fields_are_refused(void **state)
{
    (void)state;
    EACH(requests, field_attacks);
}

static void ambiguous_framing_is_refused(void **state)
{
    (void)state;
    EACH(requests, request_framing);
    EACH(responses, response_framing);
}

static void bad_status_lines_are_refused(void **state)
{
    (void)state;
    EACH(responses, status_attacks);
}

static void bad_trailers_are_refused(void **state)
{
    (void)state;
    EACH(trailers, trailer_attacks);
}

/* A control character at any place of a good request is refused, wherever it stands. */
static void nul_anywhere_is_refused(void **state)
{
    (void)state;
    static const char good[] = "GET /a?b HTTP/1.1\r\nHost: a:80\r\nX: y z\r\n\r\n";
    for (size_t i = 0; i < sizeof good - 1; i++) {
        char bad[sizeof good];
        memcpy(bad, good, sizeof good);
        bad[i] = '\0';
        feed_all_ways(&requests, slice_of(bad, sizeof good - 1), &fed);
        assert_true(fed.result < 0);
        enum http1_refusal found = fed.error.refusal;
        assert_true(found == HTTP1_CONTROL || found == HTTP1_BARE_CR || found == HTTP1_BARE_LF);
        feed_free(&fed);
    }
}

/* limits: the last size that passes and the first that does not. */
static void heads_beyond_a_limit_are_refused(void **state)
{
    (void)state;
    static const char text[] = "GET /12345678 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    struct slice head = slice_of(text, sizeof text - 1);
    struct feed how = {
        HEAD_REQUEST, HTTP_METHOD_OTHER, {sizeof text - 1, 2, 9}
    };
    accept(&how, head);
    feed_free(&fed);
    how.limits.head_bytes_max--;
    assert_refused(&how, &(struct attack){head, HTTP1_HEAD_TOO_LARGE});
    how.limits.head_bytes_max++;
    how.limits.fields_max = 1;
    assert_refused(&how, &(struct attack){head, HTTP1_TOO_MANY_FIELDS});
    how.limits.fields_max = 2;
    how.limits.target_max = 8;
    assert_refused(&how, &(struct attack){head, HTTP1_TARGET_TOO_LONG});
    how.limits = (struct http1_limits){20, 2, 100};
    assert_refused(&how, &(struct attack){head, HTTP1_TARGET_TOO_LONG}); /* the line alone is too long */
    how = (struct feed){
        HEAD_TRAILERS, HTTP_METHOD_OTHER, {8, 2, 0}
    };
    assert_refused(&how, &(struct attack){SLICE("X: 123\r\n\r\n"), HTTP1_TRAILERS_TOO_LARGE});
}

static void more_fields_than_a_view_holds_are_refused(void **state)
{
    (void)state;
    struct http1_limits limits = {64 * 1024, UINT32_MAX, 100};
    struct http1_scan scan = {0};
    static char text[8192];
    size_t len = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < HEAD_FIELDS_MAX - 1; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "X%d:\r\n", i);
    memcpy(text + len, "\r\n", 2);
    assert_int_equal(http1_parse_request(&limits, slice_of(text, len + 2), &scan, &fed.view, &fed.error),
                     len + 2);
    assert_int_equal(fed.view.fields_n, HEAD_FIELDS_MAX);
    memcpy(text + len, "Y:\r\n\r\n", 6);
    scan = (struct http1_scan){0};
    assert_int_equal(http1_parse_request(&limits, slice_of(text, len + 6), &scan, &fed.view, &fed.error),
                     -HTTP1_TOO_MANY_FIELDS);
}

static void every_refusal_has_a_name_a_text_and_a_status(void **state)
{
    (void)state;
    for (int r = HTTP1_NONE + 1; r < HTTP1_REFUSAL_COUNT; r++) {
        assert_true(strlen(http1_refusal_name((enum http1_refusal)r)) > 0);
        assert_true(strlen(http1_refusal_text((enum http1_refusal)r)) > 10);
        assert_in_range(http1_refusal_status((enum http1_refusal)r), 400, 599);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_request_lines_are_refused),
        cmocka_unit_test(bad_targets_are_refused),
        cmocka_unit_test(bad_fields_are_refused),
        cmocka_unit_test(ambiguous_framing_is_refused),
        cmocka_unit_test(bad_status_lines_are_refused),
        cmocka_unit_test(bad_trailers_are_refused),
        cmocka_unit_test(nul_anywhere_is_refused),
        cmocka_unit_test(heads_beyond_a_limit_are_refused),
        cmocka_unit_test(more_fields_than_a_view_holds_are_refused),
        cmocka_unit_test(every_refusal_has_a_name_a_text_and_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
