/* broker/konnectivity/proxy_stream.c — a call of /ProxyService/Proxy: what its client says, and how it ends.
 *
 * The protocol has credit for the stream and none for its connections. So the window of the stream is given
 * back at once for all that the tunnels' exchanges take, each up to its budget, and only what is beyond the
 * budget is kept from it: the stream of a client with one connection has the back pressure of a CONNECT, and
 * where many share one, a destination that stands still is cut off when it keeps the others waiting
 * (proxy_tunnel.c).
 *
 * What this stream did not dial does not exist for it. Packets that only a server sends are ignored, as
 * are those of unknown types.
 */
#include "broker/broker_worker.h"
#include "broker/front_http2.h"
#include "broker/konnectivity/proxy.h"
#include "io/worker.h"

struct worker *proxy_stream_worker(const struct proxy_stream *p)
{
    return p->call.http2->session->conn->bw->worker;
}

static struct broker_worker *broker_worker_at(const struct proxy_stream *p)
{
    return p->call.http2->session->conn->bw;
}

/* -- birth and end ------------------------------------------------------------------------------------------
 */

static const struct http2_call_ops proxy_ops;

struct http2_call *proxy_stream_new(struct http2_stream *s)
{
    struct proxy_stream *p = slab_take(&s->session->conn->bw->proxy_streams);
    if (!p)
        return NULL;
    http2_call_init(&p->call, &proxy_ops, s);
    list_init(&p->tunnels);
    list_init(&p->controls);
    list_init(&p->ready);
    list_init(&p->dirty);
    for (unsigned i = 0; i < PROXY_BUCKETS; i++)
        list_init(&p->by_id[i]);
    stats_gauge_add(&broker_worker_at(p)->stats, STATS_PROXY_STREAMS, 1);
    return &p->call;
}

static void free_tunnels(struct proxy_stream *p, enum ending reason)
{
    p->call.over = true;
    list_each_safe(node, tmp, &p->tunnels)
        proxy_tunnel_free(list_entry(node, struct proxy_tunnel, node), reason);
    p->strangers_n = 0;
    reader_reset(&p->reader);
}

static void end(struct proxy_stream *p, enum ending reason, enum grpc_status status, const char *text)
{
    if (p->call.over)
        return;
    free_tunnels(p, reason);
    http2_call_end(&p->call, status, text);
}

void proxy_stream_fail(struct proxy_stream *p, enum grpc_status status, const char *text)
{
    struct worker *w = proxy_stream_worker(p);
    if (p->call.over)
        return;
    http2_log_client(p->call.http2->session, "client_call_failed");
    log_u64(w, "grpc_status", status);
    log_str(w, "reason", text);
    log_end(w);
    stats_stream_error(&broker_worker_at(p)->stats, STATS_FROM_CLIENT, status, STATS_NO_PACKET);
    http2_wasted(p->call.http2->session);
    end(p, status == GRPC_INTERNAL ? ENDING_BAD_REQUEST : ENDING_LIMIT, status, text);
}

static void on_gone(struct http2_call *call, enum ending reason)
{
    struct proxy_stream *p = proxy_stream_of(call);
    if (!call->over)
        stats_stream_error(&broker_worker_at(p)->stats, STATS_FROM_CLIENT, STATS_STATUS_CANCELED,
                           STATS_NO_PACKET);
    stats_gauge_sub(&broker_worker_at(p)->stats, STATS_PROXY_STREAMS, 1);
    free_tunnels(p, reason);
    proxy_send_drop(p);
    ASSERT(p->call.held == 0 && p->spilt == 0);
    slab_give(&broker_worker_at(p)->proxy_streams, p);
}

static void on_pass_on(struct http2_call *);

/* There is no half-close in the protocol: who ends the stream has closed what was on it. */
static void on_input_end(struct http2_call *call)
{
    on_pass_on(call);
    end(proxy_stream_of(call), ENDING_DONE, GRPC_OK, "");
}

void proxy_stream_drain(struct http2_call *call)
{
    struct proxy_stream *p = proxy_stream_of(call);
    if (p->tunnel_count == 0)
        end(p, ENDING_DRAINING, GRPC_UNAVAILABLE, "the broker is shutting down");
}

/* -- packets ------------------------------------------------------------------------------------------------
 */

/* Numbers of one worker are as far apart as there are workers: their low bits tell nothing. */
struct list *proxy_stream_bucket(struct proxy_stream *p, int64_t id)
{
    return &p->by_id[((uint64_t)id * 0x9e3779b97f4a7c15u >> 32) % PROXY_BUCKETS];
}

static struct proxy_tunnel *find(struct proxy_stream *p, int64_t id)
{
    list_each_safe(node, tmp, proxy_stream_bucket(p, id))
    {
        struct proxy_tunnel *t = list_entry(node, struct proxy_tunnel, bucket);
        if (t->id == id)
            return t;
    }
    return NULL;
}

void proxy_stream_stranger(struct proxy_stream *p, int64_t id, const char *error)
{
    for (uint32_t i = 0; i < p->strangers_n; i++)
        if (p->strangers[i].id == id)
            return; /* one answer is enough */
    if (p->strangers_n == PROXY_STRANGERS_MAX) {
        proxy_stream_fail(p, GRPC_RESOURCE_EXHAUSTED, "too many answers about unknown connections wait");
        return;
    }
    p->strangers[p->strangers_n].id = id;
    p->strangers[p->strangers_n++].error = error;
    http2_reply_wake(p->call.http2);
}

static void on_data(struct proxy_stream *p, const struct packet *packet, const struct seg *input)
{
    struct proxy_tunnel *t = find(p, packet->connect_id);
    if (t) {
        proxy_receive_data(t, packet->data, input);
        return;
    }
    http2_consumed(p->call.http2->session, packet->data.len);
    if (packet->connect_id != 0)
        proxy_stream_stranger(p, packet->connect_id, "unrecognized connectID");
}

static void on_close(struct proxy_stream *p, const struct packet *packet)
{
    struct proxy_tunnel *t = find(p, packet->connect_id);
    if (t)
        proxy_tunnel_close(t);
    else
        proxy_stream_stranger(p, packet->connect_id, "Unknown connectID");
}

/* Which dial a cancel means: one that waits for its answer, else that of the last answer, which the cancel
 * has crossed. What a client dialled before by the same number stands. */
static struct proxy_tunnel *find_dial(struct proxy_stream *p, int64_t random)
{
    struct proxy_tunnel *last = NULL;
    list_each_safe(node, tmp, &p->tunnels)
    {
        struct proxy_tunnel *t = list_entry(node, struct proxy_tunnel, node);
        if (t->random != random)
            continue;
        last = t;
        if (proxy_tunnel_is_unanswered(t))
            break;
    }
    return last;
}

static void on_dial_close(struct proxy_stream *p, const struct packet *packet)
{
    struct proxy_tunnel *t = find_dial(p, packet->random);
    if (!t)
        return;
    bool pending = t->state == PROXY_DIALLING;
    proxy_tunnel_cancel(t);
    if (pending && ++p->cancels > PROXY_CANCELS_MAX)
        proxy_stream_fail(p, GRPC_RESOURCE_EXHAUSTED, "dials begun and given up, one after another");
}

static void on_packet(struct proxy_stream *p, const struct packet *packet)
{
    stats_packet(&broker_worker_at(p)->stats, STATS_FROM_CLIENT, packet->type);
    if (packet->type == PACKET_DIAL_REQ) {
        proxy_tunnel_dial(p, packet);
    } else if (packet->type == PACKET_DATA) {
        p->call.http2->session->held_in += packet->data.len; /* again: copies of it */
        on_data(p, packet, NULL);
    } else if (packet->type == PACKET_CLOSE_REQ) {
        on_close(p, packet);
    } else if (packet->type == PACKET_DIAL_CLS) {
        on_dial_close(p, packet);
    }
}

/* -- bytes --------------------------------------------------------------------------------------------------
 */

/* What a tunnel takes, it gives back to the connection itself; the rest is given back here. */
static void on_input(struct http2_call *call, const uint8_t *data, uint32_t len)
{
    struct proxy_stream *p = proxy_stream_of(call);
    struct front_http2 *h = p->call.http2->session;
    struct buf_pool *bufs = &proxy_stream_worker(p)->bufs;
    struct slice bytes = slice_of((const char *)data, len);
    while (!p->call.over) {
        struct packet packet;
        struct reader_failure failure;
        uint32_t left = bytes.len;
        enum reader_result result = reader_read(&p->reader, bufs, &bytes, &packet, &failure);
        left -= bytes.len;
        if (result == READ_BYTES)
            left -= packet.data.len;
        http2_consumed(h, left);
        if (result == READ_BYTES && p->reader.state == READER_PREFIX) /* the last of them */
            stats_packet(&broker_worker_at(p)->stats, STATS_FROM_CLIENT, PACKET_DATA);
        if (result == READ_BYTES)
            on_data(p, &packet, h->input);
        else if (result == READ_PACKET)
            on_packet(p, &packet);
        else if (result == READ_FAILED)
            proxy_stream_fail(p, failure.status, failure.text);
        else
            return;
    }
    http2_consumed(h, bytes.len);
}

void proxy_stream_unspill(struct proxy_stream *p, uint32_t bytes)
{
    ASSERT(p->spilt >= bytes);
    p->spilt -= bytes;
    p->call.owed -= bytes;
    if (bytes > 0)
        http2_call_credit(&p->call, bytes);
}

static void on_pass_on(struct http2_call *call)
{
    struct proxy_stream *p = proxy_stream_of(call);
    struct list *node;
    while ((node = list_pop(&p->dirty)) != NULL)
        proxy_receive_pass_on(list_entry(node, struct proxy_tunnel, dirty));
    ASSERT(p->call.owed >= p->spilt);
    uint32_t credit = p->call.owed - p->spilt;
    p->call.owed = p->spilt;
    if (credit > 0)
        http2_call_credit(&p->call, credit);
}

static const struct http2_call_ops proxy_ops = {.input = on_input,
                                                .pass_on = on_pass_on,
                                                .input_end = on_input_end,
                                                .drain = proxy_stream_drain,
                                                .gone = on_gone,
                                                .ready = proxy_stream_ready,
                                                .take = proxy_stream_take};
