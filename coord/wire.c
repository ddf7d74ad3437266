#include "coord/wire.h"

#include <errno.h>

#include "coord/wire_parts.h"

/* What the kinds carry after their head; on the wire in this order. KNOWN marks a kind that exists.
 * The three functions for requests (bytes, put, next) and those for answers walk the same list. */
enum request_field {
    KNOWN = 1,
    EPOCH = 2,
    BALLOT = 4,
    ACKED = 8,
    VALUE = 16, /* version, expect, meta, crc; the shard comes after the key */
    LIST = 32,  /* partition, what, limit */
    SINCE = 64,
    KEY = 128,
    BODY = 256,
};

static const uint16_t request_fields[] = {
    [SHERD_PREPARE] = KNOWN | EPOCH | BALLOT | VALUE | KEY,
    [SHERD_PROMISE] = KNOWN | EPOCH | BALLOT | KEY,
    [SHERD_READ] = KNOWN | EPOCH | KEY,
    [SHERD_COMMIT] = KNOWN | EPOCH | BALLOT | ACKED | KEY,
    [SHERD_ABORT] = KNOWN | EPOCH | BALLOT | KEY,
    [SHERD_FORGET] = KNOWN | EPOCH | BALLOT | KEY,
    [SHERD_INSERT] = KNOWN | EPOCH | BALLOT | VALUE | KEY,
    [SHERD_LIST] = KNOWN | EPOCH | LIST | SINCE | KEY | BODY,
    [SHERD_PING] = KNOWN,
    [SHERD_GET_MAP] = KNOWN,
    [SHERD_SEAL] = KNOWN | BODY,
    [SHERD_LIVE] = KNOWN | SINCE,
    [SHERD_STATS] = KNOWN,
    [SHERD_RECOVER] = KNOWN,
    [SHERD_HEARTBEAT] = KNOWN | BODY,
    [SHERD_ACCEPT_LOSS] = KNOWN,
};

enum answer_field { MAP_VERSION = 2, MAX = 4, ENTRIES = 8, ANSWER_BODY = 16 };

static const uint8_t answer_fields[] = {
    [SHERD_ACK] = KNOWN,
    [SHERD_NACK] = KNOWN | MAX,
    [SHERD_PROMISED] = KNOWN | ENTRIES,
    [SHERD_STATE] = KNOWN | ENTRIES,
    [SHERD_ABORTED] = KNOWN,
    [SHERD_STALE] = KNOWN | MAP_VERSION,
    [SHERD_PAGE] = KNOWN | ANSWER_BODY,
    [SHERD_PONG] = KNOWN | MAP_VERSION,
    [SHERD_MAP] = KNOWN | ANSWER_BODY,
    [SHERD_SEALED] = KNOWN | MAP_VERSION,
    [SHERD_STATS_ARE] = KNOWN | ANSWER_BODY,
};

enum {
    REQUEST_HEAD_BYTES = 12,
    ANSWER_HEAD_BYTES = 16,
    LIST_BYTES = 7,
    REQUEST_FLAGS_ALL = SHERD_WITH_SHARD | SHERD_WITH_EXPECT | SHERD_FROM_RESERVE |
                        SHERD_COMMITTED | SHERD_ONE_SHOT | SHERD_OUTVOTED,
    ANSWER_FLAGS_ALL = SHERD_ANSWER_VOTE | SHERD_ANSWER_EXPOSED | SHERD_ANSWER_END,
    REASON_LAST = SHERD_REASON_LOST,
    LIST_LAST = SHERD_LIST_DIGEST,
};

static uint16_t request_fields_of(uint8_t kind)
{
    return kind < sizeof(request_fields) / sizeof(request_fields[0]) ? request_fields[kind] : 0;
}

static uint8_t answer_fields_of(uint8_t kind)
{
    return kind < sizeof(answer_fields) ? answer_fields[kind] : 0;
}

/* Envelope */

int sherd_wire_put_envelope(struct sherd_writer_buffer *out, const struct sherd_envelope *e)
{
    if (room(out) < SHERD_ENVELOPE_BYTES) return -ENOBUFS;

    uint8_t *at = out->data + out->size;
    at = sherd_bytes_put_u16(at, SHERD_WIRE_MAGIC);
    at = sherd_bytes_put_u8(at, SHERD_WIRE_VERSION);
    at = sherd_bytes_put_u8(at, e->type);
    at = sherd_bytes_put_u32(at, e->count);
    at = sherd_bytes_put_u64(at, e->session);
    at = sherd_bytes_put_u64(at, e->number);
    at = sherd_bytes_put_u64(at, e->incarnation);
    at = sherd_bytes_put_u64(at, e->map_version);
    sherd_bytes_put_u64(at, e->clock);
    out->size += SHERD_ENVELOPE_BYTES;
    return 0;
}

void sherd_wire_set_count(uint8_t *data, uint32_t count)
{
    SHERD_ASSERT(count <= SHERD_RECORDS_MAX);
    sherd_bytes_put_u32(data + 4, count);
}

int sherd_wire_open(struct sherd_wire_reader *in, const struct sherd_bytes *frames,
                    size_t frame_count, struct sherd_envelope *out)
{
    if (frame_count == 0 || frames[0].size < SHERD_ENVELOPE_BYTES ||
        frames[0].size > SHERD_MESSAGE_BYTES_MAX)
        return -EBADMSG;

    struct sherd_bytes_reader b = sherd_bytes_read(frames[0]);
    uint16_t magic = sherd_bytes_take_u16(&b);
    uint8_t version = sherd_bytes_take_u8(&b);
    struct sherd_envelope e = {.type = sherd_bytes_take_u8(&b)};
    e.count = sherd_bytes_take_u32(&b);
    e.session = sherd_bytes_take_u64(&b);
    e.number = sherd_bytes_take_u64(&b);
    e.incarnation = sherd_bytes_take_u64(&b);
    e.map_version = sherd_bytes_take_u64(&b);
    e.clock = sherd_bytes_take_u64(&b);
    if (magic != SHERD_WIRE_MAGIC || version != SHERD_WIRE_VERSION || e.count > SHERD_RECORDS_MAX ||
        (e.type != SHERD_REQUESTS && e.type != SHERD_ANSWERS))
        return -EBADMSG;

    *in = (struct sherd_wire_reader){.frames = frames,
                                     .frame_count = frame_count,
                                     .next_frame = 1,
                                     .at = SHERD_ENVELOPE_BYTES,
                                     .left = e.count,
                                     .type = e.type};
    *out = e;
    return 0;
}

/* What there is to read: 0 for a record, -ENODATA or -EBADMSG. */
static int next_record(const struct sherd_wire_reader *in, uint8_t type,
                       struct sherd_bytes_reader *b)
{
    *b = sherd_bytes_read(in->frames[0]);
    b->at += in->at;
    if (in->type != type) return -EBADMSG;
    if (in->left != 0) return 0;
    return b->at == b->end && in->next_frame == in->frame_count ? -ENODATA : -EBADMSG;
}

/* Only a record that was right moves the reader: *in is where the next one starts. */
static int end_record(struct sherd_wire_reader *in, const struct sherd_wire_reader *moved,
                      const struct sherd_bytes_reader *b)
{
    if (b->broken) return -EBADMSG;

    in->at = (size_t)(b->at - (const uint8_t *)in->frames[0].data);
    in->next_frame = moved->next_frame;
    in->left--;
    return 0;
}

/* Requests */

static uint8_t request_form(const struct sherd_request *r)
{
    int form = (sherd_ballot_equal(r->ballot, r->version) ? 0 : FORM_VERSION) |
               (r->shard.data == NULL ? 0 : FORM_SHARD);

    return (uint8_t)form;
}

static size_t value_bytes(const struct sherd_request *r)
{
    size_t expect = r->flags & SHERD_WITH_EXPECT ? BALLOT_BYTES : 0;

    return META_BYTES + sizeof(r->crc) + version_bytes(r->version, r->ballot) + expect +
           shard_bytes(r->shard, true);
}

size_t sherd_wire_request_bytes(const struct sherd_request *r)
{
    uint16_t has = request_fields_of(r->kind);
    size_t size = REQUEST_HEAD_BYTES;

    if (has & EPOCH) size += sizeof(r->epoch);
    if (has & BALLOT) size += BALLOT_BYTES;
    if (has & ACKED) size += sizeof(r->acked);
    if (has & VALUE) size += value_bytes(r);
    if (has & LIST) size += LIST_BYTES;
    if (has & SINCE) size += sizeof(r->since);
    if (has & KEY) size += sizeof(uint16_t) + r->key.size;
    if (has & BODY) size += sizeof(uint32_t) + r->body.size;
    return size;
}

static uint8_t *put_value(uint8_t *at, const struct sherd_request *r)
{
    if (!sherd_ballot_equal(r->ballot, r->version)) at = put_ballot(at, r->version);
    if (r->flags & SHERD_WITH_EXPECT) at = put_ballot(at, r->expect);
    at = put_meta(at, &r->meta);
    return sherd_bytes_put_u32(at, r->crc);
}

static uint8_t *put_list(uint8_t *at, const struct sherd_request *r)
{
    at = sherd_bytes_put_u16(at, r->partition);
    at = sherd_bytes_put_u8(at, r->what);
    return sherd_bytes_put_u32(at, r->limit);
}

int sherd_wire_put_request(struct sherd_writer_buffer *out, const struct sherd_request *r)
{
    uint16_t has = request_fields_of(r->kind);
    size_t size = sherd_wire_request_bytes(r);

    SHERD_ASSERT(has != 0 && r->slot < SHERD_SLOTS_MAX);
    if (room(out) < size) return -ENOBUFS;

    uint8_t *at = out->data + out->size;
    at = sherd_bytes_put_u64(at, r->id);
    at = sherd_bytes_put_u8(at, r->kind);
    at = sherd_bytes_put_u8(at, r->flags);
    at = sherd_bytes_put_u8(at, r->slot);
    at = sherd_bytes_put_u8(at, has & VALUE ? request_form(r) : 0);
    if (has & EPOCH) at = sherd_bytes_put_u32(at, r->epoch);
    if (has & BALLOT) at = put_ballot(at, r->ballot);
    if (has & ACKED) at = sherd_bytes_put_u32(at, r->acked);
    if (has & VALUE) at = put_value(at, r);
    if (has & LIST) at = put_list(at, r);
    if (has & SINCE) at = sherd_bytes_put_u64(at, r->since);
    if (has & KEY) at = put_key(at, r->key);
    if (has & VALUE) at = put_shard(at, r->shard, true);
    if (has & BODY) at = put_body(at, r->body);
    out->size += size;
    SHERD_ASSERT(at == out->data + out->size);
    return 0;
}

static void take_value(struct sherd_bytes_reader *b, uint8_t form, struct sherd_request *r)
{
    r->version = take_version(b, form, r->ballot);
    if (r->flags & SHERD_WITH_EXPECT) r->expect = take_ballot(b);
    r->meta = take_meta(b);
    r->crc = sherd_bytes_take_u32(b);
}

static void take_list(struct sherd_bytes_reader *b, struct sherd_request *r)
{
    r->partition = sherd_bytes_take_u16(b);
    r->what = sherd_bytes_take_u8(b);
    r->limit = sherd_bytes_take_u32(b);
    sherd_bytes_require(b, r->partition < SHERD_PARTITIONS && r->what <= LIST_LAST);
}

static void take_request_shard(struct sherd_bytes_reader *b, struct sherd_wire_reader *from,
                               struct sherd_request *r)
{
    size_t frame = from->next_frame;

    r->shard = take_shard(b, from);
    if (from->next_frame != frame) r->shard_frame = (int)frame;
}

/* Fills the head; returns the form, and which fields follow through *has. */
static uint8_t take_request_head(struct sherd_bytes_reader *b, struct sherd_request *r,
                                 uint16_t *has)
{
    r->id = sherd_bytes_take_u64(b);
    r->kind = sherd_bytes_take_u8(b);
    r->flags = sherd_bytes_take_u8(b);
    r->slot = sherd_bytes_take_u8(b);
    *has = request_fields_of(r->kind);

    uint8_t form = sherd_bytes_take_u8(b);
    sherd_bytes_require(b, *has != 0 && (r->flags & ~REQUEST_FLAGS_ALL) == 0 &&
                               r->slot < SHERD_SLOTS_MAX &&
                               form <= (*has & VALUE ? FORM_VERSION | FORM_SHARD : 0));
    return form;
}

int sherd_wire_next_request(struct sherd_wire_reader *in, struct sherd_request *out)
{
    struct sherd_wire_reader moved = *in;
    struct sherd_bytes_reader b;
    uint16_t has = 0;

    int rc = next_record(in, SHERD_REQUESTS, &b);
    if (rc < 0) return rc;

    *out = (struct sherd_request){.shard_frame = -1};
    uint8_t form = take_request_head(&b, out, &has);
    if (has & EPOCH) out->epoch = sherd_bytes_take_u32(&b);
    if (has & BALLOT) out->ballot = take_ballot(&b);
    if (has & ACKED) out->acked = sherd_bytes_take_u32(&b);
    if (has & VALUE) take_value(&b, form, out);
    if (has & LIST) take_list(&b, out);
    if (has & SINCE) out->since = sherd_bytes_take_u64(&b);
    if (has & KEY) out->key = take_key(&b, (has & LIST) != 0);
    if (form & FORM_SHARD) take_request_shard(&b, &moved, out);
    if (has & BODY)
        out->body = take_body(&b, has & LIST ? SHERD_KEY_BYTES_MAX : SHERD_MESSAGE_BYTES_MAX);
    return end_record(in, &moved, &b);
}

/* Answers */

size_t sherd_wire_answer_bytes(const struct sherd_answer *a)
{
    uint8_t has = answer_fields_of(a->kind);
    size_t size = ANSWER_HEAD_BYTES;

    if (has & MAP_VERSION) size += sizeof(a->map_version);
    if (has & MAX) size += BALLOT_BYTES;
    if (has & ENTRIES) size += entries_bytes(a->entries, a->entry_count, true);
    if (has & ANSWER_BODY) size += sizeof(uint32_t) + a->body.size;
    return size;
}

int sherd_wire_put_answer(struct sherd_writer_buffer *out, const struct sherd_answer *a)
{
    uint8_t has = answer_fields_of(a->kind);
    size_t size = sherd_wire_answer_bytes(a);

    SHERD_ASSERT(has != 0 && a->slot < SHERD_SLOTS_MAX);
    if (room(out) < size) return -ENOBUFS;

    uint8_t *at = out->data + out->size;
    at = sherd_bytes_put_u64(at, a->id);
    at = sherd_bytes_put_u8(at, a->kind);
    at = sherd_bytes_put_u8(at, a->flags);
    at = sherd_bytes_put_u8(at, a->slot);
    at = sherd_bytes_put_u8(at, a->reason);
    at = sherd_bytes_put_u32(at, a->epoch);
    if (has & MAP_VERSION) at = sherd_bytes_put_u64(at, a->map_version);
    if (has & MAX) at = put_ballot(at, a->max);
    if (has & ENTRIES) at = put_entries(at, a->entries, a->entry_count, true);
    if (has & ANSWER_BODY) at = put_body(at, a->body);
    out->size += size;
    SHERD_ASSERT(at == out->data + out->size);
    return 0;
}

static uint8_t take_answer_head(struct sherd_bytes_reader *b, struct sherd_answer *a)
{
    a->id = sherd_bytes_take_u64(b);
    a->kind = sherd_bytes_take_u8(b);
    a->flags = sherd_bytes_take_u8(b);
    a->slot = sherd_bytes_take_u8(b);
    a->reason = sherd_bytes_take_u8(b);
    a->epoch = sherd_bytes_take_u32(b);

    uint8_t has = answer_fields_of(a->kind);
    sherd_bytes_require(b, has != 0 && (a->flags & ~ANSWER_FLAGS_ALL) == 0 &&
                               a->slot < SHERD_SLOTS_MAX && a->reason <= REASON_LAST);
    return has;
}

int sherd_wire_next_answer(struct sherd_wire_reader *in, struct sherd_answer *out)
{
    struct sherd_wire_reader moved = *in;
    struct sherd_bytes_reader b;

    int rc = next_record(in, SHERD_ANSWERS, &b);
    if (rc < 0) return rc;

    /* Not the entries: most answers have one or none, and zeroing a dozen would be the cost. */
    memset(out, 0, offsetof(struct sherd_answer, entries));
    out->body = (struct sherd_bytes){NULL, 0};
    uint8_t has = take_answer_head(&b, out);
    if (has & MAP_VERSION) out->map_version = sherd_bytes_take_u64(&b);
    if (has & MAX) out->max = take_ballot(&b);
    if (has & ENTRIES) out->entry_count = take_entries(&b, &moved, out->entries);
    if (has & ANSWER_BODY) out->body = take_body(&b, SHERD_MESSAGE_BYTES_MAX);
    return end_record(in, &moved, &b);
}
