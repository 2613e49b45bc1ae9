/* broker/broker_routes.c — what stands behind the routes: identities towards destinations, one for each way
 * to use and verify a TLS profile; paths, where connections do not go directly; bearer tokens; and issuers,
 * where TLS ends here. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/broker_build.h"
#include "broker/broker_worker.h"
#include "broker/config/config.h"
#include "broker/konnectivity/agent.h"
#include "broker/route.h"
#include "io/log.h"
#include "io/tls/tls.h"
#include "io/tls/tls_issuer.h"
#include "io/tls/tls_mint.h"
#include "io/tls/tls_roots.h"

/* Identities that need no TLS profile; the others are numbered behind them. */
enum { PROFILE_PLAIN, PROFILE_OPAQUE, PROFILES_OWN };

int build_fail(struct builder *b, int rc, const char *what)
{
    snprintf(b->detail, b->detail_size, "%s: %s", what, strerror(-rc));
    return rc;
}

/* -- profiles and routes ------------------------------------------------------------------------------------
 */

static int make_context(struct builder *b, const struct config_tls_profile *p, struct pool_profile *ret)
{
    struct tls_context_options options = {.role = TLS_CLIENT,
                                          .ca_file = p->ca_file,
                                          .certificate_file = p->client_certificate_file,
                                          .key_file = p->client_key_file,
                                          .alpn = ret->single_use && p->alpn != CONFIG_ALPN_NONE
                                                      ? "http/1.1" /* only it can be upgraded */
                                                      : config_alpn_text(p->alpn),
                                          .allow_tls12 = p->min_version == CONFIG_TLS_1_2,
                                          .insecure = ret->insecure,
                                          .resumption = p->resumption};
    ret->tls = true;
    ret->resumption = p->resumption;
    if (p->server_name)
        snprintf(ret->server_name, sizeof(ret->server_name), "%s", p->server_name);
    return tls_context_new(&options, &ret->context, b->detail, b->detail_size);
}

/* Routes with the same profile and the same will to verify share one identity, and so one pool. Upgrades have
 * an identity beside it, whose connections carry one of them each. NULL: said why. */
static const struct pool_profile *profile_for(struct builder *b, const struct config_route *r,
                                              bool single_use)
{
    struct broker *broker = b->broker;
    uint32_t number = (uint32_t)(r->profile - broker->config->tls_profiles);
    uint32_t id = PROFILES_OWN + number * 4 + (r->insecure ? 1 : 0) + (single_use ? 2 : 0);
    for (unsigned i = 0; i < broker->profile_count; i++)
        if (broker->profiles[i].id == id)
            return &broker->profiles[i];
    struct pool_profile *p = &broker->profiles[broker->profile_count];
    *p = (struct pool_profile){.id = id,
                               .generation = 1,
                               .insecure = r->insecure,
                               .shared = r->profile->alpn == CONFIG_ALPN_H2 && !single_use,
                               .single_use = single_use};
    if (make_context(b, r->profile, p) < 0)
        return NULL;
    broker->profile_count++;
    return p;
}

static int read_token(struct builder *b, const char *file, char *ret, size_t size)
{
    FILE *f = fopen(file, "re");
    if (!f)
        return build_fail(b, -errno, file);
    size_t n = (size_t)snprintf(ret, size, "Bearer ");
    n += fread(ret + n, 1, size - n - 1, f);
    fclose(f);
    while (n > 0 && (ret[n - 1] == '\n' || ret[n - 1] == '\r' || ret[n - 1] == ' '))
        n--;
    ret[n] = '\0';
    if (n <= strlen("Bearer ")) {
        snprintf(b->detail, b->detail_size, "%s: found an empty file, expected a bearer token", file);
        return -EINVAL;
    }
    return 0;
}

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
    broker->profiles = calloc(config->tls_profile_count * 4u + PROFILES_OWN, sizeof(*broker->profiles));
    broker->paths = calloc(config->route_count + 1u, sizeof(*broker->paths));
    broker->wishes = calloc(config->route_count + 1u, sizeof(*broker->wishes));
    if (!broker->route_table || !broker->profiles || !broker->paths || !broker->wishes)
        return build_fail(b, -ENOMEM, "routes");
    broker->profiles[PROFILE_PLAIN] = (struct pool_profile){.id = PROFILE_PLAIN};
    broker->profiles[PROFILE_OPAQUE] = (struct pool_profile){.id = PROFILE_OPAQUE, .single_use = true};
    broker->profile_count = PROFILES_OWN;
    for (unsigned i = 0; i < config->route_count; i++) {
        const struct config_route *r = &config->routes[i];
        struct broker_route *route = &broker->route_table[i];
        *route = (struct broker_route){.name = r->name,
                                       .config = r,
                                       .plain = &broker->profiles[PROFILE_PLAIN],
                                       .opaque = &broker->profiles[PROFILE_OPAQUE],
                                       .path = path_for(broker, r)};
        route->lease_ms = config->timeouts.resolve_ms + r->timeouts.connect_ms + r->timeouts.tls_ms +
                          r->timeouts.queue_ms;
        route->first_byte_ms = r->timeouts.first_byte_ms;
        if (r->action == CONFIG_REFUSE || !r->profile)
            continue;
        route->profile = profile_for(b, r, false);
        route->upgrade = route->profile ? profile_for(b, r, true) : NULL;
        if (!route->upgrade)
            return -EINVAL;
        if (r->profile->bearer_token_file) {
            int rc = read_token(b, r->profile->bearer_token_file, route->authorization,
                                sizeof(route->authorization));
            if (rc < 0)
                return rc;
        }
        if (r->insecure)
            log_any_thread(LOG_WARN, "insecure_route",
                           "route %s does not verify who answers (insecure: true)", r->name);
    }
    return routes_new(config, &broker->routes) < 0 ? build_fail(b, -ENOMEM, "routes") : 0;
}

/* -- bridges ------------------------------------------------------------------------------------------------
 */

static int make_mint(struct builder *b, unsigned number, struct tls_issuer *issuer, struct tls_roots *roots)
{
    const struct config_bridge *config = b->broker->config->routes[number].bridge;
    struct tls_mint_options options = {.issuer = issuer,
                                       .client_roots = roots,
                                       .alpn = SERVER_ALPN,
                                       .allow_tls12 = config->min_version == CONFIG_TLS_1_2,
                                       .life_s = config->certificate_life_ms / 1000};
    for (unsigned w = 0; w < b->broker->count; w++) {
        struct broker_worker *bw = &b->broker->states[w];
        int rc = tls_mint_new(bw->worker, &options, &bw->mints[number]);
        if (rc < 0)
            return build_fail(b, rc, "bridge");
    }
    return 0;
}

/* An issuer and its roots are read once and shared by all workers. */
static int make_bridge(struct builder *b, unsigned number)
{
    const struct config_route *r = &b->broker->config->routes[number];
    struct tls_issuer *issuer = NULL;
    struct tls_roots *roots = NULL;
    int rc = tls_issuer_new(r->bridge->issuer_certificate_file, r->bridge->issuer_key_file, &issuer,
                            b->detail, b->detail_size);
    if (rc == 0)
        rc = tls_roots_new(r->bridge->client_ca_file, &roots, b->detail, b->detail_size);
    if (rc == 0)
        rc = make_mint(b, number, issuer, roots);
    if (rc == 0)
        log_any_thread(LOG_WARN, "bridge",
                       "route %s ends TLS inside tunnels and answers in the destinations' names", r->name);
    tls_issuer_unref(&issuer);
    tls_roots_unref(&roots);
    return rc;
}

int build_bridges(struct builder *b)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < b->broker->route_count; i++)
        if (b->broker->config->routes[i].bridge && b->broker->config->routes[i].action == CONFIG_ALLOW)
            rc = make_bridge(b, i);
    return rc;
}
