/* broker/broker.h — the broker as one object: configuration, workers, listeners; what main(), tests and
 * embedding programs hold.
 *
 *   broker_new()   builds workers, engines, TLS contexts and routes from a checked configuration; opens
 * nothing broker_open()  opens the listeners broker_run()   starts a thread per worker and returns when the
 * broker was told to end and has drained
 *
 * A simulation calls broker_turn() for the workers itself instead of broker_run().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/http/http1_parse.h"
#include "broker/route.h"
#include "io/ending.h"
#include "pool/pool.h"

struct agent_wish;
struct broker_worker;
struct callers;
struct config;
struct config_listener;
struct config_route;
struct credentials;
struct engine;
struct engine_probe;
struct front_listener;
struct head_view;
struct kube;
struct mailboxes;
struct net_peer;
struct reload;
struct stream;
struct worker;

/* endpoint_key.rules: 0 for an address that the route itself was asked about, else the route's number,
 * from 1. The API server is where the operator says it is. */
enum { BROKER_RULES_LITERAL = 0, BROKER_RULES_OPERATOR = INT32_MAX };

struct broker_options {
    struct config *config;    /* taken by broker_new(), also when it fails */
    uint32_t mailbox_entries; /* 0: 1024 */
    int (*engine_new)(struct worker *, void *arg,
                      struct engine **ret); /* NULL: the best engine of this machine */
    void *engine_arg;
};

struct broker_times {
    uint32_t client_tls_ms, client_idle_ms, head_ms, linger_ms, half_closed_ms, hold_ms, tunnel_idle_ms;
};

/* A route as the data path needs it. */
struct broker_route {
    const char *name;
    const struct config_route *config;
    uint32_t identity; /* towards the destination, for https (credentials.h); IDENTITY_NONE: the route has
                          none */
    uint32_t upgrade_identity;    /* for upgrades over https, likewise */
    const struct pool_path *path; /* NULL: directly */
    uint32_t lease_ms, first_byte_ms;
};

/* What a client may do and what it is counted as: found once for its connection. */
struct standing {
    struct route_set routes; /* open to it on this listener */
    uint32_t caller;         /* callers.h */
};

struct broker {
    struct config *config;
    struct broker_times times;
    struct http1_limits request_limits, connect_limits, response_limits;
    bool access_log;
    uint32_t own_uid;
    unsigned count; /* of workers */
    struct worker *workers;
    struct worker **peers;
    struct broker_worker *states;
    struct mailboxes *mail;
    struct routes *routes;
    struct callers *callers;
    struct kube *kube;                /* NULL: nothing is asked of the Kubernetes API */
    struct broker_route *route_table; /* same order as the configuration's */
    unsigned route_count;
    struct reload *reload;
    _Atomic(struct credentials *) credentials; /* the newest; workers adopt it between two turns */
    struct pool_path *paths; /* of routes that do not go directly alone; equal ones are one */
    struct agent_wish *wishes;
    unsigned path_count;
    char engine_text[300];
    char server_id[256]; /* to agents */
    _Atomic bool draining;
    _Atomic uint64_t agent_serials;  /* streams of agents that came */
    _Atomic uint32_t agent_dials;    /* not answered by the agents they went to */
    _Atomic unsigned fronts_drained; /* workers without clients and exchanges */
    _Atomic unsigned pools_drained;  /* and without connections to endpoints */
    _Atomic unsigned drained;        /* workers with nothing left */
};

MUST_USE int broker_new(const struct broker_options *, struct broker **ret, char *ret_detail,
                        size_t detail_size);
/* 0; -EINVAL or another -errno with one line in ret_detail. */
MUST_USE int broker_open(struct broker *, char *ret_detail, size_t detail_size);
MUST_USE int broker_run(struct broker *);
/* 0 after a clean drain, -errno when a thread could not be started. */
void broker_turn(struct broker *, unsigned worker, uint64_t wait_limit_ns);
/* One turn of one worker, drain included. On the worker's thread. */
void broker_drain_any_thread(struct broker *);
/* Stop accepting, finish what is under way, within drainMs; then broker_run() returns. Async-signal-safe. */
void broker_reload_any_thread(struct broker *);
/* Reads certificates, keys, CAs, tokens and node names again, now. Async-signal-safe. */
bool broker_is_drained_any_thread(const struct broker *);
void broker_free(struct broker **);
/* After broker_run(), or after all workers have drained. */

/* judge.c: who may ask for what */
void broker_standing(struct broker_worker *, const struct config_listener *, const struct net_peer *,
                     const struct stream *tls, struct standing *ret_standing);
/* For a client that may use the listener; tls NULL on a listener without it. On the worker's thread. */
enum ending broker_judge(const struct broker *, const struct standing *, const struct head_view *,
                         const struct broker_route **ret_route, char *detail, size_t detail_size);
/* ENDING_DONE: allowed, by *ret_route; else the detail says why not. CONNECT is asked of routes with the
 * scheme tunnel. */
bool broker_address_allowed(const struct net_address *, const char *host, uint32_t rules, void *broker);
/* For an address found by name resolution. */
void broker_node_name(const struct broker_worker *, const struct broker_route *, const char *host,
                      char *ret_name, size_t size);
/* Which node must answer for a destination: its name, "*" for any node of the cluster, or "" when not asked.
 */
bool broker_client_has_name(const struct stream *tls, char **names, uint32_t count);
/* Its certificate's common name or a DNS name matches one of the patterns (policy_client_name_matches()). */
bool broker_client_allowed(const struct config_listener *, const struct stream *tls);
