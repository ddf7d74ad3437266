/* store.c - sherd-bench-store: what a sync costs a durable store, and what sharing one saves.
 *
 *   sherd-bench-store [--depth N] [--size BYTES] [--seconds N] [--runs N] [DIRECTORY]
 *
 * Puts new keys into a store in DIRECTORY (the working directory unless given): first with a sync
 * after each, then with one after every N (64). Both on the same disk, in turns; of each the median
 * of the runs counts. The store is removed afterwards. */
#include <errno.h>
#include <getopt.h>
#include <sherd/ecc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "client/clock.h"
#include "server/store.h"

enum { SIZE_MAX_BYTES = 1 << 20, RUNS_MAX = 99, MEMORY_FILE_SYSTEM = 0x01021994 };

static struct {
    unsigned depth, size, seconds, runs;
    const char *directory;
} options = {64, 1024, 3, 3, "."};

static uint8_t shard[SIZE_MAX_BYTES];
static uint64_t keys_put;

_Noreturn static void stop(const char *what, int rc)
{
    fprintf(stderr, "sherd-bench-store: %s%s%s\n", what, rc < 0 ? ": " : "",
            rc < 0 ? strerror(-rc) : "");
    exit(rc < 0 ? 1 : 2);
}

static unsigned number_of(const char *text, unsigned max)
{
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0' || number == 0 || number > max) stop("bad number", 0);
    return (unsigned)number;
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"depth",   required_argument, NULL, 'd'},
        {"size",    required_argument, NULL, 's'},
        {"seconds", required_argument, NULL, 't'},
        {"runs",    required_argument, NULL, 'r'},
        {NULL,      0,                 NULL, 0  },
    };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'd': options.depth = number_of(optarg, 1 << 16); break;
        case 's': options.size = number_of(optarg, SIZE_MAX_BYTES); break;
        case 't': options.seconds = number_of(optarg, 3600); break;
        case 'r': options.runs = number_of(optarg, RUNS_MAX); break;
        default: stop("[--depth N] [--size BYTES] [--seconds N] [--runs N] [DIRECTORY]", 0);
        }
    }
    if (optind < argc) options.directory = argv[optind];
}

/* What a PREPARE does to a key that is new here. */
static void put(struct sherd_store *s)
{
    char text[24];
    int size = snprintf(text, sizeof(text), "%020llu", (unsigned long long)keys_put++);
    uint64_t hash = sherd_hash_key(text, (size_t)size);
    struct sherd_store_key key = {
        (uint16_t)(hash % SHERD_PARTITIONS), hash, {text, (size_t)size}
    };
    struct sherd_change change = {.put = true};
    struct sherd_record record;
    int rc = s->ops->load(s, &key, false, &record);

    record.count = 1;
    record.entries[0] = (struct sherd_entry){
        .ballot = {keys_put, 1, 1},
        .version = {keys_put,        1,  1},
        .has_shard = true,
        .crc = sherd_crc32c(shard, options.size),
        .shard = {shard,       options.size      }
    };
    if (rc == 0) rc = s->ops->apply(s, &key, &record, &change, NULL);
    if (rc < 0) stop("a key cannot be put", rc);
}

/* Keys a second, `depth` of them to a sync. */
static double rate_of(struct sherd_store *s, unsigned depth)
{
    uint64_t begin_us = sherd_clock_now_us(), now_us = begin_us, before = keys_put;

    while (now_us - begin_us < options.seconds * UINT64_C(1000000)) {
        for (unsigned i = 0; i < depth; i++)
            put(s);
        int rc = s->ops->sync(s);
        if (rc < 0) stop("a sync failed", rc);
        now_us = sherd_clock_now_us();
    }
    return (double)(keys_put - before) * 1e6 / (double)(now_us - begin_us);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *rates)
{
    qsort(rates, options.runs, sizeof(rates[0]), compare);
    return rates[options.runs / 2];
}

int main(int argc, char **argv)
{
    char directory[1024];
    struct sherd_store_lmdb_config config = {.directory = directory};
    struct sherd_store *s = NULL;
    struct statfs system;
    double alone[RUNS_MAX], shared[RUNS_MAX], one, many;
    int rc;

    read_options(argc, argv);
    if (snprintf(directory, sizeof(directory), "%s/sherd-bench-store.%d", options.directory,
                 (int)getpid()) >= (int)sizeof(directory))
        stop("a long path", 0);
    rc = sherd_store_lmdb_open(&config, &s);
    if (rc < 0) stop(directory, rc);
    if (statfs(directory, &system) == 0 && system.f_type == MEMORY_FILE_SYSTEM)
        puts("note: this is no disk, but memory");
    for (unsigned i = 0; i < options.runs; i++) {
        alone[i] = rate_of(s, 1);
        shared[i] = rate_of(s, options.depth);
    }
    s->ops->close(s);
    rc = sherd_store_lmdb_remove(directory);
    if (rc < 0) stop(directory, rc);
    one = median(alone);
    many = median(shared);
    printf("shards of %u bytes, median of %u runs of %u s\n", options.size, options.runs,
           options.seconds);
    printf("a sync each      %10.0f a second\n", one);
    printf("a sync for %-5u %10.0f a second\n", options.depth, many);
    printf("ratio            %10.1f\n", many / one);
    return 0;
}
