/* store_table.h - the keys of one partition: a hash table that stays sorted by (hash, key).
 *
 * Open addressing with linear probing; a key's home grows with its hash, and a run is kept in
 * order, so the whole table is in order and a walk over it is LIST's. There is no wrap-around: a
 * run at the end goes on into a few slack slots. Deleting shifts the run back, so there are no
 * markers.
 *
 * A slot keeps the upper half of its key's hash; the rest follows from the key, and is only asked
 * for where two upper halves are equal.
 *
 * The table is at most fifteen sixteenths full and grows by an eighth, all at once. That
 * copies 12 bytes a key of one partition, a 256th of the store: the longest pause that the index
 * causes, about a millisecond per 100 000 keys of the partition. */
#ifndef SHERD_SERVER_STORE_TABLE_H
#define SHERD_SERVER_STORE_TABLE_H

#include "server/store_chain.h"

/* Packed: there is one for every key, and more. */
struct sherd_store_slot {
    uint32_t hash_upper;
    struct sherd_store_chain chain; /* the key's cells; empty: so is the slot */
} __attribute__((packed, aligned(4)));

/* Of the key of a slot in use. */
uint64_t sherd_store_slot_hash(const struct sherd_store_slot *slot);

/* All zero is an empty table. */
struct sherd_store_table {
    struct sherd_store_slot *slots;
    uint32_t capacity; /* homes */
    uint32_t length;   /* slots: the capacity and the slack */
    uint32_t count;    /* keys */
};

/* NULL: the key is not there. The slot stays valid until a key comes or goes. */
struct sherd_store_slot *sherd_store_table_find(const struct sherd_store_table *t, uint64_t hash,
                                                struct sherd_bytes key);

/* Makes sure that one more key fits. 0, or -ENOMEM. */
int sherd_store_table_reserve(struct sherd_store_table *t);

/* After sherd_store_table_reserve, and only for a key that is not there. */
void sherd_store_table_insert(struct sherd_store_table *t, uint64_t hash,
                              struct sherd_store_chain chain);

/* Empties the slot; its chain is the caller's. Gives memory back when the table is nearly empty.
 */
void sherd_store_table_remove(struct sherd_store_table *t, struct sherd_store_slot *slot);

/* The first slot in use at `slot` or behind it, NULL: none. Begin with t->slots. */
struct sherd_store_slot *sherd_store_table_walk(const struct sherd_store_table *t,
                                                struct sherd_store_slot *slot);

/* The first slot in use whose key is after this one, which need not be there. NULL: none. */
struct sherd_store_slot *sherd_store_table_after(const struct sherd_store_table *t, uint64_t hash,
                                                 struct sherd_bytes key);

/* Frees the slots; all chains are the caller's. The table is empty then. */
void sherd_store_table_fini(struct sherd_store_table *t);

/* What the slots take, with the allocator's rounding. */
uint64_t sherd_store_table_bytes(const struct sherd_store_table *t);

#endif
