/* broker/gather.h — small pieces of what came on a shared connection, put together in buffers of their own.
 *
 * A piece of a large input buffer may be lent as it is when it is much of it. Its other bytes stay in memory
 * with it, so a client that has one stream stand still and interleaves others would pin much with little: at
 * most four times what the stream was granted. What is less is copied here. Owner worker only.
 */
#pragma once

#include "io/buf.h"

struct gather {
    struct buf *buf;
    uint32_t given, used; /* bytes before `given` were taken out */
};

static inline bool gather_is_needless(const struct seg *input, uint32_t len)
{
    return len >= input->buf->cap / 4;
}

uint32_t gather_add(struct gather *, struct buf_pool *, enum buf_class, const uint8_t *data, uint32_t len);
/* Copies what there is room for, in a buffer of that class where it takes a new one. 0: what is here has to
 * be taken out first; out of buffers if there is nothing. */
struct seg gather_take(struct gather *);
/* What was added since; len 0 and no buffer if nothing was. */
void gather_settle(struct gather *);
/* All that was taken out has been let go: without more to come out there is no use for the buffer. */
bool gather_let_go(struct gather *);
/* The same, if nobody holds a part of what was taken out. False: there is still use for it. */
void gather_drop(struct gather *);

static inline bool gather_is_empty(const struct gather *g)
{
    return g->used == g->given;
}
