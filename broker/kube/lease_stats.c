/* broker/kube/lease_stats.c — see lease_stats.h. */
#include "broker/kube/lease_stats.h"

#include <stdio.h>
#include <string.h>

const double lease_bucket_bounds_s[LEASE_BUCKETS] = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};

static void add(_Atomic uint64_t *v, uint64_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n, memory_order_relaxed);
}

static unsigned row_of(struct lease_calls *c, uint16_t code, const char *reason)
{
    unsigned count = atomic_load_explicit(&c->row_count, memory_order_relaxed);
    for (unsigned i = 0; i < count; i++)
        if (c->rows[i].code == code && strncmp(c->rows[i].reason, reason, LEASE_REASON_MAX - 1) == 0)
            return i;
    if (count == LEASE_ROWS_MAX)
        return count - 1;
    c->rows[count].code = code;
    snprintf(c->rows[count].reason, LEASE_REASON_MAX, "%s", reason);
    atomic_store_explicit(&c->row_count, count + 1, memory_order_release);
    return count;
}

static unsigned latency_of(struct lease_calls *c, uint16_t code)
{
    unsigned count = atomic_load_explicit(&c->latency_count, memory_order_relaxed);
    for (unsigned i = 0; i < count; i++)
        if (c->latencies[i].code == code)
            return i;
    if (count == LEASE_CODES_MAX)
        return count - 1;
    c->latencies[count].code = code;
    atomic_store_explicit(&c->latency_count, count + 1, memory_order_release);
    return count;
}

void lease_calls_note(struct lease_calls *c, uint16_t code, const char *reason, uint64_t duration_ns)
{
    unsigned n = latency_of(c, code);
    add(&c->rows[row_of(c, code, reason)].count, 1);
    for (unsigned i = 0; i < LEASE_BUCKETS; i++)
        if ((double)duration_ns <= lease_bucket_bounds_s[i] * 1e9)
            add(&c->latencies[n].buckets[i], 1);
    add(&c->latencies[n].sum_ns, duration_ns);
    add(&c->latencies[n].count, 1);
}
