/* workers.h - threads that keep a cluster busy, and what they saw.
 *
 * Each thread has its own client and keeps `depth` operations in flight through sherd_submit and
 * sherd_poll: as one ends, the next is submitted from its callback. The clock starts when every
 * thread has connected and done its warm-up, and ends when the last operation has ended.
 *
 * A set that ends UNCERTAIN is submitted anew, as PROTOCOL 3 leaves to callers who want it at least
 * once; its latency counts from the first time, and how often that happened is reported. */
#ifndef SHERD_BENCH_WORKERS_H
#define SHERD_BENCH_WORKERS_H

#include <sherd/sherd.h>

#include "bench/histogram.h"

struct bench_work {
    const char *conf;
    const char *name;    /* of the workload, for reports */
    unsigned read_share; /* per cent: 0 writes every key once, in order; else keys at random */
    size_t size;         /* bytes of a value */
    size_t key_size;     /* bytes of a key */
    uint64_t count;      /* keys, and operations measured */
    uint64_t warmup;     /* operations not measured */
    unsigned depth, threads;
    uint32_t timeout_ms;
    uint64_t seed;
};

struct bench_tally {
    uint64_t operations;                    /* that ended, well or not */
    uint64_t outcomes[SHERD_OUTCOME_COUNT]; /* of these, by outcome */
    uint64_t wrong;                         /* reads that gave other bytes than were written */
    uint64_t reissued;                      /* sets that ended UNCERTAIN and were submitted anew */
    uint64_t started_ns, ended_ns;          /* monotonic */
    uint64_t cpu_ns;                        /* processor time of this process meanwhile */
    struct bench_histogram latency;         /* in nanoseconds, of operations that ended well */
};

/* Does the work. 0 and *out, or an exit code after a report: no client could be opened, no memory.
 * Operations that fail are counted, not reported; so are those of the warm-up. */
int bench_workers_run(const struct bench_work *work, struct bench_tally *out);

double bench_tally_seconds(const struct bench_tally *t);
uint64_t bench_tally_failed(const struct bench_tally *t); /* failed or wrong */

/* "3 TIMEOUT, 1 wrong data" on stderr, if anything failed. Returns the exit code. */
int bench_tally_report_failures(const struct bench_work *work, const struct bench_tally *t);

#endif
