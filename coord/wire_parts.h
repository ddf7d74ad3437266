/* wire_parts.h - what records of several kinds have in common, for wire.c and wire_page.c alone:
 * ballots, metadata, keys, bodies, shards, entries. put_* writes unchecked, take_* reads checked,
 * as in bytes.h; *_bytes is the exact size of what put_* writes. */
#ifndef SHERD_COORD_WIRE_PARTS_H
#define SHERD_COORD_WIRE_PARTS_H

#include "coord/assert.h"
#include "coord/bytes.h"
#include "coord/wire.h"

/* What only the wire says: of a request's value, and of an entry. */
enum form {
    FORM_VERSION = 1,   /* the version differs from the ballot, and follows */
    FORM_SHARD = 2,     /* the shard follows */
    FORM_COMMITTED = 4, /* the last two: entries alone */
    FORM_HAS_SHARD = 8,
};

enum {
    BALLOT_BYTES = 20,
    META_BYTES = 21,
    ENTRY_FIXED_BYTES = 1 + BALLOT_BYTES + META_BYTES + 4,
    META_FLAGS_ALL =
        SHERD_META_TOMBSTONE | SHERD_META_CONDITIONAL | SHERD_META_LOST | SHERD_META_RUN,
};

static inline size_t room(const struct sherd_writer_buffer *out)
{
    return out->capacity - out->size;
}

static inline uint8_t *put_ballot(uint8_t *at, struct sherd_ballot b)
{
    at = sherd_bytes_put_u32(at, b.epoch);
    at = sherd_bytes_put_u64(at, b.clock);
    return sherd_bytes_put_u64(at, b.client);
}

static inline struct sherd_ballot take_ballot(struct sherd_bytes_reader *in)
{
    struct sherd_ballot b = {0};

    b.epoch = sherd_bytes_take_u32(in);
    b.clock = sherd_bytes_take_u64(in);
    b.client = sherd_bytes_take_u64(in);
    return b;
}

/* The version is left out where it is the ballot, and must be: there is one encoding of it. */
static inline size_t version_bytes(struct sherd_ballot version, struct sherd_ballot ballot)
{
    return sherd_ballot_equal(version, ballot) ? 0 : BALLOT_BYTES;
}

static inline struct sherd_ballot take_version(struct sherd_bytes_reader *in, uint8_t form,
                                               struct sherd_ballot ballot)
{
    if ((form & FORM_VERSION) == 0) return ballot;

    struct sherd_ballot version = take_ballot(in);
    sherd_bytes_require(in, !sherd_ballot_equal(version, ballot));
    return version;
}

static inline uint8_t *put_meta(uint8_t *at, const struct sherd_meta *m)
{
    at = sherd_bytes_put_u64(at, m->checksum);
    at = sherd_bytes_put_u64(at, m->expires_ms);
    at = sherd_bytes_put_u32(at, m->size);
    return sherd_bytes_put_u8(at, m->flags);
}

static inline struct sherd_meta take_meta(struct sherd_bytes_reader *in)
{
    struct sherd_meta m = {0};

    m.checksum = sherd_bytes_take_u64(in);
    m.expires_ms = sherd_bytes_take_u64(in);
    m.size = sherd_bytes_take_u32(in);
    m.flags = sherd_bytes_take_u8(in);
    sherd_bytes_require(in, m.size <= SHERD_VALUE_BYTES_MAX && (m.flags & ~META_FLAGS_ALL) == 0);
    return m;
}

static inline uint8_t *put_key(uint8_t *at, struct sherd_bytes key)
{
    SHERD_ASSERT(key.size <= SHERD_KEY_BYTES_MAX);
    at = sherd_bytes_put_u16(at, (uint16_t)key.size);
    return sherd_bytes_put(at, key);
}

static inline struct sherd_bytes take_key(struct sherd_bytes_reader *in, bool may_be_empty)
{
    uint16_t size = sherd_bytes_take_u16(in);

    sherd_bytes_require(in, size <= SHERD_KEY_BYTES_MAX && (size != 0 || may_be_empty));
    return sherd_bytes_take(in, size);
}

static inline uint8_t *put_body(uint8_t *at, struct sherd_bytes body)
{
    SHERD_ASSERT(body.size <= SHERD_MESSAGE_BYTES_MAX);
    at = sherd_bytes_put_u32(at, (uint32_t)body.size);
    return sherd_bytes_put(at, body);
}

static inline struct sherd_bytes take_body(struct sherd_bytes_reader *in, size_t size_max)
{
    uint32_t size = sherd_bytes_take_u32(in);

    sherd_bytes_require(in, size <= size_max);
    return sherd_bytes_take(in, size);
}

/* Shards. `frames`: the large ones are frames of their own, and only their size is written. */

static inline size_t shard_bytes(struct sherd_bytes shard, bool frames)
{
    if (shard.data == NULL) return 0;
    return sizeof(uint32_t) + (frames && sherd_wire_is_framed(shard.size) ? 0 : shard.size);
}

static inline uint8_t *put_shard(uint8_t *at, struct sherd_bytes shard, bool frames)
{
    if (shard.data == NULL) return at;

    SHERD_ASSERT(shard.size <= SHERD_VALUE_BYTES_MAX);
    at = sherd_bytes_put_u32(at, (uint32_t)shard.size);
    return frames && sherd_wire_is_framed(shard.size) ? at : sherd_bytes_put(at, shard);
}

/* `from`: has the framed shards; NULL: all are inline. */
static inline struct sherd_bytes take_shard(struct sherd_bytes_reader *in,
                                            struct sherd_wire_reader *from)
{
    uint32_t size = sherd_bytes_take_u32(in);

    sherd_bytes_require(in, size <= SHERD_VALUE_BYTES_MAX);
    if (from == NULL || !sherd_wire_is_framed(size)) return sherd_bytes_take(in, size);

    bool here = from->next_frame < from->frame_count && from->frames[from->next_frame].size == size;
    sherd_bytes_require(in, here);
    return here ? from->frames[from->next_frame++] : (struct sherd_bytes){NULL, 0};
}

/* Entries of STATE, PROMISED and the items of a page */

static inline size_t entry_bytes(const struct sherd_entry *e, bool frames)
{
    return ENTRY_FIXED_BYTES + version_bytes(e->version, e->ballot) + shard_bytes(e->shard, frames);
}

static inline size_t entries_bytes(const struct sherd_entry *entries, uint8_t count, bool frames)
{
    size_t size = 1;

    for (uint8_t i = 0; i < count; i++)
        size += entry_bytes(&entries[i], frames);
    return size;
}

static inline uint8_t *put_entry(uint8_t *at, const struct sherd_entry *e, bool frames)
{
    bool same = sherd_ballot_equal(e->ballot, e->version);
    int form = (same ? 0 : FORM_VERSION) | (e->shard.data == NULL ? 0 : FORM_SHARD) |
               (e->committed ? FORM_COMMITTED : 0) | (e->has_shard ? FORM_HAS_SHARD : 0);

    at = sherd_bytes_put_u8(at, (uint8_t)form);
    at = put_ballot(at, e->ballot);
    if (!same) at = put_ballot(at, e->version);
    at = put_meta(at, &e->meta);
    at = sherd_bytes_put_u32(at, e->crc);
    return put_shard(at, e->shard, frames);
}

static inline uint8_t *put_entries(uint8_t *at, const struct sherd_entry *entries, uint8_t count,
                                   bool frames)
{
    SHERD_ASSERT(count <= SHERD_ENTRIES_MAX);
    at = sherd_bytes_put_u8(at, count);
    for (uint8_t i = 0; i < count; i++)
        at = put_entry(at, &entries[i], frames);
    return at;
}

static inline void take_entry(struct sherd_bytes_reader *in, struct sherd_wire_reader *from,
                              struct sherd_entry *out)
{
    uint8_t form = sherd_bytes_take_u8(in);

    *out = (struct sherd_entry){0};
    sherd_bytes_require(in, form <= (FORM_VERSION | FORM_SHARD | FORM_COMMITTED | FORM_HAS_SHARD));
    out->committed = (form & FORM_COMMITTED) != 0;
    out->has_shard = (form & FORM_HAS_SHARD) != 0;
    out->ballot = take_ballot(in);
    out->version = take_version(in, form, out->ballot);
    out->meta = take_meta(in);
    out->crc = sherd_bytes_take_u32(in);
    if (form & FORM_SHARD) out->shard = take_shard(in, from);
}

static inline uint8_t take_entries(struct sherd_bytes_reader *in, struct sherd_wire_reader *from,
                                   struct sherd_entry *entries)
{
    uint8_t count = sherd_bytes_take_u8(in);

    sherd_bytes_require(in, count <= SHERD_ENTRIES_MAX);
    for (uint8_t i = 0; i < count && !in->broken; i++)
        take_entry(in, from, &entries[i]);
    return count;
}

#endif
