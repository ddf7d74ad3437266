/* test_simulation.c - many schedules of a whole cluster under faults, and the judgement of each.
 *
 * Usage: test_simulation [--seed N] [--runs N] [--code k+m] [--trace] [--shrink]
 * A failing schedule prints its seed and the command that replays it alone, and is then made short
 * and told as a story (--shrink does that for a schedule that is known to fail).
 * SHERD_SIMULATION_PERCENT scales --runs, for builds that are slow; SHERD_SIMULATION_NO_STORY
 * leaves the story out. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/simulation/shrink.h"

enum { RUNS_MAX = 1 << 30 };

struct options {
    uint64_t seed, runs;
    unsigned k, m;
    bool trace, shrink;
};

static int usage(FILE *to)
{
    fprintf(to, "usage: test_simulation [--seed N] [--runs N] [--code k+m] [--trace] [--shrink]\n");
    return to == stdout ? 0 : 2;
}

static bool parse_number(const char *text, uint64_t *out)
{
    char *end = NULL;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0';
}

static bool parse_code(const char *text, struct options *o)
{
    int end = 0;

    if (text[strspn(text, "0123456789+")] != '\0') return false; /* %u takes signs and blanks */
    return sscanf(text, "%2u+%2u%n", &o->k, &o->m, &end) == 2 && text[end] == '\0';
}

static bool parse_option(int c, struct options *o)
{
    switch (c) {
    case 's': return parse_number(optarg, &o->seed);
    case 'r': return parse_number(optarg, &o->runs);
    case 'c': return parse_code(optarg, o);
    case 't': return o->trace = true;
    case 'k': return o->shrink = true;
    default: return false;
    }
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {
        {"seed",   required_argument, NULL, 's'},
        {"runs",   required_argument, NULL, 'r'},
        {"code",   required_argument, NULL, 'c'},
        {"trace",  no_argument,       NULL, 't'},
        {"shrink", no_argument,       NULL, 'k'},
        {NULL,     0,                 NULL, 0  }
    };
    const char *percent = getenv("SHERD_SIMULATION_PERCENT");
    uint64_t percents = 100;
    int c = 0;

    *o = (struct options){.seed = 1, .runs = 1000, .k = 4, .m = 2};
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
        if (!parse_option(c, o)) return false;
    if (percent && (!parse_number(percent, &percents) || percents > 10000)) return false;
    if (o->runs < 1 || o->runs > RUNS_MAX) return false;
    if (percent && o->runs > 1) o->runs = o->runs * percents / 100 + 1;
    return optind == argc && o->k >= 1 && o->k <= SIM_SLOTS_MAX && o->m <= SIM_SLOTS_MAX &&
           o->k + o->m <= SIM_SLOTS_MAX;
}

static void print_counts(const struct sim_counts *n, const struct options *o)
{
    const char *comma = "";

    printf("%u+%u: ", o->k, o->m);
#define X(name, text)                                  \
    if (n->name) {                                     \
        printf("%s%" PRIu64 " " text, comma, n->name); \
        comma = ", ";                                  \
    }
    SIM_COUNT_MAP(X)
#undef X
    printf("\n  outcomes:");
    for (int i = 0; i < SHERD_OUTCOME_COUNT; i++)
        if (n->outcomes[i])
            printf(" %s %" PRIu64, sherd_outcome_name((enum sherd_outcome)i), n->outcomes[i]);
    printf("\n  %.0f schedules a second of processor time\n",
           (double)n->schedules * CLOCKS_PER_SEC / (double)(clock() + 1));
}

static void explain(const struct sim_cluster *c, const struct options *o)
{
    printf("FAILED: seed %" PRIu64 ": %s\n  replay: test_simulation --code %u+%u --seed %" PRIu64
           " --runs 1 --trace\n",
           c->config.seed, c->world.failure, o->k, o->m, c->config.seed);
}

/* The same failure with as little as possible, told event by event. */
static void tell_story(struct sim_cluster *c, struct sim_config config)
{
    struct sim_shrunk shrunk;

    sim_shrink(c, &config, &shrunk);
    printf("shrunk in %u runs to %u calls of %u and %u faults of %u; again: the same with "
           "--shrink. The story:\n",
           shrunk.runs, shrunk.calls, shrunk.calls_before, shrunk.faults, shrunk.faults_before);
    config.trace = true;
    config.skips = &shrunk.skips;
    sim_cluster_run(c, &config, &(struct sim_counts){0});
}

/* Runs the schedules; returns whether one failed. */
static bool run(const struct options *o, struct sherd_ecc *ecc, struct sim_counts *counts)
{
    bool tell = o->shrink || (!o->trace && !getenv("SHERD_SIMULATION_NO_STORY"));
    struct sim_cluster *c = calloc(1, sizeof(*c));
    struct history_checker *checker = history_checker_new(1 << 22);
    bool failed = false;

    SHERD_ASSERT(c != NULL && checker != NULL);
    for (uint64_t i = 0; i < o->runs && !failed; i++) {
        struct sim_config config = {.seed = o->seed + i,
                                    .k = (uint8_t)o->k,
                                    .m = (uint8_t)o->m,
                                    .trace = o->trace,
                                    .ecc = ecc,
                                    .checker = checker};
        sim_cluster_run(c, &config, counts);
        failed = c->world.failed;
        if (failed) explain(c, o);
        if (failed && tell) tell_story(c, config);
    }
    if (o->shrink && !failed) printf("nothing failed, so there is no story to tell\n");
    sim_cluster_fini(c);
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

    if (argc == 2 && strcmp(argv[1], "--help") == 0) return usage(stdout);
    if (!parse(argc, argv, &o)) return usage(stderr);
    if (sherd_ecc_new(o.k, o.m, &ecc) < 0) return usage(stderr);
    failed = run(&o, ecc, &counts);
    print_counts(&counts, &o);
    sherd_ecc_free(ecc);
    /* What nobody could read is no proof. */
    return failed || fflush(stdout) != 0 || ferror(stdout);
}
