/* test/unit/test_pool_lease.c — leases: who gets which connection, who waits, who is refused; and what
 * becomes of idle connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

static void assert_refused(const struct client *c, enum ending ending)
{
    assert_int_equal(c->answers, 1);
    assert_null(c->conn);
    assert_string_equal(ending_name(c->ending), ending_name(ending));
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
    assert_refused(&c, ENDING_QUEUE_TIMEOUT);
    assert_int_equal(d.answers, 0);
    script_advance_ms(&f.engine, 1010);
    assert_refused(&d, ENDING_QUEUE_TIMEOUT);
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
    assert_refused(&a, ENDING_CONNECT_TIMEOUT);
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
    assert_refused(&c[6], ENDING_QUEUE_FULL);
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
    assert_refused(&a, ENDING_DRAINING);
    assert_false(pool_is_empty(f.pool));
    client_give_back(&b);
    client_give_back(&c);
    client_give_back(&d);
    client_ask(&a, &f, &key, 8000);
    fixture_settle(&f);
    assert_refused(&a, ENDING_DRAINING);
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
        T(endpoints_are_listed_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
