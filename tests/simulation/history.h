/* history.h - what callers asked for and were told, and whether it is linearizable.
 *
 * Each key is checked alone: is there an order of its operations, in keeping with real time, in
 * which every answer is right? Wing and Gong's search with memoized states (Lowe 2017). An open
 * operation (UNCERTAIN, or its client died) may take effect at any time after its start, once or
 * never. One that was told "nothing changed" is not in the history: were it to take effect, a value
 * that nobody wrote would be read. */
#ifndef SHERD_TESTS_SIMULATION_HISTORY_H
#define SHERD_TESTS_SIMULATION_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

enum sim_kind {
    SIM_GET,
    SIM_SET,
    SIM_DELETE,
    SIM_CAS, /* if the value is `expect`; 0: if there is none */
    SIM_REPLACE,
    SIM_REMOVE,
    SIM_INCREMENT, /* by `value`; the sum is `seen` */
    SIM_LOSS,      /* the value becomes SIM_LOST: never asked for, always open */
    SIM_KIND_COUNT
};

#define SIM_KIND_NAMES                                                          \
    {                                                                           \
        "get", "set", "delete", "cas", "replace", "remove", "increment", "loss" \
    }

enum { SIM_LOST = -1, SIM_HISTORY_MAX = 62 };

struct sim_call {
    uint8_t kind;
    bool hit; /* not GET: it took effect (closed: was told so) */
    uint64_t start;
    uint64_t end;  /* UINT64_MAX: open */
    int64_t value; /* what it writes; positive */
    int64_t expect;
    int64_t seen; /* GET: 0: none */
};

/* Calls of one key, in the order of their start. */
struct sim_history {
    uint8_t count;
    struct sim_call calls[SIM_HISTORY_MAX + 1];
};

enum sim_judgement { SIM_LINEARIZABLE, SIM_NOT_LINEARIZABLE, SIM_TOO_LONG };

/* Adds a call, open until told otherwise; NULL: no room. */
struct sim_call *sim_history_add(struct sim_history *h, enum sim_kind kind, uint64_t start);
void sim_history_remove(struct sim_history *h, const struct sim_call *call);

enum sim_judgement sim_history_check(const struct sim_history *h);
void sim_history_print(const struct sim_history *h, const char *key);

#endif
