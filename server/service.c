#include "server/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "client/clock.h"
#include "client/log.h"
#include "server/service_parts.h"

enum {
    DRAIN_MS = 1000,
    REPLY_BYTES_KEPT = 256 << 10, /* larger buffers are given back after use */
};

static int watch(struct sherd_service *s, void *socket)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int fd = -1;
    size_t size = sizeof(fd);

    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size) < 0) return -errno;
    event.data.fd = fd;
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_sockets(struct sherd_service *s, void *zmq_context)
{
    int rc = sherd_router_bind(zmq_context, s->conf->nodes[s->conf->self].endpoint, &s->tcp);

    if (rc == 0) rc = sherd_router_bind(zmq_context, SHERD_SERVICE_ENDPOINT, &s->inproc);
    if (rc < 0) return rc;
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll < 0) return -errno;
    rc = watch(s, s->tcp);
    return rc < 0 ? rc : watch(s, s->inproc);
}

int sherd_service_open(const struct sherd_conf *conf, void *zmq_context, uint64_t incarnation,
                       struct sherd_progress *progress, struct sherd_service **out)
{
    struct sherd_service *s = calloc(1, sizeof(*s));
    int rc;

    *out = NULL;
    if (!s) return -ENOMEM;
    s->conf = conf;
    s->progress = progress;
    s->epoll = -1;
    s->now_ms = s->started_ms = sherd_clock_now_us() / 1000;
    s->partitions.node = (uint16_t)conf->self;
    s->partitions.incarnation = incarnation;
    s->partitions.states = s->states;
    s->partitions.count = (uint16_t)conf->partitions;
    s->undecided.count_max = SHERD_UNDECIDED_QUEUE_MAX;
    s->repair.count_max = SHERD_REPAIR_QUEUE_MAX;
    s->dead.count_max = SHERD_DEAD_QUEUE_MAX;
    s->scrub.rate.bytes_per_second = conf->scrub_rate_bytes;
    rc = sherd_service_open_store(s);
    if (rc == 0) rc = open_sockets(s, zmq_context);
    if (rc < 0) {
        sherd_service_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void sherd_service_life(const struct sherd_service *s, struct sherd_service_life *out)
{
    *out = (struct sherd_service_life){
        .incarnation = s->partitions.incarnation,
        .kept = s->kept,
        .live = s->partitions.live,
        .map = {s->map, s->map_size},
    };
}

void sherd_service_close(struct sherd_service *s)
{
    if (!s) return;
    if (s->tcp) zmq_close(s->tcp);
    if (s->inproc) zmq_close(s->inproc);
    if (s->epoll >= 0) close(s->epoll);
    for (size_t i = 0; i < SHERD_TURN_MESSAGES_MAX; i++)
        sherd_router_reply_fini(&s->replies[i].reply);
    sherd_router_message_fini(&s->in);
    sherd_queue_fini(&s->undecided);
    sherd_queue_fini(&s->repair);
    sherd_queue_fini(&s->dead);
    if (s->store) s->store->ops->close(s->store);
    free(s->page.data);
    free(s->repair_page.data);
    free(s->map);
    free(s);
}

/* The frame that a record's shard came in, or NULL when it is inline. */
static zmq_msg_t *frame_of(struct sherd_service *s, const struct sherd_request *r)
{
    if (r->shard_frame <= 0 || (size_t)r->shard_frame >= s->in.frame_count) return NULL;
    return &s->in.frames[r->shard_frame];
}

/* A message of another session, or for another life of this node: nothing of it is carried out, and
 * every request in it is told so (which proves to a writer that this node never held it). */
static void refuse_session(struct sherd_service *s, struct sherd_wire_reader *in,
                           struct sherd_router_reply *reply)
{
    struct sherd_request r;

    s->counters.unknown_session++;
    while (sherd_wire_next_request(in, &r) == 0) {
        struct sherd_answer a;
        memset(&a, 0, offsetof(struct sherd_answer, entries));
        a.body = (struct sherd_bytes){NULL, 0};
        a.kind = SHERD_STALE;
        a.reason = SHERD_REASON_SESSION;
        a.max = SHERD_BALLOT_ZERO;
        sherd_service_answer(s, &r, &a, NULL, reply);
    }
}

static bool is_for_another_life(const struct sherd_service *s, const struct sherd_envelope *e)
{
    return e->incarnation != 0 && e->incarnation != s->partitions.incarnation;
}

/* A sender that has not learnt this node's incarnation must not store anything in it. */
static bool needs_incarnation(const struct sherd_request *r)
{
    return r->kind == SHERD_PREPARE || r->kind == SHERD_INSERT;
}

static void serve_records(struct sherd_service *s, struct sherd_wire_reader *in,
                          const struct sherd_envelope *e, bool is_local,
                          struct sherd_router_reply *reply)
{
    struct sherd_request r;
    int rc;

    while ((rc = sherd_wire_next_request(in, &r)) == 0) {
        if (e->incarnation == 0 && needs_incarnation(&r)) {
            s->counters.bad_request++;
            continue;
        }
        sherd_service_request(s, &r, is_local, frame_of(s, &r), reply);
    }
    if (rc == -EBADMSG) s->counters.bad_message++;
}

/* Serves the message in s->in; its answers wait in s->replies until the store is synced. */
static void serve_message(struct sherd_service *s, void *socket)
{
    struct sherd_pending_reply *pending = &s->replies[s->reply_count];
    struct sherd_wire_reader in;
    struct sherd_envelope e, answer;

    s->messages++;
    if (sherd_wire_open(&in, s->in.views, s->in.frame_count, &e) < 0 || e.type != SHERD_REQUESTS) {
        s->counters.bad_message++;
        return;
    }
    sherd_hlc_merge(&s->clock, e.clock, s->wall_ms);
    answer = (struct sherd_envelope){
        .type = SHERD_ANSWERS,
        .session = e.session,
        .incarnation = s->partitions.incarnation,
        .map_version = s->partitions.version,
        .clock = sherd_hlc_next(&s->clock, s->wall_ms),
    };
    if (sherd_router_begin(&pending->reply, &answer) < 0) {
        s->counters.no_memory++;
        return;
    }
    if (is_for_another_life(s, &e)) {
        refuse_session(s, &in, &pending->reply);
    } else {
        switch (sherd_sessions_check(&s->sessions, e.session, e.number)) {
        case SHERD_SESSION_REPEAT: s->counters.repeated++; return;
        case SHERD_SESSION_UNKNOWN: refuse_session(s, &in, &pending->reply); break;
        case SHERD_SESSION_TAKE:
            serve_records(s, &in, &e, socket == s->inproc, &pending->reply);
            break;
        }
    }
    if (pending->reply.count == 0) return;
    pending->socket = socket;
    zmq_msg_init(&pending->identity);
    zmq_msg_move(&pending->identity, &s->in.identity);
    s->reply_count++;
}

/* Takes what has arrived on one socket, up to the turn's bound. >= 0: how many; negative errno: the
 * socket is broken. */
static int take_messages(struct sherd_service *s, void *socket)
{
    int taken = 0;

    while (s->reply_count < SHERD_TURN_MESSAGES_MAX && taken < SHERD_TURN_MESSAGES_MAX) {
        int rc = sherd_router_receive(socket, &s->in);
        if (rc == -EAGAIN || rc == -EINTR) break;
        taken++;
        if (rc == -EBADMSG || rc == -ENOMEM) {
            s->counters.bad_message++;
            continue;
        }
        if (rc < 0) return rc;
        serve_message(s, socket);
    }
    return taken;
}

/* `sure`: what the answers say is as durable as the store promises; else they are thrown away. */
static void end_replies(struct sherd_service *s, bool sure)
{
    for (size_t i = 0; i < s->reply_count; i++) {
        struct sherd_pending_reply *p = &s->replies[i];
        if (!sure || sherd_router_send(p->socket, &p->identity, &p->reply) < 0)
            s->counters.answers_dropped++;
        zmq_msg_close(&p->identity);
        if (p->reply.buffer.capacity > REPLY_BYTES_KEPT) sherd_router_reply_fini(&p->reply);
    }
    s->reply_count = 0;
}

static void tick(struct sherd_service *s)
{
    if (s->now_ms < s->tick_ms) return;
    s->tick_ms = s->now_ms + SHERD_TICK_MS;
    if (s->store->ops->fault(s->store) == 0) sherd_service_walk(s);
    sherd_service_scrub(s);
}

/* Said when it begins and when it is over, not each turn. */
static void report_fault(struct sherd_service *s)
{
    int fault = s->store->ops->fault(s->store);

    if (fault == s->fault) return;
    s->fault = fault;
    if (fault < 0)
        log_warn("the store refuses changes: %s; reads go on", strerror(-fault));
    else
        log_info("the store takes changes again");
}

/* Everything of this turn, or nothing of it, becomes durable; only then may anyone hear of it. */
static int sync_turn(struct sherd_service *s)
{
    int saved = sherd_service_save_notes(s), rc = s->store->ops->sync(s->store);

    if (rc == 0) rc = saved;
    end_replies(s, rc == 0);
    report_fault(s);
    if (rc == 0) sherd_service_tell_forgotten(s);
    if (rc == 0 || rc == -ENOTRECOVERABLE) return rc;
    s->counters.store_fault++;
    rc = sherd_service_restore(s);
    return rc < 0 ? rc : 0;
}

/* One turn. >= 0: how many messages it served; negative errno: socket or store are broken. */
static int turn(struct sherd_service *s)
{
    int tcp, local, rc;

    s->now_ms = sherd_clock_now_us() / 1000; /* this turn's time, for everyone */
    s->wall_ms = sherd_clock_wall_ms_now();
    local = take_messages(s, s->inproc);
    tcp = local < 0 ? local : take_messages(s, s->tcp);
    if (tcp < 0) return tcp;
    tick(s); /* what it changes shares the sync */
    rc = s->broken < 0 ? s->broken : sync_turn(s);
    return rc < 0 ? rc : tcp + local;
}

int sherd_service_run(struct sherd_service *s, const atomic_bool *stop)
{
    struct epoll_event events[2];
    uint64_t drain_until_ms = 0;
    int served = 0;

    for (;;) {
        served = turn(s);
        if (served < 0) break;
        if (*stop && drain_until_ms == 0) drain_until_ms = s->now_ms + DRAIN_MS;
        if (*stop && (served == 0 || s->now_ms >= drain_until_ms)) return 0;
        if (served == 0) epoll_wait(s->epoll, events, 2, SHERD_TICK_MS);
    }
    log_warn("the service stops: %s", strerror(-served));
    return served;
}
