/* tools/kubelet-sim/sim.h — everything the threads share. Filled by main before they start; what changes
 * afterwards says so at its field. */
#pragma once
#include <stdint.h>
#include <time.h>

#include "tools/kubelet-sim/authn.h"
#include "tools/kubelet-sim/fault.h"
#include "tools/kubelet-sim/fleet.h"
#include "tools/kubelet-sim/ledger.h"
#include "tools/kubelet-sim/options.h"
#include "tools/kubelet-sim/ticket.h"

struct worker;

struct sim {
    struct options options;
    struct fleet fleet;
    struct authn authn;
    struct ledger ledger;     /* has its own lock */
    struct fault_set *faults; /* atomic; replaced by the status thread */
    uint64_t started_ns;
    bool stopping; /* atomic; set once by main */
    struct worker **workers;
    size_t workers_n;
};

static inline const struct fault_set *sim_faults(const struct sim *sim)
{
    return __atomic_load_n(&sim->faults, __ATOMIC_ACQUIRE);
}

static inline uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
