/* operation_read.c - READING, and what follows a complete read. PROTOCOL 4. */
#include "coord/operation_parts.h"

/* What stands in the way of a decision, or of a conditional write that was refused again, may be
 * held by a single node that a read quorum passes by. */
static bool must_hear_all(const struct sherd_operation *op)
{
    return op->ask_all || op->goal == SHERD_GOAL_FINISH || op->goal == SHERD_GOAL_REPAIR ||
           (op->must_finish && op->attempts >= 2);
}

void sherd_op_read(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;

    sherd_op_bind(t);
    if (sherd_op_meets_loss(t, SHERD_PHASE_READING)) return;
    op->phase = SHERD_PHASE_READING;
    op->round++;
    op->reader.partition = op->partition;
    op->reader.k = op->map->k;
    op->reader.ask_all = must_hear_all(op);
    op->reader.want_value =
        op->goal == SHERD_GOAL_GET || op->goal == SHERD_GOAL_REPAIR || op->want_value;
    sherd_reader_start(&op->reader, t->env, t->out);
    op->phase_due_us = op->reader.due_us;
}

void sherd_op_note_current(struct sherd_operation *op, const struct sherd_seen *seen,
                           uint64_t wall_ms)
{
    op->exists = seen && !sherd_meta_is_absent(&seen->meta, wall_ms);
    op->version = seen ? seen->version : SHERD_BALLOT_ZERO;
    op->found = seen ? seen->meta : (struct sherd_meta){.flags = SHERD_META_TOMBSTONE};
    op->found.flags &= (uint8_t)~SHERD_META_RUN;
}

void sherd_op_deliver(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;

    if (!op->exists) {
        sherd_op_finish(t, SHERD_NOT_FOUND);
    } else if (op->found.flags & SHERD_META_LOST) {
        sherd_op_finish(t, SHERD_LOST);
    } else if (op->goal == SHERD_GOAL_GET) {
        op->phase = SHERD_PHASE_DECODING;
        op->phase_due_us = UINT64_MAX;
        sherd_effects_add(t->out, (struct sherd_effect){.kind = SHERD_EFFECT_DECODE});
    } else {
        sherd_op_finish(t, SHERD_OK);
    }
}

static void compute(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;

    if (op->found.flags & SHERD_META_LOST) {
        sherd_op_finish(t, SHERD_LOST);
        return;
    }
    op->expect = op->version; /* also of a tombstone: see participant.c */
    op->expect_epoch = op->partition->epoch;
    op->encoded = false;
    op->phase = SHERD_PHASE_COMPUTING;
    op->phase_due_us = UINT64_MAX;
    sherd_effects_add(t->out, (struct sherd_effect){.kind = SHERD_EFFECT_COMPUTE});
}

void sherd_op_send_commit(struct sherd_turn *t, struct sherd_ballot ballot, uint32_t slots,
                          uint32_t held)
{
    t->op->commit_ballot = ballot;
    t->op->commit_mask = held;
    t->op->commit_wanted = false;
    sherd_effects_send(t->out, SHERD_COMMIT, slots, 0);
}

void sherd_op_send_inserts(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;

    op->phase = SHERD_PHASE_INSERTING;
    op->round++;
    op->phase_due_us = t->env->now_us + INSERT_PATIENCE_US;
    sherd_effects_send(t->out, SHERD_INSERT, op->inserting, 0);
}

void sherd_op_encode_old(struct sherd_turn *t)
{
    t->op->phase = SHERD_PHASE_ENCODING;
    t->op->phase_due_us = UINT64_MAX;
    t->op->shards_are_old = true;
    sherd_effects_add(t->out, (struct sherd_effect){.kind = SHERD_EFFECT_ENCODE_OLD});
}

/* Gives the complete value to every holder that answered and lacks it. */
static void repair(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;
    const struct sherd_seen *seen = op->reader.choice.seen;
    uint32_t heard = op->reader.answers.heard;

    if (!seen) {
        sherd_op_finish(t, SHERD_OK);
        return;
    }
    sherd_op_note_current(op, seen, t->env->wall_ms);
    op->chosen = seen->ballot;
    op->held = seen->holds;
    /* Also to who holds it undecided: its COMMIT must be known to have arrived before the scan lets
     * the older epochs go, since from then on only what is committed counts there. */
    op->inserting = heard & ~(seen->holds & seen->committed);
    if (!sherd_op_is_empty(t, &seen->meta)) op->inserting |= heard & ~seen->shards;
    op->insert_failed = sherd_partition_holders(op->partition) & ~heard;
    if (op->inserting == 0)
        sherd_op_finish(t, op->insert_failed ? SHERD_NO_QUORUM : SHERD_OK);
    else if (sherd_op_is_empty(t, &seen->meta))
        sherd_op_send_inserts(t);
    else
        sherd_op_encode_old(t);
}

/* A quorum may promise without the one node that holds an entry nobody else knows: the proposal
 * must be made all the same, or the entry would stay undecided there. */
static void finish_what_is_shown(struct sherd_turn *t)
{
    t->op->shown = t->op->reader.answers.seen[0].ballot;
    sherd_op_promise(t);
}

static void on_read_complete(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;
    const struct sherd_choice *choice = &op->reader.choice;

    op->heard_quorum = true;
    switch (op->goal) {
    case SHERD_GOAL_FINISH:
    case SHERD_GOAL_REPAIR:
        if (choice->above) {
            finish_what_is_shown(t);
        } else if (op->goal == SHERD_GOAL_REPAIR) {
            repair(t);
        } else {
            if (choice->seen)
                sherd_op_send_commit(t, choice->seen->ballot,
                                     sherd_partition_holders(op->partition), choice->seen->holds);
            sherd_op_finish(t, SHERD_OK);
        }
        break;
    case SHERD_GOAL_UPDATE:
        if (choice->above && op->must_finish) {
            finish_what_is_shown(t);
            break;
        }
        sherd_op_note_current(op, choice->seen, t->env->wall_ms);
        compute(t);
        break;
    default:
        sherd_op_note_current(op, choice->seen, t->env->wall_ms);
        sherd_op_deliver(t);
        break;
    }
}

void sherd_op_on_read(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;

    op->phase_due_us = op->reader.due_us;
    if (op->reader.verdict != SHERD_READER_RUNNING && op->reader.answers.count != 0)
        op->above = sherd_ballot_max(op->above, op->reader.answers.seen[0].ballot);
    switch (op->reader.verdict) {
    case SHERD_READER_RUNNING: break;
    case SHERD_READER_COMPLETE: on_read_complete(t); break;
    case SHERD_READER_POSSIBLE:
        op->heard_quorum = true;
        if (op->possible_reads++ == 0 && op->goal != SHERD_GOAL_FINISH)
            sherd_op_wait(t, SHERD_PHASE_READING, REREAD_US);
        else if (op->goal == SHERD_GOAL_FINISH || op->goal == SHERD_GOAL_REPAIR)
            finish_what_is_shown(t);
        else
            sherd_op_promise(t);
        break;
    case SHERD_READER_AGAIN:
        sherd_op_wait(t, SHERD_PHASE_READING, 5 * MS + t->env->random % (15 * MS));
        break;
    case SHERD_READER_STALE: sherd_op_refresh(t, SHERD_PHASE_READING, op->reader.stale); break;
    }
}

void sherd_op_on_insert(struct sherd_turn *t, uint32_t done, uint32_t failed)
{
    struct sherd_operation *op = t->op;

    op->held |= op->inserting & done;
    op->insert_failed |= op->inserting & failed;
    op->inserting &= ~(done | failed);
    if (op->inserting != 0) return;
    if (op->making_room) {
        op->making_room = false;
        sherd_op_wait(t, SHERD_PHASE_PROMISING, 1);
    } else {
        sherd_op_finish(t, op->insert_failed ? SHERD_NO_QUORUM : SHERD_OK);
    }
}
