/* test_rebuild.c - acceptance F: reads and writes go on while a server is killed, starts with
 * nothing and is rebuilt; afterwards every key survives the loss of m others.
 *
 * Four threads, each with a client and keys of its own, so that each knows what it must read. */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/cluster/cluster.h"
#include "tests/cluster/keys.h"

enum { THREADS = 4, CLIENT_MS = 5000, VICTIM = 2, WRITES_AT_ONCE = 4 };

static const uint32_t sizes[] = {100, 1024, 0, 4096, 33, 20000, 1024, 150000};

struct worker {
    pthread_t thread;
    struct sherd_client *client;
    struct keys keys;
    struct tally tally;
    uint64_t random;
    const atomic_bool *stop;
};

static void *work(void *context)
{
    struct worker *w = context;

    while (!atomic_load(w->stop)) {
        struct keys_job job = {.count = 1 + test_below(&w->random, 16), .depth = WRITES_AT_ONCE};
        job.first = test_below(&w->random, w->keys.count - job.count);
        job.write = test_below(&w->random, 2) == 1;
        keys_run(&w->keys, w->client, &job, &w->tally);
    }
    return NULL;
}

static void start_workers(struct worker *workers, const struct cluster *c, struct test *test,
                          const atomic_bool *stop)
{
    uint32_t count = test->full ? 2500 : 250;

    for (uint32_t i = 0; i < THREADS; i++) {
        struct worker *w = &workers[i];
        *w = (struct worker){.random = test_random(&test->random), .stop = stop};
        w->client = cluster_client(c, CLIENT_MS);
        keys_init(&w->keys, i * count, count, sizes, LEN(sizes));
        keys_write_all(&w->keys, w->client);
    }
    for (unsigned i = 0; i < THREADS; i++)
        TEST_CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
}

static void join_workers(struct worker *workers, atomic_bool *stop)
{
    struct tally sum = {0};

    atomic_store(stop, true);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        tally_add(&sum, &workers[i].tally);
    }
    tally_say("during the rebuild", &sum);
    if (sum.failed > 0) test_fail("%llu operations failed", (unsigned long long)sum.failed);
}

/* Until `ms` after `began_ms`. */
static void let_run(uint64_t began_ms, uint64_t ms)
{
    while (test_now_ms() < began_ms + ms)
        test_pause_ms(20);
}

/* The loss of m other servers, and everything is there. */
static void lose_others(struct cluster *c, struct worker *workers)
{
    for (unsigned node = 0, left = c->m; left > 0; node++) {
        if (node == VICTIM) continue;
        cluster_kill(c, node);
        test_say("killed node %u", node);
        left--;
    }
    for (unsigned i = 0; i < THREADS; i++)
        keys_expect_all(&workers[i].keys, workers[i].client, "with m others lost");
    for (unsigned i = 0; i < c->nodes; i++)
        if (c->state[i] == CLUSTER_DEAD) cluster_start(c, i);
    test_say("those two whole again after %.1f s",
             (double)cluster_wait_healthy(c, CLUSTER_HEALTHY_MS) / 1000);
}

int main(int argc, char **argv)
{
    static struct worker workers[THREADS];
    atomic_bool stop = false;
    struct cluster c;
    struct test test;
    uint64_t began_ms, run_ms;

    test_begin(&test, "rebuild", argc, argv);
    run_ms = test.full ? 60000 : 6000;
    cluster_up(&c, "4+2", NULL);
    start_workers(workers, &c, &test, &stop);
    began_ms = test_now_ms();
    let_run(began_ms, run_ms / 6);
    cluster_kill(&c, VICTIM);
    let_run(began_ms, run_ms / 3);
    cluster_start(&c, VICTIM);
    test_say("node %u answers again %.1f s into the run", VICTIM,
             (double)(test_now_ms() - began_ms) / 1000);
    let_run(began_ms, run_ms);
    join_workers(workers, &stop);
    test_say("full protection %.1f s after the end of the load",
             (double)cluster_wait_healthy(&c, CLUSTER_HEALTHY_MS) / 1000);
    for (unsigned i = 0; i < THREADS; i++)
        keys_expect_all(&workers[i].keys, workers[i].client, "rebuilt");
    lose_others(&c, workers);
    for (unsigned i = 0; i < THREADS; i++) {
        keys_expect_all(&workers[i].keys, workers[i].client, "at the end");
        sherd_close(workers[i].client);
        keys_fini(&workers[i].keys);
    }
    cluster_expect_quiet(&c);
    cluster_down(&c);
    return test_end(&test);
}
