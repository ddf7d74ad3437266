/* import.c - stores many files; verify reads them all back. */
#include <errno.h>
#include <sha256.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/pump.h"

/* Reads a whole file of at most SHERD_VALUE_MAX bytes. *memory is the caller's to free. */
static int read_file(const struct cli *cli, const char *path, struct sherd_bytes *out,
                     void **memory)
{
    FILE *file = fopen(path, "re");
    char *buffer = NULL, *smaller;
    size_t size = 0;
    int code = 0;

    if (file == NULL)
        return cli_fail(cli, CLI_ENVIRONMENT, "cannot read %s: %s", path, strerror(errno));
    buffer = malloc(SHERD_VALUE_MAX + 1);
    if (buffer != NULL) size = fread(buffer, 1, SHERD_VALUE_MAX + 1, file);
    if (buffer == NULL)
        code = cli_fail_errno(cli, -ENOMEM);
    else if (ferror(file))
        code = cli_fail(cli, CLI_ENVIRONMENT, "cannot read %s: %s", path, strerror(errno));
    else if (size > SHERD_VALUE_MAX)
        code = cli_fail_outcome(cli, (struct sherd_bytes){path, strlen(path)}, SHERD_TOO_BIG);
    fclose(file);
    if (code != 0) {
        free(buffer);
        return code;
    }
    smaller = realloc(buffer, size + 1); /* several of these wait at a time */
    *memory = smaller != NULL ? smaller : buffer;
    *out = (struct sherd_bytes){*memory, size};
    return 0;
}

/* ---- import ---- */

static int prepare_set(struct cli_pump *pump, struct cli_pump_slot *slot)
{
    slot->op.kind = SHERD_OP_SET;
    slot->op.ttl_ms = pump->cli->options.ttl_s * 1000;
    return read_file(pump->cli, slot->file->name, &slot->op.value, &slot->memory);
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
    code = read_file(pump->cli, file->name, &bytes, &memory);
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

static int report(const struct cli_pump *pump, const char *what)
{
    uint64_t good = pump->finished - pump->failed;
    double seconds = (double)(pump->took_ms > 0 ? pump->took_ms : 1) / 1000;
    char size[CLI_SIZE_TEXT], rate[CLI_SIZE_TEXT];

    if (pump->cli->options.json) {
        cli_print_json(json_pack("{s:s, s:I, s:I, s:I, s:f}", "outcome",
                                 pump->failed == 0 ? "OK" : "FAILED", what, (json_int_t)good,
                                 "failed", (json_int_t)pump->failed, "bytes",
                                 (json_int_t)pump->bytes, "seconds", seconds));
        return pump->code;
    }
    printf("%s: %llu files, %s (%llu bytes) in %.1f s: %s/s", what, (unsigned long long)good,
           cli_show_size(size, pump->bytes), (unsigned long long)pump->bytes, seconds,
           cli_show_size(rate, (uint64_t)((double)pump->bytes / seconds)));
    if (pump->failed > 0) printf("; FAILED: %llu", (unsigned long long)pump->failed);
    putchar('\n');
    return pump->code;
}

static int run_pump(struct cli_pump *pump, const char *what)
{
    struct cli_files files;
    int code = cli_files_collect(pump->cli, &files);

    if (code != 0) return code;
    pump->files = &files;
    code = cli_pump_run(pump);
    cli_files_fini(&files);
    return code != 0 ? code : report(pump, what);
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
        "The key is the name as given, after the text of --prefix; folders are walked. Files "
        "above\n"
        "4 MiB are refused. Failures are reported, the rest goes on; the exit code is that of the\n"
        "first one.\n\n"
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
    .help =
        "Compares with the files of the same names, or with the sums that sha256sum printed for\n"
        "them. Exit code 1: something is missing or differs.\n\n"
        "  sherd verify src --prefix backup/\n"
        "  sha256sum *.jpg >sums; sherd verify --sums sums\n",
    .options = CLI_TAKES(LIST) | CLI_TAKES(SUMS) | CLI_TAKES(PREFIX),
    .words_max = 1 << 30,
    .run = run_verify,
};
