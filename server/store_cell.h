/* store_cell.h - one entry of a key, or the key's bounds, in one piece of memory.
 *
 * Nodes hold very many small shards, so a cell has no field that it can do without: an entry under
 * its first ballot, with no expiry, of a value and an epoch below 65536, costs 38 bytes beside key
 * and shard. Every cell has the key, so that any of a key's cells may be the only one; what holds
 * several together is store_chain.h. */
#ifndef SHERD_SERVER_STORE_CELL_H
#define SHERD_SERVER_STORE_CELL_H

#include <zmq.h>

#include "coord/record.h"

enum sherd_store_cell_flags {
    SHERD_CELL_COMMITTED = 1,
    SHERD_CELL_SHARD = 2,      /* the entry's shard is here: inline, or in the frame */
    SHERD_CELL_FRAMED = 4,     /* there is a frame instead of inline bytes */
    SHERD_CELL_EXPIRES = 8,    /* there is an expiry */
    SHERD_CELL_VERSIONED = 16, /* there is a version; else it equals the ballot */
    SHERD_CELL_BOUNDS = 32,    /* no entry: ballot is `promised`, version is `refused` */
    SHERD_CELL_SHOWN = 64,     /* a reader was told of the undecided entry */
    SHERD_CELL_WIDE = 128,     /* `upper` is there; else all of it is zero */
};

/* The upper half of a cell's small numbers. */
struct sherd_store_cell_upper {
    uint16_t epoch, value_size, shard_size;
};

struct sherd_store_cell {
    uint64_t clock, client; /* of the ballot, with `epoch` */
    uint64_t checksum;
    uint32_t crc;
    uint16_t epoch, value_size, shard_size; /* the lower half */
    uint16_t key_size;
    uint8_t meta_flags;
    uint8_t flags;
    unsigned char tail[]; /* those that there are of: frame, expiry, version, upper, key, shard */
};

enum {
    SHERD_CELL_FRAME_AT = 2, /* in the tail: keeps the frame aligned */
    SHERD_CELL_FRAME_BYTES = SHERD_CELL_FRAME_AT + sizeof(zmq_msg_t),
    SHERD_CELL_EXPIRY_BYTES = 8,
    SHERD_CELL_BALLOT_BYTES = 20,
    SHERD_CELL_UPPER_BYTES = sizeof(struct sherd_store_cell_upper),
    SHERD_CELL_HEADER_BYTES_MAX = offsetof(struct sherd_store_cell, tail) + SHERD_CELL_FRAME_BYTES +
                                  SHERD_CELL_EXPIRY_BYTES + SHERD_CELL_BALLOT_BYTES +
                                  SHERD_CELL_UPPER_BYTES,
    SHERD_CELL_MALLOC_BYTES = 8, /* what the allocator keeps beside each piece */
    SHERD_CELL_ZMQ_BYTES = 128,  /* what ZeroMQ keeps beside the bytes of a frame, about */
};

static inline struct sherd_bytes sherd_store_cell_key(const struct sherd_store_cell *c)
{
    size_t at = ((c->flags & SHERD_CELL_FRAMED) ? SHERD_CELL_FRAME_BYTES : 0u) +
                ((c->flags & SHERD_CELL_EXPIRES) ? SHERD_CELL_EXPIRY_BYTES : 0u) +
                ((c->flags & SHERD_CELL_VERSIONED) ? SHERD_CELL_BALLOT_BYTES : 0u) +
                ((c->flags & SHERD_CELL_WIDE) ? SHERD_CELL_UPPER_BYTES : 0u);

    return (struct sherd_bytes){c->tail + at, c->key_size};
}

/* A cell for `e`. Shard bytes are copied; if `framed`, there is an empty frame instead, for
 * sherd_store_cell_take. NULL: no memory. */
struct sherd_store_cell *sherd_store_cell_of_entry(struct sherd_bytes key,
                                                   const struct sherd_entry *e, bool framed);

/* Moves from `frame`, which holds exactly the shard. Cannot fail. */
void sherd_store_cell_take(struct sherd_store_cell *c, zmq_msg_t *frame);

struct sherd_store_cell *sherd_store_cell_of_bounds(struct sherd_bytes key);
void sherd_store_cell_set_bounds(struct sherd_store_cell *c, struct sherd_ballot promised,
                                 struct sherd_ballot refused);

void sherd_store_cell_free(struct sherd_store_cell *c);

/* Writes every field of *out; its views borrow from the cell. */
void sherd_store_cell_entry(struct sherd_store_cell *c, struct sherd_entry *out);
void sherd_store_cell_bounds(const struct sherd_store_cell *c, struct sherd_ballot *promised,
                             struct sherd_ballot *refused);

/* Bytes of the entry's shard; 0 if it is not here. */
size_t sherd_store_cell_shard_size(const struct sherd_store_cell *c);

/* NULL if the cell has none. */
zmq_msg_t *sherd_store_cell_frame(struct sherd_store_cell *c);

/* Frees the shard. The cell may move: the result takes its place. Cannot fail. */
struct sherd_store_cell *sherd_store_cell_strip(struct sherd_store_cell *c);

/* What the cell takes, the allocator's rounding and the frame included. */
uint64_t sherd_store_cell_bytes(struct sherd_store_cell *c);

#endif
