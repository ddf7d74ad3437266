/* transport.h - messages in and out of DEALER sockets: the only zmq_msg_send and zmq_msg_recv of
 * the client. Nothing here blocks. Frames: wire.h. */
#ifndef SHERD_CLIENT_TRANSPORT_H
#define SHERD_CLIENT_TRANSPORT_H

#include <zmq.h>

#include "coord/wire.h"

enum {
    SHERD_INCOMING_FRAMES_MAX = 4096,  /* of one message; a longer one is thrown away */
    SHERD_BATCH_BYTES_MAX = 256 << 10, /* of frame 0: beyond it a batch is full */
    SHERD_BATCH_RECORDS_MAX = 512,     /* an answer may have several frames for each */
    SHERD_BATCH_FRAME_BYTES_MAX = 8 << 20,
};

/* One message as received. Zero it before first use; it is received into again and again, and keeps
 * its arrays. Views are valid until the next receive, those of frames that were taken as long as
 * the frame lives. */
struct sherd_incoming {
    zmq_msg_t *frames;
    struct sherd_bytes *views;
    size_t count, capacity;
    size_t bytes; /* of all frames */
};

/* 0; -EAGAIN: nothing there; -EBADMSG, -ENOMEM: thrown away; other: the socket is broken. */
int sherd_incoming_receive(struct sherd_incoming *in, void *socket);

/* Moves the frame that `shard` is all of to `out`, which the caller closes. False, and *out is not
 * touched: the shard is no frame of its own. */
bool sherd_incoming_take(struct sherd_incoming *in, struct sherd_bytes shard, zmq_msg_t *out);
void sherd_incoming_fini(struct sherd_incoming *in);

/* The next event of a socket's monitor (ZMQ_EVENT_...): 0, or -EAGAIN: none is waiting. */
int sherd_monitor_receive(void *monitor, uint16_t *event);

/* Requests for one node, to leave as one message. Zero it before first use. */
struct sherd_batch {
    struct sherd_writer_buffer buffer; /* begins with room for the envelope */
    uint32_t count;
    zmq_msg_t *frames;
    size_t frame_count, frame_capacity;
    size_t frame_bytes;
};

/* Adds one request. A shard that travels as a frame of its own is moved from *frame, or copied if
 * `frame` is NULL. 0 or -ENOMEM: then nothing was added, and the frame is still the caller's. */
int sherd_batch_add(struct sherd_batch *b, const struct sherd_request *r, zmq_msg_t *frame);

/* Time to send: what a node takes at once, and the frames of one message, are bounded. */
bool sherd_batch_is_full(const struct sherd_batch *b);
size_t sherd_batch_bytes(const struct sherd_batch *b);

/* Sends the batch under this envelope (its count is filled in) and empties it. 0, or, with the
 * batch emptied too: -EAGAIN: nothing left this process; -EPIPE: the connection broke meanwhile;
 * -ENOMEM: as -EAGAIN. */
int sherd_batch_send(struct sherd_batch *b, void *socket, struct sherd_envelope *e);
void sherd_batch_clear(struct sherd_batch *b);
void sherd_batch_fini(struct sherd_batch *b);

#endif
