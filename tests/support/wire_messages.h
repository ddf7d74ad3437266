/* wire_messages.h - random messages for the tests of the wire format, from one seed, so that a
 * failure repeats; and what an owner of sockets does around the codec. Fields that a kind does not
 * carry are zero, as a decoder leaves them. Fails the running cmocka test where something is wrong.
 */
#ifndef SHERD_TESTS_WIRE_MESSAGES_H
#define SHERD_TESTS_WIRE_MESSAGES_H

#include "coord/wire.h"

enum {
    WIRE_REQUEST_KINDS = 16,
    WIRE_ANSWER_KINDS = 11,
    WIRE_KINDS = WIRE_REQUEST_KINDS + WIRE_ANSWER_KINDS,
    WIRE_FRAMES_MAX = 256,
    WIRE_POOL_BYTES = 64 << 10,
    WIRE_BUFFER_BYTES = 4 << 20,
};

extern const uint8_t wire_request_kinds[WIRE_REQUEST_KINDS];
extern const uint8_t wire_answer_kinds[WIRE_ANSWER_KINDS];
extern uint8_t wire_pool[WIRE_POOL_BYTES];     /* random: keys, shards, bodies are views of it */
extern uint8_t wire_buffer[WIRE_BUFFER_BYTES]; /* frame 0 of the one message there is at a time */

/* A message as its sender has it: frame 0, and the shards that travel beside it. */
struct wire_message {
    struct sherd_writer_buffer out;
    struct sherd_bytes frames[WIRE_FRAMES_MAX];
    size_t frame_count;
};

int wire_start_over(void **state); /* the seed and the pool; a setup function of cmocka */

uint64_t wire_random(void);
uint32_t wire_below(uint32_t n);
struct sherd_bytes wire_random_bytes(size_t size);

/* `small`: short keys, and no shard that makes frame 0 long (framed ones are allowed). */
struct sherd_bytes wire_random_key(bool small);
struct sherd_entry wire_random_entry(bool small);
struct sherd_request wire_random_request(uint8_t kind, bool small);
struct sherd_answer wire_random_answer(uint8_t kind, bool small);

uint8_t wire_kind(size_t i); /* i < WIRE_KINDS: requests, then answers */

void wire_begin(struct wire_message *m, uint8_t type, uint32_t count);
void wire_send_request(struct wire_message *m, const struct sherd_request *r);
void wire_send_answer(struct wire_message *m, const struct sherd_answer *a);
struct wire_message wire_one_record(uint8_t kind); /* a whole message: one small random record */

void wire_open(struct sherd_wire_reader *in, const struct wire_message *m);

/* Reads all records; the last result: -ENODATA for a good message. */
int wire_read_all(const struct sherd_bytes *frames, size_t frame_count);

#endif
