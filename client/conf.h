/* conf.h - the configuration file: one file for servers, tools and clients of a cluster.
 *
 * conf/sherd.conf shows every option. What a loaded configuration promises: every field is within
 * the limits below, nodes[i].id == i, endpoints are distinct, and there are nodes for every slot of
 * the code. Any thread may load; loads wait for each other. */
#ifndef SHERD_CLIENT_CONF_H
#define SHERD_CLIENT_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/limits.h"

enum {
    SHERD_CONF_CLUSTER_BYTES_MAX = 64, /* with the closing zero */
    SHERD_CONF_PATH_BYTES_MAX = 1024,  /* with the closing zero */
    SHERD_CONF_WEIGHT_MAX = 1000,
    SHERD_CONF_NO_SELF = -1,
};

enum sherd_conf_log { SHERD_CONF_ERROR, SHERD_CONF_WARN, SHERD_CONF_INFO, SHERD_CONF_DEBUG };

struct sherd_conf_node {
    uint16_t id;
    uint16_t weight;                         /* 1..1000, share of the data relative to the others */
    char endpoint[SHERD_ENDPOINT_BYTES_MAX]; /* tcp://host:port */
    char zone[SHERD_ZONE_BYTES_MAX];         /* "": none */
};

struct sherd_conf {
    char cluster[SHERD_CONF_CLUSTER_BYTES_MAX];
    unsigned k, m;                         /* 1 <= k, k + m <= SHERD_SLOTS_MAX */
    char keeper[SHERD_ENDPOINT_BYTES_MAX]; /* "": no keeper, the map never changes */
    struct sherd_conf_node *nodes;         /* in order of id, without gaps */
    size_t node_count;                     /* k + m .. SHERD_NODES_MAX */
    uint32_t partitions;                   /* 1..SHERD_PARTITIONS */
    uint32_t straggler_ms;

    /* Only servers read the rest. */
    int self;                                   /* id of this node, or SHERD_CONF_NO_SELF */
    char keeper_dir[SHERD_CONF_PATH_BYTES_MAX]; /* "": this node does not carry the keeper */
    char state_dir[SHERD_CONF_PATH_BYTES_MAX];
    char store[16];               /* "memory" or "lmdb" */
    uint32_t sync_ms;             /* lmdb: between two syncs; 0: one before each answer */
    uint64_t max_memory_bytes;    /* 0: the server's default */
    uint64_t recovery_rate_bytes; /* a second; 0: unlimited */
    uint64_t scrub_rate_bytes;    /* a second; 0: no scrub */
    uint32_t vacate_after_ms;
    enum sherd_conf_log log_level;
};

/* Reads the file at `path` and what it includes. On success *out is the caller's, for
 * sherd_conf_fini; on failure *out is not touched and `error` holds one line for humans, with file
 * and line where a line is to blame; a fault of the whole is reported at the last line.
 * -ENOENT: cannot be opened; -EINVAL: anything wrong in it; -ENOMEM. Blocks on the disk. */
int sherd_conf_load(const char *path, struct sherd_conf *out, char *error, size_t error_size);

/* NULL and a zeroed one are allowed. */
void sherd_conf_fini(struct sherd_conf *conf);

/* "4+2" -> 4, 2. Plain decimals, 1 <= k, k + m <= SHERD_SLOTS_MAX; -EINVAL. */
int sherd_parse_code(const char *text, unsigned *k, unsigned *m);

/* Whether the options `store` and `sync` may be that. */
bool sherd_conf_is_store(const char *text);
bool sherd_conf_is_sync(const char *text);

/* "4096", "64KiB", "16MiB", "2GiB" -> bytes. -EINVAL: anything else; -ERANGE: above 2^64 - 1. */
int sherd_parse_size(const char *text, uint64_t *bytes);

#endif
