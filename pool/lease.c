/* pool/lease.c — see lease.h. The detail of a failure is copied into the lease, since what it is taken from
 * (the endpoint's health) may have changed when the answer is given. */
#include "pool/lease.h"

#include <stdio.h>

#include "pool/pool_priv.h"

bool lease_is_pending(const struct lease *l)
{
    return l->node.next && !list_empty(&l->node);
}

/* A dial is under way for the first waiters: one each, or as many as will share it. */
static bool is_covered(const struct lease *l)
{
    const struct endpoint *e = l->endpoint;
    uint32_t before = 0;
    for (const struct list *n = l->node.prev; n != &e->waiters; n = n->prev)
        before++;
    return before < (uint64_t)endpoint_dials(e) * e->shares;
}

static enum ending timeout_ending(const struct endpoint *e)
{
    if (e->counts[CONN_TLS] > 0)
        return ENDING_TLS_TIMEOUT;
    if (e->counts[CONN_QUEUED] > 0)
        return ENDING_QUEUE_TIMEOUT;
    return ENDING_CONNECT_TIMEOUT;
}

static void on_wait_over(struct timer *t)
{
    struct lease *l = container_of(t, struct lease, wait);
    struct pool *pool = l->endpoint->pool;
    struct endpoint *e = l->endpoint;
    bool covered = is_covered(l);
    if (covered && pool->worker->now_ns < l->deadline_ns) {
        timer_arm_at(&pool->worker->timers, &l->wait, l->deadline_ns);
        return;
    }
    if (covered)
        lease_fail(pool, l, timeout_ending(e), "the dial was still under way at the deadline");
    else if (endpoint_is_single_use(e))
        lease_fail(pool, l, ENDING_QUEUE_TIMEOUT, "too many other dials stayed under way");
    else
        lease_fail(pool, l, ENDING_QUEUE_TIMEOUT, "all connections to the destination stayed in use");
    demand_trim(e);
}

void lease_begin(struct pool *pool, struct lease *l, struct endpoint *e, uint64_t deadline_ns)
{
    list_init(&l->node);
    timer_init(&l->wait, on_wait_over);
    l->endpoint = e;
    l->conn = NULL;
    l->asked_ns = pool->worker->now_ns;
    l->deadline_ns = deadline_ns;
    l->answered = false;
    l->detail = NULL;
    l->queue_ns = l->dial_ns = l->tls_ns = 0;
    pool->leases_pending++;
}

void lease_wait(struct pool *pool, struct lease *l, bool first)
{
    struct endpoint *e = l->endpoint;
    uint64_t until = l->asked_ns + pool->options.limits.wait_ms * 1000000ull;
    if (first)
        list_add_head(&e->waiters, &l->node);
    else
        list_add_tail(&e->waiters, &l->node);
    e->waiting++;
    counter_add(pool->worker, COUNTER_pool_waiters, 1);
    timer_arm_at(&pool->worker->timers, &l->wait, until < l->deadline_ns ? until : l->deadline_ns);
}

static void waiters_leave(struct pool *pool, struct lease *l)
{
    list_remove(&l->node);
    timer_disarm(&pool->worker->timers, &l->wait);
    l->endpoint->waiting--;
    gauge_sub(pool->worker, COUNTER_pool_waiters, 1);
}

static void answers_enter(struct pool *pool, struct lease *l)
{
    if (!list_empty(&l->node))
        waiters_leave(pool, l);
    l->answered = true;
    list_add_tail(&pool->answers, &l->node);
    worker_defer(pool->worker, &pool->settle);
}

/* What it waited for: a place, the way to the peer, the handshake. A lease that took over a dial begun before
 * it asked counts only its own part. */
static void fill_durations(struct lease *l, const struct conn *c, uint64_t now)
{
    if (c->how != LEASE_REUSED) {
        uint64_t start = c->started_ns > l->asked_ns ? c->started_ns : l->asked_ns;
        if (c->connected_ns > start) {
            l->dial_ns = c->connected_ns - start;
            start = c->connected_ns;
        }
        if (c->ready_ns > start)
            l->tls_ns = c->ready_ns - start;
    }
    l->queue_ns = now - l->asked_ns - l->dial_ns - l->tls_ns;
}

void lease_promise(struct pool *pool, struct lease *l, struct conn *c)
{
    ASSERT(c->promised == NULL);
    l->conn = c;
    l->how = c->how;
    c->leases++;
    fill_durations(l, c, pool->worker->now_ns);
    answers_enter(pool, l);
    if (c->state == CONN_SHARED) {
        conn_share_begin(c);
        return;
    }
    c->promised = l;
    conn_set_state(c, CONN_LEASED);
}

struct conn *lease_take_back(struct pool *pool, struct lease *l)
{
    struct conn *c = l->conn;
    (void)pool;
    ASSERT(l->answered && c);
    ASSERT(c->promised == l || c->state == CONN_SHARED);
    list_remove(&l->node);
    l->answered = false;
    l->conn = NULL;
    c->promised = NULL;
    return c;
}

void lease_fail(struct pool *pool, struct lease *l, enum ending ending, const char *detail)
{
    ASSERT(!l->answered);
    l->ending = ending;
    l->detail = slab_take(&pool->details);
    if (l->detail)
        snprintf(l->detail, POOL_DETAIL_MAX, "%s", detail);
    l->queue_ns = pool->worker->now_ns - l->asked_ns;
    answers_enter(pool, l);
}

void lease_fail_all(struct endpoint *e, enum ending ending, const char *detail)
{
    while (!list_empty(&e->waiters))
        lease_fail(e->pool, lease_oldest(e, true), ending, detail);
}

static void drop_detail(struct pool *pool, char *detail)
{
    if (detail)
        slab_give(&pool->details, detail);
}

static void lease_end(struct pool *pool, struct lease *l)
{
    struct endpoint *e = l->endpoint;
    list_remove(&l->node);
    l->endpoint = NULL;
    pool->leases_pending--;
    if (e)
        endpoint_unpin(e);
}

void lease_forget(struct pool *pool, struct lease *l)
{
    ASSERT(l->conn == NULL);
    if (!l->answered && !list_empty(&l->node)) {
        waiters_leave(pool, l);
        demand_trim(l->endpoint);
    }
    drop_detail(pool, l->detail);
    l->detail = NULL;
    lease_end(pool, l);
}

static void answer(struct pool *pool, struct lease *l)
{
    struct worker *w = pool->worker;
    struct conn *c = l->conn;
    lease_end(pool, l);
    if (!c) {
        char *detail = l->detail;
        l->detail = NULL;
        counter_add(w, COUNTER_lease_failed, 1);
        l->failed(l, l->ending, detail ? detail : ending_text(l->ending));
        drop_detail(pool, detail);
        return;
    }
    l->conn = NULL;
    c->promised = NULL;
    counter_add(w, l->how == LEASE_REUSED ? COUNTER_lease_hit : COUNTER_lease_dialled, 1);
    phase_observe(w, PHASE_queue, l->queue_ns);
    l->granted(l, c, l->how);
}

void lease_answer_all(struct pool *pool)
{
    struct list now;
    struct list *node;
    list_init(&now);
    list_splice_tail(&now, &pool->answers);
    while ((node = list_pop(&now)))
        answer(pool, list_entry(node, struct lease, node));
    if (!list_empty(&pool->answers))
        worker_defer(pool->worker, &pool->settle);
}

struct lease *lease_promised(const struct pool *pool, const struct conn *c)
{
    for (const struct list *n = pool->answers.next; n != &pool->answers; n = n->next) {
        struct lease *l = list_entry(n, struct lease, node);
        if (l->conn == c)
            return l;
    }
    return NULL;
}

struct lease *lease_oldest(const struct endpoint *e, bool fresh_too)
{
    for (const struct list *n = e->waiters.next; n != &e->waiters; n = n->next) {
        struct lease *l = list_entry(n, struct lease, node);
        if (fresh_too || !l->fresh)
            return l;
    }
    return NULL;
}
