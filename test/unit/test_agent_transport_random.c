/* test/unit/test_agent_transport_random.c — dials through agents on several workers, in any order with
 * answers, cancels, time, and agents that come and go. */
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
        unsigned c = (unsigned)rand_r(&seed) % DIAL_RIG_CARDS;
        switch (rand_r(&seed) % 8) {
        case 0:
            if (rand_r(&seed) % 40)
                break;
            if (dial_rig.cards[c])
                agent_rig_withdraw(dial_rig.cards[c]);
            dial_rig.cards[c] = dial_rig.cards[c]
                                    ? NULL
                                    : agent_rig_announce(c % 3, (const char *[]){"a", "b", "c", "a"}[c], "",
                                                         false);
            break;
        case 1:
            if (!di->dial && !di->stream)
                dialler_dial(di, (unsigned)rand_r(&seed) % 3, &dial_rig_path, "h",
                             1 + (unsigned)rand_r(&seed) % 3000);
            break;
        case 2:
            if (di->dial && rand_r(&seed) % 4 == 0)
                dialler_cancel(di);
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
            dialler_cancel(&all[i]);
        if (all[i].stream)
            stream_abort(all[i].stream, ENDING_CANCELLED);
    }
    agent_rig_settle();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(random_dials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
