#include "tests/cluster/chaos_events.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/cluster/report.h"

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int events_open(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static const char *function_of(enum sherd_op_kind kind)
{
    switch (kind) {
    case SHERD_OP_GET: return "get";
    case SHERD_OP_SET: return "set";
    case SHERD_OP_CAS: return "cas";
    case SHERD_OP_DELETE: return "del";
    case SHERD_OP_INCREMENT: return "incr";
    default: abort();
    }
}

void events_write(int fd, const struct event *e)
{
    static const char *const types[] = {"invoke", "ok", "fail", "info"};
    char line[512], error[64] = "";
    int size;

    if (e->error != NULL) snprintf(error, sizeof(error), ",\"error\":\"%s\"", e->error);
    size = snprintf(line, sizeof(line),
                    "{\"process\":%u,\"type\":\"%s\",\"f\":\"%s\",\"key\":\"%s\",\"value\":%s,"
                    "\"time\":%" PRIu64 "%s}\n",
                    e->process, types[e->type], function_of(e->kind), e->key, e->value, now_ns(),
                    error);
    if (size >= (int)sizeof(line) || write(fd, line, (size_t)size) != size) abort();
}

enum event_type events_type_of(const struct sherd_op *op)
{
    if (op->outcome == SHERD_OK) return EVENT_OK;
    if (op->kind == SHERD_OP_GET) return op->outcome == SHERD_NOT_FOUND ? EVENT_OK : EVENT_FAIL;
    return op->outcome == SHERD_UNCERTAIN ? EVENT_INFO : EVENT_FAIL;
}

/* ---- Values ---- */

void value_name(char *out, uint32_t process, uint32_t number, size_t size)
{
    snprintf(out, EVENTS_NAME_SIZE, "p%u.%u/%zu", process, number, size);
    if (size < strlen(out)) snprintf(out, EVENTS_NAME_SIZE, "p%u.%u/0", process, number);
}

/* 0 stands for: no more than the name. */
size_t value_size(const char *name)
{
    const char *slash = strchr(name, '/');
    size_t size = slash != NULL ? strtoull(slash + 1, NULL, 10) : 0;

    return size > 0 ? size : strlen(name);
}

static uint64_t filler_seed(const char *name)
{
    uint64_t hash = 14695981039346656037U; /* FNV-1a */

    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 1099511628211U;
    return hash;
}

void value_fill(const char *name, void *out)
{
    size_t size = value_size(name), done = strlen(name);
    uint64_t state = filler_seed(name);
    char *at = out;

    memcpy(at, name, done);
    if (done < size) at[done++] = '|';
    for (; done < size; done += 8) {
        uint64_t word = test_random(&state);
        memcpy(at + done, &word, size - done < 8 ? size - done : 8);
    }
}

/* Takes the name from the bytes; false: they are not what such a name stands for. */
static bool read_name(const struct sherd_value *v, char name[EVENTS_NAME_SIZE])
{
    size_t size = 0;
    const char *bytes = v->data;
    char *whole;
    bool same;

    while (size < v->size && size < EVENTS_NAME_SIZE - 1 && bytes[size] != '|' &&
           bytes[size] >= '.' && bytes[size] <= 'p')
        size++;
    memcpy(name, bytes, size);
    name[size] = '\0';
    if (size == 0 || name[0] != 'p' || value_size(name) != v->size) return false;
    whole = malloc(v->size);
    if (whole == NULL) abort();
    value_fill(name, whole);
    same = memcmp(whole, bytes, v->size) == 0;
    free(whole);
    return same;
}

static bool is_number(const struct sherd_value *v)
{
    const char *at = v->data;

    for (size_t i = 0; i < v->size; i++)
        if (at[i] < '0' || at[i] > '9') return false;
    return v->size > 0 && v->size < 19;
}

void value_json(const char *key, const struct sherd_value *v, char *out, size_t size)
{
    char name[EVENTS_NAME_SIZE];

    if (key[0] == EVENTS_COUNTER && is_number(v))
        snprintf(out, size, "%.*s", (int)v->size, (const char *)v->data);
    else if (key[0] != EVENTS_COUNTER && v->size > 0 && read_name(v, name))
        snprintf(out, size, "\"%s\"", name);
    else
        snprintf(out, size, "\"corrupt, %zu bytes\"", v->size);
}
