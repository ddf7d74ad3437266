#include "client/cli/pump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void note(struct cli_pump *pump, int code)
{
    pump->finished++;
    if (code == 0) return;
    pump->failed++;
    if (pump->code == 0) pump->code = code;
}

static void empty(struct cli_pump_slot *slot)
{
    free(slot->key);
    free(slot->memory);
    sherd_value_fini(&slot->op.result);
    *slot = (struct cli_pump_slot){.pump = slot->pump};
}

/* Called from sherd_poll. A set that may or may not have happened is simply set again. */
static void on_done(struct sherd_op *op)
{
    struct cli_pump_slot *slot = op->context;
    uint64_t now_ms = cli_now_ms();

    if (op->outcome == SHERD_UNCERTAIN && op->kind == SHERD_OP_SET &&
        now_ms - slot->began_ms < slot->pump->session.timeout_ms &&
        sherd_submit(slot->pump->session.client, op) == 0)
        return;
    slot->is_done = true;
}

static int make_key(const struct cli *cli, struct cli_pump_slot *slot)
{
    const char *prefix = cli->options.prefix != NULL ? cli->options.prefix : "";

    if (asprintf(&slot->key, "%s%s", prefix, slot->file->name) < 0) {
        slot->key = NULL;
        return cli_fail_errno(cli, -ENOMEM);
    }
    return cli_key(cli, slot->key, &slot->op.key);
}

static int start(struct cli_pump *pump, struct cli_pump_slot *slot)
{
    int code, rc;

    slot->op.kind = SHERD_OP_GET;
    slot->op.done = on_done;
    slot->op.context = slot;
    slot->began_ms = cli_now_ms();
    code = make_key(pump->cli, slot);
    if (code == 0 && pump->prepare != NULL) code = pump->prepare(pump, slot);
    if (code != 0) return code;
    rc = sherd_submit(pump->session.client, &slot->op);
    if (rc != 0) return cli_fail_errno(pump->cli, rc);
    slot->is_busy = true;
    pump->busy++;
    return 0;
}

static void fill(struct cli_pump *pump)
{
    for (size_t i = 0; i < LEN(pump->slots); i++) {
        struct cli_pump_slot *slot = &pump->slots[i];
        while (!slot->is_busy && pump->next < pump->files->count) {
            slot->pump = pump;
            slot->file = &pump->files->items[pump->next++];
            int code = start(pump, slot);
            if (code == 0) break;
            cli_bar_clear(&pump->bar);
            note(pump, code);
            empty(slot);
        }
    }
}

static void drain(struct cli_pump *pump)
{
    for (size_t i = 0; i < LEN(pump->slots); i++) {
        struct cli_pump_slot *slot = &pump->slots[i];
        if (!slot->is_done) continue;
        note(pump, pump->judge(pump, slot));
        empty(slot);
        pump->busy--;
    }
}

int cli_pump_run(struct cli_pump *pump)
{
    int code = cli_session_open(pump->cli, CLI_TIMEOUT_MS, &pump->session);
    uint64_t began_ms = cli_now_ms();
    int rc = 0;

    if (code != 0) return code;
    cli_bar_init(&pump->bar, pump->cli, pump->label, 0);
    do {
        fill(pump);
        if (pump->busy > 0) rc = sherd_poll(pump->session.client, 100);
        drain(pump);
        cli_bar_set(&pump->bar, pump->finished, pump->files->count, pump->bytes);
    } while (rc >= 0 && (pump->busy > 0 || pump->next < pump->files->count));
    cli_bar_clear(&pump->bar);
    pump->took_ms = cli_now_ms() - began_ms;
    cli_session_close(&pump->session);
    for (size_t i = 0; i < LEN(pump->slots); i++)
        empty(&pump->slots[i]);
    return rc < 0 ? cli_fail_errno(pump->cli, rc) : 0;
}
