/* Whether all voters hold the same, asked by digest. This node is 0: it leads partition 0 (slot 0)
 * and not partition 1 (slot 2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/compare.h"
#include "tests/support/fake_engine.h"

enum { SLOTS = 3, ALIKE = 77 };

struct world {
    struct sherd_engine *engine;
    struct sherd_progress progress;
    struct sherd_sealed sealed;
    struct sherd_turn turn;
    struct sherd_compare compare;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    w->engine = fake_engine_new();
    w->turn = (struct sherd_turn){
        .engine = w->engine, .progress = &w->progress, .now_ms = 1000, .wall_ms = 1000000};
    sherd_sealed_init(&w->sealed, 0, 1);
    w->sealed.map = fake_map(2, SLOTS);
    w->sealed.report.live = 1;
    w->engine->map = w->sealed.map;
    sherd_compare_init(&w->compare, true);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    sherd_sealed_fini(&w->sealed);
    fake_engine_free(w->engine);
    free(w);
    return 0;
}

static void turn(struct world *w, unsigned ms)
{
    w->turn.now_ms += ms;
    sherd_compare_turn(&w->compare, &w->sealed, &w->turn);
}

/* Turns until somebody is asked something. */
static void turn_until_asked(struct world *w)
{
    for (int i = 0; i < 1000 && !fake_call(w->engine, SHERD_LIST); i++)
        turn(w, 50);
    assert_non_null(fake_call(w->engine, SHERD_LIST));
}

static void answer(struct fake_call *call, uint64_t last, uint64_t sum)
{
    struct sherd_digest digest = {.last = last, .count = 5, .sum = sum};
    uint8_t bytes[SHERD_DIGEST_BYTES];
    struct sherd_answer a = {.kind = SHERD_PAGE};

    assert_int_equal(call->request.what, SHERD_LIST_DIGEST);
    assert_int_equal(call->request.partition, 0);
    a.body = (struct sherd_bytes){bytes, sherd_digest_encode(&digest, bytes)};
    fake_answer(call, &a);
}

/* A range that begins at `from`: the own node says where it ends; then all are asked, of whom the
 * one on node `odd` differs. Returns how many were. */
static unsigned play_range(struct world *w, uint64_t from, uint64_t last, uint16_t odd)
{
    struct fake_call *call;
    unsigned asked = 0;

    turn_until_asked(w);
    call = fake_call(w->engine, SHERD_LIST);
    assert_int_equal(call->node, 0);
    assert_true(call->request.since == from);
    assert_int_equal(call->request.body.size, 0);
    answer(call, last, ALIKE - 1); /* what it says now is of no account */
    turn_until_asked(w);
    while ((call = fake_call(w->engine, SHERD_LIST)) != NULL) {
        assert_true(call->request.since == from);
        assert_int_equal(call->request.body.size, 8);
        answer(call, last, call->node == odd ? ALIKE + 1 : ALIKE);
        asked++;
    }
    turn(w, 0);
    return asked;
}

static bool is_rescan_asked(struct world *w) { return w->progress.rescan_asked[0] & 1; }

static void all_voters_are_asked_range_by_range(void **state)
{
    struct world *w = *state;

    assert_int_equal(play_range(w, 0, 999, UINT16_MAX), SLOTS);
    assert_int_equal(play_range(w, 1000, UINT64_MAX, UINT16_MAX), SLOTS);
    assert_int_equal(w->progress.compared, 2);
    assert_int_equal(w->progress.differed, 0);
    assert_false(is_rescan_asked(w));
    for (unsigned passed = 0; passed < 25000; passed += 50) {
        turn(w, 50); /* partition 1 is another's to compare */
        assert_null(fake_call(w->engine, SHERD_LIST));
    }
    play_range(w, 0, UINT64_MAX, UINT16_MAX); /* from the start again, after a rest */
}

/* A write may be under way. */
static void what_differs_for_a_moment_is_asked_again(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 3; i++)
        play_range(w, 0, 999, 1);
    play_range(w, 0, 999, UINT16_MAX);
    play_range(w, 1000, UINT64_MAX, UINT16_MAX);
    assert_int_equal(w->progress.differed, 0);
    assert_false(is_rescan_asked(w));
}

static void what_still_differs_is_looked_through(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 4; i++)
        play_range(w, 0, 999, i % 2 ? 1 : 0);
    assert_int_equal(w->progress.differed, 1);
    assert_true(is_rescan_asked(w));
}

static void an_answer_that_does_not_come_proves_nothing(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 8; i++) {
        turn_until_asked(w);
        if (i % 2 == 0)
            answer(fake_call(w->engine, SHERD_LIST), 999, ALIKE);
        else
            while (fake_call(w->engine, SHERD_LIST))
                fake_answer(fake_call(w->engine, SHERD_LIST), NULL);
    }
    turn(w, 0);
    assert_int_equal(w->progress.compared, 0);
    assert_false(is_rescan_asked(w));
}

static void nothing_is_compared_that_is_not_clean_or_not_whole(void **state)
{
    struct world *w = *state;

    w->engine->silent[2] = true;
    turn(w, 50);
    turn(w, 50);
    assert_null(fake_call(w->engine, SHERD_LIST));
    w->engine->silent[2] = false;
    w->sealed.map->partitions[0].learners = 2;
    w->sealed.map->partitions[0].voters = 5;
    turn(w, 30000);
    turn(w, 50);
    assert_null(fake_call(w->engine, SHERD_LIST));
}

static void scrub_can_be_off(void **state)
{
    struct world *w = *state;

    sherd_compare_init(&w->compare, false);
    for (int i = 0; i < 100; i++)
        turn(w, 50);
    assert_null(fake_call(w->engine, SHERD_LIST));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(all_voters_are_asked_range_by_range),
        TEST(what_differs_for_a_moment_is_asked_again),
        TEST(what_still_differs_is_looked_through),
        TEST(an_answer_that_does_not_come_proves_nothing),
        TEST(nothing_is_compared_that_is_not_clean_or_not_whole),
        TEST(scrub_can_be_off),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
