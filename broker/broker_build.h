/* broker/broker_build.h — a broker while it is built from its configuration, for the files that build it:
 * broker.c, broker_routes.c for what is behind the routes, broker_kube.c for the Kubernetes API. One thread,
 * before the workers start. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"

struct broker;
struct broker_worker;
struct transport;

/* What a TLS server of ours speaks, in the order we like it. */
#define SERVER_ALPN "h2,http/1.1"
/* To agents. */
#define AGENT_ALPN "h2"

struct builder {
    struct broker *broker;
    char *detail; /* one line of what is wrong */
    size_t detail_size;
};

int build_fail(struct builder *, int rc, const char *what);
/* Notes what failed and returns rc. */
MUST_USE int build_routes(struct builder *);
/* Routes and the identities towards destinations. 0 or -errno with detail, as the next. */
MUST_USE int build_agents(struct builder *, struct broker_worker *, uint32_t conns_max,
                          struct transport **ret_transport);
/* broker_agents.c: one worker's; *ret_transport stays NULL where no listener serves agents. */
void free_agents(struct broker_worker *);
MUST_USE int build_bridges(struct builder *);
/* What is minted where TLS ends; after the workers were made. */
MUST_USE int build_kube(struct builder *);
/* The Kubernetes API, if the configuration needs it; after the workers were made. */
