/* network.h - carries encoded messages, and loses, repeats, delays and reorders them.
 *
 * A PREPARE reaches a node at most once (PROTOCOL 2). In one half of the schedules that is what the
 * nodes' sessions do (server/sessions.c), over links that repeat anything but keep the order; in
 * the other half, links know no order and do not repeat a PREPARE. A daemon shares its node's
 * links; to its own node nothing is lost. */
#ifndef SHERD_TESTS_SIMULATION_NETWORK_H
#define SHERD_TESTS_SIMULATION_NETWORK_H

#include "tests/simulation/cluster.h"

struct sim_message {
    struct sim_message *next; /* spare */
    struct sim_cluster *cluster;
    uint8_t from, to;
    bool is_large;
    uint64_t
        lives; /* of sender and keeper: a connection to the keeper does not outlive a process */
    size_t size;
    uint8_t bytes[];
};

void sim_send_request(struct sim_cluster *c, uint8_t from, uint8_t to,
                      const struct sherd_envelope *e, const struct sherd_request *r);
void sim_send_answer(struct sim_cluster *c, uint8_t from, uint8_t to,
                     const struct sherd_envelope *e, const struct sherd_answer *a);

#endif
