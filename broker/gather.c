/* broker/gather.c — see gather.h. */
#include "broker/gather.h"

#include <string.h>

uint32_t gather_add(struct gather *g, struct buf_pool *bufs, enum buf_class class, const uint8_t *data,
                    uint32_t len)
{
    if (!g->buf || g->used == g->buf->cap) {
        if (!gather_is_empty(g))
            return 0;
        gather_drop(g);
        g->buf = buf_get(bufs, class);
        if (!g->buf)
            return 0;
    }
    uint32_t room = g->buf->cap - g->used, n = len < room ? len : room;
    memcpy(g->buf->mem + g->used, data, n);
    g->used += n;
    return n;
}

struct seg gather_take(struct gather *g)
{
    uint32_t from = g->given, len = g->used - from;
    if (len == 0)
        return (struct seg){0};
    g->given = g->used;
    return seg_of(g->buf, g->buf->mem + from, len);
}

void gather_settle(struct gather *g)
{
    if (gather_is_empty(g))
        gather_drop(g);
}

bool gather_let_go(struct gather *g)
{
    if (g->buf && (!gather_is_empty(g) || g->buf->refs > 1))
        return false;
    gather_drop(g);
    return true;
}

void gather_drop(struct gather *g)
{
    if (g->buf)
        buf_unref(g->buf);
    *g = (struct gather){0};
}
