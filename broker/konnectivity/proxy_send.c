/* broker/konnectivity/proxy_send.c — what goes to the client of a stream, and in which order.
 *
 * Packets are made when the HTTP/2 stream asks for bytes, one at a time, so that nothing waits behind more
 * than one. Answers and ends go first: they may overtake the data of other connections, but for their own
 * connection they are the last to be due. Data takes turns among the connections, each time as much as is
 * there, up to what fills two frames: the client's reader has room for ten packets, however large.
 */
#include <string.h>

#include "broker/broker_worker.h"
#include "broker/front_http2.h"
#include "broker/konnectivity/proxy.h"
#include "io/worker.h"

static struct slab *nodes_of(const struct proxy_stream *p)
{
    return &p->call.http2->session->conn->bw->seg_nodes;
}

/* -- whose turn it is ---------------------------------------------------------------------------------------
 */

static struct list *place_of(struct proxy_tunnel *t)
{
    struct proxy_stream *p = t->stream;
    switch (t->state) {
    case PROXY_REFUSED:
    case PROXY_ANSWERED:
    case PROXY_CLOSED: return &p->controls;
    case PROXY_OPEN: return segq_empty(&t->queue) ? NULL : &p->ready;
    case PROXY_ENDING: return segq_empty(&t->queue) ? &p->controls : &p->ready;
    case PROXY_DIALLING:
    case PROXY_HELD:
    case PROXY_FINISHING: return NULL;
    case PROXY_TUNNEL_STATES: ASSERT(!"a state of a tunnel");
    }
    return NULL;
}

void proxy_send_due(struct proxy_tunnel *t)
{
    struct list *place = place_of(t);
    bool keeps_its_turn = place == &t->stream->ready && !list_empty(&t->due);
    if (keeps_its_turn)
        return;
    list_remove(&t->due);
    if (!place)
        return;
    list_add_tail(place, &t->due);
    http2_reply_wake(t->stream->call.http2);
}

/* -- packets ------------------------------------------------------------------------------------------------
 */

/* It is the writer's until HTTP/2 has taken its last byte. */
static void begin(struct proxy_stream *p, enum packet_type type)
{
    stats_packet(&p->call.http2->session->conn->bw->stats, STATS_TO_CLIENT, type);
    p->begun_ns = proxy_stream_worker(p)->now_ns;
    p->head_sent = 0;
}

static void written(struct proxy_stream *p)
{
    stats_duration(&p->call.http2->session->conn->bw->stats, STATS_FRONTEND_WRITE,
                   proxy_stream_worker(p)->now_ns - p->begun_ns);
}

static void begin_packet(struct proxy_stream *p, const struct packet *packet)
{
    begin(p, (enum packet_type)packet->type);
    p->head_len = packet_encode(packet, p->head);
}

static void say_stranger(struct proxy_stream *p)
{
    uint32_t last = --p->strangers_n;
    begin_packet(p, &(struct packet){.type = PACKET_CLOSE_RSP,
                                     .connect_id = p->strangers[last].id,
                                     .error = slice_of_text(p->strangers[last].error)});
}

/* What a connection that stands ended of meanwhile is for its CLOSE_RSP to tell. */
static void say_control(struct proxy_tunnel *t)
{
    bool answer = t->state == PROXY_REFUSED || t->state == PROXY_ANSWERED;
    bool last = t->state != PROXY_ANSWERED;
    begin_packet(t->stream, &(struct packet){.type = answer ? PACKET_DIAL_RSP : PACKET_CLOSE_RSP,
                                             .connect_id = t->state == PROXY_REFUSED ? 0 : t->id,
                                             .random = answer ? t->random : 0,
                                             .error = slice_of_text(last ? t->error : "")});
    if (answer)
        proxy_tunnel_answered(t);
    if (last)
        proxy_tunnel_free(t, ENDING_DONE);
}

/* It has been sent, or never will be. */
static void let_go(struct proxy_stream *p, struct seg seg)
{
    struct exchange *ex = p->sending ? p->sending->exchange : NULL;
    if (ex)
        exchange_credit(ex, (struct outbox_credit){seg.tag, seg});
    else
        worker_release_seg(proxy_stream_worker(p), seg);
}

/* Of a buffer of this worker, as all are that a tunnel's egress half reads. */
static struct seg cut_off(struct seg *from, uint32_t len)
{
    struct seg part = seg_of(from->buf, from->data, len);
    part.tag = len;
    from->data += len;
    from->len -= len;
    from->tag -= len;
    return part;
}

/* Moves whole segments as far as they fit, and a part of the first that does not fit alone. */
static uint32_t move_data(struct proxy_tunnel *t)
{
    struct proxy_stream *p = t->stream;
    uint32_t len = 0;
    while (!segq_empty(&t->queue)) {
        struct seg *first = &t->queue.head->seg, part = *first;
        if (len > 0 && len + first->len > PROXY_DATA_MAX)
            break;
        if (first->len > PROXY_DATA_MAX) {
            part = cut_off(first, PROXY_DATA_MAX);
            t->queue.bytes -= part.len;
        } else {
            segq_pop(&t->queue, nodes_of(p));
        }
        len += part.len;
        if (!segq_push(&p->data, nodes_of(p), part)) { /* only of a part: no node was given back for it */
            let_go(p, part);
            http2_call_sent(&p->call, part.len);
            proxy_stream_fail(p, GRPC_RESOURCE_EXHAUSTED, "out of memory");
            return 0;
        }
    }
    return len;
}

static void say_data(struct proxy_tunnel *t)
{
    struct proxy_stream *p = t->stream;
    uint32_t len = move_data(t);
    if (len == 0)
        return;
    begin(p, PACKET_DATA);
    p->head_len = packet_write_data_head(p->head, t->id, len);
    p->sending = t;
    list_remove(&t->due);
    proxy_send_due(t);
    proxy_tunnel_touch(t);
}

uint32_t proxy_stream_ready(struct http2_call *call)
{
    struct proxy_stream *p = proxy_stream_of(call);
    while (p->head_sent == p->head_len && p->data.bytes == 0) {
        p->sending = NULL;
        if (p->call.over)
            return 0;
        if (p->strangers_n > 0)
            say_stranger(p);
        else if (!list_empty(&p->controls))
            say_control(list_entry(p->controls.next, struct proxy_tunnel, due));
        else if (!list_empty(&p->ready))
            say_data(list_entry(p->ready.next, struct proxy_tunnel, due));
        else
            return 0;
    }
    return p->head_len - p->head_sent + p->data.bytes;
}

/* -- bytes --------------------------------------------------------------------------------------------------
 */

void proxy_stream_take(struct http2_call *call, uint8_t *to, uint32_t len)
{
    struct proxy_stream *p = proxy_stream_of(call);
    uint32_t head_left = p->head_len - p->head_sent, n = len < head_left ? len : head_left;
    memcpy(to, p->head + p->head_sent, n);
    p->head_sent += n;
    http2_call_sent(&p->call, len - n);
    for (len -= n, to += n; len > 0; len -= n, to += n) {
        struct seg *seg = &p->data.head->seg;
        n = len < seg->len ? len : seg->len;
        memcpy(to, seg->data, n);
        seg->data += n;
        seg->len -= n;
        p->data.bytes -= n;
        if (seg->len == 0)
            let_go(p, segq_pop(&p->data, nodes_of(p)));
    }
    if (p->head_sent == p->head_len && p->data.bytes == 0)
        written(p);
}

void proxy_send_drop(struct proxy_stream *p)
{
    uint32_t bytes = p->data.bytes;
    p->sending = NULL;
    while (!segq_empty(&p->data))
        let_go(p, segq_pop(&p->data, nodes_of(p)));
    http2_call_sent(&p->call, bytes);
}
