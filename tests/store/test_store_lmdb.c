/* test_store_lmdb.c - what a durable store keeps when it is closed, left, or killed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sherd/ecc.h>

#include "server/store_lmdb_pages.h"
#include "server/store_lmdb_parts.h"
#include "tests/store/lmdb_fixture.h"
#include "tests/store/store_content.h"
#include "tests/store/store_model.h"
#include "tests/support/random.h"

enum { ROUNDS = 30, CHANGES = 200, KILLS = 40, PORTION = 64 };

/* Reads the store's content into `now`, which had another or none. */
static void read_again(struct lmdb_fixture *f, struct content *now)
{
    content_free(now);
    assert_int_equal(content_read(f->store, now), 0);
}

static void assert_holds(struct lmdb_fixture *f, const struct content *then)
{
    struct content now = {0};

    read_again(f, &now);
    assert_true(content_equals(&now, then, false));
    content_free(&now);
}

static void synced_stays_and_nothing_else(void **state)
{
    struct lmdb_fixture *f = *state;
    struct content synced = {0};

    for (unsigned i = 0; i < ROUNDS; i++) {
        lmdb_open(f, i % 2 ? 1 : 0);
        if (i > 0) assert_holds(f, &synced);
        lmdb_change(f, CHANGES, 1 + i);
        assert_int_equal(f->store->ops->sync(f->store), 0);
        read_again(f, &synced);
        lmdb_change(f, i % 3 * 50, 1000); /* never synced */
        lmdb_close(f);
    }
    lmdb_open(f, 0);
    assert_holds(f, &synced);
    assert_true(synced.count > 50);
    content_free(&synced);
}

/* In a child: changes and syncs, tells what a sync makes hold before and after it, and ends. */
static _Noreturn void live_and_die(struct lmdb_fixture *f, int tell, unsigned syncs)
{
    struct content now = {0};
    uint8_t done = 1;

    if (lmdb_try_open(f, 0) != 0) _exit(2);
    for (unsigned i = 0; i < syncs; i++) {
        for (uint64_t j = random_next(&f->random) % 20; j > 0; j--)
            if (content_change(f->store, &f->random) != 0) _exit(3);
        content_free(&now);
        if (content_read(f->store, &now) != 0) _exit(4);
        if (write(tell, &now.count, sizeof(now.count)) < 0 ||
            write(tell, now.records, now.count * sizeof(now.records[0])) < 0 ||
            write(tell, now.notes, sizeof(now.notes)) < 0 ||
            write(tell, &now.stats, sizeof(now.stats)) < 0)
            _exit(5);
        if (f->store->ops->sync(f->store) != 0) _exit(6);
        if (write(tell, &done, 1) < 0) _exit(7);
    }
    for (uint64_t j = random_next(&f->random) % 20; j > 0; j--)
        content_change(f->store, &f->random);
    _exit(0);
}

static bool take(int from, void *out, size_t size)
{
    uint8_t *to = out;

    while (size > 0) {
        ssize_t got = read(from, to, size);
        if (got <= 0) return false;
        to += got;
        size -= (size_t)got;
    }
    return true;
}

/* Reads one content that the child told of. */
static bool take_content(int from, struct content *out)
{
    *out = (struct content){0};
    if (!take(from, &out->count, sizeof(out->count))) return false;
    out->records = malloc(out->count * sizeof(out->records[0]) + 1);
    assert_non_null(out->records);
    if (take(from, out->records, out->count * sizeof(out->records[0])) &&
        take(from, out->notes, sizeof(out->notes)) && take(from, &out->stats, sizeof(out->stats)))
        return true;
    content_free(out);
    return false;
}

/* Follows what a child tells until it is gone. *next holds only if its sync was under way. */
static void follow(int from, struct content *last, struct content *next)
{
    uint8_t done = 0;

    while (take_content(from, next)) {
        if (!take(from, &done, 1)) return;
        content_free(last);
        *last = *next;
        *next = (struct content){0};
    }
}

static void one_life(struct lmdb_fixture *f, unsigned number, struct content *last)
{
    struct content next = {0}, now = {0};
    int pipes[2], status = 0;
    pid_t child = -1;

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    f->random = number;
    child = fork();
    assert_true(child >= 0);
    if (child == 0) live_and_die(f, pipes[1], number % 2 ? 1 + number % 7 : 1000000);
    close(pipes[1]);
    if (number % 2 == 0) { /* killed wherever it is, once it has synced something */
        struct content first;
        uint8_t done = 0;
        for (unsigned i = 0; i < 1 + number % 5; i++) {
            assert_true(take_content(pipes[0], &first) && take(pipes[0], &done, 1));
            content_free(last);
            *last = first;
        }
        kill(child, SIGKILL);
    }
    follow(pipes[0], last, &next);
    close(pipes[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    lmdb_open(f, 0);
    read_again(f, &now);
    assert_true(content_equals(&now, last, false) ||
                (next.records && content_equals(&now, &next, false)));
    lmdb_close(f);
    content_free(last);
    *last = now;
    content_free(&next);
}

static void killed_loses_only_what_was_not_synced(void **state)
{
    struct lmdb_fixture *f = *state;
    struct content last = {0};

    for (unsigned i = 1; i <= KILLS; i++)
        one_life(f, i, &last);
    assert_true(last.count > 50);
    content_free(&last);
}

/* Where syncs are not durable by themselves, nobody knows what a killed process has left. */
static void killed_between_flushes_is_damaged(void **state)
{
    struct lmdb_fixture *f = *state;
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (lmdb_try_open(f, 1000) != 0 || content_change(f->store, &f->random) != 0) _exit(1);
        _exit(f->store->ops->sync(f->store) == 0 ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(lmdb_try_open(f, 0), -ESTALE);
    assert_int_equal(lmdb_try_open(f, 1000), -ESTALE);
    assert_int_equal(sherd_store_lmdb_remove(f->directory), 0);
    lmdb_open(f, 1000);
    assert_int_equal(stats_of(f->store).keys, 0);
}

/* ... but one that only read has left nothing. */
static void killed_without_a_change_is_clean(void **state)
{
    struct lmdb_fixture *f = *state;
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct content now;
        if (lmdb_try_open(f, 1000) != 0 || content_read(f->store, &now) != 0) _exit(1);
        _exit(f->store->ops->sync(f->store) == 0 ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    lmdb_open(f, 0);
}

/* How many keys of a partition there are in the file, dropped ones too. */
struct tally {
    struct sherd_lmdb_tree records, shards;
    uint64_t of_partition;
};

static int find_trees(void *context, const struct sherd_lmdb_node *node)
{
    struct tally *t = context;

    if (*(const char *)node->key.data == 'r') sherd_lmdb_pages_tree(node->value, &t->records);
    if (*(const char *)node->key.data == 's') sherd_lmdb_pages_tree(node->value, &t->shards);
    return 0;
}

static uint64_t keys_in_file(const struct lmdb_fixture *f)
{
    struct sherd_lmdb_pages pages;
    struct tally t = {0};
    int fd = open(f->data, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(sherd_lmdb_pages_open(&pages, fd), 0);
    assert_int_equal(sherd_lmdb_pages_walk(&pages, &pages.newest.main, 0, find_trees, &t), 0);
    sherd_lmdb_pages_close(&pages);
    close(fd);
    return t.records.entries + t.shards.entries;
}

/* One key of partition 3 with a large shard. */
static void put_numbered(struct sherd_store *s, unsigned number)
{
    static uint8_t shard[2000];
    char text[16];
    int size = snprintf(text, sizeof(text), "%u", number);
    struct sherd_store_key key = {
        3, number * UINT64_C(0x9e3779b97f4a7c15), {text, (size_t)size}
    };
    struct sherd_record record = {.count = 1};
    struct sherd_change change = {.put = true};

    record.entries[0] = (struct sherd_entry){
        .ballot = {1,  2, 3},
        .version = {1,  2,   3},
        .has_shard = true,
        .crc = sherd_crc32c(shard, sizeof(shard)),
        .shard = {shard, sizeof(shard)}
    };
    assert_int_equal(s->ops->apply(s, &key, &record, &change, NULL), 0);
}

/* However large a partition is, it is gone at once; its bytes go in small portions. */
static void dropped_partition_goes_by_and_by(void **state)
{
    struct lmdb_fixture *f = *state;
    const unsigned count = 500;
    uint64_t before = 0, after = 0;

    lmdb_open(f, 0);
    for (unsigned i = 0; i < count; i++)
        put_numbered(f->store, i);
    assert_int_equal(f->store->ops->sync(f->store), 0);
    before = keys_in_file(f);
    assert_int_equal(before, 2 * count);
    f->store->ops->drop_partition(f->store, 3);
    assert_int_equal(stats_of(f->store).keys, 0);
    for (bool more = true; more; before = after) {
        assert_int_equal(f->store->ops->sync(f->store), 0);
        put_numbered(f->store, count); /* of the new generation */
        assert_int_equal(f->store->ops->sync(f->store), 0);
        forget_key(f->store, &(struct sherd_store_key){
                                 3, count * UINT64_C(0x9e3779b97f4a7c15), {"500", 3}
        });
        assert_int_equal(f->store->ops->sync(f->store), 0);
        after = keys_in_file(f);
        more = after > 0;
        assert_true(before - after <= 3 * PORTION);
        assert_true(after < before);
        lmdb_close(f); /* who opens it goes on */
        lmdb_open(f, 0);
        assert_int_equal(stats_of(f->store).keys, 0);
    }
}

static void undrop_is_undone(void **state)
{
    struct lmdb_fixture *f = *state;
    struct content synced = {0};

    lmdb_open(f, 0);
    for (unsigned i = 0; i < 100; i++)
        put_numbered(f->store, i);
    assert_int_equal(f->store->ops->sync(f->store), 0);
    read_again(f, &synced);
    f->store->ops->drop_partition(f->store, 3);
    lmdb_close(f);
    lmdb_open(f, 0);
    assert_holds(f, &synced);
    assert_int_equal(stats_of(f->store).keys, 100);
    content_free(&synced);
}

static void notes_are_kept(void **state)
{
    struct lmdb_fixture *f = *state;
    const size_t size = 1 << 20;
    uint8_t *large = calloc(1, size);
    struct sherd_bytes got;

    assert_non_null(large);
    large[size - 1] = 1;
    lmdb_open(f, 0);
    assert_int_equal(f->store->ops->fetch(f->store, SHERD_NOTE_MAP).size, 0);
    assert_int_equal(
        f->store->ops->save(f->store, SHERD_NOTE_MAP, (struct sherd_bytes){large, size}), 0);
    assert_int_equal(f->store->ops->save(f->store, SHERD_NOTE_NODE, (struct sherd_bytes){"one", 3}),
                     0);
    assert_int_equal(f->store->ops->sync(f->store), 0);
    assert_int_equal(
        f->store->ops->save(f->store, SHERD_NOTE_NODE, (struct sherd_bytes){"three", 5}), 0);
    got = f->store->ops->fetch(f->store, SHERD_NOTE_NODE);
    assert_int_equal(got.size, 5);
    lmdb_close(f);
    lmdb_open(f, 0);
    got = f->store->ops->fetch(f->store, SHERD_NOTE_NODE);
    assert_int_equal(got.size, 3);
    assert_memory_equal(got.data, "one", 3);
    got = f->store->ops->fetch(f->store, SHERD_NOTE_MAP);
    assert_int_equal(got.size, size);
    assert_memory_equal(got.data, large, size);
    free(large);
}

static void one_process_at_a_time(void **state)
{
    struct lmdb_fixture *f = *state;
    struct sherd_store_lmdb_config config = {f->directory, 0};
    struct sherd_store *other = NULL;

    lmdb_open(f, 0);
    assert_int_equal(sherd_store_lmdb_open(&config, &other), -EBUSY);
    assert_int_equal(sherd_store_lmdb_remove(f->directory), -EBUSY);
    assert_null(other);
}

static void directories_are_made(void **state)
{
    struct lmdb_fixture *f = *state;
    char path[192];
    struct sherd_store_lmdb_config config = {path, 0};
    struct sherd_store *s = NULL;

    snprintf(path, sizeof(path), "%s/a/b", f->directory);
    assert_int_equal(sherd_store_lmdb_open(&config, &s), 0);
    s->ops->close(s);
    assert_int_equal(sherd_store_lmdb_remove(path), 0);
    assert_int_equal(sherd_store_lmdb_remove(path), 0); /* nothing there */
    snprintf(path, sizeof(path), "%s/a", f->directory);
    assert_int_equal(rmdir(path), 0);
}

/* A file system that was made larger: the map that was chosen for it becomes too small. */
static void map_grows_with_the_file(void **state)
{
    struct lmdb_fixture *f = *state;
    struct sherd_lmdb *m = NULL;
    const uint64_t small = 2 << 20;
    struct content synced = {0};

    lmdb_open(f, 0);
    m = (struct sherd_lmdb *)f->store;
    assert_true(m->map_bytes >= UINT64_C(1) << 30);
    sherd_lmdb_close_env(m);
    m->map_bytes = small;
    for (unsigned i = 0; i < 3000; i++) {
        put_numbered(f->store, i);
        if (i % 10 == 9) assert_int_equal(f->store->ops->sync(f->store), 0);
    }
    assert_true(m->map_bytes >= 4 * small);
    read_again(f, &synced);
    lmdb_close(f);
    lmdb_open(f, 0);
    assert_holds(f, &synced);
    assert_int_equal(stats_of(f->store).keys, 3000);
    content_free(&synced);
}

/* A store that some later version has written. */
static void other_format_is_refused(void **state)
{
    struct lmdb_fixture *f = *state;
    struct sherd_lmdb *m = NULL;
    uint8_t format[4];

    lmdb_open(f, 0);
    m = (struct sherd_lmdb *)f->store;
    sherd_bytes_put_u32(format, SHERD_LMDB_FORMAT + 1);
    assert_int_equal(sherd_lmdb_begin(m), 0);
    assert_int_equal(sherd_lmdb_put_note(m, (struct sherd_bytes){"f", 1},
                                         (struct sherd_bytes){format, sizeof(format)}),
                     0);
    m->changed = true;
    assert_int_equal(f->store->ops->sync(f->store), 0);
    lmdb_close(f);
    assert_int_equal(lmdb_try_open(f, 0), -EPROTONOSUPPORT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lmdb_setup, lmdb_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(synced_stays_and_nothing_else),
        TEST(killed_loses_only_what_was_not_synced),
        TEST(killed_between_flushes_is_damaged),
        TEST(killed_without_a_change_is_clean),
        TEST(dropped_partition_goes_by_and_by),
        TEST(undrop_is_undone),
        TEST(notes_are_kept),
        TEST(one_process_at_a_time),
        TEST(directories_are_made),
        TEST(map_grows_with_the_file),
        TEST(other_format_is_refused),
    };

    return cmocka_run_group_tests_name("store_lmdb", tests, NULL, NULL);
}
