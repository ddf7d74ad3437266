/* codec.c - sherd-bench codec: the erasure code alone, on one thread. */
#include <sherd/ecc.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/values.h"

enum { MEMORY_BYTES = 256 << 20 }; /* far more than a cache holds */

static const char *const codes[] = {"1+2", "2+1", "3+2", "4+2", "8+3", "10+4", "16+16"};
static const size_t sizes[] = {1 << 10, 64 << 10, 1 << 20};

/* Stripes of n shards each, one after the other, so that the data comes from cache (one stripe) or
 * from memory (many). Values of `size` bytes are a multiple of k shards in all that is measured
 * here but 1 KiB, where the last shard is padded. */
struct bed {
    struct sherd_ecc *code;
    unsigned k, m;
    size_t shard_size, stripes;
    unsigned char *memory;
};

static unsigned char *shard_at(const struct bed *b, size_t stripe, unsigned slot)
{
    return b->memory + (stripe * (b->k + b->m) + slot) * b->shard_size;
}

static void encode(const struct bed *b, size_t stripe)
{
    const void *data[SHERD_ECC_SLOTS_MAX];
    void *parity[SHERD_ECC_SLOTS_MAX];

    for (unsigned i = 0; i < b->k; i++)
        data[i] = shard_at(b, stripe, i);
    for (unsigned i = 0; i < b->m; i++)
        parity[i] = shard_at(b, stripe, b->k + i);
    sherd_ecc_encode(b->code, b->shard_size, data, parity);
}

/* As many data shards as may be are lost, and made again in place. */
static void decode(const struct bed *b, size_t stripe)
{
    const void *shards[SHERD_ECC_SLOTS_MAX];
    void *out[SHERD_ECC_SLOTS_MAX] = {0};
    unsigned lost = b->m < b->k ? b->m : b->k;

    for (unsigned i = 0; i < b->k + b->m; i++)
        shards[i] = i < lost ? NULL : shard_at(b, stripe, i);
    for (unsigned i = 0; i < lost; i++)
        out[i] = shard_at(b, stripe, i);
    sherd_ecc_decode(b->code, b->shard_size, shards, out);
}

/* GB/s of values, for at least cell_ms. */
static double measure(const struct bed *b, void (*step)(const struct bed *, size_t),
                      uint64_t cell_ms)
{
    uint64_t started = bench_now_ns(), now = started;
    size_t stripe = 0, done = 0;
    size_t turn = 1 + (1 << 20) / (b->shard_size * b->k); /* between looks at the clock */

    while (now - started < cell_ms * 1000000) {
        for (size_t i = 0; i < turn; i++, stripe = stripe + 1 < b->stripes ? stripe + 1 : 0)
            step(b, stripe);
        done += turn;
        now = bench_now_ns();
    }
    return (double)done * (double)(b->shard_size * b->k) / (double)(now - started);
}

struct row {
    double encode, decode, encode_memory, decode_memory;
};

static int measure_row(unsigned k, unsigned m, size_t size, uint64_t cell_ms, struct row *row)
{
    struct bed b = {.k = k, .m = m, .shard_size = sherd_ecc_shard_size(k, size), .stripes = 1};
    size_t stripe_size = b.shard_size * (k + m);
    size_t many = MEMORY_BYTES / stripe_size;
    struct bench_random random = {1};
    int rc = sherd_ecc_new(k, m, &b.code);

    if (rc == 0) b.memory = malloc(many * stripe_size);
    if (b.memory == NULL) {
        sherd_ecc_free(b.code);
        return bench_fail(BENCH_ENVIRONMENT, "no memory");
    }
    bench_value_fill(&random, b.memory, many * stripe_size);
    row->encode = measure(&b, encode, cell_ms);
    row->decode = measure(&b, decode, cell_ms);
    b.stripes = many;
    row->encode_memory = measure(&b, encode, cell_ms);
    row->decode_memory = measure(&b, decode, cell_ms);
    free(b.memory);
    sherd_ecc_free(b.code);
    return 0;
}

static int run_code(const struct bench_options *o, const char *text)
{
    unsigned k = 0, m = 0;

    if (!bench_parse_code(text, &k, &m) || m == 0)
        return bench_fail(BENCH_USAGE,
                          "--code must be K+M with K and M of 1 or more, K + M at most 32, not "
                          "'%.60s'",
                          text);
    for (size_t i = 0; i < LEN(sizes); i++) {
        struct row r = {0};
        int code = measure_row(k, m, sizes[i], o->cell_ms, &r);
        if (code != 0) return code;
        if (o->json)
            printf("{\"code\":\"%u+%u\",\"value\":%zu,\"encode_gb_s\":%.3f,\"decode_gb_s\":%.3f,"
                   "\"encode_memory_gb_s\":%.3f,\"decode_memory_gb_s\":%.3f}\n",
                   k, m, sizes[i], r.encode, r.decode, r.encode_memory, r.decode_memory);
        else
            printf("%2u+%-2u %7zu KiB  %8.2f %8.2f   %8.2f %8.2f\n", k, m, sizes[i] >> 10, r.encode,
                   r.decode, r.encode_memory, r.decode_memory);
        fflush(stdout);
    }
    return 0;
}

static int run(const struct bench_options *o)
{
    int code = 0;

    if (!o->json)
        puts("GB/s of values, one thread; decode: as many data shards lost as may be\n"
             "                      in the cache         from memory\n"
             "code    value        encode   decode     encode   decode");
    if (o->code != NULL) return run_code(o, o->code);
    for (size_t i = 0; i < LEN(codes) && code == 0; i++)
        code = run_code(o, codes[i]);
    return code;
}

const struct bench_command bench_codec = {
    .name = "codec",
    .summary = "the erasure code alone: encode and decode, GB/s",
    .help = "  sherd-bench codec\n"
            "  sherd-bench codec --code 4+2 --json\n",
    .options = BENCH_TAKES(CODE) | BENCH_TAKES(CELL),
    .run = run,
};
