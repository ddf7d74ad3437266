/* options.c - the command line: a table of options, shared by all commands. */
#include <bsd/stdlib.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/values.h"

enum kind { FLAG, TEXT, NUMBER, SIZE };

enum {
    COUNT_MAX = 1000000000,
    DEPTH_MAX = 65536,
    THREADS_MAX = 64,
    RUNS_MAX = 99,
    TIMEOUT_MS_MAX = 600000,
    VALUE_MAX = 4 << 20,
    NODE_MAX = 255,
    SERVERS_MAX = 32,
    BATCH_MAX = 4096,
    CELL_MS_MAX = 10000,
};

#define FIELD(name) offsetof(struct bench_options, name)

/* Formatted by hand: clang-format would align the columns beyond 100. */
/* clang-format off */
static const struct row {
    const char *name;
    enum kind kind;
    size_t field;
    uint64_t min, max;
    const char *argument, *help;
} rows[] = {
    [BENCH_JSON] = {"json", FLAG, FIELD(json), 0, 0, "", "JSON instead of text"},
    [BENCH_HELP] = {"help", FLAG, FIELD(help), 0, 0, "", "this"},
    [BENCH_DIR] = {"dir", TEXT, FIELD(dir), 0, 0, "DIR", "the local cluster that lives in DIR"},
    [BENCH_CONF] = {"conf", TEXT, FIELD(conf), 0, 0, "FILE",
                    "the cluster that FILE describes (default: $SHERD_CONF)"},
    [BENCH_SIZE] = {"size", SIZE, FIELD(size), 0, VALUE_MAX, "SIZE", "of a value (default: 1KiB)"},
    [BENCH_KEY] = {"key", NUMBER, FIELD(key), BENCH_KEY_SIZE_MIN, BENCH_KEY_SIZE_MAX, "BYTES",
                   "of a key (default: 16)"},
    [BENCH_COUNT] = {"count", NUMBER, FIELD(count), 1, COUNT_MAX, "N",
                     "keys, and operations of a run (default: 100000)"},
    [BENCH_DEPTH] = {"depth", NUMBER, FIELD(depth), 1, DEPTH_MAX, "N",
                     "operations in flight, of each thread (default: 64)"},
    [BENCH_THREADS] = {"threads", NUMBER, FIELD(threads), 1, THREADS_MAX, "N",
                       "threads, each with a client of its own (default: 1)"},
    [BENCH_RUNS] = {"runs", NUMBER, FIELD(runs), 1, RUNS_MAX, "N",
                    "repeat, and report the median run (default: 5)"},
    [BENCH_WARMUP] = {"warmup", NUMBER, FIELD(warmup), 0, COUNT_MAX, "N",
                      "operations before each run, not counted (default: a tenth of --count)"},
    [BENCH_TIMEOUT] = {"timeout", NUMBER, FIELD(timeout_ms), 1, TIMEOUT_MS_MAX, "MS",
                       "deadline of an operation (default: 5000)"},
    [BENCH_SET] = {"set", FLAG, FIELD(set), 0, 0, "", "write each key once, in order"},
    [BENCH_GET] = {"get", FLAG, FIELD(get), 0, 0, "", "read keys at random; they must be there"},
    [BENCH_MIX] = {"mix", NUMBER, FIELD(mix), 0, 100, "PERCENT",
                   "so many per cent reads, the rest writes, keys at random"},
    [BENCH_NODE] = {"node", NUMBER, FIELD(node), 0, NODE_MAX, "N",
                    "the node that is killed and rebuilt (default: 1)"},
    [BENCH_SHERD] = {"sherd", TEXT, FIELD(sherd), 0, 0, "FILE",
                     "the executable that kills and starts nodes (default: ours, else of $PATH)"},
    [BENCH_CODE] = {"code", TEXT, FIELD(code), 0, 0, "K+M", "only this code (default: several)"},
    [BENCH_CELL] = {"cell", NUMBER, FIELD(cell_ms), 1, CELL_MS_MAX, "MS",
                    "time spent on each figure (default: 200)"},
    [BENCH_SERVERS] = {"servers", NUMBER, FIELD(servers), 1, SERVERS_MAX, "N",
                       "echo servers (default: 6)"},
    [BENCH_BATCH] = {"batch", NUMBER, FIELD(batch), 1, BATCH_MAX, "N",
                     "records of one message (default: 16)"},
    [BENCH_RECORD] = {"record", SIZE, FIELD(record), 1, VALUE_MAX, "SIZE",
                      "of a record with a shard (default: 330)"},
    [BENCH_ANSWER] = {"answer", SIZE, FIELD(answer), 1, VALUE_MAX, "SIZE",
                      "of a record without one (default: 40)"},
};
/* clang-format on */

enum { FIRST_LONG = 256 }; /* what getopt_long answers for rows[0] */

int bench_fail(int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("sherd-bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return code;
}

static bool parse_number(const char *text, size_t digits, uint64_t *out)
{
    char copy[20];
    const char *error = NULL;

    if (digits == 0 || digits >= sizeof(copy)) return false;
    memcpy(copy, text, digits);
    copy[digits] = '\0';
    *out = (uint64_t)strtonum(copy, 0, INT64_MAX, &error);
    return error == NULL;
}

static bool parse_size(const char *text, uint64_t *out)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB"};
    size_t digits = strspn(text, "0123456789");

    if (!parse_number(text, digits, out)) return false;
    for (unsigned i = 0; i < LEN(units); i++) {
        if (strcmp(text + digits, units[i]) != 0) continue;
        if (*out > (uint64_t)INT64_MAX >> (10 * i)) return false;
        *out <<= 10 * i;
        return true;
    }
    return false;
}

bool bench_parse_code(const char *text, unsigned *k, unsigned *m)
{
    size_t left = strspn(text, "0123456789");
    uint64_t data = 0, parity = 0;

    if (!parse_number(text, left, &data) || text[left] != '+') return false;
    text += left + 1;
    if (!parse_number(text, strlen(text), &parity) || strspn(text, "0123456789") != strlen(text))
        return false;
    if (data < 1 || data > 32 || parity > 32 - data) return false;
    *k = (unsigned)data;
    *m = (unsigned)parity;
    return true;
}

static int take(const struct row *row, const char *text, struct bench_options *out)
{
    void *field = (char *)out + row->field;
    uint64_t number = 0;
    bool good = true;

    switch (row->kind) {
    case FLAG: *(bool *)field = true; return 0;
    case TEXT: *(const char **)field = text; return 0;
    case SIZE: good = parse_size(text, &number); break;
    case NUMBER:
        good =
            strspn(text, "0123456789") == strlen(text) && parse_number(text, strlen(text), &number);
        break;
    }
    if (!good || number < row->min || number > row->max)
        return bench_fail(BENCH_USAGE, "--%s must be a %s from %llu to %llu, not '%.60s'",
                          row->name, row->kind == SIZE ? "size" : "number",
                          (unsigned long long)row->min, (unsigned long long)row->max, text);
    *(uint64_t *)field = number;
    return 0;
}

static void make_long_options(struct option out[LEN(rows) + 1])
{
    memset(out, 0, (LEN(rows) + 1) * sizeof(*out));
    for (size_t i = 0; i < LEN(rows); i++)
        out[i] =
            (struct option){rows[i].name, rows[i].kind == FLAG ? no_argument : required_argument,
                            NULL, FIRST_LONG + (int)i};
}

int bench_options_parse(const struct bench_command *command, int argc, char **argv,
                        struct bench_options *out)
{
    struct option longs[LEN(rows) + 1];
    uint64_t takes = command->options | BENCH_TAKES(JSON) | BENCH_TAKES(HELP);
    int answer;

    *out = (struct bench_options){.size = 1024,
                                  .key = BENCH_KEY_SIZE_MIN,
                                  .count = 100000,
                                  .depth = 64,
                                  .threads = 1,
                                  .runs = 5,
                                  .timeout_ms = 5000,
                                  .warmup = BENCH_NOT_GIVEN,
                                  .mix = BENCH_NOT_GIVEN,
                                  .node = 1,
                                  .servers = 6,
                                  .batch = 16,
                                  .record = 330,
                                  .answer = 40,
                                  .cell_ms = 200};
    make_long_options(longs);
    opterr = 0;
    while ((answer = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
        int code;
        if (answer < FIRST_LONG)
            return bench_fail(BENCH_USAGE, "'%.60s' %s; see sherd-bench %s --help",
                              argv[optind - 1], answer == ':' ? "needs a value" : "is no option",
                              command->name);
        if ((takes >> (answer - FIRST_LONG) & 1) == 0)
            return bench_fail(BENCH_USAGE, "%s takes no --%s", command->name,
                              rows[answer - FIRST_LONG].name);
        code = take(&rows[answer - FIRST_LONG], optarg, out);
        if (code != 0) return code;
    }
    if (optind < argc) return bench_fail(BENCH_USAGE, "'%.60s' is one word too many", argv[optind]);
    return 0;
}

void bench_options_print(uint64_t options)
{
    char left[48];

    for (size_t i = 0; i < LEN(rows); i++) {
        if ((options >> i & 1) == 0) continue;
        snprintf(left, sizeof(left), "--%s %s", rows[i].name, rows[i].argument);
        printf("  %-18s %s\n", left, rows[i].help);
    }
}
