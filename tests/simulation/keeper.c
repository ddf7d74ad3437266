#include "tests/simulation/keeper.h"

#include <stdio.h>
#include <string.h>

#include "tests/simulation/faults.h"
#include "tests/simulation/network.h"

enum { TICK_US = 40 * SIM_MS, IDLE_TICK_US = 1000 * SIM_MS };

static uint64_t now_ms(const struct sim_keeper *k) { return k->cluster->world.now_us / 1000; }

static struct sherd_envelope envelope(const struct sim_keeper *k)
{
    return (struct sherd_envelope){
        .type = SHERD_REQUESTS, .count = 1, .map_version = k->map->version};
}

static void send_map(struct sim_keeper *k, uint8_t node)
{
    struct sherd_envelope e = envelope(k);
    struct sherd_request r = {.kind = SHERD_SEAL, .shard_frame = -1, .body = k->file->bytes};

    sim_send_request(k->cluster, SIM_KEEPER, node, &e, &r);
}

static void send_live(struct sim_keeper *k, uint8_t node)
{
    struct sherd_envelope e = envelope(k);
    struct sherd_request r = {.kind = SHERD_LIVE, .shard_frame = -1, .since = k->map->live};

    sim_send_request(k->cluster, SIM_KEEPER, node, &e, &r);
}

/* Makes `next` durable, and only then anybody's. The file keeps the bytes as published: their hash
 * is what the successor names. */
static void publish(struct sim_keeper *k)
{
    struct sim_cluster *c = k->cluster;
    uint8_t room[SIM_MESSAGE_BYTES_MAX];
    struct sherd_bytes bytes = {room, 0};

    k->next->predecessor = k->file ? k->file->hash : 0;
    SHERD_ASSERT(sherd_map_encoded_max(k->next) <= sizeof(room) - 256);
    bytes.size = sherd_map_encode(k->next, room, sizeof(room));
    SHERD_ASSERT(bytes.size != 0);
    const struct sim_map *map = sim_map_of(c, bytes);
    if (!map) return;
    k->file = map;
    k->file_live = k->next->live;
    c->counts->epochs++;
    for (uint16_t i = 0; i < map->map->partition_count; i++) {
        const struct sherd_partition *p = &map->map->partitions[i];
        sim_trace(&c->world,
                  "keeper: map %u live %u: partition %u epoch %u voters %x learners %x "
                  "open %u lost %u",
                  (unsigned)map->map->version, (unsigned)map->map->live, i, p->epoch, p->voters,
                  p->learners, p->open_count, p->lost);
    }
    sim_faults_judge_map(c, map->map);
    sherd_membership_commit(&k->machine);
    for (uint8_t i = 0; i < c->nodes; i++)
        send_map(k, i);
    sim_faults_published(c);
}

static void announce(struct sim_keeper *k)
{
    sim_trace(&k->cluster->world, "keeper: live %u", (unsigned)k->map->live);
    k->file_live = k->map->live;
    for (uint8_t i = 0; i < k->cluster->nodes; i++)
        send_live(k, i);
}

static void think(struct sim_keeper *k)
{
    int effect = 0;

    if (k->slow_until_us > k->cluster->world.now_us) return;
    if (k->cluster->calm) sherd_membership_accept_loss(&k->machine); /* an operator comes */
    do {
        effect = sherd_membership_step(&k->machine, now_ms(k));
        if (effect == SHERD_MEMBERSHIP_PUBLISH) publish(k);
        if (effect == SHERD_MEMBERSHIP_LIVE) announce(k);
    } while (effect != 0 && k->up && k->slow_until_us <= k->cluster->world.now_us &&
             !k->cluster->world.failed);
}

static void tick(void *context, uint64_t started)
{
    struct sim_keeper *k = context;

    if (!k->up || k->started != started) return;
    think(k);
    sim_after(&k->cluster->world, k->cluster->idle ? IDLE_TICK_US : TICK_US, tick, k, started);
}

/* What the keeper's configuration says, before there is a map. */
static void configure(struct sim_keeper *k)
{
    const struct sim_cluster *c = k->cluster;

    memset(k->map, 0, sherd_map_size(c->partitions));
    k->map->k = c->config.k;
    k->map->m = c->config.m;
    k->map->node_count = c->nodes;
    k->map->partition_count = c->partitions;
    for (uint8_t i = 0; i < c->nodes; i++) {
        struct sherd_node *n = &k->map->nodes[i];
        n->id = i;
        n->weight = 1;
        snprintf(n->endpoint, sizeof(n->endpoint), "sim:%u", i);
    }
}

void sim_keeper_start(struct sim_keeper *k)
{
    struct sim_cluster *c = k->cluster;
    struct sherd_membership_config config = {.vacate_after_ms = c->vacate_ms, .cluster = 77};
    size_t size = sherd_map_size(c->partitions);

    if (!k->map) {
        k->map = sim_alloc(&c->world, size);
        k->next = sim_alloc(&c->world, size);
    }
    if (k->file) {
        memcpy(k->map, k->file->map, size);
        k->map->live = k->file_live;
    } else {
        configure(k);
        config.init = true;
    }
    sherd_membership_init(&k->machine, &config, k->map, k->next);
    k->up = true;
    k->slow_until_us = 0;
    tick(k, ++k->started);
}

void sim_keeper_stop(struct sim_keeper *k) { k->up = false; }

static bool is_news(struct sim_keeper *k, const struct sherd_report *report)
{
    struct sherd_report *last = &k->last[report->node];
    bool is_same = last->incarnation == report->incarnation &&
                   last->map_version == report->map_version && last->live == report->live &&
                   memcmp(last->rebuilt, report->rebuilt, sizeof(last->rebuilt)) == 0 &&
                   memcmp(last->scanned, report->scanned, sizeof(last->scanned)) == 0 &&
                   memcmp(last->forgotten, report->forgotten, sizeof(last->forgotten)) == 0;

    *last = *report;
    return !is_same;
}

void sim_keeper_receive(struct sim_keeper *k, uint8_t from, struct sherd_bytes frame)
{
    struct sherd_wire_reader in;
    struct sherd_envelope e;
    struct sherd_request r;
    struct sherd_report report;

    if (!k->up || k->slow_until_us > k->cluster->world.now_us) return;
    if (sherd_wire_open(&in, &frame, 1, &e) < 0 || e.type != SHERD_REQUESTS) return;
    if (sherd_wire_next_request(&in, &r) < 0 || r.kind != SHERD_HEARTBEAT ||
        sherd_report_decode(r.body, &report) < 0) {
        sim_fail(&k->cluster->world, "the keeper cannot read a heartbeat");
        return;
    }
    if (!sherd_membership_hear(&k->machine, &report, now_ms(k))) {
        sim_trace(&k->cluster->world, "keeper: does not hear node %u", from);
        return;
    }
    if (is_news(k, &report)) think(k); /* else the next tick will do */
    if (k->map->version == 0) return;
    if (report.map_version < k->map->version)
        send_map(k, from);
    else if (report.live < k->map->live)
        send_live(k, from);
}
