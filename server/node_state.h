/* node_state.h - what a node must know again after a restart, beside its records and its map.
 *
 * All else that it knows of a partition (slot, epoch, whether it votes) follows from the map that
 * it sealed last and from its incarnation. Pure. */
#ifndef SHERD_SERVER_NODE_STATE_H
#define SHERD_SERVER_NODE_STATE_H

#include <sherd/base.h>

#include "coord/ballot.h"
#include "coord/limits.h"

struct sherd_node_state {
    uint16_t node;
    uint16_t count;       /* of partitions */
    uint64_t incarnation; /* of its memory */
    uint64_t live;        /* as struct sherd_partitions */
    uint64_t seen;        /* clock of ballots: nothing older is missing here; 0: not known */
    struct sherd_ballot floors[SHERD_PARTITIONS];
    uint32_t forgotten[SHERD_PARTITIONS]; /* as struct sherd_partition_state */
};

enum { SHERD_NODE_STATE_BYTES_MAX = 48 + 24 * SHERD_PARTITIONS };

/* Little-endian: magic and format `u32`, the fields in their order, as many floors as partitions
 * (clock, client `u64`, epoch, forgotten `u32`), XXH3_64 of all before it. Returns the size. */
size_t sherd_node_state_encode(const struct sherd_node_state *state,
                               uint8_t out[SHERD_NODE_STATE_BYTES_MAX]);

/* 0, -EBADMSG: damaged, or not a node's state, -EPROTONOSUPPORT: of another format. */
int sherd_node_state_decode(struct sherd_bytes in, struct sherd_node_state *out);

#endif
