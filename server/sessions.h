/* sessions.h - at most once: the last message number of each session (PROTOCOL 2).
 *
 * Bounded: 4096 sessions in sets of four, the one used longest ago makes room. A session that was
 * forgotten is refused, and its client begins a new one. */
#ifndef SHERD_SERVER_SESSIONS_H
#define SHERD_SERVER_SESSIONS_H

#include <stdint.h>

enum { SHERD_SESSION_SETS = 1024, SHERD_SESSION_WAYS = 4 };

struct sherd_sessions {
    uint64_t clock; /* of use, for eviction */
    struct sherd_session {
        uint64_t id, last_number, used;
    } sets[SHERD_SESSION_SETS][SHERD_SESSION_WAYS];
};

enum sherd_session_verdict {
    SHERD_SESSION_TAKE,    /* newer than all before it */
    SHERD_SESSION_REPEAT,  /* drop it without an answer */
    SHERD_SESSION_UNKNOWN, /* refuse it: the client must begin a new session */
};

enum sherd_session_verdict sherd_sessions_check(struct sherd_sessions *s, uint64_t id,
                                                uint64_t number);

#endif
