/* test/sim/sim_tunnel.c — see sim_tunnel.h. */
#include "sim_tunnel.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/sim_net.h"

/* Beyond the numbers of exchanges: nobody says the same. */
enum { MAGIC = 0xb7, WORDS = 1 << 30, UPGRADES = 1 << 29 };

static const uint64_t long_ns = 25000000000u; /* who reads nothing for so long may be cut after both ends */

/* -- the book -----------------------------------------------------------------------------------------------
 */

static void *grow(void *array, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap)
        return array;
    *cap = *cap ? *cap * 2 : 64;
    array = realloc(array, *cap * size);
    ASSERT(array != NULL);
    return array;
}

void sim_tunnels_fini(struct sim_tunnels *t)
{
    free(t->tunnels);
    free(t->ends);
    t->tunnels = NULL;
    t->ends = NULL;
}

struct sim_end *sim_end_add(struct sim_tunnels *t, enum sim_side side, uint32_t tunnel)
{
    t->ends = grow(t->ends, t->end_count, &t->end_cap, sizeof(*t->ends));
    struct sim_end *e = &t->ends[t->end_count++];
    *e = (struct sim_end){.id = t->end_count, .side = side, .tunnel = tunnel};
    if (side == SIDE_ANSWER && tunnel != 0) {
        struct sim_end *client = sim_end_find(t, sim_tunnel_find(t, tunnel)->client);
        e->other = client->id;
        client->other = e->id;
    }
    return e;
}

struct sim_tunnel *sim_tunnel_add(struct sim_tunnels *t)
{
    t->tunnels = grow(t->tunnels, t->count, &t->cap, sizeof(*t->tunnels));
    struct sim_tunnel *x = &t->tunnels[t->count++];
    *x = (struct sim_tunnel){.id = t->count};
    t->outcomes[TUNNEL_PENDING]++;
    x->client = sim_end_add(t, SIDE_REQUEST, x->id)->id;
    return x;
}

struct sim_tunnel *sim_tunnel_find(struct sim_tunnels *t, uint32_t id)
{
    return id >= 1 && id <= t->count ? &t->tunnels[id - 1] : NULL;
}

struct sim_end *sim_end_find(struct sim_tunnels *t, uint32_t id)
{
    return id >= 1 && id <= t->end_count ? &t->ends[id - 1] : NULL;
}

const char *sim_destination_text(enum sim_destination d)
{
    static const char *const texts[DESTINATION_COUNT] = {
#define X(symbol, text) text,
        SIM_DESTINATIONS(X)
#undef X
    };
    return texts[d];
}

void sim_tunnel_violation(struct sim_tunnels *t, uint32_t id, const char *fmt, ...)
{
    const struct sim_tunnel *x = sim_tunnel_find(t, id);
    char text[512];
    int len = x ? snprintf(text, sizeof(text), "tunnel %" PRIu32 " (to backend %u, which %s): ", id,
                           x->backend, sim_destination_text(x->destination))
                : snprintf(text, sizeof(text), "a tunnel of nobody: ");
    va_list args;
    va_start(args, fmt);
    vsnprintf(text + len, sizeof(text) - (size_t)len, fmt, args);
    va_end(args);
    sim_violation(t->ledger, 0, "%s", text);
}

/* -- words --------------------------------------------------------------------------------------------------
 */

uint32_t sim_upgrade_id(uint32_t tunnel)
{
    return UPGRADES + tunnel;
}

void sim_tunnel_fill(uint32_t end, uint64_t at, uint8_t *bytes, size_t len)
{
    const uint8_t preamble[SIM_PREAMBLE] = {
        MAGIC, (uint8_t)end, (uint8_t)(end >> 8), (uint8_t)(end >> 16), (uint8_t)(end >> 24), 0, 0, MAGIC};
    while (len > 0 && at < SIM_PREAMBLE) {
        *bytes++ = preamble[at++];
        len--;
    }
    sim_body_fill(end + WORDS, SIDE_REQUEST, at, bytes, len);
}

static void join(struct sim_tunnels *t, struct sim_end *e, struct sim_end *o)
{
    if (e->side == o->side || (e->other != 0 && e->other != o->id) || (o->other != 0 && o->other != e->id)) {
        sim_tunnel_violation(t, e->tunnel, "end %" PRIu32 " hears end %" PRIu32 ", of tunnel %" PRIu32, e->id,
                             o->id, o->tunnel);
        return;
    }
    e->other = o->id;
    o->other = e->id;
    if (e->tunnel == 0)
        e->tunnel = o->tunnel;
    if (o->tunnel == 0)
        o->tunnel = e->tunnel;
}

static void learn_speaker(struct sim_tunnels *t, struct sim_end *e)
{
    const uint8_t *p = e->preamble;
    uint32_t id = p[1] | (uint32_t)p[2] << 8 | (uint32_t)p[3] << 16 | (uint32_t)p[4] << 24;
    struct sim_end *o = sim_end_find(t, id);
    uint8_t good[SIM_PREAMBLE];
    sim_tunnel_fill(id, 0, good, sizeof(good));
    if (!o || memcmp(good, p, sizeof(good)) != 0) {
        sim_tunnel_violation(t, e->tunnel, "end %" PRIu32 " hears what nobody said", e->id);
        return;
    }
    e->speaker = id;
    if (o != e)
        join(t, e, o);
    else if (e->other == 0 || !sim_end_find(t, e->other)->script.echo)
        sim_tunnel_violation(t, e->tunnel, "end %" PRIu32 " hears itself", id);
}

void sim_tunnel_hear(struct sim_tunnels *t, uint32_t end, const uint8_t *bytes, size_t len)
{
    struct sim_end *e = sim_end_find(t, end);
    t->bytes += len;
    if (e->end_heard)
        sim_tunnel_violation(t, e->tunnel, "end %" PRIu32 " hears something after the end", end);
    while (len > 0 && e->heard < SIM_PREAMBLE) {
        e->preamble[e->heard++] = *bytes++;
        len--;
        if (e->heard == SIM_PREAMBLE)
            learn_speaker(t, e);
    }
    if (len > 0 && e->speaker != 0 &&
        !sim_body_matches(e->speaker + WORDS, SIDE_REQUEST, e->heard, bytes, len))
        sim_tunnel_violation(t, e->tunnel,
                             "end %" PRIu32 " hears something else within %zu bytes from byte %" PRIu64, end,
                             len, e->heard);
    e->heard += len;
}

/* A client at a door of all that left by an end, before it had told who it is. */
static bool may_have_said(struct sim_tunnels *t, uint64_t bytes)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const struct sim_tunnel *x = &t->tunnels[i];
        const struct sim_end *e = sim_end_find(t, x->client);
        if (x->destination == DESTINATION_SHARED && x->outcome == TUNNEL_LEFT && e->ended && e->said == bytes)
            return true;
    }
    return false;
}

/* By its own script it may leave the other without an end. */
static bool may_break(const struct sim_tunnel *x, const struct sim_script *s)
{
    return s->breaks_at != UINT32_MAX || s->stop_ns >= (x->patience_ns ? x->patience_ns : long_ns);
}

/* Agents tell less than happened: what the broker cuts is an end to the destination, and so may be the loss
 * of the agent; and what the destination breaks off may be one to the client. */
static bool may_be_any_end(const struct sim_tunnels *t, const struct sim_tunnel *x, const struct sim_end *e,
                           const struct sim_end *o)
{
    bool cut = e->side == SIDE_ANSWER && (x->excused || may_break(x, &e->script) || may_break(x, &o->script));
    bool fault = !t->calm && (e->side == SIDE_ANSWER || t->plain_ends);
    return x->by_agent && (o->broke || cut || fault);
}

static void judge_end(struct sim_tunnels *t, const struct sim_end *e)
{
    const struct sim_end *o = sim_end_find(t, e->other);
    const struct sim_tunnel *x = sim_tunnel_find(t, e->tunnel);
    if (!o) {
        bool cut_short = t->whole_closes; /* who breaks off by CLOSE_REQ has said what it has said */
        if (e->heard > 0 && !cut_short && !may_have_said(t, e->heard))
            sim_tunnel_violation(t, e->tunnel, "end %" PRIu32 " heard an end within a preamble", e->id);
        return;
    }
    /* Who was dialled for a client that had gone by then is let go of politely, and was told nothing. */
    if (e->side == SIDE_ANSWER && e->heard == 0 && x && x->outcome != TUNNEL_STOOD)
        return;
    if (x && x->whole_close && e->ended_first)
        return;
    if (x && may_be_any_end(t, x, e, o))
        return;
    if (!o->ended || e->heard != o->said)
        sim_tunnel_violation(t, e->tunnel,
                             "end %" PRIu32 " heard a clean end after %" PRIu64 " bytes; %" PRIu64
                             " were said, and it was %s",
                             e->id, e->heard, o->said, o->ended ? "ended" : "not ended");
}

void sim_tunnel_hear_end(struct sim_tunnels *t, uint32_t end)
{
    struct sim_end *e = sim_end_find(t, end);
    e->end_heard = true;
    e->ended_first = e->ended;
    sim_trace(t->net, "end heard", end, e->heard, 0);
    if (e->other != 0) /* else at the end of the world: the other may be known by then */
        judge_end(t, e);
}

/* -- answers ------------------------------------------------------------------------------------------------
 */

/* The reason of a phrase: what it begins with, or else what stands in it. */
static enum ending ending_of(const char *phrase)
{
    for (enum ending e = ENDING_DONE + 1; e < (enum ending)ENDING_COUNT; e++)
        if (strncmp(phrase, ending_text(e), strlen(ending_text(e))) == 0)
            return e;
    for (enum ending e = ENDING_DONE + 1; e < (enum ending)ENDING_COUNT; e++)
        if (strstr(phrase, ending_text(e)))
            return e;
    return ENDING_DONE;
}

static uint64_t fitting(const struct sim_tunnel *x)
{
    const uint64_t untrusted = 1ull << ENDING_TLS_UNTRUSTED | 1ull << ENDING_TLS_NAME_MISMATCH;
    /* An agent may tell a reset as an end. */
    const uint64_t reset = 1ull << ENDING_PEER_RESET | (x->by_agent ? 1ull << ENDING_TRUNCATED : 0);
    if (x->untrusted)
        return untrusted;
    switch (x->destination) {
    case DESTINATION_OPEN:
    case DESTINATION_SHARED:
    case DESTINATION_SWITCHES: /* what it breaks off may overtake the answer */
        return 1ull << ENDING_DONE | (may_break(x, &x->far) ? reset : 0);
    case DESTINATION_ORDINARY: return 1ull << ENDING_DONE;
    case DESTINATION_REFUSES: return 1ull << ENDING_REFUSED;
    case DESTINATION_UNREACHABLE: return 1ull << ENDING_UNREACHABLE;
    case DESTINATION_SILENT:
        return 1ull << ENDING_CONNECT_TIMEOUT | (x->by_agent ? 1ull << ENDING_DEADLINE : 0);
    case DESTINATION_FORBIDDEN: return 1ull << ENDING_NO_ROUTE;
    case DESTINATION_FOREIGN:
    case DESTINATION_HASTY: return 1ull << ENDING_BAD_RESPONSE;
    case DESTINATION_CUTS: return 1ull << ENDING_TRUNCATED;
    case DESTINATION_BREAKS: return reset;
    case DESTINATION_MUTE: return 1ull << ENDING_DEADLINE;
    case DESTINATION_COUNT: break;
    }
    ASSERT(!"a destination");
    return 0;
}

static unsigned own_status(const struct sim_tunnel *x)
{
    return x->destination == DESTINATION_ORDINARY       ? x->answer_status
           : x->destination < DESTINATION_FIRST_UPGRADE ? 200
                                                        : 101;
}

static void settle(struct sim_tunnels *t, struct sim_tunnel *x, enum sim_tunnel_outcome outcome)
{
    if (x->outcome != TUNNEL_PENDING)
        sim_tunnel_violation(t, x->id, "was answered twice");
    t->outcomes[x->outcome]--;
    t->outcomes[outcome]++;
    x->outcome = outcome;
    x->answered_ns = sim_now_ns(t->net);
    sim_trace(t->net, "tunnel", x->id, (uint64_t)outcome, x->status);
}

void sim_tunnel_answered(struct sim_tunnels *t, uint32_t id, unsigned status, const char *reason)
{
    struct sim_tunnel *x = sim_tunnel_find(t, id);
    x->status = status;
    /* What says none of our reasons is the destination's own answer. */
    x->reason = status == 200 || status == 101 ? ENDING_DONE : ending_of(reason);
    uint64_t fits = fitting(x) | t->endings | (t->draining ? 1ull << ENDING_DRAINING : 0);
    unsigned owed = x->reason == ENDING_DONE ? own_status(x) : (unsigned)ending_status(x->reason);
    if (!(fits & 1ull << x->reason) || status != owed)
        sim_tunnel_violation(t, id, "was answered with %u %s", status, reason);
    bool stands = x->reason == ENDING_DONE && x->destination != DESTINATION_ORDINARY;
    if (x->reason == ENDING_DONE && x->destination >= DESTINATION_FIRST_UPGRADE && x->seen != 1)
        sim_tunnel_violation(t, id, "was asked %u times", x->seen);
    settle(t, x, stands ? TUNNEL_STOOD : TUNNEL_REFUSED);
}

void sim_tunnel_dialled(struct sim_tunnels *t, uint32_t id, const char *error)
{
    enum ending reason = error[0] ? ending_of(error) : ENDING_DONE;
    if (error[0] && reason == ENDING_DONE)
        sim_tunnel_violation(t, id, "was answered with \"%s\"", error);
    sim_tunnel_answered(t, id, reason == ENDING_DONE ? 200 : (unsigned)ending_status(reason), error);
}

void sim_tunnel_over(struct sim_tunnels *t, uint32_t id, enum sim_tunnel_outcome outcome)
{
    struct sim_tunnel *x = sim_tunnel_find(t, id);
    ASSERT(outcome == TUNNEL_LOST || outcome == TUNNEL_LEFT);
    if (outcome == TUNNEL_LOST && t->calm && !x->excused && !may_break(x, &x->far))
        sim_tunnel_violation(t, id, "was not answered");
    settle(t, x, outcome);
}

/* -- the end of the world -----------------------------------------------------------------------------------
 */

/* Where the first end is the end of both, who goes on may be broken off. A client has heard by then what was
 * said before that end. */
static bool is_over(const struct sim_tunnel *x, const struct sim_end *e, const struct sim_end *o)
{
    bool heard_out = e->side == SIDE_ANSWER || e->heard == o->said;
    return e->end_heard || (x->whole_close && e->lost && (e->ended || (o->ended && heard_out)));
}

static void judge_tunnel(struct sim_tunnels *t, const struct sim_tunnel *x)
{
    const struct sim_end *near = sim_end_find(t, x->client), *far = sim_end_find(t, near->other);
    if (x->outcome == TUNNEL_PENDING)
        sim_tunnel_violation(t, x->id, "was neither answered nor left");
    if (x->outcome != TUNNEL_STOOD || !t->calm || x->excused || may_break(x, &near->script))
        return;
    if (!far) /* of a door of all: it heard too little to learn whom it was dialled for */
        return;
    if (!may_break(x, &far->script) && !(is_over(x, near, far) && is_over(x, far, near)))
        sim_tunnel_violation(t, x->id,
                             "did not come to its end in a calm world: said %" PRIu64 ", heard %" PRIu64
                             " of %" PRIu64 "; said back %" PRIu64 ", heard %" PRIu64,
                             near->said, far->heard, near->said, far->said, near->heard);
}

void sim_tunnel_judge(struct sim_tunnels *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        judge_tunnel(t, &t->tunnels[i]);
    for (uint32_t i = 0; i < t->end_count; i++) {
        const struct sim_end *e = &t->ends[i], *o = sim_end_find(t, e->other);
        if (e->end_heard)
            judge_end(t, e);
        if (o && e->heard > o->said)
            sim_tunnel_violation(t, e->tunnel, "end %" PRIu32 " heard more than was said", e->id);
        if (e->peer)
            sim_tunnel_violation(t, e->tunnel, "end %" PRIu32 " is still there", e->id);
    }
}
