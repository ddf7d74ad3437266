#include "coord/choose.h"

#include <string.h>

#include "coord/assert.h"

void sherd_answers_reset(struct sherd_answers *a)
{
    a->heard = 0;
    a->count = 0;
    a->overflow = false;
}

/* The place of `ballot`, made if there is none; NULL when it is lower than all that fit. */
static struct sherd_seen *place_of(struct sherd_answers *a, const struct sherd_entry *e)
{
    uint8_t at = 0;

    while (at < a->count && sherd_ballot_compare(a->seen[at].ballot, e->ballot) > 0)
        at++;
    if (at < a->count && sherd_ballot_equal(a->seen[at].ballot, e->ballot)) return &a->seen[at];

    if (a->count == SHERD_SEEN_MAX) {
        a->overflow = true;
        if (at == SHERD_SEEN_MAX) return NULL;
        a->count--; /* the lowest makes room */
    }
    memmove(&a->seen[at + 1], &a->seen[at], (size_t)(a->count - at) * sizeof(a->seen[0]));
    a->count++;
    a->seen[at] = (struct sherd_seen){.ballot = e->ballot, .version = e->version, .meta = e->meta};
    return &a->seen[at];
}

void sherd_answers_add(struct sherd_answers *a, uint8_t slot, const struct sherd_entry *entries,
                       uint8_t count)
{
    uint32_t bit = sherd_slot(slot);

    a->heard |= bit;
    for (uint8_t i = 0; i < count; i++) {
        struct sherd_seen *seen = place_of(a, &entries[i]);
        if (!seen) continue;
        seen->holds |= bit;
        if (entries[i].committed) seen->committed |= bit;
        if (!entries[i].has_shard) {
            /* It was found broken when it was sent; a piece that is at hand stays good. */
            if (!(seen->pieces & bit)) seen->shards &= ~bit;
            continue;
        }
        seen->shards |= bit;
        if (entries[i].shard.data) seen->pieces |= bit;
    }
}

/* Slots that answered and have not lost their memory since they voted in `x`. */
static uint32_t heard_of(const struct sherd_partition *p, const struct sherd_answers *a,
                         const struct sherd_epoch *x)
{
    uint32_t same = 0;

    for (uint32_t rest = a->heard & x->voters; rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        if (x->incarnation[slot] == p->incarnation[slot]) same |= sherd_slot(slot);
    }
    return same;
}

/* Enough of every open epoch from `since` on to have met each complete write; older ones cannot
 * overtake it (PROTOCOL 7.4). */
static bool is_fresh(const struct sherd_partition *p, uint8_t k, const struct sherd_answers *a,
                     uint32_t since)
{
    for (uint32_t i = 0; i < p->open_count; i++) {
        const struct sherd_epoch *x = &p->open[i];
        struct sherd_quorum quorum = sherd_quorum_of(sherd_slots_count(x->voters), k);
        uint8_t need = x->epoch == p->epoch ? quorum.r : (uint8_t)(quorum.n - quorum.q + 1);

        if (x->epoch >= since && sherd_slots_count(heard_of(p, a, x)) < need) return false;
    }
    return true;
}

static const struct sherd_epoch *epoch_of(const struct sherd_partition *p, uint32_t epoch)
{
    for (uint32_t i = p->open_count; i-- > 0;)
        if (p->open[i].epoch == epoch) return &p->open[i];
    return NULL;
}

/* Shards of one version count together, whatever ballot carried them to a node. */
static void count_shards(const struct sherd_answers *a, struct sherd_choice *choice)
{
    for (uint8_t i = 0; i < a->count; i++) {
        if (!sherd_ballot_equal(a->seen[i].version, choice->seen->version)) continue;
        choice->shards |= a->seen[i].shards;
        choice->pieces |= a->seen[i].pieces;
    }
}

/* Slots that may have held this ballot, and hold only what stands for it: an older entry of its
 * version, and a newer one that is a RUN. They count as if they had not been heard. */
static uint32_t maybe_held(const struct sherd_answers *a, const struct sherd_seen *seen)
{
    uint32_t above = 0;
    uint32_t below = a->overflow ? UINT32_MAX : 0; /* the lowest ballots were forgotten */

    for (const struct sherd_seen *o = a->seen; o < a->seen + a->count; o++) {
        if (!sherd_ballot_equal(o->version, seen->version)) continue;
        if (o < seen && (o->meta.flags & SHERD_META_RUN)) above |= o->holds;
        if (o > seen) below |= o->holds;
    }
    return above & below & ~seen->holds;
}

/* How close one ballot came to its quorum. */
enum standing { SKIP, UNCLEAR, POSSIBLE, COMPLETE };

static enum standing standing_of(const struct sherd_partition *p, uint8_t k,
                                 const struct sherd_answers *a, const struct sherd_seen *seen)
{
    const struct sherd_epoch *x = epoch_of(p, seen->ballot.epoch);
    struct sherd_quorum quorum;
    uint32_t heard;
    uint8_t need, count, unknown;

    if (seen->committed != 0) return is_fresh(p, k, a, seen->ballot.epoch) ? COMPLETE : UNCLEAR;
    /* From before the last clean epoch: the scan left nothing possible behind. */
    if (!x) return seen->ballot.epoch > p->epoch ? UNCLEAR : SKIP;

    quorum = sherd_quorum_of(sherd_slots_count(x->voters), k);
    heard = heard_of(p, a, x);
    need = seen->meta.flags & SHERD_META_CONDITIONAL ? quorum.f : quorum.q;
    count = sherd_slots_count(seen->holds & heard);
    unknown = (uint8_t)(quorum.n - sherd_slots_count(heard & ~maybe_held(a, seen)));
    if (count + unknown < need) return SKIP;
    if (!is_fresh(p, k, a, seen->ballot.epoch)) return UNCLEAR;
    if (count >= need) return COMPLETE;
    /* An unconditional write may be complete where nobody hears: it cannot be told whether this
     * one was overtaken (PROTOCOL 4). */
    if ((seen->meta.flags & SHERD_META_CONDITIONAL) && quorum.n - quorum.q + unknown >= need)
        return UNCLEAR;
    return POSSIBLE;
}

void sherd_choose(const struct sherd_partition *p, uint8_t k, const struct sherd_answers *a,
                  uint64_t wall_ms, struct sherd_choice *out)
{
    enum sherd_verdict unclear =
        (p->voters & ~a->heard) != 0 ? SHERD_CHOICE_WAIT : SHERD_CHOICE_LOST;

    *out = (struct sherd_choice){.verdict = unclear};
    if (!is_fresh(p, k, a, p->epoch)) return;

    for (uint8_t i = 0; i < a->count; i++) {
        const struct sherd_seen *seen = &a->seen[i];
        enum standing standing = standing_of(p, k, a, seen);

        if (standing == SKIP) {
            out->above = true;
            continue;
        }
        out->seen = seen;
        count_shards(a, out);
        if (standing == UNCLEAR) return;
        if (sherd_slots_count(out->shards) < k && !sherd_meta_is_empty(&seen->meta, wall_ms))
            return; /* not yet, or never again, rebuildable */
        out->verdict = standing == COMPLETE ? SHERD_CHOICE_COMPLETE : SHERD_CHOICE_POSSIBLE;
        while (standing != COMPLETE && ++i < a->count)
            standing = standing_of(p, k, a, &a->seen[i]);
        if (standing == COMPLETE) out->settled = &a->seen[i];
        return;
    }
    out->seen = NULL;
    if (a->overflow) /* what was forgotten may be the answer: this is no loss */
        out->verdict = SHERD_CHOICE_WAIT;
    else if (is_fresh(p, k, a, 0))
        out->verdict = SHERD_CHOICE_COMPLETE;
}
