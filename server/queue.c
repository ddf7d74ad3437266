#include "server/queue.h"

#include <stdlib.h>

static bool grow(struct sherd_queue *q)
{
    size_t capacity = q->capacity ? q->capacity * 2 : 256;
    struct sherd_queue_item *items = calloc(capacity, sizeof(*items));

    if (!items) return false;
    for (size_t i = 0; i < q->count; i++)
        items[i] = q->items[(q->first + i) % q->capacity];
    free(q->items);
    q->items = items;
    q->first = 0;
    q->capacity = capacity;
    return true;
}

bool sherd_queue_push(struct sherd_queue *q, struct sherd_queue_item item)
{
    if (q->count >= q->count_max) return false;
    if (q->count == q->capacity && !grow(q)) return false;
    q->items[(q->first + q->count++) % q->capacity] = item;
    return true;
}

bool sherd_queue_pop_due(struct sherd_queue *q, uint64_t now_ms, struct sherd_queue_item *out)
{
    if (q->count == 0 || q->items[q->first].due_ms > now_ms) return false;
    *out = q->items[q->first];
    q->first = (q->first + 1) % q->capacity;
    q->count--;
    return true;
}

void sherd_queue_fini(struct sherd_queue *q)
{
    free(q->items);
    *q = (struct sherd_queue){0};
}
