#include "client/engine.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>

#include "client/clock.h"
#include "client/engine_parts.h"
#include "client/test_hooks.h"

enum {
    DEFAULT_TIMEOUT_MS = 5000,
    DEFAULT_STRAGGLER_MS = 20,
    DEFAULT_WINDOW_BYTES = 64 << 20,
    FIRST_HEDGE_US = 5000,
    POLLED_GAP_US = 20000, /* longer between two polls, nobody polled */
    MAP_MISSING_US = 100000,
    TICK_US = 50000, /* the peers' and ours, while anything is under way */
    DRAINS_MAX = 3,
};

static int connect_first(struct sherd_engine *e, const struct sherd_engine_config *config)
{
    int rc = 0;

    if (config->self_node >= 0)
        rc = sherd_peers_connect(&e->peers, e->self_endpoint, config->self_node);
    for (size_t i = 0; rc == 0 && i < config->seed_count; i++)
        rc = sherd_peers_connect(&e->peers, config->seeds[i], SHERD_NO_PEER_NODE);
    /* A server's keeper wants to hear of it; a client rarely has anything to say to one. */
    if (rc == 0 && config->self_node >= 0 && e->keeper[0])
        rc = sherd_peers_connect(&e->peers, e->keeper, SHERD_KEEPER);
    return rc;
}

static int open_engine(struct sherd_engine *e, const struct sherd_engine_config *config)
{
    int rc;

    if ((config->keeper &&
         strlcpy(e->keeper, config->keeper, sizeof(e->keeper)) >= sizeof(e->keeper)) ||
        (config->self_endpoint && strlcpy(e->self_endpoint, config->self_endpoint,
                                          sizeof(e->self_endpoint)) >= sizeof(e->self_endpoint)))
        return -EINVAL;
    rc = sherd_timers_reserve(&e->timers, SHERD_CALLS_MAX);
    return rc < 0 ? rc : connect_first(e, config);
}

int sherd_engine_open(const struct sherd_engine_config *config, struct sherd_engine **out)
{
    struct sherd_engine *e = calloc(1, sizeof(*e));
    int rc;

    *out = NULL;
    if (!e) return -ENOMEM;
    arc4random_buf(&e->client, sizeof(e->client));
    arc4random_buf(&e->random_state, sizeof(e->random_state));
    e->timeout_ms = config->timeout_ms ? config->timeout_ms : DEFAULT_TIMEOUT_MS;
    e->straggler_us = (config->straggler_ms ? config->straggler_ms : DEFAULT_STRAGGLER_MS) * 1000;
    e->hedge_us = FIRST_HEDGE_US;
    e->self_node = config->self_node;
    e->now_us = sherd_clock_now_us();
    e->wall_ms = sherd_clock_wall_ms_now();
    e->peers.handlers = &sherd_engine_handlers;
    e->peers.owner = e;
    e->peers.stats = &e->stats;
    e->peers.clock = &e->clock;
    e->peers.straggler_us = e->straggler_us;
    e->peers.window_bytes = config->window_bytes ? config->window_bytes : DEFAULT_WINDOW_BYTES;
    e->peers.now_us = e->now_us;
    e->peers.wall_ms = e->wall_ms;
    rc = sherd_peers_init(&e->peers, config->zmq_context);
    if (rc == 0) rc = open_engine(e, config);
    if (rc < 0) {
        sherd_engine_close(e);
        return rc;
    }
    *out = e;
    return 0;
}

void sherd_engine_close(struct sherd_engine *e)
{
    if (!e) return;
    sherd_peers_fini(&e->peers);
    sherd_runs_fini(e);
    sherd_calls_fini(e);
    sherd_timers_fini(&e->timers);
    sherd_blocks_fini(&e->blocks);
    sherd_map_ref_release(e->map);
    sherd_ecc_free(e->ecc);
    free(e);
}

/* ---- the turn ---- */

static bool is_busy(const struct sherd_engine *e)
{
    return e->active_runs > 0 || e->active_calls > 0 || e->waiting_first;
}

/* The time of this turn, for everyone. What passed while nobody polled is not held against nodes.
 */
static void read_clock(struct sherd_engine *e, bool is_first)
{
    uint64_t now_us = sherd_clock_now_us(), passed_us = now_us - e->now_us;

    if (is_first && passed_us > POLLED_GAP_US) passed_us = POLLED_GAP_US;
    e->now_us = now_us;
    e->wall_ms = sherd_clock_wall_ms_now();
    e->peers.now_us = now_us;
    e->peers.wall_ms = e->wall_ms;
    e->peers.polled_us += passed_us;
}

static void run_timers(struct sherd_engine *e)
{
    struct sherd_timer *timer;

    while ((timer = sherd_timers_pop(&e->timers, e->now_us)) != NULL) {
        char *at = (char *)timer;
        if (timer->kind == SHERD_TIMER_RUN)
            sherd_run_timer(e,
                            (struct sherd_run *)(void *)(at - offsetof(struct sherd_run, timer)));
        else
            sherd_call_timer(
                e, (struct sherd_call *)(void *)(at - offsetof(struct sherd_call, timer)));
    }
}

static void start_and_flush(struct sherd_engine *e)
{
    int drains = 0;

    sherd_runs_start_waiting(e);
    sherd_inbox_drain(e);
    do {
        e->flush_us = sherd_peers_flush(&e->peers, e->active_runs == 0);
    } while (sherd_inbox_drain(e) && ++drains < DRAINS_MAX);
    sherd_hook_flushed(e->now_us);
    sherd_calls_fail(e);
}

static void turn(struct sherd_engine *e)
{
    sherd_peers_receive(&e->peers);
    if (e->must_connect || (e->connect_us != 0 && e->connect_us <= e->now_us))
        sherd_engine_connect(e);
    sherd_inbox_drain(e);
    run_timers(e);
    sherd_peers_tick(&e->peers, is_busy(e));
    if (e->waiting_first) sherd_runs_expire_waiting(e);
    if (!e->map && e->now_us - e->map_asked_us >= MAP_MISSING_US) sherd_engine_ask_map(e, NULL, 0);
    start_and_flush(e);
}

static bool has_work(const struct sherd_engine *e)
{
    return e->must_connect || e->inbox_first || e->failed_calls ||
           sherd_peers_must_check(&e->peers) || sherd_runs_can_start(e);
}

/* When the next turn is due, if nothing arrives before. */
static uint64_t due_us(const struct sherd_engine *e)
{
    uint64_t next_us = sherd_timers_next_us(&e->timers);

    if (has_work(e)) return e->now_us;
    if (e->flush_us < next_us) next_us = e->flush_us;
    if (e->connect_us != 0 && e->connect_us < next_us) next_us = e->connect_us;
    if ((is_busy(e) || !e->map) && e->now_us + TICK_US < next_us) next_us = e->now_us + TICK_US;
    return next_us;
}

int sherd_engine_poll(struct sherd_engine *e, int timeout_ms)
{
    uint64_t end_us = UINT64_MAX, next_us;
    bool is_first = true;
    int rc;

    e->finished = 0;
    e->happened = false;
    if (timeout_ms >= 0) end_us = sherd_clock_now_us() + (uint64_t)timeout_ms * 1000;
    for (;;) {
        uint64_t now_us = sherd_clock_now_us();
        next_us = due_us(e);
        if (end_us < next_us) next_us = end_us;
        if (timeout_ms < 0 && !is_busy(e)) next_us = now_us; /* nothing to wait for */
        rc = sherd_peers_wait(&e->peers, next_us > now_us ? next_us - now_us : 0);
        read_clock(e, is_first);
        is_first = false;
        turn(e);
        if (rc == -EINTR || e->finished > 0 || e->happened) break;
        if (rc < 0) return rc;
        if (e->now_us >= end_us || (timeout_ms < 0 && !is_busy(e))) break;
    }
    return e->finished;
}

int sherd_engine_fd(const struct sherd_engine *e) { return e->peers.epoll; }

int sherd_engine_next_timeout_ms(const struct sherd_engine *e)
{
    uint64_t now_us = sherd_clock_now_us(), next_us = due_us(e);

    if (next_us == UINT64_MAX) return -1;
    if (next_us <= now_us || has_work(e)) return 0;
    next_us = (next_us - now_us + 999) / 1000;
    return next_us > INT32_MAX ? INT32_MAX : (int)next_us;
}

/* ---- what is known ---- */

const struct sherd_map *sherd_engine_map(const struct sherd_engine *e)
{
    return e->map ? e->map->map : NULL;
}

void sherd_engine_on_push(struct sherd_engine *e, sherd_push_handler *handler, void *context)
{
    e->push = handler;
    e->push_context = context;
}

bool sherd_engine_is_reachable(const struct sherd_engine *e, uint16_t node)
{
    return sherd_peer_is_reachable(sherd_peers_of(&e->peers, node), true);
}

const struct sherd_engine_stats *sherd_engine_stats(const struct sherd_engine *e)
{
    return &e->stats;
}
