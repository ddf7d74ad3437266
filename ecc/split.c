/* split.c - value -> k equal pieces: sizes and padding. */
#include "ecc/split.h"

#include <sherd/ecc.h>
#include <string.h>

size_t sherd_ecc_shard_size(unsigned k, size_t value_size)
{
    return value_size / k + (value_size % k != 0); /* cannot overflow, unlike value_size + k - 1 */
}

struct sherd_split sherd_split_of(unsigned k, size_t value_size)
{
    struct sherd_split s = {.shard_size = sherd_ecc_shard_size(k, value_size)};

    if (value_size == 0) return s;
    s.whole = (unsigned)(value_size / s.shard_size);
    s.rest = value_size % s.shard_size;
    return s;
}

size_t sherd_ecc_scratch_size(unsigned k, size_t value_size)
{
    struct sherd_split s = sherd_split_of(k, value_size);
    unsigned inside = s.whole + (s.rest != 0); /* pieces with bytes of the value */

    return (s.rest != 0 ? s.shard_size : 0) + (inside < k ? s.shard_size : 0);
}

void sherd_ecc_split(unsigned k, const void *value, size_t value_size, void *scratch,
                     const void *pieces[])
{
    static const unsigned char nothing[1]; /* pieces of an empty value are empty but not NULL */
    struct sherd_split s = sherd_split_of(k, value_size);
    const unsigned char *bytes = value;
    unsigned char *padded = scratch;
    unsigned i = 0;

    for (; i < s.whole; i++)
        pieces[i] = bytes + i * s.shard_size;
    if (s.rest != 0) {
        memcpy(padded, bytes + i * s.shard_size, s.rest);
        memset(padded + s.rest, 0, s.shard_size - s.rest);
        pieces[i++] = padded;
        padded += s.shard_size;
    }
    if (i < k && s.shard_size != 0) memset(padded, 0, s.shard_size);
    for (; i < k; i++)
        pieces[i] = s.shard_size != 0 ? padded : nothing;
}
