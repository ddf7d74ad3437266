/* What the wire format refuses, field by field; where its limits are; and its bytes as documented.
 */
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

static void frames_stand_in_the_order_of_records(void **state)
{
    const size_t sizes[] = {20000, 10, 17000, SHERD_SHARD_INLINE_MAX, SHERD_SHARD_INLINE_MAX + 1};
    const int frames[] = {1, -1, 2, -1, 3};
    struct sherd_request r = wire_random_request(SHERD_PREPARE, true);
    struct sherd_wire_reader in = {0};
    struct wire_message m;

    (void)state;
    wire_begin(&m, SHERD_REQUESTS, LEN(sizes));
    for (size_t i = 0; i < LEN(sizes); i++) {
        r.shard = (struct sherd_bytes){wire_pool + i, sizes[i]};
        wire_send_request(&m, &r);
    }
    assert_int_equal(m.frame_count, 4);
    wire_open(&in, &m);
    for (size_t i = 0; i < LEN(sizes); i++) {
        assert_int_equal(sherd_wire_next_request(&in, &r), 0);
        assert_int_equal(r.shard_frame, frames[i]);
        assert_int_equal(r.shard.size, sizes[i]);
        assert_memory_equal(r.shard.data, wire_pool + i, sizes[i]);
        if (frames[i] > 0) assert_ptr_equal(r.shard.data, m.frames[frames[i]].data);
    }

    assert_int_equal(wire_read_all(m.frames, 4), -ENODATA);
    assert_int_equal(wire_read_all(m.frames, 3), -EBADMSG); /* one too few */
    m.frames[4] = m.frames[3];
    assert_int_equal(wire_read_all(m.frames, 5), -EBADMSG); /* one too many */
    m.frames[2].size++;
    assert_int_equal(wire_read_all(m.frames, 4), -EBADMSG); /* not as long as the record says */
    assert_int_equal(wire_read_all(m.frames, 0), -EBADMSG);
}

/* One field of a good message, set to what it must not be. Offsets count from the start of frame 0.
 * The records of patched() have key "k", one shard of 3 bytes, and one entry. */
enum { R = SHERD_ENVELOPE_BYTES, ANY = SHERD_PING, GOOD = -ENODATA, BAD = -EBADMSG };

static struct limit {
    const char *name;
    uint8_t kind;
    size_t offset, width;
    uint32_t value;
    int rc;
} limits[] = {
    {"nothing changed",          ANY,             0,      0, 0,                         GOOD},
    {"magic",                    ANY,             0,      1, 0,                         BAD },
    {"wire version",             ANY,             2,      1, 2,                         BAD },
    {"envelope type 0",          ANY,             3,      1, 0,                         BAD },
    {"envelope type 3",          ANY,             3,      1, 3,                         BAD },
    {"requests among answers",   ANY,             3,      1, SHERD_ANSWERS,             BAD },
    {"answers among requests",   SHERD_ACK,       3,      1, SHERD_REQUESTS,            BAD },
    {"no record, yet bytes",     ANY,             4,      4, 0,                         BAD },
    {"more records than bytes",  ANY,             4,      4, 2,                         BAD },
    {"too many records",         ANY,             4,      4, SHERD_RECORDS_MAX + 1,     BAD },
    {"kind 0",                   ANY,             R + 8,  1, 0,                         BAD },
    {"kind kept for LOCK",       ANY,             R + 8,  1, 6,                         BAD },
    {"kind 255",                 ANY,             R + 8,  1, 255,                       BAD },
    {"request of kind ACK",      ANY,             R + 8,  1, SHERD_ACK,                 BAD },
    {"answer of kind PING",      SHERD_ACK,       R + 8,  1, SHERD_PING,                BAD },
    {"answer of kind 255",       SHERD_ACK,       R + 8,  1, 255,                       BAD },
    {"request flag 64",          ANY,             R + 9,  1, 64,                        BAD },
    {"answer flag 8",            SHERD_ACK,       R + 9,  1, 8,                         BAD },
    {"slot 31",                  ANY,             R + 10, 1, 31,                        GOOD},
    {"slot 32",                  ANY,             R + 10, 1, 32,                        BAD },
    {"slot 32 of an answer",     SHERD_ACK,       R + 10, 1, 32,                        BAD },
    {"form without a value",     ANY,             R + 11, 1, 1,                         BAD },
    {"form 4",                   SHERD_PREPARE,   R + 11, 1, 6,                         BAD },
    {"last reason",              SHERD_NACK,      R + 11, 1, SHERD_REASON_LOST,         GOOD},
    {"unknown reason",           SHERD_NACK,      R + 11, 1, SHERD_REASON_LOST + 1,     BAD },
    {"largest value",            SHERD_PREPARE,   R + 52, 4, SHERD_VALUE_BYTES_MAX,     GOOD},
    {"value too large",          SHERD_PREPARE,   R + 52, 4, SHERD_VALUE_BYTES_MAX + 1, BAD },
    {"meta flag 16",             SHERD_PREPARE,   R + 56, 1, 16,                        BAD },
    {"empty key",                SHERD_PREPARE,   R + 61, 2, 0,                         BAD },
    {"key beyond the frame",     SHERD_PREPARE,   R + 61, 2, 100,                       BAD },
    {"key beyond the limit",     SHERD_PREPARE,   R + 61, 2, SHERD_KEY_BYTES_MAX + 1,   BAD },
    {"shard beyond the frame",   SHERD_PREPARE,   R + 64, 4, 4,                         BAD },
    {"shard without its frame",  SHERD_PREPARE,   R + 64, 4, 20000,                     BAD },
    {"shard beyond the limit",   SHERD_PREPARE,   R + 64, 4, SHERD_VALUE_BYTES_MAX + 1, BAD },
    {"last partition",           SHERD_LIST,      R + 16, 2, SHERD_PARTITIONS - 1,      GOOD},
    {"partition 256",            SHERD_LIST,      R + 16, 2, SHERD_PARTITIONS,          BAD },
    {"unknown list",             SHERD_LIST,      R + 18, 1, SHERD_LIST_DIGEST + 1,     BAD },
    {"prefix beyond the frame",  SHERD_LIST,      R + 33, 4, 1,                         BAD },
    {"body beyond the frame",    SHERD_HEARTBEAT, R + 12, 4, 1,                         BAD },
    {"huge body",                SHERD_HEARTBEAT, R + 12, 4, UINT32_MAX,                BAD },
    {"too many entries",         SHERD_STATE,     R + 16, 1, SHERD_ENTRIES_MAX + 1,     BAD },
    {"fewer entries than bytes", SHERD_STATE,     R + 16, 1, 0,                         BAD },
    {"committed entry",          SHERD_STATE,     R + 17, 1, 2 | 4,                     GOOD},
    {"form of an entry 16",      SHERD_STATE,     R + 17, 1, 2 | 16,                    BAD },
    {"entry's shard beyond",     SHERD_STATE,     R + 63, 4, 4,                         BAD },
    {"answer's body beyond",     SHERD_PAGE,      R + 16, 4, 1,                         BAD },
};

static struct wire_message plain_record(uint8_t kind)
{
    struct sherd_entry e = {
        .ballot = {1,  2, 3},
          .version = {1,  2,   3},
          .shard = {wire_pool, 3}
    };
    struct sherd_answer a = {.kind = kind, .entry_count = 1, .entries = {e}};
    struct sherd_request r = {.kind = kind, .ballot = e.ballot, .version = e.version};
    struct wire_message m;

    wire_begin(&m, kind < SHERD_ACK ? SHERD_REQUESTS : SHERD_ANSWERS, 1);
    if (kind != SHERD_LIST) r.key = (struct sherd_bytes){"k", 1};
    r.shard = e.shard;
    if (kind < SHERD_ACK) wire_send_request(&m, &r);
    if (kind >= SHERD_ACK) wire_send_answer(&m, &a);
    return m;
}

static void limit_holds(void **state)
{
    const struct limit *row = *state;
    struct wire_message m = plain_record(row->kind);

    for (size_t i = 0; i < row->width; i++)
        m.out.data[row->offset + i] = (uint8_t)(row->value >> 8 * i);
    assert_int_equal(wire_read_all(m.frames, m.frame_count), row->rc);
}

/* What the table cannot say: sizes at their limit are read, and one byte more, though it is there,
 * is not. `offset` is of the size field, of `width` bytes. */
static void grow(struct wire_message *m, size_t offset, size_t width)
{
    uint8_t *size = m->out.data + offset, *bytes = size + width;

    if (++size[0] == 0) size[1]++;
    memmove(bytes + 1, bytes, m->out.size - offset - width);
    m->frames[0] = (struct sherd_bytes){m->out.data, ++m->out.size};
}

static void sizes_end_at_their_limits(void **state)
{
    struct sherd_request r = {
        .kind = SHERD_LIST, .key = {wire_pool, SHERD_KEY_BYTES_MAX}
    };
    struct wire_message m;

    (void)state;
    r.body = r.key;
    for (size_t field = 0; field < 2; field++) {
        wire_begin(&m, SHERD_REQUESTS, 1);
        wire_send_request(&m, &r);
        assert_int_equal(wire_read_all(m.frames, 1), GOOD);
        grow(&m, field == 0 ? R + 31 : R + 33 + SHERD_KEY_BYTES_MAX, field == 0 ? 2 : 4);
        assert_int_equal(wire_read_all(m.frames, 1), BAD);
    }

    uint8_t *large = calloc(1, SHERD_VALUE_BYTES_MAX + 1);
    m = plain_record(SHERD_PREPARE);
    for (uint32_t over = 0; over < 2; over++) {
        m.frames[0].size = R + 68;
        m.frames[1] = (struct sherd_bytes){large, SHERD_VALUE_BYTES_MAX + over};
        sherd_bytes_put_u32(m.out.data + R + 64, SHERD_VALUE_BYTES_MAX + over);
        assert_int_equal(wire_read_all(m.frames, 2), over ? BAD : GOOD);
    }
    free(large);
}

static void entries_end_at_their_limit(void **state)
{
    struct sherd_answer a = {.kind = SHERD_STATE, .entry_count = SHERD_ENTRIES_MAX};
    struct wire_message m;

    (void)state;
    wire_begin(&m, SHERD_ANSWERS, 1);
    wire_send_answer(&m, &a);
    assert_int_equal(wire_read_all(m.frames, 1), GOOD);
    memset(m.out.data + m.out.size, 0, 46); /* a thirteenth, like the others */
    m.out.data[R + 16]++;
    m.frames[0].size += 46;
    assert_int_equal(wire_read_all(m.frames, 1), BAD);
}

static void a_message_must_fit(void **state)
{
    uint8_t bytes[SHERD_ENVELOPE_BYTES];
    struct sherd_envelope e = {.type = SHERD_REQUESTS};
    struct sherd_writer_buffer out = {.data = bytes, .capacity = sizeof(bytes) - 1};
    struct wire_message m = plain_record(SHERD_PING);
    struct sherd_wire_reader in;

    (void)state;
    assert_int_equal(sherd_wire_put_envelope(&out, &e), -ENOBUFS);
    assert_int_equal(out.size, 0);
    out.capacity++;
    assert_int_equal(sherd_wire_put_envelope(&out, &e), 0);
    m.frames[0].size = SHERD_MESSAGE_BYTES_MAX; /* it has not so many: only their number counts */
    assert_int_equal(sherd_wire_open(&in, m.frames, 1, &e), 0);
    m.frames[0].size++;
    assert_int_equal(sherd_wire_open(&in, m.frames, 1, &e), -EBADMSG);
}

static void answers_are_no_requests(void **state)
{
    struct wire_message m = plain_record(SHERD_ACK);
    struct sherd_wire_reader in = {0};
    struct sherd_request r;
    struct sherd_answer a;

    (void)state;
    wire_open(&in, &m);
    assert_int_equal(sherd_wire_next_request(&in, &r), -EBADMSG);
    assert_int_equal(sherd_wire_next_answer(&in, &a), 0);
    m = plain_record(SHERD_PING);
    wire_open(&in, &m);
    assert_int_equal(sherd_wire_next_answer(&in, &a), -EBADMSG);
    assert_int_equal(sherd_wire_next_request(&in, &r), 0);
    wire_begin(&m, SHERD_ANSWERS, 0); /* also where there are none */
    m.frames[0] = (struct sherd_bytes){m.out.data, m.out.size};
    wire_open(&in, &m);
    assert_int_equal(sherd_wire_next_request(&in, &r), -EBADMSG);
    assert_int_equal(sherd_wire_next_answer(&in, &a), -ENODATA);
}

static void items_of_a_page_end_with_it(void **state)
{
    uint8_t bytes[64];
    struct sherd_writer_buffer out = {.data = bytes};
    struct sherd_bytes key = {"k", 1}, page = {bytes, 0};
    struct sherd_entry entries[SHERD_ENTRIES_MAX];
    uint8_t count = 9;
    size_t at = 0;

    (void)state;
    out.capacity = sherd_wire_item_bytes(key, NULL, 0) - 1;
    assert_int_equal(sherd_wire_put_item(&out, key, NULL, 0), -ENOBUFS);
    assert_int_equal(out.size, 0);
    out.capacity++;
    assert_int_equal(sherd_wire_put_item(&out, key, NULL, 0), 0);
    page.size = out.size;
    assert_int_equal(sherd_wire_next_item(page, &at, &key, entries, &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(sherd_wire_next_item(page, &at, &key, entries, &count), -ENODATA);
    page.size--; /* the reader stands beyond a page that is shorter than it was */
    assert_int_equal(sherd_wire_next_item(page, &at, &key, entries, &count), -EBADMSG);
}

/* One encoding of every record: a version that is the ballot is left out. */
static void a_version_is_said_once(void **state)
{
    struct sherd_request r = {
        .kind = SHERD_PREPARE, .key = {"k", 1},
             .version = { 1,  2, 3}
    };
    struct wire_message m;

    (void)state;
    wire_begin(&m, SHERD_REQUESTS, 1);
    wire_send_request(&m, &r);
    assert_int_equal(wire_read_all(m.frames, 1), GOOD);
    memset(m.out.data + R + 36, 0, 20);
    assert_int_equal(wire_read_all(m.frames, 1), BAD);
}

/* The format itself: what is written down in WIRE.md, byte for byte. */
static void bytes_are_as_documented(void **state)
{
    static const uint8_t
        expected[] =
            {
                0x73, 0x68, 1,    1,    1, 0, 0, 0, /* magic, version, requests, one record */
                11,   0,    0,    0,    0, 0, 0, 0, 12,   0,   0,   0, 0, 0, 0, 0, 13,
                0,    0,    0,    0,    0, 0, 0,                                   /* session ... */
                14,   0,    0,    0,    0, 0, 0, 0, 15,   0,   0,   0, 0, 0, 0, 0, /* map version,
                                                                                      clock */
                8,    7,    6,    5,    4, 3, 2, 1, 1,    2,   5,   3, /* id, PREPARE, with expect,
                                                                          slot, version and shard */
                9,    0,    0,    0,                                   /* epoch */
                9,    0,    0,    0,    2, 0, 0, 0, 0,    0,   0,   0, 1, 0, 0, 0, 0,
                0,    0,    0x80, /* ballot */
                8,    0,    0,    0,    4, 0, 0, 0, 0,    0,   0,   0, 3, 0, 0, 0, 0,
                0,    0,    0, /* version */
                7,    0,    0,    0,    6, 0, 0, 0, 0,    0,   0,   0, 5, 0, 0, 0, 0,
                0,    0,    0, /* expect */
                0x21, 0,    0,    0,    0, 0, 0, 0, 0x22, 0,   0,   0, 0, 0, 0, 0, 3,
                0,    0,    0,    2,                                /* meta */
                0x44, 0x33, 0x22, 0x11,                             /* crc */
                2,    0,    'a',  'b',  3, 0, 0, 0, 'x',  'y', 'z', /* key, shard */
            };
    struct sherd_request r = {
        .id = 0x0102030405060708,
        .kind = SHERD_PREPARE,
        .flags = SHERD_WITH_EXPECT,
        .slot = 5,
        .epoch = 9,
        .ballot = {.epoch = 9,              .clock = 2, .client = 0x8000000000000001},
        .version = {.epoch = 8,                       .clock = 4,                        .client = 3},
        .expect = {.epoch = 7,            .clock = 6,.client = 5},
        .meta = {0x21,  0x22,   3, SHERD_META_CONDITIONAL},
        .crc = 0x11223344,
        .key = {"ab",                    2                        },
        .shard = {"xyz", 3          },
    };
    struct wire_message m;

    (void)state;
    wire_begin(&m, SHERD_REQUESTS, 1);
    wire_send_request(&m, &r);
    assert_int_equal(m.out.size, sizeof(expected));
    assert_memory_equal(m.out.data, expected, sizeof(expected));
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test_setup(frames_stand_in_the_order_of_records, wire_start_over),
        cmocka_unit_test_setup(sizes_end_at_their_limits, wire_start_over),
        cmocka_unit_test_setup(entries_end_at_their_limit, wire_start_over),
        cmocka_unit_test_setup(a_message_must_fit, wire_start_over),
        cmocka_unit_test_setup(answers_are_no_requests, wire_start_over),
        cmocka_unit_test_setup(items_of_a_page_end_with_it, wire_start_over),
        cmocka_unit_test_setup(a_version_is_said_once, wire_start_over),
        cmocka_unit_test_setup(bytes_are_as_documented, wire_start_over),
    };
    struct CMUnitTest tests[LEN(limits) + LEN(others)] = {0};

    for (size_t i = 0; i < LEN(limits); i++)
        tests[i] = (struct CMUnitTest){.name = limits[i].name,
                                       .test_func = limit_holds,
                                       .setup_func = wire_start_over,
                                       .initial_state = &limits[i]};
    memcpy(tests + LEN(limits), others, sizeof(others));
    return cmocka_run_group_tests_name("wire_limits", tests, NULL, NULL);
}
