#include <bsd/stdlib.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/conf.h"

enum kind { FLAG, TEXT, NUMBER, SIZE };

#define FIELD(name) offsetof(struct cli_options, name)

enum { TIMEOUT_MS_MAX = 600000, WAIT_S_MAX = 86400, SHORT_HELP = 'h' };
#define TTL_S_MAX UINT64_C(3153600000) /* 100 years */

/* Formatted by hand: clang-format would align the columns beyond 100. */
/* clang-format off */
static const struct row {
    const char *name;
    enum kind kind;
    size_t field;
    uint64_t min, max;
    const char *argument, *help;
} rows[] = {
    [CLI_JSON] = {"json", FLAG, FIELD(json), 0, 0, "", "one line of JSON instead of text"},
    [CLI_HELP] = {"help", FLAG, FIELD(help), 0, 0, "", "how the command is used, with examples"},
    [CLI_VERSION] = {"version", FLAG, FIELD(version), 0, 0, "", "the version of this program"},
    [CLI_DIR] = {"dir", TEXT, FIELD(dir), 0, 0, "DIR", "the local cluster that lives in DIR"},
    [CLI_CONF] = {"conf", TEXT, FIELD(conf), 0, 0, "FILE",
                  "the cluster that FILE describes (default: $SHERD_CONF)"},
    [CLI_NAME] = {"name", TEXT, FIELD(name), 0, 0, "NAME",
                  "the local cluster NAME (default: \"default\")"},
    [CLI_TIMEOUT] = {"timeout", NUMBER, FIELD(timeout_ms), 1, TIMEOUT_MS_MAX, "MS",
                     "give up after so many milliseconds (default: 5000)"},
    [CLI_FILE] = {"file", TEXT, FIELD(file), 0, 0, "FILE", "take the value from FILE; -: from stdin"},
    [CLI_OUT] = {"out", TEXT, FIELD(out), 0, 0, "FILE", "write the value to FILE"},
    [CLI_TTL] = {"ttl", NUMBER, FIELD(ttl_s), 1, TTL_S_MAX, "SECONDS",
                 "the value expires after so many seconds"},
    [CLI_LIMIT] = {"limit", NUMBER, FIELD(limit), 1, INT64_MAX, "N", "stop after N keys"},
    [CLI_LIST] = {"list", TEXT, FIELD(list), 0, 0, "FILE",
                  "names of files, one a line, in FILE; -: from stdin"},
    [CLI_SUMS] = {"sums", TEXT, FIELD(sums), 0, 0, "FILE",
                  "names and SHA-256 in FILE, as sha256sum prints them; -: from stdin"},
    [CLI_PREFIX] = {"prefix", TEXT, FIELD(prefix), 0, 0, "TEXT", "put TEXT before each name"},
    [CLI_NODES] = {"nodes", NUMBER, FIELD(nodes), 1, SHERD_NODES_MAX, "N",
                   "how many servers (default: 6)"},
    [CLI_CODE] = {"code", TEXT, FIELD(code), 0, 0, "K+M",
                  "K data shards, M parity shards (default: 4+2)"},
    [CLI_BASE_PORT] = {"base-port", NUMBER, FIELD(base_port), 1, UINT16_MAX, "PORT",
                       "of node 0; the others and the keeper follow (default: 7400)"},
    [CLI_ZONES] = {"zones", NUMBER, FIELD(zones), 1, SHERD_NODES_MAX, "N",
                   "deal the nodes out to N zones (default: none)"},
    [CLI_MAX_MEMORY] = {"max-memory", SIZE, FIELD(max_memory_bytes), 1 << 20, INT64_MAX, "SIZE",
                        "for shards, of each server (default: 1GiB)"},
    [CLI_RECOVERY_RATE] = {"recovery-rate", SIZE, FIELD(recovery_rate_bytes), 0, INT64_MAX, "SIZE",
                           "bytes a second for rebuilding; 0: unlimited (default)"},
    [CLI_SCRUB_RATE] = {"scrub-rate", SIZE, FIELD(scrub_rate_bytes), 0, INT64_MAX, "SIZE",
                        "bytes a second for reading all shards again; 0: not (default: 8MiB)"},
    [CLI_STORE] = {"store", TEXT, FIELD(store), 0, 0, "KIND",
                   "memory, or lmdb: on disk, for good (default: memory)"},
    [CLI_SYNC] = {"sync", TEXT, FIELD(sync), 0, 0, "WHEN",
                  "lmdb: always, or every so often, such as 100ms (default: always)"},
    [CLI_PURGE] = {"purge", FLAG, FIELD(purge), 0, 0, "", "remove what is kept on disk, too"},
    [CLI_WATCH] = {"watch", FLAG, FIELD(watch), 0, 0, "", "show progress until it is done"},
    [CLI_ACCEPT_LOSS] = {"accept-loss", FLAG, FIELD(accept_loss), 0, 0, "",
                         "give up what more nodes lost than the code can rebuild"},
    [CLI_WAIT] = {"wait", NUMBER, FIELD(wait_s), 1, WAIT_S_MAX, "SECONDS",
                  "wait so long for the cluster to be healthy"},
};
/* clang-format on */

#define GLOBAL                                                                                   \
    (CLI_TAKES(JSON) | CLI_TAKES(HELP) | CLI_TAKES(VERSION) | CLI_TAKES(DIR) | CLI_TAKES(CONF) | \
     CLI_TAKES(NAME) | CLI_TAKES(TIMEOUT))

enum { FIRST_LONG = 256 }; /* what getopt_long answers for rows[0] */

int cli_number(const struct cli *cli, const char *what, const char *text, int64_t min, int64_t max,
               int64_t *out)
{
    size_t sign = text[0] == '-' || text[0] == '+' ? 1 : 0;
    size_t digits = strspn(text + sign, "0123456789");
    const char *error = NULL;
    int64_t value = 0;

    if (digits == 0 || text[sign + digits] != '\0')
        error = "is not";
    else
        value = strtonum(text, min, max, &error);
    if (error != NULL)
        return cli_fail(cli, CLI_USAGE, "%s must be a number from %lld to %lld, not '%.60s'", what,
                        (long long)min, (long long)max, text);
    *out = value;
    return 0;
}

static int parse_size(const struct cli *cli, const struct row *row, const char *text, uint64_t *out)
{
    uint64_t bytes = 0;

    if (sherd_parse_size(text, &bytes) != 0)
        return cli_fail(cli, CLI_USAGE, "--%s must be a size such as 64MiB or 2GiB, not '%.60s'",
                        row->name, text);
    if (bytes < row->min || bytes > row->max)
        return cli_fail(cli, CLI_USAGE, "--%s must be %llu bytes or more, not '%.60s'", row->name,
                        (unsigned long long)row->min, text);
    *out = bytes;
    return 0;
}

static int take(struct cli *cli, const struct row *row, const char *text)
{
    void *field = (char *)&cli->options + row->field;
    char what[32];
    int64_t number = 0;
    int code = 0;

    switch (row->kind) {
    case FLAG: *(bool *)field = true; break;
    case TEXT: *(const char **)field = text; break;
    case SIZE: return parse_size(cli, row, text, field);
    case NUMBER:
        snprintf(what, sizeof(what), "--%s", row->name);
        code = cli_number(cli, what, text, (int64_t)row->min, (int64_t)row->max, &number);
        if (code == 0) *(uint64_t *)field = (uint64_t)number;
        break;
    }
    return code;
}

static void make_long_options(struct option out[LEN(rows) + 1])
{
    memset(out, 0, (LEN(rows) + 1) * sizeof(*out));
    for (size_t i = 0; i < LEN(rows); i++)
        out[i] =
            (struct option){rows[i].name, rows[i].kind == FLAG ? no_argument : required_argument,
                            NULL, FIRST_LONG + (int)i};
}

/* A negative number is a word, not an option: no option begins with a digit. */
static bool is_negative_number(const char *word)
{
    return word[0] == '-' && word[1] >= '0' && word[1] <= '9';
}

static int bad_option(const struct cli *cli, int answer, const char *word)
{
    if (answer == ':')
        return cli_fail(cli, CLI_USAGE, "option '%.60s' needs a value; see --help", word);
    return cli_fail(cli, CLI_USAGE,
                    "unknown option '%.60s'; 'sherd help' lists them, '--' ends them", word);
}

/* Takes one option or one word. 0, or an exit code. */
static int take_next(struct cli *cli, int argc, char **argv, const struct option *longs)
{
    int before = optind;
    int answer =
        is_negative_number(argv[optind]) ? -1 : getopt_long(argc, argv, "+:h", longs, NULL);

    if (answer == SHORT_HELP) answer = FIRST_LONG + CLI_HELP;
    if (answer >= FIRST_LONG) {
        const struct row *row = &rows[answer - FIRST_LONG];
        cli->options.given |= UINT64_C(1) << (row - rows);
        return take(cli, row, optarg);
    }
    if (answer != -1) return bad_option(cli, answer, argv[optind > before ? optind - 1 : before]);
    if (optind > before) { /* "--": all that follows are words */
        while (optind < argc)
            cli->words[cli->count++] = argv[optind++];
        return 0;
    }
    cli->words[cli->count++] = argv[optind++];
    return 0;
}

int cli_options_parse(struct cli *cli, int argc, char **argv)
{
    struct option longs[LEN(rows) + 1];

    cli->options = (struct cli_options){
        .nodes = 6,
        .code = "4+2",
        .store = "memory",
        .sync = "always",
        .base_port = 7400,
        .max_memory_bytes = UINT64_C(1) << 30,
        .scrub_rate_bytes = UINT64_C(8) << 20,
    };
    cli->word_memory = reallocarray(NULL, (size_t)argc + 1, sizeof(*cli->word_memory));
    cli->words = cli->word_memory;
    if (cli->words == NULL) return cli_fail_errno(cli, -ENOMEM);
    make_long_options(longs);
    opterr = 0;
    while (optind < argc) {
        int code = take_next(cli, argc, argv, longs);
        if (code != 0) return code;
    }
    return 0;
}

int cli_options_check(const struct cli *cli)
{
    uint64_t given = cli->options.given;
    uint64_t refused = given & ~(GLOBAL | cli->command->options);
    uint64_t where = given & (CLI_TAKES(DIR) | CLI_TAKES(CONF) | CLI_TAKES(NAME));

    if (refused != 0)
        return cli_fail(cli, CLI_USAGE, "takes no --%s; see 'sherd %s --help'",
                        rows[__builtin_ctzll(refused)].name, cli->command->name);
    if ((where & (where - 1)) != 0)
        return cli_fail(cli, CLI_USAGE, "--dir, --conf and --name name the cluster: give only one");
    return 0;
}

void cli_options_print(FILE *out, uint64_t options)
{
    char left[48];

    for (size_t i = 0; i < LEN(rows); i++) {
        if (((options == 0 ? GLOBAL : options) >> i & 1) == 0) continue;
        snprintf(left, sizeof(left), "--%s %s", rows[i].name, rows[i].argument);
        fprintf(out, "  %-22s %s\n", left, rows[i].help);
    }
}
