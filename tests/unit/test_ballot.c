/* The order of ballots, and the hybrid logical clock that makes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coord/ballot.h"
#include "coord/limits.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* clang-format off */
static const struct row {
    const char *name;
    struct sherd_ballot a, b; /* clock, client, epoch */
    int order;
} rows[] = {
    {"equal",                          {5, 1, 1}, {5, 1, 1},  0},
    {"the epoch goes before the clock", {9, 9, 1}, {0, 0, 2}, -1},
    {"the clock goes before the client", {4, 9, 1}, {5, 1, 1}, -1},
    {"the client decides last",        {5, 1, 1}, {5, 2, 1}, -1},
    {"no overflow of a difference",    {UINT64_MAX, 0, 1}, {0, 0, 1}, 1},
    {"zero is the lowest",             {0, 0, 0}, {0, 1, 0}, -1},
};
/* clang-format on */

static void run_row(void **state)
{
    const struct row *row = *state;

    assert_int_equal(sherd_ballot_compare(row->a, row->b), row->order);
    assert_int_equal(sherd_ballot_compare(row->b, row->a), -row->order);
    assert_int_equal(sherd_ballot_equal(row->a, row->b), row->order == 0);
    assert_true(
        sherd_ballot_equal(sherd_ballot_max(row->a, row->b), row->order < 0 ? row->b : row->a));
}

static void zero_is_zero(void **state)
{
    (void)state;
    assert_true(sherd_ballot_is_zero(SHERD_BALLOT_ZERO));
    assert_false(sherd_ballot_is_zero((struct sherd_ballot){.epoch = 1}));
    assert_false(sherd_ballot_is_zero((struct sherd_ballot){.clock = 1}));
    assert_false(sherd_ballot_is_zero((struct sherd_ballot){.client = 1}));
}

static void the_clock_follows_the_wall(void **state)
{
    struct sherd_hlc h = {0};

    (void)state;
    assert_int_equal(sherd_hlc_next(&h, 7), 7ull << 16);
    assert_int_equal(sherd_hlc_next(&h, 7), (7ull << 16) + 1); /* within one millisecond */
    assert_int_equal(sherd_hlc_next(&h, 9), 9ull << 16);
    assert_int_equal(sherd_clock_wall_ms(h.last), 9);
}

static void the_clock_never_goes_back(void **state)
{
    struct sherd_hlc h = {0};
    uint64_t before = sherd_hlc_next(&h, 1000);

    (void)state;
    for (uint64_t wall_ms = 1000; wall_ms > 900; wall_ms--) {
        uint64_t next = sherd_hlc_next(&h, wall_ms);
        assert_true(next > before);
        before = next;
    }
}

static void a_merged_clock_is_passed(void **state)
{
    struct sherd_hlc h = {0};

    (void)state;
    sherd_hlc_merge(&h, (50ull << 16) + 3, 7);
    assert_int_equal(sherd_hlc_next(&h, 7), (50ull << 16) + 4);
    sherd_hlc_merge(&h, 1, 7); /* an older one changes nothing */
    assert_int_equal(sherd_hlc_next(&h, 7), (50ull << 16) + 5);
}

static void a_clock_far_ahead_is_not_merged(void **state)
{
    struct sherd_hlc h = {0};
    uint64_t most_ms = 7 + SHERD_CLOCK_AHEAD_MAX_MS;

    (void)state;
    sherd_hlc_merge(&h, (most_ms + 1) << 16, 7);
    assert_int_equal(h.last, 0);
    sherd_hlc_merge(&h, most_ms << 16, 7);
    assert_int_equal(h.last, most_ms << 16);
}

static void a_ballot_far_ahead_is_noticed(void **state)
{
    struct sherd_ballot b = {.clock = (uint64_t)(7 + SHERD_CLOCK_AHEAD_MAX_MS) << 16};

    (void)state;
    assert_false(sherd_ballot_is_ahead(b, 7));
    b.clock += 1 << 16;
    assert_true(sherd_ballot_is_ahead(b, 7));
}

int main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(zero_is_zero),
        cmocka_unit_test(the_clock_follows_the_wall),
        cmocka_unit_test(the_clock_never_goes_back),
        cmocka_unit_test(a_merged_clock_is_passed),
        cmocka_unit_test(a_clock_far_ahead_is_not_merged),
        cmocka_unit_test(a_ballot_far_ahead_is_noticed),
    };
    struct CMUnitTest tests[LEN(rows) + LEN(others)] = {0};

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = run_row,
                                       .initial_state = (void *)(uintptr_t)&rows[i]};
    for (size_t i = 0; i < LEN(others); i++)
        tests[LEN(rows) + i] = others[i];
    return cmocka_run_group_tests_name("ballot", tests, NULL, NULL);
}
