/* The engine over real sockets, on nodes that misbehave, vanish, forget (support/fake_cluster.h).
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/engine_parts.h"
#include "tests/support/client_fixture.h"

static void test_one_node_down(void **state)
{
    struct fixture *f = *state;
    struct sherd_op op = {.kind = SHERD_OP_SET, .key = TEXT("k"), .value = TEXT("value")};

    atomic_store(&f->cluster->modes[2], FAKE_DOWN);
    run(f, &op);
    assert_int_equal(op.outcome, SHERD_OK);
    assert_int_equal(op.shards_held, 5);
    check_value(f, "k", TEXT("value"));
}

static void test_reads_with_two_nodes_down(void **state)
{
    struct fixture *f = *state;
    char key[32];

    for (int i = 0; i < 32; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(set(f, key, TEXT("some value")), SHERD_OK);
    }
    atomic_store(&f->cluster->modes[1], FAKE_DOWN);
    atomic_store(&f->cluster->modes[4], FAKE_DOWN);
    for (int i = 0; i < 32; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        check_value(f, key, TEXT("some value"));
    }
}

/* Too few nodes for a quorum: nothing is sent, nothing changes. */
static void test_no_quorum(void **state)
{
    struct fixture *f = *state;
    struct sherd_op op = {
        .kind = SHERD_OP_SET, .key = TEXT("k"), .value = TEXT("v"), .timeout_ms = 300};

    assert_int_equal(set(f, "k", TEXT("old")), SHERD_OK);
    atomic_store(&f->cluster->modes[0], FAKE_DOWN);
    atomic_store(&f->cluster->modes[1], FAKE_DOWN);
    while (sherd_engine_is_reachable(f->client->engine, 0) ||
           sherd_engine_is_reachable(f->client->engine, 1))
        assert_true(sherd_poll(f->client, 10) >= 0);
    run(f, &op);
    assert_int_equal(op.outcome, SHERD_NO_QUORUM);
    check_value(f, "k", TEXT("old"));
}

/* A silent node costs the first write the straggler's time, later ones nothing. */
static void test_silent_node(void **state)
{
    struct fixture *f = *state;
    uint64_t start_us;

    assert_int_equal(set(f, "k", TEXT("v")), SHERD_OK);
    atomic_store(&f->cluster->modes[5], FAKE_SILENT);
    assert_int_equal(set(f, "k", TEXT("v1")), SHERD_OK);
    start_us = sherd_clock_now_us();
    for (int i = 0; i < 10; i++)
        assert_int_equal(set(f, "k", TEXT("v2")), SHERD_OK);
    assert_true(sherd_clock_now_us() - start_us < 150000);
    check_value(f, "k", TEXT("v2"));
}

static void test_broken_shards(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = noise(5000);
    struct sherd_bytes value = {bytes, 5000};

    assert_int_equal(set(f, "k", value), SHERD_OK);
    atomic_store(&f->cluster->modes[0], FAKE_BROKEN);
    atomic_store(&f->cluster->modes[3], FAKE_BROKEN);
    for (int i = 0; i < 10; i++)
        check_value(f, "k", value);
    assert_true(stats_of(f)->corrupt_shards > 0);
    free(bytes);
}

static void test_garbage_is_counted(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < f->cluster->n; i++)
        atomic_store(&f->cluster->modes[i], FAKE_GARBAGE);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(set(f, "k", TEXT("value")), SHERD_OK);
        check_value(f, "k", TEXT("value"));
    }
    assert_true(stats_of(f)->bad_messages > 100);
}

static void test_full_nodes(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < f->cluster->n; i++)
        atomic_store(&f->cluster->modes[i], FAKE_FULL);
    assert_int_equal(set(f, "k", TEXT("value")), SHERD_FULL);
}

/* All but one are silent, and that one speaks for the others. */
static void test_nobody_answers_for_another(void **state)
{
    struct fixture *f = *state;
    struct sherd_op op = {
        .kind = SHERD_OP_SET, .key = TEXT("k"), .value = TEXT("value"), .timeout_ms = 300};

    assert_int_equal(set(f, "k", TEXT("old")), SHERD_OK);
    atomic_store(&f->cluster->modes[0], FAKE_LIAR);
    for (unsigned i = 1; i < f->cluster->n; i++)
        atomic_store(&f->cluster->modes[i], FAKE_SILENT);
    run(f, &op);
    assert_int_not_equal(op.outcome, SHERD_OK);
}

static bool all_were_asked(const struct fake_cluster *c, const int *before)
{
    for (unsigned i = 0; i < c->n; i++)
        if (atomic_load(&c->requests[i]) == before[i]) return false;
    return true;
}

/* No time makes it right: an idle client does not wake up for it. */
static void test_endpoint_that_is_none(void **state)
{
    struct fixture *f = *state;
    struct sherd_engine *e = f->client->engine;

    assert_int_equal(set(f, "k", TEXT("v")), SHERD_OK); /* so there is a map */
    strcpy(e->map->map->nodes[5].endpoint, "tcp://nowhere");
    sherd_engine_connect(e);
    assert_int_equal(e->connect_us, 0);
}

/* What was on its way when a connection broke may have arrived: it proves nothing. */
static void test_lost_connections(void **state)
{
    struct fixture *f = *state;
    struct sherd_op op = {
        .kind = SHERD_OP_SET, .key = TEXT("k"), .value = TEXT("value"), .timeout_ms = 800};
    int before[FAKE_NODES_MAX];

    assert_int_equal(set(f, "k", TEXT("old")), SHERD_OK);
    for (unsigned i = 0; i < f->cluster->n; i++) {
        before[i] = atomic_load(&f->cluster->requests[i]);
        atomic_store(&f->cluster->modes[i], FAKE_SILENT);
    }
    assert_int_equal(sherd_submit(f->client, &op), 0);
    while (!all_were_asked(f->cluster, before) && op.internal)
        assert_true(sherd_poll(f->client, 10) >= 0);
    for (unsigned i = 0; i < f->cluster->n; i++)
        atomic_store(&f->cluster->modes[i], FAKE_DOWN);
    while (op.internal)
        assert_true(sherd_poll(f->client, 10) >= 0);
    assert_int_equal(op.outcome, SHERD_UNCERTAIN);
}

/* A node that forgets sessions: every time it says so a new one begins, and nothing is sent twice.
 */
static void test_forgotten_sessions(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(set(f, "k", TEXT("0")), SHERD_OK);
    atomic_store(&f->cluster->modes[3], FAKE_FORGETFUL);
    for (int i = 0; i < 20; i++) {
        struct sherd_op op = {.kind = SHERD_OP_INCREMENT, .key = TEXT("k"), .delta = 1};
        run(f, &op);
        assert_int_equal(op.outcome, SHERD_OK);
        assert_int_equal(op.number, i + 1);
        sherd_value_fini(&op.result);
    }
}

static void test_new_map(void **state)
{
    struct fixture *f = *state;
    struct sherd_op op = {.kind = SHERD_OP_SET, .key = TEXT("k"), .value = TEXT("v")};

    assert_int_equal(set(f, "a", TEXT("1")), SHERD_OK);
    atomic_store(&f->cluster->version, 2);
    run(f, &op);
    assert_int_equal(op.outcome, SHERD_OK);
    assert_int_equal(op.result.version.epoch, 2);
}

/* Nodes come back without what they knew: the connection is new, so are session and incarnation. */
static void test_nodes_return(void **state)
{
    struct fixture *f = *state;
    struct sherd_op op = {.kind = SHERD_OP_SET, .key = TEXT("k"), .value = TEXT("v")};

    assert_int_equal(set(f, "k", TEXT("v")), SHERD_OK);
    atomic_store(&f->cluster->modes[2], FAKE_DOWN);
    while (sherd_engine_is_reachable(f->client->engine, 2))
        assert_true(sherd_poll(f->client, 10) >= 0);
    atomic_store(&f->cluster->modes[2], FAKE_GOOD);
    while (!sherd_engine_is_reachable(f->client->engine, 2))
        assert_true(sherd_poll(f->client, 10) >= 0);
    run(f, &op);
    assert_int_equal(op.outcome, SHERD_OK);
    assert_int_equal(op.shards_held, 6);
    assert_int_equal(stats_of(f)->reconnects, 1);
}

/* How many requests the nodes that stay have taken: the sum, and the smallest number. */
static void count_requests(const struct fixture *f, int *sum, int *least)
{
    *sum = 0;
    *least = INT_MAX;
    for (unsigned i = 0; i < f->cluster->n; i++) {
        int count = atomic_load(&f->cluster->requests[i]);
        if (i == 1 || i == 2) continue;
        *sum += count;
        if (count < *least) *least = count;
    }
}

/* Nodes 1 and 2 come back without what they knew, and the map does not know it yet: they have no
 * votes in it, so there is no quorum to write to, and nothing is sent to the other four. */
static void test_no_votes_of_other_lives(void **state)
{
    struct fixture *f = *state;
    struct sherd_op op = {
        .kind = SHERD_OP_SET, .key = TEXT("k"), .value = TEXT("v"), .timeout_ms = 300};
    int before, after, least;

    assert_int_equal(set(f, "k", TEXT("v")), SHERD_OK);
    for (count_requests(f, &before, &least); least < 2; count_requests(f, &before, &least))
        assert_true(sherd_poll(f->client, 10) >= 0); /* until the COMMITs are there, too */
    for (unsigned i = 1; i < 3; i++)
        atomic_store(&f->cluster->modes[i], FAKE_DOWN);
    while (sherd_engine_is_reachable(f->client->engine, 1) ||
           sherd_engine_is_reachable(f->client->engine, 2))
        assert_true(sherd_poll(f->client, 10) >= 0);
    for (unsigned i = 1; i < 3; i++)
        atomic_store(&f->cluster->modes[i], FAKE_GOOD);
    while (!sherd_engine_is_reachable(f->client->engine, 1) ||
           !sherd_engine_is_reachable(f->client->engine, 2))
        assert_true(sherd_poll(f->client, 10) >= 0);
    run(f, &op);
    count_requests(f, &after, &least);
    assert_int_equal(after, before);
    assert_int_equal(op.outcome, SHERD_NO_QUORUM);
}

/* The map knows two nodes' new lives, but has not begun an epoch in which they are learners. */
static void test_no_votes_before_the_epoch(void **state)
{
    struct fixture *f = *state;
    struct sherd_op op = {
        .kind = SHERD_OP_SET, .key = TEXT("k"), .value = TEXT("v"), .timeout_ms = 300};

    assert_int_equal(set(f, "k", TEXT("v")), SHERD_OK);
    for (unsigned i = 1; i < 3; i++)
        atomic_store(&f->cluster->since[i], 2);
    atomic_store(&f->cluster->version, 2);
    run(f, &op);
    assert_int_equal(op.outcome, SHERD_NO_QUORUM);
}

static void test_explain_and_repair(void **state)
{
    struct fixture *f = *state;
    struct sherd_op explain = {.kind = SHERD_OP_EXPLAIN, .key = TEXT("k")};
    struct sherd_op repair = {.kind = SHERD_OP_REPAIR, .key = TEXT("k")};
    unsigned missing = 0;

    atomic_store(&f->cluster->modes[2], FAKE_DOWN);
    assert_int_equal(set(f, "k", TEXT("some value")), SHERD_OK);
    atomic_store(&f->cluster->modes[2], FAKE_GOOD);
    while (!sherd_engine_is_reachable(f->client->engine, 2))
        assert_true(sherd_poll(f->client, 10) >= 0);
    run(f, &explain);
    assert_int_equal(explain.outcome, SHERD_OK);
    assert_int_equal(explain.k, 4);
    assert_int_equal(explain.slot_count, 6);
    for (unsigned i = 0; i < 6; i++) {
        bool is_two = explain.slots[i].node == 2;
        missing += is_two;
        assert_int_equal(explain.slots[i].state, is_two ? SHERD_SLOT_MISSING : SHERD_SLOT_HELD);
    }
    assert_int_equal(missing, 1);
    run(f, &repair);
    assert_int_equal(repair.outcome, SHERD_OK);
    assert_int_equal(repair.shards_held, 6);
    run(f, &explain);
    assert_int_equal(explain.shards_held, 6);
}

static void test_ack_quorum_frees_the_key(void **state)
{
    struct fixture *f = *state;
    char *key = strdup("quorum"), *value = strdup("a value");
    struct sherd_op op = {
        .kind = SHERD_OP_SET, .key = TEXT(key), .value = TEXT(value), .ack_quorum = true};

    assert_int_equal(set(f, "first", TEXT("x")), SHERD_OK);
    atomic_store(&f->cluster->modes[1], FAKE_SILENT);
    run(f, &op);
    assert_int_equal(op.outcome, SHERD_OK);
    assert_int_equal(op.shards_held, 5);
    memset(key, 'x', strlen(key)); /* the caller's again, though COMMITs are still to be sent */
    memset(value, 'x', strlen(value));
    for (int i = 0; i < 10; i++)
        sherd_poll(f->client, 10);
    check_value(f, "quorum", TEXT("a value"));
    free(key);
    free(value);
}

static void test_no_cluster(void **state)
{
    struct sherd_options options = {.seeds = "ipc://@sherd-nobody-is-here", .timeout_ms = 100};
    struct sherd_op op = {.kind = SHERD_OP_GET, .key = TEXT("k")};
    struct sherd_client *client;
    struct sherd_cluster_info info;
    enum sherd_outcome outcome;

    (void)state;
    assert_int_equal(sherd_open(&options, &client, NULL, 0), 0);
    assert_int_equal(sherd_run(client, &op), 0);
    assert_int_equal(op.outcome, SHERD_NO_CLUSTER);
    assert_int_equal(sherd_cluster_info(client, &outcome, &info), 0);
    assert_int_equal(outcome, SHERD_NO_CLUSTER);
    sherd_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_CLUSTER(test_one_node_down),
        ON_CLUSTER(test_reads_with_two_nodes_down),
        ON_CLUSTER(test_no_quorum),
        ON_CLUSTER(test_silent_node),
        ON_CLUSTER(test_broken_shards),
        ON_CLUSTER(test_garbage_is_counted),
        ON_CLUSTER(test_full_nodes),
        ON_CLUSTER(test_nobody_answers_for_another),
        ON_CLUSTER(test_endpoint_that_is_none),
        ON_CLUSTER(test_lost_connections),
        ON_CLUSTER(test_forgotten_sessions),
        ON_CLUSTER(test_new_map),
        ON_CLUSTER(test_nodes_return),
        ON_CLUSTER(test_no_votes_of_other_lives),
        ON_CLUSTER(test_no_votes_before_the_epoch),
        ON_CLUSTER(test_explain_and_repair),
        ON_CLUSTER(test_ack_quorum_frees_the_key),
        cmocka_unit_test(test_no_cluster),
    };

    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
