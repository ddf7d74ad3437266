/* The wire format: what is written is read, whole or not at all, and no damage does harm: the entry
 * of fuzz_wire.c is fed with mutated messages. What must be refused: test_wire_limits.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coord/bytes.h"
#include "coord/wire.h"
#include "tests/support/wire_messages.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* fuzz_wire.c */

enum { MUTATIONS = 100000 };

static void same_bytes(struct sherd_bytes a, struct sherd_bytes b)
{
    assert_int_equal(a.size, b.size);
    if (a.size != 0) assert_memory_equal(a.data, b.data, a.size);
}

static void same_shard(struct sherd_bytes a, struct sherd_bytes b)
{
    assert_int_equal(a.data == NULL, b.data == NULL);
    same_bytes(a, b);
}

static void same_ballot(struct sherd_ballot a, struct sherd_ballot b)
{
    assert_int_equal(a.epoch, b.epoch);
    assert_int_equal(a.clock, b.clock);
    assert_int_equal(a.client, b.client);
}

static void same_meta(const struct sherd_meta *a, const struct sherd_meta *b)
{
    assert_int_equal(a->checksum, b->checksum);
    assert_int_equal(a->expires_ms, b->expires_ms);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->flags, b->flags);
}

static void same_entry(const struct sherd_entry *a, const struct sherd_entry *b)
{
    same_ballot(a->ballot, b->ballot);
    same_ballot(a->version, b->version);
    same_meta(&a->meta, &b->meta);
    assert_int_equal(a->committed, b->committed);
    assert_int_equal(a->has_shard, b->has_shard);
    assert_int_equal(a->crc, b->crc);
    same_shard(a->shard, b->shard);
    assert_null(b->handle);
}

static void same_request(const struct sherd_request *a, const struct sherd_request *b)
{
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->slot, b->slot);
    assert_int_equal(a->what, b->what);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->partition, b->partition);
    assert_int_equal(a->acked, b->acked);
    assert_int_equal(a->limit, b->limit);
    assert_int_equal(a->since, b->since);
    assert_int_equal(b->key_hash, 0);
    same_bytes(a->key, b->key);
    same_ballot(a->ballot, b->ballot);
    same_ballot(a->version, b->version);
    same_ballot(a->expect, b->expect);
    same_meta(&a->meta, &b->meta);
    assert_int_equal(a->crc, b->crc);
    same_shard(a->shard, b->shard);
    same_bytes(a->body, b->body);
}

static void same_answer(const struct sherd_answer *a, const struct sherd_answer *b)
{
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->slot, b->slot);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->map_version, b->map_version);
    same_ballot(a->max, b->max);
    assert_int_equal(a->entry_count, b->entry_count);
    for (uint8_t i = 0; i < a->entry_count; i++)
        same_entry(&a->entries[i], &b->entries[i]);
    same_bytes(a->body, b->body);
}

static void requests_round_trip(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 500; round++) {
        struct sherd_request sent[WIRE_REQUEST_KINDS], r;
        struct sherd_wire_reader in = {0};
        struct wire_message m;
        int frame = 1;

        wire_begin(&m, SHERD_REQUESTS, 0);
        for (size_t i = 0; i < LEN(sent); i++) {
            sent[i] =
                wire_random_request(wire_request_kinds[(i + round) % WIRE_REQUEST_KINDS], false);
            wire_send_request(&m, &sent[i]);
        }
        sherd_wire_set_count(m.out.data, LEN(sent));
        wire_open(&in, &m);
        for (size_t i = 0; i < LEN(sent); i++) {
            assert_int_equal(sherd_wire_next_request(&in, &r), 0);
            same_request(&sent[i], &r);
            assert_int_equal(r.shard_frame, sherd_wire_is_framed(r.shard.size) ? frame++ : -1);
        }
        assert_int_equal(sherd_wire_next_request(&in, &r), -ENODATA);
    }
}

static void answers_round_trip(void **state)
{
    static struct sherd_answer sent[WIRE_ANSWER_KINDS], a;

    (void)state;
    for (uint32_t round = 0; round < 500; round++) {
        struct sherd_wire_reader in = {0};
        struct wire_message m;

        wire_begin(&m, SHERD_ANSWERS, LEN(sent));
        for (size_t i = 0; i < LEN(sent); i++) {
            sent[i] = wire_random_answer(wire_answer_kinds[(i + round) % WIRE_ANSWER_KINDS], false);
            wire_send_answer(&m, &sent[i]);
        }
        wire_open(&in, &m);
        for (size_t i = 0; i < LEN(sent); i++) {
            memset(&a, 0xaa, sizeof(a)); /* whatever was there before */
            assert_int_equal(sherd_wire_next_answer(&in, &a), 0);
            same_answer(&sent[i], &a);
        }
        assert_int_equal(sherd_wire_next_answer(&in, &a), -ENODATA);
    }
}

static void items_round_trip(void **state)
{
    struct sherd_entry sent[SHERD_ENTRIES_MAX], got[SHERD_ENTRIES_MAX];

    (void)state;
    for (uint32_t round = 0; round < 500; round++) {
        struct sherd_writer_buffer out = {wire_buffer, 0, sizeof(wire_buffer)};
        struct sherd_bytes keys[3], key = {0};
        uint8_t n = (uint8_t)wire_below(SHERD_ENTRIES_MAX + 1), count = 0;
        size_t at = 0;

        for (uint8_t i = 0; i < n; i++)
            sent[i] = wire_random_entry(false);
        for (size_t i = 0; i < LEN(keys); i++) {
            keys[i] = wire_random_key(false);
            assert_int_equal(sherd_wire_put_item(&out, keys[i], sent, n), 0);
        }
        assert_int_equal(out.size, sherd_wire_item_bytes(keys[0], sent, n) * 3 + keys[1].size +
                                       keys[2].size - 2 * keys[0].size);
        struct sherd_bytes body = {out.data, out.size};
        for (size_t i = 0; i < LEN(keys); i++) {
            assert_int_equal(sherd_wire_next_item(body, &at, &key, got, &count), 0);
            same_bytes(keys[i], key);
            assert_int_equal(count, n);
            for (uint8_t j = 0; j < n; j++)
                same_entry(&sent[j], &got[j]);
        }
        assert_int_equal(sherd_wire_next_item(body, &at, &key, got, &count), -ENODATA);
    }
}

static void no_prefix_is_a_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < WIRE_KINDS * 20UL; i++) {
        struct wire_message m = wire_one_record(wire_kind(i % WIRE_KINDS));

        assert_int_equal(wire_read_all(m.frames, m.frame_count), -ENODATA);
        for (size_t size = 0; size < m.out.size; size++) {
            uint8_t *exact = malloc(size + 1); /* ends with the frame: the sanitizer looks on */
            memcpy(exact + 1, m.out.data, size);
            m.frames[0] = (struct sherd_bytes){exact + 1, size};
            assert_int_equal(wire_read_all(m.frames, m.frame_count), -EBADMSG);
            free(exact);
        }
        m.out.data[m.out.size] = 0;
        m.frames[0] = (struct sherd_bytes){m.out.data, m.out.size + 1};
        assert_int_equal(wire_read_all(m.frames, m.frame_count), -EBADMSG);
    }
}

static void no_prefix_is_an_item(void **state)
{
    struct sherd_entry entries[SHERD_ENTRIES_MAX];

    (void)state;
    for (uint32_t round = 0; round < 50; round++) {
        struct sherd_writer_buffer out = {wire_buffer, 0, sizeof(wire_buffer)};
        struct sherd_entry e = wire_random_entry(true);
        struct sherd_bytes key = wire_random_key(true);
        uint8_t count = 0;

        e.shard = wire_random_bytes(wire_below(50));
        assert_int_equal(sherd_wire_put_item(&out, key, &e, 1), 0);
        for (size_t size = 1; size < out.size; size++) {
            struct sherd_bytes body = {out.data, size};
            size_t at = 0;
            assert_int_equal(sherd_wire_next_item(body, &at, &key, entries, &count), -EBADMSG);
            assert_int_equal(at, 0);
        }
    }
}

static void nothing_is_written_without_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < WIRE_KINDS; i++) {
        static struct sherd_answer a;
        bool is_request = wire_kind(i) < SHERD_ACK;
        struct sherd_request r = wire_random_request(SHERD_PING, true);
        if (is_request) r = wire_random_request(wire_kind(i), true);
        if (!is_request) a = wire_random_answer(wire_kind(i), true);
        size_t size = is_request ? sherd_wire_request_bytes(&r) : sherd_wire_answer_bytes(&a);

        for (size_t capacity = 0; capacity <= size; capacity++) {
            uint8_t *exact = malloc(capacity + 1);
            struct sherd_writer_buffer out = {exact + 1, 0, capacity};
            int rc =
                is_request ? sherd_wire_put_request(&out, &r) : sherd_wire_put_answer(&out, &a);
            assert_int_equal(rc, capacity == size ? 0 : -ENOBUFS);
            assert_int_equal(out.size, capacity == size ? size : 0);
            free(exact);
        }
    }
}

/* Mutations: inputs of fuzz_wire.c made of good messages and pages, then damaged. */

static size_t message_input(uint8_t kind, uint8_t *out)
{
    struct wire_message m = wire_one_record(kind);
    uint8_t *at = out;

    if (m.frame_count > 4) m.frame_count = 4; /* what fuzz_wire.c takes; the others are missing */
    *at++ = 0;
    *at++ = (uint8_t)(m.frame_count - 1);
    for (size_t i = 0; i < m.frame_count; i++)
        at = sherd_bytes_put_u32(at, (uint32_t)m.frames[i].size);
    for (size_t i = 0; i < m.frame_count; i++)
        at = sherd_bytes_put(at, m.frames[i]);
    return (size_t)(at - out);
}

static size_t page_input(uint8_t *out)
{
    struct sherd_writer_buffer body = {out + 1, 0, 4096};
    struct sherd_entry entries[2];

    out[0] = 1;
    for (uint8_t count = 0; count < 3; count++) {
        for (uint8_t i = 0; i < count; i++) {
            entries[i] = wire_random_entry(true);
            entries[i].shard = wire_random_bytes(wire_below(50));
        }
        assert_int_equal(sherd_wire_put_item(&body, wire_random_key(true), entries, count), 0);
    }
    return 1 + body.size;
}

/* Changes one place within the first `size` bytes; returns the new size. */
static size_t mutate(uint8_t *data, size_t size)
{
    static const uint8_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff};
    uint32_t at =
        wire_below((uint32_t)(size < 400 ? size : 400)); /* beyond are mostly shards' bytes */

    switch (wire_below(5)) {
    case 0: data[at] ^= (uint8_t)(1U << wire_below(8)); break;
    case 1: data[at] = (uint8_t)wire_random(); break;
    case 2: data[at] = edges[wire_below(LEN(edges))]; break;
    case 3: return size > 2 ? size - 1 : size;
    default: memmove(data + at, data + size - 1 - wire_below((uint32_t)(size - at)), 1); break;
    }
    return size;
}

static void damaged_messages_are_survived(void **state)
{
    uint8_t *good = malloc(sizeof(wire_buffer)), *bad = malloc(sizeof(wire_buffer));
    size_t good_size = 0;

    (void)state;
    for (uint32_t i = 0; i < MUTATIONS; i++) {
        if (i % 20 == 0) {
            uint32_t kind = wire_below(WIRE_KINDS + 4);
            good_size = kind < WIRE_KINDS ? message_input(wire_kind(kind), good) : page_input(good);
            assert_int_equal(LLVMFuzzerTestOneInput(good, good_size), 0);
        }
        size_t size = good_size;
        memcpy(bad, good, size);
        for (uint32_t n = 1 + wire_below(3); n > 0; n--)
            size = mutate(bad, size);
        assert_int_equal(LLVMFuzzerTestOneInput(bad, size), 0);
    }
    free(good);
    free(bad);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(requests_round_trip, wire_start_over),
        cmocka_unit_test_setup(answers_round_trip, wire_start_over),
        cmocka_unit_test_setup(items_round_trip, wire_start_over),
        cmocka_unit_test_setup(no_prefix_is_a_message, wire_start_over),
        cmocka_unit_test_setup(no_prefix_is_an_item, wire_start_over),
        cmocka_unit_test_setup(nothing_is_written_without_room, wire_start_over),
        cmocka_unit_test_setup(damaged_messages_are_survived, wire_start_over),
    };

    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
