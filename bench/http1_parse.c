/* bench/http1_parse.c — what parsing, packing and writing a head costs, in nanoseconds of one core.
 *
 *   hawser-http1-parse [ROUNDS]
 *
 * One warm head at a time, the best of several runs: the floor, not the cost inside a busy broker, where
 * caches are colder. It prints its parameters, and one line a head.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "broker/http/http1_parse.h"
#include "broker/http/http1_write.h"

enum { RUNS = 7, ROUNDS = 200000 };

static const struct {
    const char *name, *text;
} heads[] = {
    {"connect",       "CONNECT 10.0.0.7:10250 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"                         },
    {"get-10-fields",
     "GET https://10.0.0.7:10250/metrics/cadvisor?timeout=10s HTTP/1.1\r\n"
     "Host: 10.0.0.7:10250\r\n"
     "User-Agent: Prometheus/2.53.0\r\n"
     "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1\r\n"
     "Accept-Encoding: gzip\r\n"
     "Authorization: Bearer "
     "eyJhbGciOiJSUzI1NiIsImtpZCI6IjAxMjM0NTY3ODlhYmNkZWYifQ.eyJpc3MiOiJrdWJlcm5ldGVz\r\n"
     "X-Prometheus-Scrape-Timeout-Seconds: 10\r\n"
     "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
     "X-Forwarded-For: 192.0.2.60\r\n"
     "X-Request-Id: 8b1d8a0e-3f0c-4a51-9d0e-2a7c5a0c1f11\r\n"
     "Connection: keep-alive\r\n\r\n"                                                                      },
    {"exec-upgrade",
     "POST /exec/ns/pod/c?command=ls&command=-l&input=1&output=1&tty=1 HTTP/1.1\r\n"
     "Host: node-1.cluster.example:10250\r\n"
     "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n"
     "X-Stream-Protocol-Version: v4.channel.k8s.io\r\nX-Stream-Protocol-Version: v3.channel.k8s.io\r\n\r\n"},
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

enum step { PARSE, PACK, WRITE };

/* One round of a step; each needs what the step before left behind. The barrier keeps the work from being
 * hoisted. */
static void once(enum step step, struct slice text, struct head_view *view, struct head **head)
{
    static _Alignas(uint64_t) char block[8192];
    static char out[8192];
    const struct http1_limits limits = HTTP1_REQUEST_LIMITS;
    const struct http1_write_options options = {.form = TARGET_ORIGIN};
    struct http1_scan scan = {0};
    struct http1_error error;
    size_t len;
    __asm__ volatile("" ::: "memory");
    if (step == PARSE && http1_parse_request(&limits, text, &scan, view, &error) != (ssize_t)text.len)
        abort();
    if (step == PACK && head_pack(view, NULL, block, sizeof block, head) != 0)
        abort();
    if (step == WRITE && http1_write_request(*head, &options, out, sizeof out, &len) != 0)
        abort();
}

static double best_ns(enum step step, long rounds, struct slice text, struct head_view *view,
                      struct head **head)
{
    double best = 1e18;
    for (int run = 0; run < RUNS; run++) {
        double start = now_ns();
        for (long i = 0; i < rounds; i++)
            once(step, text, view, head);
        double each = (now_ns() - start) / (double)rounds;
        best = each < best ? each : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    static struct head_view view;
    struct head *head = NULL;
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : ROUNDS;
    printf("# rounds=%ld runs=%d best-of\n# head bytes fields parse_ns pack_ns write_ns\n", rounds, RUNS);
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        struct slice text = slice_of_text(heads[i].text);
        double parse = best_ns(PARSE, rounds, text, &view, &head);
        double pack = best_ns(PACK, rounds, text, &view, &head);
        double write = best_ns(WRITE, rounds, text, &view, &head);
        printf("%s %u %u %.0f %.0f %.0f\n", heads[i].name, text.len, view.fields_n, parse, pack, write);
    }
    return 0;
}
