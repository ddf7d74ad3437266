#include "client/blocks.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct sherd_block {
    atomic_uint holders;
    size_t capacity;
    _Alignas(64) uint8_t data[];
};

enum { ALIGNMENT = 64, LARGER_MAX = 4 }; /* a block may be this many times larger than asked for */

static void hold(struct sherd_block *block)
{
    atomic_fetch_add_explicit(&block->holders, 1, memory_order_relaxed);
}

void sherd_block_release(struct sherd_block *block)
{
    if (!block) return;
    if (atomic_fetch_sub_explicit(&block->holders, 1, memory_order_acq_rel) == 1) free(block);
}

void sherd_blocks_fini(struct sherd_blocks *b)
{
    for (unsigned i = 0; i < SHERD_BLOCKS_MAX; i++)
        sherd_block_release(b->kept[i]);
    *b = (struct sherd_blocks){0};
}

/* Only the pool holds it: acquire, so that ZeroMQ's thread has read all it had to. */
static int is_idle(struct sherd_block *block)
{
    return atomic_load_explicit(&block->holders, memory_order_acquire) == 1;
}

static struct sherd_block *make(size_t size)
{
    size_t capacity = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct sherd_block *block = aligned_alloc(ALIGNMENT, sizeof(*block) + capacity);

    if (!block) return NULL;
    atomic_init(&block->holders, 1);
    block->capacity = capacity;
    return block;
}

/* Puts a fresh block in the place of one that is not there or idle; where there is none, the block
 * stays outside the pool. */
static void keep(struct sherd_blocks *b, struct sherd_block *block)
{
    for (unsigned i = 0; i < SHERD_BLOCKS_MAX; i++) {
        unsigned at = (b->next + i) % SHERD_BLOCKS_MAX;
        if (b->kept[at] && !is_idle(b->kept[at])) continue;
        sherd_block_release(b->kept[at]);
        b->kept[at] = block;
        hold(block);
        b->next = at + 1;
        return;
    }
}

struct sherd_block *sherd_blocks_get(struct sherd_blocks *b, size_t size)
{
    struct sherd_block *block;

    for (unsigned i = 0; i < SHERD_BLOCKS_MAX; i++) {
        block = b->kept[i];
        if (!block || block->capacity < size || block->capacity / LARGER_MAX > size ||
            !is_idle(block))
            continue;
        hold(block);
        return block;
    }
    block = make(size);
    if (block) keep(b, block);
    return block;
}

uint8_t *sherd_block_data(struct sherd_block *block) { return block->data; }

static void on_sent(void *data, void *block)
{
    (void)data;
    sherd_block_release(block);
}

int sherd_block_frame(struct sherd_block *block, const uint8_t *data, size_t size, zmq_msg_t *frame)
{
    uint8_t *start = block->data + (data - block->data);

    hold(block);
    if (zmq_msg_init_data(frame, start, size, on_sent, block) == 0) return 0;
    sherd_block_release(block);
    return -ENOMEM;
}
