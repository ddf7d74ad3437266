/* store_memory.c - the store that keeps everything in memory: a table of cells a partition. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "coord/assert.h"
#include "server/store.h"
#include "server/store_table.h"

#define RESERVE_BYTES_MAX (UINT64_C(64) << 20)

enum {
    RESERVE_PART = 8,
    ROUNDING_BYTES_MAX = 4096, /* by which an allocator may round one piece up */
};

struct memory {
    struct sherd_store store; /* first: struct sherd_store * points here */
    struct sherd_store_stats stats;
    uint64_t table_bytes_max; /* largest table so far; the next growth may take this much again */
    struct sherd_store_table tables[SHERD_PARTITIONS];
};

/* What one apply() allocates, all of it before it changes anything. */
struct pieces {
    struct sherd_store_cell *entry;  /* the new entry */
    struct sherd_store_cell *bounds; /* bounds, if there was no cell for them yet */
    struct sherd_store_block *block; /* for the chain, if it outgrows what it has */
};

static struct memory *memory_of(struct sherd_store *s) { return (struct memory *)s; }

static struct sherd_store_table *table_of(struct sherd_store *s, uint16_t partition)
{
    SHERD_ASSERT(partition < SHERD_PARTITIONS);
    return &memory_of(s)->tables[partition];
}

/* Every cell is counted when it comes, and around each change of it. Unsigned sums may wrap on the
 * way: `times` is 1 or -1. */
static void count_cell(struct memory *m, struct sherd_store_cell *c, int times)
{
    uint64_t by = (uint64_t)times;
    bool committed = (c->flags & SHERD_CELL_COMMITTED) != 0;

    m->stats.bytes += by * sherd_store_cell_bytes(c);
    if (c->flags & SHERD_CELL_BOUNDS) return;
    if (!committed) m->stats.undecided += by;
    if (committed && (c->meta_flags & SHERD_META_TOMBSTONE)) m->stats.tombstones += by;
    if (c->flags & SHERD_CELL_SHARD) {
        m->stats.shards += by;
        m->stats.shard_bytes += by * sherd_store_cell_shard_size(c);
    }
}

static void drop_cell(struct memory *m, struct sherd_store_cell *c)
{
    count_cell(m, c, -1);
    sherd_store_cell_free(c);
}

static void drop_chain(struct memory *m, struct sherd_store_chain chain)
{
    struct sherd_store_cells cells;

    sherd_store_chain_cells(chain, &cells);
    for (uint8_t i = 0; i < cells.count; i++)
        drop_cell(m, cells.at[i]);
    m->stats.bytes -= sherd_store_chain_bytes(chain);
    sherd_store_chain_fini(chain);
}

static void remove_key(struct memory *m, struct sherd_store_table *t, struct sherd_store_slot *slot)
{
    drop_chain(m, slot->chain);
    m->stats.keys--;
    m->stats.bytes -= sherd_store_table_bytes(t);
    sherd_store_table_remove(t, slot);
    m->stats.bytes += sherd_store_table_bytes(t);
}

static int reserve_slot(struct memory *m, struct sherd_store_table *t)
{
    uint64_t before = sherd_store_table_bytes(t), after = 0;
    int rc = sherd_store_table_reserve(t);

    after = sherd_store_table_bytes(t);
    m->stats.bytes += after - before;
    if (after > m->table_bytes_max) m->table_bytes_max = after;
    return rc;
}

/* NULL: the key has none. They are the last of its cells. */
static struct sherd_store_cell *bounds_of(const struct sherd_store_cells *cells)
{
    struct sherd_store_cell *last = cells->count > 0 ? cells->at[cells->count - 1] : NULL;

    return last && (last->flags & SHERD_CELL_BOUNDS) ? last : NULL;
}

static uint8_t count_entries(const struct sherd_store_cells *cells)
{
    return (uint8_t)(cells->count - (bounds_of(cells) != NULL));
}

/* Only the fields in use are written: a record has room for many entries, and nearly always one of
 * them is used. */
static void fill_record(struct sherd_store_chain chain, struct sherd_record *out)
{
    struct sherd_store_cells cells;
    const struct sherd_store_cell *bounds;

    sherd_store_chain_cells(chain, &cells);
    bounds = bounds_of(&cells);
    out->count = count_entries(&cells);
    SHERD_ASSERT(out->count <= SHERD_ENTRIES_MAX);
    for (uint8_t i = 0; i < out->count; i++)
        sherd_store_cell_entry(cells.at[i], &out->entries[i]);
    out->promised = out->refused = SHERD_BALLOT_ZERO;
    if (bounds) sherd_store_cell_bounds(bounds, &out->promised, &out->refused);
}

static struct sherd_store_chain chain_of(const struct sherd_store_slot *slot)
{
    return slot ? slot->chain : (struct sherd_store_chain){0};
}

static int memory_load(struct sherd_store *s, const struct sherd_store_key *key, bool with_shards,
                       struct sherd_record *out)
{
    const struct sherd_store_slot *slot =
        sherd_store_table_find(table_of(s, key->partition), key->hash, key->key);

    (void)with_shards;
    fill_record(chain_of(slot), out);
    return 0;
}

static const struct sherd_entry *new_entry(const struct sherd_record *r)
{
    for (uint8_t i = 0; i < r->count; i++)
        if (!r->entries[i].handle) return &r->entries[i];
    return NULL;
}

static int allocate(const struct sherd_store_key *key, struct sherd_store_chain chain,
                    const struct sherd_record *record, const struct sherd_change *change,
                    bool framed, struct pieces *out)
{
    struct sherd_store_cells cells;
    bool with_bounds = sherd_record_has_bounds(record);

    sherd_store_chain_cells(chain, &cells);
    if (change->put) {
        const struct sherd_entry *e = new_entry(record);
        SHERD_ASSERT(e);
        out->entry = sherd_store_cell_of_entry(key->key, e, framed);
        if (!out->entry) return -ENOMEM;
    }
    if (with_bounds && !bounds_of(&cells)) {
        out->bounds = sherd_store_cell_of_bounds(key->key);
        if (!out->bounds) return -ENOMEM;
    }
    return sherd_store_chain_reserve(chain, (uint8_t)(record->count + with_bounds), &out->block);
}

static void free_pieces(struct pieces *p)
{
    if (p->entry) sherd_store_cell_free(p->entry);
    if (p->bounds) sherd_store_cell_free(p->bounds);
    free(p->block);
}

static void mark_cell(struct memory *m, struct sherd_store_cell *c, bool committed, bool shown)
{
    if (shown) c->flags |= SHERD_CELL_SHOWN;
    if (!committed) return;
    count_cell(m, c, -1);
    c->flags |= SHERD_CELL_COMMITTED;
    count_cell(m, c, 1);
}

/* Drops and marks a key's entries as `change` says. */
static void change_entries(struct memory *m, const struct sherd_store_cells *cells,
                           const struct sherd_change *change)
{
    uint8_t count = count_entries(cells); /* asks the last cell, which may go */

    for (uint8_t i = 0; i < count; i++) {
        if (change->dropped >> i & 1)
            drop_cell(m, cells->at[i]);
        else
            mark_cell(m, cells->at[i], change->committed >> i & 1, change->shown >> i & 1);
    }
}

/* The cells that `record` describes; `added` is its entry without a handle. */
static void list_cells(const struct sherd_record *record, struct sherd_store_cell *added,
                       struct sherd_store_cell *bounds, struct sherd_store_cells *out)
{
    out->count = record->count;
    for (uint8_t i = 0; i < record->count; i++) {
        struct sherd_store_cell *c = record->entries[i].handle;
        out->at[i] = c ? c : added;
        SHERD_ASSERT(out->at[i]);
    }
    if (bounds) out->at[out->count++] = bounds;
}

/* Everything is allocated: from here on nothing fails. */
static struct sherd_store_chain apply_to_chain(struct memory *m, struct sherd_store_chain chain,
                                               const struct sherd_record *record,
                                               const struct sherd_change *change,
                                               const struct pieces *new)
{
    struct sherd_store_cells before, after;
    struct sherd_store_cell *bounds;

    sherd_store_chain_cells(chain, &before);
    bounds = bounds_of(&before);
    change_entries(m, &before, change);
    if (new->entry) count_cell(m, new->entry, 1);
    if (new->bounds) count_cell(m, new->bounds, 1);
    if (bounds && !sherd_record_has_bounds(record)) {
        drop_cell(m, bounds);
        bounds = NULL;
    }
    if (new->bounds) bounds = new->bounds;
    if (bounds) sherd_store_cell_set_bounds(bounds, record->promised, record->refused);
    list_cells(record, new->entry, bounds, &after);
    m->stats.bytes -= sherd_store_chain_bytes(chain);
    chain = sherd_store_chain_replace(chain, &after, new->block);
    m->stats.bytes += sherd_store_chain_bytes(chain);
    return chain;
}

static int memory_apply(struct sherd_store *s, const struct sherd_store_key *key,
                        const struct sherd_record *record, const struct sherd_change *change,
                        zmq_msg_t *frame)
{
    struct memory *m = memory_of(s);
    struct sherd_store_table *t = table_of(s, key->partition);
    struct sherd_store_slot *slot = sherd_store_table_find(t, key->hash, key->key);
    struct sherd_store_chain chain = chain_of(slot);
    bool empty = change->forget || (record->count == 0 && !sherd_record_has_bounds(record));
    struct pieces new = {NULL, NULL, NULL};
    int rc = 0;

    if (empty) {
        if (slot) remove_key(m, t, slot);
        return 0;
    }
    rc = allocate(key, chain, record, change, frame != NULL, &new);
    if (rc == 0 && !slot) rc = reserve_slot(m, t);
    if (rc < 0) {
        free_pieces(&new);
        return rc;
    }
    if (new.entry && sherd_store_cell_frame(new.entry)) sherd_store_cell_take(new.entry, frame);
    chain = apply_to_chain(m, chain, record, change, &new);
    if (slot) {
        slot->chain = chain;
    } else {
        sherd_store_table_insert(t, key->hash, chain);
        m->stats.keys++;
    }
    return 0;
}

static zmq_msg_t *memory_frame(struct sherd_store *s, void *handle)
{
    (void)s;
    return sherd_store_cell_frame(handle);
}

/* Counts what an entry may take at most: its cell, a cell of bounds, its frame, a block, a larger
 * table. */
static bool memory_has_room(const struct sherd_store *s, size_t key_size, size_t shard_size,
                            bool use_reserve)
{
    const struct memory *m = (const struct memory *)s;
    uint64_t limit = m->stats.bytes_max;
    uint64_t reserve = limit / RESERVE_PART;
    uint64_t need = 2 * (SHERD_CELL_HEADER_BYTES_MAX + key_size + ROUNDING_BYTES_MAX) + shard_size +
                    SHERD_CELL_ZMQ_BYTES + SHERD_CHAIN_BYTES_MAX + m->table_bytes_max;

    /* A delete replaces what it deletes: a full store can always be emptied. */
    if (use_reserve && shard_size == 0) {
        need -= m->table_bytes_max;
        limit += limit / RESERVE_PART;
    }
    if (!use_reserve) limit -= reserve < RESERVE_BYTES_MAX ? reserve : RESERVE_BYTES_MAX;
    return m->stats.bytes + need <= limit;
}

static int memory_next(struct sherd_store *s, uint16_t partition,
                       const struct sherd_store_key *cursor, bool with_shards,
                       struct sherd_store_key *key, struct sherd_record *out)
{
    struct sherd_store_table *t = table_of(s, partition);
    const struct sherd_store_slot *slot = sherd_store_table_after(t, cursor->hash, cursor->key);

    (void)with_shards;
    if (!slot) return 0;
    key->partition = partition;
    key->hash = sherd_store_slot_hash(slot);
    key->key = sherd_store_cell_key(sherd_store_chain_first(slot->chain));
    fill_record(slot->chain, out);
    return 1;
}

static int memory_strip(struct sherd_store *s, const struct sherd_store_key *key, void *handle)
{
    struct memory *m = memory_of(s);
    struct sherd_store_slot *slot =
        sherd_store_table_find(table_of(s, key->partition), key->hash, key->key);
    struct sherd_store_cell *cell = handle;

    SHERD_ASSERT(slot);
    count_cell(m, cell, -1);
    cell = sherd_store_cell_strip(cell);
    slot->chain = sherd_store_chain_exchange(slot->chain, handle, cell);
    count_cell(m, cell, 1);
    return 0;
}

static void memory_drop_partition(struct sherd_store *s, uint16_t partition)
{
    struct memory *m = memory_of(s);
    struct sherd_store_table *t = table_of(s, partition);
    struct sherd_store_slot *slot = sherd_store_table_walk(t, t->slots);

    for (; slot; slot = sherd_store_table_walk(t, slot + 1))
        drop_chain(m, slot->chain);
    m->stats.keys -= t->count;
    m->stats.bytes -= sherd_store_table_bytes(t);
    sherd_store_table_fini(t);
}

static int memory_save(struct sherd_store *s, enum sherd_store_note note, struct sherd_bytes bytes)
{
    (void)s;
    (void)note;
    (void)bytes;
    return 0;
}

static struct sherd_bytes memory_fetch(struct sherd_store *s, enum sherd_store_note note)
{
    (void)s;
    (void)note;
    return (struct sherd_bytes){NULL, 0};
}

static int memory_sync(struct sherd_store *s)
{
    (void)s;
    return 0;
}

static int memory_fault(const struct sherd_store *s)
{
    (void)s;
    return 0;
}

static void memory_stats(const struct sherd_store *s, struct sherd_store_stats *out)
{
    *out = ((const struct memory *)s)->stats;
}

static void memory_close(struct sherd_store *s)
{
    if (!s) return;
    for (unsigned p = 0; p < SHERD_PARTITIONS; p++)
        memory_drop_partition(s, (uint16_t)p);
    free(memory_of(s));
}

static const struct sherd_store_ops memory_ops = {
    .load = memory_load,
    .apply = memory_apply,
    .frame = memory_frame,
    .has_room = memory_has_room,
    .next = memory_next,
    .strip = memory_strip,
    .drop_partition = memory_drop_partition,
    .save = memory_save,
    .fetch = memory_fetch,
    .sync = memory_sync,
    .fault = memory_fault,
    .stats = memory_stats,
    .close = memory_close,
};

int sherd_store_memory_open(uint64_t bytes_max, struct sherd_store **out)
{
    struct memory *m = calloc(1, sizeof(*m));

    if (!m) return -ENOMEM;
    m->store.ops = &memory_ops;
    m->stats.bytes_max = bytes_max;
    m->stats.bytes = malloc_usable_size(m) + SHERD_CELL_MALLOC_BYTES;
    *out = &m->store;
    return 0;
}
