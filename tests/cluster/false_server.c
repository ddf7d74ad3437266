#include "tests/cluster/false_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sherd/ecc.h>
#include <zmq.h>

#include "coord/map_codec.h"
#include "tests/cluster/frames.h"
#include "tests/support/wire_messages.h"

enum { WAIT_MS = 20, IDENTITY_MAX = 256, UNASKED_ONE_IN = 16 };

/* One message in, as far as it is needed. */
struct heard {
    uint8_t identity_bytes[IDENTITY_MAX];
    struct sherd_bytes identity;
    struct frames frames;
};

static bool hear(struct false_server *s, struct heard *h)
{
    int size = zmq_recv(s->socket, h->identity_bytes, IDENTITY_MAX, 0), more = 1;
    size_t option_size = sizeof(more);

    if (size < 0) return false;
    h->identity = (struct sherd_bytes){h->identity_bytes, (size_t)size};
    h->frames.count = 0;
    for (;;) {
        static uint8_t rest[FRAME_BYTES_MAX];
        bool fits = h->frames.count < FRAMES_MAX;
        zmq_getsockopt(s->socket, ZMQ_RCVMORE, &more, &option_size);
        if (!more) return h->frames.count > 0;
        size =
            zmq_recv(s->socket, fits ? h->frames.bytes[h->frames.count] : rest, FRAME_BYTES_MAX, 0);
        if (size < 0) return false;
        if (fits)
            h->frames.sizes[h->frames.count++] =
                size < FRAME_BYTES_MAX ? (size_t)size : FRAME_BYTES_MAX;
    }
}

/* The kind of answer that fits the question. */
static uint8_t fitting_kind(uint8_t request)
{
    switch (request) {
    case SHERD_PROMISE: return SHERD_PROMISED;
    case SHERD_READ: return SHERD_STATE;
    case SHERD_ABORT: return SHERD_ABORTED;
    case SHERD_LIST: return SHERD_PAGE;
    case SHERD_PING: return SHERD_PONG;
    case SHERD_GET_MAP: return SHERD_MAP;
    case SHERD_STATS: return SHERD_STATS_ARE;
    default: return SHERD_ACK;
    }
}

/* The one committed value that every key has: all nodes tell the same story of it, but the shards
 * of half of the keys are not what their checksums say, and the bytes never are. */
static struct sherd_entry common_entry(const struct false_server *s, const struct sherd_request *r)
{
    uint64_t hash = sherd_hash_key(r->key.data, r->key.size);
    struct sherd_entry e = {
        .ballot = {(hash >> 8 & 0xffff) << 16, hash, r->epoch},
        .committed = true,
        .has_shard = true
    };
    uint32_t shard_bytes = 1 + (uint32_t)(hash % 1000);

    e.version = e.ballot;
    e.meta = (struct sherd_meta){.checksum = hash, .size = shard_bytes * s->map->k};
    e.shard = (struct sherd_bytes){wire_pool + hash % 10000 + r->slot, shard_bytes};
    e.crc = sherd_crc32c(e.shard.data, e.shard.size) + (uint32_t)(hash >> 3 & 1);
    return e;
}

/* What a true server might say; a client may believe every word. */
static struct sherd_answer plausible_answer(struct false_server *s, const struct sherd_request *r)
{
    struct sherd_answer a = {.id = r->id, .kind = fitting_kind(r->kind), .slot = r->slot};

    a.flags = SHERD_ANSWER_VOTE | (a.kind == SHERD_PAGE ? SHERD_ANSWER_END : 0);
    a.epoch = r->epoch;
    if (a.kind == SHERD_PONG || a.kind == SHERD_STALE) a.map_version = s->map->version;
    if (a.kind == SHERD_MAP) a.body = (struct sherd_bytes){s->encoded, s->encoded_size};
    if (a.kind == SHERD_STATS_ARE) a.body = (struct sherd_bytes){"{}", 2};
    if ((a.kind == SHERD_STATE || a.kind == SHERD_PROMISED) && r->key.data != NULL &&
        sherd_hash_key(r->key.data, r->key.size) & 4)
        a.entries[a.entry_count++] = common_entry(s, r);
    return a;
}

/* Any answer, with some things right. */
static struct sherd_answer wrong_answer(struct false_server *s, const struct sherd_request *r)
{
    uint8_t kind =
        wire_below(3) ? fitting_kind(r->kind) : wire_answer_kinds[wire_below(WIRE_ANSWER_KINDS)];
    struct sherd_answer a = wire_random_answer(kind, true);

    if (wire_below(16)) a.id = r->id;
    if (wire_below(4)) a.slot = r->slot;
    if (wire_below(4)) a.epoch = r->epoch;
    if (wire_below(2)) a.flags |= SHERD_ANSWER_VOTE;
    if (wire_below(2)) a.map_version = s->map->version;
    if (kind == SHERD_NACK && wire_below(2)) a.reason = SHERD_REASON_BALLOT;
    for (uint8_t i = 0; i < a.entry_count && wire_below(3); i++) {
        a.entries[i].ballot.epoch = a.entries[i].version.epoch = r->epoch;
        a.entries[i].meta.size = wire_below(8000);
    }
    return a;
}

/* Answers one message with one of all records, or of some. */
static void answer(struct false_server *s, const struct heard *h, struct frames *f)
{
    struct sherd_envelope e, ours = {.type = SHERD_ANSWERS};
    struct sherd_bytes views[FRAMES_MAX];
    struct sherd_wire_reader in;
    struct sherd_request r;
    struct wire_message m;

    for (size_t i = 0; i < h->frames.count; i++)
        views[i] = (struct sherd_bytes){h->frames.bytes[i], h->frames.sizes[i]};
    f->count = 0;
    if (sherd_wire_open(&in, views, h->frames.count, &e) < 0) return;
    ours.session = wire_below(100) ? e.session : wire_random();
    ours.incarnation = wire_below(400) ? s->incarnation : wire_random();
    ours.map_version = wire_below(100) ? s->map->version : wire_random();
    ours.clock = wire_below(16) ? e.clock : wire_random();
    wire_begin(&m, SHERD_ANSWERS, 0);
    while (sherd_wire_next_request(&in, &r) == 0) {
        struct sherd_answer a = wire_below(6) ? plausible_answer(s, &r) : wrong_answer(s, &r);
        if (r.id == 0 || wire_below(32) == 0 || m.frame_count + a.entry_count > FRAMES_MAX - 2U)
            continue;
        wire_send_answer(&m, &a);
        ours.count++;
    }
    struct sherd_writer_buffer envelope = {m.out.data, 0, SHERD_ENVELOPE_BYTES};
    (void)sherd_wire_put_envelope(&envelope, &ours);
    m.frames[0] = (struct sherd_bytes){m.out.data, m.out.size};
    frames_from(f, m.frames, m.frame_count);
    if (wire_below(16) == 0) frames_mutate(f);
}

static void say(struct false_server *s, const struct heard *h, const struct frames *f)
{
    if (f->count > 0 && frames_send(s->socket, &h->identity, f, ZMQ_DONTWAIT) == 0)
        atomic_fetch_add(&s->sent, 1);
}

static void *serve(void *context)
{
    struct false_server *s = context;
    struct frames_target nobody = {.map = s->map, .node = 0, .session = 1};
    struct heard *h = malloc(sizeof(*h));
    struct frames *f = malloc(sizeof(*f));

    if (h == NULL || f == NULL) abort();
    frames_seed(s->seed);
    while (!atomic_load(&s->stop)) {
        if (!hear(s, h)) continue;
        answer(s, h, f);
        say(s, h, f);
        if (wire_below(8) == 0) say(s, h, f); /* twice */
        if (wire_below(UNASKED_ONE_IN) != 0) continue;
        if (wire_below(2))
            frames_random(f);
        else
            frames_well_formed(f, &nobody); /* a request, to a client */
        say(s, h, f);
    }
    free(f);
    free(h);
    return NULL;
}

/* The map of a real cluster, but all nodes are us. */
static void take_over(struct false_server *s, struct sherd_bytes encoded_map, unsigned first_port)
{
    uint16_t partitions = sherd_map_peek_partitions(encoded_map);
    size_t size = 0, capacity;

    s->map = malloc(sherd_map_size(partitions));
    TEST_CHECK(s->map != NULL && sherd_map_decode(encoded_map, s->map) == 0);
    for (unsigned i = 0; i < s->map->node_count; i++) {
        char *endpoint = s->map->nodes[i].endpoint;
        snprintf(endpoint, sizeof(s->map->nodes[i].endpoint), "tcp://127.0.0.1:%u", first_port + i);
        if (zmq_bind(s->socket, endpoint) != 0) test_fail("%s: %s", endpoint, zmq_strerror(errno));
        size += (size_t)snprintf(s->seeds + size, sizeof(s->seeds) - size, "%s%s", i > 0 ? "," : "",
                                 endpoint);
    }
    capacity = sherd_map_encoded_max(s->map) + SHERD_NODES_MAX * SHERD_ENDPOINT_BYTES_MAX;
    s->encoded = malloc(capacity);
    TEST_CHECK(s->encoded != NULL);
    s->encoded_size = sherd_map_encode(s->map, s->encoded, capacity);
    TEST_CHECK(s->encoded_size > 0);
}

void false_server_start(struct false_server *s, struct sherd_bytes encoded_map, uint64_t seed)
{
    int wait_ms = WAIT_MS, linger_ms = 0;

    *s = (struct false_server){.incarnation = seed | 1, .seed = seed};
    s->zmq_context = zmq_ctx_new();
    s->socket = s->zmq_context != NULL ? zmq_socket(s->zmq_context, ZMQ_ROUTER) : NULL;
    TEST_CHECK(s->socket != NULL);
    zmq_setsockopt(s->socket, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms));
    zmq_setsockopt(s->socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
    take_over(s, encoded_map, cluster_find_ports(CLUSTER_NODES_MAX));
    TEST_CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
}

void false_server_stop(struct false_server *s)
{
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    zmq_close(s->socket);
    zmq_ctx_term(s->zmq_context);
    free(s->map);
    free(s->encoded);
}
