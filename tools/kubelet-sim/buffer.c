/* tools/kubelet-sim/buffer.c — the free list of a worker's buffers. */
#include "tools/kubelet-sim/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct buffer *make(size_t cap)
{
    struct buffer *b = malloc(sizeof(*b) + cap);
    if (!b) {
        fputs("kubelet-sim: out of memory\n", stderr);
        abort();
    }
    *b = (struct buffer){.cap = cap};
    return b;
}

struct buffer *buffer_take(struct buffer_pool *pool)
{
    struct buffer *b = pool->free;
    if (!b)
        return make(BUFFER_BYTES);
    pool->free = b->next;
    b->start = b->end = 0;
    return b;
}

void buffer_give(struct buffer_pool *pool, struct buffer **buffer)
{
    struct buffer *b = *buffer;
    *buffer = NULL;
    if (!b)
        return;
    if (b->cap != BUFFER_BYTES) {
        free(b); /* grown for one long head */
        return;
    }
    b->next = pool->free;
    pool->free = b;
}

struct buffer *buffer_grow(struct buffer_pool *pool, struct buffer **buffer)
{
    struct buffer *old = *buffer, *b = make(old->cap * 2);
    b->end = buffer_filled(old);
    memcpy(b->at, old->at + old->start, b->end);
    buffer_give(pool, buffer);
    return b;
}

void buffer_compact(struct buffer *b)
{
    memmove(b->at, b->at + b->start, b->end - b->start);
    b->end -= b->start;
    b->start = 0;
}

void buffer_pool_fini(struct buffer_pool *pool)
{
    for (struct buffer *b = pool->free, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    pool->free = NULL;
}
