#include "tests/simulation/weather.h"

static uint32_t pick(struct sim_world *w, const uint32_t *choices, size_t count)
{
    return choices[sim_below(w, count)];
}
#define PICK(w, ...) \
    pick(w, (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static struct sim_weather links(struct sim_world *w)
{
    return (struct sim_weather){
        .loss = PICK(w, 0, 0, 2000, 20000, 100000),
        .bad_kind = (uint8_t)PICK(w, 0, 0, 0, SHERD_PREPARE, SHERD_COMMIT, SHERD_COMMIT,
                                  SHERD_ABORT, SHERD_INSERT),
        .bad = PICK(w, 300000, 700000, 1000000),
        .repeat = PICK(w, 0, 30000),
        .late = PICK(w, 0, 5000, 50000, 200000),
        .delay_us = PICK(w, 50, 200, 2000, 8000),
        .late_us = PICK(w, 5000, 50000, 500000, 3000000),
        .cut = PICK(w, 0, 0, 2, 6),
        .halves = PICK(w, 0, 0, 0, 2, 4),
        .sessions = sim_below(w, 2),
    };
}

static void machines(struct sim_world *w, struct sim_weather *weather)
{
    weather->stop = PICK(w, 0, 0, 2, 6);
    weather->wipe = PICK(w, 0, 1, 3, 6);
    weather->pause = PICK(w, 0, 0, 0, 2, 4);
    weather->fill = PICK(w, 0, 0, 0, 0, 2);
    weather->full = PICK(w, 0, 0, 0, 20000, 200000);
    weather->no_memory = PICK(w, 0, 0, 0, 3000, 30000);
    weather->rot = PICK(w, 0, 0, 0, 100000, 1000000);
    weather->corrupt = PICK(w, 0, 0, 0, 20000, 200000);
    weather->keeper = PICK(w, 0, 0, 1, 3);
    weather->keeper_dies = PICK(w, 0, 0, 0, 300000);
    weather->keeper_slow = PICK(w, 0, 0, 0, 50000, 1000000);
    weather->skew_ms = PICK(w, 0, 0, 5, 2000);
    weather->jump = PICK(w, 0, 0, 0, 0, 2);
    weather->jump_ms = PICK(w, 500, 5000, 28000);
}

static void people(struct sim_world *w, struct sim_weather *weather)
{
    weather->freeze = PICK(w, 0, 0, 2);
    weather->die = PICK(w, 0, 0, 2, 8);
    weather->quorum = PICK(w, 0, 0, 200000, 1000000);
    weather->gap_us = PICK(w, 200, 2000, 10000, 60000);
    weather->fault_us = PICK(w, 5000, 20000, 100000, 400000);
    weather->gentle = sim_below(w, 3) != 0;
}

static void turn_off(struct sim_weather *w, uint32_t kinds)
{
#define X(name, unit, text) \
    if (kinds >> SIM_WEATHER_##name & 1) w->name = 0;
    SIM_WEATHER_MAP(X)
#undef X
}

void sim_weather_draw(struct sim_cluster *c, unsigned storm)
{
    struct sim_world *w = &c->world;
    uint64_t saved = sim_enter(w, SIM_STREAM_WEATHER + storm);

    c->weather = links(w);
    machines(w, &c->weather);
    people(w, &c->weather);
    c->weather.rotten = (uint8_t)sim_below(w, c->nodes);
    /* Without any ABORT, failed attempts pile up until a node has no place for the one that
     * decides. */
    if (c->weather.bad_kind == SHERD_ABORT && c->weather.bad > 700000) c->weather.bad = 700000;
    if (storm != 0) c->weather.sessions = c->node[0].sessions != NULL;
    c->vacate_ms = PICK(w, 30000, 30000, 1500, 4000);
    c->weather.damage = PICK(w, 0, 0, 2, 6);
    sim_leave(w, saved);
    if (c->config.skips) turn_off(&c->weather, c->config.skips->weather);
}

void sim_weather_trace(const struct sim_cluster *c)
{
#define X(name, unit, text) \
    if (c->weather.name) sim_trace(&c->world, "weather: %s: %u %s", text, c->weather.name, unit);
    SIM_WEATHER_MAP(X)
#undef X
    sim_trace(&c->world, "weather: messages take up to %u us%s, late ones up to %u us; %s",
              (unsigned)(2 * c->weather.delay_us + 20),
              c->weather.sessions ? " and keep order" : "", (unsigned)c->weather.late_us,
              c->weather.sessions ? "sessions are checked" : "no PREPARE comes twice");
}
