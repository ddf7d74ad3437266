#include "tests/support/wire_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tests/support/random.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

const uint8_t wire_request_kinds[WIRE_REQUEST_KINDS] = {
    SHERD_PREPARE, SHERD_PROMISE, SHERD_READ,      SHERD_COMMIT,      SHERD_ABORT, SHERD_FORGET,
    SHERD_INSERT,  SHERD_LIST,    SHERD_PING,      SHERD_GET_MAP,     SHERD_SEAL,  SHERD_LIVE,
    SHERD_STATS,   SHERD_RECOVER, SHERD_HEARTBEAT, SHERD_ACCEPT_LOSS,
};

const uint8_t wire_answer_kinds[WIRE_ANSWER_KINDS] = {
    SHERD_ACK,  SHERD_NACK, SHERD_PROMISED, SHERD_STATE,  SHERD_ABORTED,   SHERD_STALE,
    SHERD_PAGE, SHERD_PONG, SHERD_MAP,      SHERD_SEALED, SHERD_STATS_ARE,
};

uint8_t wire_pool[WIRE_POOL_BYTES];
uint8_t wire_buffer[WIRE_BUFFER_BYTES];

/* Random records */

static uint64_t seed;

uint64_t wire_random(void) { return random_next(&seed); }

uint32_t wire_below(uint32_t n) { return (uint32_t)(wire_random() % n); }

struct sherd_bytes wire_random_bytes(size_t size)
{
    return (struct sherd_bytes){wire_pool + wire_below((uint32_t)(sizeof(wire_pool) - size)), size};
}

static struct sherd_ballot random_ballot(void)
{
    return (struct sherd_ballot){wire_random(), wire_random(), (uint32_t)wire_random()};
}

static struct sherd_ballot random_version(struct sherd_ballot ballot)
{
    return wire_below(2) ? ballot : random_ballot();
}

static struct sherd_meta random_meta(void)
{
    return (struct sherd_meta){wire_random(), wire_random(), wire_below(SHERD_VALUE_BYTES_MAX + 1),
                               (uint8_t)wire_below(8)};
}

/* None, empty, small, at both sides of the border. `small`: none that makes a long frame 0. */
static struct sherd_bytes random_shard(bool small)
{
    const size_t sizes[] = {0, 1, 20, SHERD_SHARD_INLINE_MAX + 1, 20000, SHERD_SHARD_INLINE_MAX};
    uint32_t i = wire_below(small ? 6 : 7);

    return i == 0 ? (struct sherd_bytes){NULL, 0} : wire_random_bytes(sizes[i - 1]);
}

struct sherd_bytes wire_random_key(bool small)
{
    return wire_random_bytes(1 + wire_below(small ? 20 : SHERD_KEY_BYTES_MAX));
}

struct sherd_entry wire_random_entry(bool small)
{
    struct sherd_entry e = {.ballot = random_ballot(), .meta = random_meta()};

    e.version = random_version(e.ballot);
    e.committed = wire_below(2);
    e.has_shard = wire_below(2);
    e.crc = (uint32_t)wire_random();
    e.shard = random_shard(small);
    return e;
}

static void fill_keyed(struct sherd_request *r, bool small)
{
    r->epoch = (uint32_t)wire_random();
    r->key = wire_random_key(small);
    if (r->kind != SHERD_READ) r->ballot = r->version = random_ballot();
    if (r->kind == SHERD_COMMIT) r->acked = (uint32_t)wire_random();
    if (r->kind != SHERD_PREPARE && r->kind != SHERD_INSERT) {
        r->version = SHERD_BALLOT_ZERO;
        return;
    }
    r->version = random_version(r->ballot);
    if (r->flags & SHERD_WITH_EXPECT) r->expect = random_ballot();
    r->meta = random_meta();
    r->crc = (uint32_t)wire_random();
    r->shard = random_shard(small);
}

static void fill_list(struct sherd_request *r, bool small)
{
    r->epoch = (uint32_t)wire_random();
    r->partition = (uint16_t)wire_below(SHERD_PARTITIONS);
    r->what = (uint8_t)wire_below(SHERD_LIST_DIGEST + 1);
    r->limit = (uint32_t)wire_random();
    r->since = wire_random();
    if (wire_below(2)) r->key = wire_random_key(small);
    r->body = wire_random_bytes(wire_below(small ? 20 : SHERD_KEY_BYTES_MAX + 1));
}

struct sherd_request wire_random_request(uint8_t kind, bool small)
{
    struct sherd_request r = {.id = wire_random(), .kind = kind, .shard_frame = -1};

    r.flags = (uint8_t)wire_below(32);
    r.slot = (uint8_t)wire_below(SHERD_SLOTS_MAX);
    if (kind < SHERD_LIST) fill_keyed(&r, small);
    if (kind == SHERD_LIST) fill_list(&r, small);
    if (kind == SHERD_LIVE) r.since = wire_random();
    if (kind == SHERD_SEAL || kind == SHERD_HEARTBEAT) r.body = wire_random_bytes(wire_below(200));
    return r;
}

struct sherd_answer wire_random_answer(uint8_t kind, bool small)
{
    struct sherd_answer a = {.id = wire_random(), .kind = kind, .flags = (uint8_t)wire_below(8)};

    a.slot = (uint8_t)wire_below(SHERD_SLOTS_MAX);
    a.reason = (uint8_t)wire_below(SHERD_REASON_LOST + 1);
    a.epoch = (uint32_t)wire_random();
    if (kind == SHERD_STALE || kind == SHERD_PONG || kind == SHERD_SEALED)
        a.map_version = wire_random();
    if (kind == SHERD_NACK) a.max = random_ballot();
    if (kind == SHERD_STATE || kind == SHERD_PROMISED)
        a.entry_count = (uint8_t)wire_below(SHERD_ENTRIES_MAX + 1);
    for (uint8_t i = 0; i < a.entry_count; i++)
        a.entries[i] = wire_random_entry(small);
    if (kind == SHERD_PAGE || kind == SHERD_MAP || kind == SHERD_STATS_ARE)
        a.body = wire_random_bytes(wire_below(200));
    return a;
}

/* Sending: what an owner of sockets does with the writers */

void wire_begin(struct wire_message *m, uint8_t type, uint32_t count)
{
    struct sherd_envelope e = {type, count, 11, 12, 13, 14, 15};

    *m = (struct wire_message){
        .out = {wire_buffer, 0, sizeof(wire_buffer)},
          .frame_count = 1
    };
    assert_int_equal(sherd_wire_put_envelope(&m->out, &e), 0);
    assert_int_equal(m->out.size, SHERD_ENVELOPE_BYTES);
}

static void send_frame(struct wire_message *m, struct sherd_bytes shard)
{
    if (sherd_wire_is_framed(shard.size)) m->frames[m->frame_count++] = shard;
}

void wire_send_request(struct wire_message *m, const struct sherd_request *r)
{
    size_t before = m->out.size;

    assert_int_equal(sherd_wire_put_request(&m->out, r), 0);
    assert_int_equal(m->out.size - before, sherd_wire_request_bytes(r));
    send_frame(m, r->shard);
    m->frames[0] = (struct sherd_bytes){m->out.data, m->out.size};
}

void wire_send_answer(struct wire_message *m, const struct sherd_answer *a)
{
    size_t before = m->out.size;

    assert_int_equal(sherd_wire_put_answer(&m->out, a), 0);
    assert_int_equal(m->out.size - before, sherd_wire_answer_bytes(a));
    for (uint8_t i = 0; i < a->entry_count; i++)
        send_frame(m, a->entries[i].shard);
    m->frames[0] = (struct sherd_bytes){m->out.data, m->out.size};
}

/* Receiving */

void wire_open(struct sherd_wire_reader *in, const struct wire_message *m)
{
    struct sherd_envelope e = {0};

    assert_int_equal(sherd_wire_open(in, m->frames, m->frame_count, &e), 0);
    assert_int_equal(e.session, 11);
    assert_int_equal(e.number, 12);
    assert_int_equal(e.incarnation, 13);
    assert_int_equal(e.map_version, 14);
    assert_int_equal(e.clock, 15);
}

int wire_read_all(const struct sherd_bytes *frames, size_t frame_count)
{
    static struct sherd_answer a;
    struct sherd_request r = {0};
    struct sherd_wire_reader in = {0};
    struct sherd_envelope e = {0};

    int rc = sherd_wire_open(&in, frames, frame_count, &e);
    while (rc == 0)
        rc = e.type == SHERD_REQUESTS ? sherd_wire_next_request(&in, &r)
                                      : sherd_wire_next_answer(&in, &a);
    return rc;
}

uint8_t wire_kind(size_t i)
{
    return i < WIRE_REQUEST_KINDS ? wire_request_kinds[i]
                                  : wire_answer_kinds[i - WIRE_REQUEST_KINDS];
}

struct wire_message wire_one_record(uint8_t kind)
{
    bool is_request = kind < SHERD_ACK;
    struct wire_message m;

    wire_begin(&m, is_request ? SHERD_REQUESTS : SHERD_ANSWERS, 1);
    if (is_request) {
        struct sherd_request r = wire_random_request(kind, true);
        wire_send_request(&m, &r);
    } else {
        struct sherd_answer a = wire_random_answer(kind, true);
        wire_send_answer(&m, &a);
    }
    return m;
}

int wire_start_over(void **state)
{
    (void)state;
    seed = 20240607;
    for (size_t i = 0; i < sizeof(wire_pool); i++)
        wire_pool[i] = (uint8_t)wire_random();
    return 0;
}
