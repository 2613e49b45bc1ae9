/* test/unit/test_pool_path.c — the ways of a path: their order, which failure leads to the next, the deadline
 * they share, cancelling at every moment, and that a path is part of who an endpoint is. Agents are scripted
 * here: a transport that answers when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/list.h"
#include "pool/endpoint.h"
#include "pool/pool_priv.h"
#include "pool/transport.h"
#include "test/support/pool_fixture.h"

static struct pool_fixture f;
static struct endpoint_key key;

static const struct pool_path agent_only = {.id = 1, .way_count = 1, .ways = {POOL_WAY_AGENT}, .agents = "a"};
static const struct pool_path agent_first = {
    .id = 2, .way_count = 2, .ways = {POOL_WAY_AGENT, POOL_WAY_DIRECT}
};
static const struct pool_path direct_first = {
    .id = 3, .way_count = 2, .ways = {POOL_WAY_DIRECT, POOL_WAY_AGENT}
};

/* -- scripted agents ----------------------------------------------------------------------------------------
 */

struct agent_dial {
    struct list node;
    struct dial_request request;
};

static struct {
    struct transport transport;
    struct list dials; /* oldest first */
    unsigned asked, cancelled, freed;
    bool refuses; /* dial() gives NULL */
    bool busy;    /* something of a cancelled dial is left */
} agents;

static struct dial *agents_dial(struct transport *t, const struct dial_request *request)
{
    assert_ptr_equal(t, &agents.transport);
    agents.asked++;
    if (agents.refuses)
        return NULL;
    struct agent_dial *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    list_init(&d->node);
    d->request = *request;
    list_add_tail(&agents.dials, &d->node);
    return (struct dial *)d;
}

static void agents_cancel(struct transport *t, struct dial **dial)
{
    struct agent_dial *d = (struct agent_dial *)*dial;
    assert_ptr_equal(t, &agents.transport);
    *dial = NULL;
    agents.cancelled++;
    list_remove(&d->node);
    free(d);
}

static bool agents_are_idle(const struct transport *t)
{
    assert_ptr_equal(t, &agents.transport);
    return list_empty(&agents.dials) && !agents.busy;
}

static void agents_free(struct transport **t)
{
    assert_true(agents_are_idle(*t));
    *t = NULL;
    agents.freed++;
}

static const struct transport_ops agents_ops = {"agents", agents_dial, agents_cancel, agents_are_idle,
                                                agents_free};

static struct agent_dial *agent_asked(void)
{
    assert_false(list_empty(&agents.dials));
    return list_entry(agents.dials.next, struct agent_dial, node);
}

static void agent_answers(const struct dial_answer *answer)
{
    struct agent_dial *d = agent_asked();
    struct dial_request request = d->request;
    list_remove(&d->node);
    free(d);
    request.answered(request.owner, answer);
    fixture_settle(&f);
}

static void agent_fails(enum ending ending)
{
    char detail[POOL_DETAIL_MAX];
    snprintf(detail, sizeof(detail), "agent-7: %s", ending_text(ending));
    agent_answers(&(struct dial_answer){.ending = ending, .address = "", .detail = detail});
}

static void quiet(struct stream *s)
{
    (void)s;
}

static void agent_opens(void)
{
    static const struct stream_events none = {.open = quiet};
    struct net_address a;
    assert_true(net_address_parse("192.0.2.7", strlen("192.0.2.7"), 1, &a));
    struct stream *s = f.engine.engine.ops->dial(&f.engine.engine, &a);
    stream_bind(s, &none, NULL);
    script_open(script_last(&f.engine));
    script_run(&f.engine);
    agent_answers(&(struct dial_answer){.stream = s, .address = "agent-7", .detail = ""});
}

/* -- set up -------------------------------------------------------------------------------------------------
 */

static bool has_agents;

static void start(bool with_agents, uint32_t connect_ms)
{
    struct pool_options options = fixture_options();
    memset(&agents, 0, sizeof(agents));
    agents.transport.ops = &agents_ops;
    list_init(&agents.dials);
    has_agents = with_agents;
    options.agents = with_agents ? &agents.transport : NULL;
    options.limits.connect_ms = connect_ms;
    options.limits.dial_ms = 8000;
    options.limits.warm_spares = 1;
    fixture_start(&f, &options);
    key = fixture_key(&f.plain, "10.0.0.1");
}

static int setup(void **state)
{
    (void)state;
    start(true, 3000);
    return 0;
}

static int setup_with_long_connects(void **state)
{
    (void)state;
    start(true, 10000);
    return 0;
}

static int setup_without_agents(void **state)
{
    (void)state;
    start(false, 3000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&f);
    assert_int_equal(agents.freed, has_agents ? 1 : 0);
    return 0;
}

static void ask(struct client *c, const struct pool_path *path)
{
    key.path = path;
    client_ask(c, &f, &key, 20000);
    fixture_settle(&f);
}

static void assert_told(const struct client *c, enum ending ending, const char *detail)
{
    assert_int_equal(c->answers, 1);
    assert_null(c->conn);
    assert_string_equal(ending_name(c->ending), ending_name(ending));
    assert_string_equal(c->detail, detail);
}

static void fail_direct(enum ending ending)
{
    script_close(script_dialling(&f.engine), ending);
    fixture_settle(&f);
}

/* -- order --------------------------------------------------------------------------------------------------
 */

static void no_path_asks_no_agent(void **state)
{
    struct client c;
    (void)state;
    ask(&c, NULL);
    fail_direct(ENDING_UNREACHABLE);
    assert_told(&c, ENDING_UNREACHABLE, "10.0.0.1:10250: destination unreachable");
    assert_int_equal(agents.asked, 0);
}

static void agent_carries_it_and_is_told_whose_it_is(void **state)
{
    struct client c;
    (void)state;
    ask(&c, &agent_first);
    assert_int_equal(f.engine.dialled, 0);
    assert_string_equal(agent_asked()->request.host, "10.0.0.1");
    assert_int_equal(agent_asked()->request.port, 10250);
    assert_ptr_equal(agent_asked()->request.path, &agent_first);
    agent_opens();
    assert_non_null(c.conn);
    assert_string_equal(conn_address_text(c.conn), "agent-7");
    assert_int_equal(c.how, LEASE_NEW);
    client_give_back(&c);
    ask(&c, &agent_first); /* pooled as any other */
    assert_int_equal(c.how, LEASE_REUSED);
    assert_int_equal(agents.asked, 1);
    client_give_back(&c);
}

static void direct_first_asks_agents_only_when_it_failed(void **state)
{
    struct client a, b;
    (void)state;
    ask(&a, &direct_first);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_non_null(a.conn);
    assert_int_equal(agents.asked, 0);
    key.port = 10251;
    ask(&b, &direct_first);
    fail_direct(ENDING_UNREACHABLE);
    assert_int_equal(b.answers, 0);
    agent_opens();
    assert_string_equal(conn_address_text(b.conn), "agent-7");
    client_give_back(&a);
    client_give_back(&b);
}

static void missing_agent_falls_through_at_once(void **state)
{
    struct client c;
    (void)state;
    ask(&c, &agent_first);
    agent_fails(ENDING_NO_AGENT);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_string_equal(conn_address_text(c.conn), "10.0.0.1:10250");
    client_give_back(&c);
}

/* -- failing ------------------------------------------------------------------------------------------------
 */

/* Written out, so that a new ending, or one that changed sides, is noticed here. */
static bool is_of_the_way(enum ending ending)
{
    switch (ending) {
    case ENDING_DESCRIPTORS:
    case ENDING_LIMIT:
    case ENDING_NO_SOURCE:
    case ENDING_NO_AGENT:
    case ENDING_AGENT_LOST:
    case ENDING_UNREACHABLE:
    case ENDING_NAME_UNKNOWN:
    case ENDING_NAME_TIMEOUT:
    case ENDING_CONNECT_TIMEOUT:
    case ENDING_DEADLINE: return true;
    default: return false; /* tidy: default: all others are the destination's, a rule's or ours */
    }
}

static void only_a_failure_of_the_way_leads_to_the_next(void **state)
{
    (void)state;
    for (enum ending e = ENDING_DONE + 1; e < (enum ending)ENDING_COUNT; e++) {
        struct client c;
        assert_int_equal(path_falls_through(e), is_of_the_way(e));
        key.port = (uint16_t)(1000 + e);
        ask(&c, &agent_first);
        agent_fails(e);
        assert_int_equal(c.answers, is_of_the_way(e) ? 0 : 1);
        if (is_of_the_way(e))
            fail_direct(ENDING_REFUSED);
        assert_int_equal(c.answers, 1);
        assert_null(c.conn);
        assert_int_equal(c.ending, is_of_the_way(e) ? ENDING_REFUSED : e);
    }
}

static void agent_alone_fails_closed(void **state)
{
    (void)state;
    for (enum ending e = ENDING_DONE + 1; e < (enum ending)ENDING_COUNT; e++) {
        struct client c;
        key.port = (uint16_t)(1000 + e);
        ask(&c, &agent_only);
        agent_fails(e);
        assert_int_equal(c.answers, 1);
        assert_int_equal(c.ending, e);
    }
    assert_int_equal(f.engine.dialled, 0);
}

static void agents_that_cannot_dial_are_a_way_that_failed(void **state)
{
    struct client c;
    (void)state;
    agents.refuses = true;
    ask(&c, &agent_only);
    assert_told(&c, ENDING_LIMIT, "out of memory for dials");
    ask(&c, &agent_first);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_non_null(c.conn);
    client_give_back(&c);
}

static void without_agents_the_way_has_none(void **state)
{
    struct client c;
    (void)state;
    ask(&c, &agent_only);
    assert_told(&c, ENDING_NO_AGENT, "no agent is connected that could carry the connection");
    assert_int_equal(f.engine.dialled, 0);
    ask(&c, &agent_first);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_non_null(c.conn);
    client_give_back(&c);
    key.port++;
    ask(&c, &direct_first);
    fail_direct(ENDING_UNREACHABLE);
    assert_told(&c, ENDING_NO_AGENT,
                "no agent is connected that could carry the connection (direct: unreachable)");
}

static void most_telling_failure_is_told_whichever_came_first(void **state)
{
    static const struct {
        enum ending agent, direct, told;
        const char *detail;
    } rows[] = {
        {ENDING_NO_AGENT,        ENDING_CONNECT_TIMEOUT, ENDING_NO_AGENT,
         "agent-7: no agent is connected that could carry the connection (direct: connect_timeout)"},
        {ENDING_NO_AGENT,        ENDING_REFUSED,         ENDING_REFUSED,
         "10.0.0.1:1000: connection refused by the destination (agent: no_agent)"                  },
        {ENDING_NO_AGENT,        ENDING_DESCRIPTORS,     ENDING_DESCRIPTORS,
         "10.0.0.1:1000: the broker is out of file descriptors (agent: no_agent)"                  },
        {ENDING_CONNECT_TIMEOUT, ENDING_UNREACHABLE,     ENDING_UNREACHABLE,
         "10.0.0.1:1000: destination unreachable (agent: connect_timeout)"                         },
        {ENDING_CONNECT_TIMEOUT, ENDING_CONNECT_TIMEOUT, ENDING_CONNECT_TIMEOUT,
         "agent-7: connecting to the destination timed out (direct: connect_timeout)"              },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct client c;
        key.port = 1000;
        snprintf(key.node_name, sizeof(key.node_name), "n%zu", i); /* another endpoint each */
        ask(&c, &agent_first);
        agent_fails(rows[i].agent);
        fail_direct(rows[i].direct);
        assert_told(&c, rows[i].told, rows[i].detail);
    }
}

static void long_detail_leaves_room_for_the_other_way(void **state)
{
    char detail[200];
    struct client c;
    (void)state;
    memset(detail, 'x', sizeof(detail) - 1);
    detail[sizeof(detail) - 1] = '\0';
    ask(&c, &agent_first);
    agent_answers(&(struct dial_answer){.ending = ENDING_LIMIT, .address = "", .detail = detail});
    fail_direct(ENDING_UNREACHABLE);
    assert_int_equal(c.ending, ENDING_LIMIT);
    assert_int_equal(strlen(c.detail), POOL_DETAIL_MAX - 1);
    assert_string_equal(c.detail + strlen(c.detail) - strlen("x (direct: unreachable)"),
                        "x (direct: unreachable)");
}

static void missing_or_lost_agent_is_not_held_against_the_destination(void **state)
{
    static const enum ending endings[] = {ENDING_NO_AGENT, ENDING_AGENT_LOST, ENDING_LIMIT};
    struct client c;
    (void)state;
    for (int i = 0; i < 12; i++) {
        ask(&c, &agent_only);
        agent_fails(endings[i % 3]);
        assert_int_equal(c.ending, endings[i % 3]);
        ask(&c, &agent_first);
        agent_fails(ENDING_NO_AGENT);
        fail_direct(ENDING_CONNECT_TIMEOUT);
        assert_int_equal(c.ending, ENDING_NO_AGENT);
    }
    ask(&c, &agent_only); /* nor are connections that went with it */
    agent_opens();
    script_close(client_stream(&c), ENDING_AGENT_LOST);
    fixture_settle(&f);
    pool_lost(f.pool, &c.conn, c.closed_with);
    for (int i = 0; i < 3; i++) { /* but what the agent says of the destination is */
        assert_int_equal(fixture_count(&f, COUNTER_breakers_opened), 0);
        ask(&c, &agent_only);
        agent_fails(ENDING_REFUSED);
    }
    assert_int_equal(fixture_count(&f, COUNTER_breakers_opened), 1);
}

/* -- time ---------------------------------------------------------------------------------------------------
 */

static uint64_t ms_from_now(uint64_t at_ns)
{
    return (at_ns - f.engine.worker.now_ns) / 1000000u;
}

static void ways_share_the_time_of_the_dial(void **state)
{
    struct client c;
    (void)state;
    ask(&c, &agent_first); /* for 20 s; a dial has 8 */
    assert_int_equal(ms_from_now(agent_asked()->request.deadline_ns), 4000);
    script_advance_ms(&f.engine, 4000);
    agent_fails(ENDING_CONNECT_TIMEOUT);
    assert_int_equal(c.answers, 0);
    assert_int_equal(f.engine.dialled, 1);
    script_advance_ms(&f.engine, 2990); /* of connect_ms, 3000 */
    fixture_settle(&f);
    assert_int_equal(c.answers, 0);
    script_advance_ms(&f.engine, 20);
    fixture_settle(&f);
    assert_told(&c, ENDING_CONNECT_TIMEOUT,
                "agent-7: connecting to the destination timed out (direct: connect_timeout)");
}

static void the_last_way_has_all_that_is_left(void **state)
{
    struct client c;
    (void)state;
    ask(&c, &agent_only);
    assert_int_equal(ms_from_now(agent_asked()->request.deadline_ns), 8000);
    agent_fails(ENDING_REFUSED);
    ask(&c, &direct_first);
    fail_direct(ENDING_UNREACHABLE);
    assert_int_equal(ms_from_now(agent_asked()->request.deadline_ns), 8000);
    agent_fails(ENDING_REFUSED);
}

static void silence_leaves_the_next_way_some_of_the_lease(void **state)
{
    struct client c;
    (void)state;
    key = fixture_key(&f.single, "10.0.0.1");
    key.path = &agent_first;
    client_ask(&c, &f, &key, 3000);
    fixture_settle(&f);
    assert_int_equal(ms_from_now(agent_asked()->request.deadline_ns), 1500);
    script_advance_ms(&f.engine, 1500);
    agent_fails(ENDING_DEADLINE);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_non_null(c.conn);
    client_give_back(&c);
}

static void no_way_is_begun_after_the_deadline(void **state)
{
    struct client c;
    (void)state;
    ask(&c, &agent_first);
    script_advance_ms(&f.engine, 8000); /* an agent that answered late */
    agent_fails(ENDING_CONNECT_TIMEOUT);
    assert_told(&c, ENDING_CONNECT_TIMEOUT, "agent-7: connecting to the destination timed out");
    assert_int_equal(f.engine.dialled, 0);
}

/* -- cancelling ---------------------------------------------------------------------------------------------
 */

static void cancelled_while_an_agent_dials(void **state)
{
    struct client c;
    (void)state;
    key = fixture_key(&f.single, "10.0.0.1");
    ask(&c, &agent_first);
    pool_cancel(f.pool, &c.lease);
    assert_int_equal(agents.cancelled, 1);
    fixture_settle(&f);
    assert_int_equal(c.answers, 0);
    assert_int_equal(f.engine.dialled, 0);
}

static void cancelled_while_the_second_way_dials(void **state)
{
    struct client c;
    (void)state;
    key = fixture_key(&f.single, "10.0.0.1");
    ask(&c, &agent_first);
    agent_fails(ENDING_NO_AGENT);
    assert_int_equal(f.engine.alive, 1);
    pool_cancel(f.pool, &c.lease);
    fixture_settle(&f);
    assert_int_equal(c.answers, 0);
    assert_int_equal(agents.cancelled, 0);
    assert_int_equal(f.engine.alive, 0);
}

static void cancelled_with_the_answer_known(void **state)
{
    struct client c;
    (void)state;
    agents.refuses = true;
    key = fixture_key(&f.single, "10.0.0.1");
    key.path = &agent_only;
    client_ask_at_once(&c, &f, &key, 8000); /* dials at once, and fails at the end of the turn */
    assert_int_equal(agents.asked, 1);
    pool_cancel(f.pool, &c.lease);
    fixture_settle(&f);
    assert_int_equal(c.answers, 0);
}

static void pool_is_empty_when_agents_are(void **state)
{
    (void)state;
    assert_true(pool_is_empty(f.pool));
    agents.busy = true;
    assert_false(pool_is_empty(f.pool));
    agents.busy = false;
    assert_true(pool_is_empty(f.pool));
}

/* -- identity -----------------------------------------------------------------------------------------------
 */

static void path_is_part_of_the_identity(void **state)
{
    struct pool_path same = {.id = 1, .way_count = 1, .ways = {POOL_WAY_AGENT}};
    struct endpoint_key direct = fixture_key(&f.plain, "10.0.0.1"), a = direct, b = direct, again = direct;
    struct client c, d, e;
    (void)state;
    a.path = &agent_only;
    b.path = &agent_first;
    again.path = &same;
    assert_false(endpoint_key_equal(&direct, &a));
    assert_false(endpoint_key_equal(&a, &direct));
    assert_false(endpoint_key_equal(&a, &b));
    assert_true(endpoint_key_equal(&a, &again));
    assert_true(endpoint_key_hash(&direct) != endpoint_key_hash(&a));
    assert_true(endpoint_key_hash(&a) != endpoint_key_hash(&b));
    assert_true(endpoint_key_hash(&a) == endpoint_key_hash(&again));

    ask(&c, NULL);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    client_give_back(&c);
    ask(&d, &agent_only); /* a direct connection is idle and not for it */
    assert_int_equal(d.answers, 0);
    agent_opens();
    client_give_back(&d);
    ask(&e, &agent_first);
    assert_int_equal(e.answers, 0);
    agent_fails(ENDING_REFUSED);
}

static void agents_carry_no_spares(void **state)
{
    struct client c;
    (void)state;
    key = fixture_key(&f.single, "10.0.0.1");
    ask(&c, &agent_first);
    agent_opens();
    assert_non_null(c.conn);
    assert_int_equal(agents.asked, 1);
    assert_int_equal(fixture_count(&f, COUNTER_pool_dialling), 0);
    client_give_back(&c);
    ask(&c, &direct_first);
    script_open(script_dialling(&f.engine));
    fixture_settle(&f);
    assert_int_equal(fixture_count(&f, COUNTER_pool_dialling), 1);
    client_give_back(&c);
}

/* -- places -------------------------------------------------------------------------------------------------
 */

static struct client hanging[3];

/* All places there are: fixture_options() has three. */
static void take_all_places(void)
{
    struct endpoint_key other = fixture_key(&f.single, "10.0.0.9");
    for (size_t i = 0; i < ARRAY_SIZE(hanging); i++)
        client_ask(&hanging[i], &f, &other, 20000);
    fixture_settle(&f);
    assert_int_equal(f.engine.dialled, 3);
}

static void what_agents_dial_takes_no_place(void **state)
{
    static struct client c[7], last;
    (void)state;
    key = fixture_key(&f.single, "10.0.0.1");
    for (int i = 0; i < 4; i++)
        ask(&c[i], &agent_only);
    assert_int_equal(agents.asked, 4);
    take_all_places();
    key.port++;
    ask(&c[4], &agent_only);
    ask(&c[5], &agent_only);
    ask(&c[6], &agent_first);
    assert_int_equal(agents.asked, 7);
    key.path = NULL;
    client_ask_at_once(&last, &f, &key, 20000);
    fixture_settle(&f);
    assert_told(&last, ENDING_LIMIT, "3 connections are being made, as many as may be at a time");
    assert_int_equal(fixture_count(&f, COUNTER_pool_dialling), 10);
}

static void a_dial_that_goes_on_to_an_agent_leaves_its_place(void **state)
{
    static struct client c[3];
    (void)state;
    key = fixture_key(&f.single, "10.0.0.1");
    for (int i = 0; i < 3; i++) {
        ask(&c[i], &direct_first);
        fail_direct(ENDING_UNREACHABLE);
    }
    assert_int_equal(agents.asked, 3);
    f.engine.dialled = 0;
    take_all_places();
}

static void a_tunnel_without_a_place_for_its_next_way_is_told_at_once(void **state)
{
    struct client c;
    (void)state;
    take_all_places();
    key = fixture_key(&f.single, "10.0.0.1");
    ask(&c, &agent_first);
    agent_fails(ENDING_NO_AGENT);
    assert_told(&c, ENDING_LIMIT, "as many connections are being made as may be at a time (agent: no_agent)");
    ask(&c, &agent_first); /* the next one asks the agents again */
    agent_opens();
    assert_non_null(c.conn);
    client_give_back(&c);
}

static void a_request_without_a_place_for_its_next_way_waits_for_one(void **state)
{
    struct client c;
    (void)state;
    take_all_places();
    ask(&c, &agent_first);
    agent_fails(ENDING_NO_AGENT);
    assert_int_equal(c.answers, 0);
    assert_int_equal(agents.asked, 1); /* and does not ask agents over and over meanwhile */
    fail_direct(ENDING_REFUSED);
    assert_int_equal(hanging[0].answers, 1);
    assert_int_equal(agents.asked, 2);
    agent_fails(ENDING_NO_AGENT);
    assert_int_equal(f.engine.dialled, 4);
    script_open(script_last(&f.engine));
    fixture_settle(&f);
    assert_non_null(c.conn);
    client_give_back(&c);
}

/* Leaves it with a stream from an agent, and no place for TLS. */
static struct script_stream *queue_for_tls(struct client *c, const struct pool_profile *profile)
{
    take_all_places();
    key = fixture_key(profile, "10.0.0.1");
    ask(c, &agent_only);
    agent_opens();
    assert_int_equal(c->answers, 0);
    assert_int_equal(f.engine.alive, 4);
    return script_last(&f.engine);
}

static void tls_over_an_agent_waits_for_a_place(void **state)
{
    struct client c;
    (void)state;
    queue_for_tls(&c, &f.tls);
    fail_direct(ENDING_REFUSED);
    struct script_stream *tls = script_last(&f.engine);
    assert_non_null(tls->lower);
    script_open_tls(tls, false, "TLSv1.3");
    fixture_settle(&f);
    assert_non_null(c.conn);
    assert_int_equal(c.how, LEASE_NEW);
    client_give_back(&c);
}

static void what_is_lost_while_it_waits_for_a_place_is_told(void **state)
{
    struct client c;
    (void)state;
    script_close(queue_for_tls(&c, &f.tls), ENDING_AGENT_LOST);
    fixture_settle(&f);
    assert_told(&c, ENDING_AGENT_LOST, ending_text(ENDING_AGENT_LOST));
}

static void what_ends_while_it_waits_for_a_place_is_told(void **state)
{
    struct client c;
    (void)state;
    script_end(queue_for_tls(&c, &f.tls));
    fixture_settle(&f);
    assert_told(&c, ENDING_TRUNCATED, ending_text(ENDING_TRUNCATED));
}

static void waiting_for_a_place_has_an_end(void **state)
{
    struct client c;
    (void)state;
    queue_for_tls(&c, &f.tls);
    script_advance_ms(&f.engine, 4990); /* of tls_ms, 5000 */
    fixture_settle(&f);
    assert_int_equal(c.answers, 0);
    script_advance_ms(&f.engine, 20);
    fixture_settle(&f);
    assert_told(&c, ENDING_QUEUE_TIMEOUT, "too many other TLS handshakes stayed under way");
    assert_int_equal(hanging[0].answers, 0);
}

static void cancelled_while_it_waits_for_a_place(void **state)
{
    static const struct pool_profile upgrade = {.id = 9, .tls = true, .single_use = true};
    struct client c;
    (void)state;
    queue_for_tls(&c, &upgrade);
    pool_cancel(f.pool, &c.lease);
    fixture_settle(&f);
    assert_int_equal(c.answers, 0);
    assert_int_equal(f.engine.alive, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(no_path_asks_no_agent),
        TEST(agent_carries_it_and_is_told_whose_it_is),
        TEST(direct_first_asks_agents_only_when_it_failed),
        TEST(missing_agent_falls_through_at_once),
        TEST(only_a_failure_of_the_way_leads_to_the_next),
        TEST(agent_alone_fails_closed),
        TEST(agents_that_cannot_dial_are_a_way_that_failed),
        cmocka_unit_test_setup_teardown(without_agents_the_way_has_none, setup_without_agents, teardown),
        TEST(most_telling_failure_is_told_whichever_came_first),
        TEST(long_detail_leaves_room_for_the_other_way),
        TEST(missing_or_lost_agent_is_not_held_against_the_destination),
        TEST(ways_share_the_time_of_the_dial),
        TEST(the_last_way_has_all_that_is_left),
        TEST(silence_leaves_the_next_way_some_of_the_lease),
        TEST(no_way_is_begun_after_the_deadline),
        TEST(cancelled_while_an_agent_dials),
        TEST(cancelled_while_the_second_way_dials),
        TEST(cancelled_with_the_answer_known),
        TEST(pool_is_empty_when_agents_are),
        TEST(path_is_part_of_the_identity),
        TEST(agents_carry_no_spares),
        TEST(what_agents_dial_takes_no_place),
        TEST(a_dial_that_goes_on_to_an_agent_leaves_its_place),
        TEST(a_tunnel_without_a_place_for_its_next_way_is_told_at_once),
        TEST(a_request_without_a_place_for_its_next_way_waits_for_one),
        TEST(tls_over_an_agent_waits_for_a_place),
        TEST(what_is_lost_while_it_waits_for_a_place_is_told),
        TEST(what_ends_while_it_waits_for_a_place_is_told),
        cmocka_unit_test_setup_teardown(waiting_for_a_place_has_an_end, setup_with_long_connects, teardown),
        TEST(cancelled_while_it_waits_for_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
