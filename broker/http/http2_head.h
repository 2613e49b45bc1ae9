/* broker/http/http2_head.h — heads as HTTP/2 says them: field blocks to struct head_view, struct head to
 * field blocks. nghttp2 does the compression and gives one field at a time; this judges them when the block
 * is complete, as strictly as HTTP/1 heads are judged, and is the only judge: nghttp2's own checks are off,
 * because they cannot say what was wrong.
 *
 * Fields wait as records in one run of bytes that may grow and move (field_block.h). Pure; any thread.
 */
#pragma once

#include <nghttp2/nghttp2.h>

#include "broker/http/head.h"
#include "broker/http/http1_parse.h"
#include "broker/http/http2_refusal.h"

/* What RFC 9113 section 6.5.2 counts for each field besides its bytes. */
#define HTTP2_FIELD_OVERHEAD 32
#define HTTP2_RECORD_HEAD    8

static inline uint32_t http2_record_bytes(struct slice name, struct slice value)
{
    return HTTP2_RECORD_HEAD + name.len + value.len;
}

void http2_put_record(char *to, struct slice name, struct slice value);
/* Writes http2_record_bytes(). */
bool http2_next_record(struct slice *rest, struct slice *ret_name, struct slice *ret_value);
/* Cuts the first record off *rest; false when none is left. */

MUST_USE enum http2_refusal http2_read_request(const struct http1_limits *, struct slice records, bool ended,
                                               struct head_view *ret_view);
/* RFC 9113 sections 8.2, 8.3.1 and 8.5. ended: the block ended the stream, so there is no body. The view's
 * slices point into the records; it is undefined when refused. A request comes out in absolute form, CONNECT
 * in authority form; a body without a length is BODY_CHUNKED, which is how HTTP/1 would say it. */
MUST_USE enum http2_refusal http2_read_own_request(const struct http1_limits *, struct slice records,
                                                   bool ended, struct head_view *ret_view);
/* As http2_read_request(), of a request to a service of the broker's own, in origin form: whatever :authority
 * and Host say is not looked at. gRPC makes its authority of a socket's path. Not CONNECT. */
struct slice http2_find_pseudo(struct slice records, struct slice name);
/* The value of the first such field before all ordinary ones; data NULL without one. Judges nothing. */
MUST_USE enum http2_refusal http2_read_response(enum http_method of_request, struct slice records, bool ended,
                                                struct head_view *ret_view);
/* RFC 9113 section 8.3.2. A body without a length is BODY_CHUNKED, one that has ended a length of 0; what it
 * says of a length holds for the DATA that follows. 1xx are heads of their own; 101 is refused. */
MUST_USE enum http2_refusal http2_read_trailers(struct slice records, bool ended, struct head_view *ret_view);
/* RFC 9113 section 8.1. Only kind, fields and fields_n of the view are set. */

/* A field block to be sent. Its slices point into the head and into this; nghttp2 copies on submission. */
struct http2_fields {
    size_t n;
    char status[4], length[24], authority[AUTHORITY_HOST_MAX + 10];
    nghttp2_nv
        nv[HEAD_FIELDS_MAX + 8]; /* pseudo-header fields, Content-Length, and those of the writer's own */
};

void http2_add_field(struct http2_fields *, struct slice name, struct slice value);
/* The name must be in small letters, or be copied by nghttp2, which makes it so. */
void http2_write_request(const struct head *, enum http_scheme, struct http2_fields *ret_fields);
/* Not CONNECT. The head's host is the :authority, its framing only the length. */
void http2_write_response(const struct head *, struct http2_fields *ret_fields);
/* Of head->body only the length is said; where the body ends is said by the stream. */
void http2_write_trailers(const struct head *, struct http2_fields *ret_fields);
