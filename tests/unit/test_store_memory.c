/* test_store_memory.c - the store in memory when the allocator says no, and what a key costs.
 *
 * Linked with --wrap for malloc and calloc, so that any allocation of the store can be made to
 * fail.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/store.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker makes these names */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static int allocations_left = -1; /* until one fails; negative: none fails */

static bool is_to_fail(void)
{
    if (allocations_left < 0) return false;
    return allocations_left-- == 0;
}

void *__wrap_malloc(size_t size) { return is_to_fail() ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size)
{
    return is_to_fail() ? NULL : __real_calloc(count, size);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static struct sherd_store_stats stats_of(const struct sherd_store *s)
{
    struct sherd_store_stats stats = {0};

    s->ops->stats(s, &stats);
    return stats;
}

/* What is put on top of `keys_before` other keys and of nothing, or of a first entry. */
static struct row {
    const char *name;
    unsigned keys_before; /* in the same partition */
    bool entry_before;
    bool framed;
    bool with_bounds;
    int allocations; /* that may fail */
} rows[] = {
    {"the first key of a partition", 0, false, false, false, 2},
    {"one more key",                 1, false, false, false, 1},
    {"a key that makes it grow",     7, false, false, false, 2},
    {"one more entry",               1, true,  false, false, 2},
    {"an entry in a frame",          1, true,  true,  false, 2},
    {"entry and bounds",             1, true,  false, true,  3},
    {"a key that needs everything",  7, false, true,  true,  4},
};

static const struct sherd_store_key tried = {
    7, 70, {"tried", 5}
};

static void put(struct sherd_store *s, uint64_t hash)
{
    struct sherd_store_key key = {
        7, hash, {&hash, sizeof(hash)}
    };
    struct sherd_record r = {.count = 1};
    struct sherd_change change = {.put = true};

    if (hash == tried.hash) key = tried;
    r.entries[0] = (struct sherd_entry){
        .ballot = {1, 1, 1},
          .version = {1, 1, 1}
    };
    assert_int_equal(s->ops->apply(s, &key, &r, &change, NULL), 0);
}

static int try_row(struct sherd_store *s, const struct row *row, zmq_msg_t *frame)
{
    struct sherd_change change = {.put = true, .bounds = row->with_bounds};
    struct sherd_record r;

    s->ops->load(s, &tried, true, &r);
    if (row->with_bounds) r.promised = (struct sherd_ballot){5, 5, 5};
    r.entries[r.count++] = (struct sherd_entry){
        .ballot = {3,  3, 3},
        .version = {3,  3,   3},
        .has_shard = true,
        .shard = {zmq_msg_data(frame), zmq_msg_size(frame)},
    };
    return s->ops->apply(s, &tried, &r, &change, row->framed ? frame : NULL);
}

static void run_row(void **state)
{
    const struct row *row = *state;
    struct sherd_store *s = NULL;
    struct sherd_store_stats before, after;
    struct sherd_record r;
    zmq_msg_t frame;

    zmq_msg_init_size(&frame, 1000);
    memset(zmq_msg_data(&frame), 'x', 1000);
    assert_int_equal(sherd_store_memory_open(UINT64_MAX, &s), 0);
    for (unsigned i = 0; i < row->keys_before; i++)
        put(s, 100 + i);
    if (row->entry_before) put(s, tried.hash);
    before = stats_of(s);
    for (int n = 0; n < row->allocations; n++) {
        allocations_left = n;
        int rc = try_row(s, row, &frame);
        allocations_left = -1;
        after = stats_of(s);
        assert_int_equal(rc, -ENOMEM);
        assert_memory_equal(&before, &after, sizeof(before));
        assert_int_equal(zmq_msg_size(&frame), 1000); /* still the caller's */
        s->ops->load(s, &tried, true, &r);
        assert_int_equal(r.count, row->entry_before);
        assert_true(sherd_ballot_is_zero(r.promised));
    }
    allocations_left = row->allocations; /* one more than it needs */
    assert_int_equal(try_row(s, row, &frame), 0);
    assert_int_equal(allocations_left, 0);
    allocations_left = -1;
    s->ops->load(s, &tried, true, &r);
    assert_int_equal(r.count, row->entry_before + 1);
    zmq_msg_close(&frame);
    s->ops->close(s);
}

static void open_without_memory(void **state)
{
    struct sherd_store *s = NULL;

    (void)state;
    allocations_left = 0;
    assert_int_equal(sherd_store_memory_open(1, &s), -ENOMEM);
    assert_null(s);
}

/* Bytes beside key and shard that each of 10 000 shards under keys of one size costs, in so few
 * partitions that their tables are as large as those of 160 000 keys. */
static double cost_of(size_t key_size, size_t shard_size)
{
    struct sherd_store *s = NULL;
    struct sherd_change change = {.put = true, .put_committed = true};
    struct sherd_record r = {.count = 1};
    unsigned char shard[256] = {0}, text[64] = {0};
    struct sherd_store_stats stats;
    const uint32_t count = 10000;
    uint64_t empty;

    assert_int_equal(sherd_store_memory_open(UINT64_MAX, &s), 0);
    empty = stats_of(s).bytes;
    r.entries[0] = (struct sherd_entry){
        .ballot = {9,  9, 9},
        .version = {9,  9,   9},
        .committed = true,
        .has_shard = true,
        .shard = {shard, shard_size}
    };
    for (uint32_t i = 1; i <= count; i++) {
        uint64_t hash = i * UINT64_C(0x9e3779b97f4a7c15);
        struct sherd_store_key key = {
            (uint16_t)(hash % 16), hash, {text, key_size}
        };
        memcpy(text, &i, sizeof(i));
        assert_int_equal(s->ops->apply(s, &key, &r, &change, NULL), 0);
    }
    stats = stats_of(s);
    assert_int_equal(stats.keys, count);
    assert_int_equal(stats.shard_bytes, count * shard_size);
    s->ops->close(s);
    return (double)(stats.bytes - empty) / count - (double)(key_size + shard_size);
}

/* What the allocator rounds up depends on the sizes; all that there can be are here. */
static void costs_at_most_72_bytes_a_shard(void **state)
{
    double sum = 0, cost;

    (void)state;
    for (size_t key_size = 16; key_size < 32; key_size++) {
        cost = cost_of(key_size, 256);
        print_message("key of %zu bytes: %.1f bytes beside it and its shard\n", key_size, cost);
        sum += cost;
    }
    assert_true(sum / 16 <= 72);
    assert_true(cost_of(24, 4) <= 72); /* a small value at 4+2 */
    assert_true(cost_of(24, 256) <= 72);
}

int main(void)
{
    struct CMUnitTest tests[LEN(rows) + 2] = {
        cmocka_unit_test(open_without_memory),
        cmocka_unit_test(costs_at_most_72_bytes_a_shard),
    };

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i + 2] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = run_row, .initial_state = &rows[i]};
    return cmocka_run_group_tests_name("store_memory", tests, NULL, NULL);
}
