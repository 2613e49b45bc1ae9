/* pool/transport_path.c — streams by the ways of a path: directly, through an agent, in the order in which
 * the path has them.
 *
 * A way follows when the one before has failed as a way: nobody is there who would go it, it is lost, a limit
 * stops it, it is silent. What the destination itself has answered stands, and so does what a rule forbids:
 * neither is gone around. A path without a second way thus fails closed. Nothing of a connection has been
 * sent while it is dialled, so that trying again can repeat nothing.
 *
 * All ways share one deadline. A way that has others behind it gets its equal part of the time in which
 * somebody waits, the last one all that is left. If none does, the most telling failure is told, with the
 * names of the others. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/worker.h"
#include "pool/transport.h"

enum path_state {
    PATH_TRYING, /* the transport of a way answers */
    PATH_FAILED, /* the answer is known and given at the end of the turn */
    PATH_STATES,
};

struct by_path {
    struct transport transport;
    struct worker *worker;
    struct transport *ways[POOL_WAYS];
    struct slab dials;
};

struct path_dial {
    struct by_path *by_path;
    struct dial_request request;
    enum path_state state;
    uint8_t tried; /* of the path's ways, the one under way included */
    uint8_t weight;
    enum ending ending; /* the most telling failure until now, as the rest */
    enum pool_way told;
    struct dial *below; /* at the transport of the way under way; NULL: it was not begun, or has answered */
    struct task answer;
    char address[NET_TEXT_MAX];
    char detail[POOL_DETAIL_MAX];
    char others[64]; /* failures that are less telling: "agent: no_agent" */
};

static const struct {
    const char *name;
    uint32_t next;
} states[] = {
    [PATH_TRYING] = {"trying", 1u << PATH_FAILED},
    [PATH_FAILED] = {"failed", 0                },
};
_Static_assert(ARRAY_SIZE(states) == PATH_STATES, "a row per state");

static const char *const way_names[] = {[POOL_WAY_DIRECT] = "direct", [POOL_WAY_AGENT] = "agent"};
_Static_assert(ARRAY_SIZE(way_names) == POOL_WAYS, "a name per way");

const char *pool_way_name(enum pool_way way)
{
    ASSERT((unsigned)way < POOL_WAYS);
    return way_names[way];
}

static void path_set_state(struct path_dial *d, enum path_state to)
{
    ASSERT(states[d->state].next & 1u << to);
    d->state = to;
}

/* -- which failure is the way's, and which is told ----------------------------------------------------------
 */

/* What has a row is the way's failure; everything else is the destination's, a rule's or our own, stands, and
 * goes before all of these. Of failed ways the one is told that was found out for certain and that somebody
 * can put right: a limit, an agent that is missing or lost. It is also the one that is not held against the
 * destination, which was not asked by every way there should be. Then what the others found: that there is no
 * route says more than that a name has no address there, and that more than silence. */
static const uint8_t tells[ENDING_COUNT] = {
    [ENDING_DESCRIPTORS] = 9,     /* ours; the other way may need none here */
    [ENDING_LIMIT] = 8,           /* of this way's dials, or of memory for them */
    [ENDING_NO_SOURCE] = 7,       /* a port of this host */
    [ENDING_NO_AGENT] = 6,        /* nobody goes this way now */
    [ENDING_AGENT_LOST] = 5,      /* it went away while it dialled */
    [ENDING_UNREACHABLE] = 4,     /* a router on this way says so, not the destination */
    [ENDING_NAME_UNKNOWN] = 3,    /* each way resolves where it leads to */
    [ENDING_NAME_TIMEOUT] = 2,    /* silence of that resolver */
    [ENDING_CONNECT_TIMEOUT] = 1, /* silence: of a filter on the way as like as of the destination */
    [ENDING_DEADLINE] = 1,        /* silence of whoever should have dialled */
};

enum { TELLS_MOST = 10 };

bool path_falls_through(enum ending ending)
{
    return tells[ending] > 0;
}

static void note_other(struct path_dial *d, enum pool_way way, enum ending ending)
{
    size_t at = strlen(d->others);
    snprintf(d->others + at, sizeof(d->others) - at, "%s%s: %s", at > 0 ? ", " : "", pool_way_name(way),
             ending_name(ending));
}

static void note_failure(struct path_dial *d, const struct dial_answer *failure)
{
    enum pool_way way = d->request.path->ways[d->tried - 1];
    uint8_t weight = path_falls_through(failure->ending) ? tells[failure->ending] : TELLS_MOST;
    if (weight <= d->weight) {
        note_other(d, way, failure->ending);
        return;
    }
    if (d->weight > 0)
        note_other(d, d->told, d->ending);
    d->weight = weight;
    d->told = way;
    d->ending = failure->ending;
    snprintf(d->address, sizeof(d->address), "%s", failure->address);
    snprintf(d->detail, sizeof(d->detail), "%s", failure->detail);
}

/* The room for what the other ways found is taken from a long detail. */
static void describe_failure(struct path_dial *d)
{
    char others[sizeof(d->others) + 4] = "";
    if (d->others[0])
        snprintf(others, sizeof(others), " (%s)", d->others);
    size_t room = sizeof(d->detail) - strlen(others) - 1;
    size_t at = strnlen(d->detail, room);
    snprintf(d->detail + at, sizeof(d->detail) - at, "%s", others);
}

/* -- answers ------------------------------------------------------------------------------------------------
 */

static void path_dial_free(struct path_dial *d)
{
    ASSERT(d->below == NULL);
    task_cancel(&d->answer);
    slab_give(&d->by_path->dials, d);
}

static void answer_failure(struct task *t)
{
    struct path_dial *d = container_of(t, struct path_dial, answer);
    struct dial_answer answer = {.ending = d->ending, .address = d->address, .detail = d->detail};
    d->request.answered(d->request.owner, &answer);
    path_dial_free(d);
}

static void path_fail(struct path_dial *d)
{
    describe_failure(d);
    path_set_state(d, PATH_FAILED);
    worker_defer(d->by_path->worker, &d->answer);
}

/* -- ways ---------------------------------------------------------------------------------------------------
 */

static void advance(struct path_dial *d);

static void on_answered(void *owner, const struct dial_answer *answer)
{
    struct path_dial *d = owner;
    d->below = NULL;
    if (!answer->stream) {
        note_failure(d, answer);
        advance(d);
        return;
    }
    struct dial_request request = d->request;
    path_dial_free(d);
    request.answered(request.owner, answer);
}

static uint64_t deadline_of_way(const struct path_dial *d)
{
    uint64_t now = d->by_path->worker->now_ns;
    unsigned left = d->request.path->way_count - d->tried;
    if (left == 0 || d->request.wanted_ns <= now)
        return d->request.deadline_ns;
    return now + (d->request.wanted_ns - now) / (left + 1);
}

static void way_failed(struct path_dial *d, enum ending ending, const char *detail)
{
    note_failure(d, &(struct dial_answer){.ending = ending, .address = "", .detail = detail});
}

static void way_begin(struct path_dial *d)
{
    enum pool_way way = d->request.path->ways[d->tried++];
    struct transport *t = d->by_path->ways[way];
    struct dial_request request = d->request;
    if (!d->request.may_go(d->request.owner, way)) {
        way_failed(d, ENDING_LIMIT, "as many connections are being made as may be at a time");
        return;
    }
    request.deadline_ns = deadline_of_way(d);
    request.wanted_ns = request.wanted_ns < request.deadline_ns ? request.wanted_ns : request.deadline_ns;
    request.answered = on_answered;
    request.owner = d;
    d->below = t ? t->ops->dial(t, &request) : NULL;
    if (!d->below)
        way_failed(d, t ? ENDING_LIMIT : ENDING_NO_AGENT,
                   t ? "out of memory for dials" : ending_text(ENDING_NO_AGENT));
}

/* The first way is tried in any case: its transport tells how it is when there is no time. */
static bool may_try(const struct path_dial *d)
{
    bool in_time = d->by_path->worker->now_ns < d->request.deadline_ns || d->tried == 0;
    bool stands = d->tried > 0 && d->weight == TELLS_MOST;
    return d->tried < d->request.path->way_count && in_time && !stands;
}

static void advance(struct path_dial *d)
{
    while (!d->below && may_try(d))
        way_begin(d);
    if (!d->below)
        path_fail(d);
}

/* -- the transport ------------------------------------------------------------------------------------------
 */

/* A dial here is handed out as the one of this transport; below are those of others. */
static struct dial *path_dial(struct transport *t, const struct dial_request *request)
{
    struct by_path *by_path = container_of(t, struct by_path, transport);
    ASSERT(request->path->way_count > 0 && request->path->way_count <= POOL_WAYS_MAX);
    struct path_dial *d = slab_take(&by_path->dials);
    if (!d)
        return NULL;
    d->by_path = by_path;
    d->request = *request;
    task_init(&d->answer, answer_failure);
    advance(d);
    return (struct dial *)d;
}

static void path_cancel(struct transport *t, struct dial **dial)
{
    struct path_dial *d = (struct path_dial *)*dial;
    (void)t;
    *dial = NULL;
    if (d->below) {
        struct transport *way = d->by_path->ways[d->request.path->ways[d->tried - 1]];
        way->ops->cancel(way, &d->below);
    }
    path_dial_free(d);
}

/* What a way has left over is asked of its transport. */
static bool path_is_idle(const struct transport *t)
{
    return container_of(t, const struct by_path, transport)->dials.used == 0;
}

static void path_free(struct transport **t)
{
    struct by_path *by_path = container_of(*t, struct by_path, transport);
    ASSERT(path_is_idle(*t));
    *t = NULL;
    slab_fini(&by_path->dials);
    free(by_path);
}

static const struct transport_ops path_ops = {"path", path_dial, path_cancel, path_is_idle, path_free};

int transport_path_new(struct worker *w, struct transport *const ways[POOL_WAYS], struct transport **ret)
{
    struct by_path *by_path = calloc(1, sizeof(*by_path));
    if (!by_path)
        return -ENOMEM;
    by_path->transport.ops = &path_ops;
    by_path->worker = w;
    for (unsigned way = 0; way < POOL_WAYS; way++)
        by_path->ways[way] = ways[way];
    /* Bounded by what its ways take on, and by their lessees. */
    slab_init(&by_path->dials, "dials along paths", sizeof(struct path_dial), UINT32_MAX);
    *ret = &by_path->transport;
    return 0;
}
