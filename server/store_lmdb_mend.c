/* store_lmdb_mend.c - makes a store anew, of what is whole of a damaged one. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "server/store_lmdb_parts.h"

enum { BATCH_BYTES = 16 << 20 };

struct copy {
    struct sherd_lmdb *to;
    MDB_dbi database;
    size_t bytes; /* since the last commit */
};

static int commit(struct copy *c)
{
    c->bytes = 0;
    return sherd_lmdb_errno(sherd_lmdb_commit(c->to));
}

static int put(void *context, struct sherd_bytes key, struct sherd_bytes value)
{
    struct copy *c = context;
    MDB_val name = sherd_lmdb_val(key.data, key.size),
            bytes = sherd_lmdb_val(value.data, value.size);
    int rc = sherd_lmdb_begin(c->to);

    if (rc == 0) rc = sherd_lmdb_errno(mdb_put(c->to->txn, c->database, &name, &bytes, 0));
    if (rc < 0) return rc == -EUCLEAN ? -EIO : rc; /* it is not the old one that is damaged */
    c->bytes += value.size;
    return c->bytes < BATCH_BYTES ? 0 : commit(c);
}

/* In the end all counts, and twice, so that each of LMDB's two metas is of a commit. */
static int copy_rest(struct sherd_lmdb *m, void *context)
{
    struct sherd_lmdb_rest *rest = context;
    struct copy c = {.to = m};
    MDB_dbi databases[] = {[SHERD_LMDB_RECORDS] = m->records,
                           [SHERD_LMDB_SHARDS] = m->shards,
                           [SHERD_LMDB_NOTES] = m->notes};
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < sizeof(databases) / sizeof(databases[0]); i++) {
        c.database = databases[i];
        rc = sherd_lmdb_rest_each(rest, (enum sherd_lmdb_database)i, put, &c);
    }
    for (int i = 0; rc == 0 && i < 2; i++) {
        memset(m->touched, true, sizeof(m->touched));
        rc = sherd_lmdb_put_format(m);
        if (rc == 0) rc = commit(&c);
    }
    return rc;
}

int sherd_lmdb_mend(struct sherd_lmdb *m, int fd)
{
    struct sherd_lmdb_rest *rest = NULL;
    int rc = sherd_lmdb_rest_find(fd, &m->now, &rest);

    if (rc == 0) rc = sherd_lmdb_make(m, copy_rest, rest);
    sherd_lmdb_rest_free(rest);
    return rc;
}
