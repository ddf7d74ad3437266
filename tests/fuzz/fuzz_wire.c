/* fuzz_wire - messages, pages, maps and reports from anywhere: no crash, and what is accepted
 * encodes to the same bytes again.
 *
 *   clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -I. -Icoord/include
 *       tests/fuzz/fuzz_wire.c coord/wire.c coord/wire_page.c coord/map_codec.c coord/assert.c
 *
 * An input: u8 what (below). A message: u8 number of frames after the first, at most 3; u32 size of
 * each frame, the first one's too; then the frames. Everything else: the bytes alone; a map's
 * checksum is set right first, so that the checks behind it are met. */
#include <errno.h>
#include <stdlib.h>

#include "coord/assert.h"
#include "coord/bytes.h"
#include "coord/map_codec.h"
#include "coord/wire.h"

enum { INPUT_MESSAGE, INPUT_PAGE, INPUT_MAP, INPUT_REPORT, INPUT_COUNT };
enum { FRAMES_MAX = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly that size: the sanitizer sees a single byte read beyond it. */
static uint8_t *copy_of(struct sherd_bytes b)
{
    uint8_t *copy = malloc(b.size != 0 ? b.size : 1);

    SHERD_ASSERT(copy != NULL);
    sherd_bytes_put(copy, b);
    return copy;
}

/* All records of an open message into `again`; what the last next() said. */
static int recode(struct sherd_wire_reader *in, struct sherd_writer_buffer *again)
{
    static struct sherd_answer answer;
    struct sherd_request request = {0};
    bool requests = in->type == SHERD_REQUESTS;

    for (;;) {
        int rc =
            requests ? sherd_wire_next_request(in, &request) : sherd_wire_next_answer(in, &answer);
        if (rc < 0) return rc;
        rc = requests ? sherd_wire_put_request(again, &request)
                      : sherd_wire_put_answer(again, &answer);
        SHERD_ASSERT(rc == 0);
    }
}

static void check_message(const struct sherd_bytes *frames, size_t frame_count)
{
    struct sherd_writer_buffer again = {malloc(frames[0].size + 1), 0, frames[0].size};
    struct sherd_wire_reader in = {0};
    struct sherd_envelope envelope = {0};

    SHERD_ASSERT(again.data != NULL);
    int rc = sherd_wire_open(&in, frames, frame_count, &envelope);
    if (rc == 0) {
        SHERD_ASSERT(sherd_wire_put_envelope(&again, &envelope) == 0);
        rc = recode(&in, &again);
    }
    SHERD_ASSERT(rc == -EBADMSG || rc == -ENODATA);
    if (rc == -ENODATA) {
        SHERD_ASSERT(again.size == frames[0].size);
        SHERD_ASSERT(memcmp(again.data, frames[0].data, again.size) == 0);
    }
    free(again.data);
}

static void on_message(struct sherd_bytes input)
{
    struct sherd_bytes_reader b = sherd_bytes_read(input);
    struct sherd_bytes frames[FRAMES_MAX] = {{0}};
    uint8_t *copies[FRAMES_MAX] = {0};
    size_t count = 1U + sherd_bytes_take_u8(&b);

    sherd_bytes_require(&b, count <= FRAMES_MAX);
    for (size_t i = 0; i < count && !b.broken; i++)
        frames[i].size = sherd_bytes_take_u32(&b);
    for (size_t i = 0; i < count && !b.broken; i++) {
        copies[i] = copy_of(sherd_bytes_take(&b, frames[i].size));
        frames[i].data = copies[i];
    }
    if (!b.broken) check_message(frames, count);
    for (size_t i = 0; i < FRAMES_MAX; i++)
        free(copies[i]);
}

static void on_page(struct sherd_bytes body)
{
    struct sherd_writer_buffer again = {malloc(1 + body.size), 0, body.size};
    struct sherd_entry entries[SHERD_ENTRIES_MAX];
    struct sherd_bytes key = {0};
    uint8_t count = 0;
    size_t at = 0;
    int rc = 0;

    SHERD_ASSERT(again.data != NULL);
    while ((rc = sherd_wire_next_item(body, &at, &key, entries, &count)) == 0) {
        SHERD_ASSERT(sherd_wire_put_item(&again, key, entries, count) == 0);
        SHERD_ASSERT(again.size == at && memcmp(again.data, body.data, at) == 0);
    }
    SHERD_ASSERT(rc == -EBADMSG || (rc == -ENODATA && at == body.size));
    free(again.data);
}

static void on_map(uint8_t *data, size_t size)
{
    struct sherd_bytes encoded = {data, size};
    uint16_t partitions = sherd_map_peek_partitions(encoded);
    if (partitions == 0) return;

    uint64_t hash = sherd_map_hash((struct sherd_bytes){data, size - sizeof(hash)});
    sherd_bytes_put_u64(data + size - sizeof(hash), hash);
    struct sherd_map *map = malloc(sherd_map_size(partitions));
    uint8_t *again = malloc(1 + size);

    SHERD_ASSERT(map != NULL && again != NULL);
    if (sherd_map_decode(encoded, map) == 0) {
        SHERD_ASSERT(sherd_map_encode(map, again, size) == size);
        SHERD_ASSERT(memcmp(again, data, size) == 0);
    }
    free(again);
    free(map);
}

static void on_report(struct sherd_bytes in)
{
    uint8_t again[SHERD_REPORT_BYTES_MAX];
    struct sherd_report r;

    if (sherd_report_decode(in, &r) < 0) return;
    SHERD_ASSERT(sherd_report_encode(&r, again, sizeof(again)) == in.size);
    SHERD_ASSERT(memcmp(again, in.data, in.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;

    struct sherd_bytes rest = {data + 1, size - 1};
    uint8_t *copy = copy_of(rest);
    rest.data = copy;
    switch (data[0] % INPUT_COUNT) {
    case INPUT_MESSAGE: on_message(rest); break;
    case INPUT_PAGE: on_page(rest); break;
    case INPUT_MAP: on_map(copy, rest.size); break;
    default: on_report(rest); break;
    }
    free(copy);
    return 0;
}
