/* What a service does without being asked: what one request makes it look at later, and the walk
 * over its store. No thread and no socket: one partition, slot 1 of 2+1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sherd/ecc.h>

#include "server/service_parts.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { SLOT = 1, EPOCH = 3, MINUTE_MS = 60000 };
#define WALL_MS UINT64_C(1700000000000)

static struct sherd_service *s;
static struct sherd_conf conf;
static struct sherd_progress progress;

static int set_up(void **state)
{
    struct sherd_partition_state *p;

    (void)state;
    s = calloc(1, sizeof(*s));
    if (!s || sherd_store_memory_open(1 << 20, &s->store) < 0) return -1;
    s->conf = &conf;
    s->progress = &progress;
    s->now_ms = 10 * MINUTE_MS;
    s->wall_ms = WALL_MS;
    s->partitions = (struct sherd_partitions){
        .cluster = 5, .version = EPOCH, .live = EPOCH, .count = 1, .states = s->states};
    s->undecided.count_max = s->repair.count_max = s->dead.count_max = 8;
    p = &s->states[0];
    p->epoch = EPOCH;
    p->incarnation = 9;
    p->slot = SLOT;
    p->voter = p->clean = true;
    p->holders = 7;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sherd_queue_fini(&s->undecided);
    sherd_queue_fini(&s->repair);
    sherd_queue_fini(&s->dead);
    free(s->repair_page.data);
    s->store->ops->close(s->store);
    free(s);
    return 0;
}

/* A request for the one key; its ballot was drawn so long ago. */
static struct sherd_request request_of(enum sherd_message_kind kind, uint64_t age_ms)
{
    struct sherd_ballot b = {.clock = (WALL_MS - age_ms) << 16, .client = 1, .epoch = EPOCH};

    return (struct sherd_request){
        .kind = (uint8_t)kind,
        .slot = SLOT,
        .epoch = EPOCH,
        .key = {"k",       1            },
        .ballot = b,
        .version = b,
        .meta = {.size = 2, .checksum = 1},
        .shard = {"x",       1            },
        .shard_frame = -1
    };
}

static void serve(struct sherd_request r)
{
    struct sherd_router_reply reply = {0};

    sherd_service_request(s, &r, false, NULL, &reply);
    sherd_router_reply_fini(&reply);
}

static struct sherd_record held(void)
{
    struct sherd_store_key key = {
        0, sherd_hash_key("k", 1), {"k", 1}
    };
    struct sherd_record record;

    s->store->ops->load(s->store, &key, true, &record);
    return record;
}

static void an_undecided_entry_is_swept_by_the_slots_in_turn(void **state)
{
    struct sherd_queue_item item;
    uint64_t due_ms = s->now_ms + SHERD_SWEEP_AFTER_MS + SLOT * SHERD_SWEEP_PER_SLOT_MS;

    (void)state;
    serve(request_of(SHERD_PREPARE, 0));
    assert_int_equal(s->undecided.count, 1);
    assert_false(sherd_queue_pop_due(&s->undecided, due_ms - 1, &item));
    assert_true(sherd_queue_pop_due(&s->undecided, due_ms, &item));
    assert_int_equal(s->repair.count, 0);
}

/* The undecided entries that are queued, taken off when they are due. Returns how many. */
static size_t take_undecided(uint64_t *hash)
{
    struct sherd_queue_item item;
    size_t count = 0;

    while (sherd_queue_pop_due(&s->undecided, UINT64_MAX, &item)) {
        *hash = item.hash;
        count++;
    }
    return count;
}

static void serve_key(enum sherd_message_kind kind, const char *name)
{
    struct sherd_request r = request_of(kind, 0);

    r.key = (struct sherd_bytes){name, strlen(name)};
    serve(r);
}

static void what_the_queue_of_the_sweep_lost_is_found_at_once(void **state)
{
    const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    uint64_t hash = 0;

    (void)state;
    sherd_service_walk(s); /* over nothing: the next one is due only after a pause */
    for (size_t i = 0; i < LEN(names); i++)
        serve_key(SHERD_PREPARE, names[i]);
    serve_key(SHERD_PREPARE, "lost");
    assert_int_equal(s->undecided.count, LEN(names));
    for (size_t i = 0; i < LEN(names); i++)
        serve_key(SHERD_COMMIT, names[i]);
    sherd_service_walk(s);
    assert_int_equal(take_undecided(&hash), 1);
    assert_true(hash == sherd_hash_key("lost", 4));
}

static void what_is_queued_is_not_queued_twice(void **state)
{
    uint64_t hash = 0;

    (void)state;
    serve_key(SHERD_PREPARE, "a");
    for (unsigned i = 0; i < 3; i++) {
        s->undecided_lost = true;
        s->now_ms += MINUTE_MS;
        sherd_service_walk(s);
        s->now_ms += MINUTE_MS;
        sherd_service_walk(s);
    }
    assert_int_equal(take_undecided(&hash), 1);
}

/* Else nothing would ever be, where there are always more than the queue has room for. */
static void what_was_found_is_listed_before_it_is_looked_for_again(void **state)
{
    struct sherd_queue_item item;

    (void)state;
    s->undecided.count_max = 1;
    serve_key(SHERD_PREPARE, "a");
    serve_key(SHERD_PREPARE, "b");
    s->states[0].slot = SHERD_SLOTS_MAX - 1; /* the last in turn to finish what is found */
    for (unsigned waited_ms = 0; !sherd_queue_pop_due(&s->undecided, s->now_ms, &item);) {
        sherd_service_walk(s);
        s->now_ms += SHERD_TICK_MS;
        waited_ms += SHERD_TICK_MS;
        assert_true(waited_ms < MINUTE_MS);
    }
}

static void a_commit_of_what_is_not_here_is_repaired(void **state)
{
    (void)state;
    serve(request_of(SHERD_COMMIT, 0));
    assert_int_equal(s->repair.count, 1);
}

static void commit_with_mask(uint32_t acked)
{
    struct sherd_request r = request_of(SHERD_COMMIT, 0);

    serve(request_of(SHERD_PREPARE, 0));
    r.acked = acked;
    serve(r);
}

/* How many bytes of keys a page of those to be repaired has. `arrived`: pages, so far. */
static size_t list_repair(uint64_t arrived)
{
    struct sherd_request r = {.kind = SHERD_LIST, .what = SHERD_LIST_REPAIR, .since = arrived};
    struct sherd_answer a = {0};

    sherd_service_list(s, &r, &a);
    return a.body.size;
}

static void a_page_of_repairs_is_sent_until_it_has_arrived(void **state)
{
    (void)state;
    commit_with_mask(6);
    assert_int_equal(s->repair.count, 1);
    s->now_ms += MINUTE_MS;
    assert_true(list_repair(0) > 0);
    assert_int_equal(s->repair.count, 0);
    assert_true(list_repair(0) > 0);
    assert_int_equal(list_repair(1), 0);
}

static void the_lowest_holder_repairs_who_is_not_in_the_mask(void **state)
{
    (void)state;
    commit_with_mask(6); /* slots 1 and 2 */
    assert_int_equal(s->repair.count, 1);
}

static void the_others_leave_it_to_it(void **state)
{
    (void)state;
    commit_with_mask(3); /* slots 0 and 1 */
    assert_int_equal(s->repair.count, 0);
}

/* The walk, over one entry. */
enum what { VALUE, TOMBSTONE, EXPIRING, UNDECIDED, UNDECIDED_TOMBSTONE };
enum { UNCLEAN = 1, FOLLOWS = 2 };
/* clang-format off */
static struct row {
    const char *name;
    enum what what;
    uint64_t age_ms, expired_ms; /* since its ballot, since its expiry */
    unsigned flags;
    const char *then; /* s: it has its shard; f: a round begins, after which it may be forgotten */
} rows[] = {
    {"a value stays",                        VALUE,       10 * MINUTE_MS, 0,             0, "s"},
    {"an old tombstone may go",              TOMBSTONE,   3 * MINUTE_MS,  0,             0, "f"},
    {"... not one above the floor",          TOMBSTONE,   MINUTE_MS,      0,             0, "" },
    {"... nor while the epoch is not clean", TOMBSTONE,   3 * MINUTE_MS,  0,       UNCLEAN, "" },
    {"... nor where another slot leads",     TOMBSTONE,   3 * MINUTE_MS,  0,       FOLLOWS, "" },
    {"... nor an undecided one",    UNDECIDED_TOMBSTONE,  3 * MINUTE_MS,  0,             0, "" },
    {"an expired value's shard is freed",    EXPIRING,    3 * MINUTE_MS,  MINUTE_MS,     0, "f"},
    {"... after a minute, not before",       EXPIRING,    3 * MINUTE_MS,  MINUTE_MS - 1, 0, "s"},
    {"what is undecided does not expire",    UNDECIDED,   3 * MINUTE_MS,  MINUTE_MS,     0, "s"},
};
/* clang-format on */

static void put(const struct row *row)
{
    struct sherd_request r = request_of(SHERD_PREPARE, row->age_ms);

    if (row->what == TOMBSTONE || row->what == UNDECIDED_TOMBSTONE) {
        r.meta = (struct sherd_meta){.flags = SHERD_META_TOMBSTONE};
        r.shard = (struct sherd_bytes){NULL, 0};
    }
    if (row->what == EXPIRING || row->what == UNDECIDED)
        r.meta.expires_ms = WALL_MS - row->expired_ms;
    serve(r);
    r.kind = SHERD_COMMIT;
    if (row->what != UNDECIDED && row->what != UNDECIDED_TOMBSTONE) serve(r);
}

static void run_row(void **state)
{
    const struct row *row = *state;
    struct sherd_record record;
    char then[4] = "";

    assert_int_equal(set_up(NULL), 0);
    put(row);
    s->states[0].clean = !(row->flags & UNCLEAN);
    s->states[0].holders = row->flags & FOLLOWS ? 7 : 6;
    sherd_service_walk(s);
    record = held();
    assert_int_equal(record.count, 1); /* the walk alone lets nothing go */
    if (record.entries[0].has_shard) strcat(then, "s");
    if (s->dead.count != 0) strcat(then, "f");
    assert_string_equal(then, row->then);
    tear_down(NULL);
}

static void the_floor_stays_behind_the_clock(void **state)
{
    struct sherd_ballot floor = sherd_service_raise_floor(s, 0);

    (void)state;
    assert_int_equal(floor.epoch, EPOCH);
    assert_int_equal(sherd_clock_wall_ms(floor.clock), WALL_MS - SHERD_FLOOR_BEHIND_MS);
    s->wall_ms -= MINUTE_MS; /* a clock that was set back lowers nothing */
    assert_true(sherd_ballot_equal(sherd_service_raise_floor(s, 0), floor));
}

static void a_ballot_below_the_floor_comes_too_late(void **state)
{
    (void)state;
    sherd_service_raise_floor(s, 0);
    serve(request_of(SHERD_PREPARE, SHERD_FLOOR_BEHIND_MS + 1));
    assert_int_equal(held().count, 0);
    serve(request_of(SHERD_PREPARE, SHERD_FLOOR_BEHIND_MS - 1));
    assert_int_equal(held().count, 1);
}

/* A committed value "k", whose shard fits its CRC or not. */
static void hold(bool rotten)
{
    struct sherd_request r = request_of(SHERD_PREPARE, 0);

    r.crc = sherd_crc32c(r.shard.data, r.shard.size) + rotten;
    serve(r);
    r.kind = SHERD_COMMIT;
    serve(r);
}

static void scrub_finds_what_has_rotted(void **state)
{
    (void)state;
    s->scrub.rate.bytes_per_second = 1 << 20;
    hold(true);
    sherd_service_scrub(s);
    assert_int_equal(s->damage.shards, 1);
    assert_memory_equal(s->damage.key[0], "k", s->damage.size[0]);
    assert_int_equal(s->repair.count, 1);
    assert_false(held().entries[0].has_shard); /* so that a good one is taken in its place */
    s->scrub.again_ms = 0;
    sherd_service_scrub(s);
    assert_int_equal(s->damage.shards, 1);
}

static void scrub_leaves_what_is_whole(void **state)
{
    (void)state;
    s->scrub.rate.bytes_per_second = 1 << 20;
    hold(false);
    sherd_service_scrub(s);
    assert_int_equal(s->scrub.rounds, 1);
    assert_int_equal(s->damage.shards, 0);
    assert_int_equal(s->repair.count, 0);
    assert_true(held().entries[0].has_shard);
}

static void scrub_keeps_to_its_rate(void **state)
{
    static uint8_t shard[64 << 10];
    char name[2] = "a";

    (void)state;
    s->scrub.rate.bytes_per_second = sizeof(shard);
    for (; name[0] < 'k'; name[0]++) {
        struct sherd_request r = request_of(SHERD_PREPARE, 0);
        r.key = (struct sherd_bytes){name, 1};
        r.shard = (struct sherd_bytes){shard, sizeof(shard)};
        r.crc = sherd_crc32c(shard, sizeof(shard));
        serve(r);
    }
    for (unsigned second = 1; second <= 5; second++) {
        for (unsigned i = 0; i < 10; i++) {
            sherd_service_scrub(s);
            s->now_ms += 100;
        }
        assert_in_range(s->scrub.bytes / sizeof(shard), second - 1, second + 1);
    }
}

static struct sherd_digest digest_of(uint64_t first, const uint64_t *last)
{
    struct sherd_request r = {
        .kind = SHERD_LIST, .what = SHERD_LIST_DIGEST, .since = first, .partition = 0};
    struct sherd_answer a = {0};
    struct sherd_digest out;

    if (last) r.body = (struct sherd_bytes){last, sizeof(*last)};
    sherd_service_list(s, &r, &a);
    assert_true(sherd_digest_decode(a.body, &out));
    return out;
}

static void a_digest_tells_versions_and_shards(void **state)
{
    uint64_t hash = sherd_hash_key("k", 1), before = hash - 1;
    struct sherd_digest digest;

    (void)state;
    assert_int_equal(digest_of(0, NULL).count, 0);
    serve(request_of(SHERD_PREPARE, 0));
    assert_int_equal(digest_of(0, NULL).count, 0); /* what is undecided does not count */
    serve(request_of(SHERD_COMMIT, 0));
    digest = digest_of(0, NULL);
    assert_int_equal(digest.count, 1);
    assert_true(digest.last == UINT64_MAX);
    assert_int_equal(digest_of(hash, &hash).count, 1); /* both ends are in */
    assert_int_equal(digest_of(0, &before).count, 0);
    assert_true(digest_of(0, &before).last == before);
    assert_int_equal(digest_of(hash + 1, NULL).count, 0);

    struct sherd_record record = held();
    struct sherd_store_key key = {
        0, hash, {"k", 1}
    };
    s->store->ops->strip(s->store, &key, record.entries[0].handle);
    assert_true(digest_of(0, NULL).sum != digest.sum);
}

int main(void)
{
#define ALONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest alone[] = {
        ALONE(an_undecided_entry_is_swept_by_the_slots_in_turn),
        ALONE(what_the_queue_of_the_sweep_lost_is_found_at_once),
        ALONE(what_is_queued_is_not_queued_twice),
        ALONE(what_was_found_is_listed_before_it_is_looked_for_again),
        ALONE(a_commit_of_what_is_not_here_is_repaired),
        ALONE(a_page_of_repairs_is_sent_until_it_has_arrived),
        ALONE(the_lowest_holder_repairs_who_is_not_in_the_mask),
        ALONE(the_others_leave_it_to_it),
        ALONE(the_floor_stays_behind_the_clock),
        ALONE(a_ballot_below_the_floor_comes_too_late),
        ALONE(scrub_finds_what_has_rotted),
        ALONE(scrub_leaves_what_is_whole),
        ALONE(scrub_keeps_to_its_rate),
        ALONE(a_digest_tells_versions_and_shards),
    };
    struct CMUnitTest tests[LEN(rows) + LEN(alone)] = {0};

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = run_row, .initial_state = &rows[i]};
    memcpy(&tests[LEN(rows)], alone, sizeof(alone));
    return cmocka_run_group_tests_name("upkeep", tests, NULL, NULL);
}
