/* test_store_lmdb_damage.c - a durable store whose file is not what was written: it says so, or
 * what it gives is right, or it says which shard is not. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sherd/ecc.h>

#include "server/store_lmdb_pages.h"
#include "server/store_lmdb_parts.h"
#include "tests/store/lmdb_fixture.h"
#include "tests/store/store_content.h"
#include "tests/store/store_model.h"
#include "tests/support/random.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum {
    CHANGES = 400,
    FLIPS = 1000,
    OLD_FILES = 12,
    PAGE = 4096,
    ALL = 1000,
    HEADS = 64, /* bytes at the start of a page: its head, and where its nodes are */
};

/* A closed store, and what it held. */
struct whole {
    unsigned char *data;
    size_t size;
    struct content content;
};

static struct whole make_whole(struct lmdb_fixture *f)
{
    struct whole w;

    lmdb_open(f, 0);
    lmdb_change(f, CHANGES, 10);
    assert_int_equal(f->store->ops->sync(f->store), 0);
    assert_int_equal(content_read(f->store, &w.content), 0);
    lmdb_close(f);
    w.data = read_whole(f->data, &w.size);
    return w;
}

static void free_whole(struct whole *w)
{
    free(w->data);
    content_free(&w->content);
}

/* What the store has forgotten is dropped, and it is as any other. Returns how many partitions. */
static unsigned drop_forgotten(struct sherd_store *s)
{
    unsigned count = 0;

    for (uint16_t p = 0; p < SHERD_PARTITIONS; p++) {
        if (!(s->forgotten[p / 8] >> p % 8 & 1)) continue;
        s->ops->drop_partition(s, p);
        count++;
    }
    memset(s->forgotten, 0, sizeof(s->forgotten));
    assert_int_equal(s->ops->sync(s), 0);
    return count;
}

/* Nothing read is wrong, and everything goes on. Returns how many partitions it has forgotten. */
static unsigned go_on(struct lmdb_fixture *f, const struct content *then)
{
    struct content now = {0};
    struct sherd_store *s = f->store;
    unsigned forgotten;

    assert_int_equal(content_read(s, &now), 0);
    assert_true(content_equals(&now, then, true));
    content_free(&now);
    forgotten = drop_forgotten(s);
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(content_change(s, &f->random), 0);
        if (i % 10 == 9) assert_int_equal(s->ops->sync(s), 0);
    }
    return forgotten;
}

/* Opens what was made of the file. ALL: nothing of it could be saved; else how many partitions it
 * has forgotten, and all that it gives is right. */
static unsigned lost_of(struct lmdb_fixture *f, const void *data, size_t size,
                        const struct content *then)
{
    int rc;

    assert_int_equal(sherd_store_lmdb_remove(f->directory), 0);
    assert_int_equal(mkdir(f->directory, 0700), 0);
    write_whole(f->data, data, size);
    rc = lmdb_try_open(f, 0);
    if (rc < 0) {
        assert_int_equal(rc, -EUCLEAN);
        assert_null(f->store);
        return ALL;
    }
    unsigned forgotten = go_on(f, then);
    lmdb_close(f);
    lmdb_open(f, 0); /* what was dropped is not missed any more */
    assert_int_equal(drop_forgotten(f->store), 0);
    lmdb_close(f);
    return forgotten;
}

static int is_refused(struct lmdb_fixture *f, const void *data, size_t size,
                      const struct content *then)
{
    return lost_of(f, data, size, then) != 0;
}

/* Whether opening makes another file of it, in which nothing is missing. */
static int is_made_anew(struct lmdb_fixture *f, const void *data, size_t size,
                        const struct content *then)
{
    struct stat before, after;

    assert_int_equal(sherd_store_lmdb_remove(f->directory), 0);
    assert_int_equal(mkdir(f->directory, 0700), 0);
    write_whole(f->data, data, size);
    assert_int_equal(stat(f->data, &before), 0);
    lmdb_open(f, 0);
    assert_int_equal(stat(f->data, &after), 0);
    assert_int_equal(go_on(f, then), 0);
    lmdb_close(f);
    return before.st_ino != after.st_ino;
}

static void cut_file_is_refused(void **state)
{
    struct lmdb_fixture *f = *state;
    struct whole w = make_whole(f);
    const size_t sizes[] = {
        0, 1, 100, PAGE, 2 * PAGE, 3 * PAGE, w.size / 2, w.size / 4 * 3, w.size - PAGE, w.size - 1};
    int refused = 0;

    for (size_t i = 0; i < LEN(sizes); i++)
        refused += is_refused(f, w.data, sizes[i], &w.content);
    assert_true(refused >= 8);
    assert_int_equal(is_refused(f, w.data, w.size, &w.content), 0);
    free_whole(&w);
}

/* A third of them anywhere, a third where pages begin, a third in the two metas. */
static size_t some_byte(uint64_t *random, size_t size, unsigned number)
{
    size_t any = random_next(random) % size;

    if (number % 3 == 0) return any;
    if (number % 3 == 1) return any / PAGE * PAGE + any % HEADS;
    return any % 2 * PAGE + any / 2 % 160;
}

static void flipped_bits_are_noticed(void **state)
{
    struct lmdb_fixture *f = *state;
    struct whole w = make_whole(f);
    uint64_t random = 99;
    unsigned noticed = 0, all = 0, forgotten = 0;

    for (unsigned i = 0; i < FLIPS; i++) {
        size_t at = some_byte(&random, w.size, i);
        unsigned char bit = (unsigned char)(1u << random_next(&random) % 8);
        w.data[at] ^= bit;
        unsigned lost = lost_of(f, w.data, w.size, &w.content);
        w.data[at] ^= bit;
        noticed += lost != 0;
        if (at >= 2 * PAGE) all += lost == ALL; /* without the metas there is nothing */
        if (lost != ALL) forgotten += lost;
    }
    assert_true(noticed > FLIPS / 8);
    assert_true(forgotten > FLIPS / 20);
    assert_true(all < FLIPS / 50);
    assert_int_equal(is_refused(f, w.data, w.size, &w.content), 0);
    free_whole(&w);
}

/* A page that is as it was some syncs ago: a write that never arrived. Not the metas: the file of a
 * disk that forgot the last of them is the file of one sync before. */
static void lost_writes_are_noticed(void **state)
{
    struct lmdb_fixture *f = *state;
    unsigned char *old[OLD_FILES];
    size_t sizes[OLD_FILES];
    struct whole w;
    int refused = 0;

    lmdb_open(f, 0);
    lmdb_change(f, CHANGES, 10);
    for (unsigned i = 0; i < OLD_FILES; i++) {
        assert_int_equal(f->store->ops->sync(f->store), 0);
        old[i] = read_whole(f->data, &sizes[i]);
        lmdb_change(f, 3, 1000);
    }
    assert_int_equal(f->store->ops->sync(f->store), 0);
    assert_int_equal(content_read(f->store, &w.content), 0);
    lmdb_close(f);
    w.data = read_whole(f->data, &w.size);
    for (unsigned i = 0; i < OLD_FILES; i++) {
        for (size_t at = 2 * PAGE; at + PAGE <= w.size && at + PAGE <= sizes[i]; at += PAGE) {
            unsigned char page[PAGE];
            if (memcmp(w.data + at, old[i] + at, PAGE) == 0) continue;
            memcpy(page, w.data + at, PAGE);
            memcpy(w.data + at, old[i] + at, PAGE);
            refused += is_refused(f, w.data, w.size, &w.content);
            memcpy(w.data + at, page, PAGE);
        }
        free(old[i]);
    }
    assert_true(refused > 10);
    free_whole(&w);
}

/* The longest list of free pages, and a page that is in use. */
struct pages {
    struct sherd_lmdb_tree records;
    uint8_t list[PAGE];
    size_t list_size;
};

static int find_records(void *context, const struct sherd_lmdb_node *node)
{
    struct pages *p = context;

    if (*(const char *)node->key.data == 'r') sherd_lmdb_pages_tree(node->value, &p->records);
    return 0;
}

static int find_list(void *context, const struct sherd_lmdb_node *node)
{
    struct pages *p = context;

    if (node->value.size <= p->list_size || node->value.size > sizeof(p->list)) return 0;
    p->list_size = node->value.size;
    memcpy(p->list, node->value.data, node->value.size);
    return 0;
}

/* What is free, LMDB writes to: a page in use must not be. Nor may one be free twice. */
static void page_in_use_is_not_free(void **state)
{
    struct lmdb_fixture *f = *state;
    struct whole w = make_whole(f);
    struct sherd_lmdb_pages file;
    struct pages p = {0};
    unsigned char *at = w.data;
    int found = 0, fd = open(f->data, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(sherd_lmdb_pages_open(&file, fd), 0);
    assert_int_equal(sherd_lmdb_pages_walk(&file, &file.newest.main, 0, find_records, &p), 0);
    assert_int_equal(sherd_lmdb_pages_walk(&file, &file.newest.free, 0, find_list, &p), 0);
    sherd_lmdb_pages_close(&file);
    close(fd);
    assert_true(p.list_size >= 3 * sizeof(uint64_t)); /* how many, and the pages */
    while ((at = memmem(at, w.size - (size_t)(at - w.data), p.list, p.list_size))) {
        unsigned char *first = at + sizeof(uint64_t);
        memcpy(first, &p.records.root, sizeof(uint64_t));
        found += is_made_anew(f, w.data, w.size, &w.content);
        memcpy(first, p.list + 2 * sizeof(uint64_t), sizeof(uint64_t));
        found += is_made_anew(f, w.data, w.size, &w.content);
        memcpy(at, p.list, p.list_size);
        at++;
    }
    assert_int_equal(found, 2); /* in one place; elsewhere the list is of another time */
    free_whole(&w);
}

/* Keys in the database that nobody counted, or that are gone. */

static const struct sherd_store_key some_key = {
    3, 33, {"some", 4}
};

static struct sherd_entry some_entry(const uint8_t *shard, size_t size, uint64_t clock)
{
    return (struct sherd_entry){
        .ballot = {clock, 2, 3},
        .version = {clock,     2,  3},
        .has_shard = true,
        .crc = sherd_crc32c(shard, size),
        .shard = {shard,    size   }
    };
}

/* Puts an entry instead of all others. */
static void put(struct sherd_store *s, const uint8_t *shard, size_t size, uint64_t clock)
{
    struct sherd_record record;
    struct sherd_change change = {.put = true};

    assert_int_equal(s->ops->load(s, &some_key, false, &record), 0);
    change.dropped = (uint16_t)((1u << record.count) - 1);
    record.count = 1;
    record.entries[0] = some_entry(shard, size, clock);
    assert_int_equal(s->ops->apply(s, &some_key, &record, &change, NULL), 0);
    assert_int_equal(s->ops->sync(s), 0);
}

enum meddling { LOSE_RECORD, OLD_RECORD, LOSE_SHARD, CUT_SHARD, ADD_SHARD, LATER_SHARD, MEDDLINGS };

/* Changes the database without counting, as if by itself. */
static void meddle(struct sherd_lmdb *m, enum meddling how, MDB_val old_value)
{
    uint8_t record[SHERD_STORED_DB_KEY_BYTES] = {0}, shard[SHERD_STORED_DB_KEY_BYTES] = {0};
    MDB_val record_key = sherd_lmdb_val(record, sizeof(record)), value;
    MDB_val shard_key = sherd_lmdb_val(shard, sizeof(shard));

    sherd_stored_db_key(3, 0, 33, record);
    sherd_stored_db_key(3, how == LATER_SHARD ? 1 : 0, m->now.next_id - (how < ADD_SHARD ? 1 : 0),
                        shard);
    assert_int_equal(sherd_lmdb_begin(m), 0);
    if (how == LOSE_RECORD) {
        assert_int_equal(mdb_del(m->txn, m->records, &record_key, NULL), 0);
    } else if (how == OLD_RECORD) {
        assert_int_equal(mdb_put(m->txn, m->records, &record_key, &old_value, 0), 0);
    } else if (how == LOSE_SHARD) {
        assert_int_equal(mdb_del(m->txn, m->shards, &shard_key, NULL), 0);
    } else {
        value = sherd_lmdb_val("short", 5);
        assert_int_equal(mdb_put(m->txn, m->shards, &shard_key, &value, 0), 0);
    }
    m->changed = true;
    assert_int_equal(m->store.ops->sync(&m->store), 0);
}

static void what_does_not_add_up_is_noticed(void **state)
{
    struct lmdb_fixture *f = *state;
    static const uint8_t shard[3000];
    struct sherd_record record;

    for (int how = 0; how < MEDDLINGS; how++) {
        /* Of what OLD_RECORD brings back, all is right but that it is old. */
        size_t size = how <= OLD_RECORD ? 100 : sizeof(shard);
        uint8_t name[SHERD_STORED_DB_KEY_BYTES] = {0}, bytes[2000];
        MDB_val key = sherd_lmdb_val(name, sizeof(name)), value, old;
        struct sherd_lmdb *m = NULL;
        lmdb_open(f, 0);
        m = (struct sherd_lmdb *)f->store;
        put(f->store, shard, size, 1);
        sherd_stored_db_key(3, 0, 33, name);
        assert_int_equal(sherd_lmdb_begin(m), 0);
        assert_int_equal(mdb_get(m->txn, m->records, &key, &value), 0);
        assert_true(value.mv_size <= sizeof(bytes));
        memcpy(bytes, value.mv_data, value.mv_size);
        old = sherd_lmdb_val(bytes, value.mv_size);
        put(f->store, shard, size, 2);
        lmdb_close(f);
        lmdb_open(f, 0);
        meddle((struct sherd_lmdb *)f->store, (enum meddling)how, old);
        lmdb_close(f);
        lmdb_open(f, 0);
        bool is_whole =
            how == LATER_SHARD; /* what is of no generation there ever was is left out */
        assert_int_equal(f->store->ops->load(f->store, &some_key, false, &record),
                         is_whole ? 0 : -EUCLEAN);
        assert_int_equal(drop_forgotten(f->store), !is_whole);
        assert_int_equal(f->store->ops->load(f->store, &some_key, false, &record), 0);
        assert_int_equal(record.count, is_whole);
        lmdb_close(f);
        assert_int_equal(sherd_store_lmdb_remove(f->directory), 0);
    }
}

/* Damage that is met later */

/* Flips a bit of these bytes wherever they are in the file. The same again undoes it. */
static void flip_in_file(const struct lmdb_fixture *f, const void *bytes, size_t size)
{
    size_t whole = 0, found = 0;
    unsigned char *data = read_whole(f->data, &whole), *at = data;
    int fd = open(f->data, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    while ((at = memmem(at, whole - (size_t)(at - data), bytes, size))) {
        *at ^= 1;
        assert_int_equal(pwrite(fd, at, 1, at - data), 1);
        at++;
        found++;
    }
    assert_true(found > 0);
    close(fd);
    free(data);
}

static void damaged_shard_is_not_shown(void **state)
{
    struct lmdb_fixture *f = *state;
    static const size_t sizes[] = {2000, 5000, 60000};
    uint8_t *shard = malloc(60000);
    struct sherd_record record;

    assert_non_null(shard);
    memset(shard, 0x5a, 60000);
    for (size_t i = 0; i < LEN(sizes); i++) {
        struct sherd_change none = {.committed = 1};
        lmdb_open(f, 0);
        put(f->store, shard, sizes[i], i + 1);
        lmdb_close(f);
        flip_in_file(f, shard, sizes[i]);
        lmdb_open(f, 0);
        assert_int_equal(f->store->ops->load(f->store, &some_key, false, &record), 0);
        assert_true(record.entries[0].has_shard);
        assert_int_equal(f->store->damaged, 0);
        assert_int_equal(f->store->ops->load(f->store, &some_key, true, &record), 0);
        assert_int_equal(f->store->damaged, 1);
        assert_false(record.entries[0].has_shard);
        assert_null(record.entries[0].shard.data);
        /* Everything else goes on, and the bytes are still there for whoever wants to look. */
        assert_int_equal(f->store->ops->apply(f->store, &some_key, &record, &none, NULL), 0);
        assert_int_equal(f->store->ops->load(f->store, &some_key, true, &record), 0);
        assert_int_equal(f->store->damaged, 1);
        assert_true(record.entries[0].committed);
        assert_int_equal(f->store->ops->strip(f->store, &some_key, record.entries[0].handle), 0);
        assert_int_equal(f->store->ops->load(f->store, &some_key, true, &record), 0);
        assert_int_equal(f->store->damaged, 0);
        assert_int_equal(f->store->ops->sync(f->store), 0);
        lmdb_close(f);
    }
    free(shard);
}

/* A record that goes bad under an open store: its partition is damaged, until it is dropped. */
static void damage_while_open_costs_the_partition(void **state)
{
    struct lmdb_fixture *f = *state;
    struct sherd_store_key key, cursor = {.partition = 3};
    struct sherd_record record;
    uint8_t shard[300];

    memset(shard, 0x5a, sizeof(shard));
    for (int by_next = 0; by_next < 2; by_next++) {
        lmdb_open(f, 0);
        put(f->store, shard, sizeof(shard), 1);
        flip_in_file(f, shard, sizeof(shard));
        if (by_next)
            assert_int_equal(f->store->ops->next(f->store, 3, &cursor, false, &key, &record),
                             -EUCLEAN);
        else
            assert_int_equal(f->store->ops->load(f->store, &some_key, false, &record), -EUCLEAN);
        assert_int_equal(f->store->ops->fault(f->store), 0);
        f->store->ops->drop_partition(f->store, 3);
        assert_int_equal(f->store->ops->sync(f->store), 0);
        assert_int_equal(f->store->ops->load(f->store, &some_key, false, &record), 0);
        assert_int_equal(record.count, 0);
        lmdb_close(f);
        lmdb_open(f, 0);
        assert_int_equal(drop_forgotten(f->store), 0);
        lmdb_close(f);
        assert_int_equal(sherd_store_lmdb_remove(f->directory), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lmdb_setup, lmdb_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cut_file_is_refused),        TEST(flipped_bits_are_noticed),
        TEST(lost_writes_are_noticed),    TEST(what_does_not_add_up_is_noticed),
        TEST(damaged_shard_is_not_shown), TEST(damage_while_open_costs_the_partition),
        TEST(page_in_use_is_not_free),
    };

    return cmocka_run_group_tests_name("store_lmdb_damage", tests, NULL, NULL);
}
