/* io/worker.c — the loop of a worker, see worker.h. */
#include "io/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "io/engine.h"
#include "io/mailbox.h"

enum {
    CHAIN_MAX = 6,
    OVERFLOW_RETRY_NS = 250000, /* a frank guess: long against a turn, short against a request */
};

int worker_init(struct worker *w, unsigned number, unsigned count, struct mailboxes *mail,
                const struct buf_limits *limits)
{
    ASSERT(number < count && count <= WORKERS_MAX);
    memset(w, 0, sizeof(*w));
    w->number = number;
    w->count = count;
    w->mail = mail;
    w->cpu = -1;
    list_init(&w->tasks);
    buf_pool_init(&w->bufs, number, limits);
    int rc = log_buffer_init(&w->log);
    if (rc == 0)
        rc = log_buffer_init(&w->audit);
    if (rc < 0)
        log_buffer_fini(&w->log);
    return rc;
}

void worker_start_clock(struct worker *w)
{
    w->now_ns = w->engine->ops->now_ns(w->engine);
    timer_wheel_init(&w->timers, w->now_ns);
    w->engine->ops->random(w->engine, w->random_state, sizeof(w->random_state));
    w->random_state[0] |= 1; /* the generator must not start at all zeroes */
}

void worker_fini(struct worker *w)
{
    ASSERT(w->timers.armed == 0);
    log_flush(w);
    log_buffer_fini(&w->log);
    log_buffer_fini(&w->audit);
    if (w->engine)
        w->engine->ops->free(w->engine);
    w->engine = NULL;
    buf_pool_fini(&w->bufs);
}

static bool run_tasks(struct worker *w)
{
    struct list due;
    list_init(&due);
    list_splice_tail(&due, &w->tasks);
    struct list *node;
    bool any = false;
    while ((node = list_pop(&due))) {
        struct task *t = list_entry(node, struct task, node);
        t->run(t);
        any = true;
    }
    return any;
}

/* A request is a chain: message, lease, grant, encryption. Following it to its end in one turn saves a system
 * call for each link; the bound keeps a turn short. */
static void run_chains(struct worker *w)
{
    for (unsigned round = 0; round < CHAIN_MAX; round++) {
        unsigned delivered = mailbox_drain(w);
        bool ran = run_tasks(w);
        if (delivered == 0 && !ran)
            return;
    }
}

uint64_t worker_wait_until(struct worker *w, uint64_t limit_ns)
{
    if (limit_ns == 0 || !list_empty(&w->tasks))
        return 0;
    /* A receiver that is slow shall not make its senders spin: they look again after a while. */
    if (UNLIKELY(mailbox_is_overflowing(w)) && limit_ns > w->now_ns + OVERFLOW_RETRY_NS)
        limit_ns = w->now_ns + OVERFLOW_RETRY_NS;
    uint64_t next = timer_next_ns(&w->timers);
    return next < limit_ns ? next : limit_ns;
}

void worker_turn(struct worker *w, uint64_t wait_limit_ns)
{
    uint64_t until = worker_wait_until(w, wait_limit_ns);
    if (until != 0 && !mailbox_prepare_sleep(w))
        until = 0;
    w->engine->ops->turn(w->engine, until);
    mailbox_awake(w);
    counter_add(w, COUNTER_turns, 1);
    timer_advance(&w->timers, w->now_ns);
    run_chains(w);
    mailbox_flush(w);
    log_flush(w);
    buf_pool_trim(&w->bufs, w->now_ns);
}

void worker_run(struct worker *w)
{
    while (!atomic_load_explicit(&w->stop, memory_order_relaxed))
        worker_turn(w, w->now_ns + WORKER_WAIT_MAX_MS * 1000000ull);
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;
    if (w->cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)w->cpu, &set);
        if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
            w->cpu = -1;
    }
    char name[16];
    snprintf(name, sizeof(name), "hawser-%u", w->number);
    pthread_setname_np(pthread_self(), name);
    w->main(w);
    return NULL;
}

int worker_start_thread(struct worker *w, int cpu, void (*main)(struct worker *))
{
    w->cpu = cpu;
    w->main = main;
    return -pthread_create(&w->thread, NULL, thread_main, w);
}

void worker_stop_any_thread(struct worker *w)
{
    atomic_store_explicit(&w->stop, true, memory_order_relaxed);
}

void task_init(struct task *t, void (*run)(struct task *))
{
    t->run = run;
    list_init(&t->node);
}

void worker_defer(struct worker *w, struct task *t)
{
    if (list_empty(&t->node))
        list_add_tail(&w->tasks, &t->node);
}

static void deliver_seg_home(struct worker *w, struct msg *msg)
{
    ASSERT(msg->seg.buf->home == &w->bufs);
    buf_unref(msg->seg.buf);
}

void worker_release_seg(struct worker *w, struct seg seg)
{
    if (seg.buf->home == &w->bufs) {
        buf_unref(seg.buf);
        return;
    }
    struct msg msg = {.deliver = deliver_seg_home, .seg = seg};
    mailbox_post_lazy(w, seg.buf->home->worker, &msg);
}

/* xoshiro256**, by David Blackman and Sebastiano Vigna (public domain). */
uint64_t worker_random(struct worker *w)
{
    uint64_t *s = w->random_state;
    uint64_t x = s[1] * 5;
    uint64_t result = ((x << 7) | (x >> 57)) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 45) | (s[3] >> 19);
    return result;
}
