/* test/sim/sim_client.h — a scripted HTTP/1.1 client on the simulated network: absolute-form requests,
 * pipelined or not, one connection after another until its script is done. It checks every byte of every
 * answer.
 */
#pragma once

#include "io/sim_net.h"
#include "sim_backend.h"
#include "sim_ledger.h"

/* How a client behaves. Chances are per thousand. */
struct sim_habits {
    unsigned exchanges, pipeline;           /* in all; under way at once */
    uint32_t request_max, answer_max;       /* bytes of bodies */
    uint64_t think_max_ns;                  /* between exchanges */
    uint64_t backend_think_max_ns;          /* before a backend answers */
    uint32_t bad_acts;                      /* exchanges whose backend misbehaves */
    uint32_t closing_acts;                  /* exchanges after which the backend closes */
    uint32_t never_acts;                    /* exchanges that are never answered */
    uint32_t leaves;                        /* of a connection: is dropped at some moment */
    uint32_t stops_reading, stops_for_good; /* of an answer; of those that stopped */
    uint32_t slow_writes;                   /* of a write: only a few bytes, then a pause */
    uint32_t half_closes;    /* of a connection: says its last byte before the answers are there */
    uint64_t patience_ns;    /* then it leaves... */
    bool answer_is_owed;     /* ...and that is a violation */
    bool keep_alive_is_owed; /* whatever backends do to theirs, the client's connection goes on */
    bool transparent;        /* what answers is the backend itself: no broker that may answer for it */
};

struct sim_client;

struct sim_client *sim_client_new(struct sim_net *, struct sim_ledger *, const struct sim_habits *,
                                  const struct net_address *to, struct sim_backend *const *backends,
                                  unsigned backend_count);
/* Starts by itself. Asks for backends out of the list. */
bool sim_client_is_done(const struct sim_client *);
/* Its script is over, or it stopped reading for good and nobody shall wait for it. */
void sim_client_check(struct sim_client *, uint32_t held_max);
/* No more bytes of a request's body than that are between it and the backend. At every step. */
void sim_client_free(struct sim_client **);
/* Leaves if it is still there. */
