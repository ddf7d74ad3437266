/* recovery.h - the recovery daemon: decides which partitions need a pass, and runs them.
 *
 * REBUILD where this node is learner, SCAN where it holds the lowest voter slot of a partition with
 * older epochs open, CATCH_UP where it was away, was asked to look, or the list of keys to repair
 * overflowed. A few passes run side by side; one that did not succeed is repeated after a while. */
#ifndef SHERD_SERVER_RECOVERY_H
#define SHERD_SERVER_RECOVERY_H

#include "server/sealed.h"

struct sherd_recovery;

/* `rate_bytes`: of shards made anew, a second; 0: no cap. */
int sherd_recovery_new(uint64_t rate_bytes, struct sherd_recovery **out);
/* Before the engine is closed, which must not be polled any more. NULL is allowed. */
void sherd_recovery_free(struct sherd_recovery *r);

/* This node missed what was written since a clock of ballots (0: from the start). May come before
 * there is a map. */
void sherd_recovery_catch_up(struct sherd_recovery *r, uint64_t since);
/* The oldest clock since which anything may still be missed; UINT64_MAX: nothing is. */
uint64_t sherd_recovery_missed_since(const struct sherd_recovery *r);

/* `changed`: the sealed map, or what is live of it, did. Returns in how many ms at the latest the
 * next turn should be: 0 when there is work at hand. */
uint32_t sherd_recovery_turn(struct sherd_recovery *r, struct sherd_sealed *sealed, bool changed,
                             const struct sherd_turn *t);

/* Whether any partition waits for a pass, or is in one. */
bool sherd_recovery_is_busy(const struct sherd_recovery *r);
/* Partitions that wait for a CATCH_UP, or are in one. */
uint32_t sherd_recovery_backlog(const struct sherd_recovery *r);

#endif
