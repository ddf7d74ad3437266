#include "tests/allocations/life.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tests/support/alloc_fault.h"

enum {
    OP_MS = 1500, /* of an operation whose request is lost for want of memory */
    HEALTHY_MS = 30000,
    VACATE_MS = 60000,
    POLL_MS = 50,
    MANY = 7, /* the first of the keys that are written together */
};

const char *life_phase_name(enum life_phase phase)
{
    static const char *const names[] = {
#define X(name, k, m, text) #name,
        LIFE_PHASE_MAP(X)
#undef X
    };

    return names[phase];
}

void life_begin(struct life *l, enum life_phase phase, const char *dir)
{
    static const struct {
        unsigned k, m;
    } codes[] = {
#define X(name, k, m, text) {k, m},
        LIFE_PHASE_MAP(X)
#undef X
    };
    int rc;

    memset(l, 0, sizeof(*l));
    l->phase = phase;
    snprintf(l->dir, sizeof(l->dir), "%s", dir);
    life_make_keys(l);
    rc = nodes_write_conf(dir, codes[phase].k, codes[phase].m, VACATE_MS);
    if (rc < 0) life_fail(l, "%s: %s", dir, strerror(-rc));
}

/* ---- up ---- */

/* False: refused, which is noted; in a strict life a failure. */
static bool must_start(struct life *l, int rc, const char *what)
{
    if (rc == 0) return true;
    if (!l->armed || rc != -ENOMEM)
        life_fail(l, "%s does not start: %s", what, strerror(-rc));
    else
        l->outcomes[LIFE_OUTCOMES - 1]++;
    return false;
}

static bool load(struct life *l)
{
    char error[512] = "";
    int rc;

    if (l->nodes.conf.nodes) return true;
    rc = nodes_load(&l->nodes, l->dir, error, sizeof(error));
    if (rc < 0 && !strstr(error, "memory"))
        life_fail(l, "the configuration is refused with: %s", error);
    return must_start(l, rc, "the configuration");
}

/* What is not up yet. One that was refused is tried again at once, as its operator would; while
 * there is no memory at all that is in vain. */
static bool start(struct life *l, unsigned node)
{
    for (unsigned tries = 0; !l->nodes.one[node].up && tries < 2; tries++)
        if (must_start(l, nodes_start(&l->nodes, node), "a node")) break;
    return l->nodes.one[node].up;
}

static bool open_client(struct life *l)
{
    char seeds[256], error[256] = "";
    struct sherd_options options = {.seeds = seeds, .timeout_ms = OP_MS};

    if (l->client) return true;
    nodes_seed(&l->nodes, seeds, sizeof(seeds));
    for (unsigned tries = 0; !l->client && tries < 2; tries++) {
        int rc = sherd_open(&options, &l->client, error, sizeof(error));
        if (must_start(l, rc, "a client")) break;
        if (error[0] == '\0') life_fail(l, "sherd_open gives no reason");
    }
    return l->client != NULL;
}

static bool open_everything(struct life *l)
{
    if (!load(l) && !load(l)) return false;
    for (unsigned i = 0; i < NODES; i++)
        if (!start(l, i)) return false;
    return open_client(l);
}

/* ---- health ---- */

static int number_of(const json_t *o, const char *part, const char *name)
{
    if (part) o = json_object_get(o, part);
    return (int)json_integer_value(json_object_get(o, name));
}

static const char *fault_of(const json_t *o)
{
    static const struct {
        const char *part, *name;
        int is;
    } wanted[] = {
        {"partitions", "voting",            NODES_PARTITIONS},
        {"partitions", "unclean",           0               },
        {"store",      "undecided",         0               },
        {NULL,         "repair_list",       0               },
        {NULL,         "rescan_partitions", 0               },
        {"recovery",   "backlog",           0               },
    };

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (number_of(o, wanted[i].part, wanted[i].name) != wanted[i].is) return wanted[i].name;
    return NULL;
}

/* What is wrong with a node, or NULL. */
static const char *ask_node(struct life *l, uint16_t node)
{
    enum sherd_outcome outcome = SHERD_OUTCOME_COUNT;
    const char *fault;
    char *text = NULL;
    json_t *o;

    if (sherd_node_stats(l->client, node, &outcome, &text) < 0 || outcome != SHERD_OK || !text) {
        struct sherd_value v = {.data = text}; /* freed where the library frees */
        sherd_value_fini(&v);
        return "no statistics";
    }
    o = json_loads(text, 0, NULL);
    fault = fault_of(o);
    json_decref(o);
    struct sherd_value v = {.data = text};
    sherd_value_fini(&v);
    return fault;
}

static const char *ask_cluster(struct life *l)
{
    struct sherd_cluster_info info = {0};
    enum sherd_outcome outcome = SHERD_OUTCOME_COUNT;

    if (sherd_cluster_info(l->client, &outcome, &info) < 0 || outcome != SHERD_OK) return "no map";
    if (info.degraded || info.learning) return "partitions lack voters";
    return info.lost ? "partitions are lost" : info.unclean ? "partitions are unclean" : NULL;
}

/* While a storm rages nothing is waited for. */
static void wait_until_healthy(struct life *l)
{
    uint64_t until_ms = life_now_ms() + HEALTHY_MS;
    const char *fault = "not asked";
    unsigned node = 0;

    while (fault && !l->failed && !l->storm) {
        fault = NULL;
        for (uint16_t i = 0; !fault && i < NODES; i++) {
            fault = ask_node(l, i);
            node = i;
        }
        if (!fault) fault = ask_cluster(l); /* the answers told the client of newer maps */
        if (!fault) break;
        if (life_now_ms() > until_ms) life_fail(l, "not healthy: node %u, %s", node, fault);
        sherd_poll(l->client, POLL_MS);
    }
}

/* ---- the phases ---- */

static void set_all(struct life *l)
{
    for (unsigned i = 0; i < 3; i++)
        life_set(l, &l->keys[i]);
    life_set_many(l, &l->keys[MANY], LIFE_KEYS - MANY);
}

static void get_all(struct life *l)
{
    for (unsigned i = 0; i < LIFE_KEYS; i++)
        life_get(l, &l->keys[i]);
}

static void act_open(struct life *l)
{
    char path[NODES_PATH_SIZE + 16], error[512] = "";
    struct sherd_options options = {.conf = path, .timeout_ms = OP_MS};
    struct sherd_client *other = NULL;

    snprintf(path, sizeof(path), "%s/main.conf", l->dir);
    must_start(l, sherd_open(&options, &other, error, sizeof(error)), "a client by file");
    sherd_close(other);
    sherd_close(l->client);
    l->client = NULL;
    if (!open_client(l)) return;
    life_set(l, &l->keys[0]);
    life_get(l, &l->keys[0]);
}

static void act_update(struct life *l)
{
    life_update(l, &l->keys[6], SHERD_OP_ADD);
    life_update(l, &l->keys[6], SHERD_OP_REPLACE);
    life_update(l, &l->keys[0], SHERD_OP_CAS);
    life_update(l, &l->keys[2], SHERD_OP_CAS);
    for (unsigned i = 0; i < 2; i++) {
        life_update(l, &l->keys[4], SHERD_OP_INCREMENT);
        life_update(l, &l->keys[5], SHERD_OP_APPEND);
    }
}

static void act_delete(struct life *l)
{
    life_delete(l, &l->keys[0], SHERD_OP_DELETE);
    life_delete(l, &l->keys[2], SHERD_OP_DELETE);
    life_delete(l, &l->keys[3], SHERD_OP_DELETE);
    life_delete(l, &l->keys[1], SHERD_OP_REMOVE);
}

static void act_scan(struct life *l)
{
    life_scan(l);
    for (uint16_t i = 0; i < NODES; i++)
        ask_node(l, i);
    life_explain(l, &l->keys[0]);
    life_explain(l, &l->keys[2]);
}

/* A node comes, and all becomes whole. */
static void act_come_back(struct life *l, unsigned node)
{
    if (start(l, node)) wait_until_healthy(l);
}

/* Its PREPARE is lost, the others are enough. */
static void set_without(struct life *l, unsigned node)
{
    alloc_fault_thread(l->nodes.one[node].thread);
    life_set(l, &l->keys[0]);
    alloc_fault_off();
}

static void act_repair(struct life *l)
{
    wait_until_healthy(l);
    for (unsigned i = 0; i < LIFE_KEYS && !l->failed && !l->storm; i++)
        if (l->keys[i].possible[0] != 0) life_explain(l, &l->keys[i]);
}

static void act_sweep(struct life *l)
{
    if (!l->client && !open_client(l)) return;
    life_abandon(l, &l->keys[0], 3);
    if (open_client(l)) wait_until_healthy(l);
}

static void stop_all(struct life *l)
{
    int rc;

    sherd_close(l->client);
    l->client = NULL;
    rc = nodes_fini(&l->nodes);
    if (rc < 0) life_fail(l, "a server ended with %s", strerror(-rc));
    memset(&l->nodes, 0, sizeof(l->nodes));
}

static void act_start(struct life *l)
{
    if (open_everything(l)) wait_until_healthy(l);
}

void life_prepare(struct life *l)
{
    if (l->phase == LIFE_store || l->phase == LIFE_start) return;
    act_start(l);
    if (l->phase == LIFE_open || l->phase == LIFE_set || l->phase == LIFE_sweep || l->failed)
        return;
    set_all(l);
    if (l->phase == LIFE_update) { /* what it meets is there already: read it */
        life_update(l, &l->keys[4], SHERD_OP_INCREMENT);
        life_update(l, &l->keys[5], SHERD_OP_APPEND);
    }
    if (l->phase == LIFE_repair) set_without(l, 2);
    if (l->phase == LIFE_degraded) nodes_stop(&l->nodes, 1);
    if (l->phase == LIFE_recover) nodes_stop(&l->nodes, 2);
    if (l->phase == LIFE_keeper) nodes_stop(&l->nodes, 0);
}

void life_act(struct life *l)
{
    switch (l->phase) {
    case LIFE_store: life_store(l); break;
    case LIFE_start: act_start(l); break;
    case LIFE_open: act_open(l); break;
    case LIFE_set: set_all(l); break;
    case LIFE_get:
    case LIFE_degraded: get_all(l); break;
    case LIFE_update: act_update(l); break;
    case LIFE_delete: act_delete(l); break;
    case LIFE_scan: act_scan(l); break;
    case LIFE_recover: act_come_back(l, 2); break;
    case LIFE_keeper: act_come_back(l, 0); break;
    case LIFE_repair: act_repair(l); break;
    case LIFE_sweep: act_sweep(l); break;
    case LIFE_close: stop_all(l); break;
    case LIFE_PHASES: break;
    }
}

void life_check_keys(struct life *l)
{
    if (l->client && !l->failed) get_all(l);
}

void life_check(struct life *l)
{
    if (l->phase == LIFE_store || l->phase == LIFE_close || l->failed) return;
    if (!open_everything(l)) return;
    get_all(l);
    life_set(l, &l->keys[0]);
    life_get(l, &l->keys[0]);
    wait_until_healthy(l);
    for (unsigned i = 0; i < LIFE_KEYS && !l->failed; i++)
        if (l->keys[i].possible[0] != 0) life_explain(l, &l->keys[i]);
    get_all(l);
}

void life_end(struct life *l) { stop_all(l); }
