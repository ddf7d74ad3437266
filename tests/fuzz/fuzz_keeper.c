/* fuzz_keeper - the keeper's file, whatever is in it: refused by name, or its map comes out byte
 * for byte and is written to the same file again.
 *
 * An input: u8, then the file. An odd u8 sets the file's checksum right, so that what stands before
 * it is met. The file is real, in a folder of its own below $TMPDIR or /dev/shm. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "coord/map_codec.h"
#include "server/keeper_file.h"
#include "tests/fuzz/fuzz.h"

enum { HEAD_BYTES = 16, HASH_BYTES = 8 };

static struct sherd_keeper_file folder;

static void path_of(const char *name, char out[1200])
{
    snprintf(out, 1200, "%s/%s", folder.directory, name);
}

static void leave(void)
{
    static const char *const names[] = {"map", "map.new", "lock"};
    char path[1200];

    sherd_keeper_file_close(&folder);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        path_of(names[i], path);
        unlink(path);
    }
    rmdir(folder.directory);
}

static void enter(void)
{
    const char *base = getenv("TMPDIR");
    char name[1000];

    if (base == NULL) base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(name, sizeof(name), "%s/sherd-fuzz-XXXXXX", base);
    SHERD_ASSERT(mkdtemp(name) != NULL);
    SHERD_ASSERT(sherd_keeper_file_open(&folder, name, false) == 0);
    atexit(leave);
}

static void put_file(struct sherd_bytes bytes)
{
    char path[1200];

    path_of("map", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    SHERD_ASSERT(fd >= 0 && write(fd, bytes.data, bytes.size) == (ssize_t)bytes.size);
    close(fd);
}

/* Whether the file holds these bytes and nothing else. */
static bool file_is(struct sherd_bytes bytes)
{
    char path[1200];
    uint8_t *got = malloc(bytes.size + 1);

    path_of("map", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    SHERD_ASSERT(fd >= 0 && got != NULL);
    ssize_t size = read(fd, got, bytes.size + 1);
    bool same = size == (ssize_t)bytes.size && memcmp(got, bytes.data, bytes.size) == 0;
    close(fd);
    free(got);
    return same;
}

/* As the keeper does when it starts. */
static void look_into(struct sherd_bytes encoded)
{
    uint16_t partitions = sherd_map_peek_partitions(encoded);
    if (partitions == 0) return;

    struct sherd_map *map = malloc(sherd_map_size(partitions));
    SHERD_ASSERT(map != NULL);
    int rc = sherd_map_decode(encoded, map);
    SHERD_ASSERT(rc == 0 || rc == -EBADMSG);
    free(map);
}

static void check_file(struct sherd_bytes file)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    uint64_t live = 0;

    put_file(file);
    int rc = sherd_keeper_file_read(&folder, &bytes, &size, &live);
    SHERD_ASSERT(rc == 0 || rc == -EBADMSG);
    if (rc != 0) {
        SHERD_ASSERT(bytes == NULL);
        return;
    }
    SHERD_ASSERT(size + HEAD_BYTES + HASH_BYTES == file.size);
    struct sherd_bytes encoded = {bytes, size};
    fuzz_same(encoded, (struct sherd_bytes){(const uint8_t *)file.data + HEAD_BYTES, size});
    uint8_t *exact = fuzz_copy(encoded);
    look_into((struct sherd_bytes){exact, size});
    SHERD_ASSERT(sherd_keeper_file_write(&folder, encoded, live) == 0 && file_is(file));
    free(exact);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (folder.directory[0] == '\0') enter();
    if (size == 0) return 0;

    uint8_t *copy = fuzz_copy((struct sherd_bytes){data + 1, size - 1});
    struct sherd_bytes file = {copy, size - 1};
    if ((data[0] & 1) && file.size >= HASH_BYTES)
        sherd_bytes_put_u64(copy + file.size - HASH_BYTES,
                            sherd_map_hash((struct sherd_bytes){copy, file.size - HASH_BYTES}));
    check_file(file);
    free(copy);
    return 0;
}
