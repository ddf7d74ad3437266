/* store_lmdb_check.h - what a durable store counts, and the look at all of it before it is opened.
 *
 * Beside its records a store keeps notes (store_lmdb_record.h has the CRC that ends each):
 *
 *   'f'                    u32 SHERD_LMDB_FORMAT
 *   's'                    u64 number of the LMDB transaction, u64 id for the next large shard
 *   'p' u16 partition      u32 generation, u64 keys, u64 digest, u8 damaged; none: all zero
 *                          (big-endian number)
 *   'n' u8 note, u16 piece what was saved, in pieces, so that one page that is lost is a small one:
 *                          u32 size of the whole, bytes (big-endian number)
 *   'c' ...                a copy of it: without these nothing else is worth anything
 *
 * Dropping a partition raises its generation; what has a lower one is no longer there, and deleted
 * by and by. The digest is the XOR of XXH3_64 of each database key of `records` followed by the CRC
 * at the end of its value: a key that was lost or is of another time changes it. */
#ifndef SHERD_SERVER_STORE_LMDB_CHECK_H
#define SHERD_SERVER_STORE_LMDB_CHECK_H

#include "server/store.h"
#include "server/store_lmdb_record.h"

enum {
    SHERD_LMDB_FORMAT = 1,
    SHERD_LMDB_NOTE_KEY_BYTES_MAX = 4,
    SHERD_LMDB_PART_KEY_BYTES = 3,
    SHERD_LMDB_PIECE_BYTES = 2000,
    SHERD_LMDB_PIECES_MAX = 1024,
    SHERD_LMDB_PART_BYTES = 21,
    SHERD_LMDB_STATE_BYTES = 16,
};

struct sherd_lmdb_part {
    uint32_t generation;
    bool
        damaged; /* what there was of it could not be kept: it has no record, until it is dropped */
    uint64_t digest;
    struct sherd_store_stats stats; /* without bytes_max */
};

struct sherd_lmdb_totals {
    struct sherd_lmdb_part parts[SHERD_PARTITIONS];
    uint64_t next_id;
};

/* Adds a record, and takes one away again (`times` -1). */
void sherd_lmdb_count(struct sherd_lmdb_part *part, const struct sherd_stored_record *r, int times);

/* Adds a value of `records` to the digest, and takes it away again. */
void sherd_lmdb_digest(struct sherd_lmdb_part *part, struct sherd_bytes db_key, uint32_t crc);

/* How many pieces a note of this size has: one at least. */
static inline uint32_t sherd_lmdb_pieces(uint32_t size)
{
    return size == 0 ? 1 : (size - 1) / SHERD_LMDB_PIECE_BYTES + 1;
}

static inline uint32_t sherd_lmdb_piece_bytes(uint32_t size, uint32_t piece)
{
    uint32_t left = size - piece * SHERD_LMDB_PIECE_BYTES;

    return left < SHERD_LMDB_PIECE_BYTES ? left : SHERD_LMDB_PIECE_BYTES;
}

/* The key of a piece of a note, or of its copy. */
static inline void sherd_lmdb_piece_key(char kind, uint8_t note, uint32_t piece,
                                        uint8_t out[SHERD_LMDB_NOTE_KEY_BYTES_MAX])
{
    out[0] = (uint8_t)kind;
    out[1] = note;
    out[2] = (uint8_t)(piece >> 8);
    out[3] = (uint8_t)piece;
}

/* Reads the whole file but the shards that are not in a record. 0: *out counts all of it. -EUCLEAN:
 * it is damaged; -EPROTONOSUPPORT: it is of another format; or negative errno (-ENOMEM, of
 * reading). */
int sherd_lmdb_check(int fd, struct sherd_lmdb_totals *out);

/* Where something is damaged: the partitions of which everything is there after all. Who has not
 * been told which they are looks before he reads. */
struct sherd_lmdb_rest;

/* Which partitions are whole; the others are marked as damaged in *out, which counts the rest. 0,
 * -EUCLEAN: nothing can be saved (it is not even known which memory this was), or other negative
 * errno. *rest is the caller's, for sherd_lmdb_rest_free(). Borrows the descriptor until then. */
int sherd_lmdb_rest_find(int fd, struct sherd_lmdb_totals *out, struct sherd_lmdb_rest **rest);
void sherd_lmdb_rest_free(struct sherd_lmdb_rest *rest);

/* Calls `each` for every node of a database that is to be kept: all records and shards of whole
 * partitions, and what was saved as notes, or the copy, or both. A negative result ends it. */
enum sherd_lmdb_database { SHERD_LMDB_RECORDS, SHERD_LMDB_SHARDS, SHERD_LMDB_NOTES };
int sherd_lmdb_rest_each(struct sherd_lmdb_rest *rest, enum sherd_lmdb_database database,
                         int (*each)(void *context, struct sherd_bytes key,
                                     struct sherd_bytes value),
                         void *context);

#endif
