/* test/unit/test_resolve.c — io/resolve against a name server that answers, lies or mumbles: what is taken of
 * it, and for how long. Who asks and waits: test_resolve_wait.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/engine.h"
#include "test/support/poll_engine.h"
#include "test/support/resolve_rig.h"

static int setup(void **state)
{
    (void)state;
    resolve_rig_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    resolve_rig_stop();
    return 0;
}

static void addresses_carry_the_port_and_both_families(void **state)
{
    (void)state;
    struct question q;
    assert_int_equal(question_now(&q, "both.test"), ENDING_DONE);
    assert_int_equal(q.count, 3);
    unsigned found = 0;
    for (unsigned i = 0; i < 3; i++) {
        char text[NET_TEXT_MAX];
        net_address_text(&q.addresses[i], text);
        found |= strcmp(text, "10.0.0.1:10250") == 0 ? 1 : 0;
        found |= strcmp(text, "10.0.0.2:10250") == 0 ? 2 : 0;
        found |= strcmp(text, "[fd00::1]:10250") == 0 ? 4 : 0;
    }
    assert_int_equal(found, 7);
    assert_int_equal(question_now(&q, "v6.test"), ENDING_DONE);
    assert_int_equal(q.count, 1);
    resolve_rig_assert_address(&q.addresses[0], "[fd00::1]:10250");
    assert_int_equal(question_now(&q, "under_score.test"), ENDING_DONE);
}

static void names_are_compared_without_case_and_trailing_dot(void **state)
{
    (void)state;
    struct question q;
    assert_int_equal(question_now(&q, "v4.test"), ENDING_DONE);
    assert_int_equal(question_now(&q, "V4.TesT."), ENDING_DONE);
    assert_int_equal(resolver_status(resolve_rig.resolver).queries, 1);
    assert_int_equal(resolver_status(resolve_rig.resolver).hits, 1);
}

static void unknown_names_are_unknown_for_a_second(void **state)
{
    (void)state;
    static const char *const names[] = {"nx.test", "empty.test", "servfail.test", "refused.test"};
    struct question q;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(question_now(&q, names[i]), ENDING_NAME_UNKNOWN);
        uint64_t queries = resolver_status(resolve_rig.resolver).queries;
        assert_int_equal(question_now(&q, names[i]), ENDING_NAME_UNKNOWN);
        assert_int_equal(resolver_status(resolve_rig.resolver).queries, queries);
        poll_engine_skip(resolve_rig.worker.engine, 1100000000u);
        resolve_rig_turn();
        assert_int_equal(question_now(&q, names[i]), ENDING_NAME_UNKNOWN);
        assert_int_equal(resolver_status(resolve_rig.resolver).queries, queries + 1);
    }
}

static void invalid_names_are_refused_without_a_query(void **state)
{
    (void)state;
    char label[80], name[300];
    memset(label, 'x', 64);
    memcpy(label + 64, ".test", 6);
    memset(name, 0, sizeof(name));
    for (int i = 0; i < 64; i++)
        memcpy(name + 4 * i, "abc.", 4);
    const char *const bad[] = {"",        ".",         "..",     "a..test",  ".test",       "-a.test",
                               "a-.test", "a b",       "a/b",    "a.test\n", "a:1",         "[::1]",
                               "1.2.3",   "256.1.1.1", "host.1", "4294967",  "caf\xc3\xa9", label,
                               name,      "a_b.-",     "*.test", "a..",      "%31.test"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct question q;
        assert_false(resolve_name_is_valid(bad[i]));
        assert_int_equal(question_now(&q, bad[i]), ENDING_NAME_UNKNOWN);
    }
    name[253] = '\0';
    assert_true(resolve_name_is_valid(name));
    name[253] = '.';
    name[254] = '\0';
    assert_true(resolve_name_is_valid(name));
    name[253] = 'x';
    assert_false(resolve_name_is_valid(name));
    assert_true(resolve_name_is_valid("a"));
    assert_true(resolve_name_is_valid("1.a-1."));
    assert_int_equal(resolver_status(resolve_rig.resolver).queries, 0);
    assert_int_equal(dns_server_questions(resolve_rig.server), 0);
}

static void hostile_answers_end_in_a_reason(void **state)
{
    (void)state;
    struct question q;
    enum ending e = question_now(&q, "garbage.test");
    assert_true(e == ENDING_NAME_UNKNOWN || e == ENDING_NAME_TIMEOUT);
    e = question_now(&q, "headless.test");
    assert_true(e == ENDING_NAME_UNKNOWN || e == ENDING_NAME_TIMEOUT);
    e = question_now(&q, "truncated.test");
    assert_true(e == ENDING_NAME_UNKNOWN || e == ENDING_NAME_TIMEOUT);
    question_now(&q, "oversize.test"); /* either is right; not to break is the point */
    assert_int_equal(question_now(&q, "spoofed.test"), ENDING_DONE);
    assert_int_equal(q.count, 1);
    resolve_rig_assert_address(&q.addresses[0], "10.0.0.1:10250");
    assert_int_equal(question_now(&q, "v4.test"), ENDING_DONE);
}

static void at_most_sixteen_addresses_are_taken(void **state)
{
    (void)state;
    struct question q;
    assert_int_equal(question_now(&q, "many.test"), ENDING_DONE);
    assert_int_equal(q.count, RESOLVE_ADDRESSES_MAX);
    for (unsigned i = 0; i < q.count; i++)
        for (unsigned j = 0; j < i; j++)
            assert_false(net_address_equal(&q.addresses[i], &q.addresses[j]));
}

static void assert_remembered_for(const char *name, uint64_t seconds)
{
    struct question q;
    assert_int_equal(question_now(&q, name), ENDING_DONE);
    uint64_t queries = resolver_status(resolve_rig.resolver).queries;
    if (seconds > 1) {
        poll_engine_skip(resolve_rig.worker.engine, (seconds - 1) * 1000000000u);
        resolve_rig_turn();
    }
    assert_int_equal(question_now(&q, name), ENDING_DONE);
    assert_int_equal(resolver_status(resolve_rig.resolver).queries, queries);
    poll_engine_skip(resolve_rig.worker.engine, 1100000000u);
    resolve_rig_turn();
    assert_int_equal(question_now(&q, name), ENDING_DONE);
    assert_int_equal(resolver_status(resolve_rig.resolver).queries, queries + 1);
}

static void answers_live_as_long_as_the_record_says_within_bounds(void **state)
{
    (void)state;
    assert_remembered_for("short.test", 5);
    assert_remembered_for("zero.test", 1);
    assert_remembered_for("long.test", 30);
}

static void an_absurd_ttl_is_bounded_too(void **state)
{
    (void)state;
    struct question q;
    assert_int_equal(question_now(&q, "absurd.test"), ENDING_DONE);
    poll_engine_skip(resolve_rig.worker.engine, 31000000000u);
    resolve_rig_turn();
    assert_int_equal(question_now(&q, "absurd.test"), ENDING_DONE);
    assert_int_equal(resolver_status(resolve_rig.resolver).queries, 2);
}

static void aliases_are_followed_and_shorten_the_life(void **state)
{
    (void)state;
    assert_remembered_for("chain.test", 7);
}

static void the_cache_forgets_the_name_unused_longest(void **state)
{
    (void)state;
    resolver_free(&resolve_rig.resolver);
    resolve_rig_resolver((struct resolver_options){.names_max = 3});
    struct question q;
    question_now(&q, "v4.test");
    question_now(&q, "v6.test");
    question_now(&q, "both.test");
    question_now(&q, "v4.test");    /* used again: v6 is the oldest now */
    question_now(&q, "short.test"); /* takes its place */
    assert_int_equal(resolver_status(resolve_rig.resolver).names, 3);
    uint64_t queries = resolver_status(resolve_rig.resolver).queries;
    question_now(&q, "v4.test");
    question_now(&q, "both.test");
    assert_int_equal(resolver_status(resolve_rig.resolver).queries, queries);
    question_now(&q, "v6.test");
    assert_int_equal(resolver_status(resolve_rig.resolver).queries, queries + 1);
}

static void thousands_of_names_stay_bounded(void **state)
{
    (void)state;
    resolver_free(&resolve_rig.resolver);
    resolve_rig_resolver((struct resolver_options){.names_max = 64, .queries_max = 16});
    uint64_t seed = 1;
    for (int round = 0; round < 100; round++) {
        struct question q[40] = {0};
        char names[40][32];
        for (int i = 0; i < 40; i++) {
            snprintf(names[i], sizeof(names[i]), "n%d.test",
                     (int)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33) % 500);
            question_ask(&q[i], names[i], 3000);
        }
        if (round % 3 == 0)
            for (int i = 0; i < 40; i += 3)
                resolve_cancel(&q[i].resolve);
        uint64_t limit = resolve_rig_in_ms(5000);
        while (resolver_status(resolve_rig.resolver).waiting && resolve_rig.worker.now_ns < limit)
            resolve_rig_turn();
        for (int i = 0; i < 40; i++)
            assert_int_equal(q[i].answers, round % 3 == 0 && i % 3 == 0 ? 0 : 1);
    }
    assert_true(resolver_status(resolve_rig.resolver).names <= 64);
}

static void a_server_that_refuses_is_no_answer(void **state)
{
    (void)state;
    resolver_free(&resolve_rig.resolver);
    resolve_rig_resolver((struct resolver_options){.servers = "127.0.0.1:1"});
    struct question q;
    enum ending e = question_now(&q, "v4.test");
    assert_true(e == ENDING_NAME_UNKNOWN || e == ENDING_NAME_TIMEOUT);
    resolver_free(&resolve_rig.resolver);
    struct resolver_options bad = {.servers = "not an address"};
    assert_int_equal(resolver_new(&resolve_rig.worker, &bad, &resolve_rig.resolver), -22);
    resolve_rig_resolver((struct resolver_options){0});
}

static void search_domains_are_an_option(void **state)
{
    (void)state;
    char path[] = "/tmp/hawser-resolv-XXXXXX";
    int fd = mkstemp(path);
    static const char conf[] = "nameserver 127.0.0.1\nsearch search.test\n";
    assert_int_equal(write(fd, conf, sizeof(conf) - 1), sizeof(conf) - 1);
    close(fd);
    struct question q;
    resolver_free(&resolve_rig.resolver);
    resolve_rig_resolver((struct resolver_options){.resolv_conf = path});
    assert_int_equal(question_now(&q, "web"), ENDING_NAME_UNKNOWN);
    resolver_free(&resolve_rig.resolver);
    resolve_rig_resolver((struct resolver_options){.resolv_conf = path, .search = true});
    assert_int_equal(question_now(&q, "web"), ENDING_DONE);
    assert_int_equal(question_now(&q, "web."), ENDING_NAME_UNKNOWN); /* absolute */
    assert_int_equal(question_now(&q, "v4.test."), ENDING_DONE);
    unlink(path);
}

static void the_hosts_file_comes_first(void **state)
{
    (void)state;
    resolver_free(&resolve_rig.resolver);
    struct resolver_options o = {.servers = dns_server_address(resolve_rig.server)};
    assert_int_equal(resolver_new(&resolve_rig.worker, &o, &resolve_rig.resolver), 0);
    struct question q;
    assert_int_equal(question_now(&q, "localhost"), ENDING_DONE);
    assert_int_equal(dns_server_questions(resolve_rig.server), 0);
    for (unsigned i = 0; i < q.count; i++)
        for (unsigned j = 0; j < i; j++)
            assert_false(net_address_equal(&q.addresses[i], &q.addresses[j]));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(addresses_carry_the_port_and_both_families),
        TEST(names_are_compared_without_case_and_trailing_dot),
        TEST(unknown_names_are_unknown_for_a_second),
        TEST(invalid_names_are_refused_without_a_query),
        TEST(hostile_answers_end_in_a_reason),
        TEST(at_most_sixteen_addresses_are_taken),
        TEST(answers_live_as_long_as_the_record_says_within_bounds),
        TEST(an_absurd_ttl_is_bounded_too),
        TEST(aliases_are_followed_and_shorten_the_life),
        TEST(the_cache_forgets_the_name_unused_longest),
        TEST(thousands_of_names_stay_bounded),
        TEST(a_server_that_refuses_is_no_answer),
        TEST(search_domains_are_an_option),
        TEST(the_hosts_file_comes_first),
    };
    assert_int_equal(resolve_global_init(), 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    resolve_global_fini();
    return failed;
}
