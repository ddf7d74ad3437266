/* Placement: shares in proportion to weights, zones, and how little moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coord/placement.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { PARTITIONS = 256 };

struct cluster {
    struct sherd_node nodes[SHERD_NODES_MAX];
    bool usable[SHERD_NODES_MAX];
    uint16_t count;
};

/* Weights and zones repeat over the nodes: "12" weighs 1, 2, 1, 2 ...; "" names no zones. */
static struct cluster cluster_of(uint16_t count, const char *weights, const char *zones)
{
    struct cluster c = {.count = count};

    for (uint16_t i = 0; i < count; i++) {
        c.nodes[i].id = i;
        c.nodes[i].weight = (uint16_t)(weights[i % strlen(weights)] - '0');
        if (*zones) c.nodes[i].zone[0] = zones[i % strlen(zones)];
        c.usable[i] = true;
    }
    return c;
}

static uint8_t choose(const struct cluster *c, unsigned partition, uint8_t n, uint16_t *slots)
{
    return sherd_placement_choose(c->nodes, c->count, c->usable, (uint16_t)partition, n, slots);
}

static struct share {
    const char *name;
    const char *weights;
    unsigned within_percent;
    uint16_t nodes;
    uint8_t n;
} shares[] = {
    {"as many nodes as slots",        "1",   0,  6,  6},
    {"eight nodes of equal weight",   "1",   10, 8,  6},
    {"ten nodes of equal weight",     "1",   10, 10, 6},
    {"one slot each, weights 1 to 3", "123", 25, 6,  1},
    {"few slots, weights 1 and 2",    "12",  35, 16, 2},
    {"weight 0 takes nothing",        "01",  20, 8,  2},
};

static void test_share(void **state)
{
    const struct share *row = *state;
    struct cluster c = cluster_of(row->nodes, row->weights, "");
    unsigned held[SHERD_NODES_MAX] = {0}, weights = 0, all = PARTITIONS * row->n;
    uint16_t slots[SHERD_SLOTS_MAX];

    for (unsigned p = 0; p < PARTITIONS; p++) {
        assert_int_equal(choose(&c, p, row->n, slots), row->n);
        for (uint8_t s = 0; s < row->n; s++)
            held[slots[s]]++;
    }
    for (uint16_t i = 0; i < c.count; i++)
        weights += c.nodes[i].weight;
    for (uint16_t i = 0; i < c.count; i++) {
        unsigned share = all * c.nodes[i].weight / weights;
        unsigned off = held[i] > share ? held[i] - share : share - held[i];
        if (off * 100 > share * row->within_percent)
            fail_msg("node %u holds %u slots, its share is %u", i, held[i], share);
    }
}

static void test_slots_have_distinct_nodes(void **state)
{
    struct cluster c = cluster_of(12, "1", "");
    uint16_t slots[SHERD_SLOTS_MAX];

    (void)state;
    for (unsigned p = 0; p < PARTITIONS; p++) {
        choose(&c, p, 6, slots);
        for (unsigned s = 0; s < SHERD_SLOTS_MAX; s++)
            for (unsigned t = 0; t < s && s < 6; t++)
                assert_int_not_equal(slots[s], slots[t]);
        for (unsigned s = 6; s < SHERD_SLOTS_MAX; s++)
            assert_int_equal(slots[s], SHERD_NO_NODE);
    }
}

static void test_too_few_nodes(void **state)
{
    struct cluster c = cluster_of(6, "1", "");
    uint16_t slots[SHERD_SLOTS_MAX];

    (void)state;
    c.nodes[2].weight = 0;
    assert_int_equal(choose(&c, 0, 6, slots), 5);
    c.nodes[2].weight = 1;
    c.usable[2] = false;
    assert_int_equal(choose(&c, 0, 6, slots), 5);
    assert_int_equal(slots[5], SHERD_NO_NODE);
    for (uint8_t s = 0; s < 5; s++)
        assert_int_not_equal(slots[s], 2);
    assert_int_equal(sherd_placement_replace(c.nodes, c.count, c.usable, 0, 6, slots),
                     SHERD_NO_NODE);
}

static struct zoned {
    const char *name;
    const char *zones;
    unsigned most; /* slots of one partition in one zone */
    uint16_t nodes;
    uint8_t n;
} zoned[] = {
    {"three zones, six slots",        "abc",      2, 9,  6},
    {"as many zones as slots",        "abcdef",   1, 12, 6},
    {"more zones than slots",         "abcdefgh", 1, 8,  4},
    {"a small zone is used up first", "aaaaabbc", 3, 8,  6},
};

static void test_zones(void **state)
{
    const struct zoned *row = *state;
    struct cluster c = cluster_of(row->nodes, "1", row->zones);
    uint16_t slots[SHERD_SLOTS_MAX];

    for (unsigned p = 0; p < PARTITIONS; p++) {
        unsigned in_zone[128] = {0};
        assert_int_equal(choose(&c, p, row->n, slots), row->n);
        for (uint8_t s = 0; s < row->n; s++)
            in_zone[(unsigned char)c.nodes[slots[s]].zone[0]]++;
        for (size_t z = 0; z < LEN(in_zone); z++)
            assert_true(in_zone[z] <= row->most);
    }
}

static bool is_in(const uint16_t *slots, uint8_t n, uint16_t node)
{
    for (uint8_t s = 0; s < n; s++)
        if (slots[s] == node) return true;
    return false;
}

/* Whoever stays keeps what it has; only the slots of the one that left are given away. */
static void test_a_node_leaves(void **state)
{
    struct cluster c = cluster_of(10, "1", ""), without = c;
    uint16_t before[SHERD_SLOTS_MAX], after[SHERD_SLOTS_MAX];

    (void)state;
    without.usable[4] = false;
    for (unsigned p = 0; p < PARTITIONS; p++) {
        choose(&c, p, 6, before);
        choose(&without, p, 6, after);
        for (uint8_t s = 0; s < 6; s++)
            if (before[s] != 4) assert_true(is_in(after, 6, before[s]));
        if (!is_in(before, 6, 4)) assert_memory_equal(before, after, sizeof(before));
    }
}

/* One vacant slot goes to the node that choosing anew would bring in. */
static void test_replace(void **state)
{
    struct cluster c = cluster_of(10, "1", "");
    uint16_t slots[SHERD_SLOTS_MAX], anew[SHERD_SLOTS_MAX];

    (void)state;
    for (unsigned p = 0; p < PARTITIONS; p++) {
        c.usable[4] = true;
        choose(&c, p, 6, slots);
        c.usable[4] = false;
        choose(&c, p, 6, anew);
        for (uint8_t s = 0; s < 6; s++) {
            if (slots[s] != 4) continue;
            slots[s] = SHERD_NO_NODE;
            slots[s] = sherd_placement_replace(c.nodes, c.count, c.usable, (uint16_t)p, 6, slots);
            assert_true(is_in(anew, 6, slots[s]));
            assert_true(slots[s] != 4);
        }
    }
}

static void test_replace_keeps_zones_apart(void **state)
{
    struct cluster c = cluster_of(9, "1", "abc");
    uint16_t taken[] = {0, 1, 3, 4, SHERD_NO_NODE, 2}; /* a b a b ? c */

    (void)state;
    for (unsigned p = 0; p < PARTITIONS; p++) {
        uint16_t node = sherd_placement_replace(c.nodes, c.count, c.usable, (uint16_t)p, 6, taken);
        assert_int_equal(c.nodes[node].zone[0], 'c');
    }
}

/* A zone is its whole name. */
static void test_zones_that_begin_alike(void **state)
{
    struct cluster c = cluster_of(3, "1", "");
    uint16_t taken[] = {0, SHERD_NO_NODE};

    (void)state;
    strcpy(c.nodes[0].zone, "rack1");
    strcpy(c.nodes[1].zone, "rack12");
    strcpy(c.nodes[2].zone, "rack1");
    for (unsigned p = 0; p < PARTITIONS; p++)
        assert_int_equal(sherd_placement_replace(c.nodes, c.count, c.usable, (uint16_t)p, 2, taken),
                         1);
}

/* Every machine computes the same: these were computed once, and may never change. */
static void test_known_answers(void **state)
{
    struct cluster c = cluster_of(7, "1", "");
    const uint16_t first[] = {0, 6, 2, 1, 4, 5}, second[] = {5, 2, 6, 1, 3, 4};
    uint16_t slots[SHERD_SLOTS_MAX];

    (void)state;
    choose(&c, 0, 6, slots);
    assert_memory_equal(slots, first, sizeof(first));
    choose(&c, 1, 6, slots);
    assert_memory_equal(slots, second, sizeof(second));
}

int main(void)
{
    struct CMUnitTest tests[LEN(shares) + LEN(zoned) + 7] = {
        cmocka_unit_test(test_slots_have_distinct_nodes),
        cmocka_unit_test(test_too_few_nodes),
        cmocka_unit_test(test_a_node_leaves),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_replace_keeps_zones_apart),
        cmocka_unit_test(test_zones_that_begin_alike),
        cmocka_unit_test(test_known_answers),
    };
    size_t count = 7;

    for (size_t i = 0; i < LEN(shares); i++)
        tests[count++] = (struct CMUnitTest){
            .name = shares[i].name, .test_func = test_share, .initial_state = &shares[i]};
    for (size_t i = 0; i < LEN(zoned); i++)
        tests[count++] = (struct CMUnitTest){
            .name = zoned[i].name, .test_func = test_zones, .initial_state = &zoned[i]};
    return cmocka_run_group_tests_name("placement", tests, NULL, NULL);
}
