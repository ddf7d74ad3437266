#include "tests/fuzz/records.h"

#include <errno.h>

#include "coord/wire.h"
#include "tests/fuzz/fuzz.h"

enum { SHARDS_MAX = SHERD_ENTRIES_MAX, FRAME_BYTES_MAX = 1 << 20 };

static uint8_t pool[SHERD_SHARD_INLINE_MAX + 1 + UINT16_MAX]; /* what large shards are made of */

/* A record, and the frames that its shards need. */
struct sent {
    struct sherd_bytes frames[1 + SHARDS_MAX];
    size_t frame_count;
};

static struct sherd_ballot ballot_of(struct sherd_bytes_reader *b)
{
    struct sherd_ballot ballot = {0};

    ballot.epoch = sherd_bytes_take_u16(b);
    ballot.clock = sherd_bytes_take_u64(b);
    ballot.client = sherd_bytes_take_u16(b);
    return ballot;
}

static struct sherd_meta meta_of(struct sherd_bytes_reader *b)
{
    struct sherd_meta m = {0};

    m.checksum = sherd_bytes_take_u64(b);
    m.expires_ms = sherd_bytes_take_u64(b);
    m.size = sherd_bytes_take_u32(b) % (SHERD_VALUE_BYTES_MAX + 1);
    m.flags = sherd_bytes_take_u8(b) & 7;
    return m;
}

/* At most `size_max` bytes of the input, at least `size_min`, or of the pool when it has ended. */
static struct sherd_bytes bytes_of(struct sherd_bytes_reader *b, size_t size_min, size_t size_max)
{
    size_t size = sherd_bytes_take_u16(b) % (size_max + 1);

    if (size < size_min) size = size_min;
    struct sherd_bytes got = {pool, size};
    if (size > 0 && size <= sherd_bytes_left(b)) got = sherd_bytes_take(b, size);
    return got;
}

/* None, empty, some bytes of the input, or one too large to be inline. */
static struct sherd_bytes shard_of(struct sherd_bytes_reader *b)
{
    uint8_t form = sherd_bytes_take_u8(b) & 3;

    if (form == 0) return (struct sherd_bytes){NULL, 0};
    if (form == 1) return (struct sherd_bytes){pool, 0};
    if (form == 2) return bytes_of(b, 0, SHERD_SHARD_INLINE_MAX);
    return (struct sherd_bytes){pool, SHERD_SHARD_INLINE_MAX + 1U + sherd_bytes_take_u16(b)};
}

static void add_frame(struct sent *s, struct sherd_bytes shard)
{
    if (sherd_wire_is_framed(shard.size)) s->frames[s->frame_count++] = shard;
}

static struct sherd_request request_of(struct sherd_bytes_reader *b, uint8_t kind)
{
    struct sherd_request r = {.kind = kind, .id = sherd_bytes_take_u64(b)};

    r.flags = sherd_bytes_take_u8(b) & 63;
    r.slot = sherd_bytes_take_u8(b) % SHERD_SLOTS_MAX;
    r.what = sherd_bytes_take_u8(b) % (SHERD_LIST_DIGEST + 1);
    r.epoch = sherd_bytes_take_u32(b);
    r.partition = sherd_bytes_take_u8(b);
    r.acked = sherd_bytes_take_u32(b);
    r.limit = sherd_bytes_take_u32(b);
    r.since = sherd_bytes_take_u64(b);
    r.ballot = ballot_of(b);
    r.version = sherd_bytes_take_u8(b) & 1 ? ballot_of(b) : r.ballot;
    r.expect = ballot_of(b);
    r.meta = meta_of(b);
    r.crc = sherd_bytes_take_u32(b);
    if (kind == SHERD_PREPARE || kind == SHERD_INSERT) r.shard = shard_of(b);
    r.key = bytes_of(b, kind == SHERD_LIST ? 0 : 1, SHERD_KEY_BYTES_MAX);
    r.body = bytes_of(b, 0, kind == SHERD_LIST ? SHERD_KEY_BYTES_MAX : UINT16_MAX - 1);
    return r;
}

static void answer_of(struct sherd_bytes_reader *b, uint8_t kind, struct sherd_answer *a)
{
    *a = (struct sherd_answer){.kind = kind, .id = sherd_bytes_take_u64(b)};
    a->flags = sherd_bytes_take_u8(b) & 7;
    a->slot = sherd_bytes_take_u8(b) % SHERD_SLOTS_MAX;
    a->reason = sherd_bytes_take_u8(b) % (SHERD_REASON_LOST + 1);
    a->epoch = sherd_bytes_take_u32(b);
    a->map_version = sherd_bytes_take_u64(b);
    a->max = ballot_of(b);
    if (kind == SHERD_STATE || kind == SHERD_PROMISED)
        a->entry_count = sherd_bytes_take_u8(b) % (SHERD_ENTRIES_MAX + 1);
    for (uint8_t i = 0; i < a->entry_count; i++) {
        struct sherd_entry *e = &a->entries[i];
        uint8_t bits = sherd_bytes_take_u8(b);

        e->committed = bits & 1;
        e->has_shard = bits & 2;
        e->ballot = ballot_of(b);
        e->version = bits & 4 ? ballot_of(b) : e->ballot;
        e->meta = meta_of(b);
        e->crc = sherd_bytes_take_u32(b);
        e->shard = shard_of(b);
    }
    a->body = bytes_of(b, 0, UINT16_MAX - 1);
}

static void begin(struct sherd_writer_buffer *out, uint8_t type)
{
    struct sherd_envelope e = {type, 1, 1, 2, 3, 4, 5};

    SHERD_ASSERT(sherd_wire_put_envelope(out, &e) == 0);
}

/* `again` is what a record of `size` bytes, just decoded, encodes to. */
static void check_again(const struct sent *s, const struct sherd_writer_buffer *again, size_t size)
{
    SHERD_ASSERT(s->frames[0].size == SHERD_ENVELOPE_BYTES + size);
    fuzz_same(s->frames[0], (struct sherd_bytes){again->data, again->size});
}

static void check_request(struct sent *s, const struct sherd_request *r)
{
    static uint8_t first[FRAME_BYTES_MAX], second[FRAME_BYTES_MAX];
    struct sherd_writer_buffer out = {first, 0, sizeof(first)};
    struct sherd_writer_buffer again = {second, 0, sizeof(second)};
    struct sherd_wire_reader in = {0};
    struct sherd_envelope e = {0};
    struct sherd_request got = {0};

    begin(&out, SHERD_REQUESTS);
    SHERD_ASSERT(sherd_wire_put_request(&out, r) == 0);
    s->frames[0] = (struct sherd_bytes){out.data, out.size};
    add_frame(s, r->shard);
    SHERD_ASSERT(sherd_wire_open(&in, s->frames, s->frame_count, &e) == 0);
    SHERD_ASSERT(sherd_wire_next_request(&in, &got) == 0);
    SHERD_ASSERT(got.id == r->id && got.kind == r->kind && got.flags == r->flags);
    SHERD_ASSERT(got.slot == r->slot && got.shard.size == r->shard.size);
    begin(&again, SHERD_REQUESTS);
    SHERD_ASSERT(sherd_wire_put_request(&again, &got) == 0);
    check_again(s, &again, sherd_wire_request_bytes(r));
    SHERD_ASSERT(sherd_wire_next_request(&in, &got) == -ENODATA);
}

static void check_answer(struct sent *s, const struct sherd_answer *a)
{
    static uint8_t first[FRAME_BYTES_MAX], second[FRAME_BYTES_MAX];
    static struct sherd_answer got;
    struct sherd_writer_buffer out = {first, 0, sizeof(first)};
    struct sherd_writer_buffer again = {second, 0, sizeof(second)};
    struct sherd_wire_reader in = {0};
    struct sherd_envelope e = {0};

    begin(&out, SHERD_ANSWERS);
    SHERD_ASSERT(sherd_wire_put_answer(&out, a) == 0);
    s->frames[0] = (struct sherd_bytes){out.data, out.size};
    for (uint8_t i = 0; i < a->entry_count; i++)
        add_frame(s, a->entries[i].shard);
    SHERD_ASSERT(sherd_wire_open(&in, s->frames, s->frame_count, &e) == 0);
    SHERD_ASSERT(sherd_wire_next_answer(&in, &got) == 0);
    SHERD_ASSERT(got.id == a->id && got.kind == a->kind && got.flags == a->flags);
    SHERD_ASSERT(got.slot == a->slot && got.reason == a->reason && got.epoch == a->epoch);
    SHERD_ASSERT(got.entry_count == a->entry_count);
    begin(&again, SHERD_ANSWERS);
    SHERD_ASSERT(sherd_wire_put_answer(&again, &got) == 0);
    check_again(s, &again, sherd_wire_answer_bytes(a));
    SHERD_ASSERT(sherd_wire_next_answer(&in, &got) == -ENODATA);
}

void fuzz_record(struct sherd_bytes input)
{
    static const uint8_t kinds[] = {
        SHERD_PREPARE, SHERD_PROMISE, SHERD_READ,      SHERD_COMMIT, SHERD_ABORT, SHERD_FORGET,
        SHERD_INSERT,  SHERD_LIST,    SHERD_PING,      SHERD_SEAL,   SHERD_LIVE,  SHERD_HEARTBEAT,
        SHERD_ACK,     SHERD_NACK,    SHERD_PROMISED,  SHERD_STATE,  SHERD_STALE, SHERD_PAGE,
        SHERD_PONG,    SHERD_MAP,     SHERD_STATS_ARE, SHERD_SEALED,
    };
    static struct sherd_answer answer;
    struct sherd_bytes_reader b = sherd_bytes_read(input);
    uint8_t kind = kinds[sherd_bytes_take_u8(&b) % sizeof(kinds)];
    struct sent s = {.frame_count = 1};

    if (kind < SHERD_ACK) {
        struct sherd_request request = request_of(&b, kind);
        check_request(&s, &request);
    } else {
        answer_of(&b, kind, &answer);
        check_answer(&s, &answer);
    }
}
