/* search.h - what the checker remembers: the order tried so far, and the states it has seen. For
 * check.c and explain.c. */
#ifndef SHERD_TESTS_HISTORY_SEARCH_H
#define SHERD_TESTS_HISTORY_SEARCH_H

#include "tests/history/check.h"
#include "tests/history/problem.h"

/* One call of the order, and the state before it. */
struct history_frame {
    int64_t value, before;
    uint32_t number, before_number;
    uint32_t item;
    bool forced; /* nothing else was to be tried in its place */
    bool pending;
    struct history_hash done;
    uint32_t spent[HISTORY_SPENT];
};

struct history_checker {
    size_t states_max;
    struct history_problem problem;
    struct history_memo memo;
    struct history_frame *stack; /* the order so far */
    size_t depth, stack_room;
    size_t states;
    struct history_hash done;      /* the calls of the order, as a set, ... */
    uint32_t spent[HISTORY_SPENT]; /* ... and how many of those that need no names */
    uint32_t left;                 /* closed calls to be done */
    int64_t value;
    uint32_t number; /* of the value; HISTORY_NOTHING: none */
    /* The last call of the order is open, and this was the value before it. */
    bool pending;
    int64_t before;
    uint32_t before_number;
};

/* As if nothing were known of what happened after `until`. */
enum history_verdict history_check_until(struct history_checker *c, const struct history *h,
                                         uint64_t until);

/* The relaxed problem alone (problem.h), for tests. */
enum history_verdict history_check_relaxed(struct history_checker *c, const struct history *h);

#endif
