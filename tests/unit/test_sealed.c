/* The map that a node has sealed: what is reported, and when. This node is number 0. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "server/sealed.h"
#include "tests/support/fake_engine.h"

struct world {
    struct sherd_engine *engine;
    struct sherd_progress progress;
    struct sherd_sealed sealed;
    struct sherd_turn turn;
    struct sherd_map *map; /* the next one to offer */
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    w->engine = fake_engine_new();
    w->turn = (struct sherd_turn){.engine = w->engine, .progress = &w->progress, .now_ms = 1000};
    w->map = fake_map(4, 3);
    sherd_sealed_init(&w->sealed, 0, 1);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    sherd_sealed_fini(&w->sealed);
    fake_engine_free(w->engine);
    free(w->map);
    free(w);
    return 0;
}

static int offer(struct world *w)
{
    uint8_t *bytes;
    struct sherd_bytes encoded = fake_encode(w->map, &bytes);
    int rc = sherd_sealed_offer(&w->sealed, encoded);

    free(bytes);
    return rc;
}

/* The own service answers the SEAL with the version it holds now. */
static void answer_seal(struct world *w, uint64_t version)
{
    struct sherd_answer answer = {.kind = SHERD_SEALED, .map_version = version};

    fake_answer(fake_call(w->engine, SHERD_SEAL), &answer);
}

static void seal(struct world *w)
{
    assert_int_equal(offer(w), 0);
    sherd_sealed_turn(&w->sealed, &w->turn);
    answer_seal(w, w->map->version);
    assert_true(sherd_sealed_turn(&w->sealed, &w->turn));
}

static void reports_only_what_is_sealed(void **state)
{
    struct world *w = *state;

    assert_int_equal(offer(w), 0);
    w->sealed.urgent = false;
    assert_false(sherd_sealed_turn(&w->sealed, &w->turn));
    assert_int_equal(fake_call(w->engine, SHERD_SEAL)->node, 0);
    assert_null(w->sealed.map);
    assert_int_equal(w->sealed.report.map_version, 0);
    assert_int_equal(w->engine->taken, 0);
    answer_seal(w, 1);
    assert_true(sherd_sealed_turn(&w->sealed, &w->turn));
    assert_int_equal(w->sealed.report.map_version, 1);
    assert_int_equal(w->sealed.report.cluster, 99);
    assert_int_equal(w->sealed.report.live, 1);
    assert_true(w->sealed.urgent);
    assert_int_equal(w->engine->taken, 1);
}

static void asks_again_when_no_answer_came(void **state)
{
    struct world *w = *state;

    offer(w);
    sherd_sealed_turn(&w->sealed, &w->turn);
    sherd_sealed_turn(&w->sealed, &w->turn);
    assert_int_equal(fake_call_count(w->engine, SHERD_SEAL), 1);
    fake_answer(fake_call(w->engine, SHERD_SEAL), NULL);
    sherd_sealed_turn(&w->sealed, &w->turn);
    assert_int_equal(fake_call_count(w->engine, SHERD_SEAL), 1);
}

static void drops_what_the_service_refuses(void **state)
{
    struct world *w = *state;

    offer(w);
    sherd_sealed_turn(&w->sealed, &w->turn);
    fake_answer_kind(fake_call(w->engine, SHERD_SEAL), SHERD_NACK);
    sherd_sealed_turn(&w->sealed, &w->turn);
    assert_null(fake_call(w->engine, SHERD_SEAL));
    assert_int_equal(sherd_sealed_newest(&w->sealed), 0);
}

static void asks_again_after_a_while_when_the_service_has_no_memory(void **state)
{
    const struct sherd_answer full = {.kind = SHERD_NACK, .reason = SHERD_REASON_FULL};
    struct world *w = *state;

    offer(w);
    sherd_sealed_turn(&w->sealed, &w->turn);
    fake_answer(fake_call(w->engine, SHERD_SEAL), &full);
    sherd_sealed_turn(&w->sealed, &w->turn);
    assert_null(fake_call(w->engine, SHERD_SEAL));
    assert_int_equal(sherd_sealed_newest(&w->sealed), 1);
    w->turn.now_ms += 200;
    sherd_sealed_turn(&w->sealed, &w->turn);
    assert_non_null(fake_call(w->engine, SHERD_SEAL));
}

static void live_does_not_wait_for_the_memory_of_a_seal(void **state)
{
    const struct sherd_answer full = {.kind = SHERD_NACK, .reason = SHERD_REASON_FULL};
    struct world *w = *state;

    w->map->version = 2;
    w->map->live = 1;
    seal(w);
    w->map->version = 3;
    offer(w);
    sherd_sealed_turn(&w->sealed, &w->turn);
    fake_answer(fake_call(w->engine, SHERD_SEAL), &full);
    sherd_sealed_offer_live(&w->sealed, 2);
    sherd_sealed_turn(&w->sealed, &w->turn);
    assert_null(fake_call(w->engine, SHERD_SEAL));
    assert_int_equal(fake_call(w->engine, SHERD_LIVE)->request.since, 2);
}

static void an_overtaken_seal_is_not_taken_for_the_newer_map(void **state)
{
    struct world *w = *state;

    offer(w);
    sherd_sealed_turn(&w->sealed, &w->turn);
    w->map->version = 2;
    offer(w);
    answer_seal(w, 1);
    sherd_sealed_turn(&w->sealed, &w->turn);
    assert_null(w->sealed.map);
    answer_seal(w, 2);
    sherd_sealed_turn(&w->sealed, &w->turn);
    assert_int_equal(w->sealed.report.map_version, 2);
}

static void refuses_older_maps_and_other_clusters(void **state)
{
    struct world *w = *state;

    w->map->version = 5;
    seal(w);
    w->map->version = 4;
    assert_int_equal(offer(w), 0);
    assert_null(w->sealed.next);
    w->map->version = 6;
    w->map->cluster = 98;
    assert_int_equal(offer(w), -EPROTO);
    assert_int_equal(sherd_sealed_offer(&w->sealed, (struct sherd_bytes){"x", 1}), -EBADMSG);
    assert_int_equal(sherd_sealed_offer(&w->sealed, (struct sherd_bytes){NULL, 0}), -EBADMSG);
}

static void live_waits_for_its_map(void **state)
{
    struct world *w = *state;

    seal(w);
    sherd_sealed_offer_live(&w->sealed, 2);
    sherd_sealed_turn(&w->sealed, &w->turn);
    assert_null(fake_call(w->engine, SHERD_LIVE));
    w->map->version = 2;
    seal(w);
    assert_int_equal(fake_call(w->engine, SHERD_LIVE)->request.since, 2);
    assert_int_equal(w->sealed.report.live, 1);
    fake_answer_kind(fake_call(w->engine, SHERD_LIVE), SHERD_SEALED);
    assert_true(sherd_sealed_turn(&w->sealed, &w->turn));
    assert_int_equal(w->sealed.report.live, 2);
}

static void live_is_told_again_when_no_answer_came(void **state)
{
    struct world *w = *state;

    seal(w);
    w->map->version = 2;
    seal(w);
    sherd_sealed_offer_live(&w->sealed, 2);
    sherd_sealed_turn(&w->sealed, &w->turn);
    fake_answer(fake_call(w->engine, SHERD_LIVE), NULL);
    sherd_sealed_turn(&w->sealed, &w->turn);
    assert_int_equal(w->sealed.report.live, 1);
    assert_non_null(fake_call(w->engine, SHERD_LIVE));
}

/* What a new map leaves of the bits: partition 1 is the one that was worked on. */
static struct bits_row {
    const char *name;
    bool epoch, incarnation, kept;
} bits_rows[] = {
    {"bits stay while nothing changes",  false, false, true },
    {"bits go with the epoch",           true,  false, false},
    {"bits go with the own incarnation", false, true,  false},
};

static void run_bits(void **state)
{
    const struct bits_row *row = *state;
    struct world *w = NULL;
    void *inner = NULL;

    set_up(&inner);
    w = inner;
    seal(w);
    sherd_sealed_set_rebuilt(&w->sealed, 1, 1);
    sherd_sealed_set_scanned(&w->sealed, 1, 1);
    w->map->version = 2;
    if (row->epoch) w->map->partitions[1].epoch = w->map->partitions[1].open[0].epoch = 2;
    if (row->incarnation) w->map->partitions[1].incarnation[2] = 500; /* node 0's slot */
    seal(w);
    assert_int_equal(sherd_bit(w->sealed.report.rebuilt, 1), row->kept);
    assert_int_equal(sherd_bit(w->sealed.report.scanned, 1), row->kept);
    tear_down(&inner);
}

static void bits_of_another_epoch_are_not_set(void **state)
{
    struct world *w = *state;

    sherd_sealed_set_rebuilt(&w->sealed, 1, 1); /* no map */
    seal(w);
    w->sealed.urgent = false;
    sherd_sealed_set_rebuilt(&w->sealed, 1, 2);
    sherd_sealed_set_rebuilt(&w->sealed, 200, 1);
    assert_false(sherd_bit(w->sealed.report.rebuilt, 1));
    assert_false(w->sealed.urgent);
    sherd_sealed_set_rebuilt(&w->sealed, 1, 1);
    assert_true(w->sealed.urgent);
}

static void a_slot_of_an_earlier_life_is_not_ours(void **state)
{
    struct world *w = *state;

    seal(w);
    assert_int_equal(sherd_sealed_own_slot(&w->sealed, 0), 0);
    assert_int_equal(sherd_sealed_own_slot(&w->sealed, 1), 2);
    assert_int_equal(sherd_sealed_own_slot(&w->sealed, 9), -1);
    w->sealed.map->nodes[0].since = 12; /* partition 1's slot has incarnation 13 */
    assert_int_equal(sherd_sealed_own_slot(&w->sealed, 0), -1);
    assert_int_equal(sherd_sealed_own_slot(&w->sealed, 1), 2);
    w->sealed.report.incarnation = 77;
    assert_int_equal(sherd_sealed_own_slot(&w->sealed, 1), -1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(reports_only_what_is_sealed),
        CASE(asks_again_when_no_answer_came),
        CASE(drops_what_the_service_refuses),
        CASE(asks_again_after_a_while_when_the_service_has_no_memory),
        CASE(live_does_not_wait_for_the_memory_of_a_seal),
        CASE(an_overtaken_seal_is_not_taken_for_the_newer_map),
        CASE(refuses_older_maps_and_other_clusters),
        CASE(live_waits_for_its_map),
        CASE(live_is_told_again_when_no_answer_came),
        CASE(bits_of_another_epoch_are_not_set),
        CASE(a_slot_of_an_earlier_life_is_not_ours),
    };
    struct CMUnitTest rows[sizeof(bits_rows) / sizeof(bits_rows[0])] = {0};

    for (size_t i = 0; i < sizeof(bits_rows) / sizeof(bits_rows[0]); i++)
        rows[i] = (struct CMUnitTest){
            .name = bits_rows[i].name, .test_func = run_bits, .initial_state = &bits_rows[i]};
    return cmocka_run_group_tests_name("sealed", tests, NULL, NULL) +
           cmocka_run_group_tests_name("sealed: bits", rows, NULL, NULL);
}
