/* broker/http/http1_refusal.h — why bytes were refused as HTTP/1: one table for heads, chunks and trailers.
 * A row: symbol, the status a server answers with, what was found and what was expected. Responses are
 * refused for the same reasons, but their status is always 502: it is the upstream that spoke badly. Pure;
 * any thread.
 */
#pragma once

#include <stdint.h>

#define HTTP1_REFUSALS(X)                                                                                    \
    X(NONE, 0, "nothing refused")                                                                            \
    /* bytes */                                                                                              \
    X(BARE_LF, 400, "a line feed without a carriage return before it; lines end in CR LF")                   \
    X(BARE_CR, 400, "a carriage return without a line feed after it; lines end in CR LF")                    \
    X(CONTROL, 400, "a control character; a head is text")                                                   \
    X(HEAD_TOO_LARGE, 431, "a head longer than the limit")                                                   \
    X(TOO_MANY_FIELDS, 431, "more fields than the limit")                                                    \
    X(TRAILERS_TOO_LARGE, 431, "a trailer section longer than the limit")                                    \
    /* request line */                                                                                       \
    X(EMPTY_LINES, 400, "empty lines before the request line; at most one is tolerated")                     \
    X(METHOD, 400, "no method at the start of the request line; expected a token and one space")             \
    X(TARGET_MISSING, 400,                                                                                   \
      "no target after the method; expected method, one space, target, one space, version")                  \
    X(VERSION_MISSING, 400, "a request line without a version; HTTP/0.9 is not spoken")                      \
    X(VERSION_SYNTAX, 400, "no version at the end of the request line; expected HTTP/1.0 or HTTP/1.1")       \
    X(VERSION, 505, "a version other than HTTP/1.0 and HTTP/1.1")                                            \
    X(TARGET_TOO_LONG, 414, "a request target longer than the limit")                                        \
    X(TARGET_CHAR, 400, "a character in the request target that a URI cannot have")                          \
    X(TARGET_FRAGMENT, 400, "a fragment ('#') in the request target")                                        \
    X(TARGET_FORM, 400, "a request target that is neither a path, an absolute URI nor '*'")                  \
    X(TARGET_ASTERISK, 400, "target '*' with a method other than OPTIONS")                                   \
    X(TARGET_SCHEME, 400, "a scheme other than http and https")                                              \
    X(TARGET_USERINFO, 400, "user information ('@') in the authority; it is not accepted")                   \
    X(TARGET_AUTHORITY, 400, "no valid host and port in the request target")                                 \
    X(CONNECT_TARGET, 400, "a CONNECT target that is not host:port")                                         \
    /* status line */                                                                                        \
    X(STATUS_VERSION, 502, "a response that does not start with HTTP/1.0 or HTTP/1.1 and one space")         \
    X(STATUS_CODE, 502, "no status code of three digits from 100 to 599, followed by one space")             \
    /* fields */                                                                                             \
    X(FIELD_FOLDED, 400, "a line that starts with whitespace; folded fields are obsolete")                   \
    X(FIELD_NAME_EMPTY, 400, "a field line without a name")                                                  \
    X(FIELD_NAME_SPACE, 400, "whitespace between a field's name and its colon")                              \
    X(FIELD_NAME_CHAR, 400, "a character in a field's name that no token has")                               \
    X(FIELD_NO_COLON, 400, "a field line without a colon")                                                   \
    X(CONNECTION_SYNTAX, 400, "a Connection field that is not a list of tokens")                             \
    X(EXPECTATION, 417, "an expectation other than 100-continue")                                            \
    X(HOST_MISSING, 400, "no Host field in an HTTP/1.1 request")                                             \
    X(HOST_REPEATED, 400, "more than one Host field")                                                        \
    X(HOST_SYNTAX, 400, "a Host field that is not host or host:port")                                        \
    X(HOST_CONFLICT, 400, "a Host field that names another host than the request target")                    \
    /* framing */                                                                                            \
    X(LENGTH_SYNTAX, 400, "a Content-Length that is not one decimal number")                                 \
    X(LENGTH_OVERFLOW, 400, "a Content-Length of 2^63 or more")                                              \
    X(LENGTH_REPEATED, 400, "more than one Content-Length")                                                  \
    X(LENGTH_AND_CODING, 400, "both Content-Length and Transfer-Encoding")                                   \
    X(CODING_REPEATED, 400, "more than one Transfer-Encoding field")                                         \
    X(CODING_SYNTAX, 400, "a Transfer-Encoding that is not a list of codings")                               \
    X(CODING_ORDER, 400, "a Transfer-Encoding in which chunked is repeated or not the last")                 \
    X(CODING_UNKNOWN, 501, "a transfer coding other than chunked")                                           \
    X(CODING_IN_1_0, 400, "Transfer-Encoding in an HTTP/1.0 message")                                        \
    X(CONNECT_BODY, 400, "a CONNECT request with a body")                                                    \
    X(TRAILER_FORBIDDEN, 400, "a field among the trailers that may only stand in a head")                    \
    /* chunks */                                                                                             \
    X(CHUNK_SIZE_EMPTY, 400, "no hexadecimal digit where a chunk size begins")                               \
    X(CHUNK_SIZE_CHAR, 400, "a character after a chunk size that is neither ';' nor CR LF")                  \
    X(CHUNK_SIZE_OVERFLOW, 400, "a chunk size of 2^63 or more, or of more than 16 digits")                   \
    X(CHUNK_LINE_TOO_LONG, 400, "a chunk line longer than the limit")                                        \
    X(CHUNK_EXTENSIONS, 400, "more bytes of chunk extensions than the limit")                                \
    X(CHUNK_NO_CRLF, 400, "chunk data that is not followed by CR LF")

enum http1_refusal {
#define HTTP1_REFUSAL_SYMBOL(symbol, status, text) HTTP1_##symbol,
    HTTP1_REFUSALS(HTTP1_REFUSAL_SYMBOL)
#undef HTTP1_REFUSAL_SYMBOL
};
#define HTTP1_REFUSAL_ONE(symbol, status, text) +1
enum { HTTP1_REFUSAL_COUNT = 0 HTTP1_REFUSALS(HTTP1_REFUSAL_ONE) };
#undef HTTP1_REFUSAL_ONE

/* What a parser says of a refusal; `at` helps a log, the rest answers the peer. */
struct http1_error {
    enum http1_refusal refusal;
    uint16_t status;  /* for requests the row's, for responses 502 */
    uint32_t at;      /* offset of the offending byte, or of the field or line it stands in */
    const char *text; /* static: what was found and what was expected */
};

const char *http1_refusal_name(enum http1_refusal);
/* Static symbol in capitals, for logs and test failures. */
const char *http1_refusal_text(enum http1_refusal);
/* Static: what was found and what was expected. */
uint16_t http1_refusal_status(enum http1_refusal);
/* Status to answer a request with; 0 for NONE. */
