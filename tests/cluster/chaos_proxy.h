/* chaos_proxy.h - slow links: one thread that stands between every server and whoever connects to
 * it, and holds back what it carries for as long as it is told to.
 *
 * In order, nothing lost: as a long cable, not a bad one. A server that has gone closes its
 * connections at once; one that is stopped, or cut off, does not. */
#ifndef SHERD_TESTS_CLUSTER_CHAOS_PROXY_H
#define SHERD_TESTS_CLUSTER_CHAOS_PROXY_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/cluster/chaos_net.h"

struct proxy_pair;

struct proxy {
    const struct net *net;
    pthread_t thread;
    atomic_bool stop;
    /* Between a host and a node, both ways; each piece is late by delay + 0 .. jitter. */
    _Atomic uint32_t delay_us[NET_HOSTS_MAX][NET_HOSTS_MAX], jitter_us;
    int epoll;
    int listeners[NET_HOSTS_MAX + 1]; /* the last is the keeper's */
    struct proxy_pair *pairs;
    uint64_t random;
};

/* The servers' namespaces are there; servers need not be. */
void proxy_start(struct proxy *p, const struct net *n, uint64_t seed);
void proxy_stop(struct proxy *p);

#endif
