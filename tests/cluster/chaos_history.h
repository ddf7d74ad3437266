/* chaos_history.h - the clients' files of events, made into one history and judged. */
#ifndef SHERD_TESTS_CLUSTER_CHAOS_HISTORY_H
#define SHERD_TESTS_CLUSTER_CHAOS_HISTORY_H

#include <stddef.h>
#include <stdint.h>

struct chaos_line {
    uint64_t time_ns;
    uint32_t process;
    char type;        /* i nvoke, o k, f ail, ? for info */
    const char *text; /* the whole line, without its end */
};

struct chaos_history {
    struct chaos_line *lines; /* by time */
    size_t count, room;
    char **files; /* their bytes */
    size_t file_count;
};

/* All files *.events of the test's folder. */
void history_load(struct chaos_history *h);
void history_free(struct chaos_history *h);

/* Calls for each key, once. */
void history_keys(const struct chaos_history *h, void (*each)(void *context, const char *key),
                  void *context);

/* Prints outcomes by operation, and the longest time without a success in [from_us, to_us]; returns
 * that, in us. Fails on an outcome that nothing that happened here can excuse (LOST, CLOCK, ...),
 * and when an operation has never succeeded. */
uint64_t history_say(const struct chaos_history *h, uint64_t from_us, uint64_t to_us);

/* Writes it as one file; who died or does not know ends with info. */
void history_write(const struct chaos_history *h, const char *path);

#endif
