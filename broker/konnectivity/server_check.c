/* broker/konnectivity/server_check.c — what the proxy-server refuses to start with, in its order, and the few
 * things that it takes and we cannot. Contents of files are judged when the configuration is loaded. */
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/konnectivity/server_flags.h"
#include "io/net.h"
#include "io/tls/tls.h"

enum { PORT_MIN = 1024, PORT_MAX = 49151 /* beyond are ephemeral ones */ };

struct checker {
    struct server_flags *flags;
    char *error;
};

PRINTF(2, 3)
static bool fail(struct checker *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->error, SERVER_ERROR_MAX, format, args);
    va_end(args);
    return false;
}

/* -- files --------------------------------------------------------------------------------------------------
 */

static bool exists(struct checker *c, const char *flag, const char *path)
{
    struct stat st;
    if (path[0] == '\0' || stat(path, &st) == 0)
        return true;
    return fail(c, "--%s: found no file \"%.200s\", expected one", flag, path);
}

static bool check_pair(struct checker *c, const char *cert_flag, const char *cert, const char *key_flag,
                       const char *key)
{
    if (!exists(c, key_flag, key) || !exists(c, cert_flag, cert))
        return false;
    if (key[0] && !cert[0])
        return fail(c, "--%s: found nothing, expected the certificate of --%s", cert_flag, key_flag);
    if (cert[0] && !key[0])
        return fail(c, "--%s: found nothing, expected the key of --%s", key_flag, cert_flag);
    return true;
}

static bool check_files(struct checker *c)
{
    const struct server_flags *f = c->flags;
    return check_pair(c, "server-cert", f->server_cert, "server-key", f->server_key) &&
           exists(c, "server-ca-cert", f->server_ca_cert) &&
           check_pair(c, "cluster-cert", f->cluster_cert, "cluster-key", f->cluster_key) &&
           exists(c, "cluster-ca-cert", f->cluster_ca_cert) && exists(c, "kubeconfig", f->kubeconfig);
}

/* -- where to listen ----------------------------------------------------------------------------------------
 */

static bool none(struct checker *c, const char *flag, const char *value)
{
    return !value[0] ||
           fail(c, "--%s: found \"%.200s\" beside --uds-name, expected one of them", flag, value);
}

static bool check_frontend(struct checker *c)
{
    const struct server_flags *f = c->flags;
    if (strcmp(f->mode, "grpc") != 0 && strcmp(f->mode, "http-connect") != 0)
        return fail(c, "--mode: found \"%.100s\", expected grpc or http-connect", f->mode);
    if (f->uds_name[0] && f->server_port != 0)
        return fail(c, "--server-port: found %lld beside --uds-name, expected 0", (long long)f->server_port);
    if (f->uds_name[0])
        return none(c, "server-key", f->server_key) && none(c, "server-cert", f->server_cert) &&
               none(c, "server-ca-cert", f->server_ca_cert);
    if (!f->server_ca_cert[0])
        return fail(c, "--server-ca-cert: found nothing, expected a file (or --uds-name)");
    if (!f->server_cert[0])
        return fail(c, "--server-cert: found nothing, expected a file (or --uds-name)");
    return true;
}

static bool check_socket(struct checker *c)
{
    const struct server_flags *f = c->flags;
    struct stat st;
    if (f->uds_name[0] == '@')
        return fail(c, "--uds-name: found \"%.100s\", an abstract socket, expected a path", f->uds_name);
    if (!f->uds_name[0] || f->delete_existing_uds_file || lstat(f->uds_name, &st) != 0)
        return true;
    return fail(c,
                "--uds-name: found something at \"%.200s\", expected nothing (or --delete-existing-uds-file)",
                f->uds_name);
}

static bool check_ports(struct checker *c)
{
    const struct server_flags *f = c->flags;
    const struct {
        const char *flag;
        int64_t port;
        bool unused;
    } ports[] = {
        {"server-port", f->server_port, f->uds_name[0] != '\0'},
        {"agent-port",  f->agent_port,  false                 },
        {"admin-port",  f->admin_port,  false                 },
        {"health-port", f->health_port, false                 }
    };
    for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
        if (!ports[i].unused && (ports[i].port < PORT_MIN || ports[i].port > PORT_MAX))
            return fail(
                c, "--%s: found %lld, expected %d to %d: lower ports are reserved, higher ones ephemeral",
                ports[i].flag, (long long)ports[i].port, PORT_MIN, PORT_MAX);
    return true;
}

bool server_bind_address(const char *flag, const char **ret_address)
{
    struct net_address a;
    if (!flag[0])
        *ret_address = "*";
    else if (strcmp(flag, "localhost") == 0)
        *ret_address = "127.0.0.1";
    else if (net_address_parse(flag, strlen(flag), 0, &a))
        *ret_address = flag;
    else
        return false;
    return true;
}

static bool check_addresses(struct checker *c)
{
    const struct server_flags *f = c->flags;
    const char *const addresses[][2] = {
        {"server-bind-address", f->server_bind_address},
        {"agent-bind-address",  f->agent_bind_address },
        {"admin-bind-address",  f->admin_bind_address },
        {"health-bind-address", f->health_bind_address}
    };
    const char *address;
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
        if (!server_bind_address(addresses[i][1], &address))
            return fail(c, "--%s: found \"%.100s\", expected an IPv4 or IPv6 address, localhost or nothing",
                        addresses[i][0], addresses[i][1]);
    return true;
}

/* -- agents -------------------------------------------------------------------------------------------------
 */

static bool check_tokens(struct checker *c)
{
    const struct server_flags *f = c->flags;
    const char *const needed[][2] = {
        {"agent-namespace",         f->agent_namespace        },
        {"agent-service-account",   f->agent_service_account  },
        {"authentication-audience", f->authentication_audience}
    };
    if (!f->agent_namespace[0] && !f->agent_service_account[0] && !f->authentication_audience[0])
        return true;
    if (f->cluster_ca_cert[0])
        return fail(
            c,
            "--cluster-ca-cert: found \"%.200s\" beside --agent-namespace, --agent-service-account or "
            "--authentication-audience, expected agents' certificates or their tokens",
            f->cluster_ca_cert);
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
        if (!needed[i][1][0])
            return fail(c, "--%s: found nothing, expected a value: agents are authenticated by token",
                        needed[i][0]);
    return true;
}

static bool is_strategy(const char *text, size_t len)
{
    static const char *const names[] = {"default", "destHost", "defaultRoute"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strlen(names[i]) == len && memcmp(names[i], text, len) == 0)
            return true;
    return false;
}

static bool check_strategies(struct checker *c)
{
    const char *text = c->flags->proxy_strategies;
    bool found = false;
    for (;;) {
        size_t len = strcspn(text, ",");
        if (len > 0 && !is_strategy(text, len))
            return fail(c, "--proxy-strategies: found \"%.*s\", expected default, destHost or defaultRoute",
                        (int)(len < 100 ? len : 100), text);
        found |= len > 0;
        if (text[len] == '\0')
            break;
        text += len + 1;
    }
    return found || fail(c, "--proxy-strategies: found none, expected default, destHost or defaultRoute");
}

/* "key=value", commas between them. */
static bool check_labels(struct checker *c)
{
    const char *text = c->flags->lease_label;
    for (bool more = c->flags->enable_lease_controller; more;) {
        size_t len = strcspn(text, ","), key = strcspn(text, "=");
        bool one = key < len && memchr(text + key + 1, '=', len - key - 1) == NULL;
        if (!one)
            return fail(c, "--lease-label: found \"%.*s\", expected key=value", (int)(len < 100 ? len : 100),
                        text);
        more = text[len] == ',';
        text += len + 1;
    }
    return true;
}

/* -- TLS ----------------------------------------------------------------------------------------------------
 */

/* In brackets: clang-format 14 crashes on arrays of uneven braces. */
#define SUITE(name, bit, tls13)                                                                              \
    {                                                                                                        \
        name, bit, tls13                                                                                     \
    }

/* Go's tls.CipherSuites(); what is not in it does not exist, or is not secure. */
static const struct {
    const char *name;
    uint32_t bit; /* 0: not here, or of TLS 1.3 */
    bool tls13;
} go_suites[] = {
#define X(symbol, name, iana) SUITE(iana, TLS_SUITE_##symbol, false),
    TLS_SUITES(X)
#undef X
        SUITE("TLS_AES_128_GCM_SHA256", 0, true),
    SUITE("TLS_AES_256_GCM_SHA384", 0, true),
    SUITE("TLS_CHACHA20_POLY1305_SHA256", 0, true),
    SUITE("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0, false),
    SUITE("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", 0, false),
    SUITE("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 0, false),
    SUITE("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", 0, false),
    SUITE("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0, false),
    SUITE("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0, false),
};

bool server_suites(const char *list, struct server_suites *ret)
{
    *ret = (struct server_suites){.tls13_only = list[0] != '\0'};
    for (bool more = list[0] != '\0'; more;) {
        size_t len = strcspn(list, ","), i = 0;
        while (i < ARRAY_SIZE(go_suites) &&
               (strlen(go_suites[i].name) != len || memcmp(go_suites[i].name, list, len) != 0))
            i++;
        if (i == ARRAY_SIZE(go_suites)) {
            snprintf(ret->unknown, sizeof(ret->unknown), "%.*s", (int)len, list);
            return false;
        }
        ret->set |= go_suites[i].bit;
        ret->tls13_only &= go_suites[i].tls13;
        ret->missing |= !go_suites[i].bit && !go_suites[i].tls13;
        more = list[len] == ',';
        list += len + 1;
    }
    return true;
}

#define SUITES_HERE                                                                                          \
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "                       \
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"

static bool check_tls(struct checker *c)
{
    static const char *const versions[] = {"", "VersionTLS10", "VersionTLS11", "VersionTLS12",
                                           "VersionTLS13"};
    struct server_flags *f = c->flags;
    struct server_suites suites;
    size_t v = 0;
    while (v < ARRAY_SIZE(versions) && strcmp(f->tls_min_version, versions[v]) != 0)
        v++;
    if (v == ARRAY_SIZE(versions))
        return fail(
            c,
            "--tls-min-version: found \"%.100s\", expected VersionTLS10, VersionTLS11, VersionTLS12 or "
            "VersionTLS13",
            f->tls_min_version);
    if (v == 1 || v == 2)
        server_flags_note(
            f, "--tls-min-version: found %s, which is broken (RFC 8996): TLS 1.2 is the oldest here",
            versions[v]);
    if (!server_suites(f->cipher_suites, &suites))
        return fail(c, "--cipher-suites: found \"%.100s\", expected names of Go's secure suites",
                    suites.unknown);
    if (suites.set == 0 && !suites.tls13_only && f->cipher_suites[0])
        return fail(c, "--cipher-suites: found none that is here, expected one of " SUITES_HERE);
    if (suites.missing)
        server_flags_note(f, "--cipher-suites: those with CBC or ChaCha20 are not here and left out");
    return true;
}

/* -- the rest -----------------------------------------------------------------------------------------------
 */

static bool check_numbers(struct checker *c)
{
    const struct server_flags *f = c->flags;
    if (f->xfr_channel_size <= 0)
        return fail(c, "--xfr-channel-size: found %lld, expected more than 0",
                    (long long)f->xfr_channel_size);
    if (f->graceful_shutdown_ns < 0)
        return fail(c, "--graceful-shutdown-timeout: found less than 0, expected 0 or more");
    if (f->backend_dial_ns < 0)
        return fail(c, "--backend-dial-timeout: found less than 0, expected 0 or more");
    return true;
}

static bool check_profiling(struct checker *c)
{
    struct server_flags *f = c->flags;
    if (f->enable_contention_profiling && !f->enable_profiling)
        return fail(c, "--enable-contention-profiling: found true, expected --enable-profiling beside it");
    if (f->enable_profiling)
        server_flags_note(f, "--enable-profiling: Go's profiles do not exist here, /debug/pprof answers 501");
    return true;
}

static bool check_log(struct checker *c)
{
    struct server_flags *f = c->flags;
    if (f->log_file[0] && f->logtostderr)
        server_flags_note(
            f,
            "--log-file: found \"%.100s\" with --logtostderr: standard error has the log, as with "
            "proxy-server",
            f->log_file);
    else if (f->log_file[0])
        server_flags_note(f, "--log-file: the file is appended to and never begun anew, whatever "
                             "--log-file-max-size says");
    if (f->log_file[0] && f->log_file[0] != '/')
        return fail(c, "--log-file: found \"%.100s\", expected an absolute path", f->log_file);
    return true;
}

/* The proxy-server finds this out when it loads the files. */
static bool check_agents(struct checker *c)
{
    struct server_flags *f = c->flags;
    if (!f->cluster_cert[0])
        return fail(c, "--cluster-cert: found nothing, expected a file: agents come over TLS only");
    if (!f->cluster_ca_cert[0] && !f->agent_namespace[0])
        server_flags_note(
            f, "found neither --cluster-ca-cert nor --agent-namespace: whoever reaches the agents' "
               "port may register as an agent and carry the cluster's traffic");
    return true;
}

bool server_flags_check(struct server_flags *f, char ret_error[SERVER_ERROR_MAX])
{
    struct checker c = {f, ret_error};
    return check_files(&c) && check_frontend(&c) && check_ports(&c) && check_profiling(&c) &&
           check_tokens(&c) && check_strategies(&c) && check_numbers(&c) && check_tls(&c) &&
           check_labels(&c) && check_agents(&c) && check_socket(&c) && check_addresses(&c) && check_log(&c);
}
