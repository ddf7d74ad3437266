/* cli.h - what every command of `sherd` shares: its row in the table, the options, the reports.
 *
 * A command's run() returns the exit code of the process. Whoever finds a mistake reports it, with
 * cause and remedy in one line, and returns the code; callers only pass it on. */
#ifndef SHERD_CLI_H
#define SHERD_CLI_H

#include <jansson.h>
#include <sherd/sherd.h>
#include <stdio.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

enum cli_exit {
    CLI_OK = 0,
    CLI_NOT_FOUND = 1,
    CLI_USAGE = 2,
    CLI_UNHEALTHY = 5,   /* with NO_QUORUM: something does not answer, or is not whole */
    CLI_ENVIRONMENT = 6, /* no cluster, port in use, a file that cannot be read */
};

/* ---- Options (options.c has their table) ---- */

enum cli_option {
    CLI_JSON,
    CLI_HELP,
    CLI_VERSION,
    CLI_DIR,
    CLI_CONF,
    CLI_NAME,
    CLI_TIMEOUT,
    CLI_FILE,
    CLI_OUT,
    CLI_TTL,
    CLI_LIMIT,
    CLI_LIST,
    CLI_SUMS,
    CLI_PREFIX,
    CLI_NODES,
    CLI_CODE,
    CLI_BASE_PORT,
    CLI_ZONES,
    CLI_MAX_MEMORY,
    CLI_RECOVERY_RATE,
    CLI_SCRUB_RATE,
    CLI_STORE,
    CLI_SYNC,
    CLI_PURGE,
    CLI_WATCH,
    CLI_ACCEPT_LOSS,
    CLI_WAIT,
};

#define CLI_TAKES(option) (UINT64_C(1) << CLI_##option)

struct cli_options {
    bool json, help, version, watch, accept_loss, purge;
    uint64_t given;                                /* CLI_TAKES() of what the command line has */
    const char *dir, *conf, *name;                 /* NULL: not given */
    const char *file, *out, *list, *sums, *prefix; /* NULL: not given */
    const char *code, *store, *sync;
    uint64_t timeout_ms; /* 0: not given */
    uint64_t ttl_s, limit, wait_s;
    uint64_t nodes, base_port, zones;
    uint64_t max_memory_bytes, recovery_rate_bytes, scrub_rate_bytes;
};

/* ---- Commands ---- */

struct cli;

struct cli_command {
    const char *name; /* one word, or two: "cluster up" */
    const char
        *arguments; /* of the usage line; the first `words_min` words name what must be there */
    const char *summary; /* a line */
    const char *help;    /* examples, and what the usage line cannot say */
    uint64_t options;    /* CLI_TAKES() of what it takes besides the global ones */
    bool only_reads;     /* values: its reports need not say that nothing changed */
    int words_min, words_max;
    int (*run)(struct cli *cli);
};

struct cli {
    const struct cli_command *command; /* NULL: not known yet */
    struct cli_options options;
    char **words; /* what follows the command's name: a part of word_memory */
    int count;
    char **word_memory; /* malloc'ed */
};

/* Reads the command line: options into cli->options, all other words into cli->words.
 * cli->word_memory is the caller's to free. 0, or an exit code. */
int cli_options_parse(struct cli *cli, int argc, char **argv);

/* Refuses what was given but the command does not take. 0, or an exit code. */
int cli_options_check(const struct cli *cli);

/* The lines of --help for a set of options (0: the global ones). */
void cli_options_print(FILE *out, uint64_t options);

/* Decimal numbers with an optional '-' or '+'. 0, or an exit code; `what` names it in the report.
 */
int cli_number(const struct cli *cli, const char *what, const char *text, int64_t min, int64_t max,
               int64_t *out);

/* ---- Reports ---- */

enum { CLI_LINE_SIZE = 8192 };

/* "sherd set: ..." on stderr, one line, control characters escaped; with --json also an object with
 * `error` on stdout. Returns `code`. */
__attribute__((format(printf, 3, 4))) int cli_fail(const struct cli *cli, int code,
                                                   const char *format, ...);

/* The same for what became of an operation; `subject` may be empty. Returns its exit code. */
int cli_fail_outcome(const struct cli *cli, struct sherd_bytes subject, enum sherd_outcome outcome);

/* The same with a text of the caller's. `more` has further members of the object, or is NULL; takes
 * the reference. */
int cli_report(const struct cli *cli, enum sherd_outcome outcome, json_t *more, const char *text);

/* The parts of cli_fail_outcome: what it says, and the line on stderr alone. Return the buffer. */
const char *cli_outcome_text(const struct cli *cli, struct sherd_bytes subject,
                             enum sherd_outcome outcome, char out[CLI_LINE_SIZE]);
const char *cli_complain(const struct cli *cli, const char *text, char line[CLI_LINE_SIZE]);

/* For a negative errno of the library. Returns the exit code. */
int cli_fail_errno(const struct cli *cli, int rc);

/* One line of JSON on stdout; takes the reference. What lacks `outcome` and `exit_code` is of a
 * success. Returns CLI_OK; NULL (no memory) is reported as such. */
int cli_print_json(json_t *object);

/* A text that may have bytes that are not UTF-8: these become \xNN. */
json_t *cli_json_text(const char *text);

/* Sets object[name] to the bytes as text, or object[name_base64] if they are not UTF-8. */
void cli_json_bytes(json_t *object, const char *name, struct sherd_bytes bytes);

/* At most `bytes_max` of the bytes as valid UTF-8 with a closing zero, other bytes as \xNN. What
 * does not fit is left out. Returns the size. */
size_t cli_make_valid(char *out, size_t size_max, struct sherd_bytes bytes, size_t bytes_max);

enum { CLI_SHOWN_SIZE = 4 * SHERD_KEY_MAX + 8 };
/* The bytes for a human: control characters escaped, at most `bytes_max` of them. */
const char *cli_show(char out[CLI_SHOWN_SIZE], struct sherd_bytes bytes, size_t bytes_max);

/* "1.5 MiB"; `out` is returned. */
enum { CLI_SIZE_TEXT = 16 };
const char *cli_show_size(char out[CLI_SIZE_TEXT], uint64_t bytes);

/* "1 key", "2 keys"; `out` is returned. */
enum { CLI_COUNT_TEXT = 64 };
const char *cli_show_count(char out[CLI_COUNT_TEXT], uint64_t count, const char *noun);

uint64_t cli_now_ms(void);  /* monotonic */
uint64_t cli_wall_ms(void); /* since 1970 */
void cli_sleep_ms(unsigned ms);

#endif
