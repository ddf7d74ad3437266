#include "tests/simulation/faults.h"

#include <string.h>

#include "tests/simulation/engine.h"
#include "tests/simulation/keeper.h"
#include "tests/simulation/node.h"

enum { WIPES_MAX = 4 };

static uint32_t pick(struct sim_world *w, const uint32_t *choices, size_t count)
{
    return choices[sim_below(w, count)];
}
#define PICK(w, ...) \
    pick(w, (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

void sim_weather_draw(struct sim_cluster *c)
{
    struct sim_world *w = &c->world;

    c->weather = (struct sim_weather){
        .loss = PICK(w, 0, 0, 2000, 20000, 100000),
        .bad_kind = (uint8_t)PICK(w, 0, 0, 0, SHERD_PREPARE, SHERD_COMMIT, SHERD_COMMIT,
                                  SHERD_ABORT, SHERD_INSERT),
        .bad = PICK(w, 300000, 700000, 1000000),
        .repeat = PICK(w, 0, 30000),
        .late = PICK(w, 0, 5000, 50000, 200000),
        .delay_us = PICK(w, 50, 200, 2000, 8000),
        .late_us = PICK(w, 5000, 50000, 500000, 3000000),
        .stop = PICK(w, 0, 0, 2, 6),
        .wipe = PICK(w, 0, 1, 3, 6),
        .cut = PICK(w, 0, 0, 2, 6),
        .freeze = PICK(w, 0, 0, 2),
        .die = PICK(w, 0, 0, 2, 8),
        .keeper = PICK(w, 0, 0, 1, 3),
        .full = PICK(w, 0, 0, 0, 20000, 200000),
        .gap_us = PICK(w, 200, 2000, 10000, 60000),
        .fault_us = PICK(w, 2000, 20000, 100000, 400000),
        .skew_ms = PICK(w, 0, 0, 5, 2000),
        .gentle = sim_below(w, 3) != 0,
    };
    /* Without any ABORT, failed attempts pile up until a node has no place for the one that
     * decides. */
    if (c->weather.bad_kind == SHERD_ABORT && c->weather.bad > 700000) c->weather.bad = 700000;
    c->vacate_ms = PICK(w, 30000, 30000, 1500, 4000);
}

/* ---- nodes ---- */

struct notice {
    struct sim_client *client;
    uint64_t life;
    uint8_t node;
};

static void notice(void *context, uint64_t argument)
{
    const struct notice *n = context;

    (void)argument;
    if (!n->client->up || n->client->life != n->life) return;
    sim_client_connection(n->client, n->node, n->client->cluster->node[n->node].up);
}

static void tell(struct sim_cluster *c, struct sim_client *cl, uint8_t node)
{
    struct notice *n = NULL;

    if (!cl->up) return;
    n = sim_alloc(&c->world, sizeof(*n));
    *n = (struct notice){cl, cl->life, node};
    sim_after(&c->world, 50 + sim_below(&c->world, c->calm ? 100 : 4000), notice, n, 0);
}

/* Whoever is connected to the node notices, sooner or later, that it came or went. */
static void tell_all(struct sim_cluster *c, uint8_t node)
{
    for (uint8_t i = 0; i < c->clients; i++)
        tell(c, &c->client[i], node);
    for (uint8_t i = 0; i < c->nodes; i++)
        tell(c, &c->node[i].daemon, node);
}

static void start_node(struct sim_cluster *c, uint8_t node)
{
    if (c->node[node].up) return;
    sim_node_start(&c->node[node]);
    tell_all(c, node);
}

static void start_later(void *context, uint64_t node)
{
    struct sim_cluster *c = context;

    if (!c->calm) start_node(c, (uint8_t)node);
}

static uint64_t duration(struct sim_cluster *c)
{
    static const uint64_t limits[] = {5 * SIM_MS, 100 * SIM_MS, 1000 * SIM_MS, 4000 * SIM_MS};

    return sim_below(&c->world, limits[sim_below(&c->world, 4)]);
}

static void stop_node(struct sim_cluster *c)
{
    uint8_t node = (uint8_t)sim_below(&c->world, c->nodes);

    if (!c->node[node].up) return;
    c->counts->stops++;
    sim_node_stop(&c->node[node]);
    tell_all(c, node);
    sim_after(&c->world, duration(c), start_later, c, node);
}

/* Whether this voter of `x` still has the memory that it voted with. */
static bool is_intact(const struct sim_cluster *c, uint16_t partition,
                      const struct sherd_partition *p, const struct sherd_epoch *x, uint8_t slot)
{
    uint16_t node = x->node[slot];

    return p->node[slot] == node && p->incarnation[slot] == x->incarnation[slot] &&
           c->node[node].states[partition].incarnation == x->incarnation[slot];
}

/* How many more voters of `x` may lose their state before a value that q of them hold has fewer
 * than k shards; negative: too many have. */
static int to_spare(const struct sim_cluster *c, uint16_t partition,
                    const struct sherd_partition *p, const struct sherd_epoch *x)
{
    struct sherd_quorum quorum = sherd_quorum_of(sherd_slots_count(x->voters), c->config.k);
    int left = quorum.q - quorum.k;

    for (uint32_t rest = x->voters; rest; rest &= rest - 1)
        if (!is_intact(c, partition, p, x, sherd_slots_first(rest))) left--;
    return left;
}

static bool is_voter(const struct sherd_epoch *x, uint8_t node)
{
    for (uint32_t rest = x->voters; rest; rest &= rest - 1)
        if (x->node[sherd_slots_first(rest)] == node) return true;
    return false;
}

enum danger { SAFE, LOSSY, FORBIDDEN };

/* What may be lost when this node loses its state now. */
static enum danger danger_of(const struct sim_cluster *c, uint8_t node)
{
    const struct sherd_map *map = c->keeper.file->map;
    enum danger danger = SAFE;

    for (uint16_t i = 0; i < c->partitions; i++) {
        const struct sherd_partition *p = &map->partitions[i];
        uint8_t intact = 0;
        for (uint32_t j = 0; j < p->open_count; j++)
            if (is_voter(&p->open[j], node) && to_spare(c, i, p, &p->open[j]) < 1) danger = LOSSY;
        for (uint32_t rest = p->voters; rest; rest &= rest - 1) {
            uint8_t slot = sherd_slots_first(rest);
            if (p->node[slot] != node && is_intact(c, i, p, &p->open[p->open_count - 1], slot))
                intact++;
        }
        if (intact < c->config.k) return FORBIDDEN;
    }
    return danger;
}

/* Nothing that was written before may be read once the loss is accepted; when that is, nobody says.
 */
static void begin_anew(struct sim_cluster *c, uint16_t partition)
{
    c->lossy = true;
    for (uint8_t key = 0; key < c->keys; key++)
        if (sim_partition_of(c, key) == partition)
            history_add(&c->history[key], HISTORY_LOSS, c->world.order);
}

void sim_faults_judge_map(struct sim_cluster *c, const struct sherd_map *map)
{
    for (uint16_t i = 0; i < c->partitions; i++) {
        const struct sherd_partition *p = &map->partitions[i];
        for (uint32_t j = 0; j < p->open_count; j++)
            if (to_spare(c, i, p, &p->open[j]) < 0) c->lossy = true;
        if (p->lost && !c->lost[i]) begin_anew(c, i);
        c->lost[i] = p->lost != 0;
    }
}

static void wipe_node(struct sim_cluster *c)
{
    uint8_t node = (uint8_t)sim_below(&c->world, c->nodes);
    enum danger danger = danger_of(c, node);

    if (danger == FORBIDDEN || (danger == LOSSY && c->weather.gentle)) return;
    if (c->wipes == WIPES_MAX) return;
    c->wipes++;
    c->counts->wipes++;
    if (danger == LOSSY) c->lossy = true;
    sim_node_wipe(&c->node[node]);
    tell_all(c, node);
    sim_after(&c->world, duration(c), start_later, c, node);
}

/* ---- links ---- */

static uint8_t machine(struct sim_cluster *c)
{
    uint8_t i = (uint8_t)sim_below(&c->world, (uint64_t)c->nodes + 1 + c->clients);

    return i < c->nodes ? i : (uint8_t)(SIM_KEEPER + i - c->nodes);
}

static void mend(void *context, uint64_t link)
{
    struct sim_cluster *c = context;

    c->network.cut[link >> 8][link & 0xff] = false;
}

static void cut_link(struct sim_cluster *c, uint8_t from, uint8_t to, uint64_t time_us)
{
    if (from == to) return;
    c->network.cut[from][to] = true;
    sim_after(&c->world, time_us, mend, c, (uint64_t)from << 8 | to);
}

/* One link one way, one link, or all links of a machine but a few. */
static void cut(struct sim_cluster *c)
{
    uint8_t from = machine(c), to = machine(c);
    uint64_t time_us = duration(c);
    uint64_t how = sim_below(&c->world, 4);

    c->counts->cuts++;
    sim_trace(&c->world, "cut %u -> %u, kind %u, for %u us", from, to, (unsigned)how,
              (unsigned)time_us);
    cut_link(c, from, to, time_us);
    if (how >= 1) cut_link(c, to, from, time_us);
    for (uint8_t i = 0; how >= 2 && i < SIM_ADDRESSES; i++) {
        if (sim_below(&c->world, 4) == 0) continue;
        cut_link(c, from, i, time_us);
        if (how == 3) cut_link(c, i, from, time_us);
    }
}

/* ---- clients and the keeper ---- */

static void freeze(struct sim_cluster *c)
{
    uint64_t i = sim_below(&c->world, (uint64_t)c->clients + c->nodes);
    struct sim_client *cl = i < c->clients ? &c->client[i] : &c->node[i - c->clients].daemon;

    cl->frozen_until_us = c->world.now_us + duration(c);
}

static void start_client(void *context, uint64_t argument)
{
    struct sim_client *cl = context;

    (void)argument;
    if (!cl->up) sim_client_start(cl);
}

/* Its calls stay open for ever. */
static void kill_client(struct sim_cluster *c)
{
    struct sim_client *cl = &c->client[sim_below(&c->world, c->clients)];

    if (!cl->up) return;
    sim_trace(&c->world, "client %u: dies", cl->address);
    c->counts->died++;
    for (struct sim_op *o = cl->ops; o; o = o->next)
        if (o->call && o->kind == HISTORY_GET) history_remove(o->call);
    sim_client_stop(cl);
    sim_after(&c->world, duration(c), start_client, cl, 0);
}

static void start_keeper(void *context, uint64_t argument)
{
    struct sim_keeper *k = context;

    (void)argument;
    if (!k->up) sim_keeper_start(k);
}

static void stop_keeper(struct sim_cluster *c)
{
    if (!c->keeper.up) return;
    sim_trace(&c->world, "keeper: stops");
    sim_keeper_stop(&c->keeper);
    sim_after(&c->world, duration(c), start_keeper, &c->keeper, 0);
}

/* ---- time ---- */

static void go_wrong(struct sim_cluster *c)
{
    const struct sim_weather *w = &c->weather;
    const struct {
        uint32_t weight;
        void (*what)(struct sim_cluster *c);
    } faults[] = {
        {w->stop,   stop_node  },
        {w->wipe,   wipe_node  },
        {w->cut,    cut        },
        {w->freeze, freeze     },
        {w->die,    kill_client},
        {w->keeper, stop_keeper}
    };
    size_t count = sizeof(faults) / sizeof(faults[0]);
    uint64_t total = 0, at = 0;

    for (size_t i = 0; i < count; i++)
        total += faults[i].weight;
    at = sim_below(&c->world, total);
    for (size_t i = 0; total && i < count; i++) {
        if (at < faults[i].weight) {
            faults[i].what(c);
            return;
        }
        at -= faults[i].weight;
    }
}

static void tick(void *context, uint64_t argument)
{
    struct sim_cluster *c = context;

    (void)argument;
    if (c->calm) return;
    go_wrong(c);
    sim_after(&c->world, sim_below(&c->world, 2 * c->weather.fault_us), tick, c, 0);
}

void sim_faults_start(struct sim_cluster *c) { tick(c, 0); }

void sim_faults_end(struct sim_cluster *c)
{
    sim_trace(&c->world, "calm");
    c->calm = true;
    c->weather.delay_us = 100;
    memset(c->network.cut, 0, sizeof(c->network.cut));
    for (uint8_t i = 0; i < c->nodes; i++) {
        start_node(c, i);
        c->node[i].daemon.frozen_until_us = 0;
    }
    start_keeper(&c->keeper, 0);
    for (uint8_t i = 0; i < c->clients; i++) {
        start_client(&c->client[i], 0);
        c->client[i].frozen_until_us = 0;
    }
}

void sim_faults_pause(struct sim_cluster *c, uint64_t time_us)
{
    struct sim_client *frozen = &c->client[0];
    struct sim_client *late = &c->client[1];

    c->idle = true;
    frozen->frozen_until_us = c->world.now_us + time_us + sim_below(&c->world, SIM_SECOND);
    sim_client_stop(late);
    late->clock.last = 0;
    late->skew_ms = -(int64_t)sim_below(&c->world, 200 * 1000);
    start_client(late, 0);
}
