/* test/unit/test_pool_endpoint.c — endpoints: identity, bounds, generations, the breaker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "pool/endpoint.h"
#include "pool/pool_priv.h"
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

static void dial_fails(struct client *c, enum ending ending)
{
    client_ask(c, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(c->answers, 0);
    script_close(script_dialling(&f.engine), ending);
    fixture_settle(&f);
    assert_int_equal(c->answers, 1);
}

/* -- identity -----------------------------------------------------------------------------------------------
 */

static void keys_differ_in_every_field(void **state)
{
    struct pool_profile other_profile = {.id = 7}, other_generation = {.id = 1, .generation = 3},
                        same = {.id = 1};
    struct endpoint_key k[7];
    (void)state;
    for (int i = 0; i < 7; i++)
        k[i] = key;
    k[1].profile = &other_profile;
    k[2].profile = &other_generation;
    k[3].port = 10255;
    snprintf(k[4].host, sizeof(k[4].host), "10.0.0.11");
    snprintf(k[5].node_name, sizeof(k[5].node_name), "a");
    k[6].profile = &same;
    for (int i = 1; i < 6; i++)
        assert_false(endpoint_key_equal(&k[0], &k[i]));
    assert_true(endpoint_key_equal(&k[0], &k[6]));
    assert_true(endpoint_key_hash(&k[0]) == endpoint_key_hash(&k[6]));
    assert_true(endpoint_key_hash(&k[0]) ==
                endpoint_key_hash(&k[2])); /* a reload moves nothing to another worker */
    for (int i = 3; i < 6; i++)
        assert_true(endpoint_key_hash(&k[0]) != endpoint_key_hash(&k[i]));
}

static void different_generation_never_shares(void **state)
{
    struct endpoint_key old = fixture_key(&f.tls, "10.0.0.1"), new = fixture_key(&f.tls_next, "10.0.0.1");
    struct client a, b;
    (void)state;
    client_ask(&a, &f, &old, 8000);
    fixture_settle(&f);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    script_open_tls(script_last(&f.engine), false, "TLSv1.3");
    fixture_settle(&f);
    script_ticket(script_last(&f.engine), "old");
    struct script_stream *first = script_last(&f.engine);
    client_give_back(&a);
    client_ask(&b, &f, &new, 8000);
    fixture_settle(&f);
    assert_int_equal(b.answers, 0);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_int_equal(script_last(&f.engine)->ticket_len, 0);
    script_open_tls(script_last(&f.engine), false, "TLSv1.3");
    fixture_settle(&f);
    assert_int_equal(b.how, LEASE_NEW);
    assert_ptr_not_equal(client_stream(&b), first);
    client_give_back(&b);
}

static void retired_generation_loses_tickets_and_idle_connections(void **state)
{
    struct endpoint_key old = fixture_key(&f.tls, "10.0.0.1"), new = fixture_key(&f.tls_next, "10.0.0.1");
    struct client c[3];
    (void)state;
    for (int i = 0; i < 2; i++) {
        client_ask(&c[i], &f, &old, 8000);
        fixture_settle(&f);
        script_open(script_dialling(&f.engine));
        fixture_settle(&f);
        script_open_tls(script_last(&f.engine), false, "TLSv1.3");
        fixture_settle(&f);
    }
    struct script_stream *leased = client_stream(&c[1]);
    script_ticket(leased, "old");
    client_give_back(&c[0]);
    pool_retire_generation(f.pool, f.tls.id, 2);
    fixture_settle(&f);
    assert_int_equal(fixture_count(&f, COUNTER_tickets), 0);
    assert_int_equal(fixture_count(&f, COUNTER_pool_idle), 0);
    assert_int_equal(fixture_count(&f, COUNTER_pool_leased), 1); /* goes on undisturbed */
    assert_true(pool_uses_generation(f.pool, f.tls.id, 1));
    script_ticket(leased, "late");
    assert_int_equal(fixture_count(&f, COUNTER_tickets), 0);
    client_give_back(&c[1]);
    script_advance_ms(&f.engine, 1010);
    fixture_settle(&f);
    assert_false(pool_uses_generation(f.pool, f.tls.id, 1));
    assert_int_equal(fixture_count(&f, COUNTER_pool_endpoints), 0);

    client_ask(&c[2], &f, &old, 8000); /* a request that was on its way: served, but nothing is kept */
    fixture_settle(&f);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    script_open_tls(script_last(&f.engine), false, "TLSv1.3");
    fixture_settle(&f);
    client_give_back(&c[2]);
    script_advance_ms(&f.engine, 1010);
    fixture_settle(&f);
    assert_false(pool_uses_generation(f.pool, f.tls.id, 1));
    client_ask(&c[2], &f, &new, 8000);
    fixture_settle(&f);
    assert_true(pool_uses_generation(f.pool, f.tls.id, 2));
    pool_cancel(f.pool, &c[2].lease);
}

/* -- bounds -------------------------------------------------------------------------------------------------
 */

static void endpoint_table_is_bounded(void **state)
{
    struct client c[9];
    char host[32];
    (void)state;
    for (int i = 0; i < 9; i++) {
        snprintf(host, sizeof(host), "10.0.1.%d", i);
        struct endpoint_key k = fixture_key(&f.plain, host);
        client_ask(&c[i], &f, &k, 8000);
        fixture_settle(&f);
        if (i < 8) {
            script_open(script_dialling(&f.engine));
            fixture_settle(&f);
            assert_non_null(c[i].conn);
        }
    }
    client_assert_refused(&c[8], ENDING_LIMIT);
    assert_int_equal(fixture_count(&f, COUNTER_pool_endpoints), 8);
    /* Two without connections: the one unused for longer goes. */
    pool_discard(f.pool, &c[5].conn, ENDING_CANCELLED);
    fixture_settle(&f);
    pool_discard(f.pool, &c[3].conn, ENDING_CANCELLED);
    fixture_settle(&f);
    struct endpoint_key k = fixture_key(&f.plain, "10.0.1.8");
    client_connect(&c[8], &f, &k);
    assert_int_equal(fixture_count(&f, COUNTER_pool_endpoints), 8);
    bool found3 = false, found5 = false;
    for (struct list *n = f.pool->endpoints.all.next; n != &f.pool->endpoints.all; n = n->next) {
        const char *known = list_entry(n, struct endpoint, all_node)->key.host;
        found3 |= strcmp(known, "10.0.1.3") == 0;
        found5 |= strcmp(known, "10.0.1.5") == 0;
    }
    assert_true(found3);
    assert_false(found5);
    for (int i = 0; i < 9; i++)
        if (c[i].conn)
            client_give_back(&c[i]);
}

static void evicted_endpoint_takes_its_tickets_along(void **state)
{
    struct endpoint_key tls_key = fixture_key(&f.tls, "10.0.0.1");
    struct client c[9];
    char host[32];
    (void)state;
    client_ask(&c[8], &f, &tls_key, 8000);
    fixture_settle(&f);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    script_open_tls(script_last(&f.engine), false, "TLSv1.3");
    fixture_settle(&f);
    script_ticket(script_last(&f.engine), "ticket");
    pool_discard(f.pool, &c[8].conn, ENDING_CANCELLED);
    fixture_settle(&f);
    assert_int_equal(fixture_count(&f, COUNTER_tickets), 1);
    for (int i = 0; i < 8; i++) {
        snprintf(host, sizeof(host), "10.0.1.%d", i);
        struct endpoint_key k = fixture_key(&f.plain, host);
        client_connect(&c[i], &f, &k);
    }
    assert_int_equal(fixture_count(&f, COUNTER_tickets), 0);
    for (int i = 0; i < 8; i++)
        client_give_back(&c[i]);
}

static void age_jitter_spreads_within_its_percentage(void **state)
{
    struct pool_options options = fixture_options();
    uint64_t low = UINT64_MAX, high = 0, age_ns = 1800000ull * 1000000u;
    (void)state;
    fixture_stop(&f);
    options.limits.age_jitter_percent = 10;
    fixture_start(&f, &options);
    key = fixture_key(&f.plain, "10.0.0.1");
    for (int i = 0; i < 200; i++) {
        struct client c;
        uint64_t age = client_connect(&c, &f, &key)->age_until_ns - f.engine.now_ns;
        low = age < low ? age : low;
        high = age > high ? age : high;
        pool_discard(f.pool, &c.conn, ENDING_CANCELLED);
        fixture_settle(&f);
    }
    assert_true(low >= age_ns / 10 * 9 && low < age_ns / 100 * 93);
    assert_true(high <= age_ns / 10 * 11 && high > age_ns / 100 * 107);
}

/* -- health -------------------------------------------------------------------------------------------------
 */

static void breaker_opens_after_failures_and_half_opens_with_one_probe(void **state)
{
    struct client a, b;
    (void)state;
    for (int i = 0; i < 3; i++) {
        dial_fails(&a, ENDING_REFUSED);
        client_assert_refused(&a, ENDING_REFUSED);
    }
    assert_string_equal(a.detail, "10.0.0.1:10250: connection refused by the destination");
    assert_int_equal(fixture_count(&f, COUNTER_breakers_open), 1);
    unsigned dialled = f.engine.dialled;
    client_ask(&a, &f, &key, 8000);
    fixture_settle(&f);
    client_assert_refused(&a, ENDING_BREAKER_OPEN);
    assert_string_equal(a.detail, "last failure: 10.0.0.1:10250: connection refused by the destination");
    assert_int_equal(f.engine.dialled, dialled);

    script_advance_ms(&f.engine, 1510); /* three times the minimum is the longest first pause */
    client_ask(&a, &f, &key, 8000);
    fixture_settle(&f);
    client_ask(&b, &f, &key, 8000);
    fixture_settle(&f);
    assert_int_equal(f.engine.dialled, dialled + 1);
    client_assert_refused(&b, ENDING_BREAKER_OPEN);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_non_null(a.conn);
    assert_int_equal(fixture_count(&f, COUNTER_breakers_open), 0);
    client_give_back(&a);
}

static void failed_probe_opens_for_longer_within_bounds(void **state)
{
    struct client a;
    struct health *h = NULL;
    (void)state;
    for (int i = 0; i < 3; i++)
        dial_fails(&a, ENDING_CONNECT_TIMEOUT);
    h = &list_entry(f.pool->endpoints.all.next, struct endpoint, all_node)->health;
    uint32_t most = 0;
    for (int i = 0; i < 20; i++) {
        assert_in_range(h->backoff_ms, 500, 30000);
        most = h->backoff_ms > most ? h->backoff_ms : most;
        script_advance_ms(&f.engine, h->backoff_ms + 1);
        dial_fails(&a, ENDING_CONNECT_TIMEOUT);
        assert_int_equal(h->breaker, BREAKER_OPEN);
    }
    assert_true(most > 5000);
    assert_int_equal(fixture_count(&f, COUNTER_breakers_opened), 21);
}

static void undecided_probe_leaves_the_next_lease_a_probe(void **state)
{
    struct client a;
    (void)state;
    for (int i = 0; i < 3; i++)
        dial_fails(&a, ENDING_REFUSED);
    script_advance_ms(&f.engine, 1510);
    f.engine.refuse_dials = true;
    client_ask(&a, &f, &key, 8000);
    fixture_settle(&f);
    client_assert_refused(&a, ENDING_LIMIT);
    f.engine.refuse_dials = false;
    client_connect(&a, &f, &key);
    client_give_back(&a);
}

static void breaker_refuses_those_who_wait(void **state)
{
    struct client a, b[3];
    (void)state;
    dial_fails(&a, ENDING_REFUSED);
    dial_fails(&a, ENDING_REFUSED);
    for (int i = 0; i < 3; i++)
        client_ask(&b[i], &f, &key, 8000);
    fixture_settle(&f);
    script_close(script_dialling(&f.engine), ENDING_UNREACHABLE);
    fixture_settle(&f);
    client_assert_refused(&b[0], ENDING_UNREACHABLE);
    client_assert_refused(&b[1], ENDING_BREAKER_OPEN);
    client_assert_refused(&b[2], ENDING_BREAKER_OPEN);
    script_open(
        script_dialling(&f.engine)); /* the other dial that was under way: good news closes the breaker */
    fixture_settle(&f);
    assert_int_equal(fixture_count(&f, COUNTER_breakers_open), 0);
}

static void idle_connections_are_lent_while_the_breaker_is_open(void **state)
{
    struct client a, b;
    (void)state;
    client_connect(&a, &f, &key);
    for (int i = 0; i < 3; i++)
        dial_fails(&b, ENDING_REFUSED);
    client_give_back(&a);
    client_connect(&a, &f, &key);
    assert_int_equal(a.how, LEASE_REUSED);
    client_give_back(&a);
}

static void own_limits_never_open_a_breaker(void **state)
{
    struct client a;
    (void)state;
    f.engine.refuse_dials = true;
    for (int i = 0; i < 10; i++) {
        client_ask(&a, &f, &key, 8000);
        fixture_settle(&f);
        client_assert_refused(&a, ENDING_LIMIT);
    }
    f.engine.refuse_dials = false;
    for (int i = 0; i < 10; i++) {
        client_connect(&a, &f, &key);
        pool_discard(f.pool, &a.conn, ENDING_DEADLINE); /* a slow answer is a fact about a request */
        fixture_settle(&f);
    }
    assert_int_equal(fixture_count(&f, COUNTER_breakers_opened), 0);
}

static void failed_dials_are_logged_once_a_second_and_counted(void **state)
{
    struct pool_options options = fixture_options();
    struct log_options log = {.fd = memfd_create("log", 0), .level = LOG_WARN};
    static char text[8192];
    struct client a;
    (void)state;
    fixture_stop(&f);
    options.limits.breaker_failures = 0;
    fixture_start(&f, &options);
    key = fixture_key(&f.plain, "10.0.0.1");
    log_configure(&log);
    for (int i = 0; i < 4; i++)
        dial_fails(&a, ENDING_REFUSED);
    script_advance_ms(&f.engine, 1010);
    dial_fails(&a, ENDING_REFUSED);
    assert_true(pread(log.fd, text, sizeof(text) - 1, 0) > 0);
    char *first = strstr(text, "event=dial_failed"),
         *second = first ? strstr(first + 1, "event=dial_failed") : NULL;
    assert_non_null(second);
    assert_null(strstr(second + 1, "event=dial_failed"));
    assert_non_null(strstr(first, "peer=10.0.0.1 port=10250 state=dialling reason=refused"));
    assert_non_null(strstr(first, "suppressed=0"));
    assert_non_null(strstr(second, "suppressed=3"));
    close(log.fd);
    log_configure(&(struct log_options){.fd = -1, .level = LOG_ERROR});
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(keys_differ_in_every_field),
        T(different_generation_never_shares),
        T(retired_generation_loses_tickets_and_idle_connections),
        T(endpoint_table_is_bounded),
        T(evicted_endpoint_takes_its_tickets_along),
        T(age_jitter_spreads_within_its_percentage),
        T(breaker_opens_after_failures_and_half_opens_with_one_probe),
        T(failed_probe_opens_for_longer_within_bounds),
        T(undecided_probe_leaves_the_next_lease_a_probe),
        T(breaker_refuses_those_who_wait),
        T(idle_connections_are_lent_while_the_breaker_is_open),
        T(own_limits_never_open_a_breaker),
        T(failed_dials_are_logged_once_a_second_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
