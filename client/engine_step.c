#include <stdlib.h>
#include <string.h>

#include "client/engine_parts.h"
#include "client/test_hooks.h"

/* ---- what is still to be told ---- */

void sherd_inbox_put(struct sherd_engine *e, struct sherd_run *run)
{
    if (run->inbox.queued) return;
    run->inbox.queued = true;
    run->inbox.next = NULL;
    if (e->inbox_last)
        e->inbox_last->inbox.next = run;
    else
        e->inbox_first = run;
    e->inbox_last = run;
}

void sherd_inbox_slots(struct sherd_engine *e, struct sherd_run *run, uint32_t unsent,
                       uint32_t gone)
{
    struct sherd_inbox *inbox = &run->inbox;

    if (inbox->round != run->op.round) inbox->unsent = inbox->gone = 0;
    inbox->round = run->op.round;
    inbox->unsent |= unsent;
    inbox->gone |= gone;
    sherd_inbox_put(e, run);
}

static void follow(struct sherd_engine *e, struct sherd_run *run, enum sherd_event_kind kind,
                   enum sherd_outcome outcome)
{
    run->inbox.follows = true;
    run->inbox.follow = kind;
    run->inbox.outcome = outcome;
    sherd_inbox_put(e, run);
}

/* Takes the next event out of an inbox; false: it is empty. */
static bool take_event(struct sherd_run *run, struct sherd_event *event)
{
    struct sherd_inbox *inbox = &run->inbox;
    bool is_current = inbox->round == run->op.round;

    *event = (struct sherd_event){.kind = SHERD_EVENT_START};
    if (inbox->start) {
        inbox->start = false;
        return true;
    }
    if (inbox->follows) {
        inbox->follows = false;
        event->kind = (uint8_t)inbox->follow;
        event->outcome = inbox->outcome;
        return true;
    }
    if (inbox->unsent && is_current) {
        event->kind = SHERD_EVENT_UNSENT;
        event->slots = inbox->unsent;
        inbox->unsent = 0;
        return true;
    }
    if (inbox->gone && is_current) {
        event->kind = SHERD_EVENT_GONE;
        event->slots = inbox->gone;
        inbox->gone = 0;
        return true;
    }
    if (!inbox->map) return false;
    inbox->map = false;
    event->kind = SHERD_EVENT_MAP;
    return true;
}

static void tell(struct sherd_engine *e, struct sherd_run *run)
{
    uint32_t generation = run->generation;
    struct sherd_event event;

    while (run->active && run->generation == generation && take_event(run, &event))
        sherd_run_step(e, run, &event);
}

bool sherd_inbox_drain(struct sherd_engine *e)
{
    bool any = e->inbox_first != NULL;

    while (e->inbox_first) {
        struct sherd_run *run = e->inbox_first;
        e->inbox_first = run->inbox.next;
        if (!e->inbox_first) e->inbox_last = NULL;
        run->inbox.queued = false;
        tell(e, run);
    }
    return any;
}

/* ---- the environment of a step ---- */

/* splitmix64 (Steele, Lea and Flood 2014): for backing off, nothing secret. */
static uint64_t next_random(struct sherd_engine *e)
{
    uint64_t z = (e->random_state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A step out of these phases binds the newest map; the others look at the map bound to. */
static const struct sherd_map *map_of_step(const struct sherd_engine *e,
                                           const struct sherd_operation *op)
{
    if (op->map && op->phase != SHERD_PHASE_IDLE && op->phase != SHERD_PHASE_WAITING &&
        op->phase != SHERD_PHASE_COMPUTING)
        return op->map;
    return e->map->map;
}

/* A node that has lost its state since the epoch began has no vote in it: the map does not know its
 * new life yet, or knows it, and has not begun the epoch that makes a learner of it. To count on
 * such nodes would send writes that can only get to the others, where they may look as if they were
 * complete: with m nodes lost the key would be, too, when the next epoch comes between
 * (PROTOCOL 7.8). */
static bool is_same_life(const struct sherd_map *map, const struct sherd_partition *p, uint8_t slot,
                         const struct sherd_peer *peer)
{
    return sherd_map_is_same_life(map, p->node[slot], p->incarnation[slot], peer->incarnation);
}

/* Who missed a straggler deadline is not waited for again, and not asked first; but a write does
 * not go without a quorum because of that. */
static bool counts_stragglers(const struct sherd_operation *op)
{
    bool writes = op->goal == SHERD_GOAL_SET || op->goal == SHERD_GOAL_UPDATE;

    return writes && (op->phase == SHERD_PHASE_IDLE || op->phase == SHERD_PHASE_WAITING ||
                      op->phase == SHERD_PHASE_COMPUTING);
}

static uint32_t reachable_of(const struct sherd_engine *e, const struct sherd_operation *op)
{
    const struct sherd_map *map = map_of_step(e, op);
    const struct sherd_partition *p = &map->partitions[sherd_map_partition_of(map, op->key_hash)];
    bool stragglers_too = counts_stragglers(op);
    uint32_t reachable = 0;

    for (uint32_t rest = sherd_partition_holders(p); rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        const struct sherd_peer *peer = sherd_peers_of(&e->peers, p->node[slot]);
        if (sherd_peer_is_reachable(peer, stragglers_too) && is_same_life(map, p, slot, peer))
            reachable |= sherd_slot(slot);
    }
    return reachable;
}

/* ---- effects ---- */

/* Queues one request of a SEND. False: it did not get as far as a batch. */
static bool send_to(struct sherd_engine *e, struct sherd_run *run,
                    const struct sherd_effect *effect, uint8_t slot)
{
    const struct sherd_operation *op = &run->op;
    struct sherd_peer *peer = sherd_peers_of(&e->peers, op->partition->node[slot]);
    struct sherd_request r;
    bool framed = false;
    zmq_msg_t frame;

    if (!peer || peer->state != SHERD_PEER_READY) return false;
    sherd_operation_request(op, effect, slot, &r);
    if (sherd_operation_has_shard(op, effect->message))
        framed = sherd_shards_fill(op->shards_are_old ? &run->old : &run->fresh, slot, &r, &frame);
    if (sherd_peer_add(&e->peers, peer, &r, framed ? &frame : NULL) < 0) {
        if (framed) zmq_msg_close(&frame);
        return false;
    }
    if (r.id != 0) run->asked[slot]++;
    return true;
}

static void send(struct sherd_engine *e, struct sherd_run *run, const struct sherd_effect *effect)
{
    bool wants_answer = effect->message != SHERD_COMMIT || run->op.commit_wanted;
    uint32_t slots = sherd_hook_send(effect->message, effect->slots), unsent = 0;

    if (run->asked_round != run->op.round) {
        memset(run->asked, 0, sizeof(run->asked));
        run->asked_round = run->op.round;
        run->asked_us = e->now_us;
        /* The machine counts what this round brings, so what an earlier one brought is not used. */
        if (effect->message == SHERD_READ || effect->message == SHERD_PROMISE)
            sherd_pieces_reset(&run->pieces);
    }
    for (uint32_t rest = slots; rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        if (!send_to(e, run, effect, slot)) unsent |= sherd_slot(slot);
    }
    if (unsent != 0 && wants_answer) sherd_inbox_slots(e, run, unsent, 0);
}

static enum sherd_outcome no_memory(const struct sherd_run *run)
{
    return run->op.alive ? SHERD_UNCERTAIN : SHERD_NO_MEMORY;
}

/* The value of op.version into run->decoded. 0, -ENOMEM, or what sherd_pieces_join says. */
static int decode(struct sherd_engine *e, struct sherd_run *run)
{
    const struct sherd_operation *op = &run->op;

    free(run->decoded);
    run->decoded = malloc(op->found.size ? op->found.size : 1);
    if (!run->decoded) return -ENOMEM;
    return sherd_pieces_join(&run->pieces, e->ecc, op->version, &op->found, run->decoded);
}

static void on_decode(struct sherd_engine *e, struct sherd_run *run)
{
    int rc = decode(e, run);

    if (rc == 0)
        follow(e, run, SHERD_EVENT_DECODED, SHERD_OK);
    else if (rc == -ENOMEM)
        follow(e, run, SHERD_EVENT_REFUSED, no_memory(run));
    else
        follow(e, run, SHERD_EVENT_CORRUPT, SHERD_OK);
}

static void on_encode_old(struct sherd_engine *e, struct sherd_run *run)
{
    struct sherd_bytes value = {NULL, run->op.found.size};
    int rc = decode(e, run);

    value.data = run->decoded;
    if (rc == 0) rc = sherd_shards_encode(&run->old, e->ecc, &e->blocks, value);
    if (rc == 0)
        follow(e, run, SHERD_EVENT_ENCODED, SHERD_OK);
    else if (rc == -ENOMEM)
        follow(e, run, SHERD_EVENT_REFUSED, no_memory(run));
    else
        follow(e, run, SHERD_EVENT_CORRUPT, SHERD_OK);
}

/* False: what follows in the list must not be carried out. */
static bool on_encode_new(struct sherd_engine *e, struct sherd_run *run)
{
    if (sherd_shards_encode(&run->fresh, e->ecc, &e->blocks, run->value) == 0) return true;
    follow(e, run, SHERD_EVENT_REFUSED, SHERD_NO_MEMORY); /* nothing of it was sent */
    return false;
}

/* The new value as one piece: the caller's own bytes, or made here. */
static bool keep_value(struct sherd_run *run, const struct sherd_new_value *v)
{
    size_t size = v->head.size + v->tail.size;
    uint8_t *made;

    run->number = v->number;
    run->value = v->head;
    if (v->tombstone || v->head.data == run->user->value.data) return true;
    made = malloc(size ? size : 1);
    if (!made) return false;
    if (v->head.size) memcpy(made, v->head.data, v->head.size);
    if (v->tail.size) memcpy(made + v->head.size, v->tail.data, v->tail.size);
    free(run->made);
    run->made = made;
    run->value = (struct sherd_bytes){made, size};
    return true;
}

static void set_meta(struct sherd_run *run, const struct sherd_new_value *v)
{
    if (v->tombstone) {
        run->op.meta = (struct sherd_meta){.flags = SHERD_META_TOMBSTONE};
        return;
    }
    run->op.meta = (struct sherd_meta){
        .checksum = sherd_checksum(run->value.data, run->value.size),
        .expires_ms = v->expires_ms,
        .size = (uint32_t)run->value.size,
    };
}

static void on_compute(struct sherd_engine *e, struct sherd_run *run)
{
    struct sherd_operation *op = &run->op;
    struct sherd_current current = {
        .exists = op->exists,
        .version = sherd_version_of(op->version),
        .expires_ms = op->found.expires_ms,
    };
    struct sherd_new_value value;
    enum sherd_outcome outcome;

    if (op->want_value && op->exists) {
        int rc = decode(e, run);
        if (rc == -ENOMEM) {
            follow(e, run, SHERD_EVENT_REFUSED, no_memory(run));
            return;
        }
        if (rc < 0) {
            follow(e, run, SHERD_EVENT_CORRUPT, SHERD_OK);
            return;
        }
        current.bytes = (struct sherd_bytes){run->decoded, op->found.size};
    }
    outcome = run->user ? sherd_compute(run->user, &current, e->wall_ms, &value) : SHERD_TIMEOUT;
    if (outcome == SHERD_OK && !keep_value(run, &value)) outcome = no_memory(run);
    if (outcome == SHERD_OK) {
        set_meta(run, &value);
        follow(e, run, SHERD_EVENT_COMPUTED, SHERD_OK);
    } else {
        follow(e, run, SHERD_EVENT_REFUSED, outcome);
    }
}

/* False: the run is over, or the rest of the list is void. */
static bool carry_out(struct sherd_engine *e, struct sherd_run *run,
                      const struct sherd_effect *effect)
{
    switch ((enum sherd_effect_kind)effect->kind) {
    case SHERD_EFFECT_SEND: send(e, run, effect); break;
    case SHERD_EFFECT_ENCODE_NEW: return on_encode_new(e, run);
    case SHERD_EFFECT_ENCODE_OLD: on_encode_old(e, run); break;
    case SHERD_EFFECT_DECODE: on_decode(e, run); break;
    case SHERD_EFFECT_COMPUTE: on_compute(e, run); break;
    case SHERD_EFFECT_REFRESH: sherd_engine_ask_map(e, run->op.partition, effect->slots); break;
    case SHERD_EFFECT_ANSWER: sherd_run_answer(e, run); break;
    case SHERD_EFFECT_DONE: sherd_run_release(e, run); return false;
    }
    return true;
}

/* ---- the step ---- */

static int compare_latencies(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Ask for one more shard when a read takes longer than 95 of 100 did (PROTOCOL 4). */
static void note_latency(struct sherd_engine *e, uint64_t latency_us)
{
    enum { HEDGE_MIN_US = 1000, HEDGE_MAX_US = 250000 };
    uint64_t p95;

    e->latencies[e->latency_count++] = latency_us;
    if (e->latency_count < SHERD_LATENCIES) return;
    qsort(e->latencies, SHERD_LATENCIES, sizeof(e->latencies[0]), compare_latencies);
    p95 = e->latencies[SHERD_LATENCIES * 95 / 100];
    e->hedge_us = (uint32_t)(p95 < HEDGE_MIN_US   ? HEDGE_MIN_US
                             : p95 > HEDGE_MAX_US ? HEDGE_MAX_US
                                                  : p95);
    e->latency_count = 0;
}

/* What a step has brought an own attempt, though it may have ended the phase, too. */
static void note_acks(const struct sherd_writer *before, const struct sherd_writer *after)
{
    bool first = (before->acked & before->voters) == 0 && (after->acked & after->voters) != 0;
    bool complete = !sherd_writer_is_complete(before) && sherd_writer_is_complete(after);

    sherd_hook_acks(first, complete);
}

static void bind(struct sherd_engine *e, struct sherd_run *run)
{
    if (!run->op.map || (run->bound && run->bound->map == run->op.map)) return;
    sherd_map_ref_release(run->bound);
    run->bound = sherd_map_ref_hold(e->map);
}

void sherd_run_step(struct sherd_engine *e, struct sherd_run *run, const struct sherd_event *event)
{
    bool was_reading = run->op.phase == SHERD_PHASE_READING;
    bool is_watched = SHERD_HAS_HOOKS && run->op.phase == SHERD_PHASE_WRITING;
    struct sherd_writer writer;
    struct sherd_env env = {
        .map = e->map->map,
        .clock = &e->clock,
        .client = e->client,
        .now_us = e->now_us,
        .wall_ms = e->wall_ms,
        .random = next_random(e),
        .reachable = reachable_of(e, &run->op),
        .hedge_us = e->hedge_us,
        .straggler_us = e->straggler_us,
    };
    struct sherd_effects effects;

    if (is_watched) writer = run->op.writer;
    sherd_operation_step(&run->op, &env, event, &effects);
    if (is_watched) note_acks(&writer, &run->op.writer);
    bind(e, run);
    if (was_reading && run->op.phase != SHERD_PHASE_READING &&
        run->op.reader.verdict == SHERD_READER_COMPLETE)
        note_latency(e, e->now_us - run->asked_us);
    for (uint8_t i = 0; i < effects.count; i++)
        if (!carry_out(e, run, &effects.list[i])) break;
    if (run->active) sherd_timers_set(&e->timers, &run->timer, run->op.due_us);
}

/* Who is waited for in vain is not waited for again, until it answers a PING in time. */
static void mark_stragglers(struct sherd_engine *e, const struct sherd_run *run)
{
    const struct sherd_operation *op = &run->op;
    const struct sherd_writer *w = &op->writer;

    if ((op->phase != SHERD_PHASE_WRITING && op->phase != SHERD_PHASE_PROPOSING) ||
        w->state != SHERD_WRITER_SETTLING || e->now_us < w->due_us)
        return;
    for (uint32_t rest = w->holders & ~w->acked & ~w->refusing; rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        struct sherd_peer *peer = sherd_peers_of(&e->peers, op->partition->node[slot]);
        if (!peer || peer->straggling || peer->state != SHERD_PEER_READY) continue;
        peer->straggling = true;
        sherd_peer_ping(&e->peers, peer);
    }
}

void sherd_run_timer(struct sherd_engine *e, struct sherd_run *run)
{
    const struct sherd_event event = {.kind = SHERD_EVENT_TIMER};
    uint32_t asked = run->op.reader.asked;
    bool was_reading = run->op.phase == SHERD_PHASE_READING;

    if (run->is_follower) {
        sherd_run_expire_follower(e, run);
        return;
    }
    mark_stragglers(e, run);
    sherd_run_step(e, run, &event);
    if (was_reading && run->active && run->op.phase == SHERD_PHASE_READING &&
        run->op.reader.asked != asked)
        e->stats.hedges++;
}
