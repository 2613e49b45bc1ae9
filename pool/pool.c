/* pool/pool.c — see pool.h: who gets which connection, and when to dial.
 *
 * A lease takes the newest idle connection, so that few stay hot and the rest age out. Without one it becomes
 * a waiter; at the end of the turn the endpoint dials until every waiter has a dial or a limit is met.
 * Whatever comes first, a finished dial or a connection given back, goes to the oldest waiter. Answers are
 * given at the end of the turn too: a lessee is never called from inside its own call.
 *
 * It refuses to know bytes: retrying and judging what a lost connection means for a request is the lessee's.
 */
#include "pool/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool_priv.h"

/* -- dialling for waiters -----------------------------------------------------------------------------------
 */

static void make_hungry(struct endpoint *e)
{
    struct pool *pool = e->pool;
    if (e->waiting > 0 && list_empty(&e->hungry_node))
        list_add_tail(&pool->hungry, &e->hungry_node);
    if (!list_empty(&pool->hungry))
        worker_defer(pool->worker, &pool->settle);
}

/* At the cap, with somebody waiting for a dial: connections that linger need not be polite any longer.
 * Waiters beside idle connections are those who asked for a fresh one: the coldest make room for them. */
static void make_room(struct endpoint *e)
{
    uint32_t wanted = e->waiting - endpoint_dials(e), coming = 0;
    const struct list *closing = &e->conns[CONN_CLOSING];
    for (const struct list *n = closing->prev; n != closing && coming < wanted; n = n->prev, coming++) {
        struct conn *c = list_entry(n, struct conn, node);
        stream_abort(c->stream, c->ending);
    }
    for (; coming < wanted && e->counts[CONN_IDLE] > 0; coming++)
        conn_abort(list_entry(e->conns[CONN_IDLE].prev, struct conn, node), ENDING_CANCELLED);
}

static bool wants_dial(struct endpoint *e)
{
    if (e->waiting <= endpoint_dials(e) || health_refuses(&e->health, e->pool->worker->now_ns))
        return false;
    if (endpoint_is_single_use(e) || endpoint_conns(e) < e->pool->options.limits.conns_per_endpoint_max)
        return true;
    make_room(e);
    return false;
}

/* One dial an endpoint and round, so that one with many waiters does not take all. */
static void feed_hungry(struct pool *pool)
{
    while (!list_empty(&pool->hungry)) {
        struct endpoint *e = list_entry(pool->hungry.next, struct endpoint, hungry_node);
        if (wants_dial(e)) {
            if (pool->dials >= pool->options.limits.dials_in_flight_max)
                return;
            dial_begin(e);
            list_remove(&e->hungry_node);
            list_add_tail(&pool->hungry, &e->hungry_node);
        } else {
            list_remove(&e->hungry_node);
        }
    }
}

static void settle(struct task *t)
{
    struct pool *pool = container_of(t, struct pool, settle);
    feed_hungry(pool);
    lease_answer_all(pool);
    while (!list_empty(&pool->dead))
        conn_reap(list_entry(pool->dead.next, struct conn, node));
}

void pool_on_room(struct endpoint *e)
{
    make_hungry(e);
    worker_defer(e->pool->worker, &e->pool->settle);
}

/* What comes of a single-use dial is of no use to anybody but the one who waits for it: one too many is given
 * up, of those that came least far the newest. */
void pool_on_waiter_gone(struct endpoint *e)
{
    if (!endpoint_is_single_use(e))
        return;
    while (endpoint_dials(e) > e->waiting) {
        enum conn_state state = e->counts[CONN_DIALLING] > 0 ? CONN_DIALLING : CONN_TLS;
        conn_abort(list_entry(e->conns[state].next, struct conn, node), ENDING_CANCELLED);
    }
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

void pool_on_dial_failed(struct endpoint *e, enum ending ending, const char *detail, bool opened_breaker)
{
    struct lease *l = lease_oldest(e, true);
    if (l)
        lease_fail(e->pool, l, ending, detail);
    if (opened_breaker)
        refuse_waiters(e);
    make_hungry(e);
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

/* An idle connection of ours finds its place: with the oldest waiter, or nowhere, or on the idle list. */
static void place(struct conn *c)
{
    struct endpoint *e = c->endpoint;
    struct lease *l = lease_oldest(e, c->how != LEASE_REUSED);
    if (l)
        lease_promise(e->pool, l, c);
    else if (e->pool->draining)
        conn_retire(c, ENDING_DRAINING);
    else if (e->retired || endpoint_is_single_use(e))
        conn_retire(c, ENDING_CANCELLED);
    else
        c->how = LEASE_REUSED;
}

void pool_on_dialled(struct conn *c)
{
    place(c);
    make_hungry(c->endpoint); /* a breaker that was closed by this may have held back others */
}

void pool_on_broken_promise(struct conn *c, enum ending ending, const char *what)
{
    struct endpoint *e = c->endpoint;
    struct pool *pool = e->pool;
    struct lease *l = c->promised;
    bool was_new = l->how != LEASE_REUSED;
    lease_take_back(pool, l);
    struct conn *other = was_new ? NULL : newest_usable(e);
    if (was_new) /* another dial would end likewise */
        lease_fail(pool, l, ending, what);
    else if (other)
        lease_promise(pool, l, other);
    else
        lease_wait(pool, l, true);
    if (health_refuses(&e->health, pool->worker->now_ns))
        refuse_waiters(e);
    make_hungry(e);
}

/* -- leases -------------------------------------------------------------------------------------------------
 */

static void wait_for_connection(struct pool *pool, struct endpoint *e, struct lease *l)
{
    uint32_t held = endpoint_conns(e) - endpoint_dials(e);
    if (!endpoint_is_single_use(e) && held + e->waiting >= pool->options.limits.conns_per_endpoint_max)
        counter_add(pool->worker, COUNTER_lease_waited, 1);
    lease_wait(pool, l, false);
    make_hungry(e);
}

/* A tunnel's client is told at once that there is no place, rather than late. Who waited before goes before.
 */
static void dial_at_once(struct pool *pool, struct endpoint *e, struct lease *l)
{
    char detail[POOL_DETAIL_MAX];
    wait_for_connection(pool, e, l);
    feed_hungry(pool);
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

void pool_lease(struct pool *pool, const struct endpoint_key *key, struct lease *l, uint64_t deadline_ns)
{
    const struct pool_limits *limits = &pool->options.limits;
    char detail[POOL_DETAIL_MAX];
    ASSERT(l->endpoint == NULL);
    struct endpoint *e = endpoint_get(pool, key);
    lease_begin(pool, l, e, deadline_ns);
    if (!e) {
        lease_fail(pool, l, ENDING_LIMIT, "too many destinations are in use");
        return;
    }
    e->requests++;
    struct conn *c = l->fresh || pool->draining ? NULL : newest_usable(e);
    if (c) {
        lease_promise(pool, l, c);
    } else if (pool->draining) {
        lease_fail(pool, l, ENDING_DRAINING, ending_text(ENDING_DRAINING));
    } else if (health_refuses(&e->health, pool->worker->now_ns)) {
        lease_fail(pool, l, ENDING_BREAKER_OPEN, breaker_detail(e, detail));
    } else if (l->at_once && endpoint_is_single_use(e)) {
        dial_at_once(pool, e, l);
    } else if (e->waiting >= limits->waiters_per_endpoint_max) {
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

void pool_give_back(struct pool *pool, struct conn **conn)
{
    struct conn *c = *conn;
    *conn = NULL;
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
    make_hungry(c->endpoint);
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
    ASSERT(c->state == CONN_LEASED);
    ASSERT(c->promised == NULL);
    (void)pool;
    judge(c, reason);
    conn_lost(c, reason);
}

/* -- the pool -----------------------------------------------------------------------------------------------
 */

static uint32_t product(uint64_t a, uint64_t b)
{
    return a * b < UINT32_MAX ? (uint32_t)(a * b) : UINT32_MAX;
}

int pool_new(struct worker *w, const struct pool_options *options, struct pool **ret)
{
    const struct pool_limits *limits = &options->limits;
    ASSERT(w->pool == NULL); /* tickets find their pool by the worker */
    struct pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return -ENOMEM;
    pool->worker = w;
    pool->options = *options;
    list_init(&pool->dead);
    list_init(&pool->hungry);
    list_init(&pool->answers);
    task_init(&pool->settle, settle);
    /* Bounded by the cap of each endpoint, and of single-use ones by their lessees. */
    slab_init(&pool->conns, "connections", sizeof(struct conn), UINT32_MAX);
    ticket_store_init(&pool->tickets, w, product(limits->endpoints_max, limits->tickets_per_endpoint_max));
    if (endpoint_table_init(&pool->endpoints, limits->endpoints_max) != 0)
        goto no_table;
    pool->by_stream_mask = pool->endpoints.buckets_mask;
    pool->by_stream = calloc(pool->by_stream_mask + 1u, sizeof(*pool->by_stream));
    if (!pool->by_stream)
        goto no_streams;
    if (transport_direct_new(w, options, &pool->transport) != 0)
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
    return -ENOMEM;
}

static void retire_idle(struct endpoint *e, enum ending reason)
{
    while (!list_empty(&e->conns[CONN_IDLE]))
        conn_retire(list_entry(e->conns[CONN_IDLE].next, struct conn, node), reason);
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
        retire_idle(e, ENDING_DRAINING);
    }
}

bool pool_is_empty(const struct pool *pool)
{
    return pool->conns.used == 0 && pool->leases_pending == 0 &&
           pool->transport->ops->is_idle(pool->transport);
}

void pool_free(struct pool **pool)
{
    struct pool *p = *pool;
    ASSERT(pool_is_empty(p));
    *pool = NULL;
    p->worker->pool = NULL;
    task_cancel(&p->settle);
    p->transport->ops->free(&p->transport);
    endpoint_table_fini(p);
    ticket_store_fini(&p->tickets);
    slab_fini(&p->conns);
    free(p->by_stream);
    free(p->generations);
    free(p);
}

/* -- generations --------------------------------------------------------------------------------------------
 */

bool pool_generation_is_over(const struct pool *pool, const struct pool_profile *profile)
{
    for (uint32_t i = 0; i < pool->generations_count; i++)
        if (pool->generations[i].profile_id == profile->id)
            return profile->generation < pool->generations[i].generation;
    return false;
}

static void generation_set(struct pool *pool, uint32_t profile_id, uint32_t generation)
{
    for (uint32_t i = 0; i < pool->generations_count; i++) {
        if (pool->generations[i].profile_id != profile_id)
            continue;
        if (pool->generations[i].generation < generation)
            pool->generations[i].generation = generation;
        return;
    }
    struct pool_generation *more = realloc(pool->generations,
                                           (pool->generations_count + 1u) * sizeof(*pool->generations));
    ASSERT(more); /* a few bytes at a reload: not the place to live on half informed */
    pool->generations = more;
    more[pool->generations_count++] = (struct pool_generation){profile_id, generation};
}

void pool_retire_generation(struct pool *pool, uint32_t profile_id, uint32_t generation)
{
    generation_set(pool, profile_id, generation);
    list_each_safe(n, tmp, &pool->endpoints.all)
    {
        struct endpoint *e = list_entry(n, struct endpoint, all_node);
        if (e->retired || !pool_generation_is_over(pool, e->key.profile))
            continue;
        retire_idle(e, ENDING_CANCELLED);
        endpoint_retire(e);
    }
}

bool pool_uses_generation(const struct pool *pool, uint32_t profile_id, uint32_t generation)
{
    for (const struct list *n = pool->endpoints.all.next; n != &pool->endpoints.all; n = n->next) {
        const struct pool_profile *profile = list_entry(n, struct endpoint, all_node)->key.profile;
        if (profile->id == profile_id && profile->generation == generation)
            return true;
    }
    return false;
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
        memcpy(status.last_detail, e->health.detail, sizeof(status.last_detail));
        if (!visit(&status, arg))
            return;
    }
}
