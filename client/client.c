#include <bsd/string.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_parts.h"
#include "client/clock.h"
#include "client/conf.h"

enum { POLL_MS = 20, SEEDS_MAX = SHERD_NODES_MAX };

/* ---- opening ---- */

static int fail(char *error, size_t error_size, int rc, const char *what)
{
    if (error && error_size > 0) snprintf(error, error_size, "%s: %s", what, strerror(-rc));
    return rc;
}

static int open_engine(const struct sherd_options *options, const char *const *seeds,
                       size_t seed_count, const struct sherd_conf *conf, struct sherd_engine **out)
{
    const struct sherd_engine_config config = {
        .seeds = seeds,
        .seed_count = seed_count,
        .keeper = conf && conf->keeper[0] ? conf->keeper : NULL,
        .self_node = -1,
        .timeout_ms = options->timeout_ms,
        .straggler_ms = options->straggler_ms || !conf ? options->straggler_ms : conf->straggler_ms,
    };

    return sherd_engine_open(&config, out);
}

/* The configured nodes are the seeds. */
static int open_conf(const struct sherd_options *options, struct sherd_engine **out, char *error,
                     size_t error_size)
{
    const char *seeds[SEEDS_MAX];
    char text[512] = "";
    struct sherd_conf conf;
    int rc = sherd_conf_load(options->conf, &conf, text, sizeof(text));

    if (rc < 0) {
        if (error && error_size > 0) strlcpy(error, text, error_size);
        return rc;
    }
    for (size_t i = 0; i < conf.node_count; i++)
        seeds[i] = conf.nodes[i].endpoint;
    rc = open_engine(options, seeds, conf.node_count, &conf, out);
    if (rc < 0) fail(error, error_size, rc, options->conf);
    sherd_conf_fini(&conf);
    return rc;
}

static int open_seeds(const struct sherd_options *options, struct sherd_engine **out, char *error,
                      size_t error_size)
{
    const char *seeds[SEEDS_MAX];
    char *text = strdup(options->seeds), *rest = text, *seed;
    size_t count = 0;
    int rc = 0;

    if (!text) return fail(error, error_size, -ENOMEM, "seeds");
    while (rc == 0 && (seed = strsep(&rest, ",")) != NULL) {
        if (seed[0] == '\0' || count == SEEDS_MAX || strlen(seed) >= SHERD_ENDPOINT_BYTES_MAX)
            rc = -EINVAL;
        else
            seeds[count++] = seed;
    }
    if (rc == 0) rc = open_engine(options, seeds, count, NULL, out);
    if (rc < 0) fail(error, error_size, rc, options->seeds);
    free(text);
    return rc;
}

int sherd_open(const struct sherd_options *options, struct sherd_client **out, char *error,
               size_t error_size)
{
    struct sherd_client *c = calloc(1, sizeof(*c));
    int rc;

    *out = NULL;
    if (!c) return fail(error, error_size, -ENOMEM, "sherd_open");
    c->timeout_ms = options->timeout_ms ? options->timeout_ms : SHERD_DEFAULT_TIMEOUT_MS;
    if (options->conf)
        rc = open_conf(options, &c->engine, error, error_size);
    else if (options->seeds)
        rc = open_seeds(options, &c->engine, error, error_size);
    else
        rc = fail(error, error_size, -EINVAL, "neither conf nor seeds");
    if (rc < 0) {
        free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void sherd_close(struct sherd_client *c)
{
    if (!c) return;
    sherd_engine_close(c->engine);
    free(c);
}

/* ---- operations ---- */

int sherd_submit(struct sherd_client *c, struct sherd_op *op)
{
    return sherd_engine_submit(c->engine, op);
}

int sherd_poll(struct sherd_client *c, int timeout_ms)
{
    return sherd_engine_poll(c->engine, timeout_ms);
}

int sherd_fd(const struct sherd_client *c) { return sherd_engine_fd(c->engine); }

int sherd_next_timeout_ms(const struct sherd_client *c)
{
    return sherd_engine_next_timeout_ms(c->engine);
}

int sherd_run(struct sherd_client *c, struct sherd_op *op)
{
    int rc = sherd_engine_submit(c->engine, op);

    while (rc >= 0 && op->internal)
        rc = sherd_engine_poll(c->engine, -1);
    if (rc < 0 && op->internal) sherd_engine_forget(c->engine, op);
    return rc < 0 ? rc : 0;
}

int sherd_set(struct sherd_client *c, struct sherd_bytes key, struct sherd_bytes value,
              enum sherd_outcome *outcome)
{
    struct sherd_op op = {.kind = SHERD_OP_SET, .key = key, .value = value};
    int rc = sherd_run(c, &op);

    if (rc == 0) *outcome = op.outcome;
    return rc;
}

int sherd_get(struct sherd_client *c, struct sherd_bytes key, enum sherd_outcome *outcome,
              struct sherd_value *value)
{
    struct sherd_op op = {.kind = SHERD_OP_GET, .key = key};
    int rc = sherd_run(c, &op);

    if (rc < 0) return rc;
    *outcome = op.outcome;
    if (op.outcome == SHERD_OK) *value = op.result;
    return 0;
}

int sherd_delete(struct sherd_client *c, struct sherd_bytes key, enum sherd_outcome *outcome)
{
    struct sherd_op op = {.kind = SHERD_OP_DELETE, .key = key};
    int rc = sherd_run(c, &op);

    if (rc == 0) *outcome = op.outcome;
    return rc;
}

void sherd_value_fini(struct sherd_value *v)
{
    if (!v) return;
    free(v->data);
    *v = (struct sherd_value){0};
}

/* ---- one request to one node ---- */

struct waiting {
    bool done;
    uint8_t want; /* enum sherd_message_kind */
    enum sherd_outcome outcome;
    char *text;
};

static void on_call_done(void *context, const struct sherd_answer *a)
{
    struct waiting *w = context;

    w->done = true;
    if (!a) return;
    w->outcome = a->kind == w->want ? SHERD_OK : SHERD_DENIED;
    if (w->outcome != SHERD_OK || w->want != SHERD_STATS_ARE) return;
    w->text = malloc(a->body.size + 1);
    if (!w->text) {
        w->outcome = SHERD_NO_MEMORY;
        return;
    }
    if (a->body.size != 0) memcpy(w->text, a->body.data, a->body.size);
    w->text[a->body.size] = '\0';
}

/* Waits for the connection first, then for the answer. NO_QUORUM: neither came in time. */
static int ask_node(struct sherd_client *c, uint16_t node, enum sherd_message_kind kind,
                    struct waiting *w)
{
    const struct sherd_request r = {.kind = (uint8_t)kind, .shard_frame = -1};
    uint64_t end_us = sherd_clock_now_us() + c->timeout_ms * UINT64_C(1000), now_us;
    int rc;

    w->outcome = SHERD_NO_QUORUM;
    while ((now_us = sherd_clock_now_us()) < end_us) {
        rc = sherd_engine_call(c->engine, node, &r, (uint32_t)((end_us - now_us) / 1000 + 1),
                               on_call_done, w);
        if (rc == 0) break;
        if (rc != -ENOTCONN) return rc;
        rc = sherd_engine_poll(c->engine, POLL_MS);
        if (rc < 0) return rc;
    }
    if (now_us >= end_us) return 0;
    while (!w->done) {
        rc = sherd_engine_poll(c->engine, -1);
        if (rc < 0) {
            sherd_engine_cancel(c->engine, w);
            return rc;
        }
    }
    return 0;
}

int sherd_node_stats(struct sherd_client *c, uint16_t node, enum sherd_outcome *outcome,
                     char **json)
{
    struct waiting w = {.want = SHERD_STATS_ARE};
    int rc = ask_node(c, node, SHERD_STATS, &w);

    *json = w.text;
    *outcome = w.outcome;
    return rc;
}

int sherd_node_recover(struct sherd_client *c, uint16_t node, enum sherd_outcome *outcome)
{
    struct waiting w = {.want = SHERD_ACK};
    int rc = ask_node(c, node, SHERD_RECOVER, &w);

    *outcome = w.outcome;
    return rc;
}

int sherd_accept_loss(struct sherd_client *c, enum sherd_outcome *outcome)
{
    struct waiting w = {.want = SHERD_ACK};
    int rc = ask_node(c, SHERD_KEEPER, SHERD_ACCEPT_LOSS, &w);

    *outcome = w.outcome;
    return rc;
}

/* ---- the cluster ---- */

int sherd_client_wait_for_map(struct sherd_client *c, const struct sherd_map **out)
{
    uint64_t end_us = sherd_clock_now_us() + c->timeout_ms * UINT64_C(1000);

    while ((*out = sherd_engine_map(c->engine)) == NULL && sherd_clock_now_us() < end_us) {
        int rc = sherd_engine_poll(c->engine, POLL_MS);
        if (rc < 0) return rc;
    }
    return 0;
}

static void count_partition(const struct sherd_map *map, const struct sherd_partition *p,
                            struct sherd_cluster_info *out)
{
    if (sherd_slots_count(p->voters) < map->k + map->m) out->degraded++;
    if (p->learners != 0) out->learning++;
    if (p->lost) out->lost++;
    if (p->open_count > 1) out->unclean++;
}

int sherd_cluster_info(struct sherd_client *c, enum sherd_outcome *outcome,
                       struct sherd_cluster_info *out)
{
    const struct sherd_map *map;
    int rc = sherd_client_wait_for_map(c, &map);

    if (rc < 0) return rc;
    *outcome = map ? SHERD_OK : SHERD_NO_CLUSTER;
    if (!map) return 0;
    *out = (struct sherd_cluster_info){
        .cluster = map->cluster,
        .map_version = map->version,
        .k = map->k,
        .m = map->m,
        .node_count = map->node_count,
        .partitions = map->partition_count,
    };
    for (uint16_t i = 0; i < map->partition_count; i++)
        count_partition(map, &map->partitions[i], out);
    return 0;
}
