/* nodes.h - a whole small cluster in one process: three nodes of the objects that ship, each with
 * its threads as in server/main.c, the keeper in node 0, over sockets in a folder. Nothing in here
 * allocates, and nothing fails the test: what goes wrong is returned. */
#ifndef SHERD_TESTS_NODES_H
#define SHERD_TESTS_NODES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "client/conf.h"
#include "server/background.h"
#include "server/keeper.h"
#include "server/service.h"

enum { NODES = 3, NODES_PARTITIONS = 4, NODES_PATH_SIZE = 64 };

struct nodes_one {
    struct sherd_conf conf; /* as node 0's, but `self`; `nodes` is shared */
    struct sherd_progress progress;
    struct sherd_service *service;
    struct sherd_background *background;
    void *context;
    pthread_t thread;
    atomic_bool stop;
    int served; /* what sherd_service_run returned */
    bool up;
};

struct nodes {
    char dir[NODES_PATH_SIZE]; /* exists; the caller's */
    struct sherd_conf conf;
    struct sherd_keeper *keeper;
    struct nodes_one one[NODES];
};

/* Writes the configuration into the folder: main.conf, which includes nodes.conf. */
int nodes_write_conf(const char *dir, unsigned k, unsigned m, uint32_t vacate_after_ms);

/* Loads it, and puts local sockets in the place of the addresses. */
int nodes_load(struct nodes *n, const char *dir, char *error, size_t error_size);

/* 0, or what failed: then nothing of it is left. Node 0 brings the keeper along. */
int nodes_start(struct nodes *n, unsigned node);

/* 0, or how the service ended. The node forgets everything. */
int nodes_stop(struct nodes *n, unsigned node);

/* All that are up, and the configuration. */
int nodes_fini(struct nodes *n);

/* One node, for a client: it has to learn of the others. */
void nodes_seed(const struct nodes *n, char *out, size_t size);

#endif
