#include "server/recovery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/log.h"
#include "server/pass.h"

enum {
    PASSES_MAX = 4,
    AGAIN_MS = 200, /* doubled each time a pass does not succeed, up to */
    AGAIN_MS_MAX = 2000,
    GATE_MS = 100,          /* between two looks whether all voters answer */
    RESCAN_AFTER_MS = 1000, /* whoever was away may do it itself */
    BUSY_MS = 5,
    IDLE_MS = 50,
};

/* What is to be done in one partition. */
struct work {
    bool votes; /* this node, in a partition that is not lost: it may have missed something */
    bool rebuild, scan, catch_up;
    bool recover; /* the catch-up is one that RECOVER asked for */
    bool running;
    uint64_t since; /* of the catch-up */
    uint64_t due_ms;
    uint32_t again_ms;
};

struct sherd_recovery {
    struct sherd_pass_tools tools;
    struct work work[SHERD_PARTITIONS];
    struct sherd_pass passes[PASSES_MAX];
    bool must_survey; /* the map changed since it was looked at */
    bool surveyed;    /* there was a map to look at */
    bool missed;      /* something, since missed_since, from before there was a map */
    uint64_t missed_since;
    uint16_t next;         /* partition to look at first */
    uint64_t recover_seen; /* RECOVERs taken up */
    uint32_t task, done;   /* as in progress */
    uint64_t keys, bytes;  /* of passes that are over, in this task */
};

static const char *const task_names[] = {"idle", "rebuild", "scan", "catch-up"};

int sherd_recovery_new(uint64_t rate_bytes, struct sherd_recovery **out)
{
    struct sherd_recovery *r = calloc(1, sizeof(*r));

    if (!r) return -ENOMEM;
    r->tools.rate.bytes_per_second = rate_bytes;
    for (unsigned i = 0; i < PASSES_MAX; i++)
        r->passes[i].tools = &r->tools;
    *out = r;
    return 0;
}

void sherd_recovery_free(struct sherd_recovery *r)
{
    if (!r) return;
    for (unsigned i = 0; i < PASSES_MAX; i++)
        sherd_pass_fini(&r->passes[i]);
    sherd_ecc_free(r->tools.ecc);
    free(r->tools.shard);
    free(r);
}

/* What is wanted */

/* A learner's rebuild finds all that a catch-up would; who holds nothing has nothing to catch up.
 */
static void want_catch_up(struct work *w, uint64_t since, uint64_t due_ms)
{
    if (!w->votes) return;
    if (!w->catch_up || since < w->since) w->since = since;
    if (!w->catch_up) w->due_ms = due_ms;
    w->catch_up = true;
}

void sherd_recovery_catch_up(struct sherd_recovery *r, uint64_t since)
{
    if (!r->surveyed) {
        r->missed_since = r->missed && r->missed_since < since ? r->missed_since : since;
        r->missed = true;
        return;
    }
    for (unsigned i = 0; i < SHERD_PARTITIONS; i++)
        want_catch_up(&r->work[i], since, 0);
}

uint64_t sherd_recovery_missed_since(const struct sherd_recovery *r)
{
    uint64_t since = r->missed ? r->missed_since : UINT64_MAX;

    for (unsigned i = 0; i < SHERD_PARTITIONS; i++)
        if (r->work[i].catch_up && r->work[i].since < since) since = r->work[i].since;
    return since;
}

static bool wants_scan(const struct sherd_sealed *sealed, uint16_t index, int slot)
{
    const struct sherd_partition *p = &sealed->map->partitions[index];

    return p->open_count > 1 && p->learners == 0 && sherd_slots_first(p->voters) == slot &&
           !sherd_bit(sealed->report.scanned, index);
}

/* Looks at the map: after it changed. What is new is due at once. */
static void survey(struct sherd_recovery *r, const struct sherd_sealed *sealed)
{
    for (unsigned n = 0; n < SHERD_PARTITIONS; n++) {
        uint16_t i = (uint16_t)n;
        struct work *w = &r->work[i];
        int slot = sherd_sealed_own_slot(sealed, i);
        bool open = slot >= 0 && sherd_sealed_is_open(sealed, i);
        bool votes = slot >= 0 && !sealed->map->partitions[i].lost &&
                     sherd_slots_has(sealed->map->partitions[i].voters, (uint8_t)slot);
        bool rebuild = open && !votes && !sherd_bit(sealed->report.rebuilt, i);
        bool scan = open && votes && wants_scan(sealed, i, slot);

        if ((rebuild && !w->rebuild) || (scan && !w->scan)) w->due_ms = w->again_ms = 0;
        w->rebuild = rebuild;
        w->scan = scan;
        w->votes = votes;
        if (!votes) w->catch_up = w->recover = false;
    }
    r->surveyed = true;
    if (r->missed) sherd_recovery_catch_up(r, r->missed_since);
    r->missed = false;
}

static void take_recover(struct sherd_recovery *r, const struct sherd_turn *t)
{
    uint64_t asked = atomic_load(&t->progress->recover_asked);

    if (asked == r->recover_seen) return;
    r->recover_seen = asked;
    for (unsigned i = 0; i < SHERD_PARTITIONS; i++) {
        want_catch_up(&r->work[i], 0, 0);
        r->work[i].recover = r->work[i].catch_up;
        r->work[i].due_ms = 0;
    }
}

/* Partitions of which the service, or the queue of repairs, lost track. However old an entry is, it
 * may lack a shard: keys wait for their repair while a holder is away. A pass under way may be past
 * what was lost, so it is asked for anew after that. */
static void take_rescans(struct sherd_recovery *r, const struct sherd_turn *t)
{
    for (unsigned i = 0; i < SHERD_PARTITIONS; i++) {
        _Atomic uint64_t *word = &t->progress->rescan_asked[i / 64];
        uint64_t bit = UINT64_C(1) << (i % 64);

        if ((atomic_load(word) & bit) == 0 || r->work[i].running) continue;
        want_catch_up(&r->work[i], 0, t->now_ms + RESCAN_AFTER_MS);
        /* There is no moment in which nothing says that something is missing. */
        if (r->work[i].catch_up) atomic_store(&t->progress->seen, 0);
        atomic_fetch_and(word, ~bit);
    }
}

static void answer_recover(struct sherd_recovery *r, const struct sherd_turn *t)
{
    if (atomic_load(&t->progress->recover_done) == r->recover_seen) return;
    for (unsigned i = 0; i < SHERD_PARTITIONS; i++)
        if (r->work[i].recover || r->work[i].rebuild) return;
    atomic_store(&t->progress->recover_done, r->recover_seen);
}

/* Which pass a partition needs first. */
static bool kind_of(const struct work *w, enum sherd_pass_kind *kind)
{
    *kind = w->rebuild ? SHERD_PASS_REBUILD : w->scan ? SHERD_PASS_SCAN : SHERD_PASS_CATCH_UP;
    return w->rebuild || w->scan || w->catch_up;
}

bool sherd_recovery_is_busy(const struct sherd_recovery *r)
{
    enum sherd_pass_kind kind;

    for (unsigned i = 0; i < SHERD_PARTITIONS; i++)
        if (kind_of(&r->work[i], &kind)) return true;
    return false;
}

uint32_t sherd_recovery_backlog(const struct sherd_recovery *r)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < SHERD_PARTITIONS; i++)
        count += r->work[i].catch_up;
    return count;
}

/* Progress */

static uint32_t count_wanting(const struct sherd_recovery *r, enum sherd_pass_kind wanted)
{
    enum sherd_pass_kind kind;
    uint32_t count = 0;

    for (unsigned i = 0; i < SHERD_PARTITIONS; i++)
        count += kind_of(&r->work[i], &kind) && kind == wanted;
    return count;
}

static uint32_t task_of(enum sherd_pass_kind kind)
{
    static const uint8_t tasks[] = {[SHERD_PASS_REBUILD] = SHERD_TASK_REBUILD,
                                    [SHERD_PASS_SCAN] = SHERD_TASK_SCAN,
                                    [SHERD_PASS_CATCH_UP] = SHERD_TASK_CATCH_UP};

    return tasks[kind];
}

static void store_progress(struct sherd_progress *p, uint32_t done, uint32_t left, uint64_t keys,
                           uint64_t bytes)
{
    atomic_store(&p->partitions_done, done);
    atomic_store(&p->partitions_total, done + left);
    atomic_store(&p->keys_done, keys);
    atomic_store(&p->bytes_done, bytes);
}

static void change_task(struct sherd_recovery *r, uint32_t task, const struct sherd_turn *t)
{
    struct sherd_progress *p = t->progress;

    if (r->task != SHERD_TASK_IDLE)
        log_info("%s: %u partitions, %llu keys, %llu bytes", task_names[r->task], r->done,
                 (unsigned long long)r->keys, (unsigned long long)r->bytes);
    r->task = task;
    if (task == SHERD_TASK_IDLE) {
        store_progress(p, r->done, 0, r->keys, r->bytes);
        atomic_store(&p->keys_total, r->keys);
        atomic_store(&p->ended_ms, t->now_ms);
    } else {
        r->done = 0;
        r->keys = r->bytes = 0;
        atomic_store(&p->started_ms, t->now_ms);
        atomic_store(&p->ended_ms, 0);
    }
    atomic_store(&p->task, task);
}

/* The most urgent kind of work there is; `left`: how many partitions wait for it. */
static uint32_t look_for_task(const struct sherd_recovery *r, uint32_t *left)
{
    for (unsigned i = SHERD_PASS_REBUILD; i <= SHERD_PASS_CATCH_UP; i++) {
        enum sherd_pass_kind kind = (enum sherd_pass_kind)i;

        *left = count_wanting(r, kind);
        if (*left > 0) return task_of(kind);
    }
    return SHERD_TASK_IDLE;
}

static void show_progress(struct sherd_recovery *r, const struct sherd_turn *t)
{
    uint32_t left, task = look_for_task(r, &left);
    uint64_t keys, bytes;

    if (task != r->task) change_task(r, task, t);
    if (task == SHERD_TASK_IDLE) return;
    keys = r->keys;
    bytes = r->bytes;
    for (unsigned i = 0; i < PASSES_MAX; i++) {
        const struct sherd_pass *pass = &r->passes[i];

        if (pass->state == SHERD_PASS_IDLE || task_of(pass->kind) != task) continue;
        keys += pass->keys;
        bytes += pass->bytes;
    }
    store_progress(t->progress, r->done, left, keys, bytes);
    atomic_store(&t->progress->keys_total, r->done ? r->keys * (r->done + left) / r->done : 0);
}

/* Passes */

static void on_done(struct sherd_recovery *r, const struct sherd_pass *pass,
                    struct sherd_sealed *sealed, struct work *w)
{
    switch (pass->kind) {
    case SHERD_PASS_REBUILD:
        w->rebuild = false;
        sherd_sealed_set_rebuilt(sealed, pass->partition, pass->epoch);
        break;
    case SHERD_PASS_SCAN:
        w->scan = false;
        sherd_sealed_set_scanned(sealed, pass->partition, pass->epoch);
        break;
    case SHERD_PASS_CATCH_UP: w->catch_up = w->recover = false; break;
    }
    if (task_of(pass->kind) == r->task) {
        r->done++;
        r->keys += pass->keys;
    }
}

/* It failed because the epoch is over: nothing to wait for. */
static bool is_old(const struct sherd_pass *pass, const struct sherd_sealed *sealed)
{
    return pass->partition >= sealed->map->partition_count ||
           sealed->map->partitions[pass->partition].epoch != pass->epoch;
}

static void end_pass(struct sherd_recovery *r, struct sherd_pass *pass, struct sherd_sealed *sealed,
                     const struct sherd_turn *t)
{
    struct work *w = &r->work[pass->partition];
    bool rebuilt = pass->kind == SHERD_PASS_REBUILD;

    atomic_fetch_add(rebuilt ? &t->progress->rebuilt_keys : &t->progress->repaired, pass->made);
    atomic_fetch_add(&t->progress->rebuilt_bytes, pass->bytes);
    if (task_of(pass->kind) == r->task) r->bytes += pass->bytes;
    w->running = false;
    if (pass->state == SHERD_PASS_DONE) {
        w->again_ms = 0;
        w->due_ms = 0;
        on_done(r, pass, sealed, w);
    } else {
        w->again_ms = w->again_ms == 0                 ? AGAIN_MS
                      : w->again_ms * 2 < AGAIN_MS_MAX ? w->again_ms * 2
                                                       : AGAIN_MS_MAX;
        w->due_ms = is_old(pass, sealed) ? 0 : t->now_ms + w->again_ms;
    }
    sherd_pass_reset(pass);
}

/* Scan and catch-up can only succeed when every voter answers: until then, nothing is tried. */
static bool may_start(struct work *w, enum sherd_pass_kind kind, uint16_t index,
                      const struct sherd_sealed *sealed, const struct sherd_turn *t)
{
    const struct sherd_partition *p = &sealed->map->partitions[index];

    if (!sherd_sealed_is_open(sealed, index)) return false;
    if (kind == SHERD_PASS_REBUILD || sherd_turn_hears(t, p, p->voters)) return true;
    w->due_ms = t->now_ms + GATE_MS;
    return false;
}

/* Starts the most urgent pass that is due, in a free place. False: there is none. */
static bool start_one(struct sherd_recovery *r, struct sherd_pass *pass,
                      enum sherd_pass_kind wanted, const struct sherd_sealed *sealed,
                      const struct sherd_turn *t)
{
    uint16_t count = sealed->map->partition_count;

    for (uint16_t i = 0; i < count; i++) {
        uint16_t index = (uint16_t)((r->next + i) % count);
        struct work *w = &r->work[index];
        enum sherd_pass_kind kind;

        if (w->running || w->due_ms > t->now_ms || !kind_of(w, &kind) || kind != wanted) continue;
        if (!may_start(w, kind, index, sealed, t)) continue;
        if (sherd_pass_start(pass, kind, index, kind == SHERD_PASS_CATCH_UP ? w->since : 0, sealed,
                             t) < 0) {
            w->due_ms = t->now_ms + AGAIN_MS;
            continue;
        }
        w->running = true;
        r->next = (uint16_t)((index + 1) % count);
        return true;
    }
    return false;
}

static void start_passes(struct sherd_recovery *r, const struct sherd_sealed *sealed,
                         const struct sherd_turn *t)
{
    unsigned kind = SHERD_PASS_REBUILD;

    for (unsigned i = 0; i < PASSES_MAX; i++) {
        if (r->passes[i].state != SHERD_PASS_IDLE) continue;
        while (kind <= SHERD_PASS_CATCH_UP &&
               !start_one(r, &r->passes[i], (enum sherd_pass_kind)kind, sealed, t))
            kind++;
    }
}

/* The code and the scratch for its largest shard; once there is a map. */
static bool has_tools(struct sherd_recovery *r, const struct sherd_map *map)
{
    struct sherd_pass_tools *tools = &r->tools;

    if (!tools->shard) tools->shard = malloc(sherd_ecc_shard_size(map->k, SHERD_VALUE_BYTES_MAX));
    if (!tools->ecc) sherd_ecc_new(map->k, map->m, &tools->ecc);
    return tools->shard && tools->ecc;
}

uint32_t sherd_recovery_turn(struct sherd_recovery *r, struct sherd_sealed *sealed, bool changed,
                             const struct sherd_turn *t)
{
    bool at_hand = false, running = false;

    r->must_survey = r->must_survey || changed;
    if (!sealed->map || !has_tools(r, sealed->map)) return IDLE_MS; /* no memory: the next turn */
    take_recover(r, t);
    take_rescans(r, t);
    if (r->must_survey) survey(r, sealed);
    r->must_survey = false;
    sherd_rate_fill(&r->tools.rate, t->now_ms);
    start_passes(r, sealed, t);
    for (unsigned i = 0; i < PASSES_MAX; i++) {
        struct sherd_pass *pass = &r->passes[i];

        if (pass->state == SHERD_PASS_IDLE) continue;
        if (sherd_pass_turn(pass, sealed, t)) at_hand = true;
        if (pass->state != SHERD_PASS_RUNNING) {
            end_pass(r, pass, sealed, t);
            at_hand = true;
        }
        running = true;
    }
    show_progress(r, t);
    answer_recover(r, t);
    return at_hand ? 0 : running ? BUSY_MS : IDLE_MS;
}
