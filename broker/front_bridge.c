/* broker/front_bridge.c — a tunnel whose TLS ends here ("bridge"): the client believes it speaks with the
 * destination.
 *
 * Below is a TLS server that shows a certificate minted for the destination, on top a connection that starts
 * anew: handshake, client certificate, then HTTP/1.1 or HTTP/2 as on a listener. Its requests go where the
 * CONNECT went, whatever their Host says, through the pool of the route. A destination that cannot be reached
 * or does not prove itself shows as the answer to a request, not to the CONNECT.
 *
 *   a connection of its own   (HTTP/1.1) After the 200 it becomes all this itself: its stream is the lower
 *                             one of TLS.
 *   a shared one              (a stream of HTTP/2, a dial of Konnectivity's) The tunnel stays what it is, an
 *                             exchange with limits, credit and ends of its own. Its egress half holds one end
 *                             of a pair of streams in memory, TLS the other, and a connection inside lives
 *                             above that: neither knows the other but by what a stream tells, so each ends
 *                             when the other does.
 */
#include "broker/front_bridge.h"

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front.h"
#include "broker/http/http1_write.h"
#include "broker/policy.h"
#include "io/stream_pair.h"
#include "io/tls/tls.h"
#include "io/tls/tls_mint.h"
#include "io/worker.h"

static void bridge_free(struct broker_worker *bw, struct front_bridge *b)
{
    if (b->context)
        tls_context_unref(&b->context);
    slab_give(&bw->bridges, b);
}

/* NULL: refused. */
static struct front_bridge *bridge_new(struct exchange *ex, const struct broker_route *route,
                                       const struct endpoint_key *key)
{
    struct broker_worker *bw = ex->bw;
    char detail[POOL_DETAIL_MAX];
    struct tls_mint *mint = bw->mints[route - bw->broker->route_table];
    struct tls_context *context = tls_mint_get(mint, key->host, detail, sizeof(detail));
    if (!context) {
        exchange_refuse(ex, ENDING_INTERNAL, detail);
        return NULL;
    }
    struct front_bridge *b = slab_take(&bw->bridges);
    if (!b) {
        exchange_refuse(ex, ENDING_LIMIT, "out of buffers");
        return NULL;
    }
    *b = (struct front_bridge){
        .route = route, .context = tls_context_ref(context), .protocol = ex->ops->protocol, .key = *key};
    b->key.profile = NULL;
    return b;
}

/* -- a connection of its own --------------------------------------------------------------------------------
 */

void front_bridge_connect(struct front_conn *c, const struct broker_route *route,
                          const struct endpoint_key *key)
{
    struct front_bridge *b = bridge_new(c->exchange, route, key);
    if (!b)
        return;
    if (!outbox_put(&c->out, HTTP1_CONNECTED.data, HTTP1_CONNECTED.len)) {
        bridge_free(c->bw, b);
        exchange_refuse(c->exchange, ENDING_LIMIT, "out of buffers");
        return;
    }
    c->bridge = b;
    c->exchange->bridged = true;
    c->exchange->access.status = 200;
}

bool front_bridge_is_due(const struct front_conn *c)
{
    return c->bridge && c->bridge->context;
}

void front_bridge_start(struct front_conn *c)
{
    struct broker_worker *bw = c->bw;
    struct stream *below = c->stream;
    if (c->input_ended) {
        front_abort(c, ENDING_CLIENT_GONE);
        return;
    }
    uint32_t unused = bw->budget - c->pending.bytes;
    struct stream *inside = tls_accept(bw->worker, &below, c->bridge->context);
    if (!inside) {
        c->stream = NULL; /* it ends by itself */
        front_lost(c, ENDING_LIMIT);
        return;
    }
    tls_context_unref(&c->bridge->context);
    tls_accept_credit(inside, unused);
    while (!segq_empty(&c->pending))
        tls_accept_early(inside, segq_pop(&c->pending, &bw->seg_nodes));
    front_take_stream(c, inside);
}

/* -- a shared one -------------------------------------------------------------------------------------------
 */

/* Takes the bridge and the stream. */
static bool begin_inside(struct front_conn *outer, struct front_bridge *b, struct stream *below)
{
    struct stream *tls = tls_accept(outer->bw->worker, &below, b->context);
    bool begun = tls && front_conn_inside(outer, b, tls);
    if (begun)
        tls_context_unref(&b->context);
    else
        bridge_free(outer->bw, b);
    return begun;
}

void front_bridge_tunnel(struct exchange *ex, const struct broker_route *route,
                         const struct endpoint_key *key)
{
    struct broker_worker *bw = ex->bw;
    struct stream *ends[2] = {NULL, NULL};
    struct front_bridge *b = bridge_new(ex, route, key);
    if (!b)
        return;
    struct buf *buf = buf_get_bytes(&bw->worker->bufs, sizeof(struct exchange_open));
    bool paired = buf && stream_pair_new(bw->worker, &bw->stream_pairs, &bw->seg_nodes, ends);
    if (!paired)
        bridge_free(bw, b);
    if (!paired || !begin_inside(ex->conn, b, ends[1])) {
        if (paired)
            stream_pair_abandon(ends[0], ENDING_LIMIT);
        if (buf)
            buf_unref(buf);
        exchange_refuse(ex, ENDING_LIMIT, "out of buffers");
        return;
    }
    struct exchange_open *open = (struct exchange_open *)buf->mem;
    *open = (struct exchange_open){
        .front = ex, .deliver = exchange_deliver, .form = EXCHANGE_CONNECT, .inside = ends[0]};
    ex->bridged = true;
    exchange_open_at(ex, bw->worker->number, (struct seg){buf, buf->mem, sizeof(*open), 0}, false);
}

/* -- either -------------------------------------------------------------------------------------------------
 */

bool front_bridge_client_allowed(const struct front_conn *c)
{
    const struct config_bridge *config = c->bridge->route->config->bridge;
    return broker_client_has_name(c->stream, config->allowed_names, config->allowed_name_count);
}

void front_bridge_drop(struct front_conn *c)
{
    struct front_bridge *b = c->bridge;
    c->bridge = NULL;
    if (b)
        bridge_free(c->bw, b);
}
