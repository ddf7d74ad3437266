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

struct bench_key bench_key_of(uint64_t index, size_t size, size_t key_size)
{
    struct bench_key key = {.size = key_size, .text = "b"};

    put_digits(key.text + 1, 5, size, 36);
    put_digits(key.text + 6, (int)key_size - 6, index, 10);
    return key;
}

void bench_value_fill(struct bench_random *r, unsigned char *value, size_t size)
{
    for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
        uint64_t word = bench_random_next(r);
        memcpy(value + at, &word, size - at < sizeof(word) ? size - at : sizeof(word));
    }
}

void bench_value_mark(const struct bench_key *key, unsigned char *value, size_t size)
{
    uint64_t hash = sherd_hash_key(key->text, key->size);
    size_t part = size < sizeof(hash) ? size : sizeof(hash);

    memcpy(value + size - part, &hash, part);
    memcpy(value, &hash, part);
}

bool bench_value_is_of(const struct bench_key *key, const unsigned char *value, size_t size)
{
    uint64_t hash = sherd_hash_key(key->text, key->size);
    size_t part = size < sizeof(hash) ? size : sizeof(hash);

    if (size == 0) return true;
    if (memcmp(value, &hash, part) != 0) return false;
    return size < 2 * sizeof(hash) || memcmp(value + size - part, &hash, part) == 0;
}
