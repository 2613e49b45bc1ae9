/* test/unit/test_pool_path_time.c — the deadline that the ways of a path share, and cancelling at every
 * moment of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/support/path_rig.h"

/* -- set up -------------------------------------------------------------------------------------------------
 */

static int setup(void **state)
{
    (void)state;
    path_rig_start(true, 3000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    path_rig_stop();
    return 0;
}

/* -- time ---------------------------------------------------------------------------------------------------
 */

static uint64_t ms_from_now(uint64_t at_ns)
{
    return (at_ns - path_rig.pool.engine.worker.now_ns) / 1000000u;
}

static void ways_share_the_time_of_the_dial(void **state)
{
    struct client c;
    (void)state;
    path_ask(&c, &path_agent_first); /* for 20 s; a dial has 8 */
    assert_int_equal(ms_from_now(path_agent_asked()->request.deadline_ns), 4000);
    script_advance_ms(&path_rig.pool.engine, 4000);
    path_agent_fails(ENDING_CONNECT_TIMEOUT);
    assert_int_equal(c.answers, 0);
    assert_int_equal(path_rig.pool.engine.dialled, 1);
    script_advance_ms(&path_rig.pool.engine, 2990); /* of connect_ms, 3000 */
    fixture_settle(&path_rig.pool);
    assert_int_equal(c.answers, 0);
    script_advance_ms(&path_rig.pool.engine, 20);
    fixture_settle(&path_rig.pool);
    path_assert_told(&c, ENDING_CONNECT_TIMEOUT,
                     "agent-7: connecting to the destination timed out (direct: connect_timeout)");
}

static void the_last_way_has_all_that_is_left(void **state)
{
    struct client c;
    (void)state;
    path_ask(&c, &path_agent_only);
    assert_int_equal(ms_from_now(path_agent_asked()->request.deadline_ns), 8000);
    path_agent_fails(ENDING_REFUSED);
    path_ask(&c, &path_direct_first);
    path_fail_direct(ENDING_UNREACHABLE);
    assert_int_equal(ms_from_now(path_agent_asked()->request.deadline_ns), 8000);
    path_agent_fails(ENDING_REFUSED);
}

static void silence_leaves_the_next_way_some_of_the_lease(void **state)
{
    struct client c;
    (void)state;
    path_rig.key = fixture_key(&path_rig.pool.single, "10.0.0.1");
    path_rig.key.path = &path_agent_first;
    client_ask(&c, &path_rig.pool, &path_rig.key, 3000);
    fixture_settle(&path_rig.pool);
    assert_int_equal(ms_from_now(path_agent_asked()->request.deadline_ns), 1500);
    script_advance_ms(&path_rig.pool.engine, 1500);
    path_agent_fails(ENDING_DEADLINE);
    script_open(script_dialling(&path_rig.pool.engine));
    fixture_settle(&path_rig.pool);
    assert_non_null(c.conn);
    client_give_back(&c);
}

static void no_way_is_begun_after_the_deadline(void **state)
{
    struct client c;
    (void)state;
    path_ask(&c, &path_agent_first);
    script_advance_ms(&path_rig.pool.engine, 8000); /* an agent that answered late */
    path_agent_fails(ENDING_CONNECT_TIMEOUT);
    path_assert_told(&c, ENDING_CONNECT_TIMEOUT, "agent-7: connecting to the destination timed out");
    assert_int_equal(path_rig.pool.engine.dialled, 0);
}

/* -- cancelling ---------------------------------------------------------------------------------------------
 */

static void cancelled_while_an_agent_dials(void **state)
{
    struct client c;
    (void)state;
    path_rig.key = fixture_key(&path_rig.pool.single, "10.0.0.1");
    path_ask(&c, &path_agent_first);
    pool_cancel(path_rig.pool.pool, &c.lease);
    assert_int_equal(path_rig.agents.cancelled, 1);
    fixture_settle(&path_rig.pool);
    assert_int_equal(c.answers, 0);
    assert_int_equal(path_rig.pool.engine.dialled, 0);
}

static void cancelled_while_the_second_way_dials(void **state)
{
    struct client c;
    (void)state;
    path_rig.key = fixture_key(&path_rig.pool.single, "10.0.0.1");
    path_ask(&c, &path_agent_first);
    path_agent_fails(ENDING_NO_AGENT);
    assert_int_equal(path_rig.pool.engine.alive, 1);
    pool_cancel(path_rig.pool.pool, &c.lease);
    fixture_settle(&path_rig.pool);
    assert_int_equal(c.answers, 0);
    assert_int_equal(path_rig.agents.cancelled, 0);
    assert_int_equal(path_rig.pool.engine.alive, 0);
}

static void cancelled_with_the_answer_known(void **state)
{
    struct client c;
    (void)state;
    path_rig.agents.refuses = true;
    path_rig.key = fixture_key(&path_rig.pool.single, "10.0.0.1");
    path_rig.key.path = &path_agent_only;
    client_ask_at_once(&c, &path_rig.pool, &path_rig.key,
                       8000); /* dials at once, and fails at the end of the turn */
    assert_int_equal(path_rig.agents.asked, 1);
    pool_cancel(path_rig.pool.pool, &c.lease);
    fixture_settle(&path_rig.pool);
    assert_int_equal(c.answers, 0);
}

static void pool_is_empty_when_agents_are(void **state)
{
    (void)state;
    assert_true(pool_is_empty(path_rig.pool.pool));
    path_rig.agents.busy = true;
    assert_false(pool_is_empty(path_rig.pool.pool));
    path_rig.agents.busy = false;
    assert_true(pool_is_empty(path_rig.pool.pool));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ways_share_the_time_of_the_dial),
        TEST(the_last_way_has_all_that_is_left),
        TEST(silence_leaves_the_next_way_some_of_the_lease),
        TEST(no_way_is_begun_after_the_deadline),
        TEST(cancelled_while_an_agent_dials),
        TEST(cancelled_while_the_second_way_dials),
        TEST(cancelled_with_the_answer_known),
        TEST(pool_is_empty_when_agents_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
