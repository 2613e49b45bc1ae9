/* pool/transport_direct.c — streams by plain connect: the name is resolved, the policy is asked about every
 * address, and those it allows are tried in order, each for connect_ms, within the deadline of the dial.
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

enum dial_state {
    DIAL_RESOLVING,  /* the resolver answers */
    DIAL_CONNECTING, /* `attempt` says open or closed, or the clock fires */
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

struct dial {
    struct direct *direct;
    struct dial_request request;
    enum dial_state state;
    struct resolve resolve;
    struct timer clock; /* of the present attempt */
    struct stream *attempt;
    struct task answer;
    uint16_t count, next;
    enum ending ending; /* of the last attempt */
    bool tried;
    char address[NET_TEXT_MAX];
    char detail[POOL_DETAIL_MAX];
    struct net_address addresses[DIAL_ADDRESSES_MAX];
};

static const struct {
    const char *name;
    uint32_t next;
} states[] = {
    [DIAL_RESOLVING] = {"resolving",  1u << DIAL_CONNECTING | 1u << DIAL_FAILED},
    [DIAL_CONNECTING] = {"connecting", 1u << DIAL_CONNECTING | 1u << DIAL_FAILED},
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

static void attempt_give_up(struct dial *d, enum ending reason)
{
    struct stream *s = d->attempt;
    d->attempt = NULL;
    d->direct->orphans++;
    stream_bind(s, &orphan_events, d->direct);
    stream_abort(s, reason);
}

/* -- answers ------------------------------------------------------------------------------------------------
 */

static void dial_free(struct dial *d)
{
    struct direct *direct = d->direct;
    ASSERT(d->attempt == NULL);
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

static void dial_succeed(struct dial *d)
{
    struct dial_answer answer = {.stream = d->attempt, .address = d->address, .detail = ""};
    d->attempt = NULL;
    d->request.answered(d->request.owner, &answer);
    dial_free(d);
}

/* -- attempts -----------------------------------------------------------------------------------------------
 */

static void connect_next(struct dial *d);

static void attempt_failed(struct dial *d, enum ending reason)
{
    d->ending = reason;
    snprintf(d->detail, sizeof(d->detail), "%s: %s", d->address, ending_text(reason));
    connect_next(d);
}

static void attempt_open(struct stream *s)
{
    dial_succeed(s->owner);
}

static void attempt_closed(struct stream *s, enum ending reason)
{
    struct dial *d = s->owner;
    d->attempt = NULL;
    stream_free(s);
    attempt_failed(d, reason == ENDING_DONE ? ENDING_REFUSED : reason);
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
    attempt_give_up(d, ENDING_CONNECT_TIMEOUT);
    attempt_failed(d, ENDING_CONNECT_TIMEOUT);
}

static bool is_allowed(const struct dial *d, const struct net_address *a)
{
    const struct pool_options *o = &d->direct->options;
    return !o->address_allowed || o->address_allowed(a, d->request.host, d->request.rules, o->policy);
}

/* The next address that the policy allows; what is told of failures is the last one. */
static void connect_next(struct dial *d)
{
    struct worker *w = d->direct->worker;
    while (d->next < d->count && !is_allowed(d, &d->addresses[d->next]))
        d->next++;
    if (d->next == d->count || (d->tried && w->now_ns >= d->request.deadline_ns)) {
        dial_fail(d);
        return;
    }
    const struct net_address *a = &d->addresses[d->next++];
    net_address_text(a, d->address);
    d->tried = true;
    d->attempt = w->engine->ops->dial(w->engine, a);
    if (!d->attempt) {
        d->ending = ENDING_LIMIT;
        snprintf(d->detail, sizeof(d->detail), "%s: out of memory or descriptors", d->address);
        dial_fail(d);
        return;
    }
    dial_set_state(d, DIAL_CONNECTING);
    stream_bind(d->attempt, &attempt_events, d);
    uint64_t until = w->now_ns + d->direct->options.limits.connect_ms * 1000000ull;
    timer_arm_at(&w->timers, &d->clock, until < d->request.deadline_ns ? until : d->request.deadline_ns);
}

static void connect_first(struct dial *d)
{
    char text[NET_TEXT_MAX];
    d->ending = ENDING_NOT_ALLOWED; /* stands if the policy allows none of them */
    snprintf(d->detail, sizeof(d->detail), "%s: the address is not allowed by policy",
             net_address_host(&d->addresses[0], text));
    connect_next(d);
}

static void on_resolved(struct resolve *r, enum ending ending, const struct net_address *addresses,
                        unsigned count)
{
    struct dial *d = container_of(r, struct dial, resolve);
    if (ending == ENDING_DONE) {
        d->count = (uint16_t)(count < DIAL_ADDRESSES_MAX ? count : DIAL_ADDRESSES_MAX);
        memcpy(d->addresses, addresses, d->count * sizeof(*addresses));
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
    if (d->attempt)
        attempt_give_up(d, ENDING_CANCELLED);
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
