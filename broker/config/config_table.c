/* broker/config/config_table.c — every setting, one row each.
 *
 * A row says where the value lives in struct config, what it may be, what it is when absent, in which unit,
 * and where the number comes from. Nothing else in the tree repeats a setting's name, bounds or default;
 * whoever adds a setting adds a member in config.h and a row here, and runs the test that rewrites
 * docs/configuration.md. Rows stand in the order of the documentation; those of listeners, profiles and
 * routes in config_table_routes.c, of agents in config_table_agents.c.
 *
 * Sources: "RFC n" a standard; "kubelet", "kube-apiserver" what that program does; "plan" the deadlines and
 * limits of docs/architecture.md; "guess" a guess, to be replaced by a measurement. */
#include <assert.h>

#include "broker/config/config_rows.h"
#include "io/attributes.h"

/* libcyaml writes enumerations and counts by the size told here; config.h must keep to 32 bits. */
static_assert(sizeof(enum config_engine) == 4 && sizeof(enum config_action) == 4, "enums are 32 bits");
static_assert(SIZE_OF(config, listener_count) == 4 && SIZE_OF(config_match, host_count) == 4,
              "counts are 32 bits");

static const struct config_word api_versions[] = {
    {"hawser.dev/v1alpha1", 1},
    {NULL,                  0}
};
static const struct config_word kinds[] = {
    {"BrokerConfiguration", 1},
    {NULL,                  0}
};
static const struct config_word engines[] = {
    {"auto",  CONFIG_ENGINE_AUTO },
    {"uring", CONFIG_ENGINE_URING},
    {NULL,    0                  }
};
static const struct config_word log_formats[] = {
    {"keyvalue", CONFIG_LOG_KEYVALUE},
    {"json",     CONFIG_LOG_JSON    },
    {NULL,       0                  }
};
static const struct config_word log_levels[] = {
    {"error", CONFIG_LOG_ERROR},
    {"warn",  CONFIG_LOG_WARN },
    {"info",  CONFIG_LOG_INFO },
    {"debug", CONFIG_LOG_DEBUG},
    {NULL,    0               }
};

static const struct config_row breaker_rows[] = {
    ROW(UINT(config_breaker, failures, "failures"), .min = 1, .max = 1000, .value = 5, .unit = "in a row",
        .help = "Failed dials until an endpoint is left alone.",
        .source = "guess; two is a flap, ten is a minute of timeouts"),
    ROW(UINT(config_breaker, backoff_min_ms, "backoffMinMs"), .min = 10, .max = 3600000, .value = 500,
        .unit = "ms", .help = "First pause, jittered; doubles with every failed probe.", .source = "guess"),
    ROW(UINT(config_breaker, backoff_max_ms, "backoffMaxMs"), .min = 10, .max = 3600000, .value = 30000,
        .unit = "ms", .help = "Longest pause.",
        .source = "guess; a node that is back is used again within half a minute"),
    END,
};

static const struct config_row pool_rows[] = {
    ROW(UINT(config_pool, connections_per_endpoint_max, "connectionsPerEndpointMax"), .min = 1, .max = 4096,
        .value = 16, .unit = "connections", .help = "Connections to one endpoint, idle and in use.",
        .source = "plan"),
    ROW(UINT(config_pool, waiters_per_endpoint_max, "waitersPerEndpointMax"), .max = 65536, .value = 128,
        .unit = "requests",
        .help = "Requests that may wait for a connection to one endpoint; the next is refused with 503.",
        .source = "plan"),
    ROW(UINT(config_pool, wait_timeout_ms, "waitTimeoutMs"), .min = 1, .max = 600000, .value = 2000,
        .unit = "ms", .help = "How long a request waits for a connection.", .source = "plan"),
    ROW(UINT(config_pool, idle_timeout_ms, "idleTimeoutMs"), .min = 100, .max = 3600000, .value = 80000,
        .unit = "ms", .help = "An idle connection is lent up to this age since its last use.",
        .source = "a kubelet closes at 90 s"),
    ROW(UINT(config_pool, age_max_ms, "ageMaxMs"), .min = 1000, .max = 86400000, .value = 1800000,
        .unit = "ms", .help = "A connection is retired at this age.",
        .source = "plan; lets certificates and DNS changes arrive"),
    ROW(UINT(config_pool, age_jitter_percent, "ageJitterPercent"), .max = 50, .value = 10, .unit = "percent",
        .help = "ageMaxMs varies by this much either way, so that connections do not all end at once.",
        .source = "plan"),
    ROW(UINT(config_pool, endpoints_max, "endpointsMax"), .min = 1, .max = 1000000, .value = 20000,
        .unit = "endpoints", .restart = true, .help = "Endpoints known at a time.",
        .source = "15,000 nodes and some air"),
    ROW(UINT(config_pool, dials_in_flight_max, "handshakesInFlightMax"), .min = 1, .max = 65536, .value = 256,
        .unit = "per worker",
        .help = "Connects and TLS handshakes under way. What agents dial is counted by "
                "agents.pendingDialsMax instead.",
        .source = "guess; a quarter of a second of one core's signatures"),
    ROW(UINT(config_pool, tickets_per_endpoint_max, "ticketsPerEndpointMax"), .max = 64, .value = 4,
        .unit = "tickets",
        .help = "Session tickets kept for an endpoint, the newest first; each is used once.",
        .source = "Go's server sends one a connection, OpenSSL's two"),
    ROW(UINT(config_pool, warm_spares, "warmSpares"), .max = 2, .value = 0, .unit = "connections",
        .help = "Connected sockets kept ready for tunnels to each recently used endpoint.",
        .source = "none: a node sees connections nobody asked for"),
    ROW(MAPPING(config_pool, breaker, "breaker", breaker_rows),
        .help = "When an endpoint that fails is left alone."),
    END,
};

static const struct config_row limit_rows[] = {
    ROW(UINT(config_limits, head_bytes_max, "headBytesMax"), .min = 1024, .max = 1048576, .value = 65536,
        .unit = "bytes", .help = "Request line and fields of a request.", .source = "plan"),
    ROW(UINT(config_limits, connect_head_bytes_max, "connectHeadBytesMax"), .min = 512, .max = 1048576,
        .value = 8192, .unit = "bytes", .help = "The same for CONNECT.", .source = "plan"),
    ROW(UINT(config_limits, response_head_bytes_max, "responseHeadBytesMax"), .min = 1024, .max = 4194304,
        .value = 262144, .unit = "bytes", .help = "Status line and fields of a response.", .source = "plan"),
    ROW(UINT(config_limits, fields_max, "fieldsMax"), .min = 16, .max = 4096, .value = 256, .unit = "fields",
        .help = "Fields of a head.", .source = "plan"),
    ROW(UINT(config_limits, head_timeout_ms, "headTimeoutMs"), .min = 100, .max = 600000, .value = 5000,
        .unit = "ms", .help = "From a request's first byte to the end of its head.",
        .source = "plan; slow loris"),
    ROW(UINT(config_limits, client_idle_timeout_ms, "clientIdleTimeoutMs"), .min = 100, .max = 86400000,
        .value = 120000, .unit = "ms", .help = "A client's connection without a request is closed.",
        .source = "Go clients close theirs at 90 s, and should be first"),
    ROW(UINT(config_limits, connections_max, "connectionsMax"), .max = 1048576, .value = 0,
        .unit = "connections", .text = "0 (half of the descriptor limit)",
        .help = "Client connections of the process.", .source = "plan"),
    ROW(UINT(config_limits, requests_in_flight_max, "requestsInFlightMax"), .min = 1, .max = 1048576,
        .value = 16384, .unit = "requests",
        .help = "Requests under way in the process; the next is refused with 503.",
        .source = "guess; a log stream of every node of a large cluster"),
    ROW(UINT(config_limits, tunnels_max, "tunnelsMax"), .min = 1, .max = 1048576, .value = 65536,
        .unit = "tunnels",
        .help = "Tunnels open in the process, upgrades included; the next is refused with 503.",
        .source = "guess; two descriptors each of the 131,072 that are asked for at start"),
    ROW(UINT(config_limits, body_buffer_bytes, "bodyBufferBytes"), .min = 16384, .max = 16777216,
        .value = 262144, .unit = "bytes", .help = "Bytes held for one direction of an exchange or tunnel.",
        .source = "plan"),
    ROW(UINT(config_limits, memory_bytes_max, "memoryBytesMax"), .max = UINT64_C(1) << 50, .value = 0,
        .unit = "bytes", .text = "0 (from the memory found at start)", .restart = true,
        .help = "Memory for connections and buffers.", .source = "plan"),
    END,
};

static const struct config_row timeout_rows[] = {
    ROW(UINT(config_timeouts, resolve_ms, "resolveMs"), .min = 1, .max = 600000, .value = 2000, .unit = "ms",
        .help = "Name resolution.", .source = "plan; CONNECT is answered in under 10 s"),
    ROW(UINT(config_timeouts, connect_ms, "connectMs"), .min = 1, .max = 600000, .value = 3000, .unit = "ms",
        .help = "TCP connect.", .source = "plan; SYNs are repeated at 1 s and 3 s"),
    ROW(UINT(config_timeouts, tls_ms, "tlsMs"), .min = 1, .max = 600000, .value = 5000, .unit = "ms",
        .help = "TLS handshake.", .source = "plan"),
    ROW(UINT(config_timeouts, dial_ms, "dialMs"), .min = 1, .max = 600000, .value = 8000, .unit = "ms",
        .help = "Resolution, connect and handshake together.",
        .source = "plan; CONNECT is answered in under 10 s"),
    ROW(UINT(config_timeouts, first_byte_ms, "firstByteMs"), .max = 86400000, .value = 60000, .unit = "ms",
        .help = "From the request's end to the response's first byte; 0: no limit.", .source = "plan"),
    ROW(UINT(config_timeouts, drain_ms, "drainMs"), .max = 86400000, .value = 30000, .unit = "ms",
        .help = "From the request to stop until what is left is cut.",
        .source = "plan; a Pod's default grace period"),
    ROW(UINT(config_timeouts, keepalive_ms, "keepaliveMs"), .min = 1000, .max = 3600000, .value = 15000,
        .unit = "ms", .help = "TCP keepalive on client and upstream connections.",
        .source = "plan; Go's default"),
    ROW(UINT(config_timeouts, tcp_user_timeout_ms, "tcpUserTimeoutMs"), .max = 3600000, .value = 30000,
        .unit = "ms",
        .help = "A connection whose sent bytes are not acknowledged for so long is lost; 0: the kernel's 15 "
                "minutes. A reader that takes nothing but answers is waited for.",
        .source = "plan"),
    ROW(UINT(config_timeouts, tunnel_answer_ms, "tunnelAnswerMs"), .min = 100, .max = 9500, .value = 5000,
        .unit = "ms", .help = "From CONNECT to its answer, whatever the dial does; then 504.",
        .source = "kube-apiserver waits for the answer without a limit; it must come in under 10 s"),
    ROW(UINT(config_timeouts, tunnel_idle_ms, "tunnelIdleMs"), .max = 604800000, .value = 0, .unit = "ms",
        .help = "A tunnel without a byte either way is closed; 0: no limit.",
        .source = "exec sessions are silent for hours; TCP keepalive finds the dead ones"),
    ROW(UINT(config_timeouts, tunnel_speak_first_ms, "tunnelSpeakFirstMs"), .max = 1000, .value = 5,
        .unit = "ms",
        .help = "A destination's first bytes are held back so long behind the 200, unless the client speaks "
                "before.",
        .source = "kube-apiserver drops a tunnel whose bytes come with the 200; a scheduling delay and some"),
    END,
};

static const struct config_row http2_rows[] = {
    ROW(UINT(config_http2, streams_max, "streamsMax"), .min = 1, .max = 1000, .value = 250, .unit = "streams",
        .help = "Requests and tunnels at a time on one client connection.", .source = "Go's server"),
    ROW(UINT(config_http2, ping_ms, "pingMs"), .min = 1000, .max = 3600000, .value = 30000, .unit = "ms",
        .help = "An upstream connection on which nothing came for so long is asked by PING.",
        .source = "kube-apiserver's ReadIdleTimeout"),
    ROW(UINT(config_http2, ping_timeout_ms, "pingTimeoutMs"), .min = 100, .max = 600000, .value = 15000,
        .unit = "ms", .help = "Without an answer to it for so long the connection is lost.",
        .source = "kube-apiserver's PingTimeout"),
    END,
};

static const struct config_row admin_rows[] = {
    ROW(STRING(config_admin, address, "address"), .form = FORM_ADDRESS, .text = "127.0.0.1", .restart = true,
        .help = "Address of the admin listener, which asks nobody for a name: keep it on loopback."),
    ROW(UINT(config_admin, port, "port"), .max = 65535, .value = 8134, .restart = true,
        .help = "Its port; 0: no admin listener.",
        .source = "Konnectivity's health port in Kubernetes' example"),
    END,
};

static const struct config_row health_rows[] = {
    ROW(STRING(config_admin, address, "address"), .form = FORM_ADDRESS, .text = "127.0.0.1", .restart = true,
        .help = "Address of a listener for probes, which asks nobody for a name."),
    ROW(UINT(config_admin, port, "port"), .max = 65535, .value = 0, .restart = true,
        .help = "Its port; 0: there is none, the admin listener answers probes too."),
    END,
};

static const struct config_row log_rows[] = {
    ROW(ENUM(config_log, format, "format", log_formats), .value = CONFIG_LOG_KEYVALUE,
        .help = "Form of the lines."),
    ROW(ENUM(config_log, level, "level", log_levels), .value = CONFIG_LOG_INFO,
        .help = "Least grave level that is written."),
    ROW(BOOL(config_log, access_log, "accessLog"), .value = 1,
        .help = "One line for every request and tunnel."),
    ROW(STRING(config_log, file, "file"), .form = FORM_LOG_FILE, .text = "stderr", .restart = true,
        .help = "stderr, or a file that is appended to."),
    ROW(STRING(config_log, audit_file, "auditFile"), .form = FORM_LOG_FILE, .restart = true,
        .help =
            "Where one line for every tunnel, upgrade and refused request goes: stderr, or a file that is "
            "made with mode 0600 and appended to; absent: nowhere."),
    END,
};

const struct config_row config_rows[] = {
    ROW(ENUM(config, api_version, "apiVersion", api_versions), .required = true,
        .help = "Version of this format."),
    ROW(ENUM(config, kind, "kind", kinds), .required = true, .help = "What the file is."),
    ROW(UINT(config, workers, "workers"), .max = CONFIG_WORKERS_MAX, .value = 0,
        .text = "0 (number of CPUs the process may use, at most 64)", .unit = "threads", .restart = true,
        .help = "Worker threads, each with a core and a ring of its own."),
    ROW(UINT(config, reload_ms, "reloadMs"), .max = 86400000, .value = 5000, .unit = "ms", .restart = true,
        .help = "How often certificates, keys, CAs, tokens, kubeconfigs and lists of nodes are looked at for "
                "changes; 0: only on SIGHUP.",
        .source = "a Secret reaches its volume in about a minute; a look is a stat() of each file"),
    ROW(ENUM(config, engine, "engine", engines), .value = CONFIG_ENGINE_AUTO, .restart = true,
        .help = "How bytes move; auto takes the best that works here."),
    ROW(SEQUENCE(config, listeners, listener_count, "listeners", CONFIG_MAPPING),
        .rows = config_listener_rows, .min = 1, .max = 64, .required = true,
        .help = "Where clients, above all kube-apiserver, come in."),
    ROW(SEQUENCE(config, tls_profiles, tls_profile_count, "tlsProfiles", CONFIG_MAPPING),
        .rows = config_tls_profile_rows, .max = 64,
        .help = "Who upstreams must prove to be, and who the broker is to them."),
    ROW(SEQUENCE(config, routes, route_count, "routes", CONFIG_MAPPING), .rows = config_route_rows, .min = 1,
        .max = CONFIG_ROUTES_MAX, .required = true,
        .help = "Where requests may go; the first that matches decides."),
    ROW(MAPPING(config, pool, "pool", pool_rows), .help = "Upstream connections."),
    ROW(MAPPING(config, limits, "limits", limit_rows), .help = "What clients and upstreams may cost."),
    ROW(MAPPING(config, timeouts, "timeouts", timeout_rows), .help = "Deadlines."),
    ROW(MAPPING(config, http2, "http2", http2_rows), .help = "HTTP/2 towards clients and upstreams."),
    ROW(MAPPING(config, agents, "agents", config_agents_rows),
        .help = "Konnectivity's agents, which come in on listeners with `serves: agents`."),
    ROW(MAPPING(config, kubernetes, "kubernetes", config_kubernetes_rows),
        .help = "The Kubernetes API, for agents.tokenReview and agents.leases."),
    ROW(MAPPING(config, admin, "admin", admin_rows), .help = "Health, metrics and status."),
    ROW(MAPPING(config, health, "health", health_rows),
        .help = "Health and metrics alone, for probes from elsewhere."),
    ROW(MAPPING(config, log, "log", log_rows), .help = "Logs."),
    END,
};

const char *config_word_text(const struct config_word *words, uint32_t value)
{
    while (words->text && words->value != value)
        words++;
    ASSERT(words->text);
    return words->text;
}
