#include "coord/membership.h"

#include <string.h>

#include "coord/assert.h"
#include "coord/placement.h"
#include "coord/seal.h"
#include "coord/succession.h"

void sherd_membership_init(struct sherd_membership *m, const struct sherd_membership_config *config,
                           struct sherd_map *map, struct sherd_map *next)
{
    SHERD_ASSERT(map->k >= 1 && map->k + map->m <= SHERD_SLOTS_MAX);
    SHERD_ASSERT(map->node_count <= SHERD_NODES_MAX && map->partition_count <= SHERD_PARTITIONS);
    memset(m, 0, sizeof(*m));
    m->config = *config;
    m->map = map;
    m->next = next;
    if (map->version == 0) map->next_incarnation = 1; /* 0 names no memory */
}

static bool is_past(const struct sherd_member *member, uint64_t incarnation)
{
    for (int i = 0; i < SHERD_PAST_LIVES; i++)
        if (member->past[i] == incarnation) return true;
    return false;
}

static void begin_life(struct sherd_member *member, uint64_t incarnation)
{
    struct sherd_member fresh = {.incarnation = incarnation, .past = {member->incarnation}};

    memcpy(&fresh.past[1], member->past, sizeof(fresh.past) - sizeof(fresh.past[0]));
    *member = fresh;
}

static bool fits(const struct sherd_map *map, const struct sherd_report *r)
{
    if (r->node >= map->node_count || r->incarnation == 0) return false;
    if (r->cluster == 0) return r->map_version == 0;
    return r->cluster == map->cluster && r->map_version <= map->version;
}

/* A report under an older map may speak of an incarnation that is not the present one: the node
 * says it again under this one. */
static void note_forgotten(struct sherd_membership *m, const struct sherd_report *r)
{
    if (r->map_version != m->map->version) return;
    for (uint16_t i = 0; i < m->map->partition_count; i++) {
        int slot = -1;
        if (r->forgotten[i / 8] >> i % 8 & 1)
            slot = sherd_partition_slot_of(&m->map->partitions[i], r->node);
        if (slot >= 0) m->members[r->node].forgotten[i] = m->map->partitions[i].incarnation[slot];
    }
}

/* Time that passes counts as silence only while the keeper hears most nodes: cut off, or paused, it
 * knows nothing of the others, and they come back to it one after the other. */
static void pass_time(struct sherd_membership *m, uint64_t now_ms)
{
    uint64_t passed_ms = m->now_ms != 0 && now_ms > m->now_ms ? now_ms - m->now_ms : 0;
    unsigned heard = 0;

    m->now_ms = now_ms;
    for (uint16_t i = 0; i < m->map->node_count; i++)
        heard += sherd_member_is_alive(&m->members[i], now_ms);
    if (2 * heard <= m->map->node_count) return;
    for (uint16_t i = 0; i < m->map->node_count; i++)
        m->members[i].silent_ms += passed_ms;
}

bool sherd_membership_hear(struct sherd_membership *m, const struct sherd_report *r,
                           uint64_t now_ms)
{
    struct sherd_member *member = &m->members[r->node < SHERD_NODES_MAX ? r->node : 0];

    pass_time(m, now_ms);
    if (!fits(m->map, r) || is_past(member, r->incarnation)) return false;
    if (r->incarnation != member->incarnation) begin_life(member, r->incarnation);
    if (r->map_version < member->map_version) return false; /* overtaken on the way */

    member->heard_ms = now_ms != 0 ? now_ms : 1;
    member->silent_ms = 0;
    member->map_version = r->map_version;
    memcpy(member->rebuilt, r->rebuilt, sizeof(member->rebuilt));
    memcpy(member->scanned, r->scanned, sizeof(member->scanned));
    note_forgotten(m, r);
    return true;
}

static bool has_new_life(const struct sherd_membership *m, uint16_t node)
{
    uint64_t reported = m->members[node].incarnation;

    return reported != 0 && reported != m->map->nodes[node].incarnation;
}

static void begin_next(struct sherd_membership *m)
{
    memcpy(m->next, m->map, sherd_map_size(m->map->partition_count));
    m->next->version = m->map->version + 1;
    for (uint16_t i = 0; i < m->map->node_count; i++) {
        if (!has_new_life(m, i)) continue;
        m->next->nodes[i].incarnation = m->members[i].incarnation;
        m->next->nodes[i].since = m->next->next_incarnation;
    }
}

/* Weighs each node by the slots that it is still owed: hashing by the plain weight leaves one node
 * in thirty with a third too much, and the first map is the one chance to do better without moving
 * anything. Zones still come first. */
static void weigh(const struct sherd_map *map, const uint32_t *load, struct sherd_node *nodes)
{
    uint64_t slots = (uint64_t)map->partition_count * (uint64_t)(map->k + map->m);
    uint64_t weights = 0;

    for (uint16_t i = 0; i < map->node_count; i++)
        weights += map->nodes[i].weight;
    for (uint16_t i = 0; i < map->node_count; i++) {
        if (map->nodes[i].weight == 0) continue;
        uint64_t share = 4 * slots * map->nodes[i].weight / weights; /* in quarters */
        uint64_t had = 4 * (uint64_t)load[i];
        nodes[i].weight = share > had ? (uint16_t)(share - had) : 1;
    }
}

static bool place(struct sherd_membership *m, uint16_t partition, uint32_t *load,
                  struct sherd_succession *out)
{
    uint8_t n = (uint8_t)(m->map->k + m->map->m);
    bool usable[SHERD_NODES_MAX];

    memset(usable, true, sizeof(usable));
    weigh(m->map, load, m->next->nodes);
    if (sherd_placement_choose(m->next->nodes, m->map->node_count, usable, partition, n,
                               out->node) < n)
        return false;
    for (uint8_t slot = 0; slot < n; slot++)
        load[out->node[slot]]++;
    out->voters = out->fresh = sherd_slots_below(n);
    return true;
}

/* The first map: everybody has a memory, all of them empty, so all vote (PROTOCOL 7.2). */
static int boot(struct sherd_membership *m)
{
    const struct sherd_map *map = m->map;
    uint32_t load[SHERD_NODES_MAX] = {0};

    if (!m->config.init) return 0;
    for (uint16_t i = 0; i < map->node_count; i++)
        if (m->members[i].incarnation == 0) return 0;
    begin_next(m);
    m->next->cluster = m->config.cluster;
    m->next->term = 1;
    for (uint16_t i = 0; i < map->partition_count; i++) {
        struct sherd_succession all = {.epoch = true, .reset = true};

        if (!place(m, i, load, &all)) return 0; /* too few nodes may hold slots */
        sherd_succession_apply(m->next, i, &all);
    }
    for (uint16_t i = 0; i < map->node_count; i++)
        m->next->nodes[i].weight = map->nodes[i].weight;
    return SHERD_MEMBERSHIP_PUBLISH;
}

static bool is_due(const struct sherd_succession_env *env)
{
    const struct sherd_membership *m = env->m;
    struct sherd_succession plan;

    if (m->config.republish) return true;
    for (uint16_t i = 0; i < m->map->node_count; i++)
        if (has_new_life(m, i)) return true;
    for (uint16_t i = 0; i < m->map->partition_count; i++)
        if (sherd_succession_plan(env, i, &plan)) return true;
    return false;
}

/* A map in which nothing waits for seals is live from the start. */
static uint64_t live_of(const struct sherd_map *map)
{
    for (uint16_t i = 0; i < map->partition_count; i++)
        if (map->partitions[i].epoch > map->live && !map->partitions[i].lost) return map->live;
    return map->version;
}

int sherd_membership_step(struct sherd_membership *m, uint64_t now_ms)
{
    struct sherd_succession_env env;
    struct sherd_succession plan;

    if (m->batch_ms == 0) m->batch_ms = now_ms;
    pass_time(m, now_ms);
    if (m->map->version == 0) return boot(m);
    if (sherd_membership_is_sealing(m) && sherd_seal_is_live(m)) {
        m->map->live = m->map->version;
        return SHERD_MEMBERSHIP_LIVE;
    }
    sherd_succession_look(m, &env);
    if (!is_due(&env)) return 0;

    begin_next(m);
    for (uint16_t i = 0; i < m->map->partition_count; i++)
        if (sherd_succession_plan(&env, i, &plan)) sherd_succession_apply(m->next, i, &plan);
    m->next->live = live_of(m->next);
    return SHERD_MEMBERSHIP_PUBLISH;
}

void sherd_membership_commit(struct sherd_membership *m)
{
    SHERD_ASSERT(m->next->version == m->map->version + 1);
    memcpy(m->map, m->next, sherd_map_size(m->next->partition_count));
    m->batch_ms = m->now_ms;
    m->config.republish = false;
    for (uint16_t i = 0; i < m->map->partition_count; i++)
        if (!m->map->partitions[i].lost) m->accepted[i / 8] &= (uint8_t) ~(1u << i % 8);
}

void sherd_membership_accept_loss(struct sherd_membership *m)
{
    for (uint16_t i = 0; i < m->map->partition_count; i++)
        if (m->map->partitions[i].lost) m->accepted[i / 8] |= (uint8_t)(1u << i % 8);
}

bool sherd_membership_is_sealing(const struct sherd_membership *m)
{
    return m->map->live < m->map->version;
}
