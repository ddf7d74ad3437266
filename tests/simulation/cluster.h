/* cluster.h - one whole cluster in one thread: nodes, their daemons, the keeper, clients, a
 * network.
 *
 * All of it runs the very objects of coord/ and ecc/; what the simulator adds is what the processes
 * add in real life (sockets, threads, stores, clocks), and faults. Everybody has an address:
 *   0 .. nodes-1  shard servers     SIM_KEEPER  the keeper
 *   SIM_DAEMON+i  what node i does as a client of others     SIM_CLIENT+i  callers */
#ifndef SHERD_TESTS_SIMULATION_CLUSTER_H
#define SHERD_TESTS_SIMULATION_CLUSTER_H

#include <sherd/ecc.h>

#include "coord/map_codec.h"
#include "coord/membership.h"
#include "coord/operation.h"
#include "coord/participant.h"
#include "coord/partition.h"
#include "coord/wire.h"
#include "tests/history/check.h"
#include "tests/simulation/world.h"

enum {
    SIM_NODES_MAX = 8,
    SIM_CLIENTS_MAX = 4,
    SIM_KEYS_MAX = 4,
    SIM_HISTORY_MAX = 120, /* calls of one key */
    SIM_PARTITIONS_MAX = 2,
    SIM_SLOTS_MAX = 6,
    SIM_MAPS_MAX = 256, /* versions of one schedule */
    SIM_VALUE_BYTES_MAX = 48,
    SIM_KEEPER = 8,
    SIM_CLIENT = 9,
    SIM_ADDRESSES = SIM_CLIENT + SIM_CLIENTS_MAX,
    SIM_DAEMON = 32,
    SIM_MESSAGE_BYTES_MAX = 8192,
};

/* Planted mistakes: the schedules must find each of them. X(name, what it does) */
#define SIM_BREAK_MAP(X)                                                                           \
    X(forget_shown, "a node does not remember that it showed an undecided entry")                  \
    X(forget_overtaken, "a node forgets that an entry may have been read before it was overtaken") \
    X(forget_promise, "a node does not remember what it promised")                                 \
    X(forget_exposure, "a node answers every ABORT as not exposed")                                \
    X(repeat_prepare, "a PREPARE may reach a node twice")                                          \
    X(accept_stale, "a node looks at no epoch")                                                    \
    X(no_expect, "a node ignores what a conditional PREPARE expects")                              \
    X(same_epoch_rejoin, "a node that lost its state goes on as if it had not")                    \
    X(skip_scan, "a scanner says at once that it has scanned")                                     \
    X(live_early, "an epoch is live before the older ones are sealed")                             \
    X(forget_floor, "a node loses its floor")

enum sim_break {
#define X(name, text) SIM_BREAK_##name,
    SIM_BREAK_MAP(X)
#undef X
        SIM_BREAK_COUNT
};

/* How rough one schedule is; drawn anew for each. Chances are per million. */
struct sim_weather {
    uint32_t loss, repeat, late;      /* of each message */
    uint8_t bad_kind;                 /* requests of this kind are lost ... */
    uint32_t bad;                     /* ... with this chance */
    uint64_t delay_us, late_us;       /* usual and late delay */
    uint32_t stop, wipe, cut, freeze; /* weights of what happens next to nodes and links */
    uint32_t die, keeper;             /* ... to clients, to the keeper */
    uint32_t full;                    /* chance that a node has no room for a PREPARE */
    uint64_t gap_us;                  /* mean time between calls */
    uint64_t fault_us;                /* mean time between faults */
    uint64_t skew_ms;                 /* clocks differ by up to this */
    bool gentle;                      /* losses of state stay within what can lose no value */
};

struct sim_config {
    uint64_t seed;
    uint8_t k, m;
    uint32_t breaks; /* bits of enum sim_break */
    bool trace;
    struct sherd_ecc *ecc; /* of k+m */
    struct history_checker *checker;
};

/* A published map, decoded once for everybody. */
struct sim_map {
    const struct sherd_map *map;
    struct sherd_bytes bytes;
    uint64_t hash;
};

/* What one node has of one key. Shards lie in `room`. */
struct sim_cell {
    struct sherd_record record;
    bool repair; /* on the repair list */
    uint64_t repair_at_us;
    uint8_t room[SHERD_ENTRIES_MAX + 1][SIM_VALUE_BYTES_MAX];
};

struct sim_cluster;
struct sim_op;

/* A client handle: of a caller, or of a node's daemon. */
struct sim_client {
    struct sim_cluster *cluster;
    uint8_t address;
    bool up;
    uint64_t life; /* goes up with each death; what is addressed to an earlier life is dropped */
    uint64_t session, number, client, tag;
    struct sherd_hlc clock;
    int64_t skew_ms;
    uint64_t frozen_until_us, refresh_us;
    const struct sim_map *map;
    bool connected[SIM_NODES_MAX];
    uint8_t waiting[SIM_NODES_MAX]; /* requests since the last answer */
    uint64_t pinged_us[SIM_NODES_MAX];
    uint64_t incarnation[SIM_NODES_MAX];
    struct sim_op *ops;
    /* callers: what was read last under each key */
    struct sherd_ballot known[SIM_KEYS_MAX];
    int64_t known_value[SIM_KEYS_MAX];
};

struct sim_piece {
    uint8_t slot;
    uint8_t size;
    struct sherd_ballot version;
    uint8_t bytes[SIM_VALUE_BYTES_MAX];
};

struct sim_shards {
    size_t size;
    uint8_t bytes[SIM_SLOTS_MAX][SIM_VALUE_BYTES_MAX];
    uint32_t crc[SIM_SLOTS_MAX];
};

/* Called when the outcome is known, and again (over) when nothing more will be asked. */
typedef void (*sim_op_done)(struct sim_op *o);
/* Makes the new value from the current one (SHERD_EFFECT_COMPUTE); returns the event. */
typedef struct sherd_event (*sim_op_compute)(struct sim_op *o);

/* One operation in the hands of its engine. */
struct sim_op {
    struct sherd_operation op;
    struct sim_client *client;
    struct sim_op *next;
    uint64_t life; /* of the client */
    bool over;
    uint8_t key;
    uint64_t timer_us; /* the earliest timer that is set */
    int64_t value;     /* new value; GET, COMPUTE with want_value: see `current` */
    int64_t current;   /* decoded */
    struct sim_shards shards, old_shards;
    uint16_t pieces_round;
    uint8_t piece_count;
    struct sim_piece pieces[SIM_SLOTS_MAX * SHERD_ENTRIES_MAX];
    sim_op_compute compute;
    sim_op_done done;
    /* callers */
    uint8_t kind; /* enum history_kind */
    int64_t delta;
    int64_t expect_value;
    struct sherd_ballot expect;
    struct history_call *call;
    bool answered, told;
    /* daemons */
    uint8_t task;
};

/* One round about a tombstone that may go (PROTOCOL 8). */
struct sim_forget {
    bool active;
    uint64_t id, give_up_us;
    uint32_t epoch, asked, answered, holds; /* slots */
    struct sherd_ballot ballot;
};

/* Rebuild or scan of one partition, by one daemon. */
struct sim_job {
    bool active, scan, failed;
    uint32_t epoch, incarnation;
    uint64_t id, give_up_us;
    uint32_t asked, listed; /* slots */
    uint32_t keys;          /* still to do */
    bool running;           /* an operation is */
};

struct sim_node {
    struct sim_cluster *cluster;
    uint8_t id;
    bool up;
    uint64_t incarnation;
    uint64_t started; /* counts starts: a tick of an earlier one stops */
    int64_t skew_ms;
    struct sherd_hlc clock;
    struct sherd_partitions all;
    struct sherd_partition_state states[SIM_PARTITIONS_MAX];
    const struct sim_map *map;
    struct sim_cell cells[SIM_KEYS_MAX];
    uint8_t rebuilt[SHERD_PARTITIONS / 8], scanned[SHERD_PARTITIONS / 8];
    /* the daemon */
    struct sim_client daemon;
    struct sim_job jobs[SIM_PARTITIONS_MAX];
    struct sim_forget forgets[SIM_KEYS_MAX];
};

struct sim_keeper {
    struct sim_cluster *cluster;
    bool up;
    uint64_t started;
    struct sherd_membership machine;
    struct sherd_map *map, *next;
    /* its file: survives a crash */
    const struct sim_map *file;
    uint64_t file_live;
};

struct sim_network {
    struct sim_message *messages;
    bool cut[SIM_ADDRESSES][SIM_ADDRESSES]; /* [from][to] */
};

struct sim_counts {
    uint64_t schedules, calls, outcomes[SHERD_OUTCOME_COUNT], died, messages, events;
    uint64_t wipes, forgotten, stops, cuts, epochs, lost_markers, too_hard, updates;
};

struct sim_cluster {
    struct sim_config config;
    struct sim_world world;
    struct sim_weather weather;
    struct sim_network network;
    uint8_t nodes, keys, clients;
    uint16_t partitions;
    char key_text[SIM_KEYS_MAX][4];
    uint64_t key_hash[SIM_KEYS_MAX];
    uint32_t vacate_ms;
    uint8_t deaf; /* no FORGET reaches this node: it alone keeps its tombstones */
    bool calm;    /* faults are over */
    bool idle;    /* and nothing happens for minutes */
    uint8_t wipes;
    bool lost[SIM_PARTITIONS_MAX]; /* told so by the map */
    bool lossy;                    /* state was lost beyond what can lose no value */
    int64_t next_value;
    struct sim_map maps[SIM_MAPS_MAX]; /* by version */
    struct sim_node node[SIM_NODES_MAX];
    struct sim_keeper keeper;
    struct sim_client client[SIM_CLIENTS_MAX];
    struct history history[SIM_KEYS_MAX];
    struct history_call history_room[SIM_KEYS_MAX][SIM_HISTORY_MAX];
    struct sim_counts *counts;
};

/* Runs one schedule from start to judgement. world.failed and world.failure say what was wrong;
 * call fini in any case. */
void sim_cluster_run(struct sim_cluster *c, const struct sim_config *config,
                     struct sim_counts *counts);
void sim_cluster_fini(struct sim_cluster *c);

static inline bool sim_breaks(const struct sim_cluster *c, enum sim_break b)
{
    return c->config.breaks >> b & 1;
}

static inline uint64_t sim_wall_ms(const struct sim_cluster *c, int64_t skew_ms)
{
    return (uint64_t)((int64_t)(UINT64_C(1700000000000) + c->world.now_us / 1000) + skew_ms);
}

/* The number of a key's text, or -1. */
int sim_key_of(const struct sim_cluster *c, struct sherd_bytes key);
uint16_t sim_partition_of(const struct sim_cluster *c, uint8_t key);

/* The one copy of an encoded map; NULL, and a failure, when it is broken or another of the same
 * version was published. */
const struct sim_map *sim_map_of(struct sim_cluster *c, struct sherd_bytes bytes);

#endif
