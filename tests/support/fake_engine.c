#include "tests/support/fake_engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coord/assert.h"
#include "coord/map_codec.h"

struct sherd_engine *fake_engine_new(void)
{
    struct sherd_engine *e = calloc(1, sizeof(*e));

    SHERD_ASSERT(e);
    e->end = SHERD_LISTING_END;
    return e;
}

void fake_engine_free(struct sherd_engine *e)
{
    for (size_t i = 0; i < e->call_count; i++)
        free(e->calls[i].bytes);
    free(e);
}

/* engine.h */

static struct sherd_bytes copy(struct fake_call *c, struct sherd_bytes b)
{
    if (!b.data) return b;
    c->bytes = malloc(b.size ? b.size : 1);
    SHERD_ASSERT(c->bytes);
    if (b.size) memcpy(c->bytes, b.data, b.size);
    return (struct sherd_bytes){c->bytes, b.size};
}

int sherd_engine_call(struct sherd_engine *e, uint16_t node, const struct sherd_request *request,
                      uint32_t timeout_ms, sherd_call_done *done, void *context)
{
    (void)timeout_ms;
    if (node == SHERD_KEEPER ? e->keeper_gone : e->silent[node] || e->unready[node])
        return -ENOTCONN;
    SHERD_ASSERT(e->call_count < FAKE_CALLS_MAX && done);

    struct fake_call *c = &e->calls[e->call_count++];
    *c = (struct fake_call){
        .open = true, .node = node, .request = *request, .done = done, .context = context};
    if (request->key.size) memcpy(c->key, request->key.data, request->key.size);
    c->request.key.data = c->key;
    if (request->kind == SHERD_INSERT)
        c->request.shard = copy(c, request->shard);
    else
        c->request.body = copy(c, request->body);
    return 0;
}

int sherd_engine_submit(struct sherd_engine *e, struct sherd_op *op)
{
    SHERD_ASSERT(e->op_count < FAKE_OPS_MAX);
    e->ops[e->op_count++] = op;
    return 0;
}

const struct sherd_map *sherd_engine_map(const struct sherd_engine *e) { return e->map; }

int sherd_engine_take_map(struct sherd_engine *e, struct sherd_bytes encoded)
{
    (void)encoded;
    e->taken++;
    return 0;
}

void sherd_engine_on_push(struct sherd_engine *e, sherd_push_handler *handler, void *context)
{
    e->push = handler;
    e->push_context = context;
}

bool sherd_engine_is_reachable(const struct sherd_engine *e, uint16_t node)
{
    return !e->silent[node];
}

/* listing.h */

struct sherd_listing {
    struct sherd_engine *engine;
    size_t at;
};

int sherd_listing_open(struct sherd_engine *e, const struct sherd_listing_options *options,
                       struct sherd_listing **out)
{
    struct sherd_listing *l = calloc(1, sizeof(*l));

    SHERD_ASSERT(l);
    l->engine = e;
    e->options = *options;
    e->listings_open++;
    e->listings_opened++;
    *out = l;
    return 0;
}

enum sherd_listing_state sherd_listing_next(struct sherd_listing *l, struct sherd_listed *out)
{
    if (l->at >= l->engine->listed_count) return l->engine->end;
    *out = l->engine->listed[l->at++];
    return SHERD_LISTING_KEY;
}

uint32_t sherd_listing_heard(const struct sherd_listing *l) { return l->engine->heard; }
uint32_t sherd_listing_epoch(const struct sherd_listing *l) { return l->engine->epoch; }

void sherd_listing_close(struct sherd_listing *l)
{
    if (!l) return;
    l->engine->listings_open--;
    free(l);
}

/* The test's side */

struct fake_call *fake_call(struct sherd_engine *e, uint8_t kind)
{
    for (size_t i = 0; i < e->call_count; i++)
        if (e->calls[i].open && e->calls[i].request.kind == kind) return &e->calls[i];
    return NULL;
}

unsigned fake_call_count(const struct sherd_engine *e, uint8_t kind)
{
    unsigned count = 0;

    for (size_t i = 0; i < e->call_count; i++)
        count += e->calls[i].open && e->calls[i].request.kind == kind;
    return count;
}

void fake_answer(struct fake_call *call, const struct sherd_answer *answer)
{
    SHERD_ASSERT(call && call->open);
    call->open = false;
    call->done(call->context, answer);
}

void fake_answer_kind(struct fake_call *call, uint8_t kind)
{
    struct sherd_answer answer = {.kind = kind};

    fake_answer(call, &answer);
}

unsigned fake_op_count(const struct sherd_engine *e)
{
    unsigned count = 0;

    for (size_t i = 0; i < e->op_count; i++)
        count += e->ops[i] != NULL;
    return count;
}

void fake_finish(struct sherd_engine *e, enum sherd_outcome outcome)
{
    for (size_t i = 0; i < e->op_count; i++) {
        struct sherd_op *op = e->ops[i];
        if (!op) continue;
        e->ops[i] = NULL;
        op->outcome = outcome;
        op->done(op);
        return;
    }
    SHERD_ASSERT(false); /* there is none */
}

struct sherd_map *fake_map(uint16_t partitions, uint16_t node_count)
{
    struct sherd_map *map = calloc(1, sherd_map_size(partitions));

    SHERD_ASSERT(map && node_count > 0);
    map->cluster = 99;
    map->version = map->live = 1;
    map->k = 2;
    map->m = 1;
    map->node_count = node_count;
    map->partition_count = partitions;
    map->next_incarnation = 1000;
    for (uint16_t i = 0; i < node_count; i++) {
        map->nodes[i] = (struct sherd_node){.id = i, .weight = 1, .incarnation = i + 1u};
        snprintf(map->nodes[i].endpoint, SHERD_ENDPOINT_BYTES_MAX, "tcp://node:%u", i);
    }
    for (uint16_t i = 0; i < partitions; i++) {
        struct sherd_partition *p = &map->partitions[i];
        *p = (struct sherd_partition){.epoch = 1, .voters = 7, .open_count = 1};
        p->open[0] = (struct sherd_epoch){.epoch = 1, .voters = 7};
        for (unsigned slot = 0; slot < SHERD_SLOTS_MAX; slot++) {
            bool held = slot < 3;
            p->node[slot] = (uint16_t)(held ? (i + slot) % node_count : SHERD_NO_NODE);
            p->incarnation[slot] = held ? 10u * i + slot + 1 : 0;
            p->open[0].node[slot] = p->node[slot];
            p->open[0].incarnation[slot] = p->incarnation[slot];
        }
    }
    return map;
}

struct sherd_bytes fake_encode(const struct sherd_map *map, uint8_t **bytes)
{
    size_t size = sherd_map_encoded_max(map);

    *bytes = malloc(size);
    SHERD_ASSERT(*bytes);
    size = sherd_map_encode(map, *bytes, size);
    SHERD_ASSERT(size != 0);
    return (struct sherd_bytes){*bytes, size};
}
