/* engine.h - runs operations for one client: what client/engine does, on virtual time. */
#ifndef SHERD_TESTS_SIMULATION_ENGINE_H
#define SHERD_TESTS_SIMULATION_ENGINE_H

#include "tests/simulation/cluster.h"

void sim_client_start(struct sim_client *cl); /* a new life, with what map it has */
void sim_client_stop(struct sim_client *cl);  /* its operations are abandoned */

/* A new operation on `key`, for the caller to fill in further and submit. */
struct sim_op *sim_op_new(struct sim_client *cl, enum sherd_goal goal, uint8_t key,
                          uint64_t timeout_us);
void sim_op_submit(struct sim_op *o);
/* The new value (0: a tombstone) of an operation: sets op.meta. */
void sim_op_set_value(struct sim_op *o, int64_t value);

void sim_client_receive(struct sim_client *cl, uint8_t from, struct sherd_bytes frame);
void sim_client_take_map(struct sim_client *cl, const struct sim_map *map);
void sim_client_connection(struct sim_client *cl, uint8_t node, bool up);

struct sherd_envelope sim_client_envelope(struct sim_client *cl, uint8_t node);

#endif
