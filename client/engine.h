/* engine.h - owner of one client's sockets, deadlines and running operations.
 *
 * Everything that talks to nodes goes through here: the public API (client.c), and in a server the
 * background thread (sweep, rebuild, catch-up, scan), which is a client of its peers. Belongs to
 * one thread. One DEALER per node; what is queued for one node in one turn leaves as one message.
 *
 * A turn (sherd_engine_poll): flush what callers queued; take what has arrived, in bounded batches;
 * step the operations concerned, carry out their effects; run due timers; flush; if nothing
 * happened, wait on epoll over the edge-triggered ZMQ_FDs, at most until the next timer. */
#ifndef SHERD_CLIENT_ENGINE_H
#define SHERD_CLIENT_ENGINE_H

#include <sherd/sherd.h>

#include "coord/map.h"
#include "coord/message.h"

struct sherd_engine;

struct sherd_engine_config {
    void *zmq_context;        /* NULL: the engine makes its own, with one IO thread */
    const char *const *seeds; /* endpoints to ask for the first map; may be empty in a server */
    size_t seed_count;
    const char *keeper;        /* endpoint; NULL: not known */
    int self_node;             /* -1; in a server: this node is reached at self_endpoint instead */
    const char *self_endpoint; /* "inproc://service" */
    uint32_t timeout_ms, straggler_ms;
    uint64_t window_bytes; /* in flight per node; 0: 64 MiB. More waits in the engine */
};

int sherd_engine_open(const struct sherd_engine_config *config, struct sherd_engine **out);
void sherd_engine_close(struct sherd_engine *e);

/* See sherd_submit, sherd_poll, sherd_fd, sherd_next_timeout_ms. */
int sherd_engine_submit(struct sherd_engine *e, struct sherd_op *op);
/* Lets go of an operation under way; `done` is not called. What it may do to the key, it may still
 * do. Its value must stay until the next poll. */
void sherd_engine_forget(struct sherd_engine *e, struct sherd_op *op);
int sherd_engine_poll(struct sherd_engine *e, int timeout_ms);
int sherd_engine_fd(const struct sherd_engine *e);
int sherd_engine_next_timeout_ms(const struct sherd_engine *e);

/* The newest map, or NULL: none yet. Valid until the next poll or take_map. */
const struct sherd_map *sherd_engine_map(const struct sherd_engine *e);

/* A map came another way (a server got it from the keeper): taken over if it is newer.
 * 0, or -EBADMSG, -ENOMEM. */
int sherd_engine_take_map(struct sherd_engine *e, struct sherd_bytes encoded);

/* One request to one node outside any operation: LIST, INSERT, FORGET, STATS, MAP, ... `node` may
 * be SHERD_KEEPER. The request's bytes are copied; id is overwritten. `done` is called from poll,
 * exactly once (not after close): `answer` is NULL when none came within timeout_ms, or the
 * connection was lost; its views live until `done` returns. Nothing is ever sent twice.
 * 0, -ENOMEM, -ENOTCONN (unknown node, or not connected now): then `done` is not called. The first
 * call to the keeper from a client begins to connect to it, and is -ENOTCONN. */
typedef void sherd_call_done(void *context, const struct sherd_answer *answer);
int sherd_engine_call(struct sherd_engine *e, uint16_t node, const struct sherd_request *request,
                      uint32_t timeout_ms, sherd_call_done *done, void *context);

/* Forgets the calls made with this context: their `done` will not be called. */
void sherd_engine_cancel(struct sherd_engine *e, const void *context);

/* Messages that a node or the keeper sends unasked (the keeper's SEAL and LIVE pushes). */
typedef void sherd_push_handler(void *context, uint16_t from, const struct sherd_request *request);
void sherd_engine_on_push(struct sherd_engine *e, sherd_push_handler *handler, void *context);

/* Whether a node is connected and was not late lately. */
bool sherd_engine_is_reachable(const struct sherd_engine *e, uint16_t node);

struct sherd_engine_stats {
    uint64_t messages_in, messages_out, records_in, records_out, bytes_in, bytes_out;
    uint64_t bad_messages; /* refused: not ours, beyond a limit, unknown ids are not counted */
    uint64_t late_answers; /* to operations that had ended */
    uint64_t reconnects, corrupt_shards, hedges;
};
const struct sherd_engine_stats *sherd_engine_stats(const struct sherd_engine *e);

#endif
