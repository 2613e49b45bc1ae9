/* io/buf.c — see buf.h. Buffers are made on demand in chunks of about half a megabyte and never leave before
 * fini; only the memory behind them goes and comes.
 *
 * A buffer is taken from the fresh ones first, then from the rested, then from the bare. When all that rest
 * have given their memory back, the fresh ones begin to rest: those that are left after BUF_REST_MS are as
 * many as were free at every moment of it. What a pool needs at its peaks within that time therefore stays,
 * and nothing is counted while buffers come and go.
 */
#include "io/buf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
    *p = (struct buf_pool){.worker = worker, .page_bytes = (size_t)sysconf(_SC_PAGESIZE)};
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

static void push(struct buf **list, struct buf *b)
{
    b->next_free = *list;
    *list = b;
}

static struct buf *pop(struct buf **list)
{
    struct buf *b = *list;
    if (b)
        *list = b->next_free;
    return b;
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
        push(&p->classes[class].bare, b);
    }
    p->classes[class].made += n;
}

static struct buf *pop_other(struct buf_pool *p, enum buf_class class)
{
    struct buf *b = pop(&p->classes[class].rested);
    if (b)
        return b;
    if (!p->classes[class].bare)
        buf_pool_grow(p, class);
    return pop(&p->classes[class].bare);
}

struct buf *buf_get(struct buf_pool *p, enum buf_class class)
{
    struct buf *b = pop(&p->classes[class].fresh);
    if (UNLIKELY(!b))
        b = pop_other(p, class);
    if (!b)
        return NULL;
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
    push(&p->classes[b->class].fresh, b);
    if (UNLIKELY(p->starving) && p->on_refill)
        p->on_refill(p);
}

/* -- memory that is not needed ------------------------------------------------------------------------------
 */

/* False: there is more, for the next step. */
static bool give_back_rested(struct buf_pool *p, enum buf_class class, uint32_t *room)
{
    struct buf *b;
    while (*room >= class_bytes[class] && (b = pop(&p->classes[class].rested))) {
        /* Who has locked all memory keeps it: nothing else can fail. */
        (void)madvise(b->mem, b->cap, MADV_DONTNEED);
        push(&p->classes[class].bare, b);
        *room -= class_bytes[class];
    }
    return !p->classes[class].rested;
}

void buf_pool_trim(struct buf_pool *p, uint64_t now_ns)
{
    uint32_t room = BUF_TRIM_BYTES;
    bool done = true;
    if (now_ns < p->trim_ns)
        return;
    for (int c = 0; c < BUF_CLASSES; c++)
        done = give_back_rested(p, (enum buf_class)c, &room) && done;
    for (int c = 0; c < BUF_CLASSES && done; c++) {
        if (class_bytes[c] % p->page_bytes != 0)
            continue; /* with pages as large as that, others' bytes would go, too */
        p->classes[c].rested = p->classes[c].fresh;
        p->classes[c].fresh = NULL;
    }
    p->trim_ns = now_ns + (done ? BUF_REST_MS : BUF_TRIM_STEP_MS) * 1000000ull;
}
