/* engine_parts.h - the inside of an engine, shared by the files that make it up:
 *   engine.c          open, close, the turn
 *   engine_runs.c     operations: the pool, waiting for a start, one writer per key
 *   engine_step.c     one step of an operation: its environment, its effects, what follows
 *   engine_network.c  what the peers report; maps and calls
 *   results.c         an operation's outcome, in the caller's terms */
#ifndef SHERD_CLIENT_ENGINE_PARTS_H
#define SHERD_CLIENT_ENGINE_PARTS_H

#include "client/call_ids.h"
#include "client/compute.h"
#include "client/maps.h"
#include "client/peers.h"
#include "client/pieces.h"
#include "client/timers.h"
#include "coord/operation.h"

enum {
    SHERD_RUNS_CHUNK = 64,
    SHERD_RUNS_CHUNKS_MAX = 64, /* operations beyond 4096 at once wait */
    SHERD_BUCKETS = 1024,       /* of keys being written */
    SHERD_LATENCIES = 64,
    SHERD_CALLS_MAX = 4096,
    SHERD_GREET_US = 200000,
};

enum sherd_timer_kind { SHERD_TIMER_RUN = 1, SHERD_TIMER_CALL };

/* What has yet to be told to an operation. Events that follow from effects go through this, so that
 * no step runs inside another. */
struct sherd_inbox {
    struct sherd_run *next;
    bool queued;
    bool start, map;
    bool follows; /* `follow` is to be told, `outcome` with it */
    enum sherd_event_kind follow;
    enum sherd_outcome outcome;
    uint16_t round; /* of the two sets */
    uint32_t unsent, gone;
};

/* A running operation, pooled. */
struct sherd_run {
    struct sherd_operation op; /* op.key is `key` */
    struct sherd_op *user;     /* NULL: answered already */
    uint32_t index, generation;
    bool active, is_write;
    struct sherd_timer timer;
    struct sherd_inbox inbox;
    struct sherd_map_ref *bound; /* holds op.map */

    /* One writer per key: leaders are in the bucket of their key, the rest wait behind them. */
    bool is_follower;
    struct sherd_run *next_leader, *first_follower, *last_follower, *next_follower;
    struct sherd_run *next_free;

    uint16_t asked_round;
    uint8_t asked[SHERD_SLOTS_MAX]; /* requests of this round on the way, by slot */
    uint64_t asked_us;

    struct sherd_pieces pieces;
    struct sherd_shards fresh, old;
    struct sherd_bytes value; /* to be written: the caller's, or in `made` */
    uint8_t *decoded, *made;  /* the current value; the new one where the client makes it */
    int64_t number;
    uint8_t key[SHERD_KEY_BYTES_MAX];
};

struct sherd_call {
    struct sherd_timer timer;
    struct sherd_call *next; /* free, or failed */
    uint32_t index, generation;
    bool active, failed;
    const struct sherd_peer *peer;
    sherd_call_done *done;
    void *context;
};

struct sherd_engine {
    struct sherd_peers peers;
    struct sherd_timers timers;
    struct sherd_blocks blocks;
    struct sherd_ecc *ecc; /* NULL while there is no map */
    struct sherd_map_ref *map;
    bool must_connect;   /* to the nodes of a new map */
    uint64_t connect_us; /* when to try again what failed of it; 0: nothing did */
    uint64_t map_asked_us;
    uint64_t greet_until_us; /* until then nodes that were never reached are waited for */
    size_t map_turn;         /* of the peer asked last */

    struct sherd_hlc clock;
    uint64_t client, random_state;
    uint64_t now_us, wall_ms;

    struct sherd_run *chunks[SHERD_RUNS_CHUNKS_MAX];
    uint32_t chunk_count;
    struct sherd_run *free_runs;
    struct sherd_run *leaders[SHERD_BUCKETS];
    struct sherd_run *inbox_first, *inbox_last;
    size_t active_runs;
    struct sherd_op *waiting_first, *waiting_last; /* submitted, not started */
    size_t waiting_count;
    uint64_t waiting_checked_us;

    struct sherd_call **calls;
    uint32_t call_count, call_capacity;
    struct sherd_call *free_calls, *failed_calls;
    size_t active_calls;

    uint64_t latencies[SHERD_LATENCIES]; /* of rounds of READs */
    unsigned latency_count;
    uint32_t hedge_us, straggler_us, timeout_ms;

    int self_node;
    char self_endpoint[SHERD_ENDPOINT_BYTES_MAX], keeper[SHERD_ENDPOINT_BYTES_MAX];
    sherd_push_handler *push;
    void *push_context;

    int finished;      /* operations, in this poll */
    bool happened;     /* something that a poll should return for */
    uint64_t flush_us; /* when something queued must leave */
    struct sherd_engine_stats stats;
};

/* engine_runs.c */
struct sherd_run *sherd_run_of(const struct sherd_engine *e, uint32_t index);
bool sherd_runs_can_start(const struct sherd_engine *e);
void sherd_runs_start_waiting(struct sherd_engine *e);
void sherd_runs_expire_waiting(struct sherd_engine *e);
void sherd_run_release(struct sherd_engine *e, struct sherd_run *run);
void sherd_run_expire_follower(struct sherd_engine *e, struct sherd_run *run);
void sherd_runs_fini(struct sherd_engine *e);

/* engine_step.c */
void sherd_run_step(struct sherd_engine *e, struct sherd_run *run, const struct sherd_event *event);
void sherd_run_timer(struct sherd_engine *e, struct sherd_run *run);
void sherd_inbox_put(struct sherd_engine *e, struct sherd_run *run);
void sherd_inbox_slots(struct sherd_engine *e, struct sherd_run *run, uint32_t unsent,
                       uint32_t gone);
bool sherd_inbox_drain(struct sherd_engine *e); /* whether there was anything */

/* engine_network.c */
extern const struct sherd_peer_handlers sherd_engine_handlers;
void sherd_engine_connect(struct sherd_engine *e); /* to the nodes of the map */
void sherd_engine_ask_map(struct sherd_engine *e, const struct sherd_partition *p, uint32_t slots);
void sherd_calls_fail(struct sherd_engine *e); /* tells `done` of those that failed */
void sherd_call_timer(struct sherd_engine *e, struct sherd_call *call);
void sherd_calls_fini(struct sherd_engine *e);

/* results.c: tells the caller; op->done may submit again. */
void sherd_run_answer(struct sherd_engine *e, struct sherd_run *run);
void sherd_op_end(struct sherd_engine *e, struct sherd_op *op, enum sherd_outcome outcome);

static inline uint64_t sherd_run_tag(const struct sherd_run *run)
{
    return (uint64_t)run->generation << 32 | (uint64_t)run->index << 16;
}

#endif
