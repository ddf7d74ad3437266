/* reads.c - get, exists, ttl, explain. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/commands.h"
#include "client/cli/session.h"
#include "coord/quorum.h"

/* What each command does with a finished operation whose outcome is OK. */
typedef int show_result(const struct cli *cli, const struct sherd_op *op);

static int read_key(const struct cli *cli, enum sherd_op_kind kind, show_result *show)
{
    struct sherd_op op = {.kind = kind};
    struct cli_session session;
    int code = cli_key(cli, cli->words[0], &op.key);

    if (code == 0) code = cli_session_open(cli, CLI_TIMEOUT_MS, &session);
    if (code != 0) return code;
    code = cli_session_run(cli, &session, &op, false);
    if (code == 0) {
        code = op.outcome == SHERD_OK ? show(cli, &op) : cli_session_fail(cli, &session, &op);
        sherd_value_fini(&op.result);
    }
    cli_session_close(&session);
    return code;
}

/* Milliseconds until it expires; -1: never. */
static int64_t left_ms_of(const struct sherd_op *op)
{
    uint64_t now_ms = cli_wall_ms();

    if (op->result.expires_ms == 0) return -1;
    return op->result.expires_ms > now_ms ? (int64_t)(op->result.expires_ms - now_ms) : 0;
}

static json_t *json_of(const struct sherd_op *op, uint64_t size)
{
    char version[SHERD_VERSION_TEXT_SIZE];
    int64_t left_ms = left_ms_of(op);
    json_t *out;

    sherd_version_format(op->result.version, version);
    out = json_pack("{s:s, s:s, s:I}", "outcome", sherd_outcome_name(op->outcome), "version",
                    version, "size", (json_int_t)size);
    cli_json_bytes(out, "key", op->key);
    json_object_set_new(out, "ttl_ms", left_ms < 0 ? json_null() : json_integer(left_ms));
    return out;
}

/* ---- get ---- */

static int write_file(const struct cli *cli, const char *path, const struct sherd_value *value)
{
    FILE *file = fopen(path, "we");
    bool is_written;

    if (file == NULL)
        return cli_fail(cli, CLI_ENVIRONMENT, "cannot write %s: %s", path, strerror(errno));
    is_written = value->size == 0 || fwrite(value->data, 1, value->size, file) == value->size;
    if (fclose(file) != 0 || !is_written)
        return cli_fail(cli, CLI_ENVIRONMENT, "cannot write %s: %s", path, strerror(errno));
    return CLI_OK;
}

static int show_get(const struct cli *cli, const struct sherd_op *op)
{
    const struct sherd_value *value = &op->result;

    if (cli->options.out != NULL) {
        int code = write_file(cli, cli->options.out, value);
        if (code != 0) return code;
    }
    if (cli->options.json) {
        json_t *out = json_of(op, value->size);
        if (cli->options.out == NULL)
            cli_json_bytes(out, "value", (struct sherd_bytes){value->data, value->size});
        return cli_print_json(out);
    }
    if (cli->options.out != NULL) return CLI_OK;
    if (value->size > 0) fwrite(value->data, 1, value->size, stdout); /* main looks at errors */
    if (isatty(STDOUT_FILENO) == 1) putchar('\n');
    return CLI_OK;
}

/* ---- exists, ttl ---- */

static int show_exists(const struct cli *cli, const struct sherd_op *op)
{
    char size[CLI_COUNT_TEXT];

    if (cli->options.json) return cli_print_json(json_of(op, op->size));
    printf("yes, %s\n", cli_show_count(size, op->size, "byte"));
    return CLI_OK;
}

static int show_ttl(const struct cli *cli, const struct sherd_op *op)
{
    int64_t left_ms = left_ms_of(op);

    if (cli->options.json) return cli_print_json(json_of(op, op->size));
    if (left_ms < 0)
        puts("never");
    else
        printf("%lld.%03lld\n", (long long)left_ms / 1000, (long long)left_ms % 1000);
    return CLI_OK;
}

/* ---- explain ---- */

static const char *const slot_states[] = {
    [SHERD_SLOT_VACANT] = "vacant",     [SHERD_SLOT_SILENT] = "silent",
    [SHERD_SLOT_MISSING] = "missing",   [SHERD_SLOT_BROKEN] = "broken",
    [SHERD_SLOT_PREPARED] = "prepared", [SHERD_SLOT_HELD] = "held",
};

static const char *const slot_texts[] = {
    [SHERD_SLOT_VACANT] = "no node holds this slot now",
    [SHERD_SLOT_SILENT] = "its node does not answer",
    [SHERD_SLOT_MISSING] = "its node lacks this version",
    [SHERD_SLOT_BROKEN] = "checksum wrong",
    [SHERD_SLOT_PREPARED] = "checksum right, not known there to be committed",
    [SHERD_SLOT_HELD] = "checksum right",
};

static size_t state_of(const struct sherd_slot_info *slot)
{
    return slot->state < LEN(slot_states) ? slot->state : SHERD_SLOT_SILENT;
}

static unsigned slots_of(const struct sherd_op *op)
{
    return op->slot_count < LEN(op->slots) ? op->slot_count : (unsigned)LEN(op->slots);
}

static unsigned held_of(const struct sherd_op *op)
{
    unsigned held = 0;

    for (unsigned i = 0; i < slots_of(op); i++) {
        size_t state = state_of(&op->slots[i]);
        if (state == SHERD_SLOT_HELD || state == SHERD_SLOT_PREPARED) held++;
    }
    return held;
}

/* How many more nodes may be lost until the value cannot be read: k shards must stay, and so many
 * voters that they meet every write quorum. */
static unsigned survives(const struct sherd_op *op)
{
    unsigned held = held_of(op), voters = 0, answered = 0, spare_shards, spare_voters;
    struct sherd_quorum quorum;

    for (unsigned i = 0; i < slots_of(op); i++) {
        const struct sherd_slot_info *slot = &op->slots[i];
        if (slot->learner || state_of(slot) == SHERD_SLOT_VACANT) continue;
        voters++;
        if (state_of(slot) != SHERD_SLOT_SILENT) answered++;
    }
    quorum = sherd_quorum_of((uint8_t)voters, op->k);
    spare_shards = held > op->k ? held - op->k : 0;
    spare_voters = answered + quorum.q > voters + 1 ? answered + quorum.q - voters - 1 : 0;
    return spare_shards < spare_voters ? spare_shards : spare_voters;
}

static const char *kind_of(const struct sherd_op *op, const struct sherd_slot_info *slot)
{
    return slot->slot < op->k ? "data" : "parity";
}

static json_t *json_of_slots(const struct sherd_op *op)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < slots_of(op); i++) {
        const struct sherd_slot_info *slot = &op->slots[i];
        json_t *row =
            json_pack("{s:i, s:s, s:s, s:b}", "slot", (int)slot->slot, "kind", kind_of(op, slot),
                      "state", slot_states[state_of(slot)], "learner", (int)slot->learner);
        if (state_of(slot) != SHERD_SLOT_VACANT)
            json_object_set_new(row, "node", json_integer(slot->node));
        json_array_append_new(list, row);
    }
    return list;
}

static void print_slots(const struct sherd_op *op)
{
    for (unsigned i = 0; i < slots_of(op); i++) {
        const struct sherd_slot_info *slot = &op->slots[i];
        char node[16] = "-";
        if (state_of(slot) != SHERD_SLOT_VACANT) snprintf(node, sizeof(node), "%u", slot->node);
        printf("  slot %-2u  %-6s node %-3s  %-9s %s%s\n", slot->slot, kind_of(op, slot), node,
               slot_states[state_of(slot)], slot_texts[state_of(slot)],
               slot->learner ? "; is being rebuilt" : "");
    }
}

static json_t *json_of_explain(const struct sherd_op *op)
{
    json_t *out = json_of(op, op->size);

    json_object_set_new(out, "partition", json_integer(op->partition));
    json_object_set_new(out, "k", json_integer(op->k));
    json_object_set_new(out, "m", json_integer((json_int_t)op->slot_count - op->k));
    json_object_set_new(out, "shards_held", json_integer(held_of(op)));
    json_object_set_new(out, "survives", json_integer(survives(op)));
    json_object_set_new(out, "slots", json_of_slots(op));
    return out;
}

static int show_explain(const struct cli *cli, const struct sherd_op *op)
{
    char version[SHERD_VERSION_TEXT_SIZE], key[CLI_SHOWN_SIZE], text[CLI_COUNT_TEXT];

    if (cli->options.json) return cli_print_json(json_of_explain(op));
    sherd_version_format(op->result.version, version);
    printf("key        %s\nversion    %s\nsize       %s\npartition  %u\n",
           cli_show(key, op->key, SHERD_KEY_MAX), version, cli_show_count(text, op->size, "byte"),
           op->partition);
    if (left_ms_of(op) >= 0) printf("expires    in %lld s\n", (long long)left_ms_of(op) / 1000);
    print_slots(op);
    printf("%u of %u shards held, %u needed: readable after the loss of %s\n", held_of(op),
           slots_of(op), op->k, cli_show_count(text, survives(op), "more node"));
    return CLI_OK;
}

static int run_get(struct cli *cli) { return read_key(cli, SHERD_OP_GET, show_get); }

static int run_exists(struct cli *cli) { return read_key(cli, SHERD_OP_LOOK, show_exists); }

static int run_ttl(struct cli *cli) { return read_key(cli, SHERD_OP_LOOK, show_ttl); }

static int run_explain(struct cli *cli) { return read_key(cli, SHERD_OP_EXPLAIN, show_explain); }

const struct cli_command cli_get = {
    .name = "get",
    .arguments = "KEY",
    .summary = "prints the value under a key",
    .help =
        "The bytes as they are; a newline follows at a terminal only. Exit code 1: no value.\n\n"
        "  sherd get greeting\n"
        "  sherd get photo --out photo.jpg\n",
    .options = CLI_TAKES(OUT),
    .only_reads = true,
    .words_min = 1,
    .words_max = 1,
    .run = run_get,
};

const struct cli_command cli_exists = {
    .name = "exists",
    .arguments = "KEY",
    .summary = "whether there is a value, and how large",
    .help = "Exit code 0: yes; 1: no.\n\n"
            "  sherd exists greeting && echo there\n",
    .only_reads = true,
    .words_min = 1,
    .words_max = 1,
    .run = run_exists,
};

const struct cli_command cli_ttl = {
    .name = "ttl",
    .arguments = "KEY",
    .summary = "how many seconds the value still has, or 'never'",
    .help = "  sherd set session abc --ttl 60\n"
            "  sherd ttl session\n",
    .only_reads = true,
    .words_min = 1,
    .words_max = 1,
    .run = run_ttl,
};

const struct cli_command cli_explain = {
    .name = "explain",
    .arguments = "KEY",
    .summary = "version, every shard, and how many more failures it survives",
    .help = "'survives': so many more nodes may be lost, and it can still be read: enough shards\n"
            "stay, and enough voters for a read quorum.\n\n"
            "  sherd explain photo\n"
            "  sherd explain photo --json | jq .survives\n",
    .only_reads = true,
    .words_min = 1,
    .words_max = 1,
    .run = run_explain,
};
