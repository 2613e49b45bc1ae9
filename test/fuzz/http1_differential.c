/* test/fuzz/http1_differential.c — our parser beside http_parser 2.9 (the one Node.js used for years).
 *
 * Request smuggling is two parsers that disagree about one message. So: whatever we accept, the other parser
 * must accept too, and find the same message in it. The other way round is not asked; it takes bare LF,
 * repeated equal lengths, spaces in places, and other things that we refuse.
 *
 * Known, deliberate differences, each named where it is allowed below:
 *   1. Methods: http_parser knows a fixed list, we pass any token on (HTTP_METHOD_OTHER). Not compared.
 *   2. Heads beyond its compiled-in 80 KiB. Not compared.
 *   3. Upgrades: it reports one in HTTP/1.0 too, we do not (RFC 9110 section 7.8). Ours implies theirs.
 *   4. Persistence: in HTTP/1.0 "keep-alive, close" is persistent for it, closed for us. Ours implies theirs.
 *   5. Responses to CONNECT: it is told of the tunnel by its callback; framing fields then mean nothing to
 * either.
 *   6. 1xx, 204 and 304: it waits for the body that a Content-Length announces, against RFC 9112 section 6.3,
 * unless its owner knows better. Here the owner does, by the status, as for HEAD.
 *   7. Targets: for CONNECT and absolute-form it only splits, we check hosts and ports. Same bytes either
 * way.
 *   8. A name that only begins with Transfer-Encoding ("Transfer-EncodingX") already counts as one for it, so
 * that it refuses good messages. That is a defect of 2.9.4; found by fuzzing. Not compared.
 */
#include <stdio.h>
#include <stdlib.h>

#include "broker/http/http1_chunk.h"
#include "test/fuzz/http1_properties.h"
#include "test/fuzz/their_http1.h"

enum { THEIR_HEAD_MAX = 80 * 1024 };

static void assert_accepted(const struct their_message *theirs)
{
    if (theirs->error != NULL)
        fprintf(stderr, "http_parser refuses what we accept: %s\n", theirs->error);
    ASSERT(theirs->error == NULL);
    ASSERT(theirs->head_complete);
}

static void compare_framing(const struct head_view *view, const struct their_message *theirs)
{
    switch (view->body) {
    case BODY_NONE: return; /* by rule, or for want of framing: the callers look at what it came to */
    case BODY_LENGTH:
        ASSERT(!theirs->chunked);
        ASSERT(view->length == 0 ||
               theirs->length == view->length); /* it counts down, and 0 ends the message */
        return;
    case BODY_CHUNKED: ASSERT(theirs->chunked); return;
    case BODY_UNTIL_CLOSE: ASSERT(theirs->until_close); return;
    }
    ASSERT(!"a body without a kind");
}

/* Difference 8. */
static bool trips_their_name_matching(const struct head_view *view)
{
    static const struct slice coding = SLICE_INIT("transfer-encoding");
    for (uint32_t i = 0; i < view->fields_n; i++)
        if (view->fields[i].name.len > coding.len && slice_starts_nocase(view->fields[i].name, coding))
            return true;
    return false;
}

bool http1_compare_request(const char *data, size_t len)
{
    const struct http1_limits limits = HTTP1_REQUEST_LIMITS;
    static struct head_view view;
    struct http1_scan scan = {0};
    struct http1_error error;
    struct their_message theirs;
    ssize_t head_len = http1_parse_request(&limits, slice_of(data, len), &scan, &view, &error);
    if (head_len <= 0)
        return false;
    if (view.method == HTTP_METHOD_OTHER || trips_their_name_matching(&view))
        return true; /* differences 1 and 8 */
    their_message_parse(true, THEIR_BODY_FOLLOWS, data, (size_t)head_len, &theirs);
    assert_accepted(&theirs);
    ASSERT(slice_eq(view.method_text, slice_of_text(theirs.method)));
    ASSERT(slice_eq(view.target, slice_of(theirs.url, theirs.url_len)));
    ASSERT(theirs.major == 1 && theirs.minor == view.minor);
    ASSERT(theirs.fields_n == view.fields_n);
    ASSERT(!view.upgrade || theirs.upgrade);       /* difference 3 */
    ASSERT(!view.keep_alive || theirs.keep_alive); /* difference 4 */
    compare_framing(&view, &theirs);
    bool has_body = view.body == BODY_CHUNKED || (view.body == BODY_LENGTH && view.length > 0);
    ASSERT(theirs.message_complete == !has_body || theirs.upgrade);
    their_message_fini(&theirs);
    return true;
}

bool http1_compare_response(const char *data, size_t len, enum http_method of_request)
{
    const struct http1_limits limits = HTTP1_RESPONSE_LIMITS;
    static struct head_view view;
    struct http1_scan scan = {0};
    struct http1_error error;
    struct their_message theirs;
    ssize_t head_len = http1_parse_response(&limits, of_request, slice_of(data, len), &scan, &view, &error);
    if (head_len <= 0)
        return false;
    if (head_len > THEIR_HEAD_MAX || trips_their_name_matching(&view))
        return true; /* differences 2 and 8 */
    bool opens_tunnel = of_request == HTTP_METHOD_CONNECT && view.tunnel;
    enum their_body body = opens_tunnel ? THEIR_TUNNEL : THEIR_BODY_FOLLOWS;
    if (!opens_tunnel && view.body == BODY_NONE) {
        bool by_status = view.status < 200 || view.status == 204 || view.status == 304;
        ASSERT(by_status || of_request == HTTP_METHOD_HEAD);
        body = THEIR_BODY_NONE; /* difference 6 */
    }
    their_message_parse(false, body, data, (size_t)head_len, &theirs);
    assert_accepted(&theirs);
    ASSERT(theirs.status == view.status);
    ASSERT(theirs.major == 1 && theirs.minor == view.minor);
    ASSERT(theirs.fields_n == view.fields_n);
    if (!view.tunnel) { /* difference 5 */
        ASSERT(!view.keep_alive || theirs.keep_alive);
        compare_framing(&view, &theirs);
        bool has_body = view.body != BODY_NONE && !(view.body == BODY_LENGTH && view.length == 0);
        ASSERT(theirs.message_complete == !has_body);
    }
    their_message_fini(&theirs);
    return true;
}

/* Decodes a body into payload, which has room for len bytes. Returns the bytes used with the trailers, 0 if
 * refused or short. */
static size_t decode(const char *data, size_t len, char *payload, size_t *ret_payload_len)
{
    const struct http1_limits limits = HTTP1_TRAILER_LIMITS;
    static struct head_view view;
    struct http1_chunk chunk = {0};
    struct http1_scan scan = {0};
    struct http1_error error;
    enum http1_chunk_result result = HTTP1_CHUNK_MORE;
    size_t at = 0, payload_len = 0;
    while (at < len && result != HTTP1_CHUNK_ENDED && result != HTTP1_CHUNK_REFUSED) {
        struct slice piece = {NULL, 0};
        size_t used;
        result = http1_chunk_feed(&chunk, data + at, len - at, &used, &piece);
        if (piece.len > 0)
            memcpy(payload + payload_len, piece.data, piece.len);
        payload_len += piece.len;
        at += used;
    }
    if (result != HTTP1_CHUNK_ENDED)
        return 0;
    ssize_t trailers = http1_parse_trailers(&limits, slice_of(data + at, len - at), &scan, &view, &error);
    *ret_payload_len = payload_len;
    if (trailers > 0 && trips_their_name_matching(&view))
        return 0; /* difference 8 */
    return trailers > 0 ? at + (size_t)trailers : 0;
}

bool http1_compare_chunks(const char *data, size_t len)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    enum { HEAD_LEN = sizeof head - 1 };
    struct their_message theirs;
    size_t payload_len = 0;
    char *message = malloc(HEAD_LEN + len), *payload = malloc(len + 1);
    ASSERT(message != NULL);
    ASSERT(payload != NULL);
    memcpy(message, head, HEAD_LEN);
    if (len > 0)
        memcpy(message + HEAD_LEN, data, len);
    size_t used = decode(data, len, payload, &payload_len);
    if (used > 0) {
        their_message_parse(false, THEIR_BODY_FOLLOWS, message, HEAD_LEN + len, &theirs);
        assert_accepted(&theirs);
        ASSERT(theirs.message_complete);
        ASSERT(slice_eq(slice_of(theirs.body, theirs.body_len), slice_of(payload, payload_len)));
        ASSERT(theirs.used == HEAD_LEN + used ||
               theirs.used + 1 == HEAD_LEN + used); /* it pauses on the last byte */
        their_message_fini(&theirs);
    }
    free(message);
    free(payload);
    return used > 0;
}
