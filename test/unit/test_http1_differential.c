/* test/unit/test_http1_differential.c — the fuzz targets' properties and http_parser's opinion, on seeded
 * mutations.
 *
 * It is what a build without libFuzzer has of fuzzing: messages assembled from pieces that are nearly right,
 * with bytes changed here and there, the same every time. A broken property aborts; the
 * seed is told then, and HAWSER_SEED runs it again alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>

#include "test/fuzz/http1_properties.h"

enum { ROUNDS = 6000, TEXT_MAX = 1024 };

static const char *const request_lines[] = {
    "GET / HTTP/1.1\r\n",          "POST /a?b=%2F HTTP/1.1\r\n",
    "GET http://a/x HTTP/1.1\r\n", "CONNECT a:80 HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.1\r\n",      "\r\nPUT / HTTP/1.0\r\n",
    "HEAD https://a HTTP/1.1\r\n", "DELETE https://a:443 HTTP/1.1\r\n",
    "GET  / HTTP/1.1\r\n",
};
static const char *const status_lines[] = {
    "HTTP/1.1 200 OK\r\n",        "HTTP/1.0 200 OK\r\n", "HTTP/1.1 204 \r\n",  "HTTP/1.1 304\r\n",
    "HTTP/1.1 101 Switching\r\n", "HTTP/1.1 100 \r\n",   "HTTP/1.1 502 x\r\n",
};
static const char *const fields[] = {
    "Host: a\r\n",
    "Host: a:80\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 5, 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: Chunked \r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive, Upgrade\r\n",
    "Connection: x-a, te\r\n",
    "Upgrade: SPDY/3.1\r\n",
    "X-A:\r\n",
    "X-A: b \t\r\n",
    "X-A:\t\xe9\r\n",
    "Expect: 100-continue\r\n",
    "X-A: b\r\n c\r\n",
    "X-A : b\r\n",
};
static const char *const chunk_pieces[] = {
    "5\r\nhello\r\n", "A\r\n0123456789\r\n", "1;x=y\r\nz\r\n", "0\r\n",  "\r\n",        "X-Sum: 1\r\n",
    "5\nhello\r\n",   "5 \r\nhello\r\n",     "0x1\r\nz\r\n",   "00\r\n", "3\r\nab\r\n",
};

/* splitmix64: every seed is as good as another. */
static uint64_t next(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

struct text {
    char bytes[TEXT_MAX];
    size_t len;
};

static void add(struct text *t, const char *piece)
{
    size_t len = strlen(piece);
    if (t->len + len <= TEXT_MAX)
        memcpy(t->bytes + t->len, piece, len);
    t->len += t->len + len <= TEXT_MAX ? len : 0;
}

static void add_some(struct text *t, const char *const *pieces, size_t pieces_n, size_t n, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++)
        add(t, pieces[next(seed) % pieces_n]);
}

/* Half of the texts stay as assembled; in the others a few bytes change, go or double. */
static void mutate(struct text *t, uint64_t *seed)
{
    static const char favourites[] = "\r\n\t \0:;,0x\x7f\x80/@#%[]*";
    if (next(seed) % 2 == 0)
        return;
    for (uint64_t n = next(seed) % 3 + 1; n > 0 && t->len > 0 && t->len < TEXT_MAX; n--) {
        size_t at = next(seed) % t->len;
        char byte = favourites[next(seed) % (sizeof favourites - 1)];
        switch (next(seed) % 4) {
        case 0: t->bytes[at] = byte; break;
        case 1: t->bytes[at] = (char)next(seed); break;
        case 2: memmove(t->bytes + at, t->bytes + at + 1, --t->len - at); break;
        default: memmove(t->bytes + at + 1, t->bytes + at, t->len++ - at); t->bytes[at] = byte;
        }
    }
}

/* The seed being run, for tell_seed(). */
static volatile uint64_t seed_now;

/* Properties abort from deep below; printing here is safe because the abort is synchronous. */
static void tell_seed(int signal_number)
{
    fprintf(stderr, "HAWSER_SEED=%llu\n", (unsigned long long)seed_now);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static bool run_seed(uint64_t seed, const char *const *starts, size_t starts_n,
                     bool (*judge)(const struct text *, uint64_t seed))
{
    struct text t = {.len = 0};
    uint64_t random = seed;
    seed_now = seed;
    add_some(&t, starts, starts_n, 1, &random);
    if (next(&random) % 8 != 0)
        add(&t, fields[0]);
    add_some(&t, fields, ARRAY_SIZE(fields), next(&random) % 4, &random);
    add(&t, "\r\n");
    mutate(&t, &random);
    return judge(&t, seed);
}

static bool judge_request(const struct text *t, uint64_t seed)
{
    (void)seed;
    http1_check_request(t->bytes, t->len);
    return http1_compare_request(t->bytes, t->len);
}

static bool judge_response(const struct text *t, uint64_t seed)
{
    static const enum http_method methods[] = {HTTP_METHOD_GET, HTTP_METHOD_HEAD, HTTP_METHOD_CONNECT};
    enum http_method method = methods[seed % ARRAY_SIZE(methods)];
    http1_check_response(t->bytes, t->len, method);
    return http1_compare_response(t->bytes, t->len, method);
}

static uint64_t first_seed(void)
{
    const char *given = getenv("HAWSER_SEED");
    return given != NULL ? strtoull(given, NULL, 0) : 1;
}

static void assert_some_of_both(unsigned accepted)
{
    if (getenv("HAWSER_SEED") != NULL)
        return;
    assert_in_range(accepted, ROUNDS / 20, ROUNDS - ROUNDS / 20);
}

static void assert_agreement(const char *const *starts, size_t starts_n,
                             bool (*judge)(const struct text *, uint64_t))
{
    unsigned accepted = 0;
    uint64_t first = first_seed(), n = getenv("HAWSER_SEED") != NULL ? 1 : ROUNDS;
    print_message("seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)(first + n - 1));
    for (uint64_t seed = first; seed < first + n; seed++)
        accepted += run_seed(seed, starts, starts_n, judge);
    assert_some_of_both(accepted);
}

static void accepted_requests_mean_the_same_to_http_parser(void **state)
{
    (void)state;
    assert_agreement(request_lines, ARRAY_SIZE(request_lines), judge_request);
}

static void accepted_responses_mean_the_same_to_http_parser(void **state)
{
    (void)state;
    assert_agreement(status_lines, ARRAY_SIZE(status_lines), judge_response);
}

static void accepted_chunks_mean_the_same_to_http_parser(void **state)
{
    (void)state;
    unsigned accepted = 0;
    uint64_t first = first_seed(), n = getenv("HAWSER_SEED") != NULL ? 1 : ROUNDS;
    for (uint64_t seed = first; seed < first + n; seed++) {
        struct text t = {.len = 0};
        uint64_t random = seed;
        seed_now = seed;
        add_some(&t, chunk_pieces, next(&random) % 2 ? 3 : ARRAY_SIZE(chunk_pieces), next(&random) % 4,
                 &random);
        add(&t, "0\r\n");
        if (next(&random) % 4 == 0)
            add(&t, "X-Sum: 1\r\n");
        add(&t, "\r\n");
        mutate(&t, &random);
        http1_check_chunks(t.bytes, t.len);
        accepted += http1_compare_chunks(t.bytes, t.len);
    }
    assert_some_of_both(accepted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_requests_mean_the_same_to_http_parser),
        cmocka_unit_test(accepted_responses_mean_the_same_to_http_parser),
        cmocka_unit_test(accepted_chunks_mean_the_same_to_http_parser),
    };
    signal(SIGABRT, tell_seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
