/* Values to shards, over the wire's entries, and back: each row is a code and a size; every loss of
 * up to m shards. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/pieces.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static const struct sherd_ballot version = {.clock = 77, .client = 5, .epoch = 1};
static const struct sherd_ballot other_version = {.clock = 78, .client = 5, .epoch = 1};

static const struct row {
    const char *name;
    unsigned k, m;
    size_t size;
} rows[] = {
    {"empty",                 4, 2, 0            },
    {"one byte",              4, 2, 1            },
    {"fewer bytes than k",    4, 2, 3            },
    {"even",                  4, 2, 1024         },
    {"padded",                4, 2, 1021         },
    {"framed",                4, 2, 4 * 20000    },
    {"shared without a copy", 4, 2, 4 * 65536    },
    {"shared and padded",     4, 2, 4 * 65536 + 1},
    {"copies",                1, 2, 5000         },
    {"large copies",          1, 2, 300000       },
    {"no parity",             3, 0, 5000         },
    {"two parities short",    2, 2, 7            },
};

struct fixture {
    struct sherd_ecc *ecc;
    struct sherd_blocks blocks;
    struct sherd_shards shards;
    struct sherd_pieces pieces;
    struct sherd_meta meta;
    uint8_t *value, *joined;
    unsigned n;
};

static void set_up(struct fixture *f, const struct row *row)
{
    memset(f, 0, sizeof(*f));
    f->n = row->k + row->m;
    assert_int_equal(sherd_ecc_new(row->k, row->m, &f->ecc), 0);
    f->value = malloc(row->size + 1);
    f->joined = malloc(row->size + 1);
    for (size_t i = 0; i < row->size; i++)
        f->value[i] = (uint8_t)(i * 131 + i / 251);
    f->meta.size = (uint32_t)row->size;
    f->meta.checksum = sherd_checksum(f->value, row->size);
    assert_int_equal(sherd_shards_encode(&f->shards, f->ecc, &f->blocks,
                                         (struct sherd_bytes){f->value, row->size}),
                     0);
}

static void tear_down(struct fixture *f)
{
    sherd_shards_fini(&f->shards);
    sherd_pieces_fini(&f->pieces);
    sherd_blocks_fini(&f->blocks);
    sherd_ecc_free(f->ecc);
    free(f->value);
    free(f->joined);
}

/* As it would come from a node: through a frame when it is shared. */
static struct sherd_entry entry_of(struct fixture *f, uint8_t slot, zmq_msg_t *frame, bool *framed)
{
    struct sherd_request r = {.meta = f->meta};
    struct sherd_entry e = {.ballot = version, .version = version, .meta = f->meta};

    *framed = sherd_shards_fill(&f->shards, slot, &r, frame);
    e.has_shard = true;
    e.crc = r.crc;
    e.shard = r.shard;
    if (*framed) {
        assert_int_equal(zmq_msg_size(frame), r.shard.size);
        e.shard.data = zmq_msg_data(frame);
    }
    return e;
}

static void add(struct fixture *f, uint8_t slot, struct sherd_ballot as_version)
{
    zmq_msg_t frame;
    bool framed;
    struct sherd_entry e = entry_of(f, slot, &frame, &framed);

    e.version = as_version;
    assert_true(sherd_piece_is_intact(&e, sherd_ecc_k(f->ecc)));
    assert_int_equal(sherd_pieces_add(&f->pieces, slot, &e, framed ? &frame : NULL), 0);
    if (framed) zmq_msg_close(&frame);
}

static int join(struct fixture *f)
{
    memset(f->joined, 0xaa, f->meta.size + 1);
    return sherd_pieces_join(&f->pieces, f->ecc, version, &f->meta, f->joined);
}

static void run_row(void **state)
{
    const struct row *row = *state;
    struct fixture f;

    set_up(&f, row);
    for (uint32_t lost = 0; lost < UINT32_C(1) << f.n; lost++) {
        sherd_pieces_reset(&f.pieces);
        for (uint8_t slot = 0; slot < f.n; slot++)
            add(&f, slot, lost >> slot & 1 ? other_version : version);
        if ((unsigned)__builtin_popcount(lost) > row->m) {
            assert_int_equal(join(&f), -ENODATA);
            continue;
        }
        assert_int_equal(join(&f), 0);
        assert_memory_equal(f.joined, f.value, row->size);
        assert_int_equal(f.joined[row->size], 0xaa);
    }
    tear_down(&f);
}

static void test_broken_entries(void **state)
{
    const struct row row = {"", 4, 2, 1000};
    struct fixture f;
    zmq_msg_t frame;
    bool framed;

    (void)state;
    set_up(&f, &row);
    struct sherd_entry good = entry_of(&f, 1, &frame, &framed), e = good;
    assert_true(sherd_piece_is_intact(&e, 4));
    e.crc ^= 1;
    assert_false(sherd_piece_is_intact(&e, 4));
    e = good;
    e.shard.size--;
    assert_false(sherd_piece_is_intact(&e, 4));
    e = good;
    e.meta.size = 2000; /* the shard would be too short for it */
    assert_false(sherd_piece_is_intact(&e, 4));
    e = good;
    e.has_shard = false;
    assert_false(sherd_piece_is_intact(&e, 4));
    e = good;
    e.shard.data = NULL;
    assert_false(sherd_piece_is_intact(&e, 4));
    tear_down(&f);
}

/* Shards that are right one by one, but of two values: only the value's checksum tells. */
static void test_mixed_values(void **state)
{
    const struct row row = {"", 4, 2, 1000};
    struct fixture f, g;

    (void)state;
    set_up(&f, &row);
    set_up(&g, &row);
    g.value[999] ^= 1; /* in the last data shard */
    g.meta.checksum = sherd_checksum(g.value, 1000);
    assert_int_equal(
        sherd_shards_encode(&g.shards, g.ecc, &g.blocks, (struct sherd_bytes){g.value, 1000}), 0);
    for (uint8_t slot = 0; slot < 4; slot++) {
        zmq_msg_t frame;
        bool framed;
        struct sherd_entry e = entry_of(slot == 3 ? &g : &f, slot, &frame, &framed);
        assert_int_equal(sherd_pieces_add(&f.pieces, slot, &e, NULL), 0);
    }
    assert_int_equal(join(&f), -EBADMSG);
    tear_down(&f);
    tear_down(&g);
}

static void test_first_piece_stays(void **state)
{
    const struct row row = {"", 4, 2, 1000};
    struct fixture f;

    (void)state;
    set_up(&f, &row);
    for (uint8_t slot = 0; slot < 6; slot++)
        for (int i = 0; i < 100; i++)
            add(&f, slot, version);
    assert_int_equal(f.pieces.count, 6);
    assert_int_equal(join(&f), 0);
    tear_down(&f);
}

/* More versions than honest nodes have: refused, not kept. */
static void test_limit(void **state)
{
    const struct row row = {"", 4, 2, 8};
    struct fixture f;
    zmq_msg_t frame;
    bool framed;
    int rc = 0;

    (void)state;
    set_up(&f, &row);
    struct sherd_entry e = entry_of(&f, 0, &frame, &framed);
    for (uint64_t i = 0; rc == 0 && i < 100000; i++) {
        e.version.clock = i;
        rc = sherd_pieces_add(&f.pieces, 0, &e, NULL);
    }
    assert_int_equal(rc, -ENOMEM);
    assert_int_equal(f.pieces.count, SHERD_PIECES_MAX);
    tear_down(&f);
}

/* A block in flight is not handed out again; once its frames are sent, it is. */
static void test_blocks(void **state)
{
    struct sherd_blocks blocks = {0};
    struct sherd_block *first = sherd_blocks_get(&blocks, 100000), *second, *third;
    zmq_msg_t frame;

    (void)state;
    memset(sherd_block_data(first), 1, 100000);
    assert_int_equal(sherd_block_frame(first, sherd_block_data(first), 50000, &frame), 0);
    sherd_block_release(first);
    second = sherd_blocks_get(&blocks, 100000);
    assert_ptr_not_equal(first, second);
    zmq_msg_close(&frame);
    assert_ptr_equal(sherd_blocks_get(&blocks, 90000), first);
    sherd_block_release(second);
    third = sherd_blocks_get(&blocks, 100);
    assert_ptr_not_equal(third, second); /* which is much too large for it */
    sherd_block_release(third);
    sherd_block_release(first);
    sherd_blocks_fini(&blocks);
}

int main(void)
{
    struct CMUnitTest tests[LEN(rows) + 5] = {
        cmocka_unit_test(test_broken_entries), cmocka_unit_test(test_mixed_values),
        cmocka_unit_test(test_first_piece_stays), cmocka_unit_test(test_limit),
        cmocka_unit_test(test_blocks)};

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i + 5] = (struct CMUnitTest){.name = rows[i].name,
                                           .test_func = run_row,
                                           .initial_state = (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests_name("pieces", tests, NULL, NULL);
}
