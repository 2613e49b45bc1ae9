/* broker/http/http1_write.c — writing heads.
 *
 * One small writer object counts every byte and copies those that fit, so no function below asks for space
 * and none can run over the end; the question is asked once, when all is written. Framing and connection
 * fields are written here and nowhere else: a packed head has no such fields (head_pack() left them out), so
 * a message cannot leave with two of them.
 *
 * It trusts the head's bytes: they came through a parser or through head_pack()'s check of its edits. The one
 * text that may hold anything, the reason of our own answers, is cleaned on the way.
 */
#include "broker/http/http1_write.h"

#include <errno.h>

#include "broker/http/http1_scan.h"

enum {
    NUMBER_MAX = 20, /* digits of 2^64 - 1 */
    PORT_MAX = 6,    /* ":65535" */
    /* All that is written besides the head's own bytes: version, status, framing, connection, expectation,
     * the last chunk, separators. The sum of the literals below is under 200. */
    FIXED_MAX = 256,
    FIELD_EXTRA = 4, /* ": " and CR LF */
};

struct writer {
    char *buf;
    size_t cap;
    size_t at; /* may pass cap: then the output did not fit */
};

static void put(struct writer *w, struct slice s)
{
    if (s.len > 0 && w->at <= w->cap && s.len <= w->cap - w->at)
        memcpy(w->buf + w->at, s.data, s.len);
    w->at += s.len;
}

static void put_number(struct writer *w, uint64_t n)
{
    char digits[NUMBER_MAX];
    unsigned at = NUMBER_MAX;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    put(w, slice_of(digits + at, NUMBER_MAX - at));
}

static int finish(const struct writer *w, size_t *ret_len)
{
    if (w->at > w->cap)
        return -ENOSPC;
    *ret_len = w->at;
    return 0;
}

static void put_host(struct writer *w, const struct head *head)
{
    bool is_ipv6 = head->host_kind == HOST_IPV6;
    put(w, is_ipv6 ? SLICE("[") : SLICE(""));
    put(w, head_host(head));
    put(w, is_ipv6 ? SLICE("]") : SLICE(""));
}

static void put_authority(struct writer *w, const struct head *head)
{
    put_host(w, head);
    if (head->has_port) {
        put(w, SLICE(":"));
        put_number(w, head->port);
    }
}

static void put_connect_target(struct writer *w, const struct head *head)
{
    uint16_t port = head->port != 0 ? head->port : http_scheme_port(head->scheme);
    ASSERT(head->host.len > 0);
    ASSERT(port != 0);
    put_host(w, head);
    put(w, SLICE(":"));
    put_number(w, port);
}

static void put_target(struct writer *w, const struct head *head, enum target_form form)
{
    struct slice path = head_path(head);
    if (head->method == HTTP_METHOD_CONNECT) {
        put_connect_target(w, head);
        return;
    }
    if (form == TARGET_ABSOLUTE) {
        ASSERT(head->scheme != HTTP_SCHEME_NONE);
        ASSERT(head->host.len > 0);
        put(w, slice_of_text(http_scheme_name(head->scheme)));
        put(w, SLICE("://"));
        put_authority(w, head);
        if (slice_eq(path, SLICE("*"))) /* RFC 9112 section 3.2.4: the last proxy turns "" back into "*" */
            return;
    }
    put(w, path);
}

static void put_fields(struct writer *w, const struct head *head)
{
    for (uint32_t i = 0; i < head->fields_n; i++) {
        put(w, head_field_name_at(head, i));
        put(w, SLICE(": "));
        put(w, head_field_value_at(head, i));
        put(w, SLICE("\r\n"));
    }
}

static void put_length(struct writer *w, uint64_t length)
{
    put(w, SLICE("Content-Length: "));
    put_number(w, length);
    put(w, SLICE("\r\n"));
}

/* RFC 9112 section 6. A length may stand without a body (HEAD, 304), a coding never does. */
static void put_framing(struct writer *w, const struct head *head)
{
    switch (head->body) {
    case BODY_NONE:
        if (head->has_length)
            put_length(w, head->length);
        return;
    case BODY_LENGTH: put_length(w, head->length); return;
    case BODY_CHUNKED: put(w, SLICE("Transfer-Encoding: chunked\r\n")); return;
    case BODY_UNTIL_CLOSE: return;
    }
    ASSERT(!"a body without a kind");
}

static void put_connection(struct writer *w, bool upgrade, bool close)
{
    if (upgrade)
        put(w, close ? SLICE("Connection: Upgrade, close\r\n") : SLICE("Connection: Upgrade\r\n"));
    else if (close)
        put(w, SLICE("Connection: close\r\n"));
}

size_t http1_write_bound(const struct head *head)
{
    return head->size + FIXED_MAX + 2 * (head->host.len + PORT_MAX) + (size_t)head->fields_n * FIELD_EXTRA;
}

int http1_write_request(const struct head *head, const struct http1_write_options *options, char *buf,
                        size_t cap, size_t *ret_len)
{
    struct writer w = {buf, cap, 0};
    ASSERT(head->kind == HEAD_REQUEST);
    ASSERT(head->body != BODY_UNTIL_CLOSE);
    put(&w, head_method_text(head));
    put(&w, SLICE(" "));
    put_target(&w, head, options->form);
    put(&w, SLICE(" HTTP/1.1\r\nHost: "));
    if (head->method == HTTP_METHOD_CONNECT)
        put_connect_target(&w, head);
    else
        put_authority(&w, head);
    put(&w, SLICE("\r\n"));
    put_fields(&w, head);
    put_framing(&w, head);
    if (options->expect_continue)
        put(&w, SLICE("Expect: 100-continue\r\n"));
    put_connection(&w, head->upgrade, options->close);
    put(&w, SLICE("\r\n"));
    return finish(&w, ret_len);
}

int http1_write_response(const struct head *head, const struct http1_write_options *options, char *buf,
                         size_t cap, size_t *ret_len)
{
    struct writer w = {buf, cap, 0};
    ASSERT(head->kind == HEAD_RESPONSE);
    ASSERT(head->status >= 100 && head->status <= 599);
    put(&w, SLICE("HTTP/1.1 "));
    put_number(&w, head->status);
    put(&w, SLICE(" "));
    put(&w, head_reason(head));
    put(&w, SLICE("\r\n"));
    put_fields(&w, head);
    put_framing(&w, head);
    put_connection(&w, head->upgrade, options->close || head->body == BODY_UNTIL_CLOSE);
    put(&w, SLICE("\r\n"));
    return finish(&w, ret_len);
}

int http1_write_trailers(const struct head *head, char *buf, size_t cap, size_t *ret_len)
{
    struct writer w = {buf, cap, 0};
    put(&w, SLICE("0\r\n"));
    if (head != NULL) {
        ASSERT(head->kind == HEAD_TRAILERS);
        put_fields(&w, head);
    }
    put(&w, SLICE("\r\n"));
    return finish(&w, ret_len);
}

/* A reason phrase is HTAB, SP, VCHAR and obs-text: a quoted CR LF in it would be a field of the quoted peer's
 * choice. */
static struct slice clean_reason(const struct http1_answer *answer, char room[HTTP1_REASON_MAX])
{
    struct slice reason = slice_trim(answer->reason);
    if (reason.len == 0)
        reason = slice_of_text(http_status_phrase(answer->status));
    if (reason.len > HTTP1_REASON_MAX)
        reason.len = HTTP1_REASON_MAX;
    for (uint32_t i = 0; i < reason.len; i++)
        room[i] = http1_is_control(reason.data[i]) ? '?' : reason.data[i];
    return slice_of(room, reason.len);
}

size_t http1_write_error_bound(const struct http1_answer *answer)
{
    return FIXED_MAX + answer->fields.len + 2 * HTTP1_REASON_MAX;
}

int http1_write_error(const struct http1_answer *answer, char *buf, size_t cap, size_t *ret_len)
{
    struct writer w = {buf, cap, 0};
    char room[HTTP1_REASON_MAX];
    struct slice reason = clean_reason(answer, room);
    ASSERT(answer->status >= 200 && answer->status <= 599);
    put(&w, SLICE("HTTP/1.1 "));
    put_number(&w, answer->status);
    put(&w, SLICE(" "));
    put(&w, reason);
    put(&w, SLICE("\r\nContent-Type: text/plain; charset=utf-8\r\n"));
    put_length(&w, reason.len + 1);
    if (answer->retry_after_s > 0) {
        put(&w, SLICE("Retry-After: "));
        put_number(&w, answer->retry_after_s);
        put(&w, SLICE("\r\n"));
    }
    put(&w, answer->fields);
    put_connection(&w, false, answer->close);
    put(&w, SLICE("\r\n"));
    if (!answer->head_only) {
        put(&w, reason);
        put(&w, SLICE("\n"));
    }
    return finish(&w, ret_len);
}
