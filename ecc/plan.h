/* plan.h - a cache of decoding plans, one for each pattern of losses met lately.
 *
 * A plan is the table that computes the shards `wanted` from the k shards `sources`. Making one
 * inverts a k x k matrix; while a node is down the same few patterns come back with every read.
 *
 * The cache holds SHERD_PLANS_MAX plans and drops the one unused for longest. It does not know
 * what is in a table: ecc.c fills them. It belongs to one thread at a time. */
#ifndef SHERD_ECC_PLAN_H
#define SHERD_ECC_PLAN_H

#include <stddef.h>
#include <stdint.h>

#define SHERD_PLANS_MAX 64

struct sherd_plans {
    uint64_t
        keys[SHERD_PLANS_MAX]; /* sources and wanted; 0: free, as nobody decodes from nothing */
    uint64_t used[SHERD_PLANS_MAX]; /* the turn of the last use */
    uint64_t turn;                  /* counts lookups */
    uint64_t hits;                  /* lookups that found their plan */
    unsigned char *tables;          /* SHERD_PLANS_MAX * table_size bytes, borrowed */
    size_t table_size;
};

/* `tables` is memory for SHERD_PLANS_MAX * table_size bytes; it must outlive the cache. */
void sherd_plans_init(struct sherd_plans *p, unsigned char *tables, size_t table_size);

/* The table of the plan for two sets of slots (bit i is slot i; `sources` is not empty). If *fresh,
 * it holds nothing useful yet and the caller must fill it. Valid until the next call. */
unsigned char *sherd_plans_find(struct sherd_plans *p, uint32_t sources, uint32_t wanted,
                                int *fresh);

#endif
