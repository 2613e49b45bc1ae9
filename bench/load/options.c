/* bench/load/options.c — one row per option; the help is printed from the same rows. */
#include "bench/load/options.h"

#include "bench/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_number(const char *text, double low, double high, double *ret_value)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || errno != 0 || !isfinite(v) || v < low || v > high)
        return false;
    *ret_value = v;
    return true;
}

static bool set_connect(struct load_options *o, const char *v)
{
    return net_parse(v, &o->proxy);
}

static bool set_base(struct load_options *o, const char *v)
{
    struct in_addr in;
    if (inet_pton(AF_INET, v, &in) != 1)
        return false;
    o->base_ipv4 = ntohl(in.s_addr);
    return true;
}

static bool set_target(struct load_options *o, const char *v)
{
    static const char *const names[] = {
        [TARGET_ABSOLUTE] = "absolute", [TARGET_HOST_HEADER] = "host", [TARGET_HEADER] = "header",
        [TARGET_PATH] = "path",         [TARGET_CONNECT] = "connect",  [TARGET_BARE] = "bare",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(v, names[i]) == 0) {
            o->target = (enum target_style)i;
            return true;
        }
    }
    return false;
}

static bool set_pacing(struct load_options *o, const char *v)
{
    if (strcmp(v, "poisson") == 0)
        o->arrivals.pacing = PACING_POISSON;
    else if (strcmp(v, "even") == 0)
        o->arrivals.pacing = PACING_EVEN;
    else if (strcmp(v, "closed") == 0)
        o->arrivals.pacing = PACING_CLOSED;
    else
        return false;
    return true;
}

static bool set_order(struct load_options *o, const char *v)
{
    o->arrivals.sweep = strcmp(v, "sweep") == 0;
    return o->arrivals.sweep || strcmp(v, "uniform") == 0;
}

static bool set_path(struct load_options *o, const char *v)
{
    o->path = v;
    return v[0] == '/' && strlen(v) < 512;
}

static bool set_expect(struct load_options *o, const char *v)
{
    double n = 0;
    o->expect_count = strcmp(v, "count") == 0;
    if (!o->expect_count && !parse_number(v, 0, 1e15, &n))
        return false;
    o->expected_bytes = (uint64_t)n;
    return true;
}

/* The numeric options share one shape; each row says where its number goes. */
#define NUMBER(name, low, high, statement)                                                                   \
    static bool set_##name(struct load_options *o, const char *text)                                         \
    {                                                                                                        \
        double v;                                                                                            \
        if (!parse_number(text, low, high, &v))                                                              \
            return false;                                                                                    \
        statement;                                                                                           \
        return true;                                                                                         \
    }
NUMBER(count, 1, 1 << 20, o->arrivals.endpoints_count = (uint32_t)v)
NUMBER(port, 1, 65535, o->port = (uint16_t)v)
NUMBER(connections, 1, 4096, o->connections_max = (uint32_t)v)
NUMBER(rate, 0.001, 1e6, o->arrivals.rate_per_s = v)
NUMBER(burst, 1, 1000, o->arrivals.burst = (uint32_t)v)
NUMBER(seed, 0, 9e15, o->arrivals.seed = (uint64_t)v)
NUMBER(duration, 0.01, 1e6, o->duration_ns = (uint64_t)(v * 1e9))
NUMBER(requests, 1, 1e15, o->requests_max = (uint64_t)v)
NUMBER(deadline, 1, 1e6, o->deadline_ns = (uint64_t)(v * 1e6))
NUMBER(upload, 1, 1e15, o->upload_bytes = (uint64_t)v)
NUMBER(crowd, 1, 1 << 20, o->crowd = (uint32_t)v)
NUMBER(active, 1, 1 << 20, o->crowd_active = (uint32_t)v)

static const struct option_row {
    const char *name;
    bool (*set)(struct load_options *, const char *value);
    const char *help;
} rows[] = {
    {"--connect",     set_connect,     "unix:PATH or tcp:IPV4:PORT of the proxy's listener (required)"      },
    {"--target",      set_target,      "absolute (default), host, header, path: GET; connect, bare: tunnels"},
    {"--base",        set_base,        "first kubelet address; default 127.16.0.1"                          },
    {"--count",       set_count,       "number of kubelets, on consecutive addresses; default 1"            },
    {"--port",        set_port,        "their port; default 10250"                                          },
    {"--path",        set_path,        "path to ask for; default /bytes/1024"                               },
    {"--expect",      set_expect,      "bytes in each answer's body, or any; default 1024"                  },
    {"--upload",      set_upload,      "send POST with a body of this many bytes; tunnels: this many"       },
    {"--crowd",       set_crowd,       "hold this many tunnels until stdin ends, then report"               },
    {"--active",      set_active,      "of these, exchange at --rate over so many; default 1"               },
    {"--pacing",      set_pacing,      "poisson (default), even: open loop; closed: capacity"               },
    {"--rate",        set_rate,        "requests offered per second, open loop; default 100"                },
    {"--order",       set_order,       "uniform (default): any kubelet; sweep: each in turn, shuffled once" },
    {"--burst",       set_burst,       "with sweep, ask each kubelet this many times in a row; default 1"   },
    {"--connections", set_connections, "keep-alive connections to the proxy; default 32"                    },
    {"--duration",    set_duration,    "seconds to offer load; default 10"                                  },
    {"--requests",    set_requests,    "stop after this many requests instead"                              },
    {"--deadline",    set_deadline,    "milliseconds from the intended time to a failure; default 5000"     },
    {"--seed",        set_seed,        "of arrivals and choice; default 1"                                  },
};

static bool usage(const char *why, const char *what)
{
    if (why)
        fprintf(stderr, "hawser-load: %s: %s\n", why, what);
    fputs("usage: hawser-load --connect ADDRESS [options]   offers load, prints JSON\n"
          "       hawser-load --self-check                  checks its own arithmetic\n",
          stderr);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        fprintf(stderr, "  %-14s %s\n", rows[i].name, rows[i].help);
    fprintf(stderr, "  %-14s %s\n", "--buckets", "print the raw histogram too");
    return false;
}

static const struct option_row *find_row(const char *name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

bool options_parse(int argc, char **argv, struct load_options *ret_options)
{
    struct load_options o = {
        .arrivals = {.seed = 1, .rate_per_s = 100, .endpoints_count = 1, .burst = 1},
        .base_ipv4 = 0x7f100001,
        .port = 10250,
        .path = "/bytes/1024",
        .connections_max = 32,
        .duration_ns = UINT64_C(10000000000),
        .deadline_ns = UINT64_C(5000000000),
        .expected_bytes = 1024,
        .crowd_active = 1,
    };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--self-check") == 0) {
            o.self_check = true;
            continue;
        }
        if (strcmp(argv[i], "--buckets") == 0) {
            o.buckets = true;
            continue;
        }
        const struct option_row *row = find_row(argv[i]);
        if (!row)
            return usage("unknown option", argv[i]);
        if (i + 1 == argc || !row->set(&o, argv[i + 1]))
            return usage("bad or missing value of", argv[i]);
        i++;
    }
    if (!o.self_check && o.proxy.length == 0)
        return usage("missing", "--connect");
    if (options_tunnels(&o) && (o.expect_count || o.expected_bytes < sizeof(struct target_answer)))
        return usage("too few bytes for the target's answer", "--expect");
    if (o.crowd && (!options_tunnels(&o) || o.crowd_active > o.crowd || o.arrivals.pacing == PACING_CLOSED))
        return usage("needs tunnels, no more active ones than there are, and a rate", "--crowd");
    *ret_options = o;
    return true;
}
