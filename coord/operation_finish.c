/* operation_finish.c - PROMISING and PROPOSING: an undecided write is decided. PROTOCOL 5. */
#include "coord/operation_parts.h"

void sherd_op_promise(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;

    sherd_op_bind(t);
    if (sherd_op_meets_loss(t, SHERD_PHASE_PROMISING)) return;
    op->phase = SHERD_PHASE_PROMISING;
    op->round++;
    op->finisher.partition = op->partition;
    op->finisher.k = op->map->k;
    if (!sherd_op_raise_above(t, op->above)) {
        sherd_op_finish(t, op->alive ? SHERD_UNCERTAIN : SHERD_CLOCK);
        return;
    }
    op->finisher.ballot = sherd_op_next_ballot(t);
    sherd_finisher_start(&op->finisher, t->env, t->out);
    op->phase_due_us = op->finisher.due_us;
}

/* Whether the own attempt is proved never to have taken effect: see the header. One of an epoch
 * that is no longer open may have been forgotten with it, when a loss was accepted: then it proves
 * nothing that it is not found. */
static bool is_buried(const struct sherd_operation *op)
{
    bool passed_over = sherd_ballot_compare(op->chosen, op->bury) < 0 ||
                       sherd_ballot_compare(op->version, op->bury) < 0;

    return passed_over && op->attempt.epoch >= op->partition->open[0].epoch;
}

/* The value that stands is known (op->version, found, exists, chosen): go on with the goal. */
static void after_finish(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;

    if (op->alive) {
        if (sherd_ballot_equal(op->version, op->attempt)) {
            op->alive = false;
            sherd_op_finish(t, SHERD_OK);
        } else if (is_buried(op)) {
            op->alive = false; /* buried: see the header */
            op->bury = SHERD_BALLOT_ZERO;
            sherd_op_wait(t,
                          op->goal == SHERD_GOAL_UPDATE ? SHERD_PHASE_READING : SHERD_PHASE_WRITING,
                          sherd_op_backoff_us(t));
        } else {
            sherd_op_finish(t, SHERD_UNCERTAIN);
        }
        return;
    }
    op->must_finish = false;
    switch (op->goal) {
    case SHERD_GOAL_GET:
    case SHERD_GOAL_LOOK: sherd_op_deliver(t); break;
    case SHERD_GOAL_SET: sherd_op_wait(t, SHERD_PHASE_WRITING, 1); break;
    case SHERD_GOAL_UPDATE:
    case SHERD_GOAL_REPAIR: sherd_op_wait(t, SHERD_PHASE_READING, 1); break;
    default: sherd_op_finish(t, SHERD_OK); break;
    }
}

/* PREPAREs what stands at the promised ballot: an old version again, or a tombstone where there is
 * none, or the marker of a loss. */
void sherd_op_propose(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;
    struct sherd_meta meta = op->found;

    meta.flags &= (uint8_t) ~(SHERD_META_CONDITIONAL | SHERD_META_RUN);
    if (op->crowded) meta.flags |= SHERD_META_RUN;
    if (sherd_meta_is_absent(&meta, t->env->wall_ms)) meta.flags |= SHERD_META_TOMBSTONE;
    op->found = meta;
    op->phase = SHERD_PHASE_PROPOSING;
    op->writer.conditional = false;
    op->writer.finishes = true;
    op->writer.from_reserve = true;
    if (sherd_ballot_is_zero(op->version)) op->version = op->finisher.ballot;
    sherd_op_begin_writer(t, op->finisher.ballot, op->version, &meta);
}

/* Whether the chosen value is still in doubt for the own attempt that must be buried. */
static bool needs_burial(const struct sherd_operation *op)
{
    if (sherd_ballot_compare(op->chosen, op->shown) < 0) return true;
    return op->alive && !sherd_ballot_equal(op->version, op->attempt) &&
           sherd_ballot_compare(op->chosen, op->bury) < 0;
}

/* Whether the answers give all that is needed to hand `seen` to others. */
static bool is_at_hand(const struct sherd_turn *t, const struct sherd_seen *seen)
{
    const struct sherd_answers *a = &t->op->finisher.answers;
    uint32_t pieces = 0;

    for (uint8_t i = 0; i < a->count; i++)
        if (sherd_ballot_equal(a->seen[i].version, seen->version)) pieces |= a->seen[i].pieces;
    return sherd_op_is_empty(t, &seen->meta) || sherd_slots_count(pieces) >= t->op->map->k;
}

/* A node that missed what is complete keeps everything older, and may have no room left for the
 * proposal that decides: it gets the complete version first, which takes the place of all that. */
static bool make_room(struct sherd_turn *t, const struct sherd_seen *settled)
{
    struct sherd_operation *op = t->op;
    uint32_t lacking = settled ? op->finisher.answers.heard & ~settled->holds : 0;

    if (!op->crowded || lacking == 0 || !is_at_hand(t, settled)) return false;
    sherd_op_note_current(op, settled, t->env->wall_ms);
    op->chosen = settled->ballot;
    op->inserting = lacking;
    op->making_room = true;
    if (sherd_op_is_empty(t, &settled->meta))
        sherd_op_send_inserts(t);
    else
        sherd_op_encode_old(t);
    return true;
}

static void on_promised(struct sherd_turn *t, bool clean)
{
    struct sherd_operation *op = t->op;
    const struct sherd_seen *seen = op->finisher.choice.seen;
    const struct sherd_seen *settled = op->finisher.choice.settled;

    sherd_op_note_current(op, seen, t->env->wall_ms);
    op->chosen = seen ? seen->ballot : SHERD_BALLOT_ZERO;
    if (op->promise_write && !op->alive) {
        op->promise_write = false;
        if (sherd_ballot_equal(op->version, op->expect)) {
            sherd_op_write_at(t, op->finisher.ballot, true);
            return;
        }
    }
    if (make_room(t, settled)) return;
    if (settled)
        sherd_op_send_commit(t, settled->ballot, sherd_partition_holders(op->partition),
                             settled->holds);
    if (clean && !needs_burial(op))
        after_finish(t);
    else if (seen && !sherd_op_is_empty(t, &seen->meta))
        sherd_op_encode_old(t);
    else
        sherd_op_propose(t);
}

void sherd_op_on_promise(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;

    op->phase_due_us = op->finisher.due_us;
    switch (op->finisher.verdict) {
    case SHERD_FINISHER_RUNNING: break;
    case SHERD_FINISHER_CLEAN: on_promised(t, true); break;
    case SHERD_FINISHER_PROPOSE: on_promised(t, false); break;
    case SHERD_FINISHER_LOST: /* PROTOCOL 7.8: a version like any other */
        op->version = SHERD_BALLOT_ZERO;
        op->chosen = op->finisher.ballot; /* nothing was passed over: the own attempt may be it */
        op->found = (struct sherd_meta){.flags = SHERD_META_LOST};
        op->exists = true;
        sherd_op_propose(t);
        break;
    case SHERD_FINISHER_AGAIN:
        if (!sherd_op_raise_above(t, op->finisher.max)) {
            sherd_op_finish(t, op->alive ? SHERD_UNCERTAIN : SHERD_CLOCK);
            break;
        }
        sherd_op_wait(t, SHERD_PHASE_PROMISING, sherd_op_backoff_us(t) + 5 * MS);
        break;
    case SHERD_FINISHER_STALE: sherd_op_refresh(t, SHERD_PHASE_PROMISING, 0); break;
    }
}

void sherd_op_on_propose(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;
    const struct sherd_writer *w = &op->writer;

    sherd_op_part_rounds(op);
    op->phase_due_us = w->due_us;
    if (sherd_writer_is_complete(w)) {
        op->commit_ballot = w->ballot;
        op->commit_mask = w->acked;
        op->commit_wanted = false;
        op->held = w->acked;
    }
    if (w->verdict == SHERD_WRITER_RUNNING) return;
    if (w->verdict == SHERD_WRITER_COMPLETE) {
        after_finish(t);
    } else { /* finishing is repeatable: the same version, under a higher ballot */
        if (w->reason == SHERD_REASON_UNDECIDED) op->crowded = true;
        op->above = sherd_ballot_max(op->above, w->max);
        if (w->stale | w->abort_stale)
            sherd_op_refresh(t, SHERD_PHASE_PROMISING, w->stale | w->abort_stale);
        else
            sherd_op_wait(t, SHERD_PHASE_PROMISING, sherd_op_backoff_us(t));
    }
}
