/* test_random.c - the checker against a slow judge on tiny histories, and alone on large ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "tests/history/brute.h"
#include "tests/history/check.h"
#include "tests/history/generate.h"
#include "tests/history/memo.h"
#include "tests/history/search.h"

enum { TINY = 20000, LARGE_CALLS = 10000, ALL = (1 << HISTORY_KIND_COUNT) - 1 };

#define BIT(kind) (UINT32_C(1) << HISTORY_##kind)

/* Makes one answer another one: often, but not always, a wrong one. */
static void spoil(struct history *h, uint64_t *random)
{
    struct history_call *call = &h->calls[generate_below(random, (uint32_t)h->count)];

    if (history_is_open(call)) return;
    switch (call->kind) {
    case HISTORY_GET:
        call->seen = generate_below(random, 4) ? (int64_t)generate_below(random, 8) : HISTORY_NONE;
        break;
    case HISTORY_INCREMENT: call->seen = generate_below(random, 12); break;
    case HISTORY_SET:
    case HISTORY_DELETE: call->end = HISTORY_OPEN; break;
    default: call->hit = !call->hit; break;
    }
}

static void draw(struct history *h, uint64_t *random)
{
    struct generate g = {.seed = random_next(random),
                         .calls = 2 + generate_below(random, 8),
                         .processes = 1 + generate_below(random, 5),
                         .open_permille = generate_below(random, 4) * 150,
                         .kinds = (uint32_t)random_next(random) & ALL,
                         .values = generate_below(random, 5)};

    g.kinds |= generate_below(random, 2) ? BIT(GET) | BIT(SET) : BIT(GET) | BIT(CAS);
    if (generate_below(random, 2)) g.kinds &= ~BIT(INCREMENT);
    generate(&g, h);
    for (uint32_t i = generate_below(random, 3); i > 0; i--)
        spoil(h, random);
}

static void agrees_with_the_slow_judge(void **state)
{
    struct history_call room[BRUTE_CALLS_MAX];
    struct history h = {.calls = room, .room = BRUTE_CALLS_MAX};
    struct history_checker *c = history_checker_new(0);
    const char *runs = getenv("SHERD_HISTORY_RUNS");
    uint64_t random = 1;
    long count = runs ? strtol(runs, NULL, 10) : TINY, good = 0;

    (void)state;
    for (long i = 0; i < count; i++) {
        draw(&h, &random);
        bool linearizable = brute_is_linearizable(&h);
        enum history_verdict verdict = history_check(c, &h);
        good += linearizable;
        if (linearizable && history_check_relaxed(c, &h) != HISTORY_LINEARIZABLE) {
            history_print(stderr, &h, "a good one");
            fail_msg("history %ld: the relaxed problem has no order", i);
        }
        if (verdict == (linearizable ? HISTORY_LINEARIZABLE : HISTORY_NOT_LINEARIZABLE)) continue;
        history_print(stderr, &h, linearizable ? "a good one" : "a bad one");
        fail_msg("history %ld: verdict %d", i, (int)verdict);
    }
    print_message("%ld tiny histories: %ld linearizable, %ld not\n", count, good, count - good);
    assert_true(good > count / 10 && count - good > count / 10);
    history_checker_free(c);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A history, and a wrong answer planted in it (NULL: none). */
static const struct row {
    const char *name;
    uint32_t processes, open_permille, kinds;
    uint32_t values;
    bool (*plant)(struct history *h, uint64_t seed);
} rows[] = {
#define NO_SUM (ALL & ~BIT(LOSS) & ~BIT(INCREMENT))
#define COUNT  (BIT(GET) | BIT(INCREMENT))
#define SIMPLE (BIT(GET) | BIT(SET))
#define PLAIN  (BIT(GET) | BIT(SET) | BIT(CAS) | BIT(DELETE))
    {"get, set",                         16, 50,  SIMPLE, 0, NULL               },
    {"get, set, a stale read",           16, 50,  SIMPLE, 0, generate_stale_read},
    {"get, set, cas, del",               16, 50,  PLAIN,  0, NULL               },
    {"get, set, cas, del, a stale read", 16, 50,  PLAIN,  0, generate_stale_read},
    {"get, set, cas, del, a second cas", 16, 50,  PLAIN,  0, generate_second_cas},
    {"no incr",                          16, 50,  NO_SUM, 0, NULL               },
    {"no incr, a stale read",            16, 50,  NO_SUM, 0, generate_stale_read},
    {"no incr, a second cas",            16, 50,  NO_SUM, 0, generate_second_cas},
    {"one process",                      1,  50,  NO_SUM, 0, NULL               },
    {"a fifth is open",                  8,  200, PLAIN,  0, NULL               },
    {"a fifth is open, a stale read",    8,  200, PLAIN,  0, generate_stale_read},
    {"a counter",                        16, 50,  COUNT,  0, NULL               },
};

static void large(void **state)
{
    const struct row *row = *state;
    struct history h = {.room = LARGE_CALLS};
    struct history_checker *c = history_checker_new(0);
    enum history_verdict wanted = row->plant ? HISTORY_NOT_LINEARIZABLE : HISTORY_LINEARIZABLE;

    h.calls = history_resize(NULL, h.room, sizeof(h.calls[0]));
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct generate g = {.seed = seed,
                             .calls = LARGE_CALLS,
                             .processes = row->processes,
                             .open_permille = row->open_permille,
                             .kinds = row->kinds,
                             .values = row->values};
        double began_s = 0;
        enum history_verdict verdict = HISTORY_TOO_HARD;
        generate(&g, &h);
        if (row->plant) assert_true(row->plant(&h, seed));
        began_s = now_s();
        verdict = history_check(c, &h);
        print_message("  %-34s %5u calls, seed %u: verdict %d, %zu states, %.3f s\n", row->name,
                      g.calls, (unsigned)seed, (int)verdict, history_checker_states(c),
                      now_s() - began_s);
        assert_int_equal(verdict, wanted);
    }
    free(h.calls);
    history_checker_free(c);
}

int main(void)
{
    enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
    struct CMUnitTest tests[1 + ROWS] = {cmocka_unit_test(agrees_with_the_slow_judge)};

    for (size_t i = 0; i < ROWS; i++) {
        union {
            const struct row *in;
            void *out;
        } row = {.in = &rows[i]};
        tests[1 + i] =
            (struct CMUnitTest){.name = rows[i].name, .test_func = large, .initial_state = row.out};
    }
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
