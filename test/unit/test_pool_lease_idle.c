/* test/unit/test_pool_lease_idle.c — connections between leases: those that say something, end, grow old or
 * are in the way of others, and draining. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/support/pool_fixture.h"

static struct pool_fixture f;
static struct endpoint_key key;

static int setup(void **state)
{
    struct pool_options options = fixture_options();
    (void)state;
    fixture_start(&f, &options);
    key = fixture_key(&f.plain, "10.0.0.1");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&f);
    return 0;
}

static void idle_connection_with_bytes_is_retired(void **state)
{
    struct client a, b;
    (void)state;
    client_connect(&a, &f, &key);
    struct script_stream *s = client_stream(&a);
    client_give_back(&a);
    script_data(s, "x");
    fixture_settle(&f);
    assert_int_equal(fixture_count(&f, COUNTER_pool_idle), 0);
    assert_int_equal(fixture_count(&f, COUNTER_pool_retired_stale), 1);
    assert_int_equal(f.engine.alive, 0);
    client_connect(&b, &f, &key);
    assert_int_equal(b.how, LEASE_NEW);
    client_give_back(&b);
}

static void idle_connection_that_ends_is_retired(void **state)
{
    struct client a;
    (void)state;
    client_connect(&a, &f, &key);
    struct script_stream *s = client_stream(&a);
    client_give_back(&a);
    script_end(s);
    fixture_settle(&f);
    assert_int_equal(fixture_count(&f, COUNTER_pool_retired_stale), 1);
    assert_int_equal(f.engine.alive, 0);
    client_connect(&a, &f, &key);
    s = client_stream(&a);
    client_give_back(&a);
    script_close(s, ENDING_PEER_RESET);
    fixture_settle(&f);
    assert_int_equal(fixture_count(&f, COUNTER_pool_retired_stale), 2);
    assert_int_equal(f.engine.alive, 0);
}

static void promise_that_breaks_is_kept_with_another_connection(void **state)
{
    struct client a, b;
    (void)state;
    client_connect(&a, &f, &key);
    struct script_stream *s = client_stream(&a);
    client_give_back(&a);
    fixture_settle(&f);
    script_close(s, ENDING_PEER_RESET);
    client_ask(&b, &f, &key, 8000); /* promised before the end is heard of, answered after */
    fixture_settle(&f);
    assert_int_equal(b.answers, 0);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_int_equal(b.how, LEASE_NEW);
    client_give_back(&b);
}

static void idle_limit_retires_politely(void **state)
{
    struct client a;
    (void)state;
    client_connect(&a, &f, &key);
    struct script_stream *s = client_stream(&a);
    client_give_back(&a);
    script_advance_ms(&f.engine, 79000);
    assert_int_equal(fixture_count(&f, COUNTER_pool_idle), 1);
    script_advance_ms(&f.engine, 1010);
    assert_int_equal(fixture_count(&f, COUNTER_pool_retired_idle), 1);
    assert_int_equal(fixture_count(&f, COUNTER_pool_closing), 1);
    assert_true(s->finished);
    assert_false(s->closing);
    script_end(s);
    fixture_settle(&f);
    assert_int_equal(f.engine.alive, 0);
}

static void polite_close_is_aborted_after_the_linger(void **state)
{
    struct client a;
    (void)state;
    client_connect(&a, &f, &key);
    struct script_stream *s = client_stream(&a);
    pool_discard(f.pool, &a.conn, ENDING_DONE);
    fixture_settle(&f);
    assert_true(s->finished);
    assert_int_equal(f.engine.alive, 1);
    script_advance_ms(&f.engine, 1010);
    assert_int_equal(f.engine.alive, 0);
}

static void waiter_at_the_cap_ends_the_linger(void **state)
{
    struct client a, b, c;
    (void)state;
    client_connect(&a, &f, &key);
    client_connect(&b, &f, &key);
    pool_discard(f.pool, &a.conn, ENDING_DONE);
    fixture_settle(&f);
    assert_int_equal(fixture_count(&f, COUNTER_pool_closing), 1);
    client_ask(&c, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(fixture_count(&f, COUNTER_pool_closing), 0);
    assert_int_equal(f.engine.dialled, 3);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_int_equal(c.how, LEASE_NEW);
    client_give_back(&b);
    client_give_back(&c);
}

static void use_renews_the_idle_limit(void **state)
{
    struct client a;
    (void)state;
    client_connect(&a, &f, &key);
    for (int i = 0; i < 5; i++) {
        client_give_back(&a);
        script_advance_ms(&f.engine, 60000);
        client_ask(&a, &f, &key, 8000);
        fixture_settle(&f);
        assert_int_equal(a.how, LEASE_REUSED);
    }
    script_advance_ms(&f.engine, 100000); /* leased: no limit */
    assert_int_equal(a.closed, 0);
    client_give_back(&a);
}

static void aged_connection_is_closed_when_it_comes_back(void **state)
{
    struct client a;
    (void)state;
    client_connect(&a, &f, &key);
    script_advance_ms(&f.engine, 1800010);
    assert_int_equal(a.closed, 0);
    client_give_back(&a);
    fixture_settle(&f);
    assert_int_equal(fixture_count(&f, COUNTER_pool_retired_age), 1);
    assert_int_equal(fixture_count(&f, COUNTER_pool_idle), 0);
}

static void give_back_during_drain_closes(void **state)
{
    struct client a, b, c, d;
    (void)state;
    client_connect(&a, &f, &key);
    client_connect(&b, &f, &key);
    client_ask(&c, &f, &key, 8000);
    fixture_settle(&f);
    client_give_back(&a);
    client_connect(&d, &f, &(struct endpoint_key){.profile = &f.plain, .host = "10.0.0.9", .port = 1});
    fixture_settle(&f);
    assert_int_equal(c.answers, 1);
    client_ask(&a, &f, &key, 8000);
    pool_drain(f.pool);
    fixture_settle(&f);
    client_assert_refused(&a, ENDING_DRAINING);
    assert_false(pool_is_empty(f.pool));
    client_give_back(&b);
    client_give_back(&c);
    client_give_back(&d);
    client_ask(&a, &f, &key, 8000);
    fixture_settle(&f);
    client_assert_refused(&a, ENDING_DRAINING);
    assert_int_equal(fixture_count(&f, COUNTER_pool_idle), 0);
    script_advance_ms(&f.engine, 1010);
    assert_true(pool_is_empty(f.pool));
}

static void drain_gives_up_dials_and_idle_connections(void **state)
{
    struct client a, b;
    (void)state;
    client_connect(&a, &f, &key);
    client_ask(&b, &f, &key, 8000);
    fixture_settle(&f);
    client_give_back(&a); /* serves b; b's dial goes on */
    fixture_settle(&f);
    client_give_back(&b);
    fixture_settle(&f);
    pool_drain(f.pool);
    script_advance_ms(&f.engine, 1010);
    assert_true(pool_is_empty(f.pool));
    assert_int_equal(f.engine.alive, 0);
}

static void lost_connection_is_freed_and_its_place_used(void **state)
{
    struct client a, b, c;
    (void)state;
    client_connect(&a, &f, &key);
    client_connect(&b, &f, &key);
    client_ask(&c, &f, &key, 8000);
    fixture_settle(&f);
    script_close(client_stream(&a), ENDING_PEER_RESET);
    fixture_settle(&f);
    assert_int_equal(a.closed, 1);
    pool_lost(f.pool, &a.conn, a.closed_with);
    assert_null(a.conn);
    fixture_settle(&f);
    assert_int_equal(f.engine.dialled, 3);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_int_equal(c.how, LEASE_NEW);
    pool_discard(f.pool, &b.conn, ENDING_BAD_RESPONSE);
    pool_discard(f.pool, &c.conn, ENDING_CANCELLED);
    fixture_settle(&f);
    assert_int_equal(f.engine.alive, 0);
}

static void credit_is_kept_over_leases(void **state)
{
    struct client a;
    (void)state;
    client_connect(&a, &f, &key);
    assert_int_equal(conn_credit(a.conn), 1);
    stream_grant(conn_stream(a.conn), 4095);
    struct script_stream *s = client_stream(&a);
    conn_set_credit(a.conn, 4096);
    client_give_back(&a);
    client_connect(&a, &f, &key);
    assert_int_equal(conn_credit(a.conn), 4096);
    assert_int_equal(s->credit, 4096);
    s->credit = 0;
    conn_set_credit(a.conn, 0);
    client_give_back(&a);
    assert_int_equal(s->credit, 1); /* watched */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(idle_connection_with_bytes_is_retired),
        T(idle_connection_that_ends_is_retired),
        T(promise_that_breaks_is_kept_with_another_connection),
        T(idle_limit_retires_politely),
        T(polite_close_is_aborted_after_the_linger),
        T(waiter_at_the_cap_ends_the_linger),
        T(use_renews_the_idle_limit),
        T(aged_connection_is_closed_when_it_comes_back),
        T(give_back_during_drain_closes),
        T(drain_gives_up_dials_and_idle_connections),
        T(lost_connection_is_freed_and_its_place_used),
        T(credit_is_kept_over_leases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
