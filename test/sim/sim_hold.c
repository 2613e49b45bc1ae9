/* test/sim/sim_hold.c — see sim_hold.h. */
#include "sim_hold.h"

#include "broker/http/http1_write.h"

void sim_hold_look(struct sim_hold *h, const struct sim_traffic *seen, bool spoke, uint64_t now_ns)
{
    uint64_t answer = seen->offered - h->before, whole = HTTP1_CONNECTED.len;
    if (answer >= whole && h->answer_at_ns == 0)
        h->answer_at_ns = now_ns;
    if (answer > whole && h->behind_at_ns == 0) {
        h->behind_at_ns = now_ns;
        h->spoke = spoke;
    }
}

bool sim_hold_is_broken(const struct sim_hold *h, uint64_t hold_ns)
{
    return h->behind_at_ns != 0 && !h->spoke && h->behind_at_ns < h->answer_at_ns + hold_ns;
}
