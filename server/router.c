#include "server/router.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/frame.h"

enum { FIRST_BYTES = 4096, SEND_HWM = 1000, LINGER_MS = 200 };

static void drop_frames(struct sherd_router_message *m)
{
    for (size_t i = 0; i < m->frame_count; i++)
        zmq_msg_close(&m->frames[i]);
    m->frame_count = 0;
    if (m->open) zmq_msg_close(&m->identity);
    m->open = false;
}

void sherd_router_message_fini(struct sherd_router_message *m)
{
    drop_frames(m);
    free(m->frames);
    free(m->views);
    *m = (struct sherd_router_message){0};
}

static int grow(struct sherd_router_message *m)
{
    size_t capacity = m->capacity ? m->capacity * 2 : 16;
    zmq_msg_t *frames = malloc(capacity * sizeof(*frames));
    struct sherd_bytes *views = reallocarray(m->views, capacity, sizeof(*views));

    if (views) m->views = views;
    if (!frames || !views) {
        free(frames);
        return -ENOMEM;
    }
    for (size_t i = 0; i < m->frame_count; i++) { /* a zmq_msg_t must not be moved by memcpy */
        zmq_msg_init(&frames[i]);
        zmq_msg_move(&frames[i], &m->frames[i]);
        zmq_msg_close(&m->frames[i]);
    }
    free(m->frames);
    m->frames = frames;
    m->capacity = capacity;
    return 0;
}

/* Takes the rest of a message that will not be used. */
static void skip_rest(void *socket)
{
    zmq_msg_t part;
    bool more = true;

    while (more) {
        zmq_msg_init(&part);
        more = sherd_frame_receive(&part, socket) >= 0 && zmq_msg_more(&part);
        zmq_msg_close(&part);
    }
}

static int receive_frame(void *socket, struct sherd_router_message *m)
{
    zmq_msg_t *frame;
    int rc = 0;

    if (m->frame_count == SHERD_ROUTER_FRAMES_MAX) rc = -EBADMSG;
    if (rc == 0 && m->frame_count == m->capacity) rc = grow(m);
    if (rc < 0) {
        skip_rest(socket);
        return rc;
    }
    frame = &m->frames[m->frame_count];
    zmq_msg_init(frame);
    if (sherd_frame_receive(frame, socket) < 0) {
        rc = -errno;
        zmq_msg_close(frame);
        return rc;
    }
    m->views[m->frame_count] = (struct sherd_bytes){zmq_msg_data(frame), zmq_msg_size(frame)};
    m->frame_count++;
    return 0;
}

int sherd_router_receive(void *socket, struct sherd_router_message *m)
{
    bool more;
    int rc;

    drop_frames(m);
    zmq_msg_init(&m->identity);
    if (sherd_frame_receive(&m->identity, socket) < 0) {
        rc = errno;
        zmq_msg_close(&m->identity);
        return -rc;
    }
    m->open = true;
    more = zmq_msg_more(&m->identity);
    rc = more ? 0 : -EBADMSG;
    while (rc == 0 && more) {
        rc = receive_frame(socket, m);
        if (rc == 0) more = zmq_msg_more(&m->frames[m->frame_count - 1]);
    }
    if (rc < 0) drop_frames(m);
    return rc;
}

static int reserve(struct sherd_router_reply *r, size_t more)
{
    size_t need = r->buffer.size + more, capacity = r->buffer.capacity;
    uint8_t *data;

    if (need <= capacity) return 0;
    if (capacity == 0) capacity = FIRST_BYTES;
    while (capacity < need)
        capacity *= 2;
    data = realloc(r->buffer.data, capacity);
    if (!data) return -ENOMEM;
    r->buffer.data = data;
    r->buffer.capacity = capacity;
    return 0;
}

static void drop_reply_frames(struct sherd_router_reply *r)
{
    for (size_t i = 0; i < r->frame_count; i++)
        zmq_msg_close(&r->frames[i]);
    r->frame_count = 0;
}

int sherd_router_begin(struct sherd_router_reply *r, const struct sherd_envelope *e)
{
    drop_reply_frames(r);
    r->buffer.size = 0;
    r->count = 0;
    if (reserve(r, SHERD_ENVELOPE_BYTES) < 0) return -ENOMEM;
    return sherd_wire_put_envelope(&r->buffer, e);
}

static int add_frame(struct sherd_router_reply *r, zmq_msg_t *frame)
{
    if (r->frame_count == SHERD_ROUTER_FRAMES_MAX - 1) return -E2BIG;
    if (r->frame_count == r->frame_capacity) {
        size_t capacity = r->frame_capacity ? r->frame_capacity * 2 : 16;
        zmq_msg_t *frames = malloc(capacity * sizeof(*frames));
        if (!frames) return -ENOMEM;
        for (size_t i = 0; i < r->frame_count; i++) {
            zmq_msg_init(&frames[i]);
            zmq_msg_move(&frames[i], &r->frames[i]);
            zmq_msg_close(&r->frames[i]);
        }
        free(r->frames);
        r->frames = frames;
        r->frame_capacity = capacity;
    }
    zmq_msg_init(&r->frames[r->frame_count]);
    if (zmq_msg_copy(&r->frames[r->frame_count], frame) < 0) return -ENOMEM;
    r->frame_count++;
    return 0;
}

int sherd_router_add_answer(struct sherd_router_reply *r, const struct sherd_answer *a,
                            zmq_msg_t *const *framed)
{
    size_t frames_before = r->frame_count;
    int rc = r->count == SHERD_RECORDS_MAX ? -E2BIG : reserve(r, sherd_wire_answer_bytes(a));

    for (uint8_t i = 0; rc == 0 && i < a->entry_count; i++)
        if (a->entries[i].shard.data && sherd_wire_is_framed(a->entries[i].shard.size))
            rc = add_frame(r, framed[i]);
    if (rc == 0) rc = sherd_wire_put_answer(&r->buffer, a);
    if (rc == 0)
        r->count++;
    else
        while (r->frame_count > frames_before)
            zmq_msg_close(&r->frames[--r->frame_count]);
    return rc;
}

int sherd_router_add_request(struct sherd_router_reply *r, const struct sherd_request *request)
{
    int rc = reserve(r, sherd_wire_request_bytes(request));

    if (rc == 0) rc = sherd_wire_put_request(&r->buffer, request);
    if (rc == 0) r->count++;
    return rc;
}

/* Identity first: with ROUTER_MANDATORY it is that frame which is refused when the peer is gone or
 * full; the frames after it then belong to a message that is already accepted. */
int sherd_router_send(void *socket, const zmq_msg_t *identity, struct sherd_router_reply *r)
{
    zmq_msg_t first, address;
    int rc = 0;

    sherd_wire_set_count(r->buffer.data, r->count);
    if (zmq_msg_init_size(&first, r->buffer.size) < 0) return -ENOMEM;
    memcpy(zmq_msg_data(&first), r->buffer.data, r->buffer.size);
    zmq_msg_init(&address);
    if (zmq_msg_copy(&address, (zmq_msg_t *)(uintptr_t)identity) < 0 ||
        sherd_frame_send(&address, socket, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        rc = -errno;
        zmq_msg_close(&address);
        zmq_msg_close(&first);
        return rc;
    }
    if (sherd_frame_send(&first, socket, ZMQ_DONTWAIT | (r->frame_count ? ZMQ_SNDMORE : 0)) < 0) {
        rc = -errno;
        zmq_msg_close(&first);
    }
    for (size_t i = 0; rc == 0 && i < r->frame_count; i++) {
        int more = i + 1 < r->frame_count ? ZMQ_SNDMORE : 0;
        if (sherd_frame_send(&r->frames[i], socket, ZMQ_DONTWAIT | more) < 0) rc = -errno;
    }
    drop_reply_frames(r);
    return rc;
}

void sherd_router_reply_fini(struct sherd_router_reply *r)
{
    drop_reply_frames(r);
    free(r->frames);
    free(r->buffer.data);
    *r = (struct sherd_router_reply){0};
}

int sherd_router_bind(void *zmq_context, const char *endpoint, void **out)
{
    static const struct {
        int option, value;
    } options[] = {
        {ZMQ_ROUTER_MANDATORY, 1        }, /* a vanished peer is an error to count, not a silent drop */
        {ZMQ_SNDHWM,           SEND_HWM },
        {ZMQ_RCVHWM,           0        },
        {ZMQ_LINGER,           LINGER_MS},
    };
    int64_t size_max = SHERD_MESSAGE_BYTES_MAX;
    void *socket = zmq_socket(zmq_context, ZMQ_ROUTER);
    int rc = 0;

    *out = NULL;
    if (!socket) return -errno;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]) && rc == 0; i++)
        rc = zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof(int));
    if (rc == 0) rc = zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &size_max, sizeof(size_max));
    if (rc == 0) rc = zmq_bind(socket, endpoint);
    if (rc < 0) {
        rc = -errno;
        zmq_close(socket);
        return rc;
    }
    *out = socket;
    return 0;
}
