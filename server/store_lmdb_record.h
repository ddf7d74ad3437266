/* store_lmdb_record.h - the bytes of records and notes in the database of a durable store. Pure.
 *
 * A database key is partition `u16`, generation `u32` and hash `u64`, big-endian: memcmp orders it.
 * Its value is all the records with that hash, ascending by key (nearly always there is one), then
 * a `u32`: the CRC32C of those bytes XOR that of the database key. Little-endian. A record:
 *
 *   u16 size of the key, key, u8 flags, u8 count, [promised] [refused], entries
 *
 * and an entry, with what its flags say it has:
 *
 *   u8 flags, u8 flags of the meta, ballot, [version], u64 checksum, [u64 expiry], u32 size,
 *   u32 CRC, [u32 size of the shard, then its bytes or the u64 id of it]
 *
 * A ballot is u32 epoch, u64 clock, u64 client. What is zero, or a version that equals the ballot,
 * is left out. A record has one encoding: what was decoded encodes to the same bytes. A key of a
 * shard is as above, with its id instead of a hash; its value is the shard alone. */
#ifndef SHERD_SERVER_STORE_LMDB_RECORD_H
#define SHERD_SERVER_STORE_LMDB_RECORD_H

#include "coord/bytes.h"
#include "coord/record.h"

enum {
    /* A settled record and its shard fit the half of a 4 KiB page, so that it lives in a leaf;
     * what is larger there takes pages of its own, and is better off where COMMIT does not write it
     * again. */
    SHERD_STORED_INLINE_MAX = 1024,
    SHERD_STORED_DB_KEY_BYTES = 14,
    SHERD_STORED_CRC_BYTES = 4,
    SHERD_STORED_BALLOT_BYTES = 20,
    SHERD_STORED_ENTRY_BYTES_MAX =
        2 + 2 * SHERD_STORED_BALLOT_BYTES + 8 + 8 + 4 + 4 + 4 + SHERD_STORED_INLINE_MAX,
    SHERD_STORED_RECORD_BYTES_MAX = 2 + SHERD_KEY_BYTES_MAX + 2 + 2 * SHERD_STORED_BALLOT_BYTES +
                                    SHERD_ENTRIES_MAX * SHERD_STORED_ENTRY_BYTES_MAX,
};

struct sherd_stored_record {
    struct sherd_bytes key;
    struct sherd_record record;            /* its views borrow; data of a shard elsewhere is NULL */
    uint64_t shard_ids[SHERD_ENTRIES_MAX]; /* 0: inline, or there is no shard */
};

/* Writes a database key; `last` is a hash or an id. */
void sherd_stored_db_key(uint16_t partition, uint32_t generation, uint64_t last,
                         uint8_t out[SHERD_STORED_DB_KEY_BYTES]);

/* Splits one. -EBADMSG: it is not of that size, or of no partition. */
int sherd_stored_split(struct sherd_bytes db_key, uint16_t *partition, uint32_t *generation,
                       uint64_t *last);

/* What stands at the end of a value: of the bytes before it, and of the database key. */
uint32_t sherd_stored_crc(struct sherd_bytes db_key, struct sherd_bytes bytes);

/* Takes the CRC off. -EBADMSG: it is wrong. */
int sherd_stored_check(struct sherd_bytes db_key, struct sherd_bytes value,
                       struct sherd_bytes *bytes);

/* The next record of a value without its CRC; its entries are in out->record, without handles.
 * 1; 0: there is none; -EBADMSG. Only the fields in use are written. */
int sherd_stored_next(struct sherd_bytes_reader *in, struct sherd_stored_record *out);

/* Whether there is anything to keep. */
bool sherd_stored_is_any(const struct sherd_record *r);

/* Encodes a record: of the size that the first says. */
size_t sherd_stored_bytes(const struct sherd_stored_record *r);
uint8_t *sherd_stored_put(uint8_t *at, const struct sherd_stored_record *r);

#endif
