/* broker/front_bridge.h — a client connection whose TLS, inside a tunnel, ends here. Owner worker only.
 * Internal to broker/. */
#pragma once

#include <stdbool.h>

#include "pool/pool.h"

struct broker_route;
struct exchange;
struct front_conn;
struct tls_context;

struct front_bridge {
    const struct broker_route *route;
    struct tls_context *context; /* minted for the destination; NULL once TLS has begun */
    const char *protocol;        /* of the CONNECT */
    struct endpoint_key
        key; /* where the CONNECT went, and so its requests; the profile is a request's own, NULL here */
};

void front_bridge_tunnel(struct exchange *, const struct broker_route *, const struct endpoint_key *);
/* Opens a CONNECT of a shared connection to a bridge, or refuses it. */
void front_bridge_connect(struct front_conn *, const struct broker_route *, const struct endpoint_key *);
/* Answers the connection's CONNECT exchange with 200, or refuses it. */
bool front_bridge_is_due(const struct front_conn *);
/* The 200 is with the kernel: front_bridge_start() comes next. */
void front_bridge_start(struct front_conn *);
bool front_bridge_client_allowed(const struct front_conn *);
/* After the handshake inside: does the client's certificate have an allowed name? */
void front_bridge_drop(struct front_conn *);
/* Once the connection is over. */
