/* The keeper's decisions against nodes that run the real partition.c, under random schedules: nodes
 * lose their memory, fall silent, seal late or from an older map, the keeper is started anew.
 *
 * What must hold after every step, for every partition: once an epoch is live, fewer than min(q, r)
 * voters answer in any epoch before it; no incarnation is given twice. And when the weather clears,
 * every partition that is not lost becomes clean with all slots voting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coord/membership.h"
#include "coord/partition.h"
#include "tests/support/random.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { NODES_MAX = 8, PARTITIONS = 2, MAPS_MAX = 4096, RUNS = 150, STEPS = 400, STEP_MS = 50 };

struct node {
    struct sherd_partitions view;
    struct sherd_partition_state states[PARTITIONS];
    uint8_t rebuilt[SHERD_PARTITIONS / 8], scanned[SHERD_PARTITIONS / 8];
    bool silent;
};

struct world {
    const struct code *code;
    struct sherd_membership m;
    struct sherd_map *map, *next;
    struct sherd_map *maps[MAPS_MAX]; /* all published; [i] is version i */
    struct node nodes[NODES_MAX];
    uint64_t now_ms, lives, random;
    uint32_t incarnations_seen;
    uint32_t calm_of, work_of, take_of; /* this run's weather: one in so many steps */
};

static struct code {
    const char *name;
    uint8_t k, m;
    uint16_t nodes;
} codes[] = {
    {"4+2 on 6",      4, 2, 6},
    {"4+2 on 8",      4, 2, 8},
    {"1+2 on 3",      1, 2, 3},
    {"1+4 on 6",      1, 4, 6},
    {"2+4 on 7",      2, 4, 7},
    {"2+1 on 3",      2, 1, 3},
    {"3+3, no spare", 3, 3, 6},
};

static uint32_t below(struct world *w, uint32_t n)
{
    return (uint32_t)(random_next(&w->random) % n);
}

static struct sherd_map *map_new(const struct code *code)
{
    struct sherd_map *map = calloc(1, sherd_map_size(PARTITIONS));

    assert_non_null(map);
    map->k = code->k;
    map->m = code->m;
    map->node_count = code->nodes;
    map->partition_count = PARTITIONS;
    for (uint16_t i = 0; i < code->nodes; i++) {
        map->nodes[i].id = i;
        map->nodes[i].weight = 1;
    }
    return map;
}

static void wipe(struct world *w, uint16_t id)
{
    struct node *n = &w->nodes[id];

    *n = (struct node){.silent = n->silent};
    n->view = (struct sherd_partitions){
        .node = id, .incarnation = ++w->lives, .count = PARTITIONS, .states = n->states};
}

/* The version serves as hash: a map's successor names it. */
static void seal(struct world *w, uint16_t id, uint64_t version)
{
    struct node *n = &w->nodes[id];
    struct sherd_partition_state before[PARTITIONS];
    uint8_t drop[SHERD_PARTITIONS / 8];

    if (version <= n->view.version) return;
    memcpy(before, n->states, sizeof(before));
    assert_int_equal(sherd_partitions_seal(&n->view, w->maps[version], version, drop), 0);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        if (before[i].epoch == n->states[i].epoch &&
            before[i].incarnation == n->states[i].incarnation)
            continue;
        n->rebuilt[i / 8] &= (uint8_t) ~(1u << i % 8);
        n->scanned[i / 8] &= (uint8_t) ~(1u << i % 8);
    }
}

static void beat(struct world *w, uint16_t id)
{
    struct node *n = &w->nodes[id];
    struct sherd_report r = {.node = id,
                             .incarnation = n->view.incarnation,
                             .cluster = n->view.cluster,
                             .map_version = n->view.version,
                             .live = n->view.live};

    memcpy(r.rebuilt, n->rebuilt, sizeof(r.rebuilt));
    memcpy(r.scanned, n->scanned, sizeof(r.scanned));
    assert_true(sherd_membership_hear(&w->m, &r, w->now_ms));
}

static uint32_t check_incarnation(const struct world *w, const struct sherd_partition *old,
                                  const struct sherd_partition *p, uint8_t slot)
{
    if (old && old->incarnation[slot] == p->incarnation[slot])
        assert_int_equal(old->node[slot], p->node[slot]);
    else
        assert_true(p->incarnation[slot] > w->incarnations_seen);
    return p->incarnation[slot];
}

/* Fresh incarnations are above all given before. */
static void check_incarnations(struct world *w, const struct sherd_map *old)
{
    uint32_t newest = w->incarnations_seen;

    for (unsigned i = 0; i < PARTITIONS; i++) {
        const struct sherd_partition *p = &w->map->partitions[i];
        for (uint32_t rest = sherd_partition_holders(p); rest != 0; rest &= rest - 1) {
            uint32_t given =
                check_incarnation(w, old ? &old->partitions[i] : NULL, p, sherd_slots_first(rest));
            if (given > newest) newest = given;
        }
    }
    w->incarnations_seen = newest;
}

static void keeper_turn(struct world *w)
{
    int effect;

    while ((effect = sherd_membership_step(&w->m, w->now_ms)) != 0) {
        if (effect != SHERD_MEMBERSHIP_PUBLISH) continue;
        w->next->predecessor = w->map->version;
        sherd_membership_commit(&w->m);
        assert_true(w->map->version < MAPS_MAX);
        w->maps[w->map->version] = malloc(sherd_map_size(PARTITIONS));
        memcpy(w->maps[w->map->version], w->map, sherd_map_size(PARTITIONS));
        check_incarnations(w, w->maps[w->map->version - 1]);
    }
}

static void restart_keeper(struct world *w)
{
    struct sherd_membership_config config = w->m.config;

    sherd_membership_init(&w->m, &config, w->map, w->next);
}

/* Voters of `x`, as it was published, whose nodes answer in it. */
static uint8_t answering(const struct world *w, unsigned partition, const struct sherd_epoch *x)
{
    uint8_t count = 0;

    for (uint32_t rest = x->voters; rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        const struct node *n = &w->nodes[x->node[slot]];
        if (n->states[partition].incarnation == x->incarnation[slot] &&
            sherd_partitions_check(&n->view, (uint16_t)partition, x->epoch, slot) ==
                SHERD_REASON_NONE)
            count++;
    }
    return count;
}

static void check_epochs(const struct world *w, unsigned partition)
{
    uint64_t live = 0; /* newest epoch of the partition that was said to be live */

    for (uint64_t v = w->map->live; v >= 1 && live == 0; v--)
        if (w->maps[v]->partitions[partition].epoch <= w->map->live &&
            !w->map->partitions[partition].lost)
            live = w->maps[v]->partitions[partition].epoch;
    for (uint64_t v = 1; v < live; v++) {
        const struct sherd_partition *p = &w->maps[v]->partitions[partition];
        const struct sherd_epoch *x = &p->open[p->open_count - 1];
        struct sherd_quorum q = sherd_quorum_of(sherd_slots_count(x->voters), w->code->k);
        if (x->epoch >= live) continue;
        uint8_t count = answering(w, partition, x);
        assert_true(count < q.q && count < q.r);
    }
}

/* A node that is not silent takes the newest map, or, from a peer, some older one. */
static void node_turn(struct world *w, uint16_t id, bool calm)
{
    struct node *n = &w->nodes[id];
    uint64_t version = w->map->version;

    if (n->silent && !calm) return;
    if (version != 0 && (calm || below(w, w->take_of) == 0))
        seal(w, id, calm || below(w, 4) ? version : 1 + below(w, (uint32_t)version));
    if (calm || below(w, w->take_of) == 0) sherd_partitions_live(&n->view, w->map->live);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        if (n->states[i].epoch > n->view.live || n->states[i].epoch == 0) continue;
        if (calm || below(w, w->work_of) == 0) n->rebuilt[i / 8] |= (uint8_t)(1u << i % 8);
        if (calm || below(w, 4 * w->work_of) == 0) n->scanned[i / 8] |= (uint8_t)(1u << i % 8);
    }
    if (calm || below(w, 4)) beat(w, id);
}

static void weather(struct world *w)
{
    uint16_t id = (uint16_t)below(w, w->code->nodes);

    switch (below(w, w->calm_of)) {
    case 0:
    case 1: wipe(w, id); break;
    case 2:
    case 3: w->nodes[id].silent = true; break;
    case 4:
    case 5:
    case 6: w->nodes[id].silent = false; break;
    case 7: restart_keeper(w); break;
    case 8: w->now_ms += 20000; break;
    default:
        if (below(w, 4) == 0) sherd_membership_accept_loss(&w->m);
        break;
    }
}

static void step(struct world *w, bool calm)
{
    w->now_ms += STEP_MS;
    if (!calm) weather(w);
    for (uint16_t i = 0; i < w->code->nodes; i++)
        node_turn(w, i, calm);
    keeper_turn(w);
    for (unsigned i = 0; w->map->version != 0 && i < PARTITIONS; i++)
        check_epochs(w, i);
}

static void check_healed(const struct world *w)
{
    for (unsigned i = 0; i < PARTITIONS; i++) {
        const struct sherd_partition *p = &w->map->partitions[i];
        assert_true(sherd_partition_is_clean(p));
        assert_int_equal(sherd_slots_count(p->voters), w->code->k + w->code->m);
    }
    assert_int_equal(w->map->live, w->map->version);
}

static void run(const struct code *code, uint64_t seed)
{
    struct sherd_membership_config config = {.vacate_after_ms = 30000, .init = true, .cluster = 7};
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    *w = (struct world){.code = code, .now_ms = 1000, .random = seed};
    w->calm_of = 30u << below(w, 4);
    w->work_of = 2u << below(w, 4);
    w->take_of = 1 + below(w, 8);
    w->map = map_new(code);
    w->next = map_new(code);
    sherd_membership_init(&w->m, &config, w->map, w->next);
    for (uint16_t i = 0; i < code->nodes; i++)
        wipe(w, i);
    for (int i = 0; i < STEPS; i++)
        step(w, false);
    for (int i = 0; i < 200; i++) {
        sherd_membership_accept_loss(&w->m);
        step(w, true);
    }
    check_healed(w);
    for (uint64_t v = 1; v <= w->map->version; v++)
        free(w->maps[v]);
    free(w->map);
    free(w->next);
    free(w);
}

static void test_code(void **state)
{
    for (uint64_t seed = 1; seed <= RUNS; seed++)
        run(*state, seed << 32);
}

int main(void)
{
    struct CMUnitTest tests[LEN(codes)] = {0};

    for (size_t i = 0; i < LEN(codes); i++)
        tests[i] = (struct CMUnitTest){
            .name = codes[i].name, .test_func = test_code, .initial_state = &codes[i]};
    return cmocka_run_group_tests_name("epochs", tests, NULL, NULL);
}
