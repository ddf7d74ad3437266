/* brute.h - the slow judge of tiny histories: every set of calls that may be done, and every value
 * then. It shares nothing with the checker, so that the two do not err alike. */
#ifndef SHERD_TESTS_HISTORY_BRUTE_H
#define SHERD_TESTS_HISTORY_BRUTE_H

#include "tests/history/history.h"

enum { BRUTE_CALLS_MAX = 12 }; /* values: none, lost, numbers from 0 to 61 */

bool brute_is_linearizable(const struct history *h);

#endif
