/* broker/config/config_table_routes.c — the rows of the table of settings about who comes in and who is
 * reached: listeners, TLS profiles, routes. See config_table.c. */
#include "broker/config/config_rows.h"
#include "io/tls/tls.h"

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
static const struct config_word servings[] = {
    {"requests", CONFIG_SERVES_REQUESTS},
    {"agents",   CONFIG_SERVES_AGENTS  },
    {NULL,       0                     }
};
static const struct config_word vias[] = {
    {"direct", CONFIG_VIA_DIRECT},
    {"agent",  CONFIG_VIA_AGENT },
    {NULL,     0                }
};
static const struct config_word tls_versions[] = {
    {"1.2", CONFIG_TLS_1_2},
    {"1.3", CONFIG_TLS_1_3},
    {NULL,  0             }
};
static const struct config_word cipher_suites[] = {
#define X(symbol, name, text) ROW(text, TLS_SUITE_##symbol),
    TLS_SUITES(X)
#undef X
        ROW(NULL, 0)};
static const struct config_word alpns[] = {
    {"http/1.1", CONFIG_ALPN_HTTP1},
    {"h2",       CONFIG_ALPN_H2   },
    {"none",     CONFIG_ALPN_NONE },
    {NULL,       0                }
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
    ROW(BOOL(config_unix, any_peer, "anyPeer"),
        .help = "Whoever mode, owner and group let connect may use the listener; instead of allowedUids and "
                "allowedGids. The kernel tells a peer's main group only, so this is for sockets that are "
                "shared by a supplementary one."),
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
    ROW(BOOL(config_listener_tls, key_world_readable, "keyWorldReadable"),
        .help = "Warn, and do not refuse, when everybody can read keyFile: for Secrets, which are 0644 in a "
                "container unless their volume says otherwise."),
    ROW(STRING(config_listener_tls, client_ca_file, "clientCaFile"), .form = FORM_FILE,
        .help = "CA certificates that client certificates must chain to. A client without a certificate is "
                "refused. Required, unless agents.tokenReview or agents.anonymous says how a listener that "
                "serves agents knows them."),
    ROW(SEQUENCE(config_listener_tls, allowed_names, allowed_name_count, "allowedNames", CONFIG_STRING),
        .form = FORM_CLIENT_NAME, .min = 1, .max = 256,
        .help = "Clients that may use the listener, by the common name or a DNS name of their certificate. "
                "'*.domain' stands for one label before the domain, '*' for every certificate that "
                "clientCaFile has signed. Required with clientCaFile."),
    ROW(ENUM(config_listener_tls, min_version, "minVersion", tls_versions), .value = CONFIG_TLS_1_2,
        .help = "Oldest TLS version accepted.", .source = "kube-apiserver's own default"),
    ROW(SET(config_listener_tls, cipher_suites, "cipherSuites", cipher_suites), .value = TLS_SUITES_ALL,
        .max = 4, .text = "all of them",
        .help = "Suites of TLS 1.2. Those of TLS 1.3 are not chosen by configuration."),
    END,
};

const struct config_row config_listener_rows[] = {
    ROW(STRING(config_listener, name, "name"), .form = FORM_NAME, .required = true, .restart = true,
        .help = "Name in logs, metrics and routes; no two alike."),
    ROW(OPTIONAL(config_listener, socket, "unix", unix_rows), .restart = true,
        .help = "Listen on a Unix socket. Either this or tcp."),
    ROW(OPTIONAL(config_listener, tcp, "tcp", tcp_rows), .restart = true,
        .help = "Listen on TCP. Needs tls, unless insecure."),
    ROW(OPTIONAL(config_listener, tls, "tls", listener_tls_rows), .help = "Mutual TLS towards clients."),
    ROW(ENUM(config_listener, serves, "serves", servings), .value = CONFIG_SERVES_REQUESTS, .restart = true,
        .help = "Who comes in: clients with requests and tunnels, or Konnectivity's agents and nobody else. "
                "Agents need tcp with tls."),
    ROW(BOOL(config_listener, insecure, "insecure"), .restart = true,
        .help = "TCP on a loopback address without TLS: every process of the machine may use it. Logged at "
                "start."),
    END,
};

const struct config_row config_tls_profile_rows[] = {
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

const struct config_row config_route_rows[] = {
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
        .help = "File with lines ADDRESS NAME, in addition to nodeNames; '#' begins a comment. Read again "
                "when it changes."),
    ROW(SEQUENCE(config_route, via, via_count, "via", CONFIG_ENUM), .words = vias, .min = 1,
        .max = CONFIG_VIAS, .text = "`direct`",
        .help =
            "The ways to destinations, in the order in which they are tried: from here, or through one of "
            "Konnectivity's agents. The next one follows only when a way failed, never when the "
            "destination refused."),
    ROW(SEQUENCE(config_route, strategies, strategy_count, "strategies", CONFIG_ENUM),
        .words = config_strategy_words, .min = 1, .max = CONFIG_STRATEGIES, .text = "`agents.strategies`",
        .help = "How the agent is chosen. Only with via: agent."),
    ROW(OPTIONAL(config_route, bridge, "bridge", bridge_rows),
        .help = "End TLS inside tunnels here, and send the requests in them over pooled connections with "
                "tlsProfile. Absent: tunnels of this route are opaque. Read docs/security.md first.",
        .source = "off: the broker sees what passes only where it is asked to"),
    ROW(MAPPING(config_route, timeouts, "timeouts", route_timeout_rows), .help = "Deadlines of this route."),
    END,
};
