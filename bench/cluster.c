/* cluster.c - where the cluster is, and the executable that kills and starts its nodes. */
#include "bench/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_EXECUTED = 127 };

int bench_cluster_conf(const struct bench_options *o, char out[BENCH_PATH_SIZE])
{
    const char *conf = o->conf != NULL ? o->conf : getenv("SHERD_CONF");
    int size;

    if (o->dir != NULL && o->conf != NULL)
        return bench_fail(BENCH_USAGE, "--dir and --conf both name the cluster: give only one");
    if (o->dir != NULL)
        size = snprintf(out, BENCH_PATH_SIZE, "%s/cluster.conf", o->dir);
    else if (conf != NULL && conf[0] != '\0')
        size = snprintf(out, BENCH_PATH_SIZE, "%s", conf);
    else
        return bench_fail(BENCH_USAGE, "which cluster? Give --dir DIR or --conf FILE");
    if (size >= BENCH_PATH_SIZE) return bench_fail(BENCH_USAGE, "the path is too long");
    if (access(out, R_OK) != 0)
        return bench_fail(BENCH_ENVIRONMENT, "no cluster: %s: %s", out, strerror(errno));
    return 0;
}

/* Ours is the one of the same build: beside this program when installed, in the client's folder
 * when built. Else execvp looks in $PATH. */
static void find_sherd(const struct bench_options *o, char out[BENCH_PATH_SIZE])
{
    static const char *const places[] = {"sherd", "../client/sherd", "../client/cli/sherd"};
    char self[PATH_MAX] = "";

    if (o->sherd != NULL) {
        snprintf(out, BENCH_PATH_SIZE, "%s", o->sherd);
        return;
    }
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0) {
        const char *folder = dirname(self);
        for (size_t i = 0; i < LEN(places); i++) {
            int size = snprintf(out, BENCH_PATH_SIZE, "%s/%s", folder, places[i]);
            if (size < BENCH_PATH_SIZE && access(out, X_OK) == 0) return;
        }
    }
    snprintf(out, BENCH_PATH_SIZE, "sherd");
}

/* Only what follows a fork is called here; `output` takes stdout and stderr. */
static _Noreturn void become(const char *file, char *const arguments[], int output)
{
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execvp(file, arguments);
    _exit(NOT_EXECUTED);
}

static int wait_for(pid_t child, const char *file, const char *verb)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return bench_fail(BENCH_ENVIRONMENT, "waitpid: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_EXECUTED)
        return bench_fail(BENCH_ENVIRONMENT, "cannot run '%s': name it with --sherd", file);
    return bench_fail(BENCH_ENVIRONMENT, "'%s cluster %s' failed", file, verb);
}

/* What the child printed, to stderr. */
static void show(FILE *output)
{
    char line[512];

    rewind(output);
    while (fgets(line, sizeof(line), output) != NULL)
        fputs(line, stderr);
}

int bench_cluster_run(const struct bench_options *o, const char *verb, unsigned node)
{
    char file[BENCH_PATH_SIZE], number[16], *words[7];
    const char *given[] = {"sherd", "cluster", verb, number, "--dir", o->dir};
    FILE *output = tmpfile();
    pid_t child = -1;
    int code;

    for (size_t i = 0; i < LEN(given); i++)
        words[i] = (char *)(uintptr_t)given[i]; /* execvp does not change them */
    words[LEN(given)] = NULL;
    snprintf(number, sizeof(number), "%u", node);
    find_sherd(o, file);
    if (output != NULL) child = fork();
    if (child < 0) {
        if (output != NULL) fclose(output);
        return bench_fail(BENCH_ENVIRONMENT, "cannot run '%s': %s", file, strerror(errno));
    }
    if (child == 0) become(file, words, fileno(output));
    code = wait_for(child, file, verb);
    if (code != 0) show(output);
    fclose(output);
    return code;
}
