/* keeper_serve.c - the keeper's messages. Answers and pushes to a peer that is gone, or does not
 * read, are dropped and counted: it asks again with its next heartbeat. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/log.h"
#include "coord/map_codec.h"
#include "server/keeper_parts.h"

enum { WARN_EVERY_MS = 10000 };

static struct sherd_envelope envelope_of(struct sherd_keeper *k, uint8_t type)
{
    return (struct sherd_envelope){
        .type = type,
        .map_version = k->membership.map->version,
        .clock = sherd_hlc_next(&k->clock, sherd_clock_wall_ms_now()),
    };
}

/* 0, or negative errno: the socket is broken. */
static int send_reply(struct sherd_keeper *k)
{
    int rc = sherd_router_send(k->socket, &k->in.identity, &k->reply);

    if (rc == 0) return 0;
    k->counters.messages_dropped++;
    return rc == -EAGAIN || rc == -EHOSTUNREACH || rc == -ENOMEM ? 0 : rc;
}

/* Pushes */

static void forget_peer(struct sherd_keeper_peer *peer)
{
    if (peer->known) zmq_msg_close(&peer->identity);
    peer->known = false;
}

static void push(struct sherd_keeper *k, uint16_t node)
{
    struct sherd_keeper_peer *peer = &k->peers[node];
    struct sherd_envelope e = envelope_of(k, SHERD_REQUESTS);
    struct sherd_request seal = {.kind = SHERD_SEAL, .shard_frame = -1};
    struct sherd_request live = {.kind = SHERD_LIVE, .since = k->live, .shard_frame = -1};
    bool lacks_map = peer->map_version < k->membership.map->version;
    int rc;

    if (!peer->known || !k->bytes || (!lacks_map && peer->live >= k->live)) return;
    e.incarnation = k->membership.members[node].incarnation;
    seal.body = (struct sherd_bytes){k->bytes, k->size};
    rc = sherd_router_begin(&k->push, &e);
    if (rc == 0 && lacks_map) rc = sherd_router_add_request(&k->push, &seal);
    if (rc == 0 && k->live != 0) rc = sherd_router_add_request(&k->push, &live);
    if (rc == 0) rc = sherd_router_send(k->socket, &peer->identity, &k->push);
    if (rc < 0) k->counters.messages_dropped++;
    if (rc == -EHOSTUNREACH) forget_peer(peer);
}

void sherd_keeper_push_all(struct sherd_keeper *k)
{
    for (uint16_t i = 0; i < k->membership.map->node_count; i++)
        push(k, i);
}

/* Requests */

static void answer(struct sherd_keeper *k, const struct sherd_request *r,
                   enum sherd_message_kind kind, struct sherd_bytes body)
{
    struct sherd_answer a;

    if (r->id == 0) return;
    memset(&a, 0, sizeof(a));
    a.id = r->id;
    a.kind = (uint8_t)kind;
    a.slot = r->slot;
    if (kind == SHERD_NACK) a.reason = SHERD_REASON_BAD;
    a.map_version = k->membership.map->version;
    a.body = body;
    if (sherd_router_add_answer(&k->reply, &a, NULL) < 0) k->counters.messages_dropped++;
}

static void answer_plain(struct sherd_keeper *k, const struct sherd_request *r,
                         enum sherd_message_kind kind)
{
    answer(k, r, kind, (struct sherd_bytes){NULL, 0});
}

static void warn_of_report(struct sherd_keeper *k, const struct sherd_report *r)
{
    const struct sherd_map *map = k->membership.map;

    if (r->node >= map->node_count) {
        log_debug("keeper: a report of node %u, which is not configured", r->node);
        return;
    }
    uint64_t *warned_ms = &k->peers[r->node].warned_ms;
    if (*warned_ms != 0 && k->now_ms - *warned_ms < WARN_EVERY_MS) return;
    *warned_ms = k->now_ms;
    if (r->cluster != 0 && r->cluster != map->cluster)
        log_warn("keeper: node %u is of another cluster and is ignored: %016llx, this is %016llx",
                 r->node, (unsigned long long)r->cluster, (unsigned long long)map->cluster);
    else if (r->map_version > map->version)
        log_warn("keeper: node %u holds map %llu, newer than the keeper's %llu: is %s/map old?",
                 r->node, (unsigned long long)r->map_version, (unsigned long long)map->version,
                 k->file.directory);
    else if (r->incarnation != k->membership.members[r->node].incarnation)
        log_warn(
            "keeper: node %u speaks for a memory that it had before: late, or its store was put "
            "back; if this is said again, stop it and remove its store (sherd cluster wipe %u)",
            r->node, r->node);
    else
        log_debug("keeper: a delayed report of node %u", r->node);
}

static void remember_peer(struct sherd_keeper *k, const struct sherd_report *r)
{
    struct sherd_keeper_peer *peer = &k->peers[r->node];

    forget_peer(peer);
    zmq_msg_init(&peer->identity);
    peer->known = zmq_msg_copy(&peer->identity, &k->in.identity) == 0;
    peer->map_version = r->map_version;
    peer->live = r->live;
}

static void on_heartbeat(struct sherd_keeper *k, const struct sherd_request *r)
{
    struct sherd_report report;

    k->counters.heartbeats++;
    if (sherd_report_decode(r->body, &report) < 0) {
        k->counters.bad_request++;
        answer_plain(k, r, SHERD_NACK);
        return;
    }
    if (!sherd_membership_hear(&k->membership, &report, k->now_ms)) {
        k->counters.reports_refused++;
        warn_of_report(k, &report);
        answer_plain(k, r, SHERD_NACK);
        return;
    }
    remember_peer(k, &report);
    answer_plain(k, r, SHERD_SEALED);
    push(k, report.node);
}

static void on_stats(struct sherd_keeper *k, const struct sherd_request *r)
{
    char *text = sherd_keeper_stats(k);

    answer(k, r, SHERD_STATS_ARE, (struct sherd_bytes){text, text ? strlen(text) : 0});
    free(text);
}

static void on_request(struct sherd_keeper *k, const struct sherd_request *r)
{
    switch (r->kind) {
    case SHERD_HEARTBEAT: on_heartbeat(k, r); return;
    case SHERD_GET_MAP: answer(k, r, SHERD_MAP, (struct sherd_bytes){k->bytes, k->size}); return;
    case SHERD_STATS: on_stats(k, r); return;
    case SHERD_PING: answer_plain(k, r, SHERD_PONG); return;
    case SHERD_ACCEPT_LOSS:
        log_warn("keeper: the operator accepts the loss of what cannot be rebuilt");
        sherd_membership_accept_loss(&k->membership);
        answer_plain(k, r, SHERD_ACK);
        return;
    default: break;
    }
    k->counters.bad_request++;
    answer_plain(k, r, SHERD_NACK);
}

static int serve_message(struct sherd_keeper *k)
{
    struct sherd_wire_reader in;
    struct sherd_envelope e, back = envelope_of(k, SHERD_ANSWERS);
    struct sherd_request r;
    int rc;

    if (sherd_wire_open(&in, k->in.views, k->in.frame_count, &e) < 0 || e.type != SHERD_REQUESTS) {
        k->counters.bad_message++;
        return 0;
    }
    sherd_hlc_merge(&k->clock, e.clock, sherd_clock_wall_ms_now());
    back.session = e.session;
    if (sherd_router_begin(&k->reply, &back) < 0) return 0; /* asked again */
    while ((rc = sherd_wire_next_request(&in, &r)) == 0)
        on_request(k, &r);
    if (rc == -EBADMSG) k->counters.bad_message++;
    return k->reply.count > 0 ? send_reply(k) : 0;
}

int sherd_keeper_serve(struct sherd_keeper *k)
{
    for (int i = 0; i < SHERD_KEEPER_TURN_MESSAGES_MAX; i++) {
        int rc = sherd_router_receive(k->socket, &k->in);

        if (rc == -EAGAIN || rc == -EINTR) return 0;
        if (rc == -EBADMSG || rc == -ENOMEM) {
            k->counters.bad_message++;
            continue;
        }
        if (rc == 0) rc = serve_message(k);
        if (rc < 0) return rc;
    }
    return 0;
}
