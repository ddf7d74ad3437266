/* operation_request.c - the requests that an operation sends. */
#include <string.h>

#include "coord/operation.h"

bool sherd_operation_has_shard(const struct sherd_operation *op, enum sherd_message_kind message)
{
    const struct sherd_meta *meta = message == SHERD_INSERT ? &op->found : &op->writer.meta;

    return (message == SHERD_PREPARE || message == SHERD_INSERT) &&
           (meta->flags & (SHERD_META_TOMBSTONE | SHERD_META_LOST)) == 0;
}

static void fill_prepare(const struct sherd_operation *op, struct sherd_request *out)
{
    const struct sherd_writer *w = &op->writer;

    out->ballot = w->ballot;
    out->version = w->version;
    out->meta = w->meta;
    out->expect = w->expect;
    out->flags =
        (uint8_t)((w->conditional || w->finishes ? SHERD_WITH_EXPECT : 0) |
                  (w->from_reserve ? SHERD_FROM_RESERVE : 0) | (w->finishes ? SHERD_ONE_SHOT : 0));
}

static void fill_insert(const struct sherd_operation *op, struct sherd_request *out)
{
    out->ballot = op->chosen;
    out->version = op->version;
    out->meta = op->found;
    out->flags = SHERD_COMMITTED | SHERD_FROM_RESERVE;
}

void sherd_operation_request(const struct sherd_operation *op, const struct sherd_effect *effect,
                             uint8_t slot, struct sherd_request *out)
{
    memset(out, 0, sizeof(*out));
    out->id = op->tag | op->round;
    out->kind = effect->message;
    out->slot = slot;
    out->epoch = op->partition->epoch;
    out->key = op->key;
    out->key_hash = op->key_hash;
    out->shard_frame = -1;
    switch (effect->message) {
    case SHERD_PREPARE: fill_prepare(op, out); break;
    case SHERD_INSERT: fill_insert(op, out); break;
    case SHERD_PROMISE: out->ballot = op->finisher.ballot; break;
    case SHERD_ABORT:
        out->ballot = op->writer.ballot;
        if (op->writer.outvoted) out->flags |= SHERD_OUTVOTED;
        break;
    case SHERD_COMMIT:
        out->ballot = op->commit_ballot;
        out->acked = op->commit_mask;
        if (!op->commit_wanted) out->id = 0;
        break;
    default: break;
    }
    if (sherd_slots_has(effect->with_shard, slot)) out->flags |= SHERD_WITH_SHARD;
}
