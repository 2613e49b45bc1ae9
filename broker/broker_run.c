/* broker/broker_run.c — a broker at work, and its draining.
 *
 * Draining: every worker stops listening, ends idle clients, lets exchanges finish and the pool empty; then
 * agents, which may carry what is in either, are sent away. A worker that has nothing left goes on turning
 * until all have, because others may still send buffers home to it. After drainMs what is left is aborted.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/credentials.h"
#include "broker/front.h"
#include "broker/kube/kube.h"
#include "broker/reload.h"
#include "io/engine.h"
#include "io/tls/tls.h"
#include "io/worker.h"

int broker_open(struct broker *b, char *ret_detail, size_t detail_size)
{
    for (unsigned i = 0; i < b->count; i++) {
        int rc = front_listeners_start(&b->states[i]);
        if (rc < 0) {
            snprintf(ret_detail, detail_size, "a listener could not be opened: %s", strerror(-rc));
            return rc;
        }
    }
    if (b->kube)
        kube_open(b->kube);
    return 0;
}

static bool is_kubes_home(const struct broker_worker *bw)
{
    return bw->broker->kube && kube_home(bw->broker->kube) == bw->worker->number;
}

static void abort_all(struct broker_worker *bw)
{
    list_each_safe(node, tmp, &bw->fronts)
        front_abort(list_entry(node, struct front_conn, node), ENDING_DRAINING);
    list_each_safe(node, tmp, &bw->agent_fronts)
        front_abort(list_entry(node, struct front_conn, node), ENDING_DRAINING);
    list_each_safe(node, tmp, &bw->exchanges_open) exchange_give_up(list_entry(node, struct exchange, node));
    if (is_kubes_home(bw))
        kube_abandon(bw->broker->kube);
}

static void on_drain_deadline(struct timer *t)
{
    struct broker_worker *bw = container_of(t, struct broker_worker, drain_timer);
    abort_all(bw);
    worker_arm_ms(bw->worker, t, 1000); /* what was aborted may have let others in meanwhile */
}

void drain_init(struct broker_worker *bw)
{
    timer_init(&bw->drain_timer, on_drain_deadline);
}

static void drain_begin(struct broker_worker *bw)
{
    bw->draining = true;
    if (is_kubes_home(
            bw)) /* agents hear of it first: they shall look for another server while this one serves */
        kube_drain(bw->broker->kube);
    front_listeners_stop(bw);
    list_each_safe(node, tmp, &bw->fronts) front_drain(list_entry(node, struct front_conn, node));
    worker_arm_ms(bw->worker, &bw->drain_timer, bw->broker->config->timeouts.drain_ms);
}

static bool is_empty(struct broker_worker *bw)
{
    return list_empty(&bw->fronts) && list_empty(&bw->exchanges_open) && bw->egresses.used == 0 &&
           bw->token_asks.used == 0 && (!is_kubes_home(bw) || kube_is_idle(bw->broker->kube));
}

/* Only now: a GOAWAY makes an agent drop all that it carries. */
static bool agents_have_left(struct broker_worker *bw)
{
    if (!bw->agents_drained) {
        bw->agents_drained = true;
        list_each_safe(node, tmp, &bw->agent_fronts) front_drain(list_entry(node, struct front_conn, node));
    }
    return list_empty(&bw->agent_fronts);
}

void broker_turn(struct broker *b, unsigned number, uint64_t wait_limit_ns)
{
    struct broker_worker *bw = &b->states[number];
    worker_turn(bw->worker, wait_limit_ns);
    struct credentials *newest = atomic_load_explicit(&b->credentials, memory_order_acquire);
    if (UNLIKELY(newest != bw->credentials))
        credentials_adopt(bw, newest);
    if (LIKELY(!atomic_load_explicit(&b->draining, memory_order_relaxed)))
        return;
    if (!bw->draining) { /* the next turn hears of the cancelled accepts: only this thread can */
        drain_begin(bw);
        return;
    }
    if (!is_empty(bw) || bw->drained)
        return;
    if (!bw->fronts_drained) { /* other workers' exchanges may need the pool until here */
        bw->fronts_drained = true;
        atomic_fetch_add(&b->fronts_drained, 1);
    }
    if (atomic_load(&b->fronts_drained) < b->count)
        return;
    pool_drain(bw->pool);
    if (!pool_is_empty(bw->pool))
        return;
    if (!bw->pool_drained) { /* and other workers' pools may have connections through agents of this one */
        bw->pool_drained = true;
        atomic_fetch_add(&b->pools_drained, 1);
    }
    if (atomic_load(&b->pools_drained) < b->count || !agents_have_left(bw))
        return;
    worker_disarm(bw->worker, &bw->drain_timer);
    bw->drained = true;
    atomic_fetch_add(&b->drained, 1);
}

static void worker_main(struct worker *w)
{
    struct broker_worker *bw = broker_worker_of(w);
    while (!broker_is_drained_any_thread(bw->broker))
        broker_turn(bw->broker, w->number, w->now_ns + WORKER_WAIT_MAX_MS * 1000000ull);
    tls_thread_fini();
    reload_wake_any_thread(bw->broker->reload);
}

static int cpu_of(unsigned worker)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return -1;
    int wanted = (int)worker % CPU_COUNT(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((size_t)cpu, &set) && wanted-- == 0)
            return cpu;
    return -1;
}

int broker_run(struct broker *b)
{
    unsigned started = 0;
    int rc = 0;
    for (; started < b->count && rc == 0; started++)
        rc = worker_start_thread(&b->workers[started], cpu_of(started), worker_main);
    if (rc < 0) { /* those that run cannot drain without those that do not: nothing was accepted yet, so just
                     stop */
        log_any_thread(LOG_ERROR, "thread_failed", "worker %u: %s", started - 1, strerror(-rc));
        _exit(1);
    }
    while (!broker_is_drained_any_thread(b))
        reload_wait(b->reload);
    for (unsigned i = 0; i < b->count; i++)
        pthread_join(b->workers[i].thread, NULL);
    return 0;
}

void broker_drain_any_thread(struct broker *b)
{
    atomic_store(&b->draining, true);
}

void broker_reload_any_thread(struct broker *b)
{
    reload_ask_any_thread(b->reload);
}

bool broker_is_drained_any_thread(const struct broker *b)
{
    return atomic_load(&b->drained) == b->count;
}
