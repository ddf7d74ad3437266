/* The heap of deadlines against a plain list: every row is a seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/timers.h"

enum { TIMERS = 100, STEPS = 20000 };

static const uint64_t seeds[] = {1, 2, 3, 42, 1000003};

struct world {
    struct sherd_timers heap;
    struct sherd_timer timers[TIMERS];
    bool set[TIMERS];
    uint64_t due_us[TIMERS], now_us, random;
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (w->random >> 33) % below;
}

static uint64_t earliest(const struct world *w)
{
    uint64_t due_us = UINT64_MAX;

    for (size_t i = 0; i < TIMERS; i++)
        if (w->set[i] && w->due_us[i] < due_us) due_us = w->due_us[i];
    return due_us;
}

/* What comes up is due, and nothing that is due is left behind. */
static void pop_all(struct world *w)
{
    struct sherd_timer *timer;

    while ((timer = sherd_timers_pop(&w->heap, w->now_us)) != NULL) {
        size_t i = (size_t)(timer - w->timers);
        assert_true(w->set[i]);
        assert_true(w->due_us[i] <= w->now_us);
        w->set[i] = false;
    }
    assert_true(earliest(w) > w->now_us);
    assert_true(sherd_timers_next_us(&w->heap) <= earliest(w));
}

static void step(struct world *w)
{
    size_t i = draw(w, TIMERS);

    switch (draw(w, 4)) {
    case 0:
    case 1: /* sooner, later, or for the first time */
        w->set[i] = true;
        w->due_us[i] = w->now_us + draw(w, 1000);
        sherd_timers_set(&w->heap, &w->timers[i], w->due_us[i]);
        break;
    case 2:
        w->set[i] = false;
        sherd_timers_cancel(&w->heap, &w->timers[i]);
        break;
    default:
        w->now_us += draw(w, 100);
        pop_all(w);
        break;
    }
}

static void run_seed(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    w->random = *(const uint64_t *)*state;
    assert_int_equal(sherd_timers_reserve(&w->heap, TIMERS), 0);
    for (int i = 0; i < STEPS; i++)
        step(w);
    w->now_us = UINT64_MAX - 1;
    pop_all(w);
    assert_true(sherd_timers_next_us(&w->heap) == UINT64_MAX);
    sherd_timers_fini(&w->heap);
    free(w);
}

static void test_order(void **state)
{
    struct sherd_timers heap = {0};
    struct sherd_timer timers[5] = {{0}};
    static const uint64_t due_us[] = {50, 10, 40, 20, 30};

    (void)state;
    assert_int_equal(sherd_timers_reserve(&heap, 5), 0);
    for (size_t i = 0; i < 5; i++)
        sherd_timers_set(&heap, &timers[i], due_us[i]);
    assert_true(sherd_timers_next_us(&heap) == 10);
    sherd_timers_set(&heap, &timers[1], 45); /* put off: stays where it is until it comes up */
    sherd_timers_set(&heap, &timers[0], 5);  /* sooner */
    assert_ptr_equal(sherd_timers_pop(&heap, 100), &timers[0]);
    assert_ptr_equal(sherd_timers_pop(&heap, 100), &timers[3]);
    assert_ptr_equal(sherd_timers_pop(&heap, 100), &timers[4]);
    assert_ptr_equal(sherd_timers_pop(&heap, 100), &timers[2]);
    assert_null(sherd_timers_pop(&heap, 44));
    assert_ptr_equal(sherd_timers_pop(&heap, 45), &timers[1]);
    assert_null(sherd_timers_pop(&heap, UINT64_MAX));
    sherd_timers_cancel(&heap, &timers[1]); /* not set: nothing happens */
    sherd_timers_fini(&heap);
}

int main(void)
{
    enum { SEEDS = sizeof(seeds) / sizeof(seeds[0]) };
    static const char *const names[SEEDS] = {"seed 1", "seed 2", "seed 3", "seed 42",
                                             "seed 1000003"};
    struct CMUnitTest tests[SEEDS + 1] = {
        {.name = "order", .test_func = test_order}
    };

    for (size_t i = 0; i < SEEDS; i++)
        tests[i + 1] = (struct CMUnitTest){
            .name = names[i], .test_func = run_seed, .initial_state = (void *)(uintptr_t)&seeds[i]};
    return cmocka_run_group_tests_name("timers", tests, NULL, NULL);
}
