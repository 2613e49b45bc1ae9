/* broker/head_buffer.h — a message head that comes in pieces, gathered in one buffer so that it can be
 * parsed. Embedded in whoever reads heads. Owner worker only. */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "io/buf.h"

/* Adds the segment's bytes behind the *len bytes of *buf (NULL: none yet), in a larger buffer where need be.
 * The segment stays the caller's. False: out of buffers, or larger than the largest; nothing has changed. */
MUST_USE static inline bool head_buffer_add(struct buf **buf, uint32_t *len, struct buf_pool *pool,
                                            struct seg seg)
{
    uint32_t want = *len + seg.len;
    if (!*buf || want > (*buf)->cap) {
        struct buf *larger = buf_get_bytes(pool, want);
        if (!larger)
            return false;
        if (*buf) {
            memcpy(larger->mem, (*buf)->mem, *len);
            buf_unref(*buf);
        }
        *buf = larger;
    }
    memcpy((*buf)->mem + *len, seg.data, seg.len);
    *len = want;
    return true;
}
