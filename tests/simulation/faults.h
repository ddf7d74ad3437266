/* faults.h - what goes wrong in one schedule: drawn from its seed, like everything else. */
#ifndef SHERD_TESTS_SIMULATION_FAULTS_H
#define SHERD_TESTS_SIMULATION_FAULTS_H

#include "tests/simulation/cluster.h"

void sim_weather_draw(struct sim_cluster *c);
/* From now on something goes wrong every now and then. */
void sim_faults_start(struct sim_cluster *c);
/* Everything is mended: links, nodes, keeper, clients. */
void sim_faults_end(struct sim_cluster *c);

/* A node that is vacated loses its state too: notes whether a value may be lost by that. */
void sim_faults_judge_map(struct sim_cluster *c, const struct sherd_map *map);

#endif
