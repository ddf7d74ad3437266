/* repairs.h - keys that must be repaired, tried again until every holder has its shard.
 *
 * Bounded. What does not fit any more marks its partition instead, for a pass over all of it. A key
 * is not tried while a holder of its partition is silent: that could not succeed. */
#ifndef SHERD_SERVER_REPAIRS_H
#define SHERD_SERVER_REPAIRS_H

#include "server/sealed.h"

struct sherd_repairs;

int sherd_repairs_new(struct sherd_repairs **out);
/* After the engine was closed. NULL is allowed. */
void sherd_repairs_free(struct sherd_repairs *q);

/* Room for more keys? */
bool sherd_repairs_has_room(const struct sherd_repairs *q);
/* Copies the key. A key that is queued already is not queued twice. */
void sherd_repairs_add(struct sherd_repairs *q, struct sherd_bytes key, const struct sherd_turn *t);

void sherd_repairs_turn(struct sherd_repairs *q, const struct sherd_sealed *sealed,
                        const struct sherd_turn *t);

/* Keys queued or being repaired. */
uint32_t sherd_repairs_count(const struct sherd_repairs *q);

#endif
