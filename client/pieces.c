#include "client/pieces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coord/wire.h"

enum { FIRST_PIECES = 8, FIRST_COPIES = 4096, BYTES_KEPT = 16 << 10 };

/* ---- in ---- */

void sherd_pieces_reset(struct sherd_pieces *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->list[i].has_frame) zmq_msg_close(&p->list[i].frame);
    p->count = 0;
    p->copies_size = 0;
    if (p->copies_capacity > BYTES_KEPT) {
        free(p->copies);
        p->copies = NULL;
        p->copies_capacity = 0;
    }
}

void sherd_pieces_fini(struct sherd_pieces *p)
{
    sherd_pieces_reset(p);
    free(p->list);
    free(p->copies);
    *p = (struct sherd_pieces){0};
}

bool sherd_piece_is_intact(const struct sherd_entry *entry, unsigned k)
{
    return entry->has_shard && entry->shard.data &&
           entry->shard.size == sherd_ecc_shard_size(k, entry->meta.size) &&
           sherd_crc32c(entry->shard.data, entry->shard.size) == entry->crc;
}

static const struct sherd_piece *find(const struct sherd_pieces *p, uint8_t slot,
                                      struct sherd_ballot version)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->list[i].slot == slot && sherd_ballot_equal(p->list[i].version, version))
            return &p->list[i];
    return NULL;
}

static int grow_list(struct sherd_pieces *p)
{
    size_t capacity = p->capacity ? p->capacity * 2 : FIRST_PIECES;
    struct sherd_piece *list = malloc(capacity * sizeof(*list));

    if (!list) return -ENOMEM;
    for (size_t i = 0; i < p->count; i++) {
        list[i] = p->list[i];
        if (!list[i].has_frame) continue;
        zmq_msg_init(&list[i].frame); /* may only be moved by its own function */
        zmq_msg_move(&list[i].frame, &p->list[i].frame);
        zmq_msg_close(&p->list[i].frame);
    }
    free(p->list);
    p->list = list;
    p->capacity = capacity;
    return 0;
}

static int copy_shard(struct sherd_pieces *p, struct sherd_bytes shard)
{
    size_t capacity = p->copies_capacity ? p->copies_capacity : FIRST_COPIES;

    if (shard.size == 0) return 0;
    if (p->copies_size + shard.size > p->copies_capacity) {
        while (capacity < p->copies_size + shard.size)
            capacity *= 2;
        uint8_t *copies = realloc(p->copies, capacity);
        if (!copies) return -ENOMEM;
        p->copies = copies;
        p->copies_capacity = capacity;
    }
    memcpy(p->copies + p->copies_size, shard.data, shard.size);
    p->copies_size += shard.size;
    return 0;
}

int sherd_pieces_add(struct sherd_pieces *p, uint8_t slot, const struct sherd_entry *entry,
                     zmq_msg_t *frame)
{
    struct sherd_piece *piece;
    int rc = 0;

    if (find(p, slot, entry->version)) return 0;
    if (p->count == SHERD_PIECES_MAX) return -ENOMEM;
    if (p->count == p->capacity) rc = grow_list(p);
    if (rc < 0) return rc;
    piece = &p->list[p->count];
    piece->version = entry->version;
    piece->slot = slot;
    piece->has_frame = frame != NULL;
    piece->size = entry->shard.size;
    piece->offset = p->copies_size;
    if (frame) {
        zmq_msg_init(&piece->frame);
        zmq_msg_move(&piece->frame, frame);
    } else if ((rc = copy_shard(p, entry->shard)) < 0) {
        return rc;
    }
    p->count++;
    return 0;
}

static const void *bytes_of(const struct sherd_pieces *p, struct sherd_piece *piece)
{
    static const uint8_t nothing[1]; /* a shard of 0 bytes must not be NULL */

    if (piece->has_frame) return zmq_msg_data(&piece->frame);
    return p->copies ? p->copies + piece->offset : nothing;
}

int sherd_pieces_join(struct sherd_pieces *p, struct sherd_ecc *ecc, struct sherd_ballot version,
                      const struct sherd_meta *meta, void *value)
{
    const void *shards[SHERD_SLOTS_MAX] = {NULL};
    unsigned n = sherd_ecc_k(ecc) + sherd_ecc_m(ecc);
    size_t size = sherd_ecc_shard_size(sherd_ecc_k(ecc), meta->size);
    int rc;

    for (size_t i = 0; i < p->count; i++) {
        struct sherd_piece *piece = &p->list[i];
        if (piece->slot < n && piece->size == size && sherd_ballot_equal(piece->version, version))
            shards[piece->slot] = bytes_of(p, piece);
    }
    rc = sherd_ecc_join(ecc, shards, meta->size, value);
    if (rc < 0) return rc;
    return sherd_checksum(value, meta->size) == meta->checksum ? 0 : -EBADMSG;
}

/* ---- out ---- */

void sherd_shards_reset(struct sherd_shards *s)
{
    sherd_block_release(s->block);
    s->block = NULL;
    if (s->capacity > BYTES_KEPT) {
        free(s->buffer);
        s->buffer = NULL;
        s->capacity = 0;
    }
}

void sherd_shards_fini(struct sherd_shards *s)
{
    sherd_shards_reset(s);
    free(s->buffer);
    *s = (struct sherd_shards){0};
}

static int reserve(struct sherd_shards *s, size_t size)
{
    if (size == 0) size = 1; /* shards of 0 bytes must not be NULL */
    if (size <= s->capacity) return 0;
    free(s->buffer);
    s->buffer = malloc(size);
    s->capacity = s->buffer ? size : 0;
    return s->buffer ? 0 : -ENOMEM;
}

static void encode_parity(struct sherd_shards *s, const struct sherd_ecc *ecc, uint8_t *at)
{
    unsigned k = sherd_ecc_k(ecc), m = sherd_ecc_m(ecc);
    void *parity[SHERD_SLOTS_MAX];

    for (unsigned i = 0; i < m; i++)
        s->data[k + i] = parity[i] = at + i * s->size;
    sherd_ecc_encode(ecc, s->size, s->data, parity);
    for (unsigned i = 0; i < k + m; i++)
        s->crc[i] = sherd_crc32c(s->data[i], s->size);
}

/* All shards in one block: ZeroMQ sends from it, when the caller's value may be gone already. */
static int encode_large(struct sherd_shards *s, const struct sherd_ecc *ecc,
                        struct sherd_blocks *blocks, struct sherd_bytes value)
{
    unsigned k = sherd_ecc_k(ecc), n = k + sherd_ecc_m(ecc);
    uint8_t *at;

    s->block = sherd_blocks_get(blocks, n * s->size);
    if (!s->block) return -ENOMEM;
    at = sherd_block_data(s->block);
    memcpy(at, value.data, value.size);
    memset(at + value.size, 0, k * s->size - value.size);
    for (unsigned i = 0; i < k; i++)
        s->data[i] = at + i * s->size;
    encode_parity(s, ecc, at + k * s->size);
    return 0;
}

int sherd_shards_encode(struct sherd_shards *s, const struct sherd_ecc *ecc,
                        struct sherd_blocks *blocks, struct sherd_bytes value)
{
    unsigned k = sherd_ecc_k(ecc);
    size_t scratch = sherd_ecc_scratch_size(k, value.size);
    int rc;

    sherd_block_release(s->block);
    s->block = NULL;
    s->size = sherd_ecc_shard_size(k, value.size);
    if (s->size >= SHERD_SHARD_SHARED_MIN) return encode_large(s, ecc, blocks, value);
    rc = reserve(s, scratch + sherd_ecc_m(ecc) * s->size);
    if (rc < 0) return rc;
    sherd_ecc_split(k, value.data, value.size, s->buffer, s->data);
    encode_parity(s, ecc, s->buffer + scratch);
    return 0;
}

bool sherd_shards_fill(const struct sherd_shards *s, uint8_t slot, struct sherd_request *r,
                       zmq_msg_t *frame)
{
    r->crc = s->crc[slot];
    r->shard = (struct sherd_bytes){s->data[slot], s->size};
    return s->block && sherd_block_frame(s->block, s->data[slot], s->size, frame) == 0;
}
