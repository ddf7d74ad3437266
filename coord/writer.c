#include "coord/writer.h"

enum {
    ABORT_PATIENCE_US = 100000, /* for the proof of death; then Finish settles it */
    COMMIT_PATIENCE_US = 20000,
};

static uint8_t need_of(const struct sherd_writer *w)
{
    return w->conditional ? w->quorum.f : w->quorum.q;
}

static void end(struct sherd_writer *w, enum sherd_writer_verdict verdict)
{
    w->state = SHERD_WRITER_DONE;
    w->verdict = verdict;
    w->due_us = UINT64_MAX;
}

/* Nobody will ever find enough of it to finish it, whatever is lost later (PROTOCOL 3.3): k shards,
 * but of what has no bytes, now or once it has expired, a single copy. */
static bool is_proved_dead(const struct sherd_writer *w)
{
    bool has_bytes =
        (w->meta.flags & (SHERD_META_TOMBSTONE | SHERD_META_LOST)) == 0 && w->meta.expires_ms == 0;

    return sherd_slots_count(w->holders & ~w->dead) < (has_bytes ? w->quorum.k : 1);
}

/* How many losses of state a conditional entry survives before its COMMIT has arrived is less than
 * m when n - q of f is not enough (PROTOCOL 9.2): then the COMMIT is waited for. */
static bool commit_matters(const struct sherd_writer *w)
{
    return w->conditional && need_of(w) + w->quorum.q < 2 * w->quorum.n - w->quorum.k + 1;
}

static void commit(struct sherd_writer *w, const struct sherd_env *env, struct sherd_effects *out)
{
    sherd_effects_send(out, SHERD_COMMIT, w->holders, 0);
    if (!commit_matters(w)) {
        end(w, SHERD_WRITER_COMPLETE);
        return;
    }
    w->state = SHERD_WRITER_COMMITTING;
    w->due_us = env->now_us + COMMIT_PATIENCE_US;
}

/* Every holder that may still ACK soon has done so: learners too, so that the COMMIT names them. */
static bool is_settled(const struct sherd_writer *w, const struct sherd_env *env)
{
    return (w->holders & env->reachable & ~w->acked & ~w->refusing) == 0;
}

static void abort_attempt(struct sherd_writer *w, const struct sherd_env *env,
                          struct sherd_effects *out)
{
    w->outvoted = w->quorum.n - sherd_slots_count(w->dead & w->voters) < need_of(w);
    sherd_effects_send(out, SHERD_ABORT, w->holders & ~w->dead, 0);
    if (is_proved_dead(w)) { /* the ABORTs only tidy up: nobody waits for their answers */
        end(w, SHERD_WRITER_DEAD);
        return;
    }
    w->state = SHERD_WRITER_ABORTING;
    w->due_us = env->now_us + ABORT_PATIENCE_US;
}

static void look(struct sherd_writer *w, const struct sherd_env *env, struct sherd_effects *out)
{
    uint32_t open = w->voters & ~w->refusing;

    if (w->state == SHERD_WRITER_PREPARING &&
        sherd_slots_count(w->acked & w->voters) >= need_of(w)) {
        w->state = SHERD_WRITER_SETTLING;
        w->due_us = env->now_us + env->straggler_us;
    }
    if (w->state == SHERD_WRITER_SETTLING && is_settled(w, env)) commit(w, env, out);
    if (w->state == SHERD_WRITER_PREPARING && sherd_slots_count(open) < need_of(w))
        abort_attempt(w, env, out);
    if (w->state == SHERD_WRITER_ABORTING && is_proved_dead(w)) end(w, SHERD_WRITER_DEAD);
}

void sherd_writer_start(struct sherd_writer *w, const struct sherd_env *env,
                        struct sherd_effects *out)
{
    w->state = SHERD_WRITER_PREPARING;
    w->verdict = SHERD_WRITER_RUNNING;
    w->acked = w->refusing = w->dead = w->stale = w->abort_stale = w->confirmed = 0;
    w->outvoted = false;
    w->reason = SHERD_REASON_NONE;
    w->full = w->ahead = 0;
    w->max = SHERD_BALLOT_ZERO;
    w->due_us = w->abort_at_us > env->now_us ? w->abort_at_us : env->now_us + 1;
    sherd_effects_send(out, SHERD_PREPARE, w->holders, 0);
}

static void note_reason(struct sherd_writer *w, uint32_t bit, uint8_t reason)
{
    if (reason == SHERD_REASON_FULL)
        w->full |= bit;
    else if (reason == SHERD_REASON_CLOCK)
        w->ahead |= bit;
    else if (w->reason == SHERD_REASON_NONE || w->reason == SHERD_REASON_BALLOT)
        w->reason = reason; /* VERSION says more than "a higher ballot" */
}

/* One full node, or one with a wrong clock, does not end the operation; so many that no attempt
 * could succeed do. */
static void judge_reason(struct sherd_writer *w)
{
    uint8_t spare = (uint8_t)(w->quorum.n - need_of(w));

    if (sherd_slots_count(w->full & w->voters) > spare) w->reason = SHERD_REASON_FULL;
    if (sherd_slots_count(w->ahead & w->voters) > spare) w->reason = SHERD_REASON_CLOCK;
}

static void on_prepare_answer(struct sherd_writer *w, uint32_t bit, const struct sherd_answer *a)
{
    if (a->kind == SHERD_ACK) {
        /* Whether the slot votes is known from the map: a learner is no bit of `voters`. */
        w->acked |= bit & ~w->dead;
    } else if (a->kind == SHERD_NACK) {
        w->max = sherd_ballot_max(w->max, a->max);
        note_reason(w, bit, a->reason);
        judge_reason(w);
        w->refusing |= bit;
        w->dead |= bit; /* it never held this ballot, and never will: PROTOCOL 2, at most once */
    } else if (a->kind == SHERD_STALE) {
        w->refusing |= bit;
        w->dead |= bit; /* in another epoch for good */
        w->stale |= bit;
    }
}

static void on_abort_answer(struct sherd_writer *w, uint32_t bit, const struct sherd_answer *a)
{
    if (a->kind == SHERD_STALE) w->abort_stale |= bit;
    if (a->kind != SHERD_ABORTED || (w->dead & bit) != 0) return; /* what is dead stays dead */
    if (a->flags & SHERD_ANSWER_EXPOSED)
        end(w, SHERD_WRITER_EXPOSED);
    else
        w->dead |= bit;
}

void sherd_writer_answer(struct sherd_writer *w, uint8_t slot, const struct sherd_answer *a,
                         const struct sherd_env *env, struct sherd_effects *out)
{
    uint32_t bit = sherd_slot(slot) & w->holders;

    switch (w->state) {
    case SHERD_WRITER_PREPARING:
    case SHERD_WRITER_SETTLING: on_prepare_answer(w, bit, a); break;
    case SHERD_WRITER_ABORTING:
        on_abort_answer(w, bit, a);
        if (w->state == SHERD_WRITER_ABORTING && w->abort_stale != 0 && !is_proved_dead(w))
            w->due_us = env->now_us; /* the epoch moved on: only a Finish can tell */
        break;
    case SHERD_WRITER_COMMITTING:
        if (a->kind == SHERD_ACK) w->confirmed |= bit & w->voters;
        if (sherd_slots_count(w->confirmed) >= w->quorum.q ||
            (w->voters & env->reachable & ~w->confirmed) == 0)
            end(w, SHERD_WRITER_COMPLETE);
        return;
    case SHERD_WRITER_DONE: return;
    }
    look(w, env, out);
}

void sherd_writer_late(struct sherd_writer *w, uint8_t slot, const struct sherd_answer *a)
{
    on_prepare_answer(w, sherd_slot(slot) & w->holders, a);
    if (w->state == SHERD_WRITER_ABORTING && is_proved_dead(w)) end(w, SHERD_WRITER_DEAD);
}

void sherd_writer_gone(struct sherd_writer *w, uint32_t slots, bool unsent,
                       const struct sherd_env *env, struct sherd_effects *out)
{
    uint32_t bits = slots & w->holders & ~w->acked;

    if (w->state != SHERD_WRITER_PREPARING && w->state != SHERD_WRITER_SETTLING) return;
    w->refusing |= bits;
    if (unsent) w->dead |= bits; /* what was in flight on a lost connection proves nothing */
    look(w, env, out);
}

void sherd_writer_timer(struct sherd_writer *w, const struct sherd_env *env,
                        struct sherd_effects *out)
{
    if (env->now_us < w->due_us) return;
    switch (w->state) {
    case SHERD_WRITER_PREPARING: abort_attempt(w, env, out); break;
    case SHERD_WRITER_SETTLING: commit(w, env, out); break;
    case SHERD_WRITER_COMMITTING: end(w, SHERD_WRITER_COMPLETE); break;
    case SHERD_WRITER_ABORTING: end(w, SHERD_WRITER_EXPOSED); break;
    case SHERD_WRITER_DONE: break;
    }
}
