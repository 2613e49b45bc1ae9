/* broker/konnectivity/agent_conn.c — the far half of a connection through an agent.
 *
 * The protocol has no half-close, no reset, no credit and no way to give up a dial: an end is CLOSE_REQ,
 * after which the agent sends what it has and says CLOSE_RSP. So a near half's FIN waits until the
 * destination has been silent for a moment, as it may be about to answer; and where the near half is gone,
 * the far half goes on for the agent alone, nameless to everybody else, until the agent has said its last
 * about it.
 */
#include "broker/konnectivity/agent_call.h"

#include <string.h>

#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front_http2.h"
#include "io/worker.h"

enum {
    SILENT_MS = 200,   /* of a destination whose peer has ended: it has said all, or does not know */
    FINISH_MS = 5000,  /* and for one that goes on and on */
    CLOSE_MS = 10000,  /* for CLOSE_RSP, since the last byte came */
    FORGET_MS = 30000, /* for what an agent owes about what nobody waits for */
    SETTLE_MS = 1000,  /* between looks at a buffer that is kept; a guess */
    DETAIL_MAX = 160,
};

#define B(s) (1u << AGENT_CONN_##s)
static const struct {
    const char *name;
    uint32_t next;
    bool pending; /* the agent owes DIAL_RSP */
} states[AGENT_CONN_STATES] = {
    [AGENT_CONN_ASKED] = {"asked",     B(DIALLING),                       true },
    [AGENT_CONN_DIALLING] = {"dialling",  B(OPEN) | B(LATE),                 true },
    [AGENT_CONN_OPEN] = {"open",      B(FINISHING) | B(ENDED) | B(LEFT), false},
    [AGENT_CONN_FINISHING] = {"finishing", B(CLOSING) | B(ENDED) | B(LEFT),   false},
    [AGENT_CONN_CLOSING] = {"closing",   B(ENDED) | B(LEFT),                false},
    [AGENT_CONN_ENDED] = {"ended",     0,                                 false},
    [AGENT_CONN_LATE] = {"late",      B(LEFT),                           true },
    [AGENT_CONN_LEFT] = {"left",      0,                                 false},
};
#undef B

static struct worker *worker_of(const struct agent_conn *c)
{
    return agent_worker(c->agent);
}

static void arm(struct agent_conn *c, uint64_t ms)
{
    worker_arm_ms(worker_of(c), &c->timer, ms);
}

/* -- states -------------------------------------------------------------------------------------------------
 */

static void wait_for_answer(struct agent_conn *c)
{
    struct worker *w = worker_of(c);
    uint64_t suspect_ns = c->asked_ns + AGENT_SUSPECT_MS * 1000000ull;
    bool suspect_first = w->now_ns < suspect_ns && suspect_ns < c->limit_ns;
    timer_arm_at(&w->timers, &c->timer, suspect_first ? suspect_ns : c->limit_ns);
}

static void wait_for_silence(struct agent_conn *c)
{
    struct worker *w = worker_of(c);
    if (!segq_empty(&c->out.segs))
        return;
    if (c->limit_ns == 0)
        c->limit_ns = w->now_ns + FINISH_MS * 1000000ull;
    uint64_t silent_ns = http2_step_at(w->now_ns + SILENT_MS * 1000000ull); /* all that are due go together */
    timer_arm_at(&w->timers, &c->timer, silent_ns < c->limit_ns ? silent_ns : c->limit_ns);
}

static void enter(struct agent_conn *c)
{
    switch (c->state) {
    case AGENT_CONN_ASKED:
    case AGENT_CONN_DIALLING: wait_for_answer(c); return;
    case AGENT_CONN_FINISHING:
        c->limit_ns = 0;
        wait_for_silence(c);
        return;
    case AGENT_CONN_CLOSING: arm(c, CLOSE_MS); return;
    case AGENT_CONN_LATE:
    case AGENT_CONN_LEFT: arm(c, FORGET_MS); return;
    case AGENT_CONN_OPEN:
    case AGENT_CONN_ENDED: return;
    case AGENT_CONN_STATES: ASSERT(!"a state of a far half");
    }
}

static void count_asked(struct agent_conn *c)
{
    struct agent_home *home = c->agent->home;
    c->agent->pending++;
    c->agent->dials++;
    atomic_fetch_add_explicit(&home->bw->broker->agent_dials, 1, memory_order_relaxed);
    stats_gauge_add(&home->bw->stats, STATS_PENDING_DIALS, 1);
}

static void count_answered(struct agent_conn *c)
{
    struct agent_home *home = c->agent->home;
    c->agent->pending--;
    atomic_fetch_sub_explicit(&home->bw->broker->agent_dials, 1, memory_order_relaxed);
}

/* What a client has ended is established no longer, though the destination may have a word to say. */
static void count_unopened(struct agent_conn *c)
{
    stats_gauge_sub(&c->agent->home->bw->stats, STATS_ESTABLISHED, 1);
}

static void drop_address(struct agent_conn *c)
{
    if (c->address)
        slab_give(&c->agent->home->addresses, c->address);
    c->address = NULL;
}

void agent_conn_set_state(struct agent_conn *c, enum agent_conn_state next)
{
    ASSERT(states[c->state].next & (1u << next));
    if (states[c->state].pending && !states[next].pending)
        count_answered(c);
    if (c->state == AGENT_CONN_OPEN)
        count_unopened(c);
    worker_disarm(worker_of(c), &c->timer);
    drop_address(c);
    c->state = next;
    enter(c);
    agent_send_due(c);
}

void agent_conn_touch(struct agent_conn *c)
{
    if (c->state == AGENT_CONN_FINISHING)
        wait_for_silence(c);
    else if (c->state == AGENT_CONN_CLOSING)
        arm(c, CLOSE_MS);
}

/* Credit for the last of it may never come. */
void agent_conn_gathered(struct agent_conn *c)
{
    if (c->state == AGENT_CONN_OPEN && !timer_is_armed(&c->timer))
        arm(c, SETTLE_MS);
}

void agent_conn_taken(struct agent_conn *c)
{
    if (c->state == AGENT_CONN_FINISHING)
        wait_for_silence(c);
}

static void on_timer(struct timer *t)
{
    struct agent_conn *c = container_of(t, struct agent_conn, timer);
    switch (c->state) {
    case AGENT_CONN_ASKED:
    case AGENT_CONN_DIALLING:
        if (worker_of(c)->now_ns - c->asked_ns >= AGENT_SUSPECT_MS * 1000000ull)
            agent_watch_unanswered(c->agent);
        if (worker_of(c)->now_ns < c->limit_ns) {
            wait_for_answer(c);
            return;
        }
        stats_dial_failed(&c->agent->home->bw->stats, STATS_DIAL_BACKEND_DIAL_TIMEOUT);
        agent_conn_leave(c, ENDING_DEADLINE, SLICE("the agent did not answer the dial in time"));
        return;
    case AGENT_CONN_FINISHING: agent_conn_set_state(c, AGENT_CONN_CLOSING); return;
    case AGENT_CONN_CLOSING:
        agent_conn_leave(c, ENDING_DEADLINE, SLICE("the agent did not close the connection in time"));
        return;
    case AGENT_CONN_LATE:
    case AGENT_CONN_LEFT: agent_conn_free(c); return;
    case AGENT_CONN_OPEN:
        if (!gather_let_go(&c->gathered))
            arm(c, SETTLE_MS);
        return;
    case AGENT_CONN_ENDED:
    case AGENT_CONN_STATES: ASSERT(!"a state without a limit");
    }
}

/* -- names --------------------------------------------------------------------------------------------------
 */

/* The agent chooses its numbers, and near halves count. */
static uint32_t bucket_of(const struct agent_home *home, uint64_t id, uint64_t serial)
{
    uint64_t hash = (id ^ home->seed) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ hash >> 32 ^ serial) * 0xd6e8feb86659fd93u;
    return (uint32_t)(hash >> 40) % AGENT_BUCKETS;
}

struct agent_conn *agent_conn_of_dial(struct agent_home *home, uint64_t dial)
{
    list_each_safe(node, tmp, &home->by_dial[bucket_of(home, dial, 0)])
    {
        struct agent_conn *c = list_entry(node, struct agent_conn, dial_bucket);
        if (c->dial == dial)
            return c;
    }
    return NULL;
}

struct agent_conn *agent_conn_of_id(struct agent_call *a, int64_t id)
{
    list_each_safe(node, tmp, &a->home->by_id[bucket_of(a->home, (uint64_t)id, a->number)])
    {
        struct agent_conn *c = list_entry(node, struct agent_conn, id_bucket);
        if (c->id == id && c->agent == a)
            return c;
    }
    return NULL;
}

void agent_conn_identify(struct agent_conn *c, int64_t id)
{
    struct agent_home *home = c->agent->home;
    c->id = id;
    list_add_tail(&home->by_id[bucket_of(home, (uint64_t)id, c->agent->number)], &c->id_bucket);
}

void agent_conn_unidentify(struct agent_conn *c)
{
    list_remove(&c->id_bucket);
}

/* -- words to the near half ---------------------------------------------------------------------------------
 */

static void post(struct worker *w, unsigned to, struct agent_near *near, const struct msg *msg)
{
    struct msg m = *msg;
    m.deliver = agent_near_deliver;
    m.to = near;
    mailbox_post(w, to, &m);
}

void agent_conn_post(struct agent_conn *c, enum agent_message kind, struct seg seg, uint32_t value)
{
    ASSERT(c->near);
    post(worker_of(c), c->worker, c->near,
         &(struct msg){
             .seg = seg, .kind = kind, .value = value, .extra = {c->dial, 0}
    });
}

void agent_refuse_dial(struct worker *w, const struct msg *dial, enum ending reason)
{
    const struct agent_dial *asked = (const struct agent_dial *)dial->seg.data;
    post(w, (unsigned)dial->extra[1], asked->near,
         &(struct msg){
             .kind = AGENT_CLOSED, .value = (uint32_t)reason, .extra = {dial->extra[0], 0}
    });
}

/* Without a buffer there is no detail. */
static struct seg detail_seg(struct worker *w, struct slice detail)
{
    uint32_t len = detail.len < DETAIL_MAX ? detail.len : DETAIL_MAX;
    struct buf *b = len > 0 ? buf_get(&w->bufs, BUF_SMALL) : NULL;
    if (!b)
        return (struct seg){0};
    memcpy(b->mem, detail.data, len);
    return (struct seg){b, b->mem, len, 0};
}

/* -- ends ---------------------------------------------------------------------------------------------------
 */

void agent_queue_drop(struct agent_queue *q, struct agent_home *home)
{
    while (!segq_empty(&q->segs))
        worker_release_seg(home->bw->worker, segq_pop(&q->segs, &home->bw->seg_nodes));
    q->at = 0;
}

static void count_closed(const struct agent_conn *c)
{
    struct konnectivity_stats *stats = &c->agent->home->bw->stats;
    if (c->opened_ns != 0) {
        stats_duration(stats, STATS_CONNECTION, worker_of(c)->now_ns - c->opened_ns);
        return;
    }
    stats_gauge_sub(stats, STATS_PENDING_DIALS, 1);
    if (c->agent->state == AGENT_CALL_OVER)
        stats_dial_failed(stats, STATS_DIAL_BACKEND_CLOSE);
}

/* The near half's last word is heard, and nothing of it or for it is kept. */
static void say_closed(struct agent_conn *c, enum ending reason, struct slice detail)
{
    if (!c->near)
        return;
    count_closed(c);
    agent_conn_post(c, AGENT_CLOSED, detail_seg(worker_of(c), detail), (uint32_t)reason);
    c->near = NULL;
    list_remove(&c->recent);
    agent_send_orphan(c);
    agent_queue_drop(&c->out, c->agent->home);
    agent_receive_drop(c);
}

void agent_conn_free(struct agent_conn *c)
{
    struct agent_call *a = c->agent;
    say_closed(c, ENDING_AGENT_LOST, SLICE(""));
    worker_disarm(worker_of(c), &c->timer);
    if (states[c->state].pending)
        count_answered(c);
    if (c->state == AGENT_CONN_OPEN)
        count_unopened(c);
    a->conn_count--;
    list_remove(&c->due);
    list_remove(&c->dial_bucket);
    list_remove(&c->id_bucket);
    list_remove(&c->node);
    drop_address(c);
    slab_give(&a->home->conns, c);
}

void agent_conn_leave(struct agent_conn *c, enum ending reason, struct slice detail)
{
    say_closed(c, reason, detail);
    switch (c->state) {
    case AGENT_CONN_ASKED:
    case AGENT_CONN_ENDED: agent_conn_free(c); return;
    case AGENT_CONN_DIALLING: agent_conn_set_state(c, AGENT_CONN_LATE); return;
    case AGENT_CONN_OPEN:
    case AGENT_CONN_FINISHING:
    case AGENT_CONN_CLOSING: agent_conn_set_state(c, AGENT_CONN_LEFT); return;
    case AGENT_CONN_LATE:
    case AGENT_CONN_LEFT:
    case AGENT_CONN_STATES: ASSERT(!"a far half whose near half is gone");
    }
}

void agent_conn_ended(struct agent_conn *c)
{
    agent_send_orphan(c);
    agent_queue_drop(&c->out, c->agent->home);
    agent_conn_set_state(c, AGENT_CONN_ENDED);
    agent_receive_end(c);
}

/* -- birth --------------------------------------------------------------------------------------------------
 */

struct agent_conn *agent_conn_new(struct agent_call *a, const struct msg *dial)
{
    const struct agent_dial *asked = (const struct agent_dial *)dial->seg.data;
    struct agent_home *home = a->home;
    struct worker *w = agent_worker(a);
    char *address = slab_take(&home->addresses);
    struct agent_conn *c = address ? slab_take(&home->conns) : NULL;
    if (!c) {
        if (address)
            slab_give(&home->addresses, address);
        return NULL;
    }
    list_init(&c->node);
    list_init(&c->dial_bucket);
    list_init(&c->id_bucket);
    list_init(&c->due);
    list_init(&c->dirty);
    list_init(&c->holding);
    list_init(&c->recent);
    timer_init(&c->timer, on_timer);
    c->agent = a;
    c->near = asked->near;
    c->worker = (unsigned)dial->extra[1];
    c->dial = dial->extra[0];
    c->credit = asked->credit;
    c->asked_ns = w->now_ns;
    uint64_t limit_ns = w->now_ns + agent_config(a)->dial_ms * 1000000ull;
    c->limit_ns = asked->deadline_ns < limit_ns ? asked->deadline_ns : limit_ns;
    c->address = address;
    memcpy(address, asked->address,
           strnlen(asked->address, AGENT_ADDRESS_MAX - 1)); /* zeroes are behind it */
    list_add_tail(&home->by_dial[bucket_of(home, c->dial, 0)], &c->dial_bucket);
    list_add_tail(&a->conns, &c->node);
    a->conn_count++;
    count_asked(c);
    wait_for_answer(c);
    agent_send_due(c);
    return c;
}
