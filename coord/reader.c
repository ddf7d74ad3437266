#include "coord/reader.h"

enum {
    GIVE_UP_US = 500000,      /* a request or its answer may be lost: ask all again */
    ALL_PATIENCE_US = 300000, /* ask_all: how long to wait for the last */
    GRACE_US = 10000,         /* POSSIBLE: for slots that were asked and are silent */
};

/* Slots of the set in the order of preference: reachable data, reachable parity, the rest. */
static uint32_t pick(const struct sherd_reader *r, uint32_t from, uint8_t count, uint32_t reachable)
{
    uint32_t data = sherd_slots_below(r->k);
    uint32_t classes[] = {from & reachable & data, from & reachable & ~data, from & ~reachable};
    uint32_t picked = 0;

    for (unsigned i = 0; i < 3; i++)
        for (uint32_t rest = classes[i]; rest != 0 && count > 0; rest &= rest - 1, count--)
            picked |= sherd_slot(sherd_slots_first(rest));
    return picked;
}

static void ask(struct sherd_reader *r, uint32_t slots, uint32_t shards, struct sherd_effects *out)
{
    r->asked |= slots;
    r->wanted |= shards & slots;
    r->answered &= ~slots;
    sherd_effects_send(out, SHERD_READ, slots, shards & slots);
}

static uint32_t holders(const struct sherd_reader *r)
{
    return sherd_partition_holders(r->partition);
}

void sherd_reader_start(struct sherd_reader *r, const struct sherd_env *env,
                        struct sherd_effects *out)
{
    struct sherd_quorum quorum = sherd_partition_quorum(r->partition, r->k);
    uint32_t shards = r->want_value ? pick(r, r->partition->voters, r->k, env->reachable) : 0;
    uint8_t more = (uint8_t)(quorum.r - sherd_slots_count(shards));
    uint32_t others = pick(r, r->partition->voters & ~shards, more, env->reachable);

    if (r->ask_all) others = holders(r) & ~shards;
    r->verdict = SHERD_READER_RUNNING;
    r->asked = r->wanted = r->again = r->answered = r->failed = r->stale = 0;
    sherd_answers_reset(&r->answers);
    r->give_up_us = env->now_us + (r->ask_all ? ALL_PATIENCE_US : GIVE_UP_US);
    r->due_us = env->now_us + env->hedge_us;
    if (r->due_us > r->give_up_us) r->due_us = r->give_up_us;
    ask(r, shards | others, shards, out);
}

static void end(struct sherd_reader *r, enum sherd_reader_verdict verdict)
{
    r->verdict = verdict;
    r->due_us = UINT64_MAX;
}

static bool has_pieces(const struct sherd_reader *r, const struct sherd_env *env)
{
    const struct sherd_seen *seen = r->choice.seen;

    return !r->want_value || !seen || sherd_meta_is_empty(&seen->meta, env->wall_ms) ||
           sherd_slots_count(r->choice.pieces) >= r->k;
}

/* The chosen value is complete, but fewer than k shards are at hand: ask holders for the rest. Who
 * was asked for a shard twice and gave none is not asked a third time in this round: that would go
 * on as fast as the node can answer. */
static bool ask_for_shards(struct sherd_reader *r, const struct sherd_env *env,
                           struct sherd_effects *out)
{
    uint32_t at_hand = r->choice.pieces;
    uint32_t pending = r->wanted & ~r->answered & ~r->failed;
    uint32_t from = (r->choice.shards | (holders(r) & ~r->asked)) & ~at_hand & ~pending &
                    ~r->failed & ~r->again;
    uint8_t have = (uint8_t)(sherd_slots_count(at_hand) + sherd_slots_count(pending));
    uint32_t more;

    if (have >= r->k) return true;
    more = pick(r, from, (uint8_t)(r->k - have), env->reachable);
    if (more == 0) return pending != 0;
    r->again |= more & r->wanted;
    ask(r, more, more, out);
    return true;
}

/* Everybody is asked who was not yet: with shards, since somebody will need them. */
static bool ask_the_rest(struct sherd_reader *r, struct sherd_effects *out)
{
    uint32_t rest = holders(r) & ~r->asked;

    if (rest == 0) return false;
    ask(r, rest, r->want_value ? rest : 0, out);
    return true;
}

static bool all_answered(const struct sherd_reader *r)
{
    return (r->asked & ~r->answered & ~r->failed) == 0;
}

/* Fewer answers than a read quorum cannot say more than "wait"; those that are on their way may:
 * whoever was asked, did not fail and was not heard has not answered yet. */
static bool is_quorum_coming(const struct sherd_reader *r)
{
    uint32_t voters = r->partition->voters;
    uint8_t need = sherd_partition_quorum(r->partition, r->k).r;

    return sherd_slots_count(r->answers.heard & voters) < need &&
           sherd_slots_count(r->asked & ~r->failed & voters) >= need;
}

/* Looks at what the answers say, and asks for more where they do not say enough. */
static void look(struct sherd_reader *r, const struct sherd_env *env, struct sherd_effects *out)
{
    sherd_choose(r->partition, r->k, &r->answers, env->wall_ms, &r->choice);
    if (r->ask_all && !all_answered(r) && env->now_us < r->give_up_us) return;

    if (r->choice.verdict == SHERD_CHOICE_COMPLETE) {
        if (has_pieces(r, env)) {
            end(r, SHERD_READER_COMPLETE);
            return;
        }
        if (ask_for_shards(r, env, out) || !all_answered(r)) return;
        end(r, SHERD_READER_AGAIN); /* a newer write is in flight */
        return;
    }
    if (is_quorum_coming(r) || ask_the_rest(r, out)) return;
    if (!all_answered(r) && r->choice.verdict == SHERD_CHOICE_POSSIBLE &&
        r->due_us > env->now_us + GRACE_US)
        r->due_us = env->now_us + GRACE_US;
    if (!all_answered(r)) return;
    /* LOST is only certain from a PROMISE: nodes answered this at different times. */
    end(r, r->choice.verdict == SHERD_CHOICE_WAIT ? SHERD_READER_AGAIN : SHERD_READER_POSSIBLE);
}

void sherd_reader_answer(struct sherd_reader *r, uint8_t slot, const struct sherd_answer *a,
                         const struct sherd_env *env, struct sherd_effects *out)
{
    uint32_t bit = sherd_slot(slot) & r->asked;

    if (r->verdict != SHERD_READER_RUNNING || bit == 0) return;
    if (a->kind == SHERD_STATE) {
        r->answered |= bit;
        sherd_answers_add(&r->answers, slot, a->entries, a->entry_count);
    } else {
        r->failed |= bit;
        if (a->kind == SHERD_STALE && a->epoch > r->partition->epoch) {
            r->stale |= bit;
            end(r, SHERD_READER_STALE);
            return;
        }
    }
    look(r, env, out);
}

void sherd_reader_gone(struct sherd_reader *r, uint32_t slots, const struct sherd_env *env,
                       struct sherd_effects *out)
{
    uint32_t bits = slots & r->asked & ~r->answered;

    if (r->verdict != SHERD_READER_RUNNING || bits == 0) return;
    r->failed |= bits;
    look(r, env, out);
}

void sherd_reader_timer(struct sherd_reader *r, const struct sherd_env *env,
                        struct sherd_effects *out)
{
    uint32_t more;

    if (r->verdict != SHERD_READER_RUNNING || env->now_us < r->due_us) return;
    sherd_choose(r->partition, r->k, &r->answers, env->wall_ms, &r->choice);
    if (env->now_us >= r->give_up_us ||
        (r->choice.verdict == SHERD_CHOICE_POSSIBLE && (holders(r) & ~r->asked) == 0)) {
        bool complete = r->choice.verdict == SHERD_CHOICE_COMPLETE && has_pieces(r, env);
        end(r, complete                                     ? SHERD_READER_COMPLETE
               : r->choice.verdict == SHERD_CHOICE_POSSIBLE ? SHERD_READER_POSSIBLE
                                                            : SHERD_READER_AGAIN);
        return;
    }
    /* Hedge: one more slot, with its shard (PROTOCOL 4). */
    more = pick(r, holders(r) & ~r->asked, 1, env->reachable);
    if (more != 0) ask(r, more, r->want_value ? more : 0, out);
    r->due_us = more != 0 ? env->now_us + env->hedge_us : r->give_up_us;
    if (r->due_us > r->give_up_us) r->due_us = r->give_up_us;
}
