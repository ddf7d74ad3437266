#include "server/pass.h"

#include <string.h>

#include "coord/assert.h"

enum {
    KEYS_A_TURN = 512,
    INSERT_BYTES_MAX = 8 << 20, /* in flight, of one pass */
    REPAIRING_MAX = 32,
    PAGE_TIMEOUT_MS = 2000,
    INSERT_TIMEOUT_MS = 5000,
    YOUNG_MS = 1000,
};

/* Start and end */

int sherd_pass_start(struct sherd_pass *pass, enum sherd_pass_kind kind, uint16_t partition,
                     uint64_t since, const struct sherd_sealed *sealed, const struct sherd_turn *t)
{
    struct sherd_listing_options options = {.partition = partition,
                                            .since = since,
                                            .with_shards = kind == SHERD_PASS_REBUILD,
                                            .timeout_ms = PAGE_TIMEOUT_MS};
    struct sherd_pass_tools *tools = pass->tools;
    int slot = sherd_sealed_own_slot(sealed, partition), rc;

    SHERD_ASSERT(slot >= 0 && slot < SHERD_SLOTS_MAX);
    memset(pass, 0, sizeof(*pass));
    pass->tools = tools;
    pass->kind = kind;
    pass->partition = partition;
    pass->slot = (uint8_t)slot;
    pass->epoch = sealed->map->partitions[partition].epoch;
    for (unsigned i = 0; i < SHERD_PASS_INSERTS_MAX; i++) {
        pass->inserts[i] = (struct sherd_pass_insert){pass, pass->free_insert, 0};
        pass->free_insert = &pass->inserts[i];
    }
    rc = sherd_listing_open(t->engine, &options, &pass->listing);
    if (rc == 0) pass->state = SHERD_PASS_RUNNING;
    return rc;
}

void sherd_pass_reset(struct sherd_pass *pass)
{
    sherd_pass_fini(pass);
    pass->state = SHERD_PASS_IDLE;
}

void sherd_pass_fini(struct sherd_pass *pass)
{
    sherd_listing_close(pass->listing);
    pass->listing = NULL;
}

/* Inserts of own shards */

static void on_inserted(void *context, const struct sherd_answer *answer)
{
    struct sherd_pass_insert *insert = context;
    struct sherd_pass *pass = insert->pass;

    pass->inserting--;
    pass->insert_bytes -= insert->size;
    if (answer && answer->kind == SHERD_ACK) {
        pass->made++;
        pass->bytes += insert->size;
    } else {
        pass->unresolved++;
    }
    insert->next_free = pass->free_insert;
    pass->free_insert = insert;
}

static void insert_own(struct sherd_pass *pass, const struct sherd_seen *seen,
                       struct sherd_bytes shard)
{
    const struct sherd_turn *t = pass->turn;
    struct sherd_pass_insert *insert = pass->free_insert;
    struct sherd_request r = {
        .kind = SHERD_INSERT,
        .flags = SHERD_COMMITTED | SHERD_FROM_RESERVE,
        .slot = pass->slot,
        .epoch = pass->epoch,
        .partition = pass->partition,
        .key_hash = pass->listed.key_hash,
        .key = pass->listed.key,
        .ballot = seen->ballot,
        .version = seen->version,
        .meta = seen->meta,
        .crc = shard.data ? sherd_crc32c(shard.data, shard.size) : 0,
        .shard = shard,
        .shard_frame = -1,
    };

    insert->size = shard.size;
    if (sherd_engine_call(t->engine, t->self, &r, INSERT_TIMEOUT_MS, on_inserted, insert) < 0) {
        pass->unresolved++;
        return;
    }
    pass->free_insert = insert->next_free;
    pass->inserting++;
    pass->insert_bytes += shard.size;
    sherd_rate_take(&pass->tools->rate, shard.size);
}

/* Makes the own shard from k others of the same version. False: fewer than k are at hand. */
static bool rebuild_own(struct sherd_pass *pass, const struct sherd_seen *seen)
{
    const struct sherd_listed *listed = &pass->listed;
    const void *shards[SHERD_SLOTS_MAX] = {NULL};
    unsigned k = sherd_ecc_k(pass->tools->ecc), n = k + sherd_ecc_m(pass->tools->ecc), have = 0;
    size_t size = sherd_ecc_shard_size(k, seen->meta.size);

    for (unsigned i = 0; i < n && have < k; i++) {
        if (i == pass->slot || !listed->shards[i].data || listed->shards[i].size != size ||
            !sherd_ballot_equal(listed->shard_version[i], seen->version))
            continue;
        shards[i] = listed->shards[i].data;
        have++;
    }
    if (have < k) return false;
    if (sherd_ecc_rebuild(pass->tools->ecc, size, shards, pass->slot, pass->tools->shard) < 0)
        return false;
    insert_own(pass, seen, (struct sherd_bytes){pass->tools->shard, size});
    return true;
}

/* Repairs of what is in doubt */

static void on_repaired(void *context, struct sherd_bytes key, enum sherd_outcome outcome)
{
    struct sherd_pass *pass = context;

    (void)key;
    pass->repairing--;
    if (outcome != SHERD_OK && outcome != SHERD_NOT_FOUND)
        pass->unresolved++;
    else
        pass->made++;
}

static void repair(struct sherd_pass *pass)
{
    if (sherd_jobs_start(pass->turn->jobs, SHERD_OP_REPAIR, pass->listed.key, on_repaired, pass) ==
        0)
        pass->repairing++;
    else
        pass->unresolved++;
}

/* Keys */

static bool is_held_here(const struct sherd_pass *pass, const struct sherd_seen *seen,
                         uint64_t wall_ms)
{
    uint32_t holds = sherd_meta_is_empty(&seen->meta, wall_ms) ? seen->holds : seen->shards;

    return sherd_slots_has(holds, pass->slot);
}

static void give_own(struct sherd_pass *pass, const struct sherd_seen *seen)
{
    uint64_t wall_ms = pass->turn->wall_ms;

    if (is_held_here(pass, seen, wall_ms)) return;
    if (seen->meta.flags & (SHERD_META_TOMBSTONE | SHERD_META_LOST))
        insert_own(pass, seen, (struct sherd_bytes){NULL, 0});
    /* Of an expired value shards may be gone, and none is missed. */
    else if (!rebuild_own(pass, seen) && !sherd_meta_is_empty(&seen->meta, wall_ms))
        repair(pass);
}

static bool is_in_flight(const struct sherd_partition *p, const struct sherd_seen *seen)
{
    return seen->committed == 0 && seen->ballot.epoch == p->epoch;
}

/* Without what is undecided in this epoch: it goes to the learner too, and is its writer's affair,
 * or the sweep's. Interfering here would only disturb a writer. */
static void drop_in_flight(const struct sherd_partition *p, struct sherd_answers *a)
{
    uint8_t kept = 0;

    for (uint8_t i = 0; i < a->count; i++)
        if (!is_in_flight(p, &a->seen[i])) a->seen[kept++] = a->seen[i];
    a->count = kept;
}

/* What stands above a complete value does no harm: it is in flight, or from an older epoch in which
 * no votes are cast any more. */
static void rebuild_key(struct sherd_pass *pass, const struct sherd_partition *p)
{
    struct sherd_answers *answers = &pass->listed.answers;
    uint8_t k = (uint8_t)sherd_ecc_k(pass->tools->ecc);
    struct sherd_choice choice;

    sherd_choose(p, k, answers, pass->turn->wall_ms, &choice);
    if (choice.seen && is_in_flight(p, choice.seen)) {
        drop_in_flight(p, answers);
        sherd_choose(p, k, answers, pass->turn->wall_ms, &choice);
    }
    if (choice.verdict != SHERD_CHOICE_COMPLETE)
        repair(pass);
    else if (choice.seen)
        give_own(pass, choice.seen);
}

/* One committed by a live writer just now: the COMMITs, and what their masks call for, may still be
 * on their way. */
static bool is_young(const struct sherd_pass *pass, const struct sherd_seen *seen)
{
    return sherd_clock_wall_ms(seen->ballot.clock) + YOUNG_MS > pass->turn->wall_ms;
}

/* Committed and whole at all voters that answered. */
static bool is_even(const struct sherd_partition *p, const struct sherd_answers *a,
                    const struct sherd_seen *seen, uint64_t wall_ms)
{
    uint32_t all = p->voters & a->heard;

    return (all & ~seen->committed) == 0 &&
           (sherd_meta_is_empty(&seen->meta, wall_ms) || (all & ~seen->shards) == 0);
}

/* Whether the newest committed value is missing somewhere, or something undecided of an older epoch
 * stands above it. What is undecided in this epoch is left to its writer and the sweep. */
static bool needs_repair(const struct sherd_pass *pass, const struct sherd_partition *p)
{
    const struct sherd_answers *a = &pass->listed.answers;

    for (uint8_t i = 0; i < a->count; i++) {
        const struct sherd_seen *seen = &a->seen[i];
        bool is_old = seen->ballot.epoch < p->epoch;

        if (seen->committed != 0)
            return !is_even(p, a, seen, pass->turn->wall_ms) && (is_old || !is_young(pass, seen));
        if (is_old) return true;
    }
    return a->overflow;
}

static void take_key(struct sherd_pass *pass, const struct sherd_partition *p)
{
    pass->keys++;
    if (pass->kind == SHERD_PASS_REBUILD)
        rebuild_key(pass, p);
    else if (needs_repair(pass, p))
        repair(pass);
}

/* Whether what one key may need can be sent now. */
static bool has_room(const struct sherd_pass *pass)
{
    return pass->free_insert && pass->insert_bytes < INSERT_BYTES_MAX &&
           pass->repairing < REPAIRING_MAX && sherd_rate_allows(&pass->tools->rate);
}

static void end(struct sherd_pass *pass, bool failed)
{
    pass->ended = true;
    pass->failed = pass->failed || failed;
    pass->heard = sherd_listing_heard(pass->listing);
    sherd_listing_close(pass->listing);
    pass->listing = NULL;
}

/* Whether there is a next key. The engine may know a newer map than the one sealed here: then its
 * answers mean something else, and the pass is over. */
static bool pull(struct sherd_pass *pass)
{
    enum sherd_listing_state state = sherd_listing_next(pass->listing, &pass->listed);
    bool same_epoch = sherd_listing_epoch(pass->listing) == pass->epoch;

    if (state == SHERD_LISTING_WAIT) return false;
    if (state == SHERD_LISTING_KEY && same_epoch) return true;
    end(pass, state != SHERD_LISTING_END || !same_epoch);
    return false;
}

/* With all voters heard everything was seen that there is. Without some of them a key that nobody
 * showed may exist nevertheless, unless the others make a fresh answer. */
static bool is_whole(const struct sherd_pass *pass, const struct sherd_partition *p)
{
    struct sherd_answers nothing = {.heard = pass->heard};
    struct sherd_choice choice;

    if ((p->voters & ~pass->heard) == 0) return true;
    if (pass->kind != SHERD_PASS_REBUILD) return false;
    sherd_choose(p, (uint8_t)sherd_ecc_k(pass->tools->ecc), &nothing, pass->turn->wall_ms, &choice);
    return choice.verdict == SHERD_CHOICE_COMPLETE;
}

static bool is_current(const struct sherd_pass *pass, const struct sherd_sealed *sealed)
{
    return pass->partition < sealed->map->partition_count &&
           sealed->map->partitions[pass->partition].epoch == pass->epoch &&
           sherd_sealed_own_slot(sealed, pass->partition) == pass->slot;
}

bool sherd_pass_turn(struct sherd_pass *pass, const struct sherd_sealed *sealed,
                     const struct sherd_turn *t)
{
    const struct sherd_partition *p = &sealed->map->partitions[pass->partition];
    int keys = 0;

    pass->turn = t;
    if (!pass->ended && !is_current(pass, sealed)) end(pass, true);
    while (!pass->ended && keys < KEYS_A_TURN && has_room(pass) && pull(pass)) {
        take_key(pass, p);
        keys++;
    }
    if (pass->ended && pass->inserting == 0 && pass->repairing == 0) {
        bool done =
            !pass->failed && pass->unresolved == 0 && is_current(pass, sealed) && is_whole(pass, p);
        pass->state = done ? SHERD_PASS_DONE : SHERD_PASS_AGAIN;
    }
    return keys == KEYS_A_TURN;
}
