/* pool/health.h — the breaker of one endpoint: after some failures in a row nobody dials for a while, then
 * one probe decides. Owner worker only; no timers, time is looked at when somebody asks. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/ending.h"
#include "pool/pool.h"

enum breaker {
    BREAKER_CLOSED,    /* dial as you like */
    BREAKER_OPEN,      /* nobody dials before open_until_ns; then whoever comes first dials as probe */
    BREAKER_HALF_OPEN, /* the probe is under way */
    BREAKER_STATES,
};

struct health {
    enum breaker breaker;
    uint32_t failures;   /* in a row */
    uint32_t backoff_ms; /* of the last opening; 0 after a success */
    uint64_t open_until_ns;
    enum ending last_failure; /* DONE: none yet */
    char detail[POOL_DETAIL_MAX];
};

enum health_phase { HEALTH_DIALLING, HEALTH_LEASED };

bool health_counts(enum ending, enum health_phase);
/* Whether such an end speaks against the endpoint. */
bool health_refuses(const struct health *, uint64_t now_ns);
/* No dial now, and a lease that finds no idle connection fails at once. */
bool health_dial_started(struct health *, struct worker *);
/* True: this dial is the probe. */
void health_succeeded(struct health *, struct worker *);
bool health_failed(struct health *, struct worker *, const struct pool_limits *, enum ending,
                   const char *detail);
/* Only for ends that count. True when this opened the breaker. */
void health_probe_undecided(struct health *, struct worker *);
/* A dial ended in a way that says nothing about the endpoint: the next lease probes again. */
void health_forget(struct health *, struct worker *);
/* The endpoint goes: its breaker leaves the gauge. */
void health_check(const struct health *);
