/* broker/judge.c — who may ask for what: the verdicts that routes and policies give on a client and on its
 * requests. */
#include "broker/broker.h"

#include <stdio.h>
#include <string.h>

#include "broker/broker_worker.h"
#include "broker/callers.h"
#include "broker/client.h"
#include "broker/config/config.h"
#include "broker/credentials.h"
#include "broker/http/head.h"
#include "broker/policy.h"
#include "broker/route.h"
#include "io/tls/tls.h"

static struct caller_key caller_key_of(const struct broker *b, const struct config_listener *listener,
                                       const struct client *client)
{
    struct caller_key key;
    memset(&key, 0, sizeof(key)); /* it is compared as bytes */
    key.listener = (uint32_t)(listener - b->config->listeners);
    key.kind = client->kind;
    switch (client->kind) {
    case CLIENT_UNKNOWN: break;
    case CLIENT_PROCESS: key.uid = client->uid; break;
    case CLIENT_CERTIFICATE: client_name(client, key.name, sizeof(key.name)); break;
    }
    return key;
}

void broker_standing(struct broker_worker *bw, const struct config_listener *listener,
                     const struct net_peer *peer, const struct stream *tls, struct standing *ret_standing)
{
    struct broker *b = bw->broker;
    struct client client = client_of(peer, tls);
    struct caller_key key = caller_key_of(b, listener, &client);
    if (listener->serves == CONFIG_SERVES_REQUESTS)
        routes_open_to(b->routes, listener->name, &client, &ret_standing->routes);
    else
        ret_standing->routes = (struct route_set){0}; /* an agent may ask for nothing */
    ret_standing->caller = caller_of(b->callers, bw->worker->number, &key);
}

static enum config_scheme scheme_of(const struct head_view *view)
{
    if (view->method == HTTP_METHOD_CONNECT)
        return CONFIG_SCHEME_TUNNEL;
    return view->scheme == HTTP_SCHEME_HTTPS ? CONFIG_SCHEME_HTTPS : CONFIG_SCHEME_HTTP;
}

enum ending broker_judge(const struct broker *b, const struct standing *standing,
                         const struct head_view *view, const struct broker_route **ret_route, char *detail,
                         size_t detail_size)
{
    char host[POOL_NAME_MAX];
    if (view->authority.host.len >= sizeof(host)) {
        snprintf(detail, detail_size, "the host name is too long");
        return ENDING_BAD_REQUEST;
    }
    memcpy(host, view->authority.host.data, view->authority.host.len);
    host[view->authority.host.len] = '\0';
    struct route_query query = {
        .host = host, .port = view->authority.port, .scheme = scheme_of(view), .open = &standing->routes};
    const struct route *route;
    enum route_result result = route_match(b->routes, &query, &route);
    if (result == ROUTE_OK) {
        *ret_route = &b->route_table[route->index];
        return ENDING_DONE;
    }
    bool tunnel = query.scheme == CONFIG_SCHEME_TUNNEL;
    snprintf(detail, detail_size, "%s%s%.100s:%u: %s", tunnel ? "CONNECT" : http_scheme_name(view->scheme),
             tunnel ? " " : "://", host, query.port, route_result_text(result));
    switch (result) {
    case ROUTE_OK: break;
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
    if (rules == BROKER_RULES_LITERAL || rules == BROKER_RULES_OPERATOR)
        return true;
    ASSERT(rules <= b->routes->count);
    return policy_address_allowed(&b->routes->all[rules - 1], host, address);
}

void broker_node_name(const struct broker_worker *bw, const struct broker_route *route, const char *host,
                      char *ret_name, size_t size)
{
    char name[HOST_BYTES];
    size_t number = (size_t)(route - bw->broker->route_table);
    route_node_name(&bw->broker->routes->all[number], bw->credentials->nodes[number], host, name);
    snprintf(ret_name, size, "%s", name);
}

struct names {
    char **names;
    uint32_t count;
};

static bool match_name(const char *name, void *arg)
{
    const struct names *allowed = arg;
    return policy_client_allowed(allowed->names, allowed->count, name);
}

bool broker_client_has_name(const struct stream *tls, char **names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(names[i], "*") == 0)
            return true; /* whatever it is called, also if it has no name at all */
    return tls_peer_has_name(tls, match_name, &(struct names){names, count});
}

bool broker_client_allowed(const struct config_listener *config, const struct stream *tls)
{
    if (!config->tls || !config->tls->client_ca_file)
        return true; /* an agent, who shows a token later or proves nothing */
    return broker_client_has_name(tls, config->tls->allowed_names, config->tls->allowed_name_count);
}
