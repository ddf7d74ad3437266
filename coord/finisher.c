#include "coord/finisher.h"

enum { GIVE_UP_US = 500000 }; /* a request or an answer may be lost: promise again, higher */

void sherd_finisher_start(struct sherd_finisher *f, const struct sherd_env *env,
                          struct sherd_effects *out)
{
    uint32_t holders = sherd_partition_holders(f->partition);

    f->verdict = SHERD_FINISHER_RUNNING;
    f->answered = f->failed = 0;
    f->max = SHERD_BALLOT_ZERO;
    f->due_us = env->now_us + GIVE_UP_US;
    sherd_answers_reset(&f->answers);
    sherd_effects_send(out, SHERD_PROMISE, holders, holders);
}

static void end(struct sherd_finisher *f, enum sherd_finisher_verdict verdict)
{
    f->verdict = verdict;
    f->due_us = UINT64_MAX;
}

static void look(struct sherd_finisher *f, const struct sherd_env *env)
{
    struct sherd_quorum quorum = sherd_partition_quorum(f->partition, f->k);
    uint32_t voters = f->partition->voters;
    uint8_t promised = sherd_slots_count(f->answers.heard & voters);
    uint8_t failed = sherd_slots_count(f->failed & voters);

    if (failed > quorum.n - quorum.q) {
        end(f, SHERD_FINISHER_AGAIN);
        return;
    }
    if (promised < quorum.q) return;
    sherd_choose(f->partition, f->k, &f->answers, env->wall_ms, &f->choice);
    switch (f->choice.verdict) {
    case SHERD_CHOICE_COMPLETE:
        end(f, f->choice.above ? SHERD_FINISHER_PROPOSE : SHERD_FINISHER_CLEAN);
        break;
    case SHERD_CHOICE_POSSIBLE: end(f, SHERD_FINISHER_PROPOSE); break;
    case SHERD_CHOICE_LOST: end(f, SHERD_FINISHER_LOST); break;
    case SHERD_CHOICE_WAIT:
        if (promised + failed == quorum.n) end(f, SHERD_FINISHER_AGAIN);
        break;
    }
}

void sherd_finisher_answer(struct sherd_finisher *f, uint8_t slot, const struct sherd_answer *a,
                           const struct sherd_env *env)
{
    uint32_t bit = sherd_slot(slot) & sherd_partition_holders(f->partition);

    if (f->verdict != SHERD_FINISHER_RUNNING || bit == 0 || ((f->answered | f->failed) & bit))
        return;
    if (a->kind == SHERD_PROMISED) {
        f->answered |= bit;
        sherd_answers_add(&f->answers, slot, a->entries, a->entry_count);
    } else {
        f->failed |= bit;
        if (a->kind == SHERD_NACK) f->max = sherd_ballot_max(f->max, a->max);
        if (a->kind == SHERD_STALE && a->epoch > f->partition->epoch) {
            end(f, SHERD_FINISHER_STALE);
            return;
        }
    }
    look(f, env);
}

void sherd_finisher_gone(struct sherd_finisher *f, uint32_t slots, const struct sherd_env *env)
{
    uint32_t bits = slots & sherd_partition_holders(f->partition) & ~f->answered;

    if (f->verdict != SHERD_FINISHER_RUNNING || bits == 0) return;
    f->failed |= bits;
    look(f, env);
}

void sherd_finisher_timer(struct sherd_finisher *f, const struct sherd_env *env)
{
    if (f->verdict != SHERD_FINISHER_RUNNING || env->now_us < f->due_us) return;
    end(f, SHERD_FINISHER_AGAIN);
}
