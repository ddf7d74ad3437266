/* client_fixture.h - a client on a cluster of six fake nodes at 4+2, and the calls that tests of
 * the client share. Include after cmocka.h. */
#ifndef SHERD_TESTS_CLIENT_FIXTURE_H
#define SHERD_TESTS_CLIENT_FIXTURE_H

#include "client/client_parts.h"
#include "client/clock.h"
#include "tests/support/fake_cluster.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define TEXT(s) ((struct sherd_bytes){s, strlen(s)})

struct fixture {
    struct fake_cluster *cluster;
    struct sherd_client *client;
};

int set_up(void **state); /* *state is a struct fixture */
int tear_down(void **state);
#define ON_CLUSTER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

const struct sherd_engine_stats *stats_of(const struct fixture *f);
enum sherd_outcome set(struct fixture *f, const char *key, struct sherd_bytes value);
/* Reads the key; it must hold this. */
void check_value(struct fixture *f, const char *key, struct sherd_bytes value);
void run(struct fixture *f, struct sherd_op *op);
uint8_t *noise(size_t size); /* malloc'ed bytes, the same every time */

#endif
