#include "tests/simulation/network.h"

#include <string.h>

#include "tests/simulation/engine.h"
#include "tests/simulation/keeper.h"
#include "tests/simulation/node.h"
#include "tests/simulation/story.h"

enum { SMALL_BYTES = 512 };

static uint8_t machine_of(uint8_t address)
{
    return address >= SIM_DAEMON ? (uint8_t)(address - SIM_DAEMON) : address;
}

static void release(struct sim_message *m)
{
    struct sim_message **list = &m->cluster->network.spare[m->is_large];

    m->next = *list;
    *list = m;
}

/* Of one of two sizes, used again when it is delivered. */
static struct sim_message *take(struct sim_cluster *c, size_t size)
{
    bool is_large = size > SMALL_BYTES;
    struct sim_message *m = c->network.spare[is_large];

    if (!m)
        return sim_alloc_raw(&c->world,
                             sizeof(*m) + (is_large ? SIM_MESSAGE_BYTES_MAX : SMALL_BYTES));
    c->network.spare[is_large] = m->next;
    return m;
}

static uint64_t lives_of(const struct sim_cluster *c, uint8_t from)
{
    return c->keeper.started << 32 | (from < SIM_KEEPER ? c->node[from].started : 0);
}

static void dispatch(struct sim_cluster *c, const struct sim_message *m)
{
    struct sherd_bytes frame = {m->bytes, m->size};

    if (m->to >= SIM_DAEMON)
        sim_client_receive(&c->node[m->to - SIM_DAEMON].daemon, m->from, frame);
    else if (m->to >= SIM_CLIENT)
        sim_client_receive(&c->client[m->to - SIM_CLIENT], m->from, frame);
    else if (m->to == SIM_KEEPER && m->lives == lives_of(c, m->from))
        sim_keeper_receive(&c->keeper, m->from, frame);
    else if (m->to < SIM_KEEPER)
        sim_node_receive(&c->node[m->to], m->from, frame);
}

/* Who is paused reads its messages afterwards. */
static uint64_t frozen_until_us(const struct sim_cluster *c, uint8_t to)
{
    if (to >= SIM_DAEMON) return c->node[to - SIM_DAEMON].daemon.frozen_until_us;
    if (to >= SIM_CLIENT) return c->client[to - SIM_CLIENT].frozen_until_us;
    return to == SIM_KEEPER ? 0 : c->node[to].frozen_until_us;
}

static void deliver(void *context, uint64_t argument)
{
    struct sim_message *m = context;
    struct sim_cluster *c = m->cluster;
    uint64_t until_us = frozen_until_us(c, m->to);

    (void)argument;
    if (until_us > c->world.now_us) {
        sim_after(&c->world, until_us - c->world.now_us, deliver, m, 0);
        return;
    }
    c->counts->messages++;
    if (c->network.cut_until_us[machine_of(m->from)][machine_of(m->to)] <= c->world.now_us)
        dispatch(c, m);
    release(m);
}

static uint64_t delay_of(struct sim_cluster *c, const struct sim_message *m)
{
    const struct sim_weather *w = &c->weather;

    if (machine_of(m->from) == machine_of(m->to)) return 10;
    if (sim_bad_luck(c, w->late)) return sim_below(&c->world, w->late_us);
    return 20 + sim_below(&c->world, 2 * w->delay_us);
}

/* A connection delivers in order: what is late holds up what comes after it. */
static uint64_t in_order(struct sim_cluster *c, const struct sim_message *m, uint64_t delay_us)
{
    uint64_t *busy_until_us = &c->network.busy_until_us[m->from][m->to];
    uint64_t at_us = c->world.now_us + delay_us;

    if (at_us < *busy_until_us) at_us = *busy_until_us;
    *busy_until_us = at_us;
    return at_us - c->world.now_us;
}

static void post_one(struct sim_cluster *c, uint8_t from, uint8_t to,
                     const struct sherd_writer_buffer *bytes)
{
    struct sim_message *m = take(c, bytes->size);
    uint64_t delay_us = 0;

    *m = (struct sim_message){.cluster = c,
                              .is_large = bytes->size > SMALL_BYTES,
                              .from = from,
                              .to = to,
                              .lives = lives_of(c, from),
                              .size = bytes->size};
    memcpy(m->bytes, bytes->data, bytes->size);
    delay_us = delay_of(c, m);
    if (c->weather.sessions) delay_us = in_order(c, m, delay_us);
    sim_after(&c->world, delay_us, deliver, m, 0);
}

static bool is_lost(struct sim_cluster *c, uint8_t kind)
{
    const struct sim_weather *w = &c->weather;

    if (kind != 0 && kind == w->bad_kind && sim_bad_luck(c, w->bad)) return true;
    return sim_bad_luck(c, w->loss);
}

static void post(struct sim_cluster *c, uint8_t from, uint8_t to,
                 const struct sherd_writer_buffer *bytes, uint8_t kind)
{
    bool local = machine_of(from) == machine_of(to);
    bool once = kind == SHERD_PREPARE && !c->weather.sessions;

    if (kind == SHERD_FORGET && to == c->deaf) return;
    if (!local && is_lost(c, kind)) {
        c->counts->lost++;
        sim_trace(&c->world, "lost: %s from %s to %s", kind ? sim_message_name(kind) : "an answer",
                  sim_who(from).text, sim_who(to).text);
        return;
    }
    post_one(c, from, to, bytes);
    if (local || once || !sim_bad_luck(c, c->weather.repeat)) return;
    c->counts->repeated++;
    post_one(c, from, to, bytes);
}

void sim_send_request(struct sim_cluster *c, uint8_t from, uint8_t to,
                      const struct sherd_envelope *e, const struct sherd_request *r)
{
    uint8_t room[SIM_MESSAGE_BYTES_MAX];
    struct sherd_writer_buffer bytes = {room, 0, sizeof(room)};
    int rc = sherd_wire_put_envelope(&bytes, e);

    if (rc == 0) rc = sherd_wire_put_request(&bytes, r);
    SHERD_ASSERT(rc == 0);
    post(c, from, to, &bytes, r->kind);
}

void sim_send_answer(struct sim_cluster *c, uint8_t from, uint8_t to,
                     const struct sherd_envelope *e, const struct sherd_answer *a)
{
    uint8_t room[SIM_MESSAGE_BYTES_MAX];
    struct sherd_writer_buffer bytes = {room, 0, sizeof(room)};
    int rc = sherd_wire_put_envelope(&bytes, e);

    if (rc == 0) rc = sherd_wire_put_answer(&bytes, a);
    SHERD_ASSERT(rc == 0);
    post(c, from, to, &bytes, 0);
}
