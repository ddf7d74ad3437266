/* chaos_faults.h - the nemesis: what happens to servers, clients and links, all drawn from the
 * seed.
 *
 * It stays within what is promised to survive (tests/README.md): state is lost by one node while at
 * most one other is weak (none if m is 1), or by m at once when every value is on all nodes
 * (clients are made to pause until it is so), and never again before all that was lost is rebuilt.
 * (m: or q - 1.) A node that is out for so long that its slots may go to others counts as one that
 * lost its state. Anything else (stops, cuts, delays, clocks, deaths of clients) may come at any
 * time, several at once. With a store on disk the state of two killed servers in three stays: they
 * were only silent; and all may be killed at once.
 *
 * Step i draws from (seed, i) alone, and every other one prefers a kind that has not come yet, so
 * that two minutes see all; a step that is not allowed at that moment is left out, so two
 * runs of one seed try the same steps, but need not carry out the same ones. */
#ifndef SHERD_TESTS_CLUSTER_CHAOS_FAULTS_H
#define SHERD_TESTS_CLUSTER_CHAOS_FAULTS_H

#include "tests/cluster/chaos_cluster.h"

/* From CLIENT_KILL to CLOCK: nothing that troubles servers. The last one needs a store on disk;
 * without, all is drawn as if it were not there. */
#define FAULTS_MAP(X)                                     \
    X(KILL, "a server killed", 24)                        \
    X(KILL_KEEPER, "the keeper's server killed", 4)       \
    X(WIPE, "m servers killed at once", 6)                \
    X(STOP, "a server stopped", 14)                       \
    X(STOP_SOME, "several servers stopped", 5)            \
    X(HALVES, "the network in two halves", 7)             \
    X(ONE_WAY, "a one-way cut", 8)                        \
    X(LINK, "a single link cut", 8)                       \
    X(ISOLATE, "a server isolated", 7)                    \
    X(CLIENT_CUT, "a client cut from some servers", 8)    \
    X(SLOW, "slow links", 9)                              \
    X(CLIENT_KILL, "a client killed", 7)                  \
    X(CLIENT_STEP, "a client killed in mid-protocol", 14) \
    X(CLOCK, "a clock jumped", 8)                         \
    X(KILL_ALL, "all servers killed at once", 8)

enum fault_kind {
#define X(name, text, weight) FAULT_##name,
    FAULTS_MAP(X)
#undef X
        FAULT_KINDS
};

enum { FAULTS_AT_ONCE = 4, FAULT_RECOVERIES_MAX = 4096 };

struct fault {
    enum fault_kind kind;
    bool active;
    uint64_t end_us;
    uint32_t a, b; /* sets of hosts */
    bool both_ways;
    bool loses;    /* the state of a node */
    bool silences; /* the keeper may not hear some node meanwhile */
};

struct faults {
    struct chaos *chaos;
    struct fault list[FAULTS_AT_ONCE];
    uint64_t next_us;
    uint32_t step;
    int64_t clock_low_ms;   /* all offsets are in low .. low + CLOCK_WIDTH_MS */
    bool losing;            /* state was lost, and is not all rebuilt */
    uint64_t back_us;       /* when the last of those nodes was there again; 0: not yet */
    uint64_t episode_us;    /* since when the keeper may not have heard some node; 0: it has */
    uint64_t silent_us;     /* when the last fault of the episode ends, or ended */
    uint64_t wipe_until_us; /* m servers are to be killed, as soon as it is calm */
    uint64_t counts[FAULT_KINDS];
    uint64_t kept; /* of the servers killed one at a time: they came back with their state */
    uint32_t recoveries_ms[FAULT_RECOVERIES_MAX];
    unsigned recovery_count;
};

void faults_init(struct faults *f, struct chaos *c);

/* Ends what is due, begins what is next. Call it every few milliseconds. */
void faults_turn(struct faults *f);

/* Ends all, mends everything, starts whoever is dead. */
void faults_heal(struct faults *f);

void faults_say(const struct faults *f);        /* counts and recovery times */
void faults_expect_all(const struct faults *f); /* each kind at least once, or the test fails */

#endif
