/* One attempt to write, as a table: what the slots answer, in order, and what the writer does.
 *   answers, one letter a slot in turn (0, 1 ... n-1, 0 ...):
 *     A ack  N nack  F nack(full)  S stale  B aborted  X aborted, exposed  U never sent
 *     G connection lost  - nothing      and, for no slot: T its timer is due  D much later
 *   effects: p PREPARE  c COMMIT  a ABORT, a group per event */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coord/writer.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { ABORT_AT_US = 3750000, STRAGGLER_US = 20000 };

/* clang-format off */
static const struct row {
    const char *name;
    uint8_t n, k;
    bool conditional;
    const char *answers, *effects;
    const char *verdict;
    uint8_t reason;
} rows[] = {
    {"all ACK: COMMIT once",               6, 4, false, "AAAAAA",     "p......c",   "complete", 0},
    {"q is complete, the rest is awaited", 6, 4, false, "AAAAA",      "p.....",     "running",  0},
    {"a straggler is not awaited for ever", 6, 4, false, "AAAAAT",    "p......c",   "complete", 0},
    {"one NACK is harmless",               6, 4, false, "NAAAAA",     "p......c",   "complete", 0},
    {"a lost connection is harmless",      6, 4, false, "GAAAAA",     "p......c",   "complete", 0},
    {"n-q+1 NACKs abort, not yet dead",    6, 4, false, "NN",         "p..a",       "running",  0},
    {"fewer than k holders is dead",       6, 4, false, "NNN",        "p..a.",      "running",  0},
    {"... and ABORTED adds to the NACKs",  6, 4, false, "NN--B",      "p..a.",      "dead",     0},
    {"STALE to the PREPARE is dead",       6, 4, false, "SS--B",      "p..a.",      "dead",     0},
    {"never sent is dead",                 6, 4, false, "UU--B",      "p..a.",      "dead",     0},
    {"a lost connection proves nothing",   6, 4, false, "GG--B",      "p..a.",      "running",  0},
    {"... three ABORTED do",               6, 4, false, "GG--BBB",    "p..a...",    "dead",     0},
    {"STALE to the ABORT proves nothing",  6, 4, false, "NN--SSSS",   "p..a....",   "running",  0},
    {"exposed: somebody may finish it",    6, 4, false, "NN--X",      "p..a.",      "exposed",  0},
    {"no proof: a Finish must tell",       6, 4, false, "NN--T",      "p..a.",      "exposed",  0},
    {"all refuse at once: dead",           3, 1, false, "NNN",        "p..a.",      "running",  0},
    {"2q-n is not few enough (2+1)",       3, 2, false, "N-B",        "p.a.",       "dead",     0},
    {"... one NACK of three is not dead",  3, 2, false, "N",          "p.a",        "running",  0},
    {"late ACKs abort",                    6, 4, false, "AAAAD",      "p.....a",    "running",  0},
    {"what comes after is ignored",        3, 2, false, "AAANNN",     "p...c...",   "complete", 0},
    {"a conditional one needs f: all of 1+2", 3, 1, true, "AA",       "p..",        "running",  0},
    {"... and waits for the COMMIT",       3, 1, true,  "AAA",        "p...c",      "running",  0},
    {"... until q have it",                3, 1, true,  "AAAAA",      "p...c..",    "complete", 0},
    {"4+2 does not wait for it",           6, 4, true,  "AAAAAA",     "p......c",   "complete", 0},
    {"FULL of more than n-q is final",     6, 4, false, "FF--B",      "p..a.",      "dead", SHERD_REASON_FULL},
    {"... of one is not",                  6, 4, false, "NF--B",      "p..a.",      "dead", SHERD_REASON_BALLOT},
    {"one slot's NACKs count once",        6, 4, false, "N-----N-----N", "p...",    "running",  0},
};
/* clang-format on */

static struct sherd_effects out;
static struct sherd_env env;

static struct sherd_answer answer_of(char c)
{
    struct sherd_answer a = {.flags = SHERD_ANSWER_VOTE};

    a.kind = strchr("A", c) ? SHERD_ACK : strchr("NF", c) ? SHERD_NACK : SHERD_ABORTED;
    if (c == 'S') a.kind = SHERD_STALE;
    if (c == 'S') a.reason = SHERD_REASON_EPOCH;
    if (c == 'N') a.reason = SHERD_REASON_BALLOT;
    if (c == 'F') a.reason = SHERD_REASON_FULL;
    if (c == 'X') a.flags |= SHERD_ANSWER_EXPOSED;
    return a;
}

static void feed(struct sherd_writer *w, char c, uint8_t slot)
{
    struct sherd_answer a;

    out.count = 0;
    switch (c) {
    case 'T':
    case 'D':
        env.now_us = c == 'T' ? w->due_us : ABORT_AT_US;
        sherd_writer_timer(w, &env, &out);
        break;
    case 'U':
    case 'G': sherd_writer_gone(w, sherd_slot(slot), c == 'U', &env, &out); break;
    default:
        a = answer_of(c);
        sherd_writer_answer(w, slot, &a, &env, &out);
        break;
    }
}

static char *record(char *trace)
{
    for (uint8_t i = 0; i < out.count; i++)
        *trace++ = out.list[i].message == SHERD_PREPARE  ? 'p'
                   : out.list[i].message == SHERD_COMMIT ? 'c'
                                                         : 'a';
    return trace;
}

static void run_row(void **state)
{
    static const char *const verdicts[] = {"running", "complete", "dead", "exposed"};
    const struct row *row = *state;
    struct sherd_writer w = {.conditional = row->conditional,
                             .quorum = sherd_quorum_of(row->n, row->k),
                             .voters = sherd_slots_below(row->n),
                             .holders = sherd_slots_below(row->n),
                             .abort_at_us = ABORT_AT_US};
    char trace[64] = "", *t = trace;

    env = (struct sherd_env){
        .now_us = 1, .reachable = sherd_slots_below(row->n), .straggler_us = STRAGGLER_US};
    out.count = 0;
    sherd_writer_start(&w, &env, &out);
    t = record(t);
    for (size_t i = 0; row->answers[i]; i++) {
        if (row->answers[i] == '-') continue;
        feed(&w, row->answers[i], (uint8_t)(i % row->n));
        *t++ = '.';
        t = record(t);
    }
    assert_string_equal(trace, row->effects);
    assert_string_equal(verdicts[w.verdict], row->verdict);
    if (row->reason) assert_int_equal(w.reason, row->reason);
}

/* A tombstone has no shards, and what may expire none by then: a single copy can still be finished,
 * so k is not the measure. */
static void is_dead_only_without_a_copy(struct sherd_meta meta)
{
    struct sherd_writer w = {.meta = meta,
                             .quorum = sherd_quorum_of(6, 4),
                             .voters = sherd_slots_below(6),
                             .holders = sherd_slots_below(6),
                             .abort_at_us = ABORT_AT_US};

    env = (struct sherd_env){.now_us = 1, .reachable = sherd_slots_below(6)};
    out.count = 0;
    sherd_writer_start(&w, &env, &out);
    feed(&w, 'N', 0);
    feed(&w, 'N', 1);
    for (uint8_t slot = 2; slot < 6; slot++) {
        assert_int_equal(w.verdict, SHERD_WRITER_RUNNING);
        feed(&w, 'B', slot);
    }
    assert_int_equal(w.verdict, SHERD_WRITER_DEAD);
}

static void a_tombstone_is_dead_only_without_a_copy(void **state)
{
    (void)state;
    is_dead_only_without_a_copy((struct sherd_meta){.flags = SHERD_META_TOMBSTONE});
}

static void so_is_what_may_expire(void **state)
{
    (void)state;
    is_dead_only_without_a_copy((struct sherd_meta){.size = 8, .expires_ms = 5000});
}

int main(void)
{
    struct CMUnitTest tests[LEN(rows) + 2] = {0};

    for (size_t i = 0; i < LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = run_row,
                                       .initial_state = (void *)(uintptr_t)&rows[i]};
    tests[LEN(rows)] = (struct CMUnitTest)cmocka_unit_test(a_tombstone_is_dead_only_without_a_copy);
    tests[LEN(rows) + 1] = (struct CMUnitTest)cmocka_unit_test(so_is_what_may_expire);
    return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
