/* broker/http/http1_fields.c — field lines, and what they say about the message and its connection.
 *
 * Lines are split first and judged afterwards, so that "both Content-Length and Transfer-Encoding" does not
 * depend on which came first. Fields that may stand once are remembered by pointer as they pass; a second one
 * is refused on the spot, whether or not it agrees with the first: whoever sends two Content-Lengths is
 * broken or hostile, and somewhere a parser takes the other one.
 *
 * Requests and responses share all rules but the ends: a request without framing has no body, a response
 * without framing lasts until the connection closes (RFC 9112 section 6.3).
 */
#include "broker/http/http1_fields.h"

#include "broker/http/http1_scan.h"

const uint8_t http1_token_chars[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1,         ['&'] = 1,         ['\''] = 1,
    ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,         ['^'] = 1,         ['_'] = 1,
    ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

/* What is wrong with the byte that ended a field name and is not a colon. */
static enum http1_refusal bad_name(const char *line, const char *at)
{
    if (slice_is_ows(*at))
        return at == line ? HTTP1_FIELD_FOLDED : HTTP1_FIELD_NAME_SPACE;
    if (*at == '\r')
        return HTTP1_FIELD_NO_COLON;
    return HTTP1_FIELD_NAME_CHAR;
}

/* field-name ":" OWS field-value OWS, RFC 9112 section 5. Moves *p past the line. */
static enum http1_refusal parse_line(const char **p, const char *end, struct head_field_view *field,
                                     const char **ret_at)
{
    const char *line = *p;
    uint32_t name_len = http1_token_length(line, end);
    const char *colon = line +
                        name_len; /* before end: the line ends in CR LF, and CR is no token character */
    *ret_at = colon;
    if (*colon != ':')
        return bad_name(line, colon);
    if (name_len == 0)
        return HTTP1_FIELD_NAME_EMPTY;
    const char *cr = memchr(colon, '\r', (size_t)(end - colon));
    ASSERT(cr != NULL);
    field->name = slice_of(line, name_len);
    field->value = slice_trim(slice_of(colon + 1, (size_t)(cr - colon - 1)));
    field->id = http_field_of(field->name);
    *p = cr + 2;
    return HTTP1_NONE;
}

/* Connection = #connection-option, RFC 9110 section 7.6.1. Empty elements are allowed in lists. */
static enum http1_refusal note_connection(struct head_view *view, struct slice value,
                                          struct http1_framing *framing)
{
    struct slice option;
    while (slice_next_element(&value, &option)) {
        if (option.len == 0)
            continue;
        if (http1_token_length(option.data, option.data + option.len) != option.len)
            return HTTP1_CONNECTION_SYNTAX;
        if (slice_eq_nocase(option, SLICE("close")))
            framing->option_close = true;
        else if (slice_eq_nocase(option, SLICE("keep-alive")))
            framing->option_keep_alive = true;
        else if (slice_eq_nocase(option, SLICE("upgrade")))
            framing->option_upgrade = true;
        else
            view->connection_named |= 1ull << http_field_of(option);
    }
    return HTTP1_NONE;
}

static enum http1_refusal note_once(const struct head_field_view **known, const struct head_field_view *field,
                                    enum http1_refusal repeated)
{
    if (*known != NULL)
        return repeated;
    *known = field;
    return HTTP1_NONE;
}

static enum http1_refusal note_field(struct head_view *view, const struct head_field_view *field,
                                     struct http1_framing *framing)
{
    if (view->kind == HEAD_TRAILERS)
        return http_field_flags(field->id) & FIELD_NO_TRAILER ? HTTP1_TRAILER_FORBIDDEN : HTTP1_NONE;
    if (field->id == HTTP_FIELD_CONTENT_LENGTH)
        return note_once(&framing->length, field, HTTP1_LENGTH_REPEATED);
    if (field->id == HTTP_FIELD_TRANSFER_ENCODING)
        return note_once(&framing->coding, field, HTTP1_CODING_REPEATED);
    if (field->id == HTTP_FIELD_CONNECTION)
        return note_connection(view, field->value, framing);
    if (field->id == HTTP_FIELD_UPGRADE)
        framing->upgrade = field;
    if (view->kind == HEAD_REQUEST && field->id == HTTP_FIELD_HOST)
        return note_once(&framing->host, field, HTTP1_HOST_REPEATED);
    if (view->kind == HEAD_REQUEST && field->id == HTTP_FIELD_EXPECT)
        return note_once(&framing->expect, field, HTTP1_EXPECTATION);
    return HTTP1_NONE;
}

enum http1_refusal http1_parse_fields(const char *p, const char *end, uint32_t fields_max,
                                      struct head_view *view, struct http1_framing *framing,
                                      const char **ret_at)
{
    while (p < end) {
        *ret_at = p;
        if (view->fields_n == fields_max)
            return HTTP1_TOO_MANY_FIELDS;
        struct head_field_view *field = &view->fields[view->fields_n];
        enum http1_refusal refusal = parse_line(&p, end, field, ret_at);
        if (refusal != HTTP1_NONE)
            return refusal;
        view->fields_n++;
        if (field->id == HTTP_FIELD_OTHER)
            continue;
        *ret_at = field->name.data;
        refusal = note_field(view, field, framing);
        if (refusal != HTTP1_NONE)
            return refusal;
    }
    *ret_at = end;
    return HTTP1_NONE;
}

/* No sign, no list, no space. */
enum http1_refusal http1_parse_length(struct slice text, uint64_t *ret_length)
{
    uint64_t length = 0;
    if (text.len == 0)
        return HTTP1_LENGTH_SYNTAX;
    for (uint32_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
        if (digit > 9)
            return HTTP1_LENGTH_SYNTAX;
        if (length > ((uint64_t)INT64_MAX - digit) / 10)
            return HTTP1_LENGTH_OVERFLOW;
        length = length * 10 + digit;
    }
    *ret_length = length;
    return HTTP1_NONE;
}

/* Transfer-Encoding = #transfer-coding; only "chunked", alone, is spoken. RFC 9112 sections 6.1 and 7. */
static enum http1_refusal parse_coding(struct slice value)
{
    struct slice coding;
    unsigned chunked = 0, others = 0, after_chunked = 0;
    while (slice_next_element(&value, &coding)) {
        uint32_t name_len = http1_token_length(coding.data, coding.data + coding.len);
        if (name_len == 0)
            return HTTP1_CODING_SYNTAX;
        bool is_chunked = slice_eq_nocase(slice_first(coding, name_len), SLICE("chunked"));
        struct slice parameters = slice_trim(slice_from(coding, name_len));
        if (parameters.len > 0 && (is_chunked || parameters.data[0] != ';'))
            return HTTP1_CODING_SYNTAX;
        after_chunked += chunked > 0;
        chunked += is_chunked;
        others += !is_chunked;
    }
    if (after_chunked > 0)
        return HTTP1_CODING_ORDER;
    return others > 0 ? HTTP1_CODING_UNKNOWN : HTTP1_NONE;
}

static enum http1_refusal frame_body(struct head_view *view, const struct http1_framing *framing,
                                     const char **ret_at)
{
    if (framing->coding != NULL) {
        *ret_at = framing->coding->name.data;
        if (framing->length != NULL)
            return HTTP1_LENGTH_AND_CODING;
        if (view->minor == 0)
            return HTTP1_CODING_IN_1_0;
        view->body = BODY_CHUNKED;
        return parse_coding(framing->coding->value);
    }
    if (framing->length != NULL) {
        *ret_at = framing->length->name.data;
        view->body = BODY_LENGTH;
        view->has_length = true;
        return http1_parse_length(framing->length->value, &view->length);
    }
    view->body = view->kind == HEAD_REQUEST ? BODY_NONE : BODY_UNTIL_CLOSE;
    return HTTP1_NONE;
}

/* RFC 9112 section 9.3; upgrades do not exist in HTTP/1.0 (RFC 9110 section 7.8). */
static void connection_facts(struct head_view *view, const struct http1_framing *framing)
{
    view->close = framing->option_close;
    view->keep_alive = !view->close && (view->minor == 1 || framing->option_keep_alive);
    view->upgrade = view->minor == 1 && framing->option_upgrade && framing->upgrade != NULL;
}

/* RFC 9112 section 3.2. The target's authority is the message's where it has one; Host must not say
 * otherwise. */
static enum http1_refusal check_host(struct head_view *view, const struct http1_framing *framing,
                                     const char **ret_at)
{
    struct authority host = {0};
    if (framing->host == NULL)
        return view->minor == 1 ? HTTP1_HOST_MISSING : HTTP1_NONE;
    *ret_at = framing->host->name.data;
    view->host = framing->host->value;
    if (view->form == TARGET_AUTHORITY && slice_eq(view->host, view->target))
        return HTTP1_NONE;
    if (authority_parse(view->host, &host) != AUTHORITY_OK)
        return HTTP1_HOST_SYNTAX;
    switch (view->form) {
    case TARGET_ORIGIN:
    case TARGET_ASTERISK: view->authority = host; return HTTP1_NONE;
    case TARGET_AUTHORITY: return HTTP1_NONE;
    case TARGET_ABSOLUTE:
        return authority_same(&view->authority, &host, http_scheme_port(view->scheme)) ? HTTP1_NONE
                                                                                       : HTTP1_HOST_CONFLICT;
    }
    ASSERT(!"a target without a form");
    return HTTP1_NONE;
}

enum http1_refusal http1_frame_request(struct head_view *view, const struct http1_framing *framing,
                                       const char **ret_at)
{
    enum http1_refusal refusal = frame_body(view, framing, ret_at);
    if (refusal != HTTP1_NONE)
        return refusal;
    if (view->method == HTTP_METHOD_CONNECT) {
        if (view->body == BODY_CHUNKED || view->length > 0)
            return HTTP1_CONNECT_BODY;
        view->body = BODY_NONE;
        view->has_length = false;
    }
    refusal = check_host(view, framing, ret_at);
    if (refusal != HTTP1_NONE)
        return refusal;
    connection_facts(view, framing);
    if (framing->expect != NULL && view->minor == 1) {
        *ret_at = framing->expect->name.data;
        if (!slice_eq_nocase(framing->expect->value, SLICE("100-continue")))
            return HTTP1_EXPECTATION;
        view->expect_continue = true;
    }
    return HTTP1_NONE;
}

enum http1_refusal http1_frame_response(struct head_view *view, enum http_method of_request,
                                        const struct http1_framing *framing, const char **ret_at)
{
    enum http1_refusal refusal = frame_body(view, framing, ret_at);
    if (refusal != HTTP1_NONE)
        return refusal;
    bool opens_tunnel = of_request == HTTP_METHOD_CONNECT && view->status / 100 == 2;
    bool is_bare = view->status < 200 || view->status == 204 || opens_tunnel;
    view->tunnel = opens_tunnel || view->status == 101;
    if (is_bare || view->status == 304 || of_request == HTTP_METHOD_HEAD)
        view->body = BODY_NONE;
    if (is_bare) { /* a length means nothing here and is not passed on: RFC 9110 sections 8.6 and 9.3.6 */
        view->has_length = false;
        view->length = 0;
    }
    connection_facts(view, framing);
    view->keep_alive = view->keep_alive && view->body != BODY_UNTIL_CLOSE;
    return HTTP1_NONE;
}
