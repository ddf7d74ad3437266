/* scan.c - sherd_scan: partition by partition, key by key. */
#include <errno.h>
#include <string.h>

#include "client/client_parts.h"
#include "client/clock.h"
#include "client/listing.h"

enum { POLL_MS = 100, AGAIN_MS = 20 };

struct scan {
    struct sherd_client *client;
    struct sherd_bytes prefix;
    bool (*each)(void *context, struct sherd_bytes key, uint64_t size);
    void *context;
    uint8_t k;
    enum sherd_outcome outcome;
    bool over; /* the caller wants no more, or it failed */

    uint64_t progress_us; /* when a key or a partition was last done */
    /* The last key of this partition: a listing that begins again must not repeat it. */
    uint64_t last_hash;
    size_t last_size;
    uint8_t last[SHERD_KEY_BYTES_MAX];
};

static void end(struct scan *s, enum sherd_outcome outcome)
{
    s->outcome = outcome;
    s->over = true;
}

/* Whether the key was handed out by an earlier listing of this partition. */
static bool is_done(const struct scan *s, const struct sherd_listed *key)
{
    size_t common = key->key.size < s->last_size ? key->key.size : s->last_size;
    int order;

    if (s->last_size == 0) return false;
    if (key->key_hash != s->last_hash) return key->key_hash < s->last_hash;
    order = memcmp(key->key.data, s->last, common);
    return order != 0 ? order < 0 : key->key.size <= s->last_size;
}

static void note_done(struct scan *s, const struct sherd_listed *key)
{
    s->progress_us = sherd_clock_now_us();
    s->last_hash = key->key_hash;
    s->last_size = key->key.size;
    memcpy(s->last, key->key.data, key->key.size);
}

static void hand_out(struct scan *s, struct sherd_bytes key, uint64_t size)
{
    if (!s->each(s->context, key, size)) end(s, SHERD_OK);
}

/* The answers leave it open whether there is a value: look, which decides. */
static int look(struct scan *s, struct sherd_bytes key)
{
    struct sherd_op op = {.kind = SHERD_OP_LOOK, .key = key};
    int rc = sherd_run(s->client, &op);

    if (rc < 0) return rc;
    if (op.outcome == SHERD_OK)
        hand_out(s, key, op.size);
    else if (op.outcome != SHERD_NOT_FOUND && op.outcome != SHERD_LOST)
        end(s, op.outcome);
    return 0;
}

static int take(struct scan *s, const struct sherd_partition *p, const struct sherd_listed *key)
{
    uint64_t wall_ms = sherd_clock_wall_ms_now();
    struct sherd_choice choice;

    if (is_done(s, key)) return 0;
    note_done(s, key);
    sherd_choose(p, s->k, &key->answers, wall_ms, &choice);
    if (choice.verdict != SHERD_CHOICE_COMPLETE) return look(s, key->key);
    if (choice.seen && !sherd_meta_is_empty(&choice.seen->meta, wall_ms))
        hand_out(s, key->key, choice.seen->meta.size);
    return 0;
}

/* One page may take all of its time because of one node; the listing after it does without. */
static bool is_out_of_time(const struct scan *s)
{
    return sherd_clock_now_us() - s->progress_us > 2 * s->client->timeout_ms * UINT64_C(1000);
}

/* One listing of one partition. *again: it could not be brought to its end. */
static int list(struct scan *s, struct sherd_listing *l, uint16_t partition, bool *again)
{
    struct sherd_engine *e = s->client->engine;
    struct sherd_listed key;
    int rc = 0;

    *again = false;
    while (rc >= 0 && !s->over) {
        enum sherd_listing_state state = sherd_listing_next(l, &key);
        if (state == SHERD_LISTING_KEY) {
            rc = take(s, &sherd_engine_map(e)->partitions[partition], &key);
        } else if (state == SHERD_LISTING_WAIT) {
            rc = sherd_engine_poll(e, POLL_MS);
        } else {
            *again = state != SHERD_LISTING_END;
            break;
        }
    }
    return rc < 0 ? rc : 0;
}

static int scan_partition(struct scan *s, uint16_t partition)
{
    struct sherd_engine *e = s->client->engine;
    const struct sherd_listing_options options = {
        .partition = partition, .prefix = s->prefix, .timeout_ms = s->client->timeout_ms};
    bool again = true;
    int rc = 0;

    s->last_size = 0;
    while (again && rc >= 0 && !s->over) {
        struct sherd_listing *l = NULL;
        rc = sherd_listing_open(e, &options, &l);
        if (rc == 0) rc = list(s, l, partition, &again);
        sherd_listing_close(l);
        if (!again || rc < 0) break;
        if (is_out_of_time(s)) end(s, SHERD_NO_QUORUM);
        rc = sherd_engine_poll(e, AGAIN_MS); /* nodes come back, or a newer map comes */
    }
    s->progress_us = sherd_clock_now_us();
    return rc < 0 ? rc : 0;
}

int sherd_scan(struct sherd_client *c, struct sherd_bytes prefix,
               bool (*each)(void *context, struct sherd_bytes key, uint64_t size), void *context,
               enum sherd_outcome *outcome)
{
    struct scan s = {.client = c,
                     .prefix = prefix,
                     .each = each,
                     .context = context,
                     .outcome = SHERD_OK,
                     .progress_us = sherd_clock_now_us()};
    const struct sherd_map *map;
    int rc;

    if (prefix.size > SHERD_KEY_MAX) return -EINVAL;
    rc = sherd_client_wait_for_map(c, &map);
    if (rc < 0) return rc;
    if (!map) end(&s, SHERD_NO_CLUSTER);
    for (uint16_t i = 0; !s.over && rc == 0 && i < sherd_engine_map(c->engine)->partition_count;
         i++) {
        s.k = sherd_engine_map(c->engine)->k;
        rc = scan_partition(&s, i);
    }
    *outcome = s.outcome;
    return rc;
}
