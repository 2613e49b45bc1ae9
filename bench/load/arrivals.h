/* bench/load/arrivals.h — when the next request is due and to which endpoint it goes.
 * Everything follows from the seed: two runs with one seed offer the same load to two proxies. One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum pacing {
    PACING_POISSON, /* open loop, exponential gaps */
    PACING_EVEN,    /* open loop, equal gaps: a sweep then touches each endpoint exactly once per period */
    PACING_CLOSED,  /* a connection asks again as soon as it is answered */
};

struct arrivals {
    uint64_t rng_state;
    enum pacing pacing;
    double gap_mean_ns;
    uint32_t endpoints_count;
    uint32_t *sweep_order; /* NULL: uniform choice */
    uint32_t sweep_pos;
    uint32_t burst; /* a sweep asks each endpoint this many times in a row */
    uint32_t burst_left;
};

struct arrivals_options {
    uint64_t seed;
    enum pacing pacing;
    double rate_per_s; /* ignored when closed */
    uint32_t endpoints_count;
    uint32_t burst;
    bool sweep;
};

int arrivals_init(struct arrivals *, const struct arrivals_options *);
/* 0 or -ENOMEM. */
void arrivals_fini(struct arrivals *);
double arrivals_next_gap_ns(struct arrivals *);
uint32_t arrivals_next_endpoint(struct arrivals *);
uint64_t arrivals_random(struct arrivals *);
