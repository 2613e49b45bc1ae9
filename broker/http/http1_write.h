/* broker/http/http1_write.h — heads as HTTP/1.1 bytes, and small complete answers of our own.
 * Writers fill the caller's buffer and never allocate: 0 and *ret_len, or -ENOSPC with nothing promised about
 * the buffer's content and *ret_len untouched. The *_bound functions say how much always suffices. Pure; any
 * thread.
 */
#pragma once

#include "broker/http/head.h"

struct http1_write_options {
    enum target_form form; /* requests but CONNECT: TARGET_ABSOLUTE towards a proxy, else TARGET_ORIGIN */
    bool close;            /* say Connection: close; UNTIL_CLOSE bodies say it by themselves */
    bool expect_continue;  /* requests: say Expect: 100-continue */
};

size_t http1_write_bound(const struct head *);
/* Bytes that any of the next three needs at most for this head. */
MUST_USE int http1_write_request(const struct head *, const struct http1_write_options *, char *buf,
                                 size_t cap, size_t *ret_len);
/* RFC 9112 sections 3 and 6. Always HTTP/1.1. A head without a host gets an empty Host. Host and framing come
 * from the head: body must be NONE, LENGTH or CHUNKED (asserted). Absolute form needs a scheme and a host
 * (asserted). CONNECT writes host:port, or the scheme's port where none was said; it needs one or the other
 * (asserted). */
MUST_USE int http1_write_response(const struct head *, const struct http1_write_options *, char *buf,
                                  size_t cap, size_t *ret_len);
/* RFC 9112 sections 4 and 6. Writes the framing of head->body, so whoever changes the framing on the way
 * (chunked for a peer that has no length, UNTIL_CLOSE for an HTTP/1.0 client) changes it there first. */
MUST_USE int http1_write_trailers(const struct head *, char *buf, size_t cap, size_t *ret_len);
/* The end of a chunked body: last chunk, the head's fields, empty line. NULL or no fields: HTTP1_CHUNK_END.
 */

/* A complete answer that Hawser gives by itself. */
struct http1_answer {
    uint16_t status;
    struct slice reason;    /* reason phrase and, with a line end, the body; empty: the status's own phrase */
    struct slice fields;    /* complete lines of our own with CR LF, e.g. "Allow: GET\r\n"; may be empty */
    uint32_t retry_after_s; /* 0: not said */
    bool close;             /* say Connection: close */
    bool head_only;         /* the request was HEAD: no body, its length all the same */
};

/* The reason of an answer is cut here: it is one line for a person, and Go's client prints all of it. A
 * guess. */
#define HTTP1_REASON_MAX 256

size_t http1_write_error_bound(const struct http1_answer *);
MUST_USE int http1_write_error(const struct http1_answer *, char *buf, size_t cap, size_t *ret_len);
/* A plain-text response. The reason may quote a peer's bytes: control characters become '?'. Also used for
 * successes with a short text. */

/* The whole answer to a CONNECT that succeeded: no field, no body and, RFC 9110 section 9.3.6, no length. The
 * reason is what proxies have said since 1998. */
#define HTTP1_CONNECTED SLICE("HTTP/1.1 200 Connection established\r\n\r\n")
/* Asks a client that expects it for the body, RFC 9110 section 15.2.1. */
#define HTTP1_CONTINUE SLICE("HTTP/1.1 100 Continue\r\n\r\n")
