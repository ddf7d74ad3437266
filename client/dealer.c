#include "client/dealer.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "coord/limits.h"

enum {
    LINGER_MS = 200,
    RECONNECT_MS = 50,
    RECONNECT_MAX_MS = 500,
    SILENCE_MAX_MS = 10000, /* of an established connection, before TCP gives it up */
};

static int descriptor_of(void *socket)
{
    size_t size = sizeof(int);
    int fd;

    return zmq_getsockopt(socket, ZMQ_FD, &fd, &size) < 0 ? -errno : fd;
}

static int watch(int epoll, void *socket, struct sherd_watch *w)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = w};
    int fd = descriptor_of(socket);

    if (fd < 0) return fd;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void unwatch(int epoll, void *socket)
{
    int fd = descriptor_of(socket);

    if (fd >= 0) epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* No heartbeats of ZeroMQ's own and no limits on its queues: libzmq 4.3.4 aborts the process when
 * both meet a slow reader. PINGs and the window are ours. IMMEDIATE: nothing is queued for a
 * connection that is not there. */
static void *open_socket(void *context)
{
    static const struct {
        int option, value;
    } options[] = {
        {ZMQ_IMMEDIATE,         1               },
        {ZMQ_SNDHWM,            0               },
        {ZMQ_RCVHWM,            0               },
        {ZMQ_LINGER,            LINGER_MS       },
        {ZMQ_RECONNECT_IVL,     RECONNECT_MS    },
        {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS},
        {ZMQ_TCP_MAXRT,         SILENCE_MAX_MS  },
        {ZMQ_TCP_KEEPALIVE,     1               },
    };
    const int64_t frame_bytes_max = SHERD_MESSAGE_BYTES_MAX;
    void *socket = zmq_socket(context, ZMQ_DEALER);

    if (!socket) return NULL;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof(int));
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_bytes_max, sizeof(frame_bytes_max));
    return socket;
}

static int open_monitor(struct sherd_dealer *d, void *context)
{
    const int zero = 0;
    const int events =
        ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED;
    uint64_t name[2];
    char address[64];

    arc4random_buf(name, sizeof(name));
    snprintf(address, sizeof(address), "inproc://sherd-%016" PRIx64 "%016" PRIx64, name[0],
             name[1]);
    if (zmq_socket_monitor(d->socket, address, events) < 0) return -errno;
    d->monitor = zmq_socket(context, ZMQ_PAIR);
    if (!d->monitor) return -errno;
    zmq_setsockopt(d->monitor, ZMQ_LINGER, &zero, sizeof(zero));
    zmq_setsockopt(d->monitor, ZMQ_RCVHWM, &zero, sizeof(zero));
    return zmq_connect(d->monitor, address) < 0 ? -errno : 0;
}

int sherd_dealer_open(struct sherd_dealer *d, void *zmq_context, int epoll, const char *endpoint,
                      void *owner)
{
    bool local = strncmp(endpoint, "inproc://", strlen("inproc://")) == 0;
    int rc;

    d->watches[0] = (struct sherd_watch){owner, false};
    d->watches[1] = (struct sherd_watch){owner, true};
    d->socket = open_socket(zmq_context);
    if (!d->socket) return -errno;
    rc = watch(epoll, d->socket, &d->watches[0]);
    if (rc == 0 && !local) rc = open_monitor(d, zmq_context);
    if (rc == 0 && d->monitor) rc = watch(epoll, d->monitor, &d->watches[1]);
    if (rc == 0 && zmq_connect(d->socket, endpoint) < 0) rc = -errno;
    return rc;
}

void sherd_dealer_close(struct sherd_dealer *d, int epoll)
{
    if (d->monitor) {
        unwatch(epoll, d->monitor);
        zmq_socket_monitor(d->socket, NULL, 0);
        zmq_close(d->monitor);
    }
    if (d->socket) {
        unwatch(epoll, d->socket);
        zmq_close(d->socket);
    }
    *d = (struct sherd_dealer){0};
}

void *sherd_dealer_owner(const struct epoll_event *event)
{
    return ((const struct sherd_watch *)event->data.ptr)->owner;
}

bool sherd_dealer_is_monitor(const struct epoll_event *event)
{
    return ((const struct sherd_watch *)event->data.ptr)->is_monitor;
}
