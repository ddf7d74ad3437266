/* chaos_links.c - what happens to links: cuts, in one direction or both, and delays. */
#include <stdlib.h>

#include "tests/cluster/chaos_fault_parts.h"

static void cut(struct faults *f, struct fault *x, uint32_t a, uint32_t b)
{
    struct net *n = &f->chaos->net;

    x->a = a;
    x->b = b;
    net_cut(n, a, b);
    if (x->both_ways) net_cut(n, b, a);
    net_apply(n);
}

static bool begin_halves(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    struct chaos *c = f->chaos;
    uint32_t side = faults_pick_set(d, all_nodes(c), between(d, 1, c->nodes / 2));

    side |= faults_pick_set(d, all_hosts(c) & ~all_nodes(c), roll(d, CHAOS_WORKERS + 1));
    *ms = between(d, 200, c->vacate_after_ms / 3);
    if (!faults_allow_silence(f, x, all_nodes(c), ms)) return false;
    x->both_ways = true;
    chaos_say(c, "cut hosts %s from all others for %u ms", faults_show(side), *ms);
    cut(f, x, side, all_hosts(c) & ~side);
    return true;
}

static bool begin_one_way(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    struct chaos *c = f->chaos;
    uint32_t from = bit(roll(d, c->nodes));
    uint32_t to = roll(d, 2) == 0 ? all_hosts(c) & ~from
                                  : faults_pick_set(d, all_nodes(c) & ~from, between(d, 1, 2));

    *ms = between(d, 200, c->vacate_after_ms / 3);
    if (roll(d, 2) == 0) {
        uint32_t other = from;
        from = to;
        to = other;
    }
    if (!faults_allow_silence(f, x, all_nodes(c), ms)) return false;
    chaos_say(c, "nothing gets from %s to %s for %u ms", faults_show(from), faults_show(to), *ms);
    cut(f, x, from, to);
    return true;
}

static bool begin_link(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    struct chaos *c = f->chaos;
    uint32_t a = bit(roll(d, c->nodes)), b = faults_pick_set(d, all_nodes(c) & ~a, 1);

    *ms = between(d, 200, 8000);
    if ((a | b) & 1 && !faults_allow_silence(f, x, (a | b) & ~1u, ms)) return false;
    x->both_ways = true;
    chaos_say(c, "cut the link of %s and %s for %u ms", faults_show(a), faults_show(b), *ms);
    cut(f, x, a, b);
    return true;
}

static bool begin_isolate(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    struct chaos *c = f->chaos;
    uint32_t node = bit(roll(d, c->nodes));

    *ms = roll(d, 3) == 0 ? between(d, 2000, 12000) : between(d, 200, 2500);
    if (!faults_allow_silence(f, x, node, ms)) return false;
    x->both_ways = true;
    chaos_say(c, "isolate node %s for %u ms", faults_show(node), *ms);
    cut(f, x, node, all_hosts(c) & ~node);
    return true;
}

static bool begin_client_cut(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    struct chaos *c = f->chaos;
    uint32_t worker = bit(c->nodes + roll(d, CHAOS_WORKERS));
    uint32_t from = faults_pick_set(d, all_nodes(c), between(d, 1, 3));

    *ms = between(d, 200, 6000);
    x->both_ways = roll(d, 3) > 0;
    chaos_say(c, "cut client %s %s nodes %s for %u ms", faults_show(worker),
              x->both_ways ? "and" : "(one way) from", faults_show(from), *ms);
    if (roll(d, 2) == 0)
        cut(f, x, worker, from);
    else
        cut(f, x, from, worker);
    return true;
}

static void set_delays(struct chaos *c, uint32_t hosts, uint32_t nodes, uint32_t us)
{
    for (unsigned i = 0; i < c->hosts; i++)
        for (unsigned j = 0; j < c->nodes; j++)
            if ((hosts & bit(i)) && (nodes & bit(j))) c->proxy.delay_us[i][j] = us;
}

static bool begin_slow(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    static const unsigned longest_ms[] = {5, 30, 100, 300};
    struct chaos *c = f->chaos;
    uint32_t delay_ms = between(d, 1, longest_ms[roll(d, LEN(longest_ms))]);
    uint32_t jitter_ms = roll(d, delay_ms + 1);

    *ms = between(d, 500, 8000);
    x->b = faults_pick_set(d, all_nodes(c), roll(d, 3) == 0 ? c->nodes : between(d, 1, 2));
    x->a = roll(d, 3) == 0 ? faults_pick_set(d, all_hosts(c), 2) : all_hosts(c);
    chaos_say(c, "links of hosts %s to nodes %s slow: %u ms + 0 .. %u, for %u ms",
              faults_show(x->a), faults_show(x->b), delay_ms, jitter_ms, *ms);
    c->proxy.jitter_us = jitter_ms * 1000;
    set_delays(c, x->a, x->b, delay_ms * 1000);
    return true;
}

bool links_begin(struct faults *f, struct fault *x, struct dice *d, uint32_t *ms)
{
    switch (x->kind) {
    case FAULT_HALVES: return begin_halves(f, x, d, ms);
    case FAULT_ONE_WAY: return begin_one_way(f, x, d, ms);
    case FAULT_LINK: return begin_link(f, x, d, ms);
    case FAULT_ISOLATE: return begin_isolate(f, x, d, ms);
    case FAULT_CLIENT_CUT: return begin_client_cut(f, x, d, ms);
    case FAULT_SLOW: return begin_slow(f, x, d, ms);
    default: abort();
    }
}

void links_end(struct faults *f, const struct fault *x)
{
    struct chaos *c = f->chaos;

    if (x->kind == FAULT_SLOW) {
        set_delays(c, x->a, x->b, 0);
        return;
    }
    net_mend(&c->net, x->a, x->b);
    if (x->both_ways) net_mend(&c->net, x->b, x->a);
    net_apply(&c->net);
    chaos_say(c, "mended between %s and %s", faults_show(x->a), faults_show(x->b));
}
