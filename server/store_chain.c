#include "server/store_chain.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "coord/assert.h"

int sherd_store_chain_reserve(struct sherd_store_chain c, uint8_t count,
                              struct sherd_store_block **out)
{
    const struct sherd_store_block *block = sherd_store_chain_block(c);

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
    if (!block) block = sherd_store_chain_block(old);
    SHERD_ASSERT(block && cells->count <= block->room);
    block->count = cells->count;
    memcpy(block->cells, cells->at, cells->count * sizeof(cells->at[0]));
    return (struct sherd_store_chain){(char *)block + 1};
}

struct sherd_store_chain sherd_store_chain_exchange(struct sherd_store_chain c,
                                                    const struct sherd_store_cell *cell,
                                                    struct sherd_store_cell *by)
{
    struct sherd_store_block *block = sherd_store_chain_block(c);
    uint8_t i = 0;

    if (!block) return (struct sherd_store_chain){by};
    while (i < block->count && block->cells[i] != cell)
        i++;
    SHERD_ASSERT(i < block->count);
    block->cells[i] = by;
    return c;
}

void sherd_store_chain_fini(struct sherd_store_chain c) { free(sherd_store_chain_block(c)); }

uint64_t sherd_store_chain_bytes(struct sherd_store_chain c)
{
    struct sherd_store_block *block = sherd_store_chain_block(c);

    return block ? malloc_usable_size(block) + SHERD_CELL_MALLOC_BYTES : 0;
}
