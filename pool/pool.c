/* pool/pool.c — see pool.h: who gets which connection, and when to dial.
 *
 * A lease takes the newest idle connection, so that few stay hot and the rest age out. Without one it becomes
 * a waiter; at the end of the turn the endpoint dials until every waiter has a dial or a limit is met.
 * Whatever comes first, a finished dial or a connection given back, goes to the oldest waiter. Answers are
 * given at the end of the turn too: a lessee is never called from inside its own call.
 *
 * Some connections are shared (HTTP/2): pool_sharing says so of each new one and keeps a session for it.
 * Leases gather on the newest with room, and one dial stands for as many waiters as will share what it
 * brings. Whether an endpoint shares is not known before its first connection, so until then there is one
 * dial: a storm of first requests costs a peer that shares one handshake, and one that does not the time of
 * one.
 *
 * It refuses to know bytes: retrying and judging what a lost connection means for a request is the lessee's.
 */
#include "pool/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool_priv.h"

static void settle(struct task *t)
{
    struct pool *pool = container_of(t, struct pool, settle);
    demand_feed(pool);
    demand_warm(pool);
    lease_answer_all(pool);
    while (!list_empty(&pool->dead))
        conn_reap(list_entry(pool->dead.next, struct conn, node));
}

/* -- what connections report --------------------------------------------------------------------------------
 */

static const char *breaker_detail(const struct endpoint *e, char detail[POOL_DETAIL_MAX])
{
    snprintf(detail, POOL_DETAIL_MAX, "last failure: %.140s", e->health.detail);
    return detail;
}

static void refuse_waiters(struct endpoint *e)
{
    char detail[POOL_DETAIL_MAX];
    lease_fail_all(e, ENDING_BREAKER_OPEN, breaker_detail(e, detail));
}

/* One dial stands for the one who has waited longest, or for all who would have shared what it brought. */
void pool_on_dial_failed(struct endpoint *e, enum ending ending, const char *detail, bool opened_breaker)
{
    uint32_t others = endpoint_dials(e) > 0 ? endpoint_dials(e) - 1 : 0;
    uint64_t covered = (uint64_t)others * e->shares;
    uint64_t count = e->waiting > covered ? e->waiting - covered : 0;
    if (count > e->shares)
        count = e->shares;
    do {
        struct lease *l = lease_oldest(e, true);
        if (l)
            lease_fail(e->pool, l, ending, detail);
    } while (count > 0 && --count > 0);
    if (opened_breaker)
        refuse_waiters(e);
    demand_note(e);
}

static struct conn *newest_usable(struct endpoint *e)
{
    while (!list_empty(&e->conns[CONN_IDLE])) {
        struct conn *c = list_entry(e->conns[CONN_IDLE].next, struct conn, node);
        if (conn_is_usable(c))
            return c;
        bool aged = e->pool->worker->now_ns >= c->age_until_ns;
        conn_retire(c, aged ? ENDING_AGED : ENDING_IDLE_TIMEOUT);
    }
    return NULL;
}

static struct conn *newest_with_room(struct endpoint *e)
{
    for (struct list *n = e->conns[CONN_SHARED].next; n != &e->conns[CONN_SHARED]; n = n->next)
        if (conn_room(list_entry(n, struct conn, node)) > 0)
            return list_entry(n, struct conn, node);
    return NULL;
}

/* The newest with room, so that few are full and the rest become idle. */
static struct conn *find(struct endpoint *e)
{
    struct conn *shared = newest_with_room(e);
    return shared ? shared : newest_usable(e);
}

void pool_serve(struct lease *l, struct conn *c)
{
    lease_promise(c->endpoint->pool, l, c);
    demand_served(c->endpoint);
}

/* A connection that nobody waits for. */
static void keep(struct conn *c)
{
    struct endpoint *e = c->endpoint;
    if (e->pool->draining) {
        conn_retire(c, ENDING_DRAINING);
    } else if (e->retired || (endpoint_is_single_use(e) && e->counts[CONN_IDLE] > demand_spares(e))) {
        conn_retire(c, ENDING_CANCELLED);
    } else {
        c->how = LEASE_REUSED;
        conn_watch(c); /* a spare was only bound so far */
    }
}

/* A shared one to whom there is room for, the oldest first. */
static void place_shared(struct conn *c)
{
    bool fresh = c->how != LEASE_REUSED;
    struct lease *l;
    while (conn_room(c) > 0 && (l = lease_oldest(c->endpoint, fresh)))
        pool_serve(l, c);
    c->how = LEASE_REUSED;
}

/* An idle connection of ours finds its place: with the oldest waiter, or nowhere, or on the idle list. */
static void place(struct conn *c)
{
    struct lease *l = lease_oldest(c->endpoint, c->how != LEASE_REUSED);
    if (l)
        pool_serve(l, c);
    else
        keep(c);
}

void pool_on_dialled(struct conn *c)
{
    if (c->state == CONN_SHARED)
        place_shared(c);
    else
        place(c);
    demand_note(c->endpoint); /* a breaker that was closed by this may have held back others */
}

void pool_on_shares(struct conn *c)
{
    place_shared(c);
    demand_note(c->endpoint);
}

/* Who waited for this very connection has his answer: another dial would end likewise. */
static void break_promise(struct lease *l, struct conn *c, enum ending ending, const char *what)
{
    struct endpoint *e = c->endpoint;
    struct pool *pool = e->pool;
    bool was_new = c->state == CONN_SHARED ? l->asked_ns < c->ready_ns : l->how != LEASE_REUSED;
    lease_take_back(pool, l);
    struct conn *other = was_new ? NULL : find(e);
    if (was_new)
        lease_fail(pool, l, ending, what);
    else if (other)
        pool_serve(l, other);
    else
        lease_wait(pool, l, true);
}

void pool_on_broken_promise(struct conn *c, enum ending ending, const char *what)
{
    struct endpoint *e = c->endpoint;
    break_promise(c->promised, c, ending, what);
    if (health_refuses(&e->health, e->pool->worker->now_ns))
        refuse_waiters(e);
    demand_note(e);
}

static void break_shared_promises(struct conn *c, enum ending ending)
{
    struct endpoint *e = c->endpoint;
    struct lease *l;
    c->shares_max = 0; /* none of them finds it again */
    while ((l = lease_promised(e->pool, c))) {
        break_promise(l, c, ending, "the destination closed before it was asked");
        conn_share_end(c);
    }
    if (health_refuses(&e->health, e->pool->worker->now_ns))
        refuse_waiters(e);
    demand_note(e);
}

/* -- leases -------------------------------------------------------------------------------------------------
 */

static void wait_for_connection(struct pool *pool, struct endpoint *e, struct lease *l)
{
    uint32_t held = endpoint_conns(e) - endpoint_dials(e);
    lease_wait(pool, l, false);
    if (!endpoint_is_single_use(e) &&
        held + endpoint_dials_needed(e) > pool->options.limits.conns_per_endpoint_max)
        counter_add(pool->worker, COUNTER_lease_waited, 1);
    demand_note(e);
}

/* A tunnel's client is told at once that there is no place, rather than late. Who waited before goes before.
 */
static void dial_at_once(struct pool *pool, struct endpoint *e, struct lease *l)
{
    char detail[POOL_DETAIL_MAX];
    wait_for_connection(pool, e, l);
    demand_feed(pool);
    if (l->answered || e->waiting <= endpoint_dials(e))
        return;
    if (health_refuses(&e->health, pool->worker->now_ns)) { /* a dial for somebody else is the probe */
        lease_fail(pool, l, ENDING_BREAKER_OPEN, breaker_detail(e, detail));
        return;
    }
    snprintf(detail, sizeof(detail), "%u connections are being made, as many as may be at a time",
             pool->dials);
    lease_fail(pool, l, ENDING_LIMIT, detail);
}

/* Those for whom a connection is being made, or can be, do not stand in the queue: how many find a place in
 * it does not depend on how fast dials are. */
static bool queue_is_full(const struct endpoint *e)
{
    const struct pool_limits *limits = &e->pool->options.limits;
    uint32_t conns = endpoint_conns(e), most = limits->conns_per_endpoint_max;
    uint32_t coming = endpoint_is_single_use(e) ? 0 : endpoint_dials(e) + (conns < most ? most - conns : 0);
    return e->waiting >= limits->waiters_per_endpoint_max + coming;
}

void pool_lease(struct pool *pool, const struct endpoint_key *key, struct lease *l, uint64_t deadline_ns)
{
    char detail[POOL_DETAIL_MAX];
    ASSERT(l->endpoint == NULL);
    struct endpoint *e = endpoint_get(pool, key);
    lease_begin(pool, l, e, deadline_ns);
    if (!e) {
        lease_fail(pool, l, ENDING_LIMIT, "too many destinations are in use");
        return;
    }
    e->requests++;
    struct conn *c = l->fresh || pool->draining ? NULL : find(e);
    if (c) {
        pool_serve(l, c);
    } else if (pool->draining) {
        lease_fail(pool, l, ENDING_DRAINING, ending_text(ENDING_DRAINING));
    } else if (health_refuses(&e->health, pool->worker->now_ns)) {
        lease_fail(pool, l, ENDING_BREAKER_OPEN, breaker_detail(e, detail));
    } else if (l->at_once && endpoint_is_single_use(e)) {
        dial_at_once(pool, e, l);
    } else if (queue_is_full(e)) {
        lease_fail(pool, l, ENDING_QUEUE_FULL, ending_text(ENDING_QUEUE_FULL));
    } else {
        wait_for_connection(pool, e, l);
    }
}

void pool_cancel(struct pool *pool, struct lease *l)
{
    if (!lease_is_pending(l))
        return;
    if (l->conn)
        pool_give_back(pool, &(struct conn *){lease_take_back(pool, l)});
    lease_forget(pool, l);
}

static void give_back_share(struct conn *c)
{
    conn_share_end(c);
    pool_on_shares(c);
}

void pool_give_back(struct pool *pool, struct conn **conn)
{
    struct conn *c = *conn;
    *conn = NULL;
    if (c->state == CONN_SHARED) {
        give_back_share(c);
        return;
    }
    ASSERT(c->state == CONN_LEASED);
    ASSERT(c->promised == NULL);
    (void)pool;
    if (endpoint_is_single_use(c->endpoint)) {
        conn_retire(c, ENDING_CANCELLED);
        return;
    }
    if (!conn_is_usable(c)) {
        conn_retire(c, ENDING_AGED);
        return;
    }
    c->how = LEASE_REUSED;
    conn_watch(c);
    conn_set_state(c, CONN_IDLE);
    place(c);
    demand_note(c->endpoint);
}

static void judge(struct conn *c, enum ending reason)
{
    struct endpoint *e = c->endpoint;
    if (!health_counts(reason, HEALTH_LEASED))
        return;
    if (health_failed(&e->health, e->pool->worker, &e->pool->options.limits, reason, ending_text(reason)))
        refuse_waiters(e);
}

void pool_discard(struct pool *pool, struct conn **conn, enum ending reason)
{
    struct conn *c = *conn;
    *conn = NULL;
    if (c->state == CONN_SHARED) { /* the way to the endpoint is for its session to judge */
        give_back_share(c);
        return;
    }
    ASSERT(c->state == CONN_LEASED);
    ASSERT(c->promised == NULL);
    (void)pool;
    judge(c, reason);
    if (reason == ENDING_DONE)
        conn_retire(c, reason);
    else
        conn_abort(c, reason);
}

void pool_lost(struct pool *pool, struct conn **conn, enum ending reason)
{
    struct conn *c = *conn;
    *conn = NULL;
    ASSERT(c->state == CONN_LEASED || c->state == CONN_SHARED);
    ASSERT(c->promised == NULL);
    (void)pool;
    judge(c, reason);
    if (c->state == CONN_SHARED)
        break_shared_promises(c, reason);
    conn_lost(c, reason);
}

/* -- the pool -----------------------------------------------------------------------------------------------
 */

static uint32_t product(uint64_t a, uint64_t b)
{
    return a * b < UINT32_MAX ? (uint32_t)(a * b) : UINT32_MAX;
}

static int make_transports(struct pool *pool)
{
    const struct pool_options *options = &pool->options;
    int rc = transport_direct_new(pool->worker, options, &pool->direct);
    if (rc < 0)
        return rc;
    struct transport *const ways[POOL_WAYS] = {
        [POOL_WAY_DIRECT] = pool->direct, [POOL_WAY_AGENT] = options->agents};
    rc = transport_path_new(pool->worker, ways, &pool->by_path);
    if (rc < 0)
        pool->direct->ops->free(&pool->direct);
    return rc;
}

int pool_new(struct worker *w, const struct pool_options *options, struct pool **ret)
{
    const struct pool_limits *limits = &options->limits;
    ASSERT(w->pool == NULL); /* tickets find their pool by the worker */
    struct pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        goto no_pool;
    pool->worker = w;
    pool->options = *options;
    list_init(&pool->dead);
    for (unsigned way = 0; way < POOL_WAYS; way++)
        list_init(&pool->hungry[way]);
    list_init(&pool->queued);
    list_init(&pool->served);
    list_init(&pool->answers);
    task_init(&pool->settle, settle);
    /* Bounded by the cap of each endpoint, and of single-use ones by their lessees. */
    slab_init(&pool->conns, "connections", sizeof(struct conn), UINT32_MAX);
    slab_init(&pool->details, "details of failures", POOL_DETAIL_MAX, UINT32_MAX);
    ticket_store_init(&pool->tickets, w, product(limits->endpoints_max, limits->tickets_per_endpoint_max));
    if (endpoint_table_init(&pool->endpoints, limits->endpoints_max) != 0)
        goto no_table;
    pool->by_stream_mask = pool->endpoints.buckets_mask;
    pool->by_stream = calloc(pool->by_stream_mask + 1u, sizeof(*pool->by_stream));
    if (!pool->by_stream)
        goto no_streams;
    if (make_transports(pool) != 0)
        goto no_transport;
    w->pool = pool;
    *ret = pool;
    return 0;

no_transport:
    free(pool->by_stream);
no_streams:
    endpoint_table_fini(pool);
no_table:
    free(pool);
no_pool:
    if (options->agents)
        options->agents->ops->free(&(struct transport *){options->agents});
    return -ENOMEM;
}

/* Those that nobody uses; shared ones that somebody does go with their last lease. */
void pool_retire_unused(struct endpoint *e, enum ending reason)
{
    while (!list_empty(&e->conns[CONN_IDLE]))
        conn_retire(list_entry(e->conns[CONN_IDLE].next, struct conn, node), reason);
    list_each_safe(n, tmp, &e->conns[CONN_SHARED])
    {
        struct conn *c = list_entry(n, struct conn, node);
        if (c->shares == 0)
            conn_retire(c, reason);
    }
}

static void give_up_dials(struct endpoint *e, enum ending reason)
{
    for (enum conn_state state = CONN_DIALLING; state <= CONN_TLS; state++)
        while (!list_empty(&e->conns[state]))
            conn_abort(list_entry(e->conns[state].next, struct conn, node), reason);
}

void pool_drain(struct pool *pool)
{
    pool->draining = true;
    list_each_safe(n, tmp, &pool->endpoints.all)
    {
        struct endpoint *e = list_entry(n, struct endpoint, all_node);
        lease_fail_all(e, ENDING_DRAINING, ending_text(ENDING_DRAINING));
        give_up_dials(e, ENDING_DRAINING);
        pool_retire_unused(e, ENDING_DRAINING);
    }
}

bool pool_is_empty(const struct pool *pool)
{
    const struct transport *agents = pool->options.agents;
    return pool->conns.used == 0 && pool->leases_pending == 0 && pool->by_path->ops->is_idle(pool->by_path) &&
           pool->direct->ops->is_idle(pool->direct) && (!agents || agents->ops->is_idle(agents));
}

void pool_free(struct pool **pool)
{
    struct pool *p = *pool;
    ASSERT(pool_is_empty(p));
    *pool = NULL;
    p->worker->pool = NULL;
    task_cancel(&p->settle);
    p->by_path->ops->free(&p->by_path);
    p->direct->ops->free(&p->direct);
    if (p->options.agents)
        p->options.agents->ops->free(&p->options.agents);
    endpoint_table_fini(p);
    ticket_store_fini(&p->tickets);
    slab_fini(&p->conns);
    slab_fini(&p->details);
    free(p->by_stream);
    free(p->generations);
    free(p);
}

/* -- looking ------------------------------------------------------------------------------------------------
 */

void pool_each_endpoint(const struct pool *pool, bool (*visit)(const struct endpoint_status *, void *),
                        void *arg)
{
    for (const struct list *n = pool->endpoints.all.next; n != &pool->endpoints.all; n = n->next) {
        const struct endpoint *e = list_entry(n, struct endpoint, all_node);
        struct endpoint_status status = {
            .key = &e->key,
            .idle = e->counts[CONN_IDLE],
            .leased = e->counts[CONN_LEASED],
            .shared = e->counts[CONN_SHARED],
            .dialling = endpoint_dials(e),
            .waiters = e->waiting,
            .tickets = e->tickets.count,
            .breaker_open = e->health.breaker != BREAKER_CLOSED,
            .full = e->full,
            .resumed = e->resumed,
            .failed = e->failed,
            .requests = e->requests,
            .last_failure = e->health.last_failure,
        };
        for (const struct list *c = e->conns[CONN_SHARED].next; c != &e->conns[CONN_SHARED]; c = c->next)
            status.shares += list_entry(c, struct conn, node)->shares;
        memcpy(status.last_detail, e->health.detail, sizeof(status.last_detail));
        if (!visit(&status, arg))
            return;
    }
}
