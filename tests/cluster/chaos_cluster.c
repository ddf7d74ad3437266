#include "tests/cluster/chaos_cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/cluster/chaos_events.h"

#define STATE "state" /* the servers' state_dir, in our folder */

enum {
    PATH_SIZE = PROCESS_ROOT_SIZE + 64,
    END_MS = 15000,
    GONE_MS = 20000,
    LOOK_PAUSE_MS = 100,
    HEARD_MS = 1500
};

void chaos_say(const struct chaos *c, const char *format, ...)
{
    va_list arguments;

    printf("%9.3f  ", (double)(test_now_us() - c->began_us) / 1e6);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

/* ---- Files ---- */

static void path_of(const char *name, unsigned number, char out[PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s/%s%u", process_root(), name, number);
}

static void write_conf(struct chaos *c)
{
    char path[PATH_SIZE], address[NET_ADDRESS_SIZE];
    size_t size = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/chaos.conf", process_root());
    file = fopen(path, "we");
    if (file == NULL) test_fail("%s: %s", path, strerror(errno));
    net_address(0, address);
    fprintf(file,
            "cluster = \"chaos\"\ncode = \"%u+%u\"\nkeeper = \"tcp://%s:%u\"\n"
            "partitions = %u\nvacate_after_ms = %u\nmax_memory = \"256MiB\"\n",
            c->k, c->m, address, NET_KEEPER_PORT, c->partitions, c->vacate_after_ms);
    if (c->durable)
        fprintf(file, "store = \"lmdb\"\nsync = \"always\"\nstate_dir = \"%s/" STATE "\"\n",
                process_root());
    for (unsigned i = 0; i < c->nodes; i++) {
        net_address(i, address);
        fprintf(file, "node %u { endpoint = \"tcp://%s:%u\" }\n", i, address, NET_PORT);
        size += (size_t)snprintf(c->seeds + size, sizeof(c->seeds) - size, "%stcp://%s:%u",
                                 i > 0 ? "," : "", address, NET_PORT);
    }
    if (fclose(file) != 0) test_fail("%s: %s", path, strerror(errno));
}

static void make_clock(struct chaos *c, unsigned host)
{
    char path[PATH_SIZE];
    void *at = MAP_FAILED;
    int fd;

    path_of("clock-", host, path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && ftruncate(fd, sizeof(int64_t)) == 0)
        at = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) test_fail("%s: %s", path, strerror(errno));
    close(fd);
    c->clocks[host] = at;
}

void chaos_make(struct chaos *c)
{
    uint64_t random = c->seed ^ 0x5eed;
    char path[PATH_SIZE];
    static const unsigned partitions[] = {16, 64, 256};

    c->hosts = c->nodes + CHAOS_WORKERS;
    c->vacate_after_ms = 6000 + test_below(&random, 4000);
    c->partitions = partitions[test_below(&random, LEN(partitions))];
    write_conf(c);
    snprintf(path, sizeof(path), "%s/control", process_root());
    c->control = worker_control_map(path, true);
    if (c->control == NULL) test_fail("%s: %s", path, strerror(errno));
    for (unsigned i = 0; i < c->hosts; i++)
        make_clock(c, i);
    net_make(&c->net, c->hosts, c->nodes);
    proxy_start(&c->proxy, &c->net, random);
}

/* ---- Starting and ending ---- */

static const char *name_of(const struct chaos *c, unsigned host, char out[48])
{
    bool is_node = host < c->nodes;

    snprintf(out, 48, "%s-%u-%u", is_node ? "node" : "client", is_node ? host : host - c->nodes,
             c->processes[host].starts);
    return out;
}

/* die_at: NULL, or where it is to die. */
static void start(struct chaos *c, unsigned host, const char *const *argv, const char *die_at)
{
    char name[48], path[PATH_SIZE], clock[PATH_SIZE + 32], step[64];
    const char *more[] = {clock, die_at != NULL ? step : NULL, NULL};
    struct chaos_process *p = &c->processes[host];

    TEST_CHECK(p->pid == 0);
    path_of("clock-", host, path);
    snprintf(clock, sizeof(clock), "SHERD_CLOCK_FILE=%s", path);
    if (die_at != NULL) snprintf(step, sizeof(step), "SHERD_DIE_AT=%s", die_at);
    p->starts++;
    p->stopped = false;
    p->dies_by_itself = die_at != NULL;
    p->pid = net_start(&c->net, host, name_of(c, host, name), argv, more);
}

void chaos_start_node(struct chaos *c, unsigned node)
{
    char conf[PATH_SIZE], keeper[PATH_SIZE], number[16];
    const char *argv[] = {SHERD_SERVER, "--config", conf, "--self", number, NULL, NULL, NULL, NULL};

    snprintf(conf, sizeof(conf), "%s/chaos.conf", process_root());
    snprintf(keeper, sizeof(keeper), "%s/keeper", process_root());
    snprintf(number, sizeof(number), "%u", node);
    if (node == 0) {
        argv[5] = "--keeper-dir";
        argv[6] = keeper;
        if (c->processes[0].starts == 0) argv[7] = "--init";
    }
    start(c, node, argv, NULL);
}

void chaos_start_worker(struct chaos *c, unsigned worker, const char *die_at)
{
    char self[PATH_SIZE * 4] = "", events[PATH_SIZE], control[PATH_SIZE];
    char host[16], process[16], seed[24];
    const char *argv[] = {self, "--worker", events, control, c->seeds, host, process, seed, NULL};
    unsigned h = c->nodes + worker;

    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0) test_fail("no /proc");
    snprintf(events, sizeof(events), "%s/client-%u-%u.events", process_root(), worker,
             c->processes[h].starts + 1);
    snprintf(control, sizeof(control), "%s/control", process_root());
    snprintf(host, sizeof(host), "%u", h);
    c->next_process += WORKER_PROCESSES;
    snprintf(process, sizeof(process), "%u", c->next_process);
    snprintf(seed, sizeof(seed), "%llu", (unsigned long long)(c->seed + c->next_process));
    c->control->busy[h] = 0;
    start(c, h, argv, die_at);
}

static void wait_killed(struct chaos *c, unsigned host)
{
    struct chaos_process *p = &c->processes[host];
    int code = process_wait(p->pid, GONE_MS);
    char name[48];

    if (code != -SIGKILL)
        test_fail("%s had ended before it was killed: %d", name_of(c, host, name), code);
    p->pid = 0;
    p->stopped = false;
    c->control->busy[host] = 0;
}

void chaos_kill_set(struct chaos *c, uint32_t hosts)
{
    for (unsigned i = 0; i < c->hosts; i++) {
        if (!(hosts >> i & 1)) continue;
        TEST_CHECK(c->processes[i].pid > 0);
        kill(c->processes[i].pid, SIGKILL);
    }
    for (unsigned i = 0; i < c->hosts; i++)
        if (hosts >> i & 1) wait_killed(c, i);
}

void chaos_kill(struct chaos *c, unsigned host) { chaos_kill_set(c, 1u << host); }

void chaos_wipe(struct chaos *c, unsigned node)
{
    char path[PATH_SIZE];

    TEST_CHECK(c->processes[node].pid == 0);
    path_of(STATE "/store-", node, path);
    TEST_CHECK(access(path, F_OK) == 0);
    process_remove(path);
    if (access(path, F_OK) == 0) test_fail("%s cannot be removed", path);
}

/* A server moves a damaged store aside (server/notes.c). */
void chaos_expect_intact(const struct chaos *c)
{
    char path[PATH_SIZE];

    for (unsigned i = 0; i < c->nodes; i++) {
        path_of(STATE "/store-", i, path);
        strncat(path, ".damaged", sizeof(path) - strlen(path) - 1);
        if (access(path, F_OK) == 0) test_fail("%s: the server found its store damaged", path);
    }
}

void chaos_signal(struct chaos *c, unsigned host, int number)
{
    TEST_CHECK(c->processes[host].pid > 0);
    c->processes[host].stopped = number == SIGSTOP;
    if (kill(c->processes[host].pid, number) != 0)
        test_fail("host %u cannot be signalled: %s", host, strerror(errno));
}

void chaos_check(struct chaos *c)
{
    char name[48];

    for (unsigned i = 0; i < c->hosts; i++) {
        struct chaos_process *p = &c->processes[i];
        int code = p->pid == 0 ? PROCESS_LOST : process_wait(p->pid, 0);
        if (code == PROCESS_LOST) continue;
        if (!p->dies_by_itself || code != -SIGKILL)
            test_fail("%s has ended by itself: %d", name_of(c, i, name), code);
        p->pid = 0;
        c->control->busy[i] = 0;
    }
}

void chaos_end(struct chaos *c, unsigned host)
{
    struct chaos_process *p = &c->processes[host];
    char name[48];
    int code;

    if (p->pid == 0) return;
    kill(p->pid, SIGTERM);
    code = process_wait(p->pid, END_MS * test_patience());
    if (host >= c->nodes && code == -SIGTERM) code = 0; /* it had hardly begun */
    if (code != 0 && !(p->dies_by_itself && code == -SIGKILL))
        test_fail("%s ended with %d, not 0, after SIGTERM", name_of(c, host, name), code);
    p->pid = 0;
}

/* ---- Watching ---- */

struct cluster chaos_cluster(const struct chaos *c)
{
    struct cluster out = {.k = c->k, .m = c->m, .nodes = c->nodes, .seeds = c->seeds};

    out.client = cluster_client(&out, CHAOS_ASK_MS);
    return out;
}

static bool has_heard_keeper(struct cluster *cluster, unsigned node)
{
    static const char name[] = "\"keeper_heard_ms_ago\":";
    enum sherd_outcome outcome = SHERD_NO_QUORUM;
    char *text = NULL;
    const char *at = NULL;
    bool heard;

    if (sherd_node_stats(cluster->client, (uint16_t)node, &outcome, &text) == 0 &&
        outcome == SHERD_OK)
        at = strstr(text, name);
    heard = at != NULL && strtoul(at + sizeof(name) - 1, NULL, 10) < HEARD_MS;
    free(text);
    return heard;
}

static void look(struct chaos *c, struct cluster *cluster)
{
    struct cluster_node_stats stats[NET_HOSTS_MAX] = {0};
    uint64_t began_us = test_now_us(), version = 0;
    unsigned weak = 0;
    bool clean = true, whole = true, heard = true;

    for (unsigned i = 0; i < c->nodes; i++) {
        if (!cluster_node_stats(cluster, i, &stats[i])) stats[i] = (struct cluster_node_stats){0};
        if (stats[i].map_version > version) version = stats[i].map_version;
    }
    for (unsigned i = 0; i < c->nodes; i++) {
        const struct cluster_node_stats *s = &stats[i];
        heard = heard && s->map_version > 0 && has_heard_keeper(cluster, i);
        bool votes = s->voting == c->partitions && s->live == version && version > 0;
        weak += !votes;
        clean = clean && votes && s->learning + s->sealing + s->unclean + s->lost == 0 &&
                s->rescan + s->backlog == 0;
        whole = whole && s->repair_list + s->undecided + s->undecided_queue == 0;
    }
    c->weak = weak;
    c->looked_us = began_us;
    if (heard) c->heard_us = began_us;
    if (clean) c->clean_us = began_us;
    if (clean && whole) c->whole_us = began_us;
}

static void *watch(void *context)
{
    struct chaos *c = context;
    struct cluster cluster = chaos_cluster(c);

    while (!c->stop_watching) {
        look(c, &cluster);
        test_pause_ms(LOOK_PAUSE_MS);
    }
    sherd_close(cluster.client);
    return NULL;
}

void chaos_watch(struct chaos *c) { TEST_CHECK(pthread_create(&c->watcher, NULL, watch, c) == 0); }

void chaos_unwatch(struct chaos *c)
{
    c->stop_watching = true;
    pthread_join(c->watcher, NULL);
}
