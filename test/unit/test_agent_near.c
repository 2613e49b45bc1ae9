/* test/unit/test_agent_near.c — the near half of a connection through an agent, against the edges of a
 * stream's contract: opening, bytes, credit, buffers. Its ends: test_agent_near_ends.c; any order of all:
 * test_agent_near_random.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/near_rig.h"

static void dials_and_opens(void **state)
{
    (void)state;
    near_rig_dial(&near_rig.owner);
    agent_rig_settle();
    near_rig.far = far_last();
    assert_string_equal(near_rig.far->address, "10.0.0.1:443");
    assert_true(near_rig.far->deadline_ns == agent_rig.now_ns + 1000000000);
    assert_int_equal(near_rig.far->credit, 0);
    assert_false(near_rig.owner.opened);
    assert_int_equal(near_rig.card->load, 1);
    far_open(near_rig.far);
    agent_rig_settle();
    assert_true(near_rig.owner.opened);
    owner_abort(&near_rig.owner, ENDING_CANCELLED);
    near_rig_assert_closed(ENDING_CANCELLED);
    assert_int_equal(near_rig.far->abort_reason, ENDING_CANCELLED);
}

static void what_is_sent_before_open_is_kept(void **state)
{
    (void)state;
    near_rig_dial(&near_rig.owner);
    owner_send(&near_rig.owner, 100);
    owner_grant(&near_rig.owner, 50);
    owner_finish(&near_rig.owner);
    agent_rig_settle();
    near_rig.far = far_last();
    assert_int_equal(near_rig.far->heard + near_rig.far->credit, 0);
    far_open(near_rig.far);
    agent_rig_settle();
    assert_int_equal(near_rig.far->heard, 100);
    assert_int_equal(near_rig.far->credit, 50);
    assert_true(near_rig.far->fin);
    far_take(near_rig.far, 1);
    far_end(near_rig.far);
    far_close(near_rig.far, ENDING_DONE, NULL);
    near_rig_assert_closed(ENDING_DONE);
    assert_int_equal(near_rig.owner.returned, 100);
    assert_true(near_rig.owner.ended);
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
        near_rig_dial(&near_rig.owner);
        owner_send(&near_rig.owner, 10); /* is released */
        agent_rig_settle();
        far_close(far_last(), cases[i].said, cases[i].detail);
        near_rig_assert_closed(cases[i].told);
        assert_string_equal(near_rig.owner.detail, cases[i].text);
        assert_false(near_rig.owner.opened);
    }
}

static void bytes_pass_both_ways(void **state)
{
    (void)state;
    near_rig_open();
    near_rig.owner.grants_back = true;
    owner_grant(&near_rig.owner, 65536);
    for (unsigned i = 0; i < 200; i++) {
        agent_rig_settle();
        far_data(near_rig.far, 1 + (i * 997) % 60000 % (uint32_t)near_rig.far->credit);
        owner_send_of(&near_rig.owner, i % 2, 1 + i * 113 % 4096);
        agent_rig_settle();
        far_take(near_rig.far, near_rig.far->held_count);
    }
    agent_rig_settle();
    assert_int_equal(near_rig.owner.received, near_rig.far->said);
    assert_int_equal(near_rig.owner.sent, near_rig.far->heard);
    assert_int_equal(near_rig.owner.sent, near_rig.owner.returned);
    far_end(near_rig.far);
    far_close(near_rig.far, ENDING_DONE, NULL);
    agent_rig_settle();
    assert_true(near_rig.owner.ended);
    assert_int_equal(near_rig.owner.closed, 0); /* its own direction is open */
    owner_finish(&near_rig.owner);
    assert_int_equal(near_rig.owner.closed, 0); /* not from inside the call */
    near_rig_assert_closed(ENDING_DONE);
}

static void untaken_bytes_stay_within_the_budget(void **state)
{
    (void)state;
    near_rig_open();
    for (unsigned i = 0; i < 100; i++)
        owner_send(&near_rig.owner, 4096);
    owner_finish(&near_rig.owner);
    agent_rig_settle();
    assert_int_equal(near_rig.far->heard, 65536);
    assert_int_equal(stream_owed(&near_rig.owner.near->stream), 100 * 4096);
    far_take(near_rig.far, 3);
    agent_rig_settle();
    assert_int_equal(near_rig.far->heard, 65536 + 3 * 4096);
    assert_int_equal(near_rig.owner.returned, 3 * 4096);
    assert_int_equal(stream_owed(&near_rig.owner.near->stream), 97 * 4096);
    while (near_rig.far->held_count > 0) {
        assert_false(near_rig.far->fin && near_rig.far->heard < 100 * 4096);
        far_take(near_rig.far, 1);
        agent_rig_settle();
    }
    assert_true(near_rig.far->fin);
    assert_int_equal(stream_owed(&near_rig.owner.near->stream), 0);
    assert_int_equal(near_rig.owner.returned, 100 * 4096);
    owner_grant(&near_rig.owner, 1);
    far_end(near_rig.far);
    far_close(near_rig.far, ENDING_DONE, NULL);
    near_rig_assert_closed(ENDING_DONE);
}

static void a_segment_beyond_the_budget_goes_alone(void **state)
{
    (void)state;
    near_rig_open();
    owner_send(&near_rig.owner, 1);
    owner_send(&near_rig.owner, 300000);
    owner_send(&near_rig.owner, 1);
    agent_rig_settle();
    assert_int_equal(near_rig.far->heard, 1);
    far_take(near_rig.far, 1);
    agent_rig_settle();
    assert_int_equal(near_rig.far->heard, 300001);
    far_take(near_rig.far, 1);
    agent_rig_settle();
    assert_int_equal(near_rig.far->heard, 300002);
    owner_abort(&near_rig.owner, ENDING_CANCELLED);
    near_rig_assert_closed(ENDING_CANCELLED);
}

static void empty_segments_come_back(void **state)
{
    (void)state;
    near_rig_open();
    owner_send(&near_rig.owner, 0);
    owner_send(&near_rig.owner, 5);
    owner_send(&near_rig.owner, 0);
    agent_rig_settle();
    far_take(near_rig.far, near_rig.far->held_count);
    agent_rig_settle();
    assert_int_equal(near_rig.owner.segments_returned, 3);
    owner_abort(&near_rig.owner, ENDING_CANCELLED);
    near_rig_assert_closed(ENDING_CANCELLED);
}

static void credit_is_told_in_few_messages(void **state)
{
    (void)state;
    near_rig_open();
    near_rig.owner.grants_back = true;
    owner_grant(&near_rig.owner, 65536);
    agent_rig_settle();
    unsigned before = near_rig.far->credits;
    for (unsigned i = 0; i < 256; i++) { /* 1 MiB in small segments, each granted anew at once */
        far_data(near_rig.far, 4096);
        agent_rig_settle();
        assert_true(near_rig.far->credit > 4096);
    }
    assert_in_range(near_rig.far->credits - before, 1, 1 + 256 * 4096 / (65536 / 8));
    owner_abort(&near_rig.owner, ENDING_CANCELLED);
    near_rig_assert_closed(ENDING_CANCELLED);
}

/* However little is granted: what the far half may send is what was granted. */
static void credit_never_stalls(void **state)
{
    (void)state;
    near_rig_open();
    static const uint32_t grants[] = {1, 1, 4096, 8191, 65535, 3, 1000000, 7};
    for (unsigned i = 0; i < ARRAY_SIZE(grants); i++) {
        owner_grant(&near_rig.owner, grants[i]);
        for (;;) {
            agent_rig_settle();
            uint32_t len = near_rig.far->credit > 4096 ? 4096 : (uint32_t)near_rig.far->credit;
            if (len == 0)
                break;
            far_data(near_rig.far, len);
        }
        assert_int_equal(near_rig.owner.received, near_rig.owner.granted);
    }
    owner_abort(&near_rig.owner, ENDING_CANCELLED);
    near_rig_assert_closed(ENDING_CANCELLED);
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
    near_rig_open();
    struct worker *w = near_rig.owner.bw->worker;
    owner_grant(&near_rig.owner, 60000);
    owner_finish(&near_rig.owner);
    agent_rig_settle();
    struct buf *small = hoard(w, BUF_SMALL);
    for (unsigned i = 0; i < 5; i++)
        far_data(near_rig.far, 1000);
    far_end(near_rig.far);
    far_close(near_rig.far, ENDING_DONE, NULL);
    agent_rig_settle();
    assert_int_equal(near_rig.owner.received, 0);
    assert_false(near_rig.owner.ended);
    assert_int_equal(near_rig.owner.closed, 0);
    agent_rig_advance_ms(50);
    assert_int_equal(near_rig.owner.received, 0);
    give_back(small);
    agent_rig_advance_ms(50);
    assert_int_equal(near_rig.owner.received, 5000);
    assert_true(near_rig.owner.ended);
    near_rig_assert_closed(ENDING_DONE);
}

static void what_waits_for_buffers_pins_no_more_than_so_many(void **state)
{
    (void)state;
    near_rig_open();
    owner_grant(&near_rig.owner, 60000);
    agent_rig_settle();
    struct buf *small = hoard(near_rig.owner.bw->worker, BUF_SMALL);
    for (unsigned i = 0; i < 256; i++)
        far_data(near_rig.far, 1);
    agent_rig_settle();
    assert_int_equal(near_rig.owner.closed, 0);
    far_data(near_rig.far, 1);
    agent_rig_settle();
    near_rig_assert_closed(ENDING_LIMIT);
    give_back(small);
    assert_int_equal(near_rig.owner.received, 0);
}

static void an_abort_while_data_waits_for_buffers(void **state)
{
    (void)state;
    near_rig_open();
    owner_grant(&near_rig.owner, 60000);
    agent_rig_settle();
    struct buf *small = hoard(near_rig.owner.bw->worker, BUF_SMALL);
    far_data(near_rig.far, 1000);
    agent_rig_settle();
    owner_abort(&near_rig.owner, ENDING_CANCELLED);
    near_rig_assert_closed(ENDING_CANCELLED);
    give_back(small);
    assert_int_equal(near_rig.owner.received, 0);
}

static void without_memory_there_is_no_near_half(void **state)
{
    (void)state;
    struct agents_request r = {.wish = &near_rig_any, .host = "x"};
    struct broker_worker *bw = &agent_rig.workers[0].bw;
    struct agent_near_dial d = {1, 2, "h:1"};
    struct agent_seen *agent = agents_choose(bw->agents, &r);
    struct buf *small = hoard(bw->worker, BUF_SMALL), *big = hoard(bw->worker, BUF_BIG);
    assert_int_equal(near_rig.card->load, 1);
    assert_null(agent_near_new(bw, &agent, &d));
    assert_null(agent);
    assert_int_equal(near_rig.card->load, 0);
    give_back(small);
    give_back(big);
    agent = agents_choose(bw->agents, &r);
    uint32_t max = bw->agent_nears.objects_max;
    bw->agent_nears.objects_max = bw->agent_nears.used;
    bw->agent_nears.free_list = NULL; /* of none: no test before has used it */
    assert_null(agent_near_new(bw, &agent, &d));
    assert_int_equal(near_rig.card->load, 0);
    bw->agent_nears.objects_max = max;
}

int main(void)
{
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
        APART(data_waits_for_buffers),
        APART(what_waits_for_buffers_pins_no_more_than_so_many),
        APART(an_abort_while_data_waits_for_buffers),
        APART(without_memory_there_is_no_near_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
