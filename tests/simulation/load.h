/* load.h - what callers do: they read and write a few keys, and write down what they were told. */
#ifndef SHERD_TESTS_SIMULATION_LOAD_H
#define SHERD_TESTS_SIMULATION_LOAD_H

#include "tests/simulation/cluster.h"

/* Some client begins some call, if there is one that is not busy. */
void sim_load_call(struct sim_cluster *c);

/* A given call by a given client, for the caller to watch; NULL: the history is full. */
const struct sim_op *sim_load_ask(struct sim_client *cl, enum history_kind kind, uint8_t key,
                                  uint64_t timeout_us);

#endif
