/* test/unit/test_pool_single_use.c — connections that carry one lease and no other: no cap by endpoint, an
 * answer at once where dials are short, and no dial that nobody waits for. */
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
    key = fixture_key(&f.single, "10.0.0.1");
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

static void connection_given_back_is_closed_and_never_lent_again(void **state)
{
    struct client a, b;
    (void)state;
    client_connect(&a, &f, &key);
    struct script_stream *s = client_stream(&a);
    client_give_back(&a);
    assert_true(s->finished);
    script_end(s);
    client_ask(&b, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(b.answers, 0);
    assert_int_equal(f.engine.dialled, 2);
    assert_int_equal(f.engine.alive, 1);
    pool_cancel(f.pool, &b.lease);
}

static void connections_are_not_counted_against_the_cap_of_an_endpoint(void **state)
{
    struct client c[12];
    (void)state;
    for (int i = 0; i < 12; i++) { /* the cap is 2 */
        client_connect(&c[i], &f, &key);
        assert_int_equal(c[i].how, LEASE_NEW);
    }
    assert_int_equal(fixture_count(&f, COUNTER_pool_leased), 12);
    assert_int_equal(fixture_count(&f, COUNTER_lease_waited), 0);
    for (int i = 0; i < 12; i++)
        client_give_back(&c[i]);
}

static void peer_that_speaks_first_finds_its_lessee(void **state)
{
    struct client a;
    (void)state;
    client_connect(&a, &f, &key);
    assert_int_equal(conn_credit(a.conn), 0);
    assert_int_equal(client_stream(&a)->credit, 0);
    client_give_back(&a);
}

static void lease_at_once_is_refused_when_all_dials_are_taken(void **state)
{
    struct client a[4], b;
    struct endpoint_key other = fixture_key(&f.single, "10.0.0.2");
    (void)state;
    for (int i = 0; i < 4; i++) /* three dials may be under way; all in one turn */
        client_ask_at_once(&a[i], &f, i % 2 ? &other : &key, 8000);
    fixture_settle(&f);
    assert_int_equal(f.engine.dialled, 3);
    assert_refused(&a[3], ENDING_LIMIT);
    assert_string_equal(a[3].detail, "3 connections are being made, as many as may be at a time");
    client_ask(&b, &f, &key, 8000); /* who does not mind waits */
    fixture_settle(&f);
    assert_int_equal(b.answers, 0);
    for (int i = 0; i < 3; i++) {
        script_open(script_dialling(&f.engine));
        fixture_settle(&f);
        assert_non_null(a[i].conn);
        client_give_back(&a[i]);
    }
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_non_null(b.conn);
    client_give_back(&b);
}

static void lease_at_once_does_not_overtake_who_waits_for_a_dial(void **state)
{
    struct client a[3], b, c;
    (void)state;
    struct endpoint_key plain = fixture_key(&f.plain, "10.0.0.9");
    for (int i = 0; i < 3; i++)
        client_ask_at_once(&a[i], &f, &key, 8000);
    client_ask(&b, &f, &plain, 8000);
    fixture_settle(&f);
    pool_cancel(f.pool, &a[0].lease); /* a place becomes free, and b was first */
    client_ask_at_once(&c, &f, &key, 8000);
    fixture_settle(&f);
    assert_refused(&c, ENDING_LIMIT);
    for (int i = 0; i < 3; i++) {
        script_open(script_dialling(&f.engine));
        fixture_settle(&f);
    }
    assert_non_null(a[1].conn);
    assert_non_null(a[2].conn);
    assert_non_null(b.conn);
    client_give_back(&a[1]);
    client_give_back(&a[2]);
    client_give_back(&b);
}

static void cancelled_lease_takes_its_dial_along(void **state)
{
    struct client a, b;
    (void)state;
    client_ask_at_once(&a, &f, &key, 8000);
    client_ask_at_once(&b, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(f.engine.dialled, 2);
    pool_cancel(f.pool, &b.lease);
    assert_int_equal(fixture_count(&f, COUNTER_pool_dialling), 1);
    fixture_settle(&f);
    assert_int_equal(f.engine.alive, 1);
    pool_cancel(f.pool, &a.lease);
    fixture_settle(&f);
    assert_int_equal(f.engine.alive, 0);
    assert_int_equal(fixture_count(&f, COUNTER_dials_failed), 0);
    assert_int_equal(a.answers + b.answers, 0);
}

static void cancelled_lease_takes_its_handshake_along(void **state)
{
    struct pool_profile tls = {.id = 9, .tls = true, .single_use = true};
    struct endpoint_key secure = fixture_key(&tls, "10.0.0.1");
    struct client a;
    (void)state;
    client_ask_at_once(&a, &f, &secure, 8000);
    fixture_settle(&f);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    pool_cancel(f.pool, &a.lease);
    fixture_settle(&f);
    assert_int_equal(f.engine.alive, 0);
    assert_int_equal(fixture_count(&f, COUNTER_tls_failed), 0);
    pool_retire_generation(f.pool, 9, 1); /* the profile is this function's */
}

static void dial_beyond_the_deadline_of_its_lease_is_given_up(void **state)
{
    struct client a;
    (void)state;
    client_ask_at_once(&a, &f, &key, 1000);
    fixture_settle(&f);
    script_advance_ms(&f.engine, 1010);
    assert_refused(&a, ENDING_CONNECT_TIMEOUT);
    assert_int_equal(fixture_count(&f, COUNTER_pool_dialling), 0);
    assert_int_equal(f.engine.alive, 0);
}

static struct client *victim;

static void cancel_victim(struct lease *l, struct conn *conn, enum lease_how how)
{
    struct client *c = l->owner;
    (void)how;
    c->conn = conn;
    pool_cancel(f.pool, &victim->lease);
}

static void lease_cancelled_between_promise_and_answer_closes_the_connection(void **state)
{
    struct client a, b;
    (void)state;
    client_ask_at_once(&a, &f, &key, 8000);
    client_ask_at_once(&b, &f, &key, 8000);
    a.lease.granted = cancel_victim;
    victim = &b;
    fixture_settle(&f);
    struct script_stream *first = script_dialling(&f.engine);
    script_open(first);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_non_null(a.conn);
    assert_int_equal(b.answers, 0);
    assert_false(first->finished);
    assert_true(script_last(&f.engine)->finished);
    pool_discard(f.pool, &a.conn, ENDING_CANCELLED);
}

static void breaker_opens_and_one_lease_probes(void **state)
{
    struct client a, b;
    (void)state;
    for (int i = 0; i < 3; i++) {
        client_ask_at_once(&a, &f, &key, 8000);
        fixture_settle(&f);
        script_close(script_dialling(&f.engine), ENDING_REFUSED);
        fixture_settle(&f);
        assert_refused(&a, ENDING_REFUSED);
    }
    client_ask_at_once(&a, &f, &key, 8000);
    fixture_settle(&f);
    assert_refused(&a, ENDING_BREAKER_OPEN);
    script_advance_ms(&f.engine, 1510);
    client_ask_at_once(&a, &f, &key, 8000);
    client_ask_at_once(&b, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(a.answers, 0);
    assert_refused(&b, ENDING_BREAKER_OPEN);
    pool_cancel(f.pool, &a.lease); /* the client of the probe goes: nothing is decided */
    client_ask_at_once(&b, &f, &key, 8000);
    fixture_settle(&f);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_non_null(b.conn);
    assert_int_equal(fixture_count(&f, COUNTER_breakers_open), 0);
    client_give_back(&b);
}

static void drain_gives_up_dials_and_leaves_leased_ones_alone(void **state)
{
    struct client a, b;
    (void)state;
    client_connect(&a, &f, &key);
    client_ask_at_once(&b, &f, &key, 8000);
    fixture_settle(&f);
    pool_drain(f.pool);
    fixture_settle(&f);
    assert_refused(&b, ENDING_DRAINING);
    assert_int_equal(fixture_count(&f, COUNTER_pool_leased), 1);
    client_give_back(&a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(connection_given_back_is_closed_and_never_lent_again),
        T(connections_are_not_counted_against_the_cap_of_an_endpoint),
        T(peer_that_speaks_first_finds_its_lessee),
        T(lease_at_once_is_refused_when_all_dials_are_taken),
        T(lease_at_once_does_not_overtake_who_waits_for_a_dial),
        T(cancelled_lease_takes_its_dial_along),
        T(cancelled_lease_takes_its_handshake_along),
        T(dial_beyond_the_deadline_of_its_lease_is_given_up),
        T(lease_cancelled_between_promise_and_answer_closes_the_connection),
        T(breaker_opens_and_one_lease_probes),
        T(drain_gives_up_dials_and_leaves_leased_ones_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
