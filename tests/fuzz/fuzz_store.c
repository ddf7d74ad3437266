/* fuzz_store - what a durable store reads from its disk, whatever is there.
 *
 * An input: u8 what, then
 *   0, 1  a database key of 14 bytes, and a value; with 1 the CRC at its end is set right first:
 *         refused, or all of it is within its limits and encodes to the same bytes
 *   2     edits of the file of a small store, each of them u16 page, u16 place, u8 byte: refused
 *         before LMDB sees it, or LMDB reads it and writes to it without harm
 * The file is real, in a folder of its own below $TMPDIR or /dev/shm. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sherd/ecc.h>

#include "server/store.h"
#include "server/store_lmdb_record.h"
#include "tests/fuzz/fuzz.h"

enum { PAGE = 4096, KEYS = 24, PARTITION = 3, EDIT_BYTES = 5 };

/* ---- Values ---- */

static void check_record(const struct sherd_stored_record *r, struct sherd_bytes bytes)
{
    size_t size = sherd_stored_bytes(r);
    uint8_t *again = malloc(size);

    SHERD_ASSERT(again != NULL && size <= SHERD_STORED_RECORD_BYTES_MAX);
    SHERD_ASSERT(r->key.size > 0 && r->key.size <= SHERD_KEY_BYTES_MAX);
    SHERD_ASSERT(r->record.count <= SHERD_ENTRIES_MAX && sherd_stored_is_any(&r->record));
    for (uint8_t i = 0; i < r->record.count; i++) {
        const struct sherd_entry *e = &r->record.entries[i];
        SHERD_ASSERT(e->has_shard || (!e->shard.data && e->shard.size == 0));
        SHERD_ASSERT((r->shard_ids[i] != 0) == (e->has_shard && !e->shard.data));
    }
    SHERD_ASSERT(sherd_stored_put(again, r) == again + size);
    fuzz_same((struct sherd_bytes){again, size}, bytes);
    free(again);
}

static void on_value(struct sherd_bytes db_key, struct sherd_bytes value)
{
    struct sherd_stored_record record;
    struct sherd_bytes bytes;
    struct sherd_bytes_reader in;
    const uint8_t *begin = NULL;
    int rc = sherd_stored_check(db_key, value, &bytes);

    SHERD_ASSERT(rc == 0 || rc == -EBADMSG);
    if (rc < 0) return;
    in = sherd_bytes_read(bytes);
    for (begin = in.at; (rc = sherd_stored_next(&in, &record)) == 1; begin = in.at)
        check_record(&record, (struct sherd_bytes){begin, (size_t)(in.at - begin)});
    SHERD_ASSERT(rc == 0 || rc == -EBADMSG);
}

static void on_bytes(struct sherd_bytes input, bool with_crc)
{
    uint16_t partition = 0;
    uint32_t generation = 0;
    uint64_t last = 0;
    uint8_t again[SHERD_STORED_DB_KEY_BYTES], *copy = NULL;
    size_t size = input.size - SHERD_STORED_DB_KEY_BYTES;
    struct sherd_bytes db_key = {input.data, SHERD_STORED_DB_KEY_BYTES};

    if (input.size < SHERD_STORED_DB_KEY_BYTES) return;
    copy = fuzz_copy(
        (struct sherd_bytes){(const uint8_t *)input.data + SHERD_STORED_DB_KEY_BYTES, size});
    if (sherd_stored_split(db_key, &partition, &generation, &last) == 0) {
        sherd_stored_db_key(partition, generation, last, again);
        fuzz_same((struct sherd_bytes){again, sizeof(again)}, db_key);
    }
    if (with_crc && size >= SHERD_STORED_CRC_BYTES)
        sherd_bytes_put_u32(
            copy + size - SHERD_STORED_CRC_BYTES,
            sherd_stored_crc(db_key, (struct sherd_bytes){copy, size - SHERD_STORED_CRC_BYTES}));
    on_value(db_key, (struct sherd_bytes){copy, size});
    free(copy);
}

/* ---- Files ---- */

static char directory[1000], path[1100];
static uint8_t *base; /* the file as it was written */
static size_t base_size;

static struct sherd_store *open_store(int *rc)
{
    struct sherd_store_lmdb_config config = {.directory = directory};
    struct sherd_store *s = NULL;

    *rc = sherd_store_lmdb_open(&config, &s);
    return s;
}

/* A few records of all kinds. What fails stays undone. */
static int change(struct sherd_store *s, unsigned number)
{
    static const size_t sizes[] = {0, 100, 1000, 1900, 5000, 9000};
    static const uint8_t shard[9000];
    struct sherd_store_key key = {
        PARTITION, number % KEYS * UINT64_C(0x0f0f0f0f0f0f0f), {&number, sizeof(number)}
    };
    struct sherd_change now = {.put = true};
    struct sherd_record record;
    size_t size = sizes[number % (sizeof(sizes) / sizeof(sizes[0]))];
    int rc = s->ops->load(s, &key, true, &record);

    if (rc < 0) return rc;
    now.dropped = (uint16_t)((1u << record.count) - 1);
    record.count = 1;
    record.entries[0] = (struct sherd_entry){
        .ballot = {number + 1, 1, 1},
        .has_shard = true,
        .crc = sherd_crc32c(shard, size),
        .shard = {shard,          size      }
    };
    rc = s->ops->apply(s, &key, &record, &now, NULL);
    return rc == 0 ? s->ops->sync(s) : rc;
}

static void write_file(const void *data, size_t size, size_t at)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    SHERD_ASSERT(fd >= 0 && pwrite(fd, data, size, (off_t)at) == (ssize_t)size);
    SHERD_ASSERT(at != 0 || size != base_size || ftruncate(fd, (off_t)size) == 0);
    close(fd);
}

static void leave(void)
{
    sherd_store_lmdb_remove(directory);
    free(base);
}

static void enter(void)
{
    const char *above = getenv("TMPDIR");
    struct sherd_store *s = NULL;
    struct stat status;
    int rc = 0;

    if (above == NULL) above = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(directory, sizeof(directory), "%s/sherd-fuzz-XXXXXX", above);
    SHERD_ASSERT(mkdtemp(directory) != NULL);
    snprintf(path, sizeof(path), "%s/data", directory);
    atexit(leave);
    s = open_store(&rc);
    SHERD_ASSERT(rc == 0);
    for (unsigned i = 0; i < 2 * KEYS; i++)
        SHERD_ASSERT(change(s, i) == 0);
    s->ops->close(s);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    SHERD_ASSERT(fd >= 0 && fstat(fd, &status) == 0);
    base_size = (size_t)status.st_size;
    base = malloc(base_size);
    SHERD_ASSERT(base != NULL && read(fd, base, base_size) == (ssize_t)base_size);
    close(fd);
}

static void use(struct sherd_store *s)
{
    struct sherd_store_key cursor = {.partition = PARTITION}, key;
    struct sherd_record record;
    int rc = 1, left = 1000;

    while (rc == 1 && left-- > 0) {
        rc = s->ops->next(s, PARTITION, &cursor, true, &key, &record);
        cursor = key;
    }
    SHERD_ASSERT(left > 0 && (rc == 0 || rc == -EUCLEAN));
    for (unsigned i = 0; rc == 0 && i < 8; i++)
        rc = change(s, i * 5);
    SHERD_ASSERT(rc == 0 || rc == -EUCLEAN);
}

static void on_edits(struct sherd_bytes input)
{
    struct sherd_bytes_reader in = sherd_bytes_read(input);
    struct sherd_store *s = NULL;
    int rc = 0;

    if (base == NULL) enter();
    while (sherd_bytes_left(&in) >= EDIT_BYTES) {
        size_t page = sherd_bytes_take_u16(&in) % (base_size / PAGE);
        size_t at = page * PAGE + sherd_bytes_take_u16(&in) % PAGE;
        uint8_t byte = sherd_bytes_take_u8(&in);
        write_file(&byte, 1, at);
    }
    s = open_store(&rc);
    SHERD_ASSERT(rc == 0 || rc == -EUCLEAN);
    if (s) {
        use(s);
        s->ops->close(s);
    }
    SHERD_ASSERT(sherd_store_lmdb_remove(directory) == 0 && mkdir(directory, 0700) == 0);
    write_file(base, base_size, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sherd_bytes rest = {data + 1, size - 1};

    if (size == 0) return 0;
    if (data[0] % 3 == 2)
        on_edits(rest);
    else
        on_bytes(rest, data[0] % 3 == 1);
    return 0;
}
