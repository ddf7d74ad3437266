/* test_json.c - histories as JSON lines: written, read, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>

#include "tests/history/check.h"
#include "tests/history/generate.h"
#include "tests/history/json.h"
#include "tests/history/memo.h"

enum { CALLS = 300, THREADS = 4, KINDS = (1 << HISTORY_KIND_COUNT) - 1 };

static int read_text(struct history_set *set, const char *text, size_t size)
{
    char *copy = strndup(text, size);
    FILE *in = size ? fmemopen(copy, size, "r") : fopen("/dev/null", "r");
    int rc = 0;

    assert_non_null(in);
    rc = history_read(set, in, "h");
    fclose(in);
    free(copy);
    return rc;
}

/* Short for a line: P TYPE F KEY VALUE, the time is 1. */
#define LINE(p, type, f, key, value)                                              \
    "{\"process\":" #p ",\"type\":\"" #type "\",\"f\":\"" #f "\",\"key\":\"" #key \
    "\",\"value\":" value ",\"time\":1}\n"
#define FAIL(p, f, key, error)                                               \
    "{\"process\":" #p ",\"type\":\"fail\",\"f\":\"" #f "\",\"key\":\"" #key \
    "\",\"value\":null,\"error\":\"" error "\",\"time\":1}\n"
#define ROW(text, error) \
    {                    \
        text, error      \
    }
#define SET LINE(0, invoke, set, k, "1")

/* Text that breaks the format, and what is said of it. */
static struct refusal {
    const char *text, *error;
} refusals[] = {
    ROW("\n", "h:1: no JSON: "),
    ROW("{\"process\":1", "h:1: no JSON: "),
    ROW("{\"process\":1,\"process\":1}\n", "h:1: no JSON: "),
    ROW("[1]\n", "h:1: no object"),
    ROW("{}\n", "h:1: \"process\" is no integer from 0"),
    ROW(LINE(-1, invoke, get, k, "null"), "h:1: \"process\" is no integer from 0"),
    ROW(LINE(4294967296, invoke, get, k, "null"), "h:1: \"process\" is no integer from 0"),
    ROW(LINE("1", invoke, get, k, "null"), "h:1: \"process\" is no integer from 0"),
    ROW("{\"process\":1,\"type\":1,\"f\":\"get\",\"key\":\"k\"}",
        "h:1: \"type\", \"f\" or \"key\""),
    ROW("{\"process\":1,\"type\":\"ok\",\"f\":\"get\"}", "h:1: \"type\", \"f\" or \"key\""),
    ROW(LINE(1, begin, get, k, "null"), "h:1: unknown type \"begin\""),
    ROW(LINE(1, invoke, put, k, "1"), "h:1: unknown f \"put\""),
    ROW("{\"process\":1,\"type\":\"invoke\",\"f\":\"get\",\"key\":\"k\"}", "h:1: \"time\" is no"),
    ROW(SET "{\"process\":0,\"type\":\"ok\",\"f\":\"set\",\"key\":\"k\",\"time\":0}",
        "h:2: \"time\" goes"),
    ROW("{\"process\":1,\"type\":\"fail\",\"f\":\"get\",\"key\":\"k\",\"time\":1,\"error\":1}",
        "h:1: \"error\" is no string"),
    ROW(LINE(1, invoke, set, k, "null"), "h:1: set without a value"),
    ROW(LINE(1, invoke, set, k, "1.5"), "h:1: a value is neither"),
    ROW(LINE(1, invoke, set, k, "4611686018427387904"), "h:1: a number is beyond 2^61"),
    ROW(LINE(1, invoke, replace, k, "null"), "h:1: replace without a value"),
    ROW(LINE(1, invoke, get, k, "1"), "h:1: get with a value"),
    ROW(LINE(1, invoke, del, k, "1"), "h:1: del with a value"),
    ROW(LINE(1, invoke, remove, k, "1"), "h:1: remove with a value"),
    ROW(LINE(1, invoke, cas, k, "1"), "h:1: the value of a cas is not"),
    ROW(LINE(1, invoke, cas, k, "[1]"), "h:1: the value of a cas is not"),
    ROW(LINE(1, invoke, cas, k, "[1,null]"), "h:1: a value is neither"),
    ROW(LINE(1, invoke, incr, k, "\"1\""), "h:1: the value of an incr is no integer"),
    ROW(LINE(1, invoke, loss, k, "1"), "h:1: the value of a loss is neither"),
    ROW(LINE(1, invoke, loss, k, "null") LINE(1, ok, loss, k, "null"), "h:2: nobody can say"),
    ROW(LINE(1, invoke, loss, k, "null") FAIL(1, loss, k, "x"), "h:2: nobody can say"),
    ROW(SET SET, "h:2: process 0 has an open call already"),
    ROW(SET LINE(0, info, set, k, "null") SET, "h:3: process 0 is used again after an info"),
    ROW(SET LINE(0, info, set, k, "null") LINE(0, ok, set, k, "1"),
        "h:3: process 0 has no open call"),
    ROW(LINE(0, ok, get, k, "1"), "h:1: process 0 has no open call"),
    ROW(SET LINE(1, ok, set, k, "1"), "h:2: process 1 has no open call"),
    ROW(SET LINE(0, ok, get, k, "1"), "h:2: the open call is a set, not a get"),
    ROW(SET LINE(0, ok, set, j, "1"), "h:2: the open call is of key k, not of j"),
    ROW(SET LINE(0, ok, set, k, "2"), "h:2: the value is not that of the invoke"),
    ROW(LINE(1, invoke, incr, k, "1") LINE(1, ok, incr, k, "null"),
        "h:2: the sum of an incr is no"),
    ROW(LINE(1, invoke, get, k, "null") LINE(1, ok, get, k, "true"), "h:2: a value is neither"),
};

static void refused(void **state)
{
    const struct refusal *row = *state;
    struct history_set *set = history_set_new();

    assert_int_equal(read_text(set, row->text, strlen(row->text)), -EINVAL);
    if (strncmp(set->error, row->error, strlen(row->error)) != 0)
        assert_string_equal(set->error, row->error);
    history_set_free(set);
}

static void a_long_line_is_refused(void **state)
{
    enum { SIZE = (1 << 20) + 2 };
    char *text = malloc(SIZE);
    struct history_set *set = history_set_new();

    (void)state;
    assert_non_null(text);
    memset(text, ' ', SIZE);
    assert_int_equal(read_text(set, text, SIZE), -EINVAL);
    assert_string_equal(set->error, "h:1: the line is longer than 1 MiB");
    history_set_free(set);
    free(text);
}

/* What each end makes of its call. */
static void ends(void **state)
{
    static const char text[] = LINE(0, invoke, set, k, "\"x\"") LINE(0, ok, set, k, "\"x\"")
        LINE(0, invoke, cas, k, "[\"y\",5]") FAIL(0, cas, k, "conflict")
            LINE(0, invoke, cas, k, "[null,5]") FAIL(0, cas, k, "full")
                LINE(0, invoke, remove, j, "null") FAIL(0, remove, j, "not_found")
                    LINE(0, invoke, get, j, "null") FAIL(0, get, j, "not_found")
                        LINE(0, invoke, get, j, "null") FAIL(0, get, j, "marked_lost")
                            LINE(0, invoke, del, j, "null") FAIL(0, del, j, "not_found")
                                LINE(0, invoke, incr, j, "2") LINE(0, info, incr, j, "null")
                                    LINE(7, invoke, incr, j, "2") LINE(7, ok, incr, j, "4")
                                        LINE(8, invoke, loss, j, "\"lost\"");
    struct history_set *set = history_set_new();
    const struct history_call *k = NULL, *j = NULL;
    char room[24];

    (void)state;
    assert_int_equal(read_text(set, text, strlen(text)), 0);
    assert_int_equal(set->key_count, 2);
    assert_int_equal(set->calls, 10);
    assert_int_equal(set->open, 2);
    assert_int_equal(set->failed, 2);
    assert_string_equal(set->keys[0].name, "k");
    k = set->keys[0].history.calls;
    j = set->keys[1].history.calls;
    assert_string_equal(history_text(&set->keys[0].history, k[0].value, room), "x");
    assert_true(k[0].hit && k[0].start == 1 && k[0].end == 2);
    assert_true(!k[1].hit && k[1].end == 4 && k[1].expect != k[0].value && k[1].value == 5);
    assert_int_equal(k[2].kind, HISTORY_KIND_COUNT);
    assert_true(j[0].kind == HISTORY_REMOVE && !j[0].hit && j[0].end == 8);
    assert_true(j[1].seen == HISTORY_NONE && j[1].end == 10);
    assert_true(j[2].seen == HISTORY_LOST && j[2].end == 12);
    assert_int_equal(j[3].kind, HISTORY_KIND_COUNT);
    assert_true(j[4].kind == HISTORY_INCREMENT && history_is_open(&j[4]) && j[4].value == 2);
    assert_true(j[5].hit && j[5].seen == 4 && j[5].process == 7);
    assert_true(history_is_open(&j[6]) && j[6].value == HISTORY_LOST);
    history_set_free(set);
}

static json_t *json_of(int64_t value)
{
    return value == HISTORY_NONE ? json_null() : json_integer(value);
}

static json_t *value_at_start(const struct history_call *call)
{
    switch (call->kind) {
    case HISTORY_CAS: return json_pack("[o,o]", json_of(call->expect), json_of(call->value));
    case HISTORY_LOSS: return call->value == HISTORY_LOST ? json_string("lost") : NULL;
    case HISTORY_GET:
    case HISTORY_DELETE:
    case HISTORY_REMOVE: return NULL;
    default: return json_of(call->value);
    }
}

static void write_end(struct history_writer *w, const struct history_call *call)
{
    struct history_event e = {.process = call->process,
                              .type = call->kind == HISTORY_GET || call->hit ? HISTORY_OK
                                                                             : HISTORY_FAIL,
                              .kind = (enum history_kind)call->kind,
                              .key = "k"};

    if (e.type == HISTORY_FAIL) e.error = "conflict";
    if (call->kind == HISTORY_GET && call->seen == HISTORY_LOST) {
        e.type = HISTORY_FAIL;
        e.error = "marked_lost";
    } else if (call->kind == HISTORY_GET || (call->kind == HISTORY_INCREMENT && call->hit)) {
        e.value = json_of(call->seen);
    }
    assert_int_equal(history_write(w, &e), 0);
}

static void write_all(struct history_writer *w, const struct history *h)
{
    size_t started = 0;

    for (uint64_t time = 0; started < h->count || time < 100 * CALLS; time++) {
        for (; started < h->count && h->calls[started].start == time; started++) {
            const struct history_call *call = &h->calls[started];
            struct history_event e = {.process = call->process,
                                      .type = HISTORY_INVOKE,
                                      .kind = (enum history_kind)call->kind,
                                      .key = "k",
                                      .value = value_at_start(call)};
            assert_int_equal(history_write(w, &e), 0);
        }
        for (size_t i = 0; i < started; i++)
            if (h->calls[i].end == time) write_end(w, &h->calls[i]);
    }
}

static void is_same(const struct history_call *a, const struct history_call *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->process, b->process);
    if (a->kind != HISTORY_GET) assert_int_equal(a->hit, b->hit);
    assert_int_equal(history_is_open(a), history_is_open(b));
    assert_int_equal(a->value, b->value);
    assert_int_equal(a->expect, b->expect);
    if (a->kind != HISTORY_INCREMENT || a->hit) assert_int_equal(a->seen, b->seen);
}

static char *temporary(void)
{
    char *path = strdup("/tmp/sherd-history-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    return path;
}

static struct history_set *read_file(const char *path)
{
    struct history_set *set = history_set_new();
    FILE *in = fopen(path, "r");

    assert_non_null(in);
    if (history_read(set, in, path) != 0) fail_msg("%s", set->error);
    fclose(in);
    return set;
}

/* No increments: one that finds a lost value has no look that could be written. */
static void what_is_written_is_read(void **state)
{
    struct history_call room[CALLS];
    struct history h = {.calls = room, .room = CALLS};
    char *path = temporary();
    struct history_writer *w = history_writer_open(path);
    struct generate g = {.seed = 5,
                         .calls = CALLS,
                         .processes = 6,
                         .open_permille = 100,
                         .kinds = KINDS & ~(1u << HISTORY_INCREMENT)};
    struct history_set *set = NULL;
    struct history_checker *c = history_checker_new(0);

    (void)state;
    assert_non_null(w);
    generate(&g, &h);
    write_all(w, &h);
    assert_int_equal(history_writer_close(w), 0);
    set = read_file(path);
    assert_int_equal(set->key_count, 1);
    assert_int_equal(set->keys[0].history.count, CALLS);
    for (size_t i = 0; i < CALLS; i++)
        is_same(&h.calls[i], &set->keys[0].history.calls[i]);
    assert_int_equal(history_check(c, &h), HISTORY_LINEARIZABLE);
    assert_int_equal(history_check(c, &set->keys[0].history), HISTORY_LINEARIZABLE);
    history_checker_free(c);
    history_set_free(set);
    unlink(path);
    free(path);
}

struct scribe {
    struct history_writer *writer;
    uint32_t process;
};

static void *scribble(void *context)
{
    const struct scribe *s = context;

    for (int i = 0; i < CALLS; i++) {
        struct history_event e = {.process = s->process, .kind = HISTORY_SET, .key = "k"};
        e.value = json_integer(i);
        history_write(s->writer, &e);
        e.type = HISTORY_OK;
        e.value = NULL;
        history_write(s->writer, &e);
    }
    return NULL;
}

static void threads_share_a_writer(void **state)
{
    char *path = temporary();
    struct history_writer *w = history_writer_open(path);
    pthread_t threads[THREADS];
    struct scribe scribes[THREADS];
    struct history_set *set = NULL;

    (void)state;
    assert_non_null(w);
    for (uint32_t i = 0; i < THREADS; i++) {
        scribes[i] = (struct scribe){w, i};
        assert_int_equal(pthread_create(&threads[i], NULL, scribble, &scribes[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(history_writer_close(w), 0);
    set = read_file(path);
    assert_int_equal(set->lines, 2 * THREADS * CALLS);
    assert_int_equal(set->open, 0);
    history_set_free(set);
    unlink(path);
    free(path);
}

static void a_full_disk_is_told(void **state)
{
    struct history_writer *w = history_writer_open("/dev/full");
    struct history_event e = {.kind = HISTORY_GET, .key = "k"};

    (void)state;
    assert_null(history_writer_open("/nowhere/at/all"));
    assert_non_null(w);
    history_write(w, &e);
    assert_int_equal(history_writer_close(w), -ENOSPC);
    w = history_writer_open("/dev/null");
    e.key = "\xff";
    assert_int_equal(history_write(w, &e), -EINVAL);
    assert_int_equal(history_writer_close(w), -EINVAL);
}

int main(void)
{
    enum { ROWS = sizeof(refusals) / sizeof(refusals[0]) };
    struct CMUnitTest tests[ROWS + 5] = {
        cmocka_unit_test(a_long_line_is_refused),  cmocka_unit_test(ends),
        cmocka_unit_test(what_is_written_is_read), cmocka_unit_test(threads_share_a_writer),
        cmocka_unit_test(a_full_disk_is_told),
    };

    for (size_t i = 0; i < ROWS; i++)
        tests[5 + i] = (struct CMUnitTest){
            .name = refusals[i].error, .test_func = refused, .initial_state = &refusals[i]};
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
