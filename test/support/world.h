/* test/support/world.h — one worker without a kernel: an engine that only knows pipes (pipe_stream.h), a
 * clock that a turn moves by a millisecond, and a seeded generator. */
#pragma once

#include "io/engine.h"
#include "io/list.h"
#include "io/worker.h"

struct world {
    struct worker worker;
    struct engine engine;
    struct mailboxes *mail;
    struct list pipes;
    uint64_t now_ns;
    int64_t wall_offset_s; /* added to the real time of day */
    uint64_t seed;
};

void world_init(struct world *, const struct buf_limits *);
/* NULL: plenty of buffers. */
void world_fini(struct world *);
/* Asserts what worker_fini() asserts: no timer, no buffer, and no pipe is left. */
void world_turn(struct world *);
void world_turns(struct world *, int turns);
uint64_t world_buffers_used(const struct world *);
