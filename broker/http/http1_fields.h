/* broker/http/http1_fields.h — the parts of the HTTP/1 parser, for http1_parse.c; http2_head.c takes the last
 * two, so that both protocols have one rule. Each fills its part of the view and answers a refusal,
 * HTTP1_NONE if there is none, with the offending place in *ret_at. They are given bytes that are free of
 * control characters but HTAB. Pure.
 */
#pragma once

#include "broker/http/http1_parse.h"

/* What the fields said about framing and the connection, gathered while they pass by. */
struct http1_framing {
    const struct head_field_view *length, *coding, *host, *expect, *upgrade;
    bool option_close, option_keep_alive, option_upgrade;
};

enum http1_refusal http1_parse_target(struct head_view *, const char **ret_at);
/* view->target and view->method to form, scheme, authority and path. RFC 9112 section 3.2. */
enum http1_refusal http1_parse_fields(const char *p, const char *end, uint32_t fields_max, struct head_view *,
                                      struct http1_framing *, const char **ret_at);
/* Field lines in [p, end), each complete with CR LF, without the empty line. Six parameters: two bounds of
 * one range. RFC 9112 section 5. */
enum http1_refusal http1_frame_request(struct head_view *, const struct http1_framing *, const char **ret_at);
enum http1_refusal http1_frame_response(struct head_view *, enum http_method of_request,
                                        const struct http1_framing *, const char **ret_at);
/* Host, body and connection facts. RFC 9112 sections 3.2, 6.3 and 9.3. */

enum http1_refusal http1_check_target(struct slice target, const char **ret_at);
/* Characters that may stand in a target: HTTP1_TARGET_CHAR, HTTP1_TARGET_FRAGMENT or none. */
enum http1_refusal http1_parse_length(struct slice text, uint64_t *ret_length);
/* Content-Length = 1*DIGIT and nothing else, below 2^63. RFC 9110 section 8.6. */
