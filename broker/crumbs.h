/* broker/crumbs.h — small received segments share a buffer, so that what a peer drips pins memory by its
 * bytes.
 *
 * Each receive fills a buffer of its own, 4 KiB for a byte if need be, and credit counts bytes. Where
 * segments may have to wait for somebody, they go through here: a small one is copied behind its predecessor,
 * whose buffer is kept for that as long as somebody else still holds a part of it. Owner worker only.
 */
#pragma once

#include <string.h>

#include "io/buf.h"

enum { CRUMB_MAX = 1024 };

struct crumbs {
    struct buf *buf;
    uint32_t used;
};

static inline void crumbs_drop(struct crumbs *c)
{
    if (c->buf)
        buf_unref(c->buf);
    *c = (struct crumbs){0};
}

/* What was received has been taken over: without others who hold a part of the buffer there is no use for it.
 */
static inline void crumbs_settle(struct crumbs *c)
{
    if (c->buf && c->buf->refs == 1)
        crumbs_drop(c);
}

/* Takes a segment that was just received on this worker, gives it back or a copy of it. */
static inline struct seg crumbs_collect(struct crumbs *c, struct seg seg)
{
    crumbs_settle(c);
    if (seg.len > CRUMB_MAX)
        return seg;
    if (c->buf && c->buf->cap - c->used >= seg.len) {
        memcpy(c->buf->mem + c->used, seg.data, seg.len);
        struct seg copy = seg_of(c->buf, c->buf->mem + c->used, seg.len);
        c->used += seg.len;
        buf_unref(seg.buf);
        return copy;
    }
    crumbs_drop(c);
    if (seg.buf->refs == 1) { /* nobody else writes or reads behind it */
        buf_ref(seg.buf);
        c->buf = seg.buf;
        c->used = (uint32_t)(seg.data - seg.buf->mem) + seg.len;
    }
    return seg;
}
