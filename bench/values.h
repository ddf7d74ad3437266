/* values.h - the keys and values of a benchmark: random bytes that still tell which key they are
 * of.
 *
 * A key is "b", the size of its value (five digits to the base of 36) and ten digits or more:
 * values of different sizes never meet under one key, so runs after each other cannot disturb. A
 * value has the key's hash in its first and in its last eight bytes (as far as it is long enough)
 * and random, incompressible bytes between them, so that a read of the wrong key, of the wrong
 * size, or of mixed halves is noticed at the cost of two loads. */
#ifndef SHERD_BENCH_VALUES_H
#define SHERD_BENCH_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_KEY_SIZE_MIN = 16, BENCH_KEY_SIZE_MAX = 64 };

struct bench_key {
    size_t size;
    char text[BENCH_KEY_SIZE_MAX]; /* no closing zero */
};

/* A generator of 64-bit numbers, SplitMix64: any seed will do. */
struct bench_random {
    uint64_t state;
};

uint64_t bench_random_next(struct bench_random *r);

/* The key of an index below 10^10, of values of `size` bytes below 36^5. */
struct bench_key bench_key_of(uint64_t index, size_t size, size_t key_size);

/* Random bytes. */
void bench_value_fill(struct bench_random *r, unsigned char *value, size_t size);

/* Makes filled bytes a value of this key. */
void bench_value_mark(const struct bench_key *key, unsigned char *value, size_t size);

/* Whether these bytes are a value of this key. */
bool bench_value_is_of(const struct bench_key *key, const unsigned char *value, size_t size);

#endif
