/* json.h - histories as JSON lines: one event a line, in the order in which they happened. The
 * format is in tests/README.md, "Histories". */
#ifndef SHERD_TESTS_HISTORY_JSON_H
#define SHERD_TESTS_HISTORY_JSON_H

#include <jansson.h>

#include "tests/history/history.h"

enum history_type { HISTORY_INVOKE, HISTORY_OK, HISTORY_FAIL, HISTORY_INFO, HISTORY_TYPE_COUNT };

/* The calls of one key. Their times are numbers of lines; `end` of what is open is HISTORY_OPEN. */
struct history_key {
    char *name;
    struct history history;
};

/* A whole file. */
struct history_set {
    struct history_key *keys;
    size_t key_count;
    size_t lines, calls, open, failed; /* failed: without effect, and not looked at any more */
    char error[256];                   /* "file:line: reason" */
};

struct history_set *history_set_new(void);
void history_set_free(struct history_set *set);

/* Reads to the end of the file. 0; -EINVAL: it breaks the format, set->error says where and how;
 * other negative errno: of the file. Once for each set. */
int history_read(struct history_set *set, FILE *in, const char *name);

/* One event. invoke: the value is what is to be written; a cas has [expected or null, new]; an
 * increment, by how much; a loss, "lost", or null for none; others null. ok: get: what was seen or
 * null; increment: the sum. All others: null. */
struct history_event {
    uint32_t process; /* has one open call at most; never used again after an info */
    enum history_type type;
    enum history_kind kind;
    const char *key;   /* UTF-8 */
    json_t *value;     /* taken over; NULL: null */
    const char *error; /* fail: "conflict", "not_found" or any other word; NULL: none */
};

struct history_writer;

/* Replaces the file. NULL, and errno, when it cannot be opened. */
struct history_writer *history_writer_open(const char *path);

/* Writes one line, with the present time. Any thread may call it: a lock inside keeps lines whole,
 * and their times in order. Write the invoke before the call begins and its end after it has ended:
 * then what the file says about order is true. 0 or negative errno. */
int history_write(struct history_writer *w, const struct history_event *e);

/* 0, or the first error of any write. */
int history_writer_close(struct history_writer *w);

const char *history_type_name(enum history_type type);

#endif
