/* forget.h - the round in which a tombstone goes (PROTOCOL 8).
 *
 * Led by the holder of the lowest voter slot, in clean partitions only. All voters are read; when
 * each holds nothing, or one committed tombstone of one ballot (an expired value without its shard
 * is one too), those others that hold it are told to forget it. The own copy goes last, in a later
 * round that finds it at nobody else: until then the service lists it again, so that no copy stays
 * behind without somebody who knows of it. */
#ifndef SHERD_SERVER_FORGET_H
#define SHERD_SERVER_FORGET_H

#include "server/sealed.h"

struct sherd_forget;

int sherd_forget_new(struct sherd_forget **out);
/* After the engine was closed. NULL is allowed. */
void sherd_forget_free(struct sherd_forget *f);

bool sherd_forget_has_room(const struct sherd_forget *f);
/* Starts a round for a key, if this node leads it and all voters answer now. */
void sherd_forget_start(struct sherd_forget *f, struct sherd_bytes key,
                        const struct sherd_sealed *sealed, const struct sherd_turn *t);

#endif
