#include "tests/history/generate.h"

#include <stdlib.h>

#include "tests/history/memo.h"

enum { IDLE, BEGUN, DONE };

struct process {
    uint8_t state;
    bool deaf; /* nobody will hear of the end */
    uint32_t id;
    struct history_call *call;
};

struct world {
    const struct generate *g;
    uint64_t random, time;
    struct history *h;
    int64_t value, next_value;
    struct process *processes;
    uint32_t next_id;
    struct history_call **late; /* open, and not yet in effect */
    uint32_t late_count;
};

static uint32_t below(struct world *w, uint32_t bound) { return generate_below(&w->random, bound); }

static int64_t some_value(struct world *w)
{
    return w->g->values ? 1 + below(w, w->g->values) : ++w->next_value;
}

/* A value that may be there: the present one, or one of the last. */
static int64_t some_expectation(struct world *w)
{
    uint32_t back = below(w, 4);

    if (below(w, 2) == 0) return w->value;
    if (below(w, 4) == 0) return HISTORY_NONE;
    if (w->g->values) return some_value(w);
    return w->next_value > back ? w->next_value - back : HISTORY_NONE;
}

static void begin(struct world *w, struct process *p)
{
    uint32_t kind = 0;

    do
        kind = below(w, 2) ? HISTORY_GET : below(w, HISTORY_KIND_COUNT);
    while (!(w->g->kinds >> kind & 1));
    p->call = history_add(w->h, (enum history_kind)kind, w->time);
    p->call->process = p->id;
    p->state = BEGUN;
    p->deaf = kind == HISTORY_LOSS || below(w, 1000) < w->g->open_permille;
    if (kind == HISTORY_SET || kind == HISTORY_CAS || kind == HISTORY_REPLACE)
        p->call->value = some_value(w);
    if (kind == HISTORY_CAS) p->call->expect = some_expectation(w);
    if (kind == HISTORY_INCREMENT) p->call->value = 1 + below(w, 3);
    if (kind == HISTORY_LOSS && below(w, 2) == 0) p->call->value = HISTORY_LOST;
}

static void set_if(struct world *w, struct history_call *call, bool hit, int64_t value)
{
    call->hit = hit;
    if (hit) w->value = value;
}

static void take_effect(struct world *w, struct history_call *call)
{
    bool exists = w->value != HISTORY_NONE && w->value != HISTORY_LOST;

    switch (call->kind) {
    case HISTORY_GET: call->seen = w->value; break;
    case HISTORY_CAS: set_if(w, call, w->value == call->expect, call->value); break;
    case HISTORY_REPLACE: set_if(w, call, exists, call->value); break;
    case HISTORY_REMOVE: set_if(w, call, exists, HISTORY_NONE); break;
    case HISTORY_INCREMENT:
        set_if(w, call, w->value != HISTORY_LOST, (exists ? w->value : 0) + call->value);
        call->seen = w->value;
        break;
    default: set_if(w, call, true, call->value); break;
    }
}

/* An open call says nothing of what it did. */
static void forget(struct history_call *call)
{
    call->hit = false;
    call->seen = HISTORY_NONE;
}

static void lose(struct world *w, struct process *p)
{
    if (p->state == BEGUN && below(w, 2) == 0) w->late[w->late_count++] = p->call;
    forget(p->call);
    p->state = IDLE;
    p->id = w->next_id++;
}

static void step(struct world *w)
{
    struct process *p = &w->processes[below(w, w->g->processes)];

    w->time++;
    if (w->late_count > 0 && below(w, 8) == 0) {
        uint32_t i = below(w, w->late_count);
        take_effect(w, w->late[i]);
        forget(w->late[i]);
        w->late[i] = w->late[--w->late_count];
    } else if (p->state == IDLE) {
        begin(w, p);
    } else if (p->deaf && below(w, 3) == 0) {
        lose(w, p);
    } else if (p->state == BEGUN) {
        take_effect(w, p->call);
        p->state = DONE;
    } else if (!p->deaf) {
        p->call->end = w->time;
        p->state = IDLE;
    }
}

void generate(const struct generate *g, struct history *h)
{
    struct world w = {.g = g, .random = g->seed, .h = h, .value = HISTORY_NONE};

    w.processes = history_resize(NULL, g->processes, sizeof(w.processes[0]));
    w.late = history_resize(NULL, g->calls, sizeof(w.late[0]));
    for (uint32_t i = 0; i < g->processes; i++)
        w.processes[i] = (struct process){.id = w.next_id++};
    h->count = 0;
    while (h->count < g->calls)
        step(&w);
    for (uint32_t i = 0; i < g->processes; i++)
        if (w.processes[i].state != IDLE) forget(w.processes[i].call);
    free(w.processes);
    free(w.late);
}

static bool is_set(const struct history_call *call)
{
    return call->kind == HISTORY_SET && !history_is_open(call);
}

/* The first call that fits from a random place in the second half on. */
static struct history_call *pick(struct history *h, uint64_t seed, enum history_kind kind)
{
    size_t at = h->count / 2 + generate_below(&seed, (uint32_t)h->count / 3);

    for (; at < h->count; at++)
        if (h->calls[at].kind == kind && !history_is_open(&h->calls[at])) return &h->calls[at];
    return NULL;
}

/* Looks back for a set that began when another one had ended, and ended before the call began. */
bool generate_stale_read(struct history *h, uint64_t seed)
{
    struct history_call *call = pick(h, seed, HISTORY_GET);
    const struct history_call *newer = call, *old = NULL;

    while (newer && newer > h->calls && !(is_set(newer) && newer->end < call->start))
        newer--;
    for (old = newer; old && old > h->calls && !(is_set(old) && old->end < newer->start);)
        old--;
    if (!old || old == h->calls) return false;
    call->seen = old->value;
    return true;
}

bool generate_second_cas(struct history *h, uint64_t seed)
{
    struct history_call *call = pick(h, seed, HISTORY_CAS);
    const struct history_call *first = call;

    while (first && first > h->calls &&
           !(first->kind == HISTORY_CAS && first->hit && first->expect != HISTORY_NONE &&
             first->end < call->start))
        first--;
    if (!first || first == h->calls) return false;
    call->expect = first->expect;
    call->hit = true;
    return true;
}
