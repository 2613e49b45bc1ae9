/* pool/conn.c — see conn.h. The table knows of each state where it may go, which gauge counts it and which
 * clock it runs; the functions below it only decide what to do about an event.
 *
 * While a lessee holds a connection the stream's events are the lessee's; from give_back or discard on they
 * are ours again, so whatever the peer does to an idle connection retires it before anybody can be lent it.
 */
#include "pool/conn.h"

#include <stdio.h>

#include "io/tls/tls.h"
#include "pool/pool_priv.h"

#define B(state) (1u << (state))

/* A clock that is kept runs on from the state before; when it fires it looks again. So a busy connection,
 * which goes idle and is leased a thousand times a second, moves its timer once per idle limit. */
enum clock_rule { CLOCK_OFF, CLOCK_SET, CLOCK_KEPT };

static uint64_t due_tls(const struct conn *);
static uint64_t due_idle(const struct conn *);
static uint64_t due_shared(const struct conn *);
static uint64_t due_closing(const struct conn *);
static void expired_queued(struct conn *);
static void expired_tls(struct conn *);
static void expired_idle(struct conn *);
static void expired_leased(struct conn *);
static void expired_shared(struct conn *);
static void expired_closing(struct conn *);

static const struct {
    const char *name;
    uint32_t next;
    enum counter gauge; /* COUNTER_COUNT: none */
    enum clock_rule rule;
    uint64_t (*due)(const struct conn *);
    void (*expired)(struct conn *);
    bool dials; /* becomes a connection: may hold a place among the dials of the worker */
} states[] = {
    [CONN_DIALLING] = {"dialling",
                       B(CONN_QUEUED) | B(CONN_TLS) | B(CONN_IDLE) | B(CONN_SHARED) | B(CONN_DEAD),
                       COUNTER_pool_dialling,                                                                              CLOCK_OFF,  NULL,
                       NULL /* the transport answers by its deadline */,                                                                                             true },
    [CONN_QUEUED] = {"queued",   B(CONN_TLS) | B(CONN_CLOSING) | B(CONN_DEAD),                    COUNTER_pool_dialling, CLOCK_SET,
                       due_tls,                                                                                                                     expired_queued,  true },
    [CONN_TLS] = {"tls",      B(CONN_IDLE) | B(CONN_SHARED) | B(CONN_CLOSING) | B(CONN_DEAD),
                       COUNTER_pool_dialling,                                                                              CLOCK_SET,  due_tls,     expired_tls,     true },
    [CONN_IDLE] = {"idle",     B(CONN_LEASED) | B(CONN_CLOSING) | B(CONN_DEAD),                 COUNTER_pool_idle,     CLOCK_KEPT,
                       due_idle,                                                                                                                    expired_idle,    false},
    [CONN_LEASED] = {"leased",   B(CONN_IDLE) | B(CONN_CLOSING) | B(CONN_DEAD),                   COUNTER_pool_leased,   CLOCK_KEPT,
                       NULL,                                                                                                                        expired_leased,  false},
    [CONN_SHARED] = {"shared",   B(CONN_CLOSING) | B(CONN_DEAD),                                  COUNTER_pool_shared,   CLOCK_KEPT, due_shared,
                       expired_shared,                                                                                                                               false},
    [CONN_CLOSING] = {"closing",  B(CONN_DEAD),                                                    COUNTER_pool_closing,  CLOCK_SET,  due_closing, expired_closing,
                       false                                                                                                                                              },
    [CONN_DEAD] = {"dead",     0,                                                               COUNTER_COUNT,         CLOCK_OFF,  NULL,        NULL,            false},
};
_Static_assert(ARRAY_SIZE(states) == CONN_STATES, "a row per state");

static struct pool *pool_of(const struct conn *c)
{
    return c->endpoint->pool;
}

static struct worker *worker_of(const struct conn *c)
{
    return c->endpoint->pool->worker;
}

/* -- states -------------------------------------------------------------------------------------------------
 */

static void clock_enter(struct conn *c)
{
    struct worker *w = worker_of(c);
    uint64_t due = states[c->state].due ? states[c->state].due(c) : 0;
    switch (states[c->state].rule) {
    case CLOCK_OFF: worker_disarm(w, &c->clock); break;
    case CLOCK_SET: timer_arm_at(&w->timers, &c->clock, due); break;
    case CLOCK_KEPT:
        if (states[c->state].due &&
            (!timer_is_armed(&c->clock) || c->clock.expires_tick << TIMER_TICK_SHIFT > due))
            timer_arm_at(&w->timers, &c->clock, due);
        break;
    }
}

static void state_leave(struct conn *c, enum conn_state to)
{
    struct pool *pool = pool_of(c);
    list_remove(&c->node);
    list_remove(&c->queue_node);
    c->endpoint->counts[c->state]--;
    gauge_sub(pool->worker, states[c->state].gauge, 1);
    if (!states[to].dials)
        conn_leave_place(c);
}

static void state_enter(struct conn *c, enum conn_state to)
{
    struct pool *pool = pool_of(c);
    c->state = to;
    c->state_ns = pool->worker->now_ns;
    if (to == CONN_DEAD) {
        list_add_tail(&pool->dead, &c->node);
    } else {
        list_add_head(&c->endpoint->conns[to], &c->node);
        c->endpoint->counts[to]++;
        counter_add(pool->worker, states[to].gauge, 1);
    }
    if (to == CONN_QUEUED)
        list_add_tail(&pool->queued, &c->queue_node);
    clock_enter(c);
}

void conn_set_state(struct conn *c, enum conn_state to)
{
    bool dialled = states[c->state].dials && !states[to].dials;
    ASSERT(states[c->state].next & B(to));
    state_leave(c, to);
    state_enter(c, to);
    if (dialled || to == CONN_DEAD) /* somebody may have waited for this place */
        pool_on_room(c->endpoint);
}

bool conn_take_place(struct conn *c)
{
    struct pool *pool = pool_of(c);
    ASSERT(states[c->state].dials);
    if (c->place != CONN_PLACE_HELD && pool->dials < pool->options.limits.dials_in_flight_max) {
        c->place = CONN_PLACE_HELD;
        pool->dials++;
    }
    return c->place == CONN_PLACE_HELD;
}

void conn_leave_place(struct conn *c)
{
    struct pool *pool = pool_of(c);
    if (c->place == CONN_PLACE_HELD) {
        ASSERT(pool->dials > 0);
        pool->dials--;
        pool_on_room(c->endpoint);
    }
    c->place = CONN_PLACE_NONE;
}

const char *conn_state_name(enum conn_state state)
{
    return states[state].name;
}

static void on_clock(struct timer *t)
{
    struct conn *c = container_of(t, struct conn, clock);
    states[c->state].expired(c);
}

struct conn *conn_new(struct endpoint *e)
{
    struct pool *pool = e->pool;
    struct conn *c = slab_take(&pool->conns);
    if (!c)
        return NULL;
    endpoint_pin(e);
    c->endpoint = e;
    c->id = ++pool->conns_made;
    c->started_ns = pool->worker->now_ns;
    c->ending = ENDING_DONE;
    list_init(&c->node);
    list_init(&c->queue_node);
    timer_init(&c->clock, on_clock);
    state_enter(c, CONN_DIALLING);
    return c;
}

static void log_end_of(const struct conn *c)
{
    struct worker *w = worker_of(c);
    log_begin(w, LOG_DEBUG, "upstream_closed");
    log_u64(w, "conn", c->id);
    log_str(w, "peer", c->address[0] ? c->address : c->endpoint->key.host);
    log_str(w, "reason", ending_name(c->ending));
    log_ms(w, "age_ms", w->now_ns - c->started_ns);
    log_u64(w, "leases", c->leases);
    log_end(w);
}

void conn_reap(struct conn *c)
{
    struct endpoint *e = c->endpoint;
    ASSERT(c->state == CONN_DEAD);
    ASSERT(c->dial == NULL && c->promised == NULL);
    log_end_of(c);
    list_remove(&c->node);
    if (c->stream) {
        dial_forget_stream(c);
        stream_free(c->stream);
    }
    slab_give(&e->pool->conns, c);
    endpoint_unpin(e);
}

/* -- clocks -------------------------------------------------------------------------------------------------
 */

static uint64_t due_tls(const struct conn *c)
{
    const struct pool_limits *limits = &pool_of(c)->options.limits;
    uint64_t due = c->state_ns + limits->tls_ms * 1000000ull;
    uint64_t latest = c->started_ns + limits->dial_ms * 1000000ull;
    return limits->dial_ms > 0 && latest < due ? latest : due;
}

static uint64_t due_idle(const struct conn *c)
{
    uint64_t idle_until = c->state_ns + pool_of(c)->options.limits.idle_ms * 1000000ull;
    return idle_until < c->age_until_ns ? idle_until : c->age_until_ns;
}

static bool is_aged(const struct conn *c)
{
    return worker_of(c)->now_ns >= c->age_until_ns;
}

static bool is_left(const struct conn *c)
{
    return c->shares_max == 0 || c->endpoint->retired || pool_of(c)->draining;
}

/* No lease should begin on it. */
static bool is_over(const struct conn *c)
{
    return is_left(c) || is_aged(c);
}

static uint64_t due_shared(const struct conn *c)
{
    return is_over(c) ? c->state_ns : due_idle(c);
}

static uint64_t due_closing(const struct conn *c)
{
    return c->state_ns + CONN_LINGER_MS * 1000000ull;
}

static void expired_queued(struct conn *c)
{
    dial_failed(c, ENDING_QUEUE_TIMEOUT, "too many other TLS handshakes stayed under way");
    conn_abort(c, ENDING_QUEUE_TIMEOUT);
}

static void expired_tls(struct conn *c)
{
    dial_failed(c, ENDING_TLS_TIMEOUT, "the TLS handshake was not complete in time");
    conn_abort(c, ENDING_TLS_TIMEOUT);
}

static void expired_idle(struct conn *c)
{
    uint64_t now = worker_of(c)->now_ns;
    if (now < due_idle(c))
        clock_enter(c);
    else
        conn_retire(c, now >= c->age_until_ns ? ENDING_AGED : ENDING_IDLE_TIMEOUT);
}

static void expired_leased(struct conn *c)
{
    (void)c; /* going idle sets it anew */
}

/* Ends by the clock also when it is over already: what calls may be the session, which must not go away below
 * its own feet. */
static void expired_shared(struct conn *c)
{
    uint64_t now = worker_of(c)->now_ns;
    if (c->shares > 0) /* the end of the last one sets it anew */
        return;
    if (now < due_shared(c))
        clock_enter(c);
    else if (now >= c->age_until_ns)
        conn_retire(c, ENDING_AGED);
    else
        conn_retire(c, is_over(c) ? ENDING_CANCELLED : ENDING_IDLE_TIMEOUT);
}

static void expired_closing(struct conn *c)
{
    stream_abort(c->stream, c->ending);
}

bool conn_is_usable(const struct conn *c)
{
    uint64_t now = worker_of(c)->now_ns;
    return c->state == CONN_IDLE ? now < due_idle(c) : now < c->age_until_ns;
}

uint32_t conn_room(const struct conn *c)
{
    if (c->state != CONN_SHARED || is_over(c) || c->shares >= c->shares_max)
        return 0;
    return c->shares_max - c->shares;
}

bool conn_is_merely_aged(const struct conn *c)
{
    return c->state == CONN_SHARED && is_aged(c) && !is_left(c) && c->shares < c->shares_max;
}

void conn_share_begin(struct conn *c)
{
    ASSERT(conn_room(c) > 0 || conn_is_merely_aged(c));
    c->shares++;
    c->how = LEASE_REUSED; /* for the next one */
    counter_add(worker_of(c), COUNTER_pool_shares, 1);
}

void conn_share_end(struct conn *c)
{
    ASSERT(c->state == CONN_SHARED);
    ASSERT(c->shares > 0);
    gauge_sub(worker_of(c), COUNTER_pool_shares, 1);
    if (--c->shares > 0)
        return;
    c->state_ns = worker_of(c)->now_ns;
    clock_enter(c);
}

/* -- ends ---------------------------------------------------------------------------------------------------
 */

static void ending_set(struct conn *c, enum ending reason)
{
    struct worker *w = worker_of(c);
    c->ending = reason;
    if (reason == ENDING_IDLE_TIMEOUT)
        counter_add(w, COUNTER_pool_retired_idle, 1);
    else if (reason == ENDING_AGED)
        counter_add(w, COUNTER_pool_retired_age, 1);
    else if (reason == ENDING_STALE_CONNECTION)
        counter_add(w, COUNTER_pool_retired_stale, 1);
}

static void dial_cancel(struct conn *c, enum ending reason)
{
    struct transport *transport = dial_transport(c->endpoint);
    if (c->dial)
        transport->ops->cancel(transport, &c->dial);
    if (c->probe)
        health_probe_undecided(&c->endpoint->health, worker_of(c));
    c->probe = false;
    ending_set(c, reason);
    conn_set_state(c, CONN_DEAD);
}

/* The stream is the pool's again. */
static void end_session(struct conn *c, enum ending reason)
{
    const struct pool_sharing *sharing = &pool_of(c)->options.sharing;
    if (c->state != CONN_SHARED)
        return;
    ASSERT(c->shares == 0);
    sharing->end(c, reason, sharing->owner);
    c->session = NULL;
}

void conn_retire(struct conn *c, enum ending reason)
{
    if (states[c->state].dials) {
        conn_abort(c, reason);
        return;
    }
    ASSERT(c->promised == NULL);
    ending_set(c, reason);
    end_session(c, reason);
    conn_watch(c);
    conn_set_state(c, CONN_CLOSING);
    stream_finish(c->stream);
}

void conn_abort(struct conn *c, enum ending reason)
{
    if (c->state == CONN_DIALLING) {
        dial_cancel(c, reason);
        return;
    }
    ASSERT(c->promised == NULL);
    if (c->probe) /* given up in the middle of the handshake */
        health_probe_undecided(&c->endpoint->health, worker_of(c));
    c->probe = false;
    ending_set(c, reason);
    end_session(c, reason);
    conn_watch(c);
    conn_set_state(c, CONN_CLOSING);
    stream_abort(c->stream, reason);
}

void conn_lost(struct conn *c, enum ending reason)
{
    ASSERT(c->shares == 0);
    if (c->state != CONN_CLOSING)
        ending_set(c, reason);
    c->session = NULL;
    conn_set_state(c, CONN_DEAD);
}

/* -- what lessees ask ---------------------------------------------------------------------------------------
 */

struct stream *conn_stream(struct conn *c)
{
    return c->stream;
}

const struct tls_info *conn_tls_info(const struct conn *c)
{
    return c->endpoint->key.profile->tls ? tls_stream_info(c->stream) : NULL;
}

uint64_t conn_id(const struct conn *c)
{
    return c->id;
}

bool conn_was_reused(const struct conn *c)
{
    return c->how == LEASE_REUSED;
}

const char *conn_address_text(const struct conn *c)
{
    return c->address;
}

uint32_t conn_credit(const struct conn *c)
{
    return c->credit;
}

void conn_set_credit(struct conn *c, uint32_t credit)
{
    c->credit = credit;
}

void *conn_session(const struct conn *c)
{
    return c->session;
}

void conn_set_session(struct conn *c, void *session)
{
    ASSERT(states[c->state].dials);
    c->session = session;
}

/* Not at once when it is over: see expired_shared(). */
void conn_set_shares(struct conn *c, uint32_t leases)
{
    ASSERT(c->state == CONN_SHARED);
    c->shares_max = leases;
    if (leases > 0)
        c->endpoint->shares = leases;
    if (c->shares == 0)
        clock_enter(c);
    pool_on_shares(c);
}

void conn_check(const struct conn *c)
{
    const struct timer *t = &c->clock;
    ASSERT((c->dial != NULL) == (c->state == CONN_DIALLING));
    ASSERT(c->state == CONN_DIALLING || c->state == CONN_DEAD || c->stream != NULL);
    ASSERT(c->promised == NULL || c->state == CONN_LEASED);
    ASSERT(c->promised == NULL || c->promised->conn == c);
    ASSERT((c->session != NULL) == (c->state == CONN_SHARED));
    ASSERT(c->shares == 0 || c->state == CONN_SHARED);
    ASSERT(c->state != CONN_SHARED || c->promised == NULL);
    ASSERT(c->state != CONN_SHARED || c->shares > 0 || timer_is_armed(t));
    ASSERT(!c->probe || states[c->state].dials);
    ASSERT(states[c->state].rule != CLOCK_OFF || !timer_is_armed(t));
    ASSERT(c->place != CONN_PLACE_HELD || states[c->state].dials);
    ASSERT(c->place == CONN_PLACE_HELD || c->state != CONN_TLS);
    ASSERT(list_empty(&c->queue_node) == (c->state != CONN_QUEUED));
    ASSERT(c->state != CONN_QUEUED || timer_is_armed(t));
    ASSERT(c->state != CONN_TLS || timer_is_armed(t));
    ASSERT(c->state != CONN_IDLE || timer_is_armed(t));
    ASSERT(c->state != CONN_IDLE || c->credit > 0);
    ASSERT(c->state != CONN_IDLE || (t->expires_tick - 1) << TIMER_TICK_SHIFT < due_idle(c));
}
