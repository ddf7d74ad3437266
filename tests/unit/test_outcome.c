/* Every outcome, as a table: its number is wire format, its exit code is what scripts rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sherd/base.h>

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static const struct row {
    const char *name;
    int number, exit_code;
    const char *says; /* a part of the sentence */
} rows[] = {
    {"OK",           0,  0, "done"           },
    {"NOT_FOUND",    1,  1, "no value"       },
    {"CONFLICT",     2,  3, "nothing changed"},
    {"UNCERTAIN",    3,  4, "at most once"   },
    {"NO_QUORUM",    4,  5, "nothing changed"},
    {"LOST",         5,  7, "lost"           },
    {"TOO_BIG",      6,  2, "larger"         },
    {"TIMEOUT",      7,  5, "nothing changed"},
    {"DENIED",       8,  3, "refused"        },
    {"BAD_ARGUMENT", 9,  2, "argument"       },
    {"FULL",         10, 3, "nothing changed"},
    {"BAD_VALUE",    11, 3, "nothing changed"},
    {"CLOCK",        12, 3, "nothing changed"},
    {"NO_MEMORY",    13, 6, "no memory"      },
    {"NO_CLUSTER",   14, 6, "no node"        },
};

static void run_row(void **state)
{
    const struct row *row = *state;
    enum sherd_outcome o = (enum sherd_outcome)row->number;

    assert_string_equal(sherd_outcome_name(o), row->name);
    assert_int_equal(sherd_outcome_exit_code(o), row->exit_code);
    assert_non_null(strstr(sherd_outcome_text(o), row->says));
}

static void every_outcome_is_in_the_table(void **state)
{
    (void)state;
    assert_int_equal(SHERD_OUTCOME_COUNT, LEN(rows));
}

int main(void)
{
    struct CMUnitTest tests[LEN(rows) + 1] = {0};

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = run_row,
                                       .initial_state = (void *)(uintptr_t)&rows[i]};
    tests[LEN(rows)] = (struct CMUnitTest)cmocka_unit_test(every_outcome_is_in_the_table);
    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
