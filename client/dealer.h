/* dealer.h - one DEALER socket and the monitor of its connection, both watched by an epoll. */
#ifndef SHERD_CLIENT_DEALER_H
#define SHERD_CLIENT_DEALER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct sherd_dealer {
    void *socket;
    void *monitor; /* NULL of an inproc endpoint, which has no connection to watch */
    struct sherd_watch {
        void *owner;
        bool is_monitor;
    } watches[2]; /* what the epoll's events point to: a dealer must not be moved */
};

/* Connects. `owner` comes back with every event. 0, or negative errno: -EINVAL: not an endpoint;
 * -EMFILE; -ENOMEM. Close it also after a failure. */
int sherd_dealer_open(struct sherd_dealer *d, void *zmq_context, int epoll, const char *endpoint,
                      void *owner);

/* What was sent may still leave for 200 ms. A zeroed one is allowed. */
void sherd_dealer_close(struct sherd_dealer *d, int epoll);

void *sherd_dealer_owner(const struct epoll_event *event);
bool sherd_dealer_is_monitor(const struct epoll_event *event);

#endif
