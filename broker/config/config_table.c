/* broker/config/config_table.c — every setting, one row each.
 *
 * A row says where the value lives in struct config, what it may be, what it is when absent, in which unit,
 * and where the number comes from. Nothing else in the tree repeats a setting's name, bounds or default;
 * whoever adds a setting adds a member in config.h and a row here, and runs the test that rewrites
 * docs/configuration.md. Rows stand in the order of the documentation.
 *
 * Sources: "RFC n" a standard; "kubelet", "kube-apiserver" what that program does; "plan" the deadlines and
 * limits of docs/architecture.md; "guess" a guess, to be replaced by a measurement. */
#include "broker/config/config_table.h"

#include <assert.h>

#include "broker/config/config.h"
#include "io/attributes.h"

#define SIZE_OF(s, m)   sizeof(((struct s *)NULL)->m)
#define TARGET_OF(s, m) sizeof(*((struct s *)NULL)->m)
/* Rows in a macro's brackets: clang-format 14 crashes on arrays of uneven braces. */
#define ROW(...)                                                                                             \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }
#define END ROW(.name = NULL)

#define UINT(s, m, key)                                                                                      \
    .name = key, .type = CONFIG_UINT, .offset = offsetof(struct s, m), .size = SIZE_OF(s, m)
#define BOOL(s, m, key)                                                                                      \
    .name = key, .type = CONFIG_BOOL, .offset = offsetof(struct s, m), .size = SIZE_OF(s, m), .max = 1
#define STRING(s, m, key)                                                                                    \
    .name = key, .type = CONFIG_STRING, .offset = offsetof(struct s, m), .size = 1, .min = 1, .max = 4096
#define ENUM(s, m, key, list)                                                                                \
    .name = key, .type = CONFIG_ENUM, .offset = offsetof(struct s, m), .size = SIZE_OF(s, m), .words = list
#define SET(s, m, key, list)                                                                                 \
    .name = key, .type = CONFIG_SET, .offset = offsetof(struct s, m), .size = SIZE_OF(s, m), .words = list
#define MAPPING(s, m, key, fields)                                                                           \
    .name = key, .type = CONFIG_MAPPING, .offset = offsetof(struct s, m), .size = SIZE_OF(s, m),             \
    .rows = fields
#define OPTIONAL(s, m, key, fields)                                                                          \
    .name = key, .type = CONFIG_OPTIONAL, .offset = offsetof(struct s, m), .size = TARGET_OF(s, m),          \
    .rows = fields
#define SEQUENCE(s, m, n, key, of)                                                                           \
    .name = key, .type = CONFIG_SEQUENCE, .entry = of, .offset = offsetof(struct s, m),                      \
    .size = TARGET_OF(s, m), .count_offset = offsetof(struct s, n)

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
static const struct config_word actions[] = {
    {"allow",  CONFIG_ALLOW },
    {"refuse", CONFIG_REFUSE},
    {NULL,     0            }
};
static const struct config_word schemes[] = {
    {"http",   CONFIG_SCHEME_HTTP  },
    {"https",  CONFIG_SCHEME_HTTPS },
    {"tunnel", CONFIG_SCHEME_TUNNEL},
    {NULL,     0                   }
};
static const struct config_word tls_versions[] = {
    {"1.2", CONFIG_TLS_1_2},
    {"1.3", CONFIG_TLS_1_3},
    {NULL,  0             }
};
static const struct config_word alpns[] = {
    {"http/1.1", CONFIG_ALPN_HTTP1},
    {"h2",       CONFIG_ALPN_H2   },
    {"none",     CONFIG_ALPN_NONE },
    {NULL,       0                }
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

static const struct config_row unix_rows[] = {
    ROW(STRING(config_unix, path, "path"), .form = FORM_SOCKET_PATH, .required = true, .restart = true,
        .help = "Where the socket is made. A stale socket at that place is replaced, any other file is not."),
    ROW(STRING(config_unix, mode, "mode"), .form = FORM_MODE, .text = "0600", .restart = true,
        .help = "Permissions of the socket. Who may connect needs write permission.",
        .source = "least privilege; kube-apiserver runs as root beside it"),
    ROW(STRING(config_unix, owner, "owner"), .form = FORM_ACCOUNT, .restart = true,
        .help = "User who shall own the socket; absent: whoever runs the broker."),
    ROW(STRING(config_unix, group, "group"), .form = FORM_ACCOUNT, .restart = true,
        .help = "Group that shall own the socket; absent: that of whoever runs the broker."),
    ROW(SEQUENCE(config_unix, allowed_uids, allowed_uid_count, "allowedUids", CONFIG_UINT), .max = 256,
        .help = "User ids that may connect (the kernel's word for the peer). With allowedGids absent or "
                "empty too: root and the broker's own user."),
    ROW(SEQUENCE(config_unix, allowed_gids, allowed_gid_count, "allowedGids", CONFIG_UINT), .max = 256,
        .help = "Group ids that may connect; either list suffices."),
    END,
};

static const struct config_row tcp_rows[] = {
    ROW(STRING(config_tcp, address, "address"), .form = FORM_ADDRESS, .required = true, .restart = true,
        .help = "Address to listen on."),
    ROW(UINT(config_tcp, port, "port"), .min = 1, .max = 65535, .required = true, .restart = true,
        .help = "Port to listen on."),
    END,
};

static const struct config_row listener_tls_rows[] = {
    ROW(STRING(config_listener_tls, certificate_file, "certificateFile"), .form = FORM_FILE, .required = true,
        .help = "Server certificate and its chain, PEM, leaf first."),
    ROW(STRING(config_listener_tls, key_file, "keyFile"), .form = FORM_FILE, .required = true,
        .help = "Its private key, PEM, without passphrase; may be the same file. Refused when everybody can "
                "read it."),
    ROW(BOOL(config_listener_tls, key_group_readable, "keyGroupReadable"),
        .help = "The group is meant to read keyFile: do not warn about it."),
    ROW(STRING(config_listener_tls, client_ca_file, "clientCaFile"), .form = FORM_FILE, .required = true,
        .help = "CA certificates that client certificates must chain to. A client without a certificate is "
                "refused."),
    ROW(SEQUENCE(config_listener_tls, allowed_names, allowed_name_count, "allowedNames", CONFIG_STRING),
        .form = FORM_CLIENT_NAME, .min = 1, .max = 256, .required = true,
        .help = "Clients that may use the listener, by the common name or a DNS name of their certificate. "
                "'*.domain' stands for one label before the domain."),
    ROW(ENUM(config_listener_tls, min_version, "minVersion", tls_versions), .value = CONFIG_TLS_1_2,
        .help = "Oldest TLS version accepted.", .source = "kube-apiserver's own default"),
    END,
};

static const struct config_row listener_rows[] = {
    ROW(STRING(config_listener, name, "name"), .form = FORM_NAME, .required = true, .restart = true,
        .help = "Name in logs, metrics and routes; no two alike."),
    ROW(OPTIONAL(config_listener, socket, "unix", unix_rows), .restart = true,
        .help = "Listen on a Unix socket. Either this or tcp."),
    ROW(OPTIONAL(config_listener, tcp, "tcp", tcp_rows), .restart = true,
        .help = "Listen on TCP. Needs tls, unless insecure."),
    ROW(OPTIONAL(config_listener, tls, "tls", listener_tls_rows), .help = "Mutual TLS towards clients."),
    ROW(BOOL(config_listener, insecure, "insecure"), .restart = true,
        .help = "TCP on a loopback address without TLS: every process of the machine may use it. Logged at "
                "start."),
    END,
};

static const struct config_row tls_profile_rows[] = {
    ROW(STRING(config_tls_profile, name, "name"), .form = FORM_NAME, .required = true,
        .help = "Name that routes use; no two alike."),
    ROW(STRING(config_tls_profile, ca_file, "caFile"), .form = FORM_FILE,
        .help = "CA certificates that upstream certificates must chain to. Required unless every https route "
                "with this profile is insecure. The system's roots are never used."),
    ROW(STRING(config_tls_profile, client_certificate_file, "clientCertificateFile"), .form = FORM_FILE,
        .help = "Client certificate and its chain shown upstream, PEM, leaf first. With clientKeyFile."),
    ROW(STRING(config_tls_profile, client_key_file, "clientKeyFile"), .form = FORM_FILE,
        .help = "Its private key, PEM, without passphrase; may be the same file. Refused when everybody can "
                "read it."),
    ROW(BOOL(config_tls_profile, key_group_readable, "keyGroupReadable"),
        .help = "The group is meant to read clientKeyFile or bearerTokenFile: do not warn about it."),
    ROW(STRING(config_tls_profile, bearer_token_file, "bearerTokenFile"), .form = FORM_FILE,
        .help = "File with a token that is sent as Authorization: Bearer, over TLS only. Instead of a client "
                "certificate."),
    ROW(BOOL(config_tls_profile, verify_kubelet_name, "verifyKubeletName"),
        .help = "Besides the address or DNS name, the certificate must have the common name system:node:NAME "
                "and the organization system:nodes. NAME comes from the route's nodeNames or nodeNameFile, "
                "else from the destination if that is a name; for an address nobody gave a node name for, "
                "any NAME will do."),
    ROW(STRING(config_tls_profile, server_name, "serverName"), .form = FORM_HOST,
        .help = "DNS name or address expected in the certificate instead of the destination; a DNS name is "
                "also sent as SNI."),
    ROW(ENUM(config_tls_profile, min_version, "minVersion", tls_versions), .value = CONFIG_TLS_1_2,
        .help = "Oldest TLS version offered.", .source = "kubelet default"),
    ROW(ENUM(config_tls_profile, alpn, "alpn", alpns), .value = CONFIG_ALPN_HTTP1,
        .help = "What is offered in ALPN; h2: HTTP/2 where the destination speaks it, else HTTP/1.1.",
        .source = "kubelets choose HTTP/2 if they may"),
    ROW(BOOL(config_tls_profile, resumption, "resumption"), .value = 1,
        .help =
            "Take session tickets and offer them again. A resumed connection is verified like a new one."),
    END,
};

static const struct config_row match_rows[] = {
    ROW(SEQUENCE(config_match, hosts, host_count, "hosts", CONFIG_STRING), .form = FORM_HOST_PATTERN,
        .max = 1024,
        .help = "Names or addresses of destinations; '*' any, '*.domain' everything below the domain, "
                "'prefix*' names that begin so."),
    ROW(SEQUENCE(config_match, cidrs, cidr_count, "cidrs", CONFIG_STRING), .form = FORM_CIDR, .max = 1024,
        .help = "Address blocks of destinations given as address. A destination matches by hosts or by "
                "cidrs; with neither every destination does. The blocks also allow loopback and link-local "
                "addresses when they lie inside those."),
    ROW(SEQUENCE(config_match, ports, port_count, "ports", CONFIG_STRING), .form = FORM_PORTS, .max = 64,
        .help = "Ports and ranges of ports; absent: all."),
    ROW(SET(config_match, schemes, "schemes", schemes), .value = CONFIG_SCHEME_HTTPS, .max = 3,
        .help = "Schemes of requests; tunnel: CONNECT.",
        .source = "plain HTTP and tunnels leave only where they are named"),
    ROW(SEQUENCE(config_match, listeners, listener_count, "listeners", CONFIG_STRING), .form = FORM_NAME,
        .max = 64, .help = "Names of listeners the request came in on; absent: all."),
    ROW(SEQUENCE(config_match, clients, client_count, "clients", CONFIG_STRING), .form = FORM_CLIENT,
        .min = 1, .max = 256,
        .help =
            "Clients that may take the route: a common name or DNS name of the client's certificate, as in "
            "allowedNames, or uid:N and gid:N of a process at a Unix socket; absent: all that may use "
            "the listener."),
    END,
};

static const struct config_row node_name_rows[] = {
    ROW(STRING(config_node_name, address, "address"), .form = FORM_HOST, .required = true,
        .help = "Destination: an address or a host name."),
    ROW(STRING(config_node_name, name, "name"), .form = FORM_NODE_NAME, .required = true,
        .help = "Name of the node that answers there."),
    END,
};

static const struct config_row route_timeout_rows[] = {
    ROW(UINT(config_route_timeouts, connect_ms, "connectMs"), .min = 1, .max = 600000, .inherit = true,
        .text = "`timeouts.connectMs`", .unit = "ms", .help = "TCP connect."),
    ROW(UINT(config_route_timeouts, tls_ms, "tlsMs"), .min = 1, .max = 600000, .inherit = true,
        .text = "`timeouts.tlsMs`", .unit = "ms", .help = "TLS handshake."),
    ROW(UINT(config_route_timeouts, first_byte_ms, "firstByteMs"), .max = 86400000, .inherit = true,
        .text = "`timeouts.firstByteMs`", .unit = "ms",
        .help = "From the request's end to the response's first byte; 0: no limit, for logs and watches."),
    ROW(UINT(config_route_timeouts, queue_ms, "queueMs"), .min = 1, .max = 600000, .inherit = true,
        .text = "`pool.waitTimeoutMs`", .unit = "ms", .help = "Wait for a pooled connection."),
    END,
};

static const struct config_row bridge_rows[] = {
    ROW(STRING(config_bridge, issuer_certificate_file, "issuerCertificateFile"), .form = FORM_FILE,
        .required = true,
        .help = "CA certificate and its chain, PEM, issuer first, that signs a server certificate for each "
                "destination. Clients of the bridge must trust it, nobody else should."),
    ROW(STRING(config_bridge, issuer_key_file, "issuerKeyFile"), .form = FORM_FILE, .required = true,
        .help = "Its private key, PEM, without passphrase; may be the same file. Refused when everybody can "
                "read it."),
    ROW(BOOL(config_bridge, key_group_readable, "keyGroupReadable"),
        .help = "The group is meant to read issuerKeyFile: do not warn about it."),
    ROW(STRING(config_bridge, client_ca_file, "clientCaFile"), .form = FORM_FILE, .required = true,
        .help = "CA certificates that client certificates inside the tunnel must chain to. A client without "
                "a certificate is refused."),
    ROW(SEQUENCE(config_bridge, allowed_names, allowed_name_count, "allowedNames", CONFIG_STRING),
        .form = FORM_CLIENT_NAME, .min = 1, .max = 256, .required = true,
        .help = "Clients inside the tunnel that may use the bridge, by the common name or a DNS name of "
                "their certificate. '*.domain' stands for one label before the domain."),
    ROW(UINT(config_bridge, certificate_life_ms, "certificateLifeMs"), .min = 600000, .max = 2592000000,
        .value = 86400000, .unit = "ms",
        .help = "Life of a minted certificate; never longer than the issuer's.",
        .source = "a day: clients' clocks may be off by minutes, and a lost key is of use for hours only"),
    ROW(ENUM(config_bridge, min_version, "minVersion", tls_versions), .value = CONFIG_TLS_1_2,
        .help = "Oldest TLS version accepted inside the tunnel.", .source = "kube-apiserver's own default"),
    END,
};

static const struct config_row route_rows[] = {
    ROW(STRING(config_route, name, "name"), .form = FORM_NAME, .required = true,
        .help = "Name in logs and metrics; no two alike."),
    ROW(MAPPING(config_route, match, "match", match_rows),
        .help = "Which requests take this route; every condition given must hold."),
    ROW(ENUM(config_route, action, "action", actions), .value = CONFIG_ALLOW,
        .help = "What happens to a request that matches. A request no route matches is refused."),
    ROW(STRING(config_route, tls_profile, "tlsProfile"), .form = FORM_NAME,
        .help = "Name of the TLS profile for https. Required when the route allows https or has a bridge."),
    ROW(BOOL(config_route, insecure, "insecure"), .help = "Do not verify who answers on this route, whatever "
                                                          "the profile says. Logged at start and counted."),
    ROW(SEQUENCE(config_route, node_names, node_name_count, "nodeNames", CONFIG_MAPPING),
        .rows = node_name_rows, .max = 20000, .help = "Names of nodes by destination, for verifyKubeletName.",
        .source = "15,000 nodes and some air"),
    ROW(STRING(config_route, node_name_file, "nodeNameFile"), .form = FORM_FILE,
        .help = "File with lines ADDRESS NAME, in addition to nodeNames; '#' begins a comment."),
    ROW(OPTIONAL(config_route, bridge, "bridge", bridge_rows),
        .help = "End TLS inside tunnels here, and send the requests in them over pooled connections with "
                "tlsProfile. Absent: tunnels of this route are opaque. Read docs/security.md first.",
        .source = "off: the broker sees what passes only where it is asked to"),
    ROW(MAPPING(config_route, timeouts, "timeouts", route_timeout_rows), .help = "Deadlines of this route."),
    END,
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
        .unit = "per worker", .help = "Connects and TLS handshakes under way.",
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
        .help = "How often certificates, keys, CAs and tokens are looked at for changes; 0: only on SIGHUP.",
        .source = "a Secret reaches its volume in about a minute; a look is a stat() of each file"),
    ROW(ENUM(config, engine, "engine", engines), .value = CONFIG_ENGINE_AUTO, .restart = true,
        .help = "How bytes move; auto takes the best that works here."),
    ROW(SEQUENCE(config, listeners, listener_count, "listeners", CONFIG_MAPPING), .rows = listener_rows,
        .min = 1, .max = 64, .required = true, .help = "Where clients, above all kube-apiserver, come in."),
    ROW(SEQUENCE(config, tls_profiles, tls_profile_count, "tlsProfiles", CONFIG_MAPPING),
        .rows = tls_profile_rows, .max = 64,
        .help = "Who upstreams must prove to be, and who the broker is to them."),
    ROW(SEQUENCE(config, routes, route_count, "routes", CONFIG_MAPPING), .rows = route_rows, .min = 1,
        .max = CONFIG_ROUTES_MAX, .required = true,
        .help = "Where requests may go; the first that matches decides."),
    ROW(MAPPING(config, pool, "pool", pool_rows), .help = "Upstream connections."),
    ROW(MAPPING(config, limits, "limits", limit_rows), .help = "What clients and upstreams may cost."),
    ROW(MAPPING(config, timeouts, "timeouts", timeout_rows), .help = "Deadlines."),
    ROW(MAPPING(config, http2, "http2", http2_rows), .help = "HTTP/2 towards clients and upstreams."),
    ROW(MAPPING(config, admin, "admin", admin_rows), .help = "Health, metrics and status."),
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
