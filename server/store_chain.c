#include "server/store_chain.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "coord/assert.h"

enum { ODD = 1 }; /* what malloc gives is even */

static struct sherd_store_block *block_of(struct sherd_store_chain c)
{
    return ((uintptr_t)c.at & ODD) ? (void *)((char *)c.at - ODD) : NULL;
}

static struct sherd_store_chain chain_of(struct sherd_store_block *block)
{
    return (struct sherd_store_chain){(char *)block + ODD};
}

void sherd_store_chain_cells(struct sherd_store_chain c, struct sherd_store_cells *out)
{
    const struct sherd_store_block *block = block_of(c);

    out->count = 0;
    if (block) {
        out->count = block->count;
        memcpy(out->at, block->cells, block->count * sizeof(block->cells[0]));
    } else if (c.at) {
        out->at[out->count++] = c.at;
    }
}

struct sherd_store_cell *sherd_store_chain_first(struct sherd_store_chain c)
{
    const struct sherd_store_block *block = block_of(c);

    return block ? block->cells[0] : c.at;
}

int sherd_store_chain_reserve(struct sherd_store_chain c, uint8_t count,
                              struct sherd_store_block **out)
{
    const struct sherd_store_block *block = block_of(c);

    SHERD_ASSERT(count <= SHERD_CHAIN_CELLS_MAX);
    *out = NULL;
    if (count <= (block ? block->room : 1)) return 0;
    *out = malloc(sizeof(**out) + count * sizeof((*out)->cells[0]));
    if (!*out) return -ENOMEM;
    (*out)->room = count;
    return 0;
}

struct sherd_store_chain sherd_store_chain_replace(struct sherd_store_chain old,
                                                   const struct sherd_store_cells *cells,
                                                   struct sherd_store_block *block)
{
    SHERD_ASSERT(cells->count > 0);
    if (block || cells->count == 1) sherd_store_chain_fini(old);
    if (cells->count == 1) return (struct sherd_store_chain){cells->at[0]};
    if (!block) block = block_of(old);
    SHERD_ASSERT(block && cells->count <= block->room);
    block->count = cells->count;
    memcpy(block->cells, cells->at, cells->count * sizeof(cells->at[0]));
    return chain_of(block);
}

struct sherd_store_chain sherd_store_chain_exchange(struct sherd_store_chain c,
                                                    const struct sherd_store_cell *cell,
                                                    struct sherd_store_cell *by)
{
    struct sherd_store_block *block = block_of(c);
    uint8_t i = 0;

    if (!block) return (struct sherd_store_chain){by};
    while (i < block->count && block->cells[i] != cell)
        i++;
    SHERD_ASSERT(i < block->count);
    block->cells[i] = by;
    return c;
}

void sherd_store_chain_fini(struct sherd_store_chain c) { free(block_of(c)); }

uint64_t sherd_store_chain_bytes(struct sherd_store_chain c)
{
    struct sherd_store_block *block = block_of(c);

    return block ? malloc_usable_size(block) + SHERD_CELL_MALLOC_BYTES : 0;
}
