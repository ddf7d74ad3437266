#include "coord/placement.h"

#include <string.h>

#include "coord/assert.h"

enum { FRACTION_BITS = 32, MANTISSA_BITS = 31 };

/* Finalizer of splitmix64 (Steele, Lea, Flood 2014): spreads neighbouring numbers over 64 bits. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* log2(x) with FRACTION_BITS bits after the point, for x > 0: one bit per squaring. */
static uint64_t log2_fixed(uint64_t x)
{
    uint64_t whole = 63u - (uint64_t)__builtin_clzll(x);
    uint64_t mantissa = (x << (63 - whole)) >> (63 - MANTISSA_BITS); /* in [1, 2) */
    uint64_t log = whole << FRACTION_BITS;

    for (int bit = FRACTION_BITS - 1; bit >= 0; bit--) {
        mantissa = mantissa * mantissa >> MANTISSA_BITS;
        if (mantissa >> (MANTISSA_BITS + 1) == 0) continue;
        mantissa >>= 1;
        log |= UINT64_C(1) << bit;
    }
    return log;
}

/* -log2 of a fraction drawn for (partition, node): exponentially distributed, above 0. */
static uint64_t draw(uint16_t partition, uint16_t node)
{
    uint64_t hash = mix((uint64_t)partition << 16 | node);

    return (UINT64_C(64) << FRACTION_BITS) - log2_fixed(hash | 1);
}

static bool same_zone(const struct sherd_node *a, const struct sherd_node *b)
{
    size_t size = strlen(a->zone);

    return size == strlen(b->zone) && memcmp(a->zone, b->zone, size) == 0;
}

static bool holds(const uint16_t *taken, uint8_t n, uint16_t node)
{
    for (uint8_t i = 0; i < n; i++)
        if (taken[i] == node) return true;
    return false;
}

/* How many nodes of this node's zone the partition has taken already. */
static uint8_t crowd(const struct sherd_node *nodes, const uint16_t *taken, uint8_t n,
                     const struct sherd_node *node)
{
    uint8_t count = 0;

    for (uint8_t i = 0; i < n; i++)
        if (taken[i] != SHERD_NO_NODE && same_zone(&nodes[taken[i]], node)) count++;
    return count;
}

uint16_t sherd_placement_replace(const struct sherd_node *nodes, uint16_t node_count,
                                 const bool *usable, uint16_t partition, uint8_t n,
                                 const uint16_t *taken)
{
    uint16_t best = SHERD_NO_NODE;
    uint8_t best_crowd = 0;
    uint64_t best_draw = 0;

    for (uint16_t i = 0; i < node_count; i++) {
        if (!usable[i] || nodes[i].weight == 0 || holds(taken, n, i)) continue;

        uint8_t in_zone = crowd(nodes, taken, n, &nodes[i]);
        uint64_t drawn = draw(partition, i);
        /* weight / draw is higher, without dividing: 16 bits of weight, 39 of draw. */
        bool better =
            best == SHERD_NO_NODE || in_zone < best_crowd ||
            (in_zone == best_crowd && nodes[i].weight * best_draw > nodes[best].weight * drawn);
        if (!better) continue;
        best = i;
        best_crowd = in_zone;
        best_draw = drawn;
    }
    return best;
}

uint8_t sherd_placement_choose(const struct sherd_node *nodes, uint16_t node_count,
                               const bool *usable, uint16_t partition, uint8_t n,
                               uint16_t slots[SHERD_SLOTS_MAX])
{
    uint8_t filled = 0;

    SHERD_ASSERT(n <= SHERD_SLOTS_MAX);
    for (size_t i = 0; i < SHERD_SLOTS_MAX; i++)
        slots[i] = SHERD_NO_NODE;
    while (filled < n) {
        uint16_t node =
            sherd_placement_replace(nodes, node_count, usable, partition, filled, slots);
        if (node == SHERD_NO_NODE) break;
        slots[filled++] = node;
    }
    return filled;
}
