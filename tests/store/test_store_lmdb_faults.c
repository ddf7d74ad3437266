/* test_store_lmdb_faults.c - a durable store on a disk that fails, or is full. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sherd/ecc.h>

#include "client/clock.h"
#include "tests/store/lmdb_fixture.h"
#include "tests/store/store_content.h"
#include "tests/store/store_model.h"
#include "tests/support/io_fault.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { SHARD_MAX = 20000, DISK_MB = 48 };

/* The clock goes on by itself, and by what a test says. */

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker makes these names */
uint64_t __real_sherd_clock_now_us(void);
uint64_t __wrap_sherd_clock_now_us(void);

static uint64_t ahead_us;

uint64_t __wrap_sherd_clock_now_us(void) { return __real_sherd_clock_now_us() + ahead_us; }
/* NOLINTEND(bugprone-reserved-identifier) */

static const uint64_t retry_us = 1100000;
static char fault_file[64];
static bool is_mounted; /* a small file system, on the directory of the store */

static void fail_with(const char *how) { write_whole(fault_file, how, strlen(how)); }

static void fail_no_more(void) { assert_int_equal(unlink(fault_file), 0); }

static int setup(void **state)
{
    int fd = -1;

    strcpy(fault_file, "/tmp/sherd-io-fault-XXXXXX");
    fd = mkstemp(fault_file);
    if (fd < 0) return -1;
    close(fd);
    fail_no_more();
    setenv(IO_FAULT_VARIABLE, fault_file, 1);
    return lmdb_setup(state);
}

static int teardown(void **state)
{
    struct lmdb_fixture *f = *state;

    if (is_mounted) {
        if (f->store) lmdb_close(f);
        is_mounted = false;
        if (umount(f->directory) < 0) return -1;
    }
    unlink(fault_file);
    unsetenv(IO_FAULT_VARIABLE);
    return lmdb_teardown(state);
}

static const struct sherd_store_key some_key = {
    3, 33, {"some", 4}
};
static const uint8_t zeros[SHARD_MAX];

/* One entry of this size under a key that has no record. */
static int put_new(struct sherd_store *s, const struct sherd_store_key *key, size_t size)
{
    struct sherd_record record = {.count = 1};
    struct sherd_change change = {.put = true};

    record.entries[0] = (struct sherd_entry){
        .ballot = {1,  2, 3},
        .version = {1,  2,   3},
        .has_shard = true,
        .crc = sherd_crc32c(zeros, size),
        .shard = {zeros, size}
    };
    return s->ops->apply(s, key, &record, &change, NULL);
}

static void assert_holds(struct sherd_store *s, const struct content *then)
{
    struct content now = {0};

    assert_int_equal(content_read(s, &now), 0);
    assert_true(content_equals(&now, then, false));
    content_free(&now);
}

/* Everything that changes is refused; everything that reads works. */
static void assert_refuses(struct sherd_store *s, int rc, const struct content *then)
{
    struct sherd_record record;

    assert_int_equal(s->ops->fault(s), rc);
    assert_holds(s, then);
    assert_int_equal(put_new(s, &some_key, 10), rc);
    assert_int_equal(s->ops->save(s, SHERD_NOTE_MAP, (struct sherd_bytes){"x", 1}), rc);
    assert_false(s->ops->has_room(s, 10, 0, true));
    assert_int_equal(s->ops->load(s, &some_key, true, &record), 0);
    assert_int_equal(record.count, 0);
    assert_holds(s, then);
    assert_int_equal(s->ops->sync(s), 0); /* what was read may be told */
}

/* The disk comes back: from the next second on changes work again. */
static void assert_recovers(struct sherd_store *s, int rc)
{
    assert_int_equal(s->ops->sync(s), 0);
    assert_int_equal(s->ops->fault(s), rc); /* it is not tried all the time */
    ahead_us += retry_us;
    assert_int_equal(s->ops->sync(s), 0);
    assert_int_equal(s->ops->fault(s), 0);
}

static void fault_undoes_and_is_over_again(void **state)
{
    struct lmdb_fixture *f = *state;
    static const struct {
        const char *how;
        int rc;
    } rows[] = {
        {"EIO",                -EIO   },
        {"ENOSPC",             -ENOSPC},
        {"EIO fdatasync",      -EIO   },
        {"EIO late",           -EIO   },
        {"ENOSPC pwrite",      -ENOSPC},
        {"EIO pwrite late",    -EIO   },
        {"EIO fdatasync late", -EIO   },
    };
    struct content synced = {0};

    for (size_t i = 0; i < LEN(rows); i++) {
        lmdb_open(f, 0);
        lmdb_change(f, 200, 7);
        assert_int_equal(f->store->ops->sync(f->store), 0);
        content_free(&synced);
        assert_int_equal(content_read(f->store, &synced), 0);
        lmdb_change(f, 20, 1000);
        fail_with(rows[i].how);
        assert_int_equal(f->store->ops->sync(f->store), rows[i].rc);
        assert_refuses(f->store, rows[i].rc, &synced);
        ahead_us += retry_us;
        assert_int_equal(f->store->ops->sync(f->store), 0); /* tried in vain */
        assert_refuses(f->store, rows[i].rc, &synced);
        f->store->ops->drop_partition(f->store, 0); /* fails when it is synced */
        assert_int_equal(f->store->ops->sync(f->store), rows[i].rc);
        assert_refuses(f->store, rows[i].rc, &synced);
        fail_no_more();
        assert_recovers(f->store, rows[i].rc);
        assert_holds(f->store, &synced);
        lmdb_change(f, 50, 7);
        assert_int_equal(f->store->ops->sync(f->store), 0);
        content_free(&synced);
        assert_int_equal(content_read(f->store, &synced), 0);
        lmdb_close(f);
        lmdb_open(f, 0);
        assert_holds(f->store, &synced);
        lmdb_close(f);
    }
    content_free(&synced);
}

/* What was lost in the course of a fault is lost even if the process ends in it. */
static void closed_in_a_fault_keeps_what_was_synced(void **state)
{
    struct lmdb_fixture *f = *state;
    struct content synced = {0};

    lmdb_open(f, 0);
    lmdb_change(f, 200, 7);
    assert_int_equal(f->store->ops->sync(f->store), 0);
    assert_int_equal(content_read(f->store, &synced), 0);
    lmdb_change(f, 20, 1000);
    fail_with("EIO");
    assert_int_equal(f->store->ops->sync(f->store), -EIO);
    lmdb_close(f);
    fail_no_more();
    lmdb_open(f, 0);
    assert_holds(f->store, &synced);
    content_free(&synced);
}

/* Between flushes: what could not be flushed was promised, so the store is not to be trusted. */
static void failed_flush_leaves_a_mark(void **state)
{
    struct lmdb_fixture *f = *state;
    struct content synced = {0};

    lmdb_open(f, 500);
    lmdb_change(f, 200, 7);
    assert_int_equal(f->store->ops->sync(f->store), 0);
    assert_int_equal(content_read(f->store, &synced), 0);
    lmdb_change(f, 20, 1000);
    fail_with("EIO fdatasync");
    assert_int_equal(f->store->ops->fault(f->store), 0);
    ahead_us += retry_us;
    assert_int_equal(f->store->ops->sync(f->store), -EIO);
    assert_refuses(f->store, -EIO, &synced);
    fail_no_more();
    assert_recovers(f->store, -EIO);
    lmdb_close(f);
    assert_int_equal(lmdb_try_open(f, 500), -ESTALE);
    content_free(&synced);
}

static void flush_comes_in_its_time(void **state)
{
    struct lmdb_fixture *f = *state;

    lmdb_open(f, 500);
    lmdb_change(f, 20, 1);
    fail_with("EIO fdatasync");
    ahead_us += retry_us;
    assert_int_equal(f->store->ops->sync(f->store), -EIO); /* also when nothing changed */
    fail_no_more();
}

static void cannot_be_made_on_a_bad_disk(void **state)
{
    struct lmdb_fixture *f = *state;

    fail_with("EIO");
    assert_int_equal(lmdb_try_open(f, 0), -EIO);
    fail_with("ENOSPC fsync"); /* of the directory: it is there, but who knows for how long */
    assert_int_equal(lmdb_try_open(f, 0), -ENOSPC);
    fail_no_more();
    lmdb_open(f, 0);
    assert_int_equal(stats_of(f->store).keys, 0);
}

/* Full */

static struct sherd_store_key numbered(uint32_t number, unsigned char text[16])
{
    memset(text, 0, 16);
    memcpy(text, &number, sizeof(number));
    return (struct sherd_store_key){
        (uint16_t)(number % 4), number * UINT64_C(0x9e3779b97f4a7c15), {text, 16}
    };
}

/* Puts keys from *number on until there is no room, or something fails. */
static int fill(struct sherd_store *s, uint32_t *number, bool ask)
{
    unsigned char text[16];

    for (;; ++*number) {
        struct sherd_store_key key = numbered(*number, text);
        int rc = 0;
        if (ask && !s->ops->has_room(s, key.key.size, SHARD_MAX, false)) return 0;
        rc = put_new(s, &key, SHARD_MAX);
        if (rc == 0 && *number % 16 == 15) rc = s->ops->sync(s);
        if (rc < 0) return rc;
    }
}

static uint32_t empty(struct sherd_store *s, uint32_t count)
{
    unsigned char text[16];

    for (uint32_t i = 0; i < count; i++) {
        struct sherd_store_key key = numbered(i, text);
        struct sherd_record record;
        assert_int_equal(s->ops->load(s, &key, false, &record), 0);
        if (record.count == 0) continue;
        assert_true(s->ops->has_room(s, 16, 0, true));
        forget_key(s, &key);
        if (i % 16 == 15) assert_int_equal(s->ops->sync(s), 0);
    }
    assert_int_equal(s->ops->sync(s), 0);
    return (uint32_t)stats_of(s).keys;
}

/* A full store refuses, can be emptied, and takes as much again. */
static void full_disk_can_be_emptied(void **state)
{
    struct lmdb_fixture *f = *state;
    uint32_t first = 0, second = 0, number = 0;
    char options[32];

    /* A namespace of its own: whatever becomes of this process, the mount is gone with it. */
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        skip();
    snprintf(options, sizeof(options), "size=%dm", DISK_MB);
    if (mount("sherd", f->directory, "tmpfs", 0, options) < 0) skip();
    is_mounted = true;
    lmdb_open(f, 0);
    assert_int_equal(fill(f->store, &first, true), 0);
    assert_true(first > DISK_MB * 25 / 2); /* 20 000 bytes each, and half of the disk at least */
    assert_int_equal(f->store->ops->sync(f->store), 0);
    assert_true(stats_of(f->store).bytes_max <= (uint64_t)DISK_MB << 20);
    number = first;
    assert_int_equal(fill(f->store, &number, false), -ENOSPC); /* into the reserve, and beyond */
    f->store->ops->sync(f->store);
    assert_int_equal(f->store->ops->fault(f->store), -ENOSPC);
    ahead_us += retry_us;
    assert_int_equal(f->store->ops->sync(f->store), 0);
    assert_int_equal(f->store->ops->fault(f->store), 0); /* a small write fits */
    assert_int_equal(f->store->ops->sync(f->store), 0);
    assert_true(f->store->ops->has_room(f->store, 16, 0, true));
    assert_false(f->store->ops->has_room(f->store, 16, SHARD_MAX, true));
    ahead_us += retry_us; /* the file system is asked anew */
    assert_int_equal(empty(f->store, number + 16), 0);
    lmdb_close(f);
    lmdb_open(f, 0);
    ahead_us += retry_us;
    assert_int_equal(fill(f->store, &second, true), 0);
    assert_true(second >= first / 10 * 9);
    lmdb_close(f);
}

/* A file that may not become larger is a full disk that needs no root. */
static void largest_file_is_a_fault(void **state)
{
    struct lmdb_fixture *f = *state;
    struct rlimit before, limit;
    struct content synced = {0};
    uint32_t number = 0;
    int rc = 0;

    signal(SIGXFSZ, SIG_IGN);
    lmdb_open(f, 0);
    lmdb_change(f, 200, 7);
    assert_int_equal(f->store->ops->sync(f->store), 0);
    assert_int_equal(content_read(f->store, &synced), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 8 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    rc = fill(f->store, &number, false);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(rc == -EFBIG || rc == -EIO); /* EIO: a part of a write fitted */
    assert_int_equal(f->store->ops->fault(f->store), rc);
    assert_true(stats_of(f->store).keys >= synced.stats.keys + 64);
    assert_int_equal(f->store->ops->sync(f->store), 0);
    assert_recovers(f->store, rc);
    content_free(&synced);
    assert_int_equal(content_read(f->store, &synced), 0);
    lmdb_close(f);
    lmdb_open(f, 0);
    assert_holds(f->store, &synced);
    content_free(&synced);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fault_undoes_and_is_over_again), TEST(closed_in_a_fault_keeps_what_was_synced),
        TEST(failed_flush_leaves_a_mark),     TEST(flush_comes_in_its_time),
        TEST(cannot_be_made_on_a_bad_disk),   TEST(full_disk_can_be_emptied),
        TEST(largest_file_is_a_fault),
    };

    return cmocka_run_group_tests_name("store_lmdb_faults", tests, NULL, NULL);
}
