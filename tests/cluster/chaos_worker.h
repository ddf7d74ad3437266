/* chaos_worker.h - a client of a chaos test: a process of its own, to be killed.
 *
 * Threads with a handle each, several operations at once in each, on few keys: hot ones, with new
 * names every few seconds so that the search for an order stays short, counters, cold ones, and
 * ones that are hardly ever written, which only the rebuilding of nodes carries along. Every
 * operation in progress is one process of the history; a process that does not know what became of
 * its operation is not heard of again. */
#ifndef SHERD_TESTS_CLUSTER_CHAOS_WORKER_H
#define SHERD_TESTS_CLUSTER_CHAOS_WORKER_H

#include <stdatomic.h>

#include "tests/cluster/chaos_net.h"

enum { WORKER_TIMEOUT_MS = 2000, WORKER_PROCESSES = 100000 /* one worker uses fewer */ };

/* Shared by all, in a file. */
struct worker_control {
    atomic_bool pause;               /* begin nothing new */
    _Atomic int busy[NET_HOSTS_MAX]; /* operations in progress, by host */
    _Atomic uint64_t began_us;       /* names of keys count from here */
    _Atomic uint32_t think_us;       /* longest pause between operations */
};

struct worker_control *worker_control_map(const char *path, bool create);

/* The mode `--worker EVENTS CONTROL SEEDS HOST FIRST_PROCESS SEED`; the exit code. SIGTERM: ends
 * what is in progress, then itself. */
int worker_main(int argc, char **argv);

#endif
