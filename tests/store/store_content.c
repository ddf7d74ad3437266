#include "tests/store/store_content.h"

#include <errno.h>
#include <sherd/ecc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coord/assert.h"
#include "tests/support/random.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { KEYS = 240, SHARD_MAX = 30000, NOTE_MAX = 6000 };

static const uint16_t partitions[] = {0, 1, 7, 255};
static const size_t shard_sizes[] = {0, 10, 200, 1024, 1025, 1500, 3000, 17000, SHARD_MAX};

/* A hash that grows with what is added. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
    uint64_t pair[] = {hash, value};

    return sherd_hash_key(pair, sizeof(pair));
}

static uint64_t mix_ballot(uint64_t hash, struct sherd_ballot b)
{
    return mix(mix(mix(hash, b.epoch), b.clock), b.client);
}

static uint64_t hash_bytes(struct sherd_bytes b)
{
    return mix(1, b.size != 0 ? sherd_hash_key(b.data, b.size) : 0) | 1;
}

/* Reading */

static void read_record(struct sherd_store *s, const struct sherd_store_key *key,
                        const struct sherd_record *r, struct content_record *out)
{
    uint64_t head = mix_ballot(mix_ballot(r->count, r->promised), r->refused);

    *out = (struct content_record){.partition = key->partition,
                                   .key = mix(hash_bytes(key->key), key->partition)};
    out->damaged = s->damaged;
    for (uint8_t i = 0; i < r->count; i++) {
        const struct sherd_entry *e = &r->entries[i];
        head = mix_ballot(mix_ballot(head, e->ballot), e->version);
        head = mix(mix(head, e->meta.checksum), e->meta.expires_ms);
        head = mix(mix(mix(head, e->meta.size), e->meta.flags), e->crc);
        head = mix(mix(head, e->committed), e->shown);
        if (e->has_shard) out->shards[i] = hash_bytes(e->shard);
    }
    out->head = head;
}

static int read_partition(struct sherd_store *s, uint16_t partition, struct content *out)
{
    struct sherd_store_key cursor = {.partition = partition}, key;
    struct sherd_record record;
    int rc;

    while ((rc = s->ops->next(s, partition, &cursor, true, &key, &record)) == 1) {
        out->records = realloc(out->records, (out->count + 1) * sizeof(out->records[0]));
        SHERD_ASSERT(out->records);
        read_record(s, &key, &record, &out->records[out->count++]);
        cursor = key;
    }
    return rc;
}

static bool is_forgotten(const uint8_t *forgotten, uint16_t partition)
{
    return forgotten[partition / 8] >> partition % 8 & 1;
}

int content_read(struct sherd_store *s, struct content *out)
{
    int rc = 0;

    *out = (struct content){0};
    memcpy(out->forgotten, s->forgotten, sizeof(out->forgotten));
    for (size_t i = 0; rc == 0 && i < LEN(partitions); i++) {
        rc = read_partition(s, partitions[i], out);
        if (is_forgotten(out->forgotten, partitions[i])) rc = rc == -EUCLEAN ? 0 : -EBADMSG;
    }
    for (unsigned i = 0; i < SHERD_NOTES; i++)
        out->notes[i] = hash_bytes(s->ops->fetch(s, (enum sherd_store_note)i));
    s->ops->stats(s, &out->stats);
    return rc;
}

void content_free(struct content *c)
{
    free(c->records);
    c->records = NULL;
}

static bool stats_equal(const struct sherd_store_stats *a, const struct sherd_store_stats *b)
{
    return a->bytes == b->bytes && a->keys == b->keys && a->shards == b->shards &&
           a->shard_bytes == b->shard_bytes && a->undecided == b->undecided &&
           a->tombstones == b->tombstones;
}

static bool record_equals(const struct content_record *a, const struct content_record *b,
                          bool lenient)
{
    if (a->key != b->key || a->head != b->head) return false;
    if (a->damaged && !lenient) return false;
    for (unsigned j = 0; j < SHERD_ENTRIES_MAX; j++)
        if (a->shards[j] != b->shards[j] && (!(a->damaged >> j & 1) || a->shards[j] != 0))
            return false;
    return true;
}

bool content_equals(const struct content *now, const struct content *then, bool lenient)
{
    static const uint8_t none[sizeof(now->forgotten)];
    bool is_whole = memcmp(now->forgotten, none, sizeof(none)) == 0;
    size_t at = 0;

    if (is_whole && !stats_equal(&now->stats, &then->stats)) return false;
    if (memcmp(now->notes, then->notes, sizeof(now->notes)) != 0) return false;
    for (size_t i = 0; i < then->count; i++) {
        if (is_forgotten(now->forgotten, then->records[i].partition)) continue;
        if (at == now->count || !record_equals(&now->records[at++], &then->records[i], lenient))
            return false;
    }
    return at == now->count;
}

/* Changing */

static struct sherd_store_key some_key(uint64_t *random, char text[64])
{
    static const uint64_t hashes[] = {7, UINT64_MAX};
    unsigned number = (unsigned)(random_next(random) % KEYS);
    int size = snprintf(text, 64, "%0*u", (int)(1 + number % 40), number);

    return (struct sherd_store_key){
        partitions[number % LEN(partitions)],
        number % 8 == 0 ? hashes[number / 8 % LEN(hashes)] : mix(number, 0),
        {text, (size_t)size}
    };
}

static struct sherd_bytes some_bytes(uint64_t *random, size_t size)
{
    static uint8_t noise[2 * SHARD_MAX];

    if (noise[0] == 0) {
        uint64_t seed = 1;
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (uint8_t)(random_next(&seed) | 1);
    }
    return (struct sherd_bytes){noise + random_next(random) % SHARD_MAX, size};
}

/* Puts an entry above all others; they may go. */
static int put(struct sherd_store *s, const struct sherd_store_key *key, struct sherd_record *r,
               uint64_t *random)
{
    struct sherd_change change = {.put = true};
    struct sherd_ballot last = r->count > 0 ? r->entries[r->count - 1].ballot : SHERD_BALLOT_ZERO;
    struct sherd_entry *e = NULL;

    if (r->count == SHERD_ENTRIES_MAX || random_next(random) % 3 != 0) {
        change.dropped = (uint16_t)((1u << r->count) - 1);
        r->count = 0;
    }
    e = &r->entries[r->count++];
    *e = (struct sherd_entry){
        .ballot = {last.clock + 1 + random_next(random) % 9,           random_next(random), 1},
        .meta = { random_next(random), random_next(random) % 4 ? 0 : random_next(random),
                   (uint32_t)random_next(random),          (uint8_t)(random_next(random) % 4)},
        .committed = random_next(random) % 2,
        .has_shard = random_next(random) % 4 != 0,
    };
    e->version = random_next(random) % 2 ? e->ballot : last;
    if (e->has_shard)
        e->shard = some_bytes(random, shard_sizes[random_next(random) % LEN(shard_sizes)]);
    e->crc = sherd_crc32c(e->shard.data, e->shard.size);
    return s->ops->apply(s, key, r, &change, NULL);
}

static int mark(struct sherd_store *s, const struct sherd_store_key *key, struct sherd_record *r,
                uint64_t *random)
{
    struct sherd_change change = {.bounds = true};

    if (r->count > 0) change.committed = (uint16_t)(1u << random_next(random) % r->count);
    r->promised = (struct sherd_ballot){random_next(random) % 4, 0, 0};
    return s->ops->apply(s, key, r, &change, NULL);
}

int content_change(struct sherd_store *s, uint64_t *random)
{
    char text[64];
    struct sherd_store_key key = some_key(random, text);
    struct sherd_change forget = {.forget = true};
    struct sherd_record record;
    uint64_t what = random_next(random) % 1000;
    int rc = s->ops->load(s, &key, false, &record);

    if (rc < 0) return rc;
    if (what == 0) {
        s->ops->drop_partition(s, key.partition);
    } else if (what < 20) {
        struct sherd_bytes bytes = some_bytes(random, random_next(random) % NOTE_MAX);
        return s->ops->save(s, what % 2 ? SHERD_NOTE_MAP : SHERD_NOTE_NODE, bytes);
    } else if (what < 120) {
        record.count = 0;
        return s->ops->apply(s, &key, &record, &forget, NULL);
    } else if (what < 220) {
        return mark(s, &key, &record, random);
    } else if (what < 300 && record.count > 0) {
        return s->ops->strip(s, &key, record.entries[what % record.count].handle);
    } else {
        return put(s, &key, &record, random);
    }
    return s->ops->fault(s);
}
