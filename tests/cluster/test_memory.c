/* test_memory.c - acceptance I: how much memory the servers need for what they hold.
 *
 * Measured where it counts: resident memory of all servers together, less 16 MiB each, 10 s after
 * the last write, over the bytes of the values. Means nothing under a sanitizer: skipped there. */
#include <stdio.h>
#include <unistd.h>

#include "tests/cluster/cluster.h"
#include "tests/cluster/keys.h"

enum { PAUSE_MS = 10000, CLIENT_MS = 10000, DEPTH = 64, SERVER_MIB = 16 };

static const struct row {
    uint32_t value_bytes;
    double limit;
} rows[] = {
    {4096, 1.75},
    {1024, 2.3 },
};

static uint64_t resident_bytes(pid_t pid)
{
    char path[40];
    unsigned long long total, resident = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%llu %llu", &total, &resident) != 2)
        test_fail("%s cannot be read", path);
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t resident_of_all(const struct cluster *c)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < c->nodes; i++)
        sum += resident_bytes(c->pid[i]);
    return sum;
}

static bool measure(const struct row *row, uint32_t count)
{
    struct keys_job job = {.count = count, .depth = DEPTH, .write = true};
    struct tally tally = {0};
    struct sherd_client *client;
    struct cluster c;
    struct keys keys;
    uint64_t before, after, stored = (uint64_t)count * row->value_bytes;
    double ratio;

    cluster_up(&c, "4+2", NULL);
    before = resident_of_all(&c);
    client = cluster_client(&c, CLIENT_MS);
    keys_init(&keys, 0, count, &row->value_bytes, 1);
    keys_run(&keys, client, &job, &tally);
    if (tally.failed > 0) test_fail("%s", tally.first_failure);
    test_pause_ms(PAUSE_MS);
    after = resident_of_all(&c);
    ratio = ((double)after - (double)c.nodes * SERVER_MIB * (1 << 20)) / (double)stored;
    test_say("%u values of %u bytes: %.1f MiB stored; resident %.1f MiB (empty: %.1f MiB); less "
             "%d MiB a server: %.3f x, limit %.2f x",
             count, row->value_bytes, (double)stored / (1 << 20), (double)after / (1 << 20),
             (double)before / (1 << 20), SERVER_MIB, ratio, row->limit);
    keys_expect_all(&keys, client, "after the measurement");
    sherd_close(client);
    cluster_expect_quiet(&c);
    cluster_down(&c);
    keys_fini(&keys);
    return ratio <= row->limit;
}

int main(int argc, char **argv)
{
    struct test test;
    bool all_good = true;

    test_begin(&test, "memory", argc, argv);
    if (test_patience() > 1) {
        test_say("skipped: under a sanitizer memory says nothing");
        return TEST_SKIPPED;
    }
    for (size_t i = 0; i < LEN(rows); i++)
        all_good = measure(&rows[i], test.full ? 100000 : 20000) && all_good;
    if (!all_good) test_fail("more than the limit");
    return test_end(&test);
}
