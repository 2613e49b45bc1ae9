/* test/unit/test_pool_spares.c — connected sockets kept ready for single-use endpoints: when they are
 * dialled, who gets them, and everything that ends them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/pool_fixture.h"

static struct pool_fixture f;
static struct endpoint_key key;

static int setup(void **state)
{
    struct pool_options options = fixture_options();
    (void)state;
    options.limits.warm_spares = 2;
    options.limits.dials_in_flight_max = 6;
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

static uint64_t idle(void)
{
    return fixture_count(&f, COUNTER_pool_idle);
}

static uint64_t dialling(void)
{
    return fixture_count(&f, COUNTER_pool_dialling);
}

static void open_all(void)
{
    struct script_stream *s;
    while ((s = script_dialling(&f.engine))) {
        script_open(s);
        fixture_settle(&f);
    }
}

/* A lease that is served, and the spares that it causes. */
static void use(struct client *c)
{
    client_connect(c, &f, &key);
    open_all();
}

static void spares_are_dialled_after_a_lease_was_served_and_lent_newest_first(void **state)
{
    struct client a, b;
    (void)state;
    client_ask(&a, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(dialling(), 1); /* nothing ahead of the first lease */
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_non_null(a.conn);
    assert_int_equal(dialling(), 2);
    open_all();
    assert_int_equal(idle(), 2);
    struct script_stream *newest = script_last(&f.engine);
    client_ask_at_once(&b, &f, &key, 8000);
    fixture_settle(&f);
    assert_ptr_equal(client_stream(&b), newest);
    assert_int_equal(b.how, LEASE_REUSED);
    assert_int_equal(conn_credit(b.conn), 1);
    assert_int_equal(dialling(), 1); /* its place is taken */
    client_give_back(&a);
    client_give_back(&b);
}

static void spares_are_for_single_use_without_tls_only(void **state)
{
    struct pool_profile tls = {.id = 9, .tls = true, .single_use = true};
    struct endpoint_key plain = fixture_key(&f.plain, "10.0.0.1"), secure = fixture_key(&tls, "10.0.0.1");
    struct client a, b;
    (void)state;
    client_connect(&a, &f, &plain);
    assert_int_equal(dialling(), 0);
    client_ask(&b, &f, &secure, 8000);
    fixture_settle(&f);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    script_open_tls(script_last(&f.engine), false, "TLSv1.3");
    fixture_settle(&f);
    assert_non_null(b.conn);
    assert_int_equal(dialling(), 0);
    client_give_back(&a);
    pool_retire_generation(f.pool, 9, 1);
    client_give_back(&b);
    script_advance_ms(&f.engine, 1010);
}

static void fresh_lease_passes_by_spares(void **state)
{
    struct client a, b;
    (void)state;
    use(&a);
    client_ask_fresh(&b, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(b.answers, 0);
    open_all();
    assert_int_equal(b.how, LEASE_NEW);
    client_give_back(&a);
    client_give_back(&b);
}

static void spare_that_ends_is_dropped_and_not_replaced_before_the_next_lease(void **state)
{
    struct client a, b;
    (void)state;
    use(&a);
    script_end(script_last(&f.engine));
    fixture_settle(&f);
    assert_int_equal(idle(), 1);
    assert_int_equal(dialling(), 0);
    script_close(script_last(&f.engine), ENDING_PEER_RESET);
    fixture_settle(&f);
    assert_int_equal(idle(), 0);
    assert_int_equal(dialling(), 0);
    use(&b);
    assert_int_equal(idle(), 2);
    client_give_back(&a);
    client_give_back(&b);
}

static void destination_that_speaks_first_gets_no_spares(void **state)
{
    struct client a, b;
    (void)state;
    use(&a);
    script_data(script_last(&f.engine), "S");
    fixture_settle(&f);
    assert_int_equal(idle(), 1); /* its sibling, about to speak */
    client_give_back(&a);
    use(&b);
    assert_int_equal(b.how, LEASE_REUSED);
    assert_int_equal(idle() + dialling(), 0);
    client_give_back(&b);
    use(&b);
    assert_int_equal(b.how, LEASE_NEW);
    assert_int_equal(idle() + dialling(), 0);
    client_give_back(&b);
}

static void spare_that_speaks_as_it_is_lent_is_replaced_by_a_dial(void **state)
{
    struct client a, b;
    (void)state;
    use(&a);
    script_end(script_last(&f.engine));
    fixture_settle(&f);
    struct script_stream *spare = script_last(&f.engine);
    client_ask(&b, &f, &key, 8000);
    script_data(spare, "S"); /* after the promise, before the answer */
    fixture_settle(&f);
    assert_int_equal(b.answers, 0);
    assert_int_equal(dialling(), 1);
    open_all();
    assert_int_equal(b.how, LEASE_NEW);
    assert_int_equal(idle(), 0);
    client_give_back(&a);
    client_give_back(&b);
}

static void spares_are_retired_after_the_idle_limit(void **state)
{
    struct client a;
    (void)state;
    use(&a);
    client_give_back(&a);
    script_advance_ms(&f.engine, 79000);
    assert_int_equal(idle(), 2);
    script_advance_ms(&f.engine, 2000);
    assert_int_equal(idle(), 0);
    assert_int_equal(fixture_count(&f, COUNTER_pool_retired_idle), 2);
    script_advance_ms(&f.engine, 1010);
    assert_int_equal(f.engine.alive, 0);
}

static void dial_of_a_client_that_left_becomes_a_spare_of_an_endpoint_in_use(void **state)
{
    struct client a, b[3];
    (void)state;
    use(&a);
    client_ask(&b[0], &f, &key, 8000); /* takes one, which leaves room for one */
    client_ask(&b[1], &f, &key, 8000);
    fixture_settle(&f);
    open_all();
    script_close(script_last(&f.engine), ENDING_PEER_RESET);
    fixture_settle(&f);
    script_close(script_last(&f.engine), ENDING_PEER_RESET);
    fixture_settle(&f);
    assert_int_equal(idle(), 0);
    client_ask(&b[2], &f, &key, 8000);
    fixture_settle(&f);
    pool_cancel(f.pool, &b[2].lease);
    assert_int_equal(dialling(), 1);
    open_all();
    assert_int_equal(idle(), 1);
    script_advance_ms(&f.engine, 81000); /* not used for so long: the dial goes with its client */
    client_ask(&b[2], &f, &key, 8000);
    fixture_settle(&f);
    pool_cancel(f.pool, &b[2].lease);
    assert_int_equal(dialling(), 0);
    client_give_back(&a);
    client_give_back(&b[0]);
    client_give_back(&b[1]);
}

static void spares_take_no_more_than_half_of_the_dials(void **state)
{
    struct client c[4];
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct endpoint_key k = key;
        snprintf(k.host, sizeof(k.host), "10.0.1.%d", i);
        client_ask_at_once(&c[i], &f, &k, 8000);
        fixture_settle(&f);
        assert_int_equal(c[i].answers, 0);
        script_open(script_last(&f.engine));
        fixture_settle(&f);
        assert_non_null(c[i].conn);
        assert_true(dialling() <= 3);
    }
    assert_int_equal(dialling(), 3);
    for (int i = 0; i < 4; i++)
        client_give_back(&c[i]);
}

static void no_spare_is_dialled_while_others_wait_for_a_dial(void **state)
{
    struct client a, b[6];
    struct endpoint_key other = fixture_key(&f.single, "10.0.0.2"),
                        third = fixture_key(&f.single, "10.0.0.3");
    (void)state;
    client_ask(&a, &f, &key, 8000);
    fixture_settle(&f);
    for (int i = 0; i < 6; i++) /* one more than there are dials */
        client_ask(&b[i], &f, i % 2 ? &other : &third, 8000);
    fixture_settle(&f);
    assert_int_equal(dialling(), 6);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_non_null(a.conn);
    assert_int_equal(dialling(), 6);
    assert_int_equal(f.engine.dialled, 7); /* the sixth of the others, and no spare */
    for (int i = 0; i < 6; i++)
        pool_cancel(f.pool, &b[i].lease);
    client_give_back(&a);
}

static void no_spare_is_dialled_while_the_breaker_is_not_closed(void **state)
{
    struct client a, b;
    (void)state;
    use(&a);
    client_ask(&b, &f, &key, 8000); /* a spare; another is dialled */
    fixture_settle(&f);
    for (int i = 0; i < 3; i++) {
        struct client c;
        client_ask_fresh(&c, &f, &key, 8000);
        fixture_settle(&f);
        while (script_dialling(&f.engine)) {
            script_close(script_dialling(&f.engine), ENDING_REFUSED);
            fixture_settle(&f);
        }
        pool_cancel(f.pool, &c.lease);
    }
    assert_int_equal(fixture_count(&f, COUNTER_breakers_open), 1);
    assert_int_equal(idle(), 1);
    client_give_back(&b);
    client_ask(&b, &f, &key, 8000); /* the last spare is lent all the same */
    fixture_settle(&f);
    assert_non_null(b.conn);
    assert_int_equal(idle() + dialling(), 0);
    client_give_back(&a);
    client_give_back(&b);
}

static void drain_ends_spares_and_their_dials(void **state)
{
    struct client a, b;
    (void)state;
    use(&a);
    client_ask(&b, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(idle() + dialling(), 2);
    pool_drain(f.pool);
    fixture_settle(&f);
    assert_int_equal(idle() + dialling(), 0);
    client_give_back(&a);
    client_give_back(&b);
}

static void spares_of_a_generation_that_is_over_are_retired(void **state)
{
    struct client a;
    (void)state;
    use(&a);
    pool_retire_generation(f.pool, f.single.id, 1);
    fixture_settle(&f);
    assert_int_equal(idle(), 0);
    client_give_back(&a);
    client_connect(&a, &f, &key);
    assert_int_equal(idle() + dialling(), 0);
    client_give_back(&a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(spares_are_dialled_after_a_lease_was_served_and_lent_newest_first),
        T(spares_are_for_single_use_without_tls_only),
        T(fresh_lease_passes_by_spares),
        T(spare_that_ends_is_dropped_and_not_replaced_before_the_next_lease),
        T(destination_that_speaks_first_gets_no_spares),
        T(spare_that_speaks_as_it_is_lent_is_replaced_by_a_dial),
        T(spares_are_retired_after_the_idle_limit),
        T(dial_of_a_client_that_left_becomes_a_spare_of_an_endpoint_in_use),
        T(spares_take_no_more_than_half_of_the_dials),
        T(no_spare_is_dialled_while_others_wait_for_a_dial),
        T(no_spare_is_dialled_while_the_breaker_is_not_closed),
        T(drain_ends_spares_and_their_dials),
        T(spares_of_a_generation_that_is_over_are_retired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
