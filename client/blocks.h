/* blocks.h - large buffers that a client's thread fills and ZeroMQ's thread sends from.
 *
 * A block is shared by the pool, by the operation that filled it, and by every frame in flight; who
 * lets go last frees it. The pool hands a block out again when nobody else holds it, so that large
 * values do not cost fresh pages every time. The count of holders is the one thing here that two
 * threads touch. */
#ifndef SHERD_CLIENT_BLOCKS_H
#define SHERD_CLIENT_BLOCKS_H

#include <zmq.h>

#include <stddef.h>
#include <stdint.h>

enum { SHERD_BLOCKS_MAX = 32 }; /* that a pool keeps */

struct sherd_block; /* opaque */

/* Zero it before first use. */
struct sherd_blocks {
    struct sherd_block *kept[SHERD_BLOCKS_MAX];
    unsigned next;
};

void sherd_blocks_fini(struct sherd_blocks *b);

/* A block of at least `size` bytes that nobody else uses, held once for the caller; NULL: no
 * memory. */
struct sherd_block *sherd_blocks_get(struct sherd_blocks *b, size_t size);
uint8_t *sherd_block_data(struct sherd_block *block);
void sherd_block_release(struct sherd_block *block); /* NULL is allowed */

/* Makes *frame of bytes inside the block, held until ZeroMQ is done with it. 0 or -ENOMEM. */
int sherd_block_frame(struct sherd_block *block, const uint8_t *data, size_t size,
                      zmq_msg_t *frame);

#endif
