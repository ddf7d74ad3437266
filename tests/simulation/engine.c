#include "tests/simulation/engine.h"

#include <string.h>

#include "tests/simulation/daemon.h"
#include "tests/simulation/network.h"
#include "tests/simulation/value.h"

enum {
    LATE_REQUESTS = 4, /* as many without an answer, and a node is called late */
    PING_US = 10 * SIM_MS,
    HEDGE_US = 5 * SIM_MS,
    STRAGGLER_US = 20 * SIM_MS,
};

static void step(struct sim_op *o, struct sherd_event event);

/* ---- what the client knows of the nodes ---- */

static bool is_reachable(const struct sim_client *cl, uint16_t node)
{
    return cl->connected[node] && cl->waiting[node] < LATE_REQUESTS;
}

static uint32_t reachable_slots(const struct sim_client *cl, const struct sherd_partition *p)
{
    uint32_t slots = 0;

    for (uint32_t rest = sherd_partition_holders(p); rest; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        if (is_reachable(cl, p->node[slot])) slots |= sherd_slot(slot);
    }
    return slots;
}

struct sherd_envelope sim_client_envelope(struct sim_client *cl, uint8_t node)
{
    return (struct sherd_envelope){.type = SHERD_REQUESTS,
                                   .count = 1,
                                   .session = cl->session,
                                   .number = ++cl->number,
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
    for (uint8_t i = 0; i < o->piece_count; i++) {
        const struct sim_piece *p = &o->pieces[i];
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

static struct sherd_event decode(struct sim_op *o)
{
    uint8_t bytes[SIM_VALUE_BYTES_MAX];

    if (join(o, bytes) && sim_value_read(bytes, o->op.found.size, &o->current))
        return (struct sherd_event){.kind = SHERD_EVENT_DECODED};
    sim_fail(&o->client->cluster->world, "key %u: the shards do not give the value", o->key);
    return (struct sherd_event){.kind = SHERD_EVENT_CORRUPT};
}

static struct sherd_event encode_old(struct sim_op *o)
{
    uint8_t bytes[SIM_VALUE_BYTES_MAX];

    if (join(o, bytes)) {
        sim_value_encode(o->client->cluster, bytes, o->op.found.size, &o->old_shards);
        return (struct sherd_event){.kind = SHERD_EVENT_ENCODED};
    }
    sim_fail(&o->client->cluster->world, "key %u: the shards do not give the old value", o->key);
    return (struct sherd_event){.kind = SHERD_EVENT_CORRUPT};
}

static void encode_new(struct sim_op *o)
{
    uint8_t bytes[SIM_VALUE_BYTES_MAX];
    size_t size = sim_value_write(o->value, bytes);

    sim_value_encode(o->client->cluster, bytes, size, &o->shards);
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

enum { NO_EVENT = 0xff };

/* Carries one effect out; returns the event that it gives, if any. */
static struct sherd_event carry_out(struct sim_op *o, const struct sherd_effect *effect,
                                    uint32_t *unsent)
{
    struct sherd_event none = {.kind = NO_EVENT};

    switch (effect->kind) {
    case SHERD_EFFECT_SEND: *unsent |= send_all(o, effect); return none;
    case SHERD_EFFECT_ENCODE_NEW: encode_new(o); return none;
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
        for (uint8_t i = 0; i < effects.count; i++) {
            SHERD_ASSERT(event.kind == NO_EVENT);
            event = carry_out(o, &effects.list[i], &unsent);
        }
        if (unsent) {
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
    for (uint8_t i = 0; i < o->piece_count; i++)
        if (o->pieces[i].slot == slot && sherd_ballot_equal(o->pieces[i].version, version))
            return &o->pieces[i];
    SHERD_ASSERT(o->piece_count < sizeof(o->pieces) / sizeof(o->pieces[0]));
    return &o->pieces[o->piece_count++];
}

/* Keeps the shards that come with an answer of the current round, until another round brings some:
 * what a PROMISE brought is still decoded after the PREPARE that proposed it again. */
static void keep_pieces(struct sim_op *o, const struct sherd_answer *a)
{
    if ((a->id & UINT16_MAX) != o->op.round) return;
    if (a->kind != SHERD_STATE && a->kind != SHERD_PROMISED) return;
    if (o->pieces_round != o->op.round) o->piece_count = 0;
    o->pieces_round = o->op.round;
    for (uint8_t i = 0; i < a->entry_count; i++) {
        const struct sherd_entry *e = &a->entries[i];
        if (!e->shard.data) continue;
        struct sim_piece *p = piece_of(o, a->slot, e->version);
        SHERD_ASSERT(e->shard.size <= SIM_VALUE_BYTES_MAX);
        *p = (struct sim_piece){a->slot, (uint8_t)e->shard.size, e->version, {0}};
        memcpy(p->bytes, e->shard.data, e->shard.size);
    }
}

struct late_answer {
    struct sim_client *client;
    uint8_t from;
    size_t size;
    uint8_t bytes[];
};

static void receive_late(void *context, uint64_t argument)
{
    struct late_answer *l = context;

    (void)argument;
    sim_client_receive(l->client, l->from, (struct sherd_bytes){l->bytes, l->size});
}

/* A client that is stopped for a while reads its messages afterwards. */
static void put_off(struct sim_client *cl, uint8_t from, struct sherd_bytes frame)
{
    struct sim_world *w = &cl->cluster->world;
    struct late_answer *l = sim_alloc(w, sizeof(*l) + frame.size);

    *l = (struct late_answer){cl, from, frame.size};
    memcpy(l->bytes, frame.data, frame.size);
    sim_after(w, cl->frozen_until_us - w->now_us, receive_late, l, 0);
}

void sim_client_receive(struct sim_client *cl, uint8_t from, struct sherd_bytes frame)
{
    struct sim_cluster *c = cl->cluster;
    struct sherd_wire_reader in;
    struct sherd_envelope e;
    struct sherd_answer a;
    struct sim_op *o = NULL;

    if (!cl->up) return;
    if (c->world.now_us < cl->frozen_until_us) {
        put_off(cl, from, frame);
        return;
    }
    if (sherd_wire_open(&in, &frame, 1, &e) < 0 || sherd_wire_next_answer(&in, &a) < 0) {
        sim_fail(&c->world, "client %u cannot read an answer", cl->address);
        return;
    }
    if (e.session != cl->session) return;
    cl->waiting[from] = 0;
    cl->incarnation[from] = e.incarnation;
    sherd_hlc_merge(&cl->clock, e.clock, sim_wall_ms(c, cl->skew_ms));
    if (a.kind == SHERD_MAP) {
        const struct sim_map *map = sim_map_of(c, a.body);
        if (map) sim_client_take_map(cl, map);
        return;
    }
    o = find(cl, a.id);
    if (!o) {
        if (cl->address >= SIM_DAEMON) sim_daemon_answer(cl, &a);
        return;
    }
    keep_pieces(o, &a);
    step(o, (struct sherd_event){.kind = SHERD_EVENT_ANSWER, .slot = a.slot, .answer = &a});
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

void sim_client_connection(struct sim_client *cl, uint8_t node, bool up)
{
    bool was = cl->connected[node];

    cl->connected[node] = up;
    cl->waiting[node] = 0;
    if (was && !up) step_all(cl, (struct sherd_event){.kind = SHERD_EVENT_GONE}, node);
}

void sim_client_start(struct sim_client *cl)
{
    struct sim_world *w = &cl->cluster->world;

    cl->up = true;
    cl->life++;
    cl->session = sim_random(w);
    cl->client = sim_random(w) >> 40; /* short, for traces */
    cl->ops = NULL;
    cl->frozen_until_us = 0;
    memset(cl->known, 0, sizeof(cl->known));
    memset(cl->known_value, 0, sizeof(cl->known_value));
    memset(cl->waiting, 0, sizeof(cl->waiting));
    memset(cl->incarnation, 0, sizeof(cl->incarnation));
    for (uint8_t i = 0; i < cl->cluster->nodes; i++)
        cl->connected[i] = cl->cluster->node[i].up;
}

void sim_client_stop(struct sim_client *cl)
{
    cl->up = false;
    cl->life++;
    cl->ops = NULL;
}
