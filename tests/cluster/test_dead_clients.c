/* test_dead_clients.c - acceptance D: clients die at random moments of a write, again and again,
 * while others read.
 *
 * A writer is this program again (--writer), so that it is a process of its own; it notes in a
 * shared journal what it is about to write, and what was acknowledged. It is killed 0 to 20 ms
 * after its first write began, and the next one takes over. Readers (--reader) check that each read
 * gives a value that was acknowledged or on its way, the newest acknowledged one or newer, and
 * never one older than they have seen before. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/cluster/cluster.h"
#include "tests/cluster/keys.h"

enum {
    KEYS = 50,
    READERS = 2,
    CLIENT_MS = 10000, /* beyond BLOCKED_MS, to see how long a key really is blocked */
    BLOCKED_MS = 3000,
    KILL_AFTER_US = 20000,
    FIRST_WRITE_MS = 20000,
    VALUE_MAX = 300000,
};

struct worker_report {
    _Atomic uint64_t operations, failed, uncertain, slowest_us;
    char why[200]; /* of the first failure */
};

/* Shared by all processes of the test. */
struct journal {
    atomic_bool stop;
    _Atomic uint64_t begun; /* writes */
    struct {
        _Atomic uint32_t intent, acked; /* sequences */
    } keys[KEYS];
    struct worker_report writers, readers[READERS]; /* one writer is alive at a time */
    char seeds[CLUSTER_NODES_MAX * (CLUSTER_ENDPOINT_SIZE + 1)];
};

static struct journal *open_journal(const char *path, bool create)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
    void *memory;

    if (fd < 0 || (create && ftruncate(fd, sizeof(struct journal)) != 0)) return NULL;
    memory = mmap(NULL, sizeof(struct journal), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return memory == MAP_FAILED ? NULL : memory;
}

static struct sherd_client *open_client(const struct journal *j)
{
    struct sherd_options options = {.seeds = j->seeds, .timeout_ms = CLIENT_MS};
    struct sherd_client *client = NULL;
    char error[200] = "";

    if (sherd_open(&options, &client, error, sizeof(error)) == 0) return client;
    fprintf(stderr, "sherd_open: %s\n", error);
    exit(1);
}

static void note_time(struct worker_report *r, uint64_t began_us)
{
    uint64_t took_us = test_now_us() - began_us;

    if (took_us > atomic_load(&r->slowest_us)) atomic_store(&r->slowest_us, took_us);
    atomic_fetch_add(&r->operations, 1);
}

__attribute__((format(printf, 2, 3))) static void note_failure(struct worker_report *r,
                                                               const char *format, ...)
{
    va_list arguments;

    if (atomic_fetch_add(&r->failed, 1) > 0) return;
    va_start(arguments, format);
    vsnprintf(r->why, sizeof(r->why), format, arguments);
    va_end(arguments);
}

/* ---- The writer ---- */

static void write_one(struct journal *j, struct sherd_client *client, uint64_t *random,
                      void *buffer)
{
    static const uint32_t sizes[] = {16, 17, 100, 1000, 4096, 5000, 70000, VALUE_MAX};
    uint32_t key = test_below(random, KEYS), size = sizes[test_below(random, LEN(sizes))];
    uint32_t sequence = atomic_fetch_add(&j->keys[key].intent, 1) + 1;
    enum sherd_outcome outcome = SHERD_NO_QUORUM;
    char text[KEY_BYTES + 1];
    uint64_t began_us = test_now_us();
    int rc;

    key_text(key, text);
    content_fill(buffer, size, key, sequence);
    atomic_fetch_add(&j->begun, 1);
    rc = sherd_set(client, (struct sherd_bytes){text, KEY_BYTES},
                   (struct sherd_bytes){buffer, size}, &outcome);
    note_time(&j->writers, began_us);
    if (rc == 0 && outcome == SHERD_OK)
        atomic_store(&j->keys[key].acked, sequence);
    else if (rc == 0 && outcome == SHERD_UNCERTAIN) /* honest: somebody was finishing it */
        atomic_fetch_add(&j->writers.uncertain, 1);
    else
        note_failure(&j->writers, "write %u of key %u: %s", sequence, key,
                     rc < 0 ? strerror(-rc) : sherd_outcome_name(outcome));
}

/* So that the time until the kill is spent in writes. */
static void get_connected(struct sherd_client *client)
{
    struct sherd_value value = {0};
    enum sherd_outcome outcome;

    (void)sherd_get(client, (struct sherd_bytes){"-", 1}, &outcome, &value);
    sherd_value_fini(&value);
}

static int write_until_killed(struct journal *j, uint64_t seed)
{
    struct sherd_client *client = open_client(j);
    void *buffer = malloc(VALUE_MAX);

    if (buffer == NULL) return 1;
    get_connected(client);
    while (!atomic_load(&j->stop))
        write_one(j, client, &seed, buffer);
    free(buffer);
    sherd_close(client);
    return 0;
}

/* ---- The readers ---- */

static void read_one(struct journal *j, struct sherd_client *client, struct worker_report *r,
                     uint32_t key, uint32_t *seen)
{
    uint32_t acked = atomic_load(&j->keys[key].acked), sequence = 0;
    uint32_t lowest = acked > *seen ? acked : *seen;
    enum sherd_outcome outcome = SHERD_NO_QUORUM;
    struct sherd_value value = {0};
    char text[KEY_BYTES + 1];
    uint64_t began_us = test_now_us();
    int rc;

    key_text(key, text);
    rc = sherd_get(client, (struct sherd_bytes){text, KEY_BYTES}, &outcome, &value);
    note_time(r, began_us);
    if (rc < 0 || outcome != SHERD_OK)
        note_failure(r, "read of key %u: %s", key,
                     rc < 0 ? strerror(-rc) : sherd_outcome_name(outcome));
    else if (!content_read(value.data, value.size, key, &sequence))
        note_failure(r, "read of key %u: %zu bytes that were never written", key, value.size);
    else if (sequence < lowest || sequence > atomic_load(&j->keys[key].intent))
        note_failure(r, "read of key %u: value %u, not of %u (acknowledged %u) to %u", key,
                     sequence, lowest, acked, atomic_load(&j->keys[key].intent));
    else
        *seen = sequence;
    sherd_value_fini(&value);
}

static int read_until_stopped(struct journal *j, unsigned index, uint64_t seed)
{
    struct sherd_client *client = open_client(j);
    uint32_t seen[KEYS] = {0};

    while (!atomic_load(&j->stop)) {
        uint32_t key = test_below(&seed, KEYS);
        read_one(j, client, &j->readers[index], key, &seen[key]);
    }
    sherd_close(client);
    return 0;
}

/* ---- The test ---- */

static char journal_path[PROCESS_ROOT_SIZE + 16];

static pid_t start_worker(const char *name, const char *what, unsigned index, uint64_t seed)
{
    char self[512] = "", index_text[16], seed_text[24];
    const char *argv[] = {self, what, journal_path, index_text, seed_text, NULL};

    TEST_CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    snprintf(index_text, sizeof(index_text), "%u", index);
    snprintf(seed_text, sizeof(seed_text), "%llu", (unsigned long long)seed);
    return process_start(name, argv, NULL);
}

static int work(char **argv)
{
    struct journal *j = open_journal(argv[2], false);
    uint64_t seed = strtoull(argv[4], NULL, 10);

    if (j == NULL) return 1;
    if (strcmp(argv[1], "--writer") == 0) return write_until_killed(j, seed);
    return read_until_stopped(j, (unsigned)strtoul(argv[3], NULL, 10) % READERS, seed);
}

static struct journal *make_journal(const struct cluster *c)
{
    char endpoint[CLUSTER_ENDPOINT_SIZE];
    struct journal *j;

    snprintf(journal_path, sizeof(journal_path), "%s/journal", process_root());
    j = open_journal(journal_path, true);
    if (j == NULL) test_fail("no journal");
    for (unsigned i = 0; i < c->nodes; i++) {
        cluster_endpoint(c, i, endpoint);
        if (i > 0) strcat(j->seeds, ",");
        strcat(j->seeds, endpoint);
    }
    return j;
}

/* Every key has a value before anybody is killed. */
static void write_first_values(struct journal *j)
{
    struct sherd_client *client = open_client(j);
    enum sherd_outcome outcome;
    char text[KEY_BYTES + 1], value[100];

    for (uint32_t key = 0; key < KEYS; key++) {
        key_text(key, text);
        content_fill(value, sizeof(value), key, 1);
        atomic_store(&j->keys[key].intent, 1);
        TEST_CHECK(sherd_set(client, (struct sherd_bytes){text, KEY_BYTES},
                             (struct sherd_bytes){value, sizeof(value)}, &outcome) == 0);
        TEST_CHECK(outcome == SHERD_OK);
        atomic_store(&j->keys[key].acked, 1);
    }
    sherd_close(client);
}

static void kill_one_writer(struct journal *j, uint64_t *random)
{
    uint64_t begun = atomic_load(&j->begun), until_ms = test_now_ms() + FIRST_WRITE_MS;
    pid_t pid = start_worker("writer", "--writer", 0, test_random(random));
    int code;

    while (atomic_load(&j->begun) == begun) {
        if (test_now_ms() >= until_ms) test_fail("a writer does not begin to write");
        usleep(50);
    }
    usleep(test_below(random, KILL_AFTER_US));
    kill(pid, SIGKILL);
    code = process_wait(pid, FIRST_WRITE_MS);
    if (code != -SIGKILL) test_fail("a writer ended by itself: %d", code);
}

static void judge(const char *what, const struct worker_report *r)
{
    uint64_t limit_us = (uint64_t)BLOCKED_MS * 1000 * test_patience();

    test_say("%s: %llu operations, %llu uncertain, %llu failed, slowest %.1f ms", what,
             (unsigned long long)r->operations, (unsigned long long)r->uncertain,
             (unsigned long long)r->failed, (double)r->slowest_us / 1000);
    if (r->failed > 0) test_fail("%s: %s", what, r->why);
    if (r->slowest_us > limit_us) test_fail("%s: a key was blocked for longer than 3 s", what);
}

static void final_reads(struct journal *j)
{
    struct sherd_client *client = open_client(j);
    struct worker_report report = {0};
    uint32_t unused;

    for (uint32_t key = 0; key < KEYS; key++) {
        unused = 0;
        read_one(j, client, &report, key, &unused);
    }
    sherd_close(client);
    judge("final reads", &report);
}

int main(int argc, char **argv)
{
    struct test test;
    struct cluster c;
    struct journal *j;
    pid_t readers[READERS];
    unsigned rounds;

    if (argc == 5 && (strcmp(argv[1], "--writer") == 0 || strcmp(argv[1], "--reader") == 0))
        return work(argv);
    test_begin(&test, "dead_clients", argc, argv);
    rounds = test.full ? 1000 : 60;
    cluster_up(&c, "4+2", NULL);
    j = make_journal(&c);
    write_first_values(j);
    for (unsigned i = 0; i < READERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "reader-%u", i);
        readers[i] = start_worker(name, "--reader", i, test_random(&test.random));
    }
    for (unsigned i = 0; i < rounds; i++)
        kill_one_writer(j, &test.random);
    test_pause_ms(BLOCKED_MS); /* the readers go on while the last write is finished */
    atomic_store(&j->stop, true);
    for (unsigned i = 0; i < READERS; i++) {
        int code = process_wait(readers[i], FIRST_WRITE_MS);
        if (code != 0) test_fail("reader %u ended with %d", i, code);
    }
    test_say("%u clients killed in the middle of %llu writes of %d keys", rounds,
             (unsigned long long)j->begun, KEYS);
    judge("writers", &j->writers);
    for (unsigned i = 0; i < READERS; i++)
        judge("reader", &j->readers[i]);
    final_reads(j);
    cluster_expect_quiet(&c);
    cluster_down(&c);
    return test_end(&test);
}
