/* test_garbage.c - acceptance G: random and mutated frames, thrown at running servers and at a
 * client: nothing crashes, nothing leaks (the dev build sees that), the cluster still serves, and
 * STATS count what was refused by kind. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zmq.h>

#include "coord/map_codec.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/false_server.h"
#include "tests/cluster/frames.h"
#include "tests/cluster/keys.h"
#include "tests/support/wire_messages.h"

enum {
    CLIENT_MS = 10000,
    ANSWER_MS = 5000,
    BITE = 500, /* messages between two looks at whether the cluster serves */
    TCP_CONNECTIONS = 40,
    TCP_BYTES = 4000,
    LIE_MS = 100, /* deadline of an operation on the false server */
    LATE_MS = 2000,
    OPERATIONS_AT_ONCE = 64,
    OPERATIONS_A_CLIENT = 2000,
};

/* ---- A raw connection to one server ---- */

struct attacker {
    void *zmq_context, *socket;
    struct frames_target target;
    uint64_t sent;
};

static void attacker_open(struct attacker *a, void *zmq_context, const char *endpoint)
{
    int wait_ms = ANSWER_MS, linger_ms = 0;

    *a = (struct attacker){.zmq_context = zmq_context};
    a->socket = zmq_socket(zmq_context, ZMQ_DEALER);
    TEST_CHECK(a->socket != NULL);
    zmq_setsockopt(a->socket, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms));
    zmq_setsockopt(a->socket, ZMQ_SNDTIMEO, &wait_ms, sizeof(wait_ms));
    zmq_setsockopt(a->socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
    TEST_CHECK(zmq_connect(a->socket, endpoint) == 0);
    a->target.session = wire_random();
}

/* Throws away what was answered, as a peer that does read. */
static void attacker_drain(struct attacker *a)
{
    static uint8_t rest[FRAME_BYTES_MAX];

    while (zmq_recv(a->socket, rest, sizeof(rest), ZMQ_DONTWAIT) >= 0)
        continue;
}

/* Asks for the map: learns it and the receiver's incarnation. The map's bytes stay in *message. */
static struct sherd_bytes attacker_learn(struct attacker *a, zmq_msg_t *message)
{
    struct sherd_request r = {.id = 1, .kind = SHERD_GET_MAP, .shard_frame = -1};
    struct sherd_envelope e = {.type = SHERD_REQUESTS, .count = 1, .session = a->target.session};
    static struct sherd_answer answer;
    struct sherd_wire_reader in;
    struct sherd_bytes view;
    uint8_t bytes[200];
    struct sherd_writer_buffer out = {bytes, 0, sizeof(bytes)};

    e.number = ++a->target.number;
    TEST_CHECK(sherd_wire_put_envelope(&out, &e) == 0 && sherd_wire_put_request(&out, &r) == 0);
    TEST_CHECK(zmq_send(a->socket, bytes, out.size, 0) >= 0);
    zmq_msg_init(message);
    if (zmq_msg_recv(message, a->socket, 0) < 0) test_fail("no map: %s", zmq_strerror(errno));
    view = (struct sherd_bytes){zmq_msg_data(message), zmq_msg_size(message)};
    TEST_CHECK(sherd_wire_open(&in, &view, 1, &e) == 0);
    TEST_CHECK(sherd_wire_next_answer(&in, &answer) == 0 && answer.kind == SHERD_MAP);
    a->target.incarnation = e.incarnation;
    return answer.body;
}

static void attack_once(struct attacker *a, struct frames *f)
{
    uint32_t dice = wire_below(8);
    int rc;

    if (dice == 0)
        frames_random(f);
    else if (dice < 4)
        frames_well_formed(f, &a->target);
    else
        frames_acceptable(f, &a->target);
    if (dice > 1 && dice != 7) frames_mutate(f);
    if (frames_has_authority(f, &a->target)) return;
    rc = frames_send(a->socket, NULL, f, 0);
    if (rc < 0) test_fail("the server takes no more: %s", zmq_strerror(-rc));
    a->sent++;
    attacker_drain(a);
}

/* ---- Raw bytes on TCP, below ZeroMQ ---- */

static void tcp_garbage(unsigned port)
{
    static const uint8_t greeting[11] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sherd_bytes bytes = wire_random_bytes(1 + wire_below(TCP_BYTES));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    TEST_CHECK(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        test_fail("port %u: %s", port, strerror(errno));
    if (wire_below(2)) (void)!send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL);
    (void)!send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
    close(fd);
}

/* ---- The servers ---- */

static void expect_serving(struct keys *keys, struct sherd_client *client)
{
    struct keys_job job = {.count = keys->count, .depth = 8, .write = true};
    struct tally tally = {0};

    keys_run(keys, client, &job, &tally);
    job.write = false;
    keys_run(keys, client, &job, &tally);
    if (tally.failed > 0) test_fail("under garbage: %s", tally.first_failure);
}

static uint64_t refused(struct cluster *c, unsigned node, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "counters.refused.%s", name);
    return cluster_number(c, node, path);
}

static void show_refused(struct cluster *c, unsigned node)
{
    static const char *const names[] = {
        "bad_message",   "unknown_session", "repeated",       "stale_epoch",
        "stale_sealing", "stranger",        "nack_ballot",    "nack_version",
        "full",          "clock",           "bad_request",    "undecided_limit",
        "map_refused",   "different_value", "lost_partition", "answers_dropped",
    };
    static const char *const must[] = {"bad_message", "unknown_session", "repeated", "stale_epoch",
                                       "bad_request"};
    char line[800] = "";
    size_t size = 0;

    for (size_t i = 0; i < LEN(names); i++) {
        unsigned long long count = refused(c, node, names[i]);
        if (count > 0)
            size += (size_t)snprintf(line + size, sizeof(line) - size, " %s %llu", names[i], count);
    }
    test_say("node %u refused:%s", node, line);
    for (size_t i = 0; i < LEN(must); i++)
        if (refused(c, node, must[i]) == 0) test_fail("no %s was counted", must[i]);
}

static void attack_servers(struct cluster *c, void *zmq_context, const struct sherd_map *map,
                           uint64_t count)
{
    static const uint32_t size = 3000;
    struct frames *f = malloc(sizeof(*f));
    struct sherd_client *client = cluster_client(c, CLIENT_MS);
    struct attacker attackers[3]; /* at node 1, at node 0, at the keeper */
    zmq_msg_t message;
    struct keys keys;
    uint64_t began_ms = test_now_ms(), sent = 0;

    TEST_CHECK(f != NULL);
    keys_init(&keys, 0, 20, &size, 1);
    for (unsigned i = 0; i < LEN(attackers); i++) {
        const uint16_t nodes[] = {1, 0, (uint16_t)c->nodes};
        char endpoint[CLUSTER_ENDPOINT_SIZE];
        cluster_endpoint(c, nodes[i], endpoint);
        attacker_open(&attackers[i], zmq_context, endpoint);
        attacker_learn(&attackers[i], &message);
        zmq_msg_close(&message);
        attackers[i].target.map = map;
        attackers[i].target.node = i < 2 ? nodes[i] : SHERD_NO_NODE;
    }
    while (sent < count) {
        for (unsigned i = 0; i < BITE; i++)
            attack_once(&attackers[wire_below(8) < 6 ? 0 : 1 + wire_below(2)], f);
        for (unsigned i = 0; i < 1 + BITE * TCP_CONNECTIONS / count; i++)
            tcp_garbage(c->base_port + wire_below(c->nodes + 1));
        expect_serving(&keys, client);
        sent = attackers[0].sent + attackers[1].sent + attackers[2].sent;
    }
    test_say("thrown: %llu messages at node 1, %llu at node 0, %llu at the keeper, in %.1f s",
             (unsigned long long)attackers[0].sent, (unsigned long long)attackers[1].sent,
             (unsigned long long)attackers[2].sent, (double)(test_now_ms() - began_ms) / 1000);
    for (unsigned i = 0; i < LEN(attackers); i++)
        zmq_close(attackers[i].socket);
    sherd_close(client);
    keys_fini(&keys);
    free(f);
}

static void expect_counted_in_status(const struct cluster *c)
{
    static const char *const words[] = {"status", "--json", NULL};
    struct process_result result;

    cluster_run(c, words, &result);
    if (strstr(result.out, "\"bad_message\"") == NULL)
        test_fail("sherd status --json does not count refusals: %.500s", result.out);
}

/* ---- The client ---- */

struct victim {
    struct sherd_op op;
    struct fate *fate;
    uint64_t began_us;
    char key[16], value[2000];
};

struct fate {
    struct sherd_client *client;
    uint64_t random, done, outcomes[SHERD_OUTCOME_COUNT], slowest_us;
    uint32_t left, busy;
};

static void submit(struct victim *v);

static void on_done(struct sherd_op *op)
{
    struct victim *v = op->context;
    uint64_t took_us = test_now_us() - v->began_us;

    v->fate->outcomes[op->outcome]++;
    v->fate->done++;
    v->fate->busy--;
    if (took_us > v->fate->slowest_us) v->fate->slowest_us = took_us;
    sherd_value_fini(&op->result);
    submit(v);
}

static void submit(struct victim *v)
{
    struct fate *fate = v->fate;
    uint32_t size = test_below(&fate->random, sizeof(v->value));

    if (fate->left == 0) return;
    fate->left--;
    snprintf(v->key, sizeof(v->key), "key-%u", test_below(&fate->random, 200));
    v->op = (struct sherd_op){
        .kind = (enum sherd_op_kind)test_below(&fate->random, SHERD_OP_REPAIR + 1),
        .key = {v->key,   strlen(v->key)},
        .value = {v->value, size          },
        .use_expect = test_below(&fate->random, 2),
        .ack_quorum = test_below(&fate->random, 2),
        .delta = 1,
        .timeout_ms = LIE_MS,
        .done = on_done,
        .context = v
    };
    v->began_us = test_now_us();
    TEST_CHECK(sherd_submit(fate->client, &v->op) == 0);
    fate->busy++;
}

static bool go_on(void *context, struct sherd_bytes key, uint64_t size)
{
    (void)key, (void)size;
    return ++*(unsigned *)context < 100;
}

/* What tools ask; whatever comes, it comes in time. */
static void ask_all(struct sherd_client *client)
{
    enum sherd_outcome outcome;
    struct sherd_cluster_info info;
    char *json = NULL;
    unsigned keys = 0;

    sherd_cluster_info(client, &outcome, &info);
    if (sherd_node_stats(client, 1, &outcome, &json) == 0 && outcome == SHERD_OK) free(json);
    sherd_scan(client, (struct sherd_bytes){"k", 1}, go_on, &keys, &outcome);
}

static void deceive(struct false_server *server, struct fate *fate)
{
    struct sherd_options options = {.seeds = server->seeds, .timeout_ms = LIE_MS};
    struct victim *victims = calloc(OPERATIONS_AT_ONCE, sizeof(*victims));
    char error[200] = "";

    TEST_CHECK(victims != NULL);
    if (sherd_open(&options, &fate->client, error, sizeof(error)) < 0) test_fail("%s", error);
    fate->left = OPERATIONS_A_CLIENT;
    for (unsigned i = 0; i < OPERATIONS_AT_ONCE; i++) {
        victims[i].fate = fate;
        submit(&victims[i]);
    }
    while (fate->busy > 0)
        TEST_CHECK(sherd_poll(fate->client, -1) >= 0);
    ask_all(fate->client);
    sherd_close(fate->client);
    free(victims);
}

static void attack_clients(struct sherd_bytes map, struct test *test, uint64_t count)
{
    static struct false_server server;
    struct fate fate = {.random = test_random(&test->random)};
    uint64_t began_ms = test_now_ms();
    unsigned clients = 0;

    false_server_start(&server, map, test_random(&test->random));
    while (atomic_load(&server.sent) < count) {
        deceive(&server, &fate);
        clients++;
    }
    test_say("a false server sent %llu messages to %u clients: %llu operations ended in %.1f s, "
             "slowest %.1f ms",
             (unsigned long long)server.sent, clients, (unsigned long long)fate.done,
             (double)(test_now_ms() - began_ms) / 1000, (double)fate.slowest_us / 1000);
    for (unsigned i = 0; i < SHERD_OUTCOME_COUNT; i++)
        if (fate.outcomes[i] > 0)
            test_say("  %s %llu", sherd_outcome_name((enum sherd_outcome)i),
                     (unsigned long long)fate.outcomes[i]);
    false_server_stop(&server);
    if (fate.slowest_us > (uint64_t)(LIE_MS + LATE_MS * test_patience()) * 1000)
        test_fail("an operation lasted much longer than its deadline of %d ms", LIE_MS);
}

int main(int argc, char **argv)
{
    void *zmq_context;
    struct sherd_bytes encoded;
    struct attacker scout;
    struct sherd_map *map;
    struct cluster c;
    struct test test;
    zmq_msg_t message;
    char endpoint[CLUSTER_ENDPOINT_SIZE];
    uint64_t count;

    test_begin(&test, "garbage", argc, argv);
    count = test.full ? 200000 : 6000;
    frames_seed(test.random);
    cluster_up(&c, "4+2", NULL);
    cluster_wait_healthy(&c, CLUSTER_HEALTHY_MS);
    zmq_context = zmq_ctx_new();
    cluster_endpoint(&c, 0, endpoint);
    attacker_open(&scout, zmq_context, endpoint);
    encoded = attacker_learn(&scout, &message);
    map = malloc(sherd_map_size(sherd_map_peek_partitions(encoded)));
    TEST_CHECK(map != NULL && sherd_map_decode(encoded, map) == 0);

    attack_servers(&c, zmq_context, map, count);
    show_refused(&c, 1);
    expect_counted_in_status(&c);
    attack_clients(encoded, &test, count);

    zmq_msg_close(&message);
    zmq_close(scout.socket);
    zmq_ctx_term(zmq_context);
    free(map);
    cluster_expect_quiet(&c);
    cluster_down(&c);
    return test_end(&test);
}
