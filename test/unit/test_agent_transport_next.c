/* test/unit/test_agent_transport_next.c — dials through agents: who is asked when the first one can not, is
 * silent or leaves, and when nobody is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

static struct agent_card *asked_first(void)
{
    dial_rig_dial();
    agent_rig_settle();
    struct agent_card *card = far_last()->card;
    dialler_cancel(&dial_rig.d);
    agent_rig_settle();
    return card;
}

static void another_agent_is_asked_when_one_can_not(void **state)
{
    (void)state;
    static const enum ending reasons[] = {ENDING_AGENT_LOST, ENDING_DEADLINE, ENDING_LIMIT,
                                          ENDING_DESCRIPTORS, ENDING_NO_SOURCE};
    dial_rig_announce_in_order(2);
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        dial_rig_dial();
        agent_rig_settle();
        assert_ptr_equal(far_last()->card, dial_rig.cards[0]);
        far_close(far_last(), reasons[i], NULL);
        agent_rig_settle();
        assert_int_equal(dial_rig.d.answers, 0);
        assert_ptr_equal(far_last()->card, dial_rig.cards[1]);
        far_open(far_last());
        agent_rig_settle();
        assert_string_equal(dial_rig.d.address, "10.0.0.1:443 via agent b");
        dialler_hang_up(&dial_rig.d);
        assert_ptr_equal(asked_first(), dial_rig.cards[1]); /* whatever it carries */
        agent_rig_advance_ms(5001);
        assert_ptr_equal(asked_first(), dial_rig.cards[0]);
    }
    dial_rig_forget_order();
}

static void three_agents_are_asked_at_most_and_none_twice(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 4; count++) {
        dial_rig_announce_in_order(count);
        unsigned before = agent_rig.far_count;
        dial_rig_dial();
        for (unsigned i = 0; i < 4; i++) {
            agent_rig_settle();
            if (agent_rig.far_count == before + i)
                break;
            assert_ptr_equal(far_last()->card, dial_rig.cards[i]);
            far_close(far_last(), ENDING_AGENT_LOST, NULL);
        }
        agent_rig_settle();
        assert_int_equal(agent_rig.far_count - before, count < 3 ? count : 3);
        assert_int_equal(dial_rig.d.answers, 1);
        assert_int_equal(dial_rig.d.ending, ENDING_AGENT_LOST);
        assert_string_equal(dial_rig.d.address, count == 1   ? "10.0.0.1:443 via agent a"
                                                : count == 2 ? "10.0.0.1:443 via agent b"
                                                             : "10.0.0.1:443 via agent c");
        dial_rig_forget_order();
        for (unsigned i = 0; i < count; i++) {
            agent_rig_withdraw(dial_rig.cards[i]);
            dial_rig.cards[i] = NULL;
        }
        agent_rig_settle();
    }
}

static void without_an_agent_it_says_so(void **state)
{
    (void)state;
    dial_rig_dial();
    assert_int_equal(dial_rig.d.answers, 0); /* not from inside the call */
    dial_rig_assert_answer(ENDING_NO_AGENT,
                           "10.0.0.1:443: no agent is connected that could carry the connection");
    dial_rig_announce(0, 1, "a", "node-1");
    dialler_dial(&dial_rig.d, 0, &dial_rig_host_path, "node-2", 8000);
    agent_rig_settle();
    assert_int_equal(dial_rig.d.ending, ENDING_NO_AGENT);
    assert_int_equal(agent_rig.workers[0].bw.stats.dial_failures[STATS_DIAL_NO_AGENT], 2);
    dialler_dial(&dial_rig.d, 0, &dial_rig_host_path, "node-1", 8000);
    agent_rig_settle();
    far_open(far_last());
    agent_rig_settle();
    assert_non_null(dial_rig.d.stream);
    dialler_hang_up(&dial_rig.d);
}

static void one_that_is_silent_is_given_up_for_another(void **state)
{
    (void)state;
    dial_rig_announce(0, 1, "a", "");
    dialler_dial(&dial_rig.d, 0, &dial_rig_path, "h", 60000);
    agent_rig_settle();
    struct far *silent = far_last();
    assert_true(silent->deadline_ns == agent_rig.now_ns + 60000 * 1000000ull);
    agent_rig_advance_ms(5520);
    assert_false(silent->aborted); /* there is no other */
    dialler_cancel(&dial_rig.d);
    agent_rig_settle();
    dial_rig_announce(1, 1, "b", "");
    dial_rig.cards[1]->load = 10;
    dialler_dial(&dial_rig.d, 0, &dial_rig_path, "h", 60000);
    agent_rig_settle();
    silent = far_last();
    assert_ptr_equal(silent->card, dial_rig.cards[0]);
    agent_rig_advance_ms(5490);
    assert_ptr_equal(far_last(), silent);
    agent_rig_advance_ms(20);
    assert_true(silent->aborted);
    assert_ptr_equal(far_last()->card, dial_rig.cards[1]);
    agent_rig_advance_ms(5520);
    assert_false(far_last()->aborted);
    far_close(far_last(), ENDING_REFUSED, "refused");
    dial_rig_assert_answer(ENDING_REFUSED, "h:443 via agent b: refused");
    dial_rig_forget_order();
}

static void without_time_nobody_else_is_asked(void **state)
{
    (void)state;
    dial_rig_announce_in_order(2);
    dialler_dial(&dial_rig.d, 0, &dial_rig_path, "h", 1000);
    agent_rig_settle();
    far_close(far_last(), ENDING_AGENT_LOST, NULL);
    agent_rig.now_ns += 1000 * 1000000ull; /* the message and the clock in one turn */
    agent_rig_settle();
    assert_int_equal(dial_rig.d.answers, 1);
    assert_int_equal(agent_rig.far_count, 1);
    dialler_dial(&dial_rig.d, 0, &dial_rig_path, "h", 0); /* late from the beginning */
    agent_rig_advance_ms(20);
    assert_int_equal(dial_rig.d.answers, 1);
    assert_int_equal(dial_rig.d.ending, ENDING_DEADLINE);
    dial_rig_forget_order();
}

static void an_agent_that_leaves_while_it_is_asked(void **state)
{
    (void)state;
    for (unsigned heard = 0; heard < 3; heard++) {
        dial_rig_announce(0, 1, "a", "");
        dial_rig_dial();
        if (heard > 0)
            agent_rig_turn(0);
        if (heard > 1)
            agent_rig_turn(1);
        agent_rig_withdraw(dial_rig.cards[0]); /* before or after DIAL is heard */
        dial_rig.cards[0] = NULL;
        dial_rig_assert_answer(ENDING_AGENT_LOST,
                               "10.0.0.1:443 via agent a: the agent that carried the connection is "
                               "gone");
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(another_agent_is_asked_when_one_can_not),
        TEST(three_agents_are_asked_at_most_and_none_twice),
        TEST(without_an_agent_it_says_so),
        TEST(one_that_is_silent_is_given_up_for_another),
        TEST(without_time_nobody_else_is_asked),
        TEST(an_agent_that_leaves_while_it_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
