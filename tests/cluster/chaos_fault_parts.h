/* chaos_fault_parts.h - what the files of the nemesis share: chaos_faults.c, which draws faults and
 * has those of processes, and chaos_links.c. Nobody else includes it. */
#ifndef SHERD_TESTS_CLUSTER_CHAOS_FAULT_PARTS_H
#define SHERD_TESTS_CLUSTER_CHAOS_FAULT_PARTS_H

#include "tests/cluster/chaos_faults.h"

struct dice {
    uint64_t state;
};

static inline uint32_t roll(struct dice *d, uint32_t bound) { return test_below(&d->state, bound); }
static inline uint32_t between(struct dice *d, uint32_t low, uint32_t high)
{
    return low + roll(d, high - low + 1);
}

static inline uint32_t bit(unsigned host) { return 1u << host; }
static inline uint32_t all_nodes(const struct chaos *c) { return bit(c->nodes) - 1; }
static inline uint32_t all_hosts(const struct chaos *c) { return bit(c->hosts) - 1; }

/* `count` of `among`, or all if there are fewer. */
uint32_t faults_pick_set(struct dice *d, uint32_t among, unsigned count);

const char *faults_show(uint32_t set); /* "0,3"; good for the next few calls */

/* A fault that keeps the keeper from hearing `nodes`. It takes away the slots of who is silent for
 * too long, which is a loss of state: one node, not its own, may be, when one may be lost at all;
 * else all such faults in a row must be over long before. False: not now. */
bool faults_allow_silence(struct faults *f, struct fault *x, uint32_t nodes, uint32_t *ms);

/* False: not now. `ms`: how long it is to last. */
bool links_begin(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms);
void links_end(struct faults *f, const struct fault *x);

#endif
