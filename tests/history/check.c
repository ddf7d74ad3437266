/* check.c - the search.
 *
 * A state of the search is the set of calls done and the value then. A closed call may come next if
 * it started before every call that is still to be done ended; an open one if it started before
 * that. The plain search tries all of them. This one tries fewer, and finds an order whenever there
 * is one. "A completion" below is an order of what is left that is right to the end.
 *
 * 1. A look (a get; a closed call that was refused) that fits comes first, and no other choice is
 *    tried: in any completion it can be moved to the front, and nobody misses it at its old place.
 *
 * 2. An open call comes only right before a call that depends on it. Take a completion with the
 *    fewest open calls, and of those one where they come as late as possible. Were an open call X
 *    last, it could be left out. Let Y come right after it. If Y fits without X and then leaves the
 *    same value, X could be left out. If Y fits with and without X and changes nothing both times,
 *    the two could be swapped: X has no end, and stays behind its start. So neither is the case.
 *    (1 holds besides: it moves no open call to an earlier place. After X, what 1 would choose
 *    depends on X, or 1 would have chosen it before X.) An open call that changes nothing is left
 *    out for the same reason.
 *
 * 3. Open calls of one kind with the same values are tried in the order of their start: whoever may
 *    come next, the earlier one may, too, and the two can change places in any completion.
 *
 * 4. Two values that no call to be done can tell apart are one value. So a set whose value nobody
 *    looks at any more can stand for any other such set, and the first one that is left is tried.
 *    Whether there is a value at all, calls can tell: none and lost are never taken for others.
 *
 * 5. While a call to be done needs the present value, and no call to be done may write it, a call
 *    that changes it leads nowhere.
 *
 * 6. A state met before led nowhere then. After an open call the state includes the value before
 *    it, because 2 depends on it. Of open calls that are like others (3, 4), only the number is
 *    remembered: what leads nowhere with few of them spent leads nowhere with more.
 *
 * 7. The state forgets what makes no difference any more: which sets wrote a value that nobody
 *    looks at (they count as spent: 4), and which open cas were done that expected a value which is
 *    gone and nobody writes again (the others of them can never be done). */
#include "tests/history/check.h"

#include <stdlib.h>
#include <string.h>

#include "tests/history/problem.h"
#include "tests/history/search.h"

enum { HASH_STATE = 16, HASH_BEFORE };
enum { FEW_STATES = 4096, FEW_STATES_PER_CALL = 8 };

struct history_checker *history_checker_new(size_t states_max)
{
    struct history_checker *c = history_resize(NULL, 1, sizeof(*c));

    *c = (struct history_checker){.states_max = states_max ? states_max : HISTORY_STATES_MAX};
    return c;
}

void history_checker_free(struct history_checker *c)
{
    if (!c) return;
    history_problem_fini(&c->problem);
    history_memo_fini(&c->memo);
    free(c->stack);
    free(c);
}

size_t history_checker_states(const struct history_checker *c) { return c->states; }

static int64_t common(const struct history_checker *c, int64_t value, uint32_t number)
{
    if (number == HISTORY_NOTHING || c->problem.values[number].watchers > 0) return value;
    return HISTORY_UNSEEN;
}

static struct history_hash state_of(const struct history_checker *c)
{
    struct history_hash hash = history_hash_with(
        c->done, history_hash_of((uint64_t)common(c, c->value, c->number), HASH_STATE));

    if (!c->pending) return hash;
    return history_hash_with(
        hash, history_hash_of((uint64_t)common(c, c->before, c->before_number), HASH_BEFORE));
}

/* Of two calls in a row the first one is open: whether the second one depends on it (2). */
static bool depends(const struct history_item *item, int64_t before, int64_t after)
{
    int64_t without = before, with = after;

    if (!history_apply(item, &with)) return false;
    if (!history_apply(item, &without)) return true;
    return without != with && (without != before || with != after);
}

static bool leads_nowhere(const struct history_checker *c, const struct history_item *item)
{
    const struct history_value *v = NULL;

    if (c->number == HISTORY_NOTHING) return false;
    v = &c->problem.values[c->number];
    return v->must > (item->must && item->wants == c->number) &&
           v->writers == (item->writes == c->number);
}

/* Whether the item may come next, and what the value is then. */
static bool fits(const struct history_checker *c, const struct history_item *item, int64_t *value)
{
    *value = c->value;
    if (!history_apply(item, value)) return false;
    if (c->pending && !depends(item, c->before, c->value)) return false;
    return *value == c->value ? !item->open : !leads_nowhere(c, item);
}

static void unlink_event(struct history_problem *p, uint32_t event)
{
    p->next[p->prev[event]] = p->next[event];
    p->prev[p->next[event]] = p->prev[event];
}

static void link_event(struct history_problem *p, uint32_t event)
{
    p->next[p->prev[event]] = event;
    p->prev[p->next[event]] = event;
}

/* A call is done (by = -1), or to be done again. */
static void count(struct history_problem *p, const struct history_item *item, int by)
{
    uint32_t add = (uint32_t)by;

    if (history_is_endless(p, item)) return;
    if (item->wants != HISTORY_NOTHING) {
        p->values[item->wants].watchers += add;
        if (item->must) p->values[item->wants].must += add;
    }
    if (item->writes != HISTORY_NOTHING) p->values[item->writes].writers += add;
    if (!item->open) return;
    if (item->kind == HISTORY_SET && item->writes != HISTORY_NOTHING) {
        struct history_value *v = &p->values[item->writes];
        v->sets -= add;
        v->sets_hash = history_hash_with(v->sets_hash, item->hash);
    }
    if (item->kind == HISTORY_CAS) {
        struct history_value *v = &p->values[item->wants];
        v->cas_hash = history_hash_with(v->cas_hash, item->hash);
    }
}

/* Adds the call to those done. Call it before count(). */
static void name(struct history_checker *c, const struct history_item *item)
{
    const struct history_problem *p = &c->problem;
    uint8_t slot = item->open ? p->classes[item->class].slot : HISTORY_SPENT;

    if (history_is_endless(p, item)) return;
    if (item->open && history_is_spare(p, item))
        c->spent[0]++;
    else if (slot < HISTORY_SPENT)
        c->spent[slot]++;
    else
        c->done = history_hash_with(c->done, item->hash);
}

/* Takes out of the state what makes no difference any more (7). Call it after count(). */
static void forget(struct history_checker *c, const struct history_item *item, uint32_t left)
{
    const struct history_value *values = c->problem.values;

    if (item->wants != HISTORY_NOTHING && values[item->wants].watchers == 0) {
        c->done = history_hash_with(c->done, values[item->wants].sets_hash);
        c->spent[0] += values[item->wants].sets;
    }
    if (left != HISTORY_NOTHING && values[left].writers == 0)
        c->done = history_hash_with(c->done, values[left].cas_hash);
}

static void take(struct history_checker *c, uint32_t i, int64_t value, bool forced)
{
    struct history_problem *p = &c->problem;
    struct history_item *item = &p->items[i];
    struct history_frame *f = &c->stack[c->depth++];

    *f = (struct history_frame){.item = i,
                                .forced = forced,
                                .pending = c->pending,
                                .value = c->value,
                                .number = c->number,
                                .before = c->before,
                                .before_number = c->before_number,
                                .done = c->done};
    memcpy(f->spent, c->spent, sizeof(f->spent));
    name(c, item);
    count(p, item, -1);
    forget(c, item, value == c->value ? HISTORY_NOTHING : c->number);
    c->pending = item->open;
    c->before = c->value;
    c->before_number = c->number;
    if (value != c->value) {
        c->number = item->writes;
        c->value = c->number == HISTORY_NOTHING && !p->exact ? HISTORY_UNSEEN : value;
    }
    if (item->open) {
        if (!history_is_endless(p, item)) p->classes[item->class].head = item->next;
        return;
    }
    c->left--;
    unlink_event(p, 2 * i);
    unlink_event(p, 2 * i + 1);
}

static struct history_frame give_back(struct history_checker *c)
{
    struct history_problem *p = &c->problem;
    struct history_frame f = c->stack[--c->depth];
    struct history_item *item = &p->items[f.item];

    count(p, item, 1);
    c->done = f.done;
    memcpy(c->spent, f.spent, sizeof(c->spent));
    c->pending = f.pending;
    c->value = f.value;
    c->number = f.number;
    c->before = f.before;
    c->before_number = f.before_number;
    if (item->open) {
        p->classes[item->class].head = f.item;
        return f;
    }
    c->left++;
    link_event(p, 2 * f.item + 1);
    link_event(p, 2 * f.item);
    return f;
}

/* Takes the item if it may come next and the state then is new. */
static bool enter(struct history_checker *c, uint32_t i, bool forced)
{
    int64_t value = 0;

    if (!fits(c, &c->problem.items[i], &value)) return false;
    take(c, i, value, forced);
    if (history_memo_add(&c->memo, state_of(c), c->spent)) {
        c->states++;
        return true;
    }
    give_back(c);
    return false;
}

/* A call that never changes anything; a set of the present value does in another place. */
static bool is_look(const struct history_item *item)
{
    return item->kind == HISTORY_GET || (!item->open && !item->hit);
}

/* A look that fits (1), or HISTORY_NOTHING. */
static uint32_t find_forced(const struct history_checker *c)
{
    const struct history_problem *p = &c->problem;
    int64_t value = 0;

    for (uint32_t e = p->next[2 * p->closed]; !(e & 1); e = p->next[e])
        if (is_look(&p->items[e / 2]) && fits(c, &p->items[e / 2], &value)) return e / 2;
    return HISTORY_NOTHING;
}

/* Whether anybody who may come next could depend on the open call. */
static bool has_use(const struct history_checker *c, const struct history_item *item)
{
    const struct history_problem *p = &c->problem;
    int64_t after = c->value;

    if (!history_apply(item, &after)) return false;
    if (p->classes[item->class].chained) return true;
    for (uint32_t e = p->next[2 * p->closed]; !(e & 1); e = p->next[e])
        if (depends(&p->items[e / 2], c->value, after)) return true;
    return false;
}

/* Open calls, from the given class on. */
static bool enter_open(struct history_checker *c, uint32_t from)
{
    const struct history_problem *p = &c->problem;
    uint32_t e = p->next[2 * p->closed];
    bool spared = false;
    uint64_t horizon = 0;

    while (!(e & 1))
        e = p->next[e];
    horizon = p->items[e / 2].end;
    for (uint32_t i = 0; i < p->class_count; i++) {
        const struct history_class *class = &p->classes[i];
        bool spare = false;
        if (class->head == HISTORY_NOTHING || p->items[class->head].start > horizon) continue;
        spare = history_is_spare(p, &p->items[class->head]);
        if (i >= from && !(spare && spared) && has_use(c, &p->items[class->head]) &&
            enter(c, class->head, false))
            return true;
        spared |= spare;
    }
    return false;
}

/* The first choice after the given one (HISTORY_NOTHING: the first of all) that leads to a new
 * state. */
static bool advance(struct history_checker *c, uint32_t after)
{
    const struct history_problem *p = &c->problem;
    uint32_t e = p->next[2 * p->closed], forced = HISTORY_NOTHING;

    if (after == HISTORY_NOTHING) {
        forced = find_forced(c);
        if (forced != HISTORY_NOTHING) return enter(c, forced, true);
    } else if (p->items[after].open) {
        return enter_open(c, p->items[after].class + 1);
    } else {
        e = p->next[2 * after];
    }
    for (; !(e & 1); e = p->next[e])
        if (enter(c, e / 2, false)) return true;
    return enter_open(c, 0);
}

static enum history_verdict search(struct history_checker *c, size_t states_max)
{
    uint32_t after = HISTORY_NOTHING;

    while (c->left > 0) {
        if (advance(c, after)) {
            if (c->states > states_max) return HISTORY_TOO_HARD;
            after = HISTORY_NOTHING;
            continue;
        }
        struct history_frame f = {.forced = true};
        while (f.forced && c->depth > 0)
            f = give_back(c);
        if (f.forced) return HISTORY_NOT_LINEARIZABLE;
        after = f.item;
    }
    return HISTORY_LINEARIZABLE;
}

/* A call that needs a value that nobody can have written: no search is needed. */
static bool has_orphan(const struct history_problem *p)
{
    for (uint32_t i = HISTORY_VALUE_NONE + 1; i < p->value_count; i++)
        if (p->values[i].must > 0 && p->values[i].writers == 0) return true;
    return false;
}

static void begin(struct history_checker *c, const struct history *h, uint64_t until, bool relaxed)
{
    struct history_problem *p = &c->problem;
    size_t room = 0;

    history_problem_load(p, h, until, relaxed);
    history_memo_reset(&c->memo);
    room = 2 * (size_t)p->count + 1; /* an endless call comes before each of the others at most */
    if (c->stack_room < room) {
        c->stack_room = room;
        c->stack = history_resize(c->stack, c->stack_room, sizeof(c->stack[0]));
    }
    c->depth = 0;
    c->left = p->closed;
    c->done = (struct history_hash){0};
    c->states = 0;
    memset(c->spent, 0, sizeof(c->spent));
    c->value = HISTORY_NONE;
    c->number = HISTORY_VALUE_NONE;
    c->pending = false;
}

/* Most orders are found at once. Where one is not, most likely there is none, and the relaxed
 * problem shows it with far fewer states. If it does not, only the whole search can tell. */
enum history_verdict history_check_until(struct history_checker *c, const struct history *h,
                                         uint64_t until)
{
    enum history_verdict verdict = HISTORY_NOT_LINEARIZABLE;
    size_t few = FEW_STATES + FEW_STATES_PER_CALL * h->count;

    begin(c, h, until, false);
    if (has_orphan(&c->problem)) return HISTORY_NOT_LINEARIZABLE;
    verdict = search(c, few < c->states_max ? few : c->states_max);
    if (verdict != HISTORY_TOO_HARD || few >= c->states_max) return verdict;
    begin(c, h, until, true);
    verdict = search(c, c->states_max);
    if (verdict == HISTORY_NOT_LINEARIZABLE) return verdict;
    begin(c, h, until, false);
    return search(c, c->states_max);
}

enum history_verdict history_check_relaxed(struct history_checker *c, const struct history *h)
{
    begin(c, h, HISTORY_OPEN, true);
    return search(c, c->states_max);
}

enum history_verdict history_check(struct history_checker *c, const struct history *h)
{
    return history_check_until(c, h, HISTORY_OPEN);
}
