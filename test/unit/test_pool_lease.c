/* test/unit/test_pool_lease.c — leases: who gets which connection, who waits, who is refused. What becomes of
 * connections between leases: test_pool_lease_idle.c. */
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

static void first_lease_dials_and_says_new(void **state)
{
    struct client a;
    (void)state;
    client_ask(&a, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(f.engine.dialled, 1);
    assert_int_equal(a.answers, 0);
    f.engine.now_ns += 7000000;
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_non_null(a.conn);
    assert_int_equal(a.how, LEASE_NEW);
    assert_false(conn_was_reused(a.conn));
    assert_string_equal(conn_address_text(a.conn), "10.0.0.1:10250");
    assert_int_equal(a.lease.dial_ns, 7000000);
    assert_int_equal(a.lease.queue_ns, 0);
    assert_null(a.lease.endpoint);
    assert_int_equal(fixture_count(&f, COUNTER_lease_dialled), 1);
    assert_int_equal(fixture_count(&f, COUNTER_dials), 1);
    client_give_back(&a);
}

static void lease_reuses_newest_idle(void **state)
{
    struct client a, b, c;
    (void)state;
    client_connect(&a, &f, &key);
    struct conn *newest = client_connect(&b, &f, &key);
    client_give_back(&a);
    client_give_back(&b);
    client_ask(&c, &f, &key, 8000);
    fixture_settle(&f);
    assert_ptr_equal(c.conn, newest);
    assert_int_equal(c.how, LEASE_REUSED);
    assert_true(conn_was_reused(c.conn));
    assert_int_equal(f.engine.dialled, 2);
    assert_int_equal(fixture_count(&f, COUNTER_lease_hit), 1);
    client_give_back(&c);
}

static void lease_waits_at_cap(void **state)
{
    struct client a, b, c;
    (void)state;
    struct conn *first = client_connect(&a, &f, &key);
    client_connect(&b, &f, &key);
    client_ask(&c, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(c.answers, 0);
    assert_int_equal(f.engine.dialled, 2);
    assert_int_equal(fixture_count(&f, COUNTER_pool_waiters), 1);
    assert_int_equal(fixture_count(&f, COUNTER_lease_waited), 1);
    script_advance_ms(&f.engine, 1500);
    client_give_back(&a);
    fixture_settle(&f);
    assert_ptr_equal(c.conn, first);
    assert_int_equal(c.lease.queue_ns, 1500000000);
    client_give_back(&b);
    client_give_back(&c);
}

static void waiters_are_served_in_order(void **state)
{
    struct client a, b, c, d;
    (void)state;
    client_connect(&a, &f, &key);
    client_connect(&b, &f, &key);
    client_ask(&c, &f, &key, 8000);
    client_ask(&d, &f, &key, 8000);
    fixture_settle(&f);
    client_give_back(&b);
    fixture_settle(&f);
    assert_int_equal(c.answers, 1);
    assert_int_equal(d.answers, 0);
    client_give_back(&c);
    fixture_settle(&f);
    assert_int_equal(d.answers, 1);
    client_give_back(&a);
    client_give_back(&d);
}

static void waiter_times_out_at_deadline(void **state)
{
    struct client a, b, c, d;
    (void)state;
    client_connect(&a, &f, &key);
    client_connect(&b, &f, &key);
    client_ask(&c, &f, &key, 1000); /* its own deadline is nearer than wait_ms */
    client_ask(&d, &f, &key, 8000); /* wait_ms is 2000 */
    script_advance_ms(&f.engine, 990);
    assert_int_equal(c.answers, 0);
    script_advance_ms(&f.engine, 20);
    client_assert_refused(&c, ENDING_QUEUE_TIMEOUT);
    assert_int_equal(d.answers, 0);
    script_advance_ms(&f.engine, 1010);
    client_assert_refused(&d, ENDING_QUEUE_TIMEOUT);
    pool_check(f.pool);
    client_give_back(&a);
    client_give_back(&b);
}

static void lease_with_a_dial_of_its_own_waits_beyond_the_queue_limit(void **state)
{
    struct client a;
    (void)state;
    client_ask(&a, &f, &key, 8000);
    fixture_settle(&f);
    script_advance_ms(&f.engine, 2500);
    assert_int_equal(a.answers, 0);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_non_null(a.conn);
    client_give_back(&a);
}

static void deadline_during_a_dial_names_the_dial(void **state)
{
    struct client a;
    (void)state;
    client_ask(&a, &f, &key, 1000);
    fixture_settle(&f);
    script_advance_ms(&f.engine, 1010);
    client_assert_refused(&a, ENDING_CONNECT_TIMEOUT);
}

static void queue_full_fails_at_once(void **state)
{
    struct client c[7];
    (void)state;
    client_connect(&c[0], &f, &key);
    client_connect(&c[1], &f, &key);
    for (int i = 2; i < 7; i++)
        client_ask(&c[i], &f, &key, 8000);
    fixture_settle(&f);
    for (int i = 2; i < 6; i++)
        assert_int_equal(c[i].answers, 0);
    client_assert_refused(&c[6], ENDING_QUEUE_FULL);
    for (int i = 2; i < 6; i++)
        pool_cancel(f.pool, &c[i].lease);
    client_give_back(&c[0]);
    client_give_back(&c[1]);
}

static void cancelled_waiter_is_forgotten(void **state)
{
    struct client a, b, c;
    (void)state;
    client_connect(&a, &f, &key);
    client_connect(&b, &f, &key);
    client_ask(&c, &f, &key, 8000);
    fixture_settle(&f);
    pool_cancel(f.pool, &c.lease);
    assert_null(c.lease.endpoint);
    client_give_back(&a);
    client_give_back(&b);
    fixture_settle(&f);
    script_advance_ms(&f.engine, 10000);
    assert_int_equal(c.answers, 0);
    assert_int_equal(fixture_count(&f, COUNTER_pool_idle), 2);
    pool_cancel(f.pool, &c.lease); /* harmless */
}

static void lease_cancelled_between_promise_and_answer_gives_the_connection_back(void **state)
{
    struct client a, b;
    (void)state;
    client_connect(&a, &f, &key);
    client_give_back(&a);
    client_ask(&b, &f, &key, 8000);
    pool_cancel(f.pool, &b.lease);
    fixture_settle(&f);
    assert_int_equal(b.answers, 0);
    assert_int_equal(fixture_count(&f, COUNTER_pool_idle), 1);
}

static void cancelled_dial_feeds_the_pool(void **state)
{
    struct client a, b;
    (void)state;
    client_ask(&a, &f, &key, 8000);
    fixture_settle(&f);
    pool_cancel(f.pool, &a.lease);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_int_equal(a.answers, 0);
    assert_int_equal(fixture_count(&f, COUNTER_pool_idle), 1);
    client_connect(&b, &f, &key);
    assert_int_equal(b.how, LEASE_REUSED);
    assert_int_equal(f.engine.dialled, 1);
    client_give_back(&b);
}

static void dials_no_more_than_waiters_need(void **state)
{
    struct client a, b;
    (void)state;
    client_ask(&a, &f, &key, 8000);
    fixture_settle(&f);
    pool_cancel(f.pool, &a.lease); /* its dial goes on */
    client_ask(&b, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(f.engine.dialled, 1);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_int_equal(b.how, LEASE_NEW);
    client_give_back(&b);
}

static void dials_of_a_worker_are_capped_and_shared_out(void **state)
{
    struct client c[6];
    struct endpoint_key other = fixture_key(&f.plain, "10.0.0.2"), third = fixture_key(&f.plain, "10.0.0.3");
    (void)state;
    client_ask(&c[0], &f, &key, 8000);
    client_ask(&c[1], &f, &key, 8000);
    client_ask(&c[2], &f, &other, 8000);
    client_ask(&c[3], &f, &other, 8000);
    client_ask(&c[4], &f, &third, 8000);
    fixture_settle(&f);
    assert_int_equal(f.engine.dialled, 3); /* one for each endpoint */
    for (int i = 0; i < 5; i++) {
        script_open(script_dialling(&f.engine));
        fixture_settle(&f);
    }
    assert_int_equal(f.engine.dialled, 5);
    for (int i = 0; i < 5; i++) {
        assert_non_null(c[i].conn);
        client_give_back(&c[i]);
    }
}

static void fresh_lease_passes_by_idle_ones_and_makes_room_at_the_cap(void **state)
{
    struct client a, b, c;
    (void)state;
    struct conn *oldest = client_connect(&a, &f, &key);
    client_connect(&b, &f, &key);
    uint64_t oldest_id = conn_id(oldest);
    client_give_back(&a);
    client_give_back(&b);
    client_ask_fresh(&c, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(f.engine.dialled, 3);
    assert_int_equal(fixture_count(&f, COUNTER_pool_idle), 1);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_int_equal(c.how, LEASE_NEW);
    assert_true(conn_id(c.conn) > oldest_id);
    client_give_back(&c);
}

static bool count_endpoint(const struct endpoint_status *status, void *arg)
{
    unsigned *count = arg;
    assert_string_equal(status->key->host, *count == 0 ? "10.0.0.1" : "10.0.0.2");
    ++*count;
    return true;
}

static void endpoints_are_listed_in_order(void **state)
{
    struct client a, b;
    struct endpoint_key other = fixture_key(&f.plain, "10.0.0.2");
    unsigned count = 0;
    (void)state;
    client_connect(&a, &f, &key);
    client_connect(&b, &f, &other);
    pool_each_endpoint(f.pool, count_endpoint, &count);
    assert_int_equal(count, 2);
    client_give_back(&a);
    client_give_back(&b);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(first_lease_dials_and_says_new),
        T(lease_reuses_newest_idle),
        T(lease_waits_at_cap),
        T(waiters_are_served_in_order),
        T(waiter_times_out_at_deadline),
        T(lease_with_a_dial_of_its_own_waits_beyond_the_queue_limit),
        T(deadline_during_a_dial_names_the_dial),
        T(queue_full_fails_at_once),
        T(cancelled_waiter_is_forgotten),
        T(lease_cancelled_between_promise_and_answer_gives_the_connection_back),
        T(cancelled_dial_feeds_the_pool),
        T(dials_no_more_than_waiters_need),
        T(dials_of_a_worker_are_capped_and_shared_out),
        T(fresh_lease_passes_by_idle_ones_and_makes_room_at_the_cap),
        T(endpoints_are_listed_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
