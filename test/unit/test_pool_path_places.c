/* test/unit/test_pool_path_places.c — the places there are for dials under way, when ways of a path compete
 * for them: agents take none, the next way and TLS over an agent need one. */
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

static int setup_with_long_connects(void **state)
{
    (void)state;
    path_rig_start(true, 10000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    path_rig_stop();
    return 0;
}

/* -- places -------------------------------------------------------------------------------------------------
 */

static struct client hanging[3];

/* All places there are: fixture_options() has three. */
static void take_all_places(void)
{
    struct endpoint_key other = fixture_key(&path_rig.pool.single, "10.0.0.9");
    for (size_t i = 0; i < ARRAY_SIZE(hanging); i++)
        client_ask(&hanging[i], &path_rig.pool, &other, 20000);
    fixture_settle(&path_rig.pool);
    assert_int_equal(path_rig.pool.engine.dialled, 3);
}

static void what_agents_dial_takes_no_place(void **state)
{
    static struct client c[7], last;
    (void)state;
    path_rig.key = fixture_key(&path_rig.pool.single, "10.0.0.1");
    for (int i = 0; i < 4; i++)
        path_ask(&c[i], &path_agent_only);
    assert_int_equal(path_rig.agents.asked, 4);
    take_all_places();
    path_rig.key.port++;
    path_ask(&c[4], &path_agent_only);
    path_ask(&c[5], &path_agent_only);
    path_ask(&c[6], &path_agent_first);
    assert_int_equal(path_rig.agents.asked, 7);
    path_rig.key.path = NULL;
    client_ask_at_once(&last, &path_rig.pool, &path_rig.key, 20000);
    fixture_settle(&path_rig.pool);
    path_assert_told(&last, ENDING_LIMIT, "3 connections are being made, as many as may be at a time");
    assert_int_equal(fixture_count(&path_rig.pool, COUNTER_pool_dialling), 10);
}

static void a_dial_that_goes_on_to_an_agent_leaves_its_place(void **state)
{
    static struct client c[3];
    (void)state;
    path_rig.key = fixture_key(&path_rig.pool.single, "10.0.0.1");
    for (int i = 0; i < 3; i++) {
        path_ask(&c[i], &path_direct_first);
        path_fail_direct(ENDING_UNREACHABLE);
    }
    assert_int_equal(path_rig.agents.asked, 3);
    path_rig.pool.engine.dialled = 0;
    take_all_places();
}

static void a_tunnel_without_a_place_for_its_next_way_is_told_at_once(void **state)
{
    struct client c;
    (void)state;
    take_all_places();
    path_rig.key = fixture_key(&path_rig.pool.single, "10.0.0.1");
    path_ask(&c, &path_agent_first);
    path_agent_fails(ENDING_NO_AGENT);
    path_assert_told(&c, ENDING_LIMIT,
                     "as many connections are being made as may be at a time (agent: no_agent)");
    path_ask(&c, &path_agent_first); /* the next one asks the agents again */
    path_agent_opens();
    assert_non_null(c.conn);
    client_give_back(&c);
}

static void a_request_without_a_place_for_its_next_way_waits_for_one(void **state)
{
    struct client c;
    (void)state;
    take_all_places();
    path_ask(&c, &path_agent_first);
    path_agent_fails(ENDING_NO_AGENT);
    assert_int_equal(c.answers, 0);
    assert_int_equal(path_rig.agents.asked, 1); /* and does not ask agents over and over meanwhile */
    path_fail_direct(ENDING_REFUSED);
    assert_int_equal(hanging[0].answers, 1);
    assert_int_equal(path_rig.agents.asked, 2);
    path_agent_fails(ENDING_NO_AGENT);
    assert_int_equal(path_rig.pool.engine.dialled, 4);
    script_open(script_last(&path_rig.pool.engine));
    fixture_settle(&path_rig.pool);
    assert_non_null(c.conn);
    client_give_back(&c);
}

/* Leaves it with a stream from an agent, and no place for TLS. */
static struct script_stream *queue_for_tls(struct client *c, const struct pool_profile *profile)
{
    take_all_places();
    path_rig.key = fixture_key(profile, "10.0.0.1");
    path_ask(c, &path_agent_only);
    path_agent_opens();
    assert_int_equal(c->answers, 0);
    assert_int_equal(path_rig.pool.engine.alive, 4);
    return script_last(&path_rig.pool.engine);
}

static void tls_over_an_agent_waits_for_a_place(void **state)
{
    struct client c;
    (void)state;
    queue_for_tls(&c, &path_rig.pool.tls);
    path_fail_direct(ENDING_REFUSED);
    struct script_stream *tls = script_last(&path_rig.pool.engine);
    assert_non_null(tls->lower);
    script_open_tls(tls, false, "TLSv1.3");
    fixture_settle(&path_rig.pool);
    assert_non_null(c.conn);
    assert_int_equal(c.how, LEASE_NEW);
    client_give_back(&c);
}

static void what_is_lost_while_it_waits_for_a_place_is_told(void **state)
{
    struct client c;
    (void)state;
    script_close(queue_for_tls(&c, &path_rig.pool.tls), ENDING_AGENT_LOST);
    fixture_settle(&path_rig.pool);
    path_assert_told(&c, ENDING_AGENT_LOST, ending_text(ENDING_AGENT_LOST));
}

static void what_ends_while_it_waits_for_a_place_is_told(void **state)
{
    struct client c;
    (void)state;
    script_end(queue_for_tls(&c, &path_rig.pool.tls));
    fixture_settle(&path_rig.pool);
    path_assert_told(&c, ENDING_TRUNCATED, ending_text(ENDING_TRUNCATED));
}

static void waiting_for_a_place_has_an_end(void **state)
{
    struct client c;
    (void)state;
    queue_for_tls(&c, &path_rig.pool.tls);
    script_advance_ms(&path_rig.pool.engine, 4990); /* of tls_ms, 5000 */
    fixture_settle(&path_rig.pool);
    assert_int_equal(c.answers, 0);
    script_advance_ms(&path_rig.pool.engine, 20);
    fixture_settle(&path_rig.pool);
    path_assert_told(&c, ENDING_QUEUE_TIMEOUT, "too many other TLS handshakes stayed under way");
    assert_int_equal(hanging[0].answers, 0);
}

static void cancelled_while_it_waits_for_a_place(void **state)
{
    static const struct pool_profile upgrade = {.id = 9, .tls = true, .single_use = true};
    struct client c;
    (void)state;
    queue_for_tls(&c, &upgrade);
    pool_cancel(path_rig.pool.pool, &c.lease);
    fixture_settle(&path_rig.pool);
    assert_int_equal(c.answers, 0);
    assert_int_equal(path_rig.pool.engine.alive, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_agents_dial_takes_no_place),
        TEST(a_dial_that_goes_on_to_an_agent_leaves_its_place),
        TEST(a_tunnel_without_a_place_for_its_next_way_is_told_at_once),
        TEST(a_request_without_a_place_for_its_next_way_waits_for_one),
        TEST(tls_over_an_agent_waits_for_a_place),
        TEST(what_is_lost_while_it_waits_for_a_place_is_told),
        TEST(what_ends_while_it_waits_for_a_place_is_told),
        cmocka_unit_test_setup_teardown(waiting_for_a_place_has_an_end, setup_with_long_connects, teardown),
        TEST(cancelled_while_it_waits_for_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
