#include "client/listing.h"

#include <errno.h>
#include <sherd/ecc.h>
#include <stdlib.h>
#include <string.h>

#include "client/engine_parts.h"

enum { DEFAULT_PAGE_BYTES = 1 << 20, DEFAULT_TIMEOUT_MS = 2000 };

enum stream_state {
    STREAM_EMPTY,   /* its page is used up: ask for the next one */
    STREAM_WAITING, /* a page is on the way */
    STREAM_HEAD,    /* `key` and `entries` are its next key */
    STREAM_TAKEN,   /* ... and were handed out: the page stays until next() is called again */
    STREAM_END,     /* it has no more keys */
    STREAM_SILENT,  /* it failed: nothing of it counts any more */
};

/* The keys of one holder. */
struct stream {
    struct sherd_listing *listing;
    enum stream_state state;
    uint8_t slot;
    uint16_t node;
    bool is_voter;
    bool is_last_page;

    uint8_t *page;
    size_t size, capacity, at;

    struct sherd_bytes key;
    uint64_t hash;
    uint8_t count;
    struct sherd_entry entries[SHERD_ENTRIES_MAX];

    uint64_t cursor_hash; /* of the last key taken; the next one is above it */
    size_t cursor_size;
    uint8_t cursor[SHERD_KEY_BYTES_MAX];
};

struct sherd_listing {
    struct sherd_engine *engine;
    struct sherd_listing_options options; /* prefix: points to `prefix` */
    uint8_t prefix[SHERD_KEY_BYTES_MAX];
    struct sherd_quorum quorum;
    uint8_t k;
    uint32_t epoch, voters, heard;
    bool is_stale;
    uint8_t stream_count;
    struct stream *streams[SHERD_SLOTS_MAX];
};

/* ---- pages ---- */

/* The order of all stores: hash, then bytes. */
static int compare(uint64_t hash, struct sherd_bytes key, uint64_t other_hash,
                   struct sherd_bytes other)
{
    size_t common = key.size < other.size ? key.size : other.size;
    int order;

    if (hash != other_hash) return hash < other_hash ? -1 : 1;
    order = memcmp(key.data, other.data, common);
    if (order != 0 || key.size == other.size) return order;
    return key.size < other.size ? -1 : 1;
}

static void silence(struct stream *s)
{
    s->state = STREAM_SILENT;
    s->listing->heard &= ~sherd_slot(s->slot);
}

/* Reads the next item of the page; whoever sends them out of order would be heard out of order. */
static void take_item(struct stream *s)
{
    struct sherd_bytes body = {s->page, s->size};
    struct sherd_bytes cursor = {s->cursor, s->cursor_size};
    int rc = sherd_wire_next_item(body, &s->at, &s->key, s->entries, &s->count);

    if (rc == -ENODATA) {
        s->state = s->is_last_page ? STREAM_END : STREAM_EMPTY;
        return;
    }
    s->hash = rc < 0 ? 0 : sherd_hash_key(s->key.data, s->key.size);
    if (rc < 0 || (cursor.size != 0 && compare(s->hash, s->key, s->cursor_hash, cursor) <= 0)) {
        silence(s);
        return;
    }
    s->state = STREAM_HEAD;
    s->cursor_hash = s->hash;
    s->cursor_size = s->key.size;
    memcpy(s->cursor, s->key.data, s->key.size);
}

static bool keep_page(struct stream *s, struct sherd_bytes body)
{
    if (body.size > s->capacity) {
        uint8_t *page = realloc(s->page, body.size);
        if (!page) return false;
        s->page = page;
        s->capacity = body.size;
    }
    if (body.size != 0) memcpy(s->page, body.data, body.size);
    s->size = body.size;
    s->at = 0;
    return true;
}

static void on_page(void *context, const struct sherd_answer *a)
{
    struct stream *s = context;
    bool refused = a && a->kind == SHERD_STALE && a->reason != SHERD_REASON_SESSION &&
                   a->reason != SHERD_REASON_STRANGER;

    if (refused || (a && a->kind == SHERD_PAGE && a->epoch != s->listing->epoch))
        s->listing->is_stale = true;
    if (!a || a->kind != SHERD_PAGE || a->epoch != s->listing->epoch) {
        silence(s);
        return;
    }
    s->is_last_page = (a->flags & SHERD_ANSWER_END) != 0;
    /* A page that neither has keys nor is the last one would be asked for again for ever. */
    if (!keep_page(s, a->body) || (s->size == 0 && !s->is_last_page))
        silence(s);
    else
        take_item(s);
}

/* The first k voters that still answer give shards too. */
static bool gives_shards(const struct stream *s)
{
    const struct sherd_listing *l = s->listing;
    uint32_t before = l->voters & l->heard & sherd_slots_below(s->slot);

    return l->options.with_shards && s->is_voter && sherd_slots_count(before) < l->k;
}

static void ask(struct stream *s)
{
    const struct sherd_listing_options *o = &s->listing->options;
    struct sherd_request r = {
        .kind = SHERD_LIST,
        .flags = gives_shards(s) ? SHERD_WITH_SHARD : 0,
        .slot = s->slot,
        .what = SHERD_LIST_KEYS,
        .epoch = s->listing->epoch,
        .partition = o->partition,
        .limit = o->page_bytes,
        .since = o->since,
        .key = {s->cursor, s->cursor_size},
        .body = o->prefix,
        .shard_frame = -1,
    };

    s->state = STREAM_WAITING;
    /* A node known to be late is not waited for: all others would wait with it, page by page. */
    if (!sherd_engine_is_reachable(s->listing->engine, s->node) ||
        sherd_engine_call(s->listing->engine, s->node, &r, o->timeout_ms, on_page, s) < 0)
        silence(s);
}

/* ---- keys ---- */

static bool is_at(const struct stream *s, const struct stream *lowest)
{
    return s->state == STREAM_HEAD && s->hash == lowest->hash &&
           compare(s->hash, s->key, lowest->hash, lowest->key) == 0;
}

/* What one holder shows of the key. Shards that are not what they should be are no shards. */
static void add_answer(struct stream *s, struct sherd_listed *out)
{
    for (uint8_t i = 0; i < s->count; i++) {
        struct sherd_entry *e = &s->entries[i];
        if (!e->shard.data) continue;
        if (!sherd_piece_is_intact(e, s->listing->k)) {
            e->has_shard = false;
            e->shard = (struct sherd_bytes){NULL, 0};
        } else if (e->committed) { /* entries ascend: the highest stays */
            out->shards[s->slot] = e->shard;
            out->crc[s->slot] = e->crc;
            out->shard_version[s->slot] = e->version;
        }
    }
    sherd_answers_add(&out->answers, s->slot, s->entries, s->count);
}

static struct stream *lowest_of(const struct sherd_listing *l)
{
    struct stream *lowest = NULL;

    for (uint8_t i = 0; i < l->stream_count; i++) {
        struct stream *s = l->streams[i];
        if (s->state != STREAM_HEAD) continue;
        if (!lowest || compare(s->hash, s->key, lowest->hash, lowest->key) < 0) lowest = s;
    }
    return lowest;
}

/* Folds what all say of the lowest key, and moves on. False: nobody holds anything under it. */
static bool fold(struct sherd_listing *l, struct stream *lowest, struct sherd_listed *out)
{
    struct stream *at[SHERD_SLOTS_MAX];
    uint8_t count = 0;

    memset(out->shards, 0, sizeof(out->shards));
    out->key = lowest->key;
    out->key_hash = lowest->hash;
    sherd_answers_reset(&out->answers);
    for (uint8_t i = 0; i < l->stream_count; i++)
        if (is_at(l->streams[i], lowest)) at[count++] = l->streams[i];
    for (uint8_t i = 0; i < count; i++) {
        add_answer(at[i], out);
        at[i]->state = STREAM_TAKEN;
    }
    out->answers.heard |= l->heard; /* who passed the key by holds nothing */
    return out->answers.count > 0;
}

/* Brings every stream to its next key, or asks for its next page. False: some page is missing. */
static bool advance(struct sherd_listing *l)
{
    bool ready = true;

    for (uint8_t i = 0; i < l->stream_count; i++) {
        struct stream *s = l->streams[i];
        if (s->state == STREAM_TAKEN) take_item(s);
        if (s->state == STREAM_EMPTY) ask(s);
        if (s->state == STREAM_WAITING) ready = false;
    }
    return ready;
}

/* An answer in another epoch cannot be folded with these. */
static bool is_stale(const struct sherd_listing *l)
{
    const struct sherd_map *map = sherd_engine_map(l->engine);

    return l->is_stale || map->partitions[l->options.partition].epoch != l->epoch;
}

enum sherd_listing_state sherd_listing_next(struct sherd_listing *l, struct sherd_listed *out)
{
    for (;;) {
        bool ready = advance(l);
        struct stream *lowest;

        if (is_stale(l)) return SHERD_LISTING_STALE;
        if (sherd_slots_count(l->heard & l->voters) < l->quorum.r) return SHERD_LISTING_FAILED;
        if (!ready) return SHERD_LISTING_WAIT;
        lowest = lowest_of(l);
        if (!lowest) return SHERD_LISTING_END;
        if (fold(l, lowest, out)) return SHERD_LISTING_KEY;
    }
}

/* ---- opening ---- */

static int add_stream(struct sherd_listing *l, const struct sherd_partition *p, uint8_t slot)
{
    struct stream *s = calloc(1, sizeof(*s));

    if (!s) return -ENOMEM;
    s->listing = l;
    s->slot = slot;
    s->node = p->node[slot];
    s->is_voter = sherd_slots_has(p->voters, slot);
    l->streams[l->stream_count++] = s;
    l->heard |= sherd_slot(slot);
    return 0;
}

/* All voters, and this node itself if it is learner. */
static int add_streams(struct sherd_listing *l, const struct sherd_partition *p)
{
    int rc = 0;

    for (uint32_t rest = sherd_partition_holders(p); rest != 0 && rc == 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        if (sherd_slots_has(p->voters, slot) || p->node[slot] == l->engine->self_node)
            rc = add_stream(l, p, slot);
    }
    return rc;
}

static void take_options(struct sherd_listing *l, const struct sherd_listing_options *options)
{
    l->options = *options;
    if (l->options.page_bytes == 0) l->options.page_bytes = DEFAULT_PAGE_BYTES;
    if (l->options.timeout_ms == 0) l->options.timeout_ms = DEFAULT_TIMEOUT_MS;
    if (options->prefix.size != 0) memcpy(l->prefix, options->prefix.data, options->prefix.size);
    l->options.prefix.data = l->prefix;
}

int sherd_listing_open(struct sherd_engine *e, const struct sherd_listing_options *options,
                       struct sherd_listing **out)
{
    const struct sherd_map *map = sherd_engine_map(e);
    const struct sherd_partition *p;
    struct sherd_listing *l;
    int rc;

    *out = NULL;
    if (!map) return -ENOTCONN;
    if (options->partition >= map->partition_count || options->prefix.size > SHERD_KEY_BYTES_MAX)
        return -EINVAL;
    l = calloc(1, sizeof(*l));
    if (!l) return -ENOMEM;
    p = &map->partitions[options->partition];
    l->engine = e;
    take_options(l, options);
    l->k = map->k;
    l->quorum = sherd_partition_quorum(p, map->k);
    l->epoch = p->epoch;
    l->voters = p->voters;
    rc = add_streams(l, p);
    if (rc < 0)
        sherd_listing_close(l);
    else
        *out = l;
    return rc;
}

uint32_t sherd_listing_heard(const struct sherd_listing *l) { return l->heard; }

uint32_t sherd_listing_epoch(const struct sherd_listing *l) { return l->epoch; }

void sherd_listing_close(struct sherd_listing *l)
{
    if (!l) return;
    for (uint8_t i = 0; i < l->stream_count; i++) {
        sherd_engine_cancel(l->engine, l->streams[i]);
        free(l->streams[i]->page);
        free(l->streams[i]);
    }
    free(l);
}
