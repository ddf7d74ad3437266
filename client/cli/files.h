/* files.h - a list of files, each with the key that it has in the cluster. */
#ifndef SHERD_CLI_FILES_H
#define SHERD_CLI_FILES_H

#include "client/cli/cli.h"

enum { CLI_SUM_SIZE = 65 }; /* SHA-256 in hex, with the closing zero */

struct cli_file {
    char *name;             /* as it was given; the key is PREFIX and this */
    char sum[CLI_SUM_SIZE]; /* from --sums; "": to be computed from the file */
};

struct cli_files {
    struct cli_file *items;
    size_t count, capacity;
    uint64_t skipped; /* in folders: links, FIFOs, devices */
};

/* The files of the words (folders with all regular files below them, in order of their names), of
 * --list, and of --sums. On success the caller's, for cli_files_fini. 0, or an exit code. */
int cli_files_collect(const struct cli *cli, struct cli_files *out);
void cli_files_fini(struct cli_files *files);

#endif
