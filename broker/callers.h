/* broker/callers.h — who holds how much of a limit, and fair shares of it when it gets scarce.
 *
 * A caller is a listener and the identity its client proved there; it is the same caller on every connection
 * and worker. Below three quarters of a limit everybody is admitted; above, only callers that hold less than
 * the limit divided by the callers that hold anything now; at the limit nobody. So one caller alone may use
 * all of it, and one that has run away leaves a quarter to the others. What was admitted is never taken away.
 * Workers share the table of names, which only grows; what is held is counted per worker, by its owner. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/attributes.h"

struct callers;

enum { CALLERS_MAX = 1024 }; /* those known apart; an apiserver is one, a fleet of scrapers a few */
#define CALLER_OTHERS 0u     /* all who came later, together */

enum caller_use {
    CALLER_REQUEST,    /* limits.requestsInFlightMax */
    CALLER_TUNNEL,     /* limits.tunnelsMax */
    CALLER_DIAL,       /* tunnels not answered yet, against pool.handshakesInFlightMax of each worker */
    CALLER_AGENT_DIAL, /* those of them for which agents are asked first: against agents.pendingDialsMax */
    CALLER_USES,
};

struct caller_key {
    uint32_t listener; /* its index */
    uint32_t kind;     /* enum client_kind */
    uint32_t uid;
    char name[128]; /* of a certificate, cut when longer; zeroes behind it, for comparison */
};

struct caller_share {
    uint32_t limit, total, held, active; /* active: callers that hold anything, the one that asks included */
};

bool caller_share_admits(const struct caller_share *);
/* The rule. Pure. */

MUST_USE int callers_new(unsigned workers, const uint32_t limits[CALLER_USES], struct callers **ret_callers);
/* 0 or -ENOMEM. */
void callers_free(struct callers **);

/* For the thread of `worker`: */
uint32_t caller_of(struct callers *, unsigned worker, const struct caller_key *);
/* The caller's number, the same for an equal key until the end of the process. Never waits. */
MUST_USE bool caller_admit(struct callers *, unsigned worker, uint32_t caller, enum caller_use,
                           uint64_t now_ns);
/* True: counted, and owed a caller_leave() on the same worker. Workers that admit at the same moment may
 * exceed a limit by one each. */
void caller_leave(struct callers *, unsigned worker, uint32_t caller, enum caller_use);

uint32_t callers_held_any_thread(const struct callers *, enum caller_use);
/* By all, on all workers. */
