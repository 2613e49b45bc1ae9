/* test/unit/test_callers.c — fair shares of a limit: the rule, the table of names, and both from many threads
 * (run under ThreadSanitizer too). */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/callers.h"

enum { MS = 1000000 };

static struct caller_key key_of(unsigned number)
{
    struct caller_key key;
    memset(&key, 0, sizeof(key));
    key.kind = 2;
    snprintf(key.name, sizeof(key.name), "client-%u", number);
    return key;
}

static struct callers *make(unsigned workers, uint32_t limit)
{
    const uint32_t limits[CALLER_USES] = {limit, limit, limit, limit};
    struct callers *callers = NULL;
    assert_int_equal(callers_new(workers, limits, &callers), 0);
    return callers;
}

static void shares_are_asked_for_above_three_quarters(void **state)
{
    static const struct {
        struct caller_share share; /* limit, total, held, active */
        bool admits;
    } cases[] = {
        {{100, 0, 0, 0},                     true },
        {{100, 74, 74, 9},                   true }, /* below three quarters nobody is asked */
        {{100, 75, 75, 1},                   true }, /* alone: all of it */
        {{100, 99, 99, 1},                   true },
        {{100, 100, 100, 1},                 false},
        {{100, 100, 0, 2},                   false}, /* at the limit nobody */
        {{100, 75, 75, 2},                   false}, /* two: a half each */
        {{100, 75, 0, 2},                    true },
        {{100, 99, 24, 2},                   true },
        {{100, 99, 50, 2},                   false},
        {{100, 99, 49, 2},                   true },
        {{100, 90, 33, 3},                   false},
        {{100, 90, 32, 3},                   true },
        {{10, 9, 0, 500},                    true }, /* more callers than places: one each while there are any */
        {{10, 9, 1, 500},                    false},
        {{1, 0, 0, 1},                       true },
        {{1, 1, 0, 1},                       false},
        {{UINT32_MAX, UINT32_MAX - 1, 0, 1}, true },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (caller_share_admits(&cases[i].share) != cases[i].admits)
            fail_msg("case %zu", i);
}

static unsigned take_all(struct callers *callers, unsigned worker, uint32_t caller, enum caller_use use,
                         uint64_t now_ns)
{
    unsigned n = 0;
    while (caller_admit(callers, worker, caller, use, now_ns))
        n++;
    return n;
}

static void one_that_ran_away_leaves_a_quarter_to_the_others(void **state)
{
    struct callers *callers = make(2, 1000);
    struct caller_key keys[3] = {key_of(0), key_of(1), key_of(2)};
    uint32_t greedy = caller_of(callers, 0, &keys[0]), late = caller_of(callers, 1, &keys[1]),
             last = caller_of(callers, 0, &keys[2]);
    (void)state;
    for (unsigned i = 0; i < 700; i++) /* on both workers, as its connections are spread */
        assert_true(caller_admit(callers, i % 2, greedy, CALLER_TUNNEL, MS));
    assert_true(caller_admit(callers, 0, late, CALLER_TUNNEL, MS));
    assert_int_equal(take_all(callers, 0, greedy, CALLER_TUNNEL, 10 * MS), 49);
    assert_int_equal(take_all(callers, 1, late, CALLER_TUNNEL, 20 * MS), 250);
    assert_false(caller_admit(callers, 0, last, CALLER_TUNNEL, 30 * MS));
    assert_int_equal(callers_held_any_thread(callers, CALLER_TUNNEL), 1000);
    assert_int_equal(callers_held_any_thread(callers, CALLER_REQUEST), 0);
    /* A place that becomes free goes to who has less than a third. */
    caller_leave(callers, 0, greedy, CALLER_TUNNEL);
    assert_false(caller_admit(callers, 0, greedy, CALLER_TUNNEL, 40 * MS));
    assert_true(caller_admit(callers, 0, last, CALLER_TUNNEL, 40 * MS));
    callers_free(&callers);
}

static void alone_a_caller_may_use_the_whole_limit(void **state)
{
    struct callers *callers = make(3, 64);
    struct caller_key key = key_of(0);
    uint32_t caller = caller_of(callers, 0, &key);
    (void)state;
    assert_int_equal(take_all(callers, 1, caller, CALLER_REQUEST, MS), 64);
    for (unsigned i = 0; i < 64; i++)
        caller_leave(callers, 1, caller, CALLER_REQUEST);
    assert_int_equal(take_all(callers, 2, caller, CALLER_REQUEST, 5 * MS), 64);
    callers_free(&callers);
}

static void dials_are_limited_on_each_worker(void **state)
{
    struct callers *callers = make(2, 16);
    struct caller_key a = key_of(0), b = key_of(1);
    uint32_t first = caller_of(callers, 0, &a), second = caller_of(callers, 0, &b);
    (void)state;
    assert_int_equal(take_all(callers, 0, first, CALLER_DIAL, MS), 16);
    assert_int_equal(take_all(callers, 1, first, CALLER_DIAL, MS), 16);
    for (unsigned i = 0; i < 4; i++)
        caller_leave(callers, 1, first, CALLER_DIAL);
    assert_false(caller_admit(callers, 0, second, CALLER_DIAL, 9 * MS));
    assert_int_equal(take_all(callers, 1, second, CALLER_DIAL, 9 * MS), 4);
    callers_free(&callers);
}

static void dials_of_agents_are_limited_in_the_process(void **state)
{
    struct callers *callers = make(2, 16);
    struct caller_key a = key_of(0), b = key_of(1);
    uint32_t first = caller_of(callers, 0, &a), second = caller_of(callers, 0, &b);
    (void)state;
    assert_true(caller_admit(callers, 0, second, CALLER_AGENT_DIAL, MS));
    assert_int_equal(take_all(callers, 0, first, CALLER_AGENT_DIAL, MS), 11); /* three quarters */
    assert_false(caller_admit(callers, 1, first, CALLER_AGENT_DIAL, 9 * MS));
    assert_int_equal(take_all(callers, 1, second, CALLER_AGENT_DIAL, 9 * MS), 4);
    assert_int_equal(take_all(callers, 0, first, CALLER_DIAL, 9 * MS), 16); /* which are counted apart */
    callers_free(&callers);
}

static void a_caller_is_its_whole_key(void **state)
{
    struct callers *callers = make(1, 1);
    struct caller_key base = key_of(0), other = base;
    uint32_t number = caller_of(callers, 0, &base);
    (void)state;
    assert_int_not_equal(number, CALLER_OTHERS);
    assert_int_equal(caller_of(callers, 0, &other), number);
    other.listener = 1;
    assert_int_not_equal(caller_of(callers, 0, &other), number);
    other = base;
    other.kind = 1;
    assert_int_not_equal(caller_of(callers, 0, &other), number);
    other = base;
    other.uid = 1;
    assert_int_not_equal(caller_of(callers, 0, &other), number);
    other = base;
    other.name[sizeof(other.name) - 1] = 'x';
    assert_int_not_equal(caller_of(callers, 0, &other), number);
    callers_free(&callers);
}

static void those_beyond_the_table_are_one_caller(void **state)
{
    struct callers *callers = make(1, 1);
    uint32_t numbers[CALLERS_MAX];
    (void)state;
    for (unsigned i = 0; i < CALLERS_MAX; i++) {
        struct caller_key key = key_of(i);
        numbers[i] = caller_of(callers, 0, &key);
        assert_int_not_equal(numbers[i], CALLER_OTHERS);
    }
    for (unsigned i = 0; i < CALLERS_MAX * 2; i++) {
        struct caller_key key = key_of(i);
        assert_int_equal(caller_of(callers, 0, &key), i < CALLERS_MAX ? numbers[i] : CALLER_OTHERS);
    }
    assert_true(caller_admit(callers, 0, CALLER_OTHERS, CALLER_REQUEST, MS));
    caller_leave(callers, 0, CALLER_OTHERS, CALLER_REQUEST);
    callers_free(&callers);
}

/* -- threads ------------------------------------------------------------------------------------------------
 */

enum { THREADS = 4, NAMES = 600, ROUNDS = 60, LIMIT = 200 };

static struct callers *shared;
static _Atomic uint32_t number_of[NAMES]; /* as the first thread to ask was told */
static _Atomic unsigned contradictions, most_held, admitted;

static void *use_callers(void *arg)
{
    unsigned worker = (unsigned)(uintptr_t)arg;
    uint64_t now_ns = 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t mine[NAMES];
        unsigned count = 0;
        for (unsigned i = 0; i < NAMES; i++, now_ns += MS / 8) {
            unsigned name = (i + worker * round) % NAMES;
            struct caller_key key = key_of(name);
            uint32_t number = caller_of(shared, worker, &key), none = 0;
            if (!atomic_compare_exchange_strong(&number_of[name], &none, number) && none != number)
                atomic_fetch_add(&contradictions, 1);
            if (!caller_admit(shared, worker, number, CALLER_TUNNEL, now_ns))
                continue;
            mine[count++] = number;
            atomic_fetch_add(&admitted, 1);
            unsigned held = callers_held_any_thread(shared, CALLER_TUNNEL), most = atomic_load(&most_held);
            while (held > most && !atomic_compare_exchange_weak(&most_held, &most, held)) {
            }
        }
        while (count > 0)
            caller_leave(shared, worker, mine[--count], CALLER_TUNNEL);
    }
    return NULL;
}

static void threads_agree_on_numbers_and_keep_the_limit(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    shared = make(THREADS, LIMIT);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_callers, (void *)(uintptr_t)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(contradictions, 0);
    assert_in_range(most_held, LIMIT / 2, LIMIT + THREADS - 1);
    assert_true(admitted >= LIMIT * ROUNDS / 2);
    assert_int_equal(callers_held_any_thread(shared, CALLER_TUNNEL), 0);
    for (unsigned i = 0; i < NAMES; i++)
        for (unsigned k = 0; k < i; k++)
            assert_true(number_of[i] != number_of[k]);
    callers_free(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_asked_for_above_three_quarters),
        cmocka_unit_test(one_that_ran_away_leaves_a_quarter_to_the_others),
        cmocka_unit_test(alone_a_caller_may_use_the_whole_limit),
        cmocka_unit_test(dials_are_limited_on_each_worker),
        cmocka_unit_test(dials_of_agents_are_limited_in_the_process),
        cmocka_unit_test(a_caller_is_its_whole_key),
        cmocka_unit_test(those_beyond_the_table_are_one_caller),
        cmocka_unit_test(threads_agree_on_numbers_and_keep_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
