/* test/unit/test_resolve_wait.c — questions to io/resolve: deadlines when a name server keeps silent, those
 * that meet, are cancelled or are too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
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

static void silence_ends_at_the_deadline(void **state)
{
    (void)state;
    struct question q = {0};
    uint64_t start = resolve_rig.worker.now_ns;
    question_ask(&q, "silent.test", 200);
    resolve_rig_turn_until(&q, 1);
    assert_int_equal(q.ending, ENDING_NAME_TIMEOUT);
    uint64_t took_ms = (resolve_rig.worker.now_ns - start) / 1000000u;
    assert_true(took_ms >= 200 && took_ms < 400);
    assert_int_equal(resolver_status(resolve_rig.resolver).asking,
                     1); /* goes on for the cache, but not for ever */
    for (int i = 0; i < 100 && resolver_status(resolve_rig.resolver).asking; i++)
        resolve_rig_turn();
    assert_int_equal(resolver_status(resolve_rig.resolver).asking, 0);
}

static void silence_ends_by_itself_before_a_late_deadline(void **state)
{
    (void)state;
    struct question q = {0};
    uint64_t start = resolve_rig.worker.now_ns;
    question_ask(&q, "silent.test", 8000);
    resolve_rig_turn_until(&q, 1);
    assert_int_equal(q.ending, ENDING_NAME_TIMEOUT);
    assert_true(resolve_rig.worker.now_ns - start < 3000000000u); /* 250 + 500 ms, and a generous machine */
    assert_int_equal(question_now(&q, "silent.test"), ENDING_NAME_TIMEOUT);
    assert_int_equal(resolver_status(resolve_rig.resolver).queries, 2); /* a timeout is nothing to remember */
}

static void a_deadline_in_the_past_still_answers(void **state)
{
    (void)state;
    struct question q = {0};
    resolve_init(&q.resolve, question_done);
    resolve_start(resolve_rig.resolver, &q.resolve, "silent.test", 1, 0);
    assert_int_equal(q.answers, 0);
    resolve_rig_turn_until(&q, 1);
    assert_int_equal(q.ending, ENDING_NAME_TIMEOUT);
}

static void a_lost_datagram_is_asked_for_again(void **state)
{
    (void)state;
    struct question q;
    assert_int_equal(question_now(&q, "second.test"), ENDING_DONE);
    assert_true(dns_server_questions(resolve_rig.server) >= 4);
}

static void questions_that_meet_share_one_query(void **state)
{
    (void)state;
    struct question q[50] = {0};
    for (size_t i = 0; i < ARRAY_SIZE(q); i++)
        question_ask(&q[i], "slow.test", 3000);
    assert_int_equal(resolver_status(resolve_rig.resolver).waiting, 50);
    resolve_rig_turn_until(&q[49], 1);
    for (size_t i = 0; i < ARRAY_SIZE(q); i++) {
        assert_int_equal(q[i].answers, 1);
        assert_int_equal(q[i].ending, ENDING_DONE);
    }
    assert_int_equal(resolver_status(resolve_rig.resolver).queries, 1);
    assert_int_equal(dns_server_questions(resolve_rig.server), 2); /* A and AAAA */
}

static void each_question_keeps_its_own_deadline(void **state)
{
    (void)state;
    struct question early = {0}, late = {0};
    question_ask(&late, "slow.test", 3000);
    question_ask(&early, "slow.test", 20);
    resolve_rig_turn_until(&late, 1);
    assert_int_equal(early.ending, ENDING_NAME_TIMEOUT);
    assert_int_equal(late.ending, ENDING_DONE);
}

static void a_cancelled_question_is_never_answered(void **state)
{
    (void)state;
    struct question a = {0}, b = {0}, c = {0};
    question_ask(&a, "slow.test", 3000);
    question_ask(&b, "slow.test", 3000);
    resolve_cancel(&a.resolve);
    resolve_cancel(&a.resolve); /* harmless */
    resolve_rig_turn_until(&b, 1);
    question_ask(&c, "slow.test", 3000); /* cached: answered, not yet delivered */
    resolve_cancel(&c.resolve);
    for (int i = 0; i < 3; i++)
        resolve_rig_turn();
    assert_int_equal(a.answers, 0);
    assert_int_equal(c.answers, 0);
    assert_int_equal(resolver_status(resolve_rig.resolver).waiting, 0);
}

static void a_query_nobody_waits_for_feeds_the_cache(void **state)
{
    (void)state;
    struct question q = {0};
    question_ask(&q, "slow.test", 3000);
    resolve_cancel(&q.resolve);
    for (int i = 0; i < 100 && resolver_status(resolve_rig.resolver).asking; i++)
        resolve_rig_turn();
    assert_int_equal(question_now(&q, "slow.test"), ENDING_DONE);
    assert_int_equal(resolver_status(resolve_rig.resolver).hits, 1);
}

static void done_may_ask_cancel_and_free(void **state)
{
    (void)state;
    struct question a = {.again = true}, b = {0};
    struct question *dying = calloc(1, sizeof(*dying));
    dying->frees = dying;
    a.cancels = &b;
    resolve_init(&a.resolve, question_done);
    resolve_init(&b.resolve, question_done);
    resolve_init(&dying->resolve, question_done);
    question_ask(&a, "v4.test", 3000);
    question_ask(&b, "v4.test", 3000);
    question_ask(dying, "v4.test", 3000);
    resolve_rig_turn_until(&a, 2);
    assert_int_equal(b.answers, 0);
    assert_int_equal(resolver_status(resolve_rig.resolver).waiting, 0);
}

static void too_many_names_and_queries_hit_a_limit(void **state)
{
    (void)state;
    resolver_free(&resolve_rig.resolver);
    resolve_rig_resolver((struct resolver_options){.names_max = 4, .queries_max = 2});
    struct question q[4] = {0}, known;
    question_now(&known, "v4.test");
    question_ask(&q[0], "silent.test", 300);
    question_ask(&q[1], "slow.test", 2000);
    question_ask(&q[2], "v6.test", 2000);
    question_ask(&q[3], "v4.test", 2000); /* known: needs no query */
    resolve_rig_turn_until(&q[2], 1);
    assert_int_equal(q[2].ending, ENDING_LIMIT);
    resolve_rig_turn_until(&q[3], 1);
    assert_int_equal(q[3].ending, ENDING_DONE);
    resolve_rig_turn_until(&q[1], 1);
    assert_int_equal(q[1].ending, ENDING_DONE);
    resolve_rig_turn_until(&q[0], 1);
    for (int i = 0; i < 100 && resolver_status(resolve_rig.resolver).asking; i++)
        resolve_rig_turn();

    resolver_free(&resolve_rig.resolver);
    resolve_rig_resolver((struct resolver_options){.names_max = 1});
    struct question r[2] = {0};
    question_ask(&r[0], "slow.test", 2000);
    question_ask(&r[1], "v4.test", 2000); /* no room: the only name is in use */
    resolve_rig_turn_until(&r[0], 1);
    assert_int_equal(r[0].ending, ENDING_DONE);
    assert_int_equal(r[1].ending, ENDING_LIMIT);
}

static void freeing_with_queries_under_way_leaves_nothing(void **state)
{
    (void)state;
    struct question q = {0};
    question_ask(&q, "silent.test", 3000);
    resolve_rig_turn();
    resolve_cancel(&q.resolve);
    resolver_free(&resolve_rig.resolver);
    assert_int_equal(resolve_rig.worker.timers.armed, 0);
    resolve_rig_resolver((struct resolver_options){0});
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
    resolver_free(&resolve_rig.resolver);
    worker_fini(&resolve_rig.worker);
    assert_int_equal(worker_init(&resolve_rig.worker, 0, 1, resolve_rig.mail, &limits), 0);
    resolve_rig.worker.peers = resolve_rig.peers;
    assert_int_equal(engine_uring_new(&resolve_rig.worker, &probe, &resolve_rig.worker.engine), 0);
    worker_start_clock(&resolve_rig.worker);
    resolve_rig_resolver((struct resolver_options){0});
    struct question q;
    assert_int_equal(question_now(&q, "both.test"), ENDING_DONE);
    assert_int_equal(q.count, 3);
    assert_int_equal(question_now(&q, "silent.test"), ENDING_NAME_TIMEOUT);
    assert_int_equal(question_now(&q, "truncated.test"), ENDING_NAME_UNKNOWN);
    assert_int_equal(question_now(&q, "v4.test"), ENDING_DONE);
    struct question left = {0};
    question_ask(&left, "silent.test", 3000);
    resolve_rig_turn();
    resolve_cancel(&left.resolve);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(silence_ends_at_the_deadline),
        TEST(silence_ends_by_itself_before_a_late_deadline),
        TEST(a_deadline_in_the_past_still_answers),
        TEST(a_lost_datagram_is_asked_for_again),
        TEST(questions_that_meet_share_one_query),
        TEST(each_question_keeps_its_own_deadline),
        TEST(a_cancelled_question_is_never_answered),
        TEST(a_query_nobody_waits_for_feeds_the_cache),
        TEST(done_may_ask_cancel_and_free),
        TEST(too_many_names_and_queries_hit_a_limit),
        TEST(freeing_with_queries_under_way_leaves_nothing),
        TEST(the_product_engine_watches_as_well),
    };
    assert_int_equal(resolve_global_init(), 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    resolve_global_fini();
    return failed;
}
