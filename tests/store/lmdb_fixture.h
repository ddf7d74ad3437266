/* lmdb_fixture.h - a durable store in a folder of its own, in memory if there is some. Asserts. */
#ifndef SHERD_TESTS_LMDB_FIXTURE_H
#define SHERD_TESTS_LMDB_FIXTURE_H

#include "server/store.h"

struct lmdb_fixture {
    char directory[96], data[128]; /* `data`: path of the file */
    struct sherd_store *store;     /* NULL: not open */
    uint64_t random;
};

/* For cmocka. The store is not opened; if it is open in the end, it is closed. */
int lmdb_setup(void **state);
int lmdb_teardown(void **state);

/* Opens it, which must not be open: the result. */
int lmdb_try_open(struct lmdb_fixture *f, uint32_t sync_ms);

/* ... and asserts that it worked. */
void lmdb_open(struct lmdb_fixture *f, uint32_t sync_ms);
void lmdb_close(struct lmdb_fixture *f);

/* So many random changes (store_content.h), all of which must work, and a sync after every
 * `sync_every` of them. */
void lmdb_change(struct lmdb_fixture *f, unsigned count, unsigned sync_every);

/* A file's bytes, for free(); and a file of these bytes. */
unsigned char *read_whole(const char *path, size_t *size);
void write_whole(const char *path, const void *data, size_t size);

#endif
