/* frames.h - messages as nobody should send them: random, mutated, and right in all but one thing.
 *
 * Built on tests/support/wire_messages.h, whose randomness and buffer it shares: one thread. */
#ifndef SHERD_TESTS_CLUSTER_FRAMES_H
#define SHERD_TESTS_CLUSTER_FRAMES_H

#include "coord/map.h"
#include "coord/wire.h"

enum { FRAMES_MAX = 8, FRAME_BYTES_MAX = 64 << 10 };

/* A message to be sent; the bytes are the struct's own. */
struct frames {
    size_t count;
    size_t sizes[FRAMES_MAX];
    uint8_t bytes[FRAMES_MAX][FRAME_BYTES_MAX];
};

/* What a sender must know to get past a node's first checks. */
struct frames_target {
    const struct sherd_map *map; /* of the cluster */
    uint16_t node;               /* SHERD_NO_NODE: the keeper */
    uint64_t incarnation;        /* of the receiver */
    uint64_t session, number;    /* of the sender; number is counted on */
};

void frames_seed(uint64_t seed);

/* Random bytes in random frames. */
void frames_random(struct frames *f);

/* Any request, well-formed, with random fields: wrong session, number, incarnation or epoch as the
 * dice fall. */
void frames_well_formed(struct frames *f, struct frames_target *target);

/* A request that the node will carry out, on keys that nobody else uses. None that speaks with an
 * authority that it cannot check (INSERT). */
void frames_acceptable(struct frames *f, struct frames_target *target);

/* Flips bits, cuts, lengthens, repeats, swaps. */
void frames_mutate(struct frames *f);

/* Whether the target would take an INSERT out of it at its word: a mutation may make one of a
 * PREPARE, and a node cannot tell that from a rebuild. */
bool frames_has_authority(const struct frames *f, const struct frames_target *target);

void frames_from(struct frames *f, const struct sherd_bytes *parts, size_t count);

/* Sends it on a socket, behind `identity` if that is not NULL. 0 or negative errno. */
int frames_send(void *socket, const struct sherd_bytes *identity, const struct frames *f,
                int flags);

#endif
