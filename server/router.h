/* router.h - sherd messages in and out of ROUTER sockets: the only zmq_msg_send and zmq_msg_recv of
 * a server's service and keeper. Belongs to the thread of its socket. Nothing here blocks. */
#ifndef SHERD_SERVER_ROUTER_H
#define SHERD_SERVER_ROUTER_H

#include <zmq.h>

#include "coord/wire.h"

enum { SHERD_ROUTER_FRAMES_MAX = 4096 };

/* One message as received. Zero it before first use; it may be received into again and again, and
 * keeps its arrays. */
struct sherd_router_message {
    zmq_msg_t identity;        /* of the connection; valid while `open` */
    zmq_msg_t *frames;         /* frame_count of them: envelope and records, then framed shards */
    struct sherd_bytes *views; /* of the frames */
    size_t frame_count, capacity;
    bool open;
};

/* 0, -EAGAIN: nothing there, -EBADMSG: no frames or too many (the message is thrown away),
 * -ENOMEM (likewise), other: the socket is broken. */
int sherd_router_receive(void *socket, struct sherd_router_message *m);
void sherd_router_message_fini(struct sherd_router_message *m);

/* An answer, or another message to one peer, being built. Zero it before first use. */
struct sherd_router_reply {
    struct sherd_writer_buffer buffer; /* malloc'ed; begins with the envelope */
    zmq_msg_t *frames;                 /* framed shards, in order */
    size_t frame_count, frame_capacity;
    uint32_t count; /* records */
};

/* Begins anew: writes the envelope. 0 or -ENOMEM. */
int sherd_router_begin(struct sherd_router_reply *r, const struct sherd_envelope *e);

/* Adds one answer; `framed[i]` (may be NULL) is the frame that holds entry i's shard when that is
 * large: a shared copy is sent. 0, -ENOMEM, -E2BIG (too many records or frames). */
int sherd_router_add_answer(struct sherd_router_reply *r, const struct sherd_answer *a,
                            zmq_msg_t *const *framed);
int sherd_router_add_request(struct sherd_router_reply *r, const struct sherd_request *request);

/* Sends it to `identity` without blocking. 0, -EAGAIN: the peer does not take any more,
 * -EHOSTUNREACH: it is gone (both: the message is dropped), other: the socket is broken. */
int sherd_router_send(void *socket, const zmq_msg_t *identity, struct sherd_router_reply *r);
void sherd_router_reply_fini(struct sherd_router_reply *r);

/* A ROUTER with the options every server socket has. 0, or negative errno of the bind. */
int sherd_router_bind(void *zmq_context, const char *endpoint, void **out);

#endif
