/* test/support/near_rig.h — one agent, and one near half of a connection through it, on worker 0 of an agent
 * rig. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/support/agent_rig.h"

struct near_rig {
    struct agent_card *card;
    struct owner owner;
    struct far *far;
};

extern struct near_rig near_rig;
extern const struct agent_wish near_rig_any;

void near_rig_start(unsigned home);
/* The agent's home is worker 1, or, in half of the tests, the one that dials. */
void near_rig_stop(void);
/* Asserts that the agent carries nothing. */
int near_rig_setup_apart(void **state);
int near_rig_setup_together(void **state);
int near_rig_teardown(void **state);

#define APART(f) cmocka_unit_test_setup_teardown(f, near_rig_setup_apart, near_rig_teardown)
#define TOGETHER(f)                                                                                          \
    {                                                                                                        \
#f "_on_one_worker", f, near_rig_setup_together, near_rig_teardown, NULL                             \
    }
#define BOTH(f) APART(f), TOGETHER(f)

void near_rig_dial(struct owner *);
void near_rig_open(void);
/* near_rig.owner dials, and near_rig.far opens. */
void near_rig_assert_closed(enum ending reason);
