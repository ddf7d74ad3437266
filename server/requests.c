/* requests.c - one request of a client or peer: checked, stepped, applied, answered. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sherd/ecc.h>

#include "coord/map_codec.h"
#include "server/service_parts.h"

enum {
    REPLY_BYTES_MAX = 8 << 20,     /* many small requests for large answers get no more at once */
    REPAIR_ME_AFTER_MS = 200,      /* the PREPARE may still be on its way */
    REPAIR_OTHERS_AFTER_MS = 1000, /* ... or the slow node's ACK */
};

void sherd_service_answer(struct sherd_service *s, const struct sherd_request *r,
                          struct sherd_answer *a, zmq_msg_t *const *framed,
                          struct sherd_router_reply *reply)
{
    if (r->id == 0) return; /* COMMIT, FORGET: nobody waits */
    a->id = r->id;
    a->slot = r->slot;
    a->map_version = s->partitions.version;
    if (reply->buffer.size > REPLY_BYTES_MAX || sherd_router_add_answer(reply, a, framed) < 0)
        s->counters.answers_dropped++;
}

static void count_stale(struct sherd_service *s, enum sherd_reason reason)
{
    switch (reason) {
    case SHERD_REASON_EPOCH: s->counters.stale_epoch++; break;
    case SHERD_REASON_SEALING: s->counters.stale_sealing++; break;
    case SHERD_REASON_LOST: s->counters.lost_partition++; break;
    default: s->counters.stranger++; break;
    }
}

static void count_nack(struct sherd_service *s, uint8_t reason)
{
    switch (reason) {
    case SHERD_REASON_BALLOT: s->counters.nack_ballot++; break;
    case SHERD_REASON_VERSION: s->counters.nack_version++; break;
    case SHERD_REASON_FULL: s->counters.full++; break;
    case SHERD_REASON_CLOCK: s->counters.clock++; break;
    case SHERD_REASON_UNDECIDED: s->counters.undecided_limit++; break;
    case SHERD_REASON_DIFFERENT: s->counters.different_value++; break;
    default: s->counters.bad_request++; break;
    }
}

static void answer_small(struct sherd_service *s, const struct sherd_request *r,
                         enum sherd_message_kind kind, enum sherd_reason reason,
                         struct sherd_router_reply *reply)
{
    struct sherd_answer a;

    memset(&a, 0, offsetof(struct sherd_answer, entries));
    a.body = (struct sherd_bytes){NULL, 0};
    a.kind = (uint8_t)kind;
    a.reason = (uint8_t)reason;
    a.max = SHERD_BALLOT_ZERO;
    a.epoch = r->partition < s->partitions.count ? s->states[r->partition].epoch : 0;
    sherd_service_answer(s, r, &a, NULL, reply);
}

void sherd_service_sweep_later(struct sherd_service *s, const struct sherd_store_key *key,
                               struct sherd_ballot ballot)
{
    unsigned slot = s->states[key->partition].slot;
    struct sherd_queue_item item = {.due_ms = s->now_ms + SHERD_SWEEP_AFTER_MS +
                                              slot * SHERD_SWEEP_PER_SLOT_MS,
                                    .hash = key->hash,
                                    .ballot = ballot,
                                    .partition = key->partition};

    if (!sherd_queue_push(&s->undecided, item)) s->undecided_lost = true;
}

void sherd_service_repair_later(struct sherd_service *s, const struct sherd_store_key *key,
                                uint64_t due_ms)
{
    struct sherd_queue_item item = {due_ms, key->hash, SHERD_BALLOT_ZERO, key->partition};

    /* What does not fit is found by a pass over the whole partition. */
    if (!sherd_queue_push(&s->repair, item))
        atomic_fetch_or(&s->progress->rescan_asked[key->partition / 64],
                        UINT64_C(1) << (key->partition % 64));
}

/* Remembers what must be looked at later because of this step. */
static void note_follow_ups(struct sherd_service *s, const struct sherd_request *r,
                            const struct sherd_store_key *key, const struct sherd_change *change)
{
    const struct sherd_partition_state *state = &s->states[key->partition];

    if (change->put && !change->put_committed) sherd_service_sweep_later(s, key, r->ballot);
    if (change->repair_me) sherd_service_repair_later(s, key, s->now_ms + REPAIR_ME_AFTER_MS);
    /* One holder is enough: the lowest that is known to have it. */
    if (change->repair_others && sherd_slots_first(r->acked) == state->slot)
        sherd_service_repair_later(s, key, s->now_ms + REPAIR_OTHERS_AFTER_MS);
}

static bool has_room(struct sherd_service *s, const struct sherd_request *r)
{
    if (r->kind != SHERD_PREPARE && r->kind != SHERD_INSERT) return true;
    return s->store->ops->has_room(s->store, r->key.size, r->shard.size,
                                   (r->flags & SHERD_FROM_RESERVE) != 0);
}

/* An INSERT takes the place of a shard that does not fit its CRC: it must be looked at. */
static bool needs_shards(const struct sherd_request *r)
{
    return (r->flags & SHERD_WITH_SHARD) != 0 || r->kind == SHERD_INSERT;
}

static void on_key(struct sherd_service *s, struct sherd_request *r, zmq_msg_t *frame,
                   struct sherd_router_reply *reply)
{
    struct sherd_partition_state *state = &s->states[r->partition];
    struct sherd_store_key key = {r->partition, r->key_hash, r->key};
    struct sherd_participant_env env = {
        .wall_ms = s->wall_ms,
        .floor =
            r->kind == SHERD_FORGET ? sherd_service_raise_floor(s, r->partition) : state->floor,
        .voter = state->voter,
        .clean = state->clean,
        .room = has_room(s, r),
        .holders = state->holders,
    };
    struct sherd_record record;
    struct sherd_change change;
    struct sherd_answer answer;
    zmq_msg_t *framed[SHERD_ENTRIES_MAX];
    int rc;

    if (sherd_service_load(s, &key, needs_shards(r), &record) < 0) return;
    sherd_participant_step(&env, r, &record, &change, &answer);
    if (sherd_change_is_any(&change) &&
        (rc = s->store->ops->apply(s->store, &key, &record, &change, frame)) < 0) {
        /* not stored, so not answered: the sender's deadline decides */
        if (rc == -ENOMEM)
            s->counters.no_memory++;
        else
            s->counters.store_fault++;
        return;
    }
    note_follow_ups(s, r, &key, &change);
    if (answer.kind == SHERD_NACK) count_nack(s, answer.reason);
    answer.epoch = state->epoch;
    for (uint8_t i = 0; i < answer.entry_count; i++)
        framed[i] = answer.entries[i].shard.data && answer.entries[i].handle
                        ? s->store->ops->frame(s->store, answer.entries[i].handle)
                        : NULL;
    sherd_service_answer(s, r, &answer, framed, reply);
}

/* A map that met no memory, or no space, is not a bad one: it is to be offered again. */
static void answer_seal(struct sherd_service *s, const struct sherd_request *r, int rc,
                        struct sherd_router_reply *reply)
{
    if (rc == 0 || rc == -ESTALE) {
        answer_small(s, r, SHERD_SEALED, SHERD_REASON_NONE, reply);
    } else if (rc == -ENOMEM || rc == -ENOSPC) {
        if (rc == -ENOMEM)
            s->counters.no_memory++;
        else
            s->counters.store_fault++;
        answer_small(s, r, SHERD_NACK, SHERD_REASON_FULL, reply);
    } else {
        s->counters.map_refused++;
        answer_small(s, r, SHERD_NACK, SHERD_REASON_BAD, reply);
    }
}

static void on_seal(struct sherd_service *s, const struct sherd_request *r,
                    struct sherd_router_reply *reply)
{
    uint8_t drop[SHERD_PARTITIONS / 8] = {0};
    int rc = s->store->ops->fault(s->store) < 0 ? -ENOSPC : 0; /* it could not be kept */

    if (rc == 0) rc = sherd_service_take_map(s, r->body, drop);
    if (rc == 0) {
        for (uint16_t p = 0; p < s->partitions.count; p++)
            if (drop[p / 8] >> (p % 8) & 1) s->store->ops->drop_partition(s->store, p);
        s->map_unsaved = true;
    }
    answer_seal(s, r, rc, reply);
}

/* Kept for a restart, if anything can be kept now; it would be told again. */
static void on_live(struct sherd_service *s, uint64_t version)
{
    uint64_t before = s->partitions.live;

    sherd_partitions_live(&s->partitions, version);
    if (s->partitions.live != before && s->store->ops->fault(s->store) == 0) s->unsaved = true;
}

static void on_get_map(struct sherd_service *s, const struct sherd_request *r,
                       struct sherd_router_reply *reply)
{
    struct sherd_answer a = {
        .kind = SHERD_MAP, .body = {s->map, s->map_size}
    };

    sherd_service_answer(s, r, &a, NULL, reply);
}

static void on_stats(struct sherd_service *s, const struct sherd_request *r,
                     struct sherd_router_reply *reply)
{
    char *text = sherd_service_stats(s);
    struct sherd_answer a = {
        .kind = SHERD_STATS_ARE, .body = {text, text ? strlen(text) : 0}
    };

    sherd_service_answer(s, r, &a, NULL, reply);
    free(text);
}

static void on_list(struct sherd_service *s, const struct sherd_request *r,
                    struct sherd_router_reply *reply)
{
    struct sherd_answer a;

    memset(&a, 0, offsetof(struct sherd_answer, entries));
    a.kind = SHERD_PAGE;
    a.max = SHERD_BALLOT_ZERO;
    sherd_service_list(s, r, &a);
    sherd_service_answer(s, r, &a, NULL, reply);
}

/* Requests that name a partition are served only in the epoch that both know and that is live. */
static bool is_current(struct sherd_service *s, const struct sherd_request *r,
                       struct sherd_router_reply *reply)
{
    enum sherd_reason reason =
        sherd_partitions_check(&s->partitions, r->partition, r->epoch, r->slot);

    if (reason == SHERD_REASON_NONE) return true;
    count_stale(s, reason);
    answer_small(s, r, SHERD_STALE, reason, reply);
    return false;
}

static void on_node_request(struct sherd_service *s, const struct sherd_request *r, bool is_local,
                            struct sherd_router_reply *reply)
{
    switch (r->kind) {
    case SHERD_PING: answer_small(s, r, SHERD_PONG, SHERD_REASON_NONE, reply); return;
    case SHERD_GET_MAP: on_get_map(s, r, reply); return;
    case SHERD_STATS: on_stats(s, r, reply); return;
    case SHERD_RECOVER:
        atomic_fetch_add(&s->progress->recover_asked, 1);
        answer_small(s, r, SHERD_ACK, SHERD_REASON_NONE, reply);
        return;
    case SHERD_SEAL:
        if (!is_local) break;
        on_seal(s, r, reply);
        return;
    case SHERD_LIVE:
        if (!is_local) break;
        on_live(s, r->since);
        answer_small(s, r, SHERD_SEALED, SHERD_REASON_NONE, reply);
        return;
    default: break;
    }
    s->counters.bad_request++;
    answer_small(s, r, SHERD_NACK, SHERD_REASON_BAD, reply);
}

/* A LIST of one partition; the others are for the background thread alone. */
static bool names_partition(const struct sherd_request *r)
{
    return r->what == SHERD_LIST_KEYS || r->what == SHERD_LIST_DIGEST;
}

static uint16_t partition_of(const struct sherd_service *s, uint64_t key_hash)
{
    return (uint16_t)(key_hash % s->partitions.count);
}

void sherd_service_request(struct sherd_service *s, struct sherd_request *r, bool is_local,
                           zmq_msg_t *frame, struct sherd_router_reply *reply)
{
    s->requests++;
    switch (r->kind) {
    case SHERD_PREPARE:
    case SHERD_PROMISE:
    case SHERD_READ:
    case SHERD_COMMIT:
    case SHERD_ABORT:
    case SHERD_FORGET:
    case SHERD_INSERT:
        r->key_hash = sherd_hash_key(r->key.data, r->key.size);
        r->partition = partition_of(s, r->key_hash);
        if (is_current(s, r, reply)) on_key(s, r, frame, reply);
        break;
    case SHERD_LIST:
        if (names_partition(r)) {
            if (is_current(s, r, reply)) on_list(s, r, reply);
        } else if (is_local) {
            on_list(s, r, reply);
        } else {
            on_node_request(s, r, is_local, reply); /* refused there */
        }
        break;
    default: on_node_request(s, r, is_local, reply); break;
    }
}
