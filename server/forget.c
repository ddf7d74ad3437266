#include "server/forget.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sherd/ecc.h>

enum { ROUNDS_MAX = 64, CALL_TIMEOUT_MS = 1000 };

/* One voter of a round. */
struct asked {
    struct round *round;
    uint16_t node;
    uint8_t slot;
};

struct round {
    struct sherd_forget *owner;
    struct sherd_engine *engine;
    struct sherd_progress *progress;
    uint64_t wall_ms;
    unsigned waiting; /* 0: the round is free */
    bool agreed;      /* so far: the tombstone may go */
    uint8_t own_slot;
    uint32_t epoch, holds;
    struct sherd_ballot ballot; /* zero: nobody showed one yet */
    struct asked asked[SHERD_SLOTS_MAX];
    size_t key_size;
    uint8_t key[SHERD_KEY_BYTES_MAX];
};

struct sherd_forget {
    unsigned running;
    struct round rounds[ROUNDS_MAX];
};

int sherd_forget_new(struct sherd_forget **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? 0 : -ENOMEM;
}

void sherd_forget_free(struct sherd_forget *f) { free(f); }

bool sherd_forget_has_room(const struct sherd_forget *f) { return f->running < ROUNDS_MAX; }

static struct sherd_request request_of(const struct round *r, uint8_t kind, uint8_t slot)
{
    return (struct sherd_request){
        .kind = kind,
        .slot = slot,
        .epoch = r->epoch,
        .key = {r->key, r->key_size},
        .key_hash = sherd_hash_key(r->key, r->key_size),
        .ballot = r->ballot,
        .version = r->ballot,
        .shard_frame = -1,
    };
}

static void leave(struct round *r)
{
    if (--r->waiting == 0) r->owner->running--;
}

static void on_forgotten(void *context, const struct sherd_answer *answer)
{
    struct asked *a = context;

    if (answer && answer->kind == SHERD_ACK && a->slot == a->round->own_slot)
        atomic_fetch_add(&a->round->progress->forgotten, 1);
    leave(a->round);
}

static void forget_at(struct round *r, uint32_t slots)
{
    for (uint32_t rest = slots; rest != 0; rest &= rest - 1) {
        struct asked *a = &r->asked[sherd_slots_first(rest)];
        struct sherd_request request = request_of(r, SHERD_FORGET, a->slot);

        if (sherd_engine_call(r->engine, a->node, &request, CALL_TIMEOUT_MS, on_forgotten, a) == 0)
            r->waiting++;
    }
}

/* Whether this answer still lets the tombstone go. */
static bool allows(struct round *r, const struct sherd_answer *answer)
{
    const struct sherd_entry *e = &answer->entries[0];

    if (answer->kind != SHERD_STATE || answer->entry_count > 1) return false;
    if (answer->entry_count == 0) return true;
    if (!e->committed || e->has_shard || !sherd_meta_is_absent(&e->meta, r->wall_ms)) return false;
    if (sherd_ballot_is_zero(r->ballot)) r->ballot = e->ballot;
    return sherd_ballot_equal(e->ballot, r->ballot);
}

static void on_state(void *context, const struct sherd_answer *answer)
{
    struct asked *a = context;
    struct round *r = a->round;

    if (!answer || !allows(r, answer))
        r->agreed = false;
    else if (answer->entry_count != 0)
        r->holds |= sherd_slot(a->slot);
    if (r->waiting == 1 && r->agreed) { /* the last answer */
        uint32_t others = r->holds & ~sherd_slot(r->own_slot);
        forget_at(r, others ? others : r->holds);
    }
    leave(r);
}

static struct round *take_free(struct sherd_forget *f)
{
    for (unsigned i = 0; i < ROUNDS_MAX; i++)
        if (f->rounds[i].waiting == 0) return &f->rounds[i];
    return NULL;
}

/* Reads every voter; one that cannot be asked spoils the round. */
static void ask_all(struct round *r, const struct sherd_partition *p)
{
    for (uint32_t rest = p->voters; rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        struct sherd_request request = request_of(r, SHERD_READ, slot);

        r->asked[slot] = (struct asked){r, p->node[slot], slot};
        if (sherd_engine_call(r->engine, p->node[slot], &request, CALL_TIMEOUT_MS, on_state,
                              &r->asked[slot]) == 0)
            r->waiting++;
        else
            r->agreed = false;
    }
    if (r->waiting > 0) r->owner->running++;
}

void sherd_forget_start(struct sherd_forget *f, struct sherd_bytes key,
                        const struct sherd_sealed *sealed, const struct sherd_turn *t)
{
    uint64_t hash = sherd_hash_key(key.data, key.size);
    struct round *r = take_free(f);

    if (!r || !sealed->map || key.size == 0 || key.size > SHERD_KEY_BYTES_MAX) return;

    uint16_t index = sherd_map_partition_of(sealed->map, hash);
    const struct sherd_partition *p = &sealed->map->partitions[index];
    int slot = sherd_sealed_own_slot(sealed, index);

    if (slot < 0 || !sherd_sealed_is_open(sealed, index) || !sherd_partition_is_clean(p)) return;
    if (sherd_slots_first(p->voters) != slot || !sherd_turn_hears(t, p, p->voters)) return;
    r->owner = f;
    r->engine = t->engine;
    r->progress = t->progress;
    r->wall_ms = t->wall_ms;
    r->agreed = true;
    r->own_slot = (uint8_t)slot;
    r->epoch = p->epoch;
    r->holds = 0;
    r->ballot = SHERD_BALLOT_ZERO;
    r->key_size = key.size;
    memcpy(r->key, key.data, key.size);
    ask_all(r, p);
}
