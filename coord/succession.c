#include "coord/succession.h"

#include <string.h>

#include "coord/assert.h"
#include "coord/placement.h"
#include "coord/seal.h"

static uint64_t since(uint64_t now_ms, uint64_t then_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

static bool bit_of(const uint8_t *bits, uint16_t i) { return bits[i / 8] >> i % 8 & 1; }

static uint8_t slots_of(const struct sherd_map *map) { return (uint8_t)(map->k + map->m); }

/* Whether the holder of `slot` says, of the epoch that the partition is in and live in, what its
 * bit says. */
static bool reports(const struct sherd_membership *m, uint16_t index, uint8_t slot,
                    const uint8_t *bits)
{
    const struct sherd_partition *p = &m->map->partitions[index];

    return p->epoch <= m->map->live && bit_of(bits, index) &&
           sherd_seal_has_sealed(m, index, p->node[slot], p->incarnation[slot], p->epoch);
}

static bool is_rebuilt(const struct sherd_membership *m, uint16_t index, uint8_t slot)
{
    uint16_t node = m->map->partitions[index].node[slot];

    return reports(m, index, slot, m->members[node].rebuilt);
}

/* A partition that a scan would make clean. */
static bool awaits_scan(const struct sherd_map *map, const struct sherd_partition *p)
{
    return p->open_count > 1 && p->learners == 0 && !p->lost && p->epoch <= map->live;
}

/* The scanner is the holder of the lowest voter slot. */
static bool is_scanned(const struct sherd_membership *m, uint16_t index)
{
    const struct sherd_partition *p = &m->map->partitions[index];
    uint8_t slot = sherd_slots_first(p->voters);

    return reports(m, index, slot, m->members[p->node[slot]].scanned);
}

static void look_at_partition(const struct sherd_membership *m, uint16_t index,
                              struct sherd_succession_env *env, bool *undone)
{
    const struct sherd_partition *p = &m->map->partitions[index];

    if (awaits_scan(m->map, p) && !is_scanned(m, index)) env->scanned = false;
    for (uint32_t rest = p->learners; rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        env->done[p->node[slot]] = true;
        if (!is_rebuilt(m, index, slot)) undone[p->node[slot]] = true;
    }
}

void sherd_succession_look(const struct sherd_membership *m, struct sherd_succession_env *env)
{
    bool undone[SHERD_NODES_MAX] = {0};

    *env = (struct sherd_succession_env){.m = m, .scanned = true};
    env->paced = since(m->now_ms, m->batch_ms) >= SHERD_BATCH_MS;
    for (uint16_t i = 0; i < m->map->node_count; i++) {
        env->alive[i] = sherd_member_is_alive(&m->members[i], m->now_ms);
        env->out[i] = m->members[i].silent_ms >= m->config.vacate_after_ms;
    }
    for (uint16_t i = 0; i < m->map->partition_count; i++)
        look_at_partition(m, i, env, undone);
    for (uint16_t i = 0; i < m->map->node_count; i++)
        env->done[i] = env->done[i] && !undone[i];
}

static struct sherd_succession as_is(const struct sherd_partition *p)
{
    struct sherd_succession same = {
        .voters = p->voters, .learners = p->learners, .lost = p->lost != 0};

    memcpy(same.node, p->node, sizeof(same.node));
    return same;
}

/* How many open epochs became live: all but the last, at least. */
static uint32_t live_epochs(const struct sherd_partition *p, uint64_t live)
{
    uint32_t count = 0;

    while (count < p->open_count && p->open[count].epoch <= live)
        count++;
    return count;
}

static uint32_t gone_slots(const struct sherd_membership *m, const struct sherd_partition *p,
                           uint32_t slots)
{
    uint16_t index = (uint16_t)(p - m->map->partitions);
    uint32_t gone = 0;

    for (uint32_t rest = slots; rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        if (sherd_seal_is_gone(m, index, p->node[slot], p->incarnation[slot]))
            gone |= sherd_slot(slot);
    }
    return gone;
}

static uint32_t slots_where(const struct sherd_partition *p, uint32_t slots, const bool *nodes)
{
    uint32_t where = 0;

    for (uint32_t rest = slots; rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        uint16_t node = p->node[slot];
        if (node != SHERD_NO_NODE && nodes[node]) where |= sherd_slot(slot);
    }
    return where;
}

static void lose(const struct sherd_membership *m, const struct sherd_partition *p,
                 struct sherd_succession *out)
{
    uint32_t gone = gone_slots(m, p, p->voters);

    out->voters &= ~gone;
    out->learners |= gone;
    out->fresh = gone | gone_slots(m, p, p->learners);
}

/* Admits all learners of the partition together, since each new epoch makes the others begin again;
 * a node that is done everywhere waits for no other learner, and one whose shards are needed to
 * have k waits for nothing. */
static void admit(const struct sherd_succession_env *env, uint16_t index,
                  struct sherd_succession *out)
{
    const struct sherd_partition *p = &env->m->map->partitions[index];
    uint32_t ready = 0;

    for (uint32_t rest = p->learners & ~out->fresh; rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        if (is_rebuilt(env->m, index, slot)) ready |= sherd_slot(slot);
    }
    ready = slots_where(p, ready, env->alive);
    if ((ready != out->learners || !env->paced) && sherd_slots_count(out->voters) >= env->m->map->k)
        ready = slots_where(p, ready, env->done);
    out->voters |= ready;
    out->learners &= ~ready;
}

/* Voters of `x` that still have the memory they voted with, among these slots of `p`. */
static uint8_t survivors(const struct sherd_partition *p, const struct sherd_epoch *x,
                         uint32_t slots)
{
    uint8_t count = 0;

    for (uint32_t rest = x->voters & slots; rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        if (x->incarnation[slot] == p->incarnation[slot]) count++;
    }
    return count;
}

/* Whether enough of every open epoch is left for an answer to be fresh (PROTOCOL 7.4). Without, it
 * cannot even be said which keys had a value: after a scan of what is left, they would have none.
 */
static bool is_traceable(const struct sherd_membership *m, const struct sherd_partition *p,
                         uint32_t slots)
{
    uint32_t count = live_epochs(p, m->map->live);

    for (uint32_t i = 0; i < count; i++) {
        const struct sherd_epoch *x = &p->open[i];
        struct sherd_quorum quorum = sherd_quorum_of(sherd_slots_count(x->voters), m->map->k);
        if (survivors(p, x, slots) < quorum.n - quorum.q + 1) return false;
    }
    return true;
}

/* Whether what is heard now suffices to make an epoch with these voters live. */
static bool can_be_live(const struct sherd_succession_env *env, const struct sherd_partition *p,
                        uint32_t voters)
{
    uint16_t index = (uint16_t)(p - env->m->map->partitions);
    uint8_t k = env->m->map->k;
    struct sherd_quorum next = sherd_quorum_of(sherd_slots_count(voters), k);
    uint32_t count = live_epochs(p, env->m->map->live);

    if (sherd_slots_count(slots_where(p, voters, env->alive)) < next.q) return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct sherd_epoch *x = &p->open[i];
        struct sherd_quorum quorum = sherd_quorum_of(sherd_slots_count(x->voters), k);
        uint64_t after = i + 1 < count ? x[1].epoch : UINT64_MAX;
        uint8_t silent = 0;

        for (uint32_t rest = x->voters; rest != 0; rest &= rest - 1) {
            uint8_t slot = sherd_slots_first(rest);
            if (env->alive[x->node[slot]]) continue;
            if (sherd_seal_can_answer(env->m, index, x, slot, after)) silent++;
        }
        if (silent >= quorum.q || silent >= quorum.r) return false;
    }
    return true;
}

/* Whether the partition can do without all but these voters. Who is vacated forgets what it holds:
 * k must stay, and so must enough of every open epoch for an answer to be fresh (PROTOCOL 7.4), or
 * the absence of a few nodes would become the loss of their data. */
static bool can_go_on(const struct sherd_succession_env *env, const struct sherd_partition *p,
                      uint32_t voters)
{
    return sherd_slots_count(voters) >= env->m->map->k && is_traceable(env->m, p, voters) &&
           can_be_live(env, p, voters);
}

static void vacate(const struct sherd_succession_env *env, const struct sherd_partition *p,
                   struct sherd_succession *out)
{
    uint32_t kept = out->voters & ~slots_where(p, out->voters, env->out);

    out->learners &= ~slots_where(p, out->learners, env->out);
    if (kept != out->voters && can_go_on(env, p, kept)) out->voters = kept;
    out->fresh &= out->voters | out->learners;
}

static bool is_taken(const uint16_t *taken, uint8_t n, uint16_t node)
{
    for (uint8_t i = 0; i < n; i++)
        if (taken[i] == node) return true;
    return false;
}

static void fill(const struct sherd_succession_env *env, uint16_t index,
                 struct sherd_succession *out)
{
    const struct sherd_map *map = env->m->map;
    uint8_t n = slots_of(map);
    uint32_t vacant = sherd_slots_below(n) & ~(out->voters | out->learners);
    uint16_t taken[SHERD_SLOTS_MAX];

    for (uint8_t slot = 0; slot < n; slot++)
        taken[slot] = sherd_slots_has(vacant, slot) ? SHERD_NO_NODE : out->node[slot];
    for (int spares = 0; spares <= 1; spares++) { /* first those who come back to their own slot */
        for (uint32_t rest = vacant; rest != 0; rest &= rest - 1) {
            uint8_t slot = sherd_slots_first(rest);
            uint16_t node = out->node[slot];

            if (spares)
                node = sherd_placement_replace(map->nodes, map->node_count, env->alive, index, n,
                                               taken);
            if (node == SHERD_NO_NODE || !env->alive[node] || is_taken(taken, n, node)) continue;
            taken[slot] = out->node[slot] = node;
            out->learners |= sherd_slot(slot);
            out->fresh |= sherd_slot(slot);
            vacant &= ~sherd_slot(slot);
        }
    }
}

static bool has_new_holders(const struct sherd_partition *p, const struct sherd_succession *s)
{
    return s->voters != p->voters || s->learners != p->learners ||
           memcmp(s->node, p->node, sizeof(s->node)) != 0;
}

/* The same holders; only learners whose memory is gone start anew, which needs no new epoch. */
static void stay(const struct sherd_membership *m, const struct sherd_partition *p,
                 struct sherd_succession *out)
{
    *out = as_is(p);
    out->fresh = gone_slots(m, p, p->learners);
}

/* Whether `open` has room for an epoch with these voters and learners, and for what may have to
 * follow. Only a clean epoch gives room back, and only a partition whose voters all answer, without
 * learners, becomes clean. So room is kept for the learners' admission, and for the loss of every
 * voter beyond k, one by one: after that the partition is lost, and needs none. */
static bool has_room(const struct sherd_map *map, const struct sherd_partition *p, uint32_t voters,
                     uint32_t learners)
{
    uint32_t room = SHERD_OPEN_EPOCHS_MAX - live_epochs(p, map->live);
    uint32_t losses = sherd_slots_count(voters | learners) - (uint32_t)map->k;
    uint32_t now = learners != 0 ? 2 : 1;

    if (losses > SHERD_OPEN_EPOCHS_MAX / 2) losses = SHERD_OPEN_EPOCHS_MAX / 2;
    return room >= now + losses;
}

/* Keeps to the room in `open`: without it nobody is admitted or begins to learn, and the learners
 * leave their slots, so that the partition can be scanned; the slots are filled again afterwards.
 */
static void fit(const struct sherd_succession_env *env, const struct sherd_partition *p,
                struct sherd_succession *out)
{
    const struct sherd_map *map = env->m->map;

    if (!has_room(map, p, out->voters, out->learners)) {
        out->voters &= p->voters;
        out->learners = 0;
        out->fresh = 0;
        memcpy(out->node, p->node, sizeof(out->node));
    }
    if (live_epochs(p, map->live) == SHERD_OPEN_EPOCHS_MAX ||
        (p->epoch <= map->live && !can_be_live(env, p, out->voters)))
        stay(env->m, p, out);
}

/* The operator accepted the loss: those who are here begin anew with nothing (PROTOCOL 7.8). */
static bool begin_anew(const struct sherd_succession_env *env, uint16_t index,
                       struct sherd_succession *out)
{
    const struct sherd_membership *m = env->m;
    const struct sherd_partition *p = &m->map->partitions[index];

    /* An epoch in which somebody could still answer would be forgotten unsealed. */
    if (!bit_of(m->accepted, index) || !sherd_seal_is_shut(m, p)) return false;
    out->voters = slots_where(p, sherd_partition_holders(p), env->alive);
    out->learners = 0;
    if (sherd_slots_count(out->voters) < m->map->k) return false;
    out->fresh = out->voters;
    out->lost = false;
    out->epoch = out->reset = true;
    return true;
}

bool sherd_succession_plan(const struct sherd_succession_env *env, uint16_t index,
                           struct sherd_succession *out)
{
    const struct sherd_membership *m = env->m;
    const struct sherd_partition *p = &m->map->partitions[index];

    *out = as_is(p);
    if (p->lost) return begin_anew(env, index, out);

    lose(m, p, out);
    admit(env, index, out);
    if (sherd_slots_count(out->voters) < m->map->k || !is_traceable(m, p, ~out->fresh)) {
        *out = as_is(p);
        out->lost = true;
        return true;
    }
    vacate(env, p, out);
    struct sherd_succession filled = *out;
    fill(env, index, &filled);
    if (has_room(m->map, p, filled.voters, filled.learners)) *out = filled;
    if (has_new_holders(p, out)) fit(env, p, out);
    out->epoch = has_new_holders(p, out);
    out->clean = !out->epoch && out->fresh == 0 && awaits_scan(m->map, p) &&
                 (env->paced || env->scanned) && is_scanned(m, index);
    return out->epoch || out->clean || out->fresh != 0;
}

static void open_epoch(const struct sherd_map *next, struct sherd_partition *p, bool reset)
{
    /* Nothing was ever stored in an epoch that did not become live: it need not stay open. */
    uint32_t at = reset ? 0 : live_epochs(p, next->live);
    struct sherd_epoch *x = &p->open[at];

    SHERD_ASSERT(at < SHERD_OPEN_EPOCHS_MAX && next->version <= UINT32_MAX);
    p->epoch = (uint32_t)next->version;
    p->open_count = at + 1;
    *x = (struct sherd_epoch){.epoch = p->epoch, .voters = p->voters};
    for (size_t slot = 0; slot < SHERD_SLOTS_MAX; slot++) {
        bool votes = sherd_slots_has(p->voters, (uint8_t)slot);
        x->node[slot] = votes ? p->node[slot] : (uint16_t)SHERD_NO_NODE;
        x->incarnation[slot] = votes ? p->incarnation[slot] : 0;
    }
}

void sherd_succession_apply(struct sherd_map *next, uint16_t index,
                            const struct sherd_succession *plan)
{
    struct sherd_partition *p = &next->partitions[index];

    p->voters = plan->voters;
    p->learners = plan->learners;
    p->lost = plan->lost;
    memcpy(p->node, plan->node, sizeof(p->node));
    for (size_t slot = 0; slot < SHERD_SLOTS_MAX; slot++) {
        if (sherd_slots_has(plan->fresh, (uint8_t)slot)) {
            SHERD_ASSERT(next->next_incarnation != UINT32_MAX);
            p->incarnation[slot] = next->next_incarnation++;
        } else if (!sherd_slots_has(plan->voters | plan->learners, (uint8_t)slot)) {
            p->incarnation[slot] = 0;
        }
    }
    if (plan->epoch) open_epoch(next, p, plan->reset);
    if (plan->clean) {
        p->open[0] = p->open[p->open_count - 1];
        p->open_count = 1;
    }
}
