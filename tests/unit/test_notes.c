/* What a service with a store on disk knows again after a restart, and after a sync that failed. */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <sherd/ecc.h>

#include "coord/map_codec.h"
#include "server/service_parts.h"
#include "tests/support/fake_engine.h"

enum { PARTITIONS = 2, NODES = 3, LIFE = 77 };

static struct sherd_service *s;
static struct sherd_conf conf;
static struct sherd_progress progress;
static char folder[64];
static struct sherd_map *map; /* partition i's slot n is held by node (i + n) % 3; this is node 0 */

/* The process begins: nothing is known but what the store has. */
static int begin(uint64_t incarnation)
{
    s = calloc(1, sizeof(*s));
    assert_non_null(s);
    memset(&progress, 0, sizeof(progress));
    s->conf = &conf;
    s->progress = &progress;
    s->now_ms = 100000;
    s->wall_ms = UINT64_C(1700000000000);
    s->undecided.count_max = s->repair.count_max = s->dead.count_max = 8;
    s->partitions = (struct sherd_partitions){.node = (uint16_t)conf.self,
                                              .incarnation = incarnation,
                                              .count = PARTITIONS,
                                              .states = s->states};
    return sherd_service_open_store(s);
}

static void end(void)
{
    sherd_queue_fini(&s->undecided);
    sherd_queue_fini(&s->repair);
    sherd_queue_fini(&s->dead);
    if (s->store) s->store->ops->close(s->store);
    free(s->map);
    free(s);
}

static void again(uint64_t incarnation)
{
    end();
    assert_int_equal(begin(incarnation), 0);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "%s/sherd-notes-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder)) return -1;
    conf = (struct sherd_conf){.store = "lmdb", .self = 0, .partitions = PARTITIONS};
    snprintf(conf.state_dir, sizeof(conf.state_dir), "%s", folder);
    map = fake_map(PARTITIONS, NODES);
    map->nodes[0].incarnation = LIFE;
    return begin(LIFE);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    end();
    free(map);
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void serve(struct sherd_request r, bool is_local)
{
    struct sherd_router_reply reply = {0};

    r.shard_frame = -1;
    sherd_service_request(s, &r, is_local, NULL, &reply);
    sherd_router_reply_fini(&reply);
}

static void seal(void)
{
    uint8_t *bytes = NULL;
    struct sherd_request r = {.kind = SHERD_SEAL, .body = fake_encode(map, &bytes)};

    serve(r, true);
    free(bytes);
}

static int sync_all(void)
{
    int saved = sherd_service_save_notes(s), rc = s->store->ops->sync(s->store);

    if (rc == 0) rc = saved;
    if (rc == 0) sherd_service_tell_forgotten(s);
    return rc;
}

static void a_memory_keeps_its_name(void **state)
{
    (void)state;
    assert_false(s->kept);
    assert_int_equal(s->partitions.incarnation, LIFE);
    again(LIFE + 1);
    assert_true(s->kept);
    assert_int_equal(s->partitions.incarnation, LIFE);
    assert_true(s->undecided_lost); /* what was to be swept is looked for */
}

static void the_map_that_was_sealed_is_there_again(void **state)
{
    size_t size;

    (void)state;
    seal();
    size = s->map_size;
    assert_true(size > 0);
    assert_int_equal(sync_all(), 0);
    again(LIFE + 1);
    assert_int_equal(s->map_size, size);
    assert_int_equal(s->partitions.version, map->version);
    assert_int_equal(s->partitions.live, map->live);
    assert_int_equal(s->states[0].incarnation, map->partitions[0].incarnation[0]);
    assert_true(s->states[0].voter);
    assert_int_equal(sherd_partitions_check(&s->partitions, 0, map->partitions[0].epoch, 0),
                     SHERD_REASON_NONE);
}

static void a_seal_that_was_not_synced_is_none(void **state)
{
    (void)state;
    seal();
    again(LIFE + 1);
    assert_int_equal(s->partitions.version, 0);
    assert_int_equal(s->map_size, 0);
}

static void a_floor_never_sinks(void **state)
{
    struct sherd_ballot floor;

    (void)state;
    seal();
    floor = sherd_service_raise_floor(s, 1);
    assert_true(floor.clock > 0);
    assert_int_equal(sync_all(), 0);
    again(LIFE + 1);
    assert_true(sherd_ballot_equal(s->states[1].floor, floor));
    assert_int_equal(s->states[0].floor.clock, 0);
}

static void what_was_forgotten_stays_forgotten(void **state)
{
    uint32_t incarnation;

    (void)state;
    seal();
    incarnation = s->states[0].incarnation;
    sherd_service_forget(s, 0);
    assert_int_equal(progress.forgotten_slots[0], 0); /* the keeper may not hear of it yet */
    assert_int_equal(sync_all(), 0);
    assert_int_equal(progress.forgotten_slots[0], incarnation);
    again(LIFE + 1);
    assert_int_equal(s->states[0].incarnation, 0);
    assert_int_equal(progress.forgotten_slots[0], incarnation);
    assert_int_equal(sherd_partitions_check(&s->partitions, 0, map->partitions[0].epoch, 0),
                     SHERD_REASON_STRANGER);
    assert_true(s->states[1].incarnation != 0);
}

/* As after a sync that failed: memory and store are what they were before the turn. */
static void what_was_undone_is_forgotten_in_memory_too(void **state)
{
    uint64_t version;

    (void)state;
    seal();
    assert_int_equal(sync_all(), 0);
    version = s->partitions.version;
    map->version++;
    map->partitions[0].epoch++;
    map->partitions[0].open[0].epoch++;
    map->predecessor = s->partitions.hash;
    seal();
    sherd_service_raise_floor(s, 1);
    assert_int_equal(s->partitions.version, version + 1);
    assert_int_equal(sherd_service_restore(s), 0);
    assert_int_equal(s->partitions.version, version);
    assert_int_equal(s->states[0].epoch, version);
    assert_int_equal(s->states[1].floor.clock, 0);
    assert_false(s->unsaved || s->map_unsaved);
}

static void what_is_live_stays_live(void **state)
{
    (void)state;
    map->live = 0;
    seal();
    assert_int_equal(sync_all(), 0);
    serve((struct sherd_request){.kind = SHERD_LIVE, .since = map->version}, true);
    assert_int_equal(s->partitions.live, map->version);
    assert_int_equal(sherd_service_restore(s), 0); /* as after a sync that failed */
    assert_int_equal(s->partitions.live, map->version);
    serve((struct sherd_request){.kind = SHERD_LIVE, .since = map->version}, true);
    s->unsaved = true;
    assert_int_equal(sync_all(), 0);
    again(LIFE + 1);
    assert_int_equal(s->partitions.live, map->version);
}

static uint64_t seen_after_restart(void)
{
    s->unsaved = true;
    assert_int_equal(sync_all(), 0);
    again(LIFE + 1);
    return progress.seen;
}

static void who_had_repairs_to_do_looks_at_everything(void **state)
{
    struct sherd_store_key key = {
        0, 7, {"k", 1}
    };

    (void)state;
    progress.seen = 1234;
    assert_int_equal(seen_after_restart(), 1234);
    progress.seen = 2345;
    sherd_service_repair_later(s, &key, 0);
    assert_int_equal(seen_after_restart(), 0);
    progress.seen = 3456;
    progress.backlog = 1;
    assert_int_equal(seen_after_restart(), 0);
    progress.seen = 4567;
    progress.rescan_asked[3] = 1;
    assert_int_equal(seen_after_restart(), 0);
    progress.seen = 5678;
    assert_int_equal(seen_after_restart(), 5678);
}

static void an_idle_node_says_now_and_then_that_it_missed_nothing(void **state)
{
    (void)state;
    progress.seen = 1;
    assert_int_equal(sync_all(), 0);
    progress.seen = 2;
    assert_int_equal(sync_all(), 0); /* too early for that alone */
    s->now_ms += 10000;
    progress.seen = 3;
    assert_int_equal(sync_all(), 0);
    progress.seen = 4;
    assert_int_equal(sync_all(), 0);
    again(LIFE + 1);
    assert_int_equal(progress.seen, 3);
}

static void another_nodes_store_is_refused(void **state)
{
    char mine[96], theirs[96];

    (void)state;
    end();
    snprintf(mine, sizeof(mine), "%s/store-0", folder);
    snprintf(theirs, sizeof(theirs), "%s/store-1", folder);
    assert_int_equal(rename(mine, theirs), 0);
    conf.self = 1;
    s = NULL;
    assert_int_equal(begin(LIFE + 1), -EPROTO); /* node 0, says who calls */
}

static void what_is_damaged_is_set_aside(void **state)
{
    char path[96];

    (void)state;
    end();
    snprintf(path, sizeof(path), "%s/store-0/data", folder);
    assert_int_equal(truncate(path, 5000), 0);
    assert_int_equal(begin(LIFE + 1), 0);
    assert_false(s->kept);
    assert_int_equal(s->partitions.incarnation, LIFE + 1);
    snprintf(path, sizeof(path), "%s/store-0.damaged/data", folder);
    assert_int_equal(access(path, F_OK), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_memory_keeps_its_name),
        TEST(the_map_that_was_sealed_is_there_again),
        TEST(a_seal_that_was_not_synced_is_none),
        TEST(a_floor_never_sinks),
        TEST(what_was_forgotten_stays_forgotten),
        TEST(what_was_undone_is_forgotten_in_memory_too),
        TEST(what_is_live_stays_live),
        TEST(who_had_repairs_to_do_looks_at_everything),
        TEST(an_idle_node_says_now_and_then_that_it_missed_nothing),
        TEST(another_nodes_store_is_refused),
        TEST(what_is_damaged_is_set_aside),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
