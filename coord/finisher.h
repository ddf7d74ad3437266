/* finisher.h - one PROMISE round for one key: what any reader, writer or server does about an
 * undecided write (PROTOCOL 5; the relatives are CASPaxos and RS-Paxos).
 *
 * Pure. Gathers q promises, chooses over them, and says what must be proposed again. The parent
 * runs that proposal with a writer at the promised ballot. */
#ifndef SHERD_COORD_FINISHER_H
#define SHERD_COORD_FINISHER_H

#include "coord/choose.h"
#include "coord/effects.h"

enum sherd_finisher_verdict {
    SHERD_FINISHER_RUNNING,
    SHERD_FINISHER_CLEAN,   /* choice.seen (NULL: no value) is complete, nothing stands above it */
    SHERD_FINISHER_PROPOSE, /* propose choice.seen (NULL: a tombstone) again at `ballot` */
    SHERD_FINISHER_LOST,    /* every voter promised: the newest value cannot be rebuilt */
    SHERD_FINISHER_AGAIN,   /* a higher ballot is needed, or answers are missing */
    SHERD_FINISHER_STALE,
};

struct sherd_finisher {
    const struct sherd_partition *partition;
    uint8_t k;
    struct sherd_ballot ballot; /* above everything seen */

    enum sherd_finisher_verdict verdict;
    uint32_t answered, failed;
    struct sherd_ballot max; /* highest ballot that a NACK named */
    struct sherd_answers answers;
    struct sherd_choice choice;
    uint64_t due_us;
};

void sherd_finisher_start(struct sherd_finisher *f, const struct sherd_env *env,
                          struct sherd_effects *out);
void sherd_finisher_answer(struct sherd_finisher *f, uint8_t slot, const struct sherd_answer *a,
                           const struct sherd_env *env);
void sherd_finisher_gone(struct sherd_finisher *f, uint32_t slots, const struct sherd_env *env);
void sherd_finisher_timer(struct sherd_finisher *f, const struct sherd_env *env);

#endif
