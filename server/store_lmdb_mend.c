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

static int put_piece(void *context, struct sherd_bytes key, struct sherd_bytes value)
{
    struct copy *c = context;
    struct sherd_bytes bytes;
    int rc = sherd_lmdb_begin(c->to);

    if (rc == 0) rc = sherd_stored_check(key, value, &bytes) < 0 ? -EUCLEAN : 0;
    if (rc < 0) return rc;
    const uint8_t *name = key.data;
    return sherd_lmdb_errno(
        sherd_lmdb_put_piece(c->to, name[1], (uint32_t)name[2] << 8 | name[3], bytes));
}

/* In the end all counts, and twice, so that each of LMDB's two metas is of a commit. */
static int copy_rest(struct sherd_lmdb *m, void *context)
{
    struct sherd_lmdb_rest *rest = context;
    struct copy c = {.to = m};
    int rc;

    c.database = m->records;
    rc = sherd_lmdb_rest_each(rest, SHERD_LMDB_RECORDS, put, &c);
    c.database = m->shards;
    if (rc == 0) rc = sherd_lmdb_rest_each(rest, SHERD_LMDB_SHARDS, put, &c);
    if (rc == 0) rc = sherd_lmdb_rest_each(rest, SHERD_LMDB_NOTES, put_piece, &c);
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
