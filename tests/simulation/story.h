/* story.h - names for what a trace tells, so that a schedule reads as a story. */
#ifndef SHERD_TESTS_SIMULATION_STORY_H
#define SHERD_TESTS_SIMULATION_STORY_H

#include "coord/message.h"
#include "tests/simulation/world.h"

struct sim_name {
    char text[48];
};

/* "client 3", "node 2", "daemon of node 2", "keeper" */
struct sim_name sim_who(uint8_t address);
/* "epoch 1 at 390.2 by 7038558": milliseconds of the schedule's own time, and the counter */
struct sim_name sim_ballot_name(struct sherd_ballot b);

const char *sim_message_name(uint8_t kind);
const char *sim_reason_name(uint8_t reason);

#endif
