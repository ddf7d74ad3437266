/* scan.c - the keys there are. */
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
    if (cli->options.json)
        printf("],\"count\":%llu,\"bytes\":%llu,\"outcome\":\"%s\"}\n",
               (unsigned long long)scan.count, (unsigned long long)scan.bytes,
               sherd_outcome_name(outcome));
    cli_session_close(&session);
    if (rc != 0) return cli_fail_errno(cli, rc);
    return outcome == SHERD_OK ? CLI_OK : cli_fail_outcome(cli, prefix, outcome);
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
    .words_max = 1,
    .run = run_scan,
};
