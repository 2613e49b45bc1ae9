/* broker/konnectivity/server_config.c — the proxy-server's flags as a configuration of ours, in words.
 *
 * It is text, so that it passes the same checks as any other file, and so that --print-config can give it to
 * people who want to go on with `hawser serve`. Only flags that were checked come here.
 */
#include <limits.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "broker/config/config.h"
#include "broker/konnectivity/server_flags.h"
#include "io/tls/tls.h"

enum {
    NS_PER_MS = 1000000,
    KEEPALIVE_MIN_MS = 1000,  /* as Go has it */
    KEEPALIVE_MAX_MS = 10000, /* more would leave traffic with dead agents for longer than anybody waits */
    DRAIN_MAX_MS = 86400000,  /* a day */
    DIAL_MIN_MS = 100,        /* as agents.dialMs has them */
    DIAL_MAX_MS = 120000,
    TUNNEL_ANSWER_MS = 9000, /* an agent gives up its dial after 5 s, kube-apiserver is told within 10 s */
    VERBOSITY_INFO = 2,      /* from here on */
    VERBOSITY_DEBUG = 5,
};

static void text_field(FILE *out, const char *before, const char *text)
{
    fputs(before, out);
    config_print_text(text, out);
    fputc('\n', out);
}

static int64_t ms_of(int64_t ns, int64_t min, int64_t max)
{
    int64_t ms = ns / NS_PER_MS + (ns % NS_PER_MS > 0);
    return ms < min ? min : ms > max ? max : ms;
}

/* -- listeners ----------------------------------------------------------------------------------------------
 */

static void print_tcp(FILE *out, const char *flag, int64_t port)
{
    const char *address = NULL;
    bool good = server_bind_address(flag, &address);
    ASSERT(good);
    fputs("{address: ", out);
    config_print_text(address, out);
    fprintf(out, ", port: %lld}\n", (long long)port);
}

static void print_suites(FILE *out, const struct server_suites *suites)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } rows[] = {
#define X(symbol, name, iana) {TLS_SUITE_##symbol, iana},
        TLS_SUITES(X)
#undef X
    };
    const char *comma = "";
    fputs("      cipherSuites: [", out);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!(suites->set & rows[i].bit))
            continue;
        fprintf(out, "%s%s", comma, rows[i].name);
        comma = ", ";
    }
    fputs("]\n", out);
}

/* Keys of Secrets are open to everybody in their container: the flags never forbade that. */
static void print_tls(FILE *out, const struct server_flags *f, const char *cert, const char *key,
                      const char *ca)
{
    struct server_suites suites;
    bool good = server_suites(f->cipher_suites, &suites);
    ASSERT(good);
    bool tls13 = suites.tls13_only || strcmp(f->tls_min_version, "VersionTLS13") == 0;
    fputs("    tls:\n", out);
    text_field(out, "      certificateFile: ", cert);
    text_field(out, "      keyFile: ", key);
    fputs("      keyWorldReadable: true\n", out);
    if (ca[0]) {
        text_field(out, "      clientCaFile: ", ca);
        fputs("      allowedNames: [\"*\"]\n", out);
    }
    fprintf(out, "      minVersion: \"%s\"\n", tls13 ? "1.3" : "1.2");
    if (suites.set != 0)
        print_suites(out, &suites);
}

/* Relative to where we were started, as it was meant. */
static void print_socket(FILE *out, const char *path)
{
    char room[PATH_MAX + 1], whole[PATH_MAX + 1];
    if (path[0] != '/' && getcwd(room, sizeof(room)) &&
        snprintf(whole, sizeof(whole), "%s/%s", room, path) < (int)sizeof(whole))
        path = whole;
    fputs("    unix: {path: ", out);
    config_print_text(path, out);
    fputs(", mode: \"0770\", anyPeer: true}\n", out);
}

static void print_listeners(FILE *out, const struct server_flags *f)
{
    fputs("listeners:\n  - name: kube-apiserver\n", out);
    if (f->uds_name[0]) {
        print_socket(out, f->uds_name);
    } else {
        fputs("    tcp: ", out);
        print_tcp(out, f->server_bind_address, f->server_port);
        print_tls(out, f, f->server_cert, f->server_key, f->server_ca_cert);
    }
    fputs("  - name: agents\n    serves: agents\n    tcp: ", out);
    print_tcp(out, f->agent_bind_address, f->agent_port);
    print_tls(out, f, f->cluster_cert, f->cluster_key, f->cluster_ca_cert);
}

/* -- agents -------------------------------------------------------------------------------------------------
 */

static void print_strategies(FILE *out, const char *list)
{
    const char *comma = "";
    fputs("  strategies: [", out);
    for (size_t len; list[0] != '\0'; list += len + (list[len] == ',')) {
        len = strcspn(list, ",");
        if (len == 0)
            continue;
        fprintf(out, "%s%.*s", comma, (int)len, list);
        comma = ", ";
    }
    fputs("]\n", out);
}

static void print_agents(FILE *out, const struct server_flags *f)
{
    bool tokens = f->agent_namespace[0] != '\0';
    fputs("agents:\n", out);
    text_field(out, "  serverId: ", f->server_id);
    fprintf(out, "  serverCount: %lld\n", (long long)f->server_count);
    print_strategies(out, f->proxy_strategies);
    fprintf(out, "  keepaliveMs: %lld\n",
            (long long)(f->keepalive_ns <= 0 ? KEEPALIVE_MAX_MS
                                             : ms_of(f->keepalive_ns, KEEPALIVE_MIN_MS, KEEPALIVE_MAX_MS)));
    if (f->backend_dial_ns > 0)
        fprintf(out, "  dialMs: %lld\n", (long long)ms_of(f->backend_dial_ns, DIAL_MIN_MS, DIAL_MAX_MS));
    if (tokens) {
        fputs("  tokenReview:\n", out);
        text_field(out, "    audience: ", f->authentication_audience);
        text_field(out, "    namespace: ", f->agent_namespace);
        text_field(out, "    serviceAccount: ", f->agent_service_account);
    } else if (!f->cluster_ca_cert[0]) {
        fputs("  anonymous: true\n", out);
    }
    if (f->enable_lease_controller) {
        fputs("  leases:\n", out);
        text_field(out, "    namespace: ", f->lease_namespace);
        text_field(out, "    label: ", f->lease_label);
    }
    if ((!tokens && !f->enable_lease_controller) ||
        (!f->kubeconfig[0] && f->kubeconfig_qps <= 0 && f->kubeconfig_burst <= 0))
        return;
    fputs("kubernetes:\n", out);
    if (f->kubeconfig[0])
        text_field(out, "  kubeconfigFile: ", f->kubeconfig);
    if (f->kubeconfig_qps > 0)
        fprintf(out, "  qps: %.0f\n", ceil(f->kubeconfig_qps));
    if (f->kubeconfig_burst > 0)
        fprintf(out, "  burst: %lld\n", (long long)f->kubeconfig_burst);
}

/* -- the rest -----------------------------------------------------------------------------------------------
 */

static void print_log(FILE *out, const struct server_flags *f)
{
    const char *level = f->verbosity >= VERBOSITY_DEBUG  ? "debug"
                        : f->verbosity >= VERBOSITY_INFO ? "info"
                                                         : "warn";
    fprintf(out, "log:\n  level: %s\n  accessLog: %s\n", level,
            f->verbosity >= VERBOSITY_INFO ? "true" : "false");
    if (f->log_file[0] && !f->logtostderr)
        text_field(out, "  file: ", f->log_file);
}

void server_config_print(const struct server_flags *f, FILE *out)
{
    fputs("# The flags of Konnectivity's proxy-server, as a configuration for `hawser serve`.\n"
          "apiVersion: hawser.dev/v1alpha1\n"
          "kind: BrokerConfiguration\n",
          out);
    print_listeners(out, f);
    fputs("routes:\n"
          "  # Everywhere, through agents only. Loopback and link-local addresses are the agents' own; the "
          "clouds'\n"
          "  # metadata services stay out of reach.\n"
          "  - name: agents\n"
          "    match: {hosts: [\"*\", localhost], cidrs: [\"127.0.0.0/8\", \"::1/128\", \"169.254.0.0/16\", "
          "\"fe80::/10\"], "
          "schemes: [tunnel]}\n"
          "    via: [agent]\n",
          out);
    print_agents(out, f);
    fputs("admin: ", out);
    print_tcp(out, f->admin_bind_address, f->admin_port);
    fputs("health: ", out);
    print_tcp(out, f->health_bind_address, f->health_port);
    /* A destination that fails is not spared: the proxy-server knows no such limit. */
    fputs("pool: {breaker: {failures: 1000}}\n", out);
    fprintf(out, "timeouts:\n  drainMs: %lld\n  tunnelAnswerMs: %d\n",
            (long long)ms_of(f->graceful_shutdown_ns, 0, DRAIN_MAX_MS), TUNNEL_ANSWER_MS);
    print_log(out, f);
}
