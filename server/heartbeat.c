#include "server/heartbeat.h"

#include "coord/map_codec.h"

enum {
    BEAT_MS = 200,
    BEAT_BUSY_MS = 100,
    BEAT_GAP_MS = 10, /* also between reports with news */
    BEAT_TIMEOUT_MS = 400,
    ASK_MS = 200, /* between two questions for a newer map */
    ASK_TIMEOUT_MS = 1000,
};

static void heard_keeper(struct sherd_heartbeat *h)
{
    atomic_store(&h->progress->keeper_heard_ms, h->now_ms ? h->now_ms : 1);
}

static void on_push(void *context, uint16_t from, const struct sherd_request *request)
{
    struct sherd_heartbeat *h = context;

    if (from != SHERD_KEEPER) return; /* nobody else may say what is the map */
    heard_keeper(h);
    if (request->kind == SHERD_SEAL) sherd_sealed_offer(h->sealed, request->body);
    if (request->kind == SHERD_LIVE) sherd_sealed_offer_live(h->sealed, request->since);
}

void sherd_heartbeat_init(struct sherd_heartbeat *h, struct sherd_engine *engine,
                          struct sherd_sealed *sealed, struct sherd_progress *progress)
{
    *h = (struct sherd_heartbeat){.sealed = sealed, .progress = progress};
    sherd_engine_on_push(engine, on_push, h);
}

static void on_reported(void *context, const struct sherd_answer *answer)
{
    struct sherd_heartbeat *h = context;

    h->reporting = false;
    if (!answer) return;
    heard_keeper(h);
    if (answer->kind == SHERD_MAP && answer->body.size != 0)
        sherd_sealed_offer(h->sealed, answer->body);
}

static void report(struct sherd_heartbeat *h, const struct sherd_turn *t)
{
    uint8_t body[SHERD_REPORT_BYTES_MAX];
    struct sherd_request r = {.kind = SHERD_HEARTBEAT, .shard_frame = -1};

    r.body.data = body;
    r.body.size = sherd_report_encode(&h->sealed->report, body, sizeof(body));
    h->sent_ms = t->now_ms;
    if (sherd_engine_call(t->engine, SHERD_KEEPER, &r, BEAT_TIMEOUT_MS, on_reported, h) == 0) {
        h->reporting = true;
        h->sealed->urgent = false;
    }
}

static bool is_due(const struct sherd_heartbeat *h, const struct sherd_turn *t, bool busy)
{
    const struct sherd_report *r = &h->sealed->report;
    uint64_t since_ms = t->now_ms - h->sent_ms;

    if (h->sent_ms == 0) return true;
    if (h->sealed->urgent) return since_ms >= BEAT_GAP_MS;
    if (h->reporting) return false;
    return since_ms >= (busy || r->live < r->map_version ? (uint64_t)BEAT_BUSY_MS : BEAT_MS);
}

/* Maps of peers */

static void on_map(void *context, const struct sherd_answer *answer)
{
    struct sherd_heartbeat *h = context;

    h->asking = false;
    if (answer && answer->kind == SHERD_MAP && answer->body.size != 0)
        sherd_sealed_offer(h->sealed, answer->body);
}

/* The engine met a newer map than the one sealed here. Its encoded form is what must be sealed,
 * since a successor names its hash: so it is fetched as it is, from one node after the other. */
static void ask_for_map(struct sherd_heartbeat *h, const struct sherd_turn *t)
{
    const struct sherd_map *map = sherd_engine_map(t->engine);
    struct sherd_request r = {.kind = SHERD_GET_MAP, .shard_frame = -1};

    if (h->asking || t->now_ms < h->ask_ms) return;
    if (!map || map->version <= sherd_sealed_newest(h->sealed)) return;

    h->ask_node = (uint16_t)((h->ask_node + 1) % map->node_count);
    if (h->ask_node == t->self || !sherd_engine_is_reachable(t->engine, h->ask_node)) return;
    h->ask_ms = t->now_ms + ASK_MS;
    if (sherd_engine_call(t->engine, h->ask_node, &r, ASK_TIMEOUT_MS, on_map, h) == 0)
        h->asking = true;
}

void sherd_heartbeat_turn(struct sherd_heartbeat *h, const struct sherd_turn *t, bool busy)
{
    h->now_ms = t->now_ms;
    if (is_due(h, t, busy)) report(h, t);
    ask_for_map(h, t);
}
