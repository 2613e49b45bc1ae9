/* test/unit/test_pool_transport.c — the direct transport: addresses in order, the policy on each, deadlines,
 * cancelling. Names are resolved by a double (linked with --wrap=resolve_start,--wrap=resolve_cancel). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

static void silent_address_gets_its_share_of_the_time(void **state)
{
    const char *addresses[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"};
    struct client c;
    (void)state;
    ask(&c);
    answer(ENDING_DONE, addresses, 4);
    script_advance_ms(&f.engine, 2990);
    assert_int_equal(f.engine.dialled, 1);
    script_advance_ms(&f.engine, 20);
    assert_int_equal(f.engine.dialled, 2);
    assert_int_equal(f.engine.alive, 1);
    script_advance_ms(&f.engine, 3010);
    assert_int_equal(f.engine.dialled, 3);
    script_advance_ms(&f.engine, 2010); /* resolve_ms and twice connect_ms are over */
    assert_refused(&c, ENDING_CONNECT_TIMEOUT, "10.0.0.3:10250: connecting to the destination timed out");
    assert_int_equal(f.engine.alive, 0);
}

static void last_failure_is_told_when_all_fail(void **state)
{
    const char *addresses[] = {"10.0.0.1", "10.0.0.2"};
    struct client c;
    (void)state;
    ask(&c);
    answer(ENDING_DONE, addresses, 2);
    script_close(script_last(&f.engine), ENDING_REFUSED);
    fixture_settle(&f);
    script_close(script_last(&f.engine), ENDING_UNREACHABLE);
    fixture_settle(&f);
    assert_refused(&c, ENDING_UNREACHABLE, "10.0.0.2:10250: destination unreachable");
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
        T(silent_address_gets_its_share_of_the_time),
        T(last_failure_is_told_when_all_fail),
        T(unknown_name_is_told),
        T(policy_judges_the_address_and_not_the_name),
        T(policy_judges_literals_too),
        T(cancel_forgets_the_question),
        T(cancel_aborts_the_attempt),
        T(attempt_that_opens_after_it_was_given_up_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
