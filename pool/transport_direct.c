/* pool/transport_direct.c — streams by plain connect: the name is resolved, the policy is asked about every
 * address, and those it allows race each other as RFC 8305 (happy eyeballs) has it, within the deadline of
 * the dial.
 *
 * Families take turns. An address that is silent for ATTEMPT_DELAY_MS gets company, one that fails is
 * followed at once; each has connect_ms. The first that connects wins and the others are aborted. If none
 * does, the most telling failure is told.
 *
 * The policy judges addresses and not names, after resolution: a name that suddenly points at 169.254.169.254
 * is refused like the literal. An attempt that was given up is aborted and waits for its `closed` without an
 * owner; `orphans` counts those, so that a pool knows when nothing of it is left. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/engine.h"
#include "io/resolve.h"
#include "io/worker.h"
#include "pool/pool.h"
#include "pool/transport.h"

enum {
    ATTEMPT_DELAY_MS = 250, /* RFC 8305 section 8: Connection Attempt Delay, recommended */
    ATTEMPTS_MAX = 4, /* of one dial under way; a guess: a name of silent addresses shall not cost more */
};

enum dial_state {
    DIAL_RESOLVING,  /* the resolver answers */
    DIAL_CONNECTING, /* an attempt says open or closed, or the clock fires */
    DIAL_FAILED,     /* the answer is known and given at the end of the turn */
    DIAL_STATES,
};

struct direct {
    struct transport transport;
    struct worker *worker;
    struct pool_options options;
    struct slab dials;
    uint32_t orphans;
};

struct attempt {
    struct dial *dial;
    struct stream *stream; /* NULL: a free place */
    const struct net_address *address;
    uint64_t until_ns;
};

struct dial {
    struct direct *direct;
    struct dial_request request;
    enum dial_state state;
    struct resolve resolve;
    struct timer clock;   /* when an attempt is over, or the next is due */
    uint64_t next_due_ns; /* beside those under way */
    struct task answer;
    uint16_t count, next, failures;
    uint8_t weight; /* of `ending`, the most telling failure until now */
    enum ending ending;
    struct attempt attempts[ATTEMPTS_MAX];
    char address[NET_TEXT_MAX];
    char detail[POOL_DETAIL_MAX];
    struct net_address addresses[DIAL_ADDRESSES_MAX];
};

static const struct {
    const char *name;
    uint32_t next;
} states[] = {
    [DIAL_RESOLVING] = {"resolving",  1u << DIAL_CONNECTING | 1u << DIAL_FAILED},
    [DIAL_CONNECTING] = {"connecting", 1u << DIAL_FAILED                        },
    [DIAL_FAILED] = {"failed",     0                                        },
};
_Static_assert(ARRAY_SIZE(states) == DIAL_STATES, "a row per state");

static void dial_set_state(struct dial *d, enum dial_state to)
{
    ASSERT(states[d->state].next & 1u << to);
    d->state = to;
}

/* -- attempts without an owner ------------------------------------------------------------------------------
 */

static void orphan_open(struct stream *s)
{
    (void)s;
}

static void orphan_data(struct stream *s, struct seg seg)
{
    worker_release_seg(s->worker, seg);
}

static void orphan_end(struct stream *s)
{
    (void)s;
}

static void orphan_closed(struct stream *s, enum ending reason)
{
    struct direct *direct = s->owner;
    (void)reason;
    ASSERT(direct->orphans > 0);
    direct->orphans--;
    stream_free(s);
}

static const struct stream_events orphan_events = {orphan_open, orphan_data, orphan_data, orphan_end,
                                                   orphan_closed};

static void attempt_give_up(struct attempt *a, enum ending reason)
{
    struct stream *s = a->stream;
    struct direct *direct = a->dial->direct;
    a->stream = NULL;
    direct->orphans++;
    stream_bind(s, &orphan_events, direct);
    stream_abort(s, reason);
}

static void attempts_give_up(struct dial *d)
{
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
        if (d->attempts[i].stream)
            attempt_give_up(&d->attempts[i], ENDING_CANCELLED);
}

static unsigned attempts_under_way(const struct dial *d)
{
    unsigned n = 0;
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
        n += d->attempts[i].stream != NULL;
    return n;
}

static struct attempt *free_place(struct dial *d)
{
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
        if (!d->attempts[i].stream)
            return &d->attempts[i];
    return NULL;
}

/* -- answers ------------------------------------------------------------------------------------------------
 */

static void dial_free(struct dial *d)
{
    struct direct *direct = d->direct;
    ASSERT(attempts_under_way(d) == 0);
    resolve_cancel(&d->resolve);
    worker_disarm(direct->worker, &d->clock);
    task_cancel(&d->answer);
    slab_give(&direct->dials, d);
}

static void answer_failure(struct task *t)
{
    struct dial *d = container_of(t, struct dial, answer);
    struct dial_answer answer = {.ending = d->ending, .address = d->address, .detail = d->detail};
    d->request.answered(d->request.owner, &answer);
    dial_free(d);
}

static void dial_fail(struct dial *d)
{
    dial_set_state(d, DIAL_FAILED);
    worker_disarm(d->direct->worker, &d->clock);
    worker_defer(d->direct->worker, &d->answer);
}

static void dial_succeed(struct attempt *a)
{
    struct dial *d = a->dial;
    struct dial_answer answer = {.stream = a->stream, .address = d->address, .detail = ""};
    a->stream = NULL;
    net_address_text(a->address, d->address);
    attempts_give_up(d);
    d->request.answered(d->request.owner, &answer);
    dial_free(d);
}

/* -- which failure is told ----------------------------------------------------------------------------------
 */

/* What was found out for certain goes before what may have many causes, and what is wrong here before what is
 * wrong there: a limit of ours may be the only reason why the right address did not answer. To be refused
 * needs a living machine; silence may be a dead one or a filter; and that there is no way often says only
 * that this host has no IPv6. */
static const uint8_t tells[ENDING_COUNT] = {
    [ENDING_DESCRIPTORS] = 8, [ENDING_LIMIT] = 7,           [ENDING_NO_SOURCE] = 6,
    [ENDING_REFUSED] = 5,     [ENDING_FILTERED] = 4,        [ENDING_INTERNAL] = 3,
    [ENDING_PEER_RESET] = 3,  [ENDING_CONNECT_TIMEOUT] = 2, [ENDING_UNREACHABLE] = 1,
};

static unsigned tells_of(enum ending reason, const struct net_address *a)
{
    /* Without IPv6 on this host there is no source *address*, which is nothing to lack a port for. */
    bool no_ipv6 = reason == ENDING_NO_SOURCE && a->sa.sa_family == AF_INET6;
    return tells[no_ipv6 ? ENDING_UNREACHABLE : reason];
}

static void note_failure(struct dial *d, const struct net_address *a, enum ending reason)
{
    unsigned weight = tells_of(reason, a);
    if (d->failures++ > 0 && weight <= d->weight)
        return;
    d->weight = (uint8_t)weight;
    d->ending = reason;
    net_address_text(a, d->address);
}

static void describe_failure(struct dial *d)
{
    char others[32] = "";
    if (d->failures > 1)
        snprintf(others, sizeof(others), " (%u addresses failed)", d->failures);
    if (d->failures > 0)
        snprintf(d->detail, sizeof(d->detail), "%s: %s%s", d->address, ending_text(d->ending), others);
}

/* -- attempts -----------------------------------------------------------------------------------------------
 */

static void advance(struct dial *d);

static void attempt_failed(struct attempt *a, enum ending reason)
{
    a->dial->next_due_ns = 0;
    note_failure(a->dial, a->address, reason);
}

static void attempt_open(struct stream *s)
{
    dial_succeed(s->owner);
}

static void attempt_closed(struct stream *s, enum ending reason)
{
    struct attempt *a = s->owner;
    a->stream = NULL;
    stream_free(s);
    attempt_failed(a, reason == ENDING_DONE ? ENDING_REFUSED : reason);
    advance(a->dial);
}

static void attempt_end(struct stream *s)
{
    (void)s; /* never before open */
}

static const struct stream_events attempt_events = {attempt_open, orphan_data, orphan_data, attempt_end,
                                                    attempt_closed};

static void on_clock(struct timer *t)
{
    struct dial *d = container_of(t, struct dial, clock);
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
        struct attempt *a = &d->attempts[i];
        if (!a->stream || d->direct->worker->now_ns < a->until_ns)
            continue;
        attempt_give_up(a, ENDING_CONNECT_TIMEOUT);
        attempt_failed(a, ENDING_CONNECT_TIMEOUT);
    }
    advance(d);
}

static bool is_allowed(const struct dial *d, const struct net_address *a)
{
    const struct pool_options *o = &d->direct->options;
    return !o->address_allowed || o->address_allowed(a, d->request.host, d->request.rules, o->policy);
}

static void attempt_start(struct dial *d, struct attempt *a, const struct net_address *address)
{
    struct worker *w = d->direct->worker;
    uint64_t until = w->now_ns + d->direct->options.limits.connect_ms * 1000000ull;
    *a = (struct attempt){.dial = d,
                          .address = address,
                          .stream = w->engine->ops->dial(w->engine, address),
                          .until_ns = until < d->request.deadline_ns ? until : d->request.deadline_ns};
    if (!a->stream) {
        attempt_failed(a, ENDING_LIMIT);
        return;
    }
    stream_bind(a->stream, &attempt_events, a);
    d->next_due_ns = w->now_ns + ATTEMPT_DELAY_MS * 1000000ull;
}

/* A name that resolved with the last of the time still has one address tried. */
static bool may_start(const struct dial *d)
{
    uint64_t now = d->direct->worker->now_ns;
    unsigned under_way = attempts_under_way(d);
    bool in_time = now < d->request.deadline_ns || (under_way == 0 && d->failures == 0);
    return d->next < d->count && in_time && under_way < ATTEMPTS_MAX &&
           (under_way == 0 || now >= d->next_due_ns);
}

static void arm_clock(struct dial *d)
{
    uint64_t at = d->next < d->count && free_place(d) ? d->next_due_ns : UINT64_MAX;
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
        if (d->attempts[i].stream && d->attempts[i].until_ns < at)
            at = d->attempts[i].until_ns;
    timer_arm_at(&d->direct->worker->timers, &d->clock, at);
}

/* Starts what may be started, of what the policy allows; then waits, or fails when nothing is under way. */
static void advance(struct dial *d)
{
    while (may_start(d)) {
        const struct net_address *address = &d->addresses[d->next++];
        if (is_allowed(d, address))
            attempt_start(d, free_place(d), address);
    }
    if (attempts_under_way(d) == 0) {
        describe_failure(d);
        dial_fail(d);
        return;
    }
    if (d->state == DIAL_RESOLVING)
        dial_set_state(d, DIAL_CONNECTING);
    arm_clock(d);
}

/* RFC 8305 section 4: families take turns, beginning with the resolver's first; each keeps its order. */
static unsigned interleave(const struct net_address *from, unsigned count, struct net_address *to)
{
    unsigned at[2] = {0, 0}, n = 0;
    for (unsigned turn = 0; n < DIAL_ADDRESSES_MAX && (at[0] < count || at[1] < count); turn ^= 1) {
        while (at[turn] < count && (from[at[turn]].sa.sa_family != from[0].sa.sa_family) != turn)
            at[turn]++;
        if (at[turn] < count)
            to[n++] = from[at[turn]++];
    }
    return n;
}

static void connect_first(struct dial *d)
{
    char text[NET_TEXT_MAX];
    d->ending = ENDING_NOT_ALLOWED; /* stands if the policy allows none of them */
    snprintf(d->detail, sizeof(d->detail), "%s: the address is not allowed by policy",
             net_address_host(&d->addresses[0], text));
    advance(d);
}

static void on_resolved(struct resolve *r, enum ending ending, const struct net_address *addresses,
                        unsigned count)
{
    struct dial *d = container_of(r, struct dial, resolve);
    if (ending == ENDING_DONE) {
        d->count = (uint16_t)interleave(addresses, count, d->addresses);
        connect_first(d);
        return;
    }
    d->ending = ending;
    snprintf(d->detail, sizeof(d->detail), "%.120s: %s", d->request.host, ending_text(ending));
    dial_fail(d);
}

static void resolve(struct dial *d)
{
    const struct pool_options *o = &d->direct->options;
    if (!o->resolver) {
        d->ending = ENDING_NAME_UNKNOWN;
        snprintf(d->detail, sizeof(d->detail), "%.120s: names are not resolved here", d->request.host);
        dial_fail(d);
        return;
    }
    uint64_t until = d->direct->worker->now_ns + o->limits.resolve_ms * 1000000ull;
    resolve_start(o->resolver, &d->resolve, d->request.host, d->request.port,
                  until < d->request.deadline_ns ? until : d->request.deadline_ns);
}

/* -- the transport ------------------------------------------------------------------------------------------
 */

static struct dial *direct_dial(struct transport *t, const struct dial_request *request)
{
    struct direct *direct = container_of(t, struct direct, transport);
    struct dial *d = slab_take(&direct->dials);
    if (!d)
        return NULL;
    d->direct = direct;
    d->request = *request;
    resolve_init(&d->resolve, on_resolved);
    timer_init(&d->clock, on_clock);
    task_init(&d->answer, answer_failure);
    if (net_address_parse(request->host, strlen(request->host), request->port, &d->addresses[0])) {
        d->count = 1;
        connect_first(d);
    } else {
        resolve(d);
    }
    return d;
}

static void direct_cancel(struct transport *t, struct dial **dial)
{
    struct dial *d = *dial;
    (void)t;
    *dial = NULL;
    attempts_give_up(d);
    dial_free(d);
}

static bool direct_is_idle(const struct transport *t)
{
    const struct direct *direct = container_of(t, const struct direct, transport);
    return direct->dials.used == 0 && direct->orphans == 0;
}

static void direct_free(struct transport **t)
{
    struct direct *direct = container_of(*t, struct direct, transport);
    ASSERT(direct_is_idle(*t));
    *t = NULL;
    slab_fini(&direct->dials);
    free(direct);
}

static const struct transport_ops direct_ops = {"direct", direct_dial, direct_cancel, direct_is_idle,
                                                direct_free};

int transport_direct_new(struct worker *w, const struct pool_options *options, struct transport **ret)
{
    struct direct *direct = calloc(1, sizeof(*direct));
    if (!direct)
        return -ENOMEM;
    direct->transport.ops = &direct_ops;
    direct->worker = w;
    direct->options = *options;
    slab_init(&direct->dials, "dials", sizeof(struct dial), options->limits.dials_in_flight_max);
    *ret = &direct->transport;
    return 0;
}
