/* store_lmdb_env.c - the environment of LMDB: one transaction a turn, and what becomes of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "client/clock.h"
#include "server/store_lmdb_parts.h"

#define MAP_BYTES_MIN (UINT64_C(1) << 30)

enum {
    PATH_BYTES_MAX = 1100,
    DATABASES = 3,
    BLOCK_BYTES = 512, /* of stat() */
    FULL_BYTES = 64 << 10,
    RETRY_US = 1000000,     /* of a write, during a fault */
    ROOM_AGE_US = 100000,   /* of what is known of the file system */
    CLEAN_KEYS = 64,        /* of a dropped partition, deleted in one sync() */
    CLEAN_BYTES = 16 << 20, /* ... or about so much */
};

int sherd_lmdb_errno(int rc)
{
    if (rc <= 0 && rc > MDB_LAST_ERRCODE) return rc; /* errno already, or 0 */
    if (rc > 0) return -rc;
    switch (rc) {
    case MDB_MAP_FULL:
    case MDB_TXN_FULL: return -ENOSPC;
    case MDB_NOTFOUND: /* what a record names */
    case MDB_KEYEXIST:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PAGE_FULL:
    case MDB_CURSOR_FULL:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_VALSIZE: return -EUCLEAN;
    default: return -EIO;
    }
}

/* The environment */

/* Room for all that the file system can hold: nothing meets the end of the map within a turn. */
static uint64_t map_bytes(const struct sherd_lmdb *m)
{
    struct statvfs system;
    uint64_t bytes = 0;

    if (statvfs(m->directory, &system) == 0) bytes = (uint64_t)system.f_blocks * system.f_frsize;
    return bytes < MAP_BYTES_MIN ? MAP_BYTES_MIN : bytes;
}

static int open_databases(struct sherd_lmdb *m, bool create)
{
    MDB_txn *txn = NULL;
    unsigned flags = create ? MDB_CREATE : 0;
    int rc = mdb_txn_begin(m->env, NULL, create ? 0 : MDB_RDONLY, &txn);

    if (rc != 0) return rc;
    rc = mdb_dbi_open(txn, "records", flags, &m->records);
    if (rc == 0) rc = mdb_dbi_open(txn, "shards", flags, &m->shards);
    if (rc == 0) rc = mdb_dbi_open(txn, "notes", flags, &m->notes);
    if (rc == 0) return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

int sherd_lmdb_open_env(struct sherd_lmdb *m, const char *name, bool create)
{
    /* The directory is locked, and everything happens in one thread. */
    const unsigned flags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS | MDB_NORDAHEAD;
    char path[PATH_BYTES_MAX];
    MDB_envinfo info;
    int rc;

    if (snprintf(path, sizeof(path), "%s/%s", m->directory, name) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    rc = mdb_env_create(&m->env);
    if (rc != 0) {
        m->env = NULL;
        return sherd_lmdb_errno(rc);
    }
    if (m->map_bytes == 0) m->map_bytes = map_bytes(m);
    rc = mdb_env_set_mapsize(m->env, m->map_bytes);
    if (rc == 0) rc = mdb_env_set_maxdbs(m->env, DATABASES);
    if (rc == 0) rc = mdb_env_open(m->env, path, flags | (m->sync_ms ? MDB_NOSYNC : 0), 0600);
    if (rc == 0) rc = open_databases(m, create);
    if (rc == 0) rc = mdb_env_info(m->env, &info);
    if (rc == 0) {
        m->transaction = info.me_last_txnid;
        /* A commit is there although it failed: what is read would not be what is promised. */
        if (m->fault && m->transaction != m->expected) m->broken = m->fault;
        return 0;
    }
    sherd_lmdb_close_env(m);
    return sherd_lmdb_errno(rc);
}

void sherd_lmdb_close_env(struct sherd_lmdb *m)
{
    sherd_lmdb_end(m);
    if (m->env) mdb_env_close(m->env);
    m->env = NULL;
}

/* A larger map before the file fills it. */
static void grow_map(struct sherd_lmdb *m)
{
    MDB_envinfo info;
    MDB_stat stat;

    if (mdb_env_info(m->env, &info) != 0 || mdb_env_stat(m->env, &stat) != 0) return;
    if ((uint64_t)info.me_last_pgno * stat.ms_psize < m->map_bytes / 8 * 7) return;
    if (mdb_env_set_mapsize(m->env, m->map_bytes * 2) == 0)
        m->map_bytes *= 2;
    else
        sherd_lmdb_close_env(m); /* it may have no map now; it is opened again with the old one */
}

/* Room */

/* What the file has of the file system, and none of its trees uses: after a transaction that failed
 * that may be behind the last page, too. */
static uint64_t free_in_file(struct sherd_lmdb *m)
{
    struct stat file;
    MDB_stat tree;
    uint64_t pages = 2, bytes = 0;
    int fd = -1;

    for (MDB_dbi i = 0; i < DATABASES + 2; i++) { /* the first two are LMDB's own */
        if (mdb_stat(m->txn, i, &tree) != 0) return 0;
        pages += tree.ms_branch_pages + tree.ms_leaf_pages + tree.ms_overflow_pages;
    }
    if (mdb_env_get_fd(m->env, &fd) != 0 || fstat(fd, &file) < 0) return 0;
    bytes = (uint64_t)file.st_blocks * BLOCK_BYTES;
    return pages * tree.ms_psize < bytes ? bytes - pages * tree.ms_psize : 0;
}

/* Not all the time, unless much of what there was is gone. */
static bool is_room_known(const struct sherd_lmdb_room *r, uint64_t now_us)
{
    return r->asked_us != 0 && now_us - r->asked_us < ROOM_AGE_US &&
           r->put_bytes < (r->system_free_bytes + r->file_free_bytes) / 4;
}

static void ask_room(struct sherd_lmdb *m)
{
    struct sherd_lmdb_room *r = &m->room;
    uint64_t now_us = sherd_clock_now_us();
    struct statvfs system;

    if (is_room_known(r, now_us)) return;
    if (statvfs(m->directory, &system) < 0) return;
    r->asked_us = now_us;
    r->system_bytes = (uint64_t)system.f_blocks * system.f_frsize;
    r->system_free_bytes = (uint64_t)system.f_bavail * system.f_frsize;
    r->put_bytes = 0;
    if (!m->txn) return;
    r->file_free_bytes = free_in_file(m);
    if (r->useless_bytes > r->file_free_bytes) r->useless_bytes = r->file_free_bytes;
}

uint64_t sherd_lmdb_room(const struct sherd_lmdb *m, bool single)
{
    const struct sherd_lmdb_room *r = &m->room;
    uint64_t useless = single ? 0 : r->useless_bytes;
    uint64_t bytes =
        r->system_free_bytes + (useless < r->file_free_bytes ? r->file_free_bytes - useless : 0);

    return bytes > r->put_bytes ? bytes - r->put_bytes : 0;
}

/* Transactions */

int sherd_lmdb_begin(struct sherd_lmdb *m)
{
    int rc = m->broken;

    if (rc < 0 || m->txn) return rc;
    if (!m->env) rc = sherd_lmdb_open_env(m, SHERD_LMDB_DATA, false);
    if (rc < 0) return rc;
    rc = mdb_txn_begin(m->env, NULL, m->fault ? MDB_RDONLY : 0, &m->txn);
    if (rc != 0) {
        m->txn = NULL;
        return sherd_lmdb_errno(rc);
    }
    ask_room(m);
    return 0;
}

void sherd_lmdb_end(struct sherd_lmdb *m)
{
    if (m->txn) mdb_txn_abort(m->txn);
    m->txn = NULL;
    m->changed = false;
}

static void free_note(struct sherd_lmdb_note *note, const struct sherd_lmdb_note *other)
{
    if (note->data != other->data) free(note->data);
    *note = *other;
}

/* From now on what is counted holds. */
static void keep(struct sherd_lmdb *m)
{
    m->synced = m->now;
    for (unsigned i = 0; i < SHERD_NOTES; i++)
        free_note(&m->note_synced[i], &m->note_now[i]);
    memset(m->touched, 0, sizeof(m->touched));
}

static void undo(struct sherd_lmdb *m)
{
    sherd_lmdb_end(m);
    m->now = m->synced;
    for (unsigned i = 0; i < SHERD_NOTES; i++)
        free_note(&m->note_now[i], &m->note_synced[i]);
    memset(m->touched, 0, sizeof(m->touched));
    memset(m->dirt, true, sizeof(m->dirt));
}

int sherd_lmdb_damaged(struct sherd_lmdb *m)
{
    undo(m);
    return m->broken = m->fault = m->undone = -EIO;
}

int sherd_lmdb_read_error(struct sherd_lmdb *m, int rc)
{
    rc = sherd_lmdb_errno(rc);
    return rc == -EUCLEAN ? sherd_lmdb_damaged(m) : rc;
}

/* LMDB says EIO when only a part of what it wrote found room. */
static bool is_full(const struct sherd_lmdb *m)
{
    struct statvfs system;

    return statvfs(m->directory, &system) == 0 &&
           (uint64_t)system.f_bavail * system.f_frsize < FULL_BYTES;
}

int sherd_lmdb_fail(struct sherd_lmdb *m, int rc)
{
    rc = sherd_lmdb_errno(rc);
    if (rc == -EUCLEAN) return sherd_lmdb_damaged(m);
    if (rc == -EIO && is_full(m)) rc = -ENOSPC;
    undo(m);
    if (!m->fault) m->expected = m->transaction;
    m->fault = m->undone = rc;
    /* What is free in the file lies in pieces too small: only what becomes so later counts. */
    if (rc == -ENOSPC) m->room.useless_bytes = UINT64_MAX;
    m->room.asked_us = 0;
    m->retry_us = sherd_clock_now_us() + RETRY_US;
    /* After a commit that failed an environment takes nothing any more. */
    sherd_lmdb_close_env(m);
    sherd_lmdb_open_env(m, SHERD_LMDB_DATA, false); /* else sherd_lmdb_begin() tries again */
    return rc;
}

/* Notes */

int sherd_lmdb_reserve(struct sherd_lmdb *m, size_t size)
{
    uint8_t *value = NULL;

    if (size <= m->value_capacity) return 0;
    value = realloc(m->value, size);
    if (!value) return -ENOMEM;
    m->value = value;
    m->value_capacity = size;
    return 0;
}

int sherd_lmdb_put_note(struct sherd_lmdb *m, struct sherd_bytes key, struct sherd_bytes bytes)
{
    MDB_val name = sherd_lmdb_val(key.data, key.size), value;
    int rc = sherd_lmdb_reserve(m, bytes.size + SHERD_STORED_CRC_BYTES);

    if (rc < 0) return rc;
    sherd_bytes_put_u32(sherd_bytes_put(m->value, bytes), sherd_stored_crc(key, bytes));
    value = sherd_lmdb_val(m->value, bytes.size + SHERD_STORED_CRC_BYTES);
    return mdb_put(m->txn, m->notes, &name, &value, 0);
}

int sherd_lmdb_put_piece(struct sherd_lmdb *m, uint8_t note, uint32_t piece,
                         struct sherd_bytes bytes)
{
    uint8_t name[SHERD_LMDB_NOTE_KEY_BYTES_MAX] = {0};
    int rc = 0;

    for (const char *kind = "nc"; rc == 0 && *kind != '\0'; kind++) {
        sherd_lmdb_piece_key(*kind, note, piece, name);
        rc = sherd_lmdb_put_note(m, (struct sherd_bytes){name, sizeof(name)}, bytes);
    }
    return rc;
}

/* Of a longer note that was there before. */
static int drop_pieces(struct sherd_lmdb *m, uint8_t note, uint32_t from)
{
    uint8_t name[SHERD_LMDB_NOTE_KEY_BYTES_MAX] = {0};
    int rc = 0;

    for (const char *kind = "nc"; *kind != '\0'; kind++) {
        for (uint32_t piece = from; rc == 0; piece++) {
            MDB_val key = sherd_lmdb_val(name, sizeof(name));
            sherd_lmdb_piece_key(*kind, note, piece, name);
            rc = mdb_del(m->txn, m->notes, &key, NULL);
        }
        if (rc != MDB_NOTFOUND) return rc;
        rc = 0;
    }
    return 0;
}

int sherd_lmdb_put_saved(struct sherd_lmdb *m, uint8_t note, struct sherd_bytes bytes)
{
    uint8_t value[sizeof(uint32_t) + SHERD_LMDB_PIECE_BYTES];
    uint32_t size = (uint32_t)bytes.size, count = sherd_lmdb_pieces(size);
    int rc = drop_pieces(m, note, count);

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        const uint8_t *from = (const uint8_t *)bytes.data + (size_t)i * SHERD_LMDB_PIECE_BYTES;
        uint8_t *at = sherd_bytes_put_u32(value, size);
        at = sherd_bytes_put(at, (struct sherd_bytes){from, sherd_lmdb_piece_bytes(size, i)});
        rc = sherd_lmdb_put_piece(m, note, i, (struct sherd_bytes){value, (size_t)(at - value)});
    }
    return rc;
}

static int put_part(struct sherd_lmdb *m, unsigned partition)
{
    const struct sherd_lmdb_part *part = &m->now.parts[partition];
    const uint8_t key[] = {'p', (uint8_t)(partition >> 8), (uint8_t)partition};
    uint8_t bytes[SHERD_LMDB_PART_BYTES], *at = bytes;

    at = sherd_bytes_put_u32(at, part->generation);
    at = sherd_bytes_put_u64(at, part->stats.keys);
    at = sherd_bytes_put_u64(at, part->digest);
    sherd_bytes_put_u8(at, part->damaged);
    return sherd_lmdb_put_note(m, (struct sherd_bytes){key, sizeof(key)},
                               (struct sherd_bytes){bytes, sizeof(bytes)});
}

static int put_state(struct sherd_lmdb *m)
{
    uint8_t bytes[SHERD_LMDB_STATE_BYTES], *at = bytes;

    at = sherd_bytes_put_u64(at, mdb_txn_id(m->txn));
    sherd_bytes_put_u64(at, m->now.next_id);
    return sherd_lmdb_put_note(m, (struct sherd_bytes){"s", 1},
                               (struct sherd_bytes){bytes, sizeof(bytes)});
}

/* Sync */

int sherd_lmdb_commit(struct sherd_lmdb *m)
{
    uint64_t transaction = mdb_txn_id(m->txn);
    int rc = 0;

    if (m->sync_ms != 0 && !m->unclean) {
        rc = sherd_lmdb_mark(m, SHERD_LMDB_MARK_UNCLEAN);
        m->unclean = rc == 0;
    }
    for (unsigned p = 0; rc == 0 && p < SHERD_PARTITIONS; p++)
        if (m->touched[p]) rc = put_part(m, p);
    if (rc == 0) rc = put_state(m);
    if (rc != 0) return rc;
    rc = mdb_txn_commit(m->txn);
    m->txn = NULL; /* in any case */
    if (rc != 0) return rc;
    m->changed = false;
    m->unflushed = m->sync_ms != 0;
    m->transaction = transaction;
    return 0;
}

/* Where syncs are not durable by themselves. What was committed may be read again, but is perhaps
 * nowhere but in memory: whoever opens it next must know. */
static int flush(struct sherd_lmdb *m)
{
    int rc = mdb_env_sync(m->env, 1);

    if (rc != 0) m->lost = true;
    m->unflushed = false;
    m->flushed_us = sherd_clock_now_us();
    return rc;
}

static bool is_flush_due(const struct sherd_lmdb *m)
{
    return m->unflushed && m->env &&
           sherd_clock_now_us() - m->flushed_us >= (uint64_t)m->sync_ms * 1000;
}

/* Deletes some of what a tree has of older generations of a partition. *left: how many more. */
static int clean_tree(struct sherd_lmdb *m, MDB_dbi tree, uint16_t partition, unsigned *left)
{
    uint8_t first[SHERD_STORED_DB_KEY_BYTES];
    size_t bytes = 0;
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(m->txn, tree, &cursor);

    if (rc != 0) return rc;
    sherd_stored_db_key(partition, 0, 0, first);
    while (*left > 0 && bytes < CLEAN_BYTES) {
        MDB_val key = sherd_lmdb_val(first, sizeof(first)), value;
        uint16_t at = 0;
        uint32_t generation = 0;
        uint64_t last = 0;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        if (rc == MDB_NOTFOUND) break;
        if (rc == 0 && sherd_stored_split(sherd_lmdb_bytes(key), &at, &generation, &last) < 0)
            rc = MDB_CORRUPTED;
        if (rc != 0 || at != partition || generation >= m->now.parts[partition].generation) break;
        m->changed = true;
        bytes += value.mv_size;
        rc = mdb_cursor_del(cursor, 0);
        if (rc != 0) break;
        --*left;
    }
    if (bytes >= CLEAN_BYTES) *left = 0;
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* A bounded part of what dropped partitions left behind. */
static int clean_some(struct sherd_lmdb *m)
{
    unsigned left = CLEAN_KEYS;
    int rc = 0;

    for (uint16_t p = 0; p < SHERD_PARTITIONS && left > 0; p++) {
        if (!m->dirt[p]) continue;
        rc = sherd_lmdb_begin(m);
        if (rc == 0) rc = clean_tree(m, m->records, p, &left);
        if (rc == 0 && left > 0) rc = clean_tree(m, m->shards, p, &left);
        if (rc != 0) return rc;
        if (left > 0) m->dirt[p] = false;
    }
    return 0;
}

/* A small write that must reach the disk. When it does the fault is over. */
static void try_again(struct sherd_lmdb *m)
{
    uint64_t now_us = sherd_clock_now_us();
    int rc = 0;

    if (now_us < m->retry_us) return;
    m->retry_us = now_us + RETRY_US;
    if (!m->env) rc = sherd_lmdb_open_env(m, SHERD_LMDB_DATA, false);
    if (rc == 0) rc = mdb_txn_begin(m->env, NULL, 0, &m->txn);
    if (rc == 0) rc = sherd_lmdb_commit(m);
    if (rc == 0 && m->unflushed) rc = flush(m);
    if (rc == 0) {
        m->fault = 0;
        return;
    }
    sherd_lmdb_close_env(m);
    sherd_lmdb_open_env(m, SHERD_LMDB_DATA, false);
}

int sherd_lmdb_sync(struct sherd_lmdb *m)
{
    int rc = m->broken ? -ENOTRECOVERABLE : m->undone;

    m->undone = 0;
    if (rc < 0 || m->fault) {
        sherd_lmdb_end(m);
        if (rc == 0) try_again(m);
        return rc;
    }
    /* Before this turn's changes are committed: if it fails, those at least can be undone. */
    if (is_flush_due(m)) rc = flush(m);
    if (rc == 0) rc = clean_some(m);
    ask_room(m);
    if (rc == 0 && m->changed) {
        rc = sherd_lmdb_commit(m);
        if (rc == 0) {
            keep(m);
            grow_map(m);
        }
    }
    if (rc == 0) sherd_lmdb_end(m);
    if (rc == 0) return 0;
    rc = sherd_lmdb_fail(m, rc);
    m->undone = 0; /* said now */
    return rc;
}
