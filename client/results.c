/* results.c - an operation's outcome, in the caller's terms. */
#include <stdlib.h>
#include <string.h>

#include "client/engine_parts.h"

static void clear(struct sherd_op *op)
{
    op->result = (struct sherd_value){0};
    op->size = 0;
    op->number = 0;
    op->shards_held = op->shards_total = op->k = op->slot_count = 0;
    op->partition = 0;
}

/* `done` may submit the operation again, or free it: nothing touches it after this. */
static void tell(struct sherd_engine *e, struct sherd_op *op, enum sherd_outcome outcome)
{
    op->outcome = outcome;
    op->internal = NULL;
    e->finished++;
    if (op->done) op->done(op);
}

void sherd_op_end(struct sherd_engine *e, struct sherd_op *op, enum sherd_outcome outcome)
{
    clear(op);
    tell(e, op, outcome);
}

static void fill_found(struct sherd_run *run, struct sherd_op *op)
{
    op->result.version = sherd_version_of(run->op.version);
    op->result.expires_ms = run->op.found.expires_ms;
    op->size = run->op.found.size;
    if (op->kind != SHERD_OP_GET) return;
    op->result.size = run->op.found.size;
    if (op->result.size == 0) return;
    op->result.data = run->decoded;
    run->decoded = NULL;
}

static char *copy_text(struct sherd_bytes text)
{
    char *copy = malloc(text.size + 1);

    if (!copy) return NULL;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

static void fill_written(struct sherd_run *run, struct sherd_op *op)
{
    op->result.version = sherd_version_of(run->op.version);
    op->result.expires_ms = run->op.meta.expires_ms;
    op->size = run->op.meta.size;
    op->shards_held = sherd_slots_count(run->op.held);
    op->shards_total = (uint8_t)(run->op.map->k + run->op.map->m);
    if (op->kind != SHERD_OP_INCREMENT) return;
    op->number = run->number;
    op->result.data = copy_text(run->value);
    if (op->result.data) op->result.size = run->value.size;
}

/* What one slot says of the version, from all answers that show it. */
static enum sherd_slot_state state_of(const struct sherd_operation *op, uint8_t slot)
{
    const struct sherd_answers *a = &op->reader.answers;
    bool has_bytes = (op->found.flags & (SHERD_META_TOMBSTONE | SHERD_META_LOST)) == 0;
    enum sherd_slot_state state = SHERD_SLOT_MISSING;

    if (!sherd_slots_has(sherd_partition_holders(op->partition), slot)) return SHERD_SLOT_VACANT;
    if (!sherd_slots_has(a->heard, slot)) return SHERD_SLOT_SILENT;
    for (uint8_t i = 0; i < a->count; i++) {
        const struct sherd_seen *seen = &a->seen[i];
        if (!sherd_ballot_equal(seen->version, op->version) || !sherd_slots_has(seen->holds, slot))
            continue;
        if (has_bytes && !sherd_slots_has(seen->shards, slot)) {
            if (state == SHERD_SLOT_MISSING) state = SHERD_SLOT_BROKEN;
        } else if (sherd_slots_has(seen->committed, slot)) {
            state = SHERD_SLOT_HELD;
        } else if (state != SHERD_SLOT_HELD) {
            state = SHERD_SLOT_PREPARED;
        }
    }
    return state;
}

static void fill_slots(const struct sherd_run *run, struct sherd_op *op)
{
    const struct sherd_partition *p = run->op.partition;

    op->k = run->op.map->k;
    op->slot_count = (uint8_t)(run->op.map->k + run->op.map->m);
    op->partition = sherd_map_partition_of(run->op.map, run->op.key_hash);
    op->shards_total = op->slot_count;
    for (uint8_t i = 0; i < op->slot_count; i++) {
        enum sherd_slot_state state = state_of(&run->op, i);
        op->slots[i] = (struct sherd_slot_info){
            .node = p->node[i],
            .slot = i,
            .state = (uint8_t)state,
            .learner = sherd_slots_has(p->learners, i),
        };
        if (state == SHERD_SLOT_HELD || state == SHERD_SLOT_PREPARED) op->shards_held++;
    }
}

void sherd_run_answer(struct sherd_engine *e, struct sherd_run *run)
{
    struct sherd_op *op = run->user;
    bool ok = run->op.outcome == SHERD_OK;

    if (!op) return;
    run->user = NULL;
    clear(op);
    switch (run->op.goal) {
    case SHERD_GOAL_GET:
    case SHERD_GOAL_LOOK:
        if (ok) fill_found(run, op);
        break;
    case SHERD_GOAL_SET:
    case SHERD_GOAL_UPDATE:
        if (ok) fill_written(run, op);
        break;
    case SHERD_GOAL_REPAIR:
        op->shards_held = sherd_slots_count(run->op.held);
        if (run->op.map) op->shards_total = (uint8_t)(run->op.map->k + run->op.map->m);
        break;
    default: break;
    }
    if (op->kind == SHERD_OP_EXPLAIN && run->op.map) fill_slots(run, op);
    tell(e, op, run->op.outcome);
}
