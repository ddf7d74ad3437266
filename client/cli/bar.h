/* bar.h - progress of whatever runs longer than a second, with rate and time left, on stderr. */
#ifndef SHERD_CLI_BAR_H
#define SHERD_CLI_BAR_H

#include "client/cli/cli.h"

struct cli_bar {
    const char *label;
    bool is_terminal, is_quiet, is_shown;
    bool is_eager;          /* with --watch: at once, not only after a second */
    unsigned line_every_ms; /* without a terminal: a line so often; 0: none */
    uint64_t started_ms, drawn_ms;
};

/* `line_every_ms` is for when stderr is no terminal; with --json nothing is shown there. */
void cli_bar_init(struct cli_bar *bar, const struct cli *cli, const char *label,
                  unsigned line_every_ms);

/* What follows is another piece of work: rate and time left begin anew. */
void cli_bar_restart(struct cli_bar *bar, const char *label);

/* `total` 0: not known. `bytes` besides the count; 0: not counted. Draws when it is time. */
void cli_bar_set(struct cli_bar *bar, uint64_t done, uint64_t total, uint64_t bytes);

/* As above, now; the line stays. */
void cli_bar_finish(struct cli_bar *bar, uint64_t done, uint64_t total, uint64_t bytes);

/* Takes the bar off the terminal; before anything else is printed. */
void cli_bar_clear(struct cli_bar *bar);

#endif
