#include "client/compute.h"

#include <stdio.h>

struct sherd_plan sherd_plan_of(enum sherd_op_kind kind)
{
    static const struct sherd_plan plans[] = {
        [SHERD_OP_GET] = {.goal = SHERD_GOAL_GET   },
        [SHERD_OP_LOOK] = {.goal = SHERD_GOAL_LOOK  },
        [SHERD_OP_EXPLAIN] = {.goal = SHERD_GOAL_LOOK,   .ask_all = true},
        [SHERD_OP_SET] = {.goal = SHERD_GOAL_SET,                         .is_write = true},
        [SHERD_OP_DELETE] = {.goal = SHERD_GOAL_SET,.is_write = true},
        [SHERD_OP_CAS] = {.goal = SHERD_GOAL_UPDATE,    .is_write = true},
        [SHERD_OP_ADD] = {.goal = SHERD_GOAL_UPDATE,                         .is_write = true},
        [SHERD_OP_REPLACE] = {.goal = SHERD_GOAL_UPDATE,      .is_write = true},
        [SHERD_OP_INCREMENT] = {.goal = SHERD_GOAL_UPDATE, .want_value = true, .is_write = true},
        [SHERD_OP_APPEND] = {.goal = SHERD_GOAL_UPDATE,                         .want_value = true, .is_write = true},
        [SHERD_OP_REMOVE] = {.goal = SHERD_GOAL_UPDATE,    .is_write = true},
        [SHERD_OP_FINISH] = {.goal = SHERD_GOAL_FINISH},
        [SHERD_OP_REPAIR] = {.goal = SHERD_GOAL_REPAIR        },
    };
    struct sherd_plan plan = {0};

    if ((unsigned)kind >= sizeof(plans) / sizeof(plans[0])) return plan;
    plan = plans[kind];
    plan.is_known = true;
    return plan;
}

static bool is_expected(const struct sherd_op *op, const struct sherd_current *current)
{
    return current->version.clock == op->expect.clock &&
           current->version.client == op->expect.client &&
           current->version.epoch == op->expect.epoch;
}

static bool expects_nothing(const struct sherd_op *op)
{
    return op->expect.clock == 0 && op->expect.client == 0 && op->expect.epoch == 0;
}

/* Whether the key is in the state that the operation asks for. */
static enum sherd_outcome check_state(const struct sherd_op *op,
                                      const struct sherd_current *current)
{
    switch (op->kind) {
    case SHERD_OP_CAS:
        if (current->exists) return is_expected(op, current) ? SHERD_OK : SHERD_CONFLICT;
        return expects_nothing(op) ? SHERD_OK : SHERD_NOT_FOUND;
    case SHERD_OP_ADD: return current->exists ? SHERD_CONFLICT : SHERD_OK;
    case SHERD_OP_REPLACE: return current->exists ? SHERD_OK : SHERD_NOT_FOUND;
    case SHERD_OP_REMOVE:
        if (!current->exists) return SHERD_NOT_FOUND;
        return !op->use_expect || is_expected(op, current) ? SHERD_OK : SHERD_CONFLICT;
    default: return SHERD_OK;
    }
}

/* A decimal int64, nothing else around it. */
static bool parse_number(struct sherd_bytes text, int64_t *out)
{
    const char *at = text.data;
    size_t i = 0;
    bool negative = text.size > 0 && at[0] == '-';
    int64_t number = 0;

    if (negative) i++;
    if (i == text.size) return false;
    for (; i < text.size; i++) {
        int digit = at[i] - '0';
        if (digit < 0 || digit > 9) return false;
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_sub_overflow(number, digit, &number))
            return false; /* counted below zero, where there is one number more */
    }
    if (!negative && __builtin_sub_overflow(0, number, &number)) return false;
    *out = number;
    return true;
}

static enum sherd_outcome increment(const struct sherd_op *op, const struct sherd_current *current,
                                    struct sherd_new_value *out)
{
    int64_t number = 0;
    int size;

    if (current->exists && !parse_number(current->bytes, &number)) return SHERD_BAD_VALUE;
    if (__builtin_add_overflow(number, op->delta, &out->number)) return SHERD_BAD_VALUE;
    size = snprintf(out->digits, sizeof(out->digits), "%lld", (long long)out->number);
    out->head = (struct sherd_bytes){out->digits, (size_t)size};
    return SHERD_OK;
}

static enum sherd_outcome append(const struct sherd_op *op, const struct sherd_current *current,
                                 struct sherd_new_value *out)
{
    if (current->exists) out->head = current->bytes;
    out->tail = op->value;
    return out->head.size + out->tail.size > SHERD_VALUE_MAX ? SHERD_TOO_BIG : SHERD_OK;
}

static uint64_t expiry_of(const struct sherd_op *op, const struct sherd_current *current,
                          uint64_t wall_ms)
{
    bool changes = op->kind == SHERD_OP_INCREMENT || op->kind == SHERD_OP_APPEND;

    if (op->ttl_ms == 0) return changes && current->exists ? current->expires_ms : 0;
    return op->ttl_ms > UINT64_MAX - wall_ms ? UINT64_MAX : wall_ms + op->ttl_ms;
}

enum sherd_outcome sherd_compute(const struct sherd_op *op, const struct sherd_current *current,
                                 uint64_t wall_ms, struct sherd_new_value *out)
{
    enum sherd_outcome outcome = check_state(op, current);

    if (outcome != SHERD_OK) return outcome;
    *out = (struct sherd_new_value){.expires_ms = expiry_of(op, current, wall_ms)};
    switch (op->kind) {
    case SHERD_OP_DELETE:
    case SHERD_OP_REMOVE:
        out->tombstone = true;
        out->expires_ms = 0;
        return SHERD_OK;
    case SHERD_OP_INCREMENT: return increment(op, current, out);
    case SHERD_OP_APPEND: return append(op, current, out);
    default: out->head = op->value; return SHERD_OK;
    }
}
