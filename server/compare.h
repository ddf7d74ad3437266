/* compare.h - the part of scrub that needs others: do all voters of a partition hold the same?
 *
 * The holder of the lowest voter slot asks, range by range, for digests (digest.h). A range that
 * differs is asked for again, since a write may have been under way; if it still does, the whole
 * partition is looked through (a CATCH_UP by recovery.h), which repairs what is found. Only clean
 * partitions whose voters all answer are compared. */
#ifndef SHERD_SERVER_COMPARE_H
#define SHERD_SERVER_COMPARE_H

#include "server/digest.h"
#include "server/sealed.h"

struct sherd_compare;

struct sherd_compare_asked {
    struct sherd_compare *owner;
    struct sherd_digest digest;
    bool arrived;
};

struct sherd_compare {
    bool on; /* `scrub_rate` is not 0 */
    uint16_t partition;
    uint32_t epoch;
    uint64_t from; /* first hash of the range */
    uint64_t due_ms;
    uint8_t own, tries;
    uint32_t voters, waiting; /* slots; waiting != 0: answers are to come */
    uint8_t state;            /* enum in compare.c */
    struct sherd_compare_asked asked[SHERD_SLOTS_MAX];
};

void sherd_compare_init(struct sherd_compare *c, bool on);
void sherd_compare_turn(struct sherd_compare *c, const struct sherd_sealed *sealed,
                        const struct sherd_turn *t);

#endif
