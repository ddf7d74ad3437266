/* limits.h - every fixed limit of the protocol, in one place. */
#ifndef SHERD_COORD_LIMITS_H
#define SHERD_COORD_LIMITS_H

enum {
    SHERD_SLOTS_MAX = 32,       /* k + m; a slot set is one uint32_t */
    SHERD_UNDECIDED_MAX = 8,    /* undecided entries of one key on one node */
    SHERD_ENTRIES_MAX = 16,     /* entries of one key on one node, the committed one included */
    SHERD_SEEN_MAX = 32,        /* distinct ballots that one reader follows */
    SHERD_PARTITIONS = 256,     /* of a namespace; XXH3_64(key) mod 256 */
    SHERD_NODES_MAX = 256,      /* of a cluster */
    SHERD_OPEN_EPOCHS_MAX = 16, /* epochs of one partition since its last clean one */
    SHERD_KEY_BYTES_MAX = 1024,
    SHERD_VALUE_BYTES_MAX = 4 << 20,    /* larger values wait for chunks */
    SHERD_SHARD_INLINE_MAX = 16 << 10,  /* larger shards travel as frames of their own */
    SHERD_MESSAGE_BYTES_MAX = 64 << 20, /* ZMQ_MAXMSGSIZE of every bound socket, one frame */
    SHERD_RECORDS_MAX = 4096,           /* records of one message */
    SHERD_ENDPOINT_BYTES_MAX = 128,     /* with the closing zero */
    SHERD_ZONE_BYTES_MAX = 32,          /* with the closing zero */
    SHERD_CLOCK_AHEAD_MAX_MS = 60000,   /* a ballot further ahead is refused */
    SHERD_FLOOR_BEHIND_MS = 120000,     /* the floor stays this far behind the clock */
    SHERD_SWEEP_AFTER_MS = 2000,        /* an undecided entry this old is finished by its holder */
    SHERD_SWEEP_PER_SLOT_MS = 200,      /* ... plus this for each slot */
};

#endif
