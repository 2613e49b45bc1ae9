/* io/slab.c — see slab.h. A chunk is one allocation: a head, then objects. */
#include "io/slab.h"

#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#define IS_POISONED(p) __asan_address_is_poisoned(p)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#define IS_POISONED(p) ((void)(p), 0)
#endif

enum { CHUNK_BYTES = 64 * 1024, CHUNK_HEAD = CACHE_LINE };

struct chunk {
    struct chunk *next;
    size_t bytes;
};
_Static_assert(sizeof(struct chunk) <= CHUNK_HEAD, "the head of a chunk holds its link and size");

void slab_init(struct slab *s, const char *name, size_t object_size, uint32_t objects_max)
{
    *s = (struct slab){
        .name = name, .object_size = (object_size + 15) & ~(size_t)15, .objects_max = objects_max};
}

void slab_fini(struct slab *s)
{
    ASSERT(s->used == 0);
    while (s->chunks) {
        struct chunk *chunk = s->chunks;
        s->chunks = chunk->next;
        UNPOISON(chunk, chunk->bytes); /* and no more: what follows belongs to others */
        free(chunk);
    }
    *s = (struct slab){0};
}

static void slab_grow(struct slab *s)
{
    size_t n = (CHUNK_BYTES - CHUNK_HEAD) / s->object_size;
    if (n == 0)
        n = 1;
    if (n > s->objects_max - s->objects)
        n = s->objects_max - s->objects;
    if (n == 0)
        return;
    size_t bytes = (CHUNK_HEAD + n * s->object_size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
    struct chunk *chunk = aligned_alloc(CACHE_LINE, bytes);
    if (!chunk)
        return;
    *chunk = (struct chunk){s->chunks, bytes};
    s->chunks = chunk;
    for (size_t i = n; i-- > 0;) {
        void *object = (char *)chunk + CHUNK_HEAD + i * s->object_size;
        *(void **)object = s->free_list;
        s->free_list = object;
        POISON((char *)object + sizeof(void *), s->object_size - sizeof(void *));
    }
    s->objects += (uint32_t)n;
}

void *slab_take(struct slab *s)
{
    if (!s->free_list)
        slab_grow(s);
    void *object = s->free_list;
    if (!object)
        return NULL;
    s->free_list = *(void **)object;
    s->used++;
    UNPOISON(object, s->object_size);
    return memset(object, 0, s->object_size);
}

void slab_give(struct slab *s, void *object)
{
    ASSERT(s->used > 0);
    ASSERT(!IS_POISONED((char *)object + sizeof(void *))); /* given twice */
    s->used--;
    *(void **)object = s->free_list;
    s->free_list = object;
    POISON((char *)object + sizeof(void *), s->object_size - sizeof(void *));
}
