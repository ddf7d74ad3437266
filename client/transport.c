#include "client/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/frame.h"
#include "coord/assert.h"

enum {
    FIRST_FRAMES = 16,
    FIRST_BYTES = 16 << 10,
    BYTES_KEPT = 512 << 10,
    GIVEN_MIN = 64 << 10, /* a frame 0 of this size is given away, not copied */
};

/* A zmq_msg_t may only be moved by its own function. NULL: no memory, and `frames` is untouched. */
static zmq_msg_t *move_frames(zmq_msg_t *frames, size_t count, size_t capacity)
{
    zmq_msg_t *moved = malloc(capacity * sizeof(*moved));

    if (!moved) return NULL;
    for (size_t i = 0; i < count; i++) {
        zmq_msg_init(&moved[i]);
        zmq_msg_move(&moved[i], &frames[i]);
        zmq_msg_close(&frames[i]);
    }
    free(frames);
    return moved;
}

/* ---- in ---- */

static void drop(struct sherd_incoming *in)
{
    for (size_t i = 0; i < in->count; i++)
        zmq_msg_close(&in->frames[i]);
    in->count = 0;
    in->bytes = 0;
}

void sherd_incoming_fini(struct sherd_incoming *in)
{
    drop(in);
    free(in->frames);
    free(in->views);
    *in = (struct sherd_incoming){0};
}

static int grow(struct sherd_incoming *in)
{
    size_t capacity = in->capacity ? in->capacity * 2 : FIRST_FRAMES;
    struct sherd_bytes *views = reallocarray(in->views, capacity, sizeof(*views));
    zmq_msg_t *frames;

    if (!views) return -ENOMEM;
    in->views = views;
    frames = move_frames(in->frames, in->count, capacity);
    if (!frames) return -ENOMEM;
    in->frames = frames;
    in->capacity = capacity;
    return 0;
}

/* Takes the rest of a message that will not be used: it has arrived as a whole. */
static void skip_rest(void *socket)
{
    bool more = true;

    while (more) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        more = sherd_frame_receive(&part, socket) >= 0 && zmq_msg_more(&part);
        zmq_msg_close(&part);
    }
}

static int receive_frame(struct sherd_incoming *in, void *socket)
{
    zmq_msg_t *frame;
    int rc;

    if (in->count == SHERD_INCOMING_FRAMES_MAX) return -EBADMSG;
    rc = in->count == in->capacity ? grow(in) : 0;
    if (rc < 0) return rc;
    frame = &in->frames[in->count];
    zmq_msg_init(frame);
    if (sherd_frame_receive(frame, socket) < 0) {
        rc = -errno;
        zmq_msg_close(frame);
        return rc;
    }
    in->views[in->count] = (struct sherd_bytes){zmq_msg_data(frame), zmq_msg_size(frame)};
    in->bytes += zmq_msg_size(frame);
    in->count++;
    return 0;
}

int sherd_incoming_receive(struct sherd_incoming *in, void *socket)
{
    int rc;

    drop(in);
    do {
        rc = receive_frame(in, socket);
    } while (rc == 0 && zmq_msg_more(&in->frames[in->count - 1]));
    if (rc == 0) return 0;
    if (rc == -EBADMSG || rc == -ENOMEM) skip_rest(socket);
    drop(in);
    return rc;
}

bool sherd_incoming_take(struct sherd_incoming *in, struct sherd_bytes shard, zmq_msg_t *out)
{
    for (size_t i = 1; i < in->count; i++) {
        if (in->views[i].data != shard.data || in->views[i].size != shard.size) continue;
        zmq_msg_init(out);
        zmq_msg_move(out, &in->frames[i]);
        /* Two answers of this process's own service share the bytes of one stored frame: each must
         * take its own. */
        in->views[i] = (struct sherd_bytes){NULL, 0};
        return true;
    }
    return false;
}

int sherd_monitor_receive(void *monitor, uint16_t *event)
{
    zmq_msg_t first;
    int rc = -EAGAIN;

    zmq_msg_init(&first);
    if (sherd_frame_receive(&first, monitor) >= 0) {
        *event = 0;
        if (zmq_msg_size(&first) >= sizeof(*event))
            memcpy(event, zmq_msg_data(&first), sizeof(*event));
        if (zmq_msg_more(&first)) skip_rest(monitor); /* the endpoint */
        rc = 0;
    }
    zmq_msg_close(&first);
    return rc;
}

/* ---- out ---- */

void sherd_batch_clear(struct sherd_batch *b)
{
    for (size_t i = 0; i < b->frame_count; i++)
        zmq_msg_close(&b->frames[i]);
    b->frame_count = 0;
    b->frame_bytes = 0;
    b->count = 0;
    b->buffer.size = b->buffer.data ? SHERD_ENVELOPE_BYTES : 0;
    if (b->buffer.capacity > BYTES_KEPT) {
        free(b->buffer.data);
        b->buffer = (struct sherd_writer_buffer){0};
    }
}

void sherd_batch_fini(struct sherd_batch *b)
{
    sherd_batch_clear(b);
    free(b->frames);
    free(b->buffer.data);
    *b = (struct sherd_batch){0};
}

size_t sherd_batch_bytes(const struct sherd_batch *b) { return b->buffer.size + b->frame_bytes; }

bool sherd_batch_is_full(const struct sherd_batch *b)
{
    return b->count >= SHERD_BATCH_RECORDS_MAX || b->buffer.size >= SHERD_BATCH_BYTES_MAX ||
           b->frame_bytes >= SHERD_BATCH_FRAME_BYTES_MAX;
}

static int reserve(struct sherd_batch *b, size_t more)
{
    size_t capacity = b->buffer.capacity ? b->buffer.capacity : FIRST_BYTES;
    uint8_t *data;

    if (b->buffer.size == 0) more += SHERD_ENVELOPE_BYTES;
    if (b->buffer.size + more > b->buffer.capacity) {
        while (capacity < b->buffer.size + more)
            capacity *= 2;
        data = realloc(b->buffer.data, capacity);
        if (!data) return -ENOMEM;
        b->buffer.data = data;
        b->buffer.capacity = capacity;
    }
    if (b->buffer.size == 0) b->buffer.size = SHERD_ENVELOPE_BYTES;
    return 0;
}

static int add_frame(struct sherd_batch *b, struct sherd_bytes shard, zmq_msg_t *frame)
{
    zmq_msg_t *place;

    if (b->frame_count == b->frame_capacity) {
        size_t capacity = b->frame_capacity ? b->frame_capacity * 2 : FIRST_FRAMES;
        zmq_msg_t *frames = move_frames(b->frames, b->frame_count, capacity);
        if (!frames) return -ENOMEM;
        b->frames = frames;
        b->frame_capacity = capacity;
    }
    place = &b->frames[b->frame_count];
    if (frame) {
        zmq_msg_init(place);
        zmq_msg_move(place, frame);
    } else {
        if (zmq_msg_init_size(place, shard.size) < 0) return -ENOMEM;
        memcpy(zmq_msg_data(place), shard.data, shard.size);
    }
    b->frame_count++;
    b->frame_bytes += shard.size;
    return 0;
}

int sherd_batch_add(struct sherd_batch *b, const struct sherd_request *r, zmq_msg_t *frame)
{
    bool framed = r->shard.data && sherd_wire_is_framed(r->shard.size);
    int rc = reserve(b, sherd_wire_request_bytes(r));

    if (rc == 0 && framed) rc = add_frame(b, r->shard, frame);
    if (rc < 0) return rc;
    rc = sherd_wire_put_request(&b->buffer, r);
    SHERD_ASSERT(rc == 0); /* there is room for exactly this */
    b->count++;
    return 0;
}

static void put_envelope(struct sherd_batch *b, struct sherd_envelope *e)
{
    struct sherd_writer_buffer head = {b->buffer.data, 0, SHERD_ENVELOPE_BYTES};

    e->count = b->count;
    int rc = sherd_wire_put_envelope(&head, e);
    SHERD_ASSERT(rc == 0);
}

/* Every frame but the first belongs to a message that was accepted already: it is only refused when
 * the connection broke in between. */
static int send_frames(struct sherd_batch *b, void *socket)
{
    for (size_t i = 0; i < b->frame_count; i++) {
        int flags = ZMQ_DONTWAIT | (i + 1 < b->frame_count ? ZMQ_SNDMORE : 0);
        if (sherd_frame_send(&b->frames[i], socket, flags) < 0) return -EPIPE;
    }
    return 0;
}

static void free_given(void *data, void *hint)
{
    (void)hint;
    free(data);
}

/* Frame 0: a copy, or, when it is large, the buffer itself; then the batch gets a new one. */
static int make_first(struct sherd_batch *b, zmq_msg_t *first)
{
    struct sherd_writer_buffer fresh = {.capacity = b->buffer.capacity};

    if (b->buffer.size < GIVEN_MIN) {
        if (zmq_msg_init_size(first, b->buffer.size) < 0) return -ENOMEM;
        memcpy(zmq_msg_data(first), b->buffer.data, b->buffer.size);
        return 0;
    }
    fresh.data = malloc(fresh.capacity);
    if (!fresh.data) return -ENOMEM;
    if (zmq_msg_init_data(first, b->buffer.data, b->buffer.size, free_given, NULL) < 0) {
        free(fresh.data);
        return -ENOMEM;
    }
    b->buffer = fresh;
    return 0;
}

int sherd_batch_send(struct sherd_batch *b, void *socket, struct sherd_envelope *e)
{
    zmq_msg_t first;
    int rc;

    put_envelope(b, e);
    rc = make_first(b, &first);
    if (rc == 0 &&
        sherd_frame_send(&first, socket, ZMQ_DONTWAIT | (b->frame_count ? ZMQ_SNDMORE : 0)) < 0) {
        zmq_msg_close(&first);
        rc = -EAGAIN;
    }
    if (rc == 0) rc = send_frames(b, socket);
    sherd_batch_clear(b);
    return rc;
}
