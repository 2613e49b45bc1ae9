/* test/sim/sim_case.h — one seed, run from its first connection to the last buffer home: a world with clients
 * and backends, and between them the application under test. The checks of a case are those of the contracts:
 * every exchange ends once and in time, bytes are a prefix or all, nobody gets another's, nothing is left
 * over.
 */
#pragma once

#include <stdio.h>

#include "io/buf.h"
#include "io/engine_sim.h"
#include "sim_plan.h"

struct mailboxes;
struct sim_case;
struct sim_crowd;

/* A group of workers in the case's world, for applications that do not bring their own. */
struct sim_group {
    unsigned count;
    struct worker *workers, **peers;
    struct mailboxes *mail;
};

/* What is tested. */
struct sim_app {
    const char *name;
    enum sim_profile profile;
    void *(*start)(struct sim_case *);   /* listens on the case's listens[] */
    void (*drain)(struct sim_case *);    /* the clients have left: end */
    bool (*is_empty)(struct sim_case *); /* drained: nothing is open any more */
    void (*step)(struct sim_case *);     /* after every turn of a worker; may be NULL */
    void (*free)(struct sim_case *);     /* counts what is left over as violations */
};

struct sim_case {
    struct sim_plan plan;
    const struct sim_app *app;
    void *app_state;
    struct sim_world *world;
    struct sim_net *net;
    struct sim_ledger ledger;
    /* Client n uses listens[n % listen_count]; a transparent application connects listens[n] to targets[n].
     */
    unsigned listen_count;
    struct net_address listens[SIM_BACKENDS_MAX], targets[SIM_BACKENDS_MAX];
    struct sim_backend *backends[SIM_BACKENDS_MAX];
    struct sim_client *clients[SIM_CLIENTS_MAX];
    struct sim_group backend_group; /* also for clients over TLS */
    struct net_address tls_listen, agents_listen;
    struct sim_tunnels tunnels;
    struct sim_doors *doors;
    struct sim_tunneller *tunnellers[SIM_TUNNELLERS_MAX];
    struct sim_crowd *crowd;
    struct sim_tunnel_promises promises;
    struct sim_tunnel_promises mux_promises; /* to clients that do many things on one connection */
    uint32_t held_max;                       /* bytes of a body between client and backend */
    bool tracing;                            /* also lets the application log */
    uint64_t trace_hash;
    uint32_t conns_cap, seen_max; /* see sim_backend_options; set by start */
};

extern const struct sim_app sim_relay_app, sim_broker_app, sim_tunnels_app, sim_http2_app,
    sim_konnectivity_app, sim_agents_app;

bool sim_case_run(const struct sim_app *, uint64_t seed, FILE *trace, struct sim_case *ret);
/* False when something did not hold; all of it is freed, ret keeps plan, outcomes and hash for printing. */

void sim_check_worker(struct sim_case *, struct worker *, uint32_t timers_max);
/* Counts buffers that are not home, timers, sockets and messages of a worker that shall be empty as
 * violations. */
void sim_give_up_if_bad(struct sim_case *);
/* With violations: prints the plan and exits, before assertions hide what was found. */

void sim_group_init(struct sim_group *, struct sim_world *, unsigned workers, uint32_t mailbox_entries,
                    const struct buf_limits *);
void sim_group_fini(struct sim_case *, struct sim_group *);
/* Checks the workers first. */
