/* history.h - what callers asked of one key and were told.
 *
 * A call is open until its end is known: it may take effect at any time after its start, once, or
 * never (UNCERTAIN, or its caller died). One that was told "nothing changed" is not in the history:
 * were it to take effect, a value that nobody wrote would be read. One that was refused because of
 * what it found (cas, replace, remove) is closed, with `hit` false: a look.
 *
 * Values are numbers, texts (by their place in a table), or one of two marks. */
#ifndef SHERD_TESTS_HISTORY_HISTORY_H
#define SHERD_TESTS_HISTORY_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum history_kind {
    HISTORY_GET,
    HISTORY_SET,
    HISTORY_DELETE,
    HISTORY_CAS,       /* if the value is `expect` */
    HISTORY_REPLACE,   /* if there is a value */
    HISTORY_REMOVE,    /* delete, if there is a value */
    HISTORY_INCREMENT, /* by `value`, from 0 if there is none; the sum is `seen` */
    HISTORY_LOSS,      /* the value becomes `value`; nobody asks for it, so it is always open */
    HISTORY_KIND_COUNT
};

#define HISTORY_NONE       INT64_MIN       /* no value: how every key begins */
#define HISTORY_LOST       (INT64_MIN + 1) /* the value is marked as lost: it exists no more */
#define HISTORY_UNSEEN     (INT64_MIN + 2) /* the checker's own: a value that nobody looks at */
#define HISTORY_TEXT(i)    (INT64_MIN + 16 + (int64_t)(i)) /* text number i */
#define HISTORY_NUMBER_MAX (INT64_C(1) << 61)              /* numbers: -MAX .. MAX */
#define HISTORY_OPEN       UINT64_MAX                      /* no end */

struct history_call {
    uint8_t kind;
    bool hit; /* closed, not a get: it took effect */
    uint32_t process;
    uint64_t start, end; /* of equal times the start is the earlier one */
    int64_t value;       /* what it writes; increment: by how much */
    int64_t expect;
    int64_t seen;
};

/* Calls of one key, in the order of their start, in the owner's memory. */
struct history {
    struct history_call *calls;
    size_t count, room;
    const char *const *texts; /* of HISTORY_TEXT(i); NULL: none */
};

/* Adds a call, open until told otherwise, without values; NULL: no room. */
struct history_call *history_add(struct history *h, enum history_kind kind, uint64_t start);

/* It certainly had no effect. Its place stays (calls are named by pointers); nobody sees it. */
void history_remove(struct history_call *call);

static inline bool history_is_open(const struct history_call *call)
{
    return call->end == HISTORY_OPEN;
}

static inline bool history_is_number(int64_t value)
{
    return value >= -HISTORY_NUMBER_MAX && value <= HISTORY_NUMBER_MAX;
}

const char *history_kind_name(enum history_kind kind); /* "get", "set", "del", ... */
enum history_kind history_kind_of(const char *name);   /* HISTORY_KIND_COUNT: no such name */
const char *history_text(const struct history *h, int64_t value, char room[24]);
void history_print_call(FILE *out, const struct history *h, const struct history_call *call);
void history_print(FILE *out, const struct history *h, const char *key);

#endif
