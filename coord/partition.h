/* partition.h - what a node knows of each partition: epoch, seal, floor, its own slot
 * (PROTOCOL 7.3).
 *
 * Pure. The node holds one array of these; SEAL and LIVE move them, every request is checked
 * against them before a participant sees it. */
#ifndef SHERD_COORD_PARTITION_H
#define SHERD_COORD_PARTITION_H

#include "coord/map.h"
#include "coord/message.h"

struct sherd_partition_state {
    struct sherd_ballot floor; /* promised = refused = floor for a key without a record */
    uint32_t epoch;            /* sealed into */
    uint32_t incarnation;      /* of my memory of this partition; 0: I hold no slot of it */
    uint32_t forgotten;        /* incarnation of a memory that was damaged: it answers no more */
    uint8_t slot;              /* meaningful when incarnation is not 0 */
    bool voter;
    bool clean;
    bool lost;
    uint32_t holders;
};

/* A node's view of the map. */
struct sherd_partitions {
    uint16_t node;        /* my id */
    uint64_t incarnation; /* of my memory as a whole */
    uint64_t cluster;     /* 0: none yet */
    uint64_t version;     /* of the map sealed last; 0: none */
    uint64_t hash;        /* of that map's encoded form */
    uint64_t live;        /* highest version known to be live */
    uint16_t count;
    struct sherd_partition_state *states; /* SHERD_PARTITIONS, the owner's memory */
};

/* SEAL: takes over a newer map. Sets bit p of `drop` for every partition whose data must be dropped
 * first (I start as learner there, or hold no slot any more). Returns 0 (also for the map already
 * held), -ESTALE: older than mine, -EPROTO: another cluster, or another map of the same version,
 * or a successor that does not name mine as predecessor: refused for good. */
int sherd_partitions_seal(struct sherd_partitions *all, const struct sherd_map *map, uint64_t hash,
                          uint8_t drop[SHERD_PARTITIONS / 8]);

/* What this node remembers of a partition is damaged: from now on it holds no slot of it, until a
 * map gives it another incarnation. The owner drops the data, and says so to the keeper. */
void sherd_partitions_forget(struct sherd_partitions *all, uint16_t partition);

/* Whether the incarnation that `p` gives to `node` is the one that it has forgotten (0: none): what
 * it reports of the partition. */
bool sherd_partitions_is_forgotten(const struct sherd_partition *p, uint16_t node,
                                   uint32_t forgotten);

/* LIVE: epochs up to `version` may store. Ignored when `version` is above the map held: the epochs
 * held may be ones that never became live. The keeper tells again after the SEAL. */
void sherd_partitions_live(struct sherd_partitions *all, uint64_t version);

/* Whether a request that names (partition, epoch) may be served: SHERD_REASON_NONE, or why STALE.
 */
enum sherd_reason sherd_partitions_check(const struct sherd_partitions *all, uint16_t partition,
                                         uint32_t epoch, uint8_t slot);

#endif
