/* test_store_table.c - the index of a partition: found, in order, and given back, for hashes that
 * are well spread and for hashes that are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/store_table.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t spread(uint32_t i) { return i * UINT64_C(0x9e3779b97f4a7c15); }
static uint64_t equal(uint32_t i)
{
    (void)i;
    return 12345;
}
static uint64_t lower_half(uint32_t i) { return 7 + (i * UINT64_C(0x9e3779b9) & UINT32_MAX); }
static uint64_t at_the_end(uint32_t i) { return UINT64_MAX - i % 3; }
static uint64_t at_both_ends(uint32_t i) { return i % 2 ? i : UINT64_MAX - i; }
static uint64_t in_four_clumps(uint32_t i) { return ((uint64_t)(i % 4) << 62) + i; }

/* Clumped hashes make runs as long as the table, so there are few of them. */
static struct row {
    const char *name;
    uint64_t (*hash)(uint32_t i);
    uint32_t count;
} rows[] = {
    {"spread",           spread,         50000},
    {"one key",          spread,         1    },
    {"equal",            equal,          500  },
    {"upper half equal", lower_half,     500  },
    {"at the end",       at_the_end,     500  },
    {"at both ends",     at_both_ends,   500  },
    {"in four clumps",   in_four_clumps, 1000 },
};

static const struct row *running; /* whose hashes all keys have */

uint64_t __wrap_sherd_hash_key(const void *key, size_t size); /* NOLINT: the linker's name */
uint64_t __wrap_sherd_hash_key(const void *key, size_t size)  /* NOLINT */
{
    uint32_t i = 0;

    assert_int_equal(size, sizeof(i));
    memcpy(&i, key, sizeof(i));
    return running->hash(i);
}

static struct sherd_bytes key_of(const uint32_t *i) { return (struct sherd_bytes){i, sizeof(*i)}; }

static struct sherd_store_cell *cell_of(const struct sherd_store_slot *slot)
{
    return sherd_store_chain_first(slot->chain);
}

static void insert(struct sherd_store_table *t, const struct row *row, uint32_t i)
{
    struct sherd_entry e = {
        .ballot = {1, 1, 1},
          .version = {1, 1, 1}
    };
    struct sherd_store_cell *c = sherd_store_cell_of_entry(key_of(&i), &e, false);

    assert_non_null(c);
    assert_null(sherd_store_table_find(t, row->hash(i), key_of(&i)));
    assert_int_equal(sherd_store_table_reserve(t), 0);
    sherd_store_table_insert(t, row->hash(i), (struct sherd_store_chain){c});
}

static void take_out(struct sherd_store_table *t, const struct row *row, uint32_t i)
{
    struct sherd_store_slot *slot = sherd_store_table_find(t, row->hash(i), key_of(&i));

    assert_non_null(slot);
    sherd_store_cell_free(cell_of(slot));
    sherd_store_table_remove(t, slot);
    assert_null(sherd_store_table_find(t, row->hash(i), key_of(&i)));
}

/* In order, complete, and the same by walk() and by after(). */
static void check(const struct sherd_store_table *t)
{
    struct sherd_store_slot *slot = sherd_store_table_walk(t, t->slots), *last = NULL;
    uint32_t count = 0;

    for (; slot; slot = sherd_store_table_walk(t, slot + 1), count++) {
        if (last) {
            struct sherd_bytes a = sherd_store_cell_key(cell_of(last));
            struct sherd_bytes b = sherd_store_cell_key(cell_of(slot));
            assert_true(sherd_store_slot_hash(last) < sherd_store_slot_hash(slot) ||
                        (sherd_store_slot_hash(last) == sherd_store_slot_hash(slot) &&
                         memcmp(a.data, b.data, a.size) < 0));
            assert_ptr_equal(sherd_store_table_after(t, sherd_store_slot_hash(last), a), slot);
        }
        last = slot;
    }
    if (last)
        assert_null(sherd_store_table_after(t, sherd_store_slot_hash(last),
                                            sherd_store_cell_key(cell_of(last))));
    assert_int_equal(count, t->count);
}

static void shuffle(uint32_t *order, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t j = (uint32_t)(next_random() % i), other = order[j];
        order[j] = order[i - 1];
        order[i - 1] = other;
    }
}

static void run_row(void **state)
{
    const struct row *row = *state;
    uint32_t *order = calloc(row->count, sizeof(*order));
    struct sherd_store_table t = {0};

    assert_non_null(order);
    running = row;
    random_state = 88172645463325252u;
    for (uint32_t i = 0; i < row->count; i++)
        order[i] = i;
    shuffle(order, row->count);
    for (uint32_t i = 0; i < row->count; i++) {
        insert(&t, row, order[i]);
        if (i % 1024 == 0) check(&t);
    }
    for (uint32_t i = 0; i < row->count; i++)
        assert_non_null(sherd_store_table_find(&t, row->hash(i), key_of(&i)));
    check(&t);
    assert_true(t.count * UINT64_C(16) <= t.capacity * UINT64_C(15));
    shuffle(order, row->count);
    for (uint32_t i = 0; i < row->count; i++) {
        take_out(&t, row, order[i]);
        if (i % 1024 == 0) check(&t);
        assert_true(t.count == 0 || t.count * UINT64_C(4) + 64 > t.capacity); /* shrinks */
    }
    assert_null(t.slots);
    assert_int_equal(sherd_store_table_bytes(&t), 0);
    free(order);
}

int main(void)
{
    struct CMUnitTest tests[LEN(rows)] = {0};

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = run_row, .initial_state = &rows[i]};
    return cmocka_run_group_tests_name("store_table", tests, NULL, NULL);
}
