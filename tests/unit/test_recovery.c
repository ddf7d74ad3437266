/* Which passes the recovery daemon runs, and when. This node is number 0; in partition 0 it holds
 * slot 0, in partition 1 slot 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/recovery.h"
#include "tests/support/fake_engine.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { SLOTS = 3, WALL_MS = 1000000, NOT_LIVE = 9 };

struct world {
    struct sherd_engine *engine;
    struct sherd_progress progress;
    struct sherd_sealed sealed;
    struct sherd_jobs jobs;
    struct sherd_turn turn;
    struct sherd_recovery *recovery;
};

static struct world *open_world(uint16_t partitions)
{
    struct world *w = calloc(1, sizeof(*w));

    w->engine = fake_engine_new();
    w->engine->end = SHERD_LISTING_WAIT;
    w->engine->heard = 7;
    w->engine->epoch = 1;
    w->jobs.engine = w->engine;
    w->turn = (struct sherd_turn){.engine = w->engine,
                                  .jobs = &w->jobs,
                                  .progress = &w->progress,
                                  .now_ms = 10000,
                                  .wall_ms = WALL_MS};
    sherd_sealed_init(&w->sealed, 0, 1);
    w->sealed.map = fake_map(partitions, SLOTS);
    w->sealed.report.live = 1;
    assert_int_equal(sherd_recovery_new(0, &w->recovery), 0);
    return w;
}

static void close_world(struct world *w)
{
    sherd_recovery_free(w->recovery);
    assert_int_equal(w->engine->listings_open, 0);
    sherd_jobs_fini(&w->jobs);
    sherd_sealed_fini(&w->sealed);
    fake_engine_free(w->engine);
    free(w);
}

static int set_up(void **state)
{
    *state = open_world(2);
    return 0;
}

static int tear_down(void **state)
{
    close_world(*state);
    return 0;
}

static void turn(struct world *w, bool changed)
{
    sherd_recovery_turn(w->recovery, &w->sealed, changed, &w->turn);
}

static void pass_time(struct world *w, unsigned ms)
{
    for (; ms > 0; ms -= 50) {
        w->turn.now_ms += 50;
        turn(w, false);
    }
}

static void make_learner(struct world *w, uint16_t index)
{
    struct sherd_partition *p = &w->sealed.map->partitions[index];
    uint8_t slot = p->node[0] == 0 ? 0 : p->node[1] == 0 ? 1 : 2;

    p->voters &= ~sherd_slot(slot);
    p->learners |= sherd_slot(slot);
    p->incarnation[slot] += 500;
    w->engine->heard = p->voters;
}

/* What partition 0 may look like. */
static void as_it_is(struct world *w, struct sherd_partition *p) { (void)w, (void)p; }

static void learner(struct world *w, struct sherd_partition *p)
{
    (void)p;
    make_learner(w, 0);
}

static void rebuilt_learner(struct world *w, struct sherd_partition *p)
{
    (void)p;
    make_learner(w, 0);
    w->sealed.report.rebuilt[0] = 1;
}

static void learner_not_live(struct world *w, struct sherd_partition *p)
{
    make_learner(w, 0);
    p->epoch = NOT_LIVE;
}

static void learner_of_an_earlier_life(struct world *w, struct sherd_partition *p)
{
    (void)p;
    make_learner(w, 0);
    w->sealed.map->nodes[0].incarnation = 77;
}

static void older_epoch_open(struct world *w, struct sherd_partition *p)
{
    (void)w;
    p->open[1] = p->open[0];
    p->open_count = 2;
}

static void scanned(struct world *w, struct sherd_partition *p)
{
    older_epoch_open(w, p);
    w->sealed.report.scanned[0] = 1;
}

static void somebody_learns(struct world *w, struct sherd_partition *p)
{
    older_epoch_open(w, p);
    p->voters = 3;
    p->learners = 4;
}

static void another_leads(struct world *w, struct sherd_partition *p)
{
    older_epoch_open(w, p);
    p->node[0] = 1;
    p->node[1] = 0;
}

static void scan_with_a_silent_voter(struct world *w, struct sherd_partition *p)
{
    older_epoch_open(w, p);
    w->engine->silent[2] = true;
}

static void rebuild_with_a_silent_voter(struct world *w, struct sherd_partition *p)
{
    learner(w, p);
    w->engine->silent[2] = true;
}

static void lost(struct world *w, struct sherd_partition *p)
{
    older_epoch_open(w, p);
    p->lost = 1;
}

/* The pass that each calls for: r rebuild, s scan, - none. */
static struct row {
    const char *name;
    void (*arrange)(struct world *w, struct sherd_partition *p);
    char pass;
} rows[] = {
    {"a clean voter",                       as_it_is,                    '-'},
    {"a learner rebuilds",                  learner,                     'r'},
    {"... though a voter is silent",        rebuild_with_a_silent_voter, 'r'},
    {"... once",                            rebuilt_learner,             '-'},
    {"... only in a live epoch",            learner_not_live,            '-'},
    {"... only in this life",               learner_of_an_earlier_life,  '-'},
    {"the lowest voter scans",              older_epoch_open,            's'},
    {"... once",                            scanned,                     '-'},
    {"... when nobody learns",              somebody_learns,             '-'},
    {"... and nobody else does",            another_leads,               '-'},
    {"... with all voters",                 scan_with_a_silent_voter,    '-'},
    {"what is lost waits for the operator", lost,                        '-'},
};

static void run_row(void **state)
{
    const struct row *row = *state;
    struct world *w = open_world(1);

    row->arrange(w, &w->sealed.map->partitions[0]);
    turn(w, true);
    pass_time(w, 1000);
    assert_int_equal(w->engine->listings_opened, row->pass != '-');
    assert_int_equal(w->engine->options.with_shards, row->pass == 'r');
    close_world(w);
}

static void a_rebuilt_partition_is_reported(void **state)
{
    struct world *w = *state;

    make_learner(w, 0);
    w->engine->end = SHERD_LISTING_END;
    w->sealed.urgent = false;
    turn(w, true);
    assert_true(sherd_bit(w->sealed.report.rebuilt, 0));
    assert_true(w->sealed.urgent);
    turn(w, false);
    assert_int_equal(w->engine->listings_opened, 1);
    assert_false(sherd_recovery_is_busy(w->recovery));
}

static void a_scanned_partition_is_reported(void **state)
{
    struct world *w = *state;

    older_epoch_open(w, &w->sealed.map->partitions[0]);
    w->engine->end = SHERD_LISTING_END;
    turn(w, true);
    assert_true(sherd_bit(w->sealed.report.scanned, 0));
}

static void what_failed_is_repeated_more_and_more_slowly(void **state)
{
    struct world *w = *state;
    static const unsigned after_ms[] = {200, 400, 800, 1600, 2000, 2000};

    make_learner(w, 0);
    w->engine->end = SHERD_LISTING_FAILED;
    turn(w, true);
    for (unsigned i = 0; i < LEN(after_ms); i++) {
        assert_int_equal(w->engine->listings_opened, i + 1);
        pass_time(w, after_ms[i] - 50);
        assert_int_equal(w->engine->listings_opened, i + 1);
        pass_time(w, 50);
    }
    assert_false(sherd_bit(w->sealed.report.rebuilt, 0));
}

static void a_new_epoch_begins_at_once(void **state)
{
    struct world *w = *state;

    make_learner(w, 0);
    turn(w, true);
    w->sealed.map->partitions[0].epoch = 2;
    w->sealed.report.live = w->engine->epoch = 2;
    turn(w, true);
    turn(w, false);
    assert_int_equal(w->engine->listings_opened, 2);
    assert_int_equal(w->engine->listings_open, 1);
}

static void recover_looks_at_everything(void **state)
{
    struct world *w = *state;

    turn(w, true);
    w->progress.recover_asked = 2;
    turn(w, false);
    assert_int_equal(w->engine->listings_open, 2);
    assert_int_equal(w->engine->options.since, 0);
    assert_int_equal(w->progress.task, SHERD_TASK_CATCH_UP);
    assert_int_equal(w->progress.recover_done, 0);
    assert_int_equal(sherd_recovery_backlog(w->recovery), 2);
    w->engine->end = SHERD_LISTING_END;
    turn(w, false);
    assert_int_equal(w->progress.recover_done, 2);
    assert_int_equal(sherd_recovery_backlog(w->recovery), 0);
}

static void recover_waits_for_a_rebuild(void **state)
{
    struct world *w = *state;

    make_learner(w, 0);
    make_learner(w, 1);
    turn(w, true);
    w->progress.recover_asked = 1;
    pass_time(w, 100);
    assert_int_equal(w->progress.recover_done, 0);
    w->engine->heard = 7;
    w->engine->end = SHERD_LISTING_END;
    pass_time(w, 100);
    assert_int_equal(w->progress.recover_done, 1);
}

static void a_rescan_waits_a_little_and_looks_at_entries_of_any_age(void **state)
{
    struct world *w = *state;

    turn(w, true);
    w->progress.rescan_asked[0] = 2;
    turn(w, false);
    assert_int_equal(w->progress.rescan_asked[0], 0);
    pass_time(w, 950);
    assert_int_equal(w->engine->listings_opened, 0);
    pass_time(w, 50);
    assert_int_equal(w->engine->listings_opened, 1);
    assert_int_equal(w->engine->options.partition, 1);
    assert_int_equal(w->engine->options.since, 0);
}

static void a_rescan_asked_for_during_a_pass_follows_it(void **state)
{
    struct world *w = *state;

    turn(w, true);
    w->progress.rescan_asked[0] = 2;
    pass_time(w, 1050);
    assert_int_equal(w->engine->listings_open, 1);
    w->progress.rescan_asked[0] = 2;
    turn(w, false);
    w->engine->end = SHERD_LISTING_END;
    pass_time(w, 1200);
    assert_int_equal(w->engine->listings_opened, 2);
    assert_int_equal(w->progress.rescan_asked[0], 0);
    assert_false(sherd_recovery_is_busy(w->recovery));
}

static void a_catch_up_keeps_the_earliest_clock_and_waits_for_all_voters(void **state)
{
    struct world *w = *state;

    turn(w, true);
    w->engine->silent[1] = true;
    sherd_recovery_catch_up(w->recovery, 500);
    sherd_recovery_catch_up(w->recovery, 700);
    pass_time(w, 1000);
    assert_int_equal(w->engine->listings_opened, 0);
    w->engine->silent[1] = false;
    pass_time(w, 100);
    assert_int_equal(w->engine->listings_opened, 2);
    assert_int_equal(w->engine->options.since, 500);
}

static void who_holds_nothing_has_nothing_to_catch_up(void **state)
{
    struct world *w = *state;

    w->sealed.map->nodes[0].incarnation = 77;
    turn(w, true);
    sherd_recovery_catch_up(w->recovery, 0);
    w->progress.recover_asked = 1;
    turn(w, false);
    assert_false(sherd_recovery_is_busy(w->recovery));
    assert_int_equal(w->progress.recover_done, 1);
}

static void progress_tells_what_is_done_and_left(void **state)
{
    struct world *w = open_world(16);

    (void)state;
    for (uint16_t i = 0; i < 16; i++)
        make_learner(w, i);
    w->engine->heard = 7;
    turn(w, true);
    assert_int_equal(w->engine->listings_open, 4);
    assert_int_equal(w->progress.task, SHERD_TASK_REBUILD);
    assert_int_equal(w->progress.partitions_total, 16);
    assert_int_equal(w->progress.partitions_done, 0);
    assert_int_equal(w->progress.started_ms, 10000);
    w->engine->listed_count = 1; /* a key that nobody holds, in each partition */
    w->engine->listed[0].answers.heard = 7;
    w->engine->end = SHERD_LISTING_END;
    turn(w, false);
    assert_int_equal(w->progress.partitions_done, 4);
    assert_int_equal(w->progress.partitions_total, 16);
    assert_int_equal(w->progress.keys_done, 4);
    assert_int_equal(w->progress.keys_total, 16);
    pass_time(w, 500);
    assert_int_equal(w->progress.task, SHERD_TASK_IDLE);
    assert_int_equal(w->progress.partitions_done, 16);
    assert_true(w->progress.ended_ms != 0);
    close_world(w);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_rebuilt_partition_is_reported),
        CASE(a_scanned_partition_is_reported),
        CASE(what_failed_is_repeated_more_and_more_slowly),
        CASE(a_new_epoch_begins_at_once),
        CASE(recover_looks_at_everything),
        CASE(recover_waits_for_a_rebuild),
        CASE(a_rescan_waits_a_little_and_looks_at_entries_of_any_age),
        CASE(a_rescan_asked_for_during_a_pass_follows_it),
        CASE(a_catch_up_keeps_the_earliest_clock_and_waits_for_all_voters),
        CASE(who_holds_nothing_has_nothing_to_catch_up),
        cmocka_unit_test(progress_tells_what_is_done_and_left),
    };
    struct CMUnitTest table[LEN(rows)] = {0};

    for (size_t i = 0; i < LEN(rows); i++)
        table[i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = run_row, .initial_state = &rows[i]};
    return cmocka_run_group_tests_name("recovery", tests, NULL, NULL) +
           cmocka_run_group_tests_name("recovery: which pass", table, NULL, NULL);
}
