/* stats.c - what a node says of itself, as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "server/service_parts.h"

static json_t *number(uint64_t n) { return json_integer((json_int_t)n); }

static json_t *hex(uint64_t n)
{
    char text[20];

    snprintf(text, sizeof(text), "%016" PRIx64, n);
    return json_string(text);
}

static json_t *partitions_json(const struct sherd_service *s)
{
    unsigned voting = 0, learning = 0, sealing = 0, unclean = 0, lost = 0;

    for (uint16_t p = 0; p < s->partitions.count; p++) {
        const struct sherd_partition_state *state = &s->states[p];
        if (state->incarnation == 0) continue;
        if (state->lost)
            lost++;
        else if (state->epoch > s->partitions.live)
            sealing++;
        else if (state->voter)
            voting++;
        else
            learning++;
        if (!state->clean) unclean++;
    }
    return json_pack("{s:i,s:i,s:i,s:i,s:i}", "voting", voting, "learning", learning, "sealing",
                     sealing, "unclean", unclean, "lost", lost);
}

/* As it is, or in hexadecimal when it is no text. */
static json_t *key_json(const uint8_t *key, size_t size)
{
    json_t *text = json_stringn((const char *)key, size);
    char hexed[2 + 2 * SHERD_KEY_BYTES_MAX + 1] = "0x";

    if (text) return text;
    for (size_t i = 0; i < size; i++)
        snprintf(hexed + 2 + 2 * i, 3, "%02x", key[i]);
    return json_string(hexed);
}

/* Keys of shards that did not fit their CRC. */
static json_t *damaged_json(const struct sherd_damage *d)
{
    json_t *keys = json_array();

    for (unsigned i = 0; i < SHERD_DAMAGED_KEYS; i++) {
        if (d->size[i] != 0) json_array_append_new(keys, key_json(d->key[i], d->size[i]));
    }
    return json_pack("{s:o,s:o,s:o}", "shards", number(d->shards), "partitions",
                     number(d->partitions), "keys", keys);
}

static json_t *store_json(const struct sherd_service *s)
{
    struct sherd_store_stats stats;
    int fault = s->store->ops->fault(s->store);

    s->store->ops->stats(s->store, &stats);
    return json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "kind", s->conf->store, "fault",
                     fault ? json_string(strerror(-fault)) : json_null(), "damaged",
                     damaged_json(&s->damage), "bytes", number(stats.bytes), "bytes_max",
                     number(stats.bytes_max), "keys", number(stats.keys), "shards",
                     number(stats.shards), "shard_bytes", number(stats.shard_bytes), "undecided",
                     number(stats.undecided), "tombstones", number(stats.tombstones));
}

static json_t *counters_json(const struct sherd_service *s)
{
    json_t *refused = json_object();

#define X(name) json_object_set_new(refused, #name, number(s->counters.name));
    SHERD_COUNTER_MAP(X)
#undef X
    return json_pack("{s:o,s:o,s:o}", "requests", number(s->requests), "messages",
                     number(s->messages), "refused", refused);
}

static json_t *scrub_json(const struct sherd_service *s)
{
    return json_pack("{s:o,s:o,s:o,s:o}", "rounds", number(s->scrub.rounds), "bytes",
                     number(s->scrub.bytes), "compared",
                     number(atomic_load(&s->progress->compared)), "differed",
                     number(atomic_load(&s->progress->differed)));
}

static json_t *recovery_json(const struct sherd_service *s)
{
    static const char *const tasks[] = {"idle", "rebuild", "scan", "catch-up"};
    struct sherd_progress *p = s->progress;
    uint32_t task = atomic_load(&p->task);
    json_t *out = json_object();

    json_object_set_new(out, "task", json_string(task < 4 ? tasks[task] : "idle"));
#define FIELD(name) json_object_set_new(out, #name, number(atomic_load(&p->name)))
    FIELD(partitions_done);
    FIELD(partitions_total);
    FIELD(keys_done);
    FIELD(bytes_done);
    FIELD(keys_total);
    FIELD(rebuilt_keys);
    FIELD(rebuilt_bytes);
    FIELD(swept);
    FIELD(repaired);
    FIELD(forgotten);
    FIELD(backlog);
    FIELD(recover_asked);
    FIELD(recover_done);
    FIELD(started_ms);
    FIELD(ended_ms);
#undef FIELD
    return out;
}

static uint64_t rescans(const struct sherd_service *s)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < SHERD_PARTITIONS / 64; i++)
        count += (uint64_t)__builtin_popcountll(atomic_load(&s->progress->rescan_asked[i]));
    return count;
}

char *sherd_service_stats(struct sherd_service *s)
{
    uint64_t keeper_ms = atomic_load(&s->progress->keeper_heard_ms);
    json_t *out = json_object();
    char *text;

    json_object_set_new(out, "node", number(s->partitions.node));
    json_object_set_new(out, "incarnation", hex(s->partitions.incarnation));
    json_object_set_new(out, "cluster", hex(s->partitions.cluster));
    json_object_set_new(out, "map_version", number(s->partitions.version));
    json_object_set_new(out, "live", number(s->partitions.live));
    json_object_set_new(out, "uptime_ms", number(s->now_ms - s->started_ms));
    json_object_set_new(out, "partitions", partitions_json(s));
    json_object_set_new(out, "store", store_json(s));
    json_object_set_new(out, "undecided_queue", number(s->undecided.count));
    /* What is on its way to the background is still to be repaired. */
    json_object_set_new(out, "repair_list",
                        number(s->repair.count + (s->repair_page.size != 0 ? 1 : 0)));
    json_object_set_new(out, "rescan_partitions", number(rescans(s)));
    json_object_set_new(out, "counters", counters_json(s));
    json_object_set_new(out, "recovery", recovery_json(s));
    json_object_set_new(out, "scrub", scrub_json(s));
    if (keeper_ms) json_object_set_new(out, "keeper_heard_ms_ago", number(s->now_ms - keeper_ms));
    text = json_dumps(out, JSON_COMPACT);
    json_decref(out);
    return text;
}
