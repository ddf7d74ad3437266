/* timers.h - a binary heap of deadlines. The caller owns each timer and embeds it where it likes.
 *
 * A timer is moved in the heap only when it becomes due earlier than it was; one that is put off
 * stays where it is and is put right when it comes up. Operations put their timers off with almost
 * every step, and end long before they are due. */
#ifndef SHERD_CLIENT_TIMERS_H
#define SHERD_CLIENT_TIMERS_H

#include <stddef.h>
#include <stdint.h>

/* Zero it before first use. */
struct sherd_timer {
    uint64_t due_us; /* as set last */
    uint32_t place;  /* in the heap, from 1; 0: not set */
    uint32_t kind;   /* the owner's */
};

/* Zero it before first use. */
struct sherd_timers {
    struct sherd_timers_node {
        uint64_t due_us; /* at most the timer's own */
        struct sherd_timer *timer;
    } * heap; /* from 1 */
    size_t count, capacity;
};

void sherd_timers_fini(struct sherd_timers *t);

/* Makes room for `count` timers, so that so many can be set without failing. 0 or -ENOMEM. */
int sherd_timers_reserve(struct sherd_timers *t, size_t count);

/* Sets, or sets anew. There must be room. UINT64_MAX is never due. */
void sherd_timers_set(struct sherd_timers *t, struct sherd_timer *timer, uint64_t due_us);
void sherd_timers_cancel(struct sherd_timers *t, struct sherd_timer *timer);

/* Takes out a timer that is due at `now_us`, the earliest first; NULL: none. */
struct sherd_timer *sherd_timers_pop(struct sherd_timers *t, uint64_t now_us);

/* When to call pop: not later than the earliest timer is due. UINT64_MAX: none is set. */
uint64_t sherd_timers_next_us(const struct sherd_timers *t);

#endif
