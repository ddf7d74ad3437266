/* local.h - the server processes of a local cluster.
 *
 * A running server holds a lock on DIR/node-N.pid: the file is opened and locked here and stays
 * open in the server, so the lock goes with the process, and a number left over from a crash is
 * never taken for a server, nor somebody else's process ever signalled. */
#ifndef SHERD_CLI_LOCAL_H
#define SHERD_CLI_LOCAL_H

#include <sys/types.h>

#include "client/cli/place.h"

/* The process of a node, or 0: it is not running. */
pid_t cli_local_pid(const char *dir, unsigned node);

/* Whether a running process is stopped (SIGSTOP). */
bool cli_local_is_suspended(pid_t pid);

/* Starts sherd-server for DIR/node-N.conf, with a lock on DIR/node-N.pid and its output at the end
 * of DIR/node-N.log; does not wait for it. 0, or an exit code. */
int cli_local_spawn(const struct cli *cli, const char *dir, unsigned node, bool init);

/* Sends a signal if the node's server is running. */
void cli_local_signal(const char *dir, unsigned node, int number);

/* Waits until none of nodes 0..count-1 runs. False: time is over. */
bool cli_local_wait_gone(const char *dir, unsigned count, unsigned timeout_ms);

/* The same for one node. */
bool cli_local_wait_one_gone(const char *dir, unsigned node, unsigned timeout_ms);

/* The last line of DIR/node-N.log, "" if there is none. */
enum { CLI_LOG_LINE_SIZE = 256 };
void cli_local_last_log(const char *dir, unsigned node, char out[CLI_LOG_LINE_SIZE]);

/* Makes a folder and those above it. 0, or a negative errno. */
int cli_local_make_folder(const char *path);

/* Removes a file, or a folder with all that is in it. What is not there is no error. */
void cli_local_remove(const char *path);

#endif
