/* workers.c - threads that keep a cluster busy, and what they saw. */
#include "bench/workers.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/values.h"

enum { POLL_MS = 100, REISSUES_MAX = 8 /* of one set */ };

struct worker;

/* One operation in flight, again and again. */
struct slot {
    struct sherd_op op;
    struct worker *worker;
    uint64_t started_ns;
    unsigned reissues; /* of this set */
    struct bench_key key;
    unsigned char *value;
};

struct worker {
    const struct bench_work *work;
    pthread_barrier_t *barrier;
    pthread_t thread;
    struct sherd_client *client;
    struct slot *slots;
    unsigned char *values; /* of all slots */
    struct bench_random random;
    uint64_t first, last; /* this thread's share of the keys: [first, last) */
    uint64_t next;        /* key of the next write in order */
    uint64_t left;        /* operations still to be submitted */
    unsigned in_flight;
    bool measuring;
    int rc;
    char error[160];
    struct bench_tally tally;
};

static void take_next(struct worker *w, struct slot *s);

static bool is_good(const struct slot *s, struct bench_tally *t)
{
    const struct sherd_op *op = &s->op;

    t->outcomes[op->outcome]++;
    if (op->outcome != SHERD_OK) return false;
    if (op->kind != SHERD_OP_GET) return true;
    if (op->result.size == s->worker->work->size &&
        bench_value_is_of(&s->key, op->result.data, op->result.size))
        return true;
    t->wrong++;
    return false;
}

static void submit(struct worker *w, struct slot *s)
{
    int rc = sherd_submit(w->client, &s->op);

    if (rc == 0) {
        w->in_flight++;
    } else {
        w->rc = rc;
        w->left = 0;
    }
}

static void on_done(struct sherd_op *op)
{
    struct slot *s = op->context;
    struct worker *w = s->worker;
    struct bench_tally *t = &w->tally;
    bool good;

    if (op->kind == SHERD_OP_SET && op->outcome == SHERD_UNCERTAIN && s->reissues < REISSUES_MAX) {
        s->reissues++;
        t->reissued++;
        w->in_flight--;
        submit(w, s);
        return;
    }
    good = is_good(s, t);
    t->operations++;
    if (w->measuring && good) bench_histogram_record(&t->latency, bench_now_ns() - s->started_ns);
    sherd_value_fini(&op->result);
    w->in_flight--;
    take_next(w, s);
}

static uint64_t choose_key(struct worker *w)
{
    if (w->work->read_share != 0) return bench_random_next(&w->random) % w->work->count;
    if (w->next == w->last) w->next = w->first;
    return w->next++;
}

/* Submits one more operation, if one is left to do. */
static void take_next(struct worker *w, struct slot *s)
{
    const struct bench_work *work = w->work;
    bool read = work->read_share > bench_random_next(&w->random) % 100;

    if (w->left == 0) return;
    w->left--;
    s->key = bench_key_of(choose_key(w), work->size, work->key_size);
    if (!read) bench_value_mark(&s->key, s->value, work->size);
    s->op = (struct sherd_op){
        .kind = read ? SHERD_OP_GET : SHERD_OP_SET,
        .key = {s->key.text, s->key.size          },
        .value = {s->value,    read ? 0 : work->size},
        .timeout_ms = work->timeout_ms,
        .done = on_done,
        .context = s,
    };
    s->started_ns = bench_now_ns();
    s->reissues = 0;
    submit(w, s);
}

/* Does `count` operations and waits for the last. */
static void pass(struct worker *w, uint64_t count)
{
    w->left = count;
    for (unsigned i = 0; i < w->work->depth; i++)
        take_next(w, &w->slots[i]);
    while (w->in_flight > 0 && w->rc == 0) {
        int rc = sherd_poll(w->client, POLL_MS);
        if (rc < 0) w->rc = rc;
    }
}

static int open_worker(struct worker *w)
{
    const struct bench_work *work = w->work;
    struct sherd_options options = {.conf = work->conf, .timeout_ms = work->timeout_ms};
    size_t room = work->size > 0 ? work->size : 1;

    w->slots = calloc(work->depth, sizeof(*w->slots));
    w->values = reallocarray(NULL, work->depth, room);
    if (w->slots == NULL || w->values == NULL) return -ENOMEM;
    for (unsigned i = 0; i < work->depth; i++) {
        w->slots[i].worker = w;
        w->slots[i].value = w->values + i * room;
        bench_value_fill(&w->random, w->slots[i].value, work->size);
    }
    return sherd_open(&options, &w->client, w->error, sizeof(w->error));
}

static void close_worker(struct worker *w)
{
    sherd_close(w->client);
    free(w->slots);
    free(w->values);
}

static void *run_worker(void *argument)
{
    struct worker *w = argument;
    uint64_t share = w->last - w->first;

    w->rc = open_worker(w);
    if (w->rc == 0) pass(w, w->work->warmup / w->work->threads);
    pthread_barrier_wait(w->barrier);
    w->next = w->first;
    w->measuring = true;
    w->tally.operations = 0;
    w->tally.started_ns = bench_now_ns();
    if (w->rc == 0) pass(w, share);
    w->tally.ended_ns = bench_now_ns();
    pthread_barrier_wait(w->barrier);
    close_worker(w);
    return NULL;
}

static void merge(struct bench_tally *into, const struct bench_tally *from)
{
    into->operations += from->operations;
    into->wrong += from->wrong;
    into->reissued += from->reissued;
    for (unsigned i = 0; i < SHERD_OUTCOME_COUNT; i++)
        into->outcomes[i] += from->outcomes[i];
    if (into->started_ns == 0 || from->started_ns < into->started_ns)
        into->started_ns = from->started_ns;
    if (from->ended_ns > into->ended_ns) into->ended_ns = from->ended_ns;
    bench_histogram_merge(&into->latency, &from->latency);
}

static int report(const struct worker *w)
{
    if (w->error[0] != '\0') return bench_fail(BENCH_ENVIRONMENT, "%s", w->error);
    return bench_fail(BENCH_ENVIRONMENT, "the client failed: %s", strerror(-w->rc));
}

static void set_up(struct worker *w, const struct bench_work *work, unsigned index,
                   pthread_barrier_t *barrier)
{
    w->work = work;
    w->barrier = barrier;
    w->random.state = work->seed + index;
    w->first = work->count * index / work->threads;
    w->last = work->count * (index + 1) / work->threads;
    w->next = w->first;
}

/* Threads that could not be started would leave the others waiting at the barrier. */
static void must_start(struct worker *w)
{
    int rc = pthread_create(&w->thread, NULL, run_worker, w);

    if (rc != 0) exit(bench_fail(BENCH_ENVIRONMENT, "cannot start a thread: %s", strerror(rc)));
}

int bench_workers_run(const struct bench_work *work, struct bench_tally *out)
{
    struct worker *workers = calloc(work->threads, sizeof(*workers));
    pthread_barrier_t barrier;
    int code = 0;

    if (workers == NULL) return bench_fail(BENCH_ENVIRONMENT, "no memory");
    pthread_barrier_init(&barrier, NULL, work->threads + 1);
    for (unsigned i = 0; i < work->threads; i++) {
        set_up(&workers[i], work, i, &barrier);
        must_start(&workers[i]);
    }
    memset(out, 0, sizeof(*out));
    pthread_barrier_wait(&barrier);
    out->cpu_ns = bench_cpu_ns();
    pthread_barrier_wait(&barrier);
    out->cpu_ns = bench_cpu_ns() - out->cpu_ns;
    for (unsigned i = 0; i < work->threads; i++) {
        pthread_join(workers[i].thread, NULL);
        if (workers[i].rc != 0 && code == 0) code = report(&workers[i]);
        merge(out, &workers[i].tally);
    }
    pthread_barrier_destroy(&barrier);
    free(workers);
    return code;
}

double bench_tally_seconds(const struct bench_tally *t)
{
    return (double)(t->ended_ns - t->started_ns) / 1e9;
}

uint64_t bench_tally_failed(const struct bench_tally *t)
{
    uint64_t failed = t->wrong;

    for (unsigned i = 0; i < SHERD_OUTCOME_COUNT; i++)
        if (i != SHERD_OK) failed += t->outcomes[i];
    return failed;
}

int bench_tally_report_failures(const struct bench_work *work, const struct bench_tally *t)
{
    if (bench_tally_failed(t) == 0) return BENCH_OK;
    fprintf(stderr, "sherd-bench: %s, failed:", work->name);
    for (unsigned i = 0; i < SHERD_OUTCOME_COUNT; i++)
        if (i != SHERD_OK && t->outcomes[i] != 0)
            fprintf(stderr, " %" PRIu64 " %s", t->outcomes[i], sherd_outcome_name(i));
    if (t->wrong != 0) fprintf(stderr, " %" PRIu64 " with wrong data", t->wrong);
    fputc('\n', stderr);
    return BENCH_FAILED;
}
