/* A node's view of the map: what it takes over, what it drops, whom it turns away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "coord/partition.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { CLUSTER = 77, ME = 2, LIFE = 500, PARTITIONS = 2, SLOT = 1 };

struct fixture {
    struct sherd_partitions all;
    struct sherd_partition_state states[PARTITIONS];
    struct sherd_map *map;
    uint8_t drop[SHERD_PARTITIONS / 8];
};

/* 2+1 on nodes 1, 2, 3; this node is 2 and holds slot 1 of both partitions as voter. */
static void make_map(struct fixture *f)
{
    struct sherd_map *map = f->map;

    map->cluster = CLUSTER;
    map->version = 1;
    map->k = 2;
    map->m = 1;
    map->node_count = 4;
    map->partition_count = PARTITIONS;
    map->nodes[ME].incarnation = LIFE;
    map->nodes[ME].since = 1;
    for (unsigned i = 0; i < PARTITIONS; i++) {
        struct sherd_partition *p = &map->partitions[i];
        p->epoch = 1;
        p->voters = 7;
        p->open_count = 1;
        for (uint8_t slot = 0; slot < 3; slot++) {
            p->node[slot] = (uint16_t)(slot + 1);
            p->incarnation[slot] = 10u * i + slot + 1;
        }
        p->open[0] = (struct sherd_epoch){.epoch = 1, .voters = 7};
    }
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f) return -1;
    f->map = calloc(1, sherd_map_size(PARTITIONS));
    f->all = (struct sherd_partitions){
        .node = ME, .incarnation = LIFE, .count = PARTITIONS, .states = f->states};
    make_map(f);
    *state = f;
    return f->map ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    free(f->map);
    free(f);
    return 0;
}

static int seal(struct fixture *f, uint64_t hash)
{
    return sherd_partitions_seal(&f->all, f->map, hash, f->drop);
}

/* A new map on top of the one held, in which partition 0 enters a new epoch. */
static struct sherd_partition *next_map(struct fixture *f)
{
    struct sherd_partition *p = &f->map->partitions[0];

    f->map->version = f->all.version + 1;
    f->map->predecessor = f->all.hash;
    f->map->live = f->all.live;
    p->epoch = (uint32_t)f->map->version;
    p->open[p->open_count++] = (struct sherd_epoch){.epoch = p->epoch, .voters = p->voters};
    return p;
}

static enum sherd_reason check(const struct fixture *f, uint32_t epoch, uint8_t slot)
{
    return sherd_partitions_check(&f->all, 0, epoch, slot);
}

static void test_first_map(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(check(f, 1, SLOT), SHERD_REASON_STRANGER);
    assert_int_equal(seal(f, 100), 0);
    assert_int_equal(f->drop[0], 3); /* whatever an earlier cluster left */
    assert_int_equal(f->all.cluster, CLUSTER);
    assert_int_equal(f->states[0].floor.epoch, 1);
    assert_int_equal(f->states[0].incarnation, 2);
    assert_int_equal(f->states[0].slot, SLOT);
    assert_true(f->states[0].voter && f->states[0].clean && !f->states[0].lost);
    assert_int_equal(f->states[0].holders, 7);
    assert_int_equal(check(f, 1, SLOT), SHERD_REASON_SEALING);
    sherd_partitions_live(&f->all, 1);
    assert_int_equal(check(f, 1, SLOT), SHERD_REASON_NONE);
}

static void test_who_is_turned_away(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(seal(f, 100), 0);
    sherd_partitions_live(&f->all, 1);
    assert_int_equal(check(f, 1, SLOT + 1), SHERD_REASON_STRANGER);
    assert_int_equal(check(f, 2, SLOT), SHERD_REASON_EPOCH);
    assert_int_equal(check(f, 0, SLOT), SHERD_REASON_EPOCH);
    assert_int_equal(sherd_partitions_check(&f->all, PARTITIONS, 1, SLOT), SHERD_REASON_STRANGER);
}

static void test_a_seal_shuts_the_old_epoch(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(seal(f, 100), 0);
    sherd_partitions_live(&f->all, 1);
    f->states[0].floor = (struct sherd_ballot){.epoch = 1, .clock = 99};
    f->states[1].floor = (struct sherd_ballot){.epoch = 1, .clock = 98};
    next_map(f);
    assert_int_equal(seal(f, 200), 0);
    assert_int_equal(f->drop[0], 0); /* the same memory goes on */
    assert_int_equal(check(f, 1, SLOT), SHERD_REASON_EPOCH);
    assert_int_equal(check(f, 2, SLOT), SHERD_REASON_SEALING);
    assert_true(sherd_ballot_equal(f->states[0].floor, (struct sherd_ballot){.epoch = 2}));
    assert_int_equal(f->states[1].floor.clock, 98); /* its epoch did not change: it goes on */
    assert_int_equal(sherd_partitions_check(&f->all, 1, 1, SLOT), SHERD_REASON_NONE);
    assert_false(f->states[0].clean);
    sherd_partitions_live(&f->all, 2);
    assert_int_equal(check(f, 2, SLOT), SHERD_REASON_NONE);
}

static void test_live_is_not_believed_ahead(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(seal(f, 100), 0);
    sherd_partitions_live(&f->all, 2); /* of a map not seen yet: epoch 1 may never have been live */
    assert_int_equal(check(f, 1, SLOT), SHERD_REASON_SEALING);
    sherd_partitions_live(&f->all, 1);
    sherd_partitions_live(&f->all, 0);
    assert_int_equal(f->all.live, 1);
}

static void test_maps_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(seal(f, 100), 0);
    assert_int_equal(seal(f, 100), 0); /* again: nothing new */
    assert_int_equal(f->drop[0], 0);
    assert_int_equal(seal(f, 101), -EPROTO); /* the same version, but not the same map */

    next_map(f);
    f->map->predecessor = 99;
    assert_int_equal(seal(f, 200), -EPROTO);
    f->map->predecessor = 100;
    f->map->cluster++;
    assert_int_equal(seal(f, 200), -EPROTO);
    f->map->cluster--;
    f->map->partition_count--;
    assert_int_equal(seal(f, 200), -EPROTO);
    f->map->partition_count++;
    assert_int_equal(f->all.version, 1);
    assert_int_equal(f->states[0].epoch, 1);
    f->map->version = 3; /* maps between were not seen: its predecessor is not mine */
    f->map->predecessor = 99;
    assert_int_equal(seal(f, 300), 0);
    f->map->version = 2;
    assert_int_equal(seal(f, 200), -ESTALE);
}

/* What the map may say about this node's slot, and what becomes of the data under it. */
enum change { SAME, LEARNER, VACANT, MOVED, OTHER_SLOT, OTHER_LIFE, EARLIER_LIFE };
static struct change_row {
    const char *name;
    enum change change;
    bool drop, holds, voter;
} changes[] = {
    {"the same slot, voter",                    SAME,         false, true,  true },
    {"learner under a new incarnation",         LEARNER,      true,  true,  false},
    {"vacated",                                 VACANT,       true,  false, false},
    {"another node has the slot",               MOVED,        true,  false, false},
    {"another slot",                            OTHER_SLOT,   true,  true,  true },
    {"the map speaks of another life",          OTHER_LIFE,   true,  false, false},
    {"the incarnation is from an earlier life", EARLIER_LIFE, true,  false, false},
};

static void apply(struct fixture *f, enum change change)
{
    struct sherd_partition *p = next_map(f);

    switch (change) {
    case SAME: break;
    case LEARNER:
        p->incarnation[SLOT] = 90;
        p->voters = 5;
        p->learners = 2;
        break;
    case VACANT: p->voters = 5; break; /* node[] still names it: it may come back */
    case MOVED:
        p->node[SLOT] = 0;
        p->incarnation[SLOT] = 90;
        break;
    case OTHER_SLOT:
        p->node[SLOT] = 1;
        p->node[0] = ME;
        p->incarnation[0] = 90;
        break;
    case OTHER_LIFE: f->map->nodes[ME].incarnation = LIFE + 1; break;
    case EARLIER_LIFE: f->map->nodes[ME].since = 90; break;
    }
}

static void test_change(void **state)
{
    const struct change_row *row = *state;
    void *made = NULL;

    assert_int_equal(setup(&made), 0);
    struct fixture *f = made;
    if (!f) return;
    assert_int_equal(seal(f, 100), 0);
    apply(f, row->change);
    assert_int_equal(seal(f, 200), 0);
    assert_int_equal(f->drop[0] & 1, row->drop);
    assert_int_equal(f->states[0].incarnation != 0, row->holds);
    assert_int_equal(f->states[0].voter, row->voter);
    assert_int_equal(f->states[0].epoch, 2); /* it has left the old epoch in any case */
    sherd_partitions_live(&f->all, 2);
    assert_int_equal(check(f, 2, f->states[0].slot),
                     row->holds ? SHERD_REASON_NONE : SHERD_REASON_STRANGER);
    teardown(&made);
}

static void test_marks_follow_every_map(void **state)
{
    struct fixture *f = *state;
    struct sherd_partition *p = NULL;

    assert_int_equal(seal(f, 100), 0);
    p = next_map(f);
    assert_int_equal(seal(f, 200), 0);
    p->open[0] = p->open[1];
    p->open_count = 1;
    f->map->version = 3;
    f->map->predecessor = 200;
    f->map->live = 3;
    f->map->partitions[1].lost = 1;
    assert_int_equal(seal(f, 300), 0);
    assert_int_equal(f->states[0].epoch, 2);
    assert_true(f->states[0].clean);
    assert_true(f->states[1].lost && !f->states[1].clean);
    assert_int_equal(check(f, 2, SLOT), SHERD_REASON_NONE); /* live came with the map */
    assert_int_equal(sherd_partitions_check(&f->all, 1, 1, SLOT), SHERD_REASON_LOST);
}

/* A map that knows fewer nodes: this one is not among them. */
static void test_a_map_without_this_node(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(seal(f, 100), 0);
    next_map(f);
    f->map->node_count = ME;
    assert_int_equal(seal(f, 200), 0);
    assert_int_equal(f->drop[0] & 1, 1);
    assert_int_equal(f->states[0].incarnation, 0);
    assert_false(f->states[0].voter);
}

/* Only a new incarnation is a new memory: no map with the old one brings it back. */
static void test_what_is_forgotten_answers_no_more(void **state)
{
    struct fixture *f = *state;
    struct sherd_partition *p = &f->map->partitions[0];

    assert_int_equal(seal(f, 100), 0);
    sherd_partitions_live(&f->all, 1);
    sherd_partitions_forget(&f->all, 0);
    assert_int_equal(check(f, 1, SLOT), SHERD_REASON_STRANGER);
    assert_int_equal(sherd_partitions_check(&f->all, 1, 1, SLOT), SHERD_REASON_NONE);
    assert_true(sherd_partitions_is_forgotten(p, ME, f->states[0].forgotten));
    next_map(f);
    assert_int_equal(seal(f, 200), 0);
    sherd_partitions_live(&f->all, 2);
    assert_int_equal(check(f, 2, SLOT), SHERD_REASON_STRANGER);
    assert_false(f->states[0].voter);
    assert_int_equal(f->states[0].floor.epoch, 2);

    next_map(f);
    p->incarnation[SLOT] = 99;
    assert_int_equal(seal(f, 300), 0);
    sherd_partitions_live(&f->all, 3);
    assert_int_equal(check(f, 3, SLOT), SHERD_REASON_NONE);
    assert_true(f->states[0].voter);
    assert_int_equal(f->drop[0] & 1, 1);
    assert_false(sherd_partitions_is_forgotten(p, ME, f->states[0].forgotten));
    assert_false(sherd_partitions_is_forgotten(p, ME, 0));
}

/* There is nothing to forget. */
static void test_who_holds_nothing_forgets_nothing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(seal(f, 100), 0);
    sherd_partitions_forget(&f->all, 0);
    sherd_partitions_forget(&f->all, 0); /* once more */
    assert_int_equal(f->states[0].forgotten, 2);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    struct CMUnitTest tests[LEN(changes) + 9] = {
        WITH_FIXTURE(test_first_map),
        WITH_FIXTURE(test_who_is_turned_away),
        WITH_FIXTURE(test_a_seal_shuts_the_old_epoch),
        WITH_FIXTURE(test_live_is_not_believed_ahead),
        WITH_FIXTURE(test_maps_refused),
        WITH_FIXTURE(test_marks_follow_every_map),
        WITH_FIXTURE(test_a_map_without_this_node),
        WITH_FIXTURE(test_what_is_forgotten_answers_no_more),
        WITH_FIXTURE(test_who_holds_nothing_forgets_nothing),
    };

    for (size_t i = 0; i < LEN(changes); i++)
        tests[i + 9] = (struct CMUnitTest){
            .name = changes[i].name, .test_func = test_change, .initial_state = &changes[i]};
    return cmocka_run_group_tests_name("partition", tests, NULL, NULL);
}
