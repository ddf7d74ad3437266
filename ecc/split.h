/* split.h - where the k pieces of a value lie.
 *
 * Piece i covers the bytes [i * shard_size, (i + 1) * shard_size) of the value. The first `whole`
 * pieces lie inside it; then, if `rest` is not 0, one has its first `rest` bytes inside; all others
 * are beyond the end. Bytes beyond the end are zero in a shard and absent from the value. */
#ifndef SHERD_ECC_SPLIT_H
#define SHERD_ECC_SPLIT_H

#include <stddef.h>

struct sherd_split {
    size_t shard_size;
    unsigned whole;
    size_t rest; /* < shard_size, or 0 */
};

struct sherd_split sherd_split_of(unsigned k, size_t value_size);

#endif
