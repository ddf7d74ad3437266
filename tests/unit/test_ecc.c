/* test_ecc.c - the codec against a slow reference, under every loss it must survive.
 *
 * Every buffer ISA-L touches ends where its page ends, before a page that may not be touched:
 * the sanitizers do not see into assembly. So buffers are unaligned too. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <sherd/ecc.h>

#include "ecc/plan.h"
#include "tests/support/gf_reference.h"

#define LEN(a)          (sizeof(a) / sizeof((a)[0]))
#define SLOTS_MAX       SHERD_ECC_SLOTS_MAX
#define EXHAUSTIVE_MAX  8   /* slots: up to here, every pattern of losses */
#define RANDOM_PATTERNS 200 /* else */
#define POISON          0xa5

/* Sizes are in bytes; each code is also tried with k - 1, k and k + 1, and up to size_max. */
static const size_t sizes[] = {0, 1, 2, 3, 100, 4095, 4096, 65537, 1048576};

static struct row {
    const char *name;
    unsigned k, m;
    size_t size_max;
} rows[] = {
    {"1+0: one copy",                1,  0,  65537  },
    {"1+2: three copies",            1,  2,  65537  },
    {"2+1",                          2,  1,  1048576},
    {"2+2",                          2,  2,  65537  },
    {"3+2: k is no power of two",    3,  2,  65537  },
    {"4+2",                          4,  2,  1048576},
    {"3+4: more parity than data",   3,  4,  65537  },
    {"8+3",                          8,  3,  65537  },
    {"10+4",                         10, 4,  65537  },
    {"16+16: all slots, most plans", 16, 16, 65537  },
    {"31+1: all slots",              31, 1,  65537  },
    {"5+0: nothing may be lost",     5,  0,  4096   },
};

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

struct buffer {
    unsigned char *data, *mapping;
    size_t size, mapped;
};

static struct buffer buffer_new(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = (size + page - 1) / page + 1;
    struct buffer b = {.size = size, .mapped = pages * page};

    b.mapping = mmap(NULL, b.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(b.mapping != MAP_FAILED);
    assert_int_equal(mprotect(b.mapping + b.mapped - page, page, PROT_NONE), 0);
    b.data = b.mapping + b.mapped - page - size;
    return b;
}

static void buffer_free(struct buffer *b) { munmap(b->mapping, b->mapped); }

static void poison(struct buffer *b) { memset(b->data, POISON, b->size); }

/* cmocka's own comparison is slow; it is for the message. */
static void assert_same(const void *a, const void *b, size_t size)
{
    if (memcmp(a, b, size) != 0) assert_memory_equal(a, b, size);
}

static void assert_poisoned(const struct buffer *b)
{
    if (b->size == 0) return;
    assert_int_equal(b->data[0], POISON);
    assert_same(b->data, b->data + 1, b->size - 1);
}

/* One value, its shards, and room for what is made from them. */
struct fixture {
    struct sherd_ecc *ecc;
    unsigned k, n;
    size_t shard_size;
    struct buffer value, joined, scratch;
    struct buffer shards[SLOTS_MAX], out[SLOTS_MAX];
};

/* The data shards as the definition has them: the value cut in pieces, then zeros. */
static void cut(const struct fixture *f, unsigned slot, unsigned char *out)
{
    for (size_t i = 0; i < f->shard_size; i++) {
        size_t at = slot * f->shard_size + i;
        out[i] = at < f->value.size ? f->value.data[at] : 0;
    }
}

static void fixture_init(struct fixture *f, struct sherd_ecc *e, size_t value_size)
{
    *f = (struct fixture){.ecc = e, .k = sherd_ecc_k(e), .n = sherd_ecc_k(e) + sherd_ecc_m(e)};
    f->shard_size = sherd_ecc_shard_size(f->k, value_size);
    f->value = buffer_new(value_size);
    f->joined = buffer_new(value_size);
    f->scratch = buffer_new(sherd_ecc_scratch_size(f->k, value_size));
    for (size_t i = 0; i < value_size; i++)
        f->value.data[i] = (unsigned char)(next_random() >> 32);
    for (unsigned i = 0; i < f->n; i++) {
        f->shards[i] = buffer_new(f->shard_size);
        f->out[i] = buffer_new(f->shard_size);
        if (i < f->k) cut(f, i, f->shards[i].data);
    }
}

static void fixture_fini(struct fixture *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        buffer_free(&f->shards[i]);
        buffer_free(&f->out[i]);
    }
    buffer_free(&f->value);
    buffer_free(&f->joined);
    buffer_free(&f->scratch);
}

static int is_inside(const struct buffer *b, const void *p)
{
    return (const unsigned char *)p >= b->data && (const unsigned char *)p < b->data + b->size;
}

/* Pieces are right, in place where they can be, and the parity is that of the reference. */
static void check_encode(struct fixture *f)
{
    const uint8_t *data[SLOTS_MAX];
    const void *pieces[SLOTS_MAX];
    void *parity[SLOTS_MAX];

    poison(&f->scratch);
    sherd_ecc_split(f->k, f->value.data, f->value.size, f->scratch.data, pieces);
    for (unsigned i = 0; i < f->k; i++) {
        int whole = f->shard_size != 0 && (i + 1) * f->shard_size <= f->value.size;
        assert_non_null(pieces[i]);
        assert_same(pieces[i], f->shards[i].data, f->shard_size);
        assert_int_equal(is_inside(&f->value, pieces[i]), whole);
        data[i] = f->shards[i].data;
    }
    for (unsigned i = f->k; i < f->n; i++) {
        poison(&f->shards[i]);
        parity[i - f->k] = f->shards[i].data;
    }
    sherd_ecc_encode(f->ecc, f->shard_size, pieces, parity);
    for (unsigned i = f->k; i < f->n; i++) {
        gf_reference_shard(f->k, i, f->shard_size, data, f->out[i].data);
        assert_same(f->shards[i].data, f->out[i].data, f->shard_size);
    }
}

static void shards_present(const struct fixture *f, uint32_t present, const void *shards[])
{
    for (unsigned i = 0; i < f->n; i++)
        shards[i] = present >> i & 1 ? f->shards[i].data : NULL;
}

static void check_join(struct fixture *f, const void *const shards[], int enough)
{
    int rc;

    poison(&f->joined);
    rc = sherd_ecc_join(f->ecc, shards, f->value.size, f->joined.data);
    assert_int_equal(rc, enough ? 0 : -ENODATA);
    if (enough)
        assert_same(f->joined.data, f->value.data, f->value.size);
    else
        assert_poisoned(&f->joined);
}

/* Asks for all pieces but the one in `unasked`. */
static void check_decode(struct fixture *f, const void *const shards[], int enough,
                         unsigned unasked)
{
    void *out[SLOTS_MAX];
    int rc;

    for (unsigned i = 0; i < f->k; i++) {
        poison(&f->out[i]);
        out[i] = i == unasked ? NULL : f->out[i].data;
    }
    rc = sherd_ecc_decode(f->ecc, f->shard_size, shards, out);
    assert_int_equal(rc, enough ? 0 : -ENODATA);
    for (unsigned i = 0; i < f->k; i++) {
        if (enough && shards[i] == NULL && i != unasked)
            assert_same(f->out[i].data, f->shards[i].data, f->shard_size);
        else
            assert_poisoned(&f->out[i]);
    }
}

static void check_rebuild(struct fixture *f, uint32_t present, unsigned slot)
{
    const void *shards[SLOTS_MAX] = {0};
    uint32_t others = present & ~(1u << slot);
    int enough = (unsigned)__builtin_popcount(others) >= f->k;
    int rc;

    shards_present(f, present, shards);
    if (shards[slot] != NULL) shards[slot] = ""; /* a damaged shard: must not be read */
    poison(&f->out[slot]);
    rc = sherd_ecc_rebuild(f->ecc, f->shard_size, shards, slot, f->out[slot].data);
    assert_int_equal(rc, enough ? 0 : -ENODATA);
    if (enough)
        assert_same(f->out[slot].data, f->shards[slot].data, f->shard_size);
    else
        assert_poisoned(&f->out[slot]);
}

static void check_losses(struct fixture *f, uint32_t present, unsigned pattern)
{
    const void *shards[SLOTS_MAX] = {0};
    int enough = (unsigned)__builtin_popcount(present) >= f->k;

    shards_present(f, present, shards);
    check_join(f, shards, enough);
    check_decode(f, shards, enough, pattern % (f->k + 1));
    check_rebuild(f, present, pattern % f->n);
}

/* Few losses, as many as the code bears, and a few too many. */
static uint32_t random_present(const struct fixture *f)
{
    uint32_t present = f->n == 32 ? UINT32_MAX : (1u << f->n) - 1;

    for (unsigned lose = (unsigned)(next_random() % (f->n - f->k + 2)); lose > 0; lose--)
        present &= ~(1u << next_random() % f->n);
    return present;
}

static void check_size(struct sherd_ecc *e, size_t value_size)
{
    struct fixture f;

    fixture_init(&f, e, value_size);
    check_encode(&f);
    for (unsigned i = 0; i < f.n; i++)
        check_rebuild(&f, f.n == 32 ? UINT32_MAX : (1u << f.n) - 1, i);
    if (f.n <= EXHAUSTIVE_MAX && value_size <= 65537)
        for (uint32_t present = 0; present < 1u << f.n; present++)
            check_losses(&f, present, present);
    else
        for (unsigned i = 0; i < RANDOM_PATTERNS; i++)
            check_losses(&f, random_present(&f), i);
    fixture_fini(&f);
}

static void survives_losses(void **state)
{
    const struct row *row = *state;
    struct sherd_ecc *e;

    random_state = 0x5e5d * (row->k + 1) + row->m;
    assert_int_equal(sherd_ecc_new(row->k, row->m, &e), 0);
    assert_int_equal(sherd_ecc_k(e), row->k);
    assert_int_equal(sherd_ecc_m(e), row->m);
    for (size_t i = 0; i < LEN(sizes); i++)
        if (sizes[i] <= row->size_max) check_size(e, sizes[i]);
    for (size_t size = row->k - 1; size <= row->k + 1; size++)
        check_size(e, size);
    sherd_ecc_free(e);
}

/* ISA-L changes its method with the length; here it meets each length near its vector sizes. */
static void any_length_is_right(void **state)
{
    struct sherd_ecc *e;

    (void)state;
    random_state = 1;
    assert_int_equal(sherd_ecc_new(3, 2, &e), 0);
    for (size_t size = 0; size <= 600; size++) {
        struct fixture f;
        fixture_init(&f, e, size);
        check_encode(&f);
        check_losses(&f, 0x1a, 0); /* slots 1, 3, 4 */
        fixture_fini(&f);
    }
    sherd_ecc_free(e);
}

static void join_takes_shards_already_in_place(void **state)
{
    const void *shards[SLOTS_MAX] = {0};
    struct sherd_ecc *e;
    struct fixture f;

    (void)state;
    random_state = 2;
    assert_int_equal(sherd_ecc_new(4, 2, &e), 0);
    fixture_init(&f, e, 4 * 100 - 30);
    check_encode(&f);
    shards_present(&f, 0x35, shards); /* slots 1 and 3 are lost, 3 is cut short */
    poison(&f.joined);
    for (unsigned i = 0; i < 4; i += 2)
        shards[i] = memcpy(f.joined.data + i * f.shard_size, f.shards[i].data, f.shard_size);
    assert_int_equal(sherd_ecc_join(e, shards, f.value.size, f.joined.data), 0);
    assert_same(f.joined.data, f.value.data, f.value.size);
    fixture_fini(&f);
    sherd_ecc_free(e);
}

static void sizes_of_shards(void **state)
{
    (void)state;
    assert_true(sherd_ecc_shard_size(4, 0) == 0);
    assert_true(sherd_ecc_shard_size(4, 1) == 1);
    assert_true(sherd_ecc_shard_size(4, 4) == 1);
    assert_true(sherd_ecc_shard_size(4, 5) == 2);
    assert_true(sherd_ecc_shard_size(1, SIZE_MAX) == SIZE_MAX);
    assert_true(sherd_ecc_shard_size(2, SIZE_MAX) == SIZE_MAX / 2 + 1);
    assert_true(sherd_ecc_scratch_size(4, 0) == 0);
    assert_true(sherd_ecc_scratch_size(4, 8) == 0);
    assert_true(sherd_ecc_scratch_size(4, 7) == 2);     /* one padded */
    assert_true(sherd_ecc_scratch_size(4, 5) == 2 + 2); /* one padded, one of zeros */
    assert_true(sherd_ecc_scratch_size(4, 3) == 1);     /* one of zeros */
}

static void refuses_invalid_codes(void **state)
{
    static const struct {
        unsigned k, m;
    } codes[] = {
        {0,        0       },
        {0,        2       },
        {33,       0       },
        {32,       1       },
        {1,        32      },
        {17,       16      },
        {UINT_MAX, 1       },
        {2,        UINT_MAX}
    };
    struct sherd_ecc *e;

    (void)state;
    for (size_t i = 0; i < LEN(codes); i++) {
        e = (struct sherd_ecc *)&e; /* something to be overwritten */
        assert_int_equal(sherd_ecc_new(codes[i].k, codes[i].m, &e), -EINVAL);
        assert_null(e);
    }
    sherd_ecc_free(NULL);
}

static void refuses_invalid_slots(void **state)
{
    const void *shards[] = {"", "", ""};
    struct sherd_ecc *e;
    char out = POISON & 0x7f;

    (void)state;
    assert_int_equal(sherd_ecc_new(2, 1, &e), 0);
    assert_int_equal(sherd_ecc_rebuild(e, 1, shards, 3, &out), -EINVAL);
    assert_int_equal(sherd_ecc_rebuild(e, 1, shards, UINT_MAX, &out), -EINVAL);
    assert_int_equal(out, POISON & 0x7f);
    sherd_ecc_free(e);
}

static void assert_counts(const struct sherd_ecc *e, uint64_t hits, uint64_t misses)
{
    struct sherd_ecc_plan_counts counts = sherd_ecc_plan_counts(e);

    assert_int_equal(counts.hits, hits);
    assert_int_equal(counts.misses, misses);
}

static void known_patterns_hit_the_cache(void **state)
{
    const void *shards[SLOTS_MAX] = {0};
    struct sherd_ecc *e;
    struct fixture f;

    (void)state;
    random_state = 3;
    assert_int_equal(sherd_ecc_new(4, 2, &e), 0);
    fixture_init(&f, e, 400);
    check_encode(&f);
    shards_present(&f, 0x3f, shards);
    check_join(&f, shards, 1);
    assert_counts(e, 0, 0); /* nothing lost: no plan */
    shards_present(&f, 0x3e, shards);
    check_join(&f, shards, 1);
    assert_counts(e, 0, 1);
    shards_present(&f, 0x1e, shards);
    check_decode(&f, shards, 1, 4);
    assert_counts(e, 1, 1); /* one parity shard less, but the same sources and pieces */
    shards_present(&f, 0x2e, shards);
    check_join(&f, shards, 1);
    assert_counts(e, 1, 2); /* other sources */
    check_rebuild(&f, 0x1e, 5);
    assert_counts(e, 1, 3); /* another shard from the same sources */
    fixture_fini(&f);
    sherd_ecc_free(e);
}

static int is_fresh(struct sherd_plans *plans, uint32_t sources)
{
    int fresh;

    sherd_plans_find(plans, sources, 1, &fresh);
    return fresh;
}

static void full_cache_drops_what_was_unused_for_longest(void **state)
{
    static unsigned char tables[SHERD_PLANS_MAX * 2];
    struct sherd_plans plans;
    unsigned char *first, *last;
    int fresh;

    (void)state;
    sherd_plans_init(&plans, tables, 2);
    for (uint32_t i = 1; i <= SHERD_PLANS_MAX; i++)
        assert_true(is_fresh(&plans, i));
    first = sherd_plans_find(&plans, 1, 1, &fresh); /* now 2 is the oldest */
    assert_false(fresh);
    assert_true(first == tables);
    last = sherd_plans_find(&plans, 1000, 1, &fresh);
    assert_true(fresh);
    assert_true(last == tables + 2);
    assert_false(is_fresh(&plans, 1));
    for (uint32_t i = 3; i <= SHERD_PLANS_MAX; i++)
        assert_false(is_fresh(&plans, i));
    assert_true(is_fresh(&plans, 2));
    assert_false(is_fresh(&plans, 1)); /* 2 took the place of 1000 */
    assert_true(is_fresh(&plans, 1000));
}

/* Independent of the library: bit by bit, reflected polynomial 0x82f63b78. */
static uint32_t slow_crc32c(const unsigned char *data, size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < 8 * size; i++) {
        if (i % 8 == 0) crc ^= data[i / 8];
        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static void crc32c_is_that_of_the_rfc(void **state)
{
    unsigned char block[32], data[300];

    (void)state;
    assert_int_equal(sherd_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(sherd_crc32c(NULL, 0), 0);
    memset(block, 0, sizeof(block)); /* RFC 3720 B.4 */
    assert_int_equal(sherd_crc32c(block, sizeof(block)), 0x8a9136aa);
    memset(block, 0xff, sizeof(block));
    assert_int_equal(sherd_crc32c(block, sizeof(block)), 0x62a8ab43);
    random_state = 4;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)next_random();
    for (size_t size = 0; size < sizeof(data); size++)
        assert_int_equal(sherd_crc32c(data + 299 - size, size),
                         slow_crc32c(data + 299 - size, size));
}

static void xxh3_is_stable(void **state)
{
    unsigned char data[1000];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)i;
    assert_true(sherd_checksum(NULL, 0) == 0x2d06800538d394c2);
    assert_true(sherd_checksum(data, sizeof(data)) == 0xd33dd80b46f60e50);
    assert_true(sherd_hash_key("", 0) == 0x2d06800538d394c2);
    assert_true(sherd_hash_key("key", 3) == 0xbbea0d63a05165e3);
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(any_length_is_right),
        cmocka_unit_test(join_takes_shards_already_in_place),
        cmocka_unit_test(sizes_of_shards),
        cmocka_unit_test(refuses_invalid_codes),
        cmocka_unit_test(refuses_invalid_slots),
        cmocka_unit_test(known_patterns_hit_the_cache),
        cmocka_unit_test(full_cache_drops_what_was_unused_for_longest),
        cmocka_unit_test(crc32c_is_that_of_the_rfc),
        cmocka_unit_test(xxh3_is_stable),
    };
    struct CMUnitTest tests[LEN(rows) + LEN(others)];

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = survives_losses, .initial_state = &rows[i]};
    memcpy(tests + LEN(rows), others, sizeof(others));
    return cmocka_run_group_tests_name("ecc", tests, NULL, NULL);
}
