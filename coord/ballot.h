/* ballot.h - the order of attempts, and the hybrid logical clock that makes it.
 *
 * A ballot is unique per attempt: (epoch, clock, client), compared in that order (PROTOCOL 1). The
 * clock is a hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014): 48 bits of
 * milliseconds of the wall clock, 16 bits of counter. */
#ifndef SHERD_COORD_BALLOT_H
#define SHERD_COORD_BALLOT_H

#include <stdbool.h>
#include <stdint.h>

struct sherd_ballot {
    uint64_t clock;
    uint64_t client; /* 64 random bits of the handle that made it */
    uint32_t epoch;  /* of the key's partition */
};

#define SHERD_BALLOT_ZERO ((struct sherd_ballot){0, 0, 0})

/* < 0, 0, > 0: a is lower than, equal to, higher than b. */
static inline int sherd_ballot_compare(struct sherd_ballot a, struct sherd_ballot b)
{
    if (a.epoch != b.epoch) return a.epoch < b.epoch ? -1 : 1;
    if (a.clock != b.clock) return a.clock < b.clock ? -1 : 1;
    if (a.client != b.client) return a.client < b.client ? -1 : 1;
    return 0;
}

static inline bool sherd_ballot_equal(struct sherd_ballot a, struct sherd_ballot b)
{
    return sherd_ballot_compare(a, b) == 0;
}

static inline bool sherd_ballot_is_zero(struct sherd_ballot a)
{
    return a.epoch == 0 && a.clock == 0 && a.client == 0;
}

static inline struct sherd_ballot sherd_ballot_max(struct sherd_ballot a, struct sherd_ballot b)
{
    return sherd_ballot_compare(a, b) < 0 ? b : a;
}

/* The wall clock, in milliseconds, that a ballot's clock was drawn at. */
static inline uint64_t sherd_clock_wall_ms(uint64_t clock) { return clock >> 16; }

/* One per client handle. Zero is a valid start. */
struct sherd_hlc {
    uint64_t last;
};

/* The next clock: above every earlier one and every merged one, and not below the wall clock. */
uint64_t sherd_hlc_next(struct sherd_hlc *h, uint64_t wall_ms);

/* Takes over a clock that somebody else showed; one more than 60 s ahead of `wall_ms` is ignored,
 * so that one broken machine cannot push everybody's clock forward. */
void sherd_hlc_merge(struct sherd_hlc *h, uint64_t seen, uint64_t wall_ms);

/* Whether a node whose wall clock shows `wall_ms` must refuse this ballot (PROTOCOL 2). */
bool sherd_ballot_is_ahead(struct sherd_ballot b, uint64_t wall_ms);

#endif
