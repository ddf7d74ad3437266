/* A whole service in a thread, spoken to in wire messages over inproc and TCP: what it answers,
 * what it refuses, and that nothing is stored that must not be. One node, code 1+0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sherd/ecc.h>
#include <zmq.h>

#include "client/clock.h"
#include "coord/map_codec.h"
#include "coord/wire.h"
#include "server/service.h"
#include "server/service_parts.h"

enum { PARTITIONS = 4, INCARNATION = 4711, ANSWER_MS = 5000 };

static struct sherd_conf_node node = {.endpoint = "inproc://tcp-stand-in", .weight = 1};
static struct sherd_conf conf = {
    .k = 1, .node_count = 1, .nodes = &node, .partitions = PARTITIONS, .max_memory_bytes = 4 << 20};
static struct sherd_progress progress;
static void *context, *local, *remote; /* DEALERs */
static struct sherd_service *service;
static pthread_t thread;
static atomic_bool stop;
static uint64_t numbers[2]; /* last message number of local, remote */
static uint8_t buffer[1 << 20];
static zmq_msg_t in_frames[8];
static size_t in_count;

static void *serve(void *unused)
{
    (void)unused;
    sherd_service_run(service, &stop);
    return NULL;
}

static void close_answer(void)
{
    while (in_count > 0)
        zmq_msg_close(&in_frames[--in_count]);
}

/* Sends requests as one message with this envelope number; returns the answers read. */
static size_t exchange_as(void *socket, uint64_t session, uint64_t number, uint64_t incarnation,
                          const struct sherd_request *requests, size_t count,
                          struct sherd_answer *answers, size_t answers_max)
{
    struct sherd_writer_buffer out = {buffer, 0, sizeof(buffer)};
    struct sherd_envelope e = {SHERD_REQUESTS, (uint32_t)count, session, number, incarnation, 0, 0};
    struct sherd_wire_reader in;
    struct sherd_bytes views[8];
    size_t framed = 0, got = 0;

    close_answer();
    assert_int_equal(sherd_wire_put_envelope(&out, &e), 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(sherd_wire_put_request(&out, &requests[i]), 0);
        framed += sherd_wire_is_framed(requests[i].shard.size);
    }
    zmq_send(socket, buffer, out.size, framed ? ZMQ_SNDMORE : 0);
    for (size_t i = 0; i < count; i++)
        if (sherd_wire_is_framed(requests[i].shard.size))
            zmq_send(socket, requests[i].shard.data, requests[i].shard.size,
                     --framed ? ZMQ_SNDMORE : 0);
    do {
        zmq_msg_init(&in_frames[in_count]);
        if (zmq_msg_recv(&in_frames[in_count], socket, 0) < 0) return 0; /* no answer in time */
        views[in_count] = (struct sherd_bytes){zmq_msg_data(&in_frames[in_count]),
                                               zmq_msg_size(&in_frames[in_count])};
    } while (zmq_msg_more(&in_frames[in_count++]));
    assert_int_equal(sherd_wire_open(&in, views, in_count, &e), 0);
    while (got < answers_max && sherd_wire_next_answer(&in, &answers[got]) == 0)
        got++;
    return got;
}

static struct sherd_answer ask(void *socket, const struct sherd_request *r)
{
    struct sherd_answer a[2];
    size_t which = socket == remote;

    assert_int_equal(exchange_as(socket, 100 + which, ++numbers[which], INCARNATION, r, 1, a, 2),
                     1);
    assert_int_equal(a[0].id, r->id);
    return a[0];
}

static struct sherd_request keyed(uint8_t kind, const char *key, uint64_t clock)
{
    uint64_t wall = sherd_clock_wall_ms_now();
    struct sherd_ballot b = {((wall << 16) + clock), 9, 1};

    return (struct sherd_request){
        .id = 77,
        .kind = kind,
        .epoch = 1,
        .ballot = b,
        .version = b,
        .key = {key, strlen(key)},
        .shard_frame = -1
    };
}

static struct sherd_request prepare(const char *key, const void *shard, size_t size)
{
    static uint64_t clock;
    struct sherd_request r = keyed(SHERD_PREPARE, key, ++clock);

    r.meta = (struct sherd_meta){.checksum = 1, .size = (uint32_t)size};
    r.shard = (struct sherd_bytes){shard, size};
    r.crc = sherd_crc32c(shard, size);
    return r;
}

/* The first map of a cluster of one, as the keeper's machine makes it. */
static size_t make_map(uint8_t *out, size_t capacity)
{
    static struct sherd_membership m;
    struct sherd_map *map = calloc(1, sherd_map_size(PARTITIONS));
    struct sherd_map *next = calloc(1, sherd_map_size(PARTITIONS));
    struct sherd_membership_config config = {.vacate_after_ms = 30000, .init = true, .cluster = 5};
    struct sherd_report report = {.incarnation = INCARNATION};
    size_t size;

    map->k = 1;
    map->node_count = 1;
    map->partition_count = PARTITIONS;
    map->nodes[0].weight = 1;
    strcpy(map->nodes[0].endpoint, "tcp://127.0.0.1:1");
    sherd_membership_init(&m, &config, map, next);
    assert_true(sherd_membership_hear(&m, &report, 1));
    assert_int_equal(sherd_membership_step(&m, 1), SHERD_MEMBERSHIP_PUBLISH);
    size = sherd_map_encode(next, out, capacity);
    free(map);
    free(next);
    return size;
}

static void *dealer(const char *endpoint)
{
    int timeout_ms = ANSWER_MS, linger = 0;
    void *socket = zmq_socket(context, ZMQ_DEALER);

    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof(timeout_ms));
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger));
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    return socket;
}

/* A store that refuses to keep, or to make durable, what it is given. */
static struct sherd_store_ops ops_before, ops_now;
static atomic_bool apply_fails, sync_fails;
static bool dirty; /* the service's: something was kept, and not synced yet */

static int failing_apply(struct sherd_store *s, const struct sherd_store_key *key,
                         const struct sherd_record *record, const struct sherd_change *change,
                         zmq_msg_t *frame)
{
    dirty = true;
    return apply_fails ? -ENOMEM : ops_before.apply(s, key, record, change, frame);
}

static int failing_sync(struct sherd_store *s)
{
    if (dirty && sync_fails) return -EIO;
    dirty = false;
    return ops_before.sync(s);
}

static void watch_store(void)
{
    ops_now = ops_before = *service->store->ops;
    ops_now.apply = failing_apply;
    ops_now.sync = failing_sync;
    apply_fails = sync_fails = dirty = false;
    service->store->ops = &ops_now;
}

static int start(void **state)
{
    (void)state;
    stop = false;
    numbers[0] = numbers[1] = 0;
    context = zmq_ctx_new();
    if (sherd_service_open(&conf, context, INCARNATION, &progress, &service) < 0) return -1;
    watch_store();
    if (pthread_create(&thread, NULL, serve, NULL) != 0) return -1;
    local = dealer(SHERD_SERVICE_ENDPOINT);
    remote = dealer(node.endpoint);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    close_answer();
    stop = true;
    pthread_join(thread, NULL);
    zmq_close(local);
    zmq_close(remote);
    sherd_service_close(service);
    zmq_ctx_term(context);
    return 0;
}

static int start_live(void **state)
{
    static uint8_t map[1 << 16];
    struct sherd_request seal = {.id = 1, .kind = SHERD_SEAL, .shard_frame = -1};
    struct sherd_request live = {.id = 2, .kind = SHERD_LIVE, .since = 1, .shard_frame = -1};

    if (start(state) < 0) return -1;
    seal.body = (struct sherd_bytes){map, make_map(map, sizeof(map))};
    assert_int_equal(ask(local, &seal).kind, SHERD_SEALED);
    assert_int_equal(ask(local, &live).kind, SHERD_SEALED);
    return 0;
}

static void expect_stale(const struct sherd_request *r, enum sherd_reason reason)
{
    struct sherd_answer a = ask(remote, r);

    assert_int_equal(a.kind, SHERD_STALE);
    assert_int_equal(a.reason, reason);
}

static void without_a_map_it_is_a_stranger(void **state)
{
    struct sherd_request r = keyed(SHERD_READ, "k", 0);

    (void)state;
    expect_stale(&r, SHERD_REASON_STRANGER);
}

static void sealed_but_not_live_stores_nothing(void **state)
{
    static uint8_t map[1 << 16];
    struct sherd_request seal = {.id = 1, .kind = SHERD_SEAL, .shard_frame = -1};
    struct sherd_request p = prepare("k", "abc", 3);

    (void)state;
    seal.body = (struct sherd_bytes){map, make_map(map, sizeof(map))};
    assert_int_equal(ask(local, &seal).kind, SHERD_SEALED);
    expect_stale(&p, SHERD_REASON_SEALING);
}

static void a_map_is_taken_from_its_own_thread_only(void **state)
{
    static uint8_t map[1 << 16];
    struct sherd_request seal = {.id = 1, .kind = SHERD_SEAL, .shard_frame = -1};

    (void)state;
    seal.body = (struct sherd_bytes){map, make_map(map, sizeof(map))};
    assert_int_equal(ask(remote, &seal).kind, SHERD_NACK);
    map[40] ^= 1; /* and a damaged one from nobody */
    assert_int_equal(ask(local, &seal).kind, SHERD_NACK);
}

static void a_value_is_prepared_committed_and_read(void **state)
{
    struct sherd_request p = prepare("key", "hello", 5), c = p, r = keyed(SHERD_READ, "key", 0);
    struct sherd_answer a;

    (void)state;
    assert_int_equal(ask(remote, &p).kind, SHERD_ACK);
    r.flags = SHERD_WITH_SHARD;
    a = ask(remote, &r);
    assert_int_equal(a.kind, SHERD_STATE);
    assert_int_equal(a.entry_count, 1);
    assert_false(a.entries[0].committed);
    c.kind = SHERD_COMMIT;
    assert_int_equal(ask(remote, &c).kind, SHERD_ACK);
    a = ask(remote, &r);
    assert_true(a.entries[0].committed);
    assert_int_equal(a.flags & SHERD_ANSWER_VOTE, SHERD_ANSWER_VOTE);
    assert_memory_equal(a.entries[0].shard.data, "hello", 5);
}

static void a_large_shard_travels_as_a_frame(void **state)
{
    static uint8_t shard[100000];
    struct sherd_request p, r = keyed(SHERD_READ, "big", 0);
    struct sherd_answer a;

    (void)state;
    memset(shard, 0xa5, sizeof(shard));
    p = prepare("big", shard, sizeof(shard));
    assert_int_equal(ask(remote, &p).kind, SHERD_ACK);
    r.flags = SHERD_WITH_SHARD;
    for (int twice = 0; twice < 2; twice++) { /* the store keeps its copy of the frame */
        a = ask(remote, &r);
        assert_int_equal(a.entries[0].shard.size, sizeof(shard));
        assert_memory_equal(a.entries[0].shard.data, shard, sizeof(shard));
        assert_int_equal(in_count, 2);
    }
}

static void a_message_is_taken_at_most_once(void **state)
{
    struct sherd_request p = prepare("once", "x", 1), r = keyed(SHERD_READ, "once", 0);
    struct sherd_answer a[2];
    int short_ms = 200, long_ms = ANSWER_MS;

    (void)state;
    assert_int_equal(exchange_as(remote, 9, 5, INCARNATION, &p, 1, a, 2), 1);
    assert_int_equal(a[0].reason, SHERD_REASON_SESSION); /* unknown, and not its first message */
    assert_int_equal(exchange_as(remote, 9, 1, 666, &p, 1, a, 2), 1);
    assert_int_equal(a[0].reason, SHERD_REASON_SESSION); /* meant for another life of the node */
    assert_int_equal(exchange_as(remote, 9, 1, INCARNATION, &r, 1, a, 2), 1);
    assert_int_equal(a[0].entry_count, 0);
    zmq_setsockopt(remote, ZMQ_RCVTIMEO, &short_ms, sizeof(short_ms));
    assert_int_equal(exchange_as(remote, 9, 1, INCARNATION, &p, 1, a, 2), 0); /* repeated */
    assert_int_equal(exchange_as(remote, 9, 2, 0, &p, 1, a, 2), 0); /* whose memory is meant? */
    zmq_setsockopt(remote, ZMQ_RCVTIMEO, &long_ms, sizeof(long_ms));
    assert_int_equal(exchange_as(remote, 9, 3, INCARNATION, &r, 1, a, 2), 1);
    assert_int_equal(a[0].entry_count, 0); /* nothing of all that was stored */
}

/* How many answers a PREPARE of this session's number gets, in a short time. */
static size_t answers_to_prepare(uint64_t number)
{
    struct sherd_request p = prepare("kept", "x", 1);
    struct sherd_answer a[2];
    int short_ms = 200;

    zmq_setsockopt(remote, ZMQ_RCVTIMEO, &short_ms, sizeof(short_ms));
    return exchange_as(remote, 9, number, INCARNATION, &p, 1, a, 2);
}

static void what_is_not_stored_is_not_answered(void **state)
{
    (void)state;
    apply_fails = true;
    assert_int_equal(answers_to_prepare(1), 0);
    apply_fails = false;
    assert_int_equal(answers_to_prepare(2), 1);
}

static void what_is_not_durable_is_not_answered(void **state)
{
    (void)state;
    assert_int_equal(answers_to_prepare(1), 1);
    sync_fails = true;
    assert_int_equal(answers_to_prepare(2), 0);
}

static void a_full_store_refuses_and_still_deletes(void **state)
{
    static uint8_t shard[64 << 10];
    struct sherd_request d;
    struct sherd_answer a = {0};
    char key[16] = "";
    int stored = 0;

    (void)state;
    for (; stored < 200; stored++) {
        snprintf(key, sizeof(key), "full-%d", stored);
        struct sherd_request p = prepare(key, shard, sizeof(shard));
        a = ask(remote, &p);
        if (a.kind != SHERD_ACK) break;
    }
    assert_in_range(stored, 40, 64); /* of 4 MiB, less the reserve */
    assert_int_equal(a.reason, SHERD_REASON_FULL);
    d = prepare("full-0", NULL, 0);
    d.meta.flags = SHERD_META_TOMBSTONE;
    d.flags = SHERD_FROM_RESERVE;
    assert_int_equal(ask(remote, &d).kind, SHERD_ACK);
    d.kind = SHERD_COMMIT;
    assert_int_equal(ask(remote, &d).kind, SHERD_ACK);
    struct sherd_request again = prepare(key, shard, sizeof(shard) / 2);
    assert_int_equal(ask(remote, &again).kind, SHERD_ACK); /* there is room again */
}

/* Pages through all partitions; returns how many keys were listed. */
static size_t list_all(uint32_t limit, size_t *pages)
{
    size_t keys = 0;

    *pages = 0;
    for (uint16_t p = 0; p < PARTITIONS; p++) {
        uint8_t last[64];
        struct sherd_request r = {.id = 3,
                                  .kind = SHERD_LIST,
                                  .epoch = 1,
                                  .partition = p,
                                  .limit = limit,
                                  .shard_frame = -1};
        for (bool end = false; !end;) {
            struct sherd_answer a = ask(remote, &r);
            struct sherd_entry entries[SHERD_ENTRIES_MAX];
            struct sherd_bytes key;
            uint8_t count;
            size_t at = 0;

            assert_int_equal(a.kind, SHERD_PAGE);
            while (sherd_wire_next_item(a.body, &at, &key, entries, &count) == 0) {
                memcpy(last, key.data, key.size);
                r.key = (struct sherd_bytes){last, key.size};
                keys++;
            }
            end = (a.flags & SHERD_ANSWER_END) != 0;
            ++*pages;
        }
    }
    return keys;
}

static void pages_show_every_key_once(void **state)
{
    char key[16];
    size_t pages;

    (void)state;
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "page-%d", i);
        struct sherd_request p = prepare(key, "v", 1);
        assert_int_equal(ask(remote, &p).kind, SHERD_ACK);
    }
    assert_int_equal(list_all(1000, &pages), 500);
    assert_in_range(pages, 20, 200);
    assert_int_equal(list_all(0, &pages), 500);
    assert_int_equal(pages, PARTITIONS);
}

static void garbage_is_counted_and_nothing_else(void **state)
{
    struct sherd_request r = {.id = 8, .kind = SHERD_STATS, .shard_frame = -1};
    struct sherd_answer a;
    char *text;

    (void)state;
    memset(buffer, 0xee, 100);
    for (int i = 0; i < 100; i++)
        zmq_send(remote, buffer, (size_t)i, 0);
    r.kind = SHERD_PING;
    assert_int_equal(ask(remote, &r).kind, SHERD_PONG);
    r.kind = SHERD_STATS;
    a = ask(remote, &r);
    text = strndup(a.body.data, a.body.size);
    assert_non_null(strstr(text, "\"bad_message\":100"));
    free(text);
}

int main(void)
{
#define WITH_MAP(test) cmocka_unit_test_setup_teardown(test, start_live, finish)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_map_it_is_a_stranger, start, finish),
        cmocka_unit_test_setup_teardown(sealed_but_not_live_stores_nothing, start, finish),
        cmocka_unit_test_setup_teardown(a_map_is_taken_from_its_own_thread_only, start, finish),
        WITH_MAP(a_value_is_prepared_committed_and_read),
        WITH_MAP(a_large_shard_travels_as_a_frame),
        WITH_MAP(a_message_is_taken_at_most_once),
        WITH_MAP(what_is_not_stored_is_not_answered),
        WITH_MAP(what_is_not_durable_is_not_answered),
        WITH_MAP(a_full_store_refuses_and_still_deletes),
        WITH_MAP(pages_show_every_key_once),
        WITH_MAP(garbage_is_counted_and_nothing_else),
    };

    return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
