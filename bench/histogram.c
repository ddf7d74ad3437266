/* histogram.c - latencies counted in buckets of constant relative width. */
#include "bench/histogram.h"

enum { BITS = BENCH_HISTOGRAM_BITS };

/* The highest BITS + 1 bits of the value, the first of which is always set, and how far they are
 * from the bottom. Values of fewer bits are their own bucket. */
static unsigned bucket_of(uint64_t value)
{
    unsigned shift = 0;

    if (value >> (BITS + 1) != 0) shift = 63 - BITS - (unsigned)__builtin_clzll(value);
    return (shift << BITS) + (unsigned)(value >> shift);
}

/* The largest value of a bucket. */
static uint64_t top_of(unsigned bucket)
{
    unsigned shift = bucket >> BITS;
    uint64_t high;

    if (shift <= 1) return bucket;
    shift--;
    high = bucket - (shift << BITS);
    return ((high + 1) << shift) - 1; /* of the last bucket: 0 - 1, as it should be */
}

void bench_histogram_record(struct bench_histogram *h, uint64_t value)
{
    h->counts[bucket_of(value)]++;
    h->total++;
    if (value > h->max) h->max = value;
}

void bench_histogram_merge(struct bench_histogram *into, const struct bench_histogram *from)
{
    for (unsigned i = 0; i < BENCH_HISTOGRAM_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
    if (from->max > into->max) into->max = from->max;
}

uint64_t bench_histogram_quantile(const struct bench_histogram *h, double quantile)
{
    uint64_t rank = (uint64_t)((double)h->total * quantile + 0.5), seen = 0;

    if (rank == 0) rank = 1;
    for (unsigned i = 0; i < BENCH_HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= rank && h->counts[i] != 0) return top_of(i) < h->max ? top_of(i) : h->max;
    }
    return h->max;
}
