/* chaos_net.h - a network of its own for every process of a chaos test, and how to break it.
 *
 * One namespace with a bridge, the operator's, which the calling thread enters for good; behind it
 * a namespace per host, each with one address. No namespace has a name: they are held by
 * descriptors and end with the processes in them, in whatever way those end.
 *
 * Host h < nodes is server h; the rest are clients. A host drops what comes from the hosts that it
 * is told to (nftables), so a cut can be one-way. Connections to the ports of a server go through
 * the proxy (chaos_proxy.h) of its host. Main thread only. */
#ifndef SHERD_TESTS_CLUSTER_CHAOS_NET_H
#define SHERD_TESTS_CLUSTER_CHAOS_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    NET_HOSTS_MAX = 24,
    NET_PORT = 7500,        /* of every server */
    NET_KEEPER_PORT = 7599, /* of server 0 */
    NET_PROXY_PORT = 17500, /* NET_PORT and NET_KEEPER_PORT, as the proxy listens */
    NET_PROXY_KEEPER_PORT = 17599,
    NET_ADDRESS_SIZE = 32,
    NET_HOST_FIRST = 10, /* host h has 10.77.0.(10 + h) */
};

struct net {
    unsigned hosts, nodes;
    int outer; /* namespaces, as descriptors */
    int inner[NET_HOSTS_MAX];
    uint8_t cuts[NET_HOSTS_MAX][NET_HOSTS_MAX]; /* [from][to]: how many faults cut it */
    bool applied[NET_HOSTS_MAX][NET_HOSTS_MAX];
};

/* Exits with TEST_SKIPPED, and says why, where namespaces, a bridge or nftables cannot be had. */
void net_make(struct net *n, unsigned hosts, unsigned nodes);

void net_address(unsigned host, char out[NET_ADDRESS_SIZE]); /* "10.77.0.10" */

/* What is done between them is done in the namespace of the host: processes started, sockets made.
 */
void net_enter(const struct net *n, unsigned host);
void net_leave(const struct net *n);

/* A fault must end when it is to end, however busy the machine: our own thread, and what it starts
 * to cut and to mend, comes before the servers and clients that it torments. */
void net_go_first(void);

/* As process_start(), in the namespace of a host, and at the usual priority. */
pid_t net_start(const struct net *n, unsigned host, const char *name, const char *const *argv,
                const char *const *more);

/* Counted: what is cut twice must be mended twice. net_apply() makes it so. */
void net_cut(struct net *n, uint32_t from, uint32_t to); /* every pair of these sets of hosts */
void net_mend(struct net *n, uint32_t from, uint32_t to);
void net_apply(struct net *n);
void net_mend_all(struct net *n);

#endif
