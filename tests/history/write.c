#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "tests/history/json.h"
#include "tests/history/memo.h"

struct history_writer {
    FILE *file;
    pthread_mutex_t lock;
    int rc;
};

const char *history_type_name(enum history_type type)
{
    static const char *const names[HISTORY_TYPE_COUNT] = {"invoke", "ok", "fail", "info"};

    return names[type];
}

struct history_writer *history_writer_open(const char *path)
{
    FILE *file = fopen(path, "we");
    struct history_writer *w = NULL;

    if (!file) return NULL;
    w = history_resize(NULL, 1, sizeof(*w));
    *w = (struct history_writer){.file = file};
    pthread_mutex_init(&w->lock, NULL);
    return w;
}

static json_int_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (json_int_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int put(struct history_writer *w, json_t *line)
{
    if (json_object_set_new(line, "time", json_integer(now_ns())) < 0) return -ENOMEM;
    errno = EIO;
    if (json_dumpf(line, w->file, JSON_COMPACT) < 0 || fputc('\n', w->file) == EOF) return -errno;
    return 0;
}

int history_write(struct history_writer *w, const struct history_event *e)
{
    json_t *line = json_pack("{s:I,s:s,s:s,s:s,s:o}", "process", (json_int_t)e->process, "type",
                             history_type_name(e->type), "f", history_kind_name(e->kind), "key",
                             e->key, "value", e->value ? e->value : json_null());
    int rc = line ? 0 : -EINVAL; /* such as a key that is no UTF-8 */

    if (rc == 0 && e->error && json_object_set_new(line, "error", json_string(e->error)) < 0)
        rc = -EINVAL;
    pthread_mutex_lock(&w->lock);
    if (rc == 0) rc = put(w, line);
    if (w->rc == 0) w->rc = rc;
    pthread_mutex_unlock(&w->lock);
    json_decref(line);
    return rc;
}

int history_writer_close(struct history_writer *w)
{
    int rc = w->rc;

    if (fclose(w->file) != 0 && rc == 0) rc = -errno;
    pthread_mutex_destroy(&w->lock);
    free(w);
    return rc;
}
