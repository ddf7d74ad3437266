/* keeper_parts.h - the inside of a keeper, shared by the files that make it up:
 *   keeper.c        start, stop, the thread's turns, what a decision makes durable
 *   keeper_serve.c  messages: heartbeats, pushes, the small requests
 *   keeper_stats.c  STATS */
#ifndef SHERD_SERVER_KEEPER_PARTS_H
#define SHERD_SERVER_KEEPER_PARTS_H

#include <pthread.h>

#include "coord/ballot.h"
#include "coord/membership.h"
#include "server/keeper.h"
#include "server/keeper_file.h"
#include "server/router.h"

enum {
    SHERD_KEEPER_TURN_MESSAGES_MAX = 256,
    SHERD_KEEPER_SEALING_TICK_MS = 10,
    SHERD_KEEPER_TICK_MS = 100,
    SHERD_KEEPER_RETRY_MS = 1000, /* after the disk refused a map */
};

/* What was refused or odd: for STATS. */
#define SHERD_KEEPER_COUNTER_MAP(X)                                           \
    X(heartbeats)                                                             \
    X(reports_refused) /* unknown node, another cluster, a newer map, late */ \
    X(bad_message)                                                            \
    X(bad_request)                                                            \
    X(maps_published)                                                         \
    X(write_errors)                                                           \
    X(messages_dropped) /* the peer is gone or does not read */

struct sherd_keeper_peer {
    zmq_msg_t identity; /* of the connection of the last heartbeat */
    bool known;
    uint64_t map_version, live; /* as last reported */
    uint64_t warned_ms;         /* last log line about a refused report; 0: none */
};

struct sherd_keeper {
    const struct sherd_conf *conf;
    struct sherd_membership membership;
    struct sherd_keeper_file file;
    uint8_t *bytes; /* the current map as published; NULL: none */
    size_t size;
    uint64_t live;       /* durably known; membership.map->live may be ahead for a moment */
    uint64_t hold_ms;    /* after a write error: no writing before */
    uint64_t sealing_ms; /* when the current map was published */
    uint64_t now_ms;     /* of the turn, monotonic */
    struct sherd_hlc clock;

    pthread_t thread;
    void *socket, *stop_in, *stop_out; /* ROUTER; PAIR in the thread, PAIR of who stops it */
    struct sherd_router_message in;
    struct sherd_router_reply reply, push;
    struct sherd_keeper_peer peers[SHERD_NODES_MAX];
    struct sherd_keeper_counters {
#define X(name) uint64_t name;
        SHERD_KEEPER_COUNTER_MAP(X)
#undef X
    } counters;
};

/* Takes what has arrived, at most SHERD_KEEPER_TURN_MESSAGES_MAX. Returns 0, or negative errno:
 * the socket is broken. */
int sherd_keeper_serve(struct sherd_keeper *k);

/* Tells every node heard of what it lacks: the current map, or that it is live. */
void sherd_keeper_push_all(struct sherd_keeper *k);

/* JSON, for free(); NULL: no memory. */
char *sherd_keeper_stats(const struct sherd_keeper *k);

#endif
