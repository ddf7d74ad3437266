/* Every row is a test: a cluster, and a script of what happens to it and what the keeper must do.
 *   wN     node N loses its memory and starts anew     xN bN  node N falls silent, is back
 *   sN S   node N, everybody, seals the current map    +MS    time passes, heartbeats go on
 *   rN cN  node N has rebuilt, scanned all it could    rN/P   ... partition P alone
 *   P L -  a step publishes, says LIVE, does nothing   A      the operator accepts the loss
 *   fN/P   node N forgot what it had of partition P    TMS    the keeper is stopped for so long
 *   K      the keeper is started anew from its file    !      the same as "PSL": publish and seal
 *   =...   what partition 0 looks like: one letter a node (V voter, L learner, . neither, ? what it
 *          held is gone), then how many epochs are open, then "lost"
 * Nodes that are not silent send heartbeats before each step. A script begins with a cluster that
 * is live. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coord/membership.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { CLUSTER = 77, VACATE_MS = 30000, BEAT_MS = 100 };

/* clang-format off */
static struct row {
    const char *name;
    uint8_t k, m;
    uint16_t nodes, partitions;
    const char *script;
} rows[] = {
    {"after the start all vote and nothing is open", 4, 2, 6, 3,
     "=VVVVVV1 - +90000 -"},
    {"a wiped node learns, then votes, then all is clean", 4, 2, 6, 3,
     "w2 P =VVLVVV2 S L - r2 P =VVVVVV3 S L c0c1c2c3c4c5 P =VVVVVV1 -"},
    {"a clean map needs no seal", 4, 2, 6, 3,
     "w2 ! r2 ! c0c1c2c3c4c5 P - =VVVVVV1"},
    {"four of five voters sealed is not q", 4, 2, 6, 1,
     "w5 P s0s1s2s3 - s4 L"},
    {"the learner's seal counts for nothing", 4, 2, 6, 1,
     "w5 P s0s1s2s3s5 - s4 L"},
    {"q sealed, but r could answer in the old epoch", 1, 4, 5, 1,
     "x3x4 +30000 P =VVV..2 s0s1 - s2 L"},
    {"who was wiped cannot answer in the old epoch", 1, 4, 5, 1,
     "w3w4 P =VVVLL2 s0 - s1 L"},
    {"a partition that was forgotten is learnt again", 4, 2, 6, 3,
     "f2/0 P =VVLVVV2 S L - r2/0 P =VVVVVV3 S L c0c1c2c3c4c5 P =VVVVVV1 -"},
    {"... and no other", 4, 2, 6, 3,
     "f2/1 P =VVVVVV1 S L - r2/1 P S L"},
    {"who forgot cannot answer in the old epoch", 1, 4, 5, 1,
     "f3/0f4/0 P =VVVLL2 s0 - s1 L"},
    {"forgotten again while it learns: same epoch", 4, 2, 6, 3,
     "f2/0 ! =VVLVVV2 f2/0 P =VVLVVV2 - s2 r2 ! =VVVVVV3"},
    {"a report under an older map does not say what was forgotten under this one", 4, 2, 6, 3,
     "w5 P f1/0 - S P =VLVVVL2 S L"},
    {"k-1 that did not forget: lost", 4, 2, 6, 3,
     "f0/0f1/0f2/0 P =VVVVVV1lost S A P =VVVVVV1 S L -"},
    {"a keeper started anew hears it again", 4, 2, 6, 3,
     "x0x1 f2/0 +2000 - K b0b1 P =VVLVVV2"},
    {"two wiped at once share a map", 4, 2, 6, 3,
     "w0w5 P =LVVVVL2 S L r0r5 P =VVVVVV3 S L"},
    {"wiped while an older map seals: it never was", 4, 2, 6, 3,
     "w0 P s1s2 - w5 P =LVVVVL2 S L r0r5 ! =VVVVVV3"},
    {"wiped again while it learns: same epoch", 4, 2, 6, 3,
     "w2 ! =VVLVVV2 r2/0 w2 P =VVLVVV2 - s2 r2 ! =VVVVVV3"},
    {"rebuilt counts only once the epoch is live", 4, 2, 6, 1,
     "w2 P s2 r2 - S L P =VVVVVV3"},
    {"rebuilt in another epoch does not count", 4, 2, 6, 1,
     "w2 ! r2 x2 +1100 w3 P s0s1s4s5 L - =VVLLVV3"},
    {"29 s of silence are nothing", 4, 2, 6, 3,
     "x4 +29000 - =VVVVVV1"},
    {"30 s of silence vacate the slot", 4, 2, 6, 3,
     "x4 +30000 P =VVVV.V2 s0s1s2s3s5 L - +90000 -"},
    {"back after that it is a learner", 4, 2, 6, 3,
     "x4 +30000 ! =VVVV.V2 b4 P =VVVVLV3 S L r4 ! =VVVVVV4 c0c1c2c3c4c5 P =VVVVVV1"},
    {"back before that it is a voter", 4, 2, 6, 3,
     "x4 +29000 b4 +5000 - =VVVVVV1"},
    {"a silent learner leaves", 4, 2, 6, 3,
     "w2 ! =VVLVVV2 x2 +30000 P =VV.VVV3 S L c0c1c3c4c5 P =VV.VVV1"},
    {"two of 4+2 out leave k", 4, 2, 6, 3,
     "x4x5 +30000 P =VVVV..2 S L"},
    {"three of 4+2 out: nobody is vacated", 4, 2, 6, 3,
     "x3x4x5 +60000 - =VVVVVV1 b3 +29000 - +1000 P =VVVV..2"},
    {"two of 1+2 out: their data are needed to be fresh", 1, 2, 3, 2,
     "x1x2 +90000 - =VVV1 b1 +29000 - +1000 P =VV.2"},
    {"one of 1+2 out", 1, 2, 3, 2,
     "x1 +30000 ! =V.V2"},
    {"a loss waits while the new epoch could not be live", 4, 2, 6, 3,
     "x1 +2000 w5 P =VVVVV?1 S - b1 P =VVVVVL2 S L"},
    {"... until the silent node is vacated", 4, 2, 6, 3,
     "x1 +2000 w5 P =VVVVV?1 S +27000 - +1000 P =V.VVVL2 S L"},
    {"k-1 voters with state: lost until accepted", 4, 2, 6, 3,
     "w0w1w2 P =???VVV1lost S +90000 - A P =VVVVVV1 S L -"},
    {"accepted with fewer than all here", 4, 2, 6, 3,
     "w0w1w2 P =???VVV1lost S x5 +1100 A P =VVVVV.1 S L b5 P =VVVVVL2"},
    {"accepted, but k are not here yet", 4, 2, 6, 3,
     "w0w1w2 P S x3x4x5 +1100 A - b3 P =VVVV..1"},
    {"an old acceptance does not cover a new loss", 4, 2, 6, 3,
     "A w0w1w2 P S - A ! w3w4w5 P S - =VVV???1lost"},
    {"not enough left of an open epoch to trace its values: lost", 1, 2, 3, 2,
     "w1w2 P =V??1lost - S A P =VVV1 S L"},
    {"... also when they go one by one", 1, 4, 5, 1,
     "w4 ! w3 ! =VVVLL3 w2 P =VV?LL3lost A - s0 P =VVVVV1"},
    {"the third loss while two learn: lost", 4, 2, 6, 3,
     "w0w1 ! w2 P =LL?VVV2lost"},
    {"the third loss after one is rebuilt: not lost", 4, 2, 6, 3,
     "w0w1 ! r0 x0 b0 w2 P =VLLVVV3"},
    {"what is done waits for the others, half a second", 4, 2, 6, 4,
     "w2 ! +100 r2/0 - +500 P =VVVVVV3 S L r2/1 - r2/2 - r2/3 P"},
    {"a scan waits for the others, half a second", 4, 2, 6, 1,
     "w2 ! r2 ! +100 c0c1c2c3c4c5 P =VVVVVV1"},
    {"learners of a partition are admitted together", 4, 2, 6, 4,
     "w1w2 ! +600 r1/0 - r2/0 P =VVVVVV3"},
    {"who is done everywhere waits for no other", 4, 2, 6, 4,
     "w1w2 ! +600 r1 P =VVLVVV3"},
    {"a spare takes a vacated slot over", 4, 2, 7, 4,
     "=VVV.VVV1 x0 +30000 P =.VVLVVV2 S L r3 ! =.VVVVVV3 b0 - =.VVVVVV3"},
    {"a spare's own loss moves no slot", 4, 2, 7, 1,
     "w3 P =VVV.VVV1 -"},
    {"the former holder can answer until it has sealed", 1, 4, 6, 1,
     "=VVV.VV1 x0x1 +30000 P =..VLVV2 s2s4 - b0 s0 L"},
    {"q sealed, but r < q could answer in the old epoch", 2, 4, 6, 1,
     "x4x5 +30000 P s0s1s2 - s3 L"},
    {"a seal by the next life is none by the one that votes", 4, 2, 6, 1,
     "w5 P s0s1s2s3 w4 s4 P =VVVVLL2"},
    {"rebuilt, but the present epoch is not sealed there", 4, 2, 6, 1,
     "w2 ! w3 P s0s1s4s5 L s3 r2r3 P =VVLVVV4"},
    {"scanned does not count while somebody learns", 4, 2, 6, 1,
     "w2 ! c0c1c3c4c5 +600 - =VVLVVV2"},
    {"what is scanned waits for the others, half a second", 4, 2, 6, 2,
     "w2 ! r2 ! +100 c0/0 - =VVVVVV3 +500 P =VVVVVV1"},
    {"nobody is vacated whose memory of an open epoch is needed", 1, 4, 5, 1,
     "w3w4 ! x2 +30000 - =VVVLL2"},
    {"nobody is vacated when the old epoch could go on", 2, 4, 6, 1,
     "x3x4x5 +30000 - =VVVVVV1 b3 +30000 P =VVVV..2"},
    {"who hears nobody knows nothing of the others", 4, 2, 6, 3,
     "x1x2x3x4x5 +90000 - =VVVVVV1 b1b2b3 +29000 - b4b5 +90000 - =VVVVVV1"},
    {"... and who was stopped neither", 4, 2, 6, 3,
     "x4 T90000 - +29000 - +1000 P =VVVV.V2"},
    {"a loss is accepted only when the old epochs are shut", 4, 2, 6, 3,
     "x4x5 +30000 P w0 P =?VVV..2lost A - s1 - s2 P =VVVV..1 S L"},
    {"wiped again while another change waits", 4, 2, 6, 1,
     "w2 ! x1 +2000 w5 P =VVLVV?2 w2 P =VVLVV?2"},
    {"a keeper started anew waits for what it hears", 4, 2, 6, 3,
     "w5 P s0s1s2s3s4 K L K +29000 - =VVVVVL2"},
    {"a keeper started anew gives everybody 30 s", 4, 2, 6, 3,
     "x3 +29000 K +29000 - +1100 P =VVV.VV2"},
    {"a node that crashes again and again stays within the open epochs", 4, 2, 6, 2,
     "x2 +30000 ! b2!r2! x2+30000!b2!r2! x2+30000!b2!r2! x2+30000!b2!r2! x2+30000! =VV.VVV14"
     "b2 - c0c1c2c3c4c5 P =VV.VVV1 P =VVLVVV2"},
    {"room is kept for the losses that may follow", 2, 4, 6, 1,
     "x2 +30000 ! b2!r2! x2+30000!b2!r2! x2+30000!b2!r2! x2+30000! =VV.VVV11"
     "b2 - w3 ! =VV.LVV12 w4 ! =VV...V13 w5 P =VV...?13lost"},
    {"... for eight at most, however many slots", 1, 11, 12, 1,
     "x2 +30000 ! b2!r2! x2+30000! b2 P =VVLVVVVVVVVV6"},
    {"after which the scan makes room again", 2, 4, 6, 1,
     "x2 +30000 ! b2!r2! x2+30000!b2!r2! x2+30000!b2!r2! x2+30000! b2 w3 ! w4 ! =VV...V13"
     "c0 P =VV...V1 P =VVLLLV2"},
};
/* clang-format on */

struct node {
    uint64_t incarnation, version;
    uint8_t rebuilt[SHERD_PARTITIONS / 8], scanned[SHERD_PARTITIONS / 8];
    uint8_t forgotten[SHERD_PARTITIONS / 8];
    bool silent;
};

struct world {
    const struct row *row;
    struct sherd_membership m;
    struct sherd_map *map, *next;
    struct sherd_map *held; /* what the nodes saw last, to know which epochs changed */
    struct node nodes[SHERD_NODES_MAX];
    uint64_t now_ms, lives;
};

static struct sherd_map *map_new(const struct row *row)
{
    struct sherd_map *map = calloc(1, sherd_map_size(row->partitions));

    assert_non_null(map);
    map->k = row->k;
    map->m = row->m;
    map->node_count = row->nodes;
    map->partition_count = row->partitions;
    for (uint16_t i = 0; i < row->nodes; i++) {
        map->nodes[i].id = i;
        map->nodes[i].weight = 1;
    }
    return map;
}

static void beat(struct world *w, uint16_t id)
{
    struct node *n = &w->nodes[id];
    struct sherd_report r = {.node = id, .incarnation = n->incarnation, .map_version = n->version};

    if (n->silent) return;
    r.cluster = n->version != 0 ? CLUSTER : 0;
    memcpy(r.rebuilt, n->rebuilt, sizeof(r.rebuilt));
    memcpy(r.scanned, n->scanned, sizeof(r.scanned));
    memcpy(r.forgotten, n->forgotten, sizeof(r.forgotten));
    assert_true(sherd_membership_hear(&w->m, &r, w->now_ms));
}

static int step(struct world *w)
{
    for (uint16_t i = 0; i < w->row->nodes; i++)
        beat(w, i);
    return sherd_membership_step(&w->m, w->now_ms);
}

static void check_voter(const struct sherd_partition *p, uint8_t slot)
{
    const struct sherd_epoch *newest = &p->open[p->open_count - 1];

    assert_int_equal(newest->node[slot], p->node[slot]);
    assert_int_equal(newest->incarnation[slot], p->incarnation[slot]);
}

/* No two memories of a partition share an incarnation, or a node. */
static void check_holders(const struct sherd_partition *p)
{
    for (uint32_t rest = sherd_partition_holders(p); rest != 0; rest &= rest - 1) {
        uint8_t a = sherd_slots_first(rest);

        assert_int_not_equal(p->incarnation[a], 0);
        for (uint32_t others = rest & (rest - 1); others != 0; others &= others - 1) {
            uint8_t b = sherd_slots_first(others);
            assert_int_not_equal(p->incarnation[a], p->incarnation[b]);
            assert_int_not_equal(p->node[a], p->node[b]);
        }
        if (sherd_slots_has(p->voters, a)) check_voter(p, a);
    }
}

static void check_map(const struct sherd_map *map)
{
    for (uint16_t i = 0; i < map->partition_count; i++) {
        const struct sherd_partition *p = &map->partitions[i];
        const struct sherd_epoch *newest = &p->open[p->open_count - 1];

        assert_int_equal(p->voters & p->learners, 0);
        assert_true(sherd_slots_count(p->voters) >= map->k);
        assert_int_equal(newest->epoch, p->epoch);
        assert_int_equal(newest->voters, p->voters);
        check_holders(p);
    }
}

static void expect(struct world *w, int effect, const char *at)
{
    int got = step(w);

    if (got != effect) fail_msg("step gave %d instead of %d at \"%s\"", got, effect, at);
    if (got != SHERD_MEMBERSHIP_PUBLISH) return;
    sherd_membership_commit(&w->m);
    check_map(w->map);
}

static bool same_life(const struct world *w, uint16_t partition, uint16_t id)
{
    const struct sherd_partition *p = &w->map->partitions[partition];
    const struct sherd_partition *old = &w->held->partitions[partition];
    int slot = sherd_partition_slot_of(p, id), before = sherd_partition_slot_of(old, id);

    return slot >= 0 && before >= 0 && p->incarnation[slot] == old->incarnation[before];
}

/* As partition.h asks of a node: work of another epoch or memory is forgotten at the seal. */
static void seal(struct world *w, uint16_t id)
{
    struct node *n = &w->nodes[id];

    if (n->silent || n->version == w->map->version) return;
    n->version = w->map->version;
    for (uint16_t i = 0; i < w->row->partitions; i++) {
        bool same = same_life(w, i, id);
        if (!same) n->forgotten[i / 8] &= (uint8_t) ~(1u << i % 8);
        if (same && w->map->partitions[i].epoch == w->held->partitions[i].epoch) continue;
        n->rebuilt[i / 8] &= (uint8_t) ~(1u << i % 8);
        n->scanned[i / 8] &= (uint8_t) ~(1u << i % 8);
    }
}

static void seal_all(struct world *w)
{
    for (uint16_t i = 0; i < w->row->nodes; i++)
        seal(w, i);
    memcpy(w->held, w->map, sherd_map_size(w->row->partitions));
}

static void wait(struct world *w, uint64_t ms)
{
    for (uint64_t end = w->now_ms + ms; w->now_ms < end;) {
        w->now_ms += end - w->now_ms < BEAT_MS ? end - w->now_ms : BEAT_MS;
        for (uint16_t i = 0; i < w->row->nodes; i++)
            beat(w, i);
    }
}

static void wipe(struct world *w, uint16_t id)
{
    w->nodes[id] = (struct node){.incarnation = ++w->lives};
}

static void restart_keeper(struct world *w)
{
    struct sherd_membership_config config = w->m.config;

    sherd_membership_init(&w->m, &config, w->map, w->next);
    assert_int_equal(sherd_membership_step(&w->m, w->now_ms), 0);
}

static void look(const struct world *w, uint16_t partition, char *out)
{
    const struct sherd_partition *p = &w->map->partitions[partition];

    for (uint16_t i = 0; i < w->row->nodes; i++) {
        int slot = sherd_partition_slot_of(p, i);
        if (slot < 0)
            out[i] = '.';
        else if (p->incarnation[slot] < w->map->nodes[i].since)
            out[i] = '?';
        else
            out[i] = sherd_slots_has(p->voters, (uint8_t)slot) ? 'V' : 'L';
    }
    sprintf(out + w->row->nodes, "%u%s", p->open_count, p->lost ? "lost" : "");
}

static const char *read_number(const char *at, uint64_t *out)
{
    char *end = NULL;

    *out = strtoull(at, &end, 10);
    return end;
}

static const char *set_bits(uint8_t *bits, const char *at)
{
    uint64_t i = 0;

    if (*at != '/') {
        memset(bits, 0xff, SHERD_PARTITIONS / 8);
        return at;
    }
    at = read_number(at + 1, &i);
    bits[i / 8] |= (uint8_t)(1u << i % 8);
    return at;
}

static const char *check_look(const struct world *w, const char *at)
{
    char want[64] = "", got[64];
    size_t size = w->row->nodes;

    size += strspn(at + size, "0123456789");
    if (strncmp(at + size, "lost", 4) == 0) size += 4;
    memcpy(want, at, size);
    look(w, 0, got);
    assert_string_equal(got, want);
    return at + size;
}

static const char *run_verb(struct world *w, const char *at)
{
    char verb = *at++;
    uint16_t id = (uint16_t)(strchr("wxbsrcf", verb) ? *at++ - '0' : 0);
    struct node *n = &w->nodes[id];
    uint64_t ms = 0;

    switch (verb) {
    case ' ': break;
    case 'w': wipe(w, id); break;
    case 'x': n->silent = true; break;
    case 'b': n->silent = false; break;
    case 's': seal(w, id); break;
    case 'S': seal_all(w); break;
    case 'r': at = set_bits(n->rebuilt, at); break;
    case 'c': at = set_bits(n->scanned, at); break;
    case 'f': at = set_bits(n->forgotten, at); break;
    case 'A': sherd_membership_accept_loss(&w->m); break;
    case 'K': restart_keeper(w); break;
    case 'P': expect(w, SHERD_MEMBERSHIP_PUBLISH, at - 1); break;
    case 'L': expect(w, SHERD_MEMBERSHIP_LIVE, at - 1); break;
    case '-': expect(w, 0, at - 1); break;
    case '!':
        expect(w, SHERD_MEMBERSHIP_PUBLISH, at - 1);
        seal_all(w);
        expect(w, SHERD_MEMBERSHIP_LIVE, at - 1);
        break;
    case '+':
        at = read_number(at, &ms);
        wait(w, ms);
        break;
    case 'T':
        at = read_number(at, &ms);
        w->now_ms += ms;
        break;
    case '=': at = check_look(w, at); break;
    default: fail_msg("no such verb: %c", verb);
    }
    return at;
}

static void world_init(struct world *w, const struct row *row)
{
    struct sherd_membership_config config = {
        .vacate_after_ms = VACATE_MS, .init = true, .cluster = CLUSTER};

    *w = (struct world){.row = row, .now_ms = 1000};
    w->map = map_new(row);
    w->next = map_new(row);
    w->held = map_new(row);
    sherd_membership_init(&w->m, &config, w->map, w->next);
    for (uint16_t i = 0; i < row->nodes; i++)
        wipe(w, i);
    expect(w, SHERD_MEMBERSHIP_PUBLISH, "bootstrap");
    seal_all(w);
    expect(w, SHERD_MEMBERSHIP_LIVE, "bootstrap");
}

static void world_fini(struct world *w)
{
    free(w->map);
    free(w->next);
    free(w->held);
}

static void run_row(void **state)
{
    const struct row *row = *state;
    struct world w;

    world_init(&w, row);
    for (const char *at = row->script; *at;)
        at = run_verb(&w, at);
    world_fini(&w);
}

/* The first map gives every node its share within 10 %, where hashing alone would not. */
static void test_first_map_is_balanced(void **state)
{
    const uint16_t counts[] = {7, 12, 20, 32, 64};

    (void)state;
    for (size_t i = 0; i < LEN(counts); i++) {
        struct row row = {"", 4, 2, counts[i], SHERD_PARTITIONS, ""};
        unsigned held[SHERD_NODES_MAX] = {0}, share = SHERD_PARTITIONS * 6 / counts[i];
        struct world w;

        world_init(&w, &row);
        for (uint16_t p = 0; p < row.partitions; p++)
            for (uint8_t s = 0; s < 6; s++)
                held[w.map->partitions[p].node[s]]++;
        for (uint16_t n = 0; n < counts[i]; n++) {
            assert_int_equal(w.map->nodes[n].weight, 1);
            assert_in_range(held[n], share - share / 10 - 1, share + share / 10 + 1);
        }
        world_fini(&w);
    }
}

static bool hear(struct world *w, uint16_t node, uint64_t incarnation, uint64_t cluster,
                 uint64_t version)
{
    struct sherd_report r = {
        .node = node, .incarnation = incarnation, .cluster = cluster, .map_version = version};

    return sherd_membership_hear(&w->m, &r, w->now_ms);
}

static void test_reports_that_do_not_fit(void **state)
{
    const struct row row = {"", 4, 2, 6, 1, ""};
    struct world w;

    (void)state;
    world_init(&w, &row);
    assert_false(hear(&w, 6, 1, CLUSTER, 1));
    assert_false(hear(&w, UINT16_MAX, 1, CLUSTER, 1));
    assert_false(hear(&w, 0, 0, 0, 0));
    assert_false(hear(&w, 0, 1, CLUSTER + 1, 1));
    assert_false(hear(&w, 0, 1, CLUSTER, 2)); /* newer than the keeper's own */
    assert_false(hear(&w, 0, 9, 0, 1));       /* a map, but of no cluster */
    assert_false(hear(&w, 0, 1, 0, 0));       /* delayed: it has said version 1 since */
    assert_true(hear(&w, 0, 1, CLUSTER, 1));

    assert_true(hear(&w, 0, 99, 0, 0)); /* a new life: what the old one said arrives late */
    assert_false(hear(&w, 0, 1, CLUSTER, 1));
    assert_int_equal(w.m.members[0].incarnation, 99);
    world_fini(&w);
}

static void test_no_first_map_until_all_are_heard(void **state)
{
    const struct row row = {"", 4, 2, 6, 1, ""};
    struct sherd_membership_config config = {.vacate_after_ms = VACATE_MS, .cluster = CLUSTER};
    struct world w = {.row = &row, .now_ms = 5, .map = map_new(&row), .next = map_new(&row)};

    (void)state;
    sherd_membership_init(&w.m, &config, w.map, w.next);
    for (uint16_t i = 0; i < 6; i++)
        assert_true(hear(&w, i, i + 1u, 0, 0));
    assert_int_equal(sherd_membership_step(&w.m, w.now_ms), 0); /* not told to make one */

    config.init = true;
    sherd_membership_init(&w.m, &config, w.map, w.next);
    for (uint16_t i = 0; i < 6; i++) {
        assert_int_equal(sherd_membership_step(&w.m, w.now_ms), 0);
        assert_true(hear(&w, i, i + 1u, 0, 0));
    }
    assert_int_equal(sherd_membership_step(&w.m, w.now_ms), SHERD_MEMBERSHIP_PUBLISH);
    assert_int_equal(w.next->cluster, CLUSTER);
    assert_int_equal(w.next->version, 1);
    assert_int_equal(w.next->live, 0);
    assert_int_equal(w.map->version, 0); /* until it is durable */
    world_fini(&w);
}

/* Nodes of weight 0 carry no slots: the others must be enough. */
static void test_weight_0_holds_nothing(void **state)
{
    struct sherd_membership_config config = {
        .vacate_after_ms = VACATE_MS, .cluster = CLUSTER, .init = true};

    (void)state;
    for (uint16_t nodes = 6; nodes <= 7; nodes++) {
        const struct row row = {"", 4, 2, nodes, 1, ""};
        struct world w = {.row = &row, .map = map_new(&row), .next = map_new(&row)};

        w.map->nodes[3].weight = 0;
        sherd_membership_init(&w.m, &config, w.map, w.next);
        for (uint16_t i = 0; i < nodes; i++) /* time 0 is a time like any other */
            assert_true(hear(&w, i, i + 1u, 0, 0) && w.m.members[i].heard_ms != 0);
        assert_int_equal(sherd_membership_step(&w.m, w.now_ms),
                         nodes == 6 ? 0 : SHERD_MEMBERSHIP_PUBLISH);
        for (uint8_t slot = 0; nodes == 7 && slot < 6; slot++)
            assert_int_not_equal(w.next->partitions[0].node[slot], 3);
        world_fini(&w);
    }
}

static void test_changed_nodes_are_published(void **state)
{
    const struct row row = {"", 4, 2, 6, 1, ""};
    struct sherd_membership_config config = {
        .vacate_after_ms = VACATE_MS, .republish = true, .cluster = CLUSTER};
    struct world w;

    (void)state;
    world_init(&w, &row);
    sherd_membership_init(&w.m, &config, w.map, w.next);
    expect(&w, SHERD_MEMBERSHIP_PUBLISH, "republish");
    assert_int_equal(w.map->live, 2);
    assert_int_equal(w.map->partitions[0].epoch, 1);
    expect(&w, 0, "republish");
    world_fini(&w);
}

int main(void)
{
    struct CMUnitTest tests[LEN(rows) + 5] = {
        cmocka_unit_test(test_first_map_is_balanced),
        cmocka_unit_test(test_reports_that_do_not_fit),
        cmocka_unit_test(test_no_first_map_until_all_are_heard),
        cmocka_unit_test(test_weight_0_holds_nothing),
        cmocka_unit_test(test_changed_nodes_are_published),
    };

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i + 5] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = run_row, .initial_state = &rows[i]};
    return cmocka_run_group_tests_name("membership", tests, NULL, NULL);
}
