/* The keeper's thread, its file and its messages, with nodes that are only sockets here. Whatever
 * is waited for has a deadline; nothing sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "client/clock.h"
#include "coord/map_codec.h"
#include "coord/wire.h"
#include "server/keeper.h"
#include "server/keeper_file.h"

enum { NODES = 3, MAP_BYTES_MAX = 1 << 16, DEADLINE_MS = 10000, POLL_MS = 5 };
enum { CALL_ID = 7, BEAT_ID = 8 };

struct node {
    void *socket;
    uint16_t id;
    uint64_t incarnation, cluster, version, live;
    uint8_t map[MAP_BYTES_MAX]; /* as pushed last */
    size_t map_size;
    uint64_t answers; /* to calls; the rest is of the last answer to anything */
    uint8_t answer_kind;
    uint64_t answer_version;
    char text[MAP_BYTES_MAX]; /* body of the last answer */
    size_t text_size;
};

struct world {
    char directory[64];
    struct sherd_conf conf;
    struct sherd_conf_node conf_nodes[NODES + 1];
    void *zmq_context;
    struct sherd_keeper *keeper;
    struct node nodes[NODES + 1];
};

static void path_of(const struct world *w, const char *name, char out[128])
{
    snprintf(out, 128, "%s/keeper/%s", w->directory, name);
}

/* A new connection, as after the keeper or the node was started anew. */
static void connect_node(struct world *w, struct node *n)
{
    int linger = 0;

    if (n->socket) zmq_close(n->socket);
    n->socket = zmq_socket(w->zmq_context, ZMQ_DEALER);
    zmq_setsockopt(n->socket, ZMQ_LINGER, &linger, sizeof(linger));
    assert_int_equal(zmq_connect(n->socket, w->conf.keeper), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    if (!w) return -1;
    strcpy(w->directory, "/tmp/sherd-keeper-XXXXXX");
    if (!mkdtemp(w->directory)) return -1;
    w->conf = (struct sherd_conf){.k = 2, .m = 1, .partitions = 4, .node_count = NODES};
    w->conf.nodes = w->conf_nodes;
    w->conf.vacate_after_ms = 30000;
    strcpy(w->conf.keeper, "inproc://keeper");
    snprintf(w->conf.keeper_dir, sizeof(w->conf.keeper_dir), "%s/keeper", w->directory);
    for (unsigned i = 0; i <= NODES; i++) {
        w->conf_nodes[i] = (struct sherd_conf_node){.id = (uint16_t)i, .weight = 1};
        snprintf(w->conf_nodes[i].endpoint, SHERD_ENDPOINT_BYTES_MAX, "tcp://127.0.0.1:%u",
                 9000u + i);
    }
    w->zmq_context = zmq_ctx_new();
    for (unsigned i = 0; i <= NODES; i++) {
        w->nodes[i].id = (uint16_t)i;
        w->nodes[i].incarnation = 100u + i;
        connect_node(w, &w->nodes[i]);
    }
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"map", "map.new", "lock"};
    char path[128];

    sherd_keeper_stop(w->keeper);
    for (unsigned i = 0; i <= NODES; i++)
        zmq_close(w->nodes[i].socket);
    zmq_ctx_term(w->zmq_context);
    for (size_t i = 0; i < 3; i++) {
        path_of(w, names[i], path);
        remove(path);
    }
    path_of(w, "", path);
    rmdir(path);
    rmdir(w->directory);
    free(w);
    return 0;
}

/* Messages */

static void send_request(struct node *n, const struct sherd_request *r)
{
    uint8_t data[4096];
    struct sherd_writer_buffer out = {data, 0, sizeof(data)};
    struct sherd_envelope e = {.type = SHERD_REQUESTS, .count = 1, .session = 1, .number = 1};

    assert_int_equal(sherd_wire_put_envelope(&out, &e), 0);
    assert_int_equal(sherd_wire_put_request(&out, r), 0);
    zmq_send(n->socket, data, out.size, ZMQ_DONTWAIT);
}

static void ask(struct node *n, enum sherd_message_kind kind)
{
    send_request(n,
                 &(struct sherd_request){.id = CALL_ID, .kind = (uint8_t)kind, .shard_frame = -1});
}

static void beat(struct node *n)
{
    struct sherd_report report = {.node = n->id,
                                  .incarnation = n->incarnation,
                                  .cluster = n->cluster,
                                  .map_version = n->version,
                                  .live = n->live};
    uint8_t body[SHERD_REPORT_BYTES_MAX];
    struct sherd_request r = {.id = BEAT_ID, .kind = SHERD_HEARTBEAT, .shard_frame = -1};

    r.body = (struct sherd_bytes){body, sherd_report_encode(&report, body, sizeof(body))};
    send_request(n, &r);
}

static struct sherd_map *decode(const void *data, size_t size)
{
    struct sherd_bytes in = {data, size};
    struct sherd_map *map = malloc(sherd_map_size(sherd_map_peek_partitions(in)));

    assert_non_null(map);
    assert_int_equal(sherd_map_decode(in, map), 0);
    return map;
}

static void take_map(struct node *n, struct sherd_bytes body)
{
    struct sherd_map *map = decode(body.data, body.size);

    if (map->version > n->version) {
        n->version = map->version;
        n->cluster = map->cluster;
        memcpy(n->map, body.data, body.size);
        n->map_size = body.size;
    }
    free(map);
}

static void take_answer(struct node *n, const struct sherd_answer *a)
{
    if (a->id == CALL_ID) n->answers++;
    n->answer_kind = a->kind;
    n->answer_version = a->map_version;
    n->text_size = a->body.size;
    assert_true(a->body.size < sizeof(n->text));
    if (a->body.size) memcpy(n->text, a->body.data, a->body.size);
    n->text[a->body.size] = '\0';
}

static void take_message(struct node *n, struct sherd_bytes frame)
{
    struct sherd_wire_reader in;
    struct sherd_envelope e;
    struct sherd_request r;
    struct sherd_answer a;

    assert_int_equal(sherd_wire_open(&in, &frame, 1, &e), 0);
    if (e.type == SHERD_ANSWERS) {
        while (sherd_wire_next_answer(&in, &a) == 0)
            take_answer(n, &a);
        return;
    }
    assert_int_equal(e.incarnation, n->incarnation);
    while (sherd_wire_next_request(&in, &r) == 0) {
        assert_int_equal(r.id, 0);
        if (r.kind == SHERD_SEAL) take_map(n, r.body);
        if (r.kind == SHERD_LIVE && r.since <= n->version) n->live = r.since;
    }
}

static void take_messages(struct node *n, long wait_ms)
{
    zmq_pollitem_t item = {.socket = n->socket, .events = ZMQ_POLLIN};
    zmq_msg_t frame;

    while (zmq_poll(&item, 1, wait_ms) > 0) {
        zmq_msg_init(&frame);
        assert_true(zmq_msg_recv(&frame, n->socket, 0) >= 0);
        take_message(n, (struct sherd_bytes){zmq_msg_data(&frame), zmq_msg_size(&frame)});
        zmq_msg_close(&frame);
        wait_ms = 0;
    }
}

/* Beats the first `count` nodes until all of them know that `version` is live; or, for version 0,
 * for a while in which nothing of that kind may happen. */
static void run_until_live(struct world *w, uint16_t count, uint64_t version)
{
    uint64_t end_us = sherd_clock_now_us() + (version ? DEADLINE_MS : 300) * 1000ULL;

    while (sherd_clock_now_us() < end_us) {
        uint16_t there = 0;
        for (uint16_t i = 0; i < count; i++) {
            beat(&w->nodes[i]);
            take_messages(&w->nodes[i], POLL_MS);
            if (version && w->nodes[i].live >= version) there++;
        }
        if (there == count) return;
    }
    if (version) fail_msg("version %llu did not become live", (unsigned long long)version);
}

/* Waits for the next answer to `kind`. */
static void call(struct node *n, enum sherd_message_kind kind)
{
    uint64_t before = n->answers, end_us = sherd_clock_now_us() + DEADLINE_MS * 1000ULL;

    ask(n, kind);
    while (n->answers == before && sherd_clock_now_us() < end_us)
        take_messages(n, POLL_MS);
    assert_int_equal(n->answers, before + 1);
}

static int start(struct world *w, bool init)
{
    return sherd_keeper_start(&w->conf, init, w->zmq_context, &w->keeper);
}

static void start_cluster(struct world *w)
{
    assert_int_equal(start(w, true), 0);
    run_until_live(w, NODES, 1);
}

static void stop(struct world *w)
{
    sherd_keeper_stop(w->keeper);
    w->keeper = NULL;
    w->conf.keeper[strlen(w->conf.keeper)] = '+'; /* the old socket goes in its own time */
}

static void restart(struct world *w, bool init)
{
    stop(w);
    assert_int_equal(start(w, init), 0);
    for (unsigned i = 0; i <= NODES; i++)
        connect_node(w, &w->nodes[i]);
}

/* A new life: nothing is known of any map. */
static void wipe(struct world *w, struct node *n)
{
    n->incarnation += 1000;
    n->cluster = n->version = n->live = 0;
    connect_node(w, n);
}

/* The tests */

static void test_no_map_and_not_told_to_make_one(void **state)
{
    struct world *w = *state;

    assert_int_equal(start(w, false), -ENOENT); /* no directory */
    assert_int_equal(mkdir(w->conf.keeper_dir, 0700), 0);
    assert_int_equal(start(w, false), -ENOENT);
    w->conf.keeper_dir[0] = '\0'; /* not configured */
    assert_int_equal(start(w, true), -EINVAL);
    assert_null(w->keeper);
}

static void test_first_map(void **state)
{
    struct world *w = *state;
    struct sherd_map *map;
    char path[128];

    assert_int_equal(start(w, true), 0);
    run_until_live(w, NODES - 1, 0);
    assert_int_equal(w->nodes[0].version, 0); /* one is missing */
    path_of(w, "map", path);
    assert_int_equal(access(path, F_OK), -1);

    run_until_live(w, NODES, 1);
    assert_int_equal(access(path, F_OK), 0);
    map = decode(w->nodes[0].map, w->nodes[0].map_size);
    assert_int_equal(map->version, 1);
    assert_int_equal(map->predecessor, 0);
    assert_int_equal(map->node_count, NODES);
    assert_string_equal(map->nodes[2].endpoint, "tcp://127.0.0.1:9002");
    assert_int_not_equal(map->cluster, 0);
    free(map);
}

static void test_small_requests(void **state)
{
    struct world *w = *state;
    struct node *n = &w->nodes[NODES]; /* a client; it never beats */

    assert_int_equal(start(w, true), 0);
    call(n, SHERD_GET_MAP);
    assert_int_equal(n->answer_kind, SHERD_MAP);
    assert_int_equal(n->text_size, 0);
    run_until_live(w, NODES, 1);
    call(n, SHERD_PING);
    assert_int_equal(n->answer_kind, SHERD_PONG);
    assert_int_equal(n->answer_version, 1);
    call(n, SHERD_GET_MAP);
    assert_int_equal(n->text_size, w->nodes[0].map_size);
    assert_memory_equal(n->text, w->nodes[0].map, n->text_size);
    call(n, SHERD_ACCEPT_LOSS);
    assert_int_equal(n->answer_kind, SHERD_ACK);
    call(n, SHERD_RECOVER);
    assert_int_equal(n->answer_kind, SHERD_NACK);
    assert_int_equal(n->version, 0); /* nothing was pushed to it */
}

static void test_stats(void **state)
{
    struct world *w = *state;
    struct node *n = &w->nodes[NODES];
    json_t *stats;

    start_cluster(w);
    call(n, SHERD_STATS);
    assert_int_equal(n->answer_kind, SHERD_STATS_ARE);
    stats = json_loads(n->text, 0, NULL);
    assert_non_null(stats);
    assert_int_equal(json_integer_value(json_object_get(stats, "version")), 1);
    assert_int_equal(json_integer_value(json_object_get(stats, "live")), 1);
    assert_true(json_is_false(json_object_get(stats, "sealing")));
    assert_int_equal(json_array_size(json_object_get(stats, "nodes")), NODES);
    json_t *first = json_array_get(json_object_get(stats, "nodes"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "state")), "up");
    assert_int_equal(json_integer_value(json_object_get(first, "voter_of")), 4);
    json_t *partitions = json_object_get(stats, "partitions");
    assert_int_equal(json_integer_value(json_object_get(partitions, "clean")), 4);
    json_decref(stats);
}

static void test_wiped_node(void **state)
{
    struct world *w = *state;
    struct sherd_bytes first;
    static uint8_t copy[MAP_BYTES_MAX];
    struct sherd_map *map;

    start_cluster(w);
    first = (struct sherd_bytes){copy, w->nodes[0].map_size};
    memcpy(copy, w->nodes[0].map, first.size);
    wipe(w, &w->nodes[1]);
    run_until_live(w, NODES, 2);
    map = decode(w->nodes[1].map, w->nodes[1].map_size);
    assert_int_equal(map->predecessor, sherd_map_hash(first));
    assert_int_equal(map->nodes[1].incarnation, w->nodes[1].incarnation);
    for (uint16_t i = 0; i < 4; i++)
        assert_int_equal(sherd_slots_count(map->partitions[i].learners), 1);
    free(map);
}

static void test_started_anew(void **state)
{
    struct world *w = *state;
    static uint8_t before[MAP_BYTES_MAX];
    size_t size;

    start_cluster(w);
    size = w->nodes[0].map_size;
    memcpy(before, w->nodes[0].map, size);
    restart(w, false);
    call(&w->nodes[NODES], SHERD_STATS);
    assert_non_null(strstr(w->nodes[NODES].text, "\"live\":1")); /* that too was kept */

    w->nodes[2].version = w->nodes[2].live = w->nodes[2].cluster = 0; /* did not keep it */
    run_until_live(w, NODES, 1);
    assert_int_equal(w->nodes[2].map_size, size);
    assert_memory_equal(w->nodes[2].map, before,
                        size); /* byte for byte, also now that it is live */
}

static void test_init_again_keeps_the_map(void **state)
{
    struct world *w = *state;
    uint64_t cluster;

    start_cluster(w);
    cluster = w->nodes[0].cluster;
    restart(w, true);
    run_until_live(w, NODES, 1);
    assert_int_equal(w->nodes[0].cluster, cluster);
    assert_int_equal(w->nodes[0].version, 1);
}

static void test_another_clusters_node_is_ignored(void **state)
{
    struct world *w = *state;
    struct node *n = &w->nodes[1];

    start_cluster(w);
    n->cluster++;
    n->incarnation++;
    connect_node(w, n);
    run_until_live(w, NODES, 0);
    assert_int_equal(n->answer_kind, SHERD_NACK);
    assert_int_equal(w->nodes[0].version, 1); /* it was not taken for a wiped one */
}

static void test_more_nodes_are_configured(void **state)
{
    struct world *w = *state;
    struct sherd_map *map;

    start_cluster(w);
    w->conf.node_count = NODES + 1;
    strcpy(w->conf_nodes[0].zone, "east");
    restart(w, false);
    run_until_live(w, NODES, 2); /* live at once: no epoch changed */
    map = decode(w->nodes[0].map, w->nodes[0].map_size);
    assert_int_equal(map->node_count, NODES + 1);
    assert_string_equal(map->nodes[0].zone, "east");
    assert_int_equal(map->partitions[0].epoch, 1);
    free(map);
    run_until_live(w, NODES + 1, 3); /* the new one is registered */
}

static void test_other_configuration_is_refused(void **state)
{
    struct world *w = *state;

    start_cluster(w);
    stop(w);
    w->conf.k = 1;
    assert_int_equal(start(w, true), -EINVAL);
    w->conf.k = 2;
    w->conf.partitions = 5;
    assert_int_equal(start(w, true), -EINVAL);
    w->conf.partitions = 4;
    w->conf.node_count--;
    assert_int_equal(start(w, true), -EINVAL);
    w->conf.node_count++;
    assert_int_equal(start(w, true), 0);
}

static void test_one_process_a_directory(void **state)
{
    struct world *w = *state;
    struct sherd_keeper *second = NULL;

    start_cluster(w);
    assert_int_equal(sherd_keeper_start(&w->conf, true, w->zmq_context, &second), -EBUSY);
    assert_null(second);
}

static void test_endpoint_in_use(void **state)
{
    struct world *w = *state;
    void *other = zmq_socket(w->zmq_context, ZMQ_ROUTER);

    strcpy(w->conf.keeper, "inproc://taken");
    zmq_bind(other, w->conf.keeper);
    assert_int_equal(start(w, true), -EADDRINUSE);
    zmq_close(other);
}

/* Named, and never a new cluster. What counts as damage: test_keeper_file.c. */
static void test_damaged_file(void **state)
{
    struct world *w = *state;
    char path[128];

    start_cluster(w);
    stop(w);
    path_of(w, "map", path);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(start(w, true), -EBADMSG);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(start(w, true), -EBADMSG);
}

/* The file is right, what it holds is no map, or one that cannot be live yet. */
static void test_file_without_a_map(void **state)
{
    struct world *w = *state;
    struct node *n = &w->nodes[0];
    struct sherd_keeper_file f = {.lock = -1};

    start_cluster(w);
    stop(w);
    for (int i = 0; i < 2; i++) {
        struct sherd_bytes bytes = {n->map, i == 0 ? 1 : n->map_size};
        assert_int_equal(sherd_keeper_file_open(&f, w->conf.keeper_dir, false), 0);
        assert_int_equal(sherd_keeper_file_write(&f, bytes, 2), 0);
        sherd_keeper_file_close(&f);
        assert_int_equal(start(w, true), -EBADMSG);
    }
}

/* What cannot be made durable is not published, or said to be live; once it can be, things go on.
 */
static void test_disk_refuses(void **state)
{
    struct world *w = *state;
    char path[128];

    start_cluster(w);
    path_of(w, "map.new", path);
    remove(path);
    assert_int_equal(mkdir(path, 0700), 0);
    wipe(w, &w->nodes[1]);
    run_until_live(w, NODES, 0);
    assert_int_equal(w->nodes[0].version, 1);
    assert_int_equal(rmdir(path), 0);
    for (; w->nodes[0].version == 1; take_messages(&w->nodes[0], POLL_MS))
        beat(&w->nodes[0]);
    assert_int_equal(mkdir(path, 0700), 0); /* nobody has said yet that it sealed the new map */
    run_until_live(w, NODES, 0);
    assert_int_equal(w->nodes[0].live, 1);
    assert_int_equal(rmdir(path), 0);
    run_until_live(w, NODES, 2);
}

static void test_broken_messages(void **state)
{
    struct world *w = *state;
    struct node *n = &w->nodes[NODES];
    struct sherd_request empty = {.id = BEAT_ID, .kind = SHERD_HEARTBEAT, .shard_frame = -1};
    uint8_t noise[300];

    assert_int_equal(start(w, true), 0);
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)(i * 7);
    for (size_t size = 0; size < sizeof(noise); size++)
        zmq_send(n->socket, noise, size, 0);
    zmq_send(n->socket, noise, 10, ZMQ_SNDMORE);
    zmq_send(n->socket, noise, 10, 0);
    send_request(n, &empty);
    call(n, SHERD_PING);
    assert_int_equal(n->answer_kind, SHERD_PONG);
}

/* A node that never reads cannot stop the others from being served. */
static void test_a_peer_that_does_not_read(void **state)
{
    struct world *w = *state;

    start_cluster(w);
    for (int i = 0; i < 30000; i++)
        ask(&w->nodes[NODES], SHERD_GET_MAP);
    call(&w->nodes[0], SHERD_PING);
    assert_int_equal(w->nodes[0].answer_kind, SHERD_PONG);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_no_map_and_not_told_to_make_one),
        WITH_WORLD(test_first_map),
        WITH_WORLD(test_small_requests),
        WITH_WORLD(test_stats),
        WITH_WORLD(test_wiped_node),
        WITH_WORLD(test_started_anew),
        WITH_WORLD(test_init_again_keeps_the_map),
        WITH_WORLD(test_another_clusters_node_is_ignored),
        WITH_WORLD(test_more_nodes_are_configured),
        WITH_WORLD(test_other_configuration_is_refused),
        WITH_WORLD(test_one_process_a_directory),
        WITH_WORLD(test_endpoint_in_use),
        WITH_WORLD(test_damaged_file),
        WITH_WORLD(test_file_without_a_map),
        WITH_WORLD(test_disk_refuses),
        WITH_WORLD(test_broken_messages),
        WITH_WORLD(test_a_peer_that_does_not_read),
    };

    return cmocka_run_group_tests_name("keeper", tests, NULL, NULL);
}
