/* fuzz_map - a cluster map from anywhere: everything that map_codec.h promises of a decoded one
 * holds, it encodes to the same bytes, and the keeper goes on from it without falling over.
 *
 * An input: the encoded map. Its checksum is set right first, so that the checks behind it are met;
 * as it came it must be refused, unless it was right. */
#include <errno.h>

#include "coord/map_codec.h"
#include "coord/membership.h"
#include "tests/fuzz/fuzz.h"

enum { NODE_BYTES_MIN = 18, PARTITION_BYTES_MIN = 16, STEPS = 4, STEP_MS = 20000 };

static uint32_t slots_of(const struct sherd_map *map)
{
    return sherd_slots_below((uint8_t)(map->k + map->m));
}

static void check_text(const char *text, size_t size_max)
{
    size_t size = strnlen(text, size_max);

    SHERD_ASSERT(size < size_max);
    for (size_t i = 0; i < size; i++)
        SHERD_ASSERT((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
}

static void check_epoch(const struct sherd_map *map, const struct sherd_epoch *e)
{
    SHERD_ASSERT((e->voters & ~slots_of(map)) == 0);
    SHERD_ASSERT(sherd_slots_count(e->voters) >= map->k && e->epoch <= map->version);
    for (uint8_t slot = 0; slot < SHERD_SLOTS_MAX; slot++) {
        if (sherd_slots_has(e->voters, slot))
            SHERD_ASSERT(e->node[slot] < map->node_count);
        else
            SHERD_ASSERT(e->node[slot] == SHERD_NO_NODE && e->incarnation[slot] == 0);
    }
}

static void check_slots(const struct sherd_map *map, const struct sherd_partition *p)
{
    bool taken[SHERD_NODES_MAX] = {false};
    uint32_t holders = sherd_partition_holders(p);

    SHERD_ASSERT((p->voters & p->learners) == 0 && (holders & ~slots_of(map)) == 0);
    for (uint8_t slot = 0; slot < SHERD_SLOTS_MAX; slot++) {
        uint16_t node = p->node[slot];

        if (!sherd_slots_has(holders, slot)) {
            SHERD_ASSERT(node == SHERD_NO_NODE || node < map->node_count);
            SHERD_ASSERT(p->incarnation[slot] == 0);
            continue;
        }
        SHERD_ASSERT(node < map->node_count && !taken[node]);
        taken[node] = true;
    }
}

static void check_partition(const struct sherd_map *map, const struct sherd_partition *p)
{
    check_slots(map, p);
    SHERD_ASSERT(p->lost <= 1);
    SHERD_ASSERT(p->open_count >= 1 && p->open_count <= SHERD_OPEN_EPOCHS_MAX);
    for (uint32_t i = 0; i < p->open_count; i++) {
        check_epoch(map, &p->open[i]);
        SHERD_ASSERT(i == 0 || p->open[i - 1].epoch < p->open[i].epoch);
    }
    SHERD_ASSERT(p->epoch == p->open[p->open_count - 1].epoch);
    SHERD_ASSERT(p->voters == p->open[p->open_count - 1].voters);
}

static void check_map(const struct sherd_map *map, size_t encoded_size)
{
    SHERD_ASSERT(map->version > 0 && map->live <= map->version && map->version < UINT32_MAX);
    SHERD_ASSERT(map->next_incarnation <= UINT32_MAX - SHERD_PARTITIONS * SHERD_SLOTS_MAX);
    SHERD_ASSERT(map->k >= 1 && map->k + map->m <= SHERD_SLOTS_MAX);
    SHERD_ASSERT(map->node_count >= 1 && map->node_count <= SHERD_NODES_MAX);
    SHERD_ASSERT(map->partition_count >= 1 && map->partition_count <= SHERD_PARTITIONS);
    SHERD_ASSERT(encoded_size >= map->node_count * (size_t)NODE_BYTES_MIN +
                                     map->partition_count * (size_t)PARTITION_BYTES_MIN);
    for (uint16_t i = 0; i < map->node_count; i++) {
        SHERD_ASSERT(map->nodes[i].id == i);
        check_text(map->nodes[i].endpoint, SHERD_ENDPOINT_BYTES_MAX);
        check_text(map->nodes[i].zone, SHERD_ZONE_BYTES_MAX);
    }
    for (uint16_t i = 0; i < map->partition_count; i++)
        check_partition(map, &map->partitions[i]);
}

static void check_again(const struct sherd_map *map, struct sherd_bytes encoded)
{
    uint8_t *again = malloc(encoded.size);

    SHERD_ASSERT(again != NULL && sherd_map_encoded_max(map) == encoded.size);
    SHERD_ASSERT(sherd_map_encode(map, again, encoded.size - 1) == 0);
    SHERD_ASSERT(sherd_map_encode(map, again, encoded.size) == encoded.size);
    fuzz_same((struct sherd_bytes){again, encoded.size}, encoded);
    free(again);
}

/* Only the last maps before 2^32, which no cluster comes to, have too few. */
static bool has_successors(const struct sherd_map *map)
{
    return map->version < UINT32_MAX - 2 * STEPS &&
           map->next_incarnation < UINT32_MAX - 2 * STEPS * SHERD_PARTITIONS * SHERD_SLOTS_MAX;
}

/* The keeper's file is no more trusted than a message: from any map that decodes it must go on, and
 * make only maps that decode. */
static void check_keeper(struct sherd_map *map)
{
    static struct sherd_membership m;
    struct sherd_membership_config config = {.vacate_after_ms = 30000, .cluster = map->cluster};
    struct sherd_map *next = malloc(sherd_map_size(map->partition_count));
    struct sherd_map *got = malloc(sherd_map_size(map->partition_count));
    uint64_t now_ms = 1000;

    SHERD_ASSERT(next != NULL && got != NULL);
    sherd_membership_init(&m, &config, map, next);
    for (int i = 0; i < STEPS; i++, now_ms += STEP_MS) {
        struct sherd_report r = {.node = 0, .incarnation = 7, .cluster = map->cluster};
        r.map_version = map->version;
        sherd_membership_hear(&m, &r, now_ms);
        if (sherd_membership_step(&m, now_ms) != SHERD_MEMBERSHIP_PUBLISH) continue;
        size_t size = sherd_map_encoded_max(next);
        uint8_t *encoded = malloc(size);
        SHERD_ASSERT(encoded != NULL && sherd_map_encode(next, encoded, size) == size);
        SHERD_ASSERT(sherd_map_decode((struct sherd_bytes){encoded, size}, got) == 0);
        free(encoded);
        sherd_membership_commit(&m);
    }
    free(got);
    free(next);
}

static void check_encoded(uint8_t *data, size_t size, uint16_t partitions)
{
    struct sherd_bytes encoded = {data, size};
    uint64_t hash = sherd_map_hash((struct sherd_bytes){data, size - sizeof(hash)}), was;
    struct sherd_map *map = malloc(sherd_map_size(partitions));

    SHERD_ASSERT(map != NULL);
    memcpy(&was, data + size - sizeof(was), sizeof(was));
    if (le64toh(was) != hash) SHERD_ASSERT(sherd_map_decode(encoded, map) == -EBADMSG);
    sherd_bytes_put_u64(data + size - sizeof(hash), hash);
    int rc = sherd_map_decode(encoded, map);
    SHERD_ASSERT(rc == 0 || rc == -EBADMSG);
    if (rc == 0) {
        check_map(map, size);
        check_again(map, encoded);
        if (has_successors(map)) check_keeper(map);
    }
    free(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy((struct sherd_bytes){data, size});
    uint16_t partitions = sherd_map_peek_partitions((struct sherd_bytes){copy, size});

    SHERD_ASSERT(partitions <= SHERD_PARTITIONS);
    if (partitions != 0) check_encoded(copy, size, partitions);
    free(copy);
    return 0;
}
