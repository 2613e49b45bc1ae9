/* broker/body.h — where a message body ends, for both directions: a received segment goes in, the part of it
 * that is body comes out.
 *
 * Nothing is copied but within the segment: the payload of chunks is moved together at its front, so that a
 * peer that makes a chunk of each log line costs one segment per read and not one per line. Trailers that
 * come in pieces are gathered in a small buffer. Owner worker only.
 */
#pragma once

#include "broker/http/head.h"
#include "broker/http/http1_chunk.h"
#include "broker/http/http1_parse.h"
#include "io/buf.h"

struct body {
    enum body_kind kind; /* BODY_NONE: nothing (more) is expected */
    bool in_trailers;
    uint64_t left; /* of BODY_LENGTH */
    struct http1_chunk chunk;
    struct http1_scan scan; /* of the trailers */
    struct buf *trailers;
    uint32_t trailers_len;
};

enum body_result { BODY_MORE, BODY_ENDED, BODY_REFUSED, BODY_NO_BUFFERS };

void body_begin(struct body *, const struct head_view *);
/* As the head says; an announced length of 0 is BODY_NONE. */
void body_reset(struct body *);
/* Gives back what it holds. Afterwards nothing is expected. */
MUST_USE enum body_result body_read(struct body *, struct buf_pool *, const struct seg *, uint32_t *ret_used,
                                    uint32_t *ret_payload, struct head_view *ret_trailers,
                                    struct http1_error *ret_error);
/* Uses the first *ret_used bytes of the segment, of which *ret_payload bytes of body are at its front
 * afterwards. On BODY_ENDED the kind is BODY_NONE and ret_trailers has the fields, good until the segment or
 * the body is released. Asserts that a body is expected. */
