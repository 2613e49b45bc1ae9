/* broker/field_block.h — the fields of one HTTP/2 message, gathered in one buffer while nghttp2 decodes them.
 *
 * Bounded by what they are when decoded, not by what was sent: a few bytes of HPACK can name megabytes. What
 * exceeds the limit is forgotten and noted, decoding goes on (the compression state is the connection's), and
 * the owner answers when the block is complete. Owner worker only.
 */
#pragma once

#include "broker/http/http2_head.h"
#include "io/buf.h"

struct field_block {
    struct buf *buf; /* records; NULL: none */
    uint32_t used, fields_n;
    uint32_t cookie;     /* where the one Cookie record is, plus 1; 0: none */
    uint64_t list_bytes; /* RFC 9113 section 6.5.2, counted on beyond the limit */
    enum http2_refusal refusal;
};

void field_block_add(struct field_block *, struct buf_pool *, const struct http1_limits *, struct slice name,
                     struct slice value);
/* Copies both. The crumbs of a Cookie are put together as RFC 9113 section 8.2.3 asks of who passes them on.
 */
void field_block_reset(struct field_block *);
/* Gives the buffer back; ready for the next message. */

static inline struct slice field_block_records(const struct field_block *b)
{
    return b->buf ? slice_of((const char *)b->buf->mem, b->used) : SLICE("");
}
