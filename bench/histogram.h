/* histogram.h - latencies counted in buckets of constant relative width, after HdrHistogram.
 *
 * Values below 128 have a bucket each; above, every power of two is divided into 64, so a quantile
 * is at most 1.6 % above what was recorded. Recording is a few instructions and never allocates.
 * A plain value of 30 KiB: zeroed is empty, assignment copies. */
#ifndef SHERD_BENCH_HISTOGRAM_H
#define SHERD_BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
    BENCH_HISTOGRAM_BITS = 6, /* 64 buckets for each power of two */
    BENCH_HISTOGRAM_BUCKETS = (64 - BENCH_HISTOGRAM_BITS + 1) << BENCH_HISTOGRAM_BITS,
};

struct bench_histogram {
    uint64_t total; /* values recorded */
    uint64_t max;   /* the largest of them, exactly */
    uint64_t counts[BENCH_HISTOGRAM_BUCKETS];
};

void bench_histogram_record(struct bench_histogram *h, uint64_t value);

void bench_histogram_merge(struct bench_histogram *into, const struct bench_histogram *from);

/* The value that the share `quantile` (0..1) of what was recorded does not exceed; 0: empty. */
uint64_t bench_histogram_quantile(const struct bench_histogram *h, double quantile);

#endif
