/* operation.h - one operation on one key, from the caller's wish to its outcome.
 *
 * Pure: the parent of writer, reader and finisher; decides which runs next, retries what is proved
 * dead, waits, and says at the deadline what is known. The client's engine owns operations in real
 * life, the simulator in tests; both carry out the same effects. PROTOCOL 3, 4, 5.
 *
 *   GET, LOOK     READING --> [PROMISING --> PROPOSING] --> answer
 *   SET           WRITING --> answer;  proved dead: WRITING again;  exposed: PROMISING ...
 *   UPDATE        READING --> COMPUTING --> WRITING with expect --> answer;  refused: READING again
 *   FINISH        READING --> [PROMISING --> PROPOSING] --> done
 *   REPAIR        as FINISH, then INSERTING into every holder that lacks the value
 *
 * A list of effects never has messages of two rounds that want answers: between two attempts the
 * operation waits (at least until the next timer).
 *
 * What a write may say: OK only when q ACKs (f with expect) came in; NO_QUORUM, FULL, CONFLICT only
 * when every attempt is proved dead; else UNCERTAIN. After a Finish that chose a ballot below the
 * attempt's and buried it, the attempt is dead too: had anybody finished it before, what was chosen
 * would be higher; after the proposal is complete nobody can any more. The same is proved when what
 * stands is of an older version than the attempt, under a higher ballot: then another Finish, above
 * the attempt, has passed it over. */
#ifndef SHERD_COORD_OPERATION_H
#define SHERD_COORD_OPERATION_H

#include "coord/finisher.h"
#include "coord/reader.h"
#include "coord/writer.h"

enum sherd_goal {
    SHERD_GOAL_GET,    /* the value */
    SHERD_GOAL_LOOK,   /* what is known of it beside its bytes */
    SHERD_GOAL_SET,    /* a new value, or a tombstone, whatever was there */
    SHERD_GOAL_UPDATE, /* a new value that depends on the current one: compare-and-set and the rest
                        */
    SHERD_GOAL_FINISH, /* decide what is undecided */
    SHERD_GOAL_REPAIR, /* ... and give every holder its shard */
};

enum sherd_phase {
    SHERD_PHASE_IDLE,
    SHERD_PHASE_WAITING, /* until due_us, then `resume` */
    SHERD_PHASE_READING,
    SHERD_PHASE_DECODING,
    SHERD_PHASE_COMPUTING,
    SHERD_PHASE_WRITING,
    SHERD_PHASE_PROMISING,
    SHERD_PHASE_ENCODING, /* of the old value, for PROPOSING or INSERTING */
    SHERD_PHASE_PROPOSING,
    SHERD_PHASE_INSERTING,
    SHERD_PHASE_DONE,
};

enum sherd_event_kind {
    SHERD_EVENT_START,
    SHERD_EVENT_ANSWER, /* from `slot` */
    SHERD_EVENT_UNSENT, /* requests to `slots` never left this process */
    SHERD_EVENT_GONE,   /* the connections to `slots` are lost: no answer will come */
    SHERD_EVENT_TIMER,  /* due_us has come */
    SHERD_EVENT_ENCODED,
    SHERD_EVENT_DECODED,
    SHERD_EVENT_CORRUPT,  /* the pieces do not give a value with the right checksum */
    SHERD_EVENT_COMPUTED, /* operation.meta describes the new value */
    SHERD_EVENT_REFUSED,  /* no new value: the outcome is `outcome` */
    SHERD_EVENT_MAP,      /* env.map is newer than before */
};

struct sherd_event {
    uint8_t kind;
    uint8_t slot;
    enum sherd_outcome outcome;
    uint32_t slots;
    const struct sherd_answer *answer;
};

struct sherd_operation {
    /* Filled in by the owner before START. */
    uint8_t goal;
    bool want_value; /* UPDATE: the current bytes are needed to compute the new ones */
    bool ask_all;    /* LOOK: hear every holder that answers (explain) */
    bool ack_quorum; /* answer at q ACKs, not when every reachable voter has answered */
    uint64_t tag;    /* request ids are tag | round; the low 16 bits of it are 0, the rest is not */
    struct sherd_bytes key; /* borrowed until DONE */
    uint64_t key_hash;
    uint64_t deadline_us;
    struct sherd_meta meta; /* SET: of the new value; UPDATE: at COMPUTED */

    /* For the owner to read. */
    uint64_t due_us;            /* step with TIMER then */
    enum sherd_outcome outcome; /* at ANSWER */
    struct sherd_ballot
        version;                 /* GET, LOOK, COMPUTE: of the current value (zero: none);
                                    after a write: of the new one; ENCODE_OLD, DECODE: of the pieces */
    struct sherd_meta found;     /* GET, LOOK, COMPUTE, ENCODE_OLD, DECODE: of that version */
    bool exists;                 /* COMPUTE: there is a current value */
    uint32_t held;               /* after a write: slots that are known to hold it */
    bool shards_are_old;         /* PREPARE and INSERT carry what ENCODE_OLD made */
    const struct sherd_map *map; /* bound to; NULL before START */
    const struct sherd_partition *partition;

    /* The machine's own. */
    uint8_t phase, resume;
    uint16_t round, prepare_round; /* they differ once a writer's ABORT or COMMIT is out */
    uint8_t attempts, possible_reads, corrupt_reads;
    bool alive;   /* an own attempt may still take effect */
    bool encoded; /* ENCODE_NEW was done for this meta */
    bool answered;
    bool promise_write; /* the PROMISE is for an own conditional write */
    bool must_finish;   /* a conditional PREPARE met something that a read does not show */
    bool heard_quorum;  /* some read round heard r voters */
    bool asked_map;     /* whether a newer one takes the loss of the partition back */
    bool crowded;       /* some node has no room left for what is proposed to finish */
    bool making_room;   /* INSERTING is for that, and PROMISING follows */
    bool commit_wanted;
    uint32_t expect_epoch; /* in which `expect` was read */
    struct sherd_ballot expect, attempt, bury, above;
    struct sherd_ballot shown;  /* highest entry that a read showed: the Finish must bury it */
    struct sherd_ballot chosen; /* ballot that the last Finish chose */
    struct sherd_ballot commit_ballot;
    uint32_t commit_mask;
    uint32_t inserting, insert_failed;
    uint64_t abort_at_us, phase_due_us;
    struct sherd_reader reader;
    struct sherd_finisher finisher;
    struct sherd_writer writer;
};

/* Effects are valid until the next step. After DONE the operation may be reused from scratch. */
void sherd_operation_step(struct sherd_operation *op, const struct sherd_env *env,
                          const struct sherd_event *event, struct sherd_effects *out);

/* The request of a SEND effect for one slot. PREPARE and INSERT of a value that is not empty still
 * lack crc and shard: the owner's, of its new or old shards (`shards_are_old`). */
void sherd_operation_request(const struct sherd_operation *op, const struct sherd_effect *effect,
                             uint8_t slot, struct sherd_request *out);

/* Whether requests of this kind carry a shard now (not for tombstones). */
bool sherd_operation_has_shard(const struct sherd_operation *op, enum sherd_message_kind message);

#endif
