/* broker/http/http_name.c — resolving HTTP's names to numbers and back.
 *
 * A request has about ten fields and most of them are known, so http_field_of() sits on the path of every
 * message. It goes by length first: the rows of HTTP_FIELDS are ordered by length, by_length[] says where a
 * length begins, and at most a handful of rows share one. The first byte then decides nearly always. The unit
 * test resolves every row, so a row put in the wrong place is found at once.
 */
#include "broker/http/http_name.h"

static const struct slice methods[] = {
#define HTTP_METHOD_ROW(symbol) [HTTP_METHOD_##symbol] = SLICE_INIT(#symbol),
    HTTP_METHODS(HTTP_METHOD_ROW)
#undef HTTP_METHOD_ROW
};

/* Names and flags are the two columns of HTTP_FIELDS. */
static const struct slice field_names[] = {[HTTP_FIELD_OTHER] = SLICE_INIT(""),
#define HTTP_FIELD_ROW(symbol, text, flags) [HTTP_FIELD_##symbol] = SLICE_INIT(text),
                                           HTTP_FIELDS(HTTP_FIELD_ROW)
#undef HTTP_FIELD_ROW
};

static const uint8_t field_flags[] = {[HTTP_FIELD_OTHER] = FIELD_PLAIN,
#define HTTP_FIELD_ROW(symbol, text, flags) [HTTP_FIELD_##symbol] = (flags),
                                      HTTP_FIELDS(HTTP_FIELD_ROW)
#undef HTTP_FIELD_ROW
};

/* First row of each length; a length without rows has none. The rows of one length end where the length
 * changes. */
static const uint8_t by_length[] = {
    [2] = HTTP_FIELD_TE,
    [3] = HTTP_FIELD_AGE,
    [4] = HTTP_FIELD_DATE,
    [5] = HTTP_FIELD_ALLOW,
    [6] = HTTP_FIELD_ACCEPT,
    [7] = HTTP_FIELD_TRAILER,
    [8] = HTTP_FIELD_LOCATION,
    [10] = HTTP_FIELD_CONNECTION,
    [11] = HTTP_FIELD_RETRY_AFTER,
    [12] = HTTP_FIELD_CONTENT_TYPE,
    [13] = HTTP_FIELD_AUTHORIZATION,
    [14] = HTTP_FIELD_CONTENT_LENGTH,
    [15] = HTTP_FIELD_ACCEPT_ENCODING,
    [16] = HTTP_FIELD_CONTENT_ENCODING,
    [17] = HTTP_FIELD_TRANSFER_ENCODING,
    [18] = HTTP_FIELD_PROXY_AUTHENTICATE,
    [19] = HTTP_FIELD_PROXY_AUTHORIZATION,
    [25] = HTTP_FIELD_X_STREAM_PROTOCOL_VERSION,
};

enum http_method http_method_of(struct slice text)
{
    for (int m = 0; m < HTTP_METHOD_OTHER; m++)
        if (slice_eq(text, methods[m]))
            return (enum http_method)m;
    return HTTP_METHOD_OTHER;
}

const char *http_method_name(enum http_method method)
{
    ASSERT(method <= HTTP_METHOD_OTHER);
    return method == HTTP_METHOD_OTHER ? "OTHER" : methods[method].data;
}

bool http_method_is_idempotent(enum http_method method)
{
    switch (method) {
    case HTTP_METHOD_GET:
    case HTTP_METHOD_HEAD:
    case HTTP_METHOD_PUT:
    case HTTP_METHOD_DELETE:
    case HTTP_METHOD_OPTIONS:
    case HTTP_METHOD_TRACE: return true;
    case HTTP_METHOD_POST:
    case HTTP_METHOD_PATCH:
    case HTTP_METHOD_CONNECT:
    case HTTP_METHOD_OTHER: return false;
    }
    ASSERT(!"a method without a row");
    return false;
}

enum http_field http_field_of(struct slice name)
{
    if (name.len >= sizeof by_length || by_length[name.len] == HTTP_FIELD_OTHER)
        return HTTP_FIELD_OTHER;
    unsigned char first = slice_lower(name.data[0]);
    for (unsigned f = by_length[name.len]; f < HTTP_FIELD_COUNT && field_names[f].len == name.len; f++)
        if ((unsigned char)field_names[f].data[0] == first && slice_eq_nocase(name, field_names[f]))
            return (enum http_field)f;
    return HTTP_FIELD_OTHER;
}

const char *http_field_name(enum http_field field)
{
    ASSERT(field < HTTP_FIELD_COUNT);
    return field_names[field].data;
}

unsigned http_field_flags(enum http_field field)
{
    ASSERT(field < HTTP_FIELD_COUNT);
    return field_flags[field];
}

const char *http_scheme_name(enum http_scheme scheme)
{
    switch (scheme) {
    case HTTP_SCHEME_NONE: return "";
    case HTTP_SCHEME_HTTP: return "http";
    case HTTP_SCHEME_HTTPS: return "https";
    }
    ASSERT(!"a scheme without a row");
    return "";
}

uint16_t http_scheme_port(enum http_scheme scheme)
{
    switch (scheme) {
    case HTTP_SCHEME_NONE: return 0;
    case HTTP_SCHEME_HTTP: return 80;
    case HTTP_SCHEME_HTTPS: return 443;
    }
    ASSERT(!"a scheme without a row");
    return 0;
}

const char *http_status_phrase(unsigned status)
{
    switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "";
    }
}
