#include "coord/participant.h"

#include <string.h>

#include "coord/assert.h"

/* One step in progress: everything that the branches share. */
struct step {
    const struct sherd_participant_env *env;
    const struct sherd_request *r;
    struct sherd_record *record;
    struct sherd_change *change;
    struct sherd_answer *answer;
};

struct sherd_ballot sherd_record_promised(const struct sherd_record *r, struct sherd_ballot floor)
{
    return sherd_ballot_max(r->promised, floor);
}

struct sherd_ballot sherd_record_refused(const struct sherd_record *r, struct sherd_ballot floor)
{
    return sherd_ballot_max(r->refused, floor);
}

bool sherd_record_is_settled(const struct sherd_record *r)
{
    return r->count == 1 && r->entries[0].committed &&
           sherd_ballot_equal(r->entries[0].ballot, r->entries[0].version) &&
           sherd_ballot_is_zero(r->promised) && sherd_ballot_is_zero(r->refused);
}

static struct sherd_entry *highest(const struct step *s)
{
    return s->record->count ? &s->record->entries[s->record->count - 1] : NULL;
}

static struct sherd_entry *find(const struct step *s, struct sherd_ballot b)
{
    for (uint8_t i = 0; i < s->record->count; i++)
        if (sherd_ballot_equal(s->record->entries[i].ballot, b)) return &s->record->entries[i];
    return NULL;
}

static struct sherd_ballot newest_committed(const struct step *s)
{
    for (uint8_t i = s->record->count; i-- > 0;)
        if (s->record->entries[i].committed) return s->record->entries[i].ballot;
    return SHERD_BALLOT_ZERO;
}

/* max(highest, refused): a PREPARE or PROMISE at or below it comes too late. */
static struct sherd_ballot passed(const struct step *s)
{
    struct sherd_ballot refused = sherd_record_refused(s->record, s->env->floor);

    return s->record->count ? sherd_ballot_max(refused, highest(s)->ballot) : refused;
}

static void nack(struct step *s, enum sherd_reason reason)
{
    s->answer->kind = SHERD_NACK;
    s->answer->reason = (uint8_t)reason;
    s->answer->max = sherd_ballot_max(passed(s), sherd_record_promised(s->record, s->env->floor));
}

/* A NACK that is not about the ballot itself must stay true: the node will never hold it. */
static void nack_for_good(struct step *s, enum sherd_reason reason)
{
    s->record->refused = sherd_ballot_max(s->record->refused, s->r->ballot);
    s->change->bounds = true;
    nack(s, reason);
}

static bool comes_too_late(const struct step *s)
{
    return sherd_ballot_compare(s->r->ballot, sherd_record_promised(s->record, s->env->floor)) <
               0 ||
           sherd_ballot_compare(s->r->ballot, passed(s)) <= 0;
}

static uint8_t undecided_count(const struct step *s)
{
    uint8_t count = 0;

    for (uint8_t i = 0; i < s->record->count; i++)
        count = (uint8_t)(count + !s->record->entries[i].committed);
    return count;
}

/* What finishes others' attempts makes room in the end, so it may pass the limit that they reached.
 */
static bool is_crowded(const struct step *s)
{
    bool finishes = (s->r->flags & SHERD_ONE_SHOT) != 0;

    if (finishes) return s->record->count >= SHERD_ENTRIES_MAX;
    return s->record->count >= SHERD_ENTRIES_MAX - 1 || undecided_count(s) >= SHERD_UNDECIDED_MAX;
}

/* Whether nothing newer is here than the version that a conditional PREPARE expects. A tombstone is
 * expected by its own version, too: two of them are not the same, and an undecided one may yet turn
 * out to be dead. Who lacks that version may accept: what matters is that no other write came in
 * between. A tombstone that was forgotten may have, where nothing is held and the version is not
 * above the floor; tombstones are forgotten in clean epochs alone, in which all voters hold all. */
static bool meets_expect(const struct step *s)
{
    const struct sherd_entry *e = highest(s);

    if (!e)
        return sherd_ballot_is_zero(s->r->expect) || !s->env->clean ||
               sherd_ballot_compare(s->r->expect, s->env->floor) > 0;
    return sherd_ballot_equal(e->version, s->r->expect) ||
           sherd_ballot_compare(e->ballot, s->r->expect) < 0;
}

static struct sherd_entry entry_of_request(const struct sherd_request *r)
{
    bool empty = (r->meta.flags & (SHERD_META_TOMBSTONE | SHERD_META_LOST)) != 0;

    return (struct sherd_entry){
        .ballot = r->ballot,
        .version = r->version,
        .meta = r->meta,
        .has_shard = !empty,
        .crc = r->crc,
        .shard = r->shard,
    };
}

/* Adds the request's entry at its place in the order. */
static struct sherd_entry *put(struct step *s)
{
    struct sherd_record *record = s->record;
    uint8_t at = record->count;

    SHERD_ASSERT(record->count < SHERD_ENTRIES_MAX);
    while (at > 0 && sherd_ballot_compare(record->entries[at - 1].ballot, s->r->ballot) > 0)
        at--;
    memmove(&record->entries[at + 1], &record->entries[at],
            (size_t)(record->count - at) * sizeof(record->entries[0]));
    record->entries[at] = entry_of_request(s->r);
    record->count++;
    s->change->put = true;
    return &record->entries[at];
}

static void drop_if(struct step *s, bool (*test)(const struct step *, const struct sherd_entry *))
{
    uint8_t kept = 0;

    for (uint8_t i = 0; i < s->record->count; i++) {
        if (test(s, &s->record->entries[i]))
            s->change->dropped |= (uint16_t)(1u << i);
        else
            s->record->entries[kept++] = s->record->entries[i];
    }
    s->record->count = kept;
}

static bool is_below(const struct step *s, const struct sherd_entry *e)
{
    return sherd_ballot_compare(e->ballot, s->r->ballot) < 0;
}

static bool is_ballot(const struct step *s, const struct sherd_entry *e)
{
    return sherd_ballot_equal(e->ballot, s->r->ballot);
}

/* Whether an older entry of the request's version lies below `e`. */
static bool is_within_run(const struct step *s, const struct sherd_entry *e)
{
    const struct sherd_record *record = s->record;

    if (!sherd_ballot_equal(e->version, s->r->version)) return false;
    for (const struct sherd_entry *o = record->entries; o < record->entries + record->count; o++)
        if (sherd_ballot_equal(o->version, e->version) &&
            sherd_ballot_compare(o->ballot, e->ballot) < 0)
            return true;
    return false;
}

/* What a Finish's own proposal makes superfluous here: what lies above the ballot that it chose (q
 * nodes promised, and it was not among what may be complete), and what its RUN stands for. */
static bool is_spare(const struct step *s, const struct sherd_entry *e)
{
    if (e->committed || !is_below(s, e)) return false;
    if ((s->r->meta.flags & SHERD_META_RUN) && is_within_run(s, e)) return true;
    return !(e->meta.flags & SHERD_META_RUN) && sherd_ballot_compare(e->ballot, s->r->expect) > 0;
}

static void on_prepare(struct step *s)
{
    const struct sherd_entry *have = find(s, s->r->ballot);

    s->answer->kind = SHERD_ACK;
    if (have) {
        if (!sherd_ballot_equal(have->version, s->r->version) ||
            have->meta.checksum != s->r->meta.checksum)
            nack(s, SHERD_REASON_DIFFERENT);
        return;
    }
    if (sherd_ballot_is_ahead(s->r->ballot, s->env->wall_ms)) {
        nack(s, SHERD_REASON_CLOCK); /* nothing stored, not even the refusal: nobody merges it */
        return;
    }
    if (comes_too_late(s)) {
        nack(s, SHERD_REASON_BALLOT);
        return;
    }
    bool finishes = (s->r->flags & SHERD_ONE_SHOT) != 0;
    bool has_expect = (s->r->flags & SHERD_WITH_EXPECT) != 0;
    if (finishes && has_expect && s->env->room) drop_if(s, is_spare); /* then there is a place */
    if (!finishes && has_expect && !meets_expect(s))
        nack_for_good(s, SHERD_REASON_VERSION);
    else if (is_crowded(s))
        nack_for_good(s, SHERD_REASON_UNDECIDED);
    else if (!s->env->room)
        nack(s, SHERD_REASON_FULL); /* no record either: there is no room for that */
    else
        put(s);
}

/* All entries; shards only of those that a reader may need (PROTOCOL 2: READ). */
static void show(struct step *s, bool with_shards, bool all_shards)
{
    struct sherd_ballot newest = newest_committed(s);

    s->answer->entry_count = s->record->count;
    for (uint8_t i = 0; i < s->record->count; i++) {
        struct sherd_entry *e = &s->answer->entries[i];
        *e = s->record->entries[i];
        if (!with_shards || !e->has_shard ||
            (!all_shards && sherd_ballot_compare(e->ballot, newest) < 0))
            e->shard = (struct sherd_bytes){NULL, 0};
    }
}

static void on_promise(struct step *s)
{
    if (sherd_ballot_is_ahead(s->r->ballot, s->env->wall_ms)) {
        nack(s, SHERD_REASON_CLOCK);
        return;
    }
    if (comes_too_late(s)) {
        nack(s, SHERD_REASON_BALLOT);
        return;
    }
    s->record->promised = s->r->ballot;
    s->change->bounds = true;
    s->answer->kind = SHERD_PROMISED;
    show(s, (s->r->flags & SHERD_WITH_SHARD) != 0, true);
}

uint16_t sherd_record_show(struct sherd_record *record)
{
    uint16_t shown = 0;

    for (uint8_t i = 0; i < record->count; i++) {
        if (record->entries[i].committed || record->entries[i].shown) continue;
        record->entries[i].shown = true;
        shown |= (uint16_t)(1u << i);
    }
    return shown;
}

static void on_read(struct step *s)
{
    s->answer->kind = SHERD_STATE;
    s->change->shown = sherd_record_show(s->record);
    show(s, (s->r->flags & SHERD_WITH_SHARD) != 0, false);
}

/* Drops bounds that say nothing beyond the floor and the entries (PROTOCOL 2). A refusal at or
 * below the highest entry is implied by it. A promise is not: an ABORT asks for it (`exposed`) long
 * after a newer write has covered the ballot that was promised, so it stays until the floor passes
 * it. */
bool sherd_record_tidy(struct sherd_record *record, struct sherd_ballot floor)
{
    struct sherd_ballot implied = floor;
    bool changed = false;

    if (record->count)
        implied = sherd_ballot_max(implied, record->entries[record->count - 1].ballot);
    if (!sherd_ballot_is_zero(record->promised) &&
        sherd_ballot_compare(record->promised, floor) <= 0) {
        record->promised = SHERD_BALLOT_ZERO;
        changed = true;
    }
    if (!sherd_ballot_is_zero(record->refused) &&
        sherd_ballot_compare(record->refused, implied) <= 0) {
        record->refused = SHERD_BALLOT_ZERO;
        changed = true;
    }
    return changed;
}

static void tidy_bounds(struct step *s)
{
    if (sherd_record_tidy(s->record, s->env->floor)) s->change->bounds = true;
}

static void on_commit(struct step *s)
{
    struct sherd_entry *e = find(s, s->r->ballot);

    s->answer->kind = SHERD_ACK;
    if (e && !e->committed) {
        s->change->committed = (uint16_t)(1u << (e - s->record->entries));
        e->committed = true;
    }
    /* Overtaken already: nothing of it is missed here. */
    if (!e && sherd_ballot_compare(s->r->ballot, newest_committed(s)) > 0)
        s->change->repair_me = true;
    if (e && s->r->acked != 0 && (s->env->holders & ~s->r->acked) != 0)
        s->change->repair_others = true;
    /* Who lacks b keeps what is below until it gets b: with neither, it would count against an
     * older value in a read that other nodes answered earlier. */
    if (e) drop_if(s, is_below);
    tidy_bounds(s);
}

/* Whether a reader may have found `b` complete here, or will: see participant.h. */
static bool may_have_been_read(const struct step *s, const struct sherd_entry *e,
                               struct sherd_ballot b)
{
    if (s->r->flags & SHERD_OUTVOTED) return false;
    return e ? e->shown : sherd_ballot_compare(b, newest_committed(s)) < 0;
}

static void on_abort(struct step *s)
{
    struct sherd_ballot b = s->r->ballot;
    struct sherd_entry *e = find(s, b);
    bool stays = e && (e->committed || (e->meta.flags & SHERD_META_RUN));
    bool exposed = stays || may_have_been_read(s, e, b) ||
                   sherd_ballot_compare(sherd_record_promised(s->record, s->env->floor), b) > 0;

    if (!e && sherd_ballot_is_ahead(b, s->env->wall_ms)) {
        nack(s, SHERD_REASON_CLOCK); /* kept, it would shut out every clock that is right */
        return;
    }
    s->answer->kind = SHERD_ABORTED;
    if (exposed) s->answer->flags |= SHERD_ANSWER_EXPOSED;
    if (sherd_ballot_compare(b, s->record->refused) > 0) {
        s->record->refused = b;
        s->change->bounds = true;
    }
    /* What never was complete is needed by nobody: whoever is finishing it has its shards already.
     */
    if (e && !stays && (!exposed || (s->r->flags & SHERD_OUTVOTED))) drop_if(s, is_ballot);
}

/* A tombstone goes when nothing else is held and nothing above the floor was said (PROTOCOL 8). */
static void on_forget(struct step *s)
{
    const struct sherd_record *record = s->record;
    const struct sherd_entry *e = highest(s);

    s->answer->kind = SHERD_ACK;
    if (!s->env->clean || record->count != 1 || !e->committed || e->has_shard ||
        !sherd_meta_is_absent(&e->meta, s->env->wall_ms) ||
        !sherd_ballot_equal(e->ballot, s->r->ballot))
        return;
    if (sherd_ballot_compare(e->ballot, s->env->floor) > 0 ||
        sherd_ballot_compare(record->promised, s->env->floor) > 0 ||
        sherd_ballot_compare(record->refused, s->env->floor) > 0)
        return;
    s->change->forget = true;
    s->change->dropped = 1;
    s->record->count = 0;
    s->record->promised = s->record->refused = SHERD_BALLOT_ZERO;
}

static bool is_up_to(const struct step *s, const struct sherd_entry *e)
{
    return sherd_ballot_compare(e->ballot, s->r->ballot) <= 0;
}

/* Puts what an INSERT brings in the place of what it makes obsolete: a broken copy of the same, and
 * everything below once it is known to be complete. */
static void replace(struct step *s, bool committed)
{
    bool (*goes)(const struct step *, const struct sherd_entry *) =
        committed ? is_up_to : is_ballot;
    uint8_t stay = 0;

    for (uint8_t i = 0; i < s->record->count; i++)
        stay = (uint8_t)(stay + !goes(s, &s->record->entries[i]));
    if (stay >= SHERD_ENTRIES_MAX) {
        nack(s, SHERD_REASON_UNDECIDED);
        return;
    }
    drop_if(s, goes);
    put(s)->committed = committed;
    s->change->put_committed = committed;
    if (committed) tidy_bounds(s);
}

/* A rebuilt shard goes in beneath newer undecided writes; what is older than a committed entry is
 * not needed. The floor does not matter: that this version stands is a fact, not a proposal. */
static void on_insert(struct step *s)
{
    struct sherd_entry *e = find(s, s->r->ballot);
    bool committed = (s->r->flags & SHERD_COMMITTED) != 0;

    if (sherd_ballot_is_ahead(s->r->ballot, s->env->wall_ms)) {
        nack(s, SHERD_REASON_CLOCK); /* nobody can have accepted it before */
        return;
    }
    s->answer->kind = SHERD_ACK;
    if (e && (e->has_shard || (s->r->meta.flags & (SHERD_META_TOMBSTONE | SHERD_META_LOST)))) {
        if (committed && !e->committed) on_commit(s);
        return;
    }
    if (!e && sherd_ballot_compare(s->r->ballot, newest_committed(s)) <= 0) return;
    if (!s->env->room)
        nack(s, SHERD_REASON_FULL);
    else
        replace(s, committed || (e && e->committed));
}

/* Ballots are made in the epoch they are sent in, and nobody knows one of an epoch to come: kept,
 * it would stand above all that can be finished. */
static bool is_possible(const struct sherd_request *r)
{
    bool proposes = r->kind == SHERD_PREPARE || r->kind == SHERD_PROMISE;
    bool has_version = r->kind == SHERD_PREPARE || r->kind == SHERD_INSERT;

    if (r->kind == SHERD_READ) return true;
    if (has_version && sherd_ballot_compare(r->version, r->ballot) > 0) return false;
    return proposes ? r->ballot.epoch == r->epoch : r->ballot.epoch <= r->epoch;
}

void sherd_participant_step(const struct sherd_participant_env *env, const struct sherd_request *r,
                            struct sherd_record *record, struct sherd_change *change,
                            struct sherd_answer *answer)
{
    struct step s = {env, r, record, change, answer};

    *change = (struct sherd_change){0};
    answer->flags = env->voter ? SHERD_ANSWER_VOTE : 0;
    answer->reason = SHERD_REASON_NONE;
    answer->entry_count = 0;
    answer->max = SHERD_BALLOT_ZERO;
    answer->body = (struct sherd_bytes){NULL, 0};

    if (!is_possible(r)) {
        nack(&s, SHERD_REASON_BAD);
        return;
    }
    switch (r->kind) {
    case SHERD_PREPARE: on_prepare(&s); break;
    case SHERD_PROMISE: on_promise(&s); break;
    case SHERD_READ: on_read(&s); break;
    case SHERD_COMMIT: on_commit(&s); break;
    case SHERD_ABORT: on_abort(&s); break;
    case SHERD_FORGET: on_forget(&s); break;
    case SHERD_INSERT: on_insert(&s); break;
    default: nack(&s, SHERD_REASON_BAD); break;
    }
}
