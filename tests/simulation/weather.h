/* weather.h - how rough a schedule is: swarm testing (Groce et al. 2012), each seed leaves out most
 * kinds of faults, so that those it has are not hidden by the others. */
#ifndef SHERD_TESTS_SIMULATION_WEATHER_H
#define SHERD_TESTS_SIMULATION_WEATHER_H

#include "tests/simulation/cluster.h"

/* The weather of the schedule's first or second storm (0, 1), less what config.skips turns off. */
void sim_weather_draw(struct sim_cluster *c, unsigned storm);

/* One line a kind that is on. */
void sim_weather_trace(const struct sim_cluster *c);

#endif
