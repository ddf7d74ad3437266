/* reader.h - one round of READs for one key: the first k answers that settle it (PROTOCOL 4).
 *
 * Pure. Asks k slots for their shards and as many others as the read quorum needs for metadata
 * only; asks further slots when one fails, when the hedging delay has passed, or when the answers
 * do not settle it. The parent starts further rounds, or a Finish. */
#ifndef SHERD_COORD_READER_H
#define SHERD_COORD_READER_H

#include "coord/choose.h"
#include "coord/effects.h"

enum sherd_reader_verdict {
    SHERD_READER_RUNNING,
    SHERD_READER_COMPLETE, /* choice.seen, or NULL: the key has no value; shards as asked for */
    SHERD_READER_POSSIBLE, /* every slot that answers has answered: read again, then Finish */
    SHERD_READER_AGAIN,    /* not enough answered in this epoch: read again soon */
    SHERD_READER_STALE,    /* a node knows a newer epoch: fetch the map */
};

struct sherd_reader {
    bool want_value; /* k shards are needed at hand, not only on the nodes */
    bool ask_all;    /* hear every holder that answers, not only a quorum (repair) */
    const struct sherd_partition *partition;
    uint8_t k;

    enum sherd_reader_verdict verdict;
    uint32_t asked;    /* slots sent a READ */
    uint32_t wanted;   /* ... for their shard */
    uint32_t again;    /* ... a second time */
    uint32_t answered; /* latest request answered, or known to stay unanswered */
    uint32_t failed;   /* STALE, connection lost */
    uint32_t stale;    /* know a newer epoch */
    struct sherd_answers answers;
    struct sherd_choice choice;
    uint64_t give_up_us, due_us;
};

void sherd_reader_start(struct sherd_reader *r, const struct sherd_env *env,
                        struct sherd_effects *out);
void sherd_reader_answer(struct sherd_reader *r, uint8_t slot, const struct sherd_answer *a,
                         const struct sherd_env *env, struct sherd_effects *out);
void sherd_reader_gone(struct sherd_reader *r, uint32_t slots, const struct sherd_env *env,
                       struct sherd_effects *out);
void sherd_reader_timer(struct sherd_reader *r, const struct sherd_env *env,
                        struct sherd_effects *out);

#endif
