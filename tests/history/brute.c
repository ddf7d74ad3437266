#include "tests/history/brute.h"

#include <stdlib.h>
#include <string.h>

enum { NONE, LOST, ZERO, MOST = 63, NOT = -1 };

static int place_of(int64_t value)
{
    if (value == HISTORY_NONE) return NONE;
    if (value == HISTORY_LOST) return LOST;
    if (value < 0 || ZERO + value > MOST) abort();
    return ZERO + (int)value;
}

/* Where the call leads from a value; NOT: it cannot have happened there. */
static int after(const struct history_call *c, int value)
{
    bool closed = c->end != HISTORY_OPEN;
    int there = NOT; /* where it leads if what it asks for is so */

    if (c->kind == HISTORY_GET) return place_of(c->seen) == value ? value : NOT;
    if (c->kind == HISTORY_DELETE) return NONE;
    if (c->kind == HISTORY_SET || c->kind == HISTORY_LOSS) return place_of(c->value);
    if (c->kind == HISTORY_CAS && value == place_of(c->expect)) there = place_of(c->value);
    if (c->kind == HISTORY_REPLACE && value >= ZERO) there = place_of(c->value);
    if (c->kind == HISTORY_REMOVE && value >= ZERO) there = NONE;
    if (c->kind == HISTORY_INCREMENT && value != LOST)
        there = place_of((value == NONE ? 0 : value - ZERO) + c->value);
    if (closed && !c->hit) return there == NOT ? value : NOT;
    if (closed && c->kind == HISTORY_INCREMENT && there != place_of(c->seen)) return NOT;
    return there;
}

/* Whether every call that ended before this one began is done. */
static bool may_be_next(const struct history *h, uint32_t done, size_t call)
{
    for (size_t i = 0; i < h->count; i++)
        if (!(done >> i & 1) && h->calls[i].end < h->calls[call].start) return false;
    return true;
}

bool brute_is_linearizable(const struct history *h)
{
    static uint64_t values[1 << BRUTE_CALLS_MAX]; /* by set of calls done: a bit for each value */
    uint32_t closed = 0;

    if (h->count > BRUTE_CALLS_MAX) abort();
    memset(values, 0, sizeof(values[0]) << h->count);
    values[0] = UINT64_C(1) << NONE;
    for (size_t i = 0; i < h->count; i++)
        if (h->calls[i].end != HISTORY_OPEN) closed |= UINT32_C(1) << i;
    for (uint32_t done = 0; done < UINT32_C(1) << h->count; done++) {
        if (values[done] == 0) continue;
        if ((done & closed) == closed) return true;
        for (size_t i = 0; i < h->count; i++) {
            if ((done >> i & 1) || !may_be_next(h, done, i)) continue;
            for (int v = 0; v <= MOST; v++) {
                int next = values[done] >> v & 1 ? after(&h->calls[i], v) : NOT;
                if (next != NOT) values[done | UINT32_C(1) << i] |= UINT64_C(1) << next;
            }
        }
    }
    return false;
}
