/* check_history.c - judges recorded histories (tests/README.md, "Histories").
 *
 * Exit code: 0 all linearizable, 1 one is not, 2 bad input or usage, 3 too hard to judge. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tests/history/check.h"
#include "tests/history/json.h"

enum { EXIT_LINEARIZABLE, EXIT_NOT_LINEARIZABLE, EXIT_BAD_INPUT, EXIT_TOO_HARD };

static const char *const verdict_names[] = {"linearizable", "not linearizable", "too hard"};

static int usage(FILE *out)
{
    fputs("usage: check_history [--json] [--states N] FILE...\n"
          "Judges histories in JSON lines; - is the standard input. Exit code: 0 linearizable,\n"
          "1 not linearizable, 2 bad input, 3 too hard: more than N states for one key.\n",
          out);
    return out == stdout ? EXIT_LINEARIZABLE : EXIT_BAD_INPUT;
}

/* Bad input hides any verdict; "not linearizable" is certain, whatever else was too hard. */
static int worse(int a, int b)
{
    static const int rank[] = {[EXIT_LINEARIZABLE] = 0,
                               [EXIT_TOO_HARD] = 1,
                               [EXIT_NOT_LINEARIZABLE] = 2,
                               [EXIT_BAD_INPUT] = 3};

    return rank[a] > rank[b] ? a : b;
}

static void print_json(const char *name, const struct history_key *key, const char *verdict,
                       size_t states)
{
    json_t *line =
        json_pack("{s:s,s:s,s:s,s:I,s:I}", "file", name, "key", key->name, "verdict", verdict,
                  "calls", (json_int_t)key->history.count, "states", (json_int_t)states);

    if (line) json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(line);
}

static int judge(struct history_checker *c, const struct history_set *set, const char *name,
                 bool json)
{
    static const int codes[] = {EXIT_LINEARIZABLE, EXIT_NOT_LINEARIZABLE, EXIT_TOO_HARD};
    int code = EXIT_LINEARIZABLE;

    if (!json)
        printf("%s: %zu events, %zu keys, %zu calls (%zu open, %zu without effect)\n", name,
               set->lines, set->key_count, set->calls, set->open, set->failed);
    for (size_t i = 0; i < set->key_count; i++) {
        const struct history_key *key = &set->keys[i];
        enum history_verdict verdict = history_check(c, &key->history);
        size_t states = history_checker_states(c);
        code = worse(code, codes[verdict]);
        if (json)
            print_json(name, key, verdict_names[verdict], states);
        else
            printf("  %s: %s, %zu calls, %zu states\n", key->name, verdict_names[verdict],
                   key->history.count, states);
        if (verdict == HISTORY_NOT_LINEARIZABLE)
            history_explain(c, &key->history, key->name, json ? stderr : stdout);
    }
    return code;
}

static int check_file(struct history_checker *c, const char *path, bool json)
{
    bool is_input = strcmp(path, "-") == 0;
    FILE *in = is_input ? stdin : fopen(path, "re");
    struct history_set *set = NULL;
    int code = EXIT_BAD_INPUT, rc = 0;

    if (!in) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return EXIT_BAD_INPUT;
    }
    set = history_set_new();
    rc = history_read(set, in, path);
    if (rc == 0 && set->lines == 0)
        fprintf(stderr, "%s: no events: nothing is shown by that\n", path);
    else if (rc == 0)
        code = judge(c, set, path, json);
    else
        fprintf(stderr, "%s%s%s\n", rc == -EINVAL ? "" : path, rc == -EINVAL ? "" : ": ",
                rc == -EINVAL ? set->error : strerror(-rc));
    history_set_free(set);
    if (!is_input) fclose(in);
    return code;
}

static bool parse_states(const char *text, size_t *out)
{
    char *end = NULL;

    errno = 0;
    *out = strtoul(text, &end, 10);
    return errno == 0 && *text >= '1' && *text <= '9' && *end == '\0';
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"json",   no_argument,       NULL, 'j'},
        {"states", required_argument, NULL, 's'},
        {"help",   no_argument,       NULL, 'h'},
        {NULL,     0,                 NULL, 0  }
    };
    struct history_checker *c = NULL;
    bool json = false;
    size_t states = 0;
    int option = 0, code = EXIT_LINEARIZABLE;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'h') return usage(stdout);
        if (option == '?') return usage(stderr);
        if (option == 's' && !parse_states(optarg, &states)) return usage(stderr);
        json |= option == 'j';
    }
    if (optind == argc) return usage(stderr);
    c = history_checker_new(states);
    for (int i = optind; i < argc; i++)
        code = worse(code, check_file(c, argv[i], json));
    history_checker_free(c);
    if (fflush(stdout) != 0) return EXIT_BAD_INPUT;
    return code;
}
