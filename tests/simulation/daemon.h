/* daemon.h - what a node does as a client of others: rebuild, scan, sweep, repair (PROTOCOL 5, 7).
 */
#ifndef SHERD_TESTS_SIMULATION_DAEMON_H
#define SHERD_TESTS_SIMULATION_DAEMON_H

#include "tests/simulation/cluster.h"

void sim_daemon_start(struct sim_node *n);
void sim_daemon_stop(struct sim_node *n);
void sim_daemon_tick(struct sim_node *n);
/* An answer that is not an operation's. */
void sim_daemon_answer(struct sim_client *daemon, const struct sherd_answer *a);

#endif
