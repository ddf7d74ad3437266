#include "server/compare.h"

enum {
    RANGE_EVERY_MS = 50,
    AGAIN_MS = 1000,
    TRIES = 4,       /* of a range that differs, before the partition is looked through */
    REST_MS = 30000, /* after a round over all partitions */
    ASK_TIMEOUT_MS = 2000,
};

/* What the answers that arrive are to. */
enum { NOBODY_ASKED, OWN_ASKED, ALL_ASKED };

void sherd_compare_init(struct sherd_compare *c, bool on)
{
    *c = (struct sherd_compare){.on = on};
    for (unsigned i = 0; i < SHERD_SLOTS_MAX; i++)
        c->asked[i].owner = c;
}

static void on_digest(void *context, const struct sherd_answer *answer)
{
    struct sherd_compare_asked *a = context;
    uint8_t slot = (uint8_t)(a - a->owner->asked);

    a->arrived =
        answer && answer->kind == SHERD_PAGE && sherd_digest_decode(answer->body, &a->digest);
    a->owner->waiting &= ~sherd_slot(slot);
}

/* Asks one voter; `last`: NULL, as far as its answer goes. */
static void ask(struct sherd_compare *c, const struct sherd_partition *p, uint8_t slot,
                const uint64_t *last, const struct sherd_turn *t)
{
    uint8_t body[sizeof(*last)];
    struct sherd_request r = {.kind = SHERD_LIST,
                              .what = SHERD_LIST_DIGEST,
                              .slot = slot,
                              .epoch = c->epoch,
                              .partition = c->partition,
                              .since = c->from,
                              .shard_frame = -1};

    if (last) {
        sherd_bytes_put_u64(body, *last);
        r.body = (struct sherd_bytes){body, sizeof(body)};
    }
    c->asked[slot].arrived = false;
    if (sherd_engine_call(t->engine, p->node[slot], &r, ASK_TIMEOUT_MS, on_digest,
                          &c->asked[slot]) == 0)
        c->waiting |= sherd_slot(slot);
}

static void next_partition(struct sherd_compare *c, const struct sherd_sealed *sealed,
                           const struct sherd_turn *t)
{
    c->from = 0;
    c->tries = 0;
    c->due_ms = t->now_ms;
    if (++c->partition < sealed->map->partition_count) return;
    c->partition = 0;
    c->due_ms = t->now_ms + REST_MS;
}

/* Whether this node is the one to compare the partition, and can. */
static bool is_mine(const struct sherd_compare *c, const struct sherd_sealed *sealed,
                    const struct sherd_turn *t)
{
    const struct sherd_partition *p = &sealed->map->partitions[c->partition];
    int slot = sherd_sealed_own_slot(sealed, c->partition);

    return slot >= 0 && sherd_slots_first(p->voters) == slot &&
           sherd_sealed_is_open(sealed, c->partition) && sherd_partition_is_clean(p) &&
           sherd_turn_hears(t, p, p->voters);
}

static bool all_arrived(const struct sherd_compare *c)
{
    for (uint32_t rest = c->voters; rest != 0; rest &= rest - 1)
        if (!c->asked[sherd_slots_first(rest)].arrived) return false;
    return true;
}

static bool all_alike(const struct sherd_compare *c)
{
    const struct sherd_digest *own = &c->asked[c->own].digest;

    for (uint32_t rest = c->voters; rest != 0; rest &= rest - 1) {
        const struct sherd_digest *d = &c->asked[sherd_slots_first(rest)].digest;
        if (d->last != own->last || d->count != own->count || d->sum != own->sum) return false;
    }
    return true;
}

/* Not all answered, or not all alike: again, and in the end no more. */
static void try_again(struct sherd_compare *c, const struct sherd_sealed *sealed,
                      const struct sherd_turn *t, bool differs)
{
    c->due_ms = t->now_ms + AGAIN_MS;
    if (++c->tries < TRIES) return;
    if (differs) {
        atomic_fetch_add(&t->progress->differed, 1);
        atomic_fetch_or(&t->progress->rescan_asked[c->partition / 64], UINT64_C(1)
                                                                           << (c->partition % 64));
    }
    next_partition(c, sealed, t);
}

static void judge(struct sherd_compare *c, const struct sherd_sealed *sealed,
                  const struct sherd_turn *t)
{
    uint64_t last = c->asked[c->own].digest.last;

    if (!all_arrived(c)) {
        try_again(c, sealed, t, false);
        return;
    }
    atomic_fetch_add(&t->progress->compared, 1);
    if (!all_alike(c)) {
        try_again(c, sealed, t, true);
        return;
    }
    c->tries = 0;
    c->due_ms = t->now_ms + RANGE_EVERY_MS;
    c->from = last + 1;
    if (last == UINT64_MAX) next_partition(c, sealed, t);
}

/* First the own node, which says how far the range goes, then all of them, it once more: what it
 * said is older than what the others will say. */
void sherd_compare_turn(struct sherd_compare *c, const struct sherd_sealed *sealed,
                        const struct sherd_turn *t)
{
    if (!c->on || !sealed->map || c->waiting != 0 || t->now_ms < c->due_ms) return;
    if (c->partition >= sealed->map->partition_count) c->partition = 0;

    const struct sherd_partition *p = &sealed->map->partitions[c->partition];
    uint8_t state = c->epoch == p->epoch ? c->state : NOBODY_ASKED;

    c->state = NOBODY_ASKED;
    if (!is_mine(c, sealed, t)) {
        next_partition(c, sealed, t);
    } else if (state == NOBODY_ASKED) {
        c->epoch = p->epoch;
        c->voters = p->voters;
        c->own = sherd_slots_first(p->voters);
        ask(c, p, c->own, NULL, t);
        c->state = OWN_ASKED;
    } else if (state == ALL_ASKED) {
        judge(c, sealed, t);
    } else if (!c->asked[c->own].arrived) {
        try_again(c, sealed, t, false);
    } else {
        uint64_t last = c->asked[c->own].digest.last;
        for (uint32_t rest = c->voters; rest != 0; rest &= rest - 1)
            ask(c, p, sherd_slots_first(rest), &last, t);
        c->state = ALL_ASKED;
    }
}
