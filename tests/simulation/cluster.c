#include "tests/simulation/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/engine.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/keeper.h"
#include "tests/simulation/load.h"
#include "tests/simulation/network.h"
#include "tests/simulation/node.h"
#include "tests/simulation/story.h"
#include "tests/simulation/weather.h"

enum {
    BOOT_US = 5 * SIM_SECOND,
    SETTLE_US = 60 * SIM_SECOND,
    LOOK_US = 250 * SIM_MS,
    LAST_CALL_US = 2 * SIM_SECOND,
    BUSY_US = 5 * SIM_MS, /* mean wait after a client that was busy */
};

/* ---- keys and maps ---- */

int sim_key_of(const struct sim_cluster *c, struct sherd_bytes key)
{
    for (uint8_t i = 0; i < c->keys; i++)
        if (key.size == strlen(c->key_text[i]) && memcmp(key.data, c->key_text[i], key.size) == 0)
            return i;
    return -1;
}

uint16_t sim_partition_of(const struct sim_cluster *c, uint8_t key)
{
    return (uint16_t)(c->key_hash[key] % c->partitions);
}

const struct sim_map *sim_map_of(struct sim_cluster *c, struct sherd_bytes bytes)
{
    uint16_t partitions = sherd_map_peek_partitions(bytes);
    uint64_t hash = sherd_map_hash(bytes);

    for (size_t i = 1; i < SIM_MAPS_MAX && c->maps[i].map; i++)
        if (c->maps[i].hash == hash) return &c->maps[i];

    struct sherd_map *map = sim_alloc_raw(&c->world, sherd_map_size(partitions));
    uint8_t *copy = sim_alloc_raw(&c->world, bytes.size);
    if (partitions != c->partitions || sherd_map_decode(bytes, map) < 0) {
        sim_fail(&c->world, "a map cannot be decoded");
        return NULL;
    }
    if (map->version >= SIM_MAPS_MAX || c->maps[map->version].map) {
        sim_fail(&c->world, "map %u: another of this version was published, or too many",
                 (unsigned)map->version);
        return NULL;
    }
    memcpy(copy, bytes.data, bytes.size);
    c->maps[map->version] = (struct sim_map){
        map, {copy, bytes.size},
         hash
    };
    return &c->maps[map->version];
}

/* ---- start ---- */

static void init(struct sim_cluster *c)
{
    struct sim_world *w = &c->world;

    c->partitions = (uint16_t)(1 + sim_below(w, SIM_PARTITIONS_MAX));
    c->nodes = (uint8_t)(c->config.k + c->config.m + sim_below(w, 3));
    if (c->nodes > SIM_NODES_MAX) c->nodes = SIM_NODES_MAX;
    c->keys = (uint8_t)(1 + sim_below(w, SIM_KEYS_MAX));
    c->deaf = (uint8_t)sim_below(w, 2u * c->nodes);
    c->clients = (uint8_t)(1 + sim_below(w, sim_below(w, 4) ? 5 : SIM_CLIENTS_MAX));
    c->plan = (struct sim_plan){
        .pause = sim_below(w, 8) == 0,
        .lose = sim_below(w, 8) == 0,
        .first_ms = 300 + sim_below(w, 1000),
        .pause_us = (125 + sim_below(w, 60)) * (uint64_t)SIM_SECOND, /* tombstones go */
        .storm_ms = sim_below(w, 2) ? 50 + sim_below(w, 400) : 300 + sim_below(w, 4000),
    };
    for (uint8_t i = 0; i < c->keys; i++) {
        snprintf(c->key_text[i], sizeof(c->key_text[i]), "k%u", i % 10u);
        c->key_hash[i] = sherd_hash_key(c->key_text[i], strlen(c->key_text[i]));
        c->history[i] = (struct history){.calls = c->history_room[i], .room = SIM_HISTORY_MAX};
    }
}

static void start_nodes(struct sim_cluster *c)
{
    for (uint8_t i = 0; i < c->nodes; i++) {
        struct sim_node *n = &c->node[i];
        n->cluster = c;
        n->id = i;
        n->daemon = (struct sim_client){.cluster = c, .address = (uint8_t)(SIM_DAEMON + i)};
        n->incarnation = sim_random(&c->world) | 1;
        n->all = (struct sherd_partitions){
            .node = i, .incarnation = n->incarnation, .count = c->partitions, .states = n->states};
    }
    for (uint8_t i = 0; i < c->nodes; i++)
        sim_node_start(&c->node[i]);
    for (uint8_t i = 0; i < c->nodes; i++)
        for (uint8_t j = 0; j < c->nodes; j++)
            sim_client_connection(&c->node[i].daemon, j, true);
}

static void start_clients(struct sim_cluster *c)
{
    for (uint8_t i = 0; i < c->clients; i++) {
        c->client[i] = (struct sim_client){.cluster = c, .address = (uint8_t)(SIM_CLIENT + i)};
        sim_client_start(&c->client[i]);
        sim_client_take_map(&c->client[i], c->keeper.file);
    }
    sim_faults_set_clocks(c);
}

static bool is_live_everywhere(const struct sim_cluster *c)
{
    const struct sherd_map *map = c->keeper.map;

    if (map->version == 0 || map->live != map->version) return false;
    for (uint8_t i = 0; i < c->nodes; i++)
        if (c->node[i].all.live != map->version) return false;
    return true;
}

static void boot(struct sim_cluster *c)
{
    uint64_t until_us = c->world.now_us + BOOT_US;

    c->calm = true;
    c->keeper.cluster = c;
    start_nodes(c);
    sim_keeper_start(&c->keeper);
    while (!is_live_everywhere(c) && !c->world.failed)
        if (!sim_world_step(&c->world, until_us)) break;
    if (!is_live_everywhere(c)) sim_fail(&c->world, "the cluster does not start");
    c->calm = false;
}

/* ---- the storm ---- */

static void call(void *context, uint64_t argument)
{
    struct sim_cluster *c = context;
    uint64_t gap_us = c->weather.gap_us;

    (void)argument;
    if (c->calm || sim_load_is_over(c)) return;
    if (!sim_load_call(c) && gap_us < BUSY_US) gap_us = BUSY_US;
    sim_after(&c->world, sim_below(&c->world, 2 * gap_us), call, c, 0);
}

static bool is_anybody_busy(const struct sim_cluster *c)
{
    for (uint8_t i = 0; i < c->clients; i++)
        if (c->client[i].ops) return true;
    return false;
}

static void run_for(struct sim_cluster *c, uint64_t time_us)
{
    uint64_t until_us = c->world.now_us + time_us;

    while (!c->world.failed && sim_world_step(&c->world, until_us))
        c->counts->events++;
}

/* ---- the calm, and what must hold then ---- */

static bool is_partition_settled(const struct sim_cluster *c, uint16_t i, const char **why)
{
    const struct sherd_map *map = c->keeper.map;
    const struct sherd_partition *p = &map->partitions[i];

    *why = "a slot has no voter";
    if (p->voters != sherd_slots_below((uint8_t)(map->k + map->m))) return false;
    *why = "an epoch is not clean";
    return sherd_partition_is_clean(p);
}

/* One committed entry, the same for all, and its shard. */
static bool is_key_settled(const struct sim_cluster *c, uint8_t key, const char **why)
{
    const struct sherd_partition *p = &c->keeper.map->partitions[sim_partition_of(c, key)];
    const struct sherd_entry *first = NULL;

    for (uint32_t rest = p->voters; rest; rest &= rest - 1) {
        uint16_t node = p->node[sherd_slots_first(rest)];
        const struct sherd_record *r = &c->node[node].cells[key].record;
        const struct sherd_entry *e = r->count ? &r->entries[0] : NULL;
        bool is_empty = e && sherd_meta_is_empty(&e->meta, 0);

        *why = "an entry is undecided";
        if (r->count > 1 || (e && !e->committed)) return false;
        if (e && sherd_meta_is_absent(&e->meta, 0)) e = NULL; /* others may have forgotten it */
        if (rest == p->voters) first = e;
        *why = "a holder lacks a value";
        if (!e != !first) return false;
        if (e && !sherd_ballot_equal(e->version, first->version)) return false;
        if (e && !is_empty && !e->has_shard) return false;
    }
    return true;
}

/* Who has no slot of the key's partition has nothing of the key. */
static bool is_held_by_holders_alone(const struct sim_cluster *c, uint8_t key)
{
    const struct sherd_partition *p = &c->keeper.map->partitions[sim_partition_of(c, key)];

    for (uint8_t i = 0; i < c->nodes; i++)
        if (sherd_partition_slot_of(p, i) < 0 && c->node[i].cells[key].record.count != 0)
            return false;
    return true;
}

static bool is_settled(const struct sim_cluster *c, const char **why)
{
    *why = "messages are late";
    if (c->world.now_us < c->calm_us + c->weather.late_us) return false;
    *why = "the map is not live everywhere";
    if (!is_live_everywhere(c)) return false;
    for (uint16_t i = 0; i < c->partitions; i++)
        if (!is_partition_settled(c, i, why)) return false;
    for (uint8_t key = 0; key < c->keys; key++)
        if (!is_key_settled(c, key, why)) return false;
    *why = "a node without a slot holds a shard";
    for (uint8_t key = 0; key < c->keys; key++)
        if (!is_held_by_holders_alone(c, key)) return false;
    *why = "an operation does not end";
    return !is_anybody_busy(c);
}

static void settle(struct sim_cluster *c)
{
    uint64_t until_us = c->world.now_us + SETTLE_US;
    const char *why = "";

    while (!is_settled(c, &why) && !c->world.failed && c->world.now_us < until_us)
        run_for(c, LOOK_US);
    if (!is_settled(c, &why)) sim_fail(&c->world, "after the calm: %s", why);
}

/* A call of the first client, in the calm. */
static enum sherd_outcome call_and_wait(struct sim_cluster *c, enum history_kind kind, uint8_t key)
{
    const struct sim_op *o = sim_load_ask(&c->client[0], kind, key, LAST_CALL_US);

    while (o && !o->over && !c->world.failed)
        run_for(c, SIM_MS);
    return o ? o->op.outcome : SHERD_OK;
}

static enum sherd_outcome get(struct sim_cluster *c, uint8_t key)
{
    return call_and_wait(c, HISTORY_GET, key);
}

static void ask(struct sim_cluster *c, enum history_kind kind, uint8_t key)
{
    enum sherd_outcome outcome = call_and_wait(c, kind, key);

    if (outcome == SHERD_OK || (kind == HISTORY_GET && outcome == SHERD_NOT_FOUND)) return;
    if (kind != HISTORY_SET && outcome == SHERD_LOST && c->lossy) return;
    sim_fail(&c->world, "after the calm, key %u: call %d ends with %s", key, kind,
             sherd_outcome_name(outcome));
}

static void judge(struct sim_cluster *c)
{
    for (uint8_t key = 0; key < c->keys; key++) {
        enum history_verdict verdict = history_check(c->config.checker, &c->history[key]);
        if (verdict == HISTORY_LINEARIZABLE) continue;
        c->counts->too_hard += verdict == HISTORY_TOO_HARD;
        if (verdict == HISTORY_TOO_HARD)
            sim_fail(&c->world, "the history of key %u is too hard to judge", key);
        else
            sim_fail(&c->world, "the history of key %u is not linearizable", key);
        if (c->config.quiet) continue;
        history_print(stdout, &c->history[key], c->key_text[key]);
        if (verdict == HISTORY_NOT_LINEARIZABLE)
            history_explain(c->config.checker, &c->history[key], c->key_text[key], stdout);
    }
}

static void storm(struct sim_cluster *c, uint64_t time_ms)
{
    c->calm = false;
    call(c, 0);
    sim_faults_start(c);
    run_for(c, time_ms * SIM_MS);
    sim_faults_end(c);
    settle(c);
}

static void pause(struct sim_cluster *c, uint64_t time_us)
{
    for (int i = 0; i < 8; i++)
        sim_load_call(c);
    run_for(c, sim_below(&c->world, 2 * SIM_MS));
    sim_faults_pause(c, time_us);
    run_for(c, time_us);
    c->idle = false;
    for (int i = 0; i < 8; i++)
        sim_load_call(c);
    run_for(c, 2 * SIM_SECOND);
}

/* A schedule that is made short tells only of the keys that it needs. */
static bool is_told_of(const struct sim_cluster *c, uint8_t key)
{
    return !c->config.skips || c->history[key].count != 0;
}

/* What is held by all survives the loss of m nodes' state at once, while nobody writes. */
static void lose_many(struct sim_cluster *c)
{
    enum sherd_outcome before[SIM_KEYS_MAX];

    for (uint8_t key = 0; key < c->keys && !c->world.failed; key++)
        before[key] = get(c, key);
    if (c->world.failed || !sim_faults_lose_many(c)) return;
    settle(c);
    for (uint8_t key = 0; key < c->keys && !c->world.failed; key++)
        if (get(c, key) != before[key] && !c->world.failed)
            sim_fail(&c->world, "key %u: all held it, and as many as may were lost, and it is gone",
                     key);
}

/* What every node holds, for whoever reads the trace of a failed schedule. */
static void print_records(const struct sim_cluster *c)
{
    for (uint8_t key = 0; key < c->keys; key++)
        for (uint8_t i = 0; i < c->nodes && is_told_of(c, key); i++) {
            const struct sherd_record *r = &c->node[i].cells[key].record;
            printf("key %u node %u: promised %s; refused %s\n", key, i,
                   sim_ballot_name(r->promised).text, sim_ballot_name(r->refused).text);
            for (const struct sherd_entry *e = r->entries; e < r->entries + r->count; e++)
                printf("    %s, version %s, flags %x%s%s%s\n", sim_ballot_name(e->ballot).text,
                       sim_ballot_name(e->version).text, e->meta.flags,
                       e->committed ? " committed" : "", e->shown ? " shown" : "",
                       e->has_shard ? "" : " no shard");
        }
}

static void last_look(struct sim_cluster *c)
{
    for (uint8_t key = 0; key < c->keys && !c->world.failed; key++) {
        if (!is_told_of(c, key)) continue;
        ask(c, HISTORY_GET, key);
        ask(c, HISTORY_SET, key);
        ask(c, HISTORY_GET, key);
    }
    judge(c);
}

static void begin(struct sim_cluster *c, const struct sim_config *config)
{
    struct sim_world world = c->world; /* its memory is taken again */

    memset(c, 0, sizeof(*c));
    c->world = world;
    c->config = *config;
    sim_world_init(&c->world, config->seed, config->trace);
    init(c);
    sim_weather_draw(c, 0);
    sim_weather_trace(c);
    if (config->skips) c->world.random ^= config->skips->jitter;
}

void sim_cluster_run(struct sim_cluster *c, const struct sim_config *config,
                     struct sim_counts *counts)
{
    uint64_t began_us = 0;

    begin(c, config);
    c->counts = counts;
    counts->schedules++;
    began_us = c->world.now_us;
    boot(c);
    if (!c->world.failed) start_clients(c);
    if (!c->world.failed && (c->plan.pause || c->plan.lose)) {
        storm(c, c->plan.first_ms);
        if (!c->world.failed && c->plan.lose) lose_many(c);
        if (!c->world.failed && c->plan.pause) pause(c, c->plan.pause_us);
        sim_weather_draw(c, 1);
        sim_weather_trace(c);
    }
    if (!c->world.failed) storm(c, c->plan.storm_ms);
    if (!c->world.failed) last_look(c);
    counts->seconds += (c->world.now_us - began_us) / SIM_SECOND;
    if (c->world.failed && c->world.trace) print_records(c);
}

void sim_cluster_fini(struct sim_cluster *c) { sim_world_fini(&c->world); }
