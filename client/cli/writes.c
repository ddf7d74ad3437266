/* writes.c - set, cas, incr, append, del. */
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/session.h"

static int print_written(const struct cli *cli, const struct sherd_op *op)
{
    char version[SHERD_VERSION_TEXT_SIZE];

    sherd_version_format(op->result.version, version);
    if (cli->options.json) {
        json_t *out = json_pack("{s:s, s:s, s:i, s:i}", "outcome", sherd_outcome_name(op->outcome),
                                "version", version, "shards_held", (int)op->shards_held,
                                "shards_total", (int)op->shards_total);
        cli_json_bytes(out, "key", op->key);
        if (op->kind == SHERD_OP_INCREMENT)
            json_object_set_new(out, "number", json_integer(op->number));
        if (op->kind == SHERD_OP_APPEND)
            json_object_set_new(out, "size", json_integer((json_int_t)op->size));
        return cli_print_json(out);
    }
    if (op->kind == SHERD_OP_INCREMENT)
        printf("%lld\n", (long long)op->number);
    else
        printf("ok: version %s, %u of %u shards held\n", version, op->shards_held,
               op->shards_total);
    return CLI_OK;
}

/* A cas that came too late: with the version that the next one needs, if it can be had. */
static int fail_cas(const struct cli *cli, struct cli_session *s, const struct sherd_op *op)
{
    struct sherd_op look = {.kind = SHERD_OP_LOOK, .key = op->key};
    char version[SHERD_VERSION_TEXT_SIZE], shown[CLI_SHOWN_SIZE], text[CLI_LINE_SIZE];
    int code = cli_session_run(cli, s, &look, false);

    if (code != 0) return code;
    if (look.outcome != SHERD_OK) return cli_session_fail(cli, s, op);
    sherd_version_format(look.result.version, version);
    sherd_value_fini(&look.result);
    snprintf(text, sizeof(text), "%s: %s; its version is %s now",
             cli_show(shown, op->key, SHERD_KEY_MAX), sherd_outcome_text(op->outcome), version);
    return cli_report(cli, op->outcome, json_pack("{s:s}", "version", version), text);
}

/* Runs the operation on the key in words[0] and reports what became of it. */
static int write_key(const struct cli *cli, struct sherd_op *op)
{
    struct cli_session session;
    int code = cli_key(cli, cli->words[0], &op->key);

    if (code == 0) code = cli_session_open(cli, CLI_TIMEOUT_MS, &session);
    if (code != 0) return code;
    op->ttl_ms = cli->options.ttl_s * 1000;
    /* Only the plain set may be tried again: its effect is the same twice (PROTOCOL 3.4). */
    code = cli_session_run(cli, &session, op, op->kind == SHERD_OP_SET);
    if (code == 0) {
        if (op->outcome == SHERD_OK)
            code = print_written(cli, op);
        else if (op->kind == SHERD_OP_CAS && op->outcome == SHERD_CONFLICT)
            code = fail_cas(cli, &session, op);
        else
            code = cli_session_fail(cli, &session, op);
        sherd_value_fini(&op->result);
    }
    cli_session_close(&session);
    return code;
}

/* The same with the value in words[index]. */
static int write_value(struct cli *cli, struct sherd_op *op, int index)
{
    void *memory = NULL;
    int code = cli_key(cli, cli->words[0], &op->key); /* before standard input is read */

    if (code == 0) code = cli_value(cli, index, &op->value, &memory);
    if (code == 0) code = write_key(cli, op);
    free(memory);
    return code;
}

static int run_set(struct cli *cli)
{
    return write_value(cli, &(struct sherd_op){.kind = SHERD_OP_SET}, 1);
}

static int run_append(struct cli *cli)
{
    return write_value(cli, &(struct sherd_op){.kind = SHERD_OP_APPEND}, 1);
}

static int run_cas(struct cli *cli)
{
    struct sherd_op op = {.kind = SHERD_OP_CAS, .use_expect = true};
    const char *version = cli->words[1];

    if (strcmp(version, "none") != 0 && sherd_version_parse(version, &op.expect) != 0)
        return cli_fail(cli, CLI_USAGE,
                        "VERSION must be as 'sherd explain KEY' shows it, or 'none', not '%.60s'",
                        version);
    return write_value(cli, &op, 2);
}

static int run_incr(struct cli *cli)
{
    struct sherd_op op = {.kind = SHERD_OP_INCREMENT, .delta = 1};
    int code = 0;

    if (cli->count > 1)
        code = cli_number(cli, "DELTA", cli->words[1], INT64_MIN, INT64_MAX, &op.delta);
    return code != 0 ? code : write_key(cli, &op);
}

/* Of what was there: a delete of nothing says so, where the library's plain delete would not. */
static int run_del(struct cli *cli)
{
    return write_key(cli, &(struct sherd_op){.kind = SHERD_OP_REMOVE});
}

const struct cli_command cli_set = {
    .name = "set",
    .arguments = "KEY VALUE | KEY --file FILE | KEY -",
    .summary = "stores a value under a key",
    .help =
        "Keys have 1 to 1024 bytes, values up to 4 MiB. A write that may or may not have happened\n"
        "is repeated within the deadline. Without --ttl the value never expires, whatever the one\n"
        "before it did.\n\n"
        "  sherd set greeting 'Good morning'\n"
        "  sherd set photo --file photo.jpg --ttl 3600\n"
        "  tar c src | sherd set src.tar -\n",
    .options = CLI_TAKES(FILE) | CLI_TAKES(TTL),
    .words_min = 1,
    .words_max = 2,
    .run = run_set,
};

const struct cli_command cli_cas = {
    .name = "cas",
    .arguments = "KEY VERSION VALUE | KEY VERSION --file FILE | KEY VERSION -",
    .summary = "stores a value if the key's version is still VERSION",
    .help = "VERSION 'none': if there is no value. Exit code 3: it has another version, which is\n"
            "named. Without --ttl the new value never expires.\n\n"
            "  sherd cas lock none \"$(hostname)\"\n"
            "  sherd cas counter 1-18f2ab34c1d0000-9d2c01aa77e3b5f0 8\n",
    .options = CLI_TAKES(FILE) | CLI_TAKES(TTL),
    .words_min = 2,
    .words_max = 3,
    .run = run_cas,
};

const struct cli_command cli_incr = {
    .name = "incr",
    .arguments = "KEY [DELTA]",
    .summary = "adds DELTA (1) to the number under a key, and prints it",
    .help = "No value counts as 0. The value is a decimal number of 64 bits with a sign.\n"
            "It expires as before unless --ttl is given.\n\n"
            "  sherd incr visits\n"
            "  sherd incr stock -3\n",
    .options = CLI_TAKES(TTL),
    .words_min = 1,
    .words_max = 2,
    .run = run_incr,
};

const struct cli_command cli_append = {
    .name = "append",
    .arguments = "KEY VALUE | KEY --file FILE | KEY -",
    .summary = "adds bytes at the end of the value",
    .help = "No value counts as an empty one. It expires as before unless --ttl is given.\n\n"
            "  sherd append log 'one more line'\n"
            "  date | sherd append log -\n",
    .options = CLI_TAKES(FILE) | CLI_TAKES(TTL),
    .words_min = 1,
    .words_max = 2,
    .run = run_append,
};

const struct cli_command cli_del = {
    .name = "del",
    .arguments = "KEY",
    .summary = "deletes a value",
    .help = "Exit code 1: there was none.\n\n"
            "  sherd del greeting\n",
    .words_min = 1,
    .words_max = 1,
    .run = run_del,
};
