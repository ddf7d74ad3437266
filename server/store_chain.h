/* store_chain.h - the cells of one key, as one pointer.
 *
 * Nearly always a key has one cell, and then the pointer is to it. Several are in a block: the
 * entries ascending by ballot, as in a record, and behind them the bounds, if there are any. Then
 * the pointer is to the block's second byte: being odd tells the two apart.
 *
 * Dropping cells needs no memory, so a commit cannot fail for want of it: a block never shrinks but
 * to nothing. */
#ifndef SHERD_SERVER_STORE_CHAIN_H
#define SHERD_SERVER_STORE_CHAIN_H

#include "server/store_cell.h"

enum { SHERD_CHAIN_CELLS_MAX = SHERD_ENTRIES_MAX + 1 };

struct sherd_store_block {
    uint8_t count, room;
    struct sherd_store_cell *cells[];
};

enum {
    SHERD_CHAIN_BYTES_MAX = sizeof(struct sherd_store_block) +
                            SHERD_CHAIN_CELLS_MAX * sizeof(struct sherd_store_cell *),
};

/* All zero is an empty chain. */
struct sherd_store_chain {
    void *at;
};

/* Several cells at once: a view of a chain, or what is to become one. */
struct sherd_store_cells {
    uint8_t count;
    struct sherd_store_cell *at[SHERD_CHAIN_CELLS_MAX];
};

/* NULL: there is no block. */
static inline struct sherd_store_block *sherd_store_chain_block(struct sherd_store_chain c)
{
    return ((uintptr_t)c.at & 1) ? (void *)((char *)c.at - 1) : NULL;
}

static inline void sherd_store_chain_cells(struct sherd_store_chain c,
                                           struct sherd_store_cells *out)
{
    const struct sherd_store_block *block = sherd_store_chain_block(c);

    out->count = block ? block->count : c.at != NULL;
    out->at[0] = c.at;
    for (uint8_t i = 0; block && i < block->count; i++)
        out->at[i] = block->cells[i];
}

/* Its first cell, which has the key as all of them. The chain is not empty. */
static inline struct sherd_store_cell *sherd_store_chain_first(struct sherd_store_chain c)
{
    const struct sherd_store_block *block = sherd_store_chain_block(c);

    return block ? block->cells[0] : c.at;
}

/* A block for the chain that is to have `count` cells, if it needs another than it has: NULL in
 * *out: it needs none. 0, or -ENOMEM. */
int sherd_store_chain_reserve(struct sherd_store_chain c, uint8_t count,
                              struct sherd_store_block **out);

/* The chain of these cells, at least one, in the place of another: in `block`, which came from
 * sherd_store_chain_reserve for as many. Frees the block that is no longer needed, no cell. */
struct sherd_store_chain sherd_store_chain_replace(struct sherd_store_chain old,
                                                   const struct sherd_store_cells *cells,
                                                   struct sherd_store_block *block);

/* Puts another cell in the place of one that is in the chain. */
struct sherd_store_chain sherd_store_chain_exchange(struct sherd_store_chain c,
                                                    const struct sherd_store_cell *cell,
                                                    struct sherd_store_cell *by);

/* Frees the block, no cell. */
void sherd_store_chain_fini(struct sherd_store_chain c);

/* What the block takes, with the allocator's rounding; 0: there is none. */
uint64_t sherd_store_chain_bytes(struct sherd_store_chain c);

#endif
