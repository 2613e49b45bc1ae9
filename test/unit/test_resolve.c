/* test/unit/test_resolve.c — io/resolve against a name server that answers, lies, mumbles or keeps silent. */
#include "io/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/engine.h"
#include "io/mailbox.h"
#include "io/worker.h"
#include "test/support/dns_server.h"
#include "test/support/poll_engine.h"

static struct dns_server *server;
static struct mailboxes *mail;
static struct worker worker;
static struct worker *const peers[] = {&worker};
static struct resolver *resolver;

struct question {
    struct resolve resolve;
    unsigned answers;
    enum ending ending;
    unsigned count;
    struct net_address addresses[RESOLVE_ADDRESSES_MAX];
    bool again; /* ask the same once more from inside done */
    struct question *cancels, *frees;
    const char *name;
};

static uint64_t in_ms(uint64_t ms)
{
    return worker.now_ns + ms * 1000000u;
}

static void on_done(struct resolve *r, enum ending ending, const struct net_address *addresses,
                    unsigned count)
{
    struct question *q = (struct question *)r;
    assert_false(resolve_is_pending(r));
    q->answers++;
    q->ending = ending;
    q->count = count;
    assert_true(count <= RESOLVE_ADDRESSES_MAX);
    assert_int_equal(count > 0, ending == ENDING_DONE);
    for (unsigned i = 0; i < count; i++)
        q->addresses[i] = addresses[i];
    if (q->cancels)
        resolve_cancel(&q->cancels->resolve);
    if (q->again) {
        q->again = false;
        resolve_start(resolver, r, q->name, 443, in_ms(2000));
        assert_int_equal(q->answers, 1); /* never from inside the call */
    }
    free(q->frees); /* may be q itself */
}

static void ask(struct question *q, const char *name, uint64_t within_ms)
{
    if (q->answers == 0)
        resolve_init(&q->resolve, on_done);
    unsigned before = q->answers;
    q->name = name;
    resolve_start(resolver, &q->resolve, name, 10250, in_ms(within_ms));
    assert_int_equal(q->answers, before);
    resolver_check(resolver);
}

static void turn(void)
{
    worker_turn(&worker, in_ms(50));
    resolver_check(resolver);
}

static void turn_until(const struct question *q, unsigned answers)
{
    uint64_t limit = in_ms(10000);
    while (q->answers < answers && worker.now_ns < limit)
        turn();
    assert_int_equal(q->answers, answers);
}

static enum ending resolve_now(struct question *q, const char *name)
{
    *q = (struct question){0};
    ask(q, name, 3000);
    turn_until(q, 1);
    return q->ending;
}

static void assert_address(const struct net_address *a, const char *text)
{
    char buf[NET_TEXT_MAX];
    assert_string_equal(net_address_text(a, buf), text);
}

static void resolver_with(struct resolver_options o)
{
    if (!o.servers)
        o.servers = dns_server_address(server);
    o.no_hosts_file = true;
    if (!o.try_ms)
        o.try_ms = 250;
    assert_int_equal(resolver_new(&worker, &o, &resolver), 0);
}

static int setup(void **state)
{
    (void)state;
    server = dns_server_start();
    assert_int_equal(mailboxes_new(1, 64, &mail), 0);
    static const struct buf_limits limits = {
        {8, 8, 1}
    };
    assert_int_equal(worker_init(&worker, 0, 1, mail, &limits), 0);
    worker.peers = peers;
    assert_int_equal(poll_engine_new(&worker, &worker.engine), 0);
    worker_start_clock(&worker);
    resolver_with((struct resolver_options){0});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    resolver_free(&resolver);
    worker_fini(&worker);
    mailboxes_free(&mail);
    dns_server_stop(&server);
    return 0;
}

static void addresses_carry_the_port_and_both_families(void **state)
{
    (void)state;
    struct question q;
    assert_int_equal(resolve_now(&q, "both.test"), ENDING_DONE);
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
    assert_int_equal(resolve_now(&q, "v6.test"), ENDING_DONE);
    assert_int_equal(q.count, 1);
    assert_address(&q.addresses[0], "[fd00::1]:10250");
    assert_int_equal(resolve_now(&q, "under_score.test"), ENDING_DONE);
}

static void names_are_compared_without_case_and_trailing_dot(void **state)
{
    (void)state;
    struct question q;
    assert_int_equal(resolve_now(&q, "v4.test"), ENDING_DONE);
    assert_int_equal(resolve_now(&q, "V4.TesT."), ENDING_DONE);
    assert_int_equal(resolver_status(resolver).queries, 1);
    assert_int_equal(resolver_status(resolver).hits, 1);
}

static void unknown_names_are_unknown_for_a_second(void **state)
{
    (void)state;
    static const char *const names[] = {"nx.test", "empty.test", "servfail.test", "refused.test"};
    struct question q;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(resolve_now(&q, names[i]), ENDING_NAME_UNKNOWN);
        uint64_t queries = resolver_status(resolver).queries;
        assert_int_equal(resolve_now(&q, names[i]), ENDING_NAME_UNKNOWN);
        assert_int_equal(resolver_status(resolver).queries, queries);
        poll_engine_skip(worker.engine, 1100000000u);
        turn();
        assert_int_equal(resolve_now(&q, names[i]), ENDING_NAME_UNKNOWN);
        assert_int_equal(resolver_status(resolver).queries, queries + 1);
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
        assert_int_equal(resolve_now(&q, bad[i]), ENDING_NAME_UNKNOWN);
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
    assert_int_equal(resolver_status(resolver).queries, 0);
    assert_int_equal(dns_server_questions(server), 0);
}

static void silence_ends_at_the_deadline(void **state)
{
    (void)state;
    struct question q = {0};
    uint64_t start = worker.now_ns;
    ask(&q, "silent.test", 200);
    turn_until(&q, 1);
    assert_int_equal(q.ending, ENDING_NAME_TIMEOUT);
    uint64_t took_ms = (worker.now_ns - start) / 1000000u;
    assert_true(took_ms >= 200 && took_ms < 400);
    assert_int_equal(resolver_status(resolver).asking, 1); /* goes on for the cache, but not for ever */
    for (int i = 0; i < 100 && resolver_status(resolver).asking; i++)
        turn();
    assert_int_equal(resolver_status(resolver).asking, 0);
}

static void silence_ends_by_itself_before_a_late_deadline(void **state)
{
    (void)state;
    struct question q = {0};
    uint64_t start = worker.now_ns;
    ask(&q, "silent.test", 8000);
    turn_until(&q, 1);
    assert_int_equal(q.ending, ENDING_NAME_TIMEOUT);
    assert_true(worker.now_ns - start < 3000000000u); /* 250 + 500 ms, and a generous machine */
    assert_int_equal(resolve_now(&q, "silent.test"), ENDING_NAME_TIMEOUT);
    assert_int_equal(resolver_status(resolver).queries, 2); /* a timeout is nothing to remember */
}

static void a_deadline_in_the_past_still_answers(void **state)
{
    (void)state;
    struct question q = {0};
    resolve_init(&q.resolve, on_done);
    resolve_start(resolver, &q.resolve, "silent.test", 1, 0);
    assert_int_equal(q.answers, 0);
    turn_until(&q, 1);
    assert_int_equal(q.ending, ENDING_NAME_TIMEOUT);
}

static void a_lost_datagram_is_asked_for_again(void **state)
{
    (void)state;
    struct question q;
    assert_int_equal(resolve_now(&q, "second.test"), ENDING_DONE);
    assert_true(dns_server_questions(server) >= 4);
}

static void hostile_answers_end_in_a_reason(void **state)
{
    (void)state;
    struct question q;
    enum ending e = resolve_now(&q, "garbage.test");
    assert_true(e == ENDING_NAME_UNKNOWN || e == ENDING_NAME_TIMEOUT);
    e = resolve_now(&q, "headless.test");
    assert_true(e == ENDING_NAME_UNKNOWN || e == ENDING_NAME_TIMEOUT);
    e = resolve_now(&q, "truncated.test");
    assert_true(e == ENDING_NAME_UNKNOWN || e == ENDING_NAME_TIMEOUT);
    resolve_now(&q, "oversize.test"); /* either is right; not to break is the point */
    assert_int_equal(resolve_now(&q, "spoofed.test"), ENDING_DONE);
    assert_int_equal(q.count, 1);
    assert_address(&q.addresses[0], "10.0.0.1:10250");
    assert_int_equal(resolve_now(&q, "v4.test"), ENDING_DONE);
}

static void at_most_sixteen_addresses_are_taken(void **state)
{
    (void)state;
    struct question q;
    assert_int_equal(resolve_now(&q, "many.test"), ENDING_DONE);
    assert_int_equal(q.count, RESOLVE_ADDRESSES_MAX);
    for (unsigned i = 0; i < q.count; i++)
        for (unsigned j = 0; j < i; j++)
            assert_false(net_address_equal(&q.addresses[i], &q.addresses[j]));
}

static void assert_remembered_for(const char *name, uint64_t seconds)
{
    struct question q;
    assert_int_equal(resolve_now(&q, name), ENDING_DONE);
    uint64_t queries = resolver_status(resolver).queries;
    if (seconds > 1) {
        poll_engine_skip(worker.engine, (seconds - 1) * 1000000000u);
        turn();
    }
    assert_int_equal(resolve_now(&q, name), ENDING_DONE);
    assert_int_equal(resolver_status(resolver).queries, queries);
    poll_engine_skip(worker.engine, 1100000000u);
    turn();
    assert_int_equal(resolve_now(&q, name), ENDING_DONE);
    assert_int_equal(resolver_status(resolver).queries, queries + 1);
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
    assert_int_equal(resolve_now(&q, "absurd.test"), ENDING_DONE);
    poll_engine_skip(worker.engine, 31000000000u);
    turn();
    assert_int_equal(resolve_now(&q, "absurd.test"), ENDING_DONE);
    assert_int_equal(resolver_status(resolver).queries, 2);
}

static void aliases_are_followed_and_shorten_the_life(void **state)
{
    (void)state;
    assert_remembered_for("chain.test", 7);
}

static void questions_that_meet_share_one_query(void **state)
{
    (void)state;
    struct question q[50] = {0};
    for (size_t i = 0; i < ARRAY_SIZE(q); i++)
        ask(&q[i], "slow.test", 3000);
    assert_int_equal(resolver_status(resolver).waiting, 50);
    turn_until(&q[49], 1);
    for (size_t i = 0; i < ARRAY_SIZE(q); i++) {
        assert_int_equal(q[i].answers, 1);
        assert_int_equal(q[i].ending, ENDING_DONE);
    }
    assert_int_equal(resolver_status(resolver).queries, 1);
    assert_int_equal(dns_server_questions(server), 2); /* A and AAAA */
}

static void each_question_keeps_its_own_deadline(void **state)
{
    (void)state;
    struct question early = {0}, late = {0};
    ask(&late, "slow.test", 3000);
    ask(&early, "slow.test", 20);
    turn_until(&late, 1);
    assert_int_equal(early.ending, ENDING_NAME_TIMEOUT);
    assert_int_equal(late.ending, ENDING_DONE);
}

static void a_cancelled_question_is_never_answered(void **state)
{
    (void)state;
    struct question a = {0}, b = {0}, c = {0};
    ask(&a, "slow.test", 3000);
    ask(&b, "slow.test", 3000);
    resolve_cancel(&a.resolve);
    resolve_cancel(&a.resolve); /* harmless */
    turn_until(&b, 1);
    ask(&c, "slow.test", 3000); /* cached: answered, not yet delivered */
    resolve_cancel(&c.resolve);
    for (int i = 0; i < 3; i++)
        turn();
    assert_int_equal(a.answers, 0);
    assert_int_equal(c.answers, 0);
    assert_int_equal(resolver_status(resolver).waiting, 0);
}

static void a_query_nobody_waits_for_feeds_the_cache(void **state)
{
    (void)state;
    struct question q = {0};
    ask(&q, "slow.test", 3000);
    resolve_cancel(&q.resolve);
    for (int i = 0; i < 100 && resolver_status(resolver).asking; i++)
        turn();
    assert_int_equal(resolve_now(&q, "slow.test"), ENDING_DONE);
    assert_int_equal(resolver_status(resolver).hits, 1);
}

static void done_may_ask_cancel_and_free(void **state)
{
    (void)state;
    struct question a = {.again = true}, b = {0};
    struct question *dying = calloc(1, sizeof(*dying));
    dying->frees = dying;
    a.cancels = &b;
    resolve_init(&a.resolve, on_done);
    resolve_init(&b.resolve, on_done);
    resolve_init(&dying->resolve, on_done);
    ask(&a, "v4.test", 3000);
    ask(&b, "v4.test", 3000);
    ask(dying, "v4.test", 3000);
    turn_until(&a, 2);
    assert_int_equal(b.answers, 0);
    assert_int_equal(resolver_status(resolver).waiting, 0);
}

static void the_cache_forgets_the_name_unused_longest(void **state)
{
    (void)state;
    resolver_free(&resolver);
    resolver_with((struct resolver_options){.names_max = 3});
    struct question q;
    resolve_now(&q, "v4.test");
    resolve_now(&q, "v6.test");
    resolve_now(&q, "both.test");
    resolve_now(&q, "v4.test");    /* used again: v6 is the oldest now */
    resolve_now(&q, "short.test"); /* takes its place */
    assert_int_equal(resolver_status(resolver).names, 3);
    uint64_t queries = resolver_status(resolver).queries;
    resolve_now(&q, "v4.test");
    resolve_now(&q, "both.test");
    assert_int_equal(resolver_status(resolver).queries, queries);
    resolve_now(&q, "v6.test");
    assert_int_equal(resolver_status(resolver).queries, queries + 1);
}

static void too_many_names_and_queries_hit_a_limit(void **state)
{
    (void)state;
    resolver_free(&resolver);
    resolver_with((struct resolver_options){.names_max = 4, .queries_max = 2});
    struct question q[4] = {0}, known;
    resolve_now(&known, "v4.test");
    ask(&q[0], "silent.test", 300);
    ask(&q[1], "slow.test", 2000);
    ask(&q[2], "v6.test", 2000);
    ask(&q[3], "v4.test", 2000); /* known: needs no query */
    turn_until(&q[2], 1);
    assert_int_equal(q[2].ending, ENDING_LIMIT);
    turn_until(&q[3], 1);
    assert_int_equal(q[3].ending, ENDING_DONE);
    turn_until(&q[1], 1);
    assert_int_equal(q[1].ending, ENDING_DONE);
    turn_until(&q[0], 1);
    for (int i = 0; i < 100 && resolver_status(resolver).asking; i++)
        turn();

    resolver_free(&resolver);
    resolver_with((struct resolver_options){.names_max = 1});
    struct question r[2] = {0};
    ask(&r[0], "slow.test", 2000);
    ask(&r[1], "v4.test", 2000); /* no room: the only name is in use */
    turn_until(&r[0], 1);
    assert_int_equal(r[0].ending, ENDING_DONE);
    assert_int_equal(r[1].ending, ENDING_LIMIT);
}

static void thousands_of_names_stay_bounded(void **state)
{
    (void)state;
    resolver_free(&resolver);
    resolver_with((struct resolver_options){.names_max = 64, .queries_max = 16});
    uint64_t seed = 1;
    for (int round = 0; round < 100; round++) {
        struct question q[40] = {0};
        char names[40][32];
        for (int i = 0; i < 40; i++) {
            snprintf(names[i], sizeof(names[i]), "n%d.test",
                     (int)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33) % 500);
            ask(&q[i], names[i], 3000);
        }
        if (round % 3 == 0)
            for (int i = 0; i < 40; i += 3)
                resolve_cancel(&q[i].resolve);
        uint64_t limit = in_ms(5000);
        while (resolver_status(resolver).waiting && worker.now_ns < limit)
            turn();
        for (int i = 0; i < 40; i++)
            assert_int_equal(q[i].answers, round % 3 == 0 && i % 3 == 0 ? 0 : 1);
    }
    assert_true(resolver_status(resolver).names <= 64);
}

static void freeing_with_queries_under_way_leaves_nothing(void **state)
{
    (void)state;
    struct question q = {0};
    ask(&q, "silent.test", 3000);
    turn();
    resolve_cancel(&q.resolve);
    resolver_free(&resolver);
    assert_int_equal(worker.timers.armed, 0);
    resolver_with((struct resolver_options){0});
}

static void a_server_that_refuses_is_no_answer(void **state)
{
    (void)state;
    resolver_free(&resolver);
    resolver_with((struct resolver_options){.servers = "127.0.0.1:1"});
    struct question q;
    enum ending e = resolve_now(&q, "v4.test");
    assert_true(e == ENDING_NAME_UNKNOWN || e == ENDING_NAME_TIMEOUT);
    resolver_free(&resolver);
    struct resolver_options bad = {.servers = "not an address"};
    assert_int_equal(resolver_new(&worker, &bad, &resolver), -22);
    resolver_with((struct resolver_options){0});
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
    resolver_free(&resolver);
    resolver_with((struct resolver_options){.resolv_conf = path});
    assert_int_equal(resolve_now(&q, "web"), ENDING_NAME_UNKNOWN);
    resolver_free(&resolver);
    resolver_with((struct resolver_options){.resolv_conf = path, .search = true});
    assert_int_equal(resolve_now(&q, "web"), ENDING_DONE);
    assert_int_equal(resolve_now(&q, "web."), ENDING_NAME_UNKNOWN); /* absolute */
    assert_int_equal(resolve_now(&q, "v4.test."), ENDING_DONE);
    unlink(path);
}

static void the_hosts_file_comes_first(void **state)
{
    (void)state;
    resolver_free(&resolver);
    struct resolver_options o = {.servers = dns_server_address(server)};
    assert_int_equal(resolver_new(&worker, &o, &resolver), 0);
    struct question q;
    assert_int_equal(resolve_now(&q, "localhost"), ENDING_DONE);
    assert_int_equal(dns_server_questions(server), 0);
    for (unsigned i = 0; i < q.count; i++)
        for (unsigned j = 0; j < i; j++)
            assert_false(net_address_equal(&q.addresses[i], &q.addresses[j]));
}

static void the_product_engine_watches_as_well(void **state)
{
    (void)state;
    struct engine_probe probe;
    engine_uring_probe(&probe);
    if (!probe.usable)
        skip();
    static const struct buf_limits limits = {
        {512, 64, 1}
    };
    resolver_free(&resolver);
    worker_fini(&worker);
    assert_int_equal(worker_init(&worker, 0, 1, mail, &limits), 0);
    worker.peers = peers;
    assert_int_equal(engine_uring_new(&worker, &probe, &worker.engine), 0);
    worker_start_clock(&worker);
    resolver_with((struct resolver_options){0});
    struct question q;
    assert_int_equal(resolve_now(&q, "both.test"), ENDING_DONE);
    assert_int_equal(q.count, 3);
    assert_int_equal(resolve_now(&q, "silent.test"), ENDING_NAME_TIMEOUT);
    assert_int_equal(resolve_now(&q, "truncated.test"), ENDING_NAME_UNKNOWN);
    assert_int_equal(resolve_now(&q, "v4.test"), ENDING_DONE);
    struct question left = {0};
    ask(&left, "silent.test", 3000);
    turn();
    resolve_cancel(&left.resolve);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(addresses_carry_the_port_and_both_families),
        TEST(names_are_compared_without_case_and_trailing_dot),
        TEST(unknown_names_are_unknown_for_a_second),
        TEST(invalid_names_are_refused_without_a_query),
        TEST(silence_ends_at_the_deadline),
        TEST(silence_ends_by_itself_before_a_late_deadline),
        TEST(a_deadline_in_the_past_still_answers),
        TEST(a_lost_datagram_is_asked_for_again),
        TEST(hostile_answers_end_in_a_reason),
        TEST(at_most_sixteen_addresses_are_taken),
        TEST(answers_live_as_long_as_the_record_says_within_bounds),
        TEST(an_absurd_ttl_is_bounded_too),
        TEST(aliases_are_followed_and_shorten_the_life),
        TEST(questions_that_meet_share_one_query),
        TEST(each_question_keeps_its_own_deadline),
        TEST(a_cancelled_question_is_never_answered),
        TEST(a_query_nobody_waits_for_feeds_the_cache),
        TEST(done_may_ask_cancel_and_free),
        TEST(the_cache_forgets_the_name_unused_longest),
        TEST(too_many_names_and_queries_hit_a_limit),
        TEST(thousands_of_names_stay_bounded),
        TEST(freeing_with_queries_under_way_leaves_nothing),
        TEST(a_server_that_refuses_is_no_answer),
        TEST(search_domains_are_an_option),
        TEST(the_hosts_file_comes_first),
        TEST(the_product_engine_watches_as_well),
    };
    assert_int_equal(resolve_global_init(), 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    resolve_global_fini();
    return failed;
}
