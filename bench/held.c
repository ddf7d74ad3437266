/* held.c - sherd-bench held: how many bytes the nodes hold for each byte stored. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/cluster.h"
#include "bench/node.h"
#include "bench/workers.h"

enum { LOOK_EVERY_MS = 50, LOOKS_MAX = 400 };

/* All nodes together, by the counters of their stores. */
struct sum {
    uint64_t bytes, shards, shard_bytes, undecided;
};

static int look_at_all(struct sherd_client *client, const struct sherd_cluster_info *info,
                       struct sum *out)
{
    struct bench_node node = {0};

    *out = (struct sum){0};
    for (unsigned i = 0; i < info->node_count; i++) {
        if (bench_node_look(client, i, &node) != 0)
            return bench_fail(BENCH_ENVIRONMENT, "node %u does not answer", i);
        out->bytes += node.bytes;
        out->shards += node.shards;
        out->shard_bytes += node.shard_bytes;
        out->undecided += node.undecided;
    }
    return 0;
}

static int store(const struct bench_options *o, const char *conf)
{
    struct bench_work work = {
        .conf = conf,
        .name = "held",
        .size = (size_t)o->size,
        .key_size = (size_t)o->key,
        .count = o->count,
        .depth = (unsigned)o->depth,
        .threads = 1,
        .timeout_ms = (uint32_t)o->timeout_ms,
        .seed = 1,
    };
    struct bench_tally *tally = malloc(sizeof(*tally));
    int code;

    if (tally == NULL) return bench_fail(BENCH_ENVIRONMENT, "no memory");
    code = bench_workers_run(&work, tally);
    if (code == 0) code = bench_tally_report_failures(&work, tally);
    free(tally);
    return code;
}

/* Until every node has its shard of every value and nothing is undecided: *out is what came. */
static int wait_for_all(struct sherd_client *client, const struct sherd_cluster_info *info,
                        uint64_t count, const struct sum *before, struct sum *out)
{
    uint64_t shards = count * (info->k + info->m);
    struct sum now = {0};

    for (unsigned i = 0; i < LOOKS_MAX; i++) {
        int code = look_at_all(client, info, &now);
        if (code != 0) return code;
        *out = (struct sum){now.bytes - before->bytes, now.shards - before->shards,
                            now.shard_bytes - before->shard_bytes, now.undecided};
        if (out->shards == shards && out->undecided == 0) return 0;
        bench_sleep_ms(LOOK_EVERY_MS);
    }
    return bench_fail(BENCH_FAILED,
                      "%" PRIu64 " shards of %" PRIu64 ", and %" PRIu64
                      " undecided: were the keys there before?",
                      out->shards, shards, out->undecided);
}

static void print_result(const struct bench_options *o, const struct sherd_cluster_info *info,
                         const struct sum *held)
{
    double stored = (double)o->size * (double)o->count;
    double beside = (double)(held->bytes - held->shard_bytes - held->shards * o->key);

    printf(o->json ? "{\"workload\":\"held\",\"code\":\"%u+%u\",\"size\":%" PRIu64
                     ",\"key\":%" PRIu64 ",\"count\":%" PRIu64 ",\"bytes\":%" PRIu64
                     ",\"shards\":%" PRIu64 ",\"bytes_byte\":%.4f,\"beside_shard\":%.2f}\n"
                   : "held at %u+%u, values of %" PRIu64 " bytes under keys of %" PRIu64
                     ", %" PRIu64 " of them\n  %" PRIu64 " bytes in %" PRIu64
                     " shards: %.4f a byte stored, %.2f a shard beside key and payload\n",
           info->k, info->m, o->size, o->key, o->count, held->bytes, held->shards,
           (double)held->bytes / stored, beside / (double)held->shards);
    fflush(stdout);
}

static int measure(const struct bench_options *o, const char *conf, struct sherd_client *client)
{
    struct sherd_cluster_info info = {0};
    enum sherd_outcome outcome = SHERD_NO_QUORUM;
    struct sum before = {0}, held = {0};
    int code;

    if (sherd_cluster_info(client, &outcome, &info) < 0 || outcome != SHERD_OK)
        return bench_fail(BENCH_ENVIRONMENT, "no map of the cluster");
    code = look_at_all(client, &info, &before);
    if (code == 0) code = store(o, conf);
    if (code == 0) code = wait_for_all(client, &info, o->count, &before, &held);
    if (code == 0) print_result(o, &info, &held);
    return code;
}

static int run(const struct bench_options *o)
{
    struct sherd_client *client = NULL;
    char conf[BENCH_PATH_SIZE];
    int code = bench_cluster_conf(o, conf);

    if (code == 0 && o->size == 0)
        code = bench_fail(BENCH_USAGE,
                          "--size must not be 0: an empty value has no bytes to compare with");
    if (code == 0) code = bench_node_client(conf, &client);
    if (code == 0) code = measure(o, conf, client);
    sherd_close(client);
    return code;
}

const struct bench_command bench_held = {
    .name = "held",
    .summary = "bytes held by all nodes for each byte stored",
    .help =
        "Stores the keys, which must be new, and asks the nodes how much more they hold. Beside "
        "key\n"
        "and payload of a shard is everything else: its metadata, the index, what the allocator\n"
        "keeps and rounds up. bench/held.sh makes a table of it, with Redis beside.\n\n"
        "  sherd-bench held --dir /tmp/six --size 1KiB --key 24 --count 100000\n",
    .options = BENCH_TAKES(DIR) | BENCH_TAKES(CONF) | BENCH_TAKES(SIZE) | BENCH_TAKES(KEY) |
               BENCH_TAKES(COUNT) | BENCH_TAKES(DEPTH) | BENCH_TAKES(TIMEOUT),
    .run = run,
};
