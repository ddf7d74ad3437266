/* test_store.c - one suite for every store: what store.h promises, against a plain model of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sherd/ecc.h>

#include "server/store.h"
#include "tests/store/store_model.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { SHARD_MAX = 20000 };

struct store_kind {
    const char *name;
    int (*open)(uint64_t bytes_max, struct sherd_store **out);
    bool in_memory;
};

/* The directory of the store that a test opens. */
static char directory[64];

static int open_lmdb(uint64_t bytes_max, struct sherd_store **out)
{
    struct sherd_store_lmdb_config config = {.directory = directory};

    (void)bytes_max; /* it has what the file system has */
    return sherd_store_lmdb_open(&config, out);
}

static struct store_kind kinds[] = {
    {"memory", sherd_store_memory_open, true },
    {"lmdb",   open_lmdb,               false},
};

static const unsigned char zeros[SHARD_MAX];

uint64_t __wrap_sherd_hash_key(const void *key, size_t size); /* NOLINT: the linker's names */
uint64_t __real_sherd_hash_key(const void *key, size_t size); /* NOLINT */

/* A store may ask for a key's hash instead of keeping it, so this is what all keys hash to: what is
 * hard on a table, equal hashes, in full or in their upper half, and those at both ends. Short keys
 * have hashes that are known: 4 those that begin with 0xff, 5 the others. */
uint64_t __wrap_sherd_hash_key(const void *key, size_t size) /* NOLINT */
{
    uint64_t spread = __real_sherd_hash_key(key, size);
    const uint64_t hashes[] = {7, UINT64_MAX, 0, spread << 8, spread << 40, spread >> 32};

    if (size > 2) return hashes[spread % LEN(hashes)];
    return size > 0 && *(const unsigned char *)key == 0xff ? 4 : 5;
}

static struct sherd_store *open_store(void **state, uint64_t bytes_max)
{
    const struct store_kind *kind = *state;
    struct sherd_store *s = NULL;

    assert_int_equal(kind->open(bytes_max, &s), 0);
    return s;
}

static struct sherd_store_key key_of(uint16_t partition, const char *text)
{
    return (struct sherd_store_key){
        partition, sherd_hash_key(text, strlen(text)), {text, strlen(text)}
    };
}

/* Puts one entry under a key that has no record. */
static int put_new(struct sherd_store *s, const struct sherd_store_key *key,
                   struct sherd_bytes shard, zmq_msg_t *frame)
{
    struct sherd_record record = {.count = 1};
    struct sherd_change change = {.put = true};

    record.entries[0] = (struct sherd_entry){
        .ballot = {1, 2, 3},
        .version = {1, 2, 3},
        .has_shard = true,
        .crc = sherd_crc32c(shard.data, shard.size),
        .shard = shard
    };
    return s->ops->apply(s, key, &record, &change, frame);
}

static void equals_model(void **state)
{
    struct sherd_store *s = open_store(state, UINT64_MAX);

    check_against_model(s);
    s->ops->close(s);
}

static void unknown_key_is_all_zero(void **state)
{
    struct sherd_store *s = open_store(state, UINT64_MAX);
    struct sherd_store_key key = key_of(9, "nobody"), cursor = {.partition = 9};
    struct sherd_record record;

    memset(&record, 0xa5, sizeof(record));
    assert_int_equal(s->ops->load(s, &key, true, &record), 0);
    assert_int_equal(record.count, 0);
    assert_true(sherd_ballot_is_zero(record.promised));
    assert_true(sherd_ballot_is_zero(record.refused));
    assert_int_equal(s->ops->next(s, 9, &cursor, true, &key, &record), 0);
    cursor = key_of(9, "nobody");
    assert_int_equal(s->ops->next(s, 9, &cursor, true, &key, &record), 0);
    forget_key(s, &cursor);
    s->ops->drop_partition(s, 9);
    assert_int_equal(s->ops->sync(s), 0);
    s->ops->close(s);
}

static void empty_shard_is_a_shard(void **state)
{
    struct sherd_store *s = open_store(state, UINT64_MAX);
    struct sherd_store_key key = key_of(9, "k");
    struct sherd_record record;

    assert_int_equal(put_new(s, &key, (struct sherd_bytes){NULL, 0}, NULL), 0);
    assert_int_equal(s->ops->load(s, &key, true, &record), 0);
    assert_true(record.entries[0].has_shard);
    assert_non_null(record.entries[0].shard.data);
    assert_int_equal(stats_of(s).shards, 1);
    assert_int_equal(s->ops->strip(s, &key, record.entries[0].handle), 0);
    assert_int_equal(s->ops->load(s, &key, true, &record), 0);
    assert_false(record.entries[0].has_shard);
    assert_null(record.entries[0].shard.data);
    assert_int_equal(stats_of(s).shards, 0);
    s->ops->close(s);
}

/* A settled key must not go on paying for promises that its entry implies. */
static void bounds_cost_only_while_there(void **state)
{
    struct sherd_store *s = open_store(state, UINT64_MAX);
    struct sherd_store_key key = key_of(9, "k");
    struct sherd_change change = {.bounds = true};
    struct sherd_record record;
    uint64_t bytes = 0;

    assert_int_equal(put_new(s, &key, key.key, NULL), 0);
    bytes = stats_of(s).bytes;
    assert_int_equal(s->ops->load(s, &key, true, &record), 0);
    record.refused = (struct sherd_ballot){4, 5, 6};
    assert_int_equal(s->ops->apply(s, &key, &record, &change, NULL), 0);
    assert_true(stats_of(s).bytes > bytes);
    assert_int_equal(s->ops->load(s, &key, true, &record), 0);
    assert_ballot_equal(record.refused, (struct sherd_ballot){4, 5, 6});
    assert_true(sherd_ballot_is_zero(record.promised));
    record.refused = SHERD_BALLOT_ZERO;
    assert_int_equal(s->ops->apply(s, &key, &record, &change, NULL), 0);
    assert_int_equal(stats_of(s).bytes, bytes);
    s->ops->close(s);
}

/* A cursor may stand before all keys of a hash. */
static void walk_begins_at_a_hash(void **state)
{
    struct sherd_store *s = open_store(state, UINT64_MAX);
    struct sherd_store_key keys[] = {key_of(3, "\xff\xff"), key_of(3, "a"), key_of(3, "b")};
    struct sherd_store_key cursor = {.partition = 3, .hash = 5}, key = {0};
    struct sherd_record record;

    for (size_t i = 0; i < LEN(keys); i++)
        assert_int_equal(put_new(s, &keys[i], keys[i].key, NULL), 0);
    assert_int_equal(s->ops->next(s, 3, &cursor, true, &key, &record), 1);
    assert_int_equal(key.hash, 5);
    assert_memory_equal(key.key.data, "a", 1);
    cursor.hash = 6;
    assert_int_equal(s->ops->next(s, 3, &cursor, true, &key, &record), 0);
    s->ops->close(s);
}

/* LIST drops what it has just shown, and goes on. */
static void walk_survives_changes(void **state)
{
    static const char *const texts[] = {"a", "b", "c", "ca", "d"};
    struct sherd_store *s = open_store(state, UINT64_MAX);
    struct sherd_store_key cursor = {.partition = 3}, key = {0}, late = key_of(3, "bb");
    struct sherd_record record;

    for (size_t i = 0; i < LEN(texts); i++) {
        struct sherd_store_key k = key_of(3, texts[i]);
        assert_int_equal(put_new(s, &k, k.key, NULL), 0);
    }
    for (size_t i = 0; i < LEN(texts); i++) {
        assert_int_equal(s->ops->next(s, 3, &cursor, true, &key, &record), 1);
        assert_memory_equal(key.key.data, texts[i], strlen(texts[i]));
        cursor = key_of(3, texts[i]);
        forget_key(s, &cursor);
        if (i == 3) assert_int_equal(put_new(s, &late, late.key, NULL), 0); /* behind the cursor */
    }
    assert_int_equal(s->ops->next(s, 3, &cursor, true, &key, &record), 0);
    s->ops->close(s);
}

static void count_free(void *data, void *hint)
{
    free(data);
    ++*(int *)hint;
}

static void frame_is_shared_and_freed_once(void **state)
{
    struct sherd_store *s = open_store(state, UINT64_MAX);
    struct sherd_store_key key = key_of(9, "k");
    uint64_t bytes = stats_of(s).bytes;
    struct sherd_record record;
    zmq_msg_t frame, copy;
    int freed = 0;

    zmq_msg_init_data(&frame, calloc(1, SHARD_MAX), SHARD_MAX, count_free, &freed);
    struct sherd_bytes shard = {zmq_msg_data(&frame), SHARD_MAX};
    assert_int_equal(put_new(s, &key, shard, &frame), 0);
    zmq_msg_close(&frame);
    assert_int_equal(freed, 0);
    assert_true(stats_of(s).bytes > bytes + SHARD_MAX);

    assert_int_equal(s->ops->load(s, &key, true, &record), 0);
    assert_ptr_equal(record.entries[0].shard.data, shard.data); /* nobody copied it */
    zmq_msg_init(&copy);
    zmq_msg_copy(&copy, s->ops->frame(s, record.entries[0].handle));
    assert_int_equal(s->ops->strip(s, &key, record.entries[0].handle), 0);
    assert_int_equal(freed, 0);
    zmq_msg_close(&copy);
    assert_int_equal(freed, 1);

    forget_key(s, &key);
    assert_int_equal(stats_of(s).bytes, bytes);
    s->ops->close(s);
    assert_int_equal(freed, 1);
}

/* Wherever the bytes of a large shard are, they leave in a frame, and outlive what they were. */
static void frame_holds_the_shard(void **state)
{
    struct sherd_store *s = open_store(state, UINT64_MAX);
    struct sherd_store_key key = key_of(9, "k");
    struct sherd_bytes shard = {zeros, SHARD_MAX};
    struct sherd_record record;
    zmq_msg_t frame, copy;

    assert_int_equal(zmq_msg_init_size(&frame, SHARD_MAX), 0);
    memcpy(zmq_msg_data(&frame), zeros, SHARD_MAX);
    assert_int_equal(put_new(s, &key, shard, &frame), 0);
    assert_int_equal(s->ops->sync(s), 0);
    assert_int_equal(s->ops->load(s, &key, true, &record), 0);
    assert_non_null(s->ops->frame(s, record.entries[0].handle));
    zmq_msg_init(&copy);
    zmq_msg_copy(&copy, s->ops->frame(s, record.entries[0].handle));
    forget_key(s, &key);
    s->ops->close(s);
    assert_int_equal(zmq_msg_size(&copy), SHARD_MAX);
    assert_memory_equal(zmq_msg_data(&copy), zeros, SHARD_MAX);
    zmq_msg_close(&copy);
}

/* Puts numbered keys from *number on, until there is no room. */
static void fill(struct sherd_store *s, uint32_t *number, size_t shard_size, bool use_reserve)
{
    unsigned char text[16] = {0};

    for (;; ++*number) {
        struct sherd_bytes shard = {zeros, shard_size};
        struct sherd_store_key key = {
            (uint16_t)(*number % 4), 0, {text, sizeof(text)}
        };
        memcpy(text, number, sizeof(*number));
        key.hash = __real_sherd_hash_key(text, sizeof(text)); /* well spread */
        if (!s->ops->has_room(s, key.key.size, shard.size, use_reserve)) return;
        assert_int_equal(put_new(s, &key, shard, NULL), 0);
    }
}

static void memory_is_bounded(void **state)
{
    static const size_t sizes[] = {0, 1, 256, SHARD_MAX};
    const uint64_t bytes_max = 1 << 20;

    for (size_t i = 0; i < LEN(sizes); i++) {
        struct sherd_store *s = open_store(state, bytes_max);
        uint64_t bytes = stats_of(s).bytes;
        uint32_t number = 0, without_reserve = 0;

        assert_int_equal(stats_of(s).bytes_max, bytes_max);
        fill(s, &number, sizes[i], false);
        without_reserve = number;
        assert_true(stats_of(s).bytes <= bytes_max / 8 * 7);
        assert_true(stats_of(s).bytes >= bytes_max / 4 * 3);
        assert_true(s->ops->has_room(s, 16, sizes[i], true));
        fill(s, &number, sizes[i], true);
        assert_true(number > without_reserve);
        /* Deletes may pass the bound by an eighth, and by the growth of a table. */
        assert_true(stats_of(s).bytes <= (sizes[i] == 0 ? bytes_max / 4 * 5 : bytes_max));
        for (uint16_t p = 0; p < 4; p++)
            s->ops->drop_partition(s, p);
        assert_int_equal(stats_of(s).bytes, bytes);
        s->ops->close(s);
    }
}

static const struct {
    const char *name;
    CMUnitTestFunction run;
    bool in_memory; /* a property of memory alone */
} cases[] = {
    {"equals a model under random changes",   equals_model,                   false},
    {"an unknown key is all zero",            unknown_key_is_all_zero,        false},
    {"an empty shard is a shard",             empty_shard_is_a_shard,         false},
    {"bounds cost only while they are there", bounds_cost_only_while_there,   false},
    {"a walk begins at a hash",               walk_begins_at_a_hash,          false},
    {"a walk survives changes",               walk_survives_changes,          false},
    {"a frame holds the shard",               frame_holds_the_shard,          false},
    {"a frame is shared and freed once",      frame_is_shared_and_freed_once, true },
    {"memory is bounded",                     memory_is_bounded,              true },
};

/* In memory if there is some: what is tested here is not the disk. */
static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "%s/sherd-store-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    if (sherd_store_lmdb_remove(directory) < 0) return -1;
    return access(directory, F_OK) == 0 ? -1 : 0;
}

int main(void)
{
    int failed = 0;

    for (size_t k = 0; k < LEN(kinds); k++) {
        struct CMUnitTest tests[LEN(cases)] = {0};
        size_t count = 0;
        for (size_t i = 0; i < LEN(cases); i++)
            if (kinds[k].in_memory || !cases[i].in_memory)
                tests[count++] = (struct CMUnitTest){cases[i].name, cases[i].run, make_directory,
                                                     remove_directory, &kinds[k]};
        failed += _cmocka_run_group_tests(kinds[k].name, tests, count, NULL, NULL);
    }
    return failed;
}
