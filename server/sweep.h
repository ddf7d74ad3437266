/* sweep.h - looks after what the own service says must be looked after (service.h, LIST):
 * undecided entries are finished, keys that lack a shard repaired, tombstones forgotten. */
#ifndef SHERD_SERVER_SWEEP_H
#define SHERD_SERVER_SWEEP_H

#include "server/forget.h"
#include "server/repairs.h"

struct sherd_sweep;

int sherd_sweep_new(struct sherd_sweep **out);
/* After the engine was closed. NULL is allowed. */
void sherd_sweep_free(struct sherd_sweep *s);

void sherd_sweep_turn(struct sherd_sweep *s, const struct sherd_sealed *sealed,
                      const struct sherd_turn *t);

/* Keys known to need a repair. */
uint32_t sherd_sweep_backlog(const struct sherd_sweep *s);

#endif
