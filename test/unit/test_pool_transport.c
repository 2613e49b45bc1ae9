/* test/unit/test_pool_transport.c — the direct transport: addresses in order, the policy on each, deadlines,
 * cancelling. Names are resolved by a double (linked with --wrap=resolve_start,--wrap=resolve_cancel). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "io/resolve.h"
#include "test/support/pool_fixture.h"

static struct pool_fixture f;
static struct endpoint_key key;
static struct resolve *asked; /* the last question, until answered or cancelled */
static uint64_t asked_until_ns;
static const char *forbidden;

void __wrap_resolve_start(struct resolver *, struct resolve *, const char *, uint16_t, uint64_t);
void __wrap_resolve_cancel(struct resolve *);

void __wrap_resolve_start(struct resolver *resolver, struct resolve *r, const char *name, uint16_t port,
                          uint64_t deadline_ns)
{
    (void)resolver;
    assert_null(asked);
    assert_string_equal(name, key.host);
    asked = r;
    r->port = port;
    asked_until_ns = deadline_ns;
}

void __wrap_resolve_cancel(struct resolve *r)
{
    if (asked == r)
        asked = NULL;
}

static void answer(enum ending ending, const char *const *texts, unsigned count)
{
    struct net_address addresses[16];
    struct resolve *r = asked;
    asked = NULL;
    for (unsigned i = 0; i < count; i++)
        assert_true(net_address_parse(texts[i], strlen(texts[i]), r->port, &addresses[i]));
    r->done(r, ending, count ? addresses : NULL, count);
    fixture_settle(&f);
}

static bool allowed(const struct net_address *a, const char *host, uint32_t rules, void *policy)
{
    (void)host;
    char text[NET_TEXT_MAX];
    assert_int_equal(rules, key.rules);
    assert_ptr_equal(policy, &forbidden);
    return !forbidden || strcmp(net_address_host(a, text), forbidden) != 0;
}

static int setup(void **state)
{
    struct pool_options options = fixture_options();
    static int some_resolver;
    (void)state;
    options.resolver = (struct resolver *)&some_resolver;
    options.address_allowed = allowed;
    options.policy = &forbidden;
    forbidden = NULL;
    asked = NULL;
    fixture_start(&f, &options);
    key = fixture_key(&f.plain, "kubelet.example");
    key.rules = 7;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&f);
    assert_null(asked);
    return 0;
}

static void ask(struct client *c)
{
    client_ask(c, &f, &key, 20000);
    fixture_settle(&f);
}

static void assert_refused(const struct client *c, enum ending ending, const char *detail)
{
    assert_int_equal(c->answers, 1);
    assert_null(c->conn);
    assert_string_equal(ending_name(c->ending), ending_name(ending));
    assert_string_equal(c->detail, detail);
}

static void name_is_resolved_and_its_addresses_tried_in_order(void **state)
{
    const char *addresses[] = {"10.0.0.1", "2001:db8::1", "10.0.0.3"};
    struct client c;
    (void)state;
    ask(&c);
    assert_int_equal(asked_until_ns, f.engine.now_ns + 2000000000u);
    assert_int_equal(f.engine.dialled, 0);
    answer(ENDING_DONE, addresses, 3);
    assert_int_equal(f.engine.dialled, 1);
    script_close(script_last(&f.engine), ENDING_REFUSED);
    fixture_settle(&f);
    assert_int_equal(f.engine.dialled, 2);
    script_open(script_last(&f.engine));
    fixture_settle(&f);
    assert_string_equal(conn_address_text(c.conn), "[2001:db8::1]:10250");
    assert_int_equal(fixture_count(&f, COUNTER_dials), 1);
    client_give_back(&c);
}

static struct script_stream *nth(unsigned n)
{
    struct list *node = f.engine.streams.next;
    while (n-- > 0)
        node = node->next;
    assert_ptr_not_equal(node, &f.engine.streams);
    return list_entry(node, struct script_stream, node);
}

static void assert_dialled(unsigned n, const char *text)
{
    char found[NET_TEXT_MAX];
    assert_string_equal(net_address_host(&nth(n)->address, found), text);
}

static void families_take_turns(void **state)
{
    const char *addresses[] = {"2001:db8::1", "2001:db8::2", "2001:db8::3", "10.0.0.1", "10.0.0.2"};
    const char *order[] = {"2001:db8::1", "10.0.0.1", "2001:db8::2", "10.0.0.2", "2001:db8::3"};
    struct client c;
    (void)state;
    ask(&c);
    answer(ENDING_DONE, addresses, 5);
    for (int i = 0; i < 5; i++) {
        assert_dialled(0, order[i]);
        script_close(nth(0), ENDING_REFUSED);
        fixture_settle(&f);
    }
    assert_refused(&c, ENDING_REFUSED,
                   "[2001:db8::1]:10250: connection refused by the destination (5 addresses failed)");
}

static void second_family_is_not_cut_off_by_a_long_answer(void **state)
{
    const char *addresses[16];
    struct client c;
    (void)state;
    for (int i = 0; i < 16; i++)
        addresses[i] = i < 15 ? "2001:db8::1" : "10.0.0.1";
    ask(&c);
    answer(ENDING_DONE, addresses, 16);
    script_close(nth(0), ENDING_UNREACHABLE);
    fixture_settle(&f);
    assert_dialled(0, "10.0.0.1");
    script_open(nth(0));
    fixture_settle(&f);
    client_give_back(&c);
}

static void silent_address_gets_company_and_the_first_to_connect_wins(void **state)
{
    const char *addresses[] = {"2001:db8::1", "10.0.0.1", "2001:db8::2"};
    struct client c;
    (void)state;
    for (unsigned winner = 0; winner < 3; winner++) {
        ask(&c);
        answer(ENDING_DONE, addresses, 3);
        script_advance_ms(&f.engine, 240);
        assert_int_equal(f.engine.alive, 1);
        script_advance_ms(&f.engine, 20);
        assert_int_equal(f.engine.alive, 2);
        script_advance_ms(&f.engine, 230);
        assert_int_equal(f.engine.alive, 2);
        script_advance_ms(&f.engine, 30);
        assert_int_equal(f.engine.alive, 3);
        assert_dialled(1, "10.0.0.1");
        struct script_stream *s = nth(winner);
        script_open(s);
        fixture_settle(&f);
        assert_int_equal(c.answers, 1);
        assert_ptr_equal(client_stream(&c), s);
        assert_int_equal(f.engine.alive, 1); /* the others were aborted */
        pool_discard(f.pool, &c.conn, ENDING_CANCELLED);
        fixture_settle(&f);
    }
}

static void failed_address_is_followed_at_once(void **state)
{
    const char *addresses[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
    struct client c;
    (void)state;
    ask(&c);
    answer(ENDING_DONE, addresses, 3);
    script_advance_ms(&f.engine, 260);
    assert_int_equal(f.engine.alive, 2);
    script_close(nth(0), ENDING_UNREACHABLE); /* 10.0.0.2 is still under way, and was begun just now */
    fixture_settle(&f);
    assert_int_equal(f.engine.alive, 2);
    assert_dialled(1, "10.0.0.3");
    script_close(nth(1), ENDING_UNREACHABLE);
    fixture_settle(&f);
    assert_int_equal(c.answers, 0);
    script_open(nth(0));
    fixture_settle(&f);
    assert_string_equal(conn_address_text(c.conn), "10.0.0.2:10250");
    client_give_back(&c);
}

static void wait_ms(int ms)
{
    for (; ms > 0; ms -= 10)
        script_advance_ms(&f.engine, 10);
}

static void silent_addresses_hold_few_places_and_each_its_time(void **state)
{
    const char *addresses[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"};
    struct client c;
    (void)state;
    ask(&c);
    answer(ENDING_DONE, addresses, 6);
    wait_ms(2900);
    assert_int_equal(f.engine.dialled, 4);
    wait_ms(150); /* connect_ms of the first is over */
    assert_int_equal(f.engine.dialled, 5);
    assert_int_equal(f.engine.alive, 4);
    wait_ms(250); /* and of the second */
    assert_int_equal(f.engine.dialled, 6);
    wait_ms(2900);
    assert_int_equal(c.answers, 0);
    wait_ms(250);
    assert_refused(&c, ENDING_CONNECT_TIMEOUT,
                   "10.0.0.1:10250: connecting to the destination timed out (6 addresses failed)");
    assert_int_equal(f.engine.alive, 0);
}

static void deadline_ends_all_attempts(void **state)
{
    const char *addresses[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
    struct client c;
    (void)state;
    ask(&c);
    script_advance_ms(&f.engine, 7700); /* the resolver took its time, and more than it was given */
    answer(ENDING_DONE, addresses, 3);
    script_advance_ms(&f.engine, 260);
    assert_int_equal(f.engine.alive, 2);
    script_advance_ms(&f.engine, 60);
    assert_refused(&c, ENDING_CONNECT_TIMEOUT,
                   "10.0.0.1:10250: connecting to the destination timed out (2 addresses failed)");
    assert_int_equal(f.engine.alive, 0);
}

static void most_telling_failure_is_told(void **state)
{
    static const struct {
        enum ending first, second;
        bool told_first;
    } rows[] = {
        {ENDING_REFUSED,         ENDING_UNREACHABLE,     true },
        {ENDING_UNREACHABLE,     ENDING_REFUSED,         false},
        {ENDING_UNREACHABLE,     ENDING_CONNECT_TIMEOUT, false},
        {ENDING_CONNECT_TIMEOUT, ENDING_REFUSED,         false},
        {ENDING_FILTERED,        ENDING_CONNECT_TIMEOUT, true },
        {ENDING_REFUSED,         ENDING_NO_SOURCE,       false},
        {ENDING_DESCRIPTORS,     ENDING_REFUSED,         true },
        {ENDING_REFUSED,         ENDING_REFUSED,         true },
    };
    const char *addresses[] = {"10.0.0.1", "10.0.0.2"};
    char expected[POOL_DETAIL_MAX];
    struct client c;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enum ending told = rows[i].told_first ? rows[i].first : rows[i].second;
        ask(&c);
        answer(ENDING_DONE, addresses, 2);
        script_close(nth(0), rows[i].first);
        fixture_settle(&f);
        script_close(nth(0), rows[i].second);
        fixture_settle(&f);
        snprintf(expected, sizeof(expected), "10.0.0.%d:10250: %s (2 addresses failed)",
                 rows[i].told_first ? 1 : 2, ending_text(told));
        assert_refused(&c, told, expected);
        script_advance_ms(&f.engine, 100000); /* past the breaker */
    }
}

static void missing_ipv6_is_not_taken_for_missing_ports(void **state)
{
    const char *addresses[] = {"2001:db8::1", "10.0.0.1"};
    struct client c;
    (void)state;
    ask(&c);
    answer(ENDING_DONE, addresses, 2);
    script_close(nth(0), ENDING_NO_SOURCE);
    fixture_settle(&f);
    script_close(nth(0), ENDING_CONNECT_TIMEOUT);
    fixture_settle(&f);
    assert_refused(&c, ENDING_CONNECT_TIMEOUT,
                   "10.0.0.1:10250: connecting to the destination timed out (2 addresses failed)");
}

static void engine_without_memory_fails_the_dial(void **state)
{
    const char *addresses[] = {"10.0.0.1", "10.0.0.2"};
    struct client c;
    (void)state;
    ask(&c);
    f.engine.refuse_dials = true;
    answer(ENDING_DONE, addresses, 2);
    assert_refused(&c, ENDING_LIMIT, "10.0.0.1:10250: a limit of the broker is reached (2 addresses failed)");
    f.engine.refuse_dials = false;
}

static void unknown_name_is_told(void **state)
{
    struct client c;
    (void)state;
    ask(&c);
    answer(ENDING_NAME_UNKNOWN, NULL, 0);
    assert_refused(&c, ENDING_NAME_UNKNOWN, "kubelet.example: destination name does not resolve");
    ask(&c);
    answer(ENDING_NAME_TIMEOUT, NULL, 0);
    assert_refused(&c, ENDING_NAME_TIMEOUT, "kubelet.example: resolving the destination name timed out");
}

static void policy_judges_the_address_and_not_the_name(void **state)
{
    const char *metadata[] = {"169.254.169.254"}, *both[] = {"169.254.169.254", "10.0.0.2"};
    struct client c;
    (void)state;
    forbidden = "169.254.169.254";
    ask(&c);
    answer(ENDING_DONE, metadata, 1);
    assert_refused(&c, ENDING_NOT_ALLOWED, "169.254.169.254: the address is not allowed by policy");
    assert_int_equal(f.engine.dialled, 0);
    ask(&c);
    answer(ENDING_DONE, both, 2);
    script_open(script_last(&f.engine));
    fixture_settle(&f);
    assert_string_equal(conn_address_text(c.conn), "10.0.0.2:10250");
    client_give_back(&c);
}

static void policy_judges_each_address_when_its_turn_comes(void **state)
{
    const char *addresses[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
    struct client c;
    (void)state;
    ask(&c);
    answer(ENDING_DONE, addresses, 3);
    forbidden = "10.0.0.2"; /* a reload, say, while the first is under way */
    script_advance_ms(&f.engine, 260);
    assert_int_equal(f.engine.alive, 2);
    assert_dialled(1, "10.0.0.3");
    script_open(nth(1));
    fixture_settle(&f);
    client_give_back(&c);
}

static void policy_judges_literals_too(void **state)
{
    struct client c;
    (void)state;
    forbidden = "169.254.169.254";
    key = fixture_key(&f.plain, "169.254.169.254");
    for (int i = 0; i < 5; i++) {
        ask(&c);
        assert_refused(&c, ENDING_NOT_ALLOWED, "169.254.169.254: the address is not allowed by policy");
    }
    assert_int_equal(fixture_count(&f, COUNTER_breakers_opened), 0);
}

static void cancel_forgets_the_question(void **state)
{
    struct client c;
    (void)state;
    ask(&c);
    assert_non_null(asked);
    pool_drain(f.pool);
    assert_null(asked);
    fixture_settle(&f);
    assert_int_equal(c.ending, ENDING_DRAINING);
    assert_true(pool_is_empty(f.pool));
}

static void cancel_aborts_every_attempt(void **state)
{
    const char *addresses[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
    struct client c;
    (void)state;
    ask(&c);
    answer(ENDING_DONE, addresses, 3);
    script_advance_ms(&f.engine, 260);
    script_advance_ms(&f.engine, 260);
    assert_int_equal(f.engine.alive, 3);
    pool_drain(f.pool);
    assert_false(pool_is_empty(f.pool));
    fixture_settle(&f);
    assert_int_equal(f.engine.alive, 0);
    assert_true(pool_is_empty(f.pool));
}

static void cancel_aborts_the_attempt(void **state)
{
    struct client c;
    (void)state;
    key = fixture_key(&f.plain, "10.0.0.1");
    ask(&c);
    assert_int_equal(f.engine.alive, 1);
    pool_drain(f.pool);
    assert_false(pool_is_empty(f.pool));
    fixture_settle(&f);
    assert_int_equal(f.engine.alive, 0);
    assert_true(pool_is_empty(f.pool));
}

static void attempt_that_opens_after_it_was_given_up_is_closed(void **state)
{
    struct client c;
    (void)state;
    key = fixture_key(&f.plain, "10.0.0.1");
    ask(&c);
    script_open(script_last(&f.engine)); /* on its way up when the deadline comes */
    pool_drain(f.pool);
    fixture_settle(&f);
    assert_int_equal(f.engine.alive, 0);
    assert_int_equal(fixture_count(&f, COUNTER_pool_idle), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(name_is_resolved_and_its_addresses_tried_in_order),
        T(families_take_turns),
        T(second_family_is_not_cut_off_by_a_long_answer),
        T(silent_address_gets_company_and_the_first_to_connect_wins),
        T(failed_address_is_followed_at_once),
        T(silent_addresses_hold_few_places_and_each_its_time),
        T(deadline_ends_all_attempts),
        T(most_telling_failure_is_told),
        T(missing_ipv6_is_not_taken_for_missing_ports),
        T(engine_without_memory_fails_the_dial),
        T(unknown_name_is_told),
        T(policy_judges_the_address_and_not_the_name),
        T(policy_judges_each_address_when_its_turn_comes),
        T(policy_judges_literals_too),
        T(cancel_forgets_the_question),
        T(cancel_aborts_the_attempt),
        T(cancel_aborts_every_attempt),
        T(attempt_that_opens_after_it_was_given_up_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
