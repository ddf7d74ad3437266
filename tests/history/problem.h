/* problem.h - one key's history, made ready for the search.
 *
 * Closed calls are numbered from 0 in the order of their start, and have two places in a list of
 * events in the order of time: 2i when it starts, 2i+1 when it ends. Open calls follow in classes
 * of calls that cannot be told from each other, each in the order of start.
 *
 * A value that some call can tell from others (a get sees it, a cas expects it, an increment begins
 * with it) has a number, and counts of the calls not done yet that can tell it, that need it, and
 * that may write it. All other values that are written are one: HISTORY_UNSEEN. */
#ifndef SHERD_TESTS_HISTORY_PROBLEM_H
#define SHERD_TESTS_HISTORY_PROBLEM_H

#include "tests/history/history.h"
#include "tests/history/memo.h"

#define HISTORY_NOTHING UINT32_MAX /* no such item, value, class */

enum { HISTORY_VALUE_NONE, HISTORY_VALUE_LOST, HISTORY_VALUE_FIRST }; /* numbers of values */

struct history_item {
    uint64_t start, end;
    int64_t value, expect, seen;
    struct history_hash hash;
    uint32_t call;   /* its place in the history */
    uint32_t wants;  /* number of the value that it can tell, */
    uint32_t writes; /* ... and of the one that it writes */
    uint32_t next;   /* open: of its class */
    uint32_t class;
    uint8_t kind;
    bool open, hit;
    bool must; /* it can happen only when the value is `wants` */
};

struct history_value {
    int64_t value;
    uint32_t watchers; /* items not done that can tell it */
    uint32_t must;     /* ... of them, that need it */
    uint32_t writers;  /* items not done that may write it */
    uint32_t open;     /* open cas that expect it: never counted down */
    /* Of open calls that are done: sets that wrote it, and cas that expected it. */
    uint32_t sets;
    struct history_hash sets_hash, cas_hash;
};

struct history_class {
    uint32_t head; /* the first one that is not done */
    uint8_t slot;  /* where its calls are counted (memo.h); HISTORY_SPENT: nowhere */
    bool chained;  /* an open call may depend on it */
};

struct history_problem {
    struct history_item *items;
    uint32_t closed, count;
    struct history_value *values;
    uint32_t value_count;
    struct history_class *classes;
    uint32_t class_count;
    uint8_t slots;
    uint32_t *next, *prev; /* the list of events; its end is the event 2 * closed */
    uint32_t *by_end;
    uint32_t *index; /* hash table of values */
    size_t index_places, index_room;
    size_t room;                            /* calls that there is memory for */
    uint32_t open_increments, open_lookers; /* of those, open ones; lookers: replace and remove */
    /* Numbers are what they are: an open increment may add to any of them. */
    bool exact;
    bool relaxed;
};

void history_problem_fini(struct history_problem *p);

/* Takes the calls that started by `until`; those that had not ended then are open.
 *
 * The relaxed problem has an order whenever the history has one. In it, an open call that always
 * fits and leaves what nobody can tell from others, or nothing, may happen any number of times from
 * its start on; others that could only do the same later are left out. */
void history_problem_load(struct history_problem *p, const struct history *h, uint64_t until,
                          bool relaxed);

/* Whether it may happen again and again, in a relaxed problem. */
static inline bool history_is_endless(const struct history_problem *p,
                                      const struct history_item *item)
{
    return p->relaxed && item->open &&
           (item->kind == HISTORY_DELETE || item->kind == HISTORY_LOSS ||
            (item->kind == HISTORY_SET && item->value == HISTORY_UNSEEN));
}

/* Whether the item may happen at this value, and what the value is then. */
bool history_apply(const struct history_item *item, int64_t *value);

/* A set whose value nobody looks at any more; it may stand for any other such set. */
static inline bool history_is_spare(const struct history_problem *p,
                                    const struct history_item *item)
{
    if (item->kind != HISTORY_SET) return false;
    return item->writes == HISTORY_NOTHING ? item->value == HISTORY_UNSEEN
                                           : p->values[item->writes].watchers == 0;
}

static inline bool history_exists(int64_t value)
{
    return value != HISTORY_NONE && value != HISTORY_LOST;
}

#endif
