/* test/sim/sim_plan.h — what a seed stands for: how many of everything, what goes wrong, how the clients
 * behave. Every kind of trouble is on in some seeds and off in others; every fifth seed is calm, so that
 * whatever fails there fails for no good reason.
 */
#pragma once

#include <stdio.h>

#include "io/sim_net.h"
#include "sim_client.h"

enum { SIM_BACKENDS_MAX = 8, SIM_CLIENTS_MAX = 32 };

struct sim_plan {
    uint64_t seed;
    bool calm; /* nothing goes wrong but what the backends are told to do */
    unsigned workers;
    uint32_t mailbox_entries;
    unsigned backends, clients;
    bool stream_backends; /* backends are streams of a worker of their own, not raw sockets */
    bool tls;             /* these speak TLS */
    uint32_t idle_close;  /* see sim_backend_options */
    uint32_t conns_cap;   /* the broker's, for each endpoint */
    struct sim_faults faults;
    struct sim_habits habits;
};

void sim_plan_make(uint64_t seed, bool transparent, struct sim_plan *ret);
void sim_plan_print(const struct sim_plan *, FILE *);
