/* check.h - whether a history is linearizable: is there an order of its calls, in keeping with real
 * time, in which every answer is right?
 *
 * Each key is checked alone: linearizability is a local property. The search is Wing and Gong's,
 * with Lowe's memory of the states it has seen ("Testing for linearizability", 2017) over a list of
 * events (Horn and Kroening, 2015). What keeps it small, and why each is sound, is in check.c. */
#ifndef SHERD_TESTS_HISTORY_CHECK_H
#define SHERD_TESTS_HISTORY_CHECK_H

#include "tests/history/history.h"

enum history_verdict {
    HISTORY_LINEARIZABLE,
    HISTORY_NOT_LINEARIZABLE,
    HISTORY_TOO_HARD /* more states than allowed: nobody knows; never to be taken for good */
};

enum { HISTORY_STATES_MAX = 1 << 22 }; /* 48 bytes each, at the most 96 */

struct history_checker; /* reusable memory; for one thread */

struct history_checker *history_checker_new(size_t states_max); /* 0: HISTORY_STATES_MAX */
void history_checker_free(struct history_checker *c);

/* The calls must be in the order of their start. */
enum history_verdict history_check(struct history_checker *c, const struct history *h);
size_t history_checker_states(const struct history_checker *c); /* of the last check */

/* Says what is wrong with a history that is not linearizable: the longest prefix that is, how it
 * ends, and the first answer that fits no order. Checks prefixes, so it takes longer. */
void history_explain(struct history_checker *c, const struct history *h, const char *key,
                     FILE *out);

#endif
