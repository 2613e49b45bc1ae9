/* broker/konnectivity/agent_receive.c — what the destination says, from the agent's packets to the near half.
 *
 * The near half gets what it gave credit for; what comes beyond is held. Agents send 4 KiB at a time: small
 * pieces are put together until the input has been read, in a large buffer once they have filled a small one;
 * large ones are lent from it. What is left of a small buffer goes with what is given, and is kept for what
 * is held: a connection that is idle has none.
 */
#include "broker/broker_worker.h"
#include "broker/konnectivity/agent_call.h"
#include "io/worker.h"

static struct broker_worker *bw_of(const struct agent_conn *c)
{
    return c->agent->home->bw;
}

static void give(struct agent_conn *c, struct seg seg)
{
    c->credit -= seg.len;
    agent_conn_post(c, AGENT_DATA, seg, 0);
}

/* As much as the credit allows. */
static void drain_held(struct agent_conn *c)
{
    while (!segq_empty(&c->held) && c->credit > 0) {
        struct seg *first = &c->held.head->seg, seg;
        if (first->len <= c->credit) {
            seg = segq_pop(&c->held, &bw_of(c)->seg_nodes);
        } else {
            seg = seg_of(first->buf, first->data, c->credit);
            first->data += seg.len;
            first->len -= seg.len;
            c->held.bytes -= seg.len;
        }
        c->taken_ns = bw_of(c)->worker->now_ns;
        c->paced += seg.len;
        give(c, seg);
    }
}

static void note_holding(struct agent_conn *c)
{
    bool holds = c->held.bytes > bw_of(c)->budget, noted = !list_empty(&c->holding);
    if (holds && !noted) {
        list_add_tail(&c->agent->holders, &c->holding);
        agent_window_holds(c);
    } else if (!holds) {
        list_remove(&c->holding);
    }
}

/* False: it is cut. */
static bool give_or_hold(struct agent_conn *c, struct seg seg)
{
    bool first = segq_empty(&c->held);
    if (first && seg.len <= c->credit) {
        give(c, seg);
        return true;
    }
    if (!segq_push(&c->held, &bw_of(c)->seg_nodes, seg)) {
        worker_release_seg(bw_of(c)->worker, seg);
        agent_conn_leave(c, ENDING_LIMIT, SLICE("out of memory"));
        return false;
    }
    if (first)
        c->taken_ns = bw_of(c)->worker->now_ns;
    drain_held(c);
    note_holding(c);
    return agent_window_judge(c);
}

/* False: it is cut. */
static bool pass_on(struct agent_conn *c)
{
    struct seg seg = gather_take(&c->gathered);
    list_remove(&c->dirty);
    if (seg.len > 0 && !give_or_hold(c, seg))
        return false;
    if (segq_empty(&c->held) && c->gathered.buf && c->gathered.buf->class == BUF_SMALL)
        gather_drop(&c->gathered);
    return true;
}

void agent_receive_pass_on(struct agent_conn *c)
{
    c->much = false;
    if (pass_on(c) && c->gathered.buf)
        agent_conn_gathered(c);
}

static void gather(struct agent_conn *c, struct slice bytes)
{
    while (bytes.len > 0) {
        uint32_t n = gather_add(&c->gathered, &bw_of(c)->worker->bufs, c->much ? BUF_BIG : BUF_SMALL,
                                (const uint8_t *)bytes.data, bytes.len);
        if (n == 0 && gather_is_empty(&c->gathered)) {
            agent_conn_leave(c, ENDING_LIMIT, SLICE("out of buffers"));
            return;
        }
        if (n == 0 && !pass_on(c))
            return;
        c->much |= n == 0;
        bytes = slice_from(bytes, n);
    }
    if (list_empty(&c->dirty))
        list_add_tail(&c->agent->dirty, &c->dirty);
}

void agent_receive(struct agent_conn *c, struct slice bytes, const struct seg *input)
{
    agent_conn_touch(c);
    if (!input || !gather_is_needless(input, bytes.len))
        gather(c, bytes);
    else if (pass_on(c))
        (void)give_or_hold(
            c, seg_of(input->buf, input->data + (bytes.data - (const char *)input->data), bytes.len));
}

/* The end behind all that was held. */
static void end_if_empty(struct agent_conn *c)
{
    if (c->state != AGENT_CONN_ENDED || !segq_empty(&c->held))
        return;
    agent_conn_post(c, AGENT_END, (struct seg){0}, 0);
    agent_conn_leave(c, ENDING_DONE, SLICE(""));
}

void agent_receive_granted(struct agent_conn *c, uint32_t bytes)
{
    struct agent_call *a = c->agent;
    c->credit += bytes;
    drain_held(c);
    note_holding(c);
    if (segq_empty(&c->held))
        gather_settle(&c->gathered);
    end_if_empty(c);
    agent_window_settle(a);
}

void agent_receive_end(struct agent_conn *c)
{
    if (pass_on(c))
        end_if_empty(c);
}

void agent_receive_drop(struct agent_conn *c)
{
    list_remove(&c->dirty);
    list_remove(&c->holding);
    gather_drop(&c->gathered);
    while (!segq_empty(&c->held))
        worker_release_seg(bw_of(c)->worker, segq_pop(&c->held, &bw_of(c)->seg_nodes));
}
