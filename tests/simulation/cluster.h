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
#include "server/sessions.h"
#include "tests/history/check.h"
#include "tests/simulation/world.h"

enum {
    SIM_NODES_MAX = 12,
    SIM_CLIENTS_MAX = 8,
    SIM_KEYS_MAX = 4,
    SIM_HISTORY_MAX = 120, /* calls of one key */
    SIM_PARTITIONS_MAX = 3,
    SIM_SLOTS_MAX = 11,
    SIM_MAPS_MAX = 256, /* versions of one schedule */
    SIM_VALUE_BYTES_MAX = 48,
    SIM_KEEPER = SIM_NODES_MAX,
    SIM_CLIENT,
    SIM_ADDRESSES = SIM_CLIENT + SIM_CLIENTS_MAX,
    SIM_DAEMON = 32,
    SIM_MESSAGE_BYTES_MAX = 16384,
    SIM_SKIPS_MAX = 4096, /* calls and faults that can be left out, each */
};

/* Wall clocks when the time of the world is 0. */
#define SIM_WALL_BASE_MS UINT64_C(1700000000000)

/* How rough one schedule is; drawn anew for each. X(name, unit or meaning, what it is); each can be
 * turned off by itself when a schedule is made shorter (shrink.h). */
#define SIM_WEATHER_MAP(X)                                                              \
    X(loss, "per million", "messages lost")                                             \
    X(repeat, "per million", "messages repeated")                                       \
    X(late, "per million", "messages late")                                             \
    X(bad, "per million", "requests of one kind lost")                                  \
    X(stop, "weight", "servers stop, and come back with their state")                   \
    X(wipe, "weight", "servers stop, and come back without their state")                \
    X(pause, "weight", "servers paused")                                                \
    X(cut, "weight", "links cut, one way, both ways, or all of a machine")              \
    X(halves, "weight", "the network falls into two halves")                            \
    X(freeze, "weight", "clients and daemons paused")                                   \
    X(die, "weight", "clients die")                                                     \
    X(jump, "weight", "clocks jump")                                                    \
    X(fill, "weight", "stores full for a while")                                        \
    X(keeper, "weight", "the keeper stops")                                             \
    X(keeper_dies, "per million", "the keeper stops between a map's SEAL and its LIVE") \
    X(keeper_slow, "us", "... or says LIVE late")                                       \
    X(full, "per million", "PREPAREs that find no room")                                \
    X(no_memory, "per million", "allocations that fail")                                \
    X(rot, "per million", "shards read from one node that come with a flipped bit")     \
    X(corrupt, "per million", "values that come out with a wrong checksum")             \
    X(skew_ms, "ms", "clocks differ by up to this")                                     \
    X(quorum, "per million", "writes answered at q ACKs")                               \
    X(damage, "weight", "what a server remembers of a partition is damaged")

enum sim_weather_kind {
#define X(name, unit, text) SIM_WEATHER_##name,
    SIM_WEATHER_MAP(X)
#undef X
        SIM_WEATHER_COUNT
};

struct sim_weather {
#define X(name, unit, text) uint32_t name;
    SIM_WEATHER_MAP(X)
#undef X
    uint8_t bad_kind;           /* requests of this kind are lost, with the chance `bad` */
    uint8_t rotten;             /* the node with `rot` */
    uint64_t delay_us, late_us; /* usual and late delay */
    uint64_t gap_us;            /* mean time between calls */
    uint64_t fault_us;          /* mean time between faults */
    uint64_t jump_ms;           /* of clocks, at most */
    bool gentle;                /* losses of state stay within what can lose no value */
    bool sessions;              /* links keep the order, nodes check the numbers of messages; else
                                   any order, and no PREPARE comes twice */
};

/* Streams of random numbers: of each weather, call, fault (world.h: sim_enter). */
#define SIM_STREAM_WEATHER UINT64_C(0x100000000)
#define SIM_STREAM_CALLS   UINT64_C(0x200000000)
#define SIM_STREAM_FAULTS  UINT64_C(0x300000000)

/* What one schedule leaves out of what its seed says: for shrink.h. */
struct sim_skips {
    uint64_t calls[SIM_SKIPS_MAX / 64], faults[SIM_SKIPS_MAX / 64];
    uint64_t begun[SIM_SKIPS_MAX / 64]; /* calls that came to something when nothing was left out */
    uint32_t call_count, fault_count;   /* what comes after these is left out too */
    uint32_t weather;                   /* bits of enum sim_weather_kind */
    uint64_t jitter; /* other delays and chances of messages; 0: the seed's own */
};

static inline bool sim_has_bit(const uint64_t *bits, uint32_t number)
{
    return number < SIM_SKIPS_MAX && (bits[number / 64] >> number % 64 & 1);
}

struct sim_config {
    uint64_t seed;
    uint8_t k, m;
    bool trace;
    bool quiet;                    /* prints no history of a failure */
    struct sherd_ecc *ecc;         /* of k+m */
    const struct sim_skips *skips; /* NULL: none */
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
    uint64_t client, tag;
    struct sherd_hlc clock;
    int64_t skew_ms;
    uint64_t frozen_until_us;
    const struct sim_map *map;
    bool connected[SIM_NODES_MAX];                          /* and greeted: its PONG came */
    uint64_t session[SIM_NODES_MAX], number[SIM_NODES_MAX]; /* session 0: no connection */
    uint8_t waiting[SIM_NODES_MAX];                         /* requests since the last answer */
    uint64_t pinged_us[SIM_NODES_MAX];
    uint64_t incarnation[SIM_NODES_MAX];
    struct sim_op *ops;
    /* callers: what was read last under each key */
    struct sherd_ballot known[SIM_KEYS_MAX];
    int64_t known_value[SIM_KEYS_MAX];
};

struct sim_piece {
    struct sim_piece *next;
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
    struct sim_piece *pieces;
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
    uint64_t frozen_until_us, full_until_us;
    struct sherd_hlc clock;
    struct sherd_sessions *sessions; /* NULL: numbers of messages are not looked at */
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
    uint64_t slow_until_us; /* thinks and hears nothing until then */
    struct sherd_membership machine;
    struct sherd_map *map, *next;
    struct sherd_report last[SIM_NODES_MAX]; /* heard from each node */
    /* its file: survives a crash */
    const struct sim_map *file;
    uint64_t file_live;
};

struct sim_network {
    struct sim_message *spare[2];                        /* small, large */
    uint64_t cut_until_us[SIM_ADDRESSES][SIM_ADDRESSES]; /* [from][to] */
    uint64_t busy_until_us[SIM_DAEMON + SIM_NODES_MAX][SIM_DAEMON + SIM_NODES_MAX]; /* in order */
};

/* X(name, what is counted) */
#define SIM_COUNT_MAP(X)                           \
    X(schedules, "schedules")                      \
    X(events, "steps")                             \
    X(seconds, "seconds of virtual time")          \
    X(calls, "calls")                              \
    X(messages, "messages delivered")              \
    X(lost, "messages lost")                       \
    X(repeated, "messages repeated")               \
    X(stops, "servers stopped")                    \
    X(wipes, "losses of state")                    \
    X(lost_many, "losses of m states at once")     \
    X(damages, "losses of a partition's state")    \
    X(pauses, "servers paused")                    \
    X(cuts, "cuts")                                \
    X(halves, "networks in two halves")            \
    X(freezes, "clients and daemons paused")       \
    X(died, "clients died")                        \
    X(jumps, "clocks jumped")                      \
    X(fills, "stores full for a while")            \
    X(refused, "PREPAREs without room")            \
    X(no_memory, "allocations failed")             \
    X(rotten, "shards read with a flipped bit")    \
    X(corrupt, "values with a wrong checksum")     \
    X(keeper_stops, "keepers stopped")             \
    X(keeper_died, "... between SEAL and LIVE")    \
    X(epochs, "maps")                              \
    X(sessions, "sessions refused")                \
    X(lost_markers, "values lost beyond the code") \
    X(forgotten, "tombstones gone")                \
    X(too_hard, "histories too hard for the checker")

struct sim_counts {
#define X(name, text) uint64_t name;
    SIM_COUNT_MAP(X)
#undef X
    uint64_t outcomes[SHERD_OUTCOME_COUNT];
};

/* What a schedule consists of. */
struct sim_plan {
    bool pause; /* a first storm, and minutes of nothing before the second */
    bool lose;  /* a first storm, and then as many lose their state at once as may (PROTOCOL 9.2) */
    uint64_t first_ms, pause_us, storm_ms;
};

struct sim_cluster {
    struct sim_config config;
    struct sim_plan plan;
    struct sim_world world;
    struct sim_weather weather;
    struct sim_network network;
    uint8_t nodes, keys, clients;
    uint16_t partitions;
    char key_text[SIM_KEYS_MAX][4];
    uint64_t key_hash[SIM_KEYS_MAX];
    uint32_t vacate_ms;
    uint8_t deaf;     /* no FORGET reaches this node: it alone keeps its tombstones */
    bool calm;        /* faults are over ... */
    uint64_t calm_us; /* ... since then */
    bool idle;        /* and nothing happens for minutes */
    uint8_t wipes;
    uint32_t call_count, fault_count;   /* drawn so far: their numbers */
    uint64_t begun[SIM_SKIPS_MAX / 64]; /* calls that came to something */
    bool lost[SIM_PARTITIONS_MAX];      /* told so by the map */
    bool lossy;                         /* state was lost beyond what can lose no value */
    int64_t next_value;
    struct sim_map maps[SIM_MAPS_MAX]; /* by version */
    struct sim_node node[SIM_NODES_MAX];
    struct sim_keeper keeper;
    struct sim_client client[SIM_CLIENTS_MAX];
    struct history history[SIM_KEYS_MAX];
    struct history_call history_room[SIM_KEYS_MAX][SIM_HISTORY_MAX];
    struct sim_counts *counts;
};

/* Runs one schedule from start to judgement. world.failed and world.failure say what was wrong.
 * A cluster is zeroed before its first schedule, and runs any number of them until fini. */
void sim_cluster_run(struct sim_cluster *c, const struct sim_config *config,
                     struct sim_counts *counts);
void sim_cluster_fini(struct sim_cluster *c);

static inline uint64_t sim_wall_ms(const struct sim_cluster *c, int64_t skew_ms)
{
    return (uint64_t)((int64_t)(SIM_WALL_BASE_MS + c->world.now_us / 1000) + skew_ms);
}

/* Whether the next chance of this kind comes true, outside the calm. */
static inline bool sim_bad_luck(struct sim_cluster *c, uint32_t per_million)
{
    return !c->calm && sim_chance(&c->world, per_million);
}

/* The number of a key's text, or -1. */
int sim_key_of(const struct sim_cluster *c, struct sherd_bytes key);
uint16_t sim_partition_of(const struct sim_cluster *c, uint8_t key);

/* The one copy of an encoded map; NULL, and a failure, when it is broken or another of the same
 * version was published. */
const struct sim_map *sim_map_of(struct sim_cluster *c, struct sherd_bytes bytes);

#endif
