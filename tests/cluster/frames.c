#include "tests/cluster/frames.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <sherd/ecc.h>
#include <zmq.h>

#include "tests/support/wire_messages.h"

enum { BURN_MAX = 1000003, MUTATIONS_MAX = 4, CLOCK_SPREAD_MS = 50000, SHARD_BYTES = 1000 };

void frames_seed(uint64_t seed)
{
    wire_start_over(NULL);
    for (uint64_t i = 0; i < seed % BURN_MAX; i++)
        wire_random();
}

void frames_from(struct frames *f, const struct sherd_bytes *parts, size_t count)
{
    f->count = count < FRAMES_MAX ? count : FRAMES_MAX;
    for (size_t i = 0; i < f->count; i++) {
        f->sizes[i] = parts[i].size < FRAME_BYTES_MAX ? parts[i].size : FRAME_BYTES_MAX;
        if (f->sizes[i] > 0) memcpy(f->bytes[i], parts[i].data, f->sizes[i]);
    }
}

void frames_random(struct frames *f)
{
    f->count = 1 + wire_below(4);
    for (size_t i = 0; i < f->count; i++) {
        struct sherd_bytes b = wire_random_bytes(wire_below(wire_below(8) ? 200 : 20000));
        f->sizes[i] = b.size;
        memcpy(f->bytes[i], b.data, b.size);
    }
    /* Half of them get past the magic number. */
    if (wire_below(2) && f->sizes[0] >= SHERD_ENVELOPE_BYTES) {
        const uint8_t head[4] = {SHERD_WIRE_MAGIC & 0xff, SHERD_WIRE_MAGIC >> 8, SHERD_WIRE_VERSION,
                                 (uint8_t)(1 + wire_below(2))};
        memcpy(f->bytes[0], head, sizeof(head));
    }
}

/* Writes the envelope anew over the one at the start of frame 0. */
static void address(struct wire_message *m, const struct sherd_envelope *e)
{
    struct sherd_writer_buffer envelope = {m->out.data, 0, SHERD_ENVELOPE_BYTES};

    (void)sherd_wire_put_envelope(&envelope, e);
}

static uint64_t wall_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000) << 16;
}

static struct sherd_envelope right_envelope(struct frames_target *t, uint32_t count)
{
    return (struct sherd_envelope){.type = SHERD_REQUESTS,
                                   .count = count,
                                   .session = t->session,
                                   .number = ++t->number,
                                   .incarnation = t->incarnation,
                                   .map_version = t->map->version,
                                   .clock = wall_clock()};
}

/* One thing in three may be wrong. */
static void spoil_envelope(struct sherd_envelope *e, struct frames_target *t)
{
    switch (wire_below(9)) {
    case 0: e->session = wire_random(); break;
    case 1: e->number = wire_below(100); break;
    case 2: e->incarnation = wire_random(); break;
    case 3: e->map_version = wire_random(); break;
    case 4: e->clock = wire_random(); break;
    case 5: e->incarnation = 0; break;
    case 6: /* a new session, and it is ours from now on */
        t->session = e->session = wire_random();
        t->number = e->number = 1;
        break;
    default: break;
    }
}

static uint8_t some_kind(void)
{
    return wire_below(10) ? wire_request_kinds[wire_below(WIRE_REQUEST_KINDS)]
                          : wire_kind(wire_below(WIRE_KINDS));
}

void frames_well_formed(struct frames *f, struct frames_target *target)
{
    struct wire_message m = wire_one_record(some_kind());
    struct sherd_envelope e = right_envelope(target, 1);

    spoil_envelope(&e, target);
    address(&m, &e);
    frames_from(f, m.frames, m.frame_count);
}

/* Clocks around now, a few of them beyond what a node believes. */
static uint64_t plausible_clock(void)
{
    uint64_t spread = (uint64_t)CLOCK_SPREAD_MS << 16;

    if (wire_below(20) == 0) return wire_random();
    return wall_clock() - spread / 2 + wire_random() % spread;
}

static void aim(struct sherd_request *r, const struct frames_target *t)
{
    uint64_t hash = sherd_hash_key(r->key.data, r->key.size);
    uint16_t partition =
        r->kind == SHERD_LIST ? r->partition : sherd_map_partition_of(t->map, hash);
    const struct sherd_partition *p = &t->map->partitions[partition % t->map->partition_count];
    int slot = sherd_partition_slot_of(p, t->node);

    r->epoch = p->epoch;
    r->slot = (uint8_t)(slot < 0 ? 0 : slot);
    if (r->kind == SHERD_LIST) r->limit = wire_below(100000);
    if (r->kind == SHERD_LIST || r->kind == SHERD_READ) return;
    r->ballot.epoch = p->epoch;
    r->ballot.clock = plausible_clock();
    if (r->kind != SHERD_PREPARE) return;
    r->version = wire_below(2) ? r->ballot : r->version;
    r->shard = wire_random_bytes(wire_below(4) ? wire_below(SHARD_BYTES) : 20000);
}

void frames_acceptable(struct frames *f, struct frames_target *target)
{
    static const uint8_t kinds[] = {SHERD_PREPARE, SHERD_PREPARE, SHERD_PROMISE, SHERD_READ,
                                    SHERD_COMMIT,  SHERD_ABORT,   SHERD_FORGET,  SHERD_LIST};
    uint32_t count = 1 + wire_below(6);
    struct sherd_envelope e = right_envelope(target, count);
    struct wire_message m;

    wire_begin(&m, SHERD_REQUESTS, count);
    for (uint32_t i = 0; i < count; i++) {
        struct sherd_request r = wire_random_request(kinds[wire_below(sizeof(kinds))], true);
        aim(&r, target);
        wire_send_request(&m, &r);
    }
    address(&m, &e);
    frames_from(f, m.frames, m.frame_count);
}

static void mutate_once(struct frames *f)
{
    size_t i = wire_below((uint32_t)f->count), size = f->sizes[i];
    uint8_t *bytes = f->bytes[i];

    switch (wire_below(7)) {
    case 0: /* cut */ f->sizes[i] = size > 0 ? wire_below((uint32_t)size) : 0; break;
    case 1: /* lengthen */
        if (size < FRAME_BYTES_MAX - 64) {
            memset(bytes + size, (int)wire_below(256), 64);
            f->sizes[i] = size + 1 + wire_below(64);
        }
        break;
    case 2: /* a frame too many */
        if (f->count < FRAMES_MAX) {
            memcpy(f->bytes[f->count], bytes, size);
            f->sizes[f->count++] = size;
        }
        break;
    case 3: /* a frame too few */
        if (f->count > 1) f->count--;
        break;
    case 4: /* an extreme number */
        if (size > 8)
            memset(bytes + wire_below((uint32_t)size - 8), wire_below(2) ? 0xff : 0,
                   (size_t)1 << wire_below(4));
        break;
    case 5: /* a byte */
        if (size > 0) bytes[wire_below((uint32_t)size)] = (uint8_t)wire_random();
        break;
    default: /* a bit */
        if (size > 0) bytes[wire_below((uint32_t)size)] ^= (uint8_t)(1 << wire_below(8));
        break;
    }
}

void frames_mutate(struct frames *f)
{
    for (uint32_t n = 1 + wire_below(MUTATIONS_MAX); n > 0; n--)
        mutate_once(f);
}

static bool is_authority(const struct sherd_request *r, const struct frames_target *t)
{
    if (r->kind != SHERD_INSERT) return false;
    for (uint16_t p = 0; p < t->map->partition_count; p++)
        if (t->map->partitions[p].epoch == r->epoch) return true;
    return false;
}

bool frames_has_authority(const struct frames *f, const struct frames_target *target)
{
    struct sherd_bytes views[FRAMES_MAX];
    struct sherd_wire_reader in;
    struct sherd_envelope e;
    struct sherd_request r;

    for (size_t i = 0; i < f->count; i++)
        views[i] = (struct sherd_bytes){f->bytes[i], f->sizes[i]};
    if (f->count == 0 || sherd_wire_open(&in, views, f->count, &e) < 0) return false;
    if (e.type != SHERD_REQUESTS) return false;
    while (sherd_wire_next_request(&in, &r) == 0)
        if (is_authority(&r, target)) return true;
    return false;
}

int frames_send(void *socket, const struct sherd_bytes *identity, const struct frames *f, int flags)
{
    if (identity != NULL &&
        zmq_send(socket, identity->data, identity->size, flags | ZMQ_SNDMORE) < 0)
        return -errno;
    for (size_t i = 0; i < f->count; i++) {
        int more = i + 1 < f->count ? ZMQ_SNDMORE : 0;
        if (zmq_send(socket, f->bytes[i], f->sizes[i], flags | more) < 0) return -errno;
    }
    return 0;
}
