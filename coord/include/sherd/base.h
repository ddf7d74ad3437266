/* base.h - what every public header of sherd shares. */
#ifndef SHERD_BASE_H
#define SHERD_BASE_H

#include <stddef.h>
#include <stdint.h>

#define SHERD_API __attribute__((visibility("default")))

/* A view of somebody else's memory; valid as long as that memory. Never freed through this. */
struct sherd_bytes {
    const void *data;
    size_t size;
};

/* What became of an operation: not an error code (those are negative errno).
 * X(name, exit code of the command line, sentence for humans). Append only: it is wire format. */
#define SHERD_OUTCOME_MAP(X)                                                                \
    X(OK, 0, "done")                                                                        \
    X(NOT_FOUND, 1, "no value under this key")                                              \
    X(CONFLICT, 3, "nothing changed: the key is not in the expected state")                 \
    X(UNCERTAIN, 4, "may or may not take effect, at most once")                             \
    X(NO_QUORUM, 5, "too few nodes answer; nothing changed")                                \
    X(LOST, 7, "more shards are lost than the code can rebuild")                            \
    X(TOO_BIG, 2, "the value is larger than the limit")                                     \
    X(TIMEOUT, 5, "no answer within the deadline; nothing changed")                         \
    X(DENIED, 3, "refused")                                                                 \
    X(BAD_ARGUMENT, 2, "an argument is outside its limits")                                 \
    X(FULL, 3, "nothing changed: the nodes have no memory left for this value")             \
    X(BAD_VALUE, 3, "nothing changed: the stored value is not a number, or would overflow") \
    X(CLOCK, 3, "nothing changed: this machine's clock is more than 60 s off the nodes'")   \
    X(NO_MEMORY, 6, "this process has no memory left")                                      \
    X(NO_CLUSTER, 6, "no node of the cluster can be reached")

enum sherd_outcome {
#define X(name, code, text) SHERD_##name,
    SHERD_OUTCOME_MAP(X)
#undef X
        SHERD_OUTCOME_COUNT
};

#ifdef __cplusplus
extern "C" {
#endif

SHERD_API const char *sherd_outcome_name(enum sherd_outcome o); /* "OK"; static */
SHERD_API const char *sherd_outcome_text(enum sherd_outcome o); /* the sentence; static */
SHERD_API int sherd_outcome_exit_code(enum sherd_outcome o);    /* of the command line */

#ifdef __cplusplus
}
#endif

#endif
