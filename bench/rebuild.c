/* rebuild.c - sherd-bench rebuild: how fast a node that came back empty gets its shards again. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/cluster.h"
#include "bench/node.h"
#include "bench/workers.h"

enum {
    LOOK_EVERY_MS = 10, /* each look costs the node one answer */
    SHOW_EVERY_MS = 500,
};

static const uint64_t give_up_ns = UINT64_C(300) * 1000000000; /* of one rebuild */

struct rebuilt {
    double seconds;       /* from the first learner partition seen to the last vote */
    double from_start;    /* from before the process was started to the last vote */
    uint64_t keys, bytes; /* made anew in `seconds`: what was there at the first look is left out */
};

static void show_progress(const struct bench_node *now, const struct bench_node *before)
{
    if (!isatty(STDERR_FILENO)) return;
    fprintf(stderr, "\r  votes in %" PRIu64 " of %" PRIu64 " partitions, %.1f MB rebuilt   ",
            now->voting, before->voting, (double)now->rebuilt_bytes / 1e6);
    if (now->voting == before->voting) fputs("\n", stderr);
}

/* Whether the node that now answers is another life of it, and votes wherever it did. */
static bool is_rebuilt(const struct bench_node *now, const struct bench_node *before)
{
    return strcmp(now->incarnation, before->incarnation) != 0 && now->learning == 0 &&
           now->sealing == 0 && now->voting >= before->voting;
}

/* Watches the node, started at `started`, until it votes everywhere. `before`: its state before it
 * was killed. 0, or an exit code. */
static int watch(struct sherd_client *client, unsigned node, const struct bench_node *before,
                 uint64_t started, struct rebuilt *out)
{
    uint64_t now = started, first_ns = 0, shown = started;
    struct bench_node state = {0}, first = {0};

    while (now - started < give_up_ns) {
        int rc = bench_node_look(client, node, &state);
        now = bench_now_ns();
        if (rc < 0 && rc != -EAGAIN)
            return bench_fail(BENCH_ENVIRONMENT, "stats of node %u: %s", node, strerror(-rc));
        if (rc == 0 && first_ns == 0 && state.learning > 0) {
            first_ns = now;
            first = state;
        }
        if (rc == 0 && now - shown >= (uint64_t)SHOW_EVERY_MS * 1000000) {
            show_progress(&state, before);
            shown = now;
        }
        if (rc == 0 && is_rebuilt(&state, before)) {
            show_progress(&state, before);
            *out = (struct rebuilt){
                .seconds = (double)(now - (first_ns != 0 ? first_ns : started)) / 1e9,
                .from_start = (double)(now - started) / 1e9,
                .keys = state.rebuilt_keys - first.rebuilt_keys,
                .bytes = state.rebuilt_bytes - first.rebuilt_bytes,
            };
            return 0;
        }
        bench_sleep_ms(LOOK_EVERY_MS);
    }
    return bench_fail(BENCH_FAILED,
                      "node %u does not vote everywhere after %u s: voting %" PRIu64 " of %" PRIu64
                      ", learning %" PRIu64 ", sealing %" PRIu64,
                      node, (unsigned)(give_up_ns / 1000000000), state.voting, before->voting,
                      state.learning, state.sealing);
}

/* The shards that the node had, it must have again: a vote alone would be a poor proof. */
static int check_whole(struct sherd_client *client, unsigned node, const struct bench_node *before)
{
    struct bench_node after = {0};

    if (bench_node_look(client, node, &after) != 0)
        return bench_fail(BENCH_FAILED, "node %u does not answer after its rebuild", node);
    if (after.shards >= before->shards && after.shard_bytes >= before->shard_bytes) return 0;
    return bench_fail(BENCH_FAILED,
                      "node %u votes, but holds %" PRIu64 " shards of %" PRIu64
                      " bytes; it held %" PRIu64 " of %" PRIu64,
                      node, after.shards, after.shard_bytes, before->shards, before->shard_bytes);
}

static int rebuild_once(const struct bench_options *o, struct sherd_client *client,
                        struct rebuilt *out)
{
    unsigned node = (unsigned)o->node;
    struct bench_node before = {0};
    uint64_t started;
    int code;

    if (bench_node_look(client, node, &before) != 0)
        return bench_fail(BENCH_ENVIRONMENT, "node %u does not answer", node);
    if (before.voting == 0)
        return bench_fail(BENCH_ENVIRONMENT, "node %u votes nowhere: nothing to rebuild", node);
    code = bench_cluster_run(o, "kill", node);
    started = bench_now_ns();
    if (code == 0) code = bench_cluster_run(o, "start", node);
    if (code == 0) code = watch(client, node, &before, started, out);
    if (code == 0) code = check_whole(client, node, &before);
    return code;
}

static void print_result(const struct bench_options *o, const struct rebuilt *runs, size_t median)
{
    const struct rebuilt *r = &runs[median];
    double keys_s = (double)r->keys / r->seconds, mb_s = (double)r->bytes / 1e6 / r->seconds;

    if (o->json) {
        printf("{\"workload\":\"rebuild\",\"size\":%" PRIu64 ",\"count\":%" PRIu64
               ",\"keys\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"seconds\":%.3f,"
               "\"seconds_from_start\":%.3f,\"keys_s\":%.0f,\"mb_s\":%.1f,\"runs_s\":[",
               o->size, o->count, r->keys, r->bytes, r->seconds, r->from_start, keys_s, mb_s);
        for (size_t i = 0; i < o->runs; i++)
            printf("%s%.3f", i == 0 ? "" : ",", runs[i].seconds);
        puts("]}");
    } else {
        printf("rebuild of node %" PRIu64 ", values of %" PRIu64 " bytes: median of %" PRIu64
               " runs\n  %" PRIu64 " shards, %.1f MB in %.2f s (%.2f s from the start): "
               "%.0f keys/s  %.1f MB/s\n  seconds:",
               o->node, o->size, o->runs, r->keys, (double)r->bytes / 1e6, r->seconds,
               r->from_start, keys_s, mb_s);
        for (size_t i = 0; i < o->runs; i++)
            printf(" %.2f", runs[i].seconds);
        putchar('\n');
    }
    fflush(stdout);
}

static int run_all(const struct bench_options *o, struct sherd_client *client)
{
    struct rebuilt *runs = calloc(o->runs, sizeof(*runs));
    double *seconds = calloc(o->runs, sizeof(*seconds));
    int code = 0;

    if (runs == NULL || seconds == NULL) code = bench_fail(BENCH_ENVIRONMENT, "no memory");
    for (size_t i = 0; i < o->runs && code == 0; i++) {
        code = rebuild_once(o, client, &runs[i]);
        seconds[i] = runs[i].seconds;
    }
    if (code == 0) print_result(o, runs, bench_median(seconds, o->runs));
    free(runs);
    free(seconds);
    return code;
}

/* Every key once: written before the rebuild, read after it. */
static int pass(const struct bench_options *o, const char *conf, const char *name,
                unsigned read_share)
{
    struct bench_work work = {
        .conf = conf,
        .name = name,
        .read_share = read_share,
        .size = (size_t)o->size,
        .key_size = (size_t)o->key,
        .count = o->count,
        .depth = (unsigned)o->depth,
        .threads = 1,
        .timeout_ms = (uint32_t)o->timeout_ms,
        .seed = bench_now_ns(),
    };
    struct bench_tally *tally = malloc(sizeof(*tally));
    int code;

    if (tally == NULL) return bench_fail(BENCH_ENVIRONMENT, "no memory");
    code = bench_workers_run(&work, tally);
    if (code == 0) code = bench_tally_report_failures(&work, tally);
    free(tally);
    return code;
}

static int run(const struct bench_options *o)
{
    struct sherd_client *client = NULL;
    char conf[BENCH_PATH_SIZE];
    int code;

    if (o->dir == NULL)
        return bench_fail(BENCH_USAGE,
                          "--dir is missing: only nodes of a local cluster are killed");
    code = bench_cluster_conf(o, conf);
    if (code == 0) code = pass(o, conf, "load before the rebuild", 0);
    if (code == 0) code = bench_node_client(conf, &client);
    if (code == 0) code = run_all(o, client);
    sherd_close(client);
    if (code == 0) code = pass(o, conf, "reads after the rebuild", 100);
    return code;
}

const struct bench_command bench_rebuild = {
    .name = "rebuild",
    .summary = "kill a node, start it empty, and time its rebuild (local clusters, no load)",
    .help =
        "Writes the keys, then kills and starts the node --runs times, each time from the first\n"
        "partition that it learns to the last one in which it votes again; checks that it\n"
        "holds all shards it held, and reads as many keys at random. Lift the cluster's\n"
        "--recovery-rate first, or that is what will be measured.\n\n"
        "  sherd-bench rebuild --dir /tmp/six --node 1 --size 1MiB --count 2000 --depth 16\n",
    .options = BENCH_TAKES(DIR) | BENCH_TAKES(NODE) | BENCH_TAKES(SIZE) | BENCH_TAKES(COUNT) |
               BENCH_TAKES(DEPTH) | BENCH_TAKES(RUNS) | BENCH_TAKES(SHERD) | BENCH_TAKES(TIMEOUT),
    .run = run,
};
