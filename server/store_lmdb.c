/* store_lmdb.c - the store that keeps everything on disk: records and notes, as store.h wants them.
 */
#include <errno.h>
#include <sherd/ecc.h>
#include <stdlib.h>

#include "coord/assert.h"
#include "coord/wire.h"
#include "server/store_lmdb_parts.h"

#define RESERVE_BYTES_MIN                                                  \
    (UINT64_C(16) << 20) /* some turns of deletes, each with its own pages \
                          */
#define RESERVE_BYTES_MAX (UINT64_C(64) << 20)

enum {
    RESERVE_PART = 8,
    PAGE_BYTES = 4096,
    PUT_PAGES = 4, /* that a change writes beside the shard: leaves and what is above them */
};

/* Where a key's record is among those with its hash. */
struct place {
    uint8_t db_key[SHERD_STORED_DB_KEY_BYTES];
    struct sherd_bytes bytes;          /* the value without its CRC; size 0: there is none */
    size_t begin, end;                 /* of the record; equal: it would be there */
    struct sherd_stored_record stored; /* all zero: there is none */
};

static struct sherd_lmdb *lmdb_of(struct sherd_store *s) { return (struct sherd_lmdb *)s; }

static struct sherd_lmdb_part *part_of(struct sherd_lmdb *m, uint16_t partition)
{
    SHERD_ASSERT(partition < SHERD_PARTITIONS);
    return &m->now.parts[partition];
}

static MDB_val key_val(const struct place *p)
{
    return sherd_lmdb_val(p->db_key, sizeof(p->db_key));
}

/* Reading */

static int find_key(struct place *p, struct sherd_bytes key)
{
    struct sherd_bytes_reader in = sherd_bytes_read(p->bytes);
    int rc = 0, order = -1;

    while (order < 0 && (rc = sherd_stored_next(&in, &p->stored)) == 1) {
        p->begin = p->end;
        p->end = p->bytes.size - sherd_bytes_left(&in);
        order = sherd_store_compare_keys(p->stored.key, key);
    }
    if (rc < 0) return rc;
    if (order == 0) return 0;
    p->stored = (struct sherd_stored_record){0};
    if (order > 0)
        p->end = p->begin;
    else
        p->begin = p->end;
    return 0;
}

/* Finds a key's record; views into the database, until it changes. */
static int locate(struct sherd_lmdb *m, const struct sherd_store_key *key, struct place *out)
{
    MDB_val db_key = key_val(out), value;
    int rc = sherd_lmdb_begin(m);

    memset(out, 0, offsetof(struct place, stored));
    memset(&out->stored, 0, sizeof(out->stored));
    out->bytes.data = "";
    sherd_stored_db_key(key->partition, part_of(m, key->partition)->generation, key->hash,
                        out->db_key);
    if (rc < 0) return rc;
    if (part_of(m, key->partition)->damaged) return -EUCLEAN;
    rc = mdb_get(m->txn, m->records, &db_key, &value);
    if (rc == MDB_NOTFOUND) return 0;
    if (rc != 0) return sherd_lmdb_read_error(m, rc);
    if (sherd_stored_check(sherd_lmdb_bytes(db_key), sherd_lmdb_bytes(value), &out->bytes) < 0 ||
        find_key(out, key->key) < 0)
        return -EUCLEAN;
    return 0;
}

static void drop_frames(struct sherd_lmdb *m)
{
    for (unsigned i = 0; i < SHERD_ENTRIES_MAX; i++)
        if (m->framed >> i & 1) zmq_msg_close(&m->frames[i]);
    m->framed = 0;
}

/* Copies a shard to where its view may stay. */
static int copy_shard(struct sherd_lmdb *m, uint8_t i, MDB_val value, struct sherd_entry *e)
{
    void *to = m->shard_bytes[i];

    if (sherd_wire_is_framed(value.mv_size)) {
        if (zmq_msg_init_size(&m->frames[i], value.mv_size) < 0) return -ENOMEM;
        m->framed |= (uint16_t)(1u << i);
        to = zmq_msg_data(&m->frames[i]);
    }
    memcpy(to, value.mv_data, value.mv_size);
    e->shard.data = to;
    return 0;
}

static int load_shard(struct sherd_lmdb *m, uint16_t partition, uint8_t i, uint64_t id,
                      struct sherd_entry *e)
{
    uint8_t name[SHERD_STORED_DB_KEY_BYTES] = {0};
    MDB_val key = sherd_lmdb_val(name, sizeof(name)), value;
    int rc;

    sherd_stored_db_key(partition, part_of(m, partition)->generation, id, name);
    rc = mdb_get(m->txn, m->shards, &key, &value);
    if (rc == MDB_NOTFOUND) return 0; /* as one that does not fit its CRC */
    if (rc != 0) return sherd_lmdb_read_error(m, rc);
    return value.mv_size == e->shard.size ? copy_shard(m, i, value, e) : 0;
}

static int load_shards(struct sherd_lmdb *m, uint16_t partition, struct sherd_stored_record *stored)
{
    for (uint8_t i = 0; i < stored->record.count; i++) {
        struct sherd_entry *e = &stored->record.entries[i];
        int rc = 0;
        if (!e->has_shard) continue;
        if (stored->shard_ids[i] != 0) rc = load_shard(m, partition, i, stored->shard_ids[i], e);
        if (rc < 0) return rc;
        if (e->shard.data && sherd_crc32c(e->shard.data, e->shard.size) == e->crc) continue;
        m->store.damaged |= (uint16_t)(1u << i);
        e->has_shard = false;
        e->shard = (struct sherd_bytes){NULL, 0};
    }
    return 0;
}

/* Shows a record: copied, so that the views stay when the database changes. `key` may be NULL. */
static int show(struct sherd_lmdb *m, uint16_t partition, struct sherd_bytes bytes,
                bool with_shards, struct sherd_bytes *key, struct sherd_record *out)
{
    struct sherd_stored_record stored;
    struct sherd_bytes_reader in;
    int rc = 0;

    drop_frames(m);
    m->store.damaged = 0;
    SHERD_ASSERT(bytes.size <= sizeof(m->record_bytes));
    sherd_bytes_put(m->record_bytes, bytes);
    in = sherd_bytes_read((struct sherd_bytes){m->record_bytes, bytes.size});
    stored.record.count = 0;
    stored.record.promised = stored.record.refused = SHERD_BALLOT_ZERO;
    if (sherd_stored_next(&in, &stored) < 0) return -EUCLEAN;
    if (with_shards) rc = load_shards(m, partition, &stored);
    if (rc < 0) return rc;
    out->promised = stored.record.promised;
    out->refused = stored.record.refused;
    out->count = stored.record.count;
    for (uint8_t i = 0; i < out->count; i++) {
        out->entries[i] = stored.record.entries[i];
        out->entries[i].handle = &m->handles[i];
    }
    if (key) *key = stored.key;
    return 0;
}

static int lmdb_load(struct sherd_store *s, const struct sherd_store_key *key, bool with_shards,
                     struct sherd_record *out)
{
    struct sherd_lmdb *m = lmdb_of(s);
    struct place place;
    int rc = locate(m, key, &place);

    if (rc < 0) return rc;
    return show(m, key->partition,
                (struct sherd_bytes){(const uint8_t *)place.bytes.data + place.begin,
                                     place.end - place.begin},
                with_shards, NULL, out);
}

static zmq_msg_t *lmdb_frame(struct sherd_store *s, void *handle)
{
    struct sherd_lmdb *m = lmdb_of(s);
    ptrdiff_t i = (uint8_t *)handle - m->handles;

    SHERD_ASSERT(i >= 0 && i < SHERD_ENTRIES_MAX);
    return m->framed >> i & 1 ? &m->frames[i] : NULL;
}

/* The first record of a value that is above the cursor: its bytes; size 0: there is none. */
static int first_above(struct sherd_bytes bytes, const struct sherd_bytes *above,
                       struct sherd_bytes *out)
{
    struct sherd_bytes_reader in = sherd_bytes_read(bytes);
    struct sherd_stored_record stored;
    const uint8_t *begin = in.at;
    int rc = 0;

    *out = (struct sherd_bytes){NULL, 0};
    for (; (rc = sherd_stored_next(&in, &stored)) == 1; begin = in.at) {
        if (above && sherd_store_compare_keys(stored.key, *above) <= 0) continue;
        *out = (struct sherd_bytes){begin, (size_t)(in.at - begin)};
        return 0;
    }
    return rc;
}

/* 1: *hash and *out are of the next record; 0: there is none. */
static int seek(struct sherd_lmdb *m, MDB_cursor *at, uint16_t partition,
                const struct sherd_store_key *cursor, struct sherd_store_key *key,
                struct sherd_bytes *out)
{
    const uint32_t generation = part_of(m, partition)->generation;
    uint8_t name[SHERD_STORED_DB_KEY_BYTES] = {0};
    MDB_val db_key = sherd_lmdb_val(name, sizeof(name)), value;
    MDB_cursor_op how = MDB_SET_RANGE;

    sherd_stored_db_key(partition, generation, cursor->hash, name);
    for (;; how = MDB_NEXT) {
        struct sherd_bytes bytes;
        uint32_t found_generation = 0;
        int rc = mdb_cursor_get(at, &db_key, &value, how);
        if (rc == MDB_NOTFOUND) return 0;
        if (rc != 0) return rc;
        if (sherd_stored_split(sherd_lmdb_bytes(db_key), &key->partition, &found_generation,
                               &key->hash) < 0)
            return MDB_CORRUPTED;
        if (key->partition != partition || found_generation != generation) return 0;
        if (sherd_stored_check(sherd_lmdb_bytes(db_key), sherd_lmdb_bytes(value), &bytes) < 0 ||
            first_above(bytes, key->hash == cursor->hash ? &cursor->key : NULL, out) < 0)
            return -EUCLEAN; /* this record, and with it the partition */
        if (out->size != 0) return 1;
    }
}

static int lmdb_next(struct sherd_store *s, uint16_t partition,
                     const struct sherd_store_key *cursor, bool with_shards,
                     struct sherd_store_key *key, struct sherd_record *out)
{
    struct sherd_lmdb *m = lmdb_of(s);
    struct sherd_store_key found = {0};
    struct sherd_bytes bytes = {NULL, 0};
    MDB_cursor *at = NULL;
    int rc = sherd_lmdb_begin(m);

    if (rc < 0) return rc;
    if (part_of(m, partition)->damaged) return -EUCLEAN;
    rc = mdb_cursor_open(m->txn, m->records, &at);
    if (rc != 0) return sherd_lmdb_errno(rc);
    rc = seek(m, at, partition, cursor, &found, &bytes);
    mdb_cursor_close(at);
    if (rc == 0 || rc == -EUCLEAN) return rc;
    if (rc != 1) return sherd_lmdb_read_error(m, rc);
    rc = show(m, partition, bytes, with_shards, &found.key, out);
    if (rc < 0) return rc;
    *key = found;
    return 1;
}

/* Changing */

/* The value with another record, or none, in that place. -ENOMEM: nothing changed. */
static int make_value(struct sherd_lmdb *m, const struct place *p,
                      const struct sherd_stored_record *after, struct sherd_bytes *out)
{
    const uint8_t *before = p->bytes.data;
    bool is_any = sherd_stored_is_any(&after->record);
    size_t rest = p->bytes.size - p->end;
    size_t size = p->begin + (is_any ? sherd_stored_bytes(after) : 0) + rest;
    uint8_t *at = NULL;
    int rc = sherd_lmdb_reserve(m, size + SHERD_STORED_CRC_BYTES);

    if (rc < 0) return rc;
    at = sherd_bytes_put(m->value, (struct sherd_bytes){before, p->begin});
    if (is_any) at = sherd_stored_put(at, after);
    at = sherd_bytes_put(at, (struct sherd_bytes){before + p->end, rest});
    SHERD_ASSERT(at == m->value + size);
    *out = (struct sherd_bytes){m->value, size};
    return 0;
}

static bool names_shard(const struct sherd_stored_record *r, uint64_t id)
{
    for (uint8_t i = 0; i < r->record.count; i++)
        if (r->shard_ids[i] == id) return true;
    return false;
}

/* Puts the large shards that only `after` names, deletes those that only the record before did. */
static int change_shards(struct sherd_lmdb *m, const struct place *p, uint16_t partition,
                         const struct sherd_stored_record *after)
{
    const uint32_t generation = part_of(m, partition)->generation;
    uint8_t name[SHERD_STORED_DB_KEY_BYTES] = {0};
    MDB_val key = sherd_lmdb_val(name, sizeof(name));
    int rc = 0;

    for (uint8_t i = 0; rc == 0 && i < p->stored.record.count; i++) {
        uint64_t id = p->stored.shard_ids[i];
        if (id == 0 || names_shard(after, id)) continue;
        sherd_stored_db_key(partition, generation, id, name);
        rc = mdb_del(m->txn, m->shards, &key, NULL);
    }
    for (uint8_t i = 0; rc == 0 && i < after->record.count; i++) {
        struct sherd_bytes shard = after->record.entries[i].shard;
        MDB_val value = sherd_lmdb_val(shard.data, shard.size);
        uint64_t id = after->shard_ids[i];
        if (id == 0 || names_shard(&p->stored, id)) continue;
        sherd_stored_db_key(partition, generation, id, name);
        rc = mdb_put(m->txn, m->shards, &key, &value, MDB_NOOVERWRITE);
        m->now.next_id = id + 1;
        m->room.put_bytes += shard.size;
    }
    return rc;
}

/* The value that make_value() made takes the place of the one before. */
static int change_record(struct sherd_lmdb *m, const struct place *p, struct sherd_lmdb_part *part,
                         struct sherd_bytes bytes)
{
    struct sherd_bytes name = {p->db_key, sizeof(p->db_key)};
    uint32_t crc = sherd_stored_crc(name, bytes);
    MDB_val key = key_val(p);
    MDB_val value = sherd_lmdb_val(bytes.data, bytes.size + SHERD_STORED_CRC_BYTES);

    if (p->bytes.size != 0) sherd_lmdb_digest(part, name, sherd_stored_crc(name, p->bytes));
    m->room.put_bytes += (uint64_t)PUT_PAGES * PAGE_BYTES;
    if (bytes.size == 0) return p->bytes.size != 0 ? mdb_del(m->txn, m->records, &key, NULL) : 0;
    sherd_lmdb_digest(part, name, crc);
    sherd_bytes_put_u32(m->value + bytes.size, crc);
    return mdb_put(m->txn, m->records, &key, &value, 0);
}

/* Puts `after` in the place of a record. What only `after` borrows must not be in the database. */
static int replace(struct sherd_lmdb *m, uint16_t partition, const struct place *p,
                   const struct sherd_stored_record *after)
{
    struct sherd_lmdb_part *part = part_of(m, partition);
    struct sherd_bytes bytes;
    int rc = make_value(m, p, after, &bytes);

    if (rc < 0) return rc;
    if (p->begin != p->end) sherd_lmdb_count(part, &p->stored, -1);
    if (sherd_stored_is_any(&after->record)) sherd_lmdb_count(part, after, 1);
    m->changed = true;
    m->touched[partition] = true;
    /* The record's bytes of before are not needed any more when the database changes. */
    rc = change_record(m, p, part, bytes);
    if (rc == 0) rc = change_shards(m, p, partition, after);
    return rc == 0 ? 0 : sherd_lmdb_fail(m, rc);
}

/* A new entry. A large shard gets the next id. */
static void add_entry(const struct sherd_lmdb *m, const struct sherd_entry *e, uint8_t i,
                      struct sherd_stored_record *after)
{
    struct sherd_entry *to = &after->record.entries[i];

    *to = *e;
    if (!e->has_shard) to->shard = (struct sherd_bytes){NULL, 0};
    if (e->has_shard && e->shard.size > SHERD_STORED_INLINE_MAX)
        after->shard_ids[i] = m->now.next_id;
}

/* The record that `record` and `change` describe, of the entries that are there. */
static void make_record(struct sherd_lmdb *m, const struct place *p,
                        const struct sherd_record *record, const struct sherd_change *change,
                        struct sherd_stored_record *after)
{
    after->record.count = 0;
    after->record.promised = after->record.refused = SHERD_BALLOT_ZERO;
    memset(after->shard_ids, 0, sizeof(after->shard_ids));
    if (change->forget) return;
    after->record.count = record->count;
    after->record.promised = record->promised;
    after->record.refused = record->refused;
    for (uint8_t i = 0; i < record->count; i++) {
        struct sherd_entry *to = &after->record.entries[i];
        ptrdiff_t at = (uint8_t *)record->entries[i].handle - m->handles;
        if (!record->entries[i].handle) {
            SHERD_ASSERT(change->put);
            add_entry(m, &record->entries[i], i, after);
            continue;
        }
        SHERD_ASSERT(at >= 0 && at < p->stored.record.count);
        *to = p->stored.record.entries[at];
        after->shard_ids[i] = p->stored.shard_ids[at];
        if (change->committed >> at & 1) to->committed = true;
        if (change->shown >> at & 1) to->shown = true;
    }
}

static int lmdb_apply(struct sherd_store *s, const struct sherd_store_key *key,
                      const struct sherd_record *record, const struct sherd_change *change,
                      zmq_msg_t *frame)
{
    struct sherd_lmdb *m = lmdb_of(s);
    struct sherd_stored_record after;
    struct place place;
    int rc = m->fault;

    if (rc == 0) rc = locate(m, key, &place);
    if (rc != 0) return rc;
    after.key = key->key;
    make_record(m, &place, record, change, &after);
    if (place.begin == place.end && !sherd_stored_is_any(&after.record)) return 0;
    rc = replace(m, key->partition, &place, &after);
    if (rc < 0 || !frame) return rc;
    zmq_msg_close(frame); /* its bytes are in the database */
    zmq_msg_init(frame);
    return 0;
}

static int lmdb_strip(struct sherd_store *s, const struct sherd_store_key *key, void *handle)
{
    struct sherd_lmdb *m = lmdb_of(s);
    ptrdiff_t at = (uint8_t *)handle - m->handles;
    struct sherd_stored_record after;
    struct place place;
    int rc = m->fault;

    if (rc == 0) rc = locate(m, key, &place);
    if (rc != 0) return rc;
    SHERD_ASSERT(at >= 0 && at < place.stored.record.count);
    after = place.stored;
    after.record.entries[at].has_shard = false;
    after.record.entries[at].shard = (struct sherd_bytes){NULL, 0};
    after.shard_ids[at] = 0;
    return replace(m, key->partition, &place, &after);
}

static void lmdb_drop_partition(struct sherd_store *s, uint16_t partition)
{
    struct sherd_lmdb *m = lmdb_of(s);
    struct sherd_lmdb_part *part = part_of(m, partition);
    int rc = m->fault;

    if (part->stats.keys == 0 && !part->damaged) return;
    if (rc < 0) {
        m->undone = rc;
        return;
    }
    rc = sherd_lmdb_begin(m);
    if (rc < 0) {
        sherd_lmdb_fail(m, rc);
        return;
    }
    *part = (struct sherd_lmdb_part){.generation = part->generation + 1};
    m->changed = m->touched[partition] = m->dirt[partition] = true;
}

/* Notes */

static int lmdb_save(struct sherd_store *s, enum sherd_store_note note, struct sherd_bytes bytes)
{
    struct sherd_lmdb *m = lmdb_of(s);
    struct sherd_lmdb_note *now = &m->note_now[note];
    uint8_t *copy = NULL;
    int rc = m->fault;

    if (rc < 0) return rc;
    if (bytes.size > (size_t)SHERD_LMDB_PIECES_MAX * SHERD_LMDB_PIECE_BYTES) rc = -E2BIG;
    if (rc == 0) copy = malloc(bytes.size + 1);
    if (rc == 0 && !copy) rc = -ENOMEM;
    if (rc == 0) rc = sherd_lmdb_begin(m);
    if (rc == 0) {
        sherd_bytes_put(copy, bytes);
        m->changed = true;
        rc = sherd_lmdb_put_saved(m, (uint8_t)note, bytes);
    }
    if (rc != 0) {
        free(copy);
        return sherd_lmdb_fail(m, rc);
    }
    if (now->data != m->note_synced[note].data) free(now->data);
    *now = (struct sherd_lmdb_note){copy, bytes.size};
    return 0;
}

static struct sherd_bytes lmdb_fetch(struct sherd_store *s, enum sherd_store_note note)
{
    const struct sherd_lmdb_note *now = &lmdb_of(s)->note_now[note];

    return (struct sherd_bytes){now->data, now->size};
}

/* The rest */

static bool lmdb_has_room(const struct sherd_store *s, size_t key_size, size_t shard_size,
                          bool use_reserve)
{
    const struct sherd_lmdb *m = (const struct sherd_lmdb *)s;
    uint64_t reserve = m->room.system_bytes / RESERVE_PART;
    uint64_t need = key_size + shard_size + (uint64_t)PUT_PAGES * PAGE_BYTES;

    if (m->fault) return false;
    if (reserve < RESERVE_BYTES_MIN) reserve = RESERVE_BYTES_MIN;
    if (reserve > RESERVE_BYTES_MAX) reserve = RESERVE_BYTES_MAX;
    return need + (use_reserve ? 0 : reserve) <= sherd_lmdb_room(m, shard_size == 0);
}

static int lmdb_sync(struct sherd_store *s) { return sherd_lmdb_sync(lmdb_of(s)); }

static int lmdb_fault(const struct sherd_store *s) { return ((const struct sherd_lmdb *)s)->fault; }

static void lmdb_stats(const struct sherd_store *s, struct sherd_store_stats *out)
{
    const struct sherd_lmdb *m = (const struct sherd_lmdb *)s;

    *out = (struct sherd_store_stats){.bytes = UINT64_C(2) * PAGE_BYTES};
    for (unsigned p = 0; p < SHERD_PARTITIONS; p++) {
        const struct sherd_store_stats *part = &m->now.parts[p].stats;
        out->bytes += part->bytes;
        out->keys += part->keys;
        out->shards += part->shards;
        out->shard_bytes += part->shard_bytes;
        out->undecided += part->undecided;
        out->tombstones += part->tombstones;
    }
    out->bytes_max = out->bytes + sherd_lmdb_room(m, true);
}

static void lmdb_close(struct sherd_store *s)
{
    if (!s) return;
    drop_frames(lmdb_of(s));
    sherd_lmdb_close(lmdb_of(s));
}

const struct sherd_store_ops sherd_lmdb_ops = {
    .load = lmdb_load,
    .apply = lmdb_apply,
    .frame = lmdb_frame,
    .has_room = lmdb_has_room,
    .next = lmdb_next,
    .strip = lmdb_strip,
    .drop_partition = lmdb_drop_partition,
    .save = lmdb_save,
    .fetch = lmdb_fetch,
    .sync = lmdb_sync,
    .fault = lmdb_fault,
    .stats = lmdb_stats,
    .close = lmdb_close,
};
