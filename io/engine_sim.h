/* io/engine_sim.h — the deterministic engine, and the world that turns its workers: several workers in one
 * thread, over the network of sim_net.h, under a seed.
 *
 * A worker is set up as for any engine (worker_init, engine_sim_new, worker_start_clock) and then turned by
 * sim_world_run(), which stands for the kernel's scheduler: it picks who runs next by chance, lets a worker
 * sleep exactly as worker_run() would (announced to its mailboxes, bounded by timers), and moves the clock
 * when nobody can run. For tests, also those of programs that embed the library.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/engine.h"
#include "io/sim_net.h"

struct sim_world;

MUST_USE int sim_world_new(uint64_t seed, const struct sim_faults *, struct sim_world **ret);
/* 0 or -ENOMEM. */
void sim_world_free(struct sim_world **);
/* After worker_fini() of every worker. Asserts that no socket is left. */
struct sim_net *sim_world_net(struct sim_world *);

MUST_USE int engine_sim_new(struct sim_world *, struct worker *, struct engine **ret);
/* 0 or -ENOMEM. The worker's `peers` must be set before its first turn. */

void sim_world_turn_by(struct worker *, void (*turn)(struct worker *, uint64_t wait_limit_ns));
/* The worker is turned by this instead of worker_turn(): for owners that have work of their own around it. */
void sim_world_hold(struct sim_world *, const struct worker *, uint64_t duration_ns);
/* The worker does not turn for that long, whatever waits for it. */
bool sim_world_run(struct sim_world *, uint64_t until_ns, bool (*done)(void *), void *arg);
/* Turns workers and moves time until `done` (may be NULL) says true, or the time is reached: then false. */
