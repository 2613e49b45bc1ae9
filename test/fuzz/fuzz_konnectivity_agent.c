/* test/fuzz/fuzz_konnectivity_agent.c — libFuzzer target: a hostile agent, and near halves that go their own
 * way meanwhile.
 *
 * The input is a list of steps: what near halves do, time that passes, bytes on the agent's stream. What must
 * hold: the far halves keep their promises to the near ones (home_rig.c asserts them), each near half that
 * was given up or whose agent is gone hears CLOSED, and nothing is left.
 */
#include <string.h>

#include "test/fuzz/fuzz.h"
#include "test/support/home_rig.h"

enum { STEPS_MAX = 64 };

enum step { DIAL, SAY, CREDIT, FIN, ABORT, PASS, BYTES, MORE_BYTES };

struct played_near {
    bool fin, aborted;
};

static struct played_near played[NEARS_MAX];

static struct near *pick(uint8_t choice)
{
    return home.near_count > 0 ? &home.nears[choice % home.near_count] : NULL;
}

static void near_step(enum step step, uint8_t choice)
{
    static const uint8_t bytes[40000];
    struct near *n = pick(choice);
    if (step == DIAL && home.near_count < STEPS_MAX)
        near_dial("10.0.0.1:443", choice * 16u);
    if (!n || step == DIAL)
        return;
    struct played_near *p = &played[n - home.nears];
    uint32_t len = choice % 2 ? sizeof(bytes) : 1u + choice;
    if (step == SAY && !p->fin && !p->aborted && n->untaken + len <= rig.bw.budget) {
        near_say(n, bytes, len);
    } else if (step == CREDIT && !p->aborted) {
        near_credit(n, choice * 64u);
    } else if (step == FIN && !p->fin && !p->aborted) {
        p->fin = true;
        near_fin(n);
    } else if (step == ABORT && !p->aborted) {
        p->aborted = true;
        near_abort(n);
        ASSERT(n->closed);
    }
}

static bool agent_is_here(void)
{
    return front_rig_conn() && !home.call->ended && !home.call->closed && !home.call->reset;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    home_rig_start();
    memset(played, 0, sizeof(played));
    for (unsigned i = 0; size >= 2 && i < STEPS_MAX && agent_is_here(); i++) {
        enum step step = data[0] & 7;
        uint8_t choice = data[1];
        data += 2;
        size -= 2;
        if (step == PASS) {
            home_pass(choice * 20u);
        } else if (step >= BYTES) {
            size_t len = choice < size ? choice : size;
            agent_say_bytes((const char *)data, len);
            data += len;
            size -= len;
        } else {
            near_step(step, choice);
        }
    }
    if (!agent_is_here())
        for (unsigned i = 0; i < home.near_count; i++)
            ASSERT(home.nears[i].closed);
    home_rig_stop();
    return 0;
}
