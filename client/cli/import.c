/* import.c - stores many files; verify reads them all back. */
#include <sha256.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/pump.h"

/* ---- import ---- */

static int prepare_set(struct cli_pump *pump, struct cli_pump_slot *slot)
{
    slot->op.kind = SHERD_OP_SET;
    slot->op.ttl_ms = pump->cli->options.ttl_s * 1000;
    return cli_read_file(pump->cli, slot->file->name, &slot->op.value, &slot->memory);
}

static int judge_set(struct cli_pump *pump, struct cli_pump_slot *slot)
{
    if (slot->op.outcome != SHERD_OK)
        return cli_fail_outcome(pump->cli, slot->op.key, slot->op.outcome);
    pump->bytes += slot->op.value.size;
    return 0;
}

/* ---- verify ---- */

static int sum_of_file(struct cli_pump *pump, const struct cli_file *file, char sum[CLI_SUM_SIZE])
{
    struct sherd_bytes bytes = {"", 0};
    void *memory = NULL;
    int code;

    if (file->sum[0] != '\0') {
        memcpy(sum, file->sum, CLI_SUM_SIZE);
        return 0;
    }
    code = cli_read_file(pump->cli, file->name, &bytes, &memory);
    if (code == 0) SHA256Data(bytes.data, bytes.size, sum);
    free(memory);
    return code;
}

/* Compares what came from the cluster, byte for byte as far as SHA-256 can tell. */
static int judge_get(struct cli_pump *pump, struct cli_pump_slot *slot)
{
    const struct sherd_value *value = &slot->op.result;
    char expected[CLI_SUM_SIZE], actual[CLI_SUM_SIZE];
    int code;

    if (slot->op.outcome != SHERD_OK)
        return cli_fail_outcome(pump->cli, slot->op.key, slot->op.outcome);
    code = sum_of_file(pump, slot->file, expected);
    if (code != 0) return code;
    SHA256Data(value->size > 0 ? value->data : (const void *)"", value->size, actual);
    if (strcmp(expected, actual) != 0)
        return cli_fail(pump->cli, CLI_NOT_FOUND, "%s: differs: SHA-256 %s, expected %s",
                        slot->file->name, actual, expected);
    pump->bytes += value->size;
    return 0;
}

/* ---- Both ---- */

static int report_json(const struct cli_pump *pump, const char *what, uint64_t good,
                       uint64_t skipped)
{
    char text[CLI_COUNT_TEXT + 16], failed[CLI_COUNT_TEXT];
    const char *error = pump->failed > 0 ? text : NULL;

    snprintf(text, sizeof(text), "%s failed", cli_show_count(failed, pump->failed, "file"));
    cli_print_json(json_pack("{s:s, s:s*, s:I, s:I, s:I, s:I, s:f, s:i}", "outcome",
                             pump->failed == 0 ? "OK" : "FAILED", "error", error, what,
                             (json_int_t)good, "failed", (json_int_t)pump->failed, "skipped",
                             (json_int_t)skipped, "bytes", (json_int_t)pump->bytes, "seconds",
                             (double)pump->took_ms / 1000, "exit_code", pump->code));
    return pump->code;
}

static int report(const struct cli_pump *pump, const char *what, uint64_t skipped)
{
    uint64_t good = pump->finished - pump->failed;
    double seconds = (double)(pump->took_ms > 0 ? pump->took_ms : 1) / 1000;
    char files[CLI_COUNT_TEXT], bytes[CLI_COUNT_TEXT], size[CLI_SIZE_TEXT], rate[CLI_SIZE_TEXT];

    if (pump->cli->options.json) return report_json(pump, what, good, skipped);
    printf("%s: %s, %s (%s) in %.1f s: %s/s", what, cli_show_count(files, good, "file"),
           cli_show_size(size, pump->bytes), cli_show_count(bytes, pump->bytes, "byte"), seconds,
           cli_show_size(rate, (uint64_t)((double)pump->bytes / seconds)));
    if (skipped > 0) printf("; skipped, as no regular files: %llu", (unsigned long long)skipped);
    if (pump->failed > 0) printf("; FAILED: %llu", (unsigned long long)pump->failed);
    putchar('\n');
    return pump->code;
}

static int run_pump(struct cli_pump *pump, const char *what)
{
    struct cli_files files;
    int code = cli_files_collect(pump->cli, &files);
    uint64_t skipped;

    if (code != 0) return code;
    skipped = files.skipped;
    pump->files = &files;
    code = cli_pump_run(pump);
    cli_files_fini(&files);
    return code != 0 ? code : report(pump, what, skipped);
}

static int run_import(struct cli *cli)
{
    struct cli_pump pump = {
        .cli = cli, .label = "import", .prepare = prepare_set, .judge = judge_set};
    return run_pump(&pump, "stored");
}

static int run_verify(struct cli *cli)
{
    struct cli_pump pump = {.cli = cli, .label = "verify", .judge = judge_get};
    return run_pump(&pump, "equal");
}

const struct cli_command cli_import = {
    .name = "import",
    .arguments = "[FILE|DIR]...",
    .summary = "stores files, each under its name",
    .help =
        "The key is the name as given, after the text of --prefix. Folders are walked: symbolic\n"
        "links, FIFOs and devices in them are skipped, and counted. Files above 4 MiB are "
        "refused.\n"
        "Failures are reported, the rest goes on; the exit code is that of the first one. --json:\n"
        "one object a line, for each failure, and at the end for the whole.\n\n"
        "  sherd import src --prefix backup/\n"
        "  find . -name '*.jpg' | sherd import --list -\n",
    .options = CLI_TAKES(LIST) | CLI_TAKES(PREFIX) | CLI_TAKES(TTL),
    .words_max = 1 << 30,
    .run = run_import,
};

const struct cli_command cli_verify = {
    .name = "verify",
    .arguments = "[FILE|DIR]...",
    .summary = "reads files back and compares their SHA-256",
    .only_reads = true,
    .help =
        "Compares with the files of the same names, or with the sums that sha256sum printed for\n"
        "them. Exit code 1: something is missing or differs. Links, FIFOs and devices in folders\n"
        "are skipped, and counted. --json: one object a line, for each failure, and at the end "
        "for\n"
        "the whole.\n\n"
        "  sherd verify src --prefix backup/\n"
        "  sha256sum *.jpg >sums; sherd verify --sums sums\n",
    .options = CLI_TAKES(LIST) | CLI_TAKES(SUMS) | CLI_TAKES(PREFIX),
    .words_max = 1 << 30,
    .run = run_verify,
};
