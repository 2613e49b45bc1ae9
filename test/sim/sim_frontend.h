/* test/sim/sim_frontend.h — a scripted client of Konnectivity's Proxy service: dials one tunnel after
 * another, or many at a time, on connections, streams and connections within streams of its choice, and
 * leaves at any moment. It judges every packet it gets.
 */
#pragma once

#include "sim_ask.h"
#include "sim_h2.h"

enum sim_frontend_mode {
    FRONTEND_SINGLE,  /* a connection for each dial, as kube-apiserver has it */
    FRONTEND_STREAMS, /* a stream for each dial, on one connection */
    FRONTEND_SHARED,  /* many dials on one stream */
    FRONTEND_MODES,
};

/* Chances are per thousand. */
struct sim_frontend_habits {
    unsigned dials, at_once; /* in all; under way and standing at a time */
    uint32_t leaves;         /* of a connection: within leave_max_ns, with all that is on it */
    uint64_t leave_max_ns;
    struct sim_h2_habits h2;
};

struct sim_frontend_options {
    struct sim_tunneller_options ask; /* habits, promises and so on, and the listener */
    const struct sim_frontend_habits *habits;
    enum sim_frontend_mode mode;
};

struct sim_frontend;

struct sim_frontend *sim_frontend_new(const struct sim_frontend_options *);
/* Starts by itself. */
bool sim_frontend_is_done(const struct sim_frontend *);
void sim_frontend_check(struct sim_frontend *);
/* At every step. */
void sim_frontend_leave(struct sim_frontend *);
/* Breaks off what is left; done soon after. */
void sim_frontend_free(struct sim_frontend **);
/* Asserts that it is done. */
