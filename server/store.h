/* store.h - where a node keeps its records: a table of functions, one implementation a file.
 *
 * A store knows keys, records and partitions; it knows nothing of ballots' meaning or of the
 * network. It belongs to the service's thread. What load() and next() give are views: valid until
 * the next call that changes the same key (or drop_partition); marking an entry committed or shown
 * leaves them valid. Large shards stay in the ZeroMQ
 * frame that they came in, and leave in a shared copy of it, so that nobody copies their bytes.
 *
 * Keys of one partition have an order, the same on every node: by XXH3_64 of the key as a number,
 * then by the key's bytes (memcmp, then the shorter first). LIST pages depend on it. */
#ifndef SHERD_SERVER_STORE_H
#define SHERD_SERVER_STORE_H

#include <zmq.h>

#include "coord/participant.h"
#include "coord/record.h"

struct sherd_store_stats {
    uint64_t bytes;     /* held, everything counted: records, index, shards, allocator's rounding */
    uint64_t bytes_max; /* upper bound of `bytes` */
    uint64_t keys;      /* keys with a record */
    uint64_t shards;    /* entries that hold a shard */
    uint64_t shard_bytes; /* of those, payload alone */
    uint64_t undecided;   /* entries not committed */
    uint64_t tombstones;  /* committed entries that are tombstones */
};

struct sherd_store_key {
    uint16_t partition;
    uint64_t hash; /* XXH3_64 of the key */
    struct sherd_bytes key;
};

struct sherd_store; /* begins with `const struct sherd_store_ops *ops` */

struct sherd_store_ops {
    /* Fills *out (all zero when there is no record). Entries carry handles for frame(). */
    void (*load)(struct sherd_store *s, const struct sherd_store_key *key,
                 struct sherd_record *out);

    /* Applies what a participant decided to the key that was just loaded. `record` is the record
     * after the step; `change` says what differs; entries' handles are those of load(). A new entry
     * (change->put) is the one in record->entries without a handle; its shard's bytes are copied,
     * or, when `frame` is not NULL, *frame is moved from (it holds exactly the shard).
     * Bounds are kept while they are not zero. 0, or -ENOMEM: nothing changed, and *frame is still
     * the caller's. */
    int (*apply)(struct sherd_store *s, const struct sherd_store_key *key,
                 const struct sherd_record *record, const struct sherd_change *change,
                 zmq_msg_t *frame);

    /* The frame that holds an entry's shard, for zmq_msg_copy; NULL: its bytes are inline. */
    zmq_msg_t *(*frame)(struct sherd_store *s, void *handle);

    /* Whether a shard of this size fits below bytes_max, or below the part of it that is not
     * reserved for deletes, ABORTs and Finish. A delete (no shard, from the reserve) may pass
     * bytes_max by an eighth: a full store can always be emptied. */
    bool (*has_room)(const struct sherd_store *s, size_t key_size, size_t shard_size,
                     bool use_reserve);

    /* The first record of a partition after *cursor (cursor->key.size 0: from the start). Fills
     * *key (views) and *out. False: no more. Changing the store between calls is allowed: the
     * cursor is a position in the order, not a pointer (whoever changes the store copies the key
     * that the cursor borrows). */
    bool (*next)(struct sherd_store *s, uint16_t partition, const struct sherd_store_key *cursor,
                 struct sherd_store_key *key, struct sherd_record *out);

    /* Frees the shard of one entry but keeps the entry (an expired value is a tombstone). */
    void (*strip)(struct sherd_store *s, const struct sherd_store_key *key, void *handle);

    void (*drop_partition)(struct sherd_store *s, uint16_t partition);

    /* Makes everything applied so far durable. 0 or negative errno. Memory: nothing to do. */
    int (*sync)(struct sherd_store *s);

    void (*stats)(const struct sherd_store *s, struct sherd_store_stats *out);
    void (*close)(struct sherd_store *s);
};

struct sherd_store {
    const struct sherd_store_ops *ops;
};

/* Everything in memory. bytes_max counts exactly what the allocator hands out; an eighth of it (at
 * most 64 MiB) is the reserve. 0 or -ENOMEM. */
int sherd_store_memory_open(uint64_t bytes_max, struct sherd_store **out);

#endif
