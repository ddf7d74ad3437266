/* values.h - the keys and values of a benchmark: random bytes that still tell which key they are
 * of.
 *
 * A key is "b", the size of its value (five digits to the base of 36) and ten digits: values of
 * different sizes never meet under one key, so runs after each other cannot disturb. A value has
 * the key's hash in its first and in its last eight bytes (as far as it is long enough) and random,
 * incompressible bytes between them, so that a read of the wrong key, of the wrong size, or of
 * mixed halves is noticed at the cost of two loads. */
#ifndef SHERD_BENCH_VALUES_H
#define SHERD_BENCH_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_KEY_SIZE = 16 };

/* A generator of 64-bit numbers, SplitMix64: any seed will do. */
struct bench_random {
    uint64_t state;
};

uint64_t bench_random_next(struct bench_random *r);

/* The key of an index below 10^10, of values of `size` bytes below 36^5; no closing zero. */
void bench_key(uint64_t index, size_t size, char out[BENCH_KEY_SIZE]);

/* Random bytes. */
void bench_value_fill(struct bench_random *r, unsigned char *value, size_t size);

/* Makes filled bytes a value of this key. */
void bench_value_mark(const char key[BENCH_KEY_SIZE], unsigned char *value, size_t size);

/* Whether these bytes are a value of this key. */
bool bench_value_is_of(const char key[BENCH_KEY_SIZE], const unsigned char *value, size_t size);

#endif
