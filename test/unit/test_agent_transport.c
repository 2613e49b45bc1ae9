/* test/unit/test_agent_transport.c — dials through agents: which answers stand, deadlines, cancelling, and
 * what races with what. Who is asked next: test_agent_transport_next.c; any order of all:
 * test_agent_transport_random.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pool/pool.h"
#include "test/support/dial_rig.h"

static int setup(void **state)
{
    (void)state;
    dial_rig_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dial_rig_stop();
    return 0;
}

static void an_open_stream_is_the_answer(void **state)
{
    (void)state;
    static const struct {
        const char *host, *address;
    } cases[] = {
        {"10.0.0.1",    "10.0.0.1:443"   },
        {"node-1.test", "node-1.test:443"},
        {"fd00::1",     "[fd00::1]:443"  },
    };
    dial_rig_announce(0, 1, "agent-7", "");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char expected[64];
        dialler_dial(&dial_rig.d, (unsigned)i % 3, &dial_rig_path, cases[i].host, 8000);
        agent_rig_settle();
        assert_string_equal(far_last()->address, cases[i].address);
        assert_int_equal(dial_rig.d.answers, 0);
        far_open(far_last());
        agent_rig_settle();
        assert_int_equal(dial_rig.d.answers, 1);
        assert_non_null(dial_rig.d.stream);
        snprintf(expected, sizeof(expected), "%s via agent agent-7", cases[i].address);
        assert_string_equal(dial_rig.d.address, expected);
        dialler_hang_up(&dial_rig.d);
    }
}

static void ids_are_the_dialling_workers(void **state)
{
    (void)state;
    static struct dialler many[300];
    dial_rig_announce(0, 1, "a", "");
    for (unsigned i = 0; i < 300; i++)
        dialler_dial(&many[i], i % 3, &dial_rig_path, "h",
                     8000); /* that they differ is asserted where they are heard */
    agent_rig_settle();
    assert_int_equal(agent_rig.far_count, 300);
    for (unsigned i = 0; i < 300; i++)
        dialler_cancel(&many[i]);
    agent_rig_settle();
}

static void what_the_destination_did_stands(void **state)
{
    (void)state;
    dial_rig_announce_in_order(2);
    dial_rig_dial();
    agent_rig_settle();
    far_close(far_last(), ENDING_REFUSED, "dial tcp 10.0.0.1:443: connect: connection refused");
    dial_rig_assert_answer(ENDING_REFUSED,
                           "10.0.0.1:443 via agent a: dial tcp 10.0.0.1:443: connect: connection refused");
    assert_int_equal(agent_rig.far_count, 1);
    dial_rig_dial();
    agent_rig_settle();
    far_close(far_last(), ENDING_CONNECT_TIMEOUT, NULL);
    agent_rig_settle();
    assert_int_equal(dial_rig.d.ending, ENDING_CONNECT_TIMEOUT);
    assert_string_equal(dial_rig.d.address, "10.0.0.1:443 via agent a");
    assert_int_equal(agent_rig.far_count, 2);
    dial_rig_forget_order();
}

static void it_answers_by_its_deadline_whoever_does_not(void **state)
{
    (void)state;
    agent_rig.holds_aborts = true;
    dial_rig_announce_in_order(2);
    dialler_dial(&dial_rig.d, 0, &dial_rig_path, "h", 1000);
    agent_rig_advance_ms(990);
    assert_int_equal(dial_rig.d.answers, 0);
    agent_rig_advance_ms(20);
    dial_rig_assert_answer(ENDING_DEADLINE, "h:443 via agent a: the agent did not answer in time");
    assert_int_equal(agent_rig.far_count, 1);
    assert_true(far_last()->aborted);
    assert_false(dial_rig.transports[0]->ops->is_idle(dial_rig.transports[0])); /* an orphan */
    assert_int_equal(dial_rig.cards[0]->load, 1);
    dialler_dial(&dial_rig.d, 0, &dial_rig_path, "h", 1000);
    agent_rig_settle();
    assert_ptr_equal(far_last()->card, dial_rig.cards[1]); /* the silent one is liked less */
    dialler_cancel(&dial_rig.d);
    agent_rig_settle();
    for (unsigned i = 0; i < 2; i++)
        far_close(agent_rig.fars[i], ENDING_CANCELLED, NULL);
    agent_rig_settle();
    assert_true(dial_rig.transports[0]->ops->is_idle(dial_rig.transports[0]));
    dial_rig_forget_order();
}

static void it_can_be_cancelled_at_any_moment(void **state)
{
    (void)state;
    dial_rig_announce_in_order(2);
    for (unsigned moment = 0; moment < 6; moment++) {
        dial_rig_dial();
        if (moment > 0)
            agent_rig_settle();
        struct far *far = far_last();
        if (moment == 2)
            far_open(far); /* crosses the cancel */
        if (moment == 3)
            far_close(far, ENDING_REFUSED, "refused");
        if (moment >= 4) { /* the second agent is asked */
            far_close(far, ENDING_AGENT_LOST, NULL);
            agent_rig_settle();
            assert_ptr_not_equal(far_last(), far);
        }
        if (moment == 5)
            far_open(far_last());
        dialler_cancel(&dial_rig.d);
        agent_rig_settle();
        assert_int_equal(dial_rig.d.answers, 0);
        assert_true(dial_rig.transports[0]->ops->is_idle(dial_rig.transports[0]));
        assert_int_equal(dial_rig.cards[0]->load, 0);
        assert_int_equal(dial_rig.cards[1]->load, 10);
    }
    dial_rig_forget_order();
    agent_rig_withdraw(dial_rig.cards[0]);
    agent_rig_withdraw(dial_rig.cards[1]);
    dial_rig.cards[0] = dial_rig.cards[1] = NULL;
    agent_rig_settle();
    dial_rig_dial(); /* has failed, and not said so */
    dialler_cancel(&dial_rig.d);
    agent_rig_settle();
    assert_int_equal(dial_rig.d.answers, 0);
}

static void a_stream_outlives_its_agent_by_its_end(void **state)
{
    (void)state;
    dial_rig_announce(0, 1, "a", "");
    dial_rig_dial();
    agent_rig_settle();
    far_open(far_last());
    agent_rig_settle();
    agent_rig_withdraw(dial_rig.cards[0]);
    dial_rig.cards[0] = NULL;
    stream_grant(dial_rig.d.stream, 100); /* still addresses the card */
    agent_rig_settle();
    assert_int_equal(dial_rig.d.closed, 1);
}

static void without_memory_it_fails_at_once(void **state)
{
    (void)state;
    dial_rig_announce_in_order(2);
    struct slab *nears = &agent_rig.workers[0].bw.agent_nears;
    uint32_t max = nears->objects_max;
    nears->objects_max = 0;
    dial_rig_dial();
    dial_rig_assert_answer(ENDING_LIMIT, "10.0.0.1:443 via agent a: out of memory for a connection");
    nears->objects_max = max;
    dial_rig_forget_order();
}

static void dials_are_bounded(void **state)
{
    enum { MOST = 1024 };
    (void)state;
    static struct dialler many[MOST];
    dial_rig_announce(0, 0, "a", "");
    for (unsigned i = 0; i < MOST; i++)
        dialler_dial(&many[i], 0, &dial_rig_path, "h", 8000);
    struct dial_request r = {.host = "h", .path = &dial_rig_path, .answered = dialler_answered};
    assert_null(dial_rig.transports[0]->ops->dial(dial_rig.transports[0], &r));
    for (unsigned i = 0; i < MOST; i++)
        dialler_cancel(&many[i]);
    agent_rig_settle();
}

/* -- under a pool -------------------------------------------------------------------------------------------
 */

static void on_granted(struct lease *l, struct conn *conn, enum lease_how how)
{
    assert_int_equal(how, LEASE_NEW);
    l->owner = conn;
}

static void on_failed(struct lease *l, enum ending ending, const char *detail)
{
    (void)l;
    fail_msg("%s: %s", ending_name(ending), detail);
}

static void a_pool_leases_what_an_agent_carries(void **state)
{
    (void)state;
    struct transport *agents;
    struct pool *pool;
    struct broker_worker *bw = &agent_rig.workers[0].bw;
    static const struct pool_profile profile = {.id = 1, .single_use = true};
    assert_int_equal(agent_transport_new(bw, &agents), 0);
    struct pool_options options = {
        .limits = {.endpoints_max = 4,
                   .conns_per_endpoint_max = 4,
                   .waiters_per_endpoint_max = 4,
                   .dials_in_flight_max = 4,
                   .wait_ms = 1000,
                   .idle_ms = 1000,
                   .age_max_ms = 10000,
                   .resolve_ms = 1000,
                   .connect_ms = 1000,
                   .tls_ms = 1000,
                   .dial_ms = 4000,
                   .breaker_failures = 3,
                   .backoff_min_ms = 100,
                   .backoff_max_ms = 1000},
        .agents = agents
    };
    assert_int_equal(pool_new(bw->worker, &options, &pool), 0);
    dial_rig_announce(0, 1, "a", "node-1");
    struct endpoint_key key = {
        .profile = &profile, .path = &dial_rig_host_path, .host = "node-1", .port = 10250};
    struct lease lease = {.granted = on_granted, .failed = on_failed};
    pool_lease(pool, &key, &lease, agent_rig.now_ns + 4000000000);
    agent_rig_settle();
    assert_string_equal(far_last()->address, "node-1:10250");
    far_open(far_last());
    agent_rig_settle();
    struct conn *conn = lease.owner;
    assert_non_null(conn);
    assert_string_equal(conn_address_text(conn), "node-1:10250 via agent a");
    assert_int_equal(dial_rig.cards[0]->load, 1);
    pool_discard(pool, &conn, ENDING_DONE);
    agent_rig_settle();
    if (far_last()->near) { /* closed politely: FIN, and the far half ends */
        assert_true(far_last()->fin);
        far_end(far_last());
        far_close(far_last(), ENDING_DONE, NULL);
    }
    pool_drain(pool);
    agent_rig_advance_ms(5000);
    assert_true(pool_is_empty(pool));
    pool_free(&pool);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_open_stream_is_the_answer),        TEST(ids_are_the_dialling_workers),
        TEST(what_the_destination_did_stands),     TEST(it_answers_by_its_deadline_whoever_does_not),
        TEST(it_can_be_cancelled_at_any_moment),   TEST(a_stream_outlives_its_agent_by_its_end),
        TEST(without_memory_it_fails_at_once),     TEST(dials_are_bounded),
        TEST(a_pool_leases_what_an_agent_carries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
