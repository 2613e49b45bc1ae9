/* test/unit/test_route.c — which route a request takes, and which node must answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/policy.h"
#include "broker/route.h"

static const char document[] =
    "apiVersion: hawser.dev/v1alpha1\n"
    "kind: BrokerConfiguration\n"
    "listeners:\n"
    "  - {name: apiserver, unix: {path: /run/a.sock}}\n"
    "  - {name: scrape, unix: {path: /run/b.sock}}\n"
    "  - {name: agents, serves: agents, tcp: {address: 10.0.0.1, port: 8091}, tls: {certificateFile: /c, "
    "keyFile: /k, clientCaFile: /a, allowedNames: [agent]}}\n"
    "tlsProfiles:\n"
    "  - {name: kubelet, caFile: /ca.pem, verifyKubeletName: true}\n"
    "  - {name: plain, caFile: /ca.pem}\n"
    "routes:\n"
    "  - {name: never, match: {hosts: [forbidden.example, 10.6.6.6], schemes: [http, https, tunnel]}, "
    "action: "
    "refuse}\n"
    "  - name: kubelets\n"
    "    match: {hosts: [\"*.nodes.example\", node-*], cidrs: [10.0.0.0/8, 127.16.0.0/12, \"fd01::/16\"],\n"
    "            ports: [10250, \"8000-8999\"]}\n"
    "    tlsProfile: kubelet\n"
    "    nodeNames: [{address: 10.0.0.7, name: seven}, {address: Node-8, name: eight}, {address: "
    "\"FD01::9\", name: nine}]\n"
    "  - {name: scraper, match: {hosts: [s.example], listeners: [scrape]}, tlsProfile: plain}\n"
    "  - {name: lax, match: {hosts: [lax.example]}, tlsProfile: kubelet, insecure: true}\n"
    "  - {name: here, match: {hosts: [localhost, 127.0.0.9, \"::1\"], schemes: [http]}}\n"
    "  - {name: tunnels, match: {hosts: [\"*.svc\"], cidrs: [0.0.0.0/0, \"64:ff9b::/96\", 127.16.0.0/12], "
    "ports: [22], schemes: [tunnel]}}\n"
    "  - {name: far, match: {hosts: [\"*\"], ports: [6443]}, tlsProfile: plain, via: [direct, agent]}\n"
    "  - {name: far-self, match: {hosts: [localhost], ports: [6443]}, tlsProfile: plain, via: [agent]}\n"
    "  - {name: rest, match: {hosts: [\"*\"], cidrs: [0.0.0.0/0], ports: [443]}, tlsProfile: plain}\n";

struct world {
    struct config *config;
    struct routes *routes;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct config_error error;
    if (!w)
        return -1;
    if (config_load_buffer("route.yaml", document, strlen(document), CONFIG_SKIP_FILES, &w->config, &error)) {
        print_error("%s\n", error.text);
        return -1;
    }
    *state = w;
    return routes_new(w->config, &w->routes);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    routes_free(&w->routes);
    config_free(&w->config);
    free(w);
    return 0;
}

static const char *route_of(const struct world *w, const struct route_query *query)
{
    const struct route *route = NULL;
    enum route_result result = route_match(w->routes, query, &route);
    switch (result) {
    case ROUTE_OK: return route->config->name;
    case ROUTE_REFUSED: return "refused";
    case ROUTE_NONE:
    case ROUTE_UNNAMED:
    case ROUTE_BAD_HOST:
        assert_null(route);
        return result == ROUTE_NONE ? "none" : result == ROUTE_UNNAMED ? "unnamed" : "bad";
    }
    return "?";
}

static void the_first_route_that_matches_decides(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
        enum config_scheme scheme;
        const char *listener, *route;
    } cases[] = {
        {"a.nodes.example",   10250, CONFIG_SCHEME_HTTPS,  "apiserver", "kubelets"},
        {"A.Nodes.Example.",  10250, CONFIG_SCHEME_HTTPS,  "apiserver", "kubelets"},
        {"b.a.nodes.example", 8000,  CONFIG_SCHEME_HTTPS,  "apiserver", "kubelets"},
        {"nodes.example",     10250, CONFIG_SCHEME_HTTPS,  "apiserver", "none"    },
        {"xnodes.example",    10250, CONFIG_SCHEME_HTTPS,  "apiserver", "none"    },
        {"node-1",            8999,  CONFIG_SCHEME_HTTPS,  "apiserver", "kubelets"},
        {"node-1",            9000,  CONFIG_SCHEME_HTTPS,  "apiserver", "none"    },
        {"node-1",            10250, CONFIG_SCHEME_HTTP,   "apiserver", "none"    },
        {"10.0.0.1",          10250, CONFIG_SCHEME_HTTPS,  "apiserver", "kubelets"},
        {"11.0.0.1",          10250, CONFIG_SCHEME_HTTPS,  "apiserver", "none"    },
        {"::ffff:10.0.0.1",   10250, CONFIG_SCHEME_HTTPS,  "apiserver", "kubelets"},
        {"fd01::1",           10250, CONFIG_SCHEME_HTTPS,  "apiserver", "kubelets"},
        {"fd02::1",           10250, CONFIG_SCHEME_HTTPS,  "apiserver", "none"    },
        {"forbidden.example", 443,   CONFIG_SCHEME_HTTPS,  "apiserver", "refused" },
        {"10.6.6.6",          10250, CONFIG_SCHEME_HTTPS,  "apiserver", "refused" },
        {"s.example",         80,    CONFIG_SCHEME_HTTPS,  "scrape",    "scraper" },
        {"s.example",         80,    CONFIG_SCHEME_HTTPS,  "apiserver", "none"    },
        {"example.org",       6443,  CONFIG_SCHEME_HTTPS,  "apiserver", "far"     },
        {"LOCALHOST.",        6443,  CONFIG_SCHEME_HTTPS,  "apiserver", "far-self"},
        {"a.localhost",       6443,  CONFIG_SCHEME_HTTPS,  "apiserver", "unnamed" },
        {"localhost",         443,   CONFIG_SCHEME_HTTPS,  "apiserver", "rest"    }, /* judged by its address */
        {"example.org",       443,   CONFIG_SCHEME_HTTPS,  "apiserver", "rest"    },
        {"8.8.8.8",           443,   CONFIG_SCHEME_HTTPS,  "apiserver", "rest"    },
        {"2001:db8::1",       443,   CONFIG_SCHEME_HTTPS,  "apiserver", "rest"    },
        {"2130706433",        443,   CONFIG_SCHEME_HTTPS,  "apiserver", "bad"     },
        {"[::1]",             443,   CONFIG_SCHEME_HTTPS,  "apiserver", "bad"     },
        {"127.16.5.5",        10250, CONFIG_SCHEME_HTTPS,  "apiserver", "kubelets"},
        {"127.0.0.1",         443,   CONFIG_SCHEME_HTTPS,  "apiserver", "unnamed" },
        {"0.0.0.0",           443,   CONFIG_SCHEME_HTTPS,  "apiserver", "unnamed" },
        {"::",                443,   CONFIG_SCHEME_HTTPS,  "apiserver", "unnamed" },
        {"169.254.169.254",   443,   CONFIG_SCHEME_HTTPS,  "apiserver", "unnamed" },
        {"::ffff:a9fe:a9fe",  443,   CONFIG_SCHEME_HTTPS,  "apiserver", "unnamed" },
        {"169.254.169.254",   80,    CONFIG_SCHEME_HTTPS,  "apiserver", "none"    },
        {"127.0.0.9",         80,    CONFIG_SCHEME_HTTP,   "apiserver", "here"    },
        {"::1",               80,    CONFIG_SCHEME_HTTP,   "apiserver", "here"    },
        {"localhost",         80,    CONFIG_SCHEME_HTTP,   "apiserver", "here"    },
        {"10.0.0.1",          22,    CONFIG_SCHEME_TUNNEL, "apiserver", "tunnels" },
        {"b.svc",             22,    CONFIG_SCHEME_TUNNEL, "apiserver", "tunnels" },
        {"10.0.0.1",          22,    CONFIG_SCHEME_HTTPS,  "apiserver", "none"    },
        {"a.nodes.example",   10250, CONFIG_SCHEME_TUNNEL, "apiserver", "none"    },
        {"10.6.6.6",          22,    CONFIG_SCHEME_TUNNEL, "apiserver", "refused" },
        {"127.0.0.1",         22,    CONFIG_SCHEME_TUNNEL, "apiserver", "unnamed" },
        {"::ffff:127.0.0.1",  22,    CONFIG_SCHEME_TUNNEL, "apiserver", "unnamed" },
        {"64:ff9b::7f00:1",   22,    CONFIG_SCHEME_TUNNEL, "apiserver", "unnamed" },
        {"169.254.169.254",   22,    CONFIG_SCHEME_TUNNEL, "apiserver", "unnamed" },
        {"127.16.0.1",        22,    CONFIG_SCHEME_TUNNEL, "apiserver", "tunnels" },
        {"-x",                22,    CONFIG_SCHEME_TUNNEL, "apiserver", "bad"     },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct client client = {.kind = CLIENT_PROCESS};
        struct route_set open;
        routes_open_to(((struct world *)*state)->routes, cases[i].listener, &client, &open);
        struct route_query query = {cases[i].host, cases[i].port, cases[i].scheme, &open};
        const char *route = route_of(*state, &query);
        if (strcmp(route, cases[i].route) != 0)
            fail_msg("%s:%u took %s, not %s", cases[i].host, cases[i].port, route, cases[i].route);
    }
}

static const struct route *named(const struct world *w, const char *name)
{
    for (uint32_t i = 0; i < w->routes->count; i++)
        if (strcmp(w->routes->all[i].config->name, name) == 0)
            return &w->routes->all[i];
    fail_msg("no route %s", name);
    return NULL;
}

static void resolved_addresses_are_judged_by_the_route(void **state)
{
    static const struct {
        const char *route, *host, *address;
        bool allowed;
    } cases[] = {
        {"kubelets", "node-1",       "10.0.0.1",           true },
        {"kubelets", "node-1",       "192.0.2.1",          true },
        {"kubelets", "node-1",       "127.16.0.1",         true },
        {"kubelets", "node-1",       "127.0.0.1",          false},
        {"kubelets", "node-1",       "169.254.169.254",    false},
        {"kubelets", "node-1",       "::1",                false},
        {"rest",     "evil.example", "127.0.0.1",          false},
        {"rest",     "evil.example", "::ffff:127.0.0.1",   false},
        {"rest",     "localhost",    "127.0.0.1",          false},
        {"here",     "localhost",    "127.0.0.1",          true },
        {"here",     "localhost",    "::1",                true },
        {"here",     "localhost",    "169.254.169.254",    false},
        {"here",     "other",        "127.0.0.1",          false},
        {"tunnels",  "b.svc",        "10.0.0.1",           true },
        {"tunnels",  "b.svc",        "127.0.0.1",          false},
        {"tunnels",  "b.svc",        "169.254.169.254",    false},
        {"tunnels",  "b.svc",        "64:ff9b::a9fe:a9fe", false},
        {"tunnels",  "b.svc",        "127.16.0.1",         true },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct net_address address;
        assert_true(net_address_parse(cases[i].address, strlen(cases[i].address), 10250, &address));
        if (policy_address_allowed(named(*state, cases[i].route), cases[i].host, &address) !=
            cases[i].allowed)
            fail_msg("%s %s %s", cases[i].route, cases[i].host, cases[i].address);
    }
}

static void node_names_come_from_the_list_or_the_host(void **state)
{
    static const struct {
        const char *route, *host;
        enum route_node_rule rule;
        const char *name;
    } cases[] = {
        {"kubelets", "10.0.0.7",        ROUTE_NODE_EXACT,     "seven"          },
        {"kubelets", "::ffff:10.0.0.7", ROUTE_NODE_EXACT,     "seven"          },
        {"kubelets", "node-8.",         ROUTE_NODE_EXACT,     "eight"          },
        {"kubelets", "fd01:0:0::9",     ROUTE_NODE_EXACT,     "nine"           },
        {"kubelets", "A.nodes.example", ROUTE_NODE_EXACT,     "a.nodes.example"},
        {"kubelets", "10.0.0.8",        ROUTE_NODE_ANY,       "*"              },
        {"scraper",  "s.example",       ROUTE_NODE_NOT_ASKED, ""               },
        {"lax",      "lax.example",     ROUTE_NODE_NOT_ASKED, ""               },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char name[HOST_BYTES];
        const struct route *route = named(*state, cases[i].route);
        assert_int_equal(route_node_name(route, route->config->nodes, cases[i].host, name), cases[i].rule);
        assert_string_equal(name, cases[i].name);
    }
}

/* A route for each of these, the last one for all; 70 of them, so that a set has more than one word. */
static const char *const client_routes[] = {"uid:0", "uid:7", "gid:7", "kube-apiserver", "*.cp", "NULL"};
enum { COPIES = 14, OPEN_ROUTES = COPIES * (int)ARRAY_SIZE(client_routes) };

static void load_client_routes(struct world *w)
{
    char *text = NULL;
    size_t len;
    struct config_error error;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    fputs("apiVersion: hawser.dev/v1alpha1\nkind: BrokerConfiguration\n"
          "listeners: [{name: a, unix: {path: /a}}, {name: b, unix: {path: /b}}]\nroutes:\n",
          out);
    for (int i = 0; i < OPEN_ROUTES; i++) {
        const char *client = client_routes[i % (int)ARRAY_SIZE(client_routes)];
        fprintf(out, "- {name: r%d, match: {hosts: [h%d], schemes: [http]", i, i);
        if (strcmp(client, "NULL") != 0)
            fprintf(out, ", clients: [\"%s\"]", client);
        fputs(i >= OPEN_ROUTES / 2 ? ", listeners: [b]}}\n" : "}}\n", out);
    }
    assert_int_equal(fclose(out), 0);
    if (config_load_buffer("f", text, len, CONFIG_SKIP_FILES, &w->config, &error))
        fail_msg("%s", error.text);
    free(text);
    assert_int_equal(routes_new(w->config, &w->routes), 0);
}

static const char *const peer_names[] = {"first", "x.cp", NULL};

static bool has_peer_name(const struct stream *tls, bool (*match)(const char *name, void *arg), void *arg)
{
    (void)tls;
    for (const char *const *name = peer_names; *name; name++)
        if (match(*name, arg))
            return true;
    return false;
}

static void only_routes_open_to_the_client_match(void **state)
{
    static const struct {
        struct client client;
        const char *open; /* by client_routes */
    } cases[] = {
        {{.kind = CLIENT_UNKNOWN},                                "000001"},
        {{.kind = CLIENT_PROCESS, .uid = 0, .gid = 0},            "100001"},
        {{.kind = CLIENT_PROCESS, .uid = 7, .gid = 0},            "010001"},
        {{.kind = CLIENT_PROCESS, .uid = 0, .gid = 7},            "101001"},
        {{.kind = CLIENT_CERTIFICATE, .has_name = has_peer_name}, "000011"},
    };
    struct world w;
    (void)state;
    load_client_routes(&w);
    for (size_t c = 0; c < ARRAY_SIZE(cases); c++)
        for (int on_b = 0; on_b < 2; on_b++) {
            struct route_set open;
            memset(&open, 0xff, sizeof(open)); /* what was there before does not count */
            routes_open_to(w.routes, on_b ? "b" : "a", &cases[c].client, &open);
            for (int i = 0; i < OPEN_ROUTES; i++) {
                char host[16];
                snprintf(host, sizeof(host), "h%d", i);
                struct route_query query = {host, 80, CONFIG_SCHEME_HTTP, &open};
                bool expected = cases[c].open[i % (int)ARRAY_SIZE(client_routes)] == '1' &&
                                (on_b || i < OPEN_ROUTES / 2);
                char name[16];
                snprintf(name, sizeof(name), "r%d", i);
                assert_string_equal(route_of(&w, &query), expected ? name : "none");
            }
        }
    routes_free(&w.routes);
    config_free(&w.config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_route_that_matches_decides),
        cmocka_unit_test(only_routes_open_to_the_client_match),
        cmocka_unit_test(resolved_addresses_are_judged_by_the_route),
        cmocka_unit_test(node_names_come_from_the_list_or_the_host),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
