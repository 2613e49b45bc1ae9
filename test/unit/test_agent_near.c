/* test/unit/test_agent_near.c — the near half of a connection through an agent, against every edge of a
 * stream's contract, and under random schedules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/agent_rig.h"

static const struct agent_wish any = {{CONFIG_STRATEGY_DEFAULT}, 1};

static struct agent_card *card;
static struct owner owner;
static struct far *far;

/* The agent's home is worker 1, or, in half of the tests, the one that dials. */
static int setup_at(unsigned home)
{
    agent_rig_start(2);
    card = agent_rig_announce(home, "a", "", false);
    agent_rig_settle();
    return 0;
}

static int setup_apart(void **state)
{
    (void)state;
    return setup_at(1);
}

static int setup_together(void **state)
{
    (void)state;
    return setup_at(0);
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(card->load, 0);
    agent_rig_withdraw(card);
    agent_rig_stop();
    return 0;
}

static void dial(struct owner *o)
{
    struct agents_request r = {.wish = &any, .host = "x"};
    struct agent_seen *agent = agents_choose(agent_rig.workers[0].bw.agents, &r);
    owner_dial(o, 0, &agent);
}

static void dial_and_open(void)
{
    dial(&owner);
    agent_rig_settle();
    far = far_last();
    far_open(far);
    agent_rig_settle();
    assert_true(owner.opened);
}

static void assert_closed(enum ending reason)
{
    agent_rig_settle();
    assert_int_equal(owner.closed, 1);
    assert_int_equal(owner.reason, reason);
    assert_int_equal(card->load, 0);
}

static void dials_and_opens(void **state)
{
    (void)state;
    dial(&owner);
    agent_rig_settle();
    far = far_last();
    assert_string_equal(far->address, "10.0.0.1:443");
    assert_true(far->deadline_ns == agent_rig.now_ns + 1000000000);
    assert_int_equal(far->credit, 0);
    assert_false(owner.opened);
    assert_int_equal(card->load, 1);
    far_open(far);
    agent_rig_settle();
    assert_true(owner.opened);
    owner_abort(&owner, ENDING_CANCELLED);
    assert_closed(ENDING_CANCELLED);
    assert_int_equal(far->abort_reason, ENDING_CANCELLED);
}

static void what_is_sent_before_open_is_kept(void **state)
{
    (void)state;
    dial(&owner);
    owner_send(&owner, 100);
    owner_grant(&owner, 50);
    owner_finish(&owner);
    agent_rig_settle();
    far = far_last();
    assert_int_equal(far->heard + far->credit, 0);
    far_open(far);
    agent_rig_settle();
    assert_int_equal(far->heard, 100);
    assert_int_equal(far->credit, 50);
    assert_true(far->fin);
    far_take(far, 1);
    far_end(far);
    far_close(far, ENDING_DONE, NULL);
    assert_closed(ENDING_DONE);
    assert_int_equal(owner.returned, 100);
    assert_true(owner.ended);
}

static void a_dial_that_fails_is_closed_with_its_reason(void **state)
{
    (void)state;
    static const struct {
        enum ending said, told;
        const char *detail, *text;
    } cases[] = {
        {ENDING_REFUSED,    ENDING_REFUSED,    "dial tcp: connection refused", "dial tcp: connection refused"},
        {ENDING_DEADLINE,   ENDING_DEADLINE,   NULL,                           ""                            },
        {ENDING_AGENT_LOST, ENDING_AGENT_LOST, "two\nlines\x1b[0m",            "two?lines?[0m"               },
        {ENDING_DONE,       ENDING_REFUSED,    NULL,                           ""                            },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        dial(&owner);
        owner_send(&owner, 10); /* is released */
        agent_rig_settle();
        far_close(far_last(), cases[i].said, cases[i].detail);
        assert_closed(cases[i].told);
        assert_string_equal(owner.detail, cases[i].text);
        assert_false(owner.opened);
    }
}

static void bytes_pass_both_ways(void **state)
{
    (void)state;
    dial_and_open();
    owner.grants_back = true;
    owner_grant(&owner, 65536);
    for (unsigned i = 0; i < 200; i++) {
        agent_rig_settle();
        far_data(far, 1 + (i * 997) % 60000 % (uint32_t)far->credit);
        owner_send_of(&owner, i % 2, 1 + i * 113 % 4096);
        agent_rig_settle();
        far_take(far, far->held_count);
    }
    agent_rig_settle();
    assert_int_equal(owner.received, far->said);
    assert_int_equal(owner.sent, far->heard);
    assert_int_equal(owner.sent, owner.returned);
    far_end(far);
    far_close(far, ENDING_DONE, NULL);
    agent_rig_settle();
    assert_true(owner.ended);
    assert_int_equal(owner.closed, 0); /* its own direction is open */
    owner_finish(&owner);
    assert_int_equal(owner.closed, 0); /* not from inside the call */
    assert_closed(ENDING_DONE);
}

static void untaken_bytes_stay_within_the_budget(void **state)
{
    (void)state;
    dial_and_open();
    for (unsigned i = 0; i < 100; i++)
        owner_send(&owner, 4096);
    owner_finish(&owner);
    agent_rig_settle();
    assert_int_equal(far->heard, 65536);
    assert_int_equal(stream_owed(&owner.near->stream), 100 * 4096);
    far_take(far, 3);
    agent_rig_settle();
    assert_int_equal(far->heard, 65536 + 3 * 4096);
    assert_int_equal(owner.returned, 3 * 4096);
    assert_int_equal(stream_owed(&owner.near->stream), 97 * 4096);
    while (far->held_count > 0) {
        assert_false(far->fin && far->heard < 100 * 4096);
        far_take(far, 1);
        agent_rig_settle();
    }
    assert_true(far->fin);
    assert_int_equal(stream_owed(&owner.near->stream), 0);
    assert_int_equal(owner.returned, 100 * 4096);
    owner_grant(&owner, 1);
    far_end(far);
    far_close(far, ENDING_DONE, NULL);
    assert_closed(ENDING_DONE);
}

static void a_segment_beyond_the_budget_goes_alone(void **state)
{
    (void)state;
    dial_and_open();
    owner_send(&owner, 1);
    owner_send(&owner, 300000);
    owner_send(&owner, 1);
    agent_rig_settle();
    assert_int_equal(far->heard, 1);
    far_take(far, 1);
    agent_rig_settle();
    assert_int_equal(far->heard, 300001);
    far_take(far, 1);
    agent_rig_settle();
    assert_int_equal(far->heard, 300002);
    owner_abort(&owner, ENDING_CANCELLED);
    assert_closed(ENDING_CANCELLED);
}

static void empty_segments_come_back(void **state)
{
    (void)state;
    dial_and_open();
    owner_send(&owner, 0);
    owner_send(&owner, 5);
    owner_send(&owner, 0);
    agent_rig_settle();
    far_take(far, far->held_count);
    agent_rig_settle();
    assert_int_equal(owner.segments_returned, 3);
    owner_abort(&owner, ENDING_CANCELLED);
    assert_closed(ENDING_CANCELLED);
}

static void credit_is_told_in_few_messages(void **state)
{
    (void)state;
    dial_and_open();
    owner.grants_back = true;
    owner_grant(&owner, 65536);
    agent_rig_settle();
    unsigned before = far->credits;
    for (unsigned i = 0; i < 256; i++) { /* 1 MiB in small segments, each granted anew at once */
        far_data(far, 4096);
        agent_rig_settle();
        assert_true(far->credit > 4096);
    }
    assert_in_range(far->credits - before, 1, 1 + 256 * 4096 / (65536 / 8));
    owner_abort(&owner, ENDING_CANCELLED);
    assert_closed(ENDING_CANCELLED);
}

/* However little is granted: what the far half may send is what was granted. */
static void credit_never_stalls(void **state)
{
    (void)state;
    dial_and_open();
    static const uint32_t grants[] = {1, 1, 4096, 8191, 65535, 3, 1000000, 7};
    for (unsigned i = 0; i < ARRAY_SIZE(grants); i++) {
        owner_grant(&owner, grants[i]);
        for (;;) {
            agent_rig_settle();
            uint32_t len = far->credit > 4096 ? 4096 : (uint32_t)far->credit;
            if (len == 0)
                break;
            far_data(far, len);
        }
        assert_int_equal(owner.received, owner.granted);
    }
    owner_abort(&owner, ENDING_CANCELLED);
    assert_closed(ENDING_CANCELLED);
}

static void an_end_waits_for_credit(void **state)
{
    (void)state;
    dial_and_open();
    owner_finish(&owner);
    agent_rig_settle();
    far_end(far);
    far_close(far, ENDING_DONE, NULL);
    agent_rig_settle();
    assert_false(owner.ended);
    assert_int_equal(owner.closed, 0);
    owner_grant(&owner, 1);
    assert_false(owner.ended);
    assert_closed(ENDING_DONE);
    assert_true(owner.ended);
}

static void a_loss_behind_an_unread_end_waits_for_it(void **state)
{
    (void)state;
    dial_and_open();
    far_end(far);
    far_close(far, ENDING_AGENT_LOST, NULL);
    agent_rig_settle();
    assert_int_equal(owner.closed, 0);
    owner_grant(&owner, 1);
    assert_closed(ENDING_AGENT_LOST);
    assert_true(owner.ended);
}

static void what_is_sent_after_the_end_is_reset(void **state)
{
    (void)state;
    for (unsigned told = 0; told < 2; told++) {
        dial_and_open();
        far_end(far);
        far_close(far, ENDING_DONE, NULL);
        if (told)
            owner_grant(&owner, 1);
        agent_rig_settle();
        assert_int_equal(owner.ended, told);
        owner_send(&owner, 0); /* nothing to be lost */
        agent_rig_settle();
        assert_int_equal(owner.closed, 0);
        owner_send(&owner, 10);
        owner_send(&owner, 10);
        assert_int_equal(owner.closed, 0);
        if (!told)
            owner_grant(&owner, 1);
        assert_closed(ENDING_PEER_RESET);
        assert_true(owner.ended);
        assert_int_equal(owner.returned, 0);
    }
}

static void an_end_that_left_bytes_untaken_is_reset(void **state)
{
    (void)state;
    for (unsigned finish = 0; finish < 2; finish++) {
        dial_and_open();
        owner_grant(&owner, 1);
        owner_send(&owner, 100);
        if (finish)
            owner_finish(&owner);
        agent_rig_settle();
        far_end(far);
        far_close(far, ENDING_DONE, NULL);
        assert_closed(ENDING_PEER_RESET);
        assert_true(owner.ended);
    }
}

/* The END is under way while the owner goes on. */
static void what_crosses_the_end_is_reset(void **state)
{
    (void)state;
    dial_and_open();
    owner_grant(&owner, 1);
    agent_rig_settle();
    far_end(far);
    far_close(far, ENDING_DONE, NULL);
    owner_send(&owner, 100);
    assert_closed(ENDING_PEER_RESET);
    assert_true(owner.ended);
    assert_true(agent_rig.strangers > 0); /* and it came home from there */
}

static void a_loss_is_told_whether_anybody_reads_or_not(void **state)
{
    (void)state;
    for (unsigned credit = 0; credit < 2; credit++) {
        dial_and_open();
        if (credit)
            owner_grant(&owner, 10);
        owner_send(&owner, 100);
        agent_rig_settle();
        far_close(far, ENDING_PEER_LOST, "gone");
        assert_closed(ENDING_PEER_LOST);
        assert_string_equal(owner.detail, "gone");
        assert_false(owner.ended);
    }
}

static void a_loss_after_the_end_is_told(void **state)
{
    (void)state;
    dial_and_open();
    owner_grant(&owner, 10);
    agent_rig_settle();
    far_end(far);
    agent_rig_settle();
    assert_true(owner.ended);
    far_close(far, ENDING_PEER_RESET, NULL);
    assert_closed(ENDING_PEER_RESET);
}

static void nothing_follows_an_abort_but_closed(void **state)
{
    (void)state;
    agent_rig.holds_aborts = true;
    dial_and_open();
    owner_grant(&owner, 10000);
    owner_send(&owner, 100);
    agent_rig_settle();
    owner_send(&owner, 100);
    owner_abort(&owner, ENDING_DEADLINE);
    owner_abort(&owner, ENDING_CANCELLED); /* no effect */
    owner_send(&owner, 100);
    owner_grant(&owner, 100);
    owner_finish(&owner);
    far_take(far, far->held_count);
    far_data(far, 5000);
    far_end(far);
    agent_rig_settle();
    assert_int_equal(owner.closed, 0); /* not before the far half is gone */
    assert_int_equal(card->load, 1);
    far_close(far, ENDING_PEER_RESET, NULL);
    assert_closed(ENDING_DEADLINE);
    assert_int_equal(owner.received, 0);
}

static void an_abort_without_a_reason_is_a_cancel(void **state)
{
    (void)state;
    dial_and_open();
    owner_abort(&owner, ENDING_DONE);
    assert_closed(ENDING_CANCELLED);
}

static void an_abort_while_it_dials(void **state)
{
    (void)state;
    for (unsigned settle = 0; settle < 2; settle++) {
        dial(&owner);
        if (settle)
            agent_rig_settle();
        owner_abort(&owner, ENDING_CANCELLED);
        assert_closed(ENDING_CANCELLED);
        assert_false(owner.opened);
        assert_true(far_last()->aborted);
    }
}

static void an_abort_crosses_what_the_home_says(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 3; what++) {
        unsigned before = agent_rig.strangers;
        dial(&owner);
        agent_rig_settle();
        far = far_last();
        if (what > 0)
            far_open(far);
        if (what > 1)
            agent_rig_settle();
        if (what > 1)
            far_end(far);
        far_close(far, what > 1 ? ENDING_DONE : ENDING_PEER_RESET, "late");
        owner_abort(&owner, ENDING_DEADLINE);
        assert_closed(ENDING_DEADLINE);
        assert_int_equal(agent_rig.strangers, before + 1);
    }
}

static void an_abort_after_the_far_half_is_gone(void **state)
{
    (void)state;
    for (unsigned told = 0; told < 2; told++) {
        dial_and_open();
        if (told)
            owner_grant(&owner, 1);
        far_end(far);
        far_close(far, ENDING_DONE, NULL);
        agent_rig_settle();
        assert_int_equal(owner.ended, told);
        owner_abort(&owner, ENDING_CANCELLED);
        assert_int_equal(owner.closed, 0);
        assert_closed(ENDING_CANCELLED);
    }
}

static void abort_it(struct owner *o)
{
    owner_abort(o, ENDING_CANCELLED);
}

static void an_abort_from_within_an_event(void **state)
{
    (void)state;
    dial_and_open();
    owner_grant(&owner, 100);
    agent_rig_settle();
    owner.on_data = abort_it;
    far_data(far, 10);
    far_data(far, 10);
    far_end(far);
    assert_closed(ENDING_CANCELLED);
    assert_int_equal(owner.received, 10);
}

/* Takes all buffers of a size; gives them back. */
static struct buf *hoard(struct worker *w, enum buf_class class)
{
    struct buf *all = NULL, *b;
    while ((b = buf_get(&w->bufs, class))) {
        memcpy(b->mem, &all, sizeof(struct buf *));
        all = b;
    }
    return all;
}

static void give_back(struct buf *all)
{
    while (all) {
        struct buf *b = all;
        memcpy(&all, b->mem, sizeof(struct buf *));
        buf_unref(b);
    }
}

/* Data of another worker waits for a buffer of this one; what comes behind it waits, too. */
static void data_waits_for_buffers(void **state)
{
    (void)state;
    dial_and_open();
    struct worker *w = owner.bw->worker;
    owner_grant(&owner, 60000);
    owner_finish(&owner);
    agent_rig_settle();
    struct buf *small = hoard(w, BUF_SMALL);
    for (unsigned i = 0; i < 5; i++)
        far_data(far, 1000);
    far_end(far);
    far_close(far, ENDING_DONE, NULL);
    agent_rig_settle();
    assert_int_equal(owner.received, 0);
    assert_false(owner.ended);
    assert_int_equal(owner.closed, 0);
    agent_rig_advance_ms(50);
    assert_int_equal(owner.received, 0);
    give_back(small);
    agent_rig_advance_ms(50);
    assert_int_equal(owner.received, 5000);
    assert_true(owner.ended);
    assert_closed(ENDING_DONE);
}

static void what_waits_for_buffers_pins_no_more_than_so_many(void **state)
{
    (void)state;
    dial_and_open();
    owner_grant(&owner, 60000);
    agent_rig_settle();
    struct buf *small = hoard(owner.bw->worker, BUF_SMALL);
    for (unsigned i = 0; i < 256; i++)
        far_data(far, 1);
    agent_rig_settle();
    assert_int_equal(owner.closed, 0);
    far_data(far, 1);
    agent_rig_settle();
    assert_closed(ENDING_LIMIT);
    give_back(small);
    assert_int_equal(owner.received, 0);
}

static void an_abort_while_data_waits_for_buffers(void **state)
{
    (void)state;
    dial_and_open();
    owner_grant(&owner, 60000);
    agent_rig_settle();
    struct buf *small = hoard(owner.bw->worker, BUF_SMALL);
    far_data(far, 1000);
    agent_rig_settle();
    owner_abort(&owner, ENDING_CANCELLED);
    assert_closed(ENDING_CANCELLED);
    give_back(small);
    assert_int_equal(owner.received, 0);
}

static void without_memory_there_is_no_near_half(void **state)
{
    (void)state;
    struct agents_request r = {.wish = &any, .host = "x"};
    struct broker_worker *bw = &agent_rig.workers[0].bw;
    struct agent_near_dial d = {1, 2, "h:1"};
    struct agent_seen *agent = agents_choose(bw->agents, &r);
    struct buf *small = hoard(bw->worker, BUF_SMALL), *big = hoard(bw->worker, BUF_BIG);
    assert_int_equal(card->load, 1);
    assert_null(agent_near_new(bw, &agent, &d));
    assert_null(agent);
    assert_int_equal(card->load, 0);
    give_back(small);
    give_back(big);
    agent = agents_choose(bw->agents, &r);
    uint32_t max = bw->agent_nears.objects_max;
    bw->agent_nears.objects_max = bw->agent_nears.used;
    bw->agent_nears.free_list = NULL; /* of none: no test before has used it */
    assert_null(agent_near_new(bw, &agent, &d));
    assert_int_equal(card->load, 0);
    bw->agent_nears.objects_max = max;
}

/* -- random schedules ---------------------------------------------------------------------------------------
 */

enum { OWNERS = 12, STEPS = 4000 };

struct pairing {
    struct owner owner;
    struct far *far; /* NULL: DIAL was not heard */
};

static unsigned random_seed;

static unsigned dice(unsigned sides)
{
    return (unsigned)rand_r(&random_seed) % sides;
}

static void find_far(struct pairing *p)
{
    for (unsigned i = 0; !p->far && i < agent_rig.far_count; i++)
        if (p->owner.near && agent_rig.fars[i]->near == p->owner.near)
            p->far = agent_rig.fars[i];
}

/* What the owner may do: mostly talk, seldom end. */
static void owner_acts(struct owner *o, unsigned bigness)
{
    switch (dice(24)) {
    case 0: owner_finish(o); return;
    case 1:
        if (dice(6) == 0)
            owner_abort(o, ENDING_CANCELLED);
        return;
    case 2:
    case 3:
    case 4:
    case 5: owner_grant(o, 1 + dice(bigness)); return;
    default:
        if (stream_owed(&o->near->stream) < 300000)
            owner_send_of(o, dice(agent_rig.count), dice(bigness));
    }
}

static void far_acts(struct far *f, unsigned bigness)
{
    uint32_t len = 1 + dice(bigness);
    if (!f->opened) {
        if (dice(10) == 0)
            far_close(f, ENDING_REFUSED, "refused");
        else
            far_open(f);
        return;
    }
    switch (dice(30)) {
    case 0:
        if (!f->ended)
            far_end(f);
        return;
    case 1:
        if (f->ended)
            far_close(f, ENDING_DONE, NULL);
        else if (dice(8) == 0)
            far_close(f, ENDING_PEER_RESET, "reset");
        return;
    case 2:
        if (f->fin && f->held_count == 0 && !f->ended)
            far_end(f);
        return;
    default:
        if (dice(2) && f->held_count > 0)
            far_take(f, 1 + dice(f->held_count));
        else if (!f->ended && f->credit > 0)
            far_data(f, len < f->credit ? len : (uint32_t)f->credit);
    }
}

static void finish_pairing(struct pairing *p)
{
    if (p->owner.near)
        owner_abort(&p->owner, ENDING_CANCELLED);
}

/* Bytes are exact by the rig's assertions; here: all that was owed has come. */
static void check_ended(const struct pairing *p)
{
    const struct owner *o = &p->owner;
    assert_int_equal(o->closed, 1);
    if (!p->far || o->aborted || o->reason != ENDING_DONE)
        return;
    assert_true(o->ended && o->finished);
    assert_int_equal(o->received, p->far->said);
    assert_int_equal(o->returned, p->far->heard);
}

static void random_connections(unsigned seed)
{
    static struct pairing pairings[OWNERS];
    unsigned bigness = 1u << (4 + seed % 13), done = 0;
    random_seed = seed;
    memset(pairings, 0, sizeof(pairings));
    for (unsigned i = 0; i < OWNERS; i++)
        dial(&pairings[i].owner);
    for (unsigned step = 0; step < STEPS; step++) {
        struct pairing *p = &pairings[dice(OWNERS)];
        find_far(p);
        if (dice(3) == 0)
            agent_rig_turn(dice(agent_rig.count));
        else if (dice(2) && p->owner.near)
            owner_acts(&p->owner, bigness);
        else if (p->far && p->far->near)
            far_acts(p->far, bigness);
        if (p->owner.closed && agent_rig.far_count < RIG_FARS_MAX) {
            check_ended(p);
            done += p->owner.reason == ENDING_DONE;
            memset(p, 0, sizeof(*p));
            dial(&p->owner);
        }
    }
    agent_rig_settle();
    for (unsigned i = 0; i < OWNERS; i++) {
        find_far(&pairings[i]);
        finish_pairing(&pairings[i]);
    }
    agent_rig_settle();
    for (unsigned i = 0; i < OWNERS; i++)
        check_ended(&pairings[i]);
    print_message("seed %u: %u dials, %u came to both ends\n", seed, agent_rig.far_count, done);
}

static void random_schedules_keep_the_contract(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 26; seed++) {
        if (agent_rig.far_count > 0) {
            teardown(NULL);
            setup_at(seed % 2);
        }
        random_connections(seed);
    }
}

int main(void)
{
#define APART(f) cmocka_unit_test_setup_teardown(f, setup_apart, teardown)
#define TOGETHER(f)                                                                                          \
    {                                                                                                        \
#f "_on_one_worker", f, setup_together, teardown, NULL                                               \
    }
#define BOTH(f) APART(f), TOGETHER(f)
    const struct CMUnitTest tests[] = {
        BOTH(dials_and_opens),
        BOTH(what_is_sent_before_open_is_kept),
        BOTH(a_dial_that_fails_is_closed_with_its_reason),
        BOTH(bytes_pass_both_ways),
        BOTH(untaken_bytes_stay_within_the_budget),
        BOTH(a_segment_beyond_the_budget_goes_alone),
        BOTH(empty_segments_come_back),
        BOTH(credit_is_told_in_few_messages),
        BOTH(credit_never_stalls),
        BOTH(an_end_waits_for_credit),
        BOTH(a_loss_behind_an_unread_end_waits_for_it),
        BOTH(what_is_sent_after_the_end_is_reset),
        BOTH(an_end_that_left_bytes_untaken_is_reset),
        BOTH(what_crosses_the_end_is_reset),
        BOTH(a_loss_is_told_whether_anybody_reads_or_not),
        BOTH(a_loss_after_the_end_is_told),
        BOTH(nothing_follows_an_abort_but_closed),
        BOTH(an_abort_without_a_reason_is_a_cancel),
        BOTH(an_abort_while_it_dials),
        BOTH(an_abort_crosses_what_the_home_says),
        BOTH(an_abort_after_the_far_half_is_gone),
        BOTH(an_abort_from_within_an_event),
        APART(data_waits_for_buffers),
        APART(what_waits_for_buffers_pins_no_more_than_so_many),
        APART(an_abort_while_data_waits_for_buffers),
        APART(without_memory_there_is_no_near_half),
        APART(random_schedules_keep_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
