/* broker/konnectivity/proxy_receive.c — what a client sends to one of its connections.
 *
 * The exchange gets as much as its budget allows; what comes beyond that is spilt, and kept from the stream's
 * window until the destination has taken what was before it. Large pieces are lent from the connection's
 * input, small ones are put together until that has been read.
 */
#include "broker/broker_worker.h"
#include "broker/front_http2.h"
#include "broker/konnectivity/proxy.h"
#include "io/worker.h"

static struct worker *worker_of(const struct proxy_tunnel *t)
{
    return proxy_stream_worker(t->stream);
}

static struct front_http2 *session_of(const struct proxy_tunnel *t)
{
    return t->stream->call.http2->session;
}

static struct broker_worker *bw_of(const struct proxy_tunnel *t)
{
    return session_of(t)->conn->bw;
}

static void drop_spill(struct proxy_tunnel *t)
{
    uint32_t bytes = t->spill.bytes;
    while (!segq_empty(&t->spill))
        worker_release_seg(worker_of(t), segq_pop(&t->spill, &bw_of(t)->seg_nodes));
    if (bytes > 0)
        stats_gauge_sub(&bw_of(t)->stats, STATS_FULL_PROXY, 1);
    proxy_stream_unspill(t->stream, bytes);
    http2_consumed(session_of(t), bytes);
}

/* What the exchange took will not be credited any more, and what it did not take it will not get. */
void proxy_receive_drop(struct proxy_tunnel *t)
{
    uint32_t gathered = t->gathered.used - t->gathered.given;
    list_remove(&t->dirty);
    gather_drop(&t->gathered);
    drop_spill(t);
    http2_consumed(session_of(t), t->given + gathered);
    t->given = 0;
}

static void give(struct proxy_tunnel *t, struct seg seg)
{
    t->given += seg.len;
    exchange_body(t->exchange, seg, false);
}

/* As much as the budget allows. */
static void drain_spill(struct proxy_tunnel *t)
{
    uint32_t budget = bw_of(t)->budget;
    bool was_full = !segq_empty(&t->spill);
    while (!segq_empty(&t->spill) && t->given < budget) {
        struct seg *first = &t->spill.head->seg, seg;
        uint32_t room = budget - t->given;
        if (first->len <= room) {
            seg = segq_pop(&t->spill, &bw_of(t)->seg_nodes);
        } else {
            seg = seg_of(first->buf, first->data, room);
            first->data += room;
            first->len -= room;
            t->spill.bytes -= room;
        }
        proxy_stream_unspill(t->stream, seg.len);
        give(t, seg);
    }
    if (was_full && segq_empty(&t->spill))
        stats_gauge_sub(&bw_of(t)->stats, STATS_FULL_PROXY, 1);
}

static void give_or_spill(struct proxy_tunnel *t, struct seg seg)
{
    uint32_t len = seg.len;
    bool first = segq_empty(&t->spill);
    if (first && t->given + len <= bw_of(t)->budget) {
        give(t, seg);
        return;
    }
    if (!segq_push(&t->spill, &bw_of(t)->seg_nodes, seg)) {
        worker_release_seg(worker_of(t), seg);
        http2_consumed(session_of(t), len);
        proxy_tunnel_set_error(t, ending_text(ENDING_LIMIT));
        proxy_tunnel_end(t, ENDING_LIMIT);
        return;
    }
    t->stream->spilt += len;
    if (first)
        stats_gauge_add(&bw_of(t)->stats, STATS_FULL_PROXY, 1);
    drain_spill(t);
    if (!first)
        return;
    t->progressed_ns = worker_of(t)->now_ns;
    if (t->state == PROXY_OPEN)
        worker_arm_ms(worker_of(t), &t->timer, PROXY_BLOCKED_MS);
}

void proxy_receive_pass_on(struct proxy_tunnel *t)
{
    struct seg seg = gather_take(&t->gathered);
    list_remove(&t->dirty);
    if (seg.len > 0)
        give_or_spill(t, seg);
}

static void gather(struct proxy_tunnel *t, struct slice bytes)
{
    while (bytes.len > 0) {
        uint32_t n = gather_add(&t->gathered, &worker_of(t)->bufs, BUF_SMALL, (const uint8_t *)bytes.data,
                                bytes.len);
        if (n == 0 && gather_is_empty(&t->gathered)) {
            http2_consumed(session_of(t), bytes.len);
            proxy_tunnel_set_error(t, ending_text(ENDING_LIMIT));
            proxy_tunnel_end(t, ENDING_LIMIT);
            return;
        }
        if (n == 0)
            proxy_receive_pass_on(t);
        if (!t->exchange) { /* it ended meanwhile */
            http2_consumed(session_of(t), bytes.len);
            return;
        }
        bytes = slice_from(bytes, n);
    }
    if (list_empty(&t->dirty))
        list_add_tail(&t->stream->dirty, &t->dirty);
}

void proxy_receive_data(struct proxy_tunnel *t, struct slice bytes, const struct seg *input)
{
    if (t->state == PROXY_HELD)
        proxy_tunnel_open(t);
    if (t->state != PROXY_OPEN) { /* over; or not answered, and the client guessed its number */
        http2_consumed(session_of(t), bytes.len);
        return;
    }
    if (input && gather_is_needless(input, bytes.len)) {
        proxy_receive_pass_on(t);
        if (t->exchange)
            give_or_spill(
                t, seg_of(input->buf, input->data + (bytes.data - (const char *)input->data), bytes.len));
        else
            http2_consumed(session_of(t), bytes.len);
    } else {
        gather(t, bytes);
    }
    proxy_tunnel_touch(t);
}

void proxy_receive_granted(struct proxy_tunnel *t, uint32_t bytes)
{
    ASSERT(t->given >= bytes);
    t->given -= bytes;
    t->progressed_ns = worker_of(t)->now_ns;
    http2_consumed(session_of(t), bytes);
    if (t->given == 0)
        gather_settle(&t->gathered);
    drain_spill(t);
}
