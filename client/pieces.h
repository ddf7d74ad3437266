/* pieces.h - the bytes of one operation: shards that came in, shards that go out, values between.
 * The client's bridge to ecc/.
 *
 * struct sherd_pieces keeps received shards by (slot, version): small ones are copied, those that
 * came as a frame of their own keep their frame. struct sherd_shards is one value cut into shards.
 * Both keep small buffers from one operation to the next. */
#ifndef SHERD_CLIENT_PIECES_H
#define SHERD_CLIENT_PIECES_H

#include <sherd/ecc.h>

#include "client/blocks.h"
#include "coord/message.h"

enum {
    SHERD_SHARD_SHARED_MIN = 64 << 10, /* from here on, shards are sent without copying once more */
    SHERD_PIECES_MAX = SHERD_SLOTS_MAX * SHERD_ENTRIES_MAX,
};

/* Zero it before first use. */
struct sherd_pieces {
    struct sherd_piece {
        struct sherd_ballot version;
        uint8_t slot;
        bool has_frame;
        size_t size, offset; /* of the copy in `copies`, without a frame */
        zmq_msg_t frame;
    } * list;
    size_t count, capacity;
    uint8_t *copies;
    size_t copies_size, copies_capacity;
};

void sherd_pieces_reset(struct sherd_pieces *p);
void sherd_pieces_fini(struct sherd_pieces *p);

/* Whether `entry` carries the shard it should: of the right size, with the right CRC. */
bool sherd_piece_is_intact(const struct sherd_entry *entry, unsigned k);

/* Keeps the entry's shard; moves from *frame when that is not NULL. A piece of the same slot and
 * version stays as it is. 0, or -ENOMEM: also when there are more than honest nodes send. */
int sherd_pieces_add(struct sherd_pieces *p, uint8_t slot, const struct sherd_entry *entry,
                     zmq_msg_t *frame);

/* Puts the value of `version` together in `value` (meta->size bytes) and compares its checksum.
 * -ENODATA: fewer than k pieces; -EBADMSG: the checksum is wrong. */
int sherd_pieces_join(struct sherd_pieces *p, struct sherd_ecc *ecc, struct sherd_ballot version,
                      const struct sherd_meta *meta, void *value);

/* Zero it before first use. */
struct sherd_shards {
    size_t size; /* of each */
    const void *data[SHERD_SLOTS_MAX];
    uint32_t crc[SHERD_SLOTS_MAX];
    uint8_t *buffer; /* padding and parity of a small value */
    size_t capacity;
    struct sherd_block *block; /* all shards of a large one; NULL: of a small one */
};

/* Cuts a value. A small value's data shards point into it: it must stay as long as they are used.
 * 0 or -ENOMEM. */
int sherd_shards_encode(struct sherd_shards *s, const struct sherd_ecc *ecc,
                        struct sherd_blocks *blocks, struct sherd_bytes value);

/* Fills in crc and shard of a request to `slot`. True: *frame is the shard's own frame, to be moved
 * from. False: the shard is to be copied. */
bool sherd_shards_fill(const struct sherd_shards *s, uint8_t slot, struct sherd_request *r,
                       zmq_msg_t *frame);
void sherd_shards_reset(struct sherd_shards *s);
void sherd_shards_fini(struct sherd_shards *s);

#endif
