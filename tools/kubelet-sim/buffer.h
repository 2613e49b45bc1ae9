/* tools/kubelet-sim/buffer.h — byte buffers lent by a worker. An idle connection holds none. Owner worker
 * only.
 *
 *      0 ≤ start ≤ end ≤ cap        at[start, end) is filled and not yet consumed
 */
#pragma once
#include <stddef.h>

enum { BUFFER_BYTES = 16384 }; /* the most a TLS record carries: a full buffer leaves as one record */

struct buffer {
    struct buffer *next; /* on the worker's free list */
    size_t start, end, cap;
    char at[];
};

struct buffer_pool {
    struct buffer *free;
};

struct buffer *buffer_take(struct buffer_pool *);
void buffer_give(struct buffer_pool *, struct buffer **);
/* Takes *buffer, nulls it. */
struct buffer *buffer_grow(struct buffer_pool *, struct buffer **);
/* Takes *buffer and returns one of twice the size with its bytes. */
void buffer_compact(struct buffer *);
void buffer_pool_fini(struct buffer_pool *);

static inline size_t buffer_filled(const struct buffer *b)
{
    return b ? b->end - b->start : 0;
}

static inline size_t buffer_room(const struct buffer *b)
{
    return b->cap - b->end;
}
