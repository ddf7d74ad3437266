#include "tests/store/store_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sherd/ecc.h>

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum {
    KEYS = 320,
    OPERATIONS = 100000,
    CHECK_STATS_EVERY = 64,
    CHECK_ORDER_EVERY = 4096,
    SYNC_EVERY = 20,
    SHARD_MAX = 20000,
};

/* The records that a store must hold. A handle is the model's own copy of the shard. */
struct model {
    struct sherd_store_key keys[KEYS];
    unsigned char bytes[KEYS][SHERD_KEY_BYTES_MAX];
    struct sherd_record records[KEYS];
};

static const uint16_t partitions[] = {0, 1, 255};
static const size_t shard_sizes[] = {0, 1, 100, 256, 5000, SHARD_MAX};
static unsigned char noise[2 * SHARD_MAX];
static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state >> 8;
}

/* A quarter of the first `count` bits. */
static uint16_t some_bits(uint8_t count)
{
    uint64_t bits = next_random();

    return (uint16_t)(bits & bits >> 16 & ((1u << count) - 1));
}

static bool one_in(unsigned n) { return next_random() % n == 0; }

static struct sherd_ballot some_ballot(void)
{
    return (struct sherd_ballot){
        .clock = next_random() % 50,
        .client = next_random() % 3,
        .epoch = one_in(4) ? 70000 : 1 + (uint32_t)(next_random() % 2),
    };
}

struct sherd_store_stats stats_of(const struct sherd_store *s)
{
    struct sherd_store_stats stats = {0};

    s->ops->stats(s, &stats);
    return stats;
}

void assert_ballot_equal(struct sherd_ballot a, struct sherd_ballot b)
{
    assert_int_equal(a.epoch, b.epoch);
    assert_int_equal(a.clock, b.clock);
    assert_int_equal(a.client, b.client);
}

static void assert_entry_equal(struct sherd_store *s, const struct sherd_entry *a,
                               const struct sherd_entry *b)
{
    zmq_msg_t *frame = s->ops->frame(s, a->handle);

    assert_non_null(a->handle);
    assert_ballot_equal(a->ballot, b->ballot);
    assert_ballot_equal(a->version, b->version);
    assert_int_equal(a->meta.checksum, b->meta.checksum);
    assert_int_equal(a->meta.expires_ms, b->meta.expires_ms);
    assert_int_equal(a->meta.size, b->meta.size);
    assert_int_equal(a->meta.flags, b->meta.flags);
    assert_int_equal(a->committed, b->committed);
    assert_int_equal(a->shown, b->shown);
    assert_int_equal(a->has_shard, b->has_shard);
    assert_int_equal(a->crc, b->crc);
    assert_int_equal(a->shard.size, b->shard.size);
    if (a->shard.size > 0) assert_memory_equal(a->shard.data, b->shard.data, a->shard.size);
    if (!frame) return;
    assert_true(a->has_shard);
    assert_int_equal(zmq_msg_size(frame), a->shard.size);
    assert_ptr_equal(zmq_msg_data(frame), a->shard.data);
}

static void assert_record_equal(struct sherd_store *s, const struct sherd_record *a,
                                const struct sherd_record *b)
{
    assert_ballot_equal(a->promised, b->promised);
    assert_ballot_equal(a->refused, b->refused);
    assert_int_equal(a->count, b->count);
    for (uint8_t i = 0; i < a->count; i++)
        assert_entry_equal(s, &a->entries[i], &b->entries[i]);
}

static bool holds(const struct sherd_record *r)
{
    return r->count > 0 || !sherd_ballot_is_zero(r->promised) || !sherd_ballot_is_zero(r->refused);
}

static void make_frame(zmq_msg_t *frame, struct sherd_bytes shard)
{
    assert_int_equal(zmq_msg_init_size(frame, shard.size), 0);
    if (shard.size > 0) memcpy(zmq_msg_data(frame), shard.data, shard.size);
}

void forget_key(struct sherd_store *s, const struct sherd_store_key *key)
{
    struct sherd_record record = {0};
    struct sherd_change change = {.forget = true};

    assert_int_equal(s->ops->apply(s, key, &record, &change, NULL), 0);
}

/* Keys that begin alike, and keys of one size. */
static void init_model(struct model *m)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        struct sherd_store_key *key = &m->keys[i];
        key->partition = partitions[next_random() % LEN(partitions)];
        key->key = (struct sherd_bytes){m->bytes[i], i < KEYS / 2 ? i + 1 : 16};
        memset(m->bytes[i], 'k', sizeof(m->bytes[i]));
        if (i >= KEYS / 2) memcpy(m->bytes[i] + 1, &i, sizeof(i));
    }
    m->keys[KEYS / 2 - 1].key.size = SHERD_KEY_BYTES_MAX;
    for (uint32_t i = 0; i < KEYS; i++)
        m->keys[i].hash = sherd_hash_key(m->keys[i].key.data, m->keys[i].key.size);
}

static void drop_model_entry(struct sherd_record *r, uint8_t i)
{
    free(r->entries[i].handle);
    r->count--;
    memmove(&r->entries[i], &r->entries[i + 1], (r->count - i) * sizeof(r->entries[0]));
}

static void clear_model_record(struct sherd_record *r)
{
    while (r->count > 0)
        drop_model_entry(r, 0);
    *r = (struct sherd_record){0};
}

static struct sherd_entry some_entry(void)
{
    size_t size = shard_sizes[next_random() % LEN(shard_sizes)];
    struct sherd_entry e = {
        .ballot = some_ballot(),
        .meta = {next_random(), one_in(4) ? next_random() : 0,
                 (uint32_t)next_random() >> (one_in(2) ? 16 : 0), (uint8_t)(next_random() % 8)},
        .committed = one_in(2),
        .shown = one_in(8),
        .has_shard = !one_in(4),
        .crc = (uint32_t)next_random(),
    };

    e.version = one_in(3) ? some_ballot() : e.ballot;
    if (!e.has_shard) return e;
    e.shard = (struct sherd_bytes){noise + next_random() % SHARD_MAX, size};
    e.crc = sherd_crc32c(e.shard.data, e.shard.size);
    return e;
}

/* Adds a random entry at its place; -1: no room, or the ballot is held. */
static int put_somewhere(struct sherd_record *r)
{
    struct sherd_entry e = some_entry();
    uint8_t at = r->count;

    if (r->count == SHERD_ENTRIES_MAX) return -1;
    while (at > 0 && sherd_ballot_compare(r->entries[at - 1].ballot, e.ballot) > 0)
        at--;
    if (at > 0 && sherd_ballot_equal(r->entries[at - 1].ballot, e.ballot)) return -1;
    memmove(&r->entries[at + 1], &r->entries[at], (r->count - at) * sizeof(e));
    r->entries[at] = e;
    r->count++;
    return at;
}

/* Drops and marks the same entries of a record as the store must. */
static void drop_and_mark(struct sherd_record *r, const struct sherd_change *change, bool own)
{
    for (uint8_t i = r->count; i-- > 0;) {
        if (change->committed >> i & 1) r->entries[i].committed = true;
        if (change->shown >> i & 1) r->entries[i].shown = true;
        if (!(change->dropped >> i & 1)) continue;
        if (own) {
            drop_model_entry(r, i);
            continue;
        }
        r->count--;
        memmove(&r->entries[i], &r->entries[i + 1], (r->count - i) * sizeof(r->entries[0]));
    }
}

static void keep_shard(struct sherd_entry *e)
{
    if (!e->has_shard) return;
    e->handle = malloc(e->shard.size + 1);
    assert_non_null(e->handle);
    e->shard.data = memcpy(e->handle, e->shard.data, e->shard.size);
}

/* One random change of what was loaded, applied to the store and to the model. */
static void change_somehow(struct sherd_store *s, const struct sherd_store_key *key,
                           struct sherd_record *loaded, struct sherd_record *model)
{
    struct sherd_change change = {
        .dropped = some_bits(loaded->count),
        .bounds = one_in(4),
    };
    zmq_msg_t frame;
    bool framed = one_in(2);
    int at = -1;

    change.committed = (uint16_t)(some_bits(loaded->count) & ~(unsigned)change.dropped);
    change.shown = (uint16_t)(some_bits(loaded->count) & ~(unsigned)change.dropped);
    drop_and_mark(loaded, &change, false);
    drop_and_mark(model, &change, true);
    if (change.bounds) {
        model->promised = loaded->promised = one_in(3) ? SHERD_BALLOT_ZERO : some_ballot();
        model->refused = loaded->refused = one_in(3) ? SHERD_BALLOT_ZERO : some_ballot();
    }
    if (!one_in(3)) at = put_somewhere(loaded);
    change.put = at >= 0;
    framed = framed && change.put && loaded->entries[at].has_shard;
    if (framed) make_frame(&frame, loaded->entries[at].shard);
    assert_int_equal(s->ops->apply(s, key, loaded, &change, framed ? &frame : NULL), 0);
    if (framed) {
        assert_int_equal(zmq_msg_size(&frame), 0); /* moved from */
        zmq_msg_close(&frame);
    }
    if (!change.put) return;
    memmove(&model->entries[at + 1], &model->entries[at],
            (size_t)(model->count - at) * sizeof(model->entries[0]));
    model->entries[at] = loaded->entries[at];
    model->count++;
    keep_shard(&model->entries[at]);
}

static void strip_somehow(struct sherd_store *s, const struct sherd_store_key *key,
                          const struct sherd_record *loaded, struct sherd_record *model)
{
    if (loaded->count == 0) return;
    uint8_t i = (uint8_t)(next_random() % loaded->count);
    assert_int_equal(s->ops->strip(s, key, loaded->entries[i].handle), 0);
    free(model->entries[i].handle);
    model->entries[i].handle = NULL;
    model->entries[i].shard = (struct sherd_bytes){NULL, 0};
    model->entries[i].has_shard = false;
}

static void drop_some_partition(struct sherd_store *s, struct model *m)
{
    uint16_t partition = partitions[next_random() % LEN(partitions)];

    s->ops->drop_partition(s, partition);
    for (size_t i = 0; i < KEYS; i++)
        if (m->keys[i].partition == partition) clear_model_record(&m->records[i]);
}

static void check_stats(const struct sherd_store *s, const struct model *m)
{
    struct sherd_store_stats stats = stats_of(s), want = {0};

    for (size_t i = 0; i < KEYS; i++) {
        const struct sherd_record *r = &m->records[i];
        want.keys += holds(r);
        for (uint8_t j = 0; j < r->count; j++) {
            const struct sherd_entry *e = &r->entries[j];
            want.shards += e->has_shard;
            want.shard_bytes += e->shard.size;
            want.undecided += !e->committed;
            want.tombstones += e->committed && (e->meta.flags & SHERD_META_TOMBSTONE);
        }
    }
    assert_int_equal(stats.keys, want.keys);
    assert_int_equal(stats.shards, want.shards);
    assert_int_equal(stats.shard_bytes, want.shard_bytes);
    assert_int_equal(stats.undecided, want.undecided);
    assert_int_equal(stats.tombstones, want.tombstones);
    assert_true(stats.bytes > stats.shard_bytes);
}

/* A key of the model, for sorting. */
struct place {
    const struct sherd_store_key *key;
    const struct sherd_record *record;
};

static int compare_places(const void *left, const void *right)
{
    const struct sherd_store_key *a = ((const struct place *)left)->key;
    const struct sherd_store_key *b = ((const struct place *)right)->key;
    size_t size = a->key.size < b->key.size ? a->key.size : b->key.size;

    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    int order = memcmp(a->key.data, b->key.data, size);
    if (order != 0) return order;
    return (a->key.size > b->key.size) - (a->key.size < b->key.size);
}

static void check_order(struct sherd_store *s, struct model *m, uint16_t partition)
{
    struct place sorted[KEYS];
    struct sherd_store_key cursor = {.partition = partition}, key = {0};
    struct sherd_record record = {0};
    size_t count = 0;

    for (size_t i = 0; i < KEYS; i++)
        if (m->keys[i].partition == partition && holds(&m->records[i]))
            sorted[count++] = (struct place){&m->keys[i], &m->records[i]};
    qsort(sorted, count, sizeof(sorted[0]), compare_places);
    for (size_t i = 0; i < count; i++, cursor = key) {
        assert_int_equal(s->ops->next(s, partition, &cursor, true, &key, &record), 1);
        assert_int_equal(key.partition, partition);
        assert_int_equal(key.hash, sorted[i].key->hash);
        assert_int_equal(key.key.size, sorted[i].key->key.size);
        assert_memory_equal(key.key.data, sorted[i].key->key.data, key.key.size);
        assert_record_equal(s, &record, sorted[i].record);
    }
    assert_int_equal(s->ops->next(s, partition, &cursor, true, &key, &record), 0);
}

void check_against_model(struct sherd_store *s)
{
    struct model *m = calloc(1, sizeof(*m));
    uint64_t bytes = stats_of(s).bytes;
    struct sherd_record loaded;

    random_state = 88172645463325252u;
    assert_non_null(m);
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (unsigned char)next_random();
    init_model(m);
    memset(&loaded, 0xa5, sizeof(loaded)); /* load may leave unused fields as they are */
    for (unsigned n = 1; n <= OPERATIONS; n++) {
        size_t i = next_random() % KEYS;
        if (one_in(SYNC_EVERY)) assert_int_equal(s->ops->sync(s), 0);
        assert_int_equal(s->ops->load(s, &m->keys[i], true, &loaded), 0);
        assert_int_equal(s->damaged, 0);
        assert_record_equal(s, &loaded, &m->records[i]);
        if (one_in(2000)) {
            drop_some_partition(s, m);
        } else if (one_in(10)) {
            forget_key(s, &m->keys[i]);
            clear_model_record(&m->records[i]);
        } else if (one_in(10)) {
            strip_somehow(s, &m->keys[i], &loaded, &m->records[i]);
        } else {
            change_somehow(s, &m->keys[i], &loaded, &m->records[i]);
        }
        if (n % CHECK_STATS_EVERY == 0) check_stats(s, m);
        for (size_t p = 0; n % CHECK_ORDER_EVERY == 0 && p < LEN(partitions); p++)
            check_order(s, m, partitions[p]);
    }
    for (size_t p = 0; p < LEN(partitions); p++)
        s->ops->drop_partition(s, partitions[p]);
    assert_int_equal(stats_of(s).bytes, bytes);
    for (size_t i = 0; i < KEYS; i++)
        clear_model_record(&m->records[i]);
    free(m);
}
