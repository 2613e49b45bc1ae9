/* broker/konnectivity/agent.h — Konnectivity's agents: they connect to us, and we dial through them.
 *
 * An agent holds a gRPC stream to us; the worker that accepted its connection is its home. A connection
 * through it has two halves: the far one at the home, which speaks packets (agent_call.h), and the near one
 * on the worker that dialled, which is a stream like any other (agent_near.h). They exchange messages, also
 * when both live on one worker.
 *
 *   near to home       DIAL, DATA, CREDIT, FIN, ABORT       to: the card; extra[0]: the dial's id, extra[1]:
 *                                                           number of the worker that dialled
 *   home to near       OPENED, DATA, TAKEN, END, CLOSED     to: struct agent_near
 *
 * A dial begins with DIAL and ends with CLOSED, the far half's last word: the far half is gone then, whatever
 * comes for its id is sent home unread; the near half may be freed once it was heard. ABORT asks for CLOSED
 * and for nothing else. DATA towards the near half never exceeds the credit it gave; DATA towards the home
 * comes back by TAKEN when the agent's HTTP/2 stream took it over, and the near half keeps at most
 * broker_worker.budget bytes untaken.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/config/config.h"
#include "io/ending.h"
#include "io/mailbox.h"

struct agent_call;
struct agent_near;
struct broker_worker;

enum {
    AGENT_ID_MAX = 254,      /* stock agents: a UUID, or what the operator named; longer ones are refused */
    AGENT_HOSTS_MAX = 64,    /* identifiers of an agent that it may be chosen by; a guess: a node has a few */
    AGENT_HOST_MAX = 254,    /* a DNS name and its end */
    AGENT_ADDRESS_MAX = 320, /* host:port, as DIAL_REQ has it */
};

/* Who an agent's stream is, as all workers see it: immutable but for what is atomic. Made by its home
 * (agent_card_new()), known to the workers from agents_announce() until each has said that it has forgotten
 * it. */
struct agent_card {
    unsigned home;
    uint64_t serial; /* of the streams of the process, in order of arrival */
    char id[AGENT_ID_MAX];
    char (*hosts)[AGENT_HOST_MAX]; /* ipv4, ipv6 and host identifiers, as they were said */
    uint32_t host_count;
    bool default_route;
    uint64_t since_ns;
    _Atomic bool draining;             /* DRAIN came: chosen only when there is no other */
    _Atomic uint64_t suspect_until_ns; /* it does not answer; chosen only when there is no other. 0: no */
    _Atomic uint32_t load;             /* near halves that chose it and have not heard CLOSED */
    struct agent_call *call;           /* home only; NULL once the stream is over */
    unsigned holders;                  /* home only: workers that know it */
};

/* Which agents may carry connections of a path, as pool_path.agents points to it: the ways to choose one, in
 * order of priority. Immutable. */
struct agent_wish {
    enum config_strategy strategies[CONFIG_STRATEGIES];
    uint32_t count;
};

enum agent_message {
    AGENT_DIAL,   /* seg: struct agent_dial */
    AGENT_DATA,   /* either way; seg */
    AGENT_CREDIT, /* value: bytes more that may come */
    AGENT_FIN,    /* the near half's direction is over: CLOSE_REQ when all was taken */
    AGENT_ABORT,  /* value: enum ending */
    AGENT_OPENED, /* DIAL_RSP said so */
    AGENT_TAKEN,  /* seg: comes home */
    AGENT_END,    /* the destination's direction ended, after all its DATA */
    AGENT_CLOSED, /* value: enum ending, DONE after END; seg: one line of detail or none. The last word.
                     Before OPENED: AGENT_LOST, DEADLINE (it was silent), LIMIT, DESCRIPTORS and NO_SOURCE say
                     that this agent can not; anything else is what it said of the destination */
};

struct agent_dial {
    struct agent_near *near; /* opaque to the home */
    uint64_t deadline_ns;    /* monotonic: CLOSED comes by then, if OPENED does not */
    uint32_t credit;         /* as AGENT_CREDIT */
    char address[AGENT_ADDRESS_MAX];
};

void agent_far_deliver(struct worker *, struct msg *);
/* Message function at the home. */
void agent_near_deliver(struct worker *, struct msg *);
/* Message function of the worker that dialled. */

/* agents.c: which agents there are, in the eyes of each worker */
struct agent_card *agent_card_new(uint32_t host_count);
/* Zeroed, with room for so many hosts; NULL: out of memory. Until it was announced agent_card_free() is the
 * caller's to call. */
void agent_card_free(struct agent_card **);
void agents_announce(struct broker_worker *home, struct agent_card *);
/* Takes the card; its home keeps the pointer until agents_withdraw(). Every worker, the home included, may
 * choose it as soon as it hears of it. */
void agents_withdraw(struct broker_worker *home, struct agent_card **);
/* Its stream is over: card->call is NULL. Frees it when all have forgotten it; until then DIAL may still
 * come, and is answered by CLOSED with AGENT_LOST. Nulls the pointer. */
