/* node.c - what the nodes of a cluster say of themselves. */
#include "bench/node.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

enum { STATS_TIMEOUT_MS = 2000 };

int bench_node_client(const char *conf, struct sherd_client **out)
{
    struct sherd_options options = {.conf = conf, .timeout_ms = STATS_TIMEOUT_MS};
    char error[512] = "";
    int rc = sherd_open(&options, out, error, sizeof(error));

    if (rc < 0) return bench_fail(BENCH_ENVIRONMENT, "%s", error[0] ? error : strerror(-rc));
    return 0;
}

static uint64_t number_at(const json_t *object, const char *group, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(json_object_get(object, group), name));
}

static int read_node(const char *text, struct bench_node *out)
{
    json_t *json = json_loads(text, 0, NULL);
    const char *incarnation = json_string_value(json_object_get(json, "incarnation"));

    if (json == NULL || incarnation == NULL) {
        json_decref(json);
        return -EBADMSG;
    }
    *out = (struct bench_node){
        .voting = number_at(json, "partitions", "voting"),
        .learning = number_at(json, "partitions", "learning"),
        .unclean = number_at(json, "partitions", "unclean"),
        .sealing = number_at(json, "partitions", "sealing"),
        .bytes = number_at(json, "store", "bytes"),
        .shards = number_at(json, "store", "shards"),
        .shard_bytes = number_at(json, "store", "shard_bytes"),
        .undecided = number_at(json, "store", "undecided"),
        .rebuilt_keys = number_at(json, "recovery", "rebuilt_keys"),
        .rebuilt_bytes = number_at(json, "recovery", "rebuilt_bytes"),
    };
    snprintf(out->incarnation, sizeof(out->incarnation), "%s", incarnation);
    json_decref(json);
    return 0;
}

int bench_node_look(struct sherd_client *client, unsigned node, struct bench_node *out)
{
    enum sherd_outcome outcome = SHERD_OK;
    char *text = NULL;
    int rc = sherd_node_stats(client, (uint16_t)node, &outcome, &text);

    if (rc < 0) return rc;
    if (outcome != SHERD_OK) return -EAGAIN;
    rc = read_node(text, out);
    free(text);
    return rc;
}
