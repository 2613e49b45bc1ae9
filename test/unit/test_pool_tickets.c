/* test/unit/test_pool_tickets.c — tickets: the store by itself, then through connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pool/tickets.h"
#include "test/support/pool_fixture.h"

static struct pool_fixture f;
static struct endpoint_key key;

static int setup(void **state)
{
    struct pool_options options = fixture_options();
    (void)state;
    fixture_start(&f, &options);
    key = fixture_key(&f.tls, "10.0.0.1");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&f);
    return 0;
}

/* Brings the client as far as the handshake; gives the TLS stream. */
static struct script_stream *shake(struct client *c)
{
    client_ask_fresh(c, &f, &key, 8000);
    fixture_settle(&f);
    script_open(script_last(&f.engine));
    fixture_settle(&f);
    struct script_stream *s = script_last(&f.engine);
    assert_non_null(s->lower);
    return s;
}

static struct script_stream *secure(struct client *c, bool resumed, const char *version)
{
    struct script_stream *s = shake(c);
    script_open_tls(s, resumed, version);
    fixture_settle(&f);
    assert_non_null(c->conn);
    return s;
}

static void end(struct client *c)
{
    pool_discard(f.pool, &c->conn, ENDING_CANCELLED);
    fixture_settle(&f);
}

static void assert_offered(const struct script_stream *s, const char *text)
{
    assert_int_equal(s->ticket_len, strlen(text));
    assert_memory_equal(s->ticket, text, strlen(text));
}

static void tickets_newest_first_single_use(void **state)
{
    struct client c;
    (void)state;
    struct script_stream *s = secure(&c, false, "TLSv1.3");
    assert_offered(s, "");
    script_ticket(s, "first");
    script_ticket(s, "second");
    script_ticket(s, "third");
    script_ticket(s, "fourth"); /* three are kept */
    assert_int_equal(fixture_count(&f, COUNTER_tickets), 3);
    end(&c);
    const char *expected[] = {"fourth", "third", "second", "second"}; /* the last one stays */
    for (int i = 0; i < 4; i++) {
        assert_offered(secure(&c, true, "TLSv1.3"), expected[i]);
        assert_int_equal(c.how, LEASE_RESUMED);
        end(&c);
    }
    assert_int_equal(fixture_count(&f, COUNTER_tls_resumed), 4);
    assert_int_equal(fixture_count(&f, COUNTER_tls_full), 1);
    assert_int_equal(fixture_count(&f, COUNTER_tickets), 1);
}

static void tls12_tickets_are_kept_when_offered(void **state)
{
    struct client c;
    (void)state;
    struct script_stream *s = shake(&c);
    s->info.version = "TLSv1.2";
    script_ticket(s, "first");
    script_ticket(s, "second");
    script_open_tls(s, false, "TLSv1.2");
    fixture_settle(&f);
    end(&c);
    for (int i = 0; i < 3; i++) {
        assert_offered(secure(&c, true, "TLSv1.2"), "second");
        end(&c);
    }
    assert_int_equal(fixture_count(&f, COUNTER_tickets), 2);
}

static void tickets_arrive_on_idle_connections(void **state)
{
    struct client c;
    (void)state;
    struct script_stream *s = secure(&c, false, "TLSv1.3");
    client_give_back(&c);
    script_ticket(s, "idle");
    assert_int_equal(fixture_count(&f, COUNTER_tickets), 1);
    assert_int_equal(fixture_count(&f, COUNTER_pool_idle), 1);
}

static void refusal_drops_what_was_stored_before_the_offer(void **state)
{
    struct client c, d;
    (void)state;
    struct script_stream *s = secure(&c, false, "TLSv1.3");
    script_ticket(s, "a");
    script_ticket(s, "b");
    end(&c);
    script_advance_ms(&f.engine, 1000);
    struct script_stream *slow = shake(&c);
    f.engine.now_ns += 1000000;
    s = shake(&d);
    script_open_tls(s, false, "TLSv1.3"); /* the peer has new keys; this one is done first and serves c */
    fixture_settle(&f);
    assert_non_null(c.conn);
    assert_int_equal(fixture_count(&f, COUNTER_tls_not_resumed), 1);
    script_ticket(s, "new");
    script_open_tls(slow, false, "TLSv1.3");
    fixture_settle(&f);
    assert_int_equal(fixture_count(&f, COUNTER_tls_not_resumed), 2);
    assert_int_equal(fixture_count(&f, COUNTER_tickets), 1);
    end(&c);
    end(&d);
    assert_offered(secure(&c, true, "TLSv1.3"), "new");
    end(&c);
}

static void peer_that_never_resumes_is_left_in_peace(void **state)
{
    struct client c;
    (void)state;
    for (int i = 0; i < 8; i++) {
        script_advance_ms(&f.engine, 100);
        struct script_stream *s = shake(&c);
        assert_int_equal(s->ticket_len > 0, i >= 1 && i <= 3);
        script_open_tls(s, false, "TLSv1.3");
        fixture_settle(&f);
        script_ticket(s, "useless");
        end(&c);
    }
    script_advance_ms(&f.engine, TICKET_QUIET_MS);
    assert_offered(secure(&c, true, "TLSv1.3"), "useless");
    end(&c);
}

static void ticket_that_breaks_the_handshake_is_dropped(void **state)
{
    struct client c;
    (void)state;
    struct script_stream *s = secure(&c, false, "TLSv1.3");
    script_ticket(s, "poison");
    end(&c);
    script_advance_ms(&f.engine, 100);
    s = shake(&c);
    snprintf(s->info.detail, sizeof(s->info.detail), "alert handshake_failure");
    script_close(s, ENDING_TLS_ALERT);
    fixture_settle(&f);
    assert_int_equal(c.answers, 1);
    assert_int_equal(c.ending, ENDING_TLS_ALERT);
    assert_string_equal(c.detail, "alert handshake_failure");
    assert_int_equal(fixture_count(&f, COUNTER_tickets), 0);
    assert_int_equal(fixture_count(&f, COUNTER_tls_failed), 1);
    assert_int_equal(fixture_count(&f, COUNTER_dials_failed), 1);
}

static void refusal_that_ends_the_handshake_is_dialled_again(void **state)
{
    struct client c;
    (void)state;
    struct script_stream *s = shake(&c);
    script_ticket(s, "forgotten");
    script_open_tls(s, false, "TLSv1.2");
    fixture_settle(&f);
    end(&c);
    script_advance_ms(&f.engine, 100);
    s = shake(&c);
    assert_offered(s, "forgotten");
    s->info.ticket_refused = true;
    script_close(s, ENDING_TLS_PROTOCOL);
    fixture_settle(&f);
    assert_int_equal(c.answers, 0);
    script_open(script_last(&f.engine));
    fixture_settle(&f);
    s = script_last(&f.engine);
    assert_offered(s, "");
    script_open_tls(s, false, "TLSv1.2");
    fixture_settle(&f);
    assert_int_equal(c.how, LEASE_NEW);
    assert_int_equal(fixture_count(&f, COUNTER_tls_not_resumed), 1);
    assert_int_equal(fixture_count(&f, COUNTER_tls_failed), 0);
    end(&c);
}

static void silent_handshake_times_out(void **state)
{
    struct client c;
    (void)state;
    struct script_stream *s = secure(&c, false, "TLSv1.3");
    script_ticket(s, "good");
    end(&c);
    shake(&c);
    script_advance_ms(&f.engine, 5010);
    fixture_settle(&f);
    assert_int_equal(c.ending, ENDING_TLS_TIMEOUT);
    assert_int_equal(fixture_count(&f, COUNTER_tickets), 1);
    assert_int_equal(f.engine.alive, 0);
}

/* The connect took its time: less is left for the handshake than tls_ms. */
static void handshake_ends_with_the_dials_own_limit(void **state)
{
    struct client c;
    struct pool_options options = fixture_options();
    (void)state;
    fixture_stop(&f);
    options.limits.dial_ms = 4000;
    fixture_start(&f, &options);
    key = fixture_key(&f.tls, "10.0.0.1");
    client_ask_fresh(&c, &f, &key, 8000);
    fixture_settle(&f);
    script_advance_ms(&f.engine, 2500);
    script_open(script_last(&f.engine));
    fixture_settle(&f);
    script_advance_ms(&f.engine, 1480);
    fixture_settle(&f);
    assert_int_equal(c.answers, 0);
    script_advance_ms(&f.engine, 40);
    fixture_settle(&f);
    assert_int_equal(c.ending, ENDING_TLS_TIMEOUT);
}

static void old_tickets_are_not_offered(void **state)
{
    struct client c;
    (void)state;
    struct script_stream *s = secure(&c, false, "TLSv1.3");
    script_ticket(s, "old");
    end(&c);
    script_advance_ms(&f.engine, TICKET_AGE_MAX_S * 1000ull);
    assert_offered(secure(&c, false, "TLSv1.3"), "");
    end(&c);
}

static void expectation_names_what_was_dialled_or_the_profile_says(void **state)
{
    struct client c;
    char text[NET_TEXT_MAX];
    (void)state;
    snprintf(key.node_name, sizeof(key.node_name), "node-1");
    struct script_stream *s = secure(&c, false, "TLSv1.3");
    assert_null(s->expect.dns_name);
    assert_string_equal(net_address_host(s->expect.ip, text), "10.0.0.1");
    assert_string_equal(s->expect.node_name, "node-1");
    assert_string_equal(conn_tls_info(c.conn)->version, "TLSv1.3");
    end(&c);
    struct pool_profile named = {.id = 9, .tls = true, .server_name = "kubelet.example"};
    key = fixture_key(&named, "10.0.0.1");
    s = secure(&c, false, "TLSv1.3");
    assert_null(s->expect.ip);
    assert_string_equal(s->expect.dns_name, "kubelet.example");
    assert_null(s->expect.node_name);
    script_ticket(s, "unwanted"); /* resumption is off in this profile */
    assert_int_equal(fixture_count(&f, COUNTER_tickets), 0);
    end(&c);
}

static void store_is_bounded_in_bytes(void **state)
{
    struct ticket_store store;
    struct tickets t[3];
    uint8_t bytes[TLS_TICKET_BYTES_MAX + 1] = {1};
    (void)state;
    ticket_store_init(&store, &f.engine.worker, 8);
    for (int i = 0; i < 3; i++) {
        tickets_init(&t[i]);
        tickets_add(&store, &t[i], 3, bytes, TLS_TICKET_BYTES_MAX, true); /* places for two so large */
        tickets_add(&store, &t[i], 3, bytes, TLS_TICKET_BYTES_MAX + 1, true);
        tickets_add(&store, &t[i], 3, bytes, 600, true);
        tickets_add(&store, &t[i], 3, bytes, 100, false);
        tickets_check(&t[i], 3);
    }
    assert_int_equal(t[0].count, 3);
    assert_int_equal(t[1].count, 3);
    assert_int_equal(t[2].count, 2);
    for (int i = 0; i < 3; i++)
        tickets_flush(&store, &t[i]);
    ticket_store_fini(&store);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(tickets_newest_first_single_use),
        T(tls12_tickets_are_kept_when_offered),
        T(tickets_arrive_on_idle_connections),
        T(refusal_drops_what_was_stored_before_the_offer),
        T(peer_that_never_resumes_is_left_in_peace),
        T(ticket_that_breaks_the_handshake_is_dropped),
        T(refusal_that_ends_the_handshake_is_dialled_again),
        T(silent_handshake_times_out),
        T(handshake_ends_with_the_dials_own_limit),
        T(old_tickets_are_not_offered),
        T(expectation_names_what_was_dialled_or_the_profile_says),
        T(store_is_bounded_in_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
