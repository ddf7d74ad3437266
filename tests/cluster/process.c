#include "tests/cluster/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cluster/report.h"

enum {
    ENDED_MAX = 256,
    ENVIRONMENT_MAX = 1024,
    RUN_MS = 60000,
    LOG_TAIL = 2000,
    LINE_MAX_SIZE = 1024
};

static char root[PROCESS_ROOT_SIZE];
static int watch_pipe = -1; /* the watchman reads the other end, and never gets a byte */

/* How programs ended that nobody has asked about yet; the oldest are forgotten. */
static struct {
    pid_t pid;
    int status;
} ended[ENDED_MAX];
static unsigned ended_next;

/* ---- The watchman ---- */

static bool names_root(const char *pid)
{
    char path[300], line[4096];
    char needle[PROCESS_ROOT_SIZE + 1];
    ssize_t size;
    int fd;

    snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
    snprintf(needle, sizeof(needle), "%s/", root);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    size = read(fd, line, sizeof(line));
    close(fd);
    return size > 0 && memmem(line, (size_t)size, needle, strlen(needle)) != NULL;
}

/* Ends every process that has a file of the folder on its command line. Returns how many. */
static unsigned end_all(void)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    unsigned count = 0;

    if (proc == NULL) return 0;
    while ((entry = readdir(proc)) != NULL) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid <= 1 || pid == getpid() || !names_root(entry->d_name)) continue;
        if (kill(pid, SIGKILL) == 0) count++;
    }
    closedir(proc);
    return count;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)type, (void)where;
    remove(path);
    return 0;
}

void process_remove(const char *path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static void __attribute__((noreturn)) watchman(int fd)
{
    const char *keep = getenv("SHERD_KEEP");
    char byte;

    setsid();
    while (read(fd, &byte, 1) < 0 && errno == EINTR)
        continue;
    for (int i = 0; i < 50 && end_all() > 0; i++)
        test_pause_ms(20);
    if (keep == NULL || *keep == '\0') process_remove(root);
    _exit(0);
}

/* A grandchild: it belongs to nobody by the time anyone ends the test and its children. */
static void start_watchman(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    pid_t child = fork();

    if (child < 0 || null < 0) test_fail("no watchman: %s", strerror(errno));
    if (child == 0) {
        if (fork() != 0) _exit(0);
        close(watch_pipe);
        for (int i = 0; i < 3; i++) /* ctest waits for whoever holds its pipes */
            dup2(null, i);
        watchman(fd);
    }
    close(null);
    waitpid(child, NULL, 0);
}

void process_watch(void)
{
    const char *folder = getenv("TMPDIR");
    int ends[2];

    snprintf(root, sizeof(root), "%s/sherd-test.XXXXXX",
             folder != NULL && strlen(folder) < 40 ? folder : "/tmp");
    if (mkdtemp(root) == NULL) test_fail("%s: %s", root, strerror(errno));
    if (pipe2(ends, O_CLOEXEC) < 0) test_fail("pipe: %s", strerror(errno));
    watch_pipe = ends[1];
    start_watchman(ends[0]);
    close(ends[0]);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_IGN);
}

const char *process_root(void) { return root; }

/* ---- Running ---- */

static void redirect(const char *name, const char *suffix, int fd)
{
    char path[PROCESS_ROOT_SIZE + 80];
    int file;

    snprintf(path, sizeof(path), "%s/%s.%s", root, name, suffix);
    file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || dup2(file, fd) < 0) _exit(127);
    close(file);
}

/* In the child: nothing here takes a lock, which another thread may have held when we forked. */
static void __attribute__((noreturn)) execute(const char *const *argv, const char *const *more)
{
    const char *all[ENVIRONMENT_MAX + 1] = {NULL};
    size_t count = 0;

    for (; more != NULL && *more != NULL && count < ENVIRONMENT_MAX; more++)
        all[count++] = *more;
    for (char **at = environ; *at != NULL && count < ENVIRONMENT_MAX; at++)
        all[count++] = *at;
    errno = E2BIG;
    if (count < ENVIRONMENT_MAX)
        execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)all);
    dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

pid_t process_start(const char *name, const char *const *argv, const char *const *more)
{
    pid_t pid = fork();

    if (pid < 0) test_fail("fork: %s", strerror(errno));
    if (pid != 0) return pid;
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0) _exit(127);
    if (null > 0) close(null);
    redirect(name, "out", 1);
    redirect(name, "err", 2);
    signal(SIGPIPE, SIG_DFL);
    execute(argv, more);
}

/* Notes who has ended: children, and servers that were adopted. */
static void reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        ended[ended_next].pid = pid;
        ended[ended_next].status = status;
        ended_next = (ended_next + 1) % ENDED_MAX;
    }
}

static int take_ended(pid_t pid)
{
    for (unsigned i = 0; i < ENDED_MAX; i++) {
        if (ended[i].pid != pid) continue;
        int status = ended[i].status;
        ended[i].pid = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    return PROCESS_LOST;
}

int process_wait(pid_t pid, unsigned timeout_ms)
{
    uint64_t until_ms = test_now_ms() + timeout_ms;
    int code;

    for (;;) {
        reap();
        code = take_ended(pid);
        if (code != PROCESS_LOST || test_now_ms() >= until_ms) return code;
        test_pause_ms(1);
    }
}

bool process_is_alive(pid_t pid)
{
    char path[40], text[300] = "";
    const char *state;
    ssize_t size;
    int fd;

    reap();
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    size = read(fd, text, sizeof(text) - 1);
    close(fd);
    state = size > 0 ? strrchr(text, ')') : NULL;
    return state != NULL && state[1] == ' ' && state[2] != 'Z';
}

static void read_text(const char *name, const char *suffix, char out[PROCESS_TEXT_MAX])
{
    char path[PROCESS_ROOT_SIZE + 80];
    ssize_t size = -1;
    int fd;

    snprintf(path, sizeof(path), "%s/%s.%s", root, name, suffix);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) size = read(fd, out, PROCESS_TEXT_MAX - 1);
    if (fd >= 0) close(fd);
    out[size > 0 ? size : 0] = '\0';
}

void process_run(const char *const *argv, struct process_result *out)
{
    pid_t pid = process_start("run", argv, NULL);

    out->code = process_wait(pid, RUN_MS * test_patience());
    read_text("run", "out", out->out);
    read_text("run", "err", out->err);
    if (out->code != PROCESS_LOST) return;
    kill(pid, SIGKILL);
    test_fail("%s %s %s ... does not end", argv[0], argv[1], argv[1] != NULL ? argv[2] : "");
}

/* ---- Logs ---- */

static bool has_suffix(const char *path, const char *suffix)
{
    size_t size = strlen(path), suffix_size = strlen(suffix);

    return size >= suffix_size && strcmp(path + size - suffix_size, suffix) == 0;
}

static int show_tail(const char *path, const struct stat *info, int type, struct FTW *where)
{
    char line[LINE_MAX_SIZE];
    FILE *file;

    (void)where;
    if (type != FTW_F || !has_suffix(path, ".log") || info->st_size == 0) return 0;
    file = fopen(path, "re");
    if (file == NULL) return 0;
    printf("---- the end of %s\n", path + strlen(root) + 1);
    if (info->st_size > LOG_TAIL) fseek(file, -LOG_TAIL, SEEK_END);
    while (fgets(line, sizeof(line), file) != NULL)
        fputs(line, stdout);
    fclose(file);
    return 0;
}

static const char *const sanitizer_words[] = {"ERROR: AddressSanitizer", "ERROR: LeakSanitizer",
                                              "WARNING: ThreadSanitizer",
                                              "runtime error:", "sherd: assertion"};
static unsigned findings;

static int look(const char *path, const struct stat *info, int type, struct FTW *where)
{
    char line[LINE_MAX_SIZE];
    unsigned lines_left = 0; /* after a finding, the stack that follows it */
    FILE *file;

    (void)info, (void)where;
    if (type != FTW_F || (!has_suffix(path, ".log") && !has_suffix(path, ".err"))) return 0;
    file = fopen(path, "re");
    if (file == NULL) return 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        for (size_t i = 0; i < LEN(sanitizer_words); i++)
            if (strstr(line, sanitizer_words[i]) != NULL) {
                printf("---- %s\n", path + strlen(root) + 1);
                lines_left = 30;
                findings++;
            }
        if (lines_left == 0) continue;
        fputs(line, stdout);
        lines_left--;
    }
    fclose(file);
    return 0;
}

bool process_sanitizer_spoke(void)
{
    findings = 0;
    nftw(root, look, 16, FTW_PHYS);
    fflush(stdout);
    return findings > 0;
}

void process_show_logs(void)
{
    (void)process_sanitizer_spoke();
    nftw(root, show_tail, 16, FTW_PHYS);
    fflush(stdout);
}
