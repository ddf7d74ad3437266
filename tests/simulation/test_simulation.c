/* test_simulation.c - many schedules of a whole cluster under faults, and the judgement of each.
 *
 * Usage: test_simulation [--seed N] [--runs N] [--code k+m] [--trace] [--break NAME[,NAME]]
 * A failing schedule prints its seed, and the command that replays it alone. With --break, finding
 * the mistake is success. SHERD_SIMULATION_PERCENT scales --runs, for builds that are slow. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/cluster.h"

struct options {
    uint64_t seed, runs;
    unsigned k, m;
    uint32_t breaks;
    bool trace;
    const char *break_text;
};

static const char *const break_names[] = {
#define X(name, text) #name,
    SIM_BREAK_MAP(X)
#undef X
};

static int usage(void)
{
    fprintf(stderr, "usage: test_simulation [--seed N] [--runs N] [--code k+m] [--trace]\n"
                    "                       [--break NAME[,NAME]]\nbreaks:\n");
#define X(name, text) fprintf(stderr, "  %-18s %s\n", #name, text);
    SIM_BREAK_MAP(X)
#undef X
    return 2;
}

static bool parse_breaks(const char *text, uint32_t *breaks)
{
    while (*text) {
        size_t size = strcspn(text, ",");
        size_t i = 0;
        while (i < SIM_BREAK_COUNT &&
               (strlen(break_names[i]) != size || strncmp(break_names[i], text, size) != 0))
            i++;
        if (i == SIM_BREAK_COUNT) return false;
        *breaks |= UINT32_C(1) << i;
        text += size;
        text += *text == ',';
    }
    return true;
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {
        {"seed",  required_argument, NULL, 's'},
        {"runs",  required_argument, NULL, 'r'},
        {"code",  required_argument, NULL, 'c'},
        {"trace", no_argument,       NULL, 't'},
        {"break", required_argument, NULL, 'b'},
        {NULL,    0,                 NULL, 0  }
    };
    const char *percent = getenv("SHERD_SIMULATION_PERCENT");
    int c = 0;

    *o = (struct options){.seed = 1, .runs = 1000, .k = 4, .m = 2};
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (c == 's') o->seed = strtoull(optarg, NULL, 10);
        if (c == 'r') o->runs = strtoull(optarg, NULL, 10);
        if (c == 't') o->trace = true;
        if (c == 'b') o->break_text = optarg;
        if (c == '?' || (c == 'b' && !parse_breaks(optarg, &o->breaks))) return false;
        if (c == 'c' && sscanf(optarg, "%u+%u", &o->k, &o->m) != 2) return false;
    }
    if (percent && o->runs > 1) o->runs = o->runs * strtoull(percent, NULL, 10) / 100 + 1;
    return optind == argc && o->k >= 1 && o->k + o->m <= SIM_SLOTS_MAX;
}

static void print_counts(const struct sim_counts *n, const struct options *o)
{
    printf("%u+%u: %" PRIu64 " schedules, %" PRIu64 " events, %" PRIu64 " messages, %" PRIu64
           " maps, %" PRIu64 " losses of state, %" PRIu64 " stops, %" PRIu64 " cuts, %" PRIu64
           " clients died; %" PRIu64 " values lost, %" PRIu64 " tombstones gone, %" PRIu64
           " histories too hard\n  %" PRIu64 " calls:",
           o->k, o->m, n->schedules, n->events, n->messages, n->epochs, n->wipes, n->stops, n->cuts,
           n->died, n->lost_markers, n->forgotten, n->too_hard, n->calls);
    for (int i = 0; i < SHERD_OUTCOME_COUNT; i++)
        if (n->outcomes[i])
            printf(" %s %" PRIu64, sherd_outcome_name((enum sherd_outcome)i), n->outcomes[i]);
    putchar('\n');
}

static void explain(const struct sim_cluster *c, const struct options *o)
{
    printf("FAILED: seed %" PRIu64 ": %s\n  replay: test_simulation --code %u+%u --seed %" PRIu64
           " --runs 1 --trace%s%s\n",
           c->config.seed, c->world.failure, o->k, o->m, c->config.seed,
           o->break_text ? " --break " : "", o->break_text ? o->break_text : "");
}

/* Runs the schedules; returns whether one failed. */
static bool run(const struct options *o, struct sherd_ecc *ecc, struct sim_counts *counts)
{
    struct sim_cluster *c = calloc(1, sizeof(*c));
    struct history_checker *checker = history_checker_new(1 << 22);
    bool failed = false;

    SHERD_ASSERT(c != NULL);
    for (uint64_t i = 0; i < o->runs && !failed; i++) {
        struct sim_config config = {.seed = o->seed + i,
                                    .k = (uint8_t)o->k,
                                    .m = (uint8_t)o->m,
                                    .breaks = o->breaks,
                                    .trace = o->trace,
                                    .ecc = ecc,
                                    .checker = checker};
        sim_cluster_run(c, &config, counts);
        failed = c->world.failed;
        if (failed) explain(c, o);
        sim_cluster_fini(c);
    }
    history_checker_free(checker);
    free(c);
    return failed;
}

int main(int argc, char **argv)
{
    struct options o;
    struct sim_counts counts = {0};
    struct sherd_ecc *ecc = NULL;
    bool failed = false;

    if (!parse(argc, argv, &o)) return usage();
    if (sherd_ecc_new(o.k, o.m, &ecc) < 0) return usage();
    failed = run(&o, ecc, &counts);
    print_counts(&counts, &o);
    sherd_ecc_free(ecc);
    if (o.breaks == 0) return failed;
    printf("%s: %s\n", o.break_text, failed ? "found" : "NOT FOUND");
    return !failed;
}
