#include "server/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 1100, PRIVATE = 0700 };

/* Of a directory that was made just now, its name of `size` bytes: or it may be gone with the
 * power. */
static int sync_parent(const char *path, size_t size)
{
    char parent[PATH_BYTES_MAX];

    while (size > 0 && path[size - 1] != '/')
        size--;
    if (size == 0) return sherd_directory_sync(".");
    memcpy(parent, path, size);
    parent[size] = '\0';
    return sherd_directory_sync(parent);
}

int sherd_directory_make(const char *path)
{
    char part[PATH_BYTES_MAX];
    size_t size = strlen(path);
    int rc;

    if (size == 0) return -ENOENT;
    if (size >= sizeof(part)) return -ENAMETOOLONG;
    memcpy(part, path, size + 1);
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        part[i] = '\0';
        rc = mkdir(part, PRIVATE) < 0 ? (errno == EEXIST ? 0 : -errno) : sync_parent(part, i);
        if (rc < 0) return rc;
        part[i] = path[i];
    }
    return 0;
}

int sherd_directory_lock(const char *path)
{
    char name[PATH_BYTES_MAX];
    int lock = -1;

    if (snprintf(name, sizeof(name), "%s/lock", path) >= (int)sizeof(name)) return -ENAMETOOLONG;
    lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0) return -errno;
    if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
        int rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
        close(lock);
        return rc;
    }
    return lock;
}

int sherd_directory_sync(const char *path)
{
    int rc = 0, fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) return -errno;
    if (fsync(fd) < 0) rc = -errno;
    close(fd);
    return rc;
}
