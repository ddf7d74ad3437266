/* life_store.c - what stores allocate: in memory, long after a key was written, a minute after it
 * expired; on disk, from the first opening to the next. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sherd/ecc.h>

#include "server/store.h"
#include "tests/allocations/life.h"

enum { STORE_KEYS = 40, SHARD_MAX = 20000 };

static void key_of(unsigned i, char name[8], struct sherd_store_key *out)
{
    int size = snprintf(name, 8, "key-%u", i % 1000);

    *out = (struct sherd_store_key){
        1, (uint64_t)i << 40, {name, (size_t)size}
    };
}

static int put(struct sherd_store *s, unsigned i, size_t size)
{
    static const uint8_t shard[SHARD_MAX];
    struct sherd_change change = {.put = true, .put_committed = true};
    struct sherd_record record = {.count = 1};
    struct sherd_store_key key;
    char name[8];

    key_of(i, name, &key);
    record.entries[0] = (struct sherd_entry){
        .ballot = {i + 1, 1, 1},
        .version = {i + 1,     1,  1},
        .committed = true,
        .has_shard = true,
        .crc = sherd_crc32c(shard, size),
        .shard = {shard,    size   }
    };
    record.entries[0].meta.expires_ms = 1;
    return s->ops->apply(s, &key, &record, &change, NULL);
}

static void strip(struct life *l, struct sherd_store *s, unsigned i)
{
    struct sherd_record record;
    struct sherd_store_key key;
    char name[8];

    key_of(i, name, &key);
    s->ops->load(s, &key, true, &record);
    if (record.count != 1) {
        life_fail(l, "%s is gone from the store", name);
        return;
    }
    s->ops->strip(s, &key, record.entries[0].handle);
    s->ops->load(s, &key, true, &record);
    if (record.count != 1 || record.entries[0].has_shard || record.entries[0].ballot.clock != i + 1)
        life_fail(l, "%s is not what it was without its shard", name);
}

static void remove_one(struct sherd_store *s, unsigned i)
{
    struct sherd_change change = {.forget = true};
    struct sherd_record record;
    struct sherd_store_key key;
    char name[8];

    key_of(i, name, &key);
    s->ops->load(s, &key, true, &record);
    s->ops->apply(s, &key, &record, &change, NULL);
}

static void live_in_memory(struct life *l)
{
    struct sherd_store *s = NULL;
    struct sherd_store_stats stats;
    unsigned count = 0;
    int rc = sherd_store_memory_open(UINT64_MAX, &s);

    life_note(l, rc, SHERD_OK);
    if (rc < 0) return;
    for (unsigned i = 0; i < STORE_KEYS; i++) {
        rc = put(s, i, 200);
        life_note(l, rc, SHERD_OK);
        if (rc < 0) continue;
        count++;
        if (i % 2 == 0) strip(l, s, i);
    }
    s->ops->stats(s, &stats);
    if (stats.keys != count) life_fail(l, "%u keys were put, there are more or fewer", count);
    for (unsigned i = 0; i < STORE_KEYS; i++)
        remove_one(s, i);
    s->ops->stats(s, &stats);
    if (stats.keys != 0 || stats.shard_bytes != 0) life_fail(l, "an empty store is not empty");
    s->ops->close(s);
}

/* Every size that has a place of its own: in the record, in a page, in a frame when it is loaded.
 */
static unsigned fill(struct life *l, struct sherd_store *s, bool kept[STORE_KEYS])
{
    static const size_t sizes[] = {200, 2000, SHARD_MAX};
    unsigned count = 0;

    for (unsigned i = 0; i < STORE_KEYS; i++) {
        int rc = put(s, i, sizes[i % 3]);
        life_note(l, rc, SHERD_OK);
        kept[i] = rc == 0;
        count += kept[i];
        if (i % 8 == 7 && s->ops->sync(s) < 0) life_fail(l, "a sync failed");
    }
    return count;
}

/* A record that has pages of its own: several entries with shards in it. */
static void grow(struct life *l, struct sherd_store *s, unsigned i)
{
    static const uint8_t shard[1000];
    struct sherd_change change = {.put = true};
    struct sherd_record record;
    struct sherd_store_key key;
    char name[8];

    key_of(i, name, &key);
    for (unsigned n = 0; n < 4; n++) {
        if (s->ops->load(s, &key, false, &record) < 0) return;
        record.entries[record.count++] = (struct sherd_entry){
            .ballot = {1000 + n, 1, 1},
            .version = {1000 + n,        1,  1},
            .has_shard = true,
            .crc = sherd_crc32c(shard, sizeof(shard)),
            .shard = {shard,       sizeof(shard)      }
        };
        life_note(l, s->ops->apply(s, &key, &record, &change, NULL), SHERD_OK);
    }
}

/* One record of the file is not what was written, wherever it is. */
static void damage(struct life *l, const char *directory)
{
    static const char name[] = "key-7";
    char path[NODES_PATH_SIZE + 16], *data = MAP_FAILED, *at;
    struct stat status;
    int fd;

    snprintf(path, sizeof(path), "%s/data", directory);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &status) == 0)
        data = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    if (data == MAP_FAILED) {
        life_fail(l, "the store cannot be damaged");
        return;
    }
    for (at = data; (at = memmem(at, (size_t)(data + status.st_size - at), name, 5)) != NULL; at++)
        at[4] = '8';
    munmap(data, (size_t)status.st_size);
}

static void check(struct life *l, struct sherd_store *s, const bool kept[STORE_KEYS])
{
    for (unsigned i = 0; i < STORE_KEYS; i++) {
        struct sherd_record record;
        struct sherd_store_key key;
        char name[8];
        int rc;

        key_of(i, name, &key);
        rc = s->ops->load(s, &key, true, &record);
        life_note(l, rc, SHERD_OK);
        if (rc == 0 && (record.count != kept[i] || s->damaged))
            life_fail(l, "%s is not what was put", name);
    }
}

static struct sherd_store *open_durable(struct life *l, const char *directory)
{
    struct sherd_store_lmdb_config config = {.directory = directory};
    struct sherd_store *s = NULL;
    int rc = sherd_store_lmdb_open(&config, &s);

    life_note(l, rc, SHERD_OK);
    return rc == 0 ? s : NULL;
}

static void live_on_disk(struct life *l, const char *directory)
{
    struct sherd_store *s = open_durable(l, directory);
    bool kept[STORE_KEYS];
    struct sherd_store_stats stats;
    unsigned count = 0;
    int rc = 0;

    if (!s) return;
    count = fill(l, s, kept);
    rc = s->ops->save(s, SHERD_NOTE_NODE, (struct sherd_bytes){"note", 4});
    life_note(l, rc, SHERD_OK);
    if ((s->ops->sync(s) < 0) != (rc < 0)) life_fail(l, "a sync does not say what was saved");
    check(l, s, kept);
    s->ops->close(s);
    s = open_durable(l, directory);
    if (!s) return;
    s->ops->stats(s, &stats);
    if (stats.keys != count) life_fail(l, "%u keys were put, others are there again", count);
    if (s->ops->fetch(s, SHERD_NOTE_NODE).size != (rc == 0 ? 4 : 0)) life_fail(l, "a wrong note");
    check(l, s, kept);
    grow(l, s, STORE_KEYS);
    if (s->ops->sync(s) < 0) life_fail(l, "a sync failed");
    s->ops->close(s);
    s = open_durable(l, directory); /* reads what has pages of its own */
    if (s) s->ops->close(s);
    damage(l, directory);
    s = open_durable(l, directory);
    if (s) s->ops->close(s);
}

void life_store(struct life *l)
{
    char directory[NODES_PATH_SIZE + 8];

    live_in_memory(l);
    snprintf(directory, sizeof(directory), "%s/store", l->dir);
    live_on_disk(l, directory);
    if (sherd_store_lmdb_remove(directory) < 0) life_fail(l, "the store cannot be removed");
}
