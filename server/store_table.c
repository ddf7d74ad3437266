#include "server/store_table.h"

#include <errno.h>
#include <malloc.h>
#include <sherd/ecc.h>
#include <stdlib.h>
#include <string.h>

#include "coord/assert.h"
#include "server/store.h"

enum {
    CAPACITY_MIN = 8,
    SLACK_MIN = 4,
    PARTS = 16, /* one of them stays free */
    GROW_MIN = 8,
    GROW_PART = 8, /* grows by an eighth */
    SPARSE = 4,    /* shrink below a quarter */
};

#define CAPACITY_MAX (UINT32_C(1) << 30)

/* From the high bits: the low ones are the partition's, the same for all keys here. */
static uint32_t home_of(uint32_t hash_upper, uint32_t capacity)
{
    return (uint32_t)(((uint64_t)hash_upper * capacity) >> 32);
}

static uint32_t upper_half(uint64_t hash) { return (uint32_t)(hash >> 32); }

static struct sherd_bytes key_of(const struct sherd_store_slot *slot)
{
    return sherd_store_cell_key(sherd_store_chain_first(slot->chain));
}

static int compare(const struct sherd_store_slot *slot, uint64_t hash, struct sherd_bytes key)
{
    uint32_t upper = upper_half(hash);
    int order;

    if (slot->hash_upper != upper) return slot->hash_upper < upper ? -1 : 1;
    order = sherd_store_compare_keys(key_of(slot), key);
    if (order == 0) return 0;
    uint64_t other = sherd_store_slot_hash(slot);
    if (other != hash) return other < hash ? -1 : 1;
    return order;
}

/* The first slot, from the home on, that is empty or not before the key; t->length: none. */
static uint32_t lower_bound(const struct sherd_store_table *t, uint64_t hash,
                            struct sherd_bytes key)
{
    uint32_t upper = upper_half(hash);
    uint32_t i = home_of(upper, t->capacity);

    while (i < t->length && t->slots[i].chain.at && t->slots[i].hash_upper < upper)
        i++;
    while (i < t->length && t->slots[i].chain.at && compare(&t->slots[i], hash, key) < 0)
        i++;
    return i;
}

uint64_t sherd_store_slot_hash(const struct sherd_store_slot *slot)
{
    struct sherd_bytes key = key_of(slot);

    return sherd_hash_key(key.data, key.size);
}

struct sherd_store_slot *sherd_store_table_find(const struct sherd_store_table *t, uint64_t hash,
                                                struct sherd_bytes key)
{
    uint32_t i = lower_bound(t, hash, key);

    if (i == t->length || !t->slots[i].chain.at) return NULL;
    return compare(&t->slots[i], hash, key) == 0 ? &t->slots[i] : NULL;
}

struct sherd_store_slot *sherd_store_table_walk(const struct sherd_store_table *t,
                                                struct sherd_store_slot *slot)
{
    for (; t->count > 0 && slot < t->slots + t->length; slot++)
        if (slot->chain.at) return slot;
    return NULL;
}

struct sherd_store_slot *sherd_store_table_after(const struct sherd_store_table *t, uint64_t hash,
                                                 struct sherd_bytes key)
{
    struct sherd_store_slot *slot = NULL;

    if (t->count == 0) return NULL;
    slot = sherd_store_table_walk(t, t->slots + lower_bound(t, hash, key));
    if (slot && compare(slot, hash, key) == 0) slot = sherd_store_table_walk(t, slot + 1);
    return slot;
}

/* Lays the slots out for another capacity, into `to` unless it is NULL. How many slots it takes. */
static uint32_t lay_out(const struct sherd_store_table *t, uint32_t capacity,
                        struct sherd_store_slot *to)
{
    uint32_t end = 0;

    for (uint32_t i = 0; i < t->length; i++) {
        if (!t->slots[i].chain.at) continue;
        uint32_t home = home_of(t->slots[i].hash_upper, capacity);
        if (home > end) end = home;
        if (to) to[end] = t->slots[i];
        end++;
    }
    return end;
}

static int resize(struct sherd_store_table *t, uint32_t capacity)
{
    uint32_t end = lay_out(t, capacity, NULL);
    uint32_t beyond = end > capacity ? end - capacity : 0;
    uint32_t length = capacity + beyond + beyond / 4 + SLACK_MIN;
    struct sherd_store_slot *slots = calloc(length, sizeof(*slots));

    if (!slots) return -ENOMEM;
    lay_out(t, capacity, slots);
    free(t->slots);
    t->slots = slots;
    t->capacity = capacity;
    t->length = length;
    return 0;
}

int sherd_store_table_reserve(struct sherd_store_table *t)
{
    if (t->capacity == 0) return resize(t, CAPACITY_MIN);
    if (((uint64_t)t->count + 1) * PARTS > (uint64_t)t->capacity * (PARTS - 1)) {
        uint32_t more = t->capacity / GROW_PART;
        if (t->capacity > CAPACITY_MAX) return -ENOMEM;
        return resize(t, t->capacity + (more < GROW_MIN ? GROW_MIN : more));
    }
    if (t->slots[t->length - 1].chain.at) return resize(t, t->capacity); /* the slack is used up */
    return 0;
}

void sherd_store_table_insert(struct sherd_store_table *t, uint64_t hash,
                              struct sherd_store_chain chain)
{
    uint32_t at = lower_bound(t, hash, sherd_store_cell_key(sherd_store_chain_first(chain)));
    uint32_t end = at;

    while (end < t->length && t->slots[end].chain.at)
        end++;
    SHERD_ASSERT(end < t->length);
    memmove(&t->slots[at + 1], &t->slots[at], (end - at) * sizeof(t->slots[0]));
    t->slots[at] = (struct sherd_store_slot){upper_half(hash), chain};
    t->count++;
}

void sherd_store_table_remove(struct sherd_store_table *t, struct sherd_store_slot *slot)
{
    uint32_t at = (uint32_t)(slot - t->slots);
    uint32_t end = at + 1;

    while (end < t->length && t->slots[end].chain.at &&
           home_of(t->slots[end].hash_upper, t->capacity) < end)
        end++;
    memmove(&t->slots[at], &t->slots[at + 1], (end - at - 1) * sizeof(t->slots[0]));
    t->slots[end - 1] = (struct sherd_store_slot){0};
    t->count--;
    if (t->count == 0)
        sherd_store_table_fini(t);
    else if (t->capacity > CAPACITY_MIN && t->count < t->capacity / SPARSE)
        (void)resize(t, t->count + t->count / 2 + CAPACITY_MIN); /* no memory: stays sparse */
}

void sherd_store_table_fini(struct sherd_store_table *t)
{
    free(t->slots);
    *t = (struct sherd_store_table){0};
}

uint64_t sherd_store_table_bytes(const struct sherd_store_table *t)
{
    return t->slots ? malloc_usable_size(t->slots) + SHERD_CELL_MALLOC_BYTES : 0;
}
