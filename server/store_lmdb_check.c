#include "server/store_lmdb_check.h"

#include <errno.h>
#include <sherd/ecc.h>
#include <stdlib.h>

#include "server/store.h"
#include "server/store_lmdb_pages.h"

enum {
    PAGE_BYTES = 4096,       /* what a large shard is rounded up to; about right is enough */
    KEY_OVERHEAD_BYTES = 40, /* database key, heads and offset of a node, CRC */
};

enum tree {
    RECORDS = SHERD_LMDB_RECORDS,
    SHARDS = SHERD_LMDB_SHARDS,
    NOTES = SHERD_LMDB_NOTES,
    TREES
};

static const char *const names[TREES] = {"records", "shards", "notes"};

/* A set of shards, told apart without keeping them: by a sum of hashes. */
struct shards {
    uint64_t count, sum;
};

struct check {
    struct sherd_lmdb_totals *totals;
    struct sherd_lmdb_tree trees[TREES];
    unsigned trees_seen; /* a bit each */
    bool is_older;       /* of the older commit only its number is looked at */
    bool has_part[SHERD_PARTITIONS];
    struct {
        uint32_t size; /* of the whole */
        uint32_t found;
        uint8_t pieces[SHERD_LMDB_PIECES_MAX / 8];
    } saved[SHERD_NOTES];
    uint64_t transaction;
    uint32_t format;
    struct sherd_lmdb_part noted[SHERD_PARTITIONS];
    struct shards named[SHERD_PARTITIONS], held[SHERD_PARTITIONS];
    struct sherd_stored_record record;
};

/* What a shard takes that is not in its record. */
static uint64_t shard_bytes(uint64_t size)
{
    if (size < PAGE_BYTES / 2 - KEY_OVERHEAD_BYTES) return size + KEY_OVERHEAD_BYTES;
    return (size + 16 + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES + KEY_OVERHEAD_BYTES;
}

void sherd_lmdb_count(struct sherd_lmdb_part *part, const struct sherd_stored_record *r, int times)
{
    struct sherd_store_stats *s = &part->stats;
    uint64_t by = (uint64_t)times; /* sums may wrap on the way */

    s->keys += by;
    s->bytes += by * (sherd_stored_bytes(r) + KEY_OVERHEAD_BYTES);
    for (uint8_t i = 0; i < r->record.count; i++) {
        const struct sherd_entry *e = &r->record.entries[i];
        if (!e->committed) s->undecided += by;
        if (e->committed && (e->meta.flags & SHERD_META_TOMBSTONE)) s->tombstones += by;
        if (!e->has_shard) continue;
        s->shards += by;
        s->shard_bytes += by * e->shard.size;
        if (r->shard_ids[i] != 0) s->bytes += by * shard_bytes(e->shard.size);
    }
}

void sherd_lmdb_digest(struct sherd_lmdb_part *part, struct sherd_bytes db_key, uint32_t crc)
{
    uint8_t bytes[SHERD_STORED_DB_KEY_BYTES + sizeof(crc)];

    memcpy(bytes, db_key.data, SHERD_STORED_DB_KEY_BYTES);
    sherd_bytes_put_u32(bytes + SHERD_STORED_DB_KEY_BYTES, crc);
    part->digest ^= sherd_hash_key(bytes, sizeof(bytes));
}

static void add_shard(struct shards *s, struct sherd_bytes db_key, uint64_t size)
{
    uint8_t bytes[SHERD_STORED_DB_KEY_BYTES + sizeof(size)];

    memcpy(bytes, db_key.data, SHERD_STORED_DB_KEY_BYTES);
    sherd_bytes_put_u64(bytes + SHERD_STORED_DB_KEY_BYTES, size);
    s->count++;
    s->sum += sherd_hash_key(bytes, sizeof(bytes));
}

/* Which trees there are */

static int visit_name(void *context, const struct sherd_lmdb_node *node)
{
    struct check *c = context;

    for (unsigned i = 0; i < TREES; i++) {
        if (node->key.size != strlen(names[i]) ||
            memcmp(node->key.data, names[i], node->key.size) != 0)
            continue;
        c->trees_seen |= 1u << i;
        return node->is_tree ? sherd_lmdb_pages_tree(node->value, &c->trees[i]) : -EUCLEAN;
    }
    return -EUCLEAN;
}

/* Notes */

static int take_part(struct check *c, struct sherd_bytes key, struct sherd_bytes_reader *in)
{
    const uint8_t *name = key.data;
    uint16_t number = 0;

    if (key.size != SHERD_LMDB_PART_KEY_BYTES) return -EUCLEAN;
    memcpy(&number, name + 1, sizeof(number));
    number = be16toh(number);
    if (number >= SHERD_PARTITIONS) return -EUCLEAN;
    c->noted[number].generation = sherd_bytes_take_u32(in);
    c->noted[number].stats.keys = sherd_bytes_take_u64(in);
    c->noted[number].digest = sherd_bytes_take_u64(in);
    c->noted[number].damaged = sherd_bytes_take_u8(in) != 0;
    c->has_part[number] = !in->broken;
    return 0;
}

/* A piece of what was saved, or of its copy: either will do. */
static int take_piece(struct check *c, struct sherd_bytes key, struct sherd_bytes_reader *in)
{
    const uint8_t *name = key.data;
    uint32_t size = sherd_bytes_take_u32(in), piece;

    if (key.size != SHERD_LMDB_NOTE_KEY_BYTES_MAX || name[1] >= SHERD_NOTES) return -EUCLEAN;
    piece = (uint32_t)name[2] << 8 | name[3];
    if (piece >= SHERD_LMDB_PIECES_MAX || piece >= sherd_lmdb_pieces(size) ||
        sherd_bytes_left(in) != sherd_lmdb_piece_bytes(size, piece))
        return -EUCLEAN;
    if (c->saved[name[1]].found != 0 && c->saved[name[1]].size != size) return -EUCLEAN;
    c->saved[name[1]].size = size;
    if (c->saved[name[1]].pieces[piece / 8] >> piece % 8 & 1) return 0;
    c->saved[name[1]].pieces[piece / 8] |= (uint8_t)(1u << piece % 8);
    c->saved[name[1]].found++;
    return 0;
}

static bool is_saved(const struct check *c, unsigned note)
{
    return c->saved[note].found == sherd_lmdb_pieces(c->saved[note].size);
}

static int visit_note(void *context, const struct sherd_lmdb_node *node)
{
    struct check *c = context;
    struct sherd_bytes bytes;
    struct sherd_bytes_reader in;
    int rc = 0;

    if (node->is_tree) return -EUCLEAN;
    if (!node->value.data) return 0; /* of the older commit, and large: not the number */
    if (sherd_stored_check(node->key, node->value, &bytes) < 0) return -EUCLEAN;
    in = sherd_bytes_read(bytes);
    switch (*(const char *)node->key.data) {
    case 'f': c->format = sherd_bytes_take_u32(&in); break;
    case 's':
        c->transaction = sherd_bytes_take_u64(&in);
        if (!c->is_older) c->totals->next_id = sherd_bytes_take_u64(&in);
        break;
    case 'p': rc = c->is_older ? 0 : take_part(c, node->key, &in); break;
    case 'n':
    case 'c': rc = c->is_older ? 0 : take_piece(c, node->key, &in); break;
    default: return -EUCLEAN;
    }
    return in.broken ? -EUCLEAN : rc;
}

/* Records */

static int take_record(struct check *c, uint16_t partition)
{
    struct sherd_lmdb_part *part = &c->totals->parts[partition];

    sherd_lmdb_count(part, &c->record, 1);
    for (uint8_t i = 0; i < c->record.record.count; i++) {
        uint8_t db_key[SHERD_STORED_DB_KEY_BYTES];
        if (c->record.shard_ids[i] == 0) continue;
        if (c->record.shard_ids[i] >= c->totals->next_id) return -EUCLEAN;
        sherd_stored_db_key(partition, part->generation, c->record.shard_ids[i], db_key);
        add_shard(&c->named[partition], (struct sherd_bytes){db_key, sizeof(db_key)},
                  c->record.record.entries[i].shard.size);
    }
    return 0;
}

static int visit_record(void *context, const struct sherd_lmdb_node *node)
{
    struct check *c = context;
    struct sherd_bytes bytes, before = {NULL, 0};
    struct sherd_bytes_reader in;
    uint16_t partition = 0;
    uint32_t generation = 0;
    uint64_t hash = 0;
    int rc = 0;

    if (node->is_tree || sherd_stored_split(node->key, &partition, &generation, &hash) < 0 ||
        generation > c->noted[partition].generation)
        return -EUCLEAN;
    if (generation < c->noted[partition].generation) return 0; /* dropped */
    if (sherd_stored_check(node->key, node->value, &bytes) < 0 || bytes.size == 0) return -EUCLEAN;
    sherd_lmdb_digest(&c->totals->parts[partition], node->key, sherd_stored_crc(node->key, bytes));
    in = sherd_bytes_read(bytes);
    while ((rc = sherd_stored_next(&in, &c->record)) == 1) {
        if (before.size != 0 && sherd_store_compare_keys(before, c->record.key) >= 0)
            return -EUCLEAN;
        before = c->record.key;
        rc = take_record(c, partition);
        if (rc < 0) return rc;
    }
    return rc < 0 ? -EUCLEAN : 0;
}

/* Shards */

static int visit_shard(void *context, const struct sherd_lmdb_node *node)
{
    struct check *c = context;
    uint16_t partition = 0;
    uint32_t generation = 0;
    uint64_t id = 0;

    if (node->is_tree || sherd_stored_split(node->key, &partition, &generation, &id) < 0 ||
        generation > c->noted[partition].generation)
        return -EUCLEAN;
    if (generation == c->noted[partition].generation)
        add_shard(&c->held[partition], node->key, node->value.size);
    return 0;
}

/* All of it */

static int check_notes(struct check *c, struct sherd_lmdb_pages *p, const struct sherd_lmdb_meta *m,
                       unsigned how)
{
    int rc;

    c->trees_seen = 0;
    c->transaction = 0;
    rc = sherd_lmdb_pages_walk(p, &m->main, how, visit_name, c);
    if (rc < 0) return rc;
    if (c->trees_seen != (1u << TREES) - 1) return -EUCLEAN;
    rc = sherd_lmdb_pages_walk(p, &c->trees[NOTES], how, visit_note, c);
    if (rc < 0) return rc;
    return c->transaction == m->transaction ? 0 : -EUCLEAN;
}

static bool is_complete(const struct check *c, unsigned partition)
{
    const struct sherd_lmdb_part *part = &c->totals->parts[partition];
    const struct sherd_lmdb_part *noted = &c->noted[partition];
    const struct shards *named = &c->named[partition], *held = &c->held[partition];

    return part->digest == noted->digest && part->stats.keys == noted->stats.keys &&
           named->count == held->count && named->sum == held->sum;
}

static void take_noted(struct check *c)
{
    for (unsigned i = 0; i < SHERD_PARTITIONS; i++) {
        c->totals->parts[i].generation = c->noted[i].generation;
        c->totals->parts[i].damaged = c->noted[i].damaged;
    }
}

static int check_all(struct check *c, struct sherd_lmdb_pages *p)
{
    const unsigned all = SHERD_LMDB_USE | SHERD_LMDB_VALUES;
    int rc = check_notes(c, p, &p->newest, all);

    if (rc < 0) return rc;
    if (c->format != SHERD_LMDB_FORMAT) return c->format != 0 ? -EPROTONOSUPPORT : -EUCLEAN;
    for (unsigned i = 0; i < SHERD_NOTES; i++)
        if (c->saved[i].found != 0 && !is_saved(c, i)) return -EUCLEAN;
    take_noted(c);
    rc = sherd_lmdb_pages_walk(p, &c->trees[RECORDS], all, visit_record, c);
    if (rc == 0) rc = sherd_lmdb_pages_walk(p, &c->trees[SHARDS], SHERD_LMDB_USE, visit_shard, c);
    if (rc == 0) rc = sherd_lmdb_pages_check_free(p);
    if (rc < 0) return rc;
    for (unsigned i = 0; i < SHERD_PARTITIONS; i++)
        if (!is_complete(c, i)) return -EUCLEAN;
    /* If its number says that it is older than it is, the newer one is taken for the older. */
    c->is_older = true;
    return p->older.transaction == 0 ? 0 : check_notes(c, p, &p->older, 0);
}

int sherd_lmdb_check(int fd, struct sherd_lmdb_totals *out)
{
    struct sherd_lmdb_pages pages;
    struct check *c = calloc(1, sizeof(*c));
    int rc;

    if (!c) return -ENOMEM;
    *out = (struct sherd_lmdb_totals){0};
    c->totals = out;
    rc = sherd_lmdb_pages_open(&pages, fd);
    if (rc == 0) rc = check_all(c, &pages);
    sherd_lmdb_pages_close(&pages);
    free(c);
    return rc;
}

/* What is whole of a damaged one */

struct sherd_lmdb_rest {
    struct check check;
    struct sherd_lmdb_pages pages;
    int (*each)(void *context, struct sherd_bytes key, struct sherd_bytes value);
    void *context;
    enum sherd_lmdb_database database;
};

enum { SKIP_ALL = SHERD_LMDB_USE | SHERD_LMDB_VALUES | SHERD_LMDB_SKIP };

/* Without these it is not known whose memory this is, or what of it was committed. A partition that
 * no note is about had none, if nothing of the notes is missing. */
static int find_notes(struct sherd_lmdb_rest *r)
{
    struct check *c = &r->check;
    int rc = check_notes(c, &r->pages, &r->pages.newest, SKIP_ALL);
    bool is_whole = r->pages.skipped == 0;

    if (rc < 0) return rc;
    if (c->format != SHERD_LMDB_FORMAT || c->totals->next_id == 0) return -EUCLEAN;
    for (unsigned i = 0; i < SHERD_NOTES; i++)
        if (!is_whole && !is_saved(c, i)) return -EUCLEAN;
    take_noted(c);
    for (unsigned i = 0; i < SHERD_PARTITIONS; i++)
        if (!is_whole && !c->has_part[i]) c->totals->parts[i].damaged = true;
    return 0;
}

/* A partition is whole if all that its note counts is there, whatever else is damaged. */
static void find_whole(struct check *c)
{
    for (unsigned i = 0; i < SHERD_PARTITIONS; i++) {
        struct sherd_lmdb_part *part = &c->totals->parts[i];
        bool damaged = part->damaged || !is_complete(c, i);
        if (damaged) *part = (struct sherd_lmdb_part){part->generation, .damaged = true};
    }
}

int sherd_lmdb_rest_find(int fd, struct sherd_lmdb_totals *out, struct sherd_lmdb_rest **rest)
{
    struct sherd_lmdb_rest *r = calloc(1, sizeof(*r));
    struct check *c;
    int rc;

    *rest = r;
    if (!r) return -ENOMEM;
    c = &r->check;
    *out = (struct sherd_lmdb_totals){0};
    c->totals = out;
    rc = sherd_lmdb_pages_open(&r->pages, fd);
    if (rc == 0) rc = find_notes(r);
    if (rc == 0)
        rc = sherd_lmdb_pages_walk(&r->pages, &c->trees[RECORDS], SKIP_ALL, visit_record, c);
    if (rc == 0)
        rc = sherd_lmdb_pages_walk(&r->pages, &c->trees[SHARDS], SHERD_LMDB_USE | SHERD_LMDB_SKIP,
                                   visit_shard, c);
    if (rc == 0) find_whole(c);
    return rc;
}

void sherd_lmdb_rest_free(struct sherd_lmdb_rest *rest)
{
    if (!rest) return;
    sherd_lmdb_pages_close(&rest->pages);
    free(rest);
}

/* Whether a node of `records` or `shards` belongs to a partition that is whole. */
static bool is_whole(const struct sherd_lmdb_rest *r, struct sherd_bytes key)
{
    const struct sherd_lmdb_part *parts = r->check.totals->parts;
    uint16_t partition = 0;
    uint32_t generation = 0;
    uint64_t last = 0;

    return sherd_stored_split(key, &partition, &generation, &last) == 0 &&
           !parts[partition].damaged && generation == parts[partition].generation;
}

static int visit_rest(void *context, const struct sherd_lmdb_node *node)
{
    struct sherd_lmdb_rest *r = context;
    struct sherd_bytes bytes;

    if (node->is_tree || !node->value.data) return -EUCLEAN;
    if (r->database == SHERD_LMDB_NOTES) {
        const char *name = node->key.data;
        if ((*name != 'n' && *name != 'c') || node->key.size != SHERD_LMDB_NOTE_KEY_BYTES_MAX)
            return 0;
        if (sherd_stored_check(node->key, node->value, &bytes) < 0) return -EUCLEAN;
    } else if (!is_whole(r, node->key)) {
        return 0;
    }
    return r->each(r->context, node->key, node->value);
}

int sherd_lmdb_rest_each(struct sherd_lmdb_rest *rest, enum sherd_lmdb_database database,
                         int (*each)(void *context, struct sherd_bytes key,
                                     struct sherd_bytes value),
                         void *context)
{
    rest->database = database;
    rest->each = each;
    rest->context = context;
    sherd_lmdb_pages_reset(&rest->pages);
    return sherd_lmdb_pages_walk(&rest->pages, &rest->check.trees[database], SKIP_ALL, visit_rest,
                                 rest);
}
