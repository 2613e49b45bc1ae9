/* test/unit/test_pool_share.c — connections that carry many leases: who gets on which, how many are dialled
 * for how many, and every way in which a shared connection ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pool/conn.h"
#include "test/support/pool_fixture.h"

static struct pool_fixture f;
static struct endpoint_key key;

static int setup(void **state)
{
    struct pool_options options = fixture_options();
    (void)state;
    options.limits.waiters_per_endpoint_max = 100;
    options.limits.conns_per_endpoint_max = 4;
    options.limits.dials_in_flight_max = 8;
    fixture_start(&f, &options);
    f.shares = 3;
    key = fixture_key(&f.shared, "10.0.0.1");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&f);
    return 0;
}

static void assert_refused(const struct client *c, enum ending ending)
{
    assert_int_equal(c->answers, 1);
    assert_null(c->conn);
    assert_string_equal(ending_name(c->ending), ending_name(ending));
}

static void ask(struct client *c, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        client_ask(&c[i], &f, &key, 8000);
    fixture_settle(&f);
}

static void open_next(void)
{
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
}

static void give_back(struct client *c, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (c[i].conn)
            client_give_back(&c[i]);
    fixture_settle(&f);
}

static unsigned granted(const struct client *c, unsigned count)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++)
        n += c[i].conn != NULL;
    return n;
}

/* An endpoint that is known to share: one connection without leases. */
static struct conn *make_known(void)
{
    struct client c;
    struct conn *conn = client_connect(&c, &f, &key);
    client_give_back(&c);
    return conn;
}

/* -- who gets on ------------------------------------------------------------------------------------------
 */

static void one_dial_serves_a_storm_of_first_leases(void **state)
{
    struct client c[20];
    (void)state;
    f.shares = 100;
    ask(c, 20);
    assert_int_equal(f.engine.dialled, 1);
    open_next();
    assert_int_equal(granted(c, 20), 20);
    assert_int_equal(f.engine.dialled, 1);
    assert_int_equal(c[0].how, LEASE_NEW);
    assert_int_equal(c[1].how, LEASE_REUSED);
    assert_int_equal(fixture_count(&f, COUNTER_lease_dialled), 1);
    assert_int_equal(fixture_count(&f, COUNTER_pool_shared), 1);
    assert_int_equal(fixture_count(&f, COUNTER_pool_shares), 20);
    give_back(c, 20);
    assert_int_equal(fixture_count(&f, COUNTER_pool_shares), 0);
}

static void destination_that_does_not_share_is_dialled_in_parallel_after_the_first(void **state)
{
    struct client c[20];
    (void)state;
    f.shares = 0;
    ask(c, 20);
    assert_int_equal(f.engine.dialled, 1);
    open_next();
    assert_int_equal(granted(c, 20), 1);
    assert_null(conn_session(c[0].conn));
    assert_int_equal(f.engine.dialled, 4); /* the cap of the endpoint */
    for (int i = 0; i < 3; i++)
        open_next();
    assert_int_equal(granted(c, 20), 4);
    client_give_back(&c[0]);
    fixture_settle(&f);
    assert_non_null(c[4].conn);
    for (int i = 0; i < 20; i++)
        pool_cancel(f.pool, &c[i].lease);
    give_back(c, 20);
}

static void dials_are_as_many_as_those_who_wait_will_share(void **state)
{
    struct client c[10], more[4];
    (void)state;
    make_known(); /* three at a time */
    ask(c, 10);
    assert_int_equal(granted(c, 10), 3);
    assert_int_equal(f.engine.dialled, 1 + 3); /* for seven */
    ask(more, 4);                              /* would need a fifth connection; four may be */
    assert_int_equal(f.engine.dialled, 4);
    for (int i = 0; i < 3; i++)
        open_next();
    assert_int_equal(granted(c, 10), 10);
    assert_int_equal(granted(more, 4), 2);
    assert_true(fixture_count(&f, COUNTER_lease_waited) > 0);
    client_give_back(&c[5]);
    fixture_settle(&f);
    assert_non_null(more[2].conn);
    assert_null(more[3].conn);
    client_give_back(&c[0]);
    fixture_settle(&f);
    assert_non_null(more[3].conn);
    give_back(c, 10);
    give_back(more, 4);
}

static void leases_gather_on_the_newest_connection(void **state)
{
    struct client a[3], b[2], c;
    (void)state;
    ask(a, 3);
    open_next();
    ask(b, 2);
    open_next();
    assert_ptr_not_equal(a[0].conn, b[0].conn);
    client_give_back(&a[0]);
    client_ask(&c, &f, &key, 8000);
    fixture_settle(&f);
    assert_ptr_equal(c.conn, b[0].conn);
    assert_int_equal(c.how, LEASE_REUSED);
    give_back(a, 3);
    give_back(b, 2);
    client_give_back(&c);
}

static void peer_that_allows_more_serves_who_waits(void **state)
{
    struct client c[8];
    (void)state;
    f.shares = 1;
    ask(c, 8);
    for (int i = 0; i < 4; i++)
        open_next();
    assert_int_equal(granted(c, 8), 4);
    conn_set_shares(c[0].conn, 3);
    fixture_settle(&f);
    assert_int_equal(granted(c, 8), 6);
    conn_set_shares(c[0].conn, 2); /* who is on it stays */
    client_give_back(&c[0]);
    fixture_settle(&f);
    assert_int_equal(granted(c, 8), 5);
    conn_set_shares(c[4].conn, 4);
    fixture_settle(&f);
    assert_int_equal(granted(c, 8), 7);
    assert_int_equal(fixture_count(&f, COUNTER_pool_shares), 7);
    give_back(c, 8);
}

static void fresh_lease_is_served_by_a_connection_of_its_own_making(void **state)
{
    struct client a, b, c;
    (void)state;
    client_connect(&a, &f, &key);
    client_ask_fresh(&b, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(b.answers, 0);
    client_ask(&c, &f, &key, 8000); /* others need not wait for it */
    fixture_settle(&f);
    assert_ptr_equal(c.conn, a.conn);
    open_next();
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
    f.shares = 1;
    ask(c, 4);
    for (int i = 0; i < 4; i++)
        open_next();
    client_ask_fresh(&d, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(f.engine.dialled, 4);
    client_give_back(&c[1]);
    fixture_settle(&f);
    assert_int_equal(f.sessions_ended, 1);
    assert_int_equal(f.engine.dialled, 5);
    open_next();
    assert_int_equal(d.how, LEASE_NEW);
    give_back(c, 4);
    client_give_back(&d);
}

static void lease_cancelled_before_its_answer_leaves_its_place(void **state)
{
    struct client c[2];
    (void)state;
    make_known();
    client_ask(&c[0], &f, &key, 8000);
    assert_int_equal(fixture_count(&f, COUNTER_pool_shares), 1);
    pool_cancel(f.pool, &c[0].lease);
    assert_int_equal(fixture_count(&f, COUNTER_pool_shares), 0);
    fixture_settle(&f);
    assert_int_equal(c[0].answers, 0);
}

static void out_of_memory_for_a_session_fails_the_lease_and_no_breaker(void **state)
{
    struct client c[5];
    (void)state;
    f.shares = -12;
    for (int i = 0; i < 5; i++) {
        client_ask(&c[i], &f, &key, 8000);
        fixture_settle(&f);
        open_next();
        assert_refused(&c[i], ENDING_LIMIT);
    }
    assert_int_equal(f.engine.alive, 0);
    assert_int_equal(fixture_count(&f, COUNTER_breakers_open), 0);
}

static void failed_dial_fails_all_who_would_have_shared_it(void **state)
{
    struct client c[20];
    (void)state;
    ask(c, 20); /* how many will share is not known: all of them wait for this one */
    script_close(script_dialling(&f.engine), ENDING_UNREACHABLE);
    fixture_settle(&f);
    for (int i = 0; i < 20; i++)
        assert_refused(&c[i], ENDING_UNREACHABLE);
    assert_int_equal(fixture_count(&f, COUNTER_breakers_open), 0); /* it failed once */
    make_known();
    ask(c, 11); /* three are served, eight wait for three dials of three */
    assert_int_equal(fixture_count(&f, COUNTER_pool_dialling), 3);
    script_close(script_dialling(&f.engine), ENDING_UNREACHABLE);
    fixture_settle(&f);
    assert_refused(&c[3], ENDING_UNREACHABLE);
    assert_refused(&c[4], ENDING_UNREACHABLE);
    assert_int_equal(c[5].answers, 0); /* two dials are left for six */
    open_next();
    open_next();
    assert_int_equal(granted(c, 11), 9);
    give_back(c, 11);
}

static void who_waits_for_a_shared_dial_waits_beyond_the_queue_limit(void **state)
{
    struct client c[20];
    (void)state;
    ask(c, 20);
    script_advance_ms(&f.engine, 2500); /* wait_ms is 2000, connect_ms 3000 */
    assert_int_equal(c[19].answers, 0);
    f.shares = 20;
    open_next();
    assert_int_equal(granted(c, 20), 20);
    give_back(c, 20);
}

/* -- ends -------------------------------------------------------------------------------------------------
 */

static void unused_connection_obeys_the_idle_limit(void **state)
{
    struct client a;
    (void)state;
    client_connect(&a, &f, &key);
    script_advance_ms(&f.engine, 100000); /* in use: no idle limit */
    assert_int_equal(f.sessions_ended, 0);
    client_give_back(&a);
    script_advance_ms(&f.engine, 79000);
    assert_int_equal(f.sessions_ended, 0);
    script_advance_ms(&f.engine, 1100);
    assert_int_equal(f.sessions_ended, 1);
    assert_true(script_last(&f.engine)->finished); /* politely */
    assert_int_equal(fixture_count(&f, COUNTER_pool_retired_idle), 1);
    script_advance_ms(&f.engine, 1100);
    assert_int_equal(f.engine.alive, 0);
}

static void aged_connection_takes_no_lease_and_ends_with_its_last(void **state)
{
    struct client a, b;
    (void)state;
    client_connect(&a, &f, &key);
    script_advance_ms(&f.engine, 1800010);
    client_ask(&b, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(f.engine.dialled, 2);
    open_next();
    assert_ptr_not_equal(a.conn, b.conn);
    conn_set_shares(a.conn, 50); /* the peer does not decide about that */
    fixture_settle(&f);
    client_give_back(&a);
    script_advance_ms(&f.engine, 20);
    assert_int_equal(f.sessions_ended, 1);
    assert_int_equal(fixture_count(&f, COUNTER_pool_retired_age), 1);
    client_give_back(&b);
}

static void aged_connections_serve_where_no_other_can_be_dialled(void **state)
{
    struct client c[4], d, e;
    (void)state;
    f.shares = 1;
    ask(c, 4); /* four connections may be */
    for (int i = 0; i < 4; i++)
        open_next();
    conn_set_shares(c[1].conn, 2);
    script_advance_ms(&f.engine, 1800010);
    client_ask(&d, &f, &key, 8000);
    client_ask(&e, &f, &key, 8000);
    fixture_settle(&f);
    assert_ptr_equal(d.conn, c[1].conn);
    assert_int_equal(e.answers, 0);
    client_give_back(&c[2]); /* nobody uses it: it makes room for a young one */
    fixture_settle(&f);
    assert_int_equal(fixture_count(&f, COUNTER_pool_dialling), 1);
    open_next();
    assert_int_equal(e.how, LEASE_NEW);
    give_back(c, 4);
    client_give_back(&d);
    client_give_back(&e);
}

static void peer_that_says_goodbye_gets_no_more_and_is_left_with_the_last(void **state)
{
    struct client c[2], d;
    (void)state;
    ask(c, 2);
    open_next();
    conn_set_shares(c[0].conn, 0);
    client_ask(&d, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(f.engine.dialled, 2);
    open_next();
    client_give_back(&c[0]);
    script_advance_ms(&f.engine, 20);
    assert_int_equal(f.sessions_ended, 0);
    client_give_back(&c[1]);
    assert_int_equal(f.sessions_ended, 0); /* never inside the call: it may be the session's own */
    script_advance_ms(&f.engine, 20);
    assert_int_equal(f.sessions_ended, 1);
    client_give_back(&d);
}

static void goodbye_to_an_unused_connection_ends_it(void **state)
{
    struct conn *conn = make_known();
    (void)state;
    conn_set_shares(conn, 0);
    assert_int_equal(f.sessions_ended, 0);
    script_advance_ms(&f.engine, 20);
    assert_int_equal(f.sessions_ended, 1);
}

static void lost_connection_ends_every_lease_on_it(void **state)
{
    struct client c[3], d;
    (void)state;
    ask(c, 3);
    open_next();
    script_close(client_stream(&c[0]), ENDING_PEER_RESET);
    fixture_settle(&f);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(c[i].closed, 1);
        assert_null(c[i].conn);
    }
    assert_int_equal(fixture_count(&f, COUNTER_pool_shares), 0);
    assert_int_equal(f.engine.alive, 0);
    client_connect(&d, &f, &key);
    client_give_back(&d);
}

static void promise_on_a_connection_that_is_lost_is_kept_with_another(void **state)
{
    struct client a[3], b, c;
    (void)state;
    ask(a, 3);
    open_next();
    client_connect(&b, &f, &key);
    client_ask(&c, &f, &key, 8000);
    script_close(client_stream(&b), ENDING_PEER_RESET);
    fixture_settle(&f);
    assert_null(b.conn);
    assert_int_equal(c.answers, 0); /* the other is full: dialled anew */
    open_next();
    assert_non_null(c.conn);
    client_give_back(&a[0]);
    client_give_back(&c);
    client_ask(&b, &f, &key, 8000);
    script_close(script_last(&f.engine), ENDING_PEER_RESET);
    fixture_settle(&f);
    assert_ptr_equal(b.conn, a[1].conn);
    client_give_back(&b);
    give_back(a, 3);
}

static void connection_lost_before_its_first_leases_were_told_fails_them(void **state)
{
    struct client c[3];
    (void)state;
    ask(c, 3);
    struct script_stream *s = script_dialling(&f.engine);
    f.engine.now_ns += 1000;
    script_open(s);
    script_close(s, ENDING_PEER_RESET);
    fixture_settle(&f);
    for (int i = 0; i < 3; i++)
        assert_refused(&c[i], ENDING_PEER_RESET);
    assert_int_equal(f.engine.dialled, 1);
}

static void discarded_lease_leaves_the_connection_to_others(void **state)
{
    struct client c[2], d;
    (void)state;
    ask(c, 2);
    open_next();
    list_remove(&c[0].node);
    pool_discard(f.pool, &c[0].conn, ENDING_DEADLINE);
    client_ask(&d, &f, &key, 8000);
    fixture_settle(&f);
    assert_ptr_equal(d.conn, c[1].conn);
    client_give_back(&c[1]);
    client_give_back(&d);
}

static void drain_ends_unused_sessions_at_once_and_others_with_their_last_lease(void **state)
{
    struct client c[4];
    (void)state;
    ask(c, 3);
    open_next();
    client_connect(&c[3], &f, &key);
    client_give_back(&c[3]);
    pool_drain(f.pool);
    fixture_settle(&f);
    assert_int_equal(f.sessions_ended, 1);
    give_back(c, 3);
    script_advance_ms(&f.engine, 20);
    assert_int_equal(f.sessions_ended, 2);
    script_advance_ms(&f.engine, 1100);
    assert_true(pool_is_empty(f.pool));
}

static void generation_that_is_over_ends_with_its_last_lease(void **state)
{
    struct client c[2], d;
    (void)state;
    struct pool_profile next = {.id = 4, .generation = 1, .shared = true};
    ask(c, 2);
    open_next();
    pool_retire_generation(f.pool, 4, 1);
    fixture_settle(&f);
    assert_int_equal(f.sessions_ended, 0);
    struct endpoint_key new_key = fixture_key(&next, "10.0.0.1");
    client_connect(&d, &f, &new_key);
    assert_ptr_not_equal(d.conn, c[0].conn);
    give_back(c, 2);
    script_advance_ms(&f.engine, 20);
    assert_int_equal(f.sessions_ended, 1);
    client_give_back(&d);
    pool_retire_generation(f.pool, 4, 2); /* the profile is this function's */
    script_advance_ms(&f.engine, 1100);
}

static void alpn_and_tickets_work_as_for_others(void **state)
{
    struct pool_profile tls = {.id = 9, .generation = 1, .tls = true, .shared = true, .resumption = true};
    struct endpoint_key secure = fixture_key(&tls, "10.0.0.1");
    struct client a, b;
    (void)state;
    client_ask(&a, &f, &secure, 8000);
    fixture_settle(&f);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    script_open_tls(script_last(&f.engine), false, "TLSv1.3");
    fixture_settle(&f);
    assert_non_null(conn_session(a.conn));
    script_ticket(script_last(&f.engine), "ticket");
    script_close(client_stream(&a), ENDING_PEER_RESET);
    fixture_settle(&f);
    client_ask(&b, &f, &secure, 8000);
    fixture_settle(&f);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    script_open_tls(script_last(&f.engine), true, "TLSv1.3");
    fixture_settle(&f);
    assert_int_equal(b.how, LEASE_RESUMED);
    client_give_back(&b);
    pool_retire_generation(f.pool, 9, 2);
    script_advance_ms(&f.engine, 1100);
}

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
