/* digest.h - what a node holds of a range of a partition, in few bytes: LIST DIGEST.
 *
 * The range goes from the hash in the request's `since` to the one in its body (`u64`; none: as far
 * as one answer goes), both included. The answer's body: `last`, `count`, `sum`, each `u64`. */
#ifndef SHERD_SERVER_DIGEST_H
#define SHERD_SERVER_DIGEST_H

#include "coord/bytes.h"

struct sherd_digest {
    uint64_t last;  /* hash that it goes up to */
    uint64_t count; /* keys that have a value */
    uint64_t sum;   /* XOR of a hash of each: key, version, whether the shard is there */
};

enum { SHERD_DIGEST_BYTES = 24 };

static inline size_t sherd_digest_encode(const struct sherd_digest *d,
                                         uint8_t out[SHERD_DIGEST_BYTES])
{
    uint8_t *at = sherd_bytes_put_u64(out, d->last);

    at = sherd_bytes_put_u64(at, d->count);
    sherd_bytes_put_u64(at, d->sum);
    return SHERD_DIGEST_BYTES;
}

static inline bool sherd_digest_decode(struct sherd_bytes in, struct sherd_digest *out)
{
    struct sherd_bytes_reader r;

    if (in.size != SHERD_DIGEST_BYTES) return false;
    r = sherd_bytes_read(in);
    out->last = sherd_bytes_take_u64(&r);
    out->count = sherd_bytes_take_u64(&r);
    out->sum = sherd_bytes_take_u64(&r);
    return true;
}

#endif
