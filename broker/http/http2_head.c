/* broker/http/http2_head.c — field blocks judged, and written.
 *
 * One pass takes the records apart: pseudo-header fields into their places, ordinary ones into the view, each
 * checked on its own. A second step looks at the request as a whole. Order matters in one thing only: a
 * pseudo-header field may not follow an ordinary one, because somewhere an intermediary stops looking for
 * them.
 *
 * What it refuses to do: repair. Whoever sends a connection's fields, two lengths or a Host that disagrees
 * speaks for an HTTP/1 parser that shall misread it downstream.
 */
#include "broker/http/http2_head.h"

#include <stdio.h>

#include "broker/http/http1_fields.h"
#include "broker/http/http1_scan.h"

/* -- records ------------------------------------------------------------------------------------------------
 */

void http2_put_record(char *to, struct slice name, struct slice value)
{
    uint32_t lengths[2] = {name.len, value.len};
    _Static_assert(sizeof lengths == HTTP2_RECORD_HEAD, "a record begins with two lengths");
    memcpy(to, lengths, sizeof lengths);
    if (name.len > 0)
        memcpy(to + sizeof lengths, name.data, name.len);
    if (value.len > 0)
        memcpy(to + sizeof lengths + name.len, value.data, value.len);
}

bool http2_next_record(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
    uint32_t lengths[2];
    if (rest->len == 0)
        return false;
    ASSERT(rest->len >= sizeof lengths);
    memcpy(lengths, rest->data, sizeof lengths);
    *ret_name = slice_of(rest->data + sizeof lengths, lengths[0]);
    *ret_value = slice_of(ret_name->data + lengths[0], lengths[1]);
    ASSERT(http2_record_bytes(*ret_name, *ret_value) <= rest->len);
    *rest = slice_from(*rest, http2_record_bytes(*ret_name, *ret_value));
    return true;
}

/* -- fields, each on its own --------------------------------------------------------------------------------
 */

enum pseudo { PSEUDO_METHOD, PSEUDO_SCHEME, PSEUDO_AUTHORITY, PSEUDO_PATH, PSEUDO_STATUS, PSEUDO_COUNT };

static const struct {
    struct slice name;
    enum head_kind of;
} pseudos[PSEUDO_COUNT] = {
    [PSEUDO_METHOD] = {SLICE_INIT(":method"),    HEAD_REQUEST },
    [PSEUDO_SCHEME] = {SLICE_INIT(":scheme"),    HEAD_REQUEST },
    [PSEUDO_AUTHORITY] = {SLICE_INIT(":authority"), HEAD_REQUEST },
    [PSEUDO_PATH] = {SLICE_INIT(":path"),      HEAD_REQUEST },
    [PSEUDO_STATUS] = {SLICE_INIT(":status"),    HEAD_RESPONSE},
};

/* A block being taken apart; lives for one call. */
struct parts {
    struct head_view *view;
    struct slice pseudo[PSEUDO_COUNT]; /* data NULL: not there */
    bool own;                          /* to a service of the broker's own: the authority says nothing */
    const struct head_field_view *length, *host, *expect;
};

static enum http2_refusal check_value(struct slice value)
{
    const char *end = value.data + value.len;
    if (value.len > 0 && http1_find_control(value.data, end) != end)
        return HTTP2_VALUE_CONTROL;
    return slice_trim(value).len == value.len ? HTTP2_NONE : HTTP2_VALUE_SPACE;
}

static enum http2_refusal check_name(struct slice name)
{
    if (name.len == 0)
        return HTTP2_NAME_EMPTY;
    if (http1_token_length(name.data, name.data + name.len) != name.len)
        return HTTP2_NAME_CHAR;
    for (uint32_t i = 0; i < name.len; i++)
        if (name.data[i] >= 'A' && name.data[i] <= 'Z')
            return HTTP2_NAME_CAPITAL;
    return HTTP2_NONE;
}

static enum http2_refusal take_pseudo(struct parts *parts, struct slice name, struct slice value)
{
    if (parts->view->kind == HEAD_TRAILERS || parts->view->fields_n > 0)
        return HTTP2_PSEUDO_LATE;
    for (unsigned i = 0; i < PSEUDO_COUNT; i++) {
        if (pseudos[i].of != parts->view->kind || !slice_eq(name, pseudos[i].name))
            continue;
        if (parts->pseudo[i].data != NULL)
            return HTTP2_PSEUDO_REPEATED;
        parts->pseudo[i] = value;
        return HTTP2_NONE;
    }
    return HTTP2_PSEUDO_UNKNOWN;
}

static enum http2_refusal note_once(const struct head_field_view **known, const struct head_field_view *field,
                                    enum http2_refusal repeated)
{
    if (*known != NULL)
        return repeated;
    *known = field;
    return HTTP2_NONE;
}

/* What a field means for framing and connection. RFC 9113 sections 8.2.2 and 8.2.3. */
static enum http2_refusal note_field(struct parts *parts, const struct head_field_view *field)
{
    if (field->id == HTTP_FIELD_CONNECTION || field->id == HTTP_FIELD_KEEP_ALIVE ||
        field->id == HTTP_FIELD_PROXY_CONNECTION || field->id == HTTP_FIELD_TRANSFER_ENCODING ||
        field->id == HTTP_FIELD_UPGRADE)
        return HTTP2_CONNECTION_FIELD;
    if (parts->view->kind == HEAD_TRAILERS)
        return http_field_flags(field->id) & FIELD_NO_TRAILER ? HTTP2_TRAILER_FORBIDDEN : HTTP2_NONE;
    if (field->id == HTTP_FIELD_TE)
        return slice_eq_nocase(field->value, SLICE("trailers")) ? HTTP2_NONE : HTTP2_TE;
    if (field->id == HTTP_FIELD_CONTENT_LENGTH)
        return note_once(&parts->length, field, HTTP2_LENGTH_REPEATED);
    if (field->id == HTTP_FIELD_HOST)
        return note_once(&parts->host, field, HTTP2_HOST_REPEATED);
    if (field->id == HTTP_FIELD_EXPECT)
        return note_once(&parts->expect, field, HTTP2_EXPECTATION);
    return HTTP2_NONE;
}

static enum http2_refusal take_field(struct parts *parts, struct slice name, struct slice value)
{
    struct head_view *view = parts->view;
    enum http2_refusal refusal = check_value(value);
    if (refusal != HTTP2_NONE)
        return refusal;
    if (name.len > 0 && name.data[0] == ':')
        return take_pseudo(parts, name, value);
    refusal = check_name(name);
    if (refusal != HTTP2_NONE)
        return refusal;
    if (view->fields_n == HEAD_FIELDS_MAX)
        return HTTP2_TOO_MANY_FIELDS;
    struct head_field_view *field = &view->fields[view->fields_n++];
    *field = (struct head_field_view){name, value, http_field_of(name)};
    return field->id == HTTP_FIELD_OTHER ? HTTP2_NONE : note_field(parts, field);
}

static enum http2_refusal take_apart(struct parts *parts, enum head_kind kind, struct slice records)
{
    struct slice name, value;
    memset(parts->view, 0, offsetof(struct head_view, fields));
    parts->view->kind = kind;
    parts->view->minor = 1;
    while (http2_next_record(&records, &name, &value)) {
        enum http2_refusal refusal = take_field(parts, name, value);
        if (refusal != HTTP2_NONE)
            return refusal;
    }
    return HTTP2_NONE;
}

/* -- the request as a whole ---------------------------------------------------------------------------------
 */

static enum http2_refusal read_length(const struct parts *parts)
{
    struct head_view *view = parts->view;
    if (parts->length == NULL)
        return HTTP2_NONE;
    view->has_length = true;
    enum http1_refusal refusal = http1_parse_length(parts->length->value, &view->length);
    if (refusal == HTTP1_NONE)
        return HTTP2_NONE;
    return refusal == HTTP1_LENGTH_OVERFLOW ? HTTP2_LENGTH_OVERFLOW : HTTP2_LENGTH_SYNTAX;
}

/* RFC 9113 section 8.1.1: the length is a promise about the DATA frames. */
static enum http2_refusal frame_request(const struct parts *parts, bool ended)
{
    struct head_view *view = parts->view;
    enum http2_refusal refusal = read_length(parts);
    if (refusal != HTTP2_NONE)
        return refusal;
    if (view->method == HTTP_METHOD_CONNECT) {
        bool said = view->has_length;
        view->has_length = false;
        view->body = BODY_NONE;
        return said && view->length > 0 ? HTTP2_CONNECT_BODY : HTTP2_NONE;
    }
    if (ended && view->length > 0)
        return HTTP2_LENGTH_MISMATCH;
    if (view->has_length)
        view->body = BODY_LENGTH;
    else
        view->body = ended ? BODY_NONE : BODY_CHUNKED;
    return HTTP2_NONE;
}

static enum http2_refusal read_scheme(struct head_view *view, struct slice scheme)
{
    if (scheme.data == NULL)
        return HTTP2_SCHEME_MISSING;
    if (slice_eq_nocase(scheme, SLICE("http")))
        view->scheme = HTTP_SCHEME_HTTP;
    else if (slice_eq_nocase(scheme, SLICE("https")))
        view->scheme = HTTP_SCHEME_HTTPS;
    else
        return HTTP2_SCHEME;
    return HTTP2_NONE;
}

static enum http2_refusal read_path(const struct http1_limits *limits, struct head_view *view,
                                    struct slice path)
{
    const char *unused;
    if (path.data == NULL)
        return HTTP2_PATH_MISSING;
    if (path.len > limits->target_max)
        return HTTP2_PATH_TOO_LONG;
    enum http1_refusal refusal = http1_check_target(path, &unused);
    if (refusal != HTTP1_NONE)
        return refusal == HTTP1_TARGET_FRAGMENT ? HTTP2_PATH_FRAGMENT : HTTP2_PATH_CHAR;
    view->target = path;
    if (slice_eq(path, SLICE("*"))) { /* RFC 9112 section 3.2.4: of no path, absolute form makes it again */
        view->path = slice_first(path, 0);
        return view->method == HTTP_METHOD_OPTIONS ? HTTP2_NONE : HTTP2_PATH_ASTERISK;
    }
    view->path = path;
    return path.len > 0 && path.data[0] == '/' ? HTTP2_NONE : HTTP2_PATH_FORM;
}

/* RFC 9113 section 8.3.1: :authority takes the place of Host, which may stand alone or agree. */
static enum http2_refusal read_authority(const struct parts *parts)
{
    struct head_view *view = parts->view;
    struct slice text = parts->pseudo[PSEUDO_AUTHORITY];
    if (text.data != NULL) {
        enum authority_result result = authority_parse(text, &view->authority);
        if (result != AUTHORITY_OK)
            return result == AUTHORITY_USERINFO ? HTTP2_USERINFO : HTTP2_AUTHORITY_SYNTAX;
    }
    if (parts->host != NULL) {
        struct authority host;
        view->host = parts->host->value;
        if (authority_parse(view->host, &host) != AUTHORITY_OK)
            return HTTP2_HOST_SYNTAX;
        if (text.data == NULL)
            view->authority = host;
        else if (!authority_same(&view->authority, &host, http_scheme_port(view->scheme)))
            return HTTP2_HOST_CONFLICT;
    }
    if (view->authority.host.len == 0)
        return HTTP2_AUTHORITY_MISSING;
    if (!view->authority.has_port)
        view->authority.port = http_scheme_port(view->scheme);
    return HTTP2_NONE;
}

/* RFC 9113 section 8.5. Without SETTINGS_ENABLE_CONNECT_PROTOCOL there is no other CONNECT. */
static enum http2_refusal read_connect(const struct parts *parts)
{
    struct head_view *view = parts->view;
    if (parts->pseudo[PSEUDO_SCHEME].data != NULL || parts->pseudo[PSEUDO_PATH].data != NULL)
        return HTTP2_CONNECT_FORM;
    view->form = TARGET_AUTHORITY;
    view->target = parts->pseudo[PSEUDO_AUTHORITY];
    if (view->target.data == NULL)
        return HTTP2_AUTHORITY_MISSING;
    enum http2_refusal refusal = read_authority(parts);
    if (refusal == HTTP2_AUTHORITY_SYNTAX || (refusal == HTTP2_NONE && !view->authority.has_port))
        return HTTP2_CONNECT_TARGET;
    return refusal;
}

static enum http2_refusal read_target(const struct http1_limits *limits, const struct parts *parts)
{
    struct head_view *view = parts->view;
    view->method_text = parts->pseudo[PSEUDO_METHOD];
    if (view->method_text.data == NULL)
        return HTTP2_METHOD_MISSING;
    if (!head_name_is_valid(view->method_text))
        return HTTP2_METHOD_SYNTAX;
    view->method = http_method_of(view->method_text);
    if (view->method == HTTP_METHOD_CONNECT)
        return parts->own ? HTTP2_CONNECT_FORM : read_connect(parts);
    view->form = parts->own ? TARGET_ORIGIN : TARGET_ABSOLUTE;
    enum http2_refusal refusal = read_scheme(view, parts->pseudo[PSEUDO_SCHEME]);
    if (refusal == HTTP2_NONE)
        refusal = read_path(limits, view, parts->pseudo[PSEUDO_PATH]);
    return refusal == HTTP2_NONE && !parts->own ? read_authority(parts) : refusal;
}

static enum http2_refusal read_request(const struct http1_limits *limits, struct slice records, bool ended,
                                       bool own, struct head_view *ret_view)
{
    struct parts parts = {.view = ret_view, .own = own};
    enum http2_refusal refusal = take_apart(&parts, HEAD_REQUEST, records);
    if (refusal == HTTP2_NONE)
        refusal = read_target(limits, &parts);
    if (refusal == HTTP2_NONE)
        refusal = frame_request(&parts, ended);
    if (refusal != HTTP2_NONE)
        return refusal;
    ret_view->keep_alive = true;
    if (parts.expect != NULL) {
        if (!slice_eq_nocase(parts.expect->value, SLICE("100-continue")))
            return HTTP2_EXPECTATION;
        ret_view->expect_continue = true;
    }
    return HTTP2_NONE;
}

enum http2_refusal http2_read_request(const struct http1_limits *limits, struct slice records, bool ended,
                                      struct head_view *ret_view)
{
    return read_request(limits, records, ended, false, ret_view);
}

enum http2_refusal http2_read_own_request(const struct http1_limits *limits, struct slice records, bool ended,
                                          struct head_view *ret_view)
{
    return read_request(limits, records, ended, true, ret_view);
}

struct slice http2_find_pseudo(struct slice records, struct slice name)
{
    struct slice found, value;
    while (http2_next_record(&records, &found, &value) && found.len > 0 && found.data[0] == ':')
        if (slice_eq(found, name))
            return value;
    return slice_of(NULL, 0);
}

/* -- the response as a whole --------------------------------------------------------------------------------
 */

static enum http2_refusal read_status(const struct parts *parts)
{
    struct slice text = parts->pseudo[PSEUDO_STATUS];
    const char *p = text.data;
    if (p == NULL)
        return HTTP2_STATUS_MISSING;
    if (text.len != 3 || p[0] < '1' || p[0] > '5' || p[1] < '0' || p[1] > '9' || p[2] < '0' || p[2] > '9')
        return HTTP2_STATUS_SYNTAX;
    parts->view->status = (uint16_t)((p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0'));
    return parts->view->status == 101 ? HTTP2_STATUS_SWITCHING : HTTP2_NONE;
}

/* As RFC 9112 section 6.3 has it for HTTP/1, but that the stream says where a body ends: one that is empty is
 * said to be so, since HTTP/1 would wait for it. */
static enum http2_refusal frame_response(const struct parts *parts, enum http_method of_request, bool ended)
{
    struct head_view *view = parts->view;
    enum http2_refusal refusal = read_length(parts);
    if (refusal != HTTP2_NONE)
        return refusal;
    if (view->status < 200 && ended)
        return HTTP2_INTERIM_ENDED;
    if (view->status < 200 || view->status == 204) {
        view->has_length = false;
        view->length = 0;
        return HTTP2_NONE;
    }
    if (view->status == 304 || of_request == HTTP_METHOD_HEAD)
        return HTTP2_NONE;
    if (ended && view->length > 0)
        return HTTP2_LENGTH_MISMATCH;
    view->has_length = view->has_length || ended;
    view->body = view->has_length ? BODY_LENGTH : BODY_CHUNKED;
    return HTTP2_NONE;
}

enum http2_refusal http2_read_response(enum http_method of_request, struct slice records, bool ended,
                                       struct head_view *ret_view)
{
    struct parts parts = {.view = ret_view};
    enum http2_refusal refusal = take_apart(&parts, HEAD_RESPONSE, records);
    if (refusal == HTTP2_NONE)
        refusal = read_status(&parts);
    if (refusal == HTTP2_NONE)
        refusal = frame_response(&parts, of_request, ended);
    if (refusal != HTTP2_NONE)
        return refusal;
    ret_view->reason = slice_of_text(http_status_phrase(ret_view->status));
    ret_view->keep_alive = true;
    return HTTP2_NONE;
}

enum http2_refusal http2_read_trailers(struct slice records, bool ended, struct head_view *ret_view)
{
    struct parts parts = {.view = ret_view};
    if (!ended)
        return HTTP2_TRAILERS_OPEN;
    return take_apart(&parts, HEAD_TRAILERS, records);
}

/* -- writing ------------------------------------------------------------------------------------------------
 */

/* Secrets stay out of the compression table of either side: RFC 7541 section 7.1.3. */
static uint8_t nv_flags(enum http_field id)
{
    bool secret = id == HTTP_FIELD_AUTHORIZATION || id == HTTP_FIELD_COOKIE || id == HTTP_FIELD_SET_COOKIE ||
                  id == HTTP_FIELD_PROXY_AUTHORIZATION;
    return secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
}

void http2_add_field(struct http2_fields *fields, struct slice name, struct slice value)
{
    ASSERT(fields->n < ARRAY_SIZE(fields->nv));
    /* nghttp2 wants bytes it could write to, and does not. */
    fields->nv[fields->n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name.data, (uint8_t *)(uintptr_t)value.data,
                                           name.len, value.len, nv_flags(http_field_of(name))};
}

static struct slice number_text(uint64_t n, char *room, size_t size)
{
    size_t at = size;
    do {
        room[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    return slice_of(room + at, size - at);
}

static void add_fields(struct http2_fields *fields, const struct head *head)
{
    for (uint32_t i = 0; i < head->fields_n; i++)
        http2_add_field(fields, head_field_name_at(head, i), head_field_value_at(head, i));
}

static void add_length(const struct head *head, struct http2_fields *fields)
{
    if (head->body == BODY_LENGTH || (head->body == BODY_NONE && head->has_length))
        http2_add_field(fields, SLICE("content-length"),
                        number_text(head->length, fields->length, sizeof fields->length));
}

void http2_write_response(const struct head *head, struct http2_fields *ret_fields)
{
    ASSERT(head->kind == HEAD_RESPONSE);
    ASSERT(head->status >= 100 && head->status <= 599);
    ret_fields->n = 0;
    http2_add_field(ret_fields, SLICE(":status"), number_text(head->status, ret_fields->status, 3));
    add_fields(ret_fields, head);
    add_length(head, ret_fields);
}

static struct slice authority_text(const struct head *head, char *room, size_t size)
{
    struct slice host = head_host(head);
    char port[8] = "";
    bool is_ipv6 = head->host_kind == HOST_IPV6;
    if (head->has_port)
        snprintf(port, sizeof port, ":%u", head->port);
    int n = snprintf(room, size, "%s%.*s%s%s", is_ipv6 ? "[" : "", (int)host.len, host.data,
                     is_ipv6 ? "]" : "", port);
    ASSERT(n >= 0 && (size_t)n < size);
    return slice_of(room, (size_t)n);
}

void http2_write_request(const struct head *head, enum http_scheme scheme, struct http2_fields *ret_fields)
{
    ASSERT(head->kind == HEAD_REQUEST);
    ASSERT(head->method != HTTP_METHOD_CONNECT);
    ret_fields->n = 0;
    http2_add_field(ret_fields, SLICE(":method"), head_method_text(head));
    http2_add_field(ret_fields, SLICE(":scheme"), slice_of_text(http_scheme_name(scheme)));
    if (head->host.len > 0)
        http2_add_field(ret_fields, SLICE(":authority"),
                        authority_text(head, ret_fields->authority, sizeof ret_fields->authority));
    http2_add_field(ret_fields, SLICE(":path"), head_path(head));
    add_fields(ret_fields, head);
    add_length(head, ret_fields);
    if (head->expect_continue)
        http2_add_field(ret_fields, SLICE("expect"), SLICE("100-continue"));
    http2_add_field(ret_fields, SLICE("te"), SLICE("trailers")); /* they are read and passed on */
}

void http2_write_trailers(const struct head *head, struct http2_fields *ret_fields)
{
    ASSERT(head->kind == HEAD_TRAILERS);
    ret_fields->n = 0;
    add_fields(ret_fields, head);
}
