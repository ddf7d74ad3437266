/* pass.h - one walk over one partition, all voters' answers side by side (PROTOCOL 7.5, 7.6).
 *
 * REBUILD   this node is learner: for each key that certainly has a value, its own shard is made
 *           from k others and inserted beneath whatever newer is undecided here
 * SCAN      closes older epochs: every key that is not held alike by all voters is repaired
 * CATCH_UP  the same, for this node's sake: it was away, or was asked to look
 *
 * What is in doubt becomes a REPAIR operation, which finishes what is undecided. A pass is DONE
 * only if nothing was left in doubt; otherwise AGAIN: the owner repeats it later. What was inserted
 * stays, so that a repeated pass finds it held. */
#ifndef SHERD_SERVER_PASS_H
#define SHERD_SERVER_PASS_H

#include <sherd/ecc.h>

#include "client/listing.h"
#include "server/rate.h"
#include "server/sealed.h"

enum sherd_pass_kind { SHERD_PASS_REBUILD, SHERD_PASS_SCAN, SHERD_PASS_CATCH_UP };

enum sherd_pass_state {
    SHERD_PASS_IDLE,
    SHERD_PASS_RUNNING,
    SHERD_PASS_DONE,
    SHERD_PASS_AGAIN, /* the epoch changed, a voter was silent, a key stayed in doubt */
};

/* What passes share. */
struct sherd_pass_tools {
    struct sherd_ecc *ecc; /* of the map's code; NULL until there is a map */
    uint8_t *shard;        /* scratch for one shard of the largest value */
    struct sherd_rate rate;
};

enum { SHERD_PASS_INSERTS_MAX = 256 };

struct sherd_pass_insert {
    struct sherd_pass *pass;
    struct sherd_pass_insert *next_free;
    size_t size;
};

struct sherd_pass {
    struct sherd_pass_tools *tools;
    const struct sherd_turn *turn; /* this turn's, while it lasts */
    enum sherd_pass_kind kind;
    enum sherd_pass_state state;
    uint16_t partition;
    uint8_t slot; /* own */
    uint32_t epoch;
    uint32_t heard; /* voters that answered every page; at the end */

    struct sherd_listing *listing;
    struct sherd_listed listed;
    bool ended;  /* no more keys */
    bool failed; /* cannot become DONE any more */
    uint32_t unresolved;
    unsigned inserting, repairing; /* in flight */
    size_t insert_bytes;
    struct sherd_pass_insert inserts[SHERD_PASS_INSERTS_MAX];
    struct sherd_pass_insert *free_insert;

    uint64_t keys, bytes; /* for the owner: looked at; shards made anew */
    uint64_t made;        /* ... how many shards */
};

/* Begins; `pass` must be idle. 0, or what the listing's opening says (-ENOMEM, ...). */
int sherd_pass_start(struct sherd_pass *pass, enum sherd_pass_kind kind, uint16_t partition,
                     uint64_t since, const struct sherd_sealed *sealed, const struct sherd_turn *t);

/* Moves on by a bounded number of keys. Returns whether it could go on at once. */
bool sherd_pass_turn(struct sherd_pass *pass, const struct sherd_sealed *sealed,
                     const struct sherd_turn *t);

/* DONE or AGAIN --> IDLE. */
void sherd_pass_reset(struct sherd_pass *pass);
/* In any state, before the engine is closed. */
void sherd_pass_fini(struct sherd_pass *pass);

#endif
