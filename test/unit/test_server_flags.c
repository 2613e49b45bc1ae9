/* test/unit/test_server_flags.c — the proxy-server's command line: Go's syntax, and every rule that it is
 * refused by. What it becomes: test_server_flags_config.c. The flags and defaults themselves are compared
 * with the original's in test/integration/51. */
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

/* Brackets instead of braces: clang-format would align the columns of unequal texts. */
#define CASE(given, found)                                                                                   \
    {                                                                                                        \
        given, found                                                                                         \
    }

/* -- syntax -------------------------------------------------------------------------------------------------
 */

static void values_come_as_go_takes_them(void **state)
{
    struct server_flags f;
    struct line line;
    (void)state;
    expect("--server-port=7 --agent-port 0x10 --server-count=-3 --kubeconfig-qps 2.5 --enable-profiling "
           "--delete-existing-uds-file=F --uds-name --mode -v4 --cipher-suites a,b --cipher-suites=c",
           &line, &f);
    assert_int_equal(f.server_port, 7);
    assert_int_equal(f.agent_port, 16);
    assert_int_equal(f.server_count, -3);
    assert_true(f.kubeconfig_qps == 2.5);
    assert_true(f.enable_profiling);
    assert_false(f.delete_existing_uds_file);
    assert_string_equal(f.uds_name, "--mode"); /* whatever follows is the value */
    assert_int_equal(f.verbosity, 4);
    assert_string_equal(f.cipher_suites, "a,b,c");
    expect("-v=1 -v 2 --v=3 --server-id=a --server-id b --admin-bind-address=", &line, &f);
    assert_int_equal(f.verbosity, 3);
    assert_string_equal(f.server_id, "b"); /* the last one counts */
    assert_string_equal(f.admin_bind_address, "");
    expect("-h", &line, &f);
    assert_true(f.help);
}

static void durations_are_go_s(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {CASE("0", 0),
                CASE("1h30m", INT64_C(5400000000000)),
                CASE("500ms", 500000000),
                CASE("1.5s", 1500000000),
                CASE(".5s", 500000000),
                CASE("1.s", 1000000000),
                CASE("100us", 100000),
                CASE("100\xc2\xb5s", 100000),
                CASE("7ns", 7),
                CASE("-2m", INT64_C(-120000000000)),
                CASE("+1h", INT64_C(3600000000000)),
                CASE("2540400h", INT64_C(9145440000000000000))};
    static const char *const bad[] = {"",   "1",   "s",        "1x",   "1h1",  "h1",
                                      ".s", "1 s", "2570000h", "1e3s", "--1s", "-"};
    struct server_flags f;
    struct line line;
    char text[64], error[SERVER_ERROR_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(text, sizeof(text), "--backend-dial-timeout=%s", good[i].text);
        expect(text, &line, &f);
        if (f.backend_dial_ns != good[i].ns)
            fail_msg("%s: found %lld", good[i].text, (long long)f.backend_dial_ns);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char argument[64], *argv[] = {argument};
        snprintf(argument, sizeof(argument), "--backend-dial-timeout=%s", bad[i]);
        if (server_flags_parse(&f, 1, argv, error))
            fail_msg("\"%s\" was taken", bad[i]);
    }
}

static void bad_lines_are_told_in_one_line(void **state)
{
    static const struct {
        const char *line, *error;
    } cases[] = {
        CASE("--foo=1", "found --foo, which is no flag of proxy-server (--help has them all)"),
        CASE("--log_file=x", "found --log_file, which is no flag of proxy-server (--help has them all)"),
        CASE("-server-port=1", "found -server-port=1, expected --flag, -v or -h"),
        CASE("-hv", "found -hv, expected --flag, -v or -h"),
        CASE("--server-port", "--server-port: found nothing, expected a whole number"),
        CASE("--server-port=80a", "--server-port: found \"80a\", expected a whole number"),
        CASE("--server-port=", "--server-port: found \"\", expected a whole number"),
        CASE("--server-port=99999999999999999999",
             "--server-port: found \"99999999999999999999\", expected a whole number"),
        CASE("-v=x", "--v: found \"x\", expected a whole number"),
        CASE("--kubeconfig-qps=inf", "--kubeconfig-qps: found \"inf\", expected a number"),
        CASE("--enable-profiling=yes", "--enable-profiling: found \"yes\", expected true or false"),
        CASE("--log-file-max-size=x", "--log-file-max-size: found \"x\", expected a whole number"),
        CASE("--keepalive-time=1",
             "--keepalive-time: found \"1\", expected a duration such as 30s, 1h30m or 500ms"),
    };
    struct server_flags f;
    struct line line;
    char error[SERVER_ERROR_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_false(parse(cases[i].line, &line, &f, error));
        assert_string_equal(error, cases[i].error);
    }
}

static void a_list_that_is_too_long_is_refused(void **state)
{
    static char argument[SERVER_LIST_MAX + 32] = "--cipher-suites=";
    char *argv[] = {argument}, error[SERVER_ERROR_MAX];
    struct server_flags f;
    (void)state;
    memset(argument + strlen(argument), 'x', SERVER_LIST_MAX);
    assert_false(server_flags_parse(&f, 1, argv, error));
    assert_non_null(strstr(error, "expected a shorter list"));
}

static void arguments_are_ignored_but_not_silently(void **state)
{
    struct server_flags f;
    struct line line;
    (void)state;
    expect("--delete-existing-uds-file false -- --foo", &line, &f);
    assert_true(f.delete_existing_uds_file);
    assert_int_equal(f.note_count, 2);
    assert_non_null(strstr(f.notes[0], "\"false\""));
    assert_non_null(strstr(f.notes[1], "\"--foo\""));
}

static void the_server_has_an_id_in_any_case(void **state)
{
    struct server_flags f, g;
    struct line line;
    (void)state;
    unsetenv("PROXY_SERVER_ID");
    expect("", &line, &f);
    expect("", &line, &g);
    assert_int_equal(strlen(f.server_id), 36);
    assert_int_equal(f.server_id[14], '4');
    assert_string_not_equal(f.server_id, g.server_id);
    setenv("PROXY_SERVER_ID", "from-outside", 1);
    expect("", &line, &f);
    assert_string_equal(f.server_id, "from-outside");
    expect("--server-id=flag", &line, &f);
    assert_string_equal(f.server_id, "flag");
    unsetenv("PROXY_SERVER_ID");
}

/* -- rules --------------------------------------------------------------------------------------------------
 */

static void what_the_proxy_server_refuses_is_refused(void **state)
{
    static const struct {
        const char *line, *error;
    } cases[] = {
        CASE(UDS "--cluster-key=/no/k", "--cluster-key: found no file \"/no/k\", expected one"),
        CASE(UDS "--cluster-cert=/no/c", "--cluster-cert: found no file \"/no/c\", expected one"),
        CASE(UDS "--cluster-ca-cert=/no/a", "--cluster-ca-cert: found no file \"/no/a\", expected one"),
        CASE(UDS "--kubeconfig=/no/k", "--kubeconfig: found no file \"/no/k\", expected one"),
        CASE(TCP "--server-key=/no/k", "--server-key: found no file \"/no/k\", expected one"),
        CASE(TCP "--server-cert=/no/c", "--server-cert: found no file \"/no/c\", expected one"),
        CASE(TCP "--server-ca-cert=/no/a", "--server-ca-cert: found no file \"/no/a\", expected one"),
        CASE(UDS "--cluster-key=", "--cluster-key: found nothing, expected the key of --cluster-cert"),
        CASE(UDS "--cluster-cert=",
             "--cluster-cert: found nothing, expected the certificate of --cluster-key"),
        CASE(UDS "--cluster-cert= --cluster-key=",
             "--cluster-cert: found nothing, expected a file: agents come over TLS only"),
        CASE(TCP "--server-key=", "--server-key: found nothing, expected the key of --server-cert"),
        CASE(TCP "--server-cert=", "--server-cert: found nothing, expected the certificate of --server-key"),
        CASE(TCP "--server-ca-cert=", "--server-ca-cert: found nothing, expected a file (or --uds-name)"),
        CASE(TCP "--server-cert= --server-key=",
             "--server-cert: found nothing, expected a file (or --uds-name)"),
        CASE("", "--server-ca-cert: found nothing, expected a file (or --uds-name)"),
        CASE(UDS "--mode=http", "--mode: found \"http\", expected grpc or http-connect"),
        CASE(UDS "--server-port=8090", "--server-port: found 8090 beside --uds-name, expected 0"),
        CASE(UDS "--server-ca-cert=/dev/null",
             "--server-ca-cert: found \"/dev/null\" beside --uds-name, expected one of them"),
        CASE(TCP "--uds-name=/s --server-port=0",
             "--server-key: found \"/dev/null\" beside --uds-name, expected one of them"),
        CASE("--uds-name=@x --server-port=0 " AGENTS,
             "--uds-name: found \"@x\", an abstract socket, expected a path"),
        CASE(
            "--uds-name=/dev/null --server-port=0 --delete-existing-uds-file=false " AGENTS,
            "--uds-name: found something at \"/dev/null\", expected nothing (or --delete-existing-uds-file)"),
        CASE(TCP "--server-port=0", "--server-port: found 0, expected 1024 to 49151: lower ports are "
                                    "reserved, higher ones ephemeral"),
        CASE(TCP "--server-port=49152", "--server-port: found 49152, expected 1024 to 49151: lower ports are "
                                        "reserved, higher ones ephemeral"),
        CASE(UDS "--agent-port=1023", "--agent-port: found 1023, expected 1024 to 49151: lower ports are "
                                      "reserved, higher ones ephemeral"),
        CASE(UDS "--admin-port=49152", "--admin-port: found 49152, expected 1024 to 49151: lower ports are "
                                       "reserved, higher ones ephemeral"),
        CASE(UDS "--health-port=0", "--health-port: found 0, expected 1024 to 49151: lower ports are "
                                    "reserved, higher ones ephemeral"),
        CASE(UDS "--enable-contention-profiling",
             "--enable-contention-profiling: found true, expected --enable-profiling beside it"),
        CASE(UDS TOKENS "--cluster-ca-cert=/dev/null",
             "--cluster-ca-cert: found \"/dev/null\" beside --agent-namespace, --agent-service-account or "
             "--authentication-audience, expected agents' certificates or their tokens"),
        CASE(UDS TOKENS "--agent-namespace=",
             "--agent-namespace: found nothing, expected a value: agents are authenticated by token"),
        CASE(UDS TOKENS "--agent-service-account=",
             "--agent-service-account: found nothing, expected a value: agents are authenticated by token"),
        CASE(UDS "--agent-namespace=x --agent-service-account=y",
             "--authentication-audience: found nothing, expected a value: agents are authenticated by token"),
        CASE(UDS "--proxy-strategies=",
             "--proxy-strategies: found none, expected default, destHost or defaultRoute"),
        CASE(UDS "--proxy-strategies=,,",
             "--proxy-strategies: found none, expected default, destHost or defaultRoute"),
        CASE(UDS "--proxy-strategies=default,desthost",
             "--proxy-strategies: found \"desthost\", expected default, destHost or defaultRoute"),
        CASE(UDS "--xfr-channel-size=0", "--xfr-channel-size: found 0, expected more than 0"),
        CASE(UDS "--tls-min-version=1.2", "--tls-min-version: found \"1.2\", expected VersionTLS10, "
                                          "VersionTLS11, VersionTLS12 or VersionTLS13"),
        CASE(UDS "--cipher-suites=TLS_AES_128_GCM_SHA256,TLS_RSA_WITH_RC4_128_SHA",
             "--cipher-suites: found \"TLS_RSA_WITH_RC4_128_SHA\", expected names of Go's secure suites"),
        CASE(UDS "--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
             "--cipher-suites: found none that is here, expected one of "
             "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "
             "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "
             "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
        CASE(UDS "--enable-lease-controller --lease-label=", "--lease-label: found \"\", expected key=value"),
        CASE(UDS "--enable-lease-controller --lease-label=a=b,c",
             "--lease-label: found \"c\", expected key=value"),
        CASE(UDS "--enable-lease-controller --lease-label=a=b=c,d=e",
             "--lease-label: found \"a=b=c\", expected key=value"),
        CASE(UDS "--graceful-shutdown-timeout=-1s",
             "--graceful-shutdown-timeout: found less than 0, expected 0 or more"),
        CASE(UDS "--backend-dial-timeout=-1s",
             "--backend-dial-timeout: found less than 0, expected 0 or more"),
        CASE(UDS "--health-bind-address=node-1", "--health-bind-address: found \"node-1\", expected an IPv4 "
                                                 "or IPv6 address, localhost or nothing"),
        CASE(UDS "--logtostderr=false --log-file=x.log",
             "--log-file: found \"x.log\", expected an absolute path"),
    };
    struct server_flags f;
    struct line line;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char error[SERVER_ERROR_MAX] = "";
        expect(cases[i].line, &line, &f);
        if (server_flags_check(&f, error) || strcmp(error, cases[i].error) != 0)
            fail_msg("%s\n gave %s\n not  %s", cases[i].line, error, cases[i].error);
    }
}

/* What has no effect, or less than it says, is noted once. */
static void what_cannot_be_had_here_is_noted(void **state)
{
    static const struct {
        const char *line, *note;
    } cases[] = {
        CASE(UDS, "may register as an agent"),
        CASE(UDS "--cluster-ca-cert=/dev/null", NULL),
        CASE(UDS TOKENS, NULL),
        CASE(UDS TOKENS "--enable-profiling", "/debug/pprof answers 501"),
        CASE(UDS TOKENS "--tls-min-version=VersionTLS11", "found VersionTLS11"),
        CASE(UDS TOKENS "--tls-min-version=VersionTLS13", NULL),
        CASE(UDS TOKENS
             "--cipher-suites=TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,TLS_ECDHE_RSA_WITH_AES_128_"
             "GCM_SHA256",
             "are not here and left out"),
        CASE(UDS TOKENS "--cipher-suites=TLS_AES_128_GCM_SHA256", NULL),
        CASE(UDS TOKENS "--log-file=/var/log/k.log", "standard error has the log"),
        CASE(UDS TOKENS "--log-file=/var/log/k.log --logtostderr=false", "never begun anew"),
        CASE(UDS TOKENS "--log-file-max-size=0", NULL),
    };
    struct server_flags f;
    struct line line;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char error[SERVER_ERROR_MAX] = "";
        expect(cases[i].line, &line, &f);
        if (!server_flags_check(&f, error))
            fail_msg("%s: %s", cases[i].line, error);
        assert_int_equal(f.note_count, cases[i].note != NULL);
        if (cases[i].note && !strstr(f.notes[0], cases[i].note))
            fail_msg("%s: %s", cases[i].line, f.notes[0]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_as_go_takes_them),
        cmocka_unit_test(durations_are_go_s),
        cmocka_unit_test(bad_lines_are_told_in_one_line),
        cmocka_unit_test(a_list_that_is_too_long_is_refused),
        cmocka_unit_test(arguments_are_ignored_but_not_silently),
        cmocka_unit_test(the_server_has_an_id_in_any_case),
        cmocka_unit_test(what_the_proxy_server_refuses_is_refused),
        cmocka_unit_test(what_cannot_be_had_here_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
