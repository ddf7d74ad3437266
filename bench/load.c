/* load.c - sherd-bench load: how many operations a second, and how long each takes. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/cluster.h"
#include "bench/workers.h"

/* One workload, repeated. */
struct series {
    struct bench_work work;
    struct bench_tally *runs;
    double *rates; /* operations a second that ended well, of each run */
    size_t count, median;
};

static double rate_of(const struct bench_tally *t)
{
    return (double)t->latency.total / bench_tally_seconds(t);
}

static double megabytes(const struct series *s, double rate)
{
    return rate * (double)s->work.size / 1e6;
}

static double microseconds(const struct bench_tally *t, double quantile)
{
    return (double)bench_histogram_quantile(&t->latency, quantile) / 1e3;
}

static uint64_t reissued(const struct series *s)
{
    uint64_t count = 0;

    for (size_t i = 0; i < s->count; i++)
        count += s->runs[i].reissued;
    return count;
}

static void print_text(const struct series *s)
{
    const struct bench_tally *t = &s->runs[s->median];

    printf("%s, %zu bytes, %" PRIu64 " keys, depth %u, threads %u: median of %zu runs\n",
           s->work.name, s->work.size, s->work.count, s->work.depth, s->work.threads, s->count);
    printf("  %.0f ops/s  %.1f MB/s  (runs:", s->rates[s->median],
           megabytes(s, s->rates[s->median]));
    for (size_t i = 0; i < s->count; i++)
        printf(" %.0f", s->rates[i]);
    printf(")\n  latency us: p50 %.0f  p99 %.0f  p99.9 %.0f  max %.0f   client: %.2f us/op\n",
           microseconds(t, 0.5), microseconds(t, 0.99), microseconds(t, 0.999),
           (double)t->latency.max / 1e3, (double)t->cpu_ns / 1e3 / (double)t->operations);
    if (reissued(s) != 0)
        printf("  %" PRIu64 " sets of all runs ended UNCERTAIN and were submitted anew\n",
               reissued(s));
    fflush(stdout);
}

static json_t *failures_json(const struct series *s)
{
    json_t *out = json_object();
    uint64_t counts[SHERD_OUTCOME_COUNT] = {0}, wrong = 0;

    for (size_t run = 0; run < s->count; run++) {
        wrong += s->runs[run].wrong;
        for (unsigned i = 0; i < SHERD_OUTCOME_COUNT; i++)
            counts[i] += s->runs[run].outcomes[i];
    }
    for (unsigned i = 0; i < SHERD_OUTCOME_COUNT; i++)
        if (i != SHERD_OK && counts[i] != 0)
            json_object_set_new(out, sherd_outcome_name(i), json_integer((json_int_t)counts[i]));
    if (wrong != 0) json_object_set_new(out, "wrong_data", json_integer((json_int_t)wrong));
    return out;
}

static void print_json(const struct series *s)
{
    const struct bench_tally *t = &s->runs[s->median];
    json_t *rates = json_array();
    json_t *out;

    for (size_t i = 0; i < s->count; i++)
        json_array_append_new(rates, json_real(s->rates[i]));
    out = json_pack("{s:s,s:I,s:I,s:i,s:i,s:f,s:f,s:o,s:{s:f,s:f,s:f,s:f},s:f,s:I,s:o}", "workload",
                    s->work.name, "size", (json_int_t)s->work.size, "count",
                    (json_int_t)s->work.count, "depth", (int)s->work.depth, "threads",
                    (int)s->work.threads, "ops_s", s->rates[s->median], "mb_s",
                    megabytes(s, s->rates[s->median]), "runs_ops_s", rates, "latency_us", "p50",
                    microseconds(t, 0.5), "p99", microseconds(t, 0.99), "p99_9",
                    microseconds(t, 0.999), "max", (double)t->latency.max / 1e3, "client_cpu_us_op",
                    (double)t->cpu_ns / 1e3 / (double)t->operations, "reissued",
                    (json_int_t)reissued(s), "failures", failures_json(s));
    json_dumpf(out, stdout, JSON_COMPACT | JSON_REAL_PRECISION(8));
    putchar('\n');
    fflush(stdout);
    json_decref(out);
}

static int run_all(struct series *s)
{
    int code = 0;

    for (size_t i = 0; i < s->count; i++) {
        int rc = bench_workers_run(&s->work, &s->runs[i]);
        if (rc != 0) return rc;
        s->work.seed += s->work.threads;
        s->rates[i] = rate_of(&s->runs[i]);
        rc = bench_tally_report_failures(&s->work, &s->runs[i]);
        if (rc != 0) code = rc;
    }
    s->median = bench_median(s->rates, s->count);
    return code;
}

static int run_series(const struct bench_options *o, const char *conf, const char *name,
                      unsigned read_share)
{
    struct series s = {.count = (size_t)o->runs};
    int code;

    s.work = (struct bench_work){
        .conf = conf,
        .name = name,
        .read_share = read_share,
        .size = (size_t)o->size,
        .key_size = (size_t)o->key,
        .count = o->count,
        .warmup = o->warmup == BENCH_NOT_GIVEN ? o->count / 10 : o->warmup,
        .depth = (unsigned)o->depth,
        .threads = (unsigned)o->threads,
        .timeout_ms = (uint32_t)o->timeout_ms,
        .seed = bench_now_ns(),
    };
    s.runs = calloc(s.count, sizeof(*s.runs));
    s.rates = calloc(s.count, sizeof(*s.rates));
    if (s.runs == NULL || s.rates == NULL)
        code = bench_fail(BENCH_ENVIRONMENT, "no memory");
    else
        code = run_all(&s);
    if (code == BENCH_OK || code == BENCH_FAILED) (o->json ? print_json : print_text)(&s);
    free(s.runs);
    free(s.rates);
    return code;
}

static int run(const struct bench_options *o)
{
    bool plain = !o->set && !o->get && o->mix == BENCH_NOT_GIVEN; /* then: set, and get */
    char conf[BENCH_PATH_SIZE];
    char mix[32];
    int code = bench_cluster_conf(o, conf), worst = 0;

    if (code != 0) return code;
    if (o->set || plain) worst = run_series(o, conf, "set", 0);
    if (worst <= BENCH_FAILED && (o->get || plain)) {
        code = run_series(o, conf, "get", 100);
        worst = code > worst ? code : worst;
    }
    if (worst <= BENCH_FAILED && o->mix != BENCH_NOT_GIVEN) {
        snprintf(mix, sizeof(mix), "mix %u", (unsigned)o->mix);
        code = run_series(o, conf, mix, (unsigned)o->mix);
        worst = code > worst ? code : worst;
    }
    return worst;
}

const struct bench_command bench_load = {
    .name = "load",
    .summary = "operations a second and their latency, on a running cluster",
    .help =
        "Workloads given together run one after the other, --set first; none: --set and --get.\n"
        "Latency is from sherd_submit to the callback, of the run with the median rate.\n\n"
        "  sherd-bench load --dir /tmp/six --size 1KiB --count 200000 --depth 64\n"
        "  sherd-bench load --dir /tmp/six --size 1MiB --count 1000 --depth 16 --get\n",
    .options = BENCH_TAKES(DIR) | BENCH_TAKES(CONF) | BENCH_TAKES(SIZE) | BENCH_TAKES(KEY) |
               BENCH_TAKES(COUNT) | BENCH_TAKES(DEPTH) | BENCH_TAKES(THREADS) | BENCH_TAKES(RUNS) |
               BENCH_TAKES(WARMUP) | BENCH_TAKES(TIMEOUT) | BENCH_TAKES(SET) | BENCH_TAKES(GET) |
               BENCH_TAKES(MIX),
    .run = run,
};
