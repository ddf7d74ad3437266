#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/client_fixture.h"

static struct sherd_client *open_client(const struct fake_cluster *c, uint32_t timeout_ms)
{
    struct sherd_options options = {.seeds = c->endpoints[0], .timeout_ms = timeout_ms};
    struct sherd_client *client = NULL;
    char error[200] = "";

    assert_int_equal(sherd_open(&options, &client, error, sizeof(error)), 0);
    return client;
}

int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->cluster = fake_cluster_new(4, 2);
    f->client = open_client(f->cluster, 3000);
    *state = f;
    return 0;
}

int tear_down(void **state)
{
    struct fixture *f = *state;

    sherd_close(f->client);
    fake_cluster_free(f->cluster);
    free(f);
    return 0;
}

const struct sherd_engine_stats *stats_of(const struct fixture *f)
{
    return sherd_engine_stats(f->client->engine);
}

enum sherd_outcome set(struct fixture *f, const char *key, struct sherd_bytes value)
{
    enum sherd_outcome outcome = SHERD_OUTCOME_COUNT;

    assert_int_equal(sherd_set(f->client, TEXT(key), value, &outcome), 0);
    return outcome;
}

void check_value(struct fixture *f, const char *key, struct sherd_bytes value)
{
    enum sherd_outcome outcome = SHERD_OUTCOME_COUNT;
    struct sherd_value got = {0};

    assert_int_equal(sherd_get(f->client, TEXT(key), &outcome, &got), 0);
    assert_string_equal(sherd_outcome_name(outcome), "OK");
    assert_int_equal(got.size, value.size);
    assert_memory_equal(got.data, value.data, value.size);
    sherd_value_fini(&got);
}

void run(struct fixture *f, struct sherd_op *op)
{
    assert_int_equal(sherd_run(f->client, op), 0);
    assert_null(op->internal);
}

uint8_t *noise(size_t size)
{
    uint8_t *bytes = malloc(size ? size : 1);
    uint64_t x = size + 1;

    for (size_t i = 0; i < size; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        bytes[i] = (uint8_t)(x >> 56);
    }
    return bytes;
}
