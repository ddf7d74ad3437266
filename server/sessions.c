#include "server/sessions.h"

enum sherd_session_verdict sherd_sessions_check(struct sherd_sessions *s, uint64_t id,
                                                uint64_t number)
{
    struct sherd_session *set = s->sets[id % SHERD_SESSION_SETS];
    struct sherd_session *oldest = &set[0];

    if (id == 0) return SHERD_SESSION_UNKNOWN;
    s->clock++;
    for (unsigned i = 0; i < SHERD_SESSION_WAYS; i++) {
        if (set[i].id == id) {
            if (number <= set[i].last_number) return SHERD_SESSION_REPEAT;
            set[i].last_number = number;
            set[i].used = s->clock;
            return SHERD_SESSION_TAKE;
        }
        if (set[i].used < oldest->used) oldest = &set[i];
    }
    if (number != 1) return SHERD_SESSION_UNKNOWN;
    *oldest = (struct sherd_session){id, number, s->clock};
    return SHERD_SESSION_TAKE;
}
