/* report.h - what every cluster test begins and ends with: options, figures, randomness, time.
 *
 * A cluster test is a program of its own: it starts real servers, does something to them, prints
 * figures as plain lines, and ends in the line `passed` with exit code 0. Whatever is wrong ends it
 * at once, through test_fail(); process.h sees to it that no server outlives it. Options:
 *   --small    the size for every change (default)
 *   --full     the size that the acceptance asks for
 *   --seed N   what is random; printed by every run
 * With SHERD_KEEP=1 in the environment the clusters' folders stay, for a look at the logs. */
#ifndef SHERD_TESTS_CLUSTER_REPORT_H
#define SHERD_TESTS_CLUSTER_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

enum { TEST_SKIPPED = 77 }; /* exit code: it cannot run here, and has said why */

struct test {
    const char *name;
    bool full;
    uint64_t random; /* state of test_random() */
    uint64_t began_ms;
};

/* Reads the options, prints the seed and starts the watchman (process.h). Call it before anything
 * that makes a thread. Ends the program on bad options. */
void test_begin(struct test *t, const char *name, int argc, char **argv);
int test_end(const struct test *t); /* prints `passed`; the exit code */

/* A figure or a remark: one line on stdout. */
__attribute__((format(printf, 1, 2))) void test_say(const char *format, ...);

/* Prints why, and the ends of the servers' logs; exits with 1. Only for the main thread. */
__attribute__((format(printf, 1, 2), noreturn)) void test_fail(const char *format, ...);

#define TEST_CHECK(condition) \
    ((condition) ? (void)0 : test_fail("%s:%d: not so: %s", __FILE__, __LINE__, #condition))

uint64_t test_random(uint64_t *state);                /* as random_next() */
uint32_t test_below(uint64_t *state, uint32_t bound); /* 0 .. bound - 1 */

uint64_t test_now_us(void); /* monotonic */
uint64_t test_now_ms(void);
void test_pause_ms(unsigned ms);

/* Asks every 20 ms until it is so (true) or `timeout_ms` have passed (false). */
bool test_wait(bool (*is_so)(void *context), void *context, uint64_t timeout_ms);

/* 1; under a sanitizer, which makes everything slow, 4: to be multiplied to limits of time that are
 * not part of what is promised. */
unsigned test_patience(void);

#endif
