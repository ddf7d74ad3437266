/* store_content.h - what a store holds, to be compared with what it holds later, and random changes
 * of it. For stores that are opened again. */
#ifndef SHERD_TESTS_STORE_CONTENT_H
#define SHERD_TESTS_STORE_CONTENT_H

#include "server/store.h"

/* One record. Hashes, so that a content is small. */
struct content_record {
    uint16_t partition;
    uint64_t key, head;                 /* partition and key; all but the shards */
    uint64_t shards[SHERD_ENTRIES_MAX]; /* 0: none */
    uint16_t damaged;
};

struct content {
    struct content_record *records;
    size_t count;
    uint64_t notes[SHERD_NOTES];
    uint8_t forgotten[SHERD_PARTITIONS / 8]; /* partitions that could not be read */
    struct sherd_store_stats stats;
};

/* Reads everything but the partitions that the store says it has forgotten. 0, or what next() said.
 * The content is to be freed in either case. */
int content_read(struct sherd_store *s, struct content *out);
void content_free(struct content *c);

/* Whether they are the same, but for what `now` has forgotten. Shards of `now` may be damaged if
 * `lenient`. */
bool content_equals(const struct content *now, const struct content *then, bool lenient);

/* Changes something, the same for the same *random and store: puts, commits, strips, forgets, drops
 * partitions, saves notes. 0, or what the store said. */
int content_change(struct sherd_store *s, uint64_t *random);

#endif
