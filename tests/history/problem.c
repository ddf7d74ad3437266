#include "tests/history/problem.h"

#include <stdlib.h>
#include <string.h>

enum { HASH_CALL, HASH_VALUE };

bool history_apply(const struct history_item *item, int64_t *value)
{
    bool hit = false;
    int64_t next = item->value;

    switch (item->kind) {
    case HISTORY_GET: return item->seen == *value;
    case HISTORY_CAS: hit = *value == item->expect; break;
    case HISTORY_REPLACE:
    case HISTORY_REMOVE: hit = history_exists(*value); break;
    case HISTORY_INCREMENT:
        hit = *value == HISTORY_NONE || history_is_number(*value);
        if (hit) next += *value == HISTORY_NONE ? 0 : *value;
        hit = hit && history_is_number(next);
        if (!item->open && item->hit && item->seen != next) return false;
        break;
    default: *value = item->value; return true; /* set, delete, loss */
    }
    if (item->open ? !hit : hit != item->hit) return false;
    if (hit) *value = next;
    return true;
}

void history_problem_fini(struct history_problem *p)
{
    free(p->items);
    free(p->values);
    free(p->classes);
    free(p->next);
    free(p->prev);
    free(p->by_end);
    free(p->index);
    *p = (struct history_problem){0};
}

static void make_room(struct history_problem *p, size_t count)
{
    size_t values = 2 * count + HISTORY_VALUE_FIRST;

    p->index_places = 16;
    while (p->index_places < 2 * values)
        p->index_places *= 2;
    if (p->index_places > p->index_room) {
        p->index_room = p->index_places;
        p->index = history_resize(p->index, p->index_room, sizeof(p->index[0]));
    }
    if (count <= p->room && p->values) return;
    p->room = count;
    p->items = history_resize(p->items, count, sizeof(p->items[0]));
    p->values = history_resize(p->values, values, sizeof(p->values[0]));
    p->classes = history_resize(p->classes, count, sizeof(p->classes[0]));
    p->next = history_resize(p->next, 2 * count + 1, sizeof(p->next[0]));
    p->prev = history_resize(p->prev, 2 * count + 1, sizeof(p->prev[0]));
    p->by_end = history_resize(p->by_end, count, sizeof(p->by_end[0]));
}

/* The number of a value; HISTORY_NOTHING: it has none, and is not given one unless told so. */
static uint32_t number_of(struct history_problem *p, int64_t value, bool give)
{
    size_t mask = p->index_places - 1;
    size_t at = history_hash_of((uint64_t)value, HASH_VALUE).a & mask;

    while (p->index[at] != HISTORY_NOTHING && p->values[p->index[at]].value != value)
        at = (at + 1) & mask;
    if (p->index[at] != HISTORY_NOTHING || !give) return p->index[at];
    p->index[at] = p->value_count;
    p->values[p->value_count] = (struct history_value){.value = value};
    /* Whether there is a value is told without its number. */
    if (p->value_count < HISTORY_VALUE_FIRST) p->values[p->value_count].watchers = 1;
    /* Nobody counts what open increments may make of numbers: such are never done with. */
    if (p->exact && history_is_number(value)) {
        p->values[p->value_count].watchers = 1;
        p->values[p->value_count].writers = 1;
    }
    return p->value_count++;
}

static bool may_be_refused(enum history_kind kind)
{
    return kind == HISTORY_CAS || kind == HISTORY_REPLACE || kind == HISTORY_REMOVE ||
           kind == HISTORY_INCREMENT;
}

static void add_item(struct history_problem *p, const struct history *h, uint32_t call, bool open)
{
    const struct history_call *c = &h->calls[call];
    struct history_item *item = &p->items[p->count++];

    *item = (struct history_item){.start = c->start,
                                  .end = open ? HISTORY_OPEN : c->end,
                                  .value = c->value,
                                  .expect = c->expect,
                                  .seen = c->seen,
                                  .hash = history_hash_of(call, HASH_CALL),
                                  .call = call,
                                  .wants = HISTORY_NOTHING,
                                  .writes = HISTORY_NOTHING,
                                  .next = HISTORY_NOTHING,
                                  .kind = c->kind,
                                  .open = open,
                                  .hit = c->hit || !may_be_refused(c->kind)};
    if (c->kind == HISTORY_DELETE || c->kind == HISTORY_REMOVE) item->value = HISTORY_NONE;
    if (c->kind == HISTORY_INCREMENT) p->exact |= open || !c->hit;
    p->open_increments += open && c->kind == HISTORY_INCREMENT;
    p->open_lookers += open && (c->kind == HISTORY_REPLACE || c->kind == HISTORY_REMOVE);
}

static void add_items(struct history_problem *p, const struct history *h, uint64_t until)
{
    for (uint32_t i = 0; i < h->count && h->calls[i].start <= until; i++)
        if (h->calls[i].kind < HISTORY_KIND_COUNT && !history_is_open(&h->calls[i]) &&
            h->calls[i].end <= until)
            add_item(p, h, i, false);
    p->closed = p->count;
    for (uint32_t i = 0; i < h->count && h->calls[i].start <= until; i++) {
        const struct history_call *c = &h->calls[i];
        if (c->kind >= HISTORY_KIND_COUNT || c->kind == HISTORY_GET) continue;
        if (!history_is_open(c) && (c->end <= until || (!c->hit && may_be_refused(c->kind))))
            continue;
        add_item(p, h, i, true);
    }
}

static void watch(struct history_problem *p, struct history_item *item, int64_t value, bool must)
{
    struct history_value *v = NULL;

    item->wants = number_of(p, value, true);
    item->must = must;
    v = &p->values[item->wants];
    v->watchers++;
    v->must += must;
    v->open += item->open;
}

static void find_watchers(struct history_problem *p)
{
    p->value_count = 0;
    memset(p->index, 0xff, p->index_places * sizeof(p->index[0]));
    number_of(p, HISTORY_NONE, true);
    number_of(p, HISTORY_LOST, true);
    for (struct history_item *item = p->items; item < p->items + p->count; item++) {
        if (item->kind == HISTORY_GET) watch(p, item, item->seen, true);
        if (item->kind == HISTORY_CAS) watch(p, item, item->expect, !item->open && item->hit);
        /* The sum of 0 and what is added may come from "none", too. */
        if (item->kind == HISTORY_INCREMENT && !item->open && item->hit)
            watch(p, item, item->seen - item->value, item->seen != item->value);
    }
}

static void find_writers(struct history_problem *p)
{
    for (struct history_item *item = p->items; item < p->items + p->count; item++) {
        bool sum = item->kind == HISTORY_INCREMENT;
        int64_t value = sum ? item->seen : item->value;
        if (item->kind == HISTORY_GET || (!item->open && !item->hit) || (sum && item->open))
            continue;
        item->writes = number_of(p, value, false);
        if (item->writes != HISTORY_NOTHING)
            p->values[item->writes].writers++;
        else if (!sum && !(p->exact && history_is_number(value)))
            item->value = HISTORY_UNSEEN;
    }
}

/* Leaves out what an endless call does as well. Returns whether there was any. */
static bool drop_weak(struct history_problem *p)
{
    uint64_t set = HISTORY_OPEN, none = HISTORY_OPEN; /* since when there are endless ones */
    uint32_t kept = p->closed;

    for (uint32_t i = p->closed; i < p->count; i++) {
        const struct history_item *item = &p->items[i];
        if (!history_is_endless(p, item)) continue;
        if (item->value == HISTORY_UNSEEN && item->start < set) set = item->start;
        if (item->value == HISTORY_NONE && item->start < none) none = item->start;
    }
    for (uint32_t i = p->closed; i < p->count; i++) {
        const struct history_item *item = &p->items[i];
        bool weak = (item->kind == HISTORY_CAS || item->kind == HISTORY_REPLACE) &&
                    item->value == HISTORY_UNSEEN && item->start >= set;
        weak |= item->kind == HISTORY_REMOVE && item->start >= none;
        if (!weak) p->items[kept++] = *item;
    }
    if (kept == p->count) return false;
    p->count = kept;
    return true;
}

/* Calls that are left out watch no values, so there may be more to leave out. */
static void number_values(struct history_problem *p)
{
    do {
        find_watchers(p);
        find_writers(p);
    } while (p->relaxed && drop_weak(p));
}

/* A sorting by insertion: what ends is nearly in the order of what starts. */
static void sort_by_end(struct history_problem *p)
{
    for (uint32_t i = 0; i < p->closed; i++) {
        uint32_t at = i;
        for (; at > 0 && p->items[p->by_end[at - 1]].end > p->items[i].end; at--)
            p->by_end[at] = p->by_end[at - 1];
        p->by_end[at] = i;
    }
}

static void list_events(struct history_problem *p)
{
    uint32_t last = 2 * p->closed, started = 0, ended = 0, event = 0;

    sort_by_end(p);
    while (ended < p->closed) {
        const struct history_item *over = &p->items[p->by_end[ended]];
        if (started < p->closed && p->items[started].start <= over->end)
            event = 2 * started++;
        else
            event = 2 * p->by_end[ended++] + 1;
        p->next[last] = event;
        p->prev[event] = last;
        last = event;
    }
    p->next[last] = 2 * p->closed;
    p->prev[2 * p->closed] = last;
}

static bool is_chained(const struct history_problem *p, const struct history_item *item)
{
    if (item->kind == HISTORY_INCREMENT) return true;
    if (item->writes != HISTORY_NOTHING && p->values[item->writes].open > 0) return true;
    if (history_exists(item->value) && p->open_lookers > 0) return true;
    return p->open_increments > 0 && item->value != HISTORY_LOST;
}

static uint32_t class_of(struct history_problem *p, const struct history_item *item)
{
    uint32_t i = 0;

    for (; i < p->class_count; i++) {
        const struct history_item *other = &p->items[p->classes[i].head];
        if (other->kind == item->kind && other->value == item->value &&
            other->expect == item->expect)
            return i;
    }
    p->classes[p->class_count++] = (struct history_class){
        .head = HISTORY_NOTHING, .slot = HISTORY_SPENT, .chained = is_chained(p, item)};
    return i;
}

/* Counts the calls of the class, if that is worth it. Slot 0 is for sets that nobody looks at. */
static void give_slot(struct history_problem *p, struct history_class *class, uint8_t kind)
{
    bool single = kind == HISTORY_SET || kind == HISTORY_CAS;

    if (!single && class->slot == HISTORY_SPENT && p->slots < HISTORY_SPENT)
        class->slot = p->slots++;
}

/* Those whose value nobody looks at come first: the search spends them first. */
static void add_classes(struct history_problem *p, bool unseen)
{
    for (uint32_t i = p->count; i-- > p->closed;) {
        struct history_item *item = &p->items[i];
        if ((item->kind == HISTORY_SET && item->value == HISTORY_UNSEEN) != unseen) continue;
        item->class = class_of(p, item);
        item->next = p->classes[item->class].head;
        if (item->next != HISTORY_NOTHING) give_slot(p, &p->classes[item->class], item->kind);
        p->classes[item->class].head = i;
    }
}

void history_problem_load(struct history_problem *p, const struct history *h, uint64_t until,
                          bool relaxed)
{
    make_room(p, h->count);
    p->count = p->class_count = p->open_increments = p->open_lookers = 0;
    p->exact = false;
    p->relaxed = relaxed;
    p->slots = 1;
    add_items(p, h, until);
    number_values(p);
    list_events(p);
    add_classes(p, true);
    add_classes(p, false);
}
