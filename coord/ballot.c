#include "coord/ballot.h"

#include "coord/limits.h"

uint64_t sherd_hlc_next(struct sherd_hlc *h, uint64_t wall_ms)
{
    uint64_t physical = wall_ms << 16;

    h->last = physical > h->last ? physical : h->last + 1;
    return h->last;
}

void sherd_hlc_merge(struct sherd_hlc *h, uint64_t seen, uint64_t wall_ms)
{
    if (sherd_clock_wall_ms(seen) > wall_ms + SHERD_CLOCK_AHEAD_MAX_MS) return;
    if (seen > h->last) h->last = seen;
}

bool sherd_ballot_is_ahead(struct sherd_ballot b, uint64_t wall_ms)
{
    return sherd_clock_wall_ms(b.clock) > wall_ms + SHERD_CLOCK_AHEAD_MAX_MS;
}
