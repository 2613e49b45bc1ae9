/* test/support/dial_rig.h — an agent rig of three workers, each with a transport of agents, and those who
 * dial by it. */
#pragma once

#include "broker/konnectivity/agent_transport.h"
#include "pool/transport.h"
#include "test/support/agent_rig.h"

enum { DIAL_RIG_CARDS = 4 };

/* Who dialled. */
struct dialler {
    unsigned worker, answers;
    struct dial *dial;
    bool in_call;
    struct stream *stream;
    enum ending ending;
    char address[200], detail[200];
    unsigned closed;
};

struct dial_rig {
    struct transport *transports[RIG_WORKERS_MAX];
    struct agent_card *cards[DIAL_RIG_CARDS];
    struct dialler d;
};

extern struct dial_rig dial_rig;
extern const struct pool_path dial_rig_path, dial_rig_host_path;
/* By any agent; by one of that host. */

void dial_rig_start(void);
void dial_rig_stop(void);
/* Asserts that no agent carries anything, and withdraws those that are left. */
void dial_rig_announce(unsigned i, unsigned home, const char *id, const char *hosts);
void dial_rig_announce_in_order(unsigned count);
/* Agents a, b, … of worker 1, liked in this order. */
void dial_rig_forget_order(void);
void dial_rig_dial(void);
/* dial_rig.d dials on worker 0, for 8 s. */
void dial_rig_assert_answer(enum ending, const char *detail);

void dialler_dial(struct dialler *, unsigned worker, const struct pool_path *by, const char *host,
                  uint64_t deadline_ms);
void dialler_answered(void *dialler, const struct dial_answer *);
void dialler_cancel(struct dialler *);
void dialler_hang_up(struct dialler *);
