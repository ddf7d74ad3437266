/* store_model.h - a plain model of a store, and what the tests of stores share. They assert. */
#ifndef SHERD_TESTS_STORE_MODEL_H
#define SHERD_TESTS_STORE_MODEL_H

#include "server/store.h"

/* Changes an empty store at random, 100 000 times, through everything that store.h has, and
 * compares it with the model on the way. Leaves it empty again, and checks that it then takes no
 * more bytes than at first. */
void check_against_model(struct sherd_store *s);

/* Every test of a store is linked with --wrap=sherd_hash_key, and this is what keys hash to. */
uint64_t __wrap_sherd_hash_key(const void *key, size_t size); /* NOLINT: the linker's names */
uint64_t __real_sherd_hash_key(const void *key, size_t size); /* NOLINT */

struct sherd_store_stats stats_of(const struct sherd_store *s);
void assert_ballot_equal(struct sherd_ballot a, struct sherd_ballot b);
void forget_key(struct sherd_store *s, const struct sherd_store_key *key);

#endif
