/* test_chaos.c - real servers and clients in network namespaces of their own, everything that may
 * happen to them, and a history that must be linearizable (tests/chaos).
 *
 *   --minutes N   how long faults go on (0.2)     --code K+M, --nodes N   4+2, 6
 *   --seed N      everything that is drawn (1)    --store memory|lmdb     memory
 *
 * Then everything is mended, and within a minute the cluster must be healthy, every key readable,
 * nothing undecided, and on each node one shard of each value and no other. Exit code 0; 1, and a
 * folder with logs and history; 77: there can be no namespaces here. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/cluster/chaos_events.h"
#include "tests/cluster/chaos_faults.h"
#include "tests/cluster/chaos_history.h"

enum {
    HEALTHY_MS = 60000,
    START_MS = 30000,
    TURN_MS = 5,
    READ_MS = 10000,
    CHECK_MS = 1800000,
    FULL_MINUTES = 2, /* from here on, its figures must be within bounds */
    GAP_MAX_S = 45,   /* without a success: a pause for a loss of m, the loss, what comes on top */
    LONG_MINUTES = 5, /* longer runs have slower clients: the whole history is kept */
};

static const double MINUTES_MIN = 0.02, MINUTES_MAX = 1440;
static struct chaos chaos;
static struct faults faults;
static double minutes = 0.2;
static bool passed;

/* ---- Options ---- */

static void usage(int code)
{
    fprintf(code == 0 ? stdout : stderr,
            "usage: tests/chaos [--minutes N] [--seed N] [--code K+M] [--nodes N] "
            "[--store memory|lmdb]\n");
    exit(code);
}

static bool parse_code(const char *text)
{
    int end = 0;

    if (text[strspn(text, "0123456789+")] != '\0') return false; /* %u takes signs and blanks */
    return sscanf(text, "%2u+%2u%n", &chaos.k, &chaos.m, &end) == 2 && text[end] == '\0';
}

static bool parse_number(const char *text, uint64_t *out)
{
    char *end = NULL;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0';
}

static bool parse_minutes(const char *text)
{
    char *end = NULL;

    minutes = strtod(text, &end);
    return *text >= '0' && *text <= '9' && *end == '\0' && minutes >= MINUTES_MIN &&
           minutes <= MINUTES_MAX;
}

static bool parse_store(const char *text)
{
    chaos.durable = strcmp(text, "lmdb") == 0;
    return chaos.durable || strcmp(text, "memory") == 0;
}

static bool parse_option(const char *name, const char *value)
{
    uint64_t nodes = 0;
    bool good = false;

    if (strcmp(name, "--minutes") == 0) return parse_minutes(value);
    if (strcmp(name, "--seed") == 0) return parse_number(value, &chaos.seed);
    if (strcmp(name, "--code") == 0) return parse_code(value);
    if (strcmp(name, "--store") == 0) return parse_store(value);
    if (strcmp(name, "--nodes") != 0) return false;
    good = parse_number(value, &nodes) && nodes >= 1 && nodes <= NET_HOSTS_MAX;
    chaos.nodes = (unsigned)nodes;
    return good;
}

static void parse(int argc, char **argv)
{
    chaos = (struct chaos){.seed = 1, .k = 4, .m = 2};
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--help") == 0) usage(0);
        if (!parse_option(argv[i], i + 1 < argc ? argv[i + 1] : "")) usage(2);
    }
    if (chaos.nodes == 0) chaos.nodes = chaos.k + chaos.m;
    /* One shard on each node is checked at the end; and a node is lost again and again. */
    if (chaos.nodes != chaos.k + chaos.m || chaos.nodes < 3 || chaos.m < 1 || chaos.k < 1 ||
        chaos.nodes + CHAOS_WORKERS > NET_HOSTS_MAX)
        usage(2);
}

static const char *store_name(void) { return chaos.durable ? "lmdb" : "memory"; }

/* Where a run that failed leaves its folder, before the watchman removes it. */
static void keep_folder(void)
{
    char place[PROCESS_ROOT_SIZE + 64];
    const char *root = process_root();

    if (passed) return;
    /* Beside it: a rename does not get to another file system. */
    snprintf(place, sizeof(place), "%.*s/sherd-chaos-%llu-%ld", (int)(strrchr(root, '/') - root),
             root, (unsigned long long)chaos.seed, (long)getpid());
    if (rename(root, place) == 0)
        printf("logs and history: %s\n", place);
    else
        printf("logs and history are lost: %s: %s\n", place, strerror(errno));
    printf("again: tests/chaos --minutes %g --seed %llu --code %u+%u --store %s\n", minutes,
           (unsigned long long)chaos.seed, chaos.k, chaos.m, store_name());
    fflush(stdout);
}

/* ---- Phases ---- */

static void start_all(void)
{
    struct cluster cluster;
    uint64_t ms;

    for (unsigned i = 0; i < chaos.nodes; i++)
        chaos_start_node(&chaos, i);
    cluster = chaos_cluster(&chaos);
    ms = cluster_wait_healthy(&cluster, START_MS);
    sherd_close(cluster.client);
    chaos_say(&chaos, "%u nodes, code %u+%u, %u partitions, vacated after %u ms; healthy in %.1f s",
              chaos.nodes, chaos.k, chaos.m, chaos.partitions, chaos.vacate_after_ms,
              (double)ms / 1000);
    chaos.control->began_us = test_now_us();
    chaos.control->think_us = minutes > LONG_MINUTES ? 120000 : 30000;
    for (unsigned i = 0; i < CHAOS_WORKERS; i++)
        chaos_start_worker(&chaos, i, NULL);
    chaos_watch(&chaos);
}

static void run_faults(uint64_t until_us)
{
    while (test_now_us() < until_us) {
        faults_turn(&faults);
        test_pause_ms(TURN_MS);
    }
    chaos_say(&chaos, "everything is mended");
    faults_heal(&faults);
    for (unsigned i = chaos.nodes; i < chaos.hosts; i++)
        chaos_end(&chaos, i);
}

struct reading {
    struct sherd_client *client;
    int file;
    uint32_t process, keys;
};

static void read_key(void *context, const char *key)
{
    struct reading *r = context;
    struct sherd_op op = {
        .kind = SHERD_OP_GET, .key = {key, strlen(key)}
    };
    struct event e = {r->process, EVENT_INVOKE, SHERD_OP_GET, key, "null", NULL};
    char json[EVENTS_NAME_SIZE + 2] = "null";
    int rc;

    events_write(r->file, &e);
    rc = sherd_run(r->client, &op);
    if (rc < 0) test_fail("sherd_run: %s", strerror(-rc));
    if (op.outcome != SHERD_OK && op.outcome != SHERD_NOT_FOUND)
        test_fail("after everything is mended: get %s: %s", key, sherd_outcome_name(op.outcome));
    if (op.outcome == SHERD_OK) value_json(key, &op.result, json, sizeof(json));
    e.type = EVENT_OK;
    e.value = json;
    events_write(r->file, &e);
    sherd_value_fini(&op.result);
    r->keys++;
}

static void read_all(const struct cluster *cluster)
{
    struct reading r = {.process = chaos.next_process + WORKER_PROCESSES};
    char path[PROCESS_ROOT_SIZE + 32];
    struct chaos_history h;

    snprintf(path, sizeof(path), "%s/last.events", process_root());
    r.file = events_open(path);
    r.client = cluster_client(cluster, READ_MS);
    if (r.file < 0) test_fail("%s: %s", path, strerror(errno));
    history_load(&h);
    history_keys(&h, read_key, &r);
    history_free(&h);
    sherd_close(r.client);
    close(r.file);
    chaos_say(&chaos, "all %u keys are readable", r.keys);
}

static void end_all(void)
{
    struct cluster cluster = chaos_cluster(&chaos);
    /* The bound is one of the product, whatever the build. */
    uint64_t ms = cluster_wait_healthy(&cluster, HEALTHY_MS / test_patience());

    chaos_say(&chaos, "healthy %.1f s after the last fault", (double)ms / 1000);
    read_all(&cluster);
    cluster_expect_quiet(&cluster);
    sherd_close(cluster.client);
    chaos_unwatch(&chaos);
    chaos_check(&chaos);
    for (unsigned i = 0; i < chaos.nodes; i++)
        chaos_end(&chaos, i);
    proxy_stop(&chaos.proxy);
    chaos_expect_intact(&chaos);
    if (process_sanitizer_spoke()) test_fail("a sanitizer has spoken");
}

static void judge(uint64_t from_us, uint64_t to_us)
{
    char path[PROCESS_ROOT_SIZE + 32];
    const char *argv[] = {CHECK_HISTORY, path, NULL};
    struct chaos_history h;
    uint64_t began_us = test_now_us(), gap_us;
    pid_t pid;
    int code;

    snprintf(path, sizeof(path), "%s/history.jsonl", process_root());
    history_load(&h);
    history_write(&h, path);
    faults_say(&faults);
    gap_us = history_say(&h, from_us, to_us);
    history_free(&h);
    pid = process_start("check", argv, NULL);
    code = process_wait(pid, CHECK_MS);
    if (code != 0) test_fail("check_history ended with %d: see check.out in the folder", code);
    test_say("linearizable (checked in %.1f s)", (double)(test_now_us() - began_us) / 1e6);
    if (minutes < FULL_MINUTES) return;
    faults_expect_all(&faults);
    if (gap_us > GAP_MAX_S * 1000000ull)
        test_fail("more than %d s without a success", (int)GAP_MAX_S);
}

int main(int argc, char **argv)
{
    uint64_t from_us, to_us;

    if (argc > 1 && strcmp(argv[1], "--worker") == 0) return worker_main(argc - 2, argv + 2);
    setvbuf(stdout, NULL, _IOLBF, 0);
    parse(argc, argv);
    process_watch();
    net_go_first();
    chaos.began_us = test_now_us();
    test_say("chaos: %g minutes, seed %llu, store %s", minutes, (unsigned long long)chaos.seed,
             store_name());
    chaos_make(&chaos);
    atexit(keep_folder);
    faults_init(&faults, &chaos);
    start_all();
    from_us = test_now_us();
    to_us = from_us + (uint64_t)(minutes * 60e6);
    run_faults(to_us);
    end_all();
    judge(from_us, to_us);
    passed = true;
    test_say("chaos: passed in %.1f s", (double)(test_now_us() - chaos.began_us) / 1e6);
    return 0;
}
