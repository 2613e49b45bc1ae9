/* test/sim/sim_agent.h — a scripted Konnectivity agent: connects to the broker, says who it is, dials what it
 * is asked to in the simulated network and carries the bytes; and misbehaves, in a world where agents do.
 */
#pragma once

#include "io/net.h"
#include "sim_h2.h"
#include "sim_ledger.h"

/* What an agent does to one dial instead of answering it well. */
#define SIM_DIAL_MISCHIEFS(X)                                                                                \
    X(NEVER)       /* answers nothing */                                                                     \
    X(LATE)        /* answers after seconds */                                                               \
    X(TWICE)       /* answers twice */                                                                       \
    X(NO_NUMBER)   /* a connection without a connectID */                                                    \
    X(SAME_NUMBER) /* the connectID of another connection */                                                 \
    X(BOTH)        /* an error, and a connectID */                                                           \
    X(STRANGE)     /* answers to what was never asked, too */                                                \
    X(GIVES_UP)    /* DIAL_CLS */

enum sim_dial_mischief {
#define X(symbol) DIAL_##symbol,
    SIM_DIAL_MISCHIEFS(X)
#undef X
        DIAL_MISCHIEFS
};

/* What it does to its stream, at some moment. */
#define SIM_AGENT_MISCHIEFS(X)                                                                               \
    X(RESETS)    /* its connection */                                                                        \
    X(LEAVES)    /* ends its stream, and connects anew */                                                    \
    X(FREEZES)   /* says and hears nothing more, and keeps the connection */                                 \
    X(DRAINS)    /* DRAIN */                                                                                 \
    X(BABBLES)   /* what is no packet */                                                                     \
    X(OVERSIZES) /* a message of more than 4 MiB */                                                          \
    X(MEDDLES)   /* DATA and CLOSE_RSP for connections that are not its own */                               \
    X(FLOODS)    /* answers to dials that there are not, by the thousand */

enum sim_agent_mischief {
#define X(symbol) AGENT_##symbol,
    SIM_AGENT_MISCHIEFS(X)
#undef X
        AGENT_MISCHIEFS
};

/* Chances are per thousand. */
struct sim_agent_habits {
    uint64_t lag_max_ns;     /* of an answer to a dial */
    uint32_t dial_mischiefs; /* of a dial */
    uint32_t mischiefs;      /* of a stream: does something within mischief_max_ns */
    uint64_t mischief_max_ns;
    uint32_t same_ids;   /* of an agent: has the name of the one before it */
    uint32_t bad_hellos; /* of a stream: is refused for its metadata */
    struct sim_h2_habits h2;
};

struct sim_agent_options {
    struct sim_net *net;
    struct sim_ledger *ledger;
    const struct sim_agent_habits *habits;
    struct net_address to, from; /* the listener; where it dials from */
    const char *id;
    const char *identifiers;
    bool plain_ends; /* see sim_agent_pipe */
    bool calm;
};

struct sim_agent;

struct sim_agent *sim_agent_new(const struct sim_agent_options *);
/* Starts by itself. */
bool sim_agent_serves(const struct sim_agent *);
/* It has been answered, and is there. */
void sim_agent_check(struct sim_agent *);
/* At every step. */
void sim_agent_rest(struct sim_agent *);
/* Does nothing of its own any more: it does not connect anew, and waits for the broker to end it. */
bool sim_agent_is_done(const struct sim_agent *);
/* At rest, and nothing of it is left. */
uint64_t sim_agent_dials(const struct sim_agent *);
/* Asked of it so far. */
void sim_agent_free(struct sim_agent **);
/* Asserts that it is done. */
