/* test_restart.c - acceptance A of issue 4: all servers at once are killed with SIGKILL at random
 * moments of a write load, and go on with what is on their disks: what was acknowledged is there,
 * and every answer of the whole run fits into one order.
 *
 * Hot keys are written, counted up, deleted and read by threads that never stop for the kills;
 * their history is judged every few rounds, when new names take over. Cold keys of all sizes are
 * written once and must be there at the end. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cluster/cluster.h"
#include "tests/cluster/keys.h"
#include "tests/history/check.h"

enum {
    THREADS = 6,
    HOT = 8,
    ROUNDS_OF_A_NAME = 4,
    CALLS_MAX = 1 << 16, /* of one key, under one name */
    CLIENT_MS = 1500,
    COLD_MS = 5000,
    KILL_AFTER_MS = 400, /* at most, after all answer again */
};

static const uint32_t sizes[] = {100, 1024, 0, 4096, 33, 20000, 1024, 150000, 5000};

struct hot {
    pthread_mutex_t lock;
    struct history history;
};

static struct hot hot[HOT];
static _Atomic unsigned name_now; /* of all hot keys */
static atomic_bool stop, hold;
static _Atomic int busy;
static _Atomic int64_t next_value = 1;
static _Atomic uint64_t acknowledged, failed, uncertain;

struct worker {
    pthread_t thread;
    struct sherd_client *client;
    uint64_t random;
    uint32_t process;
};

/* ---- One operation on a hot key ---- */

struct
try {
    struct history_call *call;
    struct sherd_op op;
    char key[32], value[32];
};

static void choose(struct worker *w, struct try *t)
{
    static const struct {
        enum history_kind history;
        enum sherd_op_kind op;
    } kinds[] = {
        {HISTORY_SET,       SHERD_OP_SET      },
        {HISTORY_SET,       SHERD_OP_SET      },
        {HISTORY_INCREMENT, SHERD_OP_INCREMENT},
        {HISTORY_DELETE,    SHERD_OP_DELETE   },
        {HISTORY_GET,       SHERD_OP_GET      },
        {HISTORY_GET,       SHERD_OP_GET      },
    };
    unsigned kind = test_below(&w->random, LEN(kinds)), index = test_below(&w->random, HOT);
    int64_t value = kinds[kind].history == HISTORY_SET ? atomic_fetch_add(&next_value, 1000) : 1;
    struct hot *h = &hot[index];

    snprintf(t->key, sizeof(t->key), "hot-%u-%u", atomic_load(&name_now), index);
    snprintf(t->value, sizeof(t->value), "%lld", (long long)value);
    t->op = (struct sherd_op){
        .kind = kinds[kind].op,
        .key = {t->key, strlen(t->key)},
        .delta = 1,
    };
    if (t->op.kind == SHERD_OP_SET) t->op.value = (struct sherd_bytes){t->value, strlen(t->value)};
    pthread_mutex_lock(&h->lock);
    t->call = history_add(&h->history, kinds[kind].history, test_now_us());
    if (t->call) {
        t->call->process = w->process;
        if (kinds[kind].history != HISTORY_GET && kinds[kind].history != HISTORY_DELETE)
            t->call->value = value;
    }
    pthread_mutex_unlock(&h->lock);
}

static int64_t seen_of(const struct sherd_op *op)
{
    char text[32] = "";

    if (op->kind == SHERD_OP_INCREMENT) return op->number;
    if (op->kind != SHERD_OP_GET || op->outcome != SHERD_OK) return HISTORY_NONE;
    TEST_CHECK(op->result.size < sizeof(text));
    memcpy(text, op->result.data, op->result.size);
    return strtoll(text, NULL, 10);
}

static void note(struct try *t)
{
    bool found = t->op.outcome == SHERD_OK ||
                 (t->op.kind == SHERD_OP_GET && t->op.outcome == SHERD_NOT_FOUND);

    if (t->op.outcome == SHERD_LOST) test_fail("%s is LOST", t->key);
    if (found) {
        t->call->seen = seen_of(&t->op);
        t->call->hit = true;
        t->call->end = test_now_us();
        atomic_fetch_add(&acknowledged, 1);
    } else if (t->op.outcome == SHERD_UNCERTAIN && t->op.kind != SHERD_OP_GET) {
        atomic_fetch_add(&uncertain, 1); /* stays open */
    } else {
        history_remove(t->call);
        atomic_fetch_add(&failed, 1);
    }
    sherd_value_fini(&t->op.result);
}

static void *work(void *context)
{
    struct worker *w = context;

    while (!atomic_load(&stop)) {
        struct try t = {0};
        atomic_fetch_add(&busy, 1);
        if (atomic_load(&hold)) {
            atomic_fetch_sub(&busy, 1);
            test_pause_ms(5);
            continue;
        }
        choose(w, &t);
        if (t.call && sherd_run(w->client, &t.op) == 0) note(&t);
        atomic_fetch_sub(&busy, 1);
    }
    return NULL;
}

/* ---- Judging ---- */

static bool nobody_is_busy(void *context)
{
    (void)context;
    return atomic_load(&busy) == 0;
}

/* What everybody was told under the present name; then comes a new name. */
static void judge(struct history_checker *checker, uint64_t *calls)
{
    atomic_store(&hold, true);
    if (!test_wait(nobody_is_busy, NULL, 10 * CLIENT_MS * test_patience()))
        test_fail("operations do not end");
    for (unsigned i = 0; i < HOT; i++) {
        struct history *h = &hot[i].history;
        char key[32];
        snprintf(key, sizeof(key), "hot-%u-%u", atomic_load(&name_now), i);
        enum history_verdict verdict = history_check(checker, h);
        if (verdict == HISTORY_NOT_LINEARIZABLE) history_explain(checker, h, key, stdout);
        if (verdict != HISTORY_LINEARIZABLE)
            test_fail("%s: %s", key, verdict == HISTORY_TOO_HARD ? "too hard" : "no order fits");
        *calls += h->count;
        h->count = 0;
    }
    atomic_fetch_add(&name_now, 1);
    atomic_store(&hold, false);
}

/* ---- The run ---- */

static void start_workers(struct worker *workers, const struct cluster *c, struct test *test)
{
    for (unsigned i = 0; i < HOT; i++) {
        pthread_mutex_init(&hot[i].lock, NULL);
        hot[i].history.calls = calloc(CALLS_MAX, sizeof(struct history_call));
        hot[i].history.room = CALLS_MAX;
        TEST_CHECK(hot[i].history.calls != NULL);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.random = test_random(&test->random), .process = i};
        workers[i].client = cluster_client(c, CLIENT_MS);
        TEST_CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
}

static void end_workers(struct worker *workers)
{
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        sherd_close(workers[i].client);
    }
    for (unsigned i = 0; i < HOT; i++)
        free(hot[i].history.calls);
}

int main(int argc, char **argv)
{
    static const char *const lmdb[] = {"--store", "lmdb", NULL};
    struct history_checker *checker = history_checker_new(0);
    static struct worker workers[THREADS];
    struct sherd_client *client;
    struct cluster c;
    struct test test;
    struct keys cold;
    uint64_t calls = 0;
    unsigned rounds;

    test_begin(&test, "restart", argc, argv);
    rounds = test.full ? 200 : 8;
    cluster_up(&c, "4+2", lmdb);
    client = cluster_client(&c, COLD_MS * test_patience());
    keys_init(&cold, 0, test.full ? 2000 : 200, sizes, LEN(sizes));
    keys_write_all(&cold, client);
    start_workers(workers, &c, &test);
    for (unsigned round = 1; round <= rounds; round++) {
        test_pause_ms(test_below(&test.random, KILL_AFTER_MS));
        cluster_kill_all(&c);
        cluster_start_all(&c);
        if (round % ROUNDS_OF_A_NAME == 0) judge(checker, &calls);
        if (round % 50 == 0) keys_expect_all(&cold, client, "after 50 more kills of all");
    }
    end_workers(workers);
    test_say(
        "%u times all %u servers killed: %llu calls in order; %llu answered, %llu failed, %llu "
        "uncertain",
        rounds, c.nodes, (unsigned long long)calls, (unsigned long long)atomic_load(&acknowledged),
        (unsigned long long)atomic_load(&failed), (unsigned long long)atomic_load(&uncertain));
    TEST_CHECK(atomic_load(&acknowledged) > rounds);
    keys_expect_all(&cold, client, "at the end");
    cluster_wait_healthy(&c, CLUSTER_HEALTHY_MS);
    cluster_expect_quiet(&c);
    sherd_close(client);
    keys_fini(&cold);
    history_checker_free(checker);
    cluster_down(&c);
    return test_end(&test);
}
