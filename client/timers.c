#include "client/timers.h"

#include <errno.h>
#include <stdlib.h>

#include "coord/assert.h"

enum { FIRST_CAPACITY = 64 };

void sherd_timers_fini(struct sherd_timers *t)
{
    free(t->heap);
    *t = (struct sherd_timers){0};
}

int sherd_timers_reserve(struct sherd_timers *t, size_t count)
{
    size_t capacity = t->capacity ? t->capacity : FIRST_CAPACITY;
    struct sherd_timers_node *heap;

    if (count <= t->capacity) return 0;
    while (capacity < count)
        capacity *= 2;
    heap = reallocarray(t->heap, capacity + 1, sizeof(*heap)); /* place 0 stays empty */
    if (!heap) return -ENOMEM;
    t->heap = heap;
    t->capacity = capacity;
    return 0;
}

static void put(struct sherd_timers *t, size_t place, struct sherd_timers_node node)
{
    t->heap[place] = node;
    node.timer->place = (uint32_t)place;
}

static void move_up(struct sherd_timers *t, size_t place, struct sherd_timers_node node)
{
    while (place > 1 && node.due_us < t->heap[place / 2].due_us) {
        put(t, place, t->heap[place / 2]);
        place /= 2;
    }
    put(t, place, node);
}

static void move_down(struct sherd_timers *t, size_t place, struct sherd_timers_node node)
{
    for (;;) {
        size_t child = place * 2;
        if (child > t->count) break;
        if (child < t->count && t->heap[child + 1].due_us < t->heap[child].due_us) child++;
        if (node.due_us <= t->heap[child].due_us) break;
        put(t, place, t->heap[child]);
        place = child;
    }
    put(t, place, node);
}

void sherd_timers_set(struct sherd_timers *t, struct sherd_timer *timer, uint64_t due_us)
{
    timer->due_us = due_us;
    if (timer->place == 0) {
        SHERD_ASSERT(t->count < t->capacity);
        move_up(t, ++t->count, (struct sherd_timers_node){due_us, timer});
    } else if (due_us < t->heap[timer->place].due_us) {
        move_up(t, timer->place, (struct sherd_timers_node){due_us, timer});
    }
}

void sherd_timers_cancel(struct sherd_timers *t, struct sherd_timer *timer)
{
    size_t place = timer->place;
    struct sherd_timers_node last;

    if (place == 0) return;
    timer->place = 0;
    last = t->heap[t->count--];
    if (place > t->count) return; /* it was the last itself */
    if (place > 1 && last.due_us < t->heap[place / 2].due_us)
        move_up(t, place, last);
    else
        move_down(t, place, last);
}

struct sherd_timer *sherd_timers_pop(struct sherd_timers *t, uint64_t now_us)
{
    while (t->count > 0 && t->heap[1].due_us <= now_us) {
        struct sherd_timer *timer = t->heap[1].timer;
        if (timer->due_us == t->heap[1].due_us) {
            sherd_timers_cancel(t, timer);
            return timer;
        }
        move_down(t, 1, (struct sherd_timers_node){timer->due_us, timer}); /* it was put off */
    }
    return NULL;
}

uint64_t sherd_timers_next_us(const struct sherd_timers *t)
{
    return t->count > 0 ? t->heap[1].due_us : UINT64_MAX;
}
