/* queue.h - keys to look at later: a bounded FIFO of (due time, partition, hash of the key,
 * ballot).
 *
 * Keys themselves are not copied: two keys with one hash are both looked at, which does no harm. */
#ifndef SHERD_SERVER_QUEUE_H
#define SHERD_SERVER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/ballot.h"

struct sherd_queue_item {
    uint64_t due_ms; /* monotonic */
    uint64_t hash;
    struct sherd_ballot ballot; /* of the entry that is meant; zero: whatever is there */
    uint16_t partition;
};

/* Zero it, set count_max. */
struct sherd_queue {
    struct sherd_queue_item *items;
    size_t first, count, capacity, count_max;
};

/* False: full, or no memory; then nothing was added. */
bool sherd_queue_push(struct sherd_queue *q, struct sherd_queue_item item);
/* The oldest item if it is due. */
bool sherd_queue_pop_due(struct sherd_queue *q, uint64_t now_ms, struct sherd_queue_item *out);
void sherd_queue_fini(struct sherd_queue *q);

#endif
