/* listing.h - all keys of one partition, as all its voters know them, key by key.
 *
 * Pages through LIST on every voter at once, merges the pages by the order that all stores share
 * (hash, then bytes), and hands out each key with the answers folded: for scans by users, for the
 * rebuild of a learner, for catch-up and the scan that closes an epoch. Driven by the owner's
 * engine polls; bounded memory: one page per voter. */
#ifndef SHERD_CLIENT_LISTING_H
#define SHERD_CLIENT_LISTING_H

#include "client/engine.h"
#include "coord/choose.h"

struct sherd_listing;

struct sherd_listing_options {
    uint16_t partition;
    uint32_t page_bytes;       /* 0: 1 MiB */
    uint64_t since;            /* only keys with an entry whose clock is at least this */
    struct sherd_bytes prefix; /* copied */
    bool with_shards;          /* ask k of the voters for shards too */
    uint32_t timeout_ms;       /* of a page; a voter that misses it counts as silent from then on */
};

/* What the voters (and, when it is one of them, this node itself as learner) hold under one key.
 * Views live until the next call of next() or close(). */
struct sherd_listed {
    struct sherd_bytes key;
    uint64_t key_hash;
    struct sherd_answers answers;
    struct sherd_bytes
        shards[SHERD_SLOTS_MAX]; /* of the highest committed entry of each slot, where
                                    asked for and intact; data NULL otherwise */
    uint32_t crc[SHERD_SLOTS_MAX];
    struct sherd_ballot shard_version[SHERD_SLOTS_MAX];
};

enum sherd_listing_state {
    SHERD_LISTING_WAIT,   /* pages are on the way: poll the engine */
    SHERD_LISTING_KEY,    /* *out is the next key */
    SHERD_LISTING_END,    /* every key was handed out; see sherd_listing_heard */
    SHERD_LISTING_STALE,  /* the epoch changed: begin again under the new map */
    SHERD_LISTING_FAILED, /* fewer than r voters answer */
};

/* 0; -ENOTCONN: no map yet; -EINVAL: no such partition, or the prefix is too long; -ENOMEM. */
int sherd_listing_open(struct sherd_engine *e, const struct sherd_listing_options *options,
                       struct sherd_listing **out);
enum sherd_listing_state sherd_listing_next(struct sherd_listing *l, struct sherd_listed *out);
/* Slots that answered every page so far. */
uint32_t sherd_listing_heard(const struct sherd_listing *l);
uint32_t sherd_listing_epoch(const struct sherd_listing *l);
void sherd_listing_close(struct sherd_listing *l);

#endif
