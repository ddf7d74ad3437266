#include "coord/map_codec.h"

#include <errno.h>

#define XXH_INLINE_ALL /* only the header: coord links nothing */
#include <xxhash.h>

#include "coord/assert.h"
#include "coord/bytes.h"

/* The layout: WIRE.md, "Map" and "Report". */
enum {
    MAP_MAGIC = 0x70616d73, /* "smap" */
    MAP_FORMAT = 1,
    HEAD_BYTES = 56,
    PEEK_OFFSET = HEAD_BYTES - 2, /* of partition_count, the last field of the head */
    NODE_FIXED_BYTES = 18,
    PARTITION_FIXED_BYTES = 10,
    SLOT_BYTES = 2,   /* who holds it, or held it last */
    HOLDER_BYTES = 4, /* of a slot that is held: the incarnation */
    EPOCH_FIXED_BYTES = 8,
    VOTER_BYTES = 6,
    CHECKSUM_BYTES = 8,
    REPORT_BYTES = 2 + 4 * 8 + 3 * (SHERD_PARTITIONS / 8),
};

/* A map has room for a successor: an epoch is a version in 32 bits, and every slot may be given a
 * new incarnation at once. */
static const uint64_t version_max = UINT32_MAX - 1;
static const uint32_t next_incarnation_max = UINT32_MAX - SHERD_PARTITIONS * SHERD_SLOTS_MAX;

_Static_assert(REPORT_BYTES <= (int)SHERD_REPORT_BYTES_MAX, "the limit in the header holds");

uint64_t sherd_map_hash(struct sherd_bytes encoded)
{
    return XXH3_64bits(encoded.data, encoded.size);
}

/* Encoding */

/* The bytes before the zero that must be within `size_max` bytes. */
static struct sherd_bytes text_of(const char *text, size_t size_max)
{
    size_t size = 0;

    while (size < size_max && text[size] != '\0')
        size++;
    SHERD_ASSERT(size < size_max);
    return (struct sherd_bytes){text, size};
}

static uint8_t slots_of(const struct sherd_map *map) { return (uint8_t)(map->k + map->m); }

static size_t partition_bytes(const struct sherd_partition *p, uint8_t n)
{
    size_t size = PARTITION_FIXED_BYTES + (size_t)n * SLOT_BYTES;

    SHERD_ASSERT((sherd_partition_holders(p) & ~sherd_slots_below(n)) == 0);
    SHERD_ASSERT(p->open_count >= 1 && p->open_count <= SHERD_OPEN_EPOCHS_MAX);
    size += (size_t)sherd_slots_count(sherd_partition_holders(p)) * HOLDER_BYTES;
    for (uint32_t i = 0; i < p->open_count; i++)
        size += EPOCH_FIXED_BYTES + (size_t)sherd_slots_count(p->open[i].voters) * VOTER_BYTES;
    return size;
}

size_t sherd_map_encoded_max(const struct sherd_map *map)
{
    size_t size = HEAD_BYTES + CHECKSUM_BYTES;

    SHERD_ASSERT(map->node_count <= SHERD_NODES_MAX && map->partition_count <= SHERD_PARTITIONS);
    SHERD_ASSERT(map->k + map->m <= SHERD_SLOTS_MAX);
    for (uint16_t i = 0; i < map->node_count; i++)
        size += NODE_FIXED_BYTES + text_of(map->nodes[i].endpoint, SHERD_ENDPOINT_BYTES_MAX).size +
                text_of(map->nodes[i].zone, SHERD_ZONE_BYTES_MAX).size;
    for (uint16_t i = 0; i < map->partition_count; i++)
        size += partition_bytes(&map->partitions[i], slots_of(map));
    return size;
}

static uint8_t *put_head(uint8_t *at, const struct sherd_map *map)
{
    at = sherd_bytes_put_u32(at, MAP_MAGIC);
    at = sherd_bytes_put_u16(at, MAP_FORMAT);
    at = sherd_bytes_put_u8(at, map->k);
    at = sherd_bytes_put_u8(at, map->m);
    at = sherd_bytes_put_u64(at, map->cluster);
    at = sherd_bytes_put_u64(at, map->version);
    at = sherd_bytes_put_u64(at, map->live);
    at = sherd_bytes_put_u64(at, map->predecessor);
    at = sherd_bytes_put_u64(at, map->term);
    at = sherd_bytes_put_u32(at, map->next_incarnation);
    at = sherd_bytes_put_u16(at, map->node_count);
    return sherd_bytes_put_u16(at, map->partition_count);
}

static uint8_t *put_text(uint8_t *at, struct sherd_bytes text)
{
    at = sherd_bytes_put_u8(at, (uint8_t)text.size);
    return sherd_bytes_put(at, text);
}

static uint8_t *put_node(uint8_t *at, const struct sherd_node *n)
{
    at = sherd_bytes_put_u16(at, n->id);
    at = sherd_bytes_put_u16(at, n->weight);
    at = sherd_bytes_put_u64(at, n->incarnation);
    at = sherd_bytes_put_u32(at, n->since);
    at = put_text(at, text_of(n->endpoint, SHERD_ENDPOINT_BYTES_MAX));
    return put_text(at, text_of(n->zone, SHERD_ZONE_BYTES_MAX));
}

static uint8_t *put_epoch(uint8_t *at, const struct sherd_epoch *e)
{
    at = sherd_bytes_put_u32(at, e->epoch);
    at = sherd_bytes_put_u32(at, e->voters);
    for (uint32_t rest = e->voters; rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        at = sherd_bytes_put_u16(at, e->node[slot]);
        at = sherd_bytes_put_u32(at, e->incarnation[slot]);
    }
    return at;
}

static uint8_t *put_partition(uint8_t *at, const struct sherd_partition *p, uint8_t n)
{
    at = sherd_bytes_put_u32(at, p->voters);
    at = sherd_bytes_put_u32(at, p->learners);
    at = sherd_bytes_put_u8(at, p->lost != 0);
    at = sherd_bytes_put_u8(at, (uint8_t)p->open_count);
    for (uint8_t slot = 0; slot < n; slot++) {
        at = sherd_bytes_put_u16(at, p->node[slot]);
        if (sherd_slots_has(sherd_partition_holders(p), slot))
            at = sherd_bytes_put_u32(at, p->incarnation[slot]);
    }
    for (uint32_t i = 0; i < p->open_count; i++)
        at = put_epoch(at, &p->open[i]);
    return at;
}

size_t sherd_map_encode(const struct sherd_map *map, uint8_t *out, size_t capacity)
{
    size_t size = sherd_map_encoded_max(map);

    if (capacity < size) return 0;

    uint8_t *at = put_head(out, map);
    for (uint16_t i = 0; i < map->node_count; i++)
        at = put_node(at, &map->nodes[i]);
    for (uint16_t i = 0; i < map->partition_count; i++)
        at = put_partition(at, &map->partitions[i], slots_of(map));
    at = sherd_bytes_put_u64(at, XXH3_64bits(out, (size_t)(at - out)));
    SHERD_ASSERT(at == out + size);
    return size;
}

/* Decoding */

static bool is_count(uint16_t count, uint16_t max) { return count >= 1 && count <= max; }

uint16_t sherd_map_peek_partitions(struct sherd_bytes in)
{
    if (in.size < HEAD_BYTES + CHECKSUM_BYTES) return 0;

    struct sherd_bytes_reader b = sherd_bytes_read(in);
    if (sherd_bytes_take_u32(&b) != MAP_MAGIC || sherd_bytes_take_u16(&b) != MAP_FORMAT) return 0;
    b.at = (const uint8_t *)in.data + PEEK_OFFSET;
    uint16_t count = sherd_bytes_take_u16(&b);
    return is_count(count, SHERD_PARTITIONS) ? count : 0;
}

/* Whether the checksum at the end is that of all before it. */
static bool is_intact(struct sherd_bytes in)
{
    size_t size = in.size - CHECKSUM_BYTES;
    struct sherd_bytes_reader b = sherd_bytes_read(in);

    b.at += size;
    return sherd_bytes_take_u64(&b) == XXH3_64bits(in.data, size);
}

static void take_head(struct sherd_bytes_reader *b, struct sherd_map *map)
{
    sherd_bytes_take(b, sizeof(uint32_t) + sizeof(uint16_t)); /* magic and format: peek did */
    map->k = sherd_bytes_take_u8(b);
    map->m = sherd_bytes_take_u8(b);
    map->cluster = sherd_bytes_take_u64(b);
    map->version = sherd_bytes_take_u64(b);
    map->live = sherd_bytes_take_u64(b);
    map->predecessor = sherd_bytes_take_u64(b);
    map->term = sherd_bytes_take_u64(b);
    map->next_incarnation = sherd_bytes_take_u32(b);
    map->node_count = sherd_bytes_take_u16(b);
    map->partition_count = sherd_bytes_take_u16(b);
    sherd_bytes_require(b, map->k >= 1 && map->k + map->m <= SHERD_SLOTS_MAX && map->version != 0 &&
                               map->version <= version_max && map->live <= map->version &&
                               map->next_incarnation <= next_incarnation_max &&
                               is_count(map->node_count, SHERD_NODES_MAX));
}

/* `out` is zero, and stays zero-terminated. */
static void take_text(struct sherd_bytes_reader *b, char *out, size_t size_max)
{
    uint8_t size = sherd_bytes_take_u8(b);
    sherd_bytes_require(b, size < size_max);
    struct sherd_bytes text = sherd_bytes_take(b, size);
    const uint8_t *bytes = text.data;

    for (size_t i = 0; i < text.size; i++)
        sherd_bytes_require(b, bytes[i] >= ' ' && bytes[i] != 0x7f);
    if (text.size != 0) memcpy(out, bytes, text.size);
}

static void take_node(struct sherd_bytes_reader *b, uint16_t index, struct sherd_node *out)
{
    *out = (struct sherd_node){0};
    out->id = sherd_bytes_take_u16(b);
    out->weight = sherd_bytes_take_u16(b);
    out->incarnation = sherd_bytes_take_u64(b);
    out->since = sherd_bytes_take_u32(b);
    take_text(b, out->endpoint, SHERD_ENDPOINT_BYTES_MAX);
    take_text(b, out->zone, SHERD_ZONE_BYTES_MAX);
    sherd_bytes_require(b, out->id == index);
}

static uint16_t take_node_id(struct sherd_bytes_reader *b, const struct sherd_map *map)
{
    uint16_t node = sherd_bytes_take_u16(b);

    sherd_bytes_require(b, node < map->node_count);
    return b->broken ? 0 : node; /* safe as an index in any case */
}

/* Who holds the slots, no node two of them; of a vacant one the last holder, if there was one. */
static void take_slots(struct sherd_bytes_reader *b, const struct sherd_map *map,
                       struct sherd_partition *out)
{
    bool taken[SHERD_NODES_MAX] = {false};

    for (uint8_t slot = 0; slot < slots_of(map) && !b->broken; slot++) {
        uint16_t *node = &out->node[slot];

        if (sherd_slots_has(sherd_partition_holders(out), slot)) {
            *node = take_node_id(b, map);
            out->incarnation[slot] = sherd_bytes_take_u32(b);
            sherd_bytes_require(b, !taken[*node]);
            taken[*node] = true;
        } else {
            *node = sherd_bytes_take_u16(b);
            sherd_bytes_require(b, *node < map->node_count || *node == SHERD_NO_NODE);
        }
    }
}

static void no_nodes(uint16_t node[SHERD_SLOTS_MAX])
{
    for (size_t slot = 0; slot < SHERD_SLOTS_MAX; slot++)
        node[slot] = SHERD_NO_NODE;
}

/* Fewer than k voters are not an epoch: the arithmetic of quorums counts on it. */
static void take_epoch(struct sherd_bytes_reader *b, const struct sherd_map *map,
                       struct sherd_epoch *out)
{
    *out = (struct sherd_epoch){0};
    no_nodes(out->node);
    out->epoch = sherd_bytes_take_u32(b);
    out->voters = sherd_bytes_take_u32(b);
    sherd_bytes_require(b, (out->voters & ~sherd_slots_below(slots_of(map))) == 0 &&
                               sherd_slots_count(out->voters) >= map->k);
    for (uint32_t rest = out->voters; rest != 0 && !b->broken; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        out->node[slot] = take_node_id(b, map);
        out->incarnation[slot] = sherd_bytes_take_u32(b);
    }
}

static void take_epochs(struct sherd_bytes_reader *b, const struct sherd_map *map,
                        struct sherd_partition *out)
{
    uint32_t voters = 0;

    for (uint32_t i = 0; i < out->open_count && !b->broken; i++) {
        take_epoch(b, map, &out->open[i]);
        sherd_bytes_require(b, i == 0 || out->open[i - 1].epoch < out->open[i].epoch);
        out->epoch = out->open[i].epoch;
        voters = out->open[i].voters;
    }
    sherd_bytes_require(b, out->epoch <= map->version && out->voters == voters);
}

static void take_partition(struct sherd_bytes_reader *b, const struct sherd_map *map,
                           struct sherd_partition *out)
{
    uint32_t slots = sherd_slots_below(slots_of(map));

    *out = (struct sherd_partition){0};
    no_nodes(out->node);
    out->voters = sherd_bytes_take_u32(b);
    out->learners = sherd_bytes_take_u32(b);
    out->lost = sherd_bytes_take_u8(b);
    out->open_count = sherd_bytes_take_u8(b);
    sherd_bytes_require(b, (out->voters & out->learners) == 0 &&
                               (sherd_partition_holders(out) & ~slots) == 0 && out->lost <= 1 &&
                               is_count((uint16_t)out->open_count, SHERD_OPEN_EPOCHS_MAX));
    if (b->broken) return;
    take_slots(b, map, out);
    take_epochs(b, map, out);
}

int sherd_map_decode(struct sherd_bytes in, struct sherd_map *out)
{
    uint16_t partitions = sherd_map_peek_partitions(in);

    if (partitions == 0 || !is_intact(in)) return -EBADMSG;

    in.size -= CHECKSUM_BYTES;
    struct sherd_bytes_reader b = sherd_bytes_read(in);
    memset(out, 0, sizeof(*out));
    take_head(&b, out);
    for (uint16_t i = 0; i < out->node_count && !b.broken; i++)
        take_node(&b, i, &out->nodes[i]);
    for (uint16_t i = 0; i < partitions && !b.broken; i++)
        take_partition(&b, out, &out->partitions[i]);
    return b.broken || sherd_bytes_left(&b) != 0 ? -EBADMSG : 0;
}

/* Reports */

size_t sherd_report_encode(const struct sherd_report *r, uint8_t *out, size_t capacity)
{
    if (capacity < REPORT_BYTES) return 0;

    uint8_t *at = sherd_bytes_put_u16(out, r->node);
    at = sherd_bytes_put_u64(at, r->incarnation);
    at = sherd_bytes_put_u64(at, r->cluster);
    at = sherd_bytes_put_u64(at, r->map_version);
    at = sherd_bytes_put_u64(at, r->live);
    at = sherd_bytes_put(at, (struct sherd_bytes){r->rebuilt, sizeof(r->rebuilt)});
    at = sherd_bytes_put(at, (struct sherd_bytes){r->scanned, sizeof(r->scanned)});
    sherd_bytes_put(at, (struct sherd_bytes){r->forgotten, sizeof(r->forgotten)});
    return REPORT_BYTES;
}

/* They are there: the size of a report was looked at before. */
static void take_bits(struct sherd_bytes_reader *b, uint8_t bits[SHERD_PARTITIONS / 8])
{
    struct sherd_bytes view = sherd_bytes_take(b, SHERD_PARTITIONS / 8);

    memcpy(bits, view.data, view.size);
}

int sherd_report_decode(struct sherd_bytes in, struct sherd_report *out)
{
    if (in.size != REPORT_BYTES) return -EBADMSG;

    struct sherd_bytes_reader b = sherd_bytes_read(in);
    struct sherd_report r = {.node = sherd_bytes_take_u16(&b)};
    r.incarnation = sherd_bytes_take_u64(&b);
    r.cluster = sherd_bytes_take_u64(&b);
    r.map_version = sherd_bytes_take_u64(&b);
    r.live = sherd_bytes_take_u64(&b);
    take_bits(&b, r.rebuilt);
    take_bits(&b, r.scanned);
    take_bits(&b, r.forgotten);
    if (r.node >= SHERD_NODES_MAX) return -EBADMSG;

    *out = r;
    return 0;
}
