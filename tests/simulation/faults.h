/* faults.h - what goes wrong in one schedule: drawn from its seed, like everything else. */
#ifndef SHERD_TESTS_SIMULATION_FAULTS_H
#define SHERD_TESTS_SIMULATION_FAULTS_H

#include "tests/simulation/cluster.h"

/* From now on something goes wrong every now and then. */
void sim_faults_start(struct sim_cluster *c);
/* Everything is mended: links, nodes, keeper, clients. */
void sim_faults_end(struct sim_cluster *c);

/* min(m, q - 1) of the nodes lose their state at once, but none where fewer than k voters would
 * keep theirs: false. */
bool sim_faults_lose_many(struct sim_cluster *c);
/* A map was just published: the keeper may die or be slow before its LIVE. */
void sim_faults_published(struct sim_cluster *c);
/* Clocks as they differ in good weather. */
void sim_faults_set_clocks(struct sim_cluster *c);

/* Minutes in which nothing happens, with one client stopped in the midst of what it does, and
 * another that starts anew with a clock that is behind. */
void sim_faults_pause(struct sim_cluster *c, uint64_t time_us);
/* A node that is vacated loses its state too: notes whether a value may be lost by that. */
void sim_faults_judge_map(struct sim_cluster *c, const struct sherd_map *map);

#endif
