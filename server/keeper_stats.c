/* keeper_stats.c - what the keeper knows, as JSON. */
#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include "server/keeper_parts.h"

static json_t *number(uint64_t n) { return json_integer((json_int_t)n); }

static json_t *hex(uint64_t n)
{
    char text[20];

    snprintf(text, sizeof(text), "%016" PRIx64, n);
    return json_string(text);
}

static const char *state_of(const struct sherd_keeper *k, const struct sherd_member *member)
{
    if (member->heard_ms == 0) return "unheard";
    if (sherd_member_is_alive(member, k->now_ms)) return "up";
    return member->silent_ms < k->membership.config.vacate_after_ms ? "silent" : "out";
}

static json_t *node_json(const struct sherd_keeper *k, uint16_t id)
{
    const struct sherd_map *map = k->membership.map;
    const struct sherd_node *node = &map->nodes[id];
    const struct sherd_member *member = &k->membership.members[id];
    uint64_t silent_ms = k->now_ms > member->heard_ms ? k->now_ms - member->heard_ms : 0;
    unsigned votes = 0, learns = 0;

    for (uint16_t i = 0; i < map->partition_count; i++) {
        int slot = sherd_partition_slot_of(&map->partitions[i], id);
        if (slot < 0) continue;
        if (sherd_slots_has(map->partitions[i].voters, (uint8_t)slot))
            votes++;
        else
            learns++;
    }
    return json_pack("{s:i,s:s,s:s,s:i,s:o,s:s,s:o,s:o,s:i,s:i}", "id", id, "endpoint",
                     node->endpoint, "zone", node->zone, "weight", node->weight, "incarnation",
                     hex(node->incarnation), "state", state_of(k, member), "heard_ms_ago",
                     member->heard_ms ? number(silent_ms) : json_null(), "map_version",
                     number(member->map_version), "voter_of", votes, "learner_of", learns);
}

static json_t *nodes_json(const struct sherd_keeper *k)
{
    json_t *out = json_array();

    for (uint16_t i = 0; i < k->membership.map->node_count; i++)
        json_array_append_new(out, node_json(k, i));
    return out;
}

static json_t *partitions_json(const struct sherd_map *map)
{
    uint32_t slots = sherd_slots_below((uint8_t)(map->k + map->m));
    unsigned clean = 0, sealing = 0, learning = 0, vacant = 0, lost = 0, open = 0;

    for (uint16_t i = 0; i < map->partition_count && map->version != 0; i++) {
        const struct sherd_partition *p = &map->partitions[i];
        if (sherd_partition_is_clean(p)) clean++;
        if (p->lost) lost++;
        if (!p->lost && p->epoch > map->live) sealing++;
        if (p->learners != 0) learning++;
        if (sherd_partition_holders(p) != slots) vacant++;
        if (p->open_count > open) open = p->open_count;
    }
    return json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "total", map->partition_count, "clean", clean,
                     "sealing", sealing, "learning", learning, "vacant", vacant, "lost", lost,
                     "open_epochs_max", open);
}

static json_t *counters_json(const struct sherd_keeper *k)
{
    json_t *out = json_object();

#define X(name) json_object_set_new(out, #name, number(k->counters.name));
    SHERD_KEEPER_COUNTER_MAP(X)
#undef X
    return out;
}

char *sherd_keeper_stats(const struct sherd_keeper *k)
{
    const struct sherd_map *map = k->membership.map;
    json_t *out = json_object();
    char *text;

    json_object_set_new(out, "cluster", hex(map->cluster));
    json_object_set_new(out, "k", number(map->k));
    json_object_set_new(out, "m", number(map->m));
    json_object_set_new(out, "version", number(map->version));
    json_object_set_new(out, "live", number(k->live));
    json_object_set_new(out, "sealing", json_boolean(sherd_membership_is_sealing(&k->membership)));
    json_object_set_new(out, "vacate_after_ms", number(k->membership.config.vacate_after_ms));
    json_object_set_new(out, "partitions", partitions_json(map));
    json_object_set_new(out, "nodes", nodes_json(k));
    json_object_set_new(out, "counters", counters_json(k));
    text = json_dumps(out, JSON_COMPACT);
    json_decref(out);
    return text;
}
