/* fake_cluster.h - nodes in one thread, for tests of the client: real sockets, real participants, a
 * memory that is a list. Nodes can be told to misbehave. */
#ifndef SHERD_TESTS_FAKE_CLUSTER_H
#define SHERD_TESTS_FAKE_CLUSTER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { FAKE_NODES_MAX = 8 };

/* How a node behaves; set from any thread. */
enum fake_mode {
    FAKE_GOOD,
    FAKE_DOWN,      /* its socket is closed; what it knew is forgotten */
    FAKE_SILENT,    /* takes everything, answers nothing */
    FAKE_BROKEN,    /* a bit of every shard it sends is wrong */
    FAKE_GARBAGE,   /* sends malformed messages before each answer */
    FAKE_FORGETFUL, /* refuses every second message of a session: STALE(SESSION) */
    FAKE_FULL,      /* NACKs every PREPARE */
    FAKE_LIAR,      /* answers for all slots, whatever it was asked for */
};

struct fake_node;

struct fake_cluster {
    void *context;
    unsigned k, m, n;
    unsigned keys_of_page; /* of a LIST; 0: all */
    char endpoints[FAKE_NODES_MAX][64];
    atomic_int modes[FAKE_NODES_MAX];
    atomic_int requests[FAKE_NODES_MAX]; /* requests for keys, taken by each node */
    atomic_uint version;                 /* of the map; a higher one moves every partition on */
    atomic_uint since[FAKE_NODES_MAX];   /* of the map's nodes; 2: this life holds nothing yet */
    atomic_bool stop;
    pthread_t thread;
    struct fake_node *nodes[FAKE_NODES_MAX];
};

/* k + m nodes under the map of version 1, on ipc. NULL: cannot. */
struct fake_cluster *fake_cluster_new(unsigned k, unsigned m);
void fake_cluster_free(struct fake_cluster *c);

#endif
