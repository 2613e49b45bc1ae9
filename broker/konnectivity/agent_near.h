/* broker/konnectivity/agent_near.h — the near half of a connection through an agent: a stream (io/stream.h)
 * on the worker that dialled, which talks to its far half at the agent's home by messages (agent.h).
 *
 * It holds its agent until CLOSED was heard, and nothing of it is `closed` before, but for one thing: a
 * destination that has ended (END, then CLOSED with DONE) leaves the owner to end its own direction in its
 * own time. Segments that are given to it may be anybody's; those it delivers are this worker's. Owner worker
 * only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/konnectivity/agent.h"
#include "io/attributes.h"
#include "io/segq.h"
#include "io/stream.h"
#include "io/timer.h"
#include "io/worker.h"

struct agent_seen;

enum agent_near_state {
    NEAR_DIALLING, /* DIAL was said */
    NEAR_OPEN,
    NEAR_LEFT,     /* CLOSED was heard; the owner has still to hear of it, or to end its direction */
    NEAR_ABORTING, /* nothing but `closed` will be told */
    NEAR_CLOSED,   /* it was */
    NEAR_STATES,
};

enum agent_near_end { NEAR_NO_END, NEAR_END_HEARD, NEAR_END_TOLD };

struct agent_near {
    struct stream stream;
    struct broker_worker *bw;
    struct agent_seen *agent; /* NULL: CLOSED was heard */
    uint64_t id;              /* of the dial */
    enum agent_near_state state;
    enum agent_near_end end; /* of the destination's direction */
    enum ending reason;      /* LEFT, ABORTING: what `closed` will say */
    bool finish_wanted, fin_said;
    uint32_t untaken;   /* bytes said by DATA, and not TAKEN */
    uint32_t waiting;   /* segments of `in` */
    uint64_t credit;    /* granted, and not used up */
    uint64_t untold;    /* of that, not said by CREDIT */
    struct segq out;    /* beyond the budget, or before OPENED */
    struct segq in;     /* lent by the home, until there is a buffer of this worker for them */
    struct task task;   /* says CREDIT, and what befell the stream in a call */
    struct timer retry; /* for a buffer */
    struct seg detail;  /* came with CLOSED, or none */
};

struct agent_near_dial {
    uint64_t id;
    uint64_t deadline_ns;
    const char *address; /* host:port */
};

MUST_USE struct agent_near *agent_near_new(struct broker_worker *, struct agent_seen **,
                                           const struct agent_near_dial *);
/* Dials: the caller binds events before its turn ends, and hears `open` or `closed`. Takes the agent, also
 * when it gives NULL: out of memory. */
bool agent_can_not(enum ending);
/* What a dial may end with for its agent's sake (agent.h): another one may do. */
void agent_near_was_silent(struct agent_near *);
/* Its dialler has waited long enough, and aborts it: noted against the agent. */
bool agent_near_detail(const struct agent_near *, char *to, size_t size);
/* From `closed` on: one line of why, safe to print; false: none came. */
