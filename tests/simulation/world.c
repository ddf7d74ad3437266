#include "tests/simulation/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coord/assert.h"
#include "tests/support/random.h"

enum { CHUNK_BYTES = 256 << 10 };

void sim_world_init(struct sim_world *w, uint64_t seed, bool trace)
{
    struct sim_world old = *w; /* its memory serves from schedule to schedule */

    *w = (struct sim_world){.seed = seed,
                            .random = seed,
                            .trace = trace,
                            .heap = old.heap,
                            .capacity = old.capacity,
                            .chunks = old.chunks,
                            .chunk = old.chunks};
    for (struct sim_chunk *c = w->chunks; c; c = c->next)
        c->used = 0;
    w->now_us = 10ull * SIM_SECOND;
}

void sim_world_fini(struct sim_world *w)
{
    while (w->chunks) {
        struct sim_chunk *next = w->chunks->next;
        free(w->chunks);
        w->chunks = next;
    }
    free(w->heap);
    *w = (struct sim_world){0};
}

uint64_t sim_random(struct sim_world *w) { return random_next(&w->random); }

uint64_t sim_enter(struct sim_world *w, uint64_t stream)
{
    uint64_t saved = w->random;

    w->random = w->seed ^ stream * UINT64_C(0xd1342543de82ef95);
    sim_random(w);
    return saved;
}

void sim_leave(struct sim_world *w, uint64_t saved) { w->random = saved; }

uint64_t sim_below(struct sim_world *w, uint64_t limit)
{
    return limit ? sim_random(w) % limit : 0;
}

bool sim_chance(struct sim_world *w, uint32_t per_million)
{
    return per_million != 0 && sim_random(w) % 1000000 < per_million;
}

static void grow(struct sim_world *w)
{
    if (w->count < w->capacity) return;
    w->capacity = w->capacity ? 2 * w->capacity : 256;
    w->heap = realloc(w->heap, w->capacity * sizeof(w->heap[0]));
    SHERD_ASSERT(w->heap != NULL);
}

void sim_after(struct sim_world *w, uint64_t delay_us, sim_action run, void *context,
               uint64_t argument)
{
    uint64_t at_us = w->now_us + delay_us;
    struct sim_event e = {at_us << SIM_ORDER_BITS | w->order++, argument, run, context};
    size_t at;

    SHERD_ASSERT(at_us >> (64 - SIM_ORDER_BITS) == 0 && w->order >> SIM_ORDER_BITS == 0);
    grow(w);
    at = w->count++;
    while (at > 0 && e.turn < w->heap[(at - 1) / 2].turn) {
        w->heap[at] = w->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    w->heap[at] = e;
}

static struct sim_event take_first(struct sim_world *w)
{
    struct sim_event first = w->heap[0];
    struct sim_event last = w->heap[--w->count];
    size_t at = 0;

    for (size_t child; (child = 2 * at + 1) < w->count; at = child) {
        child += child + 1 < w->count && w->heap[child + 1].turn < w->heap[child].turn;
        if (last.turn <= w->heap[child].turn) break;
        w->heap[at] = w->heap[child];
    }
    w->heap[at] = last;
    return first;
}

bool sim_world_step(struct sim_world *w, uint64_t until_us)
{
    struct sim_event e;

    if (w->count == 0 || w->heap[0].turn >> SIM_ORDER_BITS > until_us) {
        if (w->now_us < until_us) w->now_us = until_us;
        return false;
    }
    e = take_first(w);
    w->now_us = e.turn >> SIM_ORDER_BITS;
    e.run(e.context, e.argument);
    return true;
}

static struct sim_chunk *add_chunk(struct sim_world *w, size_t size)
{
    struct sim_chunk **link = w->chunk ? &w->chunk->next : &w->chunks;
    struct sim_chunk *c = NULL;

    size = size > CHUNK_BYTES ? size : CHUNK_BYTES;
    c = malloc(sizeof(*c) + size);
    SHERD_ASSERT(c != NULL);
    *c = (struct sim_chunk){.next = *link, .size = size};
    *link = c;
    return c;
}

void *sim_alloc_raw(struct sim_world *w, size_t size)
{
    uint8_t *bytes = NULL;

    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    while (w->chunk && w->chunk->used + size > w->chunk->size && w->chunk->next)
        w->chunk = w->chunk->next;
    if (!w->chunk || w->chunk->used + size > w->chunk->size) w->chunk = add_chunk(w, size);
    bytes = (uint8_t *)w->chunk->bytes + w->chunk->used;
    w->chunk->used += size;
    return bytes;
}

void *sim_alloc(struct sim_world *w, size_t size)
{
    return memset(sim_alloc_raw(w, size), 0, size);
}

void sim_fail(struct sim_world *w, const char *format, ...)
{
    va_list args;

    if (w->failed) return;
    w->failed = true;
    w->failure_kind = format;
    va_start(args, format);
    vsnprintf(w->failure, sizeof(w->failure), format, args);
    va_end(args);
    sim_trace(w, "FAILED: %s", w->failure);
}

void sim_trace_line(const struct sim_world *w, const char *format, ...)
{
    va_list args;

    printf("%10.3f ", (double)w->now_us / 1000);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}
