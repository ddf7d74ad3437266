/* generate.h - histories of a register that is atomic: each call takes effect at one moment between
 * its start and its end, or, when nobody hears of its end, later or never. */
#ifndef SHERD_TESTS_HISTORY_GENERATE_H
#define SHERD_TESTS_HISTORY_GENERATE_H

#include "tests/history/history.h"
#include "tests/support/random.h"

struct generate {
    uint64_t seed;
    uint32_t calls, processes;
    uint32_t open_permille; /* calls whose end nobody hears of */
    uint32_t kinds;         /* bits of enum history_kind */
    uint32_t values;        /* values are from 1 to this; 0: each is written once */
};

/* Into h, which has room for all calls. */
void generate(const struct generate *g, struct history *h);

/* Makes one late answer a wrong one: of values that are written once only. False: found no place.
 */
bool generate_stale_read(struct history *h, uint64_t seed); /* an overwritten value is seen */
bool generate_second_cas(struct history *h, uint64_t seed); /* two took the place of one value */

static inline uint32_t generate_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)((random_next(state) >> 32) * bound >> 32);
}

#endif
