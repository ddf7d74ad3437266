#include "client/peers.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "client/call_ids.h"

enum {
    MESSAGES_PER_TURN = 64, /* of one peer: the others want their turn too */
    EVENTS_MAX = 64,
    PING_US = 250000,
    TICK_US = 50000,
    LATE_US = 1000000,
    QUEUED_US = 1000, /* how long something nobody waits for may wait for company */
    WINDOW_PARTS = 8, /* a PING whenever this part of the window was sent */
};

static uint64_t random_session(void)
{
    uint64_t session = 0;

    while (session == 0)
        arc4random_buf(&session, sizeof(session));
    return session;
}

/* ---- batches out ---- */

static void drop_batch(struct sherd_peers *ps, struct sherd_peer *p)
{
    sherd_batch_clear(&p->batch);
    for (size_t i = 0; i < p->queued_count; i++)
        ps->handlers->unsent(ps->owner, p->queued[i].id, p->queued[i].slot);
    p->queued_count = 0;
    p->urgent = false;
}

/* All that is on the way is lost: no answer will be taken any more. */
static void forget_session(struct sherd_peers *ps, struct sherd_peer *p)
{
    p->state = SHERD_PEER_DOWN;
    p->session = 0;
    p->ping_count = 0;
    p->answered_bytes = p->sent_bytes;
    p->late = p->straggling = false;
    ps->changes++;
    drop_batch(ps, p);
    ps->handlers->gone(ps->owner, p);
}

static void count_sent(struct sherd_peers *ps, struct sherd_peer *p, size_t bytes, uint32_t records)
{
    p->sent_bytes += bytes;
    ps->stats->bytes_out += bytes;
    ps->stats->records_out += records;
    ps->stats->messages_out++;
}

static void send_batch(struct sherd_peers *ps, struct sherd_peer *p)
{
    size_t bytes = sherd_batch_bytes(&p->batch);
    uint32_t records = p->batch.count;
    struct sherd_envelope e = {
        .type = SHERD_REQUESTS,
        .session = p->session,
        .number = ++p->number,
        .incarnation = p->incarnation,
        .map_version = ps->map_version,
        .clock = ps->clock->last,
    };
    int rc = sherd_batch_send(&p->batch, p->dealer.socket, &e);

    p->check = true; /* sending may have swallowed the news of what arrived */
    if (rc == 0) {
        count_sent(ps, p, bytes, records);
        p->queued_count = 0;
        p->urgent = false;
    } else if (rc == -EPIPE) {
        p->queued_count = 0; /* some of it may have left */
        forget_session(ps, p);
    } else {
        drop_batch(ps, p);
    }
}

/* 0, -ENOMEM. */
static int queue(struct sherd_peers *ps, struct sherd_peer *p, const struct sherd_request *r,
                 zmq_msg_t *frame)
{
    int rc;

    if (sherd_batch_is_full(&p->batch)) send_batch(ps, p);
    if (p->state == SHERD_PEER_DOWN) return -ENOTCONN;
    rc = sherd_batch_add(&p->batch, r, frame);
    if (rc < 0) return rc;
    if (p->batch.count == 1) p->queued_us = ps->now_us;
    if (r->id == 0) return 0;
    p->urgent = true;
    p->queued[p->queued_count++] = (struct sherd_unsent){r->id, r->slot};
    return 0;
}

static bool window_is_full(const struct sherd_peers *ps, const struct sherd_peer *p)
{
    if (p->node == SHERD_KEEPER) return false; /* it is not PINGed, nor sent much */
    return p->sent_bytes - p->answered_bytes + sherd_batch_bytes(&p->batch) > ps->window_bytes;
}

int sherd_peer_add(struct sherd_peers *ps, struct sherd_peer *p, const struct sherd_request *r,
                   zmq_msg_t *frame)
{
    if (p->state != SHERD_PEER_READY) return -ENOTCONN;
    if ((p->late || p->straggling) && window_is_full(ps, p)) return -EAGAIN;
    return queue(ps, p, r, frame);
}

void sherd_peer_ping(struct sherd_peers *ps, struct sherd_peer *p)
{
    struct sherd_request r = {.kind = SHERD_PING, .shard_frame = -1};
    unsigned at;

    if (p->state == SHERD_PEER_DOWN || p->node == SHERD_KEEPER) return;
    r.id = SHERD_ID_PING | ++ps->next_ping_id;
    if (p->ping_count == SHERD_PINGS_MAX) { /* the oldest was lost with its message */
        p->ping_first = (p->ping_first + 1) % SHERD_PINGS_MAX;
        p->ping_count--;
    }
    p->pinged_us = ps->now_us;
    p->pinged_bytes = p->sent_bytes + sherd_batch_bytes(&p->batch);
    if (queue(ps, p, &r, NULL) < 0) return;
    at = (p->ping_first + p->ping_count++) % SHERD_PINGS_MAX;
    p->pings[at] = (struct sherd_ping){r.id, p->pinged_bytes, ps->polled_us, ps->now_us};
}

static void flush(struct sherd_peers *ps, struct sherd_peer *p)
{
    uint64_t unasked = p->sent_bytes + sherd_batch_bytes(&p->batch) - p->pinged_bytes;

    if (unasked > ps->window_bytes / WINDOW_PARTS) sherd_peer_ping(ps, p);
    if (p->batch.count != 0) send_batch(ps, p);
}

uint64_t sherd_peers_flush(struct sherd_peers *ps, bool all)
{
    uint64_t next_us = UINT64_MAX;

    for (size_t i = 0; i < ps->count; i++) {
        struct sherd_peer *p = ps->list[i];
        uint64_t due_us = p->queued_us + QUEUED_US;
        if (p->batch.count == 0) continue;
        if (all || p->urgent || due_us <= ps->now_us)
            flush(ps, p);
        else if (due_us < next_us)
            next_us = due_us;
    }
    return next_us;
}

/* ---- sessions ---- */

static void begin_session(struct sherd_peers *ps, struct sherd_peer *p)
{
    if (p->state != SHERD_PEER_DOWN) forget_session(ps, p);
    p->session = random_session();
    p->number = 0;
    p->incarnation = 0;
    p->pinged_bytes = p->sent_bytes;
    p->state = SHERD_PEER_GREETING;
    if (p->node != SHERD_KEEPER) {
        sherd_peer_ping(ps, p);
        return;
    }
    p->state = SHERD_PEER_READY;
    ps->changes++;
    ps->handlers->ready(ps->owner, p);
}

static void on_pong(struct sherd_peers *ps, struct sherd_peer *p, const struct sherd_answer *a)
{
    for (unsigned i = 0; i < p->ping_count; i++) {
        const struct sherd_ping *ping = &p->pings[(p->ping_first + i) % SHERD_PINGS_MAX];
        if (ping->id != a->id) continue;
        p->answered_bytes = ping->bytes;
        if (ps->now_us - ping->sent_us <= ps->straggler_us) p->straggling = false;
        p->ping_first = (p->ping_first + i + 1) % SHERD_PINGS_MAX;
        p->ping_count -= i + 1;
        ps->changes++;
        break;
    }
    if (p->state == SHERD_PEER_GREETING) {
        p->state = SHERD_PEER_READY;
        p->tried = true;
        ps->handlers->ready(ps->owner, p);
    }
}

static void judge(struct sherd_peers *ps, struct sherd_peer *p)
{
    const struct sherd_ping *oldest = &p->pings[p->ping_first];
    bool late = p->ping_count > 0 && ps->polled_us - oldest->polled_us > LATE_US;

    if (late != p->late) ps->changes++;
    p->late = late;
}

void sherd_peers_tick(struct sherd_peers *ps, bool busy)
{
    if (ps->now_us < ps->tick_us) return;
    ps->tick_us = ps->now_us + TICK_US;
    for (size_t i = 0; i < ps->count; i++) {
        struct sherd_peer *p = ps->list[i];
        bool wanted = (busy && p->node != SHERD_NO_PEER_NODE) || p->state == SHERD_PEER_GREETING;
        uint64_t interval_us = p->late || p->state == SHERD_PEER_GREETING ? LATE_US : PING_US;
        judge(ps, p);
        if (wanted && ps->now_us - p->pinged_us >= interval_us) sherd_peer_ping(ps, p);
    }
}

/* ---- messages in ---- */

/* Whether the session goes on after this answer. */
static bool on_answer(struct sherd_peers *ps, struct sherd_peer *p, struct sherd_answer *a)
{
    ps->stats->records_in++;
    if ((a->id & SHERD_ID_PING) == 0)
        ps->handlers->answer(ps->owner, p, a, &ps->incoming);
    else if (a->kind == SHERD_PONG)
        on_pong(ps, p, a);
    return a->kind != SHERD_STALE || a->reason != SHERD_REASON_SESSION;
}

static void on_answers(struct sherd_peers *ps, struct sherd_peer *p, struct sherd_wire_reader *in,
                       const struct sherd_envelope *e)
{
    bool goes_on = true;
    int rc;

    if (e->session != p->session || p->state == SHERD_PEER_DOWN) {
        ps->stats->late_answers += e->count;
        return;
    }
    if (p->incarnation == 0) p->incarnation = e->incarnation;
    goes_on = p->incarnation == e->incarnation || p->node == SHERD_KEEPER;
    while ((rc = sherd_wire_next_answer(in, &ps->answer)) == 0)
        goes_on = on_answer(ps, p, &ps->answer) && goes_on;
    if (rc == -EBADMSG) ps->stats->bad_messages++;
    if (!goes_on) begin_session(ps, p);
}

static void on_pushes(struct sherd_peers *ps, struct sherd_peer *p, struct sherd_wire_reader *in)
{
    struct sherd_request r;
    int rc;

    while ((rc = sherd_wire_next_request(in, &r)) == 0) {
        ps->stats->records_in++;
        ps->handlers->push(ps->owner, p, &r);
    }
    if (rc == -EBADMSG) ps->stats->bad_messages++;
}

static void on_message(struct sherd_peers *ps, struct sherd_peer *p)
{
    struct sherd_wire_reader in;
    struct sherd_envelope e;

    ps->stats->messages_in++;
    ps->stats->bytes_in += ps->incoming.bytes;
    if (sherd_wire_open(&in, ps->incoming.views, ps->incoming.count, &e) < 0) {
        ps->stats->bad_messages++;
        return;
    }
    sherd_hlc_merge(ps->clock, e.clock, ps->wall_ms);
    if (e.type == SHERD_ANSWERS)
        on_answers(ps, p, &in, &e);
    else
        on_pushes(ps, p, &in);
    if (e.map_version > ps->map_version && p->state == SHERD_PEER_READY)
        ps->handlers->newer_map(ps->owner, p, e.map_version);
}

static void receive(struct sherd_peers *ps, struct sherd_peer *p)
{
    int taken = 0, rc = 0;

    while (taken < MESSAGES_PER_TURN) {
        rc = sherd_incoming_receive(&ps->incoming, p->dealer.socket);
        if (rc == -EBADMSG || rc == -ENOMEM) {
            ps->stats->bad_messages++;
        } else if (rc == 0) {
            on_message(ps, p);
        } else {
            break;
        }
        taken++;
    }
    p->check = taken == MESSAGES_PER_TURN;
}

static void watch_connection(struct sherd_peers *ps, struct sherd_peer *p)
{
    uint16_t event;

    p->check_monitor = false;
    while (p->dealer.monitor && sherd_monitor_receive(p->dealer.monitor, &event) == 0) {
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            begin_session(ps, p);
        else
            p->tried = true;
        if (event == ZMQ_EVENT_DISCONNECTED && p->state != SHERD_PEER_DOWN) {
            ps->stats->reconnects++;
            forget_session(ps, p);
        }
    }
}

void sherd_peers_receive(struct sherd_peers *ps)
{
    for (size_t i = 0; i < ps->count; i++) {
        struct sherd_peer *p = ps->list[i];
        /* What arrived before a disconnection counts, so messages come first. */
        if (p->check) receive(ps, p);
        if (p->check_monitor) watch_connection(ps, p);
    }
}

bool sherd_peers_must_check(const struct sherd_peers *ps)
{
    for (size_t i = 0; i < ps->count; i++)
        if (ps->list[i]->check || ps->list[i]->check_monitor) return true;
    return false;
}

int sherd_peers_wait(struct sherd_peers *ps, uint64_t wait_us)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t wait_ms = (wait_us + 999) / 1000;
    int count;

    if (wait_us > UINT64_MAX - 999 || wait_ms > INT32_MAX) wait_ms = INT32_MAX;
    count = epoll_wait(ps->epoll, events, EVENTS_MAX, (int)wait_ms);
    for (int i = 0; i < count; i++) {
        struct sherd_peer *p = sherd_dealer_owner(&events[i]);
        if (sherd_dealer_is_monitor(&events[i]))
            p->check_monitor = true;
        else
            p->check = true;
    }
    return count < 0 ? -errno : 0;
}

bool sherd_peers_are_full(const struct sherd_peers *ps)
{
    for (size_t i = 0; i < ps->count; i++)
        if (!ps->list[i]->late && !ps->list[i]->straggling && window_is_full(ps, ps->list[i]))
            return true;
    return false;
}

bool sherd_peers_are_greeting(const struct sherd_peers *ps)
{
    for (size_t i = 0; i < ps->count; i++)
        if (ps->list[i]->node != SHERD_NO_PEER_NODE && ps->list[i]->node != SHERD_KEEPER &&
            !ps->list[i]->tried)
            return true;
    return false;
}

bool sherd_peer_is_reachable(const struct sherd_peer *p, bool stragglers_too)
{
    return p && p->state == SHERD_PEER_READY && !p->late && (stragglers_too || !p->straggling);
}

struct sherd_peer *sherd_peers_of(const struct sherd_peers *ps, uint16_t node)
{
    if (node == SHERD_KEEPER) return ps->keeper;
    return node < SHERD_NODES_MAX ? ps->by_node[node] : NULL;
}

/* ---- which peers there are ---- */

static void free_peer(struct sherd_peers *ps, struct sherd_peer *p)
{
    sherd_dealer_close(&p->dealer, ps->epoll);
    sherd_batch_fini(&p->batch);
    free(p->queued);
    free(p);
}

static int open_peer(struct sherd_peers *ps, struct sherd_peer *p)
{
    /* A full batch is sent before it takes more, so there are never more. */
    p->queued = malloc((SHERD_BATCH_RECORDS_MAX + 1) * sizeof(*p->queued));
    if (!p->queued) return -ENOMEM;
    p->check_monitor = true;
    return sherd_dealer_open(&p->dealer, ps->zmq_context, ps->epoll, p->endpoint, p);
}

static struct sherd_peer *find(const struct sherd_peers *ps, const char *endpoint)
{
    for (size_t i = 0; i < ps->count; i++)
        if (strcmp(ps->list[i]->endpoint, endpoint) == 0) return ps->list[i];
    return NULL;
}

static int make(struct sherd_peers *ps, const char *endpoint, struct sherd_peer **out)
{
    struct sherd_peer *p;
    int rc;

    if (ps->count == ps->capacity) {
        size_t capacity = ps->capacity ? ps->capacity * 2 : 16;
        struct sherd_peer **list = reallocarray(ps->list, capacity, sizeof(struct sherd_peer *));
        if (!list) return -ENOMEM;
        ps->list = list;
        ps->capacity = capacity;
    }
    p = calloc(1, sizeof(*p));
    if (!p) return -ENOMEM;
    p->node = SHERD_NO_PEER_NODE;
    strlcpy(p->endpoint, endpoint, sizeof(p->endpoint));
    rc = open_peer(ps, p);
    if (rc < 0) {
        free_peer(ps, p);
        return rc;
    }
    ps->list[ps->count++] = p;
    *out = p;
    return 0;
}

static struct sherd_peer **place_of(struct sherd_peers *ps, int node)
{
    if (node == SHERD_KEEPER) return &ps->keeper;
    return node >= 0 && node < SHERD_NODES_MAX ? &ps->by_node[node] : NULL;
}

static void assign(struct sherd_peers *ps, struct sherd_peer *p, int node)
{
    struct sherd_peer **place = place_of(ps, node);

    if (!place || *place == p) return;
    if (*place) sherd_peers_disconnect(ps, *place); /* the node moved */
    if (p->node != SHERD_NO_PEER_NODE) *place_of(ps, p->node) = NULL;
    p->node = node;
    *place = p;
    ps->changes++;
}

int sherd_peers_connect(struct sherd_peers *ps, const char *endpoint, int node)
{
    struct sherd_peer *p = find(ps, endpoint);
    bool fresh = p == NULL;
    int rc = 0;

    if (fresh) rc = make(ps, endpoint, &p);
    if (rc < 0) return rc;
    assign(ps, p, node);
    /* Inproc has no connection to watch; its queue waits for whoever binds. */
    if (fresh && !p->dealer.monitor) begin_session(ps, p);
    return 0;
}

void sherd_peers_disconnect(struct sherd_peers *ps, struct sherd_peer *p)
{
    struct sherd_peer **place = place_of(ps, p->node);

    if (p->state != SHERD_PEER_DOWN) forget_session(ps, p);
    if (place && *place == p) *place = NULL;
    for (size_t i = 0; i < ps->count; i++) {
        if (ps->list[i] != p) continue;
        ps->list[i] = ps->list[--ps->count];
        break;
    }
    ps->changes++;
    free_peer(ps, p);
}

int sherd_peers_init(struct sherd_peers *ps, void *zmq_context)
{
    ps->own_context = zmq_context == NULL;
    ps->zmq_context = zmq_context ? zmq_context : zmq_ctx_new();
    ps->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!ps->zmq_context) return -ENOMEM;
    return ps->epoll < 0 ? -errno : 0;
}

void sherd_peers_fini(struct sherd_peers *ps)
{
    for (size_t i = 0; i < ps->count; i++) {
        struct sherd_peer *p = ps->list[i];
        struct sherd_envelope e = {
            .type = SHERD_REQUESTS,
            .session = p->session,
            .number = p->number + 1,
            .incarnation = p->incarnation,
            .map_version = ps->map_version,
            .clock = ps->clock->last,
        };
        if (p->batch.count != 0 && p->state == SHERD_PEER_READY)
            sherd_batch_send(&p->batch, p->dealer.socket, &e);
    }
    while (ps->count > 0)
        free_peer(ps, ps->list[--ps->count]);
    free(ps->list);
    sherd_incoming_fini(&ps->incoming);
    if (ps->epoll >= 0) close(ps->epoll);
    if (ps->own_context && ps->zmq_context) zmq_ctx_term(ps->zmq_context);
}
