#include "server/keeper_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coord/bytes.h"
#include "coord/map_codec.h"
#include "server/directory.h"

enum {
    FILE_MAGIC = 0x706b6873, /* "shkp" */
    FILE_FORMAT = 1,
    HEAD_BYTES = 16,
    HASH_BYTES = 8,
    FILE_BYTES_MAX = 64 << 20, /* far above the largest map */
    PATH_BYTES_MAX = 1100,
};

static void path_of(const struct sherd_keeper_file *f, const char *name, char *out)
{
    snprintf(out, PATH_BYTES_MAX, "%s/%s", f->directory, name);
}

int sherd_keeper_file_open(struct sherd_keeper_file *f, const char *directory, bool create)
{
    int lock = -1;

    f->lock = -1;
    if (strlen(directory) >= sizeof(f->directory)) return -ENAMETOOLONG;
    memcpy(f->directory, directory, strlen(directory) + 1);
    if (create && mkdir(directory, 0700) < 0 && errno != EEXIST) return -errno;

    lock = sherd_directory_lock(directory);
    if (lock < 0) return lock;
    f->lock = lock;
    return 0;
}

void sherd_keeper_file_close(struct sherd_keeper_file *f)
{
    if (f->lock >= 0) close(f->lock);
    f->lock = -1;
}

static int read_all(int fd, uint8_t *out, size_t size)
{
    while (size > 0) {
        ssize_t got = read(fd, out, size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -errno;
        if (got == 0) return -EBADMSG; /* cut while we read */
        out += got;
        size -= (size_t)got;
    }
    return 0;
}

static int write_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return -errno;
        data += done;
        size -= (size_t)done;
    }
    return 0;
}

/* The whole file, in memory that is the caller's. */
static int load(const char *path, uint8_t **out, size_t *out_size)
{
    struct stat status;
    uint8_t *data = NULL;
    int rc = 0, fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) return -errno;
    if (fstat(fd, &status) < 0) rc = -errno;
    if (rc == 0 && (!S_ISREG(status.st_mode) || status.st_size < HEAD_BYTES + HASH_BYTES ||
                    status.st_size > FILE_BYTES_MAX))
        rc = -EBADMSG;
    if (rc == 0 && !(data = malloc((size_t)status.st_size))) rc = -ENOMEM;
    if (rc == 0) rc = read_all(fd, data, (size_t)status.st_size);
    close(fd);
    if (rc < 0) {
        free(data);
        return rc;
    }
    *out = data;
    *out_size = (size_t)status.st_size;
    return 0;
}

int sherd_keeper_file_read(const struct sherd_keeper_file *f, uint8_t **bytes, size_t *size,
                           uint64_t *live)
{
    char path[PATH_BYTES_MAX];
    uint8_t *data = NULL;
    size_t whole = 0;

    path_of(f, "map", path);
    int rc = load(path, &data, &whole);
    if (rc < 0) return rc;

    struct sherd_bytes_reader head = sherd_bytes_read((struct sherd_bytes){data, HEAD_BYTES});
    struct sherd_bytes_reader tail =
        sherd_bytes_read((struct sherd_bytes){data + whole - HASH_BYTES, HASH_BYTES});
    uint32_t magic = sherd_bytes_take_u32(&head), format = sherd_bytes_take_u32(&head);

    if (magic != FILE_MAGIC || format != FILE_FORMAT ||
        sherd_bytes_take_u64(&tail) !=
            sherd_map_hash((struct sherd_bytes){data, whole - HASH_BYTES})) {
        free(data);
        return -EBADMSG;
    }
    *live = sherd_bytes_take_u64(&head);
    *size = whole - HEAD_BYTES - HASH_BYTES;
    memmove(data, data + HEAD_BYTES, *size);
    *bytes = data;
    return 0;
}

static int write_file(const char *path, const uint8_t *data, size_t size)
{
    int rc, fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) return -errno;
    rc = write_all(fd, data, size);
    if (rc == 0 && fsync(fd) < 0) rc = -errno;
    if (close(fd) < 0 && rc == 0) rc = -errno;
    return rc;
}

int sherd_keeper_file_write(const struct sherd_keeper_file *f, struct sherd_bytes encoded,
                            uint64_t live)
{
    char path[PATH_BYTES_MAX], temporary[PATH_BYTES_MAX];
    size_t size = HEAD_BYTES + encoded.size + HASH_BYTES;
    uint8_t *data = malloc(size), *at = data;
    int rc;

    if (!data) return -ENOMEM;
    at = sherd_bytes_put_u32(at, FILE_MAGIC);
    at = sherd_bytes_put_u32(at, FILE_FORMAT);
    at = sherd_bytes_put_u64(at, live);
    at = sherd_bytes_put(at, encoded);
    sherd_bytes_put_u64(at, sherd_map_hash((struct sherd_bytes){data, size - HASH_BYTES}));

    path_of(f, "map", path);
    path_of(f, "map.new", temporary);
    rc = write_file(temporary, data, size);
    if (rc == 0 && rename(temporary, path) < 0) rc = -errno;
    if (rc == 0) rc = sherd_directory_sync(f->directory);
    free(data);
    return rc;
}
