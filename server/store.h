/* store.h - where a node keeps its records: a table of functions, one implementation a file.
 *
 * A store knows keys, records and partitions; it knows nothing of ballots' meaning or of the
 * network. It belongs to the service's thread. What load(), next() and fetch() give are views:
 * valid until the next load(), next() or fetch(), or until the same key is changed (marking an
 * entry committed or shown leaves them valid). Large shards stay in a ZeroMQ frame, and leave in a
 * shared copy of it, so that nobody copies their bytes.
 *
 * Keys of one partition have an order, the same on every node: by XXH3_64 of the key as a number,
 * then by the key's bytes (memcmp, then the shorter first). LIST pages depend on it.
 *
 * A durable store keeps what was changed before a sync() that returned 0, and, of what came after
 * it, nothing. Whatever it cannot keep (no space, an I/O error) it refuses from then on, fault()
 * says why, and goes on answering load() and next() if it can; it tries again by itself. */
#ifndef SHERD_SERVER_STORE_H
#define SHERD_SERVER_STORE_H

#include <string.h>
#include <zmq.h>

#include "coord/limits.h"
#include "coord/participant.h"
#include "coord/record.h"

/* What a node remembers beside its records, each note one piece of bytes (node_state.h). */
enum sherd_store_note { SHERD_NOTE_NODE, SHERD_NOTE_MAP, SHERD_NOTES };

struct sherd_store_stats {
    uint64_t bytes;     /* held, everything counted: records, index, shards, allocator's rounding */
    uint64_t bytes_max; /* upper bound of `bytes`; on disk: with what the file system has left */
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

/* The order of keys that have one hash. */
static inline int sherd_store_compare_keys(struct sherd_bytes a, struct sherd_bytes b)
{
    size_t shared = a.size < b.size ? a.size : b.size;
    int order = shared == 0 ? 0 : memcmp(a.data, b.data, shared); /* memcmp may not be given NULL */

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

struct sherd_store_ops;

struct sherd_store {
    const struct sherd_store_ops *ops;
    /* Of the last load() or next() with shards: bit i: the shard of entries[i] does not fit its
     * CRC; the entry is shown without a shard. */
    uint16_t damaged;
    /* Set when it was opened: bit p: what it had of partition p was damaged, and cannot be read,
     * until drop_partition(). */
    uint8_t forgotten[SHERD_PARTITIONS / 8];
};

struct sherd_store_ops {
    /* Fills *out (all zero when there is no record). Entries carry handles for frame(). Without
     * `with_shards` an entry that has a shard may have shard.data NULL (shard.size is right). 0;
     * -EUCLEAN: what the store has of this partition is damaged, until drop_partition(); -ENOMEM:
     * there is no memory for the shards of this record, and nothing else is wrong; other negative
     * errno: it cannot be read any more, the service must end. */
    int (*load)(struct sherd_store *s, const struct sherd_store_key *key, bool with_shards,
                struct sherd_record *out);

    /* Applies what a participant decided to the key that was just loaded. `record` is the record
     * after the step; `change` says what differs; entries' handles are those of load(). A new entry
     * (change->put) is the one in record->entries without a handle; its shard's bytes are copied,
     * or, when `frame` is not NULL, *frame is moved from (it holds exactly the shard).
     * Bounds are kept while they are not zero. 0, or negative errno (-ENOMEM, or the fault that a
     * durable store has): nothing changed, and *frame is still the caller's. */
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

    /* The first record of a partition after *cursor (an empty key comes before all of its hash;
     * with hash 0 that is the start). Fills
     * *key (views) and *out. 1; 0: no more; negative errno: as for load(). Changing the store
     * between calls is allowed: the cursor is a position in the order, not a pointer (whoever
     * changes the store copies the key that the cursor borrows; it may be the key of the view that
     * next() gave last). */
    int (*next)(struct sherd_store *s, uint16_t partition, const struct sherd_store_key *cursor,
                bool with_shards, struct sherd_store_key *key, struct sherd_record *out);

    /* Frees the shard of one entry but keeps the entry (an expired value is a tombstone). 0, or
     * negative errno: nothing changed. */
    int (*strip)(struct sherd_store *s, const struct sherd_store_key *key, void *handle);

    /* Whatever fails of this fails in sync(). */
    void (*drop_partition)(struct sherd_store *s, uint16_t partition);

    /* Keeps a note instead of the one before, or gives it back (size 0: there is none). save():
     * 0, or negative errno: the note before stays, and what was changed since the last sync() will
     * be undone by the next. A store in memory keeps none. */
    int (*save)(struct sherd_store *s, enum sherd_store_note note, struct sherd_bytes bytes);
    struct sherd_bytes (*fetch)(struct sherd_store *s, enum sherd_store_note note);

    /* Makes everything since the last sync() durable; called once a turn, also when there was
     * nothing. Negative errno: all of that is undone, notes too, and no answer that tells of it may
     * leave; -ENOTRECOVERABLE: nothing can be read any more, either. In memory: nothing to do. */
    int (*sync)(struct sherd_store *s);

    /* 0, or the negative errno for which changes are refused at present. */
    int (*fault)(const struct sherd_store *s);

    void (*stats)(const struct sherd_store *s, struct sherd_store_stats *out);
    void (*close)(struct sherd_store *s);
};

/* Everything in memory. bytes_max counts exactly what the allocator hands out; an eighth of it (at
 * most 64 MiB) is the reserve. 0 or -ENOMEM. */
int sherd_store_memory_open(uint64_t bytes_max, struct sherd_store **out);

struct sherd_store_lmdb_config {
    const char *directory; /* made if it is not there, with those above it */
    uint32_t sync_ms;      /* 0: each sync() reaches the disk. Else they do that often, and what a
                              process that ends without close() leaves behind is damaged */
};

/* On disk (store_lmdb_parts.h). Opening reads everything but the shards. 0, -EBUSY: another process
 * has it, -EUCLEAN: what is there is damaged, and nothing of it can be saved, -ESTALE: it was open
 * with a `sync_ms`, and not closed: what it lacks nobody knows, -EPROTONOSUPPORT: it is of another
 * format, or negative errno of the file system. */
int sherd_store_lmdb_open(const struct sherd_store_lmdb_config *config, struct sherd_store **out);

/* Removes a store that is not open. 0, or negative errno. */
int sherd_store_lmdb_remove(const char *directory);

#endif
