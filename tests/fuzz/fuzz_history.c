/* fuzz_history - recorded histories from anywhere: refused with file, line and reason, or what the
 * reader promises of a history holds; the checker comes to an end, says the same a second time, and
 * finds no fault in the beginning of a history in which it finds none.
 *
 * An input: the file. */
#include <errno.h>
#include <stdio.h>

#include "tests/fuzz/fuzz.h"
#include "tests/history/check.h"
#include "tests/history/json.h"

enum { STATES_MAX = 1 << 12, CALLS_MAX = 64 };

/* 0, or what the reader said. */
static int read_text(struct history_set *set, struct sherd_bytes text)
{
    uint8_t *copy = fuzz_copy(text);
    FILE *in = text.size != 0 ? fmemopen(copy, text.size, "r") : fopen("/dev/null", "re");

    SHERD_ASSERT(in != NULL);
    int rc = history_read(set, in, "name");
    SHERD_ASSERT(rc == 0 || rc == -EINVAL);
    SHERD_ASSERT(rc == 0 || strncmp(set->error, "name:", 5) == 0);
    fclose(in);
    free(copy);
    return rc;
}

static void check_call(const struct history_call *call, uint64_t after, size_t lines)
{
    SHERD_ASSERT(call->start > after && call->start <= lines);
    SHERD_ASSERT(history_is_open(call) || (call->end > call->start && call->end <= lines));
}

static void check_set(const struct history_set *set)
{
    size_t calls = 0;

    for (size_t i = 0; i < set->key_count; i++) {
        const struct history *h = &set->keys[i].history;
        uint64_t start = 0;

        SHERD_ASSERT(h->count <= h->room && set->keys[i].name != NULL);
        for (size_t j = 0; j < h->count; j++) {
            if (h->calls[j].kind >= HISTORY_KIND_COUNT) continue; /* it had no effect */
            check_call(&h->calls[j], start, set->lines);
            start = h->calls[j].start;
        }
        calls += h->count;
    }
    SHERD_ASSERT(calls == set->calls && set->open + set->failed <= calls);
}

/* NOT_LINEARIZABLE, if a key is; TOO_HARD, if one is; LINEARIZABLE. */
static enum history_verdict judge(const struct history_set *set)
{
    struct history_checker *c = history_checker_new(STATES_MAX);
    enum history_verdict whole = HISTORY_LINEARIZABLE;

    for (size_t i = 0; i < set->key_count && whole != HISTORY_NOT_LINEARIZABLE; i++) {
        const struct history *h = &set->keys[i].history;
        enum history_verdict verdict =
            h->count <= CALLS_MAX ? history_check(c, h) : HISTORY_TOO_HARD;

        if (h->count <= CALLS_MAX) SHERD_ASSERT(history_check(c, h) == verdict);
        if (verdict != HISTORY_LINEARIZABLE) whole = verdict;
        if (verdict == HISTORY_NOT_LINEARIZABLE) {
            FILE *out = fopen("/dev/null", "we");
            SHERD_ASSERT(out != NULL);
            history_explain(c, h, set->keys[i].name, out);
            fclose(out);
        }
    }
    history_checker_free(c);
    return whole;
}

/* About half of the lines. */
static struct sherd_bytes beginning_of(struct sherd_bytes text)
{
    const char *start = text.data;
    size_t size = text.size / 2;

    while (size > 0 && start[size - 1] != '\n')
        size--;
    return (struct sherd_bytes){start, size};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sherd_bytes text = {data, size};
    struct history_set *set = history_set_new();

    if (read_text(set, text) == 0) {
        check_set(set);
        if (judge(set) == HISTORY_LINEARIZABLE) {
            struct history_set *first = history_set_new();
            SHERD_ASSERT(read_text(first, beginning_of(text)) == 0);
            SHERD_ASSERT(judge(first) != HISTORY_NOT_LINEARIZABLE);
            history_set_free(first);
        }
    }
    history_set_free(set);
    return 0;
}
