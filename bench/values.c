/* values.c - the keys and values of a benchmark. */
#include "bench/values.h"

#include <sherd/ecc.h>
#include <string.h>

/* G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014. */
uint64_t bench_random_next(struct bench_random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Digits to a base of at most 36, right-aligned with leading zeros. */
static void put_digits(char *at, int count, uint64_t number, unsigned base)
{
    while (count-- > 0) {
        at[count] = "0123456789abcdefghijklmnopqrstuvwxyz"[number % base];
        number /= base;
    }
}

void bench_key(uint64_t index, size_t size, char out[BENCH_KEY_SIZE])
{
    out[0] = 'b';
    put_digits(out + 1, 5, size, 36);
    put_digits(out + 6, BENCH_KEY_SIZE - 6, index, 10);
}

void bench_value_fill(struct bench_random *r, unsigned char *value, size_t size)
{
    for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
        uint64_t word = bench_random_next(r);
        memcpy(value + at, &word, size - at < sizeof(word) ? size - at : sizeof(word));
    }
}

void bench_value_mark(const char key[BENCH_KEY_SIZE], unsigned char *value, size_t size)
{
    uint64_t hash = sherd_hash_key(key, BENCH_KEY_SIZE);
    size_t part = size < sizeof(hash) ? size : sizeof(hash);

    memcpy(value + size - part, &hash, part);
    memcpy(value, &hash, part);
}

bool bench_value_is_of(const char key[BENCH_KEY_SIZE], const unsigned char *value, size_t size)
{
    uint64_t hash = sherd_hash_key(key, BENCH_KEY_SIZE);
    size_t part = size < sizeof(hash) ? size : sizeof(hash);

    if (size == 0) return true;
    if (memcmp(value, &hash, part) != 0) return false;
    return size < 2 * sizeof(hash) || memcmp(value + size - part, &hash, part) == 0;
}
