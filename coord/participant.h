/* participant.h - one key on one node: a server's side of the protocol (PROTOCOL 2). Pure.
 *
 * The owner loads the key's record, steps, applies the change to its store, makes it durable, and
 * only then sends the answer. Epoch, seal, session and store room are looked at before
 * (partition.h and the owner). */
#ifndef SHERD_COORD_PARTICIPANT_H
#define SHERD_COORD_PARTICIPANT_H

#include "coord/message.h"

/* An undecided entry that a READ or a LIST was told of is *shown*, and an ABORT answers exposed for
 * it, as for one that somebody promised over: the reader may find it complete (with answers that
 * come later, from nodes that the writer never heard) and return it, so the writer must not call it
 * dead. Without this, a writer that aborts because ACKs are late, not because of NACKs, could say
 * "nothing changed" after its value was read (mistake forget_shown). The same holds for
 * an entry that is not here, below a committed one: it may have been here, read, and overtaken
 * (mistake forget_overtaken). Neither matters to a writer that was OUTVOTED: its entry
 * never was complete, and who would finish it must promise first. */

/* What the node knows beside the record. */
struct sherd_participant_env {
    uint64_t wall_ms;
    struct sherd_ballot floor; /* of the partition */
    bool voter;
    bool clean;       /* no older epoch open, no slot learning: tombstones may go (PROTOCOL 8) */
    bool room;        /* the store has room for this request's shard */
    uint32_t holders; /* slots of the partition that have a holder */
};

/* What changed in the record; bits are indices of record->entries as they were loaded. */
struct sherd_change {
    uint16_t dropped;
    uint16_t committed; /* now marked committed */
    uint16_t shown;     /* now marked shown */
    bool put; /* a new entry was added: ballot, version, meta, crc, shard of the request */
    bool put_committed; /* ... as committed (INSERT) */
    bool bounds;        /* promised or refused changed */
    bool forget;        /* drop the whole record */
    bool repair_me;     /* this node lacks what was committed: repair list */
    bool repair_others; /* a slot is missing in COMMIT's mask: repair list */
};

/* Whether there is anything to store. */
static inline bool sherd_change_is_any(const struct sherd_change *c)
{
    return c->put || c->dropped || c->committed || c->shown || c->bounds || c->forget;
}

/* `record` has the state before and after (entries dropped and added too; a new entry's shard
 * borrows from the request). `answer` gets kind, reason, max, flags and entries; the owner fills
 * id, slot, epoch, map_version. COMMIT and FORGET are answered by ACK; the owner sends it only when
 * the request has an id. */
void sherd_participant_step(const struct sherd_participant_env *env, const struct sherd_request *r,
                            struct sherd_record *record, struct sherd_change *change,
                            struct sherd_answer *answer);

/* The bounds of a key: what its record says, and never below the floor. */
struct sherd_ballot sherd_record_promised(const struct sherd_record *r, struct sherd_ballot floor);
struct sherd_ballot sherd_record_refused(const struct sherd_record *r, struct sherd_ballot floor);

/* Marks undecided entries as shown; returns those newly marked, as bits of change.shown. For LIST.
 */
uint16_t sherd_record_show(struct sherd_record *record);

/* Drops bounds that are implied by the floor and the entries; whether anything changed. */
bool sherd_record_tidy(struct sherd_record *record, struct sherd_ballot floor);

/* A settled key is one committed entry whose version equals its ballot, and no bounds beyond it. */
bool sherd_record_is_settled(const struct sherd_record *r);

#endif
