/* broker/route.h — which route a request takes: the first that matches; none is a refusal.
 *
 * Compiled from one configuration snapshot, which it borrows and which must outlive it. Immutable: any
 * thread. Loopback, link-local, metadata and multicast addresses match only a route that names them
 * (policy.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/cidr.h"
#include "broker/client.h"
#include "broker/config/config.h"
#include "broker/host_pattern.h"
#include "io/attributes.h"

struct config_nodes;

struct route {
    const struct config_route *config;
    uint32_t index;             /* in the configuration; the first is 0 */
    struct host_pattern *hosts; /* as many as in config->match, likewise below */
    struct cidr *cidrs;
    struct port_range *ports;
    struct client_pattern *clients;
};

/* By index. */
struct route_set {
    uint64_t bits[CONFIG_ROUTES_MAX / 64];
};

struct routes {
    uint32_t count;
    struct route *all;
};

struct route_query {
    const char *host; /* a name, or an IP literal without brackets */
    uint16_t port;
    enum config_scheme scheme;
    const struct route_set *open; /* to whoever asks; see routes_open_to() */
};

#define ROUTE_RESULTS(X)                                                                                     \
    X(OK, "allowed")                                                                                         \
    X(NONE, "no route matches")                                                                              \
    X(REFUSED, "a route refuses it")                                                                         \
    X(UNNAMED, "a loopback, link-local, metadata or multicast address that no route names")                  \
    X(BAD_HOST, "neither a host name nor an address")

enum route_result {
#define ROUTE_SYMBOL(symbol, text) ROUTE_##symbol,
    ROUTE_RESULTS(ROUTE_SYMBOL)
#undef ROUTE_SYMBOL
};

enum route_node_rule { ROUTE_NODE_NOT_ASKED, ROUTE_NODE_EXACT, ROUTE_NODE_ANY };

#define ROUTE_NODE_ANY_NAME "*" /* no node is called so */

MUST_USE int routes_new(const struct config *, struct routes **ret_routes);
/* 0 or -ENOMEM. */
void routes_free(struct routes **);

void routes_open_to(const struct routes *, const char *listener, const struct client *,
                    struct route_set *ret_set);
/* What match.listeners and match.clients say, once per connection: a request then tests one bit a route. */
MUST_USE enum route_result route_match(const struct routes *, const struct route_query *,
                                       const struct route **ret_route);
/* *ret_route is set with ROUTE_OK and ROUTE_REFUSED. */
const char *route_result_text(enum route_result);
enum route_node_rule route_node_name(const struct route *, const struct config_nodes *, const char *host,
                                     char ret_name[HOST_BYTES]);
/* Which node must answer. Asked when the profile has verifyKubeletName and the route is not insecure: the
 * name that the nodes have for it, which are those of this route in force, else the host itself if it is a
 * name, else any node ("*"). "" if not asked. */

bool route_names_address(const struct route *, const struct ip *);
/* By cidrs (policy_block_names) or as a literal among hosts. */
bool route_names_host(const struct route *, const struct host *);
/* Exactly, without a wildcard. */
