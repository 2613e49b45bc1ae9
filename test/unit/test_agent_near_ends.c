/* test/unit/test_agent_near_ends.c — how the near half of a connection through an agent ends: the
 * destination's end and loss, and aborts at every moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/support/near_rig.h"

static void an_end_waits_for_credit(void **state)
{
    (void)state;
    near_rig_open();
    owner_finish(&near_rig.owner);
    agent_rig_settle();
    far_end(near_rig.far);
    far_close(near_rig.far, ENDING_DONE, NULL);
    agent_rig_settle();
    assert_false(near_rig.owner.ended);
    assert_int_equal(near_rig.owner.closed, 0);
    owner_grant(&near_rig.owner, 1);
    assert_false(near_rig.owner.ended);
    near_rig_assert_closed(ENDING_DONE);
    assert_true(near_rig.owner.ended);
}

static void a_loss_behind_an_unread_end_waits_for_it(void **state)
{
    (void)state;
    near_rig_open();
    far_end(near_rig.far);
    far_close(near_rig.far, ENDING_AGENT_LOST, NULL);
    agent_rig_settle();
    assert_int_equal(near_rig.owner.closed, 0);
    owner_grant(&near_rig.owner, 1);
    near_rig_assert_closed(ENDING_AGENT_LOST);
    assert_true(near_rig.owner.ended);
}

static void what_is_sent_after_the_end_is_reset(void **state)
{
    (void)state;
    for (unsigned told = 0; told < 2; told++) {
        near_rig_open();
        far_end(near_rig.far);
        far_close(near_rig.far, ENDING_DONE, NULL);
        if (told)
            owner_grant(&near_rig.owner, 1);
        agent_rig_settle();
        assert_int_equal(near_rig.owner.ended, told);
        owner_send(&near_rig.owner, 0); /* nothing to be lost */
        agent_rig_settle();
        assert_int_equal(near_rig.owner.closed, 0);
        owner_send(&near_rig.owner, 10);
        owner_send(&near_rig.owner, 10);
        assert_int_equal(near_rig.owner.closed, 0);
        if (!told)
            owner_grant(&near_rig.owner, 1);
        near_rig_assert_closed(ENDING_PEER_RESET);
        assert_true(near_rig.owner.ended);
        assert_int_equal(near_rig.owner.returned, 0);
    }
}

static void an_end_that_left_bytes_untaken_is_reset(void **state)
{
    (void)state;
    for (unsigned finish = 0; finish < 2; finish++) {
        near_rig_open();
        owner_grant(&near_rig.owner, 1);
        owner_send(&near_rig.owner, 100);
        if (finish)
            owner_finish(&near_rig.owner);
        agent_rig_settle();
        far_end(near_rig.far);
        far_close(near_rig.far, ENDING_DONE, NULL);
        near_rig_assert_closed(ENDING_PEER_RESET);
        assert_true(near_rig.owner.ended);
    }
}

/* The END is under way while the owner goes on. */
static void what_crosses_the_end_is_reset(void **state)
{
    (void)state;
    near_rig_open();
    owner_grant(&near_rig.owner, 1);
    agent_rig_settle();
    far_end(near_rig.far);
    far_close(near_rig.far, ENDING_DONE, NULL);
    owner_send(&near_rig.owner, 100);
    near_rig_assert_closed(ENDING_PEER_RESET);
    assert_true(near_rig.owner.ended);
    assert_true(agent_rig.strangers > 0); /* and it came home from there */
}

static void a_loss_is_told_whether_anybody_reads_or_not(void **state)
{
    (void)state;
    for (unsigned credit = 0; credit < 2; credit++) {
        near_rig_open();
        if (credit)
            owner_grant(&near_rig.owner, 10);
        owner_send(&near_rig.owner, 100);
        agent_rig_settle();
        far_close(near_rig.far, ENDING_PEER_LOST, "gone");
        near_rig_assert_closed(ENDING_PEER_LOST);
        assert_string_equal(near_rig.owner.detail, "gone");
        assert_false(near_rig.owner.ended);
    }
}

static void a_loss_after_the_end_is_told(void **state)
{
    (void)state;
    near_rig_open();
    owner_grant(&near_rig.owner, 10);
    agent_rig_settle();
    far_end(near_rig.far);
    agent_rig_settle();
    assert_true(near_rig.owner.ended);
    far_close(near_rig.far, ENDING_PEER_RESET, NULL);
    near_rig_assert_closed(ENDING_PEER_RESET);
}

static void nothing_follows_an_abort_but_closed(void **state)
{
    (void)state;
    agent_rig.holds_aborts = true;
    near_rig_open();
    owner_grant(&near_rig.owner, 10000);
    owner_send(&near_rig.owner, 100);
    agent_rig_settle();
    owner_send(&near_rig.owner, 100);
    owner_abort(&near_rig.owner, ENDING_DEADLINE);
    owner_abort(&near_rig.owner, ENDING_CANCELLED); /* no effect */
    owner_send(&near_rig.owner, 100);
    owner_grant(&near_rig.owner, 100);
    owner_finish(&near_rig.owner);
    far_take(near_rig.far, near_rig.far->held_count);
    far_data(near_rig.far, 5000);
    far_end(near_rig.far);
    agent_rig_settle();
    assert_int_equal(near_rig.owner.closed, 0); /* not before the far half is gone */
    assert_int_equal(near_rig.card->load, 1);
    far_close(near_rig.far, ENDING_PEER_RESET, NULL);
    near_rig_assert_closed(ENDING_DEADLINE);
    assert_int_equal(near_rig.owner.received, 0);
}

static void an_abort_without_a_reason_is_a_cancel(void **state)
{
    (void)state;
    near_rig_open();
    owner_abort(&near_rig.owner, ENDING_DONE);
    near_rig_assert_closed(ENDING_CANCELLED);
}

static void an_abort_while_it_dials(void **state)
{
    (void)state;
    for (unsigned settle = 0; settle < 2; settle++) {
        near_rig_dial(&near_rig.owner);
        if (settle)
            agent_rig_settle();
        owner_abort(&near_rig.owner, ENDING_CANCELLED);
        near_rig_assert_closed(ENDING_CANCELLED);
        assert_false(near_rig.owner.opened);
        assert_true(far_last()->aborted);
    }
}

static void an_abort_crosses_what_the_home_says(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 3; what++) {
        unsigned before = agent_rig.strangers;
        near_rig_dial(&near_rig.owner);
        agent_rig_settle();
        near_rig.far = far_last();
        if (what > 0)
            far_open(near_rig.far);
        if (what > 1)
            agent_rig_settle();
        if (what > 1)
            far_end(near_rig.far);
        far_close(near_rig.far, what > 1 ? ENDING_DONE : ENDING_PEER_RESET, "late");
        owner_abort(&near_rig.owner, ENDING_DEADLINE);
        near_rig_assert_closed(ENDING_DEADLINE);
        assert_int_equal(agent_rig.strangers, before + 1);
    }
}

static void an_abort_after_the_far_half_is_gone(void **state)
{
    (void)state;
    for (unsigned told = 0; told < 2; told++) {
        near_rig_open();
        if (told)
            owner_grant(&near_rig.owner, 1);
        far_end(near_rig.far);
        far_close(near_rig.far, ENDING_DONE, NULL);
        agent_rig_settle();
        assert_int_equal(near_rig.owner.ended, told);
        owner_abort(&near_rig.owner, ENDING_CANCELLED);
        assert_int_equal(near_rig.owner.closed, 0);
        near_rig_assert_closed(ENDING_CANCELLED);
    }
}

static void abort_it(struct owner *o)
{
    owner_abort(o, ENDING_CANCELLED);
}

static void an_abort_from_within_an_event(void **state)
{
    (void)state;
    near_rig_open();
    owner_grant(&near_rig.owner, 100);
    agent_rig_settle();
    near_rig.owner.on_data = abort_it;
    far_data(near_rig.far, 10);
    far_data(near_rig.far, 10);
    far_end(near_rig.far);
    near_rig_assert_closed(ENDING_CANCELLED);
    assert_int_equal(near_rig.owner.received, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
