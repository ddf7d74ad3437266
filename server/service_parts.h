/* service_parts.h - the inside of a service, shared by the files that make it up:
 *   service.c   sockets, turns, sessions, batches of answers
 *   requests.c  one request to one key; SEAL, LIVE and the small ones
 *   pages.c     LIST
 *   walker.c    the slow walk over the store: expiry, bounds, tombstones
 *   scrub.c     reads all shards again; LIST DIGEST
 *   records.c   the store's records, when they may be damaged
 *   stats.c     STATS
 *   notes.c     the store, and what is kept in it beside the records */
#ifndef SHERD_SERVER_SERVICE_PARTS_H
#define SHERD_SERVER_SERVICE_PARTS_H

#include "coord/partition.h"
#include "server/digest.h"
#include "server/queue.h"
#include "server/rate.h"
#include "server/router.h"
#include "server/service.h"
#include "server/sessions.h"
#include "server/store.h"

enum {
    SHERD_TURN_MESSAGES_MAX = 128, /* of a turn: bounds the latency of answers, shares one sync */
    SHERD_TICK_MS = 100,
    SHERD_UNDECIDED_QUEUE_MAX = 1 << 20,
    SHERD_REPAIR_QUEUE_MAX = 1 << 16,
    SHERD_DEAD_QUEUE_MAX = 1 << 16,
    SHERD_DAMAGED_KEYS = 16, /* named in STATS */
};

/* What was refused or odd, by kind: for STATS. */
#define SHERD_COUNTER_MAP(X)                                                               \
    X(bad_message)     /* not ours, or beyond a limit */                                   \
    X(unknown_session) /* a session that was forgotten, or of another life of this node */ \
    X(repeated)        /* a message number seen before */                                  \
    X(stale_epoch)                                                                         \
    X(stale_sealing)                                                                       \
    X(stranger)                                                                            \
    X(lost_partition)                                                                      \
    X(nack_ballot)                                                                         \
    X(nack_version)                                                                        \
    X(full)                                                                                \
    X(clock)                                                                               \
    X(undecided_limit)                                                                     \
    X(different_value) /* one ballot, two values: a broken client */                       \
    X(bad_request)     /* not for this kind of socket, or not for a node */                \
    X(map_refused)                                                                         \
    X(no_memory)                                                                           \
    X(store_fault)     /* the store refuses changes, or lost those of a turn */            \
    X(answers_dropped) /* the peer is gone or does not read */

struct sherd_counters {
#define X(name) uint64_t name;
    SHERD_COUNTER_MAP(X)
#undef X
};

/* Shards that did not fit their CRC when they were read, and partitions that were forgotten. */
struct sherd_damage {
    uint64_t shards, partitions;
    unsigned next; /* place of the next name */
    uint16_t size[SHERD_DAMAGED_KEYS];
    uint8_t key[SHERD_DAMAGED_KEYS][SHERD_KEY_BYTES_MAX];
    uint8_t key_now[SHERD_KEY_BYTES_MAX]; /* being looked at */
};

/* Where scrub stands. */
struct sherd_scrub {
    struct sherd_rate rate; /* 0 bytes a second: it is off */
    uint64_t again_ms, rounds, bytes;
    struct sherd_store_key at;
    uint8_t key[SHERD_KEY_BYTES_MAX];
};

struct sherd_pending_reply {
    void *socket;
    zmq_msg_t identity;
    struct sherd_router_reply reply;
};

struct sherd_service {
    const struct sherd_conf *conf;
    struct sherd_progress *progress;
    void *tcp, *inproc; /* ROUTERs */
    int epoll;
    uint64_t now_ms, wall_ms, started_ms, tick_ms;
    struct sherd_hlc clock;

    struct sherd_store *store;
    bool kept;                 /* it remembers this node from before this process */
    bool unsaved, map_unsaved; /* since the note was saved */
    uint64_t seen_ms;          /* when the node's note was saved last ... */
    uint64_t seen_saved;       /* ... with this `seen` (node_state.h) */
    int broken;                /* negative errno: the store cannot be read any more */
    int fault;                 /* its fault, as of the last turn */
    struct sherd_partitions partitions;
    struct sherd_partition_state states[SHERD_PARTITIONS];
    uint8_t *map; /* encoded, as sealed last; NULL: none */
    size_t map_size;

    struct sherd_queue undecided, repair, dead;
    bool undecided_lost, find_undecided; /* the queue lost some; this walk looks for them */
    uint64_t walk_again_ms, find_again_ms;
    struct sherd_store_key walk; /* the walker's position */
    uint8_t walk_key[SHERD_KEY_BYTES_MAX];
    struct sherd_scrub scrub;
    struct sherd_sessions sessions;
    struct sherd_counters counters;
    struct sherd_damage damage;
    uint64_t requests, messages;

    struct sherd_router_message in;
    struct sherd_pending_reply replies[SHERD_TURN_MESSAGES_MAX];
    size_t reply_count;
    struct sherd_writer_buffer page;        /* scratch of LIST */
    uint8_t digest[SHERD_DIGEST_BYTES];     /* ... DIGEST */
    struct sherd_writer_buffer repair_page; /* of LIST REPAIR: the last one, until it has arrived */
    uint64_t repair_pages;                  /* made so far */
};

/* One request of a message. `frame` is the frame of its shard, or NULL; moved from when kept. */
void sherd_service_request(struct sherd_service *s, struct sherd_request *r, bool is_local,
                           zmq_msg_t *frame, struct sherd_router_reply *reply);

/* Adds an answer to the reply; counts what does not fit. */
void sherd_service_answer(struct sherd_service *s, const struct sherd_request *r,
                          struct sherd_answer *a, zmq_msg_t *const *framed,
                          struct sherd_router_reply *reply);

/* The store's load() and next() (of the cursor's partition), and what follows when they meet damage
 * (records.c). Negative errno: nothing was read, and nothing is to be answered. */
int sherd_service_load(struct sherd_service *s, const struct sherd_store_key *key, bool with_shards,
                       struct sherd_record *record);
int sherd_service_next(struct sherd_service *s, const struct sherd_store_key *cursor,
                       bool with_shards, struct sherd_store_key *key, struct sherd_record *record);

/* A shard of this key did not fit its CRC: counted, named, and to be repaired. */
void sherd_service_damaged(struct sherd_service *s, const struct sherd_store_key *key);

/* What this node remembers of a partition is damaged: it answers no more for it. */
void sherd_service_forget(struct sherd_service *s, uint16_t partition);

/* Notes a key that lacks a shard somewhere, for the background to repair. */
void sherd_service_repair_later(struct sherd_service *s, const struct sherd_store_key *key,
                                uint64_t due_ms);

/* LIST: fills the answer with a page; its body lives in the service. */
void sherd_service_list(struct sherd_service *s, const struct sherd_request *r,
                        struct sherd_answer *a);

/* Notes an undecided entry, for the sweep to finish unless it is decided in time. One that does not
 * fit is found by the walk. */
void sherd_service_sweep_later(struct sherd_service *s, const struct sherd_store_key *key,
                               struct sherd_ballot ballot);

/* LIST DIGEST: its body lives in the service. */
void sherd_service_digest(struct sherd_service *s, const struct sherd_request *r,
                          struct sherd_answer *a);

/* As much of the scrub as its rate allows. */
void sherd_service_scrub(struct sherd_service *s);

/* A bounded part of the walk. */
void sherd_service_walk(struct sherd_service *s);

/* The floor of a partition, raised to 120 s behind this node's clock (PROTOCOL 8). */
struct sherd_ballot sherd_service_raise_floor(struct sherd_service *s, uint16_t partition);

/* Opens the store that the configuration names, and takes back what it remembers of this node; if
 * there is nothing, makes sure that the incarnation is remembered. 0, or negative errno, logged. */
int sherd_service_open_store(struct sherd_service *s);

/* The partitions and the map as of the last sync. 0; 1: the store knows nothing of this node;
 * -EPROTO: it is another node's; -EBADMSG: the notes are damaged; other negative errno. */
int sherd_service_restore(struct sherd_service *s);

/* Seals a map, and keeps its bytes. Sets bit p of `drop` for each partition whose data must go. 0,
 * or negative errno of sherd_map_decode() and sherd_partitions_seal(), -ENOMEM: nothing changed. */
int sherd_service_take_map(struct sherd_service *s, struct sherd_bytes bytes,
                           uint8_t drop[SHERD_PARTITIONS / 8]);

/* Before a sync, which must be called in either case: saves what has changed. 0, or negative errno:
 * nothing of this turn counts. */
int sherd_service_save_notes(struct sherd_service *s);

/* After a sync: what has been forgotten is so for good, and the background may say it. */
void sherd_service_tell_forgotten(struct sherd_service *s);

/* JSON text, malloc'ed; NULL: no memory. */
char *sherd_service_stats(struct sherd_service *s);

#endif
