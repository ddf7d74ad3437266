#include "tests/cluster/chaos_faults.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/cluster/chaos_fault_parts.h"

enum {
    SECOND_US = 1000000,
    CLOCK_LIMIT_MS = 40000,
    CLOCK_WIDTH_MS = 50000, /* two clocks more than 60 s apart refuse each other */
    FRESH_US = 2 * SECOND_US,
    TROUBLE_US = 4 * SECOND_US, /* how long a rebuild is disturbed, before it is let finish */
    WIPE_WAIT_US = 20 * SECOND_US,
    SILENCE_MIN_MS = 50,
    PAUSE_MAX_US = 15 * SECOND_US,
    NOTICE_MS = 1000, /* a write that does not know of a loss yet is under way (PROTOCOL 9.2) */
};

static const struct {
    const char *text;
    unsigned weight;
} kinds[] = {
#define X(name, text, weight) {text, weight},
    FAULTS_MAP(X)
#undef X
};

#ifdef SHERD_TEST_HOOKS
static const bool has_hooks = true;
#else
static const bool has_hooks = false;
#endif

uint32_t faults_pick_set(struct dice *d, uint32_t among, unsigned count)
{
    uint32_t set = 0;

    while (count > 0 && among != 0) {
        unsigned skip = roll(d, (uint32_t)__builtin_popcount(among));
        uint32_t rest = among, one;
        for (; skip > 0; skip--)
            rest &= rest - 1;
        one = rest & -rest;
        set |= one;
        among &= ~one;
        count--;
    }
    return set;
}

const char *faults_show(uint32_t set)
{
    static char rooms[4][3 * CLUSTER_NODES_MAX + 1];
    static unsigned next;

    return cluster_set_text(set, rooms[next++ % LEN(rooms)]);
}

/* ---- What is allowed ---- */

/* How many nodes may lose their state at once, when every value is on all (PROTOCOL 9.2). */
static unsigned losses_max(const struct chaos *c)
{
    unsigned q = (c->nodes + c->k + 1) / 2;

    return c->m < q - 1 ? c->m : q - 1;
}

/* The cluster can lose one node's state now: nothing lost is still missing, and only so many nodes
 * are not full voters that, were they lost too, it would not be too much. */
static bool may_lose_one(const struct faults *f)
{
    const struct chaos *c = f->chaos;

    return !f->losing && c->looked_us + FRESH_US > test_now_us() &&
           c->weak < (losses_max(c) > 1 ? 2 : 1);
}

static void lose(struct faults *f, struct fault *x)
{
    x->loses = true;
    f->losing = true;
    f->back_us = 0;
}

bool faults_allow_silence(struct faults *f, struct fault *x, uint32_t nodes, uint32_t *ms)
{
    uint64_t now_us = test_now_us(), limit_us = (uint64_t)f->chaos->vacate_after_ms * 500, end_us;
    bool one = (nodes & 1) == 0 && (nodes & (nodes - 1)) == 0;

    if (f->chaos->heard_us > f->silent_us && now_us > f->silent_us) f->episode_us = 0;
    if (*ms * 1000ull > limit_us && one && f->episode_us == 0 && may_lose_one(f))
        lose(f, x);
    else if (f->episode_us != 0)
        limit_us = f->episode_us + limit_us > now_us ? f->episode_us + limit_us - now_us : 0;
    if (!x->loses && *ms * 1000ull > limit_us) *ms = (uint32_t)(limit_us / 1000);
    if (*ms < SILENCE_MIN_MS) return false;
    x->silences = true;
    end_us = now_us + *ms * 1000ull;
    if (f->episode_us == 0) f->episode_us = now_us;
    if (f->silent_us < end_us) f->silent_us = end_us;
    return true;
}

/* ---- Beginning ---- */

/* Who is dead by now comes back with nothing. */
static void lose_nodes(struct faults *f, struct fault *x)
{
    struct chaos *c = f->chaos;

    lose(f, x);
    for (unsigned i = 0; i < c->nodes; i++)
        if (c->durable && (x->a & bit(i))) chaos_wipe(c, i);
}

static bool begin_kill(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    struct chaos *c = f->chaos;
    uint32_t node = x->kind == FAULT_KILL_KEEPER ? 0 : roll(d, c->nodes);
    bool keeps;

    *ms = roll(d, 8) == 0 ? c->vacate_after_ms + roll(d, 3000) : between(d, 1, 3000);
    keeps = c->durable && roll(d, 3) > 0;
    if (c->processes[node].pid == 0) return false;
    if (keeps ? !faults_allow_silence(f, x, bit(node), ms) : !may_lose_one(f)) return false;
    x->a = bit(node);
    chaos_say(c, "kill node %u, to be started again, %s, after %u ms", node,
              keeps ? "with its state" : "empty", *ms);
    chaos_kill(c, node);
    f->kept += keeps;
    if (!keeps) lose_nodes(f, x);
    return true;
}

/* Whoever is silent meanwhile for another reason could be silent for too long. */
static bool begin_kill_all(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    struct chaos *c = f->chaos;

    *ms = between(d, 1, 2000);
    for (unsigned i = 0; i < c->nodes; i++)
        if (!chaos_is_up(c, i)) return false;
    if (!faults_allow_silence(f, x, all_nodes(c), ms)) return false;
    x->a = all_nodes(c);
    chaos_say(c, "kill all nodes at once, to be started again, with their state, after %u ms", *ms);
    chaos_kill_set(c, x->a);
    return true;
}

static bool is_idle(const struct chaos *c)
{
    for (unsigned i = c->nodes; i < c->hosts; i++)
        if (c->control->busy[i] > 0) return false;
    return true;
}

/* Makes clients pause until every value is on every node. */
static bool wait_whole(struct chaos *c)
{
    uint64_t until_us = test_now_us() + PAUSE_MAX_US, idle_us = 0;

    c->control->pause = true;
    while (test_now_us() < until_us) {
        chaos_check(c);
        if (idle_us == 0 && is_idle(c)) idle_us = test_now_us();
        if (idle_us != 0 && c->whole_us > idle_us) return true;
        test_pause_ms(5);
    }
    c->control->pause = false;
    return false;
}

static bool begin_wipe(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    struct chaos *c = f->chaos;
    uint32_t set = faults_pick_set(d, all_nodes(c), losses_max(c));

    *ms = between(d, 1, 4000);
    chaos_say(c, "clients pause, to lose m nodes at once");
    if (!wait_whole(c)) {
        chaos_say(c, "not whole in time: nobody is killed");
        return false;
    }
    x->a = set;
    chaos_say(c, "kill nodes %s, to be started again, empty, after %u ms", faults_show(set), *ms);
    chaos_kill_set(c, set);
    lose_nodes(f, x);
    test_pause_ms(NOTICE_MS);
    c->control->pause = false;
    return true;
}

static bool begin_stop(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    struct chaos *c = f->chaos;
    unsigned count = x->kind == FAULT_STOP ? 1 : between(d, 2, 3);
    uint32_t set = faults_pick_set(d, all_nodes(c), count);

    *ms = roll(d, 5) == 0 ? between(d, 2000, 10000) : between(d, 50, 2500);
    for (unsigned i = 0; i < c->nodes; i++)
        if ((set & bit(i)) && !chaos_is_up(c, i)) return false;
    if (!faults_allow_silence(f, x, set, ms)) return false;
    x->a = set;
    chaos_say(c, "stop node %s for %u ms", faults_show(set), *ms);
    for (unsigned i = 0; i < c->nodes; i++)
        if (set & bit(i)) chaos_signal(c, i, SIGSTOP);
    return true;
}

static bool begin_client_kill(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    struct chaos *c = f->chaos;
    uint32_t worker = roll(d, CHAOS_WORKERS);

    *ms = between(d, 1, 1000);
    if (c->processes[c->nodes + worker].pid == 0) return false;
    x->a = bit(c->nodes + worker);
    chaos_say(c, "kill client %u", c->nodes + worker);
    chaos_kill(c, c->nodes + worker);
    return true;
}

/* In its place comes one that ends at a step. */
static bool begin_client_step(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    static const char *const steps[] = {"prepare_sent",  "first_ack",   "quorum",
                                        "before_commit", "commit_half", "abort_sent"};
    struct chaos *c = f->chaos;
    uint32_t worker = roll(d, CHAOS_WORKERS);
    const char *step = steps[roll(d, LEN(steps))];
    char die_at[40];

    snprintf(die_at, sizeof(die_at), "%s:%u", step, between(d, 1, step[0] == 'a' ? 3 : 40));
    *ms = 6000; /* until then it must have come to it */
    if (!has_hooks || c->processes[c->nodes + worker].pid == 0) return false;
    x->a = bit(c->nodes + worker);
    chaos_say(c, "client %u is replaced by one that dies at %s", c->nodes + worker, die_at);
    chaos_kill(c, c->nodes + worker);
    chaos_start_worker(c, worker, die_at);
    return true;
}

static bool begin_clock(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    struct chaos *c = f->chaos;
    unsigned host = roll(d, c->hosts);
    int64_t offset_ms = f->clock_low_ms + roll(d, CLOCK_WIDTH_MS + 1);

    (void)x;
    *ms = 1;
    chaos_say(c, "the clock of host %u jumps from %+lld ms to %+lld ms", host,
              (long long)*c->clocks[host], (long long)offset_ms);
    *c->clocks[host] = offset_ms;
    return true;
}

static bool begin(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    switch (x->kind) {
    case FAULT_KILL:
    case FAULT_KILL_KEEPER: return begin_kill(f, x, d, ms);
    case FAULT_WIPE: return begin_wipe(f, x, d, ms);
    case FAULT_STOP:
    case FAULT_STOP_SOME: return begin_stop(f, x, d, ms);
    case FAULT_HALVES:
    case FAULT_ONE_WAY:
    case FAULT_LINK:
    case FAULT_ISOLATE:
    case FAULT_CLIENT_CUT:
    case FAULT_SLOW: return links_begin(f, x, d, ms);
    case FAULT_CLIENT_KILL: return begin_client_kill(f, x, d, ms);
    case FAULT_CLIENT_STEP: return begin_client_step(f, x, d, ms);
    case FAULT_CLOCK: return begin_clock(f, x, d, ms);
    case FAULT_KILL_ALL: return begin_kill_all(f, x, d, ms);
    case FAULT_KINDS: break;
    }
    abort();
}

/* ---- Ending ---- */

static void start_nodes(struct faults *f, uint32_t set)
{
    struct chaos *c = f->chaos;

    for (unsigned i = 0; i < c->nodes; i++)
        if ((set & bit(i)) && c->processes[i].pid == 0) chaos_start_node(c, i);
    chaos_say(c, "node %s started", faults_show(set));
}

static void continue_nodes(struct chaos *c, uint32_t set)
{
    for (unsigned i = 0; i < c->nodes; i++)
        if ((set & bit(i)) && c->processes[i].stopped) chaos_signal(c, i, SIGCONT);
    chaos_say(c, "node %s goes on", faults_show(set));
}

static void end_client(struct chaos *c, struct fault *x)
{
    unsigned host = (unsigned)__builtin_ctz(x->a);
    struct chaos_process *p = &c->processes[host];
    bool kept_going = p->pid != 0;

    if (kept_going) chaos_kill(c, host);
    chaos_start_worker(c, host - c->nodes, NULL);
    chaos_say(c, "client %u started%s", host, kept_going ? "; it had not come to the step" : "");
}

static void end(struct faults *f, struct fault *x)
{
    struct chaos *c = f->chaos;

    x->active = false;
    switch (x->kind) {
    case FAULT_KILL:
    case FAULT_KILL_KEEPER:
    case FAULT_WIPE:
    case FAULT_KILL_ALL: start_nodes(f, x->a); break;
    case FAULT_STOP:
    case FAULT_STOP_SOME: continue_nodes(c, x->a); break;
    case FAULT_HALVES:
    case FAULT_ONE_WAY:
    case FAULT_LINK:
    case FAULT_ISOLATE:
    case FAULT_CLIENT_CUT:
    case FAULT_SLOW: links_end(f, x); break;
    case FAULT_CLIENT_KILL:
    case FAULT_CLIENT_STEP: end_client(c, x); break;
    case FAULT_CLOCK:
    case FAULT_KINDS: break;
    }
    /* On a busy machine it ends late: the keeper may have given away slots by now. */
    if (x->silences && !x->loses && f->episode_us != 0 &&
        f->episode_us + c->vacate_after_ms * 750ull < test_now_us()) {
        chaos_say(c, "this took too long: the keeper may have given away slots");
        lose(f, x);
    }
    if (x->silences && f->silent_us < test_now_us()) f->silent_us = test_now_us();
    if (x->loses) f->back_us = test_now_us();
}

/* A client that has come to its step is replaced soon, and not only at the end of the fault. */
static bool is_over(const struct faults *f, const struct fault *x)
{
    return test_now_us() >= x->end_us ||
           (x->kind == FAULT_CLIENT_STEP && f->chaos->processes[__builtin_ctz(x->a)].pid == 0);
}

/* ---- The turn ---- */

/* How many of the kinds there are. */
static unsigned kind_count(const struct faults *f)
{
    return f->chaos->durable ? FAULT_KINDS : FAULT_KILL_ALL;
}

static bool troubles_servers(enum fault_kind kind)
{
    return kind < FAULT_CLIENT_KILL || kind == FAULT_KILL_ALL;
}

static bool is_missing(const struct faults *f, unsigned kind)
{
    return f->counts[kind] == 0 && (kind != FAULT_CLIENT_STEP || has_hooks);
}

static enum fault_kind pick_kind(const struct faults *f, struct dice *d)
{
    unsigned count = kind_count(f), first = roll(d, 2 * count), sum = 0, at;

    /* Every other time one that has not come yet, if there is any. */
    for (unsigned i = first; first < count && i < first + count; i++)
        if (is_missing(f, i % count)) return (enum fault_kind)(i % count);
    for (unsigned i = 0; i < count; i++)
        sum += kinds[i].weight;
    at = roll(d, sum);
    for (unsigned i = 0; i < count; i++) {
        if (at < kinds[i].weight) return (enum fault_kind)i;
        at -= kinds[i].weight;
    }
    abort();
}

/* One step of each kind at a time: what ends it must undo what began it. */
static struct fault *find_place(struct faults *f, enum fault_kind kind)
{
    struct fault *place = NULL;

    for (unsigned i = 0; i < FAULTS_AT_ONCE; i++) {
        if (!f->list[i].active) place = &f->list[i];
        if (f->list[i].active && f->list[i].kind == kind) return NULL;
    }
    return place;
}

/* Servers and their links are left alone for a while, so that what they lost is rebuilt and more
 * may be lost; or until everything is well, for the loss of m. Clients are not. */
static bool is_spared(const struct faults *f, enum fault_kind kind)
{
    uint64_t now_us = test_now_us();

    if (!troubles_servers(kind)) return false;
    return f->wipe_until_us > now_us ||
           (f->losing && f->back_us != 0 && now_us > f->back_us + TROUBLE_US);
}

static bool is_calm(const struct faults *f)
{
    for (unsigned i = 0; i < FAULTS_AT_ONCE; i++)
        if (f->list[i].active && troubles_servers(f->list[i].kind)) return false;
    return !f->losing && f->chaos->weak == 0;
}

/* A wipe that is due comes once it is calm. */
static enum fault_kind choose_kind(struct faults *f, struct dice *d)
{
    enum fault_kind kind = pick_kind(f, d);

    if (f->wipe_until_us > test_now_us() && is_calm(f)) {
        f->wipe_until_us = 0;
        return FAULT_WIPE;
    }
    if (kind != FAULT_WIPE) return is_spared(f, kind) ? FAULT_KINDS : kind;
    if (f->wipe_until_us < test_now_us()) f->wipe_until_us = test_now_us() + WIPE_WAIT_US;
    return FAULT_KINDS;
}

static void step(struct faults *f)
{
    struct dice d = {f->chaos->seed * 0x9e3779b97f4a7c15 + ++f->step * 0xd6e8feb86659fd93};
    uint32_t pause_ms = between(&d, 100, 1500), ms = 0;
    enum fault_kind kind = choose_kind(f, &d);
    struct fault *place = find_place(f, kind);
    struct fault x = {.kind = kind, .active = true};

    f->next_us = test_now_us() + (uint64_t)pause_ms * 1000;
    if (kind == FAULT_KINDS || place == NULL || !begin(f, &x, &d, &ms)) return;
    x.end_us = test_now_us() + (uint64_t)ms * 1000;
    f->counts[kind]++;
    *place = x;
}

/* Whether what was lost is all there again. */
static void note_recovery(struct faults *f)
{
    uint64_t clean_us = f->chaos->clean_us;
    uint32_t ms;

    if (!f->losing || f->back_us == 0 || clean_us <= f->back_us) return;
    f->losing = false;
    ms = (uint32_t)((clean_us - f->back_us) / 1000);
    chaos_say(f->chaos, "all rebuilt, %u ms later", ms);
    if (f->recovery_count < FAULT_RECOVERIES_MAX) f->recoveries_ms[f->recovery_count++] = ms;
}

void faults_init(struct faults *f, struct chaos *c)
{
    struct dice d = {c->seed ^ 0xc10c};

    *f = (struct faults){.chaos = c};
    f->clock_low_ms = -CLOCK_LIMIT_MS + (int64_t)roll(&d, 2 * CLOCK_LIMIT_MS - CLOCK_WIDTH_MS + 1);
    for (unsigned i = 0; i < c->hosts; i++)
        *c->clocks[i] = f->clock_low_ms + roll(&d, CLOCK_WIDTH_MS + 1);
}

void faults_turn(struct faults *f)
{
    chaos_check(f->chaos);
    note_recovery(f);
    for (unsigned i = 0; i < FAULTS_AT_ONCE; i++)
        if (f->list[i].active && is_over(f, &f->list[i])) end(f, &f->list[i]);
    if (test_now_us() >= f->next_us) step(f);
}

void faults_heal(struct faults *f)
{
    for (unsigned i = 0; i < FAULTS_AT_ONCE; i++)
        if (f->list[i].active) end(f, &f->list[i]);
    net_mend_all(&f->chaos->net);
    chaos_check(f->chaos);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

void faults_say(const struct faults *f)
{
    uint32_t sorted[FAULT_RECOVERIES_MAX];

    for (unsigned i = 0; i < FAULT_KINDS; i++)
        if (f->counts[i] > 0)
            test_say("fault: %-33s %llu times", kinds[i].text, (unsigned long long)f->counts[i]);
    if (f->chaos->durable)
        test_say("killed one at a time, %llu servers came back with their state",
                 (unsigned long long)f->kept);
    for (unsigned i = 0; i < f->recovery_count; i++)
        sorted[i] = f->recoveries_ms[i];
    qsort(sorted, f->recovery_count, sizeof(sorted[0]), compare);
    if (f->recovery_count > 0)
        test_say("rebuilt %u times; all whole after %.1f s (median), %.1f s at most",
                 f->recovery_count, (double)sorted[f->recovery_count / 2] / 1000,
                 (double)sorted[f->recovery_count - 1] / 1000);
}

void faults_expect_all(const struct faults *f)
{
    for (unsigned i = 0; i < kind_count(f); i++)
        if (is_missing(f, i)) test_fail("this has never happened: %s", kinds[i].text);
    if (f->chaos->durable && f->kept == 0) test_fail("no killed server came back with its state");
}
