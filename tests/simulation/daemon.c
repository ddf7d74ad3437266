#include "tests/simulation/daemon.h"

#include <string.h>

#include "tests/simulation/engine.h"
#include "tests/simulation/network.h"
#include "tests/simulation/node.h"

enum {
    TIMEOUT_US = 2000 * SIM_MS,
    LIST_PATIENCE_US = 300 * SIM_MS,
    REPAIR_AGAIN_US = 500 * SIM_MS,
};

enum task { TASK_SWEEP, TASK_REPAIR, TASK_JOB };

static void set_bit(uint8_t *bits, uint16_t i) { bits[i / 8] |= (uint8_t)(1u << i % 8); }

static bool bit_of(const uint8_t *bits, uint16_t i) { return bits[i / 8] >> i % 8 & 1; }

static struct sim_node *node_of(struct sim_client *daemon)
{
    return &daemon->cluster->node[daemon->address - SIM_DAEMON];
}

static bool is_busy(const struct sim_node *n, uint8_t key)
{
    for (const struct sim_op *o = n->daemon.ops; o; o = o->next)
        if (o->key == key) return true;
    return false;
}

/* ---- rebuild and scan ---- */

static const struct sherd_partition *partition_of(const struct sim_node *n, uint16_t index)
{
    return &n->map->map->partitions[index];
}

static void end_job(struct sim_node *n, uint16_t index, bool good)
{
    struct sim_job *job = &n->jobs[index];

    sim_trace(&n->cluster->world, "node %u: %s of partition %u, epoch %u: %s", n->id,
              job->scan ? "scan" : "rebuild", index, job->epoch, good ? "done" : "failed");
    job->active = false;
    if (!good) return;
    set_bit(job->scan ? n->scanned : n->rebuilt, index);
    sim_node_report(n);
}

/* Whether the lists heard name every key that may have a value: as many as show freshness. */
static bool lists_suffice(const struct sim_node *n, uint16_t index)
{
    const struct sherd_partition *p = partition_of(n, index);
    const struct sim_job *job = &n->jobs[index];
    struct sherd_answers answers;
    struct sherd_choice choice;

    if (job->scan && (p->voters & ~job->listed) != 0) return false;
    sherd_answers_reset(&answers);
    answers.heard = job->listed;
    sherd_choose(p, n->map->map->k, &answers, 0, &choice);
    return choice.verdict == SHERD_CHOICE_COMPLETE;
}

static void go_on(struct sim_node *n, uint16_t index);

/* A scan is only good when everybody holds the key; a rebuild, when this node does. */
static bool is_key_done(const struct sim_op *o, const struct sim_node *n, uint16_t index)
{
    const struct sim_job *job = &n->jobs[index];
    const struct sherd_partition_state *mine = &n->states[index];

    if (!o->op.partition || o->op.partition->epoch != job->epoch) return false;
    if (o->op.outcome == SHERD_OK) return true;
    return !job->scan && sherd_slots_has(o->op.held, mine->slot);
}

static void on_job_op(struct sim_op *o)
{
    struct sim_node *n = node_of(o->client);
    uint16_t index = sim_partition_of(n->cluster, o->key);
    struct sim_job *job = &n->jobs[index];

    if (!o->over || !job->active || !job->running) return;
    job->running = false;
    if (!is_key_done(o, n, index)) {
        end_job(n, index, false);
        return;
    }
    job->keys &= ~(UINT32_C(1) << o->key);
    go_on(n, index);
}

static void go_on(struct sim_node *n, uint16_t index)
{
    struct sim_job *job = &n->jobs[index];

    if (job->keys == 0) {
        end_job(n, index, true);
        return;
    }
    uint8_t key = (uint8_t)__builtin_ctz(job->keys);
    struct sim_op *o = sim_op_new(&n->daemon, SHERD_GOAL_REPAIR, key, TIMEOUT_US);
    o->task = TASK_JOB;
    o->done = on_job_op;
    job->running = true;
    sim_op_submit(o);
}

static void start_job(struct sim_node *n, uint16_t index, bool scan)
{
    struct sim_client *cl = &n->daemon;
    const struct sherd_partition *p = partition_of(n, index);
    struct sim_job *job = &n->jobs[index];

    *job = (struct sim_job){.active = true,
                            .scan = scan,
                            .epoch = p->epoch,
                            .incarnation = n->states[index].incarnation,
                            .id = ++cl->tag << 16,
                            .asked = p->voters,
                            .give_up_us = n->cluster->world.now_us + LIST_PATIENCE_US};
    for (uint32_t rest = p->voters; rest; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        struct sherd_request r = {.id = job->id,
                                  .kind = SHERD_LIST,
                                  .slot = slot,
                                  .epoch = p->epoch,
                                  .partition = index,
                                  .limit = 1024,
                                  .shard_frame = -1};
        struct sherd_envelope e = sim_client_envelope(cl, (uint8_t)p->node[slot]);
        sim_send_request(n->cluster, cl->address, (uint8_t)p->node[slot], &e, &r);
    }
}

/* All lists came, or the rest will not. */
static void begin_keys(struct sim_node *n, uint16_t index)
{
    struct sim_job *job = &n->jobs[index];

    if (!lists_suffice(n, index)) {
        job->active = false;
        return;
    }
    job->keys = job->asked >> 16;
    go_on(n, index);
}

static void on_page(struct sim_node *n, uint16_t index, const struct sherd_answer *a)
{
    struct sim_job *job = &n->jobs[index];
    struct sherd_entry entries[SHERD_ENTRIES_MAX];
    struct sherd_bytes key;
    uint8_t count = 0;
    size_t at = 0;

    if (a->kind != SHERD_PAGE || a->epoch != job->epoch || job->keys || job->running) return;
    job->listed |= sherd_slot(a->slot);
    while (sherd_wire_next_item(a->body, &at, &key, entries, &count) == 0)
        job->asked |= UINT32_C(1) << (16 + sim_key_of(n->cluster, key));
    if ((job->asked & UINT16_MAX & ~job->listed) == 0) begin_keys(n, index);
}

/* ---- tombstones that may go (PROTOCOL 8) ---- */

static void ask_voters(struct sim_node *n, uint8_t key, enum sherd_message_kind kind,
                       uint32_t slots)
{
    struct sim_cluster *c = n->cluster;
    struct sim_forget *f = &n->forgets[key];
    const struct sherd_partition *p = partition_of(n, sim_partition_of(c, key));

    for (uint32_t rest = slots; rest; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        struct sherd_request r = {
            .id = kind == SHERD_READ ? f->id : 0,
            .kind = (uint8_t)kind,
            .slot = slot,
            .epoch = p->epoch,
            .ballot = f->ballot,
            .version = f->ballot,
            .key = {c->key_text[key], strlen(c->key_text[key])},
            .shard_frame = -1
        };
        struct sherd_envelope e = sim_client_envelope(&n->daemon, (uint8_t)p->node[slot]);
        sim_send_request(c, n->daemon.address, (uint8_t)p->node[slot], &e, &r);
    }
}

/* A lone committed tombstone from before the reach of the floor. */
static bool may_go(const struct sim_node *n, uint8_t key)
{
    const struct sherd_record *r = &n->cells[key].record;
    const struct sherd_partition_state *mine = &n->states[sim_partition_of(n->cluster, key)];
    uint64_t wall_ms = sim_wall_ms(n->cluster, n->skew_ms);

    return mine->voter && mine->clean && r->count == 1 && r->entries[0].committed &&
           sherd_meta_is_absent(&r->entries[0].meta, 0) &&
           sherd_clock_wall_ms(r->entries[0].ballot.clock) + SHERD_FLOOR_BEHIND_MS < wall_ms;
}

static void look_for_tombstone(struct sim_node *n, uint8_t key)
{
    struct sim_forget *f = &n->forgets[key];
    const struct sherd_partition *p = partition_of(n, sim_partition_of(n->cluster, key));

    if (f->active && n->cluster->world.now_us < f->give_up_us) return;
    f->active = may_go(n, key);
    if (!f->active) return;
    *f = (struct sim_forget){.active = true,
                             .id = ++n->daemon.tag << 16,
                             .give_up_us = n->cluster->world.now_us + LIST_PATIENCE_US,
                             .epoch = p->epoch,
                             .asked = p->voters,
                             .ballot = n->cells[key].record.entries[0].ballot};
    ask_voters(n, key, SHERD_READ, p->voters);
}

static void on_tombstone(struct sim_node *n, uint8_t key, const struct sherd_answer *a)
{
    struct sim_forget *f = &n->forgets[key];
    const struct sherd_entry *e = &a->entries[0];
    bool agrees = a->kind == SHERD_STATE && a->epoch == f->epoch &&
                  (a->entry_count == 0 || (a->entry_count == 1 && e->committed &&
                                           sherd_ballot_equal(e->ballot, f->ballot)));

    if (!agrees || partition_of(n, sim_partition_of(n->cluster, key))->epoch != f->epoch) {
        f->active = false;
        return;
    }
    f->answered |= sherd_slot(a->slot);
    if (a->entry_count) f->holds |= sherd_slot(a->slot);
    if (f->answered != f->asked) return;
    ask_voters(n, key, SHERD_FORGET, f->holds);
    f->active = false;
}

void sim_daemon_answer(struct sim_client *daemon, const struct sherd_answer *a)
{
    struct sim_node *n = node_of(daemon);

    for (uint8_t key = 0; key < n->cluster->keys; key++)
        if (n->forgets[key].active && n->forgets[key].id == a->id) on_tombstone(n, key, a);

    for (uint16_t i = 0; i < n->cluster->partitions; i++)
        if (n->jobs[i].active && n->jobs[i].id == a->id) on_page(n, i, a);
}

static void look_at_job(struct sim_node *n, uint16_t index)
{
    struct sim_job *job = &n->jobs[index];
    const struct sherd_partition_state *mine = &n->states[index];

    if (job->epoch != mine->epoch || job->incarnation != mine->incarnation) {
        job->active = false;
        return;
    }
    if (job->running || n->cluster->world.now_us < job->give_up_us) return;
    begin_keys(n, index);
}

static void look_for_job(struct sim_node *n, uint16_t index)
{
    const struct sherd_partition_state *mine = &n->states[index];
    const struct sherd_partition *p = partition_of(n, index);
    bool learner = mine->incarnation != 0 && !mine->voter;
    bool scanner = mine->voter && p->open_count > 1 && p->learners == 0 &&
                   sherd_slots_first(p->voters) == mine->slot;

    if (mine->lost || mine->epoch > n->all.live) return;
    learner = learner && !bit_of(n->rebuilt, index);
    scanner = scanner && !bit_of(n->scanned, index);
    if (!learner && !scanner) return;
    start_job(n, index, scanner);
}

/* ---- sweep and repair list ---- */

static void on_task(struct sim_op *o)
{
    struct sim_node *n = node_of(o->client);
    struct sim_cell *cell = &n->cells[o->key];

    if (!o->over) return;
    sim_trace(&n->cluster->world, "node %u: %s of key %u: %s", n->id,
              o->task == TASK_SWEEP ? "sweep" : "repair", o->key,
              sherd_outcome_name(o->op.outcome));
    if (o->task != TASK_REPAIR) return;
    if (o->op.outcome != SHERD_OK) cell->repair = true;
    cell->repair_at_us = n->cluster->world.now_us + REPAIR_AGAIN_US;
}

static void start_task(struct sim_node *n, uint8_t key, enum task task)
{
    enum sherd_goal goal = task == TASK_SWEEP ? SHERD_GOAL_FINISH : SHERD_GOAL_REPAIR;
    struct sim_op *o = sim_op_new(&n->daemon, goal, key, TIMEOUT_US);

    o->task = (uint8_t)task;
    o->done = on_task;
    sim_op_submit(o);
}

/* A mark that is set while it runs is for another one: it may have passed by what is missing then.
 */
static void start_repair(struct sim_node *n, uint8_t key)
{
    n->cells[key].repair = false;
    start_task(n, key, TASK_REPAIR);
}

/* PROTOCOL 5: an undecided entry older than 2 s + slot * 200 ms. */
static bool is_due(const struct sim_node *n, uint8_t key)
{
    const struct sherd_partition_state *mine = &n->states[sim_partition_of(n->cluster, key)];
    const struct sherd_record *record = &n->cells[key].record;
    uint64_t wall_ms = sim_wall_ms(n->cluster, n->skew_ms);

    for (uint8_t i = 0; i < record->count; i++) {
        uint64_t age_ms = sherd_clock_wall_ms(record->entries[i].ballot.clock) +
                          SHERD_SWEEP_AFTER_MS + mine->slot * (uint64_t)SHERD_SWEEP_PER_SLOT_MS;
        if (!record->entries[i].committed && age_ms < wall_ms) return true;
    }
    return false;
}

void sim_daemon_tick(struct sim_node *n)
{
    struct sim_cluster *c = n->cluster;

    if (!n->map) return;
    for (uint16_t i = 0; i < c->partitions; i++) {
        if (n->jobs[i].active)
            look_at_job(n, i);
        else
            look_for_job(n, i);
    }
    for (uint8_t key = 0; key < c->keys; key++) {
        const struct sim_cell *cell = &n->cells[key];
        look_for_tombstone(n, key);
        if (is_busy(n, key)) continue;
        if (is_due(n, key))
            start_task(n, key, TASK_SWEEP);
        else if (cell->repair && cell->repair_at_us <= c->world.now_us)
            start_repair(n, key);
    }
}

void sim_daemon_start(struct sim_node *n)
{
    memset(n->jobs, 0, sizeof(n->jobs));
    memset(n->forgets, 0, sizeof(n->forgets));
    n->daemon.map = n->map;
    n->daemon.skew_ms = n->skew_ms;
    sim_client_start(&n->daemon);
}

void sim_daemon_stop(struct sim_node *n)
{
    for (const struct sim_op *o = n->daemon.ops; o; o = o->next)
        if (o->task == TASK_REPAIR) n->cells[o->key].repair = true; /* not done */
    sim_client_stop(&n->daemon);
    memset(n->jobs, 0, sizeof(n->jobs));
    memset(n->forgets, 0, sizeof(n->forgets));
}
