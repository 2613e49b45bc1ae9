/* test/unit/test_agents.c — what workers know of agents, and which one is chosen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/agent_rig.h"

enum { MS = 1000000 };

static const struct agent_wish any = {{CONFIG_STRATEGY_DEFAULT}, 1};
static const struct agent_wish by_host = {{CONFIG_STRATEGY_DEST_HOST}, 1};
static const struct agent_wish by_route = {{CONFIG_STRATEGY_DEFAULT_ROUTE}, 1};
static const struct agent_wish host_then_any = {
    {CONFIG_STRATEGY_DEST_HOST, CONFIG_STRATEGY_DEFAULT},
    2
};

static int setup(void **state)
{
    (void)state;
    agent_rig_start(3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    agent_rig_stop();
    return 0;
}

static struct agents *agents_of(unsigned worker)
{
    return agent_rig.workers[worker].bw.agents;
}

static struct agent_seen *choose(unsigned worker, const struct agent_wish *wish, const char *host)
{
    struct agents_request r = {.wish = wish, .host = host};
    return agents_choose(agents_of(worker), &r);
}

static void let_go(unsigned worker, struct agent_seen *seen)
{
    agents_let_go(agents_of(worker), &seen);
}

/* The one that is chosen, let go at once; NULL: none. */
static struct agent_card *chosen(unsigned worker, const struct agent_wish *wish, const char *host)
{
    struct agent_seen *seen = choose(worker, wish, host);
    if (!seen)
        return NULL;
    struct agent_card *card = agents_card(seen);
    let_go(worker, seen);
    return card;
}

static struct agents_counts counts_of(unsigned worker)
{
    struct agents_counts counts;
    agents_count(agents_of(worker), &counts);
    return counts;
}

static void every_worker_knows_and_forgets(void **state)
{
    (void)state;
    struct agent_card *card = agent_rig_announce(1, "a", "10.0.0.1", false);
    for (unsigned i = 0; i < 3; i++)
        assert_null(chosen(i, &any, "x"));
    agent_rig_settle();
    for (unsigned i = 0; i < 3; i++) {
        assert_ptr_equal(chosen(i, &any, "x"), card);
        assert_int_equal(counts_of(i).streams, 1);
    }
    agent_rig_withdraw(card);
    agent_rig_settle();
    for (unsigned i = 0; i < 3; i++) {
        assert_null(chosen(i, &any, "x"));
        assert_int_equal(counts_of(i).streams, 0);
    }
}

static void a_withdrawal_on_the_heels_of_its_announcement(void **state)
{
    (void)state;
    agent_rig_withdraw(agent_rig_announce(2, "a", "h", true)); /* the leak check is the assertion */
    agent_rig_settle();
    assert_null(chosen(0, &any, "h"));
}

static void who_holds_an_agent_keeps_its_card(void **state)
{
    (void)state;
    struct agent_card *card = agent_rig_announce(0, "a", "", false);
    agent_rig_settle();
    struct agent_seen *one = choose(1, &any, "x"), *two = choose(1, &any, "x"), *far = choose(2, &any, "x");
    assert_int_equal(card->load, 3);
    agent_rig_withdraw(card);
    agent_rig_settle();
    assert_null(choose(1, &any, "x"));
    assert_int_equal(card->holders, 2); /* worker 0 has forgotten it */
    let_go(1, one);
    let_go(2, far);
    agent_rig_settle();
    assert_int_equal(card->holders, 1);
    assert_string_equal(card->id, "a");
    let_go(1, two); /* the last: the card is freed, or the leak check says so */
    agent_rig_settle();
}

static void strategies_find_what_agents_said(void **state)
{
    (void)state;
    struct agent_card *a = agent_rig_announce(0, "a", "10.0.0.1 node-a ::1", false);
    struct agent_card *b = agent_rig_announce(1, "b", "10.0.0.2 node-b node-b", true);
    agent_rig_settle();
    static const struct {
        const struct agent_wish *wish;
        const char *host;
        int which; /* 0: none */
    } cases[] = {
        {&by_host,       "10.0.0.1",  1},
        {&by_host,       "node-a",    1},
        {&by_host,       "::1",       1},
        {&by_host,       "10.0.0.2",  2},
        {&by_host,       "node-b",    2},
        {&by_host,       "node-B",    0}, /* letter by letter */
        {&by_host,       "10.0.0.10", 0},
        {&by_host,       "10.0.0",    0},
        {&by_host,       "",          0},
        {&by_host,       "a",         0}, /* an id is no host */
        {&by_route,      "10.0.0.1",  2},
        {&host_then_any, "10.0.0.2",  2},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (unsigned w = 0; w < 3; w++) {
            const struct agent_card *expected = cases[i].which == 1 ? a : cases[i].which == 2 ? b : NULL;
            if (chosen(w, cases[i].wish, cases[i].host) != expected)
                fail_msg("case %zu on worker %u", i, w);
        }
    agent_rig_withdraw(b);
    agent_rig_settle();
    assert_null(chosen(0, &by_host, "node-b"));
    assert_null(chosen(0, &by_route, "node-b"));
    assert_ptr_equal(chosen(0, &host_then_any, "node-b"), a);
    agent_rig_withdraw(a);
}

enum stands { WELL, SUSPECT, DRAINING };

static void stand(struct agent_card *card, enum stands stands)
{
    card->draining = stands == DRAINING;
    card->suspect_until_ns = stands == SUSPECT ? agent_rig.now_ns + 1000 * MS : 0;
}

static void standing_goes_before_strategy(void **state)
{
    (void)state;
    struct agent_card *near = agent_rig_announce(0, "near", "node", false);
    struct agent_card *other = agent_rig_announce(0, "other", "", false);
    agent_rig_settle();
    static const struct {
        enum stands near, other;
        bool takes_near;
    } cases[] = {
        {WELL,     WELL,     true },
        {WELL,     SUSPECT,  true },
        {WELL,     DRAINING, true },
        {SUSPECT,  WELL,     false},
        {SUSPECT,  SUSPECT,  true },
        {SUSPECT,  DRAINING, true },
        {DRAINING, WELL,     false},
        {DRAINING, SUSPECT,  false},
        {DRAINING, DRAINING, true },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        stand(near, cases[i].near);
        stand(other, cases[i].other);
        if (chosen(1, &host_then_any, "node") != (cases[i].takes_near ? near : other))
            fail_msg("case %zu", i);
        assert_ptr_equal(chosen(1, &by_host, "node"), near); /* there is no other */
    }
    stand(near, SUSPECT);
    stand(other, WELL);
    agent_rig_advance_ms(1001); /* suspicion passes */
    assert_ptr_equal(chosen(1, &host_then_any, "node"), near);
    agent_rig_withdraw(near);
    agent_rig_withdraw(other);
}

static void the_least_loaded_is_taken(void **state)
{
    (void)state;
    struct agent_card *cards[3];
    for (unsigned i = 0; i < 3; i++)
        cards[i] = agent_rig_announce(i, (const char *[]){"a", "b", "c"}[i], "", false);
    agent_rig_settle();
    cards[0]->load = 2;
    cards[1]->load = 1;
    cards[2]->load = 2;
    for (unsigned w = 0; w < 3; w++)
        assert_ptr_equal(chosen(w, &any, "x"), cards[1]);
    cards[1]->load = 2; /* equal: saves the hop */
    for (unsigned w = 0; w < 3; w++)
        assert_ptr_equal(chosen(w, &any, "x"), cards[w]);
    for (unsigned i = 0; i < 3; i++) {
        cards[i]->load = 0;
        agent_rig_withdraw(cards[i]);
    }
}

static void equal_ones_take_turns_by_chance(void **state)
{
    (void)state;
    struct agent_card *cards[4];
    unsigned taken[4] = {0};
    for (unsigned i = 0; i < 4; i++)
        cards[i] = agent_rig_announce(0, (const char *[]){"a", "b", "c", "d"}[i], "", false);
    agent_rig_settle();
    for (unsigned i = 0; i < 4000; i++) {
        struct agent_card *card = chosen(1, &any, "x");
        for (unsigned n = 0; n < 4; n++)
            taken[n] += card == cards[n];
    }
    for (unsigned n = 0; n < 4; n++) {
        assert_in_range(taken[n], 800, 1200);
        agent_rig_withdraw(cards[n]);
    }
}

/* With connections that last, loads are even: the worst of many agents is not far from the mean. */
static void many_agents_are_loaded_evenly(void **state)
{
    enum { AGENTS = 200, EACH = 20 };
    (void)state;
    static struct agent_card *cards[AGENTS];
    static struct agent_seen *held[AGENTS * EACH];
    for (unsigned i = 0; i < AGENTS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "agent-%u", i);
        cards[i] = agent_rig_announce(i % 3, id, "", false);
    }
    agent_rig_settle();
    for (unsigned i = 0; i < AGENTS * EACH; i++)
        held[i] = choose(0, &any, "x");
    for (unsigned i = 0; i < AGENTS; i++)
        assert_in_range(cards[i]->load, EACH - 5, EACH + 3);
    for (unsigned i = 0; i < AGENTS * EACH; i++)
        let_go(0, held[i]);
    for (unsigned i = 0; i < AGENTS; i++)
        agent_rig_withdraw(cards[i]);
}

static void one_of_many_is_found(void **state)
{
    enum { AGENTS = 300 };
    (void)state;
    static struct agent_card *cards[AGENTS];
    for (unsigned i = 0; i < AGENTS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "agent-%u", i);
        cards[i] = agent_rig_announce(0, id, "", false);
    }
    agent_rig_settle();
    for (unsigned i = 0; i < AGENTS; i++)
        stand(cards[i], i == 77 ? WELL : i % 2 ? SUSPECT : DRAINING);
    for (unsigned i = 0; i < 50; i++)
        assert_ptr_equal(chosen(0, &any, "x"), cards[77]);
    assert_int_equal(counts_of(2).streams, AGENTS);
    assert_int_equal(counts_of(2).draining, AGENTS / 2);
    assert_int_equal(counts_of(2).suspect, AGENTS / 2 - 1);
    assert_int_equal(counts_of(2).keys[CONFIG_STRATEGY_DEFAULT], AGENTS);
    assert_int_equal(stats_backends(&agent_rig.workers[2].bw.stats, STATS_DEFAULT), AGENTS);
    assert_int_equal(counts_of(2).ready[CONFIG_STRATEGY_DEFAULT], 1);
    for (unsigned i = 0; i < AGENTS; i++)
        agent_rig_withdraw(cards[i]);
}

static void streams_of_one_id_are_one_agent(void **state)
{
    (void)state;
    struct agent_card *old = agent_rig_announce(0, "same", "node", true);
    struct agent_card *other = agent_rig_announce(2, "other", "node", true);
    struct agent_card *young = agent_rig_announce(1, "same", "node", true);
    static const struct agent_wish *const wishes[] = {&any, &by_host, &by_route};
    agent_rig_settle();
    assert_int_equal(counts_of(0).streams, 3);
    assert_int_equal(counts_of(0).keys[CONFIG_STRATEGY_DEFAULT], 2);
    assert_int_equal(counts_of(0).keys[CONFIG_STRATEGY_DEFAULT_ROUTE], 2);
    assert_int_equal(counts_of(0).keys[CONFIG_STRATEGY_DEST_HOST], 1);
    for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
        old->load = 1;
        assert_ptr_equal(chosen(1, wishes[i], "node"), other); /* and not the younger one */
        old->load = 0;
        other->load = 1;
        assert_ptr_equal(chosen(1, wishes[i], "node"), old);
        stand(old, SUSPECT);
        assert_ptr_equal(chosen(1, wishes[i], "node"), young); /* the oldest that is well */
        stand(young, DRAINING);
        stand(other, DRAINING);
        assert_ptr_equal(chosen(1, wishes[i], "node"), old);
        other->load = 0;
        stand(old, WELL);
        stand(young, WELL);
        stand(other, WELL);
    }
    agent_rig_withdraw(old);
    agent_rig_settle();
    other->load = 1;
    assert_ptr_equal(chosen(0, &by_host, "node"), young);
    other->load = 0;
    agent_rig_withdraw(young);
    agent_rig_withdraw(other);
}

/* A stream that said less than an older one of the same id counts for what it said alone. */
static void only_streams_that_said_it_are_meant(void **state)
{
    (void)state;
    struct agent_card *old = agent_rig_announce(0, "same", "node-1", false);
    struct agent_card *young = agent_rig_announce(0, "same", "node-2", true);
    agent_rig_settle();
    assert_ptr_equal(chosen(0, &by_host, "node-2"), young);
    assert_ptr_equal(chosen(0, &by_route, "x"), young);
    assert_ptr_equal(chosen(0, &by_host, "node-1"), old);
    assert_ptr_equal(chosen(0, &any, "x"), old);
    agent_rig_withdraw(old);
    agent_rig_withdraw(young);
}

static void one_that_was_tried_is_left_out(void **state)
{
    (void)state;
    struct agent_card *cards[3];
    for (unsigned i = 0; i < 3; i++)
        cards[i] = agent_rig_announce(0, i == 2 ? "same" : i == 1 ? "same" : "a", "", false);
    agent_rig_settle();
    struct agents_request r = {.wish = &any, .host = "x"};
    for (unsigned i = 0; i < 3; i++) {
        struct agent_seen *seen = agents_choose(agents_of(0), &r);
        assert_non_null(seen);
        for (unsigned n = 0; n < r.tried_count; n++)
            assert_int_not_equal(r.tried[n], agents_card(seen)->serial);
        r.tried[r.tried_count++] = agents_card(seen)->serial;
        let_go(0, seen);
    }
    assert_null(agents_choose(agents_of(0), &r));
    for (unsigned i = 0; i < 3; i++)
        agent_rig_withdraw(cards[i]);
}

static void silence_is_remembered_for_a_while(void **state)
{
    (void)state;
    struct agent_card *a = agent_rig_announce(0, "a", "node", false);
    struct agent_card *b = agent_rig_announce(0, "b", "node", false);
    agent_rig_settle();
    b->load = 3;
    struct agent_seen *seen = choose(0, &by_host, "node");
    assert_ptr_equal(agents_card(seen), a);
    agents_note_dial(agents_of(0), seen, false);
    assert_ptr_equal(chosen(0, &by_host, "node"), b);
    assert_ptr_equal(chosen(1, &by_host, "node"), a); /* each by its own experience */
    agents_note_dial(agents_of(0), seen, true);
    assert_ptr_equal(chosen(0, &by_host, "node"), a);
    agents_note_dial(agents_of(0), seen, false);
    stand(b, SUSPECT);
    assert_ptr_equal(chosen(0, &by_host, "node"), a); /* it is not as bad as that */
    stand(b, WELL);
    agent_rig_advance_ms(5001);
    let_go(0, seen);
    assert_ptr_equal(chosen(0, &by_host, "node"), a);
    b->load = 0;
    agent_rig_withdraw(a);
    agent_rig_withdraw(b);
}

static bool count_visit(const struct agent_card *card, void *arg)
{
    unsigned *n = arg;
    assert_non_null(card);
    return ++*n < 2;
}

/* Agents come and go on all workers while others choose and let go; every count is what a model says. */
static void random_coming_and_going(void **state)
{
    enum { CARDS = 40, HELD = 60, STEPS = 20000 };
    static struct agent_card *cards[CARDS];
    static struct {
        struct agent_seen *seen;
        unsigned worker;
    } held[HELD];
    (void)state;
    unsigned seed = 7, there = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand_r(&seed) % CARDS, h = (unsigned)rand_r(&seed) % HELD;
        switch (rand_r(&seed) % 6) {
        case 0:
            if (cards[i]) {
                agent_rig_withdraw(cards[i]);
                cards[i] = NULL;
                there--;
            } else {
                char id[16], hosts[64];
                snprintf(id, sizeof(id), "agent-%u", i % 25);
                snprintf(hosts, sizeof(hosts), "h%u h%u common", i, i % 7);
                cards[i] = agent_rig_announce(i % 3, id, hosts, i % 2);
                there++;
            }
            break;
        case 1: /* choices are made by what a worker has heard of, which may be late */
        case 2:
            if (!held[h].seen) {
                static const struct agent_wish *const wishes[] = {&any, &by_host, &by_route, &host_then_any};
                held[h].worker = (unsigned)rand_r(&seed) % 3;
                held[h].seen = choose(held[h].worker, wishes[rand_r(&seed) % 4], i % 2 ? "common" : "h3");
            }
            break;
        case 3:
            if (held[h].seen)
                let_go(held[h].worker, held[h].seen);
            held[h].seen = NULL;
            break;
        case 4: agent_rig_turn((unsigned)rand_r(&seed) % 3); break;
        case 5:
            if (rand_r(&seed) % 20 == 0) {
                agent_rig_settle();
                for (unsigned w = 0; w < 3; w++) {
                    assert_int_equal(counts_of(w).streams, there);
                    unsigned visits = 0;
                    agents_each(agents_of(w), count_visit, &visits);
                    assert_int_equal(visits, there < 2 ? there : 2);
                }
            }
            break;
        }
    }
    for (unsigned h = 0; h < HELD; h++)
        if (held[h].seen)
            let_go(held[h].worker, held[h].seen);
    for (unsigned i = 0; i < CARDS; i++)
        if (cards[i])
            agent_rig_withdraw(cards[i]);
    agent_rig_settle();
    for (unsigned w = 0; w < 3; w++) {
        struct agents_counts counts = counts_of(w);
        assert_int_equal(counts.streams, 0);
        for (unsigned s = 0; s < CONFIG_STRATEGIES; s++) {
            assert_int_equal(counts.keys[s], 0);
            assert_int_equal(stats_backends(&agent_rig.workers[w].bw.stats, (enum stats_strategy)s), 0);
        }
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_worker_knows_and_forgets),
        TEST(a_withdrawal_on_the_heels_of_its_announcement),
        TEST(who_holds_an_agent_keeps_its_card),
        TEST(strategies_find_what_agents_said),
        TEST(standing_goes_before_strategy),
        TEST(the_least_loaded_is_taken),
        TEST(equal_ones_take_turns_by_chance),
        TEST(many_agents_are_loaded_evenly),
        TEST(one_of_many_is_found),
        TEST(streams_of_one_id_are_one_agent),
        TEST(only_streams_that_said_it_are_meant),
        TEST(one_that_was_tried_is_left_out),
        TEST(silence_is_remembered_for_a_while),
        TEST(random_coming_and_going),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
