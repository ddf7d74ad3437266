/* map.h - the cluster map: nodes, and for each partition who holds which slot in which epoch.
 *
 * Maps are made by the keeper alone (membership.h), carry a version that only grows, and never
 * change once published. The epoch of a partition is the version of the map in which its holders
 * or voters last changed (a learner that lost its state again gets a new incarnation in the same
 * epoch); a partition is live in a node's eyes once its epoch is at most the live version.
 * Encoded form, limits and checks: map_codec.h. PROTOCOL 7. */
#ifndef SHERD_COORD_MAP_H
#define SHERD_COORD_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/limits.h"
#include "coord/quorum.h"

enum { SHERD_NO_NODE = UINT16_MAX };

struct sherd_node {
    uint16_t id; /* index in sherd_map.nodes, and the number users see */
    uint16_t weight;
    uint64_t incarnation; /* of the node's memory as a whole; 0: never heard of */
    uint32_t since;       /* slot incarnations below this were given to earlier lives of the node:
                             what they name is gone */
    char endpoint[SHERD_ENDPOINT_BYTES_MAX];
    char zone[SHERD_ZONE_BYTES_MAX];
};

/* Who voted in one epoch. An incarnation is a number that the keeper gives to one node's memory of
 * one partition, never twice: equal incarnations mean that nothing was forgotten in between. */
struct sherd_epoch {
    uint32_t epoch;
    uint32_t voters;                       /* slot set */
    uint32_t incarnation[SHERD_SLOTS_MAX]; /* of voters; 0 elsewhere */
    uint16_t node[SHERD_SLOTS_MAX];        /* who held the slot then: it may have moved since, and
                                              its former holder can still answer in this epoch
                                              until it has sealed. SHERD_NO_NODE where no voter */
};

struct sherd_partition {
    uint32_t epoch;  /* == open[open_count - 1].epoch */
    uint32_t voters; /* slot sets, disjoint; a slot in neither is vacant */
    uint32_t learners;
    uint32_t lost; /* 1: too few kept their state, k or those an open epoch needs; waits for
                      accept-loss */
    uint16_t node[SHERD_SLOTS_MAX];        /* holder of each slot; of a vacant one the last holder,
                                              to whom it goes back; SHERD_NO_NODE from n on */
    uint32_t incarnation[SHERD_SLOTS_MAX]; /* of the holder, voter or learner; 0: vacant */
    uint32_t open_count;                   /* 1 or more; 1: no older epoch is open */
    struct sherd_epoch open[SHERD_OPEN_EPOCHS_MAX]; /* since the last clean one, ascending */
};

struct sherd_map {
    uint64_t cluster;     /* random id; nodes refuse another */
    uint64_t version;     /* 0: no map */
    uint64_t live;        /* newest version known to be live when this was encoded */
    uint64_t predecessor; /* XXH3_64 of the encoded map before it */
    uint64_t term;        /* of the keeper */
    uint32_t next_incarnation;
    uint8_t k, m; /* code of the one namespace there is, `default` */
    uint16_t node_count;
    uint16_t partition_count; /* SHERD_PARTITIONS; fewer only in the simulator */
    struct sherd_node nodes[SHERD_NODES_MAX];
    struct sherd_partition partitions[]; /* partition_count of them */
};

static inline size_t sherd_map_size(uint16_t partition_count)
{
    return sizeof(struct sherd_map) + partition_count * sizeof(struct sherd_partition);
}

static inline uint32_t sherd_partition_holders(const struct sherd_partition *p)
{
    return p->voters | p->learners;
}

static inline struct sherd_quorum sherd_partition_quorum(const struct sherd_partition *p, uint8_t k)
{
    return sherd_quorum_of(sherd_slots_count(p->voters), k);
}

static inline uint16_t sherd_map_partition_of(const struct sherd_map *map, uint64_t key_hash)
{
    return (uint16_t)(key_hash % map->partition_count);
}

/* The slot of `node` in `p`, or -1. */
static inline int sherd_partition_slot_of(const struct sherd_partition *p, uint16_t node)
{
    for (uint32_t rest = sherd_partition_holders(p); rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        if (p->node[slot] == node) return slot;
    }
    return -1;
}

/* Whether the memory `incarnation` of a node is the one that was given a slot's incarnation. If
 * not, what the slot promised is gone, even where the map has not begun a new epoch yet. */
static inline bool sherd_map_is_same_life(const struct sherd_map *map, uint16_t node,
                                          uint32_t slot_incarnation, uint64_t incarnation)
{
    return map->nodes[node].incarnation == incarnation &&
           slot_incarnation >= map->nodes[node].since;
}

/* Clean: no older epoch is open and no slot is learning (PROTOCOL 7.4, 7.6). */
static inline bool sherd_partition_is_clean(const struct sherd_partition *p)
{
    return p->open_count == 1 && p->learners == 0 && !p->lost;
}

#endif
