#include "tests/support/fake_cluster.h"

#include <sherd/ecc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "coord/map_codec.h"
#include "coord/participant.h"
#include "coord/wire.h"

enum {
    KEYS_MAX = 32768,
    PARTITIONS = 8,
    ENDPOINT_BYTES = 64,
    FRAMES_MAX = 512,
    BUFFER_BYTES = 16 << 20,
    PAUSE_MS = 2,
};

struct fake_key {
    char *key;
    size_t size;
    uint64_t hash;
    struct sherd_record record;
    struct fake_key *next;
};

struct fake_node {
    void *socket;
    uint64_t incarnation, sessions;
    unsigned messages;
    struct fake_key *keys[KEYS_MAX];
};

/* One message being served. */
struct fake_turn {
    struct fake_cluster *c;
    unsigned index;
    struct fake_node *node;
    int mode;
    zmq_msg_t identity, frames[FRAMES_MAX];
    struct sherd_bytes views[FRAMES_MAX];
    size_t frame_count;
    struct sherd_writer_buffer out;
    struct sherd_bytes shards[FRAMES_MAX]; /* of the answers, to be sent as frames */
    size_t shard_count;
    uint32_t answers;
};

static uint64_t wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- memory ---- */

static struct fake_key *find(struct fake_node *n, const struct sherd_request *r)
{
    struct fake_key **bucket = &n->keys[r->key_hash % KEYS_MAX], *k;

    for (k = *bucket; k; k = k->next)
        if (k->size == r->key.size && memcmp(k->key, r->key.data, k->size) == 0) return k;
    k = calloc(1, sizeof(*k));
    k->key = malloc(r->key.size);
    memcpy(k->key, r->key.data, r->key.size);
    k->size = r->key.size;
    k->hash = r->key_hash;
    k->next = *bucket;
    return *bucket = k;
}

static void forget_all(struct fake_node *n)
{
    for (size_t i = 0; i < KEYS_MAX; i++) {
        while (n->keys[i]) {
            struct fake_key *k = n->keys[i];
            n->keys[i] = k->next;
            for (uint8_t j = 0; j < k->record.count; j++)
                free((void *)(uintptr_t)k->record.entries[j].shard.data);
            free(k->key);
            free(k);
        }
    }
}

static bool is_held(const struct sherd_record *r, const void *shard)
{
    for (uint8_t i = 0; i < r->count; i++)
        if (r->entries[i].shard.data == shard) return true;
    return false;
}

/* The machine's record borrows: shards that came in are copied, shards that went are freed. */
static void settle(const struct sherd_record *before, struct sherd_record *after,
                   const struct sherd_request *r)
{
    for (uint8_t i = 0; i < after->count; i++) {
        struct sherd_bytes *shard = &after->entries[i].shard;
        void *copy;
        if (!shard->data || shard->data != r->shard.data) continue;
        copy = malloc(shard->size + 1);
        memcpy(copy, shard->data, shard->size);
        shard->data = copy;
    }
    for (uint8_t i = 0; i < before->count; i++)
        if (!is_held(after, before->entries[i].shard.data))
            free((void *)(uintptr_t)before->entries[i].shard.data);
}

/* ---- the map ---- */

/* Partitions are turned against each other, so that slots and nodes differ. All epochs so far are
 * open, with the same voters. */
static void fill_partition(const struct fake_cluster *c, struct sherd_partition *p, unsigned index,
                           uint32_t version)
{
    p->epoch = p->open_count = version;
    p->voters = sherd_slots_below((uint8_t)c->n);
    for (uint8_t s = 0; s < SHERD_SLOTS_MAX; s++) {
        p->node[s] = (uint16_t)(s < c->n ? (s + index) % c->n : SHERD_NO_NODE);
        p->incarnation[s] = s < c->n;
    }
    for (uint32_t i = 0; i < version; i++) {
        p->open[i] = (struct sherd_epoch){.epoch = i + 1, .voters = p->voters};
        memcpy(p->open[i].node, p->node, sizeof(p->node));
        memcpy(p->open[i].incarnation, p->incarnation, sizeof(p->incarnation));
    }
}

static size_t encode_map(struct fake_cluster *c, uint8_t *out, size_t capacity)
{
    struct sherd_map *map = calloc(1, sherd_map_size(PARTITIONS));
    uint32_t version = atomic_load(&c->version);
    size_t size;

    *map = (struct sherd_map){.cluster = 7,
                              .version = version,
                              .live = version,
                              .next_incarnation = 2,
                              .k = (uint8_t)c->k,
                              .m = (uint8_t)c->m,
                              .node_count = (uint16_t)c->n,
                              .partition_count = PARTITIONS};
    for (uint16_t i = 0; i < c->n; i++) {
        map->nodes[i] = (struct sherd_node){
            .id = i, .weight = 1, .incarnation = 1, .since = atomic_load(&c->since[i])};
        strcpy(map->nodes[i].endpoint, c->endpoints[i]);
    }
    for (unsigned i = 0; i < PARTITIONS; i++)
        fill_partition(c, &map->partitions[i], i, version);
    size = sherd_map_encode(map, out, capacity);
    free(map);
    return size;
}

/* ---- answers ---- */

static void put_answer(struct fake_turn *t, struct sherd_answer *a)
{
    for (uint8_t i = 0; i < a->entry_count; i++) {
        struct sherd_entry *e = &a->entries[i];
        if (!e->shard.data || !sherd_wire_is_framed(e->shard.size)) continue;
        if (t->shard_count == FRAMES_MAX) abort();
        t->shards[t->shard_count++] = e->shard;
    }
    if (sherd_wire_put_answer(&t->out, a) < 0) abort();
    t->answers++;
}

static void put_list(struct fake_turn *t, const struct sherd_request *r, struct sherd_answer *a)
{
    struct fake_key *list[KEYS_MAX], *last = NULL;
    struct sherd_writer_buffer page = {malloc(BUFFER_BYTES), 0, BUFFER_BYTES};
    uint64_t cursor_hash = r->key.size ? sherd_hash_key(r->key.data, r->key.size) : 0;
    size_t count = 0;

    for (size_t i = 0; i < KEYS_MAX; i++)
        for (struct fake_key *k = t->node->keys[i]; k; k = k->next)
            if (k->hash % PARTITIONS == r->partition) list[count++] = k;
    a->flags |= SHERD_ANSWER_END;
    for (unsigned put = 0;;) {
        struct fake_key *next = NULL;
        for (size_t i = 0; i < count; i++) { /* hashes do not collide in these tests */
            if (r->key.size && list[i]->hash <= cursor_hash) continue;
            if (last && list[i]->hash <= last->hash) continue;
            if (!next || list[i]->hash < next->hash) next = list[i];
        }
        if (!next) break;
        last = next;
        if (t->c->keys_of_page && put == t->c->keys_of_page) {
            a->flags &= (uint8_t)~SHERD_ANSWER_END;
            break;
        }
        if (r->body.size > next->size || memcmp(next->key, r->body.data, r->body.size) != 0)
            continue;
        struct sherd_entry entries[SHERD_ENTRIES_MAX];
        sherd_record_show(&next->record);
        memcpy(entries, next->record.entries, sizeof(entries));
        for (uint8_t i = 0; i < next->record.count; i++)
            if (!(r->flags & SHERD_WITH_SHARD)) entries[i].shard.data = NULL;
        if (sherd_wire_put_item(&page, (struct sherd_bytes){next->key, next->size}, entries,
                                next->record.count) < 0)
            abort();
        put++;
    }
    a->kind = SHERD_PAGE;
    a->body = (struct sherd_bytes){page.data, page.size};
    put_answer(t, a);
    free(page.data);
}

static void spoil(struct fake_turn *t, struct sherd_answer *a, uint8_t *spoiled)
{
    for (uint8_t i = 0; i < a->entry_count && t->mode == FAKE_BROKEN; i++) {
        struct sherd_bytes *shard = &a->entries[i].shard;
        if (!shard->data || shard->size == 0 || shard->size > SHERD_SHARD_INLINE_MAX) continue;
        memcpy(spoiled, shard->data, shard->size);
        spoiled[shard->size / 2] ^= 1;
        shard->data = spoiled;
    }
}

static void serve_key(struct fake_turn *t, struct sherd_request *r, struct sherd_answer *a)
{
    const struct sherd_participant_env env = {
        .wall_ms = wall_ms(),
        .voter = true,
        .clean = true,
        .room = t->mode != FAKE_FULL,
        .holders = sherd_slots_below((uint8_t)t->c->n),
    };
    static uint8_t spoiled[SHERD_SHARD_INLINE_MAX];
    struct sherd_record before;
    struct sherd_change change;
    struct fake_key *key;

    r->key_hash = sherd_hash_key(r->key.data, r->key.size);
    atomic_fetch_add(&t->c->requests[t->index], 1);
    if (r->epoch != a->epoch) {
        a->kind = SHERD_STALE;
        a->reason = SHERD_REASON_EPOCH;
        put_answer(t, a);
        return;
    }
    key = find(t->node, r);
    before = key->record;
    sherd_participant_step(&env, r, &key->record, &change, a);
    settle(&before, &key->record, r);
    if (r->id == 0) return;
    spoil(t, a, spoiled);
    put_answer(t, a);
    for (uint8_t slot = 0; slot < t->c->n && t->mode == FAKE_LIAR; slot++) {
        if (slot == r->slot) continue;
        a->slot = slot;
        put_answer(t, a);
    }
}

static void serve(struct fake_turn *t, struct sherd_request *r)
{
    static struct sherd_answer a;
    static uint8_t map[1 << 20];

    memset(&a, 0, sizeof(a));
    a.id = r->id;
    a.slot = r->slot;
    a.map_version = a.epoch = atomic_load(&t->c->version);
    switch (r->kind) {
    case SHERD_PING: a.kind = SHERD_PONG; break;
    case SHERD_GET_MAP:
        a.kind = SHERD_MAP;
        a.body = (struct sherd_bytes){map, encode_map(t->c, map, sizeof(map))};
        break;
    case SHERD_STATS:
        a.kind = SHERD_STATS_ARE;
        a.body = (struct sherd_bytes){"{}", 2};
        break;
    case SHERD_RECOVER: a.kind = SHERD_ACK; break;
    case SHERD_LIST: put_list(t, r, &a); return;
    default: serve_key(t, r, &a); return;
    }
    put_answer(t, &a);
}

static void refuse(struct fake_turn *t, const struct sherd_request *r)
{
    struct sherd_answer a = {.id = r->id, .slot = r->slot, .kind = SHERD_STALE};

    a.reason = SHERD_REASON_SESSION;
    put_answer(t, &a);
}

/* ---- messages ---- */

static void send_frame(struct fake_turn *t, const void *data, size_t size, bool more)
{
    zmq_send(t->node->socket, data, size, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
}

static void send_identity(struct fake_turn *t)
{
    send_frame(t, zmq_msg_data(&t->identity), zmq_msg_size(&t->identity), true);
}

/* What no honest node sends: noise, cut messages, impossible counts, somebody else's ids. */
static void send_garbage(struct fake_turn *t)
{
    static unsigned seed;
    uint8_t bytes[512];
    size_t size = t->out.size < sizeof(bytes) ? t->out.size : sizeof(bytes);

    memcpy(bytes, t->out.data, size);
    switch (seed++ % 5) {
    case 0: memset(bytes, (int)seed, size); break;
    case 1: size -= 1; break;
    case 2: memset(bytes + 4, 0xff, 4); break;
    case 3: bytes[size - 1] ^= 0xff; break;
    default: memset(bytes + SHERD_ENVELOPE_BYTES, 0xee, size - SHERD_ENVELOPE_BYTES); break;
    }
    send_identity(t);
    send_frame(t, bytes, size, false);
    send_identity(t);
    send_frame(t, "", 0, false);
}

static void answer_message(struct fake_turn *t, const struct sherd_envelope *request)
{
    struct sherd_writer_buffer head = {t->out.data, 0, SHERD_ENVELOPE_BYTES};
    const struct sherd_envelope e = {
        .type = SHERD_ANSWERS,
        .count = t->answers,
        .session = request->session,
        .incarnation = t->node->incarnation,
        .map_version = atomic_load(&t->c->version),
        .clock = wall_ms() << 16,
    };

    if (t->answers == 0 || t->mode == FAKE_SILENT) return;
    sherd_wire_put_envelope(&head, &e);
    if (t->mode == FAKE_GARBAGE) send_garbage(t);
    send_identity(t);
    send_frame(t, t->out.data, t->out.size, t->shard_count > 0);
    for (size_t i = 0; i < t->shard_count; i++)
        send_frame(t, t->shards[i].data, t->shards[i].size, i + 1 < t->shard_count);
}

static void serve_message(struct fake_turn *t)
{
    struct sherd_wire_reader in;
    struct sherd_envelope e;
    struct sherd_request r;
    bool refused;

    if (sherd_wire_open(&in, t->views, t->frame_count, &e) < 0) abort();
    /* Of another life, or forgotten: nothing of it is carried out. */
    refused = (e.incarnation != 0 && e.incarnation != t->node->incarnation) ||
              (t->mode == FAKE_FORGETFUL && e.number > 1 && e.number % 2 == 0);
    t->out.size = SHERD_ENVELOPE_BYTES;
    t->answers = 0;
    t->shard_count = 0;
    while (sherd_wire_next_request(&in, &r) == 0) {
        if (e.incarnation == 0 && r.kind == SHERD_PREPARE) abort();
        if (refused)
            refuse(t, &r);
        else
            serve(t, &r);
    }
    answer_message(t, &e);
}

static bool receive(struct fake_turn *t)
{
    bool more = true;

    zmq_msg_init(&t->identity);
    if (zmq_msg_recv(&t->identity, t->node->socket, ZMQ_DONTWAIT) < 0) return false;
    for (t->frame_count = 0; more; t->frame_count++) {
        zmq_msg_t *frame = &t->frames[t->frame_count];
        if (t->frame_count == FRAMES_MAX) abort();
        zmq_msg_init(frame);
        if (zmq_msg_recv(frame, t->node->socket, 0) < 0) abort();
        t->views[t->frame_count] = (struct sherd_bytes){zmq_msg_data(frame), zmq_msg_size(frame)};
        more = zmq_msg_more(frame);
    }
    return true;
}

static void open_or_close(struct fake_cluster *c, unsigned i)
{
    struct fake_node *n = c->nodes[i];
    bool up = atomic_load(&c->modes[i]) != FAKE_DOWN;
    const int zero = 0;

    if (up && !n->socket) {
        n->socket = zmq_socket(c->context, ZMQ_ROUTER);
        zmq_setsockopt(n->socket, ZMQ_LINGER, &zero, sizeof(zero));
        zmq_setsockopt(n->socket, ZMQ_SNDHWM, &zero, sizeof(zero));
        zmq_setsockopt(n->socket, ZMQ_RCVHWM, &zero, sizeof(zero));
        n->incarnation++;
        if (zmq_bind(n->socket, c->endpoints[i]) < 0) {
            zmq_close(n->socket);
            n->socket = NULL;
        }
    } else if (!up && n->socket) {
        zmq_close(n->socket);
        n->socket = NULL;
        forget_all(n);
    }
}

static void *run(void *cluster)
{
    struct fake_cluster *c = cluster;
    struct fake_turn *t = calloc(1, sizeof(*t));

    t->c = c;
    t->out = (struct sherd_writer_buffer){malloc(BUFFER_BYTES), 0, BUFFER_BYTES};
    while (!atomic_load(&c->stop)) {
        zmq_pollitem_t items[FAKE_NODES_MAX] = {{0}};
        int count = 0;
        for (unsigned i = 0; i < c->n; i++) {
            open_or_close(c, i);
            t->index = i;
            t->node = c->nodes[i];
            t->mode = atomic_load(&c->modes[i]);
            while (t->node->socket && receive(t)) {
                serve_message(t);
                zmq_msg_close(&t->identity);
                for (size_t j = 0; j < t->frame_count; j++)
                    zmq_msg_close(&t->frames[j]);
            }
            if (t->node->socket)
                items[count++] = (zmq_pollitem_t){.socket = t->node->socket, .events = ZMQ_POLLIN};
        }
        zmq_poll(items, count, PAUSE_MS);
    }
    free(t->out.data);
    free(t);
    return NULL;
}

struct fake_cluster *fake_cluster_new(unsigned k, unsigned m)
{
    static unsigned clusters;
    struct fake_cluster *c = calloc(1, sizeof(*c));

    clusters++;
    c->context = zmq_ctx_new();
    c->k = k;
    c->m = m;
    c->n = k + m;
    c->version = 1;
    for (unsigned i = 0; i < c->n; i++) {
        c->nodes[i] = calloc(1, sizeof(*c->nodes[i]));
        snprintf(c->endpoints[i], ENDPOINT_BYTES, "ipc://@sherd-fake-%d-%u-%u", (int)getpid(),
                 clusters, i);
    }
    if (pthread_create(&c->thread, NULL, run, c) != 0) abort();
    return c;
}

void fake_cluster_free(struct fake_cluster *c)
{
    atomic_store(&c->stop, true);
    pthread_join(c->thread, NULL);
    for (unsigned i = 0; i < c->n; i++) {
        if (c->nodes[i]->socket) zmq_close(c->nodes[i]->socket);
        forget_all(c->nodes[i]);
        free(c->nodes[i]);
    }
    zmq_ctx_term(c->context);
    free(c);
}
