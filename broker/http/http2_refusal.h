/* broker/http/http2_refusal.h — why fields were refused as an HTTP/2 message: one table for heads and
 * trailers. A row: symbol, the status a server answers with, what was found and what was expected. 400 is
 * what RFC 9113 section 8.1.1 calls malformed: a stream error of type PROTOCOL_ERROR, which may be answered
 * first. Pure; any thread.
 */
#pragma once

#include <stdint.h>

#define HTTP2_REFUSALS(X)                                                                                    \
    X(NONE, 0, "nothing refused")                                                                            \
    /* size */                                                                                               \
    X(HEAD_TOO_LARGE, 431, "a head longer than the limit")                                                   \
    X(TOO_MANY_FIELDS, 431, "more fields than the limit")                                                    \
    X(NO_BUFFERS, 503, "no buffers for the head")                                                            \
    /* any field */                                                                                          \
    X(NAME_EMPTY, 400, "a field without a name")                                                             \
    X(NAME_CHAR, 400, "a character in a field's name that no token has")                                     \
    X(NAME_CAPITAL, 400, "a capital letter in a field's name; HTTP/2 has small ones only")                   \
    X(VALUE_CONTROL, 400, "a control character in a field's value")                                          \
    X(VALUE_SPACE, 400, "whitespace at an end of a field's value")                                           \
    X(CONNECTION_FIELD, 400, "a field that speaks of an HTTP/1 connection")                                  \
    X(TE, 400, "a TE field other than trailers")                                                             \
    X(LENGTH_SYNTAX, 400, "a Content-Length that is not one decimal number")                                 \
    X(LENGTH_OVERFLOW, 400, "a Content-Length of 2^63 or more")                                              \
    X(LENGTH_REPEATED, 400, "more than one Content-Length")                                                  \
    X(LENGTH_MISMATCH, 400, "a body that is not as long as its Content-Length")                              \
    X(TRAILER_FORBIDDEN, 400, "a field among the trailers that may only stand in a head")                    \
    X(TRAILERS_OPEN, 400, "trailers that do not end their stream")                                           \
    /* pseudo-header fields */                                                                               \
    X(PSEUDO_UNKNOWN, 400, "a pseudo-header field that is not known here")                                   \
    X(PSEUDO_REPEATED, 400, "a pseudo-header field twice")                                                   \
    X(PSEUDO_LATE, 400, "a pseudo-header field after an ordinary field, or among trailers")                  \
    X(METHOD_MISSING, 400, "no :method")                                                                     \
    X(METHOD_SYNTAX, 400, "a :method that is no token")                                                      \
    X(SCHEME_MISSING, 400, "no :scheme")                                                                     \
    X(SCHEME, 400, "a scheme other than http and https")                                                     \
    X(PATH_MISSING, 400, "no :path")                                                                         \
    X(PATH_FORM, 400, "a :path that does not begin with '/'")                                                \
    X(PATH_ASTERISK, 400, ":path '*' with a method other than OPTIONS")                                      \
    X(PATH_CHAR, 400, "a character in :path that a URI cannot have")                                         \
    X(PATH_FRAGMENT, 400, "a fragment ('#') in :path")                                                       \
    X(PATH_TOO_LONG, 414, "a :path longer than the limit")                                                   \
    X(AUTHORITY_MISSING, 400, "neither :authority nor a Host field")                                         \
    X(AUTHORITY_SYNTAX, 400, "an :authority that is not host or host:port")                                  \
    X(USERINFO, 400, "user information ('@') in :authority; it is not accepted")                             \
    X(HOST_REPEATED, 400, "more than one Host field")                                                        \
    X(HOST_SYNTAX, 400, "a Host field that is not host or host:port")                                        \
    X(HOST_CONFLICT, 400, "a Host field that names another host than :authority")                            \
    X(CONNECT_FORM, 400, "a CONNECT request with :scheme or :path")                                          \
    X(CONNECT_TARGET, 400, "a CONNECT request whose :authority is not host:port")                            \
    X(CONNECT_BODY, 400, "a CONNECT request with a Content-Length")                                          \
    X(EXPECTATION, 417, "an expectation other than 100-continue")                                            \
    /* responses */                                                                                          \
    X(STATUS_MISSING, 502, "no :status")                                                                     \
    X(STATUS_SYNTAX, 502, "a :status that is not a number from 100 to 599")                                  \
    X(STATUS_SWITCHING, 502, "status 101, which HTTP/2 does not have")                                       \
    X(INTERIM_ENDED, 502, "an interim response that ends its stream")                                        \
    X(INTERIM_FLOOD, 502, "too many interim responses to one request")                                       \
    X(NO_HEAD, 502, "body bytes, or an end, without a response head before them")                            \
    X(BODY_UNEXPECTED, 502, "body bytes of a response that has no body")                                     \
    X(BODY_BEYOND_WINDOW, 502, "body bytes beyond the window")

enum http2_refusal {
#define HTTP2_REFUSAL_SYMBOL(symbol, status, text) HTTP2_##symbol,
    HTTP2_REFUSALS(HTTP2_REFUSAL_SYMBOL)
#undef HTTP2_REFUSAL_SYMBOL
};

const char *http2_refusal_name(enum http2_refusal);
/* Static symbol in capitals, for logs and test failures. */
const char *http2_refusal_text(enum http2_refusal);
/* Static: what was found and what was expected. */
uint16_t http2_refusal_status(enum http2_refusal);
/* Status to answer a request with; 0 for NONE. */
