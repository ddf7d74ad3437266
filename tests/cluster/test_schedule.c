/* test_schedule.c - acceptance C: a server is killed after a third of the operations and starts
 * with nothing after two thirds; no operation may fail.
 *
 * 10 000 operations, half of them reads, over 10 000 keys, by one client, one at a time; once with
 * the server that carries the keeper and once with another. */
#include "tests/cluster/cluster.h"
#include "tests/cluster/keys.h"

enum { CLIENT_MS = 5000, VALUE_BYTES = 1024 };

struct schedule {
    struct cluster cluster;
    struct keys keys;
    struct sherd_client *client;
    struct tally tally;
    uint32_t operations;
    uint64_t *random;
};

static void some_operations(struct schedule *s, const char *phase, uint32_t count)
{
    uint64_t began_ms = test_now_ms();
    struct tally tally = {0};

    for (uint32_t i = 0; i < count; i++) {
        struct keys_job job = {.first = test_below(s->random, s->keys.count), .count = 1};
        job.write = test_below(s->random, 2) == 1;
        keys_run(&s->keys, s->client, &job, &tally);
    }
    tally_say(phase, &tally);
    test_say("%s: %.1f s", phase, (double)(test_now_ms() - began_ms) / 1000);
    tally_add(&s->tally, &tally);
}

static void expect_status_healthy(const struct cluster *c)
{
    static const char *const words[] = {"status", NULL};
    struct process_result result;

    if (cluster_run(c, words, &result) != 0)
        test_fail("sherd status: exit code %d: %s%s", result.code, result.out, result.err);
}

static void run(struct schedule *s, unsigned victim)
{
    static const uint32_t size = VALUE_BYTES;
    pid_t starter;

    test_say("the server killed is node %u%s", victim, victim == 0 ? ", with the keeper" : "");
    s->tally = (struct tally){0};
    cluster_up(&s->cluster, "4+2", NULL);
    s->client = cluster_client(&s->cluster, CLIENT_MS);
    keys_init(&s->keys, 0, s->operations, &size, 1);
    keys_write_all(&s->keys, s->client);

    some_operations(s, "all six", s->operations / 3);
    cluster_kill(&s->cluster, victim);
    some_operations(s, "one killed", s->operations / 3);
    starter = cluster_start_begin(&s->cluster, victim);
    some_operations(s, "started empty", s->operations - s->operations / 3 * 2);
    cluster_start_wait(&s->cluster, victim, starter);

    tally_say("in all", &s->tally);
    if (s->tally.failed > 0)
        test_fail("%llu operations failed", (unsigned long long)s->tally.failed);
    test_say("full protection %.1f s later",
             (double)cluster_wait_healthy(&s->cluster, CLUSTER_HEALTHY_MS) / 1000);
    expect_status_healthy(&s->cluster);
    keys_expect_all(&s->keys, s->client, "at the end");
    sherd_close(s->client);
    cluster_expect_quiet(&s->cluster);
    cluster_down(&s->cluster);
    keys_fini(&s->keys);
}

int main(int argc, char **argv)
{
    struct test test;
    struct schedule s = {.random = &test.random};

    test_begin(&test, "schedule", argc, argv);
    s.operations = test.full ? 10000 : 900;
    run(&s, 3);
    run(&s, 0);
    return test_end(&test);
}
