/* cli_world.h - all that the command line sees of the world, made of a few bytes: one file, one
 * configuration, a cluster whose answers are a script, and a clock that only moves when it is used.
 * No real file, process, socket or cluster is ever touched: every call of that kind that client/cli
 * makes ends here (world_names.h), and none is forwarded with a name in it. */
#ifndef SHERD_TESTS_FUZZ_CLI_WORLD_H
#define SHERD_TESTS_FUZZ_CLI_WORLD_H

#include <sherd/base.h>

/* `script`: its first byte says what there is (enum cli_world_bits); the others are what the
 * cluster answers, one or more for each question; when it ends, nobody answers any more. `file`:
 * what every file and standard input holds, and what a node says of itself. Both stay the caller's.
 */
void cli_world_begin(struct sherd_bytes script, struct sherd_bytes file);

enum cli_world_bits {
    CLI_WORLD_CLUSTER = 1,    /* there is a configuration */
    CLI_WORLD_FILES = 2,      /* every file can be read, ... */
    CLI_WORLD_WRITABLE = 4,   /* ... or written */
    CLI_WORLD_PORTS = 8,      /* all ports are free */
    CLI_WORLD_HOME = 16,      /* the environment names a home */
    CLI_WORLD_NO_CLIENT = 32, /* the library cannot be opened */
};

#endif
