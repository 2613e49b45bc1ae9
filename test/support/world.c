/* test/support/world.c — see world.h. */
#include "test/support/world.h"

#include <string.h>
#include <time.h>

#include "io/mailbox.h"
#include "test/support/pipe_stream.h"

static struct world *world_of(struct engine *e)
{
    return container_of(e, struct world, engine);
}

static void world_engine_turn(struct engine *e, uint64_t until)
{
    struct world *w = world_of(e);
    (void)until;
    w->now_ns += 1000000;
    w->worker.now_ns = w->now_ns;
    pipes_turn(w);
}

static uint64_t world_now(struct engine *e)
{
    return world_of(e)->now_ns;
}

static uint64_t world_wall(struct engine *e)
{
    return (uint64_t)(time(NULL) + world_of(e)->wall_offset_s) * 1000000000u;
}

static void world_random(struct engine *e, void *bytes, size_t len)
{
    struct world *w = world_of(e);
    for (size_t i = 0; i < len; i++) {
        w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)bytes)[i] = (uint8_t)(w->seed >> 56);
    }
}

static void world_wake(struct engine *e, unsigned worker)
{
    (void)e;
    (void)worker;
}

static void world_engine_free(struct engine *e)
{
    (void)e;
}

static const struct engine_ops ops = {
    .name = "test",
    .wake = world_wake,
    .turn = world_engine_turn,
    .now_ns = world_now,
    .wall_ns = world_wall,
    .random = world_random,
    .free = world_engine_free,
};

void world_init(struct world *w, const struct buf_limits *limits)
{
    static const struct buf_limits plenty = {
        .max = {4096, 512, 8}
    };
    memset(w, 0, sizeof(*w));
    w->now_ns = 1000000000;
    w->seed = 42;
    list_init(&w->pipes);
    w->engine.ops = &ops;
    w->engine.worker = &w->worker;
    ASSERT(mailboxes_new(1, 64, &w->mail) == 0);
    ASSERT(worker_init(&w->worker, 0, 1, w->mail, limits ? limits : &plenty) == 0);
    w->worker.engine = &w->engine;
    worker_start_clock(&w->worker);
}

void world_fini(struct world *w)
{
    ASSERT(list_empty(&w->pipes));
    ASSERT(list_empty(&w->worker.tasks));
    worker_fini(&w->worker);
    mailboxes_free(&w->mail);
}

void world_turn(struct world *w)
{
    worker_turn(&w->worker, 0);
}

void world_turns(struct world *w, int turns)
{
    while (turns-- > 0)
        world_turn(w);
}

uint64_t world_buffers_used(const struct world *w)
{
    uint64_t used = 0;
    for (int c = 0; c < BUF_CLASSES; c++)
        used += w->worker.bufs.classes[c].used;
    return used;
}
