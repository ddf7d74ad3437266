#include "server/background.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/log.h"
#include "server/compare.h"
#include "server/heartbeat.h"
#include "server/recovery.h"
#include "server/sweep.h"

enum {
    OP_TIMEOUT_MS = 3000,
    TURN_MS_MAX = 50,
    AWAY_MS = 1000,      /* a turn this late, or nobody heard for this long: writes were missed */
    LOOKBACK_MS = 60000, /* PROTOCOL 7.6 */
};

struct sherd_background {
    const struct sherd_conf *conf;
    atomic_bool stopping;
    bool started;
    pthread_t thread;
    const char **seeds;

    struct sherd_turn turn;
    struct sherd_jobs jobs;
    struct sherd_sealed sealed;
    struct sherd_heartbeat heartbeat;
    struct sherd_recovery *recovery;
    struct sherd_sweep *sweep;
    struct sherd_compare compare;
    uint64_t heard_ms;    /* when one did last */
    uint64_t heard_clock; /* ... as a clock of ballots, LOOKBACK_MS before */
};

/* Whether any other node can be reached; alone, there is nobody to be heard. */
static bool hears_anybody(const struct sherd_background *b)
{
    for (size_t i = 0; i < b->conf->node_count; i++)
        if ((int)i != b->conf->self && sherd_engine_is_reachable(b->turn.engine, (uint16_t)i))
            return true;
    return b->conf->node_count < 2;
}

/* A stopped process does not know that it was; a cut cable looks the same from here. Whatever was
 * written meanwhile may be missing. */
static void note_absence(struct sherd_background *b)
{
    const struct sherd_turn *t = &b->turn;

    if (!hears_anybody(b)) return;
    if (b->heard_ms != 0 && t->now_ms - b->heard_ms > AWAY_MS) {
        log_info("heard nobody for %llu ms: catching up",
                 (unsigned long long)(t->now_ms - b->heard_ms));
        sherd_recovery_catch_up(b->recovery, b->heard_clock);
    }
    b->heard_ms = t->now_ms;
    b->heard_clock = sherd_turn_clock_before(t, LOOKBACK_MS);
}

/* How far back this node must look if it ends now, for its store to remember. */
static void note_seen(struct sherd_background *b)
{
    _Atomic uint64_t *seen = &b->turn.progress->seen;
    uint64_t missed = sherd_recovery_missed_since(b->recovery);

    if (!b->sealed.map) return;
    if (missed == UINT64_MAX)
        atomic_store(seen, b->heard_clock);
    else if (missed < atomic_load(seen))
        atomic_store(seen, missed);
}

static uint32_t run_turn(struct sherd_background *b)
{
    struct sherd_turn *t = &b->turn;
    uint32_t wait_ms;
    bool changed;

    t->now_ms = sherd_clock_now_us() / 1000;
    t->wall_ms = sherd_clock_wall_ms_now();
    note_absence(b);
    changed = sherd_sealed_turn(&b->sealed, t);
    sherd_sealed_note_forgotten(&b->sealed, t->progress);
    if (changed)
        log_info("map %llu, live %llu", (unsigned long long)b->sealed.report.map_version,
                 (unsigned long long)b->sealed.report.live);
    wait_ms = sherd_recovery_turn(b->recovery, &b->sealed, changed, t);
    sherd_sweep_turn(b->sweep, &b->sealed, t);
    sherd_compare_turn(&b->compare, &b->sealed, t);
    sherd_heartbeat_turn(&b->heartbeat, t, sherd_recovery_is_busy(b->recovery));
    atomic_store(&t->progress->backlog,
                 sherd_sweep_backlog(b->sweep) + sherd_recovery_backlog(b->recovery));
    note_seen(b);
    return wait_ms < TURN_MS_MAX ? wait_ms : TURN_MS_MAX;
}

static void *run(void *context)
{
    struct sherd_background *b = context;

    while (!atomic_load(&b->stopping)) {
        uint32_t wait_ms = run_turn(b);
        int rc = sherd_engine_poll(b->turn.engine, (int)wait_ms);
        if (rc < 0) log_fatal(1, "background: %s", strerror(-rc));
    }
    return NULL;
}

/* Everybody but this node. */
static size_t fill_seeds(struct sherd_background *b)
{
    size_t count = 0;

    for (size_t i = 0; i < b->conf->node_count; i++)
        if ((int)i != b->conf->self) b->seeds[count++] = b->conf->nodes[i].endpoint;
    return count;
}

static int open_engine(struct sherd_background *b, void *zmq_context)
{
    struct sherd_engine_config config = {
        .zmq_context = zmq_context,
        .keeper = b->conf->keeper[0] ? b->conf->keeper : NULL,
        .self_node = b->conf->self,
        .self_endpoint = SHERD_SERVICE_ENDPOINT,
        .timeout_ms = OP_TIMEOUT_MS,
        .straggler_ms = b->conf->straggler_ms,
    };

    b->seeds = calloc(b->conf->node_count, sizeof(*b->seeds));
    if (!b->seeds) return -ENOMEM;
    config.seeds = b->seeds;
    config.seed_count = fill_seeds(b);
    return sherd_engine_open(&config, &b->turn.engine);
}

/* A memory from before this process has a map already, and missed what came meanwhile. */
static void take_up(struct sherd_background *b, const struct sherd_service_life *life)
{
    if (!life->kept) return;
    if (life->map.size != 0) sherd_sealed_offer(&b->sealed, life->map);
    sherd_sealed_offer_live(&b->sealed, life->live);
    sherd_recovery_catch_up(b->recovery, atomic_load(&b->turn.progress->seen));
}

int sherd_background_start(const struct sherd_conf *conf, void *zmq_context,
                           const struct sherd_service_life *life, struct sherd_progress *progress,
                           struct sherd_background **out)
{
    struct sherd_background *b = calloc(1, sizeof(*b));
    int rc;

    if (!b) return -ENOMEM;
    b->conf = conf;
    sherd_sealed_init(&b->sealed, (uint16_t)conf->self, life->incarnation);
    sherd_compare_init(&b->compare, conf->scrub_rate_bytes != 0);
    rc = open_engine(b, zmq_context);
    if (rc == 0) rc = sherd_recovery_new(conf->recovery_rate_bytes, &b->recovery);
    if (rc == 0) rc = sherd_sweep_new(&b->sweep);
    if (rc == 0) {
        b->jobs.engine = b->turn.engine;
        b->turn.jobs = &b->jobs;
        b->turn.progress = progress;
        b->turn.self = (uint16_t)conf->self;
        sherd_heartbeat_init(&b->heartbeat, b->turn.engine, &b->sealed, progress);
        take_up(b, life);
        rc = -pthread_create(&b->thread, NULL, run, b);
    }
    b->started = rc == 0;
    if (rc < 0)
        sherd_background_stop(b);
    else
        *out = b;
    return rc;
}

void sherd_background_stop(struct sherd_background *b)
{
    if (!b) return;
    atomic_store(&b->stopping, true);
    if (b->started) pthread_join(b->thread, NULL);
    sherd_recovery_free(b->recovery);
    if (b->turn.engine) sherd_engine_close(b->turn.engine);
    sherd_jobs_fini(&b->jobs);
    sherd_sweep_free(b->sweep);
    sherd_sealed_fini(&b->sealed);
    free(b->seeds);
    free(b);
}
