/* broker/http/http_name.h — the names HTTP gives to methods, fields, schemes and statuses, as small numbers.
 * A name is resolved once, where a message is parsed; everything after that compares numbers. What a field
 * name means for a proxy (hop-by-hop, forbidden in trailers) stands in the same row as the name. Pure; any
 * thread.
 */
#pragma once

#include "broker/http/slice.h"

/* RFC 9110 section 9.3 and RFC 5789. Methods are case-sensitive: "get" is HTTP_METHOD_OTHER. */
#define HTTP_METHODS(X)                                                                                      \
    X(GET)                                                                                                   \
    X(HEAD)                                                                                                  \
    X(POST)                                                                                                  \
    X(PUT)                                                                                                   \
    X(DELETE)                                                                                                \
    X(CONNECT)                                                                                               \
    X(OPTIONS)                                                                                               \
    X(TRACE)                                                                                                 \
    X(PATCH)

enum http_method {
#define HTTP_METHOD_SYMBOL(symbol) HTTP_METHOD_##symbol,
    HTTP_METHODS(HTTP_METHOD_SYMBOL)
#undef HTTP_METHOD_SYMBOL
        HTTP_METHOD_OTHER,
};

enum http_scheme { HTTP_SCHEME_NONE, HTTP_SCHEME_HTTP, HTTP_SCHEME_HTTPS };

/* What a row of HTTP_FIELDS says about its field. */
enum {
    FIELD_PLAIN = 0,
    FIELD_HOP = 1,     /* means something to this connection only: never forwarded (RFC 9110 section 7.6.1) */
    FIELD_CARRIED = 2, /* not forwarded as a field: struct head has its own place for it */
    FIELD_NO_TRAILER =
        4, /* refused in a trailer section: framing, routing, authentication (RFC 9110, 6.5.1) */
};

/* Ordered by length of name, because http_field_of() looks only among names of the right length. */
#define HTTP_FIELDS(X)                                                                                       \
    X(TE, "te", FIELD_HOP | FIELD_NO_TRAILER)                                                                \
    X(AGE, "age", FIELD_PLAIN)                                                                               \
    X(VIA, "via", FIELD_PLAIN)                                                                               \
    X(DATE, "date", FIELD_PLAIN)                                                                             \
    X(ETAG, "etag", FIELD_PLAIN)                                                                             \
    X(HOST, "host", FIELD_CARRIED | FIELD_NO_TRAILER)                                                        \
    X(VARY, "vary", FIELD_PLAIN)                                                                             \
    X(ALLOW, "allow", FIELD_PLAIN)                                                                           \
    X(RANGE, "range", FIELD_NO_TRAILER)                                                                      \
    X(ACCEPT, "accept", FIELD_PLAIN)                                                                         \
    X(COOKIE, "cookie", FIELD_NO_TRAILER)                                                                    \
    X(EXPECT, "expect", FIELD_CARRIED | FIELD_NO_TRAILER)                                                    \
    X(ORIGIN, "origin", FIELD_PLAIN)                                                                         \
    X(SERVER, "server", FIELD_PLAIN)                                                                         \
    X(TRAILER, "trailer", FIELD_NO_TRAILER)                                                                  \
    X(UPGRADE, "upgrade", FIELD_HOP | FIELD_NO_TRAILER)                                                      \
    X(LOCATION, "location", FIELD_PLAIN)                                                                     \
    X(CONNECTION, "connection", FIELD_HOP | FIELD_NO_TRAILER)                                                \
    X(KEEP_ALIVE, "keep-alive", FIELD_HOP | FIELD_NO_TRAILER)                                                \
    X(SET_COOKIE, "set-cookie", FIELD_NO_TRAILER)                                                            \
    X(USER_AGENT, "user-agent", FIELD_PLAIN)                                                                 \
    X(RETRY_AFTER, "retry-after", FIELD_PLAIN)                                                               \
    X(TRACEPARENT, "traceparent", FIELD_PLAIN)                                                               \
    X(CONTENT_TYPE, "content-type", FIELD_NO_TRAILER)                                                        \
    X(MAX_FORWARDS, "max-forwards", FIELD_NO_TRAILER)                                                        \
    X(X_REQUEST_ID, "x-request-id", FIELD_PLAIN)                                                             \
    X(AUTHORIZATION, "authorization", FIELD_NO_TRAILER)                                                      \
    X(CACHE_CONTROL, "cache-control", FIELD_NO_TRAILER)                                                      \
    X(X_REMOTE_USER, "x-remote-user", FIELD_NO_TRAILER)                                                      \
    X(CONTENT_LENGTH, "content-length", FIELD_CARRIED | FIELD_NO_TRAILER)                                    \
    X(HTTP2_SETTINGS, "http2-settings", FIELD_HOP | FIELD_NO_TRAILER)                                        \
    X(X_REMOTE_GROUP, "x-remote-group", FIELD_NO_TRAILER)                                                    \
    X(ACCEPT_ENCODING, "accept-encoding", FIELD_PLAIN)                                                       \
    X(X_FORWARDED_FOR, "x-forwarded-for", FIELD_NO_TRAILER)                                                  \
    X(CONTENT_ENCODING, "content-encoding", FIELD_NO_TRAILER)                                                \
    X(IMPERSONATE_USER, "impersonate-user", FIELD_NO_TRAILER)                                                \
    X(PROXY_CONNECTION, "proxy-connection", FIELD_HOP | FIELD_NO_TRAILER)                                    \
    X(WWW_AUTHENTICATE, "www-authenticate", FIELD_NO_TRAILER)                                                \
    X(TRANSFER_ENCODING, "transfer-encoding", FIELD_HOP | FIELD_NO_TRAILER)                                  \
    X(PROXY_AUTHENTICATE, "proxy-authenticate", FIELD_HOP | FIELD_NO_TRAILER)                                \
    X(PROXY_AUTHORIZATION, "proxy-authorization", FIELD_HOP | FIELD_NO_TRAILER)                              \
    X(X_STREAM_PROTOCOL_VERSION, "x-stream-protocol-version", FIELD_PLAIN)

enum http_field {
    HTTP_FIELD_OTHER, /* a name without a row above */
#define HTTP_FIELD_SYMBOL(symbol, name, flags) HTTP_FIELD_##symbol,
    HTTP_FIELDS(HTTP_FIELD_SYMBOL)
#undef HTTP_FIELD_SYMBOL
        HTTP_FIELD_COUNT,
};
_Static_assert(HTTP_FIELD_COUNT <= 64, "sets of known fields are kept in one uint64_t");

enum http_method http_method_of(struct slice text);
/* Exact match, else HTTP_METHOD_OTHER. */
const char *http_method_name(enum http_method);
/* Static text; "OTHER" for HTTP_METHOD_OTHER, whose real text only the message knows. */
bool http_method_is_idempotent(enum http_method);
/* RFC 9110 section 9.2.2: repeating it has the effect of doing it once. OTHER and CONNECT are not. */

enum http_field http_field_of(struct slice name);
/* Without regard to case, else HTTP_FIELD_OTHER. */
const char *http_field_name(enum http_field);
/* Static lower-case text; "" for HTTP_FIELD_OTHER. */
unsigned http_field_flags(enum http_field);
/* FIELD_* of the row; FIELD_PLAIN for HTTP_FIELD_OTHER. */

const char *http_scheme_name(enum http_scheme);
/* "http", "https", "" for none. */
uint16_t http_scheme_port(enum http_scheme);
/* Default port (RFC 9110 section 4.2): 80, 443, 0 for none. */

const char *http_status_phrase(unsigned status);
/* Static reason phrase of the statuses a broker itself answers with or commonly passes on; "" when unknown.
 */
