/* process.h - other programs: run them, and never leave one behind.
 *
 * The folder of a test (process_root) is a fresh one; all servers have files in it on their command
 * lines, and so they are known. A watchman, a process of its own that ctest and a terminal's Ctrl-C
 * do not reach, ends whatever has the folder on its command line once the test is gone in whatever
 * way, stopped ones too, and removes the folder.
 *
 * The test adopts orphans (servers that daemonize), so it learns how they ended. One thread, the
 * main one, may call any of this. */
#ifndef SHERD_TESTS_CLUSTER_PROCESS_H
#define SHERD_TESTS_CLUSTER_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

enum { PROCESS_ROOT_SIZE = 64, PROCESS_TEXT_MAX = 8192, PROCESS_LOST = -1000 };

/* How a program ended: its exit code, or minus the signal that ended it. */
struct process_result {
    int code;
    char out[PROCESS_TEXT_MAX], err[PROCESS_TEXT_MAX]; /* cut off where they are longer */
};

/* Makes the folder and starts the watchman. Once, before there are threads. */
void process_watch(void);
const char *process_root(void);

/* Starts argv[0] (a path) without waiting; stdout and stderr go to the files `NAME.out`, `NAME.err`
 * in the folder, stdin is empty. `more`: lines NAME=value, with a NULL at the end, that it finds in
 * its environment beside what is in ours; or NULL. */
pid_t process_start(const char *name, const char *const *argv, const char *const *more);

/* Its exit code or minus its signal; PROCESS_LOST: still running after timeout_ms, or never ours.
 * Told once. */
int process_wait(pid_t pid, unsigned timeout_ms);

/* Start, wait (60 s, then it is killed and the test fails) and what it printed. */
void process_run(const char *const *argv, struct process_result *out);

/* Neither gone nor a zombie. */
bool process_is_alive(pid_t pid);

void process_remove(const char *path); /* a folder with all that is in it */

/* Whether a sanitizer has written anything into the logs of the folder; prints it. */
bool process_sanitizer_spoke(void);
void process_show_logs(void); /* that, and their last lines */

#endif
