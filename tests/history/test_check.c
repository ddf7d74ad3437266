/* test_check.c - histories made by hand, good ones and bad ones. A call is KIND[:VALUES]@START-END
 * ("-" for none); without an end it is open; with ! it was refused because of what it found.
 *   set:1@1-2  get:1@3-4  cas:1:2@5-6 (1 -> 2)  cas!1:2@5-6  incr:2:3@5-6 (by 2: 3)  del@7- */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/history/check.h"

enum { CALLS_MAX = 16 };

#define GOOD(name, calls)                 \
    {                                     \
        name, calls, HISTORY_LINEARIZABLE \
    }
#define BAD(name, calls)                      \
    {                                         \
        name, calls, HISTORY_NOT_LINEARIZABLE \
    }

static struct row {
    const char *name, *calls;
    enum history_verdict verdict;
} rows[] = {
    GOOD("nothing happened", ""),
    GOOD("a key begins without a value", "get:-@1-2"),
    GOOD("what was set is read", "set:1@1-2 get:1@3-4"),
    BAD("a stale read", "set:1@1-2 set:2@3-4 get:1@5-6"),
    BAD("no value where one was set", "set:1@1-2 get:-@3-4"),
    BAD("a value from nowhere", "set:1@1-2 get:7@3-4"),
    BAD("a value from the future", "get:1@1-2 set:1@3-4"),
    BAD("a value from an open set of the future", "get:1@1-2 set:1@3-"),
    GOOD("during a set both may be read", "set:1@1-2 set:2@3-9 get:1@4-5 get:2@6-7"),
    BAD("but not new and then old", "set:1@1-2 set:2@3-9 get:2@4-5 get:1@6-7"),
    GOOD("two readers at once may differ", "set:1@1-2 set:2@3-9 get:2@4-6 get:1@5-7"),
    GOOD("real time alone decides: sets in turn", "set:1@1-2 set:2@3-4 get:2@5-6"),
    BAD("real time alone decides: the other turn", "set:2@1-2 set:1@3-4 get:2@5-6"),
    GOOD("sets at once: either may be last", "set:1@1-3 set:2@2-4 get:1@5-6"),
    BAD("sets at once: but only one", "set:1@1-3 set:2@2-4 get:1@5-6 get:2@7-8"),
    GOOD("ends and starts at one time overlap", "set:1@1-3 set:2@3-4 get:1@5-6"),
    GOOD("a cas that finds what it expects", "set:1@1-2 cas:1:2@3-4 get:2@5-6"),
    GOOD("a cas without a value", "cas:-:2@1-2 get:2@3-4"),
    BAD("a lost update", "set:1@1-2 cas:1:2@3-6 cas:1:3@4-7"),
    GOOD("one of two updates", "set:1@1-2 cas:1:2@3-6 cas!1:3@4-7 get:2@8-9"),
    BAD("a cas on a value that never was", "set:1@1-2 cas:9:2@3-4"),
    BAD("a cas on a value that is no more", "set:1@1-2 set:2@3-4 cas:1:3@5-6"),
    BAD("refused although it was so", "set:1@1-2 cas!1:2@3-4"),
    GOOD("refused because of a set at once", "set:1@1-2 set:2@3-6 cas!1:3@4-5 get:2@7-8"),
    BAD("refused is without effect", "set:1@1-2 cas!7:2@3-4 get:2@5-6"),
    GOOD("an open set may have happened", "set:1@1-2 set:2@3- get:2@5-6"),
    GOOD("or not", "set:1@1-2 set:2@3- get:1@5-6"),
    GOOD("or late", "set:1@1-2 set:2@3- get:1@5-6 get:1@7-8 get:2@9-10"),
    BAD("but not twice", "set:1@1-2 set:2@3- get:2@5-6 set:3@7-8 get:2@9-10"),
    BAD("nor before its start", "set:1@1-2 get:2@3-4 set:2@5-"),
    BAD("nor then be undone", "set:1@1-2 set:2@3- get:2@5-6 get:1@7-8"),
    GOOD("two open sets of one value", "set:2@1- set:2@2- get:2@5-6 set:3@7-8 get:2@9-10"),
    BAD("an open cas twice", "set:1@1-2 cas:1:2@3- get:2@4-5 set:1@6-7 get:2@8-9"),
    GOOD("a chain of open ones", "set:1@1- cas:1:2@2- cas:2:3@3- get:3@5-6"),
    BAD("a chain that is broken", "set:1@1- cas:1:2@2- cas:4:3@3- get:3@5-6"),
    GOOD("an open set that nobody sees, felt", "set:1@1-2 set:2@3- cas!1:3@5-6"),
    BAD("felt, and then gone", "set:1@1-2 set:2@3- cas!1:3@5-6 get:1@7-8"),
    BAD("felt twice, needs two", "set:1@1-2 set:2@3- cas!1:3@4-5 set:1@6-7 cas!1:3@8-9"),
    GOOD("and there are two", "set:1@1-2 set:2@3- set:4@3- cas!1:3@4-5 set:1@6-7 cas!1:3@8-9"),
    GOOD("the same value set again, in between", "set:5@1-2 set:5@3-9 del@4-5 get:5@6-7"),
    GOOD("a delete", "set:1@1-2 del@3-4 get:-@5-6"),
    BAD("a delete brought back", "set:1@1-2 del@3-4 get:-@5-6 get:1@7-8"),
    GOOD("an open delete, late", "set:1@1-2 del@3- get:1@4-5 get:-@6-7"),
    BAD("an open delete brought back", "set:1@1-2 del@3- get:-@4-5 get:1@6-7"),
    BAD("replace needs a value", "replace:1@1-2"),
    GOOD("replace is refused without one", "replace!1@1-2 set:2@3-4 replace:3@5-6 get:3@7-8"),
    BAD("replace is refused although there is one", "set:2@1-2 replace!3@3-4"),
    BAD("remove needs a value", "set:1@1-2 remove@3-4 remove@5-6"),
    GOOD("remove is refused without one", "set:1@1-2 remove@3-4 remove!@5-6 get:-@7-8"),
    GOOD("increments", "incr:2:2@1-2 incr:3:5@3-4 get:5@5-6"),
    BAD("two increments, one sum", "incr:1:1@1-3 incr:1:1@2-4"),
    GOOD("an open increment in between", "incr:1:1@1-2 incr:5:-@3- incr:1:7@4-5"),
    BAD("an open increment twice", "incr:5:-@1- get:5@2-3 get:10@4-5"),
    GOOD("two open increments", "incr:5:-@1- incr:5:-@1- get:5@2-3 get:10@4-5"),
    GOOD("an increment from zero", "set:0@1-2 incr:2:2@3-4"),
    GOOD("below zero", "set:-4@1-2 incr:2:-2@3-4 get:-2@5-6"),
    GOOD("lost", "set:1@1-2 loss:lost@3- get:lost@4-5 set:2@6-7 get:2@8-9"),
    BAD("lost without a loss", "set:1@1-2 get:lost@4-5"),
    BAD("lost is no value to replace", "set:1@1-2 loss:lost@3- get:lost@4-5 replace:2@6-7"),
    BAD("lost, and found again", "set:1@1-2 loss:lost@3- get:lost@4-5 get:1@6-7"),
    GOOD("a loss of everything", "set:1@1-2 loss:-@3- get:1@4-5 get:-@6-7"),
};

static int64_t value_of(const char **text)
{
    char *end = NULL;
    int64_t value = HISTORY_NONE;

    ++*text; /* : or ! */
    if (strncmp(*text, "lost", 4) == 0) {
        *text += 4;
        return HISTORY_LOST;
    }
    if (**text == '-' && !(strchr("0123456789", (*text)[1]) && (*text)[1])) {
        ++*text;
        return HISTORY_NONE;
    }
    value = strtoll(*text, &end, 10);
    *text = end;
    return value;
}

static void add_call(struct history *h, const char *text)
{
    char name[16] = "";
    size_t size = strcspn(text, ":!@");
    struct history_call *call = NULL;
    const char *at = strchr(text, '@');
    char *end = NULL;

    memcpy(name, text, size);
    assert_int_not_equal(history_kind_of(name), HISTORY_KIND_COUNT);
    call = history_add(h, history_kind_of(name), strtoull(at + 1, &end, 10));
    assert_non_null(call);
    text += size;
    call->hit = *text != '!';
    if (*text != '@' && text[1] != '@')
        *(call->kind == HISTORY_GET   ? &call->seen
          : call->kind == HISTORY_CAS ? &call->expect
                                      : &call->value) = value_of(&text);
    if (*text == ':') *(call->kind == HISTORY_CAS ? &call->value : &call->seen) = value_of(&text);
    if (end[1] >= '0' && end[1] <= '9')
        call->end = strtoull(end + 1, NULL, 10);
    else
        call->hit = false;
}

static void run_row(void **state)
{
    const struct row *row = *state;
    struct history_call room[CALLS_MAX];
    struct history h = {.calls = room, .room = CALLS_MAX};
    struct history_checker *c = history_checker_new(0);
    char text[256], *rest = NULL;

    snprintf(text, sizeof(text), "%s", row->calls);
    for (char *call = strtok_r(text, " ", &rest); call; call = strtok_r(NULL, " ", &rest))
        add_call(&h, call);
    assert_int_equal(history_check(c, &h), row->verdict);
    assert_int_equal(history_check(c, &h), row->verdict); /* nothing is left of the first time */
    history_checker_free(c);
}

/* Counters of which nobody knows what was added: every subset of them is another sum. */
static void too_hard_is_said(void **state)
{
    struct history_call room[64];
    struct history h = {.calls = room, .room = 64};
    struct history_checker *c = history_checker_new(1000);

    (void)state;
    for (int i = 0; i < 40; i++)
        history_add(&h, HISTORY_INCREMENT, 1)->value = INT64_C(2) << i;
    struct history_call *get = history_add(&h, HISTORY_GET, 2);
    get->seen = 1;
    get->end = 3;
    assert_int_equal(history_check(c, &h), HISTORY_TOO_HARD);
    get->seen = HISTORY_NONE;
    assert_int_equal(history_check(c, &h), HISTORY_LINEARIZABLE);
    history_checker_free(c);
}

static void the_bad_answer_is_named(void **state)
{
    struct history_call room[CALLS_MAX];
    struct history h = {.calls = room, .room = CALLS_MAX};
    struct history_checker *c = history_checker_new(0);
    static const char *const calls[] = {"set:1@1-2", "set:2@3-4", "get:2@5-6", "get:1@7-8",
                                        "set:3@9-10"};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        add_call(&h, calls[i]);
    assert_int_equal(history_check(c, &h), HISTORY_NOT_LINEARIZABLE);
    history_explain(c, &h, "k", out);
    fclose(out);
    assert_non_null(strstr(text, "key k: no order"));
    const char *bad = strstr(text, "sees 1"), *good = strstr(text, "sees 2");
    assert_true(bad && good && bad < good); /* the bad answer, then the order before it */
    assert_null(strstr(text, "set     3")); /* what came later does not matter */
    free(text);
    history_checker_free(c);
}

int main(void)
{
    enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
    struct CMUnitTest tests[ROWS + 2] = {
        cmocka_unit_test(too_hard_is_said),
        cmocka_unit_test(the_bad_answer_is_named),
    };

    for (size_t i = 0; i < ROWS; i++)
        tests[2 + i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = run_row, .initial_state = &rows[i]};
    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
