/* false_server.h - a cluster that lies: one thread behind the endpoints of all nodes, that answers
 * a client's requests with wrong, mutated, late, random or no answers; and now and then, so that
 * the client goes on to the next step, with one that it can use. */
#ifndef SHERD_TESTS_CLUSTER_FALSE_SERVER_H
#define SHERD_TESTS_CLUSTER_FALSE_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "coord/map.h"
#include "tests/cluster/cluster.h"

struct false_server {
    pthread_t thread;
    void *zmq_context, *socket; /* a ROUTER bound to every node's endpoint */
    struct sherd_map *map;      /* of a real cluster, with our endpoints; of false_server_start */
    uint8_t *encoded;           /* the map */
    size_t encoded_size;
    char seeds[CLUSTER_NODES_MAX * (CLUSTER_ENDPOINT_SIZE + 1)];
    uint64_t incarnation, seed;
    atomic_bool stop;
    _Atomic uint64_t sent; /* messages */
};

/* `encoded_map`: of a real cluster; copied. Nobody else may use frames.h until it has stopped. */
void false_server_start(struct false_server *s, struct sherd_bytes encoded_map, uint64_t seed);
void false_server_stop(struct false_server *s);

#endif
