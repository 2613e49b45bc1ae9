/* bench/load/histogram.c — logarithmic buckets in the manner of HdrHistogram.
 *
 * Values below 2^SUB_BITS have a bucket each. Above, each power of two is cut in 2^SUB_BITS equal parts, so
 * that the bucket of a value is its leading one and the SUB_BITS bits after it. A quantile is answered with
 * the upper edge of its bucket: the histogram may call a request slower than it was by 0.8 %, never faster.
 */
#include "bench/load/histogram.h"

#include <assert.h>
#include <math.h>

static_assert(HISTOGRAM_MAX_BITS < 64, "bucket edges are computed in 64 bits");

unsigned histogram_bucket_of(uint64_t value_ns)
{
    const uint64_t limit = (UINT64_C(1) << HISTOGRAM_MAX_BITS) - 1;
    uint64_t v = value_ns > limit ? limit : value_ns;
    if (v < (UINT64_C(1) << HISTOGRAM_SUB_BITS))
        return (unsigned)v;
    unsigned top_bit = 63u - (unsigned)__builtin_clzll(v);
    unsigned shift = top_bit - HISTOGRAM_SUB_BITS;
    uint64_t sub = (v >> shift) - (UINT64_C(1) << HISTOGRAM_SUB_BITS);
    return ((shift + 1) << HISTOGRAM_SUB_BITS) + (unsigned)sub;
}

uint64_t histogram_bucket_top_ns(unsigned index)
{
    assert(index < HISTOGRAM_BUCKETS);
    unsigned octave = index >> HISTOGRAM_SUB_BITS;
    uint64_t sub = index & ((1u << HISTOGRAM_SUB_BITS) - 1);
    if (octave == 0)
        return sub;
    unsigned shift = octave - 1;
    return (((UINT64_C(1) << HISTOGRAM_SUB_BITS) + sub + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value_ns)
{
    h->counts[histogram_bucket_of(value_ns)]++;
    h->total++;
    h->sum_ns += (double)value_ns;
    if (value_ns > h->max_ns)
        h->max_ns = value_ns;
}

uint64_t histogram_quantile_ns(const struct histogram *h, double q)
{
    if (h->total == 0)
        return 0;
    uint64_t rank = (uint64_t)ceil(q * (double)h->total);
    if (rank == 0)
        rank = 1;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= rank) {
            uint64_t top = histogram_bucket_top_ns(i);
            return top < h->max_ns ? top : h->max_ns;
        }
    }
    return h->max_ns;
}
