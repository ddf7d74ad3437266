#include "tests/cluster/chaos_history.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/cluster/process.h"
#include "tests/cluster/report.h"

enum { WORD = 32, TALLIES_MAX = 64 };

/* The text after "name": of a line, up to a quote or a comma. */
static bool field(const char *line, const char *name, char out[WORD])
{
    char needle[WORD];
    const char *at;
    size_t size;

    snprintf(needle, sizeof(needle), "\"%s\":", name);
    at = strstr(line, needle);
    if (at == NULL) return false;
    at += strlen(needle);
    if (*at == '"') at++;
    size = strcspn(at, "\",}");
    if (size >= WORD) return false;
    memcpy(out, at, size);
    out[size] = '\0';
    return true;
}

static void add_line(struct chaos_history *h, const char *text)
{
    struct chaos_line line = {.text = text};
    char type[WORD], process[WORD], time[WORD];

    if (!field(text, "type", type) || !field(text, "process", process) ||
        !field(text, "time", time))
        test_fail("no event: %s", text);
    if (h->count == h->room) {
        h->room = h->room > 0 ? 2 * h->room : 4096;
        h->lines = realloc(h->lines, h->room * sizeof(*h->lines));
        if (h->lines == NULL) test_fail("no memory for %zu events", h->room);
    }
    line.time_ns = strtoull(time, NULL, 10);
    line.process = (uint32_t)strtoul(process, NULL, 10);
    line.type = strcmp(type, "info") == 0 ? '?' : type[0];
    h->lines[h->count++] = line;
}

static void load_file(struct chaos_history *h, const char *path)
{
    FILE *file = fopen(path, "re");
    struct stat info;
    char *bytes, *next;

    if (file == NULL || fstat(fileno(file), &info) != 0) test_fail("%s: %s", path, strerror(errno));
    bytes = malloc((size_t)info.st_size + 1);
    if (bytes == NULL || fread(bytes, 1, (size_t)info.st_size, file) != (size_t)info.st_size)
        test_fail("%s cannot be read", path);
    fclose(file);
    bytes[info.st_size] = '\0';
    h->files[h->file_count++] = bytes;
    for (char *at = bytes; (next = strchr(at, '\n')) != NULL; at = next + 1) {
        *next = '\0';
        add_line(h, at);
    }
}

/* Of equal times an invocation is the earlier one. */
static int compare(const void *a, const void *b)
{
    const struct chaos_line *x = a, *y = b;

    if (x->time_ns != y->time_ns) return x->time_ns < y->time_ns ? -1 : 1;
    return (x->type != 'i') - (y->type != 'i');
}

void history_load(struct chaos_history *h)
{
    char pattern[PROCESS_ROOT_SIZE + 16];
    glob_t found;

    *h = (struct chaos_history){0};
    snprintf(pattern, sizeof(pattern), "%s/*.events", process_root());
    if (glob(pattern, 0, NULL, &found) != 0) test_fail("no events in %s", process_root());
    h->files = calloc(found.gl_pathc, sizeof(*h->files));
    if (h->files == NULL) test_fail("no memory");
    for (size_t i = 0; i < found.gl_pathc; i++)
        load_file(h, found.gl_pathv[i]);
    globfree(&found);
    if (h->count == 0) test_fail("no client has done anything");
    qsort(h->lines, h->count, sizeof(*h->lines), compare);
}

void history_free(struct chaos_history *h)
{
    for (size_t i = 0; i < h->file_count; i++)
        free(h->files[i]);
    free(h->files);
    free(h->lines);
    *h = (struct chaos_history){0};
}

/* ---- Keys ---- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void history_keys(const struct chaos_history *h, void (*each)(void *context, const char *key),
                  void *context)
{
    char **keys = calloc(h->count + 1, sizeof(*keys));

    if (keys == NULL) test_fail("no memory");
    for (size_t i = 0; i < h->count; i++) {
        char key[WORD];
        if (!field(h->lines[i].text, "key", key) || (keys[i] = strdup(key)) == NULL)
            test_fail("no key: %s", h->lines[i].text);
    }
    qsort(keys, h->count, sizeof(*keys), compare_texts);
    for (size_t i = 0; i < h->count; i++)
        if (i == 0 || strcmp(keys[i], keys[i - 1]) != 0) each(context, keys[i]);
    for (size_t i = 0; i < h->count; i++)
        free(keys[i]);
    free(keys);
}

/* ---- Figures ---- */

struct tally_line {
    char function[WORD], what[WORD];
    uint64_t count;
};

struct tallies {
    struct tally_line list[TALLIES_MAX];
    unsigned count;
};

static void count_one(struct tallies *t, const char *function, const char *what)
{
    unsigned i = 0;

    while (i < t->count &&
           (strcmp(t->list[i].function, function) != 0 || strcmp(t->list[i].what, what) != 0))
        i++;
    if (i == t->count) {
        TEST_CHECK(t->count < TALLIES_MAX);
        snprintf(t->list[i].function, WORD, "%s", function);
        snprintf(t->list[i].what, WORD, "%s", what);
        t->count++;
    }
    t->list[i].count++;
}

/* Outcomes that may come of what is done here; all others are findings. */
static bool is_excused(const char *what)
{
    static const char *const excused[] = {"ok",        "info",    "conflict",  "not_found",
                                          "no_quorum", "timeout", "no_cluster"};

    for (size_t i = 0; i < LEN(excused); i++)
        if (strcmp(what, excused[i]) == 0) return true;
    return false;
}

static const char *const functions[] = {"get", "set", "cas", "del", "incr"};

static void expect_successes(const struct tallies *successes)
{
    for (size_t i = 0; i < LEN(functions); i++) {
        unsigned j = 0;
        while (j < successes->count && strcmp(successes->list[j].function, functions[i]) != 0)
            j++;
        if (j == successes->count) test_fail("no %s has succeeded", functions[i]);
    }
}

static void print_tallies(const struct tallies *t)
{
    char text[300];

    for (size_t i = 0; i < LEN(functions); i++) {
        size_t size = 0;
        for (unsigned j = 0; j < t->count; j++)
            if (strcmp(t->list[j].function, functions[i]) == 0 && size < sizeof(text))
                size += (size_t)snprintf(text + size, sizeof(text) - size, " %s %" PRIu64,
                                         t->list[j].what, t->list[j].count);
        if (size > 0) test_say("%-5s%s", functions[i], text);
    }
}

uint64_t history_say(const struct chaos_history *h, uint64_t from_us, uint64_t to_us)
{
    struct tallies t = {0}, successes = {0};
    uint64_t last_ns = from_us * 1000, longest_ns = 0, invoked = 0, ended = 0;

    for (size_t i = 0; i < h->count; i++) {
        const struct chaos_line *l = &h->lines[i];
        char function[WORD] = "", what[WORD] = "";
        invoked += l->type == 'i';
        ended += l->type != 'i';
        if (l->type == 'i' || !field(l->text, "f", function)) continue;
        if (l->type != 'f' || !field(l->text, "error", what)) field(l->text, "type", what);
        count_one(&t, function, what);
        if (!is_excused(what)) test_fail("an outcome that must not be: %s", l->text);
        if (strstr(l->text, "\"corrupt") != NULL) test_fail("wrong bytes: %s", l->text);
        if (l->type != 'o' || l->time_ns < from_us * 1000 || l->time_ns > to_us * 1000) continue;
        if (l->time_ns - last_ns > longest_ns) longest_ns = l->time_ns - last_ns;
        last_ns = l->time_ns;
        count_one(&successes, function, "ok");
    }
    if (to_us * 1000 - last_ns > longest_ns) longest_ns = to_us * 1000 - last_ns;
    test_say("%" PRIu64 " operations, %" PRIu64 " of them cut short by the death of their client",
             invoked, invoked - ended);
    print_tallies(&t);
    test_say("longest time without a successful operation: %.2f s", (double)longest_ns / 1e9);
    expect_successes(&successes);
    return longest_ns / 1000;
}

/* ---- As one file ---- */

static int compare_processes(const void *a, const void *b)
{
    const struct chaos_line *x = *(const struct chaos_line *const *)a;
    const struct chaos_line *y = *(const struct chaos_line *const *)b;

    if (x->process != y->process) return x->process < y->process ? -1 : 1;
    return compare(x, y);
}

/* The line of an invocation as an info at another time. */
static void write_info(FILE *file, const char *text, uint64_t time_ns)
{
    const char *type = strstr(text, "\"invoke\""), *time = strstr(text, "\"time\":");

    TEST_CHECK(type != NULL && time != NULL);
    fprintf(file, "%.*s\"info\"%.*s\"time\":%" PRIu64 "}\n", (int)(type - text), text,
            (int)(time - type - 8), type + 8, time_ns);
}

/* A process's last line is an invocation when its client died meanwhile. */
static void write_open(const struct chaos_history *h, FILE *file)
{
    const struct chaos_line **sorted = malloc((h->count + 1) * sizeof(const struct chaos_line *));
    uint64_t end_ns = h->count > 0 ? h->lines[h->count - 1].time_ns : 0;

    if (sorted == NULL) test_fail("no memory");
    for (size_t i = 0; i < h->count; i++)
        sorted[i] = &h->lines[i];
    qsort(sorted, h->count, sizeof(const struct chaos_line *), compare_processes);
    for (size_t i = 0; i < h->count; i++)
        if (sorted[i]->type == 'i' &&
            (i + 1 == h->count || sorted[i + 1]->process != sorted[i]->process))
            write_info(file, sorted[i]->text, ++end_ns);
    free(sorted);
}

void history_write(const struct chaos_history *h, const char *path)
{
    FILE *file = fopen(path, "we");

    if (file == NULL) test_fail("%s: %s", path, strerror(errno));
    for (size_t i = 0; i < h->count; i++)
        fprintf(file, "%s\n", h->lines[i].text);
    write_open(h, file);
    if (fclose(file) != 0) test_fail("%s: %s", path, strerror(errno));
}
