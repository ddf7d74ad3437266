/* health.h - what all nodes say of themselves at one moment, and what is not as it should be. */
#ifndef SHERD_CLI_HEALTH_H
#define SHERD_CLI_HEALTH_H

#include "client/cli/session.h"

enum { CLI_HEALTH_TIMEOUT_MS = 1000 }; /* for each node */

struct cli_node {
    json_t *stats;     /* NULL: it does not answer */
    const char *state; /* "up", "down", "starting", "empty", "learning", "sealing", "full", ... */
    uint64_t voting, learning, sealing, unclean; /* partitions */
    uint64_t kept; /* lost partitions whose shards it still has: they alone are too few */
    uint64_t
        forgotten; /* lost partitions that it held once, and knows no more; see cli_node_judge */
    uint64_t bytes, bytes_max, keys, undecided;
    uint64_t repairs, rescans; /* keys to repair, partitions to look through */
    uint64_t disowned;         /* partitions of which something was damaged, since it started */
    uint64_t damaged;          /* shards that did not fit their CRC, since it started */
    const char *fault;         /* why its store refuses changes, or NULL; a part of `stats` */
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
    uint64_t degraded;   /* partitions with a slot without a voter, or, at least so many, on a node
                            that does not answer */
    uint64_t silent;     /* nodes */
    json_t *problems;    /* array of sentences; empty: healthy */
    uint64_t bytes;      /* of all nodes that answer */
    bool only_undecided; /* the only problems are undecided writes, which a moment later are none */
};

/* The numbers of one node. The caller frees with cli_node_fini. */
void cli_node_read(struct cli_session *s, uint16_t node, struct cli_node *out);
void cli_node_fini(struct cli_node *node);

/* What the keeper says of itself; NULL: it does not answer. The caller frees. */
json_t *cli_keeper_read(struct cli_session *s);

/* How many partitions are lost, as the keeper says, or if it is silent as the map says. */
uint64_t cli_keeper_lost(const json_t *keeper, const struct sherd_cluster_info *info);

/* Adds what the node alone does not know, and what follows for its state. */
void cli_node_judge(struct cli_node *node, uint16_t id, const json_t *keeper);

/* Whether the node votes wherever it holds a slot, and lacks nothing. */
bool cli_node_is_whole(const struct cli_node *node);

/* The same, but for partitions that are lost. */
bool cli_node_is_settled(const struct cli_node *node);

/* Asks all nodes and the keeper. 0, or an exit code; the caller frees with cli_health_fini. */
int cli_health_read(const struct cli *cli, struct cli_session *s, struct cli_health *out);
void cli_health_fini(struct cli_health *h);

/* The newest map that a node knows to be live; what a client last saw of it may be older. */
uint64_t cli_health_live(const struct cli_health *h);
bool cli_health_is_good(const struct cli_health *h);

#endif
