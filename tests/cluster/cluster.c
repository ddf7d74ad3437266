#include "tests/cluster/cluster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

enum {
    WORDS_MAX = 32,
    ASK_MS = 2000,
    START_MS = 60000,
    DOWN_MS = 15000, /* 5 s are promised to SIGTERM; `sherd cluster down` does them in turn */
    PORT_FIRST = 15000,
    PORT_LAST = 32000, /* below what the kernel gives to whoever connects */
};

/* ---- Commands ---- */

/* "sherd WORDS... --dir DIR" into argv. */
static void make_argv(const struct cluster *c, const char *const *words,
                      const char *argv[WORDS_MAX])
{
    unsigned count = 0;

    argv[count++] = SHERD_CLI;
    for (; *words != NULL; words++) {
        TEST_CHECK(count < WORDS_MAX - 3);
        argv[count++] = *words;
    }
    argv[count++] = "--dir";
    argv[count++] = c->dir;
    argv[count] = NULL;
}

int cluster_run(const struct cluster *c, const char *const *words, struct process_result *out)
{
    const char *argv[WORDS_MAX];

    make_argv(c, words, argv);
    process_run(argv, out);
    return out->code;
}

/* ---- Up and down ---- */

static bool port_is_free(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_free;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    is_free = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0) close(fd);
    return is_free;
}

unsigned cluster_find_ports(unsigned count)
{
    uint64_t random = test_now_us() ^ (uint64_t)getpid() << 40;

    for (unsigned attempt = 0; attempt < 1000; attempt++) {
        unsigned first = PORT_FIRST + test_below(&random, PORT_LAST - PORT_FIRST - count);
        unsigned n = 0;
        while (n < count && port_is_free(first + n))
            n++;
        if (n == count) return first;
    }
    test_fail("no %u free ports in a row", count);
}

static pid_t read_pid(const struct cluster *c, unsigned node)
{
    char path[CLUSTER_DIR_SIZE + 32];
    int pid = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/node-%u.pid", c->dir, node);
    file = fopen(path, "re");
    if (file != NULL && fscanf(file, "%d", &pid) != 1) pid = 0;
    if (file != NULL) fclose(file);
    if (pid <= 1 || !process_is_alive(pid)) test_fail("%s names no running server", path);
    return pid;
}

void cluster_endpoint(const struct cluster *c, unsigned node, char out[CLUSTER_ENDPOINT_SIZE])
{
    snprintf(out, CLUSTER_ENDPOINT_SIZE, "tcp://127.0.0.1:%u", c->base_port + node);
}

struct sherd_client *cluster_client(const struct cluster *c, uint32_t timeout_ms)
{
    char seeds[CLUSTER_NODES_MAX * (CLUSTER_ENDPOINT_SIZE + 1)] = "", error[256] = "";
    char endpoint[CLUSTER_ENDPOINT_SIZE];
    struct sherd_options options = {.seeds = seeds, .timeout_ms = timeout_ms};
    struct sherd_client *client = NULL;
    size_t size = 0;

    for (unsigned i = 0; i < c->nodes && c->seeds == NULL; i++) {
        cluster_endpoint(c, i, endpoint);
        size += (size_t)snprintf(seeds + size, sizeof(seeds) - size, "%s%s", i > 0 ? "," : "",
                                 endpoint);
    }
    if (c->seeds != NULL) options.seeds = c->seeds;
    if (sherd_open(&options, &client, error, sizeof(error)) < 0)
        test_fail("no client of %s: %s", options.seeds, error);
    return client;
}

static int try_up(struct cluster *c, const char *code, const char *const *options,
                  struct process_result *result)
{
    char nodes[16], port[16];
    const char *words[WORDS_MAX] = {"cluster", "up", "--nodes",     nodes,
                                    "--code",  code, "--base-port", port};
    unsigned count = 8;

    for (; options != NULL && *options != NULL; options++)
        words[count++] = *options;
    c->base_port = cluster_find_ports(c->nodes + 1); /* and one for the keeper */
    snprintf(nodes, sizeof(nodes), "%u", c->nodes);
    snprintf(port, sizeof(port), "%u", c->base_port);
    return cluster_run(c, words, result);
}

void cluster_up(struct cluster *c, const char *code, const char *const *options)
{
    static unsigned made;
    struct process_result result;
    int failed = 1;

    *c = (struct cluster){0};
    if (sscanf(code, "%u+%u", &c->k, &c->m) != 2) test_fail("%s is no code", code);
    c->nodes = c->k + c->m;
    TEST_CHECK(c->nodes <= CLUSTER_NODES_MAX);
    for (unsigned attempt = 0; attempt < 3 && failed; attempt++) { /* a port may be lost again */
        snprintf(c->dir, sizeof(c->dir), "%s/cluster-%u", process_root(), made++);
        failed = try_up(c, code, options, &result);
    }
    if (failed) test_fail("cluster up: exit code %d: %s%s", result.code, result.out, result.err);
    for (unsigned i = 0; i < c->nodes; i++) {
        c->pid[i] = read_pid(c, i);
        c->state[i] = CLUSTER_RUNNING;
    }
    c->client = cluster_client(c, ASK_MS);
}

static void expect_alive(const struct cluster *c)
{
    for (unsigned i = 0; i < c->nodes; i++)
        if (c->state[i] == CLUSTER_RUNNING && !process_is_alive(c->pid[i]))
            test_fail("node %u has ended by itself: %d", i, process_wait(c->pid[i], 0));
}

void cluster_down(struct cluster *c)
{
    static const char *const words[] = {"cluster", "down", NULL};
    struct process_result result;

    sherd_close(c->client);
    c->client = NULL;
    for (unsigned i = 0; i < c->nodes; i++)
        if (c->state[i] == CLUSTER_STOPPED) cluster_continue(c, i);
    expect_alive(c);
    if (cluster_run(c, words, &result) != 0)
        test_fail("cluster down: exit code %d: %s", result.code, result.err);
    for (unsigned i = 0; i < c->nodes; i++) {
        if (c->state[i] != CLUSTER_RUNNING) continue;
        int code = process_wait(c->pid[i], DOWN_MS);
        if (code != 0) test_fail("node %u ended with %d, not 0, after SIGTERM", i, code);
        c->state[i] = CLUSTER_DEAD;
    }
    if (process_sanitizer_spoke()) test_fail("a sanitizer has spoken");
}

/* ---- What happens to nodes ---- */

static void send_signal(struct cluster *c, unsigned node, int number)
{
    TEST_CHECK(node < c->nodes);
    if (c->state[node] == CLUSTER_DEAD || kill(c->pid[node], number) != 0)
        test_fail("node %u is not there to be signalled", node);
}

static bool has_stopped(void *context)
{
    char path[40], text[300] = "";
    const char *state;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)*(pid_t *)context);
    file = fopen(path, "re");
    if (file != NULL && fgets(text, sizeof(text), file) == NULL) text[0] = '\0';
    if (file != NULL) fclose(file);
    state = strrchr(text, ')');
    return state != NULL && state[1] == ' ' && state[2] == 'T';
}

void cluster_stop(struct cluster *c, unsigned node)
{
    send_signal(c, node, SIGSTOP);
    if (!test_wait(has_stopped, &c->pid[node], START_MS)) test_fail("node %u does not stop", node);
    c->state[node] = CLUSTER_STOPPED;
}

void cluster_continue(struct cluster *c, unsigned node)
{
    send_signal(c, node, SIGCONT);
    c->state[node] = CLUSTER_RUNNING;
}

void cluster_kill(struct cluster *c, unsigned node)
{
    send_signal(c, node, SIGKILL);
    if (process_wait(c->pid[node], START_MS) != -SIGKILL)
        test_fail("node %u was not alive when it was killed", node);
    c->state[node] = CLUSTER_DEAD;
}

void cluster_kill_all(struct cluster *c)
{
    for (unsigned i = 0; i < c->nodes; i++)
        send_signal(c, i, SIGKILL);
    for (unsigned i = 0; i < c->nodes; i++) {
        if (process_wait(c->pid[i], START_MS) != -SIGKILL)
            test_fail("node %u was not alive when it was killed", i);
        c->state[i] = CLUSTER_DEAD;
    }
}

pid_t cluster_start_begin(const struct cluster *c, unsigned node)
{
    char number[16], name[32];
    const char *words[] = {"cluster", "start", number, NULL};
    const char *argv[WORDS_MAX];

    snprintf(number, sizeof(number), "%u", node);
    snprintf(name, sizeof(name), "start-%u", node);
    make_argv(c, words, argv);
    return process_start(name, argv, NULL);
}

void cluster_start_wait(struct cluster *c, unsigned node, pid_t starter)
{
    int code = process_wait(starter, START_MS * test_patience());

    if (code != 0) test_fail("sherd cluster start %u: exit code %d", node, code);
    c->pid[node] = read_pid(c, node);
    c->state[node] = CLUSTER_RUNNING;
}

void cluster_start(struct cluster *c, unsigned node)
{
    cluster_start_wait(c, node, cluster_start_begin(c, node));
}

void cluster_start_all(struct cluster *c)
{
    static const char *const words[] = {"cluster", "start", NULL};
    struct process_result result;

    if (cluster_run(c, words, &result) != 0) test_fail("cluster start: %s", result.err);
    for (unsigned i = 0; i < c->nodes; i++) {
        if (c->state[i] != CLUSTER_DEAD) continue;
        c->pid[i] = read_pid(c, i);
        c->state[i] = CLUSTER_RUNNING;
    }
}

void cluster_stop_set(struct cluster *c, uint32_t set)
{
    for (unsigned i = 0; i < c->nodes; i++)
        if (set >> i & 1) cluster_stop(c, i);
}

void cluster_continue_set(struct cluster *c, uint32_t set)
{
    for (unsigned i = 0; i < c->nodes; i++)
        if (set >> i & 1) cluster_continue(c, i);
}

const char *cluster_set_text(uint32_t set, char out[3 * CLUSTER_NODES_MAX + 1])
{
    size_t size = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < CLUSTER_NODES_MAX; i++)
        if (set >> i & 1)
            size += (size_t)snprintf(out + size, 3 * CLUSTER_NODES_MAX + 1 - size, "%s%u",
                                     size > 0 ? "," : "", i);
    return out;
}

/* ---- What nodes say ---- */

/* The JSON of a node, or NULL: no answer. */
static json_t *ask(struct cluster *c, unsigned node)
{
    enum sherd_outcome outcome = SHERD_NO_QUORUM;
    json_error_t error;
    json_t *object;
    char *text = NULL;
    int rc = sherd_node_stats(c->client, (uint16_t)node, &outcome, &text);

    if (rc < 0) test_fail("sherd_node_stats: %s", strerror(-rc));
    if (outcome != SHERD_OK) return NULL;
    object = json_loads(text, 0, &error);
    if (object == NULL) test_fail("node %u's STATS are no JSON: %s: %s", node, error.text, text);
    free(text);
    return object;
}

/* object[path], where `path` is "name", "group.name", ...; its absence fails the test. */
static uint64_t number_at(const json_t *object, const char *path)
{
    const char *name = path, *dot;
    const json_t *value;
    char group[32];

    for (; (dot = strchr(name, '.')) != NULL; name = dot + 1) {
        snprintf(group, sizeof(group), "%.*s", (int)(dot - name), name);
        object = json_object_get(object, group);
    }
    value = json_object_get(object, name);
    if (!json_is_integer(value)) test_fail("STATS have no number %s", path);
    return (uint64_t)json_integer_value(value);
}

bool cluster_node_stats(struct cluster *c, unsigned node, struct cluster_node_stats *out)
{
    static const char *const names[] = {
        "map_version",        "live",
        "partitions.voting",  "partitions.learning",
        "partitions.sealing", "partitions.unclean",
        "partitions.lost",    "store.keys",
        "store.shards",       "store.shard_bytes",
        "store.bytes",        "store.undecided",
        "store.tombstones",   "undecided_queue",
        "repair_list",        "rescan_partitions",
        "recovery.backlog",
    };
    uint64_t numbers[LEN(names)]; /* in the order of struct cluster_node_stats */
    json_t *object = ask(c, node);

    if (object == NULL) return false;
    for (size_t i = 0; i < LEN(names); i++)
        numbers[i] = number_at(object, names[i]);
    json_decref(object);
    _Static_assert(sizeof(*out) == sizeof(numbers), "a name for each field");
    memcpy(out, numbers, sizeof(numbers));
    return true;
}

uint64_t cluster_number(struct cluster *c, unsigned node, const char *path)
{
    json_t *object = NULL;
    uint64_t number;

    /* Once more: a node that many strangers talked to has forgotten our session. */
    for (unsigned i = 0; i < 3 && object == NULL; i++)
        object = ask(c, node);
    if (object == NULL) test_fail("node %u does not answer", node);
    number = number_at(object, path);
    json_decref(object);
    return number;
}

/* Why the cluster is not healthy; for the report of a failure. */
static char trouble[512];

static bool node_is_well(unsigned node, const struct cluster_node_stats *s, uint64_t partitions,
                         uint64_t version)
{
    bool well = s->voting == partitions && s->learning + s->sealing + s->unclean + s->lost == 0 &&
                s->map_version == version && s->live == version &&
                s->repair_list + s->rescan + s->backlog == 0;

    if (!well)
        snprintf(trouble, sizeof(trouble),
                 "node %u: map %llu (live %llu, node 0 has %llu), partitions: %llu of %llu voting, "
                 "%llu learning, %llu sealing, %llu unclean, %llu lost; to repair: list %llu, "
                 "rescan %llu, backlog %llu",
                 node, (unsigned long long)s->map_version, (unsigned long long)s->live,
                 (unsigned long long)version, (unsigned long long)s->voting,
                 (unsigned long long)partitions, (unsigned long long)s->learning,
                 (unsigned long long)s->sealing, (unsigned long long)s->unclean,
                 (unsigned long long)s->lost, (unsigned long long)s->repair_list,
                 (unsigned long long)s->rescan, (unsigned long long)s->backlog);
    return well;
}

static bool is_healthy(void *context)
{
    struct cluster *c = context;
    struct sherd_cluster_info info = {0};
    enum sherd_outcome outcome = SHERD_NO_QUORUM;
    struct cluster_node_stats first = {0}, stats;

    expect_alive(c);
    if (sherd_cluster_info(c->client, &outcome, &info) < 0 || outcome != SHERD_OK) {
        snprintf(trouble, sizeof(trouble), "no map: %s", sherd_outcome_name(outcome));
        return false;
    }
    for (unsigned i = 0; i < c->nodes; i++) {
        if (!cluster_node_stats(c, i, &stats)) {
            snprintf(trouble, sizeof(trouble), "node %u does not answer", i);
            return false;
        }
        if (i == 0) first = stats;
        if (!node_is_well(i, &stats, info.partitions, first.map_version)) return false;
    }
    return true;
}

uint64_t cluster_wait_healthy(struct cluster *c, uint64_t timeout_ms)
{
    uint64_t began_ms = test_now_ms();

    if (!test_wait(is_healthy, c, timeout_ms * test_patience()))
        test_fail("not healthy after %llu ms: %s", (unsigned long long)(test_now_ms() - began_ms),
                  trouble);
    return test_now_ms() - began_ms;
}

static bool count_key(void *context, struct sherd_bytes key, uint64_t size)
{
    (void)key, (void)size;
    ++*(uint64_t *)context;
    return true;
}

static uint64_t count_readable(const struct cluster *c)
{
    struct sherd_client *client = cluster_client(c, 20000);
    enum sherd_outcome outcome = SHERD_NO_QUORUM;
    uint64_t count = 0;
    int rc = sherd_scan(client, (struct sherd_bytes){"", 0}, count_key, &count, &outcome);

    if (rc < 0 || outcome != SHERD_OK)
        test_fail("scan: %s", rc < 0 ? strerror(-rc) : sherd_outcome_name(outcome));
    sherd_close(client);
    return count;
}

struct quiet {
    struct cluster *c;
    uint64_t readable;
};

static bool is_quiet(void *context)
{
    struct quiet *q = context;
    struct cluster_node_stats s;

    if (!is_healthy(q->c)) return false;
    for (unsigned i = 0; i < q->c->nodes; i++) {
        if (!cluster_node_stats(q->c, i, &s)) return false;
        if (s.undecided + s.undecided_queue == 0 && s.shards == q->readable) continue;
        snprintf(trouble, sizeof(trouble),
                 "node %u: %llu undecided, %llu in the queue, %llu shards for %llu readable values",
                 i, (unsigned long long)s.undecided, (unsigned long long)s.undecided_queue,
                 (unsigned long long)s.shards, (unsigned long long)q->readable);
        return false;
    }
    return true;
}

void cluster_expect_quiet(struct cluster *c)
{
    uint64_t began_ms = test_now_ms(), healthy_ms = cluster_wait_healthy(c, CLUSTER_HEALTHY_MS);
    struct quiet q = {c, count_readable(c)};
    uint64_t limit_ms = (uint64_t)CLUSTER_QUIET_MS * test_patience();
    uint64_t spent_ms = test_now_ms() - began_ms;

    if (!test_wait(is_quiet, &q, limit_ms > spent_ms ? limit_ms - spent_ms : 0))
        test_fail("not quiet %llu ms after the last operation: %s",
                  (unsigned long long)(test_now_ms() - began_ms), trouble);
    test_say("quiet: %llu values, on each of %u nodes one shard of each and no other, 0 undecided "
             "(healthy after %.1f s, all of it after %.1f s)",
             (unsigned long long)q.readable, c->nodes, (double)healthy_ms / 1000,
             (double)(test_now_ms() - began_ms) / 1000);
}
