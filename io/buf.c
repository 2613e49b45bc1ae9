/* io/buf.c — see buf.h. Buffers are made on demand in chunks of about a megabyte and never leave before fini.
 */
#include "io/buf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const uint32_t class_bytes[BUF_CLASSES] = {BUF_SMALL_BYTES, BUF_BIG_BYTES, BUF_HUGE_BYTES};
static const uint32_t class_chunk[BUF_CLASSES] = {64, 8, 1}; /* buffers made at once: a frank guess */

struct chunk {
    struct chunk *next;
    void *mem;
    size_t bytes;
    struct buf bufs[];
};

void buf_pool_init(struct buf_pool *p, unsigned worker, const struct buf_limits *limits)
{
    *p = (struct buf_pool){.worker = worker};
    for (int c = 0; c < BUF_CLASSES; c++)
        p->classes[c].max = limits->max[c];
}

void buf_pool_fini(struct buf_pool *p)
{
    for (int c = 0; c < BUF_CLASSES; c++)
        ASSERT(p->classes[c].used == 0);
    while (p->chunks) {
        struct chunk *chunk = p->chunks;
        p->chunks = chunk->next;
        munmap(chunk->mem, chunk->bytes);
        free(chunk);
    }
}

static void buf_pool_grow(struct buf_pool *p, enum buf_class class)
{
    uint32_t n = class_chunk[class];
    if (n > p->classes[class].max - p->classes[class].made)
        n = p->classes[class].max - p->classes[class].made;
    if (n == 0)
        return;
    struct chunk *chunk = calloc(1, sizeof(*chunk) + n * sizeof(struct buf));
    if (!chunk)
        return;
    chunk->bytes = (size_t)n * class_bytes[class];
    chunk->mem = mmap(NULL, chunk->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (chunk->mem == MAP_FAILED) {
        free(chunk);
        return;
    }
    chunk->next = p->chunks;
    p->chunks = chunk;
    for (uint32_t i = n; i-- > 0;) {
        struct buf *b = &chunk->bufs[i];
        b->home = p;
        b->mem = (uint8_t *)chunk->mem + (size_t)i * class_bytes[class];
        b->cap = class_bytes[class];
        b->class = (uint8_t) class;
        b->next_free = p->classes[class].free_list;
        p->classes[class].free_list = b;
    }
    p->classes[class].made += n;
}

struct buf *buf_get(struct buf_pool *p, enum buf_class class)
{
    if (!p->classes[class].free_list)
        buf_pool_grow(p, class);
    struct buf *b = p->classes[class].free_list;
    if (!b)
        return NULL;
    p->classes[class].free_list = b->next_free;
    if (++p->classes[class].used > p->classes[class].peak)
        p->classes[class].peak = p->classes[class].used;
    b->refs = 1;
    return b;
}

struct buf *buf_get_bytes(struct buf_pool *p, uint32_t bytes)
{
    for (int c = 0; c < BUF_CLASSES; c++)
        if (bytes <= class_bytes[c])
            return buf_get(p, (enum buf_class)c);
    return NULL;
}

void buf_unref(struct buf *b)
{
    ASSERT(b->refs > 0);
    if (--b->refs > 0)
        return;
    struct buf_pool *p = b->home;
    ASSERT(p->classes[b->class].used > 0);
    p->classes[b->class].used--;
    b->next_free = p->classes[b->class].free_list;
    p->classes[b->class].free_list = b;
    if (UNLIKELY(p->starving) && p->on_refill)
        p->on_refill(p);
}
