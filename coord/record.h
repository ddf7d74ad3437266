/* record.h - what one node keeps of one key (PROTOCOL 2). Plain values; views borrow. */
#ifndef SHERD_COORD_RECORD_H
#define SHERD_COORD_RECORD_H

#include <sherd/base.h>
#include <stdbool.h>
#include <stdint.h>

#include "coord/ballot.h"
#include "coord/limits.h"

enum sherd_meta_flags {
    SHERD_META_TOMBSTONE = 1,   /* the key has no value: no shards, one copy is enough */
    SHERD_META_CONDITIONAL = 2, /* PREPAREd with `expect`: counts against f, not q */
    SHERD_META_LOST = 4, /* a value stood here and cannot be rebuilt: no shards, as a tombstone */
    SHERD_META_RUN = 8,  /* stands for others of its version below it, which the node may have held:
                            see  choose.h */
};

/* What is known of a value beside its bytes; the same on every holder. */
struct sherd_meta {
    uint64_t checksum;   /* XXH3_64 of the whole value */
    uint64_t expires_ms; /* wall clock; 0: never */
    uint32_t size;       /* bytes of the whole value */
    uint8_t flags;       /* enum sherd_meta_flags */
};

/* One version that a node accepted. */
struct sherd_entry {
    struct sherd_ballot ballot;  /* of the attempt that put it here */
    struct sherd_ballot version; /* ballot under which the value was first proposed */
    struct sherd_meta meta;
    bool committed;
    bool shown;               /* undecided, and a reader was told of it: see participant.h */
    bool has_shard;           /* the node holds this entry's shard, and its CRC is right */
    uint32_t crc;             /* CRC32C of the shard */
    struct sherd_bytes shard; /* data is NULL where the bytes are not at hand (metadata only) */
    void *handle;             /* the store's own name for it; NULL elsewhere */
};

/* All that a node holds under one key. Entries ascend by ballot. A key without a record is all
 * zero; its bounds are the floor of the partition. */
struct sherd_record {
    struct sherd_ballot promised; /* highest ballot promised */
    struct sherd_ballot refused;  /* highest ballot aborted, or refused for good */
    uint8_t count;
    struct sherd_entry entries[SHERD_ENTRIES_MAX];
};

static inline bool sherd_record_has_bounds(const struct sherd_record *r)
{
    return !sherd_ballot_is_zero(r->promised) || !sherd_ballot_is_zero(r->refused);
}

/* Whether readers find no bytes under this: a tombstone, or expired at `wall_ms` (an expired entry
 * is a tombstone of the same ballot and version: PROTOCOL 8), or the marker of a lost value. */
static inline bool sherd_meta_is_empty(const struct sherd_meta *m, uint64_t wall_ms)
{
    return (m->flags & (SHERD_META_TOMBSTONE | SHERD_META_LOST)) != 0 ||
           (m->expires_ms != 0 && m->expires_ms <= wall_ms);
}

/* Whether `expect` zero matches this: a tombstone or an expired value, but not a lost one. */
static inline bool sherd_meta_is_absent(const struct sherd_meta *m, uint64_t wall_ms)
{
    return (m->flags & SHERD_META_LOST) == 0 && sherd_meta_is_empty(m, wall_ms);
}

#endif
