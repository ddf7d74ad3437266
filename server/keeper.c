#include "server/keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/log.h"
#include "coord/map_codec.h"
#include "server/keeper_parts.h"

/* Decisions made durable */

static void log_map(const struct sherd_map *map)
{
    uint32_t slots = sherd_slots_below((uint8_t)(map->k + map->m));
    unsigned changed = 0, learning = 0, vacant = 0, open = 0, lost = 0;

    for (uint16_t i = 0; i < map->partition_count; i++) {
        const struct sherd_partition *p = &map->partitions[i];
        if (p->epoch == map->version) changed++;
        if (p->learners != 0) learning++;
        if (sherd_partition_holders(p) != slots) vacant++;
        if (p->open_count > 1) open++;
        if (p->lost) lost++;
    }
    log_info("keeper: map %llu: of %u partitions %u begin an epoch, %u have learners, %u vacant "
             "slots, %u await a scan, %u are lost",
             (unsigned long long)map->version, map->partition_count, changed, learning, vacant,
             open, lost);
}

/* 0, or negative errno; nothing more is written before hold_ms then. */
static int make_durable(struct sherd_keeper *k, struct sherd_bytes encoded, uint64_t live)
{
    int rc = sherd_keeper_file_write(&k->file, encoded, live);

    if (rc == 0) return 0;
    k->counters.write_errors++;
    k->hold_ms = k->now_ms + SHERD_KEEPER_RETRY_MS;
    log_error("keeper: %s/map cannot be written, so nothing changes: %s", k->file.directory,
              strerror(-rc));
    return rc;
}

static bool publish(struct sherd_keeper *k)
{
    struct sherd_membership *m = &k->membership;
    struct sherd_bytes old = {k->bytes, k->size};
    uint8_t *bytes = NULL;
    size_t size = sherd_map_encoded_max(m->next);

    m->next->predecessor = k->bytes ? sherd_map_hash(old) : 0;
    bytes = malloc(size);
    if (!bytes) return false; /* the next turn tries again */
    size = sherd_map_encode(m->next, bytes, size);
    if (make_durable(k, (struct sherd_bytes){bytes, size}, m->next->live) < 0) {
        free(bytes);
        return false;
    }
    sherd_membership_commit(m);
    free(k->bytes);
    k->bytes = bytes;
    k->size = size;
    k->live = m->map->live;
    k->sealing_ms = k->now_ms;
    k->counters.maps_published++;
    log_map(m->map);
    sherd_keeper_push_all(k);
    return true;
}

static bool go_live(struct sherd_keeper *k)
{
    const struct sherd_map *map = k->membership.map;

    if (make_durable(k, (struct sherd_bytes){k->bytes, k->size}, map->live) < 0) return false;
    k->live = map->live;
    log_info("keeper: map %llu is live after %llu ms", (unsigned long long)map->live,
             (unsigned long long)(k->now_ms - k->sealing_ms));
    sherd_keeper_push_all(k);
    return true;
}

static void decide(struct sherd_keeper *k)
{
    bool again = true;

    while (again && k->now_ms >= k->hold_ms) {
        if (k->live < k->membership.map->live) { /* decided, but not durable yet */
            again = go_live(k);
            continue;
        }
        switch (sherd_membership_step(&k->membership, k->now_ms)) {
        case SHERD_MEMBERSHIP_PUBLISH: again = publish(k); break;
        case SHERD_MEMBERSHIP_LIVE: again = go_live(k); break;
        default: again = false; break;
        }
    }
}

/* The thread */

/* The only place that blocks, and the only one that reads the monotonic clock. */
static bool wait_for_work(struct sherd_keeper *k)
{
    zmq_pollitem_t items[] = {
        {.socket = k->socket,  .events = ZMQ_POLLIN},
        {.socket = k->stop_in, .events = ZMQ_POLLIN},
    };
    bool sealing = sherd_membership_is_sealing(&k->membership);
    long wait_ms = sealing ? SHERD_KEEPER_SEALING_TICK_MS : SHERD_KEEPER_TICK_MS;
    bool broken = zmq_poll(items, 2, wait_ms) < 0 && errno != EINTR;

    k->now_ms = sherd_clock_now_us() / 1000;
    return !broken && !(items[1].revents & ZMQ_POLLIN);
}

static void *run(void *context)
{
    struct sherd_keeper *k = context;

    while (wait_for_work(k)) {
        int rc = sherd_keeper_serve(k);
        if (rc < 0) {
            log_error("keeper: its socket is broken, maps change no more: %s", zmq_strerror(-rc));
            break;
        }
        decide(k);
    }
    return NULL;
}

/* Start and stop */

static struct sherd_map *map_new(const struct sherd_conf *conf)
{
    struct sherd_map *map = calloc(1, sherd_map_size((uint16_t)conf->partitions));

    if (!map) return NULL;
    map->k = (uint8_t)conf->k;
    map->m = (uint8_t)conf->m;
    map->partition_count = (uint16_t)conf->partitions;
    return map;
}

/* Takes the nodes as they are configured now; what happened to them stays. Returns whether that
 * changes the map. */
static bool configure_nodes(struct sherd_map *map, const struct sherd_conf *conf)
{
    bool changed = false;

    for (uint16_t i = 0; i < conf->node_count; i++) {
        struct sherd_node before = map->nodes[i], *node = &map->nodes[i];

        node->id = i;
        node->weight = conf->nodes[i].weight;
        memcpy(node->endpoint, conf->nodes[i].endpoint, sizeof(node->endpoint));
        memcpy(node->zone, conf->nodes[i].zone, sizeof(node->zone));
        if (before.weight != node->weight || strcmp(before.endpoint, node->endpoint) != 0 ||
            strcmp(before.zone, node->zone) != 0)
            changed = true;
    }
    map->node_count = (uint16_t)conf->node_count;
    return changed;
}

static int fits(const struct sherd_keeper *k, const struct sherd_map *map)
{
    const struct sherd_conf *conf = k->conf;
    const char *directory = k->file.directory;

    if (map->k != conf->k || map->m != conf->m) {
        log_error("keeper: %s/map is of a cluster with code %u+%u, configured is %u+%u", directory,
                  map->k, map->m, conf->k, conf->m);
        return -EINVAL;
    }
    if (map->partition_count != conf->partitions) {
        log_error("keeper: %s/map has %u partitions, configured are %u", directory,
                  map->partition_count, conf->partitions);
        return -EINVAL;
    }
    if (map->node_count > conf->node_count) {
        log_error("keeper: %s/map has %u nodes, configured are %zu: nodes cannot be taken out yet",
                  directory, map->node_count, conf->node_count);
        return -EINVAL;
    }
    return 0;
}

/* Decodes k->bytes, which are durable, into *out. */
static int read_map(struct sherd_keeper *k, struct sherd_map **out)
{
    struct sherd_bytes encoded = {k->bytes, k->size};
    uint16_t partitions = sherd_map_peek_partitions(encoded);
    struct sherd_map *map = partitions ? malloc(sherd_map_size(partitions)) : NULL;
    int rc = map ? sherd_map_decode(encoded, map) : partitions ? -ENOMEM : -EBADMSG;

    if (rc == 0 && k->live > map->version) rc = -EBADMSG;
    if (rc == -EBADMSG) log_error("keeper: %s/map does not hold a map", k->file.directory);
    if (rc == -ENOMEM) log_error("keeper: no memory left for %s/map", k->file.directory);
    if (rc == 0) rc = fits(k, map);
    if (rc < 0) {
        free(map);
        return rc;
    }
    map->live = k->live; /* newer than when it was encoded */
    *out = map;
    return 0;
}

/* *out becomes the file's map; it stays NULL if there is none and `init`. */
static int load(struct sherd_keeper *k, bool init, struct sherd_map **out)
{
    int rc = sherd_keeper_file_open(&k->file, k->conf->keeper_dir, init);

    if (rc == -EBUSY)
        log_error("keeper: another process uses %s", k->conf->keeper_dir);
    else if (rc < 0)
        log_error("keeper: %s: %s", k->conf->keeper_dir, strerror(-rc));
    if (rc < 0) return rc;

    rc = sherd_keeper_file_read(&k->file, &k->bytes, &k->size, &k->live);
    if (rc == 0) return read_map(k, out);
    if (rc == -ENOENT && init) return 0;
    if (rc == -ENOENT)
        log_error("keeper: no map in %s; for a new cluster start once with --init",
                  k->conf->keeper_dir);
    else if (rc == -EBADMSG)
        log_error("keeper: %s/map is damaged; bring back a copy, nothing is made anew over it",
                  k->conf->keeper_dir);
    else
        log_error("keeper: %s/map: %s", k->conf->keeper_dir, strerror(-rc));
    return rc;
}

static int prepare(struct sherd_keeper *k, bool init)
{
    struct sherd_membership_config config = {.vacate_after_ms = k->conf->vacate_after_ms,
                                             .init = init};
    struct sherd_map *map = NULL, *next = NULL;
    int rc = load(k, init, &map);

    if (rc < 0) return rc;
    if (!map) map = map_new(k->conf);
    next = map_new(k->conf);
    if (!map || !next) {
        log_error("keeper: no memory left");
        free(map);
        free(next);
        return -ENOMEM;
    }
    config.republish = configure_nodes(map, k->conf) && map->version != 0;
    while (config.cluster == 0)
        arc4random_buf(&config.cluster, sizeof(config.cluster));
    sherd_membership_init(&k->membership, &config, map, next);
    if (map->version != 0)
        log_info("keeper: map %llu of cluster %016llx, %s", (unsigned long long)map->version,
                 (unsigned long long)map->cluster, map->live == map->version ? "live" : "sealing");
    else
        log_info("keeper: the first map is made when all %zu nodes are heard", k->conf->node_count);
    return 0;
}

static int open_sockets(struct sherd_keeper *k, void *zmq_context)
{
    char endpoint[64];
    uint64_t unique;
    int rc = sherd_router_bind(zmq_context, k->conf->keeper, &k->socket);

    if (rc < 0) {
        log_error("keeper: %s: %s", k->conf->keeper, zmq_strerror(-rc));
        return rc;
    }
    /* An address would not do: ZeroMQ gives a name back only some time after its socket is closed,
     * when another keeper may stand where this one stood. */
    arc4random_buf(&unique, sizeof(unique));
    snprintf(endpoint, sizeof(endpoint), "inproc://keeper-stop-%016llx",
             (unsigned long long)unique);
    k->stop_in = zmq_socket(zmq_context, ZMQ_PAIR);
    k->stop_out = zmq_socket(zmq_context, ZMQ_PAIR);
    if (!k->stop_in || !k->stop_out || zmq_bind(k->stop_in, endpoint) < 0 ||
        zmq_connect(k->stop_out, endpoint) < 0) {
        rc = -errno;
        log_error("keeper: %s: %s", endpoint, zmq_strerror(-rc));
    }
    return rc;
}

static void keeper_free(struct sherd_keeper *k)
{
    for (size_t i = 0; i < SHERD_NODES_MAX; i++)
        if (k->peers[i].known) zmq_msg_close(&k->peers[i].identity);
    sherd_router_message_fini(&k->in);
    sherd_router_reply_fini(&k->reply);
    sherd_router_reply_fini(&k->push);
    if (k->socket) zmq_close(k->socket);
    if (k->stop_in) zmq_close(k->stop_in);
    if (k->stop_out) zmq_close(k->stop_out);
    sherd_keeper_file_close(&k->file);
    free(k->bytes);
    free(k->membership.map);
    free(k->membership.next);
    free(k);
}

/* Signals are for the main thread. */
static int start_thread(struct sherd_keeper *k)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&k->thread, NULL, run, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

int sherd_keeper_start(const struct sherd_conf *conf, bool init, void *zmq_context,
                       struct sherd_keeper **out)
{
    struct sherd_keeper *k = NULL;
    int rc = 0;

    if (conf->keeper[0] == '\0' || conf->keeper_dir[0] == '\0') {
        log_error("keeper: `keeper` or `keeper_dir` is not configured");
        return -EINVAL;
    }
    k = calloc(1, sizeof(*k));
    if (!k) {
        log_error("keeper: no memory left");
        return -ENOMEM;
    }
    k->conf = conf;
    k->file.lock = -1;
    k->now_ms = sherd_clock_now_us() / 1000;
    rc = prepare(k, init);
    if (rc == 0) rc = open_sockets(k, zmq_context);
    if (rc == 0) rc = start_thread(k);
    if (rc < 0) {
        keeper_free(k);
        return rc;
    }
    *out = k;
    return 0;
}

void sherd_keeper_stop(struct sherd_keeper *k)
{
    if (!k) return;
    zmq_send(k->stop_out, "", 0, 0);
    pthread_join(k->thread, NULL);
    keeper_free(k);
}
