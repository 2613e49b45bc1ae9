/* broker/konnectivity/agent_near.c — see agent_near.h.
 *
 *   to the home    DATA while fewer than `budget` bytes are untaken, the rest waits in `out`; FIN behind it
 *   from the home  DATA is delivered at once: it was granted. What fills buffers of another worker is copied
 *                  first, because owners of a stream count, cut and overwrite what they are given
 *   CREDIT         goes when much is untold or when the home has little left, once a turn: it never waits
 *                  while the home has none, since what is under way comes by here
 *   END            waits for credit, as a socket's does; CLOSED with DONE waits for END, and for the owner
 *
 * Calls post messages or defer a task; events come from messages, the task and the timer. */
#include "broker/konnectivity/agent_near.h"

#include <string.h>

#include "broker/broker_worker.h"
#include "broker/konnectivity/agents.h"

enum {
    BUFFER_RETRY_MS = 10, /* a guess: about a tick of the clock; others free theirs meanwhile */
    WAITING_MAX = 256,    /* segments for a buffer: each may be a byte that pins one of its home's; a guess */
    CREDIT_FRACTION = 8,  /* of the budget: so much untold credit is worth a message */
    CREDIT_LOW_FRACTION = 4, /* of the budget: with less the home may have to stop, so any is */
};

static const struct {
    const char *name;
    uint32_t next;
} states[] = {
#define B(s) (1u << (s))
    [NEAR_DIALLING] = {"dialling", B(NEAR_OPEN) | B(NEAR_ABORTING) | B(NEAR_CLOSED)},
    [NEAR_OPEN] = {"open",     B(NEAR_LEFT) | B(NEAR_ABORTING) | B(NEAR_CLOSED)},
    [NEAR_LEFT] = {"left",     B(NEAR_ABORTING) | B(NEAR_CLOSED)               },
    [NEAR_ABORTING] = {"aborting", B(NEAR_CLOSED)                                  },
    [NEAR_CLOSED] = {"closed",   0                                               },
#undef B
};
_Static_assert(ARRAY_SIZE(states) == NEAR_STATES, "a row per state");

static struct agent_near *near_of(struct stream *s)
{
    return container_of(s, struct agent_near, stream);
}

static void near_set_state(struct agent_near *n, enum agent_near_state to)
{
    ASSERT(states[n->state].next & 1u << to);
    n->state = to;
}

static void post(struct agent_near *n, enum agent_message kind, struct seg seg, uint32_t value)
{
    struct agent_card *card = agents_card(n->agent);
    struct msg msg = {
        .deliver = agent_far_deliver,
        .to = card,
        .seg = seg,
        .kind = kind,
        .value = value,
        .extra = {n->id, n->stream.worker->number}
    };
    mailbox_post(n->stream.worker, card->home, &msg);
}

static void release_queue(struct agent_near *n, struct segq *q)
{
    while (!segq_empty(q))
        worker_release_seg(n->stream.worker, segq_pop(q, &n->bw->seg_nodes));
}

/* -- towards the home ---------------------------------------------------------------------------------------
 */

/* A segment larger than the budget goes alone: it can not be cut here, where it may be another worker's. */
static bool fits(const struct agent_near *n, uint32_t len)
{
    return n->untaken == 0 || (uint64_t)n->untaken + len <= n->bw->budget;
}

static void post_data(struct agent_near *n, struct seg seg)
{
    n->untaken += seg.len;
    post(n, AGENT_DATA, seg, 0);
}

static void pump(struct agent_near *n)
{
    while (!segq_empty(&n->out) && fits(n, n->out.head->seg.len))
        post_data(n, segq_pop(&n->out, &n->bw->seg_nodes));
    if (n->finish_wanted && !n->fin_said && segq_empty(&n->out)) {
        n->fin_said = true;
        post(n, AGENT_FIN, (struct seg){0}, 0);
    }
}

static bool credit_is_due(const struct agent_near *n)
{
    uint32_t budget = n->bw->budget;
    return n->state == NEAR_OPEN && n->end == NEAR_NO_END && n->untold > 0 &&
           (n->untold >= budget / CREDIT_FRACTION || n->credit - n->untold < budget / CREDIT_LOW_FRACTION);
}

static void say_credit(struct agent_near *n)
{
    while (credit_is_due(n)) {
        uint32_t bytes = n->untold < UINT32_MAX ? (uint32_t)n->untold : UINT32_MAX;
        n->untold -= bytes;
        post(n, AGENT_CREDIT, (struct seg){0}, bytes);
    }
}

/* -- towards the owner --------------------------------------------------------------------------------------
 */

/* The last event. The owner may free the stream in it: nothing is touched afterwards. */
static void tell_closed(struct agent_near *n, enum ending reason)
{
    ASSERT(n->agent == NULL);
    near_set_state(n, NEAR_CLOSED);
    worker_disarm(n->stream.worker, &n->retry);
    task_cancel(&n->task);
    release_queue(n, &n->out);
    release_queue(n, &n->in);
    n->stream.events->closed(&n->stream, reason);
}

/* Takes the segment, gives one of this worker's with the same bytes; false: out of buffers, and it was not
 * taken. */
static bool bring_here(struct agent_near *n, struct seg *seg)
{
    struct worker *w = n->stream.worker;
    if (seg->buf->home == &w->bufs)
        return true;
    struct buf *b = buf_get_bytes(&w->bufs, seg->len);
    if (!b)
        return false;
    memcpy(b->mem, seg->data, seg->len);
    worker_release_seg(w, *seg);
    *seg = (struct seg){b, b->mem, seg->len, 0};
    return true;
}

static bool is_told(const struct agent_near *n)
{
    return n->state == NEAR_OPEN || n->state == NEAR_LEFT;
}

static void tell_data(struct agent_near *n)
{
    while (is_told(n) && !segq_empty(&n->in)) {
        struct seg *first = &n->in.head->seg;
        uint32_t len = first->len;
        if (!bring_here(n, first)) {
            counter_add(n->stream.worker, COUNTER_buffers_starved, 1);
            worker_arm_ms(n->stream.worker, &n->retry, BUFFER_RETRY_MS);
            return;
        }
        ASSERT(first->len == len);
        n->waiting--;
        n->stream.events->data(&n->stream, segq_pop(&n->in, &n->bw->seg_nodes));
    }
}

static void tell_end(struct agent_near *n)
{
    if (!is_told(n) || n->end != NEAR_END_HEARD || n->credit == 0 || !segq_empty(&n->in))
        return;
    n->end = NEAR_END_TOLD;
    n->stream.events->end(&n->stream);
}

/* The far half is gone. What it said before comes first; a clean end leaves the owner its own. */
static bool may_tell_closed(const struct agent_near *n)
{
    if (n->state == NEAR_ABORTING)
        return n->agent == NULL;
    bool all_told = segq_empty(&n->in) && n->end != NEAR_END_HEARD;
    return n->state == NEAR_LEFT && all_told && (n->reason != ENDING_DONE || n->finish_wanted);
}

/* All that can be told now. Only from events: the stream may be gone afterwards. */
static void advance(struct agent_near *n)
{
    tell_data(n);
    tell_end(n);
    say_credit(n);
    if (may_tell_closed(n))
        tell_closed(n, n->reason);
}

static void on_task(struct task *t)
{
    advance(container_of(t, struct agent_near, task));
}

static void on_retry(struct timer *t)
{
    advance(container_of(t, struct agent_near, retry));
}

/* -- messages -----------------------------------------------------------------------------------------------
 */

static void hear_opened(struct agent_near *n)
{
    if (n->state != NEAR_DIALLING)
        return;
    near_set_state(n, NEAR_OPEN);
    agents_note_dial(n->bw->agents, n->agent, true);
    n->stream.events->open(&n->stream);
    if (n->state == NEAR_OPEN)
        pump(n);
    advance(n);
}

static void hear_data(struct agent_near *n, struct seg seg)
{
    if (n->state != NEAR_OPEN) {
        worker_release_seg(n->stream.worker, seg);
        return;
    }
    ASSERT(n->end == NEAR_NO_END);
    ASSERT(seg.len <= n->credit - n->untold);
    n->credit -= seg.len;
    if (segq_empty(&n->in) && bring_here(n, &seg)) {
        n->stream.events->data(&n->stream, seg);
    } else if (n->waiting < WAITING_MAX && segq_push(&n->in, &n->bw->seg_nodes, seg)) {
        n->waiting++;
    } else {
        worker_release_seg(n->stream.worker, seg);
        stream_abort(&n->stream, ENDING_LIMIT);
    }
    advance(n);
}

static void hear_taken(struct agent_near *n, struct seg seg)
{
    ASSERT(n->untaken >= seg.len);
    n->untaken -= seg.len;
    if (n->state != NEAR_OPEN) {
        worker_release_seg(n->stream.worker, seg);
        return;
    }
    n->stream.events->sent(&n->stream, seg);
    if (n->state == NEAR_OPEN)
        pump(n);
}

static void hear_end(struct agent_near *n)
{
    if (n->state != NEAR_OPEN)
        return;
    ASSERT(n->end == NEAR_NO_END);
    n->end = NEAR_END_HEARD;
    advance(n);
}

/* A destination that ended without taking all that it was sent has failed to take it. */
static enum ending reason_of(const struct agent_near *n, enum ending said)
{
    bool lost = n->untaken > 0 || !segq_empty(&n->out);
    return said == ENDING_DONE && lost ? ENDING_PEER_RESET : said;
}

static void hear_closed(struct agent_near *n, enum ending said, struct seg detail)
{
    n->detail = detail;
    if (n->state == NEAR_DIALLING && agent_can_not(said))
        agents_note_dial(n->bw->agents, n->agent, false);
    agents_let_go(n->bw->agents, &n->agent);
    if (n->state == NEAR_DIALLING) {
        tell_closed(n, said == ENDING_DONE ? ENDING_REFUSED : said);
        return;
    }
    if (n->state == NEAR_OPEN) {
        ASSERT(said != ENDING_DONE || n->end != NEAR_NO_END);
        n->reason = reason_of(n, said);
        near_set_state(n, NEAR_LEFT);
        release_queue(n, &n->out);
    }
    advance(n);
}

void agent_near_deliver(struct worker *w, struct msg *msg)
{
    struct agent_near *n = msg->to;
    ASSERT(n->stream.worker == w);
    switch ((enum agent_message)msg->kind) {
    case AGENT_OPENED: hear_opened(n); return;
    case AGENT_DATA: hear_data(n, msg->seg); return;
    case AGENT_TAKEN: hear_taken(n, msg->seg); return;
    case AGENT_END: hear_end(n); return;
    case AGENT_CLOSED: hear_closed(n, (enum ending)msg->value, msg->seg); return;
    case AGENT_DIAL:
    case AGENT_CREDIT:
    case AGENT_FIN:
    case AGENT_ABORT: break;
    }
    ASSERT(!"not a message to a near half");
}

/* -- the stream ---------------------------------------------------------------------------------------------
 */

static void near_grant(struct stream *s, uint32_t bytes)
{
    struct agent_near *n = near_of(s);
    n->credit += bytes;
    n->untold += bytes;
    if (credit_is_due(n) || (is_told(n) && n->end == NEAR_END_HEARD))
        worker_defer(s->worker, &n->task);
}

/* The destination has closed: what comes now can not reach it. */
static void send_in_vain(struct agent_near *n, struct seg seg)
{
    if (seg.len > 0 && n->reason == ENDING_DONE) {
        n->reason = ENDING_PEER_RESET;
        worker_defer(n->stream.worker, &n->task);
    }
    worker_release_seg(n->stream.worker, seg);
}

static void near_send(struct stream *s, struct seg seg)
{
    struct agent_near *n = near_of(s);
    if (n->finish_wanted || n->state == NEAR_ABORTING || n->state == NEAR_CLOSED) {
        worker_release_seg(s->worker, seg);
    } else if (n->state == NEAR_LEFT) {
        send_in_vain(n, seg);
    } else if (n->state == NEAR_OPEN && segq_empty(&n->out) && fits(n, seg.len)) {
        post_data(n, seg);
    } else if (!segq_push(&n->out, &n->bw->seg_nodes, seg)) {
        worker_release_seg(s->worker, seg);
        stream_abort(s, ENDING_LIMIT);
    }
}

static void near_finish(struct stream *s)
{
    struct agent_near *n = near_of(s);
    if (n->finish_wanted)
        return;
    n->finish_wanted = true;
    if (n->state == NEAR_OPEN)
        pump(n);
    else if (n->state == NEAR_LEFT)
        worker_defer(s->worker, &n->task);
}

static void near_abort(struct stream *s, enum ending reason)
{
    struct agent_near *n = near_of(s);
    if (n->state == NEAR_ABORTING || n->state == NEAR_CLOSED)
        return;
    near_set_state(n, NEAR_ABORTING);
    n->reason = reason == ENDING_DONE ? ENDING_CANCELLED : reason;
    release_queue(n, &n->out);
    release_queue(n, &n->in);
    if (n->agent)
        post(n, AGENT_ABORT, (struct seg){0}, n->reason);
    else
        worker_defer(s->worker, &n->task);
}

static void near_free(struct stream *s)
{
    struct agent_near *n = near_of(s);
    ASSERT(n->state == NEAR_CLOSED);
    if (n->detail.buf)
        worker_release_seg(s->worker, n->detail);
    slab_give(&n->bw->agent_nears, n);
}

static uint64_t near_owed(struct stream *s)
{
    const struct agent_near *n = near_of(s);
    return (uint64_t)n->untaken + n->out.bytes;
}

static const struct stream_ops near_ops = {
    .kind = "agent",
    .grant = near_grant,
    .send = near_send,
    .finish = near_finish,
    .abort = near_abort,
    .free = near_free,
    .owed = near_owed,
};

/* -- its beginning ------------------------------------------------------------------------------------------
 */

static void say_dial(struct agent_near *n, struct buf *b, const struct agent_near_dial *dial)
{
    struct agent_dial *d = (struct agent_dial *)b->mem;
    d->near = n;
    d->deadline_ns = dial->deadline_ns;
    d->credit = 0;
    memcpy(d->address, dial->address, strlen(dial->address) + 1);
    post(n, AGENT_DIAL, (struct seg){b, b->mem, sizeof(*d), 0}, 0);
}

struct agent_near *agent_near_new(struct broker_worker *bw, struct agent_seen **agent,
                                  const struct agent_near_dial *dial)
{
    ASSERT(strlen(dial->address) < AGENT_ADDRESS_MAX);
    struct buf *b = buf_get_bytes(&bw->worker->bufs, sizeof(struct agent_dial));
    struct agent_near *n = b ? slab_take(&bw->agent_nears) : NULL;
    if (!n) {
        if (b)
            buf_unref(b);
        agents_let_go(bw->agents, agent);
        return NULL;
    }
    n->stream = (struct stream){.ops = &near_ops, .worker = bw->worker};
    n->bw = bw;
    n->agent = *agent;
    *agent = NULL;
    n->id = dial->id;
    n->state = NEAR_DIALLING;
    task_init(&n->task, on_task);
    timer_init(&n->retry, on_retry);
    say_dial(n, b, dial);
    return n;
}

bool agent_can_not(enum ending ending)
{
    return ending == ENDING_AGENT_LOST || ending == ENDING_DEADLINE || ending == ENDING_LIMIT ||
           ending == ENDING_DESCRIPTORS || ending == ENDING_NO_SOURCE;
}

void agent_near_was_silent(struct agent_near *n)
{
    ASSERT(n->state == NEAR_DIALLING);
    agents_note_dial(n->bw->agents, n->agent, false);
}

bool agent_near_detail(const struct agent_near *n, char *to, size_t size)
{
    size_t len = n->detail.len < size ? n->detail.len : size - 1;
    for (size_t i = 0; i < len; i++) { /* an agent's words */
        char c = (char)n->detail.data[i];
        to[i] = c >= ' ' && c <= '~' ? c : '?';
    }
    if (len > 0)
        to[len] = '\0';
    return len > 0;
}
