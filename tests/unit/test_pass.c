/* One pass over one partition of a 2+1 code: what each key calls for, and what the end is called.
 * This node is number 0 and holds slot 0: as learner in REBUILD, as voter in the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/pass.h"
#include "tests/support/fake_engine.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { SLOTS = 3, EPOCH = 2, NOW_MS = 5000, WALL_MS = 1000000 };

static const char value[] = "abcd";
static uint8_t shards[SLOTS][2];

struct world {
    struct sherd_engine *engine;
    struct sherd_progress progress;
    struct sherd_sealed sealed;
    struct sherd_jobs jobs;
    struct sherd_turn turn;
    struct sherd_pass_tools tools;
    struct sherd_pass pass;
    uint8_t scratch[16];
};

static void encode_value(struct sherd_ecc *ecc)
{
    const void *data[] = {value, value + 2};
    void *parity[] = {shards[2]};

    memcpy(shards[0], value, 2);
    memcpy(shards[1], value + 2, 2);
    sherd_ecc_encode(ecc, 2, data, parity);
}

/* Epoch 1 had three voters; in epoch 2 slot 0 has lost its memory, and learns or votes again. */
static struct sherd_map *map_of(bool learner)
{
    struct sherd_map *map = fake_map(1, SLOTS);
    struct sherd_partition *p = &map->partitions[0];

    map->version = map->live = EPOCH;
    p->epoch = EPOCH;
    p->incarnation[0] = 500;
    p->learners = learner ? 1 : 0;
    p->voters = learner ? 6 : 7;
    p->open_count = 2;
    p->open[1] = p->open[0];
    p->open[1].epoch = EPOCH;
    p->open[1].voters = p->voters;
    p->open[1].incarnation[0] = learner ? 0 : 500;
    return map;
}

static struct world *open_world(bool learner)
{
    struct world *w = calloc(1, sizeof(*w));

    w->engine = fake_engine_new();
    w->jobs.engine = w->engine;
    w->turn = (struct sherd_turn){.engine = w->engine,
                                  .jobs = &w->jobs,
                                  .progress = &w->progress,
                                  .now_ms = NOW_MS,
                                  .wall_ms = WALL_MS};
    sherd_sealed_init(&w->sealed, 0, 1);
    w->sealed.map = map_of(learner);
    w->sealed.report.live = EPOCH;
    assert_int_equal(sherd_ecc_new(2, 1, &w->tools.ecc), 0);
    encode_value(w->tools.ecc);
    w->tools.shard = w->scratch;
    w->pass.tools = &w->tools;
    w->engine->epoch = EPOCH;
    w->engine->heard = w->sealed.map->partitions[0].voters;
    return w;
}

static void close_world(struct world *w)
{
    sherd_pass_fini(&w->pass);
    assert_int_equal(w->engine->listings_open, 0);
    sherd_jobs_fini(&w->jobs);
    sherd_sealed_fini(&w->sealed);
    sherd_ecc_free(w->tools.ecc);
    fake_engine_free(w->engine);
    free(w);
}

/* What one slot shows, as words of a letter and a ballot's clock:
 *   c committed   p undecided   t committed tombstone   e committed, expired, no shard
 *   n committed, its shard is broken   C P as c and p, of epoch 2   Y as C, of just now */
static void add_slot(struct sherd_listed *listed, uint8_t slot, const char *words)
{
    struct sherd_entry entries[4] = {0};
    uint8_t count = 0;

    if (words[0] == '-') return; /* silent */
    for (; *words; words += words[2] ? 3 : 2) {
        struct sherd_entry *e = &entries[count++];
        char what = words[0];

        e->ballot.epoch = strchr("CPY", what) ? EPOCH : 1;
        e->ballot.clock = (uint64_t)(words[1] - '0');
        if (what == 'Y') e->ballot.clock += (uint64_t)(WALL_MS - 500) << 16;
        e->version = e->ballot;
        e->meta.size = sizeof(value) - 1;
        e->committed = what != 'p' && what != 'P';
        e->has_shard = what != 't' && what != 'e' && what != 'n';
        if (what == 't') e->meta = (struct sherd_meta){.flags = SHERD_META_TOMBSTONE};
        if (what == 'e') e->meta.expires_ms = WALL_MS - 1;
        if (!e->has_shard || !e->committed) continue;
        e->shard = (struct sherd_bytes){shards[slot], 2};
        listed->shards[slot] = e->shard;
        listed->shard_version[slot] = e->version;
    }
    sherd_answers_add(&listed->answers, slot, entries, count);
}

static void add_key(struct world *w, const char *const slots[SLOTS])
{
    struct sherd_listed *listed = &w->engine->listed[w->engine->listed_count++];

    listed->key = (struct sherd_bytes){"key", 3};
    for (unsigned slot = 0; slot < SLOTS; slot++)
        add_slot(listed, (uint8_t)slot, slots[slot]);
}

/* One key each. `calls`: I an INSERT of the own shard, T an INSERT without one, R a REPAIR, or "".
 */
static struct row {
    const char *name;
    enum sherd_pass_kind kind;
    const char *slots[SLOTS];
    const char *calls;
} rows[] = {
    {"rebuild what is complete",              SHERD_PASS_REBUILD,  {"", "c1", "c1"},       "I"},
    {"... held already: nothing to do",       SHERD_PASS_REBUILD,  {"c1", "c1", "c1"},     "" },
    {"... held, but broken",                  SHERD_PASS_REBUILD,  {"n1", "c1", "c1"},     "I"},
    {"... held by all, committed nowhere",    SHERD_PASS_REBUILD,  {"", "p1", "p1"},       "R"},
    {"... beneath one in flight",             SHERD_PASS_REBUILD,  {"", "c1 P2", "c1 P2"}, "I"},
    {"in flight: its writer's affair",        SHERD_PASS_REBUILD,  {"", "P1", "P1"},       "" },
    {"committed in this epoch",               SHERD_PASS_REBUILD,  {"", "C1", "C1"},       "I"},
    {"... above an older one",                SHERD_PASS_REBUILD,  {"c1", "c2", "c2"},     "I"},
    {"... beneath an undecided one",          SHERD_PASS_REBUILD,  {"", "c1 P2", "c1"},    "I"},
    {"... beneath an old hopeless one",       SHERD_PASS_REBUILD,  {"", "c1", "p0"},       "R"},
    {"a tombstone has no shard",              SHERD_PASS_REBUILD,  {"", "t1", "t1"},       "T"},
    {"of an expired value none is missed",    SHERD_PASS_REBUILD,  {"", "e1", "e1"},       "" },
    {"fewer than k shards at hand",           SHERD_PASS_REBUILD,  {"", "c1", ""},         "R"},
    {"own pieces do not count",               SHERD_PASS_REBUILD,  {"n1", "c1", "n1"},     "R"},
    {"a shard of another version at hand",    SHERD_PASS_REBUILD,  {"", "c2 c1", "c2"},    "R"},
    {"what never can be complete is nothing", SHERD_PASS_REBUILD,  {"", "p1", ""},         "" },
    {"a silent voter leaves it in doubt",     SHERD_PASS_REBUILD,  {"", "c1", "-"},        "R"},

    {"scan: all alike",                       SHERD_PASS_SCAN,     {"c1", "c1", "c1"},     "" },
    {"scan: tombstones alike",                SHERD_PASS_SCAN,     {"t1", "t1", "t1"},     "" },
    {"scan: expired, shards gone in part",    SHERD_PASS_SCAN,     {"e1", "e1", "e1"},     "" },
    {"scan: one lacks it",                    SHERD_PASS_SCAN,     {"c1", "", "c1"},       "R"},
    {"scan: one shard is broken",             SHERD_PASS_SCAN,     {"c1", "c1", "n1"},     "R"},
    {"scan: not committed everywhere",        SHERD_PASS_SCAN,     {"c1", "p1", "c1"},     "R"},
    {"scan: an undecided one above",          SHERD_PASS_SCAN,     {"c1", "c1", "c1 p2"},  "R"},
    {"scan: undecided alone",                 SHERD_PASS_SCAN,     {"p1", "", ""},         "R"},
    {"scan: in flight above",                 SHERD_PASS_SCAN,     {"c1", "c1", "c1 P2"},  "" },
    {"scan: in flight alone",                 SHERD_PASS_SCAN,     {"P1", "", "P1"},       "" },
    {"scan: ... and one lacks the rest",      SHERD_PASS_SCAN,     {"c1", "", "c1 P2"},    "R"},
    {"scan: COMMITs still under way",         SHERD_PASS_SCAN,     {"Y1", "c1", "c1"},     "" },
    {"scan: ... for too long",                SHERD_PASS_SCAN,     {"C1", "c1", "c1"},     "R"},
    {"catch-up: this node lacks it",          SHERD_PASS_CATCH_UP, {"", "c1", "c1"},       "R"},
    {"catch-up: all alike",                   SHERD_PASS_CATCH_UP, {"c1", "c1", "c1"},     "" },
};

static void check_insert(struct world *w, bool with_shard)
{
    struct fake_call *call = fake_call(w->engine, SHERD_INSERT);

    assert_non_null(call);
    assert_int_equal(call->node, 0);
    assert_int_equal(call->request.slot, 0);
    assert_int_equal(call->request.epoch, EPOCH);
    assert_true(call->request.flags & SHERD_COMMITTED);
    assert_memory_equal(call->key, "key", 3);
    if (with_shard) {
        assert_int_equal(call->request.shard.size, 2);
        assert_memory_equal(call->request.shard.data, shards[0], 2);
        assert_int_equal(call->request.crc, sherd_crc32c(shards[0], 2));
    } else {
        assert_null(call->request.shard.data);
    }
    fake_answer_kind(call, SHERD_ACK);
}

static void run_row(void **state)
{
    const struct row *row = *state;
    struct world *w = open_world(row->kind == SHERD_PASS_REBUILD);

    add_key(w, row->slots);
    assert_int_equal(sherd_pass_start(&w->pass, row->kind, 0, 0, &w->sealed, &w->turn), 0);
    assert_int_equal(w->engine->options.with_shards, row->kind == SHERD_PASS_REBUILD);
    sherd_pass_turn(&w->pass, &w->sealed, &w->turn);
    if (row->calls[0]) assert_int_equal(w->pass.state, SHERD_PASS_RUNNING);
    if (row->calls[0] == 'I' || row->calls[0] == 'T') check_insert(w, row->calls[0] == 'I');
    assert_int_equal(fake_op_count(w->engine), row->calls[0] == 'R');
    if (row->calls[0] == 'R') {
        assert_int_equal(w->engine->ops[0]->kind, SHERD_OP_REPAIR);
        fake_finish(w->engine, SHERD_OK);
    }
    assert_null(fake_call(w->engine, SHERD_INSERT));
    sherd_pass_turn(&w->pass, &w->sealed, &w->turn);
    assert_int_equal(w->pass.state, SHERD_PASS_DONE);
    assert_int_equal(w->pass.keys, 1);
    close_world(w);
}

/* Ends of a pass over one key that must be inserted (REBUILD) or repaired (SCAN). */
static struct end_row {
    const char *name;
    uint32_t heard;
    enum sherd_listing_state end;
    enum sherd_outcome outcome; /* of the REPAIR */
    uint8_t answer;             /* to the INSERT; 0: none came */
    bool scan, done;
} end_rows[] = {
    {"all is well",             6, SHERD_LISTING_END,    SHERD_OK,        SHERD_ACK,  false, true },
    {"the store is full",       6, SHERD_LISTING_END,    SHERD_OK,        SHERD_NACK, false, false},
    {"the insert got lost",     6, SHERD_LISTING_END,    SHERD_OK,        0,          false, false},
    {"a voter is silent",       2, SHERD_LISTING_END,    SHERD_OK,        SHERD_ACK,  false, false},
    {"a new epoch",             6, SHERD_LISTING_STALE,  SHERD_OK,        SHERD_ACK,  false, false},
    {"too few answer",          6, SHERD_LISTING_FAILED, SHERD_OK,        SHERD_ACK,  false, false},
    {"scan: all is well",       7, SHERD_LISTING_END,    SHERD_OK,        0,          true,  true },
    {"scan: no value there",    7, SHERD_LISTING_END,    SHERD_NOT_FOUND, 0,          true,  true },
    {"scan: a repair failed",   7, SHERD_LISTING_END,    SHERD_NO_QUORUM, 0,          true,  false},
    {"scan: a voter is silent", 5, SHERD_LISTING_END,    SHERD_OK,        0,          true,  false},
};

static void run_end(void **state)
{
    const struct end_row *row = *state;
    enum sherd_pass_kind kind = row->scan ? SHERD_PASS_SCAN : SHERD_PASS_REBUILD;
    struct world *w = open_world(!row->scan);

    add_key(w, (const char *const[]){"", "c1", "c1"});
    w->engine->heard = row->heard;
    w->engine->end = row->end;
    sherd_pass_start(&w->pass, kind, 0, 0, &w->sealed, &w->turn);
    sherd_pass_turn(&w->pass, &w->sealed, &w->turn);
    if (row->scan)
        fake_finish(w->engine, row->outcome);
    else if (row->answer)
        fake_answer_kind(fake_call(w->engine, SHERD_INSERT), row->answer);
    else
        fake_answer(fake_call(w->engine, SHERD_INSERT), NULL);
    sherd_pass_turn(&w->pass, &w->sealed, &w->turn);
    assert_int_equal(w->pass.state, row->done ? SHERD_PASS_DONE : SHERD_PASS_AGAIN);
    close_world(w);
}

/* 4+2 voters, one of them silent: the others know of every complete write. */
static void a_silent_voter_is_no_obstacle_where_the_rest_is_fresh(void **state)
{
    struct world *w = open_world(true);
    struct sherd_partition *p = &w->sealed.map->partitions[0];

    (void)state;
    w->sealed.map->k = 2;
    w->sealed.map->m = 2; /* 2+2: q = 3, so any two of four meet a write */
    p->node[3] = 9;
    p->incarnation[3] = 4;
    p->voters = 14;
    for (int i = 0; i < 2; i++) {
        p->open[i].voters = i == 0 ? 15 : 14;
        p->open[i].incarnation[3] = 4;
        p->open[i].node[3] = 9;
    }
    w->engine->heard = 6;
    sherd_pass_start(&w->pass, SHERD_PASS_REBUILD, 0, 0, &w->sealed, &w->turn);
    sherd_pass_turn(&w->pass, &w->sealed, &w->turn);
    assert_int_equal(w->pass.state, SHERD_PASS_DONE);
    close_world(w);
}

static void answers_of_another_epoch_are_not_looked_at(void **state)
{
    struct world *w = open_world(true);

    (void)state;
    add_key(w, (const char *const[]){"", "c1", "c1"});
    w->engine->epoch = EPOCH + 1;
    sherd_pass_start(&w->pass, SHERD_PASS_REBUILD, 0, 0, &w->sealed, &w->turn);
    sherd_pass_turn(&w->pass, &w->sealed, &w->turn);
    assert_int_equal(w->pass.state, SHERD_PASS_AGAIN);
    assert_int_equal(w->engine->call_count, 0);
    close_world(w);
}

static void a_new_map_ends_it_but_not_before_what_is_in_flight(void **state)
{
    struct world *w = open_world(true);

    (void)state;
    add_key(w, (const char *const[]){"", "c1", "c1"});
    w->engine->end = SHERD_LISTING_WAIT;
    sherd_pass_start(&w->pass, SHERD_PASS_REBUILD, 0, 0, &w->sealed, &w->turn);
    sherd_pass_turn(&w->pass, &w->sealed, &w->turn);
    w->sealed.map->partitions[0].epoch = EPOCH + 1;
    sherd_pass_turn(&w->pass, &w->sealed, &w->turn);
    assert_int_equal(w->engine->listings_open, 0);
    assert_int_equal(w->pass.state, SHERD_PASS_RUNNING);
    fake_answer(fake_call(w->engine, SHERD_INSERT), NULL);
    sherd_pass_turn(&w->pass, &w->sealed, &w->turn);
    assert_int_equal(w->pass.state, SHERD_PASS_AGAIN);
    close_world(w);
}

static void the_rate_is_kept(void **state)
{
    struct world *w = open_world(true);

    (void)state;
    for (int i = 0; i < 30; i++)
        add_key(w, (const char *const[]){"", "c1", "c1"});
    w->tools.rate.bytes_per_second = 100; /* shards have 2 bytes: a burst of 0.1 s is 5 of them */
    sherd_rate_fill(&w->tools.rate, NOW_MS);
    w->tools.rate.tokens = 10;
    sherd_pass_start(&w->pass, SHERD_PASS_REBUILD, 0, 0, &w->sealed, &w->turn);
    sherd_pass_turn(&w->pass, &w->sealed, &w->turn);
    assert_int_equal(fake_call_count(w->engine, SHERD_INSERT), 5);
    sherd_rate_fill(&w->tools.rate, NOW_MS + 40);
    sherd_pass_turn(&w->pass, &w->sealed, &w->turn);
    assert_int_equal(fake_call_count(w->engine, SHERD_INSERT), 7);
    close_world(w);
}

static void repairs_in_flight_are_bounded(void **state)
{
    struct world *w = open_world(false);

    (void)state;
    for (int i = 0; i < 40; i++)
        add_key(w, (const char *const[]){"", "c1", "c1"});
    sherd_pass_start(&w->pass, SHERD_PASS_SCAN, 0, 0, &w->sealed, &w->turn);
    sherd_pass_turn(&w->pass, &w->sealed, &w->turn);
    assert_int_equal(fake_op_count(w->engine), 32);
    fake_finish(w->engine, SHERD_OK);
    sherd_pass_turn(&w->pass, &w->sealed, &w->turn);
    assert_int_equal(fake_op_count(w->engine), 32);
    close_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_voter_is_no_obstacle_where_the_rest_is_fresh),
        cmocka_unit_test(answers_of_another_epoch_are_not_looked_at),
        cmocka_unit_test(a_new_map_ends_it_but_not_before_what_is_in_flight),
        cmocka_unit_test(the_rate_is_kept),
        cmocka_unit_test(repairs_in_flight_are_bounded),
    };
    struct CMUnitTest keys[LEN(rows)] = {0}, ends[LEN(end_rows)] = {0};

    for (size_t i = 0; i < LEN(rows); i++)
        keys[i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = run_row, .initial_state = &rows[i]};
    for (size_t i = 0; i < LEN(end_rows); i++)
        ends[i] = (struct CMUnitTest){
            .name = end_rows[i].name, .test_func = run_end, .initial_state = &end_rows[i]};
    return cmocka_run_group_tests_name("pass: keys", keys, NULL, NULL) +
           cmocka_run_group_tests_name("pass: ends", ends, NULL, NULL) +
           cmocka_run_group_tests_name("pass", tests, NULL, NULL);
}
