/* ecc.h - values to shards and back: a systematic Reed-Solomon code, and checksums.
 *
 * A code k+m turns a value into n = k + m shards of equal size; any k of them give it back. Slots
 * 0..k-1 are data shards: consecutive pieces of the value, the last ones padded with zeros. Slots
 * k..n-1 are parity. With k = 1 every shard is a copy of the value; with m = 0 none may be lost.
 *
 * The bytes a code yields for k, m and a value never change: shards are stored for years.
 *
 * Threads: sherd_ecc_encode only reads the object and may run in several threads at once. Functions
 *          that take it without const change its cache of decoding plans: one thread at a time.
 * Memory:  only sherd_ecc_new allocates. All buffers are the caller's; no function keeps a pointer.
 *          Buffers need no alignment, and outputs must not overlap inputs (exception: join).
 * Sizes:   bytes. There is no limit but memory. A shard of 0 bytes is legal (an empty value); its
 *          pointer must still not be NULL, because NULL means missing.
 * Arrays:  `shards` has n elements by slot, NULL where the shard is missing. */
#ifndef SHERD_ECC_H
#define SHERD_ECC_H

#include <stddef.h>
#include <stdint.h>

#define SHERD_ECC_SLOTS_MAX 32 /* largest k + m */

struct sherd_ecc; /* opaque */

/* Opens a code of k data and m parity shards. On success *out is the caller's, for sherd_ecc_free;
 * on failure it is NULL. -EINVAL: k is 0 or k + m exceeds SHERD_ECC_SLOTS_MAX. -ENOMEM. Costs up to
 * 0.5 MiB (16+16), mostly room for plans and untouched until used; 4+2 takes 19 KiB. */
int sherd_ecc_new(unsigned k, unsigned m, struct sherd_ecc **out);

void sherd_ecc_free(struct sherd_ecc *e); /* NULL is allowed */

unsigned sherd_ecc_k(const struct sherd_ecc *e);
unsigned sherd_ecc_m(const struct sherd_ecc *e);

/* Bytes of one shard of a value: value_size / k, rounded up. 1 <= k. */
size_t sherd_ecc_shard_size(unsigned k, size_t value_size);

/* Bytes of scratch that sherd_ecc_split needs: zero, one or two shards. */
size_t sherd_ecc_scratch_size(unsigned k, size_t value_size);

/* Fills `pieces` (k elements) with the data shards of a value, without copying what need not be
 * copied: a piece points into `value` where it lies wholly inside, else into `scratch`, where it is
 * padded with zeros. Pieces wholly beyond the end share one piece of zeros. The pieces are valid as
 * long as both buffers. 1 <= k <= SHERD_ECC_SLOTS_MAX; `scratch` may be NULL if its size is 0, and
 * `value` if value_size is. */
void sherd_ecc_split(unsigned k, const void *value, size_t value_size, void *scratch,
                     const void *pieces[]);

/* Computes the parity shards: `data` has k elements, `parity` m, all of shard_size bytes. */
void sherd_ecc_encode(const struct sherd_ecc *e, size_t shard_size, const void *const data[],
                      void *const parity[]);

/* Rebuilds data shards: writes out_data[i], of k elements, where shards[i] is missing and
 * out_data[i] is not NULL. The others are not touched. -ENODATA: fewer than k shards are given. */
int sherd_ecc_decode(struct sherd_ecc *e, size_t shard_size, const void *const shards[],
                     void *const out_data[]);

/* Rebuilds the shard of one slot, data or parity, from any k of the others; shards[slot] itself is
 * never read. -ENODATA: fewer than k others are given. -EINVAL: there is no such slot. */
int sherd_ecc_rebuild(struct sherd_ecc *e, size_t shard_size, const void *const shards[],
                      unsigned slot, void *out);

/* Puts a value of value_size bytes together in `value`, from any k shards. Missing pieces are
 * decoded in place. A data shard may already lie in its place, value + slot * shard_size (then it
 * is not copied), if all of it does: a piece cut short by the end of the value must lie elsewhere.
 * -ENODATA: fewer than k shards are given. */
int sherd_ecc_join(struct sherd_ecc *e, const void *const shards[], size_t value_size, void *value);

/* How often a decoding plan was found in the cache, and how often it had to be computed. */
struct sherd_ecc_plan_counts {
    uint64_t hits, misses;
};
struct sherd_ecc_plan_counts sherd_ecc_plan_counts(const struct sherd_ecc *e);

/* The three functions below are stable: their results are stored and sent. */
uint32_t sherd_crc32c(const void *data, size_t size);   /* of a shard: CRC-32C, RFC 3720 B.4 */
uint64_t sherd_checksum(const void *data, size_t size); /* of a whole value: XXH3, 64 bits */
uint64_t sherd_hash_key(const void *key, size_t size);  /* for placement: XXH3, 64 bits */

#endif
