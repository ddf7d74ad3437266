/* bench.h - what every command of sherd-bench shares: options, clock, reports.
 *
 * A command's run() returns the exit code of the process. Whoever finds a mistake reports it in one
 * line on stderr and returns the code; callers only pass it on. Rates are decimal: 1 MB = 10^6. */
#ifndef SHERD_BENCH_BENCH_H
#define SHERD_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

enum bench_exit {
    BENCH_OK = 0,
    BENCH_FAILED = 1, /* operations failed, data was wrong, or a rebuild did not end */
    BENCH_USAGE = 2,
    BENCH_ENVIRONMENT = 6, /* no cluster, no memory, no `sherd` executable */
};

struct bench_options {
    bool json, help, set, get;
    const char *dir, *conf, *sherd, *code; /* NULL: not given */
    uint64_t size, key, count, depth, threads, runs, timeout_ms;
    uint64_t warmup, mix; /* BENCH_NOT_GIVEN: not given */
    uint64_t node, servers, batch, record, answer;
    uint64_t cell_ms;
};

#define BENCH_NOT_GIVEN UINT64_MAX

enum bench_option {
    BENCH_JSON,
    BENCH_HELP,
    BENCH_DIR,
    BENCH_CONF,
    BENCH_SIZE,
    BENCH_KEY,
    BENCH_COUNT,
    BENCH_DEPTH,
    BENCH_THREADS,
    BENCH_RUNS,
    BENCH_WARMUP,
    BENCH_TIMEOUT,
    BENCH_SET,
    BENCH_GET,
    BENCH_MIX,
    BENCH_NODE,
    BENCH_SHERD,
    BENCH_CODE,
    BENCH_CELL,
    BENCH_SERVERS,
    BENCH_BATCH,
    BENCH_RECORD,
    BENCH_ANSWER,
};

#define BENCH_TAKES(option) (UINT64_C(1) << BENCH_##option)

struct bench_command {
    const char *name, *summary;
    const char *help; /* what the options' lines cannot say, and examples */
    uint64_t options; /* BENCH_TAKES() of what it takes besides --json and --help */
    int (*run)(const struct bench_options *options);
};

extern const struct bench_command bench_load, bench_rebuild, bench_held, bench_resp, bench_codec,
    bench_ceiling;

/* Reads the options of `command` from argv[1..]. 0, or an exit code. */
int bench_options_parse(const struct bench_command *command, int argc, char **argv,
                        struct bench_options *out);

/* The lines of --help for a set of options. */
void bench_options_print(uint64_t options);

/* "4+2" -> 4, 2. False: not a code of at most 32 shards. */
bool bench_parse_code(const char *text, unsigned *k, unsigned *m);

/* "sherd-bench: ..." on stderr, one line. Returns `code`. */
__attribute__((format(printf, 2, 3))) int bench_fail(int code, const char *format, ...);

uint64_t bench_now_ns(void); /* monotonic */
uint64_t bench_cpu_ns(void); /* processor time of this process, all threads */
void bench_sleep_ms(unsigned ms);

/* Which of `count` numbers is the median: its index. For an even count the lower middle one. */
size_t bench_median(const double *numbers, size_t count);

#endif
