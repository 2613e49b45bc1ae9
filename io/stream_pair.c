/* io/stream_pair.c — see stream_pair.h.
 *
 * Calls note and defer; events come from the task alone, for both ends in turn: bytes, then ends, then
 * `closed`. An owner may do anything in an event, so each is followed by a look at what is left. An abort
 * takes away at once what was not delivered, in both directions, as a reset does. */
#include "io/stream_pair.h"

static const struct {
    const char *name;
    uint32_t next;
} states[] = {
#define B(s) (1u << (s))
    [PAIR_OPEN] = {"open",   B(PAIR_LOST) | B(PAIR_CLOSED)},
    [PAIR_LOST] = {"lost",   B(PAIR_CLOSED)               },
    [PAIR_CLOSED] = {"closed", B(PAIR_FREED)                },
    [PAIR_FREED] = {"freed",  0                            },
#undef B
};
_Static_assert(ARRAY_SIZE(states) == PAIR_STATES, "a row per state");

static struct stream_pair_end *end_of(struct stream *s)
{
    return container_of(s, struct stream_pair_end, stream);
}

static struct stream_pair_end *peer_of(struct stream_pair_end *e)
{
    return &e->pair->ends[e == &e->pair->ends[0]];
}

static void set_state(struct stream_pair_end *e, enum stream_pair_state to)
{
    ASSERT(states[e->state].next & 1u << to);
    e->state = to;
}

static void tell_later(struct stream_pair_end *e)
{
    worker_defer(e->stream.worker, &e->pair->task);
}

static void drop_out(struct stream_pair_end *e)
{
    while (!segq_empty(&e->out))
        worker_release_seg(e->stream.worker, segq_pop(&e->out, e->pair->nodes));
    e->taken = 0;
}

static void lose(struct stream_pair_end *e, enum ending reason)
{
    if (e->state != PAIR_OPEN)
        return;
    set_state(e, PAIR_LOST);
    e->reason = reason;
    drop_out(e);
    tell_later(e);
}

/* -- events -------------------------------------------------------------------------------------------------
 */

static bool hears(const struct stream_pair_end *e)
{
    return e->state == PAIR_OPEN && e->stream.events;
}

/* Of the first segment, as much as there is credit for. False: none. */
static bool deliver_part(struct stream_pair_end *from, struct stream_pair_end *to)
{
    const struct seg *first = &from->out.head->seg;
    uint32_t left = first->len - from->taken;
    uint32_t len = to->credit < left ? (uint32_t)to->credit : left;
    if (left == 0)
        return true;
    if (len == 0)
        return false;
    struct seg part = seg_of(first->buf, first->data + from->taken, len);
    from->taken += len;
    to->credit -= len;
    to->stream.events->data(&to->stream, part);
    return true;
}

static void deliver(struct stream_pair_end *from, struct stream_pair_end *to)
{
    while (hears(to) && !segq_empty(&from->out) && deliver_part(from, to)) {
        if (segq_empty(&from->out) || from->taken < from->out.head->seg.len)
            continue; /* it was lost meanwhile; or there was no more credit */
        from->taken = 0;
        from->stream.events->sent(&from->stream, segq_pop(&from->out, from->pair->nodes));
    }
}

static void tell_end(struct stream_pair_end *e)
{
    const struct stream_pair_end *peer = peer_of(e);
    if (!hears(e) || e->end_told || !peer->finished || !segq_empty(&peer->out) || e->credit == 0)
        return;
    e->end_told = true;
    e->stream.events->end(&e->stream);
}

static void tell_closed(struct stream_pair_end *e)
{
    bool over = e->state == PAIR_OPEN && e->finished && e->end_told && segq_empty(&e->out);
    if (!e->stream.events || (e->state != PAIR_LOST && !over))
        return;
    set_state(e, PAIR_CLOSED);
    e->stream.events->closed(&e->stream, over ? ENDING_DONE : e->reason);
}

static void give_back(struct stream_pair *p)
{
    if (p->telling || p->ends[0].state != PAIR_FREED || p->ends[1].state != PAIR_FREED)
        return;
    task_cancel(&p->task);
    slab_give(p->pairs, p);
}

static void on_task(struct task *t)
{
    struct stream_pair *p = container_of(t, struct stream_pair, task);
    p->telling = true;
    deliver(&p->ends[0], &p->ends[1]);
    deliver(&p->ends[1], &p->ends[0]);
    tell_end(&p->ends[0]);
    tell_end(&p->ends[1]);
    tell_closed(&p->ends[0]);
    tell_closed(&p->ends[1]);
    p->telling = false;
    give_back(p);
}

/* -- calls --------------------------------------------------------------------------------------------------
 */

static void pair_grant(struct stream *s, uint32_t bytes)
{
    struct stream_pair_end *e = end_of(s);
    e->credit += bytes;
    if (e->state == PAIR_OPEN)
        tell_later(e);
}

static void pair_send(struct stream *s, struct seg seg)
{
    struct stream_pair_end *e = end_of(s);
    bool taken = e->state == PAIR_OPEN && !e->finished;
    if (taken && segq_push(&e->out, e->pair->nodes, seg)) {
        tell_later(e);
        return;
    }
    worker_release_seg(s->worker, seg);
    if (taken)
        stream_abort(s, ENDING_LIMIT);
}

static void pair_finish(struct stream *s)
{
    struct stream_pair_end *e = end_of(s);
    e->finished = true;
    if (e->state == PAIR_OPEN)
        tell_later(e);
}

static void pair_abort(struct stream *s, enum ending reason)
{
    struct stream_pair_end *e = end_of(s);
    if (e->state != PAIR_OPEN)
        return;
    lose(e, reason);
    lose(peer_of(e), reason == ENDING_DONE ? ENDING_PEER_RESET : reason);
}

static void pair_free(struct stream *s)
{
    struct stream_pair_end *e = end_of(s);
    set_state(e, PAIR_FREED);
    give_back(e->pair);
}

static uint64_t pair_owed(struct stream *s)
{
    const struct stream_pair_end *e = end_of(s);
    return e->out.bytes - e->taken;
}

static const struct stream_ops pair_ops = {
    .kind = "pair",
    .grant = pair_grant,
    .send = pair_send,
    .finish = pair_finish,
    .abort = pair_abort,
    .free = pair_free,
    .owed = pair_owed,
};

/* -- beginning and leaving ----------------------------------------------------------------------------------
 */

bool stream_pair_new(struct worker *w, struct slab *pairs, struct slab *nodes, struct stream *ret_ends[2])
{
    struct stream_pair *p = slab_take(pairs);
    if (!p)
        return false;
    p->pairs = pairs;
    p->nodes = nodes;
    task_init(&p->task, on_task);
    for (unsigned i = 0; i < 2; i++) {
        p->ends[i].stream = (struct stream){.ops = &pair_ops, .worker = w};
        p->ends[i].pair = p;
        ret_ends[i] = &p->ends[i].stream;
    }
    return true;
}

void stream_pair_bind(struct stream *s, const struct stream_events *events, void *owner)
{
    stream_bind(s, events, owner);
    tell_later(end_of(s));
}

static void abandoned_closed(struct stream *s, enum ending reason)
{
    (void)reason;
    stream_free(s);
}

/* Nothing else is told of one that was aborted. */
static const struct stream_events abandoned_events = {.closed = abandoned_closed};

void stream_pair_abandon(struct stream *s, enum ending reason)
{
    stream_abort(s, reason);
    stream_pair_bind(s, &abandoned_events, NULL);
}
