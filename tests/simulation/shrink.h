/* shrink.h - makes a failing schedule short: the same failure with as little as possible.
 *
 * Delta debugging (Zeller and Hildebrandt 2002) over the kinds of weather, the faults and the
 * calls: each has a stream of random numbers of its own, so what is left stays as it was. What
 * messages meet is drawn anew (jitter) where the same chances fail no more. */
#ifndef SHERD_TESTS_SIMULATION_SHRINK_H
#define SHERD_TESTS_SIMULATION_SHRINK_H

#include "tests/simulation/cluster.h"

struct sim_shrunk {
    struct sim_skips skips;
    uint32_t runs;                        /* that it took */
    uint32_t calls, faults;               /* left ... */
    uint32_t calls_before, faults_before; /* ... of */
};

/* `config` is of a schedule that fails, without skips. */
void sim_shrink(struct sim_cluster *c, const struct sim_config *config, struct sim_shrunk *out);

#endif
