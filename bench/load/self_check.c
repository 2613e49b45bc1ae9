/* bench/load/self_check.c — properties of the histogram, of the arrivals, of the answer reader and of
 * tunnels. Run by CTest as `hawser-load --self-check`; fixed seeds, no clock, no socket. */
#include "bench/load/self_check.h"

#include "bench/load/answer.h"
#include "bench/load/arrivals.h"
#include "bench/load/histogram.h"
#include "bench/load/link.h"
#include "bench/load/tunnel.h"
#include "bench/target.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "hawser-load: self-check: %s:%d: %s\n", __func__, __LINE__, #condition);         \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)

static void buckets_contain_their_values_and_stay_narrow(void)
{
    struct arrivals a = {.rng_state = 7};
    for (int i = 0; i < 200000; i++) {
        uint64_t v = arrivals_random(&a) >> (24 + arrivals_random(&a) % 40);
        unsigned b = histogram_bucket_of(v);
        uint64_t top = histogram_bucket_top_ns(b);
        CHECK(b < HISTOGRAM_BUCKETS);
        CHECK(v <= top);
        CHECK(b == 0 || v > histogram_bucket_top_ns(b - 1));
        CHECK((double)(top - v) <= (double)v / (1 << HISTOGRAM_SUB_BITS));
    }
    CHECK(histogram_bucket_of(UINT64_MAX) == HISTOGRAM_BUCKETS - 1);
    CHECK(histogram_bucket_of(0) == 0);
}

static void quantiles_of_a_known_line_are_right(void)
{
    struct histogram *h = calloc(1, sizeof(*h));
    CHECK(h != NULL);
    if (!h)
        return;
    CHECK(histogram_quantile_ns(h, 0.5) == 0);
    for (uint64_t v = 1; v <= 100000; v++)
        histogram_add(h, v * 1000);
    const double quantiles[] = {0.5, 0.9, 0.99, 0.999};
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        double exact = quantiles[i] * 1e8;
        double told = (double)histogram_quantile_ns(h, quantiles[i]);
        CHECK(told >= exact * 0.9999 && told <= exact * 1.008);
    }
    CHECK(histogram_quantile_ns(h, 1.0) == 100000000);
    CHECK(h->max_ns == 100000000);
    free(h);
}

static void poisson_gaps_have_exponential_moments(void)
{
    struct arrivals a;
    const struct arrivals_options o = {
        .seed = 42, .pacing = PACING_POISSON, .rate_per_s = 2000, .endpoints_count = 10};
    CHECK(arrivals_init(&a, &o) == 0);
    const int n = 400000;
    double sum = 0, squares = 0;
    int above_mean = 0;
    for (int i = 0; i < n; i++) {
        double gap = arrivals_next_gap_ns(&a);
        CHECK(gap >= 0);
        sum += gap;
        squares += gap * gap;
        above_mean += gap > 500000.0;
    }
    double mean = sum / n;
    double deviation = sqrt(squares / n - mean * mean);
    CHECK(fabs(mean / 500000.0 - 1) < 0.01);
    CHECK(fabs(deviation / mean - 1) < 0.01);              /* exponential: deviation equals mean */
    CHECK(fabs((double)above_mean / n - exp(-1)) < 0.005); /* P(gap > mean) = 1/e */
    arrivals_fini(&a);
}

static void uniform_choice_is_flat_and_repeats_with_its_seed(void)
{
    enum { N = 50, DRAWS = 500000 };
    const struct arrivals_options o = {.seed = 9, .pacing = PACING_CLOSED, .endpoints_count = N};
    struct arrivals a, again;
    CHECK(arrivals_init(&a, &o) == 0);
    CHECK(arrivals_init(&again, &o) == 0);
    unsigned counts[N] = {0};
    for (int i = 0; i < DRAWS; i++) {
        uint32_t e = arrivals_next_endpoint(&a);
        CHECK(e < N);
        CHECK(e == arrivals_next_endpoint(&again));
        counts[e % N]++;
    }
    double chi2 = 0, expected = (double)DRAWS / N;
    for (int i = 0; i < N; i++)
        chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
    CHECK(chi2 < 85.4); /* 49 degrees of freedom, p = 0.001 */
    arrivals_fini(&a);
    arrivals_fini(&again);
}

static void a_sweep_visits_every_endpoint_equally(void)
{
    enum { N = 1000, BURST = 2 };
    const struct arrivals_options o = {.seed = 3,
                                       .pacing = PACING_EVEN,
                                       .rate_per_s = 100,
                                       .endpoints_count = N,
                                       .burst = BURST,
                                       .sweep = true};
    struct arrivals a;
    CHECK(arrivals_init(&a, &o) == 0);
    unsigned counts[N] = {0};
    bool in_order = true;
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < N; i++) {
            uint32_t first = arrivals_next_endpoint(&a);
            CHECK(arrivals_next_endpoint(&a) == first);
            in_order = in_order && first == i;
            counts[first]++;
        }
        for (int i = 0; i < N; i++)
            CHECK(counts[i] == (unsigned)round + 1);
    }
    CHECK(!in_order);
    CHECK(arrivals_next_gap_ns(&a) == 1e7);
    arrivals_fini(&a);
}

static void answers_are_read_across_every_split(void)
{
    static const char text[] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello";
    for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
        struct answer a = {0};
        enum answer_result r = answer_feed(&a, text, cut);
        CHECK(r == ANSWER_MORE);
        r = answer_feed(&a, text + cut, sizeof(text) - 1 - cut);
        CHECK(r == ANSWER_DONE);
        CHECK(a.status == 200 && a.body_bytes == 5 && a.close_after);
        CHECK(strcmp(a.body_start, "hello") == 0);
    }
}

static void wrong_answers_are_refused(void)
{
    static const struct {
        const char *text;
        enum answer_result want;
    } rows[] = {
        {"SSH-2.0-OpenSSH\r\n\r\n",                                                   ANSWER_BAD_HEAD   },
        {"HTTP/1.1 200 OK\r\n\r\n",                                                   ANSWER_BAD_FRAMING},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",                     ANSWER_BAD_FRAMING},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\n",                             ANSWER_BAD_FRAMING},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc",                           ANSWER_SURPLUS    },
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",                            ANSWER_MORE       },
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ANSWER_DONE       },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct answer a = {0};
        enum answer_result got = answer_feed(&a, rows[i].text, strlen(rows[i].text));
        if (got != rows[i].want)
            fprintf(stderr, "row %zu: %s, wanted %s\n", i, answer_result_text(got),
                    answer_result_text(rows[i].want));
        CHECK(got == rows[i].want);
    }
}

/* What stands behind the head is surplus: nobody has ordered anything yet. */
static void the_answer_to_connect_has_no_body(void)
{
    static const struct {
        const char *text;
        enum answer_result want;
    } rows[] = {
        {"HTTP/1.1 200 Connection established\r\n\r\n",           ANSWER_DONE    },
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ANSWER_DONE    },
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",          ANSWER_DONE    },
        {"HTTP/1.1 200 OK\r\n\r\nhello",                          ANSWER_SURPLUS },
        {"HTTP/1.1 200 OK\r\n",                                   ANSWER_MORE    },
        {"SSH-2.0-OpenSSH\r\n\r\n",                               ANSWER_BAD_HEAD},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct answer a = {.to_connect = true};
        CHECK(answer_feed(&a, rows[i].text, strlen(rows[i].text)) == rows[i].want);
    }
}

static void an_order_says_what_follows_and_goes_with_it_if_small(void)
{
    const uint64_t uploads[] = {0, 1, 232, 1000, 1001, 1 << 20};
    for (size_t i = 0; i < sizeof(uploads) / sizeof(uploads[0]); i++) {
        const struct load_options o = {
            .target = TARGET_CONNECT, .upload_bytes = uploads[i], .expected_bytes = 1024};
        struct link *l = calloc(1, sizeof(*l));
        CHECK(l != NULL);
        if (!l)
            return;
        l->options = &o;
        tunnel_write_order(l);
        struct target_order order;
        memcpy(&order, l->head, sizeof(order));
        CHECK(order.magic == TARGET_MAGIC && order.up_bytes == uploads[i] && order.down_bytes == 1024);
        CHECK(l->head_bytes + l->body_left == sizeof(order) + uploads[i]);
        CHECK(l->head_bytes <= sizeof(l->head));
        CHECK(uploads[i] > 1000 || l->body_left == 0);
        free(l);
    }
}

static void a_crossed_or_lossy_tunnel_is_told(void)
{
    static const struct {
        struct target_answer said;
        bool good;
    } rows[] = {
        {{0x7f400004, 1, 232}, true },
        {{0x7f400005, 1, 232}, false},
        {{0x7f400004, 1, 231}, false},
        {{0x7f400004, 1, 233}, false},
    };
    const struct load_options o = {
        .target = TARGET_CONNECT, .base_ipv4 = 0x7f400001, .port = 10250, .upload_bytes = 232};
    struct link *l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    if (!l)
        return;
    l->options = &o;
    l->request.endpoint = 3;
    tunnel_write_connect(l);
    l->head[l->head_bytes] = '\0';
    CHECK(strcmp(l->head, "CONNECT 127.64.0.4:10250 HTTP/1.1\r\nHost: 127.64.0.4:10250\r\n\r\n") == 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char note[100];
        answer_expect_bytes(&l->answer, sizeof(rows[i].said));
        CHECK(answer_feed(&l->answer, (const char *)&rows[i].said, sizeof(rows[i].said)) == ANSWER_DONE);
        CHECK(tunnel_judge(l, note, sizeof(note)) == rows[i].good);
    }
    free(l);
}

int self_check(void)
{
    buckets_contain_their_values_and_stay_narrow();
    quantiles_of_a_known_line_are_right();
    poisson_gaps_have_exponential_moments();
    uniform_choice_is_flat_and_repeats_with_its_seed();
    a_sweep_visits_every_endpoint_equally();
    answers_are_read_across_every_split();
    wrong_answers_are_refused();
    the_answer_to_connect_has_no_body();
    an_order_says_what_follows_and_goes_with_it_if_small();
    a_crossed_or_lossy_tunnel_is_told();
    if (failures == 0)
        puts("hawser-load: self-check: all properties hold");
    return failures;
}
