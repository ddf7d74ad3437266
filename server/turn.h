/* turn.h - what the parts of the background thread share in one of its turns. */
#ifndef SHERD_SERVER_TURN_H
#define SHERD_SERVER_TURN_H

#include "client/engine.h"
#include "server/jobs.h"
#include "server/progress.h"

struct sherd_turn {
    struct sherd_engine *engine;
    struct sherd_jobs *jobs;
    struct sherd_progress *progress;
    uint16_t self;   /* this node's id */
    uint64_t now_ms; /* monotonic */
    uint64_t wall_ms;
};

/* A clock of ballots as it stood `before_ms` ago: for LIST since. */
static inline uint64_t sherd_turn_clock_before(const struct sherd_turn *t, uint64_t before_ms)
{
    return t->wall_ms > before_ms ? (t->wall_ms - before_ms) << 16 : 0;
}

/* Whether all nodes that hold these slots of `p` are connected, and answered lately. */
bool sherd_turn_hears(const struct sherd_turn *t, const struct sherd_partition *p, uint32_t slots);

#endif
