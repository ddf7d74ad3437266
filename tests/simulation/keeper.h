/* keeper.h - the keeper's process: coord/membership with a file and a clock. */
#ifndef SHERD_TESTS_SIMULATION_KEEPER_H
#define SHERD_TESTS_SIMULATION_KEEPER_H

#include "tests/simulation/cluster.h"

/* Starts with what the file says; without one, makes the first map. */
void sim_keeper_start(struct sim_keeper *k);
void sim_keeper_stop(struct sim_keeper *k); /* all but the file is gone */
void sim_keeper_receive(struct sim_keeper *k, uint8_t from, struct sherd_bytes frame);

#endif
