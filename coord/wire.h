/* wire.h - messages to and from bytes.
 *
 * One ZeroMQ message is frame 0 = envelope and records, followed by one frame for each shard that
 * is larger than SHERD_SHARD_INLINE_MAX, in the order of the records that name them. Everything is
 * little-endian, without padding. Decoding trusts nothing: every length is checked against the
 * frame, every count, flag and enum against its limit, and what is not understood is -EBADMSG.
 * Decoded views point into the frames. A message has one encoding: what was decoded encodes to the
 * same bytes. The layout in full: WIRE.md. */
#ifndef SHERD_COORD_WIRE_H
#define SHERD_COORD_WIRE_H

#include "coord/message.h"

enum { SHERD_WIRE_MAGIC = 0x6873 /* "sh" */, SHERD_WIRE_VERSION = 1 };

enum sherd_envelope_type { SHERD_REQUESTS = 1, SHERD_ANSWERS = 2 };

/* Frame 0 begins with this (SHERD_ENVELOPE_BYTES): u16 magic, u8 wire version, u8 type, u32 record
 * count, then the five u64 in this order. */
struct sherd_envelope {
    uint8_t type;         /* enum sherd_envelope_type */
    uint32_t count;       /* records that follow, at most SHERD_RECORDS_MAX */
    uint64_t session;     /* random, new on every connection; answers echo it */
    uint64_t number;      /* of the message in its session, from 1; answers echo nothing: 0 */
    uint64_t incarnation; /* requests: the receiver's, as the sender knows it, 0: not known;
                             answers: the sender's own */
    uint64_t map_version; /* newest map that the sender has */
    uint64_t clock;       /* sender's hybrid logical clock */
};

enum { SHERD_ENVELOPE_BYTES = 48 };

/* Bytes being written: the caller owns `data`; `size` never passes `capacity`. */
struct sherd_writer_buffer {
    uint8_t *data;
    size_t size, capacity;
};

/* The size of one record's encoding, exactly, so that a caller can make room first. Does not count
 * a shard that travels as a frame of its own. */
size_t sherd_wire_request_bytes(const struct sherd_request *r);
size_t sherd_wire_answer_bytes(const struct sherd_answer *a);

/* Whether a shard of this size travels as a frame of its own. */
static inline bool sherd_wire_is_framed(size_t shard_size)
{
    return shard_size > SHERD_SHARD_INLINE_MAX;
}

/* All writers return 0, or -ENOBUFS when the record does not fit: then nothing was written. A kind
 * that is not theirs, or a size, slot or count beyond its limit, is a programmer error (asserted).
 * Fields that the kind does not carry are ignored. A shard travels if its `data` is not NULL.
 * A shard for which sherd_wire_is_framed() holds (of a PREPARE, INSERT or an answer's entry that
 * has bytes at hand) is not copied: the caller sends it as a frame after frame 0, in order. */
int sherd_wire_put_envelope(struct sherd_writer_buffer *out, const struct sherd_envelope *e);
/* Sets the count of an envelope already written at the start of `data`. */
void sherd_wire_set_count(uint8_t *data, uint32_t count);
int sherd_wire_put_request(struct sherd_writer_buffer *out, const struct sherd_request *r);
int sherd_wire_put_answer(struct sherd_writer_buffer *out, const struct sherd_answer *a);

/* A message being read. frames[0] is the envelope's frame; more are framed shards. */
struct sherd_wire_reader {
    const struct sherd_bytes *frames;
    size_t frame_count;
    size_t next_frame; /* the next framed shard */
    size_t at;         /* in frame 0 */
    uint32_t left;     /* records not read yet */
    uint8_t type;      /* enum sherd_envelope_type: which of the two next functions may be used */
};

/* Reads the envelope. -EBADMSG: not ours, or beyond a limit. */
int sherd_wire_open(struct sherd_wire_reader *in, const struct sherd_bytes *frames,
                    size_t frame_count, struct sherd_envelope *out);

/* The next record: 0, -ENODATA at the end (also checks that nothing is left over: then -EBADMSG),
 * -EBADMSG. After -EBADMSG the rest of the message cannot be read, and *out is undefined. What the
 * kind does not carry is zero; a version left out is the ballot; key_hash is 0. Of an answer's
 * entries only the first entry_count are written. The answers' reader refuses requests, and the
 * other way round. */
int sherd_wire_next_request(struct sherd_wire_reader *in, struct sherd_request *out);
int sherd_wire_next_answer(struct sherd_wire_reader *in, struct sherd_answer *out);

/* The items of a PAGE's body: a key and the entries that a node holds under it (shards are always
 * inline here). put: 0 or -ENOBUFS. next: 0, -ENODATA, -EBADMSG; `at` starts at 0, and only a good
 * item moves it. */
int sherd_wire_put_item(struct sherd_writer_buffer *out, struct sherd_bytes key,
                        const struct sherd_entry *entries, uint8_t count);
int sherd_wire_next_item(struct sherd_bytes body, size_t *at, struct sherd_bytes *key,
                         struct sherd_entry *entries /* SHERD_ENTRIES_MAX */, uint8_t *count);
size_t sherd_wire_item_bytes(struct sherd_bytes key, const struct sherd_entry *entries,
                             uint8_t count);

#endif
