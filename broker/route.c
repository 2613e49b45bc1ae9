/* broker/route.c — see route.h.
 *
 * The table is walked from the top for every request: a control plane has a handful of routes. What can be
 * parsed once (patterns, blocks, port ranges) is. */
#include "broker/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/config_nodes.h"
#include "broker/policy.h"

static bool compile(struct route *route, const struct config_route *config, uint32_t index)
{
    const struct config_match *m = &config->match;
    route->config = config;
    route->index = index;
    route->hosts = calloc(m->host_count + 1, sizeof(*route->hosts));
    route->cidrs = calloc(m->cidr_count + 1, sizeof(*route->cidrs));
    route->ports = calloc(m->port_count + 1, sizeof(*route->ports));
    route->clients = calloc(m->client_count + 1, sizeof(*route->clients));
    if (!route->hosts || !route->cidrs || !route->ports || !route->clients)
        return false;
    for (uint32_t i = 0; i < m->host_count; i++)
        ASSERT(host_pattern_parse(m->hosts[i], &route->hosts[i]));
    for (uint32_t i = 0; i < m->cidr_count; i++)
        ASSERT(cidr_parse(m->cidrs[i], &route->cidrs[i]));
    for (uint32_t i = 0; i < m->port_count; i++)
        ASSERT(port_range_parse(m->ports[i], &route->ports[i]));
    for (uint32_t i = 0; i < m->client_count; i++)
        ASSERT(client_pattern_parse(m->clients[i], &route->clients[i]));
    return true;
}

int routes_new(const struct config *config, struct routes **ret_routes)
{
    struct routes *routes = calloc(1, sizeof(*routes));
    if (!routes)
        return -ENOMEM;
    routes->all = calloc(config->route_count, sizeof(*routes->all));
    routes->count = routes->all ? config->route_count : 0;
    for (uint32_t i = 0; i < config->route_count; i++)
        if (!routes->all || !compile(&routes->all[i], &config->routes[i], i)) {
            routes_free(&routes);
            return -ENOMEM;
        }
    *ret_routes = routes;
    return 0;
}

void routes_free(struct routes **routes)
{
    struct routes *r = *routes;
    *routes = NULL;
    if (!r)
        return;
    for (uint32_t i = 0; i < r->count; i++) {
        struct route *route = &r->all[i];
        free(route->hosts);
        free(route->cidrs);
        free(route->ports);
        free(route->clients);
    }
    free(r->all);
    free(r);
}

bool route_names_address(const struct route *route, const struct ip *ip)
{
    for (uint32_t i = 0; i < route->config->match.cidr_count; i++)
        if (policy_block_names(&route->cidrs[i], ip))
            return true;
    for (uint32_t i = 0; i < route->config->match.host_count; i++)
        if (route->hosts[i].kind == HOST_LITERAL && memcmp(&route->hosts[i].ip, ip, sizeof(*ip)) == 0)
            return true;
    return false;
}

bool route_names_host(const struct route *route, const struct host *host)
{
    for (uint32_t i = 0; i < route->config->match.host_count; i++) {
        enum host_pattern_kind kind = route->hosts[i].kind;
        if ((kind == HOST_EXACT || kind == HOST_LITERAL) && host_pattern_matches(&route->hosts[i], host))
            return true;
    }
    return false;
}

static bool matches_host(const struct route *route, const struct host *host)
{
    const struct config_match *m = &route->config->match;
    if (m->host_count == 0 && m->cidr_count == 0)
        return true;
    for (uint32_t i = 0; i < m->host_count; i++)
        if (host_pattern_matches(&route->hosts[i], host))
            return true;
    for (uint32_t i = 0; host->literal && i < m->cidr_count; i++)
        if (cidr_has(&route->cidrs[i], &host->ip))
            return true;
    return false;
}

static bool matches_port(const struct route *route, uint16_t port)
{
    uint32_t count = route->config->match.port_count;
    for (uint32_t i = 0; i < count; i++)
        if (port >= route->ports[i].first && port <= route->ports[i].last)
            return true;
    return count == 0;
}

static bool open_on_listener(const struct route *route, const char *listener)
{
    const struct config_match *m = &route->config->match;
    for (uint32_t i = 0; i < m->listener_count; i++)
        if (strcmp(m->listeners[i], listener) == 0)
            return true;
    return m->listener_count == 0;
}

static bool open_to_client(const struct route *route, const struct client *client)
{
    uint32_t count = route->config->match.client_count;
    for (uint32_t i = 0; i < count; i++)
        if (client_matches(client, &route->clients[i]))
            return true;
    return count == 0;
}

void routes_open_to(const struct routes *routes, const char *listener, const struct client *client,
                    struct route_set *ret_set)
{
    *ret_set = (struct route_set){0};
    for (uint32_t i = 0; i < routes->count; i++)
        if (open_on_listener(&routes->all[i], listener) && open_to_client(&routes->all[i], client))
            ret_set->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static bool is_open(const struct route_set *set, uint32_t index)
{
    return set->bits[index / 64] >> (index % 64) & 1;
}

/* A special address, or a name that will not be resolved here and leads to one, which the route does not
 * name.
 */
static bool is_unnamed(const struct route *route, const struct host *host)
{
    if (host->literal)
        return policy_address_kind(&host->ip) != ADDRESS_ORDINARY && !route_names_address(route, &host->ip);
    return config_route_goes_via(route->config, CONFIG_VIA_AGENT) && policy_name_is_special(host->text) &&
           !route_names_host(route, host);
}

enum route_result route_match(const struct routes *routes, const struct route_query *query,
                              const struct route **ret_route)
{
    struct host host;
    bool unnamed = false;
    if (!host_parse(query->host, &host))
        return ROUTE_BAD_HOST;
    for (uint32_t i = 0; i < routes->count; i++) {
        const struct route *route = &routes->all[i];
        if (!is_open(query->open, i) || !(route->config->match.schemes & query->scheme) ||
            !matches_port(route, query->port) || !matches_host(route, &host))
            continue;
        bool refuse = route->config->action == CONFIG_REFUSE;
        if (!refuse && is_unnamed(route, &host)) {
            unnamed = true;
            continue;
        }
        *ret_route = route;
        return refuse ? ROUTE_REFUSED : ROUTE_OK;
    }
    return unnamed ? ROUTE_UNNAMED : ROUTE_NONE;
}

const char *route_result_text(enum route_result result)
{
    static const char *const texts[] = {
#define ROUTE_TEXT(symbol, text) [ROUTE_##symbol] = text,
        ROUTE_RESULTS(ROUTE_TEXT)
#undef ROUTE_TEXT
    };
    ASSERT((size_t)result < ARRAY_SIZE(texts));
    return texts[result];
}

static enum route_node_rule node_rule(const struct route *route, const struct config_nodes *nodes,
                                      const struct host *host, const char **ret_name)
{
    const struct config_tls_profile *profile = route->config->profile;
    if (!profile || !profile->verify_kubelet_name || route->config->insecure) {
        *ret_name = "";
        return ROUTE_NODE_NOT_ASKED;
    }
    const char *node = config_nodes_find(nodes, host->text);
    if (!node && host->literal) {
        *ret_name = ROUTE_NODE_ANY_NAME;
        return ROUTE_NODE_ANY;
    }
    *ret_name = node ? node : host->text;
    return ROUTE_NODE_EXACT;
}

enum route_node_rule route_node_name(const struct route *route, const struct config_nodes *nodes,
                                     const char *text, char ret_name[HOST_BYTES])
{
    struct host host;
    const char *name;
    ASSERT(host_parse(text, &host)); /* it was matched before */
    enum route_node_rule rule = node_rule(route, nodes, &host, &name);
    size_t len = strlen(name);
    ASSERT(len < HOST_BYTES);
    memcpy(ret_name, name, len + 1);
    return rule;
}
