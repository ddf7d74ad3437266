/* Rows are whole files: what loading them gives, or the line and the words of the error. */
#include "client/conf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

#define NODE(id, port) "node " #id " { endpoint = \"tcp://127.0.0.1:" #port "\" }\n"
#define THREE          NODE(0, 7001) NODE(1, 7002) NODE(2, 7003) "code = \"2+1\"\n" /* 4 lines */

static const char *folder; /* of this run */

static void write_file(const char *name, const char *text, size_t size, char *path,
                       size_t path_size)
{
    FILE *file;

    snprintf(path, path_size, "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static int load(const char *text, struct sherd_conf *conf, char *error, size_t error_size)
{
    char path[256];

    write_file("sherd.conf", text, strlen(text), path, sizeof(path));
    return sherd_conf_load(path, conf, error, error_size);
}

/* ---- What must be refused, and the line and words of the error ---- */

/* Formatted by hand: clang-format would align the columns beyond 100. */
/* clang-format off */
static struct bad {
    const char *name, *text, *error;
} bads[] = {
    {"an unknown option", THREE "colour = 1\n", "5: no such option 'colour'"},
    {"an unknown option of a node", "node 0 {\ncolour = 1\n}\n", "2: no such option 'colour'"},
    {"an empty file", "", "1: code 4+2 needs at least 6 nodes, there are 0"},
    {"too few nodes", NODE(0, 1) NODE(1, 2) "code = \"2+1\"\n",
     "4: code 2+1 needs at least 3 nodes, there are 2"},
    {"the same id twice", THREE NODE(1, 7009), "5: found duplicate title '1'"},
    {"the same endpoint twice", THREE NODE(3, 7002),
     "5: node 3: node 1 has the same endpoint, tcp://127.0.0.1:7002"},
    {"a gap between ids", THREE NODE(4, 7004), "6: node 4: the ids of 4 nodes must be 0 to 3"},
    {"an id with a leading zero", THREE NODE(03, 7004), "5: node 03: the id must be 0 to 255"},
    {"an id above the limit", THREE NODE(256, 7004), "5: node 256: the id must be 0 to 255"},
    {"an id that is no number", THREE NODE(a, 7004), "5: node a: the id must be"},
    {"a node without title", "node {\n}\n", "1: "},
    {"a node without endpoint", THREE "node 3 {\n}\n", "6: node 3: endpoint is missing"},
    {"an endpoint that is not tcp", "node 0 {\nendpoint = \"ipc:///x\"\n}",
     "2: endpoint = \"ipc:///x\": must be tcp://host:port"},
    {"an endpoint without port", "keeper = \"tcp://host\"\n", "1: keeper = "},
    {"an endpoint with port 0", "keeper = \"tcp://host:0\"\n", "1: keeper = "},
    {"an endpoint with port 65536", "keeper = \"tcp://host:65536\"\n", "1: keeper = "},
    {"an endpoint with a wildcard", "keeper = \"tcp://*:7000\"\n", "1: keeper = "},
    {"an endpoint without host", "keeper = \"tcp://:7000\"\n", "1: keeper = "},
    {"an endpoint in half a bracket", "keeper = \"tcp://[::1:7000\"\n", "1: keeper = "},
    {"an endpoint without quotes", "\nkeeper = tcp://host:7000\n", "2: '//' outside of quotes"},
    {"weight 0", "node 0 {\nweight = 0\n}\n", "2: weight = 0: must be 1 to 1000"},
    {"weight 1001", "node 0 {\nweight = 1001\n}\n", "2: weight = 1001: must be 1 to 1000"},
    {"a weight that is no number", "node 0 {\nweight = big\n}\n", "2: invalid integer value"},
    {"a code without data", "code = \"0+2\"\n", "1: code = \"0+2\": must be \"K+M\""},
    {"a code with 33 slots", "\n\ncode = \"30+3\"\n", "3: code = \"30+3\": must be"},
    {"a code with a minus", "code = \"4-2\"\n", "1: code = \"4-2\": must be"},
    {"a store that does not exist", "store = \"disk\"\n",
     "1: store = \"disk\": must be \"memory\" or \"lmdb\""},
    {"a sync without unit", "sync = \"100\"\n", "1: sync = \"100\": must be \"always\""},
    {"a sync of no time", "sync = \"0ms\"\n", "1: sync = \"0ms\": must be"},
    {"a sync too rare", "sync = \"60001ms\"\n", "1: sync = \"60001ms\": must be"},
    {"a size with an unknown unit", "max_memory = \"1GB\"\n", "1: max_memory = \"1GB\": must be"},
    {"a size that overflows", "recovery_rate = \"99999999999999999999\"\n", "1: recovery_rate = "},
    {"no partition", "partitions = 0\n", "1: partitions = 0: must be 1 to 256"},
    {"257 partitions", "partitions = 257\n", "1: partitions = 257: must be 1 to 256"},
    {"straggler_ms below 0", "straggler_ms = -1\n", "1: straggler_ms = -1: must be 0 to 60000"},
    {"vacate_after_ms too short", "vacate_after_ms = 9\n", "1: vacate_after_ms = 9: must be 1000"},
    {"an unknown log level", "log_level = loud\n", "1: log_level = \"loud\": must be error, warn"},
    {"a cluster without name", "cluster = \"\"\n", "1: cluster = \"\": must be 1 to 63"},
    {"a zone with a space", "node 0 {\nzone = \"a b\"\n}\n", "2: zone = \"a b\": must be"},
    {"self is no node", THREE "self = 3\n", "6: self = 3: there is no such node"},
    {"self below 0", THREE "self = -1\n", "5: self = -1: must be 0 to 255"},
    {"a keeper folder, no keeper", THREE "keeper_dir = \"/k\"\n", "6: keeper_dir is set"},
    {"a brace too many", THREE "}\n", "5: "},
    {"a brace too few", "node 0 {\n", "2: "},
    {"a missing value", "code =\n", "2: "},
    {"a string that never ends", "\ncluster = \"abc\ncode = 1\n", "2: a string must end"},
    {"a string that ends with the file", "cluster = 'abc", "1: a string must end"},
    {"an escape sequence", "cluster = \"\\999\"\n", "1: a backslash"},
    {"a variable", "cluster = ${HOME}\n", "1: a '$'"},
    {"a control character", "# fine\ncluster = \"a\033b\"\n", "2: a control character"},
    {"a C comment", "/* x\n", "1: '//' outside of quotes"},
    {"an include without name", "include()\n", "1: include takes one file name"},
    {"an include that is missing", THREE "include(\"none.conf\")\n", "none.conf: No such file"},
    {"an include that is a folder", THREE "include(\"/\")\n", "/: not a regular file"},
    {"an include of itself", "include(\"sherd.conf\")\n", "1: includes are nested too deeply"},
};
/* clang-format on */

static void refuses(void **state)
{
    const struct bad *bad = *state;
    struct sherd_conf conf = {.k = 77};
    char error[256] = "", expected[512];

    assert_int_equal(load(bad->text, &conf, error, sizeof(error)), -EINVAL);
    /* Those that begin with a line are in our file; the others name a file without a line. */
    snprintf(expected, sizeof(expected), "%s%s",
             bad->error[0] >= '0' && bad->error[0] <= '9' ? "/sherd.conf:" : "", bad->error);
    if (strstr(error, expected) == NULL) fail_msg("expected '%s' in '%s'", expected, error);
    assert_null(strchr(error, '\n'));
    assert_int_equal(conf.k, 77); /* not touched */
}

/* ---- What must be understood ---- */

static void gives_the_defaults(void **state)
{
    struct sherd_conf conf = {0};
    char error[256];

    (void)state;
    assert_int_equal(load(THREE, &conf, error, sizeof(error)), 0);
    assert_string_equal(error, "");
    assert_string_equal(conf.cluster, "sherd");
    assert_string_equal(conf.keeper, "");
    assert_int_equal(conf.k, 2);
    assert_int_equal(conf.m, 1);
    assert_int_equal(conf.node_count, 3);
    assert_int_equal(conf.nodes[2].id, 2);
    assert_int_equal(conf.nodes[2].weight, 1);
    assert_string_equal(conf.nodes[2].endpoint, "tcp://127.0.0.1:7003");
    assert_string_equal(conf.nodes[2].zone, "");
    assert_int_equal(conf.self, SHERD_CONF_NO_SELF);
    assert_int_equal(conf.max_memory_bytes, 0);
    assert_int_equal(conf.recovery_rate_bytes, 64 << 20);
    assert_int_equal(conf.scrub_rate_bytes, 8 << 20);
    assert_int_equal(conf.vacate_after_ms, 30000);
    assert_int_equal(conf.straggler_ms, 20);
    assert_int_equal(conf.partitions, 256);
    assert_int_equal(conf.log_level, SHERD_CONF_INFO);
    assert_string_equal(conf.store, "memory");
    assert_int_equal(conf.sync_ms, 0);
    sherd_conf_fini(&conf);
    assert_null(conf.nodes);
    sherd_conf_fini(&conf);
    sherd_conf_fini(NULL);
}

static void reads_every_option(void **state)
{
    static const char text[] =
        "cluster = 'blue-1' # with a comment's quote\n"
        "code = \"1+1\"\n"
        "keeper = \"tcp://[::1]:7599\"\n"
        "node 1 { endpoint = \"tcp://b.example:65535\" zone = \"row/2\" weight = 1000 }\n"
        "node 0 { endpoint = \"tcp://a:1\" }\n"
        "self = 1 partitions = 16 straggler_ms = 0\n"
        "keeper_dir = \"/var/lib/sherd/keeper\" state_dir = /s\n"
        "max_memory = 2GiB recovery_rate = 0 vacate_after_ms = 1000\n"
        "store = lmdb sync = 100ms log_level = debug";
    struct sherd_conf conf = {0};
    char error[256];

    (void)state;
    assert_int_equal(load(text, &conf, error, sizeof(error)), 0);
    assert_string_equal(conf.cluster, "blue-1");
    assert_string_equal(conf.keeper, "tcp://[::1]:7599");
    assert_int_equal(conf.nodes[0].id, 0); /* in order of id, not of the file */
    assert_string_equal(conf.nodes[1].endpoint, "tcp://b.example:65535");
    assert_string_equal(conf.nodes[1].zone, "row/2");
    assert_int_equal(conf.nodes[1].weight, 1000);
    assert_int_equal(conf.self, 1);
    assert_int_equal(conf.partitions, 16);
    assert_int_equal(conf.straggler_ms, 0);
    assert_string_equal(conf.keeper_dir, "/var/lib/sherd/keeper");
    assert_string_equal(conf.state_dir, "/s");
    assert_string_equal(conf.store, "lmdb");
    assert_int_equal(conf.sync_ms, 100);
    assert_true(conf.max_memory_bytes == UINT64_C(2) << 30);
    assert_int_equal(conf.recovery_rate_bytes, 0);
    assert_int_equal(conf.vacate_after_ms, 1000);
    assert_int_equal(conf.log_level, SHERD_CONF_DEBUG);
    sherd_conf_fini(&conf);
}

static void reads_256_nodes(void **state)
{
    char text[256 * 64], error[256], *end = text;
    struct sherd_conf conf = {0};

    (void)state;
    for (int i = 0; i < 256; i++)
        end += sprintf(end, "node %d { endpoint = \"tcp://h:%d\" }\n", i, 1 + i);
    assert_int_equal(load(text, &conf, error, sizeof(error)), 0);
    assert_int_equal(conf.node_count, 256);
    assert_string_equal(conf.nodes[255].endpoint, "tcp://h:256");
    sherd_conf_fini(&conf);
}

/* An include is relative to the first file, goes on behind it, and what comes last counts. */
static void includes(void **state)
{
    /* Not enough for the default code: only the whole is judged, not each file. */
    static const char nodes[] = "partitions = 8\nstraggler_ms = 7\n" NODE(0, 7001) NODE(1, 7002);
    struct sherd_conf conf = {0};
    char error[256], path[256];

    (void)state;
    write_file("nodes.conf", nodes, sizeof(nodes) - 1, path, sizeof(path));
    assert_int_equal(
        load("partitions = 9\ninclude(\"nodes.conf\")\nstraggler_ms = 6\ncode = \"1+1\"\n", &conf,
             error, sizeof(error)),
        0);
    assert_int_equal(conf.partitions, 8);
    assert_int_equal(conf.straggler_ms, 6);
    sherd_conf_fini(&conf);

    /* Lines are counted in each file, also after an include. */
    assert_int_equal(load("include(\"nodes.conf\")\n\nself = 9999\n", &conf, error, sizeof(error)),
                     -EINVAL);
    assert_non_null(strstr(error, "sherd.conf:3: self = 9999"));
}

static void names_the_line_of_an_included_file(void **state)
{
    static const char nodes[] = "# one\n\nnode 0 { weight = 0 }\n";
    struct sherd_conf conf = {0};
    char error[256], path[256];

    (void)state;
    write_file("nodes.conf", nodes, sizeof(nodes) - 1, path, sizeof(path));
    for (int i = 0; i < 20; i++) { /* more often than includes may be nested */
        assert_int_equal(load("\ninclude(\"nodes.conf\")\n", &conf, error, sizeof(error)), -EINVAL);
        assert_non_null(strstr(error, "nodes.conf:3: weight = 0"));
    }
    gives_the_defaults(state); /* nothing is left behind */
}

static void refuses_odd_files(void **state)
{
    struct sherd_conf conf = {0};
    char error[256], path[256], *big = calloc(1, (1 << 20) + 1);

    (void)state;
    assert_int_equal(sherd_conf_load("/nonexistent/x", &conf, error, sizeof(error)), -ENOENT);
    assert_string_equal(error, "/nonexistent/x: No such file or directory");
    assert_int_equal(sherd_conf_load("/", &conf, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "/: not a regular file");

    write_file("pipe.conf", "", 0, path, sizeof(path)); /* nobody writes to it: not waited for */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(sherd_conf_load(path, &conf, error, sizeof(error)), -EINVAL);
    assert_non_null(strstr(error, "not a regular file"));
    unlink(path);

    memset(big, '\n', (1 << 20) + 1);
    write_file("big.conf", big, (1 << 20) + 1, path, sizeof(path));
    assert_int_equal(sherd_conf_load(path, &conf, error, sizeof(error)), -EINVAL);
    assert_non_null(strstr(error, "larger than 1 MiB"));

    memset(big, '\0', 2);
    write_file("zero.conf", big, 4, path, sizeof(path));
    assert_int_equal(sherd_conf_load(path, &conf, error, sizeof(error)), -EINVAL);
    assert_non_null(strstr(error, ":1: a control character"));
    free(big);
}

static bool no_memory;
FILE *__real_fdopen(int fd, const char *mode);
FILE *__wrap_fdopen(int fd, const char *mode);

FILE *__wrap_fdopen(int fd, const char *mode)
{
    if (!no_memory) return __real_fdopen(fd, mode);
    errno = ENOMEM;
    return NULL;
}

static void tells_no_memory_from_no_file(void **state)
{
    struct sherd_conf conf = {0};
    char error[256];
    int rc;

    (void)state;
    no_memory = true;
    rc = load(THREE, &conf, error, sizeof(error));
    no_memory = false;
    assert_int_equal(rc, -ENOMEM);
}

static void cuts_a_long_error(void **state)
{
    struct sherd_conf conf = {0};
    char error[8] = "1234567";

    (void)state;
    assert_int_equal(load("colour = 1\n", &conf, error, sizeof(error)), -EINVAL);
    assert_int_equal(strlen(error), sizeof(error) - 1);
    assert_int_equal(load("colour = 1\n", &conf, NULL, 0), -EINVAL);
}

/* ---- The examples in conf/ ---- */

static void reads_the_examples(void **state)
{
    static const char *const paths[] = {"conf/sherd.conf", "conf/local-6.conf"};
    struct sherd_conf conf = {0};
    char error[256];

    (void)state;
    for (size_t i = 0; i < LEN(paths); i++) {
        if (sherd_conf_load(paths[i], &conf, error, sizeof(error)) != 0) fail_msg("%s", error);
        assert_int_equal(conf.node_count, 6);
        assert_int_equal(conf.k + conf.m, 6);
        sherd_conf_fini(&conf);
    }
}

/* ---- Values ---- */

static void parses_codes(void **state)
{
    static const struct {
        const char *text;
        int rc;
        unsigned k, m;
    } rows[] = {
        {"4+2",                    0,       4,  2 },
        {"1+0",                    0,       1,  0 },
        {"16+16",                  0,       16, 16},
        {"32+0",                   0,       32, 0 },
        {"0+2",                    -EINVAL, 0,  0 },
        {"31+2",                   -EINVAL, 0,  0 },
        {"33+0",                   -EINVAL, 0,  0 },
        {"",                       -EINVAL, 0,  0 },
        {"4",                      -EINVAL, 0,  0 },
        {"4+",                     -EINVAL, 0,  0 },
        {"+2",                     -EINVAL, 0,  0 },
        {"4+2 ",                   -EINVAL, 0,  0 },
        {" 4+2",                   -EINVAL, 0,  0 },
        {"4+-2",                   -EINVAL, 0,  0 },
        {"4++2",                   -EINVAL, 0,  0 },
        {"4+2+1",                  -EINVAL, 0,  0 },
        {"0x4+2",                  -EINVAL, 0,  0 },
        {"4294967297+1",           -EINVAL, 0,  0 },
        {"1+99999999999999999999", -EINVAL, 0,  0 },
    };

    (void)state;
    for (size_t i = 0; i < LEN(rows); i++) {
        unsigned k = 0, m = 0;
        int rc = sherd_parse_code(rows[i].text, &k, &m);
        if (rc != rows[i].rc || k != rows[i].k || m != rows[i].m)
            fail_msg("'%s': %d, %u+%u", rows[i].text, rc, k, m);
    }
}

static void parses_sizes(void **state)
{
    static const struct {
        const char *text;
        int rc;
        uint64_t bytes;
    } rows[] = {
        {"0",                       0,       0                },
        {"4096",                    0,       4096             },
        {"64KiB",                   0,       65536            },
        {"64MiB",                   0,       64 << 20         },
        {"3GiB",                    0,       UINT64_C(3) << 30},
        {"18446744073709551615",    0,       UINT64_MAX       },
        {"18446744073709551616",    -ERANGE, 0                },
        {"18446744073709551615KiB", -ERANGE, 0                },
        {"",                        -EINVAL, 0                },
        {"MiB",                     -EINVAL, 0                },
        {"-1",                      -EINVAL, 0                },
        {"1.5GiB",                  -EINVAL, 0                },
        {"1mib",                    -EINVAL, 0                },
        {"1MiBs",                   -EINVAL, 0                },
        {" 1",                      -EINVAL, 0                },
        {"1 KiB",                   -EINVAL, 0                },
    };

    (void)state;
    for (size_t i = 0; i < LEN(rows); i++) {
        uint64_t bytes = 0;
        int rc = sherd_parse_size(rows[i].text, &bytes);
        if (rc != rows[i].rc || bytes != rows[i].bytes)
            fail_msg("'%s': %d, %llu", rows[i].text, rc, (unsigned long long)bytes);
    }
}

static void remove_files(void)
{
    static const char *const names[] = {"sherd.conf", "nodes.conf", "big.conf", "zero.conf"};
    char path[256];

    for (size_t i = 0; i < LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

int main(void)
{
    static const struct CMUnitTest single[] = {
        cmocka_unit_test(gives_the_defaults),
        cmocka_unit_test(reads_every_option),
        cmocka_unit_test(reads_256_nodes),
        cmocka_unit_test(includes),
        cmocka_unit_test(names_the_line_of_an_included_file),
        cmocka_unit_test(refuses_odd_files),
        cmocka_unit_test(tells_no_memory_from_no_file),
        cmocka_unit_test(cuts_a_long_error),
        cmocka_unit_test(reads_the_examples),
        cmocka_unit_test(parses_codes),
        cmocka_unit_test(parses_sizes),
    };
    struct CMUnitTest tests[LEN(bads) + LEN(single)] = {0};
    char name[] = "/tmp/test_conf.XXXXXX";
    int failed;

    folder = mkdtemp(name);
    if (folder == NULL) return 1;
    for (size_t i = 0; i < LEN(bads); i++)
        tests[i] = (struct CMUnitTest){
            .name = bads[i].name, .test_func = refuses, .initial_state = &bads[i]};
    memcpy(tests + LEN(bads), single, sizeof(single));
    failed = cmocka_run_group_tests_name("conf", tests, NULL, NULL);
    remove_files();
    return failed;
}
