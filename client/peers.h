/* peers.h - one DEALER per node: connections, sessions, batches out, messages in, PINGs.
 *
 *   DOWN --connected--> GREETING --PONG--> READY        --disconnected--> DOWN
 *                          '<--STALE(SESSION), another incarnation--'
 *
 * A session is one stretch of messages that a node takes in order, each at most once (PROTOCOL 2):
 * random, new at every connection, whenever the node does not know it any more, and whenever the
 * node turns out to be another life of itself. Only a READY peer is sent requests: its incarnation
 * is known. (The keeper has none, and is READY once connected.)
 *
 * A node answers in order, so one PING tells about all requests before it: how many bytes are still
 * on the way (the window), and whether the node is late: a PING older than a second of the time in
 * which the owner polled.
 *
 * Nothing here blocks but sherd_peers_wait(). Handlers are called from inside most functions; they
 * may add requests and PINGs, but neither connect nor disconnect. */
#ifndef SHERD_CLIENT_PEERS_H
#define SHERD_CLIENT_PEERS_H

#include "client/dealer.h"
#include "client/engine.h"
#include "client/transport.h"
#include "coord/ballot.h"

enum {
    SHERD_PINGS_MAX = 16, /* on the way to one node */
    SHERD_NO_PEER_NODE = -1,
};

enum sherd_peer_state { SHERD_PEER_DOWN, SHERD_PEER_GREETING, SHERD_PEER_READY };

struct sherd_peer {
    char endpoint[SHERD_ENDPOINT_BYTES_MAX];
    int node; /* id, SHERD_KEEPER, or SHERD_NO_PEER_NODE: a seed that no map names */
    enum sherd_peer_state state;
    uint64_t session, number, incarnation;

    struct sherd_dealer dealer;
    bool check, check_monitor; /* look before sleeping */

    struct sherd_batch batch;
    struct sherd_unsent {
        uint64_t id;
        uint8_t slot;
    } * queued; /* those of the batch that want an answer */
    size_t queued_count;
    bool urgent;        /* somebody waits for an answer to something in the batch */
    uint64_t queued_us; /* since when the batch has something */

    struct sherd_ping {
        uint64_t id, bytes, polled_us, sent_us;
    } pings[SHERD_PINGS_MAX]; /* on the way, a ring */
    unsigned ping_first, ping_count;
    uint64_t pinged_us, pinged_bytes;
    uint64_t sent_bytes, answered_bytes;
    bool tried;      /* was READY once, or a connection was refused: its state is no surprise */
    bool late;       /* does not answer PINGs */
    bool straggling; /* missed the straggler deadline last time */
};

struct sherd_peer_handlers {
    /* The answer's entries may be changed; its frames taken from `in`. */
    void (*answer)(void *owner, struct sherd_peer *p, struct sherd_answer *a,
                   struct sherd_incoming *in);
    void (*push)(void *owner, struct sherd_peer *p, const struct sherd_request *r);
    void (*unsent)(void *owner, uint64_t id, uint8_t slot); /* never left this process */
    void (*gone)(void *owner, struct sherd_peer *p); /* nothing on the way will be answered */
    void (*ready)(void *owner, struct sherd_peer *p);
    void (*newer_map)(void *owner, struct sherd_peer *p, uint64_t version);
};

struct sherd_peers {
    void *zmq_context;
    bool own_context;
    int epoll;
    struct sherd_peer **list;
    size_t count, capacity;
    struct sherd_peer *by_node[SHERD_NODES_MAX];
    struct sherd_peer *keeper;
    const struct sherd_peer_handlers *handlers;
    void *owner;
    struct sherd_incoming incoming;
    struct sherd_answer answer; /* scratch */
    struct sherd_engine_stats *stats;
    struct sherd_hlc *clock;
    uint64_t map_version; /* for envelopes, the owner sets it */
    uint64_t window_bytes, straggler_us;
    uint64_t changes; /* counts whatever may change what is reachable */
    uint64_t next_ping_id;
    uint64_t now_us, wall_ms, polled_us; /* of this turn, the owner sets them */
    uint64_t tick_us;
};

/* Zeroed but for window_bytes, straggler_us, handlers, owner, stats and clock. `context`: NULL: its
 * own. 0, -ENOMEM, or negative errno of epoll. */
int sherd_peers_init(struct sherd_peers *ps, void *zmq_context);

/* Sends what is queued, for at most 200 ms after it, and closes. Calls no handler. */
void sherd_peers_fini(struct sherd_peers *ps);

/* The peer of an endpoint, made when there is none. -EINVAL: not an endpoint; -ENOMEM; -EMFILE. */
int sherd_peers_connect(struct sherd_peers *ps, const char *endpoint, int node);
void sherd_peers_disconnect(struct sherd_peers *ps, struct sherd_peer *p);

/* Node SHERD_KEEPER is the keeper. NULL: not known. */
struct sherd_peer *sherd_peers_of(const struct sherd_peers *ps, uint16_t node);
bool sherd_peer_is_reachable(const struct sherd_peer *p, bool stragglers_too);

/* Queues a request; see sherd_batch_add for `frame`. 0, or, when it was not queued (the handler
 * `unsent` is not called): -ENOTCONN, -ENOMEM, -EAGAIN: late or straggling, and its window is full.
 */
int sherd_peer_add(struct sherd_peers *ps, struct sherd_peer *p, const struct sherd_request *r,
                   zmq_msg_t *frame);
void sherd_peer_ping(struct sherd_peers *ps, struct sherd_peer *p);

/* Takes what has arrived, a bounded part of it. */
void sherd_peers_receive(struct sherd_peers *ps);

/* Sends batches: all, or those that somebody waits for or that have waited a millisecond. Returns
 * when it must be called again. */
uint64_t sherd_peers_flush(struct sherd_peers *ps, bool all);

/* PINGs while `busy`, and judges who is late; call it after receive. Cheap most of the time. */
void sherd_peers_tick(struct sherd_peers *ps, bool busy);

/* Whether some node that is waited for has its window full: start nothing new. */
bool sherd_peers_are_full(const struct sherd_peers *ps);

/* Whether some node has neither been reached nor refused a connection yet. */
bool sherd_peers_are_greeting(const struct sherd_peers *ps);

/* Whether something may be waiting that the epoll descriptor does not show. */
bool sherd_peers_must_check(const struct sherd_peers *ps);

/* Sleeps until something arrives, at most `wait_us`. 0 or negative errno. */
int sherd_peers_wait(struct sherd_peers *ps, uint64_t wait_us);

#endif
