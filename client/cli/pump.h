/* pump.h - one operation for each file of a list, several at a time, with a progress bar. */
#ifndef SHERD_CLI_PUMP_H
#define SHERD_CLI_PUMP_H

#include "client/cli/bar.h"
#include "client/cli/files.h"
#include "client/cli/session.h"

struct cli_pump;

enum { CLI_PUMP_DEPTH = 16 }; /* 64 MiB of the largest values */

struct cli_pump_slot {
    struct sherd_op op;
    struct cli_pump *pump;
    const struct cli_file *file;
    char *key;    /* malloc'ed */
    void *memory; /* malloc'ed value, or NULL */
    uint64_t began_ms;
    bool is_busy, is_done;
};

struct cli_pump {
    const struct cli *cli;
    const struct cli_files *files;
    const char *label;
    /* Fills op.kind and op.value (in slot->memory) for slot->file. 0, or an exit code: reported,
     * the file is left out. NULL: a plain get. */
    int (*prepare)(struct cli_pump *pump, struct cli_pump_slot *slot);
    /* Judges a finished operation. 0, or an exit code: reported. Adds to `bytes`. */
    int (*judge)(struct cli_pump *pump, struct cli_pump_slot *slot);

    /* Results. */
    uint64_t finished, failed, bytes;
    uint64_t took_ms;
    int code; /* of the first failure, or 0 */

    struct cli_session session;
    struct cli_bar bar;
    size_t next;
    unsigned busy;
    struct cli_pump_slot slots[CLI_PUMP_DEPTH];
};

/* Runs it to the end, over failures. 0, or an exit code when it cannot even begin. */
int cli_pump_run(struct cli_pump *pump);

#endif
