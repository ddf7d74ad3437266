/* life.h - one life of a small cluster and its client, in phases, any of which can be armed: then
 * an allocation fails somewhere in it.
 *
 * What is demanded. While armed: every operation ends in time, with OK or with a refusal that says
 * what it is; what starts and cannot says -ENOMEM. Afterwards: the same phase succeeds, every key
 * holds what was acknowledged (or one of the values that were left UNCERTAIN), all nodes are whole,
 * and in the end everything that was allocated has been freed. */
#ifndef SHERD_TESTS_LIFE_H
#define SHERD_TESTS_LIFE_H

#include <sherd/sherd.h>

#include "tests/support/nodes.h"

/* X(name, code's k, m, what is armed) */
#define LIFE_PHASE_MAP(X)                                                                   \
    X(store, 2, 1, "stores by themselves: values expire, a table shrinks; one is reopened") \
    X(start, 2, 1, "configuration, three servers, keeper, client, until all is healthy")    \
    X(open, 2, 1, "a client by configuration file, another by seeds, its first operations") \
    X(set, 2, 1, "values of all sizes, and 24 at once")                                     \
    X(get, 2, 1, "all of them")                                                             \
    X(degraded, 2, 1, "all of them again, without node 1: from parity")                     \
    X(update, 2, 1, "compare-and-set, add, replace, increment, append")                     \
    X(delete, 2, 1, "deletes and removes")                                                  \
    X(scan, 2, 1, "all keys; STATS of all nodes, who holds what")                           \
    X(recover, 2, 1, "node 2 comes back empty, until it is whole")                          \
    X(keeper, 2, 1, "node 0 comes back empty, with the keeper and its file")                \
    X(repair, 1, 2, "node 2 had no memory for a write: it is repaired")                     \
    X(sweep, 2, 1, "a client dies in the middle of its writes")                             \
    X(close, 2, 1, "client and servers stop")

enum life_phase {
#define X(name, k, m, text) LIFE_##name,
    LIFE_PHASE_MAP(X)
#undef X
        LIFE_PHASES
};

enum { LIFE_KEYS = 31, LIFE_POSSIBLE_MAX = 16, LIFE_STORY_SIZE = 400, LIFE_OUTCOMES = 17 };

enum life_kind { LIFE_VALUE, LIFE_NUMBER, LIFE_TEXT };

/* What a key may hold. Version 0: nothing. */
struct life_key {
    char name[12];
    enum life_kind kind;
    size_t size;
    unsigned last; /* version made last */
    unsigned possible[LIFE_POSSIBLE_MAX];
    unsigned possible_count;
};

struct life {
    struct nodes nodes;
    struct sherd_client *client;
    struct life_key keys[LIFE_KEYS];
    enum life_phase phase;
    bool armed; /* one try of everything, refusals are noted */
    bool storm; /* armed, and more than one allocation fails: nothing heals meanwhile */
    char dir[NODES_PATH_SIZE];

    unsigned outcomes[LIFE_OUTCOMES]; /* while armed, by enum sherd_outcome; the last: -ENOMEM */
    bool failed;
    char story[LIFE_STORY_SIZE]; /* what went wrong first */
};

const char *life_phase_name(enum life_phase phase);

/* Makes the folder ready. */
void life_begin(struct life *l, enum life_phase phase, const char *dir);

/* What comes before the phase, the phase itself, and the end of everything. */
void life_prepare(struct life *l);
void life_act(struct life *l);
void life_check_keys(struct life *l); /* after the phase */
void life_check(struct life *l);      /* keys and nodes, when it was repeated */
void life_end(struct life *l);

/* life_model.c */
void life_fail(struct life *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
void life_make_keys(struct life *l);
void life_set(struct life *l, struct life_key *key);
void life_set_many(struct life *l, struct life_key *keys, unsigned count);
void life_update(struct life *l, struct life_key *key, enum sherd_op_kind kind);
void life_delete(struct life *l, struct life_key *key, enum sherd_op_kind kind);
void life_get(struct life *l, struct life_key *key);
void life_explain(struct life *l, struct life_key *key);
void life_scan(struct life *l);
void life_abandon(struct life *l, struct life_key *keys, unsigned count); /* closes the client */
bool life_note(struct life *l, int rc, enum sherd_outcome outcome); /* true: done, or not again */
uint64_t life_now_ms(void);

/* life_store.c */
void life_store(struct life *l);

#endif
