/* The map's and the report's bytes: random valid ones are read as they were written; damaged ones
 * are refused by the checksum, and, where the checksum was made right again, by the checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coord/bytes.h"
#include "coord/map_codec.h"
#include "tests/support/random.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { BYTES_MAX = 1 << 20, MUTATIONS = 100000, HASH_BYTES = 8 };

static const uint8_t slots_max = SHERD_SLOTS_MAX; /* of the type that slots have */

static uint8_t encoded[BYTES_MAX];
static struct sherd_map *made, *got; /* room for any map */

/* Random valid maps */

static uint64_t seed;

static uint64_t next_random(void) { return random_next(&seed); }

static uint32_t below(uint32_t n) { return n > 1 ? (uint32_t)(next_random() % n) : 0; }

static void random_text(char *out, uint32_t size_max)
{
    uint32_t size = below(4) == 0 ? size_max - 1 : below(size_max);

    for (uint32_t i = 0; i < size; i++)
        out[i] = (char)(' ' + below(95));
}

/* Slots below n; at least `count_min` of them. */
static uint32_t random_slots(uint8_t n, uint8_t count_min)
{
    uint32_t slots = (uint32_t)next_random() & sherd_slots_below(n);

    while (sherd_slots_count(slots) < count_min)
        slots |= sherd_slot((uint8_t)below(n));
    return slots;
}

static void fill_epochs(struct sherd_partition *p, const struct sherd_map *map)
{
    uint8_t n = (uint8_t)(map->k + map->m);
    uint32_t epoch = below(100);

    p->open_count = 1 + below(below(4) == 0 ? SHERD_OPEN_EPOCHS_MAX : 2);
    for (uint32_t i = 0; i < p->open_count; i++) {
        struct sherd_epoch *e = &p->open[i];
        e->epoch = p->epoch = epoch += 1 + below(10);
        e->voters = i + 1 == p->open_count ? p->voters : random_slots(n, map->k);
        for (uint8_t slot = 0; slot < slots_max; slot++) {
            bool votes = sherd_slots_has(e->voters, slot);
            e->node[slot] = (uint16_t)(votes ? below(map->node_count) : SHERD_NO_NODE);
            e->incarnation[slot] = votes ? (uint32_t)next_random() : 0;
        }
    }
}

static void fill_partition(struct sherd_partition *p, const struct sherd_map *map)
{
    uint8_t n = (uint8_t)(map->k + map->m);
    uint16_t first = (uint16_t)below(map->node_count - n + 1U);

    p->lost = below(8) == 0;
    p->voters = random_slots(n, map->k);
    p->learners = random_slots(n, 0) & ~p->voters;
    for (uint8_t slot = 0; slot < slots_max; slot++) {
        bool held = sherd_slots_has(sherd_partition_holders(p), slot);
        p->node[slot] = (uint16_t)(first + slot);
        if (slot >= n || (!held && below(2))) p->node[slot] = SHERD_NO_NODE;
        if (held) p->incarnation[slot] = (uint32_t)next_random();
    }
    fill_epochs(p, map);
}

/* Into `made`. */
static void random_map(uint16_t partition_count)
{
    struct sherd_map *map = made;

    memset(map, 0, sherd_map_size(SHERD_PARTITIONS));
    map->cluster = next_random();
    map->version = 1000 + next_random() % (UINT32_MAX - 2000);
    map->live = map->version - below(3);
    map->predecessor = next_random();
    map->term = next_random();
    map->next_incarnation = (uint32_t)next_random() / 2;
    map->k = (uint8_t)(1 + below(SHERD_SLOTS_MAX));
    map->m = (uint8_t)below(SHERD_SLOTS_MAX + 1U - map->k);
    map->node_count = (uint16_t)(map->k + map->m + below(SHERD_NODES_MAX + 1U - map->k - map->m));
    map->partition_count = partition_count;
    for (uint16_t i = 0; i < map->node_count; i++) {
        map->nodes[i].id = i;
        map->nodes[i].weight = (uint16_t)next_random();
        map->nodes[i].incarnation = next_random();
        map->nodes[i].since = (uint32_t)next_random();
        random_text(map->nodes[i].endpoint, SHERD_ENDPOINT_BYTES_MAX);
        random_text(map->nodes[i].zone, SHERD_ZONE_BYTES_MAX);
    }
    for (uint16_t i = 0; i < partition_count; i++)
        fill_partition(&map->partitions[i], map);
}

/* A small one, for the tests that go through every byte: 2+1 on four nodes, two partitions. */
static size_t small_map(void)
{
    struct sherd_map *map = made;

    memset(map, 0, sherd_map_size(SHERD_PARTITIONS));
    map->cluster = 7;
    map->version = 200;
    map->live = 199;
    map->k = 2;
    map->m = 1;
    map->node_count = 4;
    map->partition_count = 2;
    for (uint16_t i = 0; i < 4; i++) {
        map->nodes[i].id = i;
        memcpy(map->nodes[i].endpoint, "tcp://a:1", 10);
        memcpy(map->nodes[i].zone, "east", 5);
    }
    for (uint16_t i = 0; i < 2; i++) {
        struct sherd_partition *p = &map->partitions[i];
        fill_partition(p, map);
        p->lost = 0;
        p->voters = 3;
        p->learners = 4;
        for (uint8_t slot = 0; slot < 3; slot++)
            p->node[slot] = slot;
        p->open_count = 2;
        p->open[0] = (struct sherd_epoch){.epoch = 100, .voters = 7};
        p->open[1] = (struct sherd_epoch){.epoch = 200, .voters = 3};
        p->epoch = 200;
    }
    return sherd_map_encode(map, encoded, sizeof(encoded));
}

/* Decodes a copy of exactly that size, so that the sanitizer sees a byte read beyond it. */
static int decode(size_t size)
{
    uint8_t *exact = malloc(size + 1);
    struct sherd_bytes in = {exact + 1, size};

    memcpy(exact + 1, encoded, size);
    uint16_t count = sherd_map_peek_partitions(in);
    assert_true(count <= SHERD_PARTITIONS);
    int rc = sherd_map_decode(in, got);
    if (count == 0) assert_int_equal(rc, -EBADMSG);
    free(exact);
    return rc;
}

static void fix_checksum(size_t size)
{
    uint64_t hash = sherd_map_hash((struct sherd_bytes){encoded, size - HASH_BYTES});

    sherd_bytes_put_u64(encoded + size - HASH_BYTES, hash);
}

/* Comparing and judging */

static void same_epoch(const struct sherd_epoch *a, const struct sherd_epoch *b)
{
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->voters, b->voters);
    assert_memory_equal(a->node, b->node, sizeof(a->node));
    assert_memory_equal(a->incarnation, b->incarnation, sizeof(a->incarnation));
}

static void same_partition(const struct sherd_partition *a, const struct sherd_partition *b)
{
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->voters, b->voters);
    assert_int_equal(a->learners, b->learners);
    assert_int_equal(a->lost, b->lost);
    assert_memory_equal(a->node, b->node, sizeof(a->node));
    assert_memory_equal(a->incarnation, b->incarnation, sizeof(a->incarnation));
    assert_int_equal(a->open_count, b->open_count);
    for (uint32_t i = 0; i < a->open_count; i++)
        same_epoch(&a->open[i], &b->open[i]);
}

static void same_map(const struct sherd_map *a, const struct sherd_map *b)
{
    assert_int_equal(a->cluster, b->cluster);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->live, b->live);
    assert_int_equal(a->predecessor, b->predecessor);
    assert_int_equal(a->term, b->term);
    assert_int_equal(a->next_incarnation, b->next_incarnation);
    assert_int_equal(a->k, b->k);
    assert_int_equal(a->m, b->m);
    assert_int_equal(a->node_count, b->node_count);
    assert_int_equal(a->partition_count, b->partition_count);
    for (uint16_t i = 0; i < a->node_count; i++) {
        assert_int_equal(a->nodes[i].id, b->nodes[i].id);
        assert_int_equal(a->nodes[i].weight, b->nodes[i].weight);
        assert_int_equal(a->nodes[i].incarnation, b->nodes[i].incarnation);
        assert_int_equal(a->nodes[i].since, b->nodes[i].since);
        assert_string_equal(a->nodes[i].endpoint, b->nodes[i].endpoint);
        assert_string_equal(a->nodes[i].zone, b->nodes[i].zone);
    }
    for (uint16_t i = 0; i < a->partition_count; i++)
        same_partition(&a->partitions[i], &b->partitions[i]);
}

static void valid_epoch(const struct sherd_epoch *e, const struct sherd_map *map)
{
    assert_int_equal(e->voters & ~sherd_slots_below((uint8_t)(map->k + map->m)), 0);
    assert_true(sherd_slots_count(e->voters) >= map->k);
    for (uint8_t slot = 0; slot < slots_max; slot++)
        assert_true(sherd_slots_has(e->voters, slot) ? e->node[slot] < map->node_count
                                                     : e->node[slot] == SHERD_NO_NODE);
}

static void valid_partition(const struct sherd_partition *p, const struct sherd_map *map)
{
    uint32_t slots = sherd_slots_below((uint8_t)(map->k + map->m));

    assert_int_equal(p->voters & p->learners, 0);
    assert_int_equal(sherd_partition_holders(p) & ~slots, 0);
    for (uint8_t slot = 0; slot < slots_max; slot++) {
        bool held = sherd_slots_has(sherd_partition_holders(p), slot);
        assert_true(p->node[slot] < map->node_count || (!held && p->node[slot] == SHERD_NO_NODE));
        if (held) assert_int_equal(sherd_partition_slot_of(p, p->node[slot]), slot);
    }
    assert_in_range(p->open_count, 1, SHERD_OPEN_EPOCHS_MAX);
    for (uint32_t i = 0; i < p->open_count; i++) {
        valid_epoch(&p->open[i], map);
        if (i > 0) assert_true(p->open[i - 1].epoch < p->open[i].epoch);
    }
    assert_int_equal(p->voters, p->open[p->open_count - 1].voters);
    assert_int_equal(p->epoch, p->open[p->open_count - 1].epoch);
    assert_true(p->epoch <= map->version);
}

static void valid_map(const struct sherd_map *map)
{
    assert_true(map->k >= 1 && map->k + map->m <= SHERD_SLOTS_MAX);
    assert_true(map->version > 0 && map->live <= map->version);
    assert_in_range(map->node_count, 1, SHERD_NODES_MAX);
    assert_in_range(map->partition_count, 1, SHERD_PARTITIONS);
    for (uint16_t i = 0; i < map->node_count; i++) {
        assert_int_equal(map->nodes[i].id, i);
        assert_non_null(memchr(map->nodes[i].endpoint, 0, SHERD_ENDPOINT_BYTES_MAX));
        assert_non_null(memchr(map->nodes[i].zone, 0, SHERD_ZONE_BYTES_MAX));
    }
    for (uint16_t i = 0; i < map->partition_count; i++)
        valid_partition(&map->partitions[i], map);
}

/* The tests */

static void maps_round_trip(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 200; round++) {
        random_map(round == 0 ? SHERD_PARTITIONS : (uint16_t)(1 + below(5)));
        size_t size = sherd_map_encode(made, encoded, sizeof(encoded));
        assert_int_equal(size, sherd_map_encoded_max(made));
        assert_int_equal(sherd_map_encode(made, encoded, size - 1), 0);
        assert_int_equal(sherd_map_peek_partitions((struct sherd_bytes){encoded, size}),
                         made->partition_count);
        memset(got, 0xaa, sherd_map_size(SHERD_PARTITIONS));
        assert_int_equal(decode(size), 0);
        same_map(made, got);
        valid_map(got);
    }
}

static void no_prefix_is_a_map(void **state)
{
    size_t size = small_map();

    (void)state;
    assert_int_equal(decode(size), 0);
    for (size_t cut = 0; cut < size; cut++) {
        small_map();
        assert_int_equal(decode(cut), -EBADMSG);
        if (cut >= HASH_BYTES) fix_checksum(cut);
        assert_int_equal(decode(cut), -EBADMSG);
    }
    small_map();
    fix_checksum(size + 1); /* and nothing may follow */
    assert_int_equal(decode(size + 1), -EBADMSG);
}

static void the_checksum_sees_every_bit(void **state)
{
    size_t size = small_map();

    (void)state;
    for (size_t bit = 0; bit < size * 8; bit++) {
        encoded[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(decode(size), -EBADMSG);
        encoded[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_int_equal(decode(size), 0);
}

static void only_valid_maps_are_accepted(void **state)
{
    static const uint8_t edges[] = {0, 1, 2, 3, 4, 0x7f, 0x80, 0xff};
    static uint8_t again[BYTES_MAX];
    uint32_t accepted = 0;

    (void)state;
    for (uint32_t i = 0; i < MUTATIONS; i++) {
        size_t size = small_map();
        for (uint32_t n = 1 + below(2); n > 0; n--) {
            size_t at = below((uint32_t)size - HASH_BYTES);
            encoded[at] = below(2) ? edges[below(LEN(edges))] : (uint8_t)next_random();
        }
        fix_checksum(size);
        if (decode(size) < 0) continue;
        accepted++;
        valid_map(got);
        assert_int_equal(sherd_map_encode(got, again, sizeof(again)), size);
        assert_memory_equal(again, encoded, size);
    }
    assert_in_range(accepted, MUTATIONS / 10, MUTATIONS / 10 * 9); /* both sides were met */
}

/* One thing wrong with the small map. */
static void no_damage(struct sherd_map *m) { m->live = 1; }
static void last_version(struct sherd_map *m) { m->version = UINT32_MAX - 1; }
static void no_next_version(struct sherd_map *m) { m->version = UINT32_MAX; }
static void no_next_incarnation(struct sherd_map *m) { m->next_incarnation = UINT32_MAX - 8191; }
static void version_zero(struct sherd_map *m) { m->version = m->live = 0; }
static void live_before_made(struct sherd_map *m) { m->live = 201; }
static void node_count_zero(struct sherd_map *m) { m->node_count = 0; }
static void no_partitions(struct sherd_map *m) { m->partition_count = 0; }
static void id_not_index(struct sherd_map *m) { m->nodes[2].id = 1; }
static void control_character(struct sherd_map *m) { m->nodes[2].endpoint[3] = '\n'; }
static void delete_in_zone(struct sherd_map *m) { m->nodes[2].zone[3] = 0x7f; }
static void both_roles(struct sherd_map *m) { m->partitions[1].learners = 2 | 4; }
static void too_few_voters(struct sherd_map *m)
{
    m->partitions[1].voters = m->partitions[1].open[1].voters = 1;
}
static void too_few_voters_once(struct sherd_map *m) { m->partitions[1].open[0].voters = 4; }
static void voters_of_no_epoch(struct sherd_map *m)
{
    m->partitions[1].voters = 7;
    m->partitions[1].learners = 0;
}
static void partition_is_lost(struct sherd_map *m) { m->partitions[1].lost = 1; }
static void vacant(struct sherd_map *m) { m->partitions[1].learners = 0; }
static void vacant_of_nobody(struct sherd_map *m)
{
    m->partitions[1].learners = 0;
    m->partitions[1].node[2] = SHERD_NO_NODE;
}
static void vacant_of_unknown(struct sherd_map *m)
{
    m->partitions[1].learners = 0;
    m->partitions[1].node[2] = 4;
}
static void epoch_of_unknown_node(struct sherd_map *m) { m->partitions[1].open[0].node[2] = 4; }
static void unknown_node(struct sherd_map *m) { m->partitions[1].node[1] = 4; }
static void holder_without_node(struct sherd_map *m) { m->partitions[1].node[1] = SHERD_NO_NODE; }
static void node_twice(struct sherd_map *m) { m->partitions[1].node[2] = 0; }
static void epoch_repeated(struct sherd_map *m) { m->partitions[1].open[0].epoch = 200; }
static void epoch_descends(struct sherd_map *m) { m->partitions[1].open[0].epoch = 201; }
static void epoch_of_the_future(struct sherd_map *m) { m->partitions[1].open[1].epoch = 201; }
static void epoch_voter_beyond_code(struct sherd_map *m) { m->partitions[1].open[0].voters = 9; }

static struct damage {
    const char *name;
    void (*set)(struct sherd_map *m);
    int rc;
} damages[] = {
    {"a change that is allowed",             no_damage,               0       },
    {"version 0 is no map",                  version_zero,            -EBADMSG},
    {"the last version with a successor",    last_version,            0       },
    {"a version without a successor",        no_next_version,         -EBADMSG},
    {"no incarnations left",                 no_next_incarnation,     -EBADMSG},
    {"live above the version",               live_before_made,        -EBADMSG},
    {"no nodes",                             node_count_zero,         -EBADMSG},
    {"no partitions",                        no_partitions,           -EBADMSG},
    {"a node's id is not its index",         id_not_index,            -EBADMSG},
    {"a line break in an endpoint",          control_character,       -EBADMSG},
    {"a control character in a zone",        delete_in_zone,          -EBADMSG},
    {"a slot votes and learns",              both_roles,              -EBADMSG},
    {"fewer than k voters",                  too_few_voters,          -EBADMSG},
    {"fewer than k voters in an old epoch",  too_few_voters_once,     -EBADMSG},
    {"voters that are not the epoch's",      voters_of_no_epoch,      -EBADMSG},
    {"a partition that is lost",             partition_is_lost,       0       },
    {"a vacant slot of its last holder",     vacant,                  0       },
    {"a vacant slot of nobody",              vacant_of_nobody,        0       },
    {"a vacant slot of an unknown node",     vacant_of_unknown,       -EBADMSG},
    {"an epoch of an unknown node",          epoch_of_unknown_node,   -EBADMSG},
    {"an unknown node",                      unknown_node,            -EBADMSG},
    {"a holder without a node",              holder_without_node,     -EBADMSG},
    {"a node holds two slots",               node_twice,              -EBADMSG},
    {"an epoch twice",                       epoch_repeated,          -EBADMSG},
    {"epochs descend",                       epoch_descends,          -EBADMSG},
    {"an epoch above the version",           epoch_of_the_future,     -EBADMSG},
    {"a voter of an old epoch beyond k + m", epoch_voter_beyond_code, -EBADMSG},
};

static void damage_is_seen(void **state)
{
    const struct damage *row = *state;

    small_map();
    row->set(made);
    assert_int_equal(decode(sherd_map_encode(made, encoded, sizeof(encoded))), row->rc);
}

/* What the encoder would not write: a byte of the small map, of its first partition or of its head
 * (the partitions have a known size, and stand at the end). */
static struct patch {
    const char *name;
    size_t offset;
    int rc;
    bool in_partition;
    uint8_t value;
} patches[] = {
    {"k is 0",                       6,  -EBADMSG, false, 0    },
    {"k + m is 33",                  7,  -EBADMSG, false, 31   },
    {"257 nodes",                    53, -EBADMSG, false, 1    },
    {"a partition that is not lost", 8,  0,        true,  0    },
    {"lost is 2",                    8,  -EBADMSG, true,  2    },
    {"no open epoch",                9,  -EBADMSG, true,  0    },
    {"17 open epochs",               9,  -EBADMSG, true,  17   },
    {"a voter beyond k + m",         0,  -EBADMSG, true,  3 | 8},
    {"a learner beyond k + m",       7,  -EBADMSG, true,  0x80 },
};

static void patch_is_seen(void **state)
{
    const struct patch *row = *state;
    size_t size = small_map();
    size_t partitions = size - HASH_BYTES - 2UL * (10 + 3 * 6 + 8 + 3 * 6 + 8 + 2 * 6);

    encoded[(row->in_partition ? partitions : 0) + row->offset] = row->value;
    fix_checksum(size);
    assert_int_equal(decode(size), row->rc);
}

static void only_a_map_has_partitions(void **state)
{
    struct sherd_bytes in = {encoded, small_map()};

    (void)state;
    assert_int_equal(sherd_map_peek_partitions(in), 2);
    assert_int_equal(sherd_map_peek_partitions((struct sherd_bytes){NULL, 0}), 0);
    sherd_bytes_put_u16(encoded + 54, SHERD_PARTITIONS + 1);
    assert_int_equal(sherd_map_peek_partitions(in), 0);
}

/* Puts bytes before `at`, all there and well formed but for a limit, and raises a count by one. */
static int decode_grown(size_t size, size_t count_at, size_t at, struct sherd_bytes more)
{
    encoded[count_at]++;
    memmove(encoded + at + more.size, encoded + at, size - at);
    memcpy(encoded + at, more.data, more.size);
    fix_checksum(size + more.size);
    return decode(size + more.size);
}

static void a_slot_beyond_the_limit_is_refused(void **state)
{
    const size_t epochs = 2 * (8 + 2 * 6) + 6;
    struct sherd_partition *p = &made->partitions[0];

    (void)state;
    for (uint8_t m = 29; m <= 30; m++) {
        small_map();
        made->m = m;
        made->partition_count = 1;
        for (size_t slot = 3; slot < 2U + m; slot++)
            p->node[slot] = SHERD_NO_NODE;
        size_t size = sherd_map_encode(made, encoded, sizeof(encoded));
        int rc =
            decode_grown(size, 7, size - HASH_BYTES - epochs, (struct sherd_bytes){"\xff\xff", 2});
        assert_int_equal(rc, m == 29 ? 0 : -EBADMSG);
    }
}

static void one_more_than_the_limit_is_refused(void **state)
{
    static const uint8_t epoch[8 + 2 * 6] = {200, 0, 0, 0, 3}; /* voters: slots 0 and 1 */
    const size_t endpoint = 56 + 16, partition = 10 + 3 * 6;
    struct sherd_partition *p = &made->partitions[0];

    (void)state;
    for (uint32_t count = SHERD_OPEN_EPOCHS_MAX - 1; count <= SHERD_OPEN_EPOCHS_MAX; count++) {
        small_map();
        made->partition_count = 1;
        p->open_count = count;
        for (uint32_t i = 0; i < count; i++)
            p->open[i] = (struct sherd_epoch){.epoch = 100 + i, .voters = 3};
        size_t size = sherd_map_encode(made, encoded, sizeof(encoded)), end = size - HASH_BYTES;
        int rc = decode_grown(size, end - count * sizeof(epoch) - partition + 9, end,
                              (struct sherd_bytes){epoch, sizeof(epoch)});
        assert_int_equal(rc, count < SHERD_OPEN_EPOCHS_MAX ? 0 : -EBADMSG);
    }
    for (size_t length = SHERD_ENDPOINT_BYTES_MAX - 2; length < SHERD_ENDPOINT_BYTES_MAX;
         length++) {
        small_map();
        memset(made->nodes[0].endpoint, 'e', length);
        size_t size = sherd_map_encode(made, encoded, sizeof(encoded));
        int rc = decode_grown(size, endpoint, endpoint + 1, (struct sherd_bytes){"f", 1});
        assert_int_equal(rc, length < SHERD_ENDPOINT_BYTES_MAX - 1 ? 0 : -EBADMSG);
    }
}

static void reports_round_trip(void **state)
{
    uint8_t bytes[SHERD_REPORT_BYTES_MAX + 1] = {0};
    struct sherd_report sent = {.node = SHERD_NODES_MAX - 1}, r = {0};

    (void)state;
    sent.incarnation = next_random();
    sent.cluster = next_random();
    sent.map_version = next_random();
    sent.live = next_random();
    for (size_t i = 0; i < sizeof(sent.rebuilt); i++) {
        sent.rebuilt[i] = (uint8_t)next_random();
        sent.scanned[i] = (uint8_t)next_random();
        sent.forgotten[i] = (uint8_t)next_random();
    }
    size_t size = sherd_report_encode(&sent, bytes, SHERD_REPORT_BYTES_MAX);
    assert_in_range(size, 1, SHERD_REPORT_BYTES_MAX);
    assert_int_equal(sherd_report_encode(&sent, bytes, size - 1), 0);
    assert_int_equal(sherd_report_decode((struct sherd_bytes){bytes, size}, &r), 0);
    assert_int_equal(r.node, sent.node);
    assert_int_equal(r.incarnation, sent.incarnation);
    assert_int_equal(r.cluster, sent.cluster);
    assert_int_equal(r.map_version, sent.map_version);
    assert_int_equal(r.live, sent.live);
    assert_memory_equal(r.rebuilt, sent.rebuilt, sizeof(r.rebuilt));
    assert_memory_equal(r.scanned, sent.scanned, sizeof(r.scanned));
    assert_memory_equal(r.forgotten, sent.forgotten, sizeof(r.forgotten));

    for (size_t other = 0; other <= SHERD_REPORT_BYTES_MAX; other++)
        if (other != size)
            assert_int_equal(sherd_report_decode((struct sherd_bytes){bytes, other}, &r), -EBADMSG);
    sent.node = SHERD_NODES_MAX;
    sherd_report_encode(&sent, bytes, size);
    assert_int_equal(sherd_report_decode((struct sherd_bytes){bytes, size}, &r), -EBADMSG);
}

static int start_over(void **state)
{
    (void)state;
    seed = 20240607;
    return 0;
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test_setup(maps_round_trip, start_over),
        cmocka_unit_test_setup(no_prefix_is_a_map, start_over),
        cmocka_unit_test_setup(the_checksum_sees_every_bit, start_over),
        cmocka_unit_test_setup(only_valid_maps_are_accepted, start_over),
        cmocka_unit_test_setup(only_a_map_has_partitions, start_over),
        cmocka_unit_test_setup(a_slot_beyond_the_limit_is_refused, start_over),
        cmocka_unit_test_setup(one_more_than_the_limit_is_refused, start_over),
        cmocka_unit_test_setup(reports_round_trip, start_over),
    };
    struct CMUnitTest tests[LEN(damages) + LEN(patches) + LEN(others)] = {0};
    struct CMUnitTest *test = tests;

    made = calloc(1, sherd_map_size(SHERD_PARTITIONS));
    got = calloc(1, sherd_map_size(SHERD_PARTITIONS));
    for (size_t i = 0; i < LEN(damages); i++)
        *test++ =
            (struct CMUnitTest){damages[i].name, damage_is_seen, start_over, NULL, &damages[i]};
    for (size_t i = 0; i < LEN(patches); i++)
        *test++ =
            (struct CMUnitTest){patches[i].name, patch_is_seen, start_over, NULL, &patches[i]};
    memcpy(test, others, sizeof(others));
    int failed = cmocka_run_group_tests_name("map_codec", tests, NULL, NULL);
    free(made);
    free(got);
    return failed;
}
