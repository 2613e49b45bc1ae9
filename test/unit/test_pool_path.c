/* test/unit/test_pool_path.c — the ways of a path: their order, which failure leads to the next, and that a
 * path is part of who an endpoint is. Their time and cancelling: test_pool_path_time.c. Places for dials:
 * test_pool_path_places.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pool/pool_priv.h"
#include "test/support/path_rig.h"

/* -- set up -------------------------------------------------------------------------------------------------
 */

static int setup(void **state)
{
    (void)state;
    path_rig_start(true, 3000);
    return 0;
}

static int setup_without_agents(void **state)
{
    (void)state;
    path_rig_start(false, 3000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    path_rig_stop();
    return 0;
}

/* -- order --------------------------------------------------------------------------------------------------
 */

static void no_path_asks_no_agent(void **state)
{
    struct client c;
    (void)state;
    path_ask(&c, NULL);
    path_fail_direct(ENDING_UNREACHABLE);
    path_assert_told(&c, ENDING_UNREACHABLE, "10.0.0.1:10250: destination unreachable");
    assert_int_equal(path_rig.agents.asked, 0);
}

static void agent_carries_it_and_is_told_whose_it_is(void **state)
{
    struct client c;
    (void)state;
    path_ask(&c, &path_agent_first);
    assert_int_equal(path_rig.pool.engine.dialled, 0);
    assert_string_equal(path_agent_asked()->request.host, "10.0.0.1");
    assert_int_equal(path_agent_asked()->request.port, 10250);
    assert_ptr_equal(path_agent_asked()->request.path, &path_agent_first);
    path_agent_opens();
    assert_non_null(c.conn);
    assert_string_equal(conn_address_text(c.conn), "agent-7");
    assert_int_equal(c.how, LEASE_NEW);
    client_give_back(&c);
    path_ask(&c, &path_agent_first); /* pooled as any other */
    assert_int_equal(c.how, LEASE_REUSED);
    assert_int_equal(path_rig.agents.asked, 1);
    client_give_back(&c);
}

static void direct_first_asks_agents_only_when_it_failed(void **state)
{
    struct client a, b;
    (void)state;
    path_ask(&a, &path_direct_first);
    script_open(script_dialling(&path_rig.pool.engine));
    fixture_settle(&path_rig.pool);
    assert_non_null(a.conn);
    assert_int_equal(path_rig.agents.asked, 0);
    path_rig.key.port = 10251;
    path_ask(&b, &path_direct_first);
    path_fail_direct(ENDING_UNREACHABLE);
    assert_int_equal(b.answers, 0);
    path_agent_opens();
    assert_string_equal(conn_address_text(b.conn), "agent-7");
    client_give_back(&a);
    client_give_back(&b);
}

static void missing_agent_falls_through_at_once(void **state)
{
    struct client c;
    (void)state;
    path_ask(&c, &path_agent_first);
    path_agent_fails(ENDING_NO_AGENT);
    script_open(script_dialling(&path_rig.pool.engine));
    fixture_settle(&path_rig.pool);
    assert_string_equal(conn_address_text(c.conn), "10.0.0.1:10250");
    client_give_back(&c);
}

/* -- failing ------------------------------------------------------------------------------------------------
 */

/* Written out, so that a new ending, or one that changed sides, is noticed here. */
static bool is_of_the_way(enum ending ending)
{
    switch (ending) {
    case ENDING_DESCRIPTORS:
    case ENDING_LIMIT:
    case ENDING_NO_SOURCE:
    case ENDING_NO_AGENT:
    case ENDING_AGENT_LOST:
    case ENDING_UNREACHABLE:
    case ENDING_NAME_UNKNOWN:
    case ENDING_NAME_TIMEOUT:
    case ENDING_CONNECT_TIMEOUT:
    case ENDING_DEADLINE: return true;
    default: return false; /* tidy: default: all others are the destination's, a rule's or ours */
    }
}

static void only_a_failure_of_the_way_leads_to_the_next(void **state)
{
    (void)state;
    for (enum ending e = ENDING_DONE + 1; e < (enum ending)ENDING_COUNT; e++) {
        struct client c;
        assert_int_equal(path_falls_through(e), is_of_the_way(e));
        path_rig.key.port = (uint16_t)(1000 + e);
        path_ask(&c, &path_agent_first);
        path_agent_fails(e);
        assert_int_equal(c.answers, is_of_the_way(e) ? 0 : 1);
        if (is_of_the_way(e))
            path_fail_direct(ENDING_REFUSED);
        assert_int_equal(c.answers, 1);
        assert_null(c.conn);
        assert_int_equal(c.ending, is_of_the_way(e) ? ENDING_REFUSED : e);
    }
}

static void agent_alone_fails_closed(void **state)
{
    (void)state;
    for (enum ending e = ENDING_DONE + 1; e < (enum ending)ENDING_COUNT; e++) {
        struct client c;
        path_rig.key.port = (uint16_t)(1000 + e);
        path_ask(&c, &path_agent_only);
        path_agent_fails(e);
        assert_int_equal(c.answers, 1);
        assert_int_equal(c.ending, e);
    }
    assert_int_equal(path_rig.pool.engine.dialled, 0);
}

static void agents_that_cannot_dial_are_a_way_that_failed(void **state)
{
    struct client c;
    (void)state;
    path_rig.agents.refuses = true;
    path_ask(&c, &path_agent_only);
    path_assert_told(&c, ENDING_LIMIT, "out of memory for dials");
    path_ask(&c, &path_agent_first);
    script_open(script_dialling(&path_rig.pool.engine));
    fixture_settle(&path_rig.pool);
    assert_non_null(c.conn);
    client_give_back(&c);
}

static void without_agents_the_way_has_none(void **state)
{
    struct client c;
    (void)state;
    path_ask(&c, &path_agent_only);
    path_assert_told(&c, ENDING_NO_AGENT, "no agent is connected that could carry the connection");
    assert_int_equal(path_rig.pool.engine.dialled, 0);
    path_ask(&c, &path_agent_first);
    script_open(script_dialling(&path_rig.pool.engine));
    fixture_settle(&path_rig.pool);
    assert_non_null(c.conn);
    client_give_back(&c);
    path_rig.key.port++;
    path_ask(&c, &path_direct_first);
    path_fail_direct(ENDING_UNREACHABLE);
    path_assert_told(&c, ENDING_NO_AGENT,
                     "no agent is connected that could carry the connection (direct: unreachable)");
}

static void most_telling_failure_is_told_whichever_came_first(void **state)
{
    static const struct {
        enum ending agent, direct, told;
        const char *detail;
    } rows[] = {
        {ENDING_NO_AGENT,        ENDING_CONNECT_TIMEOUT, ENDING_NO_AGENT,
         "agent-7: no agent is connected that could carry the connection (direct: connect_timeout)"},
        {ENDING_NO_AGENT,        ENDING_REFUSED,         ENDING_REFUSED,
         "10.0.0.1:1000: connection refused by the destination (agent: no_agent)"                  },
        {ENDING_NO_AGENT,        ENDING_DESCRIPTORS,     ENDING_DESCRIPTORS,
         "10.0.0.1:1000: the broker is out of file descriptors (agent: no_agent)"                  },
        {ENDING_CONNECT_TIMEOUT, ENDING_UNREACHABLE,     ENDING_UNREACHABLE,
         "10.0.0.1:1000: destination unreachable (agent: connect_timeout)"                         },
        {ENDING_CONNECT_TIMEOUT, ENDING_CONNECT_TIMEOUT, ENDING_CONNECT_TIMEOUT,
         "agent-7: connecting to the destination timed out (direct: connect_timeout)"              },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct client c;
        path_rig.key.port = 1000;
        snprintf(path_rig.key.node_name, sizeof(path_rig.key.node_name), "n%zu",
                 i); /* another endpoint each */
        path_ask(&c, &path_agent_first);
        path_agent_fails(rows[i].agent);
        path_fail_direct(rows[i].direct);
        path_assert_told(&c, rows[i].told, rows[i].detail);
    }
}

static void long_detail_leaves_room_for_the_other_way(void **state)
{
    char detail[200];
    struct client c;
    (void)state;
    memset(detail, 'x', sizeof(detail) - 1);
    detail[sizeof(detail) - 1] = '\0';
    path_ask(&c, &path_agent_first);
    path_agent_answers(&(struct dial_answer){.ending = ENDING_LIMIT, .address = "", .detail = detail});
    path_fail_direct(ENDING_UNREACHABLE);
    assert_int_equal(c.ending, ENDING_LIMIT);
    assert_int_equal(strlen(c.detail), POOL_DETAIL_MAX - 1);
    assert_string_equal(c.detail + strlen(c.detail) - strlen("x (direct: unreachable)"),
                        "x (direct: unreachable)");
}

static void missing_or_lost_agent_is_not_held_against_the_destination(void **state)
{
    static const enum ending endings[] = {ENDING_NO_AGENT, ENDING_AGENT_LOST, ENDING_LIMIT};
    struct client c;
    (void)state;
    for (int i = 0; i < 12; i++) {
        path_ask(&c, &path_agent_only);
        path_agent_fails(endings[i % 3]);
        assert_int_equal(c.ending, endings[i % 3]);
        path_ask(&c, &path_agent_first);
        path_agent_fails(ENDING_NO_AGENT);
        path_fail_direct(ENDING_CONNECT_TIMEOUT);
        assert_int_equal(c.ending, ENDING_NO_AGENT);
    }
    path_ask(&c, &path_agent_only); /* nor are connections that went with it */
    path_agent_opens();
    script_close(client_stream(&c), ENDING_AGENT_LOST);
    fixture_settle(&path_rig.pool);
    pool_lost(path_rig.pool.pool, &c.conn, c.closed_with);
    for (int i = 0; i < 3; i++) { /* but what the agent says of the destination is */
        assert_int_equal(fixture_count(&path_rig.pool, COUNTER_breakers_opened), 0);
        path_ask(&c, &path_agent_only);
        path_agent_fails(ENDING_REFUSED);
    }
    assert_int_equal(fixture_count(&path_rig.pool, COUNTER_breakers_opened), 1);
}

/* -- identity -----------------------------------------------------------------------------------------------
 */

static void path_is_part_of_the_identity(void **state)
{
    struct pool_path same = {.id = 1, .way_count = 1, .ways = {POOL_WAY_AGENT}};
    struct endpoint_key direct = fixture_key(&path_rig.pool.plain, "10.0.0.1"), a = direct, b = direct,
                        again = direct;
    struct client c, d, e;
    (void)state;
    a.path = &path_agent_only;
    b.path = &path_agent_first;
    again.path = &same;
    assert_false(endpoint_key_equal(&direct, &a));
    assert_false(endpoint_key_equal(&a, &direct));
    assert_false(endpoint_key_equal(&a, &b));
    assert_true(endpoint_key_equal(&a, &again));
    assert_true(endpoint_key_hash(&direct) != endpoint_key_hash(&a));
    assert_true(endpoint_key_hash(&a) != endpoint_key_hash(&b));
    assert_true(endpoint_key_hash(&a) == endpoint_key_hash(&again));

    path_ask(&c, NULL);
    script_open(script_dialling(&path_rig.pool.engine));
    fixture_settle(&path_rig.pool);
    client_give_back(&c);
    path_ask(&d, &path_agent_only); /* a direct connection is idle and not for it */
    assert_int_equal(d.answers, 0);
    path_agent_opens();
    client_give_back(&d);
    path_ask(&e, &path_agent_first);
    assert_int_equal(e.answers, 0);
    path_agent_fails(ENDING_REFUSED);
}

static void agents_carry_no_spares(void **state)
{
    struct client c;
    (void)state;
    path_rig.key = fixture_key(&path_rig.pool.single, "10.0.0.1");
    path_ask(&c, &path_agent_first);
    path_agent_opens();
    assert_non_null(c.conn);
    assert_int_equal(path_rig.agents.asked, 1);
    assert_int_equal(fixture_count(&path_rig.pool, COUNTER_pool_dialling), 0);
    client_give_back(&c);
    path_ask(&c, &path_direct_first);
    script_open(script_dialling(&path_rig.pool.engine));
    fixture_settle(&path_rig.pool);
    assert_int_equal(fixture_count(&path_rig.pool, COUNTER_pool_dialling), 1);
    client_give_back(&c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(no_path_asks_no_agent),
        TEST(agent_carries_it_and_is_told_whose_it_is),
        TEST(direct_first_asks_agents_only_when_it_failed),
        TEST(missing_agent_falls_through_at_once),
        TEST(only_a_failure_of_the_way_leads_to_the_next),
        TEST(agent_alone_fails_closed),
        TEST(agents_that_cannot_dial_are_a_way_that_failed),
        cmocka_unit_test_setup_teardown(without_agents_the_way_has_none, setup_without_agents, teardown),
        TEST(most_telling_failure_is_told_whichever_came_first),
        TEST(long_detail_leaves_room_for_the_other_way),
        TEST(missing_or_lost_agent_is_not_held_against_the_destination),
        TEST(path_is_part_of_the_identity),
        TEST(agents_carry_no_spares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
