/* broker/http2_memory.c — see http2_memory.h. Each block begins with its size. */
#include "broker/http2_memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/attributes.h"

enum { BLOCK_HEAD = 16 }; /* keeps what follows aligned for anything */

static void *take(size_t size, void *arg)
{
    struct http2_memory *m = arg;
    if (size > m->max - m->used)
        return NULL;
    char *block = malloc(BLOCK_HEAD + size);
    if (!block)
        return NULL;
    memcpy(block, &size, sizeof size);
    m->used += size;
    return block + BLOCK_HEAD;
}

static void give(void *at, void *arg)
{
    struct http2_memory *m = arg;
    size_t size;
    if (!at)
        return;
    char *block = (char *)at - BLOCK_HEAD;
    memcpy(&size, block, sizeof size);
    ASSERT(size <= m->used);
    m->used -= size;
    free(block);
}

static void *take_zeroed(size_t n, size_t size, void *arg)
{
    if (size > 0 && n > SIZE_MAX / 2 / size)
        return NULL;
    void *at = take(n * size, arg);
    return at ? memset(at, 0, n * size) : NULL;
}

static void *resize(void *at, size_t size, void *arg)
{
    size_t old;
    if (!at)
        return take(size, arg);
    memcpy(&old, (char *)at - BLOCK_HEAD, sizeof old);
    void *moved = take(size, arg);
    if (!moved)
        return NULL;
    memcpy(moved, at, old < size ? old : size);
    give(at, arg);
    return moved;
}

void http2_memory_init(struct http2_memory *m, size_t max)
{
    *m = (struct http2_memory){
        .max = max, .calls = {m, take, give, take_zeroed, resize}
    };
}
