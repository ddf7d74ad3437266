/* test_disk.c - acceptance B of issue 4: disks that fail, and disks that are full. Writes are
 * refused by name, reads go on, status says so, and when the disk is well again so is everything.
 *
 *   failing   every write and sync of every server gives EIO, or ENOSPC (support/io_fault.h)
 *   full      two servers have a file system of their own that is too small, which then grows;
 * needs root: it is mounted in a namespace that ends with the test */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/cluster/cluster.h"
#include "tests/cluster/keys.h"
#include "tests/support/io_fault.h"

enum {
    CLIENT_MS = 4000,
    SETTLE_MS = 30000,
    FULL_NODES = 2, /* n - q + 1 of 4+2 */
    BIG_MAX = 4000,
    BIG_BYTES = 100000,
    PATH_SIZE = CLUSTER_DIR_SIZE + 64,
};

static const uint32_t sizes[] = {100, 1024, 0, 4096, 33, 20000, 1024, 150000};
static const char *const lmdb[] = {"--store", "lmdb", NULL};
static char fault_path[PROCESS_ROOT_SIZE + 16];

static enum sherd_outcome set(struct sherd_client *client, const char *key, const void *value,
                              size_t size)
{
    enum sherd_outcome outcome = SHERD_TIMEOUT;
    int rc = sherd_set(client, (struct sherd_bytes){key, strlen(key)},
                       (struct sherd_bytes){value, size}, &outcome);

    if (rc < 0) test_fail("sherd_set: %s", strerror(-rc));
    return outcome;
}

struct trying {
    struct sherd_client *client;
    enum sherd_outcome wanted, last;
};

static bool ends_so(void *context)
{
    struct trying *t = context;

    t->last = set(t->client, "tried", "x", 1);
    return t->last == t->wanted;
}

/* Until a write ends like this. What a turn of a server was undone for may be uncertain. */
static void expect_writes(struct sherd_client *client, enum sherd_outcome wanted)
{
    struct trying t = {client, wanted, SHERD_OK};

    if (!test_wait(ends_so, &t, SETTLE_MS * test_patience()))
        test_fail("writes end with %s, not %s", sherd_outcome_name(t.last),
                  sherd_outcome_name(wanted));
}

static void expect_status(const struct cluster *c, int code, const char *text)
{
    static const char *const words[] = {"status", NULL};
    struct process_result result;

    cluster_run(c, words, &result);
    if (result.code != code || (text && !strstr(result.out, text)))
        test_fail("status: exit code %d: %s", result.code, result.out);
}

static void break_disks(const char *how)
{
    FILE *file = fopen(fault_path, "we");

    if (!file || fputs(how, file) < 0 || fclose(file) != 0)
        test_fail("%s cannot be written", fault_path);
}

/* ---- Failing ---- */

static void failing_disks(struct cluster *c, struct keys *keys, struct sherd_client *client,
                          unsigned count)
{
    static const char *const errors[] = {"EIO", "ENOSPC", "EIO fdatasync"};
    static const char *const texts[] = {"Input/output error", "No space left",
                                        "Input/output error"};

    for (unsigned i = 0; i < count && i < LEN(errors); i++) {
        /* What is undecided cannot be told while nothing can be noted down. */
        cluster_expect_quiet(c);
        break_disks(errors[i]);
        expect_writes(client, SHERD_FULL);
        expect_status(c, 5, texts[i]);
        keys_expect_all(keys, client, "while disks fail");
        TEST_CHECK(unlink(fault_path) == 0);
        expect_writes(client, SHERD_OK);
        cluster_wait_healthy(c, CLUSTER_HEALTHY_MS);
        keys_write_all(keys, client);
        test_say("%s: refused, readable, and well again", errors[i]);
    }
    /* What is acknowledged now is on the disk. */
    cluster_kill_all(c);
    cluster_start_all(c);
    keys_expect_all(keys, client, "after that, and a kill of all");
}

/* ---- Full ---- */

static void mount_state(const struct cluster *c, unsigned node, const char *size, bool again)
{
    char path[PATH_SIZE], option[32];

    snprintf(path, sizeof(path), "%s/node-%u.state", c->dir, node);
    snprintf(option, sizeof(option), "size=%s", size);
    if (mount("tmpfs", path, "tmpfs", again ? MS_REMOUNT : 0, option) != 0)
        test_fail("mount %s: %s", path, strerror(errno));
}

static void full_disks(struct cluster *c, struct keys *keys, struct sherd_client *client)
{
    static char big[BIG_BYTES];
    enum sherd_outcome outcome = SHERD_OK;
    char key[32];
    unsigned stored = 0;

    for (unsigned i = 0; i < FULL_NODES; i++) {
        cluster_kill(c, i + 1);
        mount_state(c, i + 1, "32m", false);
        cluster_start(c, i + 1);
        cluster_wait_healthy(c, CLUSTER_HEALTHY_MS);
    }
    while (outcome == SHERD_OK && stored < BIG_MAX) {
        snprintf(key, sizeof(key), "big-%u", stored++);
        outcome = set(client, key, big, sizeof(big));
    }
    test_pause_ms(1000); /* for what was decided last */
    if (outcome != SHERD_FULL) test_fail("a full disk says %s", sherd_outcome_name(outcome));
    keys_expect_all(keys, client, "while disks are full");
    cluster_kill_all(c);
    cluster_start_all(c);
    keys_expect_all(keys, client, "while disks are full, after a kill of all");
    for (unsigned i = 0; i < FULL_NODES; i++)
        mount_state(c, i + 1, "256m", true);
    expect_writes(client, SHERD_OK);
    cluster_wait_healthy(c, CLUSTER_HEALTHY_MS);
    keys_write_all(keys, client);
    test_say("full after %u values of %u bytes: refused, readable, and well with more space",
             stored - 1, BIG_BYTES);
}

/* Mounts that only we see, and what we start. */
static bool has_own_mounts(void)
{
    return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

int main(int argc, char **argv)
{
    bool can_mount = has_own_mounts();
    struct sherd_client *client;
    struct cluster c;
    struct test test;
    struct keys keys;

    test_begin(&test, "disk", argc, argv);
    snprintf(fault_path, sizeof(fault_path), "%s/fault", process_root());
    setenv(IO_FAULT_VARIABLE, fault_path, 1);
    setenv("LD_PRELOAD", SHERD_IO_FAULT_LIBRARY, 1);
    cluster_up(&c, "4+2", lmdb);
    client = cluster_client(&c, CLIENT_MS * test_patience());
    keys_init(&keys, 0, test.full ? 2000 : 200, sizes, LEN(sizes));
    keys_write_all(&keys, client);
    failing_disks(&c, &keys, client, test.full ? UINT32_MAX : 1);
    if (can_mount)
        full_disks(&c, &keys, client);
    else
        test_say("no mounts here: full disks are left out");
    cluster_expect_quiet(&c);
    sherd_close(client);
    keys_fini(&keys);
    cluster_down(&c);
    return test_end(&test);
}
