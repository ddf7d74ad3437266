/* fake_engine.h - an engine and its listings without a network, for tests of what a server does as
 * a client: calls and operations are kept until the test answers them, listings are scripted. */
#ifndef SHERD_TESTS_FAKE_ENGINE_H
#define SHERD_TESTS_FAKE_ENGINE_H

#include "client/engine.h"
#include "client/listing.h"

enum { FAKE_CALLS_MAX = 1024, FAKE_OPS_MAX = 512, FAKE_LISTED_MAX = 64 };

struct fake_call {
    bool open; /* not answered yet */
    uint16_t node;
    struct sherd_request request; /* key, shard, body: copies */
    uint8_t key[SHERD_KEY_BYTES_MAX];
    uint8_t *bytes; /* of shard or body */
    sherd_call_done *done;
    void *context;
};

struct sherd_engine {
    const struct sherd_map *map;
    bool silent[SHERD_NODES_MAX];
    bool unready[SHERD_NODES_MAX]; /* reachable, as far as is known; but nothing can be sent */
    bool keeper_gone;              /* calls to the keeper: -ENOTCONN */
    unsigned taken;                /* maps taken over */
    size_t call_count, op_count;
    struct fake_call calls[FAKE_CALLS_MAX];
    struct sherd_op *ops[FAKE_OPS_MAX]; /* NULL: finished */
    sherd_push_handler *push;
    void *push_context;

    /* What the next listings hand out, whatever they ask for. */
    struct sherd_listed listed[FAKE_LISTED_MAX];
    size_t listed_count;
    enum sherd_listing_state end; /* after the last key: END, STALE, FAILED, or WAIT for ever */
    uint32_t heard, epoch;
    unsigned listings_open, listings_opened;
    struct sherd_listing_options options; /* of the last one opened */
};

struct sherd_engine *fake_engine_new(void);
void fake_engine_free(struct sherd_engine *e);

/* The first open call of this kind, or NULL. */
struct fake_call *fake_call(struct sherd_engine *e, uint8_t kind);
unsigned fake_call_count(const struct sherd_engine *e, uint8_t kind);
/* NULL: no answer came. */
void fake_answer(struct fake_call *call, const struct sherd_answer *answer);
/* ... of this kind, without more in it. */
void fake_answer_kind(struct fake_call *call, uint8_t kind);

/* Operations submitted and not finished; the first of them finishes. */
unsigned fake_op_count(const struct sherd_engine *e);
void fake_finish(struct sherd_engine *e, enum sherd_outcome outcome);

/* A live, clean map 2+1 in which partition i's slot s is held by node (i + s) % node_count;
 * malloc'ed. */
struct sherd_map *fake_map(uint16_t partitions, uint16_t node_count);
/* Its encoded form; *bytes is malloc'ed. */
struct sherd_bytes fake_encode(const struct sherd_map *map, uint8_t **bytes);

#endif
