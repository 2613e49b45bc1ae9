/* test/support/poll_engine.h — a small engine on poll(): time, randomness, watches, wakes and turns, no
 * sockets.
 *
 * For unit tests of io/ that need a real worker but neither io_uring nor the simulator. Several workers may
 * each have one, in one thread or in several. listen, dial, adopt and refuse abort.
 */
#pragma once

#include <stdint.h>

#include "io/attributes.h"

struct engine;
struct worker;

enum { POLL_WATCHES_MAX = 64 };

MUST_USE int poll_engine_new(struct worker *, struct engine **ret);
/* 0 or -errno. worker->peers must be set before the first wake. */
void poll_engine_skip(struct engine *, uint64_t ns);
/* The engine's clock jumps forward from here on: caches expire and timers fall due without waiting. */
uint64_t poll_engine_wakes(const struct engine *);
/* Times that this engine was woken. */
