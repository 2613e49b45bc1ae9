/* tools/kubelet-sim/options.c — one row per option: spelling, type, bounds, help. Parser and help text come
 * from it. */
#include "tools/kubelet-sim/options.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/kubelet-sim/fault.h"

enum option_type { TYPE_TEXT, TYPE_NUMBER, TYPE_DURATION, TYPE_FLAG, TYPE_FAULT };

#define AT(field) offsetof(struct options, field)
static const struct {
    const char *name, *takes;
    enum option_type type;
    size_t at;
    uint64_t min, max;
    const char *help;
} rows[] = {
    {"--base",                 "ADDRESS", TYPE_TEXT,     AT(base),            0, 0,            "the first kubelet's address (127.16.0.1)"                  },
    {"--count",                "N",       TYPE_NUMBER,   AT(count),           1, KUBELETS_MAX, "so many kubelets, one address each (10)"                   },
    {"--port",                 "N",       TYPE_NUMBER,   AT(port),            1, 65535,        "port of every kubelet (10250)"                             },
    {"--threads",              "N",       TYPE_NUMBER,   AT(threads),         1, THREADS_MAX,  "event loops (one per usable CPU)"                          },
    {"--ca",                   "DIR",     TYPE_TEXT,     AT(ca_dir),          0, 0,            "CA made by hawser-pki: signs the serving certificates"     },
    {"--client-ca",            "FILE",    TYPE_TEXT,     AT(client_ca),       0, 0,            "who may ask: chains to these (the CA itself)"              },
    {"--token-file",           "FILE",    TYPE_TEXT,     AT(token_file),      0, 0,            "bearer tokens accepted as well, one a line"                },
    {"--anonymous",            NULL,      TYPE_FLAG,     AT(anonymous),       0, 0,            "answer everybody; no 401"                                  },
    {"--key",                  "KIND",    TYPE_TEXT,     AT(key),             0, 0,            "p256 (default: a key each) or rsa2048 (eight keys, shared)"},
    {"--mint",                 "WHEN",    TYPE_TEXT,     AT(mint),            0, 0,            "start (default) or lazy: at a node's first handshake"      },
    {"--workdir",              "DIR",     TYPE_TEXT,     AT(workdir),         0, 0,
     "keep CA and a client certificate there, made if missing"                                                                                             },
    {"--write-ca",             "FILE",    TYPE_TEXT,     AT(write_ca),        0, 0,            "write the CA's certificate"                                },
    {"--write-client",         "PREFIX",  TYPE_TEXT,     AT(write_client),    0, 0,            "write a client certificate of that CA"                     },
    {"--ready-file",           "FILE",    TYPE_TEXT,     AT(ready_file),      0, 0,            "written when all listen, removed at the end"               },
    {"--pid-file",             "FILE",    TYPE_TEXT,     AT(pid_file),        0, 0,            "the same, with the process id"                             },
    {"--status",               "WHERE",   TYPE_TEXT,     AT(status),          0, 0,            "status over plain HTTP: ADDRESS:PORT or /unix/path"        },
    {"--idle-timeout",         "TIME",    TYPE_DURATION, AT(idle_timeout_ms), 1, 86400000,
     "idle connections live so long (90s)"                                                                                                                 },
    {"--rotate-tickets-every", "N|TIME",  TYPE_TEXT,     AT(rotate),          0, 0,
     "new ticket keys after N handshakes of a node, or after TIME (never)"                                                                                 },
    {"--forget-tickets",       NULL,      TYPE_FLAG,     AT(forget_tickets),  0, 0,            "refuse tickets of older keys"                              },
    {"--log-lines",            "N",       TYPE_NUMBER,   AT(log_lines),       0, 1000000000,   "lines in a container's log (1000)"                         },
    {"--log-interval",         "TIME",    TYPE_DURATION, AT(log_interval_ms), 1, 3600000,      "a followed log's pace (1s)"                                },
    {"--pods",                 "N",       TYPE_NUMBER,   AT(pods),            0, 1000,         "pods on each node (30)"                                    },
    {"--fault",                "SPEC",    TYPE_FAULT,    0,                   0, 0,            "NODE-OR-CIDR:KIND[=VALUE][:PROBABILITY]; may be repeated"  },
    {"--seed",                 "N",       TYPE_NUMBER,   AT(seed),            0, UINT64_MAX,   "decides what chance decides (1)"                           },
    {"--quiet",                NULL,      TYPE_FLAG,     AT(quiet),           0, 0,            "do not print the ready line"                               },
};
enum { ROWS = sizeof(rows) / sizeof(*rows) };

static int complain(const char *what, const char *value)
{
    fprintf(stderr, "kubelet-sim: %s: %s\n", what, value);
    return 2;
}

static bool parse_number(const char *text, uint64_t *ret_n, const char **ret_rest)
{
    char *end = NULL;
    errno = 0;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno)
        return false;
    *ret_n = n;
    *ret_rest = end;
    return true;
}

/* "250ms", "90s", "5m"; a bare number is seconds. */
static bool parse_duration(const char *text, uint64_t *ret_ms)
{
    static const struct {
        const char *suffix;
        uint64_t ms;
    } units[] = {
        {"",   1000   },
        {"ms", 1      },
        {"s",  1000   },
        {"m",  60000  },
        {"h",  3600000}
    };
    uint64_t n = 0;
    const char *rest = NULL;
    if (!parse_number(text, &n, &rest) || n > 1000000000)
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        if (strcmp(rest, units[i].suffix) == 0) {
            *ret_ms = n * units[i].ms;
            return true;
        }
    }
    return false;
}

static int set(struct options *o, size_t row, const char *value)
{
    void *field = (char *)o + rows[row].at;
    const char *rest = NULL;
    uint64_t n = 0;
    switch (rows[row].type) {
    case TYPE_TEXT: *(const char **)field = value; return 0;
    case TYPE_FLAG: *(bool *)field = true; return 0;
    case TYPE_FAULT:
        if (o->faults_n == FAULTS_MAX)
            return complain("too many faults", value);
        o->faults[o->faults_n++] = value;
        return 0;
    case TYPE_NUMBER:
        if (!parse_number(value, &n, &rest) || *rest || n < rows[row].min || n > rows[row].max)
            return complain("not a number in the bounds of the option", value);
        break;
    case TYPE_DURATION:
        if (!parse_duration(value, &n) || n < rows[row].min || n > rows[row].max)
            return complain("not a time in the bounds of the option (250ms, 90s, 5m)", value);
        break;
    }
    *(uint64_t *)field = n;
    return 0;
}

static int print_help(void)
{
    puts("kubelet-sim - many kubelets in one process, for testing and measuring what talks to them\n\n"
         "usage:\n    kubelet-sim [option ...]\n\noptions (a value follows as the next word or after =):");
    for (size_t i = 0; i < ROWS; i++) {
        char left[48];
        snprintf(left, sizeof(left), "%s %s", rows[i].name, rows[i].takes ? rows[i].takes : "");
        printf("    %-30s %s\n", left, rows[i].help);
    }
    puts("\nfaults: the target is a node name (with * and ?), an address or a CIDR. PROBABILITY is 0..1 or "
         "N%, drawn each\n"
         "time; with 'n' after it, it is the share of nodes that have the fault always (certificates: always "
         "so).");
    fault_print_kinds();
    puts(
        "\nEvery kubelet has its own certificate (CN system:node:NAME, O system:nodes) and its own ticket "
        "keys; names are\n"
        "node-00001 and so on. It asks for a client certificate and answers 401 to who has no good one.\n\n"
        "endpoints: /healthz /metrics /metrics/cadvisor /metrics/resource /pods /runningpods/ /stats/summary "
        "/configz\n"
        "    /containerLogs/NS/POD/CONTAINER?follow=&tailLines=&limitBytes=  /bytes/N[?chunked=1]  /whoami\n"
        "    /echo and /sink (POST)  /exec /attach /portForward /run (400, or 101 and an echo of raw bytes)\n"
        "status: /status /ledger[?id=X|?all=1] /nodes; POST /faults (one spec a line, replaces all),\n"
        "    POST /rotate-tickets, POST /forget-tickets, POST /reboot?node=PATTERN\n\n"
        "exit status: 0 ended by SIGTERM or SIGINT, 1 failed, 2 bad usage\n\n"
        "example:\n"
        "    kubelet-sim --count 500 --workdir /tmp/fleet --status 127.0.0.1:10300 &\n"
        "    cd /tmp/fleet && curl --cacert ca.crt --cert client.crt --key client.key "
        "https://127.16.0.7:10250/whoami");
    return 1;
}

static uint64_t usable_cpus(void)
{
    cpu_set_t set_of_cpus;
    int n = sched_getaffinity(0, sizeof(set_of_cpus), &set_of_cpus) == 0 ? CPU_COUNT(&set_of_cpus) : 1;
    return (uint64_t)(n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : n);
}

static int derive(struct options *o)
{
    if (strcmp(o->key, "p256") != 0 && strcmp(o->key, "rsa2048") != 0)
        return complain("not a kind of key (p256, rsa2048)", o->key);
    o->algorithm = *o->key == 'p' ? MINT_P256 : MINT_RSA2048;
    if (strcmp(o->mint, "start") != 0 && strcmp(o->mint, "lazy") != 0)
        return complain("--mint is start or lazy, not", o->mint);
    o->mint_lazy = *o->mint == 'l';
    const char *rest = NULL;
    if (o->rotate && parse_number(o->rotate, &o->rotate_handshakes, &rest) && *rest) {
        o->rotate_handshakes = 0;
        if (!parse_duration(o->rotate, &o->rotate_ms))
            o->rotate_ms = 0;
    }
    if (o->rotate && !o->rotate_handshakes && !o->rotate_ms)
        return complain("--rotate-tickets-every takes a number of handshakes or a time like 30s, not",
                        o->rotate);
    return 0;
}

int options_parse(int argc, char **argv, struct options *ret_options)
{
    struct options o = {.base = "127.16.0.1",
                        .count = 10,
                        .port = 10250,
                        .threads = usable_cpus(),
                        .seed = 1,
                        .log_lines = 1000,
                        .log_interval_ms = 1000,
                        .idle_timeout_ms = 90000,
                        .pods = 30,
                        .key = "p256",
                        .mint = "start"};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "help") == 0 || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return print_help();
        if (strcmp(argv[i], "version") == 0 || strcmp(argv[i], "--version") == 0)
            return puts("kubelet-sim " HAWSER_VERSION), 1;
        const char *equals = strchr(argv[i], '=');
        size_t len = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]), row = 0;
        while (row < ROWS && (strlen(rows[row].name) != len || strncmp(rows[row].name, argv[i], len) != 0))
            row++;
        if (row == ROWS)
            return complain("unknown option (see: kubelet-sim help)", argv[i]);
        const char *value = equals ? equals + 1 : NULL;
        if (!rows[row].takes && value)
            return complain("takes no value", rows[row].name);
        if (rows[row].takes && !value && !(value = argv[++i]))
            return complain("needs a value", rows[row].name);
        int r = set(&o, row, value);
        if (r != 0)
            return r;
    }
    int r = derive(&o);
    if (r == 0)
        *ret_options = o;
    return r;
}
