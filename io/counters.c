/* io/counters.c — histogram buckets of the phases. */
#include "io/counters.h"

#include "io/worker.h"

static const uint64_t first_bound_ns = 62500;

uint64_t phase_bucket_bound_ns(unsigned bucket)
{
    return bucket + 1 >= PHASE_BUCKETS ? UINT64_MAX : first_bound_ns << bucket;
}

static void bump(_Atomic uint64_t *v, uint64_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n, memory_order_relaxed);
}

void phase_observe(struct worker *w, enum phase phase, uint64_t duration_ns)
{
    unsigned bucket = 0;
    for (uint64_t bound = first_bound_ns; bucket + 1 < PHASE_BUCKETS && duration_ns > bound; bound <<= 1)
        bucket++;
    bump(&w->counters.phases[phase].buckets[bucket], 1);
    bump(&w->counters.phases[phase].sum_ns, duration_ns);
    bump(&w->counters.phases[phase].count, 1);
}
