/* test/unit/test_config.c — what a right configuration becomes, prints and dumps; the documentation; the
 * example. What a wrong one is told: test_config_errors.c. Files that settings name: test_config_files.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/config/config.h"
#include "io/file.h"
#include "io/host.h"

#define HEAD     "apiVersion: hawser.dev/v1alpha1\nkind: BrokerConfiguration\n"
#define LISTENER "listeners: [{name: a, unix: {path: /run/a}}]\n"
#define PROFILE  "tlsProfiles: [{name: k, caFile: /ca}]\n"
#define AGENTS   "{name: g, serves: agents, tcp: {address: 10.0.0.1, port: 8091}, "
#define PAIR     "certificateFile: /c, keyFile: /k"
#define TCP      "{name: t, tcp: {address: 127.0.0.1, port: 80}, "

static struct config *load(const char *document)
{
    struct config *config = NULL;
    struct config_error error;
    if (config_load_buffer("f", document, strlen(document), CONFIG_SKIP_FILES, &config, &error) != CONFIG_OK)
        fail_msg("%s", error.text);
    return config;
}

static char *print(void (*printer)(const struct config *, FILE *), const struct config *c)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    printer(c, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void what_is_absent_has_its_default(void **state)
{
    struct config *c = load(HEAD LISTENER PROFILE "routes: [{name: r, tlsProfile: k}]\n");
    (void)state;
    assert_int_equal(c->workers, host_cpus());
    assert_int_equal(c->engine, CONFIG_ENGINE_AUTO);
    assert_string_equal(c->listeners[0].socket->mode, "0600");
    assert_int_equal(c->listeners[0].socket->mode_bits, 0600);
    assert_int_equal(c->listeners[0].socket->owner_uid, CONFIG_ID_UNSET);
    assert_null(c->listeners[0].tcp);
    assert_true(c->tls_profiles[0].resumption);
    assert_false(c->tls_profiles[0].verify_kubelet_name);
    assert_int_equal(c->tls_profiles[0].min_version, CONFIG_TLS_1_2);
    assert_string_equal(config_alpn_text(c->tls_profiles[0].alpn), "http/1.1");
    assert_int_equal(c->routes[0].match.schemes, CONFIG_SCHEME_HTTPS);
    assert_ptr_equal(c->routes[0].profile, &c->tls_profiles[0]);
    assert_int_equal(c->routes[0].timeouts.connect_ms, 3000);
    assert_int_equal(c->routes[0].timeouts.tls_ms, 5000);
    assert_int_equal(c->routes[0].timeouts.first_byte_ms, 60000);
    assert_int_equal(c->routes[0].timeouts.queue_ms, 2000);
    assert_int_equal(c->pool.connections_per_endpoint_max, 16);
    assert_int_equal(c->pool.idle_timeout_ms, 80000);
    assert_int_equal(c->pool.breaker.failures, 5);
    assert_int_equal(c->limits.head_timeout_ms, 5000);
    assert_int_equal(c->limits.body_buffer_bytes, 262144);
    assert_int_equal(c->timeouts.drain_ms, 30000);
    assert_string_equal(c->admin.address, "127.0.0.1");
    assert_int_equal(c->admin.port, 8134);
    assert_true(c->log.access_log);
    assert_string_equal(c->log.file, "stderr");
    assert_int_equal(c->routes[0].match.client_count, 0);
    assert_null(c->routes[0].bridge);
    assert_int_equal(c->pool.warm_spares, 0);
    assert_int_equal(c->limits.tunnels_max, 65536);
    assert_int_equal(c->timeouts.tunnel_answer_ms, 5000);
    assert_int_equal(c->timeouts.tunnel_idle_ms, 0);
    assert_int_equal(c->timeouts.tunnel_speak_first_ms, 5);
    assert_int_equal(c->http2.streams_max, 250);
    assert_int_equal(c->http2.ping_ms, 30000);
    assert_int_equal(c->http2.ping_timeout_ms, 15000);
    assert_null(c->log.audit_file);
    assert_int_equal(c->listeners[0].serves, CONFIG_SERVES_REQUESTS);
    assert_int_equal(c->routes[0].via_count, 1);
    assert_int_equal(c->routes[0].via[0], CONFIG_VIA_DIRECT);
    assert_int_equal(c->routes[0].strategy_count, 0);
    assert_null(c->agents.server_id);
    assert_int_equal(c->agents.server_count, 1);
    assert_int_equal(c->agents.strategy_count, 1);
    assert_int_equal(c->agents.strategies[0], CONFIG_STRATEGY_DEFAULT);
    assert_int_equal(c->agents.dial_ms, 30000);
    assert_int_equal(c->agents.pending_dials_max, 16384);
    assert_int_equal(c->agents.connection_bytes_max, 16 << 20);
    assert_int_equal(c->agents.patience_ms, 10000);
    assert_int_equal(c->agents.keepalive_ms, 10000);
    assert_int_equal(c->agents.keepalive_timeout_ms, 5000);
    assert_null(c->agents.token_review);
    assert_null(c->agents.leases);
    assert_false(c->agents.anonymous);
    assert_null(c->kubernetes.kubeconfig_file);
    assert_int_equal(c->kubernetes.qps, 20);
    assert_int_equal(c->kubernetes.burst, 40);
    assert_int_equal(c->warning_count, 0);
    config_free(&c);
    assert_null(c);
}

static void routes_inherit_deadlines_they_do_not_set(void **state)
{
    struct config *c = load(HEAD LISTENER PROFILE
                            "timeouts: {connectMs: 11, firstByteMs: 12}\npool: {waitTimeoutMs: 13}\n"
                            "routes: [{name: r, tlsProfile: k, timeouts: {firstByteMs: 0, tlsMs: 14}}]\n");
    (void)state;
    assert_int_equal(c->routes[0].timeouts.connect_ms, 11);
    assert_int_equal(c->routes[0].timeouts.tls_ms, 14);
    assert_int_equal(c->routes[0].timeouts.first_byte_ms, 0);
    assert_int_equal(c->routes[0].timeouts.queue_ms, 13);
    config_free(&c);
}

static void a_tunnel_needs_no_profile_and_a_bridge_has_one(void **state)
{
    struct config *c = load(
        HEAD LISTENER "tlsProfiles: [{name: k, caFile: /ca, alpn: h2}]\nroutes:\n"
                      "- {name: opaque, match: {schemes: [tunnel], ports: [22]}}\n"
                      "- name: bridged\n  match: {schemes: [tunnel], clients: [\"uid:0\", \"gid:12\"]}\n"
                      "  tlsProfile: k\n  bridge: {issuerCertificateFile: /c, issuerKeyFile: /k, "
                      "clientCaFile: /a, allowedNames: [x, \"*.y\"]}\n");
    (void)state;
    assert_int_equal(c->routes[0].match.schemes, CONFIG_SCHEME_TUNNEL);
    assert_null(c->routes[0].profile);
    assert_null(c->routes[0].bridge);
    const struct config_bridge *b = c->routes[1].bridge;
    assert_ptr_equal(c->routes[1].profile, &c->tls_profiles[0]);
    assert_string_equal(c->routes[1].match.clients[1], "gid:12");
    assert_string_equal(b->issuer_certificate_file, "/c");
    assert_string_equal(b->issuer_key_file, "/k");
    assert_string_equal(b->client_ca_file, "/a");
    assert_int_equal(b->allowed_name_count, 2);
    assert_string_equal(b->allowed_names[1], "*.y");
    assert_false(b->key_group_readable);
    assert_int_equal(b->certificate_life_ms, 24 * 3600 * 1000);
    assert_int_equal(b->min_version, CONFIG_TLS_1_2);
    assert_string_equal(config_alpn_text(c->tls_profiles[0].alpn), "h2,http/1.1");
    assert_int_equal(c->warning_count, 0);
    config_free(&c);
}

static void routes_through_agents_keep_the_order_of_ways_and_strategies(void **state)
{
    struct config *c = load(
        HEAD "listeners: [{name: a, unix: {path: /a}}, " AGENTS "tls: {" PAIR
             ", clientCaFile: /a, allowedNames: [agent]}}]\n"
             "agents: {serverId: \"[::1]:8091\", strategies: [destHost, default], leases: {label: a.b/c=d},\n"
             "         tokenReview: {audience: system:konnectivity-server, namespace: kube-system, "
             "serviceAccount: konnectivity-agent}}\n"
             "kubernetes: {kubeconfigFile: /kubeconfig, qps: 1, burst: 2}\n"
             "routes:\n- {name: r, match: {schemes: [tunnel]}, via: [agent, direct]}\n"
             "- {name: s, match: {schemes: [http]}, via: [direct, agent], strategies: [defaultRoute]}\n"
             "- {name: t, match: {schemes: [http]}}\n");
    (void)state;
    assert_int_equal(c->listeners[1].serves, CONFIG_SERVES_AGENTS);
    assert_string_equal(c->agents.server_id, "[::1]:8091");
    assert_string_equal(c->agents.leases->namespace, "kube-system");
    assert_string_equal(c->agents.leases->label, "a.b/c=d");
    assert_string_equal(c->agents.token_review->audience, "system:konnectivity-server");
    assert_string_equal(c->agents.token_review->service_account, "konnectivity-agent");
    assert_string_equal(c->kubernetes.kubeconfig_file, "/kubeconfig");
    const struct config_route *r = c->routes;
    assert_int_equal(r[0].via_count, 2);
    assert_int_equal(r[0].via[0], CONFIG_VIA_AGENT);
    assert_int_equal(r[0].via[1], CONFIG_VIA_DIRECT);
    assert_int_equal(r[0].strategy_count, 2); /* those of agents */
    assert_int_equal(r[0].strategies[0], CONFIG_STRATEGY_DEST_HOST);
    assert_int_equal(r[0].strategies[1], CONFIG_STRATEGY_DEFAULT);
    assert_int_equal(r[1].via[0], CONFIG_VIA_DIRECT);
    assert_int_equal(r[1].strategy_count, 1);
    assert_int_equal(r[1].strategies[0], CONFIG_STRATEGY_DEFAULT_ROUTE);
    assert_false(config_route_goes_via(&r[2], CONFIG_VIA_AGENT));
    assert_int_equal(c->warning_count, 0);
    char *first = print(config_dump, c);
    struct config *again = load(first);
    char *second = print(config_dump, again);
    assert_string_equal(first, second);
    assert_non_null(strstr(first, "via:\n      - \"agent\"\n      - \"direct\"\n"));
    free(first);
    free(second);
    config_free(&again);
    config_free(&c);
}

static void the_summary_says_how_agents_prove_themselves(void **state)
{
#define REVIEW "agents: {tokenReview: {audience: a, namespace: b, serviceAccount: c}}\n"
    static const struct {
        const char *tls, *agents, *line, *warning;
    } cases[] = {
        {", clientCaFile: /a, allowedNames: [x]",     "",                            "agents, mutual TLS\n",                    NULL},
        {", clientCaFile: /a, allowedNames: [\"*\"]", REVIEW,                        "agents, mutual TLS and tokens\n",         NULL},
        {"",                                          REVIEW,                        "agents, TLS and tokens\n",                NULL},
        {"",                                          "agents: {anonymous: true}\n", "agents, INSECURE: any agent is let in\n",
         "f:4:21: agents.anonymous: found true: whoever reaches listener \"g\" may carry connections"                               },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char document[1024], line[256];
        snprintf(document, sizeof(document),
                 HEAD "listeners: [" AGENTS "tls: {" PAIR
                      "%s}}]\n%sroutes: [{name: r, match: {schemes: [http]}, via: [agent, direct]}]\n",
                 cases[i].tls, cases[i].agents);
        struct config *c = load(document);
        char *text = print(config_print_summary, c);
        snprintf(line, sizeof(line), "listener g: tcp 10.0.0.1:8091, %s", cases[i].line);
        if (!strstr(text, line))
            fail_msg("not in the summary: %s", line);
        assert_non_null(strstr(text, "to anywhere, through an agent or else directly\n"));
        assert_int_equal(c->warning_count, cases[i].warning ? 1 : 0);
        if (cases[i].warning)
            assert_string_equal(c->warnings[0], cases[i].warning);
        free(text);
        config_free(&c);
    }
#undef REVIEW
}

/* Not wrong, but it does nothing. */
static void clients_whom_no_listener_lets_in_are_warned_about(void **state)
{
#define ALL                                                                                                  \
    "listeners:\n- {name: u, unix: {path: /u}}\n- {name: t, tcp: {address: 127.0.0.1, port: 80},\n"          \
    "   tls: {certificateFile: /c, keyFile: /k, clientCaFile: /a, allowedNames: [api, \"*.cp\"]}}\n"
    static const struct {
        const char *match;
        unsigned warnings;
    } cases[] = {
        {"clients: [\"uid:7\", \"gid:7\", api, a.cp, \"*.z\"]",                 0},
        {"clients: [\"uid:7\", \"gid:7\", api, a.cp, \"*.z\"], listeners: [u]", 3},
        {"clients: [\"uid:7\", \"gid:7\", api, a.cp, \"*.z\"], listeners: [t]", 2},
        {"clients: [apj, a.b.cp, API]",                                         2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char document[1024];
        snprintf(document, sizeof(document), HEAD ALL "routes: [{name: r, match: {schemes: [http], %s}}]\n",
                 cases[i].match);
        struct config *c = load(document);
        if (c->warning_count != cases[i].warnings)
            fail_msg("%s: %u warnings, not %u", cases[i].match, c->warning_count, cases[i].warnings);
        if (i == 3)
            assert_string_equal(c->warnings[0], "f:7:55: routes[0].match.clients[0]: found \"apj\", whom no "
                                                "listener of this route lets in as such");
        config_free(&c);
    }
#undef ALL
}

static void json_is_yaml(void **state)
{
    struct config *c = load(
        "{\"apiVersion\": \"hawser.dev/v1alpha1\", \"kind\": \"BrokerConfiguration\",\n"
        " \"listeners\": [{\"name\": \"a\", \"unix\": {\"path\": \"/run/a\", \"allowedUids\": [0, 7]}}],\n"
        " \"routes\": [{\"name\": \"r\", \"match\": {\"schemes\": [\"http\"], \"ports\": [80, "
        "\"81-82\"]}}],\n"
        " \"limits\": {\"memoryBytesMax\": 5000000000}}\n");
    (void)state;
    assert_int_equal(c->listeners[0].socket->allowed_uids[1], 7);
    assert_string_equal(c->routes[0].match.ports[1], "81-82");
    assert_true(c->limits.memory_bytes_max == UINT64_C(5000000000));
    config_free(&c);
}

static void doubtful_settings_are_warned_about(void **state)
{
    struct config *c = load(
        HEAD "listeners: [" TCP "insecure: true}, {name: u, unix: {path: /u, mode: \"0666\"}}]\n"
             "tlsProfiles: [{name: k}]\nroutes: [{name: r, tlsProfile: k, insecure: true}]\n"
             "pool: {idleTimeoutMs: 95000}\nadmin: {address: 0.0.0.0}\n");
    static const char *const warnings[] = {
        "f:3:70: listeners[0].insecure: found true: every process of this machine may use 127.0.0.1:80",
        "f:3:110: listeners[1].unix.mode: found \"0666\": everybody may connect, only allowedUids and "
        "allowedGids hold",
        "f:5:45: routes[0].insecure: found true: nobody is verified on route \"r\"",
        "f:6:23: pool.idleTimeoutMs: found 95000: a kubelet closes at 90000, so requests will meet "
        "connections that are just going",
        "f:7:18: admin.address: found 0.0.0.0: whoever reaches it sees health, metrics and endpoints"};
    (void)state;
    for (uint32_t i = 0; i < c->warning_count; i++)
        assert_string_equal(c->warnings[i], warnings[i]);
    assert_int_equal(c->warning_count, sizeof(warnings) / sizeof(warnings[0]));
    config_free(&c);
}

static struct config *load_example(void)
{
    struct config *c = NULL;
    struct config_error error;
    if (config_load("docs/examples/hawser.yaml", CONFIG_SKIP_FILES, &c, &error) != CONFIG_OK)
        fail_msg("%s", error.text);
    return c;
}

static void the_example_loads_without_a_warning(void **state)
{
    struct config *c = load_example();
    (void)state;
    assert_int_equal(c->warning_count, 0);
    assert_int_equal(c->route_count, 6);
    config_free(&c);
}

static void a_dump_loads_again_and_dumps_the_same(void **state)
{
    struct config *c = load_example();
    char *first = print(config_dump, c);
    struct config *again = load(first);
    char *second = print(config_dump, again);
    (void)state;
    assert_string_equal(first, second);
    free(first);
    free(second);
    config_free(&c);
    config_free(&again);
}

static void the_summary_says_what_is_insecure(void **state)
{
    struct config *c = load(HEAD "listeners: [" TCP "insecure: true}]\ntlsProfiles: [{name: k}]\n"
                                 "routes: [{name: r, tlsProfile: k, insecure: true}]\n");
    char *text = print(config_print_summary, c);
    (void)state;
    assert_non_null(strstr(text, "listener t: tcp 127.0.0.1:80, INSECURE: no TLS\n"));
    assert_non_null(strstr(text, "profile k, INSECURE: nobody is verified\n"));
    free(text);
    config_free(&c);
}

static void the_summary_says_where_tls_is_ended(void **state)
{
    struct config *c = load(HEAD LISTENER PROFILE
                            "routes: [{name: r, match: {schemes: [https, tunnel], clients: [\"uid:0\"]}, "
                            "tlsProfile: k, bridge: {issuerCertificateFile: /c, issuerKeyFile: /k, "
                            "clientCaFile: /a, allowedNames: [x]}}]\n");
    char *text = print(config_print_summary, c);
    (void)state;
    assert_non_null(strstr(text,
                           "route r: allow [https, tunnel] to anywhere, for 1 client pattern(s), profile "
                           "k, BRIDGE: TLS in tunnels ends here, issuer /c\n"));
    free(text);
    config_free(&c);
}

/* HAWSER_UPDATE_DOCS=1 rewrites the page instead. */
static void the_documentation_is_printed_from_the_table(void **state)
{
    static const char path[] = "docs/configuration.md";
    char *text = NULL;
    size_t len;
    struct file page;
    FILE *out = open_memstream(&text, &len);
    (void)state;
    assert_non_null(out);
    config_print_docs(out);
    assert_int_equal(fclose(out), 0);
    if (getenv("HAWSER_UPDATE_DOCS")) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, len, file), len);
        assert_int_equal(fclose(file), 0);
    }
    assert_int_equal(file_read(path, 1 << 20, &page), 0);
    assert_string_equal(page.bytes, text);
    file_fini(&page);
    free(text);
}

static void every_prefix_of_the_example_is_refused_or_loads(void **state)
{
    struct file page;
    (void)state;
    assert_int_equal(file_read("docs/examples/hawser.yaml", 1 << 20, &page), 0);
    for (size_t len = 0; len <= page.len; len++) {
        struct config *c = NULL;
        struct config_error error = {0};
        char *copy = malloc(len + 1); /* so that a sanitizer sees a read past the end */
        assert_non_null(copy);
        memcpy(copy, page.bytes, len);
        int rc = config_load_buffer("f", copy, len, CONFIG_SKIP_FILES, &c, &error);
        assert_true(rc == CONFIG_OK || rc == CONFIG_INVALID);
        if (rc == CONFIG_INVALID)
            assert_true(strncmp(error.text, "f:", 2) == 0 && strstr(error.text, ": found ") != NULL);
        free(copy);
        config_free(&c);
    }
    file_fini(&page);
}

static void more_than_a_mebibyte_is_refused(void **state)
{
    struct config *c = NULL;
    struct config_error error;
    size_t len = CONFIG_FILE_BYTES_MAX + 1;
    char *bytes = malloc(len);
    (void)state;
    assert_non_null(bytes);
    memset(bytes, '#', len);
    assert_int_equal(config_load_buffer("f", bytes, len, 0, &c, &error), CONFIG_INVALID);
    assert_string_equal(error.text,
                        "f:1:1: (document): found more than 1048576 bytes, expected at most that");
    free(bytes);
}

static void thousands_of_nodes_load(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    (void)state;
    assert_non_null(out);
    fputs(HEAD LISTENER PROFILE "routes:\n- name: r\n  tlsProfile: k\n  nodeNames:\n", out);
    for (unsigned i = 0; i < 15000; i++)
        fprintf(out, "  - {address: 10.0.%u.%u, name: node-%u}\n", i / 256, i % 256, i);
    assert_int_equal(fclose(out), 0);
    struct config *c = load(text);
    assert_int_equal(c->routes[0].node_name_count, 15000);
    assert_string_equal(c->routes[0].node_names[14999].name, "node-14999");
    config_free(&c);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_absent_has_its_default),
        cmocka_unit_test(routes_inherit_deadlines_they_do_not_set),
        cmocka_unit_test(a_tunnel_needs_no_profile_and_a_bridge_has_one),
        cmocka_unit_test(routes_through_agents_keep_the_order_of_ways_and_strategies),
        cmocka_unit_test(the_summary_says_how_agents_prove_themselves),
        cmocka_unit_test(clients_whom_no_listener_lets_in_are_warned_about),
        cmocka_unit_test(json_is_yaml),
        cmocka_unit_test(doubtful_settings_are_warned_about),
        cmocka_unit_test(the_example_loads_without_a_warning),
        cmocka_unit_test(a_dump_loads_again_and_dumps_the_same),
        cmocka_unit_test(the_summary_says_what_is_insecure),
        cmocka_unit_test(the_summary_says_where_tls_is_ended),
        cmocka_unit_test(the_documentation_is_printed_from_the_table),
        cmocka_unit_test(every_prefix_of_the_example_is_refused_or_loads),
        cmocka_unit_test(more_than_a_mebibyte_is_refused),
        cmocka_unit_test(thousands_of_nodes_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
