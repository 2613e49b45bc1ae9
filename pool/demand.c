/* pool/demand.c — when to dial: for those who wait, within the caps; and for single-use endpoints that were
 * used a short while ago, so that the next lease finds a connected socket.
 *
 * Endpoints that may want to dial stand in the pool's lists of hungry ones, first come, first served. They
 * are looked at when a turn ends and whenever a place became free. A place is what a connect or a handshake
 * of this worker takes. A dial that an agent makes takes none, whoever waits for it: those who begin with one
 * have a list of their own, on which nobody waits. */
#include "pool/pool_priv.h"

static bool has_place(const struct pool *pool)
{
    return pool->dials < pool->options.limits.dials_in_flight_max;
}

/* What came to the direct way when there was no place for it begins anew when there is one. */
static enum pool_way first_way(const struct endpoint *e)
{
    const struct pool_path *path = e->key.path;
    return path && path->ways[0] == POOL_WAY_AGENT && !e->denied ? POOL_WAY_AGENT : POOL_WAY_DIRECT;
}

void demand_note(struct endpoint *e)
{
    struct pool *pool = e->pool;
    if (e->waiting > 0 && list_empty(&e->hungry_node))
        list_add_tail(&pool->hungry[first_way(e)], &e->hungry_node);
    if (!list_empty(&pool->hungry[POOL_WAY_DIRECT]) || !list_empty(&pool->hungry[POOL_WAY_AGENT]))
        worker_defer(pool->worker, &pool->settle);
}

/* At the cap, with somebody waiting for a dial: connections that linger need not be polite any longer.
 * Waiters beside unused connections are those who asked for a fresh one: the coldest make room for them. */
static void make_room(struct endpoint *e)
{
    uint32_t wanted = endpoint_dials_needed(e) - endpoint_dials(e), coming = 0;
    const struct list *closing = &e->conns[CONN_CLOSING], *shared = &e->conns[CONN_SHARED];
    for (const struct list *n = closing->prev; n != closing && coming < wanted; n = n->prev, coming++) {
        struct conn *c = list_entry(n, struct conn, node);
        stream_abort(c->stream, c->ending);
    }
    for (; coming < wanted && e->counts[CONN_IDLE] > 0; coming++)
        conn_abort(list_entry(e->conns[CONN_IDLE].prev, struct conn, node), ENDING_CANCELLED);
    for (const struct list *n = shared->prev, *prev; n != shared && coming < wanted; n = prev) {
        struct conn *c = list_entry(n, struct conn, node);
        prev = n->prev;
        if (c->shares > 0)
            continue;
        conn_abort(c, ENDING_CANCELLED);
        coming++;
    }
}

/* A shared connection that has reached its age takes no lease while another can be dialled. Where none can,
 * its long streams would block a place that has room for many: then it serves as well as a young one. */
static void lend_aged(struct endpoint *e)
{
    struct lease *l;
    for (struct list *n = e->conns[CONN_SHARED].next; n != &e->conns[CONN_SHARED]; n = n->next) {
        struct conn *c = list_entry(n, struct conn, node);
        while (conn_is_merely_aged(c) && (l = lease_oldest(e, false)))
            pool_serve(l, c);
    }
}

static bool wants_dial(struct endpoint *e)
{
    if (endpoint_dials_needed(e) <= endpoint_dials(e) || health_refuses(&e->health, e->pool->worker->now_ns))
        return false;
    if (endpoint_is_single_use(e) || endpoint_conns(e) < e->pool->options.limits.conns_per_endpoint_max)
        return true;
    make_room(e);
    lend_aged(e);
    return false;
}

/* One dial an endpoint and round, so that one with many waiters does not take all. */
static void feed(struct pool *pool, enum pool_way way)
{
    struct list *hungry = &pool->hungry[way];
    while (!list_empty(hungry)) {
        struct endpoint *e = list_entry(hungry->next, struct endpoint, hungry_node);
        if (wants_dial(e)) {
            if (way == POOL_WAY_DIRECT && !has_place(pool))
                return;
            dial_begin(e);
            list_remove(&e->hungry_node);
            list_add_tail(hungry, &e->hungry_node);
        } else {
            list_remove(&e->hungry_node);
        }
    }
}

void demand_feed(struct pool *pool)
{
    while (has_place(pool) && !list_empty(&pool->queued))
        dial_secure(list_entry(pool->queued.next, struct conn, queue_node));
    feed(pool, POOL_WAY_AGENT);
    feed(pool, POOL_WAY_DIRECT);
}

void pool_on_room(struct endpoint *e)
{
    demand_note(e);
    worker_defer(e->pool->worker, &e->pool->settle);
}

/* -- single use ---------------------------------------------------------------------------------------------
 */

uint32_t demand_spares(const struct endpoint *e)
{
    const struct pool *pool = e->pool;
    const struct pool_limits *limits = &pool->options.limits;
    if (!endpoint_is_single_use(e) || e->key.profile->tls || e->speaks_first || e->served_ns == 0)
        return 0;
    if (e->key.path && e->key.path->ways[0] == POOL_WAY_AGENT) /* its agent would carry them for nobody */
        return 0;
    if (pool->draining || e->retired || e->health.breaker != BREAKER_CLOSED)
        return 0;
    bool recent = pool->worker->now_ns - e->served_ns < limits->idle_ms * 1000000ull;
    return recent ? limits->warm_spares : 0;
}

void demand_served(struct endpoint *e)
{
    struct pool *pool = e->pool;
    e->served_ns = pool->worker->now_ns;
    if (demand_spares(e) == 0 || !list_empty(&e->served_node))
        return;
    list_add_tail(&pool->served, &e->served_node);
    worker_defer(pool->worker, &pool->settle);
}

/* Half of the dials at most are for those who may come: the rest is kept for those who have. */
static void warm(struct endpoint *e)
{
    struct pool *pool = e->pool;
    uint32_t have = e->counts[CONN_IDLE] + endpoint_dials(e), spares = demand_spares(e);
    if (spares == 0)
        return;
    for (; have < e->waiting + spares && pool->dials < pool->options.limits.dials_in_flight_max / 2; have++)
        dial_begin(e);
}

void demand_warm(struct pool *pool)
{
    struct list *node;
    while ((node = list_pop(&pool->served)))
        if (list_empty(&pool->hungry[POOL_WAY_DIRECT]))
            warm(list_entry(node, struct endpoint, served_node));
}

/* What comes of a dial that nobody waits for is of use as a spare only: one too many is given up, of those
 * that came least far the newest. */
void demand_trim(struct endpoint *e)
{
    if (!endpoint_is_single_use(e))
        return;
    uint32_t spares = demand_spares(e), idle = e->counts[CONN_IDLE];
    uint32_t wanted = e->waiting + (spares > idle ? spares - idle : 0);
    while (endpoint_dials(e) > wanted) {
        enum conn_state state = CONN_DIALLING;
        while (e->counts[state] == 0)
            state++;
        conn_abort(list_entry(e->conns[state].next, struct conn, node), ENDING_CANCELLED);
    }
}
