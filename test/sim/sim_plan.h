/* test/sim/sim_plan.h — what a seed stands for: how many of everything, what goes wrong, how the clients
 * behave. Every kind of trouble is on in some seeds and off in others; every fifth seed is calm, so that
 * whatever fails there fails for no good reason.
 */
#pragma once

#include <stdio.h>

#include "io/sim_net.h"
#include "sim_agent.h"
#include "sim_client.h"
#include "sim_frontend.h"
#include "sim_h2_client.h"
#include "sim_tunneller.h"

enum {
    SIM_BACKENDS_MAX = 8,
    SIM_CLIENTS_MAX = 32,
    SIM_TUNNELLERS_MAX = 32,
    SIM_H2_CLIENTS_MAX = 8,
    SIM_FRONTENDS_MAX = 8,
    SIM_AGENTS_MAX = 5,
};

enum sim_profile {
    PROFILE_TRANSPARENT, /* for what passes bytes on unread */
    PROFILE_EXCHANGES,   /* requests, and tunnels among them in half of the seeds */
    PROFILE_TUNNELS,     /* tunnels, and a few requests among them */
    PROFILE_HTTP2,       /* requests and tunnels of clients that speak HTTP/2, and a few of others */
    PROFILE_FRONTENDS,   /* tunnels by Konnectivity's protocol, and a few by others */
    PROFILE_AGENTS,      /* the same, and all of it through agents */
};

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
    uint32_t budget;      /* the broker's bodyBufferBytes */
    struct sim_faults faults;
    struct sim_habits habits;
    unsigned tunnellers;
    bool tls_clients;         /* a third of the tunnellers come over TLS */
    uint32_t tunnels_max;     /* the broker's */
    uint32_t answer_ms;       /* the broker's tunnelAnswerMs */
    uint32_t hold_ms;         /* the broker's tunnelSpeakFirstMs */
    uint32_t idle_ms;         /* the broker's tunnelIdleMs */
    uint32_t warm_spares;     /* the broker's */
    uint64_t drains_after_ns; /* the broker is told to, while all are at work; 0: when all have left */
    struct sim_tunnel_habits tunnel_habits;
    unsigned h2_clients, frontends, agents;
    struct sim_h2_client_habits h2_habits;
    struct sim_frontend_habits frontend_habits;
    struct sim_agent_habits agent_habits;
    bool plain_ends;            /* see sim_tunnels */
    uint32_t dial_ms;           /* the broker's agents.dialMs */
    uint32_t pending_dials_max; /* the broker's */
};

void sim_plan_make(uint64_t seed, enum sim_profile, struct sim_plan *ret);
void sim_plan_print(const struct sim_plan *, FILE *);
