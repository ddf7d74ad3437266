/* chaos_cluster.h - the processes of a chaos test: servers and clients, each in a namespace of its
 * own, started by us from one file; and one that watches whether the cluster is whole.
 *
 * Main thread, but for what is said to be atomic. Whoever ends without having been told to fails
 * the test (chaos_check). */
#ifndef SHERD_TESTS_CLUSTER_CHAOS_CLUSTER_H
#define SHERD_TESTS_CLUSTER_CHAOS_CLUSTER_H

#include "tests/cluster/chaos_proxy.h"
#include "tests/cluster/chaos_worker.h"
#include "tests/cluster/cluster.h"

enum { CHAOS_WORKERS = 3, CHAOS_SEEDS_SIZE = 40 * NET_HOSTS_MAX, CHAOS_ASK_MS = 1000 };

struct chaos_process {
    pid_t pid; /* 0: none */
    unsigned starts;
    bool stopped;        /* by SIGSTOP */
    bool dies_by_itself; /* a client that was told to, at some step */
};

struct chaos {
    uint64_t seed, began_us;
    bool durable; /* servers keep their state on disk */
    unsigned k, m, nodes, hosts;
    unsigned vacate_after_ms, partitions;
    struct net net;
    struct proxy proxy;
    struct worker_control *control;
    char seeds[CHAOS_SEEDS_SIZE];
    struct chaos_process processes[NET_HOSTS_MAX]; /* servers, then clients */
    _Atomic int64_t *clocks[NET_HOSTS_MAX];        /* offsets in ms */
    uint32_t next_process;                         /* of the history */

    /* What the watching thread found last: of a look that began then. */
    pthread_t watcher;
    atomic_bool stop_watching;
    _Atomic uint64_t looked_us;
    _Atomic uint64_t heard_us; /* every node answers, and has heard the keeper just now */
    _Atomic uint64_t
        clean_us; /* every node votes, all it lost is rebuilt, no older epoch is open */
    _Atomic uint64_t whole_us; /* and nobody lacks anything, and nothing is undecided */
    _Atomic unsigned weak;     /* nodes that do not vote everywhere under the newest map */
};

static inline bool chaos_is_up(const struct chaos *c, unsigned host)
{
    return c->processes[host].pid != 0 && !c->processes[host].stopped;
}

/* Fills in what follows from seed, code and nodes; makes files, network and proxy. */
void chaos_make(struct chaos *c);

void chaos_start_node(struct chaos *c, unsigned node); /* with what is on its disk, if anything */
void chaos_start_worker(struct chaos *c, unsigned worker, const char *die_at); /* NULL: not */
void chaos_kill_set(struct chaos *c, uint32_t hosts); /* before any knows of another's end */
void chaos_kill(struct chaos *c, unsigned host);
void chaos_wipe(struct chaos *c, unsigned node);               /* what a dead one has on its disk */
void chaos_signal(struct chaos *c, unsigned host, int number); /* SIGSTOP, SIGCONT */

/* Fails if somebody has ended by himself. A client that was told to has its pid set to 0. */
void chaos_check(struct chaos *c);

/* Fails if a server has found what it had on its disk to be damaged. */
void chaos_expect_intact(const struct chaos *c);

/* SIGTERM, and an exit code of 0 in time. */
void chaos_end(struct chaos *c, unsigned host);

void chaos_watch(struct chaos *c);
void chaos_unwatch(struct chaos *c);

/* For the functions of cluster.h that only ask. */
struct cluster chaos_cluster(const struct chaos *c);

/* A line with the time since the beginning. */
__attribute__((format(printf, 2, 3))) void chaos_say(const struct chaos *c, const char *format,
                                                     ...);

#endif
