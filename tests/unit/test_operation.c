/* One operation over 1+2 (q 2, r 2, f 3), as a table of what happens and what it asks for.
 *
 * Events, separated by spaces; digits are the slots, in the order in which they answer:
 *   !  start    t  its timer is due    z  the deadline has passed    u  never sent    g  gone
 *   A  ack      N  nack(ballot 1000)   V  nack(version)   F  nack(full)   U  nack(undecided)
 *   S  STALE to the PREPARE, s to the ABORT (or to a READ or PROMISE): of a newer epoch
 *   B  aborted  X  aborted, exposed    R  state           M  promised; both with =, what they hold
 *   K  nack(clock)   D  nack(different)   Y  nack(bad)   H  nack(ballot of a clock that is too far
 * ahead) e  encoded  d  decoded   x  corrupt   k  computed   c  refused   m  a newer map E  its
 * timer, too early   w  the deadline passes, and nobody looks at the clock L  the newest map says
 * that the partition is lost    a  all nodes are reachable Held: - nothing; 5 prepared, 5c
 * committed, 5t a tombstone, 5l the marker of a loss, 5x without an intact shard; by commas. A
 * digit is the clock of ballot and version; 9 is the own attempt, 8 its own proposal. Effects: p
 * PREPARE  r READ  m PROMISE  c COMMIT  a ABORT  i INSERT  n ENCODE_NEW  o ENCODE_OLD d DECODE  k
 * COMPUTE  f REFRESH  ! ANSWER  . DONE; a group for each event, - for none */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coord/operation.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { DEADLINE_US = 5000000, EPOCH = 3 };

/* clang-format off */
static const struct row {
    const char *name;
    uint8_t goal;
    const char *script, *effects;
    int outcome; /* SHERD_OUTCOME_COUNT: still running */
    uint32_t reachable;
} rows[] = {
    {"get: equal answers",             SHERD_GOAL_GET, "! R01=5c d", "r d !.", SHERD_OK, 7},
    {"get: no value",                  SHERD_GOAL_GET, "! R01=-", "r !.", SHERD_NOT_FOUND, 7},
    {"get: a tombstone",               SHERD_GOAL_GET, "! R01=5tc", "r !.", SHERD_NOT_FOUND, 7},
    {"get: the marker of a loss",      SHERD_GOAL_GET, "! R01=5lc", "r !.", SHERD_LOST, 7},
    {"look needs no bytes",            SHERD_GOAL_LOOK, "! R01=5c", "r !.", SHERD_OK, 7},
    {"get: one lost connection",       SHERD_GOAL_GET, "! g0 R12=5c d", "r r d !.", SHERD_OK, 7},
    {"get: not complete after all",    SHERD_GOAL_GET, "! R0=5 R1=- R2=-", "r - r !.", SHERD_NOT_FOUND, 7},
    {"get: possible, read once more, then finished", SHERD_GOAL_GET,
     "! R0=5 R1=- g2 t R0=5 R1=- g2 M0=5 M1=- e A01 t d",
     "r - r - r - r m - o p - cd !.", SHERD_OK, 7},
    {"get: a newer epoch",             SHERD_GOAL_GET, "! s0 m R01=5c d", "r f r d !.", SHERD_OK, 7},
    {"get: corrupt three times",       SHERD_GOAL_GET, "! R01=5c x t R01=5c x t R01=5c x",
     "r d - r d - r d !.", SHERD_LOST, 7},
    {"get: what comes twice or too early", SHERD_GOAL_GET, "! e d k m E R01=5c k d R2=5c d c",
     "r - - - - - d - !. - - -", SHERD_OK, 7},
    {"get: a wait is waited",          SHERD_GOAL_GET, "! R01=5c x E t R01=5c d", "r d - - r d !.", SHERD_OK, 7},
    {"get: ... unless the map is newer", SHERD_GOAL_GET, "! s0 m R01=5c x m t R01=5c d", "r f r d - - r d !.", SHERD_OK, 7},
    {"get: too few answer, read again", SHERD_GOAL_GET, "! R0=5 g12 t R01=5c d", "r - r r d !.", SHERD_OK, 7},
    {"get: heard, and never decided",  SHERD_GOAL_GET, "! R0=5 R1=- g2 z", "r - r - !.", SHERD_TIMEOUT, 7},
    {"get: possible, of a clock too far ahead", SHERD_GOAL_GET, "! R0=10 R1=- g2 t R0=10 R1=- g2",
     "r - r - r - r !.", SHERD_CLOCK, 7},
    {"get: a lost partition",          SHERD_GOAL_GET, "L ! t", "- f !.", SHERD_LOST, 7},
    {"get: lost, as an old map says",  SHERD_GOAL_GET, "L ! m R01=5c d", "- f r d !.", SHERD_OK, 7},
    {"get: nobody answers",            SHERD_GOAL_GET, "! z", "r !.", SHERD_NO_QUORUM, 7},

    {"set: all ACK",                   SHERD_GOAL_SET, "! A012", "np c!.", SHERD_OK, 7},
    {"set: a straggler",               SHERD_GOAL_SET, "! A01 t", "np - c!.", SHERD_OK, 7},
    {"set: nobody waits for the silent", SHERD_GOAL_SET, "! A01", "np c!.", SHERD_OK, 3},
    {"set: too few reachable to begin", SHERD_GOAL_SET, "! t z", "- - !.", SHERD_NO_QUORUM, 1},
    {"set: proved dead, tried again",  SHERD_GOAL_SET, "! N01 B2 t A012", "np a - p c!.", SHERD_OK, 7},
    {"set: a late NACK is proof, too", SHERD_GOAL_SET, "! N01 N2 t A012", "np a - p c!.", SHERD_OK, 7},
    {"set: so is a late STALE",        SHERD_GOAL_SET, "! S01 S2 m A012", "np a f p c!.", SHERD_OK, 7},
    {"set: STALE to the ABORT is not", SHERD_GOAL_SET, "! S01 s2 t m", "np a - f m", SHERD_OUTCOME_COUNT, 7},
    {"set: full, and dead",            SHERD_GOAL_SET, "! F01 B2", "np a !.", SHERD_FULL, 7},
    {"set: exposed, then found",       SHERD_GOAL_SET, "! N01 X2 t M0=- M1=9,9 e A01 t",
     "np a - m - o p - c!.", SHERD_OK, 7},
    {"set: exposed, buried, tried again", SHERD_GOAL_SET, "! N01 X2 t M01=5c e A012 t A012",
     "np a - m co p c p c!.", SHERD_OK, 7},
    {"set: exposed, passed by a newer one", SHERD_GOAL_SET, "! N01 X2 t M01=10c",
     "np a - m c!.", SHERD_UNCERTAIN, 7},
    {"set: exposed, found lost",       SHERD_GOAL_SET, "! N01 X2 t M012=5cx A01 t",
     "np a - m p - c!.", SHERD_UNCERTAIN, 7},
    {"set: too much undecided there",  SHERD_GOAL_SET, "! U01 B2 t M01=5c t A012",
     "np a - m c p c!.", SHERD_OK, 7},
    {"set: the epoch moves on meanwhile", SHERD_GOAL_SET, "! N01 X2 t s0 m M01=9", "np a - m f m c!.", SHERD_OK, 7},
    {"set: exposed, and nobody promises", SHERD_GOAL_SET, "! N01 X2 t t t M01=9", "np a - m - m c!.", SHERD_OK, 7},
    {"set: exposed, then lost",        SHERD_GOAL_SET, "! N01 X2 L t t", "np a - - f !.", SHERD_UNCERTAIN, 7},
    {"set: a lost partition",          SHERD_GOAL_SET, "L ! t", "- f !.", SHERD_LOST, 7},
    {"set: exposed, of a clock too far ahead", SHERD_GOAL_SET, "! H01 X2 t", "np a - !.", SHERD_UNCERTAIN, 7},
    {"set: promises of one, too",      SHERD_GOAL_SET, "! N01 X2 t H01", "np a - m !.", SHERD_UNCERTAIN, 7},
    {"set: refused for such a clock",  SHERD_GOAL_SET, "! H01 B2", "np a !.", SHERD_CLOCK, 7},
    {"set: the own clock is wrong",    SHERD_GOAL_SET, "! K01 B2", "np a !.", SHERD_CLOCK, 7},
    {"set: another value of this ballot", SHERD_GOAL_SET, "! D01 B2", "np a !.", SHERD_BAD_ARGUMENT, 7},
    {"set: what no node takes",        SHERD_GOAL_SET, "! Y01 B2", "np a !.", SHERD_BAD_ARGUMENT, 7},
    {"set: begun too late",            SHERD_GOAL_SET, "w !", "- !.", SHERD_NO_QUORUM, 7},
    {"set: q ACKs in time",            SHERD_GOAL_SET, "! A01 z", "np - !.", SHERD_OK, 7},
    {"set: exposed, what stands corrupt", SHERD_GOAL_SET, "! N01 X2 t M0=- M1=9,9 x t M01=9", "np a - m - o - m c!.", SHERD_OK, 7},
    {"... three times",                SHERD_GOAL_SET, "! N01 X2 t M0=- M1=9,9 x t M0=- M1=9,9 x t M0=- M1=9,9 x",
     "np a - m - o - m - o - m - o !.", SHERD_UNCERTAIN, 7},
    {"set: refused, and others' undecided corrupt", SHERD_GOAL_SET, "! U01 B2 t M0=5 M1=- x t M01=5c t A012",
     "np a - m - o - m c p c!.", SHERD_OK, 7},
    {"set: no ACK in time",            SHERD_GOAL_SET, "! A0 z", "np - !.", SHERD_UNCERTAIN, 7},

    {"update: a newer epoch since the read", SHERD_GOAL_UPDATE, "! R01=5c m k t R01=5c k A012 A01",
     "r k - - r k np c !.", SHERD_OK, 7},
    {"update: f ACKs, and q COMMITs",  SHERD_GOAL_UPDATE, "! R01=5c k A012 A01", "r k np c !.", SHERD_OK, 7},
    {"update: the caller refuses",     SHERD_GOAL_UPDATE, "! R01=5c c", "r k !.", SHERD_CONFLICT, 7},
    {"update: refused, read again",    SHERD_GOAL_UPDATE, "! R01=5c k V0 B12 t R01=6c k A012 A01",
     "r k np a - r k np c !.", SHERD_OK, 7},
    {"update: fewer than f: promise first", SHERD_GOAL_UPDATE, "! R01=5c k M01=5c A01",
     "r k m np c!.", SHERD_OK, 3},
    {"update: ... overtaken meanwhile", SHERD_GOAL_UPDATE, "! R01=5c k M01=6c t R01=6c",
     "r k m c r k", SHERD_OUTCOME_COUNT, 3},
    {"update: refused by what no read shows", SHERD_GOAL_UPDATE, "! R01=5c k V0 B12 t R0=5c,6 R1=5c R2=5c",
     "r k np a - r - r m", SHERD_OUTCOME_COUNT, 7},
    {"update: a newer epoch",          SHERD_GOAL_UPDATE, "! R01=5c k S01 S2 m R01=6c", "r k np a f r k", SHERD_OUTCOME_COUNT, 7},
    {"update: exposed, buried, read again", SHERD_GOAL_UPDATE, "! R01=5c k N01 X2 t M01=5c e A012 t R01=5c",
     "r k np a - m co p c r k", SHERD_OUTCOME_COUNT, 7},
    {"update: promised, then lost, then exposed", SHERD_GOAL_UPDATE,
     "! R01=5c k M012=5cx A01 t R01=6c a k N01 X2 t M01=6c",
     "r k m p c r k - np a - m co", SHERD_OUTCOME_COUNT, 3},
    {"update: of a lost value",        SHERD_GOAL_UPDATE, "! R01=5lc", "r !.", SHERD_LOST, 7},

    {"finish: complete: COMMIT",       SHERD_GOAL_FINISH, "! R012=5", "r c!.", SHERD_OK, 7},
    {"finish: no value",               SHERD_GOAL_FINISH, "! R012=-", "r !.", SHERD_OK, 7},
    {"finish: possible, at once",      SHERD_GOAL_FINISH, "! R0=5 R1=- g2", "r - - m", SHERD_OUTCOME_COUNT, 7},
    {"finish: proposes until it is through", SHERD_GOAL_FINISH, "! R01=5c R2=5c,6 M01=5c e N01 B2 t M01=5c e S01 g2 B2 m",
     "r - m co p a - m co p a - f m", SHERD_OUTCOME_COUNT, 7},
    {"finish: promises of a clock too far ahead", SHERD_GOAL_FINISH, "! R0=5 R1=- g2 H01", "r - - m !.", SHERD_CLOCK, 7},
    {"finish: no room for a tombstone's", SHERD_GOAL_FINISH,
     "! R0=5tc,6 R1=5tc R2=- M0=5tc,6 M1=5tc e U01 B2 t M0=5tc,6 M2=- A2 t M01=5tc A012",
     "r - - m - co p a - m - i - m cp c!.", SHERD_OK, 7},
    {"finish: refused, but there is room", SHERD_GOAL_FINISH,
     "! R0=5c,6 R1=5c R2=- M0=5c,6 M1=5c e N01 B2 t M0=5c,6 M2=-", "r - - m - co p a - m - co", SHERD_OUTCOME_COUNT, 7},
    {"finish: no room, and nothing at hand", SHERD_GOAL_FINISH,
     "! R0=5c,6 R1=5c R2=- M0=5c,6 M1=5c e U01 B2 t M0=5cx,6 M2=-", "r - - m - co p a - m - co", SHERD_OUTCOME_COUNT, 7},
    {"finish: buries what it met, also unheard",  SHERD_GOAL_FINISH, "! R01=5c R2=5c,6 M01=5c e A012",
     "r - m co p c!.", SHERD_OK, 7},
    {"finish: something above",        SHERD_GOAL_FINISH, "! R01=5c R2=5c,6 M0=5c M2=5c,6 e A012",
     "r - m - co p c!.", SHERD_OK, 7},
    {"finish: no room: first hand on what is complete", SHERD_GOAL_FINISH,
     "! R0=5c,6 R1=5c R2=- M0=5c,6 M1=5c e U01 B2 t M0=5c,6 M2=- e A2 t M01=5c e A012",
     "r - - m - co p a - m - o i - m co p c!.", SHERD_OK, 7},
    {"finish: no room, and what it would hand on is broken", SHERD_GOAL_FINISH,
     "! R0=5c,6 R1=5c R2=- M0=5c,6 M1=5c e U01 B2 t M0=5c,6 M2=- x t R0=5c,6 R12=5c M0=5c,6 M1=5c e",
     "r - - m - co p a - m - o - r - m - co p", SHERD_OUTCOME_COUNT, 7},
    {"repair: nothing is missing",     SHERD_GOAL_REPAIR, "! R012=5c", "r !.", SHERD_OK, 7},
    {"repair: one lacks it",           SHERD_GOAL_REPAIR, "! R01=5c R2=- e A2", "r - o i !.", SHERD_OK, 7},
    {"repair: a COMMIT must be known to arrive", SHERD_GOAL_REPAIR, "! R0=5c R12=5 e A1 A2",
     "r - o i - !.", SHERD_OK, 7},
    {"repair: no value",               SHERD_GOAL_REPAIR, "! R012=-", "r !.", SHERD_OK, 7},
    {"repair: possible, read once more, then finished", SHERD_GOAL_REPAIR, "! R0=5 R1=- g2 t R0=5 R1=- g2",
     "r - - - r - - m", SHERD_OUTCOME_COUNT, 7},
    {"repair: what it found is broken, then something undecided", SHERD_GOAL_REPAIR,
     "! R01=5c R2=- x t R0=5c,6 R1=5c g2 t R0=5c,6 R1=5c g2 M0=5c,6 M1=5c e",
     "r - o - r - - - r - - m - co p", SHERD_OUTCOME_COUNT, 7},
    {"repair: who lacks it refuses",   SHERD_GOAL_REPAIR, "! R01=5c R2=- e N2", "r - o i !.", SHERD_NO_QUORUM, 7},
    {"repair: ... is lost",            SHERD_GOAL_REPAIR, "! R01=5c R2=- g2 e g2", "r - o - i !.", SHERD_NO_QUORUM, 7},
    {"repair: ... says nothing",       SHERD_GOAL_REPAIR, "! R01=5c R2=- e t", "r - o i !.", SHERD_NO_QUORUM, 7},
    {"repair: nothing but a silent holder", SHERD_GOAL_REPAIR, "! R01=5c g2", "r - !.", SHERD_NO_QUORUM, 7},
    {"repair: a silent holder",        SHERD_GOAL_REPAIR, "! R0=5c g1 R2=- e A2", "r - - o i !.", SHERD_NO_QUORUM, 7},
    {"repair: a tombstone",            SHERD_GOAL_REPAIR, "! R01=5tc R2=- A2", "r - i !.", SHERD_OK, 7},
};
/* clang-format on */

static struct fixture {
    struct sherd_operation op;
    struct sherd_effects out;
    struct sherd_env env;
    struct sherd_hlc clock;
    struct sherd_ballot prepared; /* by the PREPARE before */
    struct sherd_ballot max;      /* the highest that a NACK named */
    char trace[128], *at;
} f;

/* Two maps, with one partition each; the second is as well aligned as the first. */
enum { MAP_BYTES = (sizeof(struct sherd_map) + sizeof(struct sherd_partition) + 7) / 8 * 8 };
static _Alignas(struct sherd_map) unsigned char memory[2][MAP_BYTES];

static const struct sherd_map *make_map(unsigned i)
{
    struct sherd_map *map = (struct sherd_map *)(void *)memory[i];
    struct sherd_partition *p = &map->partitions[0];

    *map = (struct sherd_map){.version = EPOCH + i, .k = 1, .m = 2, .partition_count = 1};
    *p = (struct sherd_partition){.epoch = EPOCH + i, .voters = 7, .open_count = 1};
    p->open[0] = (struct sherd_epoch){.epoch = EPOCH + i, .voters = 7};
    if (i == 1) { /* the older epoch is still open */
        p->open_count = 2;
        p->open[1] = p->open[0];
        p->open[0].epoch = EPOCH;
    }
    return map;
}

/* The own attempt and the own proposal have names; others are older, or newer, by their digit. */
static struct sherd_ballot ballot_of(unsigned digit)
{
    if (digit == 9) return f.op.attempt;
    return (struct sherd_ballot){.clock = digit < 9 ? (uint64_t)digit << 16 : UINT64_C(1) << 40,
                                 .client = 2,
                                 .epoch = EPOCH};
}

static const char *parse_entry(const char *at, struct sherd_entry *e)
{
    unsigned digit = 0;

    for (; *at >= '0' && *at <= '9'; at++)
        digit = 10 * digit + (unsigned)(*at - '0');
    *e = (struct sherd_entry){
        .ballot = ballot_of(digit), .has_shard = true, .shard = {"x", 1}
    };
    e->version = e->ballot;
    e->meta.size = 1;
    for (; *at && *at != ',' && *at != ' '; at++) {
        if (*at == 'c') e->committed = true;
        if (*at == 't') e->meta.flags = SHERD_META_TOMBSTONE;
        if (*at == 'l') e->meta.flags = SHERD_META_LOST;
        if (*at == 'x') e->has_shard = false;
    }
    if (e->meta.flags) e->has_shard = false;
    if (e->meta.flags) e->shard = (struct sherd_bytes){NULL, 0};
    return *at == ',' ? at + 1 : at;
}

/* No two attempts share a ballot, and each is above all that the one before was refused for. */
static void check_ballot(uint8_t message)
{
    if (message == SHERD_PROMISE)
        assert_true(sherd_ballot_compare(f.op.finisher.ballot, f.max) > 0);
    if (message != SHERD_PREPARE) return;
    assert_true(sherd_ballot_compare(f.op.writer.ballot, f.prepared) > 0);
    assert_true(sherd_ballot_compare(f.op.writer.ballot, f.max) > 0);
    f.prepared = f.op.writer.ballot;
}

static void record(void)
{
    static const char effects[] = "?nodkf!."; /* by enum sherd_effect_kind */
    static const char messages[] = {
        [SHERD_PREPARE] = 'p', [SHERD_PROMISE] = 'm', [SHERD_READ] = 'r',
        [SHERD_COMMIT] = 'c',  [SHERD_ABORT] = 'a',   [SHERD_INSERT] = 'i'};

    for (uint8_t i = 0; i < f.out.count; i++) {
        const struct sherd_effect *e = &f.out.list[i];
        *f.at++ = e->kind == SHERD_EFFECT_SEND ? messages[e->message] : effects[e->kind];
        if (e->kind == SHERD_EFFECT_SEND) check_ballot(e->message);
    }
}

static void step(struct sherd_event event)
{
    f.env.random++;
    sherd_operation_step(&f.op, &f.env, &event, &f.out);
    record();
}

static uint16_t round_of(char letter)
{
    bool to_prepare = strchr("NVFUSKDHY", letter) ||
                      (letter == 'A' && f.op.writer.state < SHERD_WRITER_COMMITTING);
    bool writes = f.op.phase == SHERD_PHASE_WRITING || f.op.phase == SHERD_PHASE_PROPOSING;

    return writes && to_prepare ? f.op.prepare_round : f.op.round;
}

static struct sherd_answer answer_of(char letter, uint8_t slot, const char *held)
{
    static const char letters[] = "ANVFUSsBXRMKDHY";
    static const struct {
        uint8_t kind, reason;
    } answers[] = {
        {SHERD_ACK,      0                     },
        {SHERD_NACK,     SHERD_REASON_BALLOT   },
        {SHERD_NACK,     SHERD_REASON_VERSION  },
        {SHERD_NACK,     SHERD_REASON_FULL     },
        {SHERD_NACK,     SHERD_REASON_UNDECIDED},
        {SHERD_STALE,    SHERD_REASON_EPOCH    },
        {SHERD_STALE,    SHERD_REASON_EPOCH    },
        {SHERD_ABORTED,  0                     },
        {SHERD_ABORTED,  0                     },
        {SHERD_STATE,    0                     },
        {SHERD_PROMISED, 0                     },
        {SHERD_NACK,     SHERD_REASON_CLOCK    },
        {SHERD_NACK,     SHERD_REASON_DIFFERENT},
        {SHERD_NACK,     SHERD_REASON_BALLOT   },
        {SHERD_NACK,     SHERD_REASON_BAD      }
    };
    size_t which = (size_t)(strchr(letters, letter) - letters);
    struct sherd_answer a = {.kind = answers[which].kind,
                             .reason = answers[which].reason,
                             .slot = slot,
                             .id = f.op.tag | round_of(letter),
                             .flags = letter == 'X' ? SHERD_ANSWER_EXPOSED : 0,
                             .epoch = answers[which].kind == SHERD_STALE ? EPOCH + 1 : EPOCH};

    if (a.kind == SHERD_NACK) {
        f.max = (struct sherd_ballot){.clock = UINT64_C(1000) << 16, .client = 2, .epoch = EPOCH};
        if (letter == 'H') f.max.clock *= 100;
        a.max = f.max;
    }
    while (held && *held && *held != ' ' && *held != '-')
        held = parse_entry(held, &a.entries[a.entry_count++]);
    return a;
}

static void answer(const char *word)
{
    const char *held = strchr(word, '=');
    const char *end = strchr(word, ' ');

    if (held && end && held > end) held = NULL;
    for (const char *digit = word + 1; *digit >= '0' && *digit <= '2'; digit++) {
        uint8_t slot = (uint8_t)(*digit - '0');
        struct sherd_answer a = answer_of(*word, slot, held ? held + 1 : NULL);
        step((struct sherd_event){.kind = SHERD_EVENT_ANSWER, .slot = slot, .answer = &a});
    }
}

static void gone(const char *word, enum sherd_event_kind kind)
{
    for (const char *digit = word + 1; *digit >= '0' && *digit <= '2'; digit++)
        step((struct sherd_event){.kind = (uint8_t)kind,
                                  .slots = sherd_slot((uint8_t)(*digit - '0'))});
}

/* Passes the time until the operation wants to be woken. */
static void wake(void)
{
    if (f.op.due_us > f.env.now_us) f.env.now_us = f.op.due_us;
    step((struct sherd_event){.kind = SHERD_EVENT_TIMER});
}

static void lose_partition(void)
{
    struct sherd_map *map = (struct sherd_map *)(void *)memory[0];

    map->partitions[0].lost = true;
}

static void happen(const char *word)
{
    switch (*word) {
    case '!': step((struct sherd_event){.kind = SHERD_EVENT_START}); break;
    case 't': wake(); break;
    case 'E': step((struct sherd_event){.kind = SHERD_EVENT_TIMER}); break;
    case 'L': lose_partition(); break;
    case 'a': f.env.reachable = 7; break;
    case 'w': f.env.now_us = DEADLINE_US + 1; break;
    case 'z':
        f.env.now_us = DEADLINE_US;
        step((struct sherd_event){.kind = SHERD_EVENT_TIMER});
        break;
    case 'u': gone(word, SHERD_EVENT_UNSENT); break;
    case 'g': gone(word, SHERD_EVENT_GONE); break;
    case 'e': step((struct sherd_event){.kind = SHERD_EVENT_ENCODED}); break;
    case 'd': step((struct sherd_event){.kind = SHERD_EVENT_DECODED}); break;
    case 'x': step((struct sherd_event){.kind = SHERD_EVENT_CORRUPT}); break;
    case 'k': step((struct sherd_event){.kind = SHERD_EVENT_COMPUTED}); break;
    case 'c':
        step((struct sherd_event){.kind = SHERD_EVENT_REFUSED, .outcome = SHERD_CONFLICT});
        break;
    case 'm':
        f.env.map = make_map(1);
        step((struct sherd_event){.kind = SHERD_EVENT_MAP});
        break;
    default: answer(word); break;
    }
}

static void begin(uint8_t goal, uint32_t reachable)
{
    memset(&f, 0, sizeof(f));
    f.at = f.trace;
    f.env = (struct sherd_env){.map = make_map(0),
                               .clock = &f.clock,
                               .client = 1,
                               .wall_ms = 9,
                               .reachable = reachable,
                               .hedge_us = 5000,
                               .straggler_us = 20000};
    f.op = (struct sherd_operation){
        .goal = goal,
        .tag = 1 << 16,
        .key = {"k",       1            },
        .deadline_us = DEADLINE_US,
        .meta = {.size = 1, .checksum = 1}
    };
}

static void run_row(void **state)
{
    const struct row *row = *state;

    begin(row->goal, row->reachable);
    for (const char *word = row->script; *word; word += strcspn(word, " ")) {
        word += *word == ' ';
        char *before = f.at;
        happen(word);
        if (f.at == before) *f.at++ = '-';
        *f.at++ = ' ';
    }
    f.at[-1] = '\0';
    assert_string_equal(f.trace, row->effects);
    assert_int_equal(f.op.phase == SHERD_PHASE_DONE ? (int)f.op.outcome : SHERD_OUTCOME_COUNT,
                     row->outcome);
}

/* The back-off does not begin anew, however often an attempt was refused. */
static void attempts_are_counted_to_the_end(void **state)
{
    (void)state;
    begin(SHERD_GOAL_SET, 7);
    happen("!");
    for (unsigned i = 1; i <= 300; i++) {
        f.at = f.trace;
        happen("N01");
        happen("B2");
        assert_int_equal(f.op.attempts, i < UINT8_MAX ? i : UINT8_MAX);
        happen("t");
        assert_int_equal(f.op.phase, SHERD_PHASE_WRITING);
    }
}

int main(void)
{
    struct CMUnitTest tests[LEN(rows) + 1] = {0};

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = run_row,
                                       .initial_state = (void *)(uintptr_t)&rows[i]};
    tests[LEN(rows)] = (struct CMUnitTest)cmocka_unit_test(attempts_are_counted_to_the_end);
    return cmocka_run_group_tests_name("operation", tests, NULL, NULL);
}
