/* test_majority.c - acceptance E: with three servers of six stopped, reads and writes answer
 * NO_QUORUM in time and nothing is deleted; with the keeper's server stopped they go on. */
#include "tests/cluster/cluster.h"
#include "tests/cluster/keys.h"

enum {
    CLIENT_MS = 5000,
    DEADLINE_MS = 2000,
    LATE_MS = 500, /* what the scheduler of a busy machine may add to a deadline */
    ASKED_AT_ONCE = 32,
};

static const uint32_t sizes[] = {0, 20, 4096, 100000};

static void expect_no_quorum(struct keys *keys, struct sherd_client *client, bool write)
{
    struct keys_job job = {.count = keys->count < 64 ? keys->count : 64,
                           .timeout_ms = DEADLINE_MS,
                           .depth = ASKED_AT_ONCE,
                           .write = write,
                           .expect = SHERD_NO_QUORUM};
    struct tally tally = {0};

    keys_run(keys, client, &job, &tally);
    tally_say(write ? "writes with three stopped" : "reads with three stopped", &tally);
    if (tally.failed > 0) test_fail("not NO_QUORUM");
    if (tally.slowest_us > (uint64_t)(DEADLINE_MS + LATE_MS * test_patience()) * 1000)
        test_fail("later than the deadline of %d ms", DEADLINE_MS);
}

static void three_stopped(struct cluster *c, struct keys *keys, uint32_t set)
{
    struct sherd_client *client = cluster_client(c, CLIENT_MS);
    char text[3 * CLUSTER_NODES_MAX + 1];
    uint64_t began_ms;

    keys_expect_all(keys, client, "before"); /* the client knows the nodes */
    test_say("stopped: %s", cluster_set_text(set, text));
    began_ms = test_now_ms();
    cluster_stop_set(c, set);
    expect_no_quorum(keys, client, true);
    expect_no_quorum(keys, client, false);
    cluster_continue_set(c, set);
    test_say("continued after %.1f s", (double)(test_now_ms() - began_ms) / 1000);
    cluster_wait_healthy(c, CLUSTER_HEALTHY_MS);
    keys_expect_all(keys, client, "continued"); /* and no write of before took effect */
    keys_write_all(keys, client);
    keys_expect_all(keys, client, "written again");
    sherd_close(client);
}

static void without_keeper(struct cluster *c, struct keys *keys, unsigned rounds)
{
    struct sherd_client *client = cluster_client(c, CLIENT_MS);
    struct tally tally = {0};

    cluster_stop(c, 0);
    for (unsigned i = 0; i < rounds; i++) {
        struct keys_job job = {.count = keys->count, .write = true, .depth = i % 2 == 0 ? 1 : 16};
        keys_run(keys, client, &job, &tally);
        job.write = false;
        keys_run(keys, client, &job, &tally);
    }
    cluster_continue(c, 0);
    tally_say("the keeper's server stopped", &tally);
    if (tally.failed > 0) test_fail("operations failed without the keeper");
    cluster_wait_healthy(c, CLUSTER_HEALTHY_MS);
    keys_expect_all(keys, client, "with the keeper again");
    sherd_close(client);
}

int main(int argc, char **argv)
{
    static const uint32_t sets[] = {0x38, 0x07, 0x15, 0x0e, 0x31, 0x2a};
    struct sherd_client *client;
    struct cluster c;
    struct test test;
    struct keys keys;

    test_begin(&test, "majority", argc, argv);
    cluster_up(&c, "4+2", NULL);
    keys_init(&keys, 0, test.full ? 1000 : 64, sizes, LEN(sizes));
    client = cluster_client(&c, CLIENT_MS);
    keys_write_all(&keys, client);
    sherd_close(client);
    for (size_t i = 0; i < (test.full ? LEN(sets) : 2); i++)
        three_stopped(&c, &keys, sets[i]);
    without_keeper(&c, &keys, test.full ? 4 : 2);
    cluster_expect_quiet(&c);
    cluster_down(&c);
    keys_fini(&keys);
    return test_end(&test);
}
