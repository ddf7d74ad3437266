#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/engine_parts.h"

enum { MAP_AGAIN_US = 5000, NEWER_MAP_AGAIN_US = 100000, CONNECT_AGAIN_US = 200000 };

/* ---- answers to operations ---- */

/* Keeps the shards that came with an answer; what is broken or finds no memory is taken out of it.
 */
static void keep_shards(struct sherd_engine *e, struct sherd_run *run, struct sherd_answer *a,
                        struct sherd_incoming *in)
{
    for (uint8_t i = 0; i < a->entry_count; i++) {
        struct sherd_entry *entry = &a->entries[i];
        zmq_msg_t frame;
        bool framed;

        if (!entry->shard.data) continue;
        if (!sherd_piece_is_intact(entry, run->op.map->k)) {
            e->stats.corrupt_shards += entry->has_shard;
            entry->has_shard = false;
            entry->shard.data = NULL;
            continue;
        }
        framed = sherd_incoming_take(in, entry->shard, &frame);
        if (sherd_pieces_add(&run->pieces, a->slot, entry, framed ? &frame : NULL) < 0)
            entry->shard.data = NULL;
        if (framed) zmq_msg_close(&frame);
    }
}

static void on_run_answer(struct sherd_engine *e, struct sherd_peer *p, struct sherd_answer *a,
                          struct sherd_incoming *in)
{
    struct sherd_run *run = sherd_run_of(e, (uint32_t)(a->id >> 16) & UINT16_MAX);
    struct sherd_event event = {.kind = SHERD_EVENT_ANSWER, .slot = a->slot, .answer = a};
    uint16_t round = a->id & UINT16_MAX;
    bool is_current;

    if (!run || !run->active || sherd_run_tag(run) != (a->id & ~(uint64_t)UINT16_MAX) ||
        (run->op.round != round && run->op.prepare_round != round)) {
        e->stats.late_answers++;
        return;
    }
    if (!run->op.partition || run->op.partition->node[a->slot] != p->node) {
        e->stats.bad_messages++; /* it answers for somebody else */
        return;
    }
    is_current = run->op.round == round; /* else to a PREPARE that an ABORT has followed */
    if (is_current && run->asked_round == round && run->asked[a->slot] > 0) run->asked[a->slot]--;
    if (is_current && (a->kind == SHERD_STATE || a->kind == SHERD_PROMISED))
        keep_shards(e, run, a, in);
    sherd_run_step(e, run, &event);
}

/* ---- maps ---- */

static void tell_all(struct sherd_engine *e)
{
    for (uint32_t i = 0; i < e->chunk_count * SHERD_RUNS_CHUNK; i++) {
        struct sherd_run *run = sherd_run_of(e, i);
        if (!run->active || run->is_follower) continue;
        run->inbox.map = true;
        sherd_inbox_put(e, run);
    }
}

/* The code is fixed for the life of a cluster. */
static int check_code(struct sherd_engine *e, const struct sherd_map *map)
{
    if (!e->ecc) return sherd_ecc_new(map->k, map->m, &e->ecc);
    return sherd_ecc_k(e->ecc) == map->k && sherd_ecc_m(e->ecc) == map->m ? 0 : -EBADMSG;
}

int sherd_engine_take_map(struct sherd_engine *e, struct sherd_bytes encoded)
{
    const struct sherd_map *held = e->map ? e->map->map : NULL;
    struct sherd_map_ref *ref = NULL;
    int rc = sherd_map_ref_decode(encoded, &ref);

    if (rc < 0) return rc;
    if (held && ref->map->cluster != held->cluster) rc = -EBADMSG;
    if (rc == 0 && held && ref->map->version <= held->version) {
        sherd_map_ref_release(ref);
        return 0;
    }
    if (rc == 0) rc = check_code(e, ref->map);
    if (rc < 0) {
        sherd_map_ref_release(ref);
        return rc;
    }
    if (!held) e->greet_until_us = e->now_us + SHERD_GREET_US;
    sherd_map_ref_release(e->map);
    e->map = ref;
    e->peers.map_version = ref->map->version;
    e->peers.changes++;
    e->must_connect = true;
    tell_all(e);
    return 0;
}

static bool ask_map_of(struct sherd_engine *e, struct sherd_peer *p)
{
    struct sherd_request r = {.kind = SHERD_GET_MAP, .id = SHERD_ID_MAP, .shard_frame = -1};

    if (!p || p->state != SHERD_PEER_READY || p->late || p->node == SHERD_KEEPER) return false;
    if (sherd_peer_add(&e->peers, p, &r, NULL) < 0) return false;
    e->map_asked_us = e->now_us;
    return true;
}

/* One of the nodes that are said to know first, else the next one that is there. */
void sherd_engine_ask_map(struct sherd_engine *e, const struct sherd_partition *p, uint32_t slots)
{
    if (e->now_us - e->map_asked_us < MAP_AGAIN_US) return;
    for (uint32_t rest = p ? slots : 0; rest != 0; rest &= rest - 1)
        if (ask_map_of(e, sherd_peers_of(&e->peers, p->node[sherd_slots_first(rest)]))) return;
    for (size_t i = 0; i < e->peers.count; i++)
        if (ask_map_of(e, e->peers.list[++e->map_turn % e->peers.count])) return;
}

void sherd_engine_connect(struct sherd_engine *e)
{
    const struct sherd_map *map = e->map->map;

    e->must_connect = false;
    e->connect_us = 0;
    for (uint16_t i = 0; i < map->node_count; i++) {
        const char *endpoint = i == e->self_node ? e->self_endpoint : map->nodes[i].endpoint;
        int rc = sherd_peers_connect(&e->peers, endpoint, i);

        /* A node that cannot be connected to is one that does not answer: the others go on. No
         * other map need ever come, so it is tried again, unless its endpoint is none. */
        if (rc == -ENOMEM || rc == -EMFILE) e->connect_us = e->now_us + CONNECT_AGAIN_US;
    }
}

/* ---- calls ---- */

static struct sherd_call *take_call(struct sherd_engine *e)
{
    struct sherd_call *call = e->free_calls;

    if (call) {
        e->free_calls = call->next;
    } else {
        if (e->call_count == SHERD_CALLS_MAX) return NULL;
        if (e->call_count == e->call_capacity) {
            uint32_t capacity = e->call_capacity ? e->call_capacity * 2 : 16;
            struct sherd_call **calls =
                reallocarray(e->calls, capacity, sizeof(struct sherd_call *));
            if (!calls) return NULL;
            e->calls = calls;
            e->call_capacity = capacity;
        }
        call = calloc(1, sizeof(*call));
        if (!call) return NULL;
        call->index = e->call_count;
        call->timer.kind = SHERD_TIMER_CALL;
        e->calls[e->call_count++] = call;
    }
    call->generation = (call->generation + 1) & SHERD_ID_GENERATION_MASK;
    call->active = true;
    e->active_calls++;
    return call;
}

static void release_call(struct sherd_engine *e, struct sherd_call *call)
{
    sherd_timers_cancel(&e->timers, &call->timer);
    call->active = call->failed = false;
    call->next = e->free_calls;
    e->free_calls = call;
    e->active_calls--;
}

static uint64_t id_of_call(const struct sherd_call *call)
{
    return SHERD_ID_CALL | (uint64_t)call->generation << 16 | call->index;
}

static struct sherd_call *call_of(const struct sherd_engine *e, uint64_t id)
{
    uint32_t index = (uint32_t)id & UINT16_MAX;
    struct sherd_call *call = index < e->call_count ? e->calls[index] : NULL;

    return call && call->active && !call->failed && id_of_call(call) == id ? call : NULL;
}

static void end_call(struct sherd_engine *e, struct sherd_call *call, const struct sherd_answer *a)
{
    sherd_call_done *done = call->done;
    void *context = call->context;

    release_call(e, call);
    e->happened = true;
    if (done) done(context, a);
}

/* Told of at the end of the turn: the failure may come up while the call is being made. */
static void fail_call(struct sherd_engine *e, struct sherd_call *call)
{
    call->failed = true;
    call->next = e->failed_calls;
    e->failed_calls = call;
}

void sherd_calls_fail(struct sherd_engine *e)
{
    while (e->failed_calls) {
        struct sherd_call *call = e->failed_calls;
        e->failed_calls = call->next;
        end_call(e, call, NULL);
    }
}

void sherd_call_timer(struct sherd_engine *e, struct sherd_call *call)
{
    if (!call->failed) end_call(e, call, NULL);
}

void sherd_calls_fini(struct sherd_engine *e)
{
    for (uint32_t i = 0; i < e->call_count; i++)
        free(e->calls[i]);
    free(e->calls);
}

int sherd_engine_call(struct sherd_engine *e, uint16_t node, const struct sherd_request *request,
                      uint32_t timeout_ms, sherd_call_done *done, void *context)
{
    struct sherd_peer *p;
    struct sherd_request r = *request;
    struct sherd_call *call;
    int rc;

    if (node == SHERD_KEEPER && !e->peers.keeper && e->keeper[0])
        sherd_peers_connect(&e->peers, e->keeper, SHERD_KEEPER);
    p = sherd_peers_of(&e->peers, node);
    if (!p || p->state != SHERD_PEER_READY) return -ENOTCONN;
    call = take_call(e);
    if (!call) return -ENOMEM;
    call->peer = NULL; /* not sent yet: a connection that breaks meanwhile does not fail it */
    call->done = done;
    call->context = context;
    r.id = id_of_call(call);
    rc = sherd_peer_add(&e->peers, p, &r, NULL);
    if (rc < 0) {
        release_call(e, call);
        return rc == -EAGAIN ? -ENOTCONN : rc;
    }
    call->peer = p;
    if (!call->failed)
        sherd_timers_set(&e->timers, &call->timer,
                         sherd_clock_now_us() + timeout_ms * UINT64_C(1000));
    e->flush_us = 0; /* the next poll sends it before it waits */
    return 0;
}

void sherd_engine_cancel(struct sherd_engine *e, const void *context)
{
    for (uint32_t i = 0; i < e->call_count; i++)
        if (e->calls[i]->active && e->calls[i]->context == context) e->calls[i]->done = NULL;
}

/* ---- what the peers report ---- */

static void on_answer(void *owner, struct sherd_peer *p, struct sherd_answer *a,
                      struct sherd_incoming *in)
{
    struct sherd_engine *e = owner;
    struct sherd_call *call;

    if (a->id & SHERD_ID_CALL) {
        call = call_of(e, a->id);
        if (!call)
            e->stats.late_answers++;
        else if (call->peer != p)
            e->stats.bad_messages++;
        else
            end_call(e, call, a);
    } else if (a->id & SHERD_ID_MAP) {
        if (a->kind == SHERD_MAP && a->body.size != 0 &&
            sherd_engine_take_map(e, a->body) == -EBADMSG)
            e->stats.bad_messages++;
    } else {
        on_run_answer(e, p, a, in);
    }
}

static void on_push(void *owner, struct sherd_peer *p, const struct sherd_request *r)
{
    struct sherd_engine *e = owner;

    e->happened = true;
    if (e->push && p->node != SHERD_NO_PEER_NODE) e->push(e->push_context, (uint16_t)p->node, r);
}

static void on_unsent(void *owner, uint64_t id, uint8_t slot)
{
    struct sherd_engine *e = owner;
    struct sherd_call *call = id & SHERD_ID_CALL ? call_of(e, id) : NULL;
    struct sherd_run *run;

    if (call) fail_call(e, call);
    if (id & (SHERD_ID_PING | SHERD_ID_CALL | SHERD_ID_MAP)) return;
    run = sherd_run_of(e, (uint32_t)(id >> 16) & UINT16_MAX);
    if (!run || !run->active || (sherd_run_tag(run) | run->op.round) != id) return;
    if (run->asked[slot] > 0) run->asked[slot]--;
    sherd_inbox_slots(e, run, sherd_slot(slot), 0);
}

/* Slots of the run's round that have a request on the way to this node. */
static uint32_t asked_of(const struct sherd_run *run, const struct sherd_peer *p)
{
    uint32_t slots = 0;

    if (!run->active || !run->op.partition || run->asked_round != run->op.round) return 0;
    for (unsigned i = 0; i < SHERD_SLOTS_MAX; i++)
        if (run->asked[i] > 0 && run->op.partition->node[i] == p->node)
            slots |= sherd_slot((uint8_t)i);
    return slots;
}

static void on_gone(void *owner, struct sherd_peer *p)
{
    struct sherd_engine *e = owner;

    for (uint32_t i = 0; i < e->chunk_count * SHERD_RUNS_CHUNK; i++) {
        struct sherd_run *run = sherd_run_of(e, i);
        uint32_t slots = asked_of(run, p);
        if (slots == 0) continue;
        for (uint32_t rest = slots; rest != 0; rest &= rest - 1)
            run->asked[sherd_slots_first(rest)] = 0;
        sherd_inbox_slots(e, run, 0, slots);
    }
    for (uint32_t i = 0; i < e->call_count; i++)
        if (e->calls[i]->active && !e->calls[i]->failed && e->calls[i]->peer == p)
            fail_call(e, e->calls[i]);
}

static void on_ready(void *owner, struct sherd_peer *p)
{
    struct sherd_engine *e = owner;

    e->happened = true;
    if (!e->map) ask_map_of(e, p);
}

static void on_newer_map(void *owner, struct sherd_peer *p, uint64_t version)
{
    struct sherd_engine *e = owner;

    (void)version;
    if (e->now_us - e->map_asked_us >= NEWER_MAP_AGAIN_US) ask_map_of(e, p);
}

const struct sherd_peer_handlers sherd_engine_handlers = {
    .answer = on_answer,
    .push = on_push,
    .unsent = on_unsent,
    .gone = on_gone,
    .ready = on_ready,
    .newer_map = on_newer_map,
};
