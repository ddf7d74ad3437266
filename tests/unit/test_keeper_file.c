/* The keeper's file: read as it was written, or refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/keeper_file.h"

static const char content[] = "whatever bytes a map has";

/* The order in which things became durable: f the file, r its new name, d the directory. */
static char order[16];
static char broken; /* of these letters: its call fails */

int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);

static int note(char letter)
{
    size_t size = strlen(order);

    if (size + 1 < sizeof(order)) order[size] = letter; /* only one test looks at it */
    if (letter != broken) return 0;
    errno = EIO;
    return -1;
}

int __wrap_fsync(int fd)
{
    struct stat status;

    assert_int_equal(fstat(fd, &status), 0);
    return note(S_ISDIR(status.st_mode) ? 'd' : 'f') < 0 ? -1 : __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
    return note('r') < 0 ? -1 : __real_rename(from, to);
}

struct fixture {
    char parent[64], directory[96], map[128], temporary[128], lock[128];
    struct sherd_keeper_file file;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f) return -1;
    strcpy(f->parent, "/tmp/sherd-keeper-file-XXXXXX");
    if (!mkdtemp(f->parent)) return -1;
    snprintf(f->directory, sizeof(f->directory), "%s/keeper", f->parent);
    snprintf(f->map, sizeof(f->map), "%s/map", f->directory);
    snprintf(f->temporary, sizeof(f->temporary), "%s/map.new", f->directory);
    snprintf(f->lock, sizeof(f->lock), "%s/lock", f->directory);
    *state = f;
    return sherd_keeper_file_open(&f->file, f->directory, true);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    sherd_keeper_file_close(&f->file);
    remove(f->map);
    remove(f->temporary);
    remove(f->lock);
    rmdir(f->directory);
    rmdir(f->parent);
    free(f);
    return 0;
}

static int write_content(struct fixture *f, uint64_t live)
{
    return sherd_keeper_file_write(&f->file, (struct sherd_bytes){content, sizeof(content)}, live);
}

/* Reads; on success checks that it is `content`, live as given. */
static int read_content(struct fixture *f, uint64_t want_live)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    uint64_t live = 0;
    int rc = sherd_keeper_file_read(&f->file, &bytes, &size, &live);

    if (rc < 0) {
        assert_null(bytes);
        return rc;
    }
    assert_int_equal(live, want_live);
    assert_int_equal(size, sizeof(content));
    assert_memory_equal(bytes, content, size);
    free(bytes);
    return 0;
}

static void test_written_and_read(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(read_content(f, 0), -ENOENT);
    assert_int_equal(write_content(f, 7), 0);
    assert_int_equal(read_content(f, 7), 0);
    assert_int_equal(write_content(f, UINT64_MAX), 0);
    assert_int_equal(read_content(f, UINT64_MAX), 0);
    assert_int_equal(access(f->temporary, F_OK), -1);
}

static void test_every_damage_is_seen(void **state)
{
    struct fixture *f = *state;
    uint8_t data[256];
    int fd;

    assert_int_equal(write_content(f, 7), 0);
    fd = open(f->map, O_RDWR);
    ssize_t size = read(fd, data, sizeof(data));
    assert_in_range(size, sizeof(content), sizeof(data) - 1);
    for (ssize_t i = 0; i < size; i++) {
        data[i] ^= 1;
        assert_int_equal(pwrite(fd, data, (size_t)size, 0), size);
        assert_int_equal(read_content(f, 7), -EBADMSG);
        data[i] ^= 1;
    }
    for (ssize_t cut = 0; cut < size; cut++) {
        assert_int_equal(ftruncate(fd, cut), 0);
        assert_int_equal(read_content(f, 7), -EBADMSG);
        assert_int_equal(pwrite(fd, data, (size_t)size, 0), size);
    }
    assert_int_equal(read_content(f, 7), 0);
    assert_int_equal(ftruncate(fd, size + 1), 0); /* and nothing may follow */
    assert_int_equal(read_content(f, 7), -EBADMSG);
    assert_int_equal(ftruncate(fd, 1LL << 40), 0); /* without reading all of it */
    assert_int_equal(read_content(f, 7), -EBADMSG);
    close(fd);
}

static void test_no_file_at_all(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir(f->map, 0700), 0);
    assert_int_equal(read_content(f, 0), -EBADMSG);
    assert_int_equal(rmdir(f->map), 0);
}

/* What fails leaves the old file as it was. */
static void test_failed_write(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(write_content(f, 7), 0);
    assert_int_equal(mkdir(f->temporary, 0700), 0);
    assert_int_equal(write_content(f, 8), -EISDIR);
    assert_int_equal(read_content(f, 7), 0);
    assert_int_equal(rmdir(f->temporary), 0);
    assert_int_equal(write_content(f, 8), 0);
    assert_int_equal(read_content(f, 8), 0);
}

/* A crash at any moment leaves the old map or the new one, and what was answered is durable. */
static void test_durable_in_order(void **state)
{
    struct fixture *f = *state;

    memset(order, 0, sizeof(order));
    assert_int_equal(write_content(f, 7), 0);
    assert_string_equal(order, "frd");
    for (const char *letter = "frd"; *letter; letter++) {
        memset(order, 0, sizeof(order));
        broken = *letter;
        assert_int_equal(write_content(f, 8), -EIO);
        broken = 0;
        if (*letter != 'd') assert_int_equal(read_content(f, 7), 0);
    }
}

/* A crash in the middle leaves a temporary file; it is no map, and in nobody's way. */
static void test_leftover(void **state)
{
    struct fixture *f = *state;
    int fd = open(f->temporary, O_WRONLY | O_CREAT, 0600);

    assert_int_equal(write(fd, "half", 4), 4);
    close(fd);
    assert_int_equal(read_content(f, 0), -ENOENT);
    assert_int_equal(write_content(f, 7), 0);
    assert_int_equal(read_content(f, 7), 0);
}

static void test_directory(void **state)
{
    struct fixture *f = *state;
    struct sherd_keeper_file other;
    char path[1100];

    assert_int_equal(sherd_keeper_file_open(&other, f->directory, true), -EBUSY);
    assert_int_equal(other.lock, -1);
    sherd_keeper_file_close(&f->file);
    assert_int_equal(sherd_keeper_file_open(&other, f->directory, false), 0);
    sherd_keeper_file_close(&other);

    snprintf(path, sizeof(path), "%s/missing", f->parent);
    assert_int_equal(sherd_keeper_file_open(&other, path, false), -ENOENT);
    snprintf(path, sizeof(path), "%s/missing/missing", f->parent);
    assert_int_equal(sherd_keeper_file_open(&other, path, true), -ENOENT);
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(sherd_keeper_file_open(&other, path, true), -ENAMETOOLONG);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_written_and_read), WITH_FIXTURE(test_every_damage_is_seen),
        WITH_FIXTURE(test_no_file_at_all),   WITH_FIXTURE(test_failed_write),
        WITH_FIXTURE(test_leftover),         WITH_FIXTURE(test_directory),
        WITH_FIXTURE(test_durable_in_order),
    };

    return cmocka_run_group_tests_name("keeper file", tests, NULL, NULL);
}
