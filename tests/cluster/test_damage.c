/* test_damage.c - acceptance A of issue 4, its second half: files of stopped servers are flipped,
 * cut and torn. No wrong byte is ever read; what is within m losses is repaired, and the rest is
 * called lost.
 *
 *   flips in m nodes     all is readable at once; then the scrub repairs what is left, until m
 *                        others may be lost
 *   flips in all nodes   the same number over all: a value is as it was, or LOST
 *   cut, torn            one node's file: that node is rebuilt */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/cluster/cluster.h"
#include "tests/cluster/keys.h"

enum {
    FLIPS = 1000, /* --small has a tenth of the data, and of these */
    FLIPS_SMALL = 100,
    CLIENT_MS = 10000,
    REPAIRED_MS = 60000,
    PATH_SIZE = CLUSTER_DIR_SIZE + 64,
};

static const uint32_t sizes[] = {100, 1024, 0, 4096, 33, 20000, 1024, 150000, 5000};
static const char *const options[] = {"--store", "lmdb", "--scrub-rate", "64MiB", NULL};

static int open_data(const struct cluster *c, unsigned node, off_t *size)
{
    char path[PATH_SIZE];
    struct stat status;
    int fd;

    snprintf(path, sizeof(path), "%s/node-%u.state/store-%u/data", c->dir, node, node);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) test_fail("%s cannot be opened", path);
    *size = status.st_size;
    return fd;
}

static void flip(const struct cluster *c, unsigned node, unsigned count, uint64_t *random)
{
    off_t size = 0, at;
    int fd = open_data(c, node, &size);
    unsigned char byte;

    for (unsigned i = 0; i < count; i++) {
        at = (off_t)(test_random(random) % (uint64_t)size);
        TEST_CHECK(pread(fd, &byte, 1, at) == 1);
        byte ^= (unsigned char)(1u << test_below(random, 8));
        TEST_CHECK(pwrite(fd, &byte, 1, at) == 1);
    }
    close(fd);
}

static void cut_short(const struct cluster *c, unsigned node, uint64_t *random)
{
    off_t size = 0;
    int fd = open_data(c, node, &size);

    TEST_CHECK(ftruncate(fd, (off_t)(test_random(random) % (uint64_t)size)) == 0);
    close(fd);
}

/* The second half of the file is of another file. */
static void tear(const struct cluster *c, unsigned node, unsigned other)
{
    off_t size = 0, other_size = 0;
    int fd = open_data(c, node, &size), from = open_data(c, other, &other_size);
    char page[4096];

    for (off_t at = size / 2 / 4096 * 4096; at + 4096 <= size && at + 4096 <= other_size;
         at += 4096) {
        TEST_CHECK(pread(from, page, sizeof(page), at) == 4096);
        TEST_CHECK(pwrite(fd, page, sizeof(page), at) == 4096);
    }
    close(fd);
    close(from);
}

static bool is_scrubbed(void *context)
{
    struct cluster *c = context;

    for (unsigned i = 0; i < c->nodes; i++)
        if (cluster_number(c, i, "scrub.rounds") < 1 || cluster_number(c, i, "repair_list") > 0 ||
            cluster_number(c, i, "recovery.backlog") > 0)
            return false;
    return true;
}

/* All is right, and again where the nodes `spared` are not asked: what they have is not needed. */
static void expect_repaired(struct cluster *c, struct keys *keys, struct sherd_client *client,
                            uint32_t spared)
{
    uint64_t began_ms = test_now_ms(), shards = 0, partitions = 0;

    keys_expect_all(keys, client, "at once");
    cluster_wait_healthy(c, CLUSTER_HEALTHY_MS);
    if (!test_wait(is_scrubbed, c, REPAIRED_MS * test_patience())) test_fail("not all is repaired");
    for (unsigned i = 0; i < c->nodes; i++) {
        shards += cluster_number(c, i, "store.damaged.shards");
        partitions += cluster_number(c, i, "store.damaged.partitions");
    }
    test_say("found %llu damaged shards, %llu damaged partitions; whole after %.1f s",
             (unsigned long long)shards, (unsigned long long)partitions,
             (double)(test_now_ms() - began_ms) / 1000);
    for (unsigned i = 0; i < c->nodes; i++)
        if (spared >> i & 1) cluster_stop(c, i);
    keys_expect_all(keys, client, "without others");
    cluster_continue_set(c, spared);
    cluster_wait_healthy(c, CLUSTER_HEALTHY_MS);
}

/* Values are what they were, or nobody has them any more. */
static void expect_right_or_lost(struct keys *keys, struct sherd_client *client, unsigned flips)
{
    unsigned right = 0, lost = 0;

    for (uint32_t i = 0; i < keys->count; i++) {
        char text[KEY_BYTES + 1];
        enum sherd_outcome outcome = SHERD_TIMEOUT;
        struct sherd_value value = {0};
        key_text(keys->first + i, text);
        int rc = sherd_get(client, (struct sherd_bytes){text, KEY_BYTES}, &outcome, &value);
        if (rc < 0) test_fail("sherd_get: %d", rc);
        if (outcome == SHERD_OK &&
            !content_is(value.data, value.size, keys->first + i, keys->written[i]))
            test_fail("%s: wrong bytes", text);
        if (outcome != SHERD_OK && outcome != SHERD_LOST)
            test_fail("%s: %s", text, sherd_outcome_name(outcome));
        right += outcome == SHERD_OK;
        lost += outcome == SHERD_LOST;
        sherd_value_fini(&value);
    }
    test_say("%u flips over all nodes: %u values are right, %u lost, none is wrong", flips, right,
             lost);
    TEST_CHECK(right > 0);
}

static uint32_t damage_some(struct cluster *c, struct test *test, unsigned how, unsigned flips)
{
    uint32_t damaged = 0, spared = 0;

    for (unsigned i = 0, left = c->m; left > 0; i++) {
        unsigned node = (test_below(&test->random, c->nodes) + i) % c->nodes;
        if (damaged >> node & 1) continue;
        damaged |= 1u << node;
        left--;
        if (how == 0)
            flip(c, node, flips / c->m, &test->random);
        else if (how == 1)
            cut_short(c, node, &test->random);
        else
            tear(c, node, (node + 1) % c->nodes);
    }
    for (unsigned i = 0, left = c->m; left > 0; i++) {
        if (damaged >> i & 1) continue;
        spared |= 1u << i;
        left--;
    }
    return spared;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"flipped bits", "cut files", "torn files"};
    struct sherd_client *client;
    struct cluster c;
    struct test test;
    struct keys keys;
    uint32_t spared;
    unsigned flips;

    test_begin(&test, "damage", argc, argv);
    flips = test.full ? FLIPS : FLIPS_SMALL;
    cluster_up(&c, "4+2", options);
    client = cluster_client(&c, CLIENT_MS * test_patience());
    keys_init(&keys, 0, test.full ? 5000 : 500, sizes, LEN(sizes));
    keys_write_all(&keys, client);
    cluster_expect_quiet(&c);
    for (unsigned how = 0; how < LEN(names); how++) {
        cluster_kill_all(&c);
        spared = damage_some(&c, &test, how, flips);
        cluster_start_all(&c);
        test_say("%s in %u nodes", names[how], c.m);
        expect_repaired(&c, &keys, client, spared);
    }
    cluster_kill_all(&c);
    for (unsigned i = 0; i < c.nodes; i++)
        flip(&c, i, flips / c.nodes, &test.random);
    cluster_start_all(&c);
    expect_right_or_lost(&keys, client, flips);
    sherd_close(client);
    keys_fini(&keys);
    cluster_down(&c);
    return test_end(&test);
}
