/* bench/load/report.c — prints numbers and fixed words, and one text of our own making: nothing needs
 * escaping but that text, which holds bytes of a peer's answer only after print_text has made them printable.
 */
#include "bench/load/report.h"

#include "bench/load/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

#define LAG_P99_LIMIT_NS 1000000 /* above 1 ms the generator measures itself: the run is void */

static const char *const pacing_names[] = {
    [PACING_POISSON] = "poisson",
    [PACING_EVEN] = "even",
    [PACING_CLOSED] = "closed",
};

static void print_text(const char *text)
{
    putchar('"');
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\' || *c < 32 || *c > 126)
            putchar('.');
        else
            putchar(*c);
    }
    putchar('"');
}

static void print_histogram(const char *name, const struct histogram *h, bool buckets)
{
    printf(" \"%s\": {\"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f, \"mean\": "
           "%.3f",
           name, (double)histogram_quantile_ns(h, 0.5) / 1e3, (double)histogram_quantile_ns(h, 0.9) / 1e3,
           (double)histogram_quantile_ns(h, 0.99) / 1e3, (double)histogram_quantile_ns(h, 0.999) / 1e3,
           (double)h->max_ns / 1e3, h->total ? h->sum_ns / (double)h->total / 1e3 : 0.0);
    if (buckets) {
        const char *comma = "";
        printf(", \"buckets\": [");
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
            if (h->counts[i] == 0)
                continue;
            printf("%s[%.3f, %" PRIu64 "]", comma, (double)histogram_bucket_top_ns(i) / 1e3, h->counts[i]);
            comma = ", ";
        }
        printf("]");
    }
    printf("},\n");
}

static void print_failures(const struct load_result *r)
{
    uint64_t sum = 0;
    printf(" \"failures\": {");
#define PRINT_FAILURE(symbol, name)                                                                          \
    printf("\"%s\": %" PRIu64 ", ", #name, r->failures[symbol]);                                             \
    sum += r->failures[symbol];
    LOAD_FAILURES(PRINT_FAILURE)
#undef PRINT_FAILURE
    printf("\"total\": %" PRIu64 "},\n \"first_failure\": ", sum);
    print_text(r->first_failure);
    printf(",\n");
}

void report_print(const struct load_options *o, const struct load_result *r)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    double elapsed_s = (double)r->elapsed_ns / 1e9;
    bool open_loop = o->arrivals.pacing != PACING_CLOSED;
    bool lag_ok = !open_loop || histogram_quantile_ns(&r->lag, 0.99) <= LAG_P99_LIMIT_NS;

    printf("{\"pacing\": \"%s\", \"offered_per_s\": %.3f, \"seed\": %" PRIu64 ", \"endpoints\": %u,\n",
           pacing_names[o->arrivals.pacing], open_loop ? o->arrivals.rate_per_s : 0.0, o->arrivals.seed,
           o->arrivals.endpoints_count);
    printf(" \"connections\": %u, \"connections_opened\": %" PRIu64 ",\n", o->connections_max,
           r->connections_opened);
    printf(" \"scheduled\": %" PRIu64 ", \"completed\": %" PRIu64 ", \"elapsed_s\": %.6f, \"per_s\": %.3f,\n",
           r->scheduled, r->completed, elapsed_s, elapsed_s > 0 ? (double)r->completed / elapsed_s : 0.0);
    printf(" \"body_bytes_in\": %" PRIu64 ", \"body_bytes_out\": %" PRIu64 ", \"generator_cpu_s\": %.6f,\n",
           r->body_bytes_in, r->body_bytes_out, cpu_s);
    print_histogram("latency_us", &r->latency, o->buckets);
    print_histogram("lag_us", &r->lag, false);
    if (options_tunnels(o)) {
        print_histogram("setup_us", &r->setup, o->buckets);
        print_histogram("exchange_us", &r->exchange, o->buckets);
    }
    print_failures(r);
    printf(" \"generator_in_time\": %s}\n", lag_ok ? "true" : "false");
}
