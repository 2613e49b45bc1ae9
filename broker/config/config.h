/* broker/config/config.h — the broker's configuration: one YAML file, checked whole, then never changed.
 *
 * A struct config is an immutable snapshot: a reload makes another one, readers keep a pointer to theirs. All
 * it points to is its own and goes with config_free(). Strings are NULL when optional and absent. Every
 * setting is a row in config_table.c, where its bounds, default and reason stand. Loading: any thread, no
 * socket is opened. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "io/attributes.h"

enum {
    CONFIG_FILE_BYTES_MAX = 1024 * 1024, /* 15,000 inline node names are about 900 KiB */
    CONFIG_ERROR_MAX = 1024,
    CONFIG_WARNINGS_MAX = 64,
    CONFIG_ROUTES_MAX = 1024,
    CONFIG_WORKERS_MAX = 64,      /* as io/worker.h has it */
    CONFIG_NAME_MAX = 63,         /* of a listener, profile or route: an RFC 1123 label */
    CONFIG_ID_UNSET = 0xffffffff, /* owner or group not given: leave as the kernel made it */
};

enum config_engine { CONFIG_ENGINE_AUTO, CONFIG_ENGINE_URING };
enum config_action { CONFIG_ALLOW, CONFIG_REFUSE };
enum config_scheme { /* bits of a set */
                     CONFIG_SCHEME_HTTP = 1,
                     CONFIG_SCHEME_HTTPS = 2,
                     CONFIG_SCHEME_TUNNEL = 4, /* CONNECT */
};
enum config_serves { CONFIG_SERVES_REQUESTS, CONFIG_SERVES_AGENTS };
enum config_via { CONFIG_VIA_DIRECT, CONFIG_VIA_AGENT, CONFIG_VIAS };
enum config_strategy {
    CONFIG_STRATEGY_DEFAULT,
    CONFIG_STRATEGY_DEST_HOST,
    CONFIG_STRATEGY_DEFAULT_ROUTE,
    CONFIG_STRATEGIES,
};
enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };
enum config_alpn { CONFIG_ALPN_HTTP1, CONFIG_ALPN_H2, CONFIG_ALPN_NONE };
enum config_log_format { CONFIG_LOG_KEYVALUE, CONFIG_LOG_JSON };
enum config_log_level { CONFIG_LOG_ERROR, CONFIG_LOG_WARN, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };

struct config_unix {
    char *path;
    char *mode; /* as written; mode_bits is its value */
    char *owner, *group;
    uint32_t *allowed_uids, *allowed_gids; /* both empty: root and the broker's own user */
    uint32_t allowed_uid_count, allowed_gid_count;
    uint32_t mode_bits;
    uint32_t owner_uid, group_gid; /* resolved, or CONFIG_ID_UNSET */
    bool any_peer;                 /* whoever the mode lets connect */
};

struct config_tcp {
    char *address; /* IP literal, or "*" */
    uint32_t port;
};

/* Clients with requests always prove themselves by a certificate; agents may do so otherwise. */
struct config_listener_tls {
    char *certificate_file, *key_file;
    char *client_ca_file; /* NULL: none is asked for */
    bool key_group_readable, key_world_readable;
    char **allowed_names; /* with client_ca_file; "*": any certificate of it */
    uint32_t allowed_name_count;
    enum config_tls_version min_version;
    uint32_t cipher_suites; /* set of enum tls_suite */
};

/* Exactly one of `socket` and `tcp` is set; tcp has tls unless insecure; agents come by tcp with tls. */
struct config_listener {
    char *name;
    struct config_unix *socket; /* "unix" in the file; the compiler keeps that word */
    struct config_tcp *tcp;
    struct config_listener_tls *tls;
    enum config_serves serves;
    bool insecure; /* loopback TCP without TLS: log it */
};

struct config_tls_profile {
    char *name;
    char *ca_file;
    char *client_certificate_file, *client_key_file; /* both or neither */
    bool key_group_readable;
    char *bearer_token_file; /* not with a client certificate */
    bool verify_kubelet_name;
    char *server_name;
    enum config_tls_version min_version;
    enum config_alpn alpn;
    bool resumption;
};

struct config_node_name {
    char *address; /* IP literal or host name */
    char *name;
};

struct config_match {
    char **hosts, **cidrs, **ports, **listeners, **clients;
    uint32_t host_count, cidr_count, port_count, listener_count, client_count;
    uint32_t schemes; /* set of enum config_scheme */
};

/* After loading these are the values in force, inherited ones filled in. 0: no limit. */
struct config_route_timeouts {
    uint32_t connect_ms, tls_ms, first_byte_ms, queue_ms;
};

/* TLS inside a tunnel is ended here, with certificates minted by this issuer. */
struct config_bridge {
    char *issuer_certificate_file, *issuer_key_file, *client_ca_file;
    bool key_group_readable;
    char **allowed_names;
    uint32_t allowed_name_count;
    uint32_t certificate_life_ms;
    enum config_tls_version min_version;
};

struct config_route {
    char *name;
    struct config_match match;
    enum config_action action;
    char *tls_profile;
    bool insecure; /* the profile's verification is off on this route: log it, count it */
    struct config_node_name *node_names;
    uint32_t node_name_count;
    char *node_name_file;
    enum config_via *via; /* each once; filled in when absent */
    uint32_t via_count;
    enum config_strategy *strategies; /* each once; filled in when via has an agent, else none */
    uint32_t strategy_count;
    struct config_bridge *bridge; /* NULL: tunnels are opaque */
    struct config_route_timeouts timeouts;
    const struct config_tls_profile *profile; /* tls_profile resolved; NULL when none is named */
    struct config_nodes *nodes; /* what node_names and node_name_file said when it was checked */
};

struct config_breaker {
    uint32_t failures, backoff_min_ms, backoff_max_ms;
};

struct config_pool {
    uint32_t connections_per_endpoint_max, waiters_per_endpoint_max;
    uint32_t wait_timeout_ms, idle_timeout_ms, age_max_ms, age_jitter_percent;
    uint32_t endpoints_max, dials_in_flight_max, tickets_per_endpoint_max;
    uint32_t warm_spares;
    struct config_breaker breaker;
};

struct config_limits {
    uint32_t head_bytes_max, connect_head_bytes_max, response_head_bytes_max, fields_max;
    uint32_t head_timeout_ms, client_idle_timeout_ms;
    uint32_t connections_max, requests_in_flight_max,
        tunnels_max; /* connections 0: from the descriptor limit */
    uint32_t body_buffer_bytes;
    uint64_t memory_bytes_max; /* 0: from the memory found at start */
};

struct config_timeouts {
    uint32_t resolve_ms, connect_ms, tls_ms, dial_ms, first_byte_ms, drain_ms;
    uint32_t keepalive_ms, tcp_user_timeout_ms;
    uint32_t tunnel_answer_ms, tunnel_idle_ms, tunnel_speak_first_ms; /* idle 0: no limit */
};

struct config_http2 {
    uint32_t streams_max, ping_ms, ping_timeout_ms;
};

struct config_token_review {
    char *audience, *namespace, *service_account;
};

struct config_leases {
    char *namespace, *label;
};

/* Konnectivity's agents. */
struct config_agents {
    char *server_id; /* NULL: a random one is made at start */
    uint32_t server_count;
    enum config_strategy *strategies; /* each once; filled in when absent */
    uint32_t strategy_count;
    uint32_t dial_ms, pending_dials_max, connection_bytes_max, patience_ms;
    uint32_t keepalive_ms, keepalive_timeout_ms;
    struct config_token_review *token_review; /* NULL: no token is asked for */
    struct config_leases *leases;             /* NULL: none is kept */
    bool anonymous;                           /* agents that prove nothing are let in: log it */
};

struct config_kubernetes {
    char *kubeconfig_file; /* NULL: as a Pod */
    uint32_t qps, burst;
};

/* Of the admin listener, and of the one for health and metrics alone. */
struct config_admin {
    char *address;
    uint32_t port; /* 0: no such listener */
};

struct config_log {
    enum config_log_format format;
    enum config_log_level level;
    bool access_log;
    char *file;       /* "stderr" or a path */
    char *audit_file; /* likewise, or NULL: no audit lines */
};

struct config {
    uint32_t api_version, kind; /* one value each so far */
    uint32_t workers;           /* resolved: at least 1 */
    uint32_t reload_ms;         /* 0: certificates and tokens are read again on SIGHUP only */
    enum config_engine engine;
    struct config_listener *listeners;
    struct config_tls_profile *tls_profiles;
    struct config_route *routes;
    uint32_t listener_count, tls_profile_count, route_count;
    struct config_pool pool;
    struct config_limits limits;
    struct config_timeouts timeouts;
    struct config_http2 http2;
    struct config_agents agents;
    struct config_kubernetes kubernetes;
    struct config_admin admin, health;
    struct config_log log;

    char *file; /* name it was loaded under */
    char *warnings[CONFIG_WARNINGS_MAX];
    uint32_t warning_count;
};

/* One line: FILE:LINE:COLUMN: FIELD.PATH[INDEX].NAME: found X, expected Y. */
struct config_error {
    uint32_t line, column; /* from 1 */
    char text[CONFIG_ERROR_MAX];
};

enum config_flags {
    CONFIG_DEFAULT = 0,
    CONFIG_SKIP_FILES =
        1, /* look at no file but the configuration itself, resolve no user: for examples, fuzzing */
};

enum config_result { CONFIG_OK = 0, CONFIG_INVALID };

MUST_USE int config_load(const char *path, unsigned flags, struct config **ret_config,
                         struct config_error *ret_error);
/* CONFIG_OK, CONFIG_INVALID with one line in *ret_error (also for an unreadable file), or -ENOMEM. */
MUST_USE int config_load_buffer(const char *name, const void *bytes, size_t len, unsigned flags,
                                struct config **ret_config, struct config_error *ret_error);
/* The same from memory; `name` stands in for the file name. */
void config_free(struct config **);
/* Takes *config, nulls it. NULL is welcome. */

const struct config_tls_profile *config_profile(const struct config *, const char *name);
/* NULL when there is none of that name. */
bool config_route_goes_via(const struct config_route *, enum config_via);
bool config_asks_kubernetes(const struct config *);
/* Something needs the API, and so credentials for it. */
bool config_admits_anonymous_agents(const struct config *, const struct config_listener *);
/* It serves agents, and they prove nothing. */
const char *config_alpn_text(enum config_alpn);
/* What to offer in ALPN; NULL for nothing. */

void config_print_summary(const struct config *, FILE *);
/* A few lines for people: listeners, profiles, routes, what is insecure, warnings. */
void config_dump(const struct config *, FILE *);
/* The values in force as YAML that loads again. File names only, never their contents. */
void config_print_text(const char *text, FILE *);
/* In double quotes and with escapes, which is right for any text in YAML. */
void config_print_docs(FILE *);
/* docs/configuration.md, from the table of settings. */
