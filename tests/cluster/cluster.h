/* cluster.h - a real local cluster of k + m servers, started by the executable `sherd`, and what
 * can happen to it.
 *
 * Everything here fails the test when it does not succeed. One thread, the main one. Times are
 * limits: nothing waits longer than needed. */
#ifndef SHERD_TESTS_CLUSTER_CLUSTER_H
#define SHERD_TESTS_CLUSTER_CLUSTER_H

#include <sherd/sherd.h>
#include <sys/types.h>

#include "tests/cluster/process.h"
#include "tests/cluster/report.h"

enum {
    CLUSTER_NODES_MAX = 32,
    CLUSTER_DIR_SIZE = 128,
    CLUSTER_HEALTHY_MS = 30000, /* for a rebuild of what these tests store */
    CLUSTER_QUIET_MS = 10000,   /* promised: after so long nothing undecided is left */
};

enum cluster_node_state { CLUSTER_DEAD, CLUSTER_RUNNING, CLUSTER_STOPPED };

struct cluster {
    char dir[CLUSTER_DIR_SIZE];
    unsigned k, m, nodes; /* nodes == k + m: every node holds a shard of every value */
    unsigned base_port;
    enum cluster_node_state state[CLUSTER_NODES_MAX];
    pid_t pid[CLUSTER_NODES_MAX];
    const char *seeds; /* endpoints of a cluster that somebody else started; NULL: it is ours, on
                          loopback from base_port on */
    struct sherd_client *client; /* for asking the nodes; tests open their own for work */
};

/* `code` such as "4+2". `options`: more words for `sherd cluster up`, up to a NULL; may be NULL. */
void cluster_up(struct cluster *c, const char *code, const char *const *options);

/* Ends all servers with SIGTERM: whoever was running must exit with 0, and no sanitizer may have
 * spoken. */
void cluster_down(struct cluster *c);

/* Another client of the cluster; the caller's, for sherd_close. Any thread. */
struct sherd_client *cluster_client(const struct cluster *c, uint32_t timeout_ms);

/* "tcp://127.0.0.1:PORT" of a node. */
enum { CLUSTER_ENDPOINT_SIZE = 32 };
void cluster_endpoint(const struct cluster *c, unsigned node, char out[CLUSTER_ENDPOINT_SIZE]);

void cluster_stop(struct cluster *c, unsigned node); /* SIGSTOP */
void cluster_continue(struct cluster *c, unsigned node);
void cluster_kill(struct cluster *c, unsigned node); /* SIGKILL; returns when it is gone */

void cluster_kill_all(struct cluster *c); /* before any of them knows of another's end */

/* Starts a killed node again, with nothing, or what is on its disk. In two steps: it answers once
 * cluster_start_wait returns. */
pid_t cluster_start_begin(const struct cluster *c, unsigned node);
void cluster_start_wait(struct cluster *c, unsigned node, pid_t starter);
void cluster_start(struct cluster *c, unsigned node);
void cluster_start_all(struct cluster *c); /* that are dead */

/* The same for sets of nodes, as bits. */
void cluster_stop_set(struct cluster *c, uint32_t set);
void cluster_continue_set(struct cluster *c, uint32_t set);
const char *cluster_set_text(uint32_t set, char out[3 * CLUSTER_NODES_MAX + 1]); /* "0,3" */

/* What a node says of itself (its STATS). */
struct cluster_node_stats {
    uint64_t map_version, live;
    uint64_t voting, learning, sealing, unclean, lost;                /* partitions */
    uint64_t keys, shards, shard_bytes, bytes, undecided, tombstones; /* of the store */
    uint64_t undecided_queue, repair_list, rescan, backlog;           /* work that waits */
};
/* False: no answer. */
bool cluster_node_stats(struct cluster *c, unsigned node, struct cluster_node_stats *out);

/* One number of a node's STATS, such as "store.damaged.shards". */
uint64_t cluster_number(struct cluster *c, unsigned node, const char *path);

/* Waits until all nodes hold one live map in which all of them vote, and nothing is left to be
 * rebuilt or repaired. Returns how long it took, in ms. */
uint64_t cluster_wait_healthy(struct cluster *c, uint64_t timeout_ms);

/* Acceptance L: the cluster is healthy, and after 10 s without writes at the latest no node has an
 * undecided entry, and each holds one shard of each readable value and no other. Prints figures. */
void cluster_expect_quiet(struct cluster *c);

/* `sherd WORDS... --dir DIR`; `words` ends with NULL. Returns the exit code. */
int cluster_run(const struct cluster *c, const char *const *words, struct process_result *out);

/* `first` .. `first + count - 1` are free ports. */
unsigned cluster_find_ports(unsigned count);

#endif
