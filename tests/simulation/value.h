/* value.h - values are numbers; their bytes are of different lengths, and broken ones are noticed.
 */
#ifndef SHERD_TESTS_SIMULATION_VALUE_H
#define SHERD_TESTS_SIMULATION_VALUE_H

#include "tests/simulation/cluster.h"

size_t sim_value_write(int64_t value, uint8_t bytes[SIM_VALUE_BYTES_MAX]); /* returns the size */
bool sim_value_read(const uint8_t *bytes, size_t size, int64_t *value);
void sim_value_encode(struct sim_cluster *c, const uint8_t *bytes, size_t size,
                      struct sim_shards *out);

#endif
