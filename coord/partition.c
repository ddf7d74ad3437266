#include "coord/partition.h"

#include <errno.h>
#include <string.h>

static int judge(const struct sherd_partitions *all, const struct sherd_map *map, uint64_t hash)
{
    if (all->cluster != 0 && map->cluster != all->cluster) return -EPROTO;
    if (map->partition_count != all->count) return -EPROTO;
    if (map->version < all->version) return -ESTALE;
    if (map->version == all->version) return hash == all->hash ? 0 : -EPROTO;
    /* PROTOCOL 7.1: e+1 only on top of what I hold. A map further on passed nodes that hold it. */
    if (all->version != 0 && map->version == all->version + 1 && map->predecessor != all->hash)
        return -EPROTO;
    return 0;
}

/* The slot of which the map says that this node's present memory holds it, or -1: also when the map
 * speaks of an earlier life of the node. */
static int slot_of(const struct sherd_partitions *all, const struct sherd_map *map,
                   const struct sherd_partition *p)
{
    if (all->node >= map->node_count) return -1;

    int slot = sherd_partition_slot_of(p, all->node);

    if (slot < 0 || !sherd_map_is_same_life(map, all->node, p->incarnation[slot], all->incarnation))
        return -1;
    return slot;
}

/* Returns whether the data held so far must go: they belong to a memory that is not mine now. */
static bool take_over(struct sherd_partition_state *mine, const struct sherd_partition *p, int slot)
{
    bool holds = slot >= 0 && p->incarnation[slot] != mine->forgotten;
    uint32_t incarnation = holds ? p->incarnation[slot] : 0;
    bool drop = incarnation != mine->incarnation;

    if (p->epoch > mine->epoch) { /* PROTOCOL 7.3: one field, not n keys */
        mine->epoch = p->epoch;
        mine->floor = sherd_ballot_max(mine->floor, (struct sherd_ballot){.epoch = p->epoch});
    }
    mine->incarnation = incarnation;
    mine->slot = holds ? (uint8_t)slot : 0;
    mine->voter = holds && sherd_slots_has(p->voters, (uint8_t)slot);
    mine->clean = sherd_partition_is_clean(p);
    mine->lost = p->lost != 0;
    mine->holders = sherd_partition_holders(p);
    return drop;
}

int sherd_partitions_seal(struct sherd_partitions *all, const struct sherd_map *map, uint64_t hash,
                          uint8_t drop[SHERD_PARTITIONS / 8])
{
    int rc = judge(all, map, hash);

    memset(drop, 0, SHERD_PARTITIONS / 8);
    if (rc < 0) return rc;
    if (map->version > all->version) {
        for (uint16_t i = 0; i < all->count; i++) {
            const struct sherd_partition *p = &map->partitions[i];
            if (take_over(&all->states[i], p, slot_of(all, map, p)))
                drop[i / 8] |= (uint8_t)(1u << i % 8);
        }
        all->cluster = map->cluster;
        all->version = map->version;
        all->hash = hash;
    }
    sherd_partitions_live(all, map->live);
    return 0;
}

void sherd_partitions_forget(struct sherd_partitions *all, uint16_t partition)
{
    struct sherd_partition_state *mine = &all->states[partition];

    if (mine->incarnation == 0) return;
    mine->forgotten = mine->incarnation;
    mine->incarnation = 0;
    mine->slot = 0;
    mine->voter = false;
}

bool sherd_partitions_is_forgotten(const struct sherd_partition *p, uint16_t node,
                                   uint32_t forgotten)
{
    int slot = sherd_partition_slot_of(p, node);

    return slot >= 0 && forgotten != 0 && p->incarnation[slot] == forgotten;
}

void sherd_partitions_live(struct sherd_partitions *all, uint64_t version)
{
    if (version <= all->version && version > all->live) all->live = version;
}

enum sherd_reason sherd_partitions_check(const struct sherd_partitions *all, uint16_t partition,
                                         uint32_t epoch, uint8_t slot)
{
    if (all->version == 0 || partition >= all->count) return SHERD_REASON_STRANGER;

    const struct sherd_partition_state *mine = &all->states[partition];

    if (mine->lost) return SHERD_REASON_LOST; /* true whoever holds it */
    if (mine->incarnation == 0 || mine->slot != slot) return SHERD_REASON_STRANGER;
    if (mine->epoch != epoch) return SHERD_REASON_EPOCH;
    if (mine->epoch > all->live) return SHERD_REASON_SEALING;
    return SHERD_REASON_NONE;
}
