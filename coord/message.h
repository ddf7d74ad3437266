/* message.h - requests to a node and its answers, decoded. Their bytes: wire.h. */
#ifndef SHERD_COORD_MESSAGE_H
#define SHERD_COORD_MESSAGE_H

#include <sherd/base.h>

#include "coord/record.h"

/* The numbers are wire format: append only. 6 and 7 are kept for LOCK and DROP. */
enum sherd_message_kind {
    /* to one key */
    SHERD_PREPARE = 1,
    SHERD_PROMISE = 2,
    SHERD_READ = 3,
    SHERD_COMMIT = 4,
    SHERD_ABORT = 5,
    SHERD_FORGET = 8, /* drop a tombstone that every voter holds (PROTOCOL 8) */
    SHERD_INSERT = 9, /* put a rebuilt shard beneath whatever newer undecided writes are here */
    /* to one partition */
    SHERD_LIST = 10, /* a page of keys; answer SHERD_PAGE */
    /* to a node */
    SHERD_PING = 16,    /* answer PONG */
    SHERD_GET_MAP = 17, /* answer MAP with the newest map */
    SHERD_SEAL = 18,    /* body: a map; answer SEALED */
    SHERD_LIVE = 19,    /* map_version is live; answer SEALED */
    SHERD_STATS = 20,   /* answer STATS_ARE: a JSON text */
    SHERD_RECOVER = 21, /* look through all partitions now; answer ACK */
    /* to the keeper */
    SHERD_HEARTBEAT = 24, /* body: struct sherd_report; answer SEALED or NACK; maps are pushed */
    SHERD_ACCEPT_LOSS = 25,
    /* answers */
    SHERD_ACK = 32,
    SHERD_NACK = 33,
    SHERD_PROMISED = 34,
    SHERD_STATE = 35,
    SHERD_ABORTED = 36,
    SHERD_STALE = 37,
    SHERD_PAGE = 38,
    SHERD_PONG = 39,
    SHERD_MAP = 40,
    SHERD_SEALED = 41,
    SHERD_STATS_ARE = 42,
};

enum sherd_request_flags {
    SHERD_WITH_SHARD = 1, /* READ, PROMISE, LIST: send the shards too */
    SHERD_WITH_EXPECT =
        2, /* PREPARE: `expect` is set; with ONE_SHOT, to the ballot that was chosen */
    SHERD_FROM_RESERVE = 4, /* PREPARE: a delete or a Finish, may use the store's reserve */
    SHERD_COMMITTED = 8,    /* INSERT: the entry is known to be complete */
    SHERD_ONE_SHOT = 16,    /* PREPARE of a Finish: exempt from the undecided limit */
    SHERD_OUTVOTED = 32,    /* ABORT: so many voters refused it that it never was complete */
};

/* Why a NACK or a STALE. Append only. */
enum sherd_reason {
    SHERD_REASON_NONE,
    SHERD_REASON_BALLOT,    /* a higher ballot was promised, held or refused: `max` */
    SHERD_REASON_VERSION,   /* the newest entry is not `expect` */
    SHERD_REASON_FULL,      /* no memory for it */
    SHERD_REASON_CLOCK,     /* the ballot is more than 60 s ahead of the node's clock */
    SHERD_REASON_UNDECIDED, /* eight undecided entries already */
    SHERD_REASON_DIFFERENT, /* the same ballot with another value: a broken client */
    SHERD_REASON_EPOCH,     /* STALE: the partition is in another epoch: `epoch`, `map_version` */
    SHERD_REASON_SEALING,   /* STALE: the epoch is not live yet: try again in 5 to 20 ms */
    SHERD_REASON_STRANGER,  /* STALE: the node has no map yet, or does not hold this slot */
    SHERD_REASON_SESSION,   /* STALE: unknown session, or the node was started anew */
    SHERD_REASON_BAD,       /* NACK: the request breaks a limit */
    SHERD_REASON_LOST,      /* STALE: the partition is lost until the loss is accepted */
};

/* What a LIST asks for. */
enum sherd_list_what {
    SHERD_LIST_KEYS,      /* every key of a partition, in the order of (hash, key) */
    SHERD_LIST_UNDECIDED, /* of all partitions: keys with an undecided entry due for the sweep */
    SHERD_LIST_REPAIR,    /* of all partitions: keys known to lack a shard somewhere */
    SHERD_LIST_DEAD,      /* of all partitions: tombstones due for FORGET */
    SHERD_LIST_DIGEST,    /* of a partition: what it holds in a range of hashes, in few bytes */
};

/* One request. Only what its kind names is on the wire. */
struct sherd_request {
    uint64_t id; /* echoed in the answer; 0: no answer wanted (COMMIT, FORGET) */
    uint8_t kind;
    uint8_t flags;
    uint8_t slot;           /* the slot that the sender takes the receiver for */
    uint8_t what;           /* LIST: enum sherd_list_what */
    uint32_t epoch;         /* of the key's partition, or of `partition` */
    uint16_t partition;     /* LIST; for keyed requests set by the receiver from the key */
    uint32_t acked;         /* COMMIT: slots known to hold the entry; 0: not known */
    uint32_t limit;         /* LIST: bytes of a page */
    uint64_t since;         /* LIST: only keys with an entry whose clock is at least this; 0: all.
                       LIST_REPAIR: how many pages arrived. LIST_DIGEST: the first hash. LIVE: the map
                       version that is live */
    uint64_t key_hash;      /* not on the wire: the receiver computes it */
    struct sherd_bytes key; /* LIST: the cursor, the last key of the page before; empty: start */
    struct sherd_ballot ballot, version, expect;
    struct sherd_meta meta;
    uint32_t crc;
    struct sherd_bytes shard;
    int shard_frame;         /* decoded: the frame that `shard` is all of, or -1: inline */
    struct sherd_bytes body; /* SEAL, HEARTBEAT: encoded map or report; LIST: key prefix to match */
};

enum sherd_answer_flags {
    SHERD_ANSWER_VOTE = 1, /* the node votes in this epoch; a learner's answer is never counted */
    SHERD_ANSWER_EXPOSED = 2, /* ABORTED: somebody may be finishing it */
    SHERD_ANSWER_END = 4,     /* PAGE: the last one */
};

struct sherd_answer {
    uint64_t id;
    uint8_t kind;
    uint8_t flags;
    uint8_t slot; /* as the request said */
    uint8_t reason;
    uint32_t epoch;          /* the node's epoch of the partition */
    uint64_t map_version;    /* STALE, PONG, SEALED: the newest map the node has */
    struct sherd_ballot max; /* NACK: the highest ballot promised, held or refused */
    uint8_t entry_count;     /* STATE, PROMISED */
    struct sherd_entry entries[SHERD_ENTRIES_MAX];
    struct sherd_bytes body; /* PAGE: items (wire.h); MAP: an encoded map; STATS_ARE: text */
};

#endif
