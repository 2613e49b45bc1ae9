/* test/unit/test_pool_share_ends.c — every way in which a connection that carries many leases ends. */
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

/* -- ends -------------------------------------------------------------------------------------------------
 */

static void unused_connection_obeys_the_idle_limit(void **state)
{
    struct client a;
    (void)state;
    client_connect(&a, &share_rig.pool, &share_rig.key);
    script_advance_ms(&share_rig.pool.engine, 100000); /* in use: no idle limit */
    assert_int_equal(share_rig.pool.sessions_ended, 0);
    client_give_back(&a);
    script_advance_ms(&share_rig.pool.engine, 79000);
    assert_int_equal(share_rig.pool.sessions_ended, 0);
    script_advance_ms(&share_rig.pool.engine, 1100);
    assert_int_equal(share_rig.pool.sessions_ended, 1);
    assert_true(script_last(&share_rig.pool.engine)->finished); /* politely */
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_pool_retired_idle), 1);
    script_advance_ms(&share_rig.pool.engine, 1100);
    assert_int_equal(share_rig.pool.engine.alive, 0);
}

static void aged_connection_takes_no_lease_and_ends_with_its_last(void **state)
{
    struct client a, b;
    (void)state;
    client_connect(&a, &share_rig.pool, &share_rig.key);
    script_advance_ms(&share_rig.pool.engine, 1800010);
    client_ask(&b, &share_rig.pool, &share_rig.key, 8000);
    fixture_settle(&share_rig.pool);
    assert_int_equal(share_rig.pool.engine.dialled, 2);
    share_open_next();
    assert_ptr_not_equal(a.conn, b.conn);
    conn_set_shares(a.conn, 50); /* the peer does not decide about that */
    fixture_settle(&share_rig.pool);
    client_give_back(&a);
    script_advance_ms(&share_rig.pool.engine, 20);
    assert_int_equal(share_rig.pool.sessions_ended, 1);
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_pool_retired_age), 1);
    client_give_back(&b);
}

static void aged_connections_serve_where_no_other_can_be_dialled(void **state)
{
    struct client c[4], d, e;
    (void)state;
    share_rig.pool.shares = 1;
    share_ask(c, 4); /* four connections may be */
    for (int i = 0; i < 4; i++)
        share_open_next();
    conn_set_shares(c[1].conn, 2);
    script_advance_ms(&share_rig.pool.engine, 1800010);
    client_ask(&d, &share_rig.pool, &share_rig.key, 8000);
    client_ask(&e, &share_rig.pool, &share_rig.key, 8000);
    fixture_settle(&share_rig.pool);
    assert_ptr_equal(d.conn, c[1].conn);
    assert_int_equal(e.answers, 0);
    client_give_back(&c[2]); /* nobody uses it: it makes room for a young one */
    fixture_settle(&share_rig.pool);
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_pool_dialling), 1);
    share_open_next();
    assert_int_equal(e.how, LEASE_NEW);
    share_give_back(c, 4);
    client_give_back(&d);
    client_give_back(&e);
}

static void peer_that_says_goodbye_gets_no_more_and_is_left_with_the_last(void **state)
{
    struct client c[2], d;
    (void)state;
    share_ask(c, 2);
    share_open_next();
    conn_set_shares(c[0].conn, 0);
    client_ask(&d, &share_rig.pool, &share_rig.key, 8000);
    fixture_settle(&share_rig.pool);
    assert_int_equal(share_rig.pool.engine.dialled, 2);
    share_open_next();
    client_give_back(&c[0]);
    script_advance_ms(&share_rig.pool.engine, 20);
    assert_int_equal(share_rig.pool.sessions_ended, 0);
    client_give_back(&c[1]);
    assert_int_equal(share_rig.pool.sessions_ended,
                     0); /* never inside the call: it may be the session's own */
    script_advance_ms(&share_rig.pool.engine, 20);
    assert_int_equal(share_rig.pool.sessions_ended, 1);
    client_give_back(&d);
}

static void goodbye_to_an_unused_connection_ends_it(void **state)
{
    struct conn *conn = share_make_known();
    (void)state;
    conn_set_shares(conn, 0);
    assert_int_equal(share_rig.pool.sessions_ended, 0);
    script_advance_ms(&share_rig.pool.engine, 20);
    assert_int_equal(share_rig.pool.sessions_ended, 1);
}

static void lost_connection_ends_every_lease_on_it(void **state)
{
    struct client c[3], d;
    (void)state;
    share_ask(c, 3);
    share_open_next();
    script_close(client_stream(&c[0]), ENDING_PEER_RESET);
    fixture_settle(&share_rig.pool);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(c[i].closed, 1);
        assert_null(c[i].conn);
    }
    assert_int_equal(fixture_count(&share_rig.pool, COUNTER_pool_shares), 0);
    assert_int_equal(share_rig.pool.engine.alive, 0);
    client_connect(&d, &share_rig.pool, &share_rig.key);
    client_give_back(&d);
}

static void promise_on_a_connection_that_is_lost_is_kept_with_another(void **state)
{
    struct client a[3], b, c;
    (void)state;
    share_ask(a, 3);
    share_open_next();
    client_connect(&b, &share_rig.pool, &share_rig.key);
    client_ask(&c, &share_rig.pool, &share_rig.key, 8000);
    script_close(client_stream(&b), ENDING_PEER_RESET);
    fixture_settle(&share_rig.pool);
    assert_null(b.conn);
    assert_int_equal(c.answers, 0); /* the other is full: dialled anew */
    share_open_next();
    assert_non_null(c.conn);
    client_give_back(&a[0]);
    client_give_back(&c);
    client_ask(&b, &share_rig.pool, &share_rig.key, 8000);
    script_close(script_last(&share_rig.pool.engine), ENDING_PEER_RESET);
    fixture_settle(&share_rig.pool);
    assert_ptr_equal(b.conn, a[1].conn);
    client_give_back(&b);
    share_give_back(a, 3);
}

static void connection_lost_before_its_first_leases_were_told_fails_them(void **state)
{
    struct client c[3];
    (void)state;
    share_ask(c, 3);
    struct script_stream *s = script_dialling(&share_rig.pool.engine);
    share_rig.pool.engine.now_ns += 1000;
    script_open(s);
    script_close(s, ENDING_PEER_RESET);
    fixture_settle(&share_rig.pool);
    for (int i = 0; i < 3; i++)
        client_assert_refused(&c[i], ENDING_PEER_RESET);
    assert_int_equal(share_rig.pool.engine.dialled, 1);
}

static void discarded_lease_leaves_the_connection_to_others(void **state)
{
    struct client c[2], d;
    (void)state;
    share_ask(c, 2);
    share_open_next();
    list_remove(&c[0].node);
    pool_discard(share_rig.pool.pool, &c[0].conn, ENDING_DEADLINE);
    client_ask(&d, &share_rig.pool, &share_rig.key, 8000);
    fixture_settle(&share_rig.pool);
    assert_ptr_equal(d.conn, c[1].conn);
    client_give_back(&c[1]);
    client_give_back(&d);
}

static void drain_ends_unused_sessions_at_once_and_others_with_their_last_lease(void **state)
{
    struct client c[4];
    (void)state;
    share_ask(c, 3);
    share_open_next();
    client_connect(&c[3], &share_rig.pool, &share_rig.key);
    client_give_back(&c[3]);
    pool_drain(share_rig.pool.pool);
    fixture_settle(&share_rig.pool);
    assert_int_equal(share_rig.pool.sessions_ended, 1);
    share_give_back(c, 3);
    script_advance_ms(&share_rig.pool.engine, 20);
    assert_int_equal(share_rig.pool.sessions_ended, 2);
    script_advance_ms(&share_rig.pool.engine, 1100);
    assert_true(pool_is_empty(share_rig.pool.pool));
}

static void generation_that_is_over_ends_with_its_last_lease(void **state)
{
    struct client c[2], d;
    (void)state;
    struct pool_profile next = {.id = 4, .generation = 1, .shared = true};
    share_ask(c, 2);
    share_open_next();
    pool_retire_generation(share_rig.pool.pool, 4, 1);
    fixture_settle(&share_rig.pool);
    assert_int_equal(share_rig.pool.sessions_ended, 0);
    struct endpoint_key new_key = fixture_key(&next, "10.0.0.1");
    client_connect(&d, &share_rig.pool, &new_key);
    assert_ptr_not_equal(d.conn, c[0].conn);
    share_give_back(c, 2);
    script_advance_ms(&share_rig.pool.engine, 20);
    assert_int_equal(share_rig.pool.sessions_ended, 1);
    client_give_back(&d);
    pool_retire_generation(share_rig.pool.pool, 4, 2); /* the profile is this function's */
    script_advance_ms(&share_rig.pool.engine, 1100);
}

static void alpn_and_tickets_work_as_for_others(void **state)
{
    struct pool_profile tls = {.id = 9, .generation = 1, .tls = true, .shared = true, .resumption = true};
    struct endpoint_key secure = fixture_key(&tls, "10.0.0.1");
    struct client a, b;
    (void)state;
    client_ask(&a, &share_rig.pool, &secure, 8000);
    fixture_settle(&share_rig.pool);
    script_open(script_dialling(&share_rig.pool.engine));
    fixture_settle(&share_rig.pool);
    script_open_tls(script_last(&share_rig.pool.engine), false, "TLSv1.3");
    fixture_settle(&share_rig.pool);
    assert_non_null(conn_session(a.conn));
    script_ticket(script_last(&share_rig.pool.engine), "ticket");
    script_close(client_stream(&a), ENDING_PEER_RESET);
    fixture_settle(&share_rig.pool);
    client_ask(&b, &share_rig.pool, &secure, 8000);
    fixture_settle(&share_rig.pool);
    script_open(script_dialling(&share_rig.pool.engine));
    fixture_settle(&share_rig.pool);
    script_open_tls(script_last(&share_rig.pool.engine), true, "TLSv1.3");
    fixture_settle(&share_rig.pool);
    assert_int_equal(b.how, LEASE_RESUMED);
    client_give_back(&b);
    pool_retire_generation(share_rig.pool.pool, 9, 2);
    script_advance_ms(&share_rig.pool.engine, 1100);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(unused_connection_obeys_the_idle_limit),
        T(aged_connection_takes_no_lease_and_ends_with_its_last),
        T(aged_connections_serve_where_no_other_can_be_dialled),
        T(peer_that_says_goodbye_gets_no_more_and_is_left_with_the_last),
        T(goodbye_to_an_unused_connection_ends_it),
        T(lost_connection_ends_every_lease_on_it),
        T(promise_on_a_connection_that_is_lost_is_kept_with_another),
        T(connection_lost_before_its_first_leases_were_told_fails_them),
        T(discarded_lease_leaves_the_connection_to_others),
        T(drain_ends_unused_sessions_at_once_and_others_with_their_last_lease),
        T(generation_that_is_over_ends_with_its_last_lease),
        T(alpn_and_tickets_work_as_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
