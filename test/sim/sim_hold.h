/* test/sim/sim_hold.h — what stands behind the answer to a CONNECT, and since when, as the network sees it.
 */
#pragma once

#include "sim_channel.h"

struct sim_hold {
    uint64_t before;                     /* bytes of the connection before that answer */
    uint64_t answer_at_ns, behind_at_ns; /* the 200 was written, and something behind it; 0: not yet */
    bool spoke;                          /* the client had, by then */
};

void sim_hold_look(struct sim_hold *, const struct sim_traffic *, bool spoke, uint64_t now_ns);
/* At every step. */
bool sim_hold_is_broken(const struct sim_hold *, uint64_t hold_ns);
/* The answer was 200, and something came behind it too soon. */
