#include "coord/operation_parts.h"

static void restart(struct sherd_turn *t, enum sherd_phase phase)
{
    if (phase == SHERD_PHASE_READING)
        sherd_op_read(t);
    else if (phase == SHERD_PHASE_WRITING)
        sherd_op_write(t);
    else
        sherd_op_promise(t);
}

static void on_deadline(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;

    if (op->phase == SHERD_PHASE_WRITING && sherd_writer_is_complete(&op->writer))
        sherd_op_finish(t, SHERD_OK);
    else if (op->alive)
        sherd_op_finish(t, SHERD_UNCERTAIN);
    else
        sherd_op_finish(t, op->heard_quorum && op->goal != SHERD_GOAL_SET ? SHERD_TIMEOUT
                                                                          : SHERD_NO_QUORUM);
}

static void on_timer(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;

    if (t->env->now_us >= op->deadline_us) {
        on_deadline(t);
        return;
    }
    if (t->env->now_us < op->phase_due_us) return;
    switch (op->phase) {
    case SHERD_PHASE_WAITING: restart(t, op->resume); break;
    case SHERD_PHASE_READING:
        sherd_reader_timer(&op->reader, t->env, t->out);
        sherd_op_on_read(t);
        break;
    case SHERD_PHASE_WRITING:
        sherd_writer_timer(&op->writer, t->env, t->out);
        sherd_op_on_write(t);
        break;
    case SHERD_PHASE_PROPOSING:
        sherd_writer_timer(&op->writer, t->env, t->out);
        sherd_op_on_propose(t);
        break;
    case SHERD_PHASE_PROMISING:
        sherd_finisher_timer(&op->finisher, t->env);
        sherd_op_on_promise(t);
        break;
    case SHERD_PHASE_INSERTING: sherd_op_on_insert(t, 0, op->inserting); break;
    default: break;
    }
}

/* An answer to a writer's PREPARE or, with a round of its own, to its ABORT or COMMIT. */
static void on_writer_answer(struct sherd_turn *t, uint8_t slot, const struct sherd_answer *a)
{
    struct sherd_operation *op = t->op;

    if ((a->id & UINT16_MAX) == op->round)
        sherd_writer_answer(&op->writer, slot, a, t->env, t->out);
    else
        sherd_writer_late(&op->writer, slot, a);
    if (op->phase == SHERD_PHASE_WRITING)
        sherd_op_on_write(t);
    else
        sherd_op_on_propose(t);
}

static void on_answer(struct sherd_turn *t, uint8_t slot, const struct sherd_answer *a)
{
    struct sherd_operation *op = t->op;
    uint32_t bit = sherd_slot(slot);

    bool writes = op->phase == SHERD_PHASE_WRITING || op->phase == SHERD_PHASE_PROPOSING;

    if (writes && (a->id & UINT16_MAX) == op->prepare_round) {
        on_writer_answer(t, slot, a);
        return;
    }
    if ((a->id & UINT16_MAX) != op->round) return; /* of an earlier round */
    switch (op->phase) {
    case SHERD_PHASE_READING:
        sherd_reader_answer(&op->reader, slot, a, t->env, t->out);
        sherd_op_on_read(t);
        break;
    case SHERD_PHASE_WRITING:
    case SHERD_PHASE_PROPOSING: on_writer_answer(t, slot, a); break;
    case SHERD_PHASE_PROMISING:
        sherd_finisher_answer(&op->finisher, slot, a, t->env);
        sherd_op_on_promise(t);
        break;
    case SHERD_PHASE_INSERTING:
        sherd_op_on_insert(t, a->kind == SHERD_ACK ? bit : 0, a->kind == SHERD_ACK ? 0 : bit);
        break;
    default: break;
    }
}

static void on_gone(struct sherd_turn *t, uint32_t slots, bool unsent)
{
    struct sherd_operation *op = t->op;

    switch (op->phase) {
    case SHERD_PHASE_READING:
        sherd_reader_gone(&op->reader, slots, t->env, t->out);
        sherd_op_on_read(t);
        break;
    case SHERD_PHASE_WRITING:
        sherd_writer_gone(&op->writer, slots, unsent, t->env, t->out);
        sherd_op_on_write(t);
        break;
    case SHERD_PHASE_PROPOSING:
        sherd_writer_gone(&op->writer, slots, unsent, t->env, t->out);
        sherd_op_on_propose(t);
        break;
    case SHERD_PHASE_PROMISING:
        sherd_finisher_gone(&op->finisher, slots, t->env);
        sherd_op_on_promise(t);
        break;
    case SHERD_PHASE_INSERTING: sherd_op_on_insert(t, 0, slots); break;
    default: break;
    }
}

/* A set never reads: what a read finds would be taken for its own end. Whom the value was meant for
 * is forgotten with it: what is encoded next may be a value that nobody has decided. */
static void on_corrupt(struct sherd_turn *t)
{
    bool finishes = t->op->alive || t->op->goal == SHERD_GOAL_SET;

    t->op->shards_are_old = false;
    t->op->inserting = 0;
    t->op->making_room = false;
    if (++t->op->corrupt_reads >= CORRUPT_READS_MAX)
        sherd_op_finish(t, t->op->alive ? SHERD_UNCERTAIN : SHERD_LOST);
    else
        sherd_op_wait(t, finishes ? SHERD_PHASE_PROMISING : SHERD_PHASE_READING, REREAD_US);
}

static void on_encoded(struct sherd_turn *t)
{
    if (t->op->phase != SHERD_PHASE_ENCODING) return;
    if (t->op->inserting)
        sherd_op_send_inserts(t);
    else
        sherd_op_propose(t);
}

static void on_start(struct sherd_turn *t)
{
    struct sherd_operation *op = t->op;
    uint64_t left = op->deadline_us > t->env->now_us ? op->deadline_us - t->env->now_us : 0;

    op->abort_at_us = t->env->now_us + left / 4 * 3;
    if (op->goal == SHERD_GOAL_SET)
        sherd_op_write(t);
    else
        sherd_op_read(t);
}

void sherd_operation_step(struct sherd_operation *op, const struct sherd_env *env,
                          const struct sherd_event *event, struct sherd_effects *out)
{
    struct sherd_turn t = {op, env, out};

    out->count = 0;
    if (op->phase == SHERD_PHASE_DONE) return;
    switch (event->kind) {
    case SHERD_EVENT_START: on_start(&t); break;
    case SHERD_EVENT_ANSWER: on_answer(&t, event->slot, event->answer); break;
    case SHERD_EVENT_UNSENT: on_gone(&t, event->slots, true); break;
    case SHERD_EVENT_GONE: on_gone(&t, event->slots, false); break;
    case SHERD_EVENT_TIMER: on_timer(&t); break;
    case SHERD_EVENT_ENCODED: on_encoded(&t); break;
    case SHERD_EVENT_DECODED:
        if (op->phase == SHERD_PHASE_DECODING) sherd_op_finish(&t, SHERD_OK);
        break;
    case SHERD_EVENT_CORRUPT: on_corrupt(&t); break;
    case SHERD_EVENT_COMPUTED:
        if (op->phase == SHERD_PHASE_COMPUTING) sherd_op_write(&t);
        break;
    case SHERD_EVENT_REFUSED: sherd_op_finish(&t, event->outcome); break;
    case SHERD_EVENT_MAP:
        if (op->phase == SHERD_PHASE_WAITING && env->map->version > op->map->version)
            restart(&t, op->resume);
        break;
    }
    op->due_us = op->phase_due_us < op->deadline_us ? op->phase_due_us : op->deadline_us;
}
