/* io/uring_buffers.c — provided buffer rings. The kernel picks a buffer, the id tells which; the buffer then
 * belongs to whoever got the bytes and the id waits on a stack until uring_refill() gives it another buffer
 * from the worker's pool. So a slow consumer pins buffers of the pool, never ids of the ring. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "io/engine_uring.h"
#include "io/worker.h"

/* Entries: at least two rounds of completions for small messages; bulk needs fewer (facts: section 7). */
static const struct {
    uint32_t entries;
    enum buf_class class;
} shapes[GROUP_COUNT] = {
    [GROUP_SMALL] = {512, BUF_SMALL},
      [GROUP_BIG] = {64,  BUF_BIG  }
};

int uring_groups_init(struct uring *u)
{
    for (int g = 0; g < GROUP_COUNT; g++) {
        struct uring_group *group = &u->groups[g];
        group->entries = shapes[g].entries;
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

void uring_refill(struct uring *u)
{
    struct buf_pool *pool = &u->engine.worker->bufs;
    for (int g = 0; g < GROUP_COUNT; g++) {
        struct uring_group *group = &u->groups[g];
        int added = 0;
        while (group->empty_count > 0) {
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
    return u->groups[g].entries - u->groups[g].empty_count > u->groups[g].entries / 8;
}
