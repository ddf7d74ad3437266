/* fuzz_wire - messages and pages from anywhere: no crash, limits hold, and what is accepted encodes
 * to the same bytes again; and whatever may be sent is understood.
 *
 * An input: u8 what (below), then
 *   a message   u8 number of frames after the first, at most 3; u32 size of each frame, the first
 *               one's too; then the frames
 *   a page      the bytes alone
 *   a frame     u8 number of framed shards, at most 3; u16 size of each, above what travels inline
 *               (they are zeros); then frame 0
 *   a record    the fields of a request or an answer, to be encoded */
#include <errno.h>

#include "coord/wire.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/records.h"

enum { INPUT_MESSAGE, INPUT_PAGE, INPUT_FRAME, INPUT_RECORD, INPUT_COUNT };
enum { FRAMES_MAX = 4 };

static void check_limits(const struct sherd_request *r)
{
    SHERD_ASSERT(r->key.size <= SHERD_KEY_BYTES_MAX && r->slot < SHERD_SLOTS_MAX);
    SHERD_ASSERT(r->shard.size <= SHERD_VALUE_BYTES_MAX && r->meta.size <= SHERD_VALUE_BYTES_MAX);
    SHERD_ASSERT(r->partition < SHERD_PARTITIONS && r->key_hash == 0);
}

static void check_answer_limits(const struct sherd_answer *a)
{
    SHERD_ASSERT(a->entry_count <= SHERD_ENTRIES_MAX && a->slot < SHERD_SLOTS_MAX);
    for (uint8_t i = 0; i < a->entry_count; i++) {
        SHERD_ASSERT(a->entries[i].shard.size <= SHERD_VALUE_BYTES_MAX);
        SHERD_ASSERT(a->entries[i].meta.size <= SHERD_VALUE_BYTES_MAX);
    }
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
        if (requests)
            check_limits(&request);
        else
            check_answer_limits(&answer);
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
        SHERD_ASSERT(envelope.count <= SHERD_RECORDS_MAX);
        SHERD_ASSERT(sherd_wire_put_envelope(&again, &envelope) == 0);
        rc = recode(&in, &again);
    }
    SHERD_ASSERT(rc == -EBADMSG || rc == -ENODATA);
    if (rc == -ENODATA) fuzz_same((struct sherd_bytes){again.data, again.size}, frames[0]);
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
        copies[i] = fuzz_copy(sherd_bytes_take(&b, frames[i].size));
        frames[i].data = copies[i];
    }
    if (!b.broken) check_message(frames, count);
    for (size_t i = 0; i < FRAMES_MAX; i++)
        free(copies[i]);
}

static void on_frame(struct sherd_bytes input)
{
    static uint8_t zeros[SHERD_SHARD_INLINE_MAX + 1 + UINT16_MAX];
    struct sherd_bytes_reader b = sherd_bytes_read(input);
    struct sherd_bytes frames[FRAMES_MAX] = {{0}};
    size_t count = 1U + sherd_bytes_take_u8(&b) % FRAMES_MAX;

    for (size_t i = 1; i < count; i++)
        frames[i] =
            (struct sherd_bytes){zeros, SHERD_SHARD_INLINE_MAX + 1U + sherd_bytes_take_u16(&b)};
    uint8_t *first = fuzz_copy((struct sherd_bytes){b.at, sherd_bytes_left(&b)});
    frames[0] = (struct sherd_bytes){first, sherd_bytes_left(&b)};
    check_message(frames, count);
    free(first);
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
        SHERD_ASSERT(key.size >= 1 && key.size <= SHERD_KEY_BYTES_MAX);
        SHERD_ASSERT(count <= SHERD_ENTRIES_MAX);
        SHERD_ASSERT(sherd_wire_put_item(&again, key, entries, count) == 0);
        fuzz_same((struct sherd_bytes){again.data, again.size},
                  (struct sherd_bytes){body.data, at});
    }
    SHERD_ASSERT(rc == -EBADMSG || (rc == -ENODATA && at == body.size));
    free(again.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;

    struct sherd_bytes rest = {data + 1, size - 1};
    uint8_t *copy = fuzz_copy(rest);
    rest.data = copy;
    switch (data[0] % INPUT_COUNT) {
    case INPUT_MESSAGE: on_message(rest); break;
    case INPUT_PAGE: on_page(rest); break;
    case INPUT_FRAME: on_frame(rest); break;
    default: fuzz_record(rest); break;
    }
    free(copy);
    return 0;
}
