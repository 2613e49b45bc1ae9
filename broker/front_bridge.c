/* broker/front_bridge.c — a tunnel whose TLS ends here ("bridge"): the client believes it speaks with the
 * destination.
 *
 * After the 200 to CONNECT the connection's stream becomes the lower one of a TLS server that shows a
 * certificate minted for the destination, and the connection starts anew on top: handshake, client
 * certificate, then HTTP/1.1 or HTTP/2 as on a listener. Its requests go where the CONNECT went, whatever
 * their Host says, through the pool of the route. A destination that cannot be reached or does not prove
 * itself shows as the answer to a request, not to the CONNECT.
 */
#include "broker/front_bridge.h"

#include "broker/broker.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/front.h"
#include "broker/http/http1_write.h"
#include "broker/policy.h"
#include "io/tls/tls.h"
#include "io/tls/tls_mint.h"
#include "io/worker.h"

void front_bridge_connect(struct front_conn *c, const struct broker_route *route,
                          const struct endpoint_key *key)
{
    struct broker_worker *bw = c->bw;
    char detail[POOL_DETAIL_MAX];
    struct tls_mint *mint = bw->mints[route - bw->broker->route_table];
    struct tls_context *context = tls_mint_get(mint, key->host, detail, sizeof(detail));
    if (!context) {
        exchange_refuse(c->exchange, ENDING_INTERNAL, detail);
        return;
    }
    struct front_bridge *b = slab_take(&bw->bridges);
    if (!b || !outbox_put(&c->out, HTTP1_CONNECTED.data, HTTP1_CONNECTED.len)) {
        if (b)
            slab_give(&bw->bridges, b);
        exchange_refuse(c->exchange, ENDING_LIMIT, "out of buffers");
        return;
    }
    *b = (struct front_bridge){.route = route, .context = tls_context_ref(context), .key = *key};
    b->key.profile = NULL;
    c->bridge = b;
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

bool front_bridge_client_allowed(const struct front_conn *c)
{
    const struct config_bridge *config = c->bridge->route->config->bridge;
    return broker_client_has_name(c->stream, config->allowed_names, config->allowed_name_count);
}

void front_bridge_drop(struct front_conn *c)
{
    struct front_bridge *b = c->bridge;
    c->bridge = NULL;
    if (b && b->context)
        tls_context_unref(&b->context);
    if (b)
        slab_give(&c->bw->bridges, b);
}
