/* The public calls, over real sockets, on nodes that behave (support/fake_cluster.h). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/client_fixture.h"

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
    f->client->timeout_ms = 1000;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_CLUSTER(test_sizes),
        ON_CLUSTER(test_set_reports_what_is_held),
        ON_CLUSTER(test_missing_and_deleted),
        ON_CLUSTER(test_updates),
        ON_CLUSTER(test_many_at_once),
        ON_CLUSTER(test_expiry),
        ON_CLUSTER(test_scan),
        ON_CLUSTER(test_scan_without_nodes),
        ON_CLUSTER(test_bad_arguments),
        cmocka_unit_test(test_open_refuses),
        ON_CLUSTER(test_nodes_and_cluster),
        cmocka_unit_test(test_version_text),
    };

    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
