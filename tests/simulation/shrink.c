#include "tests/simulation/shrink.h"

#include <string.h>

enum { RUNS_MAX = 4000, JITTERS = 4 };

struct shrink {
    struct sim_cluster *c;
    struct sim_config config;
    const char *kind; /* of the failure that must stay */
    struct sim_skips best;
    uint32_t runs;
};

static bool run(struct shrink *s, const struct sim_skips *skips)
{
    struct sim_counts counts = {0}; /* of no interest */

    s->config.skips = skips;
    s->runs++;
    sim_cluster_run(s->c, &s->config, &counts);
    return s->c->world.failed && s->c->world.failure_kind == s->kind;
}

/* Whether it still fails with these left out; then they stay out. */
static bool try(struct shrink *s, struct sim_skips *skips)
{
    uint64_t jitters[JITTERS] = {s->best.jitter};

    for (uint64_t i = 1; i < JITTERS; i++)
        jitters[i] = i * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < JITTERS && s->runs < RUNS_MAX; i++) {
        skips->jitter = jitters[i];
        if (!run(s, skips)) continue;
        s->best = *skips;
        return true;
    }
    return false;
}

static bool shrink_weather(struct shrink *s)
{
    bool better = false;

    for (unsigned i = 0; i < SIM_WEATHER_COUNT; i++) {
        struct sim_skips skips = s->best;
        if (skips.weather >> i & 1) continue;
        skips.weather |= UINT32_C(1) << i;
        better = try(s, &skips) || better;
    }
    return better;
}

static uint32_t left_of(const uint64_t *bits, uint32_t count)
{
    uint32_t left = 0;

    for (uint32_t i = 0; i < count && i < SIM_SKIPS_MAX; i++)
        left += !sim_has_bit(bits, i);
    return left;
}

enum list { CALLS, FAULTS };

static uint64_t *bits_of(struct sim_skips *skips, enum list list)
{
    return list == CALLS ? skips->calls : skips->faults;
}

/* Leaves out `size` of what is left, from the i-th on; returns where it ended. */
static uint32_t leave_out(uint64_t *bits, uint32_t from, uint32_t count, uint32_t size)
{
    uint32_t i = from;

    for (; i < count && size > 0; i++) {
        if (sim_has_bit(bits, i)) continue;
        bits[i / 64] |= UINT64_C(1) << i % 64;
        size--;
    }
    return i;
}

/* In pieces of half of what is left, of a quarter, ... of one. */
static bool shrink_list(struct shrink *s, enum list list, uint32_t count)
{
    bool better = false;

    if (count > SIM_SKIPS_MAX) count = SIM_SKIPS_MAX;
    for (uint32_t size = left_of(bits_of(&s->best, list), count); size > 0; size /= 2) {
        for (uint32_t at = 0; at < count && s->runs < RUNS_MAX;) {
            struct sim_skips skips = s->best;
            at = leave_out(bits_of(&skips, list), at, count, size);
            better = try(s, &skips) || better;
        }
    }
    return better;
}

/* The schedule as it is, and what of it never came to anything. */
static void learn(struct shrink *s)
{
    run(s, NULL);
    s->kind = s->c->world.failure_kind;
    s->best.call_count = s->c->call_count;
    s->best.fault_count = s->c->fault_count;
    memcpy(s->best.begun, s->c->begun, sizeof(s->best.begun));
    for (size_t i = 0; i < SIM_SKIPS_MAX / 64; i++)
        s->best.calls[i] = ~s->best.begun[i];
}

void sim_shrink(struct sim_cluster *c, const struct sim_config *config, struct sim_shrunk *out)
{
    struct shrink s = {.c = c, .config = *config};
    bool better = true;

    s.config.trace = false;
    s.config.quiet = true;
    learn(&s);
    *out = (struct sim_shrunk){.calls_before = left_of(s.best.calls, s.best.call_count),
                               .faults_before = s.best.fault_count};
    while (better && s.runs < RUNS_MAX) {
        better = shrink_weather(&s);
        better = shrink_list(&s, FAULTS, s.best.fault_count) || better;
        better = shrink_list(&s, CALLS, s.best.call_count) || better;
    }
    out->skips = s.best;
    out->runs = s.runs;
    out->calls = left_of(s.best.calls, s.best.call_count);
    out->faults = left_of(s.best.faults, s.best.fault_count);
}
