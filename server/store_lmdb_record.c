#include "server/store_lmdb_record.h"

#include <errno.h>
#include <sherd/ecc.h>

#include "coord/assert.h"

enum record_flags { HAS_PROMISED = 1, HAS_REFUSED = 2, RECORD_FLAGS = 3 };

enum entry_flags {
    COMMITTED = 1,
    SHOWN = 2,
    HAS_SHARD = 4,
    ELSEWHERE = 8, /* the shard: its id is here */
    HAS_VERSION = 16,
    EXPIRES = 32,
    ENTRY_FLAGS = 63,
};

void sherd_stored_db_key(uint16_t partition, uint32_t generation, uint64_t last,
                         uint8_t out[SHERD_STORED_DB_KEY_BYTES])
{
    partition = htobe16(partition);
    generation = htobe32(generation);
    last = htobe64(last);
    memcpy(out, &partition, sizeof(partition));
    memcpy(out + 2, &generation, sizeof(generation));
    memcpy(out + 6, &last, sizeof(last));
}

int sherd_stored_split(struct sherd_bytes db_key, uint16_t *partition, uint32_t *generation,
                       uint64_t *last)
{
    const uint8_t *at = db_key.data;

    if (db_key.size != SHERD_STORED_DB_KEY_BYTES) return -EBADMSG;
    memcpy(partition, at, sizeof(*partition));
    memcpy(generation, at + 2, sizeof(*generation));
    memcpy(last, at + 6, sizeof(*last));
    *partition = be16toh(*partition);
    *generation = be32toh(*generation);
    *last = be64toh(*last);
    return *partition < SHERD_PARTITIONS ? 0 : -EBADMSG;
}

uint32_t sherd_stored_crc(struct sherd_bytes db_key, struct sherd_bytes bytes)
{
    return sherd_crc32c(bytes.data, bytes.size) ^ sherd_crc32c(db_key.data, db_key.size);
}

int sherd_stored_check(struct sherd_bytes db_key, struct sherd_bytes value,
                       struct sherd_bytes *bytes)
{
    struct sherd_bytes_reader crc;

    if (value.size < SHERD_STORED_CRC_BYTES) return -EBADMSG;
    *bytes = (struct sherd_bytes){value.data, value.size - SHERD_STORED_CRC_BYTES};
    crc = sherd_bytes_read(
        (struct sherd_bytes){(const uint8_t *)value.data + bytes->size, SHERD_STORED_CRC_BYTES});
    return sherd_bytes_take_u32(&crc) == sherd_stored_crc(db_key, *bytes) ? 0 : -EBADMSG;
}

static struct sherd_ballot take_ballot(struct sherd_bytes_reader *in)
{
    struct sherd_ballot b = SHERD_BALLOT_ZERO;

    b.epoch = sherd_bytes_take_u32(in);
    b.clock = sherd_bytes_take_u64(in);
    b.client = sherd_bytes_take_u64(in);
    return b;
}

static uint8_t *put_ballot(uint8_t *at, struct sherd_ballot b)
{
    at = sherd_bytes_put_u32(at, b.epoch);
    at = sherd_bytes_put_u64(at, b.clock);
    return sherd_bytes_put_u64(at, b.client);
}

static struct sherd_ballot take_bound(struct sherd_bytes_reader *in, bool is_there)
{
    struct sherd_ballot b = SHERD_BALLOT_ZERO;

    if (!is_there) return b;
    b = take_ballot(in);
    sherd_bytes_require(in, !sherd_ballot_is_zero(b));
    return b;
}

/* The shard's bytes, or its id. */
static uint64_t take_shard(struct sherd_bytes_reader *in, uint8_t flags, struct sherd_entry *e)
{
    uint64_t id = 0;
    uint32_t size = 0;

    e->shard = (struct sherd_bytes){NULL, 0};
    if (!e->has_shard) return 0;
    size = sherd_bytes_take_u32(in);
    if (flags & ELSEWHERE) {
        id = sherd_bytes_take_u64(in);
        sherd_bytes_require(in, id != 0 && size > SHERD_STORED_INLINE_MAX);
        e->shard.size = size;
    } else {
        sherd_bytes_require(in, size <= SHERD_STORED_INLINE_MAX);
        e->shard = sherd_bytes_take(in, size);
    }
    return id;
}

static uint64_t take_entry(struct sherd_bytes_reader *in, struct sherd_entry *e)
{
    uint8_t flags = sherd_bytes_take_u8(in);

    sherd_bytes_require(in, flags <= ENTRY_FLAGS);
    sherd_bytes_require(in, (flags & HAS_SHARD) || !(flags & ELSEWHERE));
    e->committed = (flags & COMMITTED) != 0;
    e->shown = (flags & SHOWN) != 0;
    e->has_shard = (flags & HAS_SHARD) != 0;
    e->handle = NULL;
    e->meta.flags = sherd_bytes_take_u8(in);
    e->ballot = e->version = take_ballot(in);
    if (flags & HAS_VERSION) {
        e->version = take_ballot(in);
        sherd_bytes_require(in, !sherd_ballot_equal(e->ballot, e->version));
    }
    e->meta.checksum = sherd_bytes_take_u64(in);
    e->meta.expires_ms = 0;
    if (flags & EXPIRES) {
        e->meta.expires_ms = sherd_bytes_take_u64(in);
        sherd_bytes_require(in, e->meta.expires_ms != 0);
    }
    e->meta.size = sherd_bytes_take_u32(in);
    e->crc = sherd_bytes_take_u32(in);
    return take_shard(in, flags, e);
}

int sherd_stored_next(struct sherd_bytes_reader *in, struct sherd_stored_record *out)
{
    struct sherd_record *r = &out->record;
    uint8_t flags = 0;
    size_t size = 0;

    if (!in->broken && sherd_bytes_left(in) == 0) return 0;
    size = sherd_bytes_take_u16(in);
    sherd_bytes_require(in, size > 0 && size <= SHERD_KEY_BYTES_MAX);
    out->key = sherd_bytes_take(in, size);
    flags = sherd_bytes_take_u8(in);
    r->count = sherd_bytes_take_u8(in);
    sherd_bytes_require(in, flags <= RECORD_FLAGS && r->count <= SHERD_ENTRIES_MAX);
    sherd_bytes_require(in, flags != 0 || r->count != 0);
    r->promised = take_bound(in, (flags & HAS_PROMISED) != 0);
    r->refused = take_bound(in, (flags & HAS_REFUSED) != 0);
    for (uint8_t i = 0; i < r->count && !in->broken; i++)
        out->shard_ids[i] = take_entry(in, &r->entries[i]);
    return in->broken ? -EBADMSG : 1;
}

bool sherd_stored_is_any(const struct sherd_record *r)
{
    return r->count != 0 || sherd_record_has_bounds(r);
}

static uint8_t flags_of(const struct sherd_entry *e, uint64_t shard_id)
{
    bool versioned = !sherd_ballot_equal(e->ballot, e->version);

    return (uint8_t)((e->committed ? COMMITTED : 0) | (e->shown ? SHOWN : 0) |
                     (e->has_shard ? HAS_SHARD : 0) | (shard_id != 0 ? ELSEWHERE : 0) |
                     (versioned ? HAS_VERSION : 0) | (e->meta.expires_ms != 0 ? EXPIRES : 0));
}

static size_t entry_bytes(const struct sherd_entry *e, uint64_t shard_id)
{
    uint8_t flags = flags_of(e, shard_id);
    size_t size = 2 + SHERD_STORED_BALLOT_BYTES + 8 + 4 + 4;

    if (flags & HAS_VERSION) size += SHERD_STORED_BALLOT_BYTES;
    if (flags & EXPIRES) size += 8;
    if (flags & HAS_SHARD) size += 4 + (shard_id != 0 ? 8 : e->shard.size);
    return size;
}

static uint8_t *put_entry(uint8_t *at, const struct sherd_entry *e, uint64_t shard_id)
{
    uint8_t flags = flags_of(e, shard_id);

    at = sherd_bytes_put_u8(at, flags);
    at = sherd_bytes_put_u8(at, e->meta.flags);
    at = put_ballot(at, e->ballot);
    if (flags & HAS_VERSION) at = put_ballot(at, e->version);
    at = sherd_bytes_put_u64(at, e->meta.checksum);
    if (flags & EXPIRES) at = sherd_bytes_put_u64(at, e->meta.expires_ms);
    at = sherd_bytes_put_u32(at, e->meta.size);
    at = sherd_bytes_put_u32(at, e->crc);
    if (!(flags & HAS_SHARD)) return at;
    at = sherd_bytes_put_u32(at, (uint32_t)e->shard.size);
    if (shard_id != 0) return sherd_bytes_put_u64(at, shard_id);
    return sherd_bytes_put(at, e->shard);
}

size_t sherd_stored_bytes(const struct sherd_stored_record *r)
{
    size_t size = 2 + r->key.size + 2;

    if (!sherd_ballot_is_zero(r->record.promised)) size += SHERD_STORED_BALLOT_BYTES;
    if (!sherd_ballot_is_zero(r->record.refused)) size += SHERD_STORED_BALLOT_BYTES;
    for (uint8_t i = 0; i < r->record.count; i++)
        size += entry_bytes(&r->record.entries[i], r->shard_ids[i]);
    return size;
}

uint8_t *sherd_stored_put(uint8_t *at, const struct sherd_stored_record *r)
{
    bool promised = !sherd_ballot_is_zero(r->record.promised);
    bool refused = !sherd_ballot_is_zero(r->record.refused);

    SHERD_ASSERT(r->key.size > 0 && r->key.size <= SHERD_KEY_BYTES_MAX);
    at = sherd_bytes_put_u16(at, (uint16_t)r->key.size);
    at = sherd_bytes_put(at, r->key);
    at = sherd_bytes_put_u8(at,
                            (uint8_t)((promised ? HAS_PROMISED : 0) | (refused ? HAS_REFUSED : 0)));
    at = sherd_bytes_put_u8(at, r->record.count);
    if (promised) at = put_ballot(at, r->record.promised);
    if (refused) at = put_ballot(at, r->record.refused);
    for (uint8_t i = 0; i < r->record.count; i++)
        at = put_entry(at, &r->record.entries[i], r->shard_ids[i]);
    return at;
}
