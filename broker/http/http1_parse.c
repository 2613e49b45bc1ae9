/* broker/http/http1_parse.c — finding a head in a byte stream, and its first line.
 *
 * Two passes. The first, find_end(), walks every byte once as it arrives: it accepts what a head may contain
 * at all (text, and CR only together with LF), stops at the first byte that cannot belong, and finds the
 * empty line. As soon as the start line is complete it is judged, so that a TLS ClientHello, an HTTP/2
 * preface or an HTTP/0.9 request is answered at once and not when a timer fires. The second pass runs when
 * the head is complete and splits it into fields.
 *
 * Why the answer cannot depend on how the input was cut: what the first pass refuses is decided by the
 * position of the first bad byte, the start line is judged at the position of its CR LF, and the second pass
 * sees complete heads only.
 *
 * What it refuses to do: repair. RFC 9112 allows a recipient to accept bare LF, to fold lines, to merge equal
 * Content-Lengths; each of these is how two parsers come to disagree about where a request ends.
 */
#include "broker/http/http1_parse.h"

#include "broker/http/http1_fields.h"
#include "broker/http/http1_scan.h"

enum { VERSION_LEN = 8 }; /* "HTTP/1.1" */

/* One message being looked at; lives for one call. */
struct parse {
    const struct http1_limits *limits;
    enum head_kind kind;
    const char *data, *end; /* end: of what is there, or of what is allowed, whichever comes first */
    struct http1_scan *scan;
    struct head_view *view;
    bool line_is_parsed; /* in this call, so the view holds it */
    const char *at;      /* where the offending byte is */
};

static void clear_view(struct head_view *view, enum head_kind kind)
{
    memset(view, 0, offsetof(struct head_view, fields));
    view->kind = kind;
}

/* 8 bytes of "HTTP/x.y": known and spoken, known by shape only, or none. */
static enum http1_refusal parse_version(const char *p, uint8_t *ret_minor)
{
    if (memcmp(p, "HTTP/", 5) != 0 || p[5] < '0' || p[5] > '9' || p[6] != '.' || p[7] < '0' || p[7] > '9')
        return HTTP1_VERSION_SYNTAX;
    if (p[5] != '1' || p[7] > '1')
        return HTTP1_VERSION;
    *ret_minor = (uint8_t)(p[7] - '0');
    return HTTP1_NONE;
}

/* RFC 9112 section 3: method SP request-target SP HTTP-version, [p, end) without CR LF. */
static enum http1_refusal parse_request_line(struct parse *x, const char *p, const char *end)
{
    struct head_view *view = x->view;
    x->at = p;
    view->method_text = slice_of(p, http1_token_length(p, end));
    p += view->method_text.len;
    if (view->method_text.len == 0 || (p < end && *p != ' ')) {
        x->at = p;
        return HTTP1_METHOD;
    }
    view->method = http_method_of(view->method_text);
    if (p == end || ++p == end || *p == ' ') {
        x->at = p;
        return HTTP1_TARGET_MISSING;
    }
    const char *space = memchr(p, ' ', (size_t)(end - p));
    view->target = slice_of(p, (size_t)((space != NULL ? space : end) - p));
    if (view->target.len > x->limits->target_max)
        return HTTP1_TARGET_TOO_LONG;
    x->at = space;
    if (space == NULL) {
        x->at = end;
        return HTTP1_VERSION_MISSING;
    }
    if (end - (space + 1) != VERSION_LEN)
        return HTTP1_VERSION_SYNTAX;
    enum http1_refusal refusal = parse_version(space + 1, &view->minor);
    if (refusal != HTTP1_NONE)
        return refusal;
    return http1_parse_target(view, &x->at);
}

/* RFC 9112 section 4: HTTP-version SP status-code SP [reason-phrase], [p, end) without CR LF. */
static enum http1_refusal parse_status_line(struct parse *x, const char *p, const char *end)
{
    struct head_view *view = x->view;
    x->at = p;
    if (end - p <= VERSION_LEN || p[VERSION_LEN] != ' ' || parse_version(p, &view->minor) != HTTP1_NONE)
        return HTTP1_STATUS_VERSION;
    p += VERSION_LEN + 1;
    x->at = p;
    if (end - p < 3 || p[0] < '1' || p[0] > '5' || p[1] < '0' || p[1] > '9' || p[2] < '0' || p[2] > '9')
        return HTTP1_STATUS_CODE;
    view->status = (uint16_t)((p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0'));
    p += 3;
    if (p < end && *p != ' ')
        return HTTP1_STATUS_CODE;
    view->reason = p < end ? slice_of(p + 1, (size_t)(end - p - 1)) : slice_of(p, 0);
    return HTTP1_NONE;
}

/* The one empty line that RFC 9112 section 2.2 wants tolerated before a request line. */
static uint32_t line_start(const struct parse *x)
{
    bool empty_line = x->end - x->data >= 2 && x->data[0] == '\r' && x->data[1] == '\n';
    return x->kind == HEAD_REQUEST && empty_line ? 2 : 0;
}

static enum http1_refusal parse_start_line(struct parse *x, const char *line_end)
{
    clear_view(x->view, x->kind);
    const char *start = x->data + line_start(x);
    x->line_is_parsed = true;
    switch (x->kind) {
    case HEAD_REQUEST: return parse_request_line(x, start, line_end);
    case HEAD_RESPONSE: return parse_status_line(x, start, line_end);
    case HEAD_TRAILERS: return HTTP1_NONE;
    }
    ASSERT(!"a head without a kind");
    return HTTP1_NONE;
}

static enum http1_refusal too_large(const struct parse *x)
{
    if (x->kind == HEAD_TRAILERS)
        return HTTP1_TRAILERS_TOO_LARGE;
    return x->kind == HEAD_REQUEST && x->scan->line_end == 0 ? HTTP1_TARGET_TOO_LONG : HTTP1_HEAD_TOO_LARGE;
}

/* At CR LF: an empty line ends the head, the first other one is the start line. */
static enum http1_refusal end_of_line(struct parse *x, const char *cr, bool *ret_complete)
{
    bool empty = cr == x->data || cr[-1] == '\n';
    uint32_t start = line_start(x);
    if (x->kind == HEAD_TRAILERS) {
        *ret_complete = empty;
        return HTTP1_NONE;
    }
    if (x->scan->line_end != 0) {
        *ret_complete = empty;
        return HTTP1_NONE;
    }
    if (start != 0 && cr == x->data)
        return HTTP1_NONE;
    if (x->kind == HEAD_REQUEST && empty) {
        x->at = cr;
        return HTTP1_EMPTY_LINES;
    }
    x->scan->line_end = (uint32_t)(cr + 2 - x->data);
    return parse_start_line(x, cr);
}

/* The first pass. Sets *ret_complete when the empty line has been found; scan->pos is then after it. */
static enum http1_refusal find_end(struct parse *x, bool is_at_limit, bool *ret_complete)
{
    const char *p = x->data + x->scan->pos;
    *ret_complete = false;
    while (!*ret_complete) {
        p = http1_find_control(p, x->end);
        x->scan->pos = (uint32_t)(p - x->data);
        x->at = p;
        if (p == x->end || (*p == '\r' && p + 1 == x->end))
            return is_at_limit ? too_large(x) : HTTP1_NONE;
        if (*p == '\n')
            return HTTP1_BARE_LF;
        if (*p != '\r')
            return HTTP1_CONTROL;
        if (p[1] != '\n')
            return HTTP1_BARE_CR;
        enum http1_refusal refusal = end_of_line(x, p, ret_complete);
        if (refusal != HTTP1_NONE)
            return refusal;
        p += 2;
    }
    x->scan->pos = (uint32_t)(p - x->data);
    return HTTP1_NONE;
}

/* The second pass, over a complete head. */
static enum http1_refusal parse_complete(struct parse *x, enum http_method of_request)
{
    const char *fields = x->data + x->scan->line_end;
    struct http1_framing framing = {0};
    if (!x->line_is_parsed) {
        enum http1_refusal again = parse_start_line(x, fields - (x->kind == HEAD_TRAILERS ? 0 : 2));
        ASSERT(again == HTTP1_NONE); /* it was judged good when it arrived */
    }
    x->at = x->data + x->scan->pos - 2; /* what is missing is missed at the empty line */
    uint32_t fields_max = x->limits->fields_max < HEAD_FIELDS_MAX ? x->limits->fields_max : HEAD_FIELDS_MAX;
    enum http1_refusal refusal = http1_parse_fields(fields, x->data + x->scan->pos - 2, fields_max, x->view,
                                                    &framing, &x->at);
    if (refusal != HTTP1_NONE)
        return refusal;
    switch (x->kind) {
    case HEAD_REQUEST: return http1_frame_request(x->view, &framing, &x->at);
    case HEAD_RESPONSE: return http1_frame_response(x->view, of_request, &framing, &x->at);
    case HEAD_TRAILERS: return HTTP1_NONE;
    }
    ASSERT(!"a head without a kind");
    return HTTP1_NONE;
}

static ssize_t parse_head(struct parse *x, struct slice data, enum http_method of_request,
                          struct http1_error *ret_err)
{
    bool is_at_limit = data.len >= x->limits->head_bytes_max, complete;
    ASSERT(x->scan->pos <= data.len);
    x->data = data.data;
    x->end = data.data + (is_at_limit ? x->limits->head_bytes_max : data.len);
    enum http1_refusal refusal = find_end(x, is_at_limit, &complete);
    if (refusal == HTTP1_NONE && complete)
        refusal = parse_complete(x, of_request);
    if (refusal == HTTP1_NONE)
        return complete ? (ssize_t)x->scan->pos : 0;
    *ret_err = (struct http1_error){
        .refusal = refusal,
        .status = x->kind == HEAD_RESPONSE ? 502 : http1_refusal_status(refusal),
        .at = (uint32_t)(x->at - x->data),
        .text = http1_refusal_text(refusal),
    };
    return -(ssize_t)refusal;
}

ssize_t http1_parse_request(const struct http1_limits *limits, struct slice data, struct http1_scan *scan,
                            struct head_view *ret_view, struct http1_error *ret_err)
{
    struct parse x = {.limits = limits, .kind = HEAD_REQUEST, .scan = scan, .view = ret_view};
    return parse_head(&x, data, HTTP_METHOD_OTHER, ret_err);
}

ssize_t http1_parse_response(const struct http1_limits *limits, enum http_method of_request,
                             struct slice data, struct http1_scan *scan, struct head_view *ret_view,
                             struct http1_error *ret_err)
{
    struct parse x = {.limits = limits, .kind = HEAD_RESPONSE, .scan = scan, .view = ret_view};
    return parse_head(&x, data, of_request, ret_err);
}

ssize_t http1_parse_trailers(const struct http1_limits *limits, struct slice data, struct http1_scan *scan,
                             struct head_view *ret_view, struct http1_error *ret_err)
{
    struct parse x = {.limits = limits, .kind = HEAD_TRAILERS, .scan = scan, .view = ret_view};
    return parse_head(&x, data, HTTP_METHOD_OTHER, ret_err);
}
