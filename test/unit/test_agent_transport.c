/* test/unit/test_agent_transport.c — dials through agents: which answers stand, who is asked next, deadlines,
 * and what races with what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/konnectivity/agent_transport.h"
#include "pool/pool.h"
#include "pool/transport.h"
#include "test/support/agent_rig.h"

enum { CARDS_MAX = 4 };

static const struct agent_wish any = {{CONFIG_STRATEGY_DEFAULT}, 1};
static const struct agent_wish by_host = {{CONFIG_STRATEGY_DEST_HOST}, 1};
static const struct pool_path path = {1, 1, {POOL_WAY_AGENT}, &any};
static const struct pool_path host_path = {2, 1, {POOL_WAY_AGENT}, &by_host};

static struct transport *transports[RIG_WORKERS_MAX];
static struct agent_card *cards[CARDS_MAX];

/* Who dialled. */
struct dialler {
    unsigned worker, answers;
    struct dial *dial;
    bool in_call;
    struct stream *stream;
    enum ending ending;
    char address[200], detail[200];
    unsigned closed;
};

static struct dialler d;

static int setup(void **state)
{
    (void)state;
    agent_rig_start(3);
    memset(cards, 0, sizeof(cards));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(agent_transport_new(&agent_rig.workers[i].bw, &transports[i]), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CARDS_MAX; i++)
        if (cards[i]) {
            assert_int_equal(cards[i]->load, 0);
            agent_rig_withdraw(cards[i]);
        }
    agent_rig_settle();
    for (unsigned i = 0; i < 3; i++) {
        assert_true(transports[i]->ops->is_idle(transports[i]));
        transports[i]->ops->free(&transports[i]);
    }
    agent_rig_stop();
    return 0;
}

static void announce(unsigned i, unsigned home, const char *id, const char *hosts)
{
    cards[i] = agent_rig_announce(home, id, hosts, false);
    agent_rig_settle();
}

/* Agents a, b, … of worker 1, liked in this order. */
static void announce_in_order(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        announce(i, 1, (const char *[]){"a", "b", "c", "d"}[i], "");
        cards[i]->load = i * 10;
    }
}

static void forget_order(void)
{
    for (unsigned i = 0; i < CARDS_MAX; i++)
        if (cards[i])
            cards[i]->load -= i * 10;
}

static void on_open(struct stream *s)
{
    (void)s;
    fail_msg("it is open already");
}

static void on_seg(struct stream *s, struct seg seg)
{
    worker_release_seg(s->worker, seg);
}

static void on_end(struct stream *s)
{
    (void)s;
}

static void on_closed(struct stream *s, enum ending reason)
{
    struct dialler *di = s->owner;
    (void)reason;
    di->closed++;
    di->stream = NULL;
    stream_free(s);
}

static const struct stream_events events = {on_open, on_seg, on_seg, on_end, on_closed};

static void on_answered(void *owner, const struct dial_answer *answer)
{
    struct dialler *di = owner;
    assert_false(di->in_call);
    di->answers++;
    di->dial = NULL;
    di->stream = answer->stream;
    di->ending = answer->ending;
    snprintf(di->address, sizeof(di->address), "%s", answer->address);
    snprintf(di->detail, sizeof(di->detail), "%s", answer->detail);
    if (di->stream)
        stream_bind(di->stream, &events, di);
}

static void dial_by(struct dialler *di, unsigned worker, const struct pool_path *by, const char *host,
                    uint64_t deadline_ms)
{
    struct dial_request r = {.host = host,
                             .port = 443,
                             .path = by,
                             .deadline_ns = agent_rig.now_ns + deadline_ms * 1000000,
                             .answered = on_answered,
                             .owner = di};
    r.wanted_ns = r.deadline_ns;
    *di = (struct dialler){.worker = worker, .in_call = true};
    di->dial = transports[worker]->ops->dial(transports[worker], &r);
    assert_non_null(di->dial);
    di->in_call = false;
}

static void dial(void)
{
    dial_by(&d, 0, &path, "10.0.0.1", 8000);
}

static void cancel(struct dialler *di)
{
    transports[di->worker]->ops->cancel(transports[di->worker], &di->dial);
    assert_null(di->dial);
}

static void assert_answer(enum ending ending, const char *detail)
{
    agent_rig_settle();
    assert_int_equal(d.answers, 1);
    assert_null(d.stream);
    assert_int_equal(d.ending, ending);
    assert_string_equal(d.detail, detail);
}

static void hang_up(struct dialler *di)
{
    stream_abort(di->stream, ENDING_CANCELLED);
    agent_rig_settle();
    assert_int_equal(di->closed, 1);
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
    announce(0, 1, "agent-7", "");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char expected[64];
        dial_by(&d, (unsigned)i % 3, &path, cases[i].host, 8000);
        agent_rig_settle();
        assert_string_equal(far_last()->address, cases[i].address);
        assert_int_equal(d.answers, 0);
        far_open(far_last());
        agent_rig_settle();
        assert_int_equal(d.answers, 1);
        assert_non_null(d.stream);
        snprintf(expected, sizeof(expected), "%s via agent agent-7", cases[i].address);
        assert_string_equal(d.address, expected);
        hang_up(&d);
    }
}

static void ids_are_the_dialling_workers(void **state)
{
    (void)state;
    static struct dialler many[300];
    announce(0, 1, "a", "");
    for (unsigned i = 0; i < 300; i++)
        dial_by(&many[i], i % 3, &path, "h", 8000); /* that they differ is asserted where they are heard */
    agent_rig_settle();
    assert_int_equal(agent_rig.far_count, 300);
    for (unsigned i = 0; i < 300; i++)
        cancel(&many[i]);
    agent_rig_settle();
}

static void what_the_destination_did_stands(void **state)
{
    (void)state;
    announce_in_order(2);
    dial();
    agent_rig_settle();
    far_close(far_last(), ENDING_REFUSED, "dial tcp 10.0.0.1:443: connect: connection refused");
    assert_answer(ENDING_REFUSED,
                  "10.0.0.1:443 via agent a: dial tcp 10.0.0.1:443: connect: connection refused");
    assert_int_equal(agent_rig.far_count, 1);
    dial();
    agent_rig_settle();
    far_close(far_last(), ENDING_CONNECT_TIMEOUT, NULL);
    agent_rig_settle();
    assert_int_equal(d.ending, ENDING_CONNECT_TIMEOUT);
    assert_string_equal(d.address, "10.0.0.1:443 via agent a");
    assert_int_equal(agent_rig.far_count, 2);
    forget_order();
}

static struct agent_card *asked_first(void)
{
    dial();
    agent_rig_settle();
    struct agent_card *card = far_last()->card;
    cancel(&d);
    agent_rig_settle();
    return card;
}

static void another_agent_is_asked_when_one_can_not(void **state)
{
    (void)state;
    static const enum ending reasons[] = {ENDING_AGENT_LOST, ENDING_DEADLINE, ENDING_LIMIT,
                                          ENDING_DESCRIPTORS, ENDING_NO_SOURCE};
    announce_in_order(2);
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        dial();
        agent_rig_settle();
        assert_ptr_equal(far_last()->card, cards[0]);
        far_close(far_last(), reasons[i], NULL);
        agent_rig_settle();
        assert_int_equal(d.answers, 0);
        assert_ptr_equal(far_last()->card, cards[1]);
        far_open(far_last());
        agent_rig_settle();
        assert_string_equal(d.address, "10.0.0.1:443 via agent b");
        hang_up(&d);
        assert_ptr_equal(asked_first(), cards[1]); /* whatever it carries */
        agent_rig_advance_ms(5001);
        assert_ptr_equal(asked_first(), cards[0]);
    }
    forget_order();
}

static void three_agents_are_asked_at_most_and_none_twice(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 4; count++) {
        announce_in_order(count);
        unsigned before = agent_rig.far_count;
        dial();
        for (unsigned i = 0; i < 4; i++) {
            agent_rig_settle();
            if (agent_rig.far_count == before + i)
                break;
            assert_ptr_equal(far_last()->card, cards[i]);
            far_close(far_last(), ENDING_AGENT_LOST, NULL);
        }
        agent_rig_settle();
        assert_int_equal(agent_rig.far_count - before, count < 3 ? count : 3);
        assert_int_equal(d.answers, 1);
        assert_int_equal(d.ending, ENDING_AGENT_LOST);
        assert_string_equal(d.address, count == 1   ? "10.0.0.1:443 via agent a"
                                       : count == 2 ? "10.0.0.1:443 via agent b"
                                                    : "10.0.0.1:443 via agent c");
        forget_order();
        for (unsigned i = 0; i < count; i++) {
            agent_rig_withdraw(cards[i]);
            cards[i] = NULL;
        }
        agent_rig_settle();
    }
}

static void without_an_agent_it_says_so(void **state)
{
    (void)state;
    dial();
    assert_int_equal(d.answers, 0); /* not from inside the call */
    assert_answer(ENDING_NO_AGENT, "10.0.0.1:443: no agent is connected that could carry the connection");
    announce(0, 1, "a", "node-1");
    dial_by(&d, 0, &host_path, "node-2", 8000);
    agent_rig_settle();
    assert_int_equal(d.ending, ENDING_NO_AGENT);
    assert_int_equal(agent_rig.workers[0].bw.stats.dial_failures[STATS_DIAL_NO_AGENT], 2);
    dial_by(&d, 0, &host_path, "node-1", 8000);
    agent_rig_settle();
    far_open(far_last());
    agent_rig_settle();
    assert_non_null(d.stream);
    hang_up(&d);
}

static void one_that_is_silent_is_given_up_for_another(void **state)
{
    (void)state;
    announce(0, 1, "a", "");
    dial_by(&d, 0, &path, "h", 60000);
    agent_rig_settle();
    struct far *silent = far_last();
    assert_true(silent->deadline_ns == agent_rig.now_ns + 60000 * 1000000ull);
    agent_rig_advance_ms(5520);
    assert_false(silent->aborted); /* there is no other */
    cancel(&d);
    agent_rig_settle();
    announce(1, 1, "b", "");
    cards[1]->load = 10;
    dial_by(&d, 0, &path, "h", 60000);
    agent_rig_settle();
    silent = far_last();
    assert_ptr_equal(silent->card, cards[0]);
    agent_rig_advance_ms(5490);
    assert_ptr_equal(far_last(), silent);
    agent_rig_advance_ms(20);
    assert_true(silent->aborted);
    assert_ptr_equal(far_last()->card, cards[1]);
    agent_rig_advance_ms(5520);
    assert_false(far_last()->aborted);
    far_close(far_last(), ENDING_REFUSED, "refused");
    assert_answer(ENDING_REFUSED, "h:443 via agent b: refused");
    forget_order();
}

static void it_answers_by_its_deadline_whoever_does_not(void **state)
{
    (void)state;
    agent_rig.holds_aborts = true;
    announce_in_order(2);
    dial_by(&d, 0, &path, "h", 1000);
    agent_rig_advance_ms(990);
    assert_int_equal(d.answers, 0);
    agent_rig_advance_ms(20);
    assert_answer(ENDING_DEADLINE, "h:443 via agent a: the agent did not answer in time");
    assert_int_equal(agent_rig.far_count, 1);
    assert_true(far_last()->aborted);
    assert_false(transports[0]->ops->is_idle(transports[0])); /* an orphan */
    assert_int_equal(cards[0]->load, 1);
    dial_by(&d, 0, &path, "h", 1000);
    agent_rig_settle();
    assert_ptr_equal(far_last()->card, cards[1]); /* the silent one is liked less */
    cancel(&d);
    agent_rig_settle();
    for (unsigned i = 0; i < 2; i++)
        far_close(agent_rig.fars[i], ENDING_CANCELLED, NULL);
    agent_rig_settle();
    assert_true(transports[0]->ops->is_idle(transports[0]));
    forget_order();
}

static void without_time_nobody_else_is_asked(void **state)
{
    (void)state;
    announce_in_order(2);
    dial_by(&d, 0, &path, "h", 1000);
    agent_rig_settle();
    far_close(far_last(), ENDING_AGENT_LOST, NULL);
    agent_rig.now_ns += 1000 * 1000000ull; /* the message and the clock in one turn */
    agent_rig_settle();
    assert_int_equal(d.answers, 1);
    assert_int_equal(agent_rig.far_count, 1);
    dial_by(&d, 0, &path, "h", 0); /* late from the beginning */
    agent_rig_advance_ms(20);
    assert_int_equal(d.answers, 1);
    assert_int_equal(d.ending, ENDING_DEADLINE);
    forget_order();
}

static void it_can_be_cancelled_at_any_moment(void **state)
{
    (void)state;
    announce_in_order(2);
    for (unsigned moment = 0; moment < 6; moment++) {
        dial();
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
        cancel(&d);
        agent_rig_settle();
        assert_int_equal(d.answers, 0);
        assert_true(transports[0]->ops->is_idle(transports[0]));
        assert_int_equal(cards[0]->load, 0);
        assert_int_equal(cards[1]->load, 10);
    }
    forget_order();
    agent_rig_withdraw(cards[0]);
    agent_rig_withdraw(cards[1]);
    cards[0] = cards[1] = NULL;
    agent_rig_settle();
    dial(); /* has failed, and not said so */
    cancel(&d);
    agent_rig_settle();
    assert_int_equal(d.answers, 0);
}

static void an_agent_that_leaves_while_it_is_asked(void **state)
{
    (void)state;
    for (unsigned heard = 0; heard < 3; heard++) {
        announce(0, 1, "a", "");
        dial();
        if (heard > 0)
            agent_rig_turn(0);
        if (heard > 1)
            agent_rig_turn(1);
        agent_rig_withdraw(cards[0]); /* before or after DIAL is heard */
        cards[0] = NULL;
        assert_answer(ENDING_AGENT_LOST, "10.0.0.1:443 via agent a: the agent that carried the connection is "
                                         "gone");
    }
}

static void a_stream_outlives_its_agent_by_its_end(void **state)
{
    (void)state;
    announce(0, 1, "a", "");
    dial();
    agent_rig_settle();
    far_open(far_last());
    agent_rig_settle();
    agent_rig_withdraw(cards[0]);
    cards[0] = NULL;
    stream_grant(d.stream, 100); /* still addresses the card */
    agent_rig_settle();
    assert_int_equal(d.closed, 1);
}

static void without_memory_it_fails_at_once(void **state)
{
    (void)state;
    announce_in_order(2);
    struct slab *nears = &agent_rig.workers[0].bw.agent_nears;
    uint32_t max = nears->objects_max;
    nears->objects_max = 0;
    dial();
    assert_answer(ENDING_LIMIT, "10.0.0.1:443 via agent a: out of memory for a connection");
    nears->objects_max = max;
    forget_order();
}

static void dials_are_bounded(void **state)
{
    enum { MOST = 1024 };
    (void)state;
    static struct dialler many[MOST];
    announce(0, 0, "a", "");
    for (unsigned i = 0; i < MOST; i++)
        dial_by(&many[i], 0, &path, "h", 8000);
    struct dial_request r = {.host = "h", .path = &path, .answered = on_answered};
    assert_null(transports[0]->ops->dial(transports[0], &r));
    for (unsigned i = 0; i < MOST; i++)
        cancel(&many[i]);
    agent_rig_settle();
}

/* Dials on three workers, agents that come and go on them, answers of every kind, cancels, and time. */
static void random_dials(void **state)
{
    enum { DIALLERS = 30, STEPS = 30000 };
    static struct dialler all[DIALLERS];
    (void)state;
    unsigned seed = 3, opened = 0, failed[ENDING_COUNT] = {0};
    memset(all, 0, sizeof(all));
    for (unsigned step = 0; step < STEPS && agent_rig.far_count < RIG_FARS_MAX; step++) {
        struct dialler *di = &all[rand_r(&seed) % DIALLERS];
        unsigned young = agent_rig.far_count < 30 ? agent_rig.far_count : 30;
        struct far *far = NULL;
        if (young > 0)
            far = agent_rig.fars[agent_rig.far_count - 1 - (unsigned)rand_r(&seed) % young];
        unsigned c = (unsigned)rand_r(&seed) % CARDS_MAX;
        switch (rand_r(&seed) % 8) {
        case 0:
            if (rand_r(&seed) % 40)
                break;
            if (cards[c])
                agent_rig_withdraw(cards[c]);
            cards[c] = cards[c]
                           ? NULL
                           : agent_rig_announce(c % 3, (const char *[]){"a", "b", "c", "a"}[c], "", false);
            break;
        case 1:
            if (!di->dial && !di->stream)
                dial_by(di, (unsigned)rand_r(&seed) % 3, &path, "h", 1 + (unsigned)rand_r(&seed) % 3000);
            break;
        case 2:
            if (di->dial && rand_r(&seed) % 4 == 0)
                cancel(di);
            else if (di->stream)
                stream_abort(di->stream, ENDING_CANCELLED);
            break;
        case 3:
        case 4:
            if (far && far->near && !far->opened) {
                static const enum ending reasons[] = {ENDING_REFUSED, ENDING_AGENT_LOST, ENDING_DEADLINE};
                if (rand_r(&seed) % 2)
                    far_open(far);
                else
                    far_close(far, reasons[rand_r(&seed) % 3], "why");
            }
            break;
        case 5: agent_rig.now_ns += (unsigned)rand_r(&seed) % 20 * 1000000ull; break;
        default: agent_rig_turn((unsigned)rand_r(&seed) % 3);
        }
        if (di->answers == 1 && !di->stream && !di->closed) {
            failed[di->ending]++;
            di->answers = 0;
        } else if (di->answers == 1) {
            opened++;
            di->answers = 2;
        }
    }
    print_message("%u dials heard, %u opened, %u refused, %u lost, %u silent, %u without an agent\n",
                  agent_rig.far_count, opened, failed[ENDING_REFUSED], failed[ENDING_AGENT_LOST],
                  failed[ENDING_DEADLINE], failed[ENDING_NO_AGENT]);
    assert_true(opened > 50 && failed[ENDING_REFUSED] > 50 && failed[ENDING_AGENT_LOST] > 10 &&
                failed[ENDING_DEADLINE] > 10 && failed[ENDING_NO_AGENT] > 10);
    for (unsigned i = 0; i < DIALLERS; i++) {
        if (all[i].dial)
            cancel(&all[i]);
        if (all[i].stream)
            stream_abort(all[i].stream, ENDING_CANCELLED);
    }
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
    announce(0, 1, "a", "node-1");
    struct endpoint_key key = {.profile = &profile, .path = &host_path, .host = "node-1", .port = 10250};
    struct lease lease = {.granted = on_granted, .failed = on_failed};
    pool_lease(pool, &key, &lease, agent_rig.now_ns + 4000000000);
    agent_rig_settle();
    assert_string_equal(far_last()->address, "node-1:10250");
    far_open(far_last());
    agent_rig_settle();
    struct conn *conn = lease.owner;
    assert_non_null(conn);
    assert_string_equal(conn_address_text(conn), "node-1:10250 via agent a");
    assert_int_equal(cards[0]->load, 1);
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
        TEST(an_open_stream_is_the_answer),
        TEST(ids_are_the_dialling_workers),
        TEST(what_the_destination_did_stands),
        TEST(another_agent_is_asked_when_one_can_not),
        TEST(three_agents_are_asked_at_most_and_none_twice),
        TEST(without_an_agent_it_says_so),
        TEST(one_that_is_silent_is_given_up_for_another),
        TEST(it_answers_by_its_deadline_whoever_does_not),
        TEST(without_time_nobody_else_is_asked),
        TEST(it_can_be_cancelled_at_any_moment),
        TEST(an_agent_that_leaves_while_it_is_asked),
        TEST(a_stream_outlives_its_agent_by_its_end),
        TEST(without_memory_it_fails_at_once),
        TEST(dials_are_bounded),
        TEST(random_dials),
        TEST(a_pool_leases_what_an_agent_carries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
