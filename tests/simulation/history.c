#include "tests/simulation/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coord/assert.h"

enum { STATES_MAX = 1 << 20, NO_CALL = 0xff };

struct sim_call *sim_history_add(struct sim_history *h, enum sim_kind kind, uint64_t start)
{
    struct sim_call *call = &h->calls[h->count];

    if (h->count == SIM_HISTORY_MAX) return NULL;
    h->count++;
    *call = (struct sim_call){.kind = (uint8_t)kind, .start = start, .end = UINT64_MAX};
    return call;
}

/* Calls are named by pointers: what is removed stays, of a kind that never happens. */
void sim_history_remove(struct sim_history *h, const struct sim_call *call)
{
    struct sim_call *mine = &h->calls[call - h->calls];

    mine->kind = SIM_KIND_COUNT;
    mine->end = UINT64_MAX;
}

/* A state of the search: which calls are done, and the value then. */
struct state {
    uint64_t done;
    int64_t value;
};

struct search {
    const struct sim_history *h;
    uint64_t closed; /* calls that must be done */
    struct state *seen;
    uint32_t seen_count, capacity; /* a power of two */
};

static uint64_t hash_of(struct state s)
{
    uint64_t z =
        (s.done ^ (uint64_t)s.value * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ z >> 31;
}

/* An empty place has done == UINT64_MAX: 62 calls never are. */
static struct state *place_of(const struct search *s, struct state state)
{
    uint64_t at = hash_of(state) & (s->capacity - 1);

    while (s->seen[at].done != UINT64_MAX &&
           (s->seen[at].done != state.done || s->seen[at].value != state.value))
        at = (at + 1) & (s->capacity - 1);
    return &s->seen[at];
}

static void make_room(struct search *s)
{
    struct state *old = s->seen;
    uint32_t old_capacity = s->capacity;

    if (2 * (s->seen_count + 1) < s->capacity) return;
    s->capacity = old_capacity ? 4 * old_capacity : 256;
    s->seen = malloc(s->capacity * sizeof(s->seen[0]));
    SHERD_ASSERT(s->seen != NULL);
    memset(s->seen, 0xff, s->capacity * sizeof(s->seen[0]));
    for (uint32_t i = 0; i < old_capacity; i++)
        if (old[i].done != UINT64_MAX) *place_of(s, old[i]) = old[i];
    free(old);
}

/* False: it was there already. */
static bool remember(struct search *s, struct state state)
{
    struct state *place;

    make_room(s);
    place = place_of(s, state);
    if (place->done != UINT64_MAX) return false;
    *place = state;
    s->seen_count++;
    return true;
}

/* Whether the call may happen now, and what the value is then. */
static bool apply(const struct sim_call *c, int64_t *value)
{
    bool is_open = c->end == UINT64_MAX;
    bool hit = false;
    int64_t next = *value;

    switch (c->kind) {
    case SIM_GET: return c->seen == *value;
    case SIM_SET:
    case SIM_LOSS:
    case SIM_DELETE: *value = c->value; return true;
    case SIM_CAS:
        hit = *value == c->expect;
        next = c->value;
        break;
    case SIM_REPLACE:
    case SIM_REMOVE:
        hit = *value > 0;
        next = c->value;
        break;
    case SIM_INCREMENT:
        hit = *value >= 0;
        next = *value + c->value;
        if (!is_open && c->seen != next) return false;
        break;
    default: break;
    }
    if (is_open ? !hit : hit != c->hit) return false;
    if (hit) *value = next;
    return true;
}

/* Calls that may come next: started before every call that is still to be done ended. */
static uint64_t candidates(const struct search *s, uint64_t done)
{
    uint64_t horizon = UINT64_MAX, result = 0;

    for (uint8_t i = 0; i < s->h->count; i++)
        if (!(done >> i & 1) && s->h->calls[i].end < horizon) horizon = s->h->calls[i].end;
    for (uint8_t i = 0; i < s->h->count; i++)
        if (!(done >> i & 1) && s->h->calls[i].start <= horizon) result |= UINT64_C(1) << i;
    return result;
}

struct frame {
    struct state state;
    uint64_t left; /* calls not tried yet */
};

/* A closed call that fits and changes nothing may always come first: no other order is tried. */
static uint64_t narrow(const struct search *s, struct state state, uint64_t calls)
{
    for (uint64_t rest = calls & s->closed; rest; rest &= rest - 1) {
        int i = __builtin_ctzll(rest);
        int64_t value = state.value;
        if (apply(&s->h->calls[i], &value) && value == state.value &&
            (s->h->calls[i].kind == SIM_GET || !s->h->calls[i].hit))
            return UINT64_C(1) << i;
    }
    return calls;
}

static enum sim_judgement search(struct search *s)
{
    struct frame stack[SIM_HISTORY_MAX + 2];
    int depth = 0;

    stack[0] = (struct frame){.left = narrow(s, (struct state){0, 0}, candidates(s, 0))};
    while (depth >= 0) {
        struct frame *f = &stack[depth];
        if ((f->state.done & s->closed) == s->closed) return SIM_LINEARIZABLE;
        if (f->left == 0) {
            depth--;
            continue;
        }
        int i = __builtin_ctzll(f->left);
        f->left &= f->left - 1;
        struct state next = {f->state.done | UINT64_C(1) << i, f->state.value};
        if (!apply(&s->h->calls[i], &next.value) || !remember(s, next)) continue;
        if (s->seen_count > STATES_MAX) return SIM_TOO_LONG;
        stack[++depth] = (struct frame){next, narrow(s, next, candidates(s, next.done))};
    }
    return SIM_NOT_LINEARIZABLE;
}

enum sim_judgement sim_history_check(const struct sim_history *h)
{
    struct search s = {.h = h};
    enum sim_judgement judgement;

    for (uint8_t i = 0; i < h->count; i++)
        if (h->calls[i].end != UINT64_MAX) s.closed |= UINT64_C(1) << i;
    judgement = search(&s);
    free(s.seen);
    return judgement;
}

void sim_history_print(const struct sim_history *h, const char *key)
{
    static const char *const names[] = SIM_KIND_NAMES;

    printf("history of %s: start end call value expect seen\n", key);
    for (uint8_t i = 0; i < h->count; i++) {
        const struct sim_call *c = &h->calls[i];
        if (c->kind == SIM_KIND_COUNT) continue;
        printf("  %8" PRIu64 " ", c->start);
        if (c->end == UINT64_MAX)
            printf("    open ");
        else
            printf("%8" PRIu64 " ", c->end);
        printf("%-9s %6" PRId64 " %6" PRId64 " %6" PRId64 " %s\n", names[c->kind], c->value,
               c->expect, c->seen, c->kind == SIM_GET || c->hit ? "" : "(refused)");
    }
}
