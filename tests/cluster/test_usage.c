/* test_usage.c - acceptance H: wrong input at the command line is answered in one line that names
 * the mistake and the remedy, with exit code 2 (usage) or 6 (environment). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/cluster/cluster.h"

enum { WORDS_SIZE = 100, KEY_TOO_LONG = 1025, ARGV_MAX = 16, PATH_SIZE = CLUSTER_DIR_SIZE + 32 };

/* Formatted by hand: clang-format would align the columns beyond 100. */
/* clang-format off */
static const struct row {
    const char *words; /* of the command line, at blanks */
    int code;
    const char *mistake, *remedy; /* both must be in the line */
} rows[] = {
    {"", 2, "no command", "sherd help"},
    {"store a b", 2, "'store'", "sherd help"},
    {"cluster explode", 2, "explode", "help cluster"},
    {"get a --fast", 2, "--fast", "help"},
    {"get a --nodes 3", 2, "--nodes", "--help"},
    {"get a --timeout", 2, "--timeout", "value"},
    {"get --dir @here", 2, "KEY is missing", "usage: sherd get"},
    {"set a --dir @here", 2, "VALUE is missing", "--file"},
    {"get a b --dir @here", 2, "'b'", "usage: sherd get"},
    {"set a b --file f --dir @here", 2, "--file", "only one"},
    {"get @empty --dir @here", 2, "empty", "1024"},
    {"get @long-key --dir @here", 2, "1025", "1024"},
    {"set @long-key b --dir @here", 2, "1025", "1024"},
    {"set a --file @big-file --dir @here", 2, "larger", "4 MiB"},
    {"set a --file /nowhere/f --dir @here", 6, "/nowhere/f", "No such file"},
    {"get a --timeout 0 --dir @here", 2, "--timeout", "from 1"},
    {"get a --timeout soon --dir @here", 2, "soon", "from 1"},
    {"set a b --ttl -5 --dir @here", 2, "-5", "from 1"},
    {"incr a many --dir @here", 2, "many", "number"},
    {"cas a latest b --dir @here", 2, "latest", "explain"},
    {"cluster kill 6 --dir @here", 2, "unknown node", "0 to 5"},
    {"cluster kill -1 --dir @here", 2, "unknown node", "0 to 5"},
    {"cluster start one --dir @here", 2, "unknown node", "0 to 5"},
    {"cluster wipe 99999999999999999999 --dir @here", 2, "unknown node", "0 to 5"},
    {"recover 77 --dir @here", 2, "unknown node", "0 to 5"},
    {"cluster start 2 --dir @here", 6, "node 2", "running already"},
    {"cluster up --code 0+2 --dir @new", 2, "0+2", "at least 1"},
    {"cluster up --code 30+10 --dir @new", 2, "30+10", "at most 32"},
    {"cluster up --code 4 --dir @new", 2, "'4'", "4+2"},
    {"cluster up --nodes 3 --dir @new", 2, "4+2", "--nodes 6"},
    {"cluster up --nodes 0 --dir @new", 2, "--nodes", "from 1"},
    {"cluster up --base-port 65533 --dir @new", 2, "65535", "lower"},
    {"cluster up --base-port 99999 --dir @new", 2, "99999", "65535"},
    {"cluster up --base-port @port --dir @new", 6, "in use", "--base-port"},
    {"cluster up --base-port @free --dir @here", 6, "running already", "cluster down"},
    {"cluster up --max-memory 1 --dir @new", 2, "--max-memory", "1048576"},
    {"cluster up --max-memory much --dir @new", 2, "much", "64MiB"},
    {"get a --dir @new", 6, "no cluster", "cluster up"},
    {"set a b --dir @new", 6, "no cluster", "cluster up"},
    {"status --dir @new", 6, "no cluster", "cluster up"},
    {"recover 1 --dir @new", 6, "no cluster", "cluster up"},
    {"cluster down --dir @new", 6, "no cluster", "cluster up"},
    {"get a", 6, "no cluster", "cluster up"},
    {"get a --conf /nowhere/c", 6, "/nowhere/c", "--conf"},
    {"get a --conf @bad-conf", 6, ":2", "code"},
    {"get a --dir @here --name b", 2, "--name", "only one"},
    {"get a --name a/b", 2, "a/b", "letters"},
};
/* clang-format on */

static char long_key[KEY_TOO_LONG + 1];
static char big_file[PATH_SIZE], bad_conf[PATH_SIZE], new_dir[PATH_SIZE], port[16], aside[16];

static void write_file(char path[PATH_SIZE], const char *name, const char *text, off_t size)
{
    int fd;

    snprintf(path, PATH_SIZE, "%s/%s", process_root(), name);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    TEST_CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    TEST_CHECK(size == 0 || ftruncate(fd, size) == 0);
    close(fd);
}

static void prepare(const struct cluster *c)
{
    memset(long_key, 'k', KEY_TOO_LONG);
    write_file(big_file, "big", "", (4 << 20) + 1);
    write_file(bad_conf, "bad.conf", "cluster = \"x\"\ncode = \"0+2\"\n", 0);
    snprintf(new_dir, sizeof(new_dir), "%s/nothing-here", process_root());
    snprintf(port, sizeof(port), "%u", c->base_port);
    snprintf(aside, sizeof(aside), "%u", cluster_find_ports(7));
    setenv("XDG_STATE_HOME", new_dir, 1);
    unsetenv("SHERD_CONF");
}

/* What stands in the table for something that is known only at run time. */
static const char *stand_in(const struct cluster *c, const char *word)
{
    const struct {
        const char *word, *meaning;
    } all[] = {
        {"@empty",    ""      },
        {"@long-key", long_key},
        {"@big-file", big_file},
        {"@bad-conf", bad_conf},
        {"@port",     port    }, /* that a server has */
        {"@here",     c->dir  },
        {"@new",      new_dir }, /* a folder without a cluster */
        {"@free",     aside   },
    };

    for (size_t i = 0; i < LEN(all); i++)
        if (strcmp(word, all[i].word) == 0) return all[i].meaning;
    return word;
}

static void run(const struct cluster *c, const struct row *row, bool json,
                struct process_result *result)
{
    const char *argv[ARGV_MAX] = {SHERD_CLI};
    char words[WORDS_SIZE], *next = words, *word;
    unsigned count = 1;

    if (json) argv[count++] = "--json"; /* first: the last word may lack its value */
    snprintf(words, sizeof(words), "%s", row->words);
    while ((word = strsep(&next, " ")) != NULL)
        if (*word != '\0') argv[count++] = stand_in(c, word);
    process_run(argv, result);
}

/* What is wrong with the answer, or NULL. */
static const char *fault(const struct row *row, const struct process_result *r)
{
    const char *end = strchr(r->err, '\n');

    if (r->code != row->code) return "another exit code";
    if (r->out[0] != '\0') return "output on stdout";
    if (end == NULL || end[1] != '\0') return "not one line";
    if (strncmp(r->err, "sherd", 5) != 0) return "it does not say who speaks";
    if (strstr(r->err, row->mistake) == NULL) return "the mistake is not named";
    if (strstr(r->err, row->remedy) == NULL) return "the remedy is not named";
    return NULL;
}

static bool check_row(const struct cluster *c, const struct row *row, bool show)
{
    struct process_result text, json;
    const char *wrong;

    run(c, row, false, &text);
    wrong = fault(row, &text);
    if (show || wrong != NULL)
        test_say("%d  sherd %s\n   %.200s", text.code, row->words,
                 text.err[0] != '\0' ? text.err : "-\n");
    if (wrong == NULL) {
        run(c, row, true, &json);
        if (json.code != text.code || strstr(json.out, "\"error\"") == NULL)
            wrong = "with --json: another exit code, or no \"error\"";
    }
    if (wrong != NULL) test_say("WRONG: sherd %s: %s (expected %d)", row->words, wrong, row->code);
    return wrong == NULL;
}

/* The table has done no harm. */
static void expect_serving(const struct cluster *c)
{
    static const char *const set[] = {"set", "greeting", "hello", NULL};
    static const char *const get[] = {"get", "greeting", NULL};
    static const char *const missing[] = {"get", "nobody", NULL};
    struct process_result r;

    if (cluster_run(c, set, &r) != 0) test_fail("set: %s", r.err);
    if (cluster_run(c, get, &r) != 0 || strncmp(r.out, "hello", 5) != 0)
        test_fail("get: %s", r.err);
    if (cluster_run(c, missing, &r) != 1) test_fail("get of nothing: %d: %s", r.code, r.err);
}

int main(int argc, char **argv)
{
    struct test test;
    struct cluster c;
    unsigned wrong = 0;

    test_begin(&test, "usage", argc, argv);
    cluster_up(&c, "4+2", NULL);
    prepare(&c);
    for (size_t i = 0; i < LEN(rows); i++)
        if (!check_row(&c, &rows[i], test.full)) wrong++;
    if (wrong > 0) test_fail("%u of %zu rows are wrong", wrong, LEN(rows));
    test_say("%zu mistakes, each named in one line with its remedy", LEN(rows));
    expect_serving(&c);
    cluster_expect_quiet(&c);
    cluster_down(&c);
    return test_end(&test);
}
