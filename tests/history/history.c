#include "tests/history/history.h"

#include <inttypes.h>
#include <string.h>

static const char *const names[HISTORY_KIND_COUNT] = {
    [HISTORY_GET] = "get",        [HISTORY_SET] = "set",         [HISTORY_DELETE] = "del",
    [HISTORY_CAS] = "cas",        [HISTORY_REPLACE] = "replace", [HISTORY_REMOVE] = "remove",
    [HISTORY_INCREMENT] = "incr", [HISTORY_LOSS] = "loss",
};

struct history_call *history_add(struct history *h, enum history_kind kind, uint64_t start)
{
    struct history_call *call = NULL;

    if (h->count == h->room) return NULL;
    call = &h->calls[h->count++];
    *call = (struct history_call){.kind = (uint8_t)kind,
                                  .start = start,
                                  .end = HISTORY_OPEN,
                                  .value = HISTORY_NONE,
                                  .expect = HISTORY_NONE,
                                  .seen = HISTORY_NONE};
    return call;
}

void history_remove(struct history_call *call)
{
    call->kind = HISTORY_KIND_COUNT;
    call->end = HISTORY_OPEN;
}

const char *history_kind_name(enum history_kind kind)
{
    return kind < HISTORY_KIND_COUNT ? names[kind] : "-";
}

enum history_kind history_kind_of(const char *name)
{
    int kind = 0;

    while (kind < HISTORY_KIND_COUNT && strcmp(names[kind], name) != 0)
        kind++;
    return (enum history_kind)kind;
}

const char *history_text(const struct history *h, int64_t value, char room[24])
{
    if (value == HISTORY_NONE) return "none";
    if (value == HISTORY_LOST) return "lost";
    if (!history_is_number(value) && h->texts) return h->texts[value - HISTORY_TEXT(0)];
    snprintf(room, 24, "%" PRId64, value);
    return room;
}

void history_print_call(FILE *out, const struct history *h, const struct history_call *call)
{
    char end[24] = "open", value[24], other[24];

    if (!history_is_open(call)) snprintf(end, sizeof(end), "%" PRIu64, call->end);
    fprintf(out, "%10" PRIu64 " %10s  process %-4" PRIu32 " %-7s ", call->start, end, call->process,
            history_kind_name((enum history_kind)call->kind));
    switch (call->kind) {
    case HISTORY_GET: fprintf(out, "sees %s", history_text(h, call->seen, value)); break;
    case HISTORY_CAS:
        fprintf(out, "%s -> %s", history_text(h, call->expect, other),
                history_text(h, call->value, value));
        break;
    case HISTORY_INCREMENT: fprintf(out, "by %s", history_text(h, call->value, value)); break;
    case HISTORY_DELETE:
    case HISTORY_REMOVE: break;
    default: fprintf(out, "%s", history_text(h, call->value, value)); break;
    }
    if (call->kind == HISTORY_INCREMENT && call->hit)
        fprintf(out, ": %s", history_text(h, call->seen, other));
    if (call->kind != HISTORY_GET && !history_is_open(call) && !call->hit)
        fprintf(out, ": refused");
    fputc('\n', out);
}

void history_print(FILE *out, const struct history *h, const char *key)
{
    fprintf(out, "history of %s: start end process call\n", key);
    for (size_t i = 0; i < h->count; i++)
        if (h->calls[i].kind < HISTORY_KIND_COUNT) history_print_call(out, h, &h->calls[i]);
}
