#include "tests/support/io_fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sherd/base.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* What comes behind this in the order of libraries. */
#define NEXT(name)                                              \
    __extension__({                                             \
        static __typeof__(&(name)) next;                        \
        if (!next) *(void **)(&next) = dlsym(RTLD_NEXT, #name); \
        next;                                                   \
    })

/* Whether this call is to fail: 0, or why. *late: it is carried out first. */
static int failure(const char *call, bool *late)
{
    const char *path = getenv(IO_FAULT_VARIABLE);
    int before = errno, fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char text[256] = "";
    ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    const char *calls = NULL;

    errno = before;
    if (fd < 0) return 0;
    close(fd);
    text[size > 0 ? size : 0] = '\0';
    *late = strstr(text, "late") != NULL;
    calls = strchr(text, ' ');
    if (calls && strcmp(calls, " late") != 0 && !strstr(calls, call)) return 0;
    return strncmp(text, "ENOSPC", 6) == 0 ? ENOSPC : EIO;
}

static bool is_file(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* Carries out a call, unless it is to fail. */
#define CALL(name, ...)                                     \
    do {                                                    \
        bool late = false;                                  \
        int error = failure(#name, &late);                  \
        if (!error) return NEXT(name)(__VA_ARGS__);         \
        if (late && NEXT(name)(__VA_ARGS__) < 0) return -1; \
        errno = error;                                      \
        return -1;                                          \
    } while (0)

SHERD_API ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    CALL(pwrite, fd, data, size, at);
}

SHERD_API ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    CALL(pwrite64, fd, data, size, at);
}

SHERD_API ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    CALL(pwritev, fd, parts, count, at);
}

SHERD_API ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (!is_file(fd)) return NEXT(writev)(fd, parts, count);
    CALL(writev, fd, parts, count);
}

SHERD_API int fdatasync(int fd) { CALL(fdatasync, fd); }

SHERD_API int fsync(int fd) { CALL(fsync, fd); }

SHERD_API int msync(void *at, size_t size, int flags) { CALL(msync, at, size, flags); }

SHERD_API int ftruncate(int fd, off_t size) { CALL(ftruncate, fd, size); }
