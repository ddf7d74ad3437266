/* quorum.h - how many answers are enough, and sets of slots (PROTOCOL 1). */
#ifndef SHERD_COORD_QUORUM_H
#define SHERD_COORD_QUORUM_H

#include <stdbool.h>
#include <stdint.h>

/* Quorums over the n voters of one epoch of a partition with code k+m; k <= n <= k + m. */
struct sherd_quorum {
    uint8_t n, k;
    uint8_t q; /* write quorum: two of them share at least k nodes */
    uint8_t r; /* read quorum: meets every write quorum, and holds k shards */
    uint8_t f; /* ACKs that a PREPARE with `expect` needs: nobody promised anything before it */
};

static inline struct sherd_quorum sherd_quorum_of(uint8_t n, uint8_t k)
{
    uint8_t q = (uint8_t)((n + k + 1) / 2);
    uint8_t rest = (uint8_t)(n - q);
    uint8_t r = (uint8_t)(rest + 1 > k ? rest + 1 : k);
    uint8_t f = (uint8_t)(2 * rest + 1 > q ? 2 * rest + 1 : q);

    return (struct sherd_quorum){n, k, q, r, f};
}

/* Sets of slots: bit i is slot i. */
static inline uint8_t sherd_slots_count(uint32_t slots)
{
    return (uint8_t)__builtin_popcount(slots);
}

static inline bool sherd_slots_has(uint32_t slots, uint8_t slot) { return slots >> slot & 1; }

static inline uint32_t sherd_slot(uint8_t slot) { return UINT32_C(1) << slot; }

/* The lowest slot of a set that is not empty. */
static inline uint8_t sherd_slots_first(uint32_t slots) { return (uint8_t)__builtin_ctz(slots); }

/* Slots 0 .. n-1. */
static inline uint32_t sherd_slots_below(uint8_t n)
{
    return n >= 32 ? UINT32_MAX : (UINT32_C(1) << n) - 1;
}

#endif
