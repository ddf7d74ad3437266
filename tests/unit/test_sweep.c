/* What the own service lists is looked after: keys finished, repaired, forgotten. This node is 0;
 * partition 0 is its own to lead (slot 0), in partition 1 it holds slot 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sherd/ecc.h>

#include "coord/wire.h"
#include "server/sweep.h"
#include "tests/support/fake_engine.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { SLOTS = 3, WALL_MS = 1000000 };

struct world {
    struct sherd_engine *engine;
    struct sherd_progress progress;
    struct sherd_sealed sealed;
    struct sherd_jobs jobs;
    struct sherd_turn turn;
    struct sherd_sweep *sweep;
    uint8_t page[1 << 16];
    size_t page_size;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    w->engine = fake_engine_new();
    w->jobs.engine = w->engine;
    w->turn = (struct sherd_turn){.engine = w->engine,
                                  .jobs = &w->jobs,
                                  .progress = &w->progress,
                                  .now_ms = 1000,
                                  .wall_ms = WALL_MS};
    sherd_sealed_init(&w->sealed, 0, 1);
    w->sealed.map = fake_map(2, SLOTS);
    w->sealed.report.live = 1;
    w->engine->map = w->sealed.map;
    assert_int_equal(sherd_sweep_new(&w->sweep), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    sherd_sweep_free(w->sweep);
    sherd_jobs_fini(&w->jobs);
    sherd_sealed_fini(&w->sealed);
    fake_engine_free(w->engine);
    free(w);
    return 0;
}

static void turn(struct world *w) { sherd_sweep_turn(w->sweep, &w->sealed, &w->turn); }

static void pass_time(struct world *w, unsigned ms)
{
    for (; ms > 0; ms -= 50) {
        w->turn.now_ms += 50;
        turn(w);
    }
}

/* The i-th key of a partition. */
static struct sherd_bytes key_of(uint16_t partition, unsigned i, char text[16])
{
    for (unsigned n = 0;; n++) {
        int size = snprintf(text, 16, "key%u", n);
        if (sherd_hash_key(text, (size_t)size) % 2 != partition) continue;
        if (i-- == 0) return (struct sherd_bytes){text, (size_t)size};
    }
}

static void add_to_page(struct world *w, uint16_t partition, unsigned i)
{
    char text[16];
    struct sherd_writer_buffer out = {w->page, w->page_size, sizeof(w->page)};

    assert_int_equal(sherd_wire_put_item(&out, key_of(partition, i, text), NULL, 0), 0);
    w->page_size = out.size;
}

static struct fake_call *list_call(struct world *w, uint8_t what)
{
    for (size_t i = 0; i < w->engine->call_count; i++) {
        struct fake_call *c = &w->engine->calls[i];
        if (c->open && c->request.kind == SHERD_LIST && c->request.what == what) return c;
    }
    return NULL;
}

/* Answers a LIST with the page made so far, and all others with empty ones. */
static void answer_lists(struct world *w, uint8_t what)
{
    struct sherd_answer empty = {.kind = SHERD_PAGE, .flags = SHERD_ANSWER_END};
    struct sherd_answer page = empty;

    page.body = (struct sherd_bytes){w->page, w->page_size};
    turn(w);
    for (unsigned i = SHERD_LIST_UNDECIDED; i <= SHERD_LIST_DEAD; i++) {
        struct fake_call *call = list_call(w, (uint8_t)i);
        if (call) fake_answer(call, i == what ? &page : &empty);
    }
    turn(w);
}

static void undecided_keys_are_finished_a_few_at_a_time(void **state)
{
    struct world *w = *state;

    for (unsigned i = 0; i < 70; i++)
        add_to_page(w, 0, i);
    answer_lists(w, SHERD_LIST_UNDECIDED);
    assert_int_equal(fake_op_count(w->engine), 64);
    assert_int_equal(w->engine->ops[0]->kind, SHERD_OP_FINISH);
    for (int i = 0; i < 6; i++)
        fake_finish(w->engine, SHERD_OK);
    pass_time(w, 1000);
    assert_int_equal(fake_op_count(w->engine), 64);
    assert_int_equal(w->progress.swept, 6);
    assert_non_null(list_call(w, SHERD_LIST_UNDECIDED)); /* the page is worked off */
}

static void a_page_is_asked_for_again_only_when_due(void **state)
{
    struct world *w = *state;

    answer_lists(w, SHERD_LIST_UNDECIDED);
    pass_time(w, 450);
    assert_null(list_call(w, SHERD_LIST_UNDECIDED));
    pass_time(w, 50);
    assert_non_null(list_call(w, SHERD_LIST_UNDECIDED));
}

static void a_broken_page_is_dropped(void **state)
{
    struct world *w = *state;

    memset(w->page, 0xff, 100);
    w->page_size = 100;
    answer_lists(w, SHERD_LIST_UNDECIDED);
    assert_int_equal(fake_op_count(w->engine), 0);
    pass_time(w, 500);
    assert_non_null(list_call(w, SHERD_LIST_UNDECIDED));
}

static void a_repair_is_tried_until_it_succeeds(void **state)
{
    struct world *w = *state;

    add_to_page(w, 0, 0);
    add_to_page(w, 0, 0); /* listed twice, repaired once */
    answer_lists(w, SHERD_LIST_REPAIR);
    assert_int_equal(fake_op_count(w->engine), 1);
    assert_int_equal(w->engine->ops[0]->kind, SHERD_OP_REPAIR);
    assert_int_equal(sherd_sweep_backlog(w->sweep), 1);
    fake_finish(w->engine, SHERD_NO_QUORUM);
    turn(w);
    assert_int_equal(fake_op_count(w->engine), 0);
    pass_time(w, 250);
    assert_int_equal(fake_op_count(w->engine), 1);
    fake_finish(w->engine, SHERD_OK);
    pass_time(w, 5000);
    assert_int_equal(w->engine->op_count, 2);
    assert_int_equal(sherd_sweep_backlog(w->sweep), 0);
    assert_int_equal(w->progress.repaired, 1);
}

/* What was written while a repair ran may lack a shard that the repair did not see missing. */
static void a_key_listed_while_it_is_repaired_is_repaired_again(void **state)
{
    struct world *w = *state;

    add_to_page(w, 0, 0);
    answer_lists(w, SHERD_LIST_REPAIR);
    assert_int_equal(fake_op_count(w->engine), 1);
    pass_time(w, 500); /* until it is asked for a page again; `page` still has the key */
    answer_lists(w, SHERD_LIST_REPAIR);
    assert_int_equal(w->engine->op_count, 1); /* one at a time */
    fake_finish(w->engine, SHERD_OK);
    turn(w);
    assert_int_equal(w->engine->op_count, 2);
    fake_finish(w->engine, SHERD_OK);
    pass_time(w, 400);
    assert_int_equal(w->engine->op_count, 2);
    assert_int_equal(sherd_sweep_backlog(w->sweep), 0);
}

static void a_repair_waits_for_silent_holders(void **state)
{
    struct world *w = *state;

    w->engine->silent[2] = true;
    add_to_page(w, 0, 0);
    answer_lists(w, SHERD_LIST_REPAIR);
    pass_time(w, 10000);
    assert_int_equal(w->engine->op_count, 0);
    w->engine->silent[2] = false;
    pass_time(w, 4000);
    assert_int_equal(fake_op_count(w->engine), 1);
}

/* However often it failed before. */
static void a_repair_that_is_repeated_is_tried_again_soon(void **state)
{
    struct world *w = *state;
    size_t count;

    add_to_page(w, 0, 0);
    answer_lists(w, SHERD_LIST_REPAIR);
    for (int i = 0; i < 4; i++) {
        fake_finish(w->engine, SHERD_NO_QUORUM);
        pass_time(w, 4000);
    }
    answer_lists(w, SHERD_LIST_REPAIR);
    fake_finish(w->engine, SHERD_OK);
    turn(w);
    assert_int_equal(fake_op_count(w->engine), 1);
    fake_finish(w->engine, SHERD_NO_QUORUM);
    count = w->engine->op_count;
    pass_time(w, 250);
    assert_int_equal(w->engine->op_count, count + 1);
}

/* Being listed takes a key off the list: the service sends the page again until it has arrived. */
static void a_lost_page_is_asked_for_again(void **state)
{
    const struct sherd_answer page = {.kind = SHERD_PAGE, .flags = SHERD_ANSWER_END};
    struct world *w = *state;
    struct fake_call *call;

    turn(w);
    call = list_call(w, SHERD_LIST_REPAIR);
    assert_int_equal(call->request.since, 0);
    fake_answer(call, NULL);
    pass_time(w, 500);
    call = list_call(w, SHERD_LIST_REPAIR);
    assert_int_equal(call->request.since, 0);
    fake_answer(call, &page);
    pass_time(w, 500);
    assert_int_equal(list_call(w, SHERD_LIST_REPAIR)->request.since, 1);
    assert_int_equal(w->progress.rescan_asked[0], 0);
}

static void more_repairs_than_fit_become_a_rescan(void **state)
{
    struct world *w = *state;
    struct sherd_repairs *q;
    char text[16];

    w->engine->silent[1] = true;
    assert_int_equal(sherd_repairs_new(&q), 0);
    while (sherd_repairs_has_room(q)) {
        int size = snprintf(text, sizeof(text), "%u", sherd_repairs_count(q));
        sherd_repairs_add(q, (struct sherd_bytes){text, (size_t)size}, &w->turn);
    }
    assert_int_equal(w->progress.rescan_asked[0], 0);
    sherd_repairs_add(q, key_of(1, 0, text), &w->turn);
    assert_int_equal(w->progress.rescan_asked[0], 2);
    sherd_repairs_free(q);
}

/* The round of a tombstone. `slots`: what each voter shows: t the tombstone, T another one, .
 * nothing, e expired without its shard, E expired with it, v a value, u undecided, 2 two entries, -
 * no answer. `forgets`: slots that are told to forget. */
static struct row {
    const char *name, *slots, *forgets;
} rows[] = {
    {"held by all: the others first",     "ttt", "12"},
    {"held by one other",                 "t.t", "2" },
    {"held here alone: the own one goes", "t..", "0" },
    {"held by nobody any more",           "...", ""  },
    {"expired without its shard is one",  "eet", "12"},
    {"expired, its shard not freed yet",  "eeE", ""  },
    {"not the same everywhere",           "ttT", ""  },
    {"a value",                           "ttv", ""  },
    {"undecided",                         "ttu", ""  },
    {"something beside it",               "tt2", ""  },
    {"a silent voter",                    "tt-", ""  },
};

static void answer_read(struct fake_call *call, char shows)
{
    struct sherd_answer a = {.kind = SHERD_STATE, .entry_count = shows == '.' ? 0 : 1};
    struct sherd_entry *e = &a.entries[0];

    *e = (struct sherd_entry){.ballot = {.clock = shows == 'T' ? 6 : 5}, .committed = true};
    e->version = e->ballot;
    if (strchr("tTu2", shows)) e->meta.flags = SHERD_META_TOMBSTONE;
    if (shows == 'e' || shows == 'E') e->meta.expires_ms = WALL_MS - 1;
    if (shows == 'E' || shows == 'v') e->has_shard = true;
    if (shows == 'u') e->committed = false;
    if (shows == '2') a.entry_count = 2;
    fake_answer(call, shows == '-' ? NULL : &a);
}

static void run_row(void **state)
{
    const struct row *row = *state;
    void *inner = NULL;
    char forgets[8] = "";

    set_up(&inner);
    struct world *w = inner;
    add_to_page(w, 0, 0);
    answer_lists(w, SHERD_LIST_DEAD);
    assert_int_equal(fake_call_count(w->engine, SHERD_READ), SLOTS);
    for (struct fake_call *c; (c = fake_call(w->engine, SHERD_READ)) != NULL;)
        answer_read(c, row->slots[c->request.slot]);
    for (struct fake_call *c; (c = fake_call(w->engine, SHERD_FORGET)) != NULL;) {
        forgets[strlen(forgets)] = (char)('0' + c->request.slot);
        assert_int_equal(c->node, c->request.slot);
        assert_int_equal(c->request.ballot.clock, 5);
        fake_answer_kind(c, SHERD_ACK);
    }
    assert_string_equal(forgets, row->forgets);
    assert_int_equal(w->progress.forgotten, strcmp(row->forgets, "0") == 0);
    tear_down(&inner);
}

/* What keeps a round from starting. */
static void no_round_where_another_leads(void **state)
{
    struct world *w = *state;

    add_to_page(w, 1, 0);
    answer_lists(w, SHERD_LIST_DEAD);
    assert_null(fake_call(w->engine, SHERD_READ));
}

static void no_round_while_an_older_epoch_is_open(void **state)
{
    struct world *w = *state;

    w->sealed.map->partitions[0].open_count = 2;
    add_to_page(w, 0, 0);
    answer_lists(w, SHERD_LIST_DEAD);
    assert_null(fake_call(w->engine, SHERD_READ));
}

static void no_round_without_all_voters(void **state)
{
    struct world *w = *state;

    w->engine->silent[1] = true;
    add_to_page(w, 0, 0);
    answer_lists(w, SHERD_LIST_DEAD);
    assert_null(fake_call(w->engine, SHERD_READ));
}

static void a_voter_that_cannot_be_asked_spoils_the_round(void **state)
{
    struct world *w = *state;
    struct fake_call *c;

    w->engine->unready[1] = true;
    add_to_page(w, 0, 0);
    answer_lists(w, SHERD_LIST_DEAD);
    while ((c = fake_call(w->engine, SHERD_READ)) != NULL)
        answer_read(c, 't');
    assert_null(fake_call(w->engine, SHERD_FORGET));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(undecided_keys_are_finished_a_few_at_a_time),
        CASE(a_page_is_asked_for_again_only_when_due),
        CASE(a_broken_page_is_dropped),
        CASE(a_repair_is_tried_until_it_succeeds),
        CASE(a_key_listed_while_it_is_repaired_is_repaired_again),
        CASE(a_repair_waits_for_silent_holders),
        CASE(a_repair_that_is_repeated_is_tried_again_soon),
        CASE(a_lost_page_is_asked_for_again),
        CASE(more_repairs_than_fit_become_a_rescan),
        CASE(no_round_where_another_leads),
        CASE(no_round_while_an_older_epoch_is_open),
        CASE(no_round_without_all_voters),
        CASE(a_voter_that_cannot_be_asked_spoils_the_round),
    };
    struct CMUnitTest rounds[LEN(rows)] = {0};

    for (size_t i = 0; i < LEN(rows); i++)
        rounds[i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = run_row, .initial_state = &rows[i]};
    return cmocka_run_group_tests_name("sweep", tests, NULL, NULL) +
           cmocka_run_group_tests_name("sweep: tombstones", rounds, NULL, NULL);
}
