/* broker/konnectivity/server_flags.h — the command line of Konnectivity's proxy-server, and the broker
 * configuration that means the same.
 *
 *   server_flags.c   every flag, in one table; --help and the table of docs/konnectivity.md
 *   server_parse.c   the syntax: Go's, by pflag
 *   server_check.c   what the proxy-server refuses, and what cannot be done here
 *   server_config.c  the configuration, as text that config_load_buffer() reads
 *
 * At start only. Nothing is opened but the files that are asked for being there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "io/attributes.h"

enum {
    SERVER_ERROR_MAX = 400,
    SERVER_LIST_MAX = 1024, /* of --cipher-suites: the names that Go has, each twice */
    SERVER_ID_MAX = 64,     /* room for a UUID */
    SERVER_NOTES_MAX = 16,  /* a note for each flag that may have one, and for the first arguments */
    SERVER_NOTE_MAX = 240,
};

enum server_flag_kind {
    SERVER_TEXT,
    SERVER_BOOL,
    SERVER_NUMBER,
    SERVER_FRACTION,
    SERVER_DURATION,
    SERVER_LIST,
};

/* Texts are argv's, or constant. */
struct server_flags {
    const char *server_cert, *server_key, *server_ca_cert;
    const char *cluster_cert, *cluster_key, *cluster_ca_cert;
    const char *mode, *uds_name;
    bool delete_existing_uds_file;
    int64_t server_port, agent_port, health_port, admin_port;
    const char *server_bind_address, *agent_bind_address, *health_bind_address, *admin_bind_address;
    int64_t keepalive_ns, frontend_keepalive_ns;
    bool enable_profiling, enable_contention_profiling;
    const char *server_id;
    char made_id[SERVER_ID_MAX]; /* where none was given */
    int64_t server_count;
    const char *agent_namespace, *agent_service_account, *authentication_audience;
    const char *kubeconfig;
    double kubeconfig_qps;
    int64_t kubeconfig_burst;
    const char *proxy_strategies;
    char cipher_suites[SERVER_LIST_MAX];
    const char *tls_min_version;
    int64_t xfr_channel_size;
    bool enable_lease_controller;
    const char *lease_namespace, *lease_label;
    int64_t graceful_shutdown_ns, backend_dial_ns;
    int64_t verbosity;
    bool logtostderr, alsologtostderr;
    const char *log_file;
    bool help, print_config;

    char notes[SERVER_NOTES_MAX][SERVER_NOTE_MAX];
    unsigned note_count;
};

struct server_flag {
    const char *name;
    char letter; /* of the short form, or 0 */
    enum server_flag_kind kind;
    size_t at; /* in struct server_flags, or SERVER_NOWHERE: read, checked and forgotten */
    const char *value;
    const char *help;
    const char *here; /* what becomes of it, as the documentation says it */
};

#define SERVER_NOWHERE SIZE_MAX

/* What a list of cipher suites comes to. */
struct server_suites {
    uint32_t set;      /* of enum tls_suite */
    bool tls13_only;   /* it names suites of TLS 1.3 alone */
    bool missing;      /* it names some that are Go's and not ours */
    char unknown[128]; /* the first that Go does not have */
};

extern const struct server_flag server_flags_all[];
/* The last one has no name. */

MUST_USE bool server_flags_parse(struct server_flags *, int argc, char **argv,
                                 char ret_error[SERVER_ERROR_MAX]);
/* argv without the program's name. False with one line. */
MUST_USE bool server_flags_check(struct server_flags *, char ret_error[SERVER_ERROR_MAX]);
/* The first rule that does not hold, as one line. May take notes. */
void server_flags_note(struct server_flags *, const char *format, ...) PRINTF(2, 3);
/* For the log, once it is open. */
void server_flags_help(FILE *);
void server_flags_docs(FILE *);

void server_config_print(const struct server_flags *, FILE *);
/* Of flags that were checked. */
bool server_bind_address(const char *flag, const char **ret_address);
/* As the configuration has it. False: a name, which would have to be resolved. */
bool server_suites(const char *list, struct server_suites *ret_suites);
/* Of Go's names, commas between them. False: with one that Go does not have. */
