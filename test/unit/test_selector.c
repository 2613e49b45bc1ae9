/* test/unit/test_selector.c — which listener kube-apiserver is sent to, and what is said when there is none.
 * What is printed is read by YAML parsers in test/integration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/config/config.h"
#include "broker/selector.h"

#define HEAD  "apiVersion: hawser.dev/v1alpha1\nkind: BrokerConfiguration\nlisteners:\n"
#define UNIX  "- {name: u, unix: {path: /run/hawser/egress.sock}}\n"
#define LOOSE "- {name: loose, tcp: {address: 127.0.0.1, port: 8130}, insecure: true}\n"
#define TLS(name, address)                                                                                   \
    "- {name: " name ", tcp: {address: \"" address "\", port: 8132}, tls: {certificateFile: /c, keyFile: "   \
    "/k, clientCaFile: /a, allowedNames: [kube-apiserver, \"*.cp\"]}}\n"
#define AGENTS                                                                                               \
    "- {name: g, serves: agents, tcp: {address: 10.0.0.1, port: 8091}, tls: {certificateFile: /c, keyFile: " \
    "/k, clientCaFile: /a, allowedNames: [agent]}}\n"
#define ROUTES(match) "routes: [{name: r, match: {schemes: [http, tunnel]" match "}}]\n"

static char *print(const char *document, const struct selector_options *options, char detail[400])
{
    struct config *config = NULL;
    struct config_error error;
    char *text = NULL;
    size_t len;
    if (config_load_buffer("f", document, strlen(document), CONFIG_SKIP_FILES, &config, &error) != CONFIG_OK)
        fail_msg("%s", error.text);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    detail[0] = '\0';
    bool printed = selector_print(config, options, out, detail, 400);
    assert_int_equal(fclose(out), 0);
    assert_true(printed == (detail[0] == '\0'));
    assert_true(printed == (len > 0));
    config_free(&config);
    return text;
}

static void a_socket_is_named_by_its_bare_path(void **state)
{
    char detail[400];
    char *text = print(HEAD TLS("t", "10.0.0.1") UNIX ROUTES(""), &(struct selector_options){0}, detail);
    (void)state;
    assert_string_equal(text, "# For kube-apiserver --egress-selector-config-file: the broker's listener u.\n"
                              "apiVersion: apiserver.k8s.io/v1beta1\n"
                              "kind: EgressSelectorConfiguration\n"
                              "egressSelections:\n"
                              "  - name: cluster\n"
                              "    connection:\n"
                              "      proxyProtocol: HTTPConnect\n"
                              "      transport:\n"
                              "        uds:\n"
                              "          udsName: \"/run/hawser/egress.sock\"\n");
    free(text);
}

static void the_listener_is_one_that_kube_apiserver_can_use(void **state)
{
    static const struct {
        const char *document, *listener, *found; /* in what is printed */
    } cases[] = {
        {HEAD TLS("t",                           "10.0.0.1") UNIX ROUTES(""),           NULL,                                                                    "listener u."},
        {HEAD TLS("t",                                      "10.0.0.1") UNIX ROUTES(""),                                                                "t",                                                                       "url: \"https://10.0.0.1:8132\"\n"},
        {HEAD AGENTS UNIX ROUTES(""),    NULL,                                         "listener u."               },
        {HEAD LOOSE TLS("t",                         "10.0.0.1") ROUTES(""),                      NULL,                                                             "listener t."},
        {HEAD UNIX TLS("t",                                  "fd00::1") ROUTES(", listeners: [t]"),                                     NULL,                                                "url: \"https://[fd00::1]:8132\"\n"},
        {HEAD UNIX TLS("t","10.0.0.1") ROUTES(", clients: [kube-apiserver]"),NULL,"listener t."},
        {HEAD UNIX TLS("t",                      "10.0.0.1") ROUTES(", clients: [\"uid:0\", other]"),                                           NULL,                                                                                                                                                  "listener u."},
        {HEAD "- {name: u, unix: {path: /r/s, allowedUids: [7], allowedGids: [8, 9]}}\n" ROUTES(""),                                      NULL,
         "must run as one of them: uid 7 gid 8 gid 9\n"                                                         },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char detail[400];
        char *text = print(cases[i].document, &(struct selector_options){.listener = cases[i].listener},
                           detail);
        if (!strstr(text, cases[i].found))
            fail_msg("case %zu: %s%s", i, text, detail);
        free(text);
    }
}

static void what_is_missing_is_told_in_one_line(void **state)
{
    static const struct {
        const char *document;
        struct selector_options options;
        const char *line;
    } cases[] = {
        {HEAD LOOSE ROUTES(""),
         {0},
         "listeners: found none that kube-apiserver can use, expected unix, or tcp with tls"                              },
        {HEAD LOOSE UNIX ROUTES(""),
         {.listener = "loose"},
         "listener loose: found TCP without TLS, expected unix, or tcp with tls: kube-apiserver does not "
         "start "
         "with a plain http:// URL"                                                                                       },
        {HEAD AGENTS LOOSE ROUTES(""),
         {0},
         "listeners: found none that kube-apiserver can use, expected unix, or tcp with tls"                              },
        {HEAD AGENTS UNIX ROUTES(""),
         {.listener = "g"},
         "listener g: found one that serves agents, expected one for kube-apiserver"                                      },
        {HEAD UNIX ROUTES(""),
         {.listener = "x"},
         "--listener: found \"x\", expected the name of one of listeners"                                                 },
        {HEAD UNIX "routes: [{name: r, match: {schemes: [http]}}]\n",
         {0},
         "routes: found none that allows tunnels on listener u, expected match.schemes with tunnel"                       },
        {HEAD UNIX "routes: [{name: r, match: {schemes: [tunnel]}, action: refuse}]\n",
         {0},
         "routes: found none that allows tunnels on listener u, expected match.schemes with tunnel"                       },
        {HEAD UNIX TLS("t",                                                             "10.0.0.1") ROUTES(", listeners: [t]"),
         {.listener = "u"},
         "routes: found none that allows tunnels on listener u, expected match.schemes with tunnel"},
        {HEAD UNIX ROUTES(", clients: [kube-apiserver]"),
         {0},
         "routes: found none that allows tunnels on listener u, expected match.schemes with tunnel"                                                                                                              },
        {HEAD TLS("t",                                                                             "0.0.0.0") ROUTES(""),
         {0},
         "listener t: found address 0.0.0.0, expected --host with the name or address that kube-apiserver "
         "shall "
         "use"},
        {HEAD TLS("t",                                                                         "::") ROUTES(""),
         {0},
         "listener t: found address ::, expected --host with the name or address that kube-apiserver shall "
         "use"},
        {HEAD TLS("t",                                                                           "::") ROUTES(""),
         {.host = "a b"},
         "--host: found \"a b\", expected a host name or an address"},
        {HEAD TLS("t","::") ROUTES(""),
         {.host = "h", .server_name = "x\n"},
         "--server-name: found \"x\\x0a\", expected a host name or an address"},
        {HEAD TLS("t",                                                                  "10.0.0.1") ROUTES(""),
         {.client_key_file = "key.pem"},
         "--client-key: found \"key.pem\", expected an absolute path"},
        {HEAD TLS("t",                                                                             "10.0.0.1") ROUTES(""),
         {.file = "/a\nb"},
         "--file: found \"/a\\x0ab\", expected an absolute path"},
        {HEAD "- {name: u, unix: {path: /s}}\n" ROUTES(""),
         {0},
         "listener u: found a socket in /, expected one in a directory of its own"                                      },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char detail[400];
        char *text = print(cases[i].document, &cases[i].options, detail);
        assert_string_equal(detail, cases[i].line);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_is_named_by_its_bare_path),
        cmocka_unit_test(the_listener_is_one_that_kube_apiserver_can_use),
        cmocka_unit_test(what_is_missing_is_told_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
