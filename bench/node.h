/* node.h - what the nodes of a cluster say of themselves. */
#ifndef SHERD_BENCH_NODE_H
#define SHERD_BENCH_NODE_H

#include <sherd/sherd.h>

struct bench_node {
    char incarnation[32];
    uint64_t voting, learning, unclean, sealing;
    uint64_t bytes, shards, shard_bytes, undecided;
    uint64_t rebuilt_keys, rebuilt_bytes;
};

/* A client for asking nodes; the caller's, for sherd_close. 0, or an exit code after a report. */
int bench_node_client(const char *conf, struct sherd_client **out);

/* 0; -EAGAIN: the node does not answer now; other negative errno. */
int bench_node_look(struct sherd_client *client, unsigned node, struct bench_node *out);

#endif
