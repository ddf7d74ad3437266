/* life_store.c - what a store allocates long after a key was written: a minute after it expired. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/store.h"
#include "tests/allocations/life.h"

enum { STORE_KEYS = 40 };

static void key_of(unsigned i, char name[8], struct sherd_store_key *out)
{
    int size = snprintf(name, 8, "key-%u", i % 1000);

    *out = (struct sherd_store_key){
        1, (uint64_t)i << 40, {name, (size_t)size}
    };
}

static int put(struct sherd_store *s, unsigned i)
{
    static const uint8_t shard[200];
    struct sherd_change change = {.put = true, .put_committed = true};
    struct sherd_record record = {.count = 1};
    struct sherd_store_key key;
    char name[8];

    key_of(i, name, &key);
    record.entries[0] = (struct sherd_entry){
        .ballot = {i + 1, 1, 1},
        .version = {i + 1,     1,  1},
        .committed = true,
        .has_shard = true,
        .shard = {shard,    sizeof(shard)   }
    };
    record.entries[0].meta.expires_ms = 1;
    return s->ops->apply(s, &key, &record, &change, NULL);
}

static void strip(struct life *l, struct sherd_store *s, unsigned i)
{
    struct sherd_record record;
    struct sherd_store_key key;
    char name[8];

    key_of(i, name, &key);
    s->ops->load(s, &key, true, &record);
    if (record.count != 1) {
        life_fail(l, "%s is gone from the store", name);
        return;
    }
    s->ops->strip(s, &key, record.entries[0].handle);
    s->ops->load(s, &key, true, &record);
    if (record.count != 1 || record.entries[0].has_shard || record.entries[0].ballot.clock != i + 1)
        life_fail(l, "%s is not what it was without its shard", name);
}

static void remove_one(struct sherd_store *s, unsigned i)
{
    struct sherd_change change = {.forget = true};
    struct sherd_record record;
    struct sherd_store_key key;
    char name[8];

    key_of(i, name, &key);
    s->ops->load(s, &key, true, &record);
    s->ops->apply(s, &key, &record, &change, NULL);
}

void life_store(struct life *l)
{
    struct sherd_store *s = NULL;
    struct sherd_store_stats stats;
    unsigned count = 0;
    int rc = sherd_store_memory_open(UINT64_MAX, &s);

    life_note(l, rc, SHERD_OK);
    if (rc < 0) return;
    for (unsigned i = 0; i < STORE_KEYS; i++) {
        rc = put(s, i);
        life_note(l, rc, SHERD_OK);
        if (rc < 0) continue;
        count++;
        if (i % 2 == 0) strip(l, s, i);
    }
    s->ops->stats(s, &stats);
    if (stats.keys != count) life_fail(l, "%u keys were put, there are more or fewer", count);
    for (unsigned i = 0; i < STORE_KEYS; i++)
        remove_one(s, i);
    s->ops->stats(s, &stats);
    if (stats.keys != 0 || stats.shard_bytes != 0) life_fail(l, "an empty store is not empty");
    s->ops->close(s);
}
