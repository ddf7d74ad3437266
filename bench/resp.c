/* resp.c - sherd-bench resp: what held stores, as commands for `redis-cli --pipe`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/values.h"

static void print_set(const struct bench_key *key, const unsigned char *value, size_t size)
{
    printf("*3\r\n$3\r\nSET\r\n$%zu\r\n", key->size);
    fwrite(key->text, 1, key->size, stdout);
    printf("\r\n$%zu\r\n", size);
    fwrite(value, 1, size, stdout);
    fputs("\r\n", stdout);
}

static int run(const struct bench_options *o)
{
    size_t size = (size_t)o->size;
    unsigned char *value = malloc(size + 1);
    struct bench_random random = {1};

    if (value == NULL) return bench_fail(BENCH_ENVIRONMENT, "no memory");
    for (uint64_t i = 0; i < o->count && !ferror(stdout); i++) {
        struct bench_key key = bench_key_of(i, size, (size_t)o->key);
        bench_value_fill(&random, value, size);
        bench_value_mark(&key, value, size);
        print_set(&key, value, size);
    }
    free(value);
    return BENCH_OK; /* main() looks whether everything was written */
}

const struct bench_command bench_resp = {
    .name = "resp",
    .summary = "prints what held stores, for Redis",
    .help = "The same keys, and values of the same kind, in Redis' protocol.\n\n"
            "  sherd-bench resp --size 1KiB --key 24 --count 100000 | redis-cli --pipe\n",
    .options = BENCH_TAKES(SIZE) | BENCH_TAKES(KEY) | BENCH_TAKES(COUNT),
    .run = run,
};
