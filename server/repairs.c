#include "server/repairs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sherd/ecc.h>

enum {
    KEYS_MAX = 4096,
    RUNNING_MAX = 32,
    AGAIN_MS = 250, /* doubled with each try, up to */
    AGAIN_MS_MAX = 4000,
};

struct repair {
    struct sherd_repairs *queue;
    uint64_t hash, due_ms;
    uint32_t again_ms;
    bool used, running;
    bool again; /* asked for once more while it runs: it may have passed by what is missing now */
    uint16_t key_size;
    uint8_t *key;
};

struct sherd_repairs {
    struct sherd_progress *progress;
    uint64_t now_ms;
    uint32_t count, running;
    struct repair keys[KEYS_MAX];
};

int sherd_repairs_new(struct sherd_repairs **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? 0 : -ENOMEM;
}

void sherd_repairs_free(struct sherd_repairs *q)
{
    if (!q) return;
    for (unsigned i = 0; i < KEYS_MAX; i++)
        free(q->keys[i].key);
    free(q);
}

bool sherd_repairs_has_room(const struct sherd_repairs *q) { return q->count < KEYS_MAX; }

uint32_t sherd_repairs_count(const struct sherd_repairs *q) { return q->count; }

static struct repair *find(struct sherd_repairs *q, struct sherd_bytes key, uint64_t hash)
{
    for (unsigned i = 0; i < KEYS_MAX; i++) {
        struct repair *r = &q->keys[i];
        if (r->used && r->hash == hash && r->key_size == key.size &&
            memcmp(r->key, key.data, key.size) == 0)
            return r;
    }
    return NULL;
}

static struct repair *take_free(struct sherd_repairs *q)
{
    for (unsigned i = 0; q->count < KEYS_MAX && i < KEYS_MAX; i++)
        if (!q->keys[i].used) return &q->keys[i];
    return NULL;
}

static void mark_partition(const struct sherd_turn *t, uint64_t hash)
{
    const struct sherd_map *map = sherd_engine_map(t->engine);

    if (!map) return;
    uint16_t index = sherd_map_partition_of(map, hash);
    atomic_fetch_or(&t->progress->rescan_asked[index / 64], UINT64_C(1) << (index % 64));
}

void sherd_repairs_add(struct sherd_repairs *q, struct sherd_bytes key, const struct sherd_turn *t)
{
    uint64_t hash = sherd_hash_key(key.data, key.size);

    if (key.size == 0) return;
    struct repair *r = find(q, key, hash);
    if (r) {
        r->again = r->running;
        return;
    }
    r = take_free(q);
    uint8_t *copy = r ? malloc(key.size) : NULL;
    if (!copy) {
        mark_partition(t, hash);
        return;
    }
    memcpy(copy, key.data, key.size);
    *r = (struct repair){.queue = q,
                         .hash = hash,
                         .due_ms = t->now_ms,
                         .again_ms = AGAIN_MS,
                         .used = true,
                         .key_size = (uint16_t)key.size,
                         .key = copy};
    q->count++;
}

static void remove_key(struct sherd_repairs *q, struct repair *r)
{
    free(r->key);
    *r = (struct repair){0};
    q->count--;
}

static void put_off(struct repair *r, uint64_t now_ms)
{
    r->due_ms = now_ms + r->again_ms;
    r->again_ms = r->again_ms * 2 < AGAIN_MS_MAX ? r->again_ms * 2 : AGAIN_MS_MAX;
}

static void on_repaired(void *context, struct sherd_bytes key, enum sherd_outcome outcome)
{
    struct repair *r = context;
    struct sherd_repairs *q = r->queue;

    (void)key;
    r->running = false;
    q->running--;
    if (outcome != SHERD_OK && outcome != SHERD_NOT_FOUND) {
        put_off(r, q->now_ms);
        return;
    }
    atomic_fetch_add(&q->progress->repaired, 1);
    if (!r->again) {
        remove_key(q, r);
        return;
    }
    r->due_ms = q->now_ms;
    r->again_ms = AGAIN_MS;
}

static bool all_answer(const struct sherd_sealed *sealed, const struct sherd_turn *t, uint64_t hash)
{
    const struct sherd_map *map = sealed->map;

    if (!map) return false;
    uint16_t index = sherd_map_partition_of(map, hash);
    return sherd_sealed_is_open(sealed, index) &&
           sherd_turn_hears(t, &map->partitions[index],
                            sherd_partition_holders(&map->partitions[index]));
}

static void try_key(struct sherd_repairs *q, struct repair *r, const struct sherd_sealed *sealed,
                    const struct sherd_turn *t)
{
    struct sherd_bytes key = {r->key, r->key_size};

    if (all_answer(sealed, t, r->hash) &&
        sherd_jobs_start(t->jobs, SHERD_OP_REPAIR, key, on_repaired, r) == 0) {
        r->running = true;
        r->again = false;
        q->running++;
    } else {
        put_off(r, t->now_ms);
    }
}

void sherd_repairs_turn(struct sherd_repairs *q, const struct sherd_sealed *sealed,
                        const struct sherd_turn *t)
{
    uint32_t left = q->count;

    q->progress = t->progress;
    q->now_ms = t->now_ms;
    for (unsigned i = 0; i < KEYS_MAX && left > 0 && q->running < RUNNING_MAX; i++) {
        struct repair *r = &q->keys[i];
        if (!r->used) continue;
        left--;
        if (!r->running && r->due_ms <= t->now_ms) try_key(q, r, sealed, t);
    }
}
