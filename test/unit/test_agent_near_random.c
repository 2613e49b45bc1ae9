/* test/unit/test_agent_near_random.c — near halves of connections through an agent under random schedules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/support/near_rig.h"

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
        near_rig_dial(&pairings[i].owner);
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
            near_rig_dial(&p->owner);
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
            near_rig_stop();
            near_rig_start(seed % 2);
        }
        random_connections(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        APART(random_schedules_keep_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
