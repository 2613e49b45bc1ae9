/* bench/load/histogram.h — counts of durations in logarithmic buckets, at most 0.8 % wide.
 * One thread; storage is the caller's and never grows. */
#pragma once

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 7  /* 128 buckets per power of two: relative error below 1/128 */
#define HISTOGRAM_MAX_BITS 40 /* 2^40 ns is 18 minutes, longer than any deadline here; above is clamped */
#define HISTOGRAM_BUCKETS  ((HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t max_ns;
    double sum_ns;
};

void histogram_add(struct histogram *, uint64_t value_ns);
uint64_t histogram_quantile_ns(const struct histogram *, double q);
/* The upper edge of the bucket that holds the q-quantile (never more than the maximum); 0 when empty. */
uint64_t histogram_bucket_top_ns(unsigned index);
unsigned histogram_bucket_of(uint64_t value_ns);
