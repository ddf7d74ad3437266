/* What a node remembers of itself, to bytes and back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coord/bytes.h"
#include "coord/map_codec.h"
#include "server/node_state.h"

static uint8_t bytes[SHERD_NODE_STATE_BYTES_MAX];
static size_t size;

static struct sherd_node_state some_state(uint16_t count)
{
    struct sherd_node_state s = {
        .node = 4, .count = count, .incarnation = UINT64_MAX, .live = 7, .seen = 1ull << 60};

    for (uint16_t i = 0; i < count; i++) {
        s.floors[i] = (struct sherd_ballot){.clock = 1000ull + i, .client = i, .epoch = 3u + i};
        s.forgotten[i] = i % 3u;
    }
    return s;
}

static int decode(struct sherd_node_state *out)
{
    return sherd_node_state_decode((struct sherd_bytes){bytes, size}, out);
}

/* After a change of the bytes: the hash fits again. */
static void sign(void)
{
    struct sherd_bytes all = {bytes, size - 8};

    sherd_bytes_put_u64(bytes + size - 8, sherd_map_hash(all));
}

static void comes_back_as_it_was(void **state)
{
    const uint16_t counts[] = {0, 1, SHERD_PARTITIONS};

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct sherd_node_state in = some_state(counts[i]), out;
        size = sherd_node_state_encode(&in, bytes);
        assert_int_equal(decode(&out), 0);
        assert_int_equal(out.node, in.node);
        assert_int_equal(out.count, in.count);
        assert_true(out.incarnation == in.incarnation);
        assert_int_equal(out.live, in.live);
        assert_true(out.seen == in.seen);
        for (uint16_t p = 0; p < counts[i]; p++)
            assert_true(sherd_ballot_equal(out.floors[p], in.floors[p]) &&
                        out.forgotten[p] == in.forgotten[p]);
    }
}

static void damage_is_noticed(void **state)
{
    struct sherd_node_state in = some_state(3), out;

    (void)state;
    size = sherd_node_state_encode(&in, bytes);
    for (size_t i = 0; i < size * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(decode(&out), -EBADMSG);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t whole = size; size > 0; size--)
        if (size != whole) assert_int_equal(decode(&out), -EBADMSG);
}

static void limits_hold_even_if_the_hash_is_right(void **state)
{
    struct sherd_node_state in = some_state(3), out;

    (void)state;
    size = sherd_node_state_encode(&in, bytes);
    sherd_bytes_put_u16(bytes + 10, SHERD_PARTITIONS + 1); /* partitions */
    sign();
    assert_int_equal(decode(&out), -EBADMSG);
    sherd_bytes_put_u16(bytes + 10, 2); /* fewer than there are */
    sign();
    assert_int_equal(decode(&out), -EBADMSG);
    sherd_bytes_put_u16(bytes + 10, 3);
    sherd_bytes_put_u64(bytes + 12, 0); /* no incarnation */
    sign();
    assert_int_equal(decode(&out), -EBADMSG);
}

static void another_format_is_not_damage(void **state)
{
    struct sherd_node_state in = some_state(1), out;

    (void)state;
    size = sherd_node_state_encode(&in, bytes);
    sherd_bytes_put_u32(bytes + 4, 2);
    sign();
    assert_int_equal(decode(&out), -EPROTONOSUPPORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(limits_hold_even_if_the_hash_is_right),
        cmocka_unit_test(another_format_is_not_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
