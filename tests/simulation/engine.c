#include "tests/simulation/engine.h"

#include <string.h>

#include "tests/simulation/daemon.h"
#include "tests/simulation/network.h"
#include "tests/simulation/story.h"
#include "tests/simulation/value.h"

enum {
    LATE_REQUESTS = 4, /* as many without an answer, and a node is called late */
    PING_US = 10 * SIM_MS,
    GREET_AGAIN_US = 20 * SIM_MS,
    HEDGE_US = 5 * SIM_MS,
    STRAGGLER_US = 20 * SIM_MS,
};

static void step(struct sim_op *o, struct sherd_event event);
static void greet(struct sim_client *cl, uint8_t node);

/* ---- what the client knows of the nodes ---- */

static bool is_reachable(const struct sim_client *cl, uint16_t node)
{
    return cl->connected[node] && cl->waiting[node] < LATE_REQUESTS;
}

/* As client/engine_step.c: who lost its state since the epoch began has no vote in it. */
static bool is_same_life(const struct sim_client *cl, const struct sherd_partition *p, uint8_t slot)
{
    uint16_t node = p->node[slot];

    return sherd_map_is_same_life(cl->map->map, node, p->incarnation[slot], cl->incarnation[node]);
}

static uint32_t reachable_slots(const struct sim_client *cl, const struct sherd_partition *p)
{
    uint32_t slots = 0;

    for (uint32_t rest = sherd_partition_holders(p); rest; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        if (is_reachable(cl, p->node[slot]) && is_same_life(cl, p, slot)) slots |= sherd_slot(slot);
    }
    return slots;
}

struct sherd_envelope sim_client_envelope(struct sim_client *cl, uint8_t node)
{
    return (struct sherd_envelope){.type = SHERD_REQUESTS,
                                   .count = 1,
                                   .session = cl->session[node],
                                   .number = ++cl->number[node],
                                   .incarnation = cl->incarnation[node],
                                   .map_version = cl->map ? cl->map->map->version : 0,
                                   .clock = cl->clock.last};
}

static void send(struct sim_client *cl, uint8_t node, const struct sherd_request *r)
{
    struct sherd_envelope e = sim_client_envelope(cl, node);

    if (r->id != 0 && cl->waiting[node] < UINT8_MAX) cl->waiting[node]++;
    sim_send_request(cl->cluster, cl->address, node, &e, r);
}

/* A node that is late is asked from time to time whether it still is. */
static void ping_late(struct sim_client *cl)
{
    struct sherd_request r = {.kind = SHERD_PING, .id = 1, .shard_frame = -1};
    uint64_t now_us = cl->cluster->world.now_us;

    for (uint8_t i = 0; i < cl->cluster->nodes; i++) {
        if (!cl->connected[i] || cl->waiting[i] < LATE_REQUESTS) continue;
        if (now_us < cl->pinged_us[i] + PING_US) continue;
        cl->pinged_us[i] = now_us;
        send(cl, i, &r);
    }
}

/* ---- effects ---- */

static struct sherd_env env_of(struct sim_op *o)
{
    struct sim_client *cl = o->client;
    struct sim_cluster *c = cl->cluster;
    const struct sherd_map *map = cl->map->map;

    return (struct sherd_env){
        .map = map,
        .clock = &cl->clock,
        .client = cl->client,
        .now_us = c->world.now_us,
        .wall_ms = sim_wall_ms(c, cl->skew_ms),
        .random = sim_random(&c->world),
        .reachable =
            reachable_slots(cl, &map->partitions[sherd_map_partition_of(map, o->op.key_hash)]),
        .hedge_us = HEDGE_US,
        .straggler_us = STRAGGLER_US,
    };
}

void sim_op_set_value(struct sim_op *o, int64_t value)
{
    uint8_t bytes[SIM_VALUE_BYTES_MAX];
    size_t size = sim_value_write(value, bytes);

    o->value = value;
    o->op.meta = (struct sherd_meta){.flags = SHERD_META_TOMBSTONE};
    if (value == 0) return;
    o->op.meta =
        (struct sherd_meta){.checksum = sherd_checksum(bytes, size), .size = (uint32_t)size};
}

/* Returns the slots to which it could not be sent. */
static uint32_t send_all(struct sim_op *o, const struct sherd_effect *effect)
{
    struct sim_client *cl = o->client;
    const struct sim_shards *shards = o->op.shards_are_old ? &o->old_shards : &o->shards;
    bool with_shard = sherd_operation_has_shard(&o->op, (enum sherd_message_kind)effect->message);
    uint32_t unsent = 0;
    struct sherd_request r;

    for (uint32_t rest = effect->slots; rest; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        uint16_t node = o->op.partition->node[slot];

        sherd_operation_request(&o->op, effect, slot, &r);
        if (with_shard) {
            r.crc = shards->crc[slot];
            r.shard = (struct sherd_bytes){shards->bytes[slot], shards->size};
        }
        if (cl->connected[node])
            send(cl, (uint8_t)node, &r);
        else if (r.id != 0)
            unsent |= sherd_slot(slot);
    }
    return unsent;
}

static void refresh(struct sim_op *o, uint32_t slots)
{
    struct sim_client *cl = o->client;
    struct sim_cluster *c = cl->cluster;
    struct sherd_request r = {.kind = SHERD_GET_MAP, .id = 2, .shard_frame = -1};
    uint8_t node = (uint8_t)sim_below(&c->world, c->nodes);

    if (slots) node = (uint8_t)o->op.partition->node[sherd_slots_first(slots)];
    if (cl->connected[node]) send(cl, node, &r);
}

static void gather(const struct sim_op *o, const void *pieces[SIM_SLOTS_MAX])
{
    size_t size = sherd_ecc_shard_size(o->client->cluster->config.k, o->op.found.size);

    memset(pieces, 0, SIM_SLOTS_MAX * sizeof(pieces[0]));
    for (const struct sim_piece *p = o->pieces; p; p = p->next) {
        if (sherd_ballot_equal(p->version, o->op.version) && p->size == size)
            pieces[p->slot] = p->bytes;
    }
}

/* The value of op.version from the pieces; false: they do not give it. */
static bool join(struct sim_op *o, uint8_t *bytes)
{
    struct sim_cluster *c = o->client->cluster;
    const void *pieces[SIM_SLOTS_MAX];
    size_t size = o->op.found.size;

    gather(o, pieces);
    if (size > SIM_VALUE_BYTES_MAX) return false;
    if (sherd_ecc_join(c->config.ecc, pieces, size, bytes) < 0) return false;
    return sherd_checksum(bytes, size) == o->op.found.checksum;
}

/* Where client/engine_step.c asks for memory, and there is none. */
static bool has_no_memory(struct sim_op *o, struct sherd_event *refusal)
{
    struct sim_cluster *c = o->client->cluster;

    if (!sim_bad_luck(c, c->weather.no_memory)) return false;
    c->counts->no_memory++;
    *refusal = (struct sherd_event){.kind = SHERD_EVENT_REFUSED,
                                    .outcome = o->op.alive ? SHERD_UNCERTAIN : SHERD_NO_MEMORY};
    return true;
}

/* Shards that fit their CRC, and yet not the whole: broken before they were cut, or while they were
 * put together. */
static bool comes_out_wrong(struct sim_op *o)
{
    struct sim_cluster *c = o->client->cluster;

    if (!sim_bad_luck(c, c->weather.corrupt)) return false;
    c->counts->corrupt++;
    sim_trace(&c->world, "%s: key %u comes out with a wrong checksum",
              sim_who(o->client->address).text, o->key);
    return true;
}

static struct sherd_event decode(struct sim_op *o)
{
    uint8_t bytes[SIM_VALUE_BYTES_MAX];
    struct sherd_event refusal;

    if (has_no_memory(o, &refusal)) return refusal;
    if (comes_out_wrong(o)) return (struct sherd_event){.kind = SHERD_EVENT_CORRUPT};
    if (join(o, bytes) && sim_value_read(bytes, o->op.found.size, &o->current))
        return (struct sherd_event){.kind = SHERD_EVENT_DECODED};
    sim_fail(&o->client->cluster->world, "key %u: the shards do not give the value", o->key);
    return (struct sherd_event){.kind = SHERD_EVENT_CORRUPT};
}

static struct sherd_event encode_old(struct sim_op *o)
{
    uint8_t bytes[SIM_VALUE_BYTES_MAX];
    struct sherd_event refusal;

    if (has_no_memory(o, &refusal)) return refusal;
    if (comes_out_wrong(o)) return (struct sherd_event){.kind = SHERD_EVENT_CORRUPT};
    if (join(o, bytes)) {
        sim_value_encode(o->client->cluster, bytes, o->op.found.size, &o->old_shards);
        return (struct sherd_event){.kind = SHERD_EVENT_ENCODED};
    }
    sim_fail(&o->client->cluster->world, "key %u: the shards do not give the old value", o->key);
    return (struct sherd_event){.kind = SHERD_EVENT_CORRUPT};
}

enum { NO_EVENT = 0xff };

static struct sherd_event encode_new(struct sim_op *o)
{
    uint8_t bytes[SIM_VALUE_BYTES_MAX];
    size_t size = sim_value_write(o->value, bytes);
    struct sherd_event event = {.kind = NO_EVENT};

    if (has_no_memory(o, &event)) return event; /* the rest of the list is void */
    sim_value_encode(o->client->cluster, bytes, size, &o->shards);
    return event;
}

static struct sherd_event compute(struct sim_op *o)
{
    if (o->op.want_value && o->op.exists) {
        struct sherd_event e = decode(o);
        if (e.kind != SHERD_EVENT_DECODED) return e;
    }
    return o->compute(o);
}

static void unlink_op(struct sim_op *o)
{
    struct sim_op **link = &o->client->ops;

    while (*link && *link != o)
        link = &(*link)->next;
    if (*link) *link = o->next;
    o->over = true;
}

/* Carries one effect out; returns the event that it gives, if any. */
static struct sherd_event carry_out(struct sim_op *o, const struct sherd_effect *effect,
                                    uint32_t *unsent)
{
    struct sherd_event none = {.kind = NO_EVENT};

    switch (effect->kind) {
    case SHERD_EFFECT_SEND: *unsent |= send_all(o, effect); return none;
    case SHERD_EFFECT_ENCODE_NEW: return encode_new(o);
    case SHERD_EFFECT_ENCODE_OLD: return encode_old(o);
    case SHERD_EFFECT_DECODE: return decode(o);
    case SHERD_EFFECT_COMPUTE: return compute(o);
    case SHERD_EFFECT_REFRESH: refresh(o, effect->slots); return none;
    case SHERD_EFFECT_ANSWER: o->answered = true; return none;
    default: unlink_op(o); return none;
    }
}

static void on_timer(void *context, uint64_t life)
{
    struct sim_op *o = context;
    struct sim_client *cl = o->client;
    uint64_t now_us = cl->cluster->world.now_us;

    if (o->over || o->life != cl->life || life != cl->life || now_us < o->timer_us) return;
    if (now_us < cl->frozen_until_us) {
        o->timer_us = cl->frozen_until_us;
        sim_after(&cl->cluster->world, cl->frozen_until_us - now_us, on_timer, o, life);
        return;
    }
    o->timer_us = UINT64_MAX;
    ping_late(cl);
    step(o, (struct sherd_event){.kind = SHERD_EVENT_TIMER});
}

static void set_timer(struct sim_op *o)
{
    uint64_t now_us = o->client->cluster->world.now_us;
    uint64_t due_us = o->op.due_us > now_us ? o->op.due_us : now_us;

    if (o->over || due_us >= o->timer_us) return;
    o->timer_us = due_us;
    sim_after(&o->client->cluster->world, due_us - now_us, on_timer, o, o->life);
}

/* Steps, carries out, and steps again with what that gave, until nothing more comes of it. */
static void step(struct sim_op *o, struct sherd_event event)
{
    struct sherd_effects effects;

    for (int turns = 0; event.kind != NO_EVENT && !o->over; turns++) {
        struct sherd_env env = env_of(o);
        uint32_t unsent = 0;

        sherd_operation_step(&o->op, &env, &event, &effects);
        event.kind = NO_EVENT;
        for (uint8_t i = 0; i < effects.count && event.kind == NO_EVENT; i++) {
            event = carry_out(o, &effects.list[i], &unsent);
            SHERD_ASSERT(event.kind == NO_EVENT || event.kind == SHERD_EVENT_REFUSED ||
                         i + 1 == effects.count);
        }
        if (unsent && event.kind != SHERD_EVENT_REFUSED) {
            SHERD_ASSERT(event.kind == NO_EVENT);
            event = (struct sherd_event){.kind = SHERD_EVENT_UNSENT, .slots = unsent};
        }
        SHERD_ASSERT(turns < 100);
    }
    if (o->over) {
        o->done(o);
        return;
    }
    if (o->answered && !o->told) {
        o->told = true;
        o->done(o);
    }
    set_timer(o);
}

/* ---- operations ---- */

struct sim_op *sim_op_new(struct sim_client *cl, enum sherd_goal goal, uint8_t key,
                          uint64_t timeout_us)
{
    struct sim_cluster *c = cl->cluster;
    struct sim_op *o = sim_alloc(&c->world, sizeof(*o));

    o->client = cl;
    o->life = cl->life;
    o->key = key;
    o->timer_us = UINT64_MAX;
    o->op.goal = (uint8_t)goal;
    o->op.tag = (++cl->tag << 16) | cl->life << 48;
    o->op.key = (struct sherd_bytes){c->key_text[key], strlen(c->key_text[key])};
    o->op.key_hash = c->key_hash[key];
    o->op.deadline_us = c->world.now_us + timeout_us;
    return o;
}

void sim_op_submit(struct sim_op *o)
{
    o->next = o->client->ops;
    o->client->ops = o;
    step(o, (struct sherd_event){.kind = SHERD_EVENT_START});
}

/* ---- what comes in ---- */

static struct sim_op *find(struct sim_client *cl, uint64_t id)
{
    for (struct sim_op *o = cl->ops; o; o = o->next)
        if (o->op.tag == (id & ~(uint64_t)UINT16_MAX)) return o;
    return NULL;
}

/* The place for a slot's shard of one version: nodes show it once for each ballot that carried it.
 */
static struct sim_piece *piece_of(struct sim_op *o, uint8_t slot, struct sherd_ballot version)
{
    struct sim_piece *p = o->pieces;

    while (p && (p->slot != slot || !sherd_ballot_equal(p->version, version)))
        p = p->next;
    if (p) return p;
    p = sim_alloc(&o->client->cluster->world, sizeof(*p));
    p->next = o->pieces;
    return o->pieces = p;
}

/* As the client does (client/pieces.h): a shard that its CRC does not fit is none. */
static bool is_intact(const struct sim_op *o, struct sherd_entry *e)
{
    if (sherd_crc32c(e->shard.data, e->shard.size) == e->crc) return true;
    sim_trace(&o->client->cluster->world, "%s: a shard of key %u is broken",
              sim_who(o->client->address).text, o->key);
    e->has_shard = false;
    e->shard = (struct sherd_bytes){NULL, 0};
    return false;
}

/* Keeps the shards that come with an answer of the current round, until another round brings some:
 * what a PROMISE brought is still decoded after the PREPARE that proposed it again. */
static void keep_pieces(struct sim_op *o, struct sherd_answer *a)
{
    if ((a->id & UINT16_MAX) != o->op.round) return;
    if (a->kind != SHERD_STATE && a->kind != SHERD_PROMISED) return;
    if (o->pieces_round != o->op.round) o->pieces = NULL;
    o->pieces_round = o->op.round;
    for (uint8_t i = 0; i < a->entry_count; i++) {
        struct sherd_entry *e = &a->entries[i];
        if (!e->shard.data || !is_intact(o, e)) continue;
        struct sim_piece *p = piece_of(o, a->slot, e->version);
        SHERD_ASSERT(e->shard.size <= SIM_VALUE_BYTES_MAX);
        p->slot = a->slot;
        p->version = e->version;
        p->size = (uint8_t)e->shard.size;
        memcpy(p->bytes, e->shard.data, e->shard.size);
    }
}

static void take_answer(struct sim_client *cl, struct sherd_answer *a)
{
    struct sim_op *o = NULL;

    if (a->kind == SHERD_MAP) {
        const struct sim_map *map = sim_map_of(cl->cluster, a->body);
        if (map) sim_client_take_map(cl, map);
        return;
    }
    o = find(cl, a->id);
    if (!o) {
        if (cl->address >= SIM_DAEMON) sim_daemon_answer(cl, a);
        return;
    }
    keep_pieces(o, a);
    step(o, (struct sherd_event){.kind = SHERD_EVENT_ANSWER, .slot = a->slot, .answer = a});
}

void sim_client_receive(struct sim_client *cl, uint8_t from, struct sherd_bytes frame)
{
    struct sim_cluster *c = cl->cluster;
    struct sherd_wire_reader in;
    struct sherd_envelope e;
    struct sherd_answer a;
    bool goes_on = true;

    if (!cl->up) return;
    if (sherd_wire_open(&in, &frame, 1, &e) < 0 || sherd_wire_next_answer(&in, &a) < 0) {
        sim_fail(&c->world, "%s cannot read an answer", sim_who(cl->address).text);
        return;
    }
    sherd_hlc_merge(&cl->clock, e.clock, sim_wall_ms(c, cl->skew_ms));
    if (cl->session[from] == 0 || e.session != cl->session[from]) return;
    cl->waiting[from] = 0;
    if (cl->incarnation[from] == 0) cl->incarnation[from] = e.incarnation;
    goes_on = cl->incarnation[from] == e.incarnation &&
              (a.kind != SHERD_STALE || a.reason != SHERD_REASON_SESSION);
    if (a.kind == SHERD_PONG) cl->connected[from] = true;
    take_answer(cl, &a);
    if (!goes_on) greet(cl, from);
}

/* Operations may end in a step, and their ends start others: each is looked at once. */
static void step_all(struct sim_client *cl, struct sherd_event event, int node)
{
    struct sim_op *next = NULL;

    for (struct sim_op *o = cl->ops; o; o = next) {
        struct sherd_event mine = event;
        next = o->next;
        if (node >= 0) {
            int slot = sherd_partition_slot_of(o->op.partition, (uint16_t)node);
            if (slot < 0) continue;
            mine.slots = sherd_slot((uint8_t)slot);
        }
        step(o, mine);
        if (next && next->over) next = NULL;
    }
}

void sim_client_take_map(struct sim_client *cl, const struct sim_map *map)
{
    if (cl->map && cl->map->map->version >= map->map->version) return;
    cl->map = map;
    step_all(cl, (struct sherd_event){.kind = SHERD_EVENT_MAP}, -1);
}

/* ---- connections ---- */

static void hang_up(struct sim_client *cl, uint8_t node)
{
    bool was = cl->connected[node];

    cl->connected[node] = false;
    cl->session[node] = 0;
    cl->number[node] = 0;
    cl->incarnation[node] = 0;
    cl->waiting[node] = 0;
    if (was) step_all(cl, (struct sherd_event){.kind = SHERD_EVENT_GONE}, node);
}

static uint64_t greeting_of(const struct sim_client *cl, uint8_t node)
{
    return (cl->session[node] & UINT32_MAX) << 32 | (cl->life & 0xffffff) << 8 | node;
}

/* A PING, again and again until the node has answered. */
static void ping_new(void *context, uint64_t greeting)
{
    struct sherd_request r = {.kind = SHERD_PING, .id = 1, .shard_frame = -1};
    struct sim_client *cl = context;
    uint8_t node = (uint8_t)greeting;

    if (!cl->up || cl->connected[node] || greeting_of(cl, node) != greeting) return;
    send(cl, node, &r);
    sim_after(&cl->cluster->world, GREET_AGAIN_US, ping_new, cl, greeting);
}

/* A new session: the node is used once it has said which life of it this is (client/peers.c). */
static void greet(struct sim_client *cl, uint8_t node)
{
    hang_up(cl, node);
    cl->session[node] = sim_random(&cl->cluster->world) | 1;
    ping_new(cl, greeting_of(cl, node));
}

void sim_client_connection(struct sim_client *cl, uint8_t node, bool up)
{
    if (up)
        greet(cl, node);
    else
        hang_up(cl, node);
}

void sim_client_start(struct sim_client *cl)
{
    struct sim_world *w = &cl->cluster->world;

    cl->up = true;
    cl->life++;
    cl->client = sim_random(w) >> 40; /* short, for traces */
    cl->ops = NULL;
    cl->frozen_until_us = 0;
    memset(cl->known, 0, sizeof(cl->known));
    memset(cl->known_value, 0, sizeof(cl->known_value));
    memset(cl->connected, 0, sizeof(cl->connected));
    for (uint8_t i = 0; i < cl->cluster->nodes; i++)
        sim_client_connection(cl, i, cl->cluster->node[i].up);
}

void sim_client_stop(struct sim_client *cl)
{
    cl->up = false;
    cl->life++;
    cl->ops = NULL;
}
