/* Reports to the keeper and maps from it and from peers. This node is number 0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "coord/map_codec.h"
#include "server/heartbeat.h"
#include "tests/support/fake_engine.h"

struct world {
    struct sherd_engine *engine;
    struct sherd_progress progress;
    struct sherd_sealed sealed;
    struct sherd_heartbeat heartbeat;
    struct sherd_turn turn;
    struct sherd_map *map;
    struct sherd_bytes encoded;
    uint8_t *bytes; /* ... its memory */
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    w->engine = fake_engine_new();
    w->turn = (struct sherd_turn){.engine = w->engine, .progress = &w->progress, .now_ms = 1000};
    w->map = fake_map(4, 3);
    w->encoded = fake_encode(w->map, &w->bytes);
    sherd_sealed_init(&w->sealed, 0, 1);
    sherd_heartbeat_init(&w->heartbeat, w->engine, &w->sealed, &w->progress);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    sherd_sealed_fini(&w->sealed);
    fake_engine_free(w->engine);
    free(w->bytes);
    free(w->map);
    free(w);
    return 0;
}

/* How long after an answered report the next one goes out, to within a turn of 10 ms. */
static struct row {
    const char *name;
    bool busy, urgent, sealing;
    unsigned after_ms;
} rows[] = {
    {"quiet: every 200 ms",            false, false, false, 200},
    {"busy: every 100 ms",             true,  false, false, 100},
    {"waiting for LIVE: every 100 ms", false, false, true,  100},
    {"news: at once",                  false, true,  false, 10 },
};

static void run_row(void **state)
{
    const struct row *row = *state;
    void *inner = NULL;
    unsigned ms = 0;

    set_up(&inner);
    struct world *w = inner;
    sherd_heartbeat_turn(&w->heartbeat, &w->turn, row->busy);
    fake_answer_kind(fake_call(w->engine, SHERD_HEARTBEAT), SHERD_SEALED);
    w->sealed.urgent = row->urgent;
    if (row->sealing) w->sealed.report.map_version = 1;
    while (!fake_call(w->engine, SHERD_HEARTBEAT) && ms < 1000) {
        w->turn.now_ms += 10;
        ms += 10;
        sherd_heartbeat_turn(&w->heartbeat, &w->turn, row->busy);
    }
    assert_int_equal(ms, row->after_ms);
    tear_down(&inner);
}

static void the_report_is_what_was_sealed(void **state)
{
    struct world *w = *state;
    struct sherd_report r;

    w->sealed.report.map_version = 7;
    w->sealed.report.rebuilt[3] = 5;
    sherd_heartbeat_turn(&w->heartbeat, &w->turn, false);

    struct fake_call *call = fake_call(w->engine, SHERD_HEARTBEAT);
    assert_int_equal(call->node, SHERD_KEEPER);
    assert_int_equal(sherd_report_decode(call->request.body, &r), 0);
    assert_int_equal(r.map_version, 7);
    assert_int_equal(r.incarnation, 1);
    assert_int_equal(r.rebuilt[3], 5);
    assert_false(w->sealed.urgent);
}

static void an_unanswered_report_is_followed_by_another(void **state)
{
    struct world *w = *state;

    sherd_heartbeat_turn(&w->heartbeat, &w->turn, false);
    w->turn.now_ms += 1000;
    sherd_heartbeat_turn(&w->heartbeat, &w->turn, false);
    assert_int_equal(fake_call_count(w->engine, SHERD_HEARTBEAT), 1);
    fake_answer(fake_call(w->engine, SHERD_HEARTBEAT), NULL);
    sherd_heartbeat_turn(&w->heartbeat, &w->turn, false);
    assert_int_equal(fake_call_count(w->engine, SHERD_HEARTBEAT), 1);
    assert_int_equal(w->progress.keeper_heard_ms, 0);
}

static void news_stay_news_while_the_keeper_is_gone(void **state)
{
    struct world *w = *state;

    w->engine->keeper_gone = true;
    sherd_heartbeat_turn(&w->heartbeat, &w->turn, false);
    assert_true(w->sealed.urgent);
    w->engine->keeper_gone = false;
    w->turn.now_ms += 10;
    sherd_heartbeat_turn(&w->heartbeat, &w->turn, false);
    assert_non_null(fake_call(w->engine, SHERD_HEARTBEAT));
}

static void the_keepers_answer_may_be_a_map(void **state)
{
    struct world *w = *state;
    struct sherd_answer answer = {.kind = SHERD_MAP, .body = w->encoded};

    sherd_heartbeat_turn(&w->heartbeat, &w->turn, false);
    fake_answer(fake_call(w->engine, SHERD_HEARTBEAT), &answer);
    assert_int_equal(sherd_sealed_newest(&w->sealed), 1);
    assert_int_equal(w->progress.keeper_heard_ms, 1000);
}

static void only_the_keeper_may_push(void **state)
{
    struct world *w = *state;
    struct sherd_request seal = {.kind = SHERD_SEAL, .body = w->encoded};
    struct sherd_request live = {.kind = SHERD_LIVE, .since = 4};

    w->engine->push(w->engine->push_context, 1, &seal);
    w->engine->push(w->engine->push_context, 1, &live);
    assert_int_equal(sherd_sealed_newest(&w->sealed), 0);
    assert_int_equal(w->sealed.live_offered, 0);
    w->engine->push(w->engine->push_context, SHERD_KEEPER, &seal);
    w->engine->push(w->engine->push_context, SHERD_KEEPER, &live);
    assert_int_equal(sherd_sealed_newest(&w->sealed), 1);
    assert_int_equal(w->sealed.live_offered, 4);
}

static void a_peers_newer_map_is_fetched_as_it_is(void **state)
{
    struct world *w = *state;
    struct sherd_answer answer = {.kind = SHERD_MAP, .body = w->encoded};

    w->engine->map = w->map;
    w->engine->silent[1] = true; /* asked in vain, so to say */
    for (int i = 0; i < 4; i++) {
        w->turn.now_ms += 10;
        sherd_heartbeat_turn(&w->heartbeat, &w->turn, false);
    }
    assert_int_equal(fake_call_count(w->engine, SHERD_GET_MAP), 1);
    assert_int_equal(fake_call(w->engine, SHERD_GET_MAP)->node, 2);
    fake_answer(fake_call(w->engine, SHERD_GET_MAP), &answer);
    assert_int_equal(sherd_sealed_newest(&w->sealed), 1);
    w->turn.now_ms += 1000;
    sherd_heartbeat_turn(&w->heartbeat, &w->turn, false);
    assert_null(fake_call(w->engine, SHERD_GET_MAP)); /* nothing newer is known */
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(the_report_is_what_was_sealed),
        CASE(an_unanswered_report_is_followed_by_another),
        CASE(news_stay_news_while_the_keeper_is_gone),
        CASE(the_keepers_answer_may_be_a_map),
        CASE(only_the_keeper_may_push),
        CASE(a_peers_newer_map_is_fetched_as_it_is),
    };
    struct CMUnitTest table[sizeof(rows) / sizeof(rows[0])] = {0};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        table[i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = run_row, .initial_state = &rows[i]};
    return cmocka_run_group_tests_name("heartbeat", tests, NULL, NULL) +
           cmocka_run_group_tests_name("heartbeat: pace", table, NULL, NULL);
}
