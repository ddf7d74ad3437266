/* world.h - seed, virtual time and the queue of what happens next.
 *
 * Everything random in a schedule is drawn from one generator, in the order of the events, so a
 * seed says it all. Time moves only from event to event; events of one instant run in the order in
 * which they were added. */
#ifndef SHERD_TESTS_SIMULATION_WORLD_H
#define SHERD_TESTS_SIMULATION_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*sim_action)(void *context, uint64_t argument);

struct sim_event {
    uint64_t turn; /* when, in us, and below that the order: one comparison says who is first */
    uint64_t argument;
    sim_action run;
    void *context;
};

/* Memory of one schedule, taken again by the next one. */
struct sim_chunk {
    struct sim_chunk *next;
    size_t size, used;
    max_align_t bytes[];
};

struct sim_world {
    uint64_t seed;
    uint64_t random;
    uint64_t now_us;
    uint64_t order; /* of events added so far; below 2^SIM_ORDER_BITS */
    struct sim_event *heap;
    size_t count, capacity;
    struct sim_chunk *chunks, *chunk; /* all, and the one in use */
    bool trace;
    bool failed;
    const char *failure_kind; /* the format of the complaint: failures of one kind share it */
    char failure[256];
};

enum { SIM_MS = 1000, SIM_SECOND = 1000 * 1000, SIM_ORDER_BITS = 24 };

void sim_world_init(struct sim_world *w, uint64_t seed, bool trace);
void sim_world_fini(struct sim_world *w);

/* Draws from a stream of its own until leave(): what calls and faults are does not depend on how
 * many random numbers came before, so that some can be left out and the rest stays. */
uint64_t sim_enter(struct sim_world *w, uint64_t stream); /* returns what leave() wants */
void sim_leave(struct sim_world *w, uint64_t saved);

uint64_t sim_random(struct sim_world *w);
uint64_t sim_below(struct sim_world *w, uint64_t limit); /* 0 .. limit-1; 0 for 0 */
bool sim_chance(struct sim_world *w, uint32_t per_million);

/* Runs action(context, argument) after delay_us. */
void sim_after(struct sim_world *w, uint64_t delay_us, sim_action run, void *context,
               uint64_t argument);

/* Runs the next event; false: there is none, or it lies behind `until_us`. */
bool sim_world_step(struct sim_world *w, uint64_t until_us);

/* Zeroed memory that lives until the next init. */
void *sim_alloc(struct sim_world *w, size_t size);
/* ... not zeroed: for what is written as a whole. */
void *sim_alloc_raw(struct sim_world *w, size_t size);

/* Keeps the first complaint; the schedule ends soon after. */
void sim_fail(struct sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_trace_line(const struct sim_world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The arguments are evaluated only when somebody reads them. */
#define sim_trace(w, ...)                                 \
    do {                                                  \
        if ((w)->trace) sim_trace_line((w), __VA_ARGS__); \
    } while (0)

#endif
