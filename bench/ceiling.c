/* ceiling.c - sherd-bench ceiling: what ZeroMQ alone does here with the messages of our protocol.
 *
 * Echo servers, each a process with a ROUTER and a loop that only answers; one client with a DEALER
 * for each. An operation is one record to every server and one from it, twice for a set (PREPARE,
 * COMMIT) and once for a get; records go in batches, one message each. No erasure code, no store,
 * no checks: what is left to us to lose. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "bench/bench.h"

enum { SERVERS_MAX = 32, ENDPOINT_SIZE = 64, ROUNDS_MAX = 2, IN_FLIGHT_MAX = 65536 };

/* Frames from here on are sent without copying, as the client does with large shards. */
enum { BORROW_FROM = 16 << 10 };

/* What every message begins with; the server echoes it. */
struct head {
    uint32_t batch;       /* which of the client's batches */
    uint32_t answer_size; /* bytes the server is to answer with, this head included */
};

/* ---- A server ---- */

static void do_not_free(void *data, void *hint)
{
    (void)data;
    (void)hint;
}

/* A message of `size` bytes that begins with `head`: small ones in one frame, large ones as the
 * head and a borrowed frame. */
static int send_message(void *socket, const struct head *head, void *bytes, size_t size)
{
    zmq_msg_t frame;

    if (size < BORROW_FROM) {
        zmq_msg_init_size(&frame, size);
        memcpy(zmq_msg_data(&frame), bytes, size);
        memcpy(zmq_msg_data(&frame), head, sizeof(*head));
        return zmq_msg_send(&frame, socket, 0) < 0 ? -errno : 0;
    }
    if (zmq_send(socket, head, sizeof(*head), ZMQ_SNDMORE) < 0) return -errno;
    zmq_msg_init_data(&frame, bytes, size, do_not_free, NULL);
    return zmq_msg_send(&frame, socket, 0) < 0 ? -errno : 0;
}

/* Receives one message; *head is its beginning. `identity` is filled in when not NULL. */
static int receive_message(void *socket, zmq_msg_t *identity, struct head *head, int flags)
{
    zmq_msg_t frame;
    int more;

    if (identity != NULL && zmq_msg_recv(identity, socket, flags) < 0) return -errno;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, socket, flags) < 0) return -errno;
    if (zmq_msg_size(&frame) < sizeof(*head)) return -EBADMSG;
    memcpy(head, zmq_msg_data(&frame), sizeof(*head));
    more = zmq_msg_more(&frame);
    zmq_msg_close(&frame);
    while (more) {
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, socket, 0) < 0) return -errno;
        more = zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
    return 0;
}

static void set_unlimited(void *socket)
{
    int none = 0;

    zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof(none));
    zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof(none));
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof(none));
}

/* Binds, tells its endpoint through the pipe, and answers until it is killed. */
static _Noreturn void serve(int pipe, size_t answer_max)
{
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_ROUTER);
    char endpoint[ENDPOINT_SIZE] = "";
    size_t size = sizeof(endpoint);
    void *bytes = calloc(1, answer_max);

    set_unlimited(socket);
    if (bytes == NULL || zmq_bind(socket, "tcp://127.0.0.1:*") < 0) _exit(1);
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size);
    if (write(pipe, endpoint, sizeof(endpoint)) != sizeof(endpoint)) _exit(1);
    for (;;) {
        struct head head;
        zmq_msg_t identity;
        zmq_msg_init(&identity);
        if (receive_message(socket, &identity, &head, 0) < 0) _exit(1);
        if (head.answer_size < sizeof(head) || head.answer_size > answer_max) _exit(1);
        if (zmq_msg_send(&identity, socket, ZMQ_SNDMORE) < 0) _exit(1);
        if (send_message(socket, &head, bytes, head.answer_size) < 0) _exit(1);
    }
}

/* ---- The client ---- */

struct pattern {
    const char *name;
    unsigned rounds;
    size_t ask[ROUNDS_MAX], answer[ROUNDS_MAX]; /* bytes of a record */
    unsigned needed; /* servers that are asked: all for a set, k for a get */
};

struct rig {
    const struct bench_options *options;
    unsigned servers;
    pid_t pids[SERVERS_MAX];
    char endpoints[SERVERS_MAX][ENDPOINT_SIZE];
    void *context, *sockets[SERVERS_MAX];
    int epoll;
    unsigned char *bytes; /* what is sent */
    struct {
        unsigned round, missing;
    } * batches;
    uint64_t batches_left, batches_done;
    uint64_t turn; /* so that gets go to all servers in turn */
};

static size_t message_size(const struct rig *r, size_t record)
{
    size_t size = record * (size_t)r->options->batch;

    return size < sizeof(struct head) ? sizeof(struct head) : size;
}

static int start_server(struct rig *r, unsigned index, size_t answer_max)
{
    int ends[2];
    ssize_t got;

    if (pipe(ends) < 0) return -errno;
    r->pids[index] = fork();
    if (r->pids[index] == 0) {
        close(ends[0]);
        serve(ends[1], answer_max);
    }
    close(ends[1]);
    got = r->pids[index] < 0 ? -1 : read(ends[0], r->endpoints[index], ENDPOINT_SIZE);
    close(ends[0]);
    if (r->pids[index] > 0) r->servers = index + 1;
    return got == ENDPOINT_SIZE ? 0 : -ECHILD;
}

static int connect_all(struct rig *r)
{
    r->context = zmq_ctx_new();
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (r->context == NULL || r->epoll < 0) return -errno;
    for (unsigned i = 0; i < r->servers; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET};
        size_t size = sizeof(event.data.fd);
        r->sockets[i] = zmq_socket(r->context, ZMQ_DEALER);
        if (r->sockets[i] == NULL) return -errno;
        set_unlimited(r->sockets[i]);
        if (zmq_connect(r->sockets[i], r->endpoints[i]) < 0) return -errno;
        zmq_getsockopt(r->sockets[i], ZMQ_FD, &event.data.fd, &size);
        if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, event.data.fd, &event) < 0) return -errno;
    }
    return 0;
}

static void take_down(struct rig *r)
{
    for (unsigned i = 0; i < r->servers; i++) {
        kill(r->pids[i], SIGKILL);
        waitpid(r->pids[i], NULL, 0);
        if (r->sockets[i] != NULL) zmq_close(r->sockets[i]);
    }
    if (r->context != NULL) zmq_ctx_term(r->context);
    if (r->epoll >= 0) close(r->epoll);
    free(r->bytes);
    free(r->batches);
}

/* Sends the batch's current round. */
static int send_round(struct rig *r, const struct pattern *p, uint32_t batch)
{
    unsigned round = r->batches[batch].round;
    struct head head = {batch, (uint32_t)message_size(r, p->answer[round])};
    unsigned first = (unsigned)(r->turn++ % r->servers);

    r->batches[batch].missing = p->needed;
    for (unsigned i = 0; i < p->needed; i++) {
        int rc = send_message(r->sockets[(first + i) % r->servers], &head, r->bytes,
                              message_size(r, p->ask[round]));
        if (rc < 0) return rc;
    }
    return 0;
}

/* An answer came: the next round, or the next batch, when it was the last one. */
static int take_answer(struct rig *r, const struct pattern *p, uint32_t batch)
{
    if (--r->batches[batch].missing > 0) return 0;
    if (++r->batches[batch].round == p->rounds) {
        r->batches[batch].round = 0;
        r->batches_done++;
        if (r->batches_left == 0) return 0;
        r->batches_left--;
    }
    return send_round(r, p, batch);
}

/* Takes what every socket has. >= 0: how many messages. */
static int take_all(struct rig *r, const struct pattern *p)
{
    int taken = 0;

    for (unsigned i = 0; i < r->servers; i++) {
        struct head head;
        int rc;
        while ((rc = receive_message(r->sockets[i], NULL, &head, ZMQ_DONTWAIT)) == 0) {
            rc = take_answer(r, p, head.batch);
            if (rc < 0) return rc;
            taken++;
        }
        if (rc != -EAGAIN) return rc;
    }
    return taken;
}

static int drive(struct rig *r, const struct pattern *p, uint64_t batches, uint32_t in_flight)
{
    struct epoll_event events[SERVERS_MAX];

    r->batches_left = batches;
    r->batches_done = 0;
    for (uint32_t i = 0; i < in_flight && r->batches_left > 0; i++, r->batches_left--) {
        int rc = send_round(r, p, i);
        if (rc < 0) return rc;
    }
    while (r->batches_done < batches) {
        int taken = take_all(r, p);
        if (taken < 0) return taken;
        if (taken == 0 && r->batches_done < batches) epoll_wait(r->epoll, events, SERVERS_MAX, 100);
    }
    return 0;
}

static void print_result(const struct bench_options *o, const struct pattern *p,
                         const double *rates, size_t median)
{
    if (o->json) {
        printf("{\"workload\":\"ceiling %s\",\"record\":%llu,\"batch\":%llu,\"depth\":%llu,"
               "\"ops_s\":%.0f,\"mb_s\":%.1f}\n",
               p->name, (unsigned long long)o->record, (unsigned long long)o->batch,
               (unsigned long long)o->depth, rates[median],
               rates[median] * (double)(o->record * 4) / 1e6);
    } else {
        printf("ceiling %s: %.0f ops/s  %.1f MB/s at k = 4  (runs:", p->name, rates[median],
               rates[median] * (double)(o->record * 4) / 1e6);
        for (size_t i = 0; i < o->runs; i++)
            printf(" %.0f", rates[i]);
        puts(")");
    }
    fflush(stdout);
}

static int measure(struct rig *r, const struct pattern *p)
{
    const struct bench_options *o = r->options;
    uint64_t batches = (o->count + o->batch - 1) / o->batch;
    uint32_t in_flight = (uint32_t)((o->depth + o->batch - 1) / o->batch);
    double *rates = calloc(o->runs, sizeof(*rates));
    int rc = rates == NULL ? -ENOMEM : drive(r, p, (batches + 9) / 10, in_flight); /* warm-up */

    for (size_t i = 0; i < o->runs && rc == 0; i++) {
        uint64_t started = bench_now_ns();
        rc = drive(r, p, batches, in_flight);
        rates[i] = (double)(batches * o->batch) * 1e9 / (double)(bench_now_ns() - started);
    }
    if (rc == 0) print_result(o, p, rates, bench_median(rates, o->runs));
    free(rates);
    return rc;
}

static int set_up(struct rig *r)
{
    const struct bench_options *o = r->options;
    size_t largest = message_size(r, o->record > o->answer ? o->record : o->answer);
    int rc = 0;

    r->bytes = calloc(1, largest);
    r->batches = calloc(IN_FLIGHT_MAX, sizeof(*r->batches));
    if (r->bytes == NULL || r->batches == NULL) return -ENOMEM;
    for (unsigned i = 0; i < o->servers && rc == 0; i++)
        rc = start_server(r, i, largest); /* before there is a context, or a thread */
    return rc == 0 ? connect_all(r) : rc;
}

static int run(const struct bench_options *o)
{
    struct rig r = {.options = o, .epoll = -1};
    unsigned servers = (unsigned)o->servers;
    const struct pattern patterns[] = {
        {"set", 2, {o->record, o->answer}, {o->answer, o->answer}, servers                  },
        {"get", 1, {o->answer, 0},         {o->record, 0},         servers < 4 ? servers : 4},
    };
    bool both = o->set == o->get;
    int rc;

    if (o->record * o->batch > UINT32_MAX || o->answer * o->batch > UINT32_MAX)
        return bench_fail(BENCH_USAGE, "--record times --batch must be less than 4 GiB");
    rc = set_up(&r);
    if (rc == 0 && (both || o->set)) rc = measure(&r, &patterns[0]);
    if (rc == 0 && (both || o->get)) rc = measure(&r, &patterns[1]);
    take_down(&r);
    return rc == 0 ? 0 : bench_fail(BENCH_ENVIRONMENT, "%s", strerror(-rc));
}

const struct bench_command bench_ceiling = {
    .name = "ceiling",
    .summary = "ZeroMQ alone, with the messages of our protocol and echo servers",
    .help = "A set is two rounds to all servers, a get one round to four of them (k of 4+2).\n"
            "MB/s counts four records an operation: a value's data shards.\n\n"
            "  sherd-bench ceiling\n"
            "  sherd-bench ceiling --record 256KiB --batch 1 --depth 16 --count 2000\n",
    .options = BENCH_TAKES(SERVERS) | BENCH_TAKES(BATCH) | BENCH_TAKES(RECORD) |
               BENCH_TAKES(ANSWER) | BENCH_TAKES(COUNT) | BENCH_TAKES(DEPTH) | BENCH_TAKES(RUNS) |
               BENCH_TAKES(SET) | BENCH_TAKES(GET),
    .run = run,
};
