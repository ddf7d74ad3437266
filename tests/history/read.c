#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/history/json.h"
#include "tests/history/memo.h"

enum { LINE_BYTES_MAX = 1 << 20 };

enum process_state { PROCESS_IDLE, PROCESS_OPEN, PROCESS_GONE };

struct process {
    uint8_t state;
    uint32_t key, call;
};

/* The tables (objects: text to number) and arrays of a file that is being read. */
struct reader {
    struct history_set *set;
    const char *name;
    uint64_t line;
    json_int_t time;
    json_t *keys, *texts, *processes;
    struct process *process;
    size_t process_count;
    size_t text_count;
};

/* A set, and what its histories point to. */
struct owned_set {
    struct history_set set;
    char **texts;
    size_t text_count;
};

/* What a line says; `value` is NULL when it is null or missing. */
struct event {
    enum history_type type;
    enum history_kind kind;
    json_int_t process;
    const char *key, *error;
    json_t *value;
};

struct history_set *history_set_new(void)
{
    struct owned_set *own = history_resize(NULL, 1, sizeof(*own));

    *own = (struct owned_set){0};
    return &own->set;
}

void history_set_free(struct history_set *set)
{
    struct owned_set *own = (struct owned_set *)set;

    if (!set) return;
    for (size_t i = 0; i < set->key_count; i++) {
        free(set->keys[i].name);
        free(set->keys[i].history.calls);
    }
    for (size_t i = 0; i < own->text_count; i++)
        free(own->texts[i]);
    free(own->texts);
    free(set->keys);
    free(own);
}

__attribute__((format(printf, 2, 3))) static int refuse(const struct reader *r, const char *format,
                                                        ...)
{
    char reason[160];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    snprintf(r->set->error, sizeof(r->set->error), "%s:%" PRIu64 ": %s", r->name, r->line, reason);
    return -EINVAL;
}

/* The number of a text in a table; *is_new: it was given one. */
static uint32_t number_of(json_t *table, const char *text, bool *is_new)
{
    const json_t *number = json_object_get(table, text);
    uint32_t next = (uint32_t)json_object_size(table);

    *is_new = !number;
    if (number) return (uint32_t)json_integer_value(number);
    if (json_object_set_new(table, text, json_integer(next)) < 0) abort();
    return next;
}

/* Room for one more in an array that doubles. */
static void *grow(void *array, size_t count, size_t size)
{
    if (count & (count - 1)) return array;
    return history_resize(array, count ? 2 * count : 1, size);
}

static char *copy_of(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(history_resize(NULL, size, 1), text, size);
}

static struct history *history_of(struct reader *r, const char *key, uint32_t *number)
{
    struct history_set *set = r->set;
    bool is_new = false;

    *number = number_of(r->keys, key, &is_new);
    if (is_new) {
        set->keys = grow(set->keys, set->key_count, sizeof(set->keys[0]));
        set->keys[set->key_count++] = (struct history_key){.name = copy_of(key)};
    }
    return &set->keys[*number].history;
}

static struct process *process_of(struct reader *r, json_int_t process)
{
    char text[24];
    bool is_new = false;
    uint32_t number = 0;

    snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, process);
    number = number_of(r->processes, text, &is_new);
    if (is_new) {
        r->process = grow(r->process, r->process_count, sizeof(r->process[0]));
        r->process[r->process_count++] = (struct process){0};
    }
    return &r->process[number];
}

/* A string or an integer as a value of a history. */
static int value_of(struct reader *r, const json_t *json, int64_t *value)
{
    struct owned_set *own = (struct owned_set *)r->set;
    bool is_new = false;
    uint32_t number = 0;

    if (json_is_integer(json)) {
        *value = json_integer_value(json);
        if (history_is_number(*value)) return 0;
        return refuse(r, "a number is beyond 2^61: %" JSON_INTEGER_FORMAT,
                      json_integer_value(json));
    }
    if (!json_is_string(json)) return refuse(r, "a value is neither a string nor an integer");
    number = number_of(r->texts, json_string_value(json), &is_new);
    if (is_new) {
        own->texts = grow(own->texts, own->text_count, sizeof(own->texts[0]));
        own->texts[own->text_count++] = copy_of(json_string_value(json));
    }
    *value = HISTORY_TEXT(number);
    return 0;
}

static int value_or_none(struct reader *r, const json_t *json, int64_t *value)
{
    *value = HISTORY_NONE;
    return !json || json_is_null(json) ? 0 : value_of(r, json, value);
}

/* The arguments of a call: what an invoke says, and an end may repeat. */
static int arguments(struct reader *r, const struct event *e, struct history_call *call)
{
    switch (e->kind) {
    case HISTORY_SET:
    case HISTORY_REPLACE:
        if (!e->value) return refuse(r, "%s without a value", history_kind_name(e->kind));
        return value_of(r, e->value, &call->value);
    case HISTORY_CAS:
        if (json_array_size(e->value) != 2)
            return refuse(r, "the value of a cas is not [expected or null, new]");
        if (value_or_none(r, json_array_get(e->value, 0), &call->expect) < 0) return -EINVAL;
        return value_of(r, json_array_get(e->value, 1), &call->value);
    case HISTORY_INCREMENT:
        if (!json_is_integer(e->value)) return refuse(r, "the value of an incr is no integer");
        return value_of(r, e->value, &call->value);
    case HISTORY_LOSS:
        if (!e->value) return 0;
        if (!json_is_string(e->value) || strcmp(json_string_value(e->value), "lost") != 0)
            return refuse(r, "the value of a loss is neither null nor \"lost\"");
        call->value = HISTORY_LOST;
        return 0;
    default: break;
    }
    if (e->value) return refuse(r, "%s with a value", history_kind_name(e->kind));
    return 0;
}

static int invoke(struct reader *r, const struct event *e, struct process *p)
{
    struct history *h = NULL;
    struct history_call *call = NULL;

    if (p->state == PROCESS_OPEN)
        return refuse(r, "process %" JSON_INTEGER_FORMAT " has an open call already", e->process);
    if (p->state == PROCESS_GONE)
        return refuse(r, "process %" JSON_INTEGER_FORMAT " is used again after an info",
                      e->process);
    h = history_of(r, e->key, &p->key);
    if (h->count == h->room) {
        h->room = h->room ? 2 * h->room : 16;
        h->calls = history_resize(h->calls, h->room, sizeof(h->calls[0]));
    }
    p->call = (uint32_t)h->count;
    p->state = PROCESS_OPEN;
    call = history_add(h, e->kind, r->line);
    call->process = (uint32_t)e->process;
    r->set->calls++;
    return arguments(r, e, call);
}

static int end_ok(struct reader *r, const struct event *e, struct history_call *call)
{
    struct history_call again = *call;
    int rc = 0;

    call->end = r->line;
    call->hit = true;
    if (e->kind == HISTORY_LOSS) return refuse(r, "nobody can say that a loss is ok");
    if (e->kind == HISTORY_GET) return value_or_none(r, e->value, &call->seen);
    if (e->kind == HISTORY_INCREMENT) {
        if (!json_is_integer(e->value)) return refuse(r, "the sum of an incr is no integer");
        return value_of(r, e->value, &call->seen);
    }
    if (!e->value) return 0;
    rc = arguments(r, e, &again);
    if (rc == 0 && (again.value != call->value || again.expect != call->expect))
        rc = refuse(r, "the value is not that of the invoke");
    return rc;
}

/* What was refused because of what it found is a look; everything else did not happen. */
static int end_fail(struct reader *r, const struct event *e, struct history_call *call)
{
    bool conflict = e->error && strcmp(e->error, "conflict") == 0;
    bool not_found = e->error && strcmp(e->error, "not_found") == 0;
    bool may_look =
        e->kind == HISTORY_CAS || e->kind == HISTORY_REPLACE || e->kind == HISTORY_REMOVE;

    if (e->kind == HISTORY_LOSS) return refuse(r, "nobody can say that a loss failed");
    if (e->kind == HISTORY_GET && e->error && strcmp(e->error, "marked_lost") == 0)
        call->seen = HISTORY_LOST;
    else if (!(e->kind == HISTORY_GET && not_found) && !(may_look && (conflict || not_found))) {
        history_remove(call);
        r->set->failed++;
        return 0;
    }
    call->end = r->line;
    return 0;
}

static int end(struct reader *r, const struct event *e, struct process *p)
{
    struct history_call *call = NULL;

    if (p->state != PROCESS_OPEN)
        return refuse(r, "process %" JSON_INTEGER_FORMAT " has no open call", e->process);
    call = &r->set->keys[p->key].history.calls[p->call];
    if (call->kind != e->kind)
        return refuse(r, "the open call is a %s, not a %s",
                      history_kind_name((enum history_kind)call->kind), history_kind_name(e->kind));
    if (strcmp(r->set->keys[p->key].name, e->key) != 0)
        return refuse(r, "the open call is of key %.60s, not of %.60s", r->set->keys[p->key].name,
                      e->key);
    p->state = e->type == HISTORY_INFO ? PROCESS_GONE : PROCESS_IDLE;
    if (e->type == HISTORY_OK) return end_ok(r, e, call);
    return e->type == HISTORY_FAIL ? end_fail(r, e, call) : 0;
}

static enum history_type type_of(const char *name)
{
    enum history_type type = HISTORY_INVOKE;

    while (type < HISTORY_TYPE_COUNT &&
           strcmp(history_type_name((enum history_type)type), name) != 0)
        type++;
    return type;
}

static int parse_event(struct reader *r, const json_t *line, struct event *e)
{
    const json_t *process = json_object_get(line, "process");
    const json_t *time = json_object_get(line, "time");
    const json_t *error = json_object_get(line, "error");
    const char *type = json_string_value(json_object_get(line, "type"));
    const char *kind = json_string_value(json_object_get(line, "f"));

    e->key = json_string_value(json_object_get(line, "key"));
    e->process = json_integer_value(process);
    e->value = json_object_get(line, "value");
    e->error = json_string_value(error);
    if (json_is_null(e->value)) e->value = NULL;
    if (!json_is_integer(process) || e->process < 0 || e->process > UINT32_MAX)
        return refuse(r, "\"process\" is no integer from 0 to 2^32 - 1");
    if (!type || !kind || !e->key) return refuse(r, "\"type\", \"f\" or \"key\" is no string");
    e->type = type_of(type);
    if (e->type == HISTORY_TYPE_COUNT) return refuse(r, "unknown type \"%.60s\"", type);
    e->kind = history_kind_of(kind);
    if (e->kind == HISTORY_KIND_COUNT) return refuse(r, "unknown f \"%.60s\"", kind);
    if (!json_is_integer(time)) return refuse(r, "\"time\" is no integer");
    if (json_integer_value(time) < r->time) return refuse(r, "\"time\" goes back");
    r->time = json_integer_value(time);
    if (error && !e->error) return refuse(r, "\"error\" is no string");
    return 0;
}

static int read_line(struct reader *r, const char *text, size_t size)
{
    struct event e = {0};
    json_error_t error;
    json_t *line = NULL;
    int rc = 0;

    if (size > LINE_BYTES_MAX) return refuse(r, "the line is longer than 1 MiB");
    line = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!line) return refuse(r, "no JSON: %s", error.text);
    if (json_is_object(line))
        rc = parse_event(r, line, &e);
    else
        rc = refuse(r, "no object");
    if (rc == 0) {
        struct process *p = process_of(r, e.process);
        rc = e.type == HISTORY_INVOKE ? invoke(r, &e, p) : end(r, &e, p);
    }
    json_decref(line);
    return rc;
}

static void finish(struct history_set *set)
{
    struct owned_set *own = (struct owned_set *)set;

    for (size_t i = 0; i < set->key_count; i++) {
        struct history *h = &set->keys[i].history;
        h->texts = (const char *const *)own->texts;
        for (size_t j = 0; j < h->count; j++)
            set->open += h->calls[j].kind < HISTORY_KIND_COUNT && history_is_open(&h->calls[j]);
    }
}

int history_read(struct history_set *set, FILE *in, const char *name)
{
    struct reader r = {.set = set, .name = name, .time = INT64_MIN};
    char *text = NULL;
    size_t room = 0;
    ssize_t size = 0;
    int rc = 0;

    r.keys = json_object();
    r.texts = json_object();
    r.processes = json_object();
    while (rc == 0 && (size = getline(&text, &room, in)) >= 0) {
        r.line++;
        rc = read_line(&r, text, (size_t)size);
    }
    /* getline also ends where it has no memory, and says so by nothing but errno. */
    if (rc == 0 && !feof(in)) rc = ferror(in) ? -EIO : -ENOMEM;
    set->lines = r.line;
    finish(set);
    json_decref(r.keys);
    json_decref(r.texts);
    json_decref(r.processes);
    free(r.process);
    free(text);
    return rc;
}
