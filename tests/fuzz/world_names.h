/* world_names.h - calls of the system that end in the target instead. It is included before every
 * file of client/cli, and client/conf.c, when they are built for fuzzing (CMakeLists.txt). Not by
 * the linker (--wrap): libFuzzer and the sanitizers make the same calls, and need the real ones.
 * cli_world.c has them all, fuzz_conf.c the one that it needs. */
#ifndef SHERD_TESTS_FUZZ_WORLD_NAMES_H
#define SHERD_TESTS_FUZZ_WORLD_NAMES_H

#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int world_open(const char *path, int flags, ...);
FILE *world_fopen(const char *path, const char *mode);
int world_access(const char *path, int mode);
int world_stat(const char *path, struct stat *out);
int world_mkdir(const char *path, mode_t mode);
int world_remove(const char *path);
int world_nftw(const char *path, __nftw_func_t each, int fds, int flags);
FTS *world_fts_open(char *const *paths, int options,
                    int (*order)(const FTSENT **, const FTSENT **));
DIR *world_opendir(const char *path);
ssize_t world_readlink(const char *path, char *out, size_t size);
char *world_getcwd(char *out, size_t size);
char *world_getenv(const char *name);
int world_isatty(int fd);
int world_clock_gettime(clockid_t clock, struct timespec *out);
int world_nanosleep(const struct timespec *time, struct timespec *left);
int world_posix_spawnp(pid_t *pid, const char *name, const posix_spawn_file_actions_t *files,
                       const posix_spawnattr_t *attributes, char *const argv[],
                       char *const environment[]);
int world_kill(pid_t pid, int number);
int world_pidfd_open(pid_t pid, unsigned flags);
int world_socket(int domain, int type, int protocol);
int world_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int world_bind(int fd, const struct sockaddr *address, socklen_t size);
int world_listen(int fd, int backlog);

#ifndef WORLD_PROTOTYPES_ONLY
#define open(...)                       world_open(__VA_ARGS__)
#define fopen(path, mode)               world_fopen(path, mode)
#define access(path, mode)              world_access(path, mode)
#define stat(path, out)                 world_stat(path, out)
#define mkdir(path, mode)               world_mkdir(path, mode)
#define remove(path)                    world_remove(path)
#define nftw(path, each, fds, flags)    world_nftw(path, each, fds, flags)
#define fts_open(paths, options, order) world_fts_open(paths, options, order)
#define opendir(path)                   world_opendir(path)
#define readlink(path, out, size)       world_readlink(path, out, size)
#define getcwd(out, size)               world_getcwd(out, size)
#define getenv(name)                    world_getenv(name)
#define isatty(fd)                      world_isatty(fd)
#define clock_gettime(clock, out)       world_clock_gettime(clock, out)
#define nanosleep(time, left)           world_nanosleep(time, left)
#define posix_spawnp(...)               world_posix_spawnp(__VA_ARGS__)
#define kill(pid, number)               world_kill(pid, number)
#define pidfd_open(pid, flags)          world_pidfd_open(pid, flags)
#define socket(domain, type, protocol)  world_socket(domain, type, protocol)
#define setsockopt(...)                 world_setsockopt(__VA_ARGS__)
#define bind(fd, address, size)         world_bind(fd, address, size)
#define listen(fd, backlog)             world_listen(fd, backlog)
#endif

#endif
