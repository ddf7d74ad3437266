/* store_lmdb_open.c - the directory of a durable store: made, opened, looked at, closed, removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/directory.h"
#include "server/store_lmdb_parts.h"

#define NEW "new" /* a store being made: takes its name when it is complete */

enum { PATH_BYTES_MAX = 1100, VALUE_BYTES_MIN = 4096 };

static int path_of(const char *directory, const char *name, char out[PATH_BYTES_MAX])
{
    return snprintf(out, PATH_BYTES_MAX, "%s/%s", directory, name) < PATH_BYTES_MAX ? 0
                                                                                    : -ENAMETOOLONG;
}

static int remove_file(const char *directory, const char *name)
{
    char path[PATH_BYTES_MAX];
    int rc = path_of(directory, name, path);

    if (rc == 0 && unlink(path) < 0 && errno != ENOENT) rc = -errno;
    return rc;
}

/* 1: it is there, 0: it is not, or negative errno. */
static int is_there(const char *directory, const char *name)
{
    char path[PATH_BYTES_MAX];
    struct stat status;
    int rc = path_of(directory, name, path);

    if (rc < 0) return rc;
    if (lstat(path, &status) == 0) return 1;
    return errno == ENOENT ? 0 : -errno;
}

int sherd_lmdb_mark(const struct sherd_lmdb *m, const char *mark)
{
    char path[PATH_BYTES_MAX];
    int rc = path_of(m->directory, mark, path), fd = -1;

    if (rc < 0) return rc;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return -errno;
    if (fsync(fd) < 0) rc = -errno;
    close(fd);
    return rc < 0 ? rc : sherd_directory_sync(m->directory);
}

int sherd_lmdb_unmark(const struct sherd_lmdb *m, const char *mark)
{
    int rc = remove_file(m->directory, mark);

    return rc < 0 ? rc : sherd_directory_sync(m->directory);
}

/* Making one */

int sherd_lmdb_put_format(struct sherd_lmdb *m)
{
    uint8_t format[4];
    int rc = sherd_lmdb_begin(m);

    if (rc < 0) return rc;
    sherd_bytes_put_u32(format, SHERD_LMDB_FORMAT);
    rc = sherd_lmdb_put_note(m, (struct sherd_bytes){"f", 1},
                             (struct sherd_bytes){format, sizeof(format)});
    return sherd_lmdb_errno(rc);
}

/* Two commits, so that each of LMDB's two metas is of one. */
static int fill_new(struct sherd_lmdb *m, void *context)
{
    int rc = 0;

    (void)context;
    m->now.next_id = 1;
    for (int i = 0; rc == 0 && i < 2; i++) {
        rc = sherd_lmdb_put_format(m);
        if (rc == 0) rc = sherd_lmdb_errno(sherd_lmdb_commit(m));
    }
    return rc;
}

int sherd_lmdb_make(struct sherd_lmdb *m, int (*fill)(struct sherd_lmdb *m, void *context),
                    void *context)
{
    char from[PATH_BYTES_MAX], to[PATH_BYTES_MAX];
    uint32_t sync_ms = m->sync_ms;
    int rc = remove_file(m->directory, NEW);

    if (rc == 0) rc = path_of(m->directory, NEW, from);
    if (rc == 0) rc = path_of(m->directory, SHERD_LMDB_DATA, to);
    if (rc < 0) return rc;
    m->sync_ms = 0;
    rc = sherd_lmdb_open_env(m, NEW, true);
    if (rc == 0) rc = fill(m, context);
    if (rc == 0) rc = sherd_lmdb_errno(mdb_env_sync(m->env, 1));
    sherd_lmdb_close_env(m);
    m->sync_ms = sync_ms;
    if (rc < 0) {
        remove_file(m->directory, NEW); /* or its bytes would be missed elsewhere */
        return rc;
    }
    if (rename(from, to) < 0) return -errno;
    return sherd_directory_sync(m->directory);
}

/* Opening one */

static int check_marks(const struct sherd_lmdb *m)
{
    int unclean = is_there(m->directory, SHERD_LMDB_MARK_UNCLEAN);

    return unclean == 1 ? -ESTALE : unclean;
}

static int open_data(const struct sherd_lmdb *m)
{
    char path[PATH_BYTES_MAX];
    int rc = path_of(m->directory, SHERD_LMDB_DATA, path);

    struct stat status;

    if (rc < 0) return rc;
    rc = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* it might be a FIFO */
    if (rc < 0) return -errno;
    if (fstat(rc, &status) == 0 && S_ISREG(status.st_mode)) return rc;
    close(rc);
    return -EUCLEAN;
}

static int check_data(struct sherd_lmdb *m)
{
    int fd = open_data(m), rc = fd < 0 ? fd : sherd_lmdb_check(fd, &m->now);

    if (fd >= 0) close(fd);
    return rc;
}

/* What is damaged is mended first. */
static int check_or_mend(struct sherd_lmdb *m)
{
    int rc = check_data(m), fd;

    if (rc == -EUCLEAN) {
        fd = open_data(m);
        rc = fd < 0 ? fd : sherd_lmdb_mend(m, fd);
        if (fd >= 0) close(fd);
        if (rc == 0) rc = check_data(m);
    }
    return rc;
}

/* Tells the owner which partitions could not be saved. */
static void list_damaged(struct sherd_lmdb *m)
{
    for (unsigned i = 0; i < SHERD_PARTITIONS; i++)
        if (m->now.parts[i].damaged) m->store.forgotten[i / 8] |= (uint8_t)(1u << i % 8);
}

/* One piece of a note. *size: of the whole. 1; 0: it is not there; or negative errno. */
static int load_piece(struct sherd_lmdb *m, uint8_t note, uint32_t piece, uint32_t *size,
                      struct sherd_bytes *out)
{
    uint8_t name[SHERD_LMDB_NOTE_KEY_BYTES_MAX] = {0};
    struct sherd_bytes bytes;
    struct sherd_bytes_reader in;
    MDB_val key = sherd_lmdb_val(name, sizeof(name)), value;
    int rc;

    sherd_lmdb_piece_key('n', note, piece, name);
    rc = mdb_get(m->txn, m->notes, &key, &value);
    if (rc == MDB_NOTFOUND) return 0;
    if (rc != 0) return sherd_lmdb_errno(rc);
    if (sherd_stored_check(sherd_lmdb_bytes(key), sherd_lmdb_bytes(value), &bytes) < 0)
        return -EUCLEAN;
    in = sherd_bytes_read(bytes);
    *size = sherd_bytes_take_u32(&in);
    *out = sherd_bytes_take(&in, sherd_bytes_left(&in));
    return in.broken ? -EUCLEAN : 1;
}

/* The look at the whole has found all of its pieces. */
static int load_note(struct sherd_lmdb *m, uint8_t number)
{
    struct sherd_lmdb_note *note = &m->note_now[number];
    struct sherd_bytes bytes;
    uint32_t size = 0;
    int rc = load_piece(m, number, 0, &size, &bytes);

    if (rc <= 0) return rc;
    note->data = malloc((size_t)size + 1);
    if (!note->data) return -ENOMEM;
    for (uint32_t i = 0; rc == 1 && i < sherd_lmdb_pieces(size); i++) {
        rc = load_piece(m, number, i, &size, &bytes);
        if (rc == 1) sherd_bytes_put(note->data + note->size, bytes);
        if (rc == 1) note->size += bytes.size;
    }
    m->note_synced[number] = *note;
    return rc < 0 ? rc : rc == 1 && note->size == size ? 0 : -EUCLEAN;
}

static int open_store(struct sherd_lmdb *m)
{
    int rc = check_marks(m), there = 0;

    /* What a sync() writes fits: it needs no memory of its own. */
    if (rc == 0) rc = sherd_lmdb_reserve(m, VALUE_BYTES_MIN);
    if (rc == 0) there = is_there(m->directory, SHERD_LMDB_DATA);
    if (there < 0) rc = there;
    if (rc == 0 && there == 0) rc = sherd_lmdb_make(m, fill_new, NULL);
    if (rc == 0) rc = check_or_mend(m);
    if (rc == 0) rc = sherd_lmdb_open_env(m, SHERD_LMDB_DATA, false);
    if (rc == 0) rc = sherd_lmdb_begin(m);
    for (uint8_t i = 0; rc == 0 && i < SHERD_NOTES; i++)
        rc = load_note(m, i);
    sherd_lmdb_end(m);
    m->synced = m->now;
    list_damaged(m);
    memset(m->dirt, true, sizeof(m->dirt));
    return rc;
}

static int take_directory(struct sherd_lmdb *m, const char *directory)
{
    size_t size = strlen(directory) + 1;
    int rc = sherd_directory_make(directory);

    if (rc < 0) return rc;
    m->directory = malloc(size);
    if (!m->directory) return -ENOMEM;
    memcpy(m->directory, directory, size);
    m->lock = sherd_directory_lock(directory);
    return m->lock < 0 ? m->lock : 0;
}

static void free_store(struct sherd_lmdb *m)
{
    sherd_lmdb_close_env(m);
    for (unsigned i = 0; i < SHERD_NOTES; i++) {
        if (m->note_now[i].data != m->note_synced[i].data) free(m->note_now[i].data);
        free(m->note_synced[i].data);
    }
    if (m->lock >= 0) close(m->lock);
    free(m->value);
    free(m->directory);
    free(m);
}

int sherd_store_lmdb_open(const struct sherd_store_lmdb_config *config, struct sherd_store **out)
{
    struct sherd_lmdb *m = calloc(1, sizeof(*m));
    int rc;

    if (!m) return -ENOMEM;
    m->store.ops = &sherd_lmdb_ops;
    m->lock = -1;
    m->sync_ms = config->sync_ms;
    rc = take_directory(m, config->directory);
    if (rc == 0) rc = open_store(m);
    if (rc < 0) {
        free_store(m);
        return rc;
    }
    *out = &m->store;
    return 0;
}

void sherd_lmdb_close(struct sherd_lmdb *m)
{
    sherd_lmdb_end(m);
    /* What was committed reaches the disk before the mark goes. */
    if (m->unclean && !m->lost && m->env && mdb_env_sync(m->env, 1) == 0)
        sherd_lmdb_unmark(m, SHERD_LMDB_MARK_UNCLEAN);
    free_store(m);
}

int sherd_store_lmdb_remove(const char *directory)
{
    static const char *const names[] = {SHERD_LMDB_DATA, NEW, SHERD_LMDB_MARK_UNCLEAN, "lock"};
    int rc = 0, lock = sherd_directory_lock(directory);

    if (lock == -ENOENT) return 0;
    if (lock < 0) return lock;
    for (size_t i = 0; rc == 0 && i < sizeof(names) / sizeof(names[0]); i++)
        rc = remove_file(directory, names[i]);
    if (rc == 0) rc = sherd_directory_sync(directory);
    close(lock);
    /* What else is in there is not ours. */
    if (rc == 0 && rmdir(directory) < 0 && errno != ENOTEMPTY && errno != EEXIST) rc = -errno;
    return rc;
}
