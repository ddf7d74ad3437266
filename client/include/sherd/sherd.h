/* sherd.h - client API of sherd, an erasure-coded storage cluster and cache.
 *
 * Threads: a client belongs to one thread at a time; open one per thread. It has no hidden thread
 *          but ZeroMQ's own, no signal handlers, no output. Caller-driven: operations move only
 *          inside sherd_poll() and the synchronous calls. After fork() only the parent may use it.
 * Memory:  struct sherd_bytes borrows; struct sherd_value owns (sherd_value_fini).
 * Time:    milliseconds, in names that end in _ms. No call blocks longer than its deadline.
 * Errors:  functions return 0, or a negative errno when this process is at fault or lacks something
 *          (-EINVAL, -ENOMEM, ...). What became of an operation is an enum sherd_outcome.
 * Promise: per key linearizable. UNCERTAIN means that a write may still take effect, at most once;
 *          every other outcome than OK and UNCERTAIN means that it never will. */
#ifndef SHERD_H
#define SHERD_H

#include <sherd/base.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHERD_KEY_MAX   1024
#define SHERD_VALUE_MAX (4u << 20)

struct sherd_client; /* opaque */

/* Identity of a value: the attempt that first proposed it. All zero: no value. */
struct sherd_version {
    uint64_t clock, client;
    uint32_t epoch;
};

enum { SHERD_VERSION_TEXT_SIZE = 48 };
/* "epoch-clock-client" in hex, for users to hand back; parse: 0 or -EINVAL. */
SHERD_API void sherd_version_format(struct sherd_version v, char out[SHERD_VERSION_TEXT_SIZE]);
SHERD_API int sherd_version_parse(const char *text, struct sherd_version *out);

struct sherd_options {
    const char *conf;      /* configuration file with the seed nodes; NULL: `seeds` */
    const char *seeds;     /* comma-separated endpoints, "tcp://127.0.0.1:7400,..." */
    uint32_t timeout_ms;   /* default deadline of operations; 0: 5000 */
    uint32_t straggler_ms; /* after q ACKs, wait this long for the rest; 0: 20 */
};

/* Opens a client; does not wait for any server. On success *out is the caller's, for sherd_close.
 * On failure *out is NULL, and `error` (may be NULL) has one line for a human.
 * -ENOENT, -EINVAL, -ENOMEM. */
SHERD_API int sherd_open(const struct sherd_options *options, struct sherd_client **out,
                         char *error, size_t error_size);

/* Sends what must still be sent (COMMITs of finished writes; at most 200 ms), then closes.
 * Operations in flight are abandoned: their outcome stays unknown, `done` is not called. NULL is
 * allowed. */
SHERD_API void sherd_close(struct sherd_client *c);

enum sherd_op_kind {
    SHERD_OP_GET,
    SHERD_OP_LOOK,    /* version, size, expiry; no bytes */
    SHERD_OP_EXPLAIN, /* as LOOK, and who holds what: `slots` */
    SHERD_OP_SET,
    SHERD_OP_DELETE,    /* OK, whether or not there was a value */
    SHERD_OP_CAS,       /* set if the version is `expect` (zero: if there is no value). CONFLICT:
                           there is another version, NOT_FOUND: there is none */
    SHERD_OP_ADD,       /* set if there is no value */
    SHERD_OP_REPLACE,   /* set if there is a value */
    SHERD_OP_INCREMENT, /* the value is a decimal int64; adds `delta`; no value counts as 0 */
    SHERD_OP_APPEND,    /* adds bytes at the end; no value counts as empty */
    SHERD_OP_REMOVE,    /* delete if there is a value (and, with use_expect, of version `expect`):
                           NOT_FOUND, CONFLICT otherwise */
    SHERD_OP_FINISH,    /* decide what is undecided under the key (the sweep) */
    SHERD_OP_REPAIR,    /* ... and give every reachable holder its shard */
};

enum sherd_slot_state {
    SHERD_SLOT_VACANT,   /* no node holds this slot now */
    SHERD_SLOT_SILENT,   /* its node did not answer */
    SHERD_SLOT_MISSING,  /* answered, lacks this version */
    SHERD_SLOT_BROKEN,   /* has the version, its shard is broken */
    SHERD_SLOT_PREPARED, /* has it, not known there to be committed */
    SHERD_SLOT_HELD,
};

struct sherd_slot_info {
    uint16_t node;
    uint8_t slot;
    uint8_t state; /* enum sherd_slot_state */
    bool learner;
};

struct sherd_value {
    void *data; /* malloc'ed; NULL when there are no bytes */
    size_t size;
    struct sherd_version version;
    uint64_t expires_ms; /* wall clock; 0: never */
};

/* One operation. The caller owns it and keeps it (and key, value) unchanged until `done` is called
 * from inside sherd_poll(); then it may be freed or submitted again. Zero it before first use. */
struct sherd_op {
    enum sherd_op_kind kind;
    struct sherd_bytes key, value;
    struct sherd_version expect;
    bool use_expect;
    bool ack_quorum; /* answer at q ACKs instead of waiting for every reachable node */
    int64_t delta;
    uint64_t ttl_ms;     /* writes: 0: never expires; INCREMENT and APPEND: as before */
    uint32_t timeout_ms; /* 0: the client's default */
    void (*done)(struct sherd_op *op); /* may submit again; must not close the client */
    void *context;                     /* the caller's */

    /* Results, valid in `done` and after. */
    enum sherd_outcome outcome;
    struct sherd_value
        result;          /* GET: the bytes; INCREMENT: the new number's text; version for all */
    uint64_t size;       /* LOOK, EXPLAIN: bytes of the value */
    int64_t number;      /* INCREMENT: the new value */
    uint8_t shards_held; /* writes: how many nodes are known to hold their shard */
    uint8_t shards_total;
    uint8_t k, slot_count; /* EXPLAIN */
    uint16_t partition;
    struct sherd_slot_info slots[32];

    void *internal; /* the engine's */
};

/* Queues an operation. 0, -EINVAL (key empty or longer than SHERD_KEY_MAX, bad kind), -EMSGSIZE
 * (value above SHERD_VALUE_MAX), -ENOMEM: then `done` is not called. */
SHERD_API int sherd_submit(struct sherd_client *c, struct sherd_op *op);

/* Moves operations; waits up to timeout_ms for something to happen (0: not at all; -1: until
 * something did, or nothing is under way). Returns how many operations finished, or a negative
 * errno. */
SHERD_API int sherd_poll(struct sherd_client *c, int timeout_ms);

/* A descriptor that becomes readable when sherd_poll(c, 0) should be called, and the time until it
 * must be called anyway (-1: none). For callers with a loop of their own. */
SHERD_API int sherd_fd(const struct sherd_client *c);
SHERD_API int sherd_next_timeout_ms(const struct sherd_client *c);

/* Synchronous forms: submit and poll until done. Other operations of the client move on meanwhile.
 * 0 with op->outcome set, or a negative errno. */
SHERD_API int sherd_run(struct sherd_client *c, struct sherd_op *op);
SHERD_API int sherd_set(struct sherd_client *c, struct sherd_bytes key, struct sherd_bytes value,
                        enum sherd_outcome *outcome);
/* *value is set, and the caller's, only if *outcome is SHERD_OK. */
SHERD_API int sherd_get(struct sherd_client *c, struct sherd_bytes key, enum sherd_outcome *outcome,
                        struct sherd_value *value);
SHERD_API int sherd_delete(struct sherd_client *c, struct sherd_bytes key,
                           enum sherd_outcome *outcome);
SHERD_API void sherd_value_fini(struct sherd_value *v);

/* Keys that begin with `prefix` (empty: all) and have a value, in no particular order; each is read
 * linearizably, the whole is no snapshot. `each` returns false to stop. Deadline: of each page. */
SHERD_API int sherd_scan(struct sherd_client *c, struct sherd_bytes prefix,
                         bool (*each)(void *context, struct sherd_bytes key, uint64_t size),
                         void *context, enum sherd_outcome *outcome);

/* What the nodes say of themselves, for tools: one JSON text per node. *json is malloc'ed, and the
 * caller's. Node SHERD_KEEPER is the keeper. Outcome NO_QUORUM: no answer in time. */
enum { SHERD_KEEPER = 65535 };
SHERD_API int sherd_node_stats(struct sherd_client *c, uint16_t node, enum sherd_outcome *outcome,
                               char **json);
/* Asks a node to look through all its partitions and repair what it lacks, now. */
SHERD_API int sherd_node_recover(struct sherd_client *c, uint16_t node,
                                 enum sherd_outcome *outcome);
/* Partitions that lost more than the code can rebuild begin anew, empty. */
SHERD_API int sherd_accept_loss(struct sherd_client *c, enum sherd_outcome *outcome);

/* The code and the nodes, as the newest map the client has says; waits for one. */
struct sherd_cluster_info {
    uint64_t cluster, map_version;
    uint8_t k, m;
    uint16_t node_count;
    uint16_t partitions, degraded, learning,
        lost;         /* of partitions: some slot without a voter, ... */
    uint16_t unclean; /* an older epoch is still open */
};
SHERD_API int sherd_cluster_info(struct sherd_client *c, enum sherd_outcome *outcome,
                                 struct sherd_cluster_info *out);

#ifdef __cplusplus
}
#endif

#endif
