/* test/unit/test_config_files.c — files that settings name and the one of the configuration itself: node
 * names, kubeconfig. Every complaint is compared whole. Certificates, keys, CAs, tokens:
 * test_config_certificates.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/config/config_nodes.h"
#include "test/support/config_folder.h"

#define NODES                                                                                                \
    HEAD "listeners: [{name: u, unix: {path: /u}}]\nroutes:\n- name: r\n  match: {schemes: [http]}\n"        \
         "  nodeNameFile: @/nodes\n"

static void node_names_are_read_line_by_line(void **state)
{
    struct config_error error;
    (void)state;
    folder_put("nodes", "# nodes\n10.0.0.1 one\n\n  10.0.0.2\ttwo # the second\r\nfd00::3 three", 0644);
    struct config *c = folder_load(NODES, &error);
    assert_non_null(c);
    assert_int_equal(config_nodes_count(c->routes[0].nodes), 3);
    assert_string_equal(config_nodes_find(c->routes[0].nodes, "10.0.0.2"), "two");
    assert_string_equal(config_nodes_find(c->routes[0].nodes, "fd00::3"), "three");
    assert_null(config_nodes_find(c->routes[0].nodes, "10.0.0.4"));
    config_free(&c);
}

static void a_bad_node_file_names_its_line(void **state)
{
    static const struct pair cases[] = {
        PAIR("10.0.0.1 one\n10.0.0.2\n",
             "@/nodes:2:9: routes[0].nodeNameFile: found nothing, expected a node's name after the address"),
        PAIR("10.0.0.300 one\n",
             "@/nodes:1:1: routes[0].nodeNameFile: found \"10.0.0.300\", expected a host name or an address"),
        PAIR("10.0.0.1 One\n", "@/nodes:1:10: routes[0].nodeNameFile: found \"One\", expected a node's name: "
                               "lower-case letters, digits, '-' and '.'"),
        PAIR("10.0.0.1 one two\n",
             "@/nodes:1:14: routes[0].nodeNameFile: found \"two\", expected the end of the line"),
        PAIR("10.0.0.1 one\n::ffff:10.0.0.1 two\n",
             "@/nodes:2:1: routes[0].nodeNameFile: found a second node for \"10.0.0.1\", expected one"),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        folder_put("nodes", cases[i].given, 0644);
        folder_expect_line(NODES, cases[i].line);
    }
    unlink(folder_path("nodes"));
    folder_expect_line(NODES,
                       "f:7:17: routes[0].nodeNameFile: found \"@/nodes\" (no such file), expected a file "
                       "with lines ADDRESS NAME");
}

static void a_kubeconfig_must_be_there_and_should_be_private(void **state)
{
#define KUBECONFIG(file)                                                                                     \
    HEAD ROUTE "listeners: [{name: u, unix: {path: /u}}]\nkubernetes: {kubeconfigFile: " file "}\n"
    static const struct pair cases[] = {
        PAIR(KUBECONFIG("@/none"),
             "f:5:30: kubernetes.kubeconfigFile: found \"@/none\" (no such file), expected a kubeconfig"),
        PAIR(KUBECONFIG("@/directory"),
             "f:5:30: kubernetes.kubeconfigFile: found \"@/directory\" (a directory), expected a kubeconfig"),
        PAIR(
            KUBECONFIG("@/open.kubeconfig"),
            "f:5:30: kubernetes.kubeconfigFile: found \"@/open.kubeconfig\" readable for everybody, expected "
            "0600: it may hold a key"),
        PAIR(KUBECONFIG("@/kubeconfig"), "good"),
    };
    (void)state;
    folder_put("kubeconfig", "apiVersion: v1\n", 0600);
    folder_put("open.kubeconfig", "apiVersion: v1\n", 0644);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        folder_expect_line(cases[i].given, cases[i].line);
}

static void agents_may_come_without_a_client_ca(void **state)
{
    (void)state;
    folder_expect_line(
        HEAD ROUTE "agents: {anonymous: true}\nlisteners:\n- name: t\n  serves: agents\n"
                   "  tcp: {address: 127.0.0.1, port: 80}\n"
                   "  tls: {certificateFile: @/server.crt, keyFile: @/server.key}\n",
        "f:4:21: agents.anonymous: found true: whoever reaches listener \"t\" may carry connections");
}

static void the_configuration_file_itself_may_be_missing_or_large(void **state)
{
    struct config *c = NULL;
    struct config_error error;
    char expected[CONFIG_ERROR_MAX];
    (void)state;
    assert_int_equal(config_load(folder_path("none.yaml"), 0, &c, &error), CONFIG_INVALID);
    folder_expand("@/none.yaml:1:1: (document): found no such file, expected a readable file", expected,
                  sizeof(expected));
    assert_string_equal(error.text, expected);
    folder_put("large.yaml", "#", 0644);
    assert_int_equal(truncate(folder_path("large.yaml"), CONFIG_FILE_BYTES_MAX + 1), 0);
    assert_int_equal(config_load(folder_path("large.yaml"), 0, &c, &error), CONFIG_INVALID);
    folder_expand("@/large.yaml:1:1: (document): found more than 1048576 bytes, expected at most that",
                  expected, sizeof(expected));
    assert_string_equal(error.text, expected);
    assert_null(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_names_are_read_line_by_line),
        cmocka_unit_test(a_bad_node_file_names_its_line),
        cmocka_unit_test(a_kubeconfig_must_be_there_and_should_be_private),
        cmocka_unit_test(agents_may_come_without_a_client_ca),
        cmocka_unit_test(the_configuration_file_itself_may_be_missing_or_large),
    };
    return cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
}
