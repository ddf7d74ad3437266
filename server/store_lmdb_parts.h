/* store_lmdb_parts.h - the inside of a durable store, shared by the files that make it up:
 *   store_lmdb.c         records and notes: what store.h asks for
 *   store_lmdb_env.c     the environment of LMDB: transactions, sync, faults
 *   store_lmdb_open.c    the directory: made, opened, looked at, closed, removed
 *   store_lmdb_mend.c    ... and made anew of what is whole of it
 *   store_lmdb_check.c   what is looked at before LMDB opens it, and what is counted
 *   store_lmdb_pages.c   ... page by page
 *   store_lmdb_record.c  the bytes of a record
 *
 * The directory has `data` (an LMDB file), `lock`, and a mark, `unclean`, while changes are not
 * made durable at each sync. */
#ifndef SHERD_SERVER_STORE_LMDB_PARTS_H
#define SHERD_SERVER_STORE_LMDB_PARTS_H

#include <lmdb.h>

#include "server/store.h"
#include "server/store_lmdb_check.h"
#include "server/store_lmdb_record.h"

#define SHERD_LMDB_DATA         "data"
#define SHERD_LMDB_MARK_UNCLEAN "unclean"

/* A piece of bytes of its own; data NULL: there is none. */
struct sherd_lmdb_note {
    uint8_t *data;
    size_t size;
};

/* What the file system has left, as it was when it was asked last. */
struct sherd_lmdb_room {
    uint64_t asked_us;     /* 0: never */
    uint64_t system_bytes; /* all that the file system can hold */
    uint64_t system_free_bytes;
    uint64_t file_free_bytes; /* of pages of the file that are not in use */
    uint64_t useless_bytes;   /* ... of which so many did not help when space was needed */
    uint64_t put_bytes;       /* since then */
};

struct sherd_lmdb {
    struct sherd_store store; /* first: struct sherd_store * points here */
    char *directory;
    int lock; /* descriptor */
    uint32_t sync_ms;

    MDB_env *env; /* NULL: could not be opened anew after a fault; tried again */
    MDB_dbi records, shards, notes;
    MDB_txn *txn;   /* NULL: none; to be read only during a fault */
    bool changed;   /* in txn */
    bool unclean;   /* the mark is set */
    bool unflushed; /* the disk lacks something that was committed */
    bool lost;      /* ... for good: the mark must stay */
    uint64_t map_bytes;
    uint64_t transaction; /* number of the last one that was synced */
    uint64_t expected;    /* ... during a fault: what it must be when the file is opened again */
    uint64_t flushed_us;  /* when the disk was reached last */

    /* What is counted, as of now and as of the last sync. */
    struct sherd_lmdb_totals now, synced;
    struct sherd_lmdb_note note_now[SHERD_NOTES], note_synced[SHERD_NOTES];
    bool touched[SHERD_PARTITIONS]; /* counts differ from the note */
    bool dirt[SHERD_PARTITIONS];    /* there may be something of an older generation */

    int fault;  /* 0, or why changes are refused */
    int undone; /* 0, or what the next sync() says: changes are gone */
    int broken; /* 0, or why nothing can be read any more */
    uint64_t retry_us;
    struct sherd_lmdb_room room;

    /* What views point to. A handle is the address of a byte of `handles`. */
    uint8_t handles[SHERD_ENTRIES_MAX];
    zmq_msg_t frames[SHERD_ENTRIES_MAX]; /* of those that `framed` has a bit for */
    uint16_t framed;
    uint8_t record_bytes[SHERD_STORED_RECORD_BYTES_MAX];
    uint8_t shard_bytes[SHERD_ENTRIES_MAX][SHERD_SHARD_INLINE_MAX];

    uint8_t *value; /* being made */
    size_t value_capacity;
};

/* store_lmdb_env.c: all return 0 or negative errno. */

/* Opens the environment of the file of this name in the directory; `create`: and its databases. */
int sherd_lmdb_open_env(struct sherd_lmdb *m, const char *name, bool create);
void sherd_lmdb_close_env(struct sherd_lmdb *m);

/* A transaction, unless there is one; and its end, of which nothing stays. */
int sherd_lmdb_begin(struct sherd_lmdb *m);
void sherd_lmdb_end(struct sherd_lmdb *m);

/* Ends the transaction with the notes about it: durable, unless that happens only now and then. The
 * result is LMDB's. */
int sherd_lmdb_commit(struct sherd_lmdb *m);

/* All that store.h says of it. */
int sherd_lmdb_sync(struct sherd_lmdb *m);

/* Undoes everything since the last sync, and refuses changes from now on, for `rc` of LMDB or
 * negative errno. Returns negative errno. */
int sherd_lmdb_fail(struct sherd_lmdb *m, int rc);

/* Reading met damage of the file as a whole: nothing more is read, and who opens this next looks at
 * all of it. -EIO. */
int sherd_lmdb_damaged(struct sherd_lmdb *m);

/* Negative errno of a failed read; when LMDB found the file damaged, as sherd_lmdb_damaged(). */
int sherd_lmdb_read_error(struct sherd_lmdb *m, int rc);

/* Negative errno of an LMDB result. */
int sherd_lmdb_errno(int rc);

/* Keeps bytes under a key of `notes`, with their CRC. The result is LMDB's. */
int sherd_lmdb_put_note(struct sherd_lmdb *m, struct sherd_bytes key, struct sherd_bytes bytes);

/* Keeps what was saved as a note, in pieces and twice (store_lmdb_check.h); at most
 * SHERD_LMDB_PIECES_MAX of them. The result is LMDB's. */
int sherd_lmdb_put_saved(struct sherd_lmdb *m, uint8_t note, struct sherd_bytes bytes);

/* One piece, as it is. */
int sherd_lmdb_put_piece(struct sherd_lmdb *m, uint8_t note, uint32_t piece,
                         struct sherd_bytes bytes);

/* Memory for a value being made. */
int sherd_lmdb_reserve(struct sherd_lmdb *m, size_t size);

/* Bytes that there is room for; of `single` pages, or of several that lie together. */
uint64_t sherd_lmdb_room(const struct sherd_lmdb *m, bool single);

/* store_lmdb_open.c */

/* Makes a mark, or removes it; durable when it returns 0. */
int sherd_lmdb_mark(const struct sherd_lmdb *m, const char *mark);
int sherd_lmdb_unmark(const struct sherd_lmdb *m, const char *mark);

/* Makes a store, filled by `fill`, under another name until it is complete and on the disk; then it
 * takes the place of what there was. */
int sherd_lmdb_make(struct sherd_lmdb *m, int (*fill)(struct sherd_lmdb *m, void *context),
                    void *context);

/* Writes the format; begins a transaction if there is none. */
int sherd_lmdb_put_format(struct sherd_lmdb *m);

/* store_lmdb_mend.c: makes the store anew of what is whole in the file `fd`, which it borrows; what
 * is not is marked in m->now. -EUCLEAN: nothing can be saved. */
int sherd_lmdb_mend(struct sherd_lmdb *m, int fd);

/* Frees everything, after a last sync of what was committed. */
void sherd_lmdb_close(struct sherd_lmdb *m);

/* store_lmdb.c */
extern const struct sherd_store_ops sherd_lmdb_ops;

static inline MDB_val sherd_lmdb_val(const void *data, size_t size)
{
    union {
        const void *in;
        void *out;
    } bytes = {.in = data}; /* LMDB only reads it, but does not say so */

    return (MDB_val){size, bytes.out};
}

static inline struct sherd_bytes sherd_lmdb_bytes(MDB_val v)
{
    return (struct sherd_bytes){v.mv_data, v.mv_size};
}

#endif
