/* test/unit/test_pool_share.c — connections that carry many leases: who gets on which, and how many are
 * dialled for how many. How they end: test_pool_share_ends.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool/conn.h"
#include "test/support/share_rig.h"

static int setup(void **state)
{
    (void)state;
    share_rig_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    share_rig_stop();
    return 0;
}

static unsigned granted(const struct client *c, unsigned count)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++)
        n += c[i].conn != NULL;
    return n;
}

/* -- who gets on ------------------------------------------------------------------------------------------
 */

static void one_dial_serves_a_storm_of_first_leases(void **state)
{
    struct client c[20];
    (void)state;
    share_rig.pool.shares = 100;
    share_ask(c, 20);
    assert_int_equal(share_rig.pool.engine.dialled, 1);
    share_open_next();
    assert_int_equal(granted(c, 20), 20);
    assert_int_equal(share_rig.pool.engine.dialled, 1);
    assert_int_equal(c[0].how, LEASE_NEW);
    assert_int_equal(c[1].how, LEASE_REUSED);
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_lease_dialled), 1);
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_pool_shared), 1);
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_pool_shares), 20);
    share_give_back(c, 20);
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_pool_shares), 0);
}

static void destination_that_does_not_share_is_dialled_in_parallel_after_the_first(void **state)
{
    struct client c[20];
    (void)state;
    share_rig.pool.shares = 0;
    share_ask(c, 20);
    assert_int_equal(share_rig.pool.engine.dialled, 1);
    share_open_next();
    assert_int_equal(granted(c, 20), 1);
    assert_null(conn_session(c[0].conn));
    assert_int_equal(share_rig.pool.engine.dialled, 4); /* the cap of the endpoint */
    for (int i = 0; i < 3; i++)
        share_open_next();
    assert_int_equal(granted(c, 20), 4);
    client_give_back(&c[0]);
    fixture_settle(&share_rig.pool);
    assert_non_null(c[4].conn);
    for (int i = 0; i < 20; i++)
        pool_cancel(share_rig.pool.pool, &c[i].lease);
    share_give_back(c, 20);
}

static void dials_are_as_many_as_those_who_wait_will_share(void **state)
{
    struct client c[10], more[4];
    (void)state;
    share_make_known(); /* three at a time */
    share_ask(c, 10);
    assert_int_equal(granted(c, 10), 3);
    assert_int_equal(share_rig.pool.engine.dialled, 1 + 3); /* for seven */
    share_ask(more, 4);                                     /* would need a fifth connection; four may be */
    assert_int_equal(share_rig.pool.engine.dialled, 4);
    for (int i = 0; i < 3; i++)
        share_open_next();
    assert_int_equal(granted(c, 10), 10);
    assert_int_equal(granted(more, 4), 2);
    assert_true(fixture_count(&share_rig.pool, COUNTER_lease_waited) > 0);
    client_give_back(&c[5]);
    fixture_settle(&share_rig.pool);
    assert_non_null(more[2].conn);
    assert_null(more[3].conn);
    client_give_back(&c[0]);
    fixture_settle(&share_rig.pool);
    assert_non_null(more[3].conn);
    share_give_back(c, 10);
    share_give_back(more, 4);
}

static void leases_gather_on_the_newest_connection(void **state)
{
    struct client a[3], b[2], c;
    (void)state;
    share_ask(a, 3);
    share_open_next();
    share_ask(b, 2);
    share_open_next();
    assert_ptr_not_equal(a[0].conn, b[0].conn);
    client_give_back(&a[0]);
    client_ask(&c, &share_rig.pool, &share_rig.key, 8000);
    fixture_settle(&share_rig.pool);
    assert_ptr_equal(c.conn, b[0].conn);
    assert_int_equal(c.how, LEASE_REUSED);
    share_give_back(a, 3);
    share_give_back(b, 2);
    client_give_back(&c);
}

static void peer_that_allows_more_serves_who_waits(void **state)
{
    struct client c[8];
    (void)state;
    share_rig.pool.shares = 1;
    share_ask(c, 8);
    for (int i = 0; i < 4; i++)
        share_open_next();
    assert_int_equal(granted(c, 8), 4);
    conn_set_shares(c[0].conn, 3);
    fixture_settle(&share_rig.pool);
    assert_int_equal(granted(c, 8), 6);
    conn_set_shares(c[0].conn, 2); /* who is on it stays */
    client_give_back(&c[0]);
    fixture_settle(&share_rig.pool);
    assert_int_equal(granted(c, 8), 5);
    conn_set_shares(c[4].conn, 4);
    fixture_settle(&share_rig.pool);
    assert_int_equal(granted(c, 8), 7);
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_pool_shares), 7);
    share_give_back(c, 8);
}

static void fresh_lease_is_served_by_a_connection_of_its_own_making(void **state)
{
    struct client a, b, c;
    (void)state;
    client_connect(&a, &share_rig.pool, &share_rig.key);
    client_ask_fresh(&b, &share_rig.pool, &share_rig.key, 8000);
    fixture_settle(&share_rig.pool);
    assert_int_equal(b.answers, 0);
    client_ask(&c, &share_rig.pool, &share_rig.key, 8000); /* others need not wait for it */
    fixture_settle(&share_rig.pool);
    assert_ptr_equal(c.conn, a.conn);
    share_open_next();
    assert_non_null(b.conn);
    assert_ptr_not_equal(a.conn, b.conn);
    client_give_back(&a);
    client_give_back(&b);
    client_give_back(&c);
}

static void fresh_lease_makes_room_at_the_cap_of_unused_ones(void **state)
{
    struct client c[4], d;
    (void)state;
    share_rig.pool.shares = 1;
    share_ask(c, 4);
    for (int i = 0; i < 4; i++)
        share_open_next();
    client_ask_fresh(&d, &share_rig.pool, &share_rig.key, 8000);
    fixture_settle(&share_rig.pool);
    assert_int_equal(share_rig.pool.engine.dialled, 4);
    client_give_back(&c[1]);
    fixture_settle(&share_rig.pool);
    assert_int_equal(share_rig.pool.sessions_ended, 1);
    assert_int_equal(share_rig.pool.engine.dialled, 5);
    share_open_next();
    assert_int_equal(d.how, LEASE_NEW);
    share_give_back(c, 4);
    client_give_back(&d);
}

static void lease_cancelled_before_its_answer_leaves_its_place(void **state)
{
    struct client c[2];
    (void)state;
    share_make_known();
    client_ask(&c[0], &share_rig.pool, &share_rig.key, 8000);
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_pool_shares), 1);
    pool_cancel(share_rig.pool.pool, &c[0].lease);
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_pool_shares), 0);
    fixture_settle(&share_rig.pool);
    assert_int_equal(c[0].answers, 0);
}

static void out_of_memory_for_a_session_fails_the_lease_and_no_breaker(void **state)
{
    struct client c[5];
    (void)state;
    share_rig.pool.shares = -12;
    for (int i = 0; i < 5; i++) {
        client_ask(&c[i], &share_rig.pool, &share_rig.key, 8000);
        fixture_settle(&share_rig.pool);
        share_open_next();
        client_assert_refused(&c[i], ENDING_LIMIT);
    }
    assert_int_equal(share_rig.pool.engine.alive, 0);
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_breakers_open), 0);
}

static void failed_dial_fails_all_who_would_have_shared_it(void **state)
{
    struct client c[20];
    (void)state;
    share_ask(c, 20); /* how many will share is not known: all of them wait for this one */
    script_close(script_dialling(&share_rig.pool.engine), ENDING_UNREACHABLE);
    fixture_settle(&share_rig.pool);
    for (int i = 0; i < 20; i++)
        client_assert_refused(&c[i], ENDING_UNREACHABLE);
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_breakers_open), 0); /* it failed once */
    share_make_known();
    share_ask(c, 11); /* three are served, eight wait for three dials of three */
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_pool_dialling), 3);
    script_close(script_dialling(&share_rig.pool.engine), ENDING_UNREACHABLE);
    fixture_settle(&share_rig.pool);
    client_assert_refused(&c[3], ENDING_UNREACHABLE);
    client_assert_refused(&c[4], ENDING_UNREACHABLE);
    assert_int_equal(c[5].answers, 0); /* two dials are left for six */
    share_open_next();
    share_open_next();
    assert_int_equal(granted(c, 11), 9);
    share_give_back(c, 11);
}

static void who_waits_for_a_shared_dial_waits_beyond_the_queue_limit(void **state)
{
    struct client c[20];
    (void)state;
    share_ask(c, 20);
    script_advance_ms(&share_rig.pool.engine, 2500); /* wait_ms is 2000, connect_ms 3000 */
    assert_int_equal(c[19].answers, 0);
    share_rig.pool.shares = 20;
    share_open_next();
    assert_int_equal(granted(c, 20), 20);
    share_give_back(c, 20);
}

/* -- ends -------------------------------------------------------------------------------------------------
 */

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_dial_serves_a_storm_of_first_leases),
        T(destination_that_does_not_share_is_dialled_in_parallel_after_the_first),
        T(dials_are_as_many_as_those_who_wait_will_share),
        T(leases_gather_on_the_newest_connection),
        T(peer_that_allows_more_serves_who_waits),
        T(fresh_lease_is_served_by_a_connection_of_its_own_making),
        T(fresh_lease_makes_room_at_the_cap_of_unused_ones),
        T(lease_cancelled_before_its_answer_leaves_its_place),
        T(out_of_memory_for_a_session_fails_the_lease_and_no_breaker),
        T(failed_dial_fails_all_who_would_have_shared_it),
        T(who_waits_for_a_shared_dial_waits_beyond_the_queue_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
