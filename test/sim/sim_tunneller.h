/* test/sim/sim_tunneller.h — a scripted client that asks for tunnels, one after another: by CONNECT or by an
 * upgrade, after ordinary requests on the same connection or before them. It says its first bytes early,
 * leaves while the destination is dialled, and judges what it is told and when.
 */
#pragma once

#include "sim_backend.h"
#include "sim_door.h"
#include "sim_script.h"

struct engine;

/* Chances are per thousand. */
struct sim_tunnel_habits {
    unsigned tunnels;      /* in all, of one client */
    uint32_t upgrades;     /* of a tunnel */
    uint32_t shared;       /* of a CONNECT: to a door of all */
    uint32_t bad_doors;    /* of a CONNECT: one that does not open */
    uint32_t ordinary;     /* of an upgrade: answered as an ordinary request */
    uint32_t bad_answers;  /* of an upgrade */
    uint32_t early;        /* says something before it is answered */
    uint32_t early_ends;   /* of those: all, and the end */
    uint32_t answer_early; /* of an upgraded destination: speaks with its 101 */
    uint32_t leads;        /* an ordinary request before, on the same connection */
    uint32_t leaves;       /* leaves before it is answered */
    uint32_t slow_writes;
    uint64_t think_max_ns, backend_think_max_ns, leave_max_ns;
    struct sim_script_habits scripts;
};

/* What the application promises. */
struct sim_tunnel_promises {
    uint64_t answer_ns;     /* a CONNECT is answered within */
    uint64_t upgrade_ns;    /* the same for an upgrade */
    uint64_t hold_ns;       /* nothing follows the 200 before, if the client says nothing */
    uint64_t cancel_ns;     /* a dial for a client that left has ended */
    uint64_t reset_told_ns; /* what one end broke off, or left, the other has heard of */
    uint64_t drained_ns;    /* told to end, it is empty */
    uint64_t slack_ns;      /* what the world may add to any time that is promised */
    uint32_t held_max;      /* bytes of a direction between the ends */
};

struct sim_tunneller_options {
    struct sim_tunnels *book;
    const struct sim_tunnel_habits *habits;
    const struct sim_tunnel_promises *promises;
    struct sim_doors *doors;
    struct sim_backend *const *backends;
    unsigned backend_count;
    const struct net_address *to; /* listener */
    struct engine *tls_engine;    /* not NULL: over TLS, as a stream of this engine */
    bool by_agent;                /* all that is asked for is reached through agents */
};

struct sim_tunneller;

struct sim_tunneller *sim_tunneller_new(const struct sim_tunneller_options *);
/* Starts by itself. */
bool sim_tunneller_is_done(const struct sim_tunneller *);
void sim_tunneller_check(struct sim_tunneller *);
/* At every step. */
void sim_tunneller_free(struct sim_tunneller **);
/* Breaks off what is left. */
