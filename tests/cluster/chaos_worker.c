#include "tests/cluster/chaos_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/cluster/chaos_events.h"
#include "tests/cluster/report.h"

enum {
    THREADS = 2,
    AT_ONCE = 3,
    HOT_KEYS = 4,
    COLD_KEYS = 8,
    IDLE_KEYS = 16,
    HOT_MS = 5000, /* then their names are others */
    COLD_MS = 60000,
    BIG = 64 << 10,
};

struct worker {
    const char *events, *seeds;
    struct worker_control *control;
    unsigned host;
    uint32_t first_process;
    uint64_t seed;
};

struct thread;

/* One operation in progress. */
struct slot {
    struct thread *thread;
    struct sherd_op op;
    bool busy;
    uint64_t next_us;
    uint32_t process;
    char key[EVENTS_KEY_SIZE], name[EVENTS_NAME_SIZE];
    char value[2 * EVENTS_NAME_SIZE + 8]; /* of the event */
    uint8_t *bytes;
    /* What was last seen or written, for compare-and-set. */
    char seen_key[EVENTS_KEY_SIZE], seen[EVENTS_NAME_SIZE + 2];
    struct sherd_version seen_version;
};

struct thread {
    const struct worker *worker;
    pthread_t id;
    int file;
    struct sherd_client *client;
    uint64_t random;
    uint32_t next_process, next_number;
    struct slot slots[AT_ONCE];
};

static volatile sig_atomic_t stop;

static void on_stop(int number)
{
    (void)number;
    stop = 1;
}

struct worker_control *worker_control_map(const char *path, bool create)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
    struct worker_control *control;

    if (fd < 0 || ftruncate(fd, sizeof(*control)) < 0) return NULL;
    control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return control == MAP_FAILED ? NULL : control;
}

/* ---- What to do ---- */

static bool chance(struct thread *t, uint32_t percent)
{
    return test_below(&t->random, 100) < percent;
}

static enum sherd_op_kind pick_kind(struct thread *t, bool counter, bool idle)
{
    uint32_t dice = test_below(&t->random, 100);

    if (idle) return dice < 90 ? SHERD_OP_GET : SHERD_OP_SET;
    if (counter) return dice < 35 ? SHERD_OP_GET : dice < 97 ? SHERD_OP_INCREMENT : SHERD_OP_DELETE;
    if (dice < 40) return SHERD_OP_GET;
    if (dice < 68) return SHERD_OP_SET;
    return dice < 95 ? SHERD_OP_CAS : SHERD_OP_DELETE;
}

static void pick(struct slot *s)
{
    struct thread *t = s->thread;
    uint64_t ms = (test_now_us() - t->worker->control->began_us) / 1000;
    uint32_t dice = test_below(&t->random, 100);
    bool counter = false, idle = false;

    if (dice < 65) {
        snprintf(s->key, sizeof(s->key), "hot-%llu-%u", (unsigned long long)(ms / HOT_MS),
                 test_below(&t->random, HOT_KEYS));
    } else if (dice < 80) {
        counter = true;
        snprintf(s->key, sizeof(s->key), "%c-%llu", EVENTS_COUNTER,
                 (unsigned long long)(ms / HOT_MS));
    } else if (dice < 93) {
        snprintf(s->key, sizeof(s->key), "cold-%llu-%u", (unsigned long long)(ms / COLD_MS),
                 test_below(&t->random, COLD_KEYS));
    } else {
        idle = true;
        snprintf(s->key, sizeof(s->key), "idle-%u", test_below(&t->random, IDLE_KEYS));
    }
    s->op.kind = pick_kind(t, counter, idle);
    if (s->op.kind != SHERD_OP_CAS) return;
    if (s->seen_key[0] == '\0')
        s->op.kind = SHERD_OP_GET;
    else /* of another time, now and then: then it is refused */
        memcpy(s->key, s->seen_key, sizeof(s->key));
}

static void make_value(struct slot *s)
{
    static const size_t sizes[] = {0, 0, 100, 1000, 1000, 5000};
    struct thread *t = s->thread;
    size_t size = chance(t, 8) ? BIG : sizes[test_below(&t->random, LEN(sizes))];

    value_name(s->name, s->process, ++t->next_number, size);
    value_fill(s->name, s->bytes);
    s->op.value = (struct sherd_bytes){s->bytes, value_size(s->name)};
}

/* ---- Doing it ---- */

static void say(const struct slot *s, enum event_type type, const char *value, const char *error)
{
    struct event e = {s->process, type, s->op.kind, s->key, value, error};

    events_write(s->thread->file, &e);
}

static void remember(struct slot *s, const char *json)
{
    memcpy(s->seen_key, s->key, sizeof(s->seen_key));
    snprintf(s->seen, sizeof(s->seen), "%s", json);
    s->seen_version = s->op.result.version;
}

/* "NO_QUORUM" as "no_quorum". */
static const char *error_of(const struct sherd_op *op, char out[32])
{
    const char *name = sherd_outcome_name(op->outcome);
    size_t i = 0;

    for (; name[i] != '\0' && i < 31; i++)
        out[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 'a' - 'A' : name[i]);
    out[i] = '\0';
    return out;
}

static void say_ok(struct slot *s)
{
    struct sherd_op *op = &s->op;
    bool is_text = s->key[0] != EVENTS_COUNTER;
    char json[EVENTS_NAME_SIZE + 2] = "null";

    if (op->kind == SHERD_OP_GET && op->outcome == SHERD_OK)
        value_json(s->key, &op->result, json, sizeof(json));
    if (op->kind == SHERD_OP_INCREMENT) snprintf(json, sizeof(json), "%lld", (long long)op->number);
    say(s, EVENT_OK, op->kind == SHERD_OP_GET || op->kind == SHERD_OP_INCREMENT ? json : s->value,
        NULL);
    if (op->kind == SHERD_OP_SET || op->kind == SHERD_OP_CAS)
        snprintf(json, sizeof(json), "\"%s\"", s->name);
    if (op->outcome == SHERD_NOT_FOUND) op->result.version = (struct sherd_version){0};
    if (is_text && op->kind != SHERD_OP_DELETE) remember(s, json);
}

static void on_done(struct sherd_op *op)
{
    struct slot *s = op->context;
    struct thread *t = s->thread;
    enum event_type type = events_type_of(op);
    char error[32];

    if (type == EVENT_OK)
        say_ok(s);
    else
        say(s, type, s->value, type == EVENT_FAIL ? error_of(op, error) : NULL);
    if (type == EVENT_INFO) s->process = t->next_process++;
    sherd_value_fini(&op->result);
    s->busy = false;
    s->next_us = test_now_us() + test_below(&t->random, t->worker->control->think_us);
    t->worker->control->busy[t->worker->host]--;
}

static void begin(struct slot *s)
{
    struct thread *t = s->thread;
    int rc;

    s->op = (struct sherd_op){.done = on_done, .context = s};
    pick(s);
    s->op.key = (struct sherd_bytes){s->key, strlen(s->key)};
    s->op.ack_quorum = chance(t, 20);
    snprintf(s->value, sizeof(s->value), "null");
    if (s->op.kind == SHERD_OP_SET || s->op.kind == SHERD_OP_CAS) make_value(s);
    if (s->op.kind == SHERD_OP_SET) snprintf(s->value, sizeof(s->value), "\"%s\"", s->name);
    if (s->op.kind == SHERD_OP_CAS) {
        s->op.expect = s->seen_version;
        snprintf(s->value, sizeof(s->value), "[%s,\"%s\"]", s->seen, s->name);
    }
    if (s->op.kind == SHERD_OP_INCREMENT) {
        s->op.delta = 1 + test_below(&t->random, 1000000);
        snprintf(s->value, sizeof(s->value), "%lld", (long long)s->op.delta);
    }
    s->busy = true;
    t->worker->control->busy[t->worker->host]++;
    say(s, EVENT_INVOKE, s->value, NULL);
    rc = sherd_submit(t->client, &s->op);
    if (rc == 0) return;
    fprintf(stderr, "sherd_submit: %s\n", strerror(-rc));
    exit(1);
}

/* Begins what is due; returns when the next is, in ms, and whether anything is in progress. */
static int turn(struct thread *t, bool *busy)
{
    uint64_t now_us = test_now_us();
    int wait_ms = 10;

    *busy = false;
    for (unsigned i = 0; i < AT_ONCE; i++) {
        struct slot *s = &t->slots[i];
        if (!s->busy && !stop && !t->worker->control->pause && s->next_us <= now_us) begin(s);
        *busy |= s->busy;
        if (!s->busy && s->next_us > now_us && (s->next_us - now_us) / 1000 < (uint64_t)wait_ms)
            wait_ms = (int)((s->next_us - now_us) / 1000);
    }
    return wait_ms;
}

static void *run(void *context)
{
    struct thread *t = context;
    bool busy = false;

    while (!stop || busy) {
        int rc = sherd_poll(t->client, turn(t, &busy));
        if (rc >= 0 || rc == -EINTR) continue;
        fprintf(stderr, "sherd_poll: %s\n", strerror(-rc));
        exit(1);
    }
    sherd_close(t->client);
    for (unsigned i = 0; i < AT_ONCE; i++)
        free(t->slots[i].bytes);
    close(t->file);
    return NULL;
}

static void start_thread(struct thread *t, const struct worker *w, unsigned number)
{
    struct sherd_options options = {.seeds = w->seeds, .timeout_ms = WORKER_TIMEOUT_MS};
    char error[256] = "";

    *t = (struct thread){.worker = w, .random = w->seed * THREADS + number};
    t->next_process = w->first_process + number * (WORKER_PROCESSES / THREADS);
    t->file = events_open(w->events);
    if (t->file < 0 || sherd_open(&options, &t->client, error, sizeof(error)) < 0) {
        fprintf(stderr, "worker: %s%s\n", t->file < 0 ? strerror(errno) : "", error);
        exit(1);
    }
    for (unsigned i = 0; i < AT_ONCE; i++) {
        t->slots[i].thread = t;
        t->slots[i].process = t->next_process++;
        t->slots[i].bytes = malloc(BIG);
        if (t->slots[i].bytes == NULL) abort();
    }
    if (pthread_create(&t->id, NULL, run, t) != 0) abort();
}

int worker_main(int argc, char **argv)
{
    static struct thread threads[THREADS];
    struct worker w;

    if (argc != 6) return 2;
    w = (struct worker){
        .events = argv[0],
        .control = worker_control_map(argv[1], false),
        .seeds = argv[2],
        .host = (unsigned)strtoul(argv[3], NULL, 10),
        .first_process = (uint32_t)strtoul(argv[4], NULL, 10),
        .seed = strtoull(argv[5], NULL, 10),
    };
    if (w.control == NULL || w.host >= NET_HOSTS_MAX) return 2;
    signal(SIGTERM, on_stop);
    for (unsigned i = 0; i < THREADS; i++)
        start_thread(&threads[i], &w, i);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i].id, NULL);
    return 0;
}
