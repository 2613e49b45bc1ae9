/* test/support/near_rig.c — see near_rig.h. */
#include "test/support/near_rig.h"

const struct agent_wish near_rig_any = {{CONFIG_STRATEGY_DEFAULT}, 1};

struct near_rig near_rig;

void near_rig_start(unsigned home)
{
    agent_rig_start(2);
    near_rig.card = agent_rig_announce(home, "a", "", false);
    agent_rig_settle();
}

void near_rig_stop(void)
{
    assert_int_equal(near_rig.card->load, 0);
    agent_rig_withdraw(near_rig.card);
    agent_rig_stop();
}

int near_rig_setup_apart(void **state)
{
    (void)state;
    near_rig_start(1);
    return 0;
}

int near_rig_setup_together(void **state)
{
    (void)state;
    near_rig_start(0);
    return 0;
}

int near_rig_teardown(void **state)
{
    (void)state;
    near_rig_stop();
    return 0;
}

void near_rig_dial(struct owner *o)
{
    struct agents_request r = {.wish = &near_rig_any, .host = "x"};
    struct agent_seen *agent = agents_choose(agent_rig.workers[0].bw.agents, &r);
    owner_dial(o, 0, &agent);
}

void near_rig_open(void)
{
    near_rig_dial(&near_rig.owner);
    agent_rig_settle();
    near_rig.far = far_last();
    far_open(near_rig.far);
    agent_rig_settle();
    assert_true(near_rig.owner.opened);
}

void near_rig_assert_closed(enum ending reason)
{
    agent_rig_settle();
    assert_int_equal(near_rig.owner.closed, 1);
    assert_int_equal(near_rig.owner.reason, reason);
    assert_int_equal(near_rig.card->load, 0);
}
