/* operation_common.c - what the phases of an operation share: waiting, ballots, the end. */
#include "coord/operation_parts.h"

void sherd_op_bind(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;

    op->map = t->env->map;
    op->partition = &op->map->partitions[sherd_map_partition_of(op->map, op->key_hash)];
}

void sherd_op_answer(struct sherd_turn *t, enum sherd_outcome outcome)
{
    if (t->op->answered) return;
    t->op->answered = true;
    t->op->outcome = outcome;
    sherd_effects_add(t->out, (struct sherd_effect){.kind = SHERD_EFFECT_ANSWER});
}

void sherd_op_finish(struct sherd_turn *t, enum sherd_outcome outcome)
{
    sherd_op_answer(t, outcome);
    t->op->phase = SHERD_PHASE_DONE;
    t->op->phase_due_us = UINT64_MAX;
    sherd_effects_add(t->out, (struct sherd_effect){.kind = SHERD_EFFECT_DONE});
}

void sherd_op_wait(struct sherd_turn *t, enum sherd_phase resume, uint64_t wait_us)
{
    t->op->phase = SHERD_PHASE_WAITING;
    t->op->resume = (uint8_t)resume;
    t->op->phase_due_us = t->env->now_us + wait_us;
}

/* 0 to 2^i ms, random (PROTOCOL 3.5). */
uint64_t sherd_op_backoff_us(struct sherd_turn *t)
{
    unsigned shift = t->op->attempts < BACKOFF_SHIFT_MAX ? t->op->attempts : BACKOFF_SHIFT_MAX;

    if (t->op->attempts < UINT8_MAX) t->op->attempts++;
    return t->env->random % ((uint64_t)MS << shift) + 1;
}

/* 5 to 20 ms: an epoch is being sealed, or its map is on the way. */
void sherd_op_refresh(struct sherd_turn *t, enum sherd_phase resume, uint32_t who_knows)
{
    sherd_op_wait(t, resume, 5 * MS + t->env->random % (15 * MS));
    sherd_effects_add(t->out,
                      (struct sherd_effect){.kind = SHERD_EFFECT_REFRESH, .slots = who_knows});
}

/* Whether the map says that the partition is lost. A newer one is asked for before that is
 * believed: with nothing to send, nobody else would tell that the loss was accepted long ago. */
bool sherd_op_meets_loss(struct sherd_turn *t, enum sherd_phase resume)
{
    struct sherd_operation *op = t->op;

    if (!op->partition->lost) return false;
    if (op->asked_map)
        sherd_op_finish(t, op->alive ? SHERD_UNCERTAIN : SHERD_LOST);
    else
        sherd_op_refresh(t, resume, 0);
    op->asked_map = true;
    return true;
}

/* Takes over a clock from a NACK. One that is more than 60 s ahead of ours cannot be passed. */
bool sherd_op_raise_above(struct sherd_turn *t, struct sherd_ballot max)
{
    t->op->above = sherd_ballot_max(t->op->above, max);
    if (max.epoch <
        t->env->map->partitions[sherd_map_partition_of(t->env->map, t->op->key_hash)].epoch)
        return true; /* the epoch alone makes the next ballot higher */
    sherd_hlc_merge(t->env->clock, max.clock, t->env->wall_ms);
    return t->env->clock->last >= max.clock;
}

struct sherd_ballot sherd_op_next_ballot(struct sherd_turn *t)
{
    return (struct sherd_ballot){
        .clock = sherd_hlc_next(t->env->clock, t->env->wall_ms),
        .client = t->env->client,
        .epoch = t->op->partition->epoch,
    };
}
