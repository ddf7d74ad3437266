/* chaos_events.h - what a client asked for and was told, line by line in a file, so that the client
 * may be killed at any moment: a line is with the kernel before a request is with anybody.
 *
 * One object a line, as tests/history reads them: {"process":3,"type":"invoke","f":"set","key":"k",
 * "value":"p3.1/64","time":123}; time is CLOCK_MONOTONIC, which all namespaces share.
 *
 * Every value is unique and says so itself: "pPROCESS.NUMBER/SIZE" and a filler that follows from
 * it, so what a read gives is known byte for byte, or is a finding. Keys whose name begins with
 * EVENTS_COUNTER hold numbers. */
#ifndef SHERD_TESTS_CLUSTER_CHAOS_EVENTS_H
#define SHERD_TESTS_CLUSTER_CHAOS_EVENTS_H

#include <sherd/sherd.h>

enum { EVENTS_NAME_SIZE = 64, EVENTS_KEY_SIZE = 32, EVENTS_COUNTER = 'n' };

enum event_type { EVENT_INVOKE, EVENT_OK, EVENT_FAIL, EVENT_INFO };

struct event {
    uint32_t process;
    enum event_type type;
    enum sherd_op_kind kind; /* GET, SET, CAS, DELETE, INCREMENT */
    const char *key;
    const char *value; /* as JSON: null, "text", [expected, new], a number */
    const char *error; /* FAIL: why; NULL otherwise */
};

/* Opens for appending; -1: errno. */
int events_open(const char *path);
void events_write(int fd, const struct event *e);

/* How an operation ended, as an event of the history. */
enum event_type events_type_of(const struct sherd_op *op);

/* The name of a new value: room for EVENTS_NAME_SIZE. */
void value_name(char *out, uint32_t process, uint32_t number, size_t size);

/* The bytes of a name: its SIZE of them, which must have room. */
size_t value_size(const char *name);
void value_fill(const char *name, void *out);

/* What was read, as JSON; bytes that are no value of these: a text that begins with "corrupt". */
void value_json(const char *key, const struct sherd_value *v, char *out, size_t size);

#endif
