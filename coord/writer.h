/* writer.h - one attempt to write one key: the coordinator's side of two-phase commit.
 *
 * Pure. The parent (operation.h) fills the attempt in, starts it, reports what happened, and looks
 * at the verdict; machines never call each other. Effects go to the shared list. PROTOCOL 3.
 *
 *     PREPARING --need ACKs--> SETTLING --all reachable, or late--> [COMMITTING] --> COMPLETE
 *         |                                                  (+ COMMIT to all)
 *         '--too many NACKs, or 3/4 of the deadline--> ABORTING --n - dead < k--> DEAD
 *                                          (+ ABORT to all)  |--exposed---------> EXPOSED
 *                                                            '--no proof--------> EXPOSED
 */
#ifndef SHERD_COORD_WRITER_H
#define SHERD_COORD_WRITER_H

#include "coord/effects.h"
#include "coord/quorum.h"

enum sherd_writer_state {
    SHERD_WRITER_PREPARING,
    SHERD_WRITER_SETTLING,   /* complete; a few ACKs may still come */
    SHERD_WRITER_COMMITTING, /* complete; waiting until the COMMIT itself is known to many */
    SHERD_WRITER_ABORTING,
    SHERD_WRITER_DONE,
};

enum sherd_writer_verdict {
    SHERD_WRITER_RUNNING,
    SHERD_WRITER_COMPLETE, /* readers may return it; COMMIT was sent */
    SHERD_WRITER_DEAD,     /* nobody can ever rebuild it: a new attempt is safe */
    SHERD_WRITER_EXPOSED,  /* somebody may be finishing it, or it cannot be proved dead: Finish */
};

struct sherd_writer {
    /* The attempt: filled in by the parent. */
    struct sherd_ballot ballot, version, expect;
    struct sherd_meta meta;
    bool conditional;  /* PREPARE with expect: needs f ACKs */
    bool finishes;     /* the proposal of a Finish; `expect` is the ballot that it chose */
    bool from_reserve; /* a delete or a Finish */
    struct sherd_quorum quorum;
    uint32_t voters, holders; /* of the epoch; every holder gets the PREPARE */
    uint64_t abort_at_us;     /* 3/4 of the operation's deadline */

    enum sherd_writer_state state;
    enum sherd_writer_verdict verdict;
    uint32_t acked;          /* hold it */
    uint32_t refusing;       /* cannot ACK any more: NACK, STALE, not sent, connection lost */
    uint32_t dead;           /* proved never to hold it, or to hold it no more */
    uint32_t stale;          /* answered STALE to the PREPARE */
    uint32_t abort_stale;    /* answered STALE to the ABORT: proves nothing */
    uint32_t confirmed;      /* answered the COMMIT */
    uint32_t full, ahead;    /* refused for want of room, for their clock */
    bool outvoted;           /* ABORTING: so many voters refused it that it never was complete */
    uint8_t reason;          /* of the most telling NACK: enum sherd_reason */
    struct sherd_ballot max; /* highest ballot that a NACK named */
    uint64_t due_us;
};

/* After the parent filled the attempt in: PREPARE to all holders. */
void sherd_writer_start(struct sherd_writer *w, const struct sherd_env *env,
                        struct sherd_effects *out);

/* An answer to what was sent last: the PREPARE, the ABORT or the COMMIT. */
void sherd_writer_answer(struct sherd_writer *w, uint8_t slot, const struct sherd_answer *a,
                         const struct sherd_env *env, struct sherd_effects *out);

/* An answer to the PREPARE that comes only after the ABORT or the COMMIT was sent. */
void sherd_writer_late(struct sherd_writer *w, uint8_t slot, const struct sherd_answer *a);

/* `slots` will not answer the current round. `unsent`: the request never left this process. */
void sherd_writer_gone(struct sherd_writer *w, uint32_t slots, bool unsent,
                       const struct sherd_env *env, struct sherd_effects *out);

void sherd_writer_timer(struct sherd_writer *w, const struct sherd_env *env,
                        struct sherd_effects *out);

/* Whether the value is complete already, though the machine still waits for the last ACKs. */
static inline bool sherd_writer_is_complete(const struct sherd_writer *w)
{
    return w->state == SHERD_WRITER_SETTLING || w->state == SHERD_WRITER_COMMITTING ||
           w->verdict == SHERD_WRITER_COMPLETE;
}

#endif
