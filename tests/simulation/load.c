#include "tests/simulation/load.h"

#include "tests/simulation/engine.h"
#include "tests/simulation/story.h"

enum {
    CALLS_AT_ONCE = 2,
    OPEN_MAX = 16,
    TIMEOUT_MIN_US = 100 * SIM_MS,
    TIMEOUT_MAX_US = 1500 * SIM_MS
};

static struct sherd_event computed(struct sim_op *o, int64_t value)
{
    sim_op_set_value(o, value);
    return (struct sherd_event){.kind = SHERD_EVENT_COMPUTED};
}

static struct sherd_event refused(enum sherd_outcome outcome)
{
    return (struct sherd_event){.kind = SHERD_EVENT_REFUSED, .outcome = outcome};
}

static struct sherd_event compute(struct sim_op *o)
{
    struct sherd_ballot version = o->op.exists ? o->op.version : SHERD_BALLOT_ZERO;

    switch (o->kind) {
    case HISTORY_CAS:
        if (!sherd_ballot_equal(version, o->expect)) return refused(SHERD_CONFLICT);
        return computed(o, o->delta);
    case HISTORY_INCREMENT: return computed(o, (o->op.exists ? o->current : 0) + o->delta);
    default: /* REPLACE, REMOVE */
        return o->op.exists ? computed(o, o->delta) : refused(SHERD_NOT_FOUND);
    }
}

/* As the history has it. */
static int64_t value_of(int64_t value) { return value > 0 ? value : HISTORY_NONE; }

static void learn(struct sim_op *o, int64_t value)
{
    o->client->known[o->key] = value > 0 ? o->op.version : SHERD_BALLOT_ZERO;
    o->client->known_value[o->key] = value;
}

static void close_read(struct sim_op *o, struct history_call *call)
{
    switch (o->op.outcome) {
    case SHERD_OK:
        call->seen = value_of(o->current);
        learn(o, o->current);
        break;
    case SHERD_NOT_FOUND: learn(o, 0); break;
    case SHERD_LOST:
        call->seen = HISTORY_LOST;
        if (o->op.found.flags & SHERD_META_LOST) break;
        __attribute__((fallthrough));
    default: history_remove(call); return;
    }
    call->end = o->client->cluster->world.order;
}

static void close_write(struct sim_op *o, struct history_call *call)
{
    switch (o->op.outcome) {
    case SHERD_OK:
        call->hit = true;
        call->seen = value_of(o->value);
        learn(o, o->value);
        break;
    case SHERD_CONFLICT:
    case SHERD_NOT_FOUND: break; /* it was looked at, and was not so */
    case SHERD_UNCERTAIN: return;
    default: history_remove(call); return;
    }
    call->end = o->client->cluster->world.order;
}

static void on_done(struct sim_op *o)
{
    struct sim_cluster *c = o->client->cluster;
    struct history_call *call = o->call;

    if (!call) return;
    o->call = NULL;
    c->counts->outcomes[o->op.outcome]++;
    sim_trace(&c->world, "%s: %s key %u value %lld: %s", sim_who(o->client->address).text,
              history_kind_name((enum history_kind)o->kind), o->key,
              (long long)(o->kind == HISTORY_GET ? o->current : o->value),
              sherd_outcome_name(o->op.outcome));
    if (o->op.outcome == SHERD_LOST && !c->lossy && !o->op.corrupt_reads)
        sim_fail(&c->world, "key %u: LOST was said, and too little was lost for it", o->key);
    if (o->kind == HISTORY_GET)
        close_read(o, call);
    else
        close_write(o, call);
}

static enum sherd_goal goal_of(enum history_kind kind)
{
    if (kind == HISTORY_GET) return SHERD_GOAL_GET;
    return kind == HISTORY_SET || kind == HISTORY_DELETE ? SHERD_GOAL_SET : SHERD_GOAL_UPDATE;
}

static void describe(struct sim_op *o, struct history_call *call)
{
    struct sim_cluster *c = o->client->cluster;

    switch (o->kind) {
    case HISTORY_INCREMENT:
        o->delta = call->value = 1000000 * (1 + (int64_t)sim_below(&c->world, 1000000000));
        o->op.want_value = true;
        break;
    case HISTORY_DELETE: sim_op_set_value(o, 0); break;
    case HISTORY_GET:
    case HISTORY_REMOVE: break;
    case HISTORY_SET:
        call->value = ++c->next_value;
        sim_op_set_value(o, call->value);
        break;
    default: o->delta = call->value = ++c->next_value; break;
    }
    if (o->kind != HISTORY_CAS) return;
    if (sim_below(&c->world, 5) == 0) { /* only if there is no value */
        o->expect = SHERD_BALLOT_ZERO;
        return;
    }
    o->expect = o->client->known[o->key];
    o->expect_value = o->client->known_value[o->key];
    call->expect = value_of(o->expect_value);
}

static struct sim_op *make(struct sim_client *cl, enum history_kind kind, uint8_t key,
                           uint64_t timeout_us)
{
    struct sim_cluster *c = cl->cluster;
    struct history_call *call = history_add(&c->history[key], kind, c->world.order);
    struct sim_op *o = NULL;

    if (!call) return NULL;
    o = sim_op_new(cl, goal_of(kind), key, timeout_us);
    o->kind = (uint8_t)kind;
    o->call = call;
    call->process = cl->address;
    o->compute = compute;
    o->done = on_done;
    o->op.ack_quorum = sim_chance(&c->world, c->weather.quorum);
    describe(o, call);
    c->counts->calls++;
    return o;
}

static bool is_busy(const struct sim_client *cl, uint8_t key)
{
    int count = 0;

    for (const struct sim_op *o = cl->ops; o; o = o->next) {
        if (o->key == key) return true;
        count++;
    }
    return count >= CALLS_AT_ONCE;
}

/* No room but for the last look; or so many calls are open that their order says nothing any more,
 * and takes the checker for ever. */
static bool is_full(const struct history *h)
{
    unsigned open = 0;

    for (uint32_t i = 0; i < h->count; i++)
        open += h->calls[i].end == UINT64_MAX;
    return h->count > SIM_HISTORY_MAX - 8 || open > OPEN_MAX;
}

bool sim_load_is_over(const struct sim_cluster *c)
{
    for (uint8_t key = 0; key < c->keys; key++)
        if (!is_full(&c->history[key])) return false;
    return true;
}

/* What this call is to be, if it may be; NULL: it may not now. */
static struct sim_op *draw(struct sim_cluster *c)
{
    static const uint8_t kinds[] = {
        HISTORY_GET, HISTORY_GET,    HISTORY_GET,       HISTORY_SET,      HISTORY_SET,
        HISTORY_SET, HISTORY_DELETE, HISTORY_CAS,       HISTORY_CAS,      HISTORY_REPLACE,
        HISTORY_CAS, HISTORY_REMOVE, HISTORY_INCREMENT, HISTORY_INCREMENT};
    struct sim_client *cl = &c->client[sim_below(&c->world, c->clients)];
    uint8_t key = (uint8_t)sim_below(&c->world, c->keys);
    enum history_kind kind = kinds[sim_below(&c->world, sizeof(kinds))];
    uint64_t timeout_us = TIMEOUT_MIN_US + sim_below(&c->world, TIMEOUT_MAX_US - TIMEOUT_MIN_US);

    if (!cl->up || !cl->map || is_busy(cl, key)) return NULL;
    if (cl->frozen_until_us > c->world.now_us || is_full(&c->history[key])) return NULL;
    return make(cl, kind, key, timeout_us);
}

static void begin(struct sim_op *o)
{
    int64_t value = o->call->value == HISTORY_NONE ? 0 : o->call->value;

    sim_trace(&o->client->cluster->world, "%s asks: %s key %u, value %lld",
              sim_who(o->client->address).text, history_kind_name((enum history_kind)o->kind),
              o->key, (long long)value);
    sim_op_submit(o);
}

/* The number-th call begins, or comes to nothing. */
static bool try_call(struct sim_cluster *c, uint32_t number)
{
    uint64_t saved = sim_enter(&c->world, SIM_STREAM_CALLS + number);
    struct sim_op *o = draw(c);

    sim_leave(&c->world, saved);
    if (!o) return false;
    if (number < SIM_SKIPS_MAX) c->begun[number / 64] |= UINT64_C(1) << number % 64;
    begin(o);
    return true;
}

bool sim_load_call(struct sim_cluster *c)
{
    const struct sim_skips *skips = c->config.skips;
    uint32_t number = c->call_count++;

    if (!skips) return try_call(c, number);
    if (number < skips->call_count && !sim_has_bit(skips->calls, number)) try_call(c, number);
    return sim_has_bit(skips->begun, number); /* so that the next one comes when it came then */
}

const struct sim_op *sim_load_ask(struct sim_client *cl, enum history_kind kind, uint8_t key,
                                  uint64_t timeout_us)
{
    struct sim_op *o = make(cl, kind, key, timeout_us);

    if (o) begin(o);
    return o;
}
