/* broker/main.c — the hawser program: serve, check, dump, egress-config, konnectivity-server, version, help.
 * Exit codes: 0 good, 1 failed while running, 2 bad usage or configuration, which konnectivity-server has no
 * code for. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/config/config.h"
#include "broker/konnectivity/server_flags.h"
#include "broker/selector.h"
#include "io/engine.h"
#include "io/limits.h"
#include "io/log.h"
#include "io/resolve.h"
#include "io/tls/tls.h"
#include "io/version.h"

enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, DESCRIPTORS_WANTED = 131072 };

static struct broker *running;

static void on_signal(int sig)
{
    (void)sig;
    static volatile sig_atomic_t seen;
    if (seen++)
        _exit(EXIT_FAILED); /* asked twice: now */
    broker_drain_any_thread(running);
}

static void on_hangup(int sig)
{
    (void)sig;
    broker_reload_any_thread(running);
}

static int usage(FILE *out, int code)
{
    fputs(
        "usage: hawser serve --config FILE    run the broker\n"
        "       hawser check --config FILE    check the configuration and every file it names; opens "
        "nothing\n"
        "       hawser dump --config FILE     print the configuration in force, defaults included\n"
        "       hawser egress-config --config FILE [OPTION...]\n"
        "                                     print what kube-apiserver must be given to use the broker\n"
        "       hawser konnectivity-server [FLAG...]\n"
        "                                     take the place of Konnectivity's proxy-server, with its flags\n"
        "       hawser help [config|egress-config|konnectivity-server]\n"
        "                                     this text, every setting, or the options\n"
        "       hawser version                version, engine, libraries\n",
        out);
    return code;
}

static int load(const char *file, struct config **ret)
{
    struct config_error error;
    int rc = config_load(file, CONFIG_DEFAULT, ret, &error);
    if (rc == CONFIG_OK)
        return EXIT_GOOD;
    fprintf(stderr, "%s\n", rc == CONFIG_INVALID ? error.text : strerror(-rc));
    return EXIT_USAGE;
}

/* "stderr", or a file that is appended to. */
static int open_lines(const char *file, mode_t mode, const char *field, int *ret_fd)
{
    if (strcmp(file, "stderr") == 0) {
        *ret_fd = STDERR_FILENO;
        return EXIT_GOOD;
    }
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, mode);
    if (fd < 0) {
        fprintf(stderr, "%s: %s: %s\n", file, field, strerror(errno));
        return EXIT_USAGE;
    }
    *ret_fd = fd;
    return EXIT_GOOD;
}

static int open_log(const struct config *config)
{
    static const enum log_level levels[] = {[CONFIG_LOG_ERROR] = LOG_ERROR,
                                            [CONFIG_LOG_WARN] = LOG_WARN,
                                            [CONFIG_LOG_INFO] = LOG_INFO,
                                            [CONFIG_LOG_DEBUG] = LOG_DEBUG};
    struct log_options options = {.json = config->log.format == CONFIG_LOG_JSON,
                                  .level = levels[config->log.level],
                                  .audit = config->log.audit_file != NULL};
    int code = open_lines(config->log.file, 0640, "log.file", &options.fd);
    if (code == EXIT_GOOD && options.audit)
        code = open_lines(config->log.audit_file, 0600, "log.auditFile", &options.audit_fd);
    if (code == EXIT_GOOD)
        log_configure(&options);
    return code;
}

static void say_start(const struct broker *b)
{
    for (uint32_t i = 0; i < b->config->warning_count; i++)
        log_any_thread(LOG_WARN, "configuration", "%s", b->config->warnings[i]);
    log_any_thread(LOG_INFO, "start", "hawser %s, %u workers, engine %s, crypto %s", hawser_version(),
                   b->count, b->engine_text, tls_provider_text());
}

static void raise_limits(void)
{
    struct process_limits limits;
    limits_raise(DESCRIPTORS_WANTED, &limits);
    if (limits.descriptors < limits.descriptors_wanted)
        log_any_thread(LOG_WARN, "limits",
                       "open files: have %llu, want %llu; raise the hard limit (systemd: LimitNOFILE=131072)",
                       (unsigned long long)limits.descriptors, (unsigned long long)limits.descriptors_wanted);
    else
        log_any_thread(LOG_INFO, "limits", "open files: %llu", (unsigned long long)limits.descriptors);
}

/* Takes the configuration. */
static int serve_config(struct config *config)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN}, drain = {.sa_handler = on_signal},
                           hangup = {.sa_handler = on_hangup};
    int code = open_log(config);
    if (code != EXIT_GOOD) {
        config_free(&config);
        return code;
    }
    raise_limits();
    sigaction(SIGHUP, &ignore, NULL); /* until there is something to read again */
    if (tls_global_init() < 0 || resolve_global_init() < 0) {
        fprintf(stderr, "hawser: the TLS or resolver library could not be set up\n");
        config_free(&config);
        return EXIT_FAILED;
    }
    char detail[512];
    struct broker_options options = {.config = config};
    int rc = broker_new(&options, &running, detail, sizeof(detail));
    if (rc < 0) {
        fprintf(stderr, "hawser: %s\n", detail);
        return rc == -EINVAL || rc == -ENOENT ? EXIT_USAGE : EXIT_FAILED;
    }
    say_start(running);
    sigaction(SIGPIPE, &ignore, NULL);
    if (broker_open(running, detail, sizeof(detail)) < 0) {
        fprintf(stderr, "hawser: %s\n", detail);
        return EXIT_FAILED;
    }
    sigaction(SIGTERM, &drain, NULL);
    sigaction(SIGINT, &drain, NULL);
    sigaction(SIGHUP, &hangup, NULL);
    rc = broker_run(running);
    log_any_thread(LOG_INFO, "stop", "drained");
    sigaction(SIGHUP, &ignore, NULL);
    broker_free(&running);
    resolve_global_fini();
    tls_global_fini();
    return rc < 0 ? EXIT_FAILED : EXIT_GOOD;
}

static int serve(const char *file)
{
    struct config *config;
    int code = load(file, &config);
    return code == EXIT_GOOD ? serve_config(config) : code;
}

static int check(const char *file)
{
    struct config *config;
    int code = load(file, &config);
    if (code != EXIT_GOOD)
        return code;
    config_print_summary(config, stdout);
    config_free(&config);
    return EXIT_GOOD;
}

static int dump(const char *file)
{
    struct config *config;
    int code = load(file, &config);
    if (code != EXIT_GOOD)
        return code;
    config_dump(config, stdout);
    config_free(&config);
    return EXIT_GOOD;
}

/* -- egress-config ------------------------------------------------------------------------------------------
 */

struct egress_config_options {
    const char *config;
    struct selector_options selector;
};

#define AT(field) offsetof(struct egress_config_options, field)
static const struct {
    const char *name, *takes;
    size_t at;
    const char *help;
} egress_config_rows[] = {
    {"--config",      "FILE", AT(config),                           "the broker's configuration; required"                       },
    {"--listener",    "NAME", AT(selector.listener),
     "the listener to use (the first Unix socket, else TCP with TLS)"                                                            },
    {"--protocol",    "NAME", AT(selector.protocol),                "http-connect or grpc, Konnectivity's (http-connect)"        },
    {"--kubeadm",     NULL,   AT(selector.kubeadm),                 "print the part of kubeadm's ClusterConfiguration instead"   },
    {"--file",        "FILE", AT(selector.file),                    "where the printed configuration will be (" SELECTOR_FILE ")"},
    {"--host",        "HOST", AT(selector.host),
     "name or address of the broker in the URL (the listener's address)"                                                         },
    {"--server-name", "NAME", AT(selector.server_name),
     "tlsServerName: expected in its certificate (the URL's host)"                                                               },
    {"--ca-file",     "FILE", AT(selector.ca_file),                 "CA of its certificate (" SELECTOR_CA_FILE ")"               },
    {"--client-cert", "FILE", AT(selector.client_certificate_file),
     "kube-apiserver's certificate (" SELECTOR_CLIENT_FILE ")"                                                                   },
    {"--client-key",  "FILE", AT(selector.client_key_file),         "and key (" SELECTOR_KEY_FILE ")"                            },
};
#undef AT

static int help_egress_config(void)
{
    puts("hawser egress-config prints the EgressSelectorConfiguration for kube-apiserver's option\n"
         "--egress-selector-config-file that matches the broker's configuration. Paths are as kube-apiserver "
         "sees "
         "them.\n");
    for (size_t i = 0; i < ARRAY_SIZE(egress_config_rows); i++)
        printf("  %s %-*s %s\n", egress_config_rows[i].name, 19 - (int)strlen(egress_config_rows[i].name),
               egress_config_rows[i].takes ? egress_config_rows[i].takes : "", egress_config_rows[i].help);
    return EXIT_GOOD;
}

static bool parse_egress_config(int argc, char **argv, struct egress_config_options *ret)
{
    for (int i = 0; i < argc; i++) {
        size_t k = 0;
        while (k < ARRAY_SIZE(egress_config_rows) && strcmp(argv[i], egress_config_rows[k].name) != 0)
            k++;
        if (k == ARRAY_SIZE(egress_config_rows)) {
            fprintf(stderr,
                    "hawser egress-config: found \"%s\", expected an option (hawser help egress-config)\n",
                    argv[i]);
            return false;
        }
        char *member = (char *)ret + egress_config_rows[k].at;
        if (!egress_config_rows[k].takes) {
            *(bool *)member = true;
        } else if (i + 1 == argc) {
            fprintf(stderr, "hawser egress-config: %s: found nothing, expected %s\n", argv[i],
                    egress_config_rows[k].takes);
            return false;
        } else {
            *(const char **)(void *)member = argv[++i];
        }
    }
    if (!ret->config)
        fputs("hawser egress-config: found no --config, expected --config FILE\n", stderr);
    return ret->config != NULL;
}

static int egress_config(int argc, char **argv)
{
    struct egress_config_options options = {0};
    struct config *config;
    char detail[400];
    if (!parse_egress_config(argc, argv, &options))
        return EXIT_USAGE;
    int code = load(options.config, &config);
    if (code != EXIT_GOOD)
        return code;
    if (!selector_print(config, &options.selector, stdout, detail, sizeof(detail))) {
        fprintf(stderr, "hawser egress-config: %s: %s\n", options.config, detail);
        code = EXIT_USAGE;
    }
    config_free(&config);
    return code;
}

/* -- konnectivity-server ------------------------------------------------------------------------------------
 */

static int load_flags(const struct server_flags *flags, struct config **ret)
{
    struct config_error error;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return EXIT_FAILED;
    server_config_print(flags, out);
    fclose(out);
    int rc = config_load_buffer("flags", text, len, CONFIG_DEFAULT, ret, &error);
    free(text);
    if (rc == CONFIG_OK)
        return EXIT_GOOD;
    fprintf(stderr, "proxy-server: %s (in what --print-config prints)\n",
            rc == CONFIG_INVALID ? error.text : strerror(-rc));
    return EXIT_FAILED;
}

static void add_notes(struct config *config, const struct server_flags *flags)
{
    for (unsigned i = 0; i < flags->note_count && config->warning_count < CONFIG_WARNINGS_MAX; i++) {
        char *note = strdup(flags->notes[i]);
        if (note)
            config->warnings[config->warning_count++] = note;
    }
}

static int konnectivity_server(int argc, char **argv)
{
    struct server_flags flags;
    struct config *config;
    char error[SERVER_ERROR_MAX];
    bool parsed = server_flags_parse(&flags, argc, argv, error);
    if (parsed && flags.help) {
        server_flags_help(stdout);
        return EXIT_GOOD;
    }
    if (!parsed || !server_flags_check(&flags, error)) {
        fprintf(stderr, "proxy-server: %s\n", error);
        return EXIT_FAILED;
    }
    if (flags.print_config)
        server_config_print(&flags, stdout);
    if (load_flags(&flags, &config) != EXIT_GOOD)
        return EXIT_FAILED;
    if (flags.print_config) {
        config_free(&config);
        return EXIT_GOOD;
    }
    add_notes(config, &flags);
    return serve_config(config) == EXIT_GOOD ? EXIT_GOOD : EXIT_FAILED;
}

static bool is_proxy_server(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash ? slash + 1 : path, "proxy-server") == 0;
}

static int version(void)
{
    struct engine_probe probe;
    engine_uring_probe(&probe);
    printf("hawser %s\nengine: %s%s\n", hawser_version(), probe.usable ? "uring: " : "none: ", probe.detail);
    if (tls_global_init() == 0) {
        printf("crypto: %s\n", tls_provider_text());
        tls_global_fini();
    }
#ifdef HAWSER_HAVE_JEMALLOC
    printf("memory: jemalloc\n");
#else
    printf("memory: the C library's allocator\n");
#endif
    return EXIT_GOOD;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const char *file);
    } commands[] = {
        {"serve", serve},
        {"check", check},
        {"dump",  dump }
    };
    const char *command = argc > 1 ? argv[1] : "";
    if (argc > 0 && is_proxy_server(argv[0]))
        return konnectivity_server(argc - 1, argv + 1);
    if (strcmp(command, "konnectivity-server") == 0)
        return konnectivity_server(argc - 2, argv + 2);
    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0)
        return version();
    if (strcmp(command, "help") == 0 || strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
        if (argc > 2 && strcmp(argv[2], "config") == 0) {
            config_print_docs(stdout);
            return EXIT_GOOD;
        }
        if (argc > 2 && strcmp(argv[2], "egress-config") == 0)
            return help_egress_config();
        if (argc > 2 && strcmp(argv[2], "konnectivity-server") == 0) {
            server_flags_help(stdout);
            return EXIT_GOOD;
        }
        return usage(stdout, EXIT_GOOD);
    }
    if (strcmp(command, "egress-config") == 0)
        return egress_config(argc - 2, argv + 2);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(command, commands[i].name) != 0)
            continue;
        if (argc != 4 || strcmp(argv[2], "--config") != 0) {
            fprintf(stderr, "hawser %s: found %d more arguments, expected --config FILE\n", command,
                    argc - 2);
            return EXIT_USAGE;
        }
        return commands[i].run(argv[3]);
    }
    fprintf(stderr, "hawser: found \"%s\", expected a command\n", command);
    return usage(stderr, EXIT_USAGE);
}
