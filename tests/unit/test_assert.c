/* A check that does not hold says what and where, and stops the program; one that holds does not.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "coord/assert.h"

static sigjmp_buf stopped;

static void on_abort(int signal)
{
    (void)signal;
    siglongjmp(stopped, 1);
}

/* What `check` writes to standard error; *stops: whether it ended in abort(). */
static void watch(void (*check)(void), char *said, size_t size, bool *stops)
{
    struct sigaction catch = {.sa_handler = on_abort}, before;
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);

    assert_non_null(file);
    assert_true(saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    assert_int_equal(sigaction(SIGABRT, &catch, &before), 0);
    *stops = sigsetjmp(stopped, 1) != 0;
    if (!*stops) check();
    sigaction(SIGABRT, &before, NULL);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    said[fread(said, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void holds(void) { SHERD_ASSERT(1 + 1 == 2); }

static void does_not_hold(void) { sherd_assert_failed("votes <= slots", "coord/there.c", 77); }

static void one_that_holds_does_nothing(void **state)
{
    char said[128];
    bool stops;

    (void)state;
    watch(holds, said, sizeof(said), &stops);
    assert_false(stops);
    assert_string_equal(said, "");
}

static void one_that_does_not_hold_stops(void **state)
{
    char said[128];
    bool stops;

    (void)state;
    watch(does_not_hold, said, sizeof(said), &stops);
    assert_true(stops);
    assert_string_equal(said, "coord/there.c:77: votes <= slots\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_holds_does_nothing),
        cmocka_unit_test(one_that_does_not_hold_stops),
    };

    return cmocka_run_group_tests_name("assert", tests, NULL, NULL);
}
