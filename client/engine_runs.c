#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/engine_parts.h"

enum { EXPIRE_US = 20000 };

/* ---- the pool ---- */

struct sherd_run *sherd_run_of(const struct sherd_engine *e, uint32_t index)
{
    uint32_t chunk = index / SHERD_RUNS_CHUNK;

    return chunk < e->chunk_count ? &e->chunks[chunk][index % SHERD_RUNS_CHUNK] : NULL;
}

static void grow(struct sherd_engine *e)
{
    size_t runs = (size_t)(e->chunk_count + 1) * SHERD_RUNS_CHUNK;
    struct sherd_run *chunk;

    if (e->chunk_count == SHERD_RUNS_CHUNKS_MAX) return;
    if (sherd_timers_reserve(&e->timers, runs + SHERD_CALLS_MAX) < 0) return;
    chunk = calloc(SHERD_RUNS_CHUNK, sizeof(*chunk));
    if (!chunk) return;
    for (uint32_t i = SHERD_RUNS_CHUNK; i-- > 0;) { /* the first comes off the list first */
        chunk[i].index = e->chunk_count * SHERD_RUNS_CHUNK + i;
        chunk[i].timer.kind = SHERD_TIMER_RUN;
        chunk[i].next_free = e->free_runs;
        e->free_runs = &chunk[i];
    }
    e->chunks[e->chunk_count++] = chunk;
}

static struct sherd_run *take_run(struct sherd_engine *e)
{
    struct sherd_run *run;

    if (!e->free_runs) grow(e);
    run = e->free_runs;
    if (!run) return NULL;
    e->free_runs = run->next_free;
    run->generation = (run->generation + 1) & SHERD_ID_GENERATION_MASK;
    if (run->generation == 0) run->generation = 1;
    run->active = true;
    run->asked_round = 0;
    /* It may still be queued from its last life; then it has nothing to tell. */
    run->inbox = (struct sherd_inbox){.next = run->inbox.next, .queued = run->inbox.queued};
    e->active_runs++;
    memset(&run->op, 0, sizeof(run->op));
    return run;
}

static void drop_bytes(struct sherd_run *run)
{
    sherd_pieces_reset(&run->pieces);
    sherd_shards_reset(&run->fresh);
    sherd_shards_reset(&run->old);
    free(run->decoded);
    free(run->made);
    run->decoded = run->made = NULL;
}

void sherd_runs_fini(struct sherd_engine *e)
{
    for (uint32_t i = 0; i < e->chunk_count * SHERD_RUNS_CHUNK; i++) {
        struct sherd_run *run = sherd_run_of(e, i);
        drop_bytes(run);
        sherd_map_ref_release(run->bound);
        sherd_pieces_fini(&run->pieces);
        sherd_shards_fini(&run->fresh);
        sherd_shards_fini(&run->old);
    }
    for (uint32_t i = 0; i < e->chunk_count; i++)
        free(e->chunks[i]);
}

/* ---- one writer per key ---- */

static bool same_key(const struct sherd_run *a, const struct sherd_run *b)
{
    return a->op.key_hash == b->op.key_hash && a->op.key.size == b->op.key.size &&
           memcmp(a->op.key.data, b->op.key.data, a->op.key.size) == 0;
}

static struct sherd_run **bucket_of(struct sherd_engine *e, const struct sherd_run *run)
{
    return &e->leaders[run->op.key_hash % SHERD_BUCKETS];
}

/* Whether the run may start now; else it waits behind the leader of its key. */
static bool lead(struct sherd_engine *e, struct sherd_run *run)
{
    struct sherd_run **bucket = bucket_of(e, run);

    for (struct sherd_run *leader = *bucket; leader; leader = leader->next_leader) {
        if (!same_key(leader, run)) continue;
        if (leader->last_follower)
            leader->last_follower->next_follower = run;
        else
            leader->first_follower = run;
        leader->last_follower = run;
        run->is_follower = true;
        return false;
    }
    run->next_leader = *bucket;
    *bucket = run;
    return true;
}

static void start(struct sherd_engine *e, struct sherd_run *run)
{
    run->inbox.start = true;
    sherd_inbox_put(e, run);
}

/* The next writer of the key takes the leader's place. */
static void hand_over(struct sherd_engine *e, struct sherd_run *leader)
{
    struct sherd_run *next = leader->first_follower;
    struct sherd_run **place = bucket_of(e, leader);

    while (*place != leader)
        place = &(*place)->next_leader;
    *place = leader->next_leader;
    if (next) {
        next->first_follower = next->next_follower;
        next->last_follower = next->first_follower ? leader->last_follower : NULL;
        next->next_follower = NULL;
        next->is_follower = false;
        next->next_leader = leader->next_leader;
        *place = next;
        start(e, next);
    }
    leader->first_follower = leader->last_follower = leader->next_leader = NULL;
}

static void leave_queue(struct sherd_engine *e, struct sherd_run *run)
{
    struct sherd_run *leader = *bucket_of(e, run), *before = NULL;

    while (!same_key(leader, run))
        leader = leader->next_leader;
    for (struct sherd_run *at = leader->first_follower; at != run; at = at->next_follower)
        before = at;
    if (before)
        before->next_follower = run->next_follower;
    else
        leader->first_follower = run->next_follower;
    if (leader->last_follower == run) leader->last_follower = before;
    run->next_follower = NULL;
    run->is_follower = false;
}

void sherd_run_release(struct sherd_engine *e, struct sherd_run *run)
{
    sherd_timers_cancel(&e->timers, &run->timer);
    if (run->is_write) hand_over(e, run);
    drop_bytes(run);
    sherd_map_ref_release(run->bound);
    run->bound = NULL;
    run->user = NULL;
    run->active = false;
    run->next_free = e->free_runs;
    e->free_runs = run;
    e->active_runs--;
}

/* Its deadline came before its turn: nothing was sent. */
void sherd_run_expire_follower(struct sherd_engine *e, struct sherd_run *run)
{
    struct sherd_op *user = run->user;

    leave_queue(e, run);
    run->is_write = false;
    sherd_run_release(e, run);
    sherd_op_end(e, user, SHERD_TIMEOUT);
}

/* ---- waiting for a start ---- */

/* The last one waiting points here, so that `internal` is not NULL while an operation is under way.
 * Until it starts, its deadline is kept in `size`, which is a result later. */
static char end_of_list;

static void put_deadline(struct sherd_op *op, uint64_t deadline_us) { op->size = deadline_us; }
static uint64_t deadline_of(const struct sherd_op *op) { return op->size; }

static struct sherd_op *next_of(const struct sherd_op *op)
{
    return op->internal == &end_of_list ? NULL : op->internal;
}

int sherd_engine_submit(struct sherd_engine *e, struct sherd_op *op)
{
    uint32_t timeout_ms = op->timeout_ms ? op->timeout_ms : e->timeout_ms;

    if (!sherd_plan_of(op->kind).is_known || op->key.size == 0 || op->key.size > SHERD_KEY_MAX)
        return -EINVAL;
    if (op->value.size > SHERD_VALUE_MAX) return -EMSGSIZE;
    if (op->value.size != 0 && !op->value.data) return -EINVAL;
    put_deadline(op, sherd_clock_now_us() + timeout_ms * UINT64_C(1000));
    op->internal = &end_of_list;
    if (e->waiting_last)
        e->waiting_last->internal = op;
    else
        e->waiting_first = op;
    e->waiting_last = op;
    e->waiting_count++;
    return 0;
}

static void remove_waiting(struct sherd_engine *e, struct sherd_op *op, struct sherd_op *before)
{
    struct sherd_op *next = next_of(op);

    if (before)
        before->internal = op->internal;
    else
        e->waiting_first = next;
    if (e->waiting_last == op) e->waiting_last = before;
    e->waiting_count--;
}

void sherd_runs_expire_waiting(struct sherd_engine *e)
{
    struct sherd_op *before = NULL, *next;

    if (e->now_us - e->waiting_checked_us < EXPIRE_US) return;
    e->waiting_checked_us = e->now_us;
    for (struct sherd_op *op = e->waiting_first; op; op = next) {
        next = next_of(op);
        if (deadline_of(op) > e->now_us) {
            before = op;
            continue;
        }
        remove_waiting(e, op, before);
        sherd_op_end(e, op, e->map ? SHERD_TIMEOUT : SHERD_NO_CLUSTER);
    }
}

void sherd_engine_forget(struct sherd_engine *e, struct sherd_op *op)
{
    struct sherd_op *before = NULL;

    for (struct sherd_op *at = e->waiting_first; at; before = at, at = next_of(at)) {
        if (at != op) continue;
        remove_waiting(e, op, before);
        break;
    }
    for (uint32_t i = 0; i < e->chunk_count * SHERD_RUNS_CHUNK; i++) {
        struct sherd_run *run = sherd_run_of(e, i);
        if (run->user == op) run->user = NULL;
    }
    op->internal = NULL;
}

static struct sherd_meta meta_of(const struct sherd_engine *e, const struct sherd_op *user)
{
    struct sherd_current nothing = {0};
    struct sherd_new_value value;

    sherd_compute(user, &nothing, e->wall_ms, &value); /* SET and DELETE look at nothing */
    if (value.tombstone) return (struct sherd_meta){.flags = SHERD_META_TOMBSTONE};
    return (struct sherd_meta){
        .checksum = sherd_checksum(user->value.data, user->value.size),
        .expires_ms = value.expires_ms,
        .size = (uint32_t)user->value.size,
    };
}

static void fill_run(struct sherd_engine *e, struct sherd_run *run, struct sherd_op *user)
{
    struct sherd_plan plan = sherd_plan_of(user->kind);
    struct sherd_operation *op = &run->op;

    run->user = user;
    run->is_write = plan.is_write;
    run->value = user->value;
    memcpy(run->key, user->key.data, user->key.size);
    op->goal = (uint8_t)plan.goal;
    op->want_value = plan.want_value;
    op->ask_all = plan.ask_all;
    op->ack_quorum = user->ack_quorum;
    op->tag = sherd_run_tag(run);
    op->key = (struct sherd_bytes){run->key, user->key.size};
    op->key_hash = sherd_hash_key(run->key, user->key.size);
    op->deadline_us = deadline_of(user);
    op->due_us = op->deadline_us;
    if (plan.goal == SHERD_GOAL_SET) op->meta = meta_of(e, user);
}

/* A client that was just opened waits a moment for all nodes: its first write is to reach them all.
 */
bool sherd_runs_can_start(const struct sherd_engine *e)
{
    if (!e->waiting_first || !e->map || e->must_connect) return false;
    if (!e->free_runs && e->chunk_count == SHERD_RUNS_CHUNKS_MAX) return false;
    if (e->now_us < e->greet_until_us && sherd_peers_are_greeting(&e->peers)) return false;
    return !sherd_peers_are_full(&e->peers);
}

void sherd_runs_start_waiting(struct sherd_engine *e)
{
    while (sherd_runs_can_start(e)) {
        struct sherd_op *user = e->waiting_first;
        struct sherd_run *run = take_run(e);
        if (!run) {
            if (e->active_runs > 0) return; /* one of them will end */
            remove_waiting(e, user, NULL);
            sherd_op_end(e, user, SHERD_NO_MEMORY);
            continue;
        }
        remove_waiting(e, user, NULL);
        fill_run(e, run, user);
        sherd_timers_set(&e->timers, &run->timer, run->op.deadline_us);
        if (!run->is_write || lead(e, run)) start(e, run);
    }
}
