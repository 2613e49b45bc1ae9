/* io/worker.h — a worker is an island: one thread, one engine, its own timers, buffers, objects and counters.
 *
 * Workers of a group share nothing but mailboxes and immutable configuration. A turn is: submit and wait,
 * deliver events, drain the mailbox, fire timers, run deferred tasks, flush mail. worker_turn() is that one
 * turn, so a test can run several workers in one thread.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/buf.h"
#include "io/counters.h"
#include "io/list.h"
#include "io/log.h"
#include "io/slab.h"
#include "io/timer.h"

struct engine;
struct mailboxes;
struct worker;

enum { WORKERS_MAX = 64, WORKER_WAIT_MAX_MS = 250 };

/* Work put off until the caller has returned: later in the same turn. Embedded by its owner. */
struct task {
    struct list node;
    void (*run)(struct task *);
};

struct worker {
    unsigned number, count; /* this worker's number; workers in the group */
    struct engine *engine;
    struct mailboxes *mail;
    uint64_t now_ns; /* monotonic, read once per turn */
    struct timer_wheel timers;
    struct buf_pool bufs;
    struct list tasks;
    uint64_t random_state[4];
    struct log_buffer log, audit;
    struct log_buffer *log_line; /* the one of them with a line under construction, or NULL */
    struct counters counters;
    struct worker *const *peers; /* all workers of the group, by number; set before threads start */
    void *pool;                  /* the pool floor's per-worker object, or NULL */
    void *app;                   /* the broker's per-worker object */
    bool dirty_target[WORKERS_MAX];
    uint16_t dirty_targets[WORKERS_MAX];
    unsigned dirty_count;
    _Atomic bool stop;
    void (*main)(struct worker *);
    pthread_t thread;
    int cpu; /* pinned to, or -1 */
};

int worker_init(struct worker *, unsigned number, unsigned count, struct mailboxes *,
                const struct buf_limits *);
/* Everything but the engine, which the caller sets next; then worker_start_clock(). 0 or -ENOMEM. */
void worker_fini(struct worker *);
/* Frees the engine too. Asserts that all buffers are home and no timer is armed. */
void worker_start_clock(struct worker *);
/* First reading of time and randomness, after the engine is set. */

void worker_turn(struct worker *, uint64_t wait_limit_ns);
/* One turn; waits at most until wait_limit_ns (0: does not wait). */
uint64_t worker_wait_until(struct worker *, uint64_t limit_ns);
/* When the next turn must begin at the latest, by timers, tasks and mail that could not be sent; 0: at once.
 */
void worker_run(struct worker *);
/* Turns until worker_stop_any_thread(). */
int worker_start_thread(struct worker *, int cpu, void (*main)(struct worker *));
/* Runs main(worker) on a new thread pinned to `cpu` (-1: not pinned). 0 or -errno. */
void worker_stop_any_thread(struct worker *);

void task_init(struct task *, void (*run)(struct task *));
void worker_defer(struct worker *, struct task *);
/* Queues the task once; again before it ran: no effect. A task queued by a task may run in the same turn. */
static inline void task_cancel(struct task *t)
{
    list_remove(&t->node);
}

void worker_release_seg(struct worker *, struct seg);
/* Gives a segment back to its home worker, by message where that is another one. */
uint64_t worker_random(struct worker *);
/* Fast generator for jitter and placement; not fit for keys. */

static inline void worker_arm_ms(struct worker *w, struct timer *t, uint64_t ms)
{
    timer_arm_at(&w->timers, t, w->now_ns + ms * 1000000u);
}

static inline void worker_disarm(struct worker *w, struct timer *t)
{
    timer_disarm(&w->timers, t);
}

static inline void counter_add(struct worker *w, enum counter c, uint64_t n)
{
    /* Single writer: a relaxed load and store, so that any thread may read without tearing. */
    _Atomic uint64_t *v = &w->counters.values[c];
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void gauge_sub(struct worker *w, enum counter c, uint64_t n)
{
    counter_add(w, c, (uint64_t)-n);
}
