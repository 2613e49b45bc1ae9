/* broker/konnectivity/agent_transport.c — a dial through an agent: one is chosen, told where to, and answers
 * for the destination.
 *
 * What the destination did stands. An agent that is lost, has no room or is silent says nothing about the
 * destination, so another one is asked while there is time: AGENTS_TRIED_MAX at most, and none twice. One
 * that has been silent for longer than a stock agent ever is is given up when there is another, and waited
 * for when there is not.
 *
 * Names are the agent's to resolve, in its cluster, and so nobody here sees the addresses they lead to: a
 * route that goes by agents allows names, or literals, and no more. A near half that was given up is aborted
 * and waits for its `closed` without an owner, as transport_direct.c has it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/konnectivity/agent_near.h"
#include "broker/konnectivity/agent_transport.h"
#include "broker/konnectivity/agents.h"
#include "pool/pool.h"
#include "pool/transport.h"

enum {
    PATIENCE_MS = 5500,   /* a stock agent gives a destination 5 s, and then says so */
    ID_WORKER_SHIFT = 57, /* of 63 bits: WORKERS_MAX above, a count below */
};
_Static_assert(WORKERS_MAX <= 1 << (63 - ID_WORKER_SHIFT), "every worker has ids of its own");

enum agent_dial_state {
    AGENT_DIAL_ASKED,  /* an agent answers, or the clock fires */
    AGENT_DIAL_FAILED, /* the answer is known and given at the end of the turn */
    AGENT_DIAL_STATES,
};

struct by_agent {
    struct transport transport;
    struct broker_worker *bw;
    struct slab dials;
    uint64_t last_id;
    uint32_t orphans;
};

struct dial {
    struct by_agent *by_agent;
    struct dial_request request;
    enum agent_dial_state state;
    struct agents_request agents;
    struct agent_near *near; /* of the agent that was asked; NULL: it has answered */
    struct timer clock;      /* the end of our patience, or of all time */
    struct task answer;
    enum ending ending;
    char via[POOL_DETAIL_MAX]; /* where to, and by which agent; cut where a detail would be */
    char detail[POOL_DETAIL_MAX];
};

static const struct {
    const char *name;
    uint32_t next;
} states[] = {
    [AGENT_DIAL_ASKED] = {"asked",  1u << AGENT_DIAL_FAILED},
    [AGENT_DIAL_FAILED] = {"failed", 0                      },
};
_Static_assert(ARRAY_SIZE(states) == AGENT_DIAL_STATES, "a row per state");

static void dial_set_state(struct dial *d, enum agent_dial_state to)
{
    ASSERT(states[d->state].next & 1u << to);
    d->state = to;
}

static struct worker *worker_of(const struct dial *d)
{
    return d->by_agent->bw->worker;
}

/* -- near halves without an owner ---------------------------------------------------------------------------
 */

static void ignore(struct stream *s)
{
    (void)s;
}

static void drop(struct stream *s, struct seg seg)
{
    worker_release_seg(s->worker, seg);
}

static void orphan_closed(struct stream *s, enum ending reason)
{
    struct by_agent *b = s->owner;
    (void)reason;
    ASSERT(b->orphans > 0);
    b->orphans--;
    stream_free(s);
}

static const struct stream_events orphan_events = {ignore, drop, drop, ignore, orphan_closed};

static void give_up(struct dial *d, enum ending reason)
{
    struct stream *s = &d->near->stream;
    d->near = NULL;
    d->by_agent->orphans++;
    stream_bind(s, &orphan_events, d->by_agent);
    stream_abort(s, reason);
}

/* -- answers ------------------------------------------------------------------------------------------------
 */

static void dial_free(struct dial *d)
{
    ASSERT(d->near == NULL);
    worker_disarm(worker_of(d), &d->clock);
    task_cancel(&d->answer);
    slab_give(&d->by_agent->dials, d);
}

static void answer_failure(struct task *t)
{
    struct dial *d = container_of(t, struct dial, answer);
    struct dial_answer answer = {.ending = d->ending, .address = d->via, .detail = d->detail};
    d->request.answered(d->request.owner, &answer);
    dial_free(d);
}

/* As the last agent has it: what an earlier one had to say was that it could not. */
static void note_failure(struct dial *d, enum ending ending, const char *detail)
{
    d->ending = ending;
    snprintf(d->detail, sizeof(d->detail), "%s: %s", d->via, detail ? detail : ending_text(ending));
}

static void dial_fail(struct dial *d)
{
    dial_set_state(d, AGENT_DIAL_FAILED);
    worker_disarm(worker_of(d), &d->clock);
    worker_defer(worker_of(d), &d->answer);
}

/* -- agents -------------------------------------------------------------------------------------------------
 */

static void ask_next(struct dial *d);

static void near_open(struct stream *s)
{
    struct dial *d = s->owner;
    struct dial_answer answer = {.stream = s, .address = d->via, .detail = ""};
    d->near = NULL;
    d->request.answered(d->request.owner, &answer);
    dial_free(d);
}

static void near_closed(struct stream *s, enum ending reason)
{
    struct dial *d = s->owner;
    char detail[POOL_DETAIL_MAX];
    bool told = agent_near_detail(d->near, detail, sizeof(detail));
    note_failure(d, reason, told ? detail : NULL);
    d->near = NULL;
    stream_free(s);
    if (agent_can_not(reason))
        ask_next(d);
    else
        dial_fail(d);
}

static const struct stream_events near_events = {near_open, drop, drop, ignore, near_closed};

static uint64_t next_id(struct by_agent *b)
{
    const uint64_t mask = (1ull << ID_WORKER_SHIFT) - 1;
    b->last_id = (b->last_id + 1) & mask;
    return (uint64_t)b->bw->worker->number << ID_WORKER_SHIFT | b->last_id;
}

/* NULL: there is none, or none is left, or it is enough. The first is asked in any case. */
static struct agent_seen *choose(struct dial *d)
{
    bool in_time = worker_of(d)->now_ns < d->request.deadline_ns || d->agents.tried_count == 0;
    if (!in_time || d->agents.tried_count == AGENTS_TRIED_MAX)
        return NULL;
    return agents_choose(d->by_agent->bw->agents, &d->agents);
}

static void arm_clock(struct dial *d, uint64_t at_ns)
{
    uint64_t until = d->request.deadline_ns;
    timer_arm_at(&worker_of(d)->timers, &d->clock, at_ns < until ? at_ns : until);
}

static void write_via(struct dial *d, const char *address, const struct agent_card *card)
{
    const char *parts[] = {address, " via agent ", card->id};
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        size_t len = strnlen(parts[i], sizeof(d->via) - 1 - at);
        memcpy(d->via + at, parts[i], len);
        at += len;
    }
    d->via[at] = '\0';
}

static void ask(struct dial *d, struct agent_seen *agent)
{
    const struct agent_card *card = agents_card(agent);
    char address[AGENT_ADDRESS_MAX];
    struct agent_near_dial dial = {next_id(d->by_agent), d->request.deadline_ns, address};
    net_host_text(d->request.host, d->request.port, address, sizeof(address));
    d->agents.tried[d->agents.tried_count++] = card->serial;
    write_via(d, address, card);
    d->near = agent_near_new(d->by_agent->bw, &agent, &dial);
    if (!d->near) {
        note_failure(d, ENDING_LIMIT, "out of memory for a connection");
        dial_fail(d);
        return;
    }
    stream_bind(&d->near->stream, &near_events, d);
    arm_clock(d, worker_of(d)->now_ns + PATIENCE_MS * 1000000ull);
}

/* Without another one what the last one said is the answer. */
static void ask_next(struct dial *d)
{
    struct agent_seen *agent = choose(d);
    if (agent)
        ask(d, agent);
    else
        dial_fail(d);
}

/* At the deadline the agent's home says the same: this is for when it is late. */
static void on_clock(struct timer *t)
{
    struct dial *d = container_of(t, struct dial, clock);
    bool in_time = worker_of(d)->now_ns < d->request.deadline_ns;
    struct agent_seen *another = choose(d);
    if (in_time && !another) {
        arm_clock(d, d->request.deadline_ns);
        return;
    }
    agent_near_was_silent(d->near);
    give_up(d, ENDING_DEADLINE);
    note_failure(d, ENDING_DEADLINE, "the agent did not answer in time");
    if (another)
        ask(d, another);
    else
        dial_fail(d);
}

/* -- the transport ------------------------------------------------------------------------------------------
 */

static struct dial *agent_dial(struct transport *t, const struct dial_request *request)
{
    struct by_agent *b = container_of(t, struct by_agent, transport);
    struct dial *d = slab_take(&b->dials);
    if (!d)
        return NULL;
    d->by_agent = b;
    d->request = *request;
    d->agents.wish = request->path->agents;
    d->agents.host = request->host;
    timer_init(&d->clock, on_clock);
    task_init(&d->answer, answer_failure);
    struct agent_seen *agent = choose(d);
    if (agent) {
        ask(d, agent);
        return d;
    }
    stats_dial_failed(&b->bw->stats, STATS_DIAL_NO_AGENT);
    net_host_text(d->request.host, d->request.port, d->via, sizeof(d->via));
    note_failure(d, ENDING_NO_AGENT, NULL);
    dial_fail(d);
    return d;
}

static void agent_cancel(struct transport *t, struct dial **dial)
{
    struct dial *d = *dial;
    (void)t;
    *dial = NULL;
    if (d->near)
        give_up(d, ENDING_CANCELLED);
    dial_free(d);
}

static bool agent_is_idle(const struct transport *t)
{
    const struct by_agent *b = container_of(t, const struct by_agent, transport);
    return b->dials.used == 0 && b->orphans == 0;
}

static void agent_free(struct transport **t)
{
    struct by_agent *b = container_of(*t, struct by_agent, transport);
    ASSERT(agent_is_idle(*t));
    *t = NULL;
    slab_fini(&b->dials);
    free(b);
}

static const struct transport_ops agent_ops = {"agent", agent_dial, agent_cancel, agent_is_idle, agent_free};

int agent_transport_new(struct broker_worker *bw, struct transport **ret)
{
    struct by_agent *b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->transport.ops = &agent_ops;
    b->bw = bw;
    b->last_id = worker_random(bw->worker);
    /* What waits for a dial bounds them here, and the agents' homes do (agents.pendingDialsMax). */
    const struct config_limits *limits = &bw->broker->config->limits;
    slab_init(&b->dials, "dials through agents", sizeof(struct dial),
              limits->tunnels_max + limits->requests_in_flight_max);
    *ret = &b->transport;
    return 0;
}
