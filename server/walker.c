/* walker.c - a slow walk over the whole store: frees what has expired, drops bounds that the floor
 * has passed, and finds tombstones that are old enough to be forgotten everywhere, and undecided
 * entries that the queue of the sweep lost. */
#include <string.h>

#include "server/service_parts.h"

enum {
    WALK_RECORDS = 500,       /* each tick: 5 000 a second */
    WALK_PAUSE_MS = 5000,     /* after each whole walk: what it found is being worked on */
    FIND_PAUSE_MS = 10000,    /* what was found is listed before it is found again */
    EXPIRED_GRACE_MS = 60000, /* clocks of readers may differ that much */
};

struct sherd_ballot sherd_service_raise_floor(struct sherd_service *s, uint16_t partition)
{
    struct sherd_partition_state *state = &s->states[partition];
    uint64_t behind_ms =
        s->wall_ms > SHERD_FLOOR_BEHIND_MS ? s->wall_ms - SHERD_FLOOR_BEHIND_MS : 0;
    struct sherd_ballot floor = {.clock = behind_ms << 16, .client = 0, .epoch = state->epoch};

    /* One that cannot be kept now would be undone. */
    if (sherd_ballot_compare(floor, state->floor) > 0 && s->store->ops->fault(s->store) == 0) {
        state->floor = floor;
        s->unsaved = true;
    }
    return state->floor;
}

/* False: the record cannot be read any more. */
static bool strip_expired(struct sherd_service *s, const struct sherd_store_key *key,
                          struct sherd_record *record)
{
    bool stripped = false;

    for (uint8_t i = 0; i < record->count; i++) {
        const struct sherd_entry *e = &record->entries[i];
        if (e->committed && e->has_shard && e->meta.expires_ms != 0 &&
            e->meta.expires_ms + EXPIRED_GRACE_MS <= s->wall_ms) {
            s->store->ops->strip(s->store, key, e->handle);
            stripped = true;
        }
    }
    return !stripped || sherd_service_load(s, key, false, record) == 0; /* the views are gone */
}

/* A lone committed tombstone, or expired value without its shard, from before the floor's reach. */
static bool is_forgettable(const struct sherd_service *s, const struct sherd_record *record)
{
    const struct sherd_entry *e = &record->entries[0];

    return record->count == 1 && e->committed && !e->has_shard &&
           sherd_meta_is_absent(&e->meta, s->wall_ms) &&
           sherd_clock_wall_ms(e->ballot.clock) + SHERD_FLOOR_BEHIND_MS < s->wall_ms;
}

static void find_undecided(struct sherd_service *s, const struct sherd_store_key *key,
                           const struct sherd_record *record)
{
    for (uint8_t i = 0; i < record->count; i++)
        if (!record->entries[i].committed)
            sherd_service_sweep_later(s, key, record->entries[i].ballot);
}

static void visit(struct sherd_service *s, const struct sherd_store_key *key,
                  struct sherd_record *record)
{
    const struct sherd_partition_state *state = &s->states[key->partition];
    struct sherd_change change = {0};

    if (!strip_expired(s, key, record)) return;
    if (sherd_record_has_bounds(record) &&
        sherd_record_tidy(record, sherd_service_raise_floor(s, key->partition))) {
        change.bounds = true;
        s->store->ops->apply(s->store, key, record, &change, NULL);
    }
    if (s->find_undecided) find_undecided(s, key, record);
    /* One holder leads the round: the lowest slot (the background checks that it votes). */
    if (state->clean && is_forgettable(s, record) && state->holders != 0 &&
        sherd_slots_first(state->holders) == state->slot)
        sherd_queue_push(&s->dead, (struct sherd_queue_item){.due_ms = s->now_ms,
                                                             .hash = key->hash,
                                                             .partition = key->partition});
}

/* A walk that finds all undecided entries begins. What is queued would be queued twice. */
static void begin_finding(struct sherd_service *s)
{
    s->find_undecided = true;
    s->undecided_lost = false;
    s->undecided.count = 0;
    s->walk = (struct sherd_store_key){0};
    s->walk_again_ms = 0;
}

static void end_walk(struct sherd_service *s)
{
    s->walk_again_ms = s->now_ms + WALK_PAUSE_MS;
    if (s->find_undecided) s->find_again_ms = s->now_ms + FIND_PAUSE_MS;
    s->find_undecided = false;
}

void sherd_service_walk(struct sherd_service *s)
{
    struct sherd_store_key key;
    struct sherd_record record;

    if (s->undecided_lost && !s->find_undecided && s->now_ms >= s->find_again_ms) begin_finding(s);
    if (s->now_ms < s->walk_again_ms) return;
    for (unsigned i = 0; i < WALK_RECORDS && s->broken == 0;) {
        int rc = sherd_service_next(s, &s->walk, false, &key, &record);
        if (rc < 0) return; /* here again, in the next tick */
        if (rc == 0) {
            s->walk.partition = (uint16_t)((s->walk.partition + 1) % SHERD_PARTITIONS);
            s->walk.key.size = 0;
            s->walk.hash = 0;
            if (s->walk.partition != 0) continue;
            end_walk(s);
            return;
        }
        memcpy(s->walk_key, key.key.data, key.key.size);
        s->walk.hash = key.hash;
        s->walk.key = (struct sherd_bytes){s->walk_key, key.key.size};
        visit(s, &s->walk, &record);
        i++;
    }
}
