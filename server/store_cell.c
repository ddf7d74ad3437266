#include "server/store_cell.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "coord/assert.h"

#define TAIL offsetof(struct sherd_store_cell, tail)

_Static_assert((TAIL + SHERD_CELL_FRAME_AT) % _Alignof(zmq_msg_t) == 0, "zmq_msg_t is aligned");
_Static_assert(TAIL == 38, "the header has no holes");
_Static_assert(SHERD_KEY_BYTES_MAX <= UINT16_MAX, "key_size holds every size");

static void write_ballot(unsigned char *at, struct sherd_ballot b)
{
    memcpy(at, &b.clock, 8);
    memcpy(at + 8, &b.client, 8);
    memcpy(at + 16, &b.epoch, 4);
}

static struct sherd_ballot read_ballot(const unsigned char *at)
{
    struct sherd_ballot b = SHERD_BALLOT_ZERO;

    memcpy(&b.clock, at, 8);
    memcpy(&b.client, at + 8, 8);
    memcpy(&b.epoch, at + 16, 4);
    return b;
}

/* Where the tail's parts begin. The key's place is in the header: lookups need it. */
static unsigned char *expiry_of(struct sherd_store_cell *c)
{
    return c->tail + ((c->flags & SHERD_CELL_FRAMED) ? SHERD_CELL_FRAME_BYTES : 0u);
}

static size_t key_offset(const struct sherd_store_cell *c)
{
    return (size_t)((const unsigned char *)sherd_store_cell_key(c).data - c->tail);
}

static size_t upper_offset(const struct sherd_store_cell *c)
{
    return key_offset(c) - ((c->flags & SHERD_CELL_WIDE) ? SHERD_CELL_UPPER_BYTES : 0u);
}

static size_t version_offset(const struct sherd_store_cell *c)
{
    return upper_offset(c) - ((c->flags & SHERD_CELL_VERSIONED) ? SHERD_CELL_BALLOT_BYTES : 0u);
}

static unsigned char *shard_of(struct sherd_store_cell *c)
{
    return c->tail + key_offset(c) + c->key_size;
}

static uint16_t upper_half(uint32_t number) { return (uint16_t)(number >> 16); }

static struct sherd_store_cell_upper upper_of(const struct sherd_store_cell *c)
{
    struct sherd_store_cell_upper upper = {0, 0, 0};

    if (c->flags & SHERD_CELL_WIDE) memcpy(&upper, c->tail + upper_offset(c), sizeof(upper));
    return upper;
}

static void write_upper(struct sherd_store_cell *c, const struct sherd_store_cell_upper *upper)
{
    memcpy(c->tail + upper_offset(c), upper, sizeof(*upper));
}

static void set_ballot(struct sherd_store_cell *c, struct sherd_ballot b)
{
    c->clock = b.clock;
    c->client = b.client;
    c->epoch = (uint16_t)b.epoch;
}

static struct sherd_ballot ballot_of(const struct sherd_store_cell *c)
{
    uint32_t epoch = (uint32_t)upper_of(c).epoch << 16 | c->epoch;

    return (struct sherd_ballot){c->clock, c->client, epoch};
}

size_t sherd_store_cell_shard_size(const struct sherd_store_cell *c)
{
    return (uint32_t)upper_of(c).shard_size << 16 | c->shard_size;
}

/* Of a cell with so many bytes of a shard inline. */
static size_t size_with(const struct sherd_store_cell *c, size_t inline_bytes)
{
    size_t size = TAIL + key_offset(c) + c->key_size + inline_bytes;

    return size < sizeof(*c) ? sizeof(*c) : size;
}

/* Memory for what `shape` says by its flags and key_size, and for `inline_bytes` of a shard. */
static struct sherd_store_cell *new_cell(const struct sherd_store_cell *shape,
                                         struct sherd_bytes key, size_t inline_bytes)
{
    struct sherd_store_cell *c = malloc(size_with(shape, inline_bytes));

    if (!c) return NULL;
    memcpy(c, shape, TAIL);
    memcpy(c->tail + key_offset(c), key.data, key.size);
    if (c->flags & SHERD_CELL_FRAMED) zmq_msg_init(sherd_store_cell_frame(c));
    return c;
}

static uint8_t flags_of(const struct sherd_entry *e, bool framed, bool wide)
{
    bool versioned = !sherd_ballot_equal(e->ballot, e->version);

    return (uint8_t)((e->committed ? SHERD_CELL_COMMITTED : 0) | (e->shown ? SHERD_CELL_SHOWN : 0) |
                     (e->has_shard ? SHERD_CELL_SHARD : 0) | (framed ? SHERD_CELL_FRAMED : 0) |
                     (e->meta.expires_ms ? SHERD_CELL_EXPIRES : 0) |
                     (versioned ? SHERD_CELL_VERSIONED : 0) | (wide ? SHERD_CELL_WIDE : 0));
}

struct sherd_store_cell *sherd_store_cell_of_entry(struct sherd_bytes key,
                                                   const struct sherd_entry *e, bool framed)
{
    uint32_t size = e->has_shard ? (uint32_t)e->shard.size : 0;
    struct sherd_store_cell_upper upper = {upper_half(e->ballot.epoch), upper_half(e->meta.size),
                                           upper_half(size)};
    bool wide = (upper.epoch | upper.value_size | upper.shard_size) != 0;
    struct sherd_store_cell shape = {
        .checksum = e->meta.checksum,
        .crc = e->crc,
        .value_size = (uint16_t)e->meta.size,
        .shard_size = (uint16_t)size,
        .key_size = (uint16_t)key.size,
        .meta_flags = e->meta.flags,
        .flags = flags_of(e, framed && e->has_shard, wide),
    };
    size_t inline_bytes = (shape.flags & SHERD_CELL_FRAMED) ? 0 : size;
    struct sherd_store_cell *c = NULL;

    SHERD_ASSERT(key.size > 0 && key.size <= SHERD_KEY_BYTES_MAX);
    SHERD_ASSERT(e->shard.size <= UINT32_MAX);
    set_ballot(&shape, e->ballot);
    c = new_cell(&shape, key, inline_bytes);
    if (!c) return NULL;
    if (c->flags & SHERD_CELL_EXPIRES) memcpy(expiry_of(c), &e->meta.expires_ms, 8);
    if (c->flags & SHERD_CELL_VERSIONED) write_ballot(c->tail + version_offset(c), e->version);
    if (c->flags & SHERD_CELL_WIDE) write_upper(c, &upper);
    if (inline_bytes > 0) memcpy(shard_of(c), e->shard.data, inline_bytes);
    return c;
}

void sherd_store_cell_take(struct sherd_store_cell *c, zmq_msg_t *frame)
{
    SHERD_ASSERT(zmq_msg_size(frame) == sherd_store_cell_shard_size(c));
    zmq_msg_move(sherd_store_cell_frame(c), frame);
}

struct sherd_store_cell *sherd_store_cell_of_bounds(struct sherd_bytes key)
{
    struct sherd_store_cell shape = {
        .key_size = (uint16_t)key.size,
        .flags = SHERD_CELL_BOUNDS | SHERD_CELL_VERSIONED | SHERD_CELL_WIDE,
    };

    SHERD_ASSERT(key.size > 0 && key.size <= SHERD_KEY_BYTES_MAX);
    return new_cell(&shape, key, 0);
}

void sherd_store_cell_set_bounds(struct sherd_store_cell *c, struct sherd_ballot promised,
                                 struct sherd_ballot refused)
{
    struct sherd_store_cell_upper upper = {.epoch = upper_half(promised.epoch)};

    set_ballot(c, promised);
    write_upper(c, &upper);
    write_ballot(c->tail + version_offset(c), refused);
}

void sherd_store_cell_bounds(const struct sherd_store_cell *c, struct sherd_ballot *promised,
                             struct sherd_ballot *refused)
{
    *promised = ballot_of(c);
    *refused = read_ballot(c->tail + version_offset(c));
}

void sherd_store_cell_free(struct sherd_store_cell *c)
{
    zmq_msg_t *frame = sherd_store_cell_frame(c);

    if (frame) zmq_msg_close(frame);
    free(c);
}

zmq_msg_t *sherd_store_cell_frame(struct sherd_store_cell *c)
{
    void *at = c->tail + SHERD_CELL_FRAME_AT;

    return (c->flags & SHERD_CELL_FRAMED) ? at : NULL;
}

static struct sherd_bytes shard_view(struct sherd_store_cell *c)
{
    zmq_msg_t *frame = sherd_store_cell_frame(c);

    if (!(c->flags & SHERD_CELL_SHARD)) return (struct sherd_bytes){NULL, 0};
    return (struct sherd_bytes){frame ? zmq_msg_data(frame) : shard_of(c),
                                sherd_store_cell_shard_size(c)};
}

void sherd_store_cell_entry(struct sherd_store_cell *c, struct sherd_entry *out)
{
    out->ballot = ballot_of(c);
    out->version = out->ballot;
    if (c->flags & SHERD_CELL_VERSIONED) out->version = read_ballot(c->tail + version_offset(c));
    out->meta.checksum = c->checksum;
    out->meta.expires_ms = 0;
    if (c->flags & SHERD_CELL_EXPIRES) memcpy(&out->meta.expires_ms, expiry_of(c), 8);
    out->meta.size = (uint32_t)upper_of(c).value_size << 16 | c->value_size;
    out->meta.flags = c->meta_flags;
    out->committed = (c->flags & SHERD_CELL_COMMITTED) != 0;
    out->shown = (c->flags & SHERD_CELL_SHOWN) != 0;
    out->has_shard = (c->flags & SHERD_CELL_SHARD) != 0;
    out->crc = c->crc;
    out->shard = shard_view(c);
    out->handle = c;
}

/* Without its frame, what follows in the tail moves to its beginning. */
static void close_frame(struct sherd_store_cell *c)
{
    zmq_msg_t *frame = sherd_store_cell_frame(c);
    size_t rest = key_offset(c) + c->key_size - SHERD_CELL_FRAME_BYTES;

    if (!frame) return;
    zmq_msg_close(frame);
    memmove(c->tail, c->tail + SHERD_CELL_FRAME_BYTES, rest);
    c->flags &= (uint8_t)~SHERD_CELL_FRAMED;
}

static void set_no_shard_size(struct sherd_store_cell *c)
{
    struct sherd_store_cell_upper upper = upper_of(c);

    c->shard_size = upper.shard_size = 0;
    if (c->flags & SHERD_CELL_WIDE) write_upper(c, &upper);
}

struct sherd_store_cell *sherd_store_cell_strip(struct sherd_store_cell *c)
{
    struct sherd_store_cell *smaller = NULL;

    close_frame(c);
    c->flags &= (uint8_t)~SHERD_CELL_SHARD;
    set_no_shard_size(c);
    smaller = realloc(c, size_with(c, 0));
    return smaller ? smaller : c; /* an allocator that cannot shrink leaves it as large as it was */
}

uint64_t sherd_store_cell_bytes(struct sherd_store_cell *c)
{
    zmq_msg_t *frame = sherd_store_cell_frame(c);
    uint64_t bytes = malloc_usable_size(c) + SHERD_CELL_MALLOC_BYTES;

    return frame ? bytes + zmq_msg_size(frame) + SHERD_CELL_ZMQ_BYTES : bytes;
}
