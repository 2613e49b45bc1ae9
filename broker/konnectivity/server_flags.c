/* broker/konnectivity/server_flags.c — every flag of the proxy-server, one row each, and what it becomes
 * here. Defaults are read by the parser like anything else that is given. */
#include "broker/konnectivity/server_flags.h"

#include <stdarg.h>
#include <string.h>

/* Rows in a macro's brackets: clang-format 14 crashes on arrays of uneven braces. */
#define ROW(flag, flag_kind, member, standard, text, becomes)                                                \
    {                                                                                                        \
        .name = flag, .kind = SERVER_##flag_kind, .at = offsetof(struct server_flags, member),               \
        .value = standard, .help = text, .here = becomes                                                     \
    }
#define FORGOTTEN(flag, flag_kind, standard, text)                                                           \
    {                                                                                                        \
        .name = flag, .kind = SERVER_##flag_kind, .at = SERVER_NOWHERE, .value = standard, .help = text,     \
        .here = "no effect"                                                                                  \
    }

const struct server_flag server_flags_all[] = {
    ROW("server-cert", TEXT, server_cert, "", "certificate towards kube-apiserver",
        "`listeners[].tls.certificateFile`"),
    ROW("server-key", TEXT, server_key, "", "its key", "`listeners[].tls.keyFile`"),
    ROW("server-ca-cert", TEXT, server_ca_cert, "", "CA that kube-apiserver's certificate must come from",
        "`listeners[].tls.clientCaFile`, with `allowedNames: [\"*\"]`"),
    ROW("cluster-cert", TEXT, cluster_cert, "", "certificate towards agents",
        "the same of the agents' listener"),
    ROW("cluster-key", TEXT, cluster_key, "", "its key", "the same of the agents' listener"),
    ROW("cluster-ca-cert", TEXT, cluster_ca_cert, "", "CA that agents' certificates must come from",
        "the same of the agents' listener"),
    ROW("mode", TEXT, mode, "grpc", "grpc or http-connect", "checked; both are served, whatever it says"),
    ROW("uds-name", TEXT, uds_name, "", "Unix socket for kube-apiserver, in place of TCP",
        "`listeners[].unix`, mode 0770, `anyPeer: true`"),
    ROW("delete-existing-uds-file", BOOL, delete_existing_uds_file, "true",
        "remove what is in the socket's place",
        "a socket that nobody answers on is replaced; any other file, or a socket in use, is an error"),
    ROW("server-port", NUMBER, server_port, "8090", "port for kube-apiserver; 0 with --uds-name",
        "`listeners[].tcp.port`"),
    ROW("server-bind-address", TEXT, server_bind_address, "", "its address; empty: all",
        "`listeners[].tcp.address`; an address, or localhost"),
    ROW("agent-port", NUMBER, agent_port, "8091", "port for agents",
        "`listeners[].tcp.port`, `serves: agents`"),
    ROW("agent-bind-address", TEXT, agent_bind_address, "", "its address; empty: all",
        "`listeners[].tcp.address`; an address, or localhost"),
    ROW("admin-port", NUMBER, admin_port, "8095", "port for metrics and profiles", "`admin.port`"),
    ROW("admin-bind-address", TEXT, admin_bind_address, "127.0.0.1", "its address; empty: all",
        "`admin.address`; an address, or localhost"),
    ROW("health-port", NUMBER, health_port, "8092", "port for probes and metrics", "`health.port`"),
    ROW("health-bind-address", TEXT, health_bind_address, "", "its address; empty: all",
        "`health.address`; an address, or localhost"),
    ROW("keepalive-time", DURATION, keepalive_ns, "1h", "silence after which an agent is asked by PING",
        "`agents.keepaliveMs`, at most 10 s, at least 1 s: a dead agent is found in seconds"),
    ROW("frontend-keepalive-time", DURATION, frontend_keepalive_ns, "1h", "the same of kube-apiserver",
        "no effect: TCP keepalive (`timeouts.keepaliveMs`) finds lost clients within a minute"),
    ROW("enable-profiling", BOOL, enable_profiling, "false", "/debug/pprof on the admin port",
        "no effect: the pages answer 501; use perf, and `/statusz`"),
    ROW("enable-contention-profiling", BOOL, enable_contention_profiling, "false", "lock contention, too",
        "no effect"),
    ROW("server-id", TEXT, server_id, "", "id of this server; else $PROXY_SERVER_ID, else a new UUID",
        "`agents.serverId`"),
    ROW("server-count", NUMBER, server_count, "1", "number of servers that agents shall connect to",
        "`agents.serverCount`"),
    ROW("agent-namespace", TEXT, agent_namespace, "", "namespace of the agents' service account",
        "`agents.tokenReview.namespace`"),
    ROW("agent-service-account", TEXT, agent_service_account, "", "the agents' service account",
        "`agents.tokenReview.serviceAccount`"),
    ROW("authentication-audience", TEXT, authentication_audience, "", "audience of agents' tokens",
        "`agents.tokenReview.audience`"),
    ROW("kubeconfig", TEXT, kubeconfig, "", "how to reach the API server; empty: in-cluster",
        "`kubernetes.kubeconfigFile`"),
    ROW("kubeconfig-qps", FRACTION, kubeconfig_qps, "0", "requests a second to it; 0: the standard",
        "`kubernetes.qps`, rounded up"),
    ROW("kubeconfig-burst", NUMBER, kubeconfig_burst, "0", "requests at once; 0: the standard",
        "`kubernetes.burst`"),
    FORGOTTEN("kube-api-content-type", TEXT, "application/vnd.kubernetes.protobuf",
              "content type of those requests"),
    ROW("proxy-strategies", TEXT, proxy_strategies, "default",
        "how an agent is chosen, in order: default, destHost, defaultRoute", "`agents.strategies`"),
    ROW("cipher-suites", LIST, cipher_suites, "", "suites of TLS 1.2, by Go's names; empty: all",
        "`listeners[].tls.cipherSuites`; names of suites that are not here are left out with a warning, as "
        "long "
        "as one is left"),
    ROW("tls-min-version", TEXT, tls_min_version, "", "VersionTLS10 to VersionTLS13; empty: VersionTLS12",
        "`listeners[].tls.minVersion`; below 1.2 a warning, and 1.2"),
    ROW("xfr-channel-size", NUMBER, xfr_channel_size, "10", "length of queues, in packets",
        "checked, no effect: what is queued is bounded in bytes (`limits.bodyBufferBytes`)"),
    ROW("enable-lease-controller", BOOL, enable_lease_controller, "false",
        "publish this server in a Lease, and remove those of dead ones", "`agents.leases`"),
    ROW("lease-namespace", TEXT, lease_namespace, "kube-system", "where they are",
        "`agents.leases.namespace`"),
    ROW("lease-label", TEXT, lease_label, "k8s-app=konnectivity-server", "labels that they have",
        "`agents.leases.label`"),
    ROW("graceful-shutdown-timeout", DURATION, graceful_shutdown_ns, "0s",
        "how long connections may go on after SIGTERM; 0: not at all", "`timeouts.drainMs`"),
    ROW("backend-dial-timeout", DURATION, backend_dial_ns, "0s",
        "how long an agent may take to dial; 0: for ever", "`agents.dialMs`; 0: its default, never for ever"),
    FORGOTTEN("warn-on-channel-limit", BOOL, "true", "deprecated"),
    {.name = "v",
                                                           .letter = 'v',
                                                           .kind = SERVER_NUMBER,
                                                           .at = offsetof(struct server_flags, verbosity),
                                                           .value = "4",
                                                           .help = "verbosity of the log",
                                                           .here = "`log.level` and `log.accessLog`, see below"},
    ROW("logtostderr", BOOL, logtostderr, "true", "log to standard error", "`log.file`, see below"),
    ROW("alsologtostderr", BOOL, alsologtostderr, "false", "log to standard error as well",
        "with --log-file: no effect, the file has it all"),
    ROW("log-file", TEXT, log_file, "", "log to this file, with --logtostderr=false", "`log.file`"),
    FORGOTTEN("log-file-max-size", NUMBER, "1800", "size in MB after which the file is begun anew; 0: never"),
    FORGOTTEN("log-dir", TEXT, "", "log to files in this directory"),
    FORGOTTEN("vmodule", TEXT, "", "verbosity by source file"),
    FORGOTTEN("stderrthreshold", TEXT, "2", "severity that goes to standard error"),
    FORGOTTEN("alsologtostderrthreshold", TEXT, "", "severity that goes to standard error as well"),
    FORGOTTEN("legacy-stderr-threshold-behavior", BOOL, "true", "how the former is understood"),
    FORGOTTEN("one-output", BOOL, "false", "a line goes to the file of its own severity only"),
    FORGOTTEN("skip-headers", BOOL, "false", "lines without time and place"),
    FORGOTTEN("skip-log-headers", BOOL, "false", "files without a head"),
    FORGOTTEN("add-dir-header", BOOL, "false", "the source file's directory in each line"),
    FORGOTTEN("log-backtrace-at", TEXT, "", "stack trace at a place in the source"),
    {.name = "help",
                                                           .letter = 'h',
                                                           .kind = SERVER_BOOL,
                                                           .at = offsetof(struct server_flags, help),
                                                           .value = "false",
                                                           .help = "this text",
                                                           .here = "the flags"},
    ROW("print-config", BOOL, print_config, "false", "print the hawser.yaml that means the same, and end",
        "Hawser's own: for moving to `hawser serve`"),
    {.name = NULL          },
};

void server_flags_note(struct server_flags *f, const char *format, ...)
{
    va_list args;
    if (f->note_count == SERVER_NOTES_MAX)
        return;
    va_start(args, format);
    vsnprintf(f->notes[f->note_count++], SERVER_NOTE_MAX, format, args);
    va_end(args);
}

static const char *kind_text(enum server_flag_kind kind)
{
    static const char *const texts[] = {[SERVER_TEXT] = "TEXT",         [SERVER_BOOL] = "",
                                        [SERVER_NUMBER] = "NUMBER",     [SERVER_FRACTION] = "NUMBER",
                                        [SERVER_DURATION] = "DURATION", [SERVER_LIST] = "LIST"};
    return texts[kind];
}

void server_flags_help(FILE *out)
{
    fputs(
        "hawser konnectivity-server, or hawser by the name proxy-server: takes the place of Konnectivity's\n"
        "proxy-server, with its flags. Those without effect, and what differs: docs/konnectivity.md.\n\n",
        out);
    for (const struct server_flag *flag = server_flags_all; flag->name; flag++) {
        char text[64];
        int n = flag->letter && flag->name[1] == '\0'
                    ? snprintf(text, sizeof(text), "-%c, --%s %s", flag->letter, flag->name,
                               kind_text(flag->kind))
                    : snprintf(text, sizeof(text), "--%s %s", flag->name, kind_text(flag->kind));
        fprintf(out, "  %s%*s %s", text, n < 44 ? 44 - n : 0, "", flag->help);
        fprintf(out, flag->value[0] ? " (%s)\n" : "\n", flag->value);
    }
}

/* A '|' would end the cell. */
static void print_cell(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void server_flags_docs(FILE *out)
{
    fputs("| flag | default | meaning | here |\n|---|---|---|---|\n", out);
    for (const struct server_flag *flag = server_flags_all; flag->name; flag++) {
        fprintf(out, flag->value[0] ? "| `--%s` | `%s` | " : "| `--%s` | %s| ", flag->name, flag->value);
        print_cell(flag->help, out);
        fputs(" | ", out);
        print_cell(flag->here, out);
        fputs(" |\n", out);
    }
}
