#include "tests/simulation/node.h"

#include <errno.h>
#include <string.h>

#include "tests/simulation/daemon.h"
#include "tests/simulation/engine.h"
#include "tests/simulation/network.h"
#include "tests/simulation/story.h"

enum { TICK_US = 100 * SIM_MS, PAGE_BYTES = 1024 };

static bool bit_of(const uint8_t *bits, uint16_t i) { return bits[i / 8] >> i % 8 & 1; }

static void clear_bit(uint8_t *bits, uint16_t i) { bits[i / 8] &= (uint8_t) ~(1u << i % 8); }

/* ---- the store ---- */

static void drop_partition(struct sim_node *n, uint16_t partition)
{
    sim_trace(&n->cluster->world, "node %u: drops partition %u", n->id, partition);
    for (uint8_t key = 0; key < n->cluster->keys; key++)
        if (sim_partition_of(n->cluster, key) == partition)
            memset(&n->cells[key], 0, sizeof(n->cells[key]));
}

/* Does to `record` what a store does with a change: nothing else is kept. */
static void carry_out(const struct sherd_change *change, const struct sherd_request *r,
                      const struct sherd_record *after, struct sherd_record *record)
{
    uint8_t kept = 0;

    for (uint8_t i = 0; i < record->count; i++) {
        struct sherd_entry e = record->entries[i];
        e.committed = e.committed || (change->committed >> i & 1);
        e.shown = e.shown || (change->shown >> i & 1);
        if (!(change->dropped >> i & 1)) record->entries[kept++] = e;
    }
    record->count = kept;
    if (change->put) {
        uint8_t at = record->count++;
        for (; at > 0 && sherd_ballot_compare(record->entries[at - 1].ballot, r->ballot) > 0; at--)
            record->entries[at] = record->entries[at - 1];
        bool empty = (r->meta.flags & (SHERD_META_TOMBSTONE | SHERD_META_LOST)) != 0;
        record->entries[at] = (struct sherd_entry){.ballot = r->ballot,
                                                   .version = r->version,
                                                   .meta = r->meta,
                                                   .committed = change->put_committed,
                                                   .has_shard = !empty,
                                                   .crc = r->crc,
                                                   .shard = r->shard};
    }
    if (change->bounds || change->forget) {
        record->promised = after->promised;
        record->refused = after->refused;
    }
}

static bool is_same(const struct sherd_record *a, const struct sherd_record *b)
{
    if (a->count != b->count || !sherd_ballot_equal(a->promised, b->promised) ||
        !sherd_ballot_equal(a->refused, b->refused))
        return false;
    for (uint8_t i = 0; i < a->count; i++) {
        const struct sherd_entry *x = &a->entries[i], *y = &b->entries[i];
        if (!sherd_ballot_equal(x->ballot, y->ballot) ||
            !sherd_ballot_equal(x->version, y->version) || x->committed != y->committed ||
            x->shown != y->shown || x->has_shard != y->has_shard || x->crc != y->crc ||
            x->shard.size != y->shard.size)
            return false;
    }
    return true;
}

/* Only what it holds: records are mostly short, and this is done for every message. */
static void copy_record(struct sherd_record *to, const struct sherd_record *from)
{
    memcpy(to, from,
           offsetof(struct sherd_record, entries) + from->count * sizeof(from->entries[0]));
}

/* Moves the shards of the entries into the cell's own room. */
static void keep(struct sim_cell *cell, const struct sherd_record *record)
{
    uint8_t room[SHERD_ENTRIES_MAX + 1][SIM_VALUE_BYTES_MAX];

    for (uint8_t i = 0; i < record->count; i++) {
        const struct sherd_bytes *shard = &record->entries[i].shard;
        SHERD_ASSERT(shard->size <= SIM_VALUE_BYTES_MAX);
        if (shard->data) memcpy(room[i], shard->data, shard->size);
    }
    copy_record(&cell->record, record);
    for (uint8_t i = 0; i < record->count; i++) {
        struct sherd_bytes *shard = &cell->record.entries[i].shard;
        if (!shard->data) continue;
        memcpy(cell->room[i], room[i], shard->size);
        shard->data = cell->room[i];
    }
}

/* ---- requests to one key ---- */

/* What comes out of this node's memory is not always what went in. */
static void rot(struct sim_node *n, struct sherd_answer *a)
{
    struct sim_cluster *c = n->cluster;

    if (n->id != c->weather.rotten) return;
    for (uint8_t i = 0; i < a->entry_count; i++) {
        struct sherd_bytes *shard = &a->entries[i].shard;
        if (!shard->data || shard->size == 0 || !sim_bad_luck(c, c->weather.rot)) continue;
        uint8_t *copy = sim_alloc(&c->world, shard->size);
        memcpy(copy, shard->data, shard->size);
        copy[sim_below(&c->world, shard->size)] ^= (uint8_t)(1u << sim_below(&c->world, 8));
        shard->data = copy;
        c->counts->rotten++;
    }
}

static void answer(struct sim_node *n, uint8_t from, const struct sherd_envelope *to,
                   const struct sherd_request *r, struct sherd_answer *a)
{
    struct sherd_envelope e = {.type = SHERD_ANSWERS,
                               .count = 1,
                               .session = to->session,
                               .incarnation = n->incarnation,
                               .map_version = n->all.version,
                               .clock = n->clock.last};

    a->id = r->id;
    a->slot = r->slot;
    a->map_version = n->all.version;
    rot(n, a);
    if (r->id != 0) sim_send_answer(n->cluster, n->id, from, &e, a);
}

static void refuse(struct sim_node *n, uint8_t from, const struct sherd_envelope *e,
                   const struct sherd_request *r, enum sherd_reason reason)
{
    struct sherd_answer a = {.kind = SHERD_STALE, .reason = (uint8_t)reason};

    if (r->partition < n->all.count) a.epoch = n->states[r->partition].epoch;
    if (r->kind < SHERD_PING)
        sim_trace(&n->cluster->world, "node %u: %s from %s: STALE%s", n->id,
                  sim_message_name(r->kind), sim_who(from).text, sim_reason_name(a.reason));
    answer(n, from, e, r, &a);
}

/* To 120 s behind this node's clock (PROTOCOL 8). */
static void raise_floor(struct sim_node *n, struct sherd_partition_state *p)
{
    uint64_t behind_ms = sim_wall_ms(n->cluster, n->skew_ms) - SHERD_FLOOR_BEHIND_MS;
    struct sherd_ballot floor = {.clock = behind_ms << 16, .epoch = p->epoch};

    p->floor = sherd_ballot_max(p->floor, floor);
}

static bool is_full(struct sim_node *n, const struct sherd_request *r)
{
    struct sim_cluster *c = n->cluster;

    if (r->kind != SHERD_PREPARE || (r->flags & SHERD_FROM_RESERVE)) return false;
    if (n->full_until_us <= c->world.now_us && !sim_bad_luck(c, c->weather.full)) return false;
    c->counts->refused++;
    return true;
}

static struct sherd_participant_env env_of(struct sim_node *n, const struct sherd_request *r)
{
    struct sim_cluster *c = n->cluster;
    struct sherd_partition_state *p = &n->states[r->partition];
    bool full = is_full(n, r);

    if (r->kind == SHERD_FORGET) raise_floor(n, p);
    return (struct sherd_participant_env){
        .wall_ms = sim_wall_ms(c, n->skew_ms),
        .floor = p->floor,
        .voter = p->voter,
        .clean = p->clean,
        .room = !full,
        .holders = p->holders,
    };
}

static void note_lost(struct sim_node *n, const struct sherd_request *r, int key)
{
    struct sim_cluster *c = n->cluster;
    struct history *h = &c->history[key];

    if (r->kind != SHERD_PREPARE || !(r->meta.flags & SHERD_META_LOST)) return;
    c->counts->lost_markers++;
    if (!c->lossy)
        sim_fail(&c->world, "key %d is called lost, and too little was lost for it", key);
    struct history_call *call = history_add(h, HISTORY_LOSS, c->world.order);
    if (call) call->value = HISTORY_LOST;
}

/* As a store that cannot take a change: nothing is kept, and nothing answered. */
static bool has_no_memory(struct sim_node *n, const struct sherd_change *change)
{
    if (!sherd_change_is_any(change) || !sim_bad_luck(n->cluster, n->cluster->weather.no_memory))
        return false;
    n->cluster->counts->no_memory++;
    return true;
}

static void serve_key(struct sim_node *n, uint8_t from, const struct sherd_envelope *e,
                      const struct sherd_request *r, int key)
{
    struct sim_cluster *c = n->cluster;
    struct sherd_participant_env env = env_of(n, r);
    struct sherd_record record, copy;
    struct sherd_change change;
    struct sherd_answer a;

    copy_record(&record, &n->cells[key].record);
    copy_record(&copy, &record);
    a.epoch = n->states[r->partition].epoch;
    sherd_participant_step(&env, r, &record, &change, &a);
    carry_out(&change, r, &record, &copy);
    if (!is_same(&record, &copy))
        sim_fail(&c->world, "the change of message %u does not say what became of the record",
                 r->kind);
    if (has_no_memory(n, &change)) return;
    if (a.kind == SHERD_NACK && a.reason == SHERD_REASON_DIFFERENT)
        sim_fail(&c->world, "two values under one ballot of key %d", key);
    if (change.put) note_lost(n, r, key);
    c->counts->forgotten += change.forget;
    sherd_hlc_merge(&n->clock, r->ballot.clock, env.wall_ms);
    sim_trace(&c->world, "node %u: %s of key %d from %s, ballot %s: %s%s%s", n->id,
              sim_message_name(r->kind), key, sim_who(from).text, sim_ballot_name(r->ballot).text,
              sim_message_name(a.kind), sim_reason_name(a.reason),
              a.flags & SHERD_ANSWER_EXPOSED ? " exposed" : "");
    answer(n, from, e, r, &a);
    keep(&n->cells[key], &record);
    if (change.repair_me || change.repair_others) n->cells[key].repair = true;
}

/* ---- requests to the node ---- */

static void seal(struct sim_node *n, struct sherd_bytes body)
{
    struct sim_cluster *c = n->cluster;
    const struct sim_map *map = sim_map_of(c, body);
    struct sherd_partition_state before[SIM_PARTITIONS_MAX];
    uint8_t drop[SHERD_PARTITIONS / 8];
    uint64_t version = n->all.version;
    int rc = 0;

    if (!map || sim_bad_luck(c, c->weather.no_memory)) return;
    memcpy(before, n->states, sizeof(before));
    rc = sherd_partitions_seal(&n->all, map->map, map->hash, drop);
    if (rc == -EPROTO) sim_fail(&c->world, "node %u refuses a map for good", n->id);
    if (rc < 0 || n->all.version == version) return;
    n->map = map;
    sim_trace(&c->world, "node %u: sealed map %u", n->id, (unsigned)n->all.version);
    for (uint16_t i = 0; i < c->partitions; i++) {
        if (bit_of(drop, i)) drop_partition(n, i);
        if (before[i].epoch == n->states[i].epoch &&
            before[i].incarnation == n->states[i].incarnation)
            continue;
        clear_bit(n->rebuilt, i);
        clear_bit(n->scanned, i);
    }
    sim_client_take_map(&n->daemon, map);
    sim_node_report(n);
}

static void list(struct sim_node *n, uint8_t from, const struct sherd_envelope *e,
                 const struct sherd_request *r)
{
    uint8_t room[PAGE_BYTES];
    struct sherd_writer_buffer page = {room, 0, sizeof(room)};
    struct sherd_answer a = {.kind = SHERD_PAGE, .flags = SHERD_ANSWER_END};
    struct sim_cluster *c = n->cluster;

    for (uint8_t key = 0; key < c->keys; key++) {
        struct sherd_bytes text = {c->key_text[key], strlen(c->key_text[key])};
        if (sim_partition_of(c, key) != r->partition || n->cells[key].record.count == 0) continue;
        int rc = sherd_wire_put_item(&page, text, NULL, 0);
        SHERD_ASSERT(rc == 0);
    }
    a.epoch = n->states[r->partition].epoch;
    a.body = (struct sherd_bytes){page.data, page.size};
    answer(n, from, e, r, &a);
}

static void serve_node(struct sim_node *n, uint8_t from, const struct sherd_envelope *e,
                       const struct sherd_request *r)
{
    struct sherd_answer a = {.kind = SHERD_PONG};

    switch (r->kind) {
    case SHERD_SEAL:
        seal(n, r->body);
        a.kind = SHERD_SEALED;
        break;
    case SHERD_LIVE:
        sherd_partitions_live(&n->all, r->since);
        a.kind = SHERD_SEALED;
        break;
    case SHERD_GET_MAP:
        if (n->map) a.kind = SHERD_MAP;
        if (n->map) a.body = n->map->bytes;
        break;
    default: break; /* PING */
    }
    answer(n, from, e, r, &a);
}

static void serve(struct sim_node *n, uint8_t from, const struct sherd_envelope *e,
                  struct sherd_request *r)
{
    struct sim_cluster *c = n->cluster;
    enum sherd_reason reason = SHERD_REASON_NONE;
    int key = 0;

    if (r->kind >= SHERD_PING) {
        serve_node(n, from, e, r);
        return;
    }
    if (r->kind != SHERD_LIST) {
        key = sim_key_of(c, r->key);
        SHERD_ASSERT(key >= 0);
        r->key_hash = c->key_hash[key];
        r->partition = sim_partition_of(c, (uint8_t)key);
    }
    reason = sherd_partitions_check(&n->all, r->partition, r->epoch, r->slot);
    if (reason != SHERD_REASON_NONE)
        refuse(n, from, e, r, reason);
    else if (r->kind == SHERD_LIST)
        list(n, from, e, r);
    else
        serve_key(n, from, e, r, key);
}

/* As server/service.c: another life of this node, and sessions of clients and daemons. */
static enum sherd_session_verdict verdict_of(struct sim_node *n, uint8_t from,
                                             const struct sherd_envelope *e)
{
    if (from < SIM_CLIENT) return SHERD_SESSION_TAKE;
    if (e->incarnation != 0 && e->incarnation != n->incarnation) return SHERD_SESSION_UNKNOWN;
    return n->sessions ? sherd_sessions_check(n->sessions, e->session, e->number)
                       : SHERD_SESSION_TAKE;
}

void sim_node_receive(struct sim_node *n, uint8_t from, struct sherd_bytes frame)
{
    struct sherd_wire_reader in;
    struct sherd_envelope e;
    struct sherd_request r;

    if (!n->up) return;
    if (sherd_wire_open(&in, &frame, 1, &e) < 0 || e.type != SHERD_REQUESTS ||
        sherd_wire_next_request(&in, &r) < 0) {
        sim_fail(&n->cluster->world, "node %u cannot read a request", n->id);
        return;
    }
    switch (verdict_of(n, from, &e)) {
    case SHERD_SESSION_REPEAT: return;
    case SHERD_SESSION_UNKNOWN:
        n->cluster->counts->sessions++;
        refuse(n, from, &e, &r, SHERD_REASON_SESSION);
        return;
    default: serve(n, from, &e, &r);
    }
}

/* ---- life ---- */

void sim_node_report(struct sim_node *n)
{
    uint8_t room[SHERD_REPORT_BYTES_MAX];
    struct sherd_report report = {.node = n->id,
                                  .incarnation = n->incarnation,
                                  .cluster = n->all.cluster,
                                  .map_version = n->all.version,
                                  .live = n->all.live};
    struct sherd_envelope e = {.type = SHERD_REQUESTS, .count = 1};
    struct sherd_request r = {
        .kind = SHERD_HEARTBEAT, .shard_frame = -1, .body = {room, 0}
    };

    memcpy(report.rebuilt, n->rebuilt, sizeof(report.rebuilt));
    memcpy(report.scanned, n->scanned, sizeof(report.scanned));
    for (uint16_t i = 0; n->map && i < n->cluster->partitions; i++)
        if (sherd_partitions_is_forgotten(&n->map->map->partitions[i], n->id,
                                          n->states[i].forgotten))
            report.forgotten[i / 8] |= (uint8_t)(1u << i % 8);
    r.body.size = sherd_report_encode(&report, room, sizeof(room));
    SHERD_ASSERT(r.body.size != 0);
    sim_send_request(n->cluster, n->id, SIM_KEEPER, &e, &r);
}

static void tick(void *context, uint64_t started)
{
    struct sim_node *n = context;

    if (!n->up || n->started != started) return;
    if (n->frozen_until_us <= n->cluster->world.now_us) {
        sim_node_report(n);
        sim_daemon_tick(n);
    }
    sim_after(&n->cluster->world,
              (n->cluster->idle ? 5 : 1) * (TICK_US + sim_below(&n->cluster->world, TICK_US / 4)),
              tick, n, started);
}

void sim_node_start(struct sim_node *n)
{
    sim_trace(&n->cluster->world, "node %u: starts", n->id);
    n->up = true;
    n->frozen_until_us = 0;
    n->all.states = n->states;
    if (n->sessions)
        memset(n->sessions, 0, sizeof(*n->sessions));
    else if (n->cluster->weather.sessions)
        n->sessions = sim_alloc(&n->cluster->world, sizeof(*n->sessions));
    sim_daemon_start(n);
    tick(n, ++n->started);
}

void sim_node_stop(struct sim_node *n)
{
    sim_trace(&n->cluster->world, "node %u: stops", n->id);
    n->up = false;
    sim_daemon_stop(n);
}

void sim_node_forget(struct sim_node *n, uint16_t partition)
{
    sim_trace(&n->cluster->world, "node %u: what it has of partition %u is damaged", n->id,
              partition);
    sherd_partitions_forget(&n->all, partition);
    drop_partition(n, partition);
    clear_bit(n->rebuilt, partition);
    clear_bit(n->scanned, partition);
}

void sim_node_wipe(struct sim_node *n)
{
    struct sim_cluster *c = n->cluster;

    sim_node_stop(n);
    sim_trace(&c->world, "node %u: loses its state", n->id);
    memset(n->cells, 0, sizeof(n->cells));
    memset(n->states, 0, sizeof(n->states));
    memset(n->rebuilt, 0, sizeof(n->rebuilt));
    memset(n->scanned, 0, sizeof(n->scanned));
    n->incarnation = sim_random(&c->world) | 1;
    n->all = (struct sherd_partitions){
        .node = n->id, .incarnation = n->incarnation, .count = c->partitions, .states = n->states};
    n->map = NULL;
}
