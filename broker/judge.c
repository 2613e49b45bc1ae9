/* broker/judge.c — who may ask for what: the verdicts that routes and policies give on a request. */
#include "broker/broker.h"

#include <stdio.h>
#include <string.h>

#include "broker/broker_worker.h"
#include "broker/front.h"
#include "broker/policy.h"
#include "broker/route.h"
#include "io/tls/tls.h"

enum ending broker_judge(const struct broker *b, const struct front_listener *l, const struct head_view *view,
                         const struct broker_route **ret_route, char *detail, size_t detail_size)
{
    char host[POOL_NAME_MAX];
    if (view->authority.host.len >= sizeof(host)) {
        snprintf(detail, detail_size, "the host name is too long");
        return ENDING_BAD_REQUEST;
    }
    memcpy(host, view->authority.host.data, view->authority.host.len);
    host[view->authority.host.len] = '\0';
    bool tunnel = view->method == HTTP_METHOD_CONNECT;
    struct route_query query = {.host = host,
                                .port = view->authority.port,
                                .scheme = tunnel                              ? CONFIG_SCHEME_TUNNEL
                                          : view->scheme == HTTP_SCHEME_HTTPS ? CONFIG_SCHEME_HTTPS
                                                                              : CONFIG_SCHEME_HTTP,
                                .listener = l->config->name};
    const struct route *route;
    enum route_result result = route_match(b->routes, &query, &route);
    snprintf(detail, detail_size, "%s://%.100s:%u: %s", tunnel ? "tunnel" : http_scheme_name(view->scheme),
             host, query.port, route_result_text(result));
    switch (result) {
    case ROUTE_OK: *ret_route = &b->route_table[route->index]; return ENDING_DONE;
    case ROUTE_NONE: return ENDING_NO_ROUTE;
    case ROUTE_REFUSED:
    case ROUTE_UNNAMED: return ENDING_NOT_ALLOWED;
    case ROUTE_BAD_HOST: return ENDING_BAD_REQUEST;
    }
    ASSERT(!"a result of route_match");
    return ENDING_INTERNAL;
}

/* A literal was judged when the route was chosen; what a name resolved to is judged by the rules of that
 * route. */
bool broker_address_allowed(const struct net_address *address, const char *host, uint32_t rules, void *arg)
{
    const struct broker *b = arg;
    if (rules == BROKER_RULES_LITERAL)
        return true;
    ASSERT(rules <= b->routes->count);
    return policy_address_allowed(&b->routes->all[rules - 1], host, address);
}

void broker_node_name(const struct broker *b, const struct broker_route *route, const char *host,
                      char *ret_name, size_t size)
{
    char name[HOST_BYTES];
    route_node_name(&b->routes->all[route - b->route_table], host, name);
    snprintf(ret_name, size, "%s", name);
}

static bool match_name(const char *name, void *arg)
{
    return policy_client_allowed(arg, name);
}

bool broker_client_allowed(const struct config_listener *config, const struct stream *tls)
{
    if (!config->tls || config->tls->allowed_name_count == 0)
        return true; /* any certificate of the listener's client CA */
    return tls_peer_has_name(tls, match_name, config->tls);
}
