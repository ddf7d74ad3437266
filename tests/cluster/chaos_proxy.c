#include "tests/cluster/chaos_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/cluster/report.h"

enum { CHUNK = 64 << 10, QUEUE_MAX = 4 << 20, EVENTS = 64, TICK_MS = 20, BACKLOG = 64 };

struct chunk {
    struct chunk *next;
    uint64_t due_us;
    size_t size, sent;
    uint8_t bytes[];
};

/* What goes one way: read from fds[i], written to fds[1 - i]. */
struct way {
    struct chunk *first, *last;
    size_t queued;
    uint64_t due_us; /* of the last: they stay in order */
    bool ended;
};

struct proxy_pair {
    struct proxy_pair *next;
    int fds[2]; /* the one that came, and the server */
    struct way ways[2];
    unsigned host, node; /* host NET_HOSTS_MAX: the operator, never late */
    bool broken;
};

/* ---- Moving bytes ---- */

static uint64_t delay_of(struct proxy *p, const struct proxy_pair *pair)
{
    uint32_t delay, jitter;

    if (pair->host >= NET_HOSTS_MAX) return 0;
    delay = p->delay_us[pair->host][pair->node];
    jitter = p->jitter_us;
    return delay == 0 ? 0 : delay + (jitter > 0 ? test_below(&p->random, jitter) : 0);
}

static bool would_block(void) { return errno == EAGAIN || errno == EINTR || errno == ENOTCONN; }

static bool take_some(struct proxy *p, struct proxy_pair *pair, unsigned from, uint64_t now_us)
{
    static uint8_t buffer[CHUNK];
    struct way *way = &pair->ways[from];
    ssize_t size = recv(pair->fds[from], buffer, sizeof(buffer), MSG_DONTWAIT);
    struct chunk *c;

    if (size < 0) pair->broken |= !would_block();
    if (size == 0) way->ended = true;
    if (size <= 0) return false;
    c = malloc(sizeof(*c) + (size_t)size);
    if (c == NULL) abort();
    *c = (struct chunk){.due_us = now_us + delay_of(p, pair), .size = (size_t)size};
    memcpy(c->bytes, buffer, (size_t)size);
    if (c->due_us < way->due_us) c->due_us = way->due_us;
    way->due_us = c->due_us;
    if (way->last != NULL)
        way->last->next = c;
    else
        way->first = c;
    way->last = c;
    way->queued += c->size;
    return true;
}

static bool give_some(struct proxy_pair *pair, unsigned from, uint64_t now_us)
{
    struct way *way = &pair->ways[from];
    struct chunk *c = way->first;
    ssize_t size;

    if (c == NULL || c->due_us > now_us) return false;
    size = send(pair->fds[1 - from], c->bytes + c->sent, c->size - c->sent,
                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0) {
        pair->broken |= !would_block();
        return false;
    }
    c->sent += (size_t)size;
    if (c->sent < c->size) return true;
    way->first = c->next;
    if (way->first == NULL) way->last = NULL;
    way->queued -= c->size;
    free(c);
    return true;
}

static void pump(struct proxy *p, struct proxy_pair *pair, unsigned from, uint64_t now_us)
{
    struct way *way = &pair->ways[from];
    bool moved = true;

    while (moved && !pair->broken) {
        moved = give_some(pair, from, now_us);
        if (way->queued < QUEUE_MAX && !way->ended) moved |= take_some(p, pair, from, now_us);
    }
    if (way->ended && way->first == NULL) pair->broken = true;
}

/* ---- Connections ---- */

static void close_pair(const struct proxy *p, struct proxy_pair *pair)
{
    for (unsigned i = 0; i < 2; i++) {
        struct chunk *c = pair->ways[i].first;
        /* A child that has not got as far as its exec still has it open. */
        epoll_ctl(p->epoll, EPOLL_CTL_DEL, pair->fds[i], NULL);
        while (c != NULL) {
            struct chunk *next = c->next;
            free(c);
            c = next;
        }
        close(pair->fds[i]);
    }
    free(pair);
}

static void close_broken(struct proxy *p)
{
    struct proxy_pair **at = &p->pairs;

    while (*at != NULL) {
        struct proxy_pair *pair = *at;
        if (!pair->broken) {
            at = &pair->next;
            continue;
        }
        *at = pair->next;
        close_pair(p, pair);
    }
}

static struct sockaddr_in address_of(unsigned node, unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    char text[NET_ADDRESS_SIZE];

    net_address(node, text);
    inet_pton(AF_INET, text, &address.sin_addr);
    return address;
}

static unsigned host_of(const struct sockaddr_in *address)
{
    unsigned last = ntohl(address->sin_addr.s_addr) & 0xff;

    return last >= NET_HOST_FIRST && last < NET_HOST_FIRST + NET_HOSTS_MAX ? last - NET_HOST_FIRST
                                                                           : NET_HOSTS_MAX;
}

static int make_socket(const struct proxy *p, unsigned node)
{
    int fd, on = 1;

    if (setns(p->net->inner[node], CLONE_NEWNET) < 0) abort();
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    return fd;
}

static void watch(const struct proxy *p, int fd, void *what, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = what};

    if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &event) < 0) abort();
}

static void accept_one(struct proxy *p, unsigned listener)
{
    bool is_keeper = listener == p->net->nodes;
    unsigned node = is_keeper ? 0 : listener;
    struct sockaddr_in peer = {0},
                       server = address_of(node, is_keeper ? NET_KEEPER_PORT : NET_PORT);
    socklen_t size = sizeof(peer);
    int fd = accept4(p->listeners[listener], (struct sockaddr *)&peer, &size,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct proxy_pair *pair;
    int on = 1;

    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    pair = calloc(1, sizeof(*pair));
    if (pair == NULL) abort();
    *pair = (struct proxy_pair){.next = p->pairs, .host = host_of(&peer), .node = node};
    pair->fds[0] = fd;
    pair->fds[1] = make_socket(p, node);
    p->pairs = pair;
    if (connect(pair->fds[1], (const struct sockaddr *)&server, sizeof(server)) < 0 &&
        errno != EINPROGRESS)
        pair->broken = true;
    watch(p, pair->fds[0], pair, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    watch(p, pair->fds[1], pair, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

/* ---- The thread ---- */

static bool is_listener(const struct proxy *p, const void *what)
{
    return (const int *)what >= p->listeners &&
           (const int *)what < p->listeners + NET_HOSTS_MAX + 1;
}

static void handle(struct proxy *p, const struct epoll_event *event, uint64_t now_us)
{
    struct proxy_pair *pair = event->data.ptr;

    if (is_listener(p, event->data.ptr)) {
        accept_one(p, (unsigned)((int *)event->data.ptr - p->listeners));
        return;
    }
    if (event->events & EPOLLERR) pair->broken = true;
    pump(p, pair, 0, now_us);
    pump(p, pair, 1, now_us);
}

/* Sends what is due. Returns how long the next may wait, in ms. */
static int run_late(struct proxy *p, uint64_t now_us)
{
    uint64_t next_us = now_us + TICK_MS * 1000;

    for (struct proxy_pair *pair = p->pairs; pair != NULL; pair = pair->next)
        for (unsigned i = 0; i < 2; i++) {
            struct chunk *c = pair->ways[i].first;
            if (c == NULL) continue;
            if (c->due_us <= now_us) pump(p, pair, i, now_us);
            c = pair->ways[i].first;
            if (c != NULL && c->due_us > now_us && c->due_us < next_us) next_us = c->due_us;
        }
    return (int)((next_us - now_us + 999) / 1000);
}

static void *run(void *context)
{
    struct proxy *p = context;
    struct epoll_event events[EVENTS];
    int wait_ms = TICK_MS;

    while (!p->stop) {
        int count = epoll_wait(p->epoll, events, EVENTS, wait_ms);
        uint64_t now_us = test_now_us();
        for (int i = 0; i < count; i++)
            handle(p, &events[i], now_us);
        wait_ms = run_late(p, now_us);
        close_broken(p);
    }
    for (struct proxy_pair *pair = p->pairs; pair != NULL; pair = pair->next)
        pair->broken = true;
    close_broken(p);
    return NULL;
}

static void listen_at(struct proxy *p, unsigned listener, unsigned node, unsigned port)
{
    struct sockaddr_in address = address_of(node, port);
    int fd = make_socket(p, node);

    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0)
        test_fail("proxy of node %u: %s", node, strerror(errno));
    p->listeners[listener] = fd;
    watch(p, fd, &p->listeners[listener], EPOLLIN);
}

void proxy_start(struct proxy *p, const struct net *n, uint64_t seed)
{
    p->net = n;
    p->random = seed;
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < n->nodes; i++)
        listen_at(p, i, i, NET_PROXY_PORT);
    listen_at(p, n->nodes, 0, NET_PROXY_KEEPER_PORT);
    net_leave(n);
    TEST_CHECK(pthread_create(&p->thread, NULL, run, p) == 0);
}

void proxy_stop(struct proxy *p)
{
    p->stop = true;
    pthread_join(p->thread, NULL);
    for (unsigned i = 0; i <= p->net->nodes; i++)
        close(p->listeners[i]);
    close(p->epoll);
}
