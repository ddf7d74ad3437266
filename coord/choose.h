/* choose.h - what a set of answers says about one key (PROTOCOL 4, 7.4). Pure arithmetic.
 *
 * Answers of nodes in the partition's current epoch are folded into the ballots that they show;
 * choose() then looks from the highest ballot down. It never needs to be told who votes: only a
 * slot whose incarnation is the one listed for an epoch counts toward that epoch's quorums, and a
 * learner's incarnation is listed for none.
 *
 * Runs: where many attempts to finish one version failed, a node has no room for all the ballots at
 * which it accepted it. A proposal marked SHERD_META_RUN then takes the place of those between the
 * oldest and itself; for a ballot in between, such a node counts as if it had not been heard: never
 * toward "complete", always toward "possible". */
#ifndef SHERD_COORD_CHOOSE_H
#define SHERD_COORD_CHOOSE_H

#include "coord/map.h"
#include "coord/record.h"

/* One ballot that somebody showed. Slot sets. */
struct sherd_seen {
    struct sherd_ballot ballot, version;
    struct sherd_meta meta;
    uint32_t holds;     /* show this ballot */
    uint32_t committed; /* ... as committed */
    uint32_t shards;    /* ... with an intact shard */
    uint32_t pieces;    /* ... whose bytes came with the answer */
};

struct sherd_answers {
    uint32_t heard; /* slots that answered in the current epoch */
    uint8_t count;
    bool overflow; /* more distinct ballots than fit: the lowest were forgotten */
    struct sherd_seen seen[SHERD_SEEN_MAX]; /* descending by ballot */
};

void sherd_answers_reset(struct sherd_answers *a);

/* Folds one node's answer in. A second answer of the same slot is added to the first: what a node
 * has shown once counts, since the node then calls it exposed (participant.h). */
void sherd_answers_add(struct sherd_answers *a, uint8_t slot, const struct sherd_entry *entries,
                       uint8_t count);

enum sherd_verdict {
    SHERD_CHOICE_WAIT,     /* more answers are needed */
    SHERD_CHOICE_COMPLETE, /* `seen` is the newest complete value, or NULL: the key has none */
    SHERD_CHOICE_POSSIBLE, /* `seen` may be complete: finish it before anything else is said */
    SHERD_CHOICE_LOST, /* every voter answered, and it still cannot be told, or not be rebuilt */
};

struct sherd_choice {
    enum sherd_verdict verdict;
    const struct sherd_seen *seen;    /* of COMPLETE and POSSIBLE; points into the answers */
    const struct sherd_seen *settled; /* of both: the newest that is complete, or NULL */
    uint32_t shards;                  /* slots with an intact shard of its version */
    uint32_t pieces;                  /* ... whose bytes came with an answer */
    bool above;                       /* something undecided stands above it */
};

/* `k` of the code; `wall_ms` decides what is expired. */
void sherd_choose(const struct sherd_partition *p, uint8_t k, const struct sherd_answers *a,
                  uint64_t wall_ms, struct sherd_choice *out);

#endif
