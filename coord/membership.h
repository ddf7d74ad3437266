/* membership.h - the keeper's decisions: which map comes next (PROTOCOL 7). Pure.
 *
 * The owner (the keeper's thread, or the simulator) reports what nodes say and the time; the
 * machine answers with a new map to be made durable and then published, or with LIVE.
 *
 *     BOOT --all nodes heard, --init--> SEALING --enough sealed--> LIVE --a node lost its state,
 *                                          ^                         |   a learner is rebuilt,
 *                                          '-------------------------'   a node is out too long,
 *                                                                        a scan is done (no seal)
 *
 * One map may change many partitions at once: several nodes lost, several learners done. A map that
 * never became live may be followed by another; its epochs are then dropped from `open`, since
 * nothing was ever stored in them. */
#ifndef SHERD_COORD_MEMBERSHIP_H
#define SHERD_COORD_MEMBERSHIP_H

#include <sherd/base.h>

#include "coord/map.h"

enum {
    SHERD_PAST_LIVES = 4,
    SHERD_ALIVE_MS = 1000, /* a node heard within this long may be given a slot, or its vote back */
    SHERD_BATCH_MS = 500,  /* learners done and scans done share a map at most this often */
};

/* What a node says of itself in a HEARTBEAT. Bit sets over partitions. */
struct sherd_report {
    uint16_t node;
    uint64_t incarnation; /* random, of the node's memory as a whole */
    uint64_t cluster;     /* of the map it holds; 0: none, and then map_version is 0 too */
    uint64_t map_version; /* the newest map it holds: it has sealed this one */
    uint64_t live;        /* the newest version that it knows to be live */
    /* Work finished in the epoch that the partition has in map_version. The node clears both bits
     * of a partition when it seals a map in which the partition has another epoch, or gives the
     * node another incarnation there; a map that changes neither leaves them. */
    uint8_t rebuilt[SHERD_PARTITIONS / 8]; /* I am learner there, and hold every shard */
    uint8_t scanned[SHERD_PARTITIONS / 8]; /* I scanned it: every voter holds what is complete */
    /* What map_version gave me to remember there is damaged: I do not answer for it any more, and
     * wait to be given another incarnation. */
    uint8_t forgotten[SHERD_PARTITIONS / 8];
};

struct sherd_member {
    uint64_t heard_ms;               /* monotonic; 0: never since the keeper started */
    uint64_t silent_ms;              /* so long others were heard, and not this one */
    uint64_t incarnation;            /* as last reported; 0: never heard */
    uint64_t map_version;            /* sealed */
    uint64_t past[SHERD_PAST_LIVES]; /* incarnations that it had before; a report from one of them
                                        was delayed, and is ignored */
    uint8_t rebuilt[SHERD_PARTITIONS / 8];
    uint8_t scanned[SHERD_PARTITIONS / 8];
    uint32_t forgotten[SHERD_PARTITIONS]; /* slot incarnations; 0: none, it is as it should be */
};

static inline bool sherd_member_is_alive(const struct sherd_member *m, uint64_t now_ms)
{
    return m->heard_ms != 0 && (now_ms <= m->heard_ms || now_ms - m->heard_ms <= SHERD_ALIVE_MS);
}

struct sherd_membership_config {
    uint32_t vacate_after_ms; /* 30000: PROTOCOL 7.7, and member.silent_ms */
    bool init;                /* no map yet, and told to make the first one */
    bool republish;           /* the owner changed nodes[] of the map it gave (more nodes, other
                                 endpoints, zones, weights): say so in a new map */
    uint64_t cluster;         /* random id for the first map */
};

/* What the owner must do after a step; at most one of them. */
enum sherd_membership_effects {
    SHERD_MEMBERSHIP_PUBLISH = 1, /* `next` is a new map: make it durable, then commit() it and SEAL
                                     it to all nodes */
    SHERD_MEMBERSHIP_LIVE = 2,    /* the current map is live (map->live says so already): make that
                                     durable, then tell all */
};

struct sherd_membership {
    struct sherd_membership_config config;
    struct sherd_map *map;  /* current; version 0: none yet. Owner's memory, of equal sizes */
    struct sherd_map *next; /* scratch for the map being made */
    struct sherd_member members[SHERD_NODES_MAX];
    uint64_t now_ms, batch_ms;              /* of the last call, of the last map */
    uint8_t accepted[SHERD_PARTITIONS / 8]; /* losses that the operator accepted */
};

/* `map` is the one read from the keeper's file, or one with version 0 that carries the code, the
 * configured nodes (id, endpoint, zone, weight) and partition_count. map->live says whether it was
 * live. Both maps stay the owner's. */
void sherd_membership_init(struct sherd_membership *m, const struct sherd_membership_config *config,
                           struct sherd_map *map, struct sherd_map *next);

/* A heartbeat came in. Reports that do not fit (unknown node, another cluster) are ignored:
 * false. A report with a map_version above the keeper's own map is refused too. */
bool sherd_membership_hear(struct sherd_membership *m, const struct sherd_report *r,
                           uint64_t now_ms);

/* Decides; returns 0 or one of enum sherd_membership_effects. Call after hear() and every 10 ms,
 * and again at once after an effect. After PUBLISH the owner fills next->predecessor, encodes,
 * syncs, and calls commit(); one that cannot simply does not commit, and is told again. */
int sherd_membership_step(struct sherd_membership *m, uint64_t now_ms);

/* The published map is durable: it becomes current. */
void sherd_membership_commit(struct sherd_membership *m);

/* The operator accepts the loss: partitions marked lost begin anew, empty, at the next step. */
void sherd_membership_accept_loss(struct sherd_membership *m);

/* Whether a map later than `live` still waits for seals (for status). */
bool sherd_membership_is_sealing(const struct sherd_membership *m);

#endif
