/* scan.c - the keys there are. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/bar.h"
#include "client/cli/commands.h"
#include "client/cli/session.h"

struct scan {
    const struct cli *cli;
    struct cli_bar bar;
    uint64_t count, bytes;
    bool is_terminal; /* stdout: keys are shown escaped, and need no bar */
};

static void print_json(const struct scan *scan, struct sherd_bytes key, uint64_t size)
{
    json_t *row = json_pack("{s:I}", "size", (json_int_t)size);

    cli_json_bytes(row, "key", key);
    if (scan->count > 0) putchar(',');
    json_dumpf(row, stdout, JSON_COMPACT);
    json_decref(row);
}

static void print_text(const struct scan *scan, struct sherd_bytes key)
{
    char shown[CLI_SHOWN_SIZE];

    if (scan->is_terminal)
        fputs(cli_show(shown, key, SHERD_KEY_MAX), stdout);
    else
        fwrite(key.data, 1, key.size, stdout);
    putchar('\n');
}

static bool each(void *context, struct sherd_bytes key, uint64_t size)
{
    struct scan *scan = context;

    if (scan->cli->options.json)
        print_json(scan, key, size);
    else
        print_text(scan, key);
    scan->count++;
    scan->bytes += size;
    if (!scan->is_terminal) cli_bar_set(&scan->bar, scan->count, scan->cli->options.limit, 0);
    return !ferror(stdout) && scan->count != scan->cli->options.limit; /* limit 0: none */
}

/* Says how it ended: with --json inside of the object that the keys are in. Returns the exit code.
 */
static int finish(const struct scan *scan, struct sherd_bytes prefix, enum sherd_outcome outcome)
{
    int code = sherd_outcome_exit_code(outcome);
    char text[CLI_LINE_SIZE], line[CLI_LINE_SIZE];
    json_t *tail;

    if (outcome != SHERD_OK)
        cli_complain(scan->cli, cli_outcome_text(scan->cli, prefix, outcome, text), line);
    if (!scan->cli->options.json) return code;
    tail = json_pack("{s:I, s:I, s:s, s:i}", "count", (json_int_t)scan->count, "bytes",
                     (json_int_t)scan->bytes, "outcome", sherd_outcome_name(outcome), "exit_code",
                     code);
    if (outcome != SHERD_OK) json_object_set_new(tail, "error", json_string(line));
    fputs("],", stdout);
    json_dumpf(tail, stdout, JSON_COMPACT | JSON_EMBED); /* without its braces */
    puts("}");
    json_decref(tail);
    return code;
}

static int run_scan(struct cli *cli)
{
    struct scan scan = {.cli = cli, .is_terminal = isatty(STDOUT_FILENO) == 1};
    struct sherd_bytes prefix = {"", 0};
    enum sherd_outcome outcome = SHERD_OK;
    struct cli_session session;
    int code = 0, rc;

    if (cli->count > 0 && cli->words[0][0] != '\0') code = cli_key(cli, cli->words[0], &prefix);
    if (code == 0) code = cli_session_open(cli, CLI_TIMEOUT_MS, &session);
    if (code != 0) return code;
    cli_bar_init(&scan.bar, cli, "scan", 0);
    if (cli->options.json) fputs("{\"keys\":[", stdout);
    rc = sherd_scan(session.client, prefix, each, &scan, &outcome);
    cli_bar_clear(&scan.bar);
    cli_session_close(&session);
    if (rc != 0) outcome = rc == -ENOMEM ? SHERD_NO_MEMORY : SHERD_BAD_ARGUMENT;
    return finish(&scan, prefix, outcome);
}

const struct cli_command cli_scan = {
    .name = "scan",
    .arguments = "[PREFIX]",
    .summary = "prints the keys that begin with PREFIX",
    .help = "One key a line, in no particular order. Each is read as of now; the whole is no "
            "snapshot.\n\n"
            "  sherd scan\n"
            "  sherd scan user/ --limit 10\n",
    .options = CLI_TAKES(LIMIT),
    .only_reads = true,
    .words_max = 1,
    .run = run_scan,
};
