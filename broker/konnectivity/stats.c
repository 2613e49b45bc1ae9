/* broker/konnectivity/stats.c — the proxy-server's metrics, as Prometheus reads them. Names, help texts and
 * bounds are those of its pkg/server/metrics; test/interop compares them with the original's.
 *
 * Where the original shows a series from its first use on, those whose labels are known beforehand are shown
 * from the start here, as 0; errors of streams and calls about leases, which have hundreds of possible
 * labels, appear when they happen.
 */
#include "broker/konnectivity/stats.h"

#include <string.h>

#include "broker/broker.h"
#include "broker/broker_worker.h"

#define PREFIX "konnectivity_network_proxy_server_"

/* Upper bounds in seconds; the bucket behind the last has none. */
struct bounds {
    unsigned n;
    double seconds[STATS_BUCKETS - 1];
};

static const struct bounds latency_bounds = {
    9, {0.000001, 0.00001, 0.0001, 0.005, 0.025, 0.1, 0.5, 2.5, 12.5}
};
static const struct bounds connection_bounds = {
    12, {1, 5, 15, 30, 60, 300, 900, 1800, 3600, 14400, 43200, 86400}
};
static const struct bounds lease_bounds = {
    11, {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}  /* the Go client's default */
};

static const struct {
    const char *name, *help;
    const struct bounds *bounds;
} durations[STATS_DURATIONS] = {
    [STATS_DIAL] = {"dial_duration_seconds",           "Latency of dial to the remote endpoint in seconds",
                    &latency_bounds                                                                                           },
    [STATS_FRONTEND_WRITE] = {"frontend_write_duration_seconds",
                    "Latency of write to the frontend in seconds",                                          &latency_bounds   },
    [STATS_CONNECTION] = {"connection_duration_seconds",
                    "Duration in seconds a proxied end-to-end connection was established (post-dial) "
                          "before being closed.",                                                           &connection_bounds},
};

/* -- counting -----------------------------------------------------------------------------------------------
 */

static void observe(struct stats_histogram *h, const struct bounds *bounds, uint64_t ns)
{
    unsigned bucket = 0;
    while (bucket < bounds->n && (double)ns > bounds->seconds[bucket] * 1e9)
        bucket++;
    stats_bump(&h->buckets[bucket], 1);
    stats_bump(&h->sum_ns, ns);
}

void stats_duration(struct konnectivity_stats *s, enum stats_duration which, uint64_t ns)
{
    observe(&s->durations[which], durations[which].bounds, ns);
}

/* Rows are made by one thread and read by others: a row is complete before it is counted. */
static struct stats_lease_row *lease_row(struct konnectivity_stats *s, enum stats_lease_call call,
                                         unsigned code, const char *reason)
{
    unsigned n = atomic_load_explicit(&s->lease_rows[call], memory_order_relaxed);
    for (unsigned i = 0; i < n; i++)
        if (s->leases[call][i].code == code && strcmp(s->leases[call][i].reason, reason) == 0)
            return &s->leases[call][i];
    if (n == STATS_LEASE_ROWS) /* more than the API server has: not told apart any more */
        return &s->leases[call][n - 1];
    struct stats_lease_row *row = &s->leases[call][n];
    row->code = code;
    snprintf(row->reason, sizeof(row->reason), "%s", reason);
    atomic_store_explicit(&s->lease_rows[call], n + 1, memory_order_release);
    return row;
}

/* A reason comes from outside, and becomes part of a label. */
static void clean(char to[STATS_LEASE_REASON], const char *reason)
{
    size_t n = 0;
    for (; reason[n] && n < STATS_LEASE_REASON - 1; n++) {
        char c = reason[n];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        to[n] = letter ? c : '_';
    }
    to[n] = '\0';
}

void stats_lease_call(struct konnectivity_stats *s, enum stats_lease_call call, unsigned http_code,
                      const char *reason, uint64_t ns)
{
    char text[STATS_LEASE_REASON];
    clean(text, reason);
    struct stats_lease_row *row = lease_row(s, call, http_code, text);
    stats_bump(&row->count, 1);
    observe(&row->latency, &lease_bounds, ns);
}

/* -- printing -----------------------------------------------------------------------------------------------
 */

static void family(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static const struct konnectivity_stats *stats_of(const struct broker *b, unsigned worker)
{
    return &b->states[worker].stats;
}

/* Of all workers, the number that lies at this offset in each one's. */
static uint64_t total(const struct broker *b, size_t offset)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < b->count; i++)
        sum += atomic_load_explicit((const _Atomic uint64_t *)((const char *)stats_of(b, i) + offset),
                                    memory_order_relaxed);
    return sum;
}

#define AT(member) offsetof(struct konnectivity_stats, member)

static void add_histogram(struct stats_histogram *to, const struct stats_histogram *h)
{
    for (unsigned i = 0; i < STATS_BUCKETS; i++)
        stats_bump(&to->buckets[i], atomic_load_explicit(&h->buckets[i], memory_order_relaxed));
    stats_bump(&to->sum_ns, atomic_load_explicit(&h->sum_ns, memory_order_relaxed));
}

/* labels: without braces, "" for none. */
static void print_histogram(FILE *out, const char *name, const char *labels, const struct bounds *bounds,
                            const struct stats_histogram *h)
{
    const char *comma = labels[0] ? "," : "", *open = labels[0] ? "{" : "", *shut = labels[0] ? "}" : "";
    unsigned long long count = 0;
    for (unsigned i = 0; i <= bounds->n; i++) {
        count += h->buckets[i];
        fprintf(out, PREFIX "%s_bucket{%s%sle=\"", name, labels, comma);
        if (i < bounds->n)
            fprintf(out, "%.6g\"} %llu\n", bounds->seconds[i], count);
        else
            fprintf(out, "+Inf\"} %llu\n", count);
    }
    fprintf(out, PREFIX "%s_sum%s%s%s %.9g\n", name, open, labels, shut, (double)h->sum_ns / 1e9);
    fprintf(out, PREFIX "%s_count%s%s%s %llu\n", name, open, labels, shut, count);
}

static void print_durations(FILE *out, const struct broker *b)
{
    for (unsigned d = 0; d < STATS_DURATIONS; d++) {
        struct stats_histogram sum = {.sum_ns = 0};
        for (unsigned i = 0; i < b->count; i++)
            add_histogram(&sum, &stats_of(b, i)->durations[d]);
        family(out, durations[d].name, "histogram", durations[d].help);
        print_histogram(out, durations[d].name, "", durations[d].bounds, &sum);
    }
}

static void print_gauges(FILE *out, const struct broker *b)
{
    static const struct {
        const char *family, *labels;
    } gauges[] = {
#define X(symbol, family, labels) {family, labels},
        STATS_GAUGES(X)
#undef X
    };
    static const struct {
        const char *family, *help;
    } helps[] = {
        {"grpc_connections",        "Number of current grpc connections, partitioned by service method."},
        {"http_connections",        "Number of current HTTP CONNECT connections"                        },
        {"pending_backend_dials",   "Current number of pending backend dial requests"                   },
        {"established_connections", "Current number of established end-to-end connections (post-dial)." },
        {"full_receive_channels",   "Number of current connections blocked by a full receive channel, "
                                  "partitioned by service method."     },
    };
    for (unsigned h = 0; h < ARRAY_SIZE(helps); h++) {
        family(out, helps[h].family, "gauge", helps[h].help);
        for (unsigned g = 0; g < STATS_GAUGE_COUNT; g++)
            if (strcmp(gauges[g].family, helps[h].family) == 0)
                fprintf(out, PREFIX "%s%s %lld\n", gauges[g].family, gauges[g].labels,
                        (long long)total(b, AT(gauges[g])));
    }
}

static void print_backends(FILE *out, const struct broker_worker *page)
{
    static const char *const names[STATS_STRATEGY_COUNT] = {
#define X(symbol, label) label,
        STATS_STRATEGIES(X)
#undef X
    };
    family(out, "ready_backend_connections", "gauge",
           "Number of konnectivity agent connected to the proxy server. DEPRECATED, please use "
           "ready_backends");
    fprintf(out, PREFIX "ready_backend_connections %llu\n",
            (unsigned long long)stats_backends(&page->stats, STATS_DEFAULT));
    family(out, "ready_backends", "gauge", "Number of konnectivity agent connected to the proxy server");
    for (unsigned i = 0; i < STATS_STRATEGY_COUNT; i++)
        fprintf(out, PREFIX "ready_backends{proxy_strategy=\"%s\"} %llu\n", names[i],
                (unsigned long long)stats_backends(&page->stats, (enum stats_strategy)i));
}

static void print_dial_failures(FILE *out, const struct broker *b)
{
    static const char *const names[STATS_DIAL_FAILURE_COUNT] = {
#define X(symbol, label) label,
        STATS_DIAL_FAILURES(X)
#undef X
    };
    family(out, "dial_failure_count", "counter",
           "Number of dial failures observed. Multiple failures can occur for a single dial request.");
    for (unsigned i = 0; i < STATS_DIAL_FAILURE_COUNT; i++)
        fprintf(out, PREFIX "dial_failure_count{reason=\"%s\"} %llu\n", names[i],
                (unsigned long long)total(b, AT(dial_failures[i])));
}

static const char *const segments[STATS_SEGMENTS] = {[STATS_FROM_CLIENT] = "from_client",
                                                     [STATS_TO_CLIENT] = "to_client",
                                                     [STATS_FROM_AGENT] = "from_agent",
                                                     [STATS_TO_AGENT] = "to_agent"};
static const char *const packets[STATS_PACKETS + 1] = {
    [PACKET_DIAL_REQ] = "DIAL_REQ",   [PACKET_DIAL_RSP] = "DIAL_RSP", [PACKET_CLOSE_REQ] = "CLOSE_REQ",
    [PACKET_CLOSE_RSP] = "CLOSE_RSP", [PACKET_DATA] = "DATA",         [PACKET_DIAL_CLS] = "DIAL_CLS",
    [PACKET_DRAIN] = "DRAIN",         [STATS_NO_PACKET] = "Unknown"};

static void print_packets(FILE *out, const struct broker *b)
{
    family(out, "stream_packets_total", "counter",
           "Count of packets processed, by segment and packet type (example: from_client, DIAL_REQ)");
    for (unsigned s = 0; s < STATS_SEGMENTS; s++)
        for (unsigned p = 0; p < STATS_PACKETS; p++)
            fprintf(out, PREFIX "stream_packets_total{packet_type=\"%s\",segment=\"%s\"} %llu\n", packets[p],
                    segments[s], (unsigned long long)total(b, AT(packets[s][p])));
}

static void print_errors(FILE *out, const struct broker *b)
{
    static const char *const codes[STATS_CODES] = {
        "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
        "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
        "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
        "DataLoss", "Unauthenticated"};
    bool begun = false;
    for (unsigned s = 0; s < STATS_SEGMENTS; s++)
        for (unsigned c = 0; c < STATS_CODES; c++)
            for (unsigned p = 0; p <= STATS_NO_PACKET; p++) {
                uint64_t n = total(b, AT(errors[s][c][p]));
                if (n > 0 && !begun)
                    family(out, "stream_errors_total", "counter",
                           "Count of gRPC stream errors, by segment, grpc Code, packet type. (example: "
                           "from_agent, Code.Unavailable, DIAL_RSP)");
                begun |= n > 0;
                if (n > 0)
                    fprintf(out,
                            PREFIX
                            "stream_errors_total{code=\"%s\",packet_type=\"%s\",segment=\"%s\"} %llu\n",
                            codes[c], packets[p], segments[s], (unsigned long long)n);
            }
}

/* -- leases: one worker has them all ------------------------------------------------------------------------
 */

/* The first two help texts speak of other things than they count, or misspell them: so they do there. */
static const struct {
    const char *counter, *help, *histogram, *histogram_help;
} lease_calls[STATS_LEASE_CALLS] = {
    [STATS_LEASE_LIST] = {"lease_list_total",
                          "Count of lease deletion calls by the garbage collection controller. Labeled by "
                          "HTTP status code and reason.",   "lease_list_latency_seconds",
                          "Latency of lease list calls by the garbage collection controller in seconds."},
    [STATS_LEASE_DELETE] = {"lease_delete_total",
                          "Count of lease delection calls by the garbage collection controller. Labeled by "
                            "HTTP status code and reason.", "lease_delete_latency_seconds",
                          "Latency of lease deletion calls by the garbage collection controller in "
                            "seconds."                                                                  },
};

static void print_lease_counts(FILE *out, const struct konnectivity_stats *s, enum stats_lease_call call,
                               unsigned n)
{
    family(out, lease_calls[call].counter, "counter", lease_calls[call].help);
    for (unsigned i = 0; i < n; i++)
        fprintf(out, PREFIX "%s{http_status_code=\"%u\",reason=\"%s\"} %llu\n", lease_calls[call].counter,
                s->leases[call][i].code, s->leases[call][i].reason,
                (unsigned long long)s->leases[call][i].count);
}

/* The histograms have no reason: rows of one code are added up. */
static void print_lease_latencies(FILE *out, const struct konnectivity_stats *s, enum stats_lease_call call,
                                  unsigned n)
{
    family(out, lease_calls[call].histogram, "histogram", lease_calls[call].histogram_help);
    for (unsigned i = 0; i < n; i++) {
        struct stats_histogram sum = {.sum_ns = 0};
        unsigned code = s->leases[call][i].code;
        char label[40];
        bool seen = false;
        for (unsigned k = 0; k < n; k++)
            if (s->leases[call][k].code == code) {
                seen |= k < i;
                add_histogram(&sum, &s->leases[call][k].latency);
            }
        snprintf(label, sizeof(label), "http_status_code=\"%u\"", code);
        if (!seen)
            print_histogram(out, lease_calls[call].histogram, label, &lease_bounds, &sum);
    }
}

static void print_leases(FILE *out, const struct broker *b)
{
    family(out, "culled_leases_count", "counter",
           "Count of expired leases that the lease garbage collection controller has culled.");
    fprintf(out, PREFIX "culled_leases_count %llu\n", (unsigned long long)total(b, AT(culled_leases)));
    for (unsigned call = 0; call < STATS_LEASE_CALLS; call++)
        for (unsigned i = 0; i < b->count; i++) {
            const struct konnectivity_stats *s = stats_of(b, i);
            unsigned n = atomic_load_explicit(&s->lease_rows[call], memory_order_acquire);
            if (n == 0)
                continue;
            print_lease_counts(out, s, (enum stats_lease_call)call, n);
            print_lease_latencies(out, s, (enum stats_lease_call)call, n);
            break;
        }
}

void stats_print(FILE *out, const struct broker *b, const struct broker_worker *page)
{
    print_durations(out, b);
    print_gauges(out, b);
    print_backends(out, page);
    print_dial_failures(out, b);
    print_packets(out, b);
    print_errors(out, b);
    print_leases(out, b);
}
