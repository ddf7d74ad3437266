/* node.h - one shard server: coord/partition and coord/participant over a small store. */
#ifndef SHERD_TESTS_SIMULATION_NODE_H
#define SHERD_TESTS_SIMULATION_NODE_H

#include "tests/simulation/cluster.h"

void sim_node_start(struct sim_node *n); /* with the state it has */
void sim_node_stop(struct sim_node *n);  /* its state stays, what its daemon did is gone */
void sim_node_wipe(struct sim_node *n);  /* its state is gone; a new incarnation */
void sim_node_forget(struct sim_node *n, uint16_t partition); /* what it has of it is damaged */
void sim_node_receive(struct sim_node *n, uint8_t from, struct sherd_bytes frame);

/* Tells the keeper what is. */
void sim_node_report(struct sim_node *n);

#endif
