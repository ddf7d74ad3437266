/* service.h - the one thread that owns a shard server: its ROUTER socket, its store, its clock.
 *
 * A turn: wait on epoll (edge-triggered ZMQ_FDs of the TCP and the inproc socket), read the clock,
 * take a bounded batch of messages, step participants, sync the store, send the answers batched by
 * peer. It only answers; whatever needs other nodes is done by the background thread, which is a
 * client of this service (SERVICE_ENDPOINT, inproc) as of every other node:
 *   LIST UNDECIDED  keys with an entry older than 2 s + slot * 200 ms, for the sweep
 *   LIST REPAIR     keys that lack a shard somewhere; taken off the list by being listed. `since`
 * is how many pages have arrived; the last one is sent again if it has not LIST DEAD tombstones and
 * expired values due for FORGET Pages of these three carry keys only (item with no entries), at
 * most `limit` bytes. */
#ifndef SHERD_SERVER_SERVICE_H
#define SHERD_SERVER_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>

#include <sherd/base.h>

#include "client/conf.h"
#include "server/progress.h"

#define SHERD_SERVICE_ENDPOINT "inproc://service"

struct sherd_service;

/* Opens the store, binds the node's endpoint and SHERD_SERVICE_ENDPOINT. -EADDRINUSE: the port is
 * taken. `incarnation`: random, of a memory that begins now; a store that remembers an earlier one
 * goes on with that. `progress` outlives the service. */
int sherd_service_open(const struct sherd_conf *conf, void *zmq_context, uint64_t incarnation,
                       struct sherd_progress *progress, struct sherd_service **out);

/* Of the memory that the service has. Before sherd_service_run; the map is a view. */
struct sherd_service_life {
    uint64_t incarnation;
    bool kept;     /* it is older than this process, which may have missed something meanwhile */
    uint64_t live; /* map version */
    struct sherd_bytes map;
};
void sherd_service_life(const struct sherd_service *s, struct sherd_service_life *out);

/* Serves until *stop is set (looked at every 100 ms at the latest), then drains: answers what has
 * arrived already, at most 1 s. 0, or a negative errno when the socket or the store is broken. */
int sherd_service_run(struct sherd_service *s, const atomic_bool *stop);
void sherd_service_close(struct sherd_service *s);

#endif
