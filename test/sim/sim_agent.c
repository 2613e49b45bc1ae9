/* test/sim/sim_agent.c — see sim_agent.h. */
#include "sim_agent.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_agent_pipe.h"
#include "sim_channel.h"

enum { STREAMS_MAX = 200, FLOOD_PACKETS = 1500 };

static const uint64_t again_ns = 1000000000u;    /* between attempts, as stock agents have it */
static const uint64_t frozen_ns = 120000000000u; /* then its process is gone */
static const uint64_t late_ns = 9000000000u;

struct sim_agent {
    struct sim_agent_options o;
    struct sim_net *net;
    struct sim_h2 *h2;     /* NULL: none now */
    struct sim_call *call; /* NULL: none now */
    struct list pipes;
    struct sim_event again, mischief, thaw;
    int64_t last_id;
    uint64_t dials;
    unsigned streams;
    bool serves, counted, resting, bad_hello;
};

static uint64_t now(const struct sim_agent *a)
{
    return sim_now_ns(a->net);
}

static void after(struct sim_agent *a, struct sim_event *e, uint64_t ns)
{
    sim_event_at(a->net, e, now(a) + ns);
}

/* -- dials --------------------------------------------------------------------------------------------------
 */

static void on_pipe_over(struct sim_agent_pipe *p)
{
    (void)p;
}

static void say_dialled(struct sim_agent *a, int64_t random, int64_t id, const char *error)
{
    sim_call_say(a->call,
                 &(struct sim_packet){.type = SIM_DIAL_RSP, .id = id, .random = random, .error = error});
}

static void answer_well(struct sim_agent *a, struct sim_agent_pipe *p)
{
    int64_t id = p->error ? 0 : ++a->last_id;
    say_dialled(a, p->random, id, p->error);
    if (p->error)
        sim_agent_pipe_drop(p, false);
    else
        sim_agent_pipe_open(p, id);
}

static void answer_badly(struct sim_agent *a, struct sim_agent_pipe *p, enum sim_dial_mischief how)
{
    int64_t random = p->random;
    switch (how) {
    case DIAL_NEVER: sim_agent_pipe_drop(p, true); return;
    case DIAL_LATE: after(a, &p->answer, sim_between(a->net, 1000000000u, late_ns)); return;
    case DIAL_TWICE:
        answer_well(a, p);
        say_dialled(a, random, a->last_id + 1000000, "");
        return;
    case DIAL_NO_NUMBER:
        say_dialled(a, random, 0, "");
        sim_agent_pipe_drop(p, true);
        return;
    case DIAL_SAME_NUMBER:
        if (!sim_call_is_open(a->call, a->last_id)) { /* it would be believed */
            answer_well(a, p);
            return;
        }
        say_dialled(a, random, a->last_id, "");
        sim_agent_pipe_drop(p, true);
        return;
    case DIAL_BOTH:
        say_dialled(a, random, ++a->last_id, "dial tcp: connect: connection refused");
        sim_agent_pipe_drop(p, true);
        return;
    case DIAL_STRANGE:
        say_dialled(a, random ^ 0x5555, a->last_id + 2000000, "");
        answer_well(a, p);
        return;
    case DIAL_GIVES_UP:
        sim_call_say(a->call, &(struct sim_packet){.type = SIM_DIAL_CLS, .random = random});
        sim_agent_pipe_drop(p, true);
        return;
    case DIAL_MISCHIEFS: ASSERT(!"what an agent does to a dial");
    }
}

static void on_answer(struct sim_event *e)
{
    struct sim_agent_pipe *p = container_of(e, struct sim_agent_pipe, answer);
    answer_well(p->owner, p);
}

static void on_dialled(struct sim_agent_pipe *p)
{
    struct sim_agent *a = p->owner;
    p->answer.fire = on_answer;
    if (sim_chance(a->net, a->o.habits->dial_mischiefs))
        answer_badly(a, p, (enum sim_dial_mischief)(sim_random(a->net) % DIAL_MISCHIEFS));
    else
        after(a, &p->answer, sim_between(a->net, 0, a->o.habits->lag_max_ns));
}

/* "10.0.0.1:10250" */
static bool read_address(const char *text, struct net_address *ret)
{
    const char *colon = strrchr(text, ':');
    return colon &&
           net_address_parse(text, (size_t)(colon - text), (uint16_t)strtoul(colon + 1, NULL, 10), ret);
}

static void on_dial_request(struct sim_agent *a, const struct sim_packet *r)
{
    struct net_address to;
    a->dials++;
    if (strcmp(r->protocol, "tcp") != 0 || !read_address(r->address, &to)) {
        sim_violation(a->o.ledger, 0, "agent %s is asked to dial %s %s", a->o.id, r->protocol, r->address);
        return;
    }
    list_each_safe(node, tmp, &a->pipes)
    {
        const struct sim_agent_pipe *p = list_entry(node, struct sim_agent_pipe, node);
        if (p->random == r->random && !p->answered)
            sim_violation(a->o.ledger, 0, "agent %s is asked for %" PRId64 " twice at a time", a->o.id,
                          p->random);
    }
    sim_trace(a->net, "agent dials", (uint64_t)r->random, a->dials, 0);
    struct sim_agent_pipe *p = sim_agent_pipe_new(a->call, &to, &a->o.from, a);
    p->random = r->random;
    p->plain_ends = a->o.plain_ends;
    p->dialled_to = on_dialled;
    p->over = on_pipe_over;
    list_add_tail(&a->pipes, &p->node);
}

/* -- the stream ---------------------------------------------------------------------------------------------
 */

static void on_field(struct sim_call *call, const char *name, const char *value)
{
    struct sim_agent *a = call->owner;
    if (strcmp(name, "serverid") == 0)
        a->serves = value[0] != '\0';
    else if (strcmp(name, "servercount") == 0)
        a->counted = strtoul(value, NULL, 10) > 0;
    if (a->serves && a->counted && a->bad_hello)
        sim_violation(a->o.ledger, 0, "agent %s is let in with metadata that is wrong", a->o.id);
}

static void on_packet(struct sim_call *call, const struct sim_packet *p)
{
    struct sim_agent *a = call->owner;
    if (!a->serves || !a->counted)
        sim_violation(a->o.ledger, 0, "agent %s gets a packet before it knows the server", a->o.id);
    if (p->type == SIM_DIAL_REQ)
        on_dial_request(a, p);
    else if (p->type != SIM_DIAL_CLS) /* which stock agents do not heed */
        sim_violation(a->o.ledger, 0, "agent %s gets a packet of type %d", a->o.id, (int)p->type);
}

static void on_wrong(struct sim_call *call, const char *what, int64_t id)
{
    struct sim_agent *a = call->owner;
    sim_violation(a->o.ledger, 0, "agent %s gets %s (%" PRId64 ")", a->o.id, what, id);
}

static void on_gone(struct sim_call *call, const char *why)
{
    struct sim_agent *a = call->owner;
    sim_trace(a->net, why, a->streams, a->dials, 0);
    a->call = NULL;
    a->serves = a->counted = false;
    list_each_safe(node, tmp, &a->pipes)
    {
        struct sim_agent_pipe *p = list_entry(node, struct sim_agent_pipe, node);
        if (!p->answered)
            sim_agent_pipe_drop(p, true);
    }
    sim_h2_leave(a->h2, false);
}

static const struct sim_call_events call_events = {on_field, on_packet, on_wrong, on_gone};

static void on_over(struct sim_h2 *h2)
{
    struct sim_agent *a = sim_h2_owner(h2);
    if (sim_h2_is_broken(h2))
        sim_violation(a->o.ledger, 0, "agent %s gets what is no HTTP/2", a->o.id);
    if (sim_h2_was_calmed(h2) && a->o.calm)
        sim_violation(a->o.ledger, 0, "agent %s is taken for a flood in a calm world", a->o.id);
    ASSERT(!a->call);
    a->h2 = NULL;
    sim_event_cancel(a->net, &a->mischief);
    sim_event_cancel(a->net, &a->thaw);
    if (!a->resting && a->streams < STREAMS_MAX)
        after(a, &a->again, again_ns + sim_between(a->net, 0, again_ns / 10));
}

static void on_again(struct sim_event *e)
{
    struct sim_agent *a = container_of(e, struct sim_agent, again);
    const struct sim_agent_habits *h = a->o.habits;
    static const char *const bad[] = {"host=a;b", "ipv4=%zz", "host=%"};
    a->bad_hello = sim_chance(a->net, h->bad_hellos);
    const char *metadata[] = {"agentid", a->o.id, "agentidentifiers",
                              a->bad_hello ? bad[sim_random(a->net) % ARRAY_SIZE(bad)] : a->o.identifiers};
    struct sim_sock *sock = sim_connect(a->net, &a->o.to, &a->o.from);
    ASSERT(sock != NULL);
    a->streams++;
    a->last_id = 0;
    a->h2 = sim_h2_new(a->net, sim_channel_raw(sock), &h->h2, a, on_over);
    a->call = sim_call_new(a->net, a->h2, CALL_OF_AGENT, metadata, 2, &call_events, a);
    if (sim_chance(a->net, h->mischiefs))
        after(a, &a->mischief, sim_between(a->net, 0, h->mischief_max_ns));
}

/* -- mischief -----------------------------------------------------------------------------------------------
 */

static void meddle(struct sim_agent *a)
{
    for (int64_t id = -1; id < 40; id += 3) {
        sim_call_say(a->call, &(struct sim_packet){.type = SIM_DATA,
                                                   .id = id + 3000000,
                                                   .data = (const uint8_t *)"meddling",
                                                   .len = 8});
        sim_call_say(a->call, &(struct sim_packet){.type = SIM_CLOSE_RSP, .id = id + 4000000});
    }
    sim_call_say(a->call, &(struct sim_packet){.type = SIM_DATA});
    sim_call_say(a->call, &(struct sim_packet){.type = SIM_CLOSE_REQ, .id = 1});
}

static void on_mischief(struct sim_event *e)
{
    static const uint8_t babble[] = {0, 0, 0, 0, 3, 0xff, 0xff, 0xff}, oversize[] = {0, 0, 0x60, 0, 0};
    struct sim_agent *a = container_of(e, struct sim_agent, mischief);
    enum sim_agent_mischief what = (enum sim_agent_mischief)(sim_random(a->net) % AGENT_MISCHIEFS);
    if (!a->call || a->call->leaving)
        return;
    sim_trace(a->net, "mischief", (uint64_t)what, a->streams, a->dials);
    switch (what) {
    case AGENT_RESETS: sim_h2_leave(a->h2, true); return;
    case AGENT_LEAVES: sim_call_leave(a->call, false); return;
    case AGENT_FREEZES:
        sim_h2_freeze(a->h2);
        after(a, &a->thaw, frozen_ns);
        return;
    case AGENT_DRAINS: sim_call_say(a->call, &(struct sim_packet){.type = SIM_DRAIN}); return;
    case AGENT_BABBLES: sim_h2_write(a->call->stream, babble, sizeof(babble)); return;
    case AGENT_OVERSIZES: sim_h2_write(a->call->stream, oversize, sizeof(oversize)); return;
    case AGENT_MEDDLES: meddle(a); return;
    case AGENT_FLOODS:
        for (int64_t i = 0; i < FLOOD_PACKETS; i++)
            say_dialled(a, i + 7, i + 5000000, "");
        return;
    case AGENT_MISCHIEFS: ASSERT(!"what an agent does");
    }
}

static void on_thaw(struct sim_event *e)
{
    sim_h2_leave(container_of(e, struct sim_agent, thaw)->h2, true);
}

/* -- life ---------------------------------------------------------------------------------------------------
 */

struct sim_agent *sim_agent_new(const struct sim_agent_options *o)
{
    struct sim_agent *a = calloc(1, sizeof(*a));
    ASSERT(a != NULL);
    *a = (struct sim_agent){
        .o = *o, .net = o->net, .again.fire = on_again, .mischief.fire = on_mischief, .thaw.fire = on_thaw};
    list_init(&a->pipes);
    after(a, &a->again, 0);
    return a;
}

bool sim_agent_serves(const struct sim_agent *a)
{
    return a->serves && a->counted;
}

void sim_agent_check(struct sim_agent *a)
{
    if (a->h2)
        sim_h2_check(a->h2);
}

void sim_agent_rest(struct sim_agent *a)
{
    a->resting = true;
    sim_event_cancel(a->net, &a->again);
    sim_event_cancel(a->net, &a->mischief);
}

bool sim_agent_is_done(const struct sim_agent *a)
{
    return a->resting && !a->h2 && list_empty(&a->pipes);
}

uint64_t sim_agent_dials(const struct sim_agent *a)
{
    return a->dials;
}

void sim_agent_free(struct sim_agent **ap)
{
    struct sim_agent *a = *ap;
    *ap = NULL;
    if (!a)
        return;
    ASSERT(sim_agent_is_done(a));
    free(a);
}
