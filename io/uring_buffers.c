/* io/uring_buffers.c — provided buffer rings. The kernel picks a buffer, the id tells which; the buffer then
 * belongs to whoever got the bytes and the id waits on a stack until uring_refill() gives it another buffer
 * from the worker's pool. So a slow consumer pins buffers of the pool, never ids of the ring.
 *
 * A ring is a queue: each of its buffers is used once before one is used again. It is therefore kept no
 * deeper than twice what a turn takes, or every receive would write to memory that has long left the cache:
 * bench/run --only W8 shows it where bytes go up. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "io/engine_uring.h"
#include "io/worker.h"

enum { PEAK_MS = 1000 /* for so long a turn that took much is remembered; a guess */ };

/* Entries: at least two rounds of completions for small messages; of bulk, a megabyte a turn. */
static const struct {
    uint32_t entries, depth_min; /* powers of two; at the least 512 KiB for bulk, half of a small cache */
    enum buf_class class;
} shapes[GROUP_COUNT] = {
    [GROUP_SMALL] = {512, 64, BUF_SMALL},
      [GROUP_BIG] = {16,  8,  BUF_BIG  }
};

int uring_groups_init(struct uring *u)
{
    for (int g = 0; g < GROUP_COUNT; g++) {
        struct uring_group *group = &u->groups[g];
        group->entries = shapes[g].entries;
        group->depth = shapes[g].depth_min;
        group->class = shapes[g].class;
        group->ring_bytes = group->entries * sizeof(struct io_uring_buf);
        void *mem = mmap(NULL, group->ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mem == MAP_FAILED)
            return -ENOMEM;
        group->ring = mem;
        group->bufs = calloc(group->entries, sizeof(struct buf *));
        group->empty = calloc(group->entries, sizeof(*group->empty));
        if (!group->bufs || !group->empty)
            return -ENOMEM;
        io_uring_buf_ring_init(group->ring);
        struct io_uring_buf_reg reg = {
            .ring_addr = (uintptr_t)mem, .ring_entries = group->entries, .bgid = (uint16_t)g};
        int rc = io_uring_register_buf_ring(&u->ring, &reg, 0);
        if (rc < 0)
            return rc;
        while (group->empty_count < group->entries) {
            group->empty[group->empty_count] = (uint16_t)group->empty_count;
            group->empty_count++;
        }
    }
    return 0;
}

void uring_groups_fini(struct uring *u)
{
    for (int g = 0; g < GROUP_COUNT; g++) {
        struct uring_group *group = &u->groups[g];
        for (uint32_t i = 0; group->bufs && i < group->entries; i++)
            if (group->bufs[i])
                buf_unref(group->bufs[i]);
        free(group->bufs);
        free(group->empty);
        if (group->ring)
            munmap(group->ring, group->ring_bytes);
    }
}

static uint32_t held(const struct uring_group *group)
{
    return group->entries - group->empty_count;
}

/* Deeper at once when a turn took more than half, shallower when none did for a while. */
static void set_depth(struct uring_group *group, uint32_t depth_min, uint64_t now_ns)
{
    uint32_t taken = group->depth > held(group) ? group->depth - held(group) : 0;
    if (taken > group->peak)
        group->peak = taken;
    if (taken > group->depth / 2 && group->depth < group->entries) {
        group->depth *= 2;
    } else if (now_ns >= group->peak_until_ns) {
        if (group->peak <= group->depth / 4 && group->depth > depth_min)
            group->depth /= 2;
        group->peak = 0;
        group->peak_until_ns = now_ns + PEAK_MS * 1000000ull;
    }
}

void uring_refill(struct uring *u)
{
    struct worker *w = u->engine.worker;
    struct buf_pool *pool = &w->bufs;
    for (int g = 0; g < GROUP_COUNT; g++) {
        struct uring_group *group = &u->groups[g];
        int added = 0;
        set_depth(group, shapes[g].depth_min, w->now_ns);
        while (held(group) < group->depth) {
            struct buf *b = buf_get(pool, group->class);
            if (!b)
                break;
            uint16_t id = group->empty[--group->empty_count];
            group->bufs[id] = b;
            io_uring_buf_ring_add(group->ring, b->mem, b->cap, id, io_uring_buf_ring_mask(group->entries),
                                  added++);
        }
        if (added > 0)
            io_uring_buf_ring_advance(group->ring, added);
    }
}

struct buf *uring_take_buffer(struct uring *u, enum uring_group_id g, uint16_t id, uint32_t len)
{
    struct uring_group *group = &u->groups[g];
    ASSERT(id < group->entries && group->bufs[id] != NULL);
    struct buf *b = group->bufs[id];
    ASSERT(len <= b->cap);
    group->bufs[id] = NULL;
    group->empty[group->empty_count++] = id;
    return b;
}

bool uring_group_has_buffers(const struct uring *u, enum uring_group_id g)
{
    /* An eighth must be there before a starved socket tries again: an empty ring answers at once, and would
     * spin. */
    return held(&u->groups[g]) > u->groups[g].depth / 8;
}
