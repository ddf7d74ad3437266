/* compute.h - what an operation makes of the value it finds: its goal, and the new value. Pure. */
#ifndef SHERD_CLIENT_COMPUTE_H
#define SHERD_CLIENT_COMPUTE_H

#include <sherd/sherd.h>

#include "coord/operation.h"

static inline struct sherd_ballot sherd_ballot_of(struct sherd_version v)
{
    return (struct sherd_ballot){v.clock, v.client, v.epoch};
}

static inline struct sherd_version sherd_version_of(struct sherd_ballot b)
{
    return (struct sherd_version){b.clock, b.client, b.epoch};
}

/* How an operation of this kind is carried out. */
struct sherd_plan {
    enum sherd_goal goal;
    bool want_value; /* the bytes there are needed to compute the new ones */
    bool ask_all;
    bool is_write;
    bool is_known; /* there is such a kind */
};
struct sherd_plan sherd_plan_of(enum sherd_op_kind kind);

/* The value that is there now. */
struct sherd_current {
    bool exists;
    struct sherd_version version;
    struct sherd_bytes bytes; /* only with want_value */
    uint64_t expires_ms;
};

/* The value to write, in two parts that follow each other (APPEND: the second is what was added).
 */
struct sherd_new_value {
    struct sherd_bytes head, tail;
    bool tombstone;
    uint64_t expires_ms;
    int64_t number;  /* INCREMENT */
    char digits[24]; /* its text: `head` points here */
};

/* SHERD_OK: *out is the new value, whose parts point into the operation's value, the current bytes
 * and *out itself. Else why there is none: CONFLICT, NOT_FOUND, BAD_VALUE, TOO_BIG.
 * INCREMENT and APPEND without a time to live keep the value's own. */
enum sherd_outcome sherd_compute(const struct sherd_op *op, const struct sherd_current *current,
                                 uint64_t wall_ms, struct sherd_new_value *out);

#endif
