#include "server/sealed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coord/map_codec.h"
#include "coord/partition.h"

enum { OWN_TIMEOUT_MS = 2000, RETRY_MS = 20, FULL_RETRY_MS = 200 };

void sherd_sealed_init(struct sherd_sealed *s, uint16_t self, uint64_t incarnation)
{
    *s = (struct sherd_sealed){
        .report = {.node = self, .incarnation = incarnation}
    };
    s->urgent = true;
}

static void drop_next(struct sherd_sealed *s)
{
    free(s->next);
    free(s->next_bytes);
    s->next = NULL;
    s->next_bytes = NULL;
    s->next_size = 0;
}

void sherd_sealed_fini(struct sherd_sealed *s)
{
    drop_next(s);
    free(s->map);
    s->map = NULL;
}

uint64_t sherd_sealed_newest(const struct sherd_sealed *s)
{
    if (s->next) return s->next->version;
    return s->map ? s->map->version : 0;
}

int sherd_sealed_offer(struct sherd_sealed *s, struct sherd_bytes encoded)
{
    uint16_t partitions = encoded.size ? sherd_map_peek_partitions(encoded) : 0;
    struct sherd_map *map = NULL;
    uint8_t *bytes = NULL;
    int rc = 0;

    if (partitions == 0) return -EBADMSG;
    map = malloc(sherd_map_size(partitions));
    bytes = malloc(encoded.size);
    if (!map || !bytes) rc = -ENOMEM;
    if (rc == 0) rc = sherd_map_decode(encoded, map);
    if (rc == 0 && s->report.cluster != 0 && map->cluster != s->report.cluster) rc = -EPROTO;
    if (rc == 0 && map->version > sherd_sealed_newest(s)) {
        memcpy(bytes, encoded.data, encoded.size);
        drop_next(s);
        s->next = map;
        s->next_bytes = bytes;
        s->next_size = encoded.size;
        return 0;
    }
    if (rc == 0) sherd_sealed_offer_live(s, map->live);
    free(bytes);
    free(map);
    return rc;
}

void sherd_sealed_offer_live(struct sherd_sealed *s, uint64_t version)
{
    if (version > s->live_offered) s->live_offered = version;
}

/* SEAL */

static void on_sealed(void *context, const struct sherd_answer *answer)
{
    struct sherd_sealed *s = context;

    s->seal_asked = false;
    if (!answer) return; /* asked again */
    if (answer->kind == SHERD_SEALED)
        s->told_version = answer->map_version;
    else if (answer->reason == SHERD_REASON_FULL)
        s->seal_retry_ms = s->now_ms + FULL_RETRY_MS; /* when there may be memory, or space */
    else
        drop_next(s); /* refused for good; counted by the service */
}

static void ask_to_seal(struct sherd_sealed *s, const struct sherd_turn *t)
{
    struct sherd_request r = {.kind = SHERD_SEAL, .shard_frame = -1};

    r.body = (struct sherd_bytes){s->next_bytes, s->next_size};
    if (sherd_engine_call(t->engine, t->self, &r, OWN_TIMEOUT_MS, on_sealed, s) == 0)
        s->seal_asked = true;
    else
        s->seal_retry_ms = t->now_ms + RETRY_MS;
}

static uint32_t own_incarnation(const struct sherd_map *map, uint16_t self, uint16_t index)
{
    int slot = sherd_partition_slot_of(&map->partitions[index], self);

    return slot < 0 ? 0 : map->partitions[index].incarnation[slot];
}

/* Whether what was finished in a partition of `old` is still worth something in `map`. */
static bool is_same_work(const struct sherd_map *old, const struct sherd_map *map, uint16_t self,
                         uint16_t index)
{
    return old && index < old->partition_count &&
           old->partitions[index].epoch == map->partitions[index].epoch &&
           own_incarnation(old, self, index) == own_incarnation(map, self, index);
}

static void clear_bits(struct sherd_sealed *s, const struct sherd_map *map)
{
    for (unsigned i = 0; i < SHERD_PARTITIONS; i++) {
        uint8_t mask = (uint8_t) ~(1u << i % 8);

        if (i < map->partition_count && is_same_work(s->map, map, s->report.node, (uint16_t)i))
            continue;
        s->report.rebuilt[i / 8] &= mask;
        s->report.scanned[i / 8] &= mask;
    }
}

/* The service holds the map that was offered: from now on it is ours. */
static void take_next(struct sherd_sealed *s, const struct sherd_turn *t)
{
    sherd_engine_take_map(t->engine, (struct sherd_bytes){s->next_bytes, s->next_size});
    clear_bits(s, s->next);
    free(s->map);
    s->map = s->next;
    s->next = NULL;
    drop_next(s);
    s->report.cluster = s->map->cluster;
    s->report.map_version = s->map->version;
    s->urgent = true;
    sherd_sealed_offer_live(s, s->map->live);
    if (s->map->live > s->report.live) s->report.live = s->map->live;
}

/* LIVE */

static void on_live(void *context, const struct sherd_answer *answer)
{
    struct sherd_sealed *s = context;

    s->live_asked = false;
    if (!answer || answer->kind != SHERD_SEALED) s->live_told = 0; /* asked again */
}

static uint64_t live_to_tell(const struct sherd_sealed *s)
{
    uint64_t live = s->live_offered;

    if (!s->map) return 0;
    return live <= s->map->version ? live : 0; /* of a map that is still to come */
}

static void tell_live(struct sherd_sealed *s, const struct sherd_turn *t, uint64_t live)
{
    struct sherd_request r = {.kind = SHERD_LIVE, .since = live, .shard_frame = -1};

    if (sherd_engine_call(t->engine, t->self, &r, OWN_TIMEOUT_MS, on_live, s) == 0) {
        s->live_asked = true;
        s->live_told = live;
    } else {
        s->live_retry_ms = t->now_ms + RETRY_MS;
    }
}

bool sherd_sealed_turn(struct sherd_sealed *s, const struct sherd_turn *t)
{
    bool changed = false;

    s->now_ms = t->now_ms;
    if (s->next && s->told_version >= s->next->version) {
        take_next(s, t);
        changed = true;
    }
    if (!s->live_asked && s->live_told > s->report.live) { /* told, and answered */
        s->report.live = s->live_told;
        s->urgent = changed = true;
    }
    if (s->next && !s->seal_asked && t->now_ms >= s->seal_retry_ms) ask_to_seal(s, t);
    if (!s->live_asked && t->now_ms >= s->live_retry_ms && live_to_tell(s) > s->report.live)
        tell_live(s, t, live_to_tell(s));
    return changed;
}

void sherd_sealed_note_forgotten(struct sherd_sealed *s, const struct sherd_progress *progress)
{
    uint8_t forgotten[SHERD_PARTITIONS / 8] = {0};

    for (uint16_t i = 0; s->map && i < s->map->partition_count; i++)
        if (sherd_partitions_is_forgotten(&s->map->partitions[i], s->report.node,
                                          atomic_load(&progress->forgotten_slots[i])))
            forgotten[i / 8] |= (uint8_t)(1u << i % 8);
    if (memcmp(forgotten, s->report.forgotten, sizeof(forgotten)) == 0) return;
    memcpy(s->report.forgotten, forgotten, sizeof(forgotten));
    s->urgent = true;
}

/* Questions about the sealed map */

int sherd_sealed_own_slot(const struct sherd_sealed *s, uint16_t index)
{
    const struct sherd_map *map = s->map;
    uint16_t self = s->report.node;

    if (!map || index >= map->partition_count || self >= map->node_count) return -1;
    if (sherd_bit(s->report.forgotten, index)) return -1;

    const struct sherd_partition *p = &map->partitions[index];
    int slot = sherd_partition_slot_of(p, self);

    if (slot < 0 || !sherd_map_is_same_life(map, self, p->incarnation[slot], s->report.incarnation))
        return -1;
    return slot;
}

bool sherd_sealed_is_open(const struct sherd_sealed *s, uint16_t index)
{
    return s->map && index < s->map->partition_count && !s->map->partitions[index].lost &&
           s->map->partitions[index].epoch <= s->report.live;
}

static void set_bit(struct sherd_sealed *s, uint8_t *bits, uint16_t index, uint32_t epoch)
{
    if (!s->map || index >= s->map->partition_count || s->map->partitions[index].epoch != epoch)
        return;
    bits[index / 8] |= (uint8_t)(1u << index % 8);
    s->urgent = true;
}

void sherd_sealed_set_rebuilt(struct sherd_sealed *s, uint16_t index, uint32_t epoch)
{
    set_bit(s, s->report.rebuilt, index, epoch);
}

void sherd_sealed_set_scanned(struct sherd_sealed *s, uint16_t index, uint32_t epoch)
{
    set_bit(s, s->report.scanned, index, epoch);
}
