/* operation_parts.h - the inside of operation.h, shared by the files that make it up:
 *   operation.c         events to phases
 *   operation_read.c    READING, and giving a value to those that lack it
 *   operation_write.c   WRITING
 *   operation_finish.c  PROMISING, PROPOSING
 *   operation_common.c  waiting, ballots, the end
 *   operation_request.c the requests of a SEND effect */
#ifndef SHERD_COORD_OPERATION_PARTS_H
#define SHERD_COORD_OPERATION_PARTS_H

#include "coord/operation.h"

enum {
    MS = 1000,
    REREAD_US = 10 * MS, /* an undecided write is given this long before it is finished */
    REACH_US = 10 * MS,  /* how often to look whether enough nodes are back */
    INSERT_PATIENCE_US = 2000 * MS,
    CORRUPT_READS_MAX = 3,
    BACKOFF_SHIFT_MAX = 6,
};

/* What one step carries along. */
struct sherd_turn {
    struct sherd_operation *op;
    const struct sherd_env *env;
    struct sherd_effects *out;
};

/* Whether readers find no bytes under this now. */
static inline bool sherd_op_is_empty(const struct sherd_turn *t, const struct sherd_meta *meta)
{
    return sherd_meta_is_empty(meta, t->env->wall_ms);
}

void sherd_op_bind(struct sherd_turn *t);
void sherd_op_answer(struct sherd_turn *t, enum sherd_outcome outcome);
void sherd_op_finish(struct sherd_turn *t, enum sherd_outcome outcome);
void sherd_op_wait(struct sherd_turn *t, enum sherd_phase resume, uint64_t wait_us);
uint64_t sherd_op_backoff_us(struct sherd_turn *t);
void sherd_op_refresh(struct sherd_turn *t, enum sherd_phase resume, uint32_t who_knows);
bool sherd_op_meets_loss(struct sherd_turn *t, enum sherd_phase resume);
bool sherd_op_raise_above(struct sherd_turn *t, struct sherd_ballot max);
struct sherd_ballot sherd_op_next_ballot(struct sherd_turn *t);
void sherd_op_read(struct sherd_turn *t);
void sherd_op_note_current(struct sherd_operation *op, const struct sherd_seen *seen,
                           uint64_t wall_ms);
void sherd_op_deliver(struct sherd_turn *t);
void sherd_op_send_commit(struct sherd_turn *t, struct sherd_ballot ballot, uint32_t slots,
                          uint32_t held);
void sherd_op_send_inserts(struct sherd_turn *t);
void sherd_op_encode_old(struct sherd_turn *t);
void sherd_op_on_read(struct sherd_turn *t);
void sherd_op_on_insert(struct sherd_turn *t, uint32_t done, uint32_t failed);
void sherd_op_begin_writer(struct sherd_turn *t, struct sherd_ballot ballot,
                           struct sherd_ballot version, const struct sherd_meta *meta);
void sherd_op_write_at(struct sherd_turn *t, struct sherd_ballot ballot, bool promised);
void sherd_op_write(struct sherd_turn *t);
/* Gives the ABORT or COMMIT that a writer has just asked for a round of its own: its answers prove
 * other things than the answers to the PREPARE that may still come. */
void sherd_op_part_rounds(struct sherd_operation *op);
void sherd_op_on_write(struct sherd_turn *t);
void sherd_op_promise(struct sherd_turn *t);
void sherd_op_propose(struct sherd_turn *t);
void sherd_op_on_promise(struct sherd_turn *t);
void sherd_op_on_propose(struct sherd_turn *t);

#endif
