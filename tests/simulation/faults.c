#include "tests/simulation/faults.h"

#include <string.h>

#include "tests/simulation/engine.h"
#include "tests/simulation/keeper.h"
#include "tests/simulation/node.h"
#include "tests/simulation/story.h"

enum { WIPES_MAX = 4 };

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

/* What may be lost when this node loses what it has of a partition now. */
static enum danger danger_there(const struct sim_cluster *c, uint16_t partition, uint8_t node)
{
    const struct sherd_partition *p = &c->keeper.file->map->partitions[partition];
    enum danger danger = SAFE;
    uint8_t intact = 0;

    for (uint32_t j = 0; j < p->open_count; j++)
        if (is_voter(&p->open[j], node) && to_spare(c, partition, p, &p->open[j]) < 1)
            danger = LOSSY;
    for (uint32_t rest = p->voters; rest; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        if (p->node[slot] != node && is_intact(c, partition, p, &p->open[p->open_count - 1], slot))
            intact++;
    }
    return intact < c->config.k ? FORBIDDEN : danger;
}

/* ... its state. */
static enum danger danger_of(const struct sim_cluster *c, uint8_t node)
{
    enum danger worst = SAFE;

    for (uint16_t i = 0; i < c->partitions; i++) {
        enum danger danger = danger_there(c, i, node);
        if (danger > worst) worst = danger;
    }
    return worst;
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

static void pause_node(struct sim_cluster *c)
{
    struct sim_node *n = &c->node[sim_below(&c->world, c->nodes)];

    c->counts->pauses++;
    sim_trace(&c->world, "node %u is paused", n->id);
    n->frozen_until_us = n->daemon.frozen_until_us = c->world.now_us + duration(c);
}

static void fill_node(struct sim_cluster *c)
{
    struct sim_node *n = &c->node[sim_below(&c->world, c->nodes)];

    c->counts->fills++;
    sim_trace(&c->world, "node %u: its store is full", n->id);
    n->full_until_us = c->world.now_us + duration(c);
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

/* Whether it runs or not: what is on a disk may rot at any time. */
static void damage_partition(struct sim_cluster *c)
{
    struct sim_node *n = &c->node[sim_below(&c->world, c->nodes)];
    uint16_t partition = (uint16_t)sim_below(&c->world, c->partitions);
    enum danger danger = danger_there(c, partition, n->id);

    if (danger == FORBIDDEN || (danger == LOSSY && c->weather.gentle)) return;
    if (c->wipes == WIPES_MAX || n->states[partition].incarnation == 0) return;
    c->wipes++;
    c->counts->damages++;
    if (danger == LOSSY) c->lossy = true;
    sim_node_forget(n, partition);
}

static bool may_lose(const struct sim_cluster *c, uint32_t nodes, uint8_t losses)
{
    const struct sherd_map *map = c->keeper.file->map;

    for (uint16_t i = 0; i < c->partitions; i++) {
        const struct sherd_partition *p = &map->partitions[i];
        uint8_t hit = 0;
        if (p->lost) return false;
        for (uint32_t rest = p->voters; rest; rest &= rest - 1)
            hit = (uint8_t)(hit + (nodes >> p->node[sherd_slots_first(rest)] & 1));
        if (hit > losses) return false;
    }
    return true;
}

bool sim_faults_lose_many(struct sim_cluster *c)
{
    struct sherd_quorum quorum = sherd_quorum_of((uint8_t)(c->config.k + c->config.m), c->config.k);
    uint8_t losses = (uint8_t)(quorum.q - 1 < c->config.m ? quorum.q - 1 : c->config.m);
    uint32_t nodes = 0;

    while (sherd_slots_count(nodes) < losses)
        nodes |= UINT32_C(1) << sim_below(&c->world, c->nodes);
    if (!may_lose(c, nodes, losses)) return false;
    c->counts->lost_many++;
    for (uint8_t i = 0; i < c->nodes; i++) {
        if (!(nodes >> i & 1)) continue;
        c->counts->wipes++;
        sim_node_wipe(&c->node[i]);
        tell_all(c, i);
    }
    for (uint8_t i = 0; i < c->nodes; i++)
        if (nodes >> i & 1) start_node(c, i);
    return true;
}

/* ---- links ---- */

static uint8_t machine(struct sim_cluster *c)
{
    uint8_t i = (uint8_t)sim_below(&c->world, (uint64_t)c->nodes + 1 + c->clients);

    return i < c->nodes ? i : (uint8_t)(SIM_KEEPER + i - c->nodes);
}

static void cut_link(struct sim_cluster *c, uint8_t from, uint8_t to, uint64_t time_us)
{
    uint64_t *until_us = &c->network.cut_until_us[from][to];
    uint64_t mended_us = c->world.now_us + time_us;

    if (from != to && *until_us < mended_us) *until_us = mended_us;
}

/* One link one way, one link, or all links of a machine but a few. */
static void cut(struct sim_cluster *c)
{
    uint8_t from = machine(c), to = machine(c);
    uint64_t time_us = duration(c);
    uint64_t how = sim_below(&c->world, 4);
    static const char *const texts[] = {"", ", nor the other way", " and most others",
                                        " and most others, nor the other way"};

    c->counts->cuts++;
    sim_trace(&c->world, "cut: %s does not reach %s%s, for %u us", sim_who(from).text,
              sim_who(to).text, texts[how], (unsigned)time_us);
    cut_link(c, from, to, time_us);
    if (how >= 1) cut_link(c, to, from, time_us);
    for (uint8_t i = 0; how >= 2 && i < SIM_ADDRESSES; i++) {
        if (sim_below(&c->world, 4) == 0) continue;
        cut_link(c, from, i, time_us);
        if (how == 3) cut_link(c, i, from, time_us);
    }
}

/* Nodes, keeper and clients fall into two parts that do not hear each other. */
static void halve(struct sim_cluster *c)
{
    uint64_t side = sim_random(&c->world), time_us = duration(c);

    c->counts->halves++;
    sim_trace(&c->world, "two halves for %u us: %llx", (unsigned)time_us,
              (unsigned long long)(side & ((1u << SIM_ADDRESSES) - 1)));
    for (uint8_t from = 0; from < SIM_ADDRESSES; from++)
        for (uint8_t to = 0; to < SIM_ADDRESSES; to++)
            if ((side >> from & 1) != (side >> to & 1)) cut_link(c, from, to, time_us);
}

/* ---- clocks ---- */

static int64_t within(struct sim_world *w, uint64_t limit)
{
    return (int64_t)sim_below(w, 2 * limit + 1) - (int64_t)limit;
}

static void set_clock(struct sim_node *n, int64_t skew_ms)
{
    n->skew_ms = n->daemon.skew_ms = skew_ms;
}

static void jump(struct sim_cluster *c)
{
    uint64_t i = sim_below(&c->world, (uint64_t)c->clients + c->nodes);
    int64_t skew_ms = within(&c->world, c->weather.jump_ms);

    c->counts->jumps++;
    sim_trace(&c->world, "the clock of %s %u jumps to %+d ms", i < c->clients ? "client" : "node",
              (unsigned)(i < c->clients ? SIM_CLIENT + i : i - c->clients), (int)skew_ms);
    if (i < c->clients)
        c->client[i].skew_ms = skew_ms;
    else
        set_clock(&c->node[i - c->clients], skew_ms);
}

void sim_faults_set_clocks(struct sim_cluster *c)
{
    for (uint8_t i = 0; i < c->nodes; i++)
        set_clock(&c->node[i], within(&c->world, c->weather.skew_ms));
    for (uint8_t i = 0; i < c->clients; i++)
        c->client[i].skew_ms = within(&c->world, c->weather.skew_ms);
}

/* ---- clients and the keeper ---- */

static void freeze(struct sim_cluster *c)
{
    uint64_t i = sim_below(&c->world, (uint64_t)c->clients + c->nodes);
    struct sim_client *cl = i < c->clients ? &c->client[i] : &c->node[i - c->clients].daemon;

    c->counts->freezes++;
    sim_trace(&c->world, "%s is paused", sim_who(cl->address).text);
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
    sim_trace(&c->world, "%s dies", sim_who(cl->address).text);
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
    c->counts->keeper_stops++;
    sim_trace(&c->world, "keeper: stops");
    sim_keeper_stop(&c->keeper);
    sim_after(&c->world, duration(c), start_keeper, &c->keeper, 0);
}

void sim_faults_published(struct sim_cluster *c)
{
    if (c->calm) return;
    if (c->weather.keeper_slow)
        c->keeper.slow_until_us = c->world.now_us + sim_below(&c->world, c->weather.keeper_slow);
    if (!sim_chance(&c->world, c->weather.keeper_dies)) return;
    c->counts->keeper_died++;
    stop_keeper(c);
}

/* ---- time ---- */

static void go_wrong(struct sim_cluster *c)
{
    const struct sim_weather *w = &c->weather;
    const struct {
        uint32_t weight;
        void (*what)(struct sim_cluster *c);
    } faults[] = {
        {w->stop,   stop_node       },
        {w->wipe,   wipe_node       },
        {w->pause,  pause_node      },
        {w->cut,    cut             },
        {w->halves, halve           },
        {w->freeze, freeze          },
        {w->die,    kill_client     },
        {w->jump,   jump            },
        {w->fill,   fill_node       },
        {w->keeper, stop_keeper     },
        {w->damage, damage_partition},
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
    const struct sim_skips *skips = c->config.skips;
    uint32_t number = c->fault_count++;
    uint64_t saved, gap_us;

    (void)argument;
    if (c->calm) return;
    saved = sim_enter(&c->world, SIM_STREAM_FAULTS + number);
    gap_us = sim_below(&c->world, 2 * c->weather.fault_us);
    if (!skips || (number < skips->fault_count && !sim_has_bit(skips->faults, number))) go_wrong(c);
    sim_leave(&c->world, saved);
    sim_after(&c->world, gap_us, tick, c, 0);
}

void sim_faults_start(struct sim_cluster *c) { tick(c, 0); }

void sim_faults_end(struct sim_cluster *c)
{
    sim_trace(&c->world, "calm");
    c->calm = true;
    c->calm_us = c->world.now_us;
    c->weather.delay_us = 100;
    memset(c->network.cut_until_us, 0, sizeof(c->network.cut_until_us));
    if (c->weather.jump) sim_faults_set_clocks(c);
    for (uint8_t i = 0; i < c->nodes; i++) {
        start_node(c, i);
        c->node[i].frozen_until_us = c->node[i].daemon.frozen_until_us = 0;
        c->node[i].full_until_us = 0;
    }
    c->keeper.slow_until_us = 0;
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
    if (c->clients < 2) return;
    sim_client_stop(late);
    late->clock.last = 0;
    late->skew_ms = -(int64_t)sim_below(&c->world, 200 * 1000);
    start_client(late, 0);
}
