/* pool/dial.c — from nothing to a connection that may be lent: transport, then TLS with a ticket where there
 * is one.
 *
 * Every dial ends in exactly one of: pool_on_dialled(), pool_on_dial_failed(), or silence because the pool
 * itself gave it up. Endings are judged, counted and logged here, and nowhere else. */
#include <stdio.h>
#include <string.h>

#include "io/engine.h"
#include "io/tls/tls.h"
#include "pool/pool_priv.h"

static struct worker *worker_of(const struct conn *c)
{
    return c->endpoint->pool->worker;
}

/* -- tickets come by the stream's name ----------------------------------------------------------------------
 */

/* A TLS 1.3 peer sends tickets after the handshake, so they are read while a lessee owns the stream's events:
 * the connection is found by the stream's address. */
static struct conn **by_stream(struct pool *pool, const struct stream *s)
{
    uint64_t h = ((uintptr_t)s >> 4) * 0x9e3779b97f4a7c15u;
    struct conn **link = &pool->by_stream[(h >> 32) & pool->by_stream_mask];
    while (*link && (*link)->stream != s)
        link = &(*link)->by_stream_next;
    return link;
}

void dial_forget_stream(struct conn *c)
{
    struct conn **link = by_stream(c->endpoint->pool, c->stream);
    if (*link == c)
        *link = c->by_stream_next;
}

static void on_ticket(struct stream *s, const uint8_t *ticket, size_t len)
{
    struct pool *pool = s->worker->pool;
    struct conn *c = *by_stream(pool, s);
    if (!c || c->endpoint->retired || !c->endpoint->key.profile->resumption)
        return;
    bool single_use = strcmp(tls_stream_info(s)->version, "TLSv1.3") == 0;
    tickets_add(&pool->tickets, &c->endpoint->tickets, pool->options.limits.tickets_per_endpoint_max, ticket,
                len, single_use);
}

/* -- failure ------------------------------------------------------------------------------------------------
 */

static bool may_warn(struct endpoint *e)
{
    struct pool *pool = e->pool;
    uint64_t now = pool->worker->now_ns, second = now / 1000000000u;
    if (second != pool->warnings_second) {
        pool->warnings_second = second;
        pool->warnings = 0;
    }
    bool own = e->warned_ns == 0 || now - e->warned_ns >= 1000000000u;
    if (!own || pool->warnings >= POOL_WARNINGS_PER_SECOND) {
        e->unwarned++;
        return false;
    }
    pool->warnings++;
    e->warned_ns = now;
    return true;
}

static void warn(struct conn *c, enum ending reason, const char *detail)
{
    struct worker *w = worker_of(c);
    struct endpoint *e = c->endpoint;
    if (!may_warn(e))
        return;
    log_begin(w, LOG_WARN, "dial_failed");
    log_u64(w, "conn", c->id);
    log_str(w, "peer", e->key.host);
    log_u64(w, "port", e->key.port);
    log_str(w, "state", conn_state_name(c->state));
    log_str(w, "reason", ending_name(reason));
    log_str(w, "detail", detail);
    if (c->address[0])
        log_str(w, "address", c->address);
    log_ms(w, "age_ms", w->now_ns - c->started_ns);
    log_u64(w, "failures", e->health.failures);
    log_u64(w, "suppressed", e->unwarned);
    log_end(w);
    e->unwarned = 0;
}

void dial_failed(struct conn *c, enum ending reason, const char *detail)
{
    struct endpoint *e = c->endpoint;
    struct pool *pool = e->pool;
    struct worker *w = pool->worker;
    bool counts = health_counts(reason, HEALTH_DIALLING), opened = false;
    counter_add(w, COUNTER_dials_failed, 1);
    e->failed++;
    if (c->state == CONN_TLS) {
        counter_add(w, COUNTER_tls_failed, 1);
        /* A peer may choke on a ticket rather than ignore it; one that is silent did not get that far. */
        if (counts && reason != ENDING_TLS_TIMEOUT && tls_stream_info(c->stream)->ticket_offered)
            tickets_refused(&pool->tickets, &e->tickets, c->connected_ns);
    }
    if (counts)
        opened = health_failed(&e->health, w, &pool->options.limits, reason, detail);
    else if (c->probe)
        health_probe_undecided(&e->health, w);
    c->probe = false;
    warn(c, reason, detail);
    pool_on_dial_failed(e, reason, detail, opened);
}

/* Nobody is told: the lease goes on waiting, which causes the next dial. */
static void put_off(struct conn *c)
{
    struct worker *w = worker_of(c);
    counter_add(w, COUNTER_dials_failed, 1);
    if (c->probe)
        health_probe_undecided(&c->endpoint->health, w);
    c->probe = false;
}

/* A TLS 1.2 peer that forgot our ticket (a kubelet that was restarted) is no failure of the endpoint, only
 * this library cannot go on with the full handshake it asks for. The lease goes on waiting, and the next
 * dial, which its waiting causes, has no ticket to offer; tickets_refused() sees to an end of such rounds. */
static void dial_without_ticket(struct conn *c)
{
    struct endpoint *e = c->endpoint;
    struct pool *pool = e->pool;
    counter_add(pool->worker, COUNTER_tls_not_resumed, 1);
    tickets_refused(&pool->tickets, &e->tickets, c->connected_ns);
    put_off(c);
}

void dial_closed(struct conn *c, enum ending reason)
{
    const struct tls_info *info = c->state == CONN_TLS ? tls_stream_info(c->stream) : NULL;
    if (info && info->ticket_refused) {
        dial_without_ticket(c);
        return;
    }
    if (reason == ENDING_DONE) /* both ends finished before the handshake did */
        reason = ENDING_TRUNCATED;
    dial_failed(c, reason, info && *info->detail ? info->detail : ending_text(reason));
}

/* -- success ------------------------------------------------------------------------------------------------
 */

static uint64_t jittered_age_ns(struct pool *pool)
{
    uint64_t age = pool->options.limits.age_max_ms * 1000000ull;
    uint64_t spread = age / 100 * pool->options.limits.age_jitter_percent;
    return spread ? age - spread + worker_random(pool->worker) % (2 * spread + 1) : age;
}

static void ready_to_share(struct conn *c)
{
    const struct pool_sharing *sharing = &c->endpoint->pool->options.sharing;
    struct endpoint *e = c->endpoint;
    int leases = sharing->begin(c, sharing->owner);
    /* Until this peer has said how many, no more than the last one did. */
    c->shares_max = leases > 0 && (uint32_t)leases > e->shares ? e->shares
                                                               : (uint32_t)(leases > 0 ? leases : 0);
    e->shares = leases > 0 ? c->shares_max : 1;
    conn_set_state(c, leases > 0 ? CONN_SHARED : CONN_IDLE);
    if (leases <= 0)
        conn_watch(c);
    if (leases >= 0) {
        pool_on_dialled(c);
        return;
    }
    dial_failed(c, ENDING_LIMIT, "out of memory for a session");
    conn_abort(c, ENDING_LIMIT);
}

static void ready(struct conn *c)
{
    struct pool *pool = c->endpoint->pool;
    c->ready_ns = pool->worker->now_ns;
    c->age_until_ns = c->ready_ns + jittered_age_ns(pool);
    c->probe = false;
    health_succeeded(&c->endpoint->health, pool->worker);
    if (c->endpoint->key.profile->shared) {
        ready_to_share(c);
        return;
    }
    conn_set_state(c, CONN_IDLE);
    if (endpoint_is_single_use(c->endpoint)) /* a peer that speaks first shall find its lessee */
        conn_bind(c);
    else
        conn_watch(c);
    pool_on_dialled(c);
}

void dial_secured(struct conn *c)
{
    struct endpoint *e = c->endpoint;
    struct pool *pool = e->pool;
    const struct tls_info *info = tls_stream_info(c->stream);
    c->how = info->resumed ? LEASE_RESUMED : LEASE_NEW;
    if (info->resumed) {
        e->resumed++;
        tickets_accepted(&e->tickets);
    } else {
        e->full++;
        if (info->ticket_offered) {
            counter_add(pool->worker, COUNTER_tls_not_resumed, 1);
            tickets_refused(&pool->tickets, &e->tickets, c->connected_ns);
        }
    }
    counter_add(pool->worker, info->resumed ? COUNTER_tls_resumed : COUNTER_tls_full, 1);
    phase_observe(pool->worker, info->resumed ? PHASE_tls_resumed : PHASE_tls_full,
                  pool->worker->now_ns - c->connected_ns);
    ready(c);
}

void dial_secure(struct conn *c)
{
    struct endpoint *e = c->endpoint;
    struct pool *pool = e->pool;
    bool placed = conn_take_place(c);
    ASSERT(placed);
    struct stream *lower = c->stream;
    c->stream = NULL;
    c->connected_ns = pool->worker->now_ns;
    const struct pool_profile *profile = e->key.profile;
    struct tls_expect expect = {.node_name = e->key.node_name[0] ? e->key.node_name : NULL};
    if (e->expect_ip.len)
        expect.ip = &e->expect_ip;
    else
        expect.dns_name = profile->server_name[0] ? profile->server_name : e->key.host;

    const struct ticket *ticket = profile->resumption ? tickets_newest(&pool->tickets, &e->tickets) : NULL;
    struct stream *s = tls_connect(pool->worker, &lower, profile->context, &expect,
                                   ticket ? ticket->bytes : NULL, ticket ? ticket->len : 0, on_ticket);
    if (!s) {
        dial_failed(c, ENDING_LIMIT, "out of memory for TLS");
        conn_lost(c, ENDING_LIMIT);
        return;
    }
    if (ticket)
        tickets_offered(&pool->tickets, &e->tickets, ticket);
    c->stream = s;
    struct conn **link = by_stream(pool, s);
    c->by_stream_next = *link;
    *link = c;
    conn_set_state(c, CONN_TLS);
    conn_watch(c);
}

/* Who waits for a connection of the pool waits for a place, too; who wants one of his own is told at once. */
static void failed(struct conn *c, const struct dial_answer *answer)
{
    bool denied = c->place == CONN_PLACE_DENIED && answer->ending == ENDING_LIMIT;
    if (denied && !endpoint_is_single_use(c->endpoint)) {
        c->endpoint->denied = true;
        put_off(c);
    } else {
        dial_failed(c, answer->ending, answer->detail);
    }
    conn_lost(c, answer->ending);
}

/* What an agent dials takes no place among our own connects and handshakes: agents have limits of their own
 * (agents.pendingDialsMax), and one that is silent shall stop nobody who needs none. */
static bool may_go(void *owner, enum pool_way way)
{
    struct conn *c = owner;
    if (way == POOL_WAY_AGENT) {
        conn_leave_place(c);
        return true;
    }
    if (conn_take_place(c))
        return true;
    c->place = CONN_PLACE_DENIED;
    return false;
}

static void on_answered(void *owner, const struct dial_answer *answer)
{
    struct conn *c = owner;
    struct worker *w = worker_of(c);
    c->dial = NULL;
    size_t address_len = strnlen(answer->address, sizeof(c->address) - 1);
    memcpy(c->address, answer->address, address_len);
    c->address[address_len] = '\0';
    if (!answer->stream) {
        failed(c, answer);
        return;
    }
    c->stream = answer->stream;
    c->connected_ns = w->now_ns;
    phase_observe(w, PHASE_dial, c->connected_ns - c->started_ns);
    if (!c->endpoint->key.profile->tls) {
        c->how = LEASE_NEW;
        ready(c);
    } else if (conn_take_place(c)) {
        dial_secure(c);
    } else { /* no credit: what ends now has not begun */
        conn_bind(c);
        conn_set_state(c, CONN_QUEUED);
    }
}

struct transport *dial_transport(const struct endpoint *e)
{
    return e->key.path ? e->pool->by_path : e->pool->direct;
}

/* A name gets the time to resolve and to try a second address, should the first be silent. Along a path the
 * far side of each way resolves and connects with patience of its own: all the time there is. */
static uint64_t budget_ms(const struct endpoint *e)
{
    const struct pool_limits *limits = &e->pool->options.limits;
    uint64_t address_ms = e->literal.len ? limits->connect_ms
                                         : limits->resolve_ms + 2ull * limits->connect_ms;
    bool whole = limits->dial_ms > 0 && (e->key.path || address_ms > limits->dial_ms);
    return whole ? limits->dial_ms : address_ms;
}

/* The dial is for the one who came last: the others have theirs. */
static uint64_t wanted_until(const struct endpoint *e, uint64_t deadline_ns)
{
    if (list_empty(&e->waiters))
        return deadline_ns;
    uint64_t wanted_ns = list_entry(e->waiters.prev, struct lease, node)->deadline_ns;
    return wanted_ns < deadline_ns ? wanted_ns : deadline_ns;
}

void dial_begin(struct endpoint *e)
{
    struct pool *pool = e->pool;
    struct transport *transport = dial_transport(e);
    struct conn *c = conn_new(e);
    if (!c) {
        pool_on_dial_failed(e, ENDING_LIMIT, "out of memory for connections", false);
        return;
    }
    e->denied = false;
    if (!e->key.path) {
        bool placed = may_go(c, POOL_WAY_DIRECT);
        ASSERT(placed);
    }
    counter_add(pool->worker, COUNTER_dials, 1);
    c->probe = health_dial_started(&e->health, pool->worker);
    uint64_t deadline_ns = c->started_ns + budget_ms(e) * 1000000u;
    struct dial_request request = {.host = e->key.host,
                                   .port = e->key.port,
                                   .rules = e->key.rules,
                                   .path = e->key.path,
                                   .deadline_ns = deadline_ns,
                                   .wanted_ns = wanted_until(e, deadline_ns),
                                   .answered = on_answered,
                                   .may_go = may_go,
                                   .owner = c};
    c->dial = transport->ops->dial(transport, &request);
    if (c->dial)
        return;
    dial_failed(c, ENDING_LIMIT, "out of memory for dials");
    conn_lost(c, ENDING_LIMIT);
}
