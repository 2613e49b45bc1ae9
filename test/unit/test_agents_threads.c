/* test/unit/test_agents_threads.c — agents come, are chosen, held and go, on three workers in three threads
 * at once. Run under ThreadSanitizer too: cards are read by all workers, and freed by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/broker_worker.h"
#include "broker/konnectivity/agents.h"
#include "io/engine.h"
#include "io/mailbox.h"
#include "test/support/poll_engine.h"

enum { WORKERS = 3, CARDS = 12, HELD = 24, STEPS = 20000, STEPS_PER_TURN = 8 };

static struct side {
    _Alignas(CACHE_LINE) struct worker worker;
    struct broker_worker bw;
    struct agent_card *cards[CARDS]; /* announced here */
    struct agent_seen *held[HELD];
    uint64_t announced, chosen;
} sides[WORKERS];

static struct worker *const peers[WORKERS] = {&sides[0].worker, &sides[1].worker, &sides[2].worker};
static _Atomic uint64_t serial;
static _Atomic unsigned done;

static void come_or_go(struct side *s, unsigned i)
{
    if (s->cards[i]) {
        agents_withdraw(&s->bw, &s->cards[i]);
        return;
    }
    struct agent_card *card = agent_card_new(2);
    ASSERT(card);
    card->home = s->worker.number;
    card->serial = atomic_fetch_add(&serial, 1) + 1;
    card->host_count = 2;
    card->default_route = i % 2;
    snprintf(card->id, sizeof(card->id), "agent-%u", i);
    snprintf(card->hosts[0], AGENT_HOST_MAX, "host-%u", i);
    snprintf(card->hosts[1], AGENT_HOST_MAX, "host");
    s->cards[i] = card;
    s->announced++;
    agents_announce(&s->bw, card);
}

static void choose(struct side *s, unsigned i)
{
    static const struct agent_wish wish = {
        {CONFIG_STRATEGY_DEST_HOST, CONFIG_STRATEGY_DEFAULT_ROUTE, CONFIG_STRATEGY_DEFAULT},
        3
    };
    struct agents_request r = {.wish = &wish, .host = i % 2 ? "host" : "host-3"};
    if (s->held[i]) {
        agents_note_dial(s->bw.agents, s->held[i], i % 3);
        agents_let_go(s->bw.agents, &s->held[i]);
        return;
    }
    s->held[i] = agents_choose(s->bw.agents, &r);
    s->chosen += s->held[i] != NULL;
}

/* As a home does, and its keepalive. */
static void change(struct side *s, unsigned i)
{
    if (!s->cards[i])
        return;
    atomic_store_explicit(&s->cards[i]->draining, i % 4 == 0, memory_order_relaxed);
    atomic_store_explicit(&s->cards[i]->suspect_until_ns, s->worker.now_ns + 100000, memory_order_relaxed);
}

static void step(struct side *s)
{
    uint64_t dice = worker_random(&s->worker);
    unsigned card = (unsigned)(dice >> 8) % CARDS, held = (unsigned)(dice >> 24) % HELD;
    switch (dice % 8) {
    case 0: come_or_go(s, card); break;
    case 1: change(s, card); break;
    default: choose(s, held);
    }
}

static void side_main(struct worker *w)
{
    struct side *s = container_of(w, struct side, worker);
    for (unsigned i = 0; i < STEPS; i++) {
        step(s);
        if (i % STEPS_PER_TURN == 0)
            worker_turn(w, 0);
    }
    for (unsigned i = 0; i < CARDS; i++)
        if (s->cards[i])
            agents_withdraw(&s->bw, &s->cards[i]);
    for (unsigned i = 0; i < HELD; i++)
        if (s->held[i])
            agents_let_go(s->bw.agents, &s->held[i]);
    atomic_fetch_add(&done, 1);
    while (atomic_load(&done) < WORKERS)
        worker_turn(w, w->now_ns + 1000000);
}

/* What was under way when the threads ended, as broker_free() has it. */
static void bring_home(void)
{
    unsigned delivered;
    do {
        delivered = 0;
        for (unsigned i = 0; i < WORKERS; i++)
            mailbox_flush(&sides[i].worker);
        for (unsigned i = 0; i < WORKERS; i++)
            delivered += mailbox_drain(&sides[i].worker);
    } while (delivered > 0);
}

static void agents_come_and_go_under_those_who_choose(void **state)
{
    static const struct buf_limits limits = {
        {1, 1, 1}
    };
    struct mailboxes *mail;
    (void)state;
    assert_int_equal(mailboxes_new(WORKERS, 64, &mail), 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct side *s = &sides[i];
        assert_int_equal(worker_init(&s->worker, i, WORKERS, mail, &limits), 0);
        assert_int_equal(poll_engine_new(&s->worker, &s->worker.engine), 0);
        s->worker.peers = peers;
        s->worker.app = &s->bw;
        worker_start_clock(&s->worker);
        s->bw.worker = &s->worker;
        assert_int_equal(agents_new(&s->bw, &s->bw.agents), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(worker_start_thread(&sides[i].worker, -1, side_main), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(sides[i].worker.thread, NULL);
    bring_home();
    for (unsigned i = 0; i < WORKERS; i++) {
        struct agents_counts counts;
        agents_count(sides[i].bw.agents, &counts);
        assert_int_equal(counts.streams, 0);
        print_message("worker %u: %llu announced, %llu chosen\n", i, (unsigned long long)sides[i].announced,
                      (unsigned long long)sides[i].chosen);
        assert_true(sides[i].announced > 500 && sides[i].chosen > 1000);
        agents_free(&sides[i].bw.agents); /* the leak check: every card was freed */
        worker_fini(&sides[i].worker);
    }
    mailboxes_free(&mail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agents_come_and_go_under_those_who_choose)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
