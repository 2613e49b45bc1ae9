/* test/unit/test_server_flags_config.c — what the proxy-server's command line becomes: a configuration that
 * loads, with the effect of every flag; and the page that documents them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/config/config.h"
#include "io/file.h"
#include "io/tls/tls.h"
#include "test/unit/server_line.h"

/* -- the configuration --------------------------------------------------------------------------------------
 */

static struct config *configure(const char *text)
{
    struct server_flags f;
    struct line line;
    struct config *c = NULL;
    struct config_error bad;
    char error[SERVER_ERROR_MAX], *yaml = NULL;
    size_t len;
    expect(text, &line, &f);
    if (!server_flags_check(&f, error))
        fail_msg("%s: %s", text, error);
    FILE *out = open_memstream(&yaml, &len);
    assert_non_null(out);
    server_config_print(&f, out);
    assert_int_equal(fclose(out), 0);
    if (config_load_buffer("flags", yaml, len, CONFIG_SKIP_FILES, &c, &bad) != CONFIG_OK)
        fail_msg("%s\n%s", yaml, bad.text);
    free(yaml);
    return c;
}

static void defaults_become_the_proxy_server_s(void **state)
{
    struct config *c = configure(UDS "--server-id=me");
    (void)state;
    assert_int_equal(c->listener_count, 2);
    assert_string_equal(c->listeners[0].socket->path, "/run/x/s");
    assert_int_equal(c->listeners[0].socket->mode_bits, 0770);
    assert_true(c->listeners[0].socket->any_peer);
    assert_int_equal(c->listeners[1].serves, CONFIG_SERVES_AGENTS);
    assert_string_equal(c->listeners[1].tcp->address, "*");
    assert_int_equal(c->listeners[1].tcp->port, 8091);
    assert_null(c->listeners[1].tls->client_ca_file);
    assert_int_equal(c->listeners[1].tls->min_version, CONFIG_TLS_1_2);
    assert_int_equal(c->listeners[1].tls->cipher_suites, TLS_SUITES_ALL);
    assert_true(c->agents.anonymous);
    assert_string_equal(c->agents.server_id, "me");
    assert_int_equal(c->agents.server_count, 1);
    assert_int_equal(c->agents.keepalive_ms, 10000);
    assert_null(c->agents.token_review);
    assert_null(c->agents.leases);
    assert_int_equal(c->route_count, 1);
    assert_int_equal(c->routes[0].via_count, 1);
    assert_int_equal(c->routes[0].via[0], CONFIG_VIA_AGENT);
    assert_int_equal(c->routes[0].strategy_count, 1);
    assert_int_equal(c->routes[0].match.schemes, CONFIG_SCHEME_TUNNEL);
    assert_string_equal(c->admin.address, "127.0.0.1");
    assert_int_equal(c->admin.port, 8095);
    assert_string_equal(c->health.address, "*");
    assert_int_equal(c->health.port, 8092);
    assert_int_equal(c->timeouts.drain_ms, 0);
    assert_int_equal(c->log.level, CONFIG_LOG_INFO);
    assert_true(c->log.access_log);
    assert_string_equal(c->log.file, "stderr");
    config_free(&c);
}

static void every_flag_with_an_effect_has_it(void **state)
{
    struct config *c = configure(
        TCP TOKENS
        "--server-bind-address=::1 --server-port=8132 --agent-bind-address=localhost "
        "--server-count=3 --proxy-strategies=destHost,,defaultRoute,default --keepalive-time=5s "
        "--kubeconfig=/dev/null --kubeconfig-qps=1.5 --kubeconfig-burst=9 --enable-lease-controller "
        "--lease-namespace=ns --lease-label=a=b --graceful-shutdown-timeout=1m30s -v=1 "
        "--backend-dial-timeout=2s");
    (void)state;
    assert_string_equal(c->listeners[0].tcp->address, "::1");
    assert_int_equal(c->listeners[0].tcp->port, 8132);
    assert_string_equal(c->listeners[0].tls->client_ca_file, "/dev/null");
    assert_string_equal(c->listeners[0].tls->allowed_names[0], "*");
    assert_true(c->listeners[0].tls->key_world_readable);
    assert_string_equal(c->listeners[1].tcp->address, "127.0.0.1");
    assert_int_equal(c->agents.server_count, 3);
    assert_int_equal(c->agents.strategy_count, 3);
    assert_int_equal(c->agents.strategies[0], CONFIG_STRATEGY_DEST_HOST);
    assert_int_equal(c->agents.strategies[1], CONFIG_STRATEGY_DEFAULT_ROUTE);
    assert_int_equal(c->agents.strategies[2], CONFIG_STRATEGY_DEFAULT);
    assert_int_equal(c->agents.keepalive_ms, 5000);
    assert_int_equal(c->agents.dial_ms, 2000);
    assert_string_equal(c->agents.token_review->audience, "server");
    assert_string_equal(c->agents.token_review->namespace, "kube-system");
    assert_string_equal(c->agents.token_review->service_account, "agent");
    assert_string_equal(c->agents.leases->namespace, "ns");
    assert_string_equal(c->agents.leases->label, "a=b");
    assert_string_equal(c->kubernetes.kubeconfig_file, "/dev/null");
    assert_int_equal(c->kubernetes.qps, 2);
    assert_int_equal(c->kubernetes.burst, 9);
    assert_int_equal(c->timeouts.drain_ms, 90000);
    assert_int_equal(c->log.level, CONFIG_LOG_WARN);
    assert_false(c->log.access_log);
    config_free(&c);
    c = configure(UDS "--cluster-ca-cert=/dev/null -v=5 --logtostderr=false --log-file=/var/log/k.log "
                      "--tls-min-version=VersionTLS12 --keepalive-time=1ms --backend-dial-timeout=100h "
                      "--cipher-suites=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,TLS_AES_128_GCM_SHA256");
    assert_string_equal(c->listeners[1].tls->client_ca_file, "/dev/null");
    assert_string_equal(c->listeners[1].tls->allowed_names[0], "*");
    assert_int_equal(c->listeners[1].tls->cipher_suites, TLS_SUITE_RSA_256);
    assert_false(c->agents.anonymous);
    assert_int_equal(c->agents.keepalive_ms, 1000);
    assert_int_equal(c->agents.dial_ms, 120000);
    assert_int_equal(c->log.level, CONFIG_LOG_DEBUG);
    assert_string_equal(c->log.file, "/var/log/k.log");
    config_free(&c);
    c = configure(UDS TOKENS "--cipher-suites=TLS_AES_128_GCM_SHA256 --uds-name=rel/s");
    assert_int_equal(c->listeners[1].tls->min_version, CONFIG_TLS_1_3);
    assert_int_equal(c->listeners[0].socket->path[0], '/');
    assert_non_null(strstr(c->listeners[0].socket->path, "/rel/s"));
    config_free(&c);
}

/* Whatever is in a flag's text stays inside its quotes. */
static void texts_cannot_break_out(void **state)
{
    char argument[] = "--server-id=a\"\nlog: {level: debug}\n#", *argv[] = {argument};
    struct server_flags f;
    char error[SERVER_ERROR_MAX], *yaml = NULL;
    size_t len;
    (void)state;
    assert_true(server_flags_parse(&f, 1, argv, error));
    FILE *out = open_memstream(&yaml, &len);
    assert_non_null(out);
    server_config_print(&f, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(yaml, "  serverId: \"a\\\"\\x0alog: {level: debug}\\x0a#\"\n"));
    free(yaml);
}

/* -- documentation ------------------------------------------------------------------------------------------
 */

#define BEGIN "<!-- flags: printed from the table in broker/konnectivity/server_flags.c -->\n"
#define END   "<!-- end of flags -->\n"

/* HAWSER_UPDATE_DOCS=1 rewrites the table in the page instead. */
static void the_documentation_is_printed_from_the_table(void **state)
{
    static const char path[] = "docs/konnectivity.md";
    char *text = NULL;
    size_t len;
    struct file page;
    FILE *out = open_memstream(&text, &len);
    (void)state;
    assert_non_null(out);
    server_flags_docs(out);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(file_read(path, 1 << 20, &page), 0);
    char *begin = strstr(page.bytes, BEGIN), *end = strstr(page.bytes, END);
    assert_true(begin && end && begin < end);
    begin += strlen(BEGIN);
    bool same = (size_t)(end - begin) == len && memcmp(begin, text, len) == 0;
    if (!same && getenv("HAWSER_UPDATE_DOCS")) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fprintf(file, "%.*s%s%s", (int)(begin - page.bytes), page.bytes, text, end);
        assert_int_equal(fclose(file), 0);
    } else {
        assert_true(same);
    }
    file_fini(&page);
    free(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_become_the_proxy_server_s),
        cmocka_unit_test(every_flag_with_an_effect_has_it),
        cmocka_unit_test(texts_cannot_break_out),
        cmocka_unit_test(the_documentation_is_printed_from_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
