/* operation_write.c - WRITING: own attempts, and what becomes of them. PROTOCOL 3. */
#include "coord/operation_parts.h"

void sherd_op_begin_writer(struct sherd_turn *t, struct sherd_ballot ballot,
                           struct sherd_ballot version, const struct sherd_meta *meta)
{
    struct sherd_operation *op = t->op;
    struct sherd_writer *w = &op->writer;

    w->ballot = ballot;
    w->version = version;
    w->meta = *meta;
    w->expect = w->finishes ? op->chosen : op->expect;
    w->quorum = sherd_partition_quorum(op->partition, op->map->k);
    w->voters = op->partition->voters;
    w->holders = sherd_partition_holders(op->partition);
    w->abort_at_us = op->abort_at_us;
    op->prepare_round = ++op->round;
    sherd_writer_start(w, t->env, t->out);
    op->phase_due_us = w->due_us;
}

/* An own attempt at `ballot`, which a quorum promised before if `promised`. */
void sherd_op_write_at(struct sherd_turn *t, struct sherd_ballot ballot, bool promised)
{
    struct sherd_operation *op = t->op;
    struct sherd_meta meta = op->meta;

    op->phase = SHERD_PHASE_WRITING;
    op->writer.conditional = op->goal == SHERD_GOAL_UPDATE && !promised;
    op->writer.finishes = false;
    op->writer.from_reserve = (meta.flags & SHERD_META_TOMBSTONE) != 0;
    if (op->writer.conditional) meta.flags |= SHERD_META_CONDITIONAL;
    op->attempt = ballot;
    op->alive = true;
    op->shards_are_old = false;
    if (!op->encoded && !(meta.flags & SHERD_META_TOMBSTONE))
        sherd_effects_add(t->out, (struct sherd_effect){.kind = SHERD_EFFECT_ENCODE_NEW});
    op->encoded = true;
    sherd_op_begin_writer(t, ballot, ballot, &meta);
}

void sherd_op_write(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;
    struct sherd_quorum quorum;
    uint8_t reachable;

    sherd_op_bind(t);
    if (sherd_op_meets_loss(t, SHERD_PHASE_WRITING)) return;
    if (t->env->now_us >= op->abort_at_us) {
        sherd_op_finish(t, SHERD_NO_QUORUM); /* every attempt so far is proved dead */
        return;
    }
    if (op->goal == SHERD_GOAL_UPDATE && op->partition->epoch != op->expect_epoch) {
        /* What was read may be gone by decree (an accepted loss), and nodes that hold nothing meet
         * every `expect`: only what was read in this epoch may be built upon. */
        sherd_op_wait(t, SHERD_PHASE_READING, 1);
        return;
    }
    quorum = sherd_partition_quorum(op->partition, op->map->k);
    reachable = sherd_slots_count(op->partition->voters & t->env->reachable);
    if (reachable < quorum.q) {
        /* Nothing is sent that could only become uncertain. */
        sherd_op_wait(t, SHERD_PHASE_WRITING, REACH_US);
        return;
    }
    if (op->goal == SHERD_GOAL_UPDATE && reachable < quorum.f) {
        op->promise_write = true;
        sherd_op_promise(t);
        return;
    }
    sherd_op_write_at(t, sherd_op_next_ballot(t), false);
}

static void on_write_dead(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;
    const struct sherd_writer *w = &op->writer;
    bool update = op->goal == SHERD_GOAL_UPDATE;

    op->alive = false;
    op->bury = SHERD_BALLOT_ZERO;
    op->promise_write = false;
    if (w->reason == SHERD_REASON_FULL) {
        sherd_op_finish(t, SHERD_FULL);
    } else if (w->reason == SHERD_REASON_BAD || w->reason == SHERD_REASON_DIFFERENT) {
        sherd_op_finish(t, SHERD_BAD_ARGUMENT);
    } else if (w->reason == SHERD_REASON_CLOCK || !sherd_op_raise_above(t, w->max)) {
        sherd_op_finish(t, SHERD_CLOCK);
    } else if (w->reason == SHERD_REASON_UNDECIDED) {
        /* Others left too much undecided: finish that first. */
        sherd_op_wait(t, SHERD_PHASE_PROMISING, sherd_op_backoff_us(t));
    } else if (w->stale) {
        sherd_op_refresh(t, update ? SHERD_PHASE_READING : SHERD_PHASE_WRITING, w->stale);
    } else {
        if (w->reason == SHERD_REASON_VERSION) op->must_finish = true;
        sherd_op_wait(t, update ? SHERD_PHASE_READING : SHERD_PHASE_WRITING,
                      sherd_op_backoff_us(t));
    }
}

void sherd_op_part_rounds(struct sherd_operation *op)
{
    bool parted =
        op->writer.state == SHERD_WRITER_ABORTING || op->writer.state == SHERD_WRITER_COMMITTING;

    if (parted && op->round == op->prepare_round) op->round++;
}

void sherd_op_on_write(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;
    const struct sherd_writer *w = &op->writer;

    sherd_op_part_rounds(op);
    op->phase_due_us = w->due_us;
    if (sherd_writer_is_complete(w)) {
        op->commit_ballot = w->ballot;
        op->commit_mask = w->acked;
        op->commit_wanted = w->state == SHERD_WRITER_COMMITTING;
        op->held = w->acked;
        op->version = w->version;
        if (op->ack_quorum) sherd_op_answer(t, SHERD_OK);
    }
    switch (w->verdict) {
    case SHERD_WRITER_RUNNING: break;
    case SHERD_WRITER_COMPLETE: sherd_op_finish(t, SHERD_OK); break;
    case SHERD_WRITER_DEAD: on_write_dead(t); break;
    case SHERD_WRITER_EXPOSED:
        op->bury = op->attempt;
        op->above = sherd_ballot_max(op->above, w->max);
        sherd_op_wait(t, SHERD_PHASE_PROMISING, 1);
        if (w->stale | w->abort_stale)
            sherd_op_refresh(t, SHERD_PHASE_PROMISING, w->stale | w->abort_stale);
        break;
    }
}
