/* memo.h - the states that the search has seen; keeps its memory from one use to the next.
 *
 * A key stands for a state of the search: a set of calls of any length, and a value. It is the
 * exclusive or of one random word pair for each member, so it costs nothing to keep up to date. Two
 * states of one key, however unlikely (2^-80 at 2^24 states), make the search skip an order: it may
 * call a good history bad, and never a bad one good.
 *
 * Beside the key stands what was spent to get there: how many open calls, of some classes. Where it
 * was of no use to come with little spent, it is of no use with more. */
#ifndef SHERD_TESTS_HISTORY_MEMO_H
#define SHERD_TESTS_HISTORY_MEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history_hash {
    uint64_t a, b;
};

enum { HISTORY_SPENT = 4 }; /* classes that are counted */

struct history_place {
    struct history_hash key;
    uint32_t spent[HISTORY_SPENT];
};

struct history_memo {
    struct history_place *place;
    size_t places, room; /* in use now (a power of two), and ever */
    size_t count;
    struct history_place *spare; /* to grow into */
    size_t spare_room;
};

void history_memo_reset(struct history_memo *m);
void history_memo_fini(struct history_memo *m);

/* False: it was there, with as little spent or less. */
bool history_memo_add(struct history_memo *m, struct history_hash key,
                      const uint32_t spent[HISTORY_SPENT]);

/* A random pair for a number of some kind. */
struct history_hash history_hash_of(uint64_t number, uint64_t kind);

static inline struct history_hash history_hash_with(struct history_hash x, struct history_hash y)
{
    return (struct history_hash){x.a ^ y.a, x.b ^ y.b};
}

/* realloc that ends the program when there is no memory. */
void *history_resize(void *memory, size_t count, size_t size);

#endif
