/* bench/load/arrivals.c — the offered load, as a function of its seed.
 *
 * Poisson arrivals are the honest model of many independent callers: they bunch, and a proxy that stalls is
 * asked all the same. The gaps and the endpoints are drawn from one splitmix64 stream (Steele, Lea and Flood,
 * 2014), so a printed seed repeats the run. A sweep visits the endpoints in one shuffled order, again and
 * again. */
#include "bench/load/arrivals.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

uint64_t arrivals_random(struct arrivals *a)
{
    a->rng_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = a->rng_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* In (0, 1]: its logarithm is finite. */
static double random_unit(struct arrivals *a)
{
    return ((double)(arrivals_random(a) >> 11) + 1.0) * 0x1p-53;
}

static uint32_t random_below(struct arrivals *a, uint32_t limit)
{
    return (uint32_t)(((arrivals_random(a) >> 32) * (uint64_t)limit) >> 32);
}

int arrivals_init(struct arrivals *a, const struct arrivals_options *o)
{
    assert(o->endpoints_count > 0);
    assert(o->pacing == PACING_CLOSED || o->rate_per_s > 0);
    *a = (struct arrivals){
        .rng_state = o->seed,
        .pacing = o->pacing,
        .gap_mean_ns = o->pacing == PACING_CLOSED ? 0 : 1e9 / o->rate_per_s,
        .endpoints_count = o->endpoints_count,
        .burst = o->burst ? o->burst : 1,
    };
    if (!o->sweep)
        return 0;
    a->sweep_order = malloc(sizeof(*a->sweep_order) * o->endpoints_count);
    if (!a->sweep_order)
        return -ENOMEM;
    for (uint32_t i = 0; i < o->endpoints_count; i++)
        a->sweep_order[i] = i;
    for (uint32_t i = o->endpoints_count - 1; i > 0; i--) {
        uint32_t j = random_below(a, i + 1);
        uint32_t keep = a->sweep_order[i];
        a->sweep_order[i] = a->sweep_order[j];
        a->sweep_order[j] = keep;
    }
    a->burst_left = a->burst;
    return 0;
}

void arrivals_fini(struct arrivals *a)
{
    free(a->sweep_order);
    a->sweep_order = NULL;
}

double arrivals_next_gap_ns(struct arrivals *a)
{
    switch (a->pacing) {
    case PACING_POISSON: return -log(random_unit(a)) * a->gap_mean_ns;
    case PACING_EVEN: return a->gap_mean_ns;
    case PACING_CLOSED: return 0;
    }
    abort();
}

uint32_t arrivals_next_endpoint(struct arrivals *a)
{
    if (!a->sweep_order)
        return random_below(a, a->endpoints_count);
    uint32_t endpoint = a->sweep_order[a->sweep_pos];
    if (--a->burst_left == 0) {
        a->burst_left = a->burst;
        a->sweep_pos = (a->sweep_pos + 1) % a->endpoints_count;
    }
    return endpoint;
}
