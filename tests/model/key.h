/* key.h - what the steps of key.pml compute. Included into the verifier that spin generates: `now`
 * is the state. Function by function as in coord/; see README.md for the names. */

/* What key.pml defines for itself. */
#define CLIENTS (SETS + CASES + CASPS + GETS)
enum { WAIT, COMPLETE, POSSIBLE, SKIP, UNCLEAR };
enum { SET = 1, CAS, CASP, GET };

#ifdef WIPE
enum { WIPED = NODES - 1 };
static int epoch_of(int b) { return b <= B1 ? 1 : b <= B2 ? 2 : 3; }
static int floor_of(int epoch) { return epoch <= 1 ? 0 : epoch == 2 ? B1 : B2; }
static int voters(int epoch) { return epoch == 2 ? (1 << (NODES - 1)) - 1 : (1 << NODES) - 1; }
/* Voters of x whose memory, as the map of `epoch` says, is the one that they voted with. */
static int same(int epoch, int x)
{
    return voters(x) & (epoch > 1 && x < 3 ? (1 << (NODES - 1)) - 1 : ~0);
}
#else
static int epoch_of(int b) { return 1; }
static int floor_of(int epoch) { return 0; }
static int voters(int epoch) { return (1 << NODES) - 1; }
static int same(int epoch, int x) { return (1 << NODES) - 1; }
#endif

static int has(int set, int x) { return set >> x & 1; }
static int below(int b) { return (1 << b) - 1; }
static int count(int set) { return __builtin_popcount(set); }
static int top(int set) { return set ? 31 - __builtin_clz(set) : 0; }
static int max_of(int a, int b) { return a > b ? a : b; }
static int min_of(int a, int b) { return a < b ? a : b; }
static int holders(void) { return (1 << NODES) - 1; }
static int val(int version) { return has(now.tomb, version) ? 0 : version; }
static int serves(int i, int epoch) { return now.nep[i] == epoch && now.live >= epoch; }

/* quorum.h */
static int nv(int epoch) { return count(voters(epoch)); }
static int q_of(int epoch) { return (nv(epoch) + SHARDS + 1) / 2; }
static int r_of(int epoch) { return max_of(SHARDS, nv(epoch) - q_of(epoch) + 1); }
static int f_of(int epoch)
{
#ifdef BREAK_slow_fast
    return q_of(epoch);
#else
    return max_of(q_of(epoch), 2 * (nv(epoch) - q_of(epoch)) + 1);
#endif
}

static int counted(int epoch)
{
#ifdef BREAK_count_learners
    return holders();
#else
    return voters(epoch);
#endif
}

/* --- The observer. */

/* Version w was observed, and all of `prior` were before: is there still an order? Edges, closed:
 * transitively, and with nothing between a compare-and-set and the version that it replaced. */
static void order(int w, int prior)
{
    int more = 1;

    if (has(now.gone, w)) now.bad = 1; /* said to have changed nothing */
    prior |= now.bw[w];
    now.bw[w] = 0;
    now.done |= 1 << w | 1;
    if (has(now.iscas, w)) {
        prior |= 1 << val(now.exp[w]);
        now.done |= 1 << val(now.exp[w]);
    }
    now.aft[0] |= now.done & ~1;
    for (int v = 0; v <= BALLOTS; v++)
        if (has(prior, v) && v != w) now.aft[v] |= 1 << w;
    while (more) {
        more = 0;
        for (int v = 0; v <= BALLOTS; v++) {
            int was = now.aft[v];
            for (int x = 0; x <= BALLOTS; x++) {
                if (!has(now.aft[v], x)) continue;
                now.aft[v] |= now.aft[x];
                if (!has(now.iscas & now.done, x)) continue;
                int from = val(now.exp[x]), rest = now.aft[v] & ~(1 << x);
                if (from != v) {
                    now.aft[v] |= 1 << from;
                } else if (rest & ~now.aft[x]) {
                    now.aft[x] |= rest;
                    more = 1;
                }
            }
            if (now.aft[v] != was) more = 1;
            if (has(now.aft[v], v)) {
                now.bad = 2; /* not linearizable */
                return;
            }
        }
    }
}

/* --- participant.c */

static int passed(int i, int b)
{
    return b <= now.nref[i] || b <= floor_of(now.nep[i]) || now.nhold[i] >> b != 0;
}

static void keep(int i, int mask)
{
    now.nhold[i] &= mask;
    now.ncom[i] &= now.nhold[i];
    now.nshown[i] &= now.nhold[i] & ~now.ncom[i];
}

static void drop_message(unsigned char *set, int i) { *set &= (unsigned char)~(1 << i); }

/* Forgets what says nothing more, so that states that differ only in it are one: bounds that are
 * implied, marks that no ABORT can ask for, messages that would change nothing. */
static void tidy(int i)
{
    int floor = floor_of(now.nep[i]);

    if (now.nref[i] <= top(now.nhold[i]) || now.nref[i] <= floor) now.nref[i] = 0;
    if (now.nprom[i] <= floor) now.nprom[i] = 0;
    for (int b = 1; b <= BALLOTS; b++) {
        int late = passed(i, b), listens = has(now.lst, b);
        if (!listens && (late || b < now.nprom[i])) drop_message(&now.pend[b], i);
        if (has(now.ncom[i], b) || (!has(now.nhold[i], b) && !has(now.pend[b], i)))
            drop_message(&now.cpend[b], i);
        if (!listens && !has(now.nhold[i], b) && late) drop_message(&now.apend[b], i);
        if (!listens && !has(now.apend[b], i)) now.nshown[i] &= ~(1 << b);
        if (now.apend[b] == 0) now.outv &= ~(1 << b);
        if (now.cpend[b] == 0) now.cep[b] = 0;
    }
}

static unsigned long long column(int i)
{
    unsigned long long key = now.nep[i];

    key = key * 11 + now.nprom[i];
    key = key * 11 + now.nref[i];
    key = key * 257 + now.nhold[i];
    key = key * 257 + now.ncom[i];
    key = key * 257 + now.nshown[i];
    for (int b = 1; b <= BALLOTS; b++)
        key = key * 0x9E3779B97F4A7C15ull + has(now.pend[b], i) + 2 * has(now.cpend[b], i) +
              4 * has(now.apend[b], i) + 8 * has(now.acks[b], i) + 16 * has(now.dead[b], i);
    for (int c = 0; c <= CLIENTS; c++) {
        key = key * 0x9E3779B97F4A7C15ull + has(now.cl[c].heard, i);
        for (int b = 1; b <= BALLOTS; b++)
            key = key * 3 + has(now.cl[c].fh[b], i);
    }
    return key;
}

static void swap_bits(unsigned char *set, int i)
{
    int both = *set >> i & 3;

    if (both == 1 || both == 2) *set ^= (unsigned char)(3 << i);
}

static void swap_bytes(unsigned char *array, int i)
{
    unsigned char first = array[i];

    array[i] = array[i + 1];
    array[i + 1] = first;
}

static void swap_nodes(int i)
{
    swap_bytes(now.nep, i);
    swap_bytes(now.nprom, i);
    swap_bytes(now.nref, i);
    swap_bytes(now.nhold, i);
    swap_bytes(now.ncom, i);
    swap_bytes(now.nshown, i);
    for (int b = 1; b <= BALLOTS; b++) {
        swap_bits(&now.pend[b], i);
        swap_bits(&now.cpend[b], i);
        swap_bits(&now.apend[b], i);
        swap_bits(&now.acks[b], i);
        swap_bits(&now.dead[b], i);
    }
    for (int c = 0; c <= CLIENTS; c++) {
        swap_bits(&now.cl[c].heard, i);
        for (int b = 1; b <= BALLOTS; b++)
            swap_bits(&now.cl[c].fh[b], i);
    }
}

/* Nodes are alike, but for the one that is wiped: of all orders of them, one stands for all. */
static void settle(void)
{
    for (int i = 0; i < NODES; i++)
        tidy(i);
#ifndef NOSYM
#ifdef WIPE
    int alike = NODES - 1;
#else
    int alike = NODES;
#endif
    for (int last = alike - 1; last > 0; last--)
        for (int i = 0; i < last; i++)
            if (column(i) > column(i + 1)) swap_nodes(i);
#endif
}

static void on_prepare(int i, int b)
{
    int late = b < now.nprom[i] || passed(i, b), t;

    drop_message(&now.pend[b], i); /* a PREPARE arrives at most once */
#ifdef BREAK_accept_stale
    late = 0;
#endif
    if (!serves(i, epoch_of(b)) || late) goto refused; /* STALE, NACK(max) */
    if (has(now.oneshot, b))                           /* is_spare */
        keep(i, now.ncom[i] | below(now.exp[b] + 1) | ~below(b));
    t = top(now.nhold[i]);
#ifndef BREAK_no_expect
    if (has(now.cond, b) && t != 0 && now.ver[t] != now.exp[b] && t >= now.exp[b]) {
        now.nref[i] = max_of(now.nref[i], b); /* for good */
        goto refused;
    }
#endif
    now.nhold[i] |= 1 << b;
    if (has(now.lsa, b)) now.acks[b] |= 1 << i;
    settle();
    return;
refused:
    if (has(now.lst, b)) now.dead[b] |= 1 << i;
    settle();
}

static void on_commit(int i, int b)
{
    int ok = serves(i, now.cep[b]);

    drop_message(&now.cpend[b], i);
    if (ok && has(now.nhold[i], b)) {
        now.ncom[i] |= 1 << b;
        keep(i, ~below(b));
    }
#ifdef BREAK_commit_drops
    if (ok) keep(i, ~below(b));
#endif
    settle();
}

static int may_have_been_read(int i, int b)
{
    if (has(now.outv, b)) return 0;
#ifndef BREAK_forget_shown
    if (has(now.nhold[i], b)) return has(now.nshown[i], b);
#endif
#ifndef BREAK_forget_overtaken
    if (!has(now.nhold[i], b)) return b < top(now.ncom[i]);
#endif
    return 0;
}

static void on_abort(int i, int b)
{
    int stays = has(now.ncom[i], b);
    int exposed = stays || may_have_been_read(i, b);

#ifndef BREAK_forget_exposure
    exposed = exposed || now.nprom[i] > b;
#endif
    drop_message(&now.apend[b], i);
    if (serves(i, epoch_of(b))) { /* STALE proves nothing */
        now.nref[i] = max_of(now.nref[i], b);
        if (!stays && (!exposed || has(now.outv, b))) keep(i, ~(1 << b));
        if (!exposed && has(now.lst, b)) now.dead[b] |= 1 << i;
    }
    settle();
}

/* A PROMISE that is refused, or whose answer is lost, changes nothing but to refuse more. */
static int may_promise(int i, int b)
{
    return serves(i, epoch_of(b)) && b >= now.nprom[i] && !passed(i, b);
}

static void show(int i) { now.nshown[i] |= now.nhold[i] & ~now.ncom[i]; }

/* --- choose.c */

static void fold(struct op *o, int i)
{
    o->heard |= 1 << i;
    o->fcom |= now.ncom[i];
    for (int b = 1; b <= BALLOTS; b++)
        if (has(now.nhold[i], b)) o->fh[b] |= 1 << i;
}

static void forget(struct op *o)
{
    o->heard = o->fcom = o->vd = o->seen = o->stl = o->abv = 0;
    for (int b = 0; b <= BALLOTS; b++)
        o->fh[b] = 0;
}

static int is_fresh(const struct op *o, int since)
{
#ifdef BREAK_forget_old_epochs
    since = o->ce;
#endif
    for (int x = max_of(since, 1); x <= o->ce; x++)
        if (count(o->heard & same(o->ce, x)) < (x == o->ce ? r_of(x) : nv(x) - q_of(x) + 1))
            return 0;
    return 1;
}

static int standing(const struct op *o, int b)
{
    int x = epoch_of(b), heard = o->heard & same(o->ce, x);
    int need = has(now.cond, b) ? f_of(x) : q_of(x);
    int held = count(o->fh[b] & heard), unknown = nv(x) - count(heard);

#ifdef BREAK_count_learners
    held = count(o->fh[b]);
#endif
#ifdef BREAK_old_epoch_all_heard
    unknown = count(voters(o->ce) & ~o->heard);
#endif
    if (has(o->fcom, b)) return is_fresh(o, x) ? COMPLETE : UNCLEAR;
    if (held + unknown < need) return SKIP;
    if (!is_fresh(o, x)) return UNCLEAR;
    if (held >= need) return COMPLETE;
#ifdef BREAK_ignore_pending
    return SKIP;
#endif
#ifndef BREAK_guess_conditional
    if (has(now.cond, b) && nv(x) - q_of(x) + unknown >= need) return UNCLEAR;
#endif
    return POSSIBLE;
}

static void choose(struct op *o)
{
    int b = BALLOTS, how = SKIP, shards = 0;

    o->vd = WAIT;
    o->seen = o->abv = o->stl = 0;
    if (!is_fresh(o, o->ce)) return;
    for (; b > 0; b--) {
        if (!o->fh[b]) continue;
        how = standing(o, b);
        if (how != SKIP) break;
        o->abv = 1;
    }
    o->seen = b;
    if (b == 0) {
        if (is_fresh(o, 0)) o->vd = COMPLETE;
        return;
    }
    if (how == UNCLEAR) return;
    for (int x = 1; x <= BALLOTS; x++)
        if (now.ver[x] == now.ver[b]) shards |= o->fh[x];
    if (count(shards) < SHARDS && !has(now.tomb, now.ver[b])) return;
    o->vd = how;
    while (how != COMPLETE && --b > 0)
        if (o->fh[b]) how = standing(o, b);
    if (how == COMPLETE) o->stl = b;
}

#include "client.h"

/* --- partition.c, seal.c, succession.c, server/pass.c */
#ifdef WIPE
static void lose(void)
{
    now.nprom[WIPED] = now.nref[WIPED] = 0;
    now.nhold[WIPED] = now.ncom[WIPED] = now.nshown[WIPED] = 0;
#ifndef BREAK_same_epoch_rejoin
    now.nep[WIPED] = 0;
    now.mep = 2;
    op(CLIENTS)->ce = 2;
#endif
    settle();
}

static void seal(int i)
{
    now.nep[i] = now.mep;
    settle();
}

/* Voters of x that could still answer there, once the map `next` is out. */
static int is_over(int x, int next)
{
    int left = 0;

    for (int i = 0; i < NODES; i++)
        if (has(same(next, x), i) && now.nep[i] < next) left++;
    return left < min_of(q_of(x), r_of(x));
}

static int can_be_live(void)
{
    int sealed = 0;

    if (now.live >= now.mep) return 0;
    for (int i = 0; i < NODES; i++)
        if (has(voters(now.mep), i) && now.nep[i] == now.mep) sealed++;
    if (sealed < q_of(now.mep)) return 0;
    return is_over(1, 2) && (now.mep == 2 || is_over(2, 3));
}

static int is_learning(void) { return now.mep == 2 && now.live == 2 && !now.rebuilt; }

static int can_list(int i)
{
    return is_learning() && has(voters(2), i) && serves(i, 2) && !has(op(CLIENTS)->heard, i);
}

static void list_of(int i)
{
    show(i);
    fold(op(CLIENTS), i);
    settle();
}

static int can_rebuild(void)
{
    return is_learning() && op(CLIENTS)->heard == voters(2) && now.nep[WIPED] == 2;
}

static void insert(int i, int b)
{
    if (b <= top(now.ncom[i])) return;
    now.nhold[i] |= 1 << b;
    now.ncom[i] |= 1 << b;
    keep(i, ~below(b));
}

/* What is undecided in this epoch is its writer's affair; what else is in doubt, somebody must
 * finish first. */
static void rebuild(void)
{
    struct op *o = op(CLIENTS);

    choose(o);
    if (o->seen != 0 && epoch_of(o->seen) == 2 && !has(o->fcom, o->seen)) {
        for (int b = B1 + 1; b <= B2; b++)
            if (!has(o->fcom, b)) o->fh[b] = 0;
        choose(o);
    }
    if (o->vd == COMPLETE) {
        if (o->seen) insert(WIPED, o->seen);
        now.rebuilt = 1;
    }
    forget(o);
    if (now.rebuilt) o->ce = 0;
    settle();
}
#endif

/* --- The auditor: whoever finishes now, hearing just these nodes. */
#ifdef AUDIT
static void audit_with(int nodes)
{
    struct op o;
    unsigned char done = now.done, aft[BALLOTS + 1], bw[BALLOTS + 1];

    memset(&o, 0, sizeof(o));
    o.ce = now.mep;
    for (int i = 0; i < NODES; i++)
        if (has(nodes, i) && serves(i, o.ce)) fold(&o, i);
    if (count(o.heard & voters(o.ce)) < q_of(o.ce)) return;
    choose(&o);
#ifndef WIPE
    if (o.vd == WAIT) now.bad = 4; /* not decided */
#endif
    if (o.vd == WAIT) return;
    memcpy(aft, now.aft, sizeof(aft));
    memcpy(bw, now.bw, sizeof(bw));
    order(o.seen ? val(now.ver[o.seen]) : 0, now.done);
    now.done = done;
    memcpy(now.aft, aft, sizeof(aft));
    memcpy(now.bw, bw, sizeof(bw));
}

static void audit(void)
{
    for (int nodes = 1; nodes < 1 << NODES; nodes++)
        if (count(nodes) >= q_of(1) || now.mep > 1) audit_with(nodes);
}
#endif

/* Guards. Spin takes a call in a c_expr for a side effect; none of these has one. */
#define WHO            (Pclient->me)
#define IS_FREE_1      is_free(WHO, 1)
#define IS_FREE_2      is_free(WHO, 2)
#define IS_FREE_3      is_free(WHO, 3)
#define IS_FREE_4      is_free(WHO, 4)
#define IS_FREE_5      is_free(WHO, 5)
#define IS_FREE_6      is_free(WHO, 6)
#define IS_FREE_7      is_free(WHO, 7)
#define IS_NONE_FREE   is_none_free(WHO)
#define IS_OUTVOTED    is_outvoted(WHO)
#define MAY_REREAD     may_reread(WHO)
#define IS_STUCK       is_stuck(WHO)
#define IS_COMPLETE    is_complete(WHO)
#define IS_PROVED_DEAD is_proved_dead(WHO)
#define IS_BURIED      is_buried(WHO)
#define IS_UNCERTAIN   is_uncertain(WHO)
#define IS_WRITE_AT    is_write_at(WHO)
#define IS_CLEAN       (!is_write_at(WHO) && is_clean(WHO))
#define IS_DIRTY       (!is_write_at(WHO) && !is_clean(WHO))
#define CAN_READ_0     can_read(WHO, 0)
#define CAN_PROMISE_0  can_promise(WHO, 0)
#define CAN_LIST_0     can_list(0)
#define CAN_READ_1     can_read(WHO, 1)
#define CAN_PROMISE_1  can_promise(WHO, 1)
#define CAN_LIST_1     can_list(1)
#define CAN_READ_2     can_read(WHO, 2)
#define CAN_PROMISE_2  can_promise(WHO, 2)
#define CAN_LIST_2     can_list(2)
#define CAN_READ_3     can_read(WHO, 3)
#define CAN_PROMISE_3  can_promise(WHO, 3)
#define CAN_LIST_3     can_list(3)
#define CAN_BE_LIVE    can_be_live()
#define CAN_REBUILD    can_rebuild()
