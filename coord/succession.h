/* succession.h - what becomes of one partition in the next map (PROTOCOL 7.5 to 7.8). Pure.
 *
 * The rules, in the order in which they are applied:
 *
 * - lose: a voter whose memory is gone becomes learner; a learner whose memory is gone starts anew.
 * - admit: a learner that holds every shard becomes voter.
 * - lost: fewer than k voters with their state, or too few of an open epoch for any answer to be
 *   fresh: nothing changes but the mark, until accept-loss.
 * - vacate: a node out too long leaves its slot, if the rest can go on without it.
 * - fill: a vacant slot goes back to its node, or to a spare one, as learner.
 * - clean: a scanned partition forgets its older epochs.
 *
 * A partition that is live changes its epoch only when enough nodes are heard to make the new one
 * live at once: a map that waits for an absent voter would stop even the reads that go on now. */
#ifndef SHERD_COORD_SUCCESSION_H
#define SHERD_COORD_SUCCESSION_H

#include "coord/membership.h"

/* What holds for the whole step. */
struct sherd_succession_env {
    const struct sherd_membership *m;
    bool alive[SHERD_NODES_MAX]; /* heard within SHERD_ALIVE_MS */
    bool out[SHERD_NODES_MAX];   /* not heard for vacate_after_ms */
    bool done[SHERD_NODES_MAX];  /* learner somewhere, and rebuilt everywhere */
    bool scanned;                /* no partition that could be scanned is without its scan */
    bool paced;                  /* SHERD_BATCH_MS have passed since the last map */
};

struct sherd_succession {
    uint32_t voters, learners;
    uint32_t fresh; /* slots whose holder gets a new incarnation */
    uint16_t node[SHERD_SLOTS_MAX];
    bool lost;
    bool epoch; /* holders or voters change: a new epoch, to be sealed */
    bool reset; /* the older epochs are forgotten with all they held */
    bool clean; /* the older epochs are forgotten */
};

void sherd_succession_look(const struct sherd_membership *m, struct sherd_succession_env *env);

/* Returns whether anything changes in partition `index` of m->map. */
bool sherd_succession_plan(const struct sherd_succession_env *env, uint16_t index,
                           struct sherd_succession *out);

/* Carries the plan out in `next`, a copy of the map that already has its new version and nodes. */
void sherd_succession_apply(struct sherd_map *next, uint16_t index,
                            const struct sherd_succession *plan);

#endif
