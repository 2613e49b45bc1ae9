/* test/sim/sim_h2_client.h — a scripted client that speaks HTTP/2: requests and CONNECTs, many at a time on
 * one connection, some of them reset, and the connection left at any moment; then another one. It checks
 * every byte of every answer.
 */
#pragma once

#include "sim_ask.h"
#include "sim_client.h"
#include "sim_h2.h"

/* Chances are per thousand. */
struct sim_h2_client_habits {
    unsigned asks, at_once; /* in all; under way at a time */
    uint32_t tunnels;       /* of an ask: by CONNECT */
    uint32_t resets;        /* of a request: is given up within leave_max_ns */
    uint32_t leaves;        /* of a connection */
    uint64_t leave_max_ns;
    struct sim_h2_habits h2;
};

struct sim_h2_client_options {
    struct sim_tunneller_options ask;
    const struct sim_habits *requests;
    const struct sim_h2_client_habits *habits;
};

struct sim_h2_client;

struct sim_h2_client *sim_h2_client_new(const struct sim_h2_client_options *);
/* Starts by itself. */
bool sim_h2_client_is_done(const struct sim_h2_client *);
void sim_h2_client_check(struct sim_h2_client *, uint32_t held_max);
/* At every step; held_max: see sim_client_check(), 0 where that is not to be checked. */
void sim_h2_client_leave(struct sim_h2_client *);
/* Breaks off what is left; done soon after. */
void sim_h2_client_free(struct sim_h2_client **);
/* Asserts that it is done. */
