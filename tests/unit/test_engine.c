/* The engine and the public calls over real sockets, against nodes of one thread that can be told
 * to misbehave (support/fake_cluster.h). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/client_parts.h"
#include "client/clock.h"
#include "tests/support/fake_cluster.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define TEXT(s) ((struct sherd_bytes){s, strlen(s)})

struct fixture {
    struct fake_cluster *cluster;
    struct sherd_client *client;
};

static struct sherd_client *open_client(const struct fake_cluster *c, uint32_t timeout_ms)
{
    struct sherd_options options = {.seeds = c->endpoints[0], .timeout_ms = timeout_ms};
    struct sherd_client *client = NULL;
    char error[200] = "";

    assert_int_equal(sherd_open(&options, &client, error, sizeof(error)), 0);
    return client;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->cluster = fake_cluster_new(4, 2);
    f->client = open_client(f->cluster, 3000);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    sherd_close(f->client);
    fake_cluster_free(f->cluster);
    free(f);
    return 0;
}

static const struct sherd_engine_stats *stats_of(const struct fixture *f)
{
    return sherd_engine_stats(f->client->engine);
}

static enum sherd_outcome set(struct fixture *f, const char *key, struct sherd_bytes value)
{
    enum sherd_outcome outcome = SHERD_OUTCOME_COUNT;

    assert_int_equal(sherd_set(f->client, TEXT(key), value, &outcome), 0);
    return outcome;
}

static void check_value(struct fixture *f, const char *key, struct sherd_bytes value)
{
    enum sherd_outcome outcome = SHERD_OUTCOME_COUNT;
    struct sherd_value got = {0};

    assert_int_equal(sherd_get(f->client, TEXT(key), &outcome, &got), 0);
    assert_string_equal(sherd_outcome_name(outcome), "OK");
    assert_int_equal(got.size, value.size);
    assert_memory_equal(got.data, value.data, value.size);
    sherd_value_fini(&got);
}

static void run(struct fixture *f, struct sherd_op *op)
{
    assert_int_equal(sherd_run(f->client, op), 0);
    assert_null(op->internal);
}

static uint8_t *noise(size_t size)
{
    uint8_t *bytes = malloc(size ? size : 1);
    uint64_t x = size + 1;

    for (size_t i = 0; i < size; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        bytes[i] = (uint8_t)(x >> 56);
    }
    return bytes;
}

/* Inline shards, framed and copied, shared without copying; with and without padding. */
static void test_sizes(void **state)
{
    static const size_t sizes[] = {0,       1,      3,      100,          1024,
                                   65536,   65537,  200000, 4 * 64 << 10, (4 * 64 << 10) + 1,
                                   1 << 20, 999999, 4 << 20};
    struct fixture *f = *state;

    for (size_t i = 0; i < LEN(sizes); i++) {
        uint8_t *bytes = noise(sizes[i]);
        struct sherd_bytes value = {bytes, sizes[i]};
        char key[32];
        snprintf(key, sizeof(key), "size-%zu", sizes[i]);
        assert_int_equal(set(f, key, value), SHERD_OK);
        check_value(f, key, value);
        free(bytes);
    }
    assert_int_equal(stats_of(f)->bad_messages, 0);
    assert_int_equal(stats_of(f)->corrupt_shards, 0);
}

static void test_set_reports_what_is_held(void **state)
{
    struct fixture *f = *state;
    struct sherd_op op = {.kind = SHERD_OP_SET, .key = TEXT("k"), .value = TEXT("v")};
    struct sherd_op look = {.kind = SHERD_OP_LOOK, .key = TEXT("k")};

    run(f, &op);
    assert_int_equal(op.outcome, SHERD_OK);
    assert_int_equal(op.shards_held, 6);
    assert_int_equal(op.shards_total, 6);
    run(f, &look);
    assert_int_equal(look.outcome, SHERD_OK);
    assert_int_equal(look.size, 1);
    assert_memory_equal(&look.result.version.clock, &op.result.version.clock, 8);
    assert_int_equal(look.result.version.epoch, 1);
}

static void test_missing_and_deleted(void **state)
{
    struct fixture *f = *state;
    enum sherd_outcome outcome;
    struct sherd_value value;

    assert_int_equal(sherd_get(f->client, TEXT("none"), &outcome, &value), 0);
    assert_int_equal(outcome, SHERD_NOT_FOUND);
    assert_int_equal(set(f, "k", TEXT("v")), SHERD_OK);
    assert_int_equal(sherd_delete(f->client, TEXT("k"), &outcome), 0);
    assert_int_equal(outcome, SHERD_OK);
    assert_int_equal(sherd_get(f->client, TEXT("k"), &outcome, &value), 0);
    assert_int_equal(outcome, SHERD_NOT_FOUND);
}

/* Each row: on a key that holds `before` (NULL: nothing), what the operation gives, and leaves. */
static const struct update_row {
    const char *name;
    enum sherd_op_kind kind;
    const char *before, *value;
    int64_t delta;
    int expect; /* 0: zero, 1: the current version, 2: another */
    const char *outcome, *after;
} update_rows[] = {
    {"cas of nothing",          SHERD_OP_CAS,       NULL,                   "a",  0,  0, "OK",        "a"   },
    {"cas of something as new", SHERD_OP_CAS,       "x",                    "a",  0,  0, "CONFLICT",  "x"   },
    {"cas of the right one",    SHERD_OP_CAS,       "x",                    "a",  0,  1, "OK",        "a"   },
    {"cas of a wrong one",      SHERD_OP_CAS,       "x",                    "a",  0,  2, "CONFLICT",  "x"   },
    {"cas of one that is gone", SHERD_OP_CAS,       NULL,                   "a",  0,  2, "NOT_FOUND", NULL  },
    {"add",                     SHERD_OP_ADD,       NULL,                   "a",  0,  0, "OK",        "a"   },
    {"add over",                SHERD_OP_ADD,       "x",                    "a",  0,  0, "CONFLICT",  "x"   },
    {"replace",                 SHERD_OP_REPLACE,   "x",                    "a",  0,  0, "OK",        "a"   },
    {"replace nothing",         SHERD_OP_REPLACE,   NULL,                   "a",  0,  0, "NOT_FOUND", NULL  },
    {"increment nothing",       SHERD_OP_INCREMENT, NULL,                   "",   5,  0, "OK",        "5"   },
    {"increment",               SHERD_OP_INCREMENT, "37",                   "",   5,  0, "OK",        "42"  },
    {"decrement below zero",    SHERD_OP_INCREMENT, "3",                    "",   -5, 0, "OK",        "-2"  },
    {"increment a word",        SHERD_OP_INCREMENT, "ab",                   "",   5,  0, "BAD_VALUE", "ab"  },
    {"increment too far",       SHERD_OP_INCREMENT, "9223372036854775807",  "",   1,  0, "BAD_VALUE",
     "9223372036854775807"                                                                                  },
    {"decrement to the end",    SHERD_OP_INCREMENT, "-9223372036854775807", "",   -1, 0, "OK",
     "-9223372036854775808"                                                                                 },
    {"append",                  SHERD_OP_APPEND,    "ab",                   "cd", 0,  0, "OK",        "abcd"},
    {"append to nothing",       SHERD_OP_APPEND,    NULL,                   "cd", 0,  0, "OK",        "cd"  },
    {"remove",                  SHERD_OP_REMOVE,    "x",                    "",   0,  0, "OK",        NULL  },
    {"remove nothing",          SHERD_OP_REMOVE,    NULL,                   "",   0,  0, "NOT_FOUND", NULL  },
    {"remove the right one",    SHERD_OP_REMOVE,    "x",                    "",   0,  1, "OK",        NULL  },
    {"remove a wrong one",      SHERD_OP_REMOVE,    "x",                    "",   0,  2, "CONFLICT",  "x"   },
};

static void check_update(struct fixture *f, const struct update_row *row)
{
    struct sherd_op before = {.kind = SHERD_OP_SET, .key = TEXT(row->name)};
    struct sherd_op op = {
        .kind = row->kind, .key = TEXT(row->name), .value = TEXT(row->value), .delta = row->delta};

    if (row->before) {
        before.value = TEXT(row->before);
        run(f, &before);
    }
    op.use_expect = row->expect != 0;
    if (row->expect == 1) op.expect = before.result.version;
    if (row->expect == 2) op.expect = (struct sherd_version){1, 2, 3};
    run(f, &op);
    if (strcmp(sherd_outcome_name(op.outcome), row->outcome) != 0)
        fail_msg("%s: %s", row->name, sherd_outcome_name(op.outcome));
    if (row->after) {
        check_value(f, row->name, TEXT(row->after));
    } else {
        struct sherd_op get = {.kind = SHERD_OP_GET, .key = TEXT(row->name)};
        run(f, &get);
        assert_int_equal(get.outcome, SHERD_NOT_FOUND);
    }
    if (row->kind == SHERD_OP_INCREMENT && op.outcome == SHERD_OK)
        assert_int_equal(op.number, strtoll(row->after, NULL, 10));
    sherd_value_fini(&op.result);
}

static void test_updates(void **state)
{
    for (size_t i = 0; i < LEN(update_rows); i++)
        check_update(*state, &update_rows[i]);
}

static void count_done(struct sherd_op *op) { ++*(int *)op->context; }

/* Many at once, several on one key: each increment counts once. */
static void test_many_at_once(void **state)
{
    enum { OPS = 600, KEYS = 20 };
    struct fixture *f = *state;
    struct sherd_op *ops = calloc(OPS, sizeof(*ops));
    char keys[KEYS][16];
    int done = 0;

    for (int i = 0; i < OPS; i++) {
        snprintf(keys[i % KEYS], sizeof(keys[0]), "n%d", i % KEYS);
        ops[i] = (struct sherd_op){.kind = SHERD_OP_INCREMENT,
                                   .key = TEXT(keys[i % KEYS]),
                                   .delta = 1,
                                   .done = count_done,
                                   .context = &done};
        assert_int_equal(sherd_submit(f->client, &ops[i]), 0);
    }
    while (done < OPS)
        assert_true(sherd_poll(f->client, 1000) >= 0);
    for (int i = 0; i < OPS; i++) {
        assert_int_equal(ops[i].outcome, SHERD_OK);
        sherd_value_fini(&ops[i].result);
    }
    for (int i = 0; i < KEYS; i++)
        check_value(f, keys[i], TEXT("30"));
    free(ops);
}

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

static void test_expiry(void **state)
{
    struct fixture *f = *state;
    struct sherd_op op = {
        .kind = SHERD_OP_SET, .key = TEXT("k"), .value = TEXT("v"), .ttl_ms = 3600000};
    struct sherd_op get = {.kind = SHERD_OP_GET, .key = TEXT("k")};

    run(f, &op);
    run(f, &get);
    assert_int_equal(get.outcome, SHERD_OK);
    assert_true(get.result.expires_ms > sherd_clock_wall_ms_now() + 3000000);
    sherd_value_fini(&get.result);
    op.ttl_ms = 1;
    run(f, &op);
    while (sherd_clock_wall_ms_now() <= op.result.expires_ms)
        sherd_poll(f->client, 1);
    run(f, &get);
    assert_int_equal(get.outcome, SHERD_NOT_FOUND);
}

struct seen_keys {
    unsigned count, stop_after;
    uint64_t sizes;
    bool seen[256];
};

static bool on_key(void *context, struct sherd_bytes key, uint64_t size)
{
    struct seen_keys *s = context;
    char text[16] = "";
    int i;

    assert_true(key.size < sizeof(text));
    memcpy(text, key.data, key.size);
    assert_int_equal(sscanf(text, "scan-%d", &i), 1);
    assert_false(s->seen[i]); /* each key once */
    s->seen[i] = true;
    s->sizes += size;
    return ++s->count != s->stop_after;
}

static struct seen_keys scan(struct fixture *f, const char *prefix, unsigned stop_after,
                             const char *expected)
{
    struct seen_keys keys = {.stop_after = stop_after};
    enum sherd_outcome outcome = SHERD_OUTCOME_COUNT;

    assert_int_equal(sherd_scan(f->client, TEXT(prefix), on_key, &keys, &outcome), 0);
    assert_string_equal(sherd_outcome_name(outcome), expected);
    return keys;
}

/* Pages of three keys; one node lacks some keys, some were deleted; then nodes go away. */
static void test_scan(void **state)
{
    struct fixture *f = *state;
    enum sherd_outcome outcome;
    char key[32];

    f->cluster->keys_of_page = 3;
    for (int i = 0; i < 200; i++) {
        if (i == 100) atomic_store(&f->cluster->modes[4], FAKE_FULL);
        snprintf(key, sizeof(key), "scan-%d", i);
        assert_int_equal(set(f, key, TEXT("0123456789")), SHERD_OK);
    }
    atomic_store(&f->cluster->modes[4], FAKE_GOOD);
    for (int i = 0; i < 200; i += 10) {
        snprintf(key, sizeof(key), "scan-%d", i);
        assert_int_equal(sherd_delete(f->client, TEXT(key), &outcome), 0);
    }
    assert_int_equal(set(f, "else", TEXT("x")), SHERD_OK);
    assert_int_equal(scan(f, "scan-", 0, "OK").count, 180);
    assert_int_equal(scan(f, "scan-", 0, "OK").sizes, 1800);
    assert_int_equal(scan(f, "scan-19", 0, "OK").count, 10);
    assert_int_equal(scan(f, "none", 0, "OK").count, 0);
    assert_int_equal(scan(f, "scan-", 7, "OK").count, 7);
    atomic_store(&f->cluster->version, 2);
    assert_int_equal(scan(f, "scan-", 0, "OK").count, 180);
}

static void test_scan_without_nodes(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(set(f, "scan-1", TEXT("x")), SHERD_OK);
    f->client->timeout_ms = 300;
    atomic_store(&f->cluster->modes[1], FAKE_DOWN);
    atomic_store(&f->cluster->modes[2], FAKE_SILENT);
    assert_int_equal(scan(f, "scan-", 0, "OK").count, 1);
    atomic_store(&f->cluster->modes[3], FAKE_DOWN);
    scan(f, "scan-", 0, "NO_QUORUM");
}

static void test_bad_arguments(void **state)
{
    struct fixture *f = *state;
    char long_key[SHERD_KEY_MAX + 1] = {0};
    struct sherd_op op = {.kind = SHERD_OP_SET};

    assert_int_equal(sherd_submit(f->client, &op), -EINVAL);
    op.key = (struct sherd_bytes){long_key, sizeof(long_key)};
    assert_int_equal(sherd_submit(f->client, &op), -EINVAL);
    op.key = TEXT("k");
    op.value = (struct sherd_bytes){long_key, SHERD_VALUE_MAX + 1};
    assert_int_equal(sherd_submit(f->client, &op), -EMSGSIZE);
    op.value.size = 0;
    op.kind = (enum sherd_op_kind)99;
    assert_int_equal(sherd_submit(f->client, &op), -EINVAL);
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

static void test_open_refuses(void **state)
{
    static const struct sherd_options bad[] = {{0},
                                               {.seeds = ""},
                                               {.seeds = "tcp://127.0.0.1:1,,"},
                                               {.seeds = "nonsense"},
                                               {.conf = "/nonexistent/sherd.conf"}};
    struct sherd_client *client;
    char error[200];

    (void)state;
    for (size_t i = 0; i < LEN(bad); i++) {
        error[0] = '\0';
        assert_true(sherd_open(&bad[i], &client, error, sizeof(error)) < 0);
        assert_null(client);
        assert_int_not_equal(error[0], '\0');
    }
}

static void test_nodes_and_cluster(void **state)
{
    struct fixture *f = *state;
    struct sherd_cluster_info info;
    enum sherd_outcome outcome;
    char *json = NULL;

    assert_int_equal(sherd_cluster_info(f->client, &outcome, &info), 0);
    assert_int_equal(outcome, SHERD_OK);
    assert_int_equal(info.k, 4);
    assert_int_equal(info.node_count, 6);
    assert_int_equal(info.partitions, 8);
    assert_int_equal(info.degraded, 0);
    assert_int_equal(sherd_node_stats(f->client, 3, &outcome, &json), 0);
    assert_int_equal(outcome, SHERD_OK);
    assert_string_equal(json, "{}");
    free(json);
    assert_int_equal(sherd_node_recover(f->client, 3, &outcome), 0);
    assert_int_equal(outcome, SHERD_OK);
}

static void test_version_text(void **state)
{
    const struct sherd_version v = {UINT64_C(0x123456789abcdef0), UINT64_MAX, UINT32_MAX};
    static const char *const bad[] = {
        "",      "1",    "1-2",    "1-2-",    "-1-2",          "1-2-3-",
        "g-1-1", "1--2", "1-2-3 ", "0x1-1-1", "123456789-1-1", "1-12345678901234567-1"};
    char text[SHERD_VERSION_TEXT_SIZE];
    struct sherd_version parsed;

    (void)state;
    sherd_version_format(v, text);
    assert_int_equal(sherd_version_parse(text, &parsed), 0);
    assert_true(parsed.clock == v.clock && parsed.client == v.client && parsed.epoch == v.epoch);
    for (size_t i = 0; i < LEN(bad); i++)
        assert_int_equal(sherd_version_parse(bad[i], &parsed), -EINVAL);
}

#define ON_CLUSTER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_CLUSTER(test_sizes),
        ON_CLUSTER(test_set_reports_what_is_held),
        ON_CLUSTER(test_missing_and_deleted),
        ON_CLUSTER(test_updates),
        ON_CLUSTER(test_many_at_once),
        ON_CLUSTER(test_one_node_down),
        ON_CLUSTER(test_reads_with_two_nodes_down),
        ON_CLUSTER(test_no_quorum),
        ON_CLUSTER(test_silent_node),
        ON_CLUSTER(test_broken_shards),
        ON_CLUSTER(test_garbage_is_counted),
        ON_CLUSTER(test_full_nodes),
        ON_CLUSTER(test_forgotten_sessions),
        ON_CLUSTER(test_new_map),
        ON_CLUSTER(test_nodes_return),
        ON_CLUSTER(test_explain_and_repair),
        ON_CLUSTER(test_ack_quorum_frees_the_key),
        ON_CLUSTER(test_expiry),
        ON_CLUSTER(test_scan),
        ON_CLUSTER(test_scan_without_nodes),
        ON_CLUSTER(test_bad_arguments),
        cmocka_unit_test(test_no_cluster),
        cmocka_unit_test(test_open_refuses),
        ON_CLUSTER(test_nodes_and_cluster),
        cmocka_unit_test(test_version_text),
    };

    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
