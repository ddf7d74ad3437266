/* test_losses.c - acceptance B: every value is readable while any n - r servers are silent, and
 * after n - r were killed.
 *
 * For each code: every set of up to n - r servers is stopped with SIGSTOP, everything is read, the
 * set is continued and the cluster healthy again. Then sets are killed with SIGKILL, each in a
 * fresh cluster: everything is read, the set starts with nothing, is rebuilt, everything is read
 * again. */
#include <stdio.h>

#include "tests/cluster/cluster.h"
#include "tests/cluster/keys.h"

enum { STOPPED_MS_MAX = 20000, CLIENT_MS = 10000 };

static const uint32_t sizes[] = {0, 1, 3, 100, 4095, 4096, 65537, 1048576};

static const struct code {
    const char *text;
    bool small; /* also in the small size */
    unsigned kill_sets, kill_sets_small;
} codes[] = {
    {"4+2", true,  5, 1},
    {"1+2", true,  2, 0},
    {"2+1", false, 2, 0},
    {"3+2", false, 2, 0},
    {"8+3", false, 2, 0},
};

/* n - r, of PROTOCOL 1. */
static unsigned silent_max(const struct cluster *c)
{
    unsigned n = c->nodes, q = (n + c->k + 1) / 2, r = n - q + 1;

    return n - (r > c->k ? r : c->k);
}

static uint64_t stop_and_read(struct cluster *c, struct keys *keys, struct sherd_client *client,
                              uint32_t set)
{
    char text[3 * CLUSTER_NODES_MAX + 1], when[sizeof(text) + 32];
    uint64_t began_ms = test_now_ms(), stopped_ms;

    snprintf(when, sizeof(when), "%u+%u with %s stopped", c->k, c->m, cluster_set_text(set, text));
    cluster_stop_set(c, set);
    keys_expect_all(keys, client, when);
    cluster_continue_set(c, set);
    stopped_ms = test_now_ms() - began_ms;
    if (stopped_ms >= STOPPED_MS_MAX)
        test_fail("%s for too long: %llu ms", when, (unsigned long long)stopped_ms);
    cluster_wait_healthy(c, CLUSTER_HEALTHY_MS);
    return stopped_ms;
}

static void all_stopped_sets(const struct code *code, uint32_t count_of_keys)
{
    struct cluster c;
    struct keys keys;
    struct sherd_client *client;
    uint64_t longest_ms = 0;
    unsigned count = 0, max;

    cluster_up(&c, code->text, NULL);
    max = silent_max(&c);
    client = cluster_client(&c, CLIENT_MS);
    keys_init(&keys, 0, count_of_keys, sizes, LEN(sizes));
    keys_write_all(&keys, client);
    for (uint32_t set = 1; set < 1U << c.nodes; set++) {
        if ((unsigned)__builtin_popcount(set) > max) continue;
        uint64_t ms = stop_and_read(&c, &keys, client, set);
        if (ms > longest_ms) longest_ms = ms;
        count++;
    }
    keys_expect_all(&keys, client, "after all sets");
    sherd_close(client);
    cluster_expect_quiet(&c);
    cluster_down(&c);
    test_say("%s: all %u sets of up to %u of %u servers stopped: %u values read each time, "
             "byte-identical (stopped for %.1f s at most)",
             code->text, count, max, c.nodes, keys.count, (double)longest_ms / 1000);
    keys_fini(&keys);
}

/* `size` different nodes. */
static uint32_t random_set(uint64_t *random, unsigned nodes, unsigned size)
{
    uint32_t set = 0;

    while ((unsigned)__builtin_popcount(set) < size)
        set |= 1U << test_below(random, nodes);
    return set;
}

static void kill_and_read(const struct code *code, uint32_t count_of_keys, bool with_keeper,
                          uint64_t *random)
{
    char text[3 * CLUSTER_NODES_MAX + 1];
    struct cluster c;
    struct keys keys;
    struct sherd_client *client;
    uint64_t healthy_ms;
    uint32_t set;

    cluster_up(&c, code->text, NULL);
    client = cluster_client(&c, CLIENT_MS);
    keys_init(&keys, 0, count_of_keys, sizes, LEN(sizes));
    keys_write_all(&keys, client);
    do
        set = random_set(random, c.nodes, silent_max(&c));
    while (((set & 1) != 0) != with_keeper);
    for (unsigned i = 0; i < c.nodes; i++)
        if (set >> i & 1) cluster_kill(&c, i);
    keys_expect_all(&keys, client, "killed");
    for (unsigned i = 0; i < c.nodes; i++)
        if (set >> i & 1) cluster_start(&c, i);
    healthy_ms = cluster_wait_healthy(&c, CLUSTER_HEALTHY_MS);
    keys_expect_all(&keys, client, "rebuilt");
    sherd_close(client);
    cluster_expect_quiet(&c);
    cluster_down(&c);
    test_say("%s: %s killed: %u values read; started with nothing, whole again after %.1f s",
             code->text, cluster_set_text(set, text), keys.count, (double)healthy_ms / 1000);
    keys_fini(&keys);
}

int main(int argc, char **argv)
{
    struct test test;
    uint32_t count_of_keys;

    test_begin(&test, "losses", argc, argv);
    count_of_keys = (uint32_t)LEN(sizes) * (test.full ? 4 : 1);
    for (size_t i = 0; i < LEN(codes); i++) {
        const struct code *code = &codes[i];
        if (!test.full && !code->small) continue;
        all_stopped_sets(code, count_of_keys);
        for (unsigned j = 0; j < (test.full ? code->kill_sets : code->kill_sets_small); j++)
            kill_and_read(code, count_of_keys, j % 2 == 0, &test.random);
    }
    return test_end(&test);
}
