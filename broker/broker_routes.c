/* broker/broker_routes.c — what stands behind the routes: the numbers of their identities towards
 * destinations; paths, where connections do not go directly; and what mints certificates where TLS ends here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_build.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/credentials.h"
#include "broker/konnectivity/agent.h"
#include "broker/route.h"
#include "io/log.h"
#include "io/tls/tls_mint.h"

int build_fail(struct builder *b, int rc, const char *what)
{
    snprintf(b->detail, b->detail_size, "%s: %s", what, strerror(-rc));
    return rc;
}

/* -- routes -------------------------------------------------------------------------------------------------
 */

static void fill_path(const struct config_route *r, struct pool_path *path, struct agent_wish *wish)
{
    static const uint8_t ways[CONFIG_VIAS] = {
        [CONFIG_VIA_DIRECT] = POOL_WAY_DIRECT, [CONFIG_VIA_AGENT] = POOL_WAY_AGENT};
    _Static_assert((int)CONFIG_VIAS <= (int)POOL_WAYS_MAX, "every way has a place in a path");
    *path = (struct pool_path){.way_count = (uint8_t)r->via_count, .agents = wish};
    *wish = (struct agent_wish){.count = r->strategy_count};
    for (uint32_t i = 0; i < r->via_count; i++)
        path->ways[i] = ways[r->via[i]];
    for (uint32_t i = 0; i < r->strategy_count; i++)
        wish->strategies[i] = r->strategies[i];
}

/* Routes that go the same ways by the same agents share one path, and so connections. */
static const struct pool_path *path_for(struct broker *broker, const struct config_route *r)
{
    struct pool_path *path = &broker->paths[broker->path_count];
    struct agent_wish *wish = &broker->wishes[broker->path_count];
    if (!config_route_goes_via(r, CONFIG_VIA_AGENT))
        return NULL;
    fill_path(r, path, wish);
    for (unsigned i = 0; i < broker->path_count; i++)
        if (memcmp(broker->paths[i].ways, path->ways, sizeof(path->ways)) == 0 &&
            broker->paths[i].way_count == path->way_count &&
            memcmp(&broker->wishes[i], wish, sizeof(*wish)) == 0)
            return &broker->paths[i];
    path->id = ++broker->path_count;
    return path;
}

int build_routes(struct builder *b)
{
    struct broker *broker = b->broker;
    const struct config *config = broker->config;
    broker->route_count = config->route_count;
    broker->route_table = calloc(config->route_count + 1u, sizeof(*broker->route_table));
    broker->paths = calloc(config->route_count + 1u, sizeof(*broker->paths));
    broker->wishes = calloc(config->route_count + 1u, sizeof(*broker->wishes));
    if (!broker->route_table || !broker->paths || !broker->wishes)
        return build_fail(b, -ENOMEM, "routes");
    for (unsigned i = 0; i < config->route_count; i++) {
        const struct config_route *r = &config->routes[i];
        struct broker_route *route = &broker->route_table[i];
        *route = (struct broker_route){.name = r->name, .config = r, .path = path_for(broker, r)};
        route->lease_ms = config->timeouts.resolve_ms + r->timeouts.connect_ms + r->timeouts.tls_ms +
                          r->timeouts.queue_ms;
        route->first_byte_ms = r->timeouts.first_byte_ms;
        if (r->action == CONFIG_REFUSE || !r->profile)
            continue;
        unsigned variant = r->insecure ? IDENTITY_INSECURE : 0;
        route->identity = identity_number(config, r, variant);
        route->upgrade_identity = identity_number(config, r, variant | IDENTITY_SINGLE_USE);
        if (r->insecure)
            log_any_thread(LOG_WARN, "insecure_route",
                           "route %s does not verify who answers (insecure: true)", r->name);
    }
    return routes_new(config, &broker->routes) < 0 ? build_fail(b, -ENOMEM, "routes") : 0;
}

/* -- bridges ------------------------------------------------------------------------------------------------
 */

/* An issuer and its roots are read once and shared by all workers. */
static int make_mints(struct builder *b, unsigned number)
{
    const struct config_route *r = &b->broker->config->routes[number];
    for (unsigned w = 0; w < b->broker->count; w++) {
        struct broker_worker *bw = &b->broker->states[w];
        const struct issuing *issuing = &bw->credentials->issuing[number];
        struct tls_mint_options options = {.issuer = issuing->issuer,
                                           .client_roots = issuing->client_roots,
                                           .alpn = SERVER_ALPN,
                                           .allow_tls12 = r->bridge->min_version == CONFIG_TLS_1_2,
                                           .life_s = r->bridge->certificate_life_ms / 1000};
        int rc = tls_mint_new(bw->worker, &options, &bw->mints[number]);
        if (rc < 0)
            return build_fail(b, rc, "bridge");
    }
    log_any_thread(LOG_WARN, "bridge",
                   "route %s ends TLS inside tunnels and answers in the destinations' names", r->name);
    return 0;
}

int build_bridges(struct builder *b)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < b->broker->route_count; i++)
        if (b->broker->config->routes[i].bridge && b->broker->config->routes[i].action == CONFIG_ALLOW)
            rc = make_mints(b, i);
    return rc;
}
