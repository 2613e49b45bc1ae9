/* pool/pool_check.c — every invariant of a pool, by walking all of it. For tests and debug builds: it costs a
 * visit to each object. Gauges are compared as a pool alone on its worker keeps them. */
#include <string.h>

#include "pool/pool_priv.h"

struct sums {
    uint32_t endpoints, conns[CONN_STATES], places, shares, waiters, answers, tickets, breakers, hungry;
};

static uint64_t gauge(const struct pool *pool, enum counter c)
{
    return atomic_load_explicit(&pool->worker->counters.values[c], memory_order_relaxed);
}

static uint32_t check_conns(const struct endpoint *e, struct sums *sums)
{
    const struct pool_limits *limits = &e->pool->options.limits;
    uint32_t all = 0;
    for (enum conn_state state = 0; state < CONN_DEAD; state++) {
        uint32_t count = 0;
        for (const struct list *n = e->conns[state].next; n != &e->conns[state]; n = n->next, count++) {
            const struct conn *c = list_entry(n, struct conn, node);
            ASSERT(c->state == state);
            ASSERT(c->endpoint == e);
            conn_check(c);
            sums->shares += c->shares;
            sums->places += c->place == CONN_PLACE_HELD;
        }
        ASSERT(count == e->counts[state]);
        sums->conns[state] += count;
        all += count;
    }
    ASSERT(all <= limits->conns_per_endpoint_max || endpoint_is_single_use(e));
    ASSERT(e->counts[CONN_IDLE] <= (e->key.profile->tls ? 0 : limits->warm_spares) ||
           !endpoint_is_single_use(e));
    return all;
}

static bool has_room(const struct endpoint *e)
{
    for (const struct list *n = e->conns[CONN_SHARED].next; n != &e->conns[CONN_SHARED]; n = n->next)
        if (conn_room(list_entry(n, struct conn, node)) > 0)
            return true;
    return false;
}

static void check_waiters(const struct endpoint *e, struct sums *sums)
{
    uint32_t count = 0;
    for (const struct list *n = e->waiters.next; n != &e->waiters; n = n->next, count++) {
        const struct lease *l = list_entry(n, struct lease, node);
        ASSERT(l->endpoint == e);
        ASSERT(!l->answered);
        ASSERT(l->conn == NULL);
        ASSERT(timer_is_armed(&l->wait));
        ASSERT(l->fresh || e->counts[CONN_IDLE] == 0);
        ASSERT(l->fresh || !has_room(e));
    }
    ASSERT(count == e->waiting);
    sums->waiters += count;
}

/* Nobody waits for a dial that could begin: what could is on the list, and the list is looked at this turn or
 * when a dial ends. */
static void check_progress(const struct endpoint *e)
{
    const struct pool *pool = e->pool;
    bool wants = endpoint_dials_needed(e) > endpoint_dials(e) &&
                 !health_refuses(&e->health, pool->worker->now_ns) &&
                 (endpoint_is_single_use(e) ||
                  endpoint_conns(e) < pool->options.limits.conns_per_endpoint_max);
    ASSERT(!wants || !list_empty(&e->hungry_node));
    ASSERT(list_empty(&e->hungry_node) || !list_empty(&pool->settle.node) ||
           pool->dials >= pool->options.limits.dials_in_flight_max);
}

static void check_endpoint(const struct endpoint *e, struct sums *sums)
{
    const struct pool *pool = e->pool;
    ASSERT(e->hash == endpoint_key_hash(&e->key));
    uint32_t conns = check_conns(e, sums);
    check_waiters(e, sums);
    check_progress(e);
    health_check(&e->health);
    tickets_check(&e->tickets, pool->options.limits.tickets_per_endpoint_max);
    ASSERT(e->pins >=
           conns + e->waiting); /* and one for each lease about to be answered and each dead connection */
    ASSERT((e->pins == 0) == !list_empty(&e->unused_node));
    ASSERT(!e->retired || e->tickets.count == 0);
    ASSERT(!e->retired || e->counts[CONN_IDLE] == 0);
    ASSERT(e->shares > 0);
    ASSERT(!pool->draining || (e->waiting == 0 && e->counts[CONN_IDLE] == 0 && endpoint_dials(e) == 0));
    sums->endpoints++;
    sums->tickets += e->tickets.count;
    sums->breakers += e->health.breaker != BREAKER_CLOSED;
    sums->hungry += !list_empty(&e->hungry_node);
}

static void check_answers(const struct pool *pool, struct sums *sums)
{
    for (const struct list *n = pool->answers.next; n != &pool->answers; n = n->next) {
        const struct lease *l = list_entry(n, struct lease, node);
        ASSERT(l->answered);
        ASSERT(!timer_is_armed(&l->wait));
        ASSERT(l->conn == NULL || l->conn->promised == l || l->conn->shares > 0);
        sums->answers++;
    }
    ASSERT(sums->answers == 0 || !list_empty(&pool->settle.node));
}

static void check_hungry(const struct pool *pool, uint32_t hungry)
{
    for (unsigned way = 0; way < POOL_WAYS; way++)
        for (const struct list *n = pool->hungry[way].next; n != &pool->hungry[way]; n = n->next)
            hungry--;
    ASSERT(hungry == 0);
    ASSERT(list_empty(&pool->hungry[POOL_WAY_AGENT]) || !list_empty(&pool->settle.node));
}

static void check_queued(const struct pool *pool, uint32_t queued)
{
    for (const struct list *n = pool->queued.next; n != &pool->queued; n = n->next)
        queued--;
    ASSERT(queued == 0);
    ASSERT(list_empty(&pool->queued) || !list_empty(&pool->settle.node) ||
           pool->dials >= pool->options.limits.dials_in_flight_max);
}

void pool_check(const struct pool *pool)
{
    struct sums sums = {0};
    for (const struct list *n = pool->endpoints.all.next; n != &pool->endpoints.all; n = n->next)
        check_endpoint(list_entry(n, struct endpoint, all_node), &sums);
    check_answers(pool, &sums);
    for (const struct list *n = pool->dead.next; n != &pool->dead; n = n->next) {
        ASSERT(list_entry(n, struct conn, node)->state == CONN_DEAD);
        sums.conns[CONN_DEAD]++;
    }
    uint32_t conns = 0;
    for (int state = 0; state < CONN_STATES; state++)
        conns += sums.conns[state];
    ASSERT(sums.endpoints == pool->endpoints.slab.used);
    ASSERT(sums.endpoints <= pool->options.limits.endpoints_max);
    ASSERT(conns == pool->conns.used);
    ASSERT(sums.conns[CONN_DEAD] == 0 || !list_empty(&pool->settle.node));
    ASSERT(sums.places == pool->dials);
    ASSERT(pool->dials <= pool->options.limits.dials_in_flight_max);
    ASSERT(sums.waiters + sums.answers == pool->leases_pending);
    ASSERT(gauge(pool, COUNTER_pool_endpoints) == sums.endpoints);
    ASSERT(gauge(pool, COUNTER_pool_dialling) ==
           sums.conns[CONN_DIALLING] + sums.conns[CONN_QUEUED] + sums.conns[CONN_TLS]);
    ASSERT(gauge(pool, COUNTER_pool_idle) == sums.conns[CONN_IDLE]);
    ASSERT(gauge(pool, COUNTER_pool_leased) == sums.conns[CONN_LEASED]);
    ASSERT(gauge(pool, COUNTER_pool_shared) == sums.conns[CONN_SHARED]);
    ASSERT(gauge(pool, COUNTER_pool_shares) == sums.shares);
    ASSERT(gauge(pool, COUNTER_pool_closing) == sums.conns[CONN_CLOSING]);
    ASSERT(gauge(pool, COUNTER_pool_waiters) == sums.waiters);
    ASSERT(gauge(pool, COUNTER_tickets) == sums.tickets);
    ASSERT(gauge(pool, COUNTER_breakers_open) == sums.breakers);
    check_hungry(pool, sums.hungry);
    check_queued(pool, sums.conns[CONN_QUEUED]);
}
