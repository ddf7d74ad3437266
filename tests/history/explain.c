#include <inttypes.h>
#include <stdlib.h>

#include "tests/history/search.h"

enum { SHOWN = 12 }; /* of the order before the bad answer */

/* Ends of the closed calls, in order. */
static uint64_t *list_ends(struct history_checker *c, const struct history *h)
{
    struct history_problem *p = &c->problem;
    uint64_t *ends = NULL;

    history_problem_load(p, h, HISTORY_OPEN - 1, false);
    ends = history_resize(NULL, p->closed + 1u, sizeof(ends[0]));
    for (uint32_t i = 0; i < p->closed; i++)
        ends[i] = p->items[p->by_end[i]].end;
    return ends;
}

/* How many calls must end until no order is left. A prefix of a linearizable history is one. */
static uint32_t first_bad(struct history_checker *c, const struct history *h, const uint64_t *ends)
{
    uint32_t good = 0, bad = c->problem.closed;

    while (bad - good > 1) {
        uint32_t middle = good + (bad - good) / 2;
        if (history_check_until(c, h, ends[middle - 1]) == HISTORY_NOT_LINEARIZABLE)
            bad = middle;
        else
            good = middle;
    }
    return bad;
}

static void print_order(const struct history_checker *c, const struct history *h, FILE *out)
{
    size_t from = c->depth > SHOWN ? c->depth - SHOWN : 0;
    char value[24];

    fprintf(out, "  an order of all that ended before it%s: start end process call\n",
            from > 0 ? ", the end of it" : "");
    if (from > 0)
        fprintf(out, "    ... %zu calls; then the value is %s\n", from,
                c->stack[from].value == HISTORY_UNSEEN
                    ? "one that nobody looks at"
                    : history_text(h, c->stack[from].value, value));
    for (size_t i = from; i < c->depth; i++) {
        fputs("    ", out);
        history_print_call(out, h, &h->calls[c->problem.items[c->stack[i].item].call]);
    }
}

/* Whether the call had begun when the bad answer came, and may have had an effect. */
static bool may_matter(const struct history_call *call, const struct history_call *bad)
{
    if (call == bad || call->kind >= HISTORY_KIND_COUNT || call->start > bad->end) return false;
    return !history_is_open(call) || call->kind != HISTORY_GET;
}

/* What is not in the order: the last of it. */
static void print_others(const struct history_checker *c, const struct history *h,
                         const struct history_call *bad, FILE *out)
{
    bool *is_other = history_resize(NULL, h->count, sizeof(*is_other));
    size_t count = 0;

    for (size_t i = 0; i < h->count; i++)
        is_other[i] = may_matter(&h->calls[i], bad);
    for (size_t i = 0; i < c->depth; i++)
        is_other[c->problem.items[c->stack[i].item].call] = false;
    for (size_t i = 0; i < h->count; i++)
        count += is_other[i];
    if (count > 0) fputs("  what may have happened besides:\n", out);
    if (count > SHOWN) fprintf(out, "    ... %zu calls\n", count - SHOWN);
    for (size_t i = 0; i < h->count; i++) {
        if (!is_other[i] || count-- > SHOWN) continue;
        fputs("    ", out);
        history_print_call(out, h, &h->calls[i]);
    }
    free(is_other);
}

void history_explain(struct history_checker *c, const struct history *h, const char *key, FILE *out)
{
    uint64_t *ends = list_ends(c, h);
    uint32_t bad = first_bad(c, h, ends);
    const struct history_call *call = NULL;

    for (size_t i = 0; i < h->count && bad > 0; i++)
        if (h->calls[i].kind < HISTORY_KIND_COUNT && h->calls[i].end == ends[bad - 1])
            call = &h->calls[i];
    if (call) {
        history_check_until(c, h, bad > 1 ? ends[bad - 2] : 0);
        fprintf(out, "key %s: no order of its calls explains the end of this one:\n    ", key);
        history_print_call(out, h, call);
        print_order(c, h, out);
        print_others(c, h, call, out);
    }
    free(ends);
}
