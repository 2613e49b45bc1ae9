/* broker/http/http1_parse.h — HTTP/1.0 and HTTP/1.1 heads, parsed strictly (RFC 9112).
 * Pure functions over the bytes so far: no allocation, no I/O, no clock; any thread. Feed them the same
 * message from its first byte each time more has arrived; the answer does not depend on how the bytes were
 * cut.
 */
#pragma once

#include <sys/types.h>

#include "broker/http/head.h"
#include "broker/http/http1_refusal.h"

struct http1_limits {
    uint32_t head_bytes_max; /* start line, fields and the empty line; more is refused with 431 */
    uint32_t fields_max;     /* at most HEAD_FIELDS_MAX; more fields are refused with 431 */
    uint32_t target_max;     /* bytes of the request target; more is refused with 414 */
};

/* contracts.md section 6. Targets: Go's default is the head's own limit; 16 KiB holds every exec command
 * seen. */
#define HTTP1_REQUEST_LIMITS  ((struct http1_limits){64 * 1024, HEAD_FIELDS_MAX, 16 * 1024})
#define HTTP1_CONNECT_LIMITS  ((struct http1_limits){8 * 1024, 64, 512})
#define HTTP1_RESPONSE_LIMITS ((struct http1_limits){256 * 1024, HEAD_FIELDS_MAX, 0})
/* A guess: trailers seen in the field (grpc-status, Server-Timing, checksums) are a few hundred bytes. */
#define HTTP1_TRAILER_LIMITS ((struct http1_limits){8 * 1024, 64, 0})

/* How far a message has been looked at. All zero before its first byte, and
 * again for the next message; between, only the parser writes it. It keeps
 * byte-by-byte input linear: no byte is looked at twice before the head is complete. */
struct http1_scan {
    uint32_t pos;      /* every byte before it is accepted as a byte of a head */
    uint32_t line_end; /* offset after the judged start line; 0 before */
};

/*
 * All three return the bytes of the complete head (> 0, the body starts there), 0 while it is incomplete, or
 * the negative of an enum http1_refusal. That departs from the house's rule on results because the count is
 * the answer; the negative value is never an errno. The view's slices point into data. Unless the result is
 * positive, *ret_view is undefined: 10 KB are not copied to keep it untouched. *ret_err is written only when
 * refusing.
 */
MUST_USE ssize_t http1_parse_request(const struct http1_limits *, struct slice data, struct http1_scan *,
                                     struct head_view *ret_view, struct http1_error *ret_err);
/* RFC 9112 sections 2 to 6 and 9.3. One empty line before the request line is tolerated and counted in the
 * result. Percent-encoding is neither judged nor changed. A CONNECT request's Host must be valid but need not
 * match: kube-apiserver sends a constant there. */
MUST_USE ssize_t http1_parse_response(const struct http1_limits *, enum http_method of_request,
                                      struct slice data, struct http1_scan *, struct head_view *ret_view,
                                      struct http1_error *ret_err);
/* of_request decides about the body (HEAD, CONNECT). 1xx are heads of their own: parse again for the next
 * one. A missing space after the status code is tolerated when the reason is missing too. Six parameters,
 * because the request's method is the one thing that a response cannot be read without. */
MUST_USE ssize_t http1_parse_trailers(const struct http1_limits *, struct slice data, struct http1_scan *,
                                      struct head_view *ret_view, struct http1_error *ret_err);
/* The trailer section after the last chunk, RFC 9112 section 7.1.2, to its empty line; none at all is the two
 * bytes CR LF. Fields that frame, route or authenticate (FIELD_NO_TRAILER) are refused, not dropped: nobody
 * honest sends them there. Only kind, fields and fields_n of the view are set. Status in errors as for
 * requests. */
