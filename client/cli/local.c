#include "client/cli/local.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { LOCK_FD = 3, POLL_MS = 10, SERVER_PLACES = 3 };

static struct flock whole_file(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET}; /* l_pid 0: OFD locks ask so */
}

/* The process that holds the lock of an open pid file, or 0. */
static pid_t holder_of(int fd)
{
    struct flock lock = whole_file();
    char text[16] = "";
    long pid;

    if (fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return 0;
    if (pread(fd, text, sizeof(text) - 1, 0) <= 0) return 0; /* locked, not started yet */
    pid = strtol(text, NULL, 10);
    return pid > 1 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

pid_t cli_local_pid(const char *dir, unsigned node)
{
    char path[CLI_PATH_SIZE];
    pid_t pid;
    int fd;

    cli_place_file(dir, node, "pid", path);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return 0;
    pid = holder_of(fd);
    close(fd);
    return pid;
}

bool cli_local_is_suspended(pid_t pid)
{
    char path[64], text[256] = "";
    const char *after;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    file = fopen(path, "re");
    if (file == NULL) return false;
    if (fgets(text, sizeof(text), file) == NULL) text[0] = '\0';
    fclose(file);
    after = strrchr(text, ')'); /* the name before it may contain anything */
    return after != NULL && after[1] == ' ' && after[2] == 'T';
}

/* ---- Starting ---- */

/* $SHERD_SERVER, beside this program, in the build tree; "sherd-server": wherever PATH has it. */
static const char *find_server(char out[CLI_PATH_SIZE])
{
    static const char *const places[SERVER_PLACES] = {"", "../server/", "../../server/"};
    const char *named = getenv("SHERD_SERVER");
    char self[CLI_PATH_SIZE];
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    if (named != NULL && named[0] != '\0') return named;
    self[size > 0 ? size : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash == NULL) return "sherd-server";
    slash[1] = '\0';
    for (size_t i = 0; i < SERVER_PLACES; i++) {
        snprintf(out, CLI_PATH_SIZE, "%.900s%ssherd-server", self, places[i]);
        if (access(out, X_OK) == 0) return out;
    }
    return "sherd-server";
}

/* Opens and locks the pid file. A descriptor, or a negative errno (-EBUSY: the node is running). */
static int lock_pid_file(const char *dir, unsigned node)
{
    struct flock lock = whole_file();
    char path[CLI_PATH_SIZE];
    int fd;

    cli_place_file(dir, node, "pid", path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return -errno;
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0 || ftruncate(fd, 0) != 0) {
        int rc = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
        close(fd);
        return rc;
    }
    return fd;
}

/* In a session of its own, with nothing of ours open but the lock and the log. */
static int spawn_server(const char *server, char **argv, int lock_fd, int log_fd, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int rc;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, log_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, log_fd, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&files, lock_fd, LOCK_FD);
    posix_spawn_file_actions_addclosefrom_np(&files, LOCK_FD + 1);
    rc = posix_spawnp(pid, server, &files, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return -rc;
}

static int spawn_locked(const char *dir, unsigned node, bool init, int lock_fd, const char *server)
{
    char log_path[CLI_PATH_SIZE], conf_path[CLI_PATH_SIZE], text[16];
    char name[] = "sherd-server", config[] = "--config", init_word[] = "--init";
    char *argv[] = {name, config, conf_path, init ? init_word : NULL, NULL};
    pid_t pid = 0;
    int log_fd, rc, size;

    cli_place_file(dir, node, "conf", conf_path);
    cli_place_file(dir, node, "log", log_path);
    log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log_fd < 0) return -errno;
    rc = spawn_server(server, argv, lock_fd, log_fd, &pid);
    close(log_fd);
    if (rc != 0) return rc;
    size = snprintf(text, sizeof(text), "%ld\n", (long)pid);
    if (pwrite(lock_fd, text, (size_t)size, 0) == size) return 0;
    rc = errno != 0 ? -errno : -EIO; /* a server that nobody could stop again must not stay */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return rc;
}

int cli_local_spawn(const struct cli *cli, const char *dir, unsigned node, bool init)
{
    char path[CLI_PATH_SIZE];
    const char *server = find_server(path);
    int fd = lock_pid_file(dir, node), rc;

    if (fd == -EBUSY) return cli_fail(cli, CLI_ENVIRONMENT, "node %u is running already", node);
    if (fd < 0) return cli_fail(cli, CLI_ENVIRONMENT, "cannot write in %s: %s", dir, strerror(-fd));
    rc = spawn_locked(dir, node, init, fd, server);
    close(fd);
    if (rc == 0) return 0;
    return cli_fail(cli, CLI_ENVIRONMENT, "cannot start %s: %s; SHERD_SERVER names another", server,
                    strerror(-rc));
}

/* ---- Stopping ---- */

void cli_local_signal(const char *dir, unsigned node, int number)
{
    pid_t pid = cli_local_pid(dir, node);
    int process = pid > 0 ? pidfd_open(pid, 0) : -1;

    if (process < 0) return;
    /* Asked again: now the number cannot pass to another process any more. */
    if (cli_local_pid(dir, node) == pid) pidfd_send_signal(process, number, NULL, 0);
    close(process);
}

bool cli_local_wait_one_gone(const char *dir, unsigned node, unsigned timeout_ms)
{
    uint64_t deadline_ms = cli_now_ms() + timeout_ms;

    while (cli_local_pid(dir, node) != 0) {
        if (cli_now_ms() >= deadline_ms) return false;
        cli_sleep_ms(POLL_MS);
    }
    return true;
}

bool cli_local_wait_gone(const char *dir, unsigned count, unsigned timeout_ms)
{
    uint64_t deadline_ms = cli_now_ms() + timeout_ms;

    for (unsigned node = 0; node < count; node++) {
        uint64_t now_ms = cli_now_ms();
        unsigned left_ms = now_ms < deadline_ms ? (unsigned)(deadline_ms - now_ms) : 0;
        if (!cli_local_wait_one_gone(dir, node, left_ms)) return false;
    }
    return true;
}

/* ---- Files ---- */

void cli_local_last_log(const char *dir, unsigned node, char out[CLI_LOG_LINE_SIZE])
{
    char path[CLI_PATH_SIZE], line[CLI_LOG_LINE_SIZE];
    FILE *file;

    out[0] = '\0';
    cli_place_file(dir, node, "log", path);
    file = fopen(path, "re");
    if (file == NULL) return;
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0') memcpy(out, line, sizeof(line));
    }
    fclose(file);
}

int cli_local_make_folder(const char *path)
{
    char part[CLI_PATH_SIZE];

    snprintf(part, sizeof(part), "%s", path);
    for (char *c = part + 1; *c != '\0'; c++) {
        if (*c != '/') continue;
        *c = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST) return -errno;
        *c = '/';
    }
    return mkdir(part, 0755) != 0 && errno != EEXIST ? -errno : 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    remove(path);
    return 0;
}

void cli_local_remove(const char *path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }
