/* session.h - one command's connection to its cluster, and its deadline. */
#ifndef SHERD_CLI_SESSION_H
#define SHERD_CLI_SESSION_H

#include "client/cli/place.h"

enum { CLI_TIMEOUT_MS = 5000 };

struct cli_session {
    struct cli_place place;
    struct sherd_conf conf;
    struct sherd_client *client;
    uint32_t timeout_ms;  /* of the whole command, or of each part of a long one */
    uint64_t deadline_ms; /* monotonic */
};

/* Finds the cluster and opens a client. `timeout_ms` is used unless --timeout is given. 0, or an
 * exit code: then there is nothing to close. */
int cli_session_open(const struct cli *cli, uint32_t timeout_ms, struct cli_session *out);

/* The same for a cluster whose place is known. */
int cli_session_open_at(const struct cli *cli, const struct cli_place *place, uint32_t timeout_ms,
                        struct cli_session *out);
void cli_session_close(struct cli_session *s);

/* Runs one operation within the deadline. With `again`, an UNCERTAIN attempt is followed by a new
 * one while there is time: at least once instead of at most once. 0 with op->outcome set, or an
 * exit code. The caller frees op->result (sherd_value_fini). */
int cli_session_run(const struct cli *cli, struct cli_session *s, struct sherd_op *op, bool again);

/* Reports what became of an operation that is not OK. Returns its exit code. If the cluster
 * did not answer in time although all nodes can be reached, it was the deadline: says so. */
int cli_session_fail(const struct cli *cli, const struct cli_session *s, const struct sherd_op *op);

/* A whole file of at most SHERD_VALUE_MAX bytes; "-" is standard input. *memory is the caller's to
 * free. 0, or an exit code. */
int cli_read_file(const struct cli *cli, const char *path, struct sherd_bytes *out, void **memory);

/* The key in a word of the command line. 0, or an exit code. */
int cli_key(const struct cli *cli, const char *word, struct sherd_bytes *out);

/* The value: words[index], or the file of --file, or standard input for "-". *memory is what to
 * free, or NULL. 0, or an exit code. */
int cli_value(const struct cli *cli, int index, struct sherd_bytes *out, void **memory);

#endif
