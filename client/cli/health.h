/* health.h - what all nodes say of themselves at one moment, and what is not as it should be. */
#ifndef SHERD_CLI_HEALTH_H
#define SHERD_CLI_HEALTH_H

#include "client/cli/session.h"

enum { CLI_HEALTH_TIMEOUT_MS = 1000 }; /* for each node */

struct cli_node {
    json_t *stats;     /* NULL: it does not answer */
    const char *state; /* "up", "down", "starting", "lost", "learning", "sealing", "unclean", ... */
    uint64_t voting, learning, sealing, unclean, lost; /* partitions */
    uint64_t bytes, keys, undecided, repairs; /* repairs: keys, or partitions to look through */
    uint64_t live, recover_asked, recover_done;
    uint64_t done, total, done_bytes; /* of the recovery's task: keys, or partitions */
    int64_t keeper_ms;                /* since it last heard the keeper; -1: never */
};

struct cli_health {
    struct cli_node *nodes;
    size_t count;
    struct sherd_cluster_info info;
    bool has_info;
    json_t *keeper;      /* NULL: it does not answer, or there is none */
    json_t *problems;    /* array of sentences; empty: healthy */
    uint64_t bytes;      /* of all nodes that answer */
    bool only_undecided; /* the only problems are undecided writes, which a moment later are none */
};

/* The numbers of one node. The caller frees with cli_node_fini. */
void cli_node_read(struct cli_session *s, uint16_t node, struct cli_node *out);
void cli_node_fini(struct cli_node *node);

/* Whether the node votes wherever it holds a slot, and lacks nothing. */
bool cli_node_is_whole(const struct cli_node *node);

/* Asks all nodes and the keeper. 0, or an exit code; the caller frees with cli_health_fini. */
int cli_health_read(const struct cli *cli, struct cli_session *s, struct cli_health *out);
void cli_health_fini(struct cli_health *h);

/* The newest map that a node knows to be live; what a client last saw of it may be older. */
uint64_t cli_health_live(const struct cli_health *h);
bool cli_health_is_good(const struct cli_health *h);

#endif
