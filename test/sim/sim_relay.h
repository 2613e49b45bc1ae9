/* test/sim/sim_relay.h — the smallest thing that has the broker's shape: connections accepted on one worker,
 * dialled on another, joined by messages under credits. It knows nothing of what it carries. It puts engine,
 * mailboxes, streams and buffers under the simulator without the broker above them.
 */
#pragma once

#include "io/net.h"

struct sim_relay;
struct worker;

struct sim_relay_options {
    unsigned workers;
    struct worker *const *peers;
    unsigned routes; /* route n: listens on listens[n], dials targets[n] */
    const struct net_address *listens, *targets;
    uint32_t credit; /* bytes under way per direction */
};

struct sim_relay *sim_relay_new(const struct sim_relay_options *);
/* Every worker listens on every route. */
void sim_relay_drain(struct sim_relay *);
/* Stops listening. */
uint32_t sim_relay_halves(const struct sim_relay *);
/* Alive now. */
uint64_t sim_relay_joined(const struct sim_relay *);
/* Connections accepted so far. */
void sim_relay_free(struct sim_relay **);
/* After drain, and when no half is left. */
